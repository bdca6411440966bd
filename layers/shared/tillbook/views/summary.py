"""What came in, day by day: added up from what became of each request, which is kept for 33 days (hours.py).

Nothing is counted while an order is written. Each request's record names its effect on the sums and stands once under
the request's id, so what is added up is exact, however often the queue delivered the request.

An hour that is over is added up once and kept (hours.py): a summary costs what its open hours hold, not what all do.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from tillbook.records.accounts import Account
from tillbook.records.hours import Hours, hour_of, hours_between, is_over
from tillbook.records.scopes import Marks
from tillbook.records.transactions import Transaction, Transactions
from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.errors import Malformed, Unavailable
from tillbook.rules.json_text import Json

DEFAULT_DAYS, MAX_DAYS = 14, 31
_MAX_REASONS = _MAX_CODES = 100
_THREADS = 8
_INDEX = re.compile(r"\[\d+\]")


@dataclass
class _Cell:
    orders: int = 0
    amount: Decimal = ZERO

    def add(self, orders: int, amount: Decimal) -> None:
        self.orders += orders
        self.amount = EXACT.add(self.amount, amount)

    def shown(self, currency: str) -> dict[str, Json]:
        return {"currency": currency, "orders": self.orders, "amount": amount_text(self.amount)}


class _Cells(dict[tuple[str, ...], _Cell]):
    def __missing__(self, key: tuple[str, ...]) -> _Cell:
        return self.setdefault(key, _Cell())


@dataclass
class Sums:
    """Of one hour. `cells` by (source, currency, new_buyer, promo_code); the account's own currency is empty."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # (source, status)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)  # (status, reason)
    cells: _Cells = field(default_factory=_Cells)

    def count(self, t: Transaction) -> None:
        self.requests[t.source, t.status] += 1
        if t.status in ("rejected", "failed"):
            # Of items[0].price and items[1].price it is one reason.
            self.reasons[t.status, _INDEX.sub("[]", t.reason).partition(";")[0][:200]] += 1
        for e in t.effects:
            self.cells[t.source, e.currency, e.new_buyer, e.promo_code].add(e.orders, e.amount)

    def packed(self) -> list[Json]:
        return [
            [[*key, count] for key, count in self.requests.items()],
            [[*key, count] for key, count in self.reasons.most_common(_MAX_REASONS)],
            [[*key, cell.orders, str(cell.amount)] for key, cell in self.cells.items()],
        ]

    @classmethod
    def unpacked(cls, packed: list[Json]) -> Sums:
        sums = cls()
        requests, reasons, cells = packed
        for source, status, count in requests:
            sums.requests[source, status] = count
        for status, reason, count in reasons:
            sums.reasons[status, reason] = count
        for *key, orders, amount in cells:
            sums.cells[tuple(key)].add(orders, Decimal(amount))
        return sums


def days_asked(first: str | None, last: str | None, today: date) -> tuple[date, date]:
    """Of `from` and `to` (YYYY-MM-DD, UTC, both included), whose requests are all known. Raises Malformed."""
    earliest = today - timedelta(MAX_DAYS - 1)
    end = _day("to", last, earliest) or today
    start = _day("from", first, earliest) or max(end - timedelta(DEFAULT_DAYS - 1), earliest)
    if start > end:
        raise Malformed("from must not be later than to.", "from")
    if (end - start).days >= MAX_DAYS:
        raise Malformed(f"from and to may span at most {MAX_DAYS} days.", "from")
    return start, end


def _day(name: str, text: str | None, earliest: date) -> date | None:
    try:
        if text is None:
            return None
        if len(text) != 10:
            raise ValueError
        day = date.fromisoformat(text)
    except ValueError:
        raise Malformed(f"{name} must be a date: YYYY-MM-DD.", name) from None
    if day < earliest:
        raise Malformed(f"{name} must not be before {earliest}: what came in earlier is not kept.", name)
    return day


@dataclass(frozen=True, slots=True)
class Summary:
    transactions: Transactions
    hours: Hours
    clock: Callable[[], float] = time.monotonic

    def of(self, account: Account, marks_now: Callable[[], Marks], start: date, end: date, deadline: float) -> Json:
        """`from` is a later day than asked for, and `earlier` the `to` to go on with, if there was no time for all.

        What was added up by then is kept, so asking again goes further. Raises Unavailable where there was no time
        for the last day.
        """
        now = times.to_datetime(times.now())
        wanted = hours_between(start, min(end, now.date()), now)
        read_at = times.now()
        marks = marks_now()  # after `read_at`: what is kept under it counts nothing that was purged before
        purged = max(mark.cut for mark in marks.sources.values())
        kept = {hour: Sums.unpacked(packed) for hour, packed in self.hours.kept(account.id, wanted, purged).items()}
        open_hours = [hour for hour in wanted if hour not in kept]
        fresh, cut = self._add_up(marks, open_hours, deadline)
        self.hours.keep(account.id, read_at, {h: sums.packed() for h, sums in fresh.items() if is_over(h, now)})
        first = start
        if cut is not None:
            first = times.hour_day(cut) + timedelta(1)
            if first > end:
                raise Unavailable("There are too many requests to add up within the time. Please ask again.")
        found = {h: sums for h, sums in (kept | fresh).items() if times.hour_day(h) >= first}
        earlier = (first - timedelta(1)).isoformat() if first > start else None
        return {"from": first.isoformat(), "to": end.isoformat(), "earlier": earlier} | _shown(found, account.currency)

    def _add_up(self, marks: Marks, hours: list[str], deadline: float) -> tuple[dict[str, Sums], str | None]:
        """Sums of the hours that were read to their end, and the latest hour that was not."""
        if not hours:
            return {}, None
        sums = {hour: Sums() for hour in hours}
        reached: list[str] = []

        def read(work: tuple[str, str, str]) -> list[Transaction]:
            pk, first, last = work
            found, end = self.transactions.between(
                pk, times.hour_floor(first), times.hour_floor(times.next_hour(last)), lambda: self.clock() < deadline
            )
            if end:
                reached.append(hour_of(end))
            return found

        from concurrent.futures import ThreadPoolExecutor  # here, since no other read needs it

        # One query for each run of hours in each partition, not one for each hour.
        work = [(pk, *run) for run in _runs(hours) for pk in self.transactions.partitions(marks.account)]
        with ThreadPoolExecutor(_THREADS) as pool:
            for part in pool.map(read, work):
                for t in part:
                    hour = hour_of(t.request_id)
                    if hour in sums and not marks.purged(t.source, t.received):
                        sums[hour].count(t)
        cut = max(reached, default=None)
        return {hour: found for hour, found in sums.items() if cut is None or hour > cut}, cut


def _runs(hours: list[str]) -> list[tuple[str, str]]:
    """(first, last) of hours that follow each other."""
    runs: list[tuple[str, str]] = []
    for hour in sorted(hours):
        if runs and times.next_hour(runs[-1][1]) == hour:
            runs[-1] = runs[-1][0], hour
        else:
            runs.append((hour, hour))
    return runs


def _shown(found: dict[str, Sums], account_currency: str) -> dict[str, Json]:
    requests: Counter[tuple[str, str, str]] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    days, buyers, codes = _Cells(), _Cells(), _Cells()
    for hour, sums in found.items():
        day = times.hour_day(hour).isoformat()
        for (source, status), count in sums.requests.items():
            requests[day, source, status] += count
        reasons.update(sums.reasons)
        for (source, stored, new_buyer, promo_code), cell in sums.cells.items():
            currency = stored or account_currency
            days[day, source, currency].add(cell.orders, cell.amount)
            if source == "orders_api":
                buyers[new_buyer, currency].add(cell.orders, cell.amount)
                if promo_code:
                    codes[promo_code, currency].add(cell.orders, cell.amount)
    return {
        "days": [{"day": day, "source": source} | cell.shown(c) for (day, source, c), cell in sorted(days.items())],
        "requests": [
            {"day": day, "source": source, "status": status, "count": count}
            for (day, source, status), count in sorted(requests.items())
        ],
        "by_new_buyer": [
            {"new_buyer": {"true": True, "false": False}.get(flag)} | cell.shown(currency)
            for (flag, currency), cell in sorted(buyers.items(), reverse=True)
        ],
        "by_promo_code": [
            {"promo_code": code} | cell.shown(currency) for (code, currency), cell in _most(codes.items())
        ],
        "refused": [
            {"status": status, "reason": reason, "count": count}
            for (status, reason), count in sorted(reasons.items(), key=lambda r: (-r[1], r[0]))[:_MAX_REASONS]
        ],
    }


def _most(cells: Iterable[tuple[tuple[str, ...], _Cell]]) -> list[tuple[tuple[str, ...], _Cell]]:
    return sorted(cells, key=lambda entry: (-entry[1].orders, entry[0]))[:_MAX_CODES]
