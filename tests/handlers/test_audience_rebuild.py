"""Rebuilding an audience (docs/design/audiences-and-matching.md)."""

from __future__ import annotations

import importlib
import json
from contextlib import suppress
from decimal import Decimal
from typing import Any
from unittest.mock import ANY

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.handlers import template
from tests.handlers.audiences import (
    ANN,
    BILL,
    BOB,
    SHIP,
    V1,
    V3,
    count,
    deliver_page,
    downgrade_ledger,
    job,
    ledger_writes,
    match,
    member_kinds,
    members,
    order,
    send,
    snapshot,
    start_rebuild,
    submit,
)
from tests.handlers.events import day, event
from tests.handlers.shop import (
    ACCOUNT,
    JOBS_QUEUE,
    OTHER_ADMIN,
    Context,
    Death,
    Shop,
    kill_at_call,
    kill_at_write,
)
from tillbook.aws.items import raw
from tillbook.aws.settings import settings
from tillbook.ledger.items import Scope, head_of, order_key_of
from tillbook.ledger.ledger import Ledger
from tillbook.records.jobs import Chain, Job, Jobs, Progress
from tillbook.records.messages import Message, Queue, Step
from tillbook.rules import times
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import SOURCES, Source
from tillbook.rules.times import uuid7
from tillbook.work import jobs as jobs_at_work
from tillbook.work import rebuild


def test_a_rebuild_shows_its_progress(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_at_work, "_PAGE_SECONDS", 0)
    submit(shop, *(order(f"o-{n}") for n in range(3)))
    assert count(shop, V1) == 3
    job_id = start_rebuild(shop, V1)
    queued = {"job_id": job_id, "kind": "rebuild", "status": "queued", "done": 0, "total": 3, "error": None}
    assert job(shop, job_id) == queued
    for done in (1, 2, 3, 3):  # the fourth page finds that no order is left; a fifth closes the job
        deliver_page(shop)
        assert job(shop, job_id) == queued | {"status": "running", "done": done}
    deliver_page(shop)
    assert job(shop, job_id) == queued | {"status": "done", "done": 3}
    assert not shop.receive(JOBS_QUEUE)
    assert shop.get(f"/v1/jobs/{job_id}", key=OTHER_ADMIN).status == 404
    assert shop.get("/v1/jobs/nothing").status == 404


def test_progress_never_decreases_and_a_finished_job_stays_finished(shop: Shop) -> None:
    """If two functions run one page at the same time, the slower one may write when the other is pages ahead."""
    jobs, job_id = Jobs(shop.dynamodb, settings().records_table), uuid7()
    first = Step(ACCOUNT, job_id)
    assert jobs.start(ACCOUNT, job_id, Job(rebuild.KIND, "queued", times.now(), V1, total=10))
    begun = jobs.move(first, Chain(), Progress("a", done=5))
    assert begun is not None
    assert jobs.move(first._replace(page=1), begun, Progress("b", done=3)) == begun._replace(
        page=2, cursor="b", done=8, touched_at=ANY
    )
    assert jobs.move(first, Chain(), Progress("a", done=1)) is None
    assert job(shop, job_id)["done"] == 8
    assert jobs.end(ACCOUNT, job_id)
    assert not jobs.end(ACCOUNT, job_id, "gave up")
    assert (job(shop, job_id)["status"], job(shop, job_id)["error"]) == ("done", None)


def test_a_rebuild_of_an_empty_audience_finishes(shop: Shop) -> None:
    job_id = start_rebuild(shop, V3)
    shop.drain()
    found = job(shop, job_id)
    assert (found["status"], found["done"], found["total"]) == ("done", 0, 0)


def test_a_rebuild_of_a_correct_ledger_writes_nothing(shop: Shop) -> None:
    """This is also true if DynamoDB removed trailing zeros, such as those of 10.50 and of 10.50 - 0.50."""
    submit_some_orders(shop)
    send(shop, event(order_id="v3-even", grand_total="10.50", occurred_at=day(1)))
    send(shop, event(order_id="v3-even", action="refunded", refund_amount="0.50", occurred_at=day(2)))
    trim_numbers(shop)
    jobs = [start_rebuild(shop, V1), start_rebuild(shop, V3)]
    with shop.faults.recorded() as calls:
        shop.drain()
        assert not ledger_writes(calls)
    assert [job(shop, j)["status"] for j in jobs] == ["done", "done"]


def test_a_rebuild_keeps_attributes_of_a_newer_version(shop: Shop) -> None:
    submit_some_orders(shop)
    send(shop, event(order_id="v3-even", grand_total="10.50", occurred_at=day(1)))
    trim_numbers(shop)
    table = settings().ledger_table
    for item in shop.items(table):
        if "/h/" in str(item["pk"]):
            shop.dynamodb.put_item(TableName=table, Item=raw(item | {"newer_field": "of a newer version"}))
    jobs = [start_rebuild(shop, V1), start_rebuild(shop, V3)]
    with shop.faults.recorded() as calls:
        shop.drain()
        assert not ledger_writes(calls)
    assert [job(shop, j)["status"] for j in jobs] == ["done", "done"]
    assert all("newer_field" in item for item in shop.items(table) if "/h/" in str(item["pk"]))


def trim_numbers(shop: Shop) -> None:
    """Removes the trailing zeros of stored numbers, as DynamoDB does and moto does not."""
    name, trimmed = settings().ledger_table, 0
    for item in shop.items(name):
        normal = {k: v.normalize() if isinstance(v, Decimal) else v for k, v in item.items()}
        trimmed += raw(normal) != raw(item)
        shop.dynamodb.put_item(TableName=name, Item=raw(normal))
    assert trimmed


def submit_some_orders(shop: Shop) -> None:
    """Submits orders of both sources, named by what is special about them: `v1-two` and `v3-two` have two addresses."""
    submit(
        shop,
        order("v1-two", shipping_address=SHIP, billing_address=BILL),
        order("v1-alike", shipping_address=SHIP, billing_address=SHIP, customer_id="c-1"),
        order("v1-person", customer_email=BOB),
        order("v1-edited", shipping_address=SHIP),
        order("v1-deleted", shipping_address=SHIP),
        order("v1-again", shipping_address=SHIP),
    )
    shop.edit("v1-edited", {"billing_address": BILL, "customer_id": "c-2"})
    shop.delete("v1-deleted")
    shop.delete("v1-again")
    submit(shop, order("v1-again", billing_address=BILL))
    shop.send_batch(
        [
            event(order_id="v3-two", shipping_address=SHIP, billing_address=BILL, email=ANN),
            event(order_id="v3-two", action="paid", email=ANN),
            event(order_id="v3-person", person_id="p-1"),
            event(order_id="v3-refunded", email=BOB, billing_address=BILL),
            event(order_id="v3-refunded", action="refunded", refund_amount=5, email=BOB),
        ]
    )
    shop.drain()


def test_a_rebuild_updates_orders_of_an_older_version(shop: Shop) -> None:
    submit_some_orders(shop)
    expected = [(members(shop, a), count(shop, a)) for a in (V1, V3)]
    ledger = snapshot(shop)
    people: list[dict[str, Any]] = [
        {"address": SHIP},
        {"address": BILL},
        {"customer_id": "c-1"},
        {"customer_id": "c-2"},
    ]
    matches = match(shop, V1, *people)
    downgrade_ledger(shop)
    assert snapshot(shop) != ledger
    assert (count(shop, V1), count(shop, V3)) == (5, 3)  # one member for each order
    assert match(shop, V1, *people) == [False] * 4
    start_rebuild(shop, V1)
    start_rebuild(shop, V3)
    shop.drain()
    assert snapshot(shop) == ledger
    assert [(members(shop, a), count(shop, a)) for a in (V1, V3)] == expected
    assert match(shop, V1, *people) == matches == [True] * 4
    with shop.faults.recorded() as calls:
        start_rebuild(shop, V1)
        start_rebuild(shop, V3)
        shop.drain()
        assert not ledger_writes(calls)


def test_a_rebuild_of_big_orders_fits_into_transactions(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    send(shop, *[event(order_id="o", occurred_at=day(n + 1), shipping_address=SHIP, extra="x" * n) for n in range(6)])
    ledger = snapshot(shop)
    downgrade_ledger(shop)
    sizes = [len(item["body"]) for item in shop.items("LedgerTable") if "body" in item]
    monkeypatch.setattr("tillbook.ledger.upkeep.MOST_BYTES", 2 * max(sizes))
    with shop.faults.recorded() as calls:
        start_rebuild(shop, V3)
        shop.drain()
    written = [
        [put["Item"]["body"] for put in (item.get("Put", {}) for item in arguments["TransactItems"]) if _has_body(put)]
        for operation, arguments in calls
        if operation == "TransactWriteItems"
    ]
    assert [len(bodies) for bodies in written if bodies] == [2, 2, 2]  # six events, at most two bodies at once
    assert snapshot(shop) == ledger


def _has_body(put: dict[str, Any]) -> bool:
    return "body" in put.get("Item", {})


def test_orders_that_an_older_version_wrote_are_counted_once(shop: Shop) -> None:
    """The current version changes and deletes such orders, and adds events to them, before and during a rebuild."""
    submit_some_orders(shop)
    downgrade_ledger(shop)
    shop.edit("v1-two", {"billing_address": None})
    shop.delete("v1-alike")
    send(shop, event(order_id="v3-person", person_id="p-1", action="paid", shipping_address=SHIP))
    submit(shop, order("v1-new"))
    start_rebuild(shop, V1)
    shop.edit("v1-person", {"shipping_address": SHIP})
    start_rebuild(shop, V3)
    shop.drain()
    assert member_kinds(shop, V1) == [
        ("v1-again", "billing"), ("v1-edited", "billing"), ("v1-edited", "shipping"), ("v1-new", "person"),
        ("v1-person", "shipping"), ("v1-two", "shipping"),
    ]  # fmt: skip
    assert member_kinds(shop, V3) == [
        ("v3-person", "shipping"), ("v3-refunded", "billing"), ("v3-two", "billing"), ("v3-two", "shipping"),
    ]  # fmt: skip


def test_a_rebuild_replaces_keys_of_another_normalisation(shop: Shop) -> None:
    """A rebuild after a change of the normalisation makes addresses match only under their new keys."""
    submit_some_orders(shop)
    ledger = snapshot(shop)
    name = settings().ledger_table
    for item in shop.items(name):
        for key in ("shipping_key", "billing_key", "customer_key", "shipping", "billing"):
            if key in item:
                item[key] = f"{str(item[key])[:-4]}old!"
        shop.dynamodb.put_item(TableName=name, Item=raw(item))
    assert match(shop, V1, {"address": SHIP}) == [False]
    start_rebuild(shop, V1)
    start_rebuild(shop, V3)
    shop.drain()
    assert snapshot(shop) == ledger
    assert match(shop, V1, {"address": SHIP}) == match(shop, V3, {"address": BILL}) == [True]


def test_a_rebuild_updates_all_events_of_a_long_order(shop: Shop) -> None:
    shop.send_batch([event(action="updated", occurred_at=f"2019-01-01T00:{n // 60:02d}:{n % 60:02d}Z",
                           shipping_address=SHIP | {"address_1": f"{n + 1} Main St"}) for n in range(120)])  # fmt: skip
    shop.drain()
    ledger = snapshot(shop)
    downgrade_ledger(shop)
    start_rebuild(shop, V3)
    shop.drain()
    assert snapshot(shop) == ledger


@pytest.fixture
def result_of_started_rebuilds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Starts rebuilds of both audiences, in small pages, on orders of an older version. Returns the ledger that the
    rebuilds must produce."""
    monkeypatch.setattr(jobs_at_work, "_PAGE_SECONDS", 0)
    submit_some_orders(shop)
    ledger = snapshot(shop)
    downgrade_ledger(shop)
    start_rebuild(shop, V1)
    start_rebuild(shop, V3)
    return ledger


def test_a_rebuild_killed_anywhere_finishes_later(shop: Shop, result_of_started_rebuilds: list[dict[str, Any]]) -> None:
    """Kills only after writes, because a kill before the next write leaves the same state."""
    jobs = shop.job_ids()
    for number in range(100):
        with kill_at_write(shop, "after", number) as died:
            shop.drain()
        shop.drain()
        assert snapshot(shop) == result_of_started_rebuilds, number
        assert [job(shop, j)["status"] for j in jobs] == ["done"] * len(jobs), number
        assert not shop.receive() + shop.receive(JOBS_QUEUE)
        if not died:
            assert number > 15, "the rebuild makes fewer writes than expected"
            return
        downgrade_ledger(shop)
        jobs = [start_rebuild(shop, V1), start_rebuild(shop, V3)]
    pytest.fail("the rebuild makes more than 100 writes")


def test_a_rebuild_that_dies_several_times_finishes_later(
    shop: Shop, result_of_started_rebuilds: list[dict[str, Any]]
) -> None:
    for index in range(0, 60, 20):  # three deaths: a job fails only after more deliveries
        with shop.faults.injected(kill_at_call(index, "after")), suppress(Death):
            shop.drain()
    shop.drain()
    assert snapshot(shop) == result_of_started_rebuilds


def test_a_page_delivered_twice_has_the_same_result(
    shop: Shop, result_of_started_rebuilds: list[dict[str, Any]]
) -> None:
    handler = importlib.import_module(template.module("ProcessOrders")).handler
    while records := shop.receive(JOBS_QUEUE):
        handler({"Records": records}, Context(60_000))
        shop.deliver(records)
    assert snapshot(shop) == result_of_started_rebuilds
    jobs = [job(shop, job_id) for job_id in shop.job_ids()]
    assert {j["status"] for j in jobs} == {"done"}
    assert all(j["done"] == j["total"] for j in jobs)


def make_unreadable(shop: Shop, source: Source) -> str:
    """Makes the last event unreadable in the order that a rebuild visits first. Returns the key of the order."""
    items = [item for item in shop.items("LedgerTable") if Scope.of(item["pk"]) == Scope(ACCOUNT, source)]
    heads = [item for item in items if "/h/" in item["pk"] and head_of(item).standing is not None]
    key = min(heads, key=lambda i: (str(i["pk"]), str(i["sk"])))["sk"]
    last = max((i for i in items if "/e/" in i["pk"] and order_key_of(i["sk"]) == key), key=lambda i: str(i["sk"]))
    shop.dynamodb.put_item(
        TableName=settings().ledger_table, Item=raw(last | {"body": b"\x02 by a later version, of ann@example.com"})
    )
    return str(key)


@pytest.mark.parametrize("twice", [False, True], ids=["each page once", "each page twice"])
def test_an_unreadable_order_does_not_block_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], twice: bool
) -> None:
    monkeypatch.setattr(jobs_at_work, "_PAGE_SECONDS", 0)
    submit_some_orders(shop)
    ledger = snapshot(shop)
    downgrade_ledger(shop)
    bad = [make_unreadable(shop, source) for source in SOURCES]
    orders_of_jobs = {start_rebuild(shop, V1): 6, start_rebuild(shop, V3): 3}  # the deleted order is rebuilt, too
    capsys.readouterr()
    while records := shop.receive() or shop.receive(JOBS_QUEUE):
        if twice:
            importlib.import_module(template.module("ProcessOrders")).handler({"Records": records}, Context(60_000))
        shop.deliver(records)
    for job_id, orders in orders_of_jobs.items():
        error = "orders that could not be computed: 1 (first reason: ValueError); the log names them"
        assert job(shop, job_id) == {
            "job_id": job_id, "kind": "rebuild", "status": "failed", "done": orders, "total": orders, "error": error,
        }  # fmt: skip

    def others(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [item for item in items if "sk" in item and order_key_of(str(item["sk"])) not in bad]

    assert others(snapshot(shop)) == others(ledger)
    out = capsys.readouterr().out
    logged = [json.loads(line) for line in out.splitlines() if "order not rebuilt" in line]
    assert {line["order"] for line in logged} == set(bad)
    assert {line["error"] for line in logged} == {"ValueError"}
    assert "later version" not in out
    # The metric JobsFailed counts both jobs, and may count them again if pages run twice.
    assert sum(sum(json.loads(line).get("JobsFailed", [])) for line in out.splitlines()) >= 2


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("The order could not be read or written in time."),
        ClientError({"Error": {"Code": "ThrottlingException"}}, "TransactWriteItems"),
        ClientError({"Error": {"Code": "InternalServerError"}}, "TransactWriteItems"),
        ReadTimeoutError(endpoint_url="x"),
    ],
)
def test_an_order_with_a_temporary_error_is_retried(
    shop: Shop, result_of_started_rebuilds: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    original, tries = Ledger.rebuild, dict[str, int]()  # tries: by the key of the order

    def busy(self: Ledger, scope: Scope, key: str, *rest: Any) -> bool:
        tries[key] = tries.get(key, 0) + 1
        if list(tries)[1:2] == [key] and tries[key] < 4:  # the second order fails three times
            raise error
        return original(self, scope, key, *rest)

    monkeypatch.setattr(Ledger, "rebuild", busy)
    shop.drain()
    assert list(tries.values())[1] == 4
    assert snapshot(shop) == result_of_started_rebuilds
    jobs = shop.job_ids()
    assert [(job(shop, j)["status"], job(shop, j)["error"]) for j in jobs] == [("done", None)] * len(jobs)


def test_a_failed_rebuild_does_nothing_more(shop: Shop) -> None:
    submit(shop, order())
    shop.drain()
    job_id = start_rebuild(shop, V1)
    Jobs(shop.dynamodb, settings().records_table).end(ACCOUNT, job_id, "gave up")
    with shop.faults.recorded() as calls:
        shop.drain()
    assert [name for name, _ in calls if name not in ("ReceiveMessage", "DeleteMessage")] == ["Query"]  # of the job
    assert (job(shop, job_id)["status"], job(shop, job_id)["error"]) == ("failed", "gave up")


def test_the_nightly_rebuild_covers_every_account(shop: Shop, result_of_started_rebuilds: list[dict[str, Any]]) -> None:
    shop.drain()
    downgrade_ledger(shop)
    assert shop.submit(order("theirs", shipping_address=SHIP), key=OTHER_ADMIN).status == 201
    queue = Queue(shop.sqs, shop.queues["JobsQueue"])
    for _ in range(2):  # a schedule may fire twice
        queue.send("", Message(nightly=[" "]))  # a space sorts before all accounts
    shop.drain()
    # Items of the other account are left out. The last entry of a snapshot, the sizes of the audiences, has no `pk`.
    assert [i for i in snapshot(shop) if i.get("pk", ACCOUNT).startswith(ACCOUNT)] == result_of_started_rebuilds
    nightly = [
        i
        for i in shop.items("RecordsTable")
        if "/j" in i["pk"] and i["sk"].startswith("nightly-") and "/" not in i["sk"]
    ]
    assert len(nightly) == 4  # of two accounts, each with two audiences
    assert {i["status"] for i in nightly} == {"done"}
    for item in nightly:
        if item["pk"] == f"{ACCOUNT}/j":
            assert job(shop, item["sk"])["status"] == "done"
