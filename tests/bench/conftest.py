"""Restores the settings of the process after the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import scenes


@pytest.fixture(scope="package", autouse=True)
def restored_environment() -> Iterator[None]:
    with scenes.restored_environment():
        yield
