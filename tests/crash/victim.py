"""A process that calls v1 handlers, each in a forked child that kills itself at a given call to AWS.

A forked child needs no cold start. Each line of stdin is a JSON object: `function` (a folder of functions/), `event`,
`request_id`, and `die`: null, or [n, "before" or "after"] to be killed before or after the n-th call to AWS, from 0.
Each line of stdout is the result: {"killed", "calls": names of the AWS operations that began, "answer": the answer of
the handler or null}.
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
    # Handlers log to stdout, so the results are written to a copy of it, and stdout is discarded.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    handlers = {name: import_module(f"functions.{name}.app").handler for name in _FUNCTIONS}
    # Makes the clients once, before the fork. They connect after it, so children share no connection.
    clients.dynamodb(), clients.sqs()
    for line in sys.stdin:
        job = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            _run(handlers[job["function"]], job, writing)
        os.close(writing)
        with os.fdopen(reading) as reports:
            lines = reports.read().splitlines()
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        answer = json.loads(lines.pop()) if not killed and lines else None
        print(json.dumps({"killed": killed, "calls": lines, "answer": answer}), file=answers, flush=True)


def _run(handler: Callable[[Any, Any], Any], job: dict[str, Any], writing: int) -> None:
    """Runs in the child: reports the name of each call before it is made, and in the end the answer."""

    def report(line: str) -> None:
        os.write(writing, f"{line}\n".encode())

    numbers = itertools.count()
    base: Any = BaseClient
    call = base._make_api_call

    def counted(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        number = next(numbers)
        report(operation)
        _die(job["die"], number, "before")
        answer = call(client, operation, arguments)
        _die(job["die"], number, "after")
        return answer

    base._make_api_call = counted
    # The first id that the handler makes is that of its request.
    make_id, ids = times.uuid7, iter([job["request_id"]])
    times.uuid7 = lambda: next(ids, "") or make_id()
    try:
        report(json.dumps(handler(job["event"], _CONTEXT)))
    finally:
        os._exit(0)


def _die(die: list[Any] | None, number: int, moment: str) -> None:
    """Kills this process if `die` names this moment of this call."""
    if die is not None and tuple(die) == (number, moment):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
