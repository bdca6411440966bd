"""The events of events/ in an order in which they can be sent one after the other, with the expected answers."""

from __future__ import annotations

import json
from typing import Any

from local.stack import ROOT

EVENTS = ROOT / "events"

# The status of each answer. For functions of queues and streams, the number of messages or records to be delivered
# again; for the audit, the number of people with drift.
ANSWERS: dict[str, int] = {
    "submit_order/order": 201,
    "submit_order/small": 201,
    "submit_order/invalid": 400,
    "record_activity/order": 202,
    "record_activity/batch": 202,
    "record_activity/paid": 202,
    "record_activity/refund": 202,
    "record_activity/invalid": 422,
    "record_activity/gzip": 202,
    "receive_webhook/shopify": 200,
    "receive_webhook/unsigned": 401,
    "receive_webhook/ping": 200,
    "process_orders/order": 0,
    "process_orders/packed": 0,
    "process_orders/rebuild": 0,
    "process_orders/nightly": 0,
    "process_orders/watch": 0,
    "keep_book/order": 0,
    "announce_changes/person": 0,
    "keep_book/version": 0,
    "audit_ledger/daily": 0,
    "read/person": 200,
    "read/activity": 200,
    "read/orders": 200,
    "read/order_v1": 200,
    "read/order_v3": 200,
    "read/history_v1": 200,
    "read/history_v3": 200,
    "read/request": 200,
    "read/subscriber": 200,
    "read/audiences": 200,
    "read/audience": 200,
    "read/match": 200,
    "read/job": 404,
    "read/transactions": 200,
    "read/summary": 200,
    "read/deadletters": 200,
    "read/sales": 200,
    "read/orders_by_date": 200,
    "read/people": 200,
    "read/segments": 200,
    "read/account": 200,
    "read/counts": 200,
    "read/deadletter": 404,
    "read/deadletters_count": 200,
    "configure/settings": 200,
    "configure/create_key": 201,
    "configure/keys": 200,
    "configure/revoke_key": 404,
    "configure/connect": 201,
    "configure/connections": 200,
    "configure/connection": 200,
    "configure/rotate": 200,
    "configure/disconnect": 200,
    "edit_order/edit": 200,
    "delete_order/delete": 200,
    "manage/rebuild": 202,
    "manage/replay": 404,
    "manage/discard": 404,
    "manage/erase": 202,
    "manage/purge": 202,
    "transactions_page/page": 200,
    "transactions_page/script": 200,
    "describe/document": 200,
    "fallback/unknown": 404,
    "fallback/method": 405,
}


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


def outcome(answer: dict[str, Any]) -> int:
    """The number for an answer, to be compared with ANSWERS."""
    if "batchItemFailures" in answer:
        return len(answer["batchItemFailures"])
    if "drift" in answer:
        return int(answer["drift"])
    return int(answer["statusCode"])
