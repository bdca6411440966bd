"""A new shop for a test: an account on the stack with its keys, and an HTTP client of its APIs."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from base64 import b64encode
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from local.stack import Stack
from tests.end_to_end.privacy import MARKER_DOMAIN
from tillbook.records.accounts import Account, Accounts
from tillbook.records.keys import Keys

SETTLED_SECONDS = 180
_account_numbers = itertools.count(9_000_001)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    text: str

    @cached_property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Shop:
    stack: Stack
    account: str
    ingest_key: str
    admin_key: str

    @classmethod
    def open(cls, stack: Stack, **settings: Any) -> Shop:
        number = str(next(_account_numbers))
        client, table = stack.boto3_client("dynamodb"), stack.outputs["RecordsTableName"]
        Accounts(client, table).create(Account(number, **settings))
        shop = cls(stack, number, f"ingest-{number}", f"admin-{number}")
        keys = Keys(client, table)
        keys.create(number, "ingest", secret=shop.ingest_key)
        keys.create(number, "admin", secret=shop.admin_key)
        return shop

    def email(self, name: str) -> str:
        """An address of the domain that test_privacy.py looks for in all stored data."""
        return f"{name}.{self.account}@{MARKER_DOMAIN}"

    # ------------------------------------------------------------------ http

    def send(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Sends the path unchanged: the caller percent-encodes it (`segment`).

        A `key` of None is the admin key, "" is no key.
        """
        sent = {"content-type": "application/json", "user-agent": "end-to-end"}
        key = self.admin_key if key is None else key
        if key:
            sent["authorization"] = basic(f"{key}:") if path.startswith(("/v2", "/v3")) else f"Bearer {key}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.stack.port, timeout=120)
        try:
            connection.request(method, path, data, sent | (headers or {}))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    # -------------------------------------------------------------------- v3

    def order(self, event: Any, **options: Any) -> Reply:
        return self.send(
            "POST", f"/v3/{self.account}/shopper_activity/order", event, **({"key": self.ingest_key} | options)
        )

    def batch(self, events: Any, **options: Any) -> Reply:
        path = f"/v3/{self.account}/shopper_activity/order/batch"
        return self.send("POST", path, {"orders": events}, **({"key": self.ingest_key} | options))

    def applied(self, event: Any, **options: Any) -> str:
        """Sends one event and waits until it is applied; returns its request id."""
        reply = self.order(event, **options)
        assert reply.status == 202, reply.text
        request_id: str = reply.json["request_id"]
        outcome = self.outcome(request_id)
        assert outcome["status"] == "applied", outcome
        return request_id

    def outcome(self, request_id: str) -> dict[str, Any]:
        """The outcome of a request, once it is no longer queued."""
        end = time.monotonic() + SETTLED_SECONDS
        pause = 0.02
        while True:
            reply = self.send("GET", f"/v3/{self.account}/requests/{request_id}")
            assert reply.status == 200, reply.text
            if reply.json["status"] != "queued":
                return dict(reply.json)
            assert time.monotonic() < end, f"{request_id} is still queued"
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    def outcomes(self, request_ids: Iterable[str]) -> list[str]:
        """The status of each request, once none is queued."""
        with ThreadPoolExecutor(4) as threads:
            return [outcome["status"] for outcome in threads.map(self.outcome, request_ids)]

    def settled(self, count: int) -> None:
        """Waits until the API lists the outcomes of `count` requests, of any sender."""
        end = time.monotonic() + SETTLED_SECONDS
        while len(self.send("GET", "/v1/transactions").json["transactions"]) < count:
            assert time.monotonic() < end, f"fewer than {count} requests are settled"
            time.sleep(0.05)

    def person(self, id_or_email: str) -> dict[str, Any]:
        reply = self.send("GET", self.person_path(id_or_email))
        assert reply.status == 200, reply.text
        return dict(reply.json)

    def has_person(self, id_or_email: str, **values: Any) -> bool:
        """Whether the person exists and has these values."""
        reply = self.send("GET", self.person_path(id_or_email))
        return reply.status == 200 and all(reply.json[name] == value for name, value in values.items())

    def ltv(self, id_or_email: str) -> dict[str, str]:
        return dict(self.person(id_or_email)["lifetime_value"])

    def activity(self, id_or_email: str) -> list[dict[str, Any]]:
        reply = self.send("GET", f"{self.person_path(id_or_email)}/activity")
        assert reply.status == 200, reply.text
        return list(reply.json["activity"])

    def order_v3(self, provider: str, order_id: str) -> Reply:
        return self.send("GET", f"/v3/{self.account}/orders/{provider}/{segment(order_id)}")

    def person_path(self, id_or_email: str) -> str:
        return f"/v3/{self.account}/people/{segment(id_or_email)}"

    # -------------------------------------------------------------------- v1

    def submit(self, order: Any, **options: Any) -> Reply:
        return self.send("POST", "/v1/order", order, **({"key": self.ingest_key} | options))

    def edit(self, order_id: str, change: Any, **options: Any) -> Reply:
        return self.send("POST", f"/v1/order/{segment(order_id)}", change, **({"key": self.ingest_key} | options))

    def delete(self, order_id: str, **options: Any) -> Reply:
        return self.send("DELETE", f"/v1/order/{segment(order_id)}", **({"key": self.ingest_key} | options))

    def order_v1(self, order_id: str) -> Reply:
        return self.send("GET", f"/v1/order/{segment(order_id)}")


def segment(text: str) -> str:
    """The text as one segment of a path, with every reserved character percent-encoded."""
    return quote(text, safe="")


def basic(user_and_password: str) -> str:
    return "Basic " + b64encode(user_and_password.encode()).decode()
