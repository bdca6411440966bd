"""Each function may make the calls that it makes: those seen while it serves, against its policy in the template."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.handlers import template
from tests.handlers.shop import ACCOUNT, Shop, forget_keys
from tests.handlers.test_processing import poisoned
from tests.handlers.test_shopper_activity import EMAIL, day, event

ORDER = {"order_id": "o-1", "order_date": "2019-09-05", "customer_email": EMAIL, "total": 100}
SINGLE = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def needed(operation: str, arguments: dict[str, Any]) -> set[tuple[str, str]]:
    """(IAM action, resource) of one call; a transaction or a batch needs those of its parts."""
    if operation == "TransactWriteItems":
        return {
            (f"dynamodb:{SINGLE[kind]}", write["TableName"])
            for item in arguments["TransactItems"]
            for kind, write in item.items()
        }
    if operation in ("BatchGetItem", "BatchWriteItem"):
        return {(f"dynamodb:{operation}", name) for name in arguments["RequestItems"]}
    if operation.startswith("SendMessage"):
        return {("sqs:SendMessage", arguments["QueueUrl"].rpartition("/")[2])}
    resource = arguments["TableName"]
    if "IndexName" in arguments:
        resource += f"/index/{arguments['IndexName']}"
    return {(f"dynamodb:{operation}", resource)}


def granted(function: str) -> set[tuple[str, str]]:
    grants = set()
    for policy in template.functions()[function].get("Policies", []):
        for statement in policy["Statement"]:
            actions, resources = statement["Action"], statement["Resource"]
            for action in actions if isinstance(actions, list) else [actions]:
                for resource in resources if isinstance(resources, list) else [resources]:
                    name = resource.get("Fn::GetAtt") or resource["Fn::Sub"]
                    name = name[0] if isinstance(name, list) else name
                    grants.add((action, name.replace("${", "").replace(".Arn}", "").removesuffix(".Arn")))
    return grants


@pytest.fixture
def watched(shop: Shop) -> Callable[[str], Any]:
    @contextmanager
    def watch(function: str) -> Iterator[None]:
        forget_keys()
        calls: list[tuple[str, dict[str, Any]]] = []

        def intercept(index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
            if operation not in ("ReceiveMessage", "DeleteMessage"):  # the event source's, granted by SAM
                calls.append((operation, arguments))
            return go()

        with shop.faults.injected(intercept):
            yield
        wanted = set().union(*(needed(*call) for call in calls))
        assert wanted, "nothing was called"
        assert wanted <= granted(function), f"{function} calls what it may not: {wanted - granted(function)}"

    return watch


def test_submit(shop: Shop, watched: Any) -> None:
    with watched("SubmitOrder"):
        statuses = [shop.submit(body).status for body in (ORDER, ORDER, ORDER | {"total": 1}, {})]
    assert statuses == [201, 201, 409, 400]
    shop.delete("o-1")
    with watched("SubmitOrder"):
        assert shop.submit(ORDER).status == 201


def test_edit_and_delete(shop: Shop, watched: Any) -> None:
    shop.submit(ORDER)
    with watched("EditOrder"):
        assert shop.edit("o-1", {"total": 1, "customer_email": "other@b.co", "currency": "EUR"}).status == 200
        assert shop.edit("o-1", {"total": 1}).status == 200
        assert shop.edit("none", {"total": 1}).status == 404
    with watched("DeleteOrder"):
        assert shop.delete("o-1").status == 200
        assert shop.delete("o-1").status == 404


def test_record_activity(shop: Shop, watched: Any) -> None:
    with watched("RecordActivity"):
        assert shop.send(event()).status == 202
        assert shop.send_batch([event(order_id=n) for n in range(150)]).status == 202


def test_process_orders(shop: Shop, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.submit(ORDER)
    shop.submit(ORDER | {"total": 1})
    for key in ({}, {"Idempotency-Key": "k"}):
        for changes in ({}, {"email": "bob@b.co"}, {"email": EMAIL, "occurred_at": day(1)}, {"occurred_at": day(1)}):
            shop.send(event(**changes), headers=key)
    with watched("ProcessOrders"):
        shop.drain()
    # Copies whose first receipt comes last, and an order that ends as a dead letter.
    shop.send(event(order_id="copy"), headers={"Idempotency-Key": "c"})
    shop.send(event(order_id="copy"), headers={"Idempotency-Key": "c"})
    with watched("ProcessOrders"):
        for record in reversed(shop.receive()):
            shop.deliver([record])
    shop.send(event(order_id="bad"))
    poison = poisoned("bad")
    with watched("ProcessOrders"):
        inner = shop.faults.intercept
        assert inner is not None
        shop.faults.intercept = lambda *call: inner(*call[:3], lambda: poison(*call))
        shop.drain(10)
    with watched("ProcessOrders"):
        shop.writers_are_gone(monkeypatch)
        shop.submit(ORDER | {"order_id": "again"}, key="none")  # makes a call in any case


def test_read(shop: Shop, watched: Any) -> None:
    shop.submit(ORDER)
    request_id = shop.send(event(occurred_at=day(1))).body["request_id"]
    shop.drain()
    people, statuses = f"/v3/{ACCOUNT}/people/{EMAIL}", []
    with watched("Read"):
        for path in (
            "/v1/order/o-1",
            people,
            f"{people}/activity",
            f"{people}/orders",
            f"/v3/{ACCOUNT}/orders/shopify/o-1",
            f"/v3/{ACCOUNT}/requests/{request_id}",
            f"/v2/{ACCOUNT}/subscribers/{EMAIL}",
        ):
            statuses.append(shop.get(path).status)
    assert set(statuses) == {200}


def test_the_fallback_calls_nothing(shop: Shop) -> None:
    with shop.faults.recorded() as calls:
        shop.get("/nothing")
    assert calls == []
    assert "Policies" not in template.functions()["Fallback"]


def test_no_right_is_a_wildcard() -> None:
    for name in template.functions():
        for action, resource in granted(name):
            assert "*" not in action + resource, name
