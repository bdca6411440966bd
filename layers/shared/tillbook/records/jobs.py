"""Long work, page by page through the queue: each page is a message that sends the next one before it is acknowledged.

A page may run twice: its work is idempotent, and `page` in the job's item sees to it that only one chain goes on.
Records table: pk = {account}/j, sk = the job's id (UUIDv7), kept for 30 days.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tillbook.aws.items import Item, plain_item, raw
from tillbook.aws.retries import error_code
from tillbook.rules import times
from tillbook.rules.errors import NotFound
from tillbook.rules.json_text import Json

KEPT_SECONDS = 30 * 24 * 3600


class Step(NamedTuple):
    """One page of a job, as it goes through the queue.

    `plan` is what is still to be walked through, first what this page is of: a source, or `person`, or `settle` (a
    pause). `cursor` is where the page starts, `done` what was done before it. For a purge or an erasure: `cut` is the
    stamp of the request, `before` of the youngest orders it takes, `person` whom it erases. For a rebuild: `failed` is
    how many of those done could not be computed, `reason` why the first of them could not.
    """

    account: str
    job: str
    kind: str
    plan: list[str]
    page: int = 0
    cursor: str | None = None
    done: int = 0
    cut: str = ""
    before: str = ""
    person: str = ""
    failed: int = 0
    reason: str = ""

    @property
    def source(self) -> str:
        return self.plan[0]

    def then(self, cursor: str | None, done: int) -> Step | None:
        """The next page's step: of the same part of the plan if there is a cursor; None at the end of the plan."""
        plan = self.plan if cursor is not None else self.plan[1:]
        if not plan:
            return None
        return self._replace(plan=plan, page=self.page + 1, cursor=cursor, done=self.done + done)


class Jobs:
    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def start(self, step: Step, total: int) -> bool:
        """Notes the job before its first message is sent. False if it stands already."""
        item: Item = {
            "pk": f"{step.account}/j", "sk": step.job, "k": step.kind, "st": "queued", "pg": 0,
            "do": 0, "to": total, "at": times.now(), "ttl": int(time.time()) + KEPT_SECONDS,
        }  # fmt: skip
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
        total = ", #t = :d" if finished else ""  # orders came and went meanwhile: what was done is what there was
        total += ", er = :e" if error else " REMOVE er"  # of a try that failed before
        return self._update(
            # A: ends page 0, one of two      B: meanwhile finds nothing more behind page 0: done
            # A's page 1 ends -> refused, or the job would be running for ever.
            step, f"SET pg = :next, #d = :d, #s = :s{total}", "pg <= :page AND #s <> :done",
            {":next": step.page + 1, ":page": step.page, ":d": step.done + done, ":s": status, ":done": "done"}
            | ({":e": error} if error else {}),
        )  # fmt: skip

    def fail(self, step: Step, reason: str) -> None:
        """Where no other delivery of the page has gone on. One that does so later makes it a running job again."""
        self._update(
            step, "SET #s = :s, er = :e", "pg <= :page AND #s <> :d",
            {":s": "failed", ":e": reason, ":d": "done", ":page": step.page},
        )  # fmt: skip

    def is_current(self, step: Step) -> bool:
        """False where another delivery of this page has gone on. A page may come before the one that sent it ends."""
        item = self._get(step.account, step.job)
        return item is not None and int(item["pg"]) <= step.page and item["st"] != "done"

    def shown(self, account: str, job_id: str) -> Json:
        """Raises NotFound."""
        item = self._get(account, job_id)
        if item is None:
            raise NotFound("There is no such job.")
        return {
            "job_id": job_id, "kind": item["k"], "status": item["st"], "done": int(item["do"]),
            "total": max(int(item["to"]), int(item["do"])), "error": item.get("er"),
        }  # fmt: skip

    def _get(self, account: str, job_id: str) -> dict[str, Any] | None:
        answer = self.client.get_item(
            TableName=self.table, Key=raw({"pk": f"{account}/j", "sk": job_id}), ConsistentRead=True
        )
        return plain_item(answer["Item"]) if answer.get("Item") else None

    def _update(self, step: Step, update: str, condition: str, values: dict[str, Any]) -> bool:
        names = {"#s": "st", "#t": "to", "#d": "do"}  # DO and TO are words of DynamoDB's own
        try:
            self.client.update_item(
                TableName=self.table, Key=raw({"pk": f"{step.account}/j", "sk": step.job}),
                UpdateExpression=update, ConditionExpression=condition,
                ExpressionAttributeNames={n: a for n, a in names.items() if n in update + condition},
                ExpressionAttributeValues=raw(values),
            )  # fmt: skip
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True
