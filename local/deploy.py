"""Deploys the template to the embedded AWS as `sam deploy` does: CloudFormation with its SAM transform."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local import template as templates

BUCKET = "tillbook-code"
STACK = "tillbook"
_TEMPLATE = "template.json"
DEPLOY_SECONDS = 60

Client = Callable[[str], Any]


class DeployError(Exception):
    """The template was not deployed; the message says why."""


@dataclass(frozen=True)
class Deployed:
    outputs: dict[str, str]
    # Physical ids by logical ids.
    resources: dict[str, str]


def deploy(client: Client, template_path: Path, root: Path, parameters: Mapping[str, str]) -> Deployed:
    """Creates or updates the stack. `client` makes the boto3 client of a service.

    Raises DeployError, TemplateError.
    """
    template = templates.load(template_path)
    s3, cloudformation = client("s3"), client("cloudformation")
    s3.create_bucket(Bucket=BUCKET)
    for key, archive in templates.package(template, root, BUCKET).items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=archive)

    # The template is passed through S3, as by the SAM CLI: within the request it may have only 51,200 bytes.
    s3.put_object(Bucket=BUCKET, Key=_TEMPLATE, Body=json.dumps(template))
    request = {
        "StackName": STACK,
        "TemplateURL": f"https://s3.amazonaws.com/{BUCKET}/{_TEMPLATE}",
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in parameters.items()
            if key in template.get("Parameters", {})
        ],
    }
    before = _stack(cloudformation)
    try:
        if before is None:
            cloudformation.create_stack(**request)
        else:
            cloudformation.update_stack(**request)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "No updates" not in message:
            raise DeployError(message) from None
    stack = _settled(cloudformation)
    number_concurrency(client("lambda"))

    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    return Deployed(
        outputs={output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])},
        resources={r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources},
    )


def _stack(cloudformation: Any) -> dict[str, Any] | None:
    try:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    except ClientError:
        return None
    return stack


def _settled(cloudformation: Any) -> dict[str, Any]:
    """Waits for the end of the deployment. Returns the stack. Raises DeployError."""
    end = time.monotonic() + DEPLOY_SECONDS
    while True:
        stack = _stack(cloudformation)
        status = stack["StackStatus"] if stack else "DELETED"
        if stack and status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return stack
        if not status.endswith("_IN_PROGRESS"):
            raise DeployError(_reason(cloudformation) or status)
        if time.monotonic() > end:
            raise DeployError(f"not finished after {DEPLOY_SECONDS} s: {status}")
        time.sleep(0.03)


def _reason(cloudformation: Any) -> str | None:
    """The first failed resource of the last deployment, with its reason. Events are listed newest first."""
    reason = None
    for event in cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]:
        name, status = event["LogicalResourceId"], event["ResourceStatus"]
        if status.endswith("_FAILED"):
            reason = f"{name}: {event.get('ResourceStatusReason')}"
        elif name == STACK and status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            break
    return reason


def number_concurrency(functions: Any) -> None:
    """Sets MaximumConcurrency to a number: MiniStack's CloudFormation stores a string, which makes its poller fail."""
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if concurrency := mapping.get("ScalingConfig", {}).get("MaximumConcurrency"):
            functions.update_event_source_mapping(
                UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(concurrency)}
            )
