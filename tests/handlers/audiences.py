"""Sends orders that fill the audiences, and reads, matches and rebuilds the audiences."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.handlers.shop import (
    ADMIN,
    JOBS_QUEUE,
    Shop,
)
from tillbook.aws.items import raw
from tillbook.aws.settings import settings
from tillbook.ledger.items import head_of
from tillbook.rules.identity import order_key

V1, V3 = "customers-orders-api", "customers-shopper-activity"
ANN, BOB = "ann@example.com", "bob@example.com"
SHIP = {"address_1": "123 Ship St.", "address_2": "Apt. B", "city": "Shipville", "state": "CA", "postal_code": "01234"}
BILL = {"address_1": "9 Bill Ave", "city": "Billtown", "postal_code": "01235-1234"}


def sha(email: str) -> str:
    """The SHA-256 of an e-mail address, in hexadecimal digits."""
    return hashlib.sha256(email.encode()).hexdigest()


def order(order_id: str = "o-1", **changes: Any) -> dict[str, Any]:
    """The body of a v1 order with changes; a change to `...` leaves a field out."""
    body = {"order_id": order_id, "order_date": "2019-09-05", "customer_email": ANN, "total": 100} | changes
    return {name: value for name, value in body.items() if value is not ...}


def submit(shop: Shop, *orders: dict[str, Any]) -> None:
    for body in orders:
        answer = shop.submit(body)
        assert answer.status == 201, answer.body


def send(shop: Shop, *events: dict[str, Any]) -> None:
    """Sends v3 events. Each is applied before the next one is sent."""
    for body in events:
        assert shop.send(body).status == 202
        shop.drain()


def members(shop: Shop, audience: str, limit: int = 200, key: str = ADMIN) -> list[dict[str, Any]]:
    """All members of an audience, read page by page."""
    found: list[dict[str, Any]] = []
    query = {"limit": str(limit)}
    while True:
        answer = shop.get(f"/v1/audience/{audience}", query=query, key=key)
        assert answer.status == 200, answer.body
        assert len(answer.body["members"]) <= limit + 1  # a page ends with a whole order, which may have two members
        found += answer.body["members"]
        if answer.body["next_cursor"] is None:
            return found
        assert answer.body["members"]
        query["cursor"] = answer.body["next_cursor"]


def member_kinds(shop: Shop, audience: str) -> list[tuple[str, str]]:
    """(order id, kind) of each member, sorted. Checks that the audience's member count equals the number of members."""
    found = members(shop, audience)
    assert count(shop, audience) == len(found)
    return sorted((m["order_id"], m["kind"]) for m in found)


def count(shop: Shop, audience: str, key: str = ADMIN) -> int:
    """The member count of an audience. Brings the book up to date first."""
    with shop.faults.suspended():
        shop.keep_book()
    (found,) = [a for a in shop.get("/v1/audiences", key=key).body if a["id"] == audience]
    return int(found["member_count"])


def match(shop: Shop, audience: str, *people: dict[str, Any], key: str = ADMIN) -> list[bool]:
    """Returns for each of the people whether the audience has a matching customer."""
    answer = shop.request("POST", f"/v1/audience/{audience}/match", {"people": list(people)}, key=key)
    assert answer.status == 200, answer.body
    return [result["customer"] for result in answer.body["results"]]


def key_of(order_id: str) -> str:
    """The key under which the ledger stores a v1 order."""
    return order_key("orders_api", "", order_id)


def start_rebuild(shop: Shop, audience: str, key: str = ADMIN) -> str:
    """Starts a rebuild of an audience. Returns the id of its job."""
    answer = shop.request("POST", f"/v1/audience/{audience}/rebuild", key=key)
    assert answer.status == 202, answer.body
    assert answer.body.keys() == {"job_id"}
    return str(answer.body["job_id"])


def job(shop: Shop, job_id: str) -> dict[str, Any]:
    answer = shop.get(f"/v1/jobs/{job_id}")
    assert answer.status == 200, answer.body
    return dict(answer.body)


def deliver_page(shop: Shop) -> None:
    """Delivers the message of one page of a job to ProcessOrders, which runs the page."""
    shop.deliver(shop.receive(JOBS_QUEUE))


def ledger_writes(calls: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [operation for operation, arguments in calls if operation == "TransactWriteItems"]


_NEW_ATTRIBUTES = ("shipping_key", "billing_key", "customer_key", "shipping_at", "shipping", "billing_at", "billing")


def downgrade_ledger(shop: Shop) -> None:
    """Removes the attributes of addresses and customer ids, which an older version did not write. Each order that
    counts then has one audience record."""
    name = settings().ledger_table
    for item in shop.items(name):
        part = str(item["pk"]).split("/")[2]
        if part in ("h", "e"):
            old = {k: v for k, v in item.items() if k not in _NEW_ATTRIBUTES}
            if part == "h" and head_of(item).standing is not None:
                old["records"] = 1
            shop.dynamodb.put_item(TableName=name, Item=raw(old))


def snapshot(shop: Shop) -> list[dict[str, Any]]:
    """The comparable ledger and the sizes of both audiences, to compare two states."""
    return [*shop.comparable_ledger(), {"v1": count(shop, V1), "v3": count(shop, V3)}]
