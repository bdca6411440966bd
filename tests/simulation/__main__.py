"""python -m tests.simulation --histories 100000 --seed 1: that many histories; exit code 1 if any of them fails.

A failure prints its seed and the shortest history found that still fails; `--histories 1 --seed N --trace` shows it
again with every call that it makes.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import multiprocessing.queues
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.simulation.progress import Progress
from tests.simulation.simulate import Failure, Seams, shortened, simulate, trace

_CHUNK = 50
_SHOWN = 5


def _settle(cpus: multiprocessing.queues.SimpleQueue[int] | None = None) -> None:
    """One processor for one worker: its threads take turns, and would only chase each other over many."""
    gc.disable()  # a history leaves little, and `_run` clears it away
    if cpus is not None and hasattr(os, "sched_setaffinity"):
        available = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {available[cpus.get() % len(available)]})


def _run(first: int, count: int, stop: bool) -> list[Failure]:
    failures = []
    with Seams() as seams:
        for seed in range(first, first + count):
            failure = simulate(seed, seams)
            if failure:
                failures.append(failure)
                if stop:
                    break
    gc.collect()
    return failures


def _seeds(failures: list[Failure]) -> str:
    """So that one can look into them before the end."""
    return f"{len(failures)} failed: {[f.plan.seed for f in failures[:5]]}" if failures else ""


def _chunks(seed: int, histories: int) -> Iterator[tuple[int, int]]:
    for start in range(0, histories, _CHUNK):
        yield seed + start, min(_CHUNK, histories - start)


def run(seed: int, histories: int, *, workers: int, stop: bool = False, quiet: bool = False) -> list[Failure]:
    """The failures, at most the first one if `stop`."""
    progress = Progress(histories, "histories", quiet=quiet)
    failures: list[Failure] = []
    if workers == 1:
        for first, count in _chunks(seed, histories):
            failures += _run(first, count, stop)
            progress.add(count, _seeds(failures))
            if failures and stop:
                break
        return failures
    cpus: multiprocessing.queues.SimpleQueue[int] = multiprocessing.SimpleQueue()
    for number in range(workers):
        cpus.put(number)
    with ProcessPoolExecutor(workers, initializer=_settle, initargs=(cpus,)) as pool:
        chunks = _chunks(seed, histories)
        counts: dict[Future[list[Failure]], int] = {}
        while True:
            while len(counts) < 2 * workers and not (failures and stop) and (chunk := next(chunks, None)):
                counts[pool.submit(_run, *chunk, stop)] = chunk[1]
            if not counts:
                return failures
            done, _ = wait(counts, return_when=FIRST_COMPLETED)
            for future in done:
                failures += future.result()
                progress.add(counts.pop(future), _seeds(failures))


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the first history; each next one has the next")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stop", action="store_true", help="at the first failure")
    parser.add_argument("--brief", action="store_true", help="no progress bar, and a failure as it was found")
    parser.add_argument("--trace", action="store_true", help="every call of each failure")
    options = parser.parse_args()
    workers = min(options.workers, -(-options.histories // _CHUNK))
    if workers == 1:
        _settle()
    start = time.monotonic()
    failures = run(options.seed, options.histories, workers=workers, stop=options.stop, quiet=options.brief)
    seconds = time.monotonic() - start
    failures.sort(key=lambda failure: failure.plan.seed)
    for failure in failures[: 1 if options.brief else _SHOWN]:
        with Seams() as seams:
            short = failure if options.brief else shortened(failure, seams)
            calls = trace(short, seams) if options.trace else []
        print(short, *calls, "", sep="\n")
    last = options.seed + options.histories - 1
    print(
        f"{options.histories:,} histories, seeds {options.seed} to {last}, in {seconds:.0f} s "
        f"({options.histories / seconds:.0f}/s): "
        + (
            f"{len(failures)} FAILED, seeds {[f.plan.seed for f in failures[:20]]}"
            if failures
            else "all as they must be"
        )
    )
    return 1 if failures else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of texts are walked through by their hashes: a seed is to mean the same in every process.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])  # noqa: S606
    sys.exit(main())
