"""The sales report over HTTP: revenue by period and group, comparisons, time zones and CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.handlers.audiences import order, send, submit
from tests.handlers.events import event
from tests.handlers.sales import PERIOD, cells, list_order_ids, report, submit_some_orders
from tests.handlers.shop import ACCOUNT, OTHER_ADMIN, Shop
from tillbook.aws.settings import settings
from tillbook.views import sales

# ------------------------------------------------------------------ the report


def test_revenue_by_month(shop: Shop) -> None:
    submit_some_orders(shop)
    found = report(shop)
    names = ("period", "currency", "orders", "gross", "refunds", "net", "average_order_value", "new_buyers")
    # Gross in March: 100 (a) + 50 (b) + 100 (d). The refund of 40 was made in April, but counts on the order's date.
    # The average is 250 / 3. April has only c.
    assert cells(found, *names) == [
        ("2019-03-01", "USD", 3, "250.00", "40.00", "210.00", "83.33", 2),
        ("2019-04-01", "EUR", 1, "7.00", "0.00", "7.00", "7.00", 0),
    ]
    assert [(total["currency"], total["net"]) for total in found["totals"]] == [("EUR", "7.00"), ("USD", "210.00")]
    assert (found["time_zone"], found["as_of"], found["compared_with"]) == ("UTC", None, None)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("source", [("orders_api", 2, "150.00"), ("shopper_activity", 1, "60.00")]),
        ("provider", [(None, 2, "150.00"), ("shopify", 1, "60.00")]),
        ("new_buyer", [(True, 2, "160.00"), (None, 1, "50.00")]),
        ("promo_code", [("spring", 3, "210.00")]),
    ],
)
def test_revenue_by_group(shop: Shop, group: str, expected: list[Any]) -> None:
    submit_some_orders(shop)
    found = report(shop, group_by=group, currency="usd", to="2019-03-31")
    assert cells(found, "group", "orders", "net") == expected
    assert found["group_by"] == group


def test_revenue_by_item_and_by_topmost_category(shop: Shop) -> None:
    submit_some_orders(shop)
    for group, name in (("category", "Shoes"), ("item", "SKU-1")):
        found = report(shop, group_by=group)
        # a: 2 for 30 in total. d: 3 for 20 each.
        assert cells(found, "period", "group", "orders", "quantity", "amount") == [
            ("2019-03-01", name, 2, "5", "90.00")
        ]
        assert found["totals"] == []


def test_groups_beyond_the_limit_are_one_row(shop: Shop) -> None:
    submit(shop, *(order(str(n), total=n, metadata={"promo_code": f"code-{n}"}) for n in range(1, 6)))
    shop.keep_book()
    found = report(shop, group_by="promo_code", limit="2")
    assert cells(found, "group", "rest", "net") == [
        ("code-5", False, "5.00"), ("code-4", False, "4.00"), (None, True, "6.00"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("compare", "period", "orders"),
    [("previous_period", ("2019-01-01", "2019-03-31"), [3]), ("previous_year", ("2018-04-01", "2018-06-30"), [])],
)
def test_a_period_is_compared_with_an_earlier_one(
    shop: Shop, compare: str, period: tuple[str, str], orders: list[int]
) -> None:
    submit_some_orders(shop)
    found = report(shop, **{"from": "2019-04-01", "to": "2019-06-30"}, compare=compare)["compared_with"]
    assert (found["from"], found["to"]) == period
    assert [total["orders"] for total in found["totals"]] == orders


@pytest.mark.parametrize(
    ("first", "last", "period"),
    [
        ("2019-04-02", "2019-06-30", ("2019-01-02", "2019-04-01")),
        ("2019-03-01", "2019-03-31", ("2019-02-01", "2019-02-28")),
        ("2019-01-01", "2019-01-31", ("2018-12-01", "2018-12-31")),
        ("2019-02-01", "2020-02-29", ("2018-01-01", "2019-01-31")),
        ("0001-01-01", "0001-01-31", ("0001-01-01", "0001-01-01")),  # there is no earlier date
    ],
)
def test_whole_months_are_compared_with_as_many_months_and_other_periods_with_as_many_days(
    shop: Shop, first: str, last: str, period: tuple[str, str]
) -> None:
    found = report(shop, **{"from": first, "to": last}, interval="month", compare="previous_period")["compared_with"]
    assert (found["from"], found["to"]) == period


def test_a_report_is_available_as_csv(shop: Shop) -> None:
    submit(shop, order("a", total=0, metadata={"promo_code": "=2+2"}))
    send(shop, event(grand_total=5), event(action="refunded", grand_total=..., refund_amount=9))
    shop.keep_book()
    query = {"group_by": "promo_code", "compare": "previous_year", "to": "2029-12-31"}  # the v3 order is of today
    answer = shop.get("/v1/reports/sales", query=PERIOD | query, headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert {(row["group"], row["net"]) for row in rows if row["series"] == "asked"} == {
        ("'=2+2", "0.00"),
        ("", "-4.00"),
    }
    assert {row["series"] for row in rows} == {"asked", "compared"}
    assert shop.get("/v1/reports/sales", query=PERIOD | {"format": "csv"}).text.startswith("series,period")


def test_days_are_those_of_the_accounts_time_zone(shop: Shop) -> None:
    send(shop, event(order_id="evening", occurred_at="2019-03-01T02:00:00Z"))
    submit(shop, order("dated", order_date="2019-03-01"), order("morning", order_date="2019-03-01T09:00:00Z"))
    shop.keep_book()
    days = {"from": "2019-02-28", "to": "2019-03-01", "interval": "day"}
    assert cells(report(shop, **days), "period", "orders") == [("2019-03-01", 3)]
    shop.accounts.change(ACCOUNT, {"time_zone": "America/New_York"})
    assert cells(report(shop, **days), "period", "orders") == [("2019-02-28", 1), ("2019-03-01", 2)]
    assert list_order_ids(shop, to="2019-02-28") == ["evening"]


def test_only_sources_that_count_are_reported(shop: Shop) -> None:
    submit_some_orders(shop)
    shop.accounts.change(ACCOUNT, {"sources": ["shopper_activity"]})
    assert cells(report(shop), "period", "orders") == [("2019-03-01", 1)]


def test_changed_days_are_counted_again(shop: Shop) -> None:
    submit_some_orders(shop)
    assert [(total["currency"], total["orders"]) for total in report(shop)["totals"]] == [("EUR", 1), ("USD", 3)]
    shop.edit("a", {"order_date": "2019-04-09", "total": 20})
    shop.delete("b")
    shop.keep_book()
    assert cells(report(shop, currency="USD"), "period", "orders", "net") == [
        ("2019-03-01", 1, "60.00"),  # d
        ("2019-04-01", 1, "20.00"),  # a
    ]


def test_unchanged_days_are_not_counted_again(shop: Shop) -> None:
    submit_some_orders(shop)
    first = report(shop)
    with shop.faults.recorded() as calls:
        assert report(shop) == first
    # For each of the two sources, the marks and the sums of the days are read, and no cards.
    assert [name for name, arguments in calls if arguments.get("TableName") == settings().book_table] == ["Query"] * 4


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/New_York"])
def test_reports_reach_both_ends_of_the_calendar(shop: Shop, zone: str) -> None:
    shop.accounts.change(ACCOUNT, {"time_zone": zone})
    submit(shop, order("first", order_date="0001-01-01T00:00:01Z"), order("last", order_date="9999-12-31T23:59:59Z"))
    shop.keep_book()
    for compare in ("previous_period", "previous_year"):
        found = report(shop, **{"from": "0001-01-01", "to": "9999-12-31"}, interval="week", compare=compare)
        assert cells(found, "period", "orders") == [("0001-01-01", 1), ("9999-12-27", 1)]
    assert list_order_ids(shop) == ["last", "first"]
    assert list_order_ids(shop, **{"from": "9999-12-31", "to": "9999-12-31"}) == ["last"]


def test_another_account_sees_nothing(shop: Shop) -> None:
    submit_some_orders(shop)
    for path, field in (("/v1/reports/sales", "rows"), ("/v1/orders", "orders")):
        assert shop.get(path, key=OTHER_ADMIN, query={"from": "2019-01-01"}).body[field] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2019-02-30"}, "from"), ({"to": "soon"}, "to"), ({"from": "2019-02-02", "to": "2019-02-01"}, "from"),
        ({"interval": "year"}, "interval"), ({"group_by": "person"}, "group_by"), ({"limit": "0"}, "limit"),
    ],
)  # fmt: skip
def test_an_invalid_query_is_refused(shop: Shop, query: dict[str, str], field: str) -> None:
    answer = shop.get("/v1/reports/sales", query=query)
    assert answer.status == 400
    assert answer.fields == {field}


def test_a_report_without_enough_time_is_continued_by_the_next_request(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(shop, *(order(str(n), order_date="2019-03-05") for n in range(5)))
    shop.keep_book()
    monkeypatch.setattr(sales, "_CARDS_BETWEEN_LOOKS_AT_THE_CLOCK", 2)
    statuses = []
    for _ in range(9):
        answer = shop.get("/v1/reports/sales", query=PERIOD, milliseconds=0)
        statuses.append(answer.status)
        if answer.status == 200:
            break
        assert answer.headers["retry-after"] == "1"
    assert statuses == [503, 503, 200]  # after 2, 4 and all 5 orders
    assert [row["orders"] for row in answer.body["rows"]] == [5]


def test_a_large_day_is_summed_up_once_an_hour(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sales, "LARGE_DAY", 2)
    submit(shop, *(order(str(n), order_date="2019-03-05") for n in range(3)))
    shop.keep_book()
    assert report(shop)["as_of"] is None
    submit(shop, order("after the first report", order_date="2019-03-05"))
    shop.keep_book()
    found = report(shop)
    assert found["as_of"]
    assert [row["orders"] for row in found["rows"]] == [3]
    shop.clock.sleep(sales.LARGE_DAY_SECONDS + 1)
    assert [row["orders"] for row in report(shop)["rows"]] == [4]
