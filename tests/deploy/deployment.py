"""deploy/oidc-role.yaml as an administrator deploys it: policies with the ARNs that AWS would insert."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from local.stack import ROOT
from tests.deploy.iam import Statement
from tests.infrastructure.deployed import resolved

FILE = ROOT / "deploy" / "oidc-role.yaml"
REGION, AWS_ACCOUNT = "eu-west-1", "111122223333"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": AWS_ACCOUNT,
    "AWS::URLSuffix": "amazonaws.com",
}
# The suffix that AWS adds to the name of a resource without a name of its own.
_RANDOM = "1A2B3C"


def arn(service: str, rest: str) -> str:
    """An ARN of this region and AWS account."""
    return f"arn:aws:{service}:{REGION}:{AWS_ACCOUNT}:{rest}"


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{AWS_ACCOUNT}:role/{name}"


def policy_arn(name: str) -> str:
    return f"arn:aws:iam::{AWS_ACCOUNT}:policy/{name}"


@dataclass(frozen=True)
class Deployment:
    """`roles`: statements of the policies by role; `arns` of all resources. Both by logical id.

    `boundary`: statements of the permissions boundary, empty if the file has none.
    """

    stack: str
    roles: dict[str, list[Statement]]
    arns: dict[str, str]
    boundary: list[Statement]


def template(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml_parse(text)
    return found


def deployment(document: dict[str, Any], stack: str = "tillbook-staging") -> Deployment:
    parameters = {"Repository": "owner/name", "Environment": "staging", "StackName": stack, "ProviderArn": ""} | PSEUDO
    resources = resolved(document["Resources"], parameters, document["Conditions"])
    arns = {name: _arn(f"{stack}-deployment-{name}-{_RANDOM}", resource) for name, resource in resources.items()}
    text = re.sub(r"\$\{(\w+)(?:\.Arn)?\}", lambda found: arns[found[1]], json.dumps(resources))
    resources = json.loads(text)
    roles = {
        name: [s for policy in resource["Properties"]["Policies"] for s in policy["PolicyDocument"]["Statement"]]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::IAM::Role"
    }
    boundary = resources.get("Boundary", {}).get("Properties", {}).get("PolicyDocument", {}).get("Statement", [])
    return Deployment(stack, roles, arns, boundary)


def _arn(name: str, resource: dict[str, Any]) -> str:
    properties = resource.get("Properties", {})
    path = properties.get("Path", "/")[1:]
    if resource["Type"] == "AWS::IAM::Role":
        return role_arn(path + name)
    if resource["Type"] == "AWS::IAM::ManagedPolicy":
        return policy_arn(path + properties.get("ManagedPolicyName", name))
    if resource["Type"] == "AWS::S3::Bucket":
        return f"arn:aws:s3:::{name.lower()}"
    # The provider is the only other resource.
    return f"arn:aws:iam::{AWS_ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
