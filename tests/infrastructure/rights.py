"""Rights of a role: (action, resource) from the template and from SAM, within the role's boundary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.infrastructure.deployed import Deployed, Properties

Right = tuple[str, str]

_LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
_XRAY = (
    "PutTraceSegments", "PutTelemetryRecords",
    "GetSamplingRules", "GetSamplingTargets", "GetSamplingStatisticSummaries",
)  # fmt: skip
# The contents of AWS's own policies that SAM attaches. A policy that is missing here is a finding.
MANAGED: dict[str, set[Right]] = {
    "service-role/AWSLambdaBasicExecutionRole": {(action, "*") for action in _LOGS},
    "service-role/AWSLambdaSQSQueueExecutionRole": {
        (action, "*") for action in (*_LOGS, "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    },
    "service-role/AWSLambdaDynamoDBExecutionRole": {
        (action, "*")
        for action in (
            *_LOGS,
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        )
    },
    # The installed translator attaches the first of these, CloudFormation's own the second.
    "AWSXrayWriteOnlyAccess": {(f"xray:{action}", "*") for action in _XRAY},
    "AWSXRayDaemonWriteAccess": {(f"xray:{action}", "*") for action in _XRAY},
}
_POLICY = "arn:aws:iam::aws:policy/"
# These actions of X-Ray have no resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
WITHOUT_RESOURCES = {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}
_HERE = "${AWS::Region}:${AWS::AccountId}"
# Rights on the secrets of connections, which are under the stack's own path. A template cannot name the KMS key of
# Systems Manager, so a condition limits its use instead: test_kms_keys_are_used_through_systems_manager_only.
ON_SECRETS = {
    (f"ssm:{action}", f"arn:${{AWS::Partition}}:ssm:{_HERE}:parameter/tillbook/${{AWS::StackName}}/*")
    for action in ("GetParameter", "PutParameter", "DeleteParameter")
} | {(f"kms:{action}", f"arn:${{AWS::Partition}}:kms:{_HERE}:key/*") for action in ("Encrypt", "Decrypt")}
# The rights with `*` that are allowed.
ALLOWED_WILDCARDS = WITHOUT_RESOURCES | ON_SECRETS


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(document: Properties) -> Iterator[Properties]:
    yield from as_list(document["Statement"])


def _allowed(document: Properties) -> set[Right]:
    return {
        (action, resource)
        for statement in statements(document)
        if statement["Effect"] == "Allow"
        for action in as_list(statement.get("Action", []))
        for resource in as_list(statement.get("Resource", []))
    }


def documents(role: Properties) -> Iterator[Properties]:
    for policy in role.get("Policies", []):
        yield policy["PolicyDocument"]


def inline(role: Properties) -> set[Right]:
    """Rights that the template itself grants in the role."""
    return set().union(*(_allowed(document) for document in documents(role)))


def managed(role: Properties) -> set[Right]:
    """Rights of the role by AWS's own policies, as far as they are in MANAGED."""
    return set().union(*(MANAGED.get(name, set()) for name in managed_names(role)))


def managed_names(role: Properties) -> list[str]:
    return [str(arn).removeprefix(_POLICY) for arn in role.get("ManagedPolicyArns", [])]


def boundary(stack: Deployed, role: Properties) -> set[Right] | None:
    name = role.get("PermissionsBoundary")  # `${FunctionBoundary}`
    if name is None:
        return None
    return _allowed(stack.resources[name[2:-1]]["Properties"]["PolicyDocument"])


def effective(stack: Deployed, role: Properties) -> set[Right]:
    """Rights of a role within its boundary. Boundaries list actions without wildcards, so they are compared as text."""
    wanted, limit = inline(role) | managed(role), boundary(stack, role)
    if limit is None:
        return wanted
    return {
        (action, mine if theirs == "*" else theirs)
        for action, mine in wanted
        for allowed, theirs in limit
        if action == allowed and (mine == theirs or "*" in (mine, theirs))
    }


def role_of(stack: Deployed, function: str) -> Properties:
    role: str = stack.functions()[function]["Role"]
    properties: Properties = stack.resources[role[2:-1].removesuffix(".Arn")]["Properties"]
    return properties


def of_function(stack: Deployed, function: str) -> set[Right]:
    """Rights that the template itself grants a function, without those that SAM adds for logs, traces and polling."""
    return inline(role_of(stack, function))
