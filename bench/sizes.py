"""Bytes of the layer and of each function as zipped for Lambda, from the folder of `sam build` if it exists."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from bench.scenes import ROOT

BUILT = ROOT / ".aws-sam" / "build"


def measured() -> dict[str, int]:
    """Bytes by folder. Empty without a build, which `make bench` reports."""
    folders = sorted(p for p in BUILT.glob("*") if p.is_dir()) if BUILT.exists() else []
    return {folder.name: zipped(folder) for folder in folders}


def zipped(folder: Path) -> int:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return out.tell()
