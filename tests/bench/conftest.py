"""Other tests find the process as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import scenes


@pytest.fixture(scope="package", autouse=True)
def alone() -> Iterator[None]:
    with scenes.alone():
        yield
