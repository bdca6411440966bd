"""Applies v3 events: one transaction applies one or several events of a scope, each exactly once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, cast

from botocore.exceptions import ClientError

from tillbook.ledger.commit import Found, Operation
from tillbook.ledger.items import (
    MOST_BYTES_OF_ORDER,
    ActivityHead,
    EventItem,
    Scope,
    counted_bytes,
    event_name,
    event_of,
    head_of,
)
from tillbook.ledger.writes import Change, EventWrite, Transaction
from tillbook.rules.amounts import ZERO
from tillbook.rules.effects import Effect, effects_in, effects_of, effects_text
from tillbook.rules.identity import Person, order_key
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.order import Event, OrderState, flags_of, fold, place_of, stamp_of, step
from tillbook.rules.packing import pack

# The most events in a transaction. Each writes up to 4 items (event, head, two persons); DynamoDB's limit is 100 items.
MAX_TOGETHER = 16
_TRIES_OF_A_GROUP = 3
ERASED = "erased: received before the erasure of the person"
ORDER_FULL = "order_full: the order has reached the limit of 1,000 events or 4 MB"
KEY_REUSED = "idempotency_key_reused: an event with other content was applied under the same key"


class Activity(NamedTuple):
    """A v3 event that is to be applied to the ledger.

    Attributes:
        event_id: its identity within the order (rules.identity). request_id: id of the request that sent it.
        occurred, received: stamps (rules.times). position: its index in the batch.
        total, refund: in currency units. shipping, billing: match keys of its addresses (rules.addresses.match_key).
        person: None for a voided event (rules.order).
        content_hash: hash of the content if the event has an idempotency key, since events with the same key may
            differ in content; otherwise empty.
        notes: warnings about its body.
    """

    account: str
    provider: str
    order_id: str
    event_id: str
    request_id: str
    occurred: str
    received: str
    position: int
    action: str
    person: Person | None
    body: dict[str, Json]
    total: Decimal | None = None
    refund: Decimal = ZERO
    currency: str = ""
    shipping: str | None = None
    billing: str | None = None
    content_hash: str = ""
    notes: Sequence[str] = ()

    @property
    def stamp(self) -> str:
        return stamp_of(self.occurred, self.received, self.position, self.event_id)

    @property
    def event(self) -> Event:
        person = self.person.id_in(self.account) if self.person else ""
        return Event(
            self.stamp, self.action, person, self.total, self.refund, self.currency, self.shipping, self.billing
        )

    @property
    def order_key(self) -> str:
        return order_key("shopper_activity", self.provider, self.order_id)

    @property
    def name(self) -> str:
        """The sort key of the event's item."""
        return event_name(self.order_key, self.event_id)

    def item(self, scope: Scope) -> EventItem:
        event = self.event
        return EventItem(
            self.request_id,
            self.content_hash,
            event.stamp,
            scope.timeline(event.person),
            event.action,
            event.total,
            event.refund,
            event.currency,
            event.shipping,
            event.billing,
            body=pack(self.body),
            notes=dumps(self.notes) if self.notes else "",
        )


class Result(NamedTuple):
    """The result of an event: `applied`, `duplicate` or `failed` with a reason.

    `original` is the request that wrote the event, if the event was in the ledger already. `state` is the order's state
    if this call applied the event, or gave it the stamp of a copy that was received earlier, otherwise None. `effects`
    are the changes of LTV; `flags` as in rules.order.flags_of.
    """

    status: str
    reason: str = ""
    original: str = ""
    state: OrderState | None = None
    effects: Sequence[Effect] = ()
    flags: Sequence[str] = ()


Erased = Callable[[Activity], bool]  # returns whether an erasure of the event's person removes the event


# ------------------------------------------------------------------ plans


def plan_apply(
    scope: Scope, heads: Mapping[str, ActivityHead], activities: Sequence[Activity], is_erased: Erased
) -> tuple[list[Change], list[Result]]:
    """Plans the writes of new events of one or several orders. `heads` are the orders' heads, by order key.

    Returns a change of each order that has an event to write, and a result of each event. An erased event is written
    without its content, so that it stays erased when it is sent again.
    """
    changes: dict[str, Change] = {}
    results: list[Result] = []
    for activity in activities:
        key, event = activity.order_key, activity.event
        change = changes.get(key) or _empty_change(scope, key, heads.get(key), activity)
        head, item, people = cast(ActivityHead, change.head), activity.item(scope), dict(change.people)
        size = head.bytes + counted_bytes(item.body, len(dumps(activity.body)))
        if size > MOST_BYTES_OF_ORDER:
            results.append(Result("failed", ORDER_FULL))
            continue
        if is_erased(activity):
            item, result = item.emptied(), Result("failed", ERASED)
        else:
            before, after = head.state, step(head.state, event)
            effects = effects_of(before.standing, after.standing)
            flags = flags_of(after, event)
            item = item._replace(effects=effects_text(effects), flags=" ".join(flags))
            # A person whose timeline shows an event must have an item. Only one case needs no write: the standing,
            # which includes its person, is unchanged, and the event names that person, whose item exists already.
            if activity.person and (before.standing != after.standing or event.person != after.person):
                people[event.person] = activity.person
            result = Result("applied", state=after, effects=effects, flags=flags)
            head = head._replace(state=after)
        head, events = head._replace(bytes=size), [*change.events, EventWrite(activity.event_id, item)]
        changes[key] = change._replace(head=head, events=events, people=people)
        results.append(result)
    return list(changes.values()), results


def _empty_change(scope: Scope, order_key: str, seen: ActivityHead | None, activity: Activity) -> Change:
    """Returns a change of the activity's order, still without events."""
    head = seen or ActivityHead("", "")
    named = head._replace(provider=activity.provider, order_id=activity.order_id, writes=head.writes + 1)
    return Change(scope, order_key, seen, named)


def result_of_repeat(stored: EventItem, activity: Activity, *, erased: bool) -> Result | None:
    """Returns the result of an event that is in the ledger already, or None if its item must change (plan_move)."""
    if stored.hash != activity.content_hash:
        return Result("failed", KEY_REUSED, original=stored.request)
    if not stored.stamp:  # it was emptied
        return Result("failed", ERASED)
    if erased or place_of(activity.stamp) < place_of(stored.stamp):
        return None
    if stored.request == activity.request_id:
        return Result(
            "applied", original=stored.request, effects=effects_in(stored.effects), flags=stored.flags.split()
        )
    return Result("duplicate", original=stored.request)


def plan_move(
    scope: Scope,
    head: ActivityHead,
    events: Mapping[str, EventItem],
    stored: EventItem,
    activity: Activity,
    *,
    erased: bool,
) -> tuple[Change, Result]:
    """Plans to give `stored` the stamp of its copy `activity`, which was received earlier (rules.order.place_of).

    If the copy is erased, plans to empty `stored` instead.

    `events` must have been read after `head`. Every write of an event also writes the head, so the condition that the
    head is unchanged guarantees that the events are unchanged, too.
    """
    moved = stored.emptied() if erased else stored._replace(stamp=activity.stamp)
    after = fold(event.event for event in {**events, activity.event_id: moved}.values() if event.stamp)
    if erased:
        result = Result("failed", ERASED)
    else:
        effects, flags = effects_of(head.standing, after.standing), flags_of(after, moved.event)
        result = Result("duplicate", original=stored.request, state=after, effects=effects, flags=flags)
    people = {activity.event.person: activity.person} if activity.person and not erased else {}
    write = EventWrite(activity.event_id, moved, stored)
    return Change(scope, activity.order_key, head, _with_state(head, after), [write], people), result


def plan_empty(
    scope: Scope, order_key: str, head: ActivityHead, events: Mapping[str, EventItem], doomed: Sequence[str]
) -> Change:
    """Plans to empty an erased person's events, whose ids are `doomed`. `events` must be read after `head`."""
    gone = set(doomed)
    after = fold(event.event for event_id, event in events.items() if event.stamp and event_id not in gone)
    writes = [EventWrite(event_id, events[event_id].emptied(), events[event_id]) for event_id in doomed]
    return Change(scope, order_key, head, _with_state(head, after), writes)


def _with_state(head: ActivityHead, state: OrderState) -> ActivityHead:
    return head._replace(writes=head.writes + 1, state=state)


# -------------------------------------------------------------- operations


class Apply(Operation):
    """Applies events of one scope, up to MAX_TOGETHER in a transaction.

    `results` holds the result or the error of each event. Events are numbered by their index in `activities`: `_left`
    are those without a result, `_group` are those of the current transaction. `_most` is the most events of the next
    transaction, `_refused` the number of refused or unanswered transactions since the last written one.
    """

    def __init__(self, scope: Scope, activities: Sequence[Activity], is_erased: Erased):
        self.scope, self.activities, self.is_erased = scope, activities, is_erased
        self.results: list[Result | Exception | None] = [None] * len(activities)
        self._left, self._most, self._refused = list(range(len(activities))), MAX_TOGETHER, 0
        self._group: list[int] = []
        self._planned: list[Result] = []
        self._changes: list[Change] = []
        self._heads: dict[str, ActivityHead] | None = None

    def plan(self, found: Found) -> Transaction | None:
        for number in self._group:
            if stored := found.get(self.activities[number].name):
                self._done(number, self._repeat(self.activities[number], event_of(stored)))
        # The sort keys of events contain `!`, those of heads do not. These heads were changed by another writer.
        raced = {name: cast(ActivityHead, head_of(item)) for name, item in found.items() if "!" not in name}
        self._heads = (self._read_heads() if self._heads is None else self._heads) | raced
        if tried := [number for number in self._group if number in self._left]:
            # After several conflicts each event is tried alone, and the events of this group last, so that an order
            # that many writers change does not delay other orders.
            self._refused += 1
            if self._refused >= _TRIES_OF_A_GROUP:
                self._most = 1
                self._left = [number for number in self._left if number not in tried] + tried
        self._plan_group()
        while self._left and not self._changes:  # every event of the group has a result without a write
            self._plan_group()
        return self.store.transaction(self._changes)

    def _plan_group(self) -> None:
        group: dict[str, int] = {}
        for number in self._left[: self._most]:
            group.setdefault(self.activities[number].name, number)  # a transaction may hold an item only once
        activities = [self.activities[number] for number in group.values()]
        self._changes, planned = plan_apply(self.scope, self._heads or {}, activities, self.is_erased)
        self._group, self._planned = [], []
        for number, result in zip(group.values(), planned, strict=True):
            if result.reason == ORDER_FULL:
                self._done(number, self._result_if_full(result, self.activities[number]))
            else:
                self._group.append(number)
                self._planned.append(result)

    def written(self) -> None:
        for number, result in zip(self._group, self._planned, strict=True):
            self._done(number, result)
        self._heads = {**(self._heads or {}), **{c.order_key: cast(ActivityHead, c.head) for c in self._changes}}
        self._group, self._refused = [], 0

    def failed(self, error: ClientError) -> None:
        """Records the error of a single event. After a larger group, each event is tried alone to find the cause."""
        if len(self._group) == 1:
            self._done(self._group[0], error)
        self._most, self._group = 1, []

    def _done(self, number: int, result: Result | Exception) -> None:
        self.results[number] = result
        self._left.remove(number)

    def _read_heads(self) -> dict[str, ActivityHead]:
        """Reads the orders' heads, except for placed events, since a placed event is usually the first of its order.

        If such an order has a head after all, the failed condition returns it.
        """
        keys = dict.fromkeys(activity.order_key for activity in self.activities if activity.action != "placed")
        return cast(dict[str, ActivityHead], self.store.heads(self.scope, list(keys), self.retries))

    def _result_if_full(self, full: Result, activity: Activity) -> Result:
        """Returns `full`, the result of an event for a full order, unless the order contains the event already."""
        stored = self.store.event(self.scope, activity.order_key, activity.event_id, self.retries)
        return self._repeat(activity, stored) if stored else full

    def _repeat(self, activity: Activity, stored: EventItem) -> Result:
        return self.store.run(Repeat(self.scope, activity, stored, self.is_erased(activity)), self.retries).result


class Repeat(Operation):
    """Handles a copy of an event that is in the ledger already.

    The copy may change the event in two ways: the copy that was received first decides the event's place in the order
    of events, and the event is erased if any of its copies is.
    """

    result: Result

    def __init__(self, scope: Scope, activity: Activity, stored: EventItem, erased: bool):
        self.scope, self.activity, self.erased = scope, activity, erased
        self._stored: EventItem | None = stored
        self._done = False

    def plan(self, found: Found) -> Transaction | None:
        if self._done:
            return None
        place = self.scope, self.activity.order_key
        # No event and no head of a current scope is deleted, so both exist. They are read again if a move is refused.
        stored = self._stored or cast(EventItem, self.store.event(*place, self.activity.event_id, self.retries))
        self._stored = None
        if result := result_of_repeat(stored, self.activity, erased=self.erased):
            self.result = result
            return None
        head = cast(ActivityHead, self.store.head(*place, self.retries))
        events = dict(self.store.events(*place, self.retries, light=True))
        change, self.result = plan_move(self.scope, head, events, stored, self.activity, erased=self.erased)
        return self.store.transaction([change])

    def written(self) -> None:
        self._done = True
