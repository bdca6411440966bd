"""Computes an audience again: each order's head (its current state, from which audiences are read) is computed from the
order's events, and corrected if it differs.

A rebuild that an admin requests also puts every order's card into the book again, in case the book missed changes.
The nightly rebuilds do not.

Other functions may write orders at the same time. Each correction is a ledger transaction with the condition that the
head is unchanged since it was read, and an audience is never emptied. Heads that are correct are not written. An order
that cannot be computed is left unchanged; the job continues with the others, and ends as failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tillbook.aws.retries import error_code, is_transient
from tillbook.aws.telemetry import logger
from tillbook.contract.document import document_of
from tillbook.ledger.items import BUCKETS
from tillbook.ledger.ledger import Ledger
from tillbook.records.accounts import Accounts
from tillbook.records.jobs import Chain, Job, Progress, parts_for
from tillbook.records.messages import Message
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import SOURCE_LETTER, SOURCES, Source
from tillbook.views.audiences import Audiences
from tillbook.work.book import Keeper
from tillbook.work.jobs import Failed, JobRunner, Page

KIND = "rebuild"
_NIGHTLY = "nightly-"
_TIDIED = "~"  # the cursor of the last chain after `tidy`: it sorts after all cards


def _is_nightly(page: Page) -> bool:
    return page.job_id.startswith(_NIGHTLY)


@dataclass(frozen=True, slots=True)
class Rebuilds:
    """The worker of rebuild jobs. The chains divide the buckets (ledger/items.py) of a source's orders.

    A chain's cursor is the key of the last order that was processed.
    """

    ledger: Ledger
    scopes: Scopes
    keeper: Keeper

    def start(self, runner: JobRunner, account: str, source: Source, job_id: str | None = None) -> str:
        """Starts a rebuild, unless a job with the id exists. Returns the job's id."""
        job_id = job_id or times.uuid7()
        orders = self.keeper.book.about(self.scopes.read(account).scope(source))
        runner.start(account, job_id, Job(KIND, "queued", times.now(), source, parts_for(orders), total=orders))
        return job_id

    def page(self, page: Page) -> Progress:
        """Rebuilds orders of a chain while time is left, but at least one. Counts those that cannot be computed."""
        audiences = self._audiences(page.account)
        source, part = page.job.part(page.chain)
        scope, buckets = audiences.marks.scope(source), range(part, BUCKETS, page.job.parts)
        cursor, ended, done, failed, reason = page.cursor, False, 0, 0, ""
        days: set[str] = set()
        for key, head in audiences.heads(source, page.cursor, buckets=buckets):
            try:
                self.ledger.rebuild(scope, key, document_of, page.deadline)
                if not _is_nightly(page):
                    days |= self.keeper.put_again(scope, key, head, page.deadline)
            except Exception as error:
                if isinstance(error, Unavailable) or is_transient(error):
                    if not done:
                        raise  # the page is tried again
                    break
                logger.warning("order not rebuilt", exc_info=error, account=page.account, job=page.job_id, order=key)
                failed, reason = failed + 1, reason or error_code(error) or type(error).__name__
            cursor, done = key, done + 1
            if not page.may_go_on():
                break
        else:
            ended = True
        for day in sorted(days):
            self.keeper.book.mark(scope, day)
        return Progress(cursor, ended, done, failed, reason)

    def close(self, page: Page, chains: Mapping[int, Chain]) -> Progress:
        """Empties cards that their orders have left (not nightly), and counts the audience's records.

        Raises Failed if orders could not be computed.
        """
        from tillbook.views.sales import size_of  # imported here, since applying orders does not need it

        source, _ = page.job.part(0)
        scope = self.scopes.read(page.account).scope(source)
        if not _is_nightly(page):
            cursor = self.keeper.empty_places_left(scope, page.cursor, page.may_go_on, page.deadline)
            if cursor is not None:
                return Progress(cursor)

        try:  # counts the records now, so that the next request for the audiences does not have to
            size_of(self.keeper.book, scope, page.may_go_on)
        except Unavailable:  # the next page continues the count
            return Progress(_TIDIED)
        failed = sum(chain.failed for chain in chains.values())
        if failed:
            first = next(chain.reason for chain in chains.values() if chain.failed)
            raise Failed(f"orders that could not be computed: {failed} (first reason: {first}); the log names them")
        return Progress(ended=True)

    def _audiences(self, account: str) -> Audiences:
        return Audiences(self.ledger.client, self.ledger.table, self.scopes.read(account))

    def nightly(self, runner: JobRunner, accounts: Accounts, after: str, may_go_on: Callable[[], bool]) -> None:
        """Starts rebuilds of both audiences for a page of accounts. A new message continues with the others, if any."""
        day = datetime.now(UTC).date().isoformat()
        page, following = accounts.page(after)
        for account in page:
            for source in SOURCES:
                self.start(runner, account, source, f"{_NIGHTLY}{day}-{SOURCE_LETTER[source]}")
            if not may_go_on():
                following = account
                break
        if following:
            runner.queue.send("", Message(nightly=[following]))
