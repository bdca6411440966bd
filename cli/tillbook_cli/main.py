"""The commands. Exit codes: 0 done, 1 refused (the account exists already, is unknown …) or
not written (a full disk), 2 used wrongly,
3 the stack could not be reached, 4 an audit found drift, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import click

from tillbook.ledger.items import SOURCES
from tillbook.records.accounts import Account
from tillbook.records.keys import ROLES, ApiKey

from . import audit
from .audience import audience
from .cost import cost
from .exporting import export
from .importing import import_orders
from .look import deadletters, order, person, requests
from .on_a_stack import Tillbook, on_a_stack
from .output import DRIFTED, INTERRUPTED, table, unwritable


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # click itself would end with 1, which means refused.
            click.echo("\nStopped.", err=True)
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # whoever reads has enough: click ends in silence
        except OSError as error:
            unwritable(error)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def tillbook() -> None:
    """Order intake that keeps lifetime value exact: accounts and keys, history in and out, and what became of what.

    account, keys, audit, export orders and export people work on the tables of the stack that --stack-name names on
    AWS, with your AWS rights. The others speak HTTPS: --url and --key, or TILLBOOK_URL and TILLBOOK_KEY.
    --local is the stack that make run runs, for all of them. --json prints JSON.

    \b
    Examples:
      tillbook account create my_shop --currency EUR
      tillbook keys create my_shop --role admin --label "history"
      tillbook import orders_export.csv --preset shopify --check
      tillbook person ann@example.com --local

    Exit codes: 0 done, 1 refused or not written, 2 used wrongly, 3 the stack could not be reached, 4 an audit found
    drift, 130 stopped by Ctrl-C.
    """


# --------------------------------------------------------------- accounts ---


@tillbook.group()
def account() -> None:
    """Accounts: each a shop, of which no other sees anything."""


currency_option = click.option(
    "--currency", type=str.upper, help="ISO 4217 code that stands for orders which name none.  [USD at first]"
)
source_option = click.option(
    "--source",
    "sources",
    multiple=True,
    type=click.Choice(SOURCES),
    help="A source whose orders count in the lifetime value; repeat it for more.  [all at first]",
)


@account.command("create")
@click.argument("account_id")
@currency_option
@source_option
@on_a_stack
def create_account(book: Tillbook, account_id: str, currency: str | None, sources: tuple[str, ...]) -> None:
    """Create the account ACCOUNT_ID: 1 to 64 of A-Z, a-z, 0-9, _ and -."""
    created = book.accounts.create(_changed(Account(account_id), currency, sources))
    book.show(_account(created))


@account.command("set")
@click.argument("account_id")
@currency_option
@source_option
@on_a_stack
def set_account(book: Tillbook, account_id: str, currency: str | None, sources: tuple[str, ...]) -> None:
    """Change an account's settings. They apply to all that is read from then on, of older orders too."""
    if currency is None and not sources:
        raise click.UsageError("Nothing to set: give --currency, --source or both.")
    book.show(_account(book.accounts.set(_changed(book.accounts.get(account_id), currency, sources))))


@account.command("show")
@click.argument("account_id")
@on_a_stack
def show_account(book: Tillbook, account_id: str) -> None:
    """Show an account's settings."""
    book.show(_account(book.accounts.get(account_id)))


def _changed(known: Account, currency: str | None, sources: tuple[str, ...]) -> Account:
    if currency is not None:
        known = replace(known, currency=currency)
    # In one order, however they are given.
    return replace(known, sources=tuple(s for s in SOURCES if s in sources)) if sources else known


def _account(shown: Account) -> dict[str, Any]:
    return {"account": shown.id, "currency": shown.currency, "sources": list(shown.sources)}


# ------------------------------------------------------------------- keys ---


@tillbook.group()
def keys() -> None:
    """API keys: secrets of an account, of which only the hash is kept."""


@keys.command("create")
@click.argument("account_id")
@click.option("--role", required=True, type=click.Choice(ROLES), help="ingest: the order routes. admin: all routes.")
@click.option("--label", default="", help="What it is for, to tell it from others.")
@on_a_stack
def create_key(book: Tillbook, account_id: str, role: str, label: str) -> None:
    """Create a key of ACCOUNT_ID, and print its secret this once."""
    book.accounts.get(account_id)
    key, secret = book.keys.create(account_id, role, label)
    book.show(_key(key) | {"secret": secret}, note="The secret is shown this once: only its hash is kept.")


@keys.command("list")
@click.argument("account_id")
@on_a_stack
def list_keys(book: Tillbook, account_id: str) -> None:
    """List the keys of ACCOUNT_ID, revoked ones too."""
    book.accounts.get(account_id)
    found = [_key(key) for key in sorted(book.keys.of(account_id), key=lambda key: (key.created, key.id))]
    if book.as_json:
        book.show({"keys": found})
    elif found:
        click.echo(table(found, without=("account",)))
    else:
        click.echo(f"Account {account_id} has no keys.", err=True)


@keys.command("revoke")
@click.argument("account_id")
@click.argument("key")
@on_a_stack
def revoke_key(book: Tillbook, account_id: str, key: str) -> None:
    """Revoke the key KEY of ACCOUNT_ID, for ever. KEY is its id, as keys list shows it."""
    revoked = book.keys.revoke(account_id, key)
    book.show(_key(revoked), note="It stops working within a minute.")


def _key(shown: ApiKey) -> dict[str, Any]:
    return {
        "key": shown.id,
        "account": shown.account,
        "role": shown.role,
        "label": shown.label,
        "created": shown.created,
        "last_used": shown.used or None,
        "revoked": shown.revoked,
    }


# ------------------------------------------------------------------ audit ---


@tillbook.command("audit")
@click.argument("account_id", required=False)
@click.option("--person", help="One person of ACCOUNT_ID: our own id, e-mail, its SHA-256, person or customer id.")
@click.option("--all", "everybody", is_flag=True, help="Everybody; reads the whole ledger table.")
@click.option("--sample", type=click.IntRange(1), default=100, show_default=True, help="How many people at random.")
@on_a_stack
def audit_people(book: Tillbook, account_id: str | None, person: str | None, everybody: bool, sample: int) -> None:
    """Add people's orders up anew and compare with their lifetime value; of ACCOUNT_ID alone if it is given.

    Each person is read with all of their orders in one snapshot. Exit code 4 if one cent differs: what, and by how
    much, is printed. People who were written all the time are named, and are no finding: ask again.
    """
    if person and (everybody or account_id is None):
        raise click.UsageError("--person needs ACCOUNT_ID, and goes without --all.")
    account = book.accounts.get(account_id) if account_id else None
    wanted = None if everybody else sample
    people = audit.chosen(book.connection, account, person, wanted)
    report = audit.report(book.connection, people, 1 if person else wanted)
    click.echo(json.dumps(report, indent=2) if book.as_json else audit.text(report))
    if report["drift"]:
        raise SystemExit(DRIFTED)


for command in (audience, import_orders, export, person, order, requests, deadletters, cost):
    tillbook.add_command(command)
