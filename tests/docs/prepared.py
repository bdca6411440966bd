"""What must be there before the commands of some pages make sense, and no command can make."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.shop import Shop
from tests.examples import event
from tillbook.contract import shopper_activity
from tillbook.records.deadletters import DeadLetters
from tillbook.records.messages import Message, QueuedOrder
from tillbook.rules import times


def prepare(page: str, shop: Shop) -> dict[str, str]:
    """What no command can make: orders that could not be applied. Returns what the page calls by other names."""
    if page == "docs/runbook.md":
        dead, job = times.uuid7(), shop.send("POST", "/v1/audience/customers-orders-api/rebuild").json["job_id"]
        _dead_letter(shop, dead)
        return {"DEADLETTER_ID": dead, "JOB_ID": job}
    if page == "docs/api.md":
        for name in ("replay", "discard"):
            _dead_letter(shop, event(f"manage/{name}")["pathParameters"]["deadletter_id"])
    elif page == "docs/how-to/replay-dead-letters.md":
        for _ in range(3):
            _dead_letter(shop, times.uuid7())
    return {}


def _dead_letter(shop: Shop, request_id: str) -> None:
    payload: dict[str, Any] = {
        "provider": "my_shop", "email": "dora@example.com", "action": "placed", "order_id": request_id[-4:],
        "occurred_at": "2026-01-17T20:50:00Z", "grand_total": "10.00",
    }  # fmt: skip
    received = times.now()
    envelope, body = shopper_activity.parse(payload, received)
    order = QueuedOrder(
        shop.account, request_id, received, 0, envelope["hash"], envelope["occurred"], envelope["person"], body
    )
    client, table = shop.stack.boto3_client("dynamodb"), shop.stack.outputs["RecordsTableName"]
    DeadLetters(client, table).keep(shop.account, request_id, "throttled: DynamoDB", Message([order]))
