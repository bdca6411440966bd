"""Fixtures: the command `tillbook` on a stack of an embedded AWS, and a fake API for imports."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from cli.tillbook_cli import sending
from cli.tillbook_cli.main import tillbook
from local.embedded_aws import EmbeddedAws
from tests.cli.fake_api import FakeApi, serving
from tests.handlers import template

REGION = "eu-west-1"


@dataclass(frozen=True)
class Ran:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Terminal:
    """Runs `tillbook` with the given words, followed by `options`."""

    options: tuple[str, ...]

    def __call__(self, *words: str) -> Ran:
        result = CliRunner().invoke(tillbook, [*words, *self.options])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes this machine's AWS configuration."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "TILLBOOK_STACK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    embedded = EmbeddedAws(tmp_path_factory.mktemp("aws"))
    embedded.start()
    yield embedded
    embedded.stop()


@pytest.fixture
def on_aws(no_aws: None, aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Points boto3 at the embedded AWS. Returns a client of its CloudFormation."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    return boto3.client("cloudformation", region_name=REGION)


@pytest.fixture
def stack_name(on_aws: Any) -> str:
    """Deploys a stack with the tables of template.yaml and the outputs that name them. Returns the stack's name."""
    name = f"tillbook-{uuid.uuid4()}"
    whole = template.load()
    body = {
        "Parameters": whole["Parameters"],
        "Conditions": whole["Conditions"],
        "Resources": {n: r for n, r in whole["Resources"].items() if r["Type"] == "AWS::DynamoDB::Table"},
        "Outputs": {n: o for n, o in whole["Outputs"].items() if n.endswith("TableName")},
    }
    stage = [{"ParameterKey": "Stage", "ParameterValue": "dev"}]
    on_aws.create_stack(StackName=name, TemplateBody=json.dumps(body), Parameters=stage)
    on_aws.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    return name


@pytest.fixture
def run(stack_name: str) -> Terminal:
    """Runs `tillbook` on the stack `stack_name`."""
    return Terminal(("--stack-name", stack_name, "--region", REGION))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """A fake API, to which imports send at most 10 events at once, and retry after 10 to 20 milliseconds."""
    monkeypatch.setattr(sending, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(sending, "_LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(sending, "UNIT_EVENTS", 10)
    with serving() as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path for a CSV file."""
    return tmp_path / "orders.csv"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """The path for a file of JSON lines."""
    return tmp_path / "orders.jsonl"
