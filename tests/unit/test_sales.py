"""The facts about an order that reports take from its body."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tillbook.rules.json_text import dumps, loads
from tillbook.rules.sales import (
    MOST_LINES,
    Details,
    Line,
    details_of_activity,
    details_of_order,
    lines_of,
    rows_of,
)

ITEM = {"product_id": "p", "product_variant_id": "v", "sku": "s", "name": "Boots", "price": Decimal("20.5")}


def line(item: dict[str, Any]) -> Line:
    (found,) = details_of_activity({"items": [item]}).lines
    return found


@pytest.mark.parametrize(
    ("changes", "quantity", "amount"),
    [
        ({}, 1, "20.5"), ({"quantity": 3}, 3, "61.5"), ({"quantity": 2, "discount": Decimal("1.5")}, 2, "39.5"),
        ({"quantity": 2, "total": Decimal(7)}, 2, "7"), ({"quantity": 0}, 0, "0"), ({"total": 0}, 1, "0"),
        ({"quantity": -1}, -1, "-20.5"),
    ],
)  # fmt: skip
def test_quantity_and_amount_of_a_shopper_activity_item_are_computed(
    changes: dict[str, Any], quantity: int, amount: str
) -> None:
    assert line(ITEM | changes) == Line("s", "", Decimal(quantity), Decimal(amount))


def test_an_item_is_identified_by_its_sku_else_its_variant_else_its_product() -> None:
    names = ["sku", "product_variant_id", "product_id"]
    found = [line({k: v for k, v in ITEM.items() if k not in names[:number]}).identifier for number in range(3)]
    assert found == ["s", "v", "p"]


def test_the_topmost_category_counts() -> None:
    assert line(ITEM | {"categories": ["Shoes", "Boots"]}).category == "Shoes"
    assert line(ITEM | {"categories": []}).category == ""
    order = {"order_items": [{"identifier": "i", "total": Decimal(5), "category": ["Hats", "Caps"]}]}
    assert details_of_order(order).lines == (Line("i", "Hats", Decimal(1), Decimal(5)),)


@pytest.mark.parametrize(
    ("properties", "new_buyer", "promo_code"),
    [
        ({}, "", ""), ({"promo_code": " A "}, "", "A"), ({"discount_code": "b"}, "", "b"),
        ({"promo_code": "a", "discount_code": "b"}, "", "a"), ({"promo_code": True, "discount_code": 7}, "", "7"),
        ({"new_buyer": True}, "true", ""), ({"new_buyer": 0}, "false", ""), ({"new_buyer": "yes"}, "", ""),
        ({"new_buyer": ["true"], "promo_code": {"code": "a"}}, "", ""), ({"promo_code": "x" * 999}, "", "x" * 255),
    ],
)  # fmt: skip
def test_custom_attributes_of_shopper_activity_give_new_buyer_and_promo_code(
    properties: dict[str, Any], new_buyer: str, promo_code: str
) -> None:
    found = details_of_activity({"properties": properties, "order_public_id": "#5"})
    assert found == Details("#5", new_buyer, promo_code)


def test_metadata_of_the_orders_api_gives_new_buyer_and_promo_code() -> None:
    found = details_of_order({"metadata": {"new_buyer": "1", "promo_code": "Spring "}})
    assert (found.new_buyer, found.promo_code) == ("true", "Spring")


def test_lines_of_one_item_are_added_up() -> None:
    items = [{"identifier": "i", "total": Decimal(n), "quantity": n} for n in (1, 2, 3)]
    assert details_of_order({"order_items": items}).lines == (Line("i", "", Decimal(6), Decimal(6)),)


def test_lines_beyond_the_limit_are_added_up_in_the_last_line() -> None:
    # The first MOST_LINES - 1 items have a line each; the last line is for the other 51.
    items = [{"identifier": f"i-{n}", "total": Decimal("0.01")} for n in range(MOST_LINES + 50)]
    lines = details_of_order({"order_items": items}).lines
    assert len(lines) == MOST_LINES
    assert lines[-1] == Line("", "", Decimal(51), Decimal("0.51"))
    assert sum(one.amount for one in lines) == (MOST_LINES + 50) * Decimal("0.01")
    assert len(details_of_order({"order_items": items[: MOST_LINES - 1]}).lines) == MOST_LINES - 1


def test_lines_survive_a_round_trip_through_json() -> None:
    lines = (Line("i", "c", Decimal("1.5"), Decimal("-7.10")),)
    assert tuple(lines_of(loads(dumps(rows_of(lines)), ours=True))) == lines
