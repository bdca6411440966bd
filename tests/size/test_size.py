"""The cost of reads does not grow with the account. `python -m tests.size` measures larger accounts."""

from __future__ import annotations

import pytest

from tests.size.measure import Cost, fill, pages, reads

# A query reads at most 1 MB, which is 128 units if it is eventually consistent; some answers need several queries.
# A match with 1,000 addresses needs two queries for each address.
MOST_CALLS, MOST_READS = 2_100, 1_100


@pytest.fixture(scope="module", params=[600, 3_000], ids=["600 orders", "3,000 orders"])
def costs(request: pytest.FixtureRequest) -> list[Cost]:
    made = fill(request.param, request.param // 2, lambda _count: None)
    return [*reads(made), *pages(made, 0.01)]


def test_each_read_has_a_bounded_cost_and_each_page_of_a_job_writes(costs: list[Cost]) -> None:
    assert len(costs) == 18
    reads_only = costs[:14]
    assert [c.name for c in reads_only if c.calls > MOST_CALLS or c.reads > MOST_READS or c.writes] == []
    assert [c.name for c in costs[14:] if not c.writes] == []
