"""`python trim.py FOLDER`: removes the files of a layer that no function needs, except licences."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

_POWERTOOLS = ("event_handler", *(f"utilities/{part}" for part in (
    "auth_alpha", "batch", "circuit_breaker", "data_masking", "feature_flags", "idempotency", "kafka", "metadata",
    "parameters", "parser", "serialization.py", "streaming", "validation",
)))  # fmt: skip
# Scripts; parts of Powertools; pydantic's version 1, and its plug-ins for mypy and Hypothesis.
UNUSED = (
    "bin", *(f"aws_lambda_powertools/{part}" for part in _POWERTOOLS), "pydantic/v1", "pydantic/mypy.py",
    "pydantic/_hypothesis_plugin.py",
)  # fmt: skip


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
