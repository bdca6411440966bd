"""Computes the expected reports from the requests of shops, without the package's code for orders, dates and sums."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

# An order's total is that of its latest event with a total and one of these actions. If there is no such event, it is
# that of its latest event with a total.
SETS_TOTAL = ("placed", "updated", "paid", "fulfilled")
Key = tuple[Any, ...]


class Sent(NamedTuple):
    """An event of a v3 order. `received`: the number of the request. `body`: the payload, with amounts as Decimal."""

    occurred: datetime
    received: int
    action: str
    person: str
    body: dict[str, Any]


@dataclass
class Order:
    """An order: a v3 order has `events`, a v1 order has `body` and `date`.

    A v1 order that is deleted or erased loses its body. A v3 order loses the events of a person who is erased.
    """

    source: str
    provider: str = ""
    events: list[Sent] = field(default_factory=list)
    body: dict[str, Any] | None = None
    date: datetime | None = None


def _latest(events: list[Sent], name: str) -> Any:
    """The value of a field in the latest event that has it; None if no event has it."""
    return next((e.body[name] for e in reversed(events) if name in e.body), None)


def _latest_property(events: list[Sent], name: str) -> Any:
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
        events = sorted((e for e in order.events if e.action != "voided"), key=lambda e: (e.occurred, e.received))
        if not events:
            return
        self._member(order, [event.body for event in events])
        with_total = [e for e in events if "grand_total" in e.body]
        setting_total = [e for e in with_total if e.action in SETS_TOTAL]
        # An order with a `voided` event counts only in `sizes`, unless a later event set its total.
        voided = max(
            (e for e in order.events if e.action == "voided"), key=lambda e: (e.occurred, e.received), default=None
        )
        if voided and (
            not setting_total
            or (setting_total[-1].occurred, setting_total[-1].received) < (voided.occurred, voided.received)
        ):
            return
        totals = setting_total or with_total
        total = totals[-1].body["grand_total"] if totals else Decimal(0)
        # Refunds count if any event has a total or an action of SETS_TOTAL. If no event has a total, the total is 0, so
        # the net amount is negative.
        refunds_count = bool(totals) or any(e.action in SETS_TOTAL for e in events)
        amounts = [e.body.get("refund_amount", Decimal(0)) for e in events if e.action not in SETS_TOTAL]
        refunds = sum(amounts, Decimal(0))
        currency = _latest(events, "currency") or ""
        new_buyer = _latest_property(events, "new_buyer")
        code = _latest_property(events, "promo_code") or _latest_property(events, "discount_code") or ""
        labels = ("" if new_buyer is None else str(new_buyer).lower(), code.lower())
        day = _day(min(e.occurred for e in events), zone)
        self._sale(order, day, currency, labels, total, refunds if refunds_count else Decimal(0), events[-1].person)
        lines = [
            (i["sku"], (i.get("categories") or [""])[0], i.get("quantity", 1), i["price"] * i.get("quantity", 1))
            for i in _latest(events, "items") or []
        ]
        self._lines(order, day, currency, lines)

    def _member(self, order: Order, bodies: list[dict[str, Any]]) -> None:
        """Adds an order, even a voided one, to the size of its source's audience: a record for each kind of address.

        An order without an address has one record, that of its person.
        """
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
        buyer = (order.source, day, currency, person)
        self.people[buyer] = [a + b for a, b in zip(self.people[buyer], (added[0], added[3]), strict=True)]

    def _lines(self, order: Order, day: date, currency: str, lines: list[tuple[str, str, Any, Decimal]]) -> None:
        sums: dict[Key, Counter[str]] = defaultdict(Counter)
        for identifier, category, quantity, amount in lines:
            for group, name in (("item", identifier), ("category", category)):
                sums[order.source, day, group, currency, name].update({"quantity": quantity, "amount": amount})
        for key, found in sums.items():
            added = (Decimal(1), Decimal(found["quantity"]), Decimal(found["amount"]))
            self.items[key] = [a + b for a, b in zip(self.items[key], added, strict=True)]


def _day(moment: datetime, zone: ZoneInfo) -> date:
    """The day of an order in `zone`. Midnight UTC means that the shop sent a date without a time: that is the day."""
    moment = moment.astimezone(UTC)
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return moment.date() if midnight else moment.astimezone(zone).date()
