"""Compares one batch of ten orders of ten people with ten single orders, if each AWS call takes ENGINE_MS ms."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from typing import Any

from bench import scenes
from bench.scenes import Stage

ENGINE_MS = 4  # as bench/prices.json assumes for GetItem
ORDERS = 10


def measured(rounds: int) -> dict[str, Any]:
    """Median milliseconds of ten orders in one batch, and of ten orders one by one, measured in turns."""
    stage = Stage()
    stage.play("record_activity", scenes.activity_event(scenes.activity(1)))
    stage.drain()
    stage.memory.delay_seconds = ENGINE_MS / 1000
    times: dict[str, list[float]] = {"together": [], "one by one": []}
    number = 1000
    with contextlib.redirect_stdout(io.StringIO()):
        for _ in range(rounds):
            for what, found in times.items():
                stage.memory.delay_seconds = 0
                bodies = stage.accepted([scenes.activity(n) for n in range(number, number + ORDERS)])
                stage.memory.delay_seconds = ENGINE_MS / 1000
                number += ORDERS
                start = time.perf_counter()
                for batch in [bodies] if what == "together" else [[body] for body in bodies]:
                    stage.process(batch)
                found.append((time.perf_counter() - start) * 1000)
    together, alone = (statistics.median(found) for found in times.values())
    return {
        "engine_ms": ENGINE_MS, "together_ms": round(together, 1), "one_by_one_ms": round(alone, 1),
        "ratio": round(together / alone, 3),
    }  # fmt: skip
