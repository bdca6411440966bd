"""Turns a call into a Lambda handler, which authenticates, runs the call, answers in the API's form, and logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from tillbook.aws import clients
from tillbook.aws.retries import is_transient
from tillbook.aws.settings import settings
from tillbook.aws.telemetry import Handler, count, logger, observed
from tillbook.records.keys import ApiKey, Keys, secret_of
from tillbook.rules import times
from tillbook.rules.errors import Forbidden, Problem, Unavailable
from tillbook.rules.json_text import Json
from tillbook.web.answers import Response, answer, is_v1, refusal
from tillbook.web.request import Request, route_of
from tillbook.web.routes import ROUTES

# Time between the deadline and the time-out: for an AWS call that begins just before the deadline and gets no answer,
# and then for a 503.
_MARGIN_SECONDS = clients.SLOWEST_CALL_SECONDS + 0.5


@cache
def _keys() -> Keys:
    return Keys(clients.dynamodb(), settings().records_table)


def endpoint(call: Callable[[Request], Response]) -> Handler:
    """The Lambda handler of a call. The key of a request needs the role of its route (routes.py)."""

    @observed
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        started = time.monotonic()
        sent = APIGatewayProxyEventV2(event)
        v1, role = is_v1(sent), ROUTES[route_of(sent)].role
        request_id, received = times.uuid7(), times.now()
        logger.append_keys(request_id=request_id, route=sent.route_key)
        request: Request | None = None
        refused: Problem | None = None
        try:
            key = _authenticate(sent, role, v1)
            deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
            request = Request(sent, key, received, request_id, deadline)
            response = call(request)
        except Problem as problem:
            response, refused = refusal(problem, v1), problem
            if request is not None and role == "ingest" and time.monotonic() < request.deadline:
                from tillbook.records import rejections  # imported here, since few requests are rejected

                rejections.note(
                    clients.dynamodb(),
                    settings().records_table,
                    key,
                    request.route,
                    request_id,
                    received,
                    problem,
                    _order_id(request),
                )
        except Exception as error:
            logger.warning("unexpected", exc_info=error)
            response = refusal(Unavailable("Please try again.") if is_transient(error) else Problem(), v1)
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        logger.info("request", status=response.status, milliseconds=milliseconds)
        count(f"Status{response.status // 100}xx")
        if role == "ingest":
            _count_order(response.status, refused, known=request is not None)
        if response.status == 200 and sent.http_method == "GET":
            from tillbook.web.conditional import conditional  # imported here, since only reads need it

            return conditional(sent.headers, answer(response))
        return answer(response)

    return handler


def _authenticate(event: APIGatewayProxyEventV2, role: str, v1: bool) -> ApiKey:
    """The key of a request. Later log lines name it, even if it may not use the route.

    Raises Unauthenticated, Forbidden.
    """
    key = _keys().authenticate(secret_of(event.headers.get("authorization"), basic=not v1))
    logger.append_keys(account=key.account, key_id=key.id)
    if event.path_parameters.get("account_id", key.account) != key.account:
        raise Forbidden("The API key belongs to another account.")
    if not key.may(role):
        raise Forbidden(f"The API key must have the role {role}.")
    return key


def _count_order(status: int, refused: Problem | None, *, known: bool) -> None:
    """Counts requests of the order routes, so that an alarm can watch the share of rejections.

    A rejection is also counted by its reason, a type of rules.errors, so there are few metrics. Requests without a
    valid key of the account may be from anybody, and are counted separately. Answers 5xx are faults of the API, not
    rejections.
    """
    if status < 400:
        count("Accepted")
    elif not known:
        count("Unauthorized")
    elif refused is not None and status < 500:
        count("Rejected")
        count(f"Rejected{type(refused).__name__}")


def _order_id(request: Request) -> Json:
    """The order id of a rejected request: from the path if it has one, otherwise from the body."""
    if "order_id" in request.event.path_parameters:
        return request.path("order_id")
    try:
        body = request.json()
    except Problem:
        return None
    order_id = body.get("order_id") if isinstance(body, dict) else None
    # An integer is kept as its digits, as in an order.
    return str(order_id) if isinstance(order_id, int) and not isinstance(order_id, bool) else order_id
