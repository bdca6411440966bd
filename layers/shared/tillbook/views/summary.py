"""The number of requests by day and status, and the reasons of failures and rejections.

They are counted on request from the outcomes, which are kept for 33 days. Sales are summed up in sales.py.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from tillbook.records.outcomes import Outcomes
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.errors import Malformed, Unavailable
from tillbook.rules.identity import SOURCES, Source
from tillbook.rules.json_text import Json

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

DEFAULT_DAYS, MAX_DAYS = 14, 31
# The number of latest requests of each status whose reasons are counted.
_LATEST = 1000
_MAX_REASONS = 100
_THREADS = 16
_INDEX = re.compile(r"\[\d+\]")
_REFUSED = ("failed", "rejected")


def days_asked(first: str | None, last: str | None, today: date) -> tuple[date, date]:
    """The first and the last day to count, from the parameters `from` and `to` (YYYY-MM-DD, UTC, both included).

    By default, `to` is today, and `from` is DEFAULT_DAYS - 1 days earlier. Raises Malformed.
    """
    earliest = today - timedelta(MAX_DAYS - 1)
    end = min(_day("to", last, earliest) or today, today)
    start = _day("from", first, earliest) or max(end - timedelta(DEFAULT_DAYS - 1), earliest)
    if start > end:
        raise Malformed("from must not be later than to, or today.", "from")
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
        raise Malformed(f"{name} must not be before {earliest}: earlier requests are not kept.", name)
    return day


def _floor(day: date) -> str:
    """A text that sorts before every request id of a day (UTC)."""
    return times.uuid7_floor(datetime(day.year, day.month, day.day, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Summary:
    outcomes: Outcomes
    marks: Marks
    clock: Callable[[], float] = time.monotonic

    def of(self, start: date, end: date, deadline: float) -> Json:
        """Counts the requests of each day, from the last day to the first.

        If there is not enough time for all days, the answer's `from` is later than requested, and `earlier` is the `to`
        of the next request. Raises Unavailable if there is no time for any day.
        """
        from concurrent.futures import ThreadPoolExecutor  # imported here, since few reads need it

        rows: list[Json] = []
        first = end + timedelta(1)
        with ThreadPoolExecutor(_THREADS) as pool:
            reasons = pool.submit(self._reasons, start, end)
            while first > start:
                counts = self._of_day(pool, first - timedelta(1), deadline)
                if counts is None:
                    break
                first -= timedelta(1)
                rows = [
                    {"day": first.isoformat(), "source": source, "status": status, "count": count}
                    for (source, status), count in sorted(counts.items())
                    if count
                ] + rows
        if first > end:
            raise Unavailable("There are too many requests to count within the time. Please try again.")
        earlier = (first - timedelta(1)).isoformat() if first > start else None
        return {
            "from": first.isoformat(), "to": end.isoformat(), "earlier": earlier, "requests": rows,
            "refused": reasons.result(),
        }  # fmt: skip

    def _of_day(self, pool: ThreadPoolExecutor, day: date, deadline: float) -> Counter[tuple[str, str]] | None:
        """The number of requests on a day by source and status; None if there is no time."""
        first, beyond = _floor(day), _floor(day + timedelta(1))

        def count(place: tuple[Source, str, str]) -> int | None:
            source, _, pk = place
            cut = self.marks.sources[source].cut
            return self.outcomes.counted(pk, first, beyond, cut, lambda: self.clock() < deadline)

        places = self.outcomes.places(self.marks.account)
        found: Counter[tuple[str, str]] = Counter()
        for (source, status, _), number in zip(places, pool.map(count, places), strict=True):
            if number is None:
                return None
            found[source, status] += number
        return found

    def _reasons(self, start: date, end: date) -> list[Json]:
        """The reasons of the latest failed and rejected requests, most frequent first."""
        reasons: Counter[tuple[str, str]] = Counter()
        for status in _REFUSED:
            beyond = _floor(end + timedelta(1))
            for t in self.outcomes.newest(self.marks, [status], SOURCES, _LATEST, beyond):
                if t.request_id > _floor(start):
                    # Reasons about items[0].price and items[1].price count as the same, and so do reasons that differ
                    # after the first semicolon only.
                    reasons[status, _INDEX.sub("[]", t.reason).partition(";")[0][:200]] += 1
        ranked = sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0]))[:_MAX_REASONS]
        return [{"status": status, "reason": reason, "count": count} for (status, reason), count in ranked]
