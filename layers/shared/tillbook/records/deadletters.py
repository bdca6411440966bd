"""Accepted orders that could not be applied: kept with the reason and the message as it was queued.

Records table: pk = {account}/d, sk = the request id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tillbook.aws.items import Item, plain_item, raw
from tillbook.records.messages import Message, Queue, decode, encode
from tillbook.rules import times
from tillbook.rules.errors import NotFound
from tillbook.rules.identity import Person
from tillbook.rules.json_text import Json


@dataclass(frozen=True, slots=True)
class DeadLetters:
    client: Any
    table: str

    def erase(self, account: str, person: str, cut: str) -> None:
        """Discards the dead letters, received up to `cut`, that name a person (our own id)."""
        for item in self._all(account):
            orders = decode(item["m"]).orders
            # Of the person alone: what else stands in a dead letter may be what could not be read.
            persons = [Person(*o.person) for o in orders if o.received <= cut]  # type: ignore[arg-type]
            if any(named.id_in(account) == person for named in persons):
                self._remove(account, item["sk"])

    def purge(self, account: str, source: str, before: str, may_go_on: Callable[[], bool]) -> bool:
        """Discards those of a source that were received up to `before`, which a replay would drop. False where it is to
        be called again."""
        for item in self._all(account):
            message = decode(item["m"])
            kept = message.orders if source == "shopper_activity" else message.writes
            if any(entry.received <= before for entry in kept):
                self._remove(account, item["sk"])
                if not may_go_on():
                    return False
        return True

    def listed(self, account: str, limit: int, after: str | None) -> tuple[list[Json], str | None]:
        """Newest first, with the id to go on behind."""
        answer = self.client.query(
            TableName=self.table, KeyConditionExpression="pk = :pk AND sk < :after",
            Limit=limit, ScanIndexForward=False,
            ExpressionAttributeValues={":pk": {"S": f"{account}/d"}, ":after": {"S": after or "~"}},
        )  # fmt: skip
        items = [plain_item(item) for item in answer["Items"]]
        return [_shown(item) for item in items], items[-1]["sk"] if "LastEvaluatedKey" in answer else None

    def replay(self, account: str, request_id: str, queue: Queue) -> None:
        """Queued again first, then removed: a crash in between leaves a dead letter whose replay changes nothing.

        Raises NotFound.
        """
        item = self._get(account, request_id)
        queue.send(decode(item["m"])._replace(tries=0, replayed=True))
        self._remove(account, request_id)

    def discard(self, account: str, request_id: str) -> Json:
        """Returns what it was. Raises NotFound."""
        item = self._get(account, request_id)
        self._remove(account, request_id)
        return _shown(item)

    def ids(self, account: str, after: str | None = None) -> Iterator[str]:
        """Oldest first, read on as they are taken."""
        for item in self._all(account, ProjectionExpression="sk", after=after):
            yield item["sk"]

    def _get(self, account: str, request_id: str) -> Item:
        answer = self.client.get_item(
            TableName=self.table, Key=raw({"pk": f"{account}/d", "sk": request_id}), ConsistentRead=True
        )
        if not answer.get("Item"):
            raise NotFound("There is no such dead letter.")
        return plain_item(answer["Item"])

    def _remove(self, account: str, request_id: str) -> None:
        self.client.delete_item(TableName=self.table, Key=raw({"pk": f"{account}/d", "sk": request_id}))

    def _all(self, account: str, after: str | None = None, **options: Any) -> Iterator[Item]:
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk AND sk > :after",
            "ExpressionAttributeValues": {":pk": {"S": f"{account}/d"}, ":after": {"S": after or " "}},
        } | options  # fmt: skip
        while True:
            page = self.client.query(**arguments)
            yield from map(plain_item, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def keep(self, account: str, request_id: str, reason: str, message: Message) -> None:
        self.client.put_item(
            TableName=self.table,
            Item=raw({"pk": f"{account}/d", "sk": request_id, "why": reason, "at": times.now(), "m": encode(message)}),
        )


def _shown(item: Item) -> Json:
    message = decode(item["m"])
    subject: Json = {"action": None, "provider": None, "order_id": None}
    for order in message.orders:
        subject = {name: order.body.get(name) for name in subject}
    for write in message.writes:
        subject = {"action": write.action, "provider": None, "order_id": write.order_id}
    return {"id": item["sk"], "reason": item["why"], "failed_at": times.iso(item["at"])} | subject
