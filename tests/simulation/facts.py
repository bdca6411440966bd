"""The auditor's records: accepted requests, the contents of the tables, and the marks of purges and erasures.

Times are texts of 20 digits (YYYYMMDDHHMMSS and microseconds, UTC), persons are (account, kind, value).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

Person = tuple[str, str, str]  # account, kind (email, person, customer), value
Money = dict[tuple[str, str | None], Decimal]  # by source and currency; None means the account's currency
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
VOIDED = "voided"  # sent by connectors: names nobody, and the order counts 0 until a later event has a total
NEVER = float("inf")


# ------------------------------------------------------------ accepted requests


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
    """One v1 request. `status` is None if no answer arrived. `start` and `end` are in seconds of the run.

    `hampered`: calls to AWS failed during the request, so the writes that are only best effort may be missing.
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
    """A purge of sources, or the erasure of `person`, whose request was received at `asked`.

    `start` and `answered` are in seconds of the run. `finished`: the job is done; if it is not, the items that it has
    to delete may exist or not. `payload` and `target` are those of the request.
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
    """The mark of a purge or of an erasure. Requests that were received up to the `cut` are purged or erased.

    `name` is `o` for a purge of the Orders API (v1), `s` for one of Order Activity (v3), and `p` with the internal id
    of the person for an erasure. `at` is the time of the write in seconds of the run.
    """

    account: str
    name: str
    cut: str
    at: float
    person: Person | None = None


# ------------------------------------------------------ contents of the tables


@dataclass(slots=True)
class Version:
    """One version of a v1 order. A version with the action `erased` records that an erasure deleted the order.

    `at`: when it was written. `emptied`: when an erasure emptied it. Both are in seconds of the run.
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
    """The final state of an order.

    A v1 order sets only person, currency, contribution, `first`, addresses and customer.
    """

    person: Person | None
    currency: str | None
    contribution: Decimal
    total: Decimal | None = None
    refunds: Decimal = Decimal(0)
    action: str = ""
    events: int = 0  # number of its events
    first: str = ""  # when its earliest event occurred, or the date of a v1 order
    last: str = ""  # when the latest event that names a person occurred
    added: str = ""  # when the first of its events was received
    flagged: bool = False
    addresses: tuple[str, str] = ("", "")  # the first lines of the shipping and the billing address
    customer: str = ""  # the customer id of a v1 order that belongs to an e-mail address


@dataclass(frozen=True, slots=True, order=True)
class Activity:
    """An entry of a timeline, which is sorted by `place`: (occurred_at, time of receipt, position in the batch)."""

    place: tuple[str, str, int]
    name: str
    source: str
    order_id: str


@dataclass
class Books:
    """The data of people and orders: read from the tables, or computed by the auditor."""

    orders: dict[tuple[str, str, str, str], Order] = field(default_factory=dict)  # account, source, provider, id
    money: dict[Person, Money] = field(default_factory=dict)
    counts: dict[Person, dict[tuple[str, str | None], int]] = field(default_factory=dict)
    timelines: dict[Person, list[Activity]] = field(default_factory=dict)
    people: set[Person] = field(default_factory=set)
    # By account and source: how many records, of how many orders.
    audiences: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


@dataclass
class Seen:
    """The contents of the tables.

    `versions`: by account, order id and generation. `statuses`: by (account, source, request id), as the API shows
    them. `written`: (account, request id) of the stored v3 events that no purge covers, including those that an erasure
    emptied. `undeleted`: partition keys of items that remain of purged scopes. `faults`: inconsistencies found while
    reading. `traces`: keys of the items in which a person is found.
    """

    books: Books
    versions: dict[tuple[str, str, int], list[Version]]
    statuses: dict[tuple[str, str, str], str]
    faults: list[str] = field(default_factory=list)
    traces: dict[Person, list[str]] = field(default_factory=dict)
    written: set[tuple[str, str]] = field(default_factory=set)
    marks: list[Mark] = field(default_factory=list)
    undeleted: list[str] = field(default_factory=list)


class Cuts:
    """The cuts of purges and erasures (requests received up to a cut are deleted), and which jobs did not finish."""

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
        """The latest cut of a purge of the source; empty if there is none."""
        return max((mark.cut for mark in self.of_source(account, source)), default="")

    def person(self, person: Person | None) -> str:
        """The latest cut of an erasure of the person; empty if there is none."""
        return max((mark.cut for mark in self.of_person(person)), default="")

    def all_purges_finished(self, account: str, source: str) -> bool:
        return (account, source) not in self._unfinished

    def all_erasures_finished(self, person: Person | None) -> bool:
        """Whether all erasures of the person finished."""
        return person not in self._unerased
