"""Details of an order for sales reports, read from the order's body: public id, new_buyer, promo code and lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.json_text import Json
from tillbook.rules.labels import new_buyer_of, promo_code_of

MOST_LINES = 150
_LONGEST_TEXT = 255  # characters of a promo code, a category or an identifier


class Line(NamedTuple):
    """One item of an order. `category` is its first category; `amount` is in currency units; texts may be empty."""

    identifier: str
    category: str
    quantity: Decimal
    amount: Decimal


class Details(NamedTuple):
    """Details of an order. `new_buyer` is `true`, `false` or empty; `promo_code` is the sent code, trimmed."""

    public_id: str = ""
    new_buyer: str = ""
    promo_code: str = ""
    lines: tuple[Line, ...] = ()


def details_of_order(body: dict[str, Json]) -> Details:
    """Returns the details of a v1 order, from the body of its newest version."""
    metadata = body.get("metadata") or {}
    new_buyer = new_buyer_of(metadata.get("new_buyer", "")) or ""
    promo_code = promo_code_of(metadata.get("promo_code", "")) or ""
    lines = (
        Line(item["identifier"], _first(item.get("category")), _number(item.get("quantity", 1)), _number(item["total"]))
        for item in body.get("order_items") or ()
    )
    return Details("", new_buyer, promo_code[:_LONGEST_TEXT], _bounded(lines))


def details_of_activity(body: dict[str, Json]) -> Details:
    """Returns the details of a v3 order, from the body that contract.activity.merged makes of its events.

    `new_buyer`, and `promo_code` or `discount_code`, are custom attributes of events.
    """
    properties = body.get("properties") or {}
    codes = (promo_code_of(_text(properties.get(name))) for name in ("promo_code", "discount_code"))
    return Details(
        body.get("order_public_id") or "",
        new_buyer_of(_text(properties.get("new_buyer"))) or "",
        next((code[:_LONGEST_TEXT] for code in codes if code), ""),
        _bounded(_activity_line(item) for item in body.get("items") or ()),
    )


def _activity_line(item: dict[str, Json]) -> Line:
    """Returns the line of a v3 item. Its identifier is the SKU; without one, the variant's id or the product's id."""
    identifier = item.get("sku") or item.get("product_variant_id") or item["product_id"]
    quantity = _number(item.get("quantity", 1))
    if item.get("total") is None:
        price, discount = _number(item["price"]), _number(item.get("discount", ZERO))
        amount = EXACT.subtract(EXACT.multiply(price, quantity), discount)
    else:
        amount = _number(item["total"])
    return Line(identifier, _first(item.get("categories")), quantity, amount)


def _bounded(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Returns one line for each pair of identifier and category.

    Further lines after the first MOST_LINES - 1 are summed in one line without identifier and category.
    """
    sums: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
    for line in lines:
        key = line.identifier[:_LONGEST_TEXT], line.category[:_LONGEST_TEXT]
        if key not in sums and len(sums) >= MOST_LINES - 1:
            key = "", ""
        quantity, amount = sums.get(key, (ZERO, ZERO))
        sums[key] = EXACT.add(quantity, line.quantity), EXACT.add(amount, line.amount)
    return tuple(Line(*key, *numbers) for key, numbers in sums.items())


def rows_of(lines: Iterable[Line]) -> list[list[Json]]:
    """Returns lines as JSON, with quantities and amounts as text."""
    return [[line.identifier, line.category, str(line.quantity), str(line.amount)] for line in lines]


def lines_of(rows: Iterable[list[Json]]) -> Iterator[Line]:
    """Yields the lines of JSON that rows_of returned."""
    for identifier, category, quantity, amount in rows:
        yield Line(identifier, category, Decimal(quantity), Decimal(amount))


def _first(categories: Json) -> str:
    return categories[0] if categories else ""


def _text(value: Json) -> str:
    """Returns the value of a custom attribute (any JSON value) as text; empty for null, objects and lists."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | Decimal) else ""


def _number(value: Json) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(value or 0)
