"""The first page of transactions costs the same, however many there are. More of them: `python -m tests.first_page`."""

from __future__ import annotations

from tests.first_page.costs import measured

SEED = 1


def test_the_first_page_costs_no_more_for_thirty_times_as_many_requests() -> None:
    few, many = measured(300, SEED), measured(9_000, SEED)
    for name in ("first page", "one order"):
        assert many[name] == few[name], name
    # Sums cost what the open hours hold, and the kept hours, of which there are never more than 336.
    units, calls = many["sums of 14 days, again"]
    assert units <= 40, few
    assert calls <= 16, few
