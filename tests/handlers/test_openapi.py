"""openapi.json: it matches the template, the models and the examples, and is served without a key."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import Field

from openapi import make
from tests.handlers import template
from tests.handlers.shop import ACCOUNT, Shop
from tillbook.contract import fields, orders_api
from tillbook.rules.errors import Invalid
from tillbook.web.routes import PAGES, ROUTES

DOCUMENT: dict[str, Any] = json.loads(make.TARGET.read_text())
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


def test_the_document_is_up_to_date() -> None:
    """Regenerate it with: PYTHONPATH=.:layers/shared .venv/bin/python -m openapi.make"""
    assert make.TARGET.read_text() == make.text()


def test_the_document_has_every_route_of_the_template() -> None:
    # The files of the web page are not part of the API.
    assert set(OPERATIONS) == {route.replace("+}", "}") for route in template.routes()} - set(PAGES)


def test_the_document_is_served_without_a_key(shop: Shop) -> None:
    answer = shop.request("GET", "/openapi.json", key=None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == make.TARGET.read_text()
    assert shop.request("POST", "/openapi.json", key=None).headers["allow"] == "GET"


def test_fields_of_requests_and_all_parameters_have_a_description() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name in (
        "Order",
        "OrderItem",
        "OrderAddress",
        "OrderActivity",
        "ActivityItem",
        "ActivityAddress",
        "MatchPerson",
    ):
        for field, schema in schemas[name]["properties"].items():
            assert schema["description"].endswith("."), (name, field)
    for operation in OPERATIONS.values():
        assert all(parameter["description"] for parameter in operation.get("parameters", []))


def test_a_field_added_to_the_order_model_is_validated_and_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing the model suffices."""

    class Order(orders_api.Order):
        gift_note: fields.Line = Field(None, description="What the card says.")

    monkeypatch.setattr(make, "MODELS", (Order, *make.MODELS[1:]))
    assert make.document()["components"]["schemas"]["Order"]["properties"]["gift_note"] == {
        "type": ["string", "integer", "null", "boolean"], "not": {"const": True}, "maxLength": 1000,
        "description": "What the card says.",
    }  # fmt: skip
    sent = {"order_id": "1", "order_date": "2026-01-20", "customer_email": "ann@example.com", "gift_note": 5}
    monkeypatch.setattr(orders_api, "Order", Order)
    assert orders_api.document(sent)[0].body["gift_note"] == "5"
    with pytest.raises(Invalid, match="gift_note must be a string"):
        orders_api.document(sent | {"gift_note": {}})


def test_operation_ids_are_unique_and_references_name_exactly_the_schemas() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    text = json.dumps(DOCUMENT)
    schemas = DOCUMENT["components"]["schemas"]
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert referred == set(schemas)
    linked = set(re.findall(r'"operationId": "(\w+)", "parameters"', text))
    assert linked <= set(names)


@pytest.mark.parametrize("key", OPERATIONS)
def test_an_operation_lists_its_security_and_its_error_responses(key: str) -> None:
    operation = OPERATIONS[key]
    if not ROUTES[key].role:
        assert operation["security"] == []
        return
    v1 = " /v1/" in key  # v1 accepts only a bearer token, and answers 403 where v3 answers 401
    assert [list(scheme) for scheme in operation["security"]] == ([["bearer"]] if v1 else [["basic"], ["bearer"]])
    assert {"403", "429", "503"} <= set(operation["responses"])
    assert ("401" in operation["responses"]) is not v1


def test_the_published_examples_match_the_schemas(shop: Shop) -> None:
    """Compares names of fields. `python -m tests.openapi` checks everything else with schemathesis."""
    from events.bodies import ORDER, ORDER_ACTIVITY

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
