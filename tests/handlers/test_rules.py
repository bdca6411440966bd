"""Rules of the ledger, the queue and reads that random histories rarely reach. Most of the tests find a deliberate
fault of tests/mutants."""

from __future__ import annotations

import math
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.handlers.audiences import V1, V3, job, match, order, send, submit
from tests.handlers.deadletters import refuse_writes_of
from tests.handlers.events import day, event
from tests.handlers.ledger import Waits, activity, apply, copy, event_item
from tests.handlers.removal import (
    ANN,
    ANN_ID,
    BOB,
    BOB_ID,
    ORDER_KEY,
    SHIP,
    V3_SCOPE,
    Go,
    activities_of,
    dead_letter_ids,
    is_emptied,
    ledger_items,
    lose_first_answer,
    ltv_of,
    make_dead_letters,
    meanwhile,
    outcome,
    process,
    receive_event,
    run_erasure,
    send_refunds,
    stale_worker,
    start_erasure,
    start_purge,
    worker,
)
from tests.handlers.shop import ACCOUNT, Answer, Shop
from tillbook.aws.settings import settings
from tillbook.contract.document import document_of
from tillbook.ledger import upkeep
from tillbook.ledger.activities import MAX_TOGETHER, Result
from tillbook.ledger.commit import Pace
from tillbook.records.accounts import Account
from tillbook.records.messages import decode, encode
from tillbook.rules import times
from tillbook.rules.order import received_of
from tillbook.rules.packing import unpack
from tillbook.views.people import People


def longest_pauses(waits: Waits) -> Pace:
    """A pace whose pauses are as long as they may be, in virtual time."""
    return Pace(lambda: waits.now, waits.sleep, lambda: 1.0)


# ---------------------------------------------------------------------- v3 orders


def test_many_events_of_one_order_are_written_in_several_transactions(shop: Shop) -> None:
    """Each transaction continues from the head that the previous one wrote."""
    send_refunds(shop, 2 * MAX_TOGETHER + 1)
    activities = [order.activity() for record in shop.receive() for order in decode(record["body"]).orders]
    with shop.faults.recorded() as calls:
        results = worker().ledger.apply(V3_SCOPE, activities, math.inf)
    assert [operation for operation, _ in calls].count("TransactWriteItems") == 3
    assert [result.status for result in results if isinstance(result, Result)] == ["applied"] * len(activities)
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["events"] == len(activities)


def test_an_event_emptied_while_a_copy_moves_it_stays_empty(shop: Shop) -> None:
    """A copy that was received earlier than the stored event moves the event to its own time of receipt.

    The head is read after the event was emptied, so only the event's own condition refuses the write.
    """
    body = event(email=ANN, occurred_at=day(1))
    _, earlier_copy = receive_event(shop, body)
    stale = stale_worker(shop)
    send(shop, body)
    job_id = start_erasure(shop)
    with meanwhile(shop, "GetItem", "/h/", shop.settle):
        process(stale, earlier_copy)
    assert job(shop, job_id)["status"] == "done"
    assert all(is_emptied(item) for item in ledger_items(shop))


def test_a_copy_that_moves_its_event_reports_its_effect_on_ltv(shop: Shop) -> None:
    """The latest total and the latest currency count. The event has the total 1 and the currency EUR."""
    ledger = worker().ledger
    apply(ledger, copy(5, "in May", currency="EUR"), math.inf)
    apply(ledger, activity(2, "updated", "2", occurred="20190401000000000000"), math.inf)
    apply(ledger, activity(3, "paid", None, occurred="20190201000000000000", currency="USD"), math.inf)
    to_march = apply(ledger, copy(3, "in March", currency="EUR"), math.inf)
    to_january = apply(ledger, copy(1, "in January", currency="EUR"), math.inf)
    assert [[(e.currency, int(e.amount), e.orders) for e in moved.effects] for moved in (to_march, to_january)] == [
        [("EUR", 1, 0)],  # the total of April is now the latest: 2 instead of 1
        [("EUR", -2, -1), ("USD", 2, 1)],  # the currency of February is now the latest
    ]


def test_a_copy_ends_at_once_if_an_earlier_one_was_applied_meanwhile(shop: Shop, waits: Waits) -> None:
    """The event is read again, and no longer needs to be moved."""
    ledger, earliest = worker().ledger, copy(1, "in January")
    ledger.pace = longest_pauses(waits)
    apply(ledger, copy(5, "in May"))
    with meanwhile(shop, "TransactWriteItems", "stamp = :seen", lambda: apply(worker().ledger, earliest, math.inf)):
        assert apply(ledger, copy(3, "in March")).status == "duplicate"
    assert waits.now < 1
    assert received_of(event_item(ledger, earliest).stamp) == earliest.received


def test_an_order_is_emptied_as_far_as_time_permits(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "MOST_EVENTS", 2)
    send_refunds(shop, 7)
    shop.drain()
    has_time = iter([True, True, False])  # the time ends after two transactions of two events each
    ledger, cut = worker().ledger, times.now()
    assert ledger.empty(V3_SCOPE, ORDER_KEY, ANN_ID, cut, lambda: next(has_time), math.inf) == (4, False)
    assert ledger.empty(V3_SCOPE, ORDER_KEY, ANN_ID, cut, lambda: True, math.inf) == (3, True)


def test_an_event_that_arrives_while_its_order_is_emptied_stays(shop: Shop) -> None:
    send(shop, event(email=ANN), event(email=BOB, action="paid", grand_total=70))
    start_erasure(shop)
    _, record = receive_event(shop, event(email=BOB, action="updated", grand_total=7))
    with meanwhile(shop, "GetItem", "/h/", lambda: process(worker(), record)):
        shop.settle()
    assert ltv_of(shop, BOB) == {"USD": "7.00"}
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["events"] == 2  # Bob's


def test_a_person_whose_event_moves_meanwhile_is_not_forgotten(shop: Shop) -> None:
    """The index may list the event at neither place for a moment."""
    body = event(email=ANN, occurred_at=day(1))
    _, early = receive_event(shop, body)
    send(shop, body, event(email=BOB, occurred_at=day(2), action="paid"))
    moved: list[bool] = []

    def move(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if moved or operation != "Query" or "IndexName" not in arguments:
            return go()
        moved.append(True)
        process(worker(), early)
        return {"Items": []}

    with shop.faults.injected(move):
        assert not worker().ledger.forget(V3_SCOPE, ANN_ID, math.inf)
    assert moved
    assert activities_of(shop, ANN) == [("Placed an order", "o-1")]


@pytest.mark.parametrize(("person", "lists_a_removed_event"), [(BOB_ID, False), (ANN_ID, True)], ids=["Bob", "Ann"])
def test_the_stored_items_decide_who_is_forgotten_not_the_index(
    shop: Shop, person: str, lists_a_removed_event: bool
) -> None:
    """The index is updated a moment after the table. Bob has an order that it does not list yet, so he stays. Ann has
    no order, and the only event that it lists of hers is no longer stored, so she is forgotten."""
    send(shop, event(email=ANN), event(email=BOB, action="paid"))
    removed_event = {"pk": {"S": f"{V3_SCOPE.name}/e/0"}, "sk": {"S": "removed!"}, "stamp": {"S": "0"}}

    def outdated_index(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        return {"Items": [removed_event] if lists_a_removed_event else []} if "IndexName" in arguments else go()

    with shop.faults.injected(outdated_index):
        assert worker().ledger.forget(V3_SCOPE, person, math.inf) is (person == ANN_ID)


def test_an_order_is_computed_again_without_its_emptied_events(shop: Shop) -> None:
    send(shop, event(email=ANN), event(email=BOB, action="paid", grand_total=7))
    run_erasure(shop)
    before = shop.items("LedgerTable")
    assert not worker().ledger.rebuild(V3_SCOPE, ORDER_KEY, document_of, math.inf)
    assert shop.items("LedgerTable") == before


# ---------------------------------------------------------------------- v1 orders


def head_of_order(shop: Shop) -> dict[str, Any]:
    (head,) = [item for item in ledger_items(shop) if "/h/" in item["pk"]]
    return head


def test_the_digest_is_removed_with_the_version_of_the_submission(shop: Shop) -> None:
    submit(shop, order("a"))
    shop.edit("a", {"customer_email": BOB})
    assert "digest" in head_of_order(shop)
    run_erasure(shop)
    assert "digest" not in head_of_order(shop)


def test_an_edit_that_read_the_head_before_versions_were_emptied_is_made_again(shop: Shop) -> None:
    submit(shop, order("a"))
    shop.edit("a", {"customer_email": BOB})
    start_erasure(shop)
    with meanwhile(shop, "TransactWriteItems", "", shop.settle):
        assert shop.edit("a", {"total": 5}).body["total"] == "5.0"
    assert "digest" not in head_of_order(shop)
    assert ltv_of(shop, BOB) == {"USD": "5.00"}


def test_an_edit_that_arrives_while_versions_are_emptied_stays(shop: Shop) -> None:
    submit(shop, order("a"))
    shop.edit("a", {"customer_email": BOB})
    shop.drain()
    start_erasure(shop)
    with meanwhile(shop, "TransactWriteItems", "", lambda: shop.edit("a", {"total": 5})):
        shop.settle()
    assert shop.get("/v1/order/a").body["total"] == "5.0"
    assert ltv_of(shop, BOB) == {"USD": "5.00"}
    assert head_of_order(shop)["version"] == 3


def test_a_write_whose_answer_was_lost_is_found_although_a_later_version_was_emptied(shop: Shop) -> None:
    submitted_id = shop.submit(order("a", customer_email=BOB)).body["id"]
    later_edits: list[Answer] = []

    def edit_twice_and_erase_ann() -> None:
        later_edits.append(shop.edit("a", {"customer_email": ANN}))
        later_edits.append(shop.edit("a", {"customer_email": BOB, "total": 9}))
        run_erasure(shop)

    with shop.faults.injected(lose_first_answer(edit_twice_and_erase_ann)):
        answer = shop.edit("a", {"total": 6})
    assert (answer.status, answer.body["id"], answer.body["total"]) == (200, submitted_id, "6.0")
    assert shop.get("/v1/order/a").body == later_edits[1].body


def test_a_deletion_keeps_id_currency_total_and_date_of_the_order(shop: Shop) -> None:
    submit(shop, order("a", shipping_address=SHIP))
    shop.delete("a")
    (deletion,) = [item for item in ledger_items(shop) if item.get("action") == "deleted"]
    assert unpack(deletion["body"]).keys() == {"order_id", "currency", "total", "order_date"}


# ---------------------------------------------------------------------- the queue


def throttled(shop: Shop, operation: str, text: str, count: int) -> Any:
    """Throttles the first `count` calls of an operation whose arguments contain `text`."""
    refused: list[str] = []

    def intercept(_index: int, name: str, arguments: dict[str, Any], go: Go) -> Any:
        if name == operation and text in str(arguments) and len(refused) < count:
            refused.append(name)
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, name)
        return go()

    return shop.faults.injected(intercept)


def test_earlier_deliveries_do_not_count_as_tries_of_a_throttled_order(shop: Shop, waits: Waits) -> None:
    request_id, record = receive_event(shop, event(email=ANN))
    record["attributes"]["ApproximateReceiveCount"] = "5"
    processor = worker()
    processor.clock = lambda: waits.now
    processor.ledger.pace = longest_pauses(waits)
    with throttled(shop, "TransactWriteItems", "", 1000):
        process(processor, record)
    assert dead_letter_ids(shop) == []
    (again,) = shop.receive()
    assert decode(again["body"]).tries == 1
    shop.drain()
    assert outcome(shop, request_id) == ("applied", None)


def test_all_orders_without_enough_time_are_queued_again(shop: Shop) -> None:
    """Their messages keep the number of tries."""
    assert shop.send_batch([event(email=ANN, order_id=n) for n in range(80)]).status == 202
    (record,) = shop.receive()
    shop.acknowledge(record)
    record["body"] = encode(decode(record["body"])._replace(tries=3))
    processor, now = worker(), [0.0]

    def slow(_index: int, operation: str, _arguments: dict[str, Any], go: Go) -> Any:
        # Each transaction takes 52 of the 60 seconds, so there is time for one, of MAX_TOGETHER orders.
        now[0] += 52 if operation == "TransactWriteItems" else 0
        return go()

    processor.clock = lambda: now[0]
    with shop.faults.injected(slow):
        process(processor, record)
    queued_again = [decode(again["body"]) for again in shop.receive()]
    assert sum(len(message.orders) for message in queued_again) == 80 - MAX_TOGETHER
    assert {message.tries for message in queued_again} == {3}
    shop.drain()
    assert ltv_of(shop, ANN) == {"USD": "8000.00"}


def test_a_replay_whose_marks_cannot_be_read_still_replaces_the_failure(shop: Shop) -> None:
    """Otherwise the failed outcome would remain beside the new one."""
    (request_id,) = make_dead_letters(shop, "poison")
    shop.request("POST", "/v1/deadletters/all/replay")
    with throttled(shop, "BatchGetItem", f"{ACCOUNT}/u", 1):
        assert shop.deliver(shop.receive()) == []
    shop.drain()
    found = shop.get("/v1/transactions").body["transactions"]
    assert [(t["request_id"], t["status"]) for t in found] == [(request_id, "applied")]


def test_a_replay_that_fails_again_is_a_dead_letter_again(shop: Shop) -> None:
    (request_id,) = make_dead_letters(shop, "poison")
    shop.request("POST", "/v1/deadletters/all/replay")
    with shop.faults.injected(refuse_writes_of("poison")):
        shop.drain(40)
    assert dead_letter_ids(shop) == [request_id]
    assert shop.status(request_id)["status"] == "failed"


# ----------------------------------------------------------------------- reading


def test_everybody_includes_the_current_scopes_of_both_sources(shop: Shop) -> None:
    def everybody() -> dict[str, Any]:
        people = People(shop.dynamodb, settings().ledger_table, Account(ACCOUNT), worker().scopes.read(ACCOUNT))
        return {person["email_sha256"]: person["lifetime_value"] for person in people.everyone()}

    submit(shop, order("a"))
    send(shop, event(email=ANN, grand_total=7), event(email=BOB, order_id="o-2", grand_total=9))
    assert sorted(str(value) for value in everybody().values()) == [
        "{'USD': '107.00'}",  # Ann: 100 + 7
        "{'USD': '9.00'}",
    ]
    start_purge(shop, "shopper_activity")
    assert list(everybody().values()) == [{"USD": "100.00"}]


def test_people_of_purged_orders_no_longer_match(shop: Shop) -> None:
    """No address, customer_id or e-mail of a purged order matches once the purge is answered."""
    submit(shop, order("a", shipping_address=SHIP, customer_id="c-1"), order("b", billing_address=SHIP))
    send(shop, event(email=ANN, shipping_address=SHIP), event(email=BOB, order_id="o-2", billing_address=SHIP))
    asked: list[dict[str, Any]] = [{"address": SHIP}, {"customer_id": "c-1"}, {"email": ANN}]
    assert match(shop, V1, *asked) == [True, True, True]
    assert match(shop, V3, *asked) == [True, False, True]  # v3 events have no customer_id
    start_purge(shop)
    for audience in (V1, V3):
        assert match(shop, audience, *asked) == [False, False, False]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_write_that_arrives_after_its_time_out_is_answered(shop: Shop, deleted: bool) -> None:
    """The write arrives just before the next try reads the head. The try then finds its own version."""
    if deleted:
        submit(shop, order("a"))
        shop.drain()
    timed_out: list[Go] = []
    arrived: list[Any] = []

    def delay(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "TransactWriteItems" and not timed_out:
            timed_out.append(go)
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        if operation == "GetItem" and "/h/" in str(arguments) and timed_out and not arrived:
            arrived.append(timed_out[0]())
        return go()

    with shop.faults.injected(delay):
        answer = shop.delete("a") if deleted else shop.submit(order("a"))
    assert arrived
    assert (answer.status, answer.body.get("total")) == (200 if deleted else 201, "100.0")
    shop.drain()
    statuses = [t["status"] for t in shop.get("/v1/transactions").body["transactions"]]
    assert statuses == ["applied"] * (2 if deleted else 1)
