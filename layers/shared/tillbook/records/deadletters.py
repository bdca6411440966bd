"""Accepted orders that could not be applied: kept with the reason and the message as it was queued."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tillbook.aws.items import Item, attributes, plain_item, raw
from tillbook.records.messages import Message, Queue, decode, encode
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.errors import NotFound
from tillbook.rules.json_text import Json


class DeadLetter(NamedTuple):
    """An accepted order that could not be applied.

    Key: `{account}/d`, `{request id}`.

    Attributes:
        reason: why. failed_at: a stamp. message: as it was queued (records.messages).
    """

    reason: str
    failed_at: str
    message: str


@dataclass(frozen=True, slots=True)
class DeadLetters:
    client: Any
    table: str

    def erase(self, account: str, person: str, cut: str, queue: Queue, may_go_on: Callable[[], bool]) -> bool:
        """Queues again those received up to `cut` that name a person (our own id): they come to nothing, but that the
        same event is known as erased. False where it is to be called again."""
        for item in self._all(account):
            if any(order.person_id() == person and order.received <= cut for order in decode(item["message"]).orders):
                self._replay(account, item, queue)
                if not may_go_on():
                    return False
        return True

    def purge(self, account: str, source: str, cut: str, may_go_on: Callable[[], bool]) -> bool:
        """Discards those of a source that were received up to `cut`. False where it is to be called again."""
        for item in self._all(account):
            if _is_of(decode(item["message"]), source, cut):
                self._remove(account, item["sk"])
                if not may_go_on():
                    return False
        return True

    def listed(self, marks: Marks, limit: int, after: str | None) -> tuple[list[Json], str | None]:
        """Newest first, without those that were purged, with the id to go on behind."""
        account = marks.account
        answer = self.client.query(
            TableName=self.table, KeyConditionExpression="pk = :pk AND sk < :after",
            Limit=limit, ScanIndexForward=False,
            ExpressionAttributeValues={":pk": {"S": f"{account}/d"}, ":after": {"S": after or "~"}},
        )  # fmt: skip
        items = [plain_item(item) for item in answer["Items"]]
        shown = [_shown(item) for item in items if not _is_purged(decode(item["message"]), marks)]
        return shown, items[-1]["sk"] if "LastEvaluatedKey" in answer else None

    def replay(self, marks: Marks, request_id: str, queue: Queue) -> None:
        """Raises NotFound."""
        self._replay(marks.account, self._get(marks, request_id), queue)

    def _replay(self, account: str, item: Item, queue: Queue) -> None:
        """Queued again first, then removed: a crash in between leaves a dead letter whose replay changes nothing."""
        queue.send(decode(item["message"])._replace(tries=0, replayed=True))
        self._remove(account, item["sk"])

    def discard(self, marks: Marks, request_id: str) -> Json:
        """Returns what it was. Raises NotFound."""
        item = self._get(marks, request_id)
        self._remove(marks.account, request_id)
        return _shown(item)

    def ids(self, account: str, after: str | None = None) -> Iterator[str]:
        """Oldest first, read on as they are taken."""
        for item in self._all(account, ProjectionExpression="sk", after=after):
            yield item["sk"]

    def _get(self, marks: Marks, request_id: str) -> Item:
        answer = self.client.get_item(
            TableName=self.table, Key=raw({"pk": f"{marks.account}/d", "sk": request_id}), ConsistentRead=True
        )
        item = plain_item(answer.get("Item") or {})
        if not item or _is_purged(decode(item["message"]), marks):
            raise NotFound("There is no such dead letter.")
        return item

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
        letter = DeadLetter(reason, times.now(), encode(message))
        item = {"pk": f"{account}/d", "sk": request_id} | attributes(letter)
        self.client.put_item(TableName=self.table, Item=raw(item))


def _is_of(message: Message, source: str, cut: str) -> bool:
    kept = message.orders if source == "shopper_activity" else message.writes
    return any(entry.received <= cut for entry in kept)


def _is_purged(message: Message, marks: Marks) -> bool:
    return any(_is_of(message, source, mark.cut) for source, mark in marks.sources.items())


def _shown(item: Item) -> Json:
    message = decode(item["message"])
    subject: Json = {"action": None, "provider": None, "order_id": None}
    for order in message.orders:
        subject = {name: order.body.get(name) for name in subject}
    for write in message.writes:
        subject = {"action": write.action, "provider": None, "order_id": write.order_id}
    return {"id": item["sk"], "reason": item["reason"], "failed_at": times.iso(item["failed_at"])} | subject
