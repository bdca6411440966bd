"""What became of each request: applied, duplicate, failed, or rejected at the door.

Request ids are UUIDv7 and so sort by time: the newest of a status is the end of its partitions. Applied ones, the many,
are spread over four. The others, the few, are there a second time under {account}/x/{hash of the order id}, where "why
did order X not count" finds them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tillbook.aws.items import Item, attributes, plain_item, raw, record_of
from tillbook.aws.retries import LOST, is_passing
from tillbook.ledger.items import SOURCE_LETTER
from tillbook.records.hours import KEPT_SECONDS, Hours
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.effects import Effect, effects_in, effects_text, shown_effects
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import short_hash
from tillbook.rules.json_text import dumps, loads

STATUSES = ("applied", "duplicate", "failed", "rejected")
_SHARDS = {"applied": 4}
_PURGED_AT_ONCE = 500  # before the clock is looked at again
PURGED = "purged: received before the purge"
_FEW = 12  # records of one read unit, as a rule


@dataclass(frozen=True, slots=True)
class Transaction:
    """`received` is a stamp; `original` the request that a duplicate repeats; `notes` warn the shop's engineer."""

    account: str
    source: str
    request_id: str
    status: str
    received: str
    action: str
    provider: str
    order_id: str
    reason: str = ""
    original: str = ""
    notes: list[str] = field(default_factory=list)
    route: str = ""
    key_label: str = ""
    fields: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def items(self) -> list[Item]:
        stored = OutcomeItem(
            self.source, self.status, self.received, self.action, self.order_id, self.provider, self.reason,
            self.original, dumps(self.notes) if self.notes else "", self.route, self.key_label,
            dumps(self.fields) if self.fields else "", effects_text(self.effects), int(time.time()) + KEPT_SECONDS,
        )  # fmt: skip
        place = {"pk": _pk(self.account, self.status, self.source, self.request_id), "sk": self.request_id}
        item = place | attributes(stored)
        if self.status == "applied" or not self.order_id:
            return [item]
        return [item, item | {"pk": _order_pk(self.account, self.order_id)}]


class OutcomeItem(NamedTuple):
    """What became of a request, kept for 33 days; duplicates, failures and rejections also with their order.

    Key: `{account}/t/{status}/{o|s}{shard} and {account}/x/{order id's hash}`, `{request id}`.

    Attributes:
        source, status, action, order_id, provider: of the request. received: a stamp. reason: why it was not applied.
        original: the request that it repeats. notes, fields: JSON lists. route, key_label: of a rejected one.
        effects: on the sums (rules.effects). ttl.
    """

    source: str
    status: str
    received: str
    action: str
    order_id: str = ""
    provider: str = ""
    reason: str = ""
    original: str = ""
    notes: str = ""
    route: str = ""
    key_label: str = ""
    fields: str = ""
    effects: str = ""
    ttl: int = 0


def _order_pk(account: str, order_id: str) -> str:
    return f"{account}/x/{short_hash(order_id)}"


def _pk(account: str, status: str, source: str, request_id: str) -> str:
    shard = ord(request_id[-1]) % _SHARDS.get(status, 1)
    return f"{account}/t/{status}/{SOURCE_LETTER[source]}{shard}"


def _transaction(item: Item) -> Transaction:
    stored = record_of(OutcomeItem, item)
    return Transaction(
        str(item["pk"]).partition("/")[0], stored.source, item["sk"], stored.status, stored.received, stored.action,
        stored.provider, stored.order_id, stored.reason, stored.original, _list(stored.notes), stored.route,
        stored.key_label, _list(stored.fields), effects_in(stored.effects),
    )  # fmt: skip


def _list(text: str) -> list[str]:
    return list(loads(text)) if text else []


class Transactions:
    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def record(self, transactions: list[Transaction]) -> None:
        """Writes what became of them, once more if it stands already. Raises Unavailable if it could not."""
        # One item may not stand twice in a batch: of two outcomes in its place, the later one.
        kept = {(item["pk"], item["sk"]): item for transaction in transactions for item in transaction.items()}
        items = [raw(item) for item in kept.values()]
        if len(items) <= 2:
            for item in items:
                self.client.put_item(TableName=self.table, Item=item)
        else:
            self._write([{"PutRequest": {"Item": item}} for item in items])
        self._changed(transactions)

    def _changed(self, transactions: Iterable[Transaction]) -> None:
        ids: dict[str, list[str]] = {}
        for transaction in transactions:
            ids.setdefault(transaction.account, []).append(transaction.request_id)
        for account, request_ids in ids.items():
            Hours(self.client, self.table).changed(account, request_ids)

    def _write(self, requests: list[dict[str, Any]]) -> None:
        for start in range(0, len(requests), 25):
            left = requests[start : start + 25]
            for attempt in range(6):
                if attempt:
                    time.sleep(0.02 * 2**attempt)
                try:
                    answer = self.client.batch_write_item(RequestItems={self.table: left})
                except (ClientError, *LOST) as error:
                    if not is_passing(error):
                        raise
                    continue  # where none of them is taken, an error tells it
                left = answer.get("UnprocessedItems", {}).get(self.table, [])
                if not left:
                    break
            if left:
                raise Unavailable("Outcomes could not be recorded.")

    def purge(self, account: str, source: str, cut: str, may_go_on: Callable[[], bool]) -> bool:
        """Deletes what became of requests received up to `cut` (a stamp). False where it is to be called again."""
        partitions = [pk for pk in self.partitions(account) if pk[-2] == SOURCE_LETTER[source]]
        return all(self._purge(pk, cut, may_go_on) for pk in partitions)

    def _purge(self, pk: str, before: str, may_go_on: Callable[[], bool]) -> bool:
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk", "Limit": _PURGED_AT_ONCE,
            "ProjectionExpression": "pk, sk, received, order_id", "ExpressionAttributeValues": {":pk": {"S": pk}},
        }  # fmt: skip
        while True:
            page = self.client.query(**arguments)
            out = [plain_item(item) for item in page["Items"] if item["received"]["S"] <= before]
            account = pk.partition("/")[0]
            # What stands with the orders goes first: nothing else tells where it is.
            if "/t/applied/" not in pk:
                self._delete(
                    [(_order_pk(account, item["order_id"]), item["sk"]) for item in out if item.get("order_id")]
                )
            self._delete([(item["pk"], item["sk"]) for item in out])
            if not may_go_on():
                return False
            # Sorted by request ids, which are made a moment after the receipt.
            latest = page["Items"][-1]["received"]["S"] if page["Items"] else ""
            if "LastEvaluatedKey" not in page or latest > times.shift(before, seconds=60):
                return True
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _delete(self, keys: list[tuple[str, str]]) -> None:
        self._write([{"DeleteRequest": {"Key": raw({"pk": pk, "sk": sk})}} for pk, sk in keys])

    def replaces_failure(self, transaction: Transaction) -> None:
        """Forgets that the request had failed, once its other outcome is recorded."""
        failed = replace(transaction, status="failed").items()
        if transaction.status != "applied":
            failed = failed[:1]  # the new outcome stands in the place of the other
        self._delete([(item["pk"], item["sk"]) for item in failed])
        self._changed([transaction])

    def newest(
        self, marks: Marks, statuses: list[str], sources: Sequence[str], limit: int, before: str | None
    ) -> list[Transaction]:
        """The newest of some kinds that were not purged, merged: a few of each partition, and more of one only where it
        has that many."""
        account, found = marks.account, list[Transaction]()
        behind: dict[str, str | None] = {
            f"{account}/t/{status}/{SOURCE_LETTER[source]}{shard}": before
            for status in statuses
            for source in sources
            for shard in range(_SHARDS.get(status, 1))
        }
        page = min(limit, _FEW)
        while behind:
            for pk, last in list(behind.items()):
                read, more = self._newest_of(pk, page, last)
                found += (visible := [t for t in read if not marks.purged(t.source, t.received)])
                if more and visible:  # behind one that was purged all are
                    behind[pk] = read[-1].request_id
                else:
                    del behind[pk]
            found = sorted(found, key=lambda t: t.request_id, reverse=True)[:limit]
            if len(found) == limit:
                # Where what was read last is among the newest, there may be more of them behind it.
                behind = {pk: last for pk, last in behind.items() if (last or "") >= found[-1].request_id}
        return found

    def of_order(self, marks: Marks, order_id: str, limit: int, before: str | None) -> list[Transaction]:
        """What was sent about an order and did not count: duplicates, failures, rejections. Newest first."""
        found: list[Transaction] = []
        more = True
        while more and len(found) < limit:
            read, more = self._newest_of(_order_pk(marks.account, order_id), limit - len(found), before)
            found += [t for t in read if not marks.purged(t.source, t.received)]
            before = read[-1].request_id if read else before
        return found

    def _newest_of(self, pk: str, limit: int, before: str | None) -> tuple[list[Transaction], bool]:
        """At most so many, fewer where they are large; and whether there may be more behind them."""
        answer = self.client.query(
            TableName=self.table, KeyConditionExpression="pk = :pk AND sk < :before",
            Limit=limit, ScanIndexForward=False,
            ExpressionAttributeValues={":pk": {"S": pk}, ":before": {"S": before or "~"}},
        )  # fmt: skip
        return [_transaction(plain_item(item)) for item in answer["Items"]], "LastEvaluatedKey" in answer

    def partitions(self, account: str) -> list[str]:
        """Where an account's records stand, as `between` takes them."""
        return [
            f"{account}/t/{status}/{letter}{shard}"
            for status in STATUSES
            for letter in SOURCE_LETTER.values()
            for shard in range(_SHARDS.get(status, 1))
        ]

    def between(
        self, pk: str, first: str, beyond: str, may_go_on: Callable[[], bool]
    ) -> tuple[list[Transaction], str | None]:
        """Those of one partition with ids from `first` up to `beyond`, newest first.

        With the last id that was read, where `may_go_on` ended it early.
        """
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :beyond",
            "ExpressionAttributeValues": raw({":pk": pk, ":first": first, ":beyond": beyond}),
            "ScanIndexForward": False, "ConsistentRead": True,
        }  # fmt: skip
        found: list[Transaction] = []
        while True:
            page = self.client.query(**arguments)
            found += [_transaction(plain_item(item)) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found, None
            if not may_go_on():
                return found, str(page["LastEvaluatedKey"]["sk"]["S"])
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def find(self, account: str, source: str, request_id: str) -> Transaction | None:
        """One read, whatever became of it. Applied goes before failed: a dead letter may have been replayed."""
        keys = [raw({"pk": _pk(account, status, source, request_id), "sk": request_id}) for status in STATUSES]
        answer = self.client.batch_get_item(RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}})
        if answer.get("UnprocessedKeys"):
            raise Unavailable("The request could not be looked up. Please try again.")
        found = [_transaction(plain_item(item)) for item in answer["Responses"].get(self.table, [])]
        return min(found, key=lambda t: STATUSES.index(t.status), default=None)


def shown(transaction: Transaction) -> dict[str, Any]:
    """The published shape of a request, with what a shop's engineer wants to know besides."""
    shape: dict[str, Any] = {
        "request_id": transaction.request_id,
        "status": transaction.status,
        "reason": transaction.reason or None,
        "received_at": times.iso(transaction.received),
    }
    if transaction.original and transaction.original != transaction.request_id:
        shape["original_request_id"] = transaction.original
    if transaction.notes:
        shape["notes"] = transaction.notes
    return shape


def listed(transaction: Transaction, currency: str) -> dict[str, Any]:
    """The shape of a row of `GET /v1/transactions`; `currency` is the account's."""
    return shown(transaction) | {
        "source": transaction.source,
        "action": transaction.action,
        "provider": transaction.provider or None,
        "order_id": transaction.order_id or None,
        "route": transaction.route or None,
        "key_label": transaction.key_label or None,
        "fields": transaction.fields,
        "notes": transaction.notes,
        "effects": shown_effects(transaction.effects, currency),
    }
