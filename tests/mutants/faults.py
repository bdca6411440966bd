"""Parses `faults.diff`, the list of deliberate faults.

Each fault begins with `## subject: fault`. A line `# node id` names a test that finds the fault; it runs first, because
the simulation would take longer. Each change is `@@ file`, relative to the package, with lines as in a diff without
line numbers: removed (-), added (+), and as much context ( ) as makes the place unique in the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

_TABLE = Path(__file__).with_name("faults.diff")


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces the lines `old` of a file by the lines `new`; both end with a line break."""

    file: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """Returns the changed text. Raises ValueError unless `old` occurs exactly once in it."""
        places = list(re.finditer(f"(?m)^{re.escape(self.old)}", text))
        if len(places) != 1:
            raise ValueError(f"its lines occur {len(places)} times in {self.file}:\n{self.old}")
        return text[: places[0].start()] + self.new + text[places[0].end() :]


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    edits: list[Edit]
    tests: tuple[str, ...] = ()


def load(text: str | None = None) -> list[Fault]:
    """The faults of `text`, by default those of `faults.diff`."""
    faults: list[Fault] = []
    file, old, new = "", "", ""

    def close() -> None:
        nonlocal old, new
        if old:
            faults[-1].edits.append(Edit(file, old, new))
        old = new = ""

    for number, line in enumerate((_TABLE.read_text() if text is None else text).splitlines(), 1):
        kind, content = line[:1], f"{line[1:]}\n"
        if line.startswith("## "):
            close()
            faults.append(Fault(line[3:], []))
        elif line.startswith("# "):
            faults[-1] = replace(faults[-1], tests=(*faults[-1].tests, line[2:]))
        elif line.startswith("@@ "):
            close()
            file = line[3:]
        elif kind in ("-", " "):
            old += content
            new += content if kind == " " else ""
        elif kind == "+":
            new += content
        elif line:
            raise ValueError(f"{_TABLE.name}, line {number}: {line}")
    close()
    return faults
