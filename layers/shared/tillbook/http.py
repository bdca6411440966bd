"""API Gateway (HTTP API, payload 2.0) in and out: the request, who sent it, and each dialect's errors.

v1 speaks `{"error": {...}}` and answers 403 without a valid key; v2 and v3 speak `{"errors": [...]}` and answer 401.
"""

from __future__ import annotations

import time
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tillbook import errors, rejections, table, times
from tillbook.aws import is_passing
from tillbook.errors import (
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    Problem,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedType,
)
from tillbook.json_text import Json, dumps, loads
from tillbook.keys import ApiKey, Keys, secret_of
from tillbook.observe import count, flush, log, quiet
from tillbook.settings import settings

MAX_ORDER_BYTES = 256 * 1024
MAX_BATCH_BYTES = 4 * 1024 * 1024
_LARGE_ROUTES = ("/batch", "/match")
_MAX_GZIP_MEMBERS = 16
_MAX_ID = 64
_JSON_TYPES = frozenset({"", "application/json", "application/vnd.api+json"})
# What is left of a function's time to answer an honest 503.
_MARGIN_SECONDS = 1.0

Answer = dict[str, Any]
Handler = Callable[[dict[str, Any], Any], Answer]


@dataclass(frozen=True)
class Response:
    """`body` is JSON; or, with a content-type among the headers, text as it is."""

    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """`received` is the stamp of receipt, `id` a new UUIDv7, `deadline` in seconds of time.monotonic().

    `told` is what the log says of it besides: an order_id, numbers; never a person.
    """

    event: dict[str, Any]
    key: ApiKey
    received: str
    id: str
    deadline: float
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def account(self) -> str:
        return self.key.account

    @property
    def route(self) -> str:
        """As docs/api.md names it: nothing tells there that a variable takes slashes, too."""
        return str(self.event["routeKey"]).replace("+}", "}")

    def path(self, name: str) -> str:
        """A path parameter. The gateway has decoded it, once: a second time would change `%2F`."""
        return str(self.event["pathParameters"][name])

    def id_in_path(self, name: str) -> str:
        """A path parameter that is an id of ours. Raises NotFound for what cannot be one: it might not fit a key."""
        value = self.path(name)
        if len(value) > _MAX_ID:
            raise NotFound("There is nothing by this id.")
        return value

    def query(self, name: str) -> str | None:
        value = (self.event.get("queryStringParameters") or {}).get(name)
        return None if value is None else str(value)

    def header(self, name: str) -> str | None:
        return _header(self.event, name)

    @cached_property
    def _body(self) -> bytes:
        limit = MAX_BATCH_BYTES if self.route.endswith(_LARGE_ROUTES) else MAX_ORDER_BYTES
        return _read_body(self.event, limit)

    def json(self) -> Json:
        """Raises TooLarge, UnsupportedType or Malformed."""
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if kind not in _JSON_TYPES:
            raise UnsupportedType("Content-Type must be application/json.")
        return loads(self._body)


def _header(event: dict[str, Any], name: str) -> str | None:
    value = (event.get("headers") or {}).get(name)
    return None if value is None else str(value)


def _read_body(event: dict[str, Any], limit: int) -> bytes:
    """The body's bytes, inflated. A gateway hands gzip on as base64, or inflated already under a stale header."""
    body = event.get("body") or ""
    try:
        data = b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (Base64Error, ValueError):
        raise Malformed("The body could not be read.") from None
    encoding = (_header(event, "content-encoding") or "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise UnsupportedType("Content-Encoding must be gzip, or absent.")
    if encoding != "identity" and data[:2] == b"\x1f\x8b":
        data = _inflate(data, limit)
    if len(data) > limit:
        raise TooLarge(f"The body must be at most {limit // 1024} KiB of JSON.")
    return data


def _inflate(data: bytes, limit: int) -> bytes:
    """At most limit + 1 bytes of it, so that a bomb is never inflated whole."""
    out, members = b"", 0
    try:
        while data and len(out) <= limit:
            members += 1
            if members > _MAX_GZIP_MEMBERS:
                raise Malformed("The body is gzip of too many members.")
            member = zlib.decompressobj(31)
            out += member.decompress(data, limit + 1 - len(out))
            if len(out) > limit:
                break
            if not member.eof:
                raise Malformed("The body is gzip that was cut short.")
            data = member.unused_data.lstrip(b"\0")
    except zlib.error:
        raise Malformed("The body is not valid gzip.") from None
    return out


# ------------------------------------------------------------------ endpoints

_keys: Keys | None = None


def endpoint(role: str) -> Callable[[Callable[[Request], Response]], Handler]:
    """Makes a Lambda handler: authenticates a key of that role, calls, and answers in the route's dialect."""

    def decorate(call: Callable[[Request], Response]) -> Handler:
        def handler(event: dict[str, Any], context: Any) -> Answer:
            started = time.monotonic()
            request_id, received = times.uuid7(), times.now()
            v1 = _is_v1(event)
            account, request, refused = "", None, None
            try:
                key = _authenticate(event, role, v1)
                account = key.account
                deadline = started + context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
                request = Request(event, key, received, request_id, deadline)
                response = call(request)
            except Problem as problem:
                response, refused = _refusal(problem, v1), problem
                if request is not None and role == "ingest":
                    _note_rejection(request, problem)
            except Exception as error:
                log("unexpected", error=error, account=account, route=event.get("routeKey"))
                response = _refusal(Unavailable("Please try again.") if is_passing(error) else Problem(), v1)
            log(
                "request", request_id=request_id, account=account, route=event.get("routeKey"),
                status=response.status, milliseconds=round((time.monotonic() - started) * 1000, 1),
                **(request.told if request else {}),
            )  # fmt: skip
            count(f"Status{response.status // 100}xx")
            if role == "ingest":
                _count_order(response.status, refused, known=request is not None)
            flush()
            return _answer(response)

        return quiet(handler)

    return decorate


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


def _note_rejection(request: Request, problem: Problem) -> None:
    # An edit goes to the order of its path, whatever its body says.
    order_id = (request.event.get("pathParameters") or {}).get("order_id") or _order_id_in_body(request)
    rejections.note(
        table.dynamodb(), settings().records_table, request.key, request.route, request.id, request.received, problem,
        order_id,
    )  # fmt: skip


def _order_id_in_body(request: Request) -> Json:
    try:
        body = request.json()
    except Problem:
        return None
    order_id = body.get("order_id") if isinstance(body, dict) else None
    # A number as an order's own is kept.
    return str(order_id) if isinstance(order_id, int) and not isinstance(order_id, bool) else order_id


def _is_v1(event: dict[str, Any]) -> bool:
    # By the route: before the path may stand the base path of a custom domain. Where no route fits, there is only that.
    path = str(event.get("routeKey") or "").partition(" ")[2] or str(event.get("rawPath", ""))
    return path.startswith("/v1/") or path == "/v1"


def _authenticate(event: dict[str, Any], role: str, v1: bool) -> ApiKey:
    global _keys
    if _keys is None:
        _keys = Keys(table.dynamodb(), settings().records_table)
    key = _keys.authenticate(secret_of(_header(event, "authorization"), basic=not v1))
    account = (event.get("pathParameters") or {}).get("account_id")
    if account is not None and account != key.account:
        raise Forbidden("The API key belongs to another account.")
    if not key.may(role):
        raise Forbidden(f"The API key must have the role {role}.")
    return key


def _answer(response: Response) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store"} | response.headers
    body = response.body if "content-type" in response.headers else dumps(response.body)
    return {"statusCode": response.status, "headers": headers, "body": body, "isBase64Encoded": False}


# --------------------------------------------------------------------- errors


def _refusal(problem: Problem, v1: bool) -> Response:
    headers: dict[str, str] = {}
    if isinstance(problem, errors.MethodNotAllowed):
        headers["allow"] = problem.allow
    if isinstance(problem, errors.Unavailable):
        headers["retry-after"] = "1"
    return _v1_refusal(problem, headers) if v1 else _v3_refusal(problem, headers)


_V1_NAMES = {
    400: "ValidationError", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 413: "TooLarge",
    415: "UnsupportedMediaType", 503: "Unavailable",
}  # fmt: skip


def _v1_refusal(problem: Problem, headers: dict[str, str]) -> Response:
    if isinstance(problem, Unauthenticated | Forbidden):
        return Response(403, {"error": "Unauthorized"})
    status = 400 if isinstance(problem, Invalid) else problem.status
    details: list[Json] = []
    message = problem.message
    if isinstance(problem, Invalid):
        details = [{"field": e.field or None, "message": f"{e.field or 'body'} {e.message}"} for e in problem.errors]
        message = details[0]["message"]
    elif isinstance(problem, Malformed):
        details = [{"field": problem.field or None, "message": problem.message}]
    name = _V1_NAMES.get(status, "InternalError")
    return Response(status, {"error": {"name": name, "message": message, "details": details}}, headers)


def _v3_refusal(problem: Problem, headers: dict[str, str]) -> Response:
    if isinstance(problem, Invalid):
        return Response(
            422,
            {
                "errors": [
                    {"code": e.code, "attribute": e.field or None, "message": f"{_label(e.field)} {e.message}"}
                    for e in problem.errors
                ]
            },
        )
    if isinstance(problem, Unauthenticated):
        headers["www-authenticate"] = 'Basic realm="Tillbook", Bearer realm="Tillbook"'
    entry = {"code": problem.code, "message": problem.message}
    if isinstance(problem, Malformed) and problem.field:
        entry["attribute"] = problem.field
    return Response(problem.status, {"errors": [entry]}, headers)


def _label(path: str) -> str:
    """`items[0].product_id` as "Items[0] product id": how a Rails API names an attribute."""
    words = path.replace(".", " ").replace("_", " ")
    return words[:1].upper() + words[1:] or "Body"


# ----------------------------------------------------------------- the rest


def fallback(routes: dict[str, str]) -> Handler:
    """The `$default` route: 405 for a known path with another method, 404 for all others.

    `routes` maps a path of the template ("/v1/order/{order_id+}") to the methods it answers ("POST, DELETE").
    """

    def handler(event: dict[str, Any], context: Any) -> Answer:
        parts = str(event.get("rawPath", "")).split("/")
        problem: Problem = NotFound("There is nothing at this address.")
        for path, methods in routes.items():
            if _stands_for(path.split("/"), parts):
                problem = errors.MethodNotAllowed(methods)
                break
        return _answer(_refusal(problem, _is_v1(event)))

    return quiet(handler)


def _stands_for(pattern: list[str], parts: list[str]) -> bool:
    last = len(pattern) - 1
    if pattern[last].endswith("+}"):
        parts = [*parts[:last], "/".join(parts[last:])]
    return len(parts) == len(pattern) and all(
        bool(part) if name.startswith("{") else part == name for part, name in zip(parts, pattern, strict=True)
    )
