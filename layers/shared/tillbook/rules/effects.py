"""What each request did to the sums: by how much it moved an order's contribution, and what reports tell apart by.

Kept with the event and with what became of the request, so that the sums of a day can be added up from its requests.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.json_text import Json, dumps, loads
from tillbook.rules.order import Standing

Labels = tuple[str, str]  # new_buyer, promo_code


class Effect(NamedTuple):
    """What one request did to the sums of a currency: the difference of an order's contribution and of orders.

    `new_buyer` (`true`, `false` or empty) and `promo_code` are the order's, where reports tell orders apart by them.
    """

    currency: str
    amount: Decimal
    orders: int = 0
    new_buyer: str = ""
    promo_code: str = ""


def effects_of(
    before: Standing | None, after: Standing | None, old: Labels = ("", ""), new: Labels = ("", "")
) -> list[Effect]:
    """Added up over all requests about an order they are what the order contributes now."""
    sums: dict[tuple[str, str, str], tuple[Decimal, int]] = {}
    for standing, labels, sign in ((before, old, -1), (after, new, 1)):
        if standing is not None:
            cell = (standing.currency, *labels)
            amount, orders = sums.get(cell, (ZERO, 0))
            sums[cell] = EXACT.add(amount, EXACT.multiply(standing.amount, Decimal(sign))), orders + sign
    return [
        Effect(currency, amount, orders, *labels)
        for (currency, *labels), (amount, orders) in sums.items()
        if amount or orders
    ]


def labels_of(body: dict[str, Json]) -> Labels:
    metadata = body.get("metadata") or {}
    new_buyer = str(metadata.get("new_buyer", "")).strip().lower()
    return new_buyer if new_buyer in ("true", "false") else "", str(metadata.get("promo_code", "")).strip()


def effects_text(effects: list[Effect]) -> str:
    """[[currency, amount, orders, new_buyer, promo_code], ...], without what is empty at the end."""
    return dumps(_rows(effects))


def _rows(effects: list[Effect]) -> list[list[Json]]:
    rows: list[list[Json]] = []
    for e in effects:
        row: list[Json] = [e.currency, str(e.amount), e.orders, e.new_buyer, e.promo_code]
        while len(row) > 2 and not row[-1]:
            row.pop()
        rows.append(row)
    return rows


def effects_told(item: dict[str, Any]) -> list[Effect]:
    """Of an event or an outcome; none where an older version wrote it."""
    return _effects(loads(item["fx"], ours=True)) if "fx" in item else []


def _effects(rows: list[list[Json]]) -> list[Effect]:
    return [Effect(row[0], Decimal(row[1]), *row[2:]) for row in rows]


def moves_text(item: dict[str, Any], request_id: str, effects: list[Effect]) -> str:
    """Of an event: what its copies did to the sums that came later and moved it to an earlier place."""
    return dumps(_moves(item) | {request_id: _rows(effects)})


def move_told(item: dict[str, Any], request_id: str) -> list[Effect]:
    return _effects(_moves(item).get(request_id, []))


def _moves(item: dict[str, Any]) -> dict[str, Json]:
    moves: dict[str, Json] = loads(item["fm"], ours=True) if "fm" in item else {}
    return moves


def shown_effects(effects: list[Effect], account_currency: str) -> list[Json]:
    """What a request did to LTV, as answers say it: `orders` is 1 for a new order, -1 for one that went."""
    return [
        {"currency": e.currency or account_currency, "amount": amount_text(e.amount), "orders": e.orders}
        for e in effects
    ]
