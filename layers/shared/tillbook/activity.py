"""A v3 event as it is kept: what the ledger needs of its body, and how it is shown.

What a shop may send is the concern of shopper_activity.py; processing and reading need nothing of it.
"""

from __future__ import annotations

from decimal import Decimal

from tillbook.addresses import says_something
from tillbook.amounts import text as amount_text
from tillbook.json_text import Json
from tillbook.order import SETS_TOTAL

# The published names, of an event and of its items; all others are custom attributes. A test
# compares them with those that are checked.
FIELDS = frozenset(
    {
        "provider", "person_id", "email", "action", "occurred_at", "order_id", "order_public_id", "grand_total",
        "total_discounts", "total_taxes", "total_fees", "total_shipping", "refund_amount", "currency", "order_url",
        "items", "billing_address", "shipping_address",
    }
)  # fmt: skip
ITEM_FIELDS = frozenset(
    {
        "product_id", "product_variant_id", "sku", "name", "brand", "categories", "price", "quantity", "discount",
        "taxes", "fees", "shipping", "total", "product_url", "image_url",
    }
)  # fmt: skip
_ADDRESSES = ("billing_address", "shipping_address")
# What shows as an amount.
_AMOUNTS = ("grand_total", "total_discounts", "total_taxes", "total_fees", "total_shipping", "refund_amount")
_ITEM_AMOUNTS = ("price", "discount", "taxes", "fees", "shipping", "total")


def order_of(body: dict[str, Json]) -> dict[str, Json]:
    """The published fields of an event's body, amounts as decimal strings."""
    out = {name: value for name, value in body.items() if name in FIELDS}
    for name in _AMOUNTS:
        if name in out:
            out[name] = amount_text(Decimal(out[name]))
    if "items" in out:
        out["items"] = [_item(item) for item in out["items"]]
    return out


def _item(item: dict[str, Json]) -> dict[str, Json]:
    shown = {name: item[name] for name in item if name in ITEM_FIELDS}
    for name in _ITEM_AMOUNTS:
        if name in shown:
            shown[name] = amount_text(Decimal(shown[name]))
    custom = {name: value for name, value in item.items() if name not in ITEM_FIELDS}
    return {"quantity": 1} | shown | ({"properties": custom} if custom else {})


def merged(bodies: list[dict[str, Json]]) -> dict[str, Json]:
    """An order as its events make it, oldest first: of each field what the latest says that carries it."""
    out: dict[str, Json] = {}
    for body in bodies:
        out |= {n: v for n, v in body.items() if n not in _ADDRESSES or says_something(v)}
    return out


def properties_of(body: dict[str, Json]) -> dict[str, Json]:
    """The custom attributes of an event, with their JSON types."""
    return {name: value for name, value in body.items() if name not in FIELDS}


def amounts_of(body: dict[str, Json]) -> tuple[Decimal | None, Decimal, str]:
    """(total it carries, refund, currency): what the ledger needs of a body."""
    total = body.get("grand_total")
    refund = body.get("refund_amount") if body["action"] not in SETS_TOTAL else None
    return (
        None if total is None else Decimal(total),
        Decimal(0) if refund is None else Decimal(refund),
        body.get("currency", ""),
    )
