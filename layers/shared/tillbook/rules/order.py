"""The effect of an event on an order, as a pure function of the order's state and the event.

The state holds the latest value of each field that events set (ordered by stamp), the earliest times, and the sum of
refunds. Each part is a minimum, a maximum or a sum, so the state depends only on the set of events, not on the order in
which they arrive.
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
    "voided": "Voided an order",
    "submitted": "Submitted an order",
    "edited": "Edited an order",
    "deleted": "Deleted an order",
}
SETS_TOTAL = frozenset({"placed", "updated", "paid", "fulfilled"})
# The action of an event that sets an order's contribution to 0: the order was trashed or deleted, or its payment
# failed. Only connectors of platforms create such events, which name no person and carry no total; the APIs refuse
# the action.
VOIDED = "voided"


def stamp_of(occurred: str, received: str, position: int, event_id: str) -> str:
    """Returns an event's stamp. Stamps sort by occurred_at, time of receipt, position in the batch, and event id."""
    return f"{occurred}{received}{position:04d}{event_id}"


def occurred_of(stamp: str) -> str:
    return stamp[:20]


def received_of(stamp: str) -> str:
    return stamp[20:40]


def place_of(stamp: str) -> str:
    """Returns the time of receipt and position in the batch. The copy of an event with the lowest place decides the
    event's stamp."""
    return stamp[20:44]


def event_id_of(stamp: str) -> str:
    return stamp[44:]


class Event(NamedTuple):
    """An event of an order, reduced to the fields that its effect depends on.

    Attributes:
        stamp: sorts the event among the events of its order (stamp_of).
        person: our own id of the person that the event names; empty for a voided event.
        total, refund: in currency units.
        shipping, billing: match keys of its addresses (rules.addresses); None if it has no such address.
    """

    stamp: str
    action: str
    person: str
    total: Decimal | None = None
    refund: Decimal = ZERO
    currency: str = ""
    shipping: str | None = None
    billing: str | None = None


class AudienceRecords(NamedTuple):
    """An order's part of its audience: the number of its records and their match keys.

    There is a record for each address, and at least one. A key is empty if the address is missing or too vague.
    """

    records: int = 0
    shipping: str = ""
    billing: str = ""
    customer: str = ""  # v1: match key of the customer id, if the person is identified by e-mail


NO_RECORDS = AudienceRecords()


def audience_records_of(shipping: str | None, billing: str | None, customer: str = "") -> AudienceRecords:
    records = (shipping is not None) + (billing is not None)
    return AudienceRecords(max(records, 1), shipping or "", billing or "", customer)


class Standing(NamedTuple):
    """The contribution of one order to the LTV of a person.

    An empty currency means the account's currency; readers fill it in.
    """

    person: str
    currency: str
    amount: Decimal


class OrderState(NamedTuple):
    """The state of an order: all data that the effect of the next event depends on.

    Attributes:
        events: number of events, without emptied ones.
        ordered_at: when the earliest event occurred. added_at: when the first event was received.
        latest_at: stamp of the latest event that names a person; `action` and `person` are those of that event.
        total_at, total: stamp and total of the latest placed, updated, paid or fulfilled event with a total.
        fallback_at, fallback: stamp and total of the latest refunded or canceled event with a total.
        voided_at: stamp of the latest voided event. A voided event changes only this field and `events`.
        opened: whether there is a placed, updated, paid or fulfilled event.
        refunds: sum of the refund amounts.
        shipping, billing: match keys of the latest addresses.
        currency_at, shipping_at, billing_at: stamps of the latest event with a currency, or with such an address.

    Times and stamps are empty if there is no such event.
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
    voided_at: str = ""

    @property
    def voided(self) -> bool:
        """Whether the order's contribution is 0 because of a voided event, until a later event sets the total."""
        return self.voided_at > self.total_at

    @property
    def known_total(self) -> Decimal | None:
        """The order's total, in currency units; 0 if the order is voided.

        Without a total of its own, the order has the `fallback`, else 0. None if there are no events, or only refunds
        and cancellations without a total.
        """
        if self.voided:
            return ZERO
        if self.total_at:
            return self.total
        if self.fallback_at:
            return self.fallback
        return ZERO if self.opened else None

    @property
    def contribution(self) -> Decimal:
        """Total minus refunds, in currency units; may be negative. 0 if voided, or if known_total is None."""
        total = self.known_total
        return ZERO if total is None or self.voided else EXACT.subtract(total, self.refunds)

    @property
    def standing(self) -> Standing | None:
        """The order's contribution. None if no event names a person: there are no events, or voided events only."""
        return Standing(self.person, self.currency, self.contribution) if self.latest_at else None

    @property
    def customer(self) -> AudienceRecords:
        if not self.latest_at:
            return NO_RECORDS
        return audience_records_of(
            self.shipping if self.shipping_at else None, self.billing if self.billing_at else None
        )

    @property
    def flags(self) -> list[str]:
        if self.voided:
            return [VOIDED]
        total = self.known_total
        return ["refunded_more_than_total"] if total is not None and self.refunds > total else []


def flags_of(state: OrderState, event: Event) -> list[str]:
    """Returns the flags of an event: those of `state`, the order's state after it, and whether its total is ignored."""
    return [*state.flags, *(["grand_total_ignored"] if ignores_total(state, event) else [])]


def ignores_total(state: OrderState, event: Event) -> bool:
    """Returns whether the event is a refund or cancellation whose total differs from the order's, and is ignored."""
    is_other = event.total is not None and event.total != state.total
    return event.action not in SETS_TOTAL and bool(state.total_at) and is_other


def step(state: OrderState, event: Event) -> OrderState:
    """Returns the state after one more event. The caller must not apply an event twice."""
    if event.action == VOIDED:
        return state._replace(events=state.events + 1, voided_at=max(state.voided_at, event.stamp))
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
    """Returns the state after all events. Their order does not matter."""
    state = OrderState()
    for event in events:
        state = step(state, event)
    return state
