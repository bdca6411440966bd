"""Takes out of a layer what no function ever imports. `python trim.py FOLDER`; licences stay."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

# Scripts. Old bytecode goes too.
UNUSED = ("bin",)


def trim(folder: Path) -> None:
    for name in UNUSED:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    for info in folder.glob("*.dist-info"):
        for path in info.iterdir():
            if path.is_file() and path.name not in ("METADATA", "LICENSE"):
                path.unlink()


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
