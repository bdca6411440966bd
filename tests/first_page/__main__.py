"""python -m tests.first_page [--requests 100 1000] [--seed 1]: prints the cost of the first page of transactions and of
one order's requests, for each number of stored requests."""

from __future__ import annotations

import argparse

from tests.first_page.costs import cost_of_reads


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.first_page")
    parser.add_argument("--requests", nargs="+", type=int, default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for count in options.requests:
        shown = "  ".join(
            f"{name}: {units:g} units, {calls} calls"
            for name, (units, calls) in cost_of_reads(count, options.seed).items()
        )
        print(f"{count:>7} requests  {shown}", flush=True)


if __name__ == "__main__":
    main()
