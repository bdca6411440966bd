"""Parses amounts, times and e-mail addresses by the documented rules. Shares no code with the package."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any


def amount(value: Any) -> Decimal | None:
    """The amount, rounded half to even to 4 decimals; None if it is absent or empty."""
    if value is None or value == "":
        return None
    return Decimal(str(value).strip()).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)


@lru_cache(maxsize=65536)
def moment(text: str) -> str:
    """The 20 digits of an ISO 8601 time; without an offset it is UTC."""
    when = datetime.fromisoformat(text.strip())
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return when.strftime("%Y%m%d%H%M%S%f")


@lru_cache(maxsize=65536)
def email_hash(email: str) -> str:
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()


def is_email(text: str) -> bool:
    name, at, domain = text.strip().partition("@")
    return bool(at and name and "@" not in domain and "." in domain.strip(".") and " " not in text.strip())
