"""Times: parsing of ISO 8601, stamps that sort by time, and UUIDv7."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillbook.rules import times


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2019-01-17T20:50:00Z", "2019-01-17T20:50:00Z"),
        ("2019-01-17t20:50:00z", "2019-01-17T20:50:00Z"),
        ("2019-01-17T20:50:00z", "2019-01-17T20:50:00Z"),
        ("2019-01-17", "2019-01-17T00:00:00Z"),
        ("2019-01-17T20:50:00", "2019-01-17T20:50:00Z"),
        ("2019-01-17 20:50:00", "2019-01-17T20:50:00Z"),
        ("2019-01-17T20:50", "2019-01-17T20:50:00Z"),
        ("20190117T205000Z", "2019-01-17T20:50:00Z"),
        ("20190117T205000,25-05", "2019-01-18T01:50:00.25Z"),
        ("20190117", "2019-01-17T00:00:00Z"),
        ("2019-W03-4T20", "2019-01-17T20:00:00Z"),
        ("2019W034", "2019-01-17T00:00:00Z"),
        ("2019-W03", "2019-01-14T00:00:00Z"),
        ("2019-01-17T20:50:00+02:00", "2019-01-17T18:50:00Z"),
        ("2019-01-17T20:50:00-0530", "2019-01-18T02:20:00Z"),
        ("2019-01-17T20:50:00.5Z", "2019-01-17T20:50:00.5Z"),
        ("2019-01-17T20:50:00.123456789Z", "2019-01-17T20:50:00.123456Z"),
        ("2020-02-29T23:59:59+00:00", "2020-02-29T23:59:59Z"),
        (" 2019-01-17 ", "2019-01-17T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_shown_in_utc(sent: str, shown: str) -> None:
    assert times.iso(times.parse_iso(sent)) == shown


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "yesterday",
        "17/01/2019",
        "2019-02-29",
        "2019-13-01",
        "2019-01-17T25:00:00Z",
        "2019-01-17T20:61:00Z",
        "2016-12-31T23:59:60Z",
        "1547758200",
        "2019-01-17T20:50:00+25:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2019-01-17T20:50:00 UTC",
        "2019-01-17x20:50:00Z",
        "2019-01-17/20:50",
        "0000-01-01",
        "10000-01-01",
        "2019-01-17T",
        "\x00",
        "1571102360009",
        "20260101123",
        "2026-01-01W05",
        "2026-01-01-05",
        "2026-01-0112:30",
        "2026W011-05",
        "202601010123456",
        "2026-01-01T1571102360009",
        "2026-01-01T205",
        "2026-01-01T20.5",
        "2026-01-01T20:50:",
    ],
)
def test_a_text_that_is_not_a_supported_time_is_refused(sent: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        times.parse_iso(sent)


@given(st.text("0123456789", max_size=24).filter(lambda digits: len(digits) != 8))
def test_digits_other_than_a_date_are_refused(digits: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        times.parse_iso(digits)


@given(st.integers(min_value=10**8, max_value=4 * 10**9), st.sampled_from([1, 1_000, 1_000_000]))
def test_a_unix_time_as_text_is_refused(seconds: int, per_second: int) -> None:
    fraction = seconds % per_second  # arbitrary digits below a second, which would otherwise be zeros
    with pytest.raises(ValueError):  # noqa: PT011
        times.parse_iso(str(seconds * per_second + fraction))


_DATES = ("%Y-%m-%d", "%Y%m%d", "%G-W%V-%u", "%GW%V%u", "%G-W%V", "%GW%V")
_CLOCKS = ("%H", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%H%M", "%H%M%S", "%H%M%S.%f")
_OFFSETS = ("", "Z", "+02", "-0530", "+05:45", "+00:00", "-03:30:15", "+013020")


@given(
    # %Y does not pad a year, and an offset must not lead beyond 9999.
    st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1000 < moment.year < 9999),
    st.sampled_from(_DATES), st.sampled_from(("", "T", " ")), st.sampled_from(_CLOCKS), st.sampled_from(_OFFSETS),
)  # fmt: skip
def test_valid_forms_are_parsed_as_the_standard_library_parses_them(
    moment: datetime, date: str, separator: str, clock: str, offset: str
) -> None:
    # An empty separator means a date without a time of day.
    text = moment.strftime(f"{date}{separator}{clock}") + offset if separator else moment.strftime(date)
    parsed = datetime.fromisoformat(text)
    assert times.to_datetime(times.parse_iso(text)) == (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(timezones=st.just(UTC)),
    st.integers(min_value=-23 * 60, max_value=23 * 60),
)
def test_stamps_sort_by_time(one: datetime, other: datetime, offset: int) -> None:
    a, b = times.stamp(one), times.stamp(other)
    assert len(a) == times.STAMP_LENGTH
    assert (a < b) == (one < other)
    assert times.to_datetime(a) == one
    try:
        local = one.astimezone(timezone(timedelta(minutes=offset)))
    except OverflowError:  # within a day of the year 1 or the year 10000
        return
    assert times.parse_iso(local.isoformat()) == a


def test_now_is_the_current_time() -> None:
    before = time.time_ns()
    moment = times.to_datetime(times.now()) - datetime(1970, 1, 1, tzinfo=UTC)
    assert before // 1_000 <= moment // timedelta(microseconds=1) <= time.time_ns() // 1_000


def test_uuid7_is_unique_valid_and_contains_the_time() -> None:
    before = time.time_ns()
    ids = [times.uuid7() for _ in range(1_000)]
    after = time.time_ns()
    assert len(set(ids)) == 1_000
    for text in ids:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122
        assert before // 1_000_000 <= parsed.int >> 80 <= after // 1_000_000


def _uuid7(seconds_ago: float) -> str:
    """A UUIDv7 that was made some seconds ago."""
    digits = f"{int((time.time() - seconds_ago) * 1000):012x}{times.uuid7().replace('-', '')[12:]}"
    return str(uuid.UUID(digits))


def test_the_age_of_a_uuid7_is_the_time_since_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    assert times.uuid7_age(_uuid7(0)) == pytest.approx(0, abs=0.001)
    assert times.uuid7_age(_uuid7(1_000)) == pytest.approx(1_000, abs=0.001)
    assert times.uuid7_age(_uuid7(-3_600)) is None, "an id of the future has no age"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "990c99a7-5cba-42e8-8f36-aec3419186ef",
        "x" * 36,
        "0190a0b0c0d07123812345678901234567890",
        "../../../../../../../../../../../aa",
        "0190_0b0-c0d0-7123-8123-456789012345",
        "\uff10190a0b0-c0d0-7123-8123-456789012345",  # the first 0 is a full-width digit
        "01-90a0b0c0d0-7123-8123-45678901234-",
    ],
)
def test_an_id_that_is_no_uuid7_has_no_age(text: str) -> None:
    assert times.uuid7_age(text) is None
