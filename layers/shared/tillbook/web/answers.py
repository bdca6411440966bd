"""Answers, and the forms in which each API reports errors.

v1 answers `{"error": {...}}`, and 403 without a valid key; v2 and v3 answer `{"errors": [...]}`, and 401.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from tillbook.rules import errors
from tillbook.rules.errors import Forbidden, Invalid, Malformed, Problem, Unauthenticated
from tillbook.rules.json_text import Json, dumps


@dataclass(frozen=True)
class Response:
    """An answer. `body` is a JSON value or, if the headers have a content-type, a text that is sent unchanged."""

    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)


# The status and name of each problem in v1, except a wrong key. All others are an InternalError with status 500.
_V1: dict[type[Problem], tuple[int, str]] = {
    errors.Invalid: (400, "ValidationError"),
    errors.Malformed: (400, "ValidationError"),
    errors.NotFound: (404, "NotFound"),
    errors.MethodNotAllowed: (405, "MethodNotAllowed"),
    errors.Conflict: (409, "Conflict"),
    errors.TooLarge: (413, "TooLarge"),
    errors.UnsupportedType: (415, "UnsupportedMediaType"),
    errors.Unavailable: (503, "Unavailable"),
}


def is_v1(event: APIGatewayProxyEventV2) -> bool:
    # The route is used, since the base path of a custom domain may precede the path. Unknown paths have no route.
    path = str(event.get("routeKey") or "").partition(" ")[2] or str(event.get("rawPath", ""))
    return path.startswith("/v1/") or path == "/v1"


def answer(response: Response) -> dict[str, Any]:
    """The response in the form that API Gateway expects of a function."""
    headers = {"content-type": "application/json", "cache-control": "no-store"} | response.headers
    body = response.body if "content-type" in response.headers else dumps(response.body)
    return {"statusCode": response.status, "headers": headers, "body": body, "isBase64Encoded": False}


def refusal(problem: Problem, v1: bool) -> Response:
    headers: dict[str, str] = {}
    if isinstance(problem, errors.MethodNotAllowed):
        headers["allow"] = problem.allow
    if isinstance(problem, errors.Unavailable):
        headers["retry-after"] = "1"
    return _v1_refusal(problem, headers) if v1 else _v3_refusal(problem, headers)


def _v1_refusal(problem: Problem, headers: dict[str, str]) -> Response:
    if isinstance(problem, Unauthenticated | Forbidden):
        return Response(403, {"error": "Unauthorized"})
    status, name = _V1.get(type(problem), (500, "InternalError"))
    details: list[Json] = []
    message = problem.message
    if isinstance(problem, Invalid):
        details = [{"field": e.field or None, "message": f"{e.field or 'body'} {e.message}"} for e in problem.errors]
        message = details[0]["message"]
    elif isinstance(problem, Malformed):
        details = [{"field": problem.field or None, "message": problem.message}]
    return Response(status, {"error": {"name": name, "message": message, "details": details}}, headers)


def _v3_refusal(problem: Problem, headers: dict[str, str]) -> Response:
    if isinstance(problem, Invalid):
        entries = [
            {"code": e.code, "attribute": e.field or None, "message": f"{_label(e.field)} {e.message}"}
            for e in problem.errors
        ]
        return Response(problem.status, {"errors": entries}, headers)
    if isinstance(problem, Unauthenticated):
        headers["www-authenticate"] = 'Basic realm="Tillbook", Bearer realm="Tillbook"'
    entry = {"code": problem.code, "message": problem.message}
    if isinstance(problem, Malformed) and problem.field:
        entry["attribute"] = problem.field
    return Response(problem.status, {"errors": [entry]}, headers)


def _label(path: str) -> str:
    """The name of a field in messages, as a Rails API has it: `items[0].product_id` is "Items[0] product id"."""
    words = path.replace(".", " ").replace("_", " ")
    return words[:1].upper() + words[1:] or "Body"
