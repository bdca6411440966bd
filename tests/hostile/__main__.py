"""python -m tests.hostile --requests 200000 --seed 1: calls the functions with that many hostile requests.

With `--through http://127.0.0.1:8000` the requests are sent over HTTP to the stack of `make run`. The exit code is 1 if
an answer breaks the contract, or if a request leaves more than the record of its rejection. `--only N` sends only
request N (from 0) of a seed, and prints it as it is sent in this process.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.hostile.attacks import attack
from tests.hostile.in_process import ROUND, SHOP, handlers
from tests.hostile.targets import Attack
from tests.hostile.wire import HttpClient
from tests.simulation.progress import Progress

_SHOWN = 10  # failed requests, and kinds of faults, that are printed


def in_process(seed: int, numbers: range, *, quiet: bool = False) -> list[tuple[int, Attack, str]]:
    """Calls the functions in this process. Returns (number, request, fault) of each request that failed."""
    progress = Progress(len(numbers), "requests", quiet=quiet)
    failed = []
    with handlers() as functions:
        for done, number in enumerate(numbers, 1):
            if done % ROUND == 0:
                functions.open()
            sent = attack(SHOP, seed, number)
            wrong = functions.run(sent)
            if wrong:
                failed.append((number, sent, wrong))
            progress.add(1, f"{len(failed)} failed" if failed else "")
    return failed


def through(client: HttpClient, seed: int, numbers: range, *, quiet: bool = False) -> list[tuple[int, Attack, str]]:
    """Sends the requests over HTTP. Returns (number, request, fault) of each request that failed.

    Raises AssertionError if the requests left data behind.
    """
    progress = Progress(len(numbers), "requests", quiet=quiet)
    failed = []
    before = client.state()
    for number in numbers:
        sent = attack(client.shop, seed, number)
        wrong = client.run(sent)
        if wrong:
            failed.append((number, sent, wrong))
        progress.add(1, f"{len(failed)} failed" if failed else "")
    after = client.state()
    assert before == after, f"the requests left data behind:\n{before}\n{after}"
    return failed


def shown(failures: list[tuple[int, Attack, str]]) -> str:
    """Two lines for each of the first failures: the request and its fault."""
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
        with HttpClient.to_local(options.through) as client:
            failures = through(client, options.seed, numbers)
    else:
        failures = in_process(options.seed, numbers)
    print(shown(failures))
    for wrong, count in Counter(wrong[:60] for _, _, wrong in failures).most_common(_SHOWN):
        print(f"{count:7,} {wrong}")
    print(f"{len(numbers):,} requests of seed {options.seed}: {len(failures):,} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
