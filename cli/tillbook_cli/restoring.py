"""Restores a stack in steps. Each step can be repeated, and skips work that is already done.

The stack's template and the names of its tables are stored beside its code in S3, so that anybody can continue from any
machine. docs/how-to/restore.md has the reasons for this procedure.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from typing import Any

from botocore.exceptions import ClientError

from tillbook.aws.retries import error_code
from tillbook.records.messages import Queue
from tillbook.rules import times

from .connection import Aws, described
from .contents import Contents
from .intake import Intake
from .takeover import Table, Template, decided, with_tables, without_tables
from .waiting import Stuck, wait

LEDGER, RECORDS, BOOK, REMOVALS = "LedgerTable", "RecordsTable", "BookTable", "RemovalsTable"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
_SETTLED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
_SCHEMA = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
_RESTORED = {LEDGER: "restore the ledger to", RECORDS: "restore the records to"}


@dataclass(frozen=True)
class Plan:
    """The plan of a restore.

    `moment` is a stamp, to the second. `old` and `new` are names of tables by logical id; `taken` are the logical ids
    of tables in `new` that exist already, and are not restored. `bucket` is the S3 bucket with the stack's code.
    """

    stack: str
    stage: str
    moment: str
    old: dict[str, str]
    new: dict[str, str]
    taken: tuple[str, ...]
    bucket: str

    @property
    def id(self) -> str:
        return f"restore-{self.moment[:14]}"

    def place(self, name: str) -> str:
        """The key of a file of this restore in `bucket`."""
        return f"{self.stack}-{self.id}/{name}"


def planned(aws: Aws, moment: str, taken: dict[str, str]) -> Plan:
    """The stored plan of a restore to this moment, or a new one. Writes nothing.

    Raises Unreachable, BotoCoreError, ClientError; ValueError if `taken` has an unknown table.
    """
    stack = described(aws)
    processed = _template(aws, "Processed")
    bucket = next(
        resource["Properties"]["Code"]["S3Bucket"]
        for resource in processed["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    )
    if unknown := taken.keys() - {LEDGER, RECORDS, BOOK, REMOVALS}:
        raise ValueError(f"There is no table {', '.join(sorted(unknown))} in the template.")
    # The removals are not restored, since a restore repeats them. But another table of removals can be given.
    logical = [LEDGER, RECORDS, BOOK, *(name for name in taken if name == REMOVALS)]
    named = {name: f"{aws.stack_name}-{name}-{moment[:14]}" for name in logical} | taken
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    old = {name: outputs[f"{name}Name"] for name in (LEDGER, RECORDS, BOOK, REMOVALS)}
    fresh = Plan(
        aws.stack_name, parameters_of(stack).get("Stage", ""), moment, old, named, tuple(sorted(taken)), bucket
    )
    begun = _stored(aws, fresh, "plan.json")
    if begun is None:
        return fresh
    known = json.loads(begun)
    return Plan(**known | {"taken": tuple(known["taken"])})


def parameters_of(stack: dict[str, Any]) -> dict[str, str]:
    return {given["ParameterKey"]: given.get("ParameterValue", "") for given in stack.get("Parameters", [])}


def is_done(aws: Aws, plan: Plan) -> bool:
    return _stored(aws, plan, "done") is not None


def _template(aws: Aws, stage: str) -> Any:
    """The stack's template: an object if it is JSON, which botocore parses, or the text of YAML."""
    return aws.client("cloudformation").get_template(StackName=aws.stack_name, TemplateStage=stage)["TemplateBody"]


def _stored(aws: Aws, plan: Plan, name: str) -> str | None:
    try:
        answer = aws.client("s3").get_object(Bucket=plan.bucket, Key=plan.place(name))
    except ClientError as error:
        if error_code(error) in ("NoSuchKey", "404"):
            return None
        raise
    return str(answer["Body"].read().decode())


@dataclass(frozen=True)
class Step:
    """One step. `before`: the step is skipped once the stack uses its new tables."""

    title: str
    run: Callable[[], None]
    before: bool = True


class Restoration:
    """Performs a restore. `say` is called with messages about what a step finds or waits for."""

    def __init__(self, aws: Aws, plan: Plan, say: Callable[[str], None]) -> None:
        self.aws, self.plan, self.say = aws, plan, say
        self.client = cache(aws.client)

    def steps(self) -> list[Step]:
        moment, kept = times.iso(self.plan.moment), f"s3://{self.plan.bucket}/{self.plan.place('')}"
        return [
            Step(f"Keep the stack's template and the names of its tables in {kept}", self.begin),
            Step(self._title_of_restore(), self.restore),
            Step("Pause intake: queues hold orders, other requests that write get a 503", self.pause),
            Step("Wait until the new tables exist", self.wait_for_tables),
            Step("Switch on their streams, expiry, point-in-time recovery, protection and tags", self.configure),
            Step("Copy the current accounts, keys and connections", self.carry_over),
            Step(f"Repeat the purges and erasures since {moment}", self.repeat_removals),
            Step("Deploy the same code on the new tables (CloudFormation update)", self.switch),
            Step("Resume intake", self.resume, before=False),
            Step("Write every order to the new book, by a job for each account and source", self.rebuild, before=False),
            Step("Import the new tables into the stack (CloudFormation import)", self.import_tables, before=False),
            Step("Deploy the stack's own template again", self.deploy_original, before=False),
        ]

    def _title_of_restore(self) -> str:
        new, taken = self.plan.new, self.plan.taken
        parts = [
            f"{what} {times.iso(self.plan.moment)} as {new[name]}"
            for name, what in _RESTORED.items()
            if name not in taken
        ]
        parts += [f"create {new[BOOK]}"] if BOOK not in taken else []
        title = "; ".join([*parts, *(f"use {new[name]} for {name}" for name in taken)])
        return title[0].upper() + title[1:]

    def run(self, step: Step) -> None:
        """Runs a step. Raises Stuck, BotoCoreError, ClientError; the step can then be run again."""
        if step.before and self.is_switched:
            self.say("The stack already uses the new tables.")
        else:
            step.run()

    # ------------------------------------------------------------------- tables

    def begin(self) -> None:
        if _stored(self.aws, self.plan, "plan.json") is not None:
            self.say("This restore has been started before.")
            return
        original, processed = _template(self.aws, "Original"), _template(self.aws, "Processed")
        self._store("original.template", original if isinstance(original, str) else json.dumps(original))
        self._store("processed.json", json.dumps(processed))
        self._store("plan.json", json.dumps(asdict(self.plan)))

    def restore(self) -> None:
        dynamodb = self.client("dynamodb")
        for name in (LEDGER, RECORDS):
            if self._table(name) is None:
                dynamodb.restore_table_to_point_in_time(
                    SourceTableName=self.plan.old[name],
                    TargetTableName=self.plan.new[name],
                    RestoreDateTime=times.to_datetime(self.plan.moment),
                    SSESpecificationOverride={"Enabled": True},
                )
        if self._table(BOOK) is None:
            properties = self._properties(BOOK)
            schema = {name: properties[name] for name in _SCHEMA if name in properties}
            dynamodb.create_table(TableName=self.plan.new[BOOK], SSESpecification={"Enabled": True}, **schema)

    def wait_for_tables(self) -> None:
        for name, table in self.plan.new.items():
            self._wait(f"{table} is being created", lambda name=name: self._status(name) == "ACTIVE")  # type: ignore[misc]

    def configure(self) -> None:
        """Sets the properties that the template defines, and that DynamoDB does not restore."""
        dynamodb = self.client("dynamodb")
        for name, table in self.plan.new.items():
            properties = self._properties(name)
            found = self._table(name) or {}
            view = properties.get("StreamSpecification", {}).get("StreamViewType")
            if view and not found.get("StreamSpecification", {}).get("StreamEnabled"):
                stream = {"StreamEnabled": True, "StreamViewType": view}
                dynamodb.update_table(TableName=table, StreamSpecification=stream)
                self._wait(f"the stream of {table} is being created", lambda name=name: self._status(name) == "ACTIVE")  # type: ignore[misc]
            protected = properties["DeletionProtectionEnabled"]
            if found.get("DeletionProtectionEnabled", False) != protected:
                dynamodb.update_table(TableName=table, DeletionProtectionEnabled=protected)
                self._wait(f"{table} is being changed", lambda name=name: self._status(name) == "ACTIVE")  # type: ignore[misc]
            if "TimeToLiveSpecification" in properties:
                self._expire(table, properties["TimeToLiveSpecification"]["AttributeName"])
            dynamodb.update_continuous_backups(
                TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            )
            if tags := described(self.aws).get("Tags"):
                dynamodb.tag_resource(ResourceArn=found["TableArn"], Tags=tags)

    def _expire(self, table: str, attribute: str) -> None:
        dynamodb = self.client("dynamodb")
        status = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]
        if status not in ("ENABLED", "ENABLING"):
            dynamodb.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute}
            )

    def _table(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.client("dynamodb").describe_table(TableName=self.plan.new[name])["Table"]
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            raise
        return found

    def _status(self, name: str) -> str:
        found = self._table(name)
        if found is None:
            raise Stuck(f"There is no table {self.plan.new[name]}.")
        return str(found["TableStatus"])

    def pause(self) -> None:
        self._intake.pause()

    def resume(self) -> None:
        self._intake.resume()

    @cached_property
    def _intake(self) -> Intake:
        return Intake(self.client("lambda"), self._resource, self.say)

    def _resource(self, name: str) -> str:
        answer = self.client("cloudformation").describe_stack_resource(
            StackName=self.plan.stack, LogicalResourceId=name
        )
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])

    # ----------------------------------------------------------- the tables' contents

    def carry_over(self) -> None:
        self.say(self._contents.carry_over(self.plan.old[RECORDS]))

    def repeat_removals(self) -> None:
        noted = self.plan.new.get(REMOVALS, self.plan.old[REMOVALS])
        self.say(self._contents.repeat_removals(noted, self.plan.moment))

    def rebuild(self) -> None:
        self.say(self._contents.rebuild())

    @cached_property
    def _contents(self) -> Contents:
        queue = Queue(self.client("sqs"), self._resource("JobsQueue"))
        return Contents(self.client("dynamodb"), queue, self.plan.new[LEDGER], self.plan.new[RECORDS], self.plan.id)

    # ------------------------------------------------------------------ the stack

    @cached_property
    def _processed(self) -> Template:
        stored = _stored(self.aws, self.plan, "processed.json")
        return dict(json.loads(stored) if stored else _template(self.aws, "Processed"))

    @cached_property
    def _given(self) -> dict[str, str]:
        return parameters_of(described(self.aws))

    def _properties(self, name: str) -> dict[str, Any]:
        """The properties of a resource, with conditions decided by the stack's parameters."""
        found: dict[str, Any] = decided(self._processed["Resources"][name]["Properties"], self._processed, self._given)
        return found

    @cached_property
    def _tables(self) -> dict[str, Table]:
        tables = {}
        for name in self.plan.new:
            found = self._table(name) or {}
            tables[name] = Table(found["TableName"], found["TableArn"], found.get("LatestStreamArn", ""))
        return tables

    @property
    def is_switched(self) -> bool:
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described(self.aws)["Outputs"]}
        return all(outputs[f"{name}Name"] == table for name, table in self.plan.new.items())

    def switch(self) -> None:
        changed = without_tables(self._processed, self._tables, self._given, self.plan.id)
        self._update(self._store("without-tables.json", json.dumps(changed)))

    def import_tables(self) -> None:
        cloudformation = self.client("cloudformation")
        missing = [name for name in self.plan.new if not self._is_in_stack(name)]
        if not missing:
            self.say("The stack has these tables already.")
            return
        without = without_tables(self._processed, self._tables, self._given, self.plan.id)
        whole = with_tables(without, self._processed, self._tables, self._given)
        change = {"StackName": self.plan.stack, "ChangeSetName": f"{self.plan.id}-{int(time.time())}"}
        cloudformation.create_change_set(
            **change,
            ChangeSetType="IMPORT",
            TemplateURL=self._store("with-tables.json", json.dumps(whole)),
            Parameters=self._parameters(),
            Capabilities=_CAPABILITIES,
            ResourcesToImport=[
                {
                    "ResourceType": "AWS::DynamoDB::Table",
                    "LogicalResourceId": name,
                    "ResourceIdentifier": {"TableName": self.plan.new[name]},
                }
                for name in missing
            ],
        )

        def status() -> str:
            found = cloudformation.describe_change_set(**change)
            if found["Status"] == "FAILED":
                raise Stuck(f"The tables cannot be imported: {found.get('StatusReason')}")
            return str(found["Status"])

        self._wait("the change set is being created", lambda: status() == "CREATE_COMPLETE")
        cloudformation.execute_change_set(**change)
        self._wait_for_stack()

    def deploy_original(self) -> None:
        stored = _stored(self.aws, self.plan, "original.template")
        if stored is None:
            raise Stuck(f"{self.plan.place('original.template')} does not exist: deploy the stack's template yourself.")
        self._update(self._url("original.template"))
        self._store("done", "")

    def _is_in_stack(self, name: str) -> bool:
        try:
            return self._resource(name) == self.plan.new[name]
        except ClientError as error:
            if error_code(error) != "ValidationError":  # the stack has no such resource
                raise
            return False

    def _update(self, url: str) -> None:
        self._wait("CloudFormation is working", lambda: not self._stack_status().endswith("_IN_PROGRESS"))
        try:
            self.client("cloudformation").update_stack(
                StackName=self.plan.stack, TemplateURL=url, Parameters=self._parameters(), Capabilities=_CAPABILITIES
            )
        except ClientError as error:
            if "No updates" not in str(error):
                raise
            self.say("Nothing to change.")
            return
        self._wait_for_stack()

    def _parameters(self) -> list[dict[str, Any]]:
        given = described(self.aws).get("Parameters", [])
        return [{"ParameterKey": parameter["ParameterKey"], "UsePreviousValue": True} for parameter in given]

    def _stack_status(self) -> str:
        return str(described(self.aws)["StackStatus"])

    def _wait_for_stack(self) -> None:
        def settled() -> bool:
            status = self._stack_status()
            if status.endswith("_IN_PROGRESS"):
                return False
            if status not in _SETTLED:
                raise Stuck(f"The stack is {status}: look at its events, and fix the cause.")
            return True

        self._wait("CloudFormation is working", settled)

    def _store(self, name: str, text: str) -> str:
        """Stores a file of this restore, and returns its URL."""
        self.client("s3").put_object(Bucket=self.plan.bucket, Key=self.plan.place(name), Body=text.encode())
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"https://s3.{self.aws.region}.amazonaws.com/{self.plan.bucket}/{self.plan.place(name)}"

    def _wait(self, what: str, done: Callable[[], bool]) -> None:
        wait(what, done, self.say)
