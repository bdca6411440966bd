"""Order Activity (v3) as a shop sends it. The form in which events are kept and shown is in activity.py.

Contract: the published Order Activity API (`POST /v3/:account_id/shopper_activity/order`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator

from tillbook.contract import fields
from tillbook.contract.limits import MAX_BATCH, MAX_ITEMS
from tillbook.contract.validation import Context, Model, WithProperties, bounded, fault, validated
from tillbook.rules.identity import Person, email_sha256, payload_hash, person_of, without_emails
from tillbook.rules.json_text import Json


def _snake_case(value: str) -> str:
    snake = value.isascii() and value == value.lower() and value.replace("_", "a").isalnum()
    if not snake or value.startswith("_"):
        raise fault("format_error", "must be in lower snake case, as my_custom_platform")
    return value


def _provider_or_unknown(value: Any, info: fields.Info) -> Any:
    """Replaces false, which WP Fusion sends for a platform it does not know, by `unknown`, so that no order is lost."""
    if value is not False:
        return value
    info.context.notes.append("provider false was taken as unknown")
    return "unknown"


ACTIONS = ("placed", "updated", "paid", "fulfilled", "refunded", "canceled")
Provider = Annotated[
    str, Field(max_length=255), BeforeValidator(fields.present), BeforeValidator(_provider_or_unknown),
    AfterValidator(_snake_case), fields.schema_or_false("string", maxLength=255, pattern="^[a-z0-9][a-z0-9_]*$"),
]  # fmt: skip
Action = Annotated[
    str, Field(max_length=64), BeforeValidator(fields.present), fields.one_of(*ACTIONS),
    WithJsonSchema({"enum": list(ACTIONS)}),
]  # fmt: skip


class ActivityItem(WithProperties):
    product_id: fields.RequiredLine = Field(description="Unique identifier of the product at the provider.")
    product_variant_id: fields.Line = Field(None, description="Unique identifier of the variant.")
    sku: fields.Line = Field(None, description="SKU.")
    name: fields.RequiredLine = Field(description="Name of the product.")
    brand: fields.Line = Field(None, description="Brand, vendor or manufacturer.")
    categories: fields.Texts = Field(None, description="Categories of the product.")
    price: fields.RequiredAmount = Field(description="Price of a single product.")
    quantity: fields.Amount = Field(None, description="How many were ordered, 1 if absent.")
    discounts: fields.Amount = Field(None, description="Another name of `discount`.")
    discount: fields.Amount = Field(None, description="Discount on all units.")
    taxes: fields.Amount = Field(None, description="Taxes on all units.")
    fees: fields.Amount = Field(None, description="Fees on all units.")
    shipping: fields.Amount = Field(None, description="Shipping of all units.")
    total: fields.Amount = Field(None, description="The line's total, with discount, taxes, fees and shipping.")
    product_url: fields.Url = Field(None, description="Link to the product.")
    image_url: fields.Url = Field(None, description="Link to an image of the product.")

    @field_validator("discount")
    @classmethod
    def _equals_discounts(cls, discount: Any, info: fields.Info) -> Any:
        """Refuses two different values: the published example has `discounts`, the published table has `discount`."""
        discounts = info.data.get("discounts")
        if discount is not None and discounts is not None and discount != discounts:
            raise fault("format_error", "must be the same as discounts, if both are sent")
        return discount

    def kept(self) -> dict[str, Json]:
        item = super().kept()
        discounts = item.pop("discounts", None)
        return item if discounts is None else item | {"discount": discounts}


class ActivityAddress(Model):
    label: fields.Line = Field(None, description="Name of the address, as Home.")
    first_name: fields.Line = Field(None, description="First name.")
    last_name: fields.Line = Field(None, description="Last name.")
    company: fields.Line = Field(None, description="Company.")
    address_1: fields.Line = Field(None, description="Street address.")
    address_2: fields.Line = Field(None, description="Second line of the street address.")
    city: fields.Line = Field(None, description="City.")
    state: fields.Line = Field(None, description="State.")
    postal_code: fields.Line = Field(None, description="ZIP or postal code.")
    country: fields.Line = Field(None, description="Country, as a name or a code.")
    phone: fields.Line = Field(None, description="Phone number.")

    def kept(self) -> dict[str, Json]:
        return super().kept() | (self.model_extra or {})


Items = Annotated[list[ActivityItem], Field(max_length=MAX_ITEMS)] | None


class OrderActivity(WithProperties):
    """One event of an order. Unknown fields, here and on items, are kept as custom attributes."""

    provider: Provider = Field(description="The shop system of the order, in lower snake case, as shopify or my_store.")
    person_id: fields.PersonId = Field(None, description="Your id of the person. With it, `email` is ignored.")
    email: Annotated[fields.Email, fields.unless("person_id", fields.present)] = Field(
        None, validate_default=True, description="Required without a person_id. Hashed on arrival, and never stored."
    )
    action: Action = Field(description="What happened to the order.")
    occurred_at: fields.PastMoment = Field(
        None,
        description="Time of the event in ISO 8601, at most 24 hours in the future. If absent, the time of receipt. "
        "An event that has it counts once, even if it is sent again.",
    )
    order_id: fields.OrderId = Field(description="Unique identifier of the order at the provider.")
    order_public_id: fields.Line = Field(None, description="The identifier that the customer sees.")
    grand_total: fields.Total = Field(
        None, description="The order's total after discounts. A later event without it leaves the total unchanged."
    )
    total_discounts: fields.Total = Field(None, description="Discounts on the whole order.")
    total_taxes: fields.Total = Field(None, description="Taxes on the whole order.")
    total_fees: fields.Total = Field(None, description="Fees on the whole order.")
    total_shipping: fields.Total = Field(None, description="Shipping of the whole order.")
    refund_amount: fields.Total = Field(None, description="The refunded amount. Do not subtract it from grand_total.")
    currency: fields.Currency = Field(None, description="ISO 4217 code. If no event has one, the account's.")
    order_url: fields.Url = Field(None, description="Link to the order.")
    items: Items = Field(None, description="The items of the order.")
    billing_address: fields.Address[ActivityAddress] = Field(None, description="The billing address.")
    shipping_address: fields.Address[ActivityAddress] = Field(None, description="The shipping address.")


def _values(value: Any) -> Any:
    """The values of an array. PHP encodes an array whose keys do not start at 0 as an object, as drip-php does with
    the second part of a batch."""
    is_array = isinstance(value, dict) and all(key.isdecimal() for key in value)
    return list(value.values()) if is_array else fields.present(value)


class Batch(Model):
    """A batch of up to 1,000 events, at most 4 MiB in all."""

    # Each entry is checked separately, as an OrderActivity.
    orders: Annotated[list[Any], Field(min_length=1, max_length=MAX_BATCH), BeforeValidator(_values)]


_IN_ENVELOPE = frozenset({"person_id", "email", "occurred_at"})
_AS_SENT = frozenset({"order_id", "order_public_id"})  # never hashed, even if shaped like an e-mail address


def parse(payload: Json, received: str, *, prefix: str = "") -> tuple[dict[str, Json], dict[str, Json]]:
    """One event as (envelope, body), ready for the queue: e-mails hashed, amounts exact, nulls left out.

    The envelope has `person` [kind, value], `occurred` (a stamp), `identified` (whether occurred_at was sent), `hash`
    (of the payload as sent) and `notes`. Raises Invalid with every fault; paths are like `{prefix}.items[0].price`.
    """
    notes: list[str] = []
    event = validated(OrderActivity, payload, Context(notes, received), prefix)
    if event.person_id:
        person = person_of("person", event.person_id)
    else:
        person = Person("email", email_sha256(event.email or ""))
    envelope = {
        "person": [person.kind, person.value],
        "occurred": event.occurred_at or received,
        "identified": event.occurred_at is not None,
        "hash": payload_hash(payload),
        "notes": bounded(notes + _refund_notes(event)),
    }
    body = {name: value for name, value in event.kept().items() if name not in _IN_ENVELOPE}
    return envelope, {name: value if name in _AS_SENT else without_emails(value) for name, value in body.items()}


def _refund_notes(event: OrderActivity) -> list[str]:
    """Warnings about missing or ignored refund amounts: these are not errors, but the shop's numbers may be wrong."""
    refunds = event.action in ("refunded", "canceled")
    if refunds and event.refund_amount is None:
        return [f"{event.action} without refund_amount: LTV is unchanged"]
    if not refunds and event.refund_amount is not None:
        return [f"refund_amount on {event.action} was ignored"]
    return []
