"""Dates of orders in an account's time zone, and the periods of a report.

An order date of exactly midnight UTC is a date without a time: it stays that date in every time zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal, NamedTuple

from tillbook.rules.times import stamp, to_datetime

Interval = Literal["day", "week", "month"]
_NO_TIME = "000000000000"  # the end of a stamp that is a date without a time: hours to microseconds
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    """Returns the time zone of an IANA name such as America/New_York. Raises ValueError."""
    from zoneinfo import ZoneInfo  # imported here, since most functions need no time zone

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown, the name of a folder, or a path
        raise ValueError("time zone must be an IANA name, as America/New_York") from None


def date_of(ordered_at: str, zone: tzinfo) -> date:
    """Returns the date of an order in a time zone. `ordered_at` is a stamp."""
    moment = to_datetime(ordered_at)
    if ordered_at.endswith(_NO_TIME):
        return moment.date()
    try:
        return moment.astimezone(zone).date()
    except OverflowError:  # within hours of the year 1 or the year 10000
        return moment.date()


class Span(NamedTuple):
    """Stamps from `first` to `last`, both included."""

    first: str
    last: str


def spans_of(day: date, zone: tzinfo) -> list[Span]:
    """Returns spans that contain all stamps of orders of a date.

    They are the day in the time zone, and midnight UTC of the date (a date without a time) if that is outside.
    """
    # The first and last day of the calendar include the stamps that the time zone would move beyond them (date_of).
    begin = _FIRST if day == date.min else datetime.combine(day, time(), zone).astimezone(UTC)
    end = _LAST if day == date.max else datetime.combine(day, time.max, zone).astimezone(UTC)
    dated = Span(stamp(datetime.combine(day, time(), UTC)), stamp(datetime.combine(day, time(), UTC)))
    span = Span(stamp(begin), stamp(end))
    return [span] if span.first <= dated.first <= span.last else sorted([span, dated])


def utc_days(spans: list[Span]) -> list[str]:
    """Returns the UTC days that the spans overlap, as `20261129`, in order."""
    found: set[str] = set()
    for span in spans:
        day, last = to_datetime(span.first).date(), to_datetime(span.last).date()
        found.add(digits_of(day))
        while day < last:
            day += timedelta(1)
            found.add(digits_of(day))
    return sorted(found)


def shifted(day: date, days: int) -> date:
    """Returns the date `days` later, or the first or last date of the calendar if that is beyond it."""
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))


def digits_of(day: date) -> str:
    """Returns the date as `20261129`."""
    return day.isoformat().replace("-", "")


def dates_within(utc_day: str, zone: tzinfo) -> set[date]:
    """Returns the dates that orders of a UTC day (as `20261129`) may have in a time zone."""
    ends = (f"{utc_day}{_NO_TIME[:-1]}1", f"{utc_day}235959999999")
    return {date_of(end, zone) for end in ends} | {date_of(f"{utc_day}{_NO_TIME}", zone)}


def periods(days: set[date], interval: Interval) -> Iterator[tuple[date, list[date]]]:
    """Yields (first day of the period, its days among `days`) for each period with such days, in order."""
    found: dict[date, list[date]] = {}
    for day in sorted(days):
        found.setdefault(begin_of(day, interval), []).append(day)
    yield from found.items()


def begin_of(day: date, interval: Interval) -> date:
    """Returns the first day of the period that contains `day`. Weeks begin on Monday."""
    if interval == "month":
        return day.replace(day=1)
    return date.fromordinal(max(day.toordinal() - day.weekday(), 1)) if interval == "week" else day
