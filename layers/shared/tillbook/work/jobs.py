"""Runs the pages of jobs (records/jobs.py), one in each invocation, and resends pages of jobs without progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tillbook.aws.telemetry import count, logger
from tillbook.records.jobs import Chain, Job, Jobs, Progress
from tillbook.records.messages import Message, Queue, Step
from tillbook.rules import times
from tillbook.rules.errors import Problem

# A page begins no more work after this time, so that progress is visible, and little is lost if it is cut off.
_PAGE_SECONDS = 20
_BACK_OFF_SECONDS = (2, 10, 30, 60)
_STALLED_SECONDS = 3600
_MOST_RESENDS = 5


class NotYet(Exception):
    """Raised for a page that must wait: the page is sent again with a delay of `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"not before {seconds} s have passed")
        self.seconds = seconds


class Page(NamedTuple):
    """The input of a page.

    Attributes:
        account, job_id, job, chain: those of the page. cursor: where the page begins; empty at the start of the chain.
        may_go_on: whether there is time for another unit of work. A page does at least one unit.
        deadline: of calls to AWS, in seconds of time.monotonic().
    """

    account: str
    job_id: str
    job: Job
    chain: int
    cursor: str
    may_go_on: Callable[[], bool]
    deadline: float


class Worker(Protocol):
    """Does one kind of job. Both methods raise NotYet to wait, and Failed to end the job as failed.

    After any other exception the page is tried again; after JobRunner.max_tries tries the job fails.
    """

    def page(self, page: Page) -> Progress:
        """Does a page of a chain other than the last."""

    def close(self, page: Page, chains: Mapping[int, Chain]) -> Progress:
        """Does a page of the last chain, which closes the job after all other chains ended."""


class Failed(Exception):
    """Raised by a worker to end its job as failed. The text is the reason."""


@dataclass(frozen=True, slots=True)
class JobRunner:
    jobs: Jobs
    queue: Queue
    workers: Mapping[str, Worker]
    max_tries: int

    def start(self, account: str, job_id: str, job: Job, delay_seconds: int = 0) -> None:
        """Stores a job and sends the first page of each chain but the last. Does nothing if the job exists already."""
        if self.jobs.start(account, job_id, job):
            for chain in range(job.chains):
                self._send(Step(account, job_id, chain), delay_seconds=delay_seconds)

    def run(self, step: Step, tries: int, receives: int, clock: Callable[[], float], deadline: float) -> None:
        """Runs a page. If this method raises an exception, the message must be delivered again.

        `tries` counts the tries of the page, this one included; `receives` counts the deliveries of this message.
        """
        job, chains = self.jobs.read(step.account, step.job)
        if job is None or not job.is_open or step.chain not in chains:
            return
        chain = chains[step.chain]
        if chain.page != step.page or chain.ended:
            if receives > 1:  # the function may have been cut off before it sent the next page
                self._send_next(step, chain, job)
            return
        if receives > 1 and tries >= self.max_tries:
            # The page is not tried again: it would probably be cut off again. Its message would then be moved to the
            # dead-letter queue, and the job would stay open.
            self._fail(step, f"page {step.page} was cut off repeatedly (out of time or memory)")
            return
        until = min(deadline, clock() + _PAGE_SECONDS)
        page = Page(step.account, step.job, job, step.chain, chain.cursor, lambda: clock() < until, deadline)
        try:
            worker = self.workers[job.kind]
            progress = worker.close(page, chains) if step.chain == job.chains else worker.page(page)
        except NotYet as wait:
            self._send(step, delay_seconds=wait.seconds)
        except Failed as error:
            self._fail(step, str(error))
        except Exception as error:
            logger.warning(
                "page failed",
                exc_info=error,
                account=step.account,
                job=step.job,
                chain=step.chain,
                page=step.page,
                tries=tries,
            )
            if tries < self.max_tries:
                pause = _BACK_OFF_SECONDS[min(tries, len(_BACK_OFF_SECONDS)) - 1]
                self._send(step, tries=tries, delay_seconds=pause)
            else:
                reason = (
                    error.message if isinstance(error, Problem) else f"page {step.page} failed: {type(error).__name__}"
                )
                self._fail(step, reason)
        else:
            if job.status == "queued":
                self.jobs.running(step.account, step.job)
            moved = self.jobs.move(step, chain, progress)
            if moved is not None:
                self._send_next(step, moved, job)

    def _send_next(self, step: Step, chain: Chain, job: Job) -> None:
        """Sends the chain's next page, if there is one.

        If the closing chain has ended, ends the job. If another chain has ended, sends the first page of the closing
        chain, provided that all others have ended.
        """
        if not chain.ended:
            self._send(step._replace(page=chain.page))
        elif step.chain == job.chains:
            self.jobs.end(step.account, step.job)
        else:
            # Read after this chain's end was written: if two chains end at the same time, at least one of them sees
            # that both ended.
            _, chains = self.jobs.read(step.account, step.job)
            if all(chains[number].ended for number in range(job.chains)):
                self._send(Step(step.account, step.job, job.chains, chains[job.chains].page))

    def _send(self, step: Step, *, tries: int = 0, delay_seconds: int = 0) -> None:
        self.queue.send(step.account, Message(steps=[step], tries=tries), delay_seconds=delay_seconds)

    def _fail(self, step: Step, reason: str) -> None:
        count("JobsFailed")  # counted first: a failure counted twice is better than one that is not counted
        self.jobs.end(step.account, step.job, reason)

    # ----------------------------------------------------- without progress

    def watch(self, after: str, clock: Callable[[], float], deadline: float) -> None:
        """Resends pages that made no progress for an hour. Fails a job if such a page was already resent five times.

        `after` is the job after which the search begins. At the deadline, a new message continues.
        """
        stalled = times.shift(times.now(), seconds=-_STALLED_SECONDS)
        for account, job_id in self.jobs.open(after):
            if clock() >= deadline:
                self.queue.send("", Message(watch=[after]))
                return
            after = f"{account}/{job_id}"
            job, chains = self.jobs.read(account, job_id)
            if job is None or not job.is_open:
                self.jobs.forget_open(account, job_id)
                continue
            for step, chain in _due(account, job_id, job, chains):
                if (chain.touched_at or job.asked_at) > stalled:
                    continue
                if chain.resent >= _MOST_RESENDS:
                    self._fail(step, f"page {step.page} made no progress")
                    break
                if self.jobs.resend(step, chain):
                    count("JobsStuck")
                    self._send(step)


def _due(account: str, job_id: str, job: Job, chains: Mapping[int, Chain]) -> list[tuple[Step, Chain]]:
    """The pages that must be in the queue or running: one of each open chain, or the page that closes the job."""
    due = [number for number in range(job.chains) if not chains[number].ended] or [job.chains]
    return [(Step(account, job_id, number, chains[number].page), chains[number]) for number in due]


def wait_for(seconds: float) -> int:
    """A delay for NotYet, in whole seconds, rounded up: from 1 to 900, the longest delay of SQS."""
    return min(max(int(-(-seconds // 1)), 1), 900)
