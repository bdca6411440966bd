"""The parts of a Markdown page: fenced blocks, code spans, links and anchors."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.stack import ROOT

SHELLS = frozenset({"sh", "bash", "console", "shell"})
_FOREIGN = frozenset(
    {"node_modules", ".venv", ".venv-ci", ".venv-audit", ".aws-sam", ".git", ".local", ".pytest_cache"}
)
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<info>[^`]*)$")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_SOURCE = re.compile(r"\b(?:src|srcset|href)=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        line: the number of its first line on the page.
        options: the words after the language. `proof=make` is {"proof": "make"}; a word without `=` has the value "".
        output: of a shell block: the block below that has the option `output`; only empty lines may be between them.
    """

    page: Path
    line: int
    language: str
    options: dict[str, str]
    text: str
    output: Block | None = None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page.name}:{self.line}"


def pages(root: Path = ROOT) -> list[Path]:
    """All Markdown files of the repository, without those of installed packages and builds."""
    return sorted(path for path in root.rglob("*.md") if not _FOREIGN.intersection(path.relative_to(root).parts))


def in_reading_order() -> list[Path]:
    """All pages: README.md, docs/README.md, then the pages that docs/README.md links, in order, then the others."""
    first = [ROOT / "README.md", ROOT / "docs" / "README.md"]
    listed = [(first[1].parent / target.partition("#")[0]).resolve() for _, target in links(first[1])]
    known = pages()
    return list(dict.fromkeys([*first, *(page for page in listed if page in known), *known]))


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page. Raises ValueError for a block that is never closed."""
    found: list[Block] = []
    ends: list[int] = []  # of each block found, with its output: the index of the line after it
    lines = page.read_text().splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        number += 1
        if not opening:
            continue
        start, indent, fence = number, len(opening["indent"]), opening["fence"]
        while number < len(lines) and lines[number].strip() != fence:
            number += 1
        if number == len(lines):
            raise ValueError(f"{page.name}:{start}: the block is never closed")
        language, *words = opening["info"].split() or [""]
        options = {name: value for name, _, value in (word.partition("=") for word in words)}
        text = "\n".join(line[indent:] for line in lines[start:number])
        block = Block(page, start, language, options, text)
        adjacent = bool(found) and not any(line.strip() for line in lines[ends[-1] : start - 1])
        if "output" in options and adjacent and found[-1].language in SHELLS:
            last = found.pop()
            found.append(Block(last.page, last.line, last.language, last.options, last.text, block))
            ends.pop()
        else:
            found.append(block)
        number += 1
        ends.append(number)
    return found


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """(line number, text) of each line outside of blocks."""
    closing = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if closing:
            closing = "" if line.strip() == closing else closing
        elif fence:
            closing = fence["fence"]
        else:
            yield number, line


def spans(page: Path) -> Iterator[tuple[int, str]]:
    """(line number, text) of each code span in the prose."""
    for number, line in prose(page):
        for span in _SPAN.findall(line):
            yield number, span


def links(page: Path) -> Iterator[tuple[int, str]]:
    """(line number, target) of each link and image in the prose."""
    for number, line in prose(page):
        text = _SPAN.sub("", line)
        for target in _LINK.findall(text) + _SOURCE.findall(text):
            yield number, target


@functools.cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes from the headings of a page."""
    found: dict[str, int] = {}
    for _, line in prose(page):
        heading = re.match(r"#{1,6} +(.*?)(?: +#+)?$", line)
        if not heading:
            continue
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        if count:
            found[f"{slug}-{count}"] = 1
    return set(found)
