"""Pure functions that attribute orders to mailings by last touch, and compute the lift over a holdout group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from statistics import NormalDist
from typing import Any, NamedTuple

from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.amounts import text as amount_text

from .mailings import Piece

CONFIDENCE = 0.95
Key = tuple[str, str, str]  # source, provider, order_id


class Order(NamedTuple):
    """An order as the match API lists it. Amounts are in currency units; `net` is the total less refunds."""

    key: Key
    public_id: str
    day: date
    currency: str
    total: Decimal
    refunds: Decimal
    net: Decimal
    is_new: bool

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Order:
        return cls(
            (entry["source"], entry["provider"] or "", entry["order_id"]),
            entry["order_public_id"] or "",
            date.fromisoformat(entry["date"]),
            entry["currency"],
            Decimal(entry["total"]),
            Decimal(entry["refunds"]),
            Decimal(entry["net"]),
            entry["new_buyer"] is True,
        )


class Match(NamedTuple):
    """An order that the person of a piece placed on the day of its mailing or within the window after it.

    `counts`: whether the order is attributed to this piece (see `attribute`).
    """

    piece: Piece
    order: Order
    counts: bool


class Lift(NamedTuple):
    """The difference between the shares of mailed and held-out people who ordered, with its confidence interval."""

    mailed: int
    mailed_ordered: int
    held_out: int
    held_out_ordered: int

    @property
    def difference(self) -> float:
        return self.mailed_ordered / self.mailed - self.held_out_ordered / self.held_out

    @property
    def interval(self) -> tuple[float, float]:
        """Newcombe's hybrid score interval for the difference of two independent shares.

        R. G. Newcombe, Interval estimation for the difference between independent proportions: comparison of eleven
        methods, Statistics in Medicine 17 (1998) 873-890, method 10.
        """
        p, q = self.mailed_ordered / self.mailed, self.held_out_ordered / self.held_out
        low_p, high_p = wilson(self.mailed_ordered, self.mailed)
        low_q, high_q = wilson(self.held_out_ordered, self.held_out)
        below, above = math.hypot(p - low_p, high_q - q), math.hypot(high_p - p, q - low_q)
        return max(p - q - below, -1.0), min(p - q + above, 1.0)

    @property
    def is_more_than_chance(self) -> bool:
        low, high = self.interval
        return low > 0 or high < 0


def wilson(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, square = successes / trials, z * z / trials
    middle, half = share + square / 2, z * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return (middle - half) / (1 + square), (middle + half) / (1 + square)


@dataclass
class Campaign:
    """Sums over the pieces of a campaign. `ordered`: the lines of pieces to which an order is attributed."""

    name: str
    first: date = date.max
    last: date = date.min
    mailed: int = 0
    held_out: int = 0
    cost: Decimal = ZERO
    has_cost: bool = False
    orders: int = 0
    new_buyers: int = 0
    revenue: dict[str, Decimal] = field(default_factory=dict)
    refunds: dict[str, Decimal] = field(default_factory=dict)
    ordered: set[int] = field(default_factory=set)
    # Lines of pieces with any order in the window, by `held_out`. The lift is computed from these for both groups.
    touched: dict[bool, set[int]] = field(default_factory=lambda: {False: set(), True: set()})

    @property
    def lift(self) -> Lift | None:
        if not self.mailed or not self.held_out:
            return None
        return Lift(self.mailed, len(self.touched[False]), self.held_out, len(self.touched[True]))

    def shown(self, currency: str) -> dict[str, Any]:
        """The campaign as JSON. `currency` is that of the costs.

        `people` counts the pieces to which an order is attributed. Shares are texts with 4 decimals.
        """
        revenue = self.revenue.get(currency, ZERO)
        cost = self.cost if self.has_cost else None
        return {
            "campaign": self.name, "mailed_from": self.first.isoformat(), "mailed_to": self.last.isoformat(),
            "mailed": self.mailed, "people": len(self.ordered), "orders": self.orders,
            "response_rate": _share(len(self.ordered), self.mailed), "new_buyers": self.new_buyers,
            "revenue": _amounts(self.revenue), "refunds": _amounts(self.refunds),
            "cost": None if cost is None else amount_text(cost),
            "cost_per_order": amount_text(_quotient(cost, self.orders)) if cost is not None and self.orders else None,
            "roas": f"{_quotient(revenue, cost):.2f}" if cost else None, "lift": _lift(self.lift),
        }  # fmt: skip


def attribute(pieces: Sequence[Piece], orders_of: Sequence[Sequence[Order]], days: int) -> Iterator[Match]:
    """Yields each order that was placed on the day of a piece's mailing or up to `days` days later, with that piece.

    `orders_of` has the orders of each piece's person. An order counts for the last piece that was mailed on its day or
    before; if several were mailed on that day, for the first of them in the file. It never counts for a held-out row.
    """
    window = timedelta(days=days)
    found: list[tuple[int, Order]] = []
    # (day of the mailing, -number of the piece): of two pieces on one day, the first in the file has the greater pair.
    last: dict[Key, tuple[date, int]] = {}
    for number, (piece, orders) in enumerate(zip(pieces, orders_of, strict=True)):
        for order in orders:
            if piece.mailed_on <= order.day <= piece.mailed_on + window:
                found.append((number, order))
                if not piece.held_out:
                    last[order.key] = max(last.get(order.key, (date.min, 0)), (piece.mailed_on, -number))
    for number, order in found:
        piece = pieces[number]
        yield Match(piece, order, not piece.held_out and last[order.key] == (piece.mailed_on, -number))


def campaigns_of(pieces: Iterable[Piece], matches: Iterable[Match]) -> list[Campaign]:
    """The campaigns, sorted by the day of their first mailing, then by name."""
    found: dict[str, Campaign] = {}
    for piece in pieces:
        campaign = found.setdefault(piece.campaign, Campaign(piece.campaign))
        campaign.first, campaign.last = min(campaign.first, piece.mailed_on), max(campaign.last, piece.mailed_on)
        campaign.held_out += piece.held_out
        campaign.mailed += not piece.held_out
        if piece.cost is not None and not piece.held_out:
            campaign.cost, campaign.has_cost = EXACT.add(campaign.cost, piece.cost), True
    for piece, order, counts in matches:
        campaign = found[piece.campaign]
        campaign.touched[piece.held_out].add(piece.line)
        if counts:
            campaign.ordered.add(piece.line)
            campaign.orders += 1
            campaign.new_buyers += order.is_new
            for sums, amount in ((campaign.revenue, order.net), (campaign.refunds, order.refunds)):
                sums[order.currency] = EXACT.add(sums.get(order.currency, ZERO), amount)
    return sorted(found.values(), key=lambda campaign: (campaign.first, campaign.name))


def _amounts(sums: dict[str, Decimal]) -> dict[str, str]:
    return {currency: amount_text(amount) for currency, amount in sorted(sums.items())}


def _quotient(amount: Decimal, number: int | Decimal) -> Decimal:
    return EXACT.divide(amount, Decimal(number)).quantize(Decimal("0.01"))


def _share(part: int, whole: int) -> str | None:
    return f"{part / whole:.4f}" if whole else None


def _lift(lift: Lift | None) -> dict[str, Any] | None:
    if lift is None:
        return None
    low, high = lift.interval
    return {
        "held_out": lift.held_out, "mailed_share": _share(lift.mailed_ordered, lift.mailed),
        "held_out_share": _share(lift.held_out_ordered, lift.held_out), "difference": f"{lift.difference:.4f}",
        "interval": [f"{low:.4f}", f"{high:.4f}"], "more_than_chance": lift.is_more_than_chance,
        "people_more": f"{lift.difference * lift.mailed:.1f}",
        "people_more_interval": [f"{low * lift.mailed:.1f}", f"{high * lift.mailed:.1f}"],
    }  # fmt: skip
