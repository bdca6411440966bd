"""Sums of each day by order date: of sales, of items, and of audience records. The book stores a day's sums until an
order of that day changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import ClassVar, NamedTuple, Protocol, Self

from tillbook.ledger.items import Scope
from tillbook.records.book import SIZE, UTC, Book, CardItem, Summary, spans_by_month
from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.dates import Span, date_of, dates_within, digits_of, shifted, spans_of, utc_days, zone_of
from tillbook.rules.errors import Unavailable
from tillbook.rules.json_text import Json

SALES, ITEMS = "sales", "items"  # kinds of summaries: by attributes of orders, and by their items
# A day with more orders than this is summed up once an hour only, and shows the time of its sums.
LARGE_DAY, LARGE_DAY_SECONDS = 20_000, 3600
_CARDS_BETWEEN_LOOKS_AT_THE_CLOCK = 500
_NO_TIME = "There are too many orders to sum up within the time. Please ask again."


@dataclass(slots=True)
class Cell:
    """A cell of a summary: number of orders, and sums of (total, refunds, net) or, for items, (quantity, amount)."""

    orders: int = 0
    numbers: list[Decimal] = field(default_factory=list)

    def add(self, orders: int, numbers: Iterator[Decimal] | list[Decimal]) -> None:
        self.orders += orders
        added = list(numbers)
        old = self.numbers or [ZERO] * len(added)
        self.numbers = [EXACT.add(a, b) for a, b in zip(old, added, strict=True)]


Cells = dict[tuple[str, ...], Cell]


class Counter(Protocol):
    """Adds up the cards of a day.

    `unfinished` is the kind under which unfinished sums are stored. `kept_seconds` is how long sums are stored; None:
    until the day changes.
    """

    unfinished: ClassVar[str]
    kept_seconds: ClassVar[int | None]

    @property
    def orders(self) -> int: ...

    def count(self, card: CardItem) -> None: ...

    def rows(self) -> dict[str, Json]:
        """The sums by kind of summary, in their stored form."""

    @classmethod
    def of(cls, rows: Mapping[str, Json]) -> Self: ...


@dataclass
class Sums:
    """The sums of a day: `sales` by (provider, currency, new_buyer, promo code in lower case), `items` by (`category`
    or `item`, currency, name)."""

    unfinished: ClassVar[str] = "unfinished"
    kept_seconds: ClassVar[int | None] = None
    sales: Cells = field(default_factory=dict)
    items: Cells = field(default_factory=dict)

    @property
    def orders(self) -> int:
        return sum(cell.orders for cell in self.sales.values())

    def count(self, card: CardItem) -> None:
        if not card.counts:
            return
        key = card.provider, card.currency, card.new_buyer, card.promo_code.lower()
        self.sales.setdefault(key, Cell()).add(1, [card.total, card.refunds, card.net])
        cells: dict[tuple[str, ...], list[Decimal]] = {}
        for line in card.items:
            for group, name in (("category", line.category), ("item", line.identifier)):
                quantity, amount = cells.get((group, card.currency, name), (ZERO, ZERO))
                cells[group, card.currency, name] = [
                    EXACT.add(quantity, line.quantity), EXACT.add(amount, line.amount),
                ]  # fmt: skip
        for found, numbers in cells.items():
            self.items.setdefault(found, Cell()).add(1, numbers)

    def rows(self) -> dict[str, Json]:
        """The sums by kind of summary, in their stored form."""
        return {
            kind: [[*key, cell.orders, *map(str, cell.numbers)] for key, cell in cells.items()]
            for kind, cells in ((SALES, self.sales), (ITEMS, self.items))
        }

    @classmethod
    def of(cls, rows: Mapping[str, Json]) -> Sums:
        return cls(cells_of(SALES, rows[SALES]), cells_of(ITEMS, rows[ITEMS]))


def cells_of(kind: str, rows: Json) -> Cells:
    """Parses the rows of `Sums.rows`: the names of the key, the number of orders, the sums."""
    names = 4 if kind == SALES else 3
    return {tuple(row[:names]): Cell(row[names], [Decimal(number) for number in row[names + 1 :]]) for row in rows}


@dataclass
class Size:
    """The size of an audience: the number of its orders and of its records."""

    unfinished: ClassVar[str] = "unfinished size"
    kept_seconds: ClassVar[int | None] = None
    orders: int = 0
    records: int = 0

    def count(self, card: CardItem) -> None:
        if card.shows:
            self.orders, self.records = self.orders + 1, self.records + card.records

    def rows(self) -> dict[str, Json]:
        return {SIZE: self.records}

    @classmethod
    def of(cls, rows: Mapping[str, Json]) -> Size:
        return cls(rows["orders"], rows[SIZE])


class Counted(NamedTuple):
    """The sums of a day in their stored form, and the number of orders in them.

    `late` is empty if the sums are current, otherwise the stamp of the state that they show.
    """

    day: date
    rows: Json
    orders: int
    late: str


@dataclass(frozen=True)
class Days:
    """The sums of days, each counted from its cards unless a valid summary is stored.

    `zone` is the name of the account's time zone; `may_go_on` is called while cards are read; `counter` adds the
    cards up.
    """

    book: Book
    zone: str
    may_go_on: Callable[[], bool] = lambda: True
    counter: type[Counter] = Sums

    def of(self, scope: Scope, kind: str, first: date, last: date) -> list[Counted]:
        """The days of the period that ever had an order, sorted by date.

        Raises Unavailable if there is not enough time. Finished sums are stored, so the next call continues.
        """
        zone = zone_of(self.zone)
        # The changes are read before the cards, so that a summary includes at least the changes that its `counted` has.
        changes = self.book.changes(scope, digits_of(shifted(first, -1)), digits_of(shifted(last, 1)))
        within = digits_of(first), digits_of(last)
        kept = self.book.kept(scope, self.zone, kind, *within)
        unfinished: Mapping[str, Summary] | None = None
        found: list[Counted] = []
        for day in sorted({d for utc_day in changes for d in dates_within(utc_day, zone) if first <= d <= last}):
            spans = spans_of(day, zone)
            counted = {utc_day: changes[utc_day] for utc_day in utc_days(spans) if utc_day in changes}
            summary = kept.get(digits_of(day))
            if summary is None or not (holds(summary, counted) or _is_large_and_recent(summary)):
                if unfinished is None:
                    unfinished = self.book.kept(scope, self.zone, self.counter.unfinished, *within)
                elif not self.may_go_on():  # each request counts at least one day
                    raise Unavailable(_NO_TIME)
                summary = self._count(scope, day, spans, counted, unfinished.get(digits_of(day)))[kind]
            late = "" if holds(summary, counted) else summary.as_of
            found.append(Counted(day, summary.sums["rows"], summary.sums["orders"], late))
        return found

    def _count(
        self, scope: Scope, day: date, spans: list[Span], counted: Mapping[str, int], earlier: Summary | None
    ) -> dict[str, Summary]:
        """Counts the cards of a day. Continues the count of an earlier request that ran out of time."""
        zone, key = zone_of(self.zone), digits_of(day)
        counter = self.counter
        sums, after, read, begin = counter(), "", 0, Summary(counted, times.now(), None)
        if earlier is not None and (holds(earlier, counted) or _is_large_and_recent(earlier)):
            # The earlier `counted` is kept: later changes of cards that were already counted may not be included.
            sums, after, begin = counter.of(earlier.sums), earlier.sums["after"], earlier
        for span in spans_by_month(spans):
            if span.last + "~" < after:  # counted by an earlier request
                continue
            for place, card in self.book.cards(scope, max(span.first, after), f"{span.last}~"):
                at = str(place.key["sk"])
                if at == after:
                    continue
                if date_of(place.ordered_at, zone) == day:
                    sums.count(card)
                after, read = at, read + 1
                if read % _CARDS_BETWEEN_LOOKS_AT_THE_CLOCK == 0 and not self.may_go_on():
                    unfinished = sums.rows() | {"after": after, "orders": sums.orders}
                    self._keep(scope, counter.unfinished, key, begin._replace(sums=unfinished))
                    raise Unavailable(_NO_TIME)
        summaries = {
            kind: begin._replace(sums={"rows": rows, "orders": sums.orders}) for kind, rows in sums.rows().items()
        }
        for kind, summary in summaries.items():
            self._keep(scope, kind, key, summary)
        return summaries

    def _keep(self, scope: Scope, kind: str, key: str, summary: Summary) -> None:
        self.book.keep(scope, self.zone, kind, key, summary, self.counter.kept_seconds)


def size_of(book: Book, scope: Scope, may_go_on: Callable[[], bool]) -> Size:
    """The size of a scope's audience, from the book. Raises Unavailable, as `Days.of` does."""
    days = Days(book, UTC, may_go_on, Size).of(scope, SIZE, date.min, date.max)
    return Size(sum(day.orders for day in days), sum(day.rows for day in days))


def holds(summary: Summary, counted: Mapping[str, int]) -> bool:
    """Whether the summary includes all of these changes."""
    return all(summary.counted.get(day, 0) >= changes for day, changes in counted.items())


def _is_large_and_recent(summary: Summary) -> bool:
    recent = summary.as_of > times.shift(times.now(), seconds=-LARGE_DAY_SECONDS)
    return recent and summary.sums["orders"] > LARGE_DAY
