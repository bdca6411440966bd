"""Computes an audience again from the orders: every head from its events, corrected where it differs.

Live writes go on meanwhile: each correction is a ledger transaction on the condition that nobody wrote the head since
it was read, and an audience is at no moment emptied. Where nothing is wrong nothing is written. An order that cannot be
computed stays as it is and holds up nobody: the job goes on to its end, and ends as failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tillbook.aws.retries import error_code, is_passing
from tillbook.aws.telemetry import count, logger
from tillbook.contract.document import document_of
from tillbook.ledger.items import SOURCE_LETTER, SOURCES
from tillbook.ledger.ledger import Ledger
from tillbook.records.accounts import Accounts
from tillbook.records.jobs import Jobs, Step
from tillbook.records.messages import Message, Queue
from tillbook.records.scopes import Scopes
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import Source
from tillbook.rules.times import uuid7
from tillbook.views.audiences import Audiences, decode_cursor, encode_cursor

KIND = "rebuild"
PAGE_ORDERS = 100


@dataclass(frozen=True, slots=True)
class Rebuilds:
    ledger: Ledger
    jobs: Jobs
    accounts: Accounts
    scopes: Scopes
    queue: Queue

    def start(self, account: str, source: Source, job: str | None = None) -> str:
        """Returns the job's id. A job of that id that runs already goes on as it does."""
        step = Step(account, job or uuid7(), KIND, [source])
        _, orders = self._audiences(account).counts(source)
        self.jobs.start(step, orders)
        self.queue.send(Message(steps=[step]))
        return step.job

    def run(self, step: Step, clock: Callable[[], float], deadline: float) -> None:
        """One page, then the next message, then the job's progress: in this order, a crash loses nothing."""
        if not self.jobs.is_current(step):
            return
        audiences = self._audiences(step.account)
        scope = audiences.marks.scope(step.source)
        done, cursor, failed, reason = 0, None, step.failed, step.reason
        for key, _ in audiences.heads(step.source, decode_cursor(step.cursor)):
            try:
                self.ledger.rebuild(scope, key, document_of, deadline)
            except Exception as error:
                if isinstance(error, Unavailable) or is_passing(error):
                    raise  # the page is tried again
                logger.warning("step failed at an order", exc_info=error, account=step.account, job=step.job, order=key)
                failed, reason = failed + 1, reason or error_code(error) or type(error).__name__
            done += 1
            # Half of the time is left to those of this page who were slow, and to what else is in the batch.
            if done == PAGE_ORDERS or clock() > deadline - 20:
                cursor = encode_cursor(key)
                break
        following = step.then(cursor, done)
        if following is not None:
            self.queue.send(Message(steps=[following._replace(failed=failed, reason=reason)]))
            self.jobs.advance(step, done, finished=False)
        elif failed:
            told = f"orders that could not be computed: {failed} (the first: {reason}); the log names them"
            count("JobsFailed")  # before: a metric told twice is better than none
            self.jobs.advance(step, done, finished=True, error=told)
        else:
            self.jobs.advance(step, done, finished=True)

    def _audiences(self, account: str) -> Audiences:
        return Audiences(self.ledger.client, self.ledger.table, self.scopes.read(account))

    def nightly(self, after: str | None) -> None:
        """Starts a rebuild of both audiences of a page of accounts; the next page is the next message's."""
        day = datetime.now(UTC).date().isoformat()
        page, following = self.accounts.page(after)
        for account in page:
            for source in SOURCES:
                self.start(account, source, f"nightly-{day}-{SOURCE_LETTER[source]}")
        if following:
            self.queue.send(Message(nightly=[following]))
