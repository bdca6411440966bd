"""Submits orders of several months, and reads the sales report and the orders by date."""

from __future__ import annotations

from typing import Any

from tests.handlers.audiences import order, send, submit
from tests.handlers.events import event
from tests.handlers.shop import Shop
from tillbook.aws.settings import settings

ITEM = {"identifier": "SKU-1", "category": ["Shoes", "Boots"], "total": 30, "quantity": 2}
V3_ITEM = {"product_id": "p", "sku": "SKU-1", "name": "Boots", "price": 20, "quantity": 3, "categories": ["Shoes"]}
PERIOD = {"from": "2019-01-01", "to": "2019-12-31", "interval": "month"}


def report(shop: Shop, **query: str) -> Any:
    answer = shop.get("/v1/reports/sales", query=PERIOD | query)
    assert answer.status == 200, answer.body
    return answer.body


def cells(found: Any, *names: str) -> list[tuple[Any, ...]]:
    """The named fields of each row of a report."""
    return [tuple(row[name] for name in names) for row in found["rows"]]


def list_order_ids(shop: Shop, **query: str) -> list[str]:
    """The ids of all orders that match a query, read page by page."""
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = shop.get("/v1/orders", query=query | cursor)
        assert answer.status == 200, answer.body
        ids += [entry["order_id"] for entry in answer.body["orders"]]
        if not answer.body["next_cursor"]:
            return ids
        cursor = {"cursor": answer.body["next_cursor"]}


def cards(shop: Shop) -> list[dict[str, Any]]:
    """The cards of the book, also emptied ones, which show no order."""
    return [item for item in shop.items(settings().book_table) if "/cards/" in item["pk"]]


def submit_some_orders(shop: Shop) -> None:
    """Submits four orders. By date: a (5 March 2019), d (10 March, v3, refunded in part in April), b (31 March), c (1
    April, EUR)."""
    labels = {"new_buyer": True, "promo_code": "Spring"}
    submit(
        shop,
        order("a", order_date="2019-03-05", metadata=labels, order_items=[ITEM]),
        order("b", order_date="2019-03-31", total=50, metadata={"new_buyer": "no", "promo_code": "SPRING"}),
        order("c", order_date="2019-04-01", total=7, currency="EUR"),
    )
    send(
        shop,
        event(
            order_id="d", occurred_at="2019-03-10T10:00:00Z", items=[V3_ITEM], discount_code="spring", new_buyer=True
        ),
        event(order_id="d", occurred_at="2019-04-10T10:00:00Z", action="refunded", grand_total=..., refund_amount=40),
    )
    shop.keep_book()
