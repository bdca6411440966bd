"""Erasing a person over HTTP (SPEC "Purge and erase")."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.handlers.removal import (
    ANN,
    ANN_ID,
    BOB,
    SHIP,
    Go,
    dead,
    done,
    erased,
    is_bare,
    kept,
    killed,
    left,
    letters,
    meanwhile,
    named,
    outcome,
    run,
    slowly,
    stale,
    start,
    start_erasure,
    taken,
    traces,
    unanswered,
    worker,
    worth,
)
from tests.handlers.rights import SEEN
from tests.handlers.shop import ACCOUNT, Answer, Shop
from tests.handlers.test_audiences import V1, V3, count, job, members, order, send, submit
from tests.handlers.test_processing import poisoned
from tests.handlers.test_shopper_activity import day, event
from tillbook.ledger import upkeep
from tillbook.ledger.activities import ERASED, KEY_REUSED
from tillbook.ledger.items import Scope
from tillbook.records.messages import Message, QueuedOrder, encode
from tillbook.rules import times
from tillbook.rules.identity import email_sha256
from tillbook.work import purge

KEYED = {"Idempotency-Key": "k"}
SHA256, MD5 = email_sha256(ANN), hashlib.md5(b"ann").hexdigest()  # noqa: S324
V3_SCOPE = Scope(ACCOUNT, "shopper_activity")


# ---------------------------------------------------------------- what it takes


@pytest.mark.parametrize("headers", [{}, KEYED], ids=["unkeyed", "keyed"])
def test_erasure_leaves_nothing(shop: Shop, headers: dict[str, str]) -> None:
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
    dead(shop, "poison")
    assert traces(shop, SHA256, ANN_ID)
    queued = shop.send(event(email=ANN, order_id="queued"), headers=headers).body["request_id"]
    found = erased(shop)
    assert (found["kind"], found["done"]) == ("erase", 10)  # versions and events that named her
    assert traces(shop, SHA256, ANN_ID) == []
    assert worth(shop, ANN) is None
    assert shop.get(f"/v3/{ACCOUNT}/people/{ANN}/activity").status == 404
    assert shop.get(f"/v3/{ACCOUNT}/people/{ANN}/orders").status == 404
    assert shop.get("/v1/order/a").status == shop.get("/v1/order/a/history").status == 404
    assert outcome(shop, queued) == ("failed", ERASED)
    assert letters(shop) == []
    assert worth(shop, BOB) == {"USD": "120.00"}  # 7, 9, the moved order, and what is left of the shared one
    assert not [m for a in (V1, V3) for m in members(shop, a) if m["email_sha256"] == SHA256]
    assert [count(shop, a) for a in (V1, V3)] == [len(members(shop, a)) for a in (V1, V3)] == [2, 2]
    # Whoever orders again is new.
    send(shop, event(email=ANN, order_id="back", grand_total=1))
    assert worth(shop, ANN) == {"USD": "1.00"}


@pytest.mark.parametrize(
    ("named", "asked"),
    [({"email": ANN}, ANN), ({"email": ANN}, SHA256.upper()), ({"person_id": "p-1"}, "p-1"),
     ({"email": ANN}, ANN_ID), ({"person_id": MD5}, MD5), ({"person_id": SHA256}, SHA256)],
)  # fmt: skip
@pytest.mark.parametrize("stuck", [False, True], ids=["queued", "dead letter"])
def test_whom_only_the_queue_or_a_dead_letter_names_is_erased(
    shop: Shop, named: dict[str, str], asked: str, stuck: bool
) -> None:
    body = event(**{"email": ..., "occurred_at": day(1)} | named)
    request_id = shop.send(body).body["request_id"]
    if stuck:
        with shop.faults.injected(poisoned("o-1")):
            shop.drain(40)
        assert letters(shop) == [request_id]
    assert erased(shop, asked)["done"] == 0
    assert letters(shop) == []
    assert shop.get(f"/v3/{ACCOUNT}/people/{asked}").status == 404
    assert outcome(shop, request_id) == ("failed", ERASED)
    assert [is_bare(item) for item in left(shop)] == [True, True]
    # It stays erased when it is sent again; what is new is not.
    again = shop.send(body).body["request_id"]
    shop.drain()
    assert outcome(shop, again) == ("failed", ERASED)
    assert shop.get(f"/v3/{ACCOUNT}/people/{asked}").status == 404
    send(shop, body | {"occurred_at": day(2)})
    assert worth(shop, asked) == {"USD": "100.00"}


def test_an_erasure_finds_whom_the_queue_names_behind_a_customer_of_that_id(shop: Shop) -> None:
    """A person_id goes before a customer_id: once the queue is through, the text would find the person."""
    submit(shop, order(customer_email=..., customer_id="c-7", shipping_address=SHIP))
    shop.send(event(email=..., person_id="c-7"))
    erased(shop, "c-7")
    assert worth(shop, "c-7") is None
    assert shop.get("/v1/order/o-1").status == 404


def test_an_erasure_takes_whom_the_id_finds_and_leaves_a_namesake(shop: Shop) -> None:
    """Both are known: a person_id goes before a customer_id. Asked for once more, it takes the other."""
    submit(shop, order("theirs", customer_email=..., customer_id="namesake", shipping_address=SHIP, total=7))
    send(shop, event(email=..., person_id="namesake", grand_total=5))
    assert worth(shop, "namesake") == {"USD": "5.00"}
    erased(shop, "namesake")
    assert shop.get("/v1/order/theirs").status == 200
    assert worth(shop, "namesake") == {"USD": "7.00"}
    erased(shop, "namesake")
    assert worth(shop, "namesake") is None
    assert shop.get("/v1/order/theirs").status == 404
    assert traces(shop, "namesake") == []
    assert count(shop, V1) == count(shop, V3) == 0


# -------------------------------------------------------------------- v3 orders


def test_an_erased_event_stays_erased_and_its_key_taken(shop: Shop) -> None:
    """An old import must not bring somebody back; new events make them known again."""
    unkeyed, keyed = event(email=ANN, occurred_at=day(1)), event(email=ANN, order_id="keyed", occurred_at=day(1))
    shop.send(unkeyed)
    shop.send(keyed, headers=KEYED)
    shop.drain()
    erased(shop)
    expected = {
        ERASED: [(unkeyed, {}), (keyed, KEYED)],
        KEY_REUSED: [(keyed | {"grand_total": 5, "email": BOB}, KEYED)],
    }
    for reason, sent in expected.items():
        for body, headers in sent:
            again = shop.send(body, headers=headers).body["request_id"]
            shop.drain()
            assert outcome(shop, again) == ("failed", reason)
    assert (worth(shop, ANN), worth(shop, BOB), count(shop, V3)) == (None, None, 0)
    send(shop, unkeyed | {"action": "paid", "grand_total": 7})
    shop.send(keyed | {"grand_total": 5}, headers={"Idempotency-Key": "another"})
    shop.drain()
    assert worth(shop, ANN) == {"USD": "12.00"}
    assert named(shop, ANN) == [("Placed an order", "keyed"), ("Paid an order", "o-1")]
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["events"] == 1
    assert len(shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1/history").body["history"]) == 1


@pytest.mark.parametrize("first", ["erased", "new"])
def test_an_event_is_erased_if_any_of_its_copies_is(shop: Shop, first: str) -> None:
    """One was received before the erasure, the other after it: delivered in either order they come to the same."""
    body = event(email=ANN, occurred_at=day(1))
    old, record = taken(shop, body)
    job_id = start_erasure(shop)
    new, copy = taken(shop, body)
    run(worker(), *((record, copy) if first == "erased" else (copy, record)))
    assert outcome(shop, old) == ("failed", ERASED)
    assert outcome(shop, new) == (("failed", ERASED) if first == "erased" else ("applied", None))
    for _ in range(2):  # the delivery forgets whom it empties the last event of
        assert (worth(shop, ANN), count(shop, V3), [is_bare(item) for item in left(shop)]) == (None, 0, [True, True])
        done(shop, job_id)


def test_what_a_worker_wrote_that_read_the_marks_before_goes_with_the_walk(shop: Shop) -> None:
    """Also where it moved an event, which came again after the erasure, to its first receipt."""
    body = event(email=ANN, occurred_at=day(1))
    _, early = taken(shop, body)
    _, other = taken(shop, event(email=ANN, order_id="other", grand_total=7))
    slow = stale(shop)
    job_id = start_erasure(shop)
    send(shop, body, event(email=ANN, order_id="other", action="paid", grand_total=1))
    run(slow, early, other)
    assert (worth(shop, ANN), len(named(shop, ANN))) == ({"USD": "101.00"}, 3)
    assert done(shop, job_id)["done"] == 2
    assert worth(shop, ANN) == {"USD": "1.00"}
    assert named(shop, ANN) == [("Paid an order", "other")]


def many_events(shop: Shop) -> None:
    """210 of one order, 105 of them Ann's: two placed, the others refunds."""
    bodies = [event(email=who, occurred_at=day(1), grand_total=total) for who, total in ((BOB, 900), (ANN, 1000))]
    for n in range(208):
        refund = {"action": "refunded", "grand_total": ..., "refund_amount": 1 + n % 2}
        bodies.append(event(email=(ANN, BOB)[n % 2], occurred_at=f"2019-02-01T{n // 60:02}:{n % 60:02}:00Z", **refund))
    assert shop.send_batch(bodies[:2]).status == shop.send_batch(bodies[2:]).status == 202
    shop.drain()


def remaining(shop: Shop) -> Decimal:
    """What the orders of v3 contribute by the events that are left of them."""
    events = [i for i in left(shop) if "!" in i["sk"] and "stamp" in i and Scope.of(i["pk"]) == V3_SCOPE]
    totals = {i["sk"].partition("!")[0]: i["total"] for i in sorted(events, key=lambda i: i["stamp"]) if "total" in i}
    return sum(totals.values(), Decimal(0)) - sum((i.get("refund", Decimal(0)) for i in events), Decimal(0))


def test_many_events_are_emptied_in_several_transactions_each_of_which_holds(shop: Shop) -> None:
    many_events(shop)
    assert remaining(shop) == 688
    worths: list[Decimal] = []

    def check(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        answer = go()
        if operation == "TransactWriteItems" and "Delete" not in arguments["TransactItems"][0]:
            shop.faults.intercept = None
            with SEEN.others():
                stored = [value for name, value in shop.stored_ltv().items() if name.endswith(".*")]
                assert stored == [remaining(shop)]
                assert (count(shop, V3), len(members(shop, V3))) == (1, 1)
            worths.append(stored[0])
            shop.faults.intercept = check
        return answer

    job_id = start_erasure(shop)
    assert job(shop, job_id)["total"] == 105
    with shop.faults.injected(check):
        shop.settle()
    found = job(shop, job_id)
    assert (found["status"], found["done"], found["total"]) == ("done", 105, 105)
    assert len(worths) == 2
    assert worths[-1] == 900 - 208
    assert (worth(shop, ANN), worth(shop, BOB)) == (None, {"USD": "692.00"})
    assert traces(shop, SHA256, ANN_ID) == []


def test_a_page_ends_in_time_and_the_next_one_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call takes a second here, and a function has 60. Within an order and between orders, of both sources."""
    monkeypatch.setattr(upkeep, "MOST_EVENTS", 1)
    monkeypatch.setattr(purge, "_PAGE_EVENTS", 3)
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
    for seconds in slowly(shop):
        longest = max(longest, seconds)
        jobs.append(job(shop, job_id))
        stored = shop.stored_ltv()
        assert stored.get(f"{ANN_ID}/s.*", 0) == remaining(shop)
        assert stored.get(f"{ANN_ID}/o.USD", 0) == (19 if shop.get("/v1/order/a").status == 200 else 0)
        assert [count(shop, a) for a in (V1, V3)] == [len(members(shop, a)) for a in (V1, V3)]
    assert 30 < longest < 60
    assert [j["status"] for j in jobs] == ["queued", *["running"] * (len(jobs) - 2), "done"]
    assert len(jobs) > 3
    assert [j["done"] for j in jobs] == sorted(j["done"] for j in jobs)
    assert (jobs[0]["total"], jobs[-1]["done"]) == (61, 61)
    assert traces(shop, SHA256, ANN_ID) == []
    assert (worth(shop, BOB), shop.get("/v1/order/a").status) == ({"USD": "100.00"}, 404)


def test_an_erasure_killed_anywhere_finishes_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "MOST_EVENTS", 1)
    for number in range(100):
        submit(shop, order("a"))
        send(shop, event(email=ANN), event(email=ANN))
        letter = kept(shop)
        job_id = start_erasure(shop)
        with killed(shop, "after", number) as died:
            shop.settle()
        shop.drain()
        assert job(shop, job_id)["status"] == "done", number
        assert traces(shop, SHA256, ANN_ID) == [], number
        assert (worth(shop, ANN), count(shop, V1), count(shop, V3)) == (None, 0, 0), number
        assert (outcome(shop, letter), letters(shop)) == (("failed", ERASED), []), number
        if not died:
            assert number > 12
            return
    pytest.fail("an erasure makes more writes than there are places to die at")


def test_an_erasure_whose_source_is_purged_meanwhile_leaves_what_came_after(shop: Shop) -> None:
    send(shop, event(email=ANN, order_id="before"))
    job_id = start_erasure(shop)
    start(shop)
    send(shop, event(email=ANN, order_id="after", grand_total=7))
    submit(shop, order("a", total=1))
    done(shop, job_id)
    assert worth(shop, ANN) == {"USD": "8.00"}


# --------------------------------------------------------------- dead letters


def test_a_dead_letter_of_what_came_after_the_erasure_was_asked_for_stays(shop: Shop) -> None:
    send(shop, event(email=ANN, order_id="a"))
    job_id = start_erasure(shop)
    [later] = dead(shop, "poison")
    done(shop, job_id)
    assert named(shop, ANN) == []
    assert letters(shop) == [later]


def test_a_dead_letter_that_cannot_be_read_is_erased_all_the_same(shop: Shop) -> None:
    for email in (ANN, BOB):
        shop.sqs.send_message(QueueUrl=shop.queues["OrdersQueue"], MessageBody=unreadable(email))
    shop.drain(40)
    assert len(letters(shop)) == 2
    erased(shop)
    assert [letter["order_id"] for letter in shop.get("/v1/deadletters").body["deadletters"]] == [BOB]
    assert traces(shop, SHA256, ANN_ID) == []


def test_what_cannot_be_read_is_no_dead_letter_of_whom_was_erased(shop: Shop) -> None:
    message = unreadable(ANN)
    erased(shop)
    shop.sqs.send_message(QueueUrl=shop.queues["OrdersQueue"], MessageBody=message)
    shop.drain(40)
    assert letters(shop) == []


def unreadable(email: str) -> str:
    """A message with an event that no version of this code can apply; its order id says whose it is."""
    received, person = times.now(), ["email", email_sha256(email)]
    body: dict[str, Any] = {"provider": "shopify", "action": "placed", "order_id": email, "grand_total": "much"}
    return encode(Message(orders=[QueuedOrder(ACCOUNT, times.uuid7(), received, 0, email, received, person, body)]))


def test_while_marks_cannot_be_read_nothing_becomes_a_dead_letter(shop: Shop) -> None:
    """It might be of somebody who was erased, and would stay for good."""
    (ann, theirs), (bob, his) = (taken(shop, event(email=who)) for who in (ANN, BOB))
    erased(shop)

    def no_marks(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "BatchGetItem" and f"{ACCOUNT}/u" in str(arguments):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, operation)
        return go()

    with shop.faults.injected(no_marks):
        run(worker(), theirs, his)
        for _ in range(8):
            assert shop.deliver(shop.receive()) == []
    assert letters(shop) == []
    assert [shop.status(request_id)["status"] for request_id in (ann, bob)] == ["queued", "queued"]
    shop.drain()
    assert [outcome(shop, request_id) for request_id in (ann, bob)] == [("failed", ERASED), ("applied", None)]
    assert worth(shop, ANN) is None


# -------------------------------------------------------------------- v1 orders


@pytest.mark.parametrize("total", [100, 11], ids=["the same", "another"])
def test_an_erased_order_is_gone_at_once_and_its_id_free(shop: Shop, total: int) -> None:
    first = shop.submit(order()).body["id"]
    shop.edit("o-1", {"total": 70})
    job_id = start_erasure(shop)
    assert shop.edit("o-1", {"total": 5}).status == shop.delete("o-1").status == 404
    second = shop.submit(order(total=total))
    assert second.status == 201
    assert second.body["id"] != first
    for _ in range(2):
        assert (worth(shop, ANN), count(shop, V1)) == ({"USD": f"{total}.00"}, 1)
        assert shop.submit(order(total=total)).body["id"] == second.body["id"]
        assert shop.get("/v1/order/o-1").body == second.body
        done(shop, job_id)
    assert named(shop, ANN) == [("Submitted an order", "o-1")]


CALLS: dict[str, Callable[[Shop], Answer]] = {
    "submit": lambda shop: shop.submit(order("new")),
    "submit over": lambda shop: shop.submit(order("a", customer_email=BOB)),
    "edit": lambda shop: shop.edit("a", {"total": 5}),
    "hand over": lambda shop: shop.edit("b", {"customer_email": ANN}),
    "delete": lambda shop: shop.delete("a"),
}


@pytest.mark.parametrize(
    ("call", "again", "worth_after"),
    [("submit", 201, "100.00"), ("submit over", 201, None), ("edit", 404, None), ("hand over", 200, "100.00"),
     ("delete", 404, None)],
)  # fmt: skip
@pytest.mark.parametrize("twice", [False, True], ids=["once", "between two"])
def test_a_call_that_sees_an_erasure_of_after_its_receipt_is_to_be_made_again(
    shop: Shop, call: str, again: int, worth_after: str | None, twice: bool
) -> None:
    """Nobody can say which of the two was first. Of two erasures of one person, the mark is that of the second."""
    submit(shop, order("a"), order("b", customer_email=BOB))
    shop.drain()
    if twice:
        start_erasure(shop)
    with meanwhile(shop, "BatchGetItem", f"p{ANN_ID}", lambda: start_erasure(shop)):
        answer = CALLS[call](shop)
    assert (answer.status, answer.headers["retry-after"], shop.receive()) == (503, "1", [])
    assert CALLS[call](shop).status == again
    shop.settle()
    assert worth(shop, ANN) == ({"USD": worth_after} if worth_after else None)
    assert shop.get("/v1/order/a").status == (200 if call == "submit over" else 404)


@pytest.mark.parametrize("call", ["submit", "edit", "hand over", "delete"])
def test_what_a_call_wrote_that_read_no_mark_goes_with_the_walk(shop: Shop, call: str) -> None:
    """It was received before the erasure, and says so."""
    submit(shop, order("a"), order("b", customer_email=BOB))
    with meanwhile(shop, "TransactWriteItems", "", lambda: start_erasure(shop)):
        assert CALLS[call](shop).status in (200, 201)
    shop.settle()
    assert traces(shop, SHA256, ANN_ID) == []
    assert (worth(shop, ANN), worth(shop, BOB)) == (None, {} if call == "hand over" else {"USD": "100.00"})
    assert [m["order_id"] for m in members(shop, V1)] == ([] if call == "hand over" else ["b"])
    assert count(shop, V1) == len(members(shop, V1))
    # What Bob did stays his, and nothing of it counts.
    assert named(shop, BOB) == [("Submitted an order", "b")]
    assert shop.submit(order("a", total=3)).status == 201


def test_an_edit_of_before_an_erasure_does_not_take_the_order_that_is_submitted_after_it(shop: Shop) -> None:
    """Its version counts as received no earlier than the one it follows."""
    submit(shop, order("a"))
    new: list[Answer] = []

    def next_one() -> None:
        start_erasure(shop)
        new.append(shop.submit(order("a", total=7)))

    with meanwhile(shop, "TransactWriteItems", "", next_one):
        answer = shop.edit("a", {"metadata": {"note": "late"}})
    assert (answer.status, answer.body["id"], answer.body["total"]) == (200, new[0].body["id"], "7.0")
    shop.settle()
    assert shop.get("/v1/order/a").body["metadata"] == answer.body["metadata"] == {"note": "late"}
    assert (worth(shop, ANN), count(shop, V1)) == ({"USD": "7.00"}, 1)


def test_two_submissions_of_one_order_after_an_erasure_are_one(shop: Shop) -> None:
    """Simulation, seeds 94002762 and 94006517."""
    first = shop.submit(order()).body["id"]
    start_erasure(shop)
    made: list[Answer] = []
    with meanwhile(shop, "BatchGetItem", f"p{ANN_ID}", lambda: made.append(shop.submit(order(total=5))), after=True):
        again = shop.submit(order(total=5))
    assert again.status == 201
    assert again.body["id"] == made[0].body["id"] != first
    shop.settle()
    assert worth(shop, ANN) == {"USD": "5.00"}


def test_a_long_order_goes_whole_whoever_had_it_before(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "MOST_EVENTS", 4)
    submit(shop, order(customer_email=BOB))
    for n in range(6):
        assert shop.edit("o-1", {"customer_email": ANN, "total": n}).status == 200
    job_id = start_erasure(shop)
    assert shop.edit("o-1", {"total": 50}).status == 404
    assert done(shop, job_id)["done"] == 6
    assert shop.get("/v1/order/o-1").status == 404
    assert (worth(shop, ANN), members(shop, V1), count(shop, V1)) == (None, [], 0)
    assert (worth(shop, BOB), named(shop, BOB)) == ({}, [("Submitted an order", "o-1")])
    assert traces(shop, SHA256, ANN_ID) == []


def test_what_names_the_person_after_the_erasure_stays(shop: Shop) -> None:
    submit(shop, order("a"))
    job_id = start_erasure(shop)
    submit(shop, order("b", customer_email=BOB))
    shop.edit("b", {"customer_email": ANN})
    shop.edit("b", {"customer_email": BOB})
    done(shop, job_id)
    assert named(shop, ANN) == [("Edited an order", "b")]
    assert worth(shop, BOB) == {"USD": "100.00"}


def test_an_erasure_leaves_what_others_had_under_the_same_order_id(shop: Shop) -> None:
    submit(shop, order("a", customer_email=BOB))
    shop.delete("a")
    submit(shop, order("a", total=3))
    erased(shop)
    assert named(shop, BOB) == [("Deleted an order", "a"), ("Submitted an order", "a")]
    assert (worth(shop, ANN), count(shop, V1)) == (None, 0)
    assert shop.get("/v1/order/a").status == 404
    submit(shop, order("a", customer_email=BOB, total=8))
    assert worth(shop, BOB) == {"USD": "8.00"}
    erased(shop, BOB)
    assert all(is_bare(item) for item in left(shop))


def test_an_order_that_was_handed_on_before_stays_but_what_was_submitted_is_known_no_more(shop: Shop) -> None:
    first = shop.submit(order("a")).body["id"]
    shop.edit("a", {"customer_email": BOB, "total": 7})
    assert shop.submit(order("a")).body["id"] == first
    history = shop.get("/v1/order/a/history").body["history"]
    erased(shop)
    assert (worth(shop, ANN), worth(shop, BOB)) == (None, {"USD": "7.00"})
    assert shop.get("/v1/order/a").body["customer"]["email_sha256"] == email_sha256(BOB)
    assert shop.get("/v1/order/a/history").body["history"] == [history[1] | {"before": None}]
    assert shop.submit(order("a")).status == shop.submit(order("a", customer_email=BOB, total=7)).status == 409
    assert not [item for item in left(shop) if "digest" in item]
    assert shop.edit("a", {"total": 8}).body["id"] == first
    assert shop.delete("a").status == 200
    assert shop.submit(order("a", customer_email=BOB, total=3)).status == 201
    assert worth(shop, BOB) == {"USD": "3.00"}


# ----------------------------------------------------------------- lost answers


def test_a_lost_submission_that_was_handed_on_erased_and_deleted_is_not_made_again(shop: Shop) -> None:
    """Simulation, seed 60052004: its version, emptied of whom it named, was not taken for its own."""
    others: list[Answer] = []

    def do() -> None:
        others.append(shop.edit("a", {"customer_email": BOB}))
        erased(shop)
        others.append(shop.delete("a"))

    with shop.faults.injected(unanswered(do)):
        answer = shop.submit(order("a", total=5))
    assert [other.status for other in others] == [200, 200]
    assert (answer.status, answer.body["id"], answer.body["total"]) == (201, others[0].body["id"], "5.0")
    assert shop.get("/v1/order/a").status == 404
    assert shop.stored_ltv() == {}


def test_a_lost_edit_whose_version_was_emptied_is_not_made_again(shop: Shop) -> None:
    first = shop.submit(order("a", total=5)).body["id"]
    others: list[Answer] = []

    def do() -> None:
        others.append(shop.edit("a", {"customer_email": BOB, "total": 9}))
        erased(shop)

    with shop.faults.injected(unanswered(do)):
        answer = shop.edit("a", {"total": 6})
    assert (answer.status, answer.body["id"], answer.body["total"]) == (200, first, "6.0")
    assert shop.get("/v1/order/a").body == others[0].body
    assert worth(shop, BOB) == {"USD": "9.00"}


def test_what_was_not_written_is_refused_for_what_came_since(shop: Shop) -> None:
    """The lost try is refused, too, should it arrive yet."""
    others: list[Answer] = []
    with shop.faults.injected(unanswered(lambda: others.append(shop.submit(order("a", total=7))), written=False)):
        assert shop.submit(order("a", total=5)).status == 409
    assert shop.get("/v1/order/a").body == others[0].body


# ------------------------------------------------------------------- forgetting


def test_who_is_found_on_the_timeline_is_not_forgotten(shop: Shop) -> None:
    """Behind a page of what the index lists for a moment though it was emptied."""
    send(shop, event(email=ANN, occurred_at=day(1)), event(email=BOB, occurred_at=day(2)))
    emptied = {"pk": {"S": f"{V3_SCOPE.name}/e/0"}, "sk": {"S": "gone!"}, "stamp": {"S": "0"}}

    def behind(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "Query" and arguments.pop("ExclusiveStartKey", None) is None:
            return {"Items": [emptied], "LastEvaluatedKey": emptied}
        return go()

    with shop.faults.injected(behind):
        assert not worker().ledger.forget(V3_SCOPE, ANN_ID, time.monotonic() + 60)
    assert named(shop, ANN) == [("Placed an order", "o-1")]


def test_who_orders_again_while_they_are_forgotten_is_not(shop: Shop) -> None:
    """The person was written since, and has another token."""
    send(shop, event(email=ANN, order_id="a"))
    job_id = start_erasure(shop)
    with meanwhile(shop, "TransactWriteItems", "'Delete'", lambda: send(shop, event(email=ANN, order_id="b"))):
        done(shop, job_id)
    assert worth(shop, ANN) == {"USD": "100.00"}
    assert named(shop, ANN) == [("Placed an order", "b")]
