"""Submits, edits and deletes v1 orders. Each change writes a new version of its order."""

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
# The fields of a deleted order that the timeline shows. The version before the deletion has the whole body.
_OUTLINE = ("order_id", "currency", "total", "order_date")


class Document(NamedTuple):
    """One version of a v1 order.

    Attributes:
        body: normalised. occurred: the order's date (a stamp). person: None for nobody.
        currency, total: the amount that counts in the person's LTV. customer: the order's part of its audience.
    """

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
        scope: the current scope; it must be read after `received`. id: id of the request.
        received: when the request was received (a stamp).
        cuts: returns the cut of the last erasure of each person (by our own ids), read after `received`; "" for a
            person without an erasure. A version that names a person and was received up to the person's cut is erased.
        notes: warnings about the body, which are stored with the version.
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

    `seen` is the stored head, `head` the next one, whose counts and receipt this function sets. `named` is the head
    whose person and id the version gets. The item of `person` is written. `before` is the contribution of the version
    before. A version counts as received no earlier than the version before, so the versions received up to a cut are
    the first ones.
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
    """Returns `head` with the values of a document."""
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
    """Plans to empty an erased person's versions, whose names are `doomed`.

    If the newest version is among them, the order is deleted. If the submitted version is among them, the digest is
    removed, since the submitted content is no longer known.
    """
    after = head._replace(writes=head.writes + 1)
    if version_name(head.version) in doomed:
        after = deleted_head(after)
    elif version_name(head.born) in doomed:
        after = after._replace(digest="")
    writes = [EventWrite(name, events[name].emptied(), events[name]) for name in doomed]
    return Change(scope, key, head, after, writes)


def deleted_head(head: OrderHead) -> OrderHead:
    """Returns the head of the order after its deletion. It keeps the counts, which later submissions continue."""
    return OrderHead(writes=head.writes, bytes=head.bytes, version=head.version, received=head.received, deleted=True)


# -------------------------------------------------------------- operations


class _Write(Operation):
    """A call of the Orders API, and its `answer`.

    After a try without a response, the call looks for the version that this try may have written. If there is none, the
    try may still arrive late, but it and the next try cannot both be written: the first to arrive changes the head, so
    the other one fails its condition.
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
        # This must follow the read of the head: a try that arrives after it changes the head, so the next one fails.
        if self.unanswered:
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
        """Plans the change and sets `answer`. Returns None if nothing is to be written. Raises a Problem."""
        raise NotImplementedError

    def written(self) -> None:
        self.answer, self._done = self._answers[self._version], True

    def exists(self, head: OrderHead | None, *people: str) -> bool:
        """Returns whether the order exists: it is not deleted, and its newest version is not erased.

        Raises Unavailable if the request was received up to the cut of an erasure of the order's person or of one of
        `people`: the request and the erasure are concurrent.
        """
        named = {person for person in (*people, head.person if head else "") if person}
        cuts = self.request.cuts(named) if named else {}
        if any(self.request.received <= cuts.get(person, "") for person in named):
            raise Unavailable("A person of this order is being erased. Please try again.")
        return head is not None and not head.deleted and head.received > cuts.get(head.person, "")

    def current(self, head: OrderHead | None) -> tuple[OrderHead, dict[str, Json]]:
        """Returns the order's head and its current body. Raises NotFound if the order does not exist."""
        body = self.body_of(head.version) if head is not None and self.exists(head) else None
        if head is None or body is None:
            raise NotFound("There is no such order.")
        return head, body

    def body_of(self, version: int) -> dict[str, Json] | None:
        """Returns the body of a version, or None if the version was emptied."""
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
    """Edits an order. `revise` returns the next version of a body; it is called again after a conflict."""

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
            deleted_head(seen),
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
    """Returns the (name, version) that a request wrote, or None.

    Searches from the newest version back to one that was received before the request.
    """
    for name, event in store.events(scope, key, retries, ScanIndexForward=False, Limit=4):
        if event.request == request_id:
            return name, event
        if event.stamp and received_of(event.stamp) < received:
            return None
    return None
