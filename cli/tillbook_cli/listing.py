"""`tillbook orders`, `people` and `segments`: print lists of the API as tables, or write them to files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import click

from tillbook.rules.json_text import dumps

from .api import Api, over_https, segment
from .output import pretty, table, written
from .progress import Progress

_PAGE = 200
_DATE = click.DateTime(["%Y-%m-%d"])
Command = Callable[..., None]


def _options(command: Command) -> Command:
    for option in (
        click.option("--output", default="", help="Write to this file; - is standard output.  [- with --format]"),
        click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Write this instead of a table."),
        click.option("--limit", type=click.IntRange(1), help="List at most this many.  [50 in a table, otherwise all]"),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("name", required=False)
@click.option("--from", "first", type=_DATE, help="The first order date.")
@click.option("--to", "last", type=_DATE, help="The last order date.")
@click.option("--source", type=click.Choice(["orders_api", "shopper_activity"]))
@click.option("--status", help="Only orders with this latest event: placed, refunded, submitted, …")
@click.option("--provider", help="Only shopper-activity orders of this provider.")
@click.option("--promo-code")
@click.option("--currency")
@click.option("--min-total")
@click.option("--max-total")
@click.option("--text", help="Only orders with this in an id, the promo code, or an item's identifier or category.")
@_options
@over_https
def orders(api: Api, name: str | None, limit: int | None, form: str | None, output: str, **filters: Any) -> None:
    """List orders by date, newest first, or those whose order_id or order_public_id begins with NAME.

    CSV and JSON lines also have addresses, metadata and all items.

    \b
    Examples:
      tillbook orders 1001 --local
      tillbook orders --from 2026-01-01 --promo-code spring --format csv --output orders.csv
    """
    query = _query(filters) | ({"name": name} if name else {})
    _list(api, "/v1/orders", "orders", query, limit, form, output, _ORDER)


@click.command()
@click.option(
    "--sort", type=click.Choice(["lifetime_value", "orders", "last_order"]), default="lifetime_value", show_default=True
)
@click.option("--ascending", is_flag=True, help="List the smallest, or the earliest, first.")
@click.option("--currency", help="Currency of the lifetime value.  [the account's]")
@click.option("--min-lifetime-value")
@click.option("--max-lifetime-value")
@click.option("--min-orders", type=click.IntRange(0))
@click.option("--max-orders", type=click.IntRange(0))
@click.option("--last-order-from", type=_DATE)
@click.option("--last-order-to", type=_DATE)
@click.option("--segment", help="Only customers in this segment of the account.")
@_options
@over_https
def people(api: Api, ascending: bool, limit: int | None, form: str | None, output: str, **filters: Any) -> None:
    """List customers by lifetime value, number of orders or last order.

    \b
    Examples:
      tillbook people --min-lifetime-value 500 --local
      tillbook people --segment VIP --format csv --output vip.csv
    """
    query = _query(filters) | ({"direction": "asc"} if ascending else {})
    _list(api, f"/v3/{segment(api.account())}/people", "people", query, limit, form, output, _PERSON)


@click.command()
@over_https
def segments(api: Api) -> None:
    """Count the customers in each segment of the account (tillbook account set --segment)."""
    found = api.get(f"/v3/{segment(api.account())}/segments")
    if api.as_json:
        click.echo(pretty(found))
    elif rows := api.part(found, "segments", list):
        click.echo(
            table([{name: row[name] for name in ("name", "people", "lifetime_value", "currency")} for row in rows])
        )
    else:
        click.echo("The account has no segments: tillbook account set … --segment.", err=True)


_ORDER = ("order_id", "order_public_id", "provider", "date", "status", "total", "refunds", "currency", "promo_code")
_PERSON = ("id", "lifetime_value", "orders_count", "first_order_on", "last_order_on")


def _query(filters: dict[str, Any]) -> dict[str, str]:
    names = {"first": "from", "last": "to"}
    texts = {name: value.date().isoformat() if hasattr(value, "date") else value for name, value in filters.items()}
    return {names.get(name, name): str(value) for name, value in texts.items() if value not in (None, "")}


def _list(
    api: Api,
    path: str,
    noun: str,
    query: dict[str, str],
    limit: int | None,
    form: str | None,
    output: str,
    columns: tuple[str, ...],
) -> None:
    if not form and not output:
        found = list(api.pages(path, noun, limit or 50, **query))
        if api.as_json:
            click.echo(pretty(found))
        elif found:
            click.echo(table([{name: entry[name] for name in columns} for entry in found]))
        else:
            click.echo("There are none.", err=True)
        return
    form = form or ("jsonl" if output.endswith((".jsonl", ".ndjson")) else "csv")
    with written(output or "-") as file, Progress(noun, quiet=api.as_json) as bar:
        for page, count in _pages(api, path, noun, query, limit, form):
            file.write(page)
            bar.add(count)


def _rows(page: bytes) -> int:
    """The number of rows of a page of CSV below its header. A quoted cell may have line breaks."""
    return max(sum(1 for _ in csv.reader(io.StringIO(page.decode(), newline=""))) - 1, 0)


def _pages(
    api: Api, path: str, noun: str, query: dict[str, str], limit: int | None, form: str
) -> Iterator[tuple[bytes, int]]:
    """Yields (page, number of its entries). Only the first page of a CSV has a header row."""
    cursor, first, left = None, True, limit or 10**12  # more than any list has
    while left > 0:
        parameters: dict[str, Any] = query | {"cursor": cursor, "limit": str(min(left, _PAGE))}
        if form == "jsonl" and noun == "people":  # the API lists people as JSON or CSV only
            page = api.get(path, **parameters)
            entries = api.part(page, noun, list)
            body, count, cursor = (
                b"".join(dumps(e).encode() + b"\n" for e in entries),
                len(entries),
                page["next_cursor"],
            )
        else:
            answer = api.request("GET", path, format=form, **parameters)
            body, cursor = answer.body, answer.headers.get("x-next-cursor")
            count = body.count(b"\n") if form == "jsonl" else _rows(body)
            if form == "csv" and not first:
                body = body.partition(b"\r\n")[2]
        yield body, count
        first, left = False, left - count
        if not cursor:
            return
