"""Model of purges and erasures: the request that writes a mark, and the job that deletes what the mark covers.

After records/scopes.py (Scopes.purge, .erase), work/purge.py and ledger/upkeep.py (Empty, Forget).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.proofs.engine import Began, State, Steps, Turn, World, moment
from tests.proofs.store import Items, Key, Sums, Write, Writes, writes_of
from tillbook.ledger import activities, orders, writes
from tillbook.ledger.items import ActivityHead, OrderHead, Scope
from tillbook.ledger.writes import Change
from tillbook.records import scopes
from tillbook.records.scopes import Mark, Marks
from tillbook.rules.identity import Person, Source
from tillbook.rules.order import received_of

ACCOUNT, ORDER = "shop", "the order's key, 22 characters"
ANN, BOB = Person("email", "ann"), Person("email", "bob")
ANN_ID = ANN.id_in(ACCOUNT)  # all erasures are of Ann
PURGES = "purges"  # the name of the mark of purges; the mark of an erasure has the person's id


class Removal(NamedTuple):
    """A purge or an erasure: first its request, then its job.

    Attributes:
        mark: the name of its mark.
        asked: the time of the request.
        cut, sent: the cut of the mark that it writes next, and of the last mark that it sent.
        ended: the time at which the request ended; `killed` if it had no answer.
        failed: the job found no mark that is later than `asked`.
        below: the job of a purge deletes the generations below this one.
        began: the marks that a page of an erasure's job read.
        seen, writes: the item that the job read last, and the writes planned from it.
        kills: how many more times the request may be killed.
    """

    mark: str
    step: str = "ask"
    asked: str = ""
    cut: str = ""
    sent: str = ""
    ended: str = ""
    killed: bool = False
    failed: bool = False
    below: int = 0
    began: Began | None = None
    seen: Any = None
    writes: Writes = Writes()
    kills: int = 0
    again: int = 0

    @property
    def person(self) -> str:
        return self.mark

    @property
    def is_purge(self) -> bool:
        return self.mark == PURGES

    @property
    def key(self) -> Key:
        return Key("mark", 0, self.mark)

    def finished(self) -> Removal:
        return self._replace(step="done", began=None, seen=None)


class RemovalWorld(World):
    """A world of one order of one source, with purges and erasures."""

    source: Source

    def scope(self, began: Began) -> Scope:
        return Scope(ACCOUNT, self.source, began.generation)

    def marks(self, items: Items) -> Marks:
        erased = items.mark(ANN_ID).cut
        return Marks(ACCOUNT, {self.source: items.mark(PURGES)}, {ANN_ID: erased} if erased else {})

    def now(self, items: Items) -> Began:
        return Began(items.mark(PURGES).generation, items.mark(ANN_ID).cut)

    # --------------------------------------------------------------- request

    def _ask(self, turn: Turn) -> Steps:
        yield turn.become("asked", self._with_cut(turn, asked=moment(turn.state.clock)))

    def _with_cut(self, turn: Turn, **changes: Any) -> Removal:
        """The removal in the step that writes a mark, with a later cut than before."""
        removal: Removal = turn.actor
        cut = max(turn.state.clock, int(removal.cut or 0)) + self.keeps("commit wait")
        return removal._replace(step="mark", cut=moment(cut), sent=removal.cut, **changes)

    def _mark(self, turn: Turn) -> Steps:
        """Writes the mark, and again with a later cut if it was not acknowledged before its cut."""
        removal, again = turn.actor, self._with_cut(turn)
        in_time = moment(turn.state.clock) < removal.cut or not self.keeps("commit wait")
        write = Write(removal.key, scopes.CUT_IS_LATER, removal.cut, mark=Mark(int(removal.is_purge), removal.cut))
        yield from self._killed(turn)
        yield from self.attempt(
            turn, Writes([write]), written=removal._replace(step="answer", sent=removal.cut) if in_time else again,
            unanswered=again, refused=lambda failed: again,
        )  # fmt: skip

    def _answer(self, turn: Turn) -> Steps:
        """Answers when the cut has passed. A purge records its answer; the write is refused if a later purge did so."""
        removal, clock = turn.actor, max(turn.state.clock, int(turn.actor.cut))
        answered = removal._replace(step="job", ended=removal.ended or moment(clock))
        write = Write(removal.key, scopes.ANSWER_IS_LATER, removal.cut, mark=Mark(answered=removal.cut))
        yield from self._killed(turn)
        if not removal.is_purge:
            yield turn.at(clock).become("answered", answered)
            return
        yield from self.attempt(
            turn.at(clock), Writes([write]), written=answered, unanswered=removal, refused=lambda failed: answered
        )

    def _killed(self, turn: Turn) -> Steps:
        if turn.actor.kills:
            yield turn.then("killed", step="job", ended=moment(turn.state.clock), killed=True, kills=0)

    # ------------------------------------------------------------------- job

    def _job(self, turn: Turn) -> Steps:
        """Waits until every actor from before the newest mark has ended. Repeats a purge that was not answered."""
        removal, mark = turn.actor, turn.items.mark(turn.actor.mark)
        generation = mark.generation if self.keeps("newest mark") else mark.swept + 1
        if self.keeps("settle") and self._being_written(turn, mark):
            return
        if mark.cut < removal.asked:
            failed = removal._replace(step="done", failed=True)
            yield turn.become(
                "no mark", failed if self.keeps("fail without a mark") else self._with_cut(turn, failed=True)
            )
        elif not removal.is_purge and self.settled(turn.state, cut=mark.cut):
            yield turn.then("begins", step="walk", began=self.now(turn.items))
        elif removal.is_purge and self.settled(turn.state, generation):
            if mark.answered < mark.cut and self.keeps("repeat the purge"):
                yield turn.become("repeats the purge", self._with_cut(turn))
            else:
                yield turn.then("begins", step="sweep", below=mark.generation)

    def _being_written(self, turn: Turn, mark: Mark) -> bool:
        """Whether the request may still write the mark, or the request that wrote the newest mark has not ended."""
        alike = [removal for removal in _removals(turn.state) if removal.mark == turn.actor.mark]
        writing = [removal for removal in alike if removal.step in ("mark", "answer")]
        on_its_way = any(late.actor == turn.number for late in turn.state.late)
        return on_its_way or any(other.sent == mark.cut for other in writing if other.sent)

    def _sweep(self, turn: Turn) -> Steps:
        mark = turn.items.mark(PURGES)
        below = turn.actor.below if self.keeps("read the mark once") else mark.generation
        purged = range(mark.swept, below)
        rest = {key: item for key, item in turn.items.items() if key.kind == "mark" or key.generation not in purged}
        rest[turn.actor.key] = mark._replace(swept=below)
        what, state = turn.then("swept", step="done")
        yield what, state._replace(items=Items(rest))

    def _walk(self, turn: Turn) -> Steps:
        """Reads the timeline of the person, then the head of the order that it lists."""
        if self._doomed(turn):
            yield turn.then("finds an event", step="events", seen=turn.items.head(turn.actor.began.generation))
        else:
            yield turn.then("finds nothing", step="forget")

    def _doomed(self, turn: Turn) -> list[str]:
        """Ids of the events that the erasure must empty."""
        generation, cut = turn.actor.began
        events = turn.items.events(generation).items()
        return [n for n, event in events if event.person == turn.actor.mark and received_of(event.stamp) <= cut]

    def _events(self, turn: Turn) -> Steps:
        """Reads the events after the head, and plans from both what to empty."""
        scope, head, doomed = self.scope(turn.actor.began), turn.actor.seen, self._doomed(turn)
        if not doomed:
            yield turn.then("nothing left", step="walk", seen=None)
            return
        plan = activities.plan_empty if isinstance(head, ActivityHead) else orders.plan_empty
        change = plan(scope, ORDER, head, turn.items.events(scope.generation), doomed)
        yield turn.then("read", step="empty", seen=None, writes=self._emptying(change))

    def _emptying(self, change: Change) -> Writes:
        head, seen = change.head, change.seen
        if seen and not self.keeps("emptying is a write"):
            head = head._replace(writes=seen.writes)
        if isinstance(head, OrderHead) and isinstance(seen, OrderHead) and not head.deleted:
            head = head if self.keeps("remove the digest") else head._replace(digest=seen.digest)
        stays = {"event": self.keeps("events stay"), "head": self.keeps("heads stay") or head.standing, "person": True}
        planned = writes_of(change._replace(head=head))
        return Writes(write if stays[write.key.kind] else write._replace(item=None) for write in planned)

    def _empty(self, turn: Turn) -> Steps:
        walk = turn.actor._replace(step="walk", writes=Writes())
        yield from self.attempt(turn, turn.actor.writes, written=walk, unanswered=walk, refused=lambda failed: walk)

    # ---------------------------------------- deletion of a person without orders

    def _forget(self, turn: Turn) -> Steps:
        person = turn.items.people(turn.actor.began.generation).get(turn.actor.person)
        if person is None or person.orders:
            yield turn.become("stays", turn.actor.finished())
        else:
            yield turn.then("has no orders", step="timeline", seen=person)

    def _timeline(self, turn: Turn) -> Steps:
        """Looks for events of the person. Without the rule, it trusts an index, which may miss them."""
        events = turn.items.events(turn.actor.began.generation).values()
        has_events = any(event.person == turn.actor.person for event in events)
        if has_events:
            yield turn.become("stays", turn.actor.finished())
        if not has_events or not self.keeps("items, not the index"):
            yield turn.then("finds nothing", step="delete")

    def _delete(self, turn: Turn) -> Steps:
        key = Key("person", turn.actor.began.generation, turn.actor.person)
        again = turn.actor._replace(step="forget", seen=None)
        yield from self.attempt(
            turn, Writes([Write(key, writes.PERSON_AS_READ, turn.actor.seen.token)]), written=turn.actor.finished(),
            unanswered=again, refused=lambda failed: again,
        )  # fmt: skip

    # ------------------------------------------------------------- invariants

    def _wrong_items(self, items: Items) -> str:
        for generation in {key.generation for key in items if key.kind != "mark"}:
            head, people = items.head(generation), dict(items.people(generation))
            standing = head.standing if head else None
            if standing and people.pop(standing.person, Sums())[1:] != (standing.amount, 1):
                return "LTV is not the sum over orders"
            if any(person.contribution or person.orders for person in people.values()):
                return "LTV is not the sum over orders"
        return ""

    def wrong_removals(self, state: State, received: list[str]) -> str:
        """Checks that marks cover the right requests, and that covered items are deleted. `received`: all receipts."""
        for name in {removal.mark for removal in _removals(state)}:
            own, cut = [removal for removal in _removals(state) if removal.mark == name], state.items.mark(name).cut
            if any(cut < removal.asked for removal in own if not removal.failed):
                return "a removal succeeded without a mark"
            # An unanswered purge also covers requests that are received until its job repeats it.
            unanswered = any(removal.killed and not removal.failed for removal in own)
            if not unanswered and any(max(r.ended for r in own) < moment <= cut for moment in received):
                return "a request is covered that was received after the removal"
        current = state.items.mark(PURGES).generation
        if any(key.generation != current for key in state.items if key.kind != "mark"):
            return "an item remains in a purged scope"
        if {event.person for event in state.items.events(current).values()} - {""} != state.items.people(
            current
        ).keys():
            return "the stored persons are not those with events"
        return ""


def _removals(state: State) -> list[Removal]:
    return [actor for actor in state.actors if isinstance(actor, Removal)]
