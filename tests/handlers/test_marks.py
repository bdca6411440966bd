"""The request for a purge or an erasure: mark, commit wait, lost answers, kills (docs/design/purge-and-erase.md)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.handlers.audiences import job, order, send, submit
from tests.handlers.events import event
from tests.handlers.removal import (
    ANN,
    ANN_ID,
    CONFIRMED,
    ERASE,
    LOST_ANSWER,
    PURGE,
    Go,
    finish,
    intercept_first,
    is_emptied,
    ledger_items,
    limit_partitions,
    ltv_of,
    meanwhile,
    outcome,
    request_removal,
)
from tests.handlers.rights import USED_RIGHTS
from tests.handlers.shop import ACCOUNT, Death, Shop, kill_at_write
from tillbook.ledger.activities import ERASED
from tillbook.records.messages import Queue
from tillbook.records.outcomes import PURGED
from tillbook.records.scopes import COMMIT_WAIT_SECONDS
from tillbook.rules import times
from tillbook.rules.errors import Unavailable

FOR_PURGE_AND_ERASURE = pytest.mark.parametrize("path", [PURGE, ERASE], ids=["purge", "erase"])
REASONS = {PURGE: PURGED, ERASE: ERASED}
MARK = f"'{ACCOUNT}/u'"


def cut_of(shop: Shop, path: str) -> str:
    """The cut in the marks of the purge or the erasure: events received up to this time are removed."""
    marks = shop.items("RecordsTable")
    (cut,) = {i["cut"] for i in marks if i["pk"] == f"{ACCOUNT}/u" and (i["sk"] == f"p{ANN_ID}") == (path == ERASE)}
    return str(cut)


def send_event(shop: Shop, order_id: str) -> str:
    """Sends an event of Ann's. Returns its request id."""
    return str(shop.send(event(email=ANN, order_id=order_id)).body["request_id"])


def jobs(shop: Shop) -> list[dict[str, Any]]:
    """All jobs, the oldest first."""
    return [job(shop, job_id) for job_id in shop.job_ids()]


def settle(shop: Shop) -> None:
    """Settles until no message is held. A job that repeats a purge, source by source, waits again each time."""
    shop.settle()
    while shop.faults.held:
        shop.settle()


@FOR_PURGE_AND_ERASURE
def test_orders_received_before_the_answer_are_removed_and_later_ones_stay(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The cut is a second ahead, and the answer waits until the cut has passed. A second order arrives meanwhile."""
    sleep, ids = shop.clock.sleep, [send_event(shop, "before")]

    def send_during_the_wait(seconds: float) -> None:
        assert seconds == pytest.approx(COMMIT_WAIT_SECONDS, abs=0.1)
        with USED_RIGHTS.uncounted():
            ids.append(send_event(shop, "meanwhile"))
        sleep(seconds)

    with monkeypatch.context() as patch:
        patch.setattr(shop.clock, "sleep", send_during_the_wait)
        job_id = request_removal(shop, path)
    assert cut_of(shop, path) < times.now() < times.shift(cut_of(shop, path), seconds=0.1)
    later = send_event(shop, "later")
    shop.drain()
    assert [outcome(shop, i) for i in ids] == [("failed", REASONS[path])] * 2
    for _ in range(2):
        assert outcome(shop, later) == ("applied", None)
        assert ltv_of(shop, ANN) == {"USD": "100.00"}
        finish(shop, job_id)


@FOR_PURGE_AND_ERASURE
@pytest.mark.parametrize("how", ["lost", "not written", "refused", "late"])
def test_a_mark_that_was_not_acknowledged_in_time_is_written_again_with_a_later_cut(
    shop: Shop, path: str, how: str
) -> None:
    """Otherwise a function could receive an order after the cut, and read the marks before this one was written.

    `lost`: the mark is written, and its answer is lost. `late`: it is written and answered after its cut.
    """
    send(shop, event(email=ANN, order_id="before"))
    ids: list[str] = []

    def write_mark(go: Go) -> Any:
        if how in ("lost", "late"):
            go()
        shop.clock.sleep(COMMIT_WAIT_SECONDS)
        ids.append(send_event(shop, "meanwhile"))  # after the first cut
        if how == "refused":
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "UpdateItem")
        if how != "late":
            raise LOST_ANSWER

    with shop.faults.injected(intercept_first("UpdateItem", MARK, write_mark)):
        job_id = request_removal(shop, path)
    ids.append(send_event(shop, "later"))
    shop.drain()
    assert [outcome(shop, i) for i in ids] == [("failed", REASONS[path]), ("applied", None)]
    finish(shop, job_id)
    assert ltv_of(shop, ANN) == {"USD": "100.00"}
    assert len([i for i in ledger_items(shop) if not is_emptied(i)]) == 3  # a head, an event, a person
    shop.settle()
    assert [(j["job_id"], j["status"]) for j in jobs(shop)] == [(job_id, "done")]


@FOR_PURGE_AND_ERASURE
def test_a_mark_that_takes_effect_late_does_not_move_the_cut_back(shop: Shop, path: str) -> None:
    late: list[Go] = []

    def lose_mark(go: Go) -> Any:
        late.append(go)
        raise LOST_ANSWER

    with shop.faults.injected(intercept_first("UpdateItem", MARK, lose_mark)):
        job_id = request_removal(shop, path)
    cut = cut_of(shop, path)
    send(shop, event(email=ANN))
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        late[0]()
    assert cut_of(shop, path) == cut
    finish(shop, job_id)
    assert ltv_of(shop, ANN) == {"USD": "100.00"}


@pytest.mark.parametrize(("path", "text"), [(PURGE, MARK), (PURGE, "answered"), (ERASE, MARK)])
def test_two_purges_or_erasures_at_the_same_time_both_finish(shop: Shop, path: str, text: str) -> None:
    """The other request is made before the write of the mark, or before the write that marks a purge as answered."""
    send(shop, event(email=ANN))
    others: list[str] = []
    with meanwhile(shop, "UpdateItem", text, lambda: others.append(request_removal(shop, path))):
        job_id = request_removal(shop, path)
    later = send_event(shop, "later")
    shop.settle()
    assert {(j["job_id"], j["status"]) for j in jobs(shop)} == {(job_id, "done"), (others[0], "done")}
    assert outcome(shop, later) == ("applied", None)
    assert ltv_of(shop, ANN) == {"USD": "100.00"}


@FOR_PURGE_AND_ERASURE
@pytest.mark.parametrize("written", [True, False])
def test_a_request_without_time_for_its_mark_is_503(shop: Shop, path: str, written: bool) -> None:
    """`written`: the mark was written, so the job removes the orders. Otherwise the job fails and removes nothing."""
    send(shop, event(email=ANN, order_id="before"))

    def lost(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        is_mark = operation == "UpdateItem" and MARK in str(arguments)
        answer = go() if written or not is_mark else None
        if is_mark:
            raise LOST_ANSWER
        return answer

    with shop.faults.injected(lost):
        answer = shop.request("DELETE", path, headers=CONFIRMED, milliseconds=5_000)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    settle(shop)
    (found,) = jobs(shop)
    assert ltv_of(shop, ANN) == (None if written else {"USD": "100.00"})
    assert found["status"] == ("done" if written else "failed")
    assert found["error"] == (None if written else "the request ended before anything was removed")
    assert [i for i in ledger_items(shop) if not is_emptied(i)] == [] or not written
    finish(shop, request_removal(shop, path))
    assert ltv_of(shop, ANN) is None


def test_a_purge_whose_mark_takes_effect_after_its_request_died_is_repeated(shop: Shop) -> None:
    """An order received after the cut may have been applied to the purged scope, before the mark was written."""
    late: list[Go] = []

    def die_at_mark(go: Go) -> Any:
        late.append(go)
        raise Death

    with shop.faults.injected(intercept_first("UpdateItem", MARK, die_at_mark)), pytest.raises(Death):
        request_removal(shop, PURGE, {"source": "shopper_activity"})
    shop.clock.sleep(COMMIT_WAIT_SECONDS)
    after = send_event(shop, "after the cut")
    shop.drain()
    late[0]()
    assert outcome(shop, after) == ("applied", None)
    assert ltv_of(shop, ANN) is None
    shop.settle()
    assert outcome(shop, after) == ("failed", PURGED)
    later = send_event(shop, "later")
    shop.settle()
    assert [j["status"] for j in jobs(shop)] == ["done"]
    assert outcome(shop, later) == ("applied", None)
    assert ltv_of(shop, ANN) == {"USD": "100.00"}
    assert len(ledger_items(shop)) == 3


@FOR_PURGE_AND_ERASURE
def test_a_request_killed_anywhere_is_completed_by_its_job_or_can_be_repeated(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for number, moment in itertools.product(range(10), ("before", "after")):
        submit(shop, order("a"))
        send(shop, event(email=ANN))
        if not number:
            limit_partitions(shop, monkeypatch)
        before = len(jobs(shop))
        with kill_at_write(shop, moment, number) as died:
            request_removal(shop, path)
        settle(shop)
        found = [j["status"] for j in jobs(shop)[before:]]
        # A job without a message stays queued for ever, and no answer named its id.
        assert found in ([], ["queued"], ["failed"], ["done"]), (number, moment)
        if found == ["done"]:
            assert ltv_of(shop, ANN) is None, (number, moment)
        else:  # of two sources, one may have been purged
            assert ltv_of(shop, ANN) in ({"USD": "200.00"}, *[{"USD": "100.00"}] * (path == PURGE)), (number, moment)
        finish(shop, request_removal(shop, path))
        assert [i for i in ledger_items(shop) if not is_emptied(i)] == [], (number, moment)
        if not died:
            assert found == ["done"]
            assert number > 1, "the request makes fewer writes than expected"
            return
    pytest.fail("the request makes more than 10 writes")


@FOR_PURGE_AND_ERASURE
def test_nothing_is_removed_if_the_job_cannot_be_queued(shop: Shop, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    send(shop, event(email=ANN, order_id="a"))
    queued = send_event(shop, "b")

    def full(*_: Any, **__: Any) -> None:
        raise Unavailable("The queue did not answer. Please try again.")

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "send", full)
        assert shop.request("DELETE", path, headers=CONFIRMED).status == 503
    settle(shop)
    assert outcome(shop, queued) == ("applied", None)
    assert ltv_of(shop, ANN) == {"USD": "200.00"}
