"""The bodies of v3 events that tests send."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.handlers.shop import ACCOUNT

EMAIL = "user@gmail.com"
SHA = hashlib.sha256(EMAIL.encode()).hexdigest()
PATH = f"/v3/{ACCOUNT}/shopper_activity/order"


def event(**changes: Any) -> dict[str, Any]:
    """The smallest valid event, with changes; a change to `...` leaves a field out."""
    body = {"provider": "shopify", "email": EMAIL, "action": "placed", "order_id": "o-1", "grand_total": 100} | changes
    return {name: value for name, value in body.items() if value is not ...}


def day(n: int) -> str:
    return f"2019-01-{n:02d}T12:00:00Z"
