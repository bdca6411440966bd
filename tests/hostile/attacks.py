"""Hostile requests on every route, each with the statuses and the fields that its answer must have."""

from __future__ import annotations

import gzip
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any
from urllib.parse import quote

from tests.hostile import payloads
from tests.hostile.payloads import MARKER, NO_OBJECTS, Fault, Raw, render
from tests.hostile.targets import BATCH_LIMIT, BODY_LIMITS, ORDER_LIMIT, UNKNOWN_ID, Attack, Route, Shop, routes

# For each route of settings: wrong bodies, each with the field that the answer must name, and the error's code.
_SETTINGS: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    "PATCH /v1/account": [
        ({"currency": wrong}, "currency", "format_error") for wrong in ("XXQ", 5, True, [], {}, "US", "usdd")
    ]
    + [({"time_zone": wrong}, "time_zone", "format_error") for wrong in ("Mars", 5, True, [], "../UTC", "\x00", "/etc")]
    + [({"sources": wrong}, "sources", "format_error") for wrong in ([], "orders_api", 5, {}, ["x"], [None], [["x"]])]
    + [({"name": wrong}, "name", code) for wrong, code in (
        ("x" * 101, "length_error"), (MARKER, "format_error"), ([], "format_error"), (True, "format_error"))]
    + [({name: "x"}, name, "format_error") for name in ("Name", "id", "account_id", "", "\x00", "a.b")],
    "POST /v1/keys": [({"role": wrong}, "role", "format_error") for wrong in ("root", None, 5, [], {}, "", "Admin")]
    + [({}, "role", "presence_error")]
    + [({"role": "admin", "label": wrong}, "label", code) for wrong, code in (
        ("x" * 101, "length_error"), (MARKER, "format_error"), ([], "format_error"), ({}, "format_error"))]
    + [({"role": "admin", name: "x"}, name, "format_error") for name in ("account", "secret", "created_by", "id")],
    "POST /v1/connections": [
        ({"platform": wrong, "secret": "s"}, "platform", "format_error") for wrong in ("magento", 5, [], {}, "", None)
    ]
    + [({"platform": "shopify"}, "secret", ""), ({"platform": "woocommerce", "secret": "s"}, "secret", "")]
    + [({"platform": "shopify", "secret": "s", "name": wrong}, "name", "format_error")
       for wrong in ("A", "a/b", "", "x" * 65, 5, [], "a\n", "\u0000")]
    + [({"platform": "shopify", "secret": "s", "provider": wrong}, "provider", "format_error")
       for wrong in ("My", "a-b", "x" * 256, 5, [], "a\n")],
}  # fmt: skip


@cache
def _routes_with_body(*names: str) -> list[Route]:
    return [route for route in routes() if route.key in BODY_LIMITS and (not names or route.key in names)]


def _headers(route: Route, shop: Shop, rng: Random, key: str | None = None) -> dict[str, str]:
    secret = key or (shop.ingest if route.ingest and rng.random() < 0.7 else shop.admin)
    if route.v1 or rng.random() < 0.3:
        authorization = f"Bearer {secret}"
    else:
        authorization = "Basic " + b64encode(f"{secret}{rng.choice([':', '', ':x'])}".encode()).decode()
    headers = {"authorization": authorization}
    if rng.random() < 0.9:
        kinds = ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]
        headers["content-type"] = rng.choice(kinds)
    return headers


def _valid_body(route: Route, rng: Random) -> dict[str, Any]:
    """A valid body for the route."""
    if route.key.endswith("/batch"):
        return {"orders": [payloads.activity(rng) for _ in range(rng.randint(1, 3))]}
    if route.pattern.endswith("shopper_activity/order"):
        return payloads.activity(rng)
    if route.pattern.endswith("/match"):
        return {"people": [{"email": MARKER}, {"customer_id": "c"}]}
    if route.key == "DELETE /v1/transactions":
        return {"confirm": "purge"}
    if route.key.startswith("DELETE /v1/deadletters"):
        return {"reason": "a test"}
    if route.key in _SETTINGS:
        return {"POST /v1/keys": {"role": "ingest"}, "PATCH /v1/account": {"name": "a shop"}}.get(
            route.key, {"platform": "shopify", "secret": "s"}
        )
    return payloads.order(rng)


# ------------------------------------------------------------------ the attacks


def fields(shop: Shop, rng: Random) -> Attack:
    """Wrong values in fields."""
    route = rng.choice(_routes_with_body())
    statuses = 400 if route.v1 else 422
    body: Any = {}
    faults: list[Fault] = []
    if route.key == "POST /v1/order":
        body, faults = payloads.bad_order(rng)
    elif route.key == "POST /v1/order/{order_id}":
        body, faults = payloads.bad_order(rng, edit=True)
    elif route.pattern.endswith("shopper_activity/order"):
        body, faults = payloads.bad_activity(rng)
    elif route.pattern.endswith("/batch"):
        body, faults = _batch(rng)
    elif route.pattern.endswith("/match"):
        body, faults = _match(rng)
    elif route.key == "DELETE /v1/transactions":
        body, faults = _purge(rng)
    elif route.key in _SETTINGS:
        body, name, code = rng.choice(_SETTINGS[route.key])
        faults = [Fault((name,), code, render(body)[:80])]
    else:
        body = rng.choice([{}, {"reason": None}, {"reason": ""}, {"reason": " "}, {"reason": 5}, {"reason": ["a"]},
                              {"reason": "x" * 501}, {"reason": True}, {"reason": {}}])  # fmt: skip
        faults = [Fault(("reason",), "", "the reason")]
    data = render(body).encode()
    headers = _headers(route, shop, rng)
    if rng.random() < 0.1:
        data, headers["content-encoding"] = gzip.compress(data, 1, mtime=0), rng.choice(["gzip", "GZIP", "x-gzip"])
    elif rng.random() < 0.05:
        data = b"\xef\xbb\xbf" + data
    what = "; ".join(fault.what for fault in faults)
    if rng.random() < 0.05:
        headers["idempotency-key"] = "k-1"
    return Attack(
        route.method, route.path(shop), headers, data, frozenset({statuses}), what, tuple(faults), route.ingest
    )


def _batch(rng: Random) -> tuple[Any, list[Fault]]:
    """The body of a batch, and its faults: of the list, or of some of its orders."""
    kind = rng.random()
    if kind < 0.08:
        return {"orders": rng.choice([None, [], {}])}, [Fault(("orders",), "presence_error", "no orders")]
    if kind < 0.14:
        wrong = rng.choice([5, "x", True, {"a": {}}, Raw("1e999"), {"-1": {}}])
        return {"orders": wrong}, [Fault(("orders",), "format_error", "orders is no array")]
    if kind < 0.16:
        one = Raw(render(payloads.activity(rng)))
        return {"orders": [one] * 1001}, [Fault(("orders",), "length_error", "1,001 orders")]
    if kind < 0.2:
        return {}, [Fault(("orders",), "presence_error", "orders left out")]
    orders: list[Any] = [payloads.activity(rng) for _ in range(rng.randint(1, 4))]
    faults: list[Fault] = []
    for index in range(len(orders)):
        if rng.random() < 0.4 or (index == len(orders) - 1 and not faults):
            if rng.random() < 0.1:
                orders[index] = rng.choice(["x", 5, [], True, Raw("1e999")])
                faults.append(Fault(("orders", index), "format_error", "no object"))
                continue
            orders[index], found = payloads.bad_activity(rng)
            faults += [Fault(("orders", index, *fault.path), fault.code, fault.what) for fault in found]
    return {"orders": orders}, faults


def _match(rng: Random) -> tuple[Any, list[Fault]]:
    """The body of a match, and its fault: of the list, or of one of its people."""
    kind = rng.random()
    if kind < 0.2:
        wrong = rng.choice([None, [], 5, "x", {}, True, Raw("1e999")])
        return {"people": wrong}, [Fault(("people",), "", "people is no array")]
    if kind < 0.25:
        return {}, [Fault(("people",), "", "people left out")]
    if kind < 0.27:
        return {"people": [{"email": MARKER}] * 1001}, [Fault(("people",), "", "1,001 people")]
    people: list[Any] = [{"email": MARKER} for _ in range(rng.randint(1, 3))]
    index = rng.randrange(len(people))
    if kind < 0.4:
        people[index] = rng.choice([None, 5, "x", [], True, {}, {"email": ""}, {"address": {}}, {"x": 1}])
        return {"people": people}, [Fault(("people", index), "", "names nobody")]
    name, inner = rng.choice(
        [("email", "email"), ("email_sha256", "sha256"), ("customer_id", "person"), ("address", "object"),
         ("address_1", "line"), ("postal_code", "line"), ("city", "line"), ("country", "line")]
    )  # fmt: skip
    value, _ = payloads.bad(inner, False, rng)
    what = f"{name} = {render(value)[:60]}"
    people[index] = {} if name == "email" else {"email": MARKER}
    if inner == "line":
        people[index]["address"] = {"address_1": "1 Main St", "postal_code": "10843"} | {name: value}
        return {"people": people}, [Fault(("people", index, "address", name), "", what)]
    people[index][name] = value
    return {"people": people}, [Fault(("people", index, name), "", what)]


def _purge(rng: Random) -> tuple[Any, list[Fault]]:
    """The body of a purge, and its faults: wrong values, and an unknown field."""
    body: dict[str, Any] = {"confirm": "purge"}
    faults = []
    if rng.random() < 0.5:
        body["confirm"] = rng.choice([None, "", "yes", True, 1, [], {}, "PURGE", "purge "])
        faults.append(Fault(("confirm",), "", "the confirmation"))
    if rng.random() < 0.5:
        body["source"] = rng.choice(["", "shopify", 5, True, [], {}, ["orders_api"]])
        faults.append(Fault(("source",), "", "the source"))
    if rng.random() < 0.5 or not faults:
        # An unknown field may be meant to narrow the purge, which must then be refused, not purge everything.
        name = rng.choice(["before", "Source", "sources", "account", "person", "dry_run", "", "\x00", "a.b"])
        body[name] = rng.choice(["2019-01-01", "orders_api", None, True, 5, [], {}, Raw("1e999")])
        faults.append(Fault((name,), "", f"{name} = {render(body[name])[:60]}"))
    return body, faults


def bodies(shop: Shop, rng: Random) -> Attack:
    """Bodies that cannot be parsed, or are no JSON objects."""
    route = rng.choice(_routes_with_body())
    headers = _headers(route, shop, rng)
    if rng.random() < 0.2:
        data, what = rng.choice(NO_OBJECTS).encode(), "no object"
        if route.pattern.endswith("/batch"):
            faults = (Fault(("orders",), "presence_error", what),)
        elif route.pattern.endswith("/match"):
            faults = (Fault(("people",), "presence_error", what),)
        elif "deadletters" in route.key:
            faults = (Fault(("reason",), "", what),)
        else:
            faults = (Fault((), "format_error", what),)
        return Attack(
            route.method,
            route.path(shop),
            headers,
            data,
            frozenset({400 if route.v1 else 422}),
            what,
            faults,
            route.ingest,
        )
    data, what = payloads.unreadable(_valid_body(route, rng), rng)
    if not data and route.method == "DELETE":
        data = b"{"  # without a body, a DELETE is read as if it had sent an empty object
    return Attack(route.method, route.path(shop), headers, data, frozenset({400}), what, recorded=route.ingest)


def encodings(shop: Shop, rng: Random) -> Attack:
    """gzip that is cut short, broken or a bomb; other encodings and content types."""
    route = rng.choice(_routes_with_body())
    headers = _headers(route, shop, rng)
    headers["content-encoding"] = "gzip"
    data = gzip.compress(render(_valid_body(route, rng)).encode(), 1, mtime=0)
    kind, status, what = rng.randrange(9), 400, ""
    if kind == 0:
        data, what = data[: rng.randrange(2, len(data) - 1)], "gzip cut short"
    elif kind == 1:
        data, what = data[:-8] + struct.pack("<II", 0, 0), "gzip of a wrong checksum"
    elif kind == 2:
        data, what = data[:12] + rng.randbytes(len(data)), "gzip of noise"
    elif kind == 3:
        data, what, status = _bomb(rng.choice([2, 60])), "a bomb", 413
    elif kind == 4:
        data, what = gzip.compress(b" ", mtime=0) * 40 + data, "gzip of many members"
    elif kind == 5:
        data, what, status = _wide_bomb(), "a bomb in many members", 413
    elif kind == 6:
        encoding = rng.choice(["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "compress", "\x7f", "x" * 2000])
        headers["content-encoding"], what, status = encoding, "another encoding", 415
    elif kind == 7:
        data, what = zlib.compress(render(_valid_body(route, rng)).encode()), "zlib that says it is gzip"
    else:
        del headers["content-encoding"]
        data = render(_valid_body(route, rng)).encode()
        wrong = ["text/plain", "application/xml", "multipart/form-data; boundary=x",
                 "application/x-www-form-urlencoded",
                 "application/jsonx", "json", "application/json,text/plain", "text/html", "*/*",
                 "image/png"]  # fmt: skip
        headers["content-type"], what, status = rng.choice(wrong), "another content type", 415
    return Attack(route.method, route.path(shop), headers, data, frozenset({status}), what, recorded=route.ingest)


@cache
def _bomb(times: int) -> bytes:
    """A gzip that inflates to `times` the limit of a batch."""
    return gzip.compress(b'{"a":"' + b"a" * (times * BATCH_LIMIT) + b'"}', 9, mtime=0)


@cache
def _wide_bomb() -> bytes:
    """A gzip of 12 members, each below the limit of a batch, that together inflate to 1.5 times the limit."""
    return gzip.compress(b" " * (BATCH_LIMIT // 8), 9, mtime=0) * 12


def sizes(shop: Shop, rng: Random) -> Attack:
    """Bodies just over the limit of a route. The gateway has a higher limit of its own."""
    route = rng.choice(_routes_with_body())
    limit = BODY_LIMITS[route.key]
    body = _valid_body(route, rng) | {"padding": "x" * (limit + rng.choice([1, 1000]))}
    what = "a body that is too large"
    if route.pattern.endswith("/batch") and rng.random() < 0.7:
        orders = body["orders"]
        orders[-1]["padding"] = "é" * (ORDER_LIMIT // 2)
        del body["padding"]
        what = "an order of a batch that is too large"
    return Attack(
        route.method,
        route.path(shop),
        _headers(route, shop, rng),
        render(body).encode(),
        frozenset({413}),
        what,
        recorded=route.ingest,
        gateway=True,
    )


def keys(shop: Shop, rng: Random) -> Attack:
    """Requests without a key, or with a wrong, a revoked or another account's key, or one of the wrong role."""
    route = rng.choice(routes())
    headers = _headers(route, shop, rng)
    if route.key in BODY_LIMITS:
        data = render(rng.choice([payloads.order, payloads.activity])(rng)).encode()
        if rng.random() < 0.3:
            data, _ = payloads.unreadable(payloads.order(rng), rng)
    else:
        data = b""
    # Without a valid key, v1 answers 403 and v3 answers 401.
    status, what = 403 if route.v1 else 401, "garbage for a key"
    kind = rng.randrange(6)
    path = route.path(shop)
    if kind == 0:
        del headers["authorization"]
        what = "no key"
    elif kind == 1:
        garbage = ["", " ", "Bearer", "Bearer ", "Basic", "Basic ====", "Basic !", "Bearer \x00", "Digest a=1",
                   shop.ingest,
                   "Bearer " + "x" * 5000, "Basic " + "QUFB" * 1500, "Basic /////w==", "bearer nobody", "Basic Og==",
                   "Bearer a b", f"Bearer {shop.admin} x", "Token x", "\xff\xfe",
                   f"Bearer {shop.admin.upper()}"]  # fmt: skip
        headers["authorization"] = rng.choice(garbage)
    elif kind == 2:
        secret = "".join(rng.choices("abcdef0123456789:._-", k=rng.randint(1, 60)))
        headers["authorization"] = f"Bearer {secret}"
    elif kind == 3 and shop.revoked:
        headers["authorization"], what = f"Bearer {shop.revoked}", "a revoked key"
    elif kind == 4 and not route.v1:
        other = rng.choice(["0", "other-shop", "%2e%2e", "1234567%00", "%31234568", quote(MARKER), "x" * 2000])
        path, status, what = route.path(shop, account_id=other), 403, "a path of another account"
    elif not route.ingest:
        headers = _headers(route, shop, rng, key=shop.ingest)
        status, what = 403, "an ingest key"
    else:
        headers["authorization"] = "Bearer nobody"
    return Attack(route.method, path, headers, data or None, frozenset({status}), what)


# Percent-encoded segments of paths that are no id of anything.
_ODD_SEGMENTS = [
    "%2F", "a%2Fb", "..%2F..%2Fetc%2Fpasswd", "%2e", "%2e%2e", "%252e%252e", "%00", "a%00b", "%0A", "%ff", "%C0%80",
    "%ED%A0%80", "%F0%9F%8D%95", "%25", "%", "%zz", "%3F", "%23", "+", "~", "!", "*", "'", "%22", "%3Cscript%3E",
    "a" * 255,
    "x" * 1025, "%F0%9F%8D%95" * 600, "0" * 2049, "-1", "1e999", "null", "undefined", "{order_id}",
    "%7Border_id%7D", "$default",
    "nobody@example.com", "0" * 32, "f" * 64, "all%00", "..", ".", "%EF%BF%BF", ";", "a;b=c", "%5C", "@", ":", "%20",
]  # fmt: skip


def paths(shop: Shop, rng: Random) -> Attack:
    """Odd path segments in place of an id: nothing has such an id, so the answer is 404."""
    with_id = [route for route in routes() if "{" in route.pattern.replace("{account_id}", "")]
    # An erasure is left out: it is not refused, since the queue may hold events of an unknown person.
    route = rng.choice([one for one in with_id if one.key != "DELETE /v3/{account_id}/people/{id_or_email}"])
    names = [
        name
        for name in ("order_id", "audience_id", "job_id", "deadletter_id", "request_id", "id_or_email", "provider")
        if "{" + name + "}" in route.pattern
    ]
    segments = {name: rng.choice(_ODD_SEGMENTS) for name in names}
    # An edit whose body names another order than its path would be refused with 400.
    data = render(_valid_body(route, rng) | {"order_id": None}).encode() if route.key in BODY_LIMITS else None
    return Attack(
        route.method,
        route.path(shop, **segments),
        _headers(route, shop, rng),
        data,
        frozenset({404}),
        f"an odd path {segments}",
        gateway=True,
    )


def queries(shop: Shop, rng: Random) -> Attack:
    """Invalid query parameters of lists."""
    lists = {
        "GET /v1/audience/{audience_id}": ("limit", "cursor", "format"),
        "GET /v1/deadletters": ("limit", "cursor"),
        "GET /v1/transactions": ("limit", "cursor", "status", "source"),
    }
    key = rng.choice(list(lists))
    name = rng.choice(lists[key])
    wrong = {
        "limit": ["0", "201", "-1", "1.5", "x", "", "%D9%A3", "1e2", "99999", "NaN", "%00", "1&limit=2",
                  "9" * 5000],
        "cursor": ["", "x", "%00", "%ff", "a" * 5000, "%3D%3D%3D", "AAAA", "null", "..%2F", "MDAwMDAwMDAwMDAwMDAwMDAw",
                   UNKNOWN_ID, "%F0%9F%8D%95", "ffffffff-ffff-7fff-bfff-ffffffffffff"],
        "status": ["", "x", "Applied", "%00", "applied,failed", "applied&status=failed", "9" * 3000],
        "format": ["", "xml", "CSV", "csv,json", "null"],
        "source": ["", "x", "shopify", "%00", "orders_api%20", "9" * 3000],
    }  # fmt: skip
    route = Route(key)
    path = f"{route.path(shop)}?{name}={rng.choice(wrong[name])}"
    return Attack(
        "GET",
        path,
        _headers(route, shop, rng),
        None,
        frozenset({400}),
        f"a wrong {name}",
        (Fault((name,), "", name),),
    )


def lookups(shop: Shop, rng: Random) -> Attack:
    """Odd query parameters that are valid but find nothing: the answer is an empty list."""
    value = rng.choice([s for s in _ODD_SEGMENTS if s != "%"] + ["", UNKNOWN_ID])
    name = rng.choice(["request_id", "order_id"])
    route = Route("GET /v1/transactions")
    return Attack(
        "GET",
        f"{route.path(shop)}?{name}={value}",
        _headers(route, shop, rng),
        None,
        frozenset({200}),
        f"{name}={value[:40]}",
    )


def methods(shop: Shop, rng: Random) -> Attack:
    """Methods that a path does not support, and paths that do not exist."""
    headers = {} if rng.random() < 0.3 else {"authorization": f"Bearer {shop.admin}"}
    odd = ["PUT", "PATCH", "OPTIONS", "TRACE", "HEAD", "PROPFIND", "BREW", "get", "M-SEARCH", "DELETE", "POST", "GET"]
    if rng.random() < 0.5:
        route = rng.choice(routes())
        known = {r.method for r in routes() if r.matches(route)}
        if route.pattern == "/v1/order/{order_id}/history":  # also the path of an order whose id ends in /history
            known = {"POST", "DELETE", "GET"}
        method = rng.choice([m for m in odd if m not in known])
        return Attack(method, route.path(shop), headers, None, frozenset({405}), "an unsupported method")
    nowhere = ["/v1", "/v1/", "/v1/orderly", "/v1/order/", "/v1//order", "/v2", "/v3/",
               "/v3/1234567", "/.env",
               f"/v3/{shop.account}/people/", f"/v3/{shop.account}/people/a/b", "/%2e%2e/v1/order",
               "/V1/order", "/v1/order%2F", "//", "/v1/audience", "/v1/audience//match", "/favicon.ico",
               "/v1/order;a", "/v1/" + "x" * 4000, "/v1/deadletters//replay", "/v3//people/a", "/v4/a",
               "/%00"]  # fmt: skip
    return Attack(rng.choice(odd), rng.choice(nowhere), headers, None, frozenset({404}), "a path that does not exist")


def headers(shop: Shop, rng: Random) -> Attack:
    """Odd and giant headers with an invalid body, and invalid idempotency keys."""
    if rng.random() < 0.4:
        route = rng.choice(
            _routes_with_body(
                "POST /v3/{account_id}/shopper_activity/order", "POST /v3/{account_id}/shopper_activity/order/batch"
            )
        )
        key = rng.choice(["", " ", "k" * 256, "k" * 4000])
        return Attack(
            route.method,
            route.path(shop),
            _headers(route, shop, rng) | {"idempotency-key": key},
            render(_valid_body(route, rng)).encode(),
            frozenset({422}),
            "an invalid idempotency key",
            (Fault(("Idempotency-Key",), "length_error" if key.strip() else "presence_error", ""),),
            True,
        )
    odd = fields(shop, rng)
    names = ["x-forwarded-for", "cookie", "accept", "user-agent", "x-http-method-override", "x-confirm", "referer",
             "range",
             "if-none-match", "x-amzn-trace-id", "expect-ct"]  # fmt: skip
    values = [
        "\xff\xfe",
        "DELETE",
        "'; --",
        "a=b; c=d" * 100,
        "no",
        "${jndi:ldap://x}",
        "x" * 8000,
        "x" * 60_000,
        "\x7f",
    ]
    added = {rng.choice(names): rng.choice(values) for _ in range(3)}
    added = {name: value for name, value in added.items() if not (name == "range" and len(value) > 9000)}
    giant = sum(map(len, added.values())) > 9000
    return replace(odd, headers=odd.headers | added, what=f"odd headers; {odd.what}", gateway=giant)


_KINDS: list[tuple[int, Callable[[Shop, Random], Attack]]] = [
    (60, fields), (8, bodies), (5, encodings), (1, sizes), (8, keys), (5, paths), (4, queries), (2, lookups),
    (4, methods), (3, headers),
]  # fmt: skip


def attack(shop: Shop, seed: int, number: int) -> Attack:
    """The attack with this number; the same for the same seed."""
    rng = Random(f"{seed}/{number}")
    (make,) = rng.choices([kind for _, kind in _KINDS], [weight for weight, _ in _KINDS])
    return make(shop, rng)


def attacks(shop: Shop, seed: int, count: int) -> Iterator[tuple[int, Attack]]:
    """The first `count` attacks of a seed, with their numbers."""
    for number in range(count):
        yield number, attack(shop, seed, number)
