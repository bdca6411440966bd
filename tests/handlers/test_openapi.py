"""The document of all routes: what is served is what the shapes and the template say now."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from openapi import make, words
from tests.handlers import template
from tests.handlers.shop import ACCOUNT, Shop

DOCUMENT: dict[str, Any] = json.loads(make.TARGET.read_text())
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


def test_is_as_it_is_made() -> None:
    """Else: PYTHONPATH=.:layers/shared .venv/bin/python -m openapi.make"""
    assert make.TARGET.read_text() == make.text()


def test_has_every_route_of_the_template() -> None:
    # A page for people is no part of an API.
    assert set(OPERATIONS) == set(template.named_routes()) - make.NOT_TOLD


def test_is_served_without_a_key(shop: Shop) -> None:
    answer = shop.request("GET", "/openapi.json", key=None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == make.TARGET.read_text()
    assert shop.request("POST", "/openapi.json", key=None).headers["allow"] == "GET"


def test_says_something_of_every_field_and_of_no_other() -> None:
    for name, shape, described in make.SHAPES:
        assert described.keys() == shape.fields.keys(), name
    listed = [described for _, _, described in make.SHAPES]
    assert all(value in listed for name, value in vars(words).items() if name.isupper())


def test_names_are_unique_and_every_reference_leads_somewhere() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    text = json.dumps(DOCUMENT)
    schemas = DOCUMENT["components"]["schemas"]
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert referred <= set(schemas)
    assert set(schemas) - referred == set()
    linked = set(re.findall(r'"operationId": "(\w+)", "parameters"', text))
    assert linked <= set(names)


@pytest.mark.parametrize("key", OPERATIONS)
def test_says_who_may_use_it_and_how_it_refuses(key: str) -> None:
    operation = OPERATIONS[key]
    if key in make.PUBLIC:
        assert operation["security"] == []
        return
    v1 = " /v1/" in key
    assert [list(scheme) for scheme in operation["security"]] == ([["bearer"]] if v1 else [["basic"], ["bearer"]])
    assert {"403", "429", "503"} <= set(operation["responses"])
    assert ("401" in operation["responses"]) is not v1


def test_the_published_examples_are_valid_by_it(shop: Shop) -> None:
    """As far as their fields go; schemathesis does the rest: python -m tests.openapi."""
    from events.make import ORDER, ORDER_ACTIVITY

    schemas = DOCUMENT["components"]["schemas"]
    activity = json.loads(ORDER_ACTIVITY)
    assert set(ORDER) <= set(schemas["Order"]["properties"])
    assert set(activity) <= set(schemas["OrderActivity"]["properties"])
    assert set(schemas["Order"]["required"]) == {"order_id", "order_date"}
    assert set(schemas["OrderActivity"]["required"]) == {"provider", "action", "order_id"}
    assert set(schemas["OrderItem"]["required"]) == {"identifier", "total"}
    assert set(schemas["ActivityItem"]["required"]) == {"product_id", "name", "price"}
    assert shop.submit(ORDER).body.keys() == set(schemas["OrderAnswer"]["properties"])
    shop.send(activity)
    shop.drain()
    assert shop.person("user@gmail.com").keys() == set(schemas["Person"]["properties"])
    order = shop.get(f"/v3/{ACCOUNT}/orders/my_custom_platform/456445746").body
    assert set(schemas["ShopperOrder"]["properties"]) <= set(order)
