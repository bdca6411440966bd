"""Answers requests without a route: 405 for a known path with another method, 404 for any other."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from tillbook.aws.telemetry import observed
from tillbook.rules.errors import MethodNotAllowed, NotFound, Problem
from tillbook.web.answers import answer, is_v1, refusal
from tillbook.web.routes import PAGES, ROUTES

_TAKES_SLASHES = "{order_id}"  # a variable that, at the end of a path, matches slashes too


def _allowed(path: str) -> str:
    """The methods of a path, as `Allow` lists them; empty for an unknown path."""
    routes = [route.partition(" ") for route in (*ROUTES, *PAGES)]
    parts = path.split("/")
    # As in the gateway, a route without variables takes precedence over one with variables.
    if methods := [method for method, _, pattern in routes if pattern == path]:
        return ", ".join(methods)
    return ", ".join(dict.fromkeys(method for method, _, pattern in routes if _fits(pattern.split("/"), parts)))


def _fits(pattern: list[str], parts: list[str]) -> bool:
    last = len(pattern) - 1
    if pattern[last] == _TAKES_SLASHES:
        parts = [*parts[:last], "/".join(parts[last:])]
    return len(parts) == len(pattern) and all(
        bool(part) if name.startswith("{") else part == name for part, name in zip(parts, pattern, strict=True)
    )


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    sent = APIGatewayProxyEventV2(event)
    methods = _allowed(str(event.get("rawPath", "")))
    problem: Problem = MethodNotAllowed(methods) if methods else NotFound("There is nothing at this address.")
    return answer(refusal(problem, is_v1(sent)))
