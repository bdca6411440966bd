"""5,000 operations by 32 workers; 50,000 by `make test-concurrency`. DYNAMODB_ENDPOINT chooses another engine."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.concurrency.books import check_counters, check_people
from tests.concurrency.engine import engine
from tests.concurrency.run import run
from tests.concurrency.workload import HOT_ORDERS, HOT_V1_ORDERS, accounts

SEED = 20261122


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_at_once_leave_everything_exact() -> None:
    with engine() as chosen:
        result = run(chosen, operations=5_000, workers=32, seed=SEED)
    print(result)
    assert not result.faults, result
    assert result.operations == 5_000
    assert result.snapshots >= 30
    # What was to meet did meet.
    seen = {status for status, count in result.statuses.items() if count}
    assert seen >= {"applied", "duplicate", "failed", "submitted 201", "submitted 201 as before", "edited 200"}
    assert seen >= {"submitted 409 as before", "deleted 200", "applied together"}
    assert {"conflict", "throttled", "throttled item", "server", "lost"} <= result.injected.keys()


def test_one_person_is_hot() -> None:
    hot, *others = accounts()
    assert HOT_ORDERS + HOT_V1_ORDERS == 90
    for account in (hot, *others):
        assert len(account.orders) + len(account.v1_orders) + len(account.people) <= 100


# ------------------------------------------------------ the reader has eyes


def _head(order: str, **values: Any) -> dict[str, Any]:
    return {"pk": "a/s/0", "sk": f"{order}~", "p": "ann", "c": "USD", "x": Decimal("10.01"), "m": 1} | values


HEADS = [
    _head("AA1"),
    _head("AA2", c="EUR", x=Decimal(-3)),
    _head("AB3", pk="a/o/1", m=2),
    {"pk": "a/o/1", "sk": "AB4~", "d": True},
]
ANN = {"pk": "a/p/ann", "sk": "p", "k": "email", "id": "x", "s.JPY": Decimal(0), "s#JPY": 0} | {
    "s.USD": Decimal("10.01"), "s#USD": 1, "s.EUR": Decimal(-3), "s#EUR": 1, "o.USD": Decimal("10.01"), "o#USD": 1,
}  # fmt: skip


def test_a_snapshot_that_adds_up() -> None:
    assert check_people([ANN], HEADS) == []
    assert (
        check_counters(
            [{"pk": "a/n/s", "sk": "11", "m": 2, "n": 2}, {"pk": "a/n/o", "sk": "12", "m": 2, "n": 1}], HEADS
        )
        == []
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"s.USD": Decimal("10.0101")}, {"s#USD": 2}, {"o.USD": Decimal(0)}, {"s.EUR": Decimal(3)},
        {"s.*": Decimal(1)}, {"s#JPY": 1}, {"o#USD": 0},
    ],
)  # fmt: skip
def test_a_torn_snapshot_is_noticed(wrong: dict[str, Any]) -> None:
    assert check_people([ANN | wrong], HEADS)


def test_orders_of_nobody_are_noticed() -> None:
    assert check_people([], HEADS)


@pytest.mark.parametrize("wrong", [{"m": 1}, {"n": 3}, {"pk": "a/n/o"}])
def test_a_torn_counter_is_noticed(wrong: dict[str, Any]) -> None:
    counters = [{"pk": "a/n/s", "sk": "11", "m": 2, "n": 2} | wrong, {"pk": "a/n/o", "sk": "12", "m": 2, "n": 1}]
    assert check_counters(counters, HEADS)
