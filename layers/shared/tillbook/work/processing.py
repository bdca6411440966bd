"""Processes the queues: applies accepted events, records their outcomes, and runs pages of jobs.

A message is acknowledged only after each order in it has a recorded outcome or is queued again. Any order may be
delivered again at any point, so every step may run twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.data_classes import SQSEvent

from tillbook.aws import clients
from tillbook.aws.retries import is_transient
from tillbook.aws.settings import Settings, settings
from tillbook.aws.telemetry import count, logger, measure, observed
from tillbook.contract.activity import notes_of
from tillbook.ledger.activities import ERASED, MAX_TOGETHER, Activity, Result
from tillbook.ledger.ledger import Ledger
from tillbook.records.accounts import Accounts
from tillbook.records.book import Book
from tillbook.records.deadletters import DeadLetters
from tillbook.records.jobs import Jobs
from tillbook.records.messages import Message, Queue, QueuedOrder, decode
from tillbook.records.outcomes import PURGED, Outcome, Outcomes
from tillbook.records.providers import Providers
from tillbook.records.removals import Removals
from tillbook.records.scopes import Marks, Scopes
from tillbook.rules import times
from tillbook.rules.errors import Problem, Unavailable
from tillbook.work import rebuild
from tillbook.work.book import Keeper
from tillbook.work.jobs import JobRunner, Worker
from tillbook.work.purge import ERASE, PURGE, Erasures, Purges
from tillbook.work.rebuild import Rebuilds

# Seconds between the deadline and the time-out: for a call without an answer, and then for recording outcomes and
# queueing orders again.
_MARGIN_SECONDS = 3 * clients.SLOWEST_CALL_SECONDS + 1
_BACK_OFF_SECONDS = (2, 10, 30, 60)


class Waits(Unavailable):
    """The result for an order that could not be applied, and whose person is erased or may be. The order is retried
    without limit, since a dead letter would name the erased person."""


@dataclass
class Delivery:
    """A received message. `orders` are those not yet processed. If `error` is set, SQS must deliver it again."""

    id: str
    message: Message
    receives: int
    orders: list[QueuedOrder]
    error: Exception | None = None

    @property
    def tries(self) -> int:
        """The number of tries, this one included. Each delivery counts as a try."""
        return self.message.tries + self.receives


Delivered = tuple[Delivery, QueuedOrder]  # a received message, and one of its orders


@dataclass
class Processor:
    ledger: Ledger
    outcomes: Outcomes
    dead_letters: DeadLetters
    queue: Queue
    jobs: JobRunner
    rebuilds: Rebuilds
    purges: Purges
    erasures: Erasures
    accounts: Accounts
    scopes: Scopes
    providers: Providers
    max_tries: int
    clock: Any = field(default=time.monotonic)

    def run(self, records: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
        """Processes SQS records. Returns `batchItemFailures` with the messages that must be delivered again.

        `seconds` is the remaining time of the invocation.
        """
        end = self.clock() + seconds
        deadline = end - _MARGIN_SECONDS
        deliveries, failures = [], []
        for record in SQSEvent({"Records": records}).records:
            try:
                message = decode(record.body)
                receives = int(record.attributes.approximate_receive_count)
                deliveries.append(Delivery(record.message_id, message, receives, list(message.orders)))
            except Exception as error:
                logger.warning("message not read", exc_info=error, message_id=record.message_id)
                failures.append({"itemIdentifier": record.message_id})
        for delivery in deliveries:
            with self._handed_back_on_error([delivery]):
                self._job(delivery, deadline)
        for marks, group in self._groups(deliveries):
            if self.clock() >= deadline:
                break
            with self._handed_back_on_error([delivery for delivery, _ in group]):
                self._group(marks, group, deadline)
        for delivery in deliveries:
            # Orders that were not processed for lack of time are sent again unchanged, which does not count as a try.
            if delivery.orders and delivery.error is None:
                with self._handed_back_on_error([delivery]):
                    message = delivery.message
                    if self.clock() >= end - clients.SLOWEST_CALL_SECONDS:
                        raise Unavailable("There is no time left to queue the orders again.")
                    self.queue.send_orders(delivery.orders, tries=message.tries, replayed=message.replayed)
            if delivery.error is not None:
                failures.append({"itemIdentifier": delivery.id})
        return {"batchItemFailures": failures}

    @contextmanager
    def _handed_back_on_error(self, deliveries: Sequence[Delivery]) -> Iterator[None]:
        """Sets `error` of the deliveries if an error is raised. SQS delivers their messages again after the visibility
        time-out, and moves them to the dead-letter queue after the last delivery."""
        try:
            yield
        except Exception as error:
            for delivery in deliveries:
                logger.warning("message failed", exc_info=error, message_id=delivery.id)
                delivery.error = error

    # ---------------------------------------------------------------- orders

    def _groups(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[Marks | None, list[Delivered]]]:
        """Yields (marks of an account, orders of the account), with at most MAX_TOGETHER orders to apply together.

        The accounts take turns. The marks are None if they could not be read.
        """
        accounts: dict[str, list[Delivered]] = {}
        for delivery in deliveries:
            for order in delivery.message.orders:
                accounts.setdefault(order.account, []).append((delivery, order))
        known: dict[str, Marks | None] = {}
        while accounts:
            for account, waiting in list(accounts.items()):
                if account not in known:
                    known[account] = self._marks(account, [order for _, order in waiting])
                yield known[account], waiting[:MAX_TOGETHER]
                accounts[account] = waiting[MAX_TOGETHER:]
                if not accounts[account]:
                    del accounts[account]

    def _marks(self, account: str, orders: Sequence[QueuedOrder]) -> Marks | None:
        """The marks of purges and erasures; None if they cannot be read.

        Purges rely on this: marks are read after the messages were received, and are kept for this invocation only.
        """
        try:
            return self.scopes.read(account, {order.person_id() for order in orders} - {""}, ["shopper_activity"])
        except Exception as error:
            logger.warning("marks not read", exc_info=error, account=account)
            return None

    def _group(self, marks: Marks | None, group: list[Delivered], deadline: float) -> None:
        """Applies a group and records its outcomes at once, so that little is repeated if the function is cut off."""
        found: list[Result | Exception] = [Waits("The marks of purges could not be read.")] * len(group)
        if marks is not None:
            found = self._apply(marks, [order for _, order in group], deadline)
        outcomes, replayed = [], []
        for (delivery, order), result in zip(group, found, strict=True):
            outcome = self._ended(delivery, order, result)
            delivery.orders = [other for other in delivery.orders if other is not order]
            if outcome is not None:
                outcomes.append(outcome)
                replayed += [outcome] if delivery.message.replayed else []
        self.outcomes.record(outcomes)
        for outcome in replayed:
            if outcome.status != "failed":
                self.outcomes.replaces_failure(outcome)

    def _apply(self, marks: Marks, orders: Sequence[QueuedOrder], deadline: float) -> list[Result | Exception]:
        """One result for each order. The ledger gets those that are not purged and can be parsed, in one call."""
        found: list[Result | Exception | None] = [None] * len(orders)
        readable: list[tuple[int, Activity]] = []
        for number, order in enumerate(orders):
            if marks.purged("shopper_activity", order.received):
                found[number] = Result("failed", PURGED)
                continue
            try:
                readable.append((number, order.activity()))
            except Exception as error:  # an erased event must not become a dead letter
                erased = marks.erased(order.person_id(), order.received)
                found[number] = Result("failed", ERASED) if erased else error
        applied = self._apply_readable(marks, [activity for _, activity in readable], deadline)
        for (number, _), result in zip(readable, applied, strict=True):
            found[number] = result
        return [result for result in found if result is not None]

    def _apply_readable(
        self, marks: Marks, activities: Sequence[Activity], deadline: float
    ) -> list[Result | Exception]:
        def erased(activity: Activity) -> bool:
            return marks.erased(activity.event.person, activity.received)

        scope = marks.scope("shopper_activity")
        results: list[Result | Exception] = self.ledger.apply(scope, activities, deadline, erased) if activities else []
        # An erased event is written without its content. Its person's item is deleted if no orders and no activities of
        # the person are left. An error of `apply` or `forget` must not lead to a dead letter: it would name the person.
        for number, activity in enumerate(activities):
            if erased(activity):
                try:
                    if isinstance(error := results[number], Exception):
                        raise error
                    self.ledger.forget(scope, activity.event.person, deadline)
                except Exception as error:
                    transient = isinstance(error, Unavailable) or is_transient(error)
                    results[number] = Waits(str(error)) if transient else Result("failed", ERASED)
        return results

    def _ended(self, delivery: Delivery, order: QueuedOrder, result: Result | Exception) -> Outcome | None:
        """The outcome of an order; None if it is tried again."""
        if isinstance(result, Exception):
            # Waits does not count as a try. Any other Unavailable counts as one try, even if the message was delivered
            # several times. After any other error, each delivery counts.
            tries = delivery.message.tries if isinstance(result, Waits) else delivery.message.tries + 1
            tries = tries if isinstance(result, Unavailable) else delivery.tries
            retry = Message(orders=[order], tries=tries, replayed=delivery.message.replayed)
            reason = self._retry_or_give_up(retry, order, result)
            return _outcome(order, Result("failed", reason)) if reason else None
        _measure(order, result)
        if result.status == "applied":
            self.providers.note(order.account, order.body["provider"])
        return _outcome(order, result)

    def _retry_or_give_up(self, message: Message, order: QueuedOrder, error: Exception) -> str:
        """Queues an order again in a message of its own, so that it delays no other order; returns "".

        After the last try, the order becomes a dead letter instead; returns its reason.
        """
        logger.warning(
            "order failed",
            exc_info=error,
            request_id=order.request_id,
            account=order.account,
            order_id=order.body["order_id"],
            tries=message.tries,
        )
        if isinstance(error, Waits) or message.tries < self.max_tries:
            pause = _BACK_OFF_SECONDS[-1] if isinstance(error, Waits) else _pause(message.tries)
            self.queue.send(order.account, message, delay_seconds=pause)
            return ""
        reason = _reason(error)
        self.dead_letters.keep(order.account, order.request_id, reason, message)
        count("DeadLettered")
        return reason

    # ------------------------------------------------------------------ jobs

    def _job(self, delivery: Delivery, deadline: float) -> None:
        """Runs pages of jobs, starts the nightly rebuilds, or looks for jobs without progress, as the message says.

        Such messages have a queue of their own, which delivers one message in a batch; they contain no orders.
        """
        message = delivery.message
        for step in message.steps:
            self.jobs.run(step, delivery.tries, delivery.receives, self.clock, deadline)
        for after in message.nightly:
            self.rebuilds.nightly(self.jobs, self.accounts, after, lambda: self.clock() < deadline)
        for after in message.watch:
            self.jobs.watch(after, self.clock, deadline)


def _measure(order: QueuedOrder, result: Result) -> None:
    if result.reason in (PURGED, ERASED):
        return
    count(result.status.capitalize())
    age = times.to_datetime(times.now()) - times.to_datetime(order.received)
    measure("AgeAtApplying", age.total_seconds() * 1000)


def _pause(tries: int) -> int:
    return _BACK_OFF_SECONDS[min(tries, len(_BACK_OFF_SECONDS)) - 1]


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, Problem) else f"could not be applied ({type(error).__name__})"


def _outcome(order: QueuedOrder, result: Result) -> Outcome:
    return Outcome(
        order.account,
        "shopper_activity",
        order.request_id,
        result.status,
        order.received,
        order.body["action"],
        order.body["provider"],
        order.body["order_id"],
        result.reason,
        result.original,
        notes_of(order.body["action"], order.notes, result.flags),
        effects=list(result.effects),
    )


@observed
def process(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The handler of the function."""
    return processor().run(event["Records"], context.get_remaining_time_in_millis() / 1000)


@cache
def processor() -> Processor:
    """The processor, which is created once in a process. web/managing.py uses its parts, too."""
    return _build(settings())


def _build(env: Settings) -> Processor:
    client, records = clients.dynamodb(), env.records_table
    ledger = Ledger(client, env.ledger_table, on_conflict=lambda: count("ConflictsRetried"))
    queue, scopes = Queue(clients.sqs(), env.orders_queue_url), Scopes(client, records)
    dead_letters, outcomes = DeadLetters(client, records), Outcomes(client, records)
    book, removals = Book(client, env.book_table), Removals(client, env.removals_table)
    common = ledger, scopes, removals, dead_letters, outcomes, queue, book, env.settle_seconds
    rebuilds, purges, erasures = (
        Rebuilds(ledger, scopes, Keeper(ledger, book, scopes, outcomes)),
        Purges(*common),
        Erasures(*common),
    )
    workers: dict[str, Worker] = {rebuild.KIND: rebuilds, PURGE: purges, ERASE: erasures}
    jobs = JobRunner(Jobs(client, records), Queue(clients.sqs(), env.jobs_queue_url), workers, env.max_tries)
    return Processor(
        ledger,
        outcomes,
        dead_letters,
        queue,
        jobs,
        rebuilds,
        purges,
        erasures,
        Accounts(client, records),
        scopes,
        Providers(client, records),
        env.max_tries,
    )
