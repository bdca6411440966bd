"""Webhooks of random shops must give the net revenue that the shop has. Hostile bodies must get the right answer.

`python -m tests.webhooks --histories 10000 --hostile 20000` plays more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from tests.simulation.progress import Progress
from tests.webhooks import hostile
from tests.webhooks.run import Receiver, open_receiver, play
from tests.webhooks.shops import SHOPS
from tillbook.rules.order import OrderState

HISTORIES = int(os.environ.get("HISTORIES", "50"))
BODIES = int(os.environ.get("BODIES", "400"))
SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with open_receiver() as receiver:
        yield receiver


@pytest.mark.parametrize("platform", SHOPS)
def test_lifetime_value_is_the_shop_s_own_net(receiver: Receiver, platform: str) -> None:
    failures = [play(receiver, platform, seed) for seed in range(SEED, SEED + HISTORIES)]
    assert not any(failures), next(filter(None, failures))


def test_hostile_bodies_get_the_right_answer_and_leave_no_dead_letter(receiver: Receiver) -> None:
    assert list(hostile.attack(receiver, SEED, BODIES, Progress(BODIES, "bodies", quiet=True))) == []


@pytest.mark.parametrize("platform", SHOPS)
def test_a_seed_always_makes_the_same_history(platform: str) -> None:
    assert SHOPS[platform](7) == SHOPS[platform](7)


def test_planted_faults_are_found(receiver: Receiver) -> None:
    """The two faults: voided orders still count, and all changes have the same time."""
    with patch.object(OrderState, "voided", False):
        assert any(play(receiver, "woocommerce", seed) for seed in range(SEED, SEED + 30))
    with patch("tillbook.contract.platforms.deliveries.times.iso", lambda _: "2026-03-01T09:00:00Z"):
        assert any(play(receiver, "shopify", seed) for seed in range(SEED, SEED + 30))
