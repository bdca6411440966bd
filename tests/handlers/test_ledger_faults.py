"""Conflicts, throttling and lost answers, which are injected because moto does not produce them."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.handlers.events import EMAIL, day, event
from tests.handlers.ledger import (
    ALICE,
    BOB,
    ERASED_UP_TO,
    LOST_ANSWERS,
    TEMPORARY_ERRORS,
    V3,
    Go,
    Waits,
    activity,
    apply,
    cancelled_error,
    copy,
    delete,
    document,
    edit,
    fail_first,
    make_error,
    refused_error,
    submit,
    total,
)
from tests.handlers.shop import ACCOUNT, Shop, forget_warm_state
from tillbook.ledger.activities import Result
from tillbook.ledger.ledger import Ledger
from tillbook.rules.errors import NotFound, Unavailable
from tillbook.rules.order import fold

# Names of stored sums in this file: `s` is v3, `o` is v1; `s.USD` is an amount in USD, `s#USD` a number of orders; `*`
# is used instead of USD by orders without a currency.


@pytest.mark.parametrize("name", TEMPORARY_ERRORS)
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("content_hash", ["", "hash"], ids=["without a key", "with an idempotency key"])
def test_an_event_is_applied_once_after_any_temporary_error(
    shop: Shop, ledger: Ledger, waits: Waits, name: str, times: int, content_hash: str
) -> None:
    for act in (
        activity(1, content_hash=content_hash),
        activity(2, "refunded", None, refund=Decimal(30), content_hash=content_hash),
    ):
        with shop.faults.injected(fail_first(times, "TransactWriteItems", error=make_error(name))):
            assert apply(ledger, act, waits.now + 60).status == "applied"
    assert total(shop, "s.*") == 70
    assert total(shop, "s#*") == 1
    assert len(waits.slept) > times, "retries do not pause"
    assert len(set(waits.slept)) > times, "pauses have no jitter"


@pytest.mark.parametrize("name", LOST_ANSWERS)
@pytest.mark.parametrize("content_hash", ["", "hash"], ids=["without a key", "with an idempotency key"])
def test_an_event_whose_answer_was_lost_counts_once(
    shop: Shop, ledger: Ledger, waits: Waits, name: str, content_hash: str
) -> None:
    for act in (
        activity(1, content_hash=content_hash),
        activity(2, "refunded", None, refund=Decimal(30), content_hash=content_hash),
    ):
        with shop.faults.injected(fail_first(1, "TransactWriteItems", error=make_error(name), after=True)):
            assert apply(ledger, act, waits.now + 60).status == "applied"
    assert total(shop, "s.*") == 70
    assert total(shop, "s#*") == 1


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", LOST_ANSWERS)
def test_moving_an_event_to_its_first_receipt_survives_a_lost_answer(
    shop: Shop, ledger: Ledger, waits: Waits, name: str, after: bool
) -> None:
    """The copy of January moves Alice's event of March to before Bob's of February, so the order is Bob's."""
    apply(ledger, copy(3, "late"))
    apply(ledger, activity(2, "updated", "2", person=BOB, occurred="20190201000000000000"))
    with shop.faults.injected(fail_first(2, "TransactWriteItems", error=make_error(name), after=after)):
        outcome = apply(ledger, copy(1, "early"), waits.now + 60)
    assert (outcome.status, outcome.original) == ("duplicate", "late")
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)
    # The event was written by the request `late`, so `late` is no duplicate when it is delivered again.
    assert apply(ledger, copy(3, "late"), waits.now + 60).status == "applied"
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)


@pytest.mark.parametrize(("name", "after"), [(n, False) for n in TEMPORARY_ERRORS] + [(n, True) for n in LOST_ANSWERS])
def test_v1_writes_happen_once_after_any_temporary_error(
    shop: Shop, ledger: Ledger, waits: Waits, name: str, after: bool
) -> None:
    def faulty() -> Any:
        return shop.faults.injected(fail_first(1, "TransactWriteItems", error=make_error(name), after=after))

    with faulty():
        first = submit(ledger, waits, document(100), "r1")
    assert (first.id, first.changed) == ("id-r1", True)
    assert total(shop, "o.USD") == 100
    with faulty():
        assert edit(ledger, waits, document(40, person=BOB), "r2").body["total"] == 40
    assert (total(shop, "o.USD"), total(shop, "o.USD", BOB)) == (0, 40)
    with faulty():
        gone = delete(ledger, waits, "r3")
    assert (gone.id, gone.body["total"]) == ("id-r1", 40)
    assert shop.stored_ltv() == {}
    with faulty():
        assert submit(ledger, waits, document(7), "r4").id == "id-r4"
    assert total(shop, "o.USD") == 7


def test_a_submission_without_an_answer_is_not_repeated_after_an_edit_and_a_delete(
    shop: Shop, ledger: Ledger, waits: Waits
) -> None:
    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "TransactWriteItems":
            return go()
        go()
        shop.faults.intercept = None
        edit(ledger, waits, document(40), "other-1")
        delete(ledger, waits, "other-2")
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with shop.faults.injected(intercept):
        answer = submit(ledger, waits, document(100), "r1")
    assert answer.body["total"] == 100
    assert shop.stored_ltv() == {}
    with pytest.raises(NotFound):
        delete(ledger, waits, "r9")


@pytest.mark.parametrize("how", ["another write is first", "conflict"])
def test_an_order_that_rivals_keep_writing_does_not_block_the_rest(
    shop: Shop, ledger: Ledger, waits: Waits, how: str
) -> None:
    """The other orders share a transaction with this order at first; after a few tries each is written alone."""
    hot = activity(1, order_id="hot")
    apply(ledger, hot)
    rivals = iter(range(1_000))

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "TransactWriteItems" or hot.order_key not in str(arguments):
            return go()
        if how == "conflict":
            raise make_error("conflict on the head")(operation, arguments)
        shop.faults.intercept = None
        apply(ledger, activity(2, "updated", "5", order_id="hot", event_id=f"rival{next(rivals)}"), waits.now + 60)
        shop.faults.intercept = intercept
        return go()

    others = [activity(3, order_id=f"o{n}") for n in range(5)]
    with shop.faults.injected(intercept):
        results = ledger.apply(V3, [activity(4, "updated", "7", order_id="hot"), *others], waits.now + 20)
    assert isinstance(results[0], Unavailable)
    assert [result.status for result in results[1:] if isinstance(result, Result)] == ["applied"] * 5
    assert waits.now <= 20


# Operation -> the calls of the ledger that use it. `move`: an earlier copy moves a stored event. `empty`: an erasure
# empties the events of an order.
CALLS_OF = {
    "TransactWriteItems": {"edit", "delete", "apply", "submit", "move", "empty"},
    "BatchGetItem": {"apply"},
    "GetItem": {"edit", "delete", "submit", "move", "empty"},
    "Query": {"move", "empty"},
}
LASTING_FAULTS = [
    *[("TransactWriteItems", name) for name in ("conflict everywhere", "throttled")],
    *[(operation, name) for operation in CALLS_OF for name in ("refused as a whole", "timed out", "server fault")],
]


@pytest.mark.parametrize(("operation", "name"), LASTING_FAULTS)
def test_a_call_that_fails_until_its_deadline_is_unavailable_and_changes_nothing(
    shop: Shop, ledger: Ledger, waits: Waits, operation: str, name: str
) -> None:
    apply(ledger, copy(2, "second"))
    submit(ledger, waits, document(100), "r1")
    before, stored = shop.stored_ltv(), shop.items(ledger.table)
    person, key = ALICE.id_in(ACCOUNT), copy(2, "second").order_key
    calls: dict[str, Callable[[], Any]] = {
        "edit": lambda: edit(ledger, waits, document(1), "r2", seconds=4),
        "delete": lambda: delete(ledger, waits, "r3", seconds=4),
        "apply": lambda: apply(ledger, activity(2, "updated", "5"), waits.now + 4),
        "submit": lambda: submit(ledger, waits, document(1, "other"), "r4", seconds=4),
        "move": lambda: apply(ledger, copy(1, "first"), waits.now + 4),
        "empty": lambda: ledger.empty(V3, key, person, ERASED_UP_TO, lambda: True, waits.now + 4),
    }
    for call in CALLS_OF[operation]:
        started = waits.now
        with shop.faults.injected(fail_first(100_000, operation, error=make_error(name))), pytest.raises(Unavailable):
            calls[call]()
        assert waits.now - started <= 4
    assert shop.stored_ltv() == before
    assert shop.items(ledger.table) == stored


def test_retries_end_in_time_when_the_head_changes_each_time(shop: Shop, ledger: Ledger, waits: Waits) -> None:
    """Retries pause, and stop at the deadline."""
    apply(ledger, activity(1))
    head = next(item for item in shop.dynamodb.scan(TableName=ledger.table)["Items"] if "/h/" in item["pk"]["S"])
    tried = []

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "TransactWriteItems":
            return go()
        tried.append(index)
        assert len(tried) < 5_000, "the retries do not end"
        answer: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": ""},
            "CancellationReasons": [
                {"Code": "ConditionalCheckFailed", "Item": head | {"writes": {"N": str(len(tried) + 1)}}},
                *[{"Code": "None"}] * (len(arguments["TransactItems"]) - 1),
            ],
        }
        raise ClientError(answer, operation)

    with shop.faults.injected(intercept), pytest.raises(Unavailable):
        apply(ledger, activity(2, "updated", "5"), waits.now + 20)
    assert waits.now <= 21


def test_an_item_that_can_never_be_written_is_not_retried(shop: Shop, ledger: Ledger, waits: Waits) -> None:
    with shop.faults.injected(
        fail_first(99, "TransactWriteItems", error=lambda *_: cancelled_error("ValidationError", "None", "None"))
    ):
        with pytest.raises(ClientError):
            apply(ledger, activity(1))
        assert [operation for operation, _ in shop.faults.calls].count("TransactWriteItems") == 1


@pytest.mark.parametrize("seed", range(12))
def test_random_faults_end_in_the_exact_state(shop: Shop, ledger: Ledger, waits: Waits, seed: int) -> None:
    """Events are sent in random order, some more than once, with random conflicts, throttling and lost answers."""
    dice = random.Random(seed)
    events = [
        activity(
            n,
            dice.choice(["placed", "updated", "refunded", "canceled"]),
            dice.choice([None, "10.01", "99.9999"]),
            refund=Decimal(dice.randint(0, 9)),
            person=dice.choice([ALICE, BOB]),
            currency=dice.choice(["", "USD", "EUR"]),
        )
        for n in range(1, 8)
    ]
    expected = fold([e.event for e in events])

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if dice.random() > 0.4:
            return go()
        if operation != "TransactWriteItems":
            raise refused_error("ThrottlingException", operation)
        name = dice.choice(list(TEMPORARY_ERRORS))
        if name in LOST_ANSWERS and dice.random() < 0.5:
            go()
        raise make_error(name)(operation, arguments)

    sent = events + dice.choices(events, k=5)
    dice.shuffle(sent)
    with shop.faults.injected(intercept):
        for entry in sent:
            assert apply(ledger, entry, waits.now + 1_000).status == "applied"
    cell = f"{expected.person}/s.{expected.currency or '*'}"
    assert shop.stored_ltv() == {
        name: value
        for name, value in {cell: expected.contribution, cell.replace("/s.", "/s#"): Decimal(1)}.items()
        if value
    }


# ------------------------------------------------------ through the functions


@pytest.mark.parametrize("operation", ["TransactWriteItems", "GetItem", "BatchGetItem"])
def test_v1_answers_503_in_time_while_a_table_throttles(shop: Shop, operation: str) -> None:
    order = {"order_id": "o-1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": 1}
    shop.submit(order)

    def throttled(index: int, op: str, arguments: dict[str, Any], go: Go) -> Any:
        if op == operation and arguments.get("TableName") != "RecordsTable":
            raise refused_error("ThrottlingException", op)
        return go()

    with shop.faults.injected(throttled):
        for call in (
            lambda: shop.edit("o-1", {"total": 2}, milliseconds=4_100),
            lambda: shop.delete("o-1", milliseconds=4_100),
            lambda: shop.submit(order | {"order_id": "o-2"}, milliseconds=4_100),
        ):
            answer = call()
            assert answer.status == 503
            assert answer.body["error"]["message"]
    assert shop.ltv(EMAIL) == {"USD": "1.00"}


@pytest.mark.parametrize(
    "error", [refused_error("ThrottlingException", "GetItem"), ReadTimeoutError(endpoint_url="https://dynamodb")]
)
def test_requests_are_503_while_the_tables_cannot_be_read(shop: Shop, error: Exception) -> None:
    shop.send(event(occurred_at=day(1)))
    shop.drain()
    forget_warm_state()

    def down(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        raise error

    with shop.faults.injected(down):
        answers = [shop.send(event()), shop.submit({}), shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}")]
    shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}")
    with shop.faults.injected(down):  # the key is cached now
        answers += [shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}"), shop.get("/v1/order/x")]
    assert [answer.status for answer in answers] == [503] * 5
