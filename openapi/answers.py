"""Shapes of what is answered."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
TEXT: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
UUID: Schema = {"type": "string", "format": "uuid"}
HASH: Schema = {"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"}
DECIMAL: Schema = {"type": "string", "pattern": "^-?[0-9]+\\.[0-9]+$", "examples": ["105.00"]}
BY_CURRENCY: Schema = {"type": "object", "additionalProperties": DECIMAL, "description": "Decimals by currency."}
DATE: Schema = {"type": "string", "format": "date"}
STRINGS: Schema = {"type": "array", "items": STRING}
ANYTHING: Schema = {"type": "object", "additionalProperties": True}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def array(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def closed(description: str, /, **properties: Schema) -> Schema:
    """An object of exactly these fields."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def page(noun: str, of: str) -> Schema:
    cursor = TEXT | {"description": "What to send as `cursor` for the next page; null at the end."}
    return closed(f"A page of {noun}.", **{noun: array(ref(of)), "next_cursor": cursor})


_ADDRESS = closed(
    "An address of a v1 order.",
    company=TEXT, address_1=STRING, address_2=TEXT, city=TEXT, state_name=TEXT, postal_code=STRING,
)  # fmt: skip
_SOURCE: Schema = {"enum": ["orders_api", "shopper_activity"]}
_CHANGE: Schema = {"type": "integer", "description": "More orders than before; below 0 where orders went."}
_SUM = {"currency": STRING, "orders": _CHANGE, "amount": DECIMAL}
_VALUE = closed("An amount of a currency.", currency=STRING, amount=DECIMAL)
_REQUEST = {
    "request_id": UUID,
    "status": {"enum": ["queued", "applied", "duplicate", "failed", "rejected"]},
    "reason": TEXT | {"description": "Why it failed or was rejected."},
    "received_at": TIME,
}

SCHEMAS: dict[str, Schema] = {
    "OrderAnswer": closed(
        "An order as the Orders API answers it; amounts are decimals with at least one place.",
        id=UUID | {"description": "Our own id of the order."},
        order_id=STRING,
        currency=STRING,
        total=DECIMAL,
        customer=closed("Whose order it is.", id=TEXT, email_sha256=HASH),
        metadata={"type": "object", "additionalProperties": STRING},
        order_items=array(ref("OrderItemAnswer")),
        shipping_address={"anyOf": [ref("OrderAddressAnswer"), {"type": "null"}]},
        billing_address={"anyOf": [ref("OrderAddressAnswer"), {"type": "null"}]},
        order_date=TIME,
    ),
    "OrderItemAnswer": closed(
        "An item of a v1 order.",
        category=STRINGS, description=TEXT, identifier=STRING,
        metadata={"type": "object", "additionalProperties": STRING}, price=DECIMAL, quantity={"type": "integer"},
        total=DECIMAL,
    ),
    "OrderAddressAnswer": _ADDRESS,
    "Accepted": closed("Queued; ask for what became of it by this id.", request_id=UUID),
    "AcceptedBatch": closed("Queued, an id for each order in the same order.", request_ids=array(UUID)),
    "RequestStatus": {
        **closed("What became of a request.", **_REQUEST),
        "properties": _REQUEST | {"original_request_id": UUID, "notes": STRINGS},
    },
    "Person": closed(
        "A person, with lifetime value.",
        id=STRING | {"description": "Our own id of the person."},
        email_sha256=HASH, person_id=TEXT, customer_id=TEXT,
        lifetime_value=BY_CURRENCY | {"description": "Of the sources that the account counts, by currency."},
        lifetime_value_by_source={"type": "object", "additionalProperties": BY_CURRENCY},
        orders_count=COUNT, first_order_at=TIME_OR_NULL, last_order_at=TIME_OR_NULL,
    ),
    "Activity": closed(
        "One entry of a timeline.",
        name=STRING | {"examples": ["Placed an order"]}, occurred_at=TIME, request_id=UUID,
        order=ANYTHING | {"description": "The order as this event tells it."},
        properties=ANYTHING | {"description": "Custom attributes, with their JSON types."},
    ),
    "ActivityPage": page("activity", "Activity"),
    "Account": closed(
        "Whose key this is.",
        account_id=STRING, currency=STRING, sources=array(_SOURCE),
        key=closed("The key.", id=STRING, label=TEXT, role={"enum": ["ingest", "admin"]}),
    ),
    "Happening": closed(
        "One event of an order, and what the order contributes to LTV after it.",
        name=STRING, action=STRING, occurred_at=TIME, received_at=TIME, request_id=UUID,
        late={"type": "boolean", "description": "A younger event was received before it."},
        person=TEXT | {"description": "Our own id of whose LTV it is."},
        before={"anyOf": [_VALUE, {"type": "null"}]},
        lifetime_value=_VALUE,
    ),
    "HistoryPage": page("history", "Happening"),
    "Summary": closed(
        "What came in on which day (UTC, by time of receipt).",
        **{"from": DATE, "to": DATE},
        earlier={"type": ["string", "null"], "format": "date",
                 "description": "Where there was no time for all days: what to send as `to` for the others."},
        days=array(closed("Orders and amounts of a day.", day=DATE, source=_SOURCE, **_SUM)),
        requests=array(closed("Requests of a day.", day=DATE, source=_SOURCE, status=STRING, count=COUNT)),
        by_new_buyer=array(closed("Of v1 orders by new_buyer.", new_buyer={"type": ["boolean", "null"]}, **_SUM)),
        by_promo_code=array(closed("Of v1 orders by promo_code.", promo_code=STRING, **_SUM)),
        refused=array(closed("Why requests did not count.", status=STRING, reason=STRING, count=COUNT)),
    ),
    "ShopperOrder": {
        "type": "object",
        "description": "A v3 order as its events made it: of each field what the latest event that carries it says.",
        "properties": {
            "provider": STRING, "order_id": STRING, "status": STRING, "person": STRING, "currency": STRING,
            "grand_total": {"anyOf": [DECIMAL, {"type": "null"}], "description": "null while no event has told it."},
            "refund_amount": DECIMAL, "lifetime_value": DECIMAL, "flags": STRINGS, "events": COUNT,
            "first_occurred_at": TIME, "last_occurred_at": TIME, "properties": ANYTHING,
        },
        "required": ["order_id", "grand_total", "lifetime_value"],
    },
    "OrderPage": closed(
        "A page of orders of either API, newest first.",
        orders=array({"anyOf": [ref("OrderAnswer"), ref("ShopperOrder")]}), next_cursor=TEXT,
    ),
    "Subscribers": closed(
        "As clients of the v2 API read a person.",
        subscribers=array(
            closed(
                "A person.", id=STRING, status={"const": "active"}, email=TEXT, email_sha256=HASH, user_id=TEXT,
                lifetime_value={"type": "integer", "description": "In the smallest unit of the account's currency."},
                created_at=TIME_OR_NULL, tags=STRINGS, custom_fields=ANYTHING,
            )
        ),
    ),
    "Audience": closed(
        "A customer audience, for suppression.",
        id={"enum": ["customers-orders-api", "customers-shopper-activity"]}, name=STRING, description=STRING,
        member_count=COUNT, mailable={"const": False},
    ),
    "Member": closed(
        "One record of an audience: an order's shipping or billing address, or its person.",
        order_id=STRING, kind={"enum": ["shipping", "billing", "person"]}, name=TEXT, company=TEXT, address_1=TEXT,
        address_2=TEXT, city=TEXT, state=TEXT, postal_code=TEXT, country=TEXT, email_sha256=HASH, person_id=TEXT,
        customer_id=TEXT, added_at=TIME,
    ),
    "MemberPage": page("members", "Member"),
    "MatchResults": closed(
        "Who is a customer, in the order of the question.",
        results=array(closed("Of one person.", customer={"type": "boolean"})),
    ),
    "JobStarted": closed("Work that was begun.", job_id=STRING),
    "Job": closed(
        "How far it is.",
        job_id=STRING, kind=STRING, status={"enum": ["queued", "running", "done", "failed"]}, done=COUNT, total=COUNT,
        error=TEXT,
    ),
    "Transaction": {
        **closed(
            "What became of one request.",
            **_REQUEST, source={"enum": ["orders_api", "shopper_activity"]}, action=STRING, provider=TEXT,
            order_id=TEXT, route=TEXT, key_label=TEXT, fields=STRINGS, notes=STRINGS,
            effects=array(closed("What it did to LTV, of one currency.", **_SUM)),
        ),
        "additionalProperties": {"type": "string"},
    },
    "TransactionPage": page("transactions", "Transaction"),
    "DeadLetter": closed(
        "An accepted order that could not be applied.",
        id=STRING, reason=STRING, failed_at=TIME, action=TEXT, provider=TEXT, order_id=TEXT,
    ),
    "DeadLetterPage": page("deadletters", "DeadLetter"),
    "Replayed": closed(
        "Queued again.", replayed=COUNT,
        next_cursor=TEXT | {"description": "Where there was no time for all: what to send as `cursor` for the others."},
    ),
    "Error": closed(
        "Why a v1 request was refused.",
        error=closed(
            "What is wrong.",
            name={
                "enum": [
                    "ValidationError", "NotFound", "MethodNotAllowed", "Conflict", "TooLarge", "UnsupportedMediaType",
                    "Unavailable", "InternalError",
                ]
            },
            message=STRING,
            details=array(closed("One fault.", field=TEXT | {"examples": ["order_items[0].total"]}, message=STRING)),
        ),
    ),
    "Unauthorized": closed(
        "The token is missing, unknown, revoked or of the wrong role.", error={"const": "Unauthorized"},
    ),
    "Errors": closed(
        "Why a v3 request was refused: every fault at once.",
        errors={
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "code": {
                        "enum": [
                            "presence_error", "email_error", "format_error", "time_error", "range_error",
                            "length_error", "authentication_error", "authorization_error", "not_found_error",
                            "method_not_allowed_error", "conflict_error", "unavailable_error", "internal_error",
                        ]
                    },
                    "attribute": TEXT | {"description": "The field, as items[0].price.", "examples": ["email"]},
                    "message": STRING,
                },
                "required": ["code", "message"],
                "additionalProperties": False,
            },
        },
    ),
    "GatewayError": closed("The gateway's own answer.", message=STRING),
}  # fmt: skip
