"""Purges and erasures. The request writes a mark (records/scopes.py) with a cut, a time in the near future: everything
received up to the cut is removed. The request is answered when the cut has passed; a job deletes the data.

The job begins SettleSeconds (template.yaml) after the cut. By then, every function that may have read the marks before
the new mark was written has ended, so one pass over the data is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tillbook.aws.items import raw
from tillbook.ledger.commit import Retries, Store
from tillbook.ledger.items import TIMELINE, Scope, order_key_of
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.upkeep import sweep
from tillbook.records.book import Book
from tillbook.records.deadletters import DeadLetters
from tillbook.records.jobs import Chain, Job, Progress, parts_for
from tillbook.records.messages import Queue
from tillbook.records.outcomes import Outcomes
from tillbook.records.removals import Removals
from tillbook.records.scopes import Mark, Marks, Scopes
from tillbook.rules import times
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import SOURCES, Source
from tillbook.rules.order import received_of
from tillbook.work.jobs import JobRunner, NotYet, Page, wait_for

PURGE, ERASE = "purge", "erase"
_TIMELINE_PAGE = 200  # entries of a timeline that a query reads
_MOST_COUNT_QUERIES = 10  # in a scope; bounds the time of a request for an erasure


class NotBegun(Unavailable):
    """Raised in a job whose request was cut off before it wrote its mark."""

    def __init__(self) -> None:
        super().__init__("the request ended before anything was removed")


@dataclass(frozen=True, slots=True)
class RemovalWorker:
    """Common parts of the workers of purge jobs and erasure jobs."""

    ledger: Ledger
    scopes: Scopes
    removals: Removals
    dead_letters: DeadLetters
    outcomes: Outcomes
    queue: Queue
    book: Book
    settle_seconds: int

    def check_settled(self, cut: str, asked: str) -> None:
        """Raises NotYet until SettleSeconds have passed since `cut`, the latest cut.

        Raises NotBegun if `cut` is older than `asked`, the receipt of the job's request: the request wrote no mark.
        """
        if cut < asked:
            raise NotBegun
        age = (times.to_datetime(times.now()) - times.to_datetime(cut)).total_seconds()
        if age < self.settle_seconds:
            raise NotYet(wait_for(self.settle_seconds - age))


@dataclass(frozen=True, slots=True)
class Purges(RemovalWorker):
    """The worker of purge jobs. The chains of a source divide the partitions of its purged scopes and of its outcomes.

    A chain's cursor holds the generation that was current when the chain began, and the partition to continue with. At
    the chain's end it holds only the generation.
    """

    def start(self, runner: JobRunner, account: str, sources: list[Source], asked: str, deadline: float) -> str:
        """Purges everything that these sources received before this method returns. Returns the id of the job.

        `asked` is the receipt of the request (a stamp). Raises Unavailable if the marks are not written in time.
        """
        marks, job_id = self.scopes.read(account), times.uuid7()
        orders = [self.book.about(marks.scope(source)) for source in sources]
        job = Job(PURGE, "queued", asked, " ".join(sources), parts_for(max(orders)), total=sum(orders))
        # The job is started before the mark is written, so that there is never a mark without a job.
        runner.start(account, job_id, job, self.settle_seconds)
        self._purge(account, sources, deadline)
        return job_id

    def page(self, page: Page) -> Progress:
        """Deletes partitions of a chain while time is left, but at least a part of one partition."""
        source, part = page.job.part(page.chain)
        mark, done = self._settled_mark(page, source), 0
        begun_with, _, current = page.cursor.partition(" ")
        generation = int(begun_with) if begun_with else mark.generation
        purged_scopes = [Scope(page.account, source, earlier) for earlier in range(mark.swept, generation)]
        ledger = [partition for scope in purged_scopes for partition in scope.partitions(part, page.job.parts)]
        outcomes = self.outcomes.partitions(page.account, [source])[part :: page.job.parts]
        partitions = [*ledger, *outcomes]
        start = partitions.index(current) if current in partitions else 0
        for index, partition in enumerate(partitions[start:]):
            if index and not page.may_go_on():
                break
            if partition in outcomes:
                through = self.outcomes.purge(partition, mark.cut, page.may_go_on)
            else:
                deleted, through = self.ledger.sweep(partition, page.may_go_on, page.deadline)
                done += deleted if "/h/" in partition else 0  # only heads are counted, since each order has one
            if not through:
                break
        else:
            return Progress(str(generation), ended=True, done=done)
        return Progress(f"{generation} {partition}", done=done)

    def close(self, page: Page, chains: Mapping[int, Chain]) -> Progress:
        """Discards purged dead letters, deletes the books of purged scopes, and notes that these scopes are deleted."""
        marks, sources = self.scopes.read(page.account), page.job.sources.split()
        for source in sources:
            self.check_settled(marks.sources[source].cut, page.job.asked_at)
        if "shopper_activity" in sources:
            cursor = self.dead_letters.purge(marks, page.cursor, page.may_go_on)
            if cursor is not None:
                return Progress(cursor)
        # A chain deleted the generations before the one that was current when it began. The chains of a source may have
        # begun with different ones, so only those before the smallest are deleted completely.
        swept: dict[Source, int] = {}
        for number in range(page.job.chains):
            source, _ = page.job.part(number)
            generation = int(chains[number].cursor)
            swept[source] = min(generation, swept.get(source, generation))
        store, retries = (
            Store(self.book.client, self.book.table, self.ledger.pace),
            Retries(self.ledger.pace, page.deadline),
        )
        for source, generation in swept.items():
            for earlier in range(marks.sources[source].swept, generation):
                for partition in self.book.partitions(Scope(page.account, source, earlier)):
                    _, through = sweep(store, partition, page.may_go_on, retries)
                    if not through:
                        return Progress(page.cursor)
        for source, generation in swept.items():
            self.scopes.swept(page.account, source, generation)
        return Progress(ended=True)

    def _settled_mark(self, page: Page, source: Source) -> Mark:
        # A page deletes all generations that purges have ended, so it waits for the latest purge to settle.
        mark = self.scopes.read(page.account, (), [source]).sources[source]
        self.check_settled(mark.cut, page.job.asked_at)
        if mark.answered < mark.cut:
            # The last mark was written too late, so some functions may have missed it:
            # A: purges, its mark is late, it is cut off   B: receives an order after the cut, and applies it
            # A's mark arrives -> B's order is in a purged scope. The source is purged again, with a later cut.
            self._purge(page.account, [source], page.deadline)
            raise NotYet(self.settle_seconds)
        return mark

    def _purge(self, account: str, sources: list[Source], deadline: float) -> None:
        self.removals.purged(account, sources, self.scopes.purge(account, sources, deadline))


@dataclass(frozen=True, slots=True)
class Erasures(RemovalWorker):
    """The worker of erasure jobs: one chain for each source, whose cursor is the stamp of the last finished event."""

    def start(self, runner: JobRunner, account: str, people: list[str], asked: str, deadline: float) -> list[str]:
        """Erases everything that names these people (our own ids) and was received before this method returns.

        Returns the ids of the jobs, one for each person. Raises Unavailable.
        """
        marks, ids = self.scopes.read(account), []
        for person in people:
            ids.append(times.uuid7())
            total = sum(self._count_events(scope, person) for scope in marks.scopes())
            job = Job(ERASE, "queued", asked, " ".join(SOURCES), person=person, total=total)
            runner.start(account, ids[-1], job, self.settle_seconds)
        self.removals.erased(account, people, self.scopes.erase(account, people, deadline))
        return ids

    def page(self, page: Page) -> Progress:
        """Empties the person's events in one scope, along the timeline, while time is left. Then deletes the person.

        An emptied event has no data of the person; its identity remains, so that a copy of it does not count.
        """
        marks, (source, _), person = self._settled(page), page.job.part(page.chain), page.job.person
        cut, scope, done, cursor = marks.people[person], marks.scope(source), 0, page.cursor
        emptied: set[str] = set()  # keys of orders whose events no longer name the person
        for listed in self._timeline(scope, person, page.cursor or " ", page.deadline):
            key = order_key_of(listed["sk"])
            if received_of(listed["stamp"]) <= cut and key not in emptied:
                count, through = self.ledger.empty(scope, key, person, cut, page.may_go_on, page.deadline)
                done += count
                if not through:
                    return Progress(cursor, done=done)
                emptied.add(key)
            cursor = listed["stamp"]
            if not page.may_go_on():
                return Progress(cursor, done=done)
        self.ledger.forget(scope, person, page.deadline)
        return Progress(ended=True, done=done)

    def close(self, page: Page, chains: Mapping[int, Chain]) -> Progress:
        """Queues again the dead letters that the erasure removes; processing then records their events as erased."""
        marks, person = self._settled(page), page.job.person
        cut = marks.people[person]
        cursor = self.dead_letters.erase(page.account, person, cut, self.queue, page.cursor, page.may_go_on)
        return Progress(cursor or "", ended=cursor is None)

    def _settled(self, page: Page) -> Marks:
        marks = self.scopes.read(page.account, [page.job.person])
        self.check_settled(marks.people.get(page.job.person, ""), page.job.asked_at)
        return marks

    def _timeline(self, scope: Scope, person: str, after: str, deadline: float) -> Any:
        values = {":person": scope.timeline(person), ":after": after}
        arguments = {
            "TableName": self.ledger.table, "IndexName": TIMELINE, "Limit": _TIMELINE_PAGE,
            "KeyConditionExpression": "timeline = :person AND stamp > :after", "ExpressionAttributeValues": raw(values),
        }  # fmt: skip
        return self.ledger.query(Retries(self.ledger.pace, deadline), arguments)

    def _count_events(self, scope: Scope, person: str) -> int:
        """The number of events on the timeline; a lower bound if _MOST_COUNT_QUERIES queries do not reach the end."""
        arguments: dict[str, Any] = {
            "TableName": self.ledger.table, "IndexName": TIMELINE, "KeyConditionExpression": "timeline = :person",
            "ExpressionAttributeValues": raw({":person": scope.timeline(person)}), "Select": "COUNT",
        }  # fmt: skip
        count = 0
        for _ in range(_MOST_COUNT_QUERIES):
            page = self.ledger.client.query(**arguments)
            count += page["Count"]
            if "LastEvaluatedKey" not in page:
                break
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return count
