"""The long proofs: their commands, and the lines of the output that state the result."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "evidence.json"
PAGE = ROOT / "docs" / "correctness.md"
BEGIN, END = "<!-- evidence: python -m tests.evidence -->\n", "<!-- end of evidence -->\n"
# Folders and files on which the results depend.
_TESTED = ("layers", "functions", "template.yaml", "cli", "local", "tests")


@dataclass(frozen=True)
class Proof:
    """A command that proves something.

    `subject`: its row of the table begins with this.
    `result`: a pattern for the lines of the output that state the result.
    `environment`: names of variables that must be set, separated by spaces.
    """

    name: str
    subject: str
    command: str
    result: str
    environment: str = ""


@dataclass(frozen=True)
class Ran:
    """One run of a proof. `commit` is as in current_commit; `minutes`: how long it took."""

    name: str
    command: str
    passed: bool
    result: str
    commit: str
    date: str
    minutes: float


PROOFS = (
    Proof("models", "every interleaving of a few requests", "python -m tests.proofs", r"\d+ scenarios.*"),
    Proof(
        "histories", "random histories with every fault on",
        "python -m tests.simulation --histories 100000 --seed 1000001 --workers 2 --brief", r".*histories, seeds.*",
    ),
    Proof("faults", "deliberate faults", "python -m tests.mutants", r"\d+ of \d+ deliberate faults.*"),
    Proof(
        "ministack", "32 workers on MiniStack", "python -m tests.concurrency --operations 50000 --seed 20261130",
        r"[\d,]+ operations.*|exact,.*|NOT.*",
    ),
    Proof(
        "dynamodb-local", "32 workers on DynamoDB Local",
        "python -m tests.concurrency --operations 50000 --seed 20261130", r"[\d,]+ operations.*|exact,.*|NOT.*",
        "DYNAMODB_ENDPOINT",
    ),
    Proof(
        "crashes",
        "functions that are killed by SIGKILL: those of queues at random moments, v1 handlers at each AWS call",
        "python -m tests.crash --rounds 20 --seed 20261130", r"\d+ rounds.*",
    ),
    Proof(
        "load", "three times what the stack carries", "python -m tests.load --seconds 120 --times 3 --seed 20261130",
        r"carried.*|sent.*|every 2xx.*|NOT.*",
    ),
    Proof("book", "histories of the book", "python -m tests.book --histories 20000 --seed 200001", r"\d+ histories.*"),
    Proof(
        "announcements", "histories of announcements", "python -m tests.announcements --histories 20000 --seed 300001",
        r"\d+ histories.*",
    ),
    Proof(
        "webhooks", "webhooks of random shops, both platforms",
        "python -m tests.webhooks --histories 10000 --seed 400001", r"[\d,]+ histories of.*",
    ),
    Proof(
        "webhook-bodies", "hostile bodies of webhooks", "python -m tests.webhooks --hostile 20000 --seed 400001",
        r"[\d,]+ hostile.*",
    ),
    Proof(
        "import", "an import while webhooks of the same orders arrive",
        "python -m tests.import_run --orders 50000 --seed 23 --once", r"[\d,]+ orders, .*|every order once.*|NOT.*",
    ),
    Proof(
        "cdnow", "69,659 real orders, compared with pandas", "python -m tests.book.cdnow",
        r"imported in.*|.* are the same\.",
    ),
    Proof(
        "hostile", "hostile requests", "python -m tests.hostile --requests 20000 --seed 20261130",
        r"[\d,]+ requests.*",
    ),
)  # fmt: skip


def run(proof: Proof, commit: str) -> Ran:
    """Runs a proof on `commit` and shows its output on standard error.

    It passes if it exits with 0 and prints its result. The last four lines of the result are kept.

    Raises KeyError if a variable of its `environment` is not set.
    """
    missing = [name for name in proof.environment.split() if name not in os.environ]
    if missing:
        raise KeyError(f"{proof.name} needs {', '.join(missing)}")
    start = time.monotonic()
    words = proof.command.split()
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}
    lines = []
    with subprocess.Popen(
        [sys.executable, *words[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment
    ) as running:
        for line in running.stdout or ():
            print(line, end="", file=sys.stderr, flush=True)
            lines += [line.strip()] if re.fullmatch(proof.result, line.strip()) else []
    return Ran(
        proof.name, proof.command, running.returncode == 0 and bool(lines), "; ".join(lines[-4:]), commit,
        time.strftime("%Y-%m-%d"), round((time.monotonic() - start) / 60, 1),
    )  # fmt: skip


def current_commit() -> str:
    """The short hash of the checked out commit, with `+` if there are uncommitted changes in _TESTED.

    Raises subprocess.CalledProcessError outside a git checkout.
    """

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short=9", "HEAD") + ("+" if git("status", "--porcelain", "--", *_TESTED) else "")


def results() -> dict[str, Ran]:
    """The stored runs by the names of their proofs."""
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return {one["name"]: Ran(**one) for one in stored}


def store(ran: Ran) -> None:
    """Stores the run in place of the proof's previous one, and updates the table of the page."""
    stored = results() | {ran.name: ran}
    order = [proof.name for proof in PROOFS]
    RESULTS.write_text(json.dumps([asdict(stored[name]) for name in order if name in stored], indent=2) + "\n")
    PAGE.write_text(with_table(PAGE.read_text()))


def with_table(page: str) -> str:
    """The page with the table of the stored runs between BEGIN and END."""
    stored, rows = results(), ["| Proof | Command | Result | Commit | Minutes |\n", "|---|---|---|---|---|\n"]
    for proof in PROOFS:
        if ran := stored.get(proof.name):
            verdict = "" if ran.passed else "**failed**: "
            rows.append(
                f"| {proof.subject} | `{ran.command}` | {verdict}{ran.result} | {ran.commit}, {ran.date} "
                f"| {ran.minutes:g} |\n"
            )
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + "".join(rows) + "\n" + END + after
