"""python -m tests.size: prints the cost of reads and of pages of jobs (see __init__.py)."""

from __future__ import annotations

import argparse

from tests.simulation.progress import Progress
from tests.size.measure import fill, pages, reads, shown


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.size")
    parser.add_argument("--orders", type=int, default=100_000, help="orders of the account")
    parser.add_argument("--of-one-person", type=int, default=100_000, help="how many of the orders are of one person")
    parser.add_argument("--call-seconds", type=float, default=0.01, help="duration of a call in a page of a job")
    options = parser.parse_args()
    of_one = min(options.of_one_person, options.orders)
    progress = Progress(options.orders, "orders")
    made = fill(options.orders, of_one, progress.add)
    progress.clear()
    print(f"An account with {options.orders:,} orders, {of_one:,} of them of one person\n")
    print(shown(reads(made)))
    print(f"\nPages of jobs, if each call takes {options.call_seconds * 1000:g} ms\n")
    print(shown(pages(made, options.call_seconds)))


if __name__ == "__main__":
    main()
