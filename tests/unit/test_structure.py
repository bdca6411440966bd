"""The shape of the repository: thin functions, and a template that says what the code does."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from tests.handlers import template

APPS = sorted((template.ROOT / "functions").glob("*/app.py"))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import leads into another function"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("app", APPS, ids=lambda path: path.parent.name)
def test_a_function_fits_one_screen_and_imports_the_shared_package_only(app: Path) -> None:
    assert len(app.read_text().splitlines()) <= 60
    assert {name.partition(".")[0] for name in _imports(app)} <= {"tillbook", "typing", "pathlib", "__future__"}
    assert app.read_text().startswith('"""')


def test_every_function_is_in_the_template_and_the_other_way_round() -> None:
    assert {path.parent.name for path in APPS} == {Path(f["CodeUri"]).name for f in template.functions().values()}


@pytest.mark.parametrize("name", template.functions())
def test_each_function_of_the_template_has_a_handler(name: str) -> None:
    assert callable(importlib.import_module(template.module(name)).handler)


def test_the_shared_package_imports_no_function() -> None:
    for path in (template.ROOT / "layers/shared/tillbook").glob("*.py"):
        assert not any(name.startswith(("functions", "tests", "local", "cli")) for name in _imports(path))


def test_there_is_one_writer_of_the_ledger() -> None:
    """Transactions stand in the ledger's module (and in that of keys, which writes the other table)."""
    package = template.ROOT / "layers/shared/tillbook"
    source = {path.name: path.read_text() for path in package.glob("*.py")}
    assert {name for name, text in source.items() if ".transact_write_items(" in text} == {"ledger.py", "keys.py"}
    # Who writes single items does not know the ledger's table.
    single = re.compile(r"\.(put_item|update_item|delete_item|batch_write_item)\(")
    for name, text in source.items():
        assert not (single.search(text) and "ledger_table" in text), name


def test_reading_answers_every_route_that_the_template_gives_it() -> None:
    from tillbook import reading

    assert set(reading._ROUTES) == {route for route, name in template.named_routes().items() if name == "Read"}


def test_the_fallback_knows_the_template_s_routes() -> None:
    source = ast.parse((template.ROOT / "functions/fallback/app.py").read_text())
    (table,) = [node for node in ast.walk(source) if isinstance(node, ast.Dict)]
    known = {path: set(methods.split(", ")) for path, methods in ast.literal_eval(table).items()}
    expected: dict[str, set[str]] = {}
    for route in template.routes():
        method, _, path = route.partition(" ")
        expected.setdefault(path, set()).add(method)
    assert known == expected


def test_the_order_routes_serve_ingest_keys_and_the_others_admin_keys() -> None:
    roles = {
        name: re.search(r'role="(\w+)"', (template.ROOT / f["CodeUri"] / "app.py").read_text())
        for name, f in template.functions().items()
    }
    told = {name: found[1] for name, found in roles.items() if found}
    assert told["SubmitOrder"] == told["EditOrder"] == told["DeleteOrder"] == told["RecordActivity"] == "ingest"
    assert told["Read"] == "admin"


def test_every_environment_variable_that_is_read_is_set_in_the_template() -> None:
    package = template.ROOT / "layers/shared/tillbook"
    read = set(re.findall(r'env(?:iron)?\["(\w+)"\]', (package / "settings.py").read_text()))
    # Before anything is imported, one is read elsewhere: whether to start as everybody does. And one may be missing.
    assert read | {"PLAIN_START", "STACK_NAME"} <= set(
        template.load()["Globals"]["Function"]["Environment"]["Variables"]
    )
    for path in package.glob("*.py"):
        assert path.name in ("settings.py", "start.py") or "environ" not in path.read_text()


def test_settings_agree_with_the_queue() -> None:
    variables = template.load()["Globals"]["Function"]["Environment"]["Variables"]
    queue = template.resources("AWS::SQS::Queue")["OrdersQueue"]
    assert int(variables["QUEUE_RETENTION_SECONDS"]) == queue["MessageRetentionPeriod"]
    assert int(variables["MAX_TRIES"]) == queue["RedrivePolicy"]["maxReceiveCount"] == 5


def test_the_names_of_an_activity_are_those_that_are_checked() -> None:
    """activity.py lists them, so that reading and processing import no checks."""
    from tillbook import activity, shopper_activity

    assert set(shopper_activity.ORDER_ACTIVITY.fields) == activity.FIELDS
    assert set(shopper_activity.ITEM.fields) == activity.ITEM_FIELDS
