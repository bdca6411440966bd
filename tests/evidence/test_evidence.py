"""The table of long proofs in docs/correctness.md shows the stored runs, and the command of each proof exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import proofs
from tests.evidence import runs
from tests.evidence.runs import PROOFS, Proof


def test_the_table_shows_the_stored_runs() -> None:
    page = runs.PAGE.read_text()
    assert runs.BEGIN in page
    assert runs.END in page
    assert runs.with_table(page) == page
    assert all(ran.passed for ran in runs.results().values())


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_the_command_of_each_proof_exists(proof: Proof) -> None:
    proofs.python(proof.command.split())


@pytest.mark.parametrize(("code", "passed"), [(0, True), (1, False)])
def test_a_run_has_the_printed_result_and_fails_if_its_command_fails(tmp_path: Path, code: int, passed: bool) -> None:
    script = tmp_path / "proof.py"
    script.write_text(f"print('noise')\nprint('3 histories, 0 wrong')\nraise SystemExit({code})\n")
    ran = runs.run(Proof("one", "", f"python {script}", r"\d+ histories.*"), "abc")
    assert (ran.passed, ran.result, ran.commit) == (passed, "3 histories, 0 wrong", "abc")


def test_a_run_that_does_not_print_its_result_has_failed(tmp_path: Path) -> None:
    script = tmp_path / "proof.py"
    script.write_text("print('noise')\n")
    assert not runs.run(Proof("one", "", f"python {script}", r"\d+ histories.*"), "abc").passed


def test_a_proof_without_its_environment_variable_is_refused() -> None:
    with pytest.raises(KeyError, match="NO_SUCH_ENGINE"):
        runs.run(Proof("one", "", "python -m tests.proofs", "", "NO_SUCH_ENGINE"), "abc")
