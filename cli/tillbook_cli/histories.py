"""What happened to an order, out of one record of a shop's file: v3 events, or one v1 order.

A file tells how an order ended; the ledger wants what happened. From a record come the order as it was placed, what was
refunded, and that it was canceled. What is sent for a record is frozen: it is each event's identity, so that another
run, of a later version too, counts nothing twice.

The meaning of a status (mappings.MEANINGS): `placed` nothing more; `open` not paid yet; `unpaid` never paid: canceled,
and counts nothing; `canceled` canceled, and counts what was not refunded; `refunded` all of it, where no amount says
how much; `skip` no order at all.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO, AmountError, parse_amount
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.json_text import Json

from .mappings import ADDRESSES, Mapping, Record

# Of a record, and not of an event.
_TOLD_BY_OTHERS = ("status", "canceled_at", "refunded_amount", "refunded_at")
_SPACE_BEFORE_OFFSET = re.compile(r"\s+(?=[+-]\d{2}:?\d{2}$|UTC$|Z$)")
_NAMED = ("provider", "email", "person_id", "order_id", "currency")


def meaning(record: Record, mapping: Mapping) -> str:
    status = str(record.get("status", "")).strip().casefold().removeprefix("wc-")
    return mapping.statuses.get(status, "placed")


def events(record: Record, mapping: Mapping) -> list[dict[str, Json]]:
    """The v3 events of an order, in their order; what is wrong with a value is left to the model that checks it."""
    means = meaning(record, mapping)
    if means == "skip":
        return []
    placed: dict[str, Json] = {"action": "placed"} | {
        name: value for name, value in record.items() if name not in _TOLD_BY_OTHERS
    }
    placed["occurred_at"] = moment(record.get("occurred_at"), mapping)
    for name in ADDRESSES:
        if name in placed:
            placed[name] = _v3_address(placed[name])
    # A row with an action is one event already.
    return [placed] if "action" in record else [placed, *_ends(placed, record, mapping, means)]


def refund_is_lost(record: Record, mapping: Mapping | None) -> bool:
    """Whether a refund stands in a row without an action: of an order that was placed it counts nothing.

    With a mapping the same sum may stand as `refunded_amount`, of which an event is made.
    """
    given = record.get("refund_amount")
    if "action" in record or given is None:
        return False
    try:
        told = _amount(record.get("refunded_amount")) if mapping else ZERO
        return _amount(given) not in (ZERO, told)
    except AmountError:
        return True


def _ends(placed: dict[str, Json], record: Record, mapping: Mapping, means: str) -> list[dict[str, Json]]:
    """Refund and cancellation: when they happened if the file tells, else a second after the order."""
    who = {name: placed[name] for name in _NAMED if name in placed}
    canceled = moment(record.get("canceled_at"), mapping)
    refunded, rest = _money(record, means, bool(canceled))
    found: list[dict[str, Json]] = []
    if refunded is not None:
        at = moment(record.get("refunded_at"), mapping) or canceled
        found.append(who | {"action": "refunded", "occurred_at": _after(placed, at), "refund_amount": refunded})
    if canceled or means in ("canceled", "unpaid"):
        event = who | {"action": "canceled", "occurred_at": _after(placed, canceled)}
        found.append(event if rest is None else event | {"refund_amount": rest})
    return found


def _money(record: Record, means: str, canceled: bool) -> tuple[Json, Json]:
    """(what was refunded, what was never paid): None where there is nothing."""
    given = record.get("refunded_amount")
    try:
        total, refunded = _amount(record.get("grand_total")), _amount(given)
    except AmountError:
        return given, None  # the model says what is wrong
    if means == "refunded" and not refunded:
        refunded = total
    nothing_kept = means == "unpaid" or (means == "open" and canceled)
    rest = EXACT.subtract(total, refunded) if nothing_kept else ZERO
    return (amount_text(refunded) if refunded else None), (amount_text(rest) if rest > 0 else None)


def order(record: Record, mapping: Mapping) -> dict[str, Json] | None:
    """The same as a v1 order, which has no refunds: its total is what was kept."""
    means = meaning(record, mapping)
    if means == "skip":
        return None
    canceled = moment(record.get("canceled_at"), mapping)
    total = record.get("grand_total")
    try:
        given = _amount(total)
        for part in _money(record, means, bool(canceled)):
            given = EXACT.subtract(given, _amount(part))
        total = amount_text(given)
    except AmountError:
        pass  # the model says what is wrong
    found: dict[str, Json] = {
        "order_id": record.get("order_id"),
        "order_date": moment(record.get("occurred_at"), mapping),
        "total": total,
        "currency": record.get("currency"),
        "customer_email": record.get("email"),
        "customer_id": record.get("customer_id") or record.get("person_id"),
        "order_items": [_v1_item(item) for item in record.get("items", [])],
    }
    if record.get("discount_code"):
        found["metadata"] = {"promo_code": record["discount_code"]}
    if "action" in record:
        found["action"] = record["action"]  # which no v1 order has: the check says so
    for name in ADDRESSES:
        found[name] = _v1_address(record.get(name))
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def moment(value: Any, mapping: Mapping) -> Any:
    """ISO 8601 in UTC; what cannot be read stays as it is, and the model says what is wrong."""
    if not isinstance(value, str):
        return value
    text = _SPACE_BEFORE_OFFSET.sub("", value.strip()).replace("UTC", "Z")
    try:
        stamp = times.parse_iso(text)
        # A date alone is that day, in any zone.
        has_time = "T" in text.upper() or " " in text
        if has_time and datetime.fromisoformat(text).tzinfo is None:
            local = times.to_datetime(stamp).replace(tzinfo=ZoneInfo(mapping.time_zone))
            stamp = times.stamp(local.astimezone(UTC))
    except (ValueError, OverflowError):
        return value
    return times.iso(stamp)


def _after(placed: dict[str, Json], at: Any) -> Json:
    """Not before the order itself, whatever a shop's clock says."""
    try:
        soonest = times.iso(times.shift(times.parse_iso(str(placed["occurred_at"])), seconds=1))
        return soonest if at is None else max(at, soonest, key=times.parse_iso)
    except (ValueError, OverflowError, TypeError):
        return at if at is not None else placed["occurred_at"]


def _amount(value: Any) -> Decimal:
    """Raises AmountError."""
    return ZERO if value is None or value == "" else parse_amount(value)[0]


def _v3_address(address: Record) -> Record:
    """v3 has first and last names: of one name the last word is the last name."""
    if "name" not in address:
        return address
    first, _, last = str(address["name"]).strip().rpartition(" ")
    names = {"first_name": first, "last_name": last} if first else {"first_name": last}
    return names | {name: value for name, value in address.items() if name != "name"}


def _v1_address(address: Record | None) -> Record | None:
    if not address or not (address.get("address_1") and address.get("postal_code")):
        return None  # v1 takes whole addresses only
    name = address.get("name") or f"{address.get('first_name', '')} {address.get('last_name', '')}".strip()
    kept = {n: v for n, v in address.items() if n not in ("name", "first_name", "last_name")}
    return ({"name": name} if name else {}) | kept


def _v1_item(item: Record) -> Record:
    """A line's total is asked for: price times quantity, where the file has none."""
    found = {
        "identifier": item.get("sku") or item.get("product_id"), "description": item.get("name"),
        "quantity": item.get("quantity"), "price": item.get("price"), "total": item.get("total"),
    }  # fmt: skip
    if found["total"] is None:
        try:
            count = _amount(found["quantity"]) if found["quantity"] is not None else Decimal(1)
            found["total"] = amount_text(EXACT.multiply(_amount(found["price"]), count))
        except AmountError:
            found["total"] = found["price"]
    return {name: value for name, value in found.items() if value is not None}
