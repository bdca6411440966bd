from __future__ import annotations

from collections.abc import Generator

import pytest

from local.stack import Stack
from tests.end_to_end.shop import Shop

# Captured stdout, stderr and log of this folder's tests, and so of the front door, which runs in this process.
_OUTPUT = pytest.StashKey[list[str]]()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps the output of each test. `trylast`: before tests/conftest.py deletes that of passed tests."""
    report = yield
    if report.when == "teardown":  # this report has the output of set-up and call, too
        found = item.config.stash.setdefault(_OUTPUT, [])
        found += [text for title, text in report.sections if title.startswith("Captured")]
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs test_privacy.py last: it looks for e-mail addresses in the traces of all other tests."""
    items.sort(key=lambda item: item.path.name == "test_privacy.py")


@pytest.fixture
def shop(stack: Stack) -> Shop:
    return Shop.open(stack)


@pytest.fixture
def output(pytestconfig: pytest.Config) -> list[str]:
    """The output of the tests of this folder that have ended."""
    return pytestconfig.stash.get(_OUTPUT, [])
