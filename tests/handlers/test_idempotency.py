"""A repeated event counts once, and the result depends only on the set of events (docs/correctness.md).

`key` is an idempotency key in this file.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.handlers.events import EMAIL, day, event
from tests.handlers.shop import ACCOUNT, OTHER, OTHER_ADMIN, Shop


def send(shop: Shop, body: dict[str, Any], key: str | None = None) -> str:
    """Sends an event. Returns its request id."""
    answer = shop.send(body, headers={} if key is None else {"Idempotency-Key": key})
    assert answer.status == 202
    return str(answer.body["request_id"])


def outcome(shop: Shop, request_id: str) -> tuple[str, bool]:
    """(status, whether there is a reason) of a request."""
    status = shop.status(request_id)
    assert set(status) >= {"request_id", "status", "reason", "received_at"}
    return status["status"], status["reason"] is not None


# ----------------------------------------------------------------- identity


def test_an_event_with_occurred_at_is_identified_by_its_payload(shop: Shop) -> None:
    body = event(occurred_at=day(1))
    spelt_otherwise = dict(reversed(event(occurred_at=day(1), grand_total=100.0, email="USER@gmail.com").items()))
    ids = [send(shop, body), send(shop, body), send(shop, spelt_otherwise)]
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "100.00"}
    assert [outcome(shop, i) for i in ids] == [("applied", False), ("duplicate", False), ("duplicate", False)]
    assert shop.timeline(EMAIL) == ["Placed an order"]


def test_another_payload_is_another_event(shop: Shop) -> None:
    for changes in ({}, {"total_fees": 0}, {"tag": "x"}, {"occurred_at": day(2)}):
        send(shop, event(action="refunded", grand_total=..., refund_amount=1) | {"occurred_at": day(1)} | changes)
    send(shop, event(occurred_at=day(1)))
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "96.00"}  # 100 less four refunds of 1


def test_without_occurred_at_or_key_each_request_is_its_own_event(shop: Shop) -> None:
    ids = [send(shop, event(action="refunded", refund_amount=1, grand_total=...)) for _ in range(3)]
    send(shop, event())
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "97.00"}  # 100 less three refunds of 1
    assert {outcome(shop, i)[0] for i in ids} == {"applied"}


def test_an_event_with_a_key_is_identified_by_the_key(shop: Shop) -> None:
    refund = event(action="refunded", refund_amount=1, grand_total=...)
    ids = [send(shop, refund, "k-1"), send(shop, refund, "k-1"), send(shop, refund, "k-2")]
    send(shop, event())
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "98.00"}  # 100 less a refund of 1 for each of the two keys
    assert [outcome(shop, i)[0] for i in ids] == ["applied", "duplicate", "applied"]


def test_other_content_under_a_used_key_fails_and_changes_nothing(shop: Shop) -> None:
    first = send(shop, event(), "k-1")
    shop.drain()
    others = [
        send(shop, event(**changes), "k-1")
        for changes in ({"grand_total": 7}, {"email": "bob@b.co"}, {"occurred_at": day(1)})
    ]
    shop.drain()
    assert outcome(shop, first) == ("applied", False)
    assert [outcome(shop, i) for i in others] == [("failed", True)] * 3
    assert "key" in shop.status(others[0])["reason"]
    assert shop.ltv(EMAIL) == {"USD": "100.00"}
    assert shop.person(EMAIL)["orders_count"] == 1


def test_a_key_belongs_to_its_order(shop: Shop) -> None:
    """Provider and order id are part of the identity of an event: orders may share a key."""
    bodies = [event(order_id="1"), event(order_id="2"), event(order_id="1", provider="another"), event(order_id="1")]
    ids = [send(shop, body, "k") for body in bodies]
    shop.drain()
    assert [outcome(shop, i)[0] for i in ids] == ["applied", "applied", "applied", "duplicate"]
    assert shop.ltv(EMAIL) == {"USD": "300.00"}


def test_an_event_of_a_batch_is_identified_by_the_key_and_its_position(shop: Shop) -> None:
    orders = [event(action="refunded", refund_amount=1, grand_total=..., order_id=1)] * 3 + [event(order_id=1)]
    ids = [i for _ in range(2) for i in shop.send_batch(orders, headers={"Idempotency-Key": "k"}).body["request_ids"]]
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "97.00"}  # 100 less three refunds of 1
    assert [outcome(shop, i)[0] for i in ids] == ["applied"] * 4 + ["duplicate"] * 4


def test_accounts_may_use_the_same_key(shop: Shop) -> None:
    send(shop, event(), "k")
    shop.request(
        "POST",
        f"/v3/{OTHER}/shopper_activity/order",
        event(grand_total=5),
        key=OTHER_ADMIN,
        headers={"Idempotency-Key": "k"},
    )
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "100.00"}
    assert shop.get(f"/v3/{OTHER}/people/{EMAIL}", key=OTHER_ADMIN).body["lifetime_value"] == {"USD": "5.00"}


@pytest.mark.parametrize("key", ["", " ", "x" * 256])
def test_an_invalid_key_is_refused(shop: Shop, key: str) -> None:
    answer = shop.send(event(), headers={"Idempotency-Key": key})
    assert answer.status == 422
    assert shop.receive() == []


def test_a_repeated_event_is_a_duplicate_after_later_events_too(shop: Shop) -> None:
    send(shop, event(occurred_at=day(1)))
    send(shop, event(occurred_at=day(2), action="refunded", refund_amount=30, grand_total=...))
    shop.drain()
    send(shop, event(occurred_at=day(1)))
    again = send(shop, event(occurred_at=day(2), action="refunded", refund_amount=30, grand_total=...))
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "70.00"}
    assert outcome(shop, again)[0] == "duplicate"


# -------------------------------------------------------- order of arrival

STEPS = [
    event(occurred_at=day(1)),
    event(occurred_at=day(2), action="updated", grand_total=105),
    event(occurred_at=day(3), action="paid", grand_total=...),
    event(occurred_at=day(4), action="refunded", grand_total=..., refund_amount=105),
]


def state_after(shop: Shop, bodies: list[dict[str, Any]]) -> tuple[Any, ...]:
    """Applies the events. Returns (person, activities) of Alice, of Bob and of EMAIL, None for an unknown person, and
    then the order, as the API shows them."""
    for body in bodies:
        send(shop, body)
    shop.drain()
    people: list[Any] = []
    for who in ("alice@b.co", "bob@b.co", EMAIL):
        answer = shop.get(f"/v3/{ACCOUNT}/people/{who}")
        if answer.status == 404:
            people.append(None)
            continue
        assert answer.status == 200
        activity = shop.get(f"/v3/{ACCOUNT}/people/{who}/activity").body["activity"]
        people.append((answer.body, [(a["name"], a["occurred_at"], a["order"]) for a in activity]))
    order = shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body
    return (*people, order)


@pytest.mark.parametrize("permutation", list(itertools.permutations(range(4))), ids=str)
def test_events_sent_twice_have_the_same_result_in_every_order_of_arrival(
    shop: Shop, permutation: tuple[int, ...]
) -> None:
    _, _, (person, activity), order = state_after(shop, [STEPS[n] for n in permutation for _ in range(2)])
    assert person["lifetime_value"] == {"USD": "0.00"}
    assert person["orders_count"] == 1
    assert [name for name, *_ in activity] == [
        "Refunded an order",
        "Paid an order",
        "Updated an order",
        "Placed an order",
    ]
    assert (order["grand_total"], order["refund_amount"], order["status"]) == ("105.00", "105.00", "refunded")


MOVES = [
    event(occurred_at=day(1), email="alice@b.co", currency="USD"),
    event(occurred_at=day(2), email="bob@b.co", action="updated", grand_total=40, currency="EUR"),
    event(occurred_at=day(3), email=EMAIL, action="refunded", grand_total=..., refund_amount=50),
]


@pytest.mark.parametrize("permutation", list(itertools.permutations(range(3))), ids=str)
def test_changes_of_person_and_currency_have_the_same_result_in_every_order_of_arrival(
    shop: Shop, permutation: tuple[int, ...]
) -> None:
    (alice, of_alice), (bob, of_bob), (user, of_user), order = state_after(shop, [MOVES[n] for n in permutation])
    assert alice["lifetime_value"] == bob["lifetime_value"] == {}
    assert (alice["orders_count"], bob["orders_count"], user["orders_count"]) == (0, 0, 1)
    assert user["lifetime_value"] == {"EUR": "-10.00"}  # the total of 40 less the refund of 50
    assert [name for name, *_ in (*of_alice, *of_bob, *of_user)] == [
        "Placed an order",
        "Updated an order",
        "Refunded an order",
    ]
    assert order["flags"]  # the refund is larger than the total


@pytest.mark.parametrize("when", ["late copy first", "early copy first"])
def test_a_repeated_event_without_occurred_at_happened_at_its_first_receipt(shop: Shop, when: str) -> None:
    """Alice's event is received before Bob's, and again after it. Its copies are delivered in either order."""
    early = send(shop, event(email="alice@b.co", grand_total=1), "k")
    middle = send(shop, event(email="bob@b.co", action="updated", grand_total=2))
    late = send(shop, event(email="alice@b.co", grand_total=1), "k")
    records = {i: r for r in shop.receive() for i in (early, middle, late) if i in r["body"]}
    order = (late, middle, early) if when == "late copy first" else (early, middle, late)
    for request_id in order:
        assert shop.deliver([records[request_id]]) == []
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["grand_total"] == "2.00"
    assert shop.ltv("bob@b.co") == {"USD": "2.00"}
    assert shop.ltv("alice@b.co") == {}
    assert shop.timeline("alice@b.co") == ["Placed an order"]
    assert {outcome(shop, i)[0] for i in (early, late)} == {"applied", "duplicate"}


def test_an_event_that_moves_back_and_gives_its_order_to_another_person_stores_their_email_hash(shop: Shop) -> None:
    """Alice's event has two copies. The copy that was received first is delivered last, and moves it before Bob's."""
    early = send(shop, event(email="alice@b.co", grand_total=1), "k")
    middle = send(shop, event(email="bob@b.co", action="updated", grand_total=2))
    late = send(shop, event(email="alice@b.co", grand_total=1), "k")
    records = {i: r for r in shop.receive() for i in (early, middle, late) if i in r["body"]}
    for request_id in (late, middle, early):
        shop.deliver([records[request_id]])
    person = shop.person("bob@b.co")
    assert person["lifetime_value"] == {"USD": "2.00"}
    assert person["email_sha256"]


def test_a_late_older_event_is_on_the_timeline_of_the_person_it_names(shop: Shop) -> None:
    send(shop, event(occurred_at=day(5), email="bob@b.co", action="updated"))
    shop.drain()
    send(shop, event(occurred_at=day(1), email="alice@b.co"))
    shop.drain()
    assert shop.timeline("alice@b.co") == ["Placed an order"]
    assert shop.ltv("alice@b.co") == {}
    assert shop.ltv("bob@b.co") == {"USD": "100.00"}
