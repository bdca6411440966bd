"""python -m tests.import_run --orders 50000 --seed 1: imports a history, kills the import, resumes and repeats it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from local.stack import Stack
from tests.end_to_end.shop import Shop
from tests.import_run.run import alone, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.import_run", description=__doc__)
    parser.add_argument("--orders", type=int, default=50_000)
    parser.add_argument("--people", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--once", action="store_true", help="do not import the whole history a second time")
    parser.add_argument(
        "--alone",
        action="store_true",
        help="use an API that accepts everything instead of a stack, to measure rate and memory",
    )
    given = parser.parse_args()
    if given.alone:
        with tempfile.TemporaryDirectory(prefix="tillbook-import-") as folder:
            print(alone(Path(folder), orders=given.orders, seed=given.seed, people=given.people))
        return 0
    with Stack(given.port) as stack, tempfile.TemporaryDirectory(prefix="tillbook-import-") as folder:
        result = run(
            Shop.open(stack), Path(folder), orders=given.orders, seed=given.seed, people=given.people, once=given.once
        )
    print(result)
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
