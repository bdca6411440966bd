"""What an event does to an order. Pure: no clock, no store, no account.

The state keeps, for each thing an event may say, what the latest event said (ordered by stamp) and sums what adds up.
Each part is a maximum or a sum, so the outcome depends only on the set of events, never on the order they arrive in.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, NamedTuple

from tillbook.rules.amounts import EXACT, ZERO

Action = Literal["placed", "updated", "paid", "fulfilled", "refunded", "canceled"]

ACTIVITY_NAMES: dict[str, str] = {
    "placed": "Placed an order",
    "updated": "Updated an order",
    "paid": "Paid an order",
    "fulfilled": "Fulfilled an order",
    "refunded": "Refunded an order",
    "canceled": "Canceled an order",
    "submitted": "Submitted an order",
    "edited": "Edited an order",
    "deleted": "Deleted an order",
}
SETS_TOTAL = frozenset({"placed", "updated", "paid", "fulfilled"})


def stamp_of(occurred: str, received: str, position: int, event_id: str) -> str:
    """Sorts events by (occurred_at, time of receipt, position in the batch); the id breaks the last ties."""
    return f"{occurred}{received}{position:04d}{event_id}"


def occurred_of(stamp: str) -> str:
    return stamp[:20]


def received_of(stamp: str) -> str:
    return stamp[20:40]


def place_of(stamp: str) -> str:
    """Receipt and position in the batch: of the copies of one event the lowest counts."""
    return stamp[20:44]


def event_id_of(stamp: str) -> str:
    return stamp[44:]


class Event(NamedTuple):
    """`stamp` orders it; amounts are in currency units; `person` is our own id of the person it names.

    `shipping` and `billing` are match keys of the addresses it carries (see addresses.py), None where it carries none.
    """

    stamp: str
    action: str
    person: str
    total: Decimal | None = None
    refund: Decimal = ZERO
    currency: str = ""
    shipping: str | None = None
    billing: str | None = None


class Customer(NamedTuple):
    """An order's records in its audience: one an address, or one with just the person. Match keys may be empty."""

    records: int = 0
    shipping: str = ""
    billing: str = ""
    customer: str = ""  # v1: match key of a customer id that is not the person already


NO_CUSTOMER = Customer()


def customer_of(shipping: str | None, billing: str | None, customer: str = "") -> Customer:
    records = (shipping is not None) + (billing is not None)
    return Customer(max(records, 1), shipping or "", billing or "", customer)


class Standing(NamedTuple):
    """What one order adds to whose LTV. `currency` is empty where no event carried one: the account's, on reading."""

    person: str
    currency: str
    amount: Decimal


class OrderState(NamedTuple):
    """All that must be known of an order's events to apply the next one.

    Attributes:
        events: how many there are.
        ordered_at: when the earliest of them occurred. added_at: when the first of them was received.
        latest_at: stamp of the latest event, which names `action` and `person`.
        total_at: stamp of the latest placed, updated, paid or fulfilled event that carries a total.
        fallback_at: stamp of the latest refunded or canceled event that carries a total.
        opened: whether any placed, updated, paid or fulfilled event came.
        refunds: sum of the refund amounts.
        shipping, billing: match keys of the latest addresses.

    Times and stamps are empty where there is no such event.
    """

    events: int = 0
    ordered_at: str = ""
    added_at: str = ""
    latest_at: str = ""
    action: str = ""
    person: str = ""
    total_at: str = ""
    total: Decimal = ZERO
    fallback_at: str = ""
    fallback: Decimal = ZERO
    opened: bool = False
    refunds: Decimal = ZERO
    currency_at: str = ""
    currency: str = ""
    shipping_at: str = ""
    shipping: str = ""
    billing_at: str = ""
    billing: str = ""

    @property
    def known_total(self) -> Decimal | None:
        """The total, or None while no event has told it."""
        if self.total_at:
            return self.total
        if self.fallback_at:
            return self.fallback
        return ZERO if self.opened else None

    @property
    def contribution(self) -> Decimal:
        """Total minus refunds, in currency units; 0 until a total is known. Below 0 if more was refunded."""
        total = self.known_total
        return ZERO if total is None else EXACT.subtract(total, self.refunds)

    @property
    def standing(self) -> Standing:
        return Standing(self.person, self.currency, self.contribution)

    @property
    def customer(self) -> Customer:
        return customer_of(self.shipping if self.shipping_at else None, self.billing if self.billing_at else None)

    @property
    def flags(self) -> list[str]:
        total = self.known_total
        return ["refunded_more_than_total"] if total is not None and self.refunds > total else []


def step(state: OrderState, event: Event) -> OrderState:
    """The state after one more event. The caller sees to it that no event is stepped twice."""
    sets_total = event.action in SETS_TOTAL
    changes: dict[str, object] = {"events": state.events + 1}
    occurred, received = occurred_of(event.stamp), received_of(event.stamp)
    changes["ordered_at"] = min(state.ordered_at or occurred, occurred)
    changes["added_at"] = min(state.added_at or received, received)
    if event.stamp > state.latest_at:
        changes.update(latest_at=event.stamp, action=event.action, person=event.person)
    if event.total is not None:
        if sets_total and event.stamp > state.total_at:
            changes.update(total_at=event.stamp, total=event.total)
        elif not sets_total and event.stamp > state.fallback_at:
            changes.update(fallback_at=event.stamp, fallback=event.total)
    if sets_total:
        changes["opened"] = True
    else:
        changes["refunds"] = EXACT.add(state.refunds, event.refund)
    if event.currency and event.stamp > state.currency_at:
        changes.update(currency_at=event.stamp, currency=event.currency)
    if event.shipping is not None and event.stamp > state.shipping_at:
        changes.update(shipping_at=event.stamp, shipping=event.shipping)
    if event.billing is not None and event.stamp > state.billing_at:
        changes.update(billing_at=event.stamp, billing=event.billing)
    return state._replace(**changes)  # type: ignore[arg-type]


def fold(events: Iterable[Event]) -> OrderState:
    """The state after all of them, in any order."""
    state = OrderState()
    for event in events:
        state = step(state, event)
    return state
