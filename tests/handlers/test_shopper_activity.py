"""v3 events and batches: which are accepted, how their fields are read, and which texts are never kept."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from events.bodies import ORDER_ACTIVITY
from tests.handlers.events import EMAIL, PATH, SHA, day, event
from tests.handlers.shop import ACCOUNT, INGEST, Shop
from tillbook.records import messages
from tillbook.records.messages import decode
from tillbook.rules import times

# ----------------------------------------------------------------- accepted


def test_the_published_example_is_accepted_and_shown(shop: Shop) -> None:
    answer = shop.send(ORDER_ACTIVITY, key=INGEST)
    assert answer.status == 202
    assert list(answer.body) == ["request_id"]
    assert uuid.UUID(answer.body["request_id"]).version == 7
    shop.drain()
    assert shop.person(EMAIL)["lifetime_value"] == {"USD": "22.99"}
    (activity,) = shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity").body["activity"]
    assert activity["name"] == "Placed an order"
    assert activity["occurred_at"] == "2019-01-17T20:50:00Z"
    assert activity["request_id"] == answer.body["request_id"]
    shown, sent = activity["order"], json.loads(ORDER_ACTIVITY)
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
    """placed 100 → updated 105 → paid without a total → refunded 105: LTV 100, 105, 105, 0; four timeline entries."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("placed", {"grand_total": 100}),
        ("updated", {"grand_total": 105}),
        ("paid", {"grand_total": ...}),
        ("refunded", {"grand_total": ..., "refund_amount": 105}),
    ]
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
def test_accepted_content_types(shop: Shop, kind: str) -> None:
    assert shop.send(event(), headers={"Content-Type": kind}).status == 202


def test_a_request_without_a_content_type_is_accepted(shop: Shop) -> None:
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


# --------------------------------------------------------------- occurred_at


def test_occurred_at_may_be_up_to_24_hours_ahead(shop: Shop) -> None:
    now = times.to_datetime(times.now())
    for hours, status in ((23.9, 202), (24.1, 422)):
        assert shop.send(event(occurred_at=(now + timedelta(hours=hours)).isoformat())).status == status
    ahead = (now + timedelta(hours=30)).astimezone().isoformat()
    assert shop.send(event(occurred_at=ahead)).errors == {("time_error", "occurred_at")}


def test_occurred_at_defaults_to_the_time_of_receipt(shop: Shop) -> None:
    before = times.now()
    shop.send(event())
    after = times.now()
    shop.drain()
    (activity,) = shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity").body["activity"]
    assert before < times.parse_iso(activity["occurred_at"]) < after


@pytest.mark.parametrize("empty", [None, ""])
def test_a_null_or_empty_occurred_at_is_accepted(shop: Shop, empty: Any) -> None:
    assert shop.send(event(occurred_at=empty)).status == 202


# -------------------------------------------------------------------- person


def test_person_id_wins_and_the_email_is_ignored(shop: Shop) -> None:
    for email in (EMAIL, "not an e-mail", 5, None):
        assert shop.send(event(person_id="p-1", email=email, order_id=str(email))).status == 202
    shop.drain()
    assert shop.person("p-1")["orders_count"] == 4
    assert shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}").status == 404


@pytest.mark.parametrize("blank", ["", None, " ", "\t"])
def test_a_blank_person_id_counts_as_absent(shop: Shop, blank: Any) -> None:
    assert shop.send(event(person_id=blank)).status == 202
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "100.00"}
    assert shop.send(event(person_id=blank, email=...)).status == 422


def test_a_person_id_that_is_an_email_counts_as_the_email(shop: Shop) -> None:
    shop.send(event(person_id="User@GMAIL.com", email=...))
    shop.drain()
    assert shop.person(EMAIL)["email_sha256"] == SHA


def test_a_person_id_may_be_an_integer(shop: Shop) -> None:
    shop.send(event(person_id=27876))
    shop.drain()
    assert shop.ltv("27876") == {"USD": "100.00"}


def test_the_same_email_in_v1_and_v3_is_the_same_person(shop: Shop) -> None:
    shop.send(event())
    shop.submit({"order_id": "1", "order_date": "2019-01-01", "customer_email": "USER@gmail.com", "total": 5})
    shop.drain()
    assert shop.person(EMAIL)["lifetime_value"] == {"USD": "105.00"}
    assert shop.person(EMAIL)["lifetime_value_by_source"] == {
        "shopper_activity": {"USD": "100.00"},
        "orders_api": {"USD": "5.00"},
    }


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
def test_a_custom_attribute_may_have_any_name(shop: Shop, name: str) -> None:
    answer = shop.send(event(**{name: "mine"}))
    assert answer.status == 202
    shop.drain()
    (activity,) = shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/activity").body["activity"]
    assert activity["properties"] == {name: "mine"}
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["properties"] == {name: "mine"}


def test_a_currency_may_be_in_any_case(shop: Shop) -> None:
    shop.send(event(currency="eur"))
    shop.drain()
    assert shop.ltv(EMAIL) == {"EUR": "100.00"}


# --------------------------------------------------------------------- batch


def test_a_batch_of_a_thousand_orders_is_queued(shop: Shop) -> None:
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


def test_a_batch_of_several_messages_is_applied(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_ORDERS", 10)
    ids = shop.send_batch([event(order_id=n, grand_total=n) for n in range(25)]).body["request_ids"]
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "300.00"}  # 0 + 1 + ... + 24
    assert shop.person(EMAIL)["orders_count"] == 25
    assert {shop.status(i)["status"] for i in ids} == {"applied"}


def test_a_batch_that_is_queued_in_part_is_503_and_can_be_sent_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MAX_ORDERS", 10)
    orders = [event(order_id=n, occurred_at=day(1)) for n in range(25)]
    calls: list[str] = []

    def queue_the_first_message_only(_index: int, operation: str, arguments: dict[str, Any], go: Any) -> Any:
        if operation != "SendMessageBatch":
            return go()
        calls.append(operation)
        accepted = arguments["Entries"][:1] if len(calls) == 1 else []
        failed = [e for e in arguments["Entries"] if e not in accepted]
        if accepted:
            arguments["Entries"] = accepted
            go()
        return {"Failed": [{"Id": e["Id"], "SenderFault": False, "Code": "InternalError"} for e in failed]}

    with shop.faults.injected(queue_the_first_message_only):
        answer = shop.send_batch(orders)
    assert calls
    assert answer.status == 503
    assert answer.body["errors"][0]["message"]
    assert shop.send_batch(orders).status == 202
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "2500.00"}


@pytest.mark.parametrize("batch", [False, True])
def test_a_queue_that_does_not_answer_is_503(shop: Shop, batch: bool) -> None:
    def down(index: int, operation: str, arguments: dict[str, Any], go: Any) -> Any:
        if operation.startswith("SendMessage"):
            raise EndpointConnectionError(endpoint_url="https://sqs")
        return go()

    with shop.faults.injected(down):
        answer = shop.send_batch([event()]) if batch else shop.send(event())
    assert answer.status == 503
    assert "sqs" not in answer.text


# ------------------------------------------------------------------- privacy


def test_no_email_address_is_queued_kept_or_logged(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
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
    printed = capsys.readouterr()
    for text in (queued, kept, printed.out, printed.err):
        assert "somebody.private" not in text.lower()


def test_a_text_that_is_an_email_is_kept_as_its_hash_in_any_field(shop: Shop) -> None:
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
