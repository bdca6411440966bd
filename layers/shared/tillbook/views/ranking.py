"""Customers by lifetime value, number of orders or last order, and the number of customers in each segment.

The people of each day, with their orders and amounts, are counted from the cards of the book and kept as summaries. A
list adds up all days. Orders cause no additional writes, and a list that nobody requests costs nothing.

At most MOST_PEOPLE are added up in one pass. If there are more, several passes each take a range of ids, possibly in
several requests, and the first MOST_LISTED of the result are kept for an hour.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from heapq import nsmallest
from typing import ClassVar, Literal, NamedTuple

from tillbook.ledger.items import Scope
from tillbook.records.accounts import Account
from tillbook.records.book import Book, CardItem, Summary
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.dates import date_of, dates_within, zone_of
from tillbook.rules.errors import Malformed, Unavailable
from tillbook.rules.json_text import Json
from tillbook.rules.segments import Bounds, Segment, segment_named
from tillbook.views.csv_pages import csv_of
from tillbook.views.people import People
from tillbook.views.sales import LARGE_DAY_SECONDS, Days

PEOPLE, _LIST = "people", "people-list"  # kinds of summaries
MOST_PEOPLE, MOST_LISTED = 50_000, 10_000
RANK = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,4})?/[0-9a-f]{32}", re.ASCII)  # Rank.text, which a cursor encodes
_DAYS_AT_ONCE = 100
_MONTH_SECONDS = 30 * 24 * 3600  # the marks of erasures are kept as long
_COLUMNS = (
    "id", "email_sha256", "person_id", "customer_id", "currency", "lifetime_value", "orders_count", "first_order_on",
    "last_order_on",
)  # fmt: skip

Sort = Literal["lifetime_value", "orders", "last_order"]


@dataclass
class Buyers:
    """The people of a day: number of orders and sum of contributions, by currency and person."""

    unfinished: ClassVar[str] = "people-unfinished"
    kept_seconds: ClassVar[int | None] = _MONTH_SECONDS  # bounded, since erasures do not change summaries
    found: dict[tuple[str, str], tuple[int, Decimal]] = field(default_factory=dict)

    @property
    def orders(self) -> int:
        return sum(orders for orders, _ in self.found.values())

    def count(self, card: CardItem) -> None:
        if card.counts and card.person:
            orders, net = self.found.get((card.currency, card.person), (0, ZERO))
            self.found[card.currency, card.person] = orders + 1, EXACT.add(net, card.net)

    def rows(self) -> dict[str, Json]:
        """The people as columns (currency, sorted ids, orders, amounts), which are parsed much faster than rows."""
        columns: dict[str, tuple[list[str], list[str], list[str]]] = {}
        for (currency, person), (orders, net) in sorted(self.found.items()):
            ids, counts, amounts = columns.setdefault(currency, ([], [], []))
            ids.append(person)
            counts.append(str(orders))
            amounts.append(str(net))
        return {PEOPLE: [[currency, *map(" ".join, column)] for currency, column in columns.items()]}

    @classmethod
    def of(cls, rows: Mapping[str, Json]) -> Buyers:
        return cls({
            (currency, person): (int(orders), Decimal(net))
            for currency, *columns in rows[PEOPLE]
            for person, orders, net in zip(*(column.split(" ") for column in columns), strict=True)
        })  # fmt: skip


@dataclass(slots=True)
class Buyer:
    """A person over all days. `values` has, for each question, the lifetime value in the question's currency."""

    first: date
    last: date
    orders: int
    values: list[Decimal]


class Question(NamedTuple):
    """A list to compute: its sort key, the currency of the lifetime value, and the bounds that people must meet."""

    sort: Sort
    currency: str
    bounds: tuple[Bounds, ...] = ()
    ascending: bool = False

    def rank(self, person: str, buyer: Buyer) -> Rank:
        value = buyer.values[0]
        if self.sort != "lifetime_value":
            value = Decimal(buyer.orders if self.sort == "orders" else buyer.last.toordinal())
        place = value if self.ascending else EXACT.minus(value)
        return Rank(place, person, buyer.first.toordinal(), buyer.last.toordinal())


class Rank(NamedTuple):
    """A place in a list, which is sorted by `value`, then by id.

    `value` is negated if the largest is first. `first` and `last` are the dates of the person's first and last order
    (ordinals of dates).
    """

    value: Decimal
    person: str
    first: int = 0
    last: int = 0

    @property
    def text(self) -> str:
        """The place as text for a cursor."""
        return f"{self.value:f}/{self.person}"

    @classmethod
    def of(cls, text: str) -> Rank:
        value, _, person = text.partition("/")
        return cls(Decimal(value), person)

    @property
    def place(self) -> tuple[Decimal, str]:
        return self.value, self.person


class Listed(NamedTuple):
    """A page of a list. `total`: number of people who match. `late`: stamp of the state that it shows, empty if
    that is current. `next`: Rank.text after which the next page begins; None at the end."""

    ranks: list[Rank]
    total: int
    late: str
    next: str | None


class Members(NamedTuple):
    """The number of people in a segment, and the sum of their lifetime values."""

    people: int = 0
    value: Decimal = ZERO

    def add(self, value: Decimal) -> Members:
        return Members(self.people + 1, EXACT.add(self.value, value))


class _State(NamedTuple):
    """The result for people with ids up to `until` (empty: for all people).

    For each question, `tops` has the first people, and `members` the number and sum of all who match. `as_of` is the
    stamp of the oldest numbers, `passes` the number of passes that were made.
    """

    until: str
    tops: list[list[Rank]]
    members: list[Members]
    as_of: str
    passes: int


@dataclass(frozen=True)
class Ranking:
    book: Book
    account: Account
    marks: Marks
    may_go_on: Callable[[], bool] = lambda: True

    def listed(self, question: Question, limit: int, after: Rank | None) -> Listed:
        """A page of a list. Raises Unavailable if there is not enough time; the next call continues the work."""
        state = self._found((question,), limit + 1, after)
        (top,), (members,) = state.tops, state.members
        if state.passes > 1 and after is not None:
            top = [rank for rank in top if rank.place > after.place]
        more = len(top) > limit
        return Listed(top[:limit], members.people, state.as_of, top[limit - 1].text if more else None)

    def segments(self, segments: Sequence[Segment]) -> tuple[list[Members], int, str]:
        """(members of each segment, number of all people, stamp of the state that was counted or empty if current)."""
        own = self.account.currency
        questions = [Question("orders", one.currency or own, (one.bounds(_today(self.account)),)) for one in segments]
        state = self._found((*questions, Question("orders", own)), 0, None)
        return state.members[:-1], state.members[-1].people, state.as_of

    def segments_shown(self) -> dict[str, Json]:
        own = self.account.segments
        found, everyone, late = self.segments(own)
        return {
            "segments": [
                segment._asdict()
                | segment.shown()
                | {
                    "currency": segment.currency or self.account.currency,
                    "people": members.people,
                    "lifetime_value": amount_text(members.value),
                }
                for segment, members in zip(own, found, strict=True)
            ],
            "people": everyone,
            "as_of": times.iso(late) if late else None,
        }

    # ------------------------------------------------------------- adding up

    def _found(self, questions: tuple[Question, ...], most: int, after: Rank | None) -> _State:
        """The result for all people, stored or computed. Raises Unavailable if there is not enough time.

        If one pass takes all people, `tops` has up to `most` people after the place `after`. Otherwise it has the first
        MOST_LISTED people of the list, or none if `most` is 0.
        """
        scopes = [self.marks.scope(source) for source in self.account.sources]
        name = hashlib.sha256(repr((questions, [scope.name for scope in scopes])).encode()).hexdigest()[:32]
        state = self._kept(scopes[0], name, len(questions))
        while state is None or state.until:
            begin = state or _State("", [[] for _ in questions], [Members() for _ in questions], times.now(), 0)
            people, until, late = self._people(scopes, questions, begin.until)
            if begin.passes == 0 and not until:
                # One pass took all people: this is exact, and as cheap as reading a stored result.
                tops, members = _matching(people, questions, most, after)
                return _State("", tops, members, late, 1)
            tops, members = _matching(people, questions, MOST_LISTED if most else 0, None)
            state = _State(
                until,
                [nsmallest(MOST_LISTED, both) for both in map(_both, begin.tops, tops)],
                [
                    Members(a.people + b.people, EXACT.add(a.value, b.value))
                    for a, b in zip(begin.members, members, strict=True)
                ],
                min(filter(None, (begin.as_of, late))),
                begin.passes + 1,
            )
            self._keep(scopes[0], name, state)
            if until and not self.may_go_on():
                raise Unavailable("There are too many people to add up within the time. Please ask again.")
        return state

    def _people(
        self, scopes: Iterable[Scope], questions: Sequence[Question], after_id: str
    ) -> tuple[dict[str, Buyer], str, str]:
        """(people with ids after `after_id`, last id or empty if these are all, stamp of the oldest state or empty)."""
        people: dict[str, Buyer] = {}
        until, lates = "", set[str]()
        wanted: dict[str, list[int]] = {}
        for number, question in enumerate(questions):
            wanted.setdefault(question.currency, []).append(number)
        nothing = [ZERO] * len(questions)
        for scope in scopes:
            for day, currency, ids, counts, amounts in self._days(scope, lates):
                numbers = wanted.get(currency or self.account.currency, ())
                begin, end = bisect_right(ids, after_id), bisect_right(ids, until) if until else len(ids)
                for person, orders, amount in zip(ids[begin:end], counts[begin:end], amounts[begin:end], strict=True):
                    buyer = people.get(person)
                    if buyer is None:
                        buyer = people[person] = Buyer(day, day, 0, nothing.copy())
                    elif day > buyer.last:
                        buyer.last = day
                    elif day < buyer.first:
                        buyer.first = day
                    buyer.orders += int(orders)
                    if numbers:
                        value = EXACT.add(buyer.values[numbers[0]], Decimal(amount))
                        for number in numbers:
                            buyer.values[number] = value
                if len(people) > MOST_PEOPLE:
                    # Only the first half of the ids is kept; a later pass takes the others.
                    until = sorted(people)[len(people) // 2 - 1]
                    people = {person: buyer for person, buyer in people.items() if person <= until}
        return people, until, min(lates, default="")

    def _days(self, scope: Scope, lates: set[str]) -> Iterator[tuple[date, str, list[str], list[str], list[str]]]:
        """(day, currency, ids, orders, amounts). Days are read in groups, which bounds the memory."""
        zone = zone_of(self.account.time_zone)
        known = sorted({day for utc_day in self.book.changes(scope) for day in dates_within(utc_day, zone)})
        days = Days(self.book, self.account.time_zone, self.may_go_on, Buyers)
        for begin in range(0, len(known), _DAYS_AT_ONCE):
            if begin and not self.may_go_on():
                raise Unavailable("There are too many orders to add up people within the time. Please ask again.")
            end = min(begin + _DAYS_AT_ONCE, len(known)) - 1
            for counted in days.of(scope, PEOPLE, known[begin], known[end]):
                lates.update([counted.late] if counted.late else [])
                for currency, *columns in counted.rows:
                    ids, counts, amounts = (column.split(" ") for column in columns)
                    yield counted.day, currency, ids, counts, amounts

    # --------------------------------------- results that are kept for an hour

    def _kept(self, scope: Scope, name: str, width: int) -> _State | None:
        # A list is kept as a summary with its name instead of a time zone, and 0 instead of a date.
        kept = self.book.kept(scope, name, _LIST, "0", "0").get("0")
        if kept is None or kept.as_of <= times.shift(times.now(), seconds=-LARGE_DAY_SECONDS):
            return None
        tops = [[Rank(Decimal(value), *rest) for value, *rest in top] for top in kept.sums["tops"]]
        members = [Members(people, Decimal(value)) for people, value in kept.sums["members"]]
        return (
            _State(kept.sums["until"], tops, members, kept.as_of, kept.sums["passes"]) if len(tops) == width else None
        )

    def _keep(self, scope: Scope, name: str, state: _State) -> None:
        sums = {
            "until": state.until,
            "passes": state.passes,
            "tops": [[[str(rank.value), *rank[1:]] for rank in top] for top in state.tops],
            "members": [[one.people, str(one.value)] for one in state.members],
        }
        self.book.keep(scope, name, _LIST, "0", Summary({}, state.as_of, sums), LARGE_DAY_SECONDS)


def within(question: Question, account: Account, name: str, currency: str | None) -> Question:
    """The question, limited to a segment, and in its currency unless `currency` is given. Raises Malformed."""
    segment = segment_named(account.segments, name)
    if segment is None:
        known = ", ".join(one.name for one in account.segments) or "none"
        raise Malformed(f"segment is not one of the account's: {known}.", "segment")
    own = segment.currency or account.currency
    of_value = (segment.min_lifetime_value, segment.max_lifetime_value) != (None, None)
    if currency and currency.upper() != own and of_value:
        raise Malformed(f"currency must be that of the segment, {own}.", "currency")
    asked = question.currency if currency else own
    return question._replace(currency=asked, bounds=(*question.bounds, segment.bounds(_today(account))))


def _today(account: Account) -> date:
    return date_of(times.now(), zone_of(account.time_zone))


def _both(one: list[Rank], other: list[Rank]) -> list[Rank]:
    return one + other


def _matching(
    people: dict[str, Buyer], questions: Sequence[Question], most: int, after: Rank | None
) -> tuple[list[list[Rank]], list[Members]]:
    """Finds, for each question, the first `most` people after the place `after`, and the sums over all who match."""
    tops: list[list[Rank]] = []
    sums: list[Members] = []
    for number, question in enumerate(questions):
        members, ranks = Members(), list[Rank]()
        for person, buyer in people.items():
            value = buyer.values[number]
            if all(bounds.hold(value, buyer.orders, buyer.last) for bounds in question.bounds):
                members = members.add(value)
                if most:
                    ranks.append(question.rank(person, buyer))
        following = ranks if after is None else [rank for rank in ranks if rank.place > after.place]
        tops.append(nsmallest(most, following))
        sums.append(members)
    return tops, sums


def shown(people: People, ranks: Sequence[Rank]) -> list[Json]:
    """Entries of a list with current values, except the dates. People erased since the ranking are left out."""
    found = people.known([rank.person for rank in ranks])
    return [
        people.worth(found[rank.person]) | {"first_order_on": _date(rank.first), "last_order_on": _date(rank.last)}
        for rank in ranks
        if rank.person in found
    ]


def _date(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


def as_csv(entries: list[Json], currency: str) -> str:
    """Entries as CSV, with the lifetime value in one currency."""
    rows = [
        entry | {"currency": currency, "lifetime_value": entry["lifetime_value"].get(currency, amount_text(ZERO))}
        for entry in entries
    ]
    return csv_of(_COLUMNS, rows, numbers=("lifetime_value",))
