"""python -m tests.mutants [NAME...]: reports each deliberate fault as killed or alive; exit code 1 if any is alive.

NAME selects the faults whose name contains it. `--tests` names the pytest files and folders that run if the simulation
does not find a fault.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.mutants.faults import Fault, load
from tests.simulation.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers" / "shared" / "tillbook"
_STAGE_SECONDS = 900  # a stage that takes longer is ended
_TIMED_OUT = 124  # the exit code of the command `timeout`
# The test files that find most of the faults that the simulation does not find.
_FIRST = [
    f"tests/handlers/test_{name}.py"
    for name in (
        "lost_answers",
        "together",
        "processing",
        "rules",
        "rules_of_marks",
        "erase",
        "erase_v1",
        "purge",
        "audiences",
        "audience_match",
        "audience_rebuild",
        "summary",
        "records",
        "jobs",
        "order_full",
        "person_orders",
        "messages_in_groups",
    )
]


@dataclass(frozen=True)
class Verdict:
    """`how`: the stage that found the fault; if none did, the errors of stages that could not run or did not end."""

    fault: Fault
    killed: bool
    how: str
    seconds: float


def mismatches(faults: list[Fault]) -> list[str]:
    """Describes faults that no longer fit the code or give invalid Python."""
    found = []
    for fault in faults:
        texts: dict[str, str] = {}
        try:
            for edit in fault.edits:
                texts[edit.file] = edit.apply(texts.get(edit.file) or (PACKAGE / edit.file).read_text())
            for text in texts.values():
                ast.parse(text)
        except (ValueError, SyntaxError) as error:
            found.append(f"{fault.name}: {error}")
    return found


def _try(fault: Fault, histories: int, seed: int, tests: list[str]) -> Verdict:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tillbook-mutant-") as directory:
        copy = Path(directory) / "tillbook"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for edit in fault.edits:
            (copy / edit.file).write_text(edit.apply((copy / edit.file).read_text()))
        # The quick stages first: few histories find most faults, and few tests most others.
        stages = [
            *(partial(_tested, directory, [test]) for test in fault.tests),
            partial(_simulated, directory, histories // 5, seed),
            partial(_tested, directory, _FIRST),
            partial(_simulated, directory, histories, seed),
            partial(_tested, directory, tests),
        ]
        killed, hows = False, []
        for stage in stages:
            killed, how = stage()
            hows.append(how)
            if killed:
                expected = not fault.tests or any(test in how for test in fault.tests)
                hows = [how if expected else f"{how} (not found by the test that the fault names)"]
                break
    return Verdict(fault, killed, "; ".join(filter(None, hows)), time.monotonic() - start)


def _simulated(directory: str, histories: int, seed: int) -> tuple[bool, str]:
    command = [
        sys.executable, "-m", "tests.simulation", "--histories", str(histories), "--seed", str(seed), "--workers", "1",
        "--stop", "--brief",
    ]  # fmt: skip
    code, output = _run(command, directory)
    if code == 1 and "FAILED" in output:
        lines = output.splitlines()
        return True, f"simulation, {lines[0].rstrip(':')}: {lines[1].strip()[:100]}"
    if code == _TIMED_OUT:
        return False, f"simulation: no end in {_STAGE_SECONDS} s"  # proves nothing: the machine may be busy
    if code:
        last = output.strip().splitlines()[-1:] or [""]
        return False, f"simulation itself failed, exit code {code}: {last[0][:100]}"  # an error of the simulation
    return False, ""


def _tested(directory: str, tests: list[str]) -> tuple[bool, str]:
    # `pythonpath` leaves out `layers/shared`, so that the tests import the copy.
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", "pythonpath=.", *tests]
    code, output = _run(command, directory)
    if code == _TIMED_OUT:
        return False, f"pytest: no end in {_STAGE_SECONDS} s"
    if code not in (0, 1):
        return False, f"pytest itself failed, exit code {code}"  # a test is missing, or a file cannot be imported
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return code == 1, f"pytest, {failed[0].partition(' - ')[0]}" if failed else ""


def _run(command: list[str], directory: str) -> tuple[int, str]:
    environment = os.environ | {"PYTHONPATH": directory, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_STAGE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return _TIMED_OUT, ""
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only the faults whose name contains one of these; all by default")
    parser.add_argument("--histories", type=int, default=4000, help="the most histories for each fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tests", nargs="+", default=["tests/unit", "tests/handlers"], help="the last tests to run")
    options = parser.parse_args()
    faults = [f for f in load() if not options.names or any(name in f.name for name in options.names)]
    wrong = mismatches(faults)
    if wrong:
        print(*wrong, sep="\n")
        return 2
    # A test that fails without any fault would count as a kill, so all stages also run on an unchanged copy.
    unchanged = Fault("no fault", [], tuple(sorted({test for fault in faults for test in fault.tests})))
    progress = Progress(len(faults) + 1, "deliberate faults")
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(options.workers) as pool:
        tries = [pool.submit(_try, f, options.histories, options.seed, options.tests) for f in (unchanged, *faults)]
        for done in as_completed(tries):
            verdict = done.result()
            progress.clear()
            if verdict.fault is unchanged:
                progress.add()
                if not verdict.how:
                    continue
                print(f"The unchanged code fails: {verdict.how}")
                pool.shutdown(cancel_futures=True)
                return 2
            verdicts.append(verdict)
            word = "killed" if verdict.killed else "ALIVE "
            print(f"{word} {verdict.fault.name} ({verdict.seconds:.0f} s) {verdict.how}", flush=True)
            progress.add()
    alive = [verdict.fault.name for verdict in verdicts if not verdict.killed]
    print(f"{len(verdicts) - len(alive)} of {len(verdicts)} deliberate faults killed", *alive, sep="\nALIVE: ")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
