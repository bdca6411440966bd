"""The environment that `make` sets up, without a network, for a project that needs only pip."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack import ROOT

SCRIPT = ROOT / "local" / "environment.py"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("environment")
    (root / "local").mkdir()
    shutil.copy(SCRIPT, root / "local")
    (root / "pyproject.toml").write_text('[dependency-groups]\nrun = ["pip"]\ntest = ["pip"]\n')
    (root / "requirements.lock").write_text("")
    return root


def setup(project: Path, *arguments: str, python: str | Path = sys.executable) -> str:
    result = subprocess.run(
        [python, project / "local" / "environment.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_environment_is_made_once_and_again_after_a_change(project: Path) -> None:
    """One test, because each setup takes seconds."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    stamp = project / ".venv" / "stamp.json"

    # The state that an interrupted setup leaves.
    (project / ".venv" / "lib").mkdir(parents=True)
    assert setup(project, "run").splitlines() == [
        "Making .venv again, since it is incomplete.",
        "Installing run into .venv ...",
    ]
    assert setup(project, "run") == ""
    assert setup(project, "run", "test") == "Installing run, test into .venv ...\n"
    assert setup(project, "run") == ""
    assert setup(project, "--exact", "run") == ""
    (project / "requirements.lock").write_text("# changed\n")
    assert setup(project, "run") == "Installing run, test into .venv ...\n"

    stamp.write_text(stamp.read_text().replace(f'"{version}"', '"3.99"'))
    assert setup(project, "run") == "", "without --exact, an environment with another Python is kept"
    assert setup(project, "--exact", "run").splitlines()[0] == f"Making .venv again: it has Python 3.99, not {version}."

    # The setup runs on the Python of the environment that it makes again, as in an activated environment.
    stamp.unlink()
    assert setup(project, "run", python=project / ".venv" / "bin" / "python").splitlines() == [
        "Making .venv again, since it is incomplete.",
        "Installing run into .venv ...",
    ]


def test_an_old_python_is_reported_in_one_line() -> None:
    pretend = f"import sys; sys.version_info = (3, 9, 2); exec(open({str(SCRIPT)!r}).read())"
    result = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "needs Python 3.11 or newer" in result.stderr
    assert "is 3.9." in result.stderr
