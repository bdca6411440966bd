"""The structure of the code: thin functions, imports between packages, and a template that matches the code."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from tests.handlers import template
from tillbook.web import configuring, managing, reading, routes

APPS = sorted((template.ROOT / "functions").glob("*/app.py"))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports must be absolute, so that this test sees their package"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("app", APPS, ids=lambda path: path.parent.name)
def test_a_function_is_short_and_imports_no_package_but_the_shared_one(app: Path) -> None:
    assert len(app.read_text().splitlines()) <= 60
    # The others are modules of the standard library.
    assert {name.partition(".")[0] for name in _imports(app)} <= {"tillbook", "typing", "pathlib", "__future__"}
    assert app.read_text().startswith('"""')


def test_a_script_of_the_page_has_at_most_400_lines() -> None:
    scripts = (template.ROOT / "functions/transactions_page/page").glob("*.js")
    lengths = {script.name: len(script.read_text().splitlines()) for script in scripts}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_the_template_and_the_folder_have_the_same_functions() -> None:
    assert {path.parent.name for path in APPS} == {Path(f["CodeUri"]).name for f in template.functions().values()}


@pytest.mark.parametrize("name", template.functions())
def test_each_function_of_the_template_has_a_handler(name: str) -> None:
    assert callable(importlib.import_module(template.module(name)).handler)


def test_the_shared_package_imports_nothing_of_functions_tests_local_or_cli() -> None:
    for path in (template.ROOT / "layers/shared/tillbook").rglob("*.py"):
        assert not any(name.startswith(("functions", "tests", "local", "cli")) for name in _imports(path))


def test_there_is_one_writer_of_the_ledger() -> None:
    """Transactions are sent by ledger/commit.py only (and by records/keys.py, which writes RecordsTable)."""
    package = template.ROOT / "layers/shared/tillbook"
    source = {p.relative_to(package).as_posix(): p.read_text() for p in package.rglob("*.py")}
    assert {name for name, text in source.items() if ".transact_write_items(" in text} == {
        "ledger/commit.py",
        "records/keys.py",
    }
    # No module that writes without a transaction names the ledger's table. In ledger/, only the sweep of purged scopes
    # writes without a transaction.
    without_transaction = re.compile(r"\.(put_item|update_item|delete_item|batch_write_item)\b")
    for name, text in source.items():
        assert not (without_transaction.search(text) and "ledger_table" in text), name
    of_the_ledger = {
        name: set(without_transaction.findall(text)) for name, text in source.items() if name.startswith("ledger/")
    }
    assert {name: found for name, found in of_the_ledger.items() if found} == {"ledger/upkeep.py": {"batch_write_item"}}


def test_every_condition_of_the_ledger_is_declared_in_one_module() -> None:
    package = template.ROOT / "layers/shared/tillbook"
    found = {path.name for path in (package / "ledger").glob("*.py") if '"ConditionExpression"' in path.read_text()}
    assert found == {"writes.py"}


def _routes_of(*functions: str) -> set[str]:
    """The routes of functions in the template, with `{name}` for a path parameter `{name+}`."""
    return {route.replace("+}", "}") for route, name in template.named_routes().items() if name in functions}


def test_the_routes_are_those_of_the_template() -> None:
    assert {*routes.ROUTES, *routes.PAGES} == {route.replace("+}", "}") for route in template.routes()}
    assert set(reading._ROUTES) == _routes_of("Read")
    assert set(managing._ROUTES) == _routes_of("Manage")
    assert set(configuring._ROUTES) == _routes_of("Configure")


def test_order_routes_need_an_ingest_key_and_the_others_an_admin_key_except_two() -> None:
    ingest = _routes_of("SubmitOrder", "EditOrder", "DeleteOrder", "RecordActivity")
    assert {route for route, one in routes.ROUTES.items() if one.role == "ingest"} == ingest
    assert {route for route, one in routes.ROUTES.items() if not one.role} == {
        "GET /openapi.json", "POST /connect/{account_id}/{connection}",
    }  # fmt: skip
    assert {one.role for one in routes.ROUTES.values()} == {"ingest", "admin", ""}


def test_the_environment_variables_that_are_read_are_those_of_the_template() -> None:
    package = template.ROOT / "layers/shared/tillbook"
    read = set(re.findall(r'env(?:iron)?\["(\w+)"\]', (package / "aws/settings.py").read_text()))
    # aws/start.py reads PLAIN_START, before the settings exist. The other two are read by packages.
    own = {name for f in template.functions().values() for name in f.get("Environment", {}).get("Variables", {})}
    assert read | {"PLAIN_START", "POWERTOOLS_SERVICE_NAME", "PYDANTIC_DISABLE_PLUGINS"} == own | set(
        template.load()["Globals"]["Function"]["Environment"]["Variables"]
    )
    for path in package.rglob("*.py"):
        assert path.name in ("settings.py", "start.py") or "environ" not in path.read_text()


def test_settings_agree_with_the_queue() -> None:
    variables = template.load()["Globals"]["Function"]["Environment"]["Variables"]
    queue = template.resources("AWS::SQS::Queue")["OrdersQueue"]
    assert int(variables["QUEUE_RETENTION_SECONDS"]) == queue["MessageRetentionPeriod"]
    assert int(variables["MAX_TRIES"]) == queue["RedrivePolicy"]["maxReceiveCount"] == 5


# The folders of the shared package: each imports only itself and those before it.
_FOLDERS = ("rules", "aws", "ledger", "contract", "records", "views", "work", "web")


def test_every_module_is_in_a_known_folder() -> None:
    package = template.ROOT / "layers/shared/tillbook"
    assert {path.name for path in package.iterdir() if path.name != "__pycache__"} == {*_FOLDERS, "__init__.py"}


@pytest.mark.parametrize("folder", _FOLDERS)
def test_a_folder_imports_only_itself_and_those_before_it(folder: str) -> None:
    allowed = {folder, *_FOLDERS[: _FOLDERS.index(folder)]}
    for path in (template.ROOT / "layers/shared/tillbook" / folder).rglob("*.py"):
        for name in _imports(path):
            package, _, module = name.partition(".")
            if package == "tillbook":
                assert module.partition(".")[0] in allowed, f"{path.name} imports {name}"
