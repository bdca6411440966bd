"""v1 on the wire: the Orders API as a shop sends it. What is kept of it, and shown again: document.py."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from tillbook import fields, times
from tillbook.document import document_of
from tillbook.errors import FieldError, Invalid
from tillbook.fields import fault
from tillbook.identity import email_sha256, is_email, is_sha256
from tillbook.json_text import Json
from tillbook.ledger import Document

MAX_METADATA_KEYS, MAX_METADATA_KEY, MAX_METADATA_VALUE = 10, 40, 200


def _metadata(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise fault("format_error", "must be an object")
    if len(value) > MAX_METADATA_KEYS:
        raise fault("length_error", f"must have at most {MAX_METADATA_KEYS} keys")
    out: dict[str, str] = {}
    for key, entry in value.items():
        if len(key) > MAX_METADATA_KEY:
            raise fault("length_error", f"must have keys of at most {MAX_METADATA_KEY} characters")
        if isinstance(entry, bool):
            entry = "true" if entry else "false"
        elif isinstance(entry, int | Decimal):
            entry = str(entry)
        if not isinstance(entry, str):
            raise fault("format_error", "must have strings, numbers or booleans as values")
        if len(entry) > MAX_METADATA_VALUE:
            raise fault("length_error", f"must have values of at most {MAX_METADATA_VALUE} characters")
        out[key] = entry
    return out


def _category(value: Any) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise fault("format_error", "must be an array of strings")
    return value


def _quantity(value: Any) -> int:
    if value is None:
        return 1
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) <= 16:
        value = int(value)
    if (
        isinstance(value, Decimal)
        and value.is_finite()
        and value.adjusted() < 16
        and value == value.to_integral_value()
    ):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise fault("format_error", "must be an integer")
    if abs(value) >= 10**15:
        raise fault("range_error", "must have at most 15 digits")
    return value


Metadata = Annotated[
    dict[str, str] | None,
    PlainValidator(_metadata),
    WithJsonSchema(
        {
            "type": ["object", "null"],
            "maxProperties": MAX_METADATA_KEYS,
            "propertyNames": {"maxLength": MAX_METADATA_KEY},
            "additionalProperties": {"type": ["string", "number", "boolean"], "maxLength": MAX_METADATA_VALUE},
        }
    ),
]
Quantity = Annotated[
    int,
    PlainValidator(_quantity),
    WithJsonSchema(
        {
            "type": ["integer", "string", "null"],
            "exclusiveMinimum": -1e15,
            "exclusiveMaximum": 1e15,
            "pattern": "^-?[0-9]{1,15}$",
        }
    ),
]
Category = Annotated[
    list[str] | None,
    PlainValidator(_category),
    WithJsonSchema({"type": ["array", "string", "null"], "items": {"type": "string"}}),
]


class Address(fields.Model):
    name: fields.Line = None
    company: fields.Line = None
    address_1: fields.RequiredLine
    address_2: fields.Line = None
    city: fields.Line = None
    state: fields.Line = None
    postal_code: fields.RequiredLine
    country: fields.Country = None

    @model_validator(mode="before")
    @classmethod
    def state_by_either_name(cls, value: Any) -> Any:
        """Answers say `state_name`: an address sent back as it was answered means the same."""
        if isinstance(value, dict) and "state_name" in value and "state" not in value:
            value = {("state" if name == "state_name" else name): entry for name, entry in value.items()}
        return value


class Item(fields.Model):
    identifier: fields.RequiredLine
    description: fields.Text = None
    quantity: Quantity = 1
    total: fields.RequiredAmount
    price: fields.Amount = None
    category: Category = None
    metadata: Metadata = None


class Order(fields.Model):
    order_id: fields.OrderId
    order_date: fields.RequiredMoment
    total: fields.Total = None
    currency: fields.Currency = None
    customer_id: fields.PersonId = None
    customer_email: fields.Email = None
    customer_email_sha256: fields.Sha256 = None
    metadata: Metadata = None
    order_items: Annotated[list[Item], Field(max_length=fields.MAX_ITEMS)] | None = None
    shipping_address: Address | None = None
    billing_address: Address | None = None


_KNOWN = frozenset(Order.model_fields)
_KNOWN_IN = {
    "shipping_address": frozenset(Address.model_fields) | {"state_name"},
    "billing_address": frozenset(Address.model_fields) | {"state_name"},
    "order_items": frozenset(Item.model_fields),
}


def document(payload: Json) -> tuple[Document, list[str]]:
    """A submission as the ledger takes it, with notes on what was rounded or not understood.

    Raises Invalid with every fault.
    """
    notes: list[str] = []
    faults: list[FieldError] = []
    order: Order | None = None
    try:
        order = fields.validated(Order, payload, fields.Context(notes))
    except Invalid as invalid:
        faults = invalid.errors
    if isinstance(payload, dict):
        named = ("shipping_address", "billing_address", "customer_email_sha256", "customer_email")
        if all(payload.get(name) in (None, "", {}) for name in named):
            faults.append(FieldError("shipping_address", "presence_error",
                "is required where there is no billing_address, customer_email or customer_email_sha256"))  # fmt: skip
        email, sha256 = payload.get("customer_email"), payload.get("customer_email_sha256")
        if _differ(email, sha256):
            faults.append(FieldError("customer_email_sha256", "format_error", "is not the hash of customer_email"))
    if order is None or faults:
        raise Invalid(faults)
    return document_of(_normalised(order)), notes + [f"{name} is not a known field" for name in _unknown(payload)]


def _differ(email: Json, sha256: Json) -> bool:
    if not (isinstance(email, str) and is_email(email) and isinstance(sha256, str) and is_sha256(sha256.strip())):
        return False
    return email_sha256(email) != sha256.strip().lower()


def edited(body: dict[str, Json], payload: Json) -> tuple[Document, list[str]]:
    """The order after an edit: given fields replace, null clears, absent fields stay. Raises Invalid."""
    if not isinstance(payload, dict):
        raise Invalid([FieldError("", "format_error", "must be an object")])
    given = dict(payload)
    sent_id = given.pop("order_id", None)
    if sent_id is not None and str(sent_id) != body["order_id"]:
        raise Invalid([FieldError("order_id", "format_error", "cannot be changed")])
    whole = _as_sent(body)
    if {"customer_email", "customer_email_sha256"} & given.keys():
        whole.pop("customer_email_sha256", None)
    return document(whole | given)


def _as_sent(body: dict[str, Json]) -> dict[str, Json]:
    """A stored body in the form of a submission."""
    whole = {name: value for name, value in body.items() if name != "email_sha256"}
    whole["order_date"] = times.iso(body["order_date"])
    if body.get("email_sha256"):
        whole["customer_email_sha256"] = body["email_sha256"]
    return whole


def _unknown(payload: dict[str, Json]) -> list[str]:
    names = [name for name in payload if name not in _KNOWN]
    for part, known in _KNOWN_IN.items():
        entries = payload.get(part)
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, dict):
                names += [f"{part}.{name}" for name in entry if name not in known]
    return [name[:100] for name in dict.fromkeys(names)][:50]


def _normalised(order: Order) -> dict[str, Json]:
    """Known fields only, defaults applied where they decide (currency, country, quantity), nulls left out."""
    customer_id, sha256 = order.customer_id or None, order.customer_email_sha256
    if order.customer_email:
        sha256 = email_sha256(order.customer_email)
    if customer_id and is_email(customer_id):
        # Treated as that e-mail, and so not kept in clear; an e-mail given as such comes first.
        sha256, customer_id = sha256 or email_sha256(customer_id), None
    body: dict[str, Json] = {
        "order_id": order.order_id,
        "order_date": order.order_date,
        "currency": order.currency or "USD",
        "total": order.total,
        "customer_id": customer_id,
        "email_sha256": sha256,
        "metadata": order.metadata or None,
        "order_items": [_item_body(item) for item in order.order_items] if order.order_items else None,
        "shipping_address": _address_body(order.shipping_address),
        "billing_address": _address_body(order.billing_address),
    }
    return {name: value for name, value in body.items() if value is not None}


def _address_body(address: Address | None) -> dict[str, Json] | None:
    if address is None:
        return None
    body = {name: getattr(address, name) for name in Address.model_fields}
    body["country"] = address.country or "USA"
    return {name: value for name, value in body.items() if value is not None}


def _item_body(item: Item) -> dict[str, Json]:
    body = {name: getattr(item, name) for name in Item.model_fields}
    return {name: value for name, value in body.items() if value not in (None, {}, [])}
