"""Jobs: purges, erasures and rebuilds, each split into chains of pages that run in parallel.

A message names one page of a chain. The worker does the page's work, moves the chain to the next page, sends a message
for that page, and only then acknowledges its own message. The last chain closes the job; it starts when all others have
ended. A message may be delivered twice, so the work of a page is idempotent, and a chain moves from its current page
only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tillbook.aws.items import Item, attributes, plain_item, raw, record_of
from tillbook.aws.writes import write_if
from tillbook.records.messages import Step
from tillbook.rules import times
from tillbook.rules.errors import NotFound
from tillbook.rules.identity import Source
from tillbook.rules.json_text import Json

KEPT_SECONDS = 30 * 24 * 3600
MOST_CHAINS = 16  # for each source: a chain for each bucket (ledger.items)
_ORDERS_A_CHAIN = 5000
_OPEN = "jobs"  # partition of the list of jobs that have not ended
# A: does page 3   B: does page 3, which was delivered twice
# A: moves the chain to page 4   B: moves it to page 4 -> refused, or B would send page 4 a second time.
_PAGE_IS_CURRENT = "attribute_not_exists(page) OR page = :page"
# A: ends the job as failed after a page's last try   B: ends it as done, since a copy of that page succeeded -> refused
_IS_OPEN = "#status = :queued OR #status = :running"


class Job(NamedTuple):
    """A purge, an erasure or a rebuild, kept for 30 days.

    Key: `{account}/j`, `{job id}`.

    Attributes:
        kind: purge, erase or rebuild. status: queued, running, done or failed. asked_at: stamp of receipt of the
            request. sources: separated by spaces. parts: number of chains for each source.
        person: our own id of the person to erase. total: number of orders, or of events in an erasure.
        error: reason for the failure. ttl.
    """

    kind: str
    status: str
    asked_at: str
    sources: str
    parts: int = 1
    person: str = ""
    total: int = 0
    error: str = ""
    ttl: int = 0

    @property
    def chains(self) -> int:
        """The number of chains besides the chain that closes the job. It is also that chain's number (from 0)."""
        return len(self.sources.split()) * self.parts

    @property
    def is_open(self) -> bool:
        return self.status in ("queued", "running")

    def part(self, chain: int) -> tuple[Source, int]:
        """Returns the (source, part) of a chain, with part from 0 to `parts` - 1."""
        return self.sources.split()[chain // self.parts], chain % self.parts  # type: ignore[return-value]


class Chain(NamedTuple):
    """The progress of a chain. A chain has no item before its first page ends or is sent again.

    Key: `{account}/j`, `{job id}/{number, two digits}`.

    Attributes:
        page: number of the next page. cursor: where that page begins, in the worker's own form; empty for the start.
        ended: whether there is no next page.
        done: number of processed orders, or of events in an erasure.
        failed, reason: number of orders that a rebuild could not compute, and the reason for the first of them.
        touched_at: when a page last ended or was last sent again (a stamp). resent: how often the next page was sent
            again.
    """

    page: int = 0
    cursor: str = ""
    ended: bool = False
    done: int = 0
    failed: int = 0
    reason: str = ""
    touched_at: str = ""
    resent: int = 0
    ttl: int = 0


class OpenJob(NamedTuple):
    """An entry in the list of open jobs, which is searched for jobs without progress.

    Key: `jobs`, `{account}/{job id}`.

    Attributes: ttl.
    """

    ttl: int = 0


class Progress(NamedTuple):
    """The result of a page, with the fields of Chain. `done` and `failed` are those of this page alone."""

    cursor: str = ""
    ended: bool = False
    done: int = 0
    failed: int = 0
    reason: str = ""


def parts_for(orders: int) -> int:
    """Returns the number of chains for each source, for a number of orders."""
    return min(MOST_CHAINS, 1 + orders // _ORDERS_A_CHAIN)


class Jobs:
    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def start(self, account: str, job_id: str, job: Job) -> bool:
        """Stores a job. Must be called before the first messages are sent. Returns False if the job exists already."""
        ttl = int(time.time()) + KEPT_SECONDS
        open_job = {"pk": _OPEN, "sk": f"{account}/{job_id}"} | attributes(OpenJob(ttl))
        self.client.put_item(TableName=self.table, Item=raw(open_job))
        item = {"pk": f"{account}/j", "sk": job_id} | attributes(job._replace(ttl=ttl))
        return write_if(
            self.client.put_item, TableName=self.table, Item=raw(item), ConditionExpression="attribute_not_exists(pk)"
        )

    def read(self, account: str, job_id: str) -> tuple[Job | None, dict[int, Chain]]:
        """Returns a job (None if unknown) and its chains by number, read by one consistent query."""
        answer = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :job)",
            ConsistentRead=True,
            ExpressionAttributeValues=raw({":pk": f"{account}/j", ":job": job_id}),
        )
        items = {item["sk"][len(job_id) :]: item for item in map(plain_item, answer["Items"])}
        job = record_of(Job, items.pop("")) if "" in items else None
        chains = {int(name[1:]): record_of(Chain, item) for name, item in items.items() if name[0] == "/"}
        if job is None:
            return None, {}
        return job, {number: chains.get(number, Chain()) for number in range(job.chains + 1)}

    def move(self, step: Step, chain: Chain, progress: Progress) -> Chain | None:
        """Moves a chain to its next page and returns it, or None if another delivery of the page moved it first."""
        moved = Chain(
            step.page + 1,
            progress.cursor,
            progress.ended,
            chain.done + progress.done,
            chain.failed + progress.failed,
            chain.reason or progress.reason,
            times.now(),
            ttl=int(time.time()) + KEPT_SECONDS,
        )
        return moved if self._put(step, moved) else None

    def resend(self, step: Step, chain: Chain) -> bool:
        """Notes that the page of a step is sent again. Returns False if the chain is no longer at this page."""
        ttl = int(time.time()) + KEPT_SECONDS
        return self._put(step, chain._replace(touched_at=times.now(), resent=chain.resent + 1, ttl=ttl))

    def _put(self, step: Step, chain: Chain) -> bool:
        # `attributes` leaves out a page of 0, but an item without a page would fulfil the condition for every page.
        place: Item = {"pk": f"{step.account}/j", "sk": f"{step.job}/{step.chain:02d}", "page": 0}
        item = place | attributes(chain)
        return write_if(
            self.client.put_item,
            TableName=self.table,
            Item=raw(item),
            ConditionExpression=_PAGE_IS_CURRENT,
            ExpressionAttributeValues=raw({":page": step.page}),
        )

    def running(self, account: str, job_id: str) -> None:
        self._set(account, job_id, "running", "")

    def end(self, account: str, job_id: str, error: str = "") -> bool:
        """Ends a job, as failed if there is an `error`. Returns False if the job had ended before."""
        # The id of the erased person is personal data, so it is removed.
        written = self._set(account, job_id, "failed" if error else "done", error, " REMOVE person")
        self.forget_open(account, job_id)
        return written

    def _set(self, account: str, job_id: str, status: str, error: str, more: str = "") -> bool:
        values = {":status": status, ":error": error, ":queued": "queued", ":running": "running"}
        return write_if(
            self.client.update_item,
            TableName=self.table,
            Key=raw({"pk": f"{account}/j", "sk": job_id}),
            UpdateExpression=f"SET #status = :status, #error = :error{more}",
            ConditionExpression=_IS_OPEN,
            ExpressionAttributeNames={"#status": "status", "#error": "error"},
            ExpressionAttributeValues=raw(values),
        )

    def forget_open(self, account: str, job_id: str) -> None:
        self.client.delete_item(TableName=self.table, Key=raw({"pk": _OPEN, "sk": f"{account}/{job_id}"}))

    def open(self, after: str) -> Iterator[tuple[str, str]]:
        """Yields (account, job id) of open jobs that sort after `after` (`{account}/{job id}`), page by page."""
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk AND sk > :after", "ConsistentRead": True,
            "ExpressionAttributeValues": raw({":pk": _OPEN, ":after": after}),
        }  # fmt: skip
        while True:
            page = self.client.query(**arguments)
            for item in map(plain_item, page["Items"]):
                account, _, job_id = item["sk"].partition("/")
                yield account, job_id
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def shown(self, account: str, job_id: str) -> Json:
        """Returns a job as the API shows it. Raises NotFound."""
        job, chains = self.read(account, job_id)
        if job is None:
            raise NotFound("There is no such job.")
        done = sum(chain.done for chain in chains.values())
        # Orders are added and deleted while the job runs, so at its end the number of processed orders is the total.
        total = done if job.status == "done" else max(job.total, done)
        return {
            "job_id": job_id, "kind": job.kind, "status": job.status, "done": done, "total": total,
            "error": job.error or None,
        }  # fmt: skip
