"""The calls that each function was seen to make in the tests of this run, as the rights that they take."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Right = tuple[str, str]  # (IAM action, resource)

SINGLE = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def needed(operation: str, arguments: dict[str, Any]) -> set[Right]:
    """Of one call; a transaction or a batch needs those of its parts."""
    if operation == "TransactWriteItems":
        return {
            (f"dynamodb:{SINGLE[kind]}", write["TableName"])
            for item in arguments["TransactItems"]
            for kind, write in item.items()
        }
    if operation == "TransactGetItems":
        return {("dynamodb:GetItem", item["Get"]["TableName"]) for item in arguments["TransactItems"]}
    if operation in ("BatchGetItem", "BatchWriteItem"):
        return {(f"dynamodb:{operation}", name) for name in arguments["RequestItems"]}
    if operation.startswith("SendMessage"):
        return {("sqs:SendMessage", arguments["QueueUrl"].rpartition("/")[2])}
    if "QueueUrl" in arguments:
        return {(f"sqs:{operation}", arguments["QueueUrl"].rpartition("/")[2])}
    resource = arguments["TableName"]
    if "IndexName" in arguments:
        resource += f"/index/{arguments['IndexName']}"
    return {(f"dynamodb:{operation}", resource)}


class Seen:
    """Who is at work is known while its handler runs: what a test calls in between is the test's own."""

    def __init__(self) -> None:
        # Function -> right -> the tests that showed it.
        self.rights: dict[str, dict[Right, str]] = {}
        self.test = ""
        self._working: list[str] = []

    def handler(self, function: str, handle: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handle)
        def watched(event: Any, context: Any) -> Any:
            self._working.append(function)
            try:
                return handle(event, context)
            finally:
                self._working.pop()

        return watched

    @contextmanager
    def others(self) -> Iterator[None]:
        """What happens within is the doing of others, though it happens while a handler runs."""
        working, self._working = self._working, []
        try:
            yield
        finally:
            self._working = working

    def call(self, operation: str, arguments: dict[str, Any]) -> None:
        if self._working:
            for right in needed(operation, arguments):
                self.rights.setdefault(self._working[-1], {}).setdefault(right, self.test)


SEEN = Seen()
