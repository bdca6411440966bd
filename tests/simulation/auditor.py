"""How everything must end, computed from what was accepted. Shares no code with the package: only the rules.

The rules are those that the project's documents state: events are ordered by (occurred_at, time of receipt, position in
the batch), copies of one event count once, at the earliest receipt of any of them; and so on. Where two endings are
right (which content came first under an idempotency key, whether an unanswered v1 write was made), what was
seen decides which of the two it was, and then all the rest must follow from it.

Times are texts of 20 digits (YYYYMMDDHHMMSS and microseconds, UTC), persons are (account, kind, value).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class Purge:
    """A purge of orders first received up to `before`, or the erasure of `person`; asked for at `cut` (receipts).

    `marked`: from this receipt on whatever comes is new, also if it repeats what is taken out; between `cut` and that
    the request was under way, and what raced with it may have been taken for a repeat. `asked_at`
    and `answered`: when it was asked for and answered, in seconds of the run. `finished`: the job is done; if not, what
    it was to take out may stand or not. `payload` and `target` are as they were sent.
    """

    account: str
    sources: tuple[str, ...]
    before: str
    cut: str
    person: Person | None
    marked: str
    asked_at: float
    finished: bool
    answered: float
    payload: dict[str, Any] = field(default_factory=dict)
    target: str = ""


# ---------------------------------------------------------------- what was seen


@dataclass(slots=True)
class Version:
    """One change of a v1 order in the ledger, in their order there; `removed` as an action: the whole order went.

    `at`, and when it was taken out (`removed`) or emptied of whom it named (`redacted`), in seconds of the run.
    """

    action: str
    request_id: str
    id: str
    at: float
    number: int = 1
    body: bytes = b""
    removed: float | None = None
    redacted: float | None = None


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
    """`statuses`: by (account, source, request id), what the reader shows of it. `faults`: what could not be read.

    `traces`: where in the tables something stands by which a person is known. `stood`: by (account, received,
    position) of v3 events, when each was first there, in seconds of the run.
    """

    books: Books
    versions: dict[tuple[str, str], list[Version]]
    statuses: dict[tuple[str, str, str], str]
    faults: list[str] = field(default_factory=list)
    traces: dict[Person, list[str]] = field(default_factory=dict)
    stood: dict[tuple[str, str, int], float] = field(default_factory=dict)


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
        return "key", event.account, event.key, event.position
    if event.payload.get("occurred_at") not in (None, ""):
        return "content", event.account, _content(event.payload)
    return "request", event.account, event.request_id


def _order_of(event: Event) -> tuple[str, str, str]:
    return event.account, event.payload["provider"], str(event.payload["order_id"])


def _group(events: list[Event], purges: list[Purge], seen: Seen, faults: list[str]) -> list[_Group]:
    """Copies of one event together, and the statuses of all their requests checked."""
    fates = _Fates(events, purges, seen.stood)
    standing = {
        (person[0], activity.place[1], activity.place[2])
        for person, activities in seen.books.timelines.items()
        for activity in activities
        if purges and activity.source == V3
    }
    groups: dict[Any, list[Event]] = {}
    for event in events:
        groups.setdefault(_identity(event), []).append(event)
    found = []
    for identity, copies in groups.items():
        contents: dict[Any, list[Event]] = {}
        for event in copies:
            contents.setdefault(_content(event.payload), []).append(event)
        if purges and any(fates.of(event) for event in copies):
            earliest = _left(list(contents.values()), fates, standing, seen, faults)
        else:
            earliest = _counted(identity, list(contents.values()), seen, faults)
        if earliest is not None:
            occurred = earliest.payload.get("occurred_at")
            time = moment(occurred) if occurred else earliest.received
            found.append(_Group(earliest, (time, earliest.received, earliest.position)))
    return found


def _counted(identity: Any, contents: list[list[Event]], seen: Seen, faults: list[str]) -> Event | None:
    """The copy that counts: the earliest of the content that was applied, one copy of which is shown as that."""
    standing = []
    for members in contents:
        statuses = [seen.statuses.get((e.account, V3, e.request_id), "none") for e in members]
        if statuses.count("applied") == 1 and statuses.count("duplicate") == len(statuses) - 1:
            standing.append(members)
        elif set(statuses) != {"failed"} or len(contents) == 1:
            faults.append(f"requests of {identity[0]} {_ids(members)} ended as {statuses}")
    if len(standing) != 1:
        copies = [event for members in contents for event in members]
        faults.append(f"{len(standing)} contents of {identity[0]} {_ids(copies)} were applied, not 1")
        return None
    return min(standing[0], key=lambda e: (e.received, e.position))


GONE, MAYBE, RACED = "gone", "maybe", "raced"


class _Fates:
    """What purges and erasures make of each v3 event: nothing (empty), GONE, MAYBE or RACED.

    MAYBE: one outcome is as right as the other. That is so
    - where the job did not come to its end: then it took out what it came to;
    - in a purge up to a date, for what came between that date and the request about an order that began before: such
      an event goes if the order stands as one that began before when it is walked through. Events up to the date
      itself are dropped one by one, so that what the order began with may be gone already. Where both stood when the
      purge was asked for, and nothing else takes any of it out, it is GONE.
    RACED: received while the request was under way, before anything could know of it. It is new, unless it became one
    with a copy of it that was then taken out.
    """

    def __init__(self, events: list[Event], purges: list[Purge], stood: dict[tuple[str, str, int], float]) -> None:
        self._stood = stood
        self._of_order: dict[tuple[str, str, str], list[Event]] = {}
        self._purges = [purge for purge in purges if purge.person is not None or V3 in purge.sources]
        self._began: dict[tuple[str, str, str], str] = {}
        for event in events if self._purges else []:
            order = _order_of(event)
            self._began[order] = min(self._began.get(order, event.received), event.received)
            self._of_order.setdefault(order, []).append(event)

    def of(self, event: Event) -> str:
        fate = ""
        for purge in self._purges:
            if purge.account != event.account or purge.person not in (None, _person_v3(event)):
                continue
            if event.received <= purge.before:
                if purge.finished:
                    return GONE
                fate = MAYBE
            elif event.received <= purge.cut:
                if self._began[_order_of(event)] <= purge.before:
                    if self._stood_with_its_order(event, purge):
                        return GONE
                    fate = MAYBE
            elif event.received <= purge.marked and not fate:
                fate = RACED
        return fate

    def _stood_with_its_order(self, event: Event, purge: Purge) -> bool:
        """When the only purge of its account was asked for, both it and what its order began with."""

        def stood(one: Event) -> bool:
            return self._stood.get((one.account, one.received, one.position), purge.asked_at) < purge.asked_at

        if not purge.finished or sum(other.account == event.account for other in self._purges) > 1:
            return False
        first = (other for other in self._of_order[_order_of(event)] if other.received <= purge.before)
        return stood(event) and any(map(stood, first))

    def until(self, event: Event) -> str:
        """Up to which receipt another content under its key may have met it standing, though it is gone."""
        return min(
            (
                purge.marked
                for purge in self._purges
                if purge.finished
                and purge.account == event.account
                and event.received <= purge.before
                and purge.person in (None, _person_v3(event))
            ),
            default="9",
        )

    def outcomes(self, event: Event, fate: str) -> set[str]:
        """What may be shown of the request: a purge forgets what became of it, an erasure does not."""
        forgetting = [
            purge.finished
            for purge in self._purges
            if purge.person is None and purge.account == event.account and event.received <= purge.before
        ]
        if any(forgetting) and fate == GONE:  # `failed`: dropped when it came out of the queue after all
            return {"none", "failed"}
        return {"applied", "duplicate", "failed"} | ({"none"} if forgetting else set())


def _left(
    contents: list[list[Event]], fates: _Fates, standing: set[tuple[str, str, int]], seen: Seen, faults: list[str]
) -> Event | None:
    """The copy that counts, where a purge or an erasure concerns some of them."""
    copies = [event for members in contents for event in members]
    fate = {id(event): fates.of(event) for event in copies}
    status = {id(e): seen.statuses.get((e.account, V3, e.request_id), "none") for e in copies}

    def wrong(what: str) -> None:
        shown = [(e.request_id, e.position, e.received, fate[id(e)], status[id(e)]) for e in copies]
        faults.append(f"{what}: {shown}")

    found = [e for e in copies if (e.account, e.received, e.position) in standing]
    new = [e for e in copies if not fate[id(e)]]
    for event in copies:
        if status[id(event)] not in fates.outcomes(event, fate[id(event)]):
            wrong(f"{event.request_id} cannot be {status[id(event)]}")
    if len(found) > 1:
        wrong("stands more than once")

    def met_another(event: Event) -> bool:
        return any(
            fate[id(e)] and event.received <= fates.until(e) and _content(e.payload) != _content(event.payload)
            for e in copies
        )

    if not found:
        # Another content that was gone in the end may have stood under the key when these came.
        if not any(fate[id(e)] in (GONE, MAYBE) for e in copies):
            wrong("is gone, and nothing took it out")
        if any(status[id(e)] != "failed" or not met_another(e) for e in new):
            wrong("is new, and is gone")
        return None
    stands = found[0]
    if fate[id(stands)] == GONE:
        wrong(f"{stands.request_id} was to be taken out, and stands")
    alike = next(members for members in contents if stands in members)
    counted = [e for e in alike if not fate[id(e)] and not (status[id(e)] == "failed" and met_another(e))]
    place = stands.received, stands.position
    if any((e.received, e.position) < place for e in counted):
        wrong("does not stand at its earliest receipt")
    for event in new:
        fitting = ("applied", "duplicate") if event in alike else ("failed",)
        if status[id(event)] not in fitting and not (status[id(event)] == "failed" and met_another(event)):
            wrong(f"{event.request_id} is {status[id(event)]}")
    applied = sum(status[id(e)] == "applied" for e in alike)
    # Of two deliveries of a RACED one at once, the first told that another stood there, the second put it in the place
    # of what was taken out, and was killed before it told so. Or it was killed with its write on the way, which was
    # made when a purge or an erasure had taken what the other one met (seeds 99049121, 101032394).
    told = (
        fate[id(stands)] == RACED
        or (fate[id(stands)] == MAYBE and stands.key is not None)
        or (status[id(stands)] == "failed" and met_another(stands))
    )
    if not applied and not told and not any("none" in fates.outcomes(e, fate[id(e)]) for e in alike):
        wrong("stands, and no request of it is applied")
    if sum(status[id(e)] == "applied" for e in new) > 1:
        wrong("is applied more than once")
    return stands


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


@dataclass(slots=True)
class _State:
    """A v1 order between two changes: `first` is its submission, received at `born`."""

    since: float
    document: dict[str, Any] | None = None
    id: str = ""
    first: dict[str, Any] | None = None
    first_id: str = ""
    born: str = ""
    first_version: Version | None = None
    life: tuple[_Made, ...] = ()  # what made it, from its submission on


@dataclass(slots=True)
class _Made:
    """One version, and what it says."""

    version: Version
    call: Call
    document: dict[str, Any]  # of a deletion: what was deleted
    place: tuple[str, str, int]
    person: Person | None

    def __repr__(self) -> str:
        version = self.version
        ended = "".join(f", {n} {getattr(version, n)}" for n in ("removed", "redacted") if getattr(version, n))
        return f"<{version.action} {version.request_id} received {self.call.received}, {self.person}{ended}>"


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
    account: str, order_id: str, calls: list[Call], versions: list[Version], purges: list[Purge],
    books: Books, faults: list[str],
) -> None:  # fmt: skip
    by_id = {call.request_id: call for call in calls}
    where = f"v1 order {account}/{order_id}"
    states = [_State(float("-inf"))]
    written: dict[str, int] = {}
    lives: list[list[_Made]] = []  # of each: from its submission on
    number = 0
    for version in versions:
        call, before = by_id.get(version.request_id), states[-1]
        if version.action == "removed":
            states.append(_State(version.at))
            number = version.number
            continue
        made_before = written.get(version.request_id)
        if (
            call is None
            or call.kind != version.action
            or (made_before is not None and not _was_removed(versions, version))
        ):
            faults.append(f"{where}: {version} is of no request, or of one that was made already")
            return
        written[version.request_id] = len(states)
        if version.at < call.start:
            faults.append(f"{where}: {version} came before its request")
        if version.number != number + 1:
            faults.append(f"{where}: {version} comes after number {number}")
        number = version.number
        document: dict[str, Any] | None = None
        occurred = call.received
        if version.action == "submitted":
            document = _document(call.payload)
            state = _State(version.at, document, version.id, document, version.id, call.received, version)
            free = before.document is None or any(
                p.asked_at <= version.at and p.cut < call.received and _goes(before, p) for p in purges
            )
            new = made_before is not None or version.id not in {s.id for s in states}
            possible = free and document is not None and new
            occurred = document["order_date"] if document else ""
            lives.append([])
        elif version.action == "edited":
            document = _edited(before.document, call.payload) if before.document else None
            state = replace(before, since=version.at, document=document)
            possible = document is not None and document != before.document and version.id == before.id
        else:
            state = _State(version.at)
            possible = before.document is not None and version.id == before.id
        if not possible:
            faults.append(f"{where}: {version} cannot follow {before}")
            return
        said = document or before.document or {}
        made = _Made(version, call, said, (occurred, call.received, 0), _person_v1(account, said))
        lives[-1].append(made)
        states.append(replace(state, life=tuple(lives[-1])))
    redacted_at = {version.request_id: version.redacted for version in versions if version.redacted is not None}
    removed = {version.request_id: version.removed for version in versions if version.removed is not None}
    for call in calls:
        # Its answer was lost, and what it made was purged before its next try, which cannot know of it (seed 1958).
        forgotten = removed.get(call.request_id, float("inf")) <= call.end
        # Or what it made was emptied by an erasure, and its next try tells the order as it is (seed 4010486).
        emptied = redacted_at.get(call.request_id, float("inf")) <= call.end
        _check_call(call, states, written, purges, where, faults, forgotten=forgotten, emptied=emptied)
    current = states[-1].document
    for life in lives:
        fate, redacted = _fate_of_life(life, purges)
        gone = [made.version.removed is not None for made in life]
        if fate != MAYBE and gone != [fate == GONE] * len(life):
            faults.append(f"{where}: a life that must {'go' if fate == GONE else 'stay'}: {life}")
        if fate == MAYBE and len(set(gone)) > 1:
            faults.append(f"{where}: half of it is gone: {life}")
        for made in life:
            if made.version.removed is not None:
                continue
            must = redacted.get(id(made), "")
            if fate != MAYBE and must != MAYBE and (made.version.redacted is not None) != (must == GONE):
                faults.append(f"{where}: of {made.person} there must {'' if must else 'not '}be nothing left: {made}")
            if made.person and made.version.redacted is None:
                books.people.add(made.person)
                name = NAMES[made.version.action]
                books.timelines.setdefault(made.person, []).append(Activity(made.place, name, V1, order_id))
    if current is not None and lives and not any(made.version.removed is not None for made in lives[-1]):
        person = _person_v1(account, current)
        books.orders[account, V1, "", order_id] = Order(
            person, current["currency"], current.get("total", Decimal(0)),
            addresses=(_first_line(current, "shipping_address"), _first_line(current, "billing_address")),
            customer=current.get("customer_id", "") if person and person[1] == "email" else "",
        )  # fmt: skip


def _was_removed(versions: list[Version], version: Version) -> bool:
    """Whether what the same request had made before was purged meanwhile: then its next try, after a lost answer,
    cannot know of it."""
    return all(
        v is version or (v.removed is not None and v.removed <= version.at)
        for v in versions
        if v.request_id == version.request_id and v.at <= version.at
    )


def _goes(state: _State, purge: Purge) -> bool:
    """Whether an order is to go by a purge or an erasure: what is submitted after that takes its place."""
    if state.document is None:
        return False
    if purge.person is None:
        return V1 in purge.sources and state.born <= purge.before
    return state.born <= purge.cut and _stayed_with(purge.person, state.life, purge.cut)


def _stayed_with(person: Person, life: Sequence[_Made], cut: str) -> bool:
    """Whether an order was theirs when the erasure was asked for, and ever since."""
    known = [number for number, made in enumerate(life) if made.call.received <= cut]
    return bool(known) and all(made.person == person for made in life[known[-1] :])


def _fate_of_life(life: list[_Made], purges: list[Purge]) -> tuple[str, dict[int, str]]:
    """Whether an order, from its submission to its end, goes; and which of its versions lose whom they named.

    An erasure takes an order out with all its versions if it belonged to the person when it was asked for, and ever
    since (or ended as theirs). One that was handed on meanwhile stays with its new owner, also if it was handed back.
    """
    fate = ""
    redacted: dict[int, str] = {}
    for purge in purges:
        if purge.person is None:
            if V1 in purge.sources and life[0].call.received <= purge.before:
                fate = GONE if purge.finished else fate or MAYBE
            continue
        if life[0].call.received > purge.cut:
            continue  # a new order, with all that was said of it
        if _stayed_with(purge.person, life, purge.cut):
            fate = GONE if purge.finished else fate or MAYBE
            continue
        for made in life:
            if made.call.received <= purge.cut and made.person == purge.person and redacted.get(id(made)) != GONE:
                redacted[id(made)] = GONE if purge.finished else MAYBE
    return fate, redacted


def _first_line(document: dict[str, Any], name: str) -> str:
    return str((document.get(name) or {}).get("address_1", ""))


def _check_call(
    call: Call, states: list[_State], written: dict[str, int], purges: list[Purge], where: str, faults: list[str], *,
    forgotten: bool, emptied: bool,
) -> None:  # fmt: skip
    """Whether the answer is one that the order could give: by its own change, or by a state it had meanwhile."""
    at = written.get(call.request_id)
    if call.status is None or call.status >= 500:
        return
    if at is not None:
        before, after = states[at - 1], states[at]
        # Its answer was lost, and the order purged before its next try.
        if call.status == 404 and any(s.since <= call.end and s.document is None for s in states[at + 1 :]):
            return
        shown = before if call.kind == "deleted" else after
        expected = 201 if call.kind == "submitted" else 200
        if call.status == expected and _answers(call.body, shown.id, shown.document):
            return
        if emptied and any(s.id == after.id and _answers(call.body, s.id, s.document) for s in states[at + 1 :]):
            return
        # A try that was not answered took effect after the look that told the answer: the same content stood there,
        # and went since (seeds 6004645, 6020743).
        overtaken = call.hampered and call.kind == "submitted" and call.status == 201
        if not forgotten and not overtaken:
            faults.append(f"{where}: {call} was made, and answered as if it was not, or with another order")
            return
    ends = [state.since for state in states[1:]] + [float("inf")]
    for state, until in zip(states, ends, strict=True):
        if state.since > call.end or until < call.start:
            continue
        # What was submitted after the answer to a purge is new, whether the purge has come to the old one or not.
        late = call.kind == "submitted" and state.document is not None and any(
            p.answered < call.start and _goes(state, p) for p in purges
        )  # fmt: skip
        if not late and _explains(call, state):
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
            version = state.first_version
            # Where the first answer named somebody who was erased, it is the order as it is.
            redacted = version is not None and version.redacted is not None and version.redacted <= call.end
            return call.status == 201 and (
                _answers(call.body, state.first_id, state.first)
                or (redacted and _answers(call.body, state.id, state.document))
            )
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


def expected(
    events: list[Event], calls: list[Call], seen: Seen, purges: list[Purge] | None = None
) -> tuple[Books, list[str]]:
    """The books as they must be, and what in statuses, answers and versions contradicts what was accepted."""
    books, faults, purges = Books(), list(seen.faults), purges or []
    for purge in purges:
        _check_purge(purge, faults)
    orders: dict[tuple[str, str, str, str], list[_Group]] = {}
    for group in _group(events, purges, seen, faults):
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
        concern = [purge for purge in purges if purge.account == account]
        _v1_order(account, order_id, of_order, versions, concern, books, faults)
        made = {version.request_id: version for version in versions}
        for call in of_order:
            status = seen.statuses.get((account, V1, call.request_id), "none")
            fitting = {"applied"} if call.request_id in made else {"none"}
            if call.request_id not in made and call.kind == "submitted" and (call.status or 500) in (201, 500, 503):
                fitting = {"duplicate"} if call.status == 201 and not call.hampered else {"none", "duplicate"}
            forgets = [
                p.finished for p in concern if p.person is None and V1 in p.sources and call.received <= p.before
            ]
            if forgets:
                # An edit that was received before the purge may be one of an order that came after it.
                stays = call.request_id in made and made[call.request_id].removed is None
                fitting = {"none"} if any(forgets) and not stays else {"none", *fitting}
            elif call.request_id in made and made[call.request_id].removed is not None:
                # Taken out with its order: before or after the message about it was looked at.
                fitting = {"none", "applied"}
                # Its next try met the same order, submitted again; or was told that it was a repeat, before a try that
                # was not answered took effect (seed 103080857: see `overtaken`).
                if made[call.request_id].removed <= call.end or (call.hampered and made[call.request_id].at > call.end):
                    fitting.add("duplicate")
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


def _check_purge(purge: Purge, faults: list[str]) -> None:
    """Whether what was asked for is what is being done."""
    if purge.person is not None:
        names = {("customer", purge.target), ("person", purge.target), ("email", purge.target.lower())}
        if is_email(purge.target):
            names = {("email", email_hash(purge.target))}
        if (purge.person[1:] not in names) or purge.before != purge.cut:
            faults.append(f"{purge} is not whom it was asked to erase")
        return
    source = purge.payload.get("source")
    asked = purge.payload.get("before")
    if purge.sources != ((source,) if source else (V1, V3)) or purge.before != min(
        moment(asked) if asked else purge.cut, purge.cut
    ):
        faults.append(f"{purge} is not what was asked for")


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
    # A job that did not come to its end may leave people behind who have nothing any more.
    unfinished = {purge.account for purge in purges if not purge.finished}
    faults += [
        f"{person} is known and was never named"
        for person in seen.books.people - books.people
        if person[0] not in unfinished
    ]
    for purge in purges:
        places = seen.traces.get(purge.person, []) if purge.person else []
        if places and purge.finished and purge.person not in books.people:
            faults.append(f"{purge.person} was erased, and is found in {places}")
    return sorted(faults or read(books))
