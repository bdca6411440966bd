"""That the table of deliberate faults fits the code: `python -m tests.mutants` tells whether each is caught."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import mismatches
from tests.mutants.faults import load


def test_every_deliberate_fault_still_has_its_place_in_the_code() -> None:
    faults = load()
    assert len({fault.name for fault in faults}) == len(faults) >= 25
    assert all(fault.edits for fault in faults)
    assert mismatches(faults) == []


def test_an_edit_replaces_whole_lines_in_the_one_place_they_stand() -> None:
    (fault,) = load("## name\n@@ file.py\n def f():\n-    return 1\n+    return 2\n")
    (edit,) = fault.edits
    assert edit.apply("x = 1\ndef f():\n    return 1\n") == "x = 1\ndef f():\n    return 2\n"
    for text in (
        "def f():\n    return 3\n",
        "def f():\n    return 1\ndef f():\n    return 1\n",
        "  def f():\n    return 1\n",
    ):
        with pytest.raises(ValueError, match="stand"):
            edit.apply(text)
