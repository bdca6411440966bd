"""Model of Order Activity: messages with events of one order, after work/processing.py and ledger/activities.py."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from tests.proofs.engine import Began, State, Steps, Turn, moment
from tests.proofs.removals import ACCOUNT, PURGES, RemovalWorld
from tests.proofs.store import Items, Key, Writes, writes_of
from tillbook.ledger.activities import ERASED, KEY_REUSED, Activity, plan_apply, plan_move, result_of_repeat
from tillbook.ledger.items import ActivityHead, EventItem, Scope
from tillbook.records.outcomes import PURGED
from tillbook.rules.identity import Person
from tillbook.rules.order import OrderState, fold


class Sent(NamedTuple):
    """An event of a shop, as one request sends it.

    `event`, `request`: their ids. `by`: None for a voided event. `content`: the content hash, with an idempotency key.
    """

    event: str
    request: str
    by: Person | None
    occurred: int
    total: int | None = None
    refund: int = 0
    action: str = "placed"
    content: str = ""

    def activity(self, received: str) -> Activity:
        return Activity(
            ACCOUNT, "shop", "1", self.event, self.request, moment(self.occurred), received, 0, self.action, self.by,
            {}, None if self.total is None else Decimal(self.total), Decimal(self.refund), content_hash=self.content,
        )  # fmt: skip


class Message(NamedTuple):
    """A message with one event.

    Attributes:
        received: the time of receipt, once it is received.
        began: the marks that the current delivery read.
        erased: whether one of these marks covers the event.
        seen, stored: the head or person, and the event, that the delivery read.
        writes: planned from `seen` and `stored`.
        outcome: the recorded outcome.
        kills, again: how many more deliveries may be killed or repeated.
    """

    sent: Sent
    received: str = ""
    step: str = "send"
    began: Began | None = None
    erased: bool = False
    seen: Any = None
    stored: EventItem | None = None
    writes: Writes = Writes()
    outcome: str = ""
    kills: int = 0
    again: int = 0

    @property
    def person(self) -> str:
        return self.sent.by.id_in(ACCOUNT) if self.sent.by else ""

    @property
    def activity(self) -> Activity:
        return self.sent.activity(self.received)

    def waiting(self, step: str) -> Message:
        """The message in this step, without the data that the last delivery read."""
        return Message(self.sent, self.received, step, outcome=self.outcome, kills=self.kills, again=self.again)

    def finished(self) -> Message:
        return self.waiting("done")


class ActivityWorld(RemovalWorld):
    source = "shopper_activity"

    def __init__(self, rules_left_out: tuple[str, ...]) -> None:
        super().__init__(rules_left_out)
        self._applying, self._moving = cache(_applying), cache(_moving)

    def steps_of(self, turn: Turn) -> Steps:
        if turn.actor.began and turn.actor.kills:
            killed = turn.actor._replace(kills=turn.actor.kills - 1).waiting("queued")
            yield turn.become("the delivery is killed", killed)
        yield from super().steps_of(turn)

    def _send(self, turn: Turn) -> Steps:
        clock = turn.state.clock + 1
        yield turn.at(clock).then("received", step="queued", received=moment(clock))

    def _done(self, turn: Turn) -> Steps:
        yield turn.then("delivered again", step="queued", again=turn.actor.again - 1)

    def _queued(self, turn: Turn) -> Steps:
        """Reads the marks. A `placed` event is applied without reading the head."""
        marks, message = self.marks(turn.items), turn.actor
        if marks.purged(self.source, message.received):
            yield turn.then("purged", step="done", outcome=PURGED)
            return
        erased = marks.erased(message.person, message.received)
        step = "apply" if message.sent.action == "placed" else "head"
        message = message._replace(step=step, began=self.now(turn.items), erased=erased)
        if erased and not self.keeps("erased events keep ids"):
            message = self._ended(message, ERASED)
        yield turn.become("erased" if erased else "current", message)

    def _head(self, turn: Turn) -> Steps:
        step = "others" if turn.actor.stored else "apply"
        yield turn.then("read", step=step, seen=turn.items.head(turn.actor.began.generation))

    def _apply(self, turn: Turn) -> Steps:
        """Applies a new event. If refused, continues from the returned item: the event or another writer's head."""
        message: Message = turn.actor
        scope = self.scope(turn.actor.began)
        planned, outcome = self._applying(message.sent, message.received, scope, message.seen, message.erased)

        def refused(failed: dict[Key, Any]) -> Message:
            if stored := failed.get(Key("event", scope.generation, message.sent.event)):
                return self._repeat(message, stored)
            return message._replace(seen=failed.get(Key("head", scope.generation)) or message.seen)

        written = self._ended(message, outcome)
        yield from self.attempt(turn, planned, written=written, unanswered=message, refused=refused)

    def _ended(self, message: Message, outcome: str) -> Message:
        """The message after its outcome is known. After an erased event, it still has to delete the person, unless the
        person has other data."""
        message = message._replace(outcome=outcome, seen=None, stored=None, writes=Writes())
        forgets = message.erased and self.keeps("delete the person of an erased event")
        return message._replace(step="forget") if forgets else message.waiting("done")

    def _repeat(self, message: Message, stored: EventItem) -> Message:
        activity = message.activity
        if not self.keeps("content under a key"):
            activity = activity._replace(content_hash=stored.hash)
        if result := result_of_repeat(stored, activity, erased=message.erased):
            return self._ended(message, result.reason or result.status)
        if not message.erased and not self.keeps("move to the first receipt"):
            return self._ended(message, "duplicate")
        return message._replace(step="head", seen=None, stored=stored)  # the event must be moved or emptied

    def _event(self, turn: Turn) -> Steps:
        stored = turn.items.events(turn.actor.began.generation)[turn.actor.sent.event]
        yield turn.become("read again", self._repeat(turn.actor, stored))

    def _others(self, turn: Turn) -> Steps:
        """Reads all events, after the head: see ledger.activities.plan_move."""
        message, scope = turn.actor, self.scope(turn.actor.began)
        seen = message.seen, tuple(turn.items.events(scope.generation).items()), message.stored
        planned, outcome = self._moving(message.sent, message.received, scope, *seen, message.erased)
        yield turn.then("read", step="move", seen=None, stored=None, writes=planned, outcome=outcome)

    def _move(self, turn: Turn) -> Steps:
        again, moved = turn.actor._replace(step="event", writes=Writes()), self._ended(turn.actor, turn.actor.outcome)
        yield from self.attempt(turn, turn.actor.writes, written=moved, unanswered=again, refused=lambda failed: again)

    # ------------------------------------------------------------- invariants

    def _wrong_items(self, items: Items) -> str:
        for generation in {key.generation for key in items if key.kind != "mark"}:
            head = items.head(generation)
            state = fold(e.event for e in items.events(generation).values() if e.stamp)
            if (head.state if head else OrderState()) != state:
                return "the head is not computed from the order's events"
        return super()._wrong_items(items)

    def wrong_at_end(self, state: State) -> str:
        """Compares the events with the messages that were not purged: each must be stored as it was first received."""
        messages, marks = [a for a in state.actors if isinstance(a, Message)], self.marks(state.items)
        if problem := self.wrong_removals(state, [message.received for message in messages]):
            return problem
        own = [message for message in messages if not marks.purged(self.source, message.received)]
        events = state.items.events(state.items.mark(PURGES).generation)
        if events.keys() != {message.sent.event for message in own}:
            return "the stored events are not those that were received"
        problems = (
            self._wrong_event(state, event, [m for m in own if m.sent.event == name]) for name, event in events.items()
        )
        return next(filter(None, problems), "")

    def _wrong_event(self, state: State, event: EventItem, messages: list[Message]) -> str:
        copies = [m for m in messages if m.sent.content == event.hash]
        if not copies or any(m.outcome != KEY_REUSED for m in messages if m not in copies):
            return "of two contents under an idempotency key, the second was not refused"
        first = min(copies, key=lambda m: m.received)
        if self.marks(state.items).erased(first.person, first.received):
            return "an erased event is stored" if event.stamp else ""
        if (event.stamp, event.person) != (first.activity.stamp, first.person):
            return "an event is not stored as it was first received"
        outcomes = sorted(m.outcome for m in copies)
        if outcomes == ["applied", *["duplicate"] * (len(copies) - 1)]:
            return ""
        return f"the outcomes of the copies are {outcomes}"


def _applying(sent: Sent, received: str, scope: Scope, head: ActivityHead | None, erased: bool) -> tuple[Writes, str]:
    """The product's plan for a new event: its writes, and the outcome once they are written."""
    activity = sent.activity(received)
    heads = {activity.order_key: head} if head else {}
    (change,), (result,) = plan_apply(scope, heads, [activity], lambda activity: erased)
    return writes_of(change), result.reason or result.status


def _moving(
    sent: Sent, received: str, scope: Scope, head: ActivityHead, events: tuple[tuple[str, EventItem], ...],
    stored: EventItem, erased: bool,
) -> tuple[Writes, str]:  # fmt: skip
    """The product's plan to move or empty the stored event: its writes, and the outcome once they are written."""
    change, result = plan_move(scope, head, dict(events), stored, sent.activity(received), erased=erased)
    return writes_of(change), result.reason or result.status
