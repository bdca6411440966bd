"""v1: repeated submissions, edits and deletions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.answers import as_submitted
from tests.handlers.events import EMAIL, SHA
from tests.handlers.orders import ADDRESS, SUBMISSION, order
from tests.handlers.shop import Shop

# --------------------------------------- repeated submissions and conflicts


def test_a_repeated_submission_gets_the_first_answer(shop: Shop) -> None:
    first = shop.submit(order(total=126.0, currency="usd", customer_email=" User@Gmail.com"))
    spelt_otherwise = order(
        total="126",
        customer_email=...,
        customer_email_sha256=SHA.upper(),
        order_date="2019-09-05T02:00:00+02:00",
        metadata={},
    )
    for again in (order(total=126), spelt_otherwise):
        answer = shop.submit(again)
        assert (answer.status, answer.body) == (201, first.body)
    assert shop.ltv(EMAIL) == {"USD": "126.00"}
    assert shop.timeline(EMAIL) == ["Submitted an order"]


def test_a_repeated_submission_after_an_edit_gets_the_first_answer(shop: Shop) -> None:
    first = shop.submit(order())
    shop.edit("o-1", {"total": 5})
    again = shop.submit(order())
    assert (again.status, again.body) == (201, first.body)
    assert shop.get("/v1/order/o-1").body["total"] == "5.0"
    assert shop.ltv(EMAIL) == {"USD": "5.00"}
    # The order's current content was never submitted.
    assert shop.submit(order(total=5)).status == 409


ITEM = {"identifier": "a", "total": 1}


# Values that mean the same as an absent field, by field.
DEFAULTS: dict[str, tuple[Any, ...]] = {
    "total": (0, "0", 0.0, "", None),
    "currency": ("USD", "usd", "", None),
    "customer_id": ("", None),
    "customer_email_sha256": (SHA, ""),  # the e-mail's hash; without null, which clears it in an edit
    "metadata": ({}, None),
    "order_items": ([], None),
    "shipping_address": (None,),
    "billing_address": (None,),
    "order_items.quantity": (1, "1", 1.0, None),
    "order_items.price": (0, "0.00", "-0", "", None),
    "order_items.category": ([], None),
    "order_items.metadata": ({}, None),
    "order_items.description": (None,),
    "shipping_address.country": ("USA", "US", "us", "", None),
    "shipping_address.state": (None,),
    "shipping_address.state_name": (None,),
    "shipping_address.name": (None,),
    "shipping_address.company": (None,),
    "shipping_address.address_2": (None,),
    "shipping_address.city": (None,),
}


@pytest.mark.parametrize("path", DEFAULTS)
def test_a_default_value_is_the_same_submission_as_an_absent_field(shop: Shop, path: str) -> None:
    part, _, name = path.rpartition(".")
    least = order(total=...) | ({"order_items": [ITEM]} if part == "order_items" else {part: ADDRESS} if part else {})

    def given(value: Any) -> dict[str, Any]:
        if part == "order_items":
            return least | {part: [ITEM | {name: value}]}
        return least | ({part: ADDRESS | {name: value}} if part else {name: value})

    first = shop.submit(least)
    assert first.status == 201
    for value in DEFAULTS[path]:
        again = shop.submit(given(value))
        assert (again.status, again.body) == (201, first.body), value
        assert shop.edit("o-1", {part: given(value)[part]} if part else {name: value}).body == first.body, value
    shop.drain()
    assert shop.timeline(EMAIL) == ["Submitted an order"], "an edit to a default value changes nothing"
    # The two are the same, too, if the first submission has the default value.
    assert shop.submit(given(DEFAULTS[path][0]) | {"order_id": "o-2"}).status == 201
    assert shop.submit(least | {"order_id": "o-2"}).status == 201


@pytest.mark.parametrize(
    "changes",
    [
        {"total": 101},
        {"currency": "EUR"},
        {"customer_id": "5"},
        {"order_date": "2019-09-06"},
        {"metadata": {"a": 1}},
        {"shipping_address": ADDRESS},
        {"customer_email": "other@gmail.com"},
    ],
)
def test_other_content_under_the_same_order_id_is_409(shop: Shop, changes: dict[str, Any]) -> None:
    shop.submit(order())
    before = shop.items("LedgerTable")
    answer = shop.submit(order(**changes))
    assert answer.status == 409
    assert answer.body["error"]["name"] == "Conflict"
    assert shop.items("LedgerTable") == before


def test_after_a_delete_a_submission_makes_a_new_order(shop: Shop) -> None:
    first = shop.submit(order())
    shop.delete("o-1")
    second = shop.submit(order())
    assert second.status == 201
    assert second.body["id"] != first.body["id"]
    assert shop.submit(order()).body == second.body
    assert shop.ltv(EMAIL) == {"USD": "100.00"}
    assert shop.edit("o-1", {"total": 7}).body["id"] == second.body["id"]
    shop.delete("o-1")
    assert shop.submit(order(total=3)).status == 201
    assert shop.ltv(EMAIL) == {"USD": "3.00"}
    assert shop.person(EMAIL)["orders_count"] == 1


# --------------------------------------------------------------------- edit


def test_an_edit_replaces_given_fields_and_keeps_the_others(shop: Shop) -> None:
    before = shop.submit(SUBMISSION).body
    path = SUBMISSION["order_id"]
    answer = shop.edit(path, {"total": "50.10", "metadata": {"a": "b"}})
    assert answer.status == 200
    assert answer.body == before | {"total": "50.1", "metadata": {"a": "b"}}
    assert as_submitted(shop.get(f"/v1/order/{path}").body) == answer.body


def test_an_address_is_replaced_as_a_whole(shop: Shop) -> None:
    shop.submit(order(shipping_address=ADDRESS | {"city": "Billtown", "state": "CA"}))
    answer = shop.edit("o-1", {"shipping_address": {"address_1": "9 New St.", "postal_code": "9"}})
    assert answer.body["shipping_address"] == {
        "company": None,
        "address_1": "9 New St.",
        "address_2": None,
        "city": None,
        "state_name": None,
        "postal_code": "9",
    }


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("total", "0.0"),
        ("metadata", {}),
        ("order_items", []),
        ("shipping_address", None),
        ("billing_address", None),
        ("currency", "USD"),
    ],
)
def test_null_clears_a_field(shop: Shop, field: str, shown: Any) -> None:
    shop.submit(SUBMISSION | {"currency": "EUR"})
    answer = shop.edit(SUBMISSION["order_id"], {field: None})
    assert answer.status == 200
    assert answer.body[field] == shown


def test_null_clears_the_customer(shop: Shop) -> None:
    shop.submit(order(customer_id="5", shipping_address=ADDRESS))
    assert shop.edit("o-1", {"customer_email": None}).body["customer"] == {"id": "5", "email_sha256": None}
    assert shop.ltv("5") == {"USD": "100.00"}
    assert shop.edit("o-1", {"customer_id": None}).body["customer"] == {"id": None, "email_sha256": None}
    assert shop.ltv("5") == {}
    assert shop.edit("o-1", {"customer_email_sha256": SHA}).body["customer"] == {"id": None, "email_sha256": SHA}
    assert shop.ltv(EMAIL) == {"USD": "100.00"}


@pytest.mark.parametrize("name", [
    "total", "currency", "customer_id", "customer_email", "customer_email_sha256", "shipping_address",
    "billing_address",
])  # fmt: skip
@pytest.mark.parametrize("customer", [{"customer_id": "5"}, {"customer_email": EMAIL}])
def test_an_empty_text_is_an_absent_field_and_clears_nothing(shop: Shop, customer: dict[str, str], name: str) -> None:
    before = shop.submit(order(customer_email=..., currency="EUR", shipping_address=ADDRESS) | customer).body
    answer = shop.edit("o-1", {name: "", "metadata": {"a": "b"}})
    assert (answer.status, answer.body) == (200, before | {"metadata": {"a": "b"}})
    assert shop.ltv(next(iter(customer.values()))) == {"EUR": "100.00"}


@pytest.mark.parametrize("name", ["order_id", "order_date", "metadata", "order_items"])
def test_an_empty_text_is_refused_where_it_does_not_mean_absent(shop: Shop, name: str) -> None:
    shop.submit(order())
    assert shop.edit("o-1", {name: ""}).fields == {name}


@pytest.mark.parametrize(
    ("submitted", "change", "person"),
    [
        ({"customer_id": "a@x.co"}, {"customer_id": "b@x.co"}, "b@x.co"),
        ({"customer_id": "a@x.co"}, {"customer_id": "b@x.co", "customer_email": "c@x.co"}, "c@x.co"),
        ({"customer_id": "a@x.co"}, {"customer_id": "b@x.co", "customer_email_sha256": ""}, "b@x.co"),
        # The order does not record where its hash came from, so the hash stays until the e-mail fields clear it.
        ({"customer_id": "a@x.co"}, {"customer_id": "5"}, "a@x.co"),
        ({"customer_id": "a@x.co"}, {"customer_id": None}, "a@x.co"),
        # The order has a customer_id, so its hash is of an e-mail field, which takes precedence.
        ({"customer_id": "5", "customer_email": "a@x.co"}, {"customer_id": "b@x.co"}, "a@x.co"),
    ],
)
def test_a_new_customer_id_that_is_an_email_moves_an_order_without_a_customer_id(
    shop: Shop, submitted: dict[str, Any], change: dict[str, Any], person: str
) -> None:
    shop.submit(order(customer_email=..., shipping_address=ADDRESS) | submitted)
    assert shop.edit("o-1", change).status == 200
    assert shop.ltv(person) == {"USD": "100.00"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"order_date": None}, "order_date"),
        ({"total": -1}, "total"),
        ({"customer_email": None}, "shipping_address"),
        ({"shipping_address": {"address_1": "x"}}, "shipping_address.postal_code"),
        ({"order_id": "o-2"}, "order_id"),
        ({"order_id": 5}, "order_id"),
        ({"customer_email": "a@b.co", "customer_email_sha256": "0" * 64}, "customer_email_sha256"),
    ],
)
def test_the_result_of_an_edit_must_be_a_valid_order(shop: Shop, change: dict[str, Any], field: str) -> None:
    shop.submit(order())
    before = shop.items("LedgerTable")
    answer = shop.edit("o-1", change)
    assert answer.status == 400
    assert field in answer.fields
    assert shop.items("LedgerTable") == before


def test_the_body_of_an_edit_may_repeat_the_order_id(shop: Shop) -> None:
    shop.submit(order(order_id=7))
    assert shop.edit("7", {"order_id": 7, "total": 1}).status == 200
    assert shop.edit("7", {"order_id": "7", "total": 2}).status == 200
    assert shop.get("/v1/order/7").body["order_id"] == "7"


def test_fields_of_an_answer_can_be_sent_as_an_edit(shop: Shop) -> None:
    answer = shop.submit(SUBMISSION).body
    again = shop.edit(
        SUBMISSION["order_id"], {k: answer[k] for k in ("shipping_address", "billing_address", "order_items", "total")}
    )
    assert (again.status, again.body) == (200, answer)


@pytest.mark.parametrize("state", [{}, {"state": None}])
def test_a_state_may_be_sent_as_state_name(shop: Shop, state: dict[str, None]) -> None:
    answer = shop.submit(order(shipping_address=ADDRESS | state | {"state_name": "TN"}))
    assert answer.body["shipping_address"]["state_name"] == "TN"


def test_an_edit_of_an_unknown_order_is_404(shop: Shop) -> None:
    answer = shop.edit("nothing", {"total": 1})
    assert answer.status == 404
    assert answer.body["error"]["name"] == "NotFound"
    assert shop.items("LedgerTable") == []


@pytest.mark.parametrize("body", ["", "[]", "5", "null", "{"])
def test_an_edit_that_is_not_an_object_is_400(shop: Shop, body: str) -> None:
    shop.submit(order())
    assert shop.edit("o-1", body).status == 400


def test_ltv_moves_when_an_edit_names_another_person_or_currency(shop: Shop) -> None:
    shop.submit(order())
    shop.edit("o-1", {"customer_email": "other@gmail.com", "total": 40})
    assert shop.ltv(EMAIL) == {}
    assert shop.person(EMAIL)["orders_count"] == 0
    assert shop.ltv("other@gmail.com") == {"USD": "40.00"}
    shop.edit("o-1", {"currency": "eur"})
    assert shop.ltv("other@gmail.com") == {"EUR": "40.00"}
    assert shop.person("other@gmail.com")["orders_count"] == 1
    assert shop.timeline(EMAIL) == ["Submitted an order"]
    assert shop.timeline("other@gmail.com") == ["Edited an order", "Edited an order"]
    assert set(shop.stored_ltv().values()) == {Decimal(40), Decimal(1)}  # the LTV and the number of orders


# ------------------------------------------------------------------- delete


def test_a_delete_returns_the_order_and_removes_its_contribution(shop: Shop) -> None:
    shop.submit(order())
    last = shop.edit("o-1", {"total": 40}).body
    answer = shop.delete("o-1")
    assert (answer.status, answer.body) == (200, last)
    assert shop.ltv(EMAIL) == {}
    assert shop.person(EMAIL)["orders_count"] == 0
    assert shop.stored_ltv() == {}
    assert shop.timeline(EMAIL) == ["Deleted an order", "Edited an order", "Submitted an order"]


def test_a_deleted_order_cannot_be_read_edited_or_deleted(shop: Shop) -> None:
    shop.submit(order())
    shop.delete("o-1")
    for answer in (shop.delete("o-1"), shop.edit("o-1", {"total": 1}), shop.get("/v1/order/o-1"), shop.delete("never")):
        assert answer.status == 404
        assert answer.body["error"]["name"] == "NotFound"
