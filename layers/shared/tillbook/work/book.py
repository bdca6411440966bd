"""Follows the ledger's stream: puts the card of each changed order, marks the order's day as changed, and records the
outcomes of v1 requests. records/book.py explains cards, places and marks; the head of an order is its current state.

Changes may arrive late, repeatedly and in any order. The function may be cut off anywhere in a batch; Lambda then
delivers the batch again.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from tillbook.aws import clients
from tillbook.aws.items import Item, plain_item
from tillbook.aws.retries import error_code, is_transient
from tillbook.aws.settings import settings
from tillbook.aws.telemetry import count, logger, measure, observed
from tillbook.contract import activity
from tillbook.ledger.commit import Retries, Store
from tillbook.ledger.items import ActivityHead, EventItem, Head, Scope, event_of, head_of, version_name
from tillbook.records.book import Book, CardItem, Place, card_of, place_of
from tillbook.records.outcomes import Outcome, Outcomes
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.effects import effects_in
from tillbook.rules.errors import Unavailable
from tillbook.rules.order import received_of
from tillbook.rules.packing import unpack
from tillbook.rules.sales import Details, details_of_activity, details_of_order

_THREADS = 16
_CARDS_A_PAGE = 100
# Seconds between the deadline and the time-out: for calls that have begun, and then for marking the changed days.
_LAST_SECONDS = 3 * clients.SLOWEST_CALL_SECONDS
# The error of an item that DynamoDB will never accept, for example because it is too large.
_PERMANENT = "ValidationException"


def _item(image: Mapping[str, Any]) -> Item:
    """The item in a Lambda event's `NewImage` or `OldImage`, in which bytes are base64."""
    return plain_item({n: {"B": b64decode(value["B"])} if "B" in value else value for n, value in image.items()})


class HeadChange(NamedTuple):
    """A change of an order's head, from `before` (None for a new order) to `head`."""

    number: int  # its index in the batch
    scope: Scope
    order_key: str
    head: Head
    before: Head | None

    @classmethod
    def of(cls, number: int, images: Mapping[str, Any]) -> HeadChange:
        item, old = _item(images["NewImage"]), images.get("OldImage")
        before = head_of(_item(old)) if old else None
        return cls(number, Scope.of(item["pk"]), str(item["sk"]), head_of(item), before)


class Version(NamedTuple):
    """The version of a v1 order that a request wrote."""

    number: int  # its index in the batch
    scope: Scope
    event: EventItem

    @property
    def log_keys(self) -> dict[str, Any]:
        """Identifies the version in log lines."""
        return {"account": self.scope.account, "request_id": self.event.request}

    @property
    def outcome(self) -> Outcome:
        event = self.event
        return Outcome(
            self.scope.account,
            self.scope.source,
            event.request,
            "applied",
            received_of(event.stamp),
            event.action,
            "",
            unpack(event.body)["order_id"],
            notes=event.noted,
            effects=effects_in(event.effects),
        )


class Task(NamedTuple):
    """The card to put at a place: the newest that a batch has for it.

    `first` is the index in the batch of the first change that concerns the place. `writes` is that of the newest head.
    `head` is None if the card must be empty: the order was deleted, or has another place by now.
    """

    first: int
    place: Place
    writes: int
    head: Head | None

    @property
    def log_keys(self) -> dict[str, Any]:
        """Identifies the task in log lines."""
        return {"account": self.place.scope.account, "order_key": self.place.order_key, "writes": self.writes}


T = TypeVar("T", Task, Version)


def _changes(records: Sequence[Mapping[str, Any]]) -> tuple[list[HeadChange], list[Version]]:
    """The changes of heads and the new v1 versions in a batch. The trigger's filter passes nothing else."""
    changes, versions = list[HeadChange](), list[Version]()
    for number, record in enumerate(records):
        images = record["dynamodb"]
        if "writes" in images["NewImage"]:
            changes.append(HeadChange.of(number, images))
        else:
            item = _item(images["NewImage"])
            versions.append(Version(number, Scope.of(item["pk"]), event_of(item)))
    return changes, versions


def plan(changes: Sequence[HeadChange]) -> list[Task]:
    """One task for each place, in the order of the batch.

    A change concerns the order's place, and the place that the order left, if any. Each place gets its card from the
    change with the most writes among those that concern it, because an order may leave a place and return to it.
    """
    tasks: dict[Place, Task] = {}
    for change in changes:
        present, left = (place_of(change.scope, change.order_key, head) for head in (change.head, change.before))
        heads: dict[Place, Head | None] = {left: None} if left else {}
        if present:
            heads[present] = change.head if change.head.standing is not None else None
        for place, head in heads.items():
            known = tasks.get(place)
            if known is None:
                tasks[place] = Task(change.number, place, change.head.writes, head)
            elif known.writes < change.head.writes:
                tasks[place] = known._replace(writes=change.head.writes, head=head)
    return list(tasks.values())


@dataclass(frozen=True, slots=True)
class Keeper:
    store: Store
    book: Book
    scopes: Scopes
    outcomes: Outcomes
    clock: Callable[[], float] = time.monotonic

    def run(self, records: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
        """Processes as much of a batch as time allows. Returns the first record that Lambda must deliver again."""
        deadline = self.clock() + seconds - _LAST_SECONDS
        changes, versions = _changes(records)
        tasks = plan(changes)
        # The current scopes are read after the batch was received. So an order that was received after a purge never
        # counts as purged, and a late batch does not bring purged orders back.
        current = self._current({c.scope.account for c in changes} | {v.scope.account for v in versions})

        def work(one: Task | Version) -> bool:
            if isinstance(one, Version):
                return one.scope not in current or self._tried(self._record, one, deadline)
            return self._tried(self._put if one.place.scope in current else self._discard, one, deadline)

        with ThreadPoolExecutor(_THREADS) as pool:
            done = list(pool.map(work, [*tasks, *versions]))
        # Days are marked after their cards are put, and a report reads the marks before the cards. So a report has
        # every change that its marks count. Days of purged scopes are marked, too: by these marks, a purge job finds
        # the months whose cards it must delete.
        for scope, day in sorted({(task.place.scope, task.place.day) for task in tasks}):
            self.book.mark(scope, day)
        numbers = [*(task.first for task in tasks), *(version.number for version in versions)]
        undone = [number for number, is_done in zip(numbers, done, strict=True) if not is_done]
        self._measure(records, min(undone, default=len(records)))
        if not undone:
            return {"batchItemFailures": []}
        return {"batchItemFailures": [{"itemIdentifier": records[min(undone)]["dynamodb"]["SequenceNumber"]}]}

    def _current(self, accounts: set[str]) -> set[Scope]:
        """The scopes of these accounts that no purge has ended."""
        return {scope for account in sorted(accounts) for scope in self.scopes.read(account).scopes()}

    def _tried(self, work: Callable[[T, float], None], one: T, deadline: float) -> bool:
        """Does the work for one task or version. Returns False if it must be tried again."""
        if self.clock() >= deadline:
            return False
        try:
            work(one, deadline)
            return True
        except Exception as error:
            transient = (
                isinstance(error, Unavailable) or is_transient(error) or error_code(error) not in ("", _PERMANENT)
            )
            logger.warning("change failed" if transient else "change skipped", exc_info=error, **one.log_keys)
            if not transient:
                count("BookSkipped")
            return not transient

    def _record(self, version: Version, deadline: float) -> None:
        self.outcomes.record([version.outcome])
        count("Applied")

    def _discard(self, task: Task, deadline: float) -> None:
        """Deletes a purged order's card, in case an invocation put it and was cut off before it marked the day.

        The purge job, which finds cards by the marks, may have ended by now without finding this one.
        """
        self.book.discard(task.place)

    def _put(self, task: Task, deadline: float) -> None:
        card = CardItem(task.writes)
        if task.head is not None:
            card = card_of(task.head, self._details(task.place, task.head, Retries(self.store.pace, deadline)))
        self.book.put(task.place, card)

    def _details(self, place: Place, head: Head, retries: Retries) -> Details:
        """Details from the order's current events. If an event is newer than the head, another change will follow."""
        scope, key = place.scope, place.order_key
        if not isinstance(head, ActivityHead):
            version = self.store.event(scope, key, version_name(head.version), retries)
            return details_of_order(unpack(version.body)) if version and version.body else Details()
        events = [event for _, event in self.store.events(scope, key, retries) if event.body]
        return details_of_activity(activity.merged([unpack(e.body) for e in sorted(events, key=lambda e: e.stamp)]))

    # -------------------------------------------------------------- rebuilds

    def put_again(self, scope: Scope, order_key: str, head: Head, deadline: float) -> set[str]:
        """Puts the card of an order again. Returns the days that the caller must mark."""
        tasks = plan([HeadChange(0, scope, order_key, head, None)])
        for task in tasks:
            self._put(task, deadline)
        return {task.place.day for task in tasks}

    def empty_places_left(self, scope: Scope, after: str, may_go_on: Callable[[], bool], deadline: float) -> str | None:
        """Empties the cards at places that their orders have left, in case the stream missed these changes.

        Returns the sort key after which the next call continues; None at the end.
        """
        begin = after
        # "~" sorts after every character of a key, so the query begins after the key `begin`.
        cards = (
            card
            for month in self.book.months(scope)
            if month >= begin[:6]
            for card in self.book.cards(scope, f"{begin}~" if begin[:6] == month else month, f"{month}~")
        )
        while page := list(islice(cards, _CARDS_A_PAGE)):
            self._empty_left(scope, [place for place, card in page if card.shows], deadline)
            after = str(page[-1][0].key["sk"])
            if len(page) == _CARDS_A_PAGE and not may_go_on():
                return after
        return None

    def _empty_left(self, scope: Scope, places: list[Place], deadline: float) -> None:
        keys = list(dict.fromkeys(place.order_key for place in places))
        heads = self.store.heads(scope, keys, Retries(self.store.pace, deadline))
        left = {p: head for p in places if (head := heads.get(p.order_key)) and place_of(scope, p.order_key, head) != p}
        for place, head in left.items():
            self.book.put(place, CardItem(head.writes))
        for day in sorted({place.day for place in left}):
            self.book.mark(scope, day)

    @staticmethod
    def _measure(records: Sequence[Mapping[str, Any]], kept: int) -> None:
        """Publishes how far the book is behind the ledger, in milliseconds: the age of the batch's oldest change.

        `kept` is the number of changes at the start of the batch that need no second delivery; nothing is published if
        it is 0.
        """
        if kept and records:
            age = times.to_datetime(times.now()).timestamp() - records[0]["dynamodb"]["ApproximateCreationDateTime"]
            measure("BookAge", max(age, 0) * 1000)


@observed
def keep(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The handler of the function."""
    return keeper().run(event["Records"], context.get_remaining_time_in_millis() / 1000)


@cache
def keeper() -> Keeper:
    """The keeper, which is created once in a process."""
    env, client = settings(), clients.dynamodb()
    records = env.records_table
    store, book = Store(client, env.ledger_table), Book(client, env.book_table)
    return Keeper(store, book, Scopes(client, records), Outcomes(client, records))
