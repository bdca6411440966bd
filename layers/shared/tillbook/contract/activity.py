"""The stored body of a v3 event: the values that the ledger takes from it, and the form in which answers show it.

The body has the published fields. The event and each of its items keep their custom attributes under `properties`. The
fields that a shop may send are defined in shopper_activity.py. That module needs pydantic, so processing and reading
import only this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tillbook.rules.amounts import text as amount_text
from tillbook.rules.json_text import Json
from tillbook.rules.order import SETS_TOTAL


def order_of(body: dict[str, Json]) -> dict[str, Json]:
    """The published fields of an event's body, with amounts as decimal strings."""
    return {name: _shown(name, value) for name, value in body.items() if name != "properties"}


def _shown(name: str, value: Json) -> Json:
    if name == "items":
        return [{"quantity": 1} | {part: _shown(part, entry) for part, entry in item.items()} for item in value]
    # Every number in the contract except `quantity` is an amount.
    return amount_text(Decimal(value)) if isinstance(value, int | Decimal) and name != "quantity" else value


def merged(bodies: list[dict[str, Json]]) -> dict[str, Json]:
    """Merges the bodies of an order's events (oldest first) into one, in which each field has its latest value."""
    out: dict[str, Json] = {}
    properties: dict[str, Json] = {}
    for body in bodies:
        out |= body
        properties |= properties_of(body)
    return out | {"properties": properties}


def notes_of(action: str, notes: Sequence[str], flags: Sequence[str]) -> list[str]:
    """The notes of a request: those of its body, and one for each flag of its event (rules.order.flags_of)."""
    found = [f"grand_total on {action} was ignored" if flag == "grand_total_ignored" else flag for flag in flags]
    return [*notes, *found]


def properties_of(body: dict[str, Json]) -> dict[str, Json]:
    """The custom attributes of an event, with their JSON types."""
    return body.get("properties") or {}


def amounts_of(body: dict[str, Json]) -> tuple[Decimal | None, Decimal, str]:
    """(total or None, refund, currency) of a body. Amounts are in currency units; the currency may be empty.

    The refund is 0 if the action sets the total: a `refund_amount` is then ignored.
    """
    total = body.get("grand_total")
    refund = body.get("refund_amount") if body["action"] not in SETS_TOTAL else None
    return (
        None if total is None else Decimal(total),
        Decimal(0) if refund is None else Decimal(refund),
        body.get("currency", ""),
    )
