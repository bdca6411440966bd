"""300 hostile requests over HTTP to the local stack; `python -m tests.hostile --through URL` sends more."""

from __future__ import annotations

import os

import pytest

from local.stack import Stack
from tests.end_to_end.shop import Shop
from tests.hostile.__main__ import shown, through
from tests.hostile.payloads import EXISTING_ORDER
from tests.hostile.targets import Shop as Target
from tests.hostile.wire import HttpClient

REQUESTS = int(os.environ.get("REQUESTS", "300"))
SEED = int(os.environ.get("SEED", "1"))


@pytest.mark.stack
def test_hostile_requests_over_http_are_answered_as_the_contract_says(stack: Stack, shop: Shop) -> None:
    print(f"seed {SEED}")
    target = Target(
        shop.account,
        shop.ingest_key,
        shop.admin_key,
        str(EXISTING_ORDER["order_id"]),
        other_admin=Shop.open(stack).admin_key,
    )
    with HttpClient(target, "127.0.0.1", stack.port) as client:
        failures = through(client, SEED, range(REQUESTS), quiet=True)
    assert not failures, shown(failures)
