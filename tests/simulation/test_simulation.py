"""Runs a few histories of the simulation; `make simulate HISTORIES=100000` runs many."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from local.stack import ROOT
from tests.simulation.histories import EVENTS, history
from tests.simulation.pool import CHUNK, run
from tests.simulation.seams import Seams
from tests.simulation.simulate import Run, shortened, simulate, trace
from tillbook.ledger import writes

HISTORIES = int(os.environ.get("HISTORIES", "500"))
SEED = int(os.environ.get("SEED", "1"))


@pytest.mark.slow
def test_histories_with_faults_end_as_the_auditor_computes() -> None:
    failures = run(SEED, HISTORIES, workers=os.cpu_count() or 1, quiet=True)
    with Seams() as seams:
        assert not failures, "\n\n".join(str(shortened(failure, seams)) for failure in failures[:3])


def test_the_command_runs_histories_in_two_processes() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--histories", str(CHUNK + 1), "--workers", "2", "--brief"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "all as they must be" in ran.stdout


def test_histories_have_enough_events_and_every_kind_of_request() -> None:
    kinds: set[str] = set()
    texts = ""
    for seed in range(200):
        steps = history(seed).steps
        assert sum(len(step.bodies) or 1 for step in steps) >= EVENTS
        kinds |= {step.kind for step in steps}
        texts += "".join(step.body for step in steps)
    assert kinds == {
        "activity",
        "batch",
        "submitted",
        "edited",
        "deleted",
        "rebuild",
        "purge",
        "erase",
        "replay",
        "voided",
    }
    for action in ("placed", "updated", "paid", "fulfilled", "refunded", "canceled"):
        assert f'"action":"{action}"' in texts


def test_a_seed_always_gives_the_same_history() -> None:
    def calls() -> list[str]:
        with Seams() as seams:
            traced = Run(seams, history(5))
            traced.network.trace = []
            assert traced.run() == []
            return traced.network.trace

    assert calls() == calls()


def test_a_failure_is_found_shortened_and_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = writes._put_event

    # Without the condition that an event is new, an event that arrives twice counts twice.
    def without_condition(table: str, change: Any, write: Any) -> dict[str, Any]:
        put = original(table, change, write)
        del put["Put"]["ConditionExpression"]
        return put

    monkeypatch.setattr(writes, "_put_event", without_condition)
    with Seams() as seams:
        failure = next(found for seed in range(100) if (found := simulate(seed, seams)))
        short = shortened(failure, seams)
        assert len(short.plan.steps) <= len(failure.plan.steps) / 2
        assert f"seed {failure.plan.seed}" in str(short)
        assert "events, but has" in str(short)
        assert any("transact_write_items" in call for call in trace(short, seams))
