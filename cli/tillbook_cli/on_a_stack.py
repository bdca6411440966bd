"""Decorators for commands that work on a stack: they add its options, connect to it, and report errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from tillbook.records.accounts import Accounts
from tillbook.records.keys import Keys
from tillbook.records.scopes import Marks, Scopes
from tillbook.rules.errors import Problem

from . import output
from .connection import Connection, Target, Unreachable, connect, explained
from .output import REFUSED, UNREACHABLE, fail


@dataclass(frozen=True)
class Tillbook:
    """The stack on which a command works, passed to it as its first argument. `connection` is the connection to AWS."""

    accounts: Accounts
    keys: Keys
    connection: Connection
    as_json: bool

    def marks(self, account_id: str) -> Marks:
        return Scopes(self.connection.dynamodb, self.connection.records_table).read(account_id)

    def show(self, shape: dict[str, Any], *, note: str = "") -> None:
        output.show(shape, self.as_json, note=note)


Command = Callable[..., None]


_options = (
    click.option(
        "--stack-name",
        envvar="TILLBOOK_STACK",
        default="tillbook-dev",
        show_default=True,
        show_envvar=True,
        help="The CloudFormation stack.",
    ),
    click.option("--profile", help="The profile of the AWS configuration."),
    click.option("--region", help="The AWS region."),
    click.option("--endpoint-url", help="The endpoint of an AWS emulator."),
    click.option("--local", is_flag=True, help="Use the stack that make run runs in this project."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)


def on_aws(command: Command) -> Command:
    """Adds options that select a stack (passed as `target`), and --json (`as_json`); reports refusals and errors."""

    @functools.wraps(command)
    def call(
        *,
        stack_name: str,
        profile: str | None,
        region: str | None,
        endpoint_url: str | None,
        local: bool,
        as_json: bool,
        **arguments: Any,
    ) -> None:
        target = Target(stack_name, profile, region, endpoint_url, local)
        try:
            command(target=target, as_json=as_json, **arguments)
        except Problem as problem:
            fail(problem.message, REFUSED, as_json)
        except ValueError as error:
            fail(str(error), REFUSED, as_json)
        except Unreachable as error:
            fail(str(error), UNREACHABLE, as_json)
        except (BotoCoreError, ClientError) as error:
            fail(explained(error, target), UNREACHABLE, as_json)

    wrapped: Command = call
    for option in reversed(_options):
        wrapped = option(wrapped)
    return wrapped


def on_a_stack(command: Command) -> Command:
    """Works like on_aws, but connects to the stack, and passes it as a Tillbook instead of `target` and `as_json`."""

    @on_aws
    @functools.wraps(command)
    def call(*, target: Target, as_json: bool, **arguments: Any) -> None:
        found = connect(target)
        client, table = found.dynamodb, found.records_table
        command(Tillbook(Accounts(client, table), Keys(client, table), found, as_json), **arguments)

    return call
