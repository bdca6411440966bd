from __future__ import annotations

import pytest

from local.stack import Stack
from tests.end_to_end.shop import Shop


class Output:
    """Captured stdout, stderr and log of all tests, and so of the front door, which runs in this process."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.texts += [text for title, text in report.sections if title.startswith("Captured")]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Output(), "end-to-end-output")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs test_privacy.py last: it looks for e-mail addresses in the traces of all other tests."""
    items.sort(key=lambda item: item.path.name == "test_privacy.py")


@pytest.fixture
def shop(stack: Stack) -> Shop:
    return Shop.open(stack)


@pytest.fixture
def output(pytestconfig: pytest.Config) -> list[str]:
    plugin = pytestconfig.pluginmanager.get_plugin("end-to-end-output")
    assert isinstance(plugin, Output)
    return plugin.texts
