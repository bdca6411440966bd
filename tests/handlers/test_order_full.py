"""The size limit of an order: an event or version beyond it fails with a reason, and affects no other order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.audiences import order
from tests.handlers.events import day, event
from tests.handlers.removal import ANN, BOB, dead_letter_ids, ltv_of, outcome, run_erasure
from tests.handlers.shop import Shop
from tillbook.ledger import activities, orders
from tillbook.ledger.items import LEAST_BYTES_OF_EVENT

FULL = ("failed", activities.ORDER_FULL)


@pytest.fixture(autouse=True)
def _three_events_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (activities, orders):
        monkeypatch.setattr(module, "MOST_BYTES_OF_ORDER", 3 * LEAST_BYTES_OF_EVENT)


def updated(total: int, **changes: Any) -> dict[str, Any]:
    """The body of an update of order o-1. `total` is also its day, so each total makes another event."""
    return event(**({"email": ANN, "action": "updated", "grand_total": total, "occurred_at": day(total)} | changes))


def outcome_of(shop: Shop, body: dict[str, Any]) -> tuple[str, str | None]:
    """Sends an event. Returns status and reason of its outcome."""
    request_id = shop.send(body).body["request_id"]
    shop.drain()
    return outcome(shop, request_id)


def fill(shop: Shop) -> None:
    """Fills order o-1 up to its limit."""
    for total in (1, 2, 3):
        assert outcome_of(shop, updated(total)) == ("applied", None)


# ---------------------------------------------------------------- v3


@pytest.mark.parametrize("action", ["updated", "placed"])
def test_an_event_beyond_the_limit_fails_with_order_full(shop: Shop, action: str) -> None:
    fill(shop)
    assert outcome_of(shop, updated(4, action=action)) == FULL
    assert ltv_of(shop, ANN) == {"USD": "3.00"}
    assert dead_letter_ids(shop) == []
    assert shop.receive() == []
    assert outcome_of(shop, updated(5, order_id="another")) == ("applied", None)


def test_events_beyond_the_limit_do_not_affect_other_orders_of_the_message(shop: Shop) -> None:
    bodies = [updated(total) for total in (1, 2, 3, 4, 5)] + [updated(6, order_id="another", email=BOB)]
    ids = shop.send_batch(bodies).body["request_ids"]
    shop.drain()
    assert [outcome(shop, i) for i in ids] == [("applied", None)] * 3 + [FULL] * 2 + [("applied", None)]
    assert (ltv_of(shop, ANN), ltv_of(shop, BOB)) == ({"USD": "3.00"}, {"USD": "6.00"})


@pytest.mark.parametrize("action", ["updated", "placed"])
def test_a_repeated_event_of_a_full_order_is_a_duplicate(shop: Shop, action: str) -> None:
    assert outcome_of(shop, updated(1, action=action)) == ("applied", None)
    assert outcome_of(shop, updated(2)) == ("applied", None)
    assert outcome_of(shop, updated(3)) == ("applied", None)
    assert outcome_of(shop, updated(1, action=action))[0] == "duplicate"
    assert outcome_of(shop, updated(4)) == FULL
    assert outcome_of(shop, updated(3))[0] == "duplicate"


def test_emptied_events_free_no_room(shop: Shop) -> None:
    """Otherwise nothing would bound an order whose people are erased again and again."""
    fill(shop)
    run_erasure(shop, ANN)
    assert outcome_of(shop, updated(4, email=BOB)) == FULL
    assert ltv_of(shop, BOB) is None


def test_a_large_event_takes_room_by_its_unpacked_size(shop: Shop) -> None:
    """Eight bytes of JSON count as one byte of an event, however well they compress."""
    assert outcome_of(shop, updated(1, note="x" * 8 * 3 * LEAST_BYTES_OF_EVENT)) == FULL
    assert outcome_of(shop, updated(1, note="x" * 8 * 2 * LEAST_BYTES_OF_EVENT))[0] == "applied"
    assert outcome_of(shop, updated(2)) == FULL


# ---------------------------------------------------------------- v1


def test_a_version_beyond_the_limit_is_refused_and_the_order_can_be_deleted(shop: Shop) -> None:
    assert shop.submit(order(total=1)).status == 201
    for total in (2, 3):
        assert shop.edit("o-1", {"total": total}).status == 200
    answer = shop.edit("o-1", {"total": 4})
    assert (answer.status, answer.body["error"]["message"]) == (409, orders.ORDER_FULL)
    assert shop.get("/v1/order/o-1").body["total"] == "3.0"
    assert ltv_of(shop, ANN) == {"USD": "3.00"}
    assert shop.submit(order(total=1)).status == 201, "a repeated submission makes no version"
    assert shop.edit("o-1", {"total": 3}).status == 200, "an edit without a change makes no version"
    assert shop.delete("o-1").status == 200
    assert shop.delete("o-1").status == 404
    assert ltv_of(shop, ANN) == {}


def test_a_deletion_frees_no_room(shop: Shop) -> None:
    assert shop.submit(order()).status == 201
    assert shop.edit("o-1", {"total": 2}).status == 200
    assert shop.delete("o-1").status == 200
    answer = shop.submit(order(total=5))
    assert (answer.status, answer.body["error"]["message"]) == (409, orders.ORDER_FULL)
    assert shop.submit(order("o-2")).status == 201


def test_an_erasure_frees_no_room(shop: Shop) -> None:
    assert shop.submit(order()).status == 201
    for total in (2, 3):
        assert shop.edit("o-1", {"total": total}).status == 200
    run_erasure(shop, ANN)
    answer = shop.submit(order(customer_email=BOB))
    assert (answer.status, answer.body["error"]["message"]) == (409, orders.ORDER_FULL)
    assert ltv_of(shop, BOB) is None
