"""Read and write units per order, in accounts with more and more orders."""

from __future__ import annotations

from bench import calls
from tests.simulation.progress import Progress

SIZES = (100, 1_000, 10_000, 100_000)
_KINDS = ("v1 submit, with KeepBook", "v1 edit, with KeepBook", "v1 delete, with KeepBook", "v3 process one",
          "v3 process a refund", "v3 process 1,000")  # fmt: skip


def measured(most: int) -> dict[str, dict[int, float]]:
    """Write plus read units per order, by kind of request and number of orders in the account."""
    found: dict[str, dict[int, float]] = {name: {} for name in _KINDS}
    sizes = [size for size in SIZES if size <= most]
    progress = Progress(sum(sizes), "orders of accounts that grow")
    for size in sizes:
        bills = calls.measured(calls.warmed(size, progress.add))
        for name in _KINDS:
            found[name][size] = (bills[name].writes + bills[name].reads) / bills[name].orders
    progress.clear()
    return found
