"""examples/woocommerce.py: webhooks as WooCommerce sends them, late, twice and crossed; each order counts once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import io
import json
from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from local.stack import ROOT, Stack
from tests.end_to_end.shop import Shop
from tillbook.contract import shopper_activity
from tillbook.rules.json_text import loads
from tillbook.rules.times import now

SECRET = "a webhook's secret"
ORDER = json.loads((ROOT / "examples" / "woocommerce_order.json").read_text())


@pytest.fixture(scope="module")
def receiver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("woocommerce", ROOT / "examples" / "woocommerce.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def order(email: str = "ann@example.com", minute: int = 0, **changes: Any) -> dict[str, Any]:
    billing = ORDER["billing"] | {"email": email}
    return ORDER | {"billing": billing, "date_modified_gmt": f"2026-01-17T21:{minute:02d}:00"} | changes


def deliver(receiver: ModuleType, what: Any, topic: str = "order.updated", **environ: Any) -> str:
    body = what if isinstance(what, bytes) else json.dumps(what).encode()
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()
    status: list[str] = []
    sent = {
        "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), "HTTP_X_WC_WEBHOOK_TOPIC": topic,
        "HTTP_X_WC_WEBHOOK_SIGNATURE": signature,
    } | environ  # fmt: skip
    assert list(receiver.application(sent, lambda line, _headers: status.append(line))) == []
    return status[0]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_all(**values: str) -> None:
        for name, value in {"WEBHOOK_SECRET": SECRET, **values}.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.stack
def test_an_order_from_the_checkout_to_its_refund(
    receiver: ModuleType, settings: Callable[..., None], stack: Stack
) -> None:
    shop = Shop.open(stack)
    settings(TILLBOOK_URL=stack.url, TILLBOOK_KEY=shop.ingest_key, TILLBOOK_ACCOUNT=shop.account)
    email = shop.email("woo")
    refunds = [{"id": 1, "reason": "", "total": "-9.35"}]
    deliveries = [
        (order(email, 9, status="completed", refunds=refunds), "order.updated"),
        (order(email, 0, status="pending"), "order.created"),
        (order(email, 5, status="processing"), "order.updated"),
        (order(email, 5, status="processing"), "order.updated"),
    ]
    assert [deliver(receiver, *one) for one in deliveries] == ["200 OK"] * 4
    last = {"provider": "my_shop", "email": email, "action": "placed", "order_id": "after", "grand_total": 0}
    shop.applied(last)
    shop.settled(len(deliveries) + 1)
    assert shop.ltv(email) == {"USD": "20.00"}
    assert [entry["name"] for entry in shop.activity(email)][1:] == [
        "Fulfilled an order", "Paid an order", "Placed an order",
    ]  # fmt: skip
    assert deliver(receiver, order(email, 10, status="cancelled")) == "200 OK"
    assert deliver(receiver, order(email, 11, status="processing", total="much")) == "400 Bad Request"
    settings(TILLBOOK_URL=stack.url, TILLBOOK_KEY="unknown", TILLBOOK_ACCOUNT=shop.account)
    assert deliver(receiver, order(email)) == "401 Refused"


@pytest.mark.parametrize(
    ("changes", "action", "total"),
    [
        ({"status": "pending"}, "updated", "29.35"),
        ({"status": "processing"}, "paid", "29.35"),
        ({"status": "completed", "refunds": [{"total": "-0.10"}, {"total": "-0.20"}]}, "fulfilled", "29.05"),
        ({"status": "refunded", "refunds": []}, "updated", "0"),
        ({"status": "cancelled"}, "updated", "0"),
        ({"status": "processing", "refunds": [{"total": "-30"}]}, "paid", "0"),
    ],
)
def test_what_is_left_of_an_order(receiver: ModuleType, changes: dict[str, Any], action: str, total: str) -> None:
    event = receiver.activity(order(**changes), "order.updated")
    assert (event["action"], event["grand_total"]) == (action, total)


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ({"total": "10.00", "quantity": 3, "price": 3.3333333333333335}, ("3.3333", "3.0000")),
        ({"total": "20.00", "quantity": 3, "price": 6.666666666666667}, ("6.6667", "3.0000")),
        ({"total": "4.99", "quantity": 0.333333, "price": 14.97001497001497}, ("14.9700", "0.3333")),
        ({"total": "0.00", "quantity": 1, "price": 0}, ("0.0000", "1.0000")),
        ({"price": "9.675"}, ("9.6750", "2.0000")),
        ({"name": " ", "product_id": 0}, ("9.6750", "2.0000")),
        ({"name": "x" * 2000}, ("9.6750", "2.0000")),
    ],
)
def test_whatever_a_line_holds_tillbook_takes_the_order(
    receiver: ModuleType, settings: Callable[..., None], monkeypatch: pytest.MonkeyPatch, line: Any, sent: Any
) -> None:
    events: list[Any] = []
    monkeypatch.setattr(receiver, "send", lambda event: events.append(event) or 202)
    settings()
    webhook = order(line_items=[ORDER["line_items"][0] | line])
    assert deliver(receiver, webhook) == "200 OK"
    _, body = shopper_activity.parse(loads(json.dumps(events[0], default=str).encode()), now())
    (item,) = body["items"]
    assert (item["price"], item["quantity"]) == tuple(map(Decimal, sent))
    assert body["grand_total"] == Decimal("29.35")


def test_what_is_no_order_is_not_sent(receiver: ModuleType, settings: Callable[..., None]) -> None:
    settings(TILLBOOK_URL="http://127.0.0.1:9", TILLBOOK_KEY="x", TILLBOOK_ACCOUNT="x")
    assert deliver(receiver, order(), HTTP_X_WC_WEBHOOK_SIGNATURE="forged") == "401 Unauthorized"
    assert deliver(receiver, b"webhook_id=5", "") == "204 No Content"
    assert deliver(receiver, {"id": 1}, "order.deleted") == "204 No Content"
    assert deliver(receiver, order(email="")) == "204 No Content"
    assert deliver(receiver, b"[1]") == deliver(receiver, b"{") == "400 Bad Request"
    assert deliver(receiver, order()) == "502 Bad Gateway"
