"""Writes the events in this folder: `PYTHONPATH=.:layers/shared .venv/bin/python -m events.make`.

Each is complete, as API Gateway (HTTP API, payload format 2.0) or SQS hands it to the function its folder is
named after: `sam local invoke SubmitOrder -e events/submit_order/order.json`. The two examples called `order`
are those of the published APIs; the others tell of Ann, whose order A-1 goes from placed to refunded.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local import front_door
from local import template as templates
from tillbook.contract import shopper_activity
from tillbook.records import messages
from tillbook.records.jobs import Step
from tillbook.records.messages import Message, QueuedOrder, QueuedWrite
from tillbook.rules import times
from tillbook.rules.identity import order_key
from tillbook.rules.json_text import loads

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

ACCOUNT = "1234567"
INGEST_KEY = "local-ingest-key"
ADMIN_KEY = "local-admin-key"
HOST = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:tillbook-OrdersQueue"
# When all of it came in: a second after the latest of it happened.
RECEIVED = "20190209100001000000"

Event = dict[str, Any]

# The example of the published Order Activity API, as it stands there.
ORDER_ACTIVITY = """
  {
    "provider": "my_custom_platform",
    "email": "user@gmail.com",
    "action": "placed",
    "occurred_at": "2019-01-17T20:50:00Z",
    "order_id": "456445746",
    "order_public_id": "#5",
    "grand_total": 22.99,
    "total_discounts": 5.34,
    "total_taxes": 1.00,
    "total_fees": 2.00,
    "total_shipping": 5.00,
    "currency": "USD",
    "order_url": "https://mysuperstore.com/order/456445746",
    "items": [
      {
        "product_id": "B01J4SWO1G",
        "product_variant_id": "B01J4SWO1G-CW-BOTT",
        "sku": "XHB-1234",
        "name": "The Coolest Water Bottle",
        "brand": "Drip",
        "categories": [
          "Accessories"
        ],
        "price": 11.16,
        "sale_price": 10.16,
        "quantity": 2,
        "discounts": 5.34,
        "taxes": 1.00,
        "fees": 0.50,
        "shipping": 5.00,
        "total": 23.99,
        "product_url": "https://mysuperstore.com/dp/B01J4SWO1G",
        "image_url": "https://www.getdrip.com/images/example_products/water_bottle.png",
        "product_tag": "Best Seller"
      }
    ],
    "billing_address": {
      "label": "Primary Billing",
      "first_name": "Bill",
      "last_name": "Billington",
      "company": "Bills R US",
      "address_1": "123 Bill St.",
      "address_2": "Apt. B",
      "city": "Billtown",
      "state": "CA",
      "postal_code": "01234",
      "country": "United States",
      "phone": "555-555-5555"
    },
    "shipping_address": {
      "label": "Downtown Office",
      "first_name": "Ship",
      "last_name": "Shipington",
      "company": "Shipping 4 Less",
      "address_1": "123 Ship St.",
      "city": "Shipville",
      "state": "CA",
      "postal_code": "01234",
      "country": "United States",
      "phone": "555-555-5555"
    }
  }
"""

# What a shop sends to be answered with the example of the published Orders API.
ORDER = {
    "order_id": "9ca6e9ab-9de6-4491-82c3-8730e2aedfbb",
    "order_date": "2019-09-05T14:06:42Z",
    "currency": "USD",
    "total": 126.0,
    "customer_id": "27876",
    "customer_email_sha256": "b043f7b1894189c3591ed2514fcf901ec0de715e8c0c981b893e7d3778d318d4",
    "metadata": {"firstTimeOrder": True},
    "order_items": [
        {
            "identifier": "88fcae48-b6f3-41d5-826d-1f7ec2a108ba",
            "description": "Handcrafted Wooden Pants",
            "category": ["Grocery", "Fruit"],
            "metadata": {"productMaterial": "Cotton"},
            "quantity": 1,
            "total": 504.0,
        },
        {
            "identifier": "94820c46-644e-408f-8f61-4e057a148c5e",
            "description": "Tasty Plastic Bike",
            "category": ["Health", "Sports", "Toys"],
            "price": 483.0,
            "quantity": 1,
            "total": 297.0,
        },
    ],
    "shipping_address": {
        "address_1": "03055 Williamson Gardens",
        "address_2": "Suite 249",
        "city": "South Maritzaville",
        "state": "TN",
        "postal_code": "10843",
    },
    "billing_address": {"address_1": "59184 Henri Canyon", "state": "", "postal_code": "36670-7309"},
}

ANN = {"provider": "my_shop", "email": "ann@example.com", "order_id": "A-1", "currency": "USD"}
ANN_PLACED = ANN | {"action": "placed", "occurred_at": "2019-02-01T09:00:00Z", "grand_total": 100}
ANN_UPDATED = ANN | {"action": "updated", "occurred_at": "2019-02-01T09:05:00Z", "grand_total": "105.00"}
ANN_PAID = ANN | {"action": "paid", "occurred_at": "2019-02-01T09:10:00Z"}
ANN_REFUNDED = ANN | {"action": "refunded", "occurred_at": "2019-02-08T16:30:00Z", "refund_amount": 105}
BEN_PLACED = {
    "provider": "my_shop",
    "person_id": "customer-42",
    "action": "placed",
    "occurred_at": "2019-02-01T09:01:00Z",
    "order_id": "B-7",
    "grand_total": 18.5,
}
GZIPPED = ANN | {"order_id": "A-2", "action": "placed", "occurred_at": "2019-02-09T10:00:00Z", "grand_total": 12.5}
# Everything that can be wrong with it at once.
INVALID = {
    "provider": "My Shop",
    "action": "bought",
    "occurred_at": "yesterday",
    "order_id": "A-3",
    "grand_total": -1,
    "items": [{"product_id": "B01J4SWO1G", "price": "eleven"}],
}
# `#` may stand in an order_id; in a path it travels as %23 and is handed on decoded.
SMALL_ORDER = {
    "order_id": "#5",
    "order_date": "2019-09-06",
    "total": "12.50",
    "customer_email": "Ann@example.com",
}

AUDIENCE = "customers-orders-api"
# The published order's shipping address, written otherwise, and somebody else.
MATCH = {
    "people": [
        {"address": {"address_1": "03055 WILLIAMSON GARDENS", "address_2": "Ste. 249", "postal_code": "10843"}},
        {"customer_id": "27876"},
        {"email": "ben@example.com"},
    ]
}


def _page(path: str) -> Event:
    return http("GET", path, {"accept-encoding": "gzip, deflate, br"})


def events() -> dict[str, Event]:
    """Every event by its path under this folder."""
    order_id = str(ORDER["order_id"])
    person = f"/v3/{ACCOUNT}/people/user@gmail.com"
    return {
        "submit_order/order.json": _v1("POST", "/v1/order", ORDER),
        "submit_order/small.json": _v1("POST", "/v1/order", SMALL_ORDER),
        "submit_order/invalid.json": _v1("POST", "/v1/order", {"order_id": "a?b", "total": "much"}),
        "edit_order/edit.json": _v1("POST", f"/v1/order/{order_id}", {"total": "120.00", "metadata": None}),
        "delete_order/delete.json": _v1("DELETE", "/v1/order/#5"),
        "record_activity/order.json": _activity(" ".join(ORDER_ACTIVITY.split())),
        "record_activity/batch.json": _activity(
            json.dumps({"orders": [ANN_PLACED, BEN_PLACED, ANN_UPDATED]}), path="/batch"
        ),
        "record_activity/paid.json": _activity(json.dumps(ANN_PAID)),
        "record_activity/refund.json": _activity(json.dumps(ANN_REFUNDED), {"idempotency-key": "refund-A-1"}),
        "record_activity/invalid.json": _activity(json.dumps(INVALID)),
        "record_activity/gzip.json": _gzipped(_activity(json.dumps(GZIPPED), {"content-encoding": "gzip"})),
        "process_orders/order.json": sqs([Message([_queued(1, json_of(ORDER_ACTIVITY))])]),
        "process_orders/packed.json": sqs([Message(_ann()), Message(_many())]),
        "process_orders/write.json": sqs([Message(writes=[_write(order_id)])]),
        "process_orders/rebuild.json": sqs([Message(steps=[_step()])]),
        "process_orders/nightly.json": sqs([Message(nightly=[" "])]),
        "audit_ledger/daily.json": {"people": 200},
        "read/person.json": _v3("GET", person),
        "read/activity.json": _v3("GET", f"{person}/activity", query={"limit": "10"}),
        "read/orders.json": _v3("GET", f"{person}/orders"),
        "read/order_v1.json": _v1("GET", f"/v1/order/{order_id}", key=ADMIN_KEY),
        "read/order_v3.json": _v3("GET", f"/v3/{ACCOUNT}/orders/my_custom_platform/456445746"),
        "read/history_v1.json": _v1("GET", f"/v1/order/{order_id}/history", key=ADMIN_KEY),
        "read/history_v3.json": _v3("GET", f"/v3/{ACCOUNT}/orders/my_custom_platform/456445746/history"),
        "read/request.json": _v3("GET", f"/v3/{ACCOUNT}/requests/{_request_id(1)}"),
        "read/subscriber.json": _v3("GET", f"/v2/{ACCOUNT}/subscribers/user@gmail.com"),
        "read/audiences.json": _v1("GET", "/v1/audiences", key=ADMIN_KEY),
        "read/audience.json": _v1("GET", f"/v1/audience/{AUDIENCE}", key=ADMIN_KEY),
        "read/match.json": _v1("POST", f"/v1/audience/{AUDIENCE}/match", MATCH, key=ADMIN_KEY),
        "read/job.json": _v1("GET", f"/v1/jobs/{_request_id(3)}", key=ADMIN_KEY),
        "read/transactions.json": _v1("GET", "/v1/transactions", key=ADMIN_KEY),
        "read/summary.json": _v1("GET", "/v1/transactions/summary", key=ADMIN_KEY),
        "read/deadletters.json": _v1("GET", "/v1/deadletters", key=ADMIN_KEY),
        "read/account.json": _v1("GET", "/v1/account", key=ADMIN_KEY),
        "manage/rebuild.json": _v1("POST", f"/v1/audience/{AUDIENCE}/rebuild", key=ADMIN_KEY),
        "manage/replay.json": _v1("POST", f"/v1/deadletters/{_request_id(4)}/replay", key=ADMIN_KEY),
        "manage/discard.json": _v1(
            "DELETE", f"/v1/deadletters/{_request_id(5)}", {"reason": "a test order"}, key=ADMIN_KEY
        ),
        "manage/erase.json": _v3("DELETE", f"/v3/{ACCOUNT}/people/ann@example.com"),
        "manage/purge.json": _v1(
            "DELETE",
            "/v1/transactions",
            {"confirm": "purge", "source": "orders_api"},
            key=ADMIN_KEY,
        ),
        "transactions_page/page.json": _page("/"),
        "transactions_page/script.json": _page("/page/app.js"),
        "describe/document.json": http("GET", "/openapi.json", {}),
        "fallback/unknown.json": _v3("GET", f"/v3/{ACCOUNT}/nothing"),
        "fallback/method.json": _v1("PUT", "/v1/order", ORDER),
    }


def json_of(text: str) -> dict[str, Any]:
    """As the functions read it: numbers exact."""
    return dict(loads(text))


# ------------------------------------------------------------ API Gateway ---

ROUTES = templates.routes(templates.load(ROOT / "template.yaml"))


def _v1(method: str, path: str, body: Any = None, *, key: str = INGEST_KEY) -> Event:
    text = None if body is None else json.dumps(body)
    return http(method, path, {"authorization": f"Bearer {key}"}, text)


def _v3(
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: str | None = None,
    *,
    key: str = ADMIN_KEY,
    query: dict[str, str] | None = None,
) -> Event:
    basic = b64encode(f"{key}:".encode()).decode()
    return http(method, path, {"authorization": f"Basic {basic}"} | (headers or {}), body, query)


def _activity(body: str, headers: dict[str, str] | None = None, *, path: str = "") -> Event:
    return _v3("POST", f"/v3/{ACCOUNT}/shopper_activity/order{path}", headers, body, key=INGEST_KEY)


def http(
    method: str,
    path: str,
    headers: dict[str, str],
    body: str | None = None,
    query: dict[str, str] | None = None,
) -> Event:
    """The event of a request for `path`, which is given decoded, as the gateway hands it on."""
    found = front_door.match(ROUTES, method, quote(path))
    if found is None:
        raise ValueError(f"no route answers {method} {path}")
    route, parameters = found[0].key, found[1]
    sent = {
        "accept": "*/*",
        "content-length": str(len((body or "").encode())),
        "host": HOST,
        "user-agent": "Your App Name (www.yourapp.com)",
        "x-amzn-trace-id": "Root=1-5c5ea451-0123456789abcdef01234567",
        "x-forwarded-for": "203.0.113.10",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    if body is not None:
        sent["content-type"] = "application/json"
    query_string = "&".join(f"{name}={value}" for name, value in (query or {}).items())
    event: Event = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": query_string,
        "headers": dict(sorted((sent | headers).items())),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": HOST.partition(".")[0],
            "domainName": HOST,
            "domainPrefix": HOST.partition(".")[0],
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.10",
                "userAgent": sent["user-agent"],
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "$default",
            "time": times.to_datetime(RECEIVED).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": _milliseconds(RECEIVED),
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = query
    if parameters:
        event["pathParameters"] = parameters
    if body is not None:
        event["body"] = body
    return event


def _gzipped(event: Event) -> Event:
    data = gzip.compress(event["body"].encode(), mtime=0)
    event["headers"]["content-length"] = str(len(data))
    return event | {"body": b64encode(data).decode(), "isBase64Encoded": True}


# -------------------------------------------------------------------- SQS ---


def sqs(sent: list[Message]) -> Event:
    """The event of a batch of messages, each on its first try."""
    return {"Records": [_record(number, messages.encode(message)) for number, message in enumerate(sent, 1)]}


def _record(number: int, body: str) -> Event:
    received = str(_milliseconds(RECEIVED) + 200)
    return {
        "messageId": f"059f36b4-87a3-44ab-83d2-66197{number:07d}",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a==",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(_milliseconds(RECEIVED)),
            "SenderId": "AROAEXAMPLE:RecordActivity",
            "ApproximateFirstReceiveTimestamp": received,
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "us-east-1",
    }


def _queued(number: int, payload: dict[str, Any], position: int = 0) -> QueuedOrder:
    """What intake makes of an accepted payload."""
    envelope, body = shopper_activity.parse(payload, RECEIVED)
    return QueuedOrder(
        account=ACCOUNT,
        request_id=_request_id(number),
        received=RECEIVED,
        position=position,
        event_id=envelope["hash"],
        occurred=envelope["occurred"],
        person=envelope["person"],
        body=body,
        notes=envelope["notes"],
    )


def _ann() -> list[QueuedOrder]:
    sent = [ANN_PLACED, ANN_UPDATED, ANN_PAID, ANN_REFUNDED]
    return [_queued(10 + n, json_of(json.dumps(payload))) for n, payload in enumerate(sent)]


def _many() -> list[QueuedOrder]:
    """A full message, which is big enough to be compressed."""
    one = _queued(100, json_of(ORDER_ACTIVITY) | {"email": "cleo@example.com", "provider": "my_shop"})
    return [
        one._replace(
            request_id=_request_id(100 + n),
            position=n,
            event_id=f"{one.event_id[:-3]}{n:03d}",
            body=one.body | {"order_id": f"C-{n}"},
        )
        for n in range(messages.MAX_ORDERS)
    ]


def _write(order_id: str) -> QueuedWrite:
    """Of a write that was never made: it is dropped."""
    key = order_key("orders_api", "", order_id)
    return QueuedWrite(ACCOUNT, key, order_id, "submitted", _request_id(2), RECEIVED)


def _step() -> Step:
    """Of a job that is not known here: it is dropped."""
    return Step(ACCOUNT, _request_id(3), "rebuild", ["orders_api"])


def _milliseconds(stamp: str) -> int:
    return int(times.to_datetime(stamp).timestamp() * 1000)


def _request_id(number: int) -> str:
    """A UUIDv7 of the time of receipt."""
    digits = f"{_milliseconds(RECEIVED):012x}7e0080{number:014x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def write() -> None:
    for path, event in events().items():
        target = HERE / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write()
