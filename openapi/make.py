"""Writes functions/describe/openapi.json: `PYTHONPATH=.:layers/shared .venv/bin/python -m openapi.make`.

The routes are those of tillbook/web/routes.py. The pydantic models that check requests and query parameters also
describe them. Functions serve the file unchanged, and never run this module.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from openapi.answers import SCHEMAS, WEBHOOKS, Schema, ref
from tillbook.contract import fields, management, match, orders_api, queries, shopper_activity
from tillbook.rules.identity import NOBODY
from tillbook.web.routes import AUDIENCES, CONNECT, EVENTS, OPERATE, READ, REPORTS, ROUTES, SETTINGS, V1, V3, Route

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "functions" / "describe" / "openapi.json"
_REF = "#/components/schemas/"

_PARAMETERS: dict[str, tuple[str, Schema]] = {
    "account_id": ("The account's id.", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}),
    "connection": ("The connection's name.", {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"}),
    "order_id": ("The shop's id of the order, percent-encoded.", {"type": "string", "minLength": 1}),
    "request_id": ("The id of a request, from its 202 answer.", {"type": "string", "minLength": 1}),
    "provider": ("The shop system of the order.", {"type": "string", "minLength": 1}),
    "id_or_email": (
        "Tillbook's own id, person_id, e-mail address, its SHA-256, or v1 customer_id, tried in that order.",
        {"type": "string", "minLength": 1},
    ),
    "audience_id": ("The audience's id.", {"type": "string", "minLength": 1, "examples": ["customers-orders-api"]}),
    "job_id": ("The job's id.", {"type": "string", "minLength": 1}),
    "key_id": ("The key's id.", {"type": "string", "minLength": 1}),
    "deadletter_id": ("The dead letter's id, or `all`.", {"type": "string", "minLength": 1}),
}
_HEADERS: dict[str, tuple[str, Schema]] = {
    "Idempotency-Key": (
        "Makes retries safe: the same content under the same key counts as one event of its order, for ever.",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": fields.NOT_BLANK},
    ),
}
# Name of a link -> (the operation that it leads to, where in the request or answer that operation's parameters are).
_LINKS: dict[str, tuple[str, dict[str, str]]] = {
    "editOrder": ("editOrder", {"order_id": "$response.body#/order_id"}),
    "deleteOrder": ("deleteOrder", {"order_id": "$response.body#/order_id"}),
    "getOrder": ("getOrder", {"order_id": "$response.body#/order_id"}),
    "getCustomer": ("getPerson", {"id_or_email": "$response.body#/customer/email_sha256"}),
    "getRequest": (
        "getRequest",
        {"account_id": "$request.path.account_id", "request_id": "$response.body#/request_id"},
    ),
    "getFirstRequest": (
        "getRequest",
        {"account_id": "$request.path.account_id", "request_id": "$response.body#/request_ids/0"},
    ),
    "getActivity": ("getActivity", {"account_id": "$request.path.account_id", "id_or_email": "$response.body#/id"}),
    "getPersonOrders": (
        "getPersonOrders",
        {"account_id": "$request.path.account_id", "id_or_email": "$response.body#/id"},
    ),
    "getSubscriber": (
        "getSubscriber",
        {"account_id": "$request.path.account_id", "id_or_email": "$response.body#/id"},
    ),
    "revokeKey": ("revokeKey", {"key_id": "$response.body#/id"}),
    "getConnection": ("getConnection", {"connection": "$response.body#/name"}),
    "removeConnection": ("removeConnection", {"connection": "$response.body#/name"}),
    "getJob": ("getJob", {"job_id": "$response.body#/job_id"}),
}
_REFUSALS = {
    400: "The body cannot be read, or a field or parameter is wrong. The answer names it.",
    401: "The key is missing, unknown or revoked; for a webhook: the signature is missing or wrong.",
    403: "The key has another role or belongs to another account (v1: or is missing, unknown or revoked).",
    404: "Nothing was found for this id.",
    409: "An order with this order_id exists and has other content.",
    413: "The body is too large. Limits: an order 256 KiB of JSON, a batch or a match 4 MiB, a webhook 5 MiB.",
    415: "Send application/json, plain or gzip.",
    422: "Fields are wrong. The answer names all of them.",
    429: "There are too many requests at once. The gateway sends this answer.",
    500: "A fault in Tillbook.",
    503: "The request could not be handled now. Send it again.",
}
_INFO = """Tillbook takes orders from shops and keeps each person's lifetime value, timeline and audiences correct.

It speaks the Orders API (`/v1/order`, Bearer token) and Order Activity (`/v3`, Basic auth with the key as the user
name, or Bearer). Keys of the role `ingest` may use the order routes, those of the role `admin` all routes of their
account.

Amounts are JSON numbers or numeric strings with at most 15 digits before the point. They are read exactly;
an amount with more than 4 decimals is rounded to 4 (half to even), with a note on the request.
Ids such as `0`, `null` or `guest`, addresses without a filled field, and `false` in place of a text count as absent.
The `notes` of the request and of the order name values that were rounded, ignored or not understood.
Bodies may be sent with `Content-Encoding: gzip`.

Every answer to a GET has an `ETag`. If a request sends it as `If-None-Match`, the answer is 304 without a body as long
as nothing changed. Requests with `Accept-Encoding: gzip` get larger answers compressed."""


def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for key, route in ROUTES.items():
        method, _, path = key.partition(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(path, route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillbook", "version": "1", "description": _INFO,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The host that serves this document."}],
        "tags": [{"name": name} for name in (V1, V3, CONNECT, READ, REPORTS, AUDIENCES, OPERATE, SETTINGS, EVENTS)],
        "paths": paths,
        "webhooks": {name: _webhook(name, *summary_and_schema) for name, summary_and_schema in WEBHOOKS.items()},
        "components": {
            "schemas": dict(sorted((_requests() | SCHEMAS | {"OpenApi": {"type": "object"}}).items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The API key."},
                "basic": {"type": "http", "scheme": "basic", "description": "The API key as the user name."},
            },
        },
    }  # fmt: skip


def _operation(path: str, route: Route) -> dict[str, Any]:
    v1, public = path.startswith("/v1/"), not route.role
    refuses = {*route.refuses, *(() if public else (403, 429, 500, 503)), *(() if v1 or public else (401,))}
    parameters = [_parameter(name, "path", *_PARAMETERS[name]) for name in re.findall(r"{(\w+)}", path)]
    parameters += _query(route.query) if route.query else []
    parameters += [_parameter(name, "header", *_HEADERS[name]) for name in route.headers]
    answers = {str(status): _success(status, name, route) for status, name in route.answers.items()}
    answers |= {str(status): _refusal(status, v1) for status in sorted(refuses)}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        **({"description": route.description} if route.description else {}),
        "security": [] if public else [{"bearer": []}] if v1 else [{"basic": []}, {"bearer": []}],
        **({"parameters": parameters} if parameters else {}),
        "responses": answers,
    }
    if route.body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(route.body)}}}
    return operation


def _webhook(name: str, summary: str, schema: str) -> dict[str, Any]:
    """The request that a target of the event bus receives, if its rule has `$.detail` as InputPath."""
    content = {"application/cloudevents+json": {"schema": ref(schema)}}
    return {
        "post": {
            "operationId": name.replace(".", "_"), "tags": [EVENTS], "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": {"2XX": {"description": "Accepted."}, "default": {"description": "It is sent again."}},
        }
    }  # fmt: skip


def _parameter(name: str, place: str, description: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "description": description, "schema": schema}


def _query(name: str) -> list[dict[str, Any]]:
    found = []
    for parameter, schema in getattr(queries, name).model_json_schema()["properties"].items():
        description = schema.pop("description")
        # A parameter may be absent, but never null.
        (plain,) = [one for one in schema.get("anyOf", [schema]) if one != {"type": "null"}]
        found.append(_parameter(parameter, "query", description, _plain(plain)))
    return found


def _success(status: int, name: str, route: Route) -> dict[str, Any]:
    schema = {"type": "array", "items": ref(name[:-2])} if name.endswith("[]") else ref(name)
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if "format" in (getattr(queries, route.query).model_fields if route.query else ()):
        content["text/csv"] = {"schema": {"type": "string"}}
    if route.query == "Orders":
        content["application/x-ndjson"] = {"schema": {"type": "string"}}
    links = {link: {"operationId": _LINKS[link][0], "parameters": _LINKS[link][1]} for link in route.links}
    description = {200: "Done.", 201: "Created.", 202: "Accepted; the work is queued."}[status]
    return {"description": description, "content": content, **({"links": links} if links else {})}


def _refusal(status: int, v1: bool) -> dict[str, Any]:
    own = ref("Unauthorized") if v1 and status == 403 else ref("Error") if v1 else ref("Errors")
    # The gateway also sends answers with these statuses.
    schema = {"anyOf": [own, ref("GatewayError")]} if status in (413, 500, 503) else own
    schema = ref("GatewayError") if status == 429 else schema
    return {"description": _REFUSALS[status], "content": {"application/json": {"schema": schema}}}


# ------------------------------------------------------------------- requests

MODELS = (
    orders_api.Order, shopper_activity.OrderActivity, shopper_activity.Batch, match.MatchQuery, queries.Purge,
    queries.Discard, management.AccountChange, management.NewKey, management.NewConnection,
    management.NewSecret,
)  # fmt: skip
# The forms of an empty field of an address.
_BLANK = {"anyOf": [
    {"type": "null"}, {"type": "string", "pattern": f"^[{fields.BLANK}]*$"}, {"type": "array", "maxItems": 0},
    {"type": "object", "maxProperties": 0},
]}  # fmt: skip
# The forms of an empty address, besides null.
_NOTHING = [*_BLANK["anyOf"][1:], {"type": "object", "additionalProperties": _BLANK}]


def _plain(schema: Schema) -> Schema:
    """Removes titles, defaults and `additionalProperties: true`, which describe the models and not the requests."""
    dropped = (
        ("title", "default") if schema.get("additionalProperties") is not True else ("title", "additionalProperties")
    )
    schema = {name: value for name, value in schema.items() if name not in dropped}
    if "properties" in schema:
        schema["properties"] = {name: _plain(field) for name, field in schema["properties"].items()}
    return schema


def _requests() -> dict[str, Schema]:
    _, made = models_json_schema([(model, "validation") for model in MODELS], ref_template=f"{_REF}{{model}}")
    schemas = {name: _plain(schema) for name, schema in made["$defs"].items()}
    for schema in schemas.values():
        for name, field in schema["properties"].items():
            if name.endswith("address") and "anyOf" in field:
                field["anyOf"] += _NOTHING
    schemas["Currency"] = schemas["Order"]["properties"]["currency"] | {"description": "ISO 4217 code."}
    for name in ("Order", "OrderActivity"):
        properties = schemas[name]["properties"]
        properties["currency"] = ref("Currency") | {"description": properties["currency"]["description"]}
    country = schemas["OrderAddress"]["properties"]["country"]
    schemas["Country"] = country | {"description": "ISO 3166 code of two or three letters."}
    schemas["OrderAddress"]["properties"]["country"] = ref("Country") | {"description": country["description"]}
    schemas["OrderChange"] = _change(schemas["Order"])
    schemas["Batch"]["properties"]["orders"]["items"] = ref("OrderActivity")
    _add_rules_across_fields(schemas)
    return schemas


def _given(name: str, **schema: Any) -> Schema:
    """The condition that a field is sent and meets `schema`; by default, any text that is not empty."""
    return {"required": [name], "properties": {name: schema or {"type": "string", "minLength": 1}}}


def _not_blank(name: str) -> Schema:
    """The condition that a field is sent and not blank."""
    return _given(name, type=["string", "integer"], pattern=fields.NOT_BLANK)


def _somebody(name: str) -> Schema:
    """The condition that a field is sent and identifies somebody."""
    return _given(
        name, type=["string", "integer"], pattern=fields.NOT_BLANK, **{"not": {"enum": [0, -1, *sorted(NOBODY)]}}
    )


def _change(order: Schema) -> Schema:
    """The schema of an edit: every field is optional; fields that may contradict each other exclude each other."""
    properties = {name: field for name, field in order["properties"].items() if name != "order_id"}
    return {
        "type": "object",
        "description": "Changes of an order. The order_id cannot be changed; it may be sent unchanged.",
        "properties": properties,
        "not": _both("customer_email", "customer_email_sha256"),
    }


def _both(one: str, other: str) -> Schema:
    """The condition that both fields are sent."""
    return {"allOf": [_given(one), _given(other)]}


def _add_rules_across_fields(schemas: dict[str, Schema]) -> None:
    """Adds the rules that concern several fields."""
    schemas["Order"]["anyOf"] = [
        _given("shipping_address", **ref("OrderAddress")), _given("billing_address", **ref("OrderAddress")),
        _given("customer_email"), _given("customer_email_sha256"),
    ]  # fmt: skip
    schemas["Order"]["not"] = _both("customer_email", "customer_email_sha256")
    activity = schemas["OrderActivity"]
    email = activity["properties"]["email"]
    # With a person_id, any e-mail is ignored.
    activity["properties"]["email"] = {"description": email.pop("description")}
    activity["anyOf"] = [
        _somebody("person_id"),
        {"required": ["email"], "properties": {"email": email | {"type": "string", "minLength": 1}}},
    ]
    schemas["ActivityItem"]["not"] = {"required": ["discount", "discounts"]}
    lines = [_not_blank(name) for name in schemas["MatchAddress"]["properties"]]
    without_secret = {"properties": {"platform": {"const": "woocommerce"}, "secret": {"type": "null"}}}
    with_secret = _given("secret") | {"required": ["platform", "secret"]}
    with_secret["properties"]["platform"] = {"const": "shopify"}
    schemas["NewConnection"]["anyOf"] = [without_secret | {"required": ["platform"]}, with_secret]
    schemas["MatchPerson"]["anyOf"] = [
        _given("address", type="object", anyOf=lines), _given("email"), _given("email_sha256"),
        _somebody("customer_id"),
    ]  # fmt: skip


def text() -> str:
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    TARGET.write_text(text())


if __name__ == "__main__":
    write()
