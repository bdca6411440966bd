"""Runs histories in several processes. A separate module, because workers cannot import from `__main__`."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.queues
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from tests.simulation.progress import Progress
from tests.simulation.seams import Seams
from tests.simulation.simulate import Failure, simulate

CHUNK = 50  # histories that a worker runs at a time


def prepare_worker(cpus: multiprocessing.queues.SimpleQueue[int] | None = None) -> None:
    """Turns automatic garbage collection off. Binds this process to the next processor of `cpus`, if they are given.

    Only one thread of the process runs at a time, and moving threads between processors costs time.
    """
    gc.disable()  # a history leaves little garbage, and `_run` collects it
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
    """The number of failures and their first seeds, for the progress bar."""
    return f"{len(failures)} failed: {[f.plan.seed for f in failures[:5]]}" if failures else ""


def _chunks(seed: int, histories: int) -> Iterator[tuple[int, int]]:
    for start in range(0, histories, CHUNK):
        yield seed + start, min(CHUNK, histories - start)


def run(seed: int, histories: int, *, workers: int, stop: bool = False, quiet: bool = False) -> list[Failure]:
    """Runs the histories and returns their failures. With `stop`, no more chunks are scheduled after a failure."""
    progress = Progress(histories, "histories", quiet=quiet)
    failures: list[Failure] = []
    if workers == 1:
        for first, count in _chunks(seed, histories):
            failures += _run(first, count, stop)
            progress.add(count, _seeds(failures))
            if failures and stop:
                break
        return failures
    # Not "fork": this process may have threads, and a forked copy would wait forever for the locks that they hold.
    context = multiprocessing.get_context("forkserver")
    cpus: multiprocessing.queues.SimpleQueue[int] = context.SimpleQueue()
    for number in range(workers):
        cpus.put(number)
    with ProcessPoolExecutor(workers, context, initializer=prepare_worker, initargs=(cpus,)) as pool:
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
