"""Records which IAM rights each function needs for its AWS calls, in all tests of a run."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

Right = tuple[str, str]  # (IAM action, resource)

SECRETS = "the stack's parameters"
SINGLE_WRITES = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def needed_rights(operation: str, arguments: dict[str, Any]) -> set[Right]:
    """The rights that one call needs. A transaction needs the rights of its parts."""
    if operation == "TransactWriteItems":
        return {
            (f"dynamodb:{SINGLE_WRITES[kind]}", write["TableName"])
            for item in arguments["TransactItems"]
            for kind, write in item.items()
        }
    if operation == "TransactGetItems":
        return {("dynamodb:GetItem", item["Get"]["TableName"]) for item in arguments["TransactItems"]}
    if operation in ("BatchGetItem", "BatchWriteItem"):
        return {(f"dynamodb:{operation}", name) for name in arguments["RequestItems"]}
    if operation == "PutEvents":
        return {("events:PutEvents", "EventBus")}
    if operation.startswith("SendMessage"):
        return {("sqs:SendMessage", arguments["QueueUrl"].rpartition("/")[2])}
    if "QueueUrl" in arguments:
        return {(f"sqs:{operation}", arguments["QueueUrl"].rpartition("/")[2])}
    if "Parameter" in operation:
        names = arguments.get("Names") or [arguments["Name"]]
        return {(f"ssm:{operation}", SECRETS if name.startswith("/tillbook/tillbook/") else name) for name in names}
    resource = arguments["TableName"]
    if "IndexName" in arguments:
        resource += f"/index/{arguments['IndexName']}"
    return {(f"dynamodb:{operation}", resource)}


_WORDS_OF_EXPRESSIONS = {
    "SET",
    "ADD",
    "REMOVE",
    "DELETE",
    "AND",
    "OR",
    "NOT",
    "attribute_exists",
    "attribute_not_exists",
}


class Write(NamedTuple):
    """A write of one item, with the values that IAM conditions check as `dynamodb:LeadingKeys` and
    `dynamodb:Attributes`."""

    action: str
    table: str
    leading_key: str
    attributes: frozenset[str]


def writes_of(operation: str, arguments: dict[str, Any]) -> set[Write]:
    """The single-item writes of one call; none for a read or a batch."""
    if operation == "TransactWriteItems":
        return {
            write
            for item in arguments["TransactItems"]
            for kind, one in item.items()
            for write in writes_of(SINGLE_WRITES[kind], one)
        }
    if operation not in SINGLE_WRITES.values():
        return set()
    item = arguments.get("Key") or arguments.get("Item")
    if not item:
        return set()
    expression = f"{arguments.get('UpdateExpression', '')} {arguments.get('ConditionExpression', '')}"
    names = set(re.findall(r"(?<![:\w])#?[A-Za-z]\w*", expression)) - _WORDS_OF_EXPRESSIONS
    named = {arguments.get("ExpressionAttributeNames", {}).get(name, name) for name in names}
    return {Write(f"dynamodb:{operation}", arguments["TableName"], item["pk"]["S"], frozenset({*item, *named}))}


def is_allowed(write: Write, statements: list[dict[str, Any]]) -> bool:
    """Whether a statement of a role allows a write. Conditions that template.yaml does not use raise KeyError."""
    return any(
        write.action in _listed(one["Action"])
        and any(f"${{{write.table}.Arn}}" == resource for resource in _listed(one["Resource"]))
        and all(_holds(write, *condition) for condition in one.get("Condition", {}).items())
        for one in statements
    )


def _holds(write: Write, operator: str, keys: dict[str, list[str]]) -> bool:
    asked = {"dynamodb:LeadingKeys": {write.leading_key}, "dynamodb:Attributes": write.attributes}
    operators: dict[str, Callable[[str, str], bool]] = {
        "ForAllValues:StringLike": fnmatchcase,
        "ForAllValues:StringEquals": lambda value, wanted: value == wanted,
    }
    matches = operators[operator]
    return all(
        any(matches(value, pattern) for pattern in patterns) for key, patterns in keys.items() for value in asked[key]
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class UsedRights:
    """The rights and writes that each function used in tests. A call is counted for the function whose handler runs."""

    def __init__(self) -> None:
        # Function -> right -> the first test that used it.
        self.rights: dict[str, dict[Right, str]] = {}
        # Function -> its single-item writes.
        self.writes: dict[str, set[Write]] = {}
        self.test = ""
        self._working: list[str] = []

    def handler(self, function: str, handle: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps a handler so that its calls are counted for the function."""

        @functools.wraps(handle)
        def watched(event: Any, context: Any) -> Any:
            self._working.append(function)
            try:
                return handle(event, context)
            finally:
                self._working.pop()

        return watched

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Does not count the calls in the block: a test makes them, not the function that is running."""
        working, self._working = self._working, []
        try:
            yield
        finally:
            self._working = working

    def call(self, operation: str, arguments: dict[str, Any]) -> None:
        """Counts a call for the function whose handler runs; does nothing outside a handler."""
        if self._working:
            self.writes.setdefault(self._working[-1], set()).update(writes_of(operation, arguments))
            for right in needed_rights(operation, arguments):
                self.rights.setdefault(self._working[-1], {}).setdefault(right, self.test)


USED_RIGHTS = UsedRights()
