"""Requests as drip-ruby and drip-php send them, taken from their published source.

The tests need neither language.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.end_to_end.shop import Reply, Shop, basic

pytestmark = pytest.mark.stack


def ruby(shop: Shop, method: str, path: str, payload: Any = None, *, token: str = "") -> Reply:
    """Sends a request as drip-ruby does: Basic with the key and a colon, or Bearer with an access token.

    Requests of v3 are application/json, others application/vnd.api+json. A path without a payload ends with `?`.
    """
    v3 = path.startswith("/v3")
    headers = {
        "accept-encoding": "gzip;q=1.0,deflate;q=0.6,identity;q=0.3",
        "user-agent": "Drip Ruby v3.5.0",
        "accept": "*/*",
        "authorization": f"Bearer {token}" if token else basic(f"{shop.admin_key}:"),
        "content-type": "application/json" if v3 else "application/vnd.api+json",
    }
    return shop.send(method, path if payload else f"{path}?", payload, key="", headers=headers)


def php(shop: Shop, method: str, path: str, payload: Any = None) -> Reply:
    """Sends a request as drip-php does: always as application/vnd.api+json, with slashes and non-ASCII escaped."""
    headers = {
        "user-agent": "Drip API PHP Wrapper (getdrip.com). Version 1.5.1",
        "accept": "application/json, text/javascript, */*; q=0.01",
        "authorization": basic(f"{shop.admin_key}:"),
        "content-type": "application/vnd.api+json",
    }
    body = None if payload is None else json.dumps(payload).replace("/", "\\/").encode()
    return shop.send(method, path, body, key="", headers=headers)


def order_of(shop: Shop, **fields: Any) -> dict[str, Any]:
    """The body of a `placed` event of order R-1, with these fields added or replaced."""
    return {"provider": "my_shop", "email": shop.email("we+b"), "action": "placed", "order_id": "R-1", **fields}


@pytest.mark.parametrize("client", [ruby, php])
def test_an_order_and_a_refund_change_the_lifetime_value(shop: Shop, client: Any) -> None:
    path = f"/v3/{shop.account}/shopper_activity/order"
    # Ruby writes local time with its offset; PHP's ISO 8601 has no colon in the offset.
    placed_at, refunded_at = "2026-01-17T20:50:00-06:00", "2026-01-18T20:50:00+0000"
    # Rails writes a BigDecimal as a string.
    placed = client(
        shop, "POST", path, order_of(shop, occurred_at=placed_at, grand_total="22.99", order_url="https://x/é")
    )
    assert placed.status == 202
    assert shop.outcome(placed.json["request_id"])["status"] == "applied"
    subscriber = f"/v2/{shop.account}/subscribers/{quote_plus(shop.email('we+b'))}"
    fetched = client(shop, "GET", subscriber)
    assert fetched.status == 200
    assert fetched.headers["content-type"].startswith("application/json")
    assert fetched.json["subscribers"][0]["lifetime_value"] == 2299

    refund = order_of(shop, action="refunded", refund_amount=2.99, occurred_at=refunded_at)
    assert shop.outcome(client(shop, "POST", path, refund).json["request_id"])["status"] == "applied"
    assert client(shop, "GET", subscriber).json["subscribers"][0]["lifetime_value"] == 2000  # cents: 22.99 - 2.99
    assert [entry["occurred_at"][:19] for entry in shop.activity(shop.email("we+b"))] == [
        "2026-01-18T20:50:00",
        "2026-01-18T02:50:00",
    ]
    assert shop.activity(shop.email("we+b"))[1]["order"]["order_url"] == "https://x/é"


@pytest.mark.parametrize("client", [ruby, php])
def test_errors_have_the_fields_that_the_client_reads(shop: Shop, client: Any) -> None:
    reply = client(shop, "POST", f"/v3/{shop.account}/shopper_activity/order", {"email": shop.email("web")})
    assert reply.status == 422
    assert {error["attribute"] for error in reply.json["errors"]} == {"provider", "action", "order_id"}
    assert all(error["code"] and error["message"] for error in reply.json["errors"])


@pytest.mark.parametrize("client", [ruby, php])
def test_a_batch_is_applied(shop: Shop, client: Any) -> None:
    orders = [order_of(shop, order_id=f"R-{n}", grand_total=0.1, occurred_at="2026-01-17") for n in range(5)]
    reply = client(shop, "POST", f"/v3/{shop.account}/shopper_activity/order/batch", {"orders": orders})
    assert reply.status == 202
    assert set(shop.outcomes(reply.json["request_ids"])) == {"applied"}
    assert Decimal(shop.ltv(shop.email("we+b"))["USD"]) == Decimal("0.5")


def test_an_access_token_that_ruby_sends_as_bearer_is_accepted(shop: Shop) -> None:
    path = f"/v3/{shop.account}/shopper_activity/order"
    assert ruby(shop, "POST", path, order_of(shop), token=shop.ingest_key).status == 202
    assert ruby(shop, "POST", path, order_of(shop), token="unknown").status == 401


def test_the_object_that_php_sends_for_orders_after_the_first_thousand_is_accepted(shop: Shop) -> None:
    """drip-php splits batches with `array_chunk` and preserves keys. The second part does not start at 0, so it becomes
    a JSON object."""
    path = f"/v3/{shop.account}/shopper_activity/order/batch"
    orders = {str(n): order_of(shop, order_id=f"R-{n}", grand_total=1) for n in range(1000, 1003)}
    reply = php(shop, "POST", path, {"orders": orders})
    assert reply.status == 202
    assert shop.outcomes(reply.json["request_ids"]) == ["applied"] * 3
    assert shop.ltv(shop.email("we+b")) == {"USD": "3.00"}
    # An object without orders, and one whose keys are not all numbers, are refused.
    for refused in ({}, orders | {"x": orders["1000"]}):
        assert php(shop, "POST", path, {"orders": refused}).status == 422
