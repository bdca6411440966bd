"""How far an import came: a small file beside the imported one, replaced at once and on the disk before it counts."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .rows import Place

_VERSION = 1


class NotTheSame(Exception):
    """The state is of another import; the message says what differs."""


@dataclass(frozen=True)
class Identity:
    """What an import is of and to: each by its name in messages. Hashes and names, no keys."""

    file: str  # SHA-256
    mapping: str  # SHA-256
    api: str
    url: str
    account: str
    provider: str


@dataclass(frozen=True)
class State:
    """`offset` and `line`: up to there the API took every good order. Counts of orders and events since the begin."""

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

    def moved(self, **changes: Any) -> State:
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
    if os.name == "posix":  # elsewhere folders cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def resumed(path: Path, identity: Identity) -> State | None:
    """The state of this import; None if it never began. Raises NotTheSame."""
    try:
        shape = json.loads(path.read_text("utf-8"))
        found = State(**{**shape, "identity": Identity(**shape["identity"]), "_path": path})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, LookupError):
        raise NotTheSame(f"{path} is not the state of an import. Move it away, or give another --state.") from None
    differ = [
        name for name in Identity.__dataclass_fields__ if getattr(found.identity, name) != getattr(identity, name)
    ]
    if found.version != _VERSION:
        differ.append("version")
    if differ:
        what = ", ".join("the file itself" if name == "file" else name for name in differ)
        raise NotTheSame(
            f"{path} is of an import that differs in: {what}. To go on with that one, give what was given then. "
            "To begin anew, delete it: what was sent already counts once all the same."
        )
    return found


def begun(path: Path, identity: Identity, counts: dict[str, int]) -> State:
    return State(identity, _path=path).moved(**counts)
