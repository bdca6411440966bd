"""`python -m deploy.smoke --url https://… --account 1234567`: checks that a deployment accepts and counts orders.

The keys are read from TILLBOOK_INGEST_KEY and TILLBOOK_ADMIN_KEY. Gzip is checked first, since AWS does not document
how an HTTP API passes it on. Then the published examples (events/) are sent. Order ids and the person are unique to the
run, and the person is erased at the end. The exit code is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

EVENTS = Path(__file__).resolve().parent.parent / "events"
INGEST_KEY, ADMIN_KEY = "TILLBOOK_INGEST_KEY", "TILLBOOK_ADMIN_KEY"
APPLIED_SECONDS = 60.0
_REQUEST_SECONDS = 35.0  # the API answers within 30


class Failed(Exception):
    """Raised if a check fails. The message names the unexpected result."""


@dataclass(frozen=True)
class Reply:
    status: int
    kind: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Smoke:
    """The smoke test of a deployment. `ingest` and `admin` are keys; `run` is in the ids of its orders."""

    url: str
    account: str
    ingest: str
    admin: str
    run: str = field(default_factory=lambda: f"smoke-{uuid.uuid4().hex[:12]}")

    @property
    def email(self) -> str:
        return f"{self.run}@example.com"

    # ----------------------------------------------------------------- calls

    def call(
        self, method: str, path: str, body: Any = None, *, key: str = "", basic: bool = False, zipped: bool = False
    ) -> Reply:
        headers = {"content-type": "application/json"} if body is not None else {}
        if key:
            credentials = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
            headers["authorization"] = credentials if basic else f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        if zipped and data:
            data, headers["content-encoding"] = gzip.compress(data), "gzip"
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - checked in main
        try:
            with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS) as answer:  # noqa: S310
                return Reply(answer.status, answer.headers.get("content-type", ""), answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.headers.get("content-type", ""), error.read())
        except OSError as error:
            raise Failed(f"{method} {path}: {error}") from None

    def expect(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        reply = self.call(method, path, body, **options)
        if reply.status != status:
            raise Failed(f"{method} {path}: {reply.status} instead of {status}: {reply.body[:300]!r}")
        return reply

    def read(self, path: str) -> Any:
        return self.expect(200, "GET", path, key=self.admin).json

    def until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + APPLIED_SECONDS
        while not done():
            if time.monotonic() > end:
                raise Failed(f"{what} took more than {APPLIED_SECONDS:.0f} s")
            time.sleep(0.2)

    def send(self, order: Any, **options: Any) -> None:
        """Sends a v3 order, and waits until it is applied."""
        path = f"/v3/{self.account}/shopper_activity/order"
        request = self.expect(202, "POST", path, order, key=self.ingest, basic=True, **options).json["request_id"]
        status = f"/v3/{self.account}/requests/{request}"

        def applied() -> bool:
            reply = self.call("GET", status, key=self.admin)
            return reply.status == 200 and bool(reply.json["status"] == "applied")

        self.until(applied, f"request {request}")

    def worth(self) -> Any:
        return self.read(f"/v3/{self.account}/people/{quote(self.email)}")["lifetime_value"]

    def equal(self, found: Any, wanted: Any, what: str) -> None:
        if found != wanted:
            raise Failed(f"{what}: {found!r} instead of {wanted!r}")

    # ---------------------------------------------------------------- checks

    def v1_order(self, name: str) -> dict[str, Any]:
        """The published example, with an order id and the person of this run."""
        order: dict[str, Any] = json.loads(json.loads((EVENTS / "submit_order/order.json").read_text())["body"])
        hashed = hashlib.sha256(self.email.encode()).hexdigest()
        return order | {"order_id": f"{self.run}-{name}", "customer_email_sha256": hashed}

    def v3_order(self, name: str, **changes: Any) -> dict[str, Any]:
        order: dict[str, Any] = json.loads(json.loads((EVENTS / "record_activity/order.json").read_text())["body"])
        return order | {"order_id": f"{self.run}-{name}", "email": self.email} | changes

    def v1_gzip(self) -> None:
        self.expect(201, "POST", "/v1/order", self.v1_order("zipped"), key=self.ingest, zipped=True)
        self.expect(200, "DELETE", f"/v1/order/{self.run}-zipped", key=self.ingest)

    def v3_gzip(self) -> None:
        self.send(self.v3_order("zipped", grand_total=1), zipped=True)
        self.equal(self.worth(), {"USD": "1.00"}, "the lifetime value")
        self.send({**self.v3_order("zipped"), "action": "refunded", "refund_amount": "1.00", "grand_total": None})
        self.equal(self.worth(), {"USD": "0.00"}, "the lifetime value")

    def v1_life(self) -> None:
        order, path = self.v1_order("order"), f"/v1/order/{self.run}-order"
        first = self.expect(201, "POST", "/v1/order", order, key=self.ingest).json
        self.equal(self.expect(201, "POST", "/v1/order", order, key=self.ingest).json, first, "the same submission")
        # The Orders API shows at least one decimal place of an amount; a lifetime value has as many as its currency.
        self.equal(self.expect(200, "POST", path, {"total": "120.00"}, key=self.ingest).json["total"], "120.0", "total")
        self.equal(self.expect(200, "GET", path, key=self.admin).json["total"], "120.0", "the total as it is read")
        self.equal(self.worth(), {"USD": "120.00"}, "the lifetime value")
        self.expect(200, "DELETE", path, key=self.ingest)
        self.expect(404, "GET", path, key=self.admin)

    def v1_quoted(self) -> None:
        """Checks an id with characters that a path must quote. AWS does not document how an API decodes such paths."""
        order = self.v1_order("a/b c%25#+é")
        path = f"/v1/order/{quote(order['order_id'], safe='')}"
        self.expect(201, "POST", "/v1/order", order, key=self.ingest)
        self.expect(200, "POST", path, {"total": "1.00"}, key=self.ingest)
        self.equal(self.read(path)["order_id"], order["order_id"], "the order_id")
        self.expect(200, "DELETE", path, key=self.ingest)
        self.expect(404, "GET", path, key=self.admin)

    def v3_life(self) -> None:
        self.send(self.v3_order("activity"))
        self.equal(self.worth(), {"USD": "22.99"}, "the lifetime value")  # the total of the published example
        activity = self.read(f"/v3/{self.account}/people/{quote(self.email)}/activity")["activity"]
        if "Placed an order" not in {entry["name"] for entry in activity}:
            raise Failed("the timeline does not show the order")

    def without_valid_keys(self) -> None:
        self.expect(403, "POST", "/v1/order", self.v1_order("refused"), key="no-key-of-ours")
        self.expect(401, "POST", f"/v3/{self.account}/shopper_activity/order", self.v3_order("refused"))

    def page(self) -> None:
        page = self.expect(200, "GET", "/")
        if not page.kind.startswith("text/html"):
            raise Failed(f"GET /: {page.kind}")
        self.equal(self.expect(200, "GET", "/openapi.json").json["openapi"][:4], "3.1.", "the version of OpenAPI")

    def clear(self) -> None:
        """Requests the erasure of this run's person. The job begins SettleSeconds later, so its end is not awaited."""
        person = f"/v3/{self.account}/people/{quote(self.email)}"
        job = self.read(f"/v1/jobs/{self.expect(202, 'DELETE', person, key=self.admin).json['job_id']}")
        if job["kind"] != "erase" or job["status"] not in ("queued", "running", "done"):
            raise Failed(f"the erasure: {job}")

    def checks(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("gzip, Orders API", self.v1_gzip),
            ("gzip, Order Activity", self.v3_gzip),
            ("Orders API: submit, repeat, edit, read, delete", self.v1_life),
            ("Orders API: an order_id that a path must quote", self.v1_quoted),
            ("Order Activity: order, applied, lifetime value, timeline", self.v3_life),
            ("requests without a valid key are refused", self.without_valid_keys),
            ("the page and the OpenAPI document", self.page),
            ("the erasure of this run's person is accepted", self.clear),
        ]


def smoke(target: Smoke) -> bool:
    """Runs every check, even after a failure, and prints a line for each. Returns whether all passed."""
    good = True
    for name, check in target.checks():
        started = time.monotonic()
        try:
            check()
            verdict, why = "ok", ""
        except (Failed, KeyError, ValueError) as error:
            verdict, why, good = "FAILED", str(error) if isinstance(error, Failed) else repr(error), False
        print(f"{verdict:6}  {time.monotonic() - started:6.2f} s  {name}", flush=True)
        if why:
            print(f"        {why}", flush=True)
    return good


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.smoke", description=__doc__)
    parser.add_argument("--url", required=True, help="the stack's output ApiUrl")
    parser.add_argument("--account", required=True, help="an account to which test orders may be sent")
    arguments = parser.parse_args()
    missing = [name for name in (INGEST_KEY, ADMIN_KEY) if not os.environ.get(name)]
    if missing:
        parser.error(f"set {' and '.join(missing)}")
    if not arguments.url.startswith(("https://", "http://127.0.0.1")):
        parser.error("--url must start with https:// or http://127.0.0.1")
    target = Smoke(arguments.url.rstrip("/"), arguments.account, os.environ[INGEST_KEY], os.environ[ADMIN_KEY])
    print(f"{target.url}, account {target.account}, run {target.run}")
    sys.exit(0 if smoke(target) else 1)


if __name__ == "__main__":
    main()
