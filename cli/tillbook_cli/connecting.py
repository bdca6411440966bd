"""`tillbook connect`: manages connections to platforms that send webhooks to the stack."""

from __future__ import annotations

from typing import IO, Any

import click

from tillbook.aws.secrets import Secrets
from tillbook.contract.management import MAX_OVERLAP_HOURS, OVERLAP_HOURS, new_connection, new_secret
from tillbook.contract.platforms.signatures import PLATFORMS
from tillbook.records.connections import Connection, Connections
from tillbook.views.connecting import SETUP, overlap_of, url_of

from .on_a_stack import Tillbook, on_a_stack
from .output import table

_ONCE = "The secret is shown only now. "
secret_option = click.option(
    "--secret-file",
    type=click.File("r"),
    help="File with the secret that the platform shows (Shopify), - for standard input. Without it you are asked.",
)


@click.group()
def connect() -> None:
    """Manage connections to shops on WooCommerce and Shopify, which send webhooks."""


@connect.command("create")
@click.argument("account_id")
@click.argument("platform", type=click.Choice(list(PLATFORMS)))
@click.option("--name", help="Name of the connection in its URL.  [the platform's]")
@click.option(
    "--provider", default="", help="Provider of its orders. A second shop needs a different one.  [the platform's]"
)
@secret_option
@on_a_stack
def create_connection(
    stack: Tillbook, account_id: str, platform: str, name: str | None, provider: str, secret_file: IO[str] | None
) -> None:
    """Connect a shop of ACCOUNT_ID. Prints the URL for its webhooks, and the secret if Tillbook generates it."""
    stack.accounts.get(account_id)
    entered = _entered(platform, secret_file)
    wanted = new_connection({"platform": platform, "name": name, "provider": provider or None, "secret": entered})
    created, secret = _connections(stack).create(
        account_id, wanted.name or platform, platform, wanted.provider or "", wanted.secret or ""
    )
    note = SETUP[platform] if entered else f"{_ONCE}{SETUP[platform]}"
    stack.show(_connection(stack, created) | _generated(created, secret), note=note)


@connect.command("list")
@click.argument("account_id")
@on_a_stack
def list_connections(stack: Tillbook, account_id: str) -> None:
    """List the connections of ACCOUNT_ID."""
    stack.accounts.get(account_id)
    found = [_connection(stack, one) for one in _connections(stack).of(account_id)]
    if stack.as_json:
        stack.show({"connections": found})
    elif found:
        click.echo(table(found, without=("account",)))
    else:
        click.echo(f"Account {account_id} has no connections.", err=True)


@connect.command("rotate")
@click.argument("account_id")
@click.argument("name")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, MAX_OVERLAP_HOURS),
    default=OVERLAP_HOURS,
    show_default=True,
    help="How long the old secret remains valid.",
)
@secret_option
@on_a_stack
def rotate_secret(
    stack: Tillbook, account_id: str, name: str, overlap_hours: float, secret_file: IO[str] | None
) -> None:
    """Give the connection NAME of ACCOUNT_ID a new secret. The old one is valid until the overlap ends."""
    known = _connections(stack).get(account_id, name)
    entered = _entered(known.platform, secret_file)
    wanted = new_secret(known.platform, {"secret": entered, "overlap_hours": overlap_hours})
    rotated, secret = _connections(stack).rotate(known, wanted.secret or "", wanted.overlap_hours)
    note = "The new secret applies within a minute." if entered else f"{_ONCE}Enter it in each webhook of the shop."
    stack.show(_connection(stack, rotated) | _generated(rotated, secret), note=note)


@connect.command("remove")
@click.argument("account_id")
@click.argument("name")
@on_a_stack
def remove_connection(stack: Tillbook, account_id: str, name: str) -> None:
    """Remove the connection NAME of ACCOUNT_ID with its secrets. Its orders are kept."""
    removed = _connections(stack).remove(account_id, name)
    stack.show(_connection(stack, removed), note="Its webhooks are refused within a minute: delete them in the shop.")


def _connections(stack: Tillbook) -> Connections:
    found = stack.connection
    return Connections(found.dynamodb, found.records_table, Secrets(found.client("ssm"), found.stack_name))


def _entered(platform: str, file: IO[str] | None) -> str:
    """The secret that the platform shows, from a file or a prompt; empty if Tillbook generates the secret.

    No option takes the secret itself, since other users of the machine can see command lines.
    """
    if PLATFORMS[platform].derived:
        return ""
    return (file.read() if file else str(click.prompt(f"Secret of {platform}", hide_input=True, err=True))).strip()


def _connection(stack: Tillbook, shown: Connection) -> dict[str, Any]:
    """A connection to a shop, as JSON. `both_valid_until`: the end of the old secret's validity, or None."""
    return {
        "connection": shown.name,
        "account": shown.account,
        "platform": shown.platform,
        "provider": shown.provider,
        "url": url_of(stack.connection.url, shown),
        "created": shown.created,
        "both_valid_until": overlap_of(shown),
    }


def _generated(connection: Connection, secret: str) -> dict[str, Any]:
    """The secret as JSON, if Tillbook generated it; otherwise nothing."""
    return {"secret": secret} if PLATFORMS[connection.platform].derived else {}
