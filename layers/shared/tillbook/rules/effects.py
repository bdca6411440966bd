"""Effects of a request on lifetime value: by how much the request changed an order's contribution.

Effects are stored with the event and with the request's outcome, for display only; no sum is computed from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.json_text import Json, dumps, loads
from tillbook.rules.order import Standing


class Effect(NamedTuple):
    """The change of an order's contribution (in units of `currency`), and of the number of orders in the currency."""

    currency: str
    amount: Decimal
    orders: int = 0


def effects_of(before: Standing | None, after: Standing | None) -> list[Effect]:
    """Returns the effects of a change of an order's contribution from `before` to `after`, at most one a currency."""
    sums: dict[str, Effect] = {}
    for standing, sign in ((before, -1), (after, 1)):
        if standing is not None:
            _, amount, orders = sums.get(standing.currency, Effect("", ZERO))
            amount = EXACT.add(amount, EXACT.multiply(standing.amount, Decimal(sign)))
            sums[standing.currency] = Effect(standing.currency, amount, orders + sign)
    return [effect for effect in sums.values() if effect.amount or effect.orders]


def effects_text(effects: Sequence[Effect]) -> str:
    """Returns effects as JSON, `[[currency, amount, orders], ...]`, or an empty text if there are none."""
    return dumps([[e.currency, str(e.amount), e.orders] for e in effects]) if effects else ""


def effects_in(text: str) -> list[Effect]:
    """Returns the effects of a text that effects_text returned."""
    rows = loads(text, ours=True) if text else []
    return [Effect(currency, Decimal(amount), orders) for currency, amount, orders in rows]


def shown_effects(effects: Sequence[Effect], account_currency: str) -> list[Json]:
    """Returns effects as the API shows them. An order without a currency is in the account's currency."""
    return [
        {"currency": e.currency or account_currency, "amount": amount_text(e.amount), "orders": e.orders}
        for e in effects
    ]
