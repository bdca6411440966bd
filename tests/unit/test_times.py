"""Times: what counts as ISO 8601, and how it sorts."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillbook import times


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
def test_iso_8601_in_iso_8601_out(sent: str, shown: str) -> None:
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
    ],
)
def test_what_is_no_iso_8601_time_is_refused(sent: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        times.parse_iso(sent)


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(timezones=st.just(UTC)),
    st.integers(min_value=-23 * 60, max_value=23 * 60),
)
def test_stamps_sort_as_moments_do(one: datetime, other: datetime, offset: int) -> None:
    a, b = times.stamp(one), times.stamp(other)
    assert len(a) == times.STAMP_LENGTH
    assert (a < b) == (one < other)
    assert times.to_datetime(a) == one
    try:
        elsewhere = one.astimezone(timezone(timedelta(minutes=offset)))
    except OverflowError:
        return
    assert times.parse_iso(elsewhere.isoformat()) == a


def test_now_is_now() -> None:
    assert abs((times.to_datetime(times.now()) - datetime.now(UTC)).total_seconds()) < 5


def test_uuid7() -> None:
    ids = [times.uuid7() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    for text in ids:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122
        assert abs((parsed.int >> 80) / 1000 - time.time()) < 60
    assert 0 <= (times.uuid7_age(ids[-1]) or 0) < 60


def _made(seconds_ago: float) -> str:
    digits = f"{int((time.time() - seconds_ago) * 1000):012x}{times.uuid7().replace('-', '')[12:]}"
    return str(uuid.UUID(digits))


def test_the_age_of_a_uuid7() -> None:
    assert times.uuid7_age(_made(1_000)) == pytest.approx(1_000, abs=5)
    assert times.uuid7_age(_made(-3_600)) is None, "made an hour from now"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "990c99a7-5cba-42e8-8f36-aec3419186ef",
        "x" * 36,
        "0190a0b0c0d07123812345678901234567890",
        "../../../../../../../../../../../aa",
        "0190_0b0-c0d0-7123-8123-456789012345",
        "０190a0b0-c0d0-7123-8123-456789012345",
        "01-90a0b0c0d0-7123-8123-45678901234-",
    ],
)
def test_what_is_no_uuid7_has_no_age(text: str) -> None:
    assert times.uuid7_age(text) is None
