"""Runs the blocks of a page. Each block has the shell variables and functions of the blocks before it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from events.envelopes import HOST
from local.stack import ROOT
from tests.docs import substitute
from tests.docs.markdown import Block
from tests.end_to_end.shop import Shop

SECONDS = 120  # limit of each run of a script
WAIT_SECONDS = 120  # how long a block with the option `wait` is repeated
CURL = shutil.which("curl")
# Files and folders that pages may name by path.
_COPIED = ("docs", "events", "pyproject.toml", "samconfig.toml", "template.yaml")

# curl, but with an error for an answer of 400 or more, unless the block expects that status.
_CURL = """#!/bin/bash
if [ -z "$ANSWER_STATUS" ]; then exec {curl} --fail-with-body --max-time 30 "$@"; fi
exec 3>&1
code=$({curl} --fail-with-body --max-time 30 -w '%{{stderr}}%{{http_code}}' "$@" 2>&1 >&3)
[ "${{code: -3}}" = "$ANSWER_STATUS" ] || {{ echo "answered ${{code: -3}}, not $ANSWER_STATUS" >&2; exit 22; }}
"""
# Runs a block, then saves all variables and functions for the next one, except the shell's own.
_RUN = """set -euo pipefail
[ ! -e {state} ] || . {state}
trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR
. {block}
{{
  declare -p | grep -Ev '^declare -[a-zA-Z]*r|^declare -[-a-zA-Z]* (ANSWER|BASH|DIRSTACK|FUNCNAME|GROUPS|PIPE|SHLVL|_)'
  declare -f
}} >{state}
"""


class Failed(AssertionError):
    """A block failed, or its output is not the expected one. The message has the block's place and output."""


class Page:
    """A folder with copies of the files that pages name, and a shell in it."""

    def __init__(self, shop: Shop, folder: Path, replaced: Mapping[str, str] | None = None) -> None:
        """`replaced`: texts of the page, and the text that replaces each in the test."""
        self.folder, self._groups = folder, list[int]()  # ids of the process groups of scripts
        self._exit, self._refused = ExitStack(), list[str]()  # errors of substitute.py
        self._replaced = {
            "http://127.0.0.1:8000": shop.stack.url,
            f"https://{HOST}": shop.stack.url,
            "1234567": shop.account,
            "local-ingest-key": shop.ingest_key,
            "local-admin-key": shop.admin_key,
            "TILLBOOK_KEY=…": f"TILLBOOK_KEY={shop.admin_key}",
            "=tillbook-prod": "=tillbook",
            **(replaced or {}),
        }
        self._work = folder / "work"
        self._work.mkdir()
        # Copies, since the commands of a page must not change the checkout or its virtual environments.
        for name in _COPIED:
            source, target = ROOT / name, self._work / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        local = self._work / ".local"
        local.mkdir()
        addresses = {"endpoint_url": shop.stack.endpoint_url, "stack_name": "tillbook", "url": shop.stack.url}
        (local / "stack.json").write_text(json.dumps(addresses))
        self._environment = self._commands(shop)

    def _commands(self, shop: Shop) -> dict[str, str]:
        """Creates the programs that the page's commands find. Returns the environment, whose AWS is the local stack."""
        programs = self.folder / "bin"
        programs.mkdir()
        python = shlex.quote(sys.executable)
        url = self._exit.enter_context(substitute.listening(shop.stack, self._refused))
        shims = {name: substitute.SHIM.format(program=name, curl=CURL, url=url) for name in substitute.PROGRAMS}
        # The virtual environment that pages name has one program, a substitute for Python.
        python_of_pages = self._work / ".venv" / "bin" / "python"
        python_of_pages.parent.mkdir(parents=True)
        python_of_pages.write_text(substitute.SHIM.format(program="python", curl=CURL, url=url))
        python_of_pages.chmod(0o755)
        for name, text in {
            **shims,
            "curl": _CURL.format(curl=CURL),
            "python3": f'#!/bin/sh\nexec {python} "$@"\n',
            "tillbook": f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {python} -m cli "$@"\n',
        }.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        return {
            "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(self.folder), "LC_ALL": "C.UTF-8",
            "AWS_ENDPOINT_URL": shop.stack.endpoint_url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "TILLBOOK_STACK": "tillbook",
        }  # fmt: skip

    def substituted(self, text: str) -> str:
        for on_page, in_test in self._replaced.items():
            text = text.replace(on_page, in_test)
        return text

    def run(self, block: Block) -> None:
        """Runs a block and compares its output. Raises Failed."""
        for text, expected in commands(block):
            end = time.monotonic() + (WAIT_SECONDS if "wait" in block.options else 0)
            while True:
                try:
                    self._once(block, text, expected)
                    break
                except Failed:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.1)

    def _once(self, block: Block, text: str, expected: str | None) -> None:
        script, state = self.folder / "block", self.folder / "state"
        script.write_text(self.substituted(text) + "\n")
        outputs = self.folder / "out", self.folder / "err"
        status = {"ANSWER_STATUS": block.options.get("status", "")}
        with outputs[0].open("w") as out, outputs[1].open("w") as err:
            process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-c", _RUN.format(state=state, block=script)],
                cwd=self._work,
                env=self._environment | status,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            self._groups.append(process.pid)
            try:
                code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                code = -1
        printed, complained = (path.read_text(errors="replace") for path in outputs)
        # The shell does not exit if a command fails within `$(…)`, so the refused calls are checked, too.
        refused, self._refused[:] = "\n".join(self._refused), []
        if code or refused or ": command not found" in complained:
            complained = f"{complained}{refused}"
            raise Failed(f"{block.place}: ended with {code}\n{text}\n--- printed\n{printed}--- stderr\n{complained}")
        self._keep(block, printed)
        if expected is not None:
            difference = mismatch(self.substituted(expected), printed, block)
            if difference:
                raise Failed(f"{block.place}: {difference}\n{text}\n--- printed\n{printed}")

    def _keep(self, block: Block, printed: str) -> None:
        name = block.options.get("keep")
        if not name:
            return
        try:
            value = json.loads(printed.strip().splitlines()[-1])[name]
        except (ValueError, LookupError, TypeError):
            raise Failed(f"{block.place}: no {name} to keep in what was printed:\n{printed}") from None
        with (self.folder / "state").open("a") as state:
            state.write(f"{name}={shlex.quote(str(value))}\n")

    def close(self) -> None:
        """Ends the processes that blocks started and did not end."""
        for group in self._groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGTERM)
        self._exit.close()


def commands(block: Block) -> list[tuple[str, str | None]]:
    """The scripts of a block, each with its expected output if the page shows one. Only a console block has several."""
    if block.language != "console":
        return [(block.text, block.output.text if block.output else None)]
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line.removeprefix('> ')}", [])
        elif found:
            found[-1][1].append(line)
        else:
            raise Failed(f"{block.place}: a console block begins with `$ `")
    return [(text, "\n".join(lines) if lines else None) for text, lines in found]


def mismatch(expected: str, printed: str, block: Block) -> str:
    """Describes the difference from the expected output; empty if there is none."""
    if block.output is not None and block.output.language == "json":
        try:
            wanted, got = json.loads(expected), json.loads(printed)
        except ValueError as error:
            return f"not JSON: {error}"
        return _different("", wanted, got)
    lines = [re.escape(line.strip()).replace("…", ".*") for line in expected.strip().splitlines()]
    # A line that is only `…` matches one or several lines.
    pattern = "\n".join("(?:.*\n)*?.*" if line == ".*" else line for line in lines)
    got = "\n".join(line.strip() for line in printed.strip().splitlines())
    return "" if re.fullmatch(pattern, got) else f"the output is not the expected one:\n{expected}"


def _different(path: str, wanted: Any, got: Any) -> str:
    if wanted == "…" or wanted == got:
        return ""
    if isinstance(wanted, dict) and isinstance(got, dict) and wanted.keys() == got.keys():
        return next(filter(None, (_different(f"{path}.{name}", wanted[name], got[name]) for name in wanted)), "")
    if isinstance(wanted, list) and isinstance(got, list):
        if wanted and wanted[-1] == "…" and len(got) >= len(wanted) - 1:
            wanted, got = wanted[:-1], got[: len(wanted) - 1]
        if len(wanted) == len(got):
            pairs = enumerate(zip(wanted, got, strict=True))
            return next(filter(None, (_different(f"{path}[{n}]", w, g) for n, (w, g) in pairs)), "")
    if isinstance(wanted, str) and isinstance(got, str) and "…" in wanted:
        return "" if re.fullmatch(re.escape(wanted).replace("…", ".*"), got) else f"{path} is {got!r}, not {wanted!r}"
    return f"{path} is {got!r}, not {wanted!r}"
