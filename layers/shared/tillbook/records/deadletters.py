"""Dead letters: accepted events that could not be applied, with the reason and the queued message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from tillbook.aws.items import Item, attributes, plain_item, raw, record_of
from tillbook.contract.limits import PAGE_BYTES
from tillbook.records.messages import Message, Queue, decode, encode
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.amounts import text
from tillbook.rules.errors import NotFound
from tillbook.rules.json_text import Json, dumps

_MOST_COUNTED = 1000


class DeadLetter(NamedTuple):
    """An accepted event that could not be applied.

    Key: `{account}/d`, `{request id}`.

    Attributes:
        reason: the reason for the failure. failed_at: when it failed (a stamp). message: the text of a queued
            message with this event only (records.messages). attempts: number of tries.
    """

    reason: str
    failed_at: str
    message: str
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetters:
    client: Any
    table: str

    def erase(
        self, account: str, person: str, cut: str, queue: Queue, after: str, may_go_on: Callable[[], bool]
    ) -> str | None:
        """Queues again the dead letters whose event names a person and was received up to `cut` (a stamp).

        `person` is the id that Person.id_in returns. The processing then records each event as erased. Returns the id
        after which the next call continues, or None at the end.
        """

        def names_them(message: Message) -> bool:
            return any(event.person_id() == person and event.received <= cut for event in message.orders)

        return self._walk(account, after, may_go_on, names_them, lambda item: self._replay(account, item, queue))

    def purge(self, marks: Marks, after: str, may_go_on: Callable[[], bool]) -> str | None:
        """Discards purged dead letters. Returns the id after which the next call continues, or None at the end."""

        def purged(message: Message) -> bool:
            return _is_purged(message, marks)

        return self._walk(marks.account, after, may_go_on, purged, lambda i: self._remove(marks.account, i["sk"]))

    def _walk(
        self,
        account: str,
        after: str,
        may_go_on: Callable[[], bool],
        concerned: Callable[[Message], bool],
        work: Callable[[Item], None],
    ) -> str | None:
        """Calls `work` for each dead letter whose message is `concerned`. Returns the same as `purge`."""
        for item in self._all(account, after or None):
            if concerned(decode(item["message"])):
                work(item)
            if not may_go_on():
                return str(item["sk"])
        return None

    def listed(
        self, marks: Marks, limit: int, after: str | None, *, payload: bool = True
    ) -> tuple[list[Json], str | None]:
        """Returns dead letters, newest first, without purged ones, and the id after which the next page begins.

        The page may be shorter than `limit`: purged letters are left out, and its size in bytes is limited.
        """
        account = marks.account
        answer = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND sk < :after",
            Limit=limit,
            ScanIndexForward=False,
            ExpressionAttributeValues={":pk": {"S": f"{account}/d"}, ":after": {"S": after or "~"}},
        )
        shown: list[Json] = []
        size, last = 0, after
        for item in map(plain_item, answer["Items"]):
            if not _is_purged(decode(item["message"]), marks):
                letter = _shown(item, payload=payload)
                size += len(dumps(dumps(letter)).encode())  # the answer is JSON inside a JSON string
                if shown and size > PAGE_BYTES:
                    return shown, last
                shown.append(letter)
            last = item["sk"]
        return shown, last if "LastEvaluatedKey" in answer else None

    def one(self, marks: Marks, request_id: str) -> Json:
        """Returns the dead letter of a request. Raises NotFound."""
        return _shown(self._get(marks, request_id))

    def count(self, marks: Marks) -> Json:
        """Returns the number of dead letters, without those that a running purge will discard.

        The count stops at a limit; `more` is then true.
        """
        found, last, more = 0, "", True
        while more and found < _MOST_COUNTED:
            letters, cursor = self.listed(marks, _MOST_COUNTED, last or None, payload=False)
            found, last, more = found + len(letters), cursor or "", cursor is not None
        return {"count": found, "more": more}

    def replay(self, marks: Marks, request_id: str, queue: Queue) -> None:
        """Queues a dead letter again and removes it. Raises NotFound, or Unavailable if it cannot be queued."""
        self._replay(marks.account, self._get(marks, request_id), queue)

    def _replay(self, account: str, item: Item, queue: Queue) -> None:
        """Queues the message, then removes the letter. After a crash in between, another replay is harmless."""
        queue.send(account, decode(item["message"])._replace(tries=0, replayed=True))
        self._remove(account, item["sk"])

    def discard(self, marks: Marks, request_id: str) -> Json:
        """Removes a dead letter and returns it. Raises NotFound."""
        item = self._get(marks, request_id)
        self._remove(marks.account, request_id)
        return _shown(item)

    def ids(self, account: str, after: str | None = None) -> Iterator[str]:
        """Yields the ids of dead letters, oldest first. Pages are read as needed."""
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
            "TableName": self.table,
            "KeyConditionExpression": "pk = :pk AND sk > :after",
            "ExpressionAttributeValues": {":pk": {"S": f"{account}/d"}, ":after": {"S": after or " "}},
        } | options
        while True:
            page = self.client.query(**arguments)
            yield from map(plain_item, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def keep(self, account: str, request_id: str, reason: str, message: Message) -> None:
        """Stores a dead letter.

        `message` has this event only. Its `tries` is the number of tries so far, including the last.
        """
        again = message._replace(tries=0, replayed=False)
        letter = DeadLetter(reason, times.now(), encode(again), message.tries)
        item = {"pk": f"{account}/d", "sk": request_id} | attributes(letter)
        self.client.put_item(TableName=self.table, Item=raw(item))


def _is_purged(message: Message, marks: Marks) -> bool:
    return any(marks.purged("shopper_activity", event.received) for event in message.orders)


def _shown(item: Item, *, payload: bool = True) -> Json:
    letter = record_of(DeadLetter, item)
    (event,) = decode(item["message"]).orders
    body, (kind, value) = event.body, event.person or (None, None)
    sent = {"occurred_at": times.iso(event.occurred), "person": {"kind": kind, "value": value} if kind else None}
    return {
        "id": item["sk"], "reason": letter.reason, "failed_at": times.iso(letter.failed_at),
        "attempts": letter.attempts, "source": "shopper_activity", "received_at": times.iso(event.received),
        "action": body.get("action"), "provider": body.get("provider"), "order_id": body.get("order_id"),
        "currency": body.get("currency"), "amount": _amount(body.get("grand_total")),
        "refund_amount": _amount(body.get("refund_amount")),
        "payload": body | sent if payload else None,
    }  # fmt: skip


def _amount(value: Json) -> Json:
    """Returns the amount as text, or None if the value is no amount, which may be the reason for the failure."""
    with suppress(InvalidOperation, ValueError, TypeError):
        return None if value is None else text(Decimal(value))
    return None
