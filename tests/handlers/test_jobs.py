"""Jobs: chains of pages, a page that fails, and the watch, which sends pages again that made no progress.

records/jobs.py explains chains and pages.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.handlers.audiences import (
    V1,
    V3,
    count,
    deliver_page,
    downgrade_ledger,
    job,
    order,
    send,
    snapshot,
    start_rebuild,
    submit,
)
from tests.handlers.events import day, event
from tests.handlers.removal import (
    ANN,
    ANN_ID,
    BOB,
    dead_letter_ids,
    deliver_first_held,
    finish,
    is_emptied,
    ledger_items,
    limit_partitions,
    make_dead_letters,
    meanwhile,
    receive_event,
    record_outcomes,
    run_erasure,
    run_purge,
    stale_worker,
    start_erasure,
    start_purge,
    store_dead_letter,
    stored_outcome_ids,
    worker,
)
from tests.handlers.rights import USED_RIGHTS
from tests.handlers.shop import ACCOUNT, JOBS_QUEUE, Death, Shop
from tillbook.aws.settings import settings
from tillbook.ledger.items import BUCKETS
from tillbook.records import jobs as job_records
from tillbook.records import outcomes
from tillbook.records.jobs import Chain, Job, Progress
from tillbook.records.messages import Message, Queue, Step, decode
from tillbook.rules import times
from tillbook.work import jobs as jobs_at_work
from tillbook.work.jobs import Page, Worker
from tillbook.work.purge import ERASE, PURGE

Go = Callable[[], Any]
_CUT_OFF = "page 0 was cut off repeatedly (out of time or memory)"


def steps_sent(calls: list[tuple[str, dict[str, Any]]]) -> list[Step]:
    """The pages that were sent, in the order of the calls."""
    bodies = [arguments["MessageBody"] for operation, arguments in calls if operation == "SendMessage"]
    return [page for body in bodies for page in decode(body).steps]


def lose_messages(shop: Shop) -> int:
    """Removes all messages from the queue of jobs. Returns their number."""
    lost = 0
    while records := shop.receive(JOBS_QUEUE):
        for record in records:
            shop.acknowledge(record)
            lost += 1
    return lost


def run_page(page: Step) -> None:
    """Runs one page."""
    worker().jobs.run(page, 1, 1, time.monotonic, math.inf)


def run_watch() -> None:
    """Runs the watch over all jobs."""
    worker().jobs.watch(" ", time.monotonic, math.inf)


def state(shop: Shop, job_id: str) -> tuple[str, str | None]:
    """(status, error) of a job."""
    found = job(shop, job_id)
    return found["status"], found["error"]


# ----------------------------------------------------------------------- pages


def test_a_page_is_sent_after_its_chain_has_moved_to_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a page arrived before that, it would not be the current page of its chain, and would be dropped."""
    monkeypatch.setattr(jobs_at_work, "_PAGE_SECONDS", 0)
    submit(shop, *(order(f"o-{n}") for n in range(3)))
    shop.drain()
    jobs, sent = worker().jobs.jobs, list[tuple[int, int, int]]()  # (chain, page, current page of the chain)

    def note_current_page(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "SendMessage":
            with USED_RIGHTS.uncounted():
                for page in decode(arguments["MessageBody"]).steps:
                    _, chains = jobs.read(page.account, page.job)
                    sent.append((page.chain, page.page, chains[page.chain].page))
        return go()

    with shop.faults.injected(note_current_page):
        start_rebuild(shop, V1)
        shop.drain()
    # Chain 0 has one order on a page; chain 1 closes the job.
    assert sent == [(0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 0, 0)]


def test_a_page_without_time_makes_progress_so_that_a_purge_ends(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(shop, order("a"))
    send(shop, event(email=ANN))
    limit_partitions(shop, monkeypatch)
    job_id = start_purge(shop)
    monkeypatch.setattr(jobs_at_work, "_PAGE_SECONDS", 0)
    shop.settle()
    assert state(shop, job_id) == ("done", None)
    assert ledger_items(shop) == []


def test_starting_a_job_that_exists_does_nothing(shop: Shop) -> None:
    processor = worker()
    for _ in range(2):
        processor.rebuilds.start(processor.jobs, ACCOUNT, "orders_api", "nightly")
        shop.drain()
        assert state(shop, "nightly") == ("done", None)
    processor.rebuilds.start(processor.jobs, ACCOUNT, "orders_api", "nightly")
    assert lose_messages(shop) == 0


def test_a_page_on_its_last_delivery_does_no_work_and_fails_its_job(shop: Shop) -> None:
    submit(shop, order())
    shop.drain()
    job_id = start_rebuild(shop, V1)
    (record,) = shop.receive(JOBS_QUEUE)
    record["attributes"]["ApproximateReceiveCount"] = str(settings().max_tries)
    with shop.faults.recorded() as calls:
        assert shop.deliver([record]) == []
        tables = {arguments.get("TableName") for _, arguments in calls}
        assert tables <= {settings().records_table, None}  # None: a call of SQS
    assert state(shop, job_id) == ("failed", _CUT_OFF)
    assert lose_messages(shop) == 0


def test_a_page_that_fails_on_each_try_fails_its_job(shop: Shop) -> None:
    submit(shop, order())
    shop.drain()
    job_id, tries = start_rebuild(shop, V1), 0

    def refused(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        nonlocal tries
        if operation == "Query" and "/h/" in str(arguments):
            tries += 1
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "secret internals"}}, operation)
        return go()

    with shop.faults.injected(refused):
        shop.drain(20)
    assert state(shop, job_id) == ("failed", "page 0 failed: ClientError")
    assert tries == settings().max_tries


def test_a_page_that_kills_its_function_each_time_harms_no_order(shop: Shop) -> None:
    submit(shop, order("v1"))
    shop.drain()
    job_id = start_rebuild(shop, V1)

    def too_heavy(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "Query" and "/h/" in str(arguments):
            raise Death
        return go()

    with shop.faults.injected(too_heavy):
        for number in range(settings().max_tries):
            assert state(shop, job_id) == ("queued", None)
            request_id = shop.send(event(order_id=number)).body["request_id"]
            with suppress(Death):
                shop.deliver(shop.receive(JOBS_QUEUE))
            assert shop.deliver(shop.receive()) == []
            assert shop.status(request_id)["status"] == "applied"
    assert state(shop, job_id) == ("failed", _CUT_OFF)
    assert not shop.receive() + shop.receive(JOBS_QUEUE)
    assert [item for item in shop.items("RecordsTable") if item["pk"] == f"{ACCOUNT}/d"] == []


def test_a_page_that_must_wait_is_sent_again_with_a_delay(shop: Shop) -> None:
    """Waiting does not count as a try."""
    start_purge(shop, "shopper_activity")
    (_, body) = shop.faults.held.pop()
    with shop.faults.recorded() as calls:
        run_page(*decode(body).steps)
        (sent,) = [arguments for operation, arguments in calls if operation == "SendMessage"]
    assert decode(sent["MessageBody"]) == decode(body)
    assert settings().settle_seconds - 10 < sent["DelaySeconds"] <= min(settings().settle_seconds, 900)


# ---------------------------------------------------------------------- chains


def test_chains_of_a_rebuild_share_its_orders_and_close_it_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_records, "_ORDERS_A_CHAIN", 1)
    submit(shop, *(order(f"{n}") for n in range(43)))
    shop.drain()
    heads = [item["pk"] for item in ledger_items(shop) if "/h/" in item["pk"]]
    assert len(set(heads)) == BUCKETS, "some bucket has no order"
    ledger = snapshot(shop)
    downgrade_ledger(shop)
    with shop.faults.recorded() as calls:
        job_id = start_rebuild(shop, V1)
        shop.drain()
        assert steps_sent(calls) == [Step(ACCOUNT, job_id, number) for number in range(BUCKETS + 1)]
    assert snapshot(shop) == ledger
    found = job(shop, job_id)
    assert (found["status"], found["done"], found["total"]) == ("done", 43, 43)


def test_if_two_chains_end_at_the_same_time_the_later_one_closes_the_job(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chain 1 ends after chain 0 has read the job, and before chain 0 stores its end."""
    monkeypatch.setattr(job_records, "_ORDERS_A_CHAIN", 1)
    submit(shop, order())
    assert count(shop, V1) == 1
    job_id = start_rebuild(shop, V1)
    assert lose_messages(shop) == 2
    with meanwhile(shop, "PutItem", f"{job_id}/00", lambda: run_page(Step(ACCOUNT, job_id, 1))):
        run_page(Step(ACCOUNT, job_id, 0))
    (closing,) = shop.receive(JOBS_QUEUE)
    assert decode(closing["body"]).steps == [Step(ACCOUNT, job_id, 2)]
    shop.drain()
    assert state(shop, job_id) == ("done", None)


def test_chains_of_a_purge_share_its_work(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_records, "_ORDERS_A_CHAIN", 10)
    submit(shop, *(order(f"o-{n}", customer_email=f"p-{n}@b.co") for n in range(25)))
    send(shop, *(event(order_id=n) for n in range(3)))
    limit_partitions(shop, monkeypatch)
    found = run_purge(shop)
    assert (found["done"], found["total"]) == (28, 28)
    assert ledger_items(shop) == []
    assert stored_outcome_ids(shop) == set()
    marks = worker().scopes.read(ACCOUNT).sources.values()
    assert [(mark.generation, mark.swept) for mark in marks] == [(1, 1)] * 2


@pytest.mark.parametrize("generations", ["12", "21"])
def test_a_purge_notes_the_smallest_generation_that_its_chains_swept(shop: Shop, generations: str) -> None:
    """A chain that began after the second purge swept two generations, the other chain one. `generations`: of each
    chain."""
    for _ in range(2):
        start_purge(shop, "shopper_activity")
    shop.clock.sleep(settings().settle_seconds + 1)
    processor, chains = worker(), {n: Chain(cursor=swept, ended=True) for n, swept in enumerate(generations)}
    closing = Job(PURGE, "running", "", "shopper_activity", parts=2)
    assert processor.purges.close(Page(ACCOUNT, "id", closing, 2, "", lambda: True, math.inf), chains).ended
    assert processor.scopes.read(ACCOUNT).sources["shopper_activity"].swept == 1


def test_a_chain_keeps_the_generation_that_it_began_with(shop: Shop) -> None:
    """The chain has already passed the partitions of the generation that a later purge ended."""
    for _ in range(2):
        start_purge(shop, "shopper_activity")
    shop.clock.sleep(settings().settle_seconds + 1)
    processor, purging = worker(), Job(PURGE, "running", "", "shopper_activity")
    # The chain began in generation 1, and continues at the last partition.
    cursor = f"1 {processor.outcomes.partitions(ACCOUNT, ['shopper_activity'])[-1]}"
    page = Page(ACCOUNT, "id", purging, 0, cursor, lambda: True, math.inf)
    assert processor.purges.page(page) == Progress("1", ended=True)


def test_a_purge_leaves_a_later_generation_to_the_job_of_the_later_purge(shop: Shop) -> None:
    """The later purge begins during a page of the earlier job. A worker that missed the later purge then writes an
    order, and the earlier job closes before the later job starts."""
    send(shop, event(email=ANN, order_id="first"))
    earlier, later = start_purge(shop, "shopper_activity"), list[str]()
    _, record = receive_event(shop, event(email=ANN, order_id="second"))
    slow = stale_worker(shop)
    shop.clock.sleep(settings().settle_seconds + 1)
    with meanwhile(shop, "BatchGetItem", f"{ACCOUNT}/u", lambda: later.append(start_purge(shop)), after=True):
        deliver_first_held(shop)
    assert slow.run([record], 60) == {"batchItemFailures": []}
    assert len(ledger_items(shop)) == 3  # the slow worker wrote a head, an event and a person
    shop.faults.held.sort(key=lambda held: earlier not in held[1])  # the message of the earlier job first
    for job_id in (earlier, *later):
        finish(shop, job_id)
    assert ledger_items(shop) == []


def test_outcomes_are_purged_in_portions(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_PURGED_AT_ONCE", 10)
    record_outcomes(25, "failed")
    pages = []
    for _ in range(3):
        ended = worker().outcomes.purge(f"{ACCOUNT}/t/failed/o0", times.now(), lambda: False)
        pages.append((ended, len(stored_outcome_ids(shop))))
    assert pages == [(False, 15), (False, 5), (True, 0)]


def test_an_erasure_continues_at_the_order_that_it_had_no_time_for(shop: Shop) -> None:
    for number in range(2):
        send(shop, event(email=ANN, order_id=number, occurred_at=day(1 + number)))
    asked_at = times.now()
    start_erasure(shop)
    shop.clock.sleep(settings().settle_seconds + 1)
    erasing = Job(ERASE, "running", asked_at, "shopper_activity", person=ANN_ID)
    begin, pages = Page(ACCOUNT, "id", erasing, 0, "", lambda: True, math.inf), list[Progress]()
    time_is_left = itertools.chain([True, True, False], itertools.repeat(True))  # not for the second order
    while not pages or not pages[-1].ended:
        cursor = pages[-1].cursor if pages else ""
        page = begin._replace(cursor=cursor, may_go_on=lambda: next(time_is_left))
        pages.append(worker().erasures.page(page))
    assert [page.done for page in pages] == [1, 1]
    assert all(is_emptied(item) for item in ledger_items(shop))


@pytest.mark.parametrize("kind", [PURGE, ERASE])
def test_dead_letters_are_removed_page_by_page(shop: Shop, kind: str) -> None:
    """A page without time removes one dead letter. The last page finds none."""
    for number in range(3):
        store_dead_letter(shop, f"poison-{number}")
    (start_purge if kind == PURGE else start_erasure)(shop)
    shop.clock.sleep(settings().settle_seconds + 1)
    processor, chains = worker(), {number: Chain(cursor="1", ended=True) for number in range(2)}
    workers_by_kind: dict[str, Worker] = {PURGE: processor.purges, ERASE: processor.erasures}
    closing = Job(kind, "running", times.shift(times.now(), minutes=-30), "orders_api shopper_activity", person=ANN_ID)
    progress, remain = Progress(), [3]
    while not progress.ended:
        page = Page(ACCOUNT, "id", closing, 2, progress.cursor, lambda: False, math.inf)
        progress = workers_by_kind[kind].close(page, chains)
        remain.append(len([item for item in shop.items("RecordsTable") if item["pk"] == f"{ACCOUNT}/d"]))
    assert remain == [3, 2, 1, 0, 0]


def test_an_erasure_leaves_the_dead_letters_of_others(shop: Shop) -> None:
    """If the erasure queued Bob's dead letter again, it would be applied, because its writes no longer fail."""
    send(shop, event(email=ANN))
    theirs = make_dead_letters(shop, "poison", email=BOB)
    run_erasure(shop)
    assert dead_letter_ids(shop) == theirs


def test_a_finished_erasure_no_longer_names_the_person(shop: Shop) -> None:
    send(shop, event(email=ANN))
    job_id = start_erasure(shop)

    def names_the_person() -> bool:
        stored = [item for item in shop.items("RecordsTable") if item["pk"] == f"{ACCOUNT}/j"]
        return ANN_ID in str(stored)

    assert names_the_person()
    finish(shop, job_id)
    assert not names_the_person()


# ----------------------------------------------------------------------- watch


def test_the_watch_resends_a_page_that_did_not_end_within_an_hour(shop: Shop) -> None:
    submit(shop, order())
    shop.drain()
    job_id = start_rebuild(shop, V1)
    assert lose_messages(shop) == 1
    for seconds, resent in ((3500, 0), (200, 1), (3500, 0), (200, 1)):
        shop.clock.sleep(seconds)
        Queue(shop.sqs, shop.queues[JOBS_QUEUE]).send("", Message(watch=[" "]))
        deliver_page(shop)
        assert lose_messages(shop) == resent
    assert state(shop, job_id) == ("queued", None)
    shop.clock.sleep(3700)
    run_watch()
    shop.drain()
    assert state(shop, job_id) == ("done", None)


def test_the_watch_resends_nothing_of_a_job_that_makes_progress(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_at_work, "_PAGE_SECONDS", 0)
    submit(shop, *(order(f"o-{n}") for n in range(8)))
    shop.drain()
    job_id = start_rebuild(shop, V1)
    for _ in range(8):
        shop.clock.sleep(3000)
        deliver_page(shop)
        with shop.faults.recorded() as calls:
            run_watch()
            assert steps_sent(calls) == []
    shop.drain()
    assert state(shop, job_id) == ("done", None)


def test_the_watch_fails_a_job_after_it_has_resent_a_page_five_times(shop: Shop) -> None:
    job_id = start_rebuild(shop, V3)
    for _ in range(6):
        assert state(shop, job_id) == ("queued", None)
        assert lose_messages(shop) == 1
        shop.clock.sleep(3700)
        run_watch()
    assert state(shop, job_id) == ("failed", "page 0 made no progress")
    assert lose_messages(shop) == 0
    assert list(worker().jobs.jobs.open(" ")) == []


def test_the_count_of_resends_begins_again_when_a_page_ends(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_at_work, "_PAGE_SECONDS", 0)
    submit(shop, *(order(f"o-{n}") for n in range(3)))
    shop.drain()
    job_id = start_rebuild(shop, V1)
    for _ in range(4):
        for _ in range(2):
            assert lose_messages(shop) == 1
            shop.clock.sleep(3700)
            run_watch()
        deliver_page(shop)
    shop.drain()
    assert state(shop, job_id) == ("done", None)


def test_the_watch_resends_the_closing_page(shop: Shop) -> None:
    job_id = start_rebuild(shop, V1)
    deliver_page(shop)
    assert lose_messages(shop) == 1
    shop.clock.sleep(3700)
    run_watch()
    shop.drain()
    assert state(shop, job_id) == ("done", None)


def test_jobs_that_a_watch_has_no_time_for_are_left_to_the_next_one(shop: Shop) -> None:
    jobs = [start_rebuild(shop, V1), start_rebuild(shop, V3)]
    assert lose_messages(shop) == 2
    shop.clock.sleep(3700)
    seconds = iter((0.0, 1.0))  # when the watch looks at each of the two jobs; its deadline is 1.0
    worker().jobs.watch(" ", lambda: next(seconds), 1.0)
    shop.drain()
    assert [state(shop, job_id) for job_id in jobs] == [("done", None)] * 2
