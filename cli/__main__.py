"""`python -m cli`: runs the tillbook command from a checkout, where only its dependencies are installed."""

from __future__ import annotations

import sys
from pathlib import Path

# The layer's package is not installed in a checkout.
sys.path.append(str(Path(__file__).resolve().parent.parent / "layers" / "shared"))

from cli.tillbook_cli.main import tillbook

if __name__ == "__main__":
    tillbook(prog_name="tillbook")
