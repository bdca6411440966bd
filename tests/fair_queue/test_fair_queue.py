"""Waits behind a backlog in the model of a fair queue. tests/handlers checks that every message has a group."""

from __future__ import annotations

import pytest

from tests.fair_queue.model import Message, Workers, waits
from tests.fair_queue.scenarios import SCENARIOS, WORKERS


@pytest.mark.parametrize(("backlog", "other"), [(b, o) for _, b, o in SCENARIOS], ids=[n for n, _, _ in SCENARIOS])
def test_an_order_of_another_account_is_applied_within_a_second(backlog: list[Message], other: Message) -> None:
    assert waits([*backlog, other], WORKERS, fair=True)["quiet"] < 1


def test_without_fairness_an_order_waits_for_most_of_the_backlog() -> None:
    _, backlog, other = SCENARIOS[-1]  # 50,000 orders
    seconds_of_backlog = waits(backlog, WORKERS, fair=False)["busy"]
    assert waits([*backlog, other], WORKERS, fair=False)["quiet"] > seconds_of_backlog / 2 > 1


def test_a_wait_ends_with_the_last_transaction_of_the_account() -> None:
    workers = Workers(concurrency=1, batch=10, together=16, seconds=1.0)
    assert waits([Message("a", 16, 0.0)], workers, fair=True) == {"a": 1.0}
    assert waits([Message("a", 17, 0.0)], workers, fair=True) == {"a": 2.0}
    # Accounts take turns within a batch: after one of the four transactions of `a` (64 / 16), `b` has its only one.
    assert waits([Message("a", 64, 0.0), Message("b", 1, 0.0)], workers, fair=True) == {"a": 5.0, "b": 2.0}
