"""Computes the expected ledger from the requests, and checks the consistency of snapshots.

Uses no code of the package: items are read by the names of keys and attributes that tillbook/ledger/items.py documents,
and the sums are computed here.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tests.concurrency.workload import PROVIDER, Change, Event

V1: Final = "orders_api"
V3: Final = "shopper_activity"
Item = dict[str, Any]
Person = tuple[str, str]  # kind, value
_SOURCES = {"o": V1, "s": V3}
_PRECISION = Decimal("0.0001")  # of amounts
# Attributes of a person's item; all of its others are sums.
_NO_SUMS = {"pk", "sk", "kind", "value", "token"}
_KINDS = {"h": "heads", "e": "events", "p": "people"}
BOOK_SECONDS = 120.0  # a book that does not change for so long is considered final


@dataclass(frozen=True)
class Order:
    """The final state of an order. `currency` None is that of the account. `records`: its records in the audience."""

    person: Person | None
    currency: str | None
    amount: Decimal
    records: int


@dataclass(frozen=True)
class Answer:
    """The answer of a v1 call: its HTTP `status`, 0 if none was received; `changed`: whether the call wrote something.

    `total`: the total of the order in the answer, if the call changed the order.
    """

    change: Change
    status: int
    changed: bool = False
    total: Decimal | None = None


def parts(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Groups items of the ledger by kind (heads, events, people), which is the third part of the partition key."""
    found: dict[str, list[Item]] = {kind: [] for kind in _KINDS.values()}
    for item in items:
        letter = item["pk"].split("/")[2]
        found[_KINDS[letter]].append(item)
    return found


def scope_of(item: Item) -> str:
    """The scope of an item, such as `{account}/s0`. Sums are made within one scope."""
    return "/".join(item["pk"].split("/")[:2])


def source_of(item: Item) -> str:
    return _SOURCES[item["pk"].split("/")[1][0]]


# ------------------------------------------------------ consistency of snapshots


def check_people(people: Iterable[Item], heads: Iterable[Item]) -> list[str]:
    """Compares LTV and order counts of people, by scope and currency, with the sums over the heads of their orders."""
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for head in heads:
        if not head.get("person"):  # the order names nobody, or was erased
            continue
        currency = head.get("currency") or "*"  # "*" is the account's currency
        cells = sums[scope_of(head), head["person"]]
        # A Counter adds Decimals as well, exactly: no context rounds sums of this size.
        cells[currency] += head["contribution"]
        cells[f"#{currency}"] += 1
    faults = []
    for person in people:
        stored = {name: value for name, value in person.items() if name not in _NO_SUMS and value}
        must = {name: value for name, value in sums.pop((scope_of(person), person["sk"]), Counter()).items() if value}
        if stored != must:
            where = f"{scope_of(person)} {person['sk']}"
            faults.append(f"person {where} has {_shown(stored)}; the orders add up to {_shown(must)}")
    return faults + [f"orders in {scope} of {person}, who does not exist" for scope, person in sums]


def check_cards(cards: Iterable[Item], heads: Iterable[Item]) -> list[str]:
    """Compares the numbers of audience records and of orders, by scope, in the cards of the book and in the heads."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    stored: dict[str, Counter[str]] = defaultdict(Counter)
    for head in heads:
        cells = sums[scope_of(head)]
        cells["records"] += int(head.get("records", 0))
        cells["orders"] += 1 if head.get("records") else 0
    for card in cards:
        if "/cards/" in card["pk"]:
            cells = stored[scope_of(card)]
            cells["records"] += int(card.get("records", 0))
            # A card without a status remains where an order was deleted or moved to another date.
            cells["orders"] += 1 if card.get("status") else 0
    return [
        f"the cards of {scope} have {dict(stored[scope])}; the orders add up to {dict(sums[scope])}"
        for scope in sorted(stored.keys() | sums.keys())
        if stored[scope] != sums[scope]
    ]


def check_book(cards: Callable[[], Iterable[Item]], heads: list[Item]) -> list[str]:
    """Waits until the book agrees with the heads or no longer changes. Returns the remaining differences."""
    end, before = time.monotonic() + BOOK_SECONDS, list[str]()
    while True:
        began = time.monotonic()
        if not (faults := check_cards(cards(), heads)) or began > end:
            return faults
        if faults != before:
            end, before = time.monotonic() + BOOK_SECONDS, faults
        # A local engine serves no other call while all cards are read.
        time.sleep(max(1.0, 3 * (time.monotonic() - began)))


def _shown(cells: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in sorted(cells.items())}


# ------------------------------------------------------------- the final ledger

OrderName = tuple[str, str, str]  # account, source, order_id


def audit(
    items: list[Item], events: list[tuple[Event, str]], answers: list[Answer], *, all_answered: bool = True
) -> list[str]:
    """Describes every difference between the ledger and the requests. `events`: with the status of each delivery.

    Without `all_answered`, the ledger may contain v1 writes whose answers were lost.
    """
    faults: list[str] = []
    ledger = parts(items)
    heads = ledger["heads"]
    people = {(scope_of(item), item["sk"]): item for item in ledger["people"]}
    faults += check_people(people.values(), heads)

    counted = _counted(events, faults)
    must: dict[OrderName, Order] = {}
    lines: dict[OrderName, list[Any]] = {}  # the events of each v3 order, in the form of `_written`
    by_order: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in counted:
        by_order[event.account, event.payload["order_id"]].append(event)
    for (account, order_id), of_order in by_order.items():
        of_order.sort(key=_sort_key)
        must[account, V3, order_id] = _v3_order(of_order)
        lines[account, V3, order_id] = [(*_sort_key(e), e.payload["action"], _person(e.payload)) for e in of_order]

    names: dict[tuple[str, str], OrderName] = {}
    have: dict[OrderName, Order] = {}
    for head in heads:
        name = head["pk"].split("/")[0], source_of(head), head.get("order_id", "?")
        names[scope_of(head), head["sk"]] = name
        if "contribution" not in head:  # deleted
            continue
        person = people.get((scope_of(head), head.get("person", "")))
        named = (person["kind"], person["value"]) if person else None
        have[name] = Order(named, head.get("currency"), head["contribution"], int(head["records"]))
        if source_of(head) == V3:
            if head["provider"] != PROVIDER:
                faults.append(f"order {name} is of provider {head['provider']}")
            if head["events"] != len(lines.get(name, [])):
                faults.append(f"order {name} counts {head['events']} events, not {len(lines.get(name, []))}")
    written = _written(ledger["events"], people, names, have)
    for name, found in written.items():
        if name[1] == V3 and sorted(found) != sorted(lines.get(name, [])):
            faults.append(f"events of {name}:\n  must be {sorted(lines.get(name, []))}\n  but are {sorted(found)}")
    must |= _v1_orders(ledger["events"], answers, all_answered, faults)
    for name in sorted(must.keys() | have.keys()):
        if must.get(name) != have.get(name):
            faults.append(f"order {name}:\n  must be {must.get(name)}\n  but is  {have.get(name)}")
    return faults


def _written(
    events: list[Item], people: dict[tuple[str, str], Item], names: dict[tuple[str, str], OrderName],
    have: dict[OrderName, Order],
) -> dict[OrderName, list[Any]]:  # fmt: skip
    """The stored events of each v3 order: (occurred, received, position, action, person)."""
    found: dict[OrderName, list[Any]] = {name: [] for name in have}
    for item in events:
        if source_of(item) == V3:
            order_key, stamp = item["sk"].partition("!")[0], item["stamp"]
            person = people[scope_of(item), item["timeline"].rpartition("/")[2]]
            line = (stamp[:20], stamp[20:40], int(stamp[40:44]), item["action"], (person["kind"], person["value"]))
            name = names.get((scope_of(item), order_key), (scope_of(item), order_key, "?"))
            found.setdefault(name, []).append(line)
    return found


# -------------------------------------------------------------------------- v3


def _counted(events: list[tuple[Event, str]], faults: list[str]) -> list[Event]:
    """The first received copy of each event that was applied. Checks the statuses of all copies."""
    # By identity, content and request id: the event, and the statuses of its deliveries.
    groups: dict[tuple[str, str], dict[int, dict[str, tuple[Event, set[str]]]]] = {}
    for event, status in events:
        contents = groups.setdefault((event.account, event.identity), {})
        contents.setdefault(event.content, {}).setdefault(event.request_id, (event, set()))[1].add(status)
    found = []
    for identity, contents in groups.items():
        applied = []
        for requests in contents.values():
            statuses = Counter("/".join(sorted(ended)) for _, ended in requests.values())
            if statuses["applied"] == 1 and statuses["duplicate"] == len(requests) - 1:
                applied.append([event for event, _ in requests.values()])
            # Of several contents under one idempotency key one is applied; all requests with another content fail.
            elif len(contents) == 1 or statuses != Counter({"failed": len(requests)}):
                faults.append(f"requests of {identity} ended as {dict(statuses)}")
        if len(applied) == 1:
            found.append(min(applied[0], key=lambda e: (e.received, e.position)))
        else:
            faults.append(f"{len(applied)} contents of {identity} were applied")
    return found


def _sort_key(event: Event) -> tuple[str, str, int]:
    """(time of the event, receipt, position in the batch): the events of an order are applied in this order."""
    occurred = event.payload.get("occurred_at")
    return _stamp(occurred) if occurred else event.received, event.received, event.position


def _stamp(text: str) -> str:
    """The stamp of a time like 2026-01-01T10:04:00Z. All times of the workload have this form."""
    return "".join(c for c in text if c.isdigit()) + "000000"


def _v3_order(events: list[Event]) -> Order:
    """The order that these sorted events add up to."""
    total: Decimal | None = None
    fallback: Decimal | None = None
    opened, refunds, currency = False, Decimal(0), None
    shipping = billing = False
    for event in events:
        payload = event.payload
        carried = Decimal(payload["grand_total"]) if "grand_total" in payload else None
        if payload["action"] in ("placed", "updated", "paid", "fulfilled"):
            opened = True
            total = total if carried is None else carried
        else:
            fallback = fallback if carried is None else carried
            refunds += Decimal(payload.get("refund_amount", 0))
        currency = payload.get("currency", currency)
        shipping, billing = shipping or "shipping_address" in payload, billing or "billing_address" in payload
    # The latest total counts, else the one of a refund or cancellation, else 0. Without any total, refunds are
    # subtracted only if the order was opened.
    known = total if total is not None else fallback if fallback is not None else Decimal(0) if opened else None
    amount = Decimal(0) if known is None else known - refunds
    return Order(_person(events[-1].payload), currency, amount, max(1, shipping + billing))


def _person(payload: dict[str, Any]) -> Person:
    if "person_id" in payload:
        return "person", payload["person_id"]
    return "email", hashlib.sha256(payload["email"].encode()).hexdigest()


# -------------------------------------------------------------------------- v1


def _v1_orders(
    events: list[Item], answers: list[Answer], all_answered: bool, faults: list[str]
) -> dict[OrderName, Order]:
    """Computes each v1 order by applying the calls of its stored versions, and checks versions and answers."""
    by_request = {answer.change.request_id: answer for answer in answers}
    versions: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in events:
        if source_of(item) == V1:
            versions[scope_of(item), item["sk"].partition("!")[0]].append(item)
    orders: dict[OrderName, Order] = {}
    versions_by_request: Counter[str] = Counter()
    for (scope, order_key), chain in versions.items():
        chain.sort(key=lambda item: str(item["sk"]))
        where = f"v1 order {scope} {order_key}"
        numbers = [int(item["sk"].partition("!")[2]) for item in chain]
        if numbers != list(range(1, len(chain) + 1)):
            faults.append(f"{where}: versions {numbers}")
        document: dict[str, Any] | None = None
        account = scope.split("/")[0]
        for item in chain:
            versions_by_request[item["request"]] += 1
            answer = by_request.get(item["request"])
            if answer is None or (answer.change.account, answer.change.kind) != (account, item["action"]):
                faults.append(f"{where}: version {item['sk']} belongs to no such request")
                break
            change = answer.change
            if (document is None) != (change.kind == "submitted"):
                faults.append(f"{where}: {change} was applied to {document}")
                break
            before = document
            document = {
                "submitted": dict(change.payload), "edited": {**(document or {}), **change.payload}, "deleted": None,
            }[change.kind]  # fmt: skip
            shown = document if document is not None else before  # a deletion is answered with the deleted order
            if answer.total is not None and answer.total != _total(shown or {}):
                faults.append(f"{where}: {change} was answered with total {answer.total}, but the order is {shown}")
            orders.pop((account, V1, change.order_id), None)
            if document is not None:
                orders[account, V1, change.order_id] = _v1_order(document)
    for request_id, count in versions_by_request.items():
        if count > 1:
            faults.append(f"v1 request {request_id} wrote {count} versions")
    for answer in answers:
        written = answer.change.request_id in versions_by_request
        if answer.changed != written and (all_answered or not written) and answer.status < 500:
            faults.append(f"{answer}, but the ledger {'has' if written else 'lacks'} its version")
    return orders


def _v1_order(document: dict[str, Any]) -> Order:
    records = [document.get(name) for name in ("shipping_address", "billing_address")]
    return Order(
        _person({"email": document["customer_email"]}), document.get("currency", "USD"), _total(document),
        max(1, sum(map(bool, records))),
    )  # fmt: skip


def _total(document: dict[str, Any]) -> Decimal:
    return Decimal(document.get("total") or 0).quantize(_PRECISION)
