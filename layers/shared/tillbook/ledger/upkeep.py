"""Maintenance of the ledger: erases a person from an order, deletes a person without orders, computes an order's head
again from its events, and deletes purged scopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tillbook.aws.items import Item, Raw, plain_item, raw
from tillbook.ledger import activities, orders
from tillbook.ledger.commit import Found, Operation, Retries, Store
from tillbook.ledger.items import (
    HEAD_ATTRIBUTES,
    TIMELINE,
    ActivityHead,
    EventItem,
    Head,
    OrderHead,
    Scope,
    head_of,
    person_of,
    version_name,
)
from tillbook.ledger.orders import Document
from tillbook.ledger.writes import Change, EventWrite, Transaction, forget_person
from tillbook.rules.addresses import match_keys
from tillbook.rules.json_text import Json
from tillbook.rules.order import fold, received_of
from tillbook.rules.packing import unpack

MOST_EVENTS = 90  # in a transaction; DynamoDB's limit is 100 items
MOST_BYTES = 3_000_000  # of bodies in a transaction; DynamoDB's limit is 4 MB
DocumentOf = Callable[[dict[str, Json]], Document]


class Empty(Operation):
    """Empties those events of an order that name a person and were received up to `cut` (a stamp).

    The order is read once, and again after a transaction that was not written. `may_go_on` is called before each
    transaction. `through` is True if no such event is left.
    """

    def __init__(self, scope: Scope, order_key: str, person: str, cut: str, may_go_on: Callable[[], bool]):
        self.scope, self.key, self.person, self.cut, self.may_go_on = scope, order_key, person, cut, may_go_on
        self.emptied, self.through = 0, False
        self._head: Head | None = None
        self._events: dict[str, EventItem] = {}
        self._change: Change | None = None
        self._is_current = False  # whether _head and _events are the stored ones

    def plan(self, found: Found) -> Transaction | None:
        if not self._is_current:  # at the first call, or if the planned transaction was not written
            self._head = self.store.head(self.scope, self.key, self.retries)
            self._events = dict(self.store.events(self.scope, self.key, self.retries, light=True))
        doomed = [i for i, e in self._events.items() if e.person == self.person and received_of(e.stamp) <= self.cut]
        self.through = self._head is None or not doomed
        if self._head is None or not doomed or not self.may_go_on():
            return None
        head, doomed, self._is_current = self._head, doomed[:MOST_EVENTS], False
        self._change = (
            activities.plan_empty(self.scope, self.key, head, self._events, doomed)
            if isinstance(head, ActivityHead)
            else orders.plan_empty(self.scope, self.key, head, self._events, doomed)
        )
        return self.store.transaction([self._change])

    def written(self) -> None:
        if self._change is not None:
            self.emptied += len(self._change.events)
            self._events |= {write.event_id: write.event for write in self._change.events}
            self._head, self._is_current = self._change.head, True


class Forget(Operation):
    """Deletes a person who has no orders and no activities. `result` is True if the person no longer exists."""

    def __init__(self, scope: Scope, person: str):
        self.scope, self.person, self.result = scope, person, False

    def plan(self, found: Found) -> Transaction | None:
        item = None if self.result else self.store.get(self.scope.person_key(self.person), self.retries)
        self.result = item is None
        if item is None or person_of(item).orders or self._has_activity():
            return None
        return Transaction([], [forget_person(self.store.table, self.scope, self.person, person_of(item))])

    def written(self) -> None:
        self.result = True

    def _has_activity(self) -> bool:
        # The index is slightly behind the table, so it may list events that are emptied already.
        timeline = self.scope.timeline(self.person)
        arguments: dict[str, Any] = {
            "TableName": self.store.table, "IndexName": TIMELINE, "Limit": 25,
            "KeyConditionExpression": "timeline = :person", "ExpressionAttributeValues": raw({":person": timeline}),
        }  # fmt: skip
        for listed in self.store.query(self.retries, arguments):
            item = self.store.get({"pk": listed["pk"], "sk": listed["sk"]}, self.retries) or {}
            if item.get("timeline") == timeline:
                return True
        return False


class Rebuild(Operation):
    """Computes an order's head and match keys again from its events, and writes them if they differ.

    `changed` is True if something was written. Usually nothing differs: a rebuild corrects what an older version of
    this code wrote.
    """

    def __init__(self, scope: Scope, order_key: str, document_of: DocumentOf):
        self.scope, self.key, self.document_of, self.changed = scope, order_key, document_of, False

    def plan(self, found: Found) -> Transaction | None:
        item = self.store.get(self.scope.head_key(self.key), self.retries)
        if item is None:
            return None
        head = head_of(item)
        change = self._activities(head) if isinstance(head, ActivityHead) else self._order(head)
        if change is None:
            return None
        # Both heads are compared in the form that DynamoDB returns: it returns 10.0 as 10.
        fresh = plain_item(raw(change.head.item(self.scope, self.key))) | {"writes": item["writes"]}
        same = fresh == {name: value for name, value in item.items() if name in HEAD_ATTRIBUTES}
        return None if same and not change.events else self.store.transaction([change])

    def written(self) -> None:
        self.changed = True

    def _order(self, head: OrderHead) -> Change | None:
        version = self.store.event(self.scope, self.key, version_name(head.version), self.retries)
        if head.deleted or version is None or not version.body:
            return None
        fresh = orders.head_for(self.scope, self.document_of(unpack(version.body)), head)
        return Change(self.scope, self.key, head, fresh._replace(writes=head.writes + 1))

    def _activities(self, head: ActivityHead) -> Change:
        events = {i: e for i, e in self.store.events(self.scope, self.key, self.retries) if e.stamp}
        renewed = {event_id: _with_match_keys(event) for event_id, event in events.items()}
        state = fold(event.event for event in renewed.values())
        writes = [EventWrite(i, new, events[i]) for i, new in renewed.items() if new != events[i]]
        fitting = _fitting(writes)
        # If the changed events take several transactions, the new state is written with the last of them.
        fresh = head._replace(state=state) if len(fitting) == len(writes) else head
        return Change(self.scope, self.key, head, fresh._replace(writes=head.writes + 1), fitting)


def _fitting(writes: list[EventWrite]) -> list[EventWrite]:
    """Returns the longest prefix of `writes` that fits one transaction, with at least one write if there is any."""
    size = 0
    for index, write in enumerate(writes[:MOST_EVENTS]):
        size += len(write.event.body)
        if index and size > MOST_BYTES:
            return writes[:index]
    return writes[:MOST_EVENTS]


def _with_match_keys(event: EventItem) -> EventItem:
    body = unpack(event.body)
    shipping, billing = match_keys(body.get("shipping_address"), body.get("billing_address"))
    return event._replace(shipping=shipping, billing=billing)


def sweep(store: Store, partition: str, may_go_on: Callable[[], bool], retries: Retries) -> tuple[int, bool]:
    """Deletes the items of a partition of a purged scope, to which nothing is written any more.

    Returns the number of deleted items, and whether none is left.
    """
    arguments: dict[str, Any] = {
        "TableName": store.table, "KeyConditionExpression": "pk = :pk", "ProjectionExpression": "pk, sk",
        "ExpressionAttributeValues": raw({":pk": partition}), "Limit": 500,
    }  # fmt: skip
    deleted = 0
    keys: list[Item] = []
    for key in store.query(retries, arguments):
        keys.append(key)
        if len(keys) == 25:
            _delete(store, keys, retries)
            deleted, keys = deleted + len(keys), []
            if not may_go_on():
                return deleted, False
    _delete(store, keys, retries)
    return deleted + len(keys), True


def _delete(store: Store, keys: list[Item], retries: Retries) -> None:
    left: list[dict[str, Raw]] = [{"DeleteRequest": {"Key": raw(key)}} for key in keys]
    while left:
        answer = store.read(retries, store.client.batch_write_item, RequestItems={store.table: left})
        left = answer.get("UnprocessedItems", {}).get(store.table, [])
        if left:
            retries.wait()
