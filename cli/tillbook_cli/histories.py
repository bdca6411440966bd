"""Conversion of records of a shop's file into events of Order Activity (v3), or an order of the Orders API (v1).

A record without an action is an order in its current state. It becomes one event, `placed` at the time of the order,
with the total net of refunds: later webhooks of the same order override it, and a later export corrects it. If the time
of the export is known, the record becomes the events of a connector: a `placed` event without amounts, and the order's
state at that time, which overrides earlier webhooks. A record with an action is an event, and is sent as that event.

The conversion must not change: its result identifies the event, so that a repeated run, even by a later version, counts
nothing twice.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tillbook.contract.platforms.statuses import Meaning, left_of, meaning_of, words_of
from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO, AmountError, parse_amount
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.json_text import Json

from .mappings import ADDRESSES, STATE, Mapping, Record

# The fields of a connector's `placed` event. An import sends the same event, so that the two count as one.
_OF_PLACED = ("provider", "order_id", "email", "person_id", "currency", "action", "occurred_at")
_ONLY_V1 = ("customer_email_sha256",)
_SPACE_BEFORE_OFFSET = re.compile(r"\s+(?=[+-]\d{2}:?\d{2}$|UTC$|Z$)")
_HAS_CLOCK = re.compile(r"%[HIcXsT]")
# Refunds in the form of WooCommerce's Import Export Suite: amount:20.00|reason:…|date:…, separated by a semicolon.
_PACKED = re.compile(r"(?:^|[;|])\s*amount:(-?[0-9.]+)")


def meaning(record: Record, mapping: Mapping) -> Meaning:
    """The meaning of a record's status; `unknown` if neither the mapping nor the platform has the word."""
    status = str(record.get("status", ""))
    is_canceled = "canceled_at" in record
    if not words_of(status):
        return "unpaid" if is_canceled else "open"
    known = meaning_of(mapping.platform, status, own=mapping.statuses)
    if known == "unknown":
        return known
    return meaning_of(mapping.platform, status, canceled=is_canceled, own=mapping.statuses)


def is_event(record: Record) -> bool:
    return "action" in record


def events(record: Record, mapping: Mapping) -> list[dict[str, Json]]:
    """The events of a record, none if it is skipped; the last has the order's state. The model reports wrong values."""
    event: dict[str, Json] = {"action": "placed"} | {
        name: value for name, value in record.items() if name not in (*STATE, *_ONLY_V1, "properties")
    }
    event |= record.get("properties", {})
    event["occurred_at"] = moment(record.get("occurred_at"), mapping)
    for name in ADDRESSES:
        if name in event:
            event[name] = _v3_address(event[name])
    if "items" in event:
        event["items"] = [_v3_item(item) for item in event["items"]]
    if is_event(record):
        return [event]
    means = meaning(record, mapping)
    if means == "skip":
        return []
    state = event | _left(record, means, "grand_total") | _ends(record, mapping)
    if not mapping.as_of:
        return [state]
    marker = {name: event[name] for name in _OF_PLACED if name in event}
    return [marker, state | {"action": "updated", "occurred_at": mapping.as_of}]


def _left(record: Record, means: Meaning, name: str) -> dict[str, Json]:
    """The amount that the order counts, as the field `name`: its total net of refunds, or 0 if the meaning says so.

    A wrong total is kept, so that the model reports it.
    """
    given = record.get("grand_total")
    if given is None:
        return {}
    try:
        total, refunded = _amount(given), _refunded(record)
    except AmountError:
        return {name: given}
    return {name: given if total < 0 else amount_text(left_of(means, total, refunded))}


def _ends(record: Record, mapping: Mapping) -> dict[str, Json]:
    """Custom attributes of the event that inform about refunds and cancellation, but count nothing."""
    found: dict[str, Json] = {}
    try:
        if refunded := _refunded(record):
            found = {"gross_total": record.get("grand_total"), "refunded": amount_text(refunded)}
    except AmountError:
        pass  # refund_is_unreadable reports it
    for name in ("refunded_at", "canceled_at"):
        if name in record:
            found[name] = moment(record[name], mapping)
    return found


def refund_is_lost(record: Record, mapping: Mapping | None) -> bool:
    """Whether a row without an action has a refund_amount that would be ignored, since it becomes a `placed` event.

    A mapping may read the same sum as `refunded_amount`, which is subtracted from the total.
    """
    given = record.get("refund_amount")
    if is_event(record) or given is None:
        return False
    try:
        refunded = _refunded(record) if mapping else ZERO
        return _amount(given) not in (ZERO, refunded)
    except AmountError:
        return True


def refund_is_unreadable(record: Record) -> bool:
    try:
        _refunded(record)
    except AmountError:
        return True
    return False


def order(record: Record, mapping: Mapping) -> dict[str, Json] | None:
    """The v1 order of a record. v1 has no refunds, so its total is net of refunds."""
    means = meaning(record, mapping)
    if means == "skip":
        return None
    found: dict[str, Json] = {
        "order_id": record.get("order_id"),
        "order_date": moment(record.get("occurred_at"), mapping),
        "currency": record.get("currency"),
        "customer_email": record.get("email"),
        "customer_email_sha256": record.get("customer_email_sha256"),
        "customer_id": record.get("customer_id") or record.get("person_id"),
        "order_items": [_v1_item(item) for item in record.get("items", [])],
        "metadata": record.get("properties"),
    }
    found |= _left(record, means, "total")
    if "action" in record:
        found["action"] = record["action"]  # v1 orders have no action; the check reports it
    for name in ADDRESSES:
        found[name] = _v1_address(record.get(name))
    return {name: value for name, value in found.items() if value not in (None, [], {})}


# -------------------------------------------------------------------- values


def moment(value: Any, mapping: Mapping) -> Any:
    """The value as ISO 8601 in UTC. A value that cannot be read is kept, so that the model reports it."""
    found = time_of(value, mapping)
    if found is None:
        return value
    local, has_clock = found
    # A date without a time is the same day in every zone.
    zone = ZoneInfo(mapping.time_zone) if has_clock and mapping.time_zone else UTC
    try:
        return times.iso(times.stamp(local if local.tzinfo else local.replace(tzinfo=zone)))
    except OverflowError:
        return value


def is_time(value: Any, mapping: Mapping) -> bool:
    return time_of(value, mapping) is not None


def is_naive(value: Any, mapping: Mapping) -> bool:
    """Whether a time has no offset, so that its moment depends on the shop's time zone."""
    found = time_of(value, mapping)
    return found is not None and found[1] and found[0].tzinfo is None


def time_of(value: Any, mapping: Mapping) -> tuple[datetime, bool] | None:
    """(time, whether it has a time of day), read in a format of the mapping or as ISO 8601; None for other values."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    for form in mapping.dates:
        try:
            return datetime.strptime(text, form), bool(_HAS_CLOCK.search(form))  # noqa: DTZ007 - the mapping has the zone
        except ValueError:
            continue
    text = _SPACE_BEFORE_OFFSET.sub("", text).replace("UTC", "Z").upper()
    try:
        times.parse_iso(text)
        return datetime.fromisoformat(text), "T" in text or " " in text
    except ValueError:
        return None


def _amount(value: Any) -> Decimal:
    """The amount in a value; 0 if it is empty. Raises AmountError."""
    return ZERO if value is None or value == "" else parse_amount(value)[0]


def _refunded(record: Record) -> Decimal:
    """The sum of refunds, which some exports write as a negative amount. Raises AmountError."""
    value = record.get("refunded_amount")
    if isinstance(value, str) and "amount:" in value:
        total = ZERO
        for amount in _PACKED.findall(value):
            total = EXACT.add(total, abs(_amount(amount)))
        return total
    return abs(_amount(value))


def _v3_address(address: Record) -> Record:
    """The address for v3, which has first and last names: the last of several words of `name` is the last name."""
    if "name" not in address:
        return address
    first, _, last = str(address["name"]).strip().rpartition(" ")
    names = {"first_name": first, "last_name": last} if first else {"first_name": last}
    return names | {name: value for name, value in address.items() if name != "name"}


def _v3_item(item: Record) -> Record:
    categories = item.get("categories")
    return item | {"categories": [categories]} if isinstance(categories, str) else item


def _v1_address(address: Record | None) -> Record | None:
    if not address or not (address.get("address_1") and address.get("postal_code")):
        return None  # v1 requires both in an address
    name = address.get("name") or f"{address.get('first_name', '')} {address.get('last_name', '')}".strip()
    kept = {n: v for n, v in address.items() if n not in ("name", "first_name", "last_name")}
    return ({"name": name} if name else {}) | kept


def _v1_item(item: Record) -> Record:
    """The item for v1, which requires a total: price times quantity if the file has none."""
    found = {
        "identifier": item.get("sku") or item.get("product_id"), "description": item.get("name"),
        "quantity": item.get("quantity"), "price": item.get("price"), "total": item.get("total"),
        "category": item.get("categories"),
    }  # fmt: skip
    if found["total"] is None:
        try:
            count = _amount(found["quantity"]) if found["quantity"] is not None else Decimal(1)
            found["total"] = amount_text(EXACT.multiply(_amount(found["price"]), count))
        except AmountError:
            found["total"] = found["price"]
    return {name: value for name, value in found.items() if value is not None}
