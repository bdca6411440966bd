"""Effects of events on a v3 order, in any order of the events: the rules of docs/design/ledger.md."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillbook.rules.order import ACTIVITY_NAMES, Event, OrderState, Standing, fold, stamp_of, step

ACTIONS = ("placed", "updated", "paid", "fulfilled", "refunded", "canceled")


def event(day: int, action: str, total: str | None = None, refund: str = "0", **more: Any) -> Event:
    """An event that occurred on the given day of January 2019 and was received on the first of February."""
    stamp = stamp_of(
        f"201901{day:02d}000000000000", "20190201000000000000", more.pop("position", 0), f"id{day}{action}"
    )
    return Event(
        stamp, action, more.pop("person", "alice"), None if total is None else Decimal(total), Decimal(refund), **more
    )


def total_and_contribution(*events: Event) -> tuple[Decimal | None, Decimal]:
    state = fold(list(events))
    return state.known_total, state.contribution


def test_activities_have_the_published_names() -> None:
    assert {action: ACTIVITY_NAMES[action] for action in ACTIONS} == {
        "placed": "Placed an order",
        "updated": "Updated an order",
        "paid": "Paid an order",
        "fulfilled": "Fulfilled an order",
        "refunded": "Refunded an order",
        "canceled": "Canceled an order",
    }
    assert {ACTIVITY_NAMES[change] for change in ("submitted", "edited", "deleted")} == {
        "Submitted an order", "Edited an order", "Deleted an order",
    }  # fmt: skip


def test_the_published_example_gives_the_published_amounts() -> None:
    """An order is placed at 100, updated to 105, paid, and refunded 105. It counts 100, 105, 105, and 0."""
    events = [
        event(1, "placed", "100"),
        event(2, "updated", "105"),
        event(3, "paid"),
        event(4, "refunded", refund="105"),
    ]
    contributions = [fold(events[: n + 1]).contribution for n in range(4)]
    assert contributions == [100, 105, 105, 0]
    assert {fold(list(p)) for p in itertools.permutations(events)} == {fold(events)}


@pytest.mark.parametrize("action", ["placed", "updated", "paid", "fulfilled"])
def test_placed_updated_paid_and_fulfilled_set_the_total(action: str) -> None:
    assert total_and_contribution(event(1, "placed", "100"), event(2, action, "105")) == (105, 105)


def test_a_later_event_without_a_total_keeps_it() -> None:
    assert total_and_contribution(event(1, "placed", "100"), event(2, "fulfilled")) == (100, 100)


def test_a_later_total_of_zero_is_a_total() -> None:
    assert total_and_contribution(event(1, "placed", "100"), event(2, "updated", "0")) == (0, 0)


def test_an_older_event_that_arrives_late_replaces_no_newer_value() -> None:
    state = fold([event(5, "updated", "105", currency="EUR", person="bob"), event(1, "placed", "100", currency="USD")])
    assert (state.contribution, state.currency, state.person, state.action) == (105, "EUR", "bob", "updated")
    assert state.events == 2
    assert state.ordered_at.startswith("20190101")


@pytest.mark.parametrize("action", ["refunded", "canceled"])
def test_a_refund_lowers_and_never_sets_a_known_total(action: str) -> None:
    assert total_and_contribution(event(1, "placed", "100"), event(2, action, "7", "30")) == (100, 70)
    assert total_and_contribution(event(1, action, "7", "30"), event(2, "placed", "100")) == (100, 70)


def test_refunds_add_up() -> None:
    events = [
        event(1, "placed", "100"),
        event(2, "refunded", refund="30"),
        event(3, "refunded", refund="20.5"),
        event(4, "canceled"),
    ]
    assert total_and_contribution(*events) == (100, Decimal("49.5"))


def test_a_cancellation_without_a_refund_leaves_the_contribution() -> None:
    assert total_and_contribution(event(1, "placed", "100"), event(2, "canceled")) == (100, 100)


def test_the_latest_total_in_a_refund_or_cancellation_counts_if_no_other_kind_of_event_has_one() -> None:
    assert total_and_contribution(event(1, "refunded", "80", "30")) == (80, 50)
    assert total_and_contribution(event(1, "refunded", "80", "30"), event(2, "canceled", "90")) == (90, 60)
    assert total_and_contribution(event(2, "refunded", "80", "30"), event(1, "canceled", "90")) == (80, 50)
    # Also if there is a placed or paid event, as long as it carries no total.
    assert total_and_contribution(event(1, "placed"), event(2, "refunded", "80", "30")) == (80, 50)
    assert total_and_contribution(event(3, "paid"), event(2, "refunded", "80", "30")) == (80, 50)


@pytest.mark.parametrize("action", ["placed", "updated", "paid", "fulfilled"])
def test_the_total_is_zero_if_placed_updated_paid_or_fulfilled_carries_none(action: str) -> None:
    assert total_and_contribution(event(1, action)) == (0, 0)
    assert total_and_contribution(event(1, action), event(2, "refunded", refund="30")) == (0, -30)


def test_an_unknown_total_contributes_nothing_until_it_is_known() -> None:
    refund = event(2, "refunded", refund="30")
    assert total_and_contribution(refund) == (None, 0)
    assert total_and_contribution(refund, event(3, "canceled", refund="5")) == (None, 0)
    assert total_and_contribution(refund, event(1, "placed", "100")) == (100, 70)


def test_a_refund_of_more_than_the_total_is_negative_and_flagged() -> None:
    state = fold([event(1, "placed", "100"), event(2, "refunded", refund="130")])
    assert state.contribution == -30
    assert state.flags
    assert not fold([event(1, "placed", "100"), event(2, "refunded", refund="100")]).flags
    assert not fold([event(2, "refunded", refund="100")]).flags


def test_the_person_is_that_of_the_latest_event() -> None:
    assert fold([event(1, "placed", "1", person="alice"), event(2, "paid", person="bob")]).person == "bob"
    assert fold([event(2, "paid", person="bob"), event(1, "placed", "1", person="alice")]).person == "bob"


def test_the_currency_is_that_of_the_latest_event_that_carries_one() -> None:
    events = [event(1, "placed", "1", currency="USD"), event(2, "paid", currency="EUR"), event(3, "fulfilled")]
    for order in itertools.permutations(events):
        assert fold(list(order)).currency == "EUR"
    assert fold([event(1, "placed", "1")]).currency == ""
    assert fold([event(1, "placed", "1"), event(2, "refunded", currency="EUR")]).currency == "EUR"


def test_ties_are_ordered_by_receipt_then_by_position() -> None:
    occurred, early, late = "20190101000000000000", "20190102000000000000", "20190103000000000000"
    stamps = [
        stamp_of(occurred, early, 0, "z"),
        stamp_of(occurred, early, 9, "a"),
        stamp_of(occurred, early, 10, "a"),
        stamp_of(occurred, early, 999, "a"),
        stamp_of(occurred, late, 0, "a"),
        stamp_of(late, early, 0, "a"),
    ]
    assert sorted(stamps) == stamps


# ---------------------------------------------------------------- voided


def voided(day: int) -> Event:
    return event(day, "voided", person="")


def test_a_voided_order_counts_nothing_and_keeps_its_person() -> None:
    events = [event(1, "placed"), event(2, "paid", "100"), event(3, "refunded", refund="30"), voided(4)]
    for order in itertools.permutations(events):
        state = fold(list(order))
        assert (state.known_total, state.contribution, state.person) == (0, 0, "alice")
        assert (state.action, state.ordered_at[:8], state.events, state.flags) == (
            "refunded",
            "20190101",
            4,
            ["voided"],
        )


def test_a_voided_order_with_a_later_total_counts_again() -> None:
    """The order was restored from the trash, or paid at the second try."""
    events = [event(1, "paid", "100"), voided(2), event(3, "updated", "90"), event(4, "fulfilled")]
    assert {fold(list(order)).contribution for order in itertools.permutations(events)} == {90}


def test_a_voided_order_with_a_later_event_without_a_total_counts_nothing() -> None:
    events = [event(1, "paid", "100"), voided(2), event(3, "placed")]
    assert {fold(list(order)).contribution for order in itertools.permutations(events)} == {0}


def test_an_order_of_voided_events_alone_is_no_order() -> None:
    state = fold([voided(1), voided(2)])
    assert (state.standing, state.customer.records, state.events) == (None, 0, 2)
    # A payment before the last voided event makes it an order, which counts nothing.
    assert step(state, event(1, "paid", "5")).standing == Standing("alice", "", Decimal(0))


# --------------------------------- compared with a second implementation

AMOUNTS = st.decimals(min_value=0, max_value="999999999999999.9999", places=4)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Random histories on few days, so that ties are frequent."""
    size = draw(st.integers(min_value=1, max_value=8))
    return [
        Event(
            stamp_of(
                f"2019010{draw(st.integers(1, 4))}000000000000", f"2019020{draw(st.integers(1, 2))}000000000000",
                draw(st.integers(0, 2)), f"id{n}",
            ),
            # Action and person; total, refund and currency.
            *draw(st.just(("voided", "")) | st.tuples(
                st.sampled_from(ACTIONS), st.sampled_from(["alice", "bob", "carol"]), st.none() | AMOUNTS, AMOUNTS,
                st.sampled_from(["", "USD", "EUR"]),
            )),
        )
        for n in range(size)
    ]  # fmt: skip


def by_the_rules(events: list[Event]) -> dict[str, Any]:
    """A literal implementation of the rules, over the whole set of events."""
    by_time = sorted(events, key=lambda e: e.stamp)
    ordered = [e for e in by_time if e.action != "voided"]
    setting = [e for e in ordered if e.action in ("placed", "updated", "paid", "fulfilled")]
    refunding = [e for e in ordered if e.action in ("refunded", "canceled")]
    total = None
    if any(e.total is not None for e in setting):
        total = [e.total for e in setting if e.total is not None][-1]
    elif any(e.total is not None for e in refunding):
        total = [e.total for e in refunding if e.total is not None][-1]
    elif setting:
        total = Decimal(0)
    refunds = sum((e.refund for e in refunding), Decimal(0))
    # A voided event decides until a later event sets the total.
    deciding = [e.action for e in by_time if e.action == "voided" or (e in setting and e.total is not None)]
    voided = deciding[-1:] == ["voided"]
    total = Decimal(0) if voided else total
    is_over_refunded = total is not None and refunds > total
    currencies = [e.currency for e in ordered if e.currency]
    return {
        "known_total": total,
        "refunds": refunds,
        "contribution": Decimal(0) if total is None or voided else total - refunds,
        "voided": voided,
        "person": ordered[-1].person if ordered else "",
        "action": ordered[-1].action if ordered else "",
        "currency": currencies[-1] if currencies else "",
        "events": len(events),
        "ordered_at": ordered[0].stamp[:20] if ordered else "",
        "added_at": min((e.stamp[20:40] for e in ordered), default=""),
        "flags": ["voided"] if voided else ["refunded_more_than_total"] * is_over_refunded,
        "is_order": bool(ordered),
    }


@given(histories(), st.randoms(use_true_random=False))
def test_a_fold_follows_the_rules_and_ignores_the_order_of_its_events(events: list[Event], random: Any) -> None:
    state = fold(events)
    computed = {name: getattr(state, name) for name in by_the_rules(events) if name != "is_order"}
    assert computed | {"is_order": state.standing is not None} == by_the_rules(events)
    assert (state.customer.records > 0) == (state.standing is not None)
    shuffled = list(events)
    random.shuffle(shuffled)
    assert fold(shuffled) == state


@given(histories())
def test_a_step_adds_one_event_to_a_fold(events: list[Event]) -> None:
    *rest, last = events
    assert step(fold(rest), last) == fold(events)


def test_an_order_without_events_counts_nothing() -> None:
    assert OrderState().contribution == 0
    assert OrderState().known_total is None
