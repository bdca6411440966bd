"""Purges over HTTP, of a whole account or of one source (docs/design/purge-and-erase.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.handlers.audiences import V1, V3, count, job, key_of, members, order, send, submit
from tests.handlers.clock import Clock
from tests.handlers.events import day, event
from tests.handlers.removal import (
    ANN,
    BOB,
    CONFIRMED,
    PURGE,
    SHIP,
    activities_of,
    dead_letter_ids,
    deliver_first_held,
    deliver_slowly,
    finish,
    ledger_items,
    limit_partitions,
    list_outcomes,
    lose_first_answer,
    ltv_of,
    make_dead_letters,
    meanwhile,
    outcome,
    process,
    receive_event,
    record_outcomes,
    run_purge,
    stale_worker,
    start_purge,
    store_dead_letter,
    stored_outcome_ids,
    worker,
)
from tests.handlers.shop import ACCOUNT, INGEST, OTHER, OTHER_ADMIN, Answer, Shop, kill_at_write
from tillbook.aws.settings import settings
from tillbook.ledger.items import Scope
from tillbook.records import outcomes
from tillbook.records.outcomes import PURGED
from tillbook.rules import times
from tillbook.rules.identity import Source

KEYED = {"Idempotency-Key": "k"}


def some_orders(shop: Shop) -> None:
    """Orders of Ann and Bob. v1: Ann's `a` of 50, a deleted `b`, Bob's `c` of 7, a rejected submission. v3: Ann's `o-1`
    of 100 less a refund of 30, `o-2` and `o-4` of 100 (`o-4` with a duplicate), Bob's `o-3` of 9."""
    submit(shop, order("a"), order("b", shipping_address=SHIP), order("c", customer_email=BOB, total=7))
    shop.edit("a", {"total": 50})
    shop.delete("b")
    assert shop.submit(order("a", total="x"), key=INGEST).status == 400
    send(shop, event(email=ANN), event(email=ANN, order_id="o-2"), event(email=BOB, order_id="o-3", grand_total=9))
    send(shop, event(email=ANN, action="refunded", grand_total=..., refund_amount=30))
    repeated = event(email=ANN, order_id="o-4", occurred_at=day(1))
    send(shop, repeated, repeated)
    shop.drain()


def views(shop: Shop) -> list[tuple[str, int, Any]]:
    """All that an account sees of its orders."""
    paths = [f"/v1/order/{order_id}{tail}" for order_id in "abc" for tail in ("", "/history")]
    paths += [f"/v3/{ACCOUNT}/orders/shopify/o-{n}{tail}" for n in (1, 2, 3, 4) for tail in ("", "/history")]
    for who in (ANN, BOB):
        paths += [f"/v3/{ACCOUNT}/people/{who}{tail}" for tail in ("", "/activity", "/orders")]
        paths.append(f"/v2/{ACCOUNT}/subscribers/{who}")
    paths += ["/v1/audiences", f"/v1/audience/{V1}", f"/v1/audience/{V3}"]
    paths += ["/v1/transactions", "/v1/transactions/summary", "/v1/deadletters"]
    found = [(path, shop.get(path)) for path in paths]
    found += [(i, shop.get("/v1/transactions", query={"order_id": i})) for i in ("a", "o-1", "o-4")]
    people = {"people": [{"email": ANN}, {"email": BOB}, {"address": SHIP}], "orders": True}
    found += [(f"match {a}", shop.request("POST", f"/v1/audience/{a}/match", people)) for a in (V1, V3)]
    return [(path, answer.status, answer.body) for path, answer in found]


# ----------------------------------------------------------------- requests


@pytest.mark.parametrize(
    ("body", "field", "headers"),
    [(None, "confirm", {}), ({}, "confirm", {}), ({"confirm": "yes"}, "confirm", {}),
     ({"confirm": True}, "confirm", {}), ({"source": "orders_api"}, "confirm", {}),
     ({"source": "x"}, "source", CONFIRMED), ({"source": 1}, "source", CONFIRMED),
     ({"source": []}, "source", CONFIRMED), ({"source": {}}, "source", CONFIRMED),
     ({"before": "2020-01-01"}, "before", CONFIRMED), ([], None, CONFIRMED)],
)  # fmt: skip
def test_a_purge_must_be_confirmed_and_valid(shop: Shop, body: Any, field: str | None, headers: dict[str, str]) -> None:
    submit(shop, order())
    answer = shop.request("DELETE", PURGE, body, headers=headers)
    assert (answer.status, answer.fields) == (400, {field})
    shop.settle()
    assert ltv_of(shop, ANN) == {"USD": "100.00"}


def test_ingest_keys_and_other_accounts_are_refused(shop: Shop) -> None:
    for method, path in (
        ("DELETE", "/v1/transactions"), ("DELETE", f"/v3/{ACCOUNT}/people/x"), ("GET", "/v1/deadletters"),
        ("POST", "/v1/deadletters/x/replay"), ("DELETE", "/v1/deadletters/x"), ("GET", "/v1/transactions"),
    ):  # fmt: skip
        assert shop.request(method, path, {}, headers=CONFIRMED, key=INGEST).status == 403
    assert shop.request("DELETE", f"/v3/{ACCOUNT}/people/x", key=OTHER_ADMIN).status == 403


# ------------------------------------------------------ what a purge removes


def test_nothing_of_an_account_is_visible_once_a_purge_is_answered(shop: Shop) -> None:
    nothing = views(shop)
    some_orders(shop)
    make_dead_letters(shop, "poison")
    full = views(shop)
    assert [a[0] for a, b in zip(nothing, full, strict=True) if a == b] == ["/v1/order/b"]  # a deleted order
    assert shop.submit(order("theirs"), key=OTHER_ADMIN).status == 201
    of_the_other = [i for i in shop.comparable_ledger() if i["pk"].startswith(f"{OTHER}/")]
    job_id = start_purge(shop)
    assert views(shop) == nothing
    found = finish(shop, job_id)
    assert views(shop) == nothing
    # The job deletes everything, also people and counters. It counts orders: a, the deleted b, c, and o-1 to o-4.
    assert (found["kind"], found["done"], found["total"]) == ("purge", 7, 7)
    assert [i for i in shop.items("LedgerTable") if i["pk"].startswith(f"{ACCOUNT}/")] == []
    assert stored_outcome_ids(shop) == set()
    assert [i for i in shop.comparable_ledger() if i["pk"].startswith(f"{OTHER}/")] == of_the_other


@pytest.mark.parametrize("source", ["orders_api", "shopper_activity"])
def test_a_purge_of_one_source_keeps_the_other(shop: Shop, source: Source) -> None:
    some_orders(shop)
    job_id = start_purge(shop, source)
    v1 = source == "shopper_activity"  # whether v1 orders remain; Ann's v3 orders have 270 = 70 + 100 + 100
    for _ in range(2):  # first when the purge is answered, then after its job
        assert ltv_of(shop, ANN) == ({"USD": "50.00"} if v1 else {"USD": "270.00"})
        assert ltv_of(shop, BOB) == ({"USD": "7.00"} if v1 else {"USD": "9.00"})
        assert [count(shop, V1), count(shop, V3)] == ([2, 0] if v1 else [0, 4])
        assert {t["source"] for t in list_outcomes(shop)} == {"orders_api" if v1 else "shopper_activity"}
        finish(shop, job_id)
    assert {Scope.of(i["pk"]).source for i in ledger_items(shop)} == {"orders_api" if v1 else "shopper_activity"}


def test_purged_requests_show_as_purged(shop: Shop) -> None:
    """Their records are deleted. The mark of the purge decides their status."""
    applied, repeat = (shop.send(event(email=ANN, occurred_at=day(1))).body["request_id"] for _ in range(2))
    shop.drain()
    queued = shop.send(event(email=ANN, order_id="queued")).body["request_id"]
    start_purge(shop, key=OTHER_ADMIN)  # of the other account
    assert [outcome(shop, i)[0] for i in (applied, repeat, queued)] == ["applied", "duplicate", "queued"]
    job_id = start_purge(shop)
    later = shop.send(event(email=ANN, order_id="later")).body["request_id"]
    for _ in range(2):
        for request_id in (applied, repeat, queued):
            assert outcome(shop, request_id) == ("failed", PURGED)
            assert list_outcomes(shop, request_id=request_id) == []
        finish(shop, job_id)
    assert stored_outcome_ids(shop) == {later}
    assert outcome(shop, later) == ("applied", None)
    # After a purge of v1 orders, a v3 request without an outcome may still be queued.
    without_outcome = times.uuid7()
    run_purge(shop, "orders_api")
    assert shop.status(without_outcome)["status"] == "queued"


def test_a_request_received_in_the_millisecond_of_the_cut_does_not_show_as_purged(shop: Shop, clock: Clock) -> None:
    """A request id contains only milliseconds, so an id of the cut's millisecond may be from before or after it."""
    before = shop.send(event(email=ANN)).body["request_id"]
    clock.nanoseconds += 1_000_000 - clock.nanoseconds % 1_000_000
    clock.step = 1_000
    start_purge(shop)
    within = shop.send(event(email=ANN)).body["request_id"]
    marks = worker().scopes.read(ACCOUNT)
    assert times.stamp(times.uuid7_time(within)) < marks.sources["shopper_activity"].cut
    assert shop.status(before)["status"] == "failed"
    assert shop.status(within)["status"] == "queued"
    shop.drain()
    assert shop.status(within)["status"] == "applied"


@pytest.mark.parametrize("headers", [{}, KEYED])
def test_a_purge_drops_queued_events_and_later_events_count(shop: Shop, headers: dict[str, str]) -> None:
    """A later event counts even if it repeats a purged one with the same idempotency key."""
    body = event(email=ANN, occurred_at=day(1))
    shop.send(body, headers=headers)
    shop.drain()
    queued = shop.send(event(email=ANN, order_id="queued")).body["request_id"]
    repeat = shop.send(body, headers=headers).body["request_id"]
    job_id = start_purge(shop)
    again = shop.send(body, headers=headers).body["request_id"]
    shop.drain()
    for _ in range(2):
        assert ltv_of(shop, ANN) == {"USD": "100.00"}
        assert [outcome(shop, i) for i in (queued, repeat, again)] == [("failed", PURGED)] * 2 + [("applied", None)]
        assert [m["order_id"] for m in members(shop, V3)] == ["o-1"]
        finish(shop, job_id)


@pytest.mark.parametrize("total", [100, 3], ids=["same total", "other total"])
def test_a_submission_under_a_purged_order_s_id_is_new(shop: Shop, total: int) -> None:
    first = shop.submit(order()).body["id"]
    job_id = start_purge(shop)
    assert shop.edit("o-1", {"total": 5}).status == shop.delete("o-1").status == 404
    second = shop.submit(order(total=total))
    assert (second.status, second.body["id"] == first) == (201, False)
    for _ in range(2):
        assert (ltv_of(shop, ANN), count(shop, V1)) == ({"USD": f"{total}.00"}, 1)
        assert activities_of(shop, ANN) == [("Submitted an order", "o-1")]
        assert shop.submit(order(total=total)).body["id"] == second.body["id"]
        finish(shop, job_id)


def test_a_purge_removes_dead_letters(shop: Shop) -> None:
    """A purged dead letter can no longer be replayed, and its event never counts."""
    (first,) = make_dead_letters(shop, "x-1")
    start_purge(shop, "orders_api")
    shop.settle()
    assert dead_letter_ids(shop) == [first]
    job_id = start_purge(shop, "shopper_activity")
    (later,) = make_dead_letters(shop, "x-2")
    assert dead_letter_ids(shop) == [later]
    assert shop.request("POST", f"/v1/deadletters/{first}/replay").status == 404
    shop.drain()
    assert (ltv_of(shop, ANN), outcome(shop, first)) == (None, ("failed", PURGED))
    finish(shop, job_id)
    assert dead_letter_ids(shop) == [later]
    assert [i["sk"] for i in shop.items("RecordsTable") if i["pk"] == f"{ACCOUNT}/d"] == [later]
    assert outcome(shop, first) == ("failed", PURGED)


# -------------------------------- calls that read the marks before the purge


CALLS: dict[str, Callable[[Shop], Answer]] = {
    "submit": lambda shop: shop.submit(order("a")),
    "edit": lambda shop: shop.edit("a", {"total": 5}),
    "delete": lambda shop: shop.delete("a"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_sees_a_purge_newer_than_its_receipt_is_503(shop: Shop, call: str) -> None:
    """Nobody can say whether the call or the purge was first, so the client must repeat the call."""
    shop.submit(order("a"))
    shop.drain()
    with meanwhile(shop, "BatchGetItem", f"{ACCOUNT}/u", lambda: start_purge(shop)):
        answer = CALLS[call](shop)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert (ltv_of(shop, ANN), shop.receive()) == (None, [])
    assert CALLS[call](shop).status == (201 if call == "submit" else 404)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("operation", "text"),
    [("GetItem", f"'{key_of('a')}'"), ("GetItem", "!00000001"), ("TransactWriteItems", ""), ("lost answer", "")],
)
def test_a_call_that_read_the_marks_before_a_purge_does_not_change_the_next_order_with_its_id(
    shop: Shop, call: str, operation: str, text: str
) -> None:
    """The call is answered as if it was made before the purge. The purge and the submission of the next order happen
    before one of the call's reads or its write, or after the write, whose answer is lost."""
    first, new, jobs = shop.submit(order("a")).body["id"], list[Answer](), list[str]()
    submits_again = call == "submit" and operation in ("TransactWriteItems", "lost answer")
    if submits_again:
        shop.delete("a")  # a submission writes only if there is no order with its id

    def others() -> None:
        jobs.append(start_purge(shop))
        new.append(shop.submit(order("a", customer_email=BOB, total=7)))

    lost = shop.faults.injected(lose_first_answer(others))
    with lost if operation == "lost answer" else meanwhile(shop, operation, text, others):
        answer = CALLS[call](shop)
    assert answer.status == (201 if call == "submit" else 200)
    assert answer.body["total"] == ("5.0" if call == "edit" else "100.0")
    assert (answer.body["id"] != first) == submits_again
    for _ in range(2):
        assert shop.get("/v1/order/a").body == new[0].body
        assert (ltv_of(shop, ANN), ltv_of(shop, BOB), count(shop, V1)) == (None, {"USD": "7.00"}, 1)
        finish(shop, jobs[0])
    assert {Scope.of(item["pk"]).generation for item in ledger_items(shop)} == {1}


@pytest.mark.parametrize("total", [100, 60], ids=["same content", "other content"])
def test_a_late_write_of_a_worker_that_read_the_marks_before_a_purge_is_purged(shop: Shop, total: int) -> None:
    """The write does not affect the event that was sent again after the purge."""
    early, record = receive_event(shop, event(email=ANN, occurred_at=day(1)), headers=KEYED)
    slow = stale_worker(shop)
    job_id = start_purge(shop)
    new = shop.send(event(email=ANN, occurred_at=day(1), grand_total=total), headers=KEYED).body["request_id"]
    for late in (False, True):
        if late:
            shop.drain()
        process(slow, record)
        assert ltv_of(shop, ANN) == ({"USD": f"{total}.00"} if late else None)
    assert (outcome(shop, new), outcome(shop, early)) == (("applied", None), ("failed", PURGED))
    assert len(ledger_items(shop)) == 6  # a head, an event and a person in each of two scopes
    finish(shop, job_id)
    assert (ltv_of(shop, ANN), count(shop, V3)) == ({"USD": f"{total}.00"}, 1)
    assert {Scope.of(item["pk"]).generation for item in ledger_items(shop)} == {1}
    assert stored_outcome_ids(shop) == {new}


# ------------------------------------------------------------------- the job


def test_a_job_waits_for_workers_that_read_the_marks_before_a_later_purge(shop: Shop) -> None:
    """Otherwise it would also delete the orders between the two purges, to which workers may still add."""
    send(shop, event(email=ANN, order_id="first"))
    first = start_purge(shop)
    shop.clock.sleep(settings().settle_seconds - 20)
    send(shop, event(email=ANN, order_id="second"))
    _, record = receive_event(shop, event(email=ANN, order_id="third"))
    slow = stale_worker(shop)
    second = start_purge(shop)
    shop.clock.sleep(30)
    deliver_first_held(shop)
    assert job(shop, first)["status"] == "queued"
    process(slow, record)
    assert {Scope.of(item["pk"]).generation for item in ledger_items(shop)} == {0, 1}
    for job_id in (first, second):
        finish(shop, job_id)
    assert ledger_items(shop) == []


def test_a_purge_that_begins_while_another_job_starts_a_page_is_left_to_its_own_job(shop: Shop) -> None:
    send(shop, event(email=ANN, order_id="first"))
    first, jobs = start_purge(shop, "shopper_activity"), []
    _, record = receive_event(shop, event(email=ANN, order_id="second"))
    slow = stale_worker(shop)
    shop.clock.sleep(settings().settle_seconds + 1)
    with meanwhile(shop, "BatchGetItem", f"{ACCOUNT}/u", lambda: jobs.append(start_purge(shop)), after=True):
        deliver_first_held(shop)
    process(slow, record)
    for job_id in (first, *jobs):
        finish(shop, job_id)
    assert ledger_items(shop) == []


def test_a_purge_runs_page_by_page_while_orders_arrive(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each AWS call takes a second here, and the function has 60 seconds."""
    monkeypatch.setattr(outcomes, "_PURGED_AT_ONCE", 50)
    submit(shop, *(order(f"a-{n}") for n in range(10)))
    send(shop, event(email=BOB))
    record_outcomes(300)  # outcomes of requests, which the job deletes in portions of 50
    limit_partitions(shop, monkeypatch)
    assert (count(shop, V1), count(shop, V3)) == (10, 1)
    job_id = start_purge(shop)
    jobs = [job(shop, job_id)]
    assert (jobs[0]["status"], jobs[0]["done"], jobs[0]["total"]) == ("queued", 0, 11)
    monkeypatch.setattr(shop, "drain", lambda: None)
    shop.settle()
    longest, new = 0.0, 0
    for seconds in deliver_slowly(shop):
        jobs.append(job(shop, job_id))
        longest = max(longest, seconds)
        assert ltv_of(shop, ANN) == ({"USD": f"{new}.00"} if new else None)
        assert ltv_of(shop, BOB) is None
        assert (count(shop, V1), len(members(shop, V1)), count(shop, V3)) == (new, new, 0)
        if jobs[-1]["status"] != "done":
            submit(shop, order(f"a-{new}", total=1))
            new += 1
    assert 20 < longest < 60  # a page begins no more work after 20 seconds
    statuses = [j["status"] for j in jobs[1:]]
    assert statuses == sorted(statuses, reverse=True)
    assert statuses.count("running") > 4
    assert statuses[-1] == "done"
    assert [j["done"] for j in jobs] == sorted(j["done"] for j in jobs)
    assert 0 < jobs[1]["done"] < 10
    assert (jobs[-1]["done"], jobs[-1]["total"], jobs[-1]["error"]) == (11, 11, None)
    assert {Scope.of(item["pk"]).generation for item in ledger_items(shop)} == {1}
    assert len(list_outcomes(shop, source="orders_api")) == len(stored_outcome_ids(shop)) == new


def test_a_purge_whose_function_is_killed_at_any_write_finishes_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        submit(shop, order("a"))
        send(shop, *[event(email=ANN, occurred_at=day(1))] * 2)
        store_dead_letter(shop)
        with monkeypatch.context() as patch:
            limit_partitions(shop, patch)
            job_id = start_purge(shop)
            with kill_at_write(shop, "after", number) as died:
                shop.settle()
            shop.drain()
        assert job(shop, job_id)["status"] == "done", number
        assert ledger_items(shop) == [], number
        assert (dead_letter_ids(shop), stored_outcome_ids(shop)) == ([], set()), number
        if not died:
            assert number > 15, "the job makes fewer writes than expected"
            return
    pytest.fail("a purge makes more writes than the loop kills")
