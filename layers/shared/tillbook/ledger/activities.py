"""v3 events: one or many of a scope in one transaction, each once, for ever."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, cast

from botocore.exceptions import ClientError

from tillbook.ledger.commit import Found, Operation
from tillbook.ledger.items import ActivityHead, EventItem, Scope, event_name, event_of, head_of
from tillbook.ledger.writes import Change, EventWrite, Transaction
from tillbook.rules.amounts import ZERO
from tillbook.rules.effects import Effect, effects_in, effects_of, effects_of_move, effects_text, moves_text
from tillbook.rules.identity import Person, order_key
from tillbook.rules.json_text import Json
from tillbook.rules.order import Event, OrderState, fold, place_of, stamp_of, step
from tillbook.rules.packing import pack

# Events of a transaction, each with its order's head and at most two persons: DynamoDB takes 100 items.
MAX_TOGETHER = 16
_TRIES_TOGETHER = 3
ERASED = "erased: received before the erasure of the person"
KEY_REUSED = "idempotency_key_reused: another content came first under the same key"


class Activity(NamedTuple):
    """A v3 event on its way into the ledger.

    Attributes:
        event_id: its identity within the order (rules.identity). request_id: of the request that brought it.
        occurred, received: stamps (rules.times). position: in the batch.
        total, refund: currency units. shipping, billing: match keys of its addresses, None where it carries none.
        content_hash: of an event with an idempotency key, whose copies may differ in content.
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
    person: Person
    body: dict[str, Json]
    total: Decimal | None = None
    refund: Decimal = ZERO
    currency: str = ""
    shipping: str | None = None
    billing: str | None = None
    content_hash: str = ""

    @property
    def stamp(self) -> str:
        return stamp_of(self.occurred, self.received, self.position, self.event_id)

    @property
    def event(self) -> Event:
        return Event(
            self.stamp, self.action, self.person.id_in(self.account), self.total, self.refund, self.currency,
            self.shipping, self.billing,
        )  # fmt: skip

    @property
    def order_key(self) -> str:
        return order_key("shopper_activity", self.provider, self.order_id)

    @property
    def name(self) -> str:
        """Sort key of its item."""
        return event_name(self.order_key, self.event_id)

    def item(self, scope: Scope) -> EventItem:
        event = self.event
        return EventItem(
            self.request_id, self.content_hash, event.stamp, scope.timeline(event.person), event.action, event.total,
            event.refund, event.currency, event.shipping, event.billing, body=pack(self.body),
        )  # fmt: skip


class Result(NamedTuple):
    """What became of an event: `applied`, `duplicate` (of the request `original`) or `failed` with a reason.

    `state` is the order's after it; `effects` what it did to the sums; `flags` the order's, as the event left it.
    """

    status: str
    reason: str = ""
    original: str = ""
    state: OrderState | None = None
    effects: Sequence[Effect] = ()
    flags: Sequence[str] = ()


Erased = Callable[[Activity], bool]  # whether an erasure of its person takes it


# ------------------------------------------------------------------ plans


def plan_apply(
    scope: Scope, heads: Mapping[str, ActivityHead], activities: Sequence[Activity], erased: Erased
) -> tuple[list[Change], list[Result]]:
    """New events of any orders. An erased one leaves its identity alone, so that it stays erased when sent again."""
    changes: dict[str, Change] = {}
    results: list[Result] = []
    for activity in activities:
        key, event = activity.order_key, activity.event
        change = changes.get(key) or _unchanged(scope, key, heads.get(key), activity)
        head, item, people = cast(ActivityHead, change.head), activity.item(scope), dict(change.people)
        if erased(activity):
            item, result = item.emptied(), Result("failed", ERASED)
        else:
            before, after = head.state, step(head.state, event)
            effects = effects_of(before.standing if before.events else None, after.standing)
            item = item._replace(effects=effects_text(effects), flags=" ".join(after.flags))
            # Who is moved nothing to becomes known by the activity on their timeline.
            if before.standing != after.standing or event.person != after.person:
                people[event.person] = activity.person
            result = Result("applied", state=after, effects=effects, flags=after.flags)
            head = head._replace(state=after)
        events = [*change.events, EventWrite(activity.event_id, item)]
        changes[key] = change._replace(head=head, events=events, people=people)
        results.append(result)
    return list(changes.values()), results


def _unchanged(scope: Scope, order_key: str, seen: ActivityHead | None, activity: Activity) -> Change:
    state, writes = (seen.state, seen.writes) if seen else (OrderState(), 0)
    return Change(scope, order_key, seen, ActivityHead(activity.provider, activity.order_id, writes + 1, state))


def result_of_repeat(stored: EventItem, activity: Activity, *, erased: bool) -> Result | None:
    """What becomes of an event that is in the ledger already; None if its item has to change (plan_move)."""
    if stored.hash != activity.content_hash:
        return Result("failed", KEY_REUSED, original=stored.request)
    if not stored.stamp:
        return Result("failed", ERASED)
    if erased or place_of(activity.stamp) < place_of(stored.stamp):
        return None
    if stored.request == activity.request_id:
        return Result(
            "applied", original=stored.request, effects=effects_in(stored.effects), flags=stored.flags.split()
        )
    return Result("duplicate", original=stored.request, effects=effects_of_move(stored.moves, activity.request_id))


def plan_move(
    scope: Scope, head: ActivityHead, events: Mapping[str, EventItem], stored: EventItem, activity: Activity, *,
    erased: bool,
) -> tuple[Change, Result]:  # fmt: skip
    """A copy of `stored` that was received before it takes its place; one that is erased empties it.

    `events` must have been read after `head`: every write of an event is one of the head too, so with the head as it
    was read, they are as they were read.
    """
    moved = stored.emptied() if erased else stored._replace(stamp=activity.stamp)
    after = fold(event.event for event in {**events, activity.event_id: moved}.values() if event.stamp)
    effects = effects_of(head.standing, after.standing)
    if erased:
        result = Result("failed", ERASED)
    else:
        if effects:
            moved = moved._replace(moves=moves_text(stored.moves, activity.request_id, effects))
        result = Result("duplicate", original=stored.request, state=after, effects=effects, flags=after.flags)
    people = {} if erased else {activity.event.person: activity.person}
    write = EventWrite(activity.event_id, moved, stored)
    return Change(scope, activity.order_key, head, _with_state(head, after), [write], people), result


def plan_empty(
    scope: Scope, order_key: str, head: ActivityHead, events: Mapping[str, EventItem], doomed: Sequence[str]
) -> Change:
    """Events of an erased person are emptied, by id; `events` as in plan_move."""
    gone = set(doomed)
    after = fold(event.event for event_id, event in events.items() if event.stamp and event_id not in gone)
    writes = [EventWrite(event_id, events[event_id].emptied(), events[event_id]) for event_id in doomed]
    return Change(scope, order_key, head, _with_state(head, after), writes)


def _with_state(head: ActivityHead, state: OrderState) -> ActivityHead:
    return head._replace(writes=head.writes + 1, state=state)


# -------------------------------------------------------------- operations


class Apply(Operation):
    """Applies events of one scope, up to MAX_TOGETHER in a transaction. `results` holds what became of each."""

    def __init__(self, scope: Scope, activities: Sequence[Activity], erased: Erased):
        self.scope, self.activities, self.erased = scope, activities, erased
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
        raced = {name: cast(ActivityHead, head_of(item)) for name, item in found.items() if "!" not in name}
        self._heads = (self._read_heads() if self._heads is None else self._heads) | raced
        if tried := [number for number in self._group if number in self._left]:
            # An order that others are writing all the time holds up nobody: each by itself, in turn.
            self._refused += 1
            if self._refused >= _TRIES_TOGETHER:
                self._most = 1
                self._left = [number for number in self._left if number not in tried] + tried
        group: dict[str, int] = {}
        for number in self._left[: self._most]:
            group.setdefault(self.activities[number].name, number)  # a transaction takes an item once
        self._group = list(group.values())
        activities = [self.activities[number] for number in self._group]
        self._changes, self._planned = plan_apply(self.scope, self._heads, activities, self.erased)
        return self.store.transaction(self._changes)

    def written(self) -> None:
        for number, result in zip(self._group, self._planned, strict=True):
            self._done(number, result)
        self._heads = {**(self._heads or {}), **{c.order_key: cast(ActivityHead, c.head) for c in self._changes}}
        self._group, self._refused = [], 0

    def failed(self, error: ClientError) -> None:
        """One of the group can never be written (an item too large): each by itself shows which."""
        if len(self._group) == 1:
            self._done(self._group[0], error)
        self._most, self._group = 1, []

    def _done(self, number: int, result: Result | Exception) -> None:
        self.results[number] = result
        self._left.remove(number)

    def _read_heads(self) -> dict[str, ActivityHead]:
        """A placed event mostly begins its order: its head is not read, and handed back if there is one."""
        keys = dict.fromkeys(activity.order_key for activity in self.activities if activity.action != "placed")
        return cast(dict[str, ActivityHead], self.store.heads(self.scope, list(keys), self.retries))

    def _repeat(self, activity: Activity, stored: EventItem) -> Result:
        return self.store.run(Repeat(self.scope, activity, stored, self.erased(activity)), self.retries).result


class Repeat(Operation):
    """An event that is in the ledger already. Nothing changes, but that its first receipt decides its place, and that
    it is erased if any of its copies is."""

    result: Result

    def __init__(self, scope: Scope, activity: Activity, stored: EventItem, erased: bool):
        self.scope, self.activity, self.erased = scope, activity, erased
        self._stored: EventItem | None = stored
        self._done = False

    def plan(self, found: Found) -> Transaction | None:
        if self._done:
            return None
        place = self.scope, self.activity.order_key
        # Nothing is deleted in a live scope, so event and head are there. Both are read again where a move is refused.
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
