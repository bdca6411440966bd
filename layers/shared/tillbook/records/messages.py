"""What goes through the queue: versioned, bounded, e-mails hashed before anything gets here.

A message is JSON, or `z` and the base64 of its zlib where that makes it smaller or the text has characters that SQS
refuses. Version 1. A function may still meet messages of the version before its own: keep reading them.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tillbook.records.jobs import Step
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import Person
from tillbook.rules.json_text import Json, dumps, loads

if TYPE_CHECKING:
    from tillbook.ledger.activities import Activity

VERSION = 1
MAX_BYTES = 1_000_000  # a message and a SendMessageBatch: 1 MiB each, less the envelope
MAX_ORDERS = 100  # a packed message fails, is retried and times out as one
_COMPRESS_FROM = 48_000  # SQS bills by 64 KiB


class QueuedOrder(NamedTuple):
    """One accepted v3 event. Times are stamps; `event_id` is its identity; `person` is [kind, value]."""

    account: str
    request_id: str
    received: str
    position: int
    event_id: str
    occurred: str
    person: list[str]
    body: dict[str, Json]
    content_hash: str = ""
    notes: Sequence[str] = ()

    def person_id(self) -> str:
        """Our own, also where the rest of it cannot be read."""
        return Person(*self.person).id_in(self.account)  # type: ignore[arg-type]

    def activity(self) -> Activity:
        from tillbook.contract.activity import amounts_of
        from tillbook.ledger.activities import Activity
        from tillbook.rules.addresses import match_keys  # here, since who queues an order does not apply it

        total, refund, currency = amounts_of(self.body)
        shipping, billing = match_keys(self.body.get("shipping_address"), self.body.get("billing_address"))
        return Activity(
            account=self.account, provider=self.body["provider"], order_id=self.body["order_id"],
            event_id=self.event_id, request_id=self.request_id, occurred=self.occurred, received=self.received,
            position=self.position, action=self.body["action"], person=Person(*self.person),  # type: ignore[arg-type]
            body=self.body, total=total, refund=refund, currency=currency, content_hash=self.content_hash,
            shipping=shipping, billing=billing,
        )  # fmt: skip


class QueuedWrite(NamedTuple):
    """A v1 write that is about to be made. Sent before the write, so that what hangs on it survives any crash."""

    account: str
    order_key: str
    order_id: str
    action: str
    request_id: str
    received: str
    notes: Sequence[str] = ()


class Message(NamedTuple):
    """`tries` counts the tries that were made before this message was sent (it may be a second one)."""

    orders: Sequence[QueuedOrder] = ()
    writes: Sequence[QueuedWrite] = ()
    steps: Sequence[Step] = ()
    nightly: Sequence[str] = ()  # account id to go on behind; a space for the start
    tries: int = 0
    replayed: bool = False  # was a dead letter, whose request is noted as failed


_PARTS = {"orders": QueuedOrder, "writes": QueuedWrite, "steps": Step}


def encode(message: Message) -> str:
    content: dict[str, Json] = {"v": VERSION}
    for name, value in message._asdict().items():
        if value:
            content[name] = [_fields(entry) for entry in value] if name in _PARTS else value
    text = dumps(content)
    # XML's non-characters may not stand in a message.
    if len(text) >= _COMPRESS_FROM or "\ufffe" in text or "\uffff" in text:
        return "z" + b64encode(zlib.compress(text.encode(), 6)).decode()
    return text


def _fields(entry: Any) -> dict[str, Json]:
    return {name: value for name, value in entry._asdict().items() if value != ()}


def decode(text: str) -> Message:
    """Raises ValueError for a version this code does not know."""
    if text.startswith("z"):
        text = zlib.decompress(b64decode(text[1:])).decode()
    content = loads(text, ours=True)
    if content.get("v") != VERSION:
        raise ValueError("a message of an unknown version")
    for name, kind in _PARTS.items():
        content[name] = [_known(kind, entry) for entry in content.get(name, ())] or ()
    message: Message = _known(Message, content)
    return message


def _known(kind: Any, content: dict[str, Json]) -> Any:
    # What a newer version of this code added is left out: while a deployment goes on, both take from the queue.
    return kind(**{name: content[name] for name in kind._fields if name in content})


class Queue:
    """The orders queue."""

    def __init__(self, client: Any, url: str) -> None:
        self.client, self.url = client, url

    def send(self, message: Message, *, delay_seconds: int = 0) -> None:
        """Raises Unavailable if the queue did not take it."""
        self._call(self.client.send_message, MessageBody=encode(message), DelaySeconds=delay_seconds)

    def send_orders(self, orders: Sequence[QueuedOrder], *, tries: int = 0) -> None:
        """Packs many orders into few messages. Raises Unavailable if any of them was not taken."""
        bodies: list[str] = []
        for start in range(0, len(orders), MAX_ORDERS):
            bodies += _bodies(list(orders[start : start + MAX_ORDERS]), tries)
        if len(bodies) == 1:
            self._call(self.client.send_message, MessageBody=bodies[0])
            return
        batch: list[str] = []
        for body in [*bodies, None]:
            if body is None or len(batch) == 10 or sum(map(_size, batch)) + _size(body) > MAX_BYTES:
                self._send_batch(batch)
                batch = []
            if body is not None:
                batch.append(body)

    def _send_batch(self, bodies: list[str]) -> None:
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
        for _ in range(3):
            failed = self._call(self.client.send_message_batch, Entries=entries).get("Failed") or []
            if not failed:
                return
            again = {entry["Id"] for entry in failed}
            entries = [entry for entry in entries if entry["Id"] in again]
        raise Unavailable("Not all of it could be queued. Sending it again is safe.")

    def _call(self, call: Any, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call(QueueUrl=self.url, **arguments)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("The queue did not answer. Please try again.") from error


def _size(body: str) -> int:
    return len(body.encode())


def _bodies(orders: list[QueuedOrder], tries: int) -> list[str]:
    # Bounded also as it is unpacked: ten messages are unpacked at once.
    if len(orders) == 1 or sum(len(dumps(order.body)) for order in orders) <= MAX_BYTES:
        body = encode(Message(orders=orders, tries=tries))
        if _size(body) <= MAX_BYTES or len(orders) == 1:
            return [body]
    middle = len(orders) // 2
    return _bodies(orders[:middle], tries) + _bodies(orders[middle:], tries)
