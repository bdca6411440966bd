"""The front door: HTTP in, an API Gateway event (HTTP API, payload format 2.0) to a function, HTTP out.

It replaces the API Gateway of MiniStack, which loses characters that order ids may contain (`%2F`, `%25`) and changes
gzip bodies. A path is decoded once and then matched segment by segment. AWS does not say whether it decodes a path
before it matches; decoding first is the harder case for ids with a `/` (docs/design/requests.md).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from botocore.exceptions import BotoCoreError, ClientError

from local.template import Route

MAX_BODY_BYTES = 10 * 1024 * 1024
# The largest event and answer that Lambda accepts.
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
# Endings of the content types that are passed on as text, besides text/*.
TEXTUAL = ("/json", "+json", "/xml", "+xml", "/javascript", "/x-www-form-urlencoded")
ACCOUNT_ID = "000000000000"
API_ID = "local"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# Takes a function's logical id and an event's JSON; returns the answer's JSON. Blocks. Raises FunctionFailed,
# Unavailable.
Invoke = Callable[[str, bytes], bytes]


class FunctionFailed(Exception):
    """The function raised an error: the answer is 500."""


class Unavailable(Exception):
    """The function was throttled, timed out or cannot be reached: the answer is 503."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    # The error of the call of the function, for the access log; empty if there was none.
    error: str = ""


class Throttle:
    """A token bucket: `rate` tokens are added each second, up to `burst`. Not thread-safe."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = burst, time.monotonic()

    def passes(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class FrontDoor:
    """An ASGI application, which calls at most `concurrency` functions at once.

    `log` takes a line of the access log for each answer, in the format `log_format`; if that is empty, there is none.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        invoke: Invoke,
        concurrency: int,
        log: Callable[[str], None] = lambda _line: None,
        log_format: str = "",
    ) -> None:
        self.routes = list(routes)
        self.log_format = log_format
        self.throttle: Throttle | None = None
        # Limits of routes that have their own, by route key.
        self.throttles: dict[str, Throttle] = {}
        # The maximum of open requests, including waiting ones. Further requests get 503, as if Lambda throttled them.
        # None: no limit.
        self.capacity: int | None = None
        self._open = 0
        self._invoke = invoke
        self._log = log
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="invoke")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read(receive)
        request_id, started = str(uuid.uuid4()), time.monotonic()
        route_key = self._route_key(scope)
        throttle = self.throttles.get(route_key, self.throttle)
        if throttle and not throttle.passes():
            answer = _gateway_error(429, "Too Many Requests")
        elif body is None:
            answer = _gateway_error(413, "Request Entity Too Large")
        elif self.capacity is not None and self._open >= self.capacity:
            answer = _gateway_error(503, "Service Unavailable", "Rate Exceeded.")
        else:
            self._open += 1
            try:
                answer = await self._answer(scope, body, request_id)
            finally:
                self._open -= 1
        if self.log_format:
            self._log(access_line(self.log_format, scope, answer, request_id, route_key, started))
        headers = [*answer.headers, (b"apigw-requestid", request_id.encode())]
        # h11 refuses a length or a body for a status that has none in HTTP.
        content = b"" if answer.status in (204, 304) else answer.body
        if answer.status not in (204, 304):
            headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _route_key(self, scope: Scope) -> str:
        matched = match(self.routes, scope["method"], scope["raw_path"].decode("latin-1"))
        return matched[0].key if matched else ""

    async def _answer(self, scope: Scope, body: bytes, request_id: str) -> Answer:
        matched = match(self.routes, scope["method"], scope["raw_path"].decode("latin-1"))
        if matched is None:
            return _gateway_error(404, "Not Found")
        route, parameters = matched
        payload = json.dumps(event(scope, body, route, parameters, request_id)).encode()
        if len(payload) > MAX_PAYLOAD_BYTES:
            return _gateway_error(413, "Request Entity Too Large")
        try:
            result = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._invoke, route.function, payload
            )
            return response(result)
        except FunctionFailed as error:
            return _gateway_error(500, "Internal Server Error", str(error))
        except Unavailable as error:
            return _gateway_error(503, "Service Unavailable", str(error))


def invoker(functions: Any, names: Callable[[str], str], failed: Callable[[str, str], None]) -> Invoke:
    """An `Invoke` on `functions`, a boto3 Lambda client.

    `names` maps logical ids to names of functions. `failed` gets the logical id of a function that raised an error or
    timed out, and the end of its log.
    """

    def invoke(function: str, payload: bytes) -> bytes:
        try:
            result = functions.invoke(FunctionName=names(function), Payload=payload, LogType="Tail")
            answer: bytes = result["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            raise Unavailable(function) from error
        if "FunctionError" not in result:
            return answer
        failed(function, base64.b64decode(result.get("LogResult", "")).decode(errors="replace"))
        if b"timed out" in answer:
            raise Unavailable(function)
        raise FunctionFailed(answer.decode(errors="replace"))

    return invoke


def match(routes: Iterable[Route], method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
    """The route that a path matches, and its parameters. `raw_path` is as sent; it is decoded once.

    As in an HTTP API the most specific route wins: literal before `{one}` before `{all+}`, a method before
    ANY, and `$default` last.
    """
    found: list[tuple[tuple[Any, ...], Route, dict[str, str]]] = []
    for route in routes:
        if route.path == "$default":
            found.append(((1,), route, {}))
        elif route.method in (method, "ANY"):
            pattern = route.path.split("/")
            bound = _bind(pattern, unquote(raw_path).split("/"))
            if bound is not None:
                rank = [2 if part.endswith("+}") else 1 if part.startswith("{") else 0 for part in pattern]
                found.append(((0, rank, route.method == "ANY"), route, bound))
    if not found:
        return None
    _, route, parameters = min(found, key=lambda candidate: candidate[0])
    return route, parameters


def _bind(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    """The parameters' values in a path that matches the pattern; None if it does not match."""
    parameters: dict[str, str] = {}
    for index, expected in enumerate(pattern):
        if expected.startswith("{") and expected.endswith("+}"):
            rest = "/".join(segments[index:])
            return {**parameters, expected[1:-2]: rest} if rest else None
        if index >= len(segments):
            return None
        if expected.startswith("{") and segments[index]:
            parameters[expected[1:-1]] = segments[index]
        elif expected != segments[index]:
            return None
    return parameters if len(pattern) == len(segments) else None


def event(scope: Scope, body: bytes, route: Route, parameters: dict[str, str], request_id: str) -> dict[str, Any]:
    """The event of an HTTP API, in payload format 2.0."""
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";")]
        else:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    path = unquote(scope["raw_path"].decode("latin-1"))
    query = scope["query_string"].decode("latin-1")
    now = datetime.now(UTC)
    built: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": headers.get("host", "").rsplit(":", 1)[0],
            "domainPrefix": API_ID,
            "http": {
                "method": scope["method"],
                "path": path,
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": scope["client"][0] if scope.get("client") else "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": route.key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        built["cookies"] = cookies
    if query:
        joined: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        built["queryStringParameters"] = joined
    if parameters:
        built["pathParameters"] = parameters
    if body:
        text = _text(body, headers)
        built["body"] = base64.b64encode(body).decode() if text is None else text
        built["isBase64Encoded"] = text is None
    return built


def _text(body: bytes, headers: dict[str, str]) -> str | None:
    """The body as text, if the gateway would pass it on as text; otherwise None, for base64."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    textual = kind.startswith("text/") or kind.endswith(TEXTUAL)
    if not textual or headers.get("content-encoding", "identity").lower() != "identity":
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def response(result: bytes) -> Answer:
    """A function's answer as HTTP: payload format 2.0, or any other JSON as the body of a 200.

    Raises FunctionFailed if the answer is neither, or is too large.
    """
    if len(result) > MAX_PAYLOAD_BYTES:
        raise FunctionFailed("The answer is too large.")
    try:
        answer = json.loads(result)
        if not isinstance(answer, dict) or "statusCode" not in answer:
            return Answer(200, [(b"content-type", b"application/json")], result)
        headers = {str(name).lower(): str(value) for name, value in (answer.get("headers") or {}).items()}
        headers.pop("content-length", None)
        headers.setdefault("content-type", "text/plain; charset=utf-8")
        body = answer.get("body") or ""
        content = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        pairs += [(b"set-cookie", str(cookie).encode("latin-1")) for cookie in answer.get("cookies") or []]
        return Answer(int(answer["statusCode"]), pairs, content)
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise FunctionFailed(str(error)) from error


def access_line(log_format: str, scope: Scope, answer: Answer, request_id: str, route: str, started: float) -> str:
    """A line of the access log as API Gateway writes it: `$context.NAME` is replaced by its value, or by `-`."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "requestId": request_id,
        "routeKey": route,
        "status": answer.status,
        "responseLatency": round((time.monotonic() - started) * 1000),
        "responseLength": len(answer.body),
        # If a function raised an error, this is its text, which may contain anything.
        "integrationErrorMessage": answer.error or "-",
        "httpMethod": scope["method"],
        "path": unquote(scope["raw_path"].decode("latin-1")),
        "protocol": f"HTTP/{scope['http_version']}",
        "identity.sourceIp": scope["client"][0] if scope.get("client") else "127.0.0.1",
        "identity.userAgent": headers.get("user-agent", "-"),
        "stage": "$default",
        "apiId": API_ID,
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now.timestamp()),
    }
    return re.sub(r"\$context\.([A-Za-z.]*[A-Za-z])", lambda name: str(values.get(name[1], "-")), log_format)


def _gateway_error(status: int, message: str, error: str = "") -> Answer:
    return Answer(status, [(b"content-type", b"application/json")], json.dumps({"message": message}).encode(), error)


async def _read(receive: Receive) -> bytes | None:
    """The body, or None if it is too large. It is read to its end: many clients read no answer while they send."""
    chunks, size = [], 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks) if size <= MAX_BODY_BYTES else None
