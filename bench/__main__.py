"""Measures start time, run time and AWS calls of the functions. Prints tables and writes a JSON file.

Functions are compared with the same AWS calls by bare boto3: cold starts by instructions (by CPU where valgrind is not
installed), warm invocations by CPU. Calls and units are counted. Neither AWS nor a network is needed.
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

from bench import calls, cold, growth, limits, packages, processing, sizes, warm
from bench.meter import UNIT, Meter
from bench.scenes import ROOT
from tests.simulation.progress import Progress

PARTS = ("calls", "cold", "built", "packages", "warm", "processing", "growth", "sizes")
_COLD = {"ratio": 2, "ours": 1, "bare": 1}  # columns of cold starts, with their decimals


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=15, help="rounds of what valgrind does not count; `warm` makes 20 times as many"
    )
    parser.add_argument("--most", type=int, default=10_000, help="orders of the largest account of `growth`")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "result.json")
    options = parser.parse_args()
    if "built" in options.only and not cold.can_be_built():
        options.only.remove("built")
        print(
            "Not measured: the built functions (they need Python 3.13, `sam build`, and an earlier run of tests/built)"
        )
    result: dict[str, Any] = {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(), "machine": platform.machine(), "unit_of_processes": UNIT,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        meter = Meter(Path(folder), options.rounds)
        for part, measured in (("cold", cold.measured), ("built", cold.built), ("packages", packages.measured)):
            if part in options.only:
                result[part] = measured(meter)
    if "warm" in options.only:
        progress = Progress(len(warm.NAMES), "warm functions")
        result["warm"] = warm.measured(options.rounds * 20, progress.add)
        progress.clear()
    if "processing" in options.only:
        result["processing"] = processing.measured(options.rounds)
    if "calls" in options.only:
        bills = calls.measured(calls.warmed()) | {"purge of 500 v3 orders": calls.purged(500)}
        result["calls"] = {name: bill.per_order() for name, bill in bills.items()}
    if "growth" in options.only:
        result["growth"] = growth.measured(options.most)
    if "sizes" in options.only:
        result["zipped_bytes"] = sizes.measured()
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    _print(result)
    print(f"\nAll results: {options.json}")
    exceeded = list(limits.exceeded(result))
    print(*(f"OVER THE LIMIT: {line}" for line in exceeded), sep="\n")
    return 1 if exceeded else 0


def _print(result: dict[str, Any]) -> None:
    if "cold" in result:
        print(f"\nCold: a fresh process to its first answer, and the same AWS calls by bare boto3 ({UNIT})")
        _table(result["cold"], _COLD)
    if "built" in result:
        print("\nThe same for the functions that sam build made, started by AWS's runtime client")
        _table(result["built"], _COLD)
    if "packages" in result:
        print(f"\nCost of imports in a process with a DynamoDB client, as a ratio to bare boto3's submit ({UNIT})")
        _table(result["packages"], {"ratio": 2, "cost": 1})
    if "warm" in result:
        print("\nWarm: CPU of one invocation, and of the same AWS calls by bare boto3 clients (medians in ms)")
        print("process 10: compared with a loop that writes a transaction and an outcome for each order;")
        print("process 10, same calls: compared with the calls that the function makes for all ten")
        _table(result["warm"], {"ratio": 2, "ratio_of_minima": 2, "ours_ms": 2, "bare_ms": 2})
    if "processing" in result:
        print("\nTen orders of ten people at once, and one after another")
        _table({"ten orders": result["processing"]}, {"ratio": 2, "engine_ms": 0, "together_ms": 0, "one_by_one_ms": 0})
    if "calls" in result:
        print("\nAWS calls and units per order, in a warm function")
        rows = {name: one | _by_service(one["calls"]) for name, one in result["calls"].items()}
        _table(rows, {"dynamodb": 2, "sqs": 3, "write_units": 2, "read_units": 2})
    if "growth" in result:
        print("\nWrite and read units per order, by the number of orders in the account")
        rows = {name: {f"{n:,}": units for n, units in found.items()} for name, found in result["growth"].items()}
        _table(rows, dict.fromkeys(next(iter(rows.values())), 2))
    if "zipped_bytes" in result:
        zipped = ", ".join(f"{name} {count:,}" for name, count in result["zipped_bytes"].items())
        print(f"\nZipped: {zipped or 'no build found: run sam build'}")


def _by_service(calls_: dict[str, float]) -> dict[str, float]:
    made = {"dynamodb": 0.0, "sqs": 0.0}
    for call, count in calls_.items():
        made[call.partition(" ")[0]] += count
    return made


def _table(rows: dict[str, Any], columns: dict[str, int]) -> None:
    """`columns`: decimals by name. A row that is a text says why there are no figures."""
    print(f"  {'':<42}" + "".join(f"{name.replace('_', ' '):>16}" for name in columns))
    for name, row in rows.items():
        if isinstance(row, dict):
            row = "".join(f"{row[column]:>16.{places}f}" for column, places in columns.items())
        print(f"  {name:<42}{row:>16}")


if __name__ == "__main__":
    sys.exit(main())
