"""Checks that the deliberate faults fit the code. `python -m tests.mutants` checks whether tests find each of them."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import ROOT, mismatches
from tests.mutants.faults import Edit, Fault, load


def test_every_deliberate_fault_fits_the_code() -> None:
    faults = load()
    assert len({fault.name for fault in faults}) == len(faults) >= 25
    assert all(fault.edits for fault in faults)
    assert mismatches(faults) == []


def test_every_test_that_a_fault_names_exists() -> None:
    named = {test for fault in load() for test in fault.tests}
    assert len(named) >= 25
    for test in sorted(named):
        path, _, name = test.partition("::")
        # The tests of these folders import the package itself, so they can run on the copy with the fault.
        assert path.startswith(("tests/unit/", "tests/handlers/", "tests/book/")), test
        assert f"\ndef {name}(" in (ROOT / path).read_text(), test


def test_a_fault_is_parsed_with_its_test_and_all_changes() -> None:
    text = "## one\n# tests/x.py::test_x\n@@ a.py\n-1\n+2\n@@ b.py\n 3\n-4\n\n## two\n@@ a.py\n-5\n"
    assert load(text) == [
        Fault("one", [Edit("a.py", "1\n", "2\n"), Edit("b.py", "3\n4\n", "3\n")], ("tests/x.py::test_x",)),
        Fault("two", [Edit("a.py", "5\n", "")]),
    ]


def test_an_edit_replaces_whole_lines_that_occur_exactly_once() -> None:
    (fault,) = load("## name\n@@ file.py\n def f():\n-    return 1\n+    return 2\n")
    (edit,) = fault.edits
    assert edit.apply("x = 1\ndef f():\n    return 1\n") == "x = 1\ndef f():\n    return 2\n"
    for text in (
        "def f():\n    return 3\n",
        "def f():\n    return 1\ndef f():\n    return 1\n",
        "  def f():\n    return 1\n",
    ):
        with pytest.raises(ValueError, match="occur"):
            edit.apply(text)
