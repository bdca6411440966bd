"""How everything must end, computed from what was accepted. Shares no code with the package: only the rules.

The rules are those that the project's documents state: events are ordered by (occurred_at, time of receipt, position in
the batch), copies of one event count once, at the earliest receipt of any of them; and so on. Where two endings are
right (which content came first under an idempotency key, whether an unanswered v1 write was made), what was
seen decides which of the two it was, and then all the rest must follow from it.

Times are texts of 20 digits (YYYYMMDDHHMMSS and microseconds, UTC), persons are (account, kind, value).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any

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


# ---------------------------------------------------------------- what was seen


@dataclass(frozen=True, slots=True)
class Version:
    """One change of a v1 order in the ledger, in their order there. `at` in seconds of the run."""

    action: str
    request_id: str
    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it ended; of a v1 order only person, currency and contribution count."""

    person: Person | None
    currency: str | None
    contribution: Decimal
    total: Decimal | None = None
    refunds: Decimal = Decimal(0)
    action: str = ""
    events: int = 0
    first: str = ""
    last: str = ""
    flagged: bool = False
    addresses: tuple[str, str] = ("", "")  # shipping and billing, by their first lines


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
    """`statuses`: by (account, source, request id), what the reader shows of it. `faults`: what could not be read."""

    books: Books
    versions: dict[tuple[str, str], list[Version]]
    statuses: dict[tuple[str, str, str], str]
    faults: list[str] = field(default_factory=list)


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


def _is_email(text: str) -> bool:
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
        if isinstance(value, str) and _is_email(value):
            sent[name] = ("hashed", email_hash(value))
    return _frozen(sent)


def _person_v3(event: Event) -> Person:
    person_id = event.payload.get("person_id")
    if person_id not in (None, ""):
        text = str(person_id).strip()
        return (event.account, "email", email_hash(text)) if _is_email(text) else (event.account, "person", text)
    return event.account, "email", email_hash(event.payload["email"])


# -------------------------------------------------------------------------- v3


@dataclass(slots=True)
class _Group:
    """The copies of one event: what counts is the earliest receipt."""

    event: Event
    place: tuple[str, str, int]


def _group(events: Iterable[Event], seen: Seen, faults: list[str]) -> list[_Group]:
    """Copies of one event together, and the statuses of all their requests checked."""
    groups: dict[Any, list[Event]] = {}
    for event in events:
        identity: Any = ("request", event.account, event.request_id)
        if event.key is not None:
            identity = ("key", event.account, event.key, event.position)
        elif event.payload.get("occurred_at") not in (None, ""):
            identity = ("content", event.account, _content(event.payload))
        groups.setdefault(identity, []).append(event)
    found = []
    for identity, copies in groups.items():
        contents: dict[Any, list[Event]] = {}
        for event in copies:
            contents.setdefault(_content(event.payload), []).append(event)
        standing = []
        for members in contents.values():
            statuses = [seen.statuses.get((e.account, V3, e.request_id), "none") for e in members]
            if statuses.count("applied") == 1 and statuses.count("duplicate") == len(statuses) - 1:
                standing.append(members)
            elif set(statuses) != {"failed"} or len(contents) == 1:
                faults.append(f"requests of {identity[0]} {_ids(members)} ended as {statuses}")
        if len(standing) != 1:
            faults.append(f"{len(standing)} contents of {identity[0]} {_ids(copies)} were applied, not 1")
            continue
        earliest = min(standing[0], key=lambda e: (e.received, e.position))
        occurred = earliest.payload.get("occurred_at")
        time = moment(occurred) if occurred else earliest.received
        found.append(_Group(earliest, (time, earliest.received, earliest.position)))
    return found


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
        last=latest.place[0], flagged=known is not None and refunds > known,
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
    if customer is not None and _is_email(customer):
        sha256, customer = sha256 or email_hash(customer), None
    document = {
        "order_id": str(payload["order_id"]), "order_date": moment(payload["order_date"]),
        "currency": (payload.get("currency") or "USD").upper(), "total": amount(payload.get("total")),
        "customer_id": customer, "email_sha256": sha256, "metadata": payload.get("metadata") or None,
        "order_items": payload.get("order_items") or None,
        "shipping_address": payload.get("shipping_address"), "billing_address": payload.get("billing_address"),
    }  # fmt: skip
    return {name: value for name, value in document.items() if value is not None}


def _edited(document: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any] | None:
    whole = {name: value for name, value in document.items() if name not in ("email_sha256", "order_date")}
    date = document["order_date"]
    whole["order_date"] = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:14]}.{date[14:]}Z"
    if not {"customer_email", "customer_email_sha256"} & set(payload):
        whole["customer_email_sha256"] = document.get("email_sha256")
    return _document(whole | payload | {"order_id": document["order_id"]})


def _person_v1(account: str, document: dict[str, Any]) -> Person | None:
    if "email_sha256" in document:
        return account, "email", document["email_sha256"]
    return (account, "customer", document["customer_id"]) if "customer_id" in document else None


@dataclass(slots=True)
class _State:
    """A v1 order between two changes: `first` is its submission."""

    since: float
    document: dict[str, Any] | None = None
    id: str = ""
    first: dict[str, Any] | None = None
    first_id: str = ""


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


def _v1_order(
    account: str, order_id: str, calls: list[Call], versions: list[Version], books: Books, faults: list[str],
) -> None:  # fmt: skip
    by_id = {call.request_id: call for call in calls}
    where = f"v1 order {account}/{order_id}"
    states = [_State(float("-inf"))]
    written: dict[str, int] = {}
    for version in versions:
        call, before = by_id.get(version.request_id), states[-1]
        if call is None or call.kind != version.action or version.request_id in written:
            faults.append(f"{where}: {version} is of no request, or of one that was made already")
            return
        written[version.request_id] = len(states)
        if version.at < call.start:
            faults.append(f"{where}: {version} came before its request")
        document: dict[str, Any] | None = None
        occurred = call.received
        if version.action == "submitted":
            document = _document(call.payload)
            state = _State(version.at, document, version.id, document, version.id)
            possible = before.document is None and document is not None and version.id not in {s.id for s in states}
            occurred = document["order_date"] if document else ""
        elif version.action == "edited":
            document = _edited(before.document, call.payload) if before.document else None
            state = _State(version.at, document, version.id, before.first, before.first_id)
            possible = document is not None and document != before.document and version.id == before.id
        else:
            state = _State(version.at)
            possible = before.document is not None and version.id == before.id
        if not possible:
            faults.append(f"{where}: {version} cannot follow {before}")
            return
        person = _person_v1(account, document or before.document or {})
        if person:
            books.people.add(person)
            place = (occurred, call.received, 0)
            books.timelines.setdefault(person, []).append(Activity(place, NAMES[version.action], V1, order_id))
        states.append(state)
    for call in calls:
        _check_call(call, states, written, where, faults)
    final = states[-1].document
    if final is not None:
        books.orders[account, V1, "", order_id] = Order(
            _person_v1(account, final), final["currency"], final.get("total", Decimal(0)),
            addresses=(_first_line(final, "shipping_address"), _first_line(final, "billing_address")),
        )  # fmt: skip


def _first_line(document: dict[str, Any], name: str) -> str:
    return str((document.get(name) or {}).get("address_1", ""))


def _check_call(call: Call, states: list[_State], written: dict[str, int], where: str, faults: list[str]) -> None:
    """Whether the answer is one that the order could give: by its own change, or by a state it had meanwhile."""
    at = written.get(call.request_id)
    if call.status is None or call.status >= 500:
        return
    if at is not None:
        before, after = states[at - 1], states[at]
        shown = before if call.kind == "deleted" else after
        expected = 201 if call.kind == "submitted" else 200
        if call.status != expected or not _answers(call.body, shown.id, shown.document):
            faults.append(f"{where}: {call} was made, and answered as if it was not, or with another order")
        return
    ends = [state.since for state in states[1:]] + [float("inf")]
    for state, until in zip(states, ends, strict=True):
        if state.since <= call.end and until >= call.start and _explains(call, state):
            return
    faults.append(f"{where}: {call} was not made, and no state it met explains its answer: {states}")


def _explains(call: Call, state: _State) -> bool:
    if call.kind == "submitted":
        document = _document(call.payload)
        if document is None:
            return call.status == 400
        if state.document is None:
            return False
        if document == state.first:
            return call.status == 201 and _answers(call.body, state.first_id, state.first)
        return call.status == 409
    if state.document is None:
        return call.status == 404
    if call.kind == "deleted":
        return False
    document = _edited(state.document, call.payload)
    if document is None:
        return call.status == 400
    return document == state.document and call.status == 200 and _answers(call.body, state.id, document)


# ----------------------------------------------------------------------- audit


def expected(events: list[Event], calls: list[Call], seen: Seen) -> tuple[Books, list[str]]:
    """The books as they must be, and what in statuses, answers and versions contradicts what was accepted."""
    books, faults = Books(), list(seen.faults)
    orders: dict[tuple[str, str, str, str], list[_Group]] = {}
    for group in _group(events, seen, faults):
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
    for unasked in seen.versions.keys() - by_order.keys():
        faults.append(f"v1 order {unasked} was never asked for")
    for (account, order_id), of_order in by_order.items():
        versions = seen.versions.get((account, order_id), [])
        _v1_order(account, order_id, of_order, versions, books, faults)
        made = {version.request_id for version in versions}
        for call in of_order:
            status = seen.statuses.get((account, V1, call.request_id), "none")
            fitting = {"applied"} if call.request_id in made else {"none"}
            if call.request_id not in made and call.kind == "submitted" and (call.status or 500) in (201, 500, 503):
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


def audit(events: list[Event], calls: list[Call], seen: Seen) -> list[str]:
    """What is not as it must be, in words; nothing if all is right."""
    books, faults = expected(events, calls, seen)
    known = {(e.account, V3, e.request_id) for e in events} | {(c.account, V1, c.request_id) for c in calls}
    faults += [f"an outcome of no request: {request}" for request in seen.statuses.keys() - known]
    for name in ("orders", "money", "counts", "timelines", "audiences"):
        must, have = getattr(books, name), getattr(seen.books, name)
        for key in sorted(must.keys() | have.keys(), key=str):
            if must.get(key) != have.get(key):
                faults.append(f"{name} of {key}:\n  must be {must.get(key)}\n  but is  {have.get(key)}")
    faults += [f"{person} was named and is not known" for person in books.people - seen.books.people]
    faults += [f"{person} is known and was never named" for person in seen.books.people - books.people]
    return sorted(faults)
