"""Provides the tables and queues of template.yaml on moto, empty for each test.

KeepBook uses one thread here, because concurrent calls to moto can lose updates.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.client import BaseClient
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends
from moto.sqs.models import sqs_backends
from moto.ssm.models import ssm_backends

from tests.handlers import shortcuts, template
from tests.handlers.clock import Clock
from tests.handlers.ledger import Waits
from tests.handlers.rights import USED_RIGHTS
from tests.handlers.shop import Faults, Shop, forget_clients, forget_warm_state
from tests.handlers.webhooks import NOW, Connected
from tests.log import follow_stdout
from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.ledger.ledger import Ledger
from tillbook.rules import times
from tillbook.work import book

_HERE = Path(__file__).parent
_TABLE_NAMES = {name: name for name in template.resources("AWS::DynamoDB::Table")}
_QUEUE_URLS = {
    name: f"https://sqs.us-east-1.amazonaws.com/123456789012/{name}" for name in template.resources("AWS::SQS::Queue")
}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs test_rights.py last, because it checks the calls of all tests in this folder."""
    here = [item for item in items if item.path.parent == _HERE]
    here.sort(key=lambda item: item.path.name == "test_rights.py")
    positions = [index for index, item in enumerate(items) if item.path.parent == _HERE]
    for index, item in zip(positions, here, strict=True):
        items[index] = item


@pytest.fixture(scope="session")
def _aws() -> Iterator[None]:
    """Creates tables, queues and the event bus once for all tests, and records the rights that functions use."""
    patch = pytest.MonkeyPatch()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        patch.setenv(name, "testing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.delenv("AWS_ENDPOINT_URL", raising=False)
    template.allow_transactions_of_100(patch)
    for name, value in template.environment(_TABLE_NAMES, _QUEUE_URLS).items():
        patch.setenv(name, value)
    patch.setenv("EVENT_BUS", "tillbook")
    forget_clients()
    shortcuts.apply(patch)
    patch.setattr(book, "_THREADS", 1)
    with mock_aws():
        shortcuts.call_directly(clients.dynamodb())
        shortcuts.call_directly(clients.sqs())
        template.create_tables(clients.dynamodb())
        clients.events().create_event_bus(Name="tillbook")
        assert template.create_queues(clients.sqs()) == _QUEUE_URLS
        for function in template.functions():
            module = importlib.import_module(template.module(function))
            patch.setattr(module, "handler", USED_RIGHTS.handler(function, module.handler))
        yield
    forget_clients()
    patch.undo()


def empty() -> None:
    """Empties tables, queues and parameters in moto's memory. Deleting items one by one would take far longer."""
    for backends in (dynamodb_backends, sqs_backends):
        backend = backends["123456789012"]["us-east-1"]
        for dynamodb_table in getattr(backend, "tables", {}).values():
            dynamodb_table.items.clear()
        for queue in getattr(backend, "queues", {}).values():
            queue._messages.clear()
            queue.pending_messages.clear()
            queue.deleted_messages.clear()
            queue.pending_message_groups.clear()
    ssm_backends["123456789012"]["us-east-1"]._parameters.clear()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Passes each call to the mocked AWS through a new Faults, which records it and may make it fail."""
    made, original = Faults(), BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: BaseClient, operation: str, arguments: dict[str, object]) -> object:
        return made.call(lambda *a: original(client, *a), operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all stamps and request ids in a test."""
    made = Clock()
    monkeypatch.setattr(times, "time", made)
    return made


@pytest.fixture
def shop(_aws: None, faults: Faults, clock: Clock, request: pytest.FixtureRequest) -> Shop:
    follow_stdout()
    USED_RIGHTS.test = request.node.name
    empty()
    forget_warm_state()
    shop = Shop(faults, _QUEUE_URLS, clock)
    faults.calls.clear()
    return shop


@pytest.fixture
def connected(shop: Shop) -> Connected:
    shop.clock.set(NOW)
    return Connected(shop)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def ledger(shop: Shop, waits: Waits) -> Ledger:
    return Ledger(shop.dynamodb, settings().ledger_table, waits.pace())
