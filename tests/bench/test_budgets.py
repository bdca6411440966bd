"""Budgets of the calls to AWS that an order may make and of the modules that a function may import.

A figure that changes here changes the cost of an order or the start of a function: explain it in the commit.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench import calls, cost, scenes
from bench.calls import Bill
from bench.memory import ENVIRONMENT
from bench.scenes import ROOT

# Calls to DynamoDB, calls to SQS, write units and read units, for one request or for each order of a batch.
BUDGETS = {
    "v1 submit": (4, 0, 11, 3),
    "v1 edit": (5, 0, 7, 4),
    "v1 delete": (5, 0, 11, 4),
    "v3 accept": (0, 1, 0, 0),
    "v3 process one": (3, 0, 11, 2),
    "v3 process one with an idempotency key": (3, 0, 11, 2),
    "v3 process a later event": (4, 0, 6, 3),
    "v3 process a refund": (4, 0, 8, 3),
    "v3 process a repeat": (4, 0, 8, 2),
    "v3 process ten of ten people": (0.3, 0, 11, 1.1),
    "v3 process ten of one person": (0.3, 0, 9.2, 0.2),
    "v3 process ten in one message": (0.3, 0, 11, 1.1),
    "v3 accept 1,000": (0, 0.001, 0, 0),
    "v3 process 1,000": (0.16, 0, 11, 1.01),
}
# Modules that no function needs. Each of them would cost milliseconds of a cold start.
_HEAVY = {"requests", "asyncio", "sqlite3", "aws_xray_sdk", *(
    f"aws_lambda_powertools.{part}"
    for part in ("event_handler", "utilities.parser", "utilities.batch", "utilities.idempotency")
)}  # fmt: skip
# Only these functions import pydantic at their start. Others import it with the first body that they validate.
_WITH_PYDANTIC = {"submit_order", "edit_order", "record_activity", "receive_webhook", "configure"}
_WITHOUT_AWS = {"describe", "fallback", "transactions_page"}


@pytest.fixture(scope="module")
def bills() -> dict[str, Bill]:
    return calls.measured(calls.warmed())


@pytest.mark.parametrize("name", BUDGETS)
def test_an_order_keeps_to_its_budget(bills: dict[str, Bill], name: str) -> None:
    found = bills[name].per_order()
    made = {"dynamodb": 0.0, "sqs": 0.0}
    for call, count in found["calls"].items():
        made[call.partition(" ")[0]] += count
    dynamodb, sqs, writes, reads = BUDGETS[name]
    assert made["dynamodb"] == pytest.approx(dynamodb)
    assert made["sqs"] == pytest.approx(sqs)
    assert found["write_units"] == pytest.approx(writes)
    assert found["read_units"] == pytest.approx(reads)


def test_a_thousand_orders_are_queued_in_eight_requests_at_most(bills: dict[str, Bill]) -> None:
    assert bills["v3 accept 1,000"].sqs <= 8


@pytest.mark.parametrize(("together", "written"), [(1, 4), (10, 3.1)])
def test_an_order_in_the_book_keeps_to_its_budget(together: int, written: float) -> None:
    """An order writes its card, an index entry for each of its two ids and its share of its day's mark. It reads its
    events and its share of the marks of purges."""
    with scenes.restored_environment():
        found = cost.of_the_book(together)
    assert found["written"] == pytest.approx(written)
    assert found["read"] <= 3


@pytest.mark.parametrize(("together", "read"), [(1, 2 + 3), (10, 2 + 3 / 10)])
def test_an_announced_order_keeps_to_its_budget(together: int, read: float) -> None:
    """An order sends two events, and reads its head and its event. Three units are for all orders of the batches: two
    marks of purges, and the account once for each of the two streams, half a unit each."""
    with scenes.restored_environment():
        found = cost.of_announcements(together)
    assert found["events"] == 2
    assert found["read"] == pytest.approx(read)


def test_a_purged_order_keeps_to_its_budget() -> None:
    """An order costs the deletion of its head, event, person, outcome and four index entries: eight units."""
    found = calls.purged(500).per_order()
    assert found["write_units"] <= 8.1
    assert found["read_units"] <= 0.55
    assert sum(found["calls"].values()) <= 1.3


def _imported(function: str) -> set[str]:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import app; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "functions" / function)],
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT / "layers" / "shared")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(ran.stdout.split())


@pytest.mark.parametrize("function", sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py")))
def test_a_function_imports_no_more_than_it_needs(function: str) -> None:
    found = _imported(function)
    assert not found & _HEAVY
    assert ("pydantic" in found) is (function in _WITH_PYDANTIC)
    assert ("boto3" in found) is (function not in _WITHOUT_AWS)


@pytest.fixture(scope="module")
def flows() -> list[cost.Flow]:
    """The flows of bench/cost.py: events one by one, several messages at once, batches of 100 events."""
    return cost.flows()


def test_batches_cost_less_than_single_events(flows: list[cost.Flow]) -> None:
    one_by_one, busy, packed = (_dollars(flow, 1000) for flow in flows)
    assert one_by_one > busy > packed


def test_each_flow_costs_more_than_its_floor(flows: list[cost.Flow]) -> None:
    for flow in flows:
        least = cost.floor(flow, 1000) | cost.floor_of_audiences(flow, 1000)
        assert _dollars(flow, 1000) > sum(least.values())


def test_costs_are_proportional_to_the_orders(flows: list[cost.Flow]) -> None:
    for flow in flows:
        assert _dollars(flow, 2000) == pytest.approx(2 * _dollars(flow, 1000))


def test_the_parts_of_the_write_units_add_up_to_all(flows: list[cost.Flow]) -> None:
    for flow in flows:
        assert sum(flow.parts.values()) == pytest.approx(flow.writes)


def _dollars(flow: cost.Flow, orders: int) -> float:
    return sum(cost.dollars(flow, orders).values())


def test_cancelled_transactions_are_counted_too() -> None:
    stage = calls.warmed()
    bodies = stage.accepted([scenes.activity(5)])
    first, again = (calls.bill("", [stage.process(bodies)]) for _ in range(2))
    assert "cancelled" not in first.parts
    # The repeat writes head, event and person of a new order, two units each. This is cancelled, as the head exists.
    assert again.parts["cancelled"] == 3 * 2
    # The first transaction is cancelled for the same reason. The second one moves the order from person 5 to person 6.
    to_another_person = calls.bill(
        "", [stage.process(stage.accepted([scenes.activity(5, person=6, occurred_at="2019-02-01")]))]
    )
    assert to_another_person.parts["cancelled"] == 3 * 2
    assert to_another_person.parts["people"] == 2 * 2
