"""A short run of `python -m tests.import_run`: a history is imported, killed in the middle, resumed and repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.stack import Stack
from tests.end_to_end.shop import Shop
from tests.import_run.history import write
from tests.import_run.run import run


@pytest.mark.stack
@pytest.mark.slow
def test_a_killed_and_repeated_import_counts_every_order_once(stack: Stack, tmp_path: Path) -> None:
    result = run(Shop.open(stack), tmp_path, orders=300, seed=3, people=30, quiet=True, kill_after_one_unit=True)
    assert not result.faults, result
    assert result.outcomes["applied"] == result.events > 300  # the orders, and their webhooks


def test_the_same_seed_generates_the_same_history(tmp_path: Path) -> None:
    first, again, other = (
        write(tmp_path / name, 50, seed, 9, "x.example") for name, seed in zip("abc", (1, 1, 2), strict=True)
    )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    assert first == again != other


def test_the_expected_lifetime_values_are_the_sums_of_the_orders(tmp_path: Path) -> None:
    expected = write(tmp_path / "a", 50, 1, 9, "x.example")
    assert sum(expected.orders.values()) == sum(expected.people.values())
