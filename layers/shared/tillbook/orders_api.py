"""v1 on the wire: the Orders API as a shop sends it. What is kept of it, and shown again: document.py."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from tillbook import fields, times
from tillbook.document import document_of
from tillbook.errors import FieldError, Invalid
from tillbook.identity import email_sha256, is_email, is_sha256
from tillbook.json_text import Json, dumps
from tillbook.ledger import Document
from tillbook.shapes import Context, Fault, Field, Part, Shape, bounded, checked

MAX_METADATA_KEYS, MAX_METADATA_KEY, MAX_METADATA_VALUE = 10, 40, 200


def _metadata(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Fault("format_error", "must be an object")
    if len(value) > MAX_METADATA_KEYS:
        raise Fault("length_error", f"must have at most {MAX_METADATA_KEYS} keys")
    out: dict[str, str] = {}
    for key, entry in value.items():
        if len(key) > MAX_METADATA_KEY:
            raise Fault("length_error", f"must have keys of at most {MAX_METADATA_KEY} characters")
        if isinstance(entry, bool):
            entry = "true" if entry else "false"
        elif isinstance(entry, int | Decimal):
            entry = str(entry)
        if not isinstance(entry, str):
            raise Fault("format_error", "must have strings, numbers or booleans as values")
        if len(entry) > MAX_METADATA_VALUE:
            raise Fault("length_error", f"must have values of at most {MAX_METADATA_VALUE} characters")
        out[key] = entry
    return out


def _category(value: Any) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise Fault("format_error", "must be an array of strings")
    return value


def _quantity(value: Any) -> int:
    if value is None:
        return 1
    if isinstance(value, str) and len(value) <= 16:
        digits = value.strip().removeprefix("-")
        if digits.isdecimal() and digits.isascii():
            value = int(value)
    if (
        isinstance(value, Decimal)
        and value.is_finite()
        and value.adjusted() < 16
        and value == value.to_integral_value()
    ):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Fault("format_error", "must be an integer")
    if abs(value) >= 10**15:
        raise Fault("range_error", "must have at most 15 digits")
    return value


_SENT_AS_ANSWERED = {"state": "state_name"}


def _state_by_either_name(address: dict[str, Json]) -> tuple[dict[str, Json], dict[str, str]]:
    """Answers say `state_name`: an address sent back as it was answered means the same."""
    if "state_name" in address and address.get("state") is None:
        return address | {"state": address["state_name"]}, _SENT_AS_ANSWERED
    return address, {}


METADATA = Field(
    _metadata,
    fields.says(
        "object", "null",
        maxProperties=MAX_METADATA_KEYS, propertyNames={"maxLength": MAX_METADATA_KEY},
        additionalProperties=fields.says("string", "number", "boolean", maxLength=MAX_METADATA_VALUE),
    ),
)  # fmt: skip
QUANTITY = Field(
    _quantity,
    fields.says("integer", "string", "null", exclusiveMinimum=-1e15, exclusiveMaximum=1e15, pattern="^-?[0-9]{1,15}$"),
    default=1,
)
CATEGORY = Field(_category, fields.says("array", "string", "null", items={"type": "string"}))

ADDRESS = Shape(
    {
        "name": fields.LINE,
        "company": fields.LINE,
        "address_1": fields.REQUIRED_LINE,
        "address_2": fields.LINE,
        "city": fields.LINE,
        "state": fields.LINE,
        "postal_code": fields.REQUIRED_LINE,
        "country": fields.COUNTRY,
    },
    before=_state_by_either_name,
)
ITEM = Shape(
    {
        "identifier": fields.REQUIRED_LINE,
        "description": fields.TEXT,
        "quantity": QUANTITY,
        "total": fields.REQUIRED_AMOUNT,
        "price": fields.AMOUNT,
        "category": CATEGORY,
        "metadata": METADATA,
    }
)
ORDER = Shape(
    {
        "order_id": fields.ORDER_ID,
        "order_date": fields.REQUIRED_MOMENT,
        "total": fields.TOTAL,
        "currency": fields.CURRENCY,
        "customer_id": fields.PERSON_ID,
        "customer_email": fields.EMAIL,
        "customer_email_sha256": fields.SHA256,
        "metadata": METADATA,
        "order_items": Part(ITEM, most=fields.MAX_ITEMS),
        "shipping_address": Part(ADDRESS),
        "billing_address": Part(ADDRESS),
    }
)

_KNOWN_IN = {
    "shipping_address": ADDRESS.fields.keys() | {"state_name"},
    "billing_address": ADDRESS.fields.keys() | {"state_name"},
    "order_items": ITEM.fields.keys(),
}


def document(payload: Json) -> tuple[Document, list[str]]:
    """A submission as the ledger takes it, with notes on what was rounded or not understood.

    Raises Invalid with every fault.
    """
    notes: list[str] = []
    faults: list[FieldError] = []
    order: dict[str, Json] = {}
    try:
        order = checked(ORDER, payload, Context(notes))
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
    if faults:
        raise Invalid(faults)
    notes += [f"{name} is not a known field" for name in _unknown(payload)]
    return document_of(_normalised(order)), bounded(notes)


def _differ(email: Json, sha256: Json) -> bool:
    if not (isinstance(email, str) and is_email(email) and isinstance(sha256, str) and is_sha256(sha256.strip())):
        return False
    return email_sha256(email) != sha256.strip().lower()


def edited(body: dict[str, Json], payload: Json) -> tuple[Document, list[str]]:
    """The order after an edit: given fields replace, null clears, absent fields stay. Raises Invalid."""
    if not isinstance(payload, dict):
        raise Invalid([FieldError("", "format_error", "must be an object")])
    given = {name: entry for name, entry in payload.items() if not _says_nothing(name, entry)}
    sent_id = given.pop("order_id", None)
    if sent_id is not None and str(sent_id) != body["order_id"]:
        raise Invalid([FieldError("order_id", "format_error", "cannot be changed")])
    whole = _as_sent(body)
    customer_id = given.get("customer_id")
    if {"customer_email", "customer_email_sha256"} & given.keys() or (
        # An e-mail comes before an id, but the one of the order as it was may be of such an id itself.
        isinstance(customer_id, str) and is_email(customer_id) and "customer_id" not in body
    ):
        whole.pop("customer_email_sha256", None)
    return document(whole | given)


def _says_nothing(name: str, entry: Json) -> bool:
    """`""` where the field takes it as absent: only null clears."""
    field = ORDER.fields.get(name)
    if not isinstance(entry, str) or entry.strip() or not isinstance(field, Field):
        return False
    try:
        return not (field.check(entry, name, Context([])) if field.told else field.check(entry))
    except Fault:
        return False


def _as_sent(body: dict[str, Json]) -> dict[str, Json]:
    """A stored body in the form of a submission."""
    whole = {name: value for name, value in body.items() if name != "email_sha256"}
    whole["order_date"] = times.iso(body["order_date"])
    if body.get("email_sha256"):
        whole["customer_email_sha256"] = body["email_sha256"]
    return whole


def _unknown(payload: dict[str, Json]) -> list[str]:
    names = [name for name in payload if name not in ORDER.fields]
    for part, known in _KNOWN_IN.items():
        entries = payload.get(part)
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, dict):
                names += [f"{part}.{name}" for name in entry if name not in known]
    return [name[:100] for name in dict.fromkeys(names)]


def _normalised(order: dict[str, Json]) -> dict[str, Json]:
    """Known fields only, defaults applied where they decide (currency, country, quantity), nulls left out.

    This is what submissions are compared by, so an absent amount and one of 0 must not differ: neither is kept.
    """
    customer_id, sha256 = order.get("customer_id") or None, order.get("customer_email_sha256")
    if order.get("customer_email"):
        sha256 = email_sha256(order["customer_email"])
    if customer_id and is_email(customer_id):
        # Treated as that e-mail, and so not kept in clear; an e-mail given as such comes first.
        sha256, customer_id = sha256 or email_sha256(customer_id), None
    body: dict[str, Json] = {
        "order_id": order["order_id"],
        "order_date": order["order_date"],
        "currency": order.get("currency") or "USD",
        "total": order.get("total") or None,
        "customer_id": customer_id,
        "email_sha256": sha256,
        "metadata": order.get("metadata") or None,
        "order_items": [_item_body(item) for item in order.get("order_items", [])] or None,
        "shipping_address": _address_body(order.get("shipping_address")),
        "billing_address": _address_body(order.get("billing_address")),
    }
    return {name: value for name, value in body.items() if value is not None}


def _address_body(address: dict[str, Json] | None) -> dict[str, Json] | None:
    return None if address is None else address | {"country": address.get("country") or "USA"}


def _item_body(item: dict[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in item.items() if value not in ({}, []) and (value or name != "price")}


# ------------------------------------------------------------------------ size

_BARE = re.compile(r"true|false|-?\d+(\.\d+)?(E[+-]?\d+)?", re.ASCII)  # texts that may have been sent without quotes
_SMALL = re.compile(r"-?0\.0{1,5}[1-9]\d*", re.ASCII)


def sent_size(body: dict[str, Json]) -> int:
    """Bytes of the shortest JSON that is kept as this body: what normalising adds or spells out is not counted."""
    # These are a few bytes at most; what was sent for the hash may have been an e-mail of five letters.
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
        return 1 + sum(len(dumps(name).encode()) + _shortest(entry) + 2 for name, entry in value.items())
    if isinstance(value, list):
        return _shortest(value[0]) if len(value) == 1 else 1 + sum(_shortest(entry) + 1 for entry in value)
    if not isinstance(value, str):
        return min(len(dumps(value)), len(dumps(value, canonical=True)))
    if not _BARE.fullmatch(value):
        return len(dumps(value).encode())
    return _shortest(Decimal(value)) if _SMALL.fullmatch(value) else len(value.replace("+", ""))
