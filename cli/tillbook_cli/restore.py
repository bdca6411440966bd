"""`tillbook restore`: sets a stack back to an earlier moment, by point-in-time recovery or with existing tables."""

from __future__ import annotations

import json

import click

from tillbook.rules import times

from .connection import Aws, Target, aws_of, described, outputs_of
from .on_a_stack import on_aws
from .output import REFUSED, fail
from .restoring import Plan, Restoration, is_done, planned
from .waiting import Stuck


@click.command()
@click.option(
    "--to",
    "moment",
    metavar="TIME",
    required=True,
    help="The moment, as 2026-11-30T10:15:00Z. Later writes are undone. latest is the latest possible moment.",
)
@click.option(
    "--take",
    "taken",
    metavar="TABLE=NAME",
    multiple=True,
    help="Use the existing table NAME for LedgerTable, RecordsTable, BookTable or RemovalsTable; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Perform the restore. Without it, only the steps are printed.")
@on_aws
def restore(target: Target, as_json: bool, moment: str, taken: tuple[str, ...], yes: bool) -> None:
    """Set a stack back to a moment of the last 35 days. Without --yes, only the steps are printed.

    Ledger and records are restored to one moment, as new tables. Purges and erasures since then are repeated. Keys and
    settings keep their current state. In prod, the old tables are kept. During the restore, webhooks and shopper
    activity are accepted and queued, and the Orders API answers 503. If it stops, run the command again to continue.
    docs/how-to/restore.md has the details.

    \b
    Examples:
      tillbook restore --to 2026-11-30T10:15:00Z --stack-name tillbook-prod
      tillbook restore --to 2026-11-30T10:15:00Z --stack-name tillbook-prod --yes
    """
    aws = aws_of(target)
    plan = planned(aws, _stamp(aws, moment), _named(taken))
    restoration = Restoration(aws, plan, lambda text: click.echo(f"    {text}", err=as_json))
    steps = restoration.steps()
    if is_done(aws, plan):
        back = f"{_take_options(plan)} and, as --to, the time at which it paused intake"
        fail(f"This restore is complete. To return to the old tables, give {back}.", REFUSED, as_json)
    for number, step in enumerate(steps, 1):
        if not as_json or yes:
            click.echo(f"{number:2}. {step.title}.", err=as_json)
        if yes:
            try:
                restoration.run(step)
            except Stuck as stuck:
                fail(f"{stuck} Then run this command again, with --to {times.iso(plan.moment)}.", REFUSED, as_json)
    if as_json:
        shown = {"to": times.iso(plan.moment), "old": plan.old, "new": plan.new, "done": yes}
        click.echo(json.dumps(shown | {"steps": [step.title for step in steps]}, indent=2))
    elif yes:
        click.echo(f"Restored to {times.iso(plan.moment)}. Next: tillbook audit --all. {_kept(plan)}")
    else:
        click.echo(f"Nothing was changed. To perform the restore: --to {times.iso(plan.moment)} --yes")


def _stamp(aws: Aws, moment: str) -> str:
    """The stamp of a moment, to the second, which is the precision of point-in-time recovery. Raises ValueError."""
    if moment == "latest":
        return latest(aws)
    found = times.parse_iso(moment)
    if found > times.now():
        raise ValueError("--to is in the future.")
    return f"{found[:14]}000000"


def latest(aws: Aws) -> str:
    """The latest second to which ledger and records can both be restored, as a stamp; on AWS about five minutes ago.

    Raises ValueError without point-in-time recovery.
    """
    dynamodb, found = aws.client("dynamodb"), []
    for name in _ledger_and_records(aws):
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
            raise ValueError(f"{name} has no point-in-time recovery: restore a backup, and --take its table.")
        found.append(recovery["LatestRestorableDateTime"])
    return f"{times.stamp(min(found))[:14]}000000"


def _ledger_and_records(aws: Aws) -> list[str]:
    outputs = outputs_of(described(aws))
    return [outputs["LedgerTableName"], outputs["RecordsTableName"]]


def _named(taken: tuple[str, ...]) -> dict[str, str]:
    """The tables of --take by logical id. Raises UsageError."""
    pairs = [text.partition("=") for text in taken]
    if not all(name and found for name, _, found in pairs):
        raise click.UsageError("--take is TABLE=NAME, as LedgerTable=tillbook-prod-LedgerTable-1ABC.")
    return {name: found for name, _, found in pairs}


def _take_options(plan: Plan) -> str:
    """The options that return to the old tables."""
    return " ".join(f"--take {name}={plan.old[name]}" for name in plan.new)


def _old_tables(plan: Plan) -> str:
    return ", ".join(plan.old[name] for name in plan.new)


def _kept(plan: Plan) -> str:
    if plan.stage == "prod":
        return f"The old tables are kept, with people who were erased since: delete them in time ({_old_tables(plan)})."
    return f"The old tables were deleted with the update, which is the policy of {plan.stage}."
