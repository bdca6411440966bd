"""The cost of the first page of transactions and of one order's requests does not grow with the number of requests.

`python -m tests.first_page` measures it for more requests.
"""

from __future__ import annotations

from tests.first_page.costs import cost_of_reads

SEED = 1


def test_both_reads_cost_the_same_with_thirty_times_as_many_requests() -> None:
    few, many = cost_of_reads(300, SEED), cost_of_reads(9_000, SEED)
    assert many == few
