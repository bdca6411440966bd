"""`tillbook audience`: lists and exports audiences over HTTPS, with an admin key, as a campaign tool does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from tillbook.rules.json_text import dumps

from .api import Api, Refused, over_https, segment
from .output import pretty, written
from .progress import Progress

PAGE = 200


def _csv_pages(api: Api, audience: str) -> Iterator[tuple[bytes, int]]:
    """Yields (page as CSV, number of its members). Only the first page has a header row."""
    cursor, first = None, True
    while True:
        answer = api.request("GET", f"/v1/audience/{segment(audience)}", format="csv", limit=PAGE, cursor=cursor)
        rows = answer.body.count(b"\r\n") - 1
        yield answer.body if first else answer.body.partition(b"\r\n")[2], rows
        cursor, first = answer.headers.get("x-next-cursor"), False
        if not cursor:
            return


def _json_pages(api: Api, audience: str) -> Iterator[tuple[bytes, int]]:
    """Yields (page as JSON lines, number of its members)."""
    cursor = None
    while True:
        page = api.get(f"/v1/audience/{segment(audience)}", limit=PAGE, cursor=cursor)
        members: list[Any] = api.part(page, "members", list)
        yield b"".join(dumps(m).encode() + b"\n" for m in members), len(members)
        cursor = page.get("next_cursor")
        if not cursor:
            return


def _audiences(api: Api) -> list[Any]:
    found = api.get("/v1/audiences")
    if not isinstance(found, list):
        raise api.not_tillbook()
    return found


@click.group()
def audience() -> None:
    """List and export the customer audiences of an account."""


@audience.command("list")
@over_https
def list_audiences(api: Api) -> None:
    """List the audiences with the number of their members, as JSON."""
    click.echo(pretty(_audiences(api)))


@audience.command("export")
@click.argument("audience_id")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--output", default="-", help="A file; standard output if not given.")
@over_https
def export(api: Api, audience_id: str, form: str, output: str) -> None:
    """Write all members of AUDIENCE_ID to a file. Audiences of any size are read page by page.

    The file is written as FILE.new, and renamed when it is complete. Standard output may be incomplete: check the exit
    code.

    AUDIENCE_ID is customers-orders-api or customers-shopper-activity. tillbook audience list shows both.
    """
    known = {api.part(entry, "id", str): api.part(entry, "member_count", int) for entry in _audiences(api)}
    if audience_id not in known:
        raise Refused(f"There is no audience {audience_id}. The audiences are {', '.join(known)}.")
    with written(output) as file, Progress("members", known[audience_id], quiet=api.as_json) as bar:
        for page, members in (_csv_pages if form == "csv" else _json_pages)(api, audience_id):
            file.write(page)
            bar.add(members)
