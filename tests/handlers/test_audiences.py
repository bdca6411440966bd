"""Audiences: who is in them, in step with every order; matching; and rebuilding (SPEC "Audiences")."""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import json
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.handlers import template
from tests.handlers.shop import ACCOUNT, ADMIN, INGEST, OTHER_ADMIN, Answer, Context, Death, Shop, die_at
from tests.handlers.test_shopper_activity import day, event
from tillbook.aws.items import raw
from tillbook.aws.settings import settings
from tillbook.ledger.items import SOURCES, Scope, bucket_of, head_of, order_key_of
from tillbook.ledger.ledger import Ledger
from tillbook.records.jobs import Jobs, Step
from tillbook.records.messages import Message, Queue, decode
from tillbook.rules import times
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import Source, order_key
from tillbook.rules.times import uuid7
from tillbook.work import rebuild

V1, V3 = "customers-orders-api", "customers-shopper-activity"
ANN, BOB = "ann@example.com", "bob@example.com"
SHIP = {"address_1": "123 Ship St.", "address_2": "Apt. B", "city": "Shipville", "state": "CA", "postal_code": "01234"}
BILL = {"address_1": "9 Bill Ave", "city": "Billtown", "postal_code": "01235-1234"}
FIELDS = (
    "order_id", "kind", "name", "company", "address_1", "address_2", "city", "state", "postal_code", "country",
    "email_sha256", "person_id", "customer_id", "added_at",
)  # fmt: skip


def sha(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()


def order(order_id: str = "o-1", **changes: Any) -> dict[str, Any]:
    body = {"order_id": order_id, "order_date": "2019-09-05", "customer_email": ANN, "total": 100} | changes
    return {name: value for name, value in body.items() if value is not ...}


def submit(shop: Shop, *orders: dict[str, Any]) -> None:
    for body in orders:
        answer = shop.submit(body)
        assert answer.status == 201, answer.body


def send(shop: Shop, *events: dict[str, Any]) -> None:
    """Each applied before the next is sent."""
    for body in events:
        assert shop.send(body).status == 202
        shop.drain()


def members(shop: Shop, audience: str, limit: int = 200, key: str = ADMIN) -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    query = {"limit": str(limit)}
    while True:
        answer = shop.get(f"/v1/audience/{audience}", query=query, key=key)
        assert answer.status == 200, answer.body
        assert len(answer.body["members"]) <= limit + 1
        found += answer.body["members"]
        if answer.body["next_cursor"] is None:
            return found
        assert answer.body["members"]
        query["cursor"] = answer.body["next_cursor"]


def kinds(shop: Shop, audience: str) -> list[tuple[str, str]]:
    found = members(shop, audience)
    assert count(shop, audience) == len(found)
    return sorted((m["order_id"], m["kind"]) for m in found)


def count(shop: Shop, audience: str, key: str = ADMIN) -> int:
    (found,) = [a for a in shop.get("/v1/audiences", key=key).body if a["id"] == audience]
    return int(found["member_count"])


def match(shop: Shop, audience: str, *people: dict[str, Any], key: str = ADMIN) -> list[bool]:
    answer = shop.request("POST", f"/v1/audience/{audience}/match", {"people": list(people)}, key=key)
    assert answer.status == 200, answer.body
    return [result["customer"] for result in answer.body["results"]]


# ----------------------------------------------------------------- audiences


def test_two_audiences_that_cannot_be_mailed(shop: Shop) -> None:
    answer = shop.get("/v1/audiences")
    assert answer.status == 200
    assert [(a["id"], a["name"], a["member_count"], a["mailable"]) for a in answer.body] == [
        (V1, "Customers (Orders API)", 0, False), (V3, "Customers (Shopper Activity)", 0, False),
    ]  # fmt: skip
    assert all(a.keys() == {"id", "name", "description", "member_count", "mailable"} for a in answer.body)
    assert members(shop, V1) == members(shop, V3) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shipping_address": SHIP, "billing_address": BILL}, ["billing", "shipping"]),
        ({"shipping_address": SHIP, "billing_address": SHIP}, ["billing", "shipping"]),
        ({"shipping_address": SHIP}, ["shipping"]),
        ({"billing_address": BILL}, ["billing"]),
        ({}, ["person"]),
        ({"shipping_address": None, "billing_address": None}, ["person"]),
        ({"shipping_address": SHIP, "customer_email": ...}, ["shipping"]),
        ({"customer_id": "c-1"}, ["person"]),
    ],
)
def test_records_of_an_order(shop: Shop, changes: dict[str, Any], expected: list[str]) -> None:
    submit(shop, order(**changes))
    assert kinds(shop, V1) == [("o-1", kind) for kind in expected]
    assert kinds(shop, V3) == []
    if "customer_email" not in changes:
        send(shop, event(**changes))
        assert kinds(shop, V3) == [("o-1", kind) for kind in expected]


def test_shape_of_a_member(shop: Shop) -> None:
    before = times.to_datetime(times.now())
    submit(shop, order(customer_id="c-1", shipping_address=SHIP | {"name": "Ann Lee", "company": "Acme"}))
    send(
        shop,
        event(email=ANN, billing_address=SHIP | {"first_name": "Ann", "last_name": "Lee", "country": "United States"}),
        event(order_id="o-2", person_id="p-1", email=...),
    )
    (v1,) = members(shop, V1)
    assert v1.keys() == set(FIELDS)
    added = datetime.fromisoformat(v1.pop("added_at"))
    assert before <= added <= times.to_datetime(times.now())
    assert v1 == SHIP | {
        "order_id": "o-1", "kind": "shipping", "name": "Ann Lee", "company": "Acme", "country": "USA",
        "email_sha256": sha(ANN), "person_id": None, "customer_id": "c-1",
    }  # fmt: skip
    first, second = sorted(members(shop, V3), key=lambda m: m["order_id"])
    assert first.pop("added_at") <= second.pop("added_at")
    assert first == SHIP | {
        "order_id": "o-1", "kind": "billing", "name": "Ann Lee", "company": None, "country": "United States",
        "email_sha256": sha(ANN), "person_id": None, "customer_id": None,
    }  # fmt: skip
    assert second == dict.fromkeys(FIELDS[:-1]) | {"order_id": "o-2", "kind": "person", "person_id": "p-1"}


def test_v1_edits_and_deletes(shop: Shop) -> None:
    submit(shop, order(shipping_address=SHIP, billing_address=SHIP), order("o-2", shipping_address=SHIP))
    added = {m["added_at"] for m in members(shop, V1)}
    shop.edit("o-1", {"billing_address": None, "shipping_address": BILL})
    assert kinds(shop, V1) == [("o-1", "shipping"), ("o-2", "shipping")]
    assert match(shop, V1, {"address": SHIP}, {"address": BILL}) == [True, True]
    assert {m["added_at"] for m in members(shop, V1)} == added
    shop.edit("o-1", {"shipping_address": None})
    assert kinds(shop, V1) == [("o-1", "person"), ("o-2", "shipping")]
    assert match(shop, V1, {"address": BILL}) == [False]
    shop.delete("o-2")
    assert kinds(shop, V1) == [("o-1", "person")]
    assert match(shop, V1, {"address": SHIP}) == [False]
    assert shop.delete("o-2").status == 404
    assert kinds(shop, V1) == [("o-1", "person")]
    submit(shop, order("o-2", billing_address=BILL))
    assert kinds(shop, V1) == [("o-1", "person"), ("o-2", "billing")]
    submit(shop, order("o-2", billing_address=BILL))  # the same again
    assert kinds(shop, V1) == [("o-1", "person"), ("o-2", "billing")]


def test_a_member_is_as_old_as_its_submission(shop: Shop) -> None:
    submit(shop, order())
    (first,) = members(shop, V1)
    shop.delete("o-1")
    submit(shop, order(total=5))
    (second,) = members(shop, V1)
    assert second["added_at"] > first["added_at"]
    shop.edit("o-1", {"total": 6})
    assert members(shop, V1) == [second]


def test_v3_states_without_addresses_keep_them(shop: Shop) -> None:
    send(shop, event(shipping_address=SHIP, billing_address=BILL, occurred_at=day(1)))
    found = members(shop, V3)
    for n, action in enumerate(("updated", "paid", "fulfilled", "refunded", "canceled"), start=2):
        send(shop, event(action=action, grand_total=..., occurred_at=day(n)))
        assert members(shop, V3) == found
        assert count(shop, V3) == 2
    assert match(shop, V3, {"address": SHIP}, {"address": BILL}, {"email": "user@gmail.com"}) == [True] * 3


@pytest.mark.parametrize("late", [False, True])
def test_v3_addresses_are_those_of_the_latest_event_that_carries_them(shop: Shop, late: bool) -> None:
    events = [
        event(occurred_at=day(1), shipping_address=SHIP),
        event(occurred_at=day(2), action="updated", shipping_address=BILL, billing_address=SHIP),
        event(occurred_at=day(3), action="paid", email=BOB),
    ]
    send(shop, *(reversed(events) if late else events))
    found = sorted(members(shop, V3), key=lambda m: m["kind"])
    assert [(m["kind"], m["address_1"]) for m in found] == [("billing", "123 Ship St."), ("shipping", "9 Bill Ave")]
    assert {m["email_sha256"] for m in found} == {sha(BOB)}
    assert count(shop, V3) == 2


def test_v3_repeats_and_copies_under_a_key(shop: Shop) -> None:
    body = event(occurred_at=day(1), shipping_address=SHIP)
    send(shop, body, body)
    shop.send(body | {"order_id": "o-2"}, headers={"Idempotency-Key": "k"})
    shop.send(body | {"order_id": "o-2"}, headers={"Idempotency-Key": "k"})
    shop.drain()
    assert kinds(shop, V3) == [("o-1", "shipping"), ("o-2", "shipping")]


@pytest.mark.parametrize("first", ["refunded", "canceled"])
def test_whoever_canceled_is_a_customer_too(shop: Shop, first: str) -> None:
    send(shop, event(action=first, shipping_address=SHIP))
    assert kinds(shop, V3) == [("o-1", "shipping")]
    assert match(shop, V3, {"address": SHIP}, {"email": "user@gmail.com"}) == [True, True]


@pytest.mark.parametrize("empty", [{}, {"label": ""}, {"address_1": "", "city": ""}, {"label": "Home"}])
def test_an_address_that_says_nothing_is_counted_as_it_is_listed(shop: Shop, empty: dict[str, Any]) -> None:
    send(
        shop,
        event(occurred_at=day(1), shipping_address=SHIP, billing_address=BILL),
        event(occurred_at=day(2), action="updated", shipping_address=empty),
        event(order_id="o-2", shipping_address=empty, billing_address=BILL),
        event(order_id="o-3", shipping_address=empty),
    )
    assert count(shop, V3) == len(members(shop, V3))


def test_custom_attributes_are_nobodys_identity(shop: Shop) -> None:
    """An event's own `customer_id` or `email_sha256` is the shop's affair: the person is who the event names."""
    send(shop, event(email=ANN, customer_id={"a": 1}, email_sha256="x", person="y"))
    (member,) = members(shop, V3)
    assert (member["email_sha256"], member["customer_id"], member["person_id"]) == (sha(ANN), None, None)


@pytest.mark.parametrize("value", ["1 High St", ["a"], 5, True, {"line": "", "verified": False}])
def test_a_custom_attribute_called_like_an_address_is_none(shop: Shop, value: Any) -> None:
    send(shop, *(event(order_id=f"o-{n}", mailing_address=value) for n in range(3)))
    shown = shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1")
    assert (shown.status, shown.body.get("properties")) == (200, {"mailing_address": value})
    assert kinds(shop, V3) == [("o-0", "person"), ("o-1", "person"), ("o-2", "person")]


@pytest.mark.parametrize("name", [5, True, ["a"], {"a": 1}, "", None])
@pytest.mark.parametrize(("more", "expected"), [({}, None), ({"first_name": "Ann", "last_name": "Lee"}, "Ann Lee")])
def test_a_name_is_a_text(shop: Shop, name: Any, more: dict[str, str], expected: str | None) -> None:
    """`name` of a v3 address is a custom attribute of any type."""
    send(shop, event(shipping_address=SHIP | more | {"name": name}))
    (member,) = members(shop, V3)
    assert member["name"] == expected


# ----------------------------------------------------------------------- pages


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_pages(shop: Shop, limit: int) -> None:
    submit(shop, *(order(f"o-{n}", **({"shipping_address": SHIP} if n % 3 else {})) for n in range(12)))
    submit(shop, *(order(f"two-{n}", shipping_address=SHIP, billing_address=BILL) for n in range(6)))
    for n in range(0, 12, 4):
        shop.delete(f"o-{n}")
    expected = [(f"o-{n}", "shipping" if n % 3 else "person") for n in range(12) if n % 4]
    expected += [(f"two-{n}", kind) for n in range(6) for kind in ("shipping", "billing")]
    found = [(m["order_id"], m["kind"]) for m in members(shop, V1, limit)]
    assert sorted(found) == sorted(expected)
    assert count(shop, V1) == len(expected)


def test_pages_while_orders_come_and_go(shop: Shop) -> None:
    """What was there all the time is listed once, whatever happens between the pages."""
    submit(shop, *(order(f"o-{n}") for n in range(20)))
    seen: list[str] = []
    query = {"limit": "3"}
    for page in range(20):
        answer = shop.get(f"/v1/audience/{V1}", query=query).body
        seen += [m["order_id"] for m in answer["members"]]
        if answer["next_cursor"] is None:
            break
        query["cursor"] = answer["next_cursor"]
        shop.delete(f"o-{19 - page}")
        submit(shop, order(f"new-{page}"))
    assert len(seen) == len(set(seen))
    assert {f"o-{n}" for n in range(20 - page)} <= set(seen)


def test_csv_pages_join_to_the_json_ones(shop: Shop) -> None:
    submit(
        shop,
        *(order(f"o-{n}", shipping_address=SHIP | {"name": 'Ann "A", Lee'}) for n in range(5)),
        order("=1+1", customer_id="+4", customer_email=..., shipping_address=SHIP | {"name": "-x", "city": "@city"}),
        order("＝1", customer_id="＋4", customer_email=..., shipping_address=SHIP | {"name": "－x", "city": "＠city"}),
    )
    rows: list[dict[str, str]] = []
    query = {"limit": "2", "format": "csv"}
    while True:
        page = shop_text(shop, query)
        assert page.headers["content-type"] == "text/csv; charset=utf-8"
        read = csv.DictReader(io.StringIO(page.text, newline=""))
        assert tuple(read.fieldnames or ()) == FIELDS
        rows += list(read)
        if "x-next-cursor" not in page.headers:
            break
        query["cursor"] = page.headers["x-next-cursor"]
    listed = members(shop, V1)
    assert len(rows) == len(listed) == 7
    for row, member in zip(rows, listed, strict=True):
        for name in FIELDS:
            plain = "" if member[name] is None else str(member[name])
            assert row[name] == (f"'{plain}" if plain.startswith(tuple("=+-@＝＋－＠")) else plain)
    assert {row["city"] for row in rows} >= {"'@city", "'＠city"}
    accepted = shop_text(shop, {}, headers={"accept": "text/csv"})
    assert accepted.text.count("\r\n") == 8


def shop_text(shop: Shop, query: dict[str, str], **options: Any) -> Answer:
    """A request whose answer is no JSON."""
    event_ = shop.event("GET", f"/v1/audience/{V1}", query=query, **options)
    answer = importlib.import_module(template.module("Read")).handler(event_, Context())
    assert answer["statusCode"] == 200, answer["body"]
    return Answer(200, None, answer["headers"], answer["body"])


def test_a_page_of_big_records_fits_an_answer(shop: Shop) -> None:
    """Also where the numbers of records are odd: one order without an address, then such with two."""
    names = sorted((f"o-{n}" for n in range(3000)), key=lambda n: (bucket_of(key_of(n)), key_of(n)))[:75]
    long = dict.fromkeys(("name", "company", "address_1", "address_2", "city", "state"), '\\"' * 500)
    address = long | {"postal_code": "01234"}
    submit(shop, order(names[0]))
    submit(shop, *(order(n, shipping_address=address, billing_address=address) for n in names[1:]))
    found = members(shop, V1)  # the harness refuses an answer that is too big for Lambda
    assert len(found) == count(shop, V1) == 149


@pytest.mark.parametrize("filling", ["🏠", "ü"])
def test_a_page_of_wide_letters_fits_an_answer(shop: Shop, filling: str) -> None:
    """Which is measured in bytes."""
    address = SHIP | {"name": filling * (110_000 // len(filling.encode()))}
    for n in range(32):
        assert shop.send(event(order_id=f"o-{n}", shipping_address=address, billing_address=address)).status == 202
    shop.drain()
    assert len(members(shop, V3)) == count(shop, V3) == 64


def key_of(order_id: str) -> str:
    return order_key("orders_api", "", order_id)


@pytest.mark.parametrize("cursor", ["x", "!", "é", "AAAA", "0" * 40, "", "MA", "a b"])
def test_malformed_cursors(shop: Shop, cursor: str) -> None:
    answer = shop.get(f"/v1/audience/{V1}", query={"cursor": cursor})
    assert answer.status == 400
    assert answer.fields == {"cursor"}


@pytest.mark.parametrize("limit", ["0", "201", "x", "-1", "1.5"])
def test_malformed_limits(shop: Shop, limit: str) -> None:
    assert shop.get(f"/v1/audience/{V1}", query={"limit": limit}).status == 400


def test_a_cursor_leads_nowhere_else(shop: Shop) -> None:
    submit(shop, *(order(f"o-{n}") for n in range(4)))
    cursor = shop.get(f"/v1/audience/{V1}", query={"limit": "1"}).body["next_cursor"]
    assert shop.get(f"/v1/audience/{V1}", query={"cursor": cursor}, key=OTHER_ADMIN).body["members"] == []


def test_unknown_audiences_and_other_roles(shop: Shop) -> None:
    for method, path in (
        ("GET", "/v1/audience/nobody"), ("POST", "/v1/audience/nobody/match"), ("POST", "/v1/audience/nobody/rebuild"),
    ):  # fmt: skip
        assert shop.request(method, path, {"people": [{"email": ANN}]}).status == 404
    for method, path in (
        ("GET", "/v1/audiences"), ("GET", f"/v1/audience/{V1}"), ("POST", f"/v1/audience/{V1}/match"),
        ("POST", f"/v1/audience/{V1}/rebuild"), ("GET", "/v1/jobs/x"),
    ):  # fmt: skip
        answer = shop.request(method, path, {"people": [{"email": ANN}]}, key=INGEST)
        assert (answer.status, answer.body) == (403, {"error": "Unauthorized"})


# ----------------------------------------------------------------------- match


def test_match_in_the_order_of_the_request(shop: Shop) -> None:
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
        ({"customer_id": " c-3 "}, True),  # though the order's person is the e-mail
        ({"customer_id": "c-4"}, False),
        ({"customer_id": ANN}, True),  # shaped like an e-mail, it is one
        ({"email": "nobody@example.com", "address": SHIP}, True),
        ({"email": ANN, "address": {"address_1": "nowhere"}}, True),
        ({"address": {"address_1": "123 Ship St."}}, False),
        ({"email": "nobody@example.com", "customer_id": "c-3"}, True),
    ]
    assert match(shop, V1, *(p for p, _ in people)) == [expected for _, expected in people]
    assert match(shop, V3, *(p for p, _ in people)) == [False] * len(people)


def test_any_identity_matches(shop: Shop) -> None:
    submit(shop, order(customer_email=..., customer_id="c-1", shipping_address=SHIP), order("o-2", customer_email=BOB))
    assert match(shop, V1, {"email": "nobody@example.com", "customer_id": "c-1"}) == [True]
    assert match(shop, V1, {"email": "nobody@example.com", "email_sha256": sha(BOB)}) == [True]
    assert match(shop, V1, {"email_sha256": sha("nobody@example.com"), "customer_id": "c-1"}) == [True]


@pytest.mark.parametrize("name", ["Germany", "DE", "deu"])
@pytest.mark.parametrize("asked", ["Germany", "DE", "DEU", "Austria"])
def test_a_country_by_name_or_code(shop: Shop, name: str, asked: str) -> None:
    there = {"address_1": "Hauptstr. 5", "postal_code": "10115", "city": "Berlin"}
    send(shop, event(shipping_address=there | {"country": name}))
    assert match(shop, V3, {"address": there | {"country": asked}}) == [asked != "Austria"]


def test_match_of_v3_customers(shop: Shop) -> None:
    send(shop, event(email=ANN, shipping_address=SHIP), event(order_id="o-2", person_id="p-1", email=...))
    people: list[dict[str, Any]] = [{"email": ANN}, {"address": SHIP}, {"customer_id": "p-1"}, {"email": BOB}]
    assert match(shop, V3, *people)[:2] == [True, True]
    assert match(shop, V3, *people)[3] is False
    send(shop, event(email=BOB, action="updated", shipping_address=BILL))
    assert match(shop, V3, {"email": ANN}, {"email": BOB}, {"address": SHIP}, {"address": BILL}) == [
        False, True, False, True,
    ]  # fmt: skip


def test_a_thousand_people_and_not_one_more(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillbook.views.match._THREADS", 1)  # the mocked AWS is not exact under several
    submit(shop, order(shipping_address=SHIP))
    people: list[dict[str, Any]] = [{"email": f"p{n}@example.com"} for n in range(500)]
    people += [{"address": {"address_1": f"{n} Main St", "postal_code": "94107"}} for n in range(498)]
    people += [{"email": ANN}, {"address": SHIP}]
    with shop.faults.recorded() as calls:
        assert match(shop, V1, *people) == [False] * 998 + [True, True]
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
def test_errors_of_match(shop: Shop, payload: Any, field: str) -> None:
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
def test_odd_people_match_nobody(shop: Shop, person: dict[str, Any]) -> None:
    submit(shop, order(shipping_address=SHIP))
    answer = shop.request("POST", f"/v1/audience/{V1}/match", json.dumps({"people": [person]}))
    assert answer.status in (200, 400), answer.body
    assert answer.status == 400 or answer.body == {"results": [{"customer": False}]}


def test_accounts_are_apart(shop: Shop) -> None:
    submit(shop, order(shipping_address=SHIP))
    assert shop.submit(order("theirs", customer_email=BOB, billing_address=BILL), key=OTHER_ADMIN).status == 201
    for key, mine, email, address in ((ADMIN, "o-1", ANN, SHIP), (OTHER_ADMIN, "theirs", BOB, BILL)):
        assert [m["order_id"] for m in members(shop, V1, key=key)] == [mine]
        assert count(shop, V1, key=key) == 1
        people: list[dict[str, Any]] = [{"email": ANN}, {"email": BOB}, {"address": SHIP}, {"address": BILL}]
        assert match(shop, V1, *people, key=key) == [e == email for e in (ANN, BOB)] + [
            a == address for a in (SHIP, BILL)
        ]


# --------------------------------------------------------------------- rebuild


def start(shop: Shop, audience: str, key: str = ADMIN) -> str:
    answer = shop.request("POST", f"/v1/audience/{audience}/rebuild", key=key)
    assert answer.status == 202, answer.body
    assert answer.body.keys() == {"job_id"}
    return str(answer.body["job_id"])


def job(shop: Shop, job_id: str) -> dict[str, Any]:
    answer = shop.get(f"/v1/jobs/{job_id}")
    assert answer.status == 200, answer.body
    return dict(answer.body)


def step(shop: Shop) -> None:
    """One message."""
    shop.deliver(shop.receive()[:1])


def test_a_rebuild_shows_its_progress(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "PAGE_ORDERS", 4)
    submit(shop, *(order(f"o-{n}") for n in range(10)))
    shop.drain()
    job_id = start(shop, V1)
    queued = {"job_id": job_id, "kind": "rebuild", "status": "queued", "done": 0, "total": 10, "error": None}
    assert job(shop, job_id) == queued
    for done in (4, 8):
        step(shop)
        assert job(shop, job_id) == queued | {"status": "running", "done": done}
    step(shop)
    assert job(shop, job_id) == queued | {"status": "done", "done": 10}
    assert not shop.receive()
    assert shop.get(f"/v1/jobs/{job_id}", key=OTHER_ADMIN).status == 404
    assert shop.get("/v1/jobs/nothing").status == 404


def test_progress_never_goes_back_and_what_is_done_stays_done(shop: Shop) -> None:
    """Of a page that two functions work on at once, the slower one writes when the other has long gone on."""
    jobs = Jobs(shop.dynamodb, settings().records_table)
    first = Step(ACCOUNT, uuid7(), rebuild.KIND, ["orders_api"])
    second = first._replace(page=1, done=5)
    jobs.start(first, 10)
    assert jobs.advance(first, 5, finished=False)
    assert jobs.advance(second, 3, finished=False)
    assert not jobs.advance(first, 1, finished=False)
    assert (job(shop, first.job)["status"], job(shop, first.job)["done"]) == ("running", 8)
    third = first._replace(page=2, done=8)
    assert jobs.advance(third, 0, finished=True)
    assert not jobs.advance(first._replace(page=3, done=8), 1, finished=False)
    assert (job(shop, first.job)["status"], job(shop, first.job)["done"]) == ("done", 8)


def test_a_rebuild_of_an_empty_audience_is_done(shop: Shop) -> None:
    job_id = start(shop, V3)
    shop.drain()
    assert job(shop, job_id) | {"done": 0, "total": 0, "status": "done"} == job(shop, job_id)


def ledger_writes(calls: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [operation for operation, arguments in calls if operation == "TransactWriteItems"]


def test_a_rebuild_writes_nothing_where_nothing_is_wrong(shop: Shop) -> None:
    some_orders(shop)
    send(shop, event(order_id="v3-even", grand_total="10.50", occurred_at=day(1)))
    send(shop, event(order_id="v3-even", action="refunded", refund_amount="0.50", occurred_at=day(2)))
    as_dynamodb_keeps_numbers(shop)
    jobs = [start(shop, V1), start(shop, V3)]
    with shop.faults.recorded() as calls:
        shop.drain()
        assert not ledger_writes(calls)
    assert [job(shop, j)["status"] for j in jobs] == ["done", "done"]


def as_dynamodb_keeps_numbers(shop: Shop) -> None:
    """Without zeros that say nothing, where the mock keeps what was sent."""
    name, trimmed = settings().ledger_table, 0
    for item in shop.items(name):
        kept = {k: v.normalize() if isinstance(v, Decimal) else v for k, v in item.items()}
        trimmed += raw(kept) != raw(item)
        shop.dynamodb.put_item(TableName=name, Item=raw(kept))
    assert trimmed


def some_orders(shop: Shop) -> None:
    submit(
        shop,
        order("v1-two", shipping_address=SHIP, billing_address=BILL),
        order("v1-alike", shipping_address=SHIP, billing_address=SHIP, customer_id="c-1"),
        order("v1-person", customer_email=BOB),
        order("v1-edited", shipping_address=SHIP),
        order("v1-deleted", shipping_address=SHIP),
        order("v1-again", shipping_address=SHIP),
    )
    shop.edit("v1-edited", {"billing_address": BILL, "customer_id": "c-2"})
    shop.delete("v1-deleted")
    shop.delete("v1-again")
    submit(shop, order("v1-again", billing_address=BILL))
    shop.send_batch(
        [
            event(order_id="v3-two", shipping_address=SHIP, billing_address=BILL, email=ANN),
            event(order_id="v3-two", action="paid", email=ANN),
            event(order_id="v3-person", person_id="p-1"),
            event(order_id="v3-refunded", email=BOB, billing_address=BILL),
            event(order_id="v3-refunded", action="refunded", refund_amount=5, email=BOB),
        ]
    )
    shop.drain()


_NEW = ("shipping_key", "billing_key", "customer_key", "shipping_at", "shipping", "billing_at", "billing")


def as_an_older_version_wrote(shop: Shop) -> None:
    """As one that knew nothing of addresses: each order is one record, and so it is counted."""
    name = settings().ledger_table
    counters: dict[tuple[str, str], dict[str, Any]] = {}
    for item in shop.items(name):
        part = str(item["pk"]).split("/")[2]
        if part == "n":
            shop.dynamodb.delete_item(TableName=name, Key=raw({"pk": item["pk"], "sk": item["sk"]}))
        elif part in ("h", "e"):
            old = {k: v for k, v in item.items() if k not in _NEW}
            if part == "h" and head_of(item).standing is not None:
                old["records"] = 1
                key = Scope.of(item["pk"]).counter_key(item["sk"])
                counter = counters.setdefault((key["pk"], key["sk"]), key | {"records": 0, "orders": 0})
                counter |= {"records": counter["records"] + 1, "orders": counter["orders"] + 1}
            shop.dynamodb.put_item(TableName=name, Item=raw(old))
    for counter in counters.values():
        shop.dynamodb.put_item(TableName=name, Item=raw(counter))


def whole(shop: Shop) -> list[dict[str, Any]]:
    """The ledger without tokens, and counters summed up: what must come out the same. Which shard counts, is free."""
    items: list[dict[str, Any]] = []
    orders: dict[str, Any] = {}
    for item in shop.ledger_without_tokens():
        if item["pk"].endswith("/n"):
            orders[item["pk"]] = orders.get(item["pk"], 0) + item["orders"]
        else:
            items.append(item)
    counted = [{"pk": pk, "orders": number} for pk, number in orders.items()]
    return [*items, *counted, {"v1": count(shop, V1), "v3": count(shop, V3)}]


def test_a_rebuild_brings_up_to_date_what_an_older_version_wrote(shop: Shop) -> None:
    some_orders(shop)
    expected = [(members(shop, a), count(shop, a)) for a in (V1, V3)]
    ledger = whole(shop)
    people: list[dict[str, Any]] = [
        {"address": SHIP},
        {"address": BILL},
        {"customer_id": "c-1"},
        {"customer_id": "c-2"},
    ]
    matches = match(shop, V1, *people)
    as_an_older_version_wrote(shop)
    assert whole(shop) != ledger
    assert (count(shop, V1), count(shop, V3)) == (5, 3)
    assert match(shop, V1, *people) == [False] * 4
    start(shop, V1)
    start(shop, V3)
    shop.drain()
    assert whole(shop) == ledger
    assert [(members(shop, a), count(shop, a)) for a in (V1, V3)] == expected
    assert match(shop, V1, *people) == matches == [True] * 4
    with shop.faults.recorded() as calls:
        start(shop, V1)
        start(shop, V3)
        shop.drain()
        assert not ledger_writes(calls)


def test_a_rebuild_of_big_orders_fits_into_transactions(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    send(shop, *[event(order_id="o", occurred_at=day(n + 1), shipping_address=SHIP, extra="x" * n) for n in range(6)])
    ledger = whole(shop)
    as_an_older_version_wrote(shop)
    sizes = [len(item["body"]) for item in shop.items("LedgerTable") if "body" in item]
    monkeypatch.setattr("tillbook.ledger.upkeep.MOST_BYTES", 2 * max(sizes))
    with shop.faults.recorded() as calls:
        start(shop, V3)
        shop.drain()
    written = [
        [put["Item"]["body"] for put in (item.get("Put", {}) for item in arguments["TransactItems"]) if _has_body(put)]
        for operation, arguments in calls
        if operation == "TransactWriteItems"
    ]
    assert [len(bodies) for bodies in written if bodies] == [2, 2, 2]
    assert whole(shop) == ledger


def _has_body(put: dict[str, Any]) -> bool:
    return "body" in put.get("Item", {})


def test_orders_that_an_older_version_wrote_are_counted_once(shop: Shop) -> None:
    """Changed, deleted or added to after the deploy, before and while a rebuild runs."""
    some_orders(shop)
    as_an_older_version_wrote(shop)
    shop.edit("v1-two", {"billing_address": None})
    shop.delete("v1-alike")
    send(shop, event(order_id="v3-person", person_id="p-1", action="paid", shipping_address=SHIP))
    submit(shop, order("v1-new"))
    start(shop, V1)
    shop.edit("v1-person", {"shipping_address": SHIP})
    start(shop, V3)
    shop.drain()
    assert kinds(shop, V1) == [
        ("v1-again", "billing"), ("v1-edited", "billing"), ("v1-edited", "shipping"), ("v1-new", "person"),
        ("v1-person", "shipping"), ("v1-two", "shipping"),
    ]  # fmt: skip
    assert kinds(shop, V3) == [
        ("v3-person", "shipping"), ("v3-refunded", "billing"), ("v3-two", "billing"), ("v3-two", "shipping"),
    ]  # fmt: skip


def test_keys_of_another_rule_are_replaced(shop: Shop) -> None:
    """A new normalisation: what was found under old keys is found under new ones, and only there."""
    some_orders(shop)
    ledger = whole(shop)
    name = settings().ledger_table
    for item in shop.items(name):
        for key in ("shipping_key", "billing_key", "customer_key", "shipping", "billing"):
            if key in item:
                item[key] = f"{str(item[key])[:-4]}old!"
        shop.dynamodb.put_item(TableName=name, Item=raw(item))
    assert match(shop, V1, {"address": SHIP}) == [False]
    start(shop, V1)
    start(shop, V3)
    shop.drain()
    assert whole(shop) == ledger
    assert match(shop, V1, {"address": SHIP}) == match(shop, V3, {"address": BILL}) == [True]


def test_an_order_of_many_events_is_renewed_whole(shop: Shop) -> None:
    shop.send_batch([event(action="updated", occurred_at=f"2019-01-01T00:{n // 60:02d}:{n % 60:02d}Z",
                           shipping_address=SHIP | {"address_1": f"{n + 1} Main St"}) for n in range(120)])  # fmt: skip
    shop.drain()
    ledger = whole(shop)
    as_an_older_version_wrote(shop)
    start(shop, V3)
    shop.drain()
    assert whole(shop) == ledger


# A rebuild of eight orders in pages of three: at most that many calls.
_LAST = 130


@pytest.fixture
def old_ledger(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Some orders as an older version wrote them, and a rebuild of both audiences on its way in small pages."""
    monkeypatch.setattr(rebuild, "PAGE_ORDERS", 3)
    some_orders(shop)
    ledger = whole(shop)
    as_an_older_version_wrote(shop)
    start(shop, V1)
    start(shop, V3)
    return ledger


@pytest.mark.parametrize("first", range(0, _LAST, 10))
def test_a_rebuild_killed_anywhere_finishes_later(shop: Shop, old_ledger: list[dict[str, Any]], first: int) -> None:
    """After each call: before the next one is the same."""
    jobs = [i["sk"] for i in shop.items("RecordsTable") if i["pk"] == f"{ACCOUNT}/j"]
    for index in range(first, first + 10):
        killed = False
        with shop.faults.injected(die_at(index, "after")), suppress(Death):
            killed = True
            shop.drain()
            killed = False
        shop.drain()
        assert whole(shop) == old_ledger, index
        assert [job(shop, j)["status"] for j in jobs] == ["done"] * len(jobs), index
        assert not shop.receive()
        if not killed:
            assert index > 40, "the rebuild makes fewer calls than thought"
            return
        as_an_older_version_wrote(shop)
        jobs = [start(shop, V1), start(shop, V3)]
    assert first + 10 < _LAST, "the rebuild makes more calls than there are places to die at"


def test_a_rebuild_that_dies_again_and_again_finishes_too(shop: Shop, old_ledger: list[dict[str, Any]]) -> None:
    for index in range(60):
        with shop.faults.injected(die_at(index, "after")), suppress(Death):
            shop.drain()
    shop.drain()
    assert whole(shop) == old_ledger


def test_a_page_delivered_twice_does_no_harm(shop: Shop, old_ledger: list[dict[str, Any]]) -> None:
    handler = importlib.import_module(template.module("ProcessOrders")).handler
    for _ in range(30):
        records = shop.receive()
        if not records:
            break
        handler({"Records": records}, Context(60_000))
        shop.deliver(records)
    assert not shop.receive()
    assert whole(shop) == old_ledger
    jobs = [i for i in shop.items("RecordsTable") if i["pk"] == f"{ACCOUNT}/j"]
    assert {j["status"] for j in jobs} == {"done"}
    assert sorted(int(j["done"]) for j in jobs) == sorted(int(j["total"]) for j in jobs)


def unreadable(shop: Shop, source: Source) -> str:
    """Of the first order in the walk: an event that this version cannot unpack. Returns the order's key."""
    items = [item for item in shop.items("LedgerTable") if Scope.of(item["pk"]) == Scope(ACCOUNT, source)]
    heads = [item for item in items if "/h/" in item["pk"] and head_of(item).standing is not None]
    key = min(heads, key=lambda i: (str(i["pk"]), str(i["sk"])))["sk"]
    last = max((i for i in items if "/e/" in i["pk"] and order_key_of(i["sk"]) == key), key=lambda i: str(i["sk"]))
    shop.dynamodb.put_item(
        TableName=settings().ledger_table, Item=raw(last | {"body": b"\x02 by a later version, of ann@example.com"})
    )
    return str(key)


@pytest.mark.parametrize("twice", [False, True])
def test_an_order_that_cannot_be_read_holds_up_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], twice: bool
) -> None:
    monkeypatch.setattr(rebuild, "PAGE_ORDERS", 2)
    some_orders(shop)
    ledger = whole(shop)
    as_an_older_version_wrote(shop)
    bad = [unreadable(shop, source) for source in SOURCES]
    jobs = {start(shop, V1): 6, start(shop, V3): 3}
    capsys.readouterr()
    while records := shop.receive():
        if twice:
            importlib.import_module(template.module("ProcessOrders")).handler({"Records": records}, Context(60_000))
        shop.deliver(records)
    for job_id, orders in jobs.items():
        error = "orders that could not be computed: 1 (the first: ValueError); the log names them"
        assert job(shop, job_id) == {
            "job_id": job_id, "kind": "rebuild", "status": "failed", "done": orders, "total": orders, "error": error,
        }  # fmt: skip

    def others(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [item for item in items if "sk" in item and str(item["sk"])[:22] not in bad]

    assert others(whole(shop)) == others(ledger)
    out = capsys.readouterr().out
    told = [json.loads(line) for line in out.splitlines() if "step failed" in line]
    assert {line["order"] for line in told} == set(bad)
    assert {line["error"] for line in told} == {"ValueError"}
    assert "later version" not in out
    assert sum(sum(json.loads(line).get("JobsFailed", [])) for line in out.splitlines()) >= 2


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("The order is being changed by many at once."),
        ClientError({"Error": {"Code": "ThrottlingException"}}, "TransactWriteItems"),
        ClientError({"Error": {"Code": "InternalServerError"}}, "TransactWriteItems"),
        ReadTimeoutError(endpoint_url="x"),
    ],
)
def test_an_order_that_is_refused_for_now_is_tried_again(
    shop: Shop, old_ledger: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    rebuilt, seen = Ledger.rebuild, dict[str, int]()

    def busy(self: Ledger, scope: Scope, key: str, *rest: Any) -> bool:
        seen[key] = seen.get(key, 0) + 1
        if [key] == list(seen)[1:2] and seen[key] < 4:
            raise error
        return rebuilt(self, scope, key, *rest)

    monkeypatch.setattr(Ledger, "rebuild", busy)
    shop.drain()
    assert list(seen.values())[1] == 4
    assert whole(shop) == old_ledger
    jobs = [i["sk"] for i in shop.items("RecordsTable") if i["pk"] == f"{ACCOUNT}/j"]
    assert [(job(shop, j)["status"], job(shop, j)["error"]) for j in jobs] == [("done", None)] * len(jobs)


def test_a_rebuild_that_gave_up_and_goes_on_by_another_delivery_has_no_error(shop: Shop) -> None:
    submit(shop, order())
    shop.drain()
    job_id = start(shop, V1)
    (record,) = shop.receive()
    jobs = Jobs(shop.dynamodb, settings().records_table)
    jobs.fail(decode(record["body"]).steps[0], "gave up")
    assert (job(shop, job_id)["status"], job(shop, job_id)["error"]) == ("failed", "gave up")
    shop.deliver([record])
    assert (job(shop, job_id)["status"], job(shop, job_id)["error"]) == ("done", None)


def test_every_night_for_every_account(shop: Shop, old_ledger: list[dict[str, Any]]) -> None:
    shop.drain()
    as_an_older_version_wrote(shop)
    assert shop.submit(order("theirs", shipping_address=SHIP), key=OTHER_ADMIN).status == 201
    queue = Queue(shop.sqs, shop.queues["OrdersQueue"])
    for _ in range(2):  # a schedule may fire twice
        queue.send(Message(nightly=[" "]))
    shop.drain()
    assert [i for i in whole(shop) if i.get("pk", ACCOUNT).startswith(ACCOUNT)] == old_ledger
    nightly = [i for i in shop.items("RecordsTable") if "/j" in i["pk"] and i["sk"].startswith("nightly-")]
    assert len(nightly) == 4
    assert {i["status"] for i in nightly} == {"done"}
    assert job(shop, nightly[0]["sk"])["status"] == "done" if nightly[0]["pk"].startswith(ACCOUNT) else True
