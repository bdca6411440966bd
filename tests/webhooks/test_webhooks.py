"""A slice of the histories and of the hostile bodies; more by `python -m tests.webhooks --histories 10000 --seed 1`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from tests.simulation.progress import Progress
from tests.webhooks import hostile
from tests.webhooks.run import Receiver, play, receiver
from tests.webhooks.shops import SHOPS
from tillbook.rules.order import OrderState

HISTORIES = int(os.environ.get("HISTORIES", "50"))
BODIES = int(os.environ.get("BODIES", "400"))
SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture(scope="module")
def made() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.mark.parametrize("platform", SHOPS)
def test_lifetime_value_is_the_shops_own_net(made: Receiver, platform: str) -> None:
    failures = [play(made, platform, seed) for seed in range(SEED, SEED + HISTORIES)]
    assert not any(failures), next(filter(None, failures))


def test_hostile_bodies_are_answered_and_leave_nothing(made: Receiver) -> None:
    assert list(hostile.attack(made, SEED, BODIES, Progress(BODIES, "bodies", quiet=True))) == []


@pytest.mark.parametrize("platform", SHOPS)
def test_a_seed_is_the_same_history_every_time(platform: str) -> None:
    assert SHOPS[platform](7) == SHOPS[platform](7)


def test_a_fault_is_found(made: Receiver) -> None:
    """Breaks the connectors: states in the order of their arrival, and voided orders that still count."""
    with patch.object(OrderState, "voided", False):
        assert any(play(made, "woocommerce", seed) for seed in range(SEED, SEED + 30))
    with patch("tillbook.contract.platforms.deliveries.times.iso", lambda _: "2026-03-01T09:00:00Z"):
        assert any(play(made, "shopify", seed) for seed in range(SEED, SEED + 30))
