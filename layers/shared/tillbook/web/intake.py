"""Accepts v3 events: validates, hashes and queues them, and only then answers 202."""

from __future__ import annotations

from functools import cache

from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.aws.telemetry import logger
from tillbook.contract.limits import MAX_ERRORS, MAX_ORDER_BYTES
from tillbook.contract.shopper_activity import Batch, parse
from tillbook.contract.validation import Context, validated
from tillbook.records.messages import Queue, QueuedOrder
from tillbook.rules.errors import FieldError, Invalid, TooLarge
from tillbook.rules.identity import keyed_event_id, request_event_id
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.packing import pack
from tillbook.rules.times import uuid7
from tillbook.web.answers import Response
from tillbook.web.request import Request


@cache
def _queue() -> Queue:
    return Queue(clients.sqs(), settings().orders_queue_url)


def accept(request: Request) -> Response:
    """Accepts one event or, at the route `/batch`, up to 1,000.

    Raises Invalid with the faults of all events, at most MAX_ERRORS, or another Problem (rules.errors).
    """
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
    # The log line of a batch names the id of the HTTP request and that of the first event.
    logger.append_keys(orders=len(orders), order_request=ids[0])
    if not batch:
        logger.append_keys(order_id=orders[0].body["order_id"])
    return Response(202, {"request_ids": ids} if batch else {"request_id": ids[0]})


def _orders(payload: Json) -> list[Json]:
    return validated(Batch, payload if isinstance(payload, dict) else {}, Context([])).orders


def _queued(request: Request, key: str | None, payload: Json, position: int, prefix: str) -> QueuedOrder:
    envelope, body = parse(payload, request.received, prefix=prefix)
    # A single event is the whole body, whose size was checked when it was read.
    if prefix and len(dumps(payload).encode()) > MAX_ORDER_BYTES:
        raise TooLarge(f"{prefix} must be at most {MAX_ORDER_BYTES // 1024} KiB of JSON.")
    # E-mail addresses are replaced by hashes, which are longer.
    if len(dumps(body)) > MAX_ORDER_BYTES and len(pack(body)) > MAX_ORDER_BYTES:
        raise TooLarge(f"{prefix or 'The body'} has too many e-mail addresses: their hashes do not fit.")
    request_id = uuid7()
    if key is not None:
        event_id = keyed_event_id(request.account, key, position)
    else:
        event_id = envelope["hash"] if envelope["identified"] else request_event_id(request_id)
    return QueuedOrder(
        account=request.account,
        request_id=request_id,
        received=request.received,
        position=position,
        event_id=event_id,
        occurred=envelope["occurred"],
        person=envelope["person"],
        body=body,
        content_hash=envelope["hash"] if key is not None else "",
        notes=envelope["notes"],
    )


def _idempotency_key(request: Request) -> str | None:
    key = request.header("idempotency-key")
    if key is not None and (not key.strip() or len(key) > 255):
        code = "length_error" if key.strip() else "presence_error"
        raise Invalid([FieldError("Idempotency-Key", code, "must be 1 to 255 characters")])
    return key
