"""python -m tests.announcements [--histories N] [--seed S]: exit code 1 if a receiver ends with wrong values."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.announcements.simulate import simulate
from tests.simulation.command import run_histories

if __name__ == "__main__":
    sys.exit(run_histories("tests.announcements", __doc__, simulate))
