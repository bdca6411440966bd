"""32 workers apply 2,500 operations to one ledger, whose amounts are checked; `make test-concurrency` applies 50,000.

DYNAMODB_ENDPOINT is the URL of another engine than MiniStack. The other tests test the workload's size and the checks.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.concurrency.books import check_cards, check_people, parts
from tests.concurrency.engine import engine
from tests.concurrency.run import people_keys, run
from tests.concurrency.workload import HOT_ORDERS, HOT_V1_ORDERS, accounts

SEED = 20261122


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_concurrent_workers_leave_every_amount_exact() -> None:
    with engine() as running:
        result = run(running, operations=2_500, workers=32, seed=SEED)
    print(result)
    assert not result.faults, result
    assert result.operations == 2_500
    assert result.snapshots >= 30
    # These results and injected faults occurred. "as before": the call changed nothing.
    seen = {status for status, count in result.statuses.items() if count}
    assert seen >= {"applied", "duplicate", "failed", "submitted 201", "submitted 201 as before", "edited 200"}
    assert seen >= {"submitted 409 as before", "deleted 200", "applied together"}
    assert {"conflict", "throttled", "throttled item", "server", "lost"} <= result.injected.keys()


def test_each_account_fits_one_transactional_read() -> None:
    hot, *others = accounts()
    assert HOT_ORDERS + HOT_V1_ORDERS == 90
    for account in (hot, *others):  # TransactGetItems reads at most 100 items
        assert len(account.orders) + len(account.v1_orders) + len(people_keys(account)) <= 100


# --------------------------------------------------------- the checks find faults


def _head(order: str, **values: Any) -> dict[str, Any]:
    made = {"pk": "a/s0/h/0", "sk": order, "person": "ann", "currency": "USD", "records": 1, "writes": 1}
    return made | {"contribution": Decimal("10.01")} | values


# Items of account `a`; keys as in ledger/items.py: s = v3, o = v1, 0 = generation; h = heads, p = people.
HEADS = [
    _head("AA1"),
    _head("AA2", currency="EUR", contribution=Decimal(-3)),
    _head("AB3", pk="a/o0/h/1", records=2),
    {"pk": "a/o0/h/1", "sk": "AB4", "deleted": True, "version": 2, "writes": 2},  # deleted
    {"pk": "a/s0/h/1", "sk": "AB5", "writes": 3},  # an order that names nobody
]
ANN_V3 = {
    "pk": "a/s0/p/an", "sk": "ann", "kind": "email", "value": "x", "token": "t",
    "JPY": Decimal(0), "#JPY": 0, "USD": Decimal("10.01"), "#USD": 1, "EUR": Decimal(-3), "#EUR": 1,
}  # fmt: skip
ANN_V1 = {"pk": "a/o0/p/an", "sk": "ann", "token": "t", "USD": Decimal("10.01"), "#USD": 1}
# Cards of the book; keys as in records/book.py.
CARDS = [
    {"pk": "a/s0/cards/201901", "sk": "2019#AA1", "writes": 1, "status": "placed", "records": 1},
    {"pk": "a/s0/cards/201901", "sk": "2019#AA2", "writes": 1, "status": "placed", "records": 1},
    {"pk": "a/s0/cards/201812", "sk": "2018#AA2", "writes": 1},  # the order moved to another date
    {"pk": "a/s0/marks", "sk": "20190101", "changes": 5},  # the mark of a day, which is no card
    {"pk": "a/o0/cards/201901", "sk": "2019#AB3", "writes": 1, "status": "submitted", "records": 2},
]


def test_a_consistent_snapshot_has_no_faults() -> None:
    assert check_people([ANN_V3, ANN_V1], HEADS) == []
    assert check_cards(CARDS, HEADS) == []


# "USD": the sum of the orders in dollars; "#USD": their number; "*": the account's currency.
@pytest.mark.parametrize(
    "wrong",
    [
        {"USD": Decimal("10.0101")}, {"#USD": 2}, {"USD": Decimal(0)}, {"EUR": Decimal(3)},
        {"*": Decimal(1)}, {"#JPY": 1}, {"#USD": 0}, {"pk": "a/s1/p/an"}, {"sk": "ben"}, {"unknown": 1},
    ],
)  # fmt: skip
@pytest.mark.parametrize("changed", [0, 1], ids=["v3", "v1"])
def test_a_wrong_item_of_a_person_is_found(changed: int, wrong: dict[str, Any]) -> None:
    people = [ANN_V3, ANN_V1]
    people[changed] = people[changed] | wrong
    assert check_people(people, HEADS)


def test_sums_in_another_scope_are_found() -> None:
    swapped = [ANN_V3 | {"pk": ANN_V1["pk"]}, ANN_V1 | {"pk": ANN_V3["pk"]}]
    assert len(check_people(swapped, HEADS)) == 2


def test_orders_of_a_missing_person_are_found() -> None:
    assert check_people([], HEADS)


@pytest.mark.parametrize("wrong", [{"records": 2}, {"status": ""}, {"pk": "a/o0/cards/201901"}, {"pk": "a/s0/x"}])
def test_a_wrong_card_is_found(wrong: dict[str, Any]) -> None:
    assert check_cards([CARDS[0] | wrong, *CARDS[1:]], HEADS)


def test_items_of_the_ledger_are_grouped_by_kind() -> None:
    event = {"pk": "a/s0/e/0", "sk": "AA1!e"}
    found = parts([*HEADS, ANN_V3, ANN_V1, event])
    assert found == {"heads": HEADS, "events": [event], "people": [ANN_V3, ANN_V1]}
