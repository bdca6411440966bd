"""Writes small files of orders, and runs `tillbook import` or its parts over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cli.tillbook_cli import mappings, records
from cli.tillbook_cli.checking import checked
from cli.tillbook_cli.main import tillbook
from cli.tillbook_cli.rows import Source
from tests.cli.fake_api import KEY, FakeApi

# The domain of e-mail addresses that `run` looks for in outputs and files.
MARKER = "import-marker.example"
HEADER_LINE = "order_id,email,occurred_at,grand_total,currency\n"


def run(api: FakeApi | None, file: Path, *options: str) -> Result:
    """Imports a file; without an `api` it is only checked.

    Asserts that no e-mail address at MARKER is printed, or written to another file of the folder.
    """
    where = ["--url", api.url, "--key", KEY] if api else ["--check"]
    result = CliRunner().invoke(tillbook, ["import", str(file), *where, *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert MARKER not in result.output
    for path in file.parent.iterdir():
        if path != file:
            assert MARKER not in path.read_text(), path
    return result


def plain(path: Path, count: int, first: int = 0) -> Path:
    """Writes a file of `count` good orders. Their ids are consecutive numbers; order 7 has the total 7.50."""
    rows = (f"{n},p{n}@{MARKER},2024-01-01T00:00:{n % 60:02d}Z,{n}.50,USD\n" for n in range(first, first + count))
    path.write_text(HEADER_LINE + "".join(rows))
    return path


def payloads(path: Path, *, provider: str) -> list[dict[str, Any]]:
    """The bodies that an import of the file through v3 sends."""
    with Source(path) as source:
        mapping = mappings.resolved(mappings.guessed(source.columns), source.columns)
        orders = list(checked(records.entries(source.rows(), mapping), "v3", mapping, provider))
    assert not any(order.rejects for order in orders), orders
    return [json.loads(body) for order in orders for body in order.bodies]


def sent(folder: Path, text: str, version: str = "v3", *, time_zone: str = "") -> list[dict[str, Any]]:
    """Writes the text to export.csv in the folder. Returns the bodies that an import of this file sends."""
    file = folder / "export.csv"
    file.write_text(text)
    with Source(file) as source:
        mapping = mappings.resolved(mappings.guessed(source.columns), source.columns)
        if time_zone:
            mapping = mappings.in_zone(mapping, time_zone)
        orders = list(checked(records.entries(source.rows(), mapping), version, mapping, ""))
    assert [order.rejects for order in orders if order.rejects] == []
    return [json.loads(body) for order in orders for body in order.bodies]
