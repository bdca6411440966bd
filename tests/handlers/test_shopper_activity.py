"""v3: what is accepted, what is refused and how, as the published contract and SPEC "Shopper activity" have them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import uuid
import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.handlers.shop import ACCOUNT, ADMIN, INGEST, OTHER_ADMIN, Shop
from tillbook.records import messages
from tillbook.records.messages import decode
from tillbook.rules import times

EMAIL = "user@gmail.com"
SHA = hashlib.sha256(EMAIL.encode()).hexdigest()
PATH = f"/v3/{ACCOUNT}/shopper_activity/order"

PUBLISHED = """{
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
}"""


def event(**changes: Any) -> dict[str, Any]:
    """The least that is a valid event, with changes; a change to `...` leaves a field out."""
    body = {"provider": "shopify", "email": EMAIL, "action": "placed", "order_id": "o-1", "grand_total": 100} | changes
    return {name: value for name, value in body.items() if value is not ...}


def day(n: int) -> str:
    return f"2019-01-{n:02d}T12:00:00Z"


# ----------------------------------------------------------------- accepted


def test_the_published_example(shop: Shop) -> None:
    answer = shop.send(PUBLISHED, key=INGEST)
    assert answer.status == 202
    assert list(answer.body) == ["request_id"]
    assert uuid.UUID(answer.body["request_id"]).version == 7
    shop.drain()
    assert shop.person(EMAIL)["lifetime_value"] == {"USD": "22.99"}
    (activity,) = shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity").body["activity"]
    assert activity["name"] == "Placed an order"
    assert activity["occurred_at"] == "2019-01-17T20:50:00Z"
    assert activity["request_id"] == answer.body["request_id"]
    shown, sent = activity["order"], json.loads(PUBLISHED)
    assert shown["billing_address"] == sent["billing_address"]
    assert shown["shipping_address"] == sent["shipping_address"]
    for name in ("grand_total", "total_discounts", "total_taxes", "total_fees", "total_shipping"):
        assert shown[name] == f"{sent[name]:.2f}"
    for name in ("provider", "order_id", "order_public_id", "currency", "order_url"):
        assert shown[name] == sent[name]
    (item,), (sent_item,) = shown["items"], sent["items"]
    for name in (
        "product_id",
        "product_variant_id",
        "sku",
        "name",
        "brand",
        "categories",
        "quantity",
        "product_url",
        "image_url",
    ):
        assert item[name] == sent_item[name]
    for name in ("price", "taxes", "fees", "shipping", "total"):
        assert item[name] == f"{sent_item[name]:.2f}"
    assert item["discount"] == "5.34"
    assert "product_tag" in str(item)
    assert "sale_price" in str(item)


def test_the_published_rules_of_ltv(shop: Shop) -> None:
    """placed 100 → updated 105 → paid without a total → refunded 105: LTV 100, 105, 105, 0, and four names."""
    steps = [("placed", {"grand_total": 100}), ("updated", {"grand_total": 105}), ("paid", {"grand_total": ...}),
             ("refunded", {"grand_total": ..., "refund_amount": 105})]  # fmt: skip
    worth = []
    for n, (action, changes) in enumerate(steps, start=1):
        shop.send(event(action=action, occurred_at=day(n), **changes))
        shop.drain()
        worth.append(shop.ltv(EMAIL)["USD"])
    assert worth == ["100.00", "105.00", "105.00", "0.00"]
    assert shop.timeline(EMAIL) == ["Refunded an order", "Paid an order", "Updated an order", "Placed an order"]


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json;charset=UTF-8", "application/vnd.api+json", "APPLICATION/JSON", ""]
)
def test_content_types_that_are_taken(shop: Shop, kind: str) -> None:
    assert shop.send(event(), headers={"Content-Type": kind}).status == 202


def test_no_content_type_is_taken(shop: Shop) -> None:
    sent = shop.event("POST", PATH, event())
    sent["headers"].pop("content-type")
    assert shop.send(event(), raw=sent).status == 202


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx"]
)
def test_other_content_types_are_refused(shop: Shop, kind: str) -> None:
    answer = shop.send(event(), headers={"Content-Type": kind})
    assert 400 <= answer.status < 500
    assert answer.body["errors"][0]["message"]
    assert shop.receive() == []


# -------------------------------------------------------------- field errors

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


def test_all_errors_at_once(shop: Shop) -> None:
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
    assert answer.errors >= {
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
        ("format_error", "items[1].taxes"),
    }


@pytest.mark.parametrize("body", ["[]", "5", "null", '"x"'])
def test_an_event_that_is_no_object(shop: Shop, body: str) -> None:
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
def test_a_body_that_is_no_json(shop: Shop, body: str) -> None:
    answer = shop.send(body)
    assert 400 <= answer.status < 500
    assert answer.body["errors"][0]["message"]
    assert shop.receive() == []


def test_bytes_that_are_no_utf_8(shop: Shop) -> None:
    answer = shop.send(None, raw={"body": base64.b64encode(b'{"provider":"\xff"}').decode(), "isBase64Encoded": True})
    assert answer.status == 400


@pytest.mark.parametrize("depth", [1, 50, 90, 94, 95, 96, 97, 98, 99, 100, 101, 150, 800, 990, 3_000])
def test_what_is_accepted_nested_is_also_applied(shop: Shop, depth: int) -> None:
    body = json.dumps(event())[:-1] + ', "custom": ' + "[" * depth + "]" * depth + "}"
    answer = shop.send(body)
    assert answer.status in (202, 400, 422)
    if answer.status == 202:
        shop.drain(6)
        assert shop.status(answer.body["request_id"])["status"] == "applied"
        assert shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity").status == 200


def test_an_error_answer_never_outgrows_what_can_be_sent(shop: Shop) -> None:
    """Lambda sends back 6 MB at most (checked on each call); all the errors of a full body would be more."""
    assert shop.send(event(items=[0] * 80_000)).status == 422
    assert shop.send_batch([event(items=[{}] * 1_000)] * 60).status == 422


# --------------------------------------------------------------- occurred_at


def test_occurred_at_up_to_24_hours_ahead(shop: Shop) -> None:
    now = times.to_datetime(times.now())
    for hours, status in ((23.9, 202), (24.1, 422)):
        assert shop.send(event(occurred_at=(now + timedelta(hours=hours)).isoformat())).status == status
    ahead = (now + timedelta(hours=30)).astimezone().isoformat()
    assert shop.send(event(occurred_at=ahead)).errors == {("time_error", "occurred_at")}


def test_without_occurred_at_it_is_the_time_of_receipt(shop: Shop) -> None:
    before = times.now()
    shop.send(event())
    after = times.now()
    shop.drain()
    (activity,) = shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity").body["activity"]
    assert before < times.parse_iso(activity["occurred_at"]) < after


@pytest.mark.parametrize("absent", [None, ""])
def test_a_null_occurred_at_is_an_absent_one(shop: Shop, absent: Any) -> None:
    assert shop.send(event(occurred_at=absent)).status == 202


# -------------------------------------------------------------------- person


def test_person_id_wins_and_the_email_is_ignored(shop: Shop) -> None:
    for email in (EMAIL, "not an e-mail", 5, None):
        assert shop.send(event(person_id="p-1", email=email, order_id=str(email))).status == 202
    shop.drain()
    assert shop.person("p-1")["orders_count"] == 4
    assert shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}").status == 404


@pytest.mark.parametrize("blank", ["", None, " ", "\t"])
def test_a_blank_person_id_is_none(shop: Shop, blank: Any) -> None:
    assert shop.send(event(person_id=blank)).status == 202
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "100.00"}
    assert shop.send(event(person_id=blank, email=...)).status == 422


def test_a_person_id_shaped_like_an_email_is_that_email(shop: Shop) -> None:
    shop.send(event(person_id="User@GMAIL.com", email=...))
    shop.drain()
    assert shop.person(EMAIL)["email_sha256"] == SHA


def test_a_person_id_of_digits(shop: Shop) -> None:
    shop.send(event(person_id=27876))
    shop.drain()
    assert shop.ltv("27876") == {"USD": "100.00"}


def test_the_same_email_in_v1_and_v3_is_the_same_person(shop: Shop) -> None:
    shop.send(event())
    shop.submit({"order_id": "1", "order_date": "2019-01-01", "customer_email": "USER@gmail.com", "total": 5})
    shop.drain()
    assert shop.person(EMAIL)["lifetime_value"] == {"USD": "105.00"}
    assert shop.person(EMAIL)["lifetime_value_by_source"] == {
        "shopper_activity": {"USD": "100.00"}, "orders_api": {"USD": "5.00"},
    }  # fmt: skip


# ------------------------------------------------------- custom attributes


def test_discount_and_discounts_are_the_same_field(shop: Shop) -> None:
    item = {"product_id": "a", "name": "a", "price": 1}
    pairs: list[tuple[Any, Any]] = [
        ("1.5", ...), (..., 1.50), (1.5, None), ("1.50", 1.5), ("", 1.5), (1.5, ""), (None, "1.5"), ("1.5", " 1.500 "),
    ]  # fmt: skip
    items = [
        item | {name: value for name, value in zip(("discount", "discounts"), pair, strict=True) if value is not ...}
        for pair in pairs
    ]
    assert shop.send(event(items=[*items, item, item | {"discount": "", "discounts": ""}])).status == 202
    shop.drain()
    (activity,) = shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity").body["activity"]
    shown = activity["order"]["items"]
    assert [entry.get("discount") for entry in shown] == ["1.50"] * len(pairs) + [None] * 2
    assert all("discounts" not in entry for entry in shown)
    assert all(entry["quantity"] == 1 for entry in shown)


def test_rounding_is_noted_by_the_name_that_was_sent(shop: Shop) -> None:
    items = [{"product_id": "a", "name": "a", "price": 1, "discounts": "19.989999999999998"}]
    shop.send(event(items=items))
    shop.drain()
    assert any("discounts was rounded to 19.99" in str(item.get("notes")) for item in shop.items("RecordsTable"))


def test_custom_attributes_keep_their_json_types(shop: Shop) -> None:
    custom = (
        '"tag": "x", "n": 1.50, "big": 12345678901234567890.5, "yes": true, "none": null, "l": [1, {"a": []}], "id": 7'
    )
    shop.send(json.dumps(event())[:-1] + f", {custom}}}")
    shop.drain()
    answer = shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity")
    properties = answer.body["activity"][0]["properties"]
    expected = json.loads(f"{{{custom}}}", parse_float=Decimal)
    assert properties == expected
    assert "12345678901234567890.5" in answer.text
    order = shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body
    assert order["properties"] == expected


@pytest.mark.parametrize(
    "name",
    [
        "__class__",
        "model_config",
        "model_fields",
        "copy",
        "",
        "a.b",
        "😀",
        "$ref",
        "status",
        "person",
        "hash",
        "body",
        "v",
    ],
)
def test_a_custom_attribute_of_any_name(shop: Shop, name: str) -> None:
    answer = shop.send(event(**{name: "mine"}))
    assert answer.status == 202
    shop.drain()
    (activity,) = shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity").body["activity"]
    assert activity["properties"] == {name: "mine"}
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["properties"] == {name: "mine"}


def test_currency_of_any_case(shop: Shop) -> None:
    shop.send(event(currency="eur"))
    shop.drain()
    assert shop.ltv(EMAIL) == {"EUR": "100.00"}


# --------------------------------------------------------------------- batch


def test_a_batch_of_a_thousand_is_queued(shop: Shop) -> None:
    answer = shop.send_batch([event(order_id=n) for n in range(1_000)], key=INGEST)
    assert answer.status == 202
    ids = answer.body["request_ids"]
    assert len(set(ids)) == 1_000
    assert all(uuid.UUID(i).version == 7 for i in ids)
    records = shop.receive()
    assert len(records) <= 10
    queued = [order for message in records for order in decode(message["body"]).orders]
    assert {(order.request_id, order.body["order_id"]) for order in queued} == {(i, str(n)) for n, i in enumerate(ids)}
    assert shop.status(ids[999])["status"] == "queued"


def test_a_packed_batch_is_applied(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_ORDERS", 10)
    ids = shop.send_batch([event(order_id=n, grand_total=n) for n in range(25)]).body["request_ids"]
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "300.00"}
    assert shop.person(EMAIL)["orders_count"] == 25
    assert {shop.status(i)["status"] for i in ids} == {"applied"}


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
def test_a_batch_that_is_none(shop: Shop, body: Any, code: str) -> None:
    answer = shop.send_batch(body)
    assert answer.status == 422
    assert (code, "orders") in answer.errors


@pytest.mark.parametrize("body", ["[]", "null", "5", "[{}]"])
def test_a_batch_that_is_no_object(shop: Shop, body: str) -> None:
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


def test_if_only_part_could_be_queued_503_and_sending_again_is_safe(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MAX_ORDERS", 10)
    orders = [event(order_id=n, occurred_at=day(1)) for n in range(25)]
    tried = []

    def second_fails(index: int, operation: str, arguments: dict[str, Any], go: Any) -> Any:
        if operation != "SendMessageBatch":
            return go()
        tried.append(arguments["Entries"])
        taken = arguments["Entries"][:1] if len(tried) == 1 else []
        failed = [e for e in arguments["Entries"] if e not in taken]
        if taken:
            arguments["Entries"] = taken
            go()
        return {"Failed": [{"Id": e["Id"], "SenderFault": False, "Code": "InternalError"} for e in failed]}

    with shop.faults.injected(second_fails):
        answer = shop.send_batch(orders)
    assert tried
    assert answer.status == 503
    assert answer.body["errors"][0]["message"]
    assert shop.send_batch(orders).status == 202
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "2500.00"}


@pytest.mark.parametrize("batch", [False, True])
def test_a_queue_that_does_not_answer_is_503(shop: Shop, batch: bool) -> None:
    from botocore.exceptions import EndpointConnectionError

    def down(index: int, operation: str, arguments: dict[str, Any], go: Any) -> Any:
        if operation.startswith("SendMessage"):
            raise EndpointConnectionError(endpoint_url="https://sqs")
        return go()

    with shop.faults.injected(down):
        answer = shop.send_batch([event()]) if batch else shop.send(event())
    assert answer.status == 503
    assert "sqs" not in answer.text


# --------------------------------------------------------------------- sizes


def test_sizes(shop: Shop) -> None:
    fits, too_big = event(note="x" * 260_000), event(note="x" * 262_144)
    assert shop.send(fits).status == 202
    for answer in (
        shop.send(too_big),
        shop.send_batch([event(), too_big]),
        shop.send_batch([event(note="x" * 250_000)] * 17),
    ):
        assert answer.status == 413
        assert answer.body["errors"][0]["message"]
    assert shop.send_batch([event(note="x" * 250_000, order_id=n) for n in range(16)]).status == 202
    shop.drain()
    assert shop.person(EMAIL)["orders_count"] == 17


# ---------------------------------------------------------------------- gzip


def gzipped(shop: Shop, data: bytes, **options: Any) -> Any:
    """As a gateway that knows the body to be binary hands it on: base64 of the gzip."""
    raw = {"body": base64.b64encode(data).decode(), "isBase64Encoded": True}
    return shop.send(None, raw=raw, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"} | options)


def test_gzip_as_base64(shop: Shop) -> None:
    assert gzipped(shop, gzip.compress(json.dumps(event()).encode(), mtime=0)).status == 202


def test_gzip_already_inflated_under_a_stale_header(shop: Shop) -> None:
    assert shop.send(event(), headers={"Content-Encoding": "gzip"}).status == 202
    assert gzipped(shop, json.dumps(event()).encode()).status == 202


def test_plain_json_as_base64(shop: Shop) -> None:
    raw = {"body": base64.b64encode(json.dumps(event()).encode()).decode(), "isBase64Encoded": True}
    assert shop.send(None, raw=raw).status == 202


def test_gzip_of_several_members(shop: Shop) -> None:
    text = json.dumps(event()).encode()
    assert gzipped(shop, gzip.compress(text[:20], mtime=0) + gzip.compress(text[20:], mtime=0)).status == 202


@pytest.mark.parametrize(("count", "status"), [(400, 202), (2_000, 202), (10_000, 413)])
def test_hashes_of_e_mails_may_not_outgrow_an_item(shop: Shop, count: int, status: int) -> None:
    """Accepted, it would be applied never, and kept as a dead letter neither."""
    body = json.dumps(event() | {f"{n:x}": f"{n:x}@b.co" for n in range(count)}, separators=(",", ":"))
    assert len(body) < 256 * 1024
    answer = shop.send(body)
    assert answer.status == status
    shop.drain()
    if status == 202:
        assert shop.status(answer.body["request_id"])["status"] == "applied"
    else:
        assert "e-mail addresses" in answer.body["errors"][0]["message"]
    assert shop.receive() == []


def test_a_bomb_is_413(shop: Shop) -> None:
    assert gzipped(shop, gzip.compress(b" " * 200_000_000, 1, mtime=0)).status == 413


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b'{"provider": "a"}', mtime=0)[:-9], gzip.compress(b"{}", mtime=0)[:12], b"\x1f\x8b",
     b"\x1f\x8b" + b"\x00" * 50, gzip.compress(b"{}", mtime=0)[:-4] + b"abcd", b""],
)  # fmt: skip
def test_gzip_that_is_none_or_cut_short_is_400(shop: Shop, data: bytes) -> None:
    answer = gzipped(shop, data)
    assert answer.status == 400
    assert answer.body["errors"][0]["message"]


def test_a_body_of_a_hundred_thousand_empty_members_is_given_up_after_a_few(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them would copy all that comes behind it."""
    inflated = []
    make = zlib.decompressobj

    def counted(*arguments: Any) -> Any:
        inflated.append(arguments)
        return make(*arguments)

    monkeypatch.setattr(zlib, "decompressobj", counted)
    assert 400 <= gzipped(shop, gzip.compress(b"", mtime=0) * 100_000).status < 500
    assert 0 < len(inflated) < 100


def test_other_encodings_are_refused(shop: Shop) -> None:
    assert 400 <= shop.send(event(), headers={"Content-Encoding": "br"}).status < 500


def test_base64_that_is_none(shop: Shop) -> None:
    assert shop.send(None, raw={"body": "???", "isBase64Encoded": True}).status == 400


# ------------------------------------------------------------ authentication


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        basic(f"{ADMIN}:"),
        basic(ADMIN),
        basic(f"{ADMIN}:") + "\n",
        basic(f"{ADMIN}:")[:12] + "\n" + basic(f"{ADMIN}:")[12:],
        f"Bearer {ADMIN}",
        basic(f"{INGEST}:"),
    ],
)
def test_forms_of_authentication(shop: Shop, header: str) -> None:
    assert shop.send(event(), key=None, headers={"Authorization": header}).status == 202


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !!!", "Basic /w==", basic("wrong:"), basic(":"), "Bearer wrong", "Digest x"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PATH),
        ("POST", f"{PATH}/batch"),
        ("GET", f"/v3/{ACCOUNT}/people/x"),
        ("GET", f"/v2/{ACCOUNT}/subscribers/x"),
        ("GET", f"/v3/{ACCOUNT}/requests/x"),
    ],
)
def test_without_a_valid_key_401(shop: Shop, header: str | None, method: str, path: str) -> None:
    answer = shop.request(method, path, "{", key=None, headers={} if header is None else {"Authorization": header})
    assert answer.status == 401
    assert answer.body["errors"][0]["code"] == "authentication_error"
    assert answer.body["errors"][0]["message"]
    assert "basic" in {name.lower(): v for name, v in answer.headers.items()}["www-authenticate"].lower()


def test_the_key_of_another_account_or_role_is_403(shop: Shop) -> None:
    for answer in (
        shop.send(event(), key=OTHER_ADMIN),
        shop.send_batch([event()], key=OTHER_ADMIN),
        shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}", key=OTHER_ADMIN),
        shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}", key=INGEST),
        shop.get(f"/v2/{ACCOUNT}/subscribers/{EMAIL}", key=INGEST),
        shop.get(f"/v3/{ACCOUNT}/requests/x", key=INGEST),
    ):
        assert answer.status == 403
        assert answer.body["errors"][0]["code"] == "authorization_error"


def test_the_day_of_last_use_is_noted(shop: Shop) -> None:
    shop.send(event(), key=INGEST)
    keys = {
        item["role"]: item
        for item in shop.items("RecordsTable")
        if str(item["pk"]).startswith("#key/") and item["account"] == ACCOUNT
    }
    assert keys["ingest"]["used"] == datetime.now(UTC).date().isoformat()
    assert INGEST not in str(keys)


# ------------------------------------------------------------------- privacy


def test_no_email_field_is_kept_or_queued_or_logged(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "somebody.private@example.com"
    shop.send(event(email=secret.upper()))
    shop.send(event(person_id=secret, email=secret, order_id="2"))
    shop.send(event(person_id="p", email=secret, order_id="3"))
    shop.send(event(email=secret, grand_total="x", order_id="4"))
    shop.send(event(email=f"{secret} x", order_id="5"))
    shop.send(f'{{"email": "{secret}", "email": "{secret}"}}')
    shop.send_batch([event(email=secret, order_id="6")] * 2 + [event(email=...)])
    shop.get(f"/v3/{ACCOUNT}/people/{secret}")
    queued = str([record["body"] for record in shop.receive()])
    shop.drain()
    kept = str(shop.items("LedgerTable")) + str(shop.items("RecordsTable"))
    said = capsys.readouterr()
    for text in (queued, kept, said.out, said.err):
        assert "somebody.private" not in text.lower()


def test_errors_show_neither_internals_nor_what_was_sent(shop: Shop) -> None:
    for answer in (
        shop.send(event(grand_total="secret-value")),
        shop.send(event(email="secret-value")),
        shop.send("{secret-value"),
    ):
        assert not re.search("secret-value|Traceback|pydantic|boto", answer.text)


def test_a_text_that_is_an_email_is_kept_as_its_hash_whatever_it_is_called(shop: Shop) -> None:
    names = ("email", "recipient_email", "sku", "contact")
    wrapped = "\u200b User@Gmail.com\ufeff"
    for order_id, value in (
        ("full", " User@Gmail.com"),
        ("pasted", wrapped),
        ("null", None),
        ("other", "user at gmail"),
    ):
        part = dict.fromkeys(names, value) | {"deep": {"in": [{value or "a": value}]}}
        item = {"product_id": "a", "name": "a", "price": 1} | part
        sent = event(order_id=order_id, items=[item, item], shipping_address={"city": "c"} | part, new_email=value)
        assert shop.send(sent).status == 202
        (record,) = shop.receive()
        (queued,) = decode(record["body"]).orders
        assert EMAIL not in repr(queued).lower()
        kept_as = SHA if order_id in ("full", "pasted") else value
        items = [item | item["properties"] for item in queued.body["items"]]
        for kept in (*items, queued.body["shipping_address"]):
            assert {kept.get(name) for name in names} == {kept_as}
            assert kept["deep"] == {"in": [{kept_as or "a": kept_as}]}
        assert queued.body["properties"]["new_email"] == kept_as
        shop.drain()
    assert EMAIL not in repr(shop.items("LedgerTable")).lower()


# ------------------------------------------------------------- unknown routes


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 405),
        ("DELETE", f"{PATH}/batch", 405),
        ("PUT", "/v1/order", 405),
        ("PATCH", "/v1/order/5", 405),
        ("GET", "/v1/order", 405),
        ("POST", f"/v3/{ACCOUNT}/people/x", 405),
        ("GET", "/pages", 404),
        ("GET", "/v4/order", 404),
        ("GET", "/v3", 404),
        ("POST", "/v1/orders", 404),
        ("POST", "/v1/order/", 404),
        ("POST", f"{PATH}/", 404),
        ("GET", f"/v3/{ACCOUNT}/people", 404),
        ("OPTIONS", "/nothing", 404),
        ("GET", "/v1", 404),
    ],
)
def test_unknown_routes_and_methods(shop: Shop, method: str, path: str, status: int) -> None:
    answer = shop.request(method, path, key=None)
    assert answer.status == status
    if path.startswith("/v1"):
        assert answer.body["error"]["message"]
    else:
        assert answer.body["errors"][0]["message"]
    if status == 405:
        assert method not in answer.headers["allow"]
        assert answer.headers["allow"]
