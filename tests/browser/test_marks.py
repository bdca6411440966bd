"""The page transfers few bytes and paints soon. `python -m tests.browser.marks` prints the figures."""

from __future__ import annotations

import pytest

from local.stack import Stack
from tests.browser.showcase import play
from tests.end_to_end.shop import Shop

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from tests.browser.chromium import NEEDED
from tests.browser.marks import POLLS_A_MINUTE, bytes_of_a_minute, first_load

pytestmark = NEEDED

TRIES = 3  # a busy machine slows a load down, so the best paint counts


@pytest.fixture
def busy(stack: Stack) -> Shop:
    """A shop with enough orders to fill the lists."""
    shop = Shop.open(stack)
    play(shop, days=20, a_day=6)
    return shop


def test_a_first_load_is_small_and_paints_soon(stack: Stack, busy: Shop) -> None:
    loads = [first_load(stack.url, busy.admin_key) for _ in range(TRIES)]
    assert max(load.bytes for load in loads) <= 60_000
    assert {load.requests_for_data for load in loads} == {1}
    assert max(load.shift for load in loads) <= 0.05
    assert min(load.largest_paint for load in loads) <= 1.5, loads


@pytest.mark.parametrize("view", ["", "requests"])
def test_a_minute_of_polling_transfers_few_bytes(busy: Shop, view: str) -> None:
    assert bytes_of_a_minute(busy, view, events=POLLS_A_MINUTE) <= 30_000
