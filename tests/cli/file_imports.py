"""Runs `tillbook import` over one file with a given content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cli.tillbook_cli.main import tillbook
from tests.cli.fake_api import KEY, FakeApi, serving

# The header of a file that needs no mapping, without its line break.
PLAIN = "order_id,email,occurred_at,grand_total,currency"


def run(file: Path, text: str | bytes, *options: str, api: FakeApi | None = None) -> Result:
    """Imports a file with this content. Without an `api` the file is only checked.

    Files that earlier imports wrote next to it are deleted first, except mappings.
    """
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for other in file.parent.iterdir():
        if other != file and other.suffix != ".json":
            other.unlink()
    where = ["--url", api.url, "--key", KEY] if api else ["--check"]
    result = CliRunner().invoke(tillbook, ["import", str(file), *where, *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def imported(file: Path, text: str | bytes, *options: str) -> list[dict[str, Any]]:
    """Imports a file with this content. Returns the orders or events that the API received."""
    with serving() as api:
        ran = run(file, text, "--provider", "s", *options, api=api)
        assert ran.exit_code == 0, ran.output
        return list(api.orders.values()) if "v1" in options else api.events


def refused(file: Path, text: str, said: str, *options: str) -> None:
    """Asserts that an import of this content exits with 1, sends nothing and prints `said`, also with --skip-bad."""
    with serving() as api:
        for more in ((), ("--skip-bad",)):
            ran = run(file, text, "--provider", "s", *options, *more, api=api)
            assert ran.exit_code == 1, ran.output
            assert said in ran.stderr
        assert (api.events, api.orders) == ([], {})
