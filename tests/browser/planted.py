"""Stores records without the API: dead letters, which a test cannot cause by requests, and many outcomes at once."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.end_to_end.shop import Shop
from tillbook.records.deadletters import DeadLetters
from tillbook.records.messages import Message, QueuedOrder
from tillbook.records.outcomes import Outcome, Outcomes
from tillbook.rules import times
from tillbook.rules.identity import email_sha256


def dead_letter(shop: Shop, event: dict[str, Any], reason: str = "could not be applied (Throttled)") -> str:
    """Stores a dead letter that a replay applies, since the cause of the failure is gone. Returns its request id."""
    client, records = shop.stack.boto3_client("dynamodb"), shop.stack.outputs["RecordsTableName"]
    event = dict(event)
    person = ["email", email_sha256(event.pop("email"))]
    event_id = hashlib.sha256(event["order_id"].encode()).hexdigest()[:22]
    received = times.now()
    order = QueuedOrder(shop.account, times.uuid7(), received, 0, event_id, received, person, event)
    DeadLetters(client, records).keep(shop.account, order.request_id, reason, Message(orders=[order]))
    failed = Outcome(
        shop.account, "shopper_activity", order.request_id, "failed", received, event["action"], event["provider"],
        event["order_id"], reason,
    )  # fmt: skip
    Outcomes(client, records).record([failed])
    return order.request_id


def outcomes(shop: Shop, order_ids: list[str], status: str) -> None:
    """Stores an outcome with `status`, of a request received just now, for each of `order_ids`."""
    now, records = times.now(), shop.stack.outputs["RecordsTableName"]
    Outcomes(shop.stack.boto3_client("dynamodb"), records).record(
        [
            Outcome(shop.account, "shopper_activity", times.uuid7(), status, now, "placed", "my_shop", order_id)
            for order_id in order_ids
        ]
    )
