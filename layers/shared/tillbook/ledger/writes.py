"""The writes of the ledger's transactions: each write with its condition, and the race that the condition prevents.

A change of an order is written in one TransactWriteItems: the order's head, its events, and the LTV of each person
concerned. Either all of them are written or none, so LTV equals the sum over orders in every snapshot.

The comments at the conditions show races of two concurrent writers A and B, line by line in time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tillbook.aws.items import Item, Raw, raw, raw_value
from tillbook.ledger.items import EventItem, Head, PersonItem, Scope, cells_of, token_of
from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.identity import Person

# A: finds no head           B: finds no head
# A: writes the first head   B: writes the first head -> refused, or A's event would be missing from the head.
HEAD_IS_NEW = "attribute_not_exists(pk)"
# A: reads the head after 4 writes   B: reads the head after 4 writes
# A: writes it a fifth time          B: writes it a fifth time -> refused, or A's change would be lost.
# A try without a response may arrive late, after other writes of the head. It is refused, too: no head of a current
# scope is deleted, so `writes` only grows.
HEAD_AS_READ = "writes = :seen"
# A: receives an event     B: receives the same event
# A: writes it             B: writes it -> refused, or the event would count twice. The sort key is its identity.
EVENT_IS_NEW = "attribute_not_exists(pk)"
# An event keeps the time of the copy that was received first; an erasure empties the event.
# A: plans to write the time of an earlier copy   B: writes the time of an even earlier copy, or empties the event
# A: writes it -> refused, or B's time would be lost, or the erased content would be back.
EVENT_AS_READ = "stamp = :seen"
# A: finds a person without orders and activities   B: adds an order of that person
# A: deletes the person -> refused, or the LTV that B added would be deleted, too.
PERSON_AS_READ = "#token = :seen"


class EventWrite(NamedTuple):
    """The write of an event, which is new or replaces `seen`."""

    event_id: str
    event: EventItem
    seen: EventItem | None = None


class Change(NamedTuple):
    """One order's part of a transaction.

    Attributes:
        seen, head: the order's head as it was read, and as it is written.
        events: the writes of its events.
        people: persons, by person id, whose items are written even if their LTV does not change. A person without an
            item gets one; an existing item gets a new token.
    """

    scope: Scope
    order_key: str
    seen: Head | None
    head: Head
    events: Sequence[EventWrite] = ()
    people: Mapping[str, Person] = {}


class Transaction(NamedTuple):
    """The writes of a transaction. Those of heads and events are first; `names` are their sort keys."""

    names: list[str]
    writes: list[dict[str, Any]]


def transaction(table: str, changes: Sequence[Change]) -> Transaction:
    """Returns the transaction of changes of one scope. All amounts for one person are added in one write."""
    scope = changes[0].scope
    writes = [_put_head(table, change) for change in changes]
    writes += [_put_event(table, change, write) for change in changes for write in change.events]
    names = [str(write["Put"]["Item"]["sk"]["S"]) for write in writes]
    people: dict[str, Person] = {}
    cells: dict[str, dict[str, Decimal]] = {}
    causes: dict[str, Change] = {}  # the last change that concerns each person
    for change in changes:
        people |= change.people
        causes |= dict.fromkeys(change.people, change)
        before, after = change.seen.standing if change.seen else None, change.head.standing
        for standing, sign in ((before, -1), (after, 1)) if before != after else ():
            if standing is not None and standing.person:
                own = cells.setdefault(standing.person, {})
                causes[standing.person] = change
                for name, amount in cells_of(standing, sign):
                    own[name] = EXACT.add(own.get(name, ZERO), amount)
    for person in {**cells, **people}:
        cause = causes[person]
        token = token_of(cause.order_key, cause.events[-1].event_id if cause.events else "")
        writes.append(_add_to_person(table, scope, person, cells.get(person, {}), people.get(person), token))
    return Transaction(names, writes)


def _put_head(table: str, change: Change) -> dict[str, Any]:
    item = change.head.item(change.scope, change.order_key)
    return _put(table, item, HEAD_AS_READ, change.seen.writes) if change.seen else _put(table, item, HEAD_IS_NEW)


def _put_event(table: str, change: Change, write: EventWrite) -> dict[str, Any]:
    item = write.event.item(change.scope, change.order_key, write.event_id)
    return _put(table, item, EVENT_AS_READ, write.seen.stamp) if write.seen else _put(table, item, EVENT_IS_NEW)


def _put(table: str, item: Item, condition: str, seen: int | str | None = None) -> dict[str, Any]:
    # If the condition fails, DynamoDB returns the stored item, so that the next try need not read it.
    put = {
        "TableName": table, "Item": raw(item), "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }  # fmt: skip
    return {"Put": put if seen is None else put | {"ExpressionAttributeValues": {":seen": raw_value(seen)}}}


def _add_to_person(
    table: str, scope: Scope, person: str, cells: Mapping[str, Decimal], named: Person | None, token: str
) -> dict[str, Any]:
    """Returns the update of a person's LTV. `cells` are amounts to add, `named` is written if given.

    ADD needs no condition: sums commute, and the head's condition ensures that each contribution is added once.
    """
    adds = {name: amount for name, amount in cells.items() if amount}
    sets = {"token": token} | ({"kind": named.kind, "value": named.value} if named else {})
    written: dict[str, Decimal | str] = {**adds, **sets}
    names = {f"#{n}": name for n, name in enumerate(written)}
    values = {f":{n}": raw_value(value) for n, value in enumerate(written.values())}
    terms = [f"#{n} :{n}" for n in range(len(adds))], [f"#{n} = :{n}" for n in range(len(adds), len(names))]
    update = " ".join(f"{verb} {', '.join(term)}" for verb, term in zip(("ADD", "SET"), terms, strict=True) if term)
    return {
        "Update": {
            "TableName": table, "Key": raw(scope.person_key(person)), "UpdateExpression": update,
            "ExpressionAttributeNames": names, "ExpressionAttributeValues": values,
        }
    }  # fmt: skip


def forget_person(table: str, scope: Scope, person: str, seen: PersonItem) -> Raw:
    return {
        "Delete": {
            "TableName": table, "Key": raw(scope.person_key(person)), "ConditionExpression": PERSON_AS_READ,
            "ExpressionAttributeNames": {"#token": "token"}, "ExpressionAttributeValues": {":seen": {"S": seen.token}},
        }
    }  # fmt: skip
