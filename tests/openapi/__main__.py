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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=150)
    parser.add_argument("--examples", type=int, default=12, help="most cases of each operation and phase")
    parser.add_argument("--with", dest="program", default=str(ROOT / ".venv-ci" / "bin" / "schemathesis"))
    options = parser.parse_args()
    with Stack() as stack:
        seed(stack)
        command = [
            options.program, "--config-file", str(CONFIGURATION), "run", f"{stack.url}/openapi.json",
            "--seed", str(options.seed), "--max-examples", str(options.examples), "--max-time", str(options.seconds),
            "--continue-on-failure", "--request-timeout", "60",
        ]  # fmt: skip
        ran = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    return ran.returncode


if __name__ == "__main__":
    raise SystemExit(main())
