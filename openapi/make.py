"""Writes functions/describe/openapi.json: `PYTHONPATH=.:layers/shared .venv/bin/python -m openapi.make`.

Requests are described by the shapes that check them; ROUTES says in a line what each route is for and what it answers.
What stands in the file is served as it is, so nothing of this runs in a function.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openapi import words
from openapi.answers import SCHEMAS, Schema, array, ref
from tillbook import fields, match, orders_api, shopper_activity
from tillbook.shapes import Field, Part, Shape

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "functions" / "describe" / "openapi.json"

# (name in the document, shape, what its fields are), inner ones first.
SHAPES: list[tuple[str, Shape, dict[str, str]]] = [
    ("OrderAddress", orders_api.ADDRESS, words.ORDER_ADDRESS),
    ("OrderItem", orders_api.ITEM, words.ORDER_ITEM),
    ("Order", orders_api.ORDER, words.ORDER),
    ("ActivityAddress", shopper_activity.ADDRESS, words.ACTIVITY_ADDRESS),
    ("ActivityItem", shopper_activity.ITEM, words.ACTIVITY_ITEM),
    ("OrderActivity", shopper_activity.ORDER_ACTIVITY, words.ORDER_ACTIVITY),
    ("MatchAddress", match.MATCH_ADDRESS, words.MATCH_ADDRESS),
    ("MatchPerson", match.MATCH_PERSON, words.MATCH_PERSON),
    ("MatchQuery", match.MATCH_QUERY, words.MATCH_QUERY),
]
_DESCRIPTIONS = {
    "Order": "An order as a shop submits it. Unknown fields are accepted, and noted with the request.",
    "OrderActivity": "One event of an order. Unknown fields, here and on items, are kept as custom attributes.",
    "MatchPerson": "Somebody who may be a customer, by any of these.",
}


@dataclass(frozen=True)
class Route:
    """`answers`: the schema of each success by status. `refuses`: statuses besides those that all routes share."""

    name: str
    tag: str
    summary: str
    answers: dict[int, str]
    refuses: tuple[int, ...] = ()
    body: Schema | None = None
    description: str = ""
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


_V1, _V3, _READ, _AUDIENCES, _OPERATE = "Orders API", "Shopper activity", "People and orders", "Audiences", "Operating"
_PAGED = ("cursor", "limit")
_REASON = {
    "type": "object", "required": ["reason"], "description": "Why it is discarded.",
    "properties": {"reason": {"type": "string", "maxLength": 500, "pattern": fields.SOLID,
                              "description": "Kept with what became of the request."}},
}  # fmt: skip
_PURGE = {
    "type": "object", "required": ["confirm"], "description": "What to purge.",
    "properties": {
        "confirm": {"const": "purge", "description": "The word purge (or send it as the header X-Confirm)."},
        "source": {"enum": ["orders_api", "shopper_activity", None], "description": "Both if absent."},
        "before": {
            "description": "Orders received up to then; all there are if absent.",
            "anyOf": [
                {"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}, {"type": "null"},
            ],
        },
    },
}  # fmt: skip
_BATCH = {
    "type": "object", "required": ["orders"], "description": "Up to 1,000 events, at most 4 MiB in all.",
    "properties": {"orders": {"type": "array", "minItems": 1, "maxItems": 1000, "items": ref("OrderActivity")}},
}  # fmt: skip

ROUTES: dict[str, Route] = {
    "POST /v1/order": Route(
        "submitOrder", _V1, "Submit an order", {201: "OrderAnswer"}, (400, 409, 413, 415), ref("Order"),
        "The same submission again is answered with the first answer; other content under the same order_id: 409.",
        links=("editOrder", "deleteOrder", "getOrder", "getCustomer"),
    ),
    "POST /v1/order/{order_id}": Route(
        "editOrder", _V1, "Edit an order", {200: "OrderAnswer"}, (400, 404, 413, 415), ref("OrderChange"),
        "Fields that are given replace, null clears, absent ones stay. The result must still be a valid order.",
    ),
    "DELETE /v1/order/{order_id}": Route(
        "deleteOrder", _V1, "Delete an order", {200: "OrderAnswer"}, (404,), None,
        "Answers the order as it was. Its part of the customer's lifetime value and its audience records go too.",
    ),
    "GET /v1/order/{order_id}": Route("getOrder", _V1, "Get an order", {200: "OrderAnswer"}, (404,)),
    "POST /v3/{account_id}/shopper_activity/order": Route(
        "recordActivity", _V3, "Record an event of an order", {202: "Accepted"}, (400, 413, 415, 422),
        ref("OrderActivity"), "Queued. Sent again with an occurred_at or an Idempotency-Key it changes nothing.",
        headers=("Idempotency-Key",), links=("getRequest",),
    ),
    "POST /v3/{account_id}/shopper_activity/order/batch": Route(
        "recordActivities", _V3, "Record up to 1,000 events", {202: "AcceptedBatch"}, (400, 413, 415, 422), _BATCH,
        "All or nothing: one event that is refused (named as orders[3].email) refuses the batch. After a 503 send it "
        "again: with occurred_at or an Idempotency-Key nothing counts twice.", headers=("Idempotency-Key",),
        links=("getFirstRequest",),
    ),
    "GET /v3/{account_id}/requests/{request_id}": Route(
        "getRequest", _V3, "What became of a request", {200: "RequestStatus"}, (404,), None, "Kept for 30 days.",
    ),
    "GET /v3/{account_id}/people/{id_or_email}": Route(
        "getPerson", _READ, "A person with lifetime value", {200: "Person"}, (404,),
        links=("getActivity", "getPersonOrders", "getSubscriber"),
    ),
    "DELETE /v3/{account_id}/people/{id_or_email}": Route(
        "erasePerson", _READ, "Erase a person", {202: "JobStarted"}, (), None,
        "Orders, activity, lifetime value, audience records and dead letters go, also what is still queued: so it is "
        "202 where nobody is known by it yet, too. Ask GET first whether you have the right one.", links=("getJob",),
    ),
    "GET /v3/{account_id}/people/{id_or_email}/activity": Route(
        "getActivity", _READ, "A person's timeline, newest first", {200: "ActivityPage"}, (400, 404), query=_PAGED,
    ),
    "GET /v3/{account_id}/people/{id_or_email}/orders": Route(
        "getPersonOrders", _READ, "A person's orders, newest first", {200: "OrderPage"}, (400, 404), query=_PAGED,
    ),
    "GET /v1/order/{order_id}/history": Route(
        "getOrderHistory", _READ, "What happened to an order, step by step", {200: "HistoryPage"}, (404,), None,
        "Oldest first, of a deleted order too: the last 200 versions.",
    ),
    "GET /v3/{account_id}/orders/{provider}/{order_id}/history": Route(
        "getShopperOrderHistory", _READ, "What happened to an order of shopper activity, step by step",
        {200: "HistoryPage"}, (404,), None, "In the order of the events' own time, whatever order they came in.",
    ),
    "GET /v3/{account_id}/orders/{provider}/{order_id}": Route(
        "getShopperOrder", _READ, "An order of shopper activity", {200: "ShopperOrder"}, (404,),
    ),
    "GET /v2/{account_id}/subscribers/{id_or_email}": Route(
        "getSubscriber", _READ, "A person as clients of the v2 API read it", {200: "Subscribers"}, (404,),
    ),
    "GET /v1/audiences": Route("getAudiences", _AUDIENCES, "The customer audiences", {200: "Audience[]"}),
    "GET /v1/audience/{audience_id}": Route(
        "getMembers", _AUDIENCES, "Members of an audience", {200: "MemberPage"}, (400, 404), None,
        "With format=csv (or Accept: text/csv) a page of CSV, with the cursor of the next in X-Next-Cursor.",
        query=(*_PAGED, "format"),
    ),
    "POST /v1/audience/{audience_id}/match": Route(
        "matchPeople", _AUDIENCES, "Who of these people is a customer", {200: "MatchResults"}, (400, 404, 413, 415),
        ref("MatchQuery"),
    ),
    "POST /v1/audience/{audience_id}/rebuild": Route(
        "rebuildAudience", _AUDIENCES, "Compute an audience again", {202: "JobStarted"}, (404,), links=("getJob",),
    ),
    "GET /v1/jobs/{job_id}": Route("getJob", _OPERATE, "How far a job is", {200: "Job"}, (404,)),
    "GET /v1/transactions": Route(
        "getTransactions", _OPERATE, "What became of requests, newest first", {200: "TransactionPage"}, (400,),
        query=(*_PAGED, "status", "source", "request_id", "order_id", "provider"),
    ),
    "DELETE /v1/transactions": Route(
        "purge", _OPERATE, "Purge orders", {202: "JobStarted"}, (400, 413, 415), _PURGE,
        "What was received up to this request goes, also what is still queued. What comes later is new.",
        links=("getJob",),
    ),
    "GET /v1/deadletters": Route(
        "getDeadLetters", _OPERATE, "Accepted orders that could not be applied", {200: "DeadLetterPage"}, (400,),
        query=_PAGED,
    ),
    "POST /v1/deadletters/{deadletter_id}/replay": Route(
        "replayDeadLetter", _OPERATE, "Queue a dead letter again", {202: "Replayed"}, (400, 404), None,
        "`all` as the id: every one there is now. Where there was no time for all of them, ask again with the cursor.",
        query=("cursor",),
    ),
    "DELETE /v1/deadletters/{deadletter_id}": Route(
        "discardDeadLetter", _OPERATE, "Discard a dead letter", {200: "DeadLetter"}, (400, 404, 413, 415), _REASON,
    ),
    "GET /v1/transactions/summary": Route(
        "getTransactionsSummary", _OPERATE, "What came in, day by day", {200: "Summary"}, (400,), None,
        "Orders and amounts by day, source and currency, by new_buyer and promo_code; what was refused, by reason.",
        query=("from", "to"),
    ),
    "GET /v1/account": Route("getAccount", _OPERATE, "Whose key this is", {200: "Account"}),
    "GET /openapi.json": Route("getOpenApi", _OPERATE, "This document", {200: "OpenApi"}, (), None, "Needs no key."),
}  # fmt: skip
# The page, which is no API.
NOT_TOLD = frozenset({"GET /", "GET /page/{file}"})
PUBLIC = frozenset({"GET /openapi.json"})

_PARAMETERS: dict[str, tuple[str, Schema]] = {
    "account_id": ("The account's id.", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}),
    "order_id": ("The order's id as the shop has it, percent-encoded.", {"type": "string", "minLength": 1}),
    "request_id": ("A request id, as a 202 gave it.", {"type": "string", "minLength": 1}),
    "provider": ("Where the order comes from.", {"type": "string", "minLength": 1}),
    "id_or_email": (
        "Our own id, person_id, e-mail address, its SHA-256, or v1 customer_id, tried in that order.",
        {"type": "string", "minLength": 1},
    ),
    "audience_id": ("The audience's id.", {"type": "string", "minLength": 1, "examples": ["customers-orders-api"]}),
    "job_id": ("The job's id.", {"type": "string", "minLength": 1}),
    "deadletter_id": ("The dead letter's id, or `all`.", {"type": "string", "minLength": 1}),
}
_QUERY: dict[str, tuple[str, Schema]] = {
    "cursor": (
        "Where to go on: the next_cursor of the page before.",
        {"type": "string", "pattern": "^[0-9A-Za-z_-]{22,150}$"},
    ),
    "limit": ("How many, at most.", {"type": "integer", "minimum": 1, "maximum": 200}),
    "format": ("csv for a page of CSV.", {"enum": ["json", "csv"]}),
    "status": ("Only these.", {"enum": ["applied", "duplicate", "failed", "rejected"]}),
    "source": ("Only of this API.", {"enum": ["orders_api", "shopper_activity"]}),
    "request_id": ("The one request.", {"type": "string"}),
    "order_id": ("Requests about this order.", {"type": "string"}),
    "provider": ("With order_id: shopper-activity orders of this provider only.", {"type": "string"}),
    "from": ("The first day, UTC; among the last 31 days.", {"type": "string", "format": "date"}),
    "to": ("The last day, UTC; at most 31 days after the first.", {"type": "string", "format": "date"}),
}
_HEADERS: dict[str, tuple[str, Schema]] = {
    "Idempotency-Key": (
        "Makes sending it again safe: the same key with the same content is one event, for ever.",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": fields.SOLID},
    ),
}
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
    "getJob": ("getJob", {"job_id": "$response.body#/job_id"}),
}
_REFUSALS = {
    400: "It cannot be read, or a field or a parameter is wrong; the answer says which.",
    401: "The key is missing, unknown or revoked.",
    403: "The key is of another role or account (v1: or missing, unknown, revoked).",
    404: "There is nothing by this id.",
    409: "The order_id stands for other content.",
    413: "One order is at most 256 KiB of JSON, a batch or a match 4 MiB.",
    415: "Send application/json, plain or gzip.",
    422: "Fields are wrong; the answer names every one.",
    429: "Too many requests at once: the gateway's answer.",
    500: "Our fault.",
    503: "Please send it again.",
}
_INFO = """Tillbook takes orders from shops and keeps each person's lifetime value, timeline and audiences right.

It speaks the Orders API (`/v1/order`, Bearer token) and Order Activity (`/v3`, Basic auth with the key as the user
name, or Bearer). Keys of the role `ingest` may use the order routes, those of the role `admin` all routes of their
account.

Amounts are JSON numbers or numeric strings with at most 15 digits before and 4 after the point; they are read exactly.
Bodies may be sent with `Content-Encoding: gzip`."""


def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for key, route in ROUTES.items():
        method, _, path = key.partition(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(key, path, route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillbook", "version": "1", "description": _INFO,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "Where this document was read."}],
        "tags": [{"name": name} for name in (_V1, _V3, _READ, _AUDIENCES, _OPERATE)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted((_requests() | SCHEMAS | {"OpenApi": {"type": "object"}}).items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The API key."},
                "basic": {"type": "http", "scheme": "basic", "description": "The API key as the user name."},
            },
        },
    }  # fmt: skip


def _operation(key: str, path: str, route: Route) -> dict[str, Any]:
    v1, public = path.startswith("/v1/"), key in PUBLIC
    refuses = {*route.refuses, *(() if public else (403, 429, 500, 503)), *(() if v1 or public else (401,))}
    parameters = [_parameter(name, "path", _PARAMETERS) for name in re.findall(r"{(\w+)}", path)]
    parameters += [_parameter(name, "query", _QUERY) for name in route.query]
    parameters += [_parameter(name, "header", _HEADERS) for name in route.headers]
    answers = {str(status): _success(status, name, route) for status, name in route.answers.items()}
    answers |= {str(status): _refusal(status, v1) for status in sorted(refuses)}
    operation: dict[str, Any] = {
        "operationId": route.name, "tags": [route.tag], "summary": route.summary,
        **({"description": route.description} if route.description else {}),
        "security": [] if public else [{"bearer": []}] if v1 else [{"basic": []}, {"bearer": []}],
        **({"parameters": parameters} if parameters else {}),
        "responses": answers,
    }  # fmt: skip
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": route.body}}}
    return operation


def _parameter(name: str, place: str, known: dict[str, tuple[str, Schema]]) -> dict[str, Any]:
    description, schema = known[name]
    return {"name": name, "in": place, "required": place == "path", "description": description, "schema": schema}


def _success(status: int, name: str, route: Route) -> dict[str, Any]:
    schema = {"type": "array", "items": ref(name[:-2])} if name.endswith("[]") else ref(name)
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if "format" in route.query:
        content["text/csv"] = {"schema": {"type": "string"}}
    links = {
        link: {"operationId": _LINKS[link][0], "parameters": _LINKS[link][1]} for link in route.links
    }  # fmt: skip
    description = {200: "Done.", 201: "Taken.", 202: "Accepted; it is done behind the queue."}[status]
    return {"description": description, "content": content, **({"links": links} if links else {})}


def _refusal(status: int, v1: bool) -> dict[str, Any]:
    own = ref("Unauthorized") if v1 and status == 403 else ref("Error") if v1 else ref("Errors")
    # The gateway answers these by itself, too.
    schema = {"anyOf": [own, ref("GatewayError")]} if status in (413, 500, 503) else own
    schema = ref("GatewayError") if status == 429 else schema
    return {"description": _REFUSALS[status], "content": {"application/json": {"schema": schema}}}


# ------------------------------------------------------------------- requests


def _requests() -> dict[str, Schema]:
    schemas = {name: _schema(shape, described) for name, shape, described in SHAPES}
    schemas["Currency"] = schemas["Order"]["properties"]["currency"] | {"description": "ISO 4217 code."}
    for name in ("Order", "OrderActivity"):
        properties = schemas[name]["properties"]
        properties["currency"] = ref("Currency") | {"description": properties["currency"]["description"]}
    country = schemas["OrderAddress"]["properties"]["country"]
    schemas["Country"] = country | {"description": "ISO 3166 code of two or three letters."}
    schemas["OrderAddress"]["properties"]["country"] = ref("Country") | {"description": country["description"]}
    for name, description in _DESCRIPTIONS.items():
        schemas[name]["description"] = description
    schemas["OrderChange"] = _change(schemas["Order"])
    _say_what_goes_together(schemas)
    return schemas


def _schema(shape: Shape, described: dict[str, str]) -> Schema:
    """As the shape is checked, with words for its fields."""
    properties = {name: _property(field) | {"description": described[name]} for name, field in shape.fields.items()}
    required = [name for name, field in shape.fields.items() if field.required]
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _property(field: Field | Part) -> Schema:
    if isinstance(field, Field):
        return field.schema
    (name,) = [name for name, shape, _ in SHAPES if shape is field.shape]
    schema = ref(name)
    if field.most is not None:
        least = {"minItems": field.least} if field.least else {}
        schema = array(schema) | {"maxItems": field.most} | least
    return schema if field.required else {"anyOf": [schema, {"type": "null"}]}


def _given(name: str, **more: Any) -> Schema:
    return {"required": [name], "properties": {name: more or {"type": "string", "minLength": 1}}}


def _change(order: Schema) -> Schema:
    """An edit: every field may be left out, and none of these two together says two things."""
    properties = {name: field for name, field in order["properties"].items() if name != "order_id"}
    return {
        "type": "object",
        "description": "Changes of an order. The order_id cannot be changed; it may be sent as it is.",
        "properties": properties,
        "not": _both("customer_email", "customer_email_sha256"),
    }


def _both(one: str, other: str) -> Schema:
    return {"allOf": [_given(one), _given(other)]}


def _say_what_goes_together(schemas: dict[str, Schema]) -> None:
    """What is checked beyond single fields."""
    schemas["Order"]["anyOf"] = [
        _given("shipping_address", type="object"), _given("billing_address", type="object"), _given("customer_email"),
        _given("customer_email_sha256"),
    ]  # fmt: skip
    schemas["Order"]["not"] = _both("customer_email", "customer_email_sha256")
    activity = schemas["OrderActivity"]
    email = activity["properties"]["email"]
    # With a person_id it is ignored, whatever it is.
    activity["properties"]["email"] = {"description": email.pop("description")}
    activity["anyOf"] = [
        _given("person_id", type=["string", "integer"], pattern=fields.SOLID),
        {"required": ["email"], "properties": {"email": email | {"type": "string", "minLength": 1}}},
    ]
    discount = schemas["ActivityItem"]["properties"]["discount"]
    schemas["ActivityItem"]["properties"]["discounts"] = discount | {"description": "Another name of discount."}
    schemas["ActivityItem"]["not"] = {"required": ["discount", "discounts"]}
    schemas["MatchPerson"]["anyOf"] = [
        _given("address", type="object", minProperties=1), _given("email"), _given("email_sha256"),
        _given("customer_id", type=["string", "integer"], pattern=fields.SOLID),
    ]  # fmt: skip


def text() -> str:
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    TARGET.write_text(text())


if __name__ == "__main__":
    write()
