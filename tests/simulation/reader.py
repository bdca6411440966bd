"""Compares everything that the API shows at the end of a history with the auditor's books.

Calls the functions that answer the routes, and reads lists in small pages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tests.simulation.facts import V1, V3, Books, Order, Person
from tests.simulation.histories import ADDRESSES, CUSTOMER_IDS, EMAILS
from tests.simulation.values import email_hash, is_email

# (route, account, path parameters, query, body) -> (status, body)
Ask = Callable[[str, str, dict[str, str], dict[str, str], Any], tuple[int, Any]]
_AUDIENCES = {V1: "customers-orders-api", V3: "customers-shopper-activity"}


def differences(
    ask: Ask, books: Books, statuses: dict[tuple[str, str, str], str], accounts: list[str], currency: str
) -> list[str]:
    """Describes every difference of the API from the books. `currency` is that of the accounts."""
    found: list[str] = []

    def compare(what: str, must: Any, have: Any) -> None:
        if must != have:
            found.append(f"{what} in the API:\n  must be {must}\n  but is  {have}")

    for person in sorted(books.people):
        # For a customer id that is also a person_id, the API shows the person with the person_id.
        if person[1] != "customer" or (person[0], "person", person[2]) not in books.people:
            _person(ask, books, person, currency, compare)
    for account in accounts:
        for source in (V1, V3):
            orders = {key: order for key, order in books.orders.items() if key[:2] == (account, source)}
            _audience(ask, account, source, orders, books, compare)
        _requests(ask, account, statuses, compare)
    return found


Compare = Callable[[str, Any, Any], None]


def _pages(ask: Ask, route: str, account: str, path: dict[str, str], noun: str, limit: int) -> Iterator[Any]:
    """Yields the entries of all pages of a list. `noun`: the field of an answer that has them."""
    query = {"limit": str(limit)}
    for _ in range(1000):
        _, body = ask(route, account, path, query, None)
        yield from body[noun]
        if body["next_cursor"] is None:
            return
        query = query | {"cursor": body["next_cursor"]}
    raise AssertionError(f"{route} still has a next page after 1,000 pages")


def _person(ask: Ask, books: Books, person: Person, account_currency: str, compare: Compare) -> None:
    account, _, value = person
    path = {"account_id": account, "id_or_email": value}
    route = "GET /v3/{account_id}/people/{id_or_email}"
    status, shown = ask(route, account, path, {}, None)
    if status != 200:
        compare(f"status of {person}", 200, status)
        return
    money: dict[str, dict[str, Decimal]] = {}
    for (source, currency), amount in books.money.get(person, {}).items():
        of_source = money.setdefault(source, {})
        currency = currency or account_currency
        of_source[currency] = of_source.get(currency, Decimal(0)) + amount
    read = {s: {c: Decimal(v) for c, v in amounts.items()} for s, amounts in shown["lifetime_value_by_source"].items()}
    compare(f"LTV of {person}", money, read)
    total: dict[str, Decimal] = {}
    for amounts in money.values():
        for name, amount in amounts.items():
            total[name] = total.get(name, Decimal(0)) + amount
    whole = {name: Decimal(value) for name, value in shown["lifetime_value"].items()}
    compare(f"lifetime_value of {person}", total, whole)
    order_times = sorted(order.first for order in books.orders.values() if order.person == person)
    first_and_last = [_iso(order_times[0]), _iso(order_times[-1])] if order_times else [None, None]
    compare(f"first and last order of {person}", first_and_last, [shown["first_order_at"], shown["last_order_at"]])
    _, body = ask("GET /v2/{account_id}/subscribers/{id_or_email}", account, path, {}, None)
    unit = Decimal(1 if account_currency == "JPY" else 100)
    cents = (total.get(account_currency, Decimal(0)) * unit).to_integral_value(ROUND_HALF_EVEN)
    compare(f"v2's lifetime_value of {person}", int(cents), body["subscribers"][0]["lifetime_value"])
    compare(f"orders_count of {person}", sum(books.counts.get(person, {}).values()), shown["orders_count"])
    owned = {key[1:]: order for key, order in books.orders.items() if order.person == person}
    entries = list(_pages(ask, f"{route}/orders", account, path, "orders", 2))
    compare(
        f"orders of {person}",
        sorted((*key, order.contribution, _shown_date(key[0], order)) for key, order in owned.items()),
        sorted(map(_order, entries)),
    )
    times = [owned[key].first for key in (_order(entry)[:3] for entry in entries) if key in owned]
    compare(f"sequence of the orders of {person}", sorted(times, reverse=True), times)
    timeline = [(entry.name, entry.order_id) for entry in reversed(books.timelines.get(person, []))]
    activity = _pages(ask, f"{route}/activity", account, path, "activity", 3)
    compare(f"activity of {person}", timeline, [(entry["name"], str(entry["order"]["order_id"])) for entry in activity])


def _iso(time: str) -> str:
    whole = f"{time[:4]}-{time[4:6]}-{time[6:8]}T{time[8:10]}:{time[10:12]}:{time[12:14]}"
    fraction = time[14:].rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def _shown_date(source: str, order: Order) -> str:
    """The date with which the API shows an order. That of a v1 order has no fraction of a second."""
    return _iso(order.first) if source == V3 else _iso(order.first[:14])


def _order(entry: dict[str, Any]) -> tuple[str, str, str, Decimal, str]:
    """An order in the API: source, provider, order id, the amount that counts in LTV, and its date."""
    if "status" in entry:
        amount = Decimal(entry["lifetime_value"])
        return V3, entry["provider"], str(entry["order_id"]), amount, entry["first_occurred_at"]
    return V1, "", entry["order_id"], Decimal(entry["total"]), entry["order_date"]


def _audience(
    ask: Ask, account: str, source: str, orders: dict[tuple[str, str, str, str], Order], books: Books, compare: Compare
) -> None:
    path = {"audience_id": _AUDIENCES[source]}
    expected = []
    for (_, _, _, order_id), order in orders.items():
        lines = [(order_id, kind, line) for kind, line in zip(("shipping", "billing"), order.addresses, strict=True)]
        expected += [record for record in lines if record[2]] or [(order_id, "person", "")]
    entries = _pages(ask, "GET /v1/audience/{audience_id}", account, path, "members", 3)
    members = [(entry["order_id"], entry["kind"], entry["address_1"] or "") for entry in entries]
    compare(f"members of {source} of {account}", sorted(expected), sorted(members))
    _, audiences = ask("GET /v1/audiences", account, {}, {}, None)
    counted = {audience["id"]: audience["member_count"] for audience in audiences}
    compare(f"member_count of {source} of {account}", len(expected), counted[_AUDIENCES[source]])

    customers = {person for person, cells in books.counts.items() if any(cell[0] == source for cell in cells)}
    first_lines = {line for order in orders.values() for line in order.addresses}
    sought: list[dict[str, Any]] = []
    are_customers: list[bool] = []
    for address in map(json.loads, ADDRESSES):
        sought.append({"address": address})
        are_customers.append(address["address_1"] in first_lines)
    for email in EMAILS:
        sought.append({"email": email})
        are_customers.append((account, "email", email_hash(email)) in customers)
    for customer in CUSTOMER_IDS:
        person = ("email", email_hash(customer)) if is_email(customer) else ("customer", customer)
        sought.append({"customer_id": customer})
        named = any(order.customer == customer for order in orders.values())
        are_customers.append(named or (account, *person) in customers)
    _, body = ask("POST /v1/audience/{audience_id}/match", account, path, {}, {"people": sought})
    compare(f"match with {source} of {account}", are_customers, [result["customer"] for result in body["results"]])


def _requests(ask: Ask, account: str, statuses: dict[tuple[str, str, str], str], compare: Compare) -> None:
    known = {request: status for (owner, _, request), status in statuses.items() if owner == account}
    entries = list(_pages(ask, "GET /v1/transactions", account, {}, "transactions", 20))
    listed = [entry["request_id"] for entry in entries]
    compare(f"transactions of {account}", sorted(known), sorted(set(listed)))
    compare(f"order of the transactions of {account}", sorted(listed, reverse=True), listed)
    for (owner, source, request), status in sorted(statuses.items())[:5]:
        if owner == account and source == V3:
            path = {"account_id": account, "request_id": request}
            _, shown = ask("GET /v3/{account_id}/requests/{request_id}", account, path, {}, None)
            compare(f"request {request}", status, shown["status"])
