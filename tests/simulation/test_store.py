"""The simulation's store, call by call against a real engine: MiniStack, and the one that DYNAMODB_ENDPOINT names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import template
from local.stack import ROOT
from tests.concurrency.engine import ENDPOINT, Engine, engine
from tests.simulation.expressions import RESERVED, Unknown, number
from tests.simulation.simulate import LEDGER, LEDGER_INDEXES
from tests.simulation.store import SQS, DynamoDB

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


def test_the_store_has_the_indexes_of_the_template() -> None:
    properties = template.load(ROOT / "template.yaml")["Resources"]["LedgerTable"]["Properties"]
    indexes = {
        index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"])
        for index in properties["GlobalSecondaryIndexes"]
    }
    assert indexes == LEDGER_INDEXES
    assert all(index["Projection"] == {"ProjectionType": "KEYS_ONLY"} for index in properties["GlobalSecondaryIndexes"])


# ------------------------------------------------------------- any calls at all


class _Calls:
    """Random calls over few keys, so that conditions hold and fail about as often."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.pks = [f"a{seed}/o/1", f"a{seed}/p/2"]
        self.sks = ["x!1", "x!2", "x~", "y!1", "y~", "é!", "😀~"]

    def key(self) -> dict[str, Any]:
        return {"pk": {"S": self.random.choice(self.pks)}, "sk": {"S": self.random.choice(self.sks)}}

    def value(self) -> dict[str, Any]:
        return self.random.choice(
            [
                {"S": "w1"}, {"S": "w2"}, {"N": "1"}, {"N": "1.50"}, {"N": "-7.0"}, {"N": "999999999999999.9999"},
                {"N": "1e3"}, {"BOOL": True}, {"B": b"\x00\x01"},
            ]
        )  # fmt: skip

    def item(self) -> dict[str, Any]:
        item = self.key()
        for name in ("w", "n", "k"):
            if self.random.random() < 0.6:
                item[name] = self.value()
        if self.random.random() < 0.6:
            item |= {"timeline": {"S": self.random.choice(self.pks)}, "stamp": {"S": self.random.choice("123") * 3}}
        if self.random.random() < 0.3:
            item["gx"] = {"S": self.random.choice(self.pks)}
        return item

    def condition(self) -> dict[str, Any]:
        choices: list[dict[str, Any]] = [
            {},
            {"ConditionExpression": "attribute_not_exists(pk)"},
            {"ConditionExpression": "attribute_exists(pk)"},
            {"ConditionExpression": "w = :seen", "ExpressionAttributeValues": {":seen": self.value()}},
            {
                "ConditionExpression": "attribute_exists(pk) AND (attribute_not_exists(w) OR w < :seen)",
                "ExpressionAttributeValues": {":seen": {"S": "w2"}},
            },
            {
                "ConditionExpression": "attribute_exists(pk) AND #w <> :seen",
                "ExpressionAttributeNames": {"#w": "w"}, "ExpressionAttributeValues": {":seen": {"S": "w2"}},
            },
            {
                "ConditionExpression": "NOT begins_with(stamp, :seen) OR n >= :n",
                "ExpressionAttributeValues": {":seen": {"S": "1"}, ":n": {"N": "1.5"}},
            },
        ]  # fmt: skip
        chosen = dict(self.random.choice(choices))
        if chosen and self.random.random() < 0.5:
            chosen["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return chosen

    def update(self) -> dict[str, Any]:
        condition = self.condition()
        update, names, values = self.random.choice(
            [
                ("SET w = :a", {}, {":a": self.value()}),
                ("ADD #a0 :a0, m :a1 SET k = :kind", {"#a0": "o.USD"},
                 {":a0": {"N": "10.5"}, ":a1": {"N": "-1"}, ":kind": {"S": "e"}}),
                ("ADD c :a", {}, {":a": {"N": "0.0001"}}),
                ("SET stamp = :a REMOVE k", {}, {":a": {"S": self.random.choice("123")}}),
            ]
        )  # fmt: skip
        merged_names = condition.pop("ExpressionAttributeNames", {}) | names
        merged = condition | {
            "UpdateExpression": update,
            "ExpressionAttributeValues": condition.get("ExpressionAttributeValues", {}) | values,
        }
        return merged | ({"ExpressionAttributeNames": merged_names} if merged_names else {})

    def write(self) -> dict[str, Any]:
        kind = self.random.choice(("Put", "Put", "Update", "Delete"))
        if kind == "Put":
            return {kind: {"TableName": LEDGER, "Item": self.item(), **self.condition()}}
        if kind == "Update":
            return {kind: {"TableName": LEDGER, "Key": self.key(), **self.update()}}
        return {kind: {"TableName": LEDGER, "Key": self.key(), **self.condition()}}

    def query(self) -> dict[str, Any]:
        partition = {"S": self.random.choice(self.pks)}
        condition, index, values = self.random.choice(
            [
                ("pk = :p", None, {}),
                ("pk = :p AND begins_with(sk, :v)", None, {":v": {"S": self.random.choice("xyé")}}),
                ("pk = :p AND sk > :v", None, {":v": {"S": self.random.choice(self.sks)}}),
                ("pk = :p AND sk BETWEEN :v AND :w", None, {":v": {"S": "x!2"}, ":w": {"S": "y!1"}}),
                ("timeline = :p", "timeline", {}),
                ("timeline = :p AND stamp < :v", "timeline", {":v": {"S": "222"}}),
                ("timeline = :p AND stamp > :v", "timeline", {":v": {"S": "111"}}),
                ("gx = :p", "shipping", {}),
            ]
        )  # fmt: skip
        arguments: dict[str, Any] = {
            "TableName": LEDGER, "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {":p": partition, **values},
        }  # fmt: skip
        if index:
            arguments["IndexName"] = index
        else:
            arguments["ConsistentRead"] = True
        if self.random.random() < 0.7 and index != "shipping":
            arguments["ScanIndexForward"] = self.random.random() < 0.5
            arguments["Limit"] = self.random.randint(1, 4)
        if self.random.random() < 0.2:
            arguments |= {"ProjectionExpression": "pk, #s", "ExpressionAttributeNames": {"#s": "sk"}}
        return arguments

    def next(self) -> tuple[str, dict[str, Any]]:
        roll = self.random.random()
        if roll < 0.4:
            writes = [self.write() for _ in range(self.random.choice((1, 1, 2, 3, 4)))]
            # One item twice is refused by all of them (see below), but not by all before its conditions.
            by_key = {_key_of(next(iter(write.values()))): write for write in writes}
            return "transact_write_items", {"TransactItems": list(by_key.values())}
        if roll < 0.55:
            ((kind, arguments),) = self.write().items()
            return {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}[kind], arguments
        if roll < 0.65:
            return "get_item", {"TableName": LEDGER, "Key": self.key(), "ConsistentRead": True}
        if roll < 0.7:
            keys = [self.key() for _ in range(self.random.randint(1, 4))]
            return "batch_get_item", {"RequestItems": {LEDGER: {"Keys": keys, "ConsistentRead": True}}}
        if roll < 0.78:
            puts: list[dict[str, Any]] = [
                {"PutRequest": {"Item": self.item()}} for _ in range(self.random.randint(1, 3))
            ]
            puts += [{"DeleteRequest": {"Key": self.key()}} for _ in range(self.random.randint(0, 1))]
            return "batch_write_item", {"RequestItems": {LEDGER: puts}}
        return "query", self.query()


def _key_of(arguments: dict[str, Any]) -> tuple[str, str]:
    named = arguments.get("Item") or arguments["Key"]
    return named["pk"]["S"], named["sk"]["S"]


def _retargeted(arguments: Any, name: str) -> Any:
    """For the engine's table, whose name is its own."""
    if isinstance(arguments, dict):
        return {(name if k == LEDGER else k): _retargeted(v, name) for k, v in arguments.items()}
    if isinstance(arguments, list):
        return [_retargeted(entry, name) for entry in arguments]
    return name if arguments == LEDGER else arguments


def _outcome(call: Any, arguments: dict[str, Any], name: str) -> Any:
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
        answer["Responses"] = sorted(answer["Responses"][name], key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
    return answer


def _numbers_by_value(value: Any) -> Any:
    """MiniStack gives numbers back as they were sent, DynamoDB in one form."""
    if isinstance(value, dict):
        if set(value) == {"N"}:
            return {"N": number(value["N"])}
        return {name: _numbers_by_value(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_by_value(entry) for entry in value]
    return value


def test_any_calls_are_answered_as_by_a_real_engine(real: Engine, store: DynamoDB) -> None:
    calls = _Calls(int(os.environ.get("SEED", "1")))
    for count in range(OPERATIONS):
        operation, arguments = calls.next()
        theirs = _outcome(getattr(real.client, operation), _retargeted(arguments, real.table), real.table)
        ours = _outcome(getattr(store, operation), arguments, LEDGER)
        if operation == "query" and arguments.get("IndexName") and isinstance(ours, dict):
            # Entries that share their index key come in no order that anybody promises.
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
            assert ours == theirs, f"call {count}, another page: {arguments}"


def _unordered(answer: Any) -> Any:
    if not isinstance(answer, dict):
        return answer
    cut = "LastEvaluatedKey" in answer
    places = sorted(item.get("stamp", {"S": ""})["S"] for item in answer["Items"])
    items = sorted((item["pk"]["S"], item["sk"]["S"]) for item in answer["Items"])
    return (cut, places) if cut else (cut, places, items)


# ------------------------------------------------------------------- one by one


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
def test_what_dynamodb_refuses_is_refused(
    real: Engine, store: DynamoDB, operation: str, arguments: dict[str, Any]
) -> None:
    assert _outcome(getattr(store, operation), {"TableName": LEDGER, **arguments}, LEDGER)[0] == "ValidationException"
    if os.environ.get(ENDPOINT):
        theirs = _outcome(getattr(real.client, operation), {"TableName": real.table, **arguments}, real.table)
        assert theirs[0] == "ValidationException"


@pytest.mark.parametrize(
    "more",
    [
        {"ConditionExpression": "w = :a", "ExpressionAttributeValues": {":b": {"S": "x"}}},
        {"ConditionExpression": "attribute_exists(pk)", "ExpressionAttributeValues": {":a": {"S": "x"}}},
        {"ConditionExpression": "attribute_exists(#a)", "ExpressionAttributeNames": {"#a": "pk", "#b": "sk"}},
    ],
)
def test_placeholders_must_be_defined_and_used(real: Engine, store: DynamoDB, more: dict[str, Any]) -> None:
    arguments = {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}, **more}
    assert _outcome(store.put_item, {"TableName": LEDGER, **arguments}, LEDGER)[0] == "ValidationException"
    if os.environ.get(ENDPOINT):
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
def test_what_the_store_does_not_know_it_says_aloud(store: DynamoDB, operation: str, arguments: dict[str, Any]) -> None:
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
)  # fmt: skip
def test_a_reserved_word_needs_a_placeholder(
    store: DynamoDB, word: str, operation: str, expressions: dict[str, str]
) -> None:
    """As AWS answers; MiniStack takes some of them, so that they are not compared with it."""

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


def test_a_reserved_word_in_a_transaction_refuses_all_of_it(store: DynamoDB) -> None:
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


def test_the_list_of_reserved_words_is_the_published_one() -> None:
    assert len(RESERVED) == 573
    assert {"ABORT", "AT", "COUNTER", "DO", "NAME", "SOURCE", "STATUS", "TO", "TTL", "ZONE"} <= RESERVED
    assert not {"PK", "SK", "W", "ID", "M", "N", "CUT"} & RESERVED


def test_one_item_twice_in_a_transaction_is_refused(real: Engine, store: DynamoDB) -> None:
    put = {"Put": {"TableName": LEDGER, "Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}}}
    assert _outcome(store.transact_write_items, {"TransactItems": [put, put]}, LEDGER)[0] == "ValidationException"
    arguments = _retargeted({"TransactItems": [put, put]}, real.table)
    assert _outcome(real.client.transact_write_items, arguments, real.table)[0] == "ValidationException"


def test_numbers_come_back_in_one_form() -> None:
    assert [number(text) for text in ("1.50", "-0", "1e3", "0.0001", "100", "0E-5", "-7.0")] == [
        "1.5", "0", "1000", "0.0001", "100", "0", "-7",
    ]  # fmt: skip


def test_a_read_that_is_not_consistent_may_find_what_was_before(store: DynamoDB) -> None:
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


def test_a_message_waits_for_its_delay_and_comes_again_after_the_visibility_time_out() -> None:
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


def test_what_is_received_too_often_is_a_dead_letter_that_can_be_sent_again() -> None:
    clock = _Clock()
    queue = SQS(clock, url="q", visibility_seconds=1, max_receives=2)
    queue.send_message(QueueUrl="q", MessageBody="m")
    for clock.now in (0, 2):
        assert len(queue.receive(queue.visible())) == 1
    clock.now = 4
    assert queue.receive(queue.visible()) == []
    assert [message.body for message in queue.dead] == ["m"]
    assert queue.redrive() == 1
    (record,) = queue.receive(queue.visible())
    assert record["attributes"]["ApproximateReceiveCount"] == "1"


@pytest.mark.parametrize("body", ["", "\x00", "\ufffe", "x" * (1024 * 1024 + 1)])
def test_what_sqs_does_not_take_is_refused(body: str) -> None:
    with pytest.raises(ClientError):
        SQS(_Clock(), url="q").send_message(QueueUrl="q", MessageBody=body)
