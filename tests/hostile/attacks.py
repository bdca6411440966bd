"""Hostile requests on every route, and how the contract says that each is to be answered."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any
from urllib.parse import quote

from tests.handlers import template
from tests.hostile import payloads
from tests.hostile.payloads import MARKER, NO_OBJECTS, Fault, Raw, render

ORDER_LIMIT, BATCH_LIMIT = 256 * 1024, 4 * 1024 * 1024
AUDIENCE = "customers-orders-api"


@dataclass(frozen=True)
class Shop:
    """Whom the requests are made to: an account with its keys, another one's key, and an order that stands."""

    account: str
    ingest: str
    admin: str
    order_id: str
    other_admin: str = ""
    revoked: str = ""


@dataclass(frozen=True)
class Attack:
    """One request as it goes over the wire, and what is expected.

    `faults`: exactly these fields are to be named, each with its code; None where no field is at fault.
    `recorded`: whether a note of it may be left. `gateway`: the gateway may answer first, in its own words.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    statuses: frozenset[int]
    what: str
    faults: tuple[Fault, ...] | None = None
    recorded: bool = False
    gateway: bool = False

    @property
    def v1(self) -> bool:
        return self.path.startswith("/v1/")


@dataclass(frozen=True)
class Route:
    key: str
    method: str = field(init=False)
    pattern: str = field(init=False)

    def __post_init__(self) -> None:
        method, _, pattern = self.key.partition(" ")
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "pattern", pattern)

    @property
    def v1(self) -> bool:
        return self.pattern.startswith("/v1/")

    @property
    def ingest(self) -> bool:
        return self.key in _INGEST

    def path(self, shop: Shop, **parameters: str) -> str:
        """With parameters as they go over the wire; by default those of what stands."""
        known = {
            "account_id": shop.account, "order_id": quote(shop.order_id, safe=""), "audience_id": AUDIENCE,
            "job_id": _NO_UUID, "deadletter_id": _NO_UUID, "request_id": _NO_UUID, "id_or_email": "nobody",
            "provider": "my_shop",
        } | parameters  # fmt: skip
        out = self.pattern
        for name, value in known.items():
            out = out.replace("{" + name + "}", value)
        return out


_NO_UUID = "01890000-0000-4000-8000-000000000000"
_INGEST = {
    "POST /v1/order", "POST /v1/order/{order_id}", "DELETE /v1/order/{order_id}",
    "POST /v3/{account_id}/shopper_activity/order", "POST /v3/{account_id}/shopper_activity/order/batch",
}  # fmt: skip
_PUBLIC = {"GET /openapi.json", "GET /", "GET /page/{file}"}
# Routes that read a body, and how much of one.
_BODIES = {
    "POST /v1/order": ORDER_LIMIT, "POST /v1/order/{order_id}": ORDER_LIMIT,
    "POST /v3/{account_id}/shopper_activity/order": ORDER_LIMIT,
    "POST /v3/{account_id}/shopper_activity/order/batch": BATCH_LIMIT,
    "POST /v1/audience/{audience_id}/match": BATCH_LIMIT, "DELETE /v1/transactions": ORDER_LIMIT,
    "DELETE /v1/deadletters/{deadletter_id}": ORDER_LIMIT,
}  # fmt: skip


@cache
def routes() -> list[Route]:
    return [Route(key) for key in template.named_routes() if key not in _PUBLIC]


@cache
def _reading(*names: str) -> list[Route]:
    return [route for route in routes() if route.key in _BODIES and (not names or route.key in names)]


def _headers(route: Route, shop: Shop, chance: Random, key: str | None = None) -> dict[str, str]:
    secret = key or (shop.ingest if route.ingest and chance.random() < 0.7 else shop.admin)
    if route.v1 or chance.random() < 0.3:
        authorization = f"Bearer {secret}"
    else:
        authorization = "Basic " + b64encode(f"{secret}{chance.choice([':', '', ':x'])}".encode()).decode()
    headers = {"authorization": authorization}
    if chance.random() < 0.9:
        kinds = ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]
        headers["content-type"] = chance.choice(kinds)
    return headers


def _right(route: Route, chance: Random) -> dict[str, Any]:
    """A body that the route would take."""
    if route.key.endswith("/batch"):
        return {"orders": [payloads.activity(chance) for _ in range(chance.randint(1, 3))]}
    if route.pattern.endswith("shopper_activity/order"):
        return payloads.activity(chance)
    if route.pattern.endswith("/match"):
        return {"people": [{"email": MARKER}, {"customer_id": "c"}]}
    if route.key == "DELETE /v1/transactions":
        return {"confirm": "purge"}
    if route.key.startswith("DELETE /v1/deadletters"):
        return {"reason": "a test"}
    return payloads.order(chance)


# ------------------------------------------------------------------ the attacks


def fields(shop: Shop, chance: Random) -> Attack:
    """Wrong values in fields."""
    route = chance.choice(_reading())
    statuses, body, faults = 400 if route.v1 else 422, {}, []
    if route.key == "POST /v1/order":
        body, faults = payloads.bad_order(chance)
    elif route.key == "POST /v1/order/{order_id}":
        body, faults = payloads.bad_order(chance, edit=True)
    elif route.pattern.endswith("shopper_activity/order"):
        body, faults = payloads.bad_activity(chance)
    elif route.pattern.endswith("/batch"):
        body, faults = _batch(chance)
    elif route.pattern.endswith("/match"):
        body, faults = _match(chance)
    elif route.key == "DELETE /v1/transactions":
        body, faults = _purge(chance)
    else:
        body = chance.choice([{}, {"reason": None}, {"reason": ""}, {"reason": " "}, {"reason": 5}, {"reason": ["a"]},
                              {"reason": "x" * 501}, {"reason": True}, {"reason": {}}])  # fmt: skip
        faults = [Fault(("reason",), "presence_error", "the reason")]
    data = render(body).encode()
    headers = _headers(route, shop, chance)
    if chance.random() < 0.1:
        data, headers["content-encoding"] = gzip.compress(data, 1, mtime=0), chance.choice(["gzip", "GZIP", "x-gzip"])
    elif chance.random() < 0.05:
        data = b"\xef\xbb\xbf" + data
    what = "; ".join(fault.what for fault in faults)
    if chance.random() < 0.05:
        headers["idempotency-key"] = "k-1"
    return Attack(
        route.method, route.path(shop), headers, data, frozenset({statuses}), what, tuple(faults), route.ingest
    )


def _batch(chance: Random) -> tuple[Any, list[Fault]]:
    kind = chance.random()
    if kind < 0.08:
        return {"orders": chance.choice([None, [], {}])}, [Fault(("orders",), "presence_error", "no orders")]
    if kind < 0.14:
        wrong = chance.choice([5, "x", True, {"a": {}}, Raw("1e999"), {"-1": {}}])
        return {"orders": wrong}, [Fault(("orders",), "format_error", "orders is no array")]
    if kind < 0.16:
        one = Raw(render(payloads.activity(chance)))
        return {"orders": [one] * 1001}, [Fault(("orders",), "length_error", "1,001 orders")]
    if kind < 0.2:
        return {}, [Fault(("orders",), "presence_error", "orders left out")]
    orders: list[Any] = [payloads.activity(chance) for _ in range(chance.randint(1, 4))]
    faults: list[Fault] = []
    for index in range(len(orders)):
        if chance.random() < 0.4 or (index == len(orders) - 1 and not faults):
            if chance.random() < 0.1:
                orders[index] = chance.choice(["x", 5, [], True, Raw("1e999")])
                faults.append(Fault(("orders", index), "format_error", "no object"))
                continue
            orders[index], found = payloads.bad_activity(chance)
            faults += [Fault(("orders", index, *fault.path), fault.code, fault.what) for fault in found]
    return {"orders": orders}, faults


def _match(chance: Random) -> tuple[Any, list[Fault]]:
    kind = chance.random()
    if kind < 0.2:
        wrong = chance.choice([None, [], 5, "x", {}, True, Raw("1e999")])
        return {"people": wrong}, [Fault(("people",), "", "people is no array")]
    if kind < 0.25:
        return {}, [Fault(("people",), "", "people left out")]
    if kind < 0.27:
        return {"people": [{"email": MARKER}] * 1001}, [Fault(("people",), "", "1,001 people")]
    people: list[Any] = [{"email": MARKER} for _ in range(chance.randint(1, 3))]
    index = chance.randrange(len(people))
    if kind < 0.4:
        people[index] = chance.choice([None, 5, "x", [], True, {}, {"email": ""}, {"address": {}}, {"x": 1}])
        return {"people": people}, [Fault(("people", index), "", "says nobody")]
    name, inner = chance.choice(
        [("email", "email"), ("email_sha256", "sha256"), ("customer_id", "person"), ("address", "object"),
         ("address_1", "line"), ("postal_code", "line"), ("city", "line"), ("country", "line")]
    )  # fmt: skip
    value, _ = payloads.bad(inner, False, chance)
    path = (
        ("people", index, name)
        if inner in ("email", "sha256", "person", "object")
        else ("people", index, "address", name)
    )
    if len(path) == 4:
        value = {"address_1": "1 Main St", "postal_code": "10843"} | {name: value}
    people[index] = {"address" if len(path) == 4 else name: value, **({"email": MARKER} if name != "email" else {})}
    return {"people": people}, [Fault(path, "", f"{name} = {render(value)[:60]}")]


def _purge(chance: Random) -> tuple[Any, list[Fault]]:
    body: dict[str, Any] = {"confirm": "purge"}
    faults = []
    if chance.random() < 0.5:
        body["confirm"] = chance.choice([None, "", "yes", True, 1, [], {}, "PURGE", "purge "])
        faults.append(Fault(("confirm",), "", "the confirmation"))
    if chance.random() < 0.5:
        body["source"] = chance.choice(["", "shopify", 5, True, [], {}, ["orders_api"]])
        faults.append(Fault(("source",), "", "the source"))
    if chance.random() < 0.5 or not faults:
        # A purge that was to be narrower must not take everything: no other field is known, whatever it says.
        name = chance.choice(["before", "Source", "sources", "account", "person", "dry_run", "", "\x00", "a.b"])
        body[name] = chance.choice(["2019-01-01", "orders_api", None, True, 5, [], {}, Raw("1e999")])
        faults.append(Fault((name,), "", f"{name} = {render(body[name])[:60]}"))
    return body, faults


def bodies(shop: Shop, chance: Random) -> Attack:
    """Bodies that cannot be read, or are no objects."""
    route = chance.choice(_reading())
    headers = _headers(route, shop, chance)
    if chance.random() < 0.2:
        data, what = chance.choice(NO_OBJECTS).encode(), "no object"
        if route.pattern.endswith("/batch"):
            faults = (Fault(("orders",), "presence_error", what),)
        elif route.pattern.endswith("/match"):
            faults = (Fault(("people",), "presence_error", what),)
        elif "deadletters" in route.key:
            faults = (Fault(("reason",), "presence_error", what),)
        else:
            faults = (Fault((), "format_error", what),)
        return Attack(
            route.method, route.path(shop), headers, data, frozenset({400 if route.v1 else 422}), what, faults,
            route.ingest,
        )  # fmt: skip
    data, what = payloads.unreadable(_right(route, chance), chance)
    if not data and route.method == "DELETE":
        data = b"{"
    return Attack(route.method, route.path(shop), headers, data, frozenset({400}), what, recorded=route.ingest)


def encodings(shop: Shop, chance: Random) -> Attack:
    """gzip that is cut short, broken or a bomb; other encodings and content types."""
    route = chance.choice(_reading())
    headers = _headers(route, shop, chance)
    headers["content-encoding"] = "gzip"
    data = gzip.compress(render(_right(route, chance)).encode(), 1, mtime=0)
    kind, status, what = chance.randrange(9), 400, ""
    if kind == 0:
        data, what = data[: chance.randrange(2, len(data) - 1)], "gzip cut short"
    elif kind == 1:
        data, what = data[:-8] + struct.pack("<II", 0, 0), "gzip of a wrong checksum"
    elif kind == 2:
        data, what = data[:12] + chance.randbytes(len(data)), "gzip of noise"
    elif kind == 3:
        data, what, status = _bomb(chance.choice([2, 60])), "a bomb", 413
    elif kind == 4:
        data, what = gzip.compress(b" ", mtime=0) * 40 + data, "gzip of many members"
    elif kind == 5:
        data, what, status = _wide_bomb(), "a bomb in many members", 413
    elif kind == 6:
        encoding = chance.choice(["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "compress", "\x7f", "x" * 2000])
        headers["content-encoding"], what, status = encoding, "another encoding", 415
    elif kind == 7:
        data, what = zlib.compress(render(_right(route, chance)).encode()), "zlib that says it is gzip"
    else:
        del headers["content-encoding"]
        data = render(_right(route, chance)).encode()
        wrong = ["text/plain", "application/xml", "multipart/form-data; boundary=x",
                 "application/x-www-form-urlencoded",
                 "application/jsonx", "json", "application/json,text/plain", "text/html", "*/*",
                 "image/png"]  # fmt: skip
        headers["content-type"], what, status = chance.choice(wrong), "another content type", 415
    return Attack(route.method, route.path(shop), headers, data, frozenset({status}), what, recorded=route.ingest)


@cache
def _bomb(mebibytes: int) -> bytes:
    """Of that many times 4 MiB."""
    return gzip.compress(b'{"a":"' + b"a" * (mebibytes * BATCH_LIMIT) + b'"}', 9, mtime=0)


@cache
def _wide_bomb() -> bytes:
    return gzip.compress(b" " * (BATCH_LIMIT // 8), 9, mtime=0) * 12


def sizes(shop: Shop, chance: Random) -> Attack:
    """Bodies just over what a route takes. The gateway has a limit of its own, beyond ours."""
    route = chance.choice(_reading())
    limit = _BODIES[route.key]
    body = _right(route, chance) | {"padding": "x" * (limit + chance.choice([1, 1000]))}
    what = "a body that is too large"
    if route.pattern.endswith("/batch") and chance.random() < 0.7:
        orders = body["orders"]
        orders[-1]["padding"] = "é" * (ORDER_LIMIT // 2)
        del body["padding"]
        what = "an order of a batch that is too large"
    return Attack(
        route.method, route.path(shop), _headers(route, shop, chance), render(body).encode(), frozenset({413}), what,
        recorded=route.ingest, gateway=True,
    )  # fmt: skip


def keys(shop: Shop, chance: Random) -> Attack:
    """No key, garbage, revoked, another account's, or one of the wrong role, with any body."""
    route = chance.choice(routes())
    headers = _headers(route, shop, chance)
    if route.key in _BODIES:
        data = render(chance.choice([payloads.order, payloads.activity])(chance)).encode()
        if chance.random() < 0.3:
            data, _ = payloads.unreadable(payloads.order(chance), chance)
    else:
        data = b""
    status, what = 403 if route.v1 else 401, "garbage for a key"
    kind = chance.randrange(6)
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
        headers["authorization"] = chance.choice(garbage)
    elif kind == 2:
        secret = "".join(chance.choices("abcdef0123456789:._-", k=chance.randint(1, 60)))
        headers["authorization"] = f"Bearer {secret}"
    elif kind == 3 and shop.revoked:
        headers["authorization"], what = f"Bearer {shop.revoked}", "a revoked key"
    elif kind == 4 and not route.v1:
        other = chance.choice(["0", "other-shop", "%2e%2e", "1234567%00", "%31234568", quote(MARKER), "x" * 2000])
        path, status, what = route.path(shop, account_id=other), 403, "a path of another account"
    elif not route.ingest:
        headers = _headers(route, shop, chance, key=shop.ingest)
        status, what = 403, "an ingest key"
    else:
        headers["authorization"] = "Bearer nobody"
    return Attack(route.method, path, headers, data or None, frozenset({status}), what)


_ODD_SEGMENTS = [
    "%2F", "a%2Fb", "..%2F..%2Fetc%2Fpasswd", "%2e", "%2e%2e", "%252e%252e", "%00", "a%00b", "%0A", "%ff", "%C0%80",
    "%ED%A0%80", "%F0%9F%8D%95", "%25", "%", "%zz", "%3F", "%23", "+", "~", "!", "*", "'", "%22", "%3Cscript%3E",
    "a" * 255,
    "x" * 1025, "%F0%9F%8D%95" * 600, "0" * 2049, "-1", "1e999", "null", "undefined", "{order_id}",
    "%7Border_id%7D", "$default",
    "nobody@example.com", "0" * 32, "f" * 64, "all%00", "..", ".", "%EF%BF%BF", ";", "a;b=c", "%5C", "@", ":", "%20",
]  # fmt: skip


def paths(shop: Shop, chance: Random) -> Attack:
    """Odd segments where an id is expected: nothing is known by them."""
    taking = [route for route in routes() if "{" in route.pattern.replace("{account_id}", "")]
    # Who is not known may be in the queue: their erasure is no refusal.
    route = chance.choice([one for one in taking if one.key != "DELETE /v3/{account_id}/people/{id_or_email}"])
    names = [name for name in ("order_id", "audience_id", "job_id", "deadletter_id", "request_id", "id_or_email",
                               "provider") if "{" + name + "}" in route.pattern]  # fmt: skip
    segments = {name: chance.choice(_ODD_SEGMENTS) for name in names}
    data = render(_right(route, chance) | {"order_id": None}).encode() if route.key in _BODIES else None
    return Attack(
        route.method, route.path(shop, **segments), _headers(route, shop, chance), data, frozenset({404}),
        f"an odd path {segments}", gateway=True,
    )  # fmt: skip


def queries(shop: Shop, chance: Random) -> Attack:
    """Wrong parameters of lists."""
    lists = {
        "GET /v1/audience/{audience_id}": ("limit", "cursor", "format"), "GET /v1/deadletters": ("limit", "cursor"),
        "GET /v1/transactions": ("limit", "cursor", "status", "source"),
    }  # fmt: skip
    key = chance.choice(list(lists))
    name = chance.choice(lists[key])
    wrong = {
        "limit": ["0", "201", "-1", "1.5", "x", "", "%D9%A3", "1e2", "99999", "NaN", "%00", "1&limit=2",
                  "9" * 5000],
        "cursor": ["", "x", "%00", "%ff", "a" * 5000, "%3D%3D%3D", "AAAA", "null", "..%2F", "MDAwMDAwMDAwMDAwMDAwMDAw",
                   _NO_UUID, "%F0%9F%8D%95", "ffffffff-ffff-7fff-bfff-ffffffffffff"],
        "status": ["", "x", "Applied", "%00", "applied,failed", "applied&status=failed", "9" * 3000],
        "format": ["", "xml", "CSV", "csv,json", "null"],
        "source": ["", "x", "shopify", "%00", "orders_api%20", "9" * 3000],
    }  # fmt: skip
    route = Route(key)
    path = f"{route.path(shop)}?{name}={chance.choice(wrong[name])}"
    return Attack(
        "GET", path, _headers(route, shop, chance), None, frozenset({400}), f"a wrong {name}",
        (Fault((name,), "", name),),
    )  # fmt: skip


def lookups(shop: Shop, chance: Random) -> Attack:
    """Parameters that find nothing: an empty list, whatever they are."""
    value = chance.choice([s for s in _ODD_SEGMENTS if s != "%"] + ["", _NO_UUID])
    name = chance.choice(["request_id", "order_id"])
    route = Route("GET /v1/transactions")
    return Attack(
        "GET", f"{route.path(shop)}?{name}={value}", _headers(route, shop, chance), None, frozenset({200}),
        f"{name}={value[:40]}",
    )  # fmt: skip


def methods(shop: Shop, chance: Random) -> Attack:
    """Methods that a path does not take, and paths that are not there."""
    headers = {} if chance.random() < 0.3 else {"authorization": f"Bearer {shop.admin}"}
    odd = ["PUT", "PATCH", "OPTIONS", "TRACE", "HEAD", "PROPFIND", "BREW", "get", "M-SEARCH", "DELETE", "POST", "GET"]
    if chance.random() < 0.5:
        route = chance.choice(routes())
        known = {r.method for r in routes() if r.pattern == route.pattern}
        if route.pattern == "/v1/order/{order_id}/history":  # which is also the path of an order
            known = {"POST", "DELETE", "GET"}
        method = chance.choice([m for m in odd if m not in known])
        return Attack(method, route.path(shop), headers, None, frozenset({405}), "a method it does not take")
    nowhere = ["/v1", "/v1/", "/v1/orders", "/v1/order/", "/v1//order", "/v2", "/v3/",
               "/v3/1234567", "/.env",
               f"/v3/{shop.account}/people/", f"/v3/{shop.account}/people/a/b", "/%2e%2e/v1/order",
               "/V1/order", "/v1/order%2F", "//", "/v1/audience", "/v1/audience//match", "/favicon.ico",
               "/v1/order;a", "/v1/" + "x" * 4000, "/v1/deadletters//replay", "/v3//people/a", "/v4/a",
               "/%00"]  # fmt: skip
    return Attack(chance.choice(odd), chance.choice(nowhere), headers, None, frozenset({404}), "nothing is there")


def headers(shop: Shop, chance: Random) -> Attack:
    """Odd and giant headers around a body that is wrong, and idempotency keys that are none."""
    if chance.random() < 0.4:
        route = chance.choice(_reading("POST /v3/{account_id}/shopper_activity/order",
                                       "POST /v3/{account_id}/shopper_activity/order/batch"))  # fmt: skip
        key = chance.choice(["", " ", "k" * 256, "k" * 4000])
        return Attack(
            route.method, route.path(shop), _headers(route, shop, chance) | {"idempotency-key": key},
            render(_right(route, chance)).encode(), frozenset({422}), "an idempotency key that is none",
            (Fault(("Idempotency-Key",), "length_error" if key.strip() else "presence_error", ""),), True,
        )  # fmt: skip
    attack = fields(shop, chance)
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
    added = {chance.choice(names): chance.choice(values) for _ in range(3)}
    added = {name: value for name, value in added.items() if not (name == "range" and len(value) > 9000)}
    giant = sum(map(len, added.values())) > 9000
    return Attack(
        attack.method, attack.path, attack.headers | added, attack.body, attack.statuses, f"odd headers; {attack.what}",
        attack.faults, attack.recorded, giant,
    )  # fmt: skip


_KINDS: list[tuple[int, Callable[[Shop, Random], Attack]]] = [
    (60, fields), (8, bodies), (5, encodings), (1, sizes), (8, keys), (5, paths), (4, queries), (2, lookups),
    (4, methods), (3, headers),
]  # fmt: skip


def attack(shop: Shop, seed: int, number: int) -> Attack:
    """The same one for the same seed and number."""
    chance = Random(f"{seed}/{number}")
    (make,) = chance.choices([kind for _, kind in _KINDS], [weight for weight, _ in _KINDS])
    return make(shop, chance)


def attacks(shop: Shop, seed: int, count: int) -> Iterator[tuple[int, Attack]]:
    for number in range(count):
        yield number, attack(shop, seed, number)


# ------------------------------------------------------------------ the answers

_V1_NAMES = {
    400: "ValidationError", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 413: "TooLarge",
    415: "UnsupportedMediaType",
}  # fmt: skip


def complaint(attack: Attack, status: int, headers: dict[str, str], text: str) -> str:
    """What is wrong with an answer, empty if nothing is."""
    if attack.gateway and status in (400, 413, 431) and not text.startswith('{"err'):
        return ""
    if status not in attack.statuses:
        return f"{status} instead of {sorted(attack.statuses)}: {text[:300]}"
    if attack.method == "HEAD" and not text:
        return ""
    try:
        body = json.loads(text)
    except ValueError:
        return f"the answer is no JSON: {text[:200]}"
    if status == 200:
        # Other attacks may have named the same order, and were refused.
        found = {entry["status"] for entry in body["transactions"]}
        return "" if found <= {"rejected"} else f"found something: {text[:200]}"
    if MARKER in text or "Traceback" in text or 'File "' in text:
        return f"tells too much: {text[:300]}"
    if headers.get("content-type") != "application/json":
        return f"content type {headers.get('content-type')}"
    if status == 405 and not headers.get("allow"):
        return "405 without Allow"
    return _v1(attack, status, body) if attack.v1 or attack.path == "/v1" else _v3(attack, status, headers, body)


def _v1(attack: Attack, status: int, body: Any) -> str:
    if status == 403:
        return "" if body == {"error": "Unauthorized"} else f"not as v1 refuses: {body}"
    error = body.get("error")
    if not isinstance(error, dict) or set(error) != {"name", "message", "details"}:
        return f"not as v1 tells errors: {body}"
    if error["name"] != _V1_NAMES[status] or not error["message"]:
        return f"named {error['name']}"
    if attack.faults is None:
        return ""
    told = {detail["field"] or "" for detail in error["details"]}
    wanted = {fault.field for fault in attack.faults}
    return "" if told == wanted else f"names {sorted(told)} instead of {sorted(wanted)}"


def _v3(attack: Attack, status: int, headers: dict[str, str], body: Any) -> str:
    told = body.get("errors")
    if not isinstance(told, list) or not told:
        return f"not as v3 tells errors: {body}"
    if not all({"code", "message"} <= set(error) and error["message"] for error in told):
        return f"not as v3 tells errors: {body}"
    codes = {error["code"] for error in told}
    if status == 401:
        good = codes == {"authentication_error"} and "www-authenticate" in headers
        return "" if good else f"401 with {codes}, {headers}"
    alone = {403: "authorization_error", 404: "not_found_error", 413: "length_error", 415: "format_error",
             400: "format_error", 405: "method_not_allowed_error"}  # fmt: skip
    if attack.faults is None:
        return "" if codes == {alone[status]} else f"{status} with {codes}"
    named = {error.get("attribute") or "" for error in told}
    wanted = {fault.field for fault in attack.faults}
    if named != wanted:
        return f"names {sorted(named)} instead of {sorted(wanted)}"
    pairs = {(error.get("attribute") or "", error["code"]) for error in told}
    missing = {(fault.field, fault.code) for fault in attack.faults if fault.code} - pairs
    return f"lacks {sorted(missing)}: {sorted(pairs)}" if missing else ""
