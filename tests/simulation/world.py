"""The state of one history: virtual time, random numbers, tables, queues, and records of its writes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.simulation.deployment import (
    BOOK,
    JOBS_QUEUE_URL,
    LEDGER,
    LEDGER_INDEXES,
    QUEUE_URL,
    QUEUES,
    RECORDS,
    REMOVALS,
)
from tests.simulation.expressions import Item
from tests.simulation.facts import Mark, Person, Version
from tests.simulation.histories import History
from tests.simulation.invariants import Invariants
from tests.simulation.queues import SQS
from tests.simulation.scheduler import Scheduler, Task
from tests.simulation.store import DynamoDB, Key, Table
from tests.stream import Stream
from tillbook.aws.items import plain_item, raw, record_of
from tillbook.records import jobs
from tillbook.rules import times

_EPOCH = 1_767_225_600  # 2026-01-01T00:00:00Z


class World:
    """The state of one history.

    Attributes:
        fired: descriptions of the faults that occurred.
        versions: v1 versions by scope and order key.
        named: by person, the internal id of everybody who was ever in the ledger.
        late: keys of items that a put may have written after its caller had stopped waiting.
        marks: marks of purges and erasures, in the order of their writes.
        jobs: the jobs in their first state, by account and job id.
        ledger_changed: called after each write to the ledger.
    """

    def __init__(self, plan: History) -> None:
        self.plan = plan
        self.scheduler = Scheduler()
        self.random = Random(plan.seed ^ 0x5EED)
        self.faults_on = True
        self.fired: list[str] = []
        self.versions: dict[Key, list[Version]] = {}
        self.named: dict[Person, str] = {}
        self.late: set[Key] = set()
        self.marks: list[Mark] = []
        self.jobs: dict[tuple[str, str], jobs.Job] = {}
        self.invariants = Invariants()
        self.ledger_changed: Callable[[], None] = lambda: None
        self._latest_receipt = 0

        self.dynamodb = DynamoDB(lambda: self.scheduler.now)
        self.dynamodb.add_table(LEDGER, **LEDGER_INDEXES)
        self._add_accounts(self.dynamodb.add_table(RECORDS))
        self.dynamodb.add_table(BOOK)
        self.dynamodb.add_table(REMOVALS)
        self.dynamodb.watch = self._watch
        self.dynamodb.committed = self.invariants.committed
        self.dynamodb.lagging = lambda: self.current_random().random() < 0.5
        self.stream = Stream(Random(plan.seed ^ 0xB00C))
        self.sqs, self.jobs_sqs = self._queue("OrdersQueue", QUEUE_URL), self._queue("JobsQueue", JOBS_QUEUE_URL)

    def _queue(self, name: str, url: str) -> SQS:
        properties = QUEUES[name]
        return SQS(
            lambda: self.scheduler.now, url=url, max_receives=properties["RedrivePolicy"]["maxReceiveCount"],
            visibility_seconds=properties["VisibilityTimeout"],
        )  # fmt: skip

    def _add_accounts(self, records: Table) -> None:
        for account in sorted({step.account for step in self.plan.steps}):
            settings = {"currency": self.plan.currency, "sources": "orders_api shopper_activity"}
            item = {"pk": f"{account}/a", "sk": "a"} | settings
            records.put((item["pk"], "a"), raw(item))
        records.before.clear()  # so that no lagging read misses an account

    # ----------------------------------------------- time and random numbers

    @property
    def wall(self) -> float:
        """The virtual time in seconds since 1970."""
        return _EPOCH + self.scheduler.now

    def current_random(self) -> Random:
        """The random numbers of the current task, which no other task uses; between tasks, those of the world."""
        task = self.scheduler.current
        return self.random if task is None or task.random is None else task.random

    def bytes(self, count: int) -> bytes:
        return self.current_random().getrandbits(8 * count).to_bytes(count, "big")

    def sleep(self, seconds: float) -> None:
        self.scheduler.pause(seconds)

    def receipt(self) -> str:
        """A new time of receipt, at least a microsecond after the previous one."""
        self._latest_receipt = max(self._latest_receipt + 1, int(self.scheduler.now * 1e6))
        return times.shift("20260101000000000000", microseconds=self._latest_receipt)

    def alone(self, name: str, work: Callable[[], None]) -> None:
        """Runs `work` as a task, and all tasks that it starts. Call it when no other task is left."""
        task = Task(name, work, Random(self.plan.seed))
        self.scheduler.at(self.scheduler.now + 10, task)
        self.scheduler.run()

    # --------------------------------------------------- observed writes

    def _watch(self, name: str, key: Key, old: Item | None, new: Item | None) -> None:
        """Passes a write on, and records marks (partition `{account}/u`) and new jobs (`{account}/j`)."""
        if name == LEDGER:
            self._watch_ledger(key, old, new)
            self.stream.changed(old, new)
            self.ledger_changed()
        elif key[0].endswith("/u") and new is not None and (old is None or old["cut"] != new["cut"]):
            account, sk = key[0][:-2], key[1]
            self.marks.append(Mark(account, sk, new["cut"]["S"], self.scheduler.now))
            if sk[0] != "p":
                self.invariants.current[account, sk] = int(new["generation"]["N"])
        elif key[0].endswith("/j") and "/" not in key[1] and old is None and new is not None:
            self.jobs[key[0][:-2], key[1]] = record_of(jobs.Job, plain_item(new))
        self.invariants.watch(name, key, old, new)

    def _watch_ledger(self, key: Key, old: Item | None, new: Item | None) -> None:
        """Records new people, and the versions of v1 orders with the times at which they are emptied."""
        account, scope, kind, *_ = key[0].split("/")
        scope_name, (order, _, number) = f"{account}/{scope}", key[1].partition("!")
        if kind == "p" and new is not None and "kind" in new:
            self.named[account, new["kind"]["S"], new["value"]["S"]] = key[1]
        if scope[0] != "o" or new is None:
            return
        versions = self.versions.setdefault((scope_name, order), [])
        if kind == "h" and old is not None and "deleted" not in old and "deleted" in new:
            if new["version"] == old["version"]:  # an erasure deleted the order: a request would have added a version
                versions.append(Version("erased", "", "", self.scheduler.now, int(new["version"]["N"])))
        elif kind == "e" and old is None:
            made = Version(
                new["action"]["S"],
                new["request"]["S"],
                new["id"]["S"],
                self.scheduler.now,
                int(number),
                new["body"]["B"],
            )
            versions.append(made)
        elif kind == "e" and "stamp" not in new and old is not None and "stamp" in old:
            version = next(v for v in versions if v.request_id == new["request"]["S"])
            version.emptied = self.scheduler.now
