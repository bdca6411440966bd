"""The `tillbook` command and its commands for accounts, keys and audits.

Exit codes: 0 done; 1 refused (the account exists already, is unknown …) or not written (a full disk); 2 wrong usage;
3 the stack could not be reached; 4 an audit or the doctor found something; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
from typing import Any

import click

from tillbook.contract.management import account_change, new_key
from tillbook.records.accounts import Account, shown
from tillbook.records.keys import ROLES, ApiKey
from tillbook.rules.identity import SOURCES
from tillbook.rules.segments import Segment, segment_named

from . import __version__, audit
from .attribute import attribute_mailing
from .audience import audience
from .connecting import connect
from .cost import cost
from .deleting import erase, jobs, purge
from .doctor import doctor
from .exporting import export
from .importing import import_orders
from .listing import Command, orders, people, segments
from .look import deadletters, order, person, requests
from .on_a_stack import Tillbook, on_a_stack
from .output import FOUND, INTERRUPTED, table, unwritable
from .restore import restore


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # click itself would exit with 1, which means refused.
            click.echo("\nStopped.", err=True)
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # the reader of a pipe has closed it, so click exits silently
        except OSError as error:
            unwritable(error)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tillbook", message="%(prog)s %(version)s")
def tillbook() -> None:
    """Manage Tillbook: accounts and keys, import and export of orders, customers, requests and reports.

    account, keys, connect, audit, doctor, restore, export orders and export people use AWS: they work on the stack that
    --stack-name names, with your AWS permissions. The others, except cost, use the API: give --url and --key, or set
    TILLBOOK_URL and TILLBOOK_KEY. With --local, they all use the stack that make run runs. --json prints JSON.

    \b
    Examples:
      tillbook account create my_shop --currency EUR
      tillbook keys create my_shop --role admin --label "history"
      tillbook connect create my_shop woocommerce
      tillbook import orders_export.csv --preset shopify --check
      tillbook person ann@example.com --local

    Exit codes: 0 done, 1 refused or not written, 2 wrong usage, 3 the stack could not be reached, 4 an audit or the
    doctor found something, 130 stopped by Ctrl-C.
    """


# --------------------------------------------------------------- accounts ---


@tillbook.group()
def account() -> None:
    """Manage accounts. An account is a shop, whose data no other account can see."""


def settings_options(command: Command) -> Command:
    """Adds the options for an account's settings."""
    for option in reversed(
        [
            click.option("--name", help="Display name of the account."),
            click.option(
                "--currency",
                type=str.upper,
                help="ISO 4217 code of orders that name no currency.  [USD for a new account]",
            ),
            click.option(
                "--source",
                "sources",
                multiple=True,
                type=click.Choice(SOURCES),
                help="A source whose orders count in lifetime value; repeat it for more.  [all for a new account]",
            ),
            click.option(
                "--time-zone",
                metavar="ZONE",
                help="Time zone of the days in reports: an IANA name, as America/New_York.  [UTC for a new account]",
            ),
            click.option(
                "--segment",
                "segments",
                multiple=True,
                metavar="NAME:BOUNDS",
                help="A segment of customers, as VIP:min_lifetime_value=500 or Lapsed:min_orders=2,min_days=365; "
                "repeat it for more. Bounds are min_ or max_ followed by lifetime_value, orders or days (since the "
                "last order), and currency.",
            ),
        ]
    ):
        command = option(command)
    return command


@account.command("create")
@click.argument("account_id")
@settings_options
@on_a_stack
def create_account(
    stack: Tillbook,
    account_id: str,
    name: str | None,
    currency: str | None,
    sources: tuple[str, ...],
    time_zone: str | None,
    segments: tuple[str, ...],
) -> None:
    """Create the account ACCOUNT_ID, which has 1 to 64 of the characters A-Z, a-z, 0-9, _ and -."""
    settings = account_change(_given(name, currency, sources, time_zone, _segments((), segments)))
    chosen = {name: value for name, value in settings.items() if value is not None}
    stack.show(_account(stack.accounts.create(Account(account_id, **chosen))))


@account.command("set")
@click.argument("account_id")
@settings_options
@click.option("--no-segment", "removed", multiple=True, metavar="NAME", help="Remove a segment.")
@on_a_stack
def set_account(
    stack: Tillbook,
    account_id: str,
    name: str | None,
    currency: str | None,
    sources: tuple[str, ...],
    time_zone: str | None,
    segments: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    """Change an account's settings. They are applied when data is read, so they also affect older orders."""
    named = _segments(stack.accounts.get(account_id).segments, segments, removed) if segments or removed else None
    given = _given(name, currency, sources, time_zone, named)
    if not given:
        raise click.UsageError(
            "Nothing to set: give --name, --currency, --source, --time-zone, --segment or --no-segment."
        )
    stack.show(_account(stack.accounts.change(account_id, account_change(given))))


@account.command("list")
@on_a_stack
def list_accounts(stack: Tillbook) -> None:
    """List the accounts with their settings."""
    found = [_account(account) for account in stack.accounts.all()]
    if stack.as_json:
        stack.show({"accounts": found})
    elif found:
        named = {"name": None} if any("name" in one for one in found) else {}
        # All rows of a table have the same columns. `one` is repeated, so that its own name replaces the None.
        click.echo(table([one | named | one for one in found], without=("segments",)))
    else:
        click.echo("There are no accounts.", err=True)


@account.command("show")
@click.argument("account_id")
@on_a_stack
def show_account(stack: Tillbook, account_id: str) -> None:
    """Show an account's settings."""
    stack.show(_account(stack.accounts.get(account_id)))


def _given(
    name: str | None,
    currency: str | None,
    sources: tuple[str, ...],
    time_zone: str | None,
    segments: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    """The given options as the body of PATCH /v1/account."""
    given = {
        "name": name, "currency": currency, "sources": list(sources) or None, "time_zone": time_zone,
        "segments": segments,
    }  # fmt: skip
    return {setting: value for setting, value in given.items() if value is not None}


def _segments(
    known: tuple[Segment, ...], texts: tuple[str, ...], removed: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Segments as JSON: the known ones except those in `removed`, and the new ones.

    A new one replaces the known one of the same name. Raises ValueError.
    """
    entries = [_segment(text) for text in texts]
    gone = {str(name).strip().lower() for name in (*removed, *(entry["name"] for entry in entries))}
    if unknown := [name for name in removed if segment_named(known, name) is None]:
        raise ValueError(f"there is no segment {unknown[0]}")
    return [segment.shown() for segment in known if segment.name.lower() not in gone] + entries


def _segment(text: str) -> dict[str, Any]:
    """The segment of an option `NAME:bound=value,…`. Raises ValueError."""
    name, colon, bounds = text.rpartition(":")
    pairs = [bound.partition("=") for bound in bounds.split(",")]
    if not colon or not all(sign for _, sign, _ in pairs):
        raise ValueError(f"segment {text}: write it as NAME:bound=value, as VIP:min_lifetime_value=500")
    return {key.strip(): value.strip() for key, _, value in pairs} | {"name": name.strip()}


def _account(account: Account) -> dict[str, Any]:
    """An account's settings, without those that are empty."""
    settings = shown(account) | {"segments": list(map(_as_option, account.segments))}
    account_id, name = settings.pop("account_id"), settings.pop("name")
    found = {"account": account_id} | settings | {"name": name}
    return {setting: value for setting, value in found.items() if value}


def _as_option(segment: Segment) -> str:
    """The value of --segment that defines the segment."""
    bounds = segment.shown()
    return f"{bounds.pop('name')}:{','.join(f'{name}={value}' for name, value in bounds.items())}"


# ------------------------------------------------------------------- keys ---


@tillbook.group()
def keys() -> None:
    """Manage the API keys of an account. Only hashes of keys are stored."""


@keys.command("create")
@click.argument("account_id")
@click.option("--role", required=True, type=click.Choice(ROLES), help="ingest: the order routes. admin: all routes.")
@click.option("--label", default="", help="The purpose of the key, which distinguishes it from others.")
@on_a_stack
def create_key(stack: Tillbook, account_id: str, role: str, label: str) -> None:
    """Create a key for ACCOUNT_ID, and print its secret, which cannot be shown again."""
    stack.accounts.get(account_id)
    checked = new_key({"role": role, "label": label})
    key, secret = stack.keys.create(account_id, checked.role, checked.label or "")
    stack.show(_key(key) | {"secret": secret}, note="The secret is shown only now: only its hash is stored.")


@keys.command("list")
@click.argument("account_id")
@on_a_stack
def list_keys(stack: Tillbook, account_id: str) -> None:
    """List the keys of ACCOUNT_ID, including revoked ones."""
    stack.accounts.get(account_id)
    found = [_key(key) for key in reversed(stack.keys.of(account_id))]
    if stack.as_json:
        stack.show({"keys": found})
    elif found:
        click.echo(table(found, without=("account", "created_by")))
    else:
        click.echo(f"Account {account_id} has no keys.", err=True)


@keys.command("revoke")
@click.argument("account_id")
@click.argument("key")
@on_a_stack
def revoke_key(stack: Tillbook, account_id: str, key: str) -> None:
    """Revoke the key KEY of ACCOUNT_ID permanently. KEY is its id, which keys list shows."""
    revoked = stack.keys.revoke(account_id, key)
    stack.show(_key(revoked), note="The key stops working within a minute.")


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "key": key.id,
        "account": key.account,
        "role": key.role,
        "label": key.label,
        "created": key.created,
        "last_used": key.used or None,
        "revoked": key.revoked,
        "created_by": key.created_by or None,
    }


# ------------------------------------------------------------------ audit ---


@tillbook.command("audit")
@click.argument("account_id", required=False)
@click.option("--person", help="One person of ACCOUNT_ID: own id, e-mail, its SHA-256, person or customer id.")
@click.option("--all", "everybody", is_flag=True, help="Audit everybody, which reads the whole ledger table.")
@click.option("--sample", type=click.IntRange(1), default=100, show_default=True, help="Number of random people.")
@on_a_stack
def audit_people(stack: Tillbook, account_id: str | None, person: str | None, everybody: bool, sample: int) -> None:
    """Compare people's stored lifetime values with the sums of their orders, in ACCOUNT_ID or in all accounts.

    Each person is read together with all of their orders, as of one moment. Every difference is printed; exit code 4 if
    there is one of even a cent. People who change too often to be compared are listed, and do not count as differences:
    audit them again.
    """
    if person and (everybody or account_id is None):
        raise click.UsageError("--person needs ACCOUNT_ID, and cannot be combined with --all.")
    account = stack.accounts.get(account_id) if account_id else None
    wanted = None if everybody else sample
    people = audit.chosen(stack.connection, account, person, wanted)
    report = audit.report(stack.connection, people, 1 if person else wanted)
    click.echo(json.dumps(report, indent=2) if stack.as_json else audit.text(report))
    if report["drift"]:
        raise SystemExit(FOUND)


for command in (
    connect,
    audience,
    import_orders,
    export,
    person,
    order,
    orders,
    people,
    segments,
    attribute_mailing,
    requests,
    purge,
    erase,
    jobs,
    deadletters,
    cost,
    doctor,
    restore,
):
    tillbook.add_command(command)
