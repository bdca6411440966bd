"""House style that a machine can check: plain words, docstrings, short functions and modules, tables."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.handlers.template import ROOT

MOST_LINES_OF_A_MODULE = 500
MOST_LINES_OF_A_FUNCTION = 60

# Use the standard words instead: parse, report, return, exists, fix, again, must.
BANNED = re.compile(r"\b(told|tells?|stands|comes|goes|mend(?:s|ed|ing)?|anew|shall|likewise)\b", re.IGNORECASE)
# A docstring begins with a verb or a noun, so not with one of these.
OPENERS = {
    "what", "of", "whoever", "whatever", "whose", "which", "who", "whom", "up", "else", "with", "without", "where",
    "in", "as", "by", "for", "from", "not", "so", "that", "to", "on", "at", "those", "when", "nothing", "behind",
    "until", "before", "after", "it", "they", "both", "also", "only", "and", "or", "but", "how",
}  # fmt: skip
_TEXTS = {".py", ".md", ".js", ".mjs", ".html", ".css", ".yaml", ".yml", ".toml", ".sh"}
_DISPLAYS = (ast.List, ast.Dict, ast.Tuple, ast.Set)


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _modules() -> Iterator[tuple[str, str, ast.Module]]:
    """Name, text and tree of every Python module."""
    for path in _tracked():
        if path.suffix == ".py":
            text = path.read_text()
            yield path.relative_to(ROOT).as_posix(), text, ast.parse(text)


def test_no_banned_word_is_left() -> None:
    found = []
    for path in _tracked():
        if (path.suffix not in _TEXTS and path.name not in ("Makefile", "run")) or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if BANNED.search(line.replace(".tell()", "")):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    found = []
    for name, _, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if re.sub(r"\W.*", "", text, flags=re.DOTALL).lower() in OPENERS:
                    found.append(f"{name}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}")
    assert not found, "\n".join(found)


def test_modules_and_functions_are_short() -> None:
    found = []
    for name, text, tree in _modules():
        if (lines := len(text.splitlines())) > MOST_LINES_OF_A_MODULE:
            found.append(f"{name}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # Lines count from the end of the docstring, because the help of a command is its docstring.
                begin = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno - 1
                if (lines := (node.end_lineno or 0) - (begin or 0)) > MOST_LINES_OF_A_FUNCTION:
                    found.append(f"{name}:{node.lineno}: {node.name} has {lines} lines")
    assert not found, "\n".join(found)


def test_only_tables_are_formatted_by_hand() -> None:
    """`# fmt: skip` is only for a display of rows or constants. Tests are exempt."""
    found = []
    for name, text, tree in _modules():
        if "# fmt: skip" not in text or name.startswith("tests/"):
            continue
        tables = {node.end_lineno for node in _statements(tree) if any(map(_is_table, ast.walk(node)))}
        comments = (t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.COMMENT)
        found += [f"{name}:{t.start[0]}" for t in comments if "fmt: skip" in t.string and t.start[0] not in tables]
    assert not found, "\n".join(found)


def _statements(tree: ast.Module) -> Iterator[ast.stmt | ast.expr]:
    """Simple statements and decorators."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            yield node
        yield from getattr(node, "decorator_list", ())


def _is_table(node: ast.AST) -> bool:
    """A display (a list, say) of at least three cells: at least half are rows, or three quarters are constants."""
    if not isinstance(node, _DISPLAYS):
        return False
    cells = node.values if isinstance(node, ast.Dict) else node.elts
    rows = [cell for cell in cells if isinstance(cell, (ast.Call, *_DISPLAYS))]
    # A name is usually that of a constant.
    constants = [cell for cell in cells if isinstance(cell, ast.Constant | ast.Name | ast.Attribute)]
    return len(cells) >= 3 and (2 * len(rows) >= len(cells) or 4 * len(constants) >= 3 * len(cells))
