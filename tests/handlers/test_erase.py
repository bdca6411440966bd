"""Erasing a person through the API: v3 events, pages of the job, dead letters (docs/design/purge-and-erase.md)."""

from __future__ import annotations

import hashlib
import time
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.handlers.audiences import V1, V3, count, job, members, order, send, submit
from tests.handlers.deadletters import refuse_writes_of
from tests.handlers.events import day, event
from tests.handlers.removal import (
    ANN,
    ANN_ID,
    ANN_SHA256,
    BOB,
    SHIP,
    V3_SCOPE,
    Go,
    activities_of,
    dead_letter_ids,
    deliver_slowly,
    finish,
    is_emptied,
    ledger_items,
    ltv_of,
    make_dead_letters,
    meanwhile,
    outcome,
    process,
    receive_event,
    run_erasure,
    stale_worker,
    start_erasure,
    start_purge,
    store_dead_letter,
    traces,
    worker,
)
from tests.handlers.rights import USED_RIGHTS
from tests.handlers.shop import ACCOUNT, Shop, kill_at_write
from tillbook.ledger import upkeep
from tillbook.ledger.activities import ERASED, KEY_REUSED
from tillbook.ledger.items import Scope
from tillbook.records.messages import Message, QueuedOrder, encode
from tillbook.rules import times
from tillbook.rules.identity import email_sha256
from tillbook.work import purge

KEYED = {"Idempotency-Key": "k"}
MD5 = hashlib.md5(b"ann").hexdigest()  # noqa: S324


# --------------------------------------------------------------- what is erased


@pytest.mark.parametrize("headers", [{}, KEYED], ids=["unkeyed", "keyed"])
def test_an_erasure_leaves_nothing_of_a_person(shop: Shop, headers: dict[str, str]) -> None:
    submit(shop, order("a"), order("b", shipping_address=SHIP), order("c", customer_email=BOB, total=7))
    shop.edit("a", {"total": 50})
    shop.delete("b")
    submit(shop, order("moved", shipping_address=SHIP))
    shop.edit("moved", {"customer_email": BOB})
    send(shop, event(email=ANN), event(email=ANN, order_id="o-2"), event(email=BOB, order_id="o-3", grand_total=9))
    send(shop, event(email=ANN, action="refunded", grand_total=..., refund_amount=30))
    send(shop, event(email=ANN, order_id="shared", occurred_at=day(1)))
    send(shop, event(email=BOB, order_id="shared", occurred_at=day(2), action="paid", grand_total=4))
    shop.send(event(email=ANN, order_id="one more"), headers=headers)
    shop.drain()
    make_dead_letters(shop, "poison")
    assert traces(shop, ANN_SHA256, ANN_ID)
    queued = shop.send(event(email=ANN, order_id="queued"), headers=headers).body["request_id"]
    found = run_erasure(shop)
    # The versions and events that named her: 2 versions of `a`, 2 of `b`, 1 of `moved`, and 5 events.
    assert (found["kind"], found["done"]) == ("erase", 10)
    assert traces(shop, ANN_SHA256, ANN_ID) == []
    assert ltv_of(shop, ANN) is None
    assert shop.get(f"/v3/{ACCOUNT}/people/{ANN}/activity").status == 404
    assert shop.get(f"/v3/{ACCOUNT}/people/{ANN}/orders").status == 404
    assert shop.get("/v1/order/a").status == shop.get("/v1/order/a/history").status == 404
    assert outcome(shop, queued) == ("failed", ERASED)
    assert dead_letter_ids(shop) == []
    assert ltv_of(shop, BOB) == {"USD": "120.00"}  # orders of 7 and 9, the moved one of 100, and 4 of the shared one
    assert not [m for a in (V1, V3) for m in members(shop, a) if m["email_sha256"] == ANN_SHA256]
    assert [count(shop, a) for a in (V1, V3)] == [len(members(shop, a)) for a in (V1, V3)] == [2, 2]
    # A person who orders again counts as new.
    send(shop, event(email=ANN, order_id="back", grand_total=1))
    assert ltv_of(shop, ANN) == {"USD": "1.00"}


@pytest.mark.parametrize(
    ("identity", "asked"),
    [({"email": ANN}, ANN), ({"email": ANN}, ANN_SHA256.upper()), ({"person_id": "p-1"}, "p-1"),
     ({"email": ANN}, ANN_ID), ({"person_id": MD5}, MD5), ({"person_id": ANN_SHA256}, ANN_SHA256)],
)  # fmt: skip
@pytest.mark.parametrize("is_dead_letter", [False, True], ids=["queued", "dead letter"])
def test_a_person_named_only_in_the_queue_or_a_dead_letter_is_erased(
    shop: Shop, identity: dict[str, str], asked: str, is_dead_letter: bool
) -> None:
    body = event(**{"email": ..., "occurred_at": day(1)} | identity)
    request_id = shop.send(body).body["request_id"]
    if is_dead_letter:
        with shop.faults.injected(refuse_writes_of("o-1")):
            shop.drain(40)
        assert dead_letter_ids(shop) == [request_id]
    assert run_erasure(shop, asked)["done"] == 0
    assert dead_letter_ids(shop) == []
    assert shop.get(f"/v3/{ACCOUNT}/people/{asked}").status == 404
    assert outcome(shop, request_id) == ("failed", ERASED)
    assert [is_emptied(item) for item in ledger_items(shop)] == [True, True]  # a head and an event
    # The event stays erased when it is sent again; a new event is applied.
    again = shop.send(body).body["request_id"]
    shop.drain()
    assert outcome(shop, again) == ("failed", ERASED)
    assert shop.get(f"/v3/{ACCOUNT}/people/{asked}").status == 404
    send(shop, body | {"occurred_at": day(2)})
    assert ltv_of(shop, asked) == {"USD": "100.00"}


def test_an_erasure_by_id_erases_both_a_customer_and_a_person_in_the_queue(shop: Shop) -> None:
    """Once the queue is processed, `c-7` finds the person, because a person_id precedes an equal customer_id."""
    submit(shop, order(customer_email=..., customer_id="c-7", shipping_address=SHIP))
    shop.send(event(email=..., person_id="c-7"))
    run_erasure(shop, "c-7")
    assert ltv_of(shop, "c-7") is None
    assert shop.get("/v1/order/o-1").status == 404


def test_an_erasure_by_id_erases_the_person_and_leaves_a_customer_of_the_same_id(shop: Shop) -> None:
    """A person_id precedes an equal customer_id. A second erasure erases the customer."""
    submit(shop, order("theirs", customer_email=..., customer_id="namesake", shipping_address=SHIP, total=7))
    send(shop, event(email=..., person_id="namesake", grand_total=5))
    assert ltv_of(shop, "namesake") == {"USD": "5.00"}
    run_erasure(shop, "namesake")
    assert shop.get("/v1/order/theirs").status == 200
    assert ltv_of(shop, "namesake") == {"USD": "7.00"}
    run_erasure(shop, "namesake")
    assert ltv_of(shop, "namesake") is None
    assert shop.get("/v1/order/theirs").status == 404
    assert traces(shop, "namesake") == []
    assert count(shop, V1) == count(shop, V3) == 0


# -------------------------------------------------------------------- v3 orders


def test_an_erased_event_and_its_key_cannot_be_used_again(shop: Shop) -> None:
    """Sending old events again must not bring an erased person back; new events may."""
    unkeyed, keyed = event(email=ANN, occurred_at=day(1)), event(email=ANN, order_id="keyed", occurred_at=day(1))
    shop.send(unkeyed)
    shop.send(keyed, headers=KEYED)
    shop.drain()
    run_erasure(shop)
    expected = {
        ERASED: [(unkeyed, {}), (keyed, KEYED)],
        KEY_REUSED: [(keyed | {"grand_total": 5, "email": BOB}, KEYED)],
    }
    for reason, sent in expected.items():
        for body, headers in sent:
            again = shop.send(body, headers=headers).body["request_id"]
            shop.drain()
            assert outcome(shop, again) == ("failed", reason)
    assert (ltv_of(shop, ANN), ltv_of(shop, BOB), count(shop, V3)) == (None, None, 0)
    send(shop, unkeyed | {"action": "paid", "grand_total": 7})
    shop.send(keyed | {"grand_total": 5}, headers={"Idempotency-Key": "another"})
    shop.drain()
    assert ltv_of(shop, ANN) == {"USD": "12.00"}
    assert activities_of(shop, ANN) == [("Placed an order", "keyed"), ("Paid an order", "o-1")]
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["events"] == 1
    assert len(shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1/history").body["history"]) == 1


@pytest.mark.parametrize("first", ["erased", "new"])
def test_an_event_is_erased_if_any_of_its_copies_is(shop: Shop, first: str) -> None:
    """One copy was received before the erasure and the other after it. `first`: the copy that is delivered first."""
    body = event(email=ANN, occurred_at=day(1))
    erased_id, erased = receive_event(shop, body)
    job_id = start_erasure(shop)
    new_id, new = receive_event(shop, body)
    process(worker(), *((erased, new) if first == "erased" else (new, erased)))
    assert outcome(shop, erased_id) == ("failed", ERASED)
    assert outcome(shop, new_id) == (("failed", ERASED) if first == "erased" else ("applied", None))
    for _ in range(2):  # before and after the job: the deliveries have already emptied the event and deleted the person
        assert (ltv_of(shop, ANN), count(shop, V3), [is_emptied(item) for item in ledger_items(shop)]) == (
            None,
            0,
            [True, True],
        )
        finish(shop, job_id)


def test_writes_of_a_worker_that_read_the_marks_before_the_erasure_are_erased_by_the_job(shop: Shop) -> None:
    """One write moves an event, which was sent again after the erasure, back to the time of its first receipt."""
    body = event(email=ANN, occurred_at=day(1))
    _, early = receive_event(shop, body)
    _, other = receive_event(shop, event(email=ANN, order_id="other", grand_total=7))
    slow = stale_worker(shop)
    job_id = start_erasure(shop)
    send(shop, body, event(email=ANN, order_id="other", action="paid", grand_total=1))
    process(slow, early, other)
    assert (ltv_of(shop, ANN), len(activities_of(shop, ANN))) == ({"USD": "101.00"}, 3)  # o-1: 100; other, paid: 1
    assert finish(shop, job_id)["done"] == 2
    assert ltv_of(shop, ANN) == {"USD": "1.00"}
    assert activities_of(shop, ANN) == [("Paid an order", "other")]


def send_many_events(shop: Shop) -> None:
    """Sends 210 events of one order, 105 of them Ann's: an event of Bob with the total 900, a later one of Ann with
    1000, 104 refunds of 1 of Ann, and 104 refunds of 2 of Bob."""
    bodies = [event(email=who, occurred_at=day(1), grand_total=total) for who, total in ((BOB, 900), (ANN, 1000))]
    for n in range(208):
        refund = {"action": "refunded", "grand_total": ..., "refund_amount": 1 + n % 2}
        bodies.append(event(email=(ANN, BOB)[n % 2], occurred_at=f"2019-02-01T{n // 60:02}:{n % 60:02}:00Z", **refund))
    assert shop.send_batch(bodies[:2]).status == shop.send_batch(bodies[2:]).status == 202
    shop.drain()


def remaining_contribution(shop: Shop) -> Decimal:
    """The contribution of all v3 orders, computed from their remaining events."""
    events = [i for i in ledger_items(shop) if "!" in i["sk"] and "stamp" in i and Scope.of(i["pk"]) == V3_SCOPE]
    totals = {i["sk"].partition("!")[0]: i["total"] for i in sorted(events, key=lambda i: i["stamp"]) if "total" in i}
    return sum(totals.values(), Decimal(0)) - sum((i.get("refund", Decimal(0)) for i in events), Decimal(0))


def test_many_events_are_emptied_in_several_transactions_with_correct_sums_after_each(shop: Shop) -> None:
    send_many_events(shop)
    assert remaining_contribution(shop) == 1000 - 104 - 208
    sums: list[Decimal] = []

    def check(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        answer = go()
        # A transaction that begins with a Delete deletes the item of the person.
        if operation == "TransactWriteItems" and "Delete" not in arguments["TransactItems"][0]:
            shop.faults.intercept = None
            with USED_RIGHTS.uncounted():
                stored = [value for name, value in shop.stored_ltv().items() if name.endswith(".*")]
                assert stored == [remaining_contribution(shop)]
                assert (count(shop, V3), len(members(shop, V3))) == (1, 1)
            sums.append(stored[0])
            shop.faults.intercept = check
        return answer

    job_id = start_erasure(shop)
    assert job(shop, job_id)["total"] == 105
    with shop.faults.injected(check):
        shop.settle()
    found = job(shop, job_id)
    assert (found["status"], found["done"], found["total"]) == ("done", 105, 105)
    assert len(sums) == 2  # a transaction empties at most 90 events
    assert sums[-1] == 900 - 208
    assert (ltv_of(shop, ANN), ltv_of(shop, BOB)) == (None, {"USD": "692.00"})
    assert traces(shop, ANN_SHA256, ANN_ID) == []


def test_a_page_ends_in_time_and_the_next_one_continues(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call takes a second here, and a function has 60 seconds. Pages end within and between orders."""
    monkeypatch.setattr(upkeep, "MOST_EVENTS", 1)
    monkeypatch.setattr(purge, "_TIMELINE_PAGE", 3)
    for source in "xy":
        send(shop, *(event(email=ANN, order_id=source, action="updated", grand_total=n) for n in range(20)))
    submit(shop, order("a", total=50), order("b", customer_email=BOB))
    for n in range(20):
        assert shop.edit("a", {"total": n}).status == 200
    shop.drain()
    job_id = start_erasure(shop)
    monkeypatch.setattr(shop, "drain", lambda: None)
    shop.settle()
    jobs, longest = [job(shop, job_id)], 0.0
    for seconds in deliver_slowly(shop):
        longest = max(longest, seconds)
        jobs.append(job(shop, job_id))
        stored = shop.stored_ltv()
        assert stored.get(f"{ANN_ID}/s.*", 0) == remaining_contribution(shop)
        assert stored.get(f"{ANN_ID}/o.USD", 0) == (19 if shop.get("/v1/order/a").status == 200 else 0)
        assert [count(shop, a) for a in (V1, V3)] == [len(members(shop, a)) for a in (V1, V3)]
    assert 20 < longest < 60
    assert [j["status"] for j in jobs] == ["queued", *["running"] * (len(jobs) - 2), "done"]
    assert len(jobs) > 3
    assert [j["done"] for j in jobs] == sorted(j["done"] for j in jobs)
    assert (jobs[0]["total"], jobs[-1]["done"]) == (61, 61)  # 20 events of each of x and y, and 21 versions of a
    assert traces(shop, ANN_SHA256, ANN_ID) == []
    assert (ltv_of(shop, BOB), shop.get("/v1/order/a").status) == ({"USD": "100.00"}, 404)


def test_an_erasure_killed_anywhere_finishes_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "MOST_EVENTS", 1)
    for number in range(100):
        submit(shop, order("a"))
        send(shop, event(email=ANN), event(email=ANN))
        letter = store_dead_letter(shop)
        job_id = start_erasure(shop)
        with kill_at_write(shop, "after", number) as died:
            shop.settle()
        shop.drain()
        assert job(shop, job_id)["status"] == "done", number
        assert traces(shop, ANN_SHA256, ANN_ID) == [], number
        assert (ltv_of(shop, ANN), count(shop, V1), count(shop, V3)) == (None, 0, 0), number
        assert (outcome(shop, letter), dead_letter_ids(shop)) == (("failed", ERASED), []), number
        if not died:
            assert number > 12, "an erasure makes fewer writes than expected"
            return
    pytest.fail("an erasure makes more than 100 writes")


def test_an_erasure_during_which_a_purge_starts_leaves_later_orders(shop: Shop) -> None:
    send(shop, event(email=ANN, order_id="before"))
    job_id = start_erasure(shop)
    start_purge(shop)
    send(shop, event(email=ANN, order_id="after", grand_total=7))
    submit(shop, order("a", total=1))
    finish(shop, job_id)
    assert ltv_of(shop, ANN) == {"USD": "8.00"}


# --------------------------------------------------------------- dead letters


def test_a_dead_letter_of_an_event_after_the_erasure_stays(shop: Shop) -> None:
    send(shop, event(email=ANN, order_id="a"))
    job_id = start_erasure(shop)
    [later] = make_dead_letters(shop, "poison")
    finish(shop, job_id)
    assert activities_of(shop, ANN) == []
    assert dead_letter_ids(shop) == [later]


def test_an_unreadable_dead_letter_is_erased_too(shop: Shop) -> None:
    for email in (ANN, BOB):
        shop.sqs.send_message(QueueUrl=shop.queues["OrdersQueue"], MessageBody=unreadable_message(email))
    shop.drain(40)
    assert len(dead_letter_ids(shop)) == 2
    run_erasure(shop)
    assert [letter["order_id"] for letter in shop.get("/v1/deadletters").body["deadletters"]] == [BOB]
    assert traces(shop, ANN_SHA256, ANN_ID) == []


def test_an_unreadable_message_of_an_erased_person_becomes_no_dead_letter(shop: Shop) -> None:
    message = unreadable_message(ANN)
    run_erasure(shop)
    shop.sqs.send_message(QueueUrl=shop.queues["OrdersQueue"], MessageBody=message)
    shop.drain(40)
    assert dead_letter_ids(shop) == []


def unreadable_message(email: str) -> str:
    """A message with an event that no version of this code can apply. Its order id is the e-mail address."""
    received, person = times.now(), ["email", email_sha256(email)]
    body: dict[str, Any] = {"provider": "shopify", "action": "placed", "order_id": email, "grand_total": "much"}
    return encode(Message(orders=[QueuedOrder(ACCOUNT, times.uuid7(), received, 0, email, received, person, body)]))


def test_nothing_becomes_a_dead_letter_while_marks_cannot_be_read(shop: Shop) -> None:
    """The job has already removed the dead letters of the erased person, so a later one would stay for ever."""
    (ann, hers), (bob, his) = (receive_event(shop, event(email=who)) for who in (ANN, BOB))
    run_erasure(shop)

    def no_marks(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "BatchGetItem" and f"{ACCOUNT}/u" in str(arguments):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, operation)
        return go()

    with shop.faults.injected(no_marks):
        process(worker(), hers, his)
        for _ in range(8):
            assert shop.deliver(shop.receive()) == []
    assert dead_letter_ids(shop) == []
    assert [shop.status(request_id)["status"] for request_id in (ann, bob)] == ["queued", "queued"]
    shop.drain()
    assert [outcome(shop, request_id) for request_id in (ann, bob)] == [("failed", ERASED), ("applied", None)]
    assert ltv_of(shop, ANN) is None


# -------------------------------------------- deleting the item of an erased person


def test_a_person_with_a_timeline_is_not_forgotten(shop: Shop) -> None:
    """The first page of the index has only an emptied event, because the index is behind the table for a moment."""
    send(shop, event(email=ANN, occurred_at=day(1)), event(email=BOB, occurred_at=day(2)))
    emptied = {"pk": {"S": f"{V3_SCOPE.name}/e/0"}, "sk": {"S": "gone!"}, "stamp": {"S": "0"}}

    def behind(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "Query" and arguments.pop("ExclusiveStartKey", None) is None:
            return {"Items": [emptied], "LastEvaluatedKey": emptied}
        return go()

    with shop.faults.injected(behind):
        assert not worker().ledger.forget(V3_SCOPE, ANN_ID, time.monotonic() + 60)
    assert activities_of(shop, ANN) == [("Placed an order", "o-1")]


def test_a_person_who_orders_again_meanwhile_is_not_forgotten(shop: Shop) -> None:
    """The new order changes the token of the person, so the deletion is refused."""
    send(shop, event(email=ANN, order_id="a"))
    job_id = start_erasure(shop)
    with meanwhile(shop, "TransactWriteItems", "'Delete'", lambda: send(shop, event(email=ANN, order_id="b"))):
        finish(shop, job_id)
    assert ltv_of(shop, ANN) == {"USD": "100.00"}
    assert activities_of(shop, ANN) == [("Placed an order", "b")]
