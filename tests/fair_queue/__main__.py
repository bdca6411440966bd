"""Prints waits in seconds: without a backlog (alone), and behind it in a fair and in an unfair queue.

Exit code 1 if an order of another account waits for more than a second in a fair queue.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.fair_queue.model import waits
from tests.fair_queue.scenarios import SCENARIOS, WORKERS


def main() -> int:
    worst = 0.0
    print(f"{'backlog':56} {'alone':>8} {'fair':>8} {'unfair':>8}")
    for name, backlog, other in SCENARIOS:
        alone = waits([other], WORKERS, fair=True)[other.account]
        fair, unfair = (waits([*backlog, other], WORKERS, fair=value)[other.account] for value in (True, False))
        worst = max(worst, fair)
        print(f"{name:56} {alone:7.2f}s {fair:7.2f}s {unfair:7.2f}s")
    return int(worst > 1)


sys.exit(main())
