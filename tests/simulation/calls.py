"""Random calls to DynamoDB, to compare the answers of two engines."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.simulation.deployment import LEDGER


class RandomCalls:
    """Random calls over few keys, so that about half of the conditions hold."""

    def __init__(self, seed: int, table: str = LEDGER) -> None:
        self.table = table
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
                "ExpressionAttributeNames": {"#w": "w"},
                "ExpressionAttributeValues": {":seen": {"S": "w2"}},
            },
            {
                "ConditionExpression": "NOT begins_with(stamp, :seen) OR n >= :n",
                "ExpressionAttributeValues": {":seen": {"S": "1"}, ":n": {"N": "1.5"}},
            },
        ]
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
            return {kind: {"TableName": self.table, "Item": self.item(), **self.condition()}}
        if kind == "Update":
            return {kind: {"TableName": self.table, "Key": self.key(), **self.update()}}
        return {kind: {"TableName": self.table, "Key": self.key(), **self.condition()}}

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
        )
        arguments: dict[str, Any] = {
            "TableName": self.table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {":p": partition, **values},
        }
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
            # Each item is written once. All engines refuse other transactions, but some check the conditions first.
            by_key = {_key_of(next(iter(write.values()))): write for write in writes}
            return "transact_write_items", {"TransactItems": list(by_key.values())}
        if roll < 0.55:
            ((kind, arguments),) = self.write().items()
            return {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}[kind], arguments
        if roll < 0.65:
            return "get_item", {"TableName": self.table, "Key": self.key(), "ConsistentRead": True}
        if roll < 0.7:
            keys = [self.key() for _ in range(self.random.randint(1, 4))]
            return "batch_get_item", {"RequestItems": {self.table: {"Keys": keys, "ConsistentRead": True}}}
        if roll < 0.78:
            puts: list[dict[str, Any]] = [
                {"PutRequest": {"Item": self.item()}} for _ in range(self.random.randint(1, 3))
            ]
            puts += [{"DeleteRequest": {"Key": self.key()}} for _ in range(self.random.randint(0, 1))]
            return "batch_write_item", {"RequestItems": {self.table: puts}}
        return "query", self.query()


def _key_of(arguments: dict[str, Any]) -> tuple[str, str]:
    key = arguments.get("Item") or arguments["Key"]
    return key["pk"]["S"], key["sk"]["S"]
