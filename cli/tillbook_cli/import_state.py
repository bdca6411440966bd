"""Stores the progress of an import in a small file, which is replaced atomically and synced to disk."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .rows import Place

_VERSION = 1


class OtherImport(Exception):
    """The state belongs to another import; the message says what differs."""


@dataclass(frozen=True)
class Identity:
    """The source and target of an import. Messages name the fields that differ."""

    file: str  # SHA-256
    mapping: str  # SHA-256
    api: str
    url: str
    account: str
    provider: str


@dataclass(frozen=True)
class State:
    """The progress. The API has accepted or refused every good order up to `offset` (bytes) and `line`.

    `total` to `skipped` are counts of the check. All runs together have sent `orders`. Of these, the API has refused
    `refused`, and has accepted `events` of the others. `finished` is the time of completion, ISO 8601, or empty.
    """

    identity: Identity
    total: int = 0
    total_events: int = 0
    rejected: int = 0
    skipped: int = 0
    offset: int = 0
    line: int = 0
    orders: int = 0
    events: int = 0
    refused: int = 0
    finished: str = ""
    version: int = _VERSION
    _path: Path = field(default=Path(), compare=False)

    @property
    def place(self) -> Place:
        return Place(self.offset, self.line)

    def changed(self, **changes: Any) -> State:
        return replace(self, **changes)

    def save(self) -> None:
        shape = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        fresh = self._path.with_name(f"{self._path.name}.new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(shape, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        _sync_folder(self._path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # other systems cannot open folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def resumed(path: Path, identity: Identity) -> State | None:
    """The saved state of this import; None if it has not begun. Raises OtherImport."""
    try:
        shape = json.loads(path.read_text("utf-8"))
        found = State(**{**shape, "identity": Identity(**shape["identity"]), "_path": path})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, LookupError):
        raise OtherImport(f"{path} is not the state of an import. Move it away, or give another --state.") from None
    differ = [
        name for name in Identity.__dataclass_fields__ if getattr(found.identity, name) != getattr(identity, name)
    ]
    if found.version != _VERSION:
        differ.append("version")
    if differ:
        what = ", ".join("the file itself" if name == "file" else name for name in differ)
        raise OtherImport(
            f"{path} belongs to an import that differs in: {what}. To continue that import, use its options. To begin "
            "a new one, move the file away. Orders that were sent are kept. An order that is sent again to the same "
            "API and provider counts once; sent to the other API or another provider, it counts a second time. A "
            "changed row with an action is a new event."
        )
    return found


def begun(path: Path, identity: Identity, counts: dict[str, int]) -> State:
    """The state of an import that has sent nothing yet. `counts` are the results of its check."""
    return State(identity, _path=path).changed(**counts)
