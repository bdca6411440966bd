"""Runs two short rounds of kills; `make test-crash` runs 20 rounds of 2,000 events."""

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
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the test finds processes in /proc"),
]


@pytest.fixture(scope="module")
def crashes() -> Iterator[Crashes]:
    with crashing_stack() as running:
        yield running


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_accepted_requests_are_applied_exactly_once(crashes: Crashes, seed: int) -> None:
    found = crashes.round(seed, EVENTS)
    print(found)
    assert not found.faults, found
    assert found.statuses.keys() == {"applied", "duplicate"}
    assert found.statuses.total() == EVENTS
    assert found.kills
    # Each of the three handlers makes at least five calls, and is killed before and after each of them.
    assert found.kills_of_v1 >= 30
