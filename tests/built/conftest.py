"""Starts the functions that `sam build` made, as Lambda starts them: with AWS's own runtime client.

A function's PYTHONPATH has its own folder, its layer, and the packages of Lambda's Python runtime: boto3 and the
runtime client. Python runs without site-packages, so an import that the artifact lacks fails here too.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from samtranslator.yaml_helper import yaml_parse

from events import bodies
from local.embedded_aws import EmbeddedAws
from local.stack import ROOT
from tests.built.runtime_api import RunningFunction
from tests.handlers import template as resources
from tillbook.aws.secrets import Secrets
from tillbook.records.accounts import Account, Accounts
from tillbook.records.connections import Connections
from tillbook.records.keys import Keys

ENVIRONMENT = ROOT / ".venv-ci"
SAM = ENVIRONMENT / "bin" / "sam"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Built:
    """The folder that `sam build` filled, and its template."""

    folder: Path
    template: dict[str, Any]
    architecture: str

    def layer(self) -> Path:
        """The contents of /opt/python, from the layer for this machine's architecture."""
        (found,) = [
            self.folder / layer["ContentUri"] / "python"
            for layer in self.of_type("LayerVersion").values()
            if layer["CompatibleArchitectures"] == [self.architecture]
        ]
        return found

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        return {
            name: resource["Properties"]
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == f"AWS::Serverless::{kind}"
        }

    def functions(self) -> dict[str, dict[str, Any]]:
        """Properties, with the template's globals, of each function by its logical id."""
        defaults = self.template["Globals"]["Function"]
        return {name: _merged(defaults, properties) for name, properties in self.of_type("Function").items()}


def _merged(defaults: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """The properties with their defaults. Mappings are merged, as SAM merges its globals."""
    both = {
        name: _merged(value, properties[name])
        for name, value in defaults.items()
        if isinstance(value, dict) and isinstance(properties.get(name), dict)
    }
    return defaults | properties | both


@pytest.fixture(scope="session")
def runtime() -> str:
    """The runtime of the functions, such as `python3.13`."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    return str(template["Globals"]["Function"]["Runtime"])


@pytest.fixture(scope="session")
def python(runtime: str) -> str:
    """The path of a Python of that version, from PYTHON_RUNTIME, PATH or pyenv."""
    candidates = [os.environ.get("PYTHON_RUNTIME"), shutil.which(runtime)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += [str(found) for found in sorted(pyenv.glob(f"versions/*/bin/{runtime}"))]
    for candidate in candidates:
        if candidate and _is_python_of(candidate, runtime):
            return candidate
    pytest.skip(
        f"{runtime} is not installed, so the built functions cannot be started. Set PYTHON_RUNTIME to its path."
    )


def _is_python_of(candidate: str, runtime: str) -> bool:
    code = "import sys; print('python%d.%d' % sys.version_info[:2])"
    ran = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
    return ran.returncode == 0 and ran.stdout.strip() == runtime


@pytest.fixture(scope="session")
def built(python: str, runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    if not SAM.exists():
        pytest.skip("the SAM CLI is not installed: make setup-ci")
    folder = tmp_path_factory.mktemp("sam")
    architecture = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    # sam looks for the runtime's Python on the PATH, by this name.
    (folder / "bin").mkdir()
    (folder / "bin" / runtime).symlink_to(python)
    ran = subprocess.run(
        [
            *(str(SAM), "build", "--template", str(ROOT / "template.yaml")),
            *("--build-dir", str(folder / "build"), "--cache-dir", str(folder / "cache")),
            *("--parameter-overrides", f"Architecture={architecture}"),
        ],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    template = yaml_parse((folder / "build" / "template.yaml").read_text())
    return Built(folder / "build", template, architecture)


@pytest.fixture(scope="session")
def runtime_packages(python: str, runtime: str) -> Path:
    """A folder with the packages of Lambda's runtime: boto3 and the runtime client."""
    folder = ENVIRONMENT / f"{runtime}-runtime"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        ran = subprocess.run(
            [
                *(python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
                *("--target", str(folder), "--constraint", str(ROOT / "requirements-ci.lock")),
                *("awslambdaric", "boto3"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The functions' environment on an embedded AWS with the template's tables and queues, an account and its keys."""
    embedded = EmbeddedAws(tmp_path_factory.mktemp("aws"))
    embedded.start()
    try:
        session = boto3.session.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        )
        dynamodb = session.client("dynamodb", endpoint_url=embedded.endpoint_url)
        sqs = session.client("sqs", endpoint_url=embedded.endpoint_url)
        tables, queues = resources.create_tables(dynamodb), resources.create_queues(sqs)
        session.client("events", endpoint_url=embedded.endpoint_url).create_event_bus(Name="tillbook")
        variables = resources.environment(tables, queues) | {"EVENT_BUS": "tillbook"}
        records = tables["RecordsTable"]
        Accounts(dynamodb, records).create(Account(bodies.ACCOUNT))
        Keys(dynamodb, records).create(bodies.ACCOUNT, "ingest", secret=bodies.INGEST_KEY)
        Keys(dynamodb, records).create(bodies.ACCOUNT, "admin", secret=bodies.ADMIN_KEY)
        vault = Secrets(session.client("ssm", endpoint_url=embedded.endpoint_url), variables["POWERTOOLS_SERVICE_NAME"])
        connections = Connections(dynamodb, records, vault)
        connections.create(bodies.ACCOUNT, "shopify", "shopify", entered=bodies.SHOPIFY_SIGNING_KEY)
        yield {**CREDENTIALS, **variables, "AWS_ENDPOINT_URL": embedded.endpoint_url}
    finally:
        embedded.stop()


Start = Callable[[str], RunningFunction]


@pytest.fixture(scope="session")
def start(
    built: Built, python: str, runtime_packages: Path, aws: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """A function that starts a built function by its logical id, unless it runs already, and returns it."""
    logs = tmp_path_factory.mktemp("logs")
    running: dict[str, RunningFunction] = {}

    def started(name: str) -> RunningFunction:
        if name not in running:
            properties = built.functions()[name]
            environment = _environment(built, name, properties, runtime_packages) | dict(aws)
            function = RunningFunction(
                name,
                # -S leaves out site-packages, -s those of the user.
                [python, "-s", "-S", "-m", "awslambdaric", properties["Handler"]],
                environment,
                logs / f"{name}.log",
                properties["Timeout"],
            )
            running[name] = stack.enter_context(function)
        return running[name]

    with ExitStack() as stack:
        yield started


def _environment(built: Built, name: str, properties: Mapping[str, Any], packages: Path) -> dict[str, str]:
    """The variables that Lambda sets: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
    code = built.folder / properties["CodeUri"]
    logging = properties["LoggingConfig"]
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": ":".join(str(folder) for folder in (code, built.layer(), packages)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LAMBDA_TASK_ROOT": str(code),
        "_HANDLER": properties["Handler"],
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{properties['Runtime']}",
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(properties["MemorySize"]),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": logging["LogFormat"],
        "AWS_LAMBDA_LOG_LEVEL": logging["ApplicationLogLevel"],
    }
