"""v3: refused bodies and their error answers (docs/api.md)."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from tests.handlers.events import EMAIL, event
from tests.handlers.shop import ACCOUNT, Shop

FIELD_ERRORS: list[tuple[dict[str, Any], str, str]] = [
    ({"email": ...}, "presence_error", "email"),
    ({"email": None}, "presence_error", "email"),
    ({"email": ""}, "presence_error", "email"),
    ({"email": "nobody"}, "email_error", "email"),
    ({"email": "a@b"}, "email_error", "email"),
    ({"email": "a b@c.co"}, "email_error", "email"),
    ({"email": 5}, "email_error", "email"),
    ({"email": []}, "email_error", "email"),
    ({"email": False}, "email_error", "email"),
    ({"email": "a" * 400 + "@b.co"}, "email_error", "email"),
    ({"person_id": {}}, "format_error", "person_id"),
    ({"person_id": True}, "format_error", "person_id"),
    ({"person_id": "a" * 256}, "length_error", "person_id"),
    ({"provider": ...}, "presence_error", "provider"),
    ({"provider": ""}, "presence_error", "provider"),
    ({"provider": "Shopify"}, "format_error", "provider"),
    ({"provider": "my shop"}, "format_error", "provider"),
    ({"provider": "my-shop"}, "format_error", "provider"),
    ({"provider": "mÿ"}, "format_error", "provider"),
    ({"provider": 5}, "format_error", "provider"),
    ({"provider": "a/b"}, "format_error", "provider"),
    ({"provider": "a" * 256}, "length_error", "provider"),
    ({"action": ...}, "presence_error", "action"),
    ({"action": None}, "presence_error", "action"),
    ({"action": "eaten"}, "format_error", "action"),
    ({"action": "Placed"}, "format_error", "action"),
    ({"action": ["placed"]}, "format_error", "action"),
    ({"order_id": ...}, "presence_error", "order_id"),
    ({"order_id": ""}, "presence_error", "order_id"),
    ({"order_id": "a" * 256}, "length_error", "order_id"),
    ({"order_id": "a?"}, "format_error", "order_id"),
    ({"order_id": "a\x1f"}, "format_error", "order_id"),
    ({"order_id": 1.5}, "format_error", "order_id"),
    ({"occurred_at": "yesterday"}, "time_error", "occurred_at"),
    ({"occurred_at": 1547758200}, "time_error", "occurred_at"),
    ({"occurred_at": True}, "time_error", "occurred_at"),
    ({"occurred_at": "2019-02-29T00:00:00Z"}, "time_error", "occurred_at"),
    ({"occurred_at": "9" * 100}, "time_error", "occurred_at"),
    ({"occurred_at": "2999-01-01T00:00:00Z"}, "time_error", "occurred_at"),
    ({"grand_total": -1}, "range_error", "grand_total"),
    ({"grand_total": "-0.01"}, "range_error", "grand_total"),
    ({"grand_total": 10**15}, "range_error", "grand_total"),
    ({"grand_total": 10**30}, "range_error", "grand_total"),
    ({"grand_total": "1e999"}, "range_error", "grand_total"),
    ({"grand_total": True}, "format_error", "grand_total"),
    ({"grand_total": "NaN"}, "format_error", "grand_total"),
    ({"grand_total": "ten"}, "format_error", "grand_total"),
    ({"grand_total": [1]}, "format_error", "grand_total"),
    ({"refund_amount": -1}, "range_error", "refund_amount"),
    ({"refund_amount": "x"}, "format_error", "refund_amount"),
    ({"total_taxes": "x"}, "format_error", "total_taxes"),
    ({"total_fees": {}}, "format_error", "total_fees"),
    ({"total_shipping": "1,5"}, "format_error", "total_shipping"),
    ({"total_discounts": False}, "format_error", "total_discounts"),
    ({"currency": "DOLLAR"}, "format_error", "currency"),
    ({"currency": "ZZZ"}, "format_error", "currency"),
    ({"currency": 5}, "format_error", "currency"),
    ({"order_url": 5}, "format_error", "order_url"),
    ({"order_public_id": []}, "format_error", "order_public_id"),
    ({"items": {}}, "format_error", "items"),
    ({"items": "x"}, "format_error", "items"),
    ({"items": [5]}, "format_error", "items[0]"),
    ({"items": [None]}, "format_error", "items[0]"),
    ({"items": [{"name": "a", "price": 1}]}, "presence_error", "items[0].product_id"),
    ({"items": [{"product_id": "a", "price": 1}]}, "presence_error", "items[0].name"),
    ({"items": [{"product_id": "a", "name": "a"}]}, "presence_error", "items[0].price"),
    ({"items": [{"product_id": "a", "name": "a", "price": "x"}]}, "format_error", "items[0].price"),
    ({"items": [{"product_id": "a", "name": "a", "price": 1, "quantity": "x"}]}, "format_error", "items[0].quantity"),
    ({"items": [{"product_id": "a", "name": "a", "price": 1, "discounts": "x"}]}, "format_error", "items[0].discounts"),
    (
        {"items": [{"product_id": "a", "name": "a", "price": 1, "discount": 5, "discounts": "x"}]},
        "format_error",
        "items[0].discounts",
    ),
    (
        {"items": [{"product_id": "a", "name": "a", "price": 1, "discount": "x", "discounts": 5}]},
        "format_error",
        "items[0].discount",
    ),
    (
        {"items": [{"product_id": "a", "name": "a", "price": 1, "discount": 5, "discounts": "5.01"}]},
        "format_error",
        "items[0].discount",
    ),
    (
        {"items": [{"product_id": "a", "name": "a", "price": 1, "discount": 1, "discounts": True}]},
        "format_error",
        "items[0].discounts",
    ),
    (
        {"items": [{"product_id": "a", "name": "a", "price": 1, "categories": "x"}]},
        "format_error",
        "items[0].categories",
    ),
    ({"items": [{"product_id": "a", "name": "a", "price": 1, "total": 10**15}]}, "range_error", "items[0].total"),
    ({"billing_address": [1]}, "format_error", "billing_address"),
    ({"shipping_address": {"city": {"a": 1}}}, "format_error", "shipping_address.city"),
    ({"shipping_address": {"city": "x" * 1001}}, "length_error", "shipping_address.city"),
]


@pytest.mark.parametrize(("changes", "code", "attribute"), FIELD_ERRORS)
def test_a_bad_field_is_named_with_its_code_and_nothing_is_queued(
    shop: Shop, changes: dict[str, Any], code: str, attribute: str
) -> None:
    answer = shop.send(event(**changes))
    assert answer.status == 422
    assert answer.errors == {(code, attribute)}
    assert all(error["message"] for error in answer.body["errors"])
    assert shop.receive() == []
    assert shop.items("LedgerTable") == []


def test_the_published_form_of_an_error(shop: Shop) -> None:
    answer = shop.send(event(email=...))
    assert answer.status == 422
    assert answer.body == {"errors": [{"code": "presence_error", "attribute": "email", "message": "Email is required"}]}


def test_all_errors_are_reported_at_once(shop: Shop) -> None:
    answer = shop.send(
        {
            "provider": "Bad Provider",
            "action": "eaten",
            "occurred_at": "2999-01-01",
            "grand_total": -1,
            "currency": "ZZZ",
            "refund_amount": "x",
            "order_id": "a" * 256,
            "items": [
                {"price": "x"},
                {"product_id": "p", "name": "n", "price": 1, "discount": 1, "discounts": "y", "taxes": "x"},
            ],
        }
    )
    assert answer.status == 422
    assert answer.errors == {
        ("presence_error", "email"),
        ("format_error", "provider"),
        ("format_error", "action"),
        ("time_error", "occurred_at"),
        ("range_error", "grand_total"),
        ("format_error", "currency"),
        ("format_error", "refund_amount"),
        ("length_error", "order_id"),
        ("presence_error", "items[0].product_id"),
        ("presence_error", "items[0].name"),
        ("format_error", "items[0].price"),
        ("format_error", "items[1].discounts"),
        ("format_error", "items[1].taxes"),
    }


@pytest.mark.parametrize("body", ["[]", "5", "null", '"x"'])
def test_an_event_that_is_not_an_object_is_422(shop: Shop, body: str) -> None:
    answer = shop.send(body)
    assert answer.status == 422
    assert [error["code"] for error in answer.body["errors"]] == ["format_error"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        '{"a":1,}',
        "NaN",
        '{"grand_total": NaN}',
        '{"grand_total": Infinity}',
        '{"x": 1e99999999999999999999}',
        '{"a":1,"a":2}',
        '{"x":"\\ud800"}',
        '{"x":"\x01"}',
        "[" * 100_000,
        '{"x":' * 5_000 + "1" + "}" * 5_000,
        "\ufeff",
    ],
)
def test_an_invalid_json_body_is_refused(shop: Shop, body: str) -> None:
    answer = shop.send(body)
    assert 400 <= answer.status < 500
    assert answer.body["errors"][0]["message"]
    assert shop.receive() == []


def test_a_body_that_is_not_utf_8_is_400(shop: Shop) -> None:
    answer = shop.send(None, raw={"body": base64.b64encode(b'{"provider":"\xff"}').decode(), "isBase64Encoded": True})
    assert answer.status == 400


@pytest.mark.parametrize("depth", [1, 50, 90, 94, 95, 96, 97, 98, 99, 100, 101, 150, 800, 990, 3_000])
def test_a_nested_body_that_is_accepted_is_also_applied(shop: Shop, depth: int) -> None:
    body = json.dumps(event())[:-1] + ', "custom": ' + "[" * depth + "]" * depth + "}"
    answer = shop.send(body)
    assert answer.status in (202, 400, 422)
    if answer.status == 202:
        shop.drain(6)
        assert shop.status(answer.body["request_id"])["status"] == "applied"
        assert shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity").status == 200


def test_an_error_answer_fits_lambda_s_limit(shop: Shop) -> None:
    """Lambda returns 6 MB at most, which `shop` checks on each call. All errors of a full body would be more."""
    assert shop.send(event(items=[0] * 80_000)).status == 422
    assert shop.send_batch([event(items=[{}] * 1_000)] * 60).status == 422


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "presence_error"),
        ({"orders": []}, "presence_error"),
        ({"orders": None}, "presence_error"),
        ({"orders": {}}, "presence_error"),
        ({"orders": "x"}, "format_error"),
        ({"orders": [{}] * 1_001}, "length_error"),
    ],
)
def test_a_batch_without_a_valid_list_of_orders_is_422(shop: Shop, body: Any, code: str) -> None:
    answer = shop.send_batch(body)
    assert answer.status == 422
    assert (code, "orders") in answer.errors


@pytest.mark.parametrize("body", ["[]", "null", "5", "[{}]"])
def test_a_batch_that_is_not_an_object_is_422(shop: Shop, body: str) -> None:
    assert shop.send_batch(body).status == 422


def test_errors_of_a_batch_name_the_order_and_nothing_is_queued(shop: Shop) -> None:
    orders: list[Any] = [event(order_id=n) for n in range(6)]
    orders[3] = event(email=...)
    orders[5] = event(items=[{"product_id": "a", "name": "a", "price": "x"}], grand_total=-1)
    orders.append(7)
    answer = shop.send_batch(orders)
    assert answer.status == 422
    assert answer.errors == {
        ("presence_error", "orders[3].email"),
        ("format_error", "orders[5].items[0].price"),
        ("range_error", "orders[5].grand_total"),
        ("format_error", "orders[6]"),
    }
    assert shop.receive() == []


def test_errors_show_neither_internals_nor_sent_values(shop: Shop) -> None:
    for answer in (
        shop.send(event(grand_total="secret-value")),
        shop.send(event(email="secret-value")),
        shop.send("{secret-value"),
    ):
        assert not re.search("secret-value|Traceback|pydantic|boto", answer.text)
