"""Older and newer versions of the code, which run beside this one during a deployment.

They are simulated by the messages and items that they write. `newer` adds unknown fields to messages, to the entries of
messages and to items. `older` does not know the fields that were added later, which are those with a default: it leaves
them out of messages if they have their default value. Both change the calls of a worker on their way to the tables and
queues, so each version must read what the others write. Workers of all versions receive messages from the same queue.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

Arguments = dict[str, Any]
_PARTS = ("orders", "steps")
# Defaults of fields, as messages.py and jobs.py document them; numbers are texts, as _Number keeps them.
_DEFAULTS: dict[str, Any] = {
    "content_hash": "", "notes": [], "chain": "0", "page": "0",
}  # fmt: skip
_UNKNOWN = "newer_field"


def newer(operation: str, arguments: Arguments) -> Arguments:
    return _changed(operation, arguments, _add_to_message, _add_to_item)


def older(operation: str, arguments: Arguments) -> Arguments:
    return _changed(operation, arguments, _without_defaults, lambda item: item)


def _add_to_message(content: Any) -> Any:
    for name in _PARTS:
        content[name] = [entry | {_UNKNOWN: {"of": [1, "a newer version"]}} for entry in content.get(name, [])]
    return {name: value for name, value in content.items() if value} | {_UNKNOWN: ["of a newer version"]}


def _without_defaults(content: Any) -> Any:
    for name in _PARTS:
        if name in content:
            content[name] = [
                {field: value for field, value in entry.items() if _DEFAULTS.get(field, _UNKNOWN) != value}
                for entry in content[name]
            ]
    return content


def _add_to_item(item: Arguments) -> Arguments:
    return item | {_UNKNOWN: {"S": "of a newer version"}}


def _changed(
    operation: str,
    arguments: Arguments,
    change_message: Callable[[Any], Any],
    change_item: Callable[[Arguments], Arguments],
) -> Arguments:
    if operation == "send_message":
        return arguments | {"MessageBody": _body(arguments["MessageBody"], change_message)}
    if operation == "send_message_batch":
        entries = [
            entry | {"MessageBody": _body(entry["MessageBody"], change_message)} for entry in arguments["Entries"]
        ]
        return arguments | {"Entries": entries}
    if operation == "put_item":
        return arguments | {"Item": change_item(arguments["Item"])}
    if operation == "transact_write_items":
        actions = [
            {"Put": action["Put"] | {"Item": change_item(action["Put"]["Item"])}} if "Put" in action else action
            for action in arguments["TransactItems"]
        ]
        return arguments | {"TransactItems": actions}
    if operation == "batch_write_item":
        ((table, requests),) = arguments["RequestItems"].items()
        puts = [
            {"PutRequest": {"Item": change_item(request["PutRequest"]["Item"])}} if "PutRequest" in request else request
            for request in requests
        ]
        return arguments | {"RequestItems": {table: puts}}
    return arguments


def _body(text: str, change: Callable[[Any], Any]) -> str:
    # Numbers keep their spelling: 1.50 is not rewritten as 1.5.
    changed = _written(change(json.loads(_plain(text), parse_float=_Number, parse_int=_Number)))
    return "z" + b64encode(zlib.compress(changed.encode())).decode() if text.startswith("z") else changed


def content(text: str) -> Any:
    """The content of a message in the queue, compressed or not."""
    return json.loads(_plain(text))


def _plain(text: str) -> str:
    return zlib.decompress(b64decode(text[1:])).decode() if text.startswith("z") else text


class _Number(str):
    """A JSON number in its original spelling."""

    __slots__ = ()


def _written(value: Any) -> str:
    if isinstance(value, _Number):
        return str.__str__(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_written(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
