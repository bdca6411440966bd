"""Segments of customers, defined by bounds on lifetime value, number of orders and date of the last order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from tillbook.rules.amounts import AmountError, parse_amount, text
from tillbook.rules.codes import MINOR_UNITS, WITHDRAWN_UNITS
from tillbook.rules.dates import shifted
from tillbook.rules.json_text import Json

MOST_SEGMENTS, LONGEST_NAME = 50, 60
_MOST = 10**9  # the largest bound on orders or days


class Bounds(NamedTuple):
    """Inclusive bounds; None is no bound. `first` and `last` bound the date of the last order."""

    min_lifetime_value: Decimal | None = None
    max_lifetime_value: Decimal | None = None
    min_orders: int | None = None
    max_orders: int | None = None
    first: date | None = None
    last: date | None = None

    def hold(self, lifetime_value: Decimal, orders: int, last_order: date) -> bool:
        return (
            (self.min_lifetime_value is None or self.min_lifetime_value <= lifetime_value)
            and (self.max_lifetime_value is None or lifetime_value <= self.max_lifetime_value)
            and (self.min_orders is None or self.min_orders <= orders)
            and (self.max_orders is None or orders <= self.max_orders)
            and (self.first is None or self.first <= last_order)
            and (self.last is None or last_order <= self.last)
        )


class Segment(NamedTuple):
    """A segment that an account defines.

    `currency` is the currency of the lifetime value; empty means the account's. `min_days` and `max_days` bound the
    number of days since the last order.
    """

    name: str
    currency: str = ""
    min_lifetime_value: Decimal | None = None
    max_lifetime_value: Decimal | None = None
    min_orders: int | None = None
    max_orders: int | None = None
    min_days: int | None = None
    max_days: int | None = None

    def bounds(self, today: date) -> Bounds:
        first, last = (None if days is None else shifted(today, -days) for days in (self.max_days, self.min_days))
        return Bounds(self.min_lifetime_value, self.max_lifetime_value, self.min_orders, self.max_orders, first, last)

    def shown(self) -> dict[str, Json]:
        """Returns the segment as JSON, with amounts as text. Absent bounds are left out."""
        found = {name: text(value) if isinstance(value, Decimal) else value for name, value in self._asdict().items()}
        return {name: value for name, value in found.items() if value not in (None, "")}


_AMOUNTS = ("min_lifetime_value", "max_lifetime_value")
_COUNTS = ("min_orders", "max_orders", "min_days", "max_days")


def segments_of(entries: Json) -> tuple[Segment, ...]:
    """Parses segments from JSON as returned by Segment.shown. Raises ValueError with the segment and the reason."""
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("segments must be a list of objects, each with a name and bounds")
    if len(entries) > MOST_SEGMENTS:
        raise ValueError(f"there may be at most {MOST_SEGMENTS} segments")
    found = tuple(map(_segment, entries))
    names = [segment.name.lower() for segment in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"segment {name}: the name is used twice")
    return found


def segment_named(segments: Iterable[Segment], name: str) -> Segment | None:
    """Returns the segment with this name, ignoring case; None if there is none."""
    return next((segment for segment in segments if segment.name.lower() == name.strip().lower()), None)


def _segment(entry: Mapping[str, Json]) -> Segment:
    name = entry.get("name")
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= LONGEST_NAME or not name.isprintable():
        raise ValueError(f"a segment needs a name of 1 to {LONGEST_NAME} characters")
    name = name.strip()
    if unknown := [key for key in entry if key not in Segment._fields]:
        known = ", ".join(Segment._fields[1:])
        raise ValueError(f"segment {name}: {unknown[0]} is not a known field; use {known}")
    values: dict[str, Json] = {key: value for key, value in entry.items() if value is not None and key != "name"}
    found: dict[str, Json] = {"currency": _currency(name, values.pop("currency", ""))}
    for key, value in values.items():
        found[key] = _amount(name, key, value) if key in _AMOUNTS else _count(name, key, value)
    for what in ("lifetime_value", "orders", "days"):
        least, most = found.get(f"min_{what}"), found.get(f"max_{what}")
        if least is not None and most is not None and least > most:
            raise ValueError(f"segment {name}: min_{what} must not be more than max_{what}")
    if not values:
        raise ValueError(f"segment {name}: give at least one of {', '.join((*_AMOUNTS, *_COUNTS))}")
    return Segment(name, **found)


def _currency(name: str, value: Json) -> str:
    code = value.strip().upper() if isinstance(value, str) and value.isascii() else "?"
    if code and code not in MINOR_UNITS and code not in WITHDRAWN_UNITS:
        raise ValueError(f"segment {name}: currency must be an ISO 4217 code")
    return code


def _amount(name: str, key: str, value: Json) -> Decimal:
    try:
        return parse_amount(value)[0]
    except AmountError as error:
        raise ValueError(f"segment {name}: {key} {error}") from None


def _count(name: str, key: str, value: Json) -> int:
    digits = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 11 and int(digits) <= _MOST):
        raise ValueError(f"segment {name}: {key} must be a whole number from 0 to {_MOST:,}")
    return int(digits)
