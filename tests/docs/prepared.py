"""What must be there before the commands of some pages make sense, and no command can make."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.shop import Shop


def prepare(page: str, shop: Shop, folder: Path) -> None:
    """`folder` is where the page's shell will work, in `work`."""
