"""Two writers of one order at the same time, and writes that take effect late.

Sums of a person: `o.USD` is the lifetime value from v1 orders in USD, `o#USD` the number of these orders. v3 orders
have `s` instead of `o`, and orders without a currency `*` instead of `USD`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.handlers.ledger import (
    ALICE,
    BOB,
    ERASED_UP_TO,
    V1,
    V3,
    Go,
    Waits,
    activity,
    apply,
    before_the_first,
    copy,
    delete,
    document,
    edit,
    erase,
    event_item,
    submit,
    total,
    v1_request,
)
from tests.handlers.shop import ACCOUNT, Shop
from tillbook.aws.items import raw
from tillbook.ledger.activities import ERASED
from tillbook.ledger.items import EventItem
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import Document
from tillbook.rules.errors import Conflict, NotFound, Unavailable
from tillbook.rules.identity import order_key
from tillbook.rules.order import received_of


@pytest.mark.parametrize("rival", ["edit", "delete"])
def test_edits_and_deletes_of_one_order_are_serialised(shop: Shop, ledger: Ledger, waits: Waits, rival: str) -> None:
    """The rival writes between the read and the write of an edit, which then reads the order again."""
    submit(ledger, waits, document(100), "r1")
    seen: list[Any] = []

    def less_10(body: dict[str, Any]) -> Document:
        seen.append(body["total"])
        return document(int(body["total"]) - 10)

    def reduce() -> Any:
        return ledger.edit(v1_request("r3", 4), "o", less_10, waits.now + 60)

    def write_first() -> Any:
        return edit(ledger, waits, document(60), "r2") if rival == "edit" else delete(ledger, waits, "r2")

    with before_the_first(shop, "TransactWriteItems", write_first):
        if rival == "delete":
            with pytest.raises(NotFound):
                reduce()
        else:
            assert reduce().body["total"] == 50
    assert seen == ([100, 60] if rival == "edit" else [100])
    assert total(shop, "o.USD") == (50 if rival == "edit" else 0)


def test_one_of_two_simultaneous_submissions_wins(shop: Shop, ledger: Ledger, waits: Waits) -> None:
    """The other one gets the first one's answer if it has the same content, and a conflict if not."""

    def submit_first(order_id: str) -> Callable[[], Any]:
        return lambda: submit(ledger, waits, document(100, order_id), f"first-{order_id}")

    with before_the_first(shop, "TransactWriteItems", submit_first("o-1")):
        assert submit(ledger, waits, document(100, "o-1"), "r2").id == "id-first-o-1"
    assert (total(shop, "o.USD"), total(shop, "o#USD")) == (100, 1)
    with before_the_first(shop, "TransactWriteItems", submit_first("o-2")), pytest.raises(Conflict):
        submit(ledger, waits, document(5, "o-2"), "r3", digest="other")
    assert (total(shop, "o.USD"), total(shop, "o#USD")) == (200, 2)


def test_two_simultaneous_first_events_of_an_order_both_count(shop: Shop, ledger: Ledger, waits: Waits) -> None:
    refund = activity(2, "refunded", None, refund=Decimal(30))
    with before_the_first(shop, "TransactWriteItems", lambda: apply(ledger, refund)):
        result = apply(ledger, activity(1))
    assert (result.status, result.state and result.state.events) == ("applied", 2)
    assert total(shop, "s.*") == 70
    assert total(shop, "s#*") == 1


def test_an_event_that_is_written_between_read_and_write_is_not_lost(shop: Shop, ledger: Ledger, waits: Waits) -> None:
    apply(ledger, activity(1))
    rivals = [
        lambda n=n: apply(ledger, activity(n, "refunded", None, refund=Decimal(1)), waits.now + 60) for n in (2, 3, 4)
    ]
    with before_the_first(shop, "TransactWriteItems", *rivals):
        assert apply(ledger, activity(5, "updated", "105"), waits.now + 60).status == "applied"
    assert total(shop, "s.*") == 102  # 105 less three refunds of 1


@pytest.mark.parametrize("known", [False, True], ids=["new order", "known order"])
def test_an_event_that_is_delivered_twice_at_the_same_time_counts_once(
    shop: Shop, ledger: Ledger, waits: Waits, known: bool
) -> None:
    """The first delivery finds that the second has written the event. A third reads the head that the second wrote."""
    if known:
        apply(ledger, activity(1))
    refund = activity(2, "refunded", "100", refund=Decimal(30))
    with before_the_first(shop, "TransactWriteItems", lambda: apply(ledger, refund)):
        first = apply(ledger, refund)
    again = apply(ledger, refund)
    other = apply(ledger, refund._replace(request_id="other", received="20190202000000000000"))
    assert [result.status for result in (first, again, other)] == ["applied", "applied", "duplicate"]
    assert first.effects == again.effects != ()
    assert total(shop, "s.*") == 70
    assert total(shop, "s#*") == 1


# ------------------------------------------------- copies, erasures, and deleted people


def test_of_two_copies_that_are_applied_at_the_same_time_the_one_received_first_sets_the_time(
    shop: Shop, ledger: Ledger, waits: Waits
) -> None:
    """`third` (received in March) reads the event, `first` (January) sets its time, and then `third` reads the head."""
    apply(ledger, copy(4, "fourth"))
    apply(ledger, activity(2, "updated", "2", person=BOB, occurred="20190201000000000000"))
    with before_the_first(shop, "GetItem", lambda: apply(ledger, copy(1, "first")), which="/h/"):
        assert apply(ledger, copy(3, "third")).status == "duplicate"
    assert received_of(event_item(ledger, copy(4, "")).stamp) == copy(1, "").received
    # The updated event is the latest, so the order is Bob's.
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)


def test_a_copy_does_not_bring_back_an_event_that_is_erased_meanwhile(shop: Shop, ledger: Ledger, waits: Waits) -> None:
    second = copy(2, "second")
    apply(ledger, second)
    with before_the_first(shop, "GetItem", lambda: erase(ledger, second.order_key), which="/h/"):
        assert apply(ledger, copy(1, "first"))[:2] == ("failed", ERASED)
    assert event_item(ledger, second) == EventItem("second", "h")
    assert shop.stored_ltv() == {}


@pytest.mark.parametrize("erased", ["early", "late", "both"])
@pytest.mark.parametrize("first", ["early", "late"])
def test_an_event_is_erased_if_any_of_its_copies_is(
    shop: Shop, ledger: Ledger, waits: Waits, erased: str, first: str
) -> None:
    """The identity of the event stays stored, so that a repeat does not bring the person back."""
    apply(ledger, activity(2, "updated", "2", person=BOB, occurred="20190101000000000000"))
    copies = [copy(1, "early"), copy(3, "late")]
    outcomes = [
        apply(ledger, sent, erased=erased in (sent.request_id, "both"))[:2]
        for sent in (copies if first == "early" else copies[::-1])
    ]
    assert outcomes == [("failed", ERASED) if erased in (first, "both") else ("applied", ""), ("failed", ERASED)]
    assert event_item(ledger, copies[0]) == EventItem(first, "h")
    assert apply(ledger, copy(5, "again"))[:2] == ("failed", ERASED)
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)
    assert shop.stored_ltv().keys() == {f"{BOB.id_in(ACCOUNT)}/s{name}" for name in (".*", "#*")}


def test_a_new_event_stays_if_its_order_is_erased_at_the_same_time(shop: Shop, ledger: Ledger, waits: Waits) -> None:
    """The new event stays and the erased one is emptied, in either order."""
    apply(ledger, activity(1))
    key = activity(1).order_key
    with before_the_first(shop, "TransactWriteItems", lambda: erase(ledger, key)):
        assert apply(ledger, activity(2, "updated", "7", received="20200101000000000000")).status == "applied"
    assert total(shop, "s.*") == 7
    paid = activity(3, "paid", "8", received="20200101000000000000")
    apply(ledger, activity(4, "refunded", None, refund=Decimal(1)))
    with before_the_first(shop, "TransactWriteItems", lambda: apply(ledger, paid)):
        assert erase(ledger, key) == 1
    assert total(shop, "s.*") == 8
    assert total(shop, "s#*") == 1


@pytest.mark.parametrize("between", ["the erasure", "the submission"])
def test_a_submission_under_an_erased_order_id_counts_if_the_erasure_runs_at_the_same_time(
    shop: Shop, ledger: Ledger, waits: Waits, between: str
) -> None:
    """A request that sees the erasure's mark treats the order as deleted, though its versions are emptied later."""
    submit(ledger, waits, document(100), "r1")
    key = order_key("orders_api", "", "o")
    request = v1_request("r2", 20, {ALICE.id_in(ACCOUNT): ERASED_UP_TO})

    def again() -> None:
        answer = ledger.submit(request, document(7), new_id="id-r2", digest="e", deadline=waits.now + 60)
        assert (answer.id, answer.changed) == ("id-r2", True)

    def erase_order() -> None:
        assert erase(ledger, key, V1) == 1

    first, second = (again, erase_order) if between == "the erasure" else (erase_order, again)
    with before_the_first(shop, "TransactWriteItems", second):
        first()
    assert total(shop, "o.USD") == 7
    assert total(shop, "o#USD") == 1
    assert ledger.edit(v1_request("r3", 21), "o", lambda body: document(body["total"] + 1), 10_000).body["total"] == 8


def test_only_a_person_without_orders_and_activities_is_forgotten(shop: Shop, ledger: Ledger, waits: Waits) -> None:
    person = ALICE.id_in(ACCOUNT)
    apply(ledger, activity(1))
    assert not ledger.forget(V3, person, 10_000), "a person with an order was deleted"

    def answer_nothing_from_indexes(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        return {"Items": []} if "IndexName" in arguments else go()

    with shop.faults.injected(answer_nothing_from_indexes):
        assert not ledger.forget(V3, person, 10_000), "a person was deleted because the index was behind"
    apply(ledger, activity(2, "updated", "5", person=BOB))
    assert not ledger.forget(V3, person, 10_000), "a person with an activity was deleted"
    assert erase(ledger, activity(1).order_key) == 1
    with before_the_first(shop, "TransactWriteItems", lambda: apply(ledger, activity(3, order_id="another"))):
        assert not ledger.forget(V3, person, 10_000), "a person who got an order meanwhile was deleted"
    assert (total(shop, "s.*"), total(shop, "s.*", BOB)) == (100, 5)
    apply(ledger, activity(4, "updated", "5", order_id="another", person=BOB))
    assert erase(ledger, activity(1, order_id="another").order_key) == 1
    assert ledger.forget(V3, person, 10_000)
    assert ledger.forget(V3, person, 10_000), "a deletion could not be repeated"
    assert shop.dynamodb.get_item(TableName=ledger.table, Key=raw(V3.person_key(person))).get("Item") is None
    assert total(shop, "s.*", BOB) == 10


# ------------------------------------------------- writes without an answer that take effect late


@pytest.mark.parametrize("rival", ["nothing", "edit", "delete", "delete and submit again"])
@pytest.mark.parametrize("late", ["submit", "edit", "delete"])
def test_a_v1_write_that_takes_effect_late_changes_nothing_newer(
    shop: Shop, ledger: Ledger, waits: Waits, late: str, rival: str
) -> None:
    """No try of the late write gets an answer. All of them arrive after the rival's writes; without a rival, the first
    one takes effect."""
    if late != "submit":
        submit(ledger, waits, document(100), "r1")
    tries: list[Go] = []

    def lose(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "TransactWriteItems":
            tries.append(go)
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        return go()

    calls: dict[str, Callable[[], Any]] = {
        "submit": lambda: submit(ledger, waits, document(1), "late", digest="late", seconds=0.01),
        "edit": lambda: edit(ledger, waits, document(1), "late", seconds=0.01),
        "delete": lambda: delete(ledger, waits, "late", seconds=0.01),
    }
    with shop.faults.injected(lose), pytest.raises(Unavailable):
        calls[late]()
    if late == "submit" and rival != "nothing":
        submit(ledger, waits, document(100), "r1")
    if rival == "edit":
        edit(ledger, waits, document(60), "r2")
    elif rival != "nothing":
        delete(ledger, waits, "r2")
    if rival == "delete and submit again":
        submit(ledger, waits, document(70), "r3", digest="other")
    before = shop.items(ledger.table)
    for number, write in enumerate(tries):
        if rival == "nothing" and not number:
            write()
            before = shop.items(ledger.table)
        else:
            with pytest.raises(ClientError, match="ConditionalCheckFailed"):
                write()
    worth = {"edit": 60, "delete": 0, "delete and submit again": 70, "nothing": 0 if late == "delete" else 1}[rival]
    assert total(shop, "o.USD") == worth
    assert shop.items(ledger.table) == before
