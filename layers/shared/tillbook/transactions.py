"""What became of each request: applied, duplicate, failed (rejected ones join them with the Transactions page).

Records table: pk = {account}/t/{status}/{o|s}{shard}, sk = the request id. Request ids are UUIDv7 and so sort by time:
the newest of a status is the end of its partitions. Applied ones, the many, are spread over four.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tillbook import table, times
from tillbook.errors import Unavailable
from tillbook.json_text import dumps, loads
from tillbook.table import Item, plain_item, raw

KEPT_SECONDS = 30 * 24 * 3600
STATUSES = ("applied", "duplicate", "failed")
_SHARDS = {"applied": 4}


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

    def item(self) -> Item:
        return {
            "pk": _pk(self.account, self.status, self.source, self.request_id), "sk": self.request_id,
            "re": self.received, "a": self.action, "pr": self.provider or None, "id": self.order_id,
            "why": self.reason or None, "of": self.original or None, "no": dumps(self.notes) if self.notes else None,
            "ttl": int(time.time()) + KEPT_SECONDS,
        }  # fmt: skip


def _pk(account: str, status: str, source: str, request_id: str) -> str:
    shard = ord(request_id[-1]) % _SHARDS.get(status, 1)
    return f"{account}/t/{status}/{table.SOURCE_LETTER[source]}{shard}"


def _transaction(item: Item) -> Transaction:
    account, _, status, place = str(item["pk"]).split("/")
    return Transaction(
        account, table.SOURCE_OF_LETTER[place[0]], item["sk"], status, item["re"], item["a"], item.get("pr", ""),
        item["id"], item.get("why", ""), item.get("of", ""), loads(item["no"]) if "no" in item else [],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transactions:
    client: Any
    table: str

    def record(self, transactions: list[Transaction]) -> None:
        """Writes what became of them, once more if it stands already. Raises Unavailable if it could not."""
        if len(transactions) == 1:
            self.client.put_item(TableName=self.table, Item=raw(transactions[0].item()))
            return
        self._write([{"PutRequest": {"Item": raw(t.item())}} for t in {t.request_id: t for t in transactions}.values()])

    def _write(self, requests: list[dict[str, Any]]) -> None:
        for start in range(0, len(requests), 25):
            left = requests[start : start + 25]
            for attempt in range(6):
                if attempt:
                    time.sleep(0.02 * 2**attempt)
                left = (
                    self.client.batch_write_item(RequestItems={self.table: left})
                    .get("UnprocessedItems", {})
                    .get(self.table, [])
                )
                if not left:
                    break
            if left:
                raise Unavailable("Outcomes could not be recorded.")

    def purge(self, account: str, source: str, before: str) -> None:
        """Forgets what became of requests received up to `before` (a stamp)."""
        for status in STATUSES:
            for shard in range(_SHARDS.get(status, 1)):
                self._purge(f"{account}/t/{status}/{table.SOURCE_LETTER[source]}{shard}", before)

    def _purge(self, pk: str, before: str) -> None:
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk", "ProjectionExpression": "pk, sk, #re",
            "ExpressionAttributeNames": {"#re": "re"}, "ExpressionAttributeValues": {":pk": {"S": pk}},
        }  # fmt: skip
        while True:
            page = self.client.query(**arguments)
            keys = [{"pk": i["pk"], "sk": i["sk"]} for i in page["Items"] if i["re"]["S"] <= before]
            self._write([{"DeleteRequest": {"Key": key}} for key in keys])
            if "LastEvaluatedKey" not in page or len(keys) < len(page["Items"]):
                return
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
