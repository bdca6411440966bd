"""The sales report: sums by period and group, with totals and a comparison, as JSON and CSV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

from tillbook.contract.limits import PAGE_BYTES
from tillbook.records.accounts import Account
from tillbook.records.book import Book
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO, rounded
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.dates import Interval, begin_of, shifted
from tillbook.rules.errors import Malformed
from tillbook.rules.json_text import Json
from tillbook.views.csv_pages import csv_of
from tillbook.views.paging import answer_bytes
from tillbook.views.sales import ITEMS, SALES, Cell, Days, cells_of

Group = Literal["source", "provider", "new_buyer", "promo_code", "category", "item"]
Compare = Literal["previous_period", "previous_year"]
_OF_ITEMS = ("category", "item")
_MONEY = ("gross", "refunds", "net", "average_order_value")
_COLUMNS = ("series", "period", "currency", "group", "rest", "orders", *_MONEY, "new_buyers")
_COLUMNS_OF_ITEMS = ("series", "period", "currency", "group", "rest", "orders", "quantity", "amount")


class Question(NamedTuple):
    """The parameters of a report.

    `first` and `last` are dates in the account's time zone, both included. `limit` is the number of groups with rows of
    their own; the others share one row.
    """

    first: date
    last: date
    interval: Interval = "day"
    group_by: Group | None = None
    currency: str | None = None
    compare: Compare | None = None
    limit: int = 20

    @property
    def of_items(self) -> bool:
        return self.group_by in _OF_ITEMS

    def earlier(self) -> tuple[date, date]:
        """The period to compare with: as many days (or whole months) just before, or the same dates a year earlier."""
        if self.compare == "previous_period":
            if self.first.day == 1 and shifted(self.last, 1).day == 1:
                return _begin_of_months_before(self.first, self.last), shifted(self.first, -1)
            days = (self.last - self.first).days + 1
            return shifted(self.first, -days), shifted(self.first, -1)
        return _year_before(self.first), _year_before(self.last)


def _begin_of_months_before(first: date, last: date) -> date:
    """The first day of the period that ends before `first` and has as many months as `first` to `last`."""
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    year, month = divmod(first.year * 12 + first.month - 1 - months, 12)
    return date(year, month + 1, 1) if year > 0 else date.min


def _year_before(day: date) -> date:
    try:
        return day.replace(year=max(day.year - 1, 1))
    except ValueError:  # 29 February
        return day.replace(year=day.year - 1, day=28)


class _Entry(NamedTuple):
    """The sums of a day's orders with equal attributes (a Cell of views.sales). `new`: whether buyers are new.

    `group` is empty without group_by, or if the orders have no value for it.
    """

    day: date
    currency: str
    group: str
    new: bool
    cell: Cell


@dataclass
class _Sum:
    cell: Cell = field(default_factory=Cell)
    new_buyers: int = 0

    def add(self, entry: _Entry) -> None:
        self.cell.add(entry.cell.orders, entry.cell.numbers)
        self.new_buyers += entry.cell.orders if entry.new else 0

    def shown(self, currency: str, of_items: bool) -> dict[str, Json]:
        orders = self.cell.orders
        if of_items:
            quantity, amount = self.cell.numbers
            return {"orders": orders, "quantity": amount_text(quantity, 0), "amount": amount_text(amount)}
        gross, refunds, net = map(amount_text, self.cell.numbers)
        average = amount_text(rounded(EXACT.divide(self.cell.numbers[0], Decimal(orders)), currency))
        money = dict(zip(_MONEY, (gross, refunds, net, average), strict=True))
        return {"orders": orders, **money, "new_buyers": self.new_buyers}


@dataclass(frozen=True)
class Report:
    book: Book
    account: Account
    marks: Marks
    may_go_on: Callable[[], bool] = lambda: True

    def of(self, question: Question) -> dict[str, Json]:
        """The report. Raises Malformed if it is too long, Unavailable if there is no time to sum up all days."""
        found = self._period(question, question.first, question.last)
        compared = self._period(question, *question.earlier()) if question.compare else None
        found = {
            "time_zone": self.account.time_zone, "interval": question.interval, "group_by": question.group_by, **found,
            "compared_with": compared,
        }  # fmt: skip
        if answer_bytes(found) > PAGE_BYTES:
            raise Malformed("The report is too long. Ask for longer intervals, a shorter period or fewer groups.")
        return found

    def _period(self, question: Question, first: date, last: date) -> dict[str, Json]:
        days = Days(self.book, self.account.time_zone, self.may_go_on)
        entries: list[_Entry] = []
        late: list[str] = []
        for source in self.account.sources:
            kind = ITEMS if question.of_items else SALES
            for counted in days.of(self.marks.scope(source), kind, first, last):
                late += [counted.late] if counted.late else []
                for key, cell in cells_of(kind, counted.rows).items():
                    entries += self._entries(question, source, counted.day, key, cell)
        return {
            "from": first.isoformat(), "to": last.isoformat(), "as_of": times.iso(min(late)) if late else None,
            "rows": _rows(question, entries, first), "totals": _totals(question, entries),
        }  # fmt: skip

    def _entries(self, question: Question, source: str, day: date, key: tuple[str, ...], cell: Cell) -> list[_Entry]:
        """The entry of a cell; empty if the question excludes the cell."""
        new, included = False, True
        if question.of_items:
            kind, currency, group = key
            included = kind == question.group_by
        else:
            provider, currency, new_buyer, promo_code = key
            groups = {"source": source, "provider": provider, "new_buyer": new_buyer, "promo_code": promo_code}
            group, new = groups.get(question.group_by or "", ""), new_buyer == "true"
        currency = currency or self.account.currency
        included = included and question.currency in (None, currency)
        return [_Entry(day, currency, group, new, cell)] if included else []


def _rows(question: Question, entries: list[_Entry], first: date) -> list[Json]:
    """The rows by period, currency and group; groups with the largest sums are first.

    The row with `rest` true has the sums of all groups without rows of their own.
    """
    ranks = {named: rank for rank, named in enumerate(_largest(question, entries))}
    sums: dict[tuple[date, str, int, str], _Sum] = {}
    for entry in entries:
        rank = ranks.get((entry.currency, entry.group), len(ranks))
        group = entry.group if rank < len(ranks) else ""
        period = max(begin_of(entry.day, question.interval), first)
        sums.setdefault((period, entry.currency, rank, group), _Sum()).add(entry)
    return [
        {
            "period": period.isoformat(), "currency": currency, "group": _shown_group(question.group_by, group),
            "rest": rank == len(ranks),
        } | found.shown(currency, question.of_items)
        for (period, currency, rank, group), found in sorted(sums.items(), key=lambda entry: entry[0])
    ]  # fmt: skip


def _largest(question: Question, entries: list[_Entry]) -> list[tuple[str, str]]:
    """The (currency, group) pairs that have rows of their own, largest first in each currency."""
    amounts: dict[tuple[str, str], Decimal] = {}
    for entry in entries:
        key = entry.currency, entry.group
        # The last number is net or, of items, the amount.
        amounts[key] = EXACT.add(amounts.get(key, ZERO), entry.cell.numbers[-1])
    found: list[tuple[str, str]] = []
    for currency in sorted({currency for currency, _ in amounts}):
        own = [key for key in amounts if key[0] == currency]
        found += sorted(own, key=lambda key: (-amounts[key], key))[: question.limit]
    return found


def _totals(question: Question, entries: list[_Entry]) -> list[Json]:
    """The totals by currency. Reports by item or category have none: an order counts in several of their rows."""
    sums: dict[str, _Sum] = {}
    for entry in entries if not question.of_items else ():
        sums.setdefault(entry.currency, _Sum()).add(entry)
    return [{"currency": currency} | found.shown(currency, of_items=False) for currency, found in sorted(sums.items())]


def _shown_group(group_by: Group | None, group: str) -> Json:
    return {"true": True, "false": False}.get(group) if group_by == "new_buyer" else group or None


def as_csv(report: dict[str, Json]) -> str:
    """The rows of the report as CSV, followed by those of the comparison."""
    of_items = report["group_by"] in _OF_ITEMS
    columns = _COLUMNS_OF_ITEMS if of_items else _COLUMNS
    rows = [row | {"series": "asked"} for row in report["rows"]]
    rows += [row | {"series": "compared"} for row in (report["compared_with"] or {"rows": []})["rows"]]
    return csv_of(columns, rows, numbers=columns[5:])  # all columns after `rest`
