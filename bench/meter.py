"""Measures fresh Python processes: instructions by valgrind's cachegrind, CPU time where valgrind is not installed.

Times on a shared machine vary. Instructions do not: two runs on the same tree agree within 0.5 %, so each process is
measured once. CPU times are minima over `rounds` processes of each kind, which take turns.

No process compiles modules while it is measured: each runs once before, and writes its bytecode to a folder of the
bench. A build is measured with its own bytecode, and nothing is written to it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.memory import ENVIRONMENT
from bench.scenes import ROOT
from tests.simulation.progress import Progress

_VALGRIND = shutil.which("valgrind")
_COUNTED = [_VALGRIND, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"] if _VALGRIND else []
UNIT = "millions of instructions" if _VALGRIND else "ms of CPU"


@dataclass(frozen=True)
class Process:
    """A command that ends with `bench.canned.leave`, the folders on Python's path, and the scene that it plays.

    `built`: it runs the output of `sam build`.
    """

    command: tuple[str, ...]
    path: tuple[Path, ...]
    scene: Path | None = None
    built: bool = False


class Meter:
    """Measures processes, and remembers their costs. `folder` contains the bytecode and the scenes."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder = folder
        self._rounds, self._workers = (1, os.cpu_count()) if _VALGRIND else (rounds, 1)
        self._costs: dict[Process, float] = {}

    def costs(self, processes: Iterable[Process]) -> dict[Process, float]:
        """Costs in UNIT of these and all earlier processes, with Python's start. Raises RuntimeError if one fails."""
        waiting = [process for process in dict.fromkeys(processes) if process not in self._costs]
        progress = Progress(len(waiting) * self._rounds, "fresh processes")
        with ThreadPoolExecutor(self._workers) as pool:
            list(pool.map(lambda process: self._run(process, measured=False), waiting))
            for _ in range(self._rounds):
                for process, cost in zip(waiting, pool.map(self._cost, waiting), strict=True):
                    self._costs[process] = min(cost, self._costs.get(process, cost))
                    progress.add()
        progress.clear()
        return self._costs

    def _cost(self, process: Process) -> float:
        written = self._run(process, measured=True)
        if counted := re.search(r"I +refs: +([\d,]+)", written):
            return int(counted[1].replace(",", "")) / 1e6
        return float(written.split()[-1]) * 1000

    def _run(self, process: Process, *, measured: bool) -> str:
        """Runs a process. Returns its standard error."""
        environment = ENVIRONMENT | {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "BENCH_SCENE": str(process.scene),
            "PYTHONPATH": ":".join(map(str, (*process.path, ROOT))),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1" if measured or process.built else "",
            "PYTHONPYCACHEPREFIX": "" if process.built else str(self.folder / "bytecode"),
        }
        command = [*(_COUNTED if measured else ()), *process.command]
        ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise RuntimeError(f"{process}: {ran.stderr[-2000:]}")
        return ran.stderr
