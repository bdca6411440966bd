"""Accepting v3 orders: validated, hashed, queued, and only then answered 202."""

from __future__ import annotations

from functools import cache
from typing import Any

from tillbook import fields, shopper_activity, table
from tillbook.errors import FieldError, Invalid, TooLarge
from tillbook.http import MAX_ORDER_BYTES, Request, Response
from tillbook.identity import keyed_event_id, request_event_id
from tillbook.json_text import Json, dumps
from tillbook.messages import Queue, QueuedOrder
from tillbook.packing import pack
from tillbook.settings import settings
from tillbook.shapes import MAX_ERRORS, Fault
from tillbook.times import uuid7

_MANY_HASHES = 500  # up to so many, what is within the limit as it was sent fits an item also with them


@cache
def _queue() -> Queue:
    return Queue(table.sqs(), settings().orders_queue_url)


def accept(request: Request) -> Response:
    """One order, or with the route's `/batch` up to 1,000. Raises Invalid with every fault of every order."""
    payload = request.json()
    batch = request.route.endswith("/batch")
    payloads = _orders(payload) if batch else [payload]
    key = _idempotency_key(request)
    orders: list[QueuedOrder] = []
    faults: list[FieldError] = []
    for position, entry in enumerate(payloads):
        try:
            orders.append(_queued(request, key, entry, position, f"orders[{position}]" if batch else ""))
        except Invalid as invalid:
            faults += invalid.errors
        if len(faults) >= MAX_ERRORS:
            break
    if faults:
        raise Invalid(faults[:MAX_ERRORS])
    _queue().send_orders(orders)
    ids = [order.request_id for order in orders]
    # A batch has one id of its own in the log, and the first of its orders'.
    request.told.update(orders=len(orders), order_request=ids[0])
    if not batch:
        request.told["order_id"] = orders[0].body["order_id"]
    return Response(202, {"request_ids": ids} if batch else {"request_id": ids[0]})


def _orders(payload: Json) -> list[Json]:
    orders = payload.get("orders") if isinstance(payload, dict) else None
    if isinstance(orders, dict) and all(name.isdecimal() for name in orders):
        orders = list(orders.values())  # a PHP array whose keys do not start at 0, as drip-php sends a second chunk
    if orders is None or orders == []:
        raise Invalid([FieldError("orders", "presence_error", "is required")])
    if not isinstance(orders, list):
        raise Invalid([FieldError("orders", "format_error", "must be an array")])
    if len(orders) > shopper_activity.MAX_BATCH:
        raise Invalid([FieldError("orders", "length_error", f"must have at most {shopper_activity.MAX_BATCH} entries")])
    return orders


def _queued(request: Request, key: str | None, payload: Json, position: int, prefix: str) -> QueuedOrder:
    envelope, body = shopper_activity.parse(payload, request.received, prefix=prefix)
    if prefix and len(dumps(payload).encode()) > MAX_ORDER_BYTES:
        raise TooLarge(f"{prefix} must be at most {MAX_ORDER_BYTES // 1024} KiB of JSON.")
    if envelope["hashed"] > _MANY_HASHES and len(pack(body)) > MAX_ORDER_BYTES:
        raise TooLarge(f"{prefix or 'The body'} has too many e-mail fields: their hashes do not fit.")
    request_id = uuid7()
    if key is not None:
        event_id = keyed_event_id(request.account, key, position)
    else:
        event_id = envelope["hash"] if envelope["identified"] else request_event_id(request_id)
    return QueuedOrder(
        account=request.account, request_id=request_id, received=request.received, position=position,
        event_id=event_id, occurred=envelope["occurred"], person=envelope["person"], body=body,
        content_hash=envelope["hash"] if key is not None else "", notes=envelope["notes"],
    )  # fmt: skip


def _idempotency_key(request: Request) -> str | None:
    value: Any = request.header("idempotency-key")
    if value is None:
        return None
    try:
        return str(fields.text(255, required=True)(value))
    except Fault as fault:
        raise Invalid([FieldError("Idempotency-Key", fault.code, "must be 1 to 255 characters")]) from None
