"""SQS in memory, with the calls that the code makes.

Calls and answers have the form of botocore's client. An unknown argument raises Unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.errors import client_error, refuse_unknown

# ------------------------------------------------------------------------ SQS

# Characters that SQS refuses in a message: those that XML excludes.
_REFUSED_CHARACTERS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MAX_MESSAGE_BYTES = 1024 * 1024


@dataclass
class QueuedMessage:
    id: int
    body: str
    visible_at: float
    receives: int = 0
    handle: int = 0  # number of the latest receive, which is part of its receipt handle


class SQS:
    """One queue and its dead-letter queue. `clock` in seconds. `sent` is called with each accepted message."""

    def __init__(
        self, clock: Callable[[], float], *, url: str, visibility_seconds: float = 360, max_receives: int = 5
    ) -> None:
        self.clock, self.url = clock, url
        self.visibility_seconds, self.max_receives = visibility_seconds, max_receives
        self.messages: dict[int, QueuedMessage] = {}
        self.dead_letters: list[QueuedMessage] = []
        self.sent: Callable[[QueuedMessage], None] = lambda message: None
        self._next = 0

    # --------------------------------------- the methods of botocore's client

    def send_message(self, **arguments: Any) -> dict[str, Any]:
        refuse_unknown(arguments, "QueueUrl", "MessageBody", "DelaySeconds", "MessageGroupId")
        self._check_url(arguments)
        return {"MessageId": str(self._accept("SendMessage", arguments).id)}

    def send_message_batch(self, **arguments: Any) -> dict[str, Any]:
        refuse_unknown(arguments, "QueueUrl", "Entries")
        self._check_url(arguments)
        entries = arguments["Entries"]
        if not 1 <= len(entries) <= 10:
            raise client_error("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "SendMessageBatch")
        if len({entry["Id"] for entry in entries}) != len(entries):
            raise client_error("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "SendMessageBatch")
        if sum(len(entry["MessageBody"].encode()) for entry in entries) > MAX_MESSAGE_BYTES:
            raise client_error("AWS.SimpleQueueService.BatchRequestTooLong", "SendMessageBatch")
        successful = []
        for entry in entries:
            refuse_unknown(entry, "Id", "MessageBody", "DelaySeconds", "MessageGroupId")
            successful.append({"Id": entry["Id"], "MessageId": str(self._accept("SendMessageBatch", entry).id)})
        return {"Successful": successful}

    def _check_url(self, arguments: dict[str, Any]) -> None:
        if arguments["QueueUrl"] != self.url:
            raise client_error("QueueDoesNotExist", "SendMessage")

    def _accept(self, operation: str, entry: dict[str, Any]) -> QueuedMessage:
        body, delay = entry["MessageBody"], entry.get("DelaySeconds", 0)
        if not body or _REFUSED_CHARACTERS.search(body):
            raise client_error("InvalidMessageContents", operation)
        if len(body.encode()) > MAX_MESSAGE_BYTES or not 0 <= delay <= 900:
            raise client_error("InvalidParameterValue", operation)
        self._next += 1
        message = QueuedMessage(self._next, body, self.clock() + delay)
        self.messages[message.id] = message
        self.sent(message)
        return message

    # ------------------------------------- the view of the event source mapping

    def visible(self) -> list[QueuedMessage]:
        now = self.clock()
        return [message for message in self.messages.values() if message.visible_at <= now]

    def receive(
        self, messages: list[QueuedMessage], *, again: Callable[[], bool] = lambda: False
    ) -> list[dict[str, Any]]:
        """Returns records as a function gets them. A message that was received too often becomes a dead letter instead.

        `again` decides whether a message stays visible: a standard queue may deliver it to two functions at once.
        """
        records = []
        for message in messages:
            if message.receives >= self.max_receives:
                del self.messages[message.id]
                self.dead_letters.append(message)
                continue
            message.receives += 1
            message.handle += 1
            if not again():
                message.visible_at = self.clock() + self.visibility_seconds
            records.append(
                {
                    "messageId": str(message.id),
                    "body": message.body,
                    "receiptHandle": f"{message.id}/{message.handle}",
                    "attributes": {"ApproximateReceiveCount": str(message.receives)},
                }
            )
        return records

    def delete(self, record: dict[str, Any]) -> None:
        """Deletes an acknowledged message, even if another function has received it in the meantime."""
        self.messages.pop(int(record["messageId"]), None)

    def change_visibility(self, record: dict[str, Any], seconds: float) -> None:
        message = self.messages.get(int(record["messageId"]))
        if message is not None:
            message.visible_at = self.clock() + seconds

    def redrive(self) -> int:
        """Moves all dead letters back into the queue, as new messages. Returns their number."""
        count = len(self.dead_letters)
        for message in self.dead_letters:
            self._accept("StartMessageMoveTask", {"MessageBody": message.body})
        self.dead_letters.clear()
        return count


class Queues:
    """Several queues behind one client."""

    def __init__(self, *queues: SQS) -> None:
        self._queues = {queue.url: queue for queue in queues}

    def send_message(self, **arguments: Any) -> dict[str, Any]:
        return self._queue("SendMessage", arguments).send_message(**arguments)

    def send_message_batch(self, **arguments: Any) -> dict[str, Any]:
        return self._queue("SendMessageBatch", arguments).send_message_batch(**arguments)

    def _queue(self, operation: str, arguments: dict[str, Any]) -> SQS:
        if arguments["QueueUrl"] not in self._queues:
            raise client_error("QueueDoesNotExist", operation)
        return self._queues[arguments["QueueUrl"]]
