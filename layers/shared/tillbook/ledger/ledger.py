"""The only writer of orders, their events and LTV: every transaction and every condition stands here.

Each change is one TransactWriteItems: the order's head, one event, and the LTV of the person (or of the two persons)
that it moves. All of it is written or none of it, so LTV equals the sum over a person's orders in every snapshot.

Each head carries `w`, the token of the write that made it. A writer reads a head, computes the next one, and writes
it on the condition that `w` is still the one it read (optimistic locking). Each try has a new token, so a head
that was removed and made anew meanwhile is told apart from the one that was read.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tillbook.aws.items import Item, Raw, plain_item, raw, raw_value
from tillbook.aws.reads import batch_get
from tillbook.aws.retries import LOST, REFUSED, is_passing, is_unsure
from tillbook.ledger import table
from tillbook.rules.addresses import match_key
from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.effects import Effect, effects_of, effects_text, effects_told, labels_of, move_told, moves_text
from tillbook.rules.errors import Conflict, Later, NotFound, Unavailable
from tillbook.rules.identity import Person, order_key
from tillbook.rules.json_text import Json
from tillbook.rules.order import NO_CUSTOMER, Customer, Event, OrderState, Standing, fold, stamp_of, step
from tillbook.rules.packing import pack, unpack
from tillbook.rules.times import now, shift, to_datetime, uuid7

# Reasons of a cancelled transaction that another try may not meet again.
_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "None"})


_MAX_RENEWED = 90  # a transaction takes 100 items
_MAX_BYTES = 3_000_000  # of bodies; a transaction takes 4 MB
_WRITER_LIFE_SECONDS = 60  # more than the time-out of any function that writes
_MAX_REMOVED = 40  # each with its idempotency key
_LONGEST_PURGE_SECONDS = 24 * 3600
_PURGE_PAUSE_SECONDS = 60
MAX_TOGETHER = 16  # events in one transaction: each with its order's head, a key and two persons at the most
_TRIES_TOGETHER = 3


class Pace(NamedTuple):
    """Time and chance, so that a simulation can hold both."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


class Tries:
    """Retries with full jitter, as long as there is time. Raises Unavailable when there is none."""

    def __init__(self, pace: Pace, deadline: float) -> None:
        self._pace, self._deadline, self._count = pace, deadline, 0
        self.unsure = False  # an earlier try may have been written, though its answer was lost

    def given_up(self, message: str) -> Unavailable:
        error = Unavailable(message)
        error.settled_in = _WRITER_LIFE_SECONDS if self.unsure else 0
        return error

    def at_once(self) -> None:
        """The first time without a pause: a condition that failed has handed back what it failed on."""
        if self._count:
            self.again()
        self._count += 1

    def again(self) -> None:
        self._count += 1
        pause = self._pace.random() * min(1.0, 0.01 * 2 ** min(self._count, 10))
        if self._pace.clock() + pause >= self._deadline:
            raise self.given_up("The order is being changed by many at once. Please try again.")
        self._pace.sleep(pause)


class Activity(NamedTuple):
    """One v3 event on its way into the ledger. Times are stamps (see times.py)."""

    account: str
    provider: str
    order_id: str
    event_id: str
    request_id: str
    occurred: str
    received: str
    position: int
    action: str
    person: Person
    body: dict[str, Json]
    total: Decimal | None = None
    refund: Decimal = ZERO
    currency: str = ""
    shipping: str | None = None
    billing: str | None = None
    # With an idempotency key the same event may come with another content, which must not pass for a repeat.
    content_hash: str = ""

    @property
    def stamp(self) -> str:
        return stamp_of(self.occurred, self.received, self.position, self.event_id)

    @property
    def event(self) -> Event:
        return Event(
            self.stamp, self.action, self.person.id_in(self.account), self.total, self.refund, self.currency,
            self.shipping, self.billing,
        )  # fmt: skip

    @property
    def order_key(self) -> str:
        return order_key("shopper_activity", self.provider, self.order_id)


class Outcome(NamedTuple):
    """`applied`, `duplicate` (of `original`, a request id) or `failed`; `state` is the order's after it."""

    status: str
    reason: str = ""
    original: str = ""
    state: OrderState | None = None
    effects: Sequence[Effect] = ()
    flags: Sequence[str] = ()  # of the order, as the event left it


UNANSWERED = Outcome("unanswered")


class Document(NamedTuple):
    """One version of a v1 order: the normalised body, and what it adds to whose LTV."""

    order_id: str
    body: dict[str, Json]
    occurred: str
    person: Person | None = None
    currency: str = "USD"
    total: Decimal = ZERO
    customer: Customer = NO_CUSTOMER


class V1Order(NamedTuple):
    """A v1 order as it stands: our id of it, and its body. `changed` is False if this call wrote nothing."""

    id: str
    body: dict[str, Json]
    changed: bool = True


class _Refusal(NamedTuple):
    """Why one item of a transaction was not written, with the item that stands there if a condition failed."""

    code: str
    item: Item | None

    @property
    def condition_failed(self) -> bool:
        return self.code == "ConditionalCheckFailed"


class Purged(NamedTuple):
    """What purges and an erasure take out, as far as it may still stand: stamps of receipt, empty for nothing.

    Events received up to `before`, and up to `person` those of the event's person. By each of `walks`, (before, cut,
    settled): events received up to `cut` of orders first received up to `before`; until `settled` it may find some.
    `taken_up_to`: up to which receipt events of an order (by its key) went by such a walk, or are about to; `take`
    notes that they are, up to a cut.
    """

    before: str = ""
    person: str = ""
    walks: tuple[tuple[str, str, str], ...] = ()
    taken_up_to: Callable[[str], str] = lambda order_key: ""
    take: Callable[[str, str], None] = lambda order_key, cut: None

    def drops(self, received: str) -> bool:
        return received <= max(self.before, self.person)

    def may_go_with_order(self, received: str) -> bool:
        """Whether it goes with its order, where that was first received up to the date of a purge."""
        return any(before < received <= cut for before, cut, _ in self.walks)

    def may_part(self, one: str, other: str) -> int:
        """For how many seconds more it may take out the copy of an event that came first and leave the other."""
        walks = [w for w in self.walks if w[0] < w[1] and min(one, other) <= w[1] < max(one, other)]
        settled, moment = max((until for _, _, until in walks), default=""), now()
        if moment >= settled:
            return 0
        return min(int((to_datetime(settled) - to_datetime(moment)).total_seconds()) + 1, 900)

    def parts(self, first: str, later: str) -> dict[str, str]:
        """Up to when an order must have begun (stamps) for `first` to go and `later` to stay, by each walk between; and
        up to which receipt its events go then.
        """
        return {before: cut for before, cut, _ in sorted(self.walks) if first <= cut < later}


class Cuts(NamedTuple):
    """Up to which receipt (stamps, empty for nothing) v1 orders go: `all` of them, and those of one `person`."""

    all: str = ""
    person: str = ""


_Step = tuple[OrderState | Standing | None, OrderState | Standing | None]  # of one order, before and after
Purges = Callable[[str], Purged]  # of a person, by our own id
PURGED = "purged: received before a purge or an erasure"


class _Lost(Exception):
    """No answer: the transaction was written or it was not."""


def unanswered() -> Unavailable:
    """For an event whose transaction was not answered, and for which no time is left."""
    error = Unavailable("The order was not answered for in time. Please try again.")
    error.settled_in = _WRITER_LIFE_SECONDS
    return error


@dataclass
class Ledger:
    """Thread-safe, as far as its client is."""

    client: Any
    table: str
    pace: Pace = field(default_factory=Pace)
    # Told of each write that is tried again because another came between.
    conflict: Callable[[], None] = lambda: None

    # ------------------------------------------------------------ v3: apply

    def apply_together(self, activities: list[Activity], deadline: float) -> list[Outcome | None]:
        """Applies up to MAX_TOGETHER events of one account in one transaction; None for each that `apply` must do, and
        UNANSWERED where it may be written all the same.

        It is what `apply` would write, on the same conditions, with what several add to one person, or to the
        counters, added at once: an order in it is refused where it would be by itself, and stays out of the next try.
        No condition is new, and none is left out: whatever is not sure here, `apply` finds out event by event.
        Raises what a transaction raises that no try would mend (too big, one item that can never be written).
        """
        outcomes: list[Outcome | None] = [None] * len(activities)
        tries, group = Tries(self.pace, deadline), _unlike(activities)
        for _ in range(_TRIES_TOGETHER):
            if len(group) < 2:
                break
            writes, orders, found = self._together([activities[index] for index in group])
            try:
                refusals = self._transact(writes)
            except _Lost:
                for index in group:
                    outcomes[index] = UNANSWERED
                break
            if refusals is None:
                for index, outcome in zip(group, found, strict=True):
                    outcomes[index] = outcome
                break
            refused = {order for order, refusal in zip(orders, refusals, strict=False) if refusal.condition_failed}
            group = [index for index in group if activities[index].order_key not in refused]
            if refused:
                tries.at_once()
            else:
                tries.again()
        return outcomes

    def _together(self, activities: list[Activity]) -> tuple[list[Raw], list[str], list[Outcome]]:
        """The writes of events of several orders, the order (key) of each of the first of them, and all outcomes."""
        account, source = activities[0].account, "shopper_activity"
        heads = self._heads(activities)
        states = {key: state_of(head) for key, head in heads.items()}
        steps: list[_Step] = []
        people: dict[str, Person] = {}
        events: list[tuple[str, Raw]] = []
        found: list[Outcome] = []
        latest: dict[str, Item] = {}
        for activity in activities:
            key, pk = activity.order_key, table.orders_pk(account, source, activity.order_key)
            before, after = states[key], step(states[key], activity.event)
            effects = effects_of(before.standing if before.events else None, after.standing)
            events.append((key, self._put_event(_activity_event(activity, pk) | _told(effects, after.flags))))
            if activity.content_hash:
                events.append((key, self._put_idempotency(activity, pk)))
            steps.append((before, after))
            if before.standing != after.standing or activity.event.person != after.person:
                people[activity.event.person] = activity.person
            states[key], latest[key] = after, _activity_head(activity, pk, after, uuid7())
            found.append(Outcome("applied", state=after, effects=effects, flags=after.flags))
        owned = [(key, self._put_head(head, heads[key])) for key, head in latest.items()] + events
        moves = self._moves(account, source, steps, list(people.values()))
        met = _persons(moves)
        moves += [self._introduce(account, person) for name, person in people.items() if name not in met]
        counts = self._counts(account, source, [(key, heads[key], states[key].customer) for key in latest])
        return [write for _, write in owned] + moves + counts, [key for key, _ in owned], found

    def _heads(self, activities: list[Activity]) -> dict[str, Item | None]:
        """The heads of the events' orders, by order key. That of a placed order is not read: see `apply`."""
        heads: dict[str, Item | None] = {}
        unread: list[Raw] = []
        for activity in activities:
            key = activity.order_key
            if key not in heads and activity.action != "placed":
                pk = table.orders_pk(activity.account, "shopper_activity", key)
                unread.append(raw({"pk": pk, "sk": table.head_sk(key)}))
            heads[key] = None
        heads |= {str(head["sk"])[:-1]: head for head in batch_get(self.client, self.table, unread)}
        return heads

    def apply(
        self, activity: Activity, deadline: float,
        purged: Purges = lambda person: Purged(), purged_now: Purges = lambda person: Purged(), unsure: bool = False,
    ) -> Outcome:  # fmt: skip
        """Applies one event, once, for ever. `deadline` in seconds of `pace.clock()`. `purged_now` reads it anew.
        `unsure`: an earlier try may be written yet.

        Raises Unavailable if the time does not suffice; trying again is then safe.
        """
        tries = Tries(self.pace, deadline)
        tries.unsure = unsure
        pk = table.orders_pk(activity.account, "shopper_activity", activity.order_key)
        # A placed order is mostly a new one: the condition tells, and hands back the head if it is not.
        head = None if activity.action == "placed" else self._get(pk, table.head_sk(activity.order_key), tries)
        while True:
            before = state_of(head)
            after = step(before, activity.event)
            effects = effects_of(before.standing if head else None, after.standing)
            writes = [
                self._put_head(_activity_head(activity, pk, after, uuid7()), head),
                self._put_event(_activity_event(activity, pk) | _told(effects, after.flags)),
            ]
            if activity.content_hash:
                writes.append(self._put_idempotency(activity, pk))
            writes += self._move(activity.account, "shopper_activity", before, after, activity.person)
            writes += self._count(activity.account, "shopper_activity", activity.order_key, head, after.customer)
            if activity.event.person != after.person:
                # A late event of another person: it stands on their timeline, so they must be known.
                writes.append(self._introduce(activity.account, activity.person))
            try:
                refusals = self._transact(writes)
            except _Lost:
                tries.unsure = True
                tries.again()
                head = self._get(pk, table.head_sk(activity.order_key), tries)
                continue
            if refusals is None:
                return Outcome("applied", state=after, effects=effects, flags=after.flags)
            keyed = refusals[2] if activity.content_hash else None
            if keyed and keyed.condition_failed:
                stored = keyed.item or {}
                if stored.get("h") != activity.content_hash:
                    self._wait_for_purge(activity, stored, purged, tries)
                    if tries.unsure:
                        # A: an answer is lost    B: applies another content under the key, is erased with its key
                        # A: finds B's event      A's lost try is written, as late as that: it was no failure.
                        raise Later("An earlier try was not answered.", _WRITER_LIFE_SECONDS)
                    return Outcome(
                        "failed", "idempotency_key_reused: another content came first under the same key",
                        original=str(stored.get("rq", "")),
                    )  # fmt: skip
                return self._repeat(activity, pk, str(stored["e"]), purged, purged_now, tries)
            # Under a key the event alone does not tell whether it is the same: the key does, now or on another try.
            if refusals[1].condition_failed and not activity.content_hash:
                sk = table.event_sk(activity.order_key, _event_name(activity))
                return self._repeat(activity, pk, sk, purged, purged_now, tries)
            if refusals[0].condition_failed:
                self.conflict()
                tries.at_once()
                head = refusals[0].item  # somebody else wrote the head: go on from theirs
            else:
                tries.again()
                head = self._get(pk, table.head_sk(activity.order_key), tries)

    def _wait_for_purge(self, activity: Activity, key_item: Item, purged: Purges, tries: Tries) -> None:
        """Raises Later where what stands under the key is being taken out, or may be: then the key is free."""
        standing = self._get(str(key_item["o"]), str(key_item["e"]), tries)
        # A: meets another content under the key    B: that is purged, and A's content applied in its place
        # A: reads B's event, which stays -> would be refused, though it repeats it.
        key = self._get(table.idempotency_pk(activity.account, activity.event_id), "i", tries)
        if standing is None or key is None or key["h"] != key_item["h"]:
            raise Unavailable("What stands under the key changed while it was read. Please try again.")
        # Whose event it is that stands there decides, not whose comes now.
        known, received = purged(str(standing["gp"]).rpartition("/")[2]), _received(standing)
        if purged(activity.event.person).drops(activity.received):
            return  # it goes, too
        goes = known.drops(received)
        if not goes and (parting := known.parts(received, activity.received)):
            order_key = str(key_item["e"]).partition("!")[0]
            began = min(received, self._began(str(key_item["o"]), order_key, tries))
            goes = began <= max(parting) or received <= known.taken_up_to(order_key)
        if goes:
            message = "What came under this key before is being purged. Please try again."
            # A purge may take longer than five tries; one that failed ends never.
            if now() < shift(activity.received, seconds=_LONGEST_PURGE_SECONDS):
                raise Later(message, _PURGE_PAUSE_SECONDS)
            raise Unavailable(message)
        if seconds := known.may_part(received, activity.received):
            raise Later("A purge that may take out what came before is not through.", seconds)

    def _repeat(
        self, activity: Activity, pk: str, sk: str, purged: Purges, purged_now: Purges, tries: Tries
    ) -> Outcome:
        """An event that stands in the ledger already: nothing changes, except for the time of its first receipt.

        Copies of an event may be applied in any order, and the first one received counts for the order of events.
        If it is not the one applied, it takes the other's place and the order is computed anew from all its events.
        """
        known = purged(activity.event.person)
        while True:
            stored = self._get(pk, sk, tries)
            if stored is None:  # moved by another copy at this moment, or purged: a later delivery finds out
                raise Unavailable("The event was moved while it was read. Please try again.")
            if activity.content_hash:
                # A: read the key of its own content   B: that content is purged, another one applied under the key
                # A: finds B's event -> would take it for its own, and move it to its place.
                key = self._get(table.idempotency_pk(activity.account, activity.event_id), "i", tries)
                if key is None or key["h"] != activity.content_hash:
                    raise Unavailable("What stands under the key changed while it was read. Please try again.")
            status = "applied" if stored["rq"] == activity.request_id else "duplicate"
            received, position = str(stored["gs"])[20:40], int(str(stored["gs"])[40:44])
            # What a purge is about to take out is no longer the event that this copy repeats: it takes its place.
            doomed = received <= known.person < activity.received
            if not doomed and (parting := known.parts(received, activity.received)):
                # What was read first may be gone from the order when that is read: it began no later than this.
                began = min(received, self._began(pk, activity.order_key, tries))
                doomed = began <= max(parting) or received <= known.taken_up_to(activity.order_key)
                if began <= max(parting):
                    # Without it the order may look as if it began after the date: the purge must know it still.
                    cut = max(cut for before, cut in parting.items() if began <= before)
                    known.take(activity.order_key, cut)
            # A: has read no mark, has an event from before the date    B: a copy received after the purge
            # B: the order began after the date: a repeat                A: adds its event: now it began before
            # The purge takes the order with the copy that stands -> what came after it would be lost: B waits for it.
            if not doomed and (seconds := known.may_part(received, activity.received)):
                raise Later("A purge that may take out what came before is not through.", seconds)
            if doomed:
                status = "applied"
            elif (activity.received, activity.position) >= (received, position):
                if status == "duplicate":
                    return Outcome(status, original=str(stored["rq"]), effects=move_told(stored, activity.request_id))
                own, flags = effects_told(stored), str(stored.get("fl", "")).split()
                return Outcome(status, original=str(stored["rq"]), effects=own, flags=flags)
            else:
                # A: before a purge was asked for, reads what is purged    B: a copy received after it is applied
                # A: moves B's event to its own receipt -> the purge would take it out, though B came later.
                latest = purged_now(activity.event.person)
                parting = latest.parts(activity.received, received)
                if latest.drops(activity.received) or (
                    parting
                    and (
                        self._began(pk, activity.order_key, tries) <= max(parting)
                        or activity.received <= latest.taken_up_to(activity.order_key)
                    )
                ):
                    return Outcome("failed", PURGED)
                if seconds := latest.may_part(received, activity.received):
                    raise Later("A purge that may take out what came before is not through.", seconds)
            head, events = self._read(pk, activity.order_key, tries)
            if head is None or int(head["n"]) != len(events):
                tries.again()  # another write fell between the pages of the query
                continue
            before = state_of(head)
            moved = dict(stored)
            moved["gs"] = activity.stamp
            if doomed:
                moved["rq"] = activity.request_id
            # Where no occurred_at was sent, the time of receipt is the time of the event, and so its sort key.
            moved["sk"] = table.event_sk(activity.order_key, _event_name(activity))
            others = [e for e in events if e["sk"] != sk]
            after = fold([event_of(e) for e in [*others, moved]])
            if doomed:
                # What is taken out takes its effects with it: those of what comes in its place count instead.
                rest = fold([event_of(e) for e in others]).standing if others else None
                effects = effects_of(rest, after.standing)
                moved = {name: moved[name] for name in moved if name not in ("fx", "fm", "fl")}
                moved |= _told(effects, after.flags)
            elif effects := effects_of(before.standing, after.standing):
                # Another event may be the latest now, and the copy did that.
                moved["fm"] = moves_text(stored, activity.request_id, effects)
            writes = [self._put_head(_with_state(head, after, uuid7()), head)]
            if moved["sk"] == sk:
                writes.append(self._replace_event(moved, stored))
            else:
                writes += [self._drop(stored, "gs"), self._put_event(moved)]
                if activity.content_hash:
                    writes.append(self._point_idempotency(activity, str(moved["sk"])))
            moves = self._move(activity.account, "shopper_activity", before, after, activity.person)
            if activity.event.person not in _persons(moves):
                # A: forgets this person, finds their event listed    B: moves it
                # A: looks where it stood, finds nothing, removes the person -> refused: B has given them a new token.
                moves.append(self._introduce(activity.account, activity.person))
            writes += moves
            writes += self._count(activity.account, "shopper_activity", activity.order_key, head, after.customer)
            try:
                refusals = self._transact(writes)
            except _Lost:
                refusals = []
            if refusals is None:
                return Outcome(status, original=str(stored["rq"]), state=after, effects=effects, flags=after.flags)
            tries.again()
            if activity.content_hash:
                current = self._get(table.idempotency_pk(activity.account, activity.event_id), "i", tries)
                sk = str(current["e"]) if current else sk

    def _began(self, pk: str, key: str, tries: Tries) -> str:
        """When the first event of a v3 order was received (a stamp)."""
        return min(map(_received, self._read(pk, key, tries)[1]), default="9")

    # -------------------------------------------- v1: submit, edit, delete

    def submit(
        self, account: str, document: Document, *, new_id: str, digest: str, request_id: str, received: str,
        announce: Callable[[], None], gone: Callable[[str], Cuts] = lambda person: Cuts(), deadline: float,
    ) -> V1Order:  # fmt: skip
        """A new order; or the first answer again if the same order was submitted before (same `digest`).

        `announce` is called once, before anything is written (see orders.py). `gone` tells, of a person by our own id,
        what was purged or erased before this one was received: what still stands of it is replaced as if it were gone.
        Raises Conflict if the order_id is taken by another submission, Unavailable if the time does not suffice.
        """
        tries = Tries(self.pace, deadline)
        key = order_key("orders_api", "", document.order_id)
        pk = table.orders_pk(account, "orders_api", key)
        head: Item | None = None
        announce()
        while True:
            if tries.unsure and (mine := self._written(pk, key, request_id, received, tries)):
                # Though the answer was lost. What came after it stays: an edit, a deletion, an erasure that emptied it.
                return V1Order(str(mine["i"]), document.body)
            before: Standing | None = None
            if head is not None and not head.get("d") and self._goes(pk, key, head, gone(head.get("p", "")), tries):
                before = _v1_standing_of(head)
            elif head is not None and not head.get("d"):
                if head["h"] != digest:
                    if tries.unsure:
                        # It may be written yet, if the order that stands there goes: a 409 would say that it was not.
                        raise Unavailable("The order_id is taken, and an earlier try was not answered.")
                    raise Conflict(f"An order {document.order_id!r} with other content was submitted before.")
                first = self._version(pk, key, int(head["b"]), tries)
                # Numbers begin again after a purge: what stands there now may be another order's.
                if first is not None and first["i"] == head["i"] and "b" in first:
                    return V1Order(str(first["i"]), unpack(first["b"]), changed=False)
                # The first version was emptied of whom it named: the answer is the order as it is. Or it went, and a
                # try of the first submission whose answer was lost has made the order again, under the same id.
                now, current = self._current(pk, key, tries)
                if current is not None and now is not None and (now["i"], now["b"]) == (head["i"], head["b"]):
                    return V1Order(str(current["i"]), unpack(current["b"]), changed=False)
                head = self._get(pk, table.head_sk(key), tries)
                continue
            version = int(head["v"]) + 1 if head else 1
            after = _v1_standing(account, document)
            new_head = _v1_head(
                pk, key, document, after, version=version, born=version, order=new_id, digest=digest, token=uuid7()
            )
            event = _v1_event(
                pk, new_head, "submitted", request_id, document.body, _v1_person_pk(account, document),
                document.occurred, received, effects_of(None, after, new=labels_of(document.body)),
            )  # fmt: skip
            writes = [self._put_head(new_head, head), self._put_event(event)]
            writes += self._move(account, "orders_api", before, after, document.person)
            writes += self._count(account, "orders_api", key, head, document.customer)
            refusals = self._try(writes, tries)
            if refusals is None:
                return V1Order(new_id, document.body)
            if refusals and refusals[0].condition_failed:
                self.conflict()
                tries.at_once()
                head = refusals[0].item
            else:
                tries.again()
                head = self._get(pk, table.head_sk(key), tries)

    def _as_written(self, pk: str, key: str, request_id: str, received: str, tries: Tries) -> V1Order | None:
        """The order as this request wrote it; as it is now, where that version was emptied of whom it named."""
        mine = self._written(pk, key, request_id, received, tries)
        if mine is None:
            return None
        if "b" in mine:
            return V1Order(str(mine["i"]), unpack(mine["b"]))
        head, current = self._current(pk, key, tries)
        if head is None or current is None or head["i"] != mine["i"]:
            return None
        return V1Order(str(head["i"]), unpack(current["b"]))

    def _goes(self, pk: str, key: str, head: Item, cuts: Cuts, tries: Tries) -> bool:
        """Whether a walk that was asked for takes the order out, though it may not have come by."""
        if not cuts.all and not cuts.person:
            return False
        first = self._version(pk, key, int(head["b"]), tries)
        if first is None or first["i"] != head["i"]:
            return True  # another order's: then this one is gone, and the write over its head will be refused
        if _received(first) <= cuts.all:
            return True
        if _received(first) > cuts.person:
            return False
        latest, events = self._read(pk, key, tries)
        if latest is None or latest["w"] != head["w"]:
            return True  # as above
        return _is_doomed(_lives(events)[-1], cuts.person, table.person_pk(pk.partition("/")[0], str(head["p"])))

    def edit(
        self,
        account: str,
        order_id: str,
        change: Callable[[dict[str, Json]], Document],
        *,
        request_id: str,
        received: str,
        announce: Callable[[], None],
        deadline: float,
    ) -> V1Order:
        """Replaces the order's body by what `change` makes of it, if that is another one.

        `change` may run several times: a write in between makes it start again from the newer body. What it raises
        passes through. `announce` is called once, before anything is written.
        Raises NotFound, or Unavailable if the time does not suffice.
        """
        tries, announced, tried = Tries(self.pace, deadline), False, ""
        key = order_key("orders_api", "", order_id)
        pk = table.orders_pk(account, "orders_api", key)
        while True:
            head, current = self._current(pk, key, tries)
            if tries.unsure and (mine := self._as_written(pk, key, request_id, received, tries)):
                return mine
            if head is None or current is None:
                raise NotFound("There is no such order.")
            _same_order(head, tried, tries)
            body = unpack(current["b"])
            document = change(body)
            if document.body == body:
                return V1Order(str(head["i"]), body, changed=False)
            if not announced:
                announce()
                announced = True
            version = int(head["v"]) + 1
            after = _v1_standing(account, document)
            new_head = _v1_head(
                pk, key, document, after,
                version=version, born=int(head["b"]), order=str(head["i"]), digest=str(head["h"]), token=uuid7(),
            )  # fmt: skip
            event = _v1_event(
                pk, new_head, "edited", request_id, document.body, _v1_person_pk(account, document), received, received,
                effects_of(_v1_standing_of(head), after, labels_of(body), labels_of(document.body)),
            )  # fmt: skip
            writes = [self._put_head(new_head, head), self._put_event(event)]
            writes += self._move(account, "orders_api", _v1_standing_of(head), after, document.person)
            writes += self._count(account, "orders_api", key, head, document.customer)
            tried = str(head["i"])
            refusals = self._try(writes, tries)
            if refusals is None:
                return V1Order(tried, document.body)
            if refusals:
                self.conflict()
            tries.again()

    def delete(
        self, account: str, order_id: str, *, request_id: str, received: str,
        announce: Callable[[], None], deadline: float,
    ) -> V1Order:  # fmt: skip
        """Takes the order out; what it was is returned. `announce` as in `edit`. Raises NotFound, Unavailable."""
        tries, announced, tried = Tries(self.pace, deadline), False, ""
        key = order_key("orders_api", "", order_id)
        pk = table.orders_pk(account, "orders_api", key)
        while True:
            head, current = self._current(pk, key, tries)
            if tries.unsure and (mine := self._written(pk, key, request_id, received, tries)):
                last = self._version(pk, key, int(str(mine["sk"]).rpartition("!")[2]) - 1, tries)
                if last is not None and last["i"] == mine["i"] and "b" in last:
                    return V1Order(str(mine["i"]), unpack(last["b"]))
            if head is None or current is None:
                raise NotFound("There is no such order.")
            _same_order(head, tried, tries)
            if not announced:
                announce()
                announced = True
            body = unpack(current["b"])
            version = int(head["v"]) + 1
            # What stays of a deleted order is its version and id, so that what is submitted next is a new order.
            tomb = _tomb(head, request_id) | {"v": version}
            # The body stands in the version before: what the timeline shows of a deleted order is its outline.
            outline = {name: body[name] for name in ("order_id", "currency", "total", "order_date") if name in body}
            person = table.person_pk(account, str(head["p"])) if head.get("p") else None
            gone = effects_of(_v1_standing_of(head), None, labels_of(body))
            event = _v1_event(pk, tomb, "deleted", request_id, outline, person, received, received, gone)
            writes = [self._put_head(tomb, head), self._put_event(event)]
            writes += self._move(account, "orders_api", _v1_standing_of(head), None, None)
            writes += self._count(account, "orders_api", key, head, None)
            tried = str(head["i"])
            refusals = self._try(writes, tries)
            if refusals is None:
                return V1Order(tried, body)
            if refusals:
                self.conflict()
            tries.again()

    # ------------------------------------------------------------- upkeep

    def refresh(
        self, account: str, source: str, key: str, document_of: Callable[[dict[str, Json]], Document], deadline: float
    ) -> bool:
        """Computes an order's head anew from its events, and writes it if it is another. Tells whether it was.

        Nothing to do is the rule: it changes what an older version of this code wrote.
        """
        tries = Tries(self.pace, deadline)
        pk = table.orders_pk(account, source, key)
        while True:
            v1, more = source == "orders_api", False
            head, events = self._read(pk, key, tries, newest=1 if v1 else None)
            if head is None or head.get("d"):
                return False
            writes: list[Raw] = []
            if v1:
                if not events or not str(events[0]["sk"]).endswith(table.version_name(int(head["v"]))):
                    tries.again()  # a write fell between the two items
                    continue
                document = document_of(unpack(events[0]["b"]))
                standing = _v1_standing(account, document)
                fresh = _v1_head(
                    pk, key, document, standing, version=int(head["v"]), born=int(head["b"]), order=str(head["i"]),
                    digest=str(head["h"]), token=str(head["w"]),
                )  # fmt: skip
                writes += self._move(account, source, _v1_standing_of(head), standing, document.person)
                writes += self._count(account, source, key, head, document.customer)
            else:
                if int(head["n"]) != len(events):
                    tries.again()
                    continue
                renewed = [_with_match_keys(event) for event in events]
                state = fold([event_of(event) for event in renewed])
                fresh = _with_state(head, state, str(head["w"]))
                changed = [(new, old) for new, old in zip(renewed, events, strict=True) if new != old]
                fitting = len(_fitting([new for new, _ in changed], _MAX_RENEWED))
                writes += [self._replace_event(new, old) for new, old in changed[:fitting]]
                more = len(changed) > fitting
                if more:
                    fresh = head  # the head follows when the last of its events is renewed
                else:
                    writes += self._move(account, source, state_of(head), state, None)
                    writes += self._count(account, source, key, head, state.customer)
            # By value: DynamoDB keeps 10.0 as 10.
            if plain_item(raw(fresh)) == head and not writes:
                return False
            # A token of its own each time, even for the same page delivered again.
            if self._try([self._put_head(fresh | {"w": uuid7()}, head), *writes], tries) is not None:
                tries.again()
            elif not more:
                return True

    # -------------------------------------------------- purge and erasure

    def remove_activities(
        self, account: str, key: str, doomed: Callable[[Item], bool], deadline: float, *, begun: str = "",
        goes: Callable[[], None] = lambda: None,
    ) -> set[str]:  # fmt: skip
        """Takes events out of a v3 order, and the order where none is left. Returns whose events they were.

        With `begun`, only where the first of them was received up to that (a stamp). In transactions of up to 40
        events, each of which leaves LTV equal to what the remaining events make it. `goes` is called before each.
        """
        tries = Tries(self.pace, deadline)
        pk = table.orders_pk(account, "shopper_activity", key)
        people: set[str] = set()
        while True:
            head, events = self._read(pk, key, tries)
            if head is None:
                return people
            if int(head["n"]) != len(events):
                tries.again()  # a write fell between the pages of the query
                continue
            if begun and events and min(map(_received, events)) > begun:
                return people
            # What was received first says whether they go: it goes last.
            out = _fitting(sorted(filter(doomed, events), key=_received, reverse=True), _MAX_REMOVED)
            if not out:
                return people
            names = {event["sk"] for event in out}
            rest = [event for event in events if event["sk"] not in names]
            before, after = state_of(head), fold([event_of(event) for event in rest]) if rest else None
            writes = [self._put_head(_with_state(head, after, uuid7()), head) if after else self._drop(head, "w")]
            for event in out:
                writes.append(self._drop(event, "gs"))
                if "k" in event:
                    writes.append(self._drop_idempotency(account, str(event["k"])))
            writes += self._move(account, "shopper_activity", before, after, None)
            writes += self._count(account, "shopper_activity", key, head, after.customer if after else None)
            goes()
            # Noted before: the answer may be lost.
            people |= {str(event["gp"]).rpartition("/")[2] for event in out}
            if self._try(writes, tries) is not None:
                tries.again()

    def remove_order(self, account: str, key: str, cut: str, deadline: float, *, person: str | None = None) -> set[str]:
        """Takes out a v1 order that was submitted up to `cut` (a stamp), with all its versions.

        What was deleted and submitted again is several orders under one id: each goes or stays by itself. With
        `person`, only one that belonged to them at `cut` and ever since. Returns whom the versions named.
        """
        tries = Tries(self.pace, deadline)
        pk = table.orders_pk(account, "orders_api", key)
        owner = person and table.person_pk(account, person)
        people: set[str] = set()
        while True:
            head, events = self._read(pk, key, tries)
            if head is None:
                return people
            lives = _lives(events)
            doomed = [life for life in lives if _is_doomed(life, cut, owner)]
            if not doomed:
                return people
            # What says whether it goes, goes last, and together.
            ends = [_decisive(life, cut) for life in doomed]
            kept = {event["sk"] for life in ends for event in life}
            between = [event for life in doomed for event in life if event["sk"] not in kept]
            out = between + [event for life in ends for event in life]
            last = len(_fitting(out, _MAX_RENEWED)) == len(out)
            if not last:
                out = _fitting(between, _MAX_RENEWED) or ends[0]
            writes = [self._drop(event, "gs") for event in out]
            if last and doomed[-1] is lives[-1]:
                # Where an earlier order stays, the next one must not take its versions' numbers.
                stays = len(out) < len(events)
                writes.append(self._put_head(_tomb(head, uuid7()), head) if stays else self._drop(head, "w"))
                writes += self._count(account, "orders_api", key, head, None)
                if not head.get("d"):
                    writes += self._move(account, "orders_api", _v1_standing_of(head), None, None)
            people |= {str(event["gp"]).rpartition("/")[2] for event in out if "gp" in event}
            if self._try(writes, tries) is not None:
                tries.again()
            elif last:
                return people

    def named_in(self, account: str, key: str, deadline: float) -> set[str]:
        """Whom the versions of a v1 order name."""
        _, events = self._read(table.orders_pk(account, "orders_api", key), key, Tries(self.pace, deadline))
        return {str(event["gp"]).rpartition("/")[2] for event in events if "gp" in event}

    def redact_versions(self, account: str, key: str, person: str, cut: str, deadline: float) -> None:
        """Empties versions, received up to `cut`, of a v1 order that name a person to whom it belongs no more.

        What stays is that there was one, by which request and when: the order's age hangs on its first version.
        """
        tries = Tries(self.pace, deadline)
        pk = table.orders_pk(account, "orders_api", key)
        _, events = self._read(pk, key, tries)
        owner = table.person_pk(account, person)
        # New orders; and those that came between the removal and this, which the next walk takes out.
        left = {
            id(e) for life in _lives(events) if _received(life[0]) > cut or _is_doomed(life, cut, owner) for e in life
        }
        for event in events[1:]:  # never the newest: the order stands on it
            if event.get("gp") != owner or _received(event) > cut or id(event) in left:
                continue
            emptied = {name: value for name, value in event.items() if name not in ("gp", "b")}
            while self._try([self._replace_event(emptied, event)], tries) is not None:
                tries.again()
                if self._get(pk, str(event["sk"]), tries) is None:
                    break  # gone already: versions never change

    def forget(self, account: str, person: str, deadline: float) -> bool:
        """Removes a person who has no order and no activity any more. Tells whether they are gone."""
        tries = Tries(self.pace, deadline)
        pk = table.person_pk(account, person)
        while True:
            stored = self._get(pk, "p", tries)
            if stored is None:
                return True
            if any("#" in name and count for name, count in stored.items()) or self._has_activity(pk, tries):
                return False
            # A: finds nobody's order     B: adds an order of this person
            # A: removes the person -> refused, or B's LTV would go with them.
            # A: finds nobody's order     B: forgets the person; C: adds two orders of theirs, as many writes as A saw
            # A: removes the person -> a count of writes would not tell; the token does.
            if self._try([self._drop_person(stored)], tries) is None:
                return True
            tries.again()

    def _has_activity(self, pk: str, tries: Tries) -> bool:
        # The index runs a moment behind the table: what it lists is looked up, and all of it may be gone already.
        arguments: dict[str, Any] = {
            "TableName": self.table, "IndexName": table.TIMELINE, "Limit": 25,
            "KeyConditionExpression": "gp = :gp", "ExpressionAttributeValues": {":gp": {"S": pk}},
        }  # fmt: skip
        while True:
            page = self._call(tries, self.client.query, **arguments)
            keys = [plain_item(item) for item in page["Items"]]
            if any(self._get(key["pk"], key["sk"], tries) is not None for key in keys):
                return True
            if "LastEvaluatedKey" not in page:
                return False
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def written(self, account: str, key: str, request_id: str, received: str, deadline: float) -> list[Effect] | None:
        """What a v1 request's write did; None if it did not take effect. `key` is the order's (identity.order_key)."""
        pk = table.orders_pk(account, "orders_api", key)
        event = self._written(pk, key, request_id, received, Tries(self.pace, deadline))
        return None if event is None else effects_told(event)

    # --------------------------------------------------------- single writes

    def _put_head(self, head: Item, seen: Item | None) -> Raw:
        put: dict[str, Any] = {
            "TableName": self.table,
            "Item": raw(head),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if seen is None:
            # A: no head seen    B: no head seen
            # A: writes          B: writes -> refused, or A's event would be missing from the head's totals.
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            # A: reads w1        B: reads w1
            # A: writes w2       B: writes w3 over w1 -> refused, or what A added would be lost.
            # Also refused where the head is gone (purged): it must not come back with what it was.
            put["ConditionExpression"] = "w = :seen"
            put["ExpressionAttributeValues"] = {":seen": raw_value(seen["w"])}
        return {"Put": put}

    def _put_event(self, event: Item) -> Raw:
        # A: same event          B: same event, delivered twice
        # A: writes              B: writes -> refused: the sort key is the event's identity, so it counts once.
        return {
            "Put": {
                "TableName": self.table,
                "Item": raw(event),
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }

    def _put_idempotency(self, activity: Activity, pk: str) -> Raw:
        # Where the client sent a key, copies may differ in content or time of receipt, so the event's own sort key
        # does not catch them: this item does, with the hash that tells a repeat from a conflict.
        item: Item = {
            "pk": table.idempotency_pk(activity.account, activity.event_id), "sk": "i",
            "h": activity.content_hash, "rq": activity.request_id,
            "o": pk, "e": table.event_sk(activity.order_key, _event_name(activity)),
        }  # fmt: skip
        return {
            "Put": {
                "TableName": self.table,
                "Item": raw(item),
                "ConditionExpression": "attribute_not_exists(pk)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _point_idempotency(self, activity: Activity, sk: str) -> Raw:
        # Without a condition: it goes with its event, on whose condition the transaction hangs.
        return {
            "Update": {
                "TableName": self.table,
                "Key": raw({"pk": table.idempotency_pk(activity.account, activity.event_id), "sk": "i"}),
                "UpdateExpression": "SET e = :sk",
                "ExpressionAttributeValues": {":sk": {"S": sk}},
            }
        }

    def _replace_event(self, event: Item, seen: Item) -> Raw:
        # A: moves the event to time 1    B: moves it to time 2 -> refused, or the earlier time would be lost.
        return {
            "Put": {
                "TableName": self.table,
                "Item": raw(event),
                "ConditionExpression": "gs = :seen",
                "ExpressionAttributeValues": {":seen": {"S": seen["gs"]}},
            }
        }

    def _drop(self, seen: Item, guard: str) -> Raw:
        # Only what was read goes. Refused where another write came between: a moved event would stand twice, a
        # changed head would take what was added with it.
        return {
            "Delete": {
                "TableName": self.table,
                "Key": raw({"pk": seen["pk"], "sk": seen["sk"]}),
                "ConditionExpression": f"{guard} = :seen",
                "ExpressionAttributeValues": {":seen": raw_value(seen[guard])},
            }
        }

    def _drop_person(self, seen: Item) -> Raw:
        drop = self._drop(seen, "z")
        if "y" in seen:
            drop["Delete"]["ConditionExpression"] += " AND y = :write"
            drop["Delete"]["ExpressionAttributeValues"][":write"] = raw_value(seen["y"])
        else:
            drop["Delete"]["ConditionExpression"] += " AND attribute_not_exists(y)"
        return drop

    def _drop_idempotency(self, account: str, event_id: str) -> Raw:
        # Without a condition: it goes with its event, on whose condition the transaction hangs.
        return {
            "Delete": {
                "TableName": self.table,
                "Key": raw({"pk": table.idempotency_pk(account, event_id), "sk": "i"}),
            }
        }

    def _move(
        self,
        account: str,
        source: str,
        before: OrderState | Standing | None,
        after: OrderState | Standing | None,
        person: Person | None,
    ) -> list[Raw]:
        """Takes an order's old standing from its person and gives the new one to its person."""
        return self._moves(account, source, [(before, after)], [person] if person else [])

    def _moves(self, account: str, source: str, steps: list[_Step], people: list[Person]) -> list[Raw]:
        """`_move` for several steps, each of one order: what they add to one person is added at once.

        ADD needs no condition: sums commute, and that each standing is moved once is what the head's condition says.
        """
        amounts: dict[str, dict[str, list[Decimal | int]]] = {}
        for step_before, step_after in steps:
            before, after = _standing(step_before), _standing(step_after)
            for standing, sign in ((before, -1), (after, 1)) if before != after else ():
                if standing is not None and standing.person:
                    cell = amounts.setdefault(standing.person, {}).setdefault(standing.currency, [ZERO, 0])
                    cell[0] = EXACT.add(Decimal(cell[0]), EXACT.multiply(standing.amount, Decimal(sign)))
                    cell[1] = int(cell[1]) + sign
        writes: list[Raw] = []
        ids = {person.id_in(account): person for person in people}
        for person_id, currencies in amounts.items():
            names: dict[str, str] = {}
            values: dict[str, Any] = {}
            for currency, (amount, count) in currencies.items():
                for name, delta in (
                    (table.ltv_name(source, currency), amount),
                    (table.count_name(source, currency), count),
                ):
                    # Even a delta of 0 is added where the order is new here, so that the currency shows.
                    if delta or count:
                        names[f"#a{len(names)}"] = name
                        values[f":a{len(values)}"] = raw_value(delta)
            # What several orders move may add up to nothing. It is a write of the person all the same: see audit.py.
            adds = "".join(f"{a} {b}, " for a, b in zip(names, values, strict=True))
            # `y` is the token of the latest write of a person, so that one is forgotten only where nothing was added
            # meanwhile. `z` counts them, as the version before this one did, which looks at nothing else.
            values |= {":one": {"N": "1"}, ":write": {"S": uuid7()}}
            update = f"ADD {adds}z :one SET y = :write"
            if person := ids.get(person_id):
                update += ", k = :kind, id = :value"
                values |= {":kind": {"S": person.kind}, ":value": {"S": person.value}}
            write: dict[str, Any] = {
                "TableName": self.table,
                "Key": table.person_key(account, person_id),
                "UpdateExpression": update,
                "ExpressionAttributeValues": values,
            }
            if names:
                write["ExpressionAttributeNames"] = names
            writes.append({"Update": write})
        return writes

    def _count(self, account: str, source: str, key: str, seen: Item | None, customer: Customer | None) -> list[Raw]:
        """Counts an order and its audience records: `m` records of `n` orders."""
        return self._counts(account, source, [(key, seen, customer)])

    def _counts(self, account: str, source: str, orders: list[tuple[str, Item | None, Customer | None]]) -> list[Raw]:
        """`_count` for several orders, on the shard of the first. Sums commute, as in `_moves`."""
        records = sum((new.records if new else 0) - int(seen.get("m", 0) if seen else 0) for _, seen, new in orders)
        count = sum((1 if new else 0) - (1 if seen and seen.get("m") else 0) for _, seen, new in orders)
        if not records and not count:
            return []
        return [
            {
                "Update": {
                    "TableName": self.table,
                    "Key": raw({"pk": table.counters_pk(account, source), "sk": table.counters_shard(orders[0][0])}),
                    "UpdateExpression": "ADD m :m, n :n",
                    "ExpressionAttributeValues": {":m": raw_value(records), ":n": raw_value(count)},
                }
            }
        ]

    def _introduce(self, account: str, person: Person) -> Raw:
        return {
            "Update": {
                "TableName": self.table,
                "Key": table.person_key(account, person.id_in(account)),
                "UpdateExpression": "ADD z :one SET y = :write, k = :kind, id = :value",
                "ExpressionAttributeValues": {
                    ":kind": {"S": person.kind},
                    ":value": {"S": person.value},
                    ":one": {"N": "1"},
                    ":write": {"S": uuid7()},
                },
            }
        }

    # ----------------------------------------------------------------- calls

    def _transact(self, writes: list[Raw]) -> list[_Refusal] | None:
        """None if written; else why not, item by item. Raises _Lost where no answer tells."""
        try:
            self.client.transact_write_items(TransactItems=writes)
            return None
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "TransactionCanceledException":
                answer: dict[str, Any] = dict(error.response)
                reasons = answer.get("CancellationReasons") or [{"Code": "TransactionConflict"}] * len(writes)
                refusals = [
                    _Refusal(r.get("Code", "None"), plain_item(r["Item"]) if r.get("Item") else None) for r in reasons
                ]
                if any(not r.condition_failed and r.code not in _PASSING for r in refusals):
                    raise  # an item that can never be written: a dead letter, not a retry
                return refusals
            if code in REFUSED:
                return [_Refusal("ThrottlingError", None)] * len(writes)
            if is_unsure(error):
                raise _Lost from error
            raise
        except LOST as error:
            raise _Lost from error

    def _try(self, writes: list[Raw], tries: Tries) -> list[_Refusal] | None:
        try:
            return self._transact(writes)
        except _Lost:
            tries.unsure = True
            return []

    def _call(self, tries: Tries, call: Callable[..., Any], **arguments: Any) -> Any:
        """A read, repeated while the time lasts."""
        while True:
            try:
                return call(**arguments)
            except ClientError as error:
                if not is_passing(error):
                    raise
            except LOST:
                pass
            tries.again()

    def _get(self, pk: str, sk: str, tries: Tries) -> Item | None:
        answer = self._call(
            tries, self.client.get_item, TableName=self.table, Key=raw({"pk": pk, "sk": sk}), ConsistentRead=True
        )
        return plain_item(answer["Item"]) if answer.get("Item") else None

    def _read(self, pk: str, key: str, tries: Tries, *, newest: int | None = None) -> tuple[Item | None, list[Item]]:
        """An order's head and events, newest first."""
        arguments: dict[str, Any] = {
            "TableName": self.table,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :key)",
            "ExpressionAttributeValues": {":pk": {"S": pk}, ":key": {"S": key}},
            "ConsistentRead": True,
            "ScanIndexForward": False,
        }
        if newest:
            arguments["Limit"] = newest + 1
        items: list[Item] = []
        while True:
            page = self._call(tries, self.client.query, **arguments)
            items += [plain_item(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page or (newest and len(items) > newest):
                break
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        heads = [item for item in items if item["sk"] == table.head_sk(key)]
        return (heads[0] if heads else None), [item for item in items if item["sk"] != table.head_sk(key)]

    def _version(self, pk: str, key: str, version: int, tries: Tries) -> Item | None:
        return self._get(pk, table.event_sk(key, table.version_name(version)), tries)

    def _current(self, pk: str, key: str, tries: Tries) -> tuple[Item | None, Item | None]:
        """A v1 order's head and newest version in one read; None for both if there is no such order."""
        while True:
            head, events = self._read(pk, key, tries, newest=1)
            if head is None or head.get("d"):
                return None, None
            newest = str(events[0]["sk"]) if events else ""
            if newest.endswith(table.version_name(int(head["v"]))) and events[0]["i"] == head["i"]:
                return head, events[0]
            tries.again()  # a write fell between the two items

    def _written(self, pk: str, key: str, request_id: str, received: str, tries: Tries) -> Item | None:
        """The event that this request wrote, if its write took effect though the answer was lost.

        Newest first, and no further than a writer lives: behind a version received long before the request there is
        none of its own.
        """
        oldest = shift(received, seconds=-_WRITER_LIFE_SECONDS)
        arguments: dict[str, Any] = {
            "TableName": self.table, "ConsistentRead": True, "ScanIndexForward": False, "Limit": 4,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :key)",
            "ExpressionAttributeValues": {":pk": {"S": pk}, ":key": {"S": table.event_sk(key, "")}},
        }  # fmt: skip
        while True:
            page = self._call(tries, self.client.query, **arguments)
            for event in map(plain_item, page["Items"]):
                if event["rq"] == request_id:
                    return event
                if str(event["gs"])[20:40] < oldest:
                    return None
            if "LastEvaluatedKey" not in page:
                return None
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


# ------------------------------------------------- items from states and back


def _standing(value: OrderState | Standing | None) -> Standing | None:
    return value.standing if isinstance(value, OrderState) else value


def _unlike(activities: list[Activity]) -> list[int]:
    """Which of them may stand in one transaction: the first of each event, and of each key."""
    first: dict[str, int] = {}
    for index, activity in enumerate(activities):
        name = activity.event_id if activity.content_hash else f"{activity.order_key}{_event_name(activity)}"
        first.setdefault(name, index)
    return list(first.values())


def _persons(moves: list[Raw]) -> set[str]:
    """Whom the updates of `_move` are about, by our own id."""
    return {str(move["Update"]["Key"]["pk"]["S"]).rpartition("/")[2] for move in moves}


def _same_order(head: Item, tried: str, tries: Tries) -> None:
    """Raises Unavailable where an earlier try, of another order under this id, may have been written.

    A: edits the order, the answer is lost    B: purges it, with the version that would tell; submits another
    A: tries again -> one edit would have been made of two orders, or one deletion have taken both.
    """
    if tries.unsure and tried and head["i"] != tried:
        raise Unavailable("Another order stands under this order_id since. Please look, and try again.")


def _event_name(activity: Activity) -> str:
    return f"{activity.occurred}{activity.event_id}"


def _activity_head(activity: Activity, pk: str, state: OrderState, token: str) -> Item:
    identity: Item = {
        "pk": pk, "sk": table.head_sk(activity.order_key), "pr": activity.provider, "id": activity.order_id,
    }  # fmt: skip
    return _with_state(identity, state, token)


def _with_state(head: Item, state: OrderState, token: str) -> Item:
    kept = {name: head[name] for name in ("pk", "sk", "pr", "id")}
    item: Item = {
        **kept, "w": token, "n": state.events, "f": state.first, "l": state.last, "a": state.action,
        "p": state.person, "x": state.contribution,
    }  # fmt: skip
    if state.total_at:
        item |= {"ta": state.total_at, "t": state.total}
    if state.fallback_at:
        item |= {"ua": state.fallback_at, "u": state.fallback}
    if state.opened:
        item["o"] = True
    if state.refunds:
        item["r"] = state.refunds
    if state.currency_at:
        item |= {"ca": state.currency_at, "c": state.currency}
    if state.shipping_at:
        item |= {"sa": state.shipping_at, "sh": state.shipping}
    if state.billing_at:
        item |= {"ba": state.billing_at, "bh": state.billing}
    account = str(item["pk"]).partition("/")[0]
    return item | _customer(account, "shopper_activity", state.customer)


def _customer(account: str, source: str, customer: Customer) -> Item:
    """What makes the order's records countable and findable. An address that stands twice is indexed once."""
    keys = {"gx": customer.shipping, "gy": customer.billing, "gz": customer.customer}
    if customer.billing == customer.shipping:
        keys["gy"] = ""
    found = {name: table.match_value(account, source, key) for name, key in keys.items() if key}
    return {"m": customer.records} | found


def state_of(head: Item | None) -> OrderState:
    if head is None:
        return OrderState()
    return OrderState(
        events=int(head["n"]), first=head["f"], last=head["l"], action=head["a"], person=head["p"],
        total_at=head.get("ta", ""), total=head.get("t", ZERO),
        fallback_at=head.get("ua", ""), fallback=head.get("u", ZERO),
        opened=head.get("o", False), refunds=head.get("r", ZERO),
        currency_at=head.get("ca", ""), currency=head.get("c", ""),
        shipping_at=head.get("sa", ""), shipping=head.get("sh", ""),
        billing_at=head.get("ba", ""), billing=head.get("bh", ""),
    )  # fmt: skip


def _activity_event(activity: Activity, pk: str) -> Item:
    return {
        "pk": pk, "sk": table.event_sk(activity.order_key, _event_name(activity)),
        "gp": table.person_pk(activity.account, activity.person.id_in(activity.account)), "gs": activity.stamp,
        "a": activity.action, "t": activity.total, "r": activity.refund or None, "c": activity.currency or None,
        "sh": activity.shipping, "bh": activity.billing,
        "rq": activity.request_id, "b": pack(activity.body), "k": activity.event_id if activity.content_hash else None,
    }  # fmt: skip


def _told(effects: list[Effect], flags: Sequence[str] = ()) -> Item:
    """Kept with the event, for whoever tells what became of the request may come a delivery later."""
    return ({"fx": effects_text(effects)} if effects else {}) | ({"fl": " ".join(flags)} if flags else {})


def event_of(item: Item) -> Event:
    return Event(
        item["gs"], item["a"], str(item["gp"]).rpartition("/")[2], item.get("t"), item.get("r", ZERO),
        item.get("c", ""), item.get("sh"), item.get("bh"),
    )  # fmt: skip


def _version_of(event: Item) -> int:
    return int(str(event["sk"])[-8:])


def _fitting(events: list[Item], most: int) -> list[Item]:
    """As many of them as one transaction takes, in their order; at least one of any."""
    size = 0
    for index, event in enumerate(events[:most]):
        size += len(event.get("b", b""))
        if index and size > _MAX_BYTES:
            return events[:index]
    return events[:most]


def _received(event: Item) -> str:
    return str(event["gs"])[20:40]


def _lives(events: list[Item]) -> list[list[Item]]:
    """The versions of each order that had this id, one after the other; all of it oldest first."""
    lives: list[list[Item]] = []
    for event in reversed(events):
        if event["a"] == "submitted" or not lives:
            lives.append([])
        lives[-1].append(event)
    return lives


def _is_doomed(life: list[Item], cut: str, owner: str | None) -> bool:
    if _received(life[0]) > cut:
        return False
    if owner is None:
        return True
    # Whose it was when the erasure was asked for, and ever since: an order that was handed on stays, also handed back,
    # so that whenever this is asked the answer is the same.
    return all(version.get("gp") == owner for version in life[_newest_known(life, cut) :])


def _newest_known(life: list[Item], cut: str) -> int:
    return max((i for i, version in enumerate(life) if _received(version) <= cut), default=0)


def _decisive(life: list[Item], cut: str) -> list[Item]:
    """The versions without which it cannot be told whether an order goes."""
    return [life[i] for i in sorted({0, _newest_known(life, cut), len(life) - 1})]


def _tomb(head: Item, token: str) -> Item:
    return {name: head[name] for name in ("pk", "sk", "v", "b", "i")} | {"w": token, "d": True}


def _with_match_keys(event: Item) -> Item:
    body = unpack(event["b"])
    keys = {"sh": match_key(body.get("shipping_address")), "bh": match_key(body.get("billing_address"))}
    kept = {name: value for name, value in event.items() if name not in keys}
    return kept | {name: key for name, key in keys.items() if key is not None}


def _v1_standing(account: str, document: Document) -> Standing:
    person = document.person.id_in(account) if document.person else ""
    return Standing(person, document.currency, document.total)


def _v1_standing_of(head: Item) -> Standing:
    return Standing(head.get("p", ""), head["c"], head["x"])


def _v1_head(
    pk: str, key: str, document: Document, standing: Standing, *,
    version: int, born: int, order: str, digest: str, token: str,
) -> Item:  # fmt: skip
    return {
        "pk": pk, "sk": table.head_sk(key), "w": token, "v": version, "b": born, "i": order, "h": digest,
        "id": document.order_id, "f": document.occurred,
        "p": standing.person or None, "c": standing.currency, "x": standing.amount,
    } | _customer(pk.partition("/")[0], "orders_api", document.customer)  # fmt: skip


def _v1_event(
    pk: str, head: Item, action: str, request_id: str, body: dict[str, Json], person: str | None, occurred: str,
    received: str, effects: list[Effect],
) -> Item:  # fmt: skip
    key, name = str(head["sk"])[:-1], table.version_name(head["v"])
    return {
        "pk": pk, "sk": table.event_sk(key, name), "a": action, "rq": request_id, "i": head["i"], "b": pack(body),
        "gp": person, "gs": stamp_of(occurred, received, 0, f"{key}{name}"),
    } | _told(effects)  # fmt: skip


def _v1_person_pk(account: str, document: Document) -> str | None:
    return table.person_pk(account, document.person.id_in(account)) if document.person else None
