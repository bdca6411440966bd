"""Takes out of a layer what no function ever imports. `python trim.py FOLDER`; licences stay."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

# What Powertools has besides logs and metrics, and scripts. Old bytecode goes too.
UNUSED = ("aws_lambda_powertools/event_handler", "bin")


# Of Powertools' utilities the logger asks for one.
UTILITIES, KEPT = "aws_lambda_powertools/utilities", ("__init__.py", "jmespath_utils")


def trim(folder: Path) -> None:
    others = [f"{UTILITIES}/{path.name}" for path in (folder / UTILITIES).glob("*") if path.name not in KEPT]
    for name in (*UNUSED, *others):
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
