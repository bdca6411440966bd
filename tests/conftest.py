"""The local stack, once for all tests that need it; and which tests run in one process, where there are several."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from local.seed import seed
from local.stack import PARAMETERS, ROOT, Stack

# A busy machine may need a second for an example that takes a millisecond: how long one takes is not under test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Powertools reads the stack's name when it is imported.
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "tillbook")
SETTLE_SECONDS = "15"
# Folders that share the session's local stack. A folder alone stays together too: tests/handlers compares at its end
# the rights that all of its tests were seen to use.
_ON_THE_STACK = frozenset(
    {"audience_run", "cli", "clients", "deploy", "docs", "end_to_end", "events", "import_run", "load"}
)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: looking through them for garbage took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Drops the output of passed tests: a thousand of them would hold a gigabyte to the end."""
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
            return "stack" if folder in _ON_THE_STACK else folder

    return ByFolder(config, log)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack of template.yaml on the embedded AWS, with account 1234567 and its keys: see local.seed.

    The job of a purge or an erasure waits less than the template allows. That is safe where no function runs for long.
    """
    template = tmp_path_factory.mktemp("template") / "template.yaml"
    text = (ROOT / "template.yaml").read_text()
    assert text.count("MinValue: 90\n") == 1
    template.write_text(text.replace("MinValue: 90\n", f"MinValue: {SETTLE_SECONDS}\n"))
    with Stack(template=template, root=ROOT, parameters=PARAMETERS | {"SettleSeconds": SETTLE_SECONDS}) as running:
        seed(running)
        running.throttle(None)  # tests ask for unknown routes faster than anybody may
        yield running
