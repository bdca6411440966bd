"""Rules for all deployed resources. Each yields its violations, as `LedgerTable: why`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.infrastructure import rights
from tests.infrastructure.deployed import Deployed, Properties
from tillbook.web.routes import PAGES, ROUTES

# An HTTP API answers 503 after 30 s, even if the function still runs.
GATEWAY_SECONDS = 30
# Fields that the access log may have: not the path and the query, which may have an e-mail address.
LOGGED = {
    "requestId", "routeKey", "status", "responseLatency", "integrationLatency", "integrationStatus",
    "integrationErrorMessage", "protocol", "responseLength", "requestTimeEpoch", "requestTime", "httpMethod", "stage",
    "apiId", "error.responseType", "identity.sourceIp",
}  # fmt: skip
# Routes that anybody may call.
WITHOUT_A_KEY = {*PAGES, *(key for key, route in ROUTES.items() if not route.role), "$default"}
# Types that are not paid by the hour, except a Lambda version with a snapshot. Without requests, the others cost their
# storage, and some have a small monthly price: alarms, the dashboard, queues that are polled (docs/cost.md).
NOT_PAID_BY_THE_HOUR = {
    "ApiGatewayV2::Api", "ApiGatewayV2::Stage", "Budgets::Budget", "CloudWatch::Alarm", "CloudWatch::Dashboard",
    "DynamoDB::Table", "Events::EventBus",
    "IAM::ManagedPolicy", "IAM::Role", "Lambda::Alias", "Lambda::EventSourceMapping", "Lambda::Function",
    "Lambda::LayerVersion", "Lambda::Permission", "Lambda::Version", "Logs::LogGroup", "Logs::MetricFilter",
    "SNS::Subscription", "SNS::Topic", "SNS::TopicPolicy", "SQS::Queue", "SQS::QueuePolicy", "Scheduler::Schedule",
}  # fmt: skip
# Types that exist only if a parameter asks for them, because of their price: docs/cost.md.
ASKED_FOR = {"CloudWatch::InsightRule"}

# AWS's defaults for a queue: four days, and 256 KiB.
_DEFAULT_RETENTION_SECONDS, _DEFAULT_MESSAGE_BYTES = 345_600, 262_144

Rule = Callable[[Deployed], Iterator[str]]


def _target(value: Any) -> str:
    """The logical id behind `${OrdersQueue.Arn}`."""
    return str(value)[2:-1].partition(".")[0]


def called(stack: Deployed, value: Any) -> str:
    """The logical id of the function behind `${Read.Arn}`, or behind its alias."""
    aliases = {name: _target(alias["FunctionName"]) for name, alias in stack.of("Lambda::Alias")}
    return aliases.get(_target(value), _target(value))


def with_snap_start(stack: Deployed) -> set[str]:
    """Logical ids of the functions that start from snapshots."""
    return {name for name, f in stack.functions().items() if f.get("SnapStart", {}).get("ApplyOn", "None") != "None"}


def rights_are_specific(stack: Deployed) -> Iterator[str]:
    for name, role in stack.of("IAM::Role"):
        for document in rights.documents(role):
            yield from _wide_statements(name, document)
        for unknown in set(rights.managed_names(role)) - set(rights.MANAGED):
            yield f"{name}: rights.MANAGED lacks the managed policy {unknown}"
        for action, resource in sorted(rights.effective(stack, role)):
            if "*" in action + resource and (action, resource) not in rights.ALLOWED_WILDCARDS:
                yield f"{name}: {action} on {resource}"
        limit = rights.boundary(stack, role)
        if limit is not None:
            for right in sorted(rights.inline(role) - rights.effective(stack, role)):
                yield f"{name}: {' on '.join(right)} is refused by its boundary"
    for name, policy in stack.of("IAM::ManagedPolicy"):
        yield from _wide_statements(name, policy["PolicyDocument"])


def _wide_statements(name: str, document: Properties) -> Iterator[str]:
    for statement in rights.statements(document):
        if {"NotAction", "NotResource"} & set(statement):
            yield f"{name}: a right by exclusion"
        for action in rights.as_list(statement.get("Action", [])):
            for resource in rights.as_list(statement.get("Resource", [])):
                if "*" in f"{action}{resource}" and (action, resource) not in rights.ALLOWED_WILDCARDS:
                    yield f"{name}: {action} on {resource}"


def only_services_may_assume_a_role(stack: Deployed) -> Iterator[str]:
    for name, role in stack.of("IAM::Role"):
        for statement in rights.statements(role["AssumeRolePolicyDocument"]):
            principal = statement["Principal"]
            if not isinstance(principal, dict) or set(principal) != {"Service"}:
                yield f"{name}: {principal} may assume it"


def permissions_name_their_source(stack: Deployed) -> Iterator[str]:
    for name, permission in stack.of("Lambda::Permission"):
        if "SourceArn" not in permission:
            yield f"{name}: {permission.get('Principal')} may call it for any AWS account"


def functions_have_a_boundary(stack: Deployed) -> Iterator[str]:
    for name in stack.functions():
        if rights.role_of(stack, name).get("PermissionsBoundary") is None:
            yield f"{name}: no boundary"


def tables_are_protected(stack: Deployed) -> Iterator[str]:
    for name, table in stack.of("DynamoDB::Table"):
        if table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is not True:
            yield f"{name}: no point-in-time recovery"
        if table.get("SSESpecification", {}).get("SSEEnabled") is not True:
            yield f"{name}: no encryption"
        if table.get("BillingMode") != "PAY_PER_REQUEST":
            yield f"{name}: paid by the hour"
        prod = stack.stage == "prod"
        if table.get("DeletionProtectionEnabled", False) is not prod:
            yield f"{name}: deletion protection is {'off' if prod else 'on'} in {stack.stage}"
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            wanted, found = "Retain" if prod else "Delete", stack.resources[name].get(policy, "Delete")
            if found != wanted:
                yield f"{name}: {policy} is {found} in {stack.stage}"


def nothing_outlives_the_stack(stack: Deployed) -> Iterator[str]:
    """Tables of prod outlive their stack, and nothing else. Functions may not create log groups, which would remain."""
    for name, resource in stack.resources.items():
        if stack.stage == "prod" and resource["Type"] == "AWS::DynamoDB::Table":
            continue
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if resource.get(policy, "Delete") != "Delete":
                yield f"{name}: {policy} is {resource[policy]} in {stack.stage}"
    for name in stack.functions():
        for action, _ in rights.effective(stack, rights.role_of(stack, name)):
            if action == "logs:CreateLogGroup":
                yield f"{name}: may create a log group that the stack does not delete"


def queues_are_safe(stack: Deployed) -> Iterator[str]:
    queues = dict(stack.of("SQS::Queue"))
    dead_letter_queues = {
        _target(queue["RedrivePolicy"]["deadLetterTargetArn"]) for queue in queues.values() if "RedrivePolicy" in queue
    }
    dead_letter_queues |= {
        _target(mapping["DestinationConfig"]["OnFailure"]["Destination"])
        for _, mapping in stack.of("Lambda::EventSourceMapping")
        if "DestinationConfig" in mapping
    }
    alarmed = {
        _target(dimension["Value"])
        for _, alarm in stack.of("CloudWatch::Alarm")
        for watched in [alarm, *(metric.get("MetricStat", {}).get("Metric", {}) for metric in alarm.get("Metrics", []))]
        for dimension in watched.get("Dimensions", [])
        if dimension["Name"] == "QueueName"
    }
    for name, queue in queues.items():
        if queue.get("SqsManagedSseEnabled") is not True and "KmsMasterKeyId" not in queue:
            yield f"{name}: no encryption"
        if name not in alarmed:
            yield f"{name}: no alarm"
        if name in dead_letter_queues:
            continue
        redrive = queue.get("RedrivePolicy")
        if redrive is None or _target(redrive["deadLetterTargetArn"]) not in queues:
            yield f"{name}: no dead letters"
            continue
        letters = queues[_target(redrive["deadLetterTargetArn"])]
        # A dead letter keeps the time at which it was first queued.
        if letters.get("MessageRetentionPeriod", _DEFAULT_RETENTION_SECONDS) < queue.get(
            "MessageRetentionPeriod", _DEFAULT_RETENTION_SECONDS
        ):
            yield f"{name}: its dead letters may expire at once"
        if letters.get("MaximumMessageSize", _DEFAULT_MESSAGE_BYTES) < queue.get(
            "MaximumMessageSize", _DEFAULT_MESSAGE_BYTES
        ):
            yield f"{name}: its dead-letter queue refuses its largest messages"


def functions_are_logged_and_traced(stack: Deployed) -> Iterator[str]:
    used: dict[str, str] = {}
    groups = dict(stack.of("Logs::LogGroup"))
    behind_the_api = {called(stack, p["FunctionName"]) for _, p in stack.of("Lambda::Permission")}
    for name, function in stack.functions().items():
        logging = function.get("LoggingConfig", {})
        group = _target(logging.get("LogGroup", "${}"))
        if group not in groups:
            yield f"{name}: no log group of its own"
        elif group in used:
            yield f"{name}: shares its log group with {used[group]}"
        else:
            may = rights.effective(stack, rights.role_of(stack, name))
            for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                if (action, f"${{{group}.Arn}}") not in may:
                    yield f"{name}: may not {action} in its log group"
        used[group] = name
        if logging.get("LogFormat") != "JSON":
            yield f"{name}: its logs are not JSON"
        if "ApplicationLogLevel" not in logging or "SystemLogLevel" not in logging:
            yield f"{name}: no log level"
        if function.get("TracingConfig", {}).get("Mode") != "Active":
            yield f"{name}: no X-Ray"
        seconds = function.get("Timeout")
        if seconds is None:
            yield f"{name}: no time-out"
        elif name in behind_the_api and seconds >= GATEWAY_SECONDS:
            yield f"{name}: runs longer than the API waits"
    for name, group_properties in groups.items():
        if int(group_properties.get("RetentionInDays", 0)) < 1:
            yield f"{name}: its logs are kept for ever"


def the_api_is_bounded_and_logged(stack: Deployed) -> Iterator[str]:
    apis = {name for name, _ in stack.of("ApiGatewayV2::Api")}
    stages = dict(stack.of("ApiGatewayV2::Stage"))
    for api in apis - {_target(stage["ApiId"]) for stage in stages.values()}:
        yield f"{api}: no stage"
    for name, stage in stages.items():
        settings = [stage.get("DefaultRouteSettings", {}), *stage.get("RouteSettings", {}).values()]
        for limit in ("ThrottlingBurstLimit", "ThrottlingRateLimit"):
            if any(not 0 < int(each.get(limit, 0)) <= 10_000 for each in settings):
                yield f"{name}: no {limit}"
        usual, own = stage.get("DefaultRouteSettings", {}), stage.get("RouteSettings", {})
        for limit in ("ThrottlingBurstLimit", "ThrottlingRateLimit"):
            for route in sorted(WITHOUT_A_KEY):
                if 5 * int(own.get(route, usual).get(limit, 0)) > int(usual.get(limit, 0)):
                    yield f"{name}: {route} needs no key, and its {limit} is more than a fifth of the default"
        for route in own.keys() - WITHOUT_A_KEY:
            yield f"{name}: a limit for {route}, which needs a key or does not exist"
        log = stage.get("AccessLogSettings", {})
        if _target(log.get("DestinationArn", "${}")) not in dict(stack.of("Logs::LogGroup")):
            yield f"{name}: no access log"
        for variable in re.findall(r"\$context\.([\w.]+)", log.get("Format", "")):
            if variable not in LOGGED:
                yield f"{name}: the access log holds {variable}"
        if "$context.identity.sourceIp" not in log.get("Format", ""):
            yield f"{name}: the access log lacks the address of the caller"


def triggers_of_queues_are_bounded(stack: Deployed) -> Iterator[str]:
    queues, functions = dict(stack.of("SQS::Queue")), stack.functions()
    for name, mapping in stack.of("Lambda::EventSourceMapping"):
        source, function = _target(mapping["EventSourceArn"]), functions[_target(mapping["FunctionName"])]
        if source not in queues:
            continue
        queue = queues[source]
        if int(mapping.get("ScalingConfig", {}).get("MaximumConcurrency", 0)) < 2:
            yield f"{name}: no MaximumConcurrency"
        if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
            yield f"{name}: no ReportBatchItemFailures: one failure repeats all"
        if queue.get("VisibilityTimeout", 30) < 6 * function.get("Timeout", 3):
            yield f"{name}: the visibility time-out is less than six times the function's"
        if function.get("RecursiveLoop") != "Allow":
            yield f"{name}: Lambda stops it after 16 rounds, which look like a loop"
        if "RedrivePolicy" in queue:
            letters = queues[_target(queue["RedrivePolicy"]["deadLetterTargetArn"])]
            if letters.get("MessageRetentionPeriod", _DEFAULT_RETENTION_SECONDS) <= queue.get(
                "MessageRetentionPeriod", _DEFAULT_RETENTION_SECONDS
            ):
                yield f"{name}: a message may be too old for the dead-letter queue when it is moved there"


def triggers_of_streams_lose_nothing(stack: Deployed) -> Iterator[str]:
    tables = dict(stack.of("DynamoDB::Table"))
    for name, mapping in stack.of("Lambda::EventSourceMapping"):
        source = _target(mapping["EventSourceArn"])
        if source not in tables:
            continue
        if tables[source].get("StreamSpecification", {}).get("StreamViewType") != "NEW_AND_OLD_IMAGES":
            yield f"{name}: its stream has no old images"
        if mapping.get("StartingPosition") != "TRIM_HORIZON":
            yield f"{name}: it skips changes that were made before it was created"
        if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
            yield f"{name}: no ReportBatchItemFailures: one failure repeats all"
        if mapping.get("BisectBatchOnFunctionError") is not True:
            yield f"{name}: one change that crashes the function blocks a whole batch"
        if int(mapping.get("MaximumRetryAttempts", -1)) != -1:
            yield f"{name}: gives up while the stream still has the change"
        if not 0 < int(mapping.get("MaximumRecordAgeInSeconds", -1)) < 86400:
            yield f"{name}: a change expires in the stream before it is reported as lost"
        if "DestinationConfig" not in mapping:
            yield f"{name}: a change that is given up is not reported"


def alarms_have_an_action(stack: Deployed) -> Iterator[str]:
    for name, alarm in stack.of("CloudWatch::Alarm"):
        if not alarm.get("AlarmActions"):
            yield f"{name}: no action"


def alarms_return_to_ok(stack: Deployed) -> Iterator[str]:
    """Alarms on metrics of DynamoDB keep their state while data is missing, whatever TreatMissingData says.

    So an expression must fill the missing data.
    """
    for name, alarm in stack.of("CloudWatch::Alarm"):
        if alarm.get("Namespace") == "AWS/DynamoDB":
            yield f"{name}: missing data is not filled"
        parts = alarm.get("Metrics", [])
        expressions = " ".join(part["Expression"] for part in parts if "Expression" in part).replace(" ", "")
        for part in parts:
            of_dynamodb = part.get("MetricStat", {}).get("Metric", {}).get("Namespace") == "AWS/DynamoDB"
            filled = "FILL(METRICS()," in expressions or f"FILL({part['Id']}," in expressions
            if of_dynamodb and not filled:
                yield f"{name}: missing data of {part['Id']} is not filled"


def nothing_is_paid_by_the_hour(stack: Deployed) -> Iterator[str]:
    for name, resource in stack.resources.items():
        if resource["Type"].removeprefix("AWS::") not in NOT_PAID_BY_THE_HOUR | ASKED_FOR:
            yield f"{name}: NOT_PAID_BY_THE_HOUR lacks {resource['Type']}"
    for name in sorted(with_snap_start(stack)):
        yield f"{name}: a snapshot is paid by the second"


RULES: tuple[Rule, ...] = (
    rights_are_specific,
    only_services_may_assume_a_role,
    permissions_name_their_source,
    functions_have_a_boundary,
    tables_are_protected,
    nothing_outlives_the_stack,
    queues_are_safe,
    functions_are_logged_and_traced,
    the_api_is_bounded_and_logged,
    triggers_of_queues_are_bounded,
    triggers_of_streams_lose_nothing,
    alarms_have_an_action,
    alarms_return_to_ok,
    nothing_is_paid_by_the_hour,
)
