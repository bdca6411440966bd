"""Model of the Orders API: calls about one order, after web/orders.py and ledger/orders.py."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple, cast

from tests.proofs.engine import Began, State, Steps, Turn, moment
from tests.proofs.removals import ACCOUNT, ANN_ID, ORDER, PURGES, RemovalWorld
from tests.proofs.store import Key, Writes, writes_of
from tillbook.ledger.commit import Retries, Store
from tillbook.ledger.items import EventItem, OrderHead, Scope, version_name
from tillbook.ledger.orders import Delete, Document, Edit, Submit, V1Request, written_version
from tillbook.ledger.writes import Change
from tillbook.rules.errors import Conflict, NotFound, Problem, Unavailable
from tillbook.rules.identity import Person
from tillbook.rules.json_text import Json
from tillbook.rules.order import received_of
from tillbook.rules.packing import unpack

_STATUS: dict[type[Problem], int] = {Conflict: 409, NotFound: 404, Unavailable: 503}
_RETRIES = cast(Retries, None)  # _Read, which replaces the store, makes no retries
Versions = tuple[tuple[str, EventItem], ...]


class Asked(NamedTuple):
    """A request of a client.

    `action`: submitted, edited or deleted. `request`: its id. `by`: None in an edit that keeps the person.
    """

    action: str
    request: str
    by: Person | None = None
    total: int = 0

    def document(self, by: Person) -> Document:
        return Document("1", {"person": list(by), "total": str(self.total)}, moment(0), by, total=Decimal(self.total))

    def revise(self, body: dict[str, Json]) -> Document:
        return self.document(self.by or Person(*body["person"]))

    def operation(self, request: V1Request) -> Submit | Edit | Delete:
        if self.action == "submitted" and self.by:
            return Submit(request, self.document(self.by), self.request, f"{self.by} {self.total}")
        return Edit(request, "1", self.revise) if self.action == "edited" else Delete(request, "1")


class Call(NamedTuple):
    """A call of the Orders API.

    Attributes:
        received: the time of receipt, once it is received.
        began: the marks that the function read.
        seen: the head that the call read, if `has_seen`.
        cut: the cut of Ann's erasure, once it is read.
        unanswered: whether an unanswered try may have been written.
        writes: planned from the items that the call read.
        tries: pairs of the version that a try was to write, and the internal id of the order.
        status, order: HTTP status (0 without an answer) and internal order id of the answer.
    """

    asked: Asked
    received: str = ""
    step: str = "send"
    began: Began | None = None
    seen: OrderHead | None = None
    has_seen: bool = False
    cut: str | None = None
    unanswered: bool = False
    writes: Writes = Writes()
    tries: tuple[tuple[str, str], ...] = ()
    status: int = 0
    order: str = ""
    again: int = 0

    @property
    def success(self) -> int:
        return 201 if self.asked.action == "submitted" else 200

    def answered(self, status: int, order: str = "") -> Call:
        return Call(self.asked, self.received, "done", status=status, order=order)

    def written(self, version: str) -> Call:
        return self.answered(self.success, dict(self.tries)[version])


class OrderWorld(RemovalWorld):
    source = "orders_api"

    def __init__(self, rules_left_out: tuple[str, ...]) -> None:
        super().__init__(rules_left_out)
        self._plan = cache(self._planned)

    def steps_of(self, turn: Turn) -> Steps:
        if isinstance(turn.actor, Call) and turn.actor.unanswered:
            yield turn.become("out of time", turn.actor.answered(0))
        yield from super().steps_of(turn)

    def _send(self, turn: Turn) -> Steps:
        clock = turn.state.clock + 1
        yield turn.at(clock).then("received", step="marks", received=moment(clock))

    def _marks(self, turn: Turn) -> Steps:
        purged = self.marks(turn.items).purged(self.source, turn.actor.received)
        if purged and self.keeps("refused by a purge"):
            yield turn.become("503", turn.actor.answered(503))
        else:
            yield turn.then("current", step="head", began=self.now(turn.items))

    def _head(self, turn: Turn) -> Steps:
        call = turn.actor._replace(seen=turn.items.head(turn.actor.began.generation), has_seen=True)
        look = call.unanswered and self.keeps("head before own version")
        yield turn.become("read", call._replace(step="look") if look else self._after_head(call))

    def _look(self, turn: Turn) -> Steps:
        """Looks for the version that an unanswered try of this call may have written."""
        call = turn.actor
        mine = self._own_version(turn.state, call, self.scope(call.began))
        if mine and self.keeps("look for own version"):
            yield turn.become("already written", call.written(mine))
        else:
            yield turn.become("not found", self._after_head(call) if call.has_seen else call._replace(step="head"))

    def _own_version(self, state: State, call: Call, scope: Scope) -> str:
        versions = state.items.events(scope.generation)
        if not self.keeps("skip emptied versions"):
            # Without the rule, an emptied version looks like one that was received before all calls, and so ends the
            # search, which begins with the newest version.
            versions = {name: e if e.stamp else e._replace(stamp=moment(0) * 3) for name, e in versions.items()}
        read = cast(Store, _Read(tuple(versions.items())))
        mine = written_version(read, scope, ORDER, call.asked.request, call.received, _RETRIES)
        return mine[0] if mine else ""

    def _after_head(self, call: Call) -> Call:
        """The call in the step after it read the head: `people`, if the head or the request names Ann and the call has
        not read the cut of her erasure yet; else `version`."""
        people = {call.seen.person if call.seen else "", call.asked.by.id_in(ACCOUNT) if call.asked.by else ""}
        return call._replace(step="people" if ANN_ID in people and call.cut is None else "version")

    def _people(self, turn: Turn) -> Steps:
        yield turn.then("read", step="version", cut=turn.items.mark(ANN_ID).cut)

    def _version(self, turn: Turn) -> Steps:
        """Reads the current or the submitted version, and plans the writes."""
        call, versions = turn.actor, tuple(turn.items.events(turn.actor.began.generation).items())
        # Without the rule, a cut only refuses calls that were received up to it; it hides no order from later calls.
        cut = call.cut if call.cut and (self.keeps("erased orders do not exist") or call.received <= call.cut) else ""
        planned, status, order = self._plan(call.asked, call.received, self.scope(call.began), call.seen, cut, versions)
        if planned:
            tries = tuple(sorted({**dict(call.tries), _version_in(planned): order}.items()))
            yield turn.then("planned", step="write", writes=planned, tries=tries)
        else:
            yield turn.become(str(status), call.answered(status, order))

    def _planned(
        self, asked: Asked, received: str, scope: Scope, head: OrderHead | None, cut: str, versions: Versions
    ) -> tuple[Writes, int, str]:
        """The plan of the product's code: writes or none, the status, and the internal id of the order."""
        cuts = {ANN_ID: cut} if cut else {}
        operation = asked.operation(V1Request(scope, asked.request, received, lambda people: cuts))
        operation.key, operation.store, operation.retries = ORDER, cast(Store, _Read(versions)), _RETRIES
        try:
            change = operation.change(head)
        except Problem as problem:
            if isinstance(problem, Unavailable) and not self.keeps("refused by an erasure"):
                return self._planned(asked, received, scope, head, "", versions)
            return Writes(), _STATUS[type(problem)], ""
        if change and not self.keeps("monotone receipts"):
            change = _as_received(change, received)
        status = 201 if asked.action == "submitted" else 200
        return writes_of(change) if change else Writes(), status, operation.answer.id

    def _write(self, turn: Turn) -> Steps:
        """A refused write returns the current head. After an unanswered write, the call looks for its version."""
        call, step = turn.actor, "head" if self.keeps("head before own version") else "look"
        again = call._replace(writes=Writes(), seen=None, has_seen=False, step="head")

        def refused(failed: dict[Key, Any]) -> Call:
            seen = again._replace(seen=failed.get(Key("head", call.began.generation)), has_seen=True)
            return seen._replace(step="look") if call.unanswered else self._after_head(seen)

        yield from self.attempt(
            turn, call.writes, written=call.written(_version_in(call.writes)), refused=refused,
            unanswered=again._replace(step=step, unanswered=True),
        )  # fmt: skip

    # ------------------------------------------------------------- invariants

    def wrong_at_end(self, state: State) -> str:
        calls = [actor for actor in state.actors if isinstance(actor, Call)]
        generation = state.items.mark(PURGES).generation
        versions, head = state.items.events(generation), state.items.head(generation)
        problem = self.wrong_removals(state, [call.received for call in calls])
        if problem := problem or self._wrong_head(state, head, versions) or _wrong_order(list(versions.values())):
            return problem
        return next(filter(None, (self._wrong_call(state, call, versions) for call in calls)), "")

    def _wrong_head(self, state: State, head: OrderHead | None, versions: dict[str, EventItem]) -> str:
        if [*versions] != [version_name(n + 1) for n in range(head.version if head else 0)]:
            return "versions are not numbered one by one"
        marks = self.marks(state.items)
        if any(event.stamp and marks.erased(event.person, received_of(event.stamp)) for event in versions.values()):
            return "an event of an erased person is not emptied"
        if head is None:
            return ""
        newest = versions[version_name(head.version)]
        current = None if newest.action in ("deleted", "") else (newest.person, unpack(newest.body)["total"])
        if current != (None if head.deleted else (head.person, str(head.contribution))):
            return "the head does not follow from the newest version"
        if head.digest and not versions[version_name(head.born)].stamp:
            return "the head has the digest of a submission that was erased"
        return ""

    def _wrong_call(self, state: State, call: Call, versions: dict[str, EventItem]) -> str:
        asked, marks = call.asked, self.marks(state.items)
        mine = [name for name, event in versions.items() if event.request == asked.request]
        found = self._own_version(state, call, self.scope(self.now(state.items)))
        purged = marks.purged(self.source, call.received)
        if mine and purged:
            return "a version is stored that was received before a purge"
        if mine != ([found] if found else []):
            return "a call wrote two versions, or does not find the version that it wrote"
        if call.status in (404, 409) and mine:
            return "a call was refused, but wrote a version"
        if call.status not in (200, 201) or purged:
            return ""
        # The internal id of an order is the id of the request that submitted it.
        submission = [name for name, event in versions.items() if event.request == (call.order or asked.request)]
        if not submission or (asked.action != "submitted" and not mine):
            return "the version of a successful call is not stored"
        erased = asked.action == "submitted" and not versions[submission[0]].stamp
        if erased and not marks.erased(ANN_ID, call.received):
            return "an order was erased, although it was submitted after the erasure"
        return ""


def _wrong_order(versions: list[EventItem]) -> str:
    """Checks that each version can follow the previous one, unless either is emptied."""
    for before, event in zip([None, *versions], versions, strict=False):
        if event.action == "submitted" and before and before.action in ("submitted", "edited"):
            return "an order was submitted although it existed"
        if event.action in ("edited", "deleted") and (before is None or before.action == "deleted"):
            return "an order was changed although it did not exist"
    return ""


def _version_in(writes: Writes) -> str:
    return next(write.key.name for write in writes if write.key.kind == "event")


def _as_received(change: Change, received: str) -> Change:
    """The change with the call's own receipt, even if the previous version has a later one."""
    (write,) = change.events
    event = write.event._replace(stamp=write.event.stamp[:20] + received + write.event.stamp[40:])
    head = cast(OrderHead, change.head)._replace(received=received)
    return change._replace(head=head, events=[write._replace(event=event)])


class _Read(NamedTuple):
    """Replaces the ledger's Store: reads from the versions of the order that a call has read."""

    versions: Versions

    def event(self, scope: Scope, order_key: str, event_id: str, retries: Retries) -> EventItem | None:
        return dict(self.versions).get(event_id)

    def events(self, scope: Scope, order_key: str, retries: Retries, **options: Any) -> Versions:
        assert options["ScanIndexForward"] is False
        return self.versions[::-1]
