"""python -m tests.webhooks --histories 10000 --hostile 20000: plays histories of each platform, sends hostile bodies.

A history of a shop is made from its seed. Its webhooks arrive as the platform's do: late, twice, out of order, after
retries, or never. LTV must equal the shop's own net. The exit code is 1 if a history or a hostile body fails.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.simulation.progress import Progress
from tests.webhooks import hostile
from tests.webhooks.run import open_receiver, play
from tests.webhooks.shops import SHOPS

_SHOWN = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=0, help="number for each platform")
    parser.add_argument("--hostile", type=int, default=0, help="number of bodies")
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the bodies and of the first history; each later one has the next"
    )
    parser.add_argument("--platform", choices=list(SHOPS))
    options = parser.parse_args()
    failed = 0
    with open_receiver() as receiver:
        for platform in [options.platform] if options.platform else list(SHOPS):
            progress, failures = Progress(options.histories, f"histories of {platform}"), []
            for seed in range(options.seed, options.seed + options.histories):
                if (failure := play(receiver, platform, seed)) is not None:
                    failures.append(failure)
                progress.add(1, f"{len(failures)} failed" if failures else "")
            progress.clear()
            print(*failures[:_SHOWN], sep="\n\n")
            seeds = f"seeds {options.seed} to {options.seed + options.histories - 1}"
            print(f"{options.histories:,} histories of {platform}, {seeds}: {len(failures):,} failed")
            failed += len(failures)
        progress = Progress(options.hostile, "hostile bodies")
        wrong = list(hostile.attack(receiver, options.seed, options.hostile, progress))
        print(*wrong[:_SHOWN], sep="\n")
        print(f"{options.hostile:,} hostile bodies of seed {options.seed}: {len(wrong):,} handled wrongly")
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
