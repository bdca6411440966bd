"""The book, which has a card for each order at its date: lists, purges and erasures, the keeper, audience sizes."""

from __future__ import annotations

import csv
import io

import pytest

from tests.handlers.audiences import job, order, send, submit
from tests.handlers.events import event
from tests.handlers.removal import (
    ANN,
    BOB,
    finish,
    run_erasure,
    run_purge,
    start_erasure,
    start_purge,
    stored_outcome_ids,
)
from tests.handlers.sales import cards, cells, list_order_ids, report, submit_some_orders
from tests.handlers.shop import ACCOUNT, Shop, kill_at_write
from tests.stream import change, passes
from tillbook.aws.items import raw
from tillbook.aws.settings import settings
from tillbook.ledger.activities import Activity, Result
from tillbook.ledger.items import Scope
from tillbook.records.book import Book
from tillbook.rules import times
from tillbook.rules.errors import Unavailable
from tillbook.rules.order import VOIDED
from tillbook.views import order_list, sales
from tillbook.work import book, processing

# -------------------------------------------------------------- orders by date


def test_orders_by_date_newest_first(shop: Shop) -> None:
    submit_some_orders(shop)
    assert list_order_ids(shop) == list_order_ids(shop, limit="1") == ["c", "b", "d", "a"]
    entries = {entry["order_id"]: entry for entry in shop.get("/v1/orders").body["orders"]}
    assert entries["d"] == {
        "order_id": "d", "order_public_id": None, "source": "shopper_activity", "provider": "shopify",
        "status": "refunded", "ordered_at": "2019-03-10T10:00:00Z", "date": "2019-03-10", "currency": "USD",
        "total": "100.00",
        "refunds": "40.00", "net": "60.00", "new_buyer": True, "promo_code": "spring",
        "person": shop.person(event()["email"])["id"],
        "items": [{"identifier": "SKU-1", "category": "Shoes", "quantity": "3", "amount": "60.00"}],
    }  # fmt: skip
    assert entries["a"]["status"] == "submitted"


def test_orders_of_one_moment_are_paged(shop: Shop) -> None:
    submit(shop, *(order(f"v1-{n}", order_date="2019-03-10") for n in range(4)))
    send(shop, *(event(order_id=f"v3-{n}", occurred_at="2019-03-10") for n in range(4)))
    shop.keep_book()
    for limit in ("1", "3", "200"):
        found = list_order_ids(shop, limit=limit)
        assert len(found) == len(set(found)) == 8


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"source": "orders_api"}, ["c", "b", "a"]), ({"status": "refunded"}, ["d"]), ({"provider": "shopify"}, ["d"]),
        ({"promo_code": "sPRING "}, ["b", "d", "a"]), ({"currency": "eur"}, ["c"]),
        ({"from": "2019-03-10", "to": "2019-03-31"}, ["b", "d"]), ({"status": "paid"}, []),
    ],
)  # fmt: skip
def test_filters_of_the_list_of_orders(shop: Shop, query: dict[str, str], expected: list[str]) -> None:
    submit_some_orders(shop)
    assert list_order_ids(shop, **query) == list_order_ids(shop, **query, limit="1") == expected


def test_a_page_ends_after_it_has_read_its_limit_of_cards(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    submit_some_orders(shop)
    monkeypatch.setattr(order_list, "_MOST_READ", 2)
    page = shop.get("/v1/orders", query={"status": "refunded"}).body
    assert page["orders"] == []
    assert page["next_cursor"]
    assert list_order_ids(shop, status="refunded") == ["d"]


def test_orders_as_csv(shop: Shop) -> None:
    submit_some_orders(shop)
    answer = shop.get("/v1/orders", query={"format": "csv", "limit": "3"})
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["order_id"] for row in rows] == ["c", "b", "d"]
    assert '"SKU-1"' in rows[2]["items"]
    rest = shop.get("/v1/orders", query={"format": "csv", "cursor": answer.headers["x-next-cursor"]})
    assert [row["order_id"] for row in csv.DictReader(io.StringIO(rest.text, newline=""))] == ["a"]


def test_a_voided_order_is_listed_and_counts_nothing(shop: Shop) -> None:
    send(shop, event(occurred_at="2019-03-01T00:00:01Z"))
    received = times.now()
    activity = Activity(
        ACCOUNT, "shopify", "o-1", "voided-1", "request", received, received, 0, VOIDED, None,
        {"provider": "shopify", "order_id": "o-1", "action": VOIDED},
    )  # fmt: skip
    ledger = processing.processor().ledger
    (result,) = ledger.apply(Scope(ACCOUNT, "shopper_activity"), [activity], 1e9)
    assert isinstance(result, Result)
    shop.keep_book()
    assert report(shop)["rows"] == []
    assert list_order_ids(shop, status="voided") == ["o-1"]


# ------------------------------------------------------------ purge and erasure


def test_a_purge_changes_reports_at_once_and_later_deletes_the_cards(shop: Shop) -> None:
    submit_some_orders(shop)
    report(shop)
    job_id = start_purge(shop, "orders_api")
    assert list_order_ids(shop) == ["d"]
    assert cells(report(shop), "orders") == [(1,)]
    finish(shop, job_id)
    scopes = {item["pk"].split("/")[1] for item in shop.items(settings().book_table)}
    assert scopes == {"s0"}  # generation 0 of shopper_activity
    run_purge(shop)
    assert shop.items(settings().book_table) == []
    assert report(shop)["rows"] == list_order_ids(shop) == []


def test_an_interrupted_purge_finds_the_rest_of_the_book(shop: Shop) -> None:
    """However many partitions are deleted already, all others that have cards are found."""
    submit(shop, *(order(str(n), order_date=f"2019-0{n}-05") for n in range(1, 5)))
    shop.keep_book()
    store, scope = book.keeper().book, Scope(ACCOUNT, "orders_api")
    for partition in store.partitions(scope):
        for item in shop.items(settings().book_table):
            if item["pk"] == partition:
                key = {name: {"S": item[name]} for name in ("pk", "sk")}
                shop.dynamodb.delete_item(TableName=settings().book_table, Key=key)
        assert {card["pk"] for card in cards(shop)} <= set(store.partitions(scope))
    assert shop.items(settings().book_table) == []


def test_changes_from_before_a_purge_leave_no_card(shop: Shop) -> None:
    submit(shop, order("a"))
    shop.keep_book()
    run_purge(shop)
    submit(shop, order("b"))
    shop.keep_book()
    assert [card["order_id"] for card in cards(shop)] == ["b"]
    # A batch is delivered again after the purge. Its first delivery put the card of a purged order.
    head = {
        "pk": {"S": f"{ACCOUNT}/o0/h/0"},
        "sk": {"S": "x" * 22},
        "writes": {"N": "1"},
        "ordered_at": {"S": "20190905" + "0" * 12},
    }
    shop.dynamodb.put_item(
        TableName=settings().book_table,
        Item={"pk": {"S": f"{ACCOUNT}/o0/cards/201909"}, "sk": {"S": f"{'20190905' + '0' * 12}#{'x' * 22}"}},
    )
    assert (
        shop.stream([{"dynamodb": {"NewImage": head, "SequenceNumber": "1", "ApproximateCreationDateTime": 0}}]) == []
    )
    assert [card.get("order_id") for card in cards(shop)] == ["b"]
    # A put of the first delivery may still take effect. So its day is marked, and the job of the purge finds the month.
    assert (f"{ACCOUNT}/o0/marks", "20190905") in {(i["pk"], i["sk"]) for i in shop.items(settings().book_table)}


def test_an_erased_persons_orders_leave_the_list_at_once_and_the_report_later(shop: Shop) -> None:
    submit(shop, order("a"), order("b", customer_email=BOB))
    shop.keep_book()
    job_id = start_erasure(shop, ANN)
    assert list_order_ids(shop) == ["b"]
    finish(shop, job_id)
    shop.keep_book()
    assert cells(report(shop), "orders") == [(1,)]
    assert [set(card) for card in cards(shop) if "order_id" not in card] == [{"pk", "sk", "writes"}]  # emptied
    run_erasure(shop, BOB)
    assert report(shop)["rows"] == list_order_ids(shop) == []


# ---------------------------------------------- the keeper, which writes the book


def test_a_batch_without_time_is_delivered_again(shop: Shop) -> None:
    submit(shop, order("a"), order("b"))
    assert shop.keep_book(milliseconds=0) == []
    assert cards(shop) == []
    assert len(shop.keep_book()) == 4  # heads and versions


def test_a_card_that_cannot_be_made_does_not_block_the_others(shop: Shop) -> None:
    submit(shop, order("a"), order("b"))
    events = [item for item in shop.items(settings().ledger_table) if "/e/" in item["pk"]]
    shop.dynamodb.update_item(
        TableName=settings().ledger_table, Key={"pk": {"S": events[0]["pk"]}, "sk": {"S": events[0]["sk"]}},
        UpdateExpression="SET body = :body", ExpressionAttributeValues={":body": {"B": b"\x02 by a later version"}},
    )  # fmt: skip
    assert len(shop.keep_book()) == 4  # heads and versions
    assert len(cards(shop)) == len(stored_outcome_ids(shop)) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_work_of_a_keeper_that_dies_is_completed_later(shop: Shop, moment: str) -> None:
    submit_some_orders(shop)
    expected, applied, followed = report(shop), stored_outcome_ids(shop), dict(shop.followed)
    for number in range(20):
        for table in (settings().book_table, settings().records_table):
            for item in shop.items(table):
                if table == settings().book_table or "/t/applied/o" in item["pk"]:
                    key = {name: {"S": item[name]} for name in ("pk", "sk")}
                    shop.dynamodb.delete_item(TableName=table, Key=key)
        shop.followed.clear()
        with kill_at_write(shop, moment, number) as died:
            shop.keep_book()
        if not died:
            break
        report(shop)
        shop.keep_book()
        assert (report(shop), stored_outcome_ids(shop)) == (expected, applied)
    assert number > 8, "the keeper makes fewer writes than expected"
    assert shop.followed == followed


def test_a_rebuild_adds_changes_that_the_book_missed(shop: Shop) -> None:
    submit(shop, order("a", order_date="2019-03-05"), order("b", order_date="2019-03-06"))
    shop.keep_book()
    shop.edit("a", {"order_date": "2019-05-05"})
    submit(shop, order("c", order_date="2019-06-05"))
    shop.delete("b")
    shop.forget_stream()
    assert list_order_ids(shop) == ["b", "a"]
    job_id = shop.request("POST", "/v1/audience/customers-orders-api/rebuild").body["job_id"]
    shop.drain()
    assert job(shop, job_id)["status"] == "done", job(shop, job_id)
    assert list_order_ids(shop) == ["c", "a"]
    assert cells(report(shop), "period", "orders") == [("2019-05-01", 1), ("2019-06-01", 1)]


def test_the_report_after_a_rebuild_has_its_changes(shop: Shop) -> None:
    submit(shop, order("a", order_date="2019-03-05", total=5))
    shop.keep_book()
    assert cells(report(shop), "net") == [("5.00",)]
    shop.edit("a", {"total": 6})
    shop.forget_stream()
    assert shop.request("POST", "/v1/audience/customers-orders-api/rebuild").status == 202
    shop.drain()
    assert cells(report(shop), "net") == [("6.00",)]


def test_a_rebuild_visits_all_cards(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "_CARDS_A_PAGE", 2)
    submit(shop, *(order(str(n), order_date=f"2019-0{1 + n % 3}-05") for n in range(7)))
    shop.keep_book()
    for n in range(7):  # the book misses these changes
        shop.delete(str(n))
    keeper = book.keeper()
    scope = keeper.scopes.read(ACCOUNT).scope("orders_api")
    after: str | None = ""
    pages = 0
    while after is not None:
        after, pages = keeper.empty_places_left(scope, after, lambda: False, 1e9), pages + 1
    assert pages == 4  # three with two cards, and one with the seventh
    assert list_order_ids(shop) == []


def test_a_card_has_at_most_150_items_of_an_order(shop: Shop) -> None:
    items = [{"identifier": f"sku-{n}", "total": 1} for n in range(200)]
    submit(shop, order("a", order_items=items, total=200))
    shop.keep_book()
    (entry,) = shop.get("/v1/orders").body["orders"]
    assert len(entry["items"]) == 150
    # The last one is the sum of the items 150 to 200.
    assert entry["items"][-1] == {"identifier": None, "category": None, "quantity": "51", "amount": "51.00"}


# ------------------------------------ the filter of the stream, sizes of audiences


def test_the_filter_of_the_stream_passes_heads_and_new_v1_versions() -> None:
    scopes = Scope(ACCOUNT, "orders_api"), Scope(ACCOUNT, "shopper_activity")
    for scope in scopes:
        v1 = scope.source == "orders_api"
        head = raw(scope.head_key("k" * 22) | {"writes": 1} | ({"id": "i"} if v1 else {}))
        event = raw(scope.event_key("k" * 22, "e") | {"request": "r"} | ({"id": "i"} if v1 else {}))
        person = raw(scope.person_key("p" * 32) | {"token": "t"})
        inserted = [passes(change(1, None, item)) for item in (head, event, person)]
        assert inserted == [True, v1, False]
        assert [passes(change(1, item, item)) for item in (head, event, person)] == [True, False, False]
        assert not any(passes(change(1, item, None)) for item in (head, event, person))


def audience_sizes(shop: Shop) -> list[int]:
    return [audience["member_count"] for audience in shop.get("/v1/audiences").body]


def test_the_size_of_an_audience_comes_from_the_book(shop: Shop) -> None:
    submit_some_orders(shop)
    assert audience_sizes(shop) == [3, 1]
    shop.delete("a")
    assert audience_sizes(shop) == [3, 1]  # the book has not received the deletion yet
    send(shop, event(order_id="e", occurred_at="2012-03-10T10:00:00Z"))
    assert audience_sizes(shop) == [2, 2]
    with shop.faults.recorded() as calls:  # each source needs its changed days and its stored sizes, and no cards
        assert audience_sizes(shop) == [2, 2]
    assert [name for name, arguments in calls if arguments.get("TableName") == settings().book_table] == ["Query"] * 4


def test_sizes_and_reports_do_not_disturb_each_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes and reports stop within the same day, and each continues at its own place."""
    monkeypatch.setattr(sales, "_CARDS_BETWEEN_LOOKS_AT_THE_CLOCK", 1)
    submit(shop, *(order(f"{n}", order_date="2019-03-05", total=1) for n in range(4)))
    shop.keep_book()
    scope, store = Scope(ACCOUNT, "orders_api"), Book(shop.dynamodb, settings().book_table)
    for _ in range(3):
        with pytest.raises(Unavailable):
            sales.size_of(store, scope, lambda: False)
    assert report(shop)["totals"][0]["orders"] == 4
    assert audience_sizes(shop) == [4, 0]


def test_a_count_of_many_days_is_continued_by_later_requests(shop: Shop) -> None:
    """Each request counts at least one more day and stores it, so that a later request has all days."""
    submit(shop, *(order(f"{n}", order_date=f"2019-03-0{n}") for n in range(1, 4)))
    shop.keep_book()
    scope, store = Scope(ACCOUNT, "orders_api"), Book(shop.dynamodb, settings().book_table)
    for _ in range(2):
        with pytest.raises(Unavailable):
            sales.size_of(store, scope, lambda: False)
    assert sales.size_of(store, scope, lambda: False) == sales.Size(3, 3)


def test_without_time_the_size_of_an_audience_is_unavailable(shop: Shop) -> None:
    submit_some_orders(shop)
    answer = shop.get("/v1/audiences", milliseconds=0)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_a_rebuild_stores_the_size_of_its_audience(shop: Shop) -> None:
    """The next job takes its total from the size."""
    submit_some_orders(shop)
    assert shop.request("POST", "/v1/audience/customers-orders-api/rebuild").status == 202
    shop.drain()
    with shop.faults.recorded() as calls:
        assert audience_sizes(shop)[0] == 3
    books = [a for name, a in calls if name == "Query" and a["TableName"] == settings().book_table]
    assert not any("/cards/" in str(a) and "/o0/" in str(a) for a in books)
    job_id = shop.request("POST", "/v1/audience/customers-orders-api/rebuild").body["job_id"]
    assert job(shop, job_id)["total"] == 3
