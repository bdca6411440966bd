"""python -m tests.audience_run --orders 2000 --runs 5 --seed 1: compares audiences with requests, record by record."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from local.stack import Stack
from tests.audience_run.run import Mismatch, Run
from tests.end_to_end.shop import Shop
from tests.simulation.progress import Progress


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run; each later run has the next number")
    options = parser.parse_args()
    failed = 0
    with Stack() as stack:
        for seed in range(options.seed, options.seed + options.runs):
            progress, lock = Progress(options.orders, f"orders, seed {seed}"), threading.Lock()

            def add(count: int, progress: Progress = progress, lock: threading.Lock = lock) -> None:
                with lock:
                    progress.add(count)

            started = time.monotonic()
            try:
                found = Run(Shop.open(stack), options.orders, seed, add).run()
                progress.clear()
                print(
                    f"seed {seed}: audiences equal the orders; {found}; {time.monotonic() - started:.0f} s", flush=True
                )
            except Mismatch as mismatch:
                progress.clear()
                print(f"seed {seed}: FAILED after {time.monotonic() - started:.0f} s: {mismatch}", flush=True)
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
