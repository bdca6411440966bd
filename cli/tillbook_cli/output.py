"""Output of commands, and their exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

import click

from tillbook.rules.json_text import Json, dumps

# Exit codes. FOUND: `doctor` found a problem, or `audit` a difference.
REFUSED, UNREACHABLE, FOUND, INTERRUPTED = 1, 3, 4, 130


def fail(message: str, code: int, as_json: bool) -> NoReturn:
    click.echo(json.dumps({"error": message}) if as_json else f"Error: {message}", err=True)
    raise SystemExit(code)


def unwritable(error: OSError) -> NoReturn:
    """Ends the command after a write to a file or to standard output failed."""
    # Python would try to flush standard output again at exit, and print a message of its own.
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    where = f"{error.filename}: " if error.filename else ""
    fail(f"{where}{error.strerror or error}.", REFUSED, as_json=False)


# Paths of files that a process has open. They are written directly: a renamed file would not reach that process.
_OPEN_ALREADY = ("/dev/std", "/dev/fd/", "/proc/")


@contextmanager
def written(path: str) -> Iterator[IO[bytes]]:
    """Opens a file, which is written as PATH.new, and renamed to `path` when it is complete.

    "-" is standard output. Devices and open files are written directly.
    """
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path).resolve()
    if path.startswith(_OPEN_ALREADY) or (target.exists() and not target.is_file()):
        with Path(path).open("wb") as file:
            yield file
        return
    fresh = target.with_name(f"{target.name}.new")
    try:
        with fresh.open("wb") as file:
            if target.exists():
                shutil.copymode(target, fresh)
            yield file
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def show(shape: dict[str, Any], as_json: bool, *, note: str = "") -> None:
    """Prints an object as lines or JSON. `note` is for people, and is printed to standard error."""
    if as_json:
        click.echo(json.dumps(shape, indent=2))
    else:
        names = {name: text(name.replace("_", " ")) for name in shape}
        width = max(map(len, names.values()))
        for name, value in shape.items():
            click.echo(f"{names[name]:{width}}  {text(value)}".rstrip())
    if note:
        click.echo(note, err=True)


def pretty(value: Json, line: str = "\n") -> str:
    """Indented JSON. Numbers are printed exactly as json_text read them."""
    inner = f"{line}  "
    if isinstance(value, dict) and value:
        return f"{{{inner}{f',{inner}'.join(f'{dumps(k)}: {pretty(v, inner)}' for k, v in value.items())}{line}}}"
    if isinstance(value, list) and value:
        return f"[{inner}{f',{inner}'.join(pretty(entry, inner) for entry in value)}{line}]"
    return dumps(value)


# Characters that move the cursor, colour or reverse the text on a terminal. An order's id may contain them.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def _plain(value: str) -> str:
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), value)


def text(value: Any) -> str:
    """A value as one line of text, without control characters."""
    if isinstance(value, list):
        return ", ".join(map(text, value)) or "-"
    if isinstance(value, dict):  # amounts by currency: 5.00 USD, 3.00 EUR
        return ", ".join(f"{text(entry)} {text(name)}" for name, entry in value.items()) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else _plain(str(value))


def table(rows: list[dict[str, Any]], *, without: tuple[str, ...] = ()) -> str:
    """A table of rows with a header. `rows` must not be empty."""
    names = [name for name in rows[0] if name not in without]
    lines = [[name.replace("_", " ").upper() for name in names]]
    lines += [[text(row[name]) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join("  ".join(f"{cell:{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
