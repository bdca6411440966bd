"""Brings restored tables up to date: current settings and keys, later purges and erasures, and a new book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tillbook.aws.retries import error_code
from tillbook.records.accounts import Accounts
from tillbook.records.jobs import MOST_CHAINS, Job, Jobs
from tillbook.records.messages import Queue
from tillbook.records.removals import Removals
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.identity import SOURCE_LETTER, SOURCES, Source
from tillbook.work.jobs import JobRunner
from tillbook.work.purge import ERASE, PURGE
from tillbook.work.rebuild import KIND as REBUILD

# The letters of an account's partitions whose items people create and change: settings, connections, keys.
_SET_BY_HAND = ("a", "c", "k")


@dataclass(frozen=True, slots=True)
class Contents:
    """Brings restored tables up to date. Each method returns a sentence about its result.

    Attributes:
        jobs: the queue of jobs.
        ledger, records: the names of the restored tables.
        id: the id of the restore. Jobs are named after it, so that none is started twice.
    """

    client: Any
    jobs: Queue
    ledger: str
    records: str
    id: str

    def carry_over(self, old: str) -> str:
        """Copies settings, connections and keys from the current records table `old`, if it exists.

        A key that was revoked since the restored moment must stay revoked, and one created since must remain valid.
        """
        try:
            accounts = list(Accounts(self.client, old).ids())
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            return f"{old} does not exist: keys are those of the restored moment. Revoke again what was revoked since."
        items = [item for account in accounts for item in self._set_by_hand(old, account)]
        for item in items:
            self.client.put_item(TableName=self.records, Item=item)
        return f"{len(items)} items of {len(accounts)} accounts."

    def _set_by_hand(self, table: str, account: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = [{"pk": {"S": "#accounts"}, "sk": {"S": account}}]
        for letter in _SET_BY_HAND:
            items += self._items(table, f"{account}/{letter}")
        digests = [item["digest"]["S"] for item in items if "digest" in item]
        return [*items, *(item for digest in digests for item in self._items(table, f"#key/{digest}"))]

    def _items(self, table: str, partition: str) -> list[dict[str, Any]]:
        pages = self.client.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ConsistentRead=True,
            ExpressionAttributeValues={":pk": {"S": partition}},
        )
        return [item for page in pages for item in page["Items"]]

    def repeat_removals(self, removals_table: str, moment: str) -> str:
        """Repeats the purges and erasures in `removals_table` that are later than `moment` (a stamp).

        A repeated removal has the cut of the first: it removes the events that were received until then. Events that
        were received later are kept; they may still be queued.
        """
        sources: dict[str, Source] = {letter: source for source, letter in SOURCE_LETTER.items()}  # type: ignore[misc]
        scopes, repeated = Scopes(self.client, self.records), 0
        for account, name, cut in Removals(self.client, removals_table).since(moment):
            if name in sources:
                job = Job(PURGE, "queued", cut, sources[name], MOST_CHAINS)
            else:
                job = Job(ERASE, "queued", cut, " ".join(SOURCES), person=name[1:])
            scopes.repeat(account, name, cut)
            self._runner.start(account, f"{self.id}-{name}", job)
            repeated += 1
        return f"{repeated} repeated. Their jobs delete the data after intake is resumed."

    def rebuild(self) -> str:
        """Starts jobs that compute every order again and write its card (its entry in the book)."""
        accounts = list(Accounts(self.client, self.records).ids())
        for account in accounts:
            for source in SOURCES:
                job = Job(REBUILD, "queued", times.now(), source, MOST_CHAINS)  # the number of orders is not known
                self._runner.start(account, f"{self.id}-book-{SOURCE_LETTER[source]}", job)
        return f"{len(accounts) * len(SOURCES)} jobs. Until they end, reports are incomplete."

    @property
    def _runner(self) -> JobRunner:
        return JobRunner(Jobs(self.client, self.records), self.jobs, {}, max_tries=1)
