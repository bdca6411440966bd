"""v1 orders: each submission, edit and deletion writes a version of its order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, cast

from tillbook.ledger.commit import Found, Operation, Retries, Store
from tillbook.ledger.items import (
    MOST_BYTES_OF_ORDER,
    EventItem,
    OrderHead,
    Scope,
    counted_bytes,
    head_of,
    version_name,
)
from tillbook.ledger.writes import Change, EventWrite, Transaction
from tillbook.rules.amounts import ZERO
from tillbook.rules.effects import effects_of, effects_text
from tillbook.rules.errors import Conflict, NotFound, Unavailable
from tillbook.rules.identity import Person, order_key
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.order import NO_RECORDS, AudienceRecords, Standing, received_of, stamp_of
from tillbook.rules.packing import pack, unpack

ORDER_FULL = "order_full: this order_id has reached the limit of 1,000 versions or 4 MB."
# The fields of a deleted order that the timeline shows. The version before the deletion has the body.
_OUTLINE = ("order_id", "currency", "total", "order_date")


class Document(NamedTuple):
    """One version of a v1 order: the normalised body, its person, and the total that counts towards their LTV."""

    order_id: str
    body: dict[str, Json]
    occurred: str
    person: Person | None = None
    currency: str = "USD"
    total: Decimal = ZERO
    customer: AudienceRecords = NO_RECORDS


class V1Order(NamedTuple):
    """Our own id of an order, and its body. `changed` is False if the call wrote nothing."""

    id: str
    body: dict[str, Json]
    changed: bool = True


class V1Request(NamedTuple):
    """The request that writes a version.

    Attributes:
        scope: the scope that is current, read after `received` (a stamp). id: of the request.
        cuts: reads the cuts of erasures of people (our own ids), after `received`. A version that names a person and
            was received up to their cut is erased; "" is no cut.
        notes: warnings about the body, kept with the version.
    """

    scope: Scope
    id: str
    received: str
    cuts: Callable[[set[str]], Mapping[str, str]]
    notes: Sequence[str] = ()


# ------------------------------------------------------------------ plans


def plan_version(
    request: V1Request,
    key: str,
    seen: OrderHead | None,
    head: OrderHead,
    action: str,
    body: dict[str, Json],
    *,
    named: OrderHead,
    person: Person | None,
    occurred: str,
    before: Standing | None,
) -> Change:
    """Plans the next version of an order.

    `head` is the order's next head, without its counts and receipt; `named` is the head that gives the timeline and
    the id for the version; `person` becomes known. `before` is the contribution of the version before. A version
    counts as received no earlier than the version before, so an erasure always removes the first versions of an order.
    """
    received = max(request.received, seen.received if seen else "")
    version = seen.version + 1 if seen else 1
    packed = pack(body)
    size = (seen.bytes if seen else 0) + counted_bytes(packed, len(dumps(body)))
    head = head._replace(writes=seen.writes + 1 if seen else 1, bytes=size, version=version, received=received)
    name = version_name(version)
    event = EventItem(
        request.id,
        stamp=stamp_of(occurred, received, 0, f"{key}{name}"),
        timeline=request.scope.timeline(named.person),
        action=action,
        id=named.id,
        body=packed,
        notes=dumps(request.notes) if request.notes else "",
        effects=effects_text(effects_of(before, head.standing)),
    )
    return Change(request.scope, key, seen, head, [EventWrite(name, event)], {head.person: person} if person else {})


def head_for(scope: Scope, document: Document, head: OrderHead) -> OrderHead:
    """`head` with the values of a document."""
    return head._replace(
        order_id=document.order_id,
        ordered_at=document.occurred,
        currency=document.currency,
        person=document.person.id_in(scope.account) if document.person else "",
        contribution=document.total,
        customer=document.customer,
    )


def plan_empty(
    scope: Scope, key: str, head: OrderHead, events: Mapping[str, EventItem], doomed: Sequence[str]
) -> Change:
    """Plans the emptying of an erased person's versions, whose names are `doomed`.

    If the newest version is among them, the order is deleted. If the submission is, its digest is removed, too, since
    the submitted content is no longer known.
    """
    after = head._replace(writes=head.writes + 1)
    if version_name(head.version) in doomed:
        after = gone(after)
    elif version_name(head.born) in doomed:
        after = after._replace(digest="")
    writes = [EventWrite(name, events[name].emptied(), events[name]) for name in doomed]
    return Change(scope, key, head, after, writes)


def gone(head: OrderHead) -> OrderHead:
    """The head of a deleted order. It keeps the counts, so that a later order under the same id is a new one."""
    return OrderHead(writes=head.writes, bytes=head.bytes, version=head.version, received=head.received, deleted=True)


# -------------------------------------------------------------- operations


class _Write(Operation):
    """A call of the Orders API, and its `answer`.

    After a try without an answer, the call looks for its own version. The result is reliable: a current scope deletes
    nothing, and if the version is not there, the late try is refused as soon as another write is made.
    """

    answer: V1Order

    def __init__(self, request: V1Request, order_id: str):
        self.request, self.scope, self.order_id = request, request.scope, order_id
        self.key = order_key("orders_api", "", order_id)
        self._answers: dict[str, V1Order] = {}  # by the version that each try planned to write
        self._version = ""  # the version of the last try
        self._done = False

    def plan(self, found: Found) -> Transaction | None:
        if self._done:
            return None
        item = found.get(self.key)
        head = head_of(item) if item else self.store.head(self.scope, self.key, self.retries)
        if self.unanswered:  # after the head was read: a try that arrives later fails the head's condition
            sent = self.request.id, self.request.received
            mine = written_version(self.store, self.scope, self.key, *sent, self.retries)
            if mine is not None:
                self._version = mine[0]
                self.written()
                return None
        change = self.change(cast(OrderHead | None, head))
        if change is None:
            return None
        if change.head.bytes > MOST_BYTES_OF_ORDER and change.head.standing is not None:  # a deletion always fits
            raise Conflict(ORDER_FULL)
        self._version = change.events[0].event_id
        self._answers[self._version] = self.answer
        return self.store.transaction([change])

    def change(self, head: OrderHead | None) -> Change | None:
        """Plans the change of the head and sets `answer`; None if nothing is to be written. Raises a Problem."""
        raise NotImplementedError

    def written(self) -> None:
        self.answer, self._done = self._answers[self._version], True

    def exists(self, head: OrderHead | None, *people: str) -> bool:
        """Whether the order exists: it is not deleted, and its newest version is not erased.

        Raises Unavailable if the order's person, or one of `people`, is being erased: the request was received up to
        the cut of the erasure, so the two are concurrent.
        """
        named = {person for person in (*people, head.person if head else "") if person}
        cuts = self.request.cuts(named) if named else {}
        if any(self.request.received <= cuts.get(person, "") for person in named):
            raise Unavailable("A person of this order is being erased. Please try again.")
        return head is not None and not head.deleted and head.received > cuts.get(head.person, "")

    def current(self, head: OrderHead | None) -> tuple[OrderHead, dict[str, Json]]:
        """The existing order and its body. Raises NotFound."""
        body = self.body_of(head.version) if head is not None and self.exists(head) else None
        if head is None or body is None:
            raise NotFound("There is no such order.")
        return head, body

    def body_of(self, version: int) -> dict[str, Json] | None:
        """The body of a version; None if the version was emptied."""
        event = self.store.event(self.scope, self.key, version_name(version), self.retries)
        return unpack(event.body) if event and event.body else None


class Submit(_Write):
    def __init__(self, request: V1Request, document: Document, new_id: str, digest: str):
        super().__init__(request, document.order_id)
        self.document, self.new_id, self.digest = document, new_id, digest

    def change(self, head: OrderHead | None) -> Change | None:
        document, version = self.document, head.version + 1 if head else 1
        fresh = OrderHead(id=self.new_id, born=version, digest=self.digest, added_at=self.request.received)
        after = head_for(self.scope, document, fresh)
        if self.exists(head, after.person) and head is not None:
            body = self.body_of(head.born) if head.digest == self.digest else None
            if body is None:
                raise Conflict(f"An order {self.order_id!r} with other content was submitted before.")
            self.answer = V1Order(head.id, body, changed=False)
            return None
        self.answer = V1Order(self.new_id, document.body)
        return plan_version(
            self.request,
            self.key,
            head,
            after,
            "submitted",
            document.body,
            named=after,
            person=document.person,
            occurred=document.occurred,
            before=None,
        )


class Edit(_Write):
    """`revise` returns the next version of the body. It is called again if another write came first."""

    def __init__(self, request: V1Request, order_id: str, revise: Callable[[dict[str, Json]], Document]):
        super().__init__(request, order_id)
        self.revise = revise

    def change(self, head: OrderHead | None) -> Change | None:
        seen, body = self.current(head)
        document = self.revise(body)
        self.answer = V1Order(seen.id, document.body, changed=document.body != body)
        if not self.answer.changed:
            return None
        after = head_for(self.scope, document, seen)
        self.exists(None, after.person)  # raises if the edited order's person is being erased
        return plan_version(
            self.request,
            self.key,
            seen,
            after,
            "edited",
            document.body,
            named=after,
            person=document.person,
            occurred=self.request.received,
            before=seen.standing,
        )


class Delete(_Write):
    def change(self, head: OrderHead | None) -> Change | None:
        seen, body = self.current(head)
        self.answer = V1Order(seen.id, body)
        outline = {name: body[name] for name in _OUTLINE if name in body}
        return plan_version(
            self.request,
            self.key,
            seen,
            gone(seen),
            "deleted",
            outline,
            named=seen,
            person=None,
            occurred=self.request.received,
            before=seen.standing,
        )


def written_version(
    store: Store, scope: Scope, key: str, request_id: str, received: str, retries: Retries
) -> tuple[str, EventItem] | None:
    """(name, version) that a request wrote, or None. The search ends at a version received before the request."""
    for name, event in store.events(scope, key, retries, ScanIndexForward=False, Limit=4):
        if event.request == request_id:
            return name, event
        if event.stamp and received_of(event.stamp) < received:
            return None
    return None
