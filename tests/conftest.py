"""The local stack, once for all tests that need it; and which tests run in one process, where there are several."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from local.seed import seed
from local.stack import Stack

# A busy machine may need a second for an example that takes a millisecond: how long one takes is not under test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Powertools reads the stack's name when it is imported.
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "tillbook")
# Those that need the local stack or another engine: one stack for all of them. Of the others a folder stays together,
# and tests/handlers compares at its end the rights that all of its tests were seen to use.
_ON_AN_ENGINE = frozenset(
    {"audience_run", "cli", "clients", "crash", "deploy", "docs", "end_to_end", "events", "import_run", "load", "local"}
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test that passed has printed is not kept: a thousand of them would hold a gigabyte to the end."""
    report = yield
    if report.passed:
        report.sections.clear()
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):
        """xdist's own groups (--dist loadgroup) are not seen by pytest 9."""

        def _split_scope(self, nodeid: str) -> str:
            folder = nodeid.partition("::")[0].split("/")[1]
            return "engine" if folder in _ON_AN_ENGINE else folder

    return ByFolder(config, log)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack of template.yaml on the embedded AWS, with account 1234567 and its keys: see local.seed."""
    with Stack() as running:
        seed(running)
        yield running
