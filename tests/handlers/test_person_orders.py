"""Lists of a person's orders and activities of both sources: ties, pages, and stale entries of the indexes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.handlers.events import EMAIL, day, event
from tests.handlers.reading import PERSON, read_all_pages
from tests.handlers.shop import Shop
from tillbook.ledger.items import LEAST_BYTES_OF_EVENT
from tillbook.views import people

ORDERS = f"{PERSON}/{EMAIL}/orders"


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 200])
def test_orders_of_one_moment_are_listed_once_each(shop: Shop, limit: int) -> None:
    """Tests several page sizes, with orders of both sources."""
    moment = "2019-01-10T12:00:00Z"
    for number in range(6):
        shop.send(event(order_id=f"s{number}", occurred_at=moment))
        shop.submit({"order_id": f"v{number}", "order_date": moment, "customer_email": EMAIL})
    shop.send(event(order_id="older", occurred_at=day(9)))
    shop.send(event(order_id="newer", occurred_at=day(11)))
    shop.drain()
    ids = [entry["order_id"] for entry in read_all_pages(shop, ORDERS, "orders", limit)]
    assert (ids[0], ids[-1]) == ("newer", "older")
    assert sorted(ids[1:-1]) == [f"s{n}" for n in range(6)] + [f"v{n}" for n in range(6)]
    assert ids == [entry["order_id"] for entry in read_all_pages(shop, ORDERS, "orders", 200)]


def test_an_order_that_the_index_lists_at_two_dates_is_shown_at_its_own(shop: Shop) -> None:
    """The first event of the order arrived late and gave it an earlier date; the index still has the later one, too."""
    for number in range(3):
        shop.send(event(order_id=number, occurred_at=day(10 + number)))
    shop.drain()
    expected = shop.get(ORDERS).body
    assert [entry["order_id"] for entry in expected["orders"]] == ["2", "1", "0"]

    def listed_twice(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        answer = go()
        if operation == "Query" and arguments.get("IndexName") == "person":
            stale = copy.deepcopy(answer["Items"][-1])
            later = int(stale["ordered_at"]["S"]) + 10**15  # ten months, in the digits of a stamp
            stale["ordered_at"]["S"] = f"{later:020}"
            answer["Items"].insert(0, stale)
        return answer

    with shop.faults.injected(listed_twice):
        assert shop.get(ORDERS).body == expected


def test_a_page_of_orders_reads_a_bounded_number_of_bytes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of the largest orders would otherwise read 800 MB."""
    monkeypatch.setattr(people, "_MOST_READ", 3 * LEAST_BYTES_OF_EVENT)
    for number in range(7):
        shop.send(event(order_id=number, occurred_at=day(20 - number)))
    shop.drain()
    first = shop.get(ORDERS, query={"limit": "200"}).body["orders"]
    assert [entry["order_id"] for entry in first] == ["0", "1", "2"]
    assert [entry["order_id"] for entry in read_all_pages(shop, ORDERS, "orders", 200)] == [str(n) for n in range(7)]


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_the_timeline_has_activities_of_both_sources(shop: Shop, limit: int) -> None:
    for number in range(3):
        shop.send(event(order_id=f"s{number}", occurred_at=day(10 + 2 * number)))
        shop.submit({"order_id": f"v{number}", "order_date": day(11 + 2 * number), "customer_email": EMAIL})
    shop.drain()
    found = read_all_pages(shop, f"{PERSON}/{EMAIL}/activity", "activity", limit)
    assert [entry["order"]["order_id"] for entry in found] == ["v2", "s2", "v1", "s1", "v0", "s0"]
