"""What came in, day by day: added up from what became of each request, which is kept for 30 days.

Nothing is counted while an order is written. Each request's record names its effect on the sums and stands once under
the request's id, so what is added up here is exact, however often the queue delivered the request.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from tillbook import times
from tillbook.amounts import EXACT, ZERO
from tillbook.amounts import text as amount_text
from tillbook.effects import Effect
from tillbook.errors import Malformed, Unavailable
from tillbook.json_text import Json
from tillbook.transactions import Transaction, Transactions

DEFAULT_DAYS, MAX_DAYS = 14, 31
_MAX_REASONS = _MAX_CODES = 100
_THREADS = 8
_INDEX = re.compile(r"\[\d+\]")


@dataclass
class _Cell:
    orders: int = 0
    amount: Decimal = ZERO

    def add(self, effect: Effect) -> None:
        self.orders += effect.orders
        self.amount = EXACT.add(self.amount, effect.amount)

    def shown(self, currency: str) -> dict[str, Json]:
        return {"currency": currency, "orders": self.orders, "amount": amount_text(self.amount)}


class _Cells(dict[tuple[str, ...], _Cell]):
    def __missing__(self, key: tuple[str, ...]) -> _Cell:
        return self.setdefault(key, _Cell())

    def rows(self, *names: str) -> list[Json]:
        """A row for each key: its parts by name, the last of them the currency."""
        return [dict(zip(names, key, strict=False)) | cell.shown(key[-1]) for key, cell in sorted(self.items())]


def days_asked(first: str | None, last: str | None, today: date) -> tuple[date, date]:
    """Of `from` and `to` (YYYY-MM-DD, UTC, both included). Raises Malformed."""
    end = _day("to", last) or today
    start = _day("from", first) or max(end - timedelta(DEFAULT_DAYS - 1), today - timedelta(MAX_DAYS - 1))
    if start > end:
        raise Malformed("from must not be later than to.", "from")
    if (end - start).days >= MAX_DAYS:
        raise Malformed(f"from and to may span at most {MAX_DAYS} days.", "from")
    return start, end


def _day(name: str, text: str | None) -> date | None:
    try:
        if text is None:
            return None
        if len(text) != 10:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise Malformed(f"{name} must be a date: YYYY-MM-DD.", name) from None


def summary(
    transactions: Transactions, account: str, currency: str, start: date, end: date, deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> Json:  # fmt: skip
    """`from` is a later day than asked for, and `earlier` the `to` to go on with, where time did not suffice for all.

    Raises Unavailable where it did not suffice for the last day.
    """
    partitions, beyond = transactions.partitions(account), times.uuid7_floor(end + timedelta(1))

    def read(pk: str) -> tuple[list[Transaction], str | None]:
        return transactions.between(pk, times.uuid7_floor(start), beyond, lambda: clock() < deadline)

    with ThreadPoolExecutor(_THREADS) as pool:
        parts = list(pool.map(read, partitions))
    cut = max((times.uuid7_day(reached) for _, reached in parts if reached), default=None)
    if cut is not None:
        start = cut + timedelta(1)
        if start > end:
            raise Unavailable("There are too many requests to add up within the time.")
    found = [t for part, _ in parts for t in part if times.uuid7_day(t.request_id) >= start]
    shown = {"from": start.isoformat(), "to": end.isoformat(), "earlier": cut.isoformat() if cut else None}
    return shown | _added_up(found, currency)


def _added_up(found: Iterable[Transaction], account_currency: str) -> dict[str, Json]:
    requests: Counter[tuple[str, str, str]] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    days, buyers, codes = _Cells(), _Cells(), _Cells()
    for t in found:
        day = times.uuid7_day(t.request_id).isoformat()
        requests[day, t.source, t.status] += 1
        if t.status in ("rejected", "failed"):
            # Of items[0].price and items[1].price it is one reason.
            reasons[t.status, _INDEX.sub("[]", t.reason).partition(";")[0][:200]] += 1
        for effect in t.effects:
            currency = effect.currency or account_currency
            days[day, t.source, currency].add(effect)
            if t.source == "orders_api":
                buyers[effect.new_buyer, currency].add(effect)
                if effect.promo_code:
                    codes[effect.promo_code, currency].add(effect)
    most = sorted(codes.items(), key=lambda entry: (-entry[1].orders, entry[0]))[:_MAX_CODES]
    return {
        "days": days.rows("day", "source"),
        "requests": [
            {"day": day, "source": source, "status": status, "count": count}
            for (day, source, status), count in sorted(requests.items())
        ],
        "by_new_buyer": [
            {"new_buyer": {"true": True, "false": False}.get(flag)} | cell.shown(currency)
            for (flag, currency), cell in sorted(buyers.items(), reverse=True)
        ],
        "by_promo_code": [{"promo_code": code} | cell.shown(currency) for (code, currency), cell in most],
        "refused": [
            {"status": status, "reason": reason, "count": count}
            for (status, reason), count in reasons.most_common(_MAX_REASONS)
        ],
    }


def asked_of(query: Callable[[str], str | None], now: str) -> tuple[date, date]:
    """`query` gives a request's parameters; `now` is a stamp. Raises Malformed."""
    return days_asked(query("from"), query("to"), date(int(now[:4]), int(now[4:6]), int(now[6:8])))
