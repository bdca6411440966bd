"""The local stack, once for all tests that need it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.seed import seed
from local.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack of template.yaml on the embedded AWS, with account 1234567 and its keys: see local.seed."""
    with Stack() as running:
        seed(running)
        yield running
