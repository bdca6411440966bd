"""v3 on the wire: Order Activity as a shop sends it. What is kept of it, and shown again: activity.py.

Contract: the published Order Activity API (`POST /v3/:account_id/shopper_activity/order`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tillbook import fields
from tillbook.amounts import AmountError, parse_amount
from tillbook.errors import FieldError, Invalid
from tillbook.identity import Person, email_sha256, payload_hash, person_of
from tillbook.json_text import Json, dumps
from tillbook.shapes import Context, Fault, Field, Part, Shape, bounded, checked

ACTIONS = ("placed", "updated", "paid", "fulfilled", "refunded", "canceled")
MAX_BATCH = 1000


def _action(value: Any) -> Any:
    fields.text(64, required=True)(value)
    if value not in ACTIONS:
        raise Fault("format_error", f"must be one of {', '.join(ACTIONS)}")
    return value


def _provider(value: Any) -> Any:
    fields.text(255, required=True)(value)
    snake = value.isascii() and value == value.lower() and value.replace("_", "a").isalnum()
    if not snake or value.startswith("_"):
        raise Fault("format_error", "must be in lower snake case, as my_custom_platform")
    return value


def _categories(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise Fault("format_error", "must be an array of strings")
    return value


_TWO_DISCOUNTS = object()
_SENT_AS_DISCOUNTS = {"discount": "discounts"}


def _one_discount(item: dict[str, Json]) -> tuple[dict[str, Json], dict[str, str]]:
    """`discounts`, as in the published example, is the `discount` of the published table."""
    if "discounts" not in item:
        return item, {}
    item = dict(item)
    one, other = item.get("discount"), item.pop("discounts")
    if other is None or other == "":
        return item, {}
    if one is not None and one != "":
        amount, other_amount = _amount_of(one), _amount_of(other)
        if amount is None or amount == other_amount:
            return item, {}
        if other_amount is not None:
            item["discount"] = _TWO_DISCOUNTS
            return item, {}
    item["discount"] = other
    return item, _SENT_AS_DISCOUNTS


def _amount_of(value: Json) -> Decimal | None:
    """None for what is none: the field's own check says what is wrong with it."""
    try:
        return parse_amount(value)[0]
    except AmountError:
        return None


def _discount(value: Any, name: str, context: Context) -> Any:
    if value is _TWO_DISCOUNTS:
        raise Fault("format_error", "must be the same as discounts, where both are sent")
    return fields.AMOUNT.check(value, name, context)


PROVIDER = Field(_provider, fields.says("string", maxLength=255, pattern="^[a-z0-9][a-z0-9_]*$"), required=True)
ACTION = Field(_action, {"enum": list(ACTIONS)}, required=True)
CATEGORIES = Field(_categories, fields.says("array", "null", items={"type": "string"}))
DISCOUNT = Field(_discount, fields.AMOUNT.schema, told=True)

ITEM = Shape(
    {
        "product_id": fields.REQUIRED_LINE,
        "product_variant_id": fields.LINE,
        "sku": fields.LINE,
        "name": fields.REQUIRED_LINE,
        "brand": fields.LINE,
        "categories": CATEGORIES,
        "price": fields.REQUIRED_AMOUNT,
        "quantity": fields.TOTAL,
        "discount": DISCOUNT,
        "taxes": fields.AMOUNT,
        "fees": fields.AMOUNT,
        "shipping": fields.AMOUNT,
        "total": fields.AMOUNT,
        "product_url": fields.URL,
        "image_url": fields.URL,
    },
    open=True,
    before=_one_discount,
)
ADDRESS = Shape(
    {
        "label": fields.LINE,
        "first_name": fields.LINE,
        "last_name": fields.LINE,
        "company": fields.LINE,
        "address_1": fields.LINE,
        "address_2": fields.LINE,
        "city": fields.LINE,
        "state": fields.LINE,
        "postal_code": fields.LINE,
        "country": fields.LINE,
        "phone": fields.LINE,
    },
    open=True,
)
ORDER_ACTIVITY = Shape(
    {
        "provider": PROVIDER,
        "person_id": fields.PERSON_ID,
        "email": fields.EMAIL,
        "action": ACTION,
        "occurred_at": fields.PAST_MOMENT,
        "order_id": fields.ORDER_ID,
        "order_public_id": fields.LINE,
        "grand_total": fields.TOTAL,
        "total_discounts": fields.TOTAL,
        "total_taxes": fields.TOTAL,
        "total_fees": fields.TOTAL,
        "total_shipping": fields.TOTAL,
        "refund_amount": fields.TOTAL,
        "currency": fields.CURRENCY,
        "order_url": fields.URL,
        "items": Part(ITEM, most=fields.MAX_ITEMS),
        "billing_address": Part(ADDRESS),
        "shipping_address": Part(ADDRESS),
    },
    open=True,
)


def parse(payload: Json, received: str, *, prefix: str = "") -> tuple[dict[str, Json], dict[str, Json]]:
    """One event as (envelope, body), both ready for the queue: e-mails hashed, amounts exact, nulls left out.

    The envelope says who and when: `person` [kind, value], `occurred` (a stamp), `identified` (whether occurred_at was
    sent), `hash` (of the payload as sent), `hashed` (how many fields besides `email` are kept as hashes), `notes`.
    Raises Invalid with every fault, as `{prefix}items[0].price`.
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
    context = Context(notes, received)
    try:
        body = checked(ORDER_ACTIVITY, sent, context, prefix)
    except Invalid as invalid:
        errors += invalid.errors
    if errors:
        raise Invalid(errors)
    hashed = _hash_email_fields(body)
    for part in (body.get("shipping_address"), body.get("billing_address"), *body.get("items", ())):
        hashed += _hash_email_fields(part or {}, keep=())
    person_id, email = body.pop("person_id", None), body.pop("email", None)
    person = person_of("person", person_id) if person_id else Person("email", email_sha256(email))
    occurred = body.pop("occurred_at", None)
    envelope = {
        "person": [person.kind, person.value],
        "occurred": occurred or received,
        "identified": occurred is not None,
        "hash": payload_hash(payload),
        "hashed": hashed,
        "notes": bounded(notes),
    }
    return envelope, body


def _without_email(payload: dict[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in payload.items() if name != "email"}


def _hash_email_fields(part: dict[str, Json], keep: tuple[str, ...] = ("email",)) -> int:
    """`new_email`, `customer_email`, an address's or an item's `email`: clients send them, and none is kept in clear.

    A blank one says nothing: its hash would be the same for all who have none. Returns how many there were.
    """
    found = 0
    for name in [name for name in part if "email" in name]:
        if (name == "email" or name.endswith("_email")) and name not in keep:
            value, found = part.pop(name), found + 1
            if not _blank(value):
                part[f"{name}_sha256"] = email_sha256(value if isinstance(value, str) else dumps(value))
    return found


def _blank(value: Json) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
