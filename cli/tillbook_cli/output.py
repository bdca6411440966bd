"""What commands print, and how they end."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import click

REFUSED, UNREACHABLE, DRIFTED, INTERRUPTED = 1, 3, 4, 130


def fail(message: str, code: int, as_json: bool) -> NoReturn:
    click.echo(json.dumps({"error": message}) if as_json else f"Error: {message}", err=True)
    raise SystemExit(code)


def show(shape: dict[str, Any], as_json: bool, *, note: str = "") -> None:
    """`note` is for a person's eyes: it goes to standard error."""
    if as_json:
        click.echo(json.dumps(shape, indent=2))
    else:
        width = max(map(len, shape))
        for name, value in shape.items():
            click.echo(f"{name.replace('_', ' '):{width}}  {text(value)}".rstrip())
    if note:
        click.echo(note, err=True)


def text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(text, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{text(entry)} {name}" for name, entry in value.items()) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else str(value)


def table(rows: list[dict[str, Any]], *, without: tuple[str, ...] = ()) -> str:
    """Columns under their names; `rows` is not empty."""
    names = [name for name in rows[0] if name not in without]
    lines = [[name.replace("_", " ").upper() for name in names]]
    lines += [[text(row[name]) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join("  ".join(f"{cell:{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
