"""Turns the order webhooks of WooCommerce into Order Activity. Nothing but Python is needed.

    TILLBOOK_URL=… TILLBOOK_KEY=… TILLBOOK_ACCOUNT=… WEBHOOK_SECRET=… python3 examples/woocommerce.py --port 8001

Each webhook carries the whole order as it is then, so each becomes one event with the total that is left of it: refunds
are taken off, an order that was canceled or failed is worth 0. `date_modified_gmt` puts the events in order and makes
sending one again harmless, so webhooks may come late, twice or crossed.

On the internet, put it behind TLS: `application` runs on any WSGI server.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any
from wsgiref.simple_server import make_server

MOST = 1 << 20
ACTIONS = {"processing": "paid", "completed": "fulfilled"}
WORTHLESS = ("cancelled", "failed", "refunded", "trash")


def four_decimals(number: Any) -> str:
    """The most that Tillbook takes. A line's price is its total / quantity, as far as a float goes."""
    return str(round(Decimal(str(number)), 4))


def activity(order: dict[str, Any], topic: str) -> dict[str, Any]:
    """One event of Order Activity; raises KeyError and ArithmeticError where it is no order of WooCommerce."""
    left = Decimal(order["total"]) + sum((Decimal(refund["total"]) for refund in order.get("refunds", [])), Decimal())
    return {
        "provider": "woocommerce",
        "order_id": str(order["id"]),
        "order_public_id": order.get("number"),
        "email": order["billing"]["email"],
        "action": "placed" if topic == "order.created" else ACTIONS.get(order["status"], "updated"),
        "occurred_at": order["date_modified_gmt"] + "Z",
        "grand_total": str(max(left, Decimal())) if order["status"] not in WORTHLESS else "0",
        "currency": order["currency"],
        "items": [
            {
                "product_id": item["product_id"],
                "name": item["name"][:1000].strip() or str(item["product_id"]),
                "price": four_decimals(item["price"]),
                "quantity": four_decimals(item["quantity"]),
            }
            for item in order.get("line_items", [])
        ],
    }


def genuine(body: bytes, signature: str) -> bool:
    made = hmac.digest(os.environ["WEBHOOK_SECRET"].encode(), body, hashlib.sha256)
    return hmac.compare_digest(base64.b64encode(made).decode(), signature)


def send(event: dict[str, Any]) -> int:
    """Returns the status of Tillbook's answer: 202, or why not."""
    request = urllib.request.Request(
        f"{os.environ['TILLBOOK_URL']}/v3/{os.environ['TILLBOOK_ACCOUNT']}/shopper_activity/order",
        json.dumps(event, default=str).encode(),
        {"Authorization": f"Bearer {os.environ['TILLBOOK_KEY']}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
        return error.code
    except OSError:
        return 503


def receive(environ: dict[str, Any]) -> str:
    """The status to answer a webhook with. WooCommerce shows it among the webhook's deliveries."""
    body = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), MOST))
    if not genuine(body, environ.get("HTTP_X_WC_WEBHOOK_SIGNATURE", "")):
        return "401 Unauthorized"
    topic = environ.get("HTTP_X_WC_WEBHOOK_TOPIC", "")
    if topic not in ("order.created", "order.updated", "order.restored"):
        return "204 No Content"
    try:
        event = activity(json.loads(body, parse_float=Decimal), topic)
    except (ValueError, LookupError, TypeError, ArithmeticError):
        return "400 Bad Request"
    if not event["email"]:  # an order without an e-mail is nobody's here
        return "204 No Content"
    status = send(event)
    return "200 OK" if status == 202 else f"{status} Refused" if 400 <= status < 500 else "502 Bad Gateway"


def application(environ: dict[str, Any], start: Callable[[str, list[tuple[str, str]]], Any]) -> Iterable[bytes]:
    start(receive(environ), [("Content-Length", "0")])
    return []


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8001)
    make_server("127.0.0.1", parser.parse_args().port, application).serve_forever()
