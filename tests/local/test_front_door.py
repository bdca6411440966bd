"""Translation of HTTP requests into events, and of answers into HTTP responses."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.front_door import FunctionFailed, match, response
from local.stack import ROOT
from local.template import Route, load, throttling
from tests.local.conftest import Client

ORDER = Route("POST", "/v1/order/{order_id+}", "edit")
ROUTES = [
    Route("ANY", "$default", "fallback"),
    Route("ANY", "/v1/{rest+}", "rest"),
    ORDER,
    Route("GET", "/v1/order/latest", "latest"),
    Route("GET", "/v1/order/{order_id}/history", "history"),
    Route("GET", "/v1/order/{order_id}", "read"),
    Route("ANY", "/v1/order/{order_id+}", "any"),
]


def test_the_limits_of_routes_are_read_from_the_template() -> None:
    default, by_route = throttling(load(ROOT / "template.yaml"))  # (requests a second, burst)
    assert default == (500, 1000)
    assert by_route["$default"] == (10, 40)


def test_the_limit_of_one_route_does_not_throttle_other_routes(client: Client) -> None:
    client.stack.throttle((500, 1000), {"ANY /items/{id+}": (0.001, 1)})
    try:
        first, second, of_default = (client("GET", path).status for path in ("/items/1", "/items/2", "/parts"))
        of_other = client("POST", "/do/answer", '"x"').status
    finally:
        client.stack.throttle(None)
    assert (first, second, of_other) == (200, 429, 200)
    assert of_default != 429


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("POST", "/v1/order/5", "edit", {"order_id": "5"}),
        ("POST", "/v1/order/a%2Fb%20%25%23%F0%9F%8D%95", "edit", {"order_id": "a/b %#🍕"}),
        ("POST", "/v1/order/%252F", "edit", {"order_id": "%2F"}),
        ("POST", "/v1/order/a+b%3F%3Bc", "edit", {"order_id": "a+b?;c"}),
        ("GET", "/v1/order/latest", "latest", {}),
        ("GET", "/v1/order/latest2", "read", {"order_id": "latest2"}),
        ("DELETE", "/v1/order/5", "any", {"order_id": "5"}),
        ("POST", "/v1/order/%2F%2F", "edit", {"order_id": "//"}),
        ("POST", "/v1/order/a/history", "edit", {"order_id": "a/history"}),
        ("GET", "/v1/order/a%2Fhistory", "history", {"order_id": "a"}),
        ("GET", "/v1/order/a%2Fb/history", "any", {"order_id": "a/b/history"}),
        ("GET", "/v1/order/5/items%2F1", "any", {"order_id": "5/items/1"}),
        ("GET", "/v1/orders/5%2F1", "rest", {"rest": "orders/5/1"}),
        ("GET", "/v1/order/", "rest", {"rest": "order/"}),
        ("GET", "/v1/", "fallback", {}),
        ("GET", "/", "fallback", {}),
        ("GET", "/v1%2Forder%2F5", "read", {"order_id": "5"}),
    ],
)
def test_the_most_specific_route_wins_and_the_path_is_decoded_once(
    method: str, path: str, function: str, parameters: dict[str, str]
) -> None:
    for routes in (ROUTES, ROUTES[::-1]):
        matched = match(routes, method, path)
        assert matched
        assert (matched[0].function, matched[1]) == (function, parameters)


def test_without_a_default_route_an_unknown_request_matches_no_route() -> None:
    assert match([ORDER], "GET", "/v1/order/5") is None


@pytest.mark.parametrize(
    "order_id", ["#5", "a/b", " ", "%", "%2F", "%252F", "a?b", "a&b=c", "emoji 🍕", "ä+b", "é" * 60, ";", "*"]
)
def test_an_order_id_survives_the_path(client: Client, order_id: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in order_id.encode())
    event = client("GET", f"/items/{quoted}").json["event"]
    assert event["pathParameters"] == {"id": order_id}
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == f"/items/{order_id}"
    assert event["routeKey"] == event["requestContext"]["routeKey"] == "ANY /items/{id+}"


def test_the_event_has_the_fields_that_api_gateway_sends(client: Client) -> None:
    event = client(
        "PUT", "/items/1?a=1&b=&a=2%2C3&c=x+y", '{"n": 1}', Cookie="k=v; l=w", X_Thing="One", User_Agent="t/1"
    ).json["event"]
    assert event["version"] == "2.0"
    assert event["rawQueryString"] == "a=1&b=&a=2%2C3&c=x+y"
    assert event["queryStringParameters"] == {"a": "1,2,3", "b": "", "c": "x y"}
    assert event["cookies"] == ["k=v", "l=w"]
    assert event["headers"]["x-thing"] == "One"
    assert "cookie" not in event["headers"]
    assert event["body"] == '{"n": 1}'
    context = event["requestContext"]
    assert context["http"] | {"path": ""} == {
        "method": "PUT",
        "path": "",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "t/1",
    }
    assert context["stage"] == "$default"
    assert context["domainName"] == "127.0.0.1"
    assert abs(context["timeEpoch"] / 1000 - time.time()) < 60


def test_repeated_headers_are_joined_and_missing_fields_are_left_out(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.stack.port)) as connection:
        connection.sendall(
            b"GET /nowhere HTTP/1.1\r\nHost: shop.example:80\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n"
        )
        answer = connection.makefile("rb").read()
    event = json.loads(answer.split(b"\r\n\r\n", 1)[1])["event"]
    assert event["headers"]["x-a"] == "1,2"
    assert event["routeKey"] == "$default"
    assert event["requestContext"]["domainName"] == "shop.example"
    assert not event.keys() & {"body", "cookies", "pathParameters", "queryStringParameters"}


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        ("ä".encode(), {"content_type": "application/json; charset=utf-8"}, True),
        (b"{}", {"content_type": "application/vnd.api+json"}, True),
        (b"a=b", {"content_type": "application/x-www-form-urlencoded"}, True),
        (b"a", {"content_type": "text/csv"}, True),
        (b"a", {"content_type": "application/octet-stream"}, False),
        (b"a", {"content_type": ""}, False),
        (b"\xff", {"content_type": "application/json"}, False),
        (gzip.compress(b"{}", mtime=0), {"content_type": "application/json", "content_encoding": "gzip"}, False),
        (b"{}", {"content_type": "application/json", "content_encoding": "gzip"}, False),
    ],
)
def test_a_body_is_text_or_base64(client: Client, body: bytes, headers: dict[str, str], text: bool) -> None:
    event = client("POST", "/items/1", body, **headers).json["event"]
    assert event["isBase64Encoded"] is not text
    assert (event["body"].encode() if text else base64.b64decode(event["body"])) == body


# The gateway takes 10 MB. In base64, a body of 7 MB is larger than the 6 MB that a function takes.
@pytest.mark.parametrize("size", [10 * 1024 * 1024 + 1, 7 * 1024 * 1024])
def test_a_request_too_large_for_the_gateway_or_the_function_is_refused(client: Client, size: int) -> None:
    reply = client("POST", "/items/1", b"x" * size)
    assert (reply.status, reply.json) == (413, {"message": "Request Entity Too Large"})


def test_a_body_of_four_mebibytes_is_accepted(client: Client) -> None:
    size = 4 * 1024 * 1024
    reply = client("POST", "/do/size", b"x" * size, content_encoding="gzip")
    assert (reply.status, reply.body) == (200, str(len(base64.b64encode(b"x" * size))).encode())


def test_an_answer_larger_than_a_function_may_return_gets_500(client: Client) -> None:
    assert client("POST", "/do/long", str(6 * 1024 * 1024)).status == 500


@pytest.mark.parametrize(
    ("path", "body", "status", "message", "function"),
    [
        ("/do/fail", "x", 500, "Internal Server Error", "Echo"),
        ("/hasty/sleep", "4", 503, "Service Unavailable", "Hasty"),
    ],
)
def test_a_function_that_fails_or_times_out_is_answered_with_5xx(
    client: Client, path: str, body: str, status: int, message: str, function: str
) -> None:
    reply = client("POST", path, body)
    assert (reply.status, reply.json) == (status, {"message": message})
    assert client.failures[-1][0] == function


def test_a_failure_is_reported_with_its_traceback(client: Client) -> None:
    client("POST", "/do/fail", "on purpose")
    assert "raise ValueError(body)" in client.failures[-1][1]
    assert "on purpose" in client.failures[-1][1]


@pytest.mark.parametrize(
    ("answer", "status", "headers", "body"),
    [
        ({"statusCode": 201, "body": "é"}, 201, {"content-type": "text/plain; charset=utf-8"}, "é".encode()),
        ({"statusCode": "404"}, 404, {}, b""),
        ({"statusCode": 204, "body": "x"}, 204, {}, b""),
        (
            {"statusCode": 200, "headers": {"X-A": 1, "Content-Type": "a/b"}, "cookies": ["a=1", "b=2"]},
            200,
            {"x-a": "1", "content-type": "a/b", "set-cookie": "a=1"},
            b"",
        ),
        ({"statusCode": 200, "body": "/wA=", "isBase64Encoded": True}, 200, {}, b"\xff\x00"),
        ({"no": "status"}, 200, {"content-type": "application/json"}, b'{"no": "status"}'),
        ([1], 200, {"content-type": "application/json"}, b"[1]"),
        ({"statusCode": "no"}, 500, {}, b'{"message": "Internal Server Error"}'),
        ({"statusCode": 200, "body": {"not": "text"}}, 500, {}, b'{"message": "Internal Server Error"}'),
    ],
)
def test_an_answer_becomes_an_http_response(
    client: Client, answer: object, status: int, headers: dict[str, str], body: bytes
) -> None:
    reply = client("POST", "/do/answer", json.dumps(answer))
    assert reply.status == status
    assert {name: reply.headers[name] for name in headers} == headers
    assert reply.body == body


def test_an_answer_with_invalid_base64_is_a_failure() -> None:
    with pytest.raises(FunctionFailed):
        response(b'{"statusCode": 200, "body": "\\u00e9", "isBase64Encoded": true}')


def test_requests_are_served_concurrently(client: Client) -> None:
    """None of the four is answered before all of them have begun."""
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda _: client("POST", "/do/meet", "four 4"), range(4)))
    assert [(reply.status, reply.body) for reply in replies] == [(200, b"met")] * 4
