"""Long work, page by page through the queue: each page is a message that sends the next one before it is acknowledged.

A page may run twice: its work is idempotent, and `page` in the job's item sees to it that only one chain goes on.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tillbook.aws.items import attributes, plain_item, raw, record_of
from tillbook.aws.retries import error_code
from tillbook.rules import times
from tillbook.rules.errors import NotFound
from tillbook.rules.identity import Source
from tillbook.rules.json_text import Json

KEPT_SECONDS = 30 * 24 * 3600
_NOT_BEYOND = "page <= :page AND #status <> :end"


class Step(NamedTuple):
    """One page of a job, as it goes through the queue.

    Attributes:
        plan: sources that are left to walk through; this page is of the first.
        page: its number. cursor: where it begins. done: what was done before it.
        asked: of a purge or an erasure, when it was asked for (a stamp). person: whom an erasure takes, by our own id.
        failed, reason: of a rebuild, how many orders could not be computed, and why the first could not.
    """

    account: str
    job: str
    kind: str
    plan: list[Source]
    page: int = 0
    cursor: str | None = None
    done: int = 0
    asked: str = ""
    person: str = ""
    failed: int = 0
    reason: str = ""

    @property
    def source(self) -> Source:
        return self.plan[0]

    def then(self, cursor: str | None, done: int) -> Step | None:
        """The next page's step: of the same part of the plan if there is a cursor; None at the end of the plan."""
        plan = self.plan if cursor is not None else self.plan[1:]
        if not plan:
            return None
        return self._replace(plan=plan, page=self.page + 1, cursor=cursor, done=self.done + done)


class Job(NamedTuple):
    """How far a purge, an erasure or a rebuild is, kept for 30 days.

    Key: `{account}/j`, `{job id}`.

    Attributes:
        kind; status: queued, running, done or failed. page: the next one. done, total: orders, or events of an erasure.
        asked_at: a stamp. error: why it failed. ttl.
    """

    kind: str
    status: str
    page: Decimal | int  # no default: updates compare it
    done: Decimal | int
    total: Decimal | int
    asked_at: str
    ttl: int = 0
    error: str = ""


class Jobs:
    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def start(self, step: Step, total: int) -> bool:
        """Notes the job before its first message is sent. False if it stands already."""
        job = Job(step.kind, "queued", 0, 0, total, times.now(), int(time.time()) + KEPT_SECONDS)
        item = {"pk": f"{step.account}/j", "sk": step.job} | attributes(job)
        try:
            # A schedule that fires twice names the same job.
            self.client.put_item(TableName=self.table, Item=raw(item), ConditionExpression="attribute_not_exists(pk)")
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def advance(self, step: Step, done: int, *, finished: bool, error: str = "") -> bool:
        """After a page. False if another delivery of it has gone on already, or has come to the end.

        With an `error` a finished job has failed. Another chain of its pages may still go on: it ends by what it found.
        """
        status = ("failed" if error else "done") if finished else "running"
        total = (
            ", #total = :done" if finished else ""
        )  # orders came and went meanwhile: what was done is what there was
        total += ", #error = :error" if error else " REMOVE #error"  # of a try that failed before
        return self._update(
            # A: ends page 0, one of two      B: meanwhile finds nothing more behind page 0: done
            # A's page 1 ends -> refused, or the job would be running for ever.
            step, f"SET page = :next, done = :done, #status = :status{total}", _NOT_BEYOND,
            {":next": step.page + 1, ":page": step.page, ":done": step.done + done, ":status": status, ":end": "done"}
            | ({":error": error} if error else {}),
        )  # fmt: skip

    def fail(self, step: Step, reason: str) -> None:
        """Where no other delivery of the page has gone on. One that does so later makes it a running job again."""
        self._update(
            step, "SET #status = :status, #error = :error", _NOT_BEYOND,
            {":status": "failed", ":error": reason, ":end": "done", ":page": step.page},
        )  # fmt: skip

    def is_current(self, step: Step) -> bool:
        """False where another delivery of this page has gone on. A page may come before the one that sent it ends."""
        job = self._get(step.account, step.job)
        return job is not None and job.page <= step.page and job.status != "done"

    def shown(self, account: str, job_id: str) -> Json:
        """Raises NotFound."""
        job = self._get(account, job_id)
        if job is None:
            raise NotFound("There is no such job.")
        return {
            "job_id": job_id, "kind": job.kind, "status": job.status, "done": int(job.done),
            "total": int(max(job.total, job.done)), "error": job.error or None,
        }  # fmt: skip

    def _get(self, account: str, job_id: str) -> Job | None:
        answer = self.client.get_item(
            TableName=self.table, Key=raw({"pk": f"{account}/j", "sk": job_id}), ConsistentRead=True
        )
        return record_of(Job, plain_item(answer["Item"])) if answer.get("Item") else None

    def _update(self, step: Step, update: str, condition: str, values: dict[str, Any]) -> bool:
        names = {f"#{name}": name for name in ("status", "total", "error") if f"#{name}" in update + condition}
        try:
            self.client.update_item(
                TableName=self.table, Key=raw({"pk": f"{step.account}/j", "sk": step.job}),
                UpdateExpression=update, ConditionExpression=condition, ExpressionAttributeNames=names,
                ExpressionAttributeValues=raw(values),
            )  # fmt: skip
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True
