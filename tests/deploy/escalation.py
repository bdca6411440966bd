"""Calls that the roles of one stage must not be able to make, and calls that a deployment needs."""

from __future__ import annotations

from collections.abc import Iterator

from tests.deploy.deployment import AWS_ACCOUNT, Deployment, arn, policy_arn, role_arn
from tests.deploy.iam import Call, allowed

OTHER = "tillbook-prod"  # the stack of another stage
ADMINISTRATOR = role_arn("Administrator")
_ADMIN_POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"
_SAMS_BUCKET = "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1a2b3c"
# Calls that give a role rights, or decide who may use it.
GRANTS = ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy")

Named = tuple[str, Call]


def escalations(stage: Deployment) -> Iterator[Named]:
    """(kind, call): calls by which a deployment of this stage would reach beyond the stage."""
    mine = role_arn(f"{stage.stack}-ReadRole-1A2B3C")
    boundary = stage.arns.get("Boundary", policy_arn(f"{stage.stack}-FunctionBoundary-1A2B3C"))
    everything = policy_arn(f"{stage.stack}-Everything-1A2B3C")
    others = (ADMINISTRATOR, stage.arns["DeployRole"], stage.arns["ExecutionRole"], role_arn(f"{OTHER}-ReadRole-1A"))
    for action in GRANTS:
        yield f"{action} without a boundary", Call(action, mine)
        yield f"{action} within a boundary of its own", Call(action, mine, {"iam:PermissionsBoundary": everything})
        for role in others:
            name = role.rpartition("/")[2].removeprefix(f"{stage.stack}-deployment-").partition("-1A")[0]
            yield f"{action} of {name}", Call(action, role)
    yield (
        "a boundary is removed",
        Call("iam:DeleteRolePermissionsBoundary", mine, {"iam:PermissionsBoundary": boundary}),
    )
    for policy in (_ADMIN_POLICY, everything):
        yield (
            "a boundary is replaced",
            Call("iam:PutRolePermissionsBoundary", mine, {"iam:PermissionsBoundary": policy}),
        )
    for action in ("CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion", "DeletePolicy"):
        yield "the boundary is changed", Call(f"iam:{action}", boundary)
    yield "a policy is created", Call("iam:CreatePolicy", everything)
    for service in ("ec2", "cloudformation", "apigateway", "glue", "ecs-tasks", "codebuild", "states"):
        passed = {"iam:PassedToService": f"{service}.amazonaws.com"}
        yield "a role is passed to another service", Call("iam:PassRole", mine, passed)
    for role in others:
        for service in ("lambda", "scheduler"):
            passed = {"iam:PassedToService": f"{service}.amazonaws.com"}
            yield "another role is passed", Call("iam:PassRole", role, passed)
    user = f"arn:aws:iam::{AWS_ACCOUNT}:user/somebody"
    for action in ("CreateUser", "CreateAccessKey", "CreateLoginProfile", "AttachUserPolicy", "PutUserPolicy"):
        yield "a user is made or changed", Call(f"iam:{action}", user)
    for action in ("UpdateOpenIDConnectProviderThumbprint", "AddClientIDToOpenIDConnectProvider"):
        yield "GitHub's provider is changed", Call(f"iam:{action}", stage.arns["Provider"])
    yield "another role is assumed", Call("sts:AssumeRole", ADMINISTRATOR)
    yield from _of_others(OTHER)
    yield from _of_others("billing")


def _of_others(stack: str) -> Iterator[Named]:
    """Calls on resources of another stack in the same AWS account, and on any secret, key or EC2 instance."""
    function = arn("lambda", f"function:{stack}-Read-1A2B3C")
    for action in ("UpdateFunctionCode", "UpdateFunctionConfiguration", "InvokeFunction", "AddPermission"):
        yield "a function of another stack", Call(f"lambda:{action}", function)
    for action in ("CreateEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping"):
        # IAM takes no resource for Create, as the mapping has no id yet.
        mapping = "*" if action.startswith("Create") else arn("lambda", "event-source-mapping:1a2b3c")
        yield "a queue of another stack's function", Call(f"lambda:{action}", mapping, {"lambda:FunctionArn": function})
    for action in ("PublishLayerVersion", "DeleteLayerVersion", "AddLayerVersionPermission"):
        for name in (f"{stack}-arm64:3", "LayerArm64:3"):
            yield "a layer of another stack", Call(f"lambda:{action}", arn("lambda", f"layer:{name}"))
    for bucket in (f"arn:aws:s3:::{stack}-deployment-artifactsbucket-1a2b3c", _SAMS_BUCKET):
        for action in ("PutObject", "GetObject"):
            yield "artifacts of another stack", Call(f"s3:{action}", f"{bucket}/0123456789abcdef")
    for action in ("GetItem", "Scan", "DeleteTable", "UpdateTable", "PutResourcePolicy"):
        yield "a table of another stack", Call(f"dynamodb:{action}", arn("dynamodb", f"table/{stack}-LedgerTable-1A"))
    for action in ("SendMessage", "ReceiveMessage", "SetQueueAttributes"):
        yield "messages of another stack", Call(f"sqs:{action}", arn("sqs", f"{stack}-OrdersQueue-1A2B3C"))
    for action in ("PutEvents", "PutPermission", "DeleteEventBus"):
        yield "the bus of another stack", Call(f"events:{action}", arn("events", f"event-bus/{stack}"))
    yield "the budget of another stack", Call("budgets:ModifyBudget", f"arn:aws:budgets::{AWS_ACCOUNT}:budget/{stack}")
    for action in ("CreateChangeSet", "ExecuteChangeSet", "DeleteStack", "UpdateStack"):
        yield "another stack", Call(f"cloudformation:{action}", arn("cloudformation", f"stack/{stack}/0a1b"))
    parameter = arn("ssm", f"parameter/tillbook/{stack}/webhook-key")
    yield "secrets of another stack", Call("ssm:GetParameter", parameter)
    yield "any secret", Call("secretsmanager:GetSecretValue", arn("secretsmanager", f"secret:{stack}-1A2B3C"))
    yield "any key", Call("kms:Decrypt", arn("kms", "key/0a1b2c3d"))
    yield "an EC2 instance is started", Call("ec2:RunInstances", arn("ec2", "instance/*"))


def possible_escalations(stage: Deployment) -> set[str]:
    """Kinds of escalation that are possible for one of the roles.

    Kinds that begin with "within the boundary: " are possible for a new role with every right within the boundary.
    """
    kinds = {name for name, call in escalations(stage) for role in stage.roles.values() if allowed(call, role)}
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    # The earlier file has no boundary of its own. The deployment can change that of the stack, so it limits nothing.
    within = stage.boundary or everything
    for name, call in escalations(stage):
        if allowed(call, everything, within):
            kinds.add(f"within the boundary: {name}")
    return kinds


def needed(stage: Deployment) -> Iterator[tuple[str, Call]]:
    """(role, call): calls of a first deployment, a change and a deletion, as far as template.yaml implies them."""
    bucket, stack = stage.arns["ArtifactsBucket"], arn("cloudformation", f"stack/{stage.stack}/0a1b")
    for action in ("CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet", "DescribeStacks", "DescribeStackEvents"):
        yield "DeployRole", Call(f"cloudformation:{action}", stack)
    transform = f"arn:aws:cloudformation:{arn('', '').split(':')[3]}:aws:transform/Serverless-2016-10-31"
    yield "DeployRole", Call("cloudformation:CreateChangeSet", transform)
    for action, resource in (("PutObject", f"{bucket}/0a1b"), ("GetObject", f"{bucket}/0a1b"), ("ListBucket", bucket)):
        yield "DeployRole", Call(f"s3:{action}", resource)
    to_cloudformation = {"iam:PassedToService": "cloudformation.amazonaws.com"}
    yield "DeployRole", Call("iam:PassRole", stage.arns["ExecutionRole"], to_cloudformation)
    yield "ExecutionRole", Call("s3:GetObject", f"{bucket}/0a1b")

    for role in ("ReadRole", "JobsScheduleRole"):
        mine = role_arn(f"{stage.stack}-{role}-1A2B3C")
        bounded = {"iam:PermissionsBoundary": stage.arns["Boundary"]}
        for action in (*GRANTS, "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePermissionsBoundary"):
            yield "ExecutionRole", Call(action, mine, bounded)
        for action in ("GetRole", "GetRolePolicy", "TagRole", "DeleteRole", "ListAttachedRolePolicies"):
            yield "ExecutionRole", Call(f"iam:{action}", mine)
        for service in ("lambda", "scheduler"):
            yield "ExecutionRole", Call("iam:PassRole", mine, {"iam:PassedToService": f"{service}.amazonaws.com"})
    function = arn("lambda", f"function:{stage.stack}-Read-1A2B3C")
    for action in (
        "CreateFunction",
        "UpdateFunctionCode",
        "AddPermission",
        "PublishVersion",
        "CreateAlias",
        "GetFunction",
    ):
        yield "ExecutionRole", Call(f"lambda:{action}", function)
    for action in ("PublishLayerVersion", "GetLayerVersion", "DeleteLayerVersion"):
        yield "ExecutionRole", Call(f"lambda:{action}", arn("lambda", f"layer:{stage.stack}-arm64:3"))
    mapping = arn("lambda", "event-source-mapping:0a1b")
    yield "ExecutionRole", Call("lambda:CreateEventSourceMapping", "*", {"lambda:FunctionArn": function})
    yield "ExecutionRole", Call("lambda:GetEventSourceMapping", mapping)
    for service, action, rest in (
        ("dynamodb", "CreateTable", f"table/{stage.stack}-LedgerTable-1A"),
        ("dynamodb", "UpdateContinuousBackups", f"table/{stage.stack}-LedgerTable-1A"),
        ("sqs", "CreateQueue", f"{stage.stack}-OrdersQueue-1A"),
        ("sns", "CreateTopic", f"{stage.stack}-AlarmTopic-1A"),
        ("logs", "CreateLogGroup", f"log-group:{stage.stack}-ReadLogs-1A"),
        ("logs", "PutRetentionPolicy", f"log-group:{stage.stack}-ReadLogs-1A:log-stream:"),
        ("scheduler", "CreateSchedule", f"schedule/default/{stage.stack}-DailyAudit-1A"),
        ("cloudwatch", "PutMetricAlarm", f"alarm:{stage.stack}-LatencyAlarm-1A"),
        ("cloudwatch", "PutInsightRule", f"insight-rule/{stage.stack}-requests-by-key"),
        ("events", "CreateEventBus", f"event-bus/{stage.stack}"),
    ):
        yield "ExecutionRole", Call(f"{service}:{action}", arn(service, rest))
    for path in ("/apis", "/apis/a1b2c3/stages/$default", "/tags/arn%3Aaws"):
        region = arn("", "").split(":")[3]
        yield "ExecutionRole", Call("apigateway:POST", f"arn:aws:apigateway:{region}::{path}")
    yield "ExecutionRole", Call("budgets:ModifyBudget", f"arn:aws:budgets::{AWS_ACCOUNT}:budget/{stage.stack}")
    dashboard = f"arn:aws:cloudwatch::{AWS_ACCOUNT}:dashboard/{stage.stack}-eu-west-1"
    yield "ExecutionRole", Call("cloudwatch:PutDashboard", dashboard)
