"""Makes a Lambda handler of a call: authenticates, calls, answers in the API's dialect, and logs and counts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from tillbook.aws import clients
from tillbook.aws.retries import is_passing
from tillbook.aws.settings import settings
from tillbook.aws.telemetry import Handler, count, logger, observed
from tillbook.records.keys import ApiKey, Keys, secret_of
from tillbook.rules import times
from tillbook.rules.errors import Forbidden, Problem, Unavailable
from tillbook.rules.json_text import Json
from tillbook.web.answers import Response, answer, is_v1, refusal
from tillbook.web.request import Request, route_of
from tillbook.web.routes import ROUTES

# What is left of a function's time to answer an honest 503.
_MARGIN_SECONDS = 1.0


@cache
def _keys() -> Keys:
    return Keys(clients.dynamodb(), settings().records_table)


def endpoint(call: Callable[[Request], Response]) -> Handler:
    """Each route's role is what a key must have (routes.py)."""

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
            logger.append_keys(account=key.account, key_id=key.id)
            deadline = started + context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
            request = Request(sent, key, received, request_id, deadline)
            response = call(request)
        except Problem as problem:
            response, refused = refusal(problem, v1), problem
            if request is not None and role == "ingest":
                from tillbook.records import rejections  # here, since few requests are refused

                rejections.note(
                    clients.dynamodb(), settings().records_table, key, request.route, request_id, received, problem,
                    _order_id(request),
                )  # fmt: skip
        except Exception as error:
            logger.warning("unexpected", exc_info=error)
            response = refusal(Unavailable("Please try again.") if is_passing(error) else Problem(), v1)
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        logger.info("request", status=response.status, milliseconds=milliseconds)
        count(f"Status{response.status // 100}xx")
        if role == "ingest":
            _count_order(response.status, refused, known=request is not None)
        return answer(response)

    return handler


def _authenticate(event: APIGatewayProxyEventV2, role: str, v1: bool) -> ApiKey:
    key = _keys().authenticate(secret_of(event.headers.get("authorization"), basic=not v1))
    if event.path_parameters.get("account_id", key.account) != key.account:
        raise Forbidden("The API key belongs to another account.")
    if not key.may(role):
        raise Forbidden(f"The API key must have the role {role}.")
    return key


def _count_order(status: int, refused: Problem | None, *, known: bool) -> None:
    """Requests of the order routes, for the share that is rejected. Reasons are the types of errors.py: a few.

    Without a valid key it is not a shop's order, and counts apart. 5xx count as the API's own.
    """
    if status < 400:
        count("Accepted")
    elif not known:
        count("Unauthorized")
    elif refused is not None and status < 500:
        count("Rejected")
        count(f"Rejected{type(refused).__name__}")


def _order_id(request: Request) -> Json:
    """Which order a refused request was about: that of the path, whatever the body of an edit says."""
    if "order_id" in request.event.path_parameters:
        return request.path("order_id")
    try:
        body = request.json()
    except Problem:
        return None
    order_id = body.get("order_id") if isinstance(body, dict) else None
    # An integer is kept as its digits, as an order's own is.
    return str(order_id) if isinstance(order_id, int) and not isinstance(order_id, bool) else order_id
