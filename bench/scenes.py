"""The stage on which the benchmarks play their scenes, and the events that they send. A scene is one request or one
batch of messages, after the requests that it needs; calls.py and cold.py have the scenes."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.memory import ENVIRONMENT, LEDGER, RECORDS, Call, Memory
from events import bodies, envelopes
from tests import stream
from tests.log import follow_stdout
from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.records.accounts import Account, Accounts
from tillbook.records.keys import Keys
from tillbook.records.messages import decode, encode
from tillbook.rules import times
from tillbook.work import announcing, book, processing

ROOT = Path(__file__).resolve().parents[1]
Items = dict[tuple[str, str], dict[str, Any]]
# The published example of each API. All orders of the scenes have about its size.
ACTIVITY: dict[str, Any] = json.loads(bodies.ORDER_ACTIVITY)
ORDER: dict[str, Any] = bodies.ORDER


class Context:
    """The parts of Lambda's context that the functions use."""

    function_name, memory_limit_in_mb, aws_request_id = "bench", 1024, "00000000-0000-4000-8000-000000000000"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


@dataclass(frozen=True)
class Played:
    """The answer of a function, and the calls that it made."""

    function: str
    event: dict[str, Any]
    answer: dict[str, Any]
    calls: list[Call]


class Stage:
    """Invokes the functions in this process, with an account and its keys in an AWS in memory (bench/memory.py)."""

    def __init__(self) -> None:
        os.environ.update(ENVIRONMENT)
        settings.cache_clear()
        follow_stdout()
        self.memory = Memory()
        _forget_clients()
        of_services = (("dynamodb", clients.dynamodb()), ("sqs", clients.sqs()), ("eventbridge", clients.events()))
        for service, client in of_services:
            self.memory.attach(client, service)
        self.cold()
        Accounts(clients.dynamodb(), RECORDS).create(Account(bodies.ACCOUNT))
        keys = Keys(clients.dynamodb(), RECORDS)
        keys.create(bodies.ACCOUNT, "ingest", secret=bodies.INGEST_KEY)
        keys.create(bodies.ACCOUNT, "admin", secret=bodies.ADMIN_KEY)

    def cold(self) -> None:
        """Empties the caches that a warm function has, apart from settings and clients."""
        _forget_what_was_read()

    def forget_clients(self) -> None:
        """Makes the functions create new clients, whose calls this memory does not answer."""
        _forget_clients()
        self.cold()

    def play(self, function: str, event: dict[str, Any], *, ok: bool = True) -> Played:
        """Invokes a function. Raises RuntimeError for an answer that is no success, unless `ok` is false."""
        handler = import_module(f"functions.{function}.app").handler
        with self.memory.noted() as calls, contextlib.redirect_stdout(io.StringIO()):
            answer = handler(deepcopy(event), Context)
        failed = answer.get("batchItemFailures") or answer.get("statusCode", 200) >= 300
        if failed and ok:
            raise RuntimeError(f"{function} answered {answer}")
        return Played(function, event, answer, calls)

    def process(self, messages: list[str]) -> Played:
        """Invokes the processing function with these messages."""
        return self.play("process_orders", sqs_event(messages))

    def ledger(self) -> Items:
        """Items by key, in the types of DynamoDB."""
        return dict(self.memory.store.tables[LEDGER].items)

    def drain(self) -> list[Played]:
        """Processes the waiting messages one by one, until there is none."""
        found = []
        while self.memory.messages:
            found.append(self.process([self.memory.messages.pop(0)]))
        return found

    def accepted(self, payloads: list[dict[str, Any]], key: str = "") -> list[str]:
        """The messages that these orders queue, each sent alone, with `key` as idempotency key. Empties the queue."""
        self.memory.messages.clear()
        for payload in payloads:
            self.play("record_activity", activity_event(payload, key))
        messages, self.memory.messages = self.memory.messages, []
        return messages


def _forget_clients() -> None:
    clients.dynamodb.cache_clear()
    clients.sqs.cache_clear()
    clients.events.cache_clear()


def _forget_what_was_read() -> None:
    """Empties the caches of API keys, accounts and workers."""
    processing.processor.cache_clear()
    book.keeper.cache_clear()
    announcing.announcer.cache_clear()
    for name in ("endpoint", "orders", "intake", "reading", "managing"):
        for value in vars(import_module(f"tillbook.web.{name}")).values():
            # Only the module's own caches, not those that it imports.
            if hasattr(value, "cache_clear") and value.__module__ == f"tillbook.web.{name}":
                value.cache_clear()


@contextlib.contextmanager
def restored_environment() -> Iterator[None]:
    """Restores the environment of this process, and empties its caches: a stage changes both."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()
        _forget_clients()
        _forget_what_was_read()


@contextlib.contextmanager
def later(seconds: float) -> Iterator[None]:
    """Moves the clock of stamps ahead by `seconds`, for jobs that wait before they begin."""
    now = times.now
    with patch.object(times, "now", lambda: times.shift(now(), seconds=seconds)):
        yield


# ------------------------------------------------------------------- requests


def activity(n: int, person: int | None = None, **more: Any) -> dict[str, Any]:
    """A v3 order with the number n, of its own person unless `person` is given."""
    who = {"email": f"user{n if person is None else person:09d}@example.com"}
    return ACTIVITY | who | {"order_id": f"{n:09d}", "order_url": f"https://mysuperstore.com/order/{n:09d}"} | more


def order(n: int) -> dict[str, Any]:
    digest = f"{n:064x}"
    return ORDER | {"order_id": f"{n:08d}-9de6-4491-82c3-8730e2aedfbb", "customer_email_sha256": digest}


def activity_event(payload: dict[str, Any], key: str = "") -> dict[str, Any]:
    return envelopes.activity_request(json.dumps(payload), {"idempotency-key": key} if key else None)


def batch_event(payloads: list[dict[str, Any]]) -> dict[str, Any]:
    return envelopes.activity_request(json.dumps({"orders": payloads}), path="/batch")


def submit_event(n: int) -> dict[str, Any]:
    return envelopes.v1_request("POST", "/v1/order", order(n))


def edit_event(n: int, total: str = "120.00") -> dict[str, Any]:
    return envelopes.v1_request("POST", f"/v1/order/{order(n)['order_id']}", {"total": total})


def delete_event(n: int) -> dict[str, Any]:
    return envelopes.v1_request("DELETE", f"/v1/order/{order(n)['order_id']}")


def purge_event(source: str) -> dict[str, Any]:
    body = {"confirm": "purge", "source": source}
    return envelopes.v1_request("DELETE", "/v1/transactions", body, key=bodies.ADMIN_KEY)


def person_event(payload: dict[str, Any]) -> dict[str, Any]:
    return envelopes.v3_request("GET", f"/v3/{bodies.ACCOUNT}/people/{payload['email']}")


def sqs_event(messages: list[str]) -> dict[str, Any]:
    return {"Records": [envelopes.sqs_record(number, message) for number, message in enumerate(messages, 1)]}


def stream_event(before: Items, after: Items) -> dict[str, Any]:
    """The stream's records of the changes that the filter of KeepBook's trigger passes."""
    changed = [key for key in sorted(after) if after[key] != before.get(key)]
    records = [stream.change(n, before.get(key), after[key]) for n, key in enumerate(changed)]
    return {"Records": [record for record in records if stream.passes(record)]}


def packed(messages: list[str]) -> str:
    """One message with the orders of all `messages`."""
    decoded = list(map(decode, messages))
    return encode(decoded[0]._replace(orders=[order for message in decoded for order in message.orders]))
