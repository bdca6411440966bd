"""v1: accepted submissions and their answers (docs/api.md)."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.answers import as_submitted
from tests.handlers.events import EMAIL, SHA
from tests.handlers.orders import ADDRESS, SUBMISSION, order
from tests.handlers.shop import INGEST, Shop
from tillbook.rules import codes

# The answer that the published contract shows. SUBMISSION is made from its fields.
PUBLISHED = {
    "id": "d32f3be1-b376-4802-99cb-6fa1fc529aca",
    "order_id": "9ca6e9ab-9de6-4491-82c3-8730e2aedfbb",
    "currency": "USD",
    "total": "126.0",
    "customer": {"id": "27876", "email_sha256": "b043f7b1894189c3591ed2514fcf901ec0de715e8c0c981b893e7d3778d318d4"},
    "metadata": {"firstTimeOrder": "true"},
    "order_items": [
        {
            "category": ["Grocery", "Fruit"],
            "description": "Handcrafted Wooden Pants",
            "identifier": "88fcae48-b6f3-41d5-826d-1f7ec2a108ba",
            "metadata": {"productMaterial": "Cotton"},
            "price": "0.0",
            "quantity": 1,
            "total": "504.0",
        },
        {
            "category": ["Health", "Sports", "Toys"],
            "description": "Tasty Plastic Bike",
            "identifier": "94820c46-644e-408f-8f61-4e057a148c5e",
            "metadata": {},
            "price": "483.0",
            "quantity": 1,
            "total": "297.0",
        },
    ],
    "shipping_address": {
        "company": None,
        "address_1": "03055 Williamson Gardens",
        "address_2": "Suite 249",
        "city": "South Maritzaville",
        "state_name": "TN",
        "postal_code": "10843",
    },
    "billing_address": {
        "company": None,
        "address_1": "59184 Henri Canyon",
        "address_2": None,
        "city": None,
        "state_name": "",
        "postal_code": "36670-7309",
    },
    "order_date": "2019-09-05T14:06:42Z",
}


# ------------------------------------------------------------------- submit


def test_the_published_example_gets_the_published_answer(shop: Shop) -> None:
    answer = shop.submit(SUBMISSION, key=INGEST)
    assert answer.status == 201
    assert answer.headers["content-type"].startswith("application/json")
    assert uuid.UUID(answer.body["id"])
    assert answer.body | {"id": PUBLISHED["id"]} == PUBLISHED
    assert as_submitted(shop.get(f"/v1/order/{SUBMISSION['order_id']}").body) == answer.body


def test_a_minimal_order_gets_every_default(shop: Shop) -> None:
    body = shop.submit(order(total=...)).body
    assert body == {
        "id": body["id"],
        "order_id": "o-1",
        "currency": "USD",
        "total": "0.0",
        "customer": {"id": None, "email_sha256": SHA},
        "metadata": {},
        "order_items": [],
        "shipping_address": None,
        "billing_address": None,
        "order_date": "2019-09-05T00:00:00Z",
    }


def test_a_minimal_item_gets_every_default(shop: Shop) -> None:
    (item,) = shop.submit(order(order_items=[{"identifier": "a", "total": -1.5}])).body["order_items"]
    assert item == {
        "category": [],
        "description": None,
        "identifier": "a",
        "metadata": {},
        "price": "0.0",
        "quantity": 1,
        "total": "-1.5",
    }


@pytest.mark.parametrize(
    "least",
    [
        {"customer_email": EMAIL},
        {"customer_email_sha256": SHA},
        {"shipping_address": ADDRESS},
        {"billing_address": ADDRESS},
    ],
)
def test_one_of_address_or_email_suffices(shop: Shop, least: dict[str, Any]) -> None:
    assert shop.submit(order(customer_email=...) | least).status == 201


@pytest.mark.parametrize(
    ("total", "shown"),
    [
        (126, "126.0"),
        ("126", "126.0"),
        (126.5, "126.5"),
        ("22.99", "22.99"),
        (0, "0.0"),
        ("-0", "0.0"),
        (None, "0.0"),
        (0.0001, "0.0001"),
        ("999999999999999.9999", "999999999999999.9999"),
        ("19.989999999999998", "19.99"),  # rounded: 19.9900
    ],
)
def test_amounts_are_shown_exactly_to_four_decimals(shop: Shop, total: Any, shown: str) -> None:
    assert shop.submit(order(total=total)).body["total"] == shown


def test_json_numbers_are_read_exactly(shop: Shop) -> None:
    body = json.dumps(order(total="@")).replace('"@"', "12345678901234.5678")
    assert shop.submit(body).body["total"] == "12345678901234.5678"
    assert shop.ltv(EMAIL) == {"USD": "12345678901234.5678"}


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("2019-09-05", "2019-09-05T00:00:00Z"), ("2019-09-05T14:06:42Z", "2019-09-05T14:06:42Z"),
     ("2019-09-05T14:06:42+02:00", "2019-09-05T12:06:42Z"), ("2019-09-05T23:59:59.999-01:00", "2019-09-06T00:59:59Z")],
)  # fmt: skip
def test_order_dates_are_shown_in_utc(shop: Shop, sent: str, shown: str) -> None:
    assert shop.submit(order(order_date=sent)).body["order_date"] == shown


def test_metadata_values_are_shown_as_strings(shop: Shop) -> None:
    sent = {"new_buyer": True, "again": False, "n": 5, "d": 1.5, "promo_code": "X"}
    assert shop.submit(order(metadata=sent)).body["metadata"] == {
        "new_buyer": "true", "again": "false", "n": "5", "d": "1.5", "promo_code": "X",
    }  # fmt: skip


def test_a_currency_may_be_in_any_case_and_a_country_have_two_or_three_letters(shop: Shop) -> None:
    for n, country in enumerate(("US", "usa", "DEU", "de", "", None)):
        answer = shop.submit(order(order_id=str(n), currency="eur", shipping_address=ADDRESS | {"country": country}))
        assert answer.status == 201
        assert answer.body["currency"] == "EUR"
        assert "country" not in answer.body["shipping_address"]
        assert "name" not in answer.body["shipping_address"]


def test_withdrawn_iso_codes_are_still_accepted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = order(total=5, currency="BGN", shipping_address=ADDRESS | {"country": "AN"})
    with monkeypatch.context() as before:  # while BGN is a current currency
        before.setitem(codes.MINOR_UNITS, "BGN", 2)
        assert shop.submit(sent).body["currency"] == "BGN"
    assert shop.edit("o-1", {"total": 7}).body["total"] == "7.0"
    assert shop.edit("o-1", {"currency": "eur"}).status == 200
    assert shop.edit("o-1", {"currency": "hrk"}).body["currency"] == "HRK"
    event = {
        "provider": "p",
        "email": EMAIL,
        "action": "placed",
        "order_id": "o-2",
        "grand_total": 1,
        "currency": "ang",
    }
    assert shop.send(event).status == 202
    shop.drain()
    assert shop.ltv(EMAIL) == {"ANG": "1.00", "HRK": "7.00"}
    assert shop.submit(order(order_id="o-3", currency="AYM")).fields == {"currency"}  # in no table of codes


def test_unknown_fields_are_accepted_and_noted(shop: Shop) -> None:
    answer = shop.submit(order(shiping_address=ADDRESS, order_items=[{"identifier": "a", "total": 1, "colour": "red"}]))
    assert answer.status == 201
    shop.drain()
    notes = " ".join(str(item.get("notes")) for item in shop.items("RecordsTable") if "notes" in item)
    assert "shiping_address" in notes
    assert "colour" in notes


def test_a_rounded_amount_is_noted(shop: Shop) -> None:
    shop.submit(json.dumps(order(total=...))[:-1] + ', "total": 19.989999999999998}')
    shop.drain()
    assert any("total" in str(item.get("notes")) for item in shop.items("RecordsTable"))


def test_reading_an_order_shows_name_and_country_of_its_addresses(shop: Shop) -> None:
    address = {"name": "Ann Lee", "address_1": "1 Main St", "city": "Boston", "state": "MA", "postal_code": "02139"}
    sent = {"order_id": "a", "order_date": "2026-01-20", "shipping_address": address}
    answer = shop.submit(sent).body
    assert not {"name", "country"} & answer["shipping_address"].keys()
    found = shop.get("/v1/order/a").body
    assert found["shipping_address"] == answer["shipping_address"] | {"name": "Ann Lee", "country": "USA"}
    assert found["billing_address"] is None
