"""python -m tests.hostile --requests 200000 --seed 1: that many hostile requests, straight into the functions.

With `--through http://127.0.0.1:8000` they go over HTTP to what `make run` serves. Exit code 1 if any is not answered
as it should be, or leaves something behind. `--only N` makes the Nth request of a seed alone, and shows it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.hostile.attacks import Attack, attack
from tests.hostile.straight import ROUND, SHOP, handlers
from tests.hostile.wire import Wire
from tests.simulation.progress import Progress

_SHOWN = 10


def straight(seed: int, numbers: range, *, quiet: bool = False) -> list[tuple[int, Attack, str]]:
    """(number, request, what is wrong) of each that failed."""
    progress = Progress(len(numbers), "requests", quiet=quiet)
    failed = []
    with handlers() as made:
        for done, number in enumerate(numbers, 1):
            if done % ROUND == 0:
                made.open()
            sent = attack(SHOP, seed, number)
            wrong = made.run(sent)
            if wrong:
                failed.append((number, sent, wrong))
            progress.add(1, f"{len(failed)} failed" if failed else "")
    return failed


def through(wire: Wire, seed: int, numbers: range, *, quiet: bool = False) -> list[tuple[int, Attack, str]]:
    """(number, request, what is wrong) of each that failed. Raises AssertionError if something was left behind."""
    progress = Progress(len(numbers), "requests", quiet=quiet)
    failed = []
    before = wire.stands()
    for number in numbers:
        sent = attack(wire.shop, seed, number)
        wrong = wire.run(sent)
        if wrong:
            failed.append((number, sent, wrong))
        progress.add(1, f"{len(failed)} failed" if failed else "")
    after = wire.stands()
    assert before == after, f"something was left behind:\n{before}\n{after}"
    return failed


def shown(failures: list[tuple[int, Attack, str]]) -> str:
    lines = []
    for number, sent, wrong in failures[:_SHOWN]:
        lines.append(f"request {number}: {sent.method} {sent.path[:200]} ({sent.what[:300]})\n  {wrong}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--through", metavar="URL")
    parser.add_argument("--only", type=int, metavar="N")
    options = parser.parse_args()
    numbers = range(options.requests) if options.only is None else range(options.only, options.only + 1)
    print(f"seed {options.seed}", flush=True)
    if options.only is not None:
        print(attack(SHOP, options.seed, options.only))
    if options.through:
        with Wire.to_local(options.through) as wire:
            failures = through(wire, options.seed, numbers)
    else:
        failures = straight(options.seed, numbers)
    print(shown(failures))
    for wrong, count in Counter(wrong[:60] for _, _, wrong in failures).most_common(_SHOWN):
        print(f"{count:7,} {wrong}")
    print(f"{len(numbers):,} requests of seed {options.seed}: {len(failures):,} not taken as they should be")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
