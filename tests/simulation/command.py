"""The command line of tests that run random histories, one for each seed."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tests.simulation.progress import Progress


def run_histories(name: str, description: str | None, simulate: Callable[[int], str]) -> int:
    """Runs the histories of a range of seeds, prints what failed, and returns the exit code: 1 if any failed.

    `simulate` takes a seed and describes what is wrong in its history; the text is empty if nothing is.
    """
    parser = argparse.ArgumentParser(f"python -m {name}", description=description)
    parser.add_argument("--histories", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="of the first history")
    options = parser.parse_args()
    progress, wrong = Progress(options.histories, "histories"), 0
    for seed in range(options.seed, options.seed + options.histories):
        if failure := simulate(seed):
            progress.clear()
            print(failure[:2000], flush=True)
            wrong += 1
        progress.add()
    progress.clear()
    print(f"{options.histories} histories from seed {options.seed}, {wrong} wrong")
    return 1 if wrong else 0
