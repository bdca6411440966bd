"""A shop that calls the functions as API Gateway and SQS would, and looks at what became of it."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from tests.handlers import template
from tests.handlers.clock import Clock
from tests.handlers.rights import SEEN
from tillbook.aws import clients
from tillbook.aws.items import plain_item
from tillbook.aws.settings import settings
from tillbook.ledger.items import SOURCE_LETTER, Scope, person_of
from tillbook.records.accounts import Account, Accounts
from tillbook.records.keys import Keys
from tillbook.web import endpoint
from tillbook.work import processing

ACCOUNT, OTHER = "1234567", "other-shop"
INGEST, ADMIN, OTHER_ADMIN = "ingest-secret", "admin-secret", "other-secret"
ORDERS_QUEUE, DEAD_LETTERS_QUEUE = "OrdersQueue", "OrdersDeadLetters"
WRITER_LIFE_SECONDS, LONGEST_BACK_OFF_SECONDS = 45, 60


class Death(BaseException):
    """The process dies: nothing of ours catches this, as nothing catches a time-out of Lambda."""


class Context:
    """Of Lambda. `milliseconds` are those that remain."""

    function_name, memory_limit_in_mb, aws_request_id = "function", 1024, "invocation"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"

    def __init__(self, milliseconds: int = 10_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]
    text: str

    @property
    def errors(self) -> set[tuple[str, str | None]]:
        """(code, attribute) of each error of a v3 answer."""
        return {(e["code"], e.get("attribute")) for e in self.body["errors"]}

    @property
    def fields(self) -> set[str | None]:
        """The fields that a v1 answer names."""
        return {detail["field"] for detail in self.body["error"]["details"]}


Call = Callable[..., Any]


@dataclass
class Faults:
    """Stands between every client and the mocked AWS. `calls` are (operation, arguments) that were made."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    intercept: Callable[[int, str, dict[str, Any], Callable[[], Any]], Any] | None = None
    held: list[str] = field(default_factory=list)

    def call(self, original: Call, operation: str, arguments: dict[str, Any]) -> Any:
        index = len(self.calls)
        self.calls.append((operation, arguments))
        SEEN.call(operation, arguments)
        if operation == "SendMessage":
            # The tests do not wait: what is delayed is delivered at the next drain. But a message that waits out the
            # life of a writer comes back only when a test says that it is over: `Shop.writers_are_gone`, `Shop.settle`.
            delay = arguments.get("DelaySeconds", 0)
            if delay == WRITER_LIFE_SECONDS or delay > LONGEST_BACK_OFF_SECONDS:
                self.held.append(arguments["MessageBody"])
                return {"MessageId": "held"}
            arguments = arguments | {"DelaySeconds": 0}
        if self.intercept is None:
            return original(operation, arguments)
        return self.intercept(index, operation, arguments, lambda: original(operation, arguments))

    @contextmanager
    def injected(self, intercept: Callable[[int, str, dict[str, Any], Callable[[], Any]], Any]) -> Iterator[None]:
        """`intercept(index, operation, arguments, go)` answers for each call, counted from 0; `go()` makes it."""
        self.calls.clear()
        self.intercept = intercept
        try:
            yield
        finally:
            self.intercept = None

    @contextmanager
    def recorded(self) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        self.calls.clear()
        yield self.calls


def die_at(index: int, moment: str) -> Callable[[int, str, dict[str, Any], Callable[[], Any]], Any]:
    """The process dies `before` or `after` call number `index` takes effect."""

    def intercept(position: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if position == index and moment == "before":
            raise Death
        answer = go()
        if position == index:
            raise Death
        return answer

    return intercept


class Shop:
    """Account 1234567 with an ingest and an admin key, another account, and the AWS of template.yaml."""

    def __init__(self, faults: Faults, queues: dict[str, str], clock: Clock) -> None:
        self.faults, self.queues, self.clock = faults, queues, clock
        self.dynamodb, self.sqs = clients.dynamodb(), clients.sqs()
        self.accounts = Accounts(self.dynamodb, settings().records_table)
        self.keys = Keys(self.dynamodb, settings().records_table)
        self.routes = template.routes()
        # Whether the gateway decodes a path before it looks for the route; AWS does not say.
        self.decodes_first = True
        for account, role, secret in (
            (ACCOUNT, "ingest", INGEST),
            (ACCOUNT, "admin", ADMIN),
            (OTHER, "admin", OTHER_ADMIN),
        ):
            if role == "admin":
                self.accounts.create(Account(account))
            self.keys.create(account, role, secret=secret)

    # ----------------------------------------------------------------- calls

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = ADMIN,
        headers: dict[str, str] | None = None,
        raw: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
        milliseconds: int = 10_000,
    ) -> Answer:
        """`path` is as it stands on the wire (percent-encoded). A body that is no string is sent as JSON."""
        event = self.event(method, path, body, key=key, headers=headers, query=query) | (raw or {})
        function = self.routes.get(event["routeKey"], "Fallback")
        handler = importlib.import_module(template.module(function)).handler
        answer = handler(event, Context(milliseconds))
        # What Lambda takes of an answer, written as its runtime writes it: the body is a string within JSON.
        assert len(json.dumps(answer, ensure_ascii=False).encode()) <= 6_291_556
        assert answer["isBase64Encoded"] is False
        is_json = answer["headers"]["content-type"].startswith("application/json")
        body = json.loads(answer["body"], parse_float=Decimal) if is_json else answer["body"]
        return Answer(answer["statusCode"], body, answer["headers"], answer["body"])

    def event(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = ADMIN,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """What an HTTP API sends: payload 2.0, header names in lower case, the path decoded once."""
        route, parameters = self._match(method, path)
        text = body if body is None or isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        sent = {"content-type": "application/json"} if body is not None else {}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        return {
            "version": "2.0",
            "routeKey": route,
            "rawPath": unquote(path),
            "rawQueryString": "",
            "headers": sent | {name.lower(): value for name, value in (headers or {}).items()},
            "requestContext": {"http": {"method": method, "path": unquote(path)}, "routeKey": route},
            "isBase64Encoded": False,
            **({"pathParameters": parameters} if parameters else {}),
            **({"queryStringParameters": query} if query else {}),
            **({"body": text} if text is not None else {}),
        }

    def _match(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        first, then = (unquote, str) if self.decodes_first else (str, unquote)
        for route in sorted(self.routes, key=lambda r: ("+}" in r, r.count("{"))):
            verb, _, pattern = route.partition(" ")
            expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
            expression = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", expression)
            found = re.fullmatch(expression, first(path), re.DOTALL)
            if verb == method and found:
                return route, {name: then(value) for name, value in found.groupdict().items()}
        return "$default", {}

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    # ------------------------------------------------------------------- v1

    def submit(self, body: Any, **options: Any) -> Answer:
        return self.request("POST", "/v1/order", body, **options)

    def edit(self, path_id: str, body: Any, **options: Any) -> Answer:
        return self.request("POST", f"/v1/order/{path_id}", body, **options)

    def delete(self, path_id: str, **options: Any) -> Answer:
        return self.request("DELETE", f"/v1/order/{path_id}", **options)

    # ------------------------------------------------------------------- v3

    def send(self, body: Any, **options: Any) -> Answer:
        return self.request("POST", f"/v3/{ACCOUNT}/shopper_activity/order", body, **options)

    def send_batch(self, orders: Any, **options: Any) -> Answer:
        body = {"orders": orders} if isinstance(orders, list) else orders
        return self.request("POST", f"/v3/{ACCOUNT}/shopper_activity/order/batch", body, **options)

    def status(self, request_id: str) -> Any:
        return self.get(f"/v3/{ACCOUNT}/requests/{request_id}").body

    def person(self, path_id: str) -> Any:
        answer = self.get(f"/v3/{ACCOUNT}/people/{path_id}")
        assert answer.status == 200, answer.body
        return answer.body

    def ltv(self, path_id: str) -> dict[str, str]:
        return self.person(path_id)["lifetime_value"]

    def timeline(self, path_id: str) -> list[str]:
        """Names of the activities, newest first."""
        return [entry["name"] for entry in self.get(f"/v3/{ACCOUNT}/people/{path_id}/activity").body["activity"]]

    # ---------------------------------------------------------------- queue

    def receive(self, queue: str = ORDERS_QUEUE) -> list[dict[str, Any]]:
        """Up to ten messages, as SQS hands them to a function. They are received again unless acknowledged."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queues[queue], MaxNumberOfMessages=10, AttributeNames=["All"], VisibilityTimeout=0
        )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
            }
            for message in answer.get("Messages", [])
        ]

    def acknowledge(self, record: dict[str, Any]) -> None:
        self.sqs.delete_message(QueueUrl=self.queues[ORDERS_QUEUE], ReceiptHandle=record["receiptHandle"])

    def deliver(self, records: list[dict[str, Any]], *, milliseconds: int = 60_000) -> list[str]:
        """Message ids that the function failed on; the others are acknowledged."""
        handler = importlib.import_module(template.module("ProcessOrders")).handler
        answer = handler({"Records": records}, Context(milliseconds))
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        for record in records:
            if record["messageId"] not in failed:
                self.acknowledge(record)
        return failed

    def drain(self, rounds: int = 200) -> int:
        """Delivers until the queue is empty, or at most `rounds` times. Returns the number of deliveries."""
        for delivered in range(rounds):
            records = self.receive()
            if not records:
                return delivered
            self.deliver(records)
        return rounds

    def writers_are_gone(self, monkeypatch: Any) -> None:
        """Two minutes on: no writer that announced itself lives, and what waited for that is delivered."""
        from tillbook.rules import times

        now = times.now()
        with monkeypatch.context() as patch:
            patch.setattr(times, "now", lambda: times.shift(now, minutes=2))
            held, self.faults.held = self.faults.held, []
            for body in held:
                self.sqs.send_message(QueueUrl=self.queues[ORDERS_QUEUE], MessageBody=body)
            self.drain()
            assert not self.faults.held

    def settle(self) -> None:
        """SettleSeconds later, and no function that lived before is alive: what waited for that is delivered."""
        self.clock.sleep(settings().settle_seconds + 1)
        held, self.faults.held = self.faults.held, []
        for body in held:
            self.sqs.send_message(QueueUrl=self.queues[ORDERS_QUEUE], MessageBody=body)
        self.drain()

    # -------------------------------------------------------------- storage

    def items(self, table_name: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        arguments: dict[str, Any] = {"TableName": table_name}
        while True:
            page = self.dynamodb.scan(**arguments)
            items += [plain_item(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return items
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def stored_ltv(self, account: str = ACCOUNT) -> dict[str, Decimal]:
        """LTV of all people, as stored: `<person>/o.USD`, and `<person>/o#USD` the number of orders; `s` for v3.
        Zero ones are left out."""
        found: dict[str, Decimal] = {}
        for item in self.items(settings().ledger_table):
            if item["pk"].startswith(f"{account}/") and "/p/" in item["pk"]:
                person, letter = person_of(item), SOURCE_LETTER[Scope.of(item["pk"]).source]
                for name, value in person.cells.items():
                    if value:
                        found[f"{item['sk']}/{letter}{name if name[0] == '#' else f'.{name}'}"] = value
        return found

    def ledger_without_tokens(self) -> list[dict[str, Any]]:
        """All of the ledger but ids that differ from run to run, to compare two runs."""
        return sorted(
            (
                {k: v for k, v in item.items() if k not in ("writes", "token", "request", "id", "body")}
                for item in self.items(settings().ledger_table)
            ),
            key=lambda item: (item["pk"], item["sk"]),
        )


def forget_keys() -> None:
    """What a warm function keeps of accounts and keys: a test's must not live on in the next test."""
    endpoint._keys.cache_clear()
    processing.processor.cache_clear()


def forget_clients() -> None:
    """What warm functions keep: clients and settings, made in another environment."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tillbook"):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and getattr(value, "__module__", "") == name:
                    value.cache_clear()
    forget_keys()
