"""Reads and pages of jobs have bounds that do not grow with the account; 1,000,000 orders by the command."""

from __future__ import annotations

import pytest

from tests.size.looks import Cost, fill, pages, reads

# DynamoDB reads at most 1 MB a query, 128 units consistently; some answers need several of these.
MOST_CALLS, MOST_READS = 2_100, 1_100


@pytest.fixture(scope="module", params=[600, 3_000], ids=["600 orders", "3,000 orders"])
def costs(request: pytest.FixtureRequest) -> list[Cost]:
    made = fill(request.param, request.param // 2, lambda _count: None)
    return [*reads(made), *pages(made, 0.01)]


def test_every_read_and_page_is_bounded(costs: list[Cost]) -> None:
    assert len(costs) == 18
    reads_only = costs[:14]
    assert [c.name for c in reads_only if c.calls > MOST_CALLS or c.reads > MOST_READS or c.writes] == []
    assert [c.name for c in costs[14:] if not c.writes] == []
