"""Fresh processes to their first answer, round-robin with a bare boto3 process that makes the same AWS calls.

From source (`measured`), and from what `sam build` made, started by AWS's runtime client (`built`).
"""

from __future__ import annotations

import json
import os
import pickle
import platform
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
from bench.sizes import BUILT

# What Lambda's runtime brings along: tests/built puts it there.
RUNTIME = ROOT / ".venv-ci" / "python3.13-runtime"
# The functions' own Python, as tests/built finds it, where this one is another.
_BUILT_BY = sys.executable if sys.version_info[:2] == (3, 13) else os.environ.get("PYTHON_RUNTIME", "")
LAYER = BUILT / ("LayerArm64" if platform.machine() in ("aarch64", "arm64") else "LayerX8664") / "python"


@dataclass(frozen=True)
class Cold:
    """Seconds of each process, by what it did: `ours` and `bare` by the clock and of CPU, and `imported` of ours.

    `calls` are what both of them sent. On a busy machine `cpu_ratio`, that of the minima of CPU, says the most.
    """

    name: str
    ours: list[float]
    ours_cpu: list[float]
    imported: list[float]
    bare: list[float]
    bare_cpu: list[float]
    calls: list[str]

    def shown(self) -> dict[str, Any]:
        ours, imported, bare = (statistics.median(times) for times in (self.ours, self.imported, self.bare))
        return {
            "ratio": round(ours / bare, 3),
            "ratio_of_minima": round(min(self.ours) / min(self.bare), 3),
            "cpu_ratio": round(min(self.ours_cpu) / min(self.bare_cpu), 3),
            "import_ratio": round(imported / bare, 3),
            "ours_ms": round(ours * 1000, 1),
            "import_ms": round(imported * 1000, 1),
            "bare_ms": round(bare * 1000, 1),
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
    times = _Times(folder)
    for _ in range(rounds):
        for name, path in times.paths.items():
            for what in ("bare", "ours", "import"):
                times.add(name, what, fresh(path, what), answered=what != "import")
                tick()
    return times.found(imported=("import", "seconds"))


def can_be_built() -> bool:
    return bool(_BUILT_BY) and LAYER.is_dir() and (RUNTIME / "complete").exists()


def built(rounds: int, folder: Path, tick: Callable[[], None]) -> list[Cold]:
    """As `measured`, of the built functions; ours has imported when the runtime client asks for the first event."""
    times = _Times(folder)
    for _ in range(rounds):
        for name, path in times.paths.items():
            function = BUILT / times.kinds[name].function.title().replace("_", "")
            for what, handler, folders in (
                ("bare", "bench.bare.handler", [RUNTIME]),
                ("ours", "app.handler", [function, LAYER, RUNTIME]),
            ):
                # -S leaves out site-packages, -s the user's: nothing is there but what Lambda has.
                times.add(name, what, _run(path, [_BUILT_BY, "-s", "-S", "-m", "bench.built", handler], folders))
                tick()
    return times.found(imported=("ours", "imported"))


class _Times:
    """What the processes of one part took, and the files that tell them what to do."""

    def __init__(self, folder: Path) -> None:
        self.kinds = played()
        self.paths = {name: folder / f"{name}.pickle" for name in self.kinds}
        for name, scene in self.kinds.items():
            self.paths[name].write_bytes(pickle.dumps(_written(scene)))
        self._ran: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def add(self, name: str, what: str, ran: dict[str, Any], *, answered: bool = True) -> None:
        """Raises RuntimeError if it did not send what the scene sends."""
        if answered and ran["sent"] != [call.operation for call in self.kinds[name].calls]:
            raise RuntimeError(f"{name}, {what}: sent {ran['sent']}")
        self._ran.setdefault((name, what), []).append(ran)

    def found(self, imported: tuple[str, str]) -> list[Cold]:
        """`imported`: which process, and which of its figures, says how long ours imports."""
        return [
            Cold(
                name,
                ours=self._of(name, "ours", "seconds"), ours_cpu=self._of(name, "ours", "cpu"),
                imported=self._of(name, *imported),
                bare=self._of(name, "bare", "seconds"), bare_cpu=self._of(name, "bare", "cpu"),
                calls=[call.operation for call in scene.calls],
            )
            for name, scene in self.kinds.items()
        ]  # fmt: skip

    def _of(self, name: str, what: str, key: str) -> list[float]:
        return [ran[key] for ran in self._ran[name, what]]


def _written(scene: Played) -> dict[str, Any]:
    return {
        "function": str(ROOT / "functions" / scene.function),
        "event": scene.event,
        "calls": [(c.service, re.sub(r"(?<!^)(?=[A-Z])", "_", c.operation).lower(), c.parameters) for c in scene.calls],
        "replies": [(c.operation, wire(c.reply)) for c in scene.calls],
    }


def fresh(scene: Path, what: str) -> dict[str, Any]:
    return _run(scene, [sys.executable, "-m", "bench.fresh", what], [ROOT / "layers" / "shared"])


def _run(scene: Path, command: list[str], folders: list[Path]) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **ENVIRONMENT}
    environment["PYTHONPATH"] = ":".join(str(folder) for folder in (*folders, ROOT))
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # as on Lambda; and what was built stays as it is
    ran = subprocess.run(
        command,
        env=environment | {"BENCH_SCENE": str(scene)}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode:
        raise RuntimeError(f"{scene.stem}, {command[-1]}: {ran.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ran.stderr.splitlines()[-1])
    return found
