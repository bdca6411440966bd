"""Events as shops send them and as the queue holds them."""

from __future__ import annotations

import hashlib
import time
import uuid
from typing import Any

from tests.end_to_end.shop import Shop
from tillbook.rules.identity import email_sha256


def event(shop: Shop, action: str = "placed", **fields: Any) -> dict[str, Any]:
    return {
        "provider": "my_shop",
        "email": shop.email("ann"),
        "action": action,
        "order_id": "A-1",
        "occurred_at": "2026-01-17T20:50:00Z",
        **fields,
    }


def queued_order(shop: Shop, name: str) -> dict[str, Any]:
    """An order as the API queues it in a message. `name`: its order id, and the name of its person."""
    now = time.time_ns()
    # A UUID of version 7, as the API gives to requests.
    request_id = uuid.UUID(int=(now // 10**6 << 80) | (7 << 76) | (2 << 62) | uuid.uuid4().int >> 66)
    return {
        "account": shop.account,
        "request_id": str(request_id),
        "received": time.strftime("%Y%m%d%H%M%S", time.gmtime()) + "000000",
        "position": 0,
        "event_id": hashlib.sha256(name.encode()).hexdigest()[:22],
        "occurred": "20260117205000000000",
        "person": ["email", email_sha256(shop.email(name))],
        "body": {"provider": "my_shop", "action": "placed", "order_id": name, "grand_total": 9},
        "content_hash": "",
        "notes": [],
    }
