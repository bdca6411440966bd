"""The members, counts and pages of audiences after orders change (docs/design/audiences-and-matching.md)."""

from __future__ import annotations

import csv
import importlib
import io
from datetime import datetime
from typing import Any

import pytest

from tests.handlers import template
from tests.handlers.audiences import (
    ANN,
    BILL,
    BOB,
    SHIP,
    V1,
    V3,
    count,
    key_of,
    match,
    member_kinds,
    members,
    order,
    send,
    sha,
    submit,
)
from tests.handlers.events import day, event
from tests.handlers.shop import (
    ACCOUNT,
    INGEST,
    OTHER_ADMIN,
    Answer,
    Context,
    Shop,
)
from tillbook.ledger.items import bucket_of
from tillbook.rules import times

FIELDS = (
    "order_id", "kind", "name", "company", "address_1", "address_2", "city", "state", "postal_code", "country",
    "email_sha256", "person_id", "customer_id", "added_at",
)  # fmt: skip


def test_an_account_has_two_audiences_that_cannot_be_mailed(shop: Shop) -> None:
    answer = shop.get("/v1/audiences")
    assert answer.status == 200
    assert [(a["id"], a["name"], a["member_count"], a["mailable"]) for a in answer.body] == [
        (V1, "Customers (Orders API)", 0, False),
        (V3, "Customers (Shopper Activity)", 0, False),
    ]
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
def test_an_order_has_a_member_for_each_address_or_one_for_its_person(
    shop: Shop, changes: dict[str, Any], expected: list[str]
) -> None:
    submit(shop, order(**changes))
    assert member_kinds(shop, V1) == [("o-1", kind) for kind in expected]
    assert member_kinds(shop, V3) == []
    if "customer_email" not in changes:
        send(shop, event(**changes))
        assert member_kinds(shop, V3) == [("o-1", kind) for kind in expected]


def test_a_member_has_the_address_and_the_person_of_its_order(shop: Shop) -> None:
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


def test_v1_edits_and_deletes_change_the_members(shop: Shop) -> None:
    submit(shop, order(shipping_address=SHIP, billing_address=SHIP), order("o-2", shipping_address=SHIP))
    added = {m["added_at"] for m in members(shop, V1)}
    shop.edit("o-1", {"billing_address": None, "shipping_address": BILL})
    assert member_kinds(shop, V1) == [("o-1", "shipping"), ("o-2", "shipping")]
    assert match(shop, V1, {"address": SHIP}, {"address": BILL}) == [True, True]
    assert {m["added_at"] for m in members(shop, V1)} == added
    shop.edit("o-1", {"shipping_address": None})
    assert member_kinds(shop, V1) == [("o-1", "person"), ("o-2", "shipping")]
    assert match(shop, V1, {"address": BILL}) == [False]
    shop.delete("o-2")
    assert member_kinds(shop, V1) == [("o-1", "person")]
    assert match(shop, V1, {"address": SHIP}) == [False]
    assert shop.delete("o-2").status == 404
    assert member_kinds(shop, V1) == [("o-1", "person")]
    submit(shop, order("o-2", billing_address=BILL))
    assert member_kinds(shop, V1) == [("o-1", "person"), ("o-2", "billing")]
    submit(shop, order("o-2", billing_address=BILL))  # an identical submission
    assert member_kinds(shop, V1) == [("o-1", "person"), ("o-2", "billing")]


def test_added_at_is_the_time_of_the_submission(shop: Shop) -> None:
    submit(shop, order())
    (first,) = members(shop, V1)
    shop.delete("o-1")
    submit(shop, order(total=5))
    (second,) = members(shop, V1)
    assert second["added_at"] > first["added_at"]
    shop.edit("o-1", {"total": 6})
    assert members(shop, V1) == [second]


def test_v3_events_without_addresses_keep_the_addresses_of_the_order(shop: Shop) -> None:
    send(shop, event(shipping_address=SHIP, billing_address=BILL, occurred_at=day(1)))
    found = members(shop, V3)
    for n, action in enumerate(("updated", "paid", "fulfilled", "refunded", "canceled"), start=2):
        send(shop, event(action=action, grand_total=..., occurred_at=day(n)))
        assert members(shop, V3) == found
        assert count(shop, V3) == 2
    assert match(shop, V3, {"address": SHIP}, {"address": BILL}, {"email": "user@gmail.com"}) == [True] * 3


@pytest.mark.parametrize("late", [False, True], ids=["in order", "latest event first"])
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


def test_repeated_v3_events_add_no_members(shop: Shop) -> None:
    body = event(occurred_at=day(1), shipping_address=SHIP)
    send(shop, body, body)
    shop.send(body | {"order_id": "o-2"}, headers={"Idempotency-Key": "k"})
    shop.send(body | {"order_id": "o-2"}, headers={"Idempotency-Key": "k"})
    shop.drain()
    assert member_kinds(shop, V3) == [("o-1", "shipping"), ("o-2", "shipping")]


@pytest.mark.parametrize("action", ["refunded", "canceled"])
def test_the_person_of_a_refunded_or_canceled_order_is_a_customer(shop: Shop, action: str) -> None:
    send(shop, event(action=action, shipping_address=SHIP))
    assert member_kinds(shop, V3) == [("o-1", "shipping")]
    assert match(shop, V3, {"address": SHIP}, {"email": "user@gmail.com"}) == [True, True]


@pytest.mark.parametrize("empty", [{}, {"label": ""}, {"address_1": "", "city": ""}, {"label": "Home"}])
def test_the_count_equals_the_list_when_addresses_are_empty(shop: Shop, empty: dict[str, Any]) -> None:
    send(
        shop,
        event(occurred_at=day(1), shipping_address=SHIP, billing_address=BILL),
        event(occurred_at=day(2), action="updated", shipping_address=empty),
        event(order_id="o-2", shipping_address=empty, billing_address=BILL),
        event(order_id="o-3", shipping_address=empty),
    )
    assert count(shop, V3) == len(members(shop, V3))


def test_custom_attributes_do_not_identify_a_person(shop: Shop) -> None:
    """`customer_id`, `email_sha256` and `person` are custom attributes in v3. The person is identified by `email`."""
    send(shop, event(email=ANN, customer_id={"a": 1}, email_sha256="x", person="y"))
    (member,) = members(shop, V3)
    assert (member["email_sha256"], member["customer_id"], member["person_id"]) == (sha(ANN), None, None)


@pytest.mark.parametrize("value", ["1 High St", ["a"], 5, True, {"line": "", "verified": False}])
def test_a_custom_attribute_with_the_name_of_an_address_is_no_address(shop: Shop, value: Any) -> None:
    send(shop, *(event(order_id=f"o-{n}", mailing_address=value) for n in range(3)))
    shown = shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1")
    assert (shown.status, shown.body.get("properties")) == (200, {"mailing_address": value})
    assert member_kinds(shop, V3) == [("o-0", "person"), ("o-1", "person"), ("o-2", "person")]


@pytest.mark.parametrize("name", [5, True, ["a"], {"a": 1}, "", None])
@pytest.mark.parametrize(("more", "expected"), [({}, None), ({"first_name": "Ann", "last_name": "Lee"}, "Ann Lee")])
def test_the_name_of_a_member_is_text_or_null(
    shop: Shop, name: Any, more: dict[str, str], expected: str | None
) -> None:
    """The `name` of a v3 address is a custom attribute, which may have any type."""
    send(shop, event(shipping_address=SHIP | more | {"name": name}))
    (member,) = members(shop, V3)
    assert member["name"] == expected


# ----------------------------------------------------------------------- pages


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_pages_list_each_member_once(shop: Shop, limit: int) -> None:
    submit(shop, *(order(f"o-{n}", **({"shipping_address": SHIP} if n % 3 else {})) for n in range(12)))
    submit(shop, *(order(f"two-{n}", shipping_address=SHIP, billing_address=BILL) for n in range(6)))
    for n in range(0, 12, 4):
        shop.delete(f"o-{n}")
    expected = [(f"o-{n}", "shipping" if n % 3 else "person") for n in range(12) if n % 4]
    expected += [(f"two-{n}", kind) for n in range(6) for kind in ("shipping", "billing")]
    found = [(m["order_id"], m["kind"]) for m in members(shop, V1, limit)]
    assert sorted(found) == sorted(expected)
    assert count(shop, V1) == len(expected)


def test_orders_that_exist_during_all_pages_are_listed_once_while_others_are_added_and_deleted(shop: Shop) -> None:
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
    assert {f"o-{n}" for n in range(20 - page)} <= set(seen)  # the orders that were not deleted


def test_csv_pages_list_the_same_members_as_json_pages(shop: Shop) -> None:
    submit(
        shop,
        *(order(f"o-{n}", shipping_address=SHIP | {"name": 'Ann "A", Lee'}) for n in range(5)),
        order("=1+1", customer_id="+4", customer_email=..., shipping_address=SHIP | {"name": "-x", "city": "@city"}),
        order("＝1", customer_id="＋4", customer_email=..., shipping_address=SHIP | {"name": "－x", "city": "＠city"}),
    )
    rows: list[dict[str, str]] = []
    query = {"limit": "2", "format": "csv"}
    while True:
        page = get_text(shop, query)
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
            # A spreadsheet would run a text that begins with one of these as a formula. An apostrophe prevents this.
            assert row[name] == (f"'{plain}" if plain.startswith(tuple("=+-@＝＋－＠")) else plain)
    assert {row["city"] for row in rows} >= {"'@city", "'＠city"}
    accepted = get_text(shop, {}, headers={"accept": "text/csv"})
    assert accepted.text.count("\r\n") == 8  # the names of the fields, and 7 members


def get_text(shop: Shop, query: dict[str, str], **options: Any) -> Answer:
    """Requests a page of the v1 audience without parsing it: the answer has no `body`."""
    event_ = shop.event("GET", f"/v1/audience/{V1}", query=query, **options)
    answer = importlib.import_module(template.module("Read")).handler(event_, Context())
    assert answer["statusCode"] == 200, answer["body"]
    return Answer(200, None, answer["headers"], answer["body"])


def test_a_page_of_big_records_fits_an_answer(shop: Shop) -> None:
    # The first 75 ids in the order of the list, all in one bucket.
    names = sorted((f"o-{n}" for n in range(3000)), key=lambda n: (bucket_of(key_of(n)), key_of(n)))[:75]
    long = dict.fromkeys(("name", "company", "address_1", "address_2", "city", "state"), '\\"' * 500)
    address = long | {"postal_code": "01234"}
    submit(shop, order(names[0]))
    submit(shop, *(order(n, shipping_address=address, billing_address=address) for n in names[1:]))
    found = members(shop, V1)  # `Shop.request` refuses an answer that is too big for Lambda
    assert len(found) == count(shop, V1) == 149  # one member of the first order, and two of each of the other 74


@pytest.mark.parametrize("filling", ["🏠", "ü"])
def test_a_page_of_wide_letters_fits_an_answer(shop: Shop, filling: str) -> None:
    """The limit of an answer is in bytes, and these letters take several."""
    address = SHIP | {"name": filling * (110_000 // len(filling.encode()))}
    for n in range(32):
        assert shop.send(event(order_id=f"o-{n}", shipping_address=address, billing_address=address)).status == 202
    shop.drain()
    assert len(members(shop, V3)) == count(shop, V3) == 64  # two of each order


@pytest.mark.parametrize("cursor", ["x", "!", "é", "AAAA", "0" * 40, "", "MA", "a b"])
def test_a_malformed_cursor_is_400(shop: Shop, cursor: str) -> None:
    answer = shop.get(f"/v1/audience/{V1}", query={"cursor": cursor})
    assert answer.status == 400
    assert answer.fields == {"cursor"}


@pytest.mark.parametrize("limit", ["0", "201", "x", "-1", "1.5"])
def test_a_malformed_limit_is_400(shop: Shop, limit: str) -> None:
    assert shop.get(f"/v1/audience/{V1}", query={"limit": limit}).status == 400


def test_a_cursor_finds_nothing_in_another_account(shop: Shop) -> None:
    submit(shop, *(order(f"o-{n}") for n in range(4)))
    cursor = shop.get(f"/v1/audience/{V1}", query={"limit": "1"}).body["next_cursor"]
    assert shop.get(f"/v1/audience/{V1}", query={"cursor": cursor}, key=OTHER_ADMIN).body["members"] == []


def test_unknown_audiences_are_404_and_ingest_keys_403(shop: Shop) -> None:
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
