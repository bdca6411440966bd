"""Least privilege: compares the calls that each function made in this test run with the rights of its role.

Runs after all other tests of this folder, because their calls are compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.handlers import template
from tests.handlers.rights import SECRETS, USED_RIGHTS, Right, UsedRights, Write, is_allowed, needed_rights
from tests.infrastructure import rights
from tests.infrastructure.deployed import as_deployed

# Rights that no test can use, with the reason.
UNSEEN: dict[tuple[str, Right], str] = {
    ("KeepBook", ("sqs:SendMessage", "BookDeadLetters")): "Lambda sends with the function's role (OnFailure)",
    ("AnnounceChanges", ("sqs:SendMessage", "AnnouncementsDeadLetters")): "Lambda sends with its role (OnFailure)",
}


def granted(function: str) -> set[Right]:
    """The rights of the function's role. A resource is named by its logical id, as in `LedgerTable/index/timeline`."""
    return {
        (action, SECRETS if ":parameter/" in resource else resource.replace(".Arn}", "").replace("${", ""))
        for action, resource in rights.of_function(as_deployed(), function)
    }


def unseen(function: str, seen: UsedRights) -> set[Right]:
    """The granted rights that were not used, without those that no test can use."""
    explained = {right for name, right in UNSEEN if name == function}
    return granted(function) - set(seen.rights.get(function, {})) - explained


@pytest.fixture
def whole_run(request: pytest.FixtureRequest) -> None:
    """Skips if some tests of this folder were left out, because their calls are unknown."""
    here = Path(__file__).parent
    ran = {item.path.name for item in request.session.items if item.path.parent == here}
    option = request.config.option
    # These expressions leave out no test of this folder, as none has the mark `node` or `browser`.
    harmless = ("", "not node", "not node and not browser")
    if option.keyword or option.markexpr not in harmless or ran < {p.name for p in here.glob("test_*.py")}:
        pytest.skip("not all tests of tests/handlers are in this run")
    if any("::" in argument for argument in request.config.args):
        pytest.skip("only single tests were selected")


@pytest.mark.parametrize("function", template.functions())
def test_every_call_is_allowed_by_the_role(function: str) -> None:
    seen = USED_RIGHTS.rights.get(function, {})
    beyond = {right: test for right, test in seen.items() if right not in granted(function)}
    assert beyond == {}


def _statements(function: str) -> list[dict[str, Any]]:
    role = rights.role_of(as_deployed(), function)
    return [statement for document in rights.documents(role) for statement in rights.statements(document)]


@pytest.mark.parametrize("function", template.functions())
def test_every_write_is_allowed_by_the_conditions_of_the_role(function: str) -> None:
    refused = [write for write in USED_RIGHTS.writes.get(function, ()) if not is_allowed(write, _statements(function))]
    assert refused == []


KEY = "#key/0123456789abcdef"
NEW_KEY = Write("dynamodb:PutItem", "RecordsTable", KEY, frozenset({"pk", "sk", "account", "role"}))
# Writes that the function Read must not make. Of a key, it may write the day of its last use.
FORBIDDEN = {
    "a new key": NEW_KEY,
    "the role of a key": Write("dynamodb:UpdateItem", "RecordsTable", KEY, frozenset({"pk", "sk", "role"})),
    "the revocation of a key": Write("dynamodb:UpdateItem", "RecordsTable", KEY, frozenset({"pk", "sk", "revoked"})),
    "settings": Write("dynamodb:UpdateItem", "RecordsTable", "1234567/a", frozenset({"pk", "sk", "currency"})),
    "a connection": Write("dynamodb:PutItem", "RecordsTable", "1234567/c", frozenset({"pk", "sk", "secret"})),
    "a purge": Write("dynamodb:UpdateItem", "RecordsTable", "1234567/u", frozenset({"pk", "sk", "cut"})),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_read_may_not_write_keys_settings_connections_or_purges(what: str) -> None:
    assert not is_allowed(FORBIDDEN[what], _statements("Read"))


def test_configure_may_create_keys_but_not_record_a_purge() -> None:
    assert is_allowed(NEW_KEY, _statements("Configure"))
    assert not is_allowed(FORBIDDEN["a purge"], _statements("Configure"))


@pytest.mark.usefixtures("whole_run")
@pytest.mark.parametrize("function", template.functions())
def test_every_right_is_used(function: str) -> None:
    assert unseen(function, USED_RIGHTS) == set()


@pytest.mark.usefixtures("whole_run")
def test_calls_of_every_function_with_rights_were_recorded() -> None:
    """TransactionsPage, Describe and Fallback have no rights and make no calls."""
    assert set(USED_RIGHTS.rights) == {name for name in template.functions() if granted(name)}


def test_each_right_that_tests_cannot_use_is_granted() -> None:
    for (function, right), reason in UNSEEN.items():
        assert right in granted(function)
        assert reason


# ---------------------------------------------------- the comparison finds faults


def test_a_right_that_nothing_uses_is_found() -> None:
    seen = UsedRights()
    seen.rights["RecordActivity"] = dict.fromkeys(granted("RecordActivity"), "a test")
    assert unseen("RecordActivity", seen) == set()
    del seen.rights["RecordActivity"][("sqs:SendMessage", "OrdersQueue")]
    assert unseen("RecordActivity", seen) == {("sqs:SendMessage", "OrdersQueue")}


def test_calls_count_for_the_innermost_function() -> None:
    seen = UsedRights()
    item = {"TableName": "LedgerTable"}

    def inner(_event: object, _context: object) -> None:
        seen.call("Query", item | {"IndexName": "timeline"})

    def outer(event: object, context: object) -> None:
        seen.call("GetItem", item)
        seen.handler("Inner", inner)(event, context)
        seen.call("TransactWriteItems", {"TransactItems": [{"Put": item}, {"Delete": {"TableName": "RecordsTable"}}]})

    seen.call("DeleteItem", item)  # a call of the test itself
    seen.handler("Outer", outer)({}, None)
    assert {name: set(found) for name, found in seen.rights.items()} == {
        "Inner": {("dynamodb:Query", "LedgerTable/index/timeline")},
        "Outer": {
            ("dynamodb:GetItem", "LedgerTable"),
            ("dynamodb:PutItem", "LedgerTable"),
            ("dynamodb:DeleteItem", "RecordsTable"),
        },
    }


def test_a_call_needs_rights_on_its_tables_and_queues() -> None:
    queue = {"QueueUrl": "https://sqs/1/OrdersQueue"}
    assert needed_rights("SendMessageBatch", queue) == {("sqs:SendMessage", "OrdersQueue")}
    assert needed_rights("DeleteMessage", queue) == {("sqs:DeleteMessage", "OrdersQueue")}
    batch = {"RequestItems": {"RecordsTable": [], "LedgerTable": []}}
    assert needed_rights("BatchGetItem", batch) == {("dynamodb:BatchGetItem", name) for name in batch["RequestItems"]}
