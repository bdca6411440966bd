"""tillbook doctor: nothing is found on a stack as it should be, and each planted fault is."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from cli.tillbook_cli import health
from cli.tillbook_cli.connection import Aws
from cli.tillbook_cli.doctor import doctor
from cli.tillbook_cli.health import ADVICE, PROBLEM, UNCHECKED, Deployed, Finding, Patient, findings
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
class Hospital:
    """A healthy stack on moto, without CloudFormation, and the answers that moto does not have."""

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
        return Answering(self.clients[service], self) if service in ("lambda", "sts") else self.clients[service]

    def patient(self) -> Patient:
        aws = Aws(self.client, self.region, STACK)
        deployed = Deployed(self.parameters, self.outputs, self.resources, self.kinds)
        return Patient(aws, None, self.planned) if self.planned else Patient(aws, deployed)

    def found(self) -> list[Finding]:
        return list(findings(self.patient()))

    def add(self, name: str, kind: str, physical: str) -> None:
        self.resources[name], self.kinds[name] = physical, kind

    # ------------------------------------------------------- what is planted

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
class Answering:
    """A client of moto; of what moto does not know, the answers that AWS documents."""

    client: Any
    hospital: Hospital

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get_account_settings(self) -> Any:
        if self.hospital.refused:
            _refuse("GetAccountSettings", self.hospital.refused)
        return {"AccountLimit": {"UnreservedConcurrentExecutions": self.hospital.limit}}

    def get_caller_identity(self) -> Any:
        if self.hospital.refused:
            _refuse("GetCallerIdentity", self.hospital.refused)
        theirs = times.to_datetime(times.now()) - timedelta(seconds=self.hospital.skew)
        return {"ResponseMetadata": {"HTTPHeaders": {"date": theirs.strftime("%a, %d %b %Y %H:%M:%S GMT")}}}

    def get_function_configuration(self, **asked: str) -> Any:
        answer = self.client.get_function_configuration(**asked)
        return answer | {"State": self.hospital.states.get(asked["FunctionName"], "Active")}


def _refuse(operation: str, code: str) -> None:
    raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("app.py", "def handler(event, context): ...")
    return content.getvalue()


@pytest.fixture
def hospital(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hospital]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield _healthy(Hospital())


def _healthy(made: Hospital) -> Hospital:
    dynamodb, sqs = made.client("dynamodb"), made.client("sqs")
    template.create_tables(dynamodb)
    made.outputs = {"RecordsTableName": "RecordsTable", "LedgerTableName": "LedgerTable"}
    for name, output in (("OrdersDeadLetters", "DeadLettersQueueUrl"), ("JobsDeadLetters", "JobsDeadLettersQueueUrl")):
        made.outputs[output] = sqs.create_queue(QueueName=name)["QueueUrl"]
    topic = made.client("sns").create_topic(Name=f"{STACK}-AlarmTopic")["TopicArn"]
    made.add("AlarmTopic", "AWS::SNS::Topic", topic)
    made.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:alarms")
    for name in ALARMS:
        made.add(name, "AWS::CloudWatch::Alarm", f"{STACK}-{name}-1A")
        _put_alarm(made, name, [topic])
    role = made.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    layer = made.layer()
    for name in FUNCTIONS:
        made.add(name, "AWS::Lambda::Function", f"{STACK}-{name}-1A")
        made.client("lambda").create_function(
            FunctionName=f"{STACK}-{name}-1A", Runtime="python3.13", Role=role, Handler="app.handler",
            Code={"ZipFile": _zip()}, Layers=[layer], Publish=True,
        )  # fmt: skip
    made.client("lambda").create_alias(FunctionName=f"{STACK}-SubmitOrder-1A", Name="live", FunctionVersion="1")
    for name, most in (("OrdersQueue", 20), ("JobsQueue", 10)):
        queue = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        made.client("lambda").create_event_source_mapping(
            EventSourceArn=arn, FunctionName=f"{STACK}-ProcessOrders-1A", ScalingConfig={"MaximumConcurrency": most}
        )
    made.accounts().create(Account("acme"))
    for role_of_key in ("ingest", "admin"):
        made.keys().create("acme", role_of_key)
    return made


def _put_alarm(hospital: Hospital, name: str, actions: list[str], **more: Any) -> None:
    hospital.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{STACK}-{name}-1A", MetricName="Latency", Namespace="AWS/ApiGateway", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", AlarmActions=actions, **more,
    )  # fmt: skip


def test_nothing_is_found_on_a_healthy_stack(hospital: Hospital) -> None:
    assert hospital.found() == []


def test_nothing_is_found_in_a_good_account_before_the_first_deployment(hospital: Hospital) -> None:
    hospital.planned = {"ProcessingConcurrency": 20, "JobsConcurrency": 10}
    assert hospital.found() == []


def test_moto_keeps_the_limits_of_triggers(hospital: Hospital) -> None:
    """Otherwise the checks of concurrency would look at nothing."""
    mappings = hospital.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert sorted(mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings) == [10, 20]


def _subscribe_unconfirmed(hospital: Hospital) -> None:
    topic, sns = hospital.resources["AlarmTopic"], hospital.client("sns")
    pending = {"SubscriptionArn": "PendingConfirmation", "Protocol": "email", "Endpoint": "x", "Owner": "1"}

    class Pages:
        def paginate(self, **asked: str) -> Any:
            assert asked == {"TopicArn": topic}
            return [{"Subscriptions": [*sns.list_subscriptions_by_topic(**asked)["Subscriptions"], pending]}]

    sns.get_paginator = lambda _operation: Pages()


def _unsubscribe(hospital: Hospital) -> None:
    for subscription in hospital.client("sns").list_subscriptions()["Subscriptions"]:
        hospital.client("sns").unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])


def _change(name: str, **changes: Any) -> Callable[[Hospital], Any]:
    return lambda h: h.client("lambda").update_function_configuration(FunctionName=f"{STACK}-{name}-1A", **changes)


def _set(**changes: Any) -> Callable[[Hospital], None]:
    return lambda hospital: hospital.__dict__.update(changes)


def _mapping(**changes: Any) -> Callable[[Hospital], None]:
    def change(hospital: Hospital) -> None:
        client = hospital.client("lambda")
        found = client.list_event_source_mappings()["EventSourceMappings"]
        (orders,) = [mapping for mapping in found if mapping["EventSourceArn"].endswith(":OrdersQueue")]
        client.update_event_source_mapping(UUID=orders["UUID"], **changes)

    return change


def _dead_letter(hospital: Hospital) -> None:
    letters = DeadLetters(hospital.client("dynamodb"), hospital.outputs["RecordsTableName"])
    letters.keep("acme", times.uuid7(), "it cannot be", Message())


def _revoke(role: str) -> Callable[[Hospital], None]:
    def revoke(hospital: Hospital) -> None:
        for key in hospital.keys().of("acme"):
            if key.role == role or role == "all":
                hospital.keys().revoke("acme", key.id)

    return revoke


def _keys_of(days: int, **changes: str) -> Callable[[Hospital], None]:
    """Keys of then, and a new one of each role."""

    def age(hospital: Hospital) -> None:
        then = times.iso(times.shift(times.now(), days=-days))
        for key in hospital.keys().of("acme"):
            table = hospital.client("dynamodb")
            digest = hospital.keys()._digests("acme")
            (whole,) = [one for one in digest if one.startswith(key.id)]
            for name in changes or {"created": ""}:
                table.update_item(
                    TableName="RecordsTable", Key={"pk": {"S": f"#key/{whole}"}, "sk": {"S": "k"}},
                    UpdateExpression="SET #n = :v", ExpressionAttributeNames={"#n": name},
                    ExpressionAttributeValues={":v": {"S": then}},
                )  # fmt: skip

    return age


def _send(output: str) -> Callable[[Hospital], Any]:
    return lambda h: h.client("sqs").send_message(QueueUrl=h.outputs[output], MessageBody="{}")


def _state(hospital: Hospital) -> None:
    hospital.client("cloudwatch").set_alarm_state(
        AlarmName=f"{STACK}-LatencyAlarm-1A", StateValue="ALARM", StateReason="it is slow"
    )


def _delete_layer(hospital: Hospital) -> None:
    hospital.client("lambda").delete_layer_version(LayerName=f"{STACK}-arm64", VersionNumber=1)


def _without_accounts(hospital: Hospital) -> None:
    hospital.client("dynamodb").delete_item(
        TableName="RecordsTable", Key={"pk": {"S": "#accounts"}, "sk": {"S": "acme"}}
    )


# A fault, which is found by that check, with these words in what is wrong and in what to do.
PLANTED: dict[str, tuple[Callable[[Hospital], Any], str, str, str, str]] = {
    "a new AWS account": (_set(limit=10), PROBLEM, "concurrency", "runs at most 10 ", "Concurrency=3 and"),
    "more than half of the account": (_set(limit=59), PROBLEM, "concurrency", "may use 30", "--desired-value 1000"),
    "before a deployment": (
        _set(limit=10, planned={"ProcessingConcurrency": 20, "JobsConcurrency": 10}),
        PROBLEM, "concurrency", "may use all", "ProcessingConcurrency=3",
    ),
    "a trigger without a limit": (_mapping(ScalingConfig={}), PROBLEM, "concurrency", "may use all", "Until"),
    "a trigger that is off": (_mapping(Enabled=False), PROBLEM, "concurrency", "OrdersQueue does not", "--enabled"),
    "a clock ahead": (_set(skew=200), PROBLEM, "clock", "seconds ahead of AWS", "network time"),
    "a clock behind": (_set(skew=-90), PROBLEM, "clock", "seconds behind AWS", "network time"),
    "a clock that AWS refuses": (_set(refused="RequestTimeTooSkewed"), PROBLEM, "clock", "refuses this", "set"),
    "a right that is missing": (_set(refused="AccessDenied"), UNCHECKED, "concurrency", "AccessDenied", "permission"),
    "no such region": (_set(region="mars-north-1"), PROBLEM, "region", "mars-north-1 does not have", "--region"),
    "nobody is notified": (_unsubscribe, PROBLEM, "notices", "Nobody is notified", "AlarmEmail"),
    "nobody confirmed": (_subscribe_unconfirmed, PROBLEM, "notices", "(email) is not confirmed", "aws sns subscribe"),
    "an alarm without action": (
        lambda h: _put_alarm(h, "LatencyAlarm", []), PROBLEM, "alarms", "LatencyAlarm notifies nobody", "deploy",
    ),
    "an alarm for another topic": (
        lambda h: _put_alarm(h, "LatencyAlarm", ["arn:aws:sns:us-east-1:123456789012:other"]),
        PROBLEM, "alarms", "LatencyAlarm notifies nobody", "deploy",
    ),
    "an alarm that is off": (
        lambda h: h.client("cloudwatch").disable_alarm_actions(AlarmNames=[f"{STACK}-LatencyAlarm-1A"]),
        PROBLEM, "alarms", "switched off", "enable-alarm-actions",
    ),
    "an alarm that is gone": (
        lambda h: h.client("cloudwatch").delete_alarms(AlarmNames=[f"{STACK}-LatencyAlarm-1A"]),
        PROBLEM, "alarms", "LatencyAlarm was deleted", "template.yaml",
    ),
    "an alarm that rings": (_state, PROBLEM, "alarms", "LatencyAlarm is ringing", "docs/runbook.md"),
    "a dead letter": (_dead_letter, PROBLEM, "dead letters", "acme has 1 accepted order that", "deadletters replay"),
    "a dead message": (_send("DeadLettersQueueUrl"), PROBLEM, "dead letters", "1 message in Dead", "runbook"),
    "a dead page": (_send("JobsDeadLettersQueueUrl"), PROBLEM, "dead letters", "1 message in Jobs", "runbook"),
    "no account": (_without_accounts, PROBLEM, "keys", "There is no account", "account create"),
    "no key": (_revoke("all"), PROBLEM, "keys", "has no key", "--role ingest"),
    "no admin key": (_revoke("admin"), PROBLEM, "keys", "has no admin", "--role admin"),
    "keys that were never used": (_keys_of(31), ADVICE, "keys", "was never used since", "keys revoke acme"),
    "keys that are not used any more": (_keys_of(91, used=""), ADVICE, "keys", "was last used on", "keys revoke acme"),
    "a function without the layer": (_change("Read", Layers=[]), PROBLEM, "layers", "Read has 0 layers", "sam deploy"),
    "functions with different layers": (
        lambda h: _change("Read", Layers=[h.layer()])(h), PROBLEM, "layers", "arm64:2 is that of Read", "sam",
    ),
    "a layer for another processor": (
        _set(parameters={"Stage": "prod", "Architecture": "x86_64"}), PROBLEM, "layers", "not for x86_64", "sam build",
    ),
    "a layer that is gone": (_delete_layer, PROBLEM, "layers", "was deleted", "sam build"),
    "a function that failed": (
        _set(states={f"{STACK}-Read-1A": "Failed"}), PROBLEM, "layers", "Read failed", "sam deploy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(hospital: Hospital, name: str) -> None:
    plant, level, check, what, do = PLANTED[name]
    plant(hospital)
    found = hospital.found()
    matching = [f for f in found if (f.level, f.check) == (level, check) and what in f.what and do in f.do]
    assert matching, found
    # No other check finds anything; a refusal meets both that the tests refuse.
    assert {f.check for f in found} <= {check} | ({"clock", "concurrency"} if hospital.refused else set()), found


def test_an_alias_of_an_old_layer_is_found(hospital: Hospital) -> None:
    """The function has the new layer; what the routes call has not."""
    layer = hospital.layer()
    for name in FUNCTIONS:
        _change(name, Layers=[layer])(hospital)
    assert any("is that of SubmitOrder, alias live" in finding.what for finding in hospital.found())


def test_two_regions_are_found(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert [(f.level, f.check) for f in hospital.found()] == [(ADVICE, "region")]


def test_in_dev_nobody_need_be_notified(hospital: Hospital) -> None:
    hospital.parameters["Stage"] = "dev"
    _unsubscribe(hospital)
    assert [(f.level, f.check) for f in hospital.found()] == [(ADVICE, "notices")]


def test_no_address_is_shown(hospital: Hospital) -> None:
    topic = hospital.resources["AlarmTopic"]
    hospital.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.org")
    _subscribe_unconfirmed(hospital)
    assert "@" not in str([f.what for f in hospital.found()])


def test_the_plan_is_that_of_the_template() -> None:
    parameters = template.load()["Parameters"]
    options = {option.name: option.default for option in doctor.params}
    assert options["processing_concurrency"] == parameters["ProcessingConcurrency"]["Default"]
    assert options["jobs_concurrency"] == parameters["JobsConcurrency"]["Default"]


# ---------------------------------------------------------------- the command


def _on(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.tillbook_cli.doctor.aws_of", lambda _target: hospital.patient().aws)
    monkeypatch.setattr("cli.tillbook_cli.doctor._deployed", lambda _aws: hospital.patient().stack)


def test_the_command_says_what_to_do_and_how_it_ended(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(hospital, monkeypatch)
    run = Terminal(())
    checks = ", ".join(health.AFTER)
    assert run("doctor") == Ran(0, f"Checked {checks}: nothing found.\n", "")
    _keys_of(31)(hospital)
    assert run("doctor").code == 0  # advice
    hospital.limit = 10
    ran = run("doctor")
    assert ran.code == 4
    assert "PROBLEM    Lambda runs at most 10 functions" in ran.out
    assert ran.out.endswith(f"Checked {checks}: 1 problem, 2 advice.\n")
    found = run("doctor", "--json")
    assert found.code == 4
    assert {finding["level"] for finding in found.json["findings"]} == {"problem", "advice"}
    assert found.json["checks"] == list(health.AFTER)


def test_before_a_deployment(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(hospital, monkeypatch)
    hospital.limit = 10
    run = Terminal(("--before", "--json"))
    assert run("doctor").code == 4
    few = run("doctor", "--processing-concurrency", "3", "--jobs-concurrency", "2")
    assert (few.code, json.loads(few.out)["findings"]) == (0, [])


def test_a_check_that_could_not_run_is_no_success(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(hospital, monkeypatch)
    hospital.refused = "AccessDenied"
    ran = Terminal(())("doctor")
    assert ran.code == 4
    assert "UNCHECKED  This could not be checked: " in ran.out


def test_without_a_stack_it_ends_as_all_commands_do(on_aws: Any) -> None:
    ran = Terminal(("--stack-name", "nothing", "--region", "eu-west-1"))("doctor")
    assert (ran.code, ran.out) == (3, "")
    assert "There is no stack nothing in eu-west-1." in ran.err
