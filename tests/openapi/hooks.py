"""A rule for schemathesis that a schema cannot state: times are in the past."""

from __future__ import annotations

from datetime import UTC, date, datetime

import schemathesis
from hypothesis import strategies as st

_MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_DATES = st.dates(min_value=date(1970, 1, 1), max_value=date(2026, 1, 1))

schemathesis.openapi.format("date-time", _MOMENTS.map(lambda moment: moment.isoformat().replace("+00:00", "Z")))
schemathesis.openapi.format("date", _DATES.map(date.isoformat))
