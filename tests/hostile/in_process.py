"""Calls the template's functions on a store in memory, without HTTP, and checks what each request left behind."""

from __future__ import annotations

import importlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from local import front_door
from local import template as templates
from tests.audience_run.costs import INDEXES
from tests.handlers import template
from tests.handlers.shop import Context, forget_clients, forget_warm_state
from tests.hostile.answers import complaint
from tests.hostile.payloads import EXISTING_ORDER, MARKER
from tests.hostile.targets import Attack, Shop
from tests.simulation.queues import SQS
from tests.simulation.store import DynamoDB
from tillbook.aws import clients, telemetry
from tillbook.records import rejections
from tillbook.records.accounts import Account, Accounts
from tillbook.records.keys import Keys
from tillbook.web import endpoint

ACCOUNT, OTHER = "1234567", "other-shop"
SHOP = Shop(ACCOUNT, "ingest-secret", "admin-secret", str(EXISTING_ORDER["order_id"]), "other-secret", "revoked-secret")
LEDGER, RECORDS, QUEUE = "LedgerTable", "RecordsTable", "https://sqs.test/OrdersQueue"
MAX_RECORD_BYTES = 8 * 1024
# Requests on one store, which is then replaced. A new store is small, and has no rejections yet. Of each key, A_DAY
# rejections a day are recorded (tillbook.records.rejections); _check_traces would report that later ones are missing.
ROUND = 500


@dataclass
class Traces:
    """Data that a request left: writes as (table, pk, new item), and the bodies of queued messages."""

    writes: list[tuple[str, str, Any]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


class Handlers:
    """The functions on one store, which `open` replaces by a new one."""

    def __init__(self) -> None:
        self.traces = Traces()
        self.routes = templates.routes(templates.load(template.ROOT / "template.yaml"))
        self._functions = {
            name: importlib.import_module(template.module(name)).handler
            for name in template.functions()
            if name != "ProcessOrders"
        }

    def open(self) -> None:
        """Opens a new store that has one order."""
        self.dynamodb = DynamoDB()
        self.dynamodb.add_table(LEDGER, **INDEXES)
        self.dynamodb.add_table(RECORDS)
        self.sqs = SQS(lambda: 0.0, url=QUEUE)
        forget_clients()
        forget_warm_state()
        rejections._paused_until.clear()
        keys = Keys(self.dynamodb, RECORDS)
        for account in (ACCOUNT, OTHER):
            Accounts(self.dynamodb, RECORDS).create(Account(account))
        keys.create(ACCOUNT, "ingest", secret=SHOP.ingest)
        keys.create(ACCOUNT, "admin", secret=SHOP.admin)
        keys.create(OTHER, "admin", secret=SHOP.other_admin)
        keys.revoke(ACCOUNT, keys.create(ACCOUNT, "admin", secret=SHOP.revoked)[0].id)
        order = json.dumps(EXISTING_ORDER).encode()
        created = self.call("POST", "/v1/order", {"authorization": f"Bearer {SHOP.ingest}"}, order)
        assert created["statusCode"] == 201, created
        # The first use of a key on a day is written to the key. These two uses are over before writes are watched.
        listed = self.call("GET", "/v1/transactions", {"authorization": f"Bearer {SHOP.admin}"}, None)
        assert listed["statusCode"] == 200, listed
        self.dynamodb.watch = self._wrote
        self.sqs.sent = lambda message: self.traces.messages.append(message.body)

    def _wrote(self, name: str, key: tuple[str, str], old: Any, new: Any) -> None:
        self.traces.writes.append((name, key[0], new))

    def call(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> dict[str, Any]:
        """Calls the route's function with the event that the gateway makes of a request."""
        raw_path, _, query = path.partition("?")
        route = front_door.match(self.routes, method, raw_path)
        assert route is not None
        scope = {
            "method": method, "raw_path": raw_path.encode("latin-1"), "query_string": query.encode("latin-1"),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "http_version": "1.1",
        }  # fmt: skip
        event = front_door.event(scope, body or b"", *route, "request")
        answer = self._functions[route[0].function](event, Context())
        assert isinstance(answer, dict)
        return answer

    def run(self, attack: Attack) -> str:
        """Runs one attack. Describes the first difference from the contract; empty if there is none."""
        self.traces.writes.clear()
        self.traces.messages.clear()
        try:
            answer = self.call(attack.method, attack.path, attack.headers, attack.body)
        except Exception as error:
            return f"raised {error!r}"
        return complaint(attack, answer["statusCode"], answer["headers"], answer["body"]) or self._check_traces(attack)

    def _check_traces(self, attack: Attack) -> str:
        """Describes data that the request must not leave, or a missing record of its rejection; empty if right."""
        if self.traces.messages:
            return "something was queued"
        if any(name == LEDGER for name, _, _ in self.traces.writes):
            return "the ledger was written"
        # /l: the number of a key's rejections on a day. /t/rejected: a rejection. /x: its copy by order.
        records = [(pk, item) for _, pk, item in self.traces.writes if pk != f"{ACCOUNT}/l"]
        rejected = [pk for pk, _ in records if pk.startswith(f"{ACCOUNT}/t/rejected/")]
        copies = [pk for pk, _ in records if pk.startswith(f"{ACCOUNT}/x/")]
        if len(records) != len(rejected) + len(copies) or len(rejected) > 1 or len(copies) > len(rejected):
            return f"left {[pk for pk, _ in records]}"
        if rejected and not attack.recorded:
            return "a rejection was recorded"
        if attack.recorded and not rejected:
            return "no rejection was recorded"
        for _, item in records:
            text = str(item)
            if len(text.encode()) > MAX_RECORD_BYTES:
                return f"a record of {len(text.encode())} bytes was left"
            if MARKER in text:
                return "an e-mail was left"
        return ""


@contextmanager
def handlers() -> Iterator[Handlers]:
    """The functions on a new store, while clients, metrics and logs are replaced."""
    tables = {name: name for name in template.resources("AWS::DynamoDB::Table")}
    environment = template.environment(tables, {"OrdersQueue": QUEUE, "JobsQueue": QUEUE})
    made = Handlers()
    with (
        patch.dict(os.environ, environment),
        patch.object(clients, "dynamodb", lambda: made.dynamodb),
        patch.object(clients, "sqs", lambda: made.sqs),
        # Every hostile request is answered before a secret is read or written.
        patch.object(clients, "ssm", SimpleNamespace),
        patch.object(telemetry, "metrics", SimpleNamespace(add_metric=lambda **_: None)),
        patch.object(telemetry.logger.handlers[0], "stream", io.StringIO()),
    ):
        made.open()
        yield made
    forget_clients()
    forget_warm_state()
    endpoint._keys.cache_clear()
