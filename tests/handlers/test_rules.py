"""Rules of the ledger that chance meets too seldom: each protects from one deliberate fault (tests/mutants)."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.handlers.removal import (
    ANN,
    ANN_ID,
    BOB,
    BOB_ID,
    LOST,
    SHIP,
    dead,
    done,
    erased,
    is_bare,
    left,
    letters,
    meanwhile,
    named,
    outcome,
    run,
    stale,
    start,
    start_erasure,
    taken,
    unanswered,
    worker,
    worth,
)
from tests.handlers.rights import SEEN
from tests.handlers.shop import ACCOUNT, Answer, Death, Shop, die_at
from tests.handlers.test_audiences import V1, V3, job, match, order, send, submit
from tests.handlers.test_ledger_faults import activity, apply, copy, event_item
from tests.handlers.test_processing import poisoned
from tests.handlers.test_purge import few_partitions, release
from tests.handlers.test_shopper_activity import day, event
from tillbook.aws.settings import settings
from tillbook.contract.document import document_of
from tillbook.ledger import upkeep
from tillbook.ledger.activities import MAX_TOGETHER, Result
from tillbook.ledger.commit import Pace
from tillbook.ledger.items import Scope
from tillbook.records.accounts import Account
from tillbook.records.hours import Hours, hour_of
from tillbook.records.messages import decode, encode
from tillbook.records.scopes import Mark, Marks
from tillbook.rules import times
from tillbook.rules.effects import effects_of_move
from tillbook.rules.identity import order_key
from tillbook.rules.order import received_of
from tillbook.rules.packing import unpack
from tillbook.views.people import People
from tillbook.views.summary import Sums

Go = Callable[[], Any]
V3_SCOPE = Scope(ACCOUNT, "shopper_activity")
KEY = order_key("shopper_activity", "shopify", "o-1")


# ------------------------------------------------------------------------ marks


def test_what_was_received_at_the_cut_is_taken(shop: Shop) -> None:
    marks = Marks(ACCOUNT, {"shopper_activity": Mark(1, "2")}, {ANN_ID: "2"})
    assert [marks.purged("shopper_activity", received) for received in "123"] == [True, True, False]
    assert [marks.erased(ANN_ID, received) for received in "123"] == [True, True, False]
    send(shop, event(email=ANN))
    (received,) = [received_of(item["stamp"]) for item in left(shop) if "stamp" in item]
    ledger = worker().ledger
    for cut, emptied in ((times.shift(received, microseconds=-1), 0), (received, 1)):
        assert ledger.empty(V3_SCOPE, KEY, ANN_ID, cut, lambda: True, math.inf) == (emptied, True)


def test_an_answer_never_goes_back(shop: Shop) -> None:
    """Or the mark would seem to have been late, and its job would purge what came since."""
    jobs: list[str] = []
    with meanwhile(shop, "UpdateItem", "SET answered", lambda: jobs.append(start(shop))):
        jobs.append(start(shop))
    for mark in worker().scopes.read(ACCOUNT).sources.values():
        assert (mark.answered, mark.generation) == (mark.cut, 2)
    send(shop, event(email=ANN))
    for job_id in jobs:
        done(shop, job_id)
    assert worth(shop, ANN) == {"USD": "100.00"}


def test_a_mark_that_comes_late_does_not_go_back_behind_a_later_one(shop: Shop) -> None:
    late: list[bool] = []

    def lose(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if late or operation != "UpdateItem" or "SET cut" not in str(arguments):
            return go()
        late.append(True)
        with SEEN.others():
            start(shop, "shopper_activity")
        cut = worker().scopes.read(ACCOUNT).sources["shopper_activity"].cut
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            go()
        assert worker().scopes.read(ACCOUNT).sources["shopper_activity"].cut == cut
        raise LOST

    with shop.faults.injected(lose):
        start(shop, "shopper_activity")
    assert late


def test_a_mark_that_is_acknowledged_after_its_cut_is_made_again(shop: Shop) -> None:
    """Whoever received an order between the two may not have seen it."""
    late: list[bool] = []

    def slow(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "UpdateItem" and "SET cut" in str(arguments) and not late:
            late.append(True)
            shop.clock.sleep(2)
        return go()

    with shop.faults.injected(slow):
        start(shop, "shopper_activity")
    mark = worker().scopes.read(ACCOUNT).sources["shopper_activity"]
    assert (mark.generation, mark.answered) == (2, mark.cut)


def test_a_purged_dead_letter_is_neither_replayed_nor_discarded(shop: Shop) -> None:
    (request_id,) = dead(shop, "poison")
    start(shop)
    assert shop.request("POST", f"/v1/deadletters/{request_id}/replay").status == 404
    assert shop.request("DELETE", f"/v1/deadletters/{request_id}", {"reason": "x"}).status == 404
    assert shop.receive() == []


def test_a_mark_that_its_job_makes_again_is_waited_for(shop: Shop) -> None:
    """The function died before it answered: nobody knows whether the mark was written in time."""
    send(shop, event(email=ANN))

    def dies(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "UpdateItem" and "SET answered" in str(arguments):
            raise Death
        return go()

    with shop.faults.injected(dies), suppress(Death):
        start(shop, "shopper_activity")
    (job_id,) = [item["sk"] for item in shop.items("RecordsTable") if item["pk"] == f"{ACCOUNT}/j"]
    _, record = taken(shop, event(email=ANN, order_id="between"))
    slow = stale(shop)
    shop.settle()
    assert worker().scopes.read(ACCOUNT).sources["shopper_activity"].generation == 2
    assert job(shop, job_id)["status"] == "queued"
    run(slow, record)
    done(shop, job_id)
    assert left(shop) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_purge_whose_function_dies_at_any_call_is_whole_or_was_never_begun(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    for index in range(40):
        send(shop, event(email=ANN))
        known = {item["sk"] for item in shop.items("RecordsTable") if item["pk"] == f"{ACCOUNT}/j"}
        with shop.faults.injected(die_at(index, moment)), suppress(Death):
            start(shop, "shopper_activity")
        through = index >= len(shop.faults.calls)
        with monkeypatch.context() as patch:
            few_partitions(shop, patch)
            for _ in range(2):  # the second time for a mark that the job has made again
                shop.settle()
        new = {item["sk"] for item in shop.items("RecordsTable") if item["pk"] == f"{ACCOUNT}/j"} - known
        generation = worker().scopes.read(ACCOUNT).sources["shopper_activity"].generation
        assert {Scope.of(item["pk"]).generation for item in left(shop)} <= {generation}, index
        for job_id in new:
            found = job(shop, job_id)
            if worth(shop, ANN) is None:
                assert found["status"] == "done", index
            elif found["status"] != "queued":  # its function died before the message was sent
                assert (found["status"], "not begun" in found["error"]) == ("failed", True), index
        if through:
            assert index > 5
            return
    pytest.fail("a purge makes more calls than there are places to die at")


def test_an_erasure_s_job_waits_for_those_who_read_the_marks_before(shop: Shop) -> None:
    _, record = taken(shop, event(email=ANN))
    slow = stale(shop)
    job_id = start_erasure(shop)
    release(shop)
    assert job(shop, job_id)["status"] == "queued"
    run(slow, record)
    assert worth(shop, ANN) == {"USD": "100.00"}
    done(shop, job_id)
    assert worth(shop, ANN) is None
    assert all(is_bare(item) for item in left(shop))


def refunds(shop: Shop, count: int) -> None:
    """So many events of one order."""
    refund = {"email": ANN, "action": "refunded", "grand_total": ..., "refund_amount": 1}
    bodies = [event(**refund, occurred_at=f"2019-02-01T00:{n:02}:00Z") for n in range(count)]
    assert shop.send_batch(bodies).status == 202


def test_a_partition_that_time_does_not_suffice_for_is_gone_on_with(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    refunds(shop, 40)
    shop.drain()
    few_partitions(shop, monkeypatch)
    job_id = start(shop, "shopper_activity")
    (step,) = decode(shop.faults.held.pop()).steps
    shop.clock.sleep(settings().settle_seconds + 1)
    moments = iter([math.inf])  # the time is over when the first 25 are deleted
    worker().purges.run(step, lambda: next(moments, 0.0), 1e12)
    assert len([item for item in left(shop) if "/e/" in item["pk"]]) == 15
    shop.drain()
    assert job(shop, job_id)["status"] == "done"
    assert left(shop) == []


def test_what_was_not_processed_of_a_partition_is_deleted_with_the_next_call(shop: Shop) -> None:
    refunds(shop, 10)
    shop.drain()
    parts: list[int] = []

    def part(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "BatchWriteItem":
            return go()
        ((table, requests),) = arguments["RequestItems"].items()
        parts.append(len(requests))
        rest = requests[4:]
        del requests[4:]
        return go() | {"UnprocessedItems": {table: rest} if rest else {}}

    partition = V3_SCOPE.event_key(KEY, "")["pk"]
    with shop.faults.injected(part):
        assert worker().ledger.sweep(partition, lambda: True, math.inf) == (10, True)
    assert parts == [10, 6, 2]
    assert [item for item in left(shop) if item["pk"] == partition] == []


def test_the_partitions_of_a_scope_are_all_it_writes_to() -> None:
    scope = Scope(ACCOUNT, "orders_api", 3)
    letters_of_keys = string.ascii_letters + string.digits + "-_"
    keys = [f"{a}{b}{'x' * 20}" for a in letters_of_keys for b in letters_of_keys]
    items = [key for k in keys for key in (scope.head_key(k), scope.event_key(k, "e"), scope.counter_key(k))]
    items += [scope.person_key(f"{n:02x}{'0' * 30}") for n in range(256)]
    assert {item["pk"] for item in items} == set(scope.partitions())


# ---------------------------------------------------------------------- v3 orders


def test_many_events_of_one_order_are_as_many_transactions_as_it_takes(shop: Shop) -> None:
    """Each goes on from the head that the one before has written."""
    refunds(shop, 2 * MAX_TOGETHER + 1)
    activities = [order.activity() for record in shop.receive() for order in decode(record["body"]).orders]
    with shop.faults.recorded() as calls:
        results = worker().ledger.apply(V3_SCOPE, activities, math.inf)
    assert [operation for operation, _ in calls].count("TransactWriteItems") == 3
    assert [result.status for result in results if isinstance(result, Result)] == ["applied"] * len(activities)
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["events"] == len(activities)


def test_what_is_emptied_while_a_copy_moves_it_stays_empty(shop: Shop) -> None:
    """The head was read after it was emptied: only the event's own condition tells."""
    body = event(email=ANN, occurred_at=day(1))
    _, early = taken(shop, body)
    slow = stale(shop)
    send(shop, body)
    job_id = start_erasure(shop)
    with meanwhile(shop, "GetItem", "/h/", shop.settle):
        run(slow, early)
    assert job(shop, job_id)["status"] == "done"
    assert all(is_bare(item) for item in left(shop))


def test_each_copy_that_moves_its_event_keeps_what_that_did_to_the_sums(shop: Shop) -> None:
    """The first uncovers another event's total, the second another event's currency."""
    ledger = worker().ledger
    apply(ledger, copy(5, "late", currency="EUR"), math.inf)
    apply(ledger, activity(2, "updated", "2", occurred="20190401000000000000"), math.inf)
    apply(ledger, activity(3, "paid", None, occurred="20190201000000000000", currency="USD"), math.inf)
    told = {name: apply(ledger, copy(month, name, currency="EUR"), math.inf) for month, name in ((3, "b"), (1, "a"))}
    assert [[(e.currency, int(e.amount), e.orders) for e in told[name].effects] for name in "ba"] == [
        [("EUR", 1, 0)],
        [("EUR", -2, -1), ("USD", 2, 1)],
    ]
    stored = event_item(ledger, copy(1, "a"))
    assert [effects_of_move(stored.moves, name) for name in "ba"] == [list(told[name].effects) for name in "ba"]


def test_a_copy_ends_at_once_where_an_earlier_one_came_between(shop: Shop) -> None:
    """What stands there is read again: it need not be moved any more."""
    ledger, waited = worker().ledger, [0.0]
    ledger.pace = Pace(lambda: waited[0], lambda seconds: waited.append(waited.pop() + seconds), lambda: 1.0)
    apply(ledger, copy(5, "late"))
    with meanwhile(shop, "TransactWriteItems", "stamp = :seen", lambda: apply(worker().ledger, copy(1, "a"), math.inf)):
        assert apply(ledger, copy(3, "b")).status == "duplicate"
    assert waited[0] < 1
    assert received_of(event_item(ledger, copy(1, "a")).stamp) == copy(1, "a").received


def test_an_order_is_emptied_as_far_as_the_time_goes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "MOST_EVENTS", 2)
    refunds(shop, 7)
    shop.drain()
    moments = iter([True, True, False])
    ledger, cut = worker().ledger, times.now()
    assert ledger.empty(V3_SCOPE, KEY, ANN_ID, cut, lambda: next(moments, True), math.inf) == (4, False)
    assert ledger.empty(V3_SCOPE, KEY, ANN_ID, cut, lambda: next(moments, True), math.inf) == (3, True)


def test_an_event_that_comes_while_its_order_is_emptied_stays(shop: Shop) -> None:
    send(shop, event(email=ANN), event(email=BOB, action="paid", grand_total=70))
    start_erasure(shop)
    _, record = taken(shop, event(email=BOB, action="updated", grand_total=7))
    with meanwhile(shop, "GetItem", "/h/", lambda: run(worker(), record)):
        shop.settle()
    assert worth(shop, BOB) == {"USD": "7.00"}
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["events"] == 2


def test_a_person_whose_event_moves_meanwhile_is_not_forgotten(shop: Shop) -> None:
    """The index may list it at neither place for a moment."""
    body = event(email=ANN, occurred_at=day(1))
    _, early = taken(shop, body)
    send(shop, body, event(email=BOB, occurred_at=day(2), action="paid"))
    moved: list[bool] = []

    def move(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if moved or operation != "Query" or "IndexName" not in arguments:
            return go()
        moved.append(True)
        run(worker(), early)
        return {"Items": []}

    with shop.faults.injected(move):
        assert not worker().ledger.forget(V3_SCOPE, ANN_ID, math.inf)
    assert moved
    assert named(shop, ANN) == [("Placed an order", "o-1")]


@pytest.mark.parametrize(("who", "listed", "gone"), [(BOB, False, False), (ANN, True, True)])
def test_who_is_forgotten_is_told_by_what_is_stored_and_not_by_the_index(
    shop: Shop, who: str, listed: bool, gone: bool
) -> None:
    """It runs a moment behind: it does not list Bob's order yet, and lists what Ann has no more."""
    send(shop, event(email=ANN), event(email=BOB, action="paid"))
    behind = {"pk": {"S": f"{V3_SCOPE.name}/e/0"}, "sk": {"S": "gone!"}, "stamp": {"S": "0"}}

    def index(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        return {"Items": [behind] if listed else []} if "IndexName" in arguments else go()

    with shop.faults.injected(index):
        assert worker().ledger.forget(V3_SCOPE, ANN_ID if who == ANN else BOB_ID, math.inf) is gone


def test_an_order_is_computed_again_without_what_was_emptied(shop: Shop) -> None:
    send(shop, event(email=ANN), event(email=BOB, action="paid", grand_total=7))
    erased(shop)
    before = shop.items("LedgerTable")
    assert not worker().ledger.rebuild(V3_SCOPE, KEY, document_of, math.inf)
    assert shop.items("LedgerTable") == before


# ---------------------------------------------------------------------- v1 orders


def head_of_order(shop: Shop) -> dict[str, Any]:
    (head,) = [item for item in left(shop) if "/h/" in item["pk"]]
    return head


def test_what_was_submitted_is_not_known_when_its_version_is_emptied(shop: Shop) -> None:
    submit(shop, order("a"))
    shop.edit("a", {"customer_email": BOB})
    assert "digest" in head_of_order(shop)
    erased(shop)
    assert "digest" not in head_of_order(shop)


def test_an_edit_that_read_the_head_before_versions_were_emptied_is_made_again(shop: Shop) -> None:
    submit(shop, order("a"))
    shop.edit("a", {"customer_email": BOB})
    start_erasure(shop)
    with meanwhile(shop, "TransactWriteItems", "", shop.settle):
        assert shop.edit("a", {"total": 5}).body["total"] == "5.0"
    assert "digest" not in head_of_order(shop)
    assert worth(shop, BOB) == {"USD": "5.00"}


def test_an_edit_that_comes_while_versions_are_emptied_stays(shop: Shop) -> None:
    submit(shop, order("a"))
    shop.edit("a", {"customer_email": BOB})
    shop.drain()
    start_erasure(shop)
    with meanwhile(shop, "TransactWriteItems", "", lambda: shop.edit("a", {"total": 5})):
        shop.settle()
    assert shop.get("/v1/order/a").body["total"] == "5.0"
    assert worth(shop, BOB) == {"USD": "5.00"}
    assert head_of_order(shop)["version"] == 3


def test_a_lost_write_is_found_behind_versions_that_were_emptied(shop: Shop) -> None:
    first = shop.submit(order("a", customer_email=BOB)).body["id"]
    others: list[Answer] = []

    def do() -> None:
        others.append(shop.edit("a", {"customer_email": ANN}))
        others.append(shop.edit("a", {"customer_email": BOB, "total": 9}))
        erased(shop)

    with shop.faults.injected(unanswered(do)):
        answer = shop.edit("a", {"total": 6})
    assert (answer.status, answer.body["id"], answer.body["total"]) == (200, first, "6.0")
    assert shop.get("/v1/order/a").body == others[1].body


def test_of_a_deleted_order_the_outline_is_kept(shop: Shop) -> None:
    submit(shop, order("a", shipping_address=SHIP))
    shop.delete("a")
    (deletion,) = [item for item in left(shop) if item.get("action") == "deleted"]
    assert unpack(deletion["body"]).keys() == {"order_id", "currency", "total", "order_date"}


# ---------------------------------------------------------------------- the queue


def throttled(shop: Shop, operation: str, text: str, count: int) -> Any:
    """The first calls of an operation with this text are refused."""
    refused: list[str] = []

    def intercept(_index: int, name: str, arguments: dict[str, Any], go: Go) -> Any:
        if name == operation and text in str(arguments) and len(refused) < count:
            refused.append(name)
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, name)
        return go()

    return shop.faults.injected(intercept)


def test_deliveries_that_ended_with_the_function_are_no_tries_of_what_is_refused_for_now(shop: Shop) -> None:
    request_id, record = taken(shop, event(email=ANN))
    record["attributes"]["ApproximateReceiveCount"] = "5"
    processor, now = worker(), [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    processor.clock = lambda: now[0]
    processor.ledger.pace = Pace(lambda: now[0], sleep, lambda: 1.0)
    with throttled(shop, "TransactWriteItems", "", 1000):
        run(processor, record)
    assert letters(shop) == []
    (again,) = shop.receive()
    assert decode(again["body"]).tries == 1
    shop.drain()
    assert outcome(shop, request_id) == ("applied", None)


def test_however_many_time_does_not_suffice_for_all_are_queued_again(shop: Shop) -> None:
    """With the tries that were made before."""
    assert shop.send_batch([event(email=ANN, order_id=n) for n in range(80)]).status == 202
    (record,) = shop.receive()
    shop.acknowledge(record)
    record["body"] = encode(decode(record["body"])._replace(tries=3))
    processor, now = worker(), [0.0]

    def slow(_index: int, operation: str, _arguments: dict[str, Any], go: Go) -> Any:
        now[0] += 60 if operation == "TransactWriteItems" else 0
        return go()

    processor.clock = lambda: now[0]
    with shop.faults.injected(slow):
        run(processor, record)
    late = [decode(again["body"]) for again in shop.receive()]
    assert sum(len(message.orders) for message in late) == 80 - MAX_TOGETHER
    assert {message.tries for message in late} == {3}
    shop.drain()
    assert worth(shop, ANN) == {"USD": "8000.00"}


def test_a_replay_that_is_refused_for_now_is_one_still(shop: Shop) -> None:
    """Else the failure would stay beside what became of it."""
    (request_id,) = dead(shop, "poison")
    shop.request("POST", "/v1/deadletters/all/replay")
    with throttled(shop, "BatchGetItem", f"{ACCOUNT}/u", 1):
        assert shop.deliver(shop.receive()) == []
    shop.drain()
    found = shop.get("/v1/transactions").body["transactions"]
    assert [(t["request_id"], t["status"]) for t in found] == [(request_id, "applied")]


def test_a_replay_that_fails_again_is_a_failure_still(shop: Shop) -> None:
    (request_id,) = dead(shop, "poison")
    shop.request("POST", "/v1/deadletters/all/replay")
    with shop.faults.injected(poisoned("poison")):
        shop.drain(40)
    assert letters(shop) == [request_id]
    assert shop.status(request_id)["status"] == "failed"


# ----------------------------------------------------------------------- reading


def test_everybody_is_of_both_sources_current_scopes(shop: Shop) -> None:
    def everybody() -> dict[str, Any]:
        people = People(shop.dynamodb, settings().ledger_table, Account(ACCOUNT), worker().scopes.read(ACCOUNT))
        return {person["email_sha256"]: person["lifetime_value"] for person in people.everyone()}

    submit(shop, order("a"))
    send(shop, event(email=ANN, grand_total=7), event(email=BOB, order_id="o-2", grand_total=9))
    assert sorted(str(value) for value in everybody().values()) == ["{'USD': '107.00'}", "{'USD': '9.00'}"]
    start(shop, "shopper_activity")
    assert list(everybody().values()) == [{"USD": "100.00"}]


def test_whom_a_purge_took_matches_no_more(shop: Shop) -> None:
    """By none of what an order is found by, from the answer on."""
    submit(shop, order("a", shipping_address=SHIP, customer_id="c-1"), order("b", billing_address=SHIP))
    send(shop, event(email=ANN, shipping_address=SHIP), event(email=BOB, order_id="o-2", billing_address=SHIP))
    asked = [{"address": SHIP}, {"customer_id": "c-1"}, {"email": ANN}]
    assert match(shop, V1, *asked) == [True, True, True]
    assert match(shop, V3, *asked) == [True, False, True]
    start(shop)
    for audience in (V1, V3):
        assert match(shop, audience, *asked) == [False, False, False]


@pytest.mark.parametrize("source", ["orders_api", "shopper_activity"])
def test_kept_sums_are_not_told_after_a_purge_of_either_source(shop: Shop, source: Any) -> None:
    request_id = times.uuid7()
    shop.clock.sleep(timedelta(hours=5).total_seconds())
    sums = Sums()
    sums.requests[source, "applied"] = 1
    Hours(shop.dynamodb, settings().records_table).keep(ACCOUNT, times.now(), {hour_of(request_id): sums.packed()})
    assert shop.get("/v1/transactions/summary").body["requests"]
    start(shop, source)
    assert shop.get("/v1/transactions/summary").body["requests"] == []


@pytest.mark.parametrize("deleted", [False, True])
def test_a_lost_try_that_arrives_between_two_reads_is_answered(shop: Shop, deleted: bool) -> None:
    if deleted:
        submit(shop, order("a"))
        shop.drain()
    late: list[Any] = []

    def lose(_i: int, operation: str, arguments: dict[str, Any], go: Any) -> Any:
        if operation == "TransactWriteItems" and not late:
            late.append(go)
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        if operation == "GetItem" and "/h/" in str(arguments) and len(late) == 1:
            late.append(late[0]())  # it arrives now
        return go()

    with shop.faults.injected(lose):
        answer = shop.delete("a") if deleted else shop.submit(order("a"))
    assert len(late) == 2
    assert (answer.status, answer.body.get("total")) == (200 if deleted else 201, "100.0")
    shop.drain()
    statuses = [t["status"] for t in shop.get("/v1/transactions").body["transactions"]]
    assert statuses == ["applied"] * (1 + deleted)
