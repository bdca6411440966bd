"""python -m tests.proofs [scenario ...] [--without RULE]: explores scenarios; exit code 1 if any fails."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.proofs.rules import RULES, conditions
from tests.proofs.scenarios import SCENARIOS


def main() -> int:
    rules = "\n".join(f"  {name}: {without}" for name, without in RULES.items())
    rules += f"\n  {', '.join(conditions())}: the code writes without this condition."
    parser = argparse.ArgumentParser(
        "python -m tests.proofs", description=__doc__, epilog=f"Rules, and what happens without each:\n{rules}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help="the scenarios to explore; all by default")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=[*RULES, *conditions()],
        metavar="RULE",
        help="leave out this rule",
    )
    parser.add_argument("--shortest", action="store_true", help="search for the shortest trace, which takes longer")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(unknown)}. There are: {', '.join(SCENARIOS)}")
    total, wrong = [0, 0, 0, 0.0], 0
    for name in options.scenarios or SCENARIOS:
        report = SCENARIOS[name].run(*options.without, shortest=options.shortest)
        counts = report.states, report.transitions, report.ends, report.seconds
        total = [a + b for a, b in zip(total, counts, strict=True)]
        verdict = f"WRONG: {report.wrong}" if report.wrong else "holds"
        print(f"{name}: {verdict}; {_counted(*counts)}", *report.trace, sep="\n    ", flush=True)
        wrong += bool(report.wrong)
    print(f"{len(options.scenarios or SCENARIOS)} scenarios, {wrong} wrong; {_counted(*total)}")
    return 1 if wrong else 0


def _counted(states: float, transitions: float, ends: float, seconds: float) -> str:
    return f"{states:,} states, {transitions:,} transitions, {ends:,} ends, {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
