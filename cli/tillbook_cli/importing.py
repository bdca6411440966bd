"""`tillbook import`: sends the orders of a file. After a crash, the same command resumes where the last run ended."""

from __future__ import annotations

import codecs
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from . import mappings
from .api import Refused, api_options, connected
from .checking import Rejects
from .connection import Unreachable
from .import_options import Given, chosen_mapping, with_options
from .import_run import FileRefused, Import, check_only, run_import, say_mapping
from .import_state import OtherImport
from .mappings import BadMapping
from .output import INTERRUPTED, REFUSED, UNREACHABLE, fail
from .rows import Source, Unreadable
from .sending import Stopped

_FILE = click.Path(dir_okay=False, path_type=Path)


def _pairs(_context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Parses NAME=VALUE options. Names and values may contain `=`: --status splits at the last, others at the first."""
    found: dict[str, str] = {}
    for text in values:
        cut = text.rpartition("=") if option.name == "statuses" else text.partition("=")
        name, value = cut[0].strip(), cut[2].strip()
        if not name or not value:
            raise click.BadParameter(f"{text} is not of the form {option.metavar}.")
        found[name] = value
    return found


@click.command("import")
@click.argument("file", type=_FILE)
@click.option("--check", is_flag=True, help="Check only: nothing is sent, no --url is needed.")
@click.option(
    "--preset",
    type=click.Choice(mappings.IMPORTABLE),
    help="Platform of the export.  [recognised by its columns]",
)
@click.option(
    "--column",
    "columns",
    callback=_pairs,
    multiple=True,
    metavar="FIELD=COLUMN",
    help="The column that holds a field: grand_total=Sum, items.price=Each, properties.card=Card. Repeatable.",
)
@click.option("--mapping", type=_FILE, help="Your own mapping file, in the form that --save-mapping writes.")
@click.option("--save-mapping", type=_FILE, help="Write the mapping in use to this file, for you to edit.")
@click.option(
    "--status",
    "statuses",
    callback=_pairs,
    multiple=True,
    metavar="WORD=MEANING",
    help=f"The meaning of a status word: {', '.join(mappings.MEANINGS)}. Repeatable.",
)
@click.option("--date-format", default="", help="us (01/31/2026), eu (31/01/2026, 31.01.2026), or a format: %Y/%m/%d.")
@click.option("--time-zone", default="", help="Time zone of times without an offset, for example Europe/Berlin.  [UTC]")
@click.option(
    "--as-of",
    default="",
    metavar="TIME",
    help="When the file was exported, for example 2026-01-31T12:00Z: it overrides webhooks sent before that time.",
)
@click.option("--provider", default="", help="The provider of all orders (v3), for example my_shop.")
@click.option("--currency", default="", help="Currency of orders that name none.  [v3: the account's; v1: USD]")
@click.option(
    "--group-by",
    default="",
    metavar="COLUMN",
    help="Consecutive rows with the same value here are one order.",
)
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="COLUMN",
    help="A column that sounds like refunds or cancellations, and need not be read. Repeatable.",
)
@click.option("--ignore-repeats", is_flag=True, help="Count identical rows as one order or one event.")
@click.option("--no-amounts", is_flag=True, help="The orders have no amounts: they count 0.")
@click.option(
    "--encoding",
    default="",
    help="For example cp1252.  [UTF-8, UTF-16 or Windows-1252, detected]",
)
@click.option("--api", type=click.Choice(["v1", "v3"]), help="The API to send to.  [v3; v1 for Poplar's files]")
@click.option("--account", default="", help="The account.  [that of the admin key]")
@click.option("--skip-bad", is_flag=True, help="Send the good orders even if there are bad ones.")
@click.option("--again", is_flag=True, help="Send the whole file again, even if it was imported completely.")
@click.option("--rejects", type=_FILE, help="File for the bad rows, .csv or .jsonl.  [FILE.rejects.csv]")
@click.option("--state", type=_FILE, help="File that records the progress.  [FILE.tillbook-import]")
@click.option("--concurrency", type=click.IntRange(1, 32), default=4, show_default=True, help="Requests at once.")
@api_options
def import_orders(
    *,
    file: Path,
    rejects: Path | None,
    state: Path | None,
    preset: str | None,
    api: str | None,
    url: str | None,
    key: str | None,
    local: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Import the orders of FILE: CSV or JSON lines, gzipped or not, of any size.

    First the whole file is checked by the rules of the API. Bad rows are listed in a file with their line numbers, and
    nothing is sent unless all rows are good or --skip-bad is given. Then the orders are sent. After Ctrl-C or a crash,
    run the same command again: it resumes where it ended. Running it twice counts nothing twice.

    \b
    Recognised by their columns:
      shopify      orders_export.csv of the admin
      woocommerce  Advanced Order Export, Customer/Order Export, Import Export
                   Suite; not Analytics > Orders, which has no e-mail addresses
      magento      the order grid, as CSV
      poplar       CSV with order_id, order_date and order_amount, as for an
                   upload to Poplar

    Another CSV needs columns order_id, email (or customer_email_sha256, with --api v1), occurred_at and grand_total,
    or --column for each that has another name. Also read are refunded_amount, currency, status, canceled_at, person_id,
    promo_code, new_buyer, billing_address_1, billing_postal_code and so on, and sku, item_name, price and quantity of
    items. Columns that are not read are listed. JSON lines without a mapping must be orders in the format of the API.
    In --column and mappings, a path names a value in JSON: customer.email, line_items[].sku, refunds[].amount.

    Each row is an order as it is now: it counts its total less refunded_amount. With a column action (placed, updated,
    paid, fulfilled, refunded, canceled) each row is an event instead, and refund_amount is the amount of that refund.

    \b
    What a status means, in --status and mappings:
      open, paid, fulfilled  counts its total less refunds
      canceled               counts its total less refunds: the shop kept the rest
      unpaid, refunded       counts 0
      skip                   is not an order yet, and is not sent

    Amounts are plain numbers with a decimal point. Dates are ISO 8601 unless --date-format says otherwise.

    A later export may be imported, too. An order counts as in the file that was imported last: the newest must be last.
    Webhooks override the export of the same order, even if the export is newer. With --as-of the export
    overrides all webhooks that were sent before that time. An order that is sent through both APIs, or under two
    providers, counts twice.

    \b
    Examples:
      tillbook import orders.csv --check
      tillbook import orders_export.csv --url https://… --key …
      tillbook import orders.csv --provider my_shop --column grand_total=Sum \\
        --status storno=unpaid --date-format us --time-zone America/New_York
      tillbook import orders.csv --save-mapping mapping.json --check
      tillbook import orders.csv --mapping mapping.json --skip-bad --local
    """
    given = Given(
        file=file,
        rejects=rejects or file.with_name(f"{file.name}.rejects.csv"),
        preset=preset or "",
        state=state or file.with_name(f"{file.name}.tillbook-import"),
        as_json=as_json,
        api=api or "",
        **options,
    )
    if given.preset and given.mapping:
        raise click.UsageError("Give --preset or --mapping, not both.")
    _check_encoding(given.encoding)
    if {file.absolute()} & {p.absolute() for p in (given.rejects, given.state, given.save_mapping) if p}:
        raise click.UsageError("--rejects, --state and --save-mapping must not name FILE itself.")
    try:
        client = None if given.check else connected(url, key, local, as_json)
        with Source(given.file, given.encoding) as source:
            mapping = chosen_mapping(given, source)
            given = replace(given, api=given.api or (mapping.api if mapping else "") or "v3")
            run = Import(given, source, with_options(given, source, mapping), Rejects(given.rejects))
            say_mapping(run)
            with _until_stopped(run):
                summary = check_only(run) if client is None else run_import(run, client)
    except (BadMapping, Unreadable, OtherImport, FileRefused) as error:
        fail(str(error), REFUSED, as_json)
    except Refused as error:
        fail(f"{error}{_resume_hint(given)}", REFUSED, as_json)
    except Unreachable as error:
        fail(f"{error}{_resume_hint(given)}", UNREACHABLE, as_json)
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}.{_resume_hint(given)}", REFUSED, as_json)
    except Stopped:
        fail(f"Stopped.{_resume_hint(given)}", INTERRUPTED, as_json)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    if (summary["rejected"] or summary["refused"]) and not given.skip_bad:
        raise SystemExit(REFUSED)


def _resume_hint(given: Given) -> str:
    if given.check or not given.state.exists():
        return ""
    return f" The progress is in {given.state}: run the same command again to resume."


def _check_encoding(name: str) -> None:
    try:
        codecs.lookup(name or "utf-8")
    except LookupError:
        raise click.UsageError(f"{name} is not a known encoding. Examples: utf-8, utf-16, cp1252.") from None


@contextmanager
def _until_stopped(run: Import) -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM end the run once the requests in flight are answered; a second signal ends it at once."""
    before: dict[int, Any] = {}

    def stop(number: int, _frame: object) -> None:
        if run.stop.is_set():
            raise KeyboardInterrupt
        run.stop.set()
        run.say("\nStopping after the requests in flight are answered. Press Ctrl-C again to stop at once.")

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
