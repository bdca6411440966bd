"""Orders of one batch that share a transaction: each gets the outcome that it would get alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.handlers.audiences import V3, count
from tests.handlers.deadletters import dead_letter_items, refuse_writes_of
from tests.handlers.events import EMAIL, day, event
from tests.handlers.rights import USED_RIGHTS
from tests.handlers.shop import ACCOUNT, Shop
from tillbook.aws.settings import settings
from tillbook.ledger.activities import MAX_TOGETHER
from tillbook.work import processing

Go = Callable[[], Any]


def test_outcomes_wait_for_a_throttled_table(shop: Shop) -> None:
    """DynamoDB refuses a fully throttled batch with an error, instead of a list of unprocessed items."""
    ids = [shop.send(event(order_id=n)).body["request_id"] for n in range(5)]
    refused = []

    def throttled(_index: int, operation: str, _arguments: dict[str, Any], go: Go) -> Any:
        if operation == "BatchWriteItem" and len(refused) < 3:
            refused.append(operation)
            raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, operation)
        return go()

    with shop.faults.injected(throttled):
        assert shop.deliver(shop.receive()) == []
    assert len(refused) == 3
    assert statuses(shop, ids) == ["applied"] * 5


def transaction_sizes(calls: list[tuple[str, dict[str, Any]]]) -> list[int]:
    """The number of items of each transaction."""
    return [len(arguments["TransactItems"]) for operation, arguments in calls if operation == "TransactWriteItems"]


def deliver_batch(shop: Shop) -> list[tuple[str, dict[str, Any]]]:
    """Delivers the waiting messages as one batch. Returns its AWS calls."""
    with shop.faults.recorded() as calls:
        assert shop.deliver(shop.receive()) == []
    return calls


def statuses(shop: Shop, ids: list[str]) -> list[str]:
    return [shop.status(i)["status"] for i in ids]


def test_orders_of_one_person_are_one_transaction(shop: Shop) -> None:
    ids = [shop.send(event(order_id=n, grand_total=n)).body["request_id"] for n in range(10)]
    # A head and an event of each order, and one person.
    assert transaction_sizes(deliver_batch(shop)) == [21]
    assert shop.ltv(EMAIL) == {"USD": "45.00"}
    assert statuses(shop, ids) == ["applied"] * 10
    assert count(shop, V3) == 10


def test_orders_of_several_people_are_one_transaction(shop: Shop) -> None:
    for n in range(10):
        shop.send(event(order_id=n, email=f"p{n}@shop.example", grand_total=n))
    calls = deliver_batch(shop)
    assert transaction_sizes(calls) == [30]  # a head, an event and a person for each order
    # The outcomes are written together, too.
    assert [operation for operation, _ in calls].count("BatchWriteItem") == 1
    assert [shop.ltv(f"p{n}@shop.example") for n in range(10)] == [{"USD": f"{n}.00"} for n in range(10)]


def test_a_long_batch_is_several_transactions(shop: Shop) -> None:
    shop.send_batch([event(order_id=n) for n in range(2 * MAX_TOGETHER + 3)])
    # A head and an event of each order, and one person. The last transaction has three orders.
    assert transaction_sizes(deliver_batch(shop)) == [2 * MAX_TOGETHER + 1, 2 * MAX_TOGETHER + 1, 2 * 3 + 1]
    assert shop.ltv(EMAIL) == {"USD": f"{100 * (2 * MAX_TOGETHER + 3)}.00"}


def test_all_events_of_an_order_in_one_batch_are_one_transaction(shop: Shop) -> None:
    events = [
        event(order_id="a", action="refunded", refund_amount=30, grand_total=None, occurred_at=day(4)),
        event(order_id="a", occurred_at=day(1)),
        event(order_id="a", action="paid", grand_total=90, email="b@shop.example", occurred_at=day(2)),
        event(order_id="b", action="updated", grand_total=7, occurred_at=day(2)),
        event(order_id="a", action="fulfilled", grand_total=None, occurred_at=day(3)),
    ]
    ids = shop.send_batch(events).body["request_ids"]
    assert len(transaction_sizes(deliver_batch(shop))) == 1
    assert shop.ltv(EMAIL) == {"USD": "67.00"}  # a: 90 - 30, b: 7
    assert shop.ltv("b@shop.example") == {}
    assert shop.timeline("b@shop.example") == ["Paid an order"]
    assert statuses(shop, ids) == ["applied"] * 5


def test_later_events_of_several_orders_are_one_transaction(shop: Shop) -> None:
    """The heads of the orders are read with one call."""
    shop.send_batch([event(order_id=n, email=f"p{n}@shop.example", occurred_at=day(1)) for n in range(4)])
    shop.drain()
    later: dict[str, Any] = {"action": "updated", "occurred_at": day(2)}
    shop.send_batch([event(order_id=n, email=f"p{n}@shop.example", grand_total=n, **later) for n in range(4)])
    calls = deliver_batch(shop)
    assert transaction_sizes(calls) == [12]  # four heads, events and people
    read = [next(iter(arguments["RequestItems"])) for operation, arguments in calls if operation == "BatchGetItem"]
    assert read == ["RecordsTable", "LedgerTable"], "marks, then heads"
    assert [shop.ltv(f"p{n}@shop.example") for n in range(4)] == [{"USD": f"{n}.00"} for n in range(4)]


def test_effects_that_add_up_to_zero_still_write_the_person(shop: Shop) -> None:
    """The self-audit considers a person unchanged as long as their token is the same."""
    other = "b@shop.example"
    shop.send_batch([event(order_id=1, occurred_at=day(3)), event(order_id=2, occurred_at=day(3), grand_total=None)])
    shop.drain()
    tokens = person_tokens(shop)
    late: dict[str, Any] = {"email": other, "occurred_at": day(1)}
    shop.send(event(order_id=1, action="refunded", grand_total=None, refund_amount=5, **late))
    shop.send(event(order_id=2, action="updated", grand_total=5, **late))
    # Two heads, two events, two people. One order lowers the LTV of EMAIL by 5, the other raises it by 5.
    assert transaction_sizes(deliver_batch(shop)) == [6]
    assert [shop.ltv(email) for email in (EMAIL, other)] == [{"USD": "100.00"}, {}]
    assert tokens
    assert not tokens & person_tokens(shop)


def person_tokens(shop: Shop) -> set[str]:
    return {item["token"] for item in shop.items("LedgerTable") if "/p/" in item["pk"]}


def test_stored_events_are_left_out_of_the_transaction(shop: Shop) -> None:
    repeated = event(order_id=1, occurred_at=day(1))
    first = shop.send(repeated).body["request_id"]
    shop.send(event(order_id=2, action="paid", occurred_at=day(2)))
    shop.drain()
    ids = [
        shop.send(sent).body["request_id"]
        for sent in (
            repeated,
            event(order_id=2, occurred_at=day(1), grand_total=5),
            *[event(order_id=n, occurred_at=day(1)) for n in range(3, 8)],
        )
    ]
    # The first transaction has seven orders and a person, and is refused. The second leaves out the head and the event
    # of order 1, which is stored already, and uses the head of order 2 from the refusal.
    calls = deliver_batch(shop)
    assert transaction_sizes(calls) == [15, 13]
    assert "GetItem" not in [operation for operation, _ in calls]
    assert shop.status(ids[0])["original_request_id"] == first
    assert statuses(shop, ids) == ["duplicate", *["applied"] * 6]
    assert shop.ltv(EMAIL) == {"USD": "700.00"}  # order 2 keeps its later total, 100


@pytest.mark.parametrize("moment", ["before the write", "after the write"])
def test_a_lost_answer_counts_nothing_twice(shop: Shop, moment: str) -> None:
    ids = [shop.send(event(order_id=n), headers={"idempotency-key": f"k{n}"}).body["request_id"] for n in range(4)]
    lost: list[str] = []

    def intercept(_index: int, operation: str, _arguments: dict[str, Any], go: Go) -> Any:
        if operation != "TransactWriteItems" or lost:
            return go()
        lost.append(operation)
        if moment == "after the write":
            go()
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with shop.faults.injected(intercept):
        assert shop.deliver(shop.receive()) == []
    assert lost
    assert shop.ltv(EMAIL) == {"USD": "400.00"}
    assert statuses(shop, ids) == ["applied"] * 4
    assert len([item for item in shop.items("RecordsTable") if "/t/" in item["pk"] and "effects" in item]) == 4


@pytest.mark.parametrize("erased", [False, True], ids=["kept", "erased"])
@pytest.mark.parametrize("others", [0, 1], ids=["alone", "in a group"])
def test_a_timed_out_write_fails_if_its_key_was_used_for_another_event_meanwhile(
    shop: Shop, others: int, erased: bool
) -> None:
    """Found by the simulation (seed 97037246): the other event was erased with its key before the write arrived."""
    keyed, bob = {"idempotency-key": "k"}, "bob@example.com"
    shop.send(event(order_id="a", email=bob), headers=keyed)
    [bobs_message] = shop.receive()
    shop.acknowledge(bobs_message)
    request_id = shop.send(event(order_id="a"), headers=keyed).body["request_id"]
    for n in range(others):
        shop.send(event(order_id=f"more-{n}"))
    lost: list[Go] = []

    def intercept(_index: int, operation: str, _arguments: dict[str, Any], go: Go) -> Any:
        if operation != "TransactWriteItems" or lost:
            return go()
        lost.append(go)
        with USED_RIGHTS.uncounted():
            assert processing._build(settings()).run([bobs_message], 60) == {"batchItemFailures": []}
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with shop.faults.injected(intercept):
        assert shop.deliver(shop.receive()) == []
    assert statuses(shop, [request_id]) == ["failed"]
    if erased:
        assert shop.request("DELETE", f"/v3/{ACCOUNT}/people/{bob}").status == 202
        shop.settle()
    before = shop.items("LedgerTable")
    (write,) = lost
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        write()
    assert shop.items("LedgerTable") == before
    amounts = [value for name, value in shop.stored_ltv().items() if "#" not in name]
    assert sum(amounts) == 100 * (others if erased else others + 1)  # the others and, unless erased, Bob's order


def test_an_order_that_always_fails_affects_no_other(shop: Shop) -> None:
    ids = [shop.send(event(order_id=f"o-{n}")).body["request_id"] for n in range(4)]
    with shop.faults.injected(refuse_writes_of("o-2")):
        shop.drain(20)
    assert shop.ltv(EMAIL) == {"USD": "300.00"}
    assert statuses(shop, ids) == ["applied", "applied", "failed", "applied"]
    assert len(dead_letter_items(shop)) == 1


def test_an_idempotency_key_belongs_to_its_first_event_within_a_batch(shop: Shop) -> None:
    ids = [
        shop.send(event(order_id="a", grand_total=total), headers={"idempotency-key": "k"}).body["request_id"]
        for total in (10, 20, 10)
    ] + [shop.send(event(order_id="b")).body["request_id"]]
    deliver_batch(shop)
    assert statuses(shop, ids) == ["applied", "failed", "duplicate", "applied"]
    assert shop.ltv(EMAIL) == {"USD": "110.00"}


def test_under_constant_writes_of_others_each_event_is_written_alone(shop: Shop) -> None:
    for n in range(3):
        shop.send(event(order_id=n))
    refused: list[int] = []

    def intercept(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "TransactWriteItems" and len(arguments["TransactItems"]) > 4:  # a single event has 3 items
            refused.append(len(arguments["TransactItems"]))
            reasons = [{"Code": "TransactionConflict"}] + [{"Code": "None"}] * (refused[-1] - 1)
            refusal: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(refusal, operation)
        return go()

    with shop.faults.injected(intercept):
        assert shop.deliver(shop.receive(), milliseconds=15_000) == []
    assert 1 < len(refused) <= 5
    assert shop.ltv(EMAIL) == {"USD": "300.00"}


def test_each_message_is_delivered_again_if_outcomes_could_not_be_recorded(shop: Shop) -> None:
    ids = [shop.send(event(order_id=n)).body["request_id"] for n in range(3)]
    records = shop.receive()

    def intercept(_index: int, operation: str, _arguments: dict[str, Any], go: Go) -> Any:
        if operation == "BatchWriteItem":
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        return go()

    with shop.faults.injected(intercept):
        assert sorted(shop.deliver(records)) == sorted(record["messageId"] for record in records)
    assert statuses(shop, ids) == ["queued"] * 3
    shop.drain()
    assert statuses(shop, ids) == ["applied"] * 3
    assert shop.ltv(EMAIL) == {"USD": "300.00"}
