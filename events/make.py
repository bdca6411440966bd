"""Writes the events in this folder: `PYTHONPATH=.:layers/shared .venv/bin/python -m events.make`.

Each event is complete. Its folder is named after the function that receives it:
`sam local invoke SubmitOrder -e events/submit_order/order.json`.
"""

from __future__ import annotations

import json
from pathlib import Path

from events.bodies import (
    ACCOUNT,
    ADMIN_KEY,
    ANN_PAID,
    ANN_PLACED,
    ANN_PLACED_A2,
    ANN_REFUNDED,
    ANN_UPDATED,
    AUDIENCE,
    BEN_PLACED,
    INVALID,
    MATCH,
    ORDER,
    ORDER_ACTIVITY,
    SHOPIFY_ORDER,
    SMALL_ORDER,
)
from events.envelopes import (
    Event,
    activity_request,
    gzipped,
    http,
    json_of,
    page_request,
    person_changed,
    queued,
    request_id,
    sqs,
    stream,
    v1_request,
    v3_request,
    version_inserted,
    webhook_request,
)
from tillbook.records import messages
from tillbook.records.messages import Message, QueuedOrder, Step

HERE = Path(__file__).resolve().parent
_FROM_THE_FIRST = " "  # sorts before every account id and every open job
_JOB, _DEAD_LETTER, _DISCARDED_LETTER = request_id(3), request_id(4), request_id(5)


def events() -> dict[str, Event]:
    """Every event by its path under this folder."""
    return _of_shops() | _of_queues() | _of_readers() | _of_operators()


def _of_shops() -> dict[str, Event]:
    """Requests of shops."""
    order_id = str(ORDER["order_id"])
    return {
        "submit_order/order.json": v1_request("POST", "/v1/order", ORDER),
        "submit_order/small.json": v1_request("POST", "/v1/order", SMALL_ORDER),
        "submit_order/invalid.json": v1_request("POST", "/v1/order", {"order_id": "a?b", "total": "much"}),
        "edit_order/edit.json": v1_request("POST", f"/v1/order/{order_id}", {"total": "120.00", "metadata": None}),
        "delete_order/delete.json": v1_request("DELETE", "/v1/order/#5"),
        "record_activity/order.json": activity_request(" ".join(ORDER_ACTIVITY.split())),
        "record_activity/batch.json": activity_request(
            json.dumps({"orders": [ANN_PLACED, BEN_PLACED, ANN_UPDATED]}), path="/batch"
        ),
        "record_activity/paid.json": activity_request(json.dumps(ANN_PAID)),
        "record_activity/refund.json": activity_request(json.dumps(ANN_REFUNDED), {"idempotency-key": "refund-A-1"}),
        "record_activity/invalid.json": activity_request(json.dumps(INVALID)),
        "record_activity/gzip.json": gzipped(activity_request(json.dumps(ANN_PLACED_A2), {"content-encoding": "gzip"})),
        "receive_webhook/shopify.json": webhook_request(json.dumps(SHOPIFY_ORDER)),
        "receive_webhook/unsigned.json": webhook_request(json.dumps(SHOPIFY_ORDER), "another"),
        "receive_webhook/ping.json": http(
            "POST",
            f"/connect/{ACCOUNT}/woocommerce",
            {"content-type": "application/x-www-form-urlencoded"},
            "webhook_id=12",
        ),
    }


def _of_queues() -> dict[str, Event]:
    """Batches of queues and streams, and the daily schedule."""
    return {
        "process_orders/order.json": sqs([Message([queued(1, json_of(ORDER_ACTIVITY))])]),
        "process_orders/packed.json": sqs([Message(_events_of_ann()), Message(_full_message())]),
        "process_orders/rebuild.json": sqs([Message(steps=[_page_of_job()])]),
        "process_orders/nightly.json": sqs([Message(nightly=[_FROM_THE_FIRST])]),
        "process_orders/watch.json": sqs([Message(watch=[_FROM_THE_FIRST])]),
        "keep_book/order.json": stream([queued(1, json_of(ORDER_ACTIVITY))]),
        "announce_changes/person.json": person_changed(queued(1, json_of(ORDER_ACTIVITY))),
        "keep_book/version.json": {"Records": [version_inserted(json_of(json.dumps(ORDER)))]},
        "audit_ledger/daily.json": {"people": 200, "window": 10},
    }


def _of_readers() -> dict[str, Event]:
    """Requests that read, with an admin key."""
    order_id = str(ORDER["order_id"])
    person = f"/v3/{ACCOUNT}/people/user@gmail.com"
    return {
        "read/person.json": v3_request("GET", person),
        "read/activity.json": v3_request("GET", f"{person}/activity", query={"limit": "10"}),
        "read/orders.json": v3_request("GET", f"{person}/orders"),
        "read/order_v1.json": v1_request("GET", f"/v1/order/{order_id}", key=ADMIN_KEY),
        "read/order_v3.json": v3_request("GET", f"/v3/{ACCOUNT}/orders/my_custom_platform/456445746"),
        "read/history_v1.json": v1_request("GET", f"/v1/order/{order_id}/history", key=ADMIN_KEY),
        "read/history_v3.json": v3_request("GET", f"/v3/{ACCOUNT}/orders/my_custom_platform/456445746/history"),
        "read/request.json": v3_request("GET", f"/v3/{ACCOUNT}/requests/{request_id(1)}"),
        "read/subscriber.json": v3_request("GET", f"/v2/{ACCOUNT}/subscribers/user@gmail.com"),
        "read/audiences.json": v1_request("GET", "/v1/audiences", key=ADMIN_KEY),
        "read/audience.json": v1_request("GET", f"/v1/audience/{AUDIENCE}", key=ADMIN_KEY),
        "read/match.json": v1_request("POST", f"/v1/audience/{AUDIENCE}/match", MATCH, key=ADMIN_KEY),
        "read/job.json": v1_request("GET", f"/v1/jobs/{_JOB}", key=ADMIN_KEY),
        "read/transactions.json": v1_request("GET", "/v1/transactions", key=ADMIN_KEY),
        "read/summary.json": v1_request("GET", "/v1/transactions/summary", key=ADMIN_KEY),
        "read/deadletters.json": v1_request("GET", "/v1/deadletters", key=ADMIN_KEY),
        "read/sales.json": v1_request(
            "GET", "/v1/reports/sales", key=ADMIN_KEY, query={"from": "2019-01-01", "group_by": "item"}
        ),
        "read/orders_by_date.json": v1_request("GET", "/v1/orders", key=ADMIN_KEY),
        "read/people.json": v3_request("GET", f"/v3/{ACCOUNT}/people", key=ADMIN_KEY, query={"min_orders": "1"}),
        "read/segments.json": v3_request("GET", f"/v3/{ACCOUNT}/segments", key=ADMIN_KEY),
        "read/account.json": v1_request("GET", "/v1/account", key=ADMIN_KEY),
        "read/counts.json": v1_request("GET", "/v1/transactions/counts", key=ADMIN_KEY),
        "read/deadletter.json": v1_request("GET", f"/v1/deadletters/{_DEAD_LETTER}", key=ADMIN_KEY),
        "read/deadletters_count.json": v1_request("GET", "/v1/deadletters/count", key=ADMIN_KEY),
    }


def _of_operators() -> dict[str, Event]:
    """Requests to `configure` and `manage`, with an admin key, and requests to functions that need no key."""
    return {
        "configure/settings.json": v1_request(
            "PATCH", "/v1/account", {"name": "Harbor & Pine", "time_zone": "UTC"}, key=ADMIN_KEY
        ),
        "configure/create_key.json": v1_request(
            "POST", "/v1/keys", {"role": "ingest", "label": "checkout"}, key=ADMIN_KEY
        ),
        "configure/keys.json": v1_request("GET", "/v1/keys", key=ADMIN_KEY),
        "configure/revoke_key.json": v1_request("DELETE", "/v1/keys/0123456789ab", key=ADMIN_KEY),
        "configure/connect.json": v1_request(
            "POST",
            "/v1/connections",
            {"platform": "woocommerce", "name": "harbor", "provider": "harbor"},
            key=ADMIN_KEY,
        ),
        "configure/connections.json": v1_request("GET", "/v1/connections", key=ADMIN_KEY),
        "configure/connection.json": v1_request("GET", "/v1/connections/harbor", key=ADMIN_KEY),
        "configure/rotate.json": v1_request(
            "POST", "/v1/connections/harbor/rotate", {"overlap_hours": 1}, key=ADMIN_KEY
        ),
        "configure/disconnect.json": v1_request("DELETE", "/v1/connections/harbor", key=ADMIN_KEY),
        "manage/rebuild.json": v1_request("POST", f"/v1/audience/{AUDIENCE}/rebuild", key=ADMIN_KEY),
        "manage/replay.json": v1_request("POST", f"/v1/deadletters/{_DEAD_LETTER}/replay", key=ADMIN_KEY),
        "manage/discard.json": v1_request(
            "DELETE", f"/v1/deadletters/{_DISCARDED_LETTER}", {"reason": "a test order"}, key=ADMIN_KEY
        ),
        "manage/erase.json": v3_request("DELETE", f"/v3/{ACCOUNT}/people/ann@example.com"),
        "manage/purge.json": v1_request(
            "DELETE",
            "/v1/transactions",
            {"confirm": "purge", "source": "orders_api"},
            key=ADMIN_KEY,
        ),
        "transactions_page/page.json": page_request("/"),
        "transactions_page/script.json": page_request("/page/app.js"),
        "describe/document.json": http("GET", "/openapi.json", {}),
        "fallback/unknown.json": v3_request("GET", f"/v3/{ACCOUNT}/nothing"),
        "fallback/method.json": v1_request("PUT", "/v1/order", ORDER),
    }


def _events_of_ann() -> list[QueuedOrder]:
    sent = [ANN_PLACED, ANN_UPDATED, ANN_PAID, ANN_REFUNDED]
    return [queued(10 + n, json_of(json.dumps(payload))) for n, payload in enumerate(sent)]


def _full_message() -> list[QueuedOrder]:
    """The orders of a full message, which is large enough to be compressed."""
    one = queued(100, json_of(ORDER_ACTIVITY) | {"email": "cleo@example.com", "provider": "my_shop"})
    return [
        one._replace(
            request_id=request_id(100 + n),
            position=n,
            event_id=f"{one.event_id[:-3]}{n:03d}",
            body=one.body | {"order_id": f"C-{n}"},
        )
        for n in range(messages.MAX_ORDERS)
    ]


def _page_of_job() -> Step:
    """A page of a job that does not exist, so that the function ignores it."""
    return Step(ACCOUNT, _JOB)


def write() -> None:
    for path, event in events().items():
        target = HERE / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write()
