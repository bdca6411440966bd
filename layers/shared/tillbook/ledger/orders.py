"""v1 orders: submissions, edits and deletions, each a version of its order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, cast

from tillbook.ledger.commit import Found, Operation, Retries, Store
from tillbook.ledger.items import EventItem, OrderHead, Scope, head_of, version_name
from tillbook.ledger.writes import Change, EventWrite, Transaction
from tillbook.rules.amounts import ZERO
from tillbook.rules.effects import effects_of, effects_text, labels_of
from tillbook.rules.errors import Conflict, NotFound, Unavailable
from tillbook.rules.identity import Person, order_key
from tillbook.rules.json_text import Json
from tillbook.rules.order import NO_CUSTOMER, Customer, Standing, received_of, stamp_of
from tillbook.rules.packing import pack, unpack

# Of a deleted order the timeline shows this; the body is that of the version before.
_OUTLINE = ("order_id", "currency", "total", "order_date")


class Document(NamedTuple):
    """One version of a v1 order: the normalised body, and what it adds to whose LTV (currency units)."""

    order_id: str
    body: dict[str, Json]
    occurred: str
    person: Person | None = None
    currency: str = "USD"
    total: Decimal = ZERO
    customer: Customer = NO_CUSTOMER


class V1Order(NamedTuple):
    """Our own id of an order, and its body. `changed` is False if the call wrote nothing."""

    id: str
    body: dict[str, Json]
    changed: bool = True


class V1Request(NamedTuple):
    """Who writes.

    Attributes:
        scope: current after `received` (a stamp). id: of the request.
        cuts: of people, by our own id: up to which receipt an erasure takes what names them ("" for nothing), read
            after `received`.
        announce: called once, before the first try to write.
    """

    scope: Scope
    id: str
    received: str
    cuts: Callable[[set[str]], Mapping[str, str]]
    announce: Callable[[], None]


# ------------------------------------------------------------------ plans


def plan_version(
    request: V1Request, key: str, seen: OrderHead | None, head: OrderHead, action: str, body: dict[str, Json], *,
    named: OrderHead, person: Person | None, occurred: str, before: tuple[Standing | None, dict[str, Json]],
    after: dict[str, Json],
) -> Change:  # fmt: skip
    """The next version of an order.

    `head` is what the order becomes, apart from its counts and receipt; `named` says whose timeline the version is on
    and which order it is; `person` becomes known. `before` and `after` are what reports compare: the contribution and
    the bodies. A version counts as received no earlier than the one it follows, so what an erasure takes is always the
    beginning of an order.
    """
    received = max(request.received, seen.received if seen else "")
    version = seen.version + 1 if seen else 1
    head = head._replace(writes=seen.writes + 1 if seen else 1, version=version, received=received)
    name, (standing, old_body) = version_name(version), before
    event = EventItem(
        request.id, stamp=stamp_of(occurred, received, 0, f"{key}{name}"),
        timeline=request.scope.timeline(named.person), action=action, id=named.id, body=pack(body),
        effects=effects_text(effects_of(standing, head.standing, labels_of(old_body), labels_of(after))),
    )  # fmt: skip
    return Change(request.scope, key, seen, head, [EventWrite(name, event)], {head.person: person} if person else {})


def head_for(scope: Scope, document: Document, head: OrderHead) -> OrderHead:
    """`head` as the document makes it."""
    return head._replace(
        order_id=document.order_id, ordered_at=document.occurred, currency=document.currency,
        person=document.person.id_in(scope.account) if document.person else "", contribution=document.total,
        customer=document.customer,
    )  # fmt: skip


def plan_empty(
    scope: Scope, key: str, head: OrderHead, events: Mapping[str, EventItem], doomed: Sequence[str]
) -> Change:
    """Versions of an erased person are emptied, by name. With its newest version the order is gone; with that of its
    submission, what was submitted is no longer known."""
    after = head._replace(writes=head.writes + 1)
    if version_name(head.version) in doomed:
        after = gone(after)
    elif version_name(head.born) in doomed:
        after = after._replace(digest="")
    writes = [EventWrite(name, events[name].emptied(), events[name]) for name in doomed]
    return Change(scope, key, head, after, writes)


def gone(head: OrderHead) -> OrderHead:
    """A deleted order: what stays is that there was one, so that the next one under its id is another."""
    return OrderHead(writes=head.writes, version=head.version, received=head.received, deleted=True)


# -------------------------------------------------------------- operations


class _Write(Operation):
    """A call of the Orders API, and its `answer`.

    After a lost answer it looks for its own version, which cannot have gone: in a live scope nothing is deleted, and a
    lost try that was not written is refused once another write came before it.
    """

    answer: V1Order

    def __init__(self, request: V1Request, order_id: str):
        self.request, self.scope, self.order_id = request, request.scope, order_id
        self.key = order_key("orders_api", "", order_id)
        self._answers: dict[str, V1Order] = {}  # by the version that a try was to write
        self._version = ""  # of the last try
        self._done = False

    def plan(self, found: Found) -> Transaction | None:
        if self._done:
            return None
        item = found.get(self.key)
        head = head_of(item) if item else self.store.head(self.scope, self.key, self.retries)
        if self.unanswered:  # after the head is read: what arrives later is refused by the head's condition
            sent = self.request.id, self.request.received
            mine = written_version(self.store, self.scope, self.key, *sent, self.retries)
            if mine is not None:
                self._version = mine[0]
                self.written()
                return None
        change = self.change(cast(OrderHead | None, head))
        if change is None:
            return None
        if not self._answers:
            self.request.announce()
        self._version = change.events[0].event_id
        self._answers[self._version] = self.answer
        return self.store.transaction([change])

    def change(self, head: OrderHead | None) -> Change | None:
        """What to write over the head, and its answer; None if nothing is to be written. Raises a Problem."""
        raise NotImplementedError

    def written(self) -> None:
        self.answer, self._done = self._answers[self._version], True

    def stands(self, head: OrderHead | None, *people: str) -> bool:
        """Whether the order exists: not deleted, and its newest version not erased.

        Raises Unavailable if the request was received before an erasure of a person it names: the two are concurrent.
        """
        named = {person for person in (*people, head.person if head else "") if person}
        cuts = self.request.cuts(named) if named else {}
        if any(self.request.received <= cuts.get(person, "") for person in named):
            raise Unavailable("A person of this order is being erased. Please try again.")
        return head is not None and not head.deleted and head.received > cuts.get(head.person, "")

    def current(self, head: OrderHead | None) -> tuple[OrderHead, dict[str, Json]]:
        """The existing order and its body. Raises NotFound."""
        body = self.body_of(head.version) if head is not None and self.stands(head) else None
        if head is None or body is None:
            raise NotFound("There is no such order.")
        return head, body

    def body_of(self, version: int) -> dict[str, Json] | None:
        """None if the version was emptied."""
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
        if self.stands(head, after.person) and head is not None:
            body = self.body_of(head.born) if head.digest == self.digest else None
            if body is None:
                raise Conflict(f"An order {self.order_id!r} with other content was submitted before.")
            self.answer = V1Order(head.id, body, changed=False)
            return None
        self.answer = V1Order(self.new_id, document.body)
        return plan_version(
            self.request, self.key, head, after, "submitted", document.body, named=after, person=document.person,
            occurred=document.occurred, before=(None, {}), after=document.body,
        )  # fmt: skip


class Edit(_Write):
    """`revise` makes the new version of the body; it runs again where another write came between."""

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
        self.stands(None, after.person)
        return plan_version(
            self.request, self.key, seen, after, "edited", document.body, named=after, person=document.person,
            occurred=self.request.received, before=(seen.standing, body), after=document.body,
        )  # fmt: skip


class Delete(_Write):
    def change(self, head: OrderHead | None) -> Change | None:
        seen, body = self.current(head)
        self.answer = V1Order(seen.id, body)
        outline = {name: body[name] for name in _OUTLINE if name in body}
        return plan_version(
            self.request, self.key, seen, gone(seen), "deleted", outline, named=seen, person=None,
            occurred=self.request.received, before=(seen.standing, body), after={},
        )  # fmt: skip


def written_version(
    store: Store, scope: Scope, key: str, request_id: str, received: str, retries: Retries
) -> tuple[str, EventItem] | None:
    """The version that a request wrote, by name; newest first, and no further than those received before it was."""
    for name, event in store.events(scope, key, retries, ScanIndexForward=False, Limit=4):
        if event.request == request_id:
            return name, event
        if event.stamp and received_of(event.stamp) < received:
            return None
    return None
