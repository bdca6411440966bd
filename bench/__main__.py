"""`make bench`: how fast the functions start and work and what they ask of AWS, in one table and one JSON file.

Cold and warm times are ratios to bare boto3 calls in the same run, taken in turns; calls and units are counted. Where a
machine is busy, the ratios of CPU say the most. Nothing here needs AWS or a network.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import calls, cold, growth, processing, sizes, warm
from bench.scenes import ROOT
from tests.simulation.progress import Progress

PARTS = ("calls", "cold", "built", "warm", "processing", "growth", "sizes")
_COLD = {"ratio": 2, "ratio_of_minima": 2, "cpu_ratio": 2, "import_ratio": 2, "ours_ms": 1, "bare_ms": 1}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="fresh processes of each kind")
    parser.add_argument("--most", type=int, default=10_000, help="most orders of the account that grows")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "result.json")
    options = parser.parse_args()
    if "built" in options.only and not cold.can_be_built():
        options.only.remove("built")
        print("Not measured: the built functions (they need Python 3.13, `sam build`, and tests/built once before)")
    processes = 3 * ("cold" in options.only) + 2 * ("built" in options.only)
    kinds = len(cold.played()) if processes else 0
    steps = (
        kinds * options.rounds * processes + len(warm.NAMES) * ("warm" in options.only) + ("processing" in options.only)
    )
    progress = Progress(max(steps, 1), "steps")
    result: dict[str, Any] = {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(), "machine": platform.machine(),
    }  # fmt: skip
    for part, measured in (("cold", cold.measured), ("built", cold.built)):
        if part in options.only:
            with tempfile.TemporaryDirectory() as folder:
                found = measured(options.rounds, Path(folder), progress.add)
            result[part] = {one.name: one.shown() for one in found}
    if "warm" in options.only:
        result["warm"] = warm.measured(options.rounds * 20, progress.add)
    if "processing" in options.only:
        result["processing"] = processing.measured(options.rounds)
        progress.add()
    progress.clear()
    if "calls" in options.only:
        result["calls"] = {name: bill.per_order() for name, bill in calls.measured(calls.warmed()).items()}
    if "growth" in options.only:
        result["growth"] = growth.measured(options.most)
    if "sizes" in options.only:
        result["zipped_bytes"] = sizes.measured()
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    _print(result)
    print(f"\nAll of it: {options.json}")
    return 0


def _print(result: dict[str, Any]) -> None:
    if "cold" in result:
        print("\nCold: a fresh process to its first answer, and the same AWS calls by bare boto3 (medians in ms)")
        _table(result["cold"], _COLD)
    if "built" in result:
        print("\nThe same from what sam build made, started by AWS's runtime client")
        _table(result["built"], _COLD)
    if "warm" in result:
        print("\nWarm: CPU of one invocation, and of the same AWS calls by bare boto3 clients (medians in ms)")
        print("process 10: against a transaction and an outcome for each order, as a loop would write them")
        _table(result["warm"], {"ratio": 2, "ratio_of_minima": 2, "ours_ms": 2, "bare_ms": 2})
    if "processing" in result:
        print("\nTen orders of ten people at once, and one after another")
        _table({"ten orders": result["processing"]}, {"ratio": 2, "engine_ms": 0, "together_ms": 0, "one_by_one_ms": 0})
    if "calls" in result:
        print("\nAn order's AWS calls and units, in a warm function")
        rows = {name: one | _made(one["calls"]) for name, one in result["calls"].items()}
        _table(rows, {"dynamodb": 2, "sqs": 3, "write_units": 2, "read_units": 2})
    if "growth" in result:
        print("\nUnits an order, writes and reads, by how many orders the account has")
        rows = {name: {f"{n:,}": units for n, units in found.items()} for name, found in result["growth"].items()}
        _table(rows, dict.fromkeys(next(iter(rows.values())), 2))
    if "zipped_bytes" in result:
        told = ", ".join(f"{name} {count:,}" for name, count in result["zipped_bytes"].items())
        print(f"\nZipped: {told or 'no build here: sam build'}")


def _made(calls_: dict[str, float]) -> dict[str, float]:
    made = {"dynamodb": 0.0, "sqs": 0.0}
    for call, count in calls_.items():
        made[call.partition(" ")[0]] += count
    return made


def _table(rows: dict[str, dict[str, Any]], columns: dict[str, int]) -> None:
    """`columns`: name and decimals."""
    print(f"  {'':<34}" + "".join(f"{name.replace('_', ' '):>16}" for name in columns))
    for name, row in rows.items():
        print(f"  {name:<34}" + "".join(f"{row[column]:>16.{places}f}" for column, places in columns.items()))


if __name__ == "__main__":
    sys.exit(main())
