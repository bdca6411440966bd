"""Webhooks through the functions: the answer to a delivery, and the effect on the order and its person."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.handlers.shop import ACCOUNT
from tests.handlers.webhooks import Connected, nothing_is_stored, shopify, woo
from tests.platforms.sender import SHOPIFY_SECRET, signed

# --------------------------------- samples (tests/platforms/samples), by number


@pytest.mark.parametrize("backwards", [False, True])
def test_a_refund_counts_once_if_its_delivery_crosses_another(connected: Connected, backwards: bool) -> None:
    """Order 501 of 85.00. A refund of 20.00 is delivered twice, and then the older state without it."""
    assert {answer.status for answer in connected.play("1", "woocommerce", backwards=backwards)} == {200}
    shop = connected.shop
    assert (shop.ltv("ina@example.com"), shop.person("ina@example.com")["orders_count"]) == ({"EUR": "65.00"}, 1)
    assert shop.timeline("ina@example.com") == [
        "Updated an order", "Updated an order", "Paid an order", "Placed an order",
    ]  # fmt: skip
    assert connected.members() == [("501", "billing")]
    assert connected.rejected() == []


@pytest.mark.parametrize("backwards", [False, True])
def test_canceled_unpaid_and_trashed_orders_count_nothing(connected: Connected, backwards: bool) -> None:
    """Order 502 is canceled, 503 was never paid and is no order, 504 is refunded, and 505 ends in the trash."""
    assert {answer.status for answer in connected.play("2", "woocommerce", backwards=backwards)} == {200}
    shop = connected.shop
    assert shop.ltv("jo@example.com") == {"EUR": "0.00"}
    assert connected.orders("jo@example.com") == {"502": "0.00", "504": "0.00", "505": "0.00"}
    assert connected.members() == [("502", "billing"), ("504", "billing"), ("505", "billing")]
    assert "Canceled an order" in shop.timeline("jo@example.com")
    (reason,) = connected.rejected()
    assert "woocommerce_rest_cannot_view" in reason
    assert shop.get(f"/v3/{ACCOUNT}/orders/woocommerce/503").status == 404
    order = shop.get(f"/v3/{ACCOUNT}/orders/woocommerce/505").body
    assert (order["grand_total"], order["flags"]) == ("0.00", ["voided"])


@pytest.mark.parametrize("backwards", [False, True])
def test_retried_refunds_count_once(connected: Connected, backwards: bool) -> None:
    """An order of 100.00 with two refunds: 25.00, with a failed transaction beside the successful one, and 5.00."""
    assert {answer.status for answer in connected.play("3", "shopify", backwards=backwards)} == {200}
    shop = connected.shop
    assert (shop.ltv("lea@example.com"), shop.person("lea@example.com")["orders_count"]) == ({"USD": "70.00"}, 1)
    entries = shop.get(f"/v3/{ACCOUNT}/people/lea@example.com/activity").body["activity"]
    assert [(entry["name"].split()[0], entry["occurred_at"][:10]) for entry in entries[::-1]] == [
        ("Placed", "2026-03-01"), ("Paid", "2026-03-01"), ("Fulfilled", "2026-03-02"), ("Refunded", "2026-03-05"),
        ("Updated", "2026-03-05"), ("Refunded", "2026-03-06"), ("Updated", "2026-03-06"),
    ]  # fmt: skip
    assert connected.members() == [("5001001", "billing"), ("5001001", "shipping")]
    rows = shop.get("/v1/transactions", query={"order_id": "5001001"}).body["transactions"]
    assert not any(row["notes"] for row in rows)


@pytest.mark.parametrize("backwards", [False, True])
def test_edits_count_and_voided_or_test_orders_do_not(connected: Connected, backwards: bool) -> None:
    """Order 5001002 is edited from 50.00 to 30.00, 5001003 is a test, 5001004 has no e-mail, and 5001005 is voided."""
    assert {answer.status for answer in connected.play("4", "shopify", backwards=backwards)} == {200}
    shop = connected.shop
    assert shop.ltv("max@example.com") == {"USD": "30.00"}
    assert connected.orders("max@example.com") == {"5001002": "30.00", "5001005": "0.00"}
    assert [member[0] for member in connected.members()] == ["5001002"] * 2 + ["5001005"] * 2
    assert "Canceled an order" in shop.timeline("max@example.com")
    (reason,) = connected.rejected()
    assert reason.startswith("email is required")
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/5001003").status == 404


# -------------------------------------------------------------- what counts


def test_two_shops_of_a_platform_do_not_share_orders(connected: Connected) -> None:
    _, secret = connected.connections.create(ACCOUNT, "second", "woocommerce", "my_second_shop")
    connected.deliver("woocommerce", "order.created", woo())
    connected.post(signed("woocommerce", secret, "order.created", woo(total="5.00")), "second")
    connected.shop.drain()
    assert connected.shop.ltv("ina@example.com") == {"EUR": "90.00"}
    assert connected.shop.get(f"/v3/{ACCOUNT}/orders/my_second_shop/501").body["lifetime_value"] == "5.00"


@pytest.mark.parametrize("status", ["checkout-draft", "auto-draft", "draft", "pending", "failed", "trash"])
def test_an_unpaid_order_makes_nobody_a_customer(connected: Connected, status: str) -> None:
    assert connected.deliver("woocommerce", "order.updated", woo(status=status)).status == 200
    connected.shop.drain()
    assert connected.shop.get(f"/v3/{ACCOUNT}/people/ina@example.com").status == 404
    assert connected.customers("ina@example.com") == [False]
    assert connected.members() == []
    assert connected.shop.get(f"/v3/{ACCOUNT}/orders/woocommerce/501").status == 404
    assert connected.shop.get(f"/v3/{ACCOUNT}/orders/woocommerce/501/history").status == 404


@pytest.mark.parametrize("status", ["pending", "failed", "trash"])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_voided_order_no_longer_counts(connected: Connected, status: str, backwards: bool) -> None:
    """The order of arrival does not matter. The order counts again once it is paid."""
    sent = [woo(), woo(status=status, date_modified_gmt="2026-03-02T09:00:00")]
    for order in sent[::-1] if backwards else sent:
        connected.deliver("woocommerce", "order.updated", order)
        connected.shop.drain()
    shop = connected.shop
    assert shop.ltv("ina@example.com") == {"EUR": "0.00"}
    assert connected.customers("ina@example.com") == [True]
    names = [entry["name"] for entry in shop.get(f"/v3/{ACCOUNT}/orders/woocommerce/501/history").body["history"]]
    assert names == ["Placed an order", "Paid an order", "Voided an order"]
    connected.deliver("woocommerce", "order.updated", woo(date_modified_gmt="2026-03-03T09:00:00"))
    shop.drain()
    assert shop.ltv("ina@example.com") == {"EUR": "85.00"}


def test_an_erasure_removes_a_voided_order(connected: Connected) -> None:
    connected.deliver("woocommerce", "order.updated", woo())
    connected.deliver("woocommerce", "order.updated", woo(status="failed", date_modified_gmt="2026-03-02T09:00:00"))
    connected.shop.drain()
    connected.shop.request("DELETE", f"/v3/{ACCOUNT}/people/ina@example.com")
    connected.shop.settle()
    assert connected.shop.get(f"/v3/{ACCOUNT}/people/ina@example.com").status == 404
    assert connected.members() == []
    assert connected.shop.stored_ltv() == {}


def test_the_api_does_not_accept_a_voided_event(connected: Connected) -> None:
    sent = {"provider": "woocommerce", "order_id": "501", "action": "voided", "email": "ina@example.com"}
    answer = connected.shop.send(sent)
    assert answer.status == 422
    assert ("format_error", "action") in answer.errors


def test_the_person_is_the_email_and_never_the_customer_id(connected: Connected) -> None:
    connected.deliver("woocommerce", "order.created", woo(customer_id=7))
    connected.deliver("woocommerce", "order.created", woo(502, customer_id=0))
    connected.shop.drain()
    assert connected.shop.person("Ina@Example.com")["orders_count"] == 2
    assert connected.shop.get(f"/v3/{ACCOUNT}/people/7").status == 404


def test_an_order_without_an_email_is_shown_as_rejected(connected: Connected) -> None:
    answer = connected.deliver("shopify", "orders/create", shopify(email=None, contact_email="", customer=None))
    assert answer.status == 200
    assert "email is required" in answer.body["rejected"]
    (row,) = connected.shop.get("/v1/transactions", query={"order_id": "5001"}).body["transactions"]
    assert (row["status"], row["key_label"], row["order_id"]) == ("rejected", "connection shopify", "5001")


@pytest.mark.parametrize(
    ("platform", "topic", "body"),
    [
        ("woocommerce", "order.updated", woo(total="much")),
        ("woocommerce", "order.updated", woo(refunds=[{"id": 1, "total": "NaN"}])),
        ("woocommerce", "order.updated", {k: v for k, v in woo().items() if k != "date_modified_gmt"}),
        ("woocommerce", "order.updated", {"id": 501}),
        ("woocommerce", "order.updated", [1]),
        ("woocommerce", "order.updated", b"{"),
        ("woocommerce", "order.updated", b"\xff\xfe"),
        ("woocommerce", "order.updated", b""),
        ("shopify", "orders/updated", shopify(total="1e99")),
        ("shopify", "orders/updated", shopify(currency="XQQ")),
        ("shopify", "orders/updated", {"order_edit": {"id": 1}}),
        ("shopify", "orders/delete", shopify()),
    ],
)
def test_a_genuine_delivery_without_a_valid_order_is_answered_200_and_recorded(
    connected: Connected, platform: str, topic: str, body: Any
) -> None:
    answer = connected.deliver(platform, topic, body)
    assert answer.status == 200
    assert answer.body["rejected"]
    assert len(connected.rejected()) == 1
    assert connected.shop.receive() == []


@pytest.mark.parametrize(
    ("platform", "topic", "body"),
    [
        ("woocommerce", "product.updated", {"id": 1}),
        ("woocommerce", "", woo()),
        ("shopify", "refunds/create", {"id": 1}),
        ("shopify", "orders/edited", {"order_edit": {}}),
        ("shopify", "orders/create", shopify(test=True)),
    ],
)
def test_a_delivery_about_no_order_of_this_shop_is_ignored(
    connected: Connected, platform: str, topic: str, body: Any
) -> None:
    answer = connected.deliver(platform, topic, body)
    assert answer.status == 200
    assert answer.body["ignored"]
    assert nothing_is_stored(connected.shop)


def test_invalid_fields_that_carry_no_money_are_left_out(connected: Connected) -> None:
    """The order counts, and lists the fields that were left out: a total matters more than an item."""
    lines = [{"id": 1, "name": "Mug", "product_id": 1, "quantity": "many", "total": "1"}]
    answer = connected.deliver("woocommerce", "order.updated", woo(line_items=lines, shipping_total="-3.00"))
    assert answer.status == 200
    assert answer.body["request_ids"]
    connected.shop.drain()
    order = connected.shop.get(f"/v3/{ACCOUNT}/orders/woocommerce/501").body
    assert (order["lifetime_value"], "items" in order) == ("85.00", False)
    assert order["properties"]["left_out"] == ["line_items", "total_shipping"]


def test_an_order_of_1000_lines_passes(connected: Connected) -> None:
    lines = [
        {"id": n, "name": f"Article {n} of a long list", "product_id": n + 1, "sku": f"SKU-{n:06d}", "quantity": 3,
         "total": "10.00", "total_tax": "1.90", "price": 3.3333333333333335, "meta_data": [{"value": "x" * 99}]}
        for n in range(1000)
    ]  # fmt: skip
    connected.deliver("woocommerce", "order.updated", woo(line_items=lines, total="11900.00"))
    connected.shop.drain()
    order = connected.shop.get(f"/v3/{ACCOUNT}/orders/woocommerce/501").body
    assert (order["lifetime_value"], len(order["items"]), order["items"][0]["price"]) == ("11900.00", 1000, "3.3333")


def many_long_lines() -> list[dict[str, Any]]:
    """Line items of more than 256 KiB together, the limit of an order. A webhook may be larger."""
    return [{"id": n, "name": "n" * 900, "product_id": n + 1, "quantity": 1, "price": "1.00"} for n in range(3000)]


def test_an_event_too_large_is_sent_without_its_items(connected: Connected) -> None:
    assert connected.deliver("shopify", "orders/create", shopify(line_items=many_long_lines())).body["request_ids"]
    connected.shop.drain()
    shown = connected.shop.get(f"/v3/{ACCOUNT}/orders/shopify/5001").body
    assert (shown["lifetime_value"], "items" in shown, shown["properties"]["left_out"]) == ("100.00", False, ["items"])


def test_an_event_too_large_with_an_invalid_field_is_sent_without_both(connected: Connected) -> None:
    order = woo(line_items=many_long_lines(), shipping_total="-3.00")
    assert connected.deliver("woocommerce", "order.updated", order).body["request_ids"]
    connected.shop.drain()
    shown = connected.shop.get(f"/v3/{ACCOUNT}/orders/woocommerce/501").body
    assert (shown["lifetime_value"], "items" in shown) == ("85.00", False)
    assert shown["properties"]["left_out"] == ["total_shipping", "items"]


def test_a_body_over_the_limit_is_413(connected: Connected) -> None:
    body = json.dumps(shopify(note="n" * 5 * 1024 * 1024)).encode()
    assert connected.post(signed("shopify", SHOPIFY_SECRET, "orders/create", body), "shopify").status == 413
    assert nothing_is_stored(connected.shop)


def test_a_time_of_change_far_ahead_is_ignored(connected: Connected) -> None:
    ahead = connected.deliver("woocommerce", "order.updated", woo(date_modified_gmt="2030-01-01T00:00:00"))
    connected.shop.clock.sleep(60)
    connected.deliver("woocommerce", "order.updated", woo(date_modified_gmt="2026-06-01T00:05:00", total="9.00"))
    connected.shop.drain()
    assert connected.shop.ltv("ina@example.com") == {"EUR": "9.00"}
    status = connected.shop.status(ahead.body["request_ids"][1])
    assert status["notes"] == ["occurred_at was more than 24 hours ahead and was ignored"]
