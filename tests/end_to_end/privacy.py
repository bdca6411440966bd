"""Looks for e-mail addresses in everything that the stack keeps: tables, queues, logs with metrics, access logs.

Tests send addresses of MARKER_DOMAIN, which occurs nowhere else, so any text with the domain contains an address. They
also send PUBLISHED.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local.stack import Stack
from tillbook.aws.items import plain_item
from tillbook.rules.errors import Malformed
from tillbook.rules.json_text import dumps
from tillbook.rules.packing import unpack

MARKER_DOMAIN = "privacy-marker.example"
# The address in the examples of docs/api.md and in data/order_activity.json.
PUBLISHED = "user@gmail.com"

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")


class UnreadableError(Exception):
    """Raised for data that the scan cannot decode, which may contain an address."""


@dataclass(frozen=True)
class Leak:
    place: str
    text: str


def leaks(place: str, values: Iterable[Any], *others: str) -> Iterator[Leak]:
    """Yields every text, at any depth, that contains MARKER_DOMAIN or PUBLISHED.

    `values`: texts, bytes, lists, mappings. With `others`, yields the texts that contain one of the others instead.
    """
    forms = [other.lower() for other in others] or _FORMS
    in_base64 = [form for other in others for form in _base64_forms(other)] or _BASE64_FORMS
    for value in values:
        for text in texts(value):
            lower = text.lower()
            if any(form in lower for form in forms) or any(form in text for form in in_base64):
                yield Leak(place, text[:300])


def texts(value: Any) -> Iterator[str]:
    """Yields the texts in a value, also packed ones. Raises UnreadableError for bytes of an unknown form."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield name
            yield from texts(entry)
    elif isinstance(value, list | tuple | set):
        for entry in value:
            yield from texts(entry)
    elif isinstance(value, bytes):
        try:
            yield dumps(unpack(value))
        except (ValueError, zlib.error, Malformed) as error:
            raise UnreadableError(f"{len(value)} bytes that begin with {value[:8]!r}") from error
    elif isinstance(value, str):
        yield value
        yield from _inflated(value)


def _inflated(text: str) -> Iterator[str]:
    """Yields the decoded base64 of a text, inflated if it is compressed (a queue's `z` messages, gzip bodies)."""
    runs = [text[1:]] if text.startswith("z") else []
    for run in [*runs, *_BASE64.findall(text)]:
        try:
            data = b64decode(run.replace("-", "+").replace("_", "/") + "=" * (-len(run) % 4))
            # 47 = 32 + 15: zlib or gzip, recognized by the header.
            yield zlib.decompressobj(47).decompress(data).decode(errors="replace")
        except ValueError:
            continue
        except zlib.error:
            yield data.decode(errors="replace")


def _base64_forms(text: str) -> list[str]:
    """The parts of a text's base64 that do not depend on the bytes around it, for each alignment."""
    forms = []
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + text.encode()).decode().rstrip("=")
        forms.append(encoded[(0, 2, 3)[shift] : -1])
    return forms


_FORMS = (MARKER_DOMAIN, PUBLISHED, PUBLISHED.replace("@", "%40"))
_BASE64_FORMS = tuple(form for text in (MARKER_DOMAIN, PUBLISHED) for form in _base64_forms(text))


# -------------------------------------------------------------------- scanned data


TABLES = LEDGER, RECORDS, BOOK, _ = (  # outputs of the stack
    "LedgerTableName", "RecordsTableName", "BookTableName", "RemovalsTableName",
)  # fmt: skip


def table_items(stack: Any, *names: str) -> Iterator[dict[str, Any]]:
    """Yields the items of the tables that these outputs name, by default of all tables."""
    client = stack.boto3_client("dynamodb")
    for name in names or TABLES:
        for page in client.get_paginator("scan").paginate(TableName=stack.outputs[name], ConsistentRead=True):
            for item in page["Items"]:
                yield plain_item(item)


def messages(stack: Any, queue: str) -> list[str]:
    """The bodies and attributes of all messages that can be received now. They stay in the queue."""
    client, url = stack.boto3_client("sqs"), stack.outputs[queue]
    received: dict[str, dict[str, Any]] = {}
    while True:
        answer = client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=30, MessageAttributeNames=["All"]
        )
        if not answer.get("Messages"):
            break
        received |= {message["MessageId"]: message for message in answer["Messages"]}
    for message in received.values():
        client.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    return [message["Body"] + json.dumps(message.get("MessageAttributes", {})) for message in received.values()]


@contextmanager
def processing_paused(stack: Stack) -> Iterator[None]:
    """Pauses ProcessOrders, so that a test can read the messages of its queue."""
    functions, mapping = stack.boto3_client("lambda"), stack.resources["ProcessOrdersQueue"]
    functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    time.sleep(1.5)  # a poll that has begun still takes messages
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=mapping, Enabled=True)


def queued_bodies(stack: Stack, wanted: list[str]) -> list[str]:
    """The bodies of all queued messages, once they contain all of `wanted`, or after the third read.

    An event that failed is delayed for two seconds, then for ten. Each read counts as a delivery, and after five SQS
    moves a message to the dead-letter queue; so there are only three reads.
    """
    bodies: list[str] = []
    for seconds in (1.5, 3, 15):
        time.sleep(seconds)
        bodies = messages(stack, "OrdersQueueUrl")
        decoded = [text for body in bodies for text in texts(body)]
        if all(any(part in text for text in decoded) for part in wanted):
            break
    return bodies


# ------------------------------------------------------------------------------ the scan


def all_leaks(stack: Stack) -> list[Leak]:
    return [
        *leaks("tables", table_items(stack)),
        *leaks("queue", messages(stack, "OrdersQueueUrl")),
        *leaks("dead-letter queue", messages(stack, "DeadLettersQueueUrl")),
        # Metrics are lines of the logs.
        *leaks("function logs", stack.logs().splitlines()),
        *leaks("access log", stack.access_log().splitlines()),
    ]
