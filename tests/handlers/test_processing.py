"""Processing of the queue: partial batch failures, retries, dead letters (docs/design/queue-and-jobs.md)."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.handlers import template
from tests.handlers.deadletters import dead_letter_items, refuse_writes_of
from tests.handlers.events import EMAIL, day, event
from tests.handlers.shop import ACCOUNT, Context, Shop
from tillbook.ledger.activities import MAX_TOGETHER
from tillbook.records.messages import decode
from tillbook.work import processing


def test_one_bad_order_delays_no_other(shop: Shop) -> None:
    ids = shop.send_batch([event(order_id=f"o-{n}") for n in range(5)]).body["request_ids"]
    records = shop.receive()
    assert len(records) == 1
    with shop.faults.injected(refuse_writes_of("o-3")):
        assert shop.deliver(records) == []
    assert shop.ltv(EMAIL) == {"USD": "400.00"}
    (alone,) = [decode(record["body"]) for record in shop.receive()]
    assert [order.request_id for order in alone.orders] == [ids[3]]
    assert shop.status(ids[3])["status"] == "queued"
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "500.00"}
    assert shop.status(ids[3])["status"] == "applied"


def test_an_order_that_fails_five_times_becomes_a_dead_letter_with_a_reason(shop: Shop) -> None:
    ids = shop.send_batch([event(order_id=f"o-{n}", email="private@b.co") for n in range(2)]).body["request_ids"]
    deliveries = 0
    with shop.faults.injected(refuse_writes_of("o-1")):
        while records := shop.receive():
            assert not dead_letter_items(shop)
            assert shop.deliver(records) == []
            deliveries += 1
    assert deliveries == 5
    (letter,) = dead_letter_items(shop)
    assert letter["sk"] == ids[1]
    assert letter["reason"]
    assert "secret internals" not in str(letter)
    assert "private@" not in str(letter)
    assert [order.request_id for order in decode(letter["message"]).orders] == [ids[1]]
    status = shop.status(ids[1])
    assert status["status"] == "failed"
    assert status["reason"]
    assert shop.status(ids[0])["status"] == "applied"
    assert shop.receive() == []


def test_a_dead_letter_holds_the_message_as_it_was_queued(shop: Shop) -> None:
    shop.send(event(order_id="o-1", occurred_at=day(1)))
    (queued,) = [decode(record["body"]) for record in shop.receive()]
    with shop.faults.injected(refuse_writes_of("o-1")):
        shop.drain(10)
    (letter,) = dead_letter_items(shop)
    assert decode(letter["message"]) == queued


def test_redelivery_of_the_same_message_is_harmless(shop: Shop) -> None:
    ids = shop.send_batch(
        [event(order_id=n, action="refunded", refund_amount=1, grand_total=10) for n in range(3)]
    ).body["request_ids"]
    records = shop.receive()
    handler = importlib.import_module(template.module("ProcessOrders")).handler
    before = None
    for _ in range(3):
        assert handler({"Records": records}, Context(60_000)) == {"batchItemFailures": []}
        assert before in (None, shop.comparable_ledger())
        before = shop.comparable_ledger()
    assert handler({"Records": records * 2}, Context(60_000)) == {"batchItemFailures": []}
    assert shop.ltv(EMAIL) == {"USD": "27.00"}  # three orders of 10, each less a refund of 1
    assert {shop.status(i)["status"] for i in ids} == {"applied"}


def test_notes_of_an_event_survive_a_second_delivery(shop: Shop) -> None:
    shop.send(event(grand_total=10, occurred_at=day(1)))
    refund = event(action="refunded", grand_total=..., refund_amount=15, occurred_at=day(2))
    request_id = shop.send(refund).body["request_id"]
    records = shop.receive()
    for _ in range(3):
        assert shop.deliver(records) == []
        (shown,) = shop.get("/v1/transactions", query={"request_id": request_id}).body["transactions"]
        assert shown["notes"] == ["refunded_more_than_total"]


def test_effects_of_another_event_are_not_noted_at_a_second_delivery(shop: Shop) -> None:
    request_id = shop.send(event(grand_total=10, occurred_at=day(1))).body["request_id"]
    records = shop.receive()
    assert shop.deliver(records) == []
    shop.send(event(action="refunded", grand_total=..., refund_amount=15, occurred_at=day(2)))
    shop.drain()
    assert shop.deliver(records) == []
    (shown,) = shop.get("/v1/transactions", query={"request_id": request_id}).body["transactions"]
    assert shown["notes"] == []


@pytest.mark.parametrize("late", ["never", "before the next delivery", "after the next delivery"])
@pytest.mark.parametrize("stored", [False, True], ids=["new order", "stored order"])
def test_a_write_that_timed_out_counts_once_whenever_it_arrives(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, late: str, stored: bool
) -> None:
    """The next delivery need not wait for the write, which fails if it arrives after the order was written again."""
    if stored:
        shop.send(event(order_id="o", grand_total=100, occurred_at=day(1)))
        shop.drain()
    request_id = shop.send(event(order_id="o", action="updated", grand_total=90, occurred_at=day(2))).body["request_id"]
    shop.deliver([])  # builds the processor
    processor, clock = processing.processor(), [0.0]
    monkeypatch.setattr(processor, "clock", lambda: clock[0])
    monkeypatch.setattr(processor.ledger, "pace", processor.ledger.pace._replace(clock=lambda: clock[0]))
    lost: list[Callable[[], Any]] = []

    def lose(_index: int, operation: str, _arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "TransactWriteItems":
            lost.append(go)
            clock[0] += 100
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        return go()

    with shop.faults.injected(lose):
        assert shop.deliver(shop.receive()) == []
    (write,) = lost
    clock[0] = 0
    if late == "before the next delivery":
        write()
    shop.drain()
    before = shop.items("LedgerTable")
    if late == "after the next delivery":
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            write()
    assert shop.items("LedgerTable") == before
    assert shop.ltv(EMAIL) == {"USD": "90.00"}
    assert shop.status(request_id)["status"] == "applied"


def test_a_timed_out_read_of_marks_is_made_once_for_the_whole_message(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks of purges and erasures (records/scopes.py) are read once, not for each order: a time-out takes seconds."""
    ids = shop.send_batch([event(order_id=n) for n in range(20)]).body["request_ids"]
    shop.deliver([])  # builds the processor
    processor, clock = processing.processor(), [0.0]
    monkeypatch.setattr(processor, "clock", lambda: clock[0])

    def timed_out(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "BatchGetItem" and f"{ACCOUNT}/u" in str(arguments):
            clock[0] += 8
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        return go()

    with shop.faults.injected(timed_out):
        assert shop.deliver(shop.receive()) == []
    assert clock[0] == 8
    clock[0] = 0
    shop.drain()
    assert {shop.status(request_id)["status"] for request_id in ids} == {"applied"}


@pytest.mark.parametrize(
    "body", ["", "{", "not ours", "[]", '{"v":99}', "zzz", '{"v":1,"orders":[{"unknown":1}]}', '{"v":1,"orders":5}']
)
def test_a_message_that_cannot_be_read_fails_alone(shop: Shop, body: str) -> None:
    shop.send(event())
    good = shop.receive()
    bad = {"messageId": "bad", "body": body, "attributes": {"ApproximateReceiveCount": "1"}, "receiptHandle": "x"}
    handler = importlib.import_module(template.module("ProcessOrders")).handler
    answer = handler({"Records": [bad, *good]}, Context(60_000))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert shop.ltv(EMAIL) == {"USD": "100.00"}


def test_when_time_runs_out_untried_orders_are_queued_again_or_their_messages_delivered_again(shop: Shop) -> None:
    for n in range(3):
        shop.send(event(order_id=n))
    # Nine seconds are too few to apply an order, and enough to queue the orders again.
    assert shop.deliver(shop.receive(), milliseconds=9_000) == []
    assert shop.items("LedgerTable") == []
    # Two seconds are too few even for that: SQS delivers the messages again.
    assert len(shop.deliver(records := shop.receive(), milliseconds=2_000)) == len(records) == 3
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "300.00"}


def test_when_time_runs_out_within_a_message_the_rest_of_its_orders_is_queued_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.send_batch([event(order_id=n) for n in range(4 * MAX_TOGETHER)])
    shop.deliver([])  # builds the processor
    clock = [0.0]

    def slow(index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        clock[0] += 10 if operation == "TransactWriteItems" else 0  # seconds: three transactions are made in time
        return go()

    processor = processing.processor()
    monkeypatch.setattr(processor, "clock", lambda: clock[0])
    with shop.faults.injected(slow):
        assert shop.deliver(shop.receive(), milliseconds=36_000) == []
    assert shop.ltv(EMAIL) == {"USD": f"{3 * MAX_TOGETHER * 100}.00"}
    clock[0] = 0
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": f"{4 * MAX_TOGETHER * 100}.00"}


def test_a_failed_message_is_not_acknowledged_if_its_orders_could_not_be_queued_again(shop: Shop) -> None:
    shop.send_batch([event(order_id=f"o-{n}") for n in range(2)])
    records = shop.receive()
    poison = refuse_writes_of("o-1")

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation.startswith("SendMessage"):
            raise ClientError({"Error": {"Code": "RequestThrottled", "Message": ""}}, operation)
        return poison(index, operation, arguments, go)

    with shop.faults.injected(intercept):
        assert shop.deliver(records) == [records[0]["messageId"]]
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "200.00"}


def test_a_status_that_could_not_be_recorded_is_recorded_at_the_next_delivery(shop: Shop) -> None:
    request_id = shop.send(event()).body["request_id"]

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation in ("BatchWriteItem", "PutItem"):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, operation)
        return go()

    with shop.faults.injected(intercept):
        assert len(shop.deliver(shop.receive())) == 1
    assert shop.status(request_id)["status"] == "queued"
    shop.drain()
    assert shop.status(request_id)["status"] == "applied"
    assert shop.ltv(EMAIL) == {"USD": "100.00"}


def test_a_v1_write_shows_as_queued_until_its_stream_record_is_processed(shop: Shop) -> None:
    """A stream record whose outcome could not be stored is processed again. A second time changes nothing."""
    shop.submit({"order_id": "1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": 5, "novel": 1})
    (version,) = [item for item in shop.items("LedgerTable") if "/e/" in item["pk"]]
    assert shop.status(version["request"])["status"] == "queued"

    def throttle(index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "PutItem" and arguments["TableName"] == "RecordsTable":
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, operation)
        return go()

    with shop.faults.injected(throttle):
        shop.keep_book()
    assert shop.status(version["request"])["status"] == "queued"
    assert shop.receive() == []
    for _ in range(2):
        shop.keep_book()
        (listed,) = shop.get("/v1/transactions").body["transactions"]
        assert (listed["request_id"], listed["status"]) == (version["request"], "applied")
        assert (listed["action"], listed["order_id"], listed["provider"]) == ("submitted", "1", None)
        assert (listed["effects"][0]["amount"], len(listed["notes"])) == ("5.00", 1)  # noted: the unknown field `novel`
        shop.followed.clear()  # so that the record is delivered again


def test_the_stream_record_of_a_purged_v1_write_stores_no_outcome(shop: Shop) -> None:
    shop.submit({"order_id": "1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": 5})
    assert shop.request("DELETE", "/v1/transactions", {"confirm": "purge"}).status == 202
    shop.keep_book()
    assert not [item for item in shop.items("RecordsTable") if "/t/" in item["pk"]]


# ------------------------------------------------------------------ statuses


def test_a_request_is_queued_and_then_applied(shop: Shop) -> None:
    answer = shop.send(event())
    request_id = answer.body["request_id"]
    queued = shop.status(request_id)
    assert (queued["request_id"], queued["status"], queued["reason"]) == (request_id, "queued", None)
    assert queued["received_at"].endswith("Z")
    shop.drain()
    applied = shop.status(request_id)
    assert (applied["request_id"], applied["status"], applied["reason"]) == (request_id, "applied", None)
    assert shop.status(request_id.upper()) == applied


@pytest.mark.parametrize(
    "request_id",
    [
        "x",
        "990c99a7-5cba-42e8-8f36-aec3419186ef",
        "01900000-0000-7000-8000-000000000000",
        "0190_0b0-c0d0-7123-8123-456789012345",
    ],
)
def test_an_unknown_request_is_404(shop: Shop, request_id: str) -> None:
    """The ids are not UUIDv7, or older than the retention of the queue."""
    answer = shop.get(f"/v3/{ACCOUNT}/requests/{request_id}")
    assert answer.status == 404
    assert answer.body["errors"][0]["code"]


def test_the_outcome_of_a_request_expires_after_33_days(shop: Shop) -> None:
    shop.send(event())
    shop.drain()
    (record,) = [item for item in shop.items("RecordsTable") if "/t/" in item["pk"]]
    # More than the promised 30 days, because a summary may still count it.
    assert float(record["ttl"]) == pytest.approx(time.time() + 33 * 24 * 3600, abs=60)
