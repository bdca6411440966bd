"""Stamps: moments as text that sorts by time. `20190117205000000000` is 2019-01-17T20:50:00.000000Z (UTC)."""

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
    """Returns the current time as a stamp."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds)) + f"{nanoseconds // 1000:06d}"


def wait_until(text: str) -> None:
    """Sleeps until the moment of a stamp has passed."""
    while (moment := now()) <= text:
        time.sleep((to_datetime(text) - to_datetime(moment)).total_seconds() + 0.000_001)


def stamp(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{text[0:4]}{text[5:7]}{text[8:10]}{text[11:13]}{text[14:16]}{text[17:19]}{text[20:26]}"


def to_datetime(text: str) -> datetime:
    return datetime(
        int(text[0:4]),
        int(text[4:6]),
        int(text[6:8]),
        int(text[8:10]),
        int(text[10:12]),
        int(text[12:14]),
        int(text[14:20]),
        UTC,
    )


def iso(text: str) -> str:
    """Returns a stamp as ISO 8601: `2019-01-17T20:50:00Z`, with a fraction of seconds only if it is not 0."""
    whole = f"{text[0:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:14]}"
    fraction = text[14:20].rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def parse_iso(text: str) -> str:
    """Returns an ISO 8601 date or date-time as a stamp. Without an offset it is UTC. Raises ValueError."""
    text = text.strip().upper()  # fromisoformat accepts no `z`
    if not _ISO.fullmatch(text):  # fromisoformat accepts any separator, and parses 1571102360009 as the year 1571
        raise ValueError("not ISO 8601")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return stamp(moment)
    except OverflowError:  # in UTC the moment is outside the years 1 to 9999
        raise ValueError("out of range") from None


def shift(text: str, **delta: float) -> str:
    return stamp(to_datetime(text) + timedelta(**delta))


def uuid7() -> str:
    """Returns a new UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits. Python has uuid.uuid7 since 3.14."""
    moment, random = f"{time.time_ns() // 1_000_000:012x}", os.urandom(10)
    variant, digits = "89ab"[random[0] & 3], random.hex()
    return f"{moment[:8]}-{moment[8:]}-7{digits[2:5]}-{variant}{digits[5:8]}-{digits[8:]}"


def day(text: str) -> date:
    """Returns the UTC date of a stamp."""
    return date(int(text[0:4]), int(text[4:6]), int(text[6:8]))


def uuid7_time(text: str) -> datetime:
    """Returns the time at which a UUIDv7 was created."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text.replace("-", "")[:12], 16))


def uuid7_floor(moment: datetime) -> str:
    """Returns a text that sorts before every UUIDv7 of the moment's millisecond or later, and after earlier ones."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def uuid7_age(text: str) -> float | None:
    """Returns the seconds since a UUIDv7 was created.

    Returns None if the text is no UUIDv7, or its time is more than a minute in the future.
    """
    if not _UUID7.fullmatch(text):
        return None
    age = time.time() - int(text.replace("-", "")[:12], 16) / 1000
    return age if age > -60 else None
