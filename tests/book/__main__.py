"""python -m tests.book [--histories N] [--seed S]: exit code 1 if any report is wrong."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.book.simulate import simulate
from tests.simulation.command import run_histories

if __name__ == "__main__":
    sys.exit(run_histories("tests.book", __doc__, simulate))
