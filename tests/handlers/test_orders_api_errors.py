"""v1: refused bodies and keys, and what errors do not disclose."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.handlers.events import EMAIL
from tests.handlers.orders import ADDRESS, order
from tests.handlers.shop import ACCOUNT, INGEST, OTHER_ADMIN, Shop


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"order_id": ...}, "order_id"),
        ({"order_id": None}, "order_id"),
        ({"order_id": ""}, "order_id"),
        ({"order_id": 1.5}, "order_id"),
        ({"order_id": True}, "order_id"),
        ({"order_id": ["a"]}, "order_id"),
        ({"order_id": "a" * 256}, "order_id"),
        ({"order_id": "😀" * 256}, "order_id"),
        ({"order_id": "a?b"}, "order_id"),
        ({"order_id": "."}, "order_id"),
        ({"order_id": ".."}, "order_id"),
        ({"order_id": "a\nb"}, "order_id"),
        ({"order_id": "a\x00b"}, "order_id"),
        ({"order_id": "a\x7fb"}, "order_id"),
        ({"order_date": ...}, "order_date"),
        ({"order_date": None}, "order_date"),
        ({"order_date": ""}, "order_date"),
        ({"order_date": "yesterday"}, "order_date"),
        ({"order_date": "2019-02-29"}, "order_date"),
        ({"order_date": 20190905}, "order_date"),
        ({"order_date": "0001-01-01T00:00:00+10:00"}, "order_date"),
        ({"total": -1}, "total"),
        ({"total": "abc"}, "total"),
        ({"total": True}, "total"),
        ({"total": 10**15}, "total"),
        ({"total": 10**30}, "total"),
        ({"total": {}}, "total"),
        ({"total": [1]}, "total"),
        ({"total": "NaN"}, "total"),
        ({"currency": "XYZ"}, "currency"),
        ({"currency": "dollars"}, "currency"),
        ({"currency": 5}, "currency"),
        ({"currency": "\u0131nr"}, "currency"),  # its upper case is INR
        ({"customer_email": "nobody"}, "customer_email"),
        ({"customer_email": 5}, "customer_email"),
        ({"customer_email": "a@b"}, "customer_email"),
        ({"customer_email_sha256": "abc"}, "customer_email_sha256"),
        ({"customer_email_sha256": "g" * 64}, "customer_email_sha256"),
        ({"customer_email_sha256": 5}, "customer_email_sha256"),
        ({"customer_email_sha256": "0" * 64}, "customer_email_sha256"),  # not the hash of customer_email
        ({"customer_id": ["a"]}, "customer_id"),
        ({"customer_id": "a" * 256}, "customer_id"),
        ({"metadata": []}, "metadata"),
        ({"metadata": "a"}, "metadata"),
        ({"metadata": {str(n): n for n in range(11)}}, "metadata"),
        ({"metadata": {"k" * 41: 1}}, "metadata"),
        ({"metadata": {"k": "v" * 201}}, "metadata"),
        ({"metadata": {"k": {}}}, "metadata"),
        ({"metadata": {"k": ["v"]}}, "metadata"),
        ({"order_items": {}}, "order_items"),
        ({"order_items": "a"}, "order_items"),
        ({"order_items": [5]}, "order_items[0]"),
        ({"order_items": [{"total": 1}]}, "order_items[0].identifier"),
        ({"order_items": [{"identifier": "", "total": 1}]}, "order_items[0].identifier"),
        ({"order_items": [{"identifier": "a"}]}, "order_items[0].total"),
        ({"order_items": [{"identifier": "a", "total": None}]}, "order_items[0].total"),
        ({"order_items": [{"identifier": "a", "total": 1}, {"identifier": "b", "total": "x"}]}, "order_items[1].total"),
        ({"order_items": [{"identifier": "a", "total": 1, "quantity": 1.5}]}, "order_items[0].quantity"),
        ({"order_items": [{"identifier": "a", "total": 1, "quantity": True}]}, "order_items[0].quantity"),
        ({"order_items": [{"identifier": "a", "total": 1, "quantity": "--5"}]}, "order_items[0].quantity"),
        ({"order_items": [{"identifier": "a", "total": 1, "quantity": 10**30}]}, "order_items[0].quantity"),
        (
            {"order_items": [{"identifier": "a", "total": 1, "quantity": "\u0663"}]},
            "order_items[0].quantity",
        ),  # Arabic 3
        ({"order_items": [{"identifier": "a", "total": 1, "price": "x"}]}, "order_items[0].price"),
        ({"order_items": [{"identifier": "a", "total": 1, "category": {}}]}, "order_items[0].category"),
        ({"order_items": [{"identifier": "a", "total": 1, "category": [1]}]}, "order_items[0].category"),
        ({"order_items": [{"identifier": "a", "total": 1, "metadata": {"k" * 41: 1}}]}, "order_items[0].metadata"),
        ({"shipping_address": [5]}, "shipping_address"),
        ({"shipping_address": "x"}, "shipping_address"),
        ({"shipping_address": {"postal_code": "1"}}, "shipping_address.address_1"),
        ({"shipping_address": {"address_1": "1"}}, "shipping_address.postal_code"),
        ({"shipping_address": {"address_1": "1", "postal_code": None}}, "shipping_address.postal_code"),
        ({"billing_address": {"address_1": "", "postal_code": "1"}}, "billing_address.address_1"),
        ({"billing_address": ADDRESS | {"country": "Germany"}}, "billing_address.country"),
        ({"billing_address": ADDRESS | {"country": "ZZZ"}}, "billing_address.country"),
        ({"billing_address": ADDRESS | {"country": "\u0131n"}}, "billing_address.country"),  # its upper case is IN
        ({"billing_address": ADDRESS | {"country": "\u00df"}}, "billing_address.country"),  # its upper case is SS
        ({"billing_address": ADDRESS | {"city": {}}}, "billing_address.city"),
        ({"billing_address": ADDRESS | {"state": {}}}, "billing_address.state"),
        ({"billing_address": ADDRESS | {"state_name": {}}}, "billing_address.state_name"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_written(shop: Shop, changes: dict[str, Any], field: str) -> None:
    answer = shop.submit(order(**changes))
    assert answer.status == 400
    error = answer.body["error"]
    assert error["name"] == "ValidationError"
    assert field in answer.fields
    assert error["message"].startswith(error["details"][0]["field"] or "body")
    assert shop.items("LedgerTable") == []
    assert shop.receive() == []
    assert EMAIL not in answer.text


def test_the_published_form_of_an_error(shop: Shop) -> None:
    answer = shop.submit(order(shipping_address={"address_1": "1 St"}))
    assert answer.body == {
        "error": {
            "name": "ValidationError",
            "message": "shipping_address.postal_code is required",
            "details": [
                {"field": "shipping_address.postal_code", "message": "shipping_address.postal_code is required"}
            ],
        }
    }


def test_an_order_without_address_and_email_is_refused(shop: Shop) -> None:
    for changes in (
        {},
        {"customer_id": "5"},
        {"customer_email": ""},
        {"shipping_address": None},
        {"shipping_address": {}},
    ):
        answer = shop.submit(order(customer_email=...) | changes)
        assert answer.status == 400
        assert any(name in answer.text for name in ("shipping_address", "billing_address"))


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '"x"', "5", "null", "NaN", '{"order_id":"a","order_id":"b"}', '{"a":"\\ud800"}', "\ufeff"]
)
def test_an_invalid_body_is_400(shop: Shop, body: str) -> None:
    answer = shop.submit(body)
    assert answer.status == 400
    assert answer.body["error"]["name"] == "ValidationError"
    assert answer.body["error"]["message"]


def test_a_body_too_large_is_413(shop: Shop) -> None:
    fits = order(order_items=[{"identifier": "a", "total": 1, "description": "d" * 9_000}] * 28)
    assert len(json.dumps(fits)) < 256 * 1024
    assert shop.submit(fits).status == 201
    answer = shop.submit(order(order_id="o-2", x="x" * 256 * 1024))
    assert answer.status == 413
    assert answer.body["error"]["name"]
    assert shop.get("/v1/order/o-2").status == 404


def test_an_edit_cannot_make_an_order_too_large(shop: Shop) -> None:
    items = [{"identifier": "a", "total": 1, "description": "d" * 9_000}] * 20
    shop.submit(order(order_items=items))
    long = {"address_1": "a" * 1000, "postal_code": "1"}
    assert shop.edit("o-1", {"shipping_address": long}).status == 200
    assert shop.edit("o-1", {"order_items": items + items[:7]}).status == 200
    assert shop.edit("o-1", {"order_items": items + items[:9]}).status == 413
    assert len(shop.get("/v1/order/o-1").body["order_items"]) == 27


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "application/vnd.api+json", "", None]
)
def test_json_content_types_and_no_content_type_are_accepted(shop: Shop, kind: str | None) -> None:
    event = shop.event("POST", "/v1/order", order())
    headers = {k: v for k, v in event["headers"].items() if k != "content-type"}
    if kind is not None:
        headers["content-type"] = kind
    assert shop.submit(order(), raw={"headers": headers}).status == 201


def test_a_wrong_content_type_is_refused(shop: Shop) -> None:
    answer = shop.submit(order(), headers={"Content-Type": "text/xml"})
    assert answer.status == 415
    assert "Content-Type" in answer.body["error"]["message"]


# --------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        "Basic aW5nZXN0LXNlY3JldDo=",
        f"Token {INGEST}",
        INGEST,
        "Bearer " + "x" * 9_999,
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/order"), ("POST", "/v1/order/o-1"), ("DELETE", "/v1/order/o-1"), ("GET", "/v1/order/o-1")],
)
def test_a_request_without_a_valid_token_is_403(shop: Shop, header: str | None, method: str, path: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = shop.request(method, path, order(), key=None, headers=headers)
    assert (answer.status, answer.body) == (403, {"error": "Unauthorized"})


def test_a_revoked_key_is_403(shop: Shop) -> None:
    key, secret = shop.keys.create(ACCOUNT, "ingest")
    shop.keys.revoke(ACCOUNT, key.id)
    assert shop.submit(order(), key=secret).status == 403


def test_reading_an_order_requires_an_admin_key(shop: Shop) -> None:
    shop.submit(order(), key=INGEST)
    answer = shop.get("/v1/order/o-1", key=INGEST)
    assert (answer.status, answer.body) == (403, {"error": "Unauthorized"})
    assert shop.edit("o-1", {"total": 1}, key=INGEST).status == 200
    assert shop.delete("o-1", key=INGEST).status == 200


def test_orders_of_one_account_do_not_exist_for_another(shop: Shop) -> None:
    shop.submit(order())
    assert shop.get("/v1/order/o-1", key=OTHER_ADMIN).status == 404
    assert shop.edit("o-1", {"total": 1}, key=OTHER_ADMIN).status == 404
    assert shop.delete("o-1", key=OTHER_ADMIN).status == 404
    assert shop.submit(order(total=1), key=OTHER_ADMIN).status == 201
    assert shop.ltv(EMAIL) == {"USD": "100.00"}


# ------------------------------------------------------------------ privacy


def test_no_email_address_is_stored_queued_or_logged(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "somebody.private@example.com"
    shop.submit(order(customer_email=secret.upper()))
    shop.edit("o-1", {"customer_email": secret, "total": 1})
    shop.submit(order(customer_email=secret, total=99))
    shop.submit(order(customer_email=secret, order_id=None))
    shop.submit(order(customer_email=secret, customer_email_sha256="0" * 64, order_id="o-3"))
    shop.submit(f'{{"customer_email": "{secret}"')
    messages = [record["body"] for record in shop.receive()]
    shop.drain()
    shop.delete("o-1")
    kept = str(shop.items("LedgerTable")) + str(shop.items("RecordsTable")) + str(messages)
    printed = capsys.readouterr()
    for text in (kept, printed.out, printed.err):
        assert "somebody.private" not in text.lower()


def test_errors_show_no_internals(shop: Shop) -> None:
    for answer in (
        shop.submit("{"),
        shop.submit(order(total="x")),
        shop.edit("nothing", {}),
        shop.submit(order(), key="x"),
    ):
        assert not re.search(
            r"Traceback|File \"|pydantic|boto|dynamodb|LedgerTable|input_value", answer.text, re.IGNORECASE
        )
