"""The checks of `tillbook doctor`. Each yields the problems that it finds, with their remedies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tillbook.records.accounts import Accounts
from tillbook.records.deadletters import DeadLetters
from tillbook.records.keys import ApiKey, Keys
from tillbook.rules import times

from .connection import CLOCK_CODES, Aws

# PROBLEM: orders are, or will be, refused or delayed, or failures are not noticed. ADVICE: nothing fails if it is
# ignored. UNCHECKED: a check could not be made.
PROBLEM, ADVICE, UNCHECKED = "problem", "advice", "unchecked"

SERVICES = ("apigatewayv2", "cloudwatch", "dynamodb", "lambda", "scheduler", "sns", "sqs", "ssm", "xray")
CLOCK_SECONDS = 60  # AWS refuses requests that are 5 minutes off, so the warning is earlier
NEVER_USED_DAYS, NOT_USED_DAYS = 30, 90
_MOST_LISTED = 100
_UNSEEN = "CloudFormation does not see changes made outside of it:"
_QUOTA = "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384"


@dataclass(frozen=True)
class Finding:
    """A problem (`what`) and its remedy (`do`). `level`: PROBLEM, ADVICE or UNCHECKED. `check`: the check's name."""

    level: str
    check: str
    what: str
    do: str


@dataclass(frozen=True)
class Deployed:
    """A deployed stack. `resources`: physical ids by logical id. `kinds`: their types, as AWS::Lambda::Function."""

    parameters: dict[str, str]
    outputs: dict[str, str]
    resources: dict[str, str]
    kinds: dict[str, str]


@dataclass(frozen=True)
class Environment:
    """The AWS account and the stack to check.

    Before the first deployment `stack` is None, and `planned` has the parameters of the planned deployment.
    """

    aws: Aws
    stack: Deployed | None = None
    planned: dict[str, int] = field(default_factory=dict)

    @property
    def deployed(self) -> Deployed:
        assert self.stack  # noqa: S101 - only checks that need a stack use this
        return self.stack


Check = Callable[[Environment], Iterator[Finding]]


def findings(environment: Environment) -> Iterator[Finding]:
    """The findings of all checks. A check for which AWS refuses a call yields a finding, too."""
    for name, check in (AFTER if environment.stack else BEFORE).items():
        try:
            yield from check(environment)
        except (BotoCoreError, ClientError) as error:
            yield Finding(
                UNCHECKED,
                name,
                f"This could not be checked: {error}",
                "Ask for the missing permission, and try again.",
            )


# ----------------------------------------------------------- before and after


def clock(environment: Environment) -> Iterator[Finding]:
    do = "Set the clock of this machine by network time: timedatectl set-ntp true, or your system's settings."
    try:
        answer = environment.aws.client("sts").get_caller_identity()
    except ClientError as error:
        if error.response["Error"]["Code"] not in CLOCK_CODES:
            raise
        yield Finding(PROBLEM, "clock", f"AWS refuses this machine's time: {error}", do)
        return
    aws_date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if not aws_date:
        yield Finding(UNCHECKED, "clock", "AWS's answer had no date.", "Compare the clock with another one.")
        return
    seconds = time.time() - parsedate_to_datetime(aws_date).timestamp()
    if abs(seconds) > CLOCK_SECONDS:
        off = f"{abs(seconds):.0f} seconds {'ahead of' if seconds > 0 else 'behind'} AWS"
        yield Finding(
            PROBLEM, "clock", f"This machine's clock is {off}. AWS refuses requests that are 300 seconds off.", do
        )


def region(environment: Environment) -> Iterator[Finding]:
    mine = environment.aws.region
    session = boto3.session.Session()
    partitions = session.get_available_partitions()
    missing = [
        service
        for service in SERVICES
        if not any(mine in session.get_available_regions(service, partition) for partition in partitions)
    ]
    if missing:
        yield Finding(
            PROBLEM,
            "region",
            f"The region {mine} does not have these services: {', '.join(missing)}.",
            "Choose another region with --region, and deploy there (sam deploy --region).",
        )
    variables = [os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION")]
    if all(variables) and len(set(variables)) > 1:
        yield Finding(
            ADVICE,
            "region",
            f"AWS_REGION is {variables[0]}, but AWS_DEFAULT_REGION is {variables[1]}; tools differ in which they read.",
            "Set both to the same region, or unset one.",
        )


def concurrency(environment: Environment) -> Iterator[Finding]:
    """Checks that queues call their function, with at most half of the concurrency: half remains for requests."""
    client = environment.aws.client("lambda")
    if environment.stack:
        mappings = client.get_paginator("list_event_source_mappings").paginate(
            FunctionName=environment.stack.resources["ProcessOrders"]
        )
        found = [mapping for page in mappings for mapping in page["EventSourceMappings"]]
        for mapping in found:
            if mapping["State"] not in ("Enabled", "Enabling", "Updating"):
                queue = mapping["EventSourceArn"].rpartition(":")[2]
                yield Finding(
                    PROBLEM,
                    "concurrency",
                    f"The queue {queue} does not call its function ({mapping['State']}).",
                    f"aws lambda update-event-source-mapping --uuid {mapping['UUID']} --enabled",
                )
        limits = [mapping.get("ScalingConfig", {}).get("MaximumConcurrency") for mapping in found]
    else:
        limits = list(environment.planned.values())
    limit = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    wanted = None if None in limits else sum(limits)
    if wanted is None or wanted > limit // 2:
        most = "all" if wanted is None or wanted >= limit else str(wanted)
        yield Finding(
            PROBLEM,
            "concurrency",
            f"Lambda runs at most {limit} functions at once here, and processing may use {most} of them: while many "
            "orders are queued, the API may answer 503.",
            f"Ask for a higher limit, which may take days: {_QUOTA} --desired-value 1000. Until then deploy with "
            f"ProcessingConcurrency={max(2, limit // 2 - 2)} and JobsConcurrency=2 in parameter_overrides of "
            "samconfig.toml.",
        )


# ---------------------------------------------------------------------- after


def notices(environment: Environment) -> Iterator[Finding]:
    topic = environment.deployed.resources["AlarmTopic"]
    pages = environment.aws.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    found = [subscription for page in pages for subscription in page["Subscriptions"]]
    if not found:
        prod = environment.deployed.parameters.get("Stage") == "prod"
        yield Finding(
            PROBLEM if prod else ADVICE,
            "notices",
            "Nobody is notified when an alarm rings.",
            'Deploy with "AlarmEmail=you@shop.example" in parameter_overrides of samconfig.toml.',
        )
    for subscription in found:
        # The address is left out of the output: it is personal data.
        if not subscription["SubscriptionArn"].startswith("arn:"):
            yield Finding(
                PROBLEM,
                "notices",
                f"A subscription to alarms ({subscription['Protocol']}) is not confirmed.",
                "Follow the link in the e-mail from AWS. If it is lost or older than two days, ask for another: "
                f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS",
            )


def alarms(environment: Environment) -> Iterator[Finding]:
    stack = environment.deployed
    names = {stack.resources[name]: name for name, kind in stack.kinds.items() if kind == "AWS::CloudWatch::Alarm"}
    pages = (
        environment.aws.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=f"{environment.aws.stack_name}-", AlarmTypes=["MetricAlarm"])
    )
    found = {alarm["AlarmName"]: alarm for page in pages for alarm in page["MetricAlarms"]}
    for physical, name in sorted(names.items()):
        alarm = found.get(physical)
        if alarm is None:
            yield Finding(
                PROBLEM,
                "alarms",
                f"{name} was deleted.",
                f"{_UNSEEN} remove it from template.yaml, deploy, add it again, deploy.",
            )
        elif not alarm["ActionsEnabled"]:
            do = f"aws cloudwatch enable-alarm-actions --alarm-names {physical}"
            yield Finding(PROBLEM, "alarms", f"{name} notifies nobody: its actions are switched off.", do)
        elif stack.resources["AlarmTopic"] not in alarm["AlarmActions"]:
            yield Finding(
                PROBLEM,
                "alarms",
                f"{name} notifies nobody: it has no action.",
                f"{_UNSEEN} change its description in template.yaml, and deploy.",
            )
        if alarm and alarm["StateValue"] == "ALARM":
            yield Finding(PROBLEM, "alarms", f"{name} is ringing.", f"docs/runbook.md says what to do, under {name}.")


def dead_letters(environment: Environment) -> Iterator[Finding]:
    sqs, outputs = environment.aws.client("sqs"), environment.deployed.outputs
    for output in ("DeadLettersQueueUrl", "JobsDeadLettersQueueUrl"):
        attribute = "ApproximateNumberOfMessages"
        answer = sqs.get_queue_attributes(QueueUrl=outputs[output], AttributeNames=[attribute])
        if count := int(answer["Attributes"][attribute]):
            yield Finding(
                PROBLEM,
                "dead letters",
                f"{_count(count, 'message')} in {output.removesuffix('Url')}.",
                "docs/runbook.md says what to do, under DeadLetterQueueAlarm.",
            )
    records = DeadLetters(environment.aws.client("dynamodb"), outputs["RecordsTableName"])
    for account in _accounts(environment):
        if count := len(list(islice(records.ids(account), _MOST_LISTED))):
            least = "at least " if count == _MOST_LISTED else ""
            yield Finding(
                PROBLEM,
                "dead letters",
                f"Account {account} has {least}{_count(count, 'accepted order')} that could not be applied.",
                "tillbook deadletters list shows why, tillbook deadletters replay queues them again.",
            )


def keys(environment: Environment) -> Iterator[Finding]:
    known = Keys(environment.aws.client("dynamodb"), environment.deployed.outputs["RecordsTableName"])
    found = {account: [key for key in known.of(account) if not key.revoked] for account in _accounts(environment)}
    if not found:
        yield Finding(PROBLEM, "keys", "There is no account.", "tillbook account create ACCOUNT")
    for account, valid in found.items():
        if not any(key.may("ingest") for key in valid):
            do = f"tillbook keys create {account} --role ingest"
            yield Finding(PROBLEM, "keys", f"Account {account} has no key: no order can be sent.", do)
        if not any(key.may("admin") for key in valid):
            yield Finding(
                PROBLEM,
                "keys",
                f"Account {account} has no admin key: nothing can be read, purged or replayed.",
                f"tillbook keys create {account} --role admin",
            )
        for key in valid:
            if since := _unused(key):
                yield Finding(
                    ADVICE,
                    "keys",
                    f"The key {key.id} of account {account} {since}.",
                    f"If nobody needs it: tillbook keys revoke {account} {key.id}",
                )


def _unused(key: ApiKey) -> str:
    """A text about a key that has not been used for a long time; empty for any other key."""
    today = times.day(times.now())
    if key.used:
        long = today - date.fromisoformat(key.used[:10]) > timedelta(NOT_USED_DAYS)
        return f"was last used on {key.used[:10]}" if long else ""
    long = today - date.fromisoformat(key.created[:10]) > timedelta(NEVER_USED_DAYS)
    return f"was never used since {key.created[:10]}" if long else ""


def layers(environment: Environment) -> Iterator[Finding]:
    """Checks that all functions, and the versions of their aliases, use the same layer, built for their processor."""
    client, stack = environment.aws.client("lambda"), environment.deployed
    again = "Build and deploy again: sam build, sam deploy."
    seen: dict[str, list[str]] = {}
    for name, kind in sorted(stack.kinds.items()):
        if kind != "AWS::Lambda::Function":
            continue
        physical = stack.resources[name]
        aliases = [alias["Name"] for alias in client.list_aliases(FunctionName=physical)["Aliases"]]
        for qualifier in [None, *aliases]:
            which = f"{name}, alias {qualifier}" if qualifier else name
            function = client.get_function_configuration(
                FunctionName=physical, **({"Qualifier": qualifier} if qualifier else {})
            )
            if function.get("State", "Active") == "Failed" or function.get("LastUpdateStatus") == "Failed":
                yield Finding(
                    PROBLEM, "layers", f"{which} failed: {function.get('StateReason') or 'its last update'}.", again
                )
            used = [layer["Arn"] for layer in function.get("Layers", [])]
            if len(used) != 1:
                yield Finding(PROBLEM, "layers", f"{which} has {_count(len(used), 'layer')} instead of one.", again)
            for arn in used:
                seen.setdefault(arn, []).append(which)
    for arn, users in sorted(seen.items()):
        named = ":".join(arn.split(":")[-2:])
        if len(seen) > 1:
            yield Finding(
                PROBLEM, "layers", f"Functions have different layers: {named} is that of {', '.join(users)}.", again
            )
        try:
            name, _, version = arn.rpartition(":")
            layer = client.get_layer_version(LayerName=name, VersionNumber=int(version))
        except client.exceptions.ResourceNotFoundException:
            yield Finding(PROBLEM, "layers", f"The layer {named} was deleted: its functions cannot be changed.", again)
            continue
        architecture = stack.parameters.get("Architecture", "arm64")
        if architecture not in layer.get("CompatibleArchitectures", [architecture]):
            yield Finding(PROBLEM, "layers", f"The layer {named} is not for {architecture}.", again)


def _accounts(environment: Environment) -> Iterator[str]:
    return Accounts(environment.aws.client("dynamodb"), environment.deployed.outputs["RecordsTableName"]).ids()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


BEFORE: dict[str, Check] = {"clock": clock, "region": region, "concurrency": concurrency}
AFTER: dict[str, Check] = BEFORE | {
    "notices": notices, "alarms": alarms, "dead letters": dead_letters, "keys": keys, "layers": layers,
}  # fmt: skip
