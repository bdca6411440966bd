"""Receives webhooks of platforms: checks the signature, converts the order into v3 events, queues these, and answers.

Every genuine webhook that can be handled now is answered with 200, even without a valid order: WooCommerce does not
retry, and switches a webhook off after a few failures. A genuine webhook without a valid order is recorded as a
rejected request. Raw payloads are not kept.
"""

from __future__ import annotations

import re
import time
from base64 import b64decode
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from tillbook.aws import clients
from tillbook.aws.retries import is_transient
from tillbook.aws.secrets import Secrets
from tillbook.aws.settings import settings
from tillbook.aws.telemetry import count, logger, observed
from tillbook.contract.limits import AHEAD_HOURS, MAX_ORDER_BYTES, MAX_WEBHOOK_BYTES
from tillbook.contract.platforms import shopify, woocommerce
from tillbook.contract.platforms.deliveries import Delivery, Ignored, tolerant, without
from tillbook.contract.platforms.signatures import PLATFORMS, header
from tillbook.contract.shopper_activity import parse
from tillbook.records.connections import Connection, Connections
from tillbook.records.last_deliveries import Result
from tillbook.records.messages import Queue, QueuedOrder
from tillbook.rules import times
from tillbook.rules.errors import Problem, TooLarge, Unauthenticated, Unavailable
from tillbook.rules.identity import payload_hash, request_event_id
from tillbook.rules.json_text import Json, dumps, loads
from tillbook.rules.order import VOIDED
from tillbook.rules.packing import pack
from tillbook.web.answers import Response, answer, refusal

_Noted = tuple[Connection, Result, str, str]  # the arguments of LastDeliveries.note

_EVENTS = {"woocommerce": woocommerce.events, "shopify": shopify.events}
# Fields without which an event cannot count ("": the whole event). If another field is wrong, it is left out.
_ESSENTIAL = frozenset({"provider", "order_id", "email", "action", "occurred_at", "grand_total", "currency", ""})
# WooCommerce posts this, without a signature, when a webhook is saved; it shows an error unless the answer is 200.
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")


@cache
def _connections() -> Connections:
    env = settings()
    return Connections(clients.dynamodb(), env.records_table, Secrets(clients.ssm(), env.stack_name))


@cache
def _queue() -> Queue:
    return Queue(clients.sqs(), settings().orders_queue_url)


@observed
def receive(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The handler of the function. A webhook with a wrong signature or of an unknown connection gets the same 401.

    The answer is 413 for a body that is too large, and 503 after a temporary failure, for example of the queue.
    """
    started = time.monotonic()
    sent = APIGatewayProxyEventV2(event)
    request_id, received = times.uuid7(), times.now()
    logger.append_keys(request_id=request_id, route=sent.route_key)
    try:
        response, delivery = _response(sent, request_id, received)
        # A queued order must be answered in time, even if its delivery cannot be noted.
        if delivery and context.get_remaining_time_in_millis() / 1000 > clients.SLOWEST_CALL_SECONDS:
            _connections().last.note(*delivery)
    except Problem as problem:
        if isinstance(problem, Unauthenticated):
            count("Unauthorized")
        response = refusal(problem, v1=False)
    except Exception as error:
        logger.warning("unexpected", exc_info=error)
        response = refusal(Unavailable("Please try again.") if is_transient(error) else Problem(), v1=False)
    logger.info("request", status=response.status, milliseconds=round((time.monotonic() - started) * 1000, 1))
    count(f"Status{response.status // 100}xx")
    return answer(response)


def _response(sent: APIGatewayProxyEventV2, request_id: str, received: str) -> tuple[Response, _Noted | None]:
    body = _bytes(sent)
    if len(body) > MAX_WEBHOOK_BYTES:
        raise TooLarge(f"The body must be at most {MAX_WEBHOOK_BYTES // 1024 // 1024} MiB.")
    if _PING.fullmatch(body):
        return Response(200, {"ignored": "a ping"}), None
    path = sent.path_parameters
    connection = _connections().authenticate(path["account_id"], path["connection"], sent.headers, body)
    logger.append_keys(account=connection.account, key_id=connection.id)
    try:
        orders = translated(connection, sent.headers, body, received)
    except Problem as problem:
        _note(connection, sent.route_key, request_id, received, problem, body)
        return Response(200, {"rejected": problem.message}), (connection, "rejected", problem.message, request_id)
    if isinstance(orders, str):
        count("Ignored")
        logger.append_keys(ignored=orders)
        return Response(200, {"ignored": orders}), (connection, "ignored", orders, "")
    _queue().send_orders(orders)
    count("Accepted")
    ids = [order.request_id for order in orders]
    logger.append_keys(orders=len(orders), order_request=ids[0], order_id=orders[0].body["order_id"])
    return Response(200, {"request_ids": ids}), (connection, "accepted", "", ids[0])


def _bytes(sent: APIGatewayProxyEventV2) -> bytes:
    """The body as sent, over which the signature is computed. Raises Unauthenticated if it is not valid base64."""
    body = sent.body or ""
    try:
        return b64decode(body, validate=True) if sent.is_base64_encoded else body.encode()
    except ValueError:
        raise Unauthenticated("The body could not be read.") from None


def translated(connection: Connection, headers: Any, body: bytes, received: str) -> list[QueuedOrder] | str:
    """The events of a genuine webhook, or the reason why it is ignored. Raises Invalid, Malformed, TooLarge."""
    platform = PLATFORMS[connection.platform]
    topic, delivery_id = header(headers, platform.topic), header(headers, platform.delivery)
    delivery = Delivery(topic, delivery_id, connection.provider, loads(body))
    try:
        events, notes = _EVENTS[connection.platform](delivery)
    except Ignored as ignored:
        return str(ignored)
    return queued(connection.account, events, notes, received)


def queued(account: str, events: list[dict[str, Json]], notes: list[str], received: str) -> list[QueuedOrder]:
    """The events in the form for the queue. Raises Invalid, TooLarge.

    `notes` are about amounts, so they are added to the event that has the total.
    """
    return [
        _voided(account, event, position, received)
        if event["action"] == VOIDED
        else _queued(account, event, notes if "grand_total" in event else [], position, received)
        for position, event in enumerate(events)
    ]


def _voided(account: str, event: dict[str, Json], position: int, received: str) -> QueuedOrder:
    """A voided event for the queue. Its id is a hash of its content, which may have its time or the delivery's id."""
    event, _ = _timely(event, received)
    occurred = times.parse_iso(event["occurred_at"]) if "occurred_at" in event else received
    return QueuedOrder(
        account=account, request_id=times.uuid7(), received=received, position=position, event_id=payload_hash(event),
        occurred=occurred, person=[], body={name: event[name] for name in ("provider", "order_id", "action")},
    )  # fmt: skip


def _queued(account: str, event: dict[str, Json], notes: list[str], position: int, received: str) -> QueuedOrder:
    event, ahead = _timely(event, received)
    (envelope, body), left_out, _ = tolerant(lambda value, _: parse(value, received), event, _ESSENTIAL)
    if left_out:
        event = without(event, left_out)
        envelope, body = parse(event, received)
    if _is_too_large(event, body):
        event = without(event, ["items"])
        envelope, body = parse(event, received)
        if _is_too_large(event, body):
            raise TooLarge(f"The order must be at most {MAX_ORDER_BYTES // 1024} KiB of JSON without its items.")
    request_id = times.uuid7()
    return QueuedOrder(
        account=account,
        request_id=request_id,
        received=received,
        position=position,
        event_id=envelope["hash"] if envelope["identified"] else request_event_id(request_id),
        occurred=envelope["occurred"],
        person=envelope["person"],
        body=body,
        notes=[*notes, *ahead, *envelope["notes"]],
    )


def _timely(event: dict[str, Json], received: str) -> tuple[dict[str, Json], list[str]]:
    """(event, notes). An `occurred_at` too far in the future is removed: the time of receipt counts, with a note."""
    occurred = times.parse_iso(event["occurred_at"]) if "occurred_at" in event else received
    if occurred <= received or occurred <= times.shift(received, hours=AHEAD_HOURS):
        return event, []
    kept = {name: value for name, value in event.items() if name != "occurred_at"}
    return kept, [f"occurred_at was more than {AHEAD_HOURS} hours ahead and was ignored"]


def _is_too_large(event: dict[str, Json], body: dict[str, Json]) -> bool:
    # E-mail addresses are replaced by hashes, which are longer.
    return len(dumps(event).encode()) > MAX_ORDER_BYTES or (
        len(dumps(body)) > MAX_ORDER_BYTES and len(pack(body)) > MAX_ORDER_BYTES
    )


def _note(connection: Connection, route: str, request_id: str, received: str, problem: Problem, body: bytes) -> None:
    from tillbook.records import rejections  # imported here, since few webhooks are rejected

    count("Rejected")
    count(f"Rejected{type(problem).__name__}")
    try:
        payload = loads(body)
    except Problem:
        payload = None
    order_id = payload.get("id") if isinstance(payload, dict) else None
    named = str(order_id) if isinstance(order_id, int) and not isinstance(order_id, bool) else order_id
    rejections.note(
        clients.dynamodb(), settings().records_table, connection, route, request_id, received, problem, named
    )
