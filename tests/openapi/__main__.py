"""python -m tests.openapi [--seed 1] [--seconds 150]: schemathesis takes a local stack at its word.

It reads the served document and sends what it allows and what it does not, and follows its links from an order to its
edit and its end, from an event to its outcome, from a person to their timeline. Exit code 1 if an answer is not as the
document says. schemathesis is of .venv-ci (`make setup-ci`); another one is named by --with.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from local.seed import seed
from local.stack import ROOT, Stack

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
# Along the links, but not through what takes the orders away from under them, or starts a job each time.
_JOBS = ("purge", "erasePerson", "rebuildAudience")
_LENIENT = "negative_data_rejection,positive_data_acceptance"
_NAMING = ("recordActivity", "recordActivities", "matchPeople")


def _but(names: tuple[str, ...]) -> list[str]:
    return [f"--exclude-operation-id={name}" for name in names]


def _only(names: tuple[str, ...]) -> list[str]:
    return [f"--include-operation-id={name}" for name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=150)
    parser.add_argument("--examples", type=int, default=12, help="most cases of each operation and phase")
    parser.add_argument("--with", dest="program", default=str(ROOT / ".venv-ci" / "bin" / "schemathesis"))
    options = parser.parse_args()
    parts = [
        (["--phases", "examples,fuzzing"], options.seconds // 3),
        (["--phases", "coverage", "--exclude-checks", "negative_data_rejection", *_but(_NAMING)], options.seconds // 4),
        # It looks at one field at a time: "0" as an id names nobody, and 1,000 events exceed 4 MiB.
        (
            [
                "--phases",
                "coverage",
                "--exclude-checks",
                "negative_data_rejection,positive_data_acceptance",
                *_only(_NAMING),
            ],
            options.seconds // 12,
        ),
        (["--phases", "stateful", *_but(_JOBS)], options.seconds // 3),
    ]
    ended = 0
    with Stack() as stack:
        seed(stack)
        stack.throttle(None)
        for arguments, seconds in parts:
            command = [
                options.program, "--config-file", str(CONFIGURATION), "run", f"{stack.url}/openapi.json", *arguments,
                "--seed", str(options.seed), "--max-examples", str(options.examples), "--max-time", str(seconds),
                "--continue-on-failure", "--request-timeout", "60",
            ]  # fmt: skip
            ran = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
            ended = ended or ran.returncode
    return ended


if __name__ == "__main__":
    raise SystemExit(main())
