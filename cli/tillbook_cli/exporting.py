"""`tillbook export`: writes orders and people from the ledger, and members of audiences, as CSV or JSON lines.

Orders and people are read from the table, page by page, with the AWS permissions of the user (dynamodb:Query, GetItem
and BatchGetItem, cloudformation:DescribeStacks); audiences are read through the API. In CSV, a text that a spreadsheet
would run as a formula is preceded by an apostrophe.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import click

from tillbook.ledger.items import Head, OrderHead
from tillbook.records.accounts import Account
from tillbook.rules import times
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.identity import SOURCES, Source
from tillbook.rules.order import occurred_of
from tillbook.views.audiences import Audiences
from tillbook.views.csv_pages import FORMULA_STARTS
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

    The file is written as FILE.new, and renamed when it is complete. Standard output may be incomplete: check the exit
    code.

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
@click.option("--source", "sources", multiple=True, type=click.Choice(SOURCES), help="Only orders of this source.")
@_file_options
@on_a_stack
def export_orders(stack: Tillbook, account_id: str, sources: tuple[Source, ...], form: str, output: str) -> None:
    """Write the orders of ACCOUNT_ID, one on each line, with their person and contribution to lifetime value.

    \b
    Columns: source, provider (v3), order_id, status (v3: the latest action), person (Tillbook's own id), currency,
    grand_total, refund_amount, lifetime_value (grand_total less refund_amount; 0 if voided or without a grand_total),
    first_occurred_at (v1: order_date), last_occurred_at (v3), events (v1: number of versions), flags.
    """
    account = stack.accounts.get(account_id)
    found = (row for source in sources or SOURCES for row in _orders(stack, account, source))
    _write(found, ORDER_COLUMNS, form, output, "orders")


def _orders(stack: Tillbook, account: Account, source: Source) -> Iterator[Row]:
    audiences = Audiences(stack.connection.dynamodb, stack.connection.ledger_table, stack.marks(account.id))
    for _, head in audiences.heads(source, batch_size=1000):
        if head.standing is not None:
            yield _order(head, account)


def _order(head: Head, account: Account) -> Row:
    if isinstance(head, OrderHead):
        return {
            "source": "orders_api",
            "provider": None,
            "order_id": head.order_id,
            "person": head.person or None,
            "currency": head.currency,
            "lifetime_value": amount_text(head.contribution),
            "first_occurred_at": times.iso(head.ordered_at),
            "grand_total": amount_text(head.contribution),
            "refund_amount": "0.00",
            # Version numbers continue after those of a deleted order with the same id.
            "events": head.version - head.born + 1,
        }
    state = head.state
    return {
        "source": "shopper_activity",
        "provider": head.provider,
        "order_id": head.order_id,
        "person": state.person,
        "currency": state.currency or account.currency,
        "lifetime_value": amount_text(state.contribution),
        "first_occurred_at": times.iso(state.ordered_at),
        "status": state.action,
        "events": state.events,
        "last_occurred_at": times.iso(occurred_of(state.latest_at)),
        "grand_total": None if state.known_total is None else amount_text(state.known_total),
        "refund_amount": amount_text(state.refunds),
        "flags": " ".join(state.flags) or None,
    }


@export.command("people")
@click.argument("account_id")
@_file_options
@on_a_stack
def export_people(stack: Tillbook, account_id: str, form: str, output: str) -> None:
    """Write the people of ACCOUNT_ID with their lifetime value.

    \b
    CSV: a line for each person, source and currency. Columns: id (Tillbook's own), email_sha256, person_id and
    customer_id (one of the three), source, currency, lifetime_value, counted (whether the account counts that source),
    orders_count (of the person, in all sources that count).
    JSON lines: a line for each person, as GET /v3/:account_id/people/:id answers, without the times of orders.

    The command reads all people of the account once.
    """
    account = stack.accounts.get(account_id)
    people = People(
        stack.connection.dynamodb, stack.connection.ledger_table, account, stack.marks(account.id)
    ).everyone()
    rows = people if form == "jsonl" else (row for person in people for row in _values(person, account))
    _write(rows, PERSON_COLUMNS, form, output, "people" if form == "jsonl" else "lines")


def _values(person: Row, account: Account) -> Iterator[Row]:
    """A row for each source and currency of a person."""
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
    """A row as JSON: orders have all columns, people have the shape that the API returns."""
    return {name: row.get(name) for name in columns} if "order_id" in row else row


def _line(cells: Iterable[Any]) -> bytes:
    out = io.StringIO()
    # Python 3.11 quotes a cell with \r or \n only if `lineterminator` contains that character.
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().removesuffix("\r\n").encode() + b"\n"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    # A negative amount is not a formula.
    harmless = text.replace(".", "", 1).removeprefix("-").isdigit()
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not harmless else text


export.add_command(export_audience, "audience")
