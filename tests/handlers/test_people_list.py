"""The list of customers, sorted by lifetime value, number of orders or last order; segments."""

from __future__ import annotations

import csv
import io
import time
from decimal import Decimal
from typing import Any

import pytest

from tests.handlers.audiences import order, send, submit
from tests.handlers.events import event
from tests.handlers.removal import ANN, BOB, SHIP, finish, run_purge, start_erasure
from tests.handlers.shop import ACCOUNT, OTHER, OTHER_ADMIN, Shop
from tillbook.aws.settings import settings
from tillbook.rules.identity import Person, email_sha256
from tillbook.rules.segments import Segment
from tillbook.views import ranking, sales

LIST, SEGMENTS = f"/v3/{ACCOUNT}/people", f"/v3/{ACCOUNT}/segments"
CLEO, DAN = "cleo@example.com", "dan@example.com"


def id_of(email: str) -> str:
    return Person("email", email_sha256(email)).id_in(ACCOUNT)


NAMES = {id_of(email): email.partition("@")[0] for email in (ANN, BOB, CLEO, DAN)}


def listed(shop: Shop, **query: str) -> list[str]:
    """Names of the people on all pages."""
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = shop.get(LIST, query=query | cursor)
        assert answer.status == 200, answer.body
        names += [NAMES[person["id"]] for person in answer.body["people"]]
        if not answer.body["next_cursor"]:
            return names
        cursor = {"cursor": answer.body["next_cursor"]}


def add_customers(shop: Shop) -> None:
    """ann: 500 USD in 2 orders, the last in May. bob: 300 USD in 3, the last in April. cleo: 130 USD (v3) less a refund
    of 40, in June. dan: 1,000 EUR. An order of 5,000 USD has no customer."""
    submit(
        shop,
        order("a1", order_date="2019-01-05", total=200, customer_email=ANN),
        order("a2", order_date="2019-05-05", total=300, customer_email=ANN),
        *(order(f"b{n}", order_date=f"2019-0{n + 1}-05", total=100, customer_email=BOB) for n in range(1, 4)),
        order("d1", order_date="2019-02-05", total=1000, currency="EUR", customer_email=DAN),
        order("nobody", order_date="2019-02-05", total=5000, customer_email=..., shipping_address=SHIP),
    )
    send(
        shop,
        event(order_id="c1", email=CLEO, grand_total=130, occurred_at="2019-06-01T10:00:00Z"),
        event(order_id="c1", email=CLEO, action="refunded", grand_total=..., refund_amount=40,
              occurred_at="2019-06-02T10:00:00Z"),
    )  # fmt: skip
    shop.keep_book()


def test_people_are_sorted_by_each_criterion(shop: Shop) -> None:
    add_customers(shop)
    for limit in ("1", "2", "200"):
        assert listed(shop, limit=limit) == ["ann", "bob", "cleo", "dan"]
        assert listed(shop, limit=limit, direction="asc") == ["dan", "cleo", "bob", "ann"]
        assert listed(shop, limit=limit, sort="orders")[:2] == ["bob", "ann"]
        assert listed(shop, limit=limit, sort="last_order") == ["cleo", "ann", "bob", "dan"]
        assert listed(shop, limit=limit, currency="eur")[0] == "dan"
    found = shop.get(LIST).body
    assert (found["total"], found["currency"], found["as_of"]) == (4, "USD", None)
    assert found["people"][2] == {
        "id": id_of(CLEO), "email_sha256": email_sha256(CLEO), "person_id": None, "customer_id": None,
        "lifetime_value": {"USD": "90.00"}, "lifetime_value_by_source": {"shopper_activity": {"USD": "90.00"}},
        "orders_count": 1, "first_order_on": "2019-06-01", "last_order_on": "2019-06-01",
    }  # fmt: skip
    assert (found["people"][0]["first_order_on"], found["people"][0]["last_order_on"]) == ("2019-01-05", "2019-05-05")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"min_lifetime_value": "300"}, ["ann", "bob"]), ({"max_lifetime_value": "299.99"}, ["cleo", "dan"]),
        ({"min_orders": "2", "max_orders": "2"}, ["ann"]), ({"last_order_from": "2019-05-05"}, ["ann", "cleo"]),
        ({"last_order_to": "2019-05-04"}, ["bob", "dan"]), ({"min_lifetime_value": "1", "currency": "EUR"}, ["dan"]),
        ({"segment": "vip"}, ["ann"]), ({"segment": "Euros"}, ["dan"]), ({"segment": "Gone"}, ["ann", "bob", "cleo"]),
        ({"segment": "Gone", "min_orders": "3"}, ["bob"]),
    ],
)  # fmt: skip
def test_filters_select_people(shop: Shop, query: dict[str, str], expected: list[str]) -> None:
    add_customers(shop)
    segments = (
        Segment("VIP", min_lifetime_value=Decimal(500)),
        Segment("Euros", "EUR", min_lifetime_value=Decimal(1)),
        Segment("Gone", min_days=365, min_lifetime_value=Decimal(90)),
    )
    shop.accounts.change(ACCOUNT, {"segments": segments})
    assert listed(shop, **query) == listed(shop, **query, limit="1") == expected
    assert shop.get(LIST, query=query).body["total"] == len(expected)


@pytest.mark.parametrize(
    ("query", "attribute"),
    [
        ({"min_lifetime_value": "much"}, "min_lifetime_value"), ({"min_orders": "-1"}, "min_orders"),
        ({"last_order_from": "2019-02-30"}, "last_order_from"), ({"segment": "whales"}, "segment"),
        ({"sort": "name"}, "sort"), ({"cursor": "x" * 30}, "cursor"),
        ({"currency": "EUR", "segment": "VIP"}, "currency"),
    ],
)  # fmt: skip
def test_an_invalid_query_is_refused(shop: Shop, query: dict[str, str], attribute: str) -> None:
    shop.accounts.change(ACCOUNT, {"segments": (Segment("VIP", min_lifetime_value=Decimal(0)),)})
    answer = shop.get(LIST, query=query)
    assert answer.status == 400
    assert {name for _, name in answer.errors} == {attribute}


def test_segments_are_counted(shop: Shop) -> None:
    add_customers(shop)
    assert shop.get(SEGMENTS).body == {"segments": [], "people": 4, "as_of": None}
    segments = (
        Segment("VIP", min_lifetime_value=Decimal(300)), Segment("Euros", "EUR", min_lifetime_value=Decimal("0.01")),
        Segment("New", max_orders=1), Segment("Lately", max_days=30),
    )  # fmt: skip
    shop.accounts.change(ACCOUNT, {"segments": segments})
    found = shop.get(SEGMENTS).body
    names = ("name", "currency", "people", "lifetime_value")
    assert [tuple(entry[name] for name in names) for entry in found["segments"]] == [
        # VIP: ann 500 + bob 300. New, in USD: cleo 90 + dan 0.
        ("VIP", "USD", 2, "800.00"), ("Euros", "EUR", 1, "1000.00"), ("New", "USD", 2, "90.00"),
        ("Lately", "USD", 0, "0.00"),
    ]  # fmt: skip
    assert found["segments"][0]["min_lifetime_value"] == "300.00"
    assert found["segments"][0]["max_orders"] is None
    assert shop.get("/v1/account").body["segments"][2] == {"name": "New", "max_orders": 1}


def test_changes_count_at_once(shop: Shop) -> None:
    add_customers(shop)
    assert listed(shop)[0] == "ann"
    shop.edit("a1", {"total": 1})
    shop.delete("b3")
    shop.keep_book()
    assert listed(shop) == ["ann", "bob", "cleo", "dan"]
    people = shop.get(LIST).body["people"]
    assert [person["lifetime_value"].get("USD") for person in people] == ["301.00", "200.00", "90.00", None]
    assert [person["orders_count"] for person in people] == [2, 2, 1, 1]
    shop.edit("b1", {"customer_email": DAN})
    shop.keep_book()
    assert listed(shop, min_orders="2") == ["ann", "dan"]


def test_only_sources_that_count_are_ranked(shop: Shop) -> None:
    add_customers(shop)
    shop.accounts.change(ACCOUNT, {"sources": ["shopper_activity"]})
    assert listed(shop) == ["cleo"]


def test_the_list_is_available_as_csv(shop: Shop) -> None:
    add_customers(shop)
    answer = shop.get(LIST, query={"format": "csv", "limit": "3"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(NAMES[row["id"]], row["lifetime_value"], row["last_order_on"]) for row in rows] == [
        ("ann", "500.00", "2019-05-05"), ("bob", "300.00", "2019-04-05"), ("cleo", "90.00", "2019-06-01"),
    ]  # fmt: skip
    rest = shop.get(LIST, query={"cursor": answer.headers["x-next-cursor"]}, headers={"accept": "text/csv"})
    assert [row["lifetime_value"] for row in csv.DictReader(io.StringIO(rest.text, newline=""))] == ["0.00"]


def test_another_account_sees_nobody(shop: Shop) -> None:
    add_customers(shop)
    assert shop.get(f"/v3/{OTHER}/people", key=OTHER_ADMIN).body["people"] == []
    assert shop.get(LIST, key=OTHER_ADMIN).status == 403


# ------------------------------------------------------------ purge and erasure


def test_an_erased_person_leaves_the_list_at_once_and_may_return(shop: Shop) -> None:
    add_customers(shop)
    assert listed(shop)[0] == "ann"
    job_id = start_erasure(shop, ANN)
    assert listed(shop) == ["bob", "cleo", "dan"]
    submit(shop, order("a3", order_date="2019-07-05", total=1, customer_email=ANN))
    assert "ann" in listed(shop)
    finish(shop, job_id)
    shop.keep_book()
    assert listed(shop) == ["bob", "cleo", "ann", "dan"]


def test_items_that_name_people_are_kept_for_a_month(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    add_customers(shop)
    listed(shop)
    kept = [item for item in book_items(shop) if "/people/" in item["sk"]]
    assert len(kept) == 6  # one for each day with orders
    now = time.time()
    assert all(30 * 24 * 3600 - 60 < int(item["ttl"]) - now <= 30 * 24 * 3600 for item in kept)
    monkeypatch.setattr(time, "time", lambda: now + 31 * 24 * 3600)
    with shop.faults.recorded() as calls:
        listed(shop)
    assert sum(name == "PutItem" for name, _ in calls) == 6


def book_items(shop: Shop) -> list[dict[str, Any]]:
    return [item for item in shop.items(settings().book_table) if "summaries" in item["pk"]]


@pytest.mark.parametrize("source", ["orders_api", "shopper_activity"])
def test_a_purge_removes_its_source_from_the_list_at_once(
    shop: Shop, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "MOST_PEOPLE", 2)  # so that the ranking is stored
    add_customers(shop)
    assert len(listed(shop)) == 4
    run_purge(shop, source)
    shop.keep_book()
    assert listed(shop) == (["cleo"] if source == "orders_api" else ["ann", "bob", "dan"])


# ---------------------------------------------------------------- many people


def test_many_people_are_ranked_in_parts_once_an_hour(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    add_customers(shop)
    shop.accounts.change(ACCOUNT, {"segments": (Segment("VIP", min_lifetime_value=Decimal(300)),)})
    expected, segments = listed(shop), shop.get(SEGMENTS).body
    monkeypatch.setattr(ranking, "MOST_PEOPLE", 2)
    found = shop.get(LIST).body
    assert found["as_of"]
    assert found["total"] == 4
    assert listed(shop, limit="1") == listed(shop) == expected
    assert shop.get(SEGMENTS).body | {"as_of": None} == segments
    submit(shop, order("d2", total=5000, customer_email=DAN))
    shop.keep_book()
    assert listed(shop) == expected, "the ranking is kept for an hour"
    assert listed(shop, sort="orders")[0] == "bob"
    shop.clock.sleep(sales.LARGE_DAY_SECONDS + 1)
    assert listed(shop)[0] == "dan"
    monkeypatch.setattr(ranking, "MOST_LISTED", 3)
    shop.clock.sleep(sales.LARGE_DAY_SECONDS + 1)
    assert len(listed(shop, limit="1")) == 3


def test_a_list_without_enough_time_is_continued_by_the_next_request(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "MOST_PEOPLE", 2)
    add_customers(shop)
    statuses = []
    for _ in range(9):
        answer = shop.get(LIST, milliseconds=0)
        statuses.append(answer.status)
        if answer.status == 200:
            break
        assert answer.headers["retry-after"] == "1"
    assert statuses[-1] == 200
    assert len(statuses) > 1
    assert [NAMES[person["id"]] for person in answer.body["people"]] == ["ann", "bob", "cleo", "dan"]
