"""Dates of orders in time zones: each order is counted on exactly one date, and is found there."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from tillbook.rules.dates import begin_of, date_of, dates_within, digits_of, shifted, spans_of, utc_days, zone_of
from tillbook.rules.times import stamp

ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Auckland", "Pacific/Apia", "Etc/GMT+12"]
MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC), datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),  # Samoa had no 30 December that year
    # New York's day of 25 hours: its midnight, one hour later, and the start of its last hour
    datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2026, 11, 2, 4, tzinfo=UTC),
]  # fmt: skip


def some_moments(seed: int, count: int) -> list[datetime]:
    rng = random.Random(seed)
    begin = datetime(1990, 1, 1, tzinfo=UTC)
    return [begin + timedelta(seconds=rng.randrange(50 * 365 * 86_400)) for _ in range(count)]


def test_an_order_is_found_on_its_date() -> None:
    names = [*ZONES, *random.Random(1).sample(sorted(available_timezones()), 60)]
    for number, name in enumerate(names):
        zone = zone_of(name)
        for moment in MOMENTS + some_moments(seed=number, count=40):
            ordered_at = stamp(moment)
            day = date_of(ordered_at, zone)
            spans = spans_of(day, zone)
            assert any(span.first <= ordered_at <= span.last for span in spans), (name, moment)
            assert ordered_at[:8] in utc_days(spans), (name, moment)
            assert day in dates_within(ordered_at[:8], zone), (name, moment)


def test_a_moment_has_the_date_of_the_time_zone() -> None:
    for moment in some_moments(seed=2, count=500):
        # Midnight UTC is a date without a time.
        if (moment.hour, moment.minute, moment.second) != (0, 0, 0):
            assert date_of(stamp(moment), zone_of("Asia/Kolkata")) == moment.astimezone(ZoneInfo("Asia/Kolkata")).date()


def test_only_exactly_midnight_utc_is_a_date_without_a_time() -> None:
    for name in ZONES:
        assert date_of("20261129" + "0" * 12, zone_of(name)) == date(2026, 11, 29)
        after_midnight = datetime(2026, 11, 29, microsecond=1, tzinfo=UTC)
        assert date_of("20261129" + "0" * 11 + "1", zone_of(name)) == after_midnight.astimezone(ZoneInfo(name)).date()


def test_periods_begin_on_their_first_date_and_shifts_stay_in_the_calendar() -> None:
    sunday = date(2026, 11, 29)
    assert [begin_of(sunday, interval) for interval in ("day", "week", "month")] == [
        sunday, date(2026, 11, 23), date(2026, 11, 1),
    ]  # fmt: skip
    assert begin_of(date.min, "week") == date.min
    assert (shifted(date.min, -1), shifted(date.max, 1), shifted(sunday, 2)) == (date.min, date.max, date(2026, 12, 1))


def test_the_digits_of_a_date_are_eight() -> None:
    assert digits_of(date(7, 1, 2)) == "00070102"


@pytest.mark.parametrize("name", ["", " ", "Mars/Olympus", "../UTC", "/etc/localtime", "Europe", "utc\x00", "x" * 300])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="IANA"):
        zone_of(name)
