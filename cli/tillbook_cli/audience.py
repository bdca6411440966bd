"""`tillbook audience`: over HTTPS, with an admin key, as a campaign tool would."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import quote

import click

PAGE = 200
_SECONDS = 30


def _request(url: str, key: str, path: str) -> tuple[bytes, str | None]:
    """The body and the cursor of the next CSV page. Raises click.ClickException with what the API says."""
    if not url.startswith(("http://", "https://")):
        raise click.ClickException("--url must start with https:// (or http:// for a local stack).")
    request = urllib.request.Request(url.rstrip("/") + path, headers={"authorization": f"Bearer {key}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the scheme was checked
            return answer.read(), answer.headers.get("x-next-cursor")
    except urllib.error.HTTPError as error:
        reason = {403: "The key is not an admin key of this stack.", 404: "There is no such audience."}
        raise click.ClickException(reason.get(error.code, f"The API answered {error.code}.")) from None
    except OSError as error:
        raise click.ClickException(f"{url} could not be reached: {error}.") from None


def _json(url: str, key: str, path: str) -> Any:
    return json.loads(_request(url, key, path)[0])


def _csv_pages(url: str, key: str, audience: str) -> Iterator[bytes]:
    """Each page without its header row, but for the first."""
    cursor, first = "", True
    while True:
        path = f"/v1/audience/{quote(audience, safe='')}?format=csv&limit={PAGE}"
        page, following = _request(url, key, path + (f"&cursor={quote(cursor)}" if cursor else ""))
        yield page if first else page.partition(b"\r\n")[2]
        if not following:
            return
        cursor, first = following, False


@click.group()
def audience() -> None:
    """Look at the customer audiences of an account, and export them."""


def _where(command: Any) -> Any:
    command = click.option("--key", envvar="TILLBOOK_KEY", required=True, show_envvar=True, help="An admin key.")(
        command
    )
    return click.option("--url", envvar="TILLBOOK_URL", required=True, show_envvar=True, help="Where the API is.")(
        command
    )


@audience.command("list")
@_where
def list_audiences(url: str, key: str) -> None:
    """List the audiences with their numbers of members, as JSON."""
    click.echo(json.dumps(_json(url, key, "/v1/audiences"), indent=2))


@audience.command("export")
@click.argument("audience_id")
@click.option("--output", type=click.File("wb"), default="-", help="A file; standard output if not given.")
@_where
def export(audience_id: str, output: IO[bytes], url: str, key: str) -> None:
    """Write all members of AUDIENCE_ID as one CSV file, page by page: its size does not matter."""
    known = {entry["id"]: entry["member_count"] for entry in _json(url, key, "/v1/audiences")}
    if audience_id not in known:
        raise click.ClickException(f"There is no audience {audience_id}; there are {', '.join(known)}.")
    with click.progressbar(length=known[audience_id], label="Members", file=sys.stderr) as bar:
        for number, page in enumerate(_csv_pages(url, key, audience_id)):
            output.write(page)
            bar.update(page.count(b"\r\n") - (1 if number == 0 else 0))
