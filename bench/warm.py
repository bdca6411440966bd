"""CPU time of warm functions, and of bare boto3 calls with the same payload and canned replies, measured in turns."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from bench import scenes
from bench.scenes import Context, Played, Stage

# Each "process 10" is one batch of ten orders. The first is compared with the calls for ten single orders, the second
# with the calls that the batch makes itself.
NAMES = ("submit", "edit", "delete", "activity", "process 10", "process 10, same calls")
_WORDS = re.compile(r"(?<!^)(?=[A-Z])")


def measured(rounds: int, tick: Callable[[], None]) -> dict[str, dict[str, Any]]:
    """Milliseconds of CPU per invocation, and their ratio to the bare calls."""
    return {name: _compared(name, rounds, tick) for name in NAMES}


def _scene(name: str) -> tuple[str, dict[str, Any], Stage]:
    stage = Stage()
    stage.play("submit_order", scenes.submit_event(2))
    stage.play("record_activity", scenes.activity_event(scenes.activity(1)))
    stage.drain()
    event: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
        "submit": lambda: ("submit_order", scenes.submit_event(3)),
        "edit": lambda: ("edit_order", scenes.edit_event(2)),
        "delete": lambda: ("delete_order", scenes.delete_event(2)),
        "activity": lambda: ("record_activity", scenes.activity_event(scenes.activity(2))),
        "process 10": lambda: _ten(stage),
        "process 10, same calls": lambda: _ten(stage),
    }
    return *event[name](), stage


def _ten(stage: Stage) -> tuple[str, dict[str, Any]]:
    return "process_orders", scenes.sqs_event(stage.accepted([scenes.activity(n) for n in range(10, 20)]))


def _compared(name: str, rounds: int, tick: Callable[[], None]) -> dict[str, Any]:
    """Runs a scene in its own process, because a scene patches botocore."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        ran = subprocess.run([sys.executable, "-m", "bench.warm", name, str(rounds), str(path)], check=False)
        if ran.returncode:
            raise RuntimeError(f"{name} failed")
        tick()
        found: dict[str, Any] = json.loads(path.read_text())
        return found


def _run(name: str, rounds: int) -> dict[str, Any]:
    import boto3

    from bench.canned import Replies

    function, event, stage = _scene(name)
    calls_made = stage.play(function, event).calls
    if name == "process 10":
        # It is compared with a loop that writes each order and each outcome separately, and reads the marks of purges
        # and erasures (BatchGetItem) once.
        _, event, stage = _scene(name)
        alone = [stage.process([record["body"]]).calls for record in event["Records"]]
        calls_made = alone[0] + [call for calls in alone[1:] for call in calls if call.operation != "BatchGetItem"]
    # The first invocation is cold and also reads the API key of the request, so it gets other replies than warm ones.
    function, event, stage = _scene(name)
    again = _replies(stage.play(function, event))
    function, event, stage = _scene(name)
    stage.cold()
    first = _replies(stage.play(function, event))
    stage.forget_clients()
    Replies(first, again).install()
    handler = import_module(f"functions.{function}.app").handler
    clients = {service: boto3.client(service) for service in {call.service for call in calls_made}}
    calls = [(clients[c.service], _WORDS.sub("_", c.operation).lower(), c.parameters) for c in calls_made]

    def ours() -> None:
        answer = handler(event, Context)
        if answer.get("batchItemFailures") or answer.get("statusCode", 200) >= 300:
            raise RuntimeError(f"{function} answered {answer}")

    def bare_calls() -> None:
        for client, operation, parameters in calls:
            getattr(client, operation)(**parameters)

    times: dict[str, list[float]] = {"ours": [], "bare": []}
    with contextlib.redirect_stdout(io.StringIO()):
        for _ in range(20):
            ours()
            bare_calls()
        gc.collect()
        for _ in range(rounds):
            for what, run in (("ours", ours), ("bare", bare_calls)):
                start = time.process_time()
                run()
                times[what].append((time.process_time() - start) * 1000)
    ours_ms, bare_ms = (statistics.median(times[what]) for what in ("ours", "bare"))
    least = min(times["ours"]) / min(times["bare"])
    return {
        "ratio": round(ours_ms / bare_ms, 3), "ratio_of_minima": round(least, 3), "ours_ms": round(ours_ms, 3),
        "bare_ms": round(bare_ms, 3),
    }  # fmt: skip


def _replies(played: Played) -> list[tuple[str, bytes]]:
    from bench.canned import wire

    return [(call.operation, wire(call.reply)) for call in played.calls]


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(_run(sys.argv[1], int(sys.argv[2]))))
