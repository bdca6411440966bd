"""What a schema cannot say, for schemathesis: times lie in the past, and the noise of floats is forgiven."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import schemathesis
from hypothesis import strategies as st

_MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_DATES = st.dates(min_value=date(1970, 1, 1), max_value=date(2026, 1, 1))

schemathesis.openapi.format("date-time", _MOMENTS.map(lambda moment: moment.isoformat().replace("+00:00", "Z")))
schemathesis.openapi.format("date", _DATES.map(date.isoformat))


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Not what breaks the rule of four decimals by no more than 1e-9: that is rounded and noted, not refused."""
    return not _has_noise(body)


def _has_noise(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_noise, value.values()))
    if isinstance(value, list):
        return any(map(_has_noise, value))
    if not isinstance(value, float) or not abs(value) < 1e15:
        return False
    exact = Decimal(repr(value))
    return 0 < abs(exact.quantize(Decimal("0.0001")) - exact) <= Decimal("1e-9")
