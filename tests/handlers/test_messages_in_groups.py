"""A message's orders are applied, and their outcomes recorded, in groups of MAX_TOGETHER; accounts take turns. Messages
of an account share an SQS message group, which is another kind of group."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from tests.handlers.audiences import V1, start_rebuild
from tests.handlers.deadletters import refuse_writes_of
from tests.handlers.events import EMAIL, event
from tests.handlers.removal import Go, worker
from tests.handlers.shop import ACCOUNT, OTHER, OTHER_ADMIN, Death, Shop
from tillbook.ledger.activities import MAX_TOGETHER
from tillbook.records.messages import MAX_ORDERS, decode, encode


def slow_worker(shop: Shop) -> tuple[Any, Any]:
    """A worker whose transactions take ten seconds each, and the fault to inject, which advances the worker's clock."""
    processor, now = worker(), [0.0]

    def slow(_index: int, operation: str, _arguments: dict[str, Any], go: Go) -> Any:
        now[0] += 10 if operation == "TransactWriteItems" else 0
        return go()

    processor.clock = lambda: now[0]
    return processor, slow


def test_outcomes_of_a_transaction_are_recorded_before_the_next_transaction(shop: Shop) -> None:
    ids = shop.send_batch([event(order_id=n) for n in range(3 * MAX_TOGETHER)]).body["request_ids"]
    transactions: list[str] = []

    def die_at_the_third(_index: int, operation: str, _arguments: dict[str, Any], go: Go) -> Any:
        if operation == "TransactWriteItems":
            transactions.append(operation)
            if len(transactions) == 3:
                raise Death
        return go()

    with shop.faults.injected(die_at_the_third), suppress(Death):
        shop.deliver(shop.receive())
    groups = [ids[:MAX_TOGETHER], ids[MAX_TOGETHER : 2 * MAX_TOGETHER], ids[2 * MAX_TOGETHER :]]
    statuses = [{shop.status(request_id)["status"] for request_id in group} for group in groups]
    assert statuses == [{"applied"}, {"applied"}, {"queued"}]
    shop.drain()
    assert {shop.status(request_id)["status"] for request_id in ids} == {"applied"}
    assert shop.ltv(EMAIL) == {"USD": f"{3 * MAX_TOGETHER}00.00"}


def test_outcomes_that_the_table_did_not_process_are_written_again(shop: Shop) -> None:
    ids = shop.send_batch([event(order_id=n) for n in range(5)]).body["request_ids"]
    unprocessed: list[int] = []

    def process_two(_index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "BatchWriteItem" or len(unprocessed) == 2:
            return go()
        ((table, requests),) = arguments["RequestItems"].items()
        rest = requests[2:]
        del requests[2:]
        unprocessed.append(len(rest))
        return go() | {"UnprocessedItems": {table: rest}}

    with shop.faults.injected(process_two):
        assert shop.deliver(shop.receive()) == []
    assert unprocessed == [3, 1]
    assert [shop.status(request_id)["status"] for request_id in ids] == ["applied"] * 5


def test_a_replay_that_is_queued_again_for_lack_of_time_stays_a_replay(shop: Shop) -> None:
    shop.send_batch([event(order_id=n) for n in range(4 * MAX_TOGETHER)])
    (record,) = shop.receive()
    shop.acknowledge(record)
    record["body"] = encode(decode(record["body"])._replace(replayed=True))
    processor, slow = slow_worker(shop)
    with shop.faults.injected(slow):
        assert processor.run([record], 36) == {"batchItemFailures": []}
    (again,) = [decode(message["body"]) for message in shop.receive()]
    assert 0 < len(again.orders) < 4 * MAX_TOGETHER
    assert (again.replayed, again.tries) == (True, 0)


def test_accounts_are_served_in_turn(shop: Shop) -> None:
    """The other account's order is applied although the time is too short for all orders of the first account."""
    shop.send_batch([event(order_id=n) for n in range(4 * MAX_TOGETHER)])
    path = f"/v3/{OTHER}/shopper_activity/order"
    request_id = shop.request("POST", path, event(), key=OTHER_ADMIN).body["request_id"]
    records = sorted(shop.receive(), key=lambda record: len(record["body"]), reverse=True)
    assert [len(decode(record["body"]).orders) for record in records] == [4 * MAX_TOGETHER, 1]
    processor, slow = slow_worker(shop)
    with shop.faults.injected(slow):
        assert processor.run(records, 36) == {"batchItemFailures": []}
    found = shop.get(f"/v3/{OTHER}/requests/{request_id}", key=OTHER_ADMIN)
    assert found.body["status"] == "applied"


@pytest.mark.parametrize("orders", [1, 2, 2 * MAX_ORDERS + 1])
def test_each_message_is_in_the_message_group_of_its_account(shop: Shop, orders: int) -> None:
    """Message groups keep an account's backlog from delaying messages of other accounts."""
    with shop.faults.recorded() as calls:
        shop.send_batch([event(order_id=n) for n in range(orders)])
        start_rebuild(shop, V1)
        sent = calls.copy()
    with shop.faults.injected(refuse_writes_of("0")):
        shop.drain(3)
        sent += shop.faults.calls.copy()
    groups = [a.get("MessageGroupId") for name, a in sent if name == "SendMessage"]
    groups += [e.get("MessageGroupId") for name, a in sent if name == "SendMessageBatch" for e in a["Entries"]]
    assert len(groups) >= 4
    assert set(groups) == {ACCOUNT}
