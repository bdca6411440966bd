"""The cost of reads and of pages of jobs is bounded. `python -m tests.size` measures larger accounts."""

from __future__ import annotations

import pytest

from tests.size.measure import fill, pages, reads
from tests.size.store import Fill
from tillbook.work.jobs import _PAGE_SECONDS

# The dearest read, a match with 1,000 addresses, makes two queries of half a unit for each address: 2,000 calls and
# 1,000 units. The other reads make at most 210 calls.
MOST_CALLS, MOST_READS = 2_100, 1_100
CALL_SECONDS = 0.1  # so slow that the time of a page ends before the work, except for small jobs
CALLS_AFTER_TIME = 10  # a page ends after the unit of work during which its time ran out


@pytest.fixture(params=[600, 3_000], ids=["600 orders", "3,000 orders"])
def account(request: pytest.FixtureRequest) -> Fill:
    orders = request.param
    return fill(orders, of_one_person=orders // 2, progress=lambda _count: None)


def test_each_read_has_a_bounded_cost_and_writes_nothing(account: Fill) -> None:
    costs = reads(account)
    assert len(costs) == 14
    assert [c.name for c in costs if c.calls > MOST_CALLS or c.reads > MOST_READS or c.writes] == []


def test_each_page_of_a_job_writes_and_ends_in_time(account: Fill) -> None:
    costs = pages(account, CALL_SECONDS)
    assert len(costs) == 4
    assert [c.name for c in costs if not c.writes] == []
    assert [c.name for c in costs if c.calls > _PAGE_SECONDS / CALL_SECONDS + CALLS_AFTER_TIME] == []
