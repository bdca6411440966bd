"""The functions' packages are pinned with hashes and used by the tests; .ci/audit.py looks up their vulnerabilities."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local.stack import ROOT

LAYER = ROOT / "layers" / "shared" / "requirements.txt"


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE))


def test_each_package_of_the_layer_is_pinned_with_hashes() -> None:
    entries = [entry for entry in re.split(r"\n(?=\S)", LAYER.read_text().strip()) if entry]
    assert len(entries) >= 1
    for entry in entries:
        assert re.fullmatch(r"[\w.-]+==\S+ \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+", entry), entry


def test_the_tests_run_on_the_packages_of_the_layer() -> None:
    here = pins(ROOT / "requirements.lock")
    assert {name: here.get(name) for name in pins(LAYER)} == pins(LAYER)


def test_dependency_groups_name_the_locked_releases() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert set(groups["layer"]) < set(groups["run"])
    locked = pins(LAYER)
    assert {f"{name}=={version}" for name, version in locked.items()} >= set(groups["layer"])


# --------------------------------------------------------------- .ci/audit.py


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any, error: str = "") -> None:
    """Lets the command that .ci/audit.py runs print `answer` as JSON, and `error`."""
    text = json.dumps(answer) if answer is not None else ""
    ran = subprocess.CompletedProcess([sys.executable], 1, text, error)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ran)


def test_a_known_vulnerability_fails_the_audit(audit: ModuleType, monkeypatch: Any, capsys: Any) -> None:
    weakness = {"id": "CVE-1", "fix_versions": ["2.0"]}
    answering(monkeypatch, {"dependencies": [{"name": "a", "version": "1.0", "vulns": [weakness]}]})
    assert audit.audit("x.lock") is False
    assert "a 1.0: CVE-1, fixed in 2.0" in capsys.readouterr().out


def test_packages_that_were_not_looked_up_are_reported(audit: ModuleType, monkeypatch: Any, capsys: Any) -> None:
    found = [{"name": "a", "version": "1.0", "vulns": []}, {"name": "b", "skip_reason": "not found"}]
    answering(monkeypatch, {"dependencies": found})
    assert audit.audit("x.lock") is True
    out = capsys.readouterr().out
    assert "SKIPPED: x.lock: NO ADVISORIES COULD BE LOOKED UP FOR 1 OF 2: b" in out
    answering(monkeypatch, None, "no such host")
    assert audit.audit("x.lock") is True
    assert "SKIPPED: x.lock: THE ADVISORIES COULD NOT BE REACHED (no such host)" in capsys.readouterr().out
