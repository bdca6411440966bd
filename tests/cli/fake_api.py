"""A fake API that keeps orders in memory, and fails or refuses as a test chooses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tillbook.rules.identity import payload_hash
from tillbook.rules.json_text import loads

KEY = "tb_test"
ACCOUNT = "1234567"
# A failure: a status with headers, or None, which accepts the orders but drops the connection without an answer.
Fault = tuple[int, dict[str, str]] | None
# A status, headers and a body; or None, which drops the connection without an answer.
Reply = tuple[int, dict[str, str], Any] | None


@dataclass
class FakeApi:
    """`batches` has the v3 events of each accepted batch, `orders` the v1 orders by order_id."""

    url: str = ""
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    orders: dict[str, Any] = field(default_factory=dict)
    # Called for each request with events or orders, with its number from 1. Returns a failure, or "accept".
    fault: Callable[[int], Fault | str] = lambda _number: "accept"
    # If false, accepted events are not stored, so that an import may be larger than memory.
    keep: bool = True
    # Returns the name of an event's wrong field, or an empty text.
    refuse: Callable[[dict[str, Any]], str] = lambda _event: ""
    # The number of requests with events or orders, and the most requests that were open at the same time.
    tries: int = 0
    most_at_once: int = 0
    _in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for batch in self.batches for event in batch]

    @property
    def identities(self) -> set[str]:
        """The identities of the received events. The API counts events with the same identity once."""
        return {payload_hash(event) for event in self.events}

    def answer(self, path: str, key: str, body: bytes) -> Reply:
        if key != f"Bearer {KEY}":
            return 403, {}, {"error": "Unauthorized"}
        if path == "/v1/account":
            return 200, {}, {"account_id": ACCOUNT}
        with self.lock:
            self.tries += 1
            fault = self.fault(self.tries)
        if fault is None:
            self._accept(path, body)
            return None
        if not isinstance(fault, str):
            return fault[0], fault[1], {"message": "x"}
        return self._accept(path, body)

    def _accept(self, path: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        sent = loads(body)
        with self.lock:
            if path == "/v1/order":
                stored = self.orders.setdefault(sent["order_id"], sent)
                if stored != sent:
                    return 409, {}, {"error": {"message": "order_id exists with other content", "details": []}}
                return 201, {}, {"id": "x", "order_id": sent["order_id"]}
            assert path == f"/v3/{ACCOUNT}/shopper_activity/order/batch"
            errors = [
                {"code": "format_error", "attribute": f"orders[{n}].{name}", "message": "x"}
                for n, event in enumerate(sent["orders"])
                if (name := self.refuse(event))
            ]
            if errors:
                return 422, {}, {"errors": errors}
            if self.keep:
                self.batches.append(sent["orders"])
            return 202, {}, {"request_ids": ["r"] * len(sent["orders"])}


@contextmanager
def serving(port: int = 0) -> Iterator[FakeApi]:
    """Runs a fake API in a thread, on any free port if `port` is 0."""
    api = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_DELETE(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with api.lock:
                api._in_flight += 1
                api.most_at_once = max(api.most_at_once, api._in_flight)
            try:
                answer = api.answer(self.path, self.headers.get("authorization", ""), body)
            finally:
                with api.lock:
                    api._in_flight -= 1
            if answer is None:
                self.close_connection = True
                return
            status, headers, answered = answer
            content = answered if isinstance(answered, bytes) else json.dumps(answered).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
