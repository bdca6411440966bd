"""tillbook doctor finds nothing on a healthy stack, and finds each planted fault."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from cli.tillbook_cli import health
from cli.tillbook_cli.connection import Aws
from cli.tillbook_cli.doctor import _report, doctor
from cli.tillbook_cli.health import ADVICE, PROBLEM, UNCHECKED, Deployed, Environment, Finding, findings
from tests.cli.conftest import Ran, Terminal
from tests.handlers import template
from tillbook.records.accounts import Account, Accounts
from tillbook.records.deadletters import DeadLetters
from tillbook.records.keys import Keys
from tillbook.records.messages import Message
from tillbook.rules import times

REGION, STACK = "us-east-1", "tillbook-prod"
FUNCTIONS = ("ProcessOrders", "Read", "SubmitOrder")
ALARMS = ("LatencyAlarm", "DeadLetterQueueAlarm")


@dataclass
class FakeStack:
    """A healthy stack on moto, without CloudFormation.

    Attributes, which tests change to plant faults:
        limit: Lambda's limit of concurrent functions.
        skew: seconds by which this machine's clock is ahead of AWS.
        refused: the error code of refused calls; empty if none is refused.
        states: states of functions by physical name, Active for others.
        parameters: the parameters of the stack.
        region: the region in which `doctor` looks for the stack.
        planned: the parameters of a planned deployment; the stack is then not deployed.
    """

    limit: int = 1000
    skew: float = 0.0
    refused: str = ""
    states: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=lambda: {"Stage": "prod", "Architecture": "arm64"})
    resources: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    region: str = REGION
    planned: dict[str, int] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(service, region_name=REGION)
        return PatchedClient(self.clients[service], self) if service in ("lambda", "sts") else self.clients[service]

    def environment(self) -> Environment:
        aws = Aws(self.client, self.region, STACK)
        deployed = Deployed(self.parameters, self.outputs, self.resources, self.kinds)
        return Environment(aws, None, self.planned) if self.planned else Environment(aws, deployed)

    def found(self) -> list[Finding]:
        return list(findings(self.environment()))

    def add(self, name: str, kind: str, physical: str) -> None:
        self.resources[name], self.kinds[name] = physical, kind

    # ------------------------------------------------- resources for the tests

    def layer(self, architecture: str = "arm64") -> str:
        layer = self.client("lambda").publish_layer_version(
            LayerName=f"{STACK}-{architecture}", Content={"ZipFile": _zip()}, CompatibleArchitectures=[architecture]
        )
        return str(layer["LayerVersionArn"])

    def accounts(self) -> Accounts:
        return Accounts(self.client("dynamodb"), self.outputs["RecordsTableName"])

    def keys(self) -> Keys:
        return Keys(self.client("dynamodb"), self.outputs["RecordsTableName"])


@dataclass
class PatchedClient:
    """A client of moto. Calls that moto does not support return the answers that AWS documents."""

    client: Any
    fake: FakeStack

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get_account_settings(self) -> Any:
        if self.fake.refused:
            _refuse("GetAccountSettings", self.fake.refused)
        return {"AccountLimit": {"UnreservedConcurrentExecutions": self.fake.limit}}

    def get_caller_identity(self) -> Any:
        if self.fake.refused:
            _refuse("GetCallerIdentity", self.fake.refused)
        time = times.to_datetime(times.now()) - timedelta(seconds=self.fake.skew)
        return {"ResponseMetadata": {"HTTPHeaders": {"date": time.strftime("%a, %d %b %Y %H:%M:%S GMT")}}}

    def get_function_configuration(self, **arguments: str) -> Any:
        answer = self.client.get_function_configuration(**arguments)
        return answer | {"State": self.fake.states.get(arguments["FunctionName"], "Active")}


def _refuse(operation: str, code: str) -> None:
    raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("app.py", "def handler(event, context): ...")
    return content.getvalue()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStack]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield _healthy(FakeStack())


def _healthy(fake: FakeStack) -> FakeStack:
    dynamodb, sqs = fake.client("dynamodb"), fake.client("sqs")
    template.create_tables(dynamodb)
    fake.outputs = {"RecordsTableName": "RecordsTable", "LedgerTableName": "LedgerTable"}
    for name, output in (("OrdersDeadLetters", "DeadLettersQueueUrl"), ("JobsDeadLetters", "JobsDeadLettersQueueUrl")):
        fake.outputs[output] = sqs.create_queue(QueueName=name)["QueueUrl"]
    topic = fake.client("sns").create_topic(Name=f"{STACK}-AlarmTopic")["TopicArn"]
    fake.add("AlarmTopic", "AWS::SNS::Topic", topic)
    fake.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:alarms")
    for name in ALARMS:
        fake.add(name, "AWS::CloudWatch::Alarm", f"{STACK}-{name}-1A")
        _put_alarm(fake, name, [topic])
    role = fake.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    layer = fake.layer()
    for name in FUNCTIONS:
        fake.add(name, "AWS::Lambda::Function", f"{STACK}-{name}-1A")
        fake.client("lambda").create_function(
            FunctionName=f"{STACK}-{name}-1A", Runtime="python3.13", Role=role, Handler="app.handler",
            Code={"ZipFile": _zip()}, Layers=[layer], Publish=True,
        )  # fmt: skip
    fake.client("lambda").create_alias(FunctionName=f"{STACK}-SubmitOrder-1A", Name="live", FunctionVersion="1")
    for name, most in (("OrdersQueue", 20), ("JobsQueue", 10)):
        queue = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        fake.client("lambda").create_event_source_mapping(
            EventSourceArn=arn, FunctionName=f"{STACK}-ProcessOrders-1A", ScalingConfig={"MaximumConcurrency": most}
        )
    fake.accounts().create(Account("acme"))
    for role_of_key in ("ingest", "admin"):
        fake.keys().create("acme", role_of_key)
    return fake


def _put_alarm(fake: FakeStack, name: str, actions: list[str], **more: Any) -> None:
    fake.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{STACK}-{name}-1A", MetricName="Latency", Namespace="AWS/ApiGateway", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", AlarmActions=actions, **more,
    )  # fmt: skip


def test_nothing_is_found_on_a_healthy_stack(fake: FakeStack) -> None:
    assert fake.found() == []


def test_nothing_is_found_in_a_good_account_before_the_first_deployment(fake: FakeStack) -> None:
    fake.planned = {"ProcessingConcurrency": 20, "JobsConcurrency": 10}
    assert fake.found() == []


def test_moto_keeps_the_concurrency_limits_of_triggers(fake: FakeStack) -> None:
    """The tests of concurrency depend on these limits."""
    mappings = fake.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert sorted(mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings) == [10, 20]


def _subscribe_unconfirmed(fake: FakeStack) -> None:
    topic, sns = fake.resources["AlarmTopic"], fake.client("sns")
    pending = {"SubscriptionArn": "PendingConfirmation", "Protocol": "email", "Endpoint": "x", "Owner": "1"}

    class Pages:
        def paginate(self, **arguments: str) -> Any:
            assert arguments == {"TopicArn": topic}
            return [{"Subscriptions": [*sns.list_subscriptions_by_topic(**arguments)["Subscriptions"], pending]}]

    sns.get_paginator = lambda _operation: Pages()


def _unsubscribe(fake: FakeStack) -> None:
    for subscription in fake.client("sns").list_subscriptions()["Subscriptions"]:
        fake.client("sns").unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])


def _change_function(name: str, **changes: Any) -> Callable[[FakeStack], Any]:
    return lambda fake: fake.client("lambda").update_function_configuration(
        FunctionName=f"{STACK}-{name}-1A", **changes
    )


def _set(**changes: Any) -> Callable[[FakeStack], None]:
    """Returns a function that changes attributes of the fake stack."""
    return lambda fake: fake.__dict__.update(changes)


def _change_trigger(**changes: Any) -> Callable[[FakeStack], None]:
    def change(fake: FakeStack) -> None:
        client = fake.client("lambda")
        found = client.list_event_source_mappings()["EventSourceMappings"]
        (orders,) = [mapping for mapping in found if mapping["EventSourceArn"].endswith(":OrdersQueue")]
        client.update_event_source_mapping(UUID=orders["UUID"], **changes)

    return change


def _add_dead_letter(fake: FakeStack) -> None:
    letters = DeadLetters(fake.client("dynamodb"), fake.outputs["RecordsTableName"])
    letters.keep("acme", times.uuid7(), "it cannot be applied", Message())


def _revoke(role: str) -> Callable[[FakeStack], None]:
    def revoke(fake: FakeStack) -> None:
        for key in fake.keys().of("acme"):
            if key.role == role or role == "all":
                fake.keys().revoke("acme", key.id)

    return revoke


def _date_keys_back(days: int, **changes: str) -> Callable[[FakeStack], None]:
    """Returns a function that sets the keys' `created`, or the attributes in `changes`, to `days` days ago."""

    def age(fake: FakeStack) -> None:
        then = times.iso(times.shift(times.now(), days=-days))
        for key in fake.keys().of("acme"):
            dynamodb = fake.client("dynamodb")
            digests = fake.keys()._digests("acme")
            (digest,) = [one for one in digests if one.startswith(key.id)]
            for name in changes or {"created": ""}:
                dynamodb.update_item(
                    TableName="RecordsTable", Key={"pk": {"S": f"#key/{digest}"}, "sk": {"S": "k"}},
                    UpdateExpression="SET #n = :v", ExpressionAttributeNames={"#n": name},
                    ExpressionAttributeValues={":v": {"S": then}},
                )  # fmt: skip

    return age


def _send_message(output: str) -> Callable[[FakeStack], Any]:
    return lambda fake: fake.client("sqs").send_message(QueueUrl=fake.outputs[output], MessageBody="{}")


def _ring_alarm(fake: FakeStack) -> None:
    fake.client("cloudwatch").set_alarm_state(
        AlarmName=f"{STACK}-LatencyAlarm-1A", StateValue="ALARM", StateReason="it is slow"
    )


def _delete_layer(fake: FakeStack) -> None:
    fake.client("lambda").delete_layer_version(LayerName=f"{STACK}-arm64", VersionNumber=1)


def _delete_account(fake: FakeStack) -> None:
    fake.client("dynamodb").delete_item(TableName="RecordsTable", Key={"pk": {"S": "#accounts"}, "sk": {"S": "acme"}})


class Planted(NamedTuple):
    """A function that plants a fault, and the finding: its level and check, and words of its texts `what` and `do`."""

    plant: Callable[[FakeStack], Any]
    level: str
    check: str
    what: str
    do: str


# By the name of the fault: the fields of Planted.
PLANTED: dict[str, tuple[Callable[[FakeStack], Any], str, str, str, str]] = {
    "a new AWS account's low limit": (_set(limit=10), PROBLEM, "concurrency", "runs at most 10 ", "Concurrency=3 and"),
    "processing may use over half": (_set(limit=59), PROBLEM, "concurrency", "may use 30", "--desired-value 1000"),
    "before a deployment": (
        _set(limit=10, planned={"ProcessingConcurrency": 20, "JobsConcurrency": 10}),
        PROBLEM, "concurrency", "may use all", "ProcessingConcurrency=3",
    ),
    "a trigger without a limit": (_change_trigger(ScalingConfig={}), PROBLEM, "concurrency", "may use all", "Until"),
    "a disabled trigger": (_change_trigger(Enabled=False), PROBLEM, "concurrency", "OrdersQueue does not", "--enabled"),
    "a clock ahead": (_set(skew=200), PROBLEM, "clock", "seconds ahead of AWS", "network time"),
    "a clock behind": (_set(skew=-90), PROBLEM, "clock", "seconds behind AWS", "network time"),
    "a clock that AWS refuses": (_set(refused="RequestTimeTooSkewed"), PROBLEM, "clock", "refuses this", "set"),
    "a missing permission": (_set(refused="AccessDenied"), UNCHECKED, "concurrency", "AccessDenied", "permission"),
    "an unknown region": (_set(region="mars-north-1"), PROBLEM, "region", "mars-north-1 does not have", "--region"),
    "nobody is notified": (_unsubscribe, PROBLEM, "notices", "Nobody is notified", "AlarmEmail"),
    "an unconfirmed subscription": (
        _subscribe_unconfirmed, PROBLEM, "notices", "(email) is not confirmed", "aws sns subscribe",
    ),
    "an alarm without action": (
        lambda fake: _put_alarm(fake, "LatencyAlarm", []), PROBLEM, "alarms", "LatencyAlarm notifies nobody", "deploy",
    ),
    "an alarm for another topic": (
        lambda fake: _put_alarm(fake, "LatencyAlarm", ["arn:aws:sns:us-east-1:123456789012:other"]),
        PROBLEM, "alarms", "LatencyAlarm notifies nobody", "deploy",
    ),
    "an alarm without enabled actions": (
        lambda fake: fake.client("cloudwatch").disable_alarm_actions(AlarmNames=[f"{STACK}-LatencyAlarm-1A"]),
        PROBLEM, "alarms", "switched off", "enable-alarm-actions",
    ),
    "a deleted alarm": (
        lambda fake: fake.client("cloudwatch").delete_alarms(AlarmNames=[f"{STACK}-LatencyAlarm-1A"]),
        PROBLEM, "alarms", "LatencyAlarm was deleted", "template.yaml",
    ),
    "a ringing alarm": (_ring_alarm, PROBLEM, "alarms", "LatencyAlarm is ringing", "docs/runbook.md"),
    "a dead letter": (
        _add_dead_letter, PROBLEM, "dead letters", "acme has 1 accepted order that", "deadletters replay",
    ),
    "a message in the dead-letter queue of orders": (
        _send_message("DeadLettersQueueUrl"), PROBLEM, "dead letters", "1 message in Dead", "runbook",
    ),
    "a message in the dead-letter queue of jobs": (
        _send_message("JobsDeadLettersQueueUrl"), PROBLEM, "dead letters", "1 message in Jobs", "runbook",
    ),
    "no account": (_delete_account, PROBLEM, "keys", "There is no account", "account create"),
    "no key": (_revoke("all"), PROBLEM, "keys", "has no key", "--role ingest"),
    "no admin key": (_revoke("admin"), PROBLEM, "keys", "has no admin", "--role admin"),
    "keys that were never used": (_date_keys_back(31), ADVICE, "keys", "was never used since", "keys revoke acme"),
    "keys that are no longer used": (
        _date_keys_back(91, used=""), ADVICE, "keys", "was last used on", "keys revoke acme",
    ),
    "a function without the layer": (
        _change_function("Read", Layers=[]), PROBLEM, "layers", "Read has 0 layers", "sam deploy",
    ),
    "functions with different layers": (
        lambda fake: _change_function("Read", Layers=[fake.layer()])(fake),
        PROBLEM, "layers", "arm64:2 is that of Read", "sam",
    ),
    "a layer for another processor": (
        _set(parameters={"Stage": "prod", "Architecture": "x86_64"}), PROBLEM, "layers", "not for x86_64", "sam build",
    ),
    "a deleted layer": (_delete_layer, PROBLEM, "layers", "was deleted", "sam build"),
    "a function that failed": (
        _set(states={f"{STACK}-Read-1A": "Failed"}), PROBLEM, "layers", "Read failed", "sam deploy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(fake: FakeStack, name: str) -> None:
    planted = Planted(*PLANTED[name])
    planted.plant(fake)
    found = fake.found()
    of_check = [f for f in found if (f.level, f.check) == (planted.level, planted.check)]
    matching = [f for f in of_check if planted.what in f.what and planted.do in f.do]
    assert matching, found
    # No other check finds anything, except that refused calls may fail two checks.
    assert {f.check for f in found} <= {planted.check} | ({"clock", "concurrency"} if fake.refused else set()), found


def test_an_alias_of_an_old_layer_is_found(fake: FakeStack) -> None:
    """The functions have the new layer, but the alias that the routes call has the old one."""
    layer = fake.layer()
    for name in FUNCTIONS:
        _change_function(name, Layers=[layer])(fake)
    assert any("is that of SubmitOrder, alias live" in finding.what for finding in fake.found())


def test_different_regions_in_the_environment_are_found(fake: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert [(f.level, f.check) for f in fake.found()] == [(ADVICE, "region")]


def test_missing_notifications_are_advice_in_dev(fake: FakeStack) -> None:
    fake.parameters["Stage"] = "dev"
    _unsubscribe(fake)
    assert [(f.level, f.check) for f in fake.found()] == [(ADVICE, "notices")]


def test_the_address_of_a_subscription_is_not_shown(fake: FakeStack) -> None:
    topic = fake.resources["AlarmTopic"]
    fake.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.org")
    _subscribe_unconfirmed(fake)
    assert "@" not in str([f.what for f in fake.found()])


def test_the_planned_concurrency_has_the_defaults_of_the_template() -> None:
    parameters = template.load()["Parameters"]
    options = {option.name: option.default for option in doctor.params}
    assert options["processing_concurrency"] == parameters["ProcessingConcurrency"]["Default"]
    assert options["jobs_concurrency"] == parameters["JobsConcurrency"]["Default"]


# ---------------------------------------------------------------- the command


def _let_doctor_check(fake: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.tillbook_cli.doctor.aws_of", lambda _target: fake.environment().aws)
    monkeypatch.setattr("cli.tillbook_cli.doctor._deployed", lambda _aws: fake.environment().stack)


def test_the_command_prints_findings_and_exits_with_4_for_problems(
    fake: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    _let_doctor_check(fake, monkeypatch)
    run = Terminal(())
    checks = ", ".join(health.AFTER)
    assert run("doctor") == Ran(0, f"Checked {checks}: nothing found.\n", "")
    _date_keys_back(31)(fake)
    assert run("doctor").code == 0  # advice
    fake.limit = 10
    ran = run("doctor")
    assert ran.code == 4
    assert "PROBLEM    Lambda runs at most 10 functions" in ran.out
    assert ran.out.endswith(f"Checked {checks}: 1 problem, 2 advice.\n")  # advice for each of the two keys
    found = run("doctor", "--json")
    assert found.code == 4
    assert {finding["level"] for finding in found.json["findings"]} == {"problem", "advice"}
    assert found.json["checks"] == list(health.AFTER)


def test_the_summary_counts_the_findings_of_each_level() -> None:
    found = [Finding(level, "clock", "What.", "Do.") for level in [PROBLEM] * 2 + [UNCHECKED]]
    report = _report(["clock"], found)
    assert report.endswith("Checked clock: 2 problems, 1 could not be checked.")


def test_before_checks_the_planned_concurrency(fake: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_doctor_check(fake, monkeypatch)
    fake.limit = 10
    run = Terminal(("--before", "--json"))
    assert run("doctor").code == 4
    few = run("doctor", "--processing-concurrency", "3", "--jobs-concurrency", "2")
    assert (few.code, json.loads(few.out)["findings"]) == (0, [])


def test_a_check_that_cannot_run_exits_with_4(fake: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_doctor_check(fake, monkeypatch)
    fake.refused = "AccessDenied"
    ran = Terminal(())("doctor")
    assert ran.code == 4
    assert "UNCHECKED  This could not be checked: " in ran.out
    assert ran.out.endswith(" could not be checked.\n")


def test_a_missing_stack_is_reported(on_aws: Any) -> None:
    ran = Terminal(("--stack-name", "nothing", "--region", "eu-west-1"))("doctor")
    assert (ran.code, ran.out) == (3, "")
    assert "There is no stack nothing in eu-west-1." in ran.err
