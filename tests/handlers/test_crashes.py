"""A function is killed at each of its calls, and each order counts exactly once.

A kill happens once before and once after each call takes effect. Then the client repeats a request that got no
answer, the queue delivers its messages again, and the ledger must be the same as without the kill.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.handlers.events import EMAIL, day, event
from tests.handlers.shop import ACCOUNT, Death, Shop, kill_at_call

ORDER = {"order_id": "o-1", "order_date": "2019-09-05", "customer_email": EMAIL, "total": 100}
MOMENTS = ("before", "after")
# No flow of `run_until_killed` makes more calls: it checks this with a kill at the index of the next call.
MOST_CALLS = 8
MOST_CALLS_OF_BATCH = 3  # of a request with a v3 batch
MOST_CALLS_OF_PROCESSING = 16
# For one message with three orders. One of them cannot be written, and becomes a dead letter.
MOST_CALLS_WITH_A_DEAD_LETTER = 11


def kills(most: int) -> list[tuple[int, str]]:
    """(index of the call, moment of the kill) for a flow that makes at most `most` calls."""
    return [(index, moment) for index in range(most + 1) for moment in MOMENTS]


KILLS = kills(MOST_CALLS)


def run_until_killed(shop: Shop, index: int, moment: str, flow: Callable[[], Any], most: int = MOST_CALLS) -> bool:
    """Runs a flow that is killed at call number `index`. Returns whether it died."""
    with shop.faults.injected(kill_at_call(index, moment)):
        try:
            flow()
        except Death:
            assert index < most, f"the flow makes more than {most} calls"
            return True
    return False


def v1_total(shop: Shop) -> str | None:
    """The total of the order; None if there is no order."""
    answer = shop.get("/v1/order/o-1")
    return answer.body["total"] if answer.status == 200 else None


def recorded_outcomes(shop: Shop) -> list[tuple[str, str]]:
    """(action, status) of each recorded outcome, sorted."""
    return sorted((i["action"], i["pk"].split("/")[2]) for i in shop.items("RecordsTable") if "/t/" in i["pk"])


@pytest.mark.parametrize(("index", "moment"), KILLS)
def test_a_submission_that_is_killed_counts_once(shop: Shop, index: int, moment: str) -> None:
    shop.submit(ORDER | {"order_id": "warm"})  # the function is warm: it has cached the API key
    shop.drain()
    died = run_until_killed(shop, index, moment, lambda: shop.submit(ORDER))
    shop.drain()
    total = v1_total(shop)
    assert shop.ltv(EMAIL) == {"USD": "100.00" if total is None else "200.00"}  # 100.00 of the order `warm`
    if not died:
        assert total == "100.0"
    # The outcome is recorded if the write was made, and only then.
    assert recorded_outcomes(shop).count(("submitted", "applied")) == (1 if total is None else 2)
    again = shop.submit(ORDER)
    assert again.status == 201
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "200.00"}
    assert recorded_outcomes(shop).count(("submitted", "applied")) == 2
    assert shop.timeline(EMAIL).count("Submitted an order") == 2


@pytest.mark.parametrize(("index", "moment"), KILLS)
def test_an_edit_that_is_killed_counts_once(shop: Shop, index: int, moment: str) -> None:
    shop.submit(ORDER)
    shop.drain()
    change = {"total": 40, "customer_email": "other@gmail.com"}
    run_until_killed(shop, index, moment, lambda: shop.edit("o-1", change))
    shop.drain()
    assert v1_total(shop) in ("100.0", "40.0")
    changed = v1_total(shop) == "40.0"
    assert shop.ltv(EMAIL) == ({} if changed else {"USD": "100.00"})
    assert recorded_outcomes(shop).count(("edited", "applied")) == changed
    assert shop.edit("o-1", change).status == 200
    shop.drain()
    assert shop.ltv(EMAIL) == {}
    assert shop.ltv("other@gmail.com") == {"USD": "40.00"}
    assert shop.timeline("other@gmail.com") == ["Edited an order"]


@pytest.mark.parametrize(("index", "moment"), KILLS)
def test_a_delete_that_is_killed_counts_once(shop: Shop, index: int, moment: str) -> None:
    shop.submit(ORDER)
    shop.drain()
    run_until_killed(shop, index, moment, lambda: shop.delete("o-1"))
    shop.drain()
    gone = v1_total(shop) is None
    assert shop.ltv(EMAIL) == ({} if gone else {"USD": "100.00"})
    assert shop.delete("o-1").status == (404 if gone else 200)
    shop.drain()
    assert shop.stored_ltv() == {}
    assert shop.timeline(EMAIL) == ["Deleted an order", "Submitted an order"]
    assert recorded_outcomes(shop).count(("deleted", "applied")) == 1


@pytest.mark.parametrize(("index", "moment"), kills(MOST_CALLS_OF_BATCH))
def test_a_v3_batch_that_is_killed_before_its_answer_counts_once(shop: Shop, index: int, moment: str) -> None:
    """Clients can safely send events with an occurred_at again."""
    orders = [event(order_id=n, occurred_at=day(1)) for n in range(3)]
    run_until_killed(shop, index, moment, lambda: shop.send_batch(orders), MOST_CALLS_OF_BATCH)
    assert shop.send_batch(orders).status == 202
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "300.00"}


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize(("index", "moment"), kills(MOST_CALLS_OF_PROCESSING))
def test_processing_that_is_killed_applies_each_event_once(shop: Shop, index: int, moment: str, keyed: bool) -> None:
    """The messages have new orders, changes of one order, a duplicate, and an order that moves to another person."""
    headers = {"Idempotency-Key": "k"} if keyed else {}
    shop.send_batch(
        [
            event(order_id="1"),
            event(order_id="1", action="updated", grand_total=105, email="bob@b.co"),
            event(order_id="1", action="refunded", grand_total=..., refund_amount=5, email="bob@b.co"),
            event(order_id="2", occurred_at=day(1), grand_total=7),
        ],
        headers=headers,
    )
    shop.send_batch([event(order_id="2", occurred_at=day(1), grand_total=7)])
    records = shop.receive()
    run_until_killed(shop, index, moment, lambda: shop.deliver(records), MOST_CALLS_OF_PROCESSING)
    shop.drain()
    assert shop.ltv("bob@b.co") == {"USD": "100.00"}  # 105 - 5
    assert shop.ltv(EMAIL) == {"USD": "7.00"}
    assert (shop.person(EMAIL)["orders_count"], shop.person("bob@b.co")["orders_count"]) == (1, 1)
    assert shop.timeline("bob@b.co") == ["Refunded an order", "Updated an order"]
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/1").body["events"] == 3


@pytest.mark.parametrize(("index", "moment"), kills(MOST_CALLS_WITH_A_DEAD_LETTER))
def test_an_order_that_cannot_be_written_is_dead_lettered_despite_a_kill(shop: Shop, index: int, moment: str) -> None:
    """The other orders of the batch are applied, whichever call the function dies at."""
    from tests.handlers.deadletters import dead_letter_items, refuse_writes_of

    ids = shop.send_batch([event(order_id=f"o-{n}", occurred_at=day(1)) for n in range(3)]).body["request_ids"]
    poison, death = refuse_writes_of("o-1"), kill_at_call(index, moment)

    # Refuses the writes of o-1, and kills the function at call `index`.
    def refuse_and_kill(position: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        return death(position, operation, arguments, lambda: poison(position, operation, arguments, go))

    with shop.faults.injected(refuse_and_kill):
        try:
            shop.deliver(shop.receive())
        except Death:
            assert index < MOST_CALLS_WITH_A_DEAD_LETTER, "the delivery makes more than 11 calls"
    with shop.faults.injected(poison):
        shop.drain(40)
    assert shop.ltv(EMAIL) == {"USD": "200.00"}
    assert [letter["sk"] for letter in dead_letter_items(shop)] == [ids[1]]
    assert [shop.status(i)["status"] for i in ids] == ["applied", "failed", "applied"]
