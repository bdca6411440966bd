"""The Orders API (v1) as a shop sends it. The form in which orders are kept and shown is in document.py."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator, field_validator

from tillbook.contract import fields
from tillbook.contract.document import document_of
from tillbook.contract.limits import MAX_ITEMS, MAX_METADATA_KEY, MAX_METADATA_KEYS, MAX_METADATA_VALUE
from tillbook.contract.validation import Context, Model, bounded, fault, validated
from tillbook.ledger.orders import Document
from tillbook.rules import times
from tillbook.rules.addresses import says_something
from tillbook.rules.errors import FieldError, Invalid
from tillbook.rules.identity import email_sha256, is_email, is_nobody, is_sha256, without_emails
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.labels import new_buyer_of, promo_code_of

_INTEGER = re.compile(r"\s*-?\d{1,16}\s*", re.ASCII)


def _metadata(value: Any) -> dict[str, str] | None:
    """Checks metadata, and converts numbers and booleans to text."""
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


def _order_metadata(value: Any, info: fields.Info) -> dict[str, str] | None:
    """Checks an order's metadata. Adds a note if reports cannot count `new_buyer` (it is not a boolean) or `promo_code`
    (it is not a code).

    Metadata that an edit leaves unchanged gets no further notes.
    """
    metadata = _metadata(value) or {}
    if metadata == info.context.unchanged:
        return metadata or None
    if new_buyer_of(metadata.get("new_buyer", "true")) is None:
        info.context.notes.append("metadata.new_buyer is neither true nor false: reports do not count it")
    if promo_code_of(metadata.get("promo_code", "")) is None:
        info.context.notes.append("metadata.promo_code is not a code: reports do not count it")
    return metadata or None


def _quantity(value: Any) -> int:
    if value is None:
        return 1
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 16 and value == value // 1:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise fault("format_error", "must be an integer")
    if abs(value) >= 10**15:
        raise fault("range_error", "must have at most 15 digits")
    return value


_metadata_schema = fields.schema(
    "object", "null",
    maxProperties=MAX_METADATA_KEYS, propertyNames={"maxLength": MAX_METADATA_KEY},
    additionalProperties={"type": ["string", "number", "boolean"], "maxLength": MAX_METADATA_VALUE},
)  # fmt: skip
Metadata = Annotated[dict[str, str] | None, PlainValidator(_metadata), _metadata_schema]
OrderMetadata = Annotated[dict[str, str] | None, PlainValidator(_order_metadata), _metadata_schema]
Quantity = Annotated[
    int,
    PlainValidator(_quantity),
    fields.schema(
        "integer", "string", "null", exclusiveMinimum=-1e15, exclusiveMaximum=1e15, pattern="^-?[0-9]{1,15}$"
    ),
]
Category = Annotated[
    fields.Texts,
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    fields.schema_or_false("array", "string", "null", items={"type": "string"}),
]


class OrderAddress(Model):
    name: fields.Line = Field(None, description="Name of the recipient.")
    company: fields.Line = Field(None, description="Company.")
    address_1: fields.RequiredLine = Field(description="Number and street.")
    address_2: fields.Line = Field(None, description="Apartment, suite, unit.")
    city: fields.Line = Field(None, description="City.")
    state: fields.Line = Field(None, description="State.")
    state_name: Annotated[fields.Line, fields.unless("state")] = Field(
        None, description="The state, under the name that answers use. Ignored if `state` is sent."
    )
    postal_code: fields.RequiredLine = Field(description="ZIP or postal code.")
    country: fields.Country = Field(None, description="ISO 3166 code of two or three letters. USA if absent.")

    def kept(self) -> dict[str, Json]:
        address = {"country": "USA"} | super().kept()
        state_name = address.pop("state_name", None)
        return address if state_name is None else {"state": state_name} | address


class OrderItem(Model):
    identifier: fields.RequiredLine = Field(description="Your identifier of the item, for example its UPC or SKU.")
    description: fields.Text = Field(None, description="Name or description.")
    quantity: Quantity = Field(1, description="Number of units, 1 if absent.")
    total: fields.RequiredAmount = Field(description="Price of all units together.")
    price: fields.Amount = Field(None, description="Price of one unit.")
    category: Category = Field(None, description="Categories, the most general first. A string counts as a list.")
    metadata: Metadata = Field(None, description="Up to 10 keys with strings, numbers or booleans.")

    def kept(self) -> dict[str, Json]:
        # An absent price and a price of 0 are equal (see _normalised).
        return {n: value for n, value in super().kept().items() if value not in ({}, []) and (value or n != "price")}


Items = Annotated[list[OrderItem], Field(max_length=MAX_ITEMS)] | None


class Order(Model):
    """An order as a shop submits it. Unknown fields are accepted, and noted with the request."""

    order_id: fields.OrderId = Field(
        description="Your unique identifier of this order. It is used in URL paths, percent-encoded, so it must not "
        "contain ? or control characters, and must not be . or .. alone."
    )
    order_date: fields.RequiredMoment = Field(description="Date or date-time of the purchase.")
    total: fields.Total = Field(None, description="The order's total value, 0 if absent. You may leave out taxes.")
    currency: fields.Currency = Field(None, description="ISO 4217 code, in any case. USD if absent.")
    customer_id: fields.PersonId = Field(None, description="Your id of the customer. An e-mail address is hashed.")
    customer_email: fields.Email = Field(None, description="The customer's e-mail. Hashed on arrival, never stored.")
    customer_email_sha256: fields.Sha256 = Field(None, description="SHA-256 of the trimmed, lower-cased e-mail.")
    metadata: OrderMetadata = Field(None, description="Up to 10 keys with strings, numbers or booleans.")
    order_items: Items = Field(None, description="The items of the order.")
    billing_address: fields.Address[OrderAddress] = Field(None, description="The billing address.")
    shipping_address: fields.Address[OrderAddress] = Field(
        None, validate_default=True, description="The shipping address."
    )

    @field_validator("customer_email_sha256")
    @classmethod
    def _matches_email(cls, sha256: str | None, info: fields.Info) -> str | None:
        email = info.data.get("customer_email")
        if email and sha256 and email_sha256(email) != sha256:
            raise fault("format_error", "is not the hash of customer_email")
        return sha256

    @field_validator("shipping_address")
    @classmethod
    def _requires_address_or_email(cls, address: OrderAddress | None, info: fields.Info) -> OrderAddress | None:
        """Requires an address or an e-mail. A field with an error is not in `info.data`, but counts as sent."""
        others = ("billing_address", "customer_email_sha256", "customer_email")
        if address is None and not any(info.data.get(name, True) for name in others):
            raise fault(
                "presence_error",
                "is required if there is no billing_address, customer_email or customer_email_sha256",
            )
        return address


def document(payload: Json, metadata: dict[str, Json] | None = None) -> tuple[Document, list[str]]:
    """A submission as the ledger takes it, with notes on values that were rounded, ignored or not understood.

    `metadata` is the order's metadata before an edit; unchanged metadata is not noted again. Raises Invalid with every
    fault.
    """
    notes: list[str] = []
    order = validated(Order, payload, Context(notes, unchanged=metadata))
    notes += [f"{name} is not a known field" for name in _unknown(order)]
    return document_of(_normalised(order)), bounded(notes)


# Fields in which "" counts as absent.
_MAY_BE_EMPTY = frozenset({"total", "currency", "customer_email", "customer_email_sha256"})


def edited(body: dict[str, Json], payload: Json) -> tuple[Document, list[str]]:
    """The order after an edit: a value replaces a field, null clears it, other fields are unchanged. Raises Invalid."""
    if not isinstance(payload, dict):
        raise Invalid([FieldError("", "format_error", "must be an object")])
    notes: list[str] = []
    given = {name: entry for name, entry in payload.items() if not _counts_as_absent(name, entry, notes)}
    sent_id = given.pop("order_id", None)
    if sent_id is not None and str(fields.digits(sent_id)) != body["order_id"]:
        raise Invalid([FieldError("order_id", "format_error", "cannot be changed")])
    whole = _as_sent(body)
    customer_id = given.get("customer_id")
    if {"customer_email", "customer_email_sha256"} & given.keys() or (
        # A new e-mail replaces the stored hash. So does a new customer_id that is an e-mail address, unless the order
        # has a customer_id: in that case the hash is from an e-mail field, which takes precedence.
        isinstance(customer_id, str) and is_email(customer_id) and "customer_id" not in body
    ):
        whole.pop("customer_email_sha256", None)
    changed, more_notes = document(whole | given, body.get("metadata"))
    return changed, bounded(notes + more_notes)


def _counts_as_absent(name: str, entry: Json, notes: list[str]) -> bool:
    """Whether an edit leaves a field unchanged. Null clears it; other values that count as absent change nothing."""
    if entry is None:
        return False
    if name in ("shipping_address", "billing_address"):
        return not says_something(entry)
    if name == "customer_id":
        text = fields.trimmed(entry)
        if isinstance(text, str) and is_nobody(text):
            notes.append(fields.nobody_note(name, text))
            return True
        return bool(text == "")
    return name in _MAY_BE_EMPTY and bool(entry == "")


def _as_sent(body: dict[str, Json]) -> dict[str, Json]:
    """A stored body in the form of a submission."""
    whole = {name: value for name, value in body.items() if name != "email_sha256"}
    whole["order_date"] = times.iso(body["order_date"])
    if body.get("email_sha256"):
        whole["customer_email_sha256"] = body["email_sha256"]
    return whole


def _unknown(order: Order) -> list[str]:
    """The names of unknown fields. A name that is an e-mail address is replaced by its hash."""
    names = list(order.model_extra or ())
    parts: list[tuple[str, Model | None]] = [
        ("shipping_address", order.shipping_address),
        ("billing_address", order.billing_address),
        *(("order_items", item) for item in order.order_items or ()),
    ]
    names += [f"{part}.{without_emails(name)}" for part, model in parts if model for name in model.model_extra or ()]
    return [name[:100] for name in dict.fromkeys(map(without_emails, names))]


def _normalised(order: Order) -> dict[str, Json]:
    """The order's known fields with defaults for currency, country and quantity, and e-mails hashed.

    Submissions are compared by this form. An absent total or price must equal one of 0, so neither is kept.
    """
    body: dict[str, Json] = {"currency": "USD"} | order.kept()
    email, sha256 = body.pop("customer_email", None), body.pop("customer_email_sha256", None)
    sha256 = email_sha256(email) if email else sha256
    if is_email(body.get("customer_id", "")):
        # A customer_id that is an e-mail address is kept as its hash only. customer_email takes precedence over it.
        sha256 = sha256 or email_sha256(body["customer_id"])
        del body["customer_id"]
    body |= {"email_sha256": sha256}
    return {n: value if n == "order_id" else without_emails(value) for n, value in body.items() if value}


# ------------------------------------------------------------------------ size

_UNQUOTABLE = re.compile(
    r"true|false|-?\d+(\.\d+)?(E[+-]?\d+)?", re.ASCII
)  # texts that may have been sent without quotes
_SMALL = re.compile(r"-?0\.0{1,5}[1-9]\d*", re.ASCII)  # may have been sent with an exponent: 0.001 as 1E-3


def least_sent_size(body: dict[str, Json]) -> int:
    """A lower bound of the bytes of any JSON that normalises to this body."""
    # Fields that normalisation may have added or changed are left out. If they were sent, they took few bytes.
    sent = {name: entry for name, entry in body.items() if name not in ("currency", "email_sha256", "order_date")}
    for name in ("shipping_address", "billing_address"):
        if name in sent:
            sent[name] = {part: entry for part, entry in sent[name].items() if part != "country"}
    if "order_items" in sent:
        sent["order_items"] = [
            {name: entry for name, entry in item.items() if (name, entry) != ("quantity", 1)}
            for item in sent["order_items"]
        ]
    return _shortest(sent)


def _shortest(value: Json) -> int:
    if isinstance(value, dict):
        # Two braces, and for each entry a colon and a comma; the last entry has no comma.
        return 1 + sum(len(dumps(name).encode()) + _shortest(entry) + 2 for name, entry in value.items())
    if isinstance(value, list):
        # A list of one category may have been sent as the text alone.
        return _shortest(value[0]) if len(value) == 1 else 1 + sum(_shortest(entry) + 1 for entry in value)
    if not isinstance(value, str):
        return min(len(dumps(value)), len(dumps(value, canonical=True)))
    if is_sha256(value):
        return 7  # the shortest e-mail address that may have been sent, of five characters, in quotes
    if not _UNQUOTABLE.fullmatch(value):
        return len(dumps(value).encode())
    return _shortest(Decimal(value)) if _SMALL.fullmatch(value) else len(value.replace("+", ""))
