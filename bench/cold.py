"""Costs of fresh processes up to their first answer, compared with those of processes that make the same AWS
calls by bare boto3.

`measured` runs the sources; `built` runs the output of `sam build`, started by AWS's runtime client. The cost of a
process that only imports what the bench itself needs is subtracted from both.
"""

from __future__ import annotations

import os
import pickle
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import scenes
from bench.canned import wire
from bench.meter import Meter, Process
from bench.scenes import ROOT, Played, Stage
from bench.sizes import BUILT

SHARED = ROOT / "layers" / "shared"
# The packages of Lambda's runtime, which tests/built installs.
RUNTIME = ROOT / ".venv-ci" / "python3.13-runtime"
# Python 3.13, which runs the built functions: this Python, or PYTHON_RUNTIME as in tests/built; empty without either.
_PYTHON_3_13 = sys.executable if sys.version_info[:2] == (3, 13) else os.environ.get("PYTHON_RUNTIME", "")
LAYER = BUILT / ("LayerArm64" if platform.machine() in ("aarch64", "arm64") else "LayerX8664") / "python"


def played() -> dict[str, Played]:
    """Plays the first request of a cold function, for each kind of request."""
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


def measured(meter: Meter) -> dict[str, dict[str, Any]]:
    """Results by scene: `ours` and `bare` in the meter's unit, their `ratio`, and the names of the `calls` of both."""
    return _compared(meter, source)


def source(scene: Path, module: str, function: str = "") -> Process:
    path = (ROOT / "functions" / function, SHARED) if function else ()
    return Process((sys.executable, "-m", "bench.fresh", module), path, scene)


def can_be_built() -> bool:
    return bool(_PYTHON_3_13) and LAYER.is_dir() and (RUNTIME / "complete").exists()


def built(meter: Meter) -> dict[str, dict[str, Any]]:
    """Results like those of `measured`, of the built functions."""
    return _compared(meter, _build)


def _build(scene: Path, module: str, function: str = "") -> Process:
    path = (BUILT / function.title().replace("_", ""), LAYER) if function else ()
    # -S leaves out site-packages, -s the user's, so that only packages of Lambda can be imported.
    return Process((_PYTHON_3_13, "-s", "-S", "-m", "bench.built", module), (*path, RUNTIME), scene, built=True)


def _compared(meter: Meter, process: Callable[..., Process]) -> dict[str, dict[str, Any]]:
    plays = played()
    paths = {name: write(meter, name, play) for name, play in plays.items()}
    none = process(paths["submit"], "none")
    ours = {name: process(paths[name], "app", play.function) for name, play in plays.items()}
    bare = {name: process(paths[name], "bench.bare") for name in plays}
    costs = meter.costs([none, *ours.values(), *bare.values()])
    found = {}
    for name, play in plays.items():
        own, bare_cost = (costs[kind[name]] - costs[none] for kind in (ours, bare))
        found[name] = {
            "ratio": round(own / bare_cost, 3), "ours": round(own, 1), "bare": round(bare_cost, 1),
            "calls": [call.operation for call in play.calls],
        }  # fmt: skip
    return found


def write(meter: Meter, name: str, play: Played) -> Path:
    """Writes the scene to a file, which the measured process reads."""
    path = meter.folder / f"{name}.pickle"
    content = {
        "event": play.event,
        "calls": [(c.service, re.sub(r"(?<!^)(?=[A-Z])", "_", c.operation).lower(), c.parameters) for c in play.calls],
        "replies": [(c.operation, wire(c.reply)) for c in play.calls],
    }
    path.write_bytes(pickle.dumps(content))
    return path
