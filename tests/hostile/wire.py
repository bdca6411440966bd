"""Over HTTP, through the front door, as a hostile client speaks it."""

from __future__ import annotations

import http.client
import json
import time
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.hostile.attacks import Attack, Shop, complaint
from tests.hostile.payloads import MARKER, STANDING

_SETTLED_SECONDS = 180
_APPLIED = "/v1/transactions?status=applied&limit=200"


class Wire:
    """A context manager: one connection to `host`:`port`, kept while it is kept there."""

    def __init__(self, shop: Shop, host: str, port: int) -> None:
        self.shop, self._host, self._port = shop, host, port
        self._connection = self._connect()

    @classmethod
    def to_local(cls, url: str) -> Wire:
        """To what `make run` serves."""
        parts = urlsplit(url)
        shop = Shop("1234567", "local-ingest-key", "local-admin-key", "stands #1")
        return cls(shop, parts.hostname or "127.0.0.1", parts.port or 80)

    def __enter__(self) -> Wire:
        status, _, text = self.send("POST", "/v1/order", self._as(self.shop.ingest), json.dumps(STANDING).encode())
        assert status == 201, text
        end = time.monotonic() + _SETTLED_SECONDS
        while '"order_id":"stands #1"' not in str(self.stands()[_APPLIED]):  # its outcome is noted by way of the queue
            assert time.monotonic() < end, "the order that stands was not noted"
            time.sleep(0.2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=120)

    def _as(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    def send(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, dict[str, str], str]:
        try:
            return self._send(method, path, headers, body)
        except (http.client.HTTPException, OSError):
            # The other side closed the connection after what it could not read.
            self._connection.close()
            self._connection = self._connect()
            return self._send(method, path, headers, body)

    def _send(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, dict[str, str], str]:
        connection = self._connection
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value.encode("latin-1"))
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def run(self, attack: Attack) -> str:
        """What is wrong with the answer, empty if nothing is."""
        if not _can_be_sent(attack):
            return ""
        try:
            answer = self.send(attack.method, attack.path, attack.headers, attack.body)
        except (http.client.HTTPException, OSError) as error:
            # Too many headers: the connection is closed on us.
            self._connection.close()
            self._connection = self._connect()
            return "" if attack.gateway else f"no answer: {error!r}"
        return complaint(attack, *answer)

    def stands(self) -> Any:
        """What of an account can be seen from outside, and what nobody may have made."""
        admin = self._as(self.shop.admin)
        asked = (
            "/v1/order/stands%20%231", "/v1/audiences", _APPLIED,
            "/v1/transactions?status=failed&limit=200", "/v1/transactions?status=duplicate&limit=200",
            "/v1/deadletters", f"/v3/{self.shop.account}/people/{MARKER}", f"/v3/{self.shop.account}/people/c-1",
            f"/v3/{self.shop.account}/people/p-1",
        )  # fmt: skip
        return {path: self.send("GET", path, admin, None)[::2] for path in asked}


def _can_be_sent(attack: Attack) -> bool:
    """Control characters in a header end a connection, not a request."""
    odd = any(ord(c) < 32 or ord(c) == 127 for value in attack.headers.values() for c in value)
    return not odd and not any(len(value) != len(value.strip()) for value in attack.headers.values())
