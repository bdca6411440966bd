"""Each event of events/ is up to date, and gets its expected answer from its function."""

from __future__ import annotations

import base64
import gzip
import importlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from events import bodies, make
from local import template as templates
from local.stack import ROOT
from tests.examples import ANSWERS, EVENTS, event, outcome
from tests.handlers import template as resources
from tillbook.aws.secrets import Secrets
from tillbook.records import messages
from tillbook.records.accounts import Account, Accounts
from tillbook.records.connections import Connections
from tillbook.records.keys import Keys

TEMPLATE = templates.load(ROOT / "template.yaml")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")

# The body of the published answer to a submission, without `id`.
PUBLISHED_ORDER = {
    "order_id": "9ca6e9ab-9de6-4491-82c3-8730e2aedfbb",
    "currency": "USD",
    "total": "126.0",
    "customer": {
        "id": "27876",
        "email_sha256": "b043f7b1894189c3591ed2514fcf901ec0de715e8c0c981b893e7d3778d318d4",
    },
    "metadata": {"firstTimeOrder": "true"},
    "order_items": [
        {
            "category": ["Grocery", "Fruit"],
            "description": "Handcrafted Wooden Pants",
            "identifier": "88fcae48-b6f3-41d5-826d-1f7ec2a108ba",
            "metadata": {"productMaterial": "Cotton"},
            "price": "0.0",
            "quantity": 1,
            "total": "504.0",
        },
        {
            "category": ["Health", "Sports", "Toys"],
            "description": "Tasty Plastic Bike",
            "identifier": "94820c46-644e-408f-8f61-4e057a148c5e",
            "metadata": {},
            "price": "483.0",
            "quantity": 1,
            "total": "297.0",
        },
    ],
    "shipping_address": {
        "company": None,
        "address_1": "03055 Williamson Gardens",
        "address_2": "Suite 249",
        "city": "South Maritzaville",
        "state_name": "TN",
        "postal_code": "10843",
    },
    "billing_address": {
        "company": None,
        "address_1": "59184 Henri Canyon",
        "address_2": None,
        "city": None,
        "state_name": "",
        "postal_code": "36670-7309",
    },
    "order_date": "2019-09-05T14:06:42Z",
}


class Context:
    function_name = "function"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def _clear_caches() -> None:
    """Clears the clients and settings that a warm function keeps."""
    for name, module in list(sys.modules.items()):
        if name == "tillbook" or name.startswith("tillbook."):
            for value in list(vars(module).values()):
                if callable(getattr(value, "cache_clear", None)):
                    value.cache_clear()


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, dict[str, Any]]]:
    """The answers to all events, which are sent one after the other."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        resources.allow_transactions_of_100(patch)
        dynamodb = boto3.client("dynamodb")
        tables, queues = resources.create_tables(dynamodb), resources.create_queues(boto3.client("sqs"))
        for name, value in resources.environment(tables, queues).items():
            patch.setenv(name, value)
        patch.setenv("EVENT_BUS", "tillbook")
        boto3.client("events").create_event_bus(Name="tillbook")
        _clear_caches()
        records = tables["RecordsTable"]
        Accounts(dynamodb, records).create(Account(bodies.ACCOUNT))
        Keys(dynamodb, records).create(bodies.ACCOUNT, "ingest", secret=bodies.INGEST_KEY)
        Keys(dynamodb, records).create(bodies.ACCOUNT, "admin", secret=bodies.ADMIN_KEY)
        secrets = Secrets(boto3.client("ssm"), "tillbook")
        Connections(dynamodb, records, secrets).create(
            bodies.ACCOUNT, "shopify", "shopify", entered=bodies.SHOPIFY_SIGNING_KEY
        )
        received = {}
        for name in ANSWERS:
            handler = importlib.import_module(f"functions.{name.partition('/')[0]}.app").handler
            received[name] = handler(event(name), Context())
        yield received
    _clear_caches()


@pytest.mark.parametrize("name", ANSWERS)
def test_each_event_gets_its_expected_answer(answers: dict[str, dict[str, Any]], name: str) -> None:
    assert outcome(answers[name]) == ANSWERS[name], answers[name]


def test_every_event_has_an_expected_answer() -> None:
    files = {str(path.relative_to(EVENTS).with_suffix("")) for path in EVENTS.glob("*/*.json")}
    assert files == set(ANSWERS)


def test_every_function_and_every_route_has_an_event() -> None:
    """Each event is in the folder of the function that serves its route."""
    code = {
        name: resource["Properties"]["CodeUri"].removeprefix("functions/")
        for name, resource in TEMPLATE["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    assert {name.partition("/")[0] for name in ANSWERS} == set(code.values())
    folders = {route.key: code[route.function] for route in templates.routes(TEMPLATE)}
    route_keys = {name: event(name)["routeKey"] for name in ANSWERS if "routeKey" in event(name)}
    assert {name: folders[key] for name, key in route_keys.items()} == {
        name: name.partition("/")[0] for name in route_keys
    }
    assert set(route_keys.values()) == set(folders)


@pytest.mark.parametrize("path", make.events())
def test_each_event_is_up_to_date(path: str) -> None:
    """Regenerate them with: PYTHONPATH=.:layers/shared .venv/bin/python -m events.make"""
    assert _inflated(event(path.removesuffix(".json"))) == _inflated(make.events()[path])


def _inflated(made: dict[str, Any]) -> dict[str, Any]:
    """The event with uncompressed bodies, because another zlib may compress them differently."""
    if made.get("isBase64Encoded"):
        data = gzip.decompress(base64.b64decode(made["body"]))
        headers = made["headers"] | {"content-length": None}
        return made | {"body": data, "headers": headers}
    if "Records" in made and "body" in made["Records"][0]:
        return {"Records": [record | {"body": messages.decode(record["body"])} for record in made["Records"]]}
    return made


def test_a_submission_is_answered_as_published(answers: dict[str, dict[str, Any]]) -> None:
    body = json.loads(answers["submit_order/order"]["body"])
    assert body.pop("id")
    assert body == PUBLISHED_ORDER
    assert list(body) == list(PUBLISHED_ORDER)


def test_the_published_order_activity_is_worth_its_total(answers: dict[str, dict[str, Any]]) -> None:
    person = json.loads(answers["read/person"]["body"])
    assert person["lifetime_value"] == {"USD": "22.99"}
    assert person["orders_count"] == 1
    names = [entry["name"] for entry in json.loads(answers["read/activity"]["body"])["activity"]]
    assert names == ["Placed an order"]
    assert json.loads(answers["read/request"]["body"])["status"] == "applied"


def test_the_customer_of_the_published_order_is_matched_by_address_and_id(answers: dict[str, dict[str, Any]]) -> None:
    results = json.loads(answers["read/match"]["body"])["results"]
    # The order's address in another spelling, its customer id, and somebody else (MATCH in events/bodies.py).
    assert [result["customer"] for result in results] == [True, True, False]


def test_all_errors_are_reported_at_once(answers: dict[str, dict[str, Any]]) -> None:
    found = {
        (entry["attribute"], entry["code"])
        for entry in json.loads(answers["record_activity/invalid"]["body"])["errors"]
    }
    assert found == {
        ("email", "presence_error"),
        ("provider", "format_error"),
        ("action", "format_error"),
        ("occurred_at", "time_error"),
        ("grand_total", "range_error"),
        ("items[0].name", "presence_error"),
        ("items[0].price", "format_error"),
    }


def test_every_email_address_is_an_example() -> None:
    addresses = {
        address.lower()
        for path in (*EVENTS.glob("*/*.json"), *EVENTS.glob("*.py"))
        for address in EMAIL.findall(path.read_text())
    }
    # user@gmail.com is in the example of the published API.
    assert all(address == "user@gmail.com" or address.endswith("@example.com") for address in addresses)


def test_messages_contain_no_email_address() -> None:
    texts = [r["body"] for n in ANSWERS if n.startswith("process_orders/") for r in event(n)["Records"]]
    assert any(text.startswith("z") for text in texts)  # a compressed message, which `decode` inflates
    assert not any(EMAIL.search(str(messages.decode(text))) for text in texts)
