"""AWS in this process: botocore's own clients, answered by the in-memory store. Every call is recorded.

The clients are real up to the wire (botocore hooks take the call before it is sent), so the counted calls are those
that would have been sent. Units are computed from the bytes of every item that a call reads or writes, as DynamoDB
counts them.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.audience_run.costs import BOOK_INDEXES, INDEXES, read_units, size, write_units
from tests.simulation.store import DynamoDB

LEDGER, RECORDS, BOOK, REMOVALS = "ledger", "records", "book", "removals"
QUEUE_URL, JOBS_QUEUE_URL = (f"https://sqs.us-east-1.amazonaws.com/123456789012/{name}" for name in ("orders", "jobs"))
ENVIRONMENT = {
    "EVENT_BUS": "tillbook",
    "LEDGER_TABLE": LEDGER, "RECORDS_TABLE": RECORDS, "BOOK_TABLE": BOOK, "REMOVALS_TABLE": REMOVALS,
    "ORDERS_QUEUE_URL": QUEUE_URL, "JOBS_QUEUE_URL": JOBS_QUEUE_URL, "MAX_TRIES": "5",
    "QUEUE_RETENTION_SECONDS": "1209600", "SETTLE_SECONDS": "120", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true", "POWERTOOLS_SERVICE_NAME": "tillbook",
    "PYDANTIC_DISABLE_PLUGINS": "1", "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO",
}  # fmt: skip
_WRITES = ("put_item", "update_item", "delete_item", "batch_write_item", "transact_write_items")


@dataclass
class Call:
    """One AWS call, with the read units and write units that DynamoDB would bill."""

    service: str
    operation: str
    parameters: dict[str, Any]
    reply: dict[str, Any]
    reads: float = 0
    writes: float = 0
    # The units of `writes` by part: orders, events and people of the ledger, another table by its name, indexes of all
    # tables, and cancelled (a transaction whose condition failed).
    parts: dict[str, float] = field(default_factory=dict)


@dataclass
class Memory:
    """The tables of the template, the messages of both queues, and the calls that were made."""

    store: DynamoDB = field(default_factory=DynamoDB)
    messages: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    delay_seconds: float = 0  # before each answer

    def __post_init__(self) -> None:
        self.store.add_table(LEDGER, **INDEXES)
        self.store.add_table(RECORDS)
        self.store.add_table(BOOK, **BOOK_INDEXES)
        self.store.add_table(REMOVALS)
        self._numbers = itertools.count(1)

    def attach(self, client: Any, service: str) -> None:
        """Makes a botocore client talk to this memory."""
        events = client.meta.events

        def keep(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
            context["tillbook_parameters"] = (model.name, dict(params))

        def answer(context: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
            operation, parameters = context["tillbook_parameters"]
            return _Http(), self.answer(service, operation, parameters)

        events.register_first(f"provide-client-params.{service}", keep)
        events.register_first(f"before-call.{service}", answer)

    def answer(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if self.delay_seconds:
            time.sleep(self.delay_seconds)
        call = Call(service, operation, parameters, {})
        self.calls.append(call)
        if service == "eventbridge":
            call.reply = {"Entries": [{"EventId": "1"} for _ in parameters["Entries"]], "FailedEntryCount": 0}
        else:
            call.reply = self._sqs(operation, parameters) if service == "sqs" else self._dynamodb(call)
        return call.reply | {"ResponseMetadata": {"HTTPStatusCode": 200}}

    def _sqs(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if operation == "SendMessage":
            self.messages.append(parameters["MessageBody"])
            return self._sent(parameters["MessageBody"])
        entries = parameters["Entries"]
        self.messages += [entry["MessageBody"] for entry in entries]
        return {"Successful": [{"Id": entry["Id"]} | self._sent(entry["MessageBody"]) for entry in entries]}

    def _sent(self, body: str) -> dict[str, Any]:
        digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
        return {"MessageId": f"00000000-0000-4000-8000-{next(self._numbers):012d}", "MD5OfMessageBody": digest}

    def _dynamodb(self, call: Call) -> dict[str, Any]:
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in call.operation).lstrip("_")
        arguments = call.parameters
        if name in _WRITES:
            factor = 2.0 if name == "transact_write_items" else 1.0

            def watch(table_name: str, key: Any, old: Any, new: Any) -> None:
                _add(call, _kind(table_name, key), factor * write_units(old, new))
                for index in self.store.tables[table_name].indexes.values():
                    was, now = index.place(old), index.place(new)
                    if was != now:
                        _add(call, "indexes", float((was is not None) + (now is not None)))

            self.store.watch = watch
            try:
                answer: dict[str, Any] = getattr(self.store, name)(**arguments)
            except ClientError as error:
                # Nothing is written, and each of the writes is billed by the item that exists, one unit at least.
                for action in arguments.get("TransactItems", ()) if "CancellationReasons" in error.response else ():
                    (change,) = action.values()
                    _add(call, "cancelled", factor * write_units(self._existing(change)))
                raise
            finally:
                self.store.watch = lambda *_: None
            return answer
        # DynamoDB bills whole items, also if the answer has only some of their attributes.
        projection = ("ProjectionExpression", "ExpressionAttributeNames")
        unprojected = {n: v for n, v in arguments.items() if n not in projection}
        consistent = bool(arguments.get("ConsistentRead"))
        answer = getattr(self.store, name)(**arguments)
        if name == "get_item":
            call.reads += read_units(size(answer.get("Item", {})), consistent=consistent)
        elif name == "query":
            evaluated = answer["Items"] if arguments == unprojected else self.store.query(**unprojected)["Items"]
            call.reads += read_units(sum(map(size, evaluated)), consistent=consistent)
        elif name == "batch_get_item":
            for table_name, request in arguments["RequestItems"].items():
                found = answer["Responses"][table_name]
                strong = bool(request.get("ConsistentRead"))
                call.reads += sum(read_units(size(item), consistent=strong) for item in found)
                call.reads += (len(request["Keys"]) - len(found)) * read_units(0, consistent=strong)
        return answer

    def _existing(self, change: dict[str, Any]) -> Any:
        key = change["Key"] if "Key" in change else change["Item"]
        return self.store.tables[change["TableName"]].items.get((key["pk"]["S"], key["sk"]["S"]))

    @contextmanager
    def noted(self) -> Iterator[list[Call]]:
        """Yields a list. When the context ends, the calls that were made inside it are added."""
        start = len(self.calls)
        found: list[Call] = []
        yield found
        found += self.calls[start:]


class _Http:
    status_code = 200


def _add(call: Call, part: str, units: float) -> None:
    call.writes += units
    call.parts[part] = call.parts.get(part, 0.0) + units


def _kind(table_name: str, key: tuple[str, str]) -> str:
    return _KINDS[key[0].split("/")[2]] if table_name == LEDGER else table_name


# Third part of a partition key of the ledger: see tillbook/ledger/items.py.
_KINDS = {"h": "orders", "e": "events", "p": "people"}
