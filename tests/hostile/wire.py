"""Sends hostile requests over HTTP to a running stack, and checks the answers."""

from __future__ import annotations

import http.client
import json
import time
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

from tests.hostile.answers import complaint
from tests.hostile.payloads import EXISTING_ORDER, MARKER
from tests.hostile.targets import Attack, Shop

_RECORDING_TIMEOUT_SECONDS = 180


class HttpClient:
    """A context manager that sends requests over one connection, and connects again if the server closes it."""

    def __init__(self, shop: Shop, host: str, port: int) -> None:
        self.shop, self._host, self._port = shop, host, port
        self._connection = self._connect()

    @classmethod
    def to_local(cls, url: str) -> HttpClient:
        """Returns a client of the stack that `make run` serves at `url`."""
        parts = urlsplit(url)
        shop = Shop("1234567", "local-ingest-key", "local-admin-key", str(EXISTING_ORDER["order_id"]))
        return cls(shop, parts.hostname or "127.0.0.1", parts.port or 80)

    def __enter__(self) -> HttpClient:
        order = json.dumps(EXISTING_ORDER | {"order_id": self.shop.order_id}).encode()
        status, _, text = self.send("POST", "/v1/order", self._bearer(self.shop.ingest), order)
        assert status == 201, text
        end = time.monotonic() + _RECORDING_TIMEOUT_SECONDS
        while not self._order_is_recorded():  # the outcome is recorded a little later, through the stream
            assert time.monotonic() < end, "the outcome of the first order was not recorded"
            time.sleep(0.2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=120)

    def _order_is_recorded(self) -> bool:
        """Whether the outcome of the first order is recorded: a duplicate, if the stack had the order before."""
        path = f"/v1/transactions?order_id={quote(self.shop.order_id, safe='')}&limit=200"
        status, _, text = self.send("GET", path, self._bearer(self.shop.admin), None)
        assert status == 200, text
        return any(entry["status"] in ("applied", "duplicate") for entry in json.loads(text)["transactions"])

    def _bearer(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    def send(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, dict[str, str], str]:
        try:
            return self._send(method, path, headers, body)
        except (http.client.HTTPException, OSError):
            # The server closes the connection after a request that it cannot read. The request is sent once more.
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
        """Runs one attack. Describes the first difference from the contract; empty if there is none.

        An attack that cannot be sent is left out, and has none.
        """
        if not _can_be_sent(attack):
            return ""
        try:
            answer = self.send(attack.method, attack.path, attack.headers, attack.body)
        except (http.client.HTTPException, OSError) as error:
            # The server closed the connection again, for example because of too many headers.
            self._connection.close()
            self._connection = self._connect()
            return "" if attack.gateway else f"no answer: {error!r}"
        return complaint(attack, *answer)

    def state(self) -> Any:
        """The order, audiences, dead letters and outcomes of the account, and people whom no attack may create.

        Compared before and after attacks. Rejected requests are left out, since attacks cause them.
        """
        admin = self._bearer(self.shop.admin)
        transactions = [f"/v1/transactions?status={name}&limit=200" for name in ("applied", "failed", "duplicate")]
        people = [f"/v3/{self.shop.account}/people/{name}" for name in (MARKER, "c-1", "p-1")]
        order = f"/v1/order/{quote(self.shop.order_id, safe='')}"
        paths = [order, "/v1/audiences", "/v1/deadletters", *transactions, *people]
        # (status, text), without the headers
        return {path: self.send("GET", path, admin, None)[::2] for path in paths}


def _can_be_sent(attack: Attack) -> bool:
    """Whether the headers can be sent: no value has control characters, or white space at its ends."""
    odd = any(ord(c) < 32 or ord(c) == 127 for value in attack.headers.values() for c in value)
    return not odd and all(value == value.strip() for value in attack.headers.values())
