"""python -m tests.openapi [--seed 1] [--seconds 150]: checks a local stack against its OpenAPI document.

schemathesis reads the served document, sends requests that it allows and others that it does not, and follows its
links: from an order to its edit and deletion, from an event to its outcome, from a person to their timeline. The exit
code is 1 if an answer differs from the document. schemathesis is in .venv-ci (`make setup-ci`); --with is the path of
another one.
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
# Not called along the links: these operations delete the orders that other calls use, or start a job each time.
_JOBS = ("purge", "erasePerson", "rebuildAudience")
# Checks that need a schema to say exactly which bodies are valid.
_VALIDITY = "negative_data_rejection,positive_data_acceptance"
# Operations whose requests name a person.
_NAMING = ("recordActivity", "recordActivities", "matchPeople")


def _without(names: tuple[str, ...]) -> list[str]:
    return [f"--exclude-operation-id={name}" for name in names]


def _only(names: tuple[str, ...]) -> list[str]:
    return [f"--include-operation-id={name}" for name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=150)
    parser.add_argument("--examples", type=int, default=12, help="maximum of cases for each operation and phase")
    parser.add_argument("--with", dest="program", default=str(ROOT / ".venv-ci" / "bin" / "schemathesis"))
    options = parser.parse_args()
    runs = [  # arguments of schemathesis, and the most seconds
        (["--phases", "examples,fuzzing"], options.seconds // 3),
        (
            ["--phases", "coverage", "--exclude-checks", "negative_data_rejection", *_without(_NAMING)],
            options.seconds // 4,
        ),
        # Without _VALIDITY: the schema allows bodies that the API refuses, such as an id of "0" as the only name of a
        # person, or 1,000 events of more than 4 MiB. The coverage phase sends them: it varies one field at a time.
        (["--phases", "coverage", "--exclude-checks", _VALIDITY, *_only(_NAMING)], options.seconds // 12),
        (["--phases", "stateful", *_without(_JOBS)], options.seconds // 3),
    ]
    exit_code = 0
    with Stack() as stack:
        seed(stack)
        stack.throttle(None)
        for arguments, seconds in runs:
            command = [
                options.program, "--config-file", str(CONFIGURATION), "run", f"{stack.url}/openapi.json", *arguments,
                "--seed", str(options.seed), "--max-examples", str(options.examples), "--max-time", str(seconds),
                "--continue-on-failure", "--request-timeout", "60",
            ]  # fmt: skip
            ran = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
            exit_code = exit_code or ran.returncode
    return exit_code


if __name__ == "__main__":
    raise SystemExit(main())
