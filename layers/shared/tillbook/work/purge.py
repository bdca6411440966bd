"""Purges and erasures: a mark is written and answered at once; what it took is deleted by a job, page by page.

The job begins when nothing is alive any more that may have read the marks before (SettleSeconds), and walks once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tillbook.aws.items import raw
from tillbook.ledger.commit import Retries
from tillbook.ledger.items import SOURCES, TIMELINE, Scope, order_key_of
from tillbook.ledger.ledger import Ledger
from tillbook.records.deadletters import DeadLetters
from tillbook.records.jobs import Jobs, Step
from tillbook.records.messages import Message, Queue
from tillbook.records.scopes import Mark, Marks, Scopes
from tillbook.records.transactions import Transactions
from tillbook.rules import times
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import Source
from tillbook.rules.order import received_of
from tillbook.views.audiences import Audiences

PURGE, ERASE = "purge", "erase"
_MARGIN_SECONDS = 20  # left of a page's time, for what else is in the batch
_PAGE_EVENTS = 200
_MOST_PAGES_COUNTED = 10
MayGoOn = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Purges:
    ledger: Ledger
    scopes: Scopes
    jobs: Jobs
    queue: Queue
    dead_letters: DeadLetters
    transactions: Transactions
    settle_seconds: int

    def start_purge(self, account: str, sources: list[Source], asked: str, deadline: float) -> str:
        """Takes all of these sources that was received until it returns. Returns a job's id. Raises Unavailable."""
        marks = self.scopes.read(account)
        orders = sum(Audiences(self.ledger.client, self.ledger.table, marks).counts(source)[1] for source in sources)
        step = Step(account, times.uuid7(), PURGE, sources, asked=asked)
        self._announce(step, orders)
        self.scopes.purge(account, sources, deadline)
        return step.job

    def start_erasure(self, account: str, people: list[str], asked: str, deadline: float) -> list[str]:
        """Takes all of people (our own ids) that was received until it returns. Returns jobs' ids."""
        marks = self.scopes.read(account)
        steps = [Step(account, times.uuid7(), ERASE, list(SOURCES), asked=asked, person=person) for person in people]
        for step in steps:
            self._announce(step, sum(self._count_events(scope, step.person) for scope in marks.scopes()))
        self.scopes.erase(account, people, deadline)
        return [step.job for step in steps]

    def _announce(self, step: Step, total: int) -> None:
        """Before the mark is written: what it takes is deleted whatever becomes of this function."""
        self.jobs.start(step, total)
        self.queue.send(Message(steps=[step]), delay_seconds=self.settle_seconds)

    def run(self, step: Step, clock: Callable[[], float], deadline: float) -> None:
        """One page, then the next message, then the job's progress: in this order, a crash loses nothing."""
        if not self.jobs.is_current(step):
            return
        marks = self.scopes.read(step.account, [step.person] if step.person else [])  # once: see _wait
        if wait := self._wait(step, marks, deadline):
            self.queue.send(Message(steps=[step]), delay_seconds=wait)
            return
        page = self._purge_page if step.kind == PURGE else self._erase_page
        cursor, done = page(step, marks, lambda: clock() < deadline - _MARGIN_SECONDS, deadline)
        following = step.then(cursor, done)
        if following is not None:
            self.queue.send(Message(steps=[following]))
        self.jobs.advance(step, done, finished=following is None)

    def _wait(self, step: Step, marks: Marks, deadline: float) -> int:
        """Seconds until nobody is alive who may not have seen the marks; also that of a purge that was asked for later,
        since a page sweeps what both of them ended. Raises NotBegun."""
        mark = Mark(0, marks.people.get(step.person, "")) if step.kind == ERASE else marks.sources[step.source]
        if mark.cut < step.asked:
            raise NotBegun
        age = (times.to_datetime(times.now()) - times.to_datetime(mark.cut)).total_seconds()
        if age >= self.settle_seconds and step.kind == PURGE and mark.answered < mark.cut:
            # A: purges, its mark is late, it dies    B: receives an order after the cut, applies it
            # A's mark arrives -> B's order would be in a dead scope: so all of it is purged.
            self.scopes.purge(step.account, [step.source], deadline)
            age = 0.0
        return min(max(math.ceil(self.settle_seconds - age), 0), 900)

    # ----------------------------------------------------------------- purge

    def _purge_page(
        self, step: Step, marks: Marks, may_go_on: MayGoOn, deadline: float
    ) -> tuple[str | None, int]:  # fmt: skip
        """Deletes the dead scopes of a source, then outcomes and dead letters. The cursor is the partition."""
        account, source = step.account, step.source
        mark, done = marks.sources[source], 0
        dead = [Scope(account, source, number) for number in range(mark.swept, mark.generation)]
        partitions = [partition for scope in dead for partition in scope.partitions()]
        first = partitions.index(step.cursor) if step.cursor in partitions else 0
        for partition in partitions[first:]:
            deleted, through = self.ledger.sweep(partition, may_go_on, deadline)
            done += deleted if "/h/" in partition else 0
            if not through or not may_go_on():
                return partition, done
        self.scopes.swept(account, source, mark.generation)
        through = self.dead_letters.purge(account, source, mark.cut, may_go_on)
        through = through and self.transactions.purge(account, source, mark.cut, may_go_on)
        return None if through else _BEHIND, done

    # --------------------------------------------------------------- erasure

    def _erase_page(
        self, step: Step, marks: Marks, may_go_on: MayGoOn, deadline: float
    ) -> tuple[str | None, int]:  # fmt: skip
        """Empties a page of the person's timeline in one scope. The cursor is the stamp of the last event done."""
        cut, scope, done = marks.people[step.person], marks.scope(step.source), 0
        cursor = step.cursor or " "
        emptied: set[str] = set()
        for listed in self._timeline(scope, step.person, cursor, deadline):
            key = order_key_of(listed["sk"])
            if received_of(listed["stamp"]) <= cut and key not in emptied:
                count, through = self.ledger.empty(scope, key, step.person, cut, may_go_on, deadline)
                done += count
                if not through:
                    return cursor, done
                emptied.add(key)
            cursor = listed["stamp"]
            if not may_go_on():
                return cursor, done
        self.ledger.forget(scope, step.person, deadline)
        through = self.dead_letters.erase(step.account, step.person, cut, self.queue, may_go_on)
        return None if through else _BEHIND, done

    def _timeline(self, scope: Scope, person: str, after: str, deadline: float) -> Any:
        values = {":person": scope.timeline(person), ":after": after}
        arguments = {
            "TableName": self.ledger.table, "IndexName": TIMELINE, "Limit": _PAGE_EVENTS,
            "KeyConditionExpression": "timeline = :person AND stamp > :after", "ExpressionAttributeValues": raw(values),
        }  # fmt: skip
        return self.ledger.query(Retries(self.ledger.pace, deadline), arguments)

    def _count_events(self, scope: Scope, person: str) -> int:
        """How many events the timeline lists, or the first tens of thousands of them."""
        arguments: dict[str, Any] = {
            "TableName": self.ledger.table, "IndexName": TIMELINE, "KeyConditionExpression": "timeline = :person",
            "ExpressionAttributeValues": raw({":person": scope.timeline(person)}), "Select": "COUNT",
        }  # fmt: skip
        count = 0
        for _ in range(_MOST_PAGES_COUNTED):
            page = self.ledger.client.query(**arguments)
            count += page["Count"]
            if "LastEvaluatedKey" not in page:
                break
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return count


_BEHIND = "~"  # a cursor behind all partitions and stamps: records are left


class NotBegun(Unavailable):
    """The request ended before it had written its mark."""

    def __init__(self) -> None:
        super().__init__("it was not begun: the request ended early. Please ask again")
