"""Computes the expected reports from the requests of shops, without the package's code for orders, dates and sums."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

OPENS = ("placed", "updated", "paid", "fulfilled")
Key = tuple[Any, ...]


class Sent(NamedTuple):
    """An event of a v3 order. `body`: the queued payload, with amounts as Decimal."""

    occurred: datetime
    received: int
    action: str
    person: str
    body: dict[str, Any]


@dataclass
class Order:
    """An order: a v3 order has `events`, a v1 order has `body` and `date`. A deleted or erased order has neither."""

    source: str
    provider: str = ""
    events: list[Sent] = field(default_factory=list)
    body: dict[str, Any] | None = None
    date: datetime | None = None


def _carried(events: list[Sent], name: str) -> Any:
    """The value of a field in the latest event that carries it."""
    return next((e.body[name] for e in reversed(events) if name in e.body), None)


def _of_properties(events: list[Sent], name: str) -> Any:
    return next((e.body["properties"][name] for e in reversed(events) if name in e.body.get("properties", {})), None)


@dataclass
class Expected:
    """The expected sums.

    Attributes:
        sales: orders, total, refunds and net by (source, day, provider, currency, new buyer, promo code).
        items: orders, quantity and amount by (source, day, group, currency, name).
        sizes: the numbers of orders and of records in the audience of each source.
        people: orders and net by (source, day, currency, person).
    """

    sales: dict[Key, list[Decimal]] = field(default_factory=lambda: defaultdict(lambda: [Decimal(0)] * 4))
    items: dict[Key, list[Decimal]] = field(default_factory=lambda: defaultdict(lambda: [Decimal(0)] * 3))
    sizes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    people: dict[Key, list[Decimal]] = field(default_factory=lambda: defaultdict(lambda: [Decimal(0)] * 2))

    def add(self, order: Order, zone: ZoneInfo) -> None:
        if order.source == "shopper_activity":
            self._add_activity(order, zone)
        elif order.body is not None and order.date is not None:
            body = order.body
            self._member(order, [body])
            labels = (body["metadata"].get("new_buyer", ""), body["metadata"].get("promo_code", "").lower())
            day, total = _day(order.date, zone), body.get("total", Decimal(0))
            self._sale(order, day, body["currency"], labels, total, Decimal(0), body["customer_id"])
            lines = [(i["identifier"], i["category"][0], i.get("quantity", 1), i["total"]) for i in body["order_items"]]
            self._lines(order, day, body["currency"], lines)

    def _add_activity(self, order: Order, zone: ZoneInfo) -> None:
        named = sorted((e for e in order.events if e.action != "voided"), key=lambda e: (e.occurred, e.received))
        if not named:
            return
        self._member(order, [event.body for event in named])
        carries = [e for e in named if "grand_total" in e.body]
        setting = [e for e in carries if e.action in OPENS]
        voided = max(
            (e for e in order.events if e.action == "voided"), key=lambda e: (e.occurred, e.received), default=None
        )
        if voided and (
            not setting or (setting[-1].occurred, setting[-1].received) < (voided.occurred, voided.received)
        ):
            return
        source = setting or carries
        total = source[-1].body["grand_total"] if source else Decimal(0)
        known = bool(source) or any(e.action in OPENS for e in named)
        refunds = sum((e.body.get("refund_amount", Decimal(0)) for e in named if e.action not in OPENS), Decimal(0))
        currency = _carried(named, "currency") or ""
        new_buyer = _of_properties(named, "new_buyer")
        code = _of_properties(named, "promo_code") or _of_properties(named, "discount_code") or ""
        labels = ("" if new_buyer is None else str(new_buyer).lower(), code.lower())
        day = _day(min(e.occurred for e in named), zone)
        self._sale(order, day, currency, labels, total, refunds if known else Decimal(0), named[-1].person)
        lines = [
            (i["sku"], (i.get("categories") or [""])[0], i.get("quantity", 1), i["price"] * i.get("quantity", 1))
            for i in _carried(named, "items") or []
        ]
        self._lines(order, day, currency, lines)

    def _member(self, order: Order, bodies: list[dict[str, Any]]) -> None:
        """Counts an order, also a voided one. An order without an address has one record, that of its person."""
        addresses = {name for body in bodies for name in ("shipping_address", "billing_address") if name in body}
        size = self.sizes[order.source]
        size[0], size[1] = size[0] + 1, size[1] + (len(addresses) or 1)

    def _sale(
        self, order: Order, day: date, currency: str, labels: tuple[str, str], total: Decimal, refunds: Decimal,
        person: str,
    ) -> None:  # fmt: skip
        key = (order.source, day, order.provider, currency, *labels)
        added = (Decimal(1), total, refunds, total - refunds)
        self.sales[key] = [a + b for a, b in zip(self.sales[key], added, strict=True)]
        whose = (order.source, day, currency, person)
        self.people[whose] = [a + b for a, b in zip(self.people[whose], (added[0], added[3]), strict=True)]

    def _lines(self, order: Order, day: date, currency: str, lines: list[tuple[str, str, Any, Decimal]]) -> None:
        sums: dict[Key, Counter[str]] = defaultdict(Counter)
        for identifier, category, quantity, amount in lines:
            for group, name in (("item", identifier), ("category", category)):
                sums[order.source, day, group, currency, name].update({"quantity": quantity, "amount": amount})
        for key, found in sums.items():
            added = (Decimal(1), Decimal(found["quantity"]), Decimal(found["amount"]))
            self.items[key] = [a + b for a, b in zip(self.items[key], added, strict=True)]


def _day(moment: datetime, zone: ZoneInfo) -> date:
    moment = moment.astimezone(UTC)
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return moment.date() if midnight else moment.astimezone(zone).date()
