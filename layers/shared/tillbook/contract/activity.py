"""A v3 event as it is kept: what the ledger needs of its body, and how it is shown.

The body holds the published fields, and the custom attributes of the event and of each item under `properties`. What a
shop may send is defined in shopper_activity.py; processing and reading need none of it, and so no pydantic.
"""

from __future__ import annotations

from decimal import Decimal

from tillbook.rules.amounts import text as amount_text
from tillbook.rules.json_text import Json
from tillbook.rules.order import SETS_TOTAL


def order_of(body: dict[str, Json]) -> dict[str, Json]:
    """The published fields of an event's body, amounts as decimal strings."""
    return {name: _shown(name, value) for name, value in body.items() if name != "properties"}


def _shown(name: str, value: Json) -> Json:
    if name == "items":
        return [{"quantity": 1} | {part: _shown(part, entry) for part, entry in item.items()} for item in value]
    # All numbers of the contract but this one are amounts.
    return amount_text(Decimal(value)) if isinstance(value, int | Decimal) and name != "quantity" else value


def merged(bodies: list[dict[str, Json]]) -> dict[str, Json]:
    """An order as its events make it, oldest first: of each field the latest event that carries it."""
    out: dict[str, Json] = {}
    properties: dict[str, Json] = {}
    for body in bodies:
        out |= body
        properties |= properties_of(body)
    return out | {"properties": properties}


def properties_of(body: dict[str, Json]) -> dict[str, Json]:
    """The custom attributes of an event, with their JSON types."""
    return body.get("properties") or {}


def amounts_of(body: dict[str, Json]) -> tuple[Decimal | None, Decimal, str]:
    """(total it carries, refund, currency): what the ledger needs of a body."""
    total = body.get("grand_total")
    refund = body.get("refund_amount") if body["action"] not in SETS_TOTAL else None
    return (
        None if total is None else Decimal(total),
        Decimal(0) if refund is None else Decimal(refund),
        body.get("currency", ""),
    )
