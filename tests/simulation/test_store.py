"""Compares the store, call by call, with a real engine, and tests the queues.

The engine is the one that DYNAMODB_ENDPOINT names, else MiniStack.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import template
from local.stack import ROOT
from tests.concurrency.engine import ENDPOINT, Engine, engine
from tests.simulation.calls import RandomCalls
from tests.simulation.deployment import LEDGER, LEDGER_INDEXES
from tests.simulation.expressions import RESERVED, Unknown, number
from tests.simulation.queues import SQS
from tests.simulation.store import DynamoDB

OPERATIONS = 1000


@pytest.fixture(scope="module")
def real() -> Iterator[Engine]:
    with engine(connections=1) as running:
        yield running


@pytest.fixture
def store() -> DynamoDB:
    made = DynamoDB()
    made.add_table(LEDGER, **LEDGER_INDEXES)
    return made


def test_the_store_has_the_indexes_of_the_template_which_project_only_keys(store: DynamoDB) -> None:
    properties = template.load(ROOT / "template.yaml")["Resources"]["LedgerTable"]["Properties"]
    indexes = {
        index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"])
        for index in properties["GlobalSecondaryIndexes"]
    }
    assert {name: index.names for name, index in store.tables[LEDGER].indexes.items()} == indexes
    assert all(index["Projection"] == {"ProjectionType": "KEYS_ONLY"} for index in properties["GlobalSecondaryIndexes"])


# ---------------------------------------------------------------- random calls


def _retargeted(arguments: Any, name: str) -> Any:
    """The arguments with the name of the engine's table in place of LEDGER."""
    if isinstance(arguments, dict):
        return {(name if k == LEDGER else k): _retargeted(v, name) for k, v in arguments.items()}
    if isinstance(arguments, list):
        return [_retargeted(entry, name) for entry in arguments]
    return name if arguments == LEDGER else arguments


def _outcome(call: Any, arguments: dict[str, Any], table: str) -> Any:
    """The answer of a call, or the code and the returned items of its error, so that two engines can be compared."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        response: dict[str, Any] = dict(error.response)
        reasons = response.get("CancellationReasons")
        found = [(reason.get("Code"), reason.get("Item")) for reason in reasons] if reasons else response.get("Item")
        return response["Error"]["Code"], _numbers_by_value(found)
    answer = _numbers_by_value(
        {k: v for k, v in answer.items() if k in ("Item", "Items", "Responses", "Count", "LastEvaluatedKey")}
    )
    if "Responses" in answer:
        answer["Responses"] = sorted(answer["Responses"][table], key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
    return answer


def _numbers_by_value(value: Any) -> Any:
    """The value with canonical numbers: MiniStack returns numbers as they were sent, DynamoDB in canonical form."""
    if isinstance(value, dict):
        if set(value) == {"N"}:
            return {"N": number(value["N"])}
        return {name: _numbers_by_value(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_by_value(entry) for entry in value]
    return value


def test_random_calls_are_answered_as_by_a_real_engine(real: Engine, store: DynamoDB) -> None:
    calls = RandomCalls(int(os.environ.get("SEED", "1")))
    for count in range(OPERATIONS):
        operation, arguments = calls.next()
        theirs = _outcome(getattr(real.client, operation), _retargeted(arguments, real.table), real.table)
        ours = _outcome(getattr(store, operation), arguments, LEDGER)
        if operation == "query" and arguments.get("IndexName") and isinstance(ours, dict):
            # DynamoDB does not define the order of entries that share their index key.
            theirs, ours = _unordered(theirs), _unordered(ours)
        assert ours == theirs, f"call {count}: {operation} {arguments}"
        while (
            operation == "query"
            and isinstance(ours, dict)
            and "LastEvaluatedKey" in ours
            and "IndexName" not in arguments
        ):
            arguments = arguments | {"ExclusiveStartKey": ours["LastEvaluatedKey"]}
            theirs = _outcome(real.client.query, _retargeted(arguments, real.table), real.table)
            ours = _outcome(store.query, arguments, LEDGER)
            assert ours == theirs, f"call {count}, next page: {arguments}"


def _unordered(answer: Any) -> Any:
    """(whether more pages follow, sorted stamps, sorted keys) of an answer; an error is not changed.

    A page that is not the last has no keys: engines may choose different ones among the entries of its last stamp.
    """
    if not isinstance(answer, dict):
        return answer
    cut = "LastEvaluatedKey" in answer
    places = sorted(item.get("stamp", {"S": ""})["S"] for item in answer["Items"])
    items = sorted((item["pk"]["S"], item["sk"]["S"]) for item in answer["Items"])
    return (cut, places) if cut else (cut, places, items)


# ---------------------------------------------------------------- single calls


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": ""}}}),
        ("put_item", {"Item": {"pk": {"S": "a"}}}),
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}, "timeline": {"N": "1"}, "stamp": {"S": "1"}}}),
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}, "x": {"N": "1" * 39}}}),
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}, "x": {"B": b"x" * 410_000}}}),
        ("update_item", {"Key": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "UpdateExpression": "SET sk = :a",
                         "ExpressionAttributeValues": {":a": {"S": "c"}}}),
        ("update_item", {"Key": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "UpdateExpression": "SET x = :a ADD x :a",
                         "ExpressionAttributeValues": {":a": {"N": "1"}}}),
        ("get_item", {"Key": {"pk": {"S": "a"}}}),
    ],
)  # fmt: skip
def test_calls_that_dynamodb_refuses_are_refused(
    real: Engine, store: DynamoDB, operation: str, arguments: dict[str, Any]
) -> None:
    assert _outcome(getattr(store, operation), {"TableName": LEDGER, **arguments}, LEDGER)[0] == "ValidationException"
    if os.environ.get(ENDPOINT):  # MiniStack accepts an update that changes an attribute twice
        theirs = _outcome(getattr(real.client, operation), {"TableName": real.table, **arguments}, real.table)
        assert theirs[0] == "ValidationException"


@pytest.mark.parametrize(
    "expressions",
    [
        {"ConditionExpression": "w = :a", "ExpressionAttributeValues": {":b": {"S": "x"}}},
        {"ConditionExpression": "attribute_exists(pk)", "ExpressionAttributeValues": {":a": {"S": "x"}}},
        {"ConditionExpression": "attribute_exists(#a)", "ExpressionAttributeNames": {"#a": "pk", "#b": "sk"}},
    ],
)
def test_placeholders_must_be_defined_and_used(real: Engine, store: DynamoDB, expressions: dict[str, Any]) -> None:
    arguments = {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}, **expressions}
    assert _outcome(store.put_item, {"TableName": LEDGER, **arguments}, LEDGER)[0] == "ValidationException"
    theirs = _outcome(real.client.put_item, {"TableName": real.table, **arguments}, real.table)
    assert theirs[0] == "ValidationException"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "ConditionExpression": "size(pk) > :a"}),
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "ConditionExpression": "a.b = :a"}),
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "ConditionExpression": "attribute_exists(pk"}),
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "ConditionExpression": "w = :a w"}),
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "ReturnConsumedCapacity": "TOTAL"}),
        ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}, "l": {"L": []}}}),
        ("update_item", {"Key": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "UpdateExpression": "DELETE a :b"}),
        ("query", {"KeyConditionExpression": "pk = :a AND sk BETWEEN :b OR :c", "ExpressionAttributeValues": {}}),
    ],
)
def test_unknown_arguments_expressions_and_types_raise_unknown(
    store: DynamoDB, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(Unknown):
        getattr(store, operation)(TableName=LEDGER, **arguments)


_ITEM_KEY = {"pk": {"S": "a/o/1"}, "sk": {"S": "x~"}}


@pytest.mark.parametrize("word", ["at", "to", "do", "Status", "TTL", "count"])
@pytest.mark.parametrize(
    ("operation", "expressions"),
    [
        ("update_item", {"UpdateExpression": "SET {} = :a"}),
        ("update_item", {"UpdateExpression": "ADD {} :a"}),
        ("update_item", {"UpdateExpression": "SET w = :a", "ConditionExpression": "attribute_not_exists({})"}),
        ("delete_item", {"ConditionExpression": "{} = :a"}),
        ("query", {"KeyConditionExpression": "pk = :a", "ProjectionExpression": "sk, {}"}),
    ],
)
def test_a_reserved_word_needs_a_placeholder(
    store: DynamoDB, word: str, operation: str, expressions: dict[str, str]
) -> None:
    """AWS refuses these words. MiniStack accepts some of them, so it is not compared here."""

    def call(name: str, names: dict[str, Any]) -> Any:
        arguments: dict[str, Any] = {kind: text.format(name) for kind, text in expressions.items()}
        value = {"S": "a"} if operation == "query" else {"N": "1"}
        if any(":a" in text for text in arguments.values()):
            arguments["ExpressionAttributeValues"] = {":a": value}
        if operation != "query":
            arguments["Key"] = _ITEM_KEY
        return getattr(store, operation)(TableName=LEDGER, **arguments, **names)

    with pytest.raises(ClientError) as refused:
        call(word, {})
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert word in refused.value.response["Error"]["Message"]
    with suppress(store.exceptions.ConditionalCheckFailedException):
        call("#word", {"ExpressionAttributeNames": {"#word": word}})


def test_a_transaction_with_a_reserved_word_is_refused_as_a_whole(store: DynamoDB) -> None:
    put: dict[str, Any] = {"TableName": LEDGER, "Item": _ITEM_KEY}
    delete = {
        "TableName": LEDGER,
        "Key": _ITEM_KEY | {"sk": {"S": "y~"}},
        "ConditionExpression": "attribute_exists(at)",
    }
    with pytest.raises(ClientError) as refused:
        store.transact_write_items(TransactItems=[{"Put": put}, {"Delete": delete}])
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert not store.tables[LEDGER].items


def test_the_list_of_reserved_words_is_complete() -> None:
    assert len(RESERVED) == 573
    assert {"ABORT", "AT", "COUNTER", "DO", "NAME", "SOURCE", "STATUS", "TO", "TTL", "ZONE"} <= RESERVED
    assert not {"PK", "SK", "W", "ID", "M", "N", "CUT"} & RESERVED


def test_a_transaction_that_writes_an_item_twice_is_refused(real: Engine, store: DynamoDB) -> None:
    put = {"Put": {"TableName": LEDGER, "Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}}}
    assert _outcome(store.transact_write_items, {"TransactItems": [put, put]}, LEDGER)[0] == "ValidationException"
    arguments = _retargeted({"TransactItems": [put, put]}, real.table)
    assert _outcome(real.client.transact_write_items, arguments, real.table)[0] == "ValidationException"


def test_numbers_are_returned_in_canonical_form() -> None:
    assert [number(text) for text in ("1.50", "-0", "1e3", "0.0001", "100", "0E-5", "-7.0")] == [
        "1.5", "0", "1000", "0.0001", "100", "0", "-7",
    ]  # fmt: skip


def test_an_eventually_consistent_read_may_miss_the_latest_write(store: DynamoDB) -> None:
    key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    store.put_item(TableName=LEDGER, Item=key | {"w": {"S": "1"}})
    store.put_item(TableName=LEDGER, Item=key | {"w": {"S": "2"}})
    store.lagging = lambda: True
    assert store.get_item(TableName=LEDGER, Key=key)["Item"]["w"] == {"S": "1"}
    assert store.get_item(TableName=LEDGER, Key=key, ConsistentRead=True)["Item"]["w"] == {"S": "2"}


# ------------------------------------------------------------------------- SQS


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_message_is_visible_after_its_delay_and_again_after_the_visibility_timeout() -> None:
    clock = _Clock()
    queue = SQS(clock, url="q", visibility_seconds=30)
    queue.send_message(QueueUrl="q", MessageBody="m", DelaySeconds=2)
    assert queue.visible() == []
    clock.now = 2
    (record,) = queue.receive(queue.visible())
    assert (record["body"], record["attributes"]["ApproximateReceiveCount"]) == ("m", "1")
    assert queue.visible() == []
    clock.now = 32
    (record,) = queue.receive(queue.visible())
    assert record["attributes"]["ApproximateReceiveCount"] == "2"
    queue.delete(record)
    clock.now = 100
    assert queue.visible() == []


def test_a_message_received_too_often_becomes_a_dead_letter_that_can_be_redriven() -> None:
    clock = _Clock()
    queue = SQS(clock, url="q", visibility_seconds=1, max_receives=2)
    queue.send_message(QueueUrl="q", MessageBody="m")
    for clock.now in (0, 2):
        assert len(queue.receive(queue.visible())) == 1
    clock.now = 4
    assert queue.receive(queue.visible()) == []
    assert [message.body for message in queue.dead_letters] == ["m"]
    assert queue.redrive() == 1
    (record,) = queue.receive(queue.visible())
    assert record["attributes"]["ApproximateReceiveCount"] == "1"


@pytest.mark.parametrize("body", ["", "\x00", "\ufffe", "x" * (1024 * 1024 + 1)])
def test_a_message_body_that_sqs_refuses_is_refused(body: str) -> None:
    with pytest.raises(ClientError):
        SQS(_Clock(), url="q").send_message(QueueUrl="q", MessageBody=body)
