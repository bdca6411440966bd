"""`python -m cli`: the tillbook command out of a checkout, with nothing installed but its dependencies."""

from __future__ import annotations

import sys
from pathlib import Path

# The package of the layer, which is not installed in a checkout.
sys.path.append(str(Path(__file__).resolve().parent.parent / "layers" / "shared"))

from cli.tillbook_cli.main import tillbook

if __name__ == "__main__":
    tillbook(prog_name="tillbook")
