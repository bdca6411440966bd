"""Reads template.yaml, and creates its tables and queues on the mocked AWS."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


class _Loader(yaml.SafeLoader):
    """Reads `!Ref X` as {"Ref": "X"} and any other intrinsic function as {"Fn::<name>": …}."""


def _intrinsic(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise TypeError(f"unknown kind of YAML node: {node}")
    return {name if name == "Ref" else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _intrinsic)


@cache
def load() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # noqa: S506 - a SafeLoader
    return found


def resources(kind: str) -> dict[str, Any]:
    """The properties of all resources of a type, by logical id."""
    return {n: r.get("Properties", {}) for n, r in load()["Resources"].items() if r["Type"] == kind}


def unconditional(kind: str) -> dict[str, Any]:
    """The properties of the resources of a type, by logical id, without resources that depend on a condition."""
    return {name: found for name, found in resources(kind).items() if "Condition" not in load()["Resources"][name]}


def functions() -> dict[str, Any]:
    return resources("AWS::Serverless::Function")


def routes() -> dict[str, str]:
    """The logical id of each route's function, by route key such as `GET /v1/order/{order_id+}`; without `$default`."""
    return {
        f"{event['Properties']['Method'].upper()} {event['Properties']['Path']}": name
        for name, function in functions().items()
        for event in function.get("Events", {}).values()
        if event["Type"] == "HttpApi" and event["Properties"]["Path"] != "$default"
    }


def named_routes() -> dict[str, str]:
    """The routes as docs/api.md names them: without the `+` of a variable that may contain slashes."""
    return {route.replace("+}", "}"): function for route, function in routes().items()}


def module(function: str) -> str:
    """The Python module of a function, such as `functions.submit_order.app`."""
    return str(functions()[function]["CodeUri"]).replace("/", ".") + ".app"


def environment(table_names: dict[str, str], queue_urls: dict[str, str]) -> dict[str, str]:
    """The environment variables of the functions, with references to resources and parameters replaced."""
    variables = load()["Globals"]["Function"]["Environment"]["Variables"]
    defaults = {name: str(parameter.get("Default")) for name, parameter in load()["Parameters"].items()}
    known = defaults | table_names | queue_urls | {"AWS::StackName": "tillbook"}
    return {name: known[value["Ref"]] if isinstance(value, dict) else str(value) for name, value in variables.items()}


def allow_transactions_of_100(patch: Any) -> None:
    """Sets DynamoDB's limit of items in a transaction. Moto has the limit of 25 that was valid until 2022."""
    from moto.dynamodb import responses

    patch.setattr(responses, "TRANSACTION_MAX_ITEMS", 100)


def create_tables(client: Any) -> dict[str, str]:
    """Creates the tables. Returns their names by logical id."""
    names = {}
    for logical_id, properties in resources("AWS::DynamoDB::Table").items():
        wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
        client.create_table(TableName=logical_id, **{k: properties[k] for k in wanted if k in properties})
        names[logical_id] = logical_id
    return names


def create_queues(client: Any) -> dict[str, str]:
    """Creates the queues without redrive, since tests count deliveries themselves. Returns their URLs by logical id."""
    urls = {}
    for logical_id, properties in resources("AWS::SQS::Queue").items():
        wanted = ("VisibilityTimeout", "MessageRetentionPeriod", "MaximumMessageSize")
        attributes = {k: str(properties[k]) for k in wanted if k in properties}
        urls[logical_id] = client.create_queue(QueueName=logical_id, Attributes=attributes)["QueueUrl"]
    return urls
