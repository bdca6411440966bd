"""Shapes of answers and events, as JSON Schema. web/routes.py names them."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
TEXT: Schema = {"type": ["string", "null"]}  # a string or null
COUNT: Schema = {"type": "integer", "minimum": 0}
COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
UUID: Schema = {"type": "string", "format": "uuid"}
HASH: Schema = {"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"}
DECIMAL: Schema = {"type": "string", "pattern": "^-?[0-9]+\\.[0-9]+$", "examples": ["105.00"]}
NUMBER: Schema = {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$", "examples": ["2", "1.5"]}
BY_CURRENCY: Schema = {"type": "object", "additionalProperties": DECIMAL, "description": "Decimals by currency."}
DATE: Schema = {"type": "string", "format": "date"}
STRINGS: Schema = {"type": "array", "items": STRING}
ANYTHING: Schema = {"type": "object", "additionalProperties": True}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def array(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def closed(description: str, /, **properties: Schema) -> Schema:
    """The schema of an object that has exactly these fields."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def page(noun: str, of: str) -> Schema:
    cursor = TEXT | {"description": "Send it as `cursor` to get the next page; null on the last page."}
    return closed(f"A page of {noun}.", **{noun: array(ref(of)), "next_cursor": cursor})


_ADDRESS = closed(
    "An address of a v1 order.",
    company=TEXT,
    address_1=STRING,
    address_2=TEXT,
    city=TEXT,
    state_name=TEXT,
    postal_code=STRING,
)
_SOURCE: Schema = {"enum": ["orders_api", "shopper_activity"]}
_CHANGE: Schema = {
    "type": "integer",
    "description": "The change in the number of orders; negative if orders were removed.",
}
_EFFECT = {"currency": STRING, "orders": _CHANGE, "amount": DECIMAL}
_VALUE = closed("An amount in a currency.", currency=STRING, amount=DECIMAL)
_REQUEST = {
    "request_id": UUID,
    "status": {"enum": ["queued", "applied", "duplicate", "failed", "rejected"]},
    "reason": TEXT | {"description": "The reason of a failure or rejection."},
    "received_at": TIME,
}

_ORDER_SUMS = {
    "gross": DECIMAL | {"description": "Sum of the orders' totals."},
    "refunds": DECIMAL,
    "net": DECIMAL | {"description": "Gross minus refunds."},
    "average_order_value": DECIMAL | {"description": "Gross divided by orders."},
    "new_buyers": COUNT | {"description": "Orders with new_buyer true."},
}
_ITEM_SUMS = {"quantity": NUMBER, "amount": DECIMAL | {"description": "Sum of the items' totals."}}
_ROW = {
    "period": DATE | {"description": "The period's first date, not before that of the report."},
    "currency": STRING,
    "group": {
        "type": ["string", "boolean", "null"],
        "description": "The value of the attribute that group_by names. null for orders or items without one, in the "
        "row of the rest, and without group_by.",
    },
    "rest": {"type": "boolean", "description": "Whether the row is the sum of all groups without rows of their own."},
    "orders": COUNT,
}  # fmt: skip
_PERIOD = {
    "from": DATE,
    "to": DATE,
    "as_of": TIME_OR_NULL
    | {
        "description": "The time of the oldest sums, if orders changed since; otherwise null. Days with very many "
        "orders are summed up once an hour."
    },
    "rows": array(ref("SalesRow")),
    "totals": array(ref("SalesTotal")) | {"description": "Totals by currency; empty if rows are by category or item."},
}
_SALES = {"time_zone": STRING, "interval": STRING, "group_by": TEXT, **_PERIOD}

_DECIMAL_OR_NULL: Schema = {"type": ["string", "null"], "pattern": DECIMAL["pattern"]}
_MORE: Schema = {"type": "boolean", "description": "Whether the count is a lower bound."}
_KEY = {
    "id": STRING, "label": TEXT, "role": {"enum": ["ingest", "admin"]}, "created_at": TIME,
    "last_used": {"type": ["string", "null"], "format": "date"}, "revoked": {"type": "boolean"},
    "created_by": TEXT | {"description": "Id of the key that created this key; null if the command line did."},
    "current": {"type": "boolean", "description": "Whether this request uses the key."},
}  # fmt: skip
_OUTCOME = closed("The outcome of the delivery's request.", status=STRING, reason=TEXT)
_DELIVERY = closed(
    "The last genuine delivery.",
    received_at=TIME, result={"enum": ["accepted", "ignored", "rejected"]}, reason=TEXT,
    request_id={"type": ["string", "null"], "format": "uuid"}, outcome={"anyOf": [_OUTCOME, {"type": "null"}]},
)  # fmt: skip
_CONNECTION = {
    "name": STRING, "platform": {"enum": ["woocommerce", "shopify"]}, "provider": STRING,
    "url": STRING | {"description": "The URL for the platform's webhooks."}, "created_at": TIME,
    "both_valid_until": TIME_OR_NULL | {"description": "The time until which the old secret is also valid."},
    "last_delivery": {"anyOf": [_DELIVERY, {"type": "null"}]},
    "last_refused_at": TIME_OR_NULL | {"description": "The time of the last delivery with a wrong signature."},
    "check": closed(
        "Whether the connection works.", status={"enum": ["ok", "waiting", "problem"]},
        code={"enum": ["receiving", "never_received", "wrong_signature", "rejected", "failed", "no_secret"]},
        message=STRING,
    ),
}  # fmt: skip


def _cloud_event(kind: str, description: str, data: Schema, **more: Schema) -> Schema:
    """The schema of an event in the envelope of CloudEvents 1.0."""
    return closed(
        description,
        specversion={"const": "1.0"},
        id=STRING | {"description": "The id stays the same if the event is sent again."},
        source=STRING | {"examples": ["/tillbook/tillbook-prod/1234567"]},
        type={"const": kind},
        subject=STRING,
        time=TIME,
        datacontenttype={"const": "application/json"},
        **more,
        data=data,
    )


_ORDER_IDS = closed("The order.", provider=TEXT, order_id=STRING)
_REQUEST_DATA = {
    "account_id": STRING, "source": _SOURCE, "request_id": UUID, "received_at": TIME, "action": STRING,
    "order": _ORDER_IDS, "reason": TEXT,
    "effects": array(closed("A change of lifetime value in one currency.", **_EFFECT)),
}  # fmt: skip
# The events on the bus, for the section "webhooks" of OpenAPI: type -> (summary, name of the schema).
WEBHOOKS: dict[str, tuple[str, str]] = {
    "lifetime_value.changed": ("The lifetime value of a person changed", "LifetimeValueChanged"),
    "order.applied": ("A request was applied", "OrderApplied"),
    "order.failed": ("A request failed", "OrderFailed"),
    "orders.purged": ("All orders of a source were purged", "OrdersPurged"),
}

_PERSON = {
    "id": STRING | {"description": "Tillbook's id of the person."},
    "email_sha256": HASH,
    "person_id": TEXT,
    "customer_id": TEXT,
    "lifetime_value": BY_CURRENCY | {"description": "By currency, for the sources that the account counts."},
    "lifetime_value_by_source": {"type": "object", "additionalProperties": BY_CURRENCY},
    "orders_count": COUNT,
}
_IN_ZONE = DATE | {"description": "The date in the account's time zone."}
_ORDERED = {"first_order_on": _IN_ZONE, "last_order_on": _IN_ZONE}
_AS_OF = TIME_OR_NULL | {
    "description": "The time of the oldest numbers, for accounts with very many orders or people; otherwise null."
}
_PEOPLE = {"total": COUNT | {"description": "The number of people who match."}, "currency": STRING, "as_of": _AS_OF}
_BOUND = {"anyOf": [DECIMAL, {"type": "null"}]}

_RESULTS = array(
    {
        "type": "object",
        "description": "The result for one person. It has `orders` only if they were requested.",
        "properties": {
            "customer": {"type": "boolean"},
            "orders": array(closed(
                "An order of the person.",
                order_id=STRING, order_public_id=TEXT, source=_SOURCE, provider=TEXT, ordered_at=TIME,
                date=_IN_ZONE, currency=STRING, total=DECIMAL,
                refunds=DECIMAL, net=DECIMAL, new_buyer={"type": ["boolean", "null"]},
                metadata=ANYTHING | {"description": "For shopper activity, the custom attributes."},
            )),
            "more": {"type": "boolean", "description": "Whether there are more orders than are listed."},
        },
        "required": ["customer"],
        "additionalProperties": False,
    }
)  # fmt: skip
_NOTES = STRINGS | {"description": "Warnings about values that were rounded, ignored or not understood."}
_ORDER = {
    "id": UUID | {"description": "Tillbook's id of the order."},
    "order_id": STRING,
    "currency": STRING,
    "total": DECIMAL,
    "customer": closed("The customer.", id=TEXT, email_sha256=HASH),
    "metadata": {"type": "object", "additionalProperties": STRING},
    "order_items": array(ref("OrderItemAnswer")),
    "shipping_address": {"anyOf": [ref("OrderAddressAnswer"), {"type": "null"}]},
    "billing_address": {"anyOf": [ref("OrderAddressAnswer"), {"type": "null"}]},
    "order_date": TIME,
}

SCHEMAS: dict[str, Schema] = {
    "Received": {
        "type": "object",
        "description": "The result of a webhook, which has one of these fields.",
        "properties": {
            "request_ids": array(UUID) | {"description": "Ids of the events that were queued."},
            "ignored": STRING | {"description": "Why no order counts: a ping, another topic, a draft, a test."},
            "rejected": STRING | {"description": "Why a genuine webhook was not accepted."},
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    },
    "OrderAnswer": closed(
        "An order in an answer of the Orders API. Amounts have at least one decimal place.", **_ORDER
    ),
    "StoredOrder": {
        **closed("The order, with the notes of its latest 10 requests if there are any.", **_ORDER),
        "properties": _ORDER | {
            "shipping_address": {"anyOf": [ref("StoredAddress"), {"type": "null"}]},
            "billing_address": {"anyOf": [ref("StoredAddress"), {"type": "null"}]},
            "notes": _NOTES,
        },
    },
    "StoredAddress": {
        **_ADDRESS,
        "description": "An address of a v1 order in an answer of GET, with name and country.",
        "properties": _ADDRESS["properties"] | {"name": TEXT, "country": TEXT | {"examples": ["USA"]}},
    },
    "OrderItemAnswer": closed(
        "An item of a v1 order.",
        category=STRINGS, description=TEXT, identifier=STRING,
        metadata={"type": "object", "additionalProperties": STRING}, price=DECIMAL, quantity={"type": "integer"},
        total=DECIMAL,
    ),
    "OrderAddressAnswer": _ADDRESS,
    "Accepted": closed("The event was queued. Get its outcome by this id.", request_id=UUID),
    "AcceptedBatch": closed(
        "The events were queued. Each has an id, in the order of the batch.", request_ids=array(UUID)
    ),
    "RequestStatus": {
        **closed("The outcome of a request.", **_REQUEST),
        "properties": _REQUEST | {"original_request_id": UUID, "notes": _NOTES},
    },
    "Person": closed(
        "A person, with lifetime value.", **_PERSON, first_order_at=TIME_OR_NULL, last_order_at=TIME_OR_NULL,
    ),
    "ListedPerson": closed("A person in a list, with lifetime value.", **_PERSON, **_ORDERED),
    "PeopleList": {
        **page("people", "ListedPerson"),
        "properties": page("people", "ListedPerson")["properties"] | _PEOPLE,
        "required": ["people", "next_cursor", *_PEOPLE],
    },
    "Segments": closed(
        "The number of customers in each segment.",
        segments=array(closed(
            "A segment: its customers meet all bounds that are not null.",
            name=STRING, currency=STRING, min_lifetime_value=_BOUND, max_lifetime_value=_BOUND,
            **dict.fromkeys(("min_orders", "max_orders"), COUNT_OR_NULL),
            **dict.fromkeys(("min_days", "max_days"), COUNT_OR_NULL | {"description": "Days since the last order."}),
            people=COUNT, lifetime_value=DECIMAL | {"description": "The sum over these customers."},
        )),
        people=COUNT | {"description": "All customers with an order that counts, in a segment or not."}, as_of=_AS_OF,
    ),
    "Activity": closed(
        "One entry of a timeline.",
        name=STRING | {"examples": ["Placed an order"]}, occurred_at=TIME, request_id=UUID,
        order=ANYTHING | {"description": "The order's fields in this event."},
        properties=ANYTHING | {"description": "Custom attributes, with their JSON types."},
    ),
    "ActivityPage": page("activity", "Activity"),
    "Account": closed(
        "The account and the key of the request.",
        account_id=STRING, name=TEXT, currency=STRING, sources=array(_SOURCE),
        time_zone=STRING | {"description": "The time zone of the days in reports, as an IANA name."},
        segments=array(ANYTHING) | {"description": "Segments of customers. Each has a name and bounds."},
        key=closed("The key.", id=STRING, label=TEXT, role={"enum": ["ingest", "admin"]}),
    ),
    "HistoryEntry": closed(
        "An event of an order, with the order's contribution to lifetime value after it.",
        name=STRING, action=STRING, occurred_at=TIME, received_at=TIME, request_id=UUID,
        late={"type": "boolean", "description": "Whether an event with a later time was received before this one."},
        notes=_NOTES,
        person=TEXT | {"description": "Tillbook's id of the person whose lifetime value the order counts in."},
        before={"anyOf": [_VALUE, {"type": "null"}]},
        lifetime_value=_VALUE,
    ),
    "HistoryPage": page("history", "HistoryEntry"),
    "Summary": closed(
        "The number of requests by day of receipt (UTC).",
        **{"from": DATE, "to": DATE},
        earlier={"type": ["string", "null"], "format": "date",
                 "description": "If time ran out: the `to` of a request for the earlier days."},
        requests=array(closed(
            "The requests of one day, API and status.", day=DATE, source=_SOURCE, status=STRING, count=COUNT,
        )),
        refused=array(closed("A reason why requests did not count.", status=STRING, reason=STRING, count=COUNT)) | {
            "description": "Reasons of the latest 1,000 failed and 1,000 rejected requests, the most frequent first."
        },
    ),
    "SalesReport": {
        **closed("The sales report.", **_SALES),
        "properties": _SALES | {"compared_with": {"anyOf": [
            closed("The same sums for the earlier period.", **_PERIOD), {"type": "null"},
        ]}},
        "required": [*_SALES, "compared_with"],
    },
    "SalesRow": {
        **closed("The sums of a period and group. By category or item, they are quantity and amount.", **_ROW),
        "properties": _ROW | _ORDER_SUMS | _ITEM_SUMS,
    },
    "SalesTotal": closed("Sums of the whole report, in one currency.", currency=STRING, orders=COUNT, **_ORDER_SUMS),
    "ListedOrder": closed(
        "An order in a list.",
        order_id=STRING, order_public_id=TEXT, source=_SOURCE, provider=TEXT,
        status=STRING | {"description": "The latest action; v1: submitted or edited. Voided orders do not count."},
        ordered_at=TIME, date=_IN_ZONE, currency=STRING, total=DECIMAL,
        refunds=DECIMAL,
        net=DECIMAL | {"description": "The order's contribution to lifetime value."},
        new_buyer={"type": ["boolean", "null"]}, promo_code=TEXT,
        person=TEXT | {"description": "Tillbook's id of the person."},
        items=array(closed("Items with one identifier and category.", identifier=TEXT, category=TEXT, **_ITEM_SUMS)),
    ),
    "OrderList": page("orders", "ListedOrder"),
    "ShopperOrder": {
        "type": "object",
        "description": "A v3 order. Each field has its value in the latest event that carries it.",
        "properties": {
            "provider": STRING, "order_id": STRING, "status": STRING, "person": STRING, "currency": STRING,
            "grand_total": {"anyOf": [DECIMAL, {"type": "null"}], "description": "null if no event has it yet."},
            "refund_amount": DECIMAL, "lifetime_value": DECIMAL, "flags": STRINGS, "notes": _NOTES, "events": COUNT,
            "first_occurred_at": TIME, "last_occurred_at": TIME, "properties": ANYTHING,
        },
        "required": ["order_id", "grand_total", "lifetime_value"],
    },
    "OrderPage": closed(
        "A page of orders of either API, newest first.",
        orders=array({"anyOf": [ref("StoredOrder"), ref("ShopperOrder")]}), next_cursor=TEXT,
    ),
    "Subscribers": closed(
        "A person in the form of the v2 API.",
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
    "MatchResults": {
        **closed("The result for each person, in the order of the request.", results=_RESULTS),
        "properties": {"results": _RESULTS, "notes": _NOTES},
    },
    "JobStarted": closed("The job that was started.", job_id=STRING),
    "Job": closed(
        "A job and its progress.",
        job_id=STRING, kind=STRING, status={"enum": ["queued", "running", "done", "failed"]}, done=COUNT, total=COUNT,
        error=TEXT,
    ),
    "Transaction": {
        **closed(
            "A request with its outcome.",
            **_REQUEST, source={"enum": ["orders_api", "shopper_activity"]}, action=STRING, provider=TEXT,
            order_id=TEXT, route=TEXT, key_label=TEXT, fields=STRINGS, notes=STRINGS,
            effects=array(closed("A change of lifetime value in one currency.", **_EFFECT)),
        ),
        "additionalProperties": {"type": "string"},
    },
    "TransactionPage": page("transactions", "Transaction"),
    "DeadLetter": closed(
        "An accepted event that could not be applied.",
        id=STRING, reason=STRING, failed_at=TIME, received_at=TIME, attempts=COUNT, source=_SOURCE, action=TEXT,
        provider=TEXT, order_id=TEXT, amount=_DECIMAL_OR_NULL | {"description": "grand_total of the event."},
        refund_amount=_DECIMAL_OR_NULL, currency=TEXT,
        payload={"type": ["object", "null"], "additionalProperties": True, "description": "The stored event. "
                 "null if the dead letter is from the v1 API, or if the query excludes payloads."},
    ),
    "DeadLetterCount": closed("The number of dead letters.", count=COUNT, more=_MORE),
    "TransactionCounts": closed(
        "The number of requests by status.", **{"from": DATE, "to": DATE},
        counts=array(closed("The number of requests with a status.", status=STRING, count=COUNT, more=_MORE)),
    ),
    "ApiKey": closed("An API key, without its secret.", **_KEY),
    "NewApiKey": closed("The key and its secret, which no later answer shows.", **_KEY, secret=STRING),
    "KeyPage": page("keys", "ApiKey"),
    "Connection": closed("A shop's platform that sends webhooks to Tillbook.", **_CONNECTION),
    "NewConnectionAnswer": closed(
        "The connection, and the steps to set it up in the shop.", **_CONNECTION,
        secret=TEXT | {"description": "The secret, which no later answer shows; null if the platform generates it."},
        setup=STRING | {"description": "The steps to set it up in the shop."},
    ),
    "ConnectionPage": page("connections", "Connection"),
    "DeadLetterPage": page("deadletters", "DeadLetter"),
    "Replayed": closed(
        "The dead letters that were queued again.", replayed=COUNT,
        next_cursor=TEXT | {"description": "If there was no time for all: send it as `cursor` in the next request."},
    ),
    "LifetimeValueChanged": _cloud_event(
        "lifetime_value.changed", "The lifetime value of a person in one source and currency changed.",
        closed(
            "The change.", account_id=STRING, source=_SOURCE,
            counted={"type": "boolean", "description": "Whether the account counts the source in lifetime values."},
            person=closed("The person.", id=STRING, email_sha256=HASH, person_id=TEXT, customer_id=TEXT),
            currency=STRING, before=DECIMAL, after=DECIMAL,
            orders_count=COUNT | {"description": "The number of the person's orders in the source, in all currencies."},
            order={"anyOf": [_ORDER_IDS, {"type": "null"}], "description": "The order that caused the change, "
                   "or the last of several in one transaction. null if it no longer exists."},
            cause={"anyOf": [closed("The event.", action=TEXT, request_id=STRING), {"type": "null"}],
                   "description": "The event that caused it. null for a correction without an event."},
        ),
        sequence=STRING | {
            "description": "Of the person's events in this source and currency, the one with the largest sequence, "
            "compared as text, is the latest."
        },
    ),
    "OrderApplied": _cloud_event("order.applied", "A request was applied.", closed("The request.", **_REQUEST_DATA)),
    "OrderFailed": _cloud_event(
        "order.failed", "An accepted request failed; it may be a dead letter.", closed("The request.", **_REQUEST_DATA)
    ),
    "OrdersPurged": _cloud_event(
        "orders.purged", "All orders of a source were purged, so all its lifetime values are 0.",
        closed("The purge.", account_id=STRING, source=_SOURCE, received_up_to=TIME),
    ),
    "Error": closed(
        "An error of the v1 API.",
        error=closed(
            "The error.",
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
        "An error of the v2 or v3 API, with all faults at once.",
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
                    "attribute": TEXT | {"description": "The wrong field, as items[0].price.", "examples": ["email"]},
                    "message": STRING,
                },
                "required": ["code", "message"],
                "additionalProperties": False,
            },
        },
    ),
    "GatewayError": closed("An answer of the API gateway itself.", message=STRING),
}  # fmt: skip
