"""The ceilings that `make bench` checks. They are close to the measured values. Raise one only with a reason.

Ratios of cold starts are checked only if instructions are counted, and under the functions' own Python, because CPU
times of a shared machine vary. Ratios of warm functions compare CPU times, which vary even if taken in turns, so their
ceilings are higher.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from bench.meter import UNIT

# Cold starts, as multiples of bare boto3's. submit and edit import the rules that check values; process imports the
# jobs, and the book, from which a purge deletes.
STARTS = {"submit": 1.36, "edit": 1.36, "delete": 0.98, "activity": 1.35, "process": 1.12, "read": 1.05}
WARM = {"submit": 1.5, "edit": 1.5, "delete": 1.5, "activity": 2.0, "process 10, same calls": 1.35}
LAYER_BYTES = 6_500_000


def exceeded(result: dict[str, Any]) -> Iterator[str]:
    """A line for each ceiling that the result exceeds."""
    # Sources run under this Python, built functions always under Python 3.13.
    parts = ["built", *(["cold"] if sys.version_info[:2] == (3, 13) else [])] if "instructions" in UNIT else []
    for part in parts:
        for name, most in STARTS.items() if part in result else ():
            if (ratio := result[part][name]["ratio"]) > most:
                yield f"{part}, {name}: {ratio} of a bare boto3 process, at most {most}"
    for name, most in WARM.items() if "warm" in result else ():
        if (ratio := result["warm"][name]["ratio"]) > most:
            yield f"warm, {name}: {ratio} of bare calls, at most {most}"
    for name, size in result.get("zipped_bytes", {}).items():
        if name.startswith("Layer") and size > LAYER_BYTES:
            yield f"{name}: {size:,} bytes zipped, at most {LAYER_BYTES:,}"
