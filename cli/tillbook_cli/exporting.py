"""`tillbook export`: orders and people out of the ledger, members of audiences through the API; as CSV or JSON lines.

Orders and people are read from the table, page by page, with the AWS rights of who runs it (dynamodb:Query, GetItem
and BatchGetItem, cloudformation:DescribeStacks). In CSV a text that a spreadsheet would run has an apostrophe before
it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import click

from tillbook.ledger.items import SOURCES, Head, OrderHead
from tillbook.records.accounts import Account
from tillbook.rules import times
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.identity import Source
from tillbook.rules.order import occurred_of
from tillbook.views.audiences import FORMULA_STARTS, Audiences
from tillbook.views.people import People

from .audience import export as export_audience
from .on_a_stack import Tillbook, on_a_stack
from .output import written
from .progress import Progress

Row = dict[str, Any]

ORDER_COLUMNS = (
    "source", "provider", "order_id", "status", "person", "currency", "grand_total", "refund_amount", "lifetime_value",
    "first_occurred_at", "last_occurred_at", "events", "flags",
)  # fmt: skip
PERSON_COLUMNS = (
    "id", "email_sha256", "person_id", "customer_id", "source", "currency", "lifetime_value", "counted", "orders_count",
)  # fmt: skip


@click.group("export")
def export() -> None:
    """Write orders, people or an audience to a file, of any size, as CSV or JSON lines.

    The file has its name, and replaces an older one, once all of it is there; until then it is called FILE.new. What
    goes to standard output may be half of it: the exit code tells.

    \b
    Examples:
      tillbook export orders 1234567 --output orders.csv
      tillbook export people 1234567 --format jsonl --local > people.jsonl
      tillbook export audience customers-orders-api --url https://… --key … --output members.csv
    """


def _file_options(command: Any) -> Any:
    command = click.option("--output", default="-", help="A file; standard output if not given.")(command)
    return click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)(
        command
    )


@export.command("orders")
@click.argument("account_id")
@click.option("--source", "sources", multiple=True, type=click.Choice(SOURCES), help="Of one source only.")
@_file_options
@on_a_stack
def export_orders(book: Tillbook, account_id: str, sources: tuple[Source, ...], form: str, output: str) -> None:
    """Write the orders of ACCOUNT_ID, one a line, with what each adds to the lifetime value of whom.

    \b
    Columns: source, provider (v3), order_id, status (v3: the latest action), person (our own id), currency,
    grand_total, refund_amount, lifetime_value (grand_total less refunds), first_occurred_at (v1: order_date),
    last_occurred_at (v3), events (v1: how often it was written), flags.
    """
    account = book.accounts.get(account_id)
    found = (row for source in sources or SOURCES for row in _orders(book, account, source))
    _write(found, ORDER_COLUMNS, form, output, "orders")


def _orders(book: Tillbook, account: Account, source: Source) -> Iterator[Row]:
    audiences = Audiences(book.connection.dynamodb, book.connection.ledger_table, book.marks(account.id))
    for _, head in audiences.heads(source, page=1000):
        if head.standing is not None:
            yield _order(head, account)


def _order(head: Head, account: Account) -> Row:
    if isinstance(head, OrderHead):
        return {
            "source": "orders_api", "provider": None, "order_id": head.order_id, "person": head.person or None,
            "currency": head.currency, "lifetime_value": amount_text(head.contribution),
            "first_occurred_at": times.iso(head.ordered_at), "grand_total": amount_text(head.contribution),
            # Versions go on from those of an order that was deleted under the same id.
            "refund_amount": "0.00", "events": head.version - head.born + 1,
        }  # fmt: skip
    state = head.state
    return {
        "source": "shopper_activity", "provider": head.provider, "order_id": head.order_id, "person": state.person,
        "currency": state.currency or account.currency, "lifetime_value": amount_text(state.contribution),
        "first_occurred_at": times.iso(state.ordered_at), "status": state.action, "events": state.events,
        "last_occurred_at": times.iso(occurred_of(state.latest_at)),
        "grand_total": None if state.known_total is None else amount_text(state.known_total),
        "refund_amount": amount_text(state.refunds), "flags": " ".join(state.flags) or None,
    }  # fmt: skip


@export.command("people")
@click.argument("account_id")
@_file_options
@on_a_stack
def export_people(book: Tillbook, account_id: str, form: str, output: str) -> None:
    """Write the people of ACCOUNT_ID with their lifetime value.

    \b
    CSV: a line for each person, source and currency. Columns: id (our own), email_sha256, person_id and customer_id
    (one of the three), source, currency, lifetime_value, counted (whether the account counts that source),
    orders_count (of the person, in all sources that count).
    JSON lines: a person a line, as GET /v3/:account_id/people/:id answers, without the times of orders.

    It reads all people of the account once.
    """
    account = book.accounts.get(account_id)
    people = People(book.connection.dynamodb, book.connection.ledger_table, account, book.marks(account.id)).everyone()
    rows = people if form == "jsonl" else (row for person in people for row in _values(person, account))
    _write(rows, PERSON_COLUMNS, form, output, "people" if form == "jsonl" else "lines")


def _values(person: Row, account: Account) -> Iterator[Row]:
    for source, values in person["lifetime_value_by_source"].items():
        for currency, value in values.items():
            yield person | {
                "source": source, "currency": currency, "lifetime_value": value, "counted": source in account.sources,
            }  # fmt: skip


def _write(rows: Iterable[Row], columns: tuple[str, ...], form: str, output: str, what: str) -> None:
    with written(output) as file, Progress(what) as bar:
        if form == "csv":
            file.write(_line(columns))
        for row in rows:
            if form == "jsonl":
                file.write(json.dumps(_named(row, columns), ensure_ascii=False).encode() + b"\n")
            else:
                file.write(_line([_cell(row.get(name)) for name in columns]))
            bar.add()


def _named(row: Row, columns: tuple[str, ...]) -> Row:
    """Orders have all of their columns in each line; a person is the published shape."""
    return {name: row.get(name) for name in columns} if "order_id" in row else row


def _line(cells: Iterable[Any]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)  # Python 3.11 quotes no other line ends
    return out.getvalue().removesuffix("\r\n").encode() + b"\n"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    # An amount below zero is no formula.
    harmless = text.replace(".", "", 1).removeprefix("-").isdigit()
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not harmless else text


export.add_command(export_audience, "audience")
