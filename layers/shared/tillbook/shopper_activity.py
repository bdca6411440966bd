"""v3 on the wire: Order Activity as a shop sends it. What is kept of it, and shown again: activity.py.

Contract: the published Order Activity API (`POST /v3/:account_id/shopper_activity/order`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from tillbook import fields, times
from tillbook.errors import FieldError, Invalid
from tillbook.fields import fault
from tillbook.identity import Person, email_sha256, payload_hash, person_of
from tillbook.json_text import Json, dumps

ACTIONS = ("placed", "updated", "paid", "fulfilled", "refunded", "canceled")
MAX_BATCH = 1000
AHEAD_HOURS = 24


def _action(value: Any) -> Any:
    fields.text(64, required=True)(value)
    if value not in ACTIONS:
        raise fault("format_error", f"must be one of {', '.join(ACTIONS)}")
    return value


def _provider(value: Any) -> Any:
    fields.text(255, required=True)(value)
    snake = value.isascii() and value == value.lower() and value.replace("_", "a").isalnum()
    if not snake or value.startswith("_"):
        raise fault("format_error", "must be in lower snake case, as my_custom_platform")
    return value


def _categories(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise fault("format_error", "must be an array of strings")
    return value


_TWO_DISCOUNTS = object()


def _one_discount(value: Any) -> Any:
    if value is _TWO_DISCOUNTS:
        raise fault("format_error", "must be the same as discounts, where both are sent")
    return value


Provider = Annotated[
    str,
    PlainValidator(_provider),
    WithJsonSchema({"type": "string", "maxLength": 255, "pattern": "^[a-z0-9][a-z0-9_]*$"}),
]
Action = Annotated[
    Literal["placed", "updated", "paid", "fulfilled", "refunded", "canceled"],
    PlainValidator(_action),
    WithJsonSchema({"enum": list(ACTIONS)}),
]
Categories = Annotated[
    list[str] | None,
    PlainValidator(_categories),
    WithJsonSchema({"type": ["array", "null"], "items": {"type": "string"}}),
]


class Item(fields.Model):
    model_config = ConfigDict(extra="allow", frozen=True)

    product_id: fields.RequiredLine
    product_variant_id: fields.Line = None
    sku: fields.Line = None
    name: fields.RequiredLine
    brand: fields.Line = None
    categories: Categories = None
    price: fields.RequiredAmount
    quantity: fields.Total = None
    discount: Annotated[fields.Amount, BeforeValidator(_one_discount)] = None
    taxes: fields.Amount = None
    fees: fields.Amount = None
    shipping: fields.Amount = None
    total: fields.Amount = None
    product_url: fields.Url = None
    image_url: fields.Url = None

    @model_validator(mode="before")
    @classmethod
    def one_discount(cls, value: Any) -> Any:
        """`discounts`, as in the published example, is the `discount` of the published table."""
        if isinstance(value, dict) and "discounts" in value:
            value = dict(value)
            other = value.pop("discounts")
            if value.get("discount") is None:
                value["discount"] = other
            elif other is not None and other != value["discount"]:
                value["discount"] = _TWO_DISCOUNTS
        return value


class Address(fields.Model):
    model_config = ConfigDict(extra="allow", frozen=True)

    label: fields.Line = None
    first_name: fields.Line = None
    last_name: fields.Line = None
    company: fields.Line = None
    address_1: fields.Line = None
    address_2: fields.Line = None
    city: fields.Line = None
    state: fields.Line = None
    postal_code: fields.Line = None
    country: fields.Line = None
    phone: fields.Line = None


class OrderActivity(fields.Model):
    model_config = ConfigDict(extra="allow", frozen=True)

    provider: Provider
    person_id: fields.PersonId = None
    email: fields.Email = None
    action: Action
    occurred_at: fields.PastMoment = None
    order_id: fields.OrderId
    order_public_id: fields.Line = None
    grand_total: fields.Total = None
    total_discounts: fields.Total = None
    total_taxes: fields.Total = None
    total_fees: fields.Total = None
    total_shipping: fields.Total = None
    refund_amount: fields.Total = None
    currency: fields.Currency = None
    order_url: fields.Url = None
    items: Annotated[list[Item], Field(max_length=fields.MAX_ITEMS)] | None = None
    billing_address: Address | None = None
    shipping_address: Address | None = None


def parse(payload: Json, received: str, *, prefix: str = "") -> tuple[dict[str, Json], dict[str, Json]]:
    """One event as (envelope, body), both ready for the queue: e-mails hashed, amounts exact, nulls left out.

    The envelope says who and when: `person` [kind, value], `occurred` (a stamp), `identified` (whether occurred_at was
    sent), `hash` (of the payload as sent), `notes`. Raises Invalid with every fault, as `{prefix}items[0].price`.
    """
    errors: list[FieldError] = []
    notes: list[str] = []
    body: dict[str, Json] = {}
    sent = payload
    dot = f"{prefix}." if prefix else ""
    if isinstance(payload, dict):
        if not _blank(payload.get("person_id")):
            # person_id wins and the e-mail is ignored, even a malformed one.
            sent = _without_email(payload)
        elif _blank(payload.get("email")):
            errors.append(FieldError(f"{dot}email", "presence_error", "is required"))
            sent = _without_email(payload)  # white space is told once, and not as a malformed address too
    context = fields.Context(notes, latest=times.shift(received, hours=AHEAD_HOURS))
    try:
        body = _dump(fields.validated(OrderActivity, sent, context, prefix))
    except Invalid as invalid:
        errors += invalid.errors
    if errors:
        raise Invalid(errors)
    _hash_email_fields(body)
    for address in (body.get("shipping_address"), body.get("billing_address")):
        _hash_email_fields(address or {}, keep=())
    person_id, email = body.pop("person_id", None), body.pop("email", None)
    person = person_of("person", person_id) if person_id else Person("email", email_sha256(email))
    occurred = body.pop("occurred_at", None)
    envelope = {
        "person": [person.kind, person.value],
        "occurred": occurred or received,
        "identified": occurred is not None,
        "hash": payload_hash(payload),
        "notes": notes,
    }
    return envelope, body


def _without_email(payload: dict[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in payload.items() if name != "email"}


def _hash_email_fields(part: dict[str, Json], keep: tuple[str, ...] = ("email",)) -> None:
    """`new_email`, `customer_email`, an address's `email`: clients in use send them, and none is kept in clear."""
    for name in [name for name in part if name == "email" or name.endswith("_email")]:
        if name not in keep:
            value = part.pop(name)
            part[f"{name}_sha256"] = email_sha256(value if isinstance(value, str) else dumps(value))


def _blank(value: Json) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _dump(model: fields.Model) -> dict[str, Json]:
    """Fields as sent in their order, nulls left out; custom attributes keep their JSON types."""
    out: dict[str, Json] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, fields.Model):
            value = _dump(value)
        elif isinstance(value, list):
            value = [_dump(entry) if isinstance(entry, fields.Model) else entry for entry in value]
        if value is not None:
            out[name] = value
    return out | (model.model_extra or {})
