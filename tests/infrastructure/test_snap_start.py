"""SnapStart: off by default, available for four functions, whose routes always call the newest version."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from local.stack import ROOT
from tests.infrastructure.deployed import Deployed, deployed, source
from tests.infrastructure.rules import called, with_snap_start

ON = "PublishedVersions"
# The functions that receive orders and webhooks, and validate their bodies.
VALIDATING = {"SubmitOrder", "EditOrder", "RecordActivity", "ReceiveWebhook"}

Template = dict[str, Any]


def test_snap_start_is_off_by_default() -> None:
    assert with_snap_start(deployed(source())) == set()


def test_the_parameter_switches_snap_start_on_for_functions_that_validate_orders_and_webhooks() -> None:
    stack = deployed(source(), SnapStart=ON)
    assert with_snap_start(stack) == VALIDATING
    # Lambda's conditions: Python from 3.12, files of 512 MB at most, no file system, no provisioned concurrency.
    for name in VALIDATING:
        function = stack.functions()[name]
        assert function["Runtime"] in ("python3.12", "python3.13", "python3.14")
        assert not {"EphemeralStorage", "FileSystemConfigs"} & set(function)
    assert not [name for name, alias in stack.of("Lambda::Alias") if "ProvisionedConcurrencyConfig" in alias]


def integrations(stack: Deployed) -> dict[str, str]:
    """The function that each route calls: `POST /v1/order` -> `SubmitOrderAliaslive`."""
    found = {}
    for _, api in stack.of("ApiGatewayV2::Api"):
        for path, methods in api["Body"]["paths"].items():
            for method, operation in methods.items():
                uri = operation["x-amazon-apigateway-integration"]["uri"]
                target = uri.split(":lambda:path/2015-03-31/functions/")[1].removesuffix("/invocations")
                found[f"{method.upper()} {path}"] = target[2:-1].removesuffix(".Arn")
    return found


@pytest.mark.parametrize("value", ["None", ON])
def test_routes_call_the_alias_of_the_newest_version_and_have_the_permission(value: str) -> None:
    stack = deployed(source(), SnapStart=value)
    aliases, versions = dict(stack.of("Lambda::Alias")), dict(stack.of("Lambda::Version"))
    assert {called(stack, f"${{{name}}}") for name in aliases} == VALIDATING
    for name, alias in aliases.items():
        version = alias["FunctionVersion"][2:-1].removesuffix(".Version")
        assert versions[version]["FunctionName"] == alias["FunctionName"], name
    routes = integrations(stack)
    for route, target in routes.items():
        assert (target in aliases) is (called(stack, f"${{{target}}}") in VALIDATING), route
    assert {route for route, target in routes.items() if target in aliases} == {
        "POST /connect/{account_id}/{connection}",
        "POST /v1/order",
        "POST /v1/order/{order_id+}",
        "POST /v3/{account_id}/shopper_activity/order",
        "POST /v3/{account_id}/shopper_activity/order/batch",
    }
    # A permission for a function does not cover its alias, so the permissions must name the targets of the routes.
    allowed = [p["FunctionName"][2:-1].removesuffix(".Arn") for _, p in stack.of("Lambda::Permission")]
    assert sorted(allowed) == sorted(routes.values())


def published(stack: Deployed) -> dict[str, tuple[Any, ...]]:
    """Logical id and properties of the version of each function. If one changes, CloudFormation publishes a version."""
    return {v["FunctionName"][2:-1]: (name, sorted(v.items())) for name, v in stack.of("Lambda::Version")}


def set_property(resource: str, name: str, value: Any) -> Callable[[Template], None]:
    def change(template: Template) -> None:
        template["Resources"][resource]["Properties"][name] = value

    return change


def set_for_all_functions(name: str, value: Any) -> Callable[[Template], None]:
    def change(template: Template) -> None:
        template["Globals"]["Function"][name] = value

    return change


# A change, and the functions that must be published for it.
CHANGES: dict[str, tuple[Callable[[Template], None], set[str]]] = {
    "code": (set_property("SubmitOrder", "CodeUri", "functions/other"), {"SubmitOrder"}),
    "the layer's content": (set_property("LayerArm64", "ContentUri", "layers/other"), VALIDATING),
    "a layer that is not deployed": (set_property("LayerX8664", "ContentUri", "layers/other"), set()),
    "another function": (set_property("Read", "CodeUri", "functions/other"), set()),
    "a time-out": (set_for_all_functions("Timeout", 9), VALIDATING),
    "the runtime": (set_for_all_functions("Runtime", "python3.14"), VALIDATING),
    "a log level": (
        lambda t: t["Globals"]["Function"]["LoggingConfig"].update(SystemLogLevel="INFO"),
        VALIDATING,
    ),
    "a variable": (
        lambda t: t["Globals"]["Function"]["Environment"]["Variables"].update(MAX_TRIES="6"),
        VALIDATING,
    ),
    "rights": (lambda t: t["Resources"]["SubmitOrder"]["Properties"]["Policies"][0]["Statement"].pop(), set()),
}


def newly_published(before: Deployed, after: Deployed) -> set[str]:
    """The functions that get a new version. Fails unless exactly the changed functions get one.

    Without a new version, routes would call the old code of a changed function. For an unchanged function Lambda
    creates no version, so the deployment would fail.
    """
    versions = published(before), published(after)
    changed = {name for name in VALIDATING if before.functions()[name] != after.functions()[name]}
    new = {name for name in VALIDATING if versions[0][name] != versions[1][name]}
    assert new == changed
    return new


@pytest.mark.parametrize("what", CHANGES)
def test_a_function_is_published_when_it_changes_and_only_then(what: str) -> None:
    change, expected = CHANGES[what]
    template = source()
    change(template)
    assert newly_published(deployed(source()), deployed(template)) == expected


def other_value(parameter: dict[str, Any]) -> str:
    """A value that the parameter allows, other than its default."""
    if parameter["Type"] == "Number" and "AllowedValues" not in parameter:
        return str(parameter["Default"] + 1)
    default = parameter.get("Default", "prod")
    return next(str(value) for value in parameter.get("AllowedValues", ["other@example.org"]) if value != default)


@pytest.mark.parametrize("name", source()["Parameters"])
def test_a_parameter_publishes_only_functions_that_it_changes(name: str) -> None:
    value = other_value(source()["Parameters"][name])
    before, after = deployed(source()), deployed(source(), **{"stage" if name == "Stage" else name: value})
    assert newly_published(before, after) == (
        VALIDATING if name in ("Architecture", "SettleSeconds", "SnapStart") else set()
    )


def test_the_description_of_a_version_fits() -> None:
    """The limit is 256 characters, and an ARN of a layer may be longer in other regions."""
    longest = "arn:aws-us-gov:lambda:ap-southeast-1:123456789012:layer:LayerX8664abcdef0123:12345"
    stack = deployed(source(), SnapStart=ON, SettleSeconds="900")
    for _, version in stack.of("Lambda::Version"):
        (layer,) = stack.functions()[version["FunctionName"][2:-1]]["Layers"]
        assert layer in version["Description"]
        assert len(version["Description"].replace(layer, longest)) <= 256


# Imports a function as Lambda does, and prints what a snapshot must not contain: modules that read random bytes, and
# network calls. boto3 imports multiprocessing, which reads them for a key that no function uses.
INIT = """
import os, sys
found, urandom = [], os.urandom
os.urandom = lambda size: found.append(sys._getframe(1).f_globals["__name__"]) or urandom(size)
sys.addaudithook(lambda event, _: event in ("socket.connect", "socket.getaddrinfo") and found.append(event))
sys.path[:0] = [sys.argv[1], "layers/shared"]
import app
print(*(set(found) - {"multiprocessing.process"}))
"""


@pytest.mark.parametrize("name", sorted(VALIDATING))
def test_a_snapshot_holds_no_random_bytes_and_no_connection(name: str) -> None:
    """All environments restored from a snapshot would share them. It is taken after the import of `app`."""
    resource = source()["Resources"][name]["Properties"]
    ran = subprocess.run(
        [sys.executable, "-c", INIT, resource["CodeUri"]],
        cwd=ROOT,
        env={"AWS_LAMBDA_FUNCTION_NAME": name, "AWS_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == []
