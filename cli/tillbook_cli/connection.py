"""Finds the stack that a command works on: on AWS, on this machine, or at another endpoint with AWS's interface."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

# While it runs, `make run` keeps the stack's name and the URLs of its AWS emulator and of its API in this file.
LOCAL_FILE = Path(".local", "stack.json")
# The admin key that local/seed.py gives the local stack; it opens no other stack.
LOCAL_KEY = "local-admin-key"
# The error codes with which AWS's services refuse a request whose time, or whose signing key, is wrong.
CLOCK_CODES = {"InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}
# The timeouts are short, since a person waits for the command.
CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})


class Unreachable(Exception):
    """The stack cannot be reached or used; the message says why."""


@dataclass(frozen=True)
class Target:
    """The stack that the options name. `local` takes precedence over the other options."""

    stack_name: str
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    local: bool = False


@dataclass(frozen=True)
class Connection:
    """A DynamoDB client, the names of the stack's tables, and the URL of its API, empty if it has none.

    `client` creates clients of other services.
    """

    dynamodb: Any
    records_table: str
    ledger_table: str
    client: Callable[[str], Any] = boto3.client
    stack_name: str = ""
    url: str = ""


@dataclass(frozen=True)
class Aws:
    """Clients of one region, and the name of the stack in it. `url` is the API of the local stack."""

    client: Callable[[str], Any]
    region: str
    stack_name: str
    url: str = ""


def connect(target: Target) -> Connection:
    """Connects to a stack. Raises Unreachable."""
    try:
        aws = aws_of(target)
        outputs = outputs_of(described(aws))
    except (BotoCoreError, ClientError) as error:
        raise Unreachable(explained(error, target)) from error
    return Connection(
        aws.client("dynamodb"),
        outputs["RecordsTableName"],
        outputs["LedgerTableName"],
        aws.client,
        aws.stack_name,
        aws.url or outputs.get("ApiUrl", ""),
    )


def aws_of(target: Target) -> Aws:
    """The clients for a target. Raises Unreachable, BotoCoreError."""
    if target.local:
        found = local_stack()
        session = boto3.session.Session("test", "test", region_name="us-east-1")
        client = partial(session.client, endpoint_url=found["endpoint_url"], config=CONFIG)
        return Aws(client, "us-east-1", found["stack_name"], found.get("url", ""))
    # The AWS command reads AWS_REGION, but boto3 reads AWS_DEFAULT_REGION only.
    region = target.region or os.environ.get("AWS_REGION")
    session = boto3.session.Session(profile_name=target.profile, region_name=region)
    if session.region_name is None:
        raise NoRegionError
    client = partial(session.client, endpoint_url=target.endpoint_url, config=CONFIG)
    return Aws(client, session.region_name, target.stack_name)


def described(aws: Aws) -> dict[str, Any]:
    """The stack as CloudFormation describes it. Raises Unreachable if there is none, BotoCoreError, ClientError."""
    try:
        stack: dict[str, Any] = aws.client("cloudformation").describe_stacks(StackName=aws.stack_name)["Stacks"][0]
    except ClientError as error:
        # The error code for a stack that does not exist.
        if _code(error) == "ValidationError":
            hint = "Choose another with --stack-name and --region."
            raise Unreachable(f"There is no stack {aws.stack_name} in {aws.region}. {hint}") from error
        raise
    return stack


def outputs_of(stack: dict[str, Any]) -> dict[str, str]:
    """The outputs of a stack. Raises Unreachable if it is not a stack of Tillbook."""
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    for name in ("RecordsTableName", "LedgerTableName"):
        if name not in outputs:
            named = f"{stack['StackName']} ({stack['StackStatus']})"
            raise Unreachable(f"The stack {named} has no output {name}: is it Tillbook's?")
    return outputs


def local_stack() -> dict[str, str]:
    """Reads LOCAL_FILE of this folder or a parent: `endpoint_url` and `stack_name` for AWS, `url` for the API.

    Raises Unreachable if no stack runs.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        try:
            found: dict[str, str] = json.loads((folder / LOCAL_FILE).read_text())
            return found
        except (OSError, ValueError):
            continue
    raise Unreachable("No local stack runs in this project: start one with make run.")


def explained(error: BotoCoreError | ClientError, target: Target) -> str:
    """The error in plain words, with a remedy if there is a usual one."""
    if isinstance(error, NoRegionError):
        return "No region: give --region, set AWS_REGION, or save one with aws configure. For make run: --local."
    if isinstance(error, NoCredentialsError):
        return "No AWS credentials: give --profile, or set them up with aws configure. For make run: --local."
    if isinstance(error, ClientError) and _code(error) in CLOCK_CODES:
        return f"AWS refused ({_code(error)}): if the keys are right, this machine's clock is wrong."
    if isinstance(error, ClientError):
        return f"AWS refused ({_code(error)}): {error.response['Error'].get('Message', '')}"
    if target.local:
        return f"The local stack does not answer: does make run still run? ({error})"
    return str(error)


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", ""))
