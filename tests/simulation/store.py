"""DynamoDB in memory: deterministic, for one thread, with the calls that the code makes.

Calls and answers have the form of botocore's client. An unknown argument, expression or type raises Unknown.
`test_store.py` compares the store with a real engine, call by call.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import DecimalException
from typing import Any

from tests.simulation.errors import ConditionalCheckFailed, cancelled, client_error, refuse_unknown, validation_error
from tests.simulation.expressions import (
    Condition,
    Item,
    KeyCondition,
    Names,
    Refused,
    Unknown,
    Values,
    condition,
    key_condition,
    number,
    projection,
    update,
)

Key = tuple[str, str]  # pk, sk
MAX_ITEM_BYTES = 400 * 1024
MAX_TRANSACTION = 100
LAG_SECONDS = 2.0  # DynamoDB says "usually within one second"


class _Exceptions:
    ConditionalCheckFailedException = ConditionalCheckFailed


@dataclass
class Index:
    """A KEYS_ONLY secondary index: sorted entries (sort key of the index or empty, pk, sk) by its partition key."""

    hash: str
    range: str = ""
    entries: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)

    def place(self, item: Item | None) -> Key | None:
        if item is None or self.hash not in item or (self.range and self.range not in item):
            return None
        return item[self.hash]["S"], item[self.range]["S"] if self.range else ""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.hash, self.range) if self.range else (self.hash,)


@dataclass
class Table:
    """Items by key, and the sorted sort keys of each partition."""

    name: str
    indexes: dict[str, Index] = field(default_factory=dict)
    items: dict[Key, Item] = field(default_factory=dict)
    partitions: dict[str, list[str]] = field(default_factory=dict)
    # The item before the latest write, and the time of that write: for reads that are not consistent.
    before: dict[Key, tuple[Item | None, float]] = field(default_factory=dict)
    clock: Callable[[], float] = lambda: 0.0
    key_names: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.key_names = frozenset({"pk", "sk"}.union(*(index.names for index in self.indexes.values())))

    def put(self, key: Key, item: Item | None) -> Item | None:
        old = self.items.get(key)
        self.before[key] = old, self.clock()
        if item is None:
            if old is not None:
                del self.items[key]
                sort_keys = self.partitions[key[0]]
                del sort_keys[bisect_left(sort_keys, key[1])]
        else:
            self.items[key] = item
            if old is None:
                insort(self.partitions.setdefault(key[0], []), key[1])
        for index in self.indexes.values():
            was, now = index.place(old), index.place(item)
            if was != now:
                if was is not None:
                    entries = index.entries[was[0]]
                    del entries[bisect_left(entries, (was[1], *key))]
                if now is not None:
                    insort(index.entries.setdefault(now[0], []), (now[1], *key))
        return old

    def load(self, items: Iterable[tuple[Key, Item]]) -> None:
        """Puts many new items and sorts once, since inserting a million one by one takes an hour."""
        for key, item in items:
            self.items[key] = item
            self.partitions.setdefault(key[0], []).append(key[1])
            for index in self.indexes.values():
                if place := index.place(item):
                    index.entries.setdefault(place[0], []).append((place[1], *key))
        for keys in self.partitions.values():
            keys.sort()
        for index in self.indexes.values():
            for entries in index.entries.values():
                entries.sort()


@dataclass
class Write:
    """One write that is computed, but not made yet. `item` None deletes."""

    table: Table
    key: Key
    item: Item | None


class DynamoDB:
    """The tables, and the methods of botocore's client.

    `watch` is called after each write (table name, key, old item, new item), `committed` after each call that wrote.
    `lagging` decides whether an eventually consistent read misses the latest write of an item. It is asked only within
    LAG_SECONDS of that write, by `clock`.
    """

    exceptions = _Exceptions

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.clock = clock
        self.tables: dict[str, Table] = {}
        self.watch: Callable[[str, Key, Item | None, Item | None], None] = lambda *_: None
        self.committed: Callable[[], None] = lambda: None
        self.lagging: Callable[[], bool] = lambda: False

    def add_table(self, name: str, **indexes: tuple[str, ...]) -> Table:
        """Adds a table. `indexes` by name: partition key, and sort key if there is one."""
        made = {index: Index(names[0], names[1] if len(names) > 1 else "") for index, names in indexes.items()}
        table = self.tables[name] = Table(name, made, clock=self.clock)
        return table

    # ------------------------------------------------------------------ reads

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        refuse_unknown(arguments, "TableName", "Key", "ConsistentRead")
        table = self._table(arguments)
        item = self._read(table, _key(arguments["Key"]), bool(arguments.get("ConsistentRead")))
        return {} if item is None else {"Item": item}

    def batch_get_item(self, **arguments: Any) -> dict[str, Any]:
        refuse_unknown(arguments, "RequestItems")
        responses: dict[str, list[Item]] = {}
        seen: set[tuple[str, Key]] = set()
        for name, request in arguments["RequestItems"].items():
            refuse_unknown(request, "Keys", "ConsistentRead")
            responses[name] = []
            for raw_key in request["Keys"]:
                key = _key(raw_key)
                if (name, key) in seen:
                    raise validation_error("BatchGetItem", "Provided list of item keys contains duplicates")
                seen.add((name, key))
                item = self._read(self.tables[name], key, bool(request.get("ConsistentRead")))
                if item is not None:
                    responses[name].append(item)
        if not 1 <= len(seen) <= 100:
            raise validation_error("BatchGetItem", "Too many items requested for the BatchGetItem call")
        return {"Responses": responses, "UnprocessedKeys": {}}

    def query(self, **arguments: Any) -> dict[str, Any]:
        refuse_unknown(
            arguments, "TableName", "IndexName", "KeyConditionExpression", "ExpressionAttributeValues",
            "ConsistentRead", "ScanIndexForward", "Limit", "ExclusiveStartKey", "ProjectionExpression",
            "ExpressionAttributeNames", "Select",
        )  # fmt: skip
        table, values = self._table(arguments), arguments["ExpressionAttributeValues"]
        wanted = key_condition(arguments["KeyConditionExpression"])
        shown = projection(arguments["ProjectionExpression"]) if "ProjectionExpression" in arguments else None
        attributes = arguments.get("ExpressionAttributeNames", _NONE)
        _check_placeholders("Query", wanted.used | (shown.used if shown else frozenset()), attributes, values)
        consistent = bool(arguments.get("ConsistentRead"))
        index: Index | None = None
        if "IndexName" in arguments:
            index = table.indexes.get(arguments["IndexName"])
            if index is None or consistent:
                raise validation_error("Query", "Consistent reads are not supported on global secondary indexes")
        names = index.names if index else ("pk", "sk")
        if wanted.hash != names[0] or wanted.range not in ("", *names[1:]):
            raise validation_error("Query", "Query condition missed key schema element")
        partition = values[wanted.hash_value]["S"]
        forward = arguments.get("ScanIndexForward", True)
        entries = _entries(table, index, wanted, values)
        if not forward:
            entries.reverse()
        after = arguments.get("ExclusiveStartKey")
        if after is not None:
            start = _start_entry(after, index, names, partition)
            entries = [entry for entry in entries if (entry > start if forward else entry < start)]
        limit = arguments.get("Limit")
        if limit is not None and limit < 1:
            raise validation_error("Query", "Limit must be greater than or equal to 1")
        page = entries if limit is None else entries[:limit]
        items: list[Item] = []
        for entry in page:
            key = (entry[1], entry[2]) if index else (partition, entry[0])
            item = table.items[key] if index else self._read(table, key, consistent)
            if item is not None:
                items.append({name: item[name] for name in ("pk", "sk", *names)} if index else item)
        if shown:
            wanted_names = shown.names(attributes)
            items = [{name: item[name] for name in wanted_names if name in item} for item in items]
        answer: dict[str, Any] = {"Items": items, "Count": len(items), "ScannedCount": len(page)}
        if limit is not None and len(page) == limit:
            last_key = (page[-1][1], page[-1][2]) if index else (partition, page[-1][0])
            answer["LastEvaluatedKey"] = {name: table.items[last_key][name] for name in ("pk", "sk", *names)}
        if arguments.get("Select") == "COUNT":
            del answer["Items"]
        return answer

    def cut(self, answer: dict[str, Any], arguments: dict[str, Any], count: int) -> dict[str, Any]:
        """Shortens an answer of `query` to `count` items, as if the page had reached the limit of 1 MB there."""
        items = answer["Items"][:count]
        index = self._table(arguments).indexes.get(arguments.get("IndexName", ""))
        names = ("pk", "sk", *(index.names if index else ()))
        # A projection may leave out the partition, which the condition names.
        last = {name: items[-1].get(name) or arguments["ExpressionAttributeValues"][":pk"] for name in names}
        return answer | {"Items": items, "Count": count, "ScannedCount": count, "LastEvaluatedKey": last}

    def _read(self, table: Table, key: Key, consistent: bool) -> Item | None:
        if not consistent and key in table.before:
            before, since = table.before[key]
            if self.clock() - since <= LAG_SECONDS and self.lagging():
                return before
        return table.items.get(key)

    # ----------------------------------------------------------------- writes

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        return self._single("PutItem", "Put", arguments)

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        return self._single("UpdateItem", "Update", arguments)

    def delete_item(self, **arguments: Any) -> dict[str, Any]:
        return self._single("DeleteItem", "Delete", arguments)

    def batch_write_item(self, **arguments: Any) -> dict[str, Any]:
        refuse_unknown(arguments, "RequestItems")
        writes: list[Write] = []
        for name, requests in arguments["RequestItems"].items():
            for request in requests:
                ((kind, body),) = request.items()
                if kind == "PutRequest":
                    refuse_unknown(body, "Item")
                    item = self._valid("BatchWriteItem", self.tables[name], body["Item"])
                    writes.append(Write(self.tables[name], _key_of(item), item))
                elif kind == "DeleteRequest":
                    refuse_unknown(body, "Key")
                    writes.append(Write(self.tables[name], _key(body["Key"]), None))
                else:
                    raise Unknown(kind)
        if not 1 <= len(writes) <= 25:
            raise validation_error("BatchWriteItem", "Member must have length less than or equal to 25")
        if len({(id(w.table), w.key) for w in writes}) != len(writes):
            raise validation_error("BatchWriteItem", "Provided list of item keys contains duplicates")
        self._commit(writes)
        return {"UnprocessedItems": {}}

    def transact_write_items(self, **arguments: Any) -> dict[str, Any]:
        refuse_unknown(arguments, "TransactItems")
        outcome = self.transaction(arguments["TransactItems"])
        if isinstance(outcome[0], Write):
            self._commit(outcome)
            return {}
        raise cancelled(outcome)

    def transaction(self, actions: list[dict[str, Any]]) -> list[Write] | list[dict[str, Any]]:
        """Returns the writes of the transaction, not made yet, or the cancellation reasons if a condition fails."""
        operation = "TransactWriteItems"
        if not 1 <= len(actions) <= MAX_TRANSACTION:
            raise validation_error(operation, "Member must have length less than or equal to 100")
        writes: list[Write] = []
        reasons: list[dict[str, Any]] = []
        failed = False
        for action in actions:
            ((kind, arguments),) = action.items()
            try:
                write, reason = self._work_out(operation, kind, arguments)
            except Refused as refused:
                write = Write(self.tables[arguments["TableName"]], _key(arguments["Key"]), None)
                reason = {"Code": "ValidationError", "Message": str(refused)}
            writes.append(write)
            reasons.append(reason)
            failed = failed or reason["Code"] != "None"
        if len({(id(write.table), write.key) for write in writes}) != len(writes):
            raise validation_error(operation, "Transaction request cannot include multiple operations on one item")
        return reasons if failed else writes

    def _single(self, operation: str, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            write, reason = self._work_out(operation, kind, arguments)
        except Refused as refused:
            raise validation_error(operation, str(refused)) from None
        if reason["Code"] != "None":
            item = {"Item": reason["Item"]} if "Item" in reason else {}
            raise client_error("ConditionalCheckFailedException", operation, reason["Message"], **item)
        self._commit([write])
        return {}

    def _work_out(self, operation: str, kind: str, arguments: dict[str, Any]) -> tuple[Write, dict[str, Any]]:
        """Computes a write and its cancellation reason, whose code is "None" if its condition holds.

        Raises Refused if an update does not fit the stored item.
        """
        if not arguments.keys() <= _ARGUMENTS[kind]:
            raise Unknown(f"arguments {set(arguments) - _ARGUMENTS[kind]}")
        table = self.tables[arguments["TableName"]]
        names: Names = arguments.get("ExpressionAttributeNames", _NONE)
        values: Values = arguments.get("ExpressionAttributeValues", _NONE)
        put = self._valid(operation, table, arguments["Item"]) if kind == "Put" else None
        key = _key_of(put) if put is not None else _key(arguments["Key"])
        current = table.items.get(key)
        wanted = condition(arguments["ConditionExpression"]) if "ConditionExpression" in arguments else None
        change = update(arguments["UpdateExpression"]) if kind == "Update" else None
        if wanted is not None and change is not None:
            _check_placeholders(operation, wanted.used | change.used, names, values)
        elif wanted is not None or change is not None or names or values:
            _check_placeholders(operation, (wanted or change or _NOTHING).used, names, values)
        if wanted is None or wanted.holds(current or {}, names, values):
            new = put
            if change is not None:
                new = change.apply(current or {"pk": {"S": key[0]}, "sk": {"S": key[1]}}, names, values)
                if _key_of(new) != key:
                    raise validation_error(operation, "This attribute is part of the key")
                new = self._valid(operation, table, new)
            return Write(table, key, new), _HOLDS
        reason: dict[str, Any] = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        returned = arguments.get("ReturnValuesOnConditionCheckFailure", "NONE")
        if returned not in ("NONE", "ALL_OLD"):
            raise Unknown(returned)
        if returned == "ALL_OLD" and current is not None:
            reason["Item"] = current
        return Write(table, key, current), reason

    def _commit(self, writes: Iterable[Write]) -> None:
        for write in writes:
            old = write.table.put(write.key, write.item)
            self.watch(write.table.name, write.key, old, write.item)
        self.committed()

    def _valid(self, operation: str, table: Table, item: Item) -> Item:
        """The item as it is stored: each number in its canonical form."""
        size, kept = 0, item
        for name, value in item.items():
            ((kind, content),) = value.items()
            if kind == "N":
                canonical = _number(operation, content)
                if canonical is not value and canonical["N"] != content:
                    kept = dict(item) if kept is item else kept
                    kept[name] = canonical
            elif kind == "S" or kind == "B":
                size += len(content)
            elif kind != "BOOL" or (content is not True and content is not False):
                raise Unknown(f"{name}: {value}")
            if name in table.key_names and (kind != "S" or not content):
                raise validation_error(operation, f"{name} is a key: it must be a string, and not empty")
        # The exact size takes time. It is computed only if the contents, with up to 4 bytes for each character, and
        # 10,000 bytes for names and numbers may exceed the limit.
        if size * 4 > MAX_ITEM_BYTES - 10_000 and _exact_size(item) > MAX_ITEM_BYTES:
            raise validation_error(operation, "Item size has exceeded the maximum allowed size")
        return kept

    def _table(self, arguments: dict[str, Any]) -> Table:
        return self.tables[arguments["TableName"]]


def _entries(table: Table, index: Index | None, wanted: KeyCondition, values: Values) -> list[tuple[str, ...]]:
    """Sorted entries of one partition: (sort key, pk, sk) of an index, or (sk,) of a table."""
    partition = values[wanted.hash_value]["S"]
    if index:
        return [e for e in index.entries.get(partition, []) if wanted.holds(e[0], values)]
    sort_keys = table.partitions.get(partition, [])
    if not wanted.prefix:
        return [(sk,) for sk in sort_keys if wanted.holds(sk, values)]
    start = values[wanted.prefix]["S"]
    first = last = bisect_left(sort_keys, start)
    while last < len(sort_keys) and sort_keys[last].startswith(start):
        last += 1
    return [(sk,) for sk in sort_keys[first:last]]


def _start_entry(after: Item, index: Index | None, names: tuple[str, ...], partition: str) -> tuple[str, ...]:
    """The entry that an ExclusiveStartKey names, in the form of `_entries`."""
    if set(after) != {"pk", "sk", *names} or after[names[0]]["S"] != partition:
        raise validation_error("Query", "The provided starting key is invalid")
    if index:
        return (after[index.range]["S"] if index.range else "", after["pk"]["S"], after["sk"]["S"])
    return (after["sk"]["S"],)


_COMMON = {
    "TableName", "ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues",
    "ReturnValuesOnConditionCheckFailure",
}  # fmt: skip
_ARGUMENTS = {
    "Put": _COMMON | {"Item"}, "Update": _COMMON | {"Key", "UpdateExpression"}, "Delete": _COMMON | {"Key"},
}  # fmt: skip
_HOLDS = {"Code": "None"}
_NONE: dict[str, Any] = {}
_NOTHING = Condition(lambda *_: True, frozenset())
_numbers: dict[str, dict[str, str]] = {}


def _number(operation: str, text: str) -> dict[str, str]:
    """The canonical form of a number, cached because items have few different ones."""
    known = _numbers.get(text)
    if known is None:
        try:
            known = {"N": number(text)}
        except DecimalException:
            raise validation_error(
                operation, "Attempting to store more than 38 significant digits in a Number"
            ) from None
        if len(_numbers) > 20_000:
            _numbers.clear()
        _numbers[text] = known
    return known


def _key(raw: Item) -> Key:
    if set(raw) != {"pk", "sk"}:
        raise validation_error("", "The provided key element does not match the schema")
    return _key_of(raw)


def _key_of(item: Item) -> Key:
    try:
        key = item["pk"]["S"], item["sk"]["S"]
    except KeyError:
        raise validation_error("", "The provided key element does not match the schema") from None
    if not key[0] or not key[1] or len(key[0].encode()) > 2048 or len(key[1].encode()) > 1024:
        raise validation_error("", "One or more parameter values are not valid: the size of a key")
    return key


def _exact_size(item: Item) -> int:
    """Bytes of names and values; 21 for any number, the most that one takes."""
    size = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        size += len(name.encode())
        size += len(content.encode()) if kind == "S" else len(content) if kind == "B" else 1 if kind == "BOOL" else 21
    return size


def _check_defined(operation: str, used: frozenset[str], names: Names, values: Values) -> None:
    for token in used:
        if token not in (names if token[0] == "#" else values):
            raise validation_error(operation, f"An expression attribute used in expression is not defined: {token}")


def _check_placeholders(operation: str, used: frozenset[str], names: Names, values: Values) -> None:
    if len(names) + len(values) == len(used) and used == names.keys() | values.keys():
        return
    for token in (*names, *values):
        if token not in used:
            raise validation_error(operation, f"Value provided in ExpressionAttribute unused in expressions: {token}")
    _check_defined(operation, used, names, values)
