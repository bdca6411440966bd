"""The loop that writes every transaction of the ledger: an operation reads and plans, the loop writes and retries."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import ClientError

from tillbook.aws.items import Item, plain_item, raw
from tillbook.aws.reads import batch_get
from tillbook.aws.retries import LOST, REFUSED, is_transient, is_unsure
from tillbook.ledger.items import EventItem, Head, Scope, event_name, event_of, head_of
from tillbook.ledger.writes import Change, Transaction, transaction
from tillbook.rules.errors import Unavailable

# Reasons of a cancelled transaction after which another try may succeed. Writes that did not fail have "None".
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "None", "ConditionalCheckFailed"}
# The attributes of events, except for the body and others that have no influence on the order's state.
_LIGHT = ("sk", *(name for name in EventItem._fields if name not in ("body", "effects", "flags", "notes")))
Found = Mapping[str, Item]  # the stored items for which conditions failed, by sort key


class Pace(NamedTuple):
    """Sources of time and randomness, which a simulation can replace."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.SystemRandom().random


class Retries:
    """Pauses between tries, with full jitter, until `deadline` (seconds of the pace's clock)."""

    def __init__(self, pace: Pace, deadline: float) -> None:
        self._pace, self._deadline, self._count = pace, deadline, 0

    def at_once(self) -> None:
        """Is called after a failed condition. Returns at once before the operation's first retry, pauses before others.

        The failed condition returned the current item, so a first retry probably succeeds. Raises Unavailable.
        """
        if self._count:
            self.wait()
        self._count += 1

    def wait(self) -> None:
        """Pauses. Raises Unavailable if the pause would end after the deadline."""
        self._count += 1
        pause = self._pace.random() * min(1.0, 0.01 * 2 ** min(self._count, 10))
        if self._pace.clock() + pause >= self._deadline:
            raise Unavailable("The order could not be read or written in time. Please try again.")
        self._pace.sleep(pause)


class Unanswered(Exception):
    """Raised if a transaction got no answer: it may have been written, may be written later, or never."""


class Operation:
    """A change of the ledger that takes one or several transactions. Store.run sets `store` and `retries`."""

    store: Store
    retries: Retries
    unanswered = False  # whether an earlier try may have been written, or may still be

    def plan(self, found: Found) -> Transaction | None:
        """Returns the next transaction, or None at the end. `found`: items whose conditions failed in the last try."""
        raise NotImplementedError

    def written(self) -> None:
        """Is called after the planned transaction was written."""

    def failed(self, error: ClientError) -> None:
        """Is called if the planned transaction can never be written. Raises the error if the operation must end."""
        raise error


O = TypeVar("O", bound=Operation)  # noqa: E741 - the type of an operation


@dataclass
class Store:
    """The ledger table. Thread-safe if its client is."""

    client: Any
    table: str
    pace: Pace = field(default_factory=Pace)
    on_conflict: Callable[[], None] = lambda: None  # called when another writer changed a head first

    def run(self, operation: O, deadline: float | Retries) -> O:
        """Runs an operation to its end and returns it. Raises Unavailable if there is not enough time.

        The caller may then request the same change again. `deadline` is in seconds of the pace's clock, or is the
        Retries of the operation that this one is part of.
        """
        retries = deadline if isinstance(deadline, Retries) else Retries(self.pace, deadline)
        operation.store, operation.retries = self, retries
        found: Found = {}
        while planned := operation.plan(found):
            refused: list[Item | None] | None = []
            try:
                refused = self.transact(planned.writes)
            except Unanswered:
                operation.unanswered = True
            except ClientError as error:
                operation.failed(error)
            found = {name: item for name, item in zip(planned.names, refused or (), strict=False) if item}
            if refused is None:
                operation.written()
            elif found:
                if any("!" not in name for name in found):  # a head; the sort keys of events contain `!`
                    self.on_conflict()
                retries.at_once()
            else:
                retries.wait()
        return operation

    def transaction(self, changes: Sequence[Change]) -> Transaction | None:
        return transaction(self.table, changes) if changes else None

    def transact(self, writes: list[dict[str, Any]]) -> list[Item | None] | None:
        """Writes a transaction. Returns None if it was written, else a list with an entry for each write.

        The entry is the stored item if the write's condition failed and an item is stored, else None. The list is empty
        if the call was throttled. Raises Unanswered, and ClientError for a transaction that no retry can write.
        """
        try:
            self.client.transact_write_items(TransactItems=writes)
            return None
        except ClientError as error:
            reasons = dict[str, Any](error.response).get("CancellationReasons") or []
            code = error.response["Error"]["Code"]
            if code == "TransactionCanceledException" and all(r.get("Code", "None") in _PASSING for r in reasons):
                return [plain_item(r["Item"]) if r.get("Item") else None for r in reasons]
            if code in REFUSED:
                return []
            if not is_unsure(error):
                raise
            raise Unanswered from error
        except LOST as error:
            raise Unanswered from error

    # ----------------------------------------------------------------- reads

    def read(self, retries: Retries, call: Callable[..., Any], **arguments: Any) -> Any:
        """Returns the answer to a read, which is repeated after temporary errors until the deadline."""
        while True:
            try:
                return call(**arguments)
            except (ClientError, *LOST) as error:
                if not is_transient(error):
                    raise
            retries.wait()

    def get(self, key: Item, retries: Retries) -> Item | None:
        answer = self.read(retries, self.client.get_item, TableName=self.table, Key=raw(key), ConsistentRead=True)
        return plain_item(answer["Item"]) if answer.get("Item") else None

    def head(self, scope: Scope, order_key: str, retries: Retries) -> Head | None:
        item = self.get(scope.head_key(order_key), retries)
        return head_of(item) if item else None

    def heads(self, scope: Scope, order_keys: Sequence[str], retries: Retries) -> dict[str, Head]:
        keys = [raw(scope.head_key(key)) for key in order_keys]
        items = self.read(retries, batch_get, client=self.client, table=self.table, keys=keys) if keys else []
        return {str(item["sk"]): head_of(item) for item in items}

    def event(self, scope: Scope, order_key: str, event_id: str, retries: Retries) -> EventItem | None:
        item = self.get(scope.event_key(order_key, event_id), retries)
        return event_of(item) if item else None

    def events(
        self, scope: Scope, order_key: str, retries: Retries, *, light: bool = False, **options: Any
    ) -> Iterator[tuple[str, EventItem]]:
        """Yields (event id, event) of each event of an order, also emptied ones. `light` reads only _LIGHT."""
        values = {":pk": scope.event_key(order_key, "")["pk"], ":order": event_name(order_key, "")}
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk AND begins_with(sk, :order)",
            "ExpressionAttributeValues": raw(values), "ConsistentRead": True,
        } | options  # fmt: skip
        if light:
            names = {f"#{n}": name for n, name in enumerate(_LIGHT)}
            arguments |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        for item in self.query(retries, arguments):
            yield str(item["sk"]).partition("!")[2], event_of(item)

    def query(self, retries: Retries, arguments: dict[str, Any]) -> Iterator[Item]:
        """Yields the items of all pages. Each page is read when its first item is needed."""
        while True:
            page = self.read(retries, self.client.query, **arguments)
            yield from map(plain_item, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            arguments = arguments | {"ExclusiveStartKey": page["LastEvaluatedKey"]}
