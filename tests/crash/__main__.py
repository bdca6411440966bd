"""python -m tests.crash --rounds 20 --seed 1: kills functions while they work; exit code 1 if a round is not exact."""

from __future__ import annotations

import argparse
import sys
import time

from local.stack import ROOT

# The package of the layer, which functions find under /opt/python.
sys.path.append(str(ROOT / "layers" / "shared"))

from tests.crash.rounds import crashing_stack


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--events", type=int, default=2_000, help="in each round")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the first round")
    given = parser.parse_args()
    rounds = []
    with crashing_stack() as crashes:
        for seed in range(given.seed, given.seed + given.rounds):
            rounds.append(crashes.round(seed, given.events))
            print(f"{len(rounds)}/{given.rounds}  {rounds[-1]}", flush=True)
    failed = [found.seed for found in rounds if found.faults]
    print(
        f"{len(rounds)} rounds with {sum(r.events for r in rounds):,} events: {sum(r.kills for r in rounds)} kills of "
        f"ProcessOrders and KeepBook ({sum(r.kills_in_a_batch for r in rounds)} while ProcessOrders worked on a batch) "
        f"and {sum(r.kills_of_v1 for r in rounds)} of v1 handlers; "
        + ("every event and request was applied exactly once" if not failed else f"NOT EXACT, seeds {failed}")
    )
    for seed in failed:
        print(f"to repeat the round: python -m tests.crash --rounds 1 --events {given.events} --seed {seed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
