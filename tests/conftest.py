"""The local stack, once for all tests that need it; and which tests run in one process, where there are several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.seed import seed
from local.stack import Stack

_HERE = Path(__file__).parent
# Those that need the local stack or another engine: one stack for all of them. Of the others a folder stays together,
# and tests/handlers compares at its end the rights that all of its tests were seen to use.
_ON_AN_ENGINE = frozenset(
    {"audience_run", "cli", "clients", "crash", "deploy", "docs", "end_to_end", "events", "import_run", "load", "local"}
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(_HERE).parts[0]
        item.add_marker(pytest.mark.xdist_group("engine" if folder in _ON_AN_ENGINE else folder))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack of template.yaml on the embedded AWS, with account 1234567 and its keys: see local.seed."""
    with Stack() as running:
        seed(running)
        yield running
