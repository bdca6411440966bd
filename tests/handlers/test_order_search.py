"""Searches for orders by id, text and amount; exports with addresses, metadata and items; orders of matched people."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.handlers.audiences import order, send, submit
from tests.handlers.events import event
from tests.handlers.removal import ANN, BOB, SHIP, finish, start_erasure
from tests.handlers.sales import ITEM, V3_ITEM, list_order_ids
from tests.handlers.shop import ACCOUNT, OTHER_ADMIN, Shop
from tillbook.rules.identity import email_sha256
from tillbook.views import match_orders, order_export, order_list


def some_orders(shop: Shop) -> None:
    """Three v1 orders, two of Ann's (WEB-1001, web-2) and one of customer c-7 (WEB-10010), and two v3 orders of others,
    9001 with the public id #1001 and 9002 with #10012. 9001 and both WEB orders share an address."""
    submit(
        shop,
        order("WEB-1001", order_date="2019-01-01", metadata={"promo_code": "Spring", "gift": "yes"},
              order_items=[ITEM], shipping_address=SHIP | {"name": "Ann Lee", "city": "Salem", "state": "OR"}),
        order("WEB-10010", order_date="2019-01-02", total=50, customer_id="c-7", customer_email=...,
              billing_address=SHIP),
        order("web-2", order_date="2019-01-03", total=7),
    )  # fmt: skip
    v3_order = {"order_id": "9001", "order_public_id": "#1001"}
    send(
        shop,
        event(**v3_order, occurred_at="2019-02-01T10:00:00Z", items=[V3_ITEM], color="red",
              shipping_address=SHIP | {"city": "Salem"}),
        event(order_id="9002", order_public_id="#10012", occurred_at="2019-02-02", person_id="p-1", email=...),
        event(**v3_order, occurred_at="2019-02-03T10:00:00Z", action="paid", paid_by="card"),
    )  # fmt: skip
    shop.keep_book()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1001", ["9001", "9002"]), ("#1001", ["9001", "9002"]), ("#10012", ["9002"]),
        ("web-1001", ["WEB-1001", "WEB-10010"]), ("WEB", ["web-2", "WEB-10010", "WEB-1001"]), ("9001", ["9001"]),
        ("900", ["9002", "9001"]), ("x", []), ("#", ["9002", "9001"]), (" web-2 ", ["web-2"]),
    ],
)  # fmt: skip
def test_an_order_is_found_by_the_beginning_of_either_id(shop: Shop, name: str, expected: list[str]) -> None:
    """An order with exactly this id is listed first, then the newest. Case, and a `#` before an id, have no effect."""
    some_orders(shop)
    assert list_order_ids(shop, name=name) == list_order_ids(shop, name=name, limit="1") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"name": "web", "from": "2019-01-02"}, ["web-2", "WEB-10010"]),
        ({"name": "web", "source": "shopper_activity"}, []), ({"max_total": "50"}, ["web-2", "WEB-10010"]),
        ({"min_total": "50"}, ["9002", "9001", "WEB-10010", "WEB-1001"]),
        ({"min_total": "7", "max_total": "7.00"}, ["web-2"]),
        ({"text": "SKU-1"}, ["9001", "WEB-1001"]),
        ({"text": "shoes"}, ["9001", "WEB-1001"]), ({"text": "PRING"}, ["WEB-1001"]),
        ({"text": "#1001"}, ["9002", "9001"]),
    ],
)  # fmt: skip
def test_filters_select_orders(shop: Shop, query: dict[str, str], expected: list[str]) -> None:
    some_orders(shop)
    assert list_order_ids(shop, **query) == list_order_ids(shop, **query, limit="1") == expected


def test_a_search_by_name_finds_orders_at_their_current_date(shop: Shop) -> None:
    some_orders(shop)
    shop.edit("web-2", {"order_date": "2019-05-05"})
    shop.delete("WEB-1001")
    shop.keep_book()
    assert list_order_ids(shop, name="web") == ["web-2", "WEB-10010"]
    entries = shop.get("/v1/orders", query={"name": "web-2"}).body["orders"]
    assert [entry["date"] for entry in entries] == ["2019-05-05"]


def test_another_account_finds_nothing(shop: Shop) -> None:
    some_orders(shop)
    assert shop.get("/v1/orders", query={"name": "web"}, key=OTHER_ADMIN).body["orders"] == []
    assert shop.get("/v1/orders", query={"format": "jsonl"}, key=OTHER_ADMIN).text == ""


def test_a_search_by_name_reads_a_bounded_number_of_index_entries(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_list, "MOST_NAMED", 2)
    monkeypatch.setattr(order_list, "_CARDS_AT_ONCE", 1)
    some_orders(shop)
    assert list_order_ids(shop, name="WEB") == ["WEB-10010", "WEB-1001"]  # the index has web-2 after these two


def test_an_order_id_of_any_characters_is_found(shop: Shop) -> None:
    ids = ["🛒" * 200, "İ" * 255, "a/b c%", "#", "x" * 255]
    submit(shop, *(order(order_id, order_date=f"2019-01-0{n + 1}") for n, order_id in enumerate(ids)))
    shop.keep_book()
    for order_id in ids:
        if order_id != "#":  # a search for `#` finds all public ids that begin with it
            assert list_order_ids(shop, name=order_id) == [order_id]


# ------------------------------------------------------------------- exports


def exported(shop: Shop, **query: str) -> list[dict[str, Any]]:
    """Orders of all pages of JSON lines."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = shop.get("/v1/orders", query={"format": "jsonl"} | query | cursor)
        assert answer.headers["content-type"] == "application/x-ndjson; charset=utf-8"
        found += [json.loads(line) for line in answer.text.splitlines()]
        if "x-next-cursor" not in answer.headers:
            return found
        cursor = {"cursor": answer.headers["x-next-cursor"]}


def test_json_lines_have_all_fields_of_an_order(shop: Shop) -> None:
    some_orders(shop)
    found = {entry["order_id"]: entry for entry in exported(shop)}
    assert list(found) == [entry["order_id"] for entry in exported(shop, limit="1")]
    first = found["WEB-1001"]
    assert first["email_sha256"] == email_sha256(ANN)
    assert first["shipping_address"] == {
        "name": "Ann Lee", "company": None, "address_1": "123 Ship St.", "address_2": None, "city": "Salem",
        "state": "OR", "postal_code": "01234", "country": "USA",
    }  # fmt: skip
    assert (first["billing_address"], first["metadata"]) == (None, {"gift": "yes", "promo_code": "Spring"})
    assert first["items"][0]["category"] == ["Shoes", "Boots"]
    assert (first["promo_code"], first["total"], first["date"]) == ("Spring", "100.00", "2019-01-01")
    assert found["WEB-10010"]["customer_id"] == "c-7"
    assert found["WEB-10010"]["billing_address"]["postal_code"] == "01234"
    assert found["9002"]["person_id"] == "p-1"
    v3_order = found["9001"]
    assert (v3_order["metadata"], v3_order["order_public_id"]) == ({"color": "red", "paid_by": "card"}, "#1001")
    assert (v3_order["items"][0]["sku"], v3_order["items"][0]["price"]) == ("SKU-1", "20.00")
    assert v3_order["shipping_address"]["city"] == "Salem"


def test_csv_has_the_same_fields(shop: Shop) -> None:
    some_orders(shop)
    answer = shop.get("/v1/orders", query={"format": "csv"})
    rows = {row["order_id"]: row for row in csv.DictReader(io.StringIO(answer.text, newline=""))}
    assert rows["WEB-1001"]["shipping_name"] == "Ann Lee"
    assert json.loads(rows["WEB-1001"]["metadata"]) == {"gift": "yes", "promo_code": "Spring"}
    assert rows["WEB-10010"]["billing_postal_code"] == "01234"
    assert "example.com" not in answer.text


def test_an_export_in_smaller_pages_is_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    some_orders(shop)
    whole = exported(shop)
    for name, most in (("_MOST_BYTES", 1), ("PAGE_BYTES", 1500), ("_AT_ONCE", 2)):
        monkeypatch.setattr(order_export, name, most)
        assert exported(shop) == exported(shop, limit="2") == whole


def test_orders_of_an_erased_person_are_not_exported(shop: Shop) -> None:
    some_orders(shop)
    submit(shop, order("of-bob", customer_email=BOB))
    shop.keep_book()
    job_id = start_erasure(shop, ANN)
    assert {entry["order_id"] for entry in exported(shop)} == {"9002", "WEB-10010", "of-bob", "9001"}
    finish(shop, job_id)
    shop.keep_book()
    assert "web-2" not in list_order_ids(shop, name="web")


# ------------------------------------------------- orders of matched people

MATCH = {name: f"/v1/audience/customers-{name}/match" for name in ("orders-api", "shopper-activity")}


def matched(shop: Shop, people: list[dict[str, Any]], audience: str = "orders-api", **more: Any) -> list[Any]:
    """The result of each of the people, with orders."""
    answer = shop.request("POST", MATCH[audience], {"people": people, "orders": True} | more)
    assert answer.status == 200, answer.body
    return list(answer.body["results"])


def ids(result: Any) -> list[str]:
    return [entry["order_id"] for entry in result["orders"]]


def test_a_match_lists_the_orders(shop: Shop) -> None:
    some_orders(shop)
    people: list[dict[str, Any]] = [
        {"email": ANN},
        {"address": SHIP},
        {"customer_id": "c-7"},
        {"email": BOB},
        {"email": ANN, "address": SHIP},
    ]
    found = matched(shop, people)
    assert [entry["customer"] for entry in found] == [True, True, True, False, True]
    assert list(map(ids, found)) == [
        ["web-2", "WEB-1001"], ["WEB-10010", "WEB-1001"], ["WEB-10010"], [], ["web-2", "WEB-10010", "WEB-1001"],
    ]  # fmt: skip
    by_customer_id = found[2]
    assert by_customer_id["orders"] == [
        {
            "order_id": "WEB-10010", "order_public_id": None, "source": "orders_api", "provider": None,
            "ordered_at": "2019-01-02T00:00:00Z", "date": "2019-01-02", "currency": "USD", "total": "50.00",
            "refunds": "0.00", "net": "50.00", "new_buyer": None, "metadata": {},
        }
    ]  # fmt: skip
    (by_address,) = matched(shop, [{"address": SHIP}], "shopper-activity")
    assert ids(by_address) == ["9001"]
    assert by_address["orders"][0]["metadata"] == {"color": "red", "paid_by": "card"}
    assert all(not entry["more"] for entry in found)


def test_a_match_lists_orders_within_the_dates(shop: Shop) -> None:
    some_orders(shop)
    (found,) = matched(shop, [{"email": ANN}], **{"from": "2019-01-02", "to": "2019-01-03"})
    assert ids(found) == ["web-2"]
    (found,) = matched(shop, [{"email": ANN}], **{"from": "2020-01-01"})
    assert (found["customer"], found["orders"], found["more"]) == (True, [], False)
    (found,) = shop.request("POST", MATCH["orders-api"], {"people": [{"email": ANN}]}).body["results"]
    assert "orders" not in found, "no orders were requested"


def test_a_match_lists_the_newest_orders_and_says_whether_there_are_more(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_orders(shop)
    (found,) = matched(shop, [{"email": ANN}], limit=1.0)
    assert (ids(found), found["more"]) == (["web-2"], True)
    monkeypatch.setattr(match_orders, "MOST_ORDERS", 1)  # of all people together
    first, second = matched(shop, [{"email": ANN}, {"customer_id": "c-7"}])
    assert (ids(first), first["more"], ids(second), second["more"]) == (["web-2"], True, [], True)


@pytest.mark.parametrize(
    ("more", "field"),
    [({"orders": "yes"}, "orders"), ({"from": "soon"}, "from"), ({"to": 5}, "to"), ({"limit": 0}, "limit"),
     ({"limit": 101}, "limit"), ({"limit": True}, "limit")],
)  # fmt: skip
def test_an_invalid_match_is_refused(shop: Shop, more: dict[str, Any], field: str) -> None:
    answer = shop.request("POST", MATCH["orders-api"], {"people": [{"email": ANN}]} | more)
    assert answer.status == 400
    assert answer.fields == {field}


def test_a_match_lists_no_orders_of_a_person_who_is_being_erased(shop: Shop) -> None:
    some_orders(shop)
    start_erasure(shop, ANN)
    (found,) = matched(shop, [{"email": ANN}])
    assert found["orders"] == []
    assert email_sha256(ANN) not in shop.get(f"/v3/{ACCOUNT}/people").text
