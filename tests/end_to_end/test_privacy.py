"""No e-mail field is ever stored, queued, logged, measured or answered in an error in clear.

Runs last, and looks at what all other tests left too. First a shop sends addresses in every way it can think of:
accepted, rejected, without a key, malformed, crashing.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import time
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.front_door import Answer, access_line
from local.stack import Stack
from tests.end_to_end.privacy import (
    LEDGER,
    MARKER_DOMAIN,
    PUBLISHED,
    RECORDS,
    Leak,
    UnreadableError,
    leaks,
    messages,
    table_items,
    texts,
)
from tests.end_to_end.shop import Reply, Shop, basic, segment
from tests.end_to_end.test_order_path import event, queued
from tillbook.aws.items import raw
from tillbook.rules.identity import Person, email_sha256
from tillbook.rules.packing import pack

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
    packed = gzip.compress(json.dumps(event(shop, email=email("gzip"), order_id="8")).encode(), mtime=0)
    yield shop.order(packed, headers={"content-encoding": "gzip"})
    keyed = {"headers": {"idempotency-key": "k-1"}}
    yield shop.order(event(shop, email=email("keyed"), order_id="9"), **keyed)
    # The same key and order with another content is not applied, and says why. Of another order it is another event.
    yield shop.order(event(shop, email=email("keyed-again"), order_id="9"), **keyed)
    yield shop.order(event(shop, email=email("keyed-other"), order_id="10"), **keyed)
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
    yield shop.order(gzip.compress(malformed, mtime=0)[:-12], headers={"content-encoding": "gzip"})
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


def manage(shop: Shop, email: Callable[[str], str]) -> Iterator[Reply]:
    """Jobs, dead letters and what an admin may get wrong, with addresses wherever one fits."""
    audience = shop.send("GET", "/v1/audiences").json[0]["id"]
    yield shop.send("POST", f"/v1/audience/{audience}/rebuild", {"email": email("rebuild")})
    yield shop.send("POST", f"/v1/audience/{email('audience')}/rebuild")
    yield shop.send("POST", f"/v1/audience/{audience}/match", {"people": [{"email": email("match")}]})
    yield shop.send("POST", f"/v1/audience/{audience}/match", {"people": [{"email": [email("match-list")]}]})
    yield shop.send("DELETE", shop.person_path(email("plain")))
    yield shop.send("DELETE", shop.person_path(email("nobody-to-erase")))
    yield shop.send("DELETE", "/v1/transactions", {"confirm": email("confirm"), "source": email("source")})
    yield shop.send("GET", f"/v1/jobs/{email('job')}")
    yield shop.send("GET", f"/v1/transactions?order_id={email('order')}&request_id={email('request')}")
    yield shop.send("POST", f"/v1/deadletters/{email('deadletter')}/replay")
    yield shop.send("DELETE", f"/v1/deadletters/{email('discard')}", {"reason": "none"})


# A function of ours that meets an error nobody expected, whose text is all that was sent.
CRASHING = """
import json
from tillbook.records import rejections
from tillbook.rules import errors
from tillbook.work import processing
from tillbook.web import endpoint

flying = {}

def explode(*_arguments, **_named):
    try:
        raise KeyError(json.dumps(flying))
    except KeyError:
        raise ValueError(json.dumps(flying))

@endpoint.endpoint
def api(request):
    if request.json()["crash"] == "inside":
        explode()
    raise errors.Malformed("Refused.")

def handler(event, context):
    flying.update(event)
    rejections.note = processing._build = explode
    return (processing.process if "Records" in event else api)(event, context)
"""
NAKED = """
def handler(event, context):
    raise ValueError(event["body"])
"""


@contextmanager
def planted(stack: Stack, code: str) -> Iterator[Callable[[Any], str]]:
    """A function with this code beside ours, with the role, layer and environment of one of them."""
    functions = stack.boto3_client("lambda")
    model = functions.get_function(FunctionName=stack.resources["SubmitOrder"])["Configuration"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("app.py", code)
    functions.create_function(
        FunctionName="planted",
        Handler="app.handler",
        Code={"ZipFile": archive.getvalue()},
        Layers=[layer["Arn"] for layer in model["Layers"]],
        **{name: model[name] for name in ("Role", "Runtime", "Environment", "Timeout", "MemorySize")},
    )
    try:
        yield lambda event: str(
            functions.invoke(FunctionName="planted", Payload=json.dumps(event))["Payload"].read().decode()
        )
    finally:
        functions.delete_function(FunctionName="planted")


def crash_in_flight(stack: Stack, shop: Shop, email: Callable[[str], str]) -> list[str]:
    """What the function answers that crashes with a person's data in its hands."""
    flying = {"email": email("flying"), "customer_email": email("flying-v1")}
    events = [
        {
            "routeKey": "POST /v1/order",
            "rawPath": path,
            "headers": {"authorization": f"Bearer {shop.admin_key}", "content-type": "application/json"},
            "pathParameters": {"id_or_email": email("flying-path")},
            "body": json.dumps(flying | {"crash": where}),
        }
        for path in ("/v1/order", "/v3/order")
        for where in ("inside", "while it is refused")
    ]
    with planted(stack, CRASHING) as invoke:
        return [invoke(event) for event in [*events, {"Records": [{"body": json.dumps(flying)}]}]]


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


def all_lying(stack: Stack, wanted: list[str]) -> list[str]:
    """The bodies of what is queued, once all of `wanted` is in them, or after the last look.

    A v1 write is announced ahead of it, and that waits a second; what failed waits for two, and for ten if it failed
    again. Each look counts as a delivery, so there are few.
    """
    lying: list[str] = []
    for seconds in (1.5, 3, 15):
        time.sleep(seconds)
        lying = messages(stack, "OrdersQueueUrl")
        decoded = [text for body in lying for text in texts(body)]
        if all(any(part in text for text in decoded) for part in wanted):
            break
    return lying


# ------------------------------------------------------------------------------ the scan


def all_leaks(stack: Stack) -> list[Leak]:
    return [
        *leaks("tables", table_items(stack)),
        *leaks("queue", messages(stack, "OrdersQueueUrl")),
        *leaks("dead-letter queue", messages(stack, "DeadLettersQueueUrl")),
        # Metrics are lines of the logs.
        *leaks("function logs", stack.logs().splitlines()),
        *leaks("access log", stack.access_log().splitlines()),
    ]


@stack_test
def test_no_email_is_kept_in_clear(stack: Stack, shop: Shop, output: list[str]) -> None:
    sent: set[str] = set()

    def email(name: str) -> str:
        sent.add(name)
        return shop.email(name)

    accepted = [*v3_accepted(shop, email), *v1_accepted(shop, email)]
    assert {reply.status for reply in accepted} == {200, 201, 202}, [r.text for r in accepted if r.status >= 300]
    refused = [*v3_refused(shop, email), *v1_refused(shop, email)]
    assert {reply.status for reply in refused} == {400, 401, 403, 404, 405, 409, 413, 415, 422}
    ids = [i for r in accepted if r.status == 202 for i in r.json.get("request_ids", [r.json.get("request_id")])]
    assert set(shop.outcomes(ids)) == {"applied", "failed"}
    read, managed = [*v3_read(shop, email)], [*manage(shop, email)]
    assert {reply.status for reply in read} == {200, 400, 401, 403, 404, 405}
    assert {reply.status for reply in managed} == {200, 202, 400, 404}
    errors = [reply for reply in [*refused, *read, *managed] if reply.status >= 400]
    assert list(leaks("error answers", [(reply.text, *reply.headers.values()) for reply in errors])) == []
    crash(stack, shop, email)
    crashed = crash_in_flight(stack, shop, email)
    # Answered where it is caught; where it is not, the kind of error is all that goes out.
    assert ["statusCode" in answer for answer in crashed] == [True, False, True, False, False]
    assert all("ValueError" in answer for answer in crashed if "statusCode" not in answer)
    assert list(leaks("answers of a crash", crashed)) == []
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
        wanted = [waiting[0], waiting[1], waiting[-1], '"writes"', "poison-0"]
        lying = all_lying(stack, wanted)
        found = list(leaks("queue", lying))
    assert not found
    # The scan saw them: one as text, the batch compressed, the v1 write, and the one that failed.
    decoded = [text for body in lying for text in texts(body)]
    assert any(body.startswith("z") for body in lying)
    for part in wanted:
        assert any(part in text for text in decoded), part
    assert set(shop.outcomes([waiting[0], waiting[1], waiting[-1]])) == {"applied"}

    assert all_leaks(stack) == []
    assert list(leaks("local stack", [*output, stack.aws.log.read_text(errors="replace")])) == []
    items = list(table_items(stack))
    assert any(item["pk"] == f"{shop.account}/d" for item in items)
    for kind in ("t/failed/", "t/rejected/", "t/duplicate/", "l", "j", "u"):
        assert any(item["pk"].startswith(f"{shop.account}/{kind}") for item in items), kind
    logged = stack.logs()
    assert '"CloudWatchMetrics"' in logged
    assert '"crashed"' in logged
    accesses = [json.loads(line) for line in stack.access_log().splitlines()]
    assert {"GET /v2/{account_id}/subscribers/{id_or_email}", "$default"} < {line["routeKey"] for line in accesses}
    assert {"202", "413", "422"} < {line["status"] for line in accesses}
    for route in ("POST /v1/order", "POST /v3/{account_id}/shopper_activity/order", "GET /v2/"):
        assert route in logged
    assert '"unexpected"' in logged
    assert '"order failed"' in logged


# ------------------------------------------------------------------------------ erasure


@stack_test
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_of_an_erased_person_and_of_a_purged_account_is_left(stack: Stack, shop: Shop) -> None:
    purged = Shop.open(stack)
    purge = purge_of_all(purged)

    email, mark = shop.email("erased"), "Zyxomma"
    address = {"address_1": f"1 {mark} St", "postal_code": "12345", "name": f"Ann {mark}", "first_name": mark}
    personal = {"billing_address": address, "shipping_address": address, "nick_name": f"the {mark}"}
    personal["items"] = [{"product_id": "1", "name": f"For {mark}", "price": 1, "quantity": 1}]
    shop.applied(event(shop, email=email, grand_total=5, **personal))
    shop.applied(event(shop, "refunded", email=email, refund_amount=1, occurred_at="2026-02-01T00:00:00Z", **personal))
    keyed = {"headers": {"idempotency-key": "k"}}
    shop.applied(event(shop, email=email, order_id="2", grand_total=5, **personal), **keyed)
    other = shop.order(event(shop, email=email, order_id="2", grand_total=6, **personal), **keyed).json["request_id"]
    assert shop.outcome(other)["status"] == "failed"
    assert shop.order(event(shop, email=email, order_id="", **personal)).status == 422
    v1 = DATE | {"total": 3, "customer_email": email, "shipping_address": address, "billing_address": address}
    for order_id in ("v1-kept", "v1-deleted"):
        assert shop.submit(v1 | {"order_id": order_id}).status == 201
    assert shop.submit(v1 | {"order_id": "v1-kept"}).status == 201
    assert shop.edit("v1-kept", {"total": 4, "metadata": {"note": mark}}).status == 200
    assert shop.delete("v1-deleted").status == 200
    dead = queued(shop, "erased")
    dead["body"] |= {"grand_total": "not a number", **personal}
    stack.boto3_client("sqs").send_message(
        QueueUrl=stack.outputs["OrdersQueueUrl"], MessageBody=json.dumps({"v": 1, "orders": [dead], "tries": 4})
    )
    assert shop.outcome(dead["request_id"])["status"] == "failed"

    person = Person("email", email_sha256(email)).id_in(shop.account)
    traces = (email, email_sha256(email), mark, person)
    before = {leak.place for leak in traces_of(stack, *traces)}
    assert before == {"tables"}

    reply = shop.send("DELETE", shop.person_path(email))
    assert reply.status == 202
    end = time.monotonic() + 600
    for client, job_id in ((purged, purge), (shop, reply.json["job_id"])):
        while (job := client.send("GET", f"/v1/jobs/{job_id}").json)["status"] != "done":
            assert job["status"] != "failed"
            assert time.monotonic() < end, job
            time.sleep(0.5)
    # What is left is the mark that takes what is still queued: our own id of them, for 30 days. Dead letters are queued
    # again, and come to nothing.
    (left,) = [item for item in table_items(stack) if item["sk"].startswith(f"p{person}")]
    while {leak.text for leak in traces_of(stack, *traces)} != {left["sk"]}:
        assert time.monotonic() < end, traces_of(stack, *traces)
        time.sleep(0.5)
    assert (left["pk"], left["sk"]) == (f"{shop.account}/u", f"p{person}")
    assert set(left) == {"pk", "sk", "cut", "ttl"}
    assert shop.send("GET", shop.person_path(email)).status == 404
    # The same event again stays erased.
    again = shop.order(event(shop, email=email, order_id="2", grand_total=5, **personal), **keyed).json["request_id"]
    outcome = shop.outcome(again)
    assert (outcome["status"], outcome["reason"].partition(":")[0]) == ("failed", "erased")

    kept = {item["sk"]: item for item in of_account(stack, purged, "ledger")}
    assert {item["pk"].split("/")[1] for item in kept.values()} == {"s1"}  # of what was sent after the answer
    outcomes = [item for item in of_account(stack, purged, "records") if item["pk"].split("/")[1] in ("t", "x", "d")]
    assert {item["order_id"] for item in outcomes} == {"after"}


def purge_of_all(shop: Shop) -> str:
    """Has a bit of everything purged, and looks that it is out of sight from the answer on. Returns the job's id."""
    email = shop.email("purged")
    shop.applied(event(shop, email=email, order_id="1", grand_total=5))
    assert shop.outcome(shop.order(event(shop, email=email, order_id="1", grand_total=5)).json["request_id"])
    assert shop.submit(DATE | {"order_id": "v1", "total": 3, "customer_email": email}).status == 201
    assert shop.person(email)["lifetime_value"] == {"USD": "8.00"}
    reply = shop.send("DELETE", "/v1/transactions", {"confirm": "purge"})
    assert reply.status == 202, reply.text
    for path in (shop.person_path(email), "/v1/order/v1", f"/v3/{shop.account}/orders/my_shop/1"):
        assert shop.send("GET", path).status == 404, path
    assert shop.send("GET", "/v1/transactions").json["transactions"] == []
    assert {a["member_count"] for a in shop.send("GET", "/v1/audiences").json} == {0}
    shop.applied(event(shop, email=email, order_id="after", grand_total=7))
    assert shop.person(email)["lifetime_value"] == {"USD": "7.00"}
    return str(reply.json["job_id"])


def of_account(stack: Stack, shop: Shop, table: str) -> list[dict[str, Any]]:
    name = {"ledger": LEDGER, "records": RECORDS}[table]
    return [item for item in table_items(stack, name) if item["pk"].startswith(f"{shop.account}/")]


def traces_of(stack: Stack, *traces: str) -> list[Leak]:
    return [
        *leaks("tables", table_items(stack), *traces),
        *leaks("queue", messages(stack, "OrdersQueueUrl"), *traces),
        *leaks("dead-letter queue", messages(stack, "DeadLettersQueueUrl"), *traces),
        *leaks("function logs", stack.logs().splitlines(), *traces),
        *leaks("access log", stack.access_log().splitlines(), *traces),
    ]


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
        {"pk": "a", "reason": f"{ADDRESS} is not known"},
        {"pk": ADDRESS},
        {ADDRESS: "a"},
        {"pk": "a", "body": pack(BODY)},
        {"pk": "a", "m": "z" + b64encode(zlib.compress(json.dumps(BODY).encode())).decode()},
        f"body {b64encode(gzip.compress(json.dumps(BODY).encode(), mtime=0)).decode()} was refused",
        *(f"x {b64encode(b'.' * shift + ADDRESS.encode()).decode()}" for shift in range(3)),
    ],
)
def test_the_scan_finds_a_planted_address(value: Any) -> None:
    assert [leak.place for leak in leaks("here", [{"clean": "a"}, value])][:1] == ["here"]


def test_the_scan_finds_nothing_where_there_is_nothing() -> None:
    body = pack({"order_id": "1", "email_sha256": "0" * 64})
    clean = {"pk": "1/s0/e/0", "body": body, "events": 1, "m": "z", "total": None}
    assert list(leaks("here", [clean, "example.org", b64encode(b"x" * 90).decode()])) == []


@pytest.mark.parametrize("data", [b"", b"\x02abc", b"\x01abc", ADDRESS.encode()])
def test_bytes_that_the_scan_cannot_read_do_not_pass_for_clean(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        list(leaks("here", [{"body": data}]))


@pytest.mark.parametrize(
    ("log_format", "found"),
    [
        ('{"routeKey":"$context.routeKey","status":"$context.status"}', False),
        ('{"path":"$context.path"}', True),
        ('{"agent":"$context.identity.userAgent"}', True),
        ('{"error":"$context.integrationErrorMessage"}', True),
    ],
)
def test_the_scan_finds_an_address_in_the_access_log(log_format: str, found: bool) -> None:
    scope = {
        "method": "GET",
        "raw_path": f"/v3/1/people/{ADDRESS}".encode(),
        "http_version": "1.1",
        "headers": [(b"User-Agent", ADDRESS.encode())],
    }
    line = access_line(log_format, scope, Answer(500, [], b"", f"KeyError: {ADDRESS}"), "1", "GET /v3", 0.0)
    assert bool(list(leaks("access log", [line]))) is found


@stack_test
def test_the_scan_finds_what_is_planted_in_the_stack(stack: Stack) -> None:
    tables, queues, logs = (stack.boto3_client(service) for service in ("dynamodb", "sqs", "logs"))
    keys = [{"pk": f"planted/{kind}", "sk": "p"} for kind in ("s0/e/0", "j", "t/rejected/s0", "d")]
    for name in (LEDGER, RECORDS):
        for key in keys:
            tables.put_item(TableName=stack.outputs[name], Item=raw(key | {"body": pack(BODY)}))
    url = stack.outputs["DeadLettersQueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="z" + b64encode(zlib.compress(ADDRESS.encode())).decode())
    accesses = stack.directory / "access.log"
    kept = accesses.read_text()
    accesses.write_text(f"{kept}GET /v3/1/people/{ADDRESS}\n")
    metric = {"_aws": {"CloudWatchMetrics": [{"Namespace": "Tillbook", "Dimensions": [["email"]]}]}, "email": ADDRESS}
    code = f"def handler(event, context):\n    print({json.dumps(json.dumps(metric))})\n"
    try:
        with planted(stack, code) as invoke:
            invoke({})
        with planted(stack, NAKED) as invoke:
            assert list(leaks("answer", [invoke({"body": ADDRESS})]))
        end = time.monotonic() + 120
        # What a function prints may come a moment after its answer.
        while len(found := [leak.place for leak in all_leaks(stack)]) < 12 and time.monotonic() < end:
            time.sleep(0.2)
        assert found[:9] == ["tables"] * 8 + ["dead-letter queue"]
        assert set(found[9:]) == {"function logs", "access log"}
        assert len(found[9:]) >= 3
    finally:
        for name in (LEDGER, RECORDS):
            for key in keys:
                tables.delete_item(TableName=stack.outputs[name], Key=raw(key))
        queues.purge_queue(QueueUrl=url)
        accesses.write_text(kept)
        logs.delete_log_group(logGroupName="/aws/lambda/planted")
    assert all_leaks(stack) == []
