"""v3: sizes, encodings and keys of requests. Unknown routes and methods of all APIs."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.handlers.events import EMAIL, PATH, event
from tests.handlers.shop import ACCOUNT, ADMIN, INGEST, OTHER_ADMIN, Shop

# --------------------------------------------------------------------- sizes


def test_bodies_and_events_over_their_limits_are_413(shop: Shop) -> None:
    fits, too_big = event(note="x" * 260_000), event(note="x" * 262_144)
    assert shop.send(fits).status == 202
    for answer in (
        shop.send(too_big),
        shop.send_batch([event(), too_big]),
        shop.send_batch([event(note="x" * 250_000)] * 17),
    ):
        assert answer.status == 413
        assert answer.body["errors"][0]["message"]
    assert shop.send_batch([event(note="x" * 250_000, order_id=n) for n in range(16)]).status == 202
    shop.drain()
    assert shop.person(EMAIL)["orders_count"] == 17  # the single event and a batch of 16


# ---------------------------------------------------------------------- gzip


def send_as_gzip(shop: Shop, data: bytes, **options: Any) -> Any:
    """Sends `data`, compressed or not, with a gzip header, in base64 as the gateway passes on a binary body."""
    raw = {"body": base64.b64encode(data).decode(), "isBase64Encoded": True}
    return shop.send(None, raw=raw, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"} | options)


def test_a_gzip_body_is_accepted(shop: Shop) -> None:
    assert send_as_gzip(shop, gzip.compress(json.dumps(event()).encode(), mtime=0)).status == 202


def test_a_body_that_is_not_compressed_is_accepted_with_a_gzip_header(shop: Shop) -> None:
    assert shop.send(event(), headers={"Content-Encoding": "gzip"}).status == 202
    assert send_as_gzip(shop, json.dumps(event()).encode()).status == 202


def test_plain_json_in_base64_is_accepted(shop: Shop) -> None:
    raw = {"body": base64.b64encode(json.dumps(event()).encode()).decode(), "isBase64Encoded": True}
    assert shop.send(None, raw=raw).status == 202


def test_gzip_of_several_members_is_accepted(shop: Shop) -> None:
    text = json.dumps(event()).encode()
    assert send_as_gzip(shop, gzip.compress(text[:20], mtime=0) + gzip.compress(text[20:], mtime=0)).status == 202


@pytest.mark.parametrize(("count", "status"), [(400, 202), (2_000, 202), (10_000, 413)])
def test_an_event_that_hashed_emails_make_too_large_is_413(shop: Shop, count: int, status: int) -> None:
    """A hash is longer than a short address. If the event was accepted, it could neither be applied nor be stored as a
    dead letter."""
    body = json.dumps(event() | {f"{n:x}": f"{n:x}@b.co" for n in range(count)}, separators=(",", ":"))
    assert len(body) < 256 * 1024
    answer = shop.send(body)
    assert answer.status == status
    shop.drain()
    if status == 202:
        assert shop.status(answer.body["request_id"])["status"] == "applied"
    else:
        assert "e-mail addresses" in answer.body["errors"][0]["message"]
    assert shop.receive() == []


def test_a_gzip_bomb_is_413(shop: Shop) -> None:
    assert send_as_gzip(shop, gzip.compress(b" " * 200_000_000, 1, mtime=0)).status == 413


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b'{"provider": "a"}', mtime=0)[:-9], gzip.compress(b"{}", mtime=0)[:12], b"\x1f\x8b",
     b"\x1f\x8b" + b"\x00" * 50, gzip.compress(b"{}", mtime=0)[:-4] + b"abcd", b""],
)  # fmt: skip
def test_invalid_or_truncated_gzip_is_400(shop: Shop, data: bytes) -> None:
    answer = send_as_gzip(shop, data)
    assert answer.status == 400
    assert answer.body["errors"][0]["message"]


def test_gzip_of_100_000_empty_members_is_refused_after_a_few(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inflating a member copies all bytes after it."""
    members = []
    make = zlib.decompressobj

    def make_and_count(*arguments: Any) -> Any:
        members.append(arguments)
        return make(*arguments)

    monkeypatch.setattr(zlib, "decompressobj", make_and_count)
    assert 400 <= send_as_gzip(shop, gzip.compress(b"", mtime=0) * 100_000).status < 500
    assert 0 < len(members) < 100


def test_other_encodings_are_refused(shop: Shop) -> None:
    assert 400 <= shop.send(event(), headers={"Content-Encoding": "br"}).status < 500


def test_invalid_base64_is_400(shop: Shop) -> None:
    assert shop.send(None, raw={"body": "???", "isBase64Encoded": True}).status == 400


# ------------------------------------------------------------ authentication


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        basic(f"{ADMIN}:"),
        basic(ADMIN),
        basic(f"{ADMIN}:") + "\n",
        basic(f"{ADMIN}:")[:12] + "\n" + basic(f"{ADMIN}:")[12:],
        f"Bearer {ADMIN}",
        basic(f"{INGEST}:"),
    ],
)
def test_accepted_forms_of_authentication(shop: Shop, header: str) -> None:
    assert shop.send(event(), key=None, headers={"Authorization": header}).status == 202


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !!!", "Basic /w==", basic("wrong:"), basic(":"), "Bearer wrong", "Digest x"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PATH),
        ("POST", f"{PATH}/batch"),
        ("GET", f"/v3/{ACCOUNT}/people/x"),
        ("GET", f"/v2/{ACCOUNT}/subscribers/x"),
        ("GET", f"/v3/{ACCOUNT}/requests/x"),
    ],
)
def test_a_request_without_a_valid_key_is_401(shop: Shop, header: str | None, method: str, path: str) -> None:
    answer = shop.request(method, path, "{", key=None, headers={} if header is None else {"Authorization": header})
    assert answer.status == 401
    assert answer.body["errors"][0]["code"] == "authentication_error"
    assert answer.body["errors"][0]["message"]
    assert "basic" in {name.lower(): v for name, v in answer.headers.items()}["www-authenticate"].lower()


def test_the_key_of_another_account_or_role_is_403(shop: Shop) -> None:
    for answer in (
        shop.send(event(), key=OTHER_ADMIN),
        shop.send_batch([event()], key=OTHER_ADMIN),
        shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}", key=OTHER_ADMIN),
        shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}", key=INGEST),
        shop.get(f"/v2/{ACCOUNT}/subscribers/{EMAIL}", key=INGEST),
        shop.get(f"/v3/{ACCOUNT}/requests/x", key=INGEST),
    ):
        assert answer.status == 403
        assert answer.body["errors"][0]["code"] == "authorization_error"


def test_the_day_of_a_key_s_last_use_is_stored(shop: Shop) -> None:
    shop.send(event(), key=INGEST)
    keys = {
        item["role"]: item
        for item in shop.items("RecordsTable")
        if str(item["pk"]).startswith("#key/") and item["account"] == ACCOUNT
    }
    assert keys["ingest"]["used"] == datetime.now(UTC).date().isoformat()
    assert INGEST not in str(keys)


# ------------------------------------------------------------- unknown routes


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 405),
        ("DELETE", f"{PATH}/batch", 405),
        ("PUT", "/v1/order", 405),
        ("PATCH", "/v1/order/5", 405),
        ("GET", "/v1/order", 405),
        ("POST", f"/v3/{ACCOUNT}/people/x", 405),
        ("GET", "/pages", 404),
        ("GET", "/v4/order", 404),
        ("GET", "/v3", 404),
        ("POST", "/v1/orderly", 404),
        ("POST", "/v1/order/", 404),
        ("POST", f"{PATH}/", 404),
        ("GET", f"/v3/{ACCOUNT}/persons", 404),
        ("OPTIONS", "/nothing", 404),
        ("GET", "/v1", 404),
    ],
)
def test_an_unknown_path_is_404_and_an_unsupported_method_405(shop: Shop, method: str, path: str, status: int) -> None:
    answer = shop.request(method, path, key=None)
    assert answer.status == status
    if path.startswith("/v1"):
        assert answer.body["error"]["message"]
    else:
        assert answer.body["errors"][0]["message"]
    if status == 405:
        assert method not in answer.headers["allow"]
        assert answer.headers["allow"]
