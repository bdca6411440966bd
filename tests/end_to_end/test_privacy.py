"""No e-mail field is ever stored, queued or logged in clear. Runs last, and looks at what all other tests left too.

First a shop sends addresses in every way it can think of: accepted, rejected, without a key, malformed, crashing.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.stack import Stack
from tests.end_to_end.privacy import (
    MARKER_DOMAIN,
    PUBLISHED,
    Leak,
    UnreadableError,
    leaks,
    messages,
    table_items,
    texts,
)
from tests.end_to_end.shop import Reply, Shop, basic, segment
from tests.end_to_end.test_order_path import event, queued
from tillbook.packing import pack
from tillbook.table import raw

stack_test = pytest.mark.stack
COUNT = "ApproximateReceiveCount"
DATE = {"order_date": "2026-02-03"}


# ------------------------------------------------------------------ what a shop may send


def v3_accepted(shop: Shop, email: Callable[[str], str]) -> Iterator[Reply]:
    yield shop.order(event(shop, email=email("plain"), grand_total=1))
    yield shop.order(event(shop, email=f"  {email('padded').upper()}\n", order_id="2"))
    yield shop.order(event(shop, email=email("a'b+c/ü"), order_id="3"))
    yield shop.order(event(shop, email=None, person_id=email("as-person-id"), order_id="4"))
    # person_id wins, and the e-mail is ignored, whatever it is.
    yield shop.order(event(shop, person_id="p-5", email=email("ignored"), order_id="5"))
    yield shop.order(event(shop, person_id="p-6", email=[f"Ann <{email('ignored-list')}>"], order_id="6"))
    yield shop.order(event(shop, person_id=f" {email('padded-person-id')} ", email="x", order_id="7"))
    packed = gzip.compress(json.dumps(event(shop, email=email("gzip"), order_id="8")).encode())
    yield shop.order(packed, headers={"content-encoding": "gzip"})
    keyed = {"headers": {"idempotency-key": "k-1"}}
    yield shop.order(event(shop, email=email("keyed"), order_id="9"), **keyed)
    # The same key with another content is not applied, and says why.
    yield shop.order(event(shop, email=email("keyed-again"), order_id="10"), **keyed)
    yield shop.order(event(shop, email=email("no-time"), order_id="11", occurred_at=None))
    # E-mail fields that clients in use send besides those of the contract.
    others = {"new_email": email("new"), "customer_email": f" {email('customer')} "}
    addresses = {"billing_address": {"email": email("billing")}, "shipping_address": {"email": email("shipping")}}
    yield shop.order(event(shop, email=email("others"), order_id="12", **others, **addresses))
    # Large enough to be packed and compressed on its way through the queue.
    yield shop.batch([event(shop, email=email(f"b{n}"), order_id=f"b{n}", note="x" * 500) for n in range(120)])


def v3_refused(shop: Shop, email: Callable[[str], str]) -> Iterator[Reply]:
    for sent in (f"{email('two')}@x.org", f"Ann <{email('named')}>", [email("list")], {"is": email("object")}):
        yield shop.order(event(shop, email=sent))
    yield shop.order(event(shop, email=email("bad-action"), action="bought"))
    yield shop.order(event(shop, email=email("too-long") + "x" * 300))
    yield shop.order(event(shop, email=None, person_id=email("bad-total"), grand_total="much"))
    yield shop.batch([event(shop, email=email("batch-good")), event(shop, email=email("batch-bad"), order_id="")])
    yield shop.batch([event(shop, email=email("too-many"))] * 1001)
    yield shop.batch({"email": email("no-array")})
    malformed = json.dumps(event(shop, email=email("malformed"))).encode()
    yield shop.order(malformed[:-1])
    yield shop.order(malformed[:-1] + b', "email": "x@y.org"}')
    yield shop.order(malformed + b"\xff")
    yield shop.order(json.dumps(email("only-text")).encode())
    yield shop.order(gzip.compress(malformed)[:-12], headers={"content-encoding": "gzip"})
    yield shop.order(malformed, headers={"content-encoding": "br"})
    yield shop.order(malformed, headers={"content-type": "text/plain"})
    yield shop.order(f"email={email('form')}".encode(), headers={"content-type": "application/x-www-form-urlencoded"})
    yield shop.order(event(shop, email=email("too-large"), note="x" * 256 * 1024))
    yield shop.order(event(shop, email=email("long-key")), headers={"idempotency-key": "k" * 256})
    yield shop.order(event(shop, email=email("no-key")), key="")
    yield shop.order(event(shop, email=email("wrong-key")), key="wrong")
    yield shop.order(event(shop, email=email("email-as-key")), key=email("key"))
    yield shop.send("POST", "/v3/1/shopper_activity/order", event(shop, email=email("other-account")))
    yield shop.send("PUT", f"/v3/{shop.account}/shopper_activity/order", event(shop, email=email("method")))
    yield shop.send("POST", f"/v3/{shop.account}/{email('route')}", event(shop, email=email("route")))


def v3_read(shop: Shop, email: Callable[[str], str]) -> Iterator[Reply]:
    for address in (email("plain"), email("nobody")):
        for path in (f"/v3/{shop.account}/people", f"/v2/{shop.account}/subscribers"):
            yield shop.send("GET", f"{path}/{segment(address)}")
            yield shop.send("GET", f"{path}/{address}?email={address}")
            yield shop.send("GET", f"{path}/{address}", key=shop.ingest_key)
            yield shop.send("GET", f"{path}/{address}", key="")
            yield shop.send("PUT", f"{path}/{address}")
        for part in ("activity", "orders", "activity?cursor=x", "orders?limit=0"):
            yield shop.send("GET", f"/v3/{shop.account}/people/{address}/{part}")
        yield shop.send("GET", f"/v3/{shop.account}/requests/{address}")


def v1_accepted(shop: Shop, email: Callable[[str], str]) -> Iterator[Reply]:
    submission = DATE | {"total": 1}
    yield shop.submit(submission | {"order_id": "1", "customer_email": email("v1")})
    # The same again: the outcome is recorded as a duplicate.
    yield shop.submit(submission | {"order_id": "1", "customer_email": email("v1")})
    both = email("v1-both")
    hashed = hashlib.sha256(both.encode()).hexdigest()
    yield shop.submit(submission | {"order_id": "2", "customer_email": both.upper(), "customer_email_sha256": hashed})
    address = {"shipping_address": {"address_1": "1 Main St", "postal_code": "12345"}}
    yield shop.submit(submission | {"order_id": "3", "customer_id": f" {email('v1-as-customer-id')} "} | address)
    yield shop.submit(submission | {"order_id": "4", "email": email("v1-unknown-field")} | address)
    yield shop.edit("1", {"customer_email": email("v1-edit"), "total": 2})
    yield shop.edit("3", {"customer_id": email("v1-edit-customer-id")})
    yield shop.edit("4", {"customer": {"email": email("v1-edit-unknown")}, "total": 3})
    yield shop.delete("1")


def v1_refused(shop: Shop, email: Callable[[str], str]) -> Iterator[Reply]:
    submission = DATE | {"order_id": "2", "total": 9}
    yield shop.submit(submission | {"customer_email": email("v1-conflict")})
    yield shop.submit(submission | {"customer_email": f"Ann <{email('v1-named')}>"})
    yield shop.submit(submission | {"customer_email": [email("v1-list")]})
    # A frequent mistake: the address where its hash belongs.
    yield shop.submit(submission | {"customer_email_sha256": email("v1-as-hash")})
    yield shop.submit(submission | {"customer_email": email("v1-mismatch"), "customer_email_sha256": "0" * 64})
    yield shop.submit({"order_id": "5", "customer_email": email("v1-no-date")})
    malformed = json.dumps(submission | {"customer_email": email("v1-malformed")}).encode()
    yield shop.submit(malformed[:-1])
    yield shop.submit(malformed[:-1] + b', "customer_email": "x@y.org"}')
    yield shop.submit(malformed, headers={"content-type": "text/plain"})
    yield shop.submit(submission | {"customer_email": email("v1-too-large"), "x": "x" * 256 * 1024})
    yield shop.submit(submission | {"customer_email": email("v1-no-key")}, key="")
    yield shop.submit(submission | {"customer_email": email("v1-wrong-key")}, key="wrong")
    yield shop.edit("2", {"customer_email": email("v1-edit-bad"), "total": -1})
    yield shop.edit("2", {"customer_email_sha256": email("v1-edit-as-hash")})
    yield shop.edit("nothing", {"customer_email": email("v1-edit-nothing")})
    yield shop.edit("2", {"customer_email": email("v1-edit-no-key")}, key="")
    yield shop.send("PUT", "/v1/order/2", {"customer_email": email("v1-method")})
    yield shop.send("POST", "/v1/orders", {"customer_email": email("v1-route")})


def crash(stack: Stack, shop: Shop, email: Callable[[str], str]) -> None:
    """Events that no gateway sends, so that the functions raise where nobody expected it."""
    functions = stack.boto3_client("lambda")
    v1, v3 = DATE | {"order_id": "c", "customer_email": email("crash-v1")}, event(shop, email=email("crash"))
    for name in ("SubmitOrder", "EditOrder", "DeleteOrder", "RecordActivity", "Read", "Fallback", "ProcessOrders"):
        body = v1 if name.endswith("Order") else v3
        whole = {
            "version": "2.0",
            "routeKey": "POST /nowhere",
            "rawPath": f"/v3/{email('crash-path')}",
            "headers": {"authorization": basic(f"{shop.admin_key}:"), "content-type": "application/json"},
            "pathParameters": {"id_or_email": email("crash-parameter")},
            "body": json.dumps(body),
        }
        for broken in (
            {"routeKey": None},
            {"headers": email("crash-headers")},
            {"pathParameters": email("crash-parameters")},
            {"body": body},
            {"body": json.dumps(body), "isBase64Encoded": True},
            {"Records": [{"messageId": "1", "body": json.dumps(body), "attributes": {}}]},
            # An error whose text quotes what was sent.
            {"Records": [{"messageId": "1", "body": '{"v":1}', "attributes": {COUNT: email("crash-count")}}]},
            {"Records": email("crash-records")},
        ):
            functions.invoke(FunctionName=stack.resources[name], Payload=json.dumps(whole | broken))


def poison(stack: Stack, shop: Shop, tries: int) -> str:
    """Queues an accepted event that cannot be applied; returns its request id."""
    order = queued(shop, f"poison-{tries}")
    order["body"]["grand_total"] = "not a number"
    stack.boto3_client("sqs").send_message(
        QueueUrl=stack.outputs["OrdersQueueUrl"],
        MessageBody=json.dumps({"v": 1, "orders": [order], "tries": tries}),
    )
    return str(order["request_id"])


@contextmanager
def processing_paused(stack: Stack) -> Iterator[None]:
    """What is sent meanwhile stays in the queue, where it can be looked at."""
    functions, mapping = stack.boto3_client("lambda"), stack.resources["ProcessOrdersQueue"]
    functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    time.sleep(1.5)  # a poll that is under way still takes what comes
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=mapping, Enabled=True)


# ------------------------------------------------------------------------------ the scan


def all_leaks(stack: Stack) -> list[Leak]:
    return [
        *leaks("tables", table_items(stack)),
        *leaks("queue", messages(stack, "OrdersQueueUrl")),
        *leaks("dead-letter queue", messages(stack, "DeadLettersQueueUrl")),
        *leaks("function logs", stack.logs().splitlines()),
    ]


@stack_test
def test_no_email_is_kept_in_clear(stack: Stack, shop: Shop, output: list[str]) -> None:
    sent: set[str] = set()

    def email(name: str) -> str:
        sent.add(name)
        return shop.email(name)

    accepted = [*v3_accepted(shop, email), *v1_accepted(shop, email)]
    assert {reply.status for reply in accepted} == {200, 201, 202}, [r.text for r in accepted if r.status >= 300]
    statuses = {reply.status for refused in (v3_refused, v1_refused) for reply in refused(shop, email)}
    assert statuses == {400, 401, 403, 404, 405, 409, 413, 415, 422}
    ids = [i for r in accepted if r.status == 202 for i in r.json.get("request_ids", [r.json.get("request_id")])]
    assert set(shop.outcomes(ids)) == {"applied", "failed"}
    assert {reply.status for reply in v3_read(shop, email)} == {200, 400, 401, 403, 404, 405}
    crash(stack, shop, email)
    assert shop.outcome(poison(stack, shop, tries=4))["status"] == "failed"
    assert len(sent) > 150

    # Queued again to wait for its next try.
    poison(stack, shop, tries=0)
    with processing_paused(stack):
        waiting = [r.json["request_id"] for r in (shop.order(event(shop, email=email("w1"), order_id="w1")),)]
        waiting += shop.batch(
            [event(shop, email=email(f"w{n}"), order_id=f"w{n}", note="x" * 500) for n in range(2, 120)]
        ).json["request_ids"]
        assert shop.submit(DATE | {"order_id": "w", "customer_email": email("w-v1")}).status == 201
        time.sleep(1.5)  # what hangs on a v1 write is sent ahead of it and waits a second
        lying = messages(stack, "OrdersQueueUrl")
        found = list(leaks("queue", lying))
    assert not found
    # The scan saw them: one as text, the batch compressed, the v1 write, and the one that failed.
    decoded = [text for body in lying for text in texts(body)]
    assert any(body.startswith("z") for body in lying)
    for request_id in (waiting[0], waiting[1], waiting[-1]):
        assert any(request_id in text for text in decoded)
    assert any('"writes"' in text for text in decoded)
    assert any("poison-0" in text for text in decoded)
    assert set(shop.outcomes([waiting[0], waiting[1], waiting[-1]])) == {"applied"}

    assert all_leaks(stack) == []
    assert list(leaks("local stack", [*output, stack.aws.log.read_text(errors="replace")])) == []
    items = list(table_items(stack))
    assert any(item["pk"] == f"{shop.account}/d" for item in items)
    assert any(item["pk"].startswith(f"{shop.account}/t/failed/") for item in items)
    logged = stack.logs()
    for route in ("POST /v1/order", "POST /v3/{account_id}/shopper_activity/order", "GET /v2/"):
        assert route in logged
    assert '"unexpected"' in logged
    assert '"order failed"' in logged


# ------------------------------------------------------------- the scan finds what there is

ADDRESS = f"ann@{MARKER_DOMAIN}"
BODY = {"order_id": "1", "kept": {"deep": [ADDRESS]}}


@pytest.mark.parametrize(
    "value",
    [
        ADDRESS,
        ADDRESS.upper(),
        PUBLISHED,
        f"GET /v3/1/people/ann%40{MARKER_DOMAIN} HTTP/1.1",
        {"pk": "a", "why": f"{ADDRESS} is not known"},
        {"pk": ADDRESS},
        {ADDRESS: "a"},
        {"pk": "a", "b": pack(BODY)},
        {"pk": "a", "m": "z" + b64encode(zlib.compress(json.dumps(BODY).encode())).decode()},
        f"body {b64encode(gzip.compress(json.dumps(BODY).encode())).decode()} was refused",
        *(f"x {b64encode(b'.' * shift + ADDRESS.encode()).decode()}" for shift in range(3)),
    ],
)
def test_the_scan_finds_a_planted_address(value: Any) -> None:
    assert [leak.place for leak in leaks("here", [{"clean": "a"}, value])][:1] == ["here"]


def test_the_scan_finds_nothing_where_there_is_nothing() -> None:
    clean = {"pk": "1/p/0", "b": pack({"order_id": "1", "email_sha256": "0" * 64}), "n": 1, "m": "z", "x": None}
    assert list(leaks("here", [clean, "example.org", b64encode(b"x" * 90).decode()])) == []


@pytest.mark.parametrize("data", [b"", b"\x02abc", b"\x01abc", ADDRESS.encode()])
def test_bytes_that_the_scan_cannot_read_do_not_pass_for_clean(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        list(leaks("here", [{"b": data}]))


@stack_test
def test_the_scan_finds_what_is_planted_in_the_stack(stack: Stack) -> None:
    tables, queues = stack.boto3_client("dynamodb"), stack.boto3_client("sqs")
    key = {"pk": "planted", "sk": "p"}
    item = raw(key | {"b": pack(BODY)})
    for name in ("LedgerTableName", "RecordsTableName"):
        tables.put_item(TableName=stack.outputs[name], Item=item)
    url = stack.outputs["DeadLettersQueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="z" + b64encode(zlib.compress(ADDRESS.encode())).decode())
    try:
        assert [leak.place for leak in all_leaks(stack)] == ["tables", "tables", "dead-letter queue"]
    finally:
        for name in ("LedgerTableName", "RecordsTableName"):
            tables.delete_item(TableName=stack.outputs[name], Key=raw(key))
        queues.purge_queue(QueueUrl=url)
    assert all_leaks(stack) == []
