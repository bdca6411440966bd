"""Rounds of kills; 20 of 2,000 events each by `make test-crash`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.rounds import Crashes, crashing_stack

SEED = 20261122
EVENTS = 150

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc"),
]


@pytest.fixture(scope="module")
def crashes() -> Iterator[Crashes]:
    with crashing_stack() as running:
        yield running


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_accepted_events_are_applied_exactly_once(crashes: Crashes, seed: int) -> None:
    found = crashes.round(seed, EVENTS)
    print(found)
    assert not found.faults, found
    assert found.statuses.keys() == {"applied", "duplicate"}
    assert found.statuses.total() == EVENTS
    assert found.kills
    # Submit, edit and delete: each before and after each of its calls, of which there are five at least.
    assert found.deaths >= 30
