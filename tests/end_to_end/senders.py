"""Requests and crashes with an e-mail address in every place where a client may put one."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from local.stack import Stack
from tests.end_to_end.events import event, queued_order
from tests.end_to_end.shop import Reply, Shop, segment

COUNT = "ApproximateReceiveCount"
DATE = {"order_date": "2026-02-03"}


def v3_accepted(shop: Shop, email: Callable[[str], str]) -> Iterator[Reply]:
    yield shop.order(event(shop, email=f"Ann <{email('wrapped')}>"))
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
    # The same key and order with other content is not applied, and the outcome says why. The same key with another
    # order is another event.
    yield shop.order(event(shop, email=email("keyed-again"), order_id="9"), **keyed)
    yield shop.order(event(shop, email=email("keyed-other"), order_id="10"), **keyed)
    yield shop.order(event(shop, email=email("no-time"), order_id="11", occurred_at=None))
    # E-mail fields that real clients send in addition to those of the contract.
    others: dict[str, Any] = {"new_email": email("new"), "customer_email": f" {email('customer')} "}
    others |= {"billing_address": {"email": email("billing")}, "shipping_address": {"email": email("shipping")}}
    yield shop.order(event(shop, email=email("others"), order_id="12", **others))
    # Large enough to be packed and compressed on its way through the queue.
    yield shop.batch([event(shop, email=email(f"b{n}"), order_id=f"b{n}", note="x" * 500) for n in range(120)])


def v3_refused(shop: Shop, email: Callable[[str], str]) -> Iterator[Reply]:
    for sent in (f"{email('two')}@x.org", f"Ann: {email('named')}", [email("list")], {"is": email("object")}):
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
    # The same order again, which is recorded as a duplicate.
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
    yield shop.send("POST", "/v1/orderly", {"customer_email": email("v1-route")})


def crash(stack: Stack, shop: Shop, email: Callable[[str], str]) -> None:
    """Invokes functions with events that no gateway and no queue sends, so that they raise unexpected errors."""
    functions = stack.boto3_client("lambda")
    v1, v3 = DATE | {"order_id": "c", "customer_email": email("crash-v1")}, event(shop, email=email("crash"))

    def invoke(name: str, payload: dict[str, Any]) -> None:
        functions.invoke(FunctionName=stack.resources[name], Payload=json.dumps(payload))

    for name in ("SubmitOrder", "EditOrder", "DeleteOrder", "RecordActivity", "Read", "Fallback"):
        body = v1 if name.endswith("Order") else v3
        whole = {
            "version": "2.0",
            "routeKey": next(route.key for route in stack.routes if route.function == name),
            "rawPath": f"/v3/{email('crash-path')}",
            "headers": {"authorization": f"Bearer {shop.admin_key}", "content-type": "application/json"},
            "pathParameters": {"id_or_email": email("crash-parameter")},
            "body": json.dumps(body),
        }
        for broken in (
            {"routeKey": None},
            {"headers": email("crash-headers")},
            {"pathParameters": email("crash-parameters")},
            {"body": body},
            {"body": json.dumps(body), "isBase64Encoded": True},
        ):
            invoke(name, whole | broken)
    messages: tuple[dict[str, Any], ...] = (
        {"body": json.dumps(v3)},
        {"Records": [{"messageId": "1", "body": json.dumps(v3), "attributes": {}}]},
        # Causes an error whose text quotes the event.
        {"Records": [{"messageId": "1", "body": '{"v":1}', "attributes": {COUNT: email("crash-count")}}]},
        {"Records": email("crash-records")},
    )
    for message in messages:
        invoke("ProcessOrders", message)


def manage(shop: Shop, email: Callable[[str], str]) -> Iterator[Reply]:
    """Requests about jobs and dead letters, and mistakes of an admin, with addresses in all their fields."""
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


# A function with Tillbook's error handling. It raises an unexpected error, whose text is the whole request.
CRASHING = """
import json
from tillbook.records import rejections
from tillbook.rules import errors
from tillbook.work import processing
from tillbook.web import endpoint

received = {}

def explode(*_arguments, **_named):
    try:
        raise KeyError(json.dumps(received))
    except KeyError:
        raise ValueError(json.dumps(received))

@endpoint.endpoint
def api(request):
    if request.json()["crash"] == "inside":
        explode()
    raise errors.Malformed("Refused.")

def handler(event, context):
    received.update(event)
    rejections.note = processing._build = explode
    return (processing.process if "Records" in event else api)(event, context)
"""
# A function without that handling: AWS logs and returns the text of its error, which is the body.
UNHANDLED = """
def handler(event, context):
    raise ValueError(event["body"])
"""


@contextmanager
def temporary_function(stack: Stack, code: str) -> Iterator[Callable[[Any], str]]:
    """Deploys a function with this code and with the role, layers and environment of SubmitOrder.

    Yields a function that invokes it with an event and returns its answer as text.
    """
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


def crash_with_data(stack: Stack, shop: Shop, email: Callable[[str], str]) -> list[str]:
    """The answers of a function that crashes while it handles a person's data."""
    data = {"email": email("crash-data"), "customer_email": email("crash-data-v1")}
    events = [
        {
            "routeKey": "POST /v1/order",
            "rawPath": path,
            "headers": {"authorization": f"Bearer {shop.admin_key}", "content-type": "application/json"},
            "pathParameters": {"id_or_email": email("crash-data-path")},
            "body": json.dumps(data | {"crash": where}),
        }
        for path in ("/v1/order", "/v3/order")
        for where in ("inside", "while it is refused")
    ]
    with temporary_function(stack, CRASHING) as invoke:
        return [invoke(event) for event in [*events, {"Records": [{"body": json.dumps(data)}]}]]


def poison(stack: Stack, shop: Shop, tries: int) -> str:
    """Queues an event that cannot be applied, whose message counts `tries` earlier tries. Returns its request id."""
    order = queued_order(shop, f"poison-{tries}")
    order["body"]["grand_total"] = "not a number"
    stack.boto3_client("sqs").send_message(
        QueueUrl=stack.outputs["OrdersQueueUrl"],
        MessageBody=json.dumps({"v": 1, "orders": [order], "tries": tries}),
    )
    return str(order["request_id"])
