"""python -m tests.load --seconds 120 --times 3 --seed 1: overloads the local stack and checks every request."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from local.stack import Stack
from tests.end_to_end.shop import Shop
from tests.load.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=120, help="duration of the load; the stack is measured for a sixth of it"
    )
    parser.add_argument("--times", type=float, default=3, help="the load, as a multiple of what the stack carries")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    with Stack() as stack:
        result = run(
            Shop.open(stack), seconds=given.seconds, times=given.times, seed=given.seed, connections=given.connections
        )
    print(result)
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
