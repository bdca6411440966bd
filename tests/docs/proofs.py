"""Checks commands that cannot run in a test, against the definition of their program.

make    the Makefile has the target and the variables, and `make -n` accepts the command
ci      .ci/run or a workflow contains the same command
python  `python -m module`: the module exists and has each option
sam     the SAM CLI of .venv-ci has the command and each option
aws     botocore's model of the service has the operation and each parameter
git     git has the command and each option
pip     the lock files contain the package, in the version after `==`; for `.`, the modules of its scripts exist
cli     the tillbook command has the subcommand and each option (used for code spans, and blocks that must not run)
"""

from __future__ import annotations

import ast
import functools
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import botocore.session
import click
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.model import ServiceModel

from cli.tillbook_cli.main import tillbook
from local.stack import ROOT
from tests.docs.markdown import pages

CI_PYTHON = ROOT / ".venv-ci" / "bin" / "python"
Words = list[str]


class Unproven(AssertionError):
    """The command does not agree with its program. The message names the difference."""


class CannotAskError(Exception):
    """The program that defines the command is not installed, or failed. The message names the program."""


def split(text: str) -> list[Words]:
    """The words of each command of a block, without comments and without operators such as `|` and `&&`."""
    found: list[Words] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: Words = []
        for word in lexer:
            if set(word) <= set("&|;()"):
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words)
    # Remove variable assignments before a command.
    cleaned = []
    for words in found:
        while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0], re.DOTALL):
            words = words[1:]
        if words:
            cleaned.append(words)
    return cleaned


def _options(words: Words) -> list[str]:
    return [word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)]


def _check(condition: object, message: str) -> None:
    if not condition:
        raise Unproven(message)


def _program(words: Words, *names: str) -> Words:
    """The words after the program. Raises Unproven if the program has none of the names."""
    _check(Path(words[0]).name in names, f"`{shlex.join(words)}` is no command of {' or '.join(names)}")
    return words[1:]


def make(words: Words) -> None:
    rest = _program(words, "make")
    source = (ROOT / "Makefile").read_text()
    for word in rest:
        name, is_variable, _ = word.partition("=")
        if is_variable:
            _check(f"$({name})" in source or f"$({name}," in source, f"the Makefile has no variable {name}")
        else:
            _check(re.search(rf"^{re.escape(word)}:", source, re.MULTILINE), f"the Makefile has no target {word}")
    ran = subprocess.run(["make", "-n", *rest], cwd=ROOT, capture_output=True, text=True, check=False)
    _check(ran.returncode == 0, f"make -n refuses `{shlex.join(words)}`: {ran.stderr.strip()}")


def ci(words: Words) -> None:
    workflows = ROOT / ".github" / "workflows"
    sources = [ROOT / ".ci" / "run", *sorted(workflows.glob("*.y*ml"))]
    command = " ".join(words)
    found = any(f"{command} " in re.sub(r"\s+", " ", f"{path.read_text()} ".replace('"', "")) for path in sources)
    _check(found, f"`{command}` is in none of {', '.join(path.name for path in sources)}")


def _source(module: str) -> ast.Module | None:
    """The syntax tree of a module, or of the `__main__` of a package; None if neither is in the repository."""
    base = ROOT.joinpath(*module.split("."))
    path = next((path for path in (base.with_suffix(".py"), base / "__main__.py") if path.exists()), None)
    return ast.parse(path.read_text()) if path else None


def _declared_options(source: ast.Module) -> set[str]:
    """The options that the module declares with argparse."""
    calls = [node for node in ast.walk(source) if isinstance(node, ast.Call)]
    return {
        arg.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
        for arg in call.args
        if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
    }


def python(words: Words) -> None:
    rest = _program(words, "python", "python3")
    _check(rest[:1] == ["-m"] and len(rest) > 1, f"`{shlex.join(words)}` names no module of the repository")
    source = _source(rest[1])
    if source is None:
        raise Unproven(f"there is no module {rest[1]}")
    known = {"--help", "-h"} | _declared_options(source)
    # Some modules import another one that declares options for them, so the imported modules are searched, too.
    for node in ast.walk(source):
        shared = _source(node.module or "") if isinstance(node, ast.ImportFrom) else None
        known |= _declared_options(shared) if shared else set()
    for option in _options(rest[2:]):
        _check(option in known, f"{rest[1]} has no option {option}")


@functools.cache
def _sam() -> dict[str, list[str]]:
    """The options of each SAM CLI command that a page names. One process lists all, since it takes seconds to start."""
    if not CI_PYTHON.exists():
        raise CannotAskError("the SAM CLI is not installed (make setup-ci)")
    names = {name for page in pages() for name in re.findall(r"\bsam ([a-z]+(?: [a-z-]+)?)", page.read_text())}
    names |= {name.split()[0] for name in names}
    ran = subprocess.run(
        [CI_PYTHON, "-c", _ASK_SAM, *sorted(names)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"SAM_CLI_TELEMETRY": "0", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    if ran.returncode:
        raise CannotAskError(f"the SAM CLI failed: {ran.stderr.strip().splitlines()[-1:]}")
    known: dict[str, list[str]] = json.loads(ran.stdout.splitlines()[-1])
    return known


_ASK_SAM = """
import json, logging, sys, click
from samcli.cli.main import cli
logging.disable()
known = {}
for name in sys.argv[1:]:
    command, context = cli, click.Context(cli, info_name="sam", obj=object())
    for word in name.split():
        command = command.get_command(context, word) if hasattr(command, "get_command") else None
        if command is None:
            break
        context = click.Context(command, info_name=word, parent=context)
    if command is not None:
        known[name] = [o for p in command.params for o in p.opts + p.secondary_opts] + ["--help"]
print(json.dumps(known))
"""


def sam(words: Words) -> None:
    rest, known = _program(words, "sam"), _sam()
    names = list(rest[:2]) if " ".join(rest[:2]) in known else list(rest[:1])
    name = " ".join(names)
    _check(name and name in known, f"sam has no command `{' '.join(rest[:2])}`")
    for option in _options(rest[len(names) :]):
        _check(option in known[name], f"sam {name} has no option {option}")


# Options of every command of the AWS CLI.
_GLOBAL = {
    "--profile", "--region", "--query", "--output", "--endpoint-url", "--no-cli-pager", "--no-paginate",
    "--cli-binary-format",
}  # fmt: skip
# Commands of the AWS CLI that are not operations of a service, and their options.
_CUSTOM = {
    ("cloudformation", "deploy"): {
        "--template-file", "--stack-name", "--capabilities", "--parameter-overrides", "--role-arn", "--tags",
    },
    ("logs", "tail"): {"--since", "--follow", "--format", "--filter-pattern", "--log-stream-names"},
    ("configure", "sso"): set[str](),
    ("sso", "login"): set[str](),
}  # fmt: skip


@functools.cache
def _model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def aws(words: Words) -> None:
    rest = _program(words, "aws")
    if rest == ["configure"]:
        return
    _check(len(rest) > 1, f"`{shlex.join(words)}` names no operation")
    service, command = rest[:2]
    options = set(_options(rest[2:])) - _GLOBAL
    if (service, command) in _CUSTOM:
        known = _CUSTOM[service, command]
    else:
        try:
            model = _model(service)
        except UnknownServiceError:
            raise Unproven(f"AWS has no service {service}") from None
        operations = {xform_name(name, "-"): name for name in model.operation_names}
        if command == "wait":
            waiters = botocore.session.get_session().get_waiter_model(service)
            waiting = {xform_name(name, "-"): waiters.get_waiter(name).operation for name in waiters.waiter_names}
            _check(rest[2:3] and rest[2] in waiting, f"aws {service} has no waiter {rest[2:3]}")
            operations, command = {rest[2]: waiting[rest[2]]}, rest[2]
        _check(command in operations, f"aws {service} has no operation {command}")
        shape = model.operation_model(operations[command]).input_shape
        members = shape.members if shape else {}
        known = {f"--{xform_name(name, '-')}" for name in members}
        known |= {f"--no-{xform_name(name, '-')}" for name, member in members.items() if member.type_name == "boolean"}
        known |= {"--max-items", "--cli-input-json", "--starting-token"}
        required = {f"--{xform_name(name, '-')}" for name in (shape.required_members if shape else ())}
        _check(required <= options, f"aws {service} {command} needs {', '.join(sorted(required - options))}")
    for option in options:
        _check(option in known, f"aws {service} {command} has no option {option}")


def git(words: Words) -> None:
    rest = _program(words, "git")
    ran = subprocess.run(["git", rest[0], "-h"], capture_output=True, text=True, check=False, cwd="/")
    usage = ran.stdout + ran.stderr
    _check("usage: git" in usage, f"git has no command {rest[0]}")
    for option in _options(rest[1:]):
        _check(
            re.search(rf"(?<![\w-]){re.escape(option)}\b|--\[no-\]{option[2:]}\b", usage),
            f"git {rest[0]} has no option {option}",
        )


def pip(words: Words) -> None:
    rest = _program(words, "pip", "pip3", "pipx")
    _check(rest[:1] == ["install"], f"`{shlex.join(words)}` installs nothing")
    locked = "\n".join(path.read_text() for path in ROOT.glob("requirements*.lock"))
    for word in rest[1:]:
        if word.startswith("-"):
            raise Unproven(f"the option {word} of pip cannot be checked")
        if word == ".":
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())
            for target in project["project"]["scripts"].values():
                module, _, name = target.partition(":")
                _check(hasattr(importlib.import_module(f"cli.{module}"), name), f"there is no {target}")
            for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
                _check((ROOT / package / "__init__.py").exists(), f"there is no package {package}")
            continue
        found = re.fullmatch(r"([\w.-]+)(==|<|>=)?([\w.]+)?", word)
        _check(found, f"{word} is not a package with a version")
        assert found
        line = re.search(rf"^{re.escape(found[1])}==(\S+)", locked, re.MULTILINE | re.IGNORECASE)
        _check(line, f"{found[1]} is in no lock file")
        assert line
        _check(found[2] != "==" or line[1] == found[3], f"{found[1]} is locked as {line[1]}")


def cli(words: Words) -> None:
    rest = _program(words, "tillbook")
    command: click.Command = tillbook
    path, rest = ["tillbook"], list(rest)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.commands.get(rest[0])
        if found is None:
            raise Unproven(f"{' '.join(path)} has no command {rest[0]}")
        path.append(rest.pop(0))
        command = found
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for option in _options(rest):
        _check(option in known | {"--help", "-h"}, f"{' '.join(path)} has no option {option}")


KINDS: dict[str, Callable[[Words], None]] = {
    "make": make, "ci": ci, "python": python, "sam": sam, "aws": aws, "git": git, "pip": pip, "cli": cli,
}  # fmt: skip
# The kind of proof by program, for commands in code spans and for the programs that substitute.py replaces.
BY_PROGRAM = {
    "make": "make", "sam": "sam", "aws": "aws", "git": "git", "pip": "pip", "tillbook": "cli", "npm": "ci",
    "python": "python", "python3": "python",
}  # fmt: skip


def prove(kind: str, text: str) -> None:
    """Checks the commands of a text. Raises Unproven, also for an unknown kind, and CannotAskError."""
    if kind not in KINDS:
        raise Unproven(f"there is no proof={kind}; there are {', '.join(KINDS)}")
    found = split(text)
    _check(found, "there is no command")
    for words in found:
        KINDS[kind](words)


def mentioned(span: str) -> list[tuple[str, Words]]:
    """The commands in a code span, each with its kind of proof. Empty if the span is not a command."""
    if not re.match(r"(?:\.venv/bin/)?(?:make|sam|aws|git|pip|tillbook|npm|python3?|cd) [\w./-]", span):
        return []
    found, folder = [], ""
    for words in split(span):
        if words[0] == "cd" and len(words) == 2:
            _check((ROOT / words[1]).is_dir(), f"there is no folder {words[1]}")
            folder = words[1]
            continue
        kind = BY_PROGRAM.get(Path(words[0]).name)
        if kind is None:
            continue
        # Placeholders are not checked.
        checked = [word for word in words if "…" not in word and word != "..."]
        # .ci/run and the workflows write `cd folder && npm ci` as `npm ci --prefix folder`.
        found.append((kind, [*checked, "--prefix", folder] if kind == "ci" and folder else checked))
    return found
