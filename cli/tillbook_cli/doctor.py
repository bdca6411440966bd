"""`tillbook doctor`: finds problems of an AWS account or a stack, and says how to fix them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import click

from .connection import Aws, Target, aws_of, described, outputs_of
from .health import ADVICE, AFTER, BEFORE, PROBLEM, UNCHECKED, Deployed, Environment, Finding, findings
from .on_a_stack import on_aws
from .output import FOUND, text

_CONCURRENCY = click.IntRange(2, 1000)


@click.command()
@click.option("--before", is_flag=True, help="Check only the AWS account, before the first deployment.")
@click.option(
    "--processing-concurrency",
    type=_CONCURRENCY,
    default=20,
    show_default=True,
    help="With --before: the planned ProcessingConcurrency.",
)
@click.option(
    "--jobs-concurrency",
    type=_CONCURRENCY,
    default=10,
    show_default=True,
    help="With --before: the planned JobsConcurrency.",
)
@on_aws
def doctor(target: Target, as_json: bool, before: bool, processing_concurrency: int, jobs_concurrency: int) -> None:
    """Check an AWS account before a deployment, or a stack after one; report problems and how to fix them.

    It checks the clock, the region and the limit of concurrent functions. For a stack, it also checks alarms and
    whether anybody is notified of them, dead letters, keys and layers. It changes nothing. Exit code 4 if there is a
    problem, or if something could not be checked.

    \b
    Examples:
      tillbook doctor --before --region eu-west-1
      tillbook doctor --stack-name tillbook-prod
    """
    aws = aws_of(target)
    if before:
        planned = {"ProcessingConcurrency": processing_concurrency, "JobsConcurrency": jobs_concurrency}
        environment = Environment(aws, None, planned)
    else:
        environment = Environment(aws, _deployed(aws))
    found = list(findings(environment))
    checks = list(BEFORE if before else AFTER)
    if as_json:
        click.echo(json.dumps({"checks": checks, "findings": [asdict(finding) for finding in found]}, indent=2))
    else:
        click.echo(_report(checks, found))
    if any(finding.level != ADVICE for finding in found):
        raise SystemExit(FOUND)


def _deployed(aws: Aws) -> Deployed:
    stack = described(aws)
    resources: list[dict[str, Any]] = [
        resource
        for page in aws.client("cloudformation")
        .get_paginator("list_stack_resources")
        .paginate(StackName=aws.stack_name)
        for resource in page["StackResourceSummaries"]
    ]
    return Deployed(
        {given["ParameterKey"]: given.get("ParameterValue", "") for given in stack.get("Parameters", [])},
        outputs_of(stack),
        {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources},
        {resource["LogicalResourceId"]: resource["ResourceType"] for resource in resources},
    )


def _report(checks: list[str], found: list[Finding]) -> str:
    lines = [f"{finding.level.upper():9}  {text(finding.what)}\n           {text(finding.do)}" for finding in found]
    levels = Counter(finding.level for finding in found)
    counted = ", ".join(_counted(level, count) for level, count in levels.items()) or "nothing found"
    return "\n".join([*lines, f"Checked {', '.join(checks)}: {counted}."])


def _counted(level: str, count: int) -> str:
    if level == UNCHECKED:
        return f"{count} could not be checked"
    return f"{count} {level}{'s' if level == PROBLEM and count > 1 else ''}"
