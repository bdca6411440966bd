"""Values as shops really send them, by the rules that hold on every route (docs/design/requests.md)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.deadletters import refuse_writes_of
from tests.handlers.events import EMAIL, SHA, event
from tests.handlers.shop import ACCOUNT, ADMIN, Shop
from tillbook.rules.packing import unpack

ADDRESS = {"address_1": "1 Main St", "city": "Boston", "state": "MA", "postal_code": "02139"}
NOTHING: list[Any] = [None, "", "  ", {}, [], {"address_1": "", "city": None, "name": " \t", "postal_code": []}]
NOBODY: list[Any] = [0, "0", -1, "-1", "guest", "Anonymous", "NULL", "undefined", "None", "NaN"]


def order(**more: Any) -> dict[str, Any]:
    return {"order_id": "o-1", "order_date": "2026-01-20", "total": 100, "customer_email": EMAIL} | more


def notes(shop: Shop, request_id: str) -> list[str]:
    shop.drain()
    return list(shop.status(request_id).get("notes", []))


def v1_notes(shop: Shop) -> list[str]:
    shop.drain()
    (row,) = shop.get("/v1/transactions", query={"limit": "1"}).body["transactions"]
    return list(row["notes"])


# ------------------------------------------------------ ids that identify nobody


@pytest.mark.parametrize("nobody", NOBODY)
def test_two_guests_of_one_id_are_two_people(shop: Shop, nobody: Any) -> None:
    for name in ("ann", "bob"):
        request = shop.send(event(order_id=name, person_id=nobody, email=f"{name}@example.com", grand_total=5)).body
        assert notes(shop, request["request_id"]) == [f"person_id {nobody} identifies nobody and was ignored"]
        assert shop.ltv(f"{name}@example.com") == {"USD": "5.00"}
        v1 = order(order_id=name, customer_id=nobody, customer_email=f"{name}@example.com")
        assert shop.submit(v1).body["customer"]["id"] is None
        assert v1_notes(shop) == [f"customer_id {nobody} identifies nobody and was ignored"]
    assert shop.get(f"/v3/{ACCOUNT}/people/{nobody}").status == 404


def test_an_id_of_nobody_without_an_email_is_refused_in_v3_and_counts_for_no_one_in_v1(shop: Shop) -> None:
    sent = {name: value for name, value in event(person_id="guest").items() if name != "email"}
    assert shop.send(sent).errors == {("presence_error", "email")}
    answer = shop.submit(order(customer_email=None, customer_id=0, billing_address=ADDRESS))
    assert (answer.status, answer.body["customer"]) == (201, {"id": None, "email_sha256": None})
    shop.drain()
    assert shop.stored_ltv() == {}


def test_an_edit_to_an_id_of_nobody_keeps_the_customer(shop: Shop) -> None:
    shop.submit(order(customer_email=None, customer_id="c-7", billing_address=ADDRESS))
    answer = shop.edit("o-1", {"customer_id": "guest", "total": 7})
    assert (answer.body["customer"]["id"], answer.body["total"]) == ("c-7", "7.0")
    assert v1_notes(shop) == ["customer_id guest identifies nobody and was ignored"]
    assert shop.edit("o-1", {"customer_id": None}).body["customer"]["id"] is None


def test_an_id_of_nobody_matches_no_customer(shop: Shop) -> None:
    path = "/v1/audience/customers-orders-api/match"
    answer = shop.request("POST", path, {"people": [{"customer_id": "guest", "email": EMAIL}]})
    assert answer.body == {
        "results": [{"customer": False}],
        "notes": ["customer_id guest identifies nobody and was ignored"],
    }
    assert shop.request("POST", path, {"people": [{"customer_id": 0}]}).fields == {"people[0]"}


# ------------------------------------------------------------------ empty addresses


@pytest.mark.parametrize("nothing", NOTHING)
def test_an_empty_address_counts_as_absent(shop: Shop, nothing: Any) -> None:
    answer = shop.submit(order(shipping_address=nothing, billing_address=ADDRESS))
    assert (answer.status, answer.body["shipping_address"]) == (201, None)
    both = order(order_id="o-2", customer_email=None, shipping_address=nothing, billing_address=nothing)
    assert shop.submit(both).fields == {"shipping_address"}
    request = shop.send(event(shipping_address=nothing, billing_address=ADDRESS))
    assert request.status == 202
    shop.drain()
    kept = shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body
    assert "shipping_address" not in kept
    assert kept["billing_address"] == ADDRESS
    path = "/v1/audience/customers-orders-api/match"
    assert shop.request("POST", path, {"people": [{"address": nothing}]}).fields == {"people[0]"}


@pytest.mark.parametrize("nothing", NOTHING[1:])
def test_an_edit_to_an_empty_address_keeps_the_address(shop: Shop, nothing: Any) -> None:
    shop.submit(order(shipping_address=ADDRESS))
    assert shop.edit("o-1", {"shipping_address": nothing}).body["shipping_address"]["address_1"] == "1 Main St"
    assert shop.edit("o-1", {"shipping_address": None}).body["shipping_address"] is None


# ------------------------------------------------------------------ e-mail addresses


PASTED = [
    f"\u200b{EMAIL}", f"{EMAIL}\ufeff", EMAIL.replace("@", "\u200d@"), f" {EMAIL} ", f"{EMAIL}\0", f"<{EMAIL}>",
    f'"{EMAIL}"', f"'{EMAIL}", f"“{EMAIL}”", f"mailto:{EMAIL}", f"MAILTO:{EMAIL}?subject=Hi", f"{EMAIL},", f"{EMAIL} ;",
    f"Ann Miller <{EMAIL}>", f'"Miller, Ann" <mailto:{EMAIL}>;', f"{EMAIL}.", f"({EMAIL.upper()})", f"\\'{EMAIL}\\'",
]  # fmt: skip


@pytest.mark.parametrize("pasted", PASTED)
def test_an_email_pasted_with_other_characters_is_the_same_person(shop: Shop, pasted: str) -> None:
    shop.send(event(email=pasted, grand_total=5))
    shop.submit(order(customer_email=pasted))
    shop.submit(order(order_id="o-2", customer_email=None, customer_id=pasted, billing_address=ADDRESS))
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "205.00"}
    path = "/v1/audience/customers-orders-api/match"
    people = [{"email": pasted}, {"customer_id": pasted}]
    assert shop.request("POST", path, {"people": people}).body == {"results": [{"customer": True}] * 2}
    assert shop.submit(order(order_id="o-3", metadata={"contact": pasted})).body["metadata"] == {"contact": SHA}


def test_no_text_that_is_an_email_is_kept_in_v1(shop: Shop) -> None:
    item = {"identifier": EMAIL, "description": EMAIL, "total": 1, "category": [EMAIL], "metadata": {"to": EMAIL}}
    sent = order(
        customer_email=None, metadata={"contact": f" {EMAIL.upper()}", "note": f"call {EMAIL}"}, order_items=[item],
        billing_address=ADDRESS | {"name": EMAIL, "company": EMAIL}, **{EMAIL: 1},
    )  # fmt: skip
    sent["order_id"] = EMAIL  # an order_id is stored as sent
    answer = shop.submit(sent).body
    assert answer["metadata"] == {"contact": SHA, "note": f"call {EMAIL}"}
    assert (answer["order_id"], answer["billing_address"]["company"]) == (EMAIL, SHA)
    (shown,) = answer["order_items"]
    assert (shown["identifier"], shown["description"], shown["category"]) == (SHA, SHA, [SHA])
    assert shown["metadata"] == {"to": SHA}
    assert v1_notes(shop) == [f"{SHA} is not a known field"]
    bodies = [unpack(item["body"]) for item in shop.items("LedgerTable") if "body" in item]
    assert bodies
    for body in bodies:
        assert EMAIL not in _texts(body | {"order_id": ""})


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for entry in (*value, *value.values()) for text in _texts(entry)]
    if isinstance(value, list):
        return [text for entry in value for text in _texts(entry)]
    return [str(value).strip().lower()]


def test_a_reason_that_is_an_email_is_not_kept(shop: Shop) -> None:
    request_id = shop.send(event()).body["request_id"]
    with shop.faults.injected(refuse_writes_of("o-1")):
        shop.drain()
    shop.request("DELETE", f"/v1/deadletters/{request_id}", {"reason": EMAIL}, key=ADMIN)
    assert shop.status(request_id)["reason"].endswith(f"discarded: {SHA}")


# --------------------------------------------------------------------------- amounts


def test_amounts_of_tax_arithmetic_are_rounded_half_to_even_and_noted(shop: Shop) -> None:
    item = {"product_id": "a", "name": "a", "price": "1.00005", "quantity": -2, "taxes": 0.33333333, "total": -2}
    request = shop.send(event(grand_total="4766.11570248", currency="CZK", items=[item])).body
    assert notes(shop, request["request_id"]) == [
        "grand_total was rounded to 4766.1157", "price was rounded to 1", "taxes was rounded to 0.3333",
    ]  # fmt: skip
    assert shop.ltv(EMAIL) == {"CZK": "4766.1157"}
    answer = shop.submit(order(total=1.00015, currency="EUR"))  # half-way between 1.0001 and 1.0002, which is even
    assert answer.body["total"] == "1.0002"
    assert v1_notes(shop) == ["total was rounded to 1.0002"]


@pytest.mark.parametrize("field", ["grand_total", "refund_amount"])
def test_totals_and_refunds_are_not_negative(shop: Shop, field: str) -> None:
    assert shop.send(event(**{field: -0.01})).errors == {("range_error", field)}
    assert shop.submit(order(total=-1)).fields == {"total"}


# ----------------------------------------------------------------------------- notes


@pytest.mark.parametrize(
    ("sent", "note"),
    [
        ({"action": "refunded"}, "refunded without refund_amount: LTV is unchanged"),
        ({"action": "canceled"}, "canceled without refund_amount: LTV is unchanged"),
        ({"action": "updated", "refund_amount": 5}, "refund_amount on updated was ignored"),
    ],
)
def test_values_that_may_make_the_amount_wrong_are_noted(shop: Shop, sent: dict[str, Any], note: str) -> None:
    placed = shop.send(event(grand_total=50, occurred_at="2026-01-17")).body["request_id"]
    request = shop.send(event(grand_total=50, **sent)).body["request_id"]
    assert notes(shop, request) == [note]
    assert notes(shop, placed) == []


@pytest.mark.parametrize(
    ("metadata", "noted"),
    [
        ({"new_buyer": True, "promo_code": 5}, []),
        ({"new_buyer": "FALSE", "promo_code": "x"}, []),
        ({"new_buyer": 1}, []),
        ({"new_buyer": "0"}, []),
        ({"new_buyer": "yes"}, ["metadata.new_buyer is neither true nor false: reports do not count it"]),
        ({"promo_code": True}, ["metadata.promo_code is not a code: reports do not count it"]),
        ({"promo_code": "false"}, ["metadata.promo_code is not a code: reports do not count it"]),
    ],
)
def test_values_that_reports_cannot_count_are_kept_and_noted(
    shop: Shop, metadata: dict[str, Any], noted: list[str]
) -> None:
    answer = shop.submit(order(metadata=metadata))
    assert answer.body["metadata"].keys() == metadata.keys()
    assert v1_notes(shop) == noted


def test_only_an_edit_that_changes_a_value_of_the_metadata_notes_it_again(shop: Shop) -> None:
    shop.submit(order(metadata={"new_buyer": "yes"}))
    assert len(v1_notes(shop)) == 1
    shop.edit("o-1", {"total": 7})
    assert v1_notes(shop) == []
    shop.edit("o-1", {"total": 8, "metadata": {"new_buyer": "yes"}})
    assert v1_notes(shop) == []
    shop.edit("o-1", {"metadata": {"new_buyer": "no"}})
    assert v1_notes(shop) == ["metadata.new_buyer is neither true nor false: reports do not count it"]


def test_reports_read_a_new_buyer_of_1_or_0_and_ignore_a_promo_code_of_true(shop: Shop) -> None:
    shop.submit(order(metadata={"new_buyer": 1, "promo_code": True}))
    shop.submit(order(order_id="o-2", metadata={"new_buyer": "0"}))
    shop.keep_book()
    found = shop.get("/v1/orders").body["orders"]
    assert {(o["order_id"], o["new_buyer"], o["promo_code"]) for o in found} == {
        ("o-1", True, None),
        ("o-2", False, None),
    }


# ------------------------------------------- false, which PHP returns for a missing value


def test_false_counts_as_absent_in_fields_that_carry_no_money(shop: Shop) -> None:
    """WP Fusion sends such an order if it does not know the platform and the product has no picture."""
    item = {"product_id": "7", "name": "Shirt", "price": 20, "image_url": False, "categories": False, "gift": False}
    sent = event(provider=False, person_id=False, order_public_id=False, grand_total=20, items=[item])
    request = shop.send(sent | {"shipping_address": False, "subscribed": False})
    assert request.status == 202
    assert notes(shop, request.body["request_id"]) == [
        "provider false was taken as unknown", "person_id false was ignored", "order_public_id false was ignored",
        "categories false was ignored", "image_url false was ignored",
    ]  # fmt: skip
    assert shop.ltv(EMAIL) == {"USD": "20.00"}
    kept = shop.get(f"/v3/{ACCOUNT}/orders/unknown/o-1").body
    assert kept["items"] == [
        {"product_id": "7", "name": "Shirt", "price": "20.00", "quantity": 1, "properties": {"gift": False}}
    ]
    assert kept["properties"] == {"subscribed": False}


@pytest.mark.parametrize("field", ["grand_total", "refund_amount", "occurred_at", "action", "currency", "order_id"])
def test_false_is_refused_in_essential_fields(shop: Shop, field: str) -> None:
    assert {attribute for _, attribute in shop.send(event(**{field: False})).errors} == {field}


# ------------------------------------------------------- notes, wherever a request or an order is shown


def notes_by_request(shop: Shop, order_id: str = "o-1") -> list[tuple[str, list[str]]]:
    """(action, notes) of the requests about an order, newest first."""
    rows = shop.get("/v1/transactions", query={"order_id": order_id}).body["transactions"]
    return [(row["action"], row["notes"]) for row in rows]


def test_notes_show_with_the_requests_and_the_order_in_v3(shop: Shop) -> None:
    shop.send(event(grand_total="50.00001", occurred_at="2026-01-17"))
    request = shop.send(event(action="refunded", grand_total=20, occurred_at="2026-01-18")).body["request_id"]
    found = ["refunded without refund_amount: LTV is unchanged", "grand_total on refunded was ignored"]
    assert notes(shop, request) == found
    assert notes_by_request(shop) == [("refunded", found), ("placed", ["grand_total was rounded to 50"])]
    path = f"/v3/{ACCOUNT}/orders/shopify/o-1"
    assert shop.get(path).body["notes"] == ["grand_total was rounded to 50", *found]
    history = shop.get(f"{path}/history").body["history"]
    assert [entry["notes"] for entry in history] == [["grand_total was rounded to 50"], found]
    (listed,) = shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}/orders").body["orders"]
    assert listed["notes"] == ["grand_total was rounded to 50", *found]


def test_notes_show_with_the_requests_and_the_order_in_v1(shop: Shop) -> None:
    shop.submit(order(total="1.00001", customer_id="guest"))
    shop.edit("o-1", {"colour": "red", "total": "2.00001"})
    shop.drain()
    submitted = ["total was rounded to 1", "customer_id guest identifies nobody and was ignored"]
    edited = ["total was rounded to 2", "colour is not a known field"]
    assert notes_by_request(shop) == [("edited", edited), ("submitted", submitted)]
    requests = shop.get("/v1/transactions").body["transactions"]
    assert len(requests) == 2
    for request in requests:
        assert shop.status(request["request_id"])["notes"] == request["notes"] != []
    assert shop.get("/v1/order/o-1", key=ADMIN).body["notes"] == submitted + edited
    assert [entry["notes"] for entry in shop.get("/v1/order/o-1/history").body["history"]] == [submitted, edited]
    shop.request("DELETE", "/v1/order/o-1")
    shop.submit(order(total=3))
    assert "notes" not in shop.get("/v1/order/o-1", key=ADMIN).body, "notes of the deleted order with the same id"


@pytest.mark.parametrize("later", ["placed", "paid"])
def test_a_refund_s_total_is_ignored_by_an_order_whose_total_became_known_later(shop: Shop, later: str) -> None:
    """The total of a refund or cancellation is used only as long as no other event of the order has one."""
    shop.send(event(action="canceled", grand_total=20, refund_amount=20, occurred_at="2026-01-18"))
    shop.drain()
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["notes"] == []
    shop.send(event(action=later, grand_total=50, occurred_at="2026-01-17"))
    shop.drain()
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["notes"] == ["grand_total on canceled was ignored"]


def test_a_refund_that_repeats_the_total_as_published_is_not_noted(shop: Shop) -> None:
    shop.send(event(grand_total=50, occurred_at="2026-01-17"))
    request = shop.send(event(action="refunded", grand_total="50.0", refund_amount=20)).body["request_id"]
    assert notes(shop, request) == []


def test_an_erasure_removes_the_notes(shop: Shop) -> None:
    shop.send(event(person_id="guest", occurred_at="2026-01-17"))
    shop.drain()
    assert any("notes" in item for item in shop.items("LedgerTable"))
    shop.request("DELETE", f"/v3/{ACCOUNT}/people/{EMAIL}", key=ADMIN)
    shop.settle()
    assert not any("notes" in item for item in shop.items("LedgerTable"))


def test_a_usual_order_carries_no_notes(shop: Shop) -> None:
    shop.send(event(grand_total=5))
    shop.submit(order())
    shop.drain()
    assert not any("notes" in item for item in shop.items("LedgerTable"))


def test_an_edit_that_changes_nothing_is_a_duplicate(shop: Shop) -> None:
    shop.submit(order())
    shop.edit("o-1", {"total": "100.00"})
    shop.drain()
    (row, _) = shop.get("/v1/transactions").body["transactions"]
    assert (row["action"], row["status"]) == ("edited", "duplicate")
    assert shop.status(row["request_id"])["status"] == "duplicate"


# ------------------------------------------------------- spellings of an address

PUERTO_RICO = {"address_1": "12 Calle Luna", "city": "San Juan", "postal_code": "00901"}


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        (PUERTO_RICO | {"country": "PR"}, PUERTO_RICO | {"state": "PR", "country": "US"}),
        (PUERTO_RICO | {"state": "PR", "country": "USA"}, PUERTO_RICO | {"country": "Puerto Rico"}),
        (PUERTO_RICO | {"state": "PR"}, PUERTO_RICO | {"country": "PRI", "postal_code": 901}),
        (ADDRESS, ADDRESS | {"postal_code": 2139}),
        (ADDRESS, ADDRESS | {"postal_code": "2139-1234"}),
        (ADDRESS | {"postal_code": 2139.0}, ADDRESS),
        (ADDRESS | {"postal_code": "'02139"}, ADDRESS | {"postal_code": '="02139"'}),
    ],
)
def test_a_customer_is_found_by_each_spelling_of_the_address(shop: Shop, stored: dict[str, Any], asked: Any) -> None:
    assert shop.submit(order(customer_email=None, shipping_address=stored)).status == 201
    assert shop.send(event(shipping_address=stored)).status == 202
    shop.drain()
    for audience in ("customers-orders-api", "customers-shopper-activity"):
        people = [{"address": asked}, {"address": asked | {"address_2": "Apt 2"}}]
        answer = shop.request("POST", f"/v1/audience/{audience}/match", {"people": people})
        assert answer.body == {"results": [{"customer": True}, {"customer": False}]}
