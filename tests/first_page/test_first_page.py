"""The cost of the first page of transactions. `python -m tests.first_page` measures it for more transactions."""

from __future__ import annotations

from tests.first_page.costs import measured

SEED = 1


def test_the_first_page_costs_the_same_with_thirty_times_as_many_requests() -> None:
    few, many = measured(300, SEED), measured(9_000, SEED)
    assert many == few
