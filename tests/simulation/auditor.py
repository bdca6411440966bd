"""How everything must end, computed from what was accepted. Shares no code with the package: only the rules.

The rules are those that the project's documents state: events are ordered by (occurred_at, time of receipt, position in
the batch), copies of one event count once, at the earliest receipt of any of them; what was received up to the cut of a
purge is gone; an event is erased if any of its copies was received up to the cut of its person; and so on. Where two
endings are right (which content came first under an idempotency key, whether an unanswered v1 write was made), what was
seen decides which of the two it was, and then all the rest must follow from it.

Times are texts of 20 digits (YYYYMMDDHHMMSS and microseconds, UTC), persons are (account, kind, value).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

Person = tuple[str, str, str]  # account, kind (email, person, customer), value
Money = dict[tuple[str, str | None], Decimal]  # by source and currency; None is the account's
NAMES = {
    "placed": "Placed an order",
    "updated": "Updated an order",
    "paid": "Paid an order",
    "fulfilled": "Fulfilled an order",
    "refunded": "Refunded an order",
    "canceled": "Canceled an order",
    "submitted": "Submitted an order",
    "edited": "Edited an order",
    "deleted": "Deleted an order",
}
V1, V3 = "orders_api", "shopper_activity"


NEVER = float("inf")


# ------------------------------------------------------------ what was accepted


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted v3 event, as it was sent. `key` is the request's Idempotency-Key."""

    account: str
    request_id: str
    received: str
    position: int
    key: str | None
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One v1 request. `status` None: no answer came. `start` and `end` in seconds of the run.

    `hampered`: calls to AWS failed during it, so that what is not promised may be missing.
    """

    account: str
    kind: str  # submitted, edited, deleted
    order_id: str
    payload: dict[str, Any]
    request_id: str
    received: str
    start: float
    end: float
    status: int | None
    body: dict[str, Any] | None
    hampered: bool = False


@dataclass(frozen=True, slots=True)
class Purge:
    """A purge of sources, or the erasure of `person`, asked for at `asked` (a receipt).

    `start` and `answered`: in seconds of the run. `finished`: its job is done; if not, what it takes may be there or
    not. `payload` and `target` are as they were sent.
    """

    account: str
    sources: tuple[str, ...]
    asked: str
    person: Person | None
    start: float
    answered: float
    finished: bool
    payload: dict[str, Any] = field(default_factory=dict)
    target: str = ""


class Mark(NamedTuple):
    """The mark of a purge (`name` is `o` or `s`) or of an erasure (`p` and our own id), written at `at` seconds."""

    account: str
    name: str
    cut: str
    at: float
    person: Person | None = None


# ---------------------------------------------------------------- what was seen


@dataclass(slots=True)
class Version:
    """One change of a v1 order in the ledger, in their order there; `erased` as an action: the order went.

    `at`, and when it was `emptied` of whom it named, in seconds of the run.
    """

    action: str
    request_id: str
    id: str
    at: float
    number: int = 1
    body: bytes = b""
    emptied: float = NEVER


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it ended; of a v1 order only person, currency, contribution and date count."""

    person: Person | None
    currency: str | None
    contribution: Decimal
    total: Decimal | None = None
    refunds: Decimal = Decimal(0)
    action: str = ""
    events: int = 0
    first: str = ""
    last: str = ""
    added: str = ""  # when the first of its events was received
    flagged: bool = False
    addresses: tuple[str, str] = ("", "")  # shipping and billing, by their first lines
    customer: str = ""  # v1: the customer id, where the order belongs to an address


@dataclass(frozen=True, slots=True, order=True)
class Activity:
    """`place` (occurred_at, time of receipt, position in the batch) sorts it within a timeline."""

    place: tuple[str, str, int]
    name: str
    source: str
    order_id: str


@dataclass
class Books:
    """All that is known of people and orders, as it is (seen) or must be (expected)."""

    orders: dict[tuple[str, str, str, str], Order] = field(default_factory=dict)  # account, source, provider, id
    money: dict[Person, Money] = field(default_factory=dict)
    counts: dict[Person, dict[tuple[str, str | None], int]] = field(default_factory=dict)
    timelines: dict[Person, list[Activity]] = field(default_factory=dict)
    people: set[Person] = field(default_factory=set)
    # By account and source: how many records, of how many orders.
    audiences: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


@dataclass
class Seen:
    """What is in the tables.

    `versions`: by account, order id and generation. `statuses`: by (account, source, request id), what the reader shows
    of it. `written`: (account, request id) of the v3 events of the current scope, emptied ones too. `dead`: what is
    left of scopes that were purged. `faults`: what could not be read. `traces`: where a person is found.
    """

    books: Books
    versions: dict[tuple[str, str, int], list[Version]]
    statuses: dict[tuple[str, str, str], str]
    faults: list[str] = field(default_factory=list)
    traces: dict[Person, list[str]] = field(default_factory=dict)
    written: set[tuple[str, str]] = field(default_factory=set)
    marks: list[Mark] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)


class _Cuts:
    """Up to which receipt purges and erasures take, and what may have missed them."""

    def __init__(self, marks: list[Mark], purges: list[Purge]) -> None:
        self.marks = marks
        self._unfinished = {(p.account, s) for p in purges if not p.finished and not p.person for s in p.sources}
        self._unerased = {p.person for p in purges if not p.finished and p.person}

    def of_source(self, account: str, source: str) -> list[Mark]:
        name = "o" if source == V1 else "s"
        return [mark for mark in self.marks if mark.account == account and mark.name == name]

    def of_person(self, person: Person | None) -> list[Mark]:
        return [mark for mark in self.marks if mark.person is not None and mark.person == person]

    def source(self, account: str, source: str) -> str:
        return max((mark.cut for mark in self.of_source(account, source)), default="")

    def person(self, person: Person | None) -> str:
        return max((mark.cut for mark in self.of_person(person)), default="")

    def finished(self, account: str, source: str) -> bool:
        return (account, source) not in self._unfinished

    def erased(self, person: Person | None) -> bool:
        """Whether all of the person's erasures came to their end."""
        return person not in self._unerased


# --------------------------------------------------------------------- helpers


def amount(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    return Decimal(str(value).strip()).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)


@lru_cache(maxsize=65536)
def moment(text: str) -> str:
    when = datetime.fromisoformat(text.strip())
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return when.strftime("%Y%m%d%H%M%S%f")


@lru_cache(maxsize=65536)
def email_hash(email: str) -> str:
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()


def is_email(text: str) -> bool:
    name, at, domain = text.strip().partition("@")
    return bool(at and name and "@" not in domain and "." in domain.strip(".") and " " not in text.strip())


def _frozen(value: Any) -> Any:
    """To compare by value: 1, 1.0 and 1e0 alike, true and 1 apart, keys in any order."""
    if isinstance(value, dict):
        return frozenset((name, _frozen(entry)) for name, entry in value.items())
    if isinstance(value, list):
        return ("list", *map(_frozen, value))
    return (type(value).__name__ if isinstance(value, bool) else "", value)


def _content(payload: dict[str, Any]) -> Any:
    """What tells one event from another: the payload as sent, an e-mail as whom it names."""
    sent = dict(payload)
    for name in ("email", "person_id"):
        value = sent.get(name)
        if isinstance(value, str) and is_email(value):
            sent[name] = ("hashed", email_hash(value))
    return _frozen(sent)


def _person_v3(event: Event) -> Person:
    person_id = event.payload.get("person_id")
    if person_id not in (None, ""):
        text = str(person_id).strip()
        return (event.account, "email", email_hash(text)) if is_email(text) else (event.account, "person", text)
    return event.account, "email", email_hash(event.payload["email"])


# -------------------------------------------------------------------------- v3


@dataclass(slots=True)
class _Group:
    """The copies of one event: what counts is the earliest receipt."""

    event: Event
    place: tuple[str, str, int]


def _identity(event: Event) -> Any:
    if event.key is not None:
        return "key", _order_of(event), event.key, event.position
    if event.payload.get("occurred_at") not in (None, ""):
        return "content", event.account, _content(event.payload)
    return "request", event.account, event.request_id


def _order_of(event: Event) -> tuple[str, str, str]:
    return event.account, event.payload["provider"], str(event.payload["order_id"])


def _group(events: list[Event], cuts: _Cuts, seen: Seen, faults: list[str]) -> list[_Group]:
    """Copies of one event together, without what was purged or erased; the statuses of their requests checked."""
    standing = {
        (person[0], activity.place[1], activity.place[2])
        for person, activities in seen.books.timelines.items()
        for activity in activities
        if activity.source == V3
    }
    groups: dict[Any, list[Event]] = {}
    for event in events:
        if event.received > cuts.source(event.account, V3):
            groups.setdefault(_identity(event), []).append(event)
    found = []
    for copies in groups.values():
        earliest = _counted(copies, cuts, seen, standing, faults)
        if earliest is not None:
            occurred = earliest.payload.get("occurred_at")
            time = moment(occurred) if occurred else earliest.received
            found.append(_Group(earliest, (time, earliest.received, earliest.position)))
    return found


def _counted(
    copies: list[Event], cuts: _Cuts, seen: Seen, standing: set[tuple[str, str, int]], faults: list[str]
) -> Event | None:
    """The copy that counts: the earliest of the content that was applied first. None if it was erased."""
    account = copies[0].account
    status = {e.request_id: seen.statuses.get((account, V3, e.request_id), "none") for e in copies}
    writers = [e for e in copies if (account, e.request_id) in seen.written]
    if len(writers) != 1:
        # A purge that came to no end may have left its mark so late that others missed it.
        if writers or cuts.finished(account, V3):
            faults.append(f"{_ids(copies)} is in the ledger {len(writers)} times, not once: {status}")
        return None
    writer = writers[0]
    alike = [e for e in copies if _content(e.payload) == _content(writer.payload)]
    if any(status[e.request_id] != "failed" for e in copies if e not in alike):
        faults.append(f"of {_ids(copies)} another content than that of {writer.request_id} is {status}")
    earliest = min(alike, key=lambda e: (e.received, e.position))
    person = _person_v3(writer)
    if any(e.received <= cuts.person(person) for e in alike):
        if any(status[e.request_id] not in ("failed", "applied", "duplicate") for e in alike):
            faults.append(f"of {_ids(alike)}, which is erased, the requests are {status}")
        stands = (account, earliest.received, earliest.position) in standing
        return earliest if stands and not cuts.erased(person) else None
    for event in alike:
        must = "applied" if event is writer else "duplicate"
        if status[event.request_id] != must:
            faults.append(f"{_ids([event])} is {status[event.request_id]}, not {must}")
    return earliest


def _ids(events: list[Event]) -> str:
    return ", ".join(f"{e.request_id}[{e.position}]" for e in events)


def _v3_order(groups: list[_Group]) -> Order:
    groups.sort(key=lambda g: g.place)
    total: Decimal | None = None
    fallback: Decimal | None = None
    opened, refunds, currency = False, Decimal(0), None
    addresses = {"shipping_address": "", "billing_address": ""}
    for group in groups:
        payload = group.event.payload
        sets = payload["action"] in ("placed", "updated", "paid", "fulfilled")
        carried = amount(payload.get("grand_total"))
        if sets:
            opened = True
            total = total if carried is None else carried
        else:
            fallback = fallback if carried is None else carried
            refunds += amount(payload.get("refund_amount")) or 0
        currency = payload.get("currency") or currency
        for name in addresses:
            addresses[name] = (payload.get(name) or {}).get("address_1", addresses[name])
    known = total if total is not None else fallback if fallback is not None else Decimal(0) if opened else None
    latest = groups[-1]
    return Order(
        person=_person_v3(latest.event), currency=currency.upper() if currency else None,
        contribution=Decimal(0) if known is None else known - refunds, total=known, refunds=refunds,
        action=latest.event.payload["action"], events=len(groups), first=min(g.place[0] for g in groups),
        last=latest.place[0], added=min(g.place[1] for g in groups), flagged=known is not None and refunds > known,
        addresses=(addresses["shipping_address"], addresses["billing_address"]),
    )  # fmt: skip


# -------------------------------------------------------------------------- v1

_FIELDS = (
    "order_id", "order_date", "currency", "total", "customer_id", "email_sha256", "metadata", "order_items",
    "shipping_address", "billing_address",
)  # fmt: skip


def _document(payload: dict[str, Any]) -> dict[str, Any] | None:
    """A submission's fields in one form, without those that say nothing; None if it is not valid."""
    sha256 = (payload.get("customer_email_sha256") or "").lower() or None
    if payload.get("customer_email"):
        sha256 = email_hash(payload["customer_email"])
    customer = payload.get("customer_id") or None
    named = [sha256, payload.get("shipping_address"), payload.get("billing_address")]
    if not any(named) or not payload.get("order_date"):
        return None
    if customer is not None and is_email(customer):
        sha256, customer = sha256 or email_hash(customer), None
    document = {
        "order_id": str(payload["order_id"]), "order_date": moment(payload["order_date"]),
        "currency": (payload.get("currency") or "USD").upper(), "total": amount(payload.get("total")) or None,
        "customer_id": customer, "email_sha256": sha256, "metadata": payload.get("metadata") or None,
        "order_items": payload.get("order_items") or None,
        "shipping_address": payload.get("shipping_address"), "billing_address": payload.get("billing_address"),
    }  # fmt: skip
    return {name: value for name, value in document.items() if value is not None}


def _edited(document: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any] | None:
    whole = {name: value for name, value in document.items() if name not in ("email_sha256", "order_date")}
    date = document["order_date"]
    whole["order_date"] = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:14]}.{date[14:]}Z"
    # What shops send for nothing changes nothing: only null clears.
    blank = ("total", "currency", "customer_id", "customer_email", "customer_email_sha256")
    payload = {name: value for name, value in payload.items() if name not in blank or value != ""}
    new_id = payload.get("customer_id")
    # An id that is an e-mail takes the place of the hash, which may be of such an id, where there is no other id.
    moved = isinstance(new_id, str) and is_email(new_id) and "customer_id" not in document
    if not moved and not {"customer_email", "customer_email_sha256"} & set(payload):
        whole["customer_email_sha256"] = document.get("email_sha256")
    return _document(whole | payload | {"order_id": document["order_id"]})


def _person_v1(account: str, document: dict[str, Any]) -> Person | None:
    if "email_sha256" in document:
        return account, "email", document["email_sha256"]
    return (account, "customer", document["customer_id"]) if "customer_id" in document else None


@dataclass(frozen=True, slots=True)
class _State:
    """A v1 order between two changes. `first` is its submission; `receipt` counts for its newest version."""

    since: float
    document: dict[str, Any] | None = None
    id: str = ""
    first: dict[str, Any] | None = None
    first_version: Version | None = None
    person: Person | None = None
    receipt: str = ""


@dataclass(slots=True)
class _Made:
    """One version, and what it says; `document` of a deletion: what was deleted."""

    version: Version
    document: dict[str, Any]
    place: tuple[str, str, int]
    person: Person | None


def _answers(body: dict[str, Any] | None, order: str, document: dict[str, Any] | None) -> bool:
    """Whether an answer shows this order."""
    if body is None or document is None:
        return False
    date = document["order_date"]
    return bool(
        body["id"] == order
        and body["order_id"] == document["order_id"]
        and body["currency"] == document["currency"]
        and Decimal(body["total"]) == document.get("total", 0)
        and body["customer"] == {"id": document.get("customer_id"), "email_sha256": document.get("email_sha256")}
        and body["metadata"] == (document.get("metadata") or {})
        and body["order_date"] == f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:14]}Z"
    )


@dataclass(slots=True)
class _Life:
    """What became of one v1 order in one generation. `written`: by request id, the number of the state it made."""

    states: list[_State] = field(default_factory=lambda: [_State(-NEVER)])
    written: dict[str, int] = field(default_factory=dict)
    made: list[_Made] = field(default_factory=list)


def _v1_order(
    account: str, order_id: str, calls: list[Call], seen: Seen, cuts: _Cuts, books: Books, faults: list[str]
) -> dict[str, int]:
    """Checks versions and answers, and adds the order as it must be. Returns by request id the generation it wrote."""
    where, marks = f"v1 order {account}/{order_id}", cuts.of_source(account, V1)
    by_id = {call.request_id: call for call in calls}
    lives: dict[int, _Life] = {}
    for generation in range(len(marks) + 1):
        versions = seen.versions.get((account, order_id, generation), [])
        since = marks[generation - 1].cut if generation else ""
        lives[generation] = _life(f"{where} in generation {generation}", versions, by_id, since, cuts, faults)
    generations: dict[str, int] = {}
    for generation, life in lives.items():
        for request_id in life.written:
            if request_id in generations:
                faults.append(f"{where}: {request_id} was made twice")
            generations[request_id] = generation
    for call in calls:
        if call.status is None or call.status >= 500:
            continue
        if call.request_id in generations:
            life = lives[generations[call.request_id]]
            _check_made(call, life, where, faults)
            continue
        possible = [
            life
            for generation, life in lives.items()
            if (generation == 0 or (marks[generation - 1].cut < call.received and marks[generation - 1].at <= call.end))
            and (generation == len(marks) or marks[generation].at >= call.start)
        ]
        if not any(_met(call, life, cuts) for life in possible):
            met = [life.states for life in possible]
            faults.append(f"{where}: {call} was not made, and no state it met explains its answer: {met}")
    _add_order(account, order_id, lives[len(marks)], cuts, books, faults, where)
    return {request: generation for request, generation in generations.items() if generation == len(marks)}


def _life(
    where: str, versions: list[Version], by_id: dict[str, Call], since: str, cuts: _Cuts, faults: list[str]
) -> _Life:
    life, number = _Life(), 0
    for version in versions:
        before = life.states[-1]
        if version.action == "erased":
            if not any(m.cut >= before.receipt and m.at <= version.at for m in cuts.of_person(before.person)):
                faults.append(f"{where}: {before} was erased, and nobody asked for it")
            life.states.append(replace(before, since=version.at, document=None))
            continue
        call = by_id.get(version.request_id)
        if call is None or call.kind != version.action or version.request_id in life.written:
            faults.append(f"{where}: {version} is of no request, or of one that was made already")
            return life
        if version.at < call.start or call.received <= since or version.number != number + 1:
            faults.append(f"{where}: {version} of {call} comes too early, or after number {number}")
        number = version.number
        state, document, occurred = _next(before, version, call, cuts)
        if state is None:
            faults.append(f"{where}: {version} cannot follow {before}")
            return life
        life.written[version.request_id] = len(life.states)
        life.states.append(state)
        person = _person_v1(call.account, document)
        life.made.append(_Made(version, document, (occurred, state.receipt, 0), person))
    return life


def _next(
    before: _State, version: Version, call: Call, cuts: _Cuts
) -> tuple[_State | None, dict[str, Any], str]:  # fmt: skip
    """The state after a version, what the version says, and when it happened; no state if it cannot follow.

    A version counts as received no earlier than the one before it.
    """
    receipt, stands = max(call.received, before.receipt), before.document is not None
    erasures = [m for m in cuts.of_person(before.person) if before.receipt <= m.cut < call.received]
    if version.action == "submitted":
        document = _document(call.payload)
        free = not stands or any(m.at <= version.at for m in erasures)
        if not free or document is None:
            return None, {}, ""
        person = _person_v1(call.account, document)
        state = _State(version.at, document, version.id, document, version, person, receipt)
        return state, document, document["order_date"]
    # Who came after an erasure was answered sees it, and nothing of the order.
    if before.document is None or version.id != before.id or any(m.at < call.start for m in erasures):
        return None, {}, ""
    if version.action == "deleted":
        return replace(before, since=version.at, document=None, receipt=receipt), before.document, call.received
    document = _edited(before.document, call.payload)
    if document is None or document == before.document:
        return None, {}, ""
    person = _person_v1(call.account, document)
    state = replace(before, since=version.at, document=document, person=person, receipt=receipt)
    return state, document, call.received


def _add_order(
    account: str, order_id: str, life: _Life, cuts: _Cuts, books: Books, faults: list[str], where: str
) -> None:
    for made in life.made:
        must = made.place[1] <= cuts.person(made.person)
        emptied = made.version.emptied != NEVER
        if (emptied and not must) or (must and not emptied and cuts.erased(made.person)):
            faults.append(f"{where}: {made} must {'' if must else 'not '}be emptied")
        if made.person and not emptied:
            books.people.add(made.person)
            name = NAMES[made.version.action]
            books.timelines.setdefault(made.person, []).append(Activity(made.place, name, V1, order_id))
    current = life.states[-1].document
    if current is None or life.made[-1].version.emptied != NEVER:
        return
    person = _person_v1(account, current)
    books.orders[account, V1, "", order_id] = Order(
        person, current["currency"], current.get("total", Decimal(0)), first=current["order_date"],
        addresses=(_first_line(current, "shipping_address"), _first_line(current, "billing_address")),
        customer=current.get("customer_id", "") if person and person[1] == "email" else "",
    )  # fmt: skip


def _first_line(document: dict[str, Any], name: str) -> str:
    return str((document.get(name) or {}).get("address_1", ""))


def _check_made(call: Call, life: _Life, where: str, faults: list[str]) -> None:
    """A request that wrote a version answers with what it wrote, or with what it deleted."""
    at = life.written[call.request_id]
    shown = life.states[at - 1] if call.kind == "deleted" else life.states[at]
    expected = 201 if call.kind == "submitted" else 200
    if call.status != expected or not _answers(call.body, shown.id, shown.document):
        faults.append(f"{where}: {call} was made, and answered as if it was not, or with another order")


def _met(call: Call, life: _Life, cuts: _Cuts) -> bool:
    """Whether a state that the order had meanwhile explains an answer to a request that wrote nothing."""
    ends = [state.since for state in life.states[1:]] + [NEVER]
    return any(
        state.since <= call.end and until >= call.start and _explains(call, state, cuts)
        for state, until in zip(life.states, ends, strict=True)
    )


def _explains(call: Call, state: _State, cuts: _Cuts) -> bool:
    if call.kind == "submitted" and _document(call.payload) is None:
        return call.status == 400
    erasures = [m for m in cuts.of_person(state.person) if m.cut >= state.receipt and m.at <= call.end]
    # Who came after an erasure was answered sees it.
    stands = state.document is not None and not any(m.cut < call.received and m.at < call.start for m in erasures)
    if call.kind == "submitted":
        if not stands:
            return False
        emptied = state.first_version.emptied if state.first_version else NEVER
        if _document(call.payload) == state.first and emptied >= call.start and call.status == 201:
            return _answers(call.body, state.id, state.first)
        # With the version of the submission it is forgotten what was submitted.
        return call.status == 409 and (_document(call.payload) != state.first or emptied <= call.end)
    if call.status == 404:
        return state.document is None or bool(erasures)
    if not stands or call.kind == "deleted":
        return False
    document = _edited(state.document or {}, call.payload)
    if document is None:
        return call.status == 400
    return document == state.document and call.status == 200 and _answers(call.body, state.id, document)


# ----------------------------------------------------------------------- audit


def expected(
    events: list[Event], calls: list[Call], seen: Seen, purges: list[Purge] | None = None
) -> tuple[Books, list[str]]:
    """The books as they must be, and what in statuses, answers and versions contradicts what was accepted."""
    books, faults, purges = Books(), list(seen.faults), purges or []
    cuts = _Cuts(seen.marks, purges)
    _check_marks(seen.marks, purges, faults)
    orders: dict[tuple[str, str, str, str], list[_Group]] = {}
    for group in _group(events, cuts, seen, faults):
        event, person = group.event, _person_v3(group.event)
        order_id = str(event.payload["order_id"])
        orders.setdefault((event.account, V3, event.payload["provider"], order_id), []).append(group)
        books.people.add(person)
        books.timelines.setdefault(person, []).append(
            Activity(group.place, NAMES[event.payload["action"]], V3, order_id)
        )
    for key, groups in orders.items():
        books.orders[key] = _v3_order(groups)
    by_order: dict[tuple[str, str], list[Call]] = {}
    for call in calls:
        by_order.setdefault((call.account, call.order_id), []).append(call)
    for account, order_id, _ in seen.versions:
        if (account, order_id) not in by_order:
            faults.append(f"v1 order {account}/{order_id} was never asked for")
    for (account, order_id), of_order in by_order.items():
        current = _v1_order(account, order_id, of_order, seen, cuts, books, faults)
        for call in of_order:
            status = seen.statuses.get((account, V1, call.request_id), "none")
            fitting = {"applied"} if call.request_id in current else {"none"}
            if call.received <= cuts.source(account, V1):
                fitting = {"none"}
            elif (
                call.request_id not in current and call.kind == "submitted" and (call.status or 500) in (201, 500, 503)
            ):
                fitting = {"duplicate"} if call.status == 201 and not call.hampered else {"none", "duplicate"}
            if status not in fitting:
                faults.append(f"v1 request {call} is shown as {status}, not {fitting}")
    for (account, source, _, _), order in books.orders.items():
        records, count = books.audiences.get((account, source), (0, 0))
        books.audiences[account, source] = records + max(1, sum(map(bool, order.addresses))), count + 1
        if order.person is not None:
            cell = (source, order.currency)
            money = books.money.setdefault(order.person, {})
            money[cell] = money.get(cell, Decimal(0)) + order.contribution
            counts = books.counts.setdefault(order.person, {})
            counts[cell] = counts.get(cell, 0) + 1
    for activities in books.timelines.values():
        activities.sort()
    return books, faults


def _check_marks(marks: list[Mark], purges: list[Purge], faults: list[str]) -> None:
    """Whether what was asked for is what was done."""
    for purge in purges:
        if purge.person is not None:
            names = {("customer", purge.target), ("person", purge.target), ("email", purge.target.lower())}
            if is_email(purge.target):
                names = {("email", email_hash(purge.target))}
            if purge.person[1:] not in names:
                faults.append(f"{purge} is not whom it was asked to erase")
            own = [[m for m in marks if m.person == purge.person]]
        else:
            source = purge.payload.get("source")
            if purge.sources != ((source,) if source else (V1, V3)):
                faults.append(f"{purge} is not what was asked for")
            names = [("o" if s == V1 else "s") for s in purge.sources]
            own = [[m for m in marks if m.account == purge.account and m.name == name] for name in names]
        # What is answered is marked, as of a moment between question and answer.
        if purge.answered != NEVER and not all(
            any(purge.asked < m.cut and purge.start <= m.at < purge.answered for m in of_name) for of_name in own
        ):
            faults.append(f"{purge} was answered, and is not marked: {own}")
    for mark in marks:
        if not any(p.account == mark.account and p.asked < mark.cut for p in purges):
            faults.append(f"{mark} is of nothing that was asked for")


def audit(
    events: list[Event], calls: list[Call], purges: list[Purge], seen: Seen,
    read: Callable[[Books], list[str]] = lambda books: [],
) -> list[str]:  # fmt: skip
    """What is not as it must be, in words; nothing if all is right. `read` compares the books with what can be read."""
    books, faults = expected(events, calls, seen, purges)
    known = {(e.account, V3, e.request_id) for e in events} | {(c.account, V1, c.request_id) for c in calls}
    faults += [f"an outcome of no request: {request}" for request in seen.statuses.keys() - known]
    for name in ("orders", "money", "counts", "timelines", "audiences"):
        must, have = getattr(books, name), getattr(seen.books, name)
        for key in sorted(must.keys() | have.keys(), key=str):
            if must.get(key) != have.get(key):
                faults.append(f"{name} of {key}:\n  must be {must.get(key)}\n  but is  {have.get(key)}")
    faults += [f"{person} was named and is not known" for person in books.people - seen.books.people]
    # A job that did not come to its end may leave what it was to delete.
    unfinished = {purge.account for purge in purges if not purge.finished}
    faults += [
        f"{person} is known and was never named"
        for person in seen.books.people - books.people
        if person[0] not in unfinished
    ]
    faults += [f"{pk} is left of what was purged" for pk in seen.dead if pk.split("/")[0] not in unfinished]
    for purge in purges:
        places = seen.traces.get(purge.person, []) if purge.person else []
        if places and purge.account not in unfinished and purge.person not in books.people:
            faults.append(f"{purge.person} was erased, and is found in {places}")
    return sorted(faults or read(books))
