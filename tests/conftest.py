"""Starts the local stack once for all tests of a process, and assigns tests to processes if there are several."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from local.seed import seed
from local.stack import PARAMETERS, ROOT, Stack

# A busy machine may need a second for an example that takes a millisecond. The time of an example is not under test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Powertools reads the name of the service when it is imported.
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "tillbook")
SETTLE_SECONDS = "15"
# Folders whose tests share one local stack, and so run in one process. The tests of any other folder stay together in
# one process, too: tests/handlers compares, after its last test, the permissions that all of its tests used.
# tests/events uses no stack, but cannot share a process with tests/handlers.
_ON_THE_STACK = frozenset(
    {"audience_run", "cli", "clients", "deploy", "docs", "end_to_end", "events", "import_run", "load"}
)


def pytest_collection_finish() -> None:
    """Excludes modules and tests from garbage collection, which would otherwise take a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Deletes the output of passed tests, which would otherwise hold a gigabyte of memory for a thousand tests."""
    report = yield
    if report.passed:
        report.sections.clear()
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):
        """Runs the tests of a folder in one process. xdist's own groups (--dist loadgroup) fail with pytest 9."""

        def _split_scope(self, nodeid: str) -> str:
            folder = nodeid.partition("::")[0].split("/")[1]
            return "stack" if folder in _ON_THE_STACK else folder

    return ByFolder(config, log)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack of template.yaml on the embedded AWS, with account 1234567 and its keys: see local.seed.

    The job of a purge or an erasure waits SETTLE_SECONDS, less than the template allows. That is safe, since no
    function runs longer here.
    """
    template = tmp_path_factory.mktemp("template") / "template.yaml"
    text = (ROOT / "template.yaml").read_text()
    assert text.count("MinValue: 90\n") == 1
    template.write_text(text.replace("MinValue: 90\n", f"MinValue: {SETTLE_SECONDS}\n"))
    with Stack(template=template, root=ROOT, parameters=PARAMETERS | {"SettleSeconds": SETTLE_SECONDS}) as running:
        seed(running)
        running.throttle(None)  # tests call unknown routes more often than the limit allows
        yield running
