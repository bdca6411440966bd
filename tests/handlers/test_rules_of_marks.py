"""Rules of the marks of purges and erasures that random histories rarely reach (tests/mutants)."""

from __future__ import annotations

import itertools
import math
import string
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.handlers.audiences import job, send
from tests.handlers.events import event
from tests.handlers.removal import (
    ANN,
    ANN_ID,
    LOST_ANSWER,
    ORDER_KEY,
    V3_SCOPE,
    Go,
    deliver_first_held,
    finish,
    is_emptied,
    ledger_items,
    limit_partitions,
    ltv_of,
    make_dead_letters,
    meanwhile,
    process,
    receive_event,
    send_refunds,
    stale_worker,
    start_erasure,
    start_purge,
    worker,
)
from tests.handlers.rights import USED_RIGHTS
from tests.handlers.shop import ACCOUNT, Death, Shop, kill_at_call
from tillbook.aws.settings import settings
from tillbook.ledger.items import Scope
from tillbook.records.messages import decode
from tillbook.records.scopes import Mark, Marks
from tillbook.rules import times
from tillbook.rules.order import received_of

# ------------------------------------------------------------------------ marks


def test_an_event_received_at_the_cut_is_purged_or_erased(shop: Shop) -> None:
    marks = Marks(ACCOUNT, {"shopper_activity": Mark(1, "2")}, {ANN_ID: "2"})
    assert [marks.purged("shopper_activity", received) for received in "123"] == [True, True, False]
    assert [marks.erased(ANN_ID, received) for received in "123"] == [True, True, False]
    send(shop, event(email=ANN))
    (received,) = [received_of(item["stamp"]) for item in ledger_items(shop) if "stamp" in item]
    ledger = worker().ledger
    for cut, emptied in ((times.shift(received, microseconds=-1), 0), (received, 1)):
        assert ledger.empty(V3_SCOPE, ORDER_KEY, ANN_ID, cut, lambda: True, math.inf) == (emptied, True)


def test_an_older_answer_does_not_replace_a_newer_one(shop: Shop) -> None:
    """Otherwise the job of the newer purge would purge again, and delete the orders received since."""
    jobs: list[str] = []
    with meanwhile(shop, "UpdateItem", "SET answered", lambda: jobs.append(start_purge(shop))):
        jobs.append(start_purge(shop))
    for mark in worker().scopes.read(ACCOUNT).sources.values():
        assert (mark.answered, mark.generation) == (mark.cut, 2)
    send(shop, event(email=ANN))
    for job_id in jobs:
        finish(shop, job_id)
    assert ltv_of(shop, ANN) == {"USD": "100.00"}


def test_a_mark_that_arrives_late_does_not_replace_a_newer_one(shop: Shop) -> None:
    delayed: list[bool] = []

    def delay_first_mark(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if delayed or operation != "UpdateItem" or "SET cut" not in str(arguments):
            return go()
        delayed.append(True)
        with USED_RIGHTS.uncounted():
            start_purge(shop, "shopper_activity")
        newer_cut = worker().scopes.read(ACCOUNT).sources["shopper_activity"].cut
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            go()
        assert worker().scopes.read(ACCOUNT).sources["shopper_activity"].cut == newer_cut
        raise LOST_ANSWER

    with shop.faults.injected(delay_first_mark):
        start_purge(shop, "shopper_activity")
    assert delayed


def test_a_mark_that_was_written_too_late_is_written_again(shop: Shop) -> None:
    """A function that received an order between the cut and the write may not have seen the mark."""
    delayed: list[bool] = []

    def delay_first_mark(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "UpdateItem" and "SET cut" in str(arguments) and not delayed:
            delayed.append(True)
            shop.clock.sleep(2)  # longer than COMMIT_WAIT_SECONDS
        return go()

    with shop.faults.injected(delay_first_mark):
        start_purge(shop, "shopper_activity")
    mark = worker().scopes.read(ACCOUNT).sources["shopper_activity"]
    assert (mark.generation, mark.answered) == (2, mark.cut)  # each write of the mark starts a generation


def test_a_purged_dead_letter_is_neither_replayed_nor_discarded(shop: Shop) -> None:
    (request_id,) = make_dead_letters(shop, "poison")
    start_purge(shop)
    assert shop.request("POST", f"/v1/deadletters/{request_id}/replay").status == 404
    assert shop.request("DELETE", f"/v1/deadletters/{request_id}", {"reason": "x"}).status == 404
    assert shop.receive() == []


def test_a_job_that_writes_its_mark_again_waits_again(shop: Shop) -> None:
    """The function died before it answered, so it is unknown whether the mark was written in time."""
    send(shop, event(email=ANN))

    def die_before_the_answer(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "UpdateItem" and "SET answered" in str(arguments):
            raise Death
        return go()

    with shop.faults.injected(die_before_the_answer), suppress(Death):
        start_purge(shop, "shopper_activity")
    (job_id,) = shop.job_ids()
    _, record = receive_event(shop, event(email=ANN, order_id="between"))
    stale = stale_worker(shop)
    shop.settle()
    assert worker().scopes.read(ACCOUNT).sources["shopper_activity"].generation == 2
    assert job(shop, job_id)["status"] == "queued"
    process(stale, record)
    finish(shop, job_id)
    assert ledger_items(shop) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_purge_whose_function_dies_at_any_call_completes_or_never_began(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    for index in range(40):
        send(shop, event(email=ANN))
        known = set(shop.job_ids())
        with shop.faults.injected(kill_at_call(index, moment)), suppress(Death):
            start_purge(shop, "shopper_activity")
        survived = index >= len(shop.faults.calls)
        with monkeypatch.context() as patch:
            limit_partitions(shop, patch)
            for _ in range(2):  # a job that wrote its mark again waits a second time
                shop.settle()
        new = set(shop.job_ids()) - known
        generation = worker().scopes.read(ACCOUNT).sources["shopper_activity"].generation
        assert {Scope.of(item["pk"]).generation for item in ledger_items(shop)} <= {generation}, index
        for job_id in new:
            found = job(shop, job_id)
            if ltv_of(shop, ANN) is None:
                assert found["status"] == "done", index
            elif found["status"] != "queued":  # its function died before the message was sent
                assert (found["status"], "before anything was removed" in found["error"]) == ("failed", True), index
        if survived:
            assert index > 5
            return
    pytest.fail("a purge makes more calls than the loop kills")


def test_the_job_of_an_erasure_waits_for_workers_that_read_the_marks_before(shop: Shop) -> None:
    _, record = receive_event(shop, event(email=ANN))
    stale = stale_worker(shop)
    job_id = start_erasure(shop)
    deliver_first_held(shop)
    assert job(shop, job_id)["status"] == "queued"
    process(stale, record)
    assert ltv_of(shop, ANN) == {"USD": "100.00"}
    finish(shop, job_id)
    assert ltv_of(shop, ANN) is None
    assert all(is_emptied(item) for item in ledger_items(shop))


def test_a_partition_without_enough_time_is_continued(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    send_refunds(shop, 40)
    shop.drain()
    limit_partitions(shop, monkeypatch)
    job_id = start_purge(shop, "shopper_activity")
    (step,) = decode(shop.faults.held.pop()[1]).steps
    shop.clock.sleep(settings().settle_seconds + 1)
    moments = itertools.chain([0.0], itertools.repeat(math.inf))  # the time runs out when the first 25 are deleted
    worker().jobs.run(step, tries=1, receives=1, clock=lambda: next(moments), deadline=1e12)
    assert len([item for item in ledger_items(shop) if "/e/" in item["pk"]]) == 15  # 40 - 25
    shop.drain()
    assert job(shop, job_id)["status"] == "done"
    assert ledger_items(shop) == []


def test_unprocessed_deletions_of_a_partition_are_made_with_the_next_call(shop: Shop) -> None:
    send_refunds(shop, 10)
    shop.drain()
    requested: list[int] = []

    def process_four(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "BatchWriteItem":
            return go()
        ((table, requests),) = arguments["RequestItems"].items()
        requested.append(len(requests))
        unprocessed = requests[4:]
        del requests[4:]
        return go() | {"UnprocessedItems": {table: unprocessed} if unprocessed else {}}

    partition = V3_SCOPE.event_key(ORDER_KEY, "")["pk"]
    with shop.faults.injected(process_four):
        assert worker().ledger.sweep(partition, lambda: True, math.inf) == (10, True)
    assert requested == [10, 6, 2]
    assert [item for item in ledger_items(shop) if item["pk"] == partition] == []


def test_partitions_lists_every_partition_that_a_scope_writes_to() -> None:
    scope = Scope(ACCOUNT, "orders_api", 3)
    letters_of_keys = string.ascii_letters + string.digits + "-_"
    keys = [f"{a}{b}{'x' * 20}" for a in letters_of_keys for b in letters_of_keys]
    items = [key for k in keys for key in (scope.head_key(k), scope.event_key(k, "e"))]
    items += [scope.person_key(f"{n:02x}{'0' * 30}") for n in range(256)]
    assert {item["pk"] for item in items} == set(scope.partitions())
