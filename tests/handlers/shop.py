"""A shop that calls the functions as API Gateway, SQS and the stream do, and reads what they stored."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from tests.handlers import template
from tests.handlers.clock import Clock
from tests.handlers.rights import USED_RIGHTS
from tests.stream import change, passes
from tillbook.aws import clients
from tillbook.aws.items import plain_item
from tillbook.aws.settings import settings
from tillbook.ledger.items import Scope, person_of
from tillbook.records.accounts import Account, Accounts
from tillbook.records.keys import Keys
from tillbook.rules.identity import SOURCE_LETTER
from tillbook.web import configuring, endpoint, webhooks
from tillbook.work import announcing, book, processing

ACCOUNT, OTHER = "1234567", "other-shop"
INGEST, ADMIN, OTHER_ADMIN = "ingest-secret", "admin-secret", "other-secret"
_READS = frozenset({"BatchGetItem", "GetItem", "Query", "ReceiveMessage"})
ORDERS_QUEUE, JOBS_QUEUE, DEAD_LETTERS_QUEUE = "OrdersQueue", "JobsQueue", "OrdersDeadLetters"
LONGEST_BACK_OFF_SECONDS = 60


class Death(BaseException):
    """The death of a function's process. No product code catches it, as none can catch a time-out of Lambda."""


class Context:
    """The context that Lambda passes to a handler. `milliseconds`: the time that remains."""

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
        """The fields that the error of a v1 answer names."""
        return {detail["field"] for detail in self.body["error"]["details"]}


Call = Callable[..., Any]


@dataclass
class Faults:
    """Intercepts the calls of every client to the mocked AWS. `calls`: (operation, arguments) of each call."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    intercept: Callable[[int, str, dict[str, Any], Callable[[], Any]], Any] | None = None
    held: list[tuple[str, str]] = field(default_factory=list)  # (queue URL, body)

    def call(self, original: Call, operation: str, arguments: dict[str, Any]) -> Any:
        index = len(self.calls)
        self.calls.append((operation, arguments))
        USED_RIGHTS.call(operation, arguments)
        if operation == "SendMessage":
            # Tests do not wait: a delayed message is delivered at the next drain. A message with a longer delay than
            # any back-off waits SettleSeconds, until every function that runs now has ended: `Shop.settle` delivers it.
            delay = arguments.get("DelaySeconds", 0)
            if delay > LONGEST_BACK_OFF_SECONDS:
                self.held.append((arguments["QueueUrl"], arguments["MessageBody"]))
                return {"MessageId": "held"}
            arguments = arguments | {"DelaySeconds": 0}
        if self.intercept is None:
            return original(operation, arguments)
        return self.intercept(index, operation, arguments, lambda: original(operation, arguments))

    @contextmanager
    def injected(self, intercept: Callable[[int, str, dict[str, Any], Callable[[], Any]], Any]) -> Iterator[None]:
        """Lets `intercept(index, operation, arguments, go)` answer each call. `index` counts the calls from 0; `go()`
        makes the call."""
        self.calls.clear()
        self.intercept = intercept
        try:
            yield
        finally:
            self.intercept = None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Neither intercepts nor records the calls in the block."""
        intercept, calls, self.intercept, self.calls = self.intercept, self.calls, None, []
        yield
        self.intercept, self.calls = intercept, calls

    @contextmanager
    def recorded(self) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        """Yields the list to which each call in the block is added."""
        self.calls.clear()
        yield self.calls


def kill_at_call(index: int, moment: str) -> Callable[[int, str, dict[str, Any], Callable[[], Any]], Any]:
    """An intercept that kills the process `before` or `after` call number `index` takes effect."""

    def intercept(position: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if position == index and moment == "before":
            raise Death
        answer = go()
        if position == index:
            raise Death
        return answer

    return intercept


class Shop:
    """Account 1234567 with an ingest and an admin key, another account, and the mocked tables and queues of
    template.yaml."""

    def __init__(self, faults: Faults, queues: dict[str, str], clock: Clock) -> None:
        self.faults, self.queues, self.clock = faults, queues, clock
        self.dynamodb, self.sqs = clients.dynamodb(), clients.sqs()
        self.accounts = Accounts(self.dynamodb, settings().records_table)
        self.keys = Keys(self.dynamodb, settings().records_table)
        self.routes = template.routes()
        # Whether the gateway decodes a path before it looks for the route; AWS does not document this.
        self.decodes_first = True
        # The items of the ledger as KeepBook last received them, by (pk, sk).
        self.followed: dict[tuple[str, str], dict[str, Any]] = {}
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
        """Calls the function of a route. `path` is percent-encoded. A body that is no string is sent as JSON. `raw`
        replaces fields of the event."""
        event = self.event(method, path, body, key=key, headers=headers, query=query) | (raw or {})
        function = self.routes.get(event["routeKey"], "Fallback")
        handler = importlib.import_module(template.module(function)).handler
        answer = handler(event, Context(milliseconds))
        # Lambda's limit for an answer, in bytes as its runtime encodes it: the body is a string within JSON.
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
        """The event of an HTTP API: payload 2.0, header names in lower case, the path decoded once."""
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
        """Receives up to ten messages, or one page of a job, as SQS passes them to a function. They are received again
        unless acknowledged."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queues[queue], MaxNumberOfMessages=1 if queue == JOBS_QUEUE else 10, AttributeNames=["All"],
            VisibilityTimeout=0,
        )  # fmt: skip
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "queue": self.queues[queue],
            }
            for message in answer.get("Messages", [])
        ]

    def acknowledge(self, record: dict[str, Any]) -> None:
        self.sqs.delete_message(QueueUrl=record["queue"], ReceiptHandle=record["receiptHandle"])

    def deliver(self, records: list[dict[str, Any]], *, milliseconds: int = 60_000) -> list[str]:
        """Delivers messages to ProcessOrders. Returns the ids of those that failed; the others are acknowledged."""
        handler = importlib.import_module(template.module("ProcessOrders")).handler
        answer = handler({"Records": records}, Context(milliseconds))
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        for record in records:
            if record["messageId"] not in failed:
                self.acknowledge(record)
        return failed

    def keep_book(self, *, milliseconds: int = 60_000) -> list[dict[str, Any]]:
        """Delivers to KeepBook, as one batch, the changes of the ledger that it has not processed yet. Returns the
        records that succeeded. An item that changed several times has one record, whose old image is the one that
        KeepBook processed last."""
        ledger = {
            (item["pk"]["S"], item["sk"]["S"]): item
            for item in self.dynamodb.scan(TableName=settings().ledger_table)["Items"]
        }
        changes = [
            (key, change(number, self.followed.get(key), item))
            for number, (key, item) in enumerate(sorted(ledger.items()))
            if self.followed.get(key) != item
        ]
        records = [record for _, record in changes if passes(record)]
        failed = self.stream(records, milliseconds=milliseconds) if records else []
        for key, record in changes:
            if not failed or record["dynamodb"]["SequenceNumber"] < failed[0]:
                self.followed[key] = ledger[key]
        return [r for r in records if not failed or r["dynamodb"]["SequenceNumber"] < failed[0]]

    def forget_stream(self) -> None:
        """Drops all changes so far from the stream."""
        items = self.dynamodb.scan(TableName=settings().ledger_table)["Items"]
        self.followed = {(item["pk"]["S"], item["sk"]["S"]): item for item in items}

    def stream(self, records: list[dict[str, Any]], *, milliseconds: int = 60_000) -> list[str]:
        """Delivers records to KeepBook. Returns the sequence number from which to deliver again, if any failed."""
        handler = importlib.import_module(template.module("KeepBook")).handler
        answer = handler({"Records": records}, Context(milliseconds))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def drain(self, rounds: int = 200) -> int:
        """Delivers until both queues are empty, at most `rounds` times, and then brings the book up to date without
        faults. Returns the number of deliveries."""
        delivered = 0
        while delivered < rounds and (records := self.receive() or self.receive(JOBS_QUEUE)):
            self.deliver(records)
            delivered += 1
        with self.faults.suspended():
            self.keep_book()
        return delivered

    def settle(self) -> None:
        """Advances the clock by more than SettleSeconds, queues the messages that were held, and drains the queues."""
        self.clock.sleep(settings().settle_seconds + 1)
        self._queue_held()
        self.drain()

    def _queue_held(self) -> None:
        """Puts the held messages into their queues. They were sent earlier, so no fault is injected."""
        held, self.faults.held = self.faults.held, []
        intercept, self.faults.intercept = self.faults.intercept, None
        for queue, body in held:
            self.sqs.send_message(QueueUrl=queue, MessageBody=body)
        self.faults.intercept = intercept

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

    def job_ids(self) -> list[str]:
        """The ids of all jobs of the account, the oldest first."""
        keys = [item["sk"] for item in self.items(settings().records_table) if item["pk"] == f"{ACCOUNT}/j"]
        return sorted(key for key in keys if "/" not in key)

    def stored_ltv(self, account: str = ACCOUNT) -> dict[str, Decimal]:
        """The stored sums of an account's people, without zeros. `<person>/o.USD` is the LTV from v1 orders in USD and
        `<person>/o#USD` the number of these orders; v3 has `s` instead of `o`."""
        found: dict[str, Decimal] = {}
        for item in self.items(settings().ledger_table):
            if item["pk"].startswith(f"{account}/") and "/p/" in item["pk"]:
                person, letter = person_of(item), SOURCE_LETTER[Scope.of(item["pk"]).source]
                for name, value in person.cells.items():
                    if value:
                        found[f"{item['sk']}/{letter}{name if name[0] == '#' else f'.{name}'}"] = value
        return found

    def comparable_ledger(self) -> list[dict[str, Any]]:
        """The items of the ledger without attributes that contain ids or tokens, which differ from run to run."""
        return sorted(
            (
                {k: v for k, v in item.items() if k not in ("writes", "token", "request", "id", "body")}
                for item in self.items(settings().ledger_table)
            ),
            key=lambda item: (item["pk"], item["sk"]),
        )


@contextmanager
def kill_at_write(shop: Shop, moment: str, number: int) -> Iterator[list[str]]:
    """Kills the process `before` or `after` write number `number`, counted from 0. Yields a list to which the operation
    of this write is added.

    Reads are not counted, because a death at a read leaves the same state as one before the next write.
    """
    died: list[str] = []
    writes = itertools.count()

    def intercept(_index: int, operation: str, _arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation in _READS or next(writes) != number:
            return go()
        died.append(operation)
        if moment == "after":
            go()
        raise Death

    with shop.faults.injected(intercept), suppress(Death):
        yield died


def forget_warm_state() -> None:
    """Clears the caches of a warm function: keys, connections, and the workers of the functions."""
    endpoint._keys.cache_clear()
    webhooks._connections.cache_clear()
    configuring._connections.cache_clear()
    configuring._keys.cache_clear()
    processing.processor.cache_clear()
    book.keeper.cache_clear()
    announcing.announcer.cache_clear()


def forget_clients() -> None:
    """Clears all caches of the package, also those of clients and settings from other environment variables."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tillbook"):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and getattr(value, "__module__", "") == name:
                    value.cache_clear()
    forget_warm_state()
