"""The first page of transactions costs the same, however many there are. More of them: `python -m tests.first_page`."""

from __future__ import annotations

from tests.first_page.costs import measured

SEED = 1


def test_the_first_page_costs_no_more_for_thirty_times_as_many_requests() -> None:
    few, many = measured(300, SEED), measured(9_000, SEED)
    assert many == few
