"""The local stack lets MiniStack's query read only the items of the key condition. The answer stays the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ministack.services import dynamodb

from local.key_conditions import narrowed, parsed

TABLE = "test-key-conditions"
SORT_KEYS = ["a", "b", "ba", "bé", "c", "ca", "ca!", "d", "😀", "\uffff"]
VALUES = {":pk": "p", ":a": "b", ":b": "ca"}
CONDITIONS = [
    "pk = :pk AND begins_with(sk, :a)",
    "pk = :pk AND sk BETWEEN :a AND :b",
    "pk = :pk AND sk < :a",
    "pk = :pk AND sk <= :a",
    "pk = :pk AND sk > :a",
    "pk = :pk AND sk >= :a",
]
Query = Callable[[Any], Any]


@pytest.fixture
def table() -> Iterator[None]:
    keys = [("pk", "HASH"), ("sk", "RANGE")]
    request = {
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
    }
    assert dynamodb._create_table(request)[0] == 200
    for pk, sk in itertools.product("pq", SORT_KEYS):
        assert dynamodb._put_item({"TableName": TABLE, "Item": {"pk": {"S": pk}, "sk": {"S": sk}}})[0] == 200
    yield
    dynamodb._delete_table({"TableName": TABLE})


def answer_of(query: Query, condition: str, **more: Any) -> tuple[int, Any]:
    """Status and body of the answer to a query with this condition and the values that it names."""
    used = {name: {"S": value} for name, value in VALUES.items() if f"{name} " in f"{condition} ".replace(")", " ")}
    request = {"TableName": TABLE, "KeyConditionExpression": condition, "ExpressionAttributeValues": used} | more
    status, _, body = query(request)
    return status, json.loads(body)


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("forward", [True, False])
def test_a_narrowed_query_has_the_answer_of_ministack(condition: str, forward: bool) -> None:
    assert parsed(condition)
    narrow, more = narrowed(dynamodb._query, dynamodb._tables), {"ScanIndexForward": forward}
    status, expected = answer_of(dynamodb._query, condition, **more)
    assert status == 200
    assert 0 < expected["Count"] < len(SORT_KEYS)
    assert answer_of(narrow, condition, **more) == (status, expected)
    pages = []
    for query in (dynamodb._query, narrow):
        found, start = [], dict[str, Any]()
        while True:
            _, page = answer_of(query, condition, Limit=2, **more, **start)
            found.append(page)
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        pages.append(found)
    assert pages[0] == pages[1]
    assert len(dynamodb._tables[TABLE]["items"]) == 2  # the table still has both partitions


@pytest.mark.usefixtures("table")
def test_a_narrowed_query_reads_only_items_of_the_condition() -> None:
    seen = []

    def query(request: Any) -> Any:
        seen.append(dict(dynamodb._tables[TABLE]["items"]))
        return dynamodb._query(request)

    answer_of(narrowed(query, dynamodb._tables), CONDITIONS[0])
    assert {pk: list(items) for pk, items in seen[0].items()} == {"p": ["b", "ba", "bé"]}


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    "request_",
    [
        {"KeyConditionExpression": "pk = :pk"},
        {"KeyConditionExpression": "pk = :pk AND sk = :a"},
        {"KeyConditionExpression": "pk = :pk AND name > :a"},
        {"KeyConditionExpression": CONDITIONS[0], "ExpressionAttributeValues": {":pk": {"N": "1"}, ":a": {"S": "b"}}},
        {"KeyConditionExpression": CONDITIONS[0], "ExpressionAttributeValues": {":pk": {"S": "p"}}},
        {"KeyConditionExpression": CONDITIONS[0], "IndexName": "none"},
        {"KeyConditionExpression": CONDITIONS[0], "TableName": "none"},
        {"TableName": TABLE},
    ],
)
def test_other_requests_have_the_answer_of_ministack(request_: dict[str, Any]) -> None:
    request = {"TableName": TABLE, "ExpressionAttributeValues": {":pk": {"S": "p"}, ":a": {"S": "b"}}} | request_
    assert narrowed(dynamodb._query, dynamodb._tables)(request) == dynamodb._query(request)
