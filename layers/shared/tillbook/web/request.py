"""A request to the HTTP API (payload format 2.0): its key, its parameters, and its body, whose size is limited."""

from __future__ import annotations

import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from tillbook.contract.limits import MAX_BATCH_BYTES, MAX_ORDER_BYTES
from tillbook.records.keys import ApiKey
from tillbook.rules.errors import Malformed, NotFound, TooLarge, UnsupportedType
from tillbook.rules.json_text import Json, loads
from tillbook.web.routes import ROUTES

_LARGE_ROUTES = ("/batch", "/match")
_MAX_GZIP_MEMBERS = 16
_MAX_ID = 64
_JSON_TYPES = frozenset({"", "application/json", "application/vnd.api+json"})


@dataclass(frozen=True)
class Request:
    """A request. `received` is a stamp, `id` a new UUIDv7, `deadline` is in seconds of time.monotonic()."""

    event: APIGatewayProxyEventV2
    key: ApiKey
    received: str
    id: str
    deadline: float

    @property
    def account(self) -> str:
        return self.key.account

    @property
    def route(self) -> str:
        return route_of(self.event)

    def path(self, name: str) -> str:
        """A path parameter. The gateway has decoded it once; decoding it again would change `%2F`."""
        return str(self.event.path_parameters[name])

    def id_in_path(self, name: str) -> str:
        """A path parameter that is one of our own ids. Raises NotFound if it is longer than any of these."""
        value = self.path(name)
        if len(value) > _MAX_ID:
            raise NotFound("There is nothing with this id.")
        return value

    @cached_property
    def query(self) -> Any:
        """The query parameters as the model that routes.py names. Raises Malformed."""
        return self.query_as(ROUTES[self.route].query)

    def query_as(self, name: str) -> Any:
        """The query parameters as a model of contract/queries.py. Raises Malformed."""
        from tillbook.contract import queries, validation  # imported here, since only some reads need pydantic

        model = getattr(queries, name)
        return validation.validated_query(model, self.event.query_string_parameters)

    def header(self, name: str) -> str | None:
        return self.event.headers.get(name)

    @cached_property
    def _body(self) -> bytes:
        return _read_body(self.event, MAX_BATCH_BYTES if self.route.endswith(_LARGE_ROUTES) else MAX_ORDER_BYTES)

    def json(self) -> Json:
        """The JSON body. Raises TooLarge, UnsupportedType or Malformed."""
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if kind not in _JSON_TYPES:
            raise UnsupportedType("Content-Type must be application/json.")
        return loads(self._body)


def route_of(event: APIGatewayProxyEventV2) -> str:
    """The route as routes.py names it, without the `+` of variables that accept slashes."""
    return event.route_key.replace("+}", "}")


def _read_body(event: APIGatewayProxyEventV2, limit: int) -> bytes:
    """The decompressed body. Gateways pass gzip on as base64, or decompress it and keep the content-encoding header."""
    body = event.body or ""
    try:
        data = b64decode(body, validate=True) if event.is_base64_encoded else body.encode()
    except (Base64Error, ValueError):
        raise Malformed("The body could not be read.") from None
    encoding = event.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise UnsupportedType("Content-Encoding must be gzip, or absent.")
    if encoding != "identity" and data[:2] == b"\x1f\x8b":
        data = _inflate(data, limit)
    if len(data) > limit:
        raise TooLarge(f"The body must be at most {limit // 1024} KiB of JSON.")
    return data


def _inflate(data: bytes, limit: int) -> bytes:
    """The first limit + 1 bytes of decompressed data, so that a decompression bomb is never expanded in full."""
    out, members = b"", 0
    try:
        while data and len(out) <= limit:
            members += 1
            if members > _MAX_GZIP_MEMBERS:
                raise Malformed("The body is gzip with too many members.")
            member = zlib.decompressobj(31)  # 16 + 15: gzip, with the largest window
            out += member.decompress(data, limit + 1 - len(out))
            if len(out) > limit:
                break
            if not member.eof:
                raise Malformed("The body is truncated gzip.")
            data = member.unused_data.lstrip(b"\0")
    except zlib.error:
        raise Malformed("The body is not valid gzip.") from None
    return out
