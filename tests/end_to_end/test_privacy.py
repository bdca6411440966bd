"""No e-mail address is stored, queued, logged, measured or returned with an error in clear text.

Runs last, so that it also scans the data of this folder's other tests. Before the scan, a shop sends addresses in many
ways: accepted, rejected, without a key, malformed, crashing.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from base64 import b64encode
from typing import Any

import pytest

from local.front_door import Answer, access_line
from local.stack import Stack
from tests.end_to_end.events import event, queued_order
from tests.end_to_end.privacy import (
    LEDGER,
    MARKER_DOMAIN,
    PUBLISHED,
    RECORDS,
    TABLES,
    Leak,
    UnreadableError,
    all_leaks,
    leaks,
    messages,
    processing_paused,
    queued_bodies,
    table_items,
    texts,
)
from tests.end_to_end.senders import (
    DATE,
    UNHANDLED,
    crash,
    crash_with_data,
    manage,
    poison,
    temporary_function,
    v1_accepted,
    v1_refused,
    v3_accepted,
    v3_read,
    v3_refused,
)
from tests.end_to_end.shop import Shop
from tillbook.aws.items import raw
from tillbook.rules.identity import Person, email_sha256
from tillbook.rules.packing import pack

stack_test = pytest.mark.stack


@stack_test
def test_no_email_is_stored_logged_or_returned_in_clear_text(stack: Stack, shop: Shop, output: list[str]) -> None:
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
    crashed = crash_with_data(stack, shop, email)
    # A caught error gets an HTTP answer; for an uncaught one, only its type is returned.
    assert ["statusCode" in answer for answer in crashed] == [True, False, True, False, False]
    assert all("ValueError" in answer for answer in crashed if "statusCode" not in answer)
    assert list(leaks("answers of a crash", crashed)) == []
    assert shop.outcome(poison(stack, shop, tries=4))["status"] == "failed"
    assert len(sent) > 150

    # This event fails once and is queued again for its next try.
    poison(stack, shop, tries=0)
    with processing_paused(stack):
        waiting = [shop.order(event(shop, email=email("w1"), order_id="w1")).json["request_id"]]
        waiting += shop.batch(
            [event(shop, email=email(f"w{n}"), order_id=f"w{n}", note="x" * 500) for n in range(2, 120)]
        ).json["request_ids"]
        wanted = [waiting[0], waiting[1], waiting[-1], "poison-0"]
        bodies = queued_bodies(stack, wanted)
        found = list(leaks("queue", bodies))
    assert not found
    # The scan has read all of them: one as text, the batch compressed, and the event that failed.
    decoded = [text for body in bodies for text in texts(body)]
    assert any(body.startswith("z") for body in bodies)
    for part in wanted:
        assert any(part in text for text in decoded), part
    assert set(shop.outcomes([waiting[0], waiting[1], waiting[-1]])) == {"applied"}

    assert all_leaks(stack) == []
    assert list(leaks("local stack", [*output, stack.aws.log.read_text(errors="replace")])) == []
    assert_every_kind_was_scanned(stack, shop)


def assert_every_kind_was_scanned(stack: Stack, shop: Shop) -> None:
    """Items and log lines of each kind exist, so a scan that found nothing has looked at each kind.

    Kinds of items: d dead letters, t outcomes, l counts of rejections, j jobs, u purges and erasures.
    """
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
def test_an_erasure_leaves_only_its_own_record_and_a_purge_only_later_events(stack: Stack, shop: Shop) -> None:
    purged = Shop.open(stack)
    purge = send_and_purge(purged)

    email, word = shop.email("erased"), "Zyxomma"  # a word that no other test sends
    address = {"address_1": f"1 {word} St", "postal_code": "12345", "name": f"Ann {word}", "first_name": word}
    personal: dict[str, Any] = {"billing_address": address, "shipping_address": address, "nick_name": f"the {word}"}
    personal["items"] = [{"product_id": "1", "name": f"For {word}", "price": 1, "quantity": 1}]
    shop.applied(event(shop, email=email, grand_total=5, **personal))
    shop.applied(event(shop, "refunded", email=email, refund_amount=1, occurred_at="2026-02-01T00:00:00Z", **personal))
    keyed = {"headers": {"idempotency-key": "k"}}
    shop.applied(event(shop, email=email, order_id="2", grand_total=5, **personal), **keyed)
    # Other content under the same key fails.
    reused = shop.order(event(shop, email=email, order_id="2", grand_total=6, **personal), **keyed).json["request_id"]
    assert shop.outcome(reused)["status"] == "failed"
    assert shop.order(event(shop, email=email, order_id="", **personal)).status == 422
    v1 = DATE | {"total": 3, "customer_email": email, "shipping_address": address, "billing_address": address}
    for order_id in ("v1-kept", "v1-deleted"):
        assert shop.submit(v1 | {"order_id": order_id}).status == 201
    assert shop.submit(v1 | {"order_id": "v1-kept"}).status == 201
    assert shop.edit("v1-kept", {"total": 4, "metadata": {"note": word}}).status == 200
    assert shop.delete("v1-deleted").status == 200
    dead = queued_order(shop, "erased")
    dead["body"] |= {"grand_total": "not a number", **personal}
    stack.boto3_client("sqs").send_message(
        QueueUrl=stack.outputs["OrdersQueueUrl"], MessageBody=json.dumps({"v": 1, "orders": [dead], "tries": 4})
    )
    assert shop.outcome(dead["request_id"])["status"] == "failed"

    person = Person("email", email_sha256(email)).id_in(shop.account)
    traces = (email, email_sha256(email), word, person)
    before = {leak.place for leak in traces_of(stack, *traces)}
    assert before == {"tables"}

    reply = shop.send("DELETE", shop.person_path(email))
    assert reply.status == 202
    end = time.monotonic() + 600
    for of_shop, job_id in ((purged, purge), (shop, reply.json["job_id"])):
        wait_for_job(of_shop, job_id, end)
    # For 30 days the erasure leaves a record with Tillbook's own id of the person, by which events that were still
    # queued are dropped. Dead letters are queued again, and are dropped, too.
    found = [item for item in table_items(stack) if item["sk"].startswith(f"p{person}")]
    assert len(found) == 2
    # The other item is in the list of erasures, which a restore repeats.
    (erasure,) = [item for item in found if item["pk"] != shop.account]
    while {leak.text for leak in traces_of(stack, *traces)} != {erasure["sk"]}:
        assert time.monotonic() < end, traces_of(stack, *traces)
        time.sleep(0.5)
    assert (erasure["pk"], erasure["sk"]) == (f"{shop.account}/u", f"p{person}")
    assert set(erasure) == {"pk", "sk", "cut", "ttl"}
    assert shop.send("GET", shop.person_path(email)).status == 404
    # The same event stays erased when it is sent again.
    again = shop.order(event(shop, email=email, order_id="2", grand_total=5, **personal), **keyed).json["request_id"]
    outcome = shop.outcome(again)
    assert (outcome["status"], outcome["reason"].partition(":")[0]) == ("failed", "erased")

    # Only data of v3's generation 1 is left: of events that were sent after the purge's answer.
    assert {item["pk"].split("/")[1] for item in items_of(purged, LEDGER)} == {"s1"}
    outcomes = [item for item in items_of(purged, RECORDS) if item["pk"].split("/")[1] in ("t", "x", "d")]
    assert {item["order_id"] for item in outcomes} == {"after"}


def wait_for_job(shop: Shop, job_id: str, end: float) -> None:
    """Waits until the job is done. `end` is a time of the monotonic clock, in seconds."""
    while (job := shop.send("GET", f"/v1/jobs/{job_id}").json)["status"] != "done":
        assert job["status"] != "failed"
        assert time.monotonic() < end, job
        time.sleep(0.5)


def send_and_purge(shop: Shop) -> str:
    """Sends data, purges it, and checks that it is hidden as soon as the purge is answered. Returns the job's id."""
    email = shop.email("purged")
    shop.applied(event(shop, email=email, order_id="1", grand_total=5))
    assert shop.outcome(shop.order(event(shop, email=email, order_id="1", grand_total=5)).json["request_id"])
    assert shop.submit(DATE | {"order_id": "v1", "total": 3, "customer_email": email}).status == 201
    assert shop.person(email)["lifetime_value"] == {"USD": "8.00"}  # 5, although sent twice, and 3
    reply = shop.send("DELETE", "/v1/transactions", {"confirm": "purge"})
    assert reply.status == 202, reply.text
    for path in (shop.person_path(email), "/v1/order/v1", f"/v3/{shop.account}/orders/my_shop/1"):
        assert shop.send("GET", path).status == 404, path
    assert shop.send("GET", "/v1/transactions").json["transactions"] == []
    assert {a["member_count"] for a in shop.send("GET", "/v1/audiences").json} == {0}
    shop.applied(event(shop, email=email, order_id="after", grand_total=7))
    assert shop.person(email)["lifetime_value"] == {"USD": "7.00"}
    return str(reply.json["job_id"])


def items_of(shop: Shop, table: str) -> list[dict[str, Any]]:
    return [item for item in table_items(shop.stack, table) if item["pk"].startswith(f"{shop.account}/")]


def traces_of(stack: Stack, *traces: str) -> list[Leak]:
    return [
        *leaks("tables", table_items(stack), *traces),
        *leaks("queue", messages(stack, "OrdersQueueUrl"), *traces),
        *leaks("dead-letter queue", messages(stack, "DeadLettersQueueUrl"), *traces),
        *leaks("function logs", stack.logs().splitlines(), *traces),
        *leaks("access log", stack.access_log().splitlines(), *traces),
    ]


# ------------------------------------------------------------- the scan finds addresses

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


def test_the_scan_finds_nothing_in_clean_data() -> None:
    body = pack({"order_id": "1", "email_sha256": "0" * 64})
    clean = {"pk": "1/s0/e/0", "body": body, "events": 1, "m": "z", "total": None}
    assert list(leaks("here", [clean, "example.org", b64encode(b"x" * 90).decode()])) == []


@pytest.mark.parametrize("data", [b"", b"\x02abc", b"\x01abc", ADDRESS.encode()])
def test_bytes_that_the_scan_cannot_read_are_an_error(data: bytes) -> None:
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
def test_the_scan_finds_an_address_in_the_access_log_if_the_log_format_contains_it(
    log_format: str, found: bool
) -> None:
    scope = {
        "method": "GET",
        "raw_path": f"/v3/1/people/{ADDRESS}".encode(),
        "http_version": "1.1",
        "headers": [(b"User-Agent", ADDRESS.encode())],
    }
    line = access_line(log_format, scope, Answer(500, [], b"", f"KeyError: {ADDRESS}"), "1", "GET /v3", 0.0)
    assert bool(list(leaks("access log", [line]))) is found


@stack_test
def test_the_scan_finds_addresses_planted_in_the_stack(stack: Stack) -> None:
    tables, queues, logs = (stack.boto3_client(service) for service in ("dynamodb", "sqs", "logs"))
    keys = [{"pk": f"planted/{kind}", "sk": "p"} for kind in ("s0/e/0", "j", "t/rejected/s0", "d")]
    tables_found = len(TABLES) * len(keys)
    for name in TABLES:
        for key in keys:
            tables.put_item(TableName=stack.outputs[name], Item=raw(key | {"body": pack(BODY)}))
    url = stack.outputs["DeadLettersQueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="z" + b64encode(zlib.compress(ADDRESS.encode())).decode())
    accesses = stack.directory / "access.log"
    before = accesses.read_text()
    accesses.write_text(f"{before}GET /v3/1/people/{ADDRESS}\n")
    metric = {"_aws": {"CloudWatchMetrics": [{"Namespace": "Tillbook", "Dimensions": [["email"]]}]}, "email": ADDRESS}
    code = f"def handler(event, context):\n    print({json.dumps(json.dumps(metric))})\n"
    try:
        with temporary_function(stack, code) as invoke:
            invoke({})
        with temporary_function(stack, UNHANDLED) as invoke:
            assert list(leaks("answer", [invoke({"body": ADDRESS})]))
        end = time.monotonic() + 120
        # Besides the items: the message, at least a log line of each function, and the line of the access log. The
        # output of a function may arrive a moment after its answer.
        while len(found := [leak.place for leak in all_leaks(stack)]) < tables_found + 4 and time.monotonic() < end:
            time.sleep(0.2)
        places, rest = found[: tables_found + 1], found[tables_found + 1 :]
        assert places == ["tables"] * tables_found + ["dead-letter queue"]
        assert set(rest) == {"function logs", "access log"}
        assert len(rest) >= 3
    finally:
        for name in TABLES:
            for key in keys:
                tables.delete_item(TableName=stack.outputs[name], Key=raw(key))
        queues.purge_queue(QueueUrl=url)
        accesses.write_text(before)
        logs.delete_log_group(logGroupName="/aws/lambda/planted")
    assert all_leaks(stack) == []
