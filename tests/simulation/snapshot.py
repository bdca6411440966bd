"""Converts the tables at the end of a history to the auditor's records (facts.py)."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tests.simulation.deployment import BOOK, LEDGER, RECORDS
from tests.simulation.expressions import Item
from tests.simulation.facts import NAMES as NAMES_OF_ACTIVITIES
from tests.simulation.facts import V1, V3, Activity, Books, Mark, Order, Person, Seen, Version
from tests.simulation.histories import ADDRESSES, CUSTOMER_IDS
from tests.simulation.store import DynamoDB, Key
from tillbook.aws.items import plain_item, record_of
from tillbook.contract.document import customer_match_key
from tillbook.records.messages import decode
from tillbook.records.outcomes import STATUSES
from tillbook.rules.addresses import match_key
from tillbook.rules.order import OrderState
from tillbook.rules.packing import unpack

# ---------------------------------------------------------------------- tables

_SOURCES, _ZERO = {"o": V1, "s": V3}, {"N": "0"}


def read(
    dynamodb: DynamoDB, written: dict[Key, list[Version]], named: dict[Person, str], late: set[Key], marks: list[Mark]
) -> Seen:
    """Reads the tables into the auditor's records.

    `written`: v1 versions by scope and order key. `named`: people whose traces are searched, with their internal ids.
    `late`: keys of items that may have been written after their caller had stopped waiting.
    """
    cuts: dict[tuple[str, str], str] = {}
    generations: dict[tuple[str, str], int] = {}
    for mark in marks:
        if mark.name in _SOURCES:
            at = mark.account, mark.name
            cuts[at], generations[at] = max(mark.cut, cuts.get(at, "")), generations.get(at, 0) + 1
    ledger = dynamodb.tables[LEDGER]
    # The name of the current scope, by account and source letter.
    current = {at: f"{at[0]}/{at[1]}{generations.get(at, 0)}" for at in {_place(pk)[:2] for pk, _ in ledger.items}}
    seen = Seen(Books(), {}, {}, marks=marks)
    seen.undeleted = sorted(pk for pk, _ in ledger.items if _scope(pk) != current[_place(pk)[:2]])
    items = {key: item for key, item in ledger.items.items() if _scope(key[0]) == current[_place(key[0])[:2]]}
    for (scope, _), versions in written.items():
        body = next((version.body for version in versions if version.body), None)
        if body:
            account, generation = scope.split("/")[0], int(scope.split("/o")[1])
            seen.versions[account, _order_id_of(body), generation] = versions
    people: dict[tuple[str, str], Person] = {}  # by account and internal id
    names: dict[tuple[str, str], str] = {}  # order ids by scope and order key
    for (pk, sk), item in items.items():
        account, letter, kind = _place(pk)
        if kind == "p":
            if "kind" not in item or "value" not in item:
                seen.faults.append(f"person {pk} {sk} has no name")
                continue
            person = people[account, sk] = (account, item["kind"]["S"], item["value"]["S"])
            seen.books.people.add(person)
            _read_money(seen.books, person, _SOURCES[letter], item)
    _read_cards(dynamodb, seen, current)
    for (pk, sk), item in items.items():
        if _place(pk)[2] == "h":
            _read_head(seen, people, names, pk, sk, item)
    for at, versions in written.items():
        body = next((version.body for version in versions if version.body), None)
        if body:
            names[at] = _order_id_of(body)
    _read_timelines(seen, people, names, items)
    _read_outcomes(dynamodb, seen, cuts, late)
    seen.traces = _traces(dynamodb, named)
    return seen


def _read_timelines(
    seen: Seen, people: dict[tuple[str, str], Person], names: dict[tuple[str, str], str], items: dict[Key, Item]
) -> None:
    for (pk, sk), item in items.items():
        account, letter, kind = _place(pk)
        if kind != "e":
            continue
        if letter == "s":
            seen.written.add((account, item["request"]["S"]))
        if "timeline" in item:
            person = people.get((account, item["timeline"]["S"].rpartition("/")[2]))
            if person is None:
                seen.faults.append(f"the timeline {item['timeline']} belongs to no person")
                continue
            stamp, order = item["stamp"]["S"], (_scope(pk), sk.partition("!")[0])
            seen.books.timelines.setdefault(person, []).append(
                Activity(
                    (stamp[:20], stamp[20:40], int(stamp[40:44])), NAMES_OF_ACTIVITIES[item["action"]["S"]],
                    _SOURCES[letter], names.get(order, "?"),
                )
            )  # fmt: skip
    for activities in seen.books.timelines.values():
        activities.sort()


def _place(pk: str) -> tuple[str, str, str]:
    """Account, source letter and kind of item of a partition key."""
    account, scope, kind, *_ = pk.split("/")
    return account, scope[0], kind


def _scope(pk: str) -> str:
    return "/".join(pk.split("/")[:2])


def _read_cards(dynamodb: DynamoDB, seen: Seen, current: dict[tuple[str, str], str]) -> None:
    for (pk, _), item in dynamodb.tables[BOOK].items.items():
        account, letter, kind = _place(pk)
        if kind == "cards" and _scope(pk) != current.get((account, letter)):
            seen.undeleted.append(pk)
        elif kind == "cards" and "status" in item:  # else it is empty: its order was deleted or moved
            at = account, _SOURCES[letter]
            records, orders = seen.books.audiences.get(at, (0, 0))
            seen.books.audiences[at] = records + int(item.get("records", _ZERO)["N"]), orders + 1


def _read_outcomes(dynamodb: DynamoDB, seen: Seen, cuts: dict[tuple[str, str], str], late: set[Key]) -> None:
    outcomes: dict[tuple[str, str, str], set[str]] = {}
    # Outcomes that are not `applied` have a copy by order (`x`): status and key of each.
    by_order: dict[tuple[str, str, str], tuple[str, Key]] = {}
    for (pk, sk), item in dynamodb.tables[RECORDS].items.items():
        parts = pk.split("/")
        if parts[1] in ("t", "x"):
            source = item["source"]["S"]
            if item["received"]["S"] <= cuts.get((parts[0], source[0] if source == V3 else "o"), ""):
                continue  # purged
            if parts[1] == "t":
                outcomes.setdefault((parts[0], source, sk), set()).add(parts[2])
            else:
                by_order[parts[0], source, sk] = item["status"]["S"], (pk, sk)
    seen.statuses = {at: min(kinds, key=STATUSES.index) for at, kinds in outcomes.items()}
    for at, (status, key) in by_order.items():
        if status not in outcomes.get(at, ()) and (at in outcomes or key not in late):
            seen.faults.append(f"{at} is {status} in the outcomes of its order, but {outcomes.get(at)} by status")
    for at, kinds in outcomes.items():
        # The outcome of a repeated v1 submission is best effort: its answer does not depend on the outcome.
        if "applied" not in kinds and at not in by_order and at[1] == V3:
            seen.faults.append(f"{at} is {kinds}, but is not in the outcomes of its order")


@lru_cache(maxsize=4096)
def _order_id_of(body: bytes) -> str:
    return str(unpack(body)["order_id"])


def _traces(dynamodb: DynamoDB, named: dict[Person, str]) -> dict[Person, list[str]]:
    """Returns by person the keys of the items that contain the person's internal id or e-mail hash, also inside a body.

    Marks are left out: they contain the id for 30 days, so that queued events are dropped.
    """
    texts: list[tuple[str, Key]] = []
    for name in (LEDGER, RECORDS, BOOK):
        for key, item in dynamodb.tables[name].items.items():
            if not key[0].endswith("/u"):
                body = str(unpack(item["body"]["B"])) if "body" in item else ""
                if "message" in item:
                    body = str(decode(item["message"]["S"]))
                texts.append((f"{key}{item}{body}", key))
    found: dict[Person, list[str]] = {}
    for person, internal_id in named.items():
        sought = [internal_id, person[2]] if person[1] == "email" else [internal_id]
        found[person] = [
            "/".join(key)
            for text, key in texts
            if key[0].startswith(f"{person[0]}/") and any(name in text for name in sought)
        ]
    return found


def _read_money(books: Books, person: Person, source: str, raw: Item) -> None:
    item = plain_item(raw)
    for name, value in item.items():
        if name[0] == "#" and value:
            cell = source, None if name[1:] == "*" else name[1:]
            books.counts.setdefault(person, {})[cell] = int(value)
            books.money.setdefault(person, {})[cell] = item.get(name[1:], Decimal(0))


def _read_head(
    seen: Seen, people: dict[tuple[str, str], Person], names: dict[tuple[str, str], str], pk: str, sk: str, raw: Item
) -> None:
    head, (account, letter, _) = plain_item(raw), _place(pk)
    if "contribution" not in head:
        return
    names[_scope(pk), sk] = head["order_id"]
    owner = people.get((account, head["person"])) if head.get("person") else None
    if head.get("person") and owner is None:
        seen.faults.append(f"order {head['order_id']} belongs to a person without an item")
    if letter == "o":
        customer = _CUSTOMERS.get(head.get("customer_key", "//").split("/")[2], "?")
        seen.books.orders[account, V1, "", head["order_id"]] = Order(
            owner, head["currency"], head["contribution"], first=head["ordered_at"], addresses=_addresses(head),
            customer=customer,
        )  # fmt: skip
        return
    state = record_of(OrderState, head)
    seen.books.orders[account, V3, head["provider"], head["order_id"]] = Order(
        person=owner, currency=state.currency or None, contribution=head["contribution"], total=state.known_total,
        refunds=state.refunds, action=state.action, events=state.events, first=state.ordered_at,
        last=state.latest_at[:20], added=state.added_at, flagged=bool(state.flags), addresses=_addresses(head),
    )  # fmt: skip


def _addresses(head: dict[str, Any]) -> tuple[str, str]:
    """First lines of both addresses, by their index keys. An address that is both has only a shipping key."""
    keys = (head.get(name, "//").split("/")[2] for name in ("shipping_key", "billing_key"))
    shipping, billing = (_LINES.get(key, "?") for key in keys)
    if head["records"] == 2 and not billing:
        billing = shipping
    return shipping, billing


_CUSTOMERS = {customer_match_key(customer): customer for customer in CUSTOMER_IDS} | {"": ""}
_LINES = {match_key(json.loads(address)): json.loads(address)["address_1"] for address in ADDRESSES} | {"": ""}
