"""Each built function, started as Lambda starts it, answers its events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import sizes
from bench.limits import LAYER_BYTES
from local import template as templates
from local.stack import ROOT
from tests.built.conftest import Built, Start
from tests.built.runtime_api import FunctionFailed, RunningFunction
from tests.examples import ANSWERS, event, outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FUNCTIONS = {
    resource["Properties"]["CodeUri"].removeprefix("functions/"): name
    for name, resource in templates.load(ROOT / "template.yaml")["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}


@pytest.fixture(scope="session")
def answers(start: Start) -> dict[str, dict[str, Any]]:
    """The functions' answers to the example events, by the event's name."""
    return {name: start(FUNCTIONS[name.partition("/")[0]]).invoke(event(name)) for name in ANSWERS}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_event_gets_its_answer(answers: dict[str, dict[str, Any]], name: str) -> None:
    assert outcome(answers[name]) == ANSWERS[name], answers[name]


def test_a_function_has_only_the_files_of_its_folder(built: Built) -> None:
    """Most have only app.py; the packages are in the layer."""
    sources = templates.load(ROOT / "template.yaml")["Resources"]
    for name, properties in built.functions().items():
        assert _files(built.folder / properties["CodeUri"]) == _files(ROOT / sources[name]["Properties"]["CodeUri"])


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.*") if "__pycache__" not in path.parts}


def test_the_layer_is_small_and_has_no_boto3(built: Built) -> None:
    """Lambda's runtime has its own boto3, and 20 MB more would be unpacked at each cold start."""
    names = {path.name for path in built.layer().iterdir()}
    assert "tillbook" in names
    assert not names & {"boto3", "botocore"}
    assert sizes.zipped(built.layer().parent) <= LAYER_BYTES


def test_each_module_of_the_layer_is_compiled(built: Built) -> None:
    """Lambda cannot write bytecode, so it would compile a module without it at every cold start."""
    for path in built.layer().rglob("*.py"):
        compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc"
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        # These flags say that Python does not compare the bytecode with its source (PEP 552).
        assert flags == 0b01, f"{path} is compared with its source at each start"


def test_each_architecture_has_its_own_layer(built: Built) -> None:
    for layer in built.of_type("LayerVersion").values():
        (architecture,) = layer["CompatibleArchitectures"]
        machine = {"arm64": b"\xb7\0", "x86_64": b"\x3e\0"}[architecture]
        (core,) = (built.folder / layer["ContentUri"] / "python" / "pydantic_core").glob("*.so")
        assert core.read_bytes()[18:20] == machine, "e_machine of the ELF header"


def test_a_function_without_its_layer_fails(start: Start) -> None:
    """If it started, the functions of the other tests might use packages of this machine."""
    function = start(FUNCTIONS["fallback"])
    environment = dict(function.environment)
    task, *_layers, packages = environment["PYTHONPATH"].split(":")
    environment["PYTHONPATH"] = f"{task}:{packages}"
    bare = RunningFunction("Bare", function.command, environment, function.log.with_name("Bare.log"), 10)
    with bare, pytest.raises(FunctionFailed, match="No module named 'tillbook'"):
        bare.invoke(event("fallback/unknown"))


def test_logs_are_json_without_e_mail_addresses(start: Start, answers: dict[str, dict[str, Any]]) -> None:
    lines = []
    for name in FUNCTIONS.values():
        lines += start(name).log.read_text().splitlines()
    assert len(lines) >= len(answers)
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert not [line for line in lines if "@" in line]
