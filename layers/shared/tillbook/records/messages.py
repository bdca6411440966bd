"""Messages of the queues: versioned and bounded in size. They contain no e-mail addresses, only their hashes.

A message is JSON, or `z` and the base64 of the zlib-compressed JSON if it is large or has characters that SQS refuses.
The version is 1. Code that introduces another version must still accept the previous one, since functions receive its
messages during a deployment.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import Person
from tillbook.rules.json_text import Json, dumps, loads

if TYPE_CHECKING:
    from tillbook.ledger.activities import Activity

VERSION = 1
MAX_BYTES = 1_000_000  # of a message and of a SendMessageBatch: SQS allows 1 MiB each, including the envelope
MAX_ORDERS = 100  # in a message; a failure or a time-out concerns all orders of a message
_COMPRESS_FROM = 48_000  # bytes; SQS bills units of 64 KiB
_ALL_ACCOUNTS = "*"  # cannot be an account's id


class QueuedOrder(NamedTuple):
    """One accepted v3 event. Times are stamps; `event_id` is from rules.identity; `person` is [kind, value], or []."""

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
        """Returns our own id of the person, empty for nobody. The event's body need not be valid."""
        named = self._person()
        return named.id_in(self.account) if named else ""

    def _person(self) -> Person | None:
        return Person(*self.person) if self.person else None  # type: ignore[arg-type]

    def activity(self) -> Activity:
        # Imported here, since functions that queue do not need them.
        from tillbook.contract.activity import amounts_of
        from tillbook.ledger.activities import Activity
        from tillbook.rules.addresses import match_keys

        total, refund, currency = amounts_of(self.body)
        shipping, billing = match_keys(self.body.get("shipping_address"), self.body.get("billing_address"))
        return Activity(
            account=self.account,
            provider=self.body["provider"],
            order_id=self.body["order_id"],
            event_id=self.event_id,
            request_id=self.request_id,
            occurred=self.occurred,
            received=self.received,
            position=self.position,
            action=self.body["action"],
            person=self._person(),
            body=self.body,
            total=total,
            refund=refund,
            currency=currency,
            content_hash=self.content_hash,
            shipping=shipping,
            billing=billing,
            notes=self.notes,
        )


class Step(NamedTuple):
    """One page of a chain of a job (records.jobs). `page` is a number from 0."""

    account: str
    job: str
    chain: int = 0
    page: int = 0


class Message(NamedTuple):
    """The content of a message. A failed message is sent again as a new one; `tries` is the number of tries before."""

    orders: Sequence[QueuedOrder] = ()
    steps: Sequence[Step] = ()
    nightly: Sequence[str] = ()  # an account id: starts rebuilds of the accounts after it; a space for all accounts
    watch: Sequence[str] = ()  # an open job: checks the progress of the open jobs after it; a space for all jobs
    tries: int = 0
    replayed: bool = False  # whether it is a replayed dead letter, whose request has the outcome `failed`


_PARTS = {"orders": QueuedOrder, "steps": Step}


def encode(message: Message) -> str:
    content: dict[str, Json] = {"v": VERSION}
    for name, value in message._asdict().items():
        if value:
            content[name] = [_fields(entry) for entry in value] if name in _PARTS else value
    text = dumps(content)
    # SQS refuses messages with characters that XML does not allow.
    if len(text) >= _COMPRESS_FROM or "\ufffe" in text or "\uffff" in text:
        return "z" + b64encode(zlib.compress(text.encode(), 6)).decode()
    return text


def _fields(entry: Any) -> dict[str, Json]:
    return {name: value for name, value in entry._asdict().items() if value != ()}


def decode(text: str) -> Message:
    """Returns the content of a message's text. Raises ValueError for an unknown version."""
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
    # Unknown fields are ignored: during a deployment, a newer version of this code may have sent the message.
    return kind(**{name: content[name] for name in kind._fields if name in content})


class Queue:
    """The queue of orders, or the queue of jobs.

    Both are fair queues: a message carries its account as MessageGroupId, and SQS delivers messages of other accounts
    before messages of an account with a backlog.
    """

    def __init__(self, client: Any, url: str) -> None:
        self.client, self.url = client, url

    def send(self, account: str, message: Message, *, delay_seconds: int = 0) -> None:
        """Sends a message that concerns one account, or all accounts if `account` is empty. Raises Unavailable."""
        self._call(
            self.client.send_message,
            MessageBody=encode(message),
            DelaySeconds=delay_seconds,
            MessageGroupId=account or _ALL_ACCOUNTS,
        )

    def send_orders(self, orders: Sequence[QueuedOrder], *, tries: int = 0, replayed: bool = False) -> None:
        """Sends orders of one account, packed into few messages. Raises Unavailable if any message was refused."""
        bodies: list[str] = []
        for start in range(0, len(orders), MAX_ORDERS):
            bodies += _bodies(list(orders[start : start + MAX_ORDERS]), tries, replayed)
        account = orders[0].account
        if len(bodies) == 1:
            self._call(self.client.send_message, MessageBody=bodies[0], MessageGroupId=account)
            return
        batch: list[str] = []
        for body in [*bodies, None]:  # None sends the last batch
            if body is None or len(batch) == 10 or sum(map(_size, batch)) + _size(body) > MAX_BYTES:
                self._send_batch(account, batch)
                batch = []
            if body is not None:
                batch.append(body)

    def _send_batch(self, account: str, bodies: list[str]) -> None:
        entries = [{"Id": str(i), "MessageBody": body, "MessageGroupId": account} for i, body in enumerate(bodies)]
        for _ in range(3):
            failed = self._call(self.client.send_message_batch, Entries=entries).get("Failed") or []
            if not failed:
                return
            again = {entry["Id"] for entry in failed}
            entries = [entry for entry in entries if entry["Id"] in again]
        raise Unavailable("Only part of the orders could be queued. It is safe to send all of them again.")

    def _call(self, call: Any, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call(QueueUrl=self.url, **arguments)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("The queue did not answer. Please try again.") from error


def _size(body: str) -> int:
    return len(body.encode())


def _bodies(orders: list[QueuedOrder], tries: int, replayed: bool) -> list[str]:
    # The uncompressed size is bounded, too, since a function decompresses ten messages at once.
    if len(orders) == 1 or sum(len(dumps(order.body)) for order in orders) <= MAX_BYTES:
        body = encode(Message(orders=orders, tries=tries, replayed=replayed))
        if _size(body) <= MAX_BYTES or len(orders) == 1:
            return [body]
    middle = len(orders) // 2
    return _bodies(orders[:middle], tries, replayed) + _bodies(orders[middle:], tries, replayed)
