"""Matching people against an audience (docs/design/audiences-and-matching.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.handlers.audiences import ANN, BILL, BOB, SHIP, V1, V3, count, match, members, order, send, sha, submit
from tests.handlers.events import event
from tests.handlers.shop import (
    ADMIN,
    OTHER_ADMIN,
    Shop,
)


def test_people_match_by_address_email_or_customer_id_and_results_are_in_their_order(shop: Shop) -> None:
    submit(
        shop,
        order("o-1", shipping_address=SHIP, billing_address=BILL),
        order(
            "o-2", customer_email=..., customer_id="c-2", shipping_address={"address_1": "1 A St", "postal_code": "1"}
        ),
        order("o-3", customer_email=BOB, customer_id="c-3"),
    )
    people: list[tuple[dict[str, Any], bool]] = [
        ({"address": SHIP}, True),
        ({"address": {"address_1": "123 SHIP Street Unit B", "postal_code": "01234-9999", "country": "us"}}, True),
        ({"address": SHIP | {"address_2": "Apt. C"}}, False),
        ({"address": SHIP | {"address_2": None}}, False),
        ({"address": BILL}, True),
        ({"email": f" {ANN.upper()} "}, True),
        ({"email": "nobody@example.com"}, False),
        ({"email_sha256": sha(ANN).upper()}, True),
        ({"email_sha256": sha("nobody@example.com")}, False),
        ({"customer_id": "c-2"}, True),
        ({"customer_id": " c-3 "}, True),  # the person is identified by the e-mail, but the customer_id matches too
        ({"customer_id": "c-4"}, False),
        ({"customer_id": ANN}, True),  # a customer_id that has the form of an e-mail address is read as one
        ({"email": "nobody@example.com", "address": SHIP}, True),
        ({"email": ANN, "address": {"address_1": "nowhere"}}, True),
        ({"address": {"address_1": "123 Ship St."}}, False),
        ({"email": "nobody@example.com", "customer_id": "c-3"}, True),
    ]
    assert match(shop, V1, *(p for p, _ in people)) == [expected for _, expected in people]
    assert match(shop, V3, *(p for p, _ in people)) == [False] * len(people)


def test_one_matching_identity_is_enough(shop: Shop) -> None:
    submit(shop, order(customer_email=..., customer_id="c-1", shipping_address=SHIP), order("o-2", customer_email=BOB))
    assert match(shop, V1, {"email": "nobody@example.com", "customer_id": "c-1"}) == [True]
    assert match(shop, V1, {"email": "nobody@example.com", "email_sha256": sha(BOB)}) == [True]
    assert match(shop, V1, {"email_sha256": sha("nobody@example.com"), "customer_id": "c-1"}) == [True]


@pytest.mark.parametrize("name", ["Germany", "DE", "deu"])
@pytest.mark.parametrize("asked", ["Germany", "DE", "DEU", "Austria"])
def test_a_country_matches_by_name_or_code(shop: Shop, name: str, asked: str) -> None:
    there = {"address_1": "Hauptstr. 5", "postal_code": "10115", "city": "Berlin"}
    send(shop, event(shipping_address=there | {"country": name}))
    assert match(shop, V3, {"address": there | {"country": asked}}) == [asked != "Austria"]


def test_customers_of_v3_orders_match(shop: Shop) -> None:
    send(shop, event(email=ANN, shipping_address=SHIP), event(order_id="o-2", person_id="p-1", email=...))
    people: list[dict[str, Any]] = [{"email": ANN}, {"address": SHIP}, {"customer_id": "p-1"}, {"email": BOB}]
    assert match(shop, V3, *people) == [True, True, False, False]  # a person_id is no customer_id
    # The order o-1 moves to Bob and to another address.
    send(shop, event(email=BOB, action="updated", shipping_address=BILL))
    assert match(shop, V3, {"email": ANN}, {"email": BOB}, {"address": SHIP}, {"address": BILL}) == [
        False, True, False, True,
    ]  # fmt: skip


def test_a_thousand_people_are_matched_in_few_reads_and_more_are_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillbook.views.match._THREADS", 1)  # the mocked AWS is not exact with several
    submit(shop, order(shipping_address=SHIP))
    people: list[dict[str, Any]] = [{"email": f"p{n}@example.com"} for n in range(500)]
    people += [{"address": {"address_1": f"{n} Main St", "postal_code": "94107"}} for n in range(498)]
    people += [{"email": ANN}, {"address": SHIP}]
    with shop.faults.recorded() as calls:  # a lookup by e-mail is a batch read, a lookup by address a query of one item
        assert match(shop, V1, *people) == [False] * 998 + [True, True]
    # GetItem and UpdateItem may be calls for the API key.
    assert {operation for operation, _ in calls} <= {"GetItem", "BatchGetItem", "Query", "UpdateItem"}
    assert len([1 for operation, _ in calls if operation == "BatchGetItem"]) <= 10
    assert all(arguments["Limit"] == 1 for operation, arguments in calls if operation == "Query")
    too_many = shop.request("POST", f"/v1/audience/{V1}/match", {"people": [*people, {"email": ANN}]})
    assert too_many.status == 400
    assert too_many.fields == {"people"}


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({}, "people"), ([], "people"), ({"people": []}, "people"), ({"people": {}}, "people"), ("5", "people"),
        ({"people": None}, "people"),
        ({"people": [{"email": ANN}, 1]}, "people[1]"),
        ({"people": [{}]}, "people[0]"),
        ({"people": [{"email": ""}]}, "people[0]"),
        ({"people": [{"name": "Ann"}]}, "people[0]"),
        ({"people": [{"email": "x"}]}, "people[0].email"),
        ({"people": [{"email": 1}]}, "people[0].email"),
        ({"people": [{"address": "123 Main St"}]}, "people[0].address"),
        ({"people": [{"customer_id": {"a": 1}}]}, "people[0].customer_id"),
        ({"people": [{"email_sha256": ["x"]}]}, "people[0].email_sha256"),
    ],
)  # fmt: skip
def test_an_invalid_request_to_match_names_the_wrong_field(shop: Shop, payload: Any, field: str) -> None:
    answer = shop.request("POST", f"/v1/audience/{V1}/match", payload)
    assert answer.status == 400
    assert answer.fields == {field}
    assert answer.body["error"]["name"] == "ValidationError"


@pytest.mark.parametrize(
    "person",
    [
        {"address": {}}, {"address": {"address_1": 5, "postal_code": 94107}}, {"address": {"address_1": ["x"]}},
        {"address": {"address_1": None, "city": {"a": 1}, "country": []}}, {"customer_id": " "}, {"email_sha256": "zz"},
        {"address": {"address_1": "x" * 100_000, "postal_code": "94107"}}, {"customer_id": "\x00"},
        {"address": {"address_1": "\ud800", "postal_code": "94107"}},
        {"customer_id": "\ud800"}, {"email_sha256": "\ud800"},
    ],
)  # fmt: skip
def test_people_with_odd_values_match_nobody_or_are_refused(shop: Shop, person: dict[str, Any]) -> None:
    submit(shop, order(shipping_address=SHIP))
    answer = shop.request("POST", f"/v1/audience/{V1}/match", json.dumps({"people": [person]}))
    assert answer.status in (200, 400), answer.body
    assert answer.status == 400 or answer.body == {"results": [{"customer": False}]}


def test_an_account_matches_only_its_own_customers(shop: Shop) -> None:
    submit(shop, order(shipping_address=SHIP))
    assert shop.submit(order("theirs", customer_email=BOB, billing_address=BILL), key=OTHER_ADMIN).status == 201
    for key, mine, email, address in ((ADMIN, "o-1", ANN, SHIP), (OTHER_ADMIN, "theirs", BOB, BILL)):
        assert [m["order_id"] for m in members(shop, V1, key=key)] == [mine]
        assert count(shop, V1, key=key) == 1
        people: list[dict[str, Any]] = [{"email": ANN}, {"email": BOB}, {"address": SHIP}, {"address": BILL}]
        assert match(shop, V1, *people, key=key) == [e == email for e in (ANN, BOB)] + [
            a == address for a in (SHIP, BILL)
        ]
