"""template.yaml keeps to the rules of rules.py in each stage, and the rules find each planted fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.infrastructure import rights
from tests.infrastructure.deployed import SWITCHED_ON, as_deployed, deployed, source
from tests.infrastructure.rights import of_function
from tests.infrastructure.rules import ASKED_FOR, RULES, Rule

Resources = dict[str, Any]


@pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_template_keeps_to_the_rule(rule: Rule, stage: str) -> None:
    assert list(rule(as_deployed(stage))) == []


def test_optional_resources_exist_only_on_request() -> None:
    defaults = {name: str(source()["Parameters"][name]["Default"]) for name in SWITCHED_ON}
    usual, complete = deployed(source(), **defaults), as_deployed()
    added = {name for name in complete.resources if name not in usual.resources}
    assert {
        "AnnounceChanges", "AnnounceChangesLogs", "EventBus", "AnnouncementsDeadLetters", "AnnouncementsBehindAlarm",
        "AnnouncementsLostAlarm", "RequestsByKey", "SurgeAlarm", "Budget",
    } <= added  # fmt: skip
    assert {resource["Type"].removeprefix("AWS::") for resource in usual.resources.values()} & ASKED_FOR == set()
    # Without announcements there is neither an unused stream nor a right on a missing resource.
    assert "StreamSpecification" not in dict(usual.of("DynamoDB::Table"))["RecordsTable"]
    assert not any("AnnouncementsDeadLetters" in str(resource) for resource in usual.resources.values())
    assert not any("events:PutEvents" in str(resource) for resource in usual.resources.values())


def test_the_transformed_template_has_resources_of_the_main_types() -> None:
    found = as_deployed()
    assert len(found.functions()) >= 8
    for kind in ("DynamoDB::Table", "SQS::Queue", "Lambda::EventSourceMapping", "ApiGatewayV2::Stage", "IAM::Role"):
        assert list(found.of(kind)), kind


_WRITES = {f"dynamodb:{verb}Item" for verb in ("Put", "Update", "Delete", "BatchWrite")}
LATE_SECONDS = 30  # between the end of a function and the latest arrival of its writes


def test_the_job_of_a_purge_begins_after_all_earlier_writes() -> None:
    """Checks the range of SettleSeconds. SQS delays a message by at most 900 s."""
    stack, settle = as_deployed(), source()["Parameters"]["SettleSeconds"]
    writers = {
        name: int(function["Timeout"])
        for name, function in stack.functions().items()
        if any(action in _WRITES and "LedgerTable" in resource for action, resource in of_function(stack, name))
    }
    assert {"SubmitOrder", "EditOrder", "DeleteOrder", "ProcessOrders"} <= writers.keys()
    assert max(writers.values()) + LATE_SECONDS <= settle["MinValue"] <= settle["Default"] <= settle["MaxValue"] <= 900


def test_kms_keys_are_used_through_systems_manager_only() -> None:
    stack = as_deployed()
    documents = [policy["PolicyDocument"] for _, policy in stack.of("IAM::ManagedPolicy")]
    documents += [document for _, role in stack.of("IAM::Role") for document in rights.documents(role)]
    found = [s for d in documents for s in rights.statements(d) if "kms:Decrypt" in rights.as_list(s.get("Action", []))]
    assert [s["Condition"] for s in found] == [{"StringEquals": {"kms:ViaService": "ssm.${AWS::Region}.amazonaws.com"}}]


# ------------------------------------------------------------ the rules find faults


def _set(path: str, value: Any) -> Callable[[Resources], None]:
    """A fault that sets the value at a dotted path: `LedgerTable.Properties.BillingMode`."""

    def change(resources: Resources) -> None:
        *parents, last = path.split(".")
        place = resources
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        place[last] = value

    return change


def _drop(path: str) -> Callable[[Resources], None]:
    """A fault that deletes the value at a dotted path."""

    def change(resources: Resources) -> None:
        *parents, last = path.split(".")
        place = resources
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        del place[last]

    return change


def _allow(action: Any, resource: Any) -> Callable[[Resources], None]:
    """A fault that grants a right to the function SubmitOrder."""

    def change(resources: Resources) -> None:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        resources["SubmitOrder"]["Properties"]["Policies"][0]["Statement"].append(statement)

    return change


def _boundary_logs(resources: Resources) -> dict[str, Any]:
    """The statement of the boundary that grants rights on log groups."""
    statement: dict[str, Any] = resources["FunctionBoundary"]["Properties"]["PolicyDocument"]["Statement"][0]
    return statement


LEDGER = {"Fn::GetAtt": ["LedgerTable", "Arn"]}
_TABLE, _RECORDS = "LedgerTable.Properties.", "RecordsTable.Properties."
_QUEUE, _LETTERS = "OrdersQueue.Properties.", "OrdersDeadLetters.Properties."
_TRIGGER = "ProcessOrders.Properties.Events.Queue.Properties."
_BOOK_TRIGGER = "KeepBook.Properties.Events.Changes.Properties."
_BOUNDARY = "FunctionBoundary.Properties.PolicyDocument.Statement."
_API = "Api.Properties."
_FORMAT_WITH_PATH = '{"path":"$context.path","routeKey":"$context.routeKey"}'
_RETAINED_IN_PROD = {"Fn::If": ["IsProd", "Retain", "Delete"]}


# A planted fault, the stage that shows it, and the expected finding.
FAULTS: dict[str, tuple[Callable[[Resources], None], str, str]] = {
    "all actions of a service": (_allow("dynamodb:*", LEDGER), "prod", "SubmitOrderRole: dynamodb:*"),
    "any action": (_allow("*", LEDGER), "prod", "SubmitOrderRole: * on"),
    "any resource": (_allow("dynamodb:GetItem", "*"), "prod", "SubmitOrderRole: dynamodb:GetItem on *"),
    "many resources": (
        _allow("sqs:SendMessage", {"Fn::Sub": "arn:aws:sqs:*:${AWS::AccountId}:tillbook-*"}),
        "prod",
        "SubmitOrderRole: sqs:SendMessage on arn",
    ),
    "one wide action of several": (_allow(["dynamodb:GetItem", "s3:*"], [LEDGER]), "prod", "SubmitOrderRole: s3:* on"),
    "a right to read traces": (_allow("xray:GetTraceSummaries", "*"), "prod", "xray:GetTraceSummaries on *"),
    "a right by exclusion": (
        lambda r: r["Read"]["Properties"]["Policies"][0]["Statement"].append(
            {"Effect": "Allow", "NotAction": "iam:CreateUser", "Resource": LEDGER}
        ),
        "prod",
        "ReadRole: a right by exclusion",
    ),
    "a right beyond the boundary": (_allow("sqs:PurgeQueue", LEDGER), "prod", "is refused by its boundary"),
    "a boundary without limits": (
        _set(_BOUNDARY + "0.Resource", "*"),
        "prod",
        "FunctionBoundary: logs:CreateLogStream on *",
    ),
    "a wide right of another role": (
        _set("JobsScheduleRole.Properties.Policies.0.PolicyDocument.Statement.0.Resource", "*"),
        "prod",
        "JobsScheduleRole: sqs:SendMessage on *",
    ),
    "a managed policy": (
        lambda r: r["Read"]["Properties"]["Policies"].append("AmazonDynamoDBFullAccess"),
        "prod",
        "ReadRole: rights.MANAGED lacks the managed policy",
    ),
    "no boundary": (_set("Read.Properties.PermissionsBoundary", {"Ref": "AWS::NoValue"}), "prod", "Read: no boundary"),
    "a role for everybody": (
        _set("JobsScheduleRole.Properties.AssumeRolePolicyDocument.Statement.0.Principal", "*"),
        "prod",
        "JobsScheduleRole: * may assume it",
    ),
    "a function that any account's buckets may call": (
        lambda r: r.update(
            Open={
                "Type": "AWS::Lambda::Permission",
                "Properties": {
                    "FunctionName": {"Ref": "Read"},
                    "Action": "lambda:InvokeFunction",
                    "Principal": "s3.amazonaws.com",
                },
            }
        ),
        "prod",
        "Open: s3.amazonaws.com may call it for any AWS account",
    ),
    "no point-in-time recovery": (
        _drop(_TABLE + "PointInTimeRecoverySpecification"),
        "prod",
        "LedgerTable: no point-in-time",
    ),
    "point-in-time recovery off": (
        _set(_RECORDS + "PointInTimeRecoverySpecification", {"PointInTimeRecoveryEnabled": False}),
        "dev",
        "RecordsTable: no point-in-time",
    ),
    "no encryption of a table": (_drop(_TABLE + "SSESpecification"), "prod", "LedgerTable: no encryption"),
    "capacity that is paid by the hour": (
        _set(_TABLE + "BillingMode", "PROVISIONED"),
        "prod",
        "LedgerTable: paid by the hour",
    ),
    "no deletion protection in prod": (
        _set(_TABLE + "DeletionProtectionEnabled", False),
        "prod",
        "LedgerTable: deletion protection is off",
    ),
    "deletion protection in dev": (
        _set(_RECORDS + "DeletionProtectionEnabled", True),
        "dev",
        "RecordsTable: deletion protection is on",
    ),
    "a table that is deleted in prod": (
        _drop("LedgerTable.DeletionPolicy"),
        "prod",
        "LedgerTable: DeletionPolicy is Delete",
    ),
    "a table that is lost when replaced in prod": (
        _drop("LedgerTable.UpdateReplacePolicy"),
        "prod",
        "LedgerTable: UpdateReplacePolicy is Delete",
    ),
    "a table that stays in dev": (
        _set("RecordsTable.DeletionPolicy", "Retain"),
        "dev",
        "RecordsTable: DeletionPolicy is Retain",
    ),
    "a log group that stays": (
        _set("ReadLogs.DeletionPolicy", _RETAINED_IN_PROD),
        "prod",
        "ReadLogs: DeletionPolicy is Retain",
    ),
    "layers that stay": (_set("LayerArm64.Properties.RetentionPolicy", "Retain"), "dev", "DeletionPolicy is Retain"),
    "versions that stay": (_drop("SubmitOrder.DeletionPolicy"), "dev", "DeletionPolicy is Retain in dev"),
    "a right to create log groups": (
        lambda r: _boundary_logs(r)["Action"].append("logs:CreateLogGroup"),
        "dev",
        "may create a log group",
    ),
    "no encryption of a queue": (_drop(_QUEUE + "SqsManagedSseEnabled"), "prod", "OrdersQueue: no encryption"),
    "no encryption of dead letters": (
        _set(_LETTERS + "SqsManagedSseEnabled", False),
        "prod",
        "OrdersDeadLetters: no encryption",
    ),
    "no dead letters": (_drop(_QUEUE + "RedrivePolicy"), "prod", "OrdersQueue: no dead letters"),
    "another queue without dead letters": (
        lambda r: r.update(More={"Type": "AWS::SQS::Queue", "Properties": {"SqsManagedSseEnabled": True}}),
        "prod",
        "More: no dead letters",
    ),
    "short-lived dead letters": (_drop(_LETTERS + "MessageRetentionPeriod"), "prod", "may expire at once"),
    "small dead letters": (_set(_LETTERS + "MaximumMessageSize", 262144), "prod", "refuses its largest messages"),
    "dead letters without an alarm": (_drop("DeadLetterQueueAlarm"), "prod", "OrdersDeadLetters: no alarm"),
    "a function without a log group": (_drop("Read.Properties.LoggingConfig"), "prod", "Read: no log group"),
    "a log group of two functions": (
        _set("Read.Properties.LoggingConfig.LogGroup", {"Ref": "ManageLogs"}),
        "prod",
        "shares its log group",
    ),
    "a log group that functions may not write": (
        lambda r: _boundary_logs(r)["Resource"].pop(0),
        "prod",
        "may not logs:PutLogEvents",
    ),
    "logs kept for ever": (_set("ReadLogs.Properties", {}), "prod", "ReadLogs: its logs are kept for ever"),
    "access logs kept for ever": (_set("ApiLogs.Properties", {}), "prod", "ApiLogs: its logs are kept for ever"),
    "logs as text": (_set("Read.Properties.LoggingConfig.LogFormat", "Text"), "prod", "Read: its logs are not JSON"),
    "no X-Ray": (_set("Manage.Properties.Tracing", "PassThrough"), "prod", "Manage: no X-Ray"),
    "a long time-out": (_set("SubmitOrder.Properties.Timeout", 30), "prod", "SubmitOrder: runs longer"),
    "no rate limit": (_drop(_API + "DefaultRouteSettings.ThrottlingRateLimit"), "prod", "no ThrottlingRateLimit"),
    "no burst limit": (_drop(_API + "DefaultRouteSettings.ThrottlingBurstLimit"), "prod", "no ThrottlingBurstLimit"),
    "no throttling": (_drop(_API + "DefaultRouteSettings"), "prod", "no ThrottlingRateLimit"),
    "no limit for unknown routes": (_drop(_API + "RouteSettings.$default"), "prod", "$default needs no key"),
    "a wide limit for the page": (
        lambda r: r["Api"]["Properties"]["RouteSettings"]["GET /"].update(ThrottlingRateLimit=101),
        "prod",
        "GET / needs no key, and its ThrottlingRateLimit",
    ),
    "a limit for a route that does not exist": (
        lambda r: r["Api"]["Properties"]["RouteSettings"].update({"GET /pages": {}}),
        "prod",
        "a limit for GET /pages",
    ),
    "no source in the access log": (
        _set(_API + "AccessLogSettings.Format", '{"routeKey":"$context.routeKey"}'),
        "prod",
        "lacks the address of the caller",
    ),
    "no access log": (_drop(_API + "AccessLogSettings"), "prod", "no access log"),
    "paths in the access log": (
        _set(_API + "AccessLogSettings.Format", _FORMAT_WITH_PATH),
        "prod",
        "the access log holds path",
    ),
    "no bound on a trigger": (_drop(_TRIGGER + "ScalingConfig"), "prod", "no MaximumConcurrency"),
    "no partial batch failures": (_drop(_TRIGGER + "FunctionResponseTypes"), "prod", "no ReportBatchItemFailures"),
    "a short visibility time-out": (_set(_QUEUE + "VisibilityTimeout", 359), "prod", "less than six times"),
    "a loop that is stopped": (_drop("ProcessOrders.Properties.RecursiveLoop"), "prod", "look like a loop"),
    "messages too old for the dead-letter queue": (
        _set(_QUEUE + "MessageRetentionPeriod", 1209600),
        "prod",
        "too old for the dead-letter queue",
    ),
    "a function longer than a sixth of the visibility time-out": (
        _set("ProcessOrders.Properties.Timeout", 71),
        "prod",
        "less than six times",
    ),
    "a stream without old images": (
        _set(_TABLE + "StreamSpecification.StreamViewType", "NEW_IMAGE"),
        "prod",
        "has no old images",
    ),
    "a late start of the book": (_set(_BOOK_TRIGGER + "StartingPosition", "LATEST"), "prod", "skips changes"),
    "no partial batch failures of a stream": (
        _drop(_BOOK_TRIGGER + "FunctionResponseTypes"),
        "prod",
        "no ReportBatchItemFailures",
    ),
    "a batch that one change blocks": (
        _drop(_BOOK_TRIGGER + "BisectBatchOnFunctionError"),
        "prod",
        "blocks a whole batch",
    ),
    "a change that is given up early": (_set(_BOOK_TRIGGER + "MaximumRetryAttempts", 3), "prod", "gives up while"),
    "a change that expires in the stream": (
        _drop(_BOOK_TRIGGER + "MaximumRecordAgeInSeconds"),
        "prod",
        "expires in the stream",
    ),
    "a lost change that is not reported": (
        _drop(_BOOK_TRIGGER + "DestinationConfig"),
        "prod",
        "is given up is not reported",
    ),
    "an alarm without an action": (
        _drop("OldestMessageAlarm.Properties.AlarmActions"),
        "prod",
        "OldestMessageAlarm: no action",
    ),
    "an alarm that does not end": (
        _set("TableThrottlesAlarm.Properties.Metrics.0.Expression", "SUM(METRICS())"),
        "prod",
        "TableThrottlesAlarm: missing data of t9 is not filled",
    ),
    "an alarm that does not end because of one metric": (
        _set("TableThrottlesAlarm.Properties.Metrics.0.Expression", "FILL(t1, 0) + t2"),
        "prod",
        "TableThrottlesAlarm: missing data of t2 is not filled",
    ),
    "an alarm on one metric that does not end": (
        _set("OldestMessageAlarm.Properties.Namespace", "AWS/DynamoDB"),
        "prod",
        "OldestMessageAlarm: missing data is not filled",
    ),
    "snapshots by default": (
        _set("Read.Properties.SnapStart", {"ApplyOn": "PublishedVersions"}),
        "dev",
        "Read: a snapshot is paid by the second",
    ),
    "a resource that is paid by the hour": (
        lambda r: r.update(Gateway={"Type": "AWS::EC2::NatGateway", "Properties": {"SubnetId": "subnet-1"}}),
        "dev",
        "AWS::EC2::NatGateway",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str) -> None:
    plant, stage, expected = FAULTS[name]
    template = source()
    plant(template["Resources"])
    stack = deployed(template, stage)
    found = [text for rule in RULES for text in rule(stack)]
    assert any(expected in text for text in found), found
