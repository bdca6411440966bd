"""A short run of `python -m tests.audience_run`: compares audiences with the requests, with rebuilds meanwhile."""

from __future__ import annotations

import pytest

from local.stack import Stack
from tests.audience_run.run import Run
from tests.end_to_end.shop import Shop


@pytest.mark.stack
def test_audiences_equal_the_orders(stack: Stack) -> None:
    found = Run(Shop.open(stack), orders=200, seed=1).run()
    assert found["customers-orders-api"] > 50
    assert found["customers-shopper-activity"] > 50
