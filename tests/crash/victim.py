"""A process that calls v1 handlers and dies at the call to AWS that it is told.

Reads a JSON object a line from stdin: `function` (as in functions/), `event`, `request_id`, and `die`: null, or
[n, "before" or "after"] the n-th call to AWS. Each runs in a fork of its own, so that a death costs no cold start.
Answers on stdout a line: {"killed", "calls": the operations begun, "answer": the handler's or null}.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from botocore.client import BaseClient

from tillbook.aws import clients
from tillbook.rules import times

_FUNCTIONS = ("submit_order", "edit_order", "delete_order")
_CONTEXT = SimpleNamespace(
    function_name="victim", memory_limit_in_mb=1024, invoked_function_arn="victim", aws_request_id="0",
    get_remaining_time_in_millis=lambda: 10_000,
)  # fmt: skip


def main() -> None:
    # Handlers log to stdout, on which we answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    handlers = {name: import_module(f"functions.{name}.app").handler for name in _FUNCTIONS}
    # No connection is made before the fork.
    clients.dynamodb(), clients.sqs()
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            _live(handlers[order["function"]], order, writing)
        os.close(writing)
        with os.fdopen(reading) as told:
            lines = told.read().splitlines()
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        answer = json.loads(lines.pop()) if not killed and lines else None
        print(json.dumps({"killed": killed, "calls": lines, "answer": answer}), file=answers, flush=True)


def _live(handler: Callable[[Any, Any], Any], order: dict[str, Any], writing: int) -> None:
    """The child's life: tells of each call as it begins, and at last the answer."""

    def tell(line: str) -> None:
        os.write(writing, f"{line}\n".encode())

    numbers = itertools.count()
    clients: Any = BaseClient
    call = clients._make_api_call

    def counted(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        number = next(numbers)
        tell(operation)
        _die(order["die"], number, "before")
        answer = call(client, operation, arguments)
        _die(order["die"], number, "after")
        return answer

    clients._make_api_call = counted
    make_id, ids = times.uuid7, iter([order["request_id"]])
    times.uuid7 = lambda: next(ids, "") or make_id()
    try:
        tell(json.dumps(handler(order["event"], _CONTEXT)))
    finally:
        os._exit(0)


def _die(die: list[Any] | None, number: int, moment: str) -> None:
    if die is not None and tuple(die) == (number, moment):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
