"""Conversion of webhooks into v3 events, by one rule for all platforms.

A delivery carries the state of an order. It becomes one event with the order's total less refunds, at the time of the
order's last change. The latest state counts, even if deliveries are lost, repeated or out of order. Further events
that change no amount (markers) show on the timeline when the order was placed, refunded and canceled; every delivery
repeats the same markers. An order that must not count (payment pending or failed, trashed, deleted) becomes a `voided`
event (rules.order). The person is identified by e-mail address, since a customer id would separate the orders that
somebody placed as a guest from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from tillbook.contract import fields
from tillbook.contract.validation import Context, Model, validated
from tillbook.rules import times
from tillbook.rules.errors import FieldError, Invalid
from tillbook.rules.json_text import Json
from tillbook.rules.order import VOIDED

_MAX_LINE = 1000  # most characters of a text (fields.Line)
_ADDRESS = (
    "first_name", "last_name", "company", "address_1", "address_2", "city", "state", "postal_code", "country",
)  # fmt: skip


class Delivery(NamedTuple):
    """A genuine webhook.

    Attributes:
        topic: the platform's name of the event. id: the delivery's id. Both are from headers, which are not signed.
        provider: the provider of the shop's orders. payload: the parsed body.
    """

    topic: str
    id: str
    provider: str
    payload: Json


class Ignored(Exception):
    """Raised for a delivery that has no order to count: another topic, a draft, a test."""


class Part(Model):
    """A part of a platform's payload. Other fields, which are personal or not needed, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _words(value: Any) -> str:
    """A text that no amount depends on: a value of another type becomes empty, and a long text is cut."""
    value = fields.digits(value)
    return value.strip()[:_MAX_LINE] if isinstance(value, str) else ""


Words = Annotated[str, BeforeValidator(_words)]
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
# A list that may be missing or null.
Many = Annotated[tuple[T, ...], BeforeValidator(lambda value: [] if value is None else value)]


class Checked(NamedTuple, Generic[T]):
    """A checked value. `left_out` names the fields that were wrong; `notes` warn of rounded amounts."""

    value: T
    left_out: list[str]
    notes: list[str]


def tolerant(check: Callable[[Json, list[str]], T], value: Json, essential: frozenset[str]) -> Checked[T]:
    """Checks `value`, and leaves out wrong fields that are not `essential`, so that no order is lost for a wrong item.

    `essential` has "" for the value itself. Raises Invalid if an essential field is wrong.
    """
    left_out: list[str] = []
    while True:
        notes: list[str] = []
        try:
            return Checked(check(value, notes), left_out, notes)
        except Invalid as invalid:
            wrong = {error.field.partition(".")[0].partition("[")[0] for error in invalid.errors}
            if not isinstance(value, dict) or wrong & essential or not wrong <= value.keys():
                raise
        value = {name: entry for name, entry in value.items() if name not in wrong}
        left_out += sorted(wrong)


def checked(model: type[M], payload: Json, essential: frozenset[str]) -> Checked[M]:
    return tolerant(lambda value, notes: validated(model, value, Context(notes)), payload, essential)


def without_blanks(values: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}


def address(values: Sequence[str]) -> dict[str, Json] | None:
    """The address made of values in the order of _ADDRESS.

    None if it has neither address_1 nor postal_code: for virtual goods, shops send only the country.
    """
    found = without_blanks(dict(zip(_ADDRESS, values, strict=True)))
    return found if "address_1" in found or "postal_code" in found else None


def no_email(field: str, why: str) -> Invalid:
    """Returns the error of an order without an e-mail address. `why` is added to its message."""
    return Invalid([FieldError(field, "presence_error", f"is required to identify the customer{why}")])


class Refund(NamedTuple):
    """A refund of an order. `at` is a stamp, `amount` is in currency units."""

    id: str
    at: str
    amount: Decimal


def order_events(
    state: Mapping[str, Json],
    *,
    created: str,
    modified: str,
    left: Decimal,
    refunds: Sequence[Refund] = (),
    canceled: str = "",
) -> list[dict[str, Json]]:
    """The v3 events of one delivery. `created`, `modified` and `canceled` are stamps; `left` is the total less refunds.

    `state` has `provider`, `order_id`, `email`, `currency`, `action` and the order's other fields. Markers of refunds
    have a `refund_amount` of 0: without it, each would get a note that its amount is missing.
    """
    marker = {name: state[name] for name in ("provider", "order_id", "email", "currency") if state.get(name)}
    events = [
        {**marker, "action": "placed", "occurred_at": times.iso(created)},
        without_blanks(state) | {"occurred_at": times.iso(modified), "grand_total": left},
    ]
    for refund in refunds:
        about = {"refund_amount": 0, "refund_id": refund.id, "refunded": refund.amount}
        events.append({**marker, "action": "refunded", "occurred_at": times.iso(refund.at), **about})
    if canceled:
        events.append({**marker, "action": "canceled", "occurred_at": times.iso(canceled), "refund_amount": 0})
    return events


def voided(delivery: Delivery, order_id: str, at: str = "", *, repeats: bool = False) -> list[dict[str, Json]]:
    """The `voided` event of a delivery. `at` is a stamp, empty if only the time of receipt is known.

    `repeats`: the event may happen to an order several times; the delivery's id then distinguishes the events.
    """
    event = {"provider": delivery.provider, "order_id": order_id, "action": VOIDED}
    about = {"occurred_at": times.iso(at)} if at else {}
    return [event | about | ({"delivery_id": delivery.id} if repeats else {})]


def without(event: Mapping[str, Json], names: Sequence[str]) -> dict[str, Json]:
    """The event without some of its fields. Its property `left_out` names them."""
    kept = {name: value for name, value in event.items() if name not in names}
    return kept | {"left_out": [*event.get("left_out", []), *names]}
