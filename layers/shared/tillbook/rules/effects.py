"""What each request did to the sums: by how much it moved an order's contribution, and what reports tell apart by.

Kept with the event and with what became of the request, so that the sums of a day can be added up from its requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

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


def effects_text(effects: Sequence[Effect]) -> str:
    """[[currency, amount, orders, new_buyer, promo_code], ...], without what is empty at the end; "" for none."""
    return dumps(_rows(effects)) if effects else ""


def _rows(effects: Sequence[Effect]) -> list[list[Json]]:
    rows: list[list[Json]] = []
    for e in effects:
        row: list[Json] = [e.currency, str(e.amount), e.orders, e.new_buyer, e.promo_code]
        while len(row) > 2 and not row[-1]:
            row.pop()
        rows.append(row)
    return rows


def effects_in(text: str) -> list[Effect]:
    """The other way round."""
    return _effects(loads(text, ours=True)) if text else []


def _effects(rows: list[list[Json]]) -> list[Effect]:
    return [Effect(row[0], Decimal(row[1]), *row[2:]) for row in rows]


def moves_text(moves: str, request_id: str, effects: Sequence[Effect]) -> str:
    """Adds what a copy of an event did to the sums that was applied later and moved it to an earlier place."""
    return dumps((loads(moves, ours=True) if moves else {}) | {request_id: _rows(effects)})


def effects_of_move(moves: str, request_id: str) -> list[Effect]:
    return _effects(loads(moves, ours=True).get(request_id, [])) if moves else []


def shown_effects(effects: Sequence[Effect], account_currency: str) -> list[Json]:
    """What a request did to LTV, as answers say it: `orders` is 1 for a new order, -1 for one that went."""
    return [
        {"currency": e.currency or account_currency, "amount": amount_text(e.amount), "orders": e.orders}
        for e in effects
    ]
