"""Which Tillbook is meant: a stack on AWS, the local stack, or whatever else speaks AWS at an endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

# `make run` says there where its AWS is, for as long as it runs.
LOCAL_FILE = Path(".local", "stack.json")
# The admin key that is made there, and nowhere else (local/seed.py).
LOCAL_KEY = "local-admin-key"
# Who looks on waits no longer.
CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})


class Unreachable(Exception):
    """The stack is not there, or not for us; the message says which."""


@dataclass(frozen=True)
class Target:
    """As named by the options. `local` goes before all the others."""

    stack_name: str
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    local: bool = False


@dataclass(frozen=True)
class Connection:
    """A DynamoDB client, and the names of the stack's tables."""

    dynamodb: Any
    records_table: str
    ledger_table: str


def connect(target: Target) -> Connection:
    """Raises Unreachable."""
    try:
        return _connect(target)
    except (BotoCoreError, ClientError) as error:
        raise Unreachable(explained(error, target)) from error


def _connect(target: Target) -> Connection:
    stack_name, endpoint_url, session = target.stack_name, target.endpoint_url, None
    if target.local:
        found = local_stack()
        stack_name, endpoint_url = found["stack_name"], found["endpoint_url"]
        session = boto3.session.Session("test", "test", region_name="us-east-1")
    else:
        session = boto3.session.Session(profile_name=target.profile, region_name=target.region)
    cloudformation = session.client("cloudformation", endpoint_url=endpoint_url, config=CONFIG)
    try:
        stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        # What CloudFormation answers for a stack that is not there.
        if _code(error) == "ValidationError":
            where = endpoint_url or session.region_name
            raise Unreachable(f"There is no stack {stack_name} in {where}.") from error
        raise
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    for name in ("RecordsTableName", "LedgerTableName"):
        if name not in outputs:
            status = stack["StackStatus"]
            raise Unreachable(f"The stack {stack_name} ({status}) has no output {name}: is it Tillbook's?")
    dynamodb = session.client("dynamodb", endpoint_url=endpoint_url, config=CONFIG)
    return Connection(dynamodb, outputs["RecordsTableName"], outputs["LedgerTableName"])


def local_stack() -> dict[str, str]:
    """`endpoint_url` and `stack_name` for AWS; `url` for HTTPS. Raises Unreachable."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        try:
            found: dict[str, str] = json.loads((folder / LOCAL_FILE).read_text())
            return found
        except (OSError, ValueError):
            continue
    raise Unreachable("No local stack runs in this project: start one with make run.")


def explained(error: BotoCoreError | ClientError, target: Target) -> str:
    """What went wrong, and where that helps what to do about it."""
    if isinstance(error, NoRegionError):
        return "No region: give --region, or set AWS_REGION."
    if isinstance(error, NoCredentialsError):
        return "No AWS credentials: give --profile, or set them up with aws configure. For make run: --local."
    if isinstance(error, ClientError):
        return f"AWS refused ({_code(error)}): {error.response['Error'].get('Message', '')}"
    if target.local:
        return f"The local stack does not answer: does make run still run? ({error})"
    return str(error)


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", ""))
