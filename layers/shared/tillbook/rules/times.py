"""Time as text that sorts: `20190117205000000000` is 2019-01-17T20:50:00.000000Z (UTC, microseconds)."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, date, datetime, timedelta

STAMP_LENGTH = 20
_DATE = r"\d{4}-\d\d-\d\d|\d{8}|\d{4}-W\d\d(-\d)?|\d{4}W\d\d\d?"
_TIME = r"\d\d(:\d\d(:\d\d([.,]\d+)?)?)?|\d{4}(\d\d([.,]\d+)?)?"
_OFFSET = r"Z|[+-](\d\d(:\d\d(:\d\d(\.\d+)?)?)?|\d{4}(\d\d(\.\d+)?)?)"
_ISO = re.compile(f"({_DATE})([T ]({_TIME})({_OFFSET})?)?", re.ASCII)
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)


def now() -> str:
    """This moment as a stamp."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds)) + f"{nanoseconds // 1000:06d}"


def wait_until(text: str) -> None:
    """Returns when a stamp has passed."""
    while (moment := now()) <= text:
        time.sleep((to_datetime(text) - to_datetime(moment)).total_seconds() + 0.000_001)


def stamp(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{text[0:4]}{text[5:7]}{text[8:10]}{text[11:13]}{text[14:16]}{text[17:19]}{text[20:26]}"


def to_datetime(text: str) -> datetime:
    return datetime(
        int(text[0:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), int(text[12:14]),
        int(text[14:20]), UTC,
    )  # fmt: skip


def iso(text: str) -> str:
    """A stamp as ISO 8601, with a fraction only where there is one: `2019-01-17T20:50:00Z`."""
    whole = f"{text[0:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:14]}"
    fraction = text[14:20].rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def parse_iso(text: str) -> str:
    """An ISO 8601 date or date-time as a stamp; without an offset it is UTC. Raises ValueError."""
    text = text.strip().upper()  # fromisoformat takes no `z`
    if not _ISO.fullmatch(text):  # it takes anything between date and time, and 1571102360009 for the year 1571
        raise ValueError("not ISO 8601")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return stamp(moment)
    except OverflowError:  # an offset that leads out of the years 1 to 9999
        raise ValueError("out of range") from None


def shift(text: str, **delta: float) -> str:
    return stamp(to_datetime(text) + timedelta(**delta))


def uuid7() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random. In the standard library from Python 3.14."""
    moment, random = f"{time.time_ns() // 1_000_000:012x}", os.urandom(10)
    variant, digits = "89ab"[random[0] & 3], random.hex()
    return f"{moment[:8]}-{moment[8:]}-7{digits[2:5]}-{variant}{digits[5:8]}-{digits[8:]}"


def day(text: str) -> date:
    """Of a stamp, in UTC."""
    return date(int(text[0:4]), int(text[4:6]), int(text[6:8]))


def hour_start(hour: str) -> datetime:
    """Of `2026-11-22T03`, which is UTC."""
    return datetime(int(hour[:4]), int(hour[5:7]), int(hour[8:10]), int(hour[11:13]), tzinfo=UTC)


def hour_day(hour: str) -> date:
    return hour_start(hour).date()


def next_hour(hour: str) -> str:
    return (hour_start(hour) + timedelta(hours=1)).strftime("%Y-%m-%dT%H")


def hour_floor(hour: str) -> str:
    """Sorts before every UUIDv7 of that hour and behind every one of the hour before."""
    digits = f"{int(hour_start(hour).timestamp()) * 1000:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def uuid7_time(text: str) -> datetime:
    """When a UUIDv7 was made."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text.replace("-", "")[:12], 16))


def uuid7_age(text: str) -> float | None:
    """Seconds since a UUIDv7 was made; None if it is not one (or was made more than a minute from now)."""
    if not _UUID7.fullmatch(text):
        return None
    age = time.time() - int(text.replace("-", "")[:12], 16) / 1000
    return age if age > -60 else None
