"""What purges and erasures leave behind, so that what is still queued is dropped.

Records table: pk = {account}/u, sk = `o` or `s` (a source), `o+{cut}` or `s+{cut}` (one purge of it), `p{person}`
or `p{person}+{cut}` (one erasure);
pk = {account}/w/{order key}, sk = `w`: a v3 order that a purge up to a date takes with what was received up to its cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from tillbook.aws.items import Raw, plain_item, raw
from tillbook.aws.retries import error_code
from tillbook.ledger.ledger import Purged
from tillbook.rules import times

_SECOND_WALK_SECONDS = 120  # more than it takes, as a rule
_MARK_SECONDS = 30 * 24 * 3600  # longer than the queue keeps a message


@dataclass(frozen=True, slots=True)
class Marks:
    """What was purged or erased of one account, as far as queued events may still name it.

    By source letter: up to which receipt events are dropped; and (before, cut) of each purge, which takes orders that
    began up to the one with what was received up to the other. By person: up to which receipt. By order
    key: up to which receipt such a purge took it.
    """

    sources: dict[str, str]
    people: dict[str, str]
    walks: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    settle_seconds: int = 0
    taken_up_to: Callable[[str], str] = lambda order_key: ""  # read when it is asked for
    take: Callable[[str, str], None] = lambda order_key, cut: None
    erased: dict[str, list[str]] = field(default_factory=dict)  # each erasure of a person

    def purged(self, person: str) -> Purged:
        """What of the shopper activity may still stand though it is being taken out."""
        seconds = self.settle_seconds + _SECOND_WALK_SECONDS
        walks = tuple((before, cut, times.shift(cut, seconds=seconds)) for before, cut in self.walks.get("s", []))
        return Purged(self.sources.get("s", ""), self.people.get(person, ""), walks, self.taken_up_to, self.take)


def purged_up_to(client: Any, records_table: str, account: str, letter: str) -> str:
    """Up to which receipt what came from a source is dropped; empty for nothing."""
    answer = client.get_item(
        TableName=records_table, Key={"pk": {"S": f"{account}/u"}, "sk": {"S": letter}}, ConsistentRead=True
    )
    return str(answer["Item"]["cut"]["S"]) if "Item" in answer else ""


def set_mark(
    client: Any, records_table: str, key: Raw, cut: str, asked: str, *, seconds: int | None = _MARK_SECONDS
) -> None:
    """Never back: what an earlier purge dropped stays dropped."""
    update, values, names = "SET cut = :cut, #at = :at", {":cut": {"S": cut}, ":at": {"S": asked}}, {"#at": "at"}
    if seconds:
        update += ", #ttl = :ttl"
        values[":ttl"] = {"N": str(int(time.time()) + seconds)}
        names["#ttl"] = "ttl"
    try:
        client.update_item(
            TableName=records_table, Key=key, UpdateExpression=update,
            ConditionExpression="attribute_not_exists(cut) OR cut < :cut",
            ExpressionAttributeValues=values, ExpressionAttributeNames=names,
        )  # fmt: skip
    except ClientError as error:
        if error_code(error) != "ConditionalCheckFailedException":
            raise


def take_order(client: Any, records_table: str, account: str, order_key: str, cut: str) -> None:
    """Notes that a purge up to a date takes a v3 order, with what was received up to `cut`."""
    set_mark(client, records_table, _order_mark(account, order_key), cut, cut)


def _order_mark(account: str, order_key: str) -> Raw:
    return raw({"pk": f"{account}/w/{order_key}", "sk": "w"})


def order_purged_up_to(client: Any, records_table: str, account: str, order_key: str) -> str:
    """Up to which receipt purges up to a date took what came for an order; empty for nothing."""
    answer = client.get_item(TableName=records_table, Key=_order_mark(account, order_key), ConsistentRead=True)
    return str(answer["Item"]["cut"]["S"]) if "Item" in answer else ""


def read_marks(client: Any, records_table: str, account: str, settle_seconds: int = 0) -> Marks:
    arguments: dict[str, Any] = {
        "TableName": records_table, "ConsistentRead": True, "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": f"{account}/u"}},
    }  # fmt: skip
    taken_up_to = partial(order_purged_up_to, client, records_table, account)
    take = partial(take_order, client, records_table, account)
    marks = Marks({}, {}, settle_seconds=settle_seconds, taken_up_to=taken_up_to, take=take)
    while True:
        page = client.query(**arguments)
        for item in map(plain_item, page["Items"]):
            if item["sk"][:1] == "p":
                person = item["sk"][1:].partition("+")[0]
                marks.people[person] = max(item["cut"], marks.people.get(person, ""))
                marks.erased.setdefault(person, []).append(item["cut"])
                continue
            letter = item["sk"][:1]
            marks.walks.setdefault(letter, []).append((item["cut"], item["at"]))
            if item["sk"] == letter:
                marks.sources[letter] = item["cut"]
        if "LastEvaluatedKey" not in page:
            return marks
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
