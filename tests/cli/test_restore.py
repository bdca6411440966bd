"""tillbook restore: its calls to AWS in each step, checked against botocore's models of the operations.

AWS is a fake, since no emulator can restore a table to a past moment. python -m deploy.drill runs a whole restore on
MiniStack, where copies replace the restored tables.
"""

# ruff: noqa: N803 - arguments are named as AWS names them
from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from cli.tillbook_cli import restore, waiting
from cli.tillbook_cli.connection import Aws
from cli.tillbook_cli.intake import WRITERS
from cli.tillbook_cli.restoring import Restoration, planned
from cli.tillbook_cli.takeover import Table, with_tables, without_tables
from cli.tillbook_cli.waiting import Stuck
from tests.cli.conftest import Terminal
from tests.infrastructure.deployed import processed, source

STACK, REGION, BUCKET = "tillbook-prod", "eu-west-1", "tillbook-prod-artifacts"
TABLES = ("LedgerTable", "RecordsTable", "BookTable")
MOMENT = "20261120101500000000"
NEW = {name: f"{STACK}-{name}-20261120101500" for name in TABLES}
OLD = {name: f"{STACK}-{name}-1ABC" for name in (*TABLES, "RemovalsTable")}
_ARN = f"arn:aws:dynamodb:{REGION}:123456789012:table/"
_DEFAULTS = {name: str(parameter.get("Default")) for name, parameter in source()["Parameters"].items()}
PARAMETERS = _DEFAULTS | {"Stage": "prod"}
NEW_TABLES = {name: Table(table, f"{_ARN}{table}", f"{_ARN}{table}/stream/1") for name, table in NEW.items()}


# ------------------------------------------------------------------ the template


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return processed()


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_template_without_tables_names_the_new_tables(template: dict[str, Any], stage: str) -> None:
    changed = without_tables(template, NEW_TABLES, PARAMETERS | {"Stage": stage}, "restore-1")
    assert template["Resources"].keys() - changed["Resources"].keys() == set(TABLES)
    text = json.dumps(changed["Resources"]) + json.dumps(changed["Outputs"])
    for name in TABLES:
        assert f'"{name}"' not in text, "a Ref or a Fn::GetAtt"
        assert f"${{{name}" not in text, "a Fn::Sub"
        assert NEW[name] in text
    assert changed["Outputs"]["LedgerTableName"]["Value"] == NEW["LedgerTable"]
    assert (
        changed["Resources"]["KeepBookChanges"]["Properties"]["EventSourceArn"] == NEW_TABLES["LedgerTable"].stream_arn
    )
    # Fn::If in a DeletionPolicy needs a transform, and the changed template has none.
    policies = [r.get("DeletionPolicy", "Delete") for r in changed["Resources"].values()]
    assert all(isinstance(policy, str) for policy in policies)
    assert changed["Resources"]["RemovalsTable"]["DeletionPolicy"] == ("Retain" if stage == "prod" else "Delete")


def test_an_import_adds_the_tables_and_changes_nothing_else(template: dict[str, Any]) -> None:
    without = without_tables(template, NEW_TABLES, PARAMETERS, "restore-1")
    whole = with_tables(without, template, NEW_TABLES, PARAMETERS)
    assert {name: whole["Resources"].pop(name)["DeletionPolicy"] for name in TABLES} == dict.fromkeys(TABLES, "Retain")
    assert whole == without


def test_functions_that_are_called_by_version_are_published_again(template: dict[str, Any]) -> None:
    """A new description of the version and a changed function make CloudFormation publish a version at the switch."""
    changed = without_tables(template, NEW_TABLES, PARAMETERS, "restore-1")["Resources"]
    versions = {name: r for name, r in changed.items() if r["Type"] == "AWS::Lambda::Version"}
    assert len(versions) >= 4
    for name, version in versions.items():
        assert version["Properties"]["Description"] != template["Resources"][name]["Properties"]["Description"]
        function = version["Properties"]["FunctionName"]["Ref"]
        assert changed[function]["Properties"]["Environment"]["Variables"]["RESTORE"] == "restore-1"


# ------------------------------------------------------------------ calls to AWS


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


@dataclass
class Fake:
    """A fake AWS: checks each call against botocore's models, records the call, and answers as AWS documents.

    Tables have no items: every query and scan finds none. A call of the operation `dies_at` ends the command, as Ctrl-C
    does. `enabled`: whether the queues call their function; `paused`: functions whose concurrency is 0. `ttl`:
    tables whose time to live is enabled. `refuses_import`: the reason for which CloudFormation refuses the import of
    the tables; empty if it does not.
    """

    template: dict[str, Any]
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=lambda: {f"{name}Name": table for name, table in OLD.items()})
    tables_in_stack: dict[str, str] = field(default_factory=lambda: dict(OLD))
    parameters: dict[str, str] = field(default_factory=lambda: dict(PARAMETERS))
    enabled: bool = True
    paused: set[str] = field(default_factory=set)
    ttl: set[str] = field(default_factory=set)
    dies_at: str = ""
    refuses_import: str = ""

    def client(self, service: str) -> Any:
        return _Client(self, service)

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def arguments_of(self, operation: str) -> list[dict[str, Any]]:
        """The arguments of each call of an operation."""
        return [arguments for name, arguments in self.calls if name == operation]

    # ------------------------------------------------------------------ answers

    def describe_stacks(self, **_: Any) -> Any:
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()]
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]
        stack = {"StackName": STACK, "StackStatus": "UPDATE_COMPLETE", "Tags": [{"Key": "team", "Value": "shop"}]}
        return {"Stacks": [stack | {"Outputs": outputs, "Parameters": parameters}]}

    def get_template(self, TemplateStage: str, **_: Any) -> Any:
        return {"TemplateBody": "Transform: AWS::Serverless" if TemplateStage == "Original" else self.template}

    def describe_stack_resource(self, LogicalResourceId: str, **_: Any) -> Any:
        physical = self.tables_in_stack.get(LogicalResourceId, f"{STACK}-{LogicalResourceId}-1ABC")
        if LogicalResourceId in TABLES and LogicalResourceId not in self.tables_in_stack:
            raise _error("ValidationError", "DescribeStackResource")
        return {"StackResourceDetail": {"PhysicalResourceId": physical}}

    def update_stack(self, TemplateURL: str, **_: Any) -> Any:
        if TemplateURL.endswith("without-tables.json"):
            self.outputs |= {f"{name}Name": table for name, table in NEW.items()}
            self.tables_in_stack = {"RemovalsTable": OLD["RemovalsTable"]}
        return {}

    def create_change_set(self, **_: Any) -> Any:
        return {}

    def describe_change_set(self, **_: Any) -> Any:
        reason = {"StatusReason": self.refuses_import}
        return {"Status": "FAILED", **reason} if self.refuses_import else {"Status": "CREATE_COMPLETE"}

    def execute_change_set(self, **_: Any) -> Any:
        self.tables_in_stack |= NEW
        return {}

    def get_object(self, Key: str, **_: Any) -> Any:
        if Key not in self.objects:
            raise _error("NoSuchKey", "GetObject")
        return {"Body": io.BytesIO(self.objects[Key].encode())}

    def put_object(self, Key: str, Body: bytes, **_: Any) -> Any:
        self.objects[Key] = Body.decode()
        return {}

    def restore_table_to_point_in_time(self, TargetTableName: str, **_: Any) -> Any:
        return self._create(TargetTableName)

    def create_table(self, TableName: str, **_: Any) -> Any:
        return self._create(TableName)

    def _create(self, name: str) -> Any:
        self.tables[name] = {"TableName": name, "TableArn": f"{_ARN}{name}", "TableStatus": "ACTIVE"}
        return {}

    def describe_table(self, TableName: str) -> Any:
        if TableName not in self.tables:
            raise _error("ResourceNotFoundException", "DescribeTable")
        return {"Table": dict(self.tables[TableName])}

    def update_table(self, TableName: str, **changed: Any) -> Any:
        if "StreamSpecification" in changed:
            changed["LatestStreamArn"] = f"{_ARN}{TableName}/stream/1"
        self.tables[TableName] |= changed
        return {}

    def describe_time_to_live(self, TableName: str) -> Any:
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED" if TableName in self.ttl else "DISABLED"}}

    def update_time_to_live(self, TableName: str, **_: Any) -> Any:
        self.ttl.add(TableName)
        return {}

    def describe_continuous_backups(self, **_: Any) -> Any:
        recovery = {
            "PointInTimeRecoveryStatus": "ENABLED",
            "LatestRestorableDateTime": datetime(2026, 11, 20, 10, 15, 0, 5, UTC),
        }
        return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": recovery}}

    def update_continuous_backups(self, **_: Any) -> Any:
        return {}

    def tag_resource(self, **_: Any) -> Any:
        return {}

    def query(self, **_: Any) -> Any:
        return {"Items": []}

    def scan(self, **_: Any) -> Any:
        return {"Items": []}

    def list_event_source_mappings(self, **_: Any) -> Any:
        state = "Enabled" if self.enabled else "Disabled"
        return {"EventSourceMappings": [{"UUID": str(UUID(int=n)), "State": state} for n in range(2)]}

    def update_event_source_mapping(self, Enabled: bool, **_: Any) -> Any:
        self.enabled = Enabled
        return {}

    def get_function_configuration(self, **_: Any) -> Any:
        return {"Timeout": 60}

    def get_function_concurrency(self, FunctionName: str) -> Any:
        return {"ReservedConcurrentExecutions": 0} if FunctionName in self.paused else {}

    def put_function_concurrency(self, FunctionName: str, **_: Any) -> Any:
        self.paused.add(FunctionName)
        return {}

    def delete_function_concurrency(self, FunctionName: str) -> Any:
        self.paused.discard(FunctionName)
        return {}


@cache
def _real(service: str) -> Any:
    """A real client, for its models of AWS's API; no call is made."""
    return boto3.client(service, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")


class _Client:
    """A client of the fake AWS for one service."""

    def __init__(self, fake: Fake, service: str) -> None:
        self._fake, self._real = fake, _real(service)

    def __getattr__(self, name: str) -> Any:
        operation = self._real.meta.method_to_api_mapping[name]
        shape = self._real.meta.service_model.operation_model(operation).input_shape

        def call(**arguments: Any) -> Any:
            report = ParamValidator().validate(arguments, shape)
            assert not report.has_errors(), f"{operation}: {report.generate_report()}"
            if operation == self._fake.dies_at:
                raise KeyboardInterrupt
            self._fake.calls.append((operation, arguments))
            return getattr(self._fake, name)(**arguments)

        return call

    def get_paginator(self, name: str) -> Any:
        call = getattr(self, name)

        class Pages:
            @staticmethod
            def paginate(**arguments: Any) -> Iterator[Any]:
                yield call(**arguments)

        return Pages


@pytest.fixture
def fake(template: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Fake:
    aws = Fake(template)
    clock = iter(range(0, 10**9, 30))  # each reading is 30 s later, so that no test waits
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Code"] = {"S3Bucket": BUCKET, "S3Key": "code"}
    monkeypatch.setattr(restore, "aws_of", lambda _: Aws(aws.client, REGION, STACK))
    return aws


run = Terminal(("--stack-name", STACK))
TO = "2026-11-20T10:15:00Z"


def test_without_yes_the_steps_are_printed_and_nothing_is_changed(fake: Fake) -> None:
    ran = run("restore", "--to", TO)
    assert ran.code == 0, ran.err
    assert [int(line.split(".")[0]) for line in ran.out.splitlines()[:-1]] == list(range(1, 13))  # numbers of steps
    assert f"--to {TO} --yes" in ran.out
    assert all(NEW[name] in ran.out for name in TABLES)
    assert all(name.startswith(("Describe", "Get")) for name in fake.names())


def test_ledger_and_records_are_restored_to_one_moment(fake: Fake) -> None:
    assert run("restore", "--to", TO, "--yes").code == 0
    assert fake.arguments_of("RestoreTableToPointInTime") == [
        {
            "SourceTableName": OLD[name],
            "TargetTableName": NEW[name],
            "RestoreDateTime": datetime(2026, 11, 20, 10, 15, tzinfo=UTC),
            "SSESpecificationOverride": {"Enabled": True},
        }
        for name in ("LedgerTable", "RecordsTable")
    ]
    [book] = fake.arguments_of("CreateTable")
    assert (book["TableName"], book["BillingMode"]) == (NEW["BookTable"], "PAY_PER_REQUEST")
    # DynamoDB requires that exactly the keys of the table and its indexes are defined as attributes.
    schemas = [book["KeySchema"], *(index["KeySchema"] for index in book.get("GlobalSecondaryIndexes", []))]
    keys = {key["AttributeName"] for schema in schemas for key in schema}
    assert keys == {attribute["AttributeName"] for attribute in book["AttributeDefinitions"]}
    indexes = source()["Resources"]["BookTable"]["Properties"]["GlobalSecondaryIndexes"]
    assert book["GlobalSecondaryIndexes"] == indexes


@pytest.mark.parametrize(
    ("announcements", "with_stream"), [("none", ["LedgerTable"]), ("event-bus", ["LedgerTable", "RecordsTable"])]
)
def test_settings_that_dynamodb_does_not_restore_are_set(
    fake: Fake, announcements: str, with_stream: list[str]
) -> None:
    fake.parameters["Announcements"] = announcements
    assert run("restore", "--to", TO, "--yes").code == 0
    streams = [
        (a["TableName"], a["StreamSpecification"])
        for a in fake.arguments_of("UpdateTable")
        if "StreamSpecification" in a
    ]
    view = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert streams == [(NEW[name], view) for name in with_stream]
    assert fake.ttl == {NEW["RecordsTable"], NEW["BookTable"]}
    assert {a["TableName"] for a in fake.arguments_of("UpdateContinuousBackups")} == set(NEW.values())
    assert {a["ResourceArn"] for a in fake.arguments_of("TagResource")} == {f"{_ARN}{name}" for name in NEW.values()}
    assert all(fake.tables[name]["DeletionProtectionEnabled"] for name in NEW.values())


def test_intake_is_paused_for_the_switch_and_resumed(fake: Fake) -> None:
    assert run("restore", "--to", TO, "--yes").code == 0
    order = [
        name for name in fake.names() if name in ("PutFunctionConcurrency", "UpdateStack", "DeleteFunctionConcurrency")
    ]
    assert order == [
        *["PutFunctionConcurrency"] * len(WRITERS), "UpdateStack",
        *["DeleteFunctionConcurrency"] * len(WRITERS), "UpdateStack",
    ]  # fmt: skip
    paused = {a["FunctionName"] for a in fake.arguments_of("PutFunctionConcurrency")}
    assert paused == {f"{STACK}-{name}-1ABC" for name in WRITERS}
    assert (fake.enabled, fake.paused) == (True, set())
    # Each of the two queues stops calling its function, and later calls it again.
    assert [a["Enabled"] for a in fake.arguments_of("UpdateEventSourceMapping")] == [False, False, True, True]


def test_functions_that_write_before_they_answer_are_paused() -> None:
    """RecordActivity and ReceiveWebhook queue instead; POST to Read (an audience match) and Fallback change nothing."""
    changing_methods = {
        name: {event["Properties"]["Method"] for event in resource["Properties"].get("Events", {}).values()
               if event["Type"] == "HttpApi"} - {"GET"}
        for name, resource in source()["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"
    }  # fmt: skip
    changing = {name for name, found in changing_methods.items() if found}
    assert changing - {"RecordActivity", "ReceiveWebhook", "Read", "Fallback"} == set(WRITERS)


def test_the_tables_are_imported_and_the_original_template_is_deployed(fake: Fake) -> None:
    assert run("restore", "--to", TO, "--yes").code == 0
    [change] = fake.arguments_of("CreateChangeSet")
    assert change["ChangeSetType"] == "IMPORT"
    assert {(r["LogicalResourceId"], r["ResourceIdentifier"]["TableName"]) for r in change["ResourcesToImport"]} == set(
        NEW.items()
    )
    first, last = fake.arguments_of("UpdateStack")
    assert first["TemplateURL"].endswith("without-tables.json")
    assert last["TemplateURL"].endswith("original.template")
    previous = [{"ParameterKey": name, "UsePreviousValue": True} for name in PARAMETERS]
    assert first["Parameters"] == last["Parameters"] == change["Parameters"] == previous
    folder = f"{STACK}-restore-20261120101500"
    assert fake.objects[f"{folder}/original.template"] == "Transform: AWS::Serverless"
    again = run("restore", "--to", TO, "--yes")
    assert (again.code, "is complete" in again.err) == (1, True)


@pytest.mark.parametrize(
    "operation",
    [
        "RestoreTableToPointInTime", "CreateTable", "PutFunctionConcurrency", "UpdateTable", "UpdateTimeToLive",
        "TagResource", "Scan", "UpdateStack", "DeleteFunctionConcurrency", "CreateChangeSet", "ExecuteChangeSet",
    ],
)  # fmt: skip
def test_a_restore_continues_where_it_stopped(fake: Fake, operation: str) -> None:
    fake.dies_at = operation
    assert run("restore", "--to", TO, "--yes").code == 130
    fake.dies_at = ""
    ran = run("restore", "--to", TO, "--yes")
    assert ran.code == 0, ran.err
    calls = Counter(fake.names())
    assert calls["RestoreTableToPointInTime"] == 2  # LedgerTable and RecordsTable
    assert calls["CreateTable"] == 1  # BookTable
    assert calls["ExecuteChangeSet"] == 1
    assert [a["TemplateURL"].rpartition("/")[2] for a in fake.arguments_of("UpdateStack")] == [
        "without-tables.json",
        "original.template",
    ]
    assert (fake.enabled, fake.paused, fake.tables_in_stack) == (True, set(), OLD | NEW)


def test_a_refused_import_is_reported_with_the_reason_and_can_be_repeated(fake: Fake) -> None:
    fake.refuses_import = "it belongs to another stack"
    ran = run("restore", "--to", TO, "--yes")
    assert (ran.code, "it belongs to another stack" in ran.err, TO in ran.err) == (1, True, True)
    fake.refuses_import = ""
    assert run("restore", "--to", TO, "--yes").code == 0


def test_existing_tables_are_taken_over_without_a_restore(fake: Fake) -> None:
    """A deleted stack of prod leaves its four tables. A new stack takes them over."""
    existing = {name: f"{STACK}-{name}-0OLD" for name in (*TABLES, "RemovalsTable")}
    for table in existing.values():
        fake._create(table)
    words = [word for name, table in existing.items() for word in ("--take", f"{name}={table}")]
    restoration = Restoration(
        Aws(fake.client, REGION, STACK), planned(Aws(fake.client, REGION, STACK), MOMENT, existing), lambda _: None
    )
    assert restoration.plan.new == existing
    ran = run("restore", "--to", TO, *words, "--yes")
    assert ran.code == 0, ran.err
    assert not {"RestoreTableToPointInTime", "CreateTable"} & set(fake.names())
    assert {r["LogicalResourceId"] for r in fake.arguments_of("CreateChangeSet")[0]["ResourcesToImport"]} == set(
        existing
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "yesterday"), "not ISO 8601"),
        (("--to", "2999-01-01"), "in the future"),
        (("--to", TO, "--take", "LedgerTable"), "--take is TABLE=NAME"),
        (("--to", TO, "--take", "Ledger=x"), "no table Ledger"),
        ((), "--to"),
    ],
)
def test_invalid_arguments_are_refused(fake: Fake, words: tuple[str, ...], said: str) -> None:
    ran = run("restore", *words)
    assert ran.code in (1, 2)
    assert said in ran.err
    assert all(name.startswith(("Describe", "Get")) for name in fake.names())


def test_latest_is_the_latest_second_to_which_both_tables_can_be_restored(fake: Fake) -> None:
    assert f"to {TO}" in run("restore", "--to", "latest").out


def test_the_url_of_a_template_is_in_the_stack_s_region(fake: Fake) -> None:
    run("restore", "--to", TO, "--yes")
    assert {a["TemplateURL"].partition(BUCKET)[0] for a in fake.arguments_of("UpdateStack")} == {
        f"https://s3.{REGION}.amazonaws.com/"
    }


def test_a_wait_is_given_up_after_six_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**6, 3600))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with pytest.raises(Stuck, match="After 6 hours"):
        waiting.wait("it is being made", lambda: False, lambda _: None)
