"""Events in the form in which API Gateway (HTTP API, payload format 2.0), SQS and DynamoDB streams invoke functions."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

from events.bodies import ACCOUNT, ADMIN_KEY, INGEST_KEY, SHOPIFY_SIGNING_KEY
from local import front_door
from local import template as templates
from tillbook.aws.items import raw
from tillbook.contract import orders_api, shopper_activity
from tillbook.contract.platforms.signatures import signature_of
from tillbook.ledger.activities import Activity
from tillbook.ledger.items import LEAST_BYTES_OF_EVENT, ActivityHead, OrderHead, Scope
from tillbook.ledger.orders import V1Request, head_for, plan_version
from tillbook.records import messages
from tillbook.records.messages import Message, QueuedOrder
from tillbook.rules import times
from tillbook.rules.identity import order_key
from tillbook.rules.json_text import loads
from tillbook.rules.order import fold

ROOT = Path(__file__).resolve().parent.parent

HOST = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:tillbook-OrdersQueue"
STREAM_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/tillbook-LedgerTable/stream/2026-11-29T00:00:00.000"
# The time of receipt of all events (a stamp): one second after the latest occurred_at of a v3 event.
RECEIVED = "20190209100001000000"

Event = dict[str, Any]
Record = dict[str, Any]  # one of the Records of an event


def json_of(text: str) -> dict[str, Any]:
    """Parses JSON as the functions do, so that numbers stay exact."""
    return dict(loads(text))


# ------------------------------------------------------------ API Gateway ---

ROUTES = templates.routes(templates.load(ROOT / "template.yaml"))


def v1_request(
    method: str, path: str, body: Any = None, *, key: str = INGEST_KEY, query: dict[str, str] | None = None
) -> Event:
    text = None if body is None else json.dumps(body)
    return http(method, path, {"authorization": f"Bearer {key}"}, text, query)


def v3_request(
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


def activity_request(body: str, headers: dict[str, str] | None = None, *, path: str = "") -> Event:
    return v3_request("POST", f"/v3/{ACCOUNT}/shopper_activity/order{path}", headers, body, key=INGEST_KEY)


def webhook_request(body: str, signing_key: str = SHOPIFY_SIGNING_KEY) -> Event:
    headers = {
        "x-shopify-topic": "orders/paid",
        "x-shopify-hmac-sha256": signature_of(signing_key, body.encode()),
        "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    }
    return http("POST", f"/connect/{ACCOUNT}/shopify", headers, body)


def page_request(path: str) -> Event:
    return http("GET", path, {"accept-encoding": "gzip, deflate, br"})


def http(
    method: str,
    path: str,
    headers: dict[str, str],
    body: str | None = None,
    query: dict[str, str] | None = None,
) -> Event:
    """The event of a request for `path`, which is decoded, as the gateway passes it to a function."""
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


def gzipped(event: Event) -> Event:
    data = gzip.compress(event["body"].encode(), mtime=0)
    event["headers"]["content-length"] = str(len(data))
    return event | {"body": b64encode(data).decode(), "isBase64Encoded": True}


# -------------------------------------------------------------------- SQS ---


def sqs(sent: list[Message]) -> Event:
    """The event of a batch of messages, each on its first try."""
    return {"Records": [sqs_record(number, messages.encode(message)) for number, message in enumerate(sent, 1)]}


def sqs_record(number: int, body: str) -> Record:
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


def queued(number: int, payload: dict[str, Any], position: int = 0) -> QueuedOrder:
    """The order that intake queues for an accepted payload."""
    envelope, body = shopper_activity.parse(payload, RECEIVED)
    return QueuedOrder(
        account=ACCOUNT,
        request_id=request_id(number),
        received=RECEIVED,
        position=position,
        event_id=envelope["hash"],
        occurred=envelope["occurred"],
        person=envelope["person"],
        body=body,
        notes=envelope["notes"],
    )


# ------------------------------------------------------- DynamoDB streams ---


def stream(orders: list[QueuedOrder]) -> Event:
    """The event of a batch of changes in the ledger: the new head of each order after the order's first event."""
    return {"Records": [_head(number, order.activity()) for number, order in enumerate(orders, 1)]}


def person_changed(order: QueuedOrder) -> Event:
    """The event of a change in the ledger: a new person after their first order."""
    activity, scope = order.activity(), Scope(ACCOUNT, "shopper_activity")
    # As ledger.items.token_of, with zeros instead of random bits, so that the event is always the same.
    token = f"{activity.order_key}!{activity.event_id}!{0:012x}"
    image = raw(
        scope.person_key(order.person_id())
        | {"kind": order.person[0], "value": order.person[1], "token": token, "USD": activity.total, "#USD": 1}
    )
    return {"Records": [_change(1, image)]}


def _head(number: int, activity: Activity) -> Record:
    state = fold([activity.event])
    head = ActivityHead(activity.provider, activity.order_id, writes=1, bytes=LEAST_BYTES_OF_EVENT, state=state)
    return _change(number, raw(head.item(Scope(ACCOUNT, "shopper_activity"), activity.order_key)))


def version_inserted(payload: dict[str, Any]) -> Record:
    """The stream record of the version that a submission inserts."""
    document, _ = orders_api.document(payload)
    scope, key = Scope(ACCOUNT, "orders_api"), order_key("orders_api", "", document.order_id)
    request = V1Request(scope, request_id(2), RECEIVED, lambda people: {})
    tillbook_id = request_id(5)
    fresh = head_for(scope, document, OrderHead(id=tillbook_id, born=1))
    change = plan_version(
        request,
        key,
        None,
        fresh,
        "submitted",
        document.body,
        named=fresh,
        person=document.person,
        occurred=document.occurred,
        before=None,
    )
    (write,) = change.events
    image = raw(write.event.item(scope, key, write.event_id))
    # In a stream record, bytes are base64.
    return _change(1, image | {"body": {"B": b64encode(image["body"]["B"]).decode()}})


def _change(number: int, image: dict[str, Any]) -> Record:
    return {
        "eventID": f"{number:032x}",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": STREAM_ARN,
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": _milliseconds(RECEIVED) // 1000,
            "Keys": {name: image[name] for name in ("pk", "sk")},
            "NewImage": image,
            "SequenceNumber": f"{number:021d}",
            "SizeBytes": 700,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


# ----------------------------------------------------------- times and ids ---


def _milliseconds(stamp: str) -> int:
    return int(times.to_datetime(stamp).timestamp() * 1000)


def request_id(number: int) -> str:
    """A UUIDv7 whose time is the time of receipt; also the form of ids of jobs, dead letters and v1 orders."""
    digits = f"{_milliseconds(RECEIVED):012x}7e0080{number:014x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
