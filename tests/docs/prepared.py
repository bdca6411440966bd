"""Prepares data that the commands of some pages need and cannot create themselves."""

from __future__ import annotations

from typing import Any

from events.bodies import SHOPIFY_SIGNING_KEY
from local.deploy import STACK
from tests.end_to_end.shop import Shop
from tests.examples import event
from tillbook.aws.secrets import Secrets
from tillbook.contract import shopper_activity
from tillbook.records.connections import Connections
from tillbook.records.deadletters import DeadLetters
from tillbook.records.keys import Keys
from tillbook.records.messages import Message, QueuedOrder
from tillbook.rules import times


def prepare(page: str, shop: Shop) -> dict[str, str]:
    """Creates the data for a page. Returns the values that replace placeholders on the page, such as JOB_ID."""
    if page == "docs/runbook.md":
        letter, job = times.uuid7(), shop.send("POST", "/v1/audience/customers-orders-api/rebuild").json["job_id"]
        _store_dead_letter(shop, letter)
        key, _ = Keys(shop.stack.boto3_client("dynamodb"), shop.stack.outputs["RecordsTableName"]).create(
            shop.account, "ingest"
        )
        return {"DEADLETTER_ID": letter, "JOB_ID": job, "ACCOUNT_ID": shop.account, "KEY_ID": key.id}
    if page == "docs/api.md":
        _create_connection(shop)
        for name in ("replay", "discard"):
            _store_dead_letter(shop, event(f"manage/{name}")["pathParameters"]["deadletter_id"])
    elif page == "docs/how-to/replay-dead-letters.md":
        for _ in range(3):
            _store_dead_letter(shop, times.uuid7())
    return {}


def _create_connection(shop: Shop) -> None:
    stack = shop.stack
    secrets = Secrets(stack.boto3_client("ssm"), STACK)
    connections = Connections(stack.boto3_client("dynamodb"), stack.outputs["RecordsTableName"], secrets)
    connections.create(shop.account, "shopify", "shopify", entered=SHOPIFY_SIGNING_KEY)


def _store_dead_letter(shop: Shop, request_id: str) -> None:
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
