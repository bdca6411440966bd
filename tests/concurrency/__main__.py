"""python -m tests.concurrency --operations 50000 --workers 32 --seed 1: exit code 1 if an amount is not exact
or a worker fails.

DYNAMODB_ENDPOINT is the URL of the engine; without it, MiniStack is started for the run.
"""

from __future__ import annotations

import argparse
import sys
import time

from local.stack import ROOT

# The package of the layer, which functions find under /opt/python.
sys.path.append(str(ROOT / "layers" / "shared"))

from tests.concurrency.engine import engine
from tests.concurrency.progress import Bar
from tests.concurrency.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.concurrency", description=__doc__)
    parser.add_argument("--operations", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument(
        "--faults", type=float, default=0.05, help="probability that a call to the engine meets an injected fault"
    )
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with engine(connections=given.workers + 8) as running, Bar(given.operations) as bar:
        result = run(
            running, operations=given.operations, workers=given.workers, seed=given.seed, fault_rate=given.faults,
            progress=lambda done, snapshots: bar.show(done, f"{snapshots:,} snapshots"),
        )  # fmt: skip
    print(result)
    if result.faults:
        print(
            f"to repeat the run: python -m tests.concurrency --operations {given.operations} --workers {given.workers}"
            f" --faults {given.faults} --seed {given.seed}"
        )
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
