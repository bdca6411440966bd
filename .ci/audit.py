"""Runs pip-audit on every lock file. Fails on a known weakness; reports in capitals if a package was not checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("layers/shared/requirements.txt", "requirements.lock", "requirements-ci.lock", "requirements-audit.lock")


def audit(lock: str) -> bool:
    """Checks a lock file. Returns False if it has a release with a known weakness."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"),
            # The locks are complete, so nothing is resolved or installed.
            *("--disable-pip", "--no-deps", "--timeout", "15", "--requirement", str(ROOT / lock)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        why = (ran.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"SKIPPED: {lock}: THE ADVISORIES COULD NOT BE REACHED ({why[:200]})")
        return True
    unknown = [dependency["name"] for dependency in found if "skip_reason" in dependency]
    weak = [dependency for dependency in found if dependency.get("vulns")]
    for dependency in weak:
        for weakness in dependency["vulns"]:
            fixed = ", ".join(weakness.get("fix_versions", [])) or "no release yet"
            print(f"{lock}: {dependency['name']} {dependency['version']}: {weakness['id']}, fixed in {fixed}")
    if unknown:
        print(
            f"SKIPPED: {lock}: NO ADVISORIES COULD BE LOOKED UP FOR {len(unknown)} OF {len(found)}: "
            f"{', '.join(unknown)}"
        )
    print(f"{lock}: {len(found) - len(unknown)} of {len(found)} looked up, {len(weak)} with a known weakness")
    return not weak


if __name__ == "__main__":
    results = [audit(lock) for lock in LOCKS]
    sys.exit(0 if all(results) else 1)
