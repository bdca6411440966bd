"""Fresh processes to their first answer, round-robin with a bare boto3 process that makes the same AWS calls."""

from __future__ import annotations

import json
import os
import pickle
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import scenes
from bench.canned import wire
from bench.memory import ENVIRONMENT
from bench.scenes import ROOT, Played, Stage


@dataclass(frozen=True)
class Cold:
    """Seconds of each process, by what it did; `calls` are what both of them sent."""

    name: str
    ours: list[float]
    imported: list[float]
    bare: list[float]
    calls: list[str]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.bare)

    def shown(self) -> dict[str, Any]:
        return {
            "ratio": round(self.ratio, 3),
            "ratio_of_minima": round(min(self.ours) / min(self.bare), 3),
            "import_ratio": round(statistics.median(self.imported) / statistics.median(self.bare), 3),
            "ours_ms": round(statistics.median(self.ours) * 1000, 1),
            "import_ms": round(statistics.median(self.imported) * 1000, 1),
            "bare_ms": round(statistics.median(self.bare) * 1000, 1),
            "calls": self.calls,
        }


def played() -> dict[str, Played]:
    """A first request of each kind, as a cold function meets it."""
    found: dict[str, Played] = {}
    stage = Stage()

    def first(name: str, function: str, event: dict[str, Any]) -> None:
        stage.cold()
        found[name] = stage.play(function, event)

    first("submit", "submit_order", scenes.submit_event(1))
    first("edit", "edit_order", scenes.edit_event(1))
    first("delete", "delete_order", scenes.delete_event(1))
    stage.memory.messages.clear()
    first("activity", "record_activity", scenes.activity_event(scenes.activity(1)))
    first("process", "process_orders", scenes.sqs_event(stage.memory.messages))
    first("read", "read", scenes.person_event(scenes.activity(1)))
    return found


def measured(rounds: int, folder: Path, tick: Callable[[], None]) -> list[Cold]:
    """`rounds` processes of each kind, taking turns."""
    kinds = played()
    times: dict[tuple[str, str], list[float]] = {}
    for name, scene in kinds.items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(_written(scene)))
    for _ in range(rounds):
        for name, scene in kinds.items():
            for what in ("bare", "ours", "import"):
                ran = fresh(folder / f"{name}.pickle", what)
                if what != "import" and ran["sent"] != [call.operation for call in scene.calls]:
                    raise RuntimeError(f"{name}, {what}: sent {ran['sent']}")
                times.setdefault((name, what), []).append(ran["seconds"])
                tick()
    return [
        Cold(name, times[name, "ours"], times[name, "import"], times[name, "bare"], [c.operation for c in scene.calls])
        for name, scene in kinds.items()
    ]


def _written(scene: Played) -> dict[str, Any]:
    return {
        "function": str(ROOT / "functions" / scene.function),
        "event": scene.event,
        "calls": [(c.service, re.sub(r"(?<!^)(?=[A-Z])", "_", c.operation).lower(), c.parameters) for c in scene.calls],
        "replies": [(c.operation, wire(c.reply)) for c in scene.calls],
    }


def fresh(path: Path, what: str) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **ENVIRONMENT}
    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'layers' / 'shared'}"
    ran = subprocess.run(
        [sys.executable, "-m", "bench.fresh", str(path), what],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode:
        raise RuntimeError(f"{path.stem}, {what}: {ran.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ran.stderr.splitlines()[-1])
    return found
