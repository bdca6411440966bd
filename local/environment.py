"""Makes the virtual environment of `make`: `python3 local/environment.py [--exact] [--ci|--audit] GROUP...`

A GROUP is a dependency group of pyproject.toml. `--ci` and `--audit` choose the environment .venv-ci or .venv-audit and
its lock. `--exact` makes an environment again that has another Python than the one that runs this module.

The module runs on the machine's own Python, which may be old and has no packages installed. So it imports only the
standard library, and checks the version before it imports a module that an older Python does not have.

A stamp in the environment names its contents (groups with their requirements, lock, Python). It is removed before pip
runs and written after it: an environment without a stamp is incomplete, and is made again.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Tillbook needs Python 3.11 or newer; %s is %d.%d. Choose another: make run PYTHON=python3.13"
        % (sys.executable, sys.version_info[0], sys.version_info[1])
    )

import hashlib
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> None:
    exact = "--exact" in arguments
    suffix = next((argument[1:] for argument in arguments if argument in ("--ci", "--audit")), "")
    groups = [argument for argument in arguments if not argument.startswith("--")]
    venv = ROOT / f".venv{suffix}"
    lock = ROOT / f"requirements{suffix}.lock"

    wanted = {group: _requirements(group) for group in groups}
    stamp = venv / "stamp.json"
    python = venv / "bin" / "python"
    installed = _installed(stamp, python)
    if exact and installed and installed["python"] != _version():
        print(f"Making {venv.name} again: it has Python {installed['python']}, not {_version()}.", flush=True)
        installed = None
    elif installed is None and venv.exists():
        print(f"Making {venv.name} again, since it is incomplete.", flush=True)

    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if installed is None:
        shutil.rmtree(venv, ignore_errors=True)
        _create(venv)
        installed = {"python": _version(), "lock": digest, "groups": {}}
    elif installed["lock"] == digest and all(installed["groups"].get(g) == r for g, r in wanted.items()):
        return
    elif installed["lock"] != digest:
        # The lock has changed: all installed groups must be installed with the new versions.
        wanted = {group: _requirements(group) for group in installed["groups"]} | wanted

    stamp.unlink(missing_ok=True)
    print(f"Installing {', '.join(sorted(wanted))} into {venv.name} ...", flush=True)
    requirements = sorted({line for lines in wanted.values() for line in lines})
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    result = subprocess.run([*pip, "--constraint", str(lock), *requirements], check=False)
    if result.returncode:
        sys.exit(f"pip failed, for the reason above; the next run makes {venv.name} again.")
    installed["lock"] = digest
    installed["groups"].update(wanted)
    stamp.write_text(json.dumps(installed, indent=1))


def _version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _requirements(group: str) -> list[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        requirements: list[str] = tomllib.load(file)["dependency-groups"][group]
    return requirements


def _installed(stamp: Path, python: Path) -> dict | None:  # type: ignore[type-arg]
    """The content of the stamp, or None if there is no usable environment."""
    try:
        return json.loads(stamp.read_text()) if os.access(python, os.X_OK) else None
    except (OSError, ValueError):
        return None


def _create(venv: Path) -> None:
    # The base interpreter: this process may run on the Python of an environment that was removed just now.
    python = getattr(sys, "_base_executable", sys.executable)
    result = subprocess.run([python, "-m", "venv", str(venv)], check=False, capture_output=True, text=True)
    if result.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        why = (result.stdout + result.stderr).strip().splitlines()
        sys.exit(f"{python} -m venv failed (on Debian: apt install python3-venv). {' '.join(why[-1:])}")


if __name__ == "__main__":
    main(sys.argv[1:])
