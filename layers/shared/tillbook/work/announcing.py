"""Announces changes on the event bus: changes of lifetime values from the ledger's stream, and requests and purges from
the stream of the records table.

The function may be cut off anywhere in a batch. Changes that are delivered again are announced again, with the same
ids. Events are sent in the order of the stream, but an event that the bus refuses may be sent again after later ones:
`sequence` gives the order of a person's changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from tillbook.aws import clients
from tillbook.aws.event_bus import AT_ONCE, EventBus
from tillbook.aws.items import raw
from tillbook.aws.reads import batch_get
from tillbook.aws.settings import event_bus, settings
from tillbook.aws.telemetry import count, logger, measure, observed
from tillbook.ledger.items import Cause, Scope, event_of, head_of
from tillbook.records.accounts import Account, Accounts
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.errors import NotFound
from tillbook.rules.json_text import Json
from tillbook.views.announcements import Announcements, Image, Named, PersonChange, person_change

# Seconds between the deadline and the time-out, for a call that has begun.
_LAST_SECONDS = 2 * clients.SLOWEST_CALL_SECONDS
_PAUSES = (0.1, 0.4, 1.6)  # seconds before refused events are sent again
_Place = tuple[Scope, Cause]
Read = TypeVar("Read")


@dataclass
class Announcer:
    client: Any
    ledger_table: str
    accounts: Accounts
    scopes: Scopes
    bus: EventBus
    announcements: Announcements
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _known: dict[str, Account] = field(default_factory=dict)  # the accounts that were read for the current batch

    def run(self, records: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
        """Announces as much of a batch as time allows. Returns the first record that Lambda must deliver again."""
        deadline = self.clock() + seconds - _LAST_SECONDS
        self._known.clear()
        images = [Image.of(record["dynamodb"]) for record in records]
        # The current scopes are read after the batch was received, so that an item that was stored after a purge never
        # counts as purged. Only the items of people have a token.
        accounts = {image.account for image in images if "token" in image.item}
        current = {scope for account in sorted(accounts) for scope in self.scopes.read(account).scopes()}
        changes = {n: change for n, image in enumerate(images) if (change := self._person_change(image, current))}
        named = self._named(list(changes.values()))
        events: list[tuple[int, Json]] = []
        for number, image in enumerate(images):
            events += [(number, event) for event in self._announced(image, changes.get(number), named)]
        done = self._put(events, deadline)
        undone = events[done][0] if done < len(events) else len(records)
        if undone and records:
            measure("AnnouncementAge", max(times.to_datetime(times.now()).timestamp() - images[0].seconds, 0) * 1000)
        if undone == len(records):
            return {"batchItemFailures": []}
        return {"batchItemFailures": [{"itemIdentifier": records[undone]["dynamodb"]["SequenceNumber"]}]}

    def _person_change(self, image: Image, current: set[Scope]) -> PersonChange | None:
        if "token" not in image.item or Scope.of(image.item["pk"]) not in current:
            return None
        change = self._read(image, lambda: person_change(image, self._account(image.account)))
        return change if change and change.currencies else None

    def _announced(self, image: Image, change: PersonChange | None, named: Mapping[_Place, Named]) -> list[Json]:
        if change is not None:
            found = named.get((change.scope, change.cause), Named())
            return list(self.announcements.of_person(change, self._account(image.account), found))
        # The mark of a purge. An answer to the purge, or the end of its job, changes the mark but not the generation.
        if "generation" in image.item and image.item["generation"] != image.before.get("generation", 0):
            return self._read(image, lambda: [self.announcements.of_purge(image)]) or []
        # The copy of an outcome by order, whose key has no `/t/`, is skipped.
        if "status" in image.item and "/t/" in image.item["pk"]:
            account = self._account(image.account)
            return self._read(image, lambda: [self.announcements.of_outcome(image, account)]) or []
        return []

    @staticmethod
    def _read(image: Image, read: Callable[[], Read]) -> Read | None:
        """The result of `read`. None if it fails: an unreadable change must not block the following changes."""
        try:
            return read()
        except (KeyError, ValueError, TypeError) as error:
            logger.warning("announcement skipped", exc_info=error, account=image.account)
            count("AnnouncementSkipped")
            return None

    def _account(self, account_id: str) -> Account:
        """The account, with default settings if it no longer exists. It is read once for each batch."""
        if account_id not in self._known:
            try:
                self._known[account_id] = self.accounts.get(account_id)
            except NotFound:
                self._known[account_id] = Account(account_id)
        return self._known[account_id]

    def _named(self, changes: Sequence[PersonChange]) -> dict[_Place, Named]:
        """The order and the event that caused each change, as far as the ledger still has them."""
        places = {(change.scope, change.cause) for change in changes}
        keys = {tuple(sorted(scope.head_key(cause.order_key).items())) for scope, cause in places}
        keys |= {tuple(sorted(scope.event_key(*cause).items())) for scope, cause in places if cause.event_id}
        items = batch_get(self.client, self.ledger_table, [raw(dict(key)) for key in sorted(keys)]) if keys else []
        found = {(str(item["pk"]), str(item["sk"])): item for item in items}
        named: dict[_Place, Named] = {}
        for scope, cause in places:
            head, event = found.get(_key(scope.head_key(cause.order_key))), found.get(_key(scope.event_key(*cause)))
            order = head_of(head) if head else None
            order_id, provider = getattr(order, "order_id", None) or None, getattr(order, "provider", None) or None
            known = event_of(event) if event else None
            named[scope, cause] = Named(
                order_id, provider, (known.action or None) if known else None, known.request if known else None
            )
        return named

    def _put(self, events: Sequence[tuple[int, Json]], deadline: float) -> int:
        """Sends events, at most AT_ONCE in a call, until a call fails. Returns the number of events before that call.

        If the bus refuses events of a call, only these are sent again, after the others of that call. The call fails if
        the bus still refuses one after several tries, or if the deadline has passed.
        """
        for start in range(0, len(events), AT_ONCE):
            left = [event for _, event in events[start : start + AT_ONCE]]
            for pause in (*_PAUSES, 0.0):
                if self.clock() >= deadline:
                    return start
                left = self.bus.put(left)
                if not left:
                    break
                self.sleep(pause)
            if left:
                return start
            count("Announced", len(events[start : start + AT_ONCE]))
        return len(events)


def _key(key: Mapping[str, Any]) -> tuple[str, str]:
    return str(key["pk"]), str(key["sk"])


@observed
def announce(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The handler of the function."""
    return announcer().run(event["Records"], context.get_remaining_time_in_millis() / 1000)


@cache
def announcer() -> Announcer:
    """The announcer, which is created once in a process."""
    env, client = settings(), clients.dynamodb()
    return Announcer(
        client,
        env.ledger_table,
        Accounts(client, env.records_table),
        Scopes(client, env.records_table),
        EventBus(clients.events(), event_bus()),
        Announcements(env.stack_name),
    )
