"""Sends an example of each API (from events/) through the front door, and prints the results."""

from __future__ import annotations

import base64
import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from local.seed import ACCOUNT, ADMIN_KEY, INGEST_KEY
from local.stack import ROOT, Stack

APPLIED_SECONDS = 20


@dataclass(frozen=True)
class Reply:
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def play(stack: Stack) -> None:
    """Sends an order to each API, and prints the answers, the customer, the timeline and commands to try."""
    activity = _example("record_activity/order.json")
    order = _example("submit_order/order.json")
    basic = "Basic " + base64.b64encode(f"{INGEST_KEY}:".encode()).decode()

    sent = time.monotonic()
    queued = _send(stack, activity, basic)
    print(f"\n{_line(activity)}  {queued.status}  {queued.text}")
    if queued.status == 202:
        outcome = _outcome(stack, queued.json["request_id"])
        print(f"  {outcome} {time.monotonic() - sent:.2f} s after it was sent")
    submitted = _send(stack, order, f"Bearer {INGEST_KEY}")
    print(f"{_line(order)}  {submitted.status}  {_short(submitted.text, 90)}")

    event = json.loads(activity["body"])
    email = quote(event["email"], safe="")
    person = _get(stack, f"/v3/{ACCOUNT}/people/{email}")
    timeline = _get(stack, f"/v3/{ACCOUNT}/people/{email}/activity")
    order_id = quote(str(event["order_id"]), safe="")
    placed = _get(stack, f"/v3/{ACCOUNT}/orders/{event['provider']}/{order_id}")
    print(f"\nLifetime value of {event['email']}")
    if person.status == 200:
        for currency, amount in person.json["lifetime_value"].items():
            print(f"  {amount} {currency}, orders: {person.json['orders_count']}")
    else:
        print(f"  {person.status} {person.text}")
    print("Timeline")
    for entry in timeline.json["activity"] if timeline.status == 200 else []:
        print(f"  {entry['occurred_at']}  {entry['name']}")
    print(f"Order {event['provider']}/{event['order_id']}\n  {_short(placed.text, 300)}")

    v1_order_id = quote(str(json.loads(order["body"])["order_id"]), safe="")
    v1, v3 = f"{stack.url}/v1", f"{stack.url}/v3/{ACCOUNT}"
    print(f"""
The page: {stack.url}  Sign in with the key {ADMIN_KEY}.

Try these commands (account {ACCOUNT}; the keys {INGEST_KEY} and {ADMIN_KEY} exist only on this stack):
  curl -u {INGEST_KEY}: -H 'Content-Type: application/json' {v3}/shopper_activity/order -d \\
    '{{"provider":"my_shop","email":"ann@example.com","action":"placed","order_id":"A-1","grand_total":42.50}}'
  curl -u {ADMIN_KEY}: {v3}/people/ann@example.com
  curl -u {ADMIN_KEY}: {v3}/people/ann@example.com/activity
  curl -H 'Authorization: Bearer {ADMIN_KEY}' {v1}/order/{v1_order_id}""")


def _example(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / name).read_text())
    return event


def _outcome(stack: Stack, request_id: str) -> str:
    end = time.monotonic() + APPLIED_SECONDS
    while True:
        reply = _get(stack, f"/v3/{ACCOUNT}/requests/{request_id}")
        status: str = reply.json["status"] if reply.status == 200 else reply.text
        if status != "queued" or time.monotonic() > end:
            return status
        time.sleep(0.02)


def _send(stack: Stack, event: dict[str, Any], authorization: str) -> Reply:
    headers = {n: v for n, v in event["headers"].items() if n not in ("host", "content-length")}
    body = event["body"].encode()
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body)
    method = event["requestContext"]["http"]["method"]
    return _request(stack, method, quote(event["rawPath"]), headers | {"authorization": authorization}, body)


def _get(stack: Stack, path: str) -> Reply:
    return _request(stack, "GET", path, {"authorization": f"Bearer {ADMIN_KEY}"})


def _request(stack: Stack, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Reply(response.status, response.read().decode())
    finally:
        connection.close()


def _line(event: dict[str, Any]) -> str:
    return f"{event['requestContext']['http']['method']} {event['rawPath']}"


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
