"""The queue's side: applies what was accepted, and says what became of it.

A message is acknowledged only when each order in it is applied, or queued again, or a dead letter. Any order may be
delivered again at any point of this: all of it may run twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.data_classes import SQSEvent
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from tillbook.aws import clients
from tillbook.aws.settings import Settings, settings
from tillbook.aws.telemetry import count, logger, measure, observed
from tillbook.ledger.ledger import MAX_TOGETHER, PURGED, UNANSWERED, Activity, Ledger, Outcome, Purged, unanswered
from tillbook.records.accounts import Accounts
from tillbook.records.deadletters import DeadLetters
from tillbook.records.jobs import Jobs, Step
from tillbook.records.marks import Marks, read_marks
from tillbook.records.messages import Message, Queue, QueuedOrder, QueuedWrite, decode
from tillbook.records.providers import Providers
from tillbook.records.transactions import Transaction, Transactions
from tillbook.rules import times
from tillbook.rules.errors import Later, Problem, Unavailable
from tillbook.rules.identity import order_key
from tillbook.work import rebuild
from tillbook.work.purge import Purges
from tillbook.work.rebuild import Rebuilds

# What is left to tell the queue what became of it all.
_MARGIN_SECONDS = 6.0
# No writer lives longer than its function's time-out (10 s); what it has on the wire is settled well within the rest.
_WRITER_LIFE_SECONDS = 45
_BACK_OFF_SECONDS = (2, 10, 30, 60)
_MARKS_WAIT_SECONDS = 24 * 3600


class _Marks:
    """Read once an invocation and account, and never kept longer: a purge relies on that."""

    def __init__(self, read: Callable[[str], Marks]) -> None:
        self._read = read
        self._found: dict[str, Marks | Exception] = {}

    def of(self, account: str) -> Marks:
        """Raises Unavailable where they could not be read, which is not tried for each order again."""
        if account not in self._found:
            try:
                self._found[account] = self._read(account)
            except Exception as error:
                self._found[account] = error
        found = self._found[account]
        if isinstance(found, Exception):
            raise Unavailable("What was purged could not be read.") from found
        return found


@dataclass
class Processor:
    ledger: Ledger
    transactions: Transactions
    dead_letters: DeadLetters
    queue: Queue
    rebuilds: Rebuilds
    purges: Purges
    marks_of: Callable[[str], Marks]
    providers: Providers
    max_tries: int
    clock: Any = field(default=time.monotonic)

    def run(self, records: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
        """SQS records in, `batchItemFailures` out: those that must be delivered again."""
        deadline = self.clock() + seconds - _MARGIN_SECONDS
        marks = _Marks(self.marks_of)
        messages: list[tuple[SQSRecord, Message]] = []
        failures = []

        def failed(record: SQSRecord, error: Exception) -> None:
            # Delivered again after the visibility time-out, and in the end left to the dead-letter queue.
            logger.warning("message failed", exc_info=error, message_id=record.message_id)
            failures.append({"itemIdentifier": record.message_id})

        for record in SQSEvent({"Records": records}).records:
            try:
                messages.append((record, decode(record.body)))
            except Exception as error:
                failed(record, error)
        together = self._together([order for _, message in messages for order in message.orders], marks, deadline)
        done: list[tuple[SQSRecord, Message, list[Transaction]]] = []
        for record, message in messages:
            try:
                # What became of some of its orders is known: that is told, and the others are queued again.
                begun = any(id(order) in together for order in message.orders)
                if self.clock() >= deadline and not begun:
                    raise Unavailable("The function's time ran out.")
                receives = int(record.attributes.approximate_receive_count)
                if told := self._message(message, receives, marks, together, deadline):
                    done.append((record, message, told))
            except Exception as error:
                failed(record, error)
        try:
            self._record(done)
        except Exception as error:
            for record, _, _ in done:
                failed(record, error)
        return {"batchItemFailures": failures}

    def _record(self, done: list[tuple[SQSRecord, Message, list[Transaction]]]) -> None:
        self.transactions.record([transaction for _, _, told in done for transaction in told])
        for _, message, told in done:
            for transaction in told if message.replayed else []:
                if transaction.status != "failed":
                    self.transactions.replaces_failure(transaction)

    def _together(self, orders: list[QueuedOrder], marks: _Marks, deadline: float) -> dict[int, Outcome]:
        """What became of those that could be applied in groups, by `id` of each: the others go one by one.

        A group that fails is no failure of an order in it: by itself each will tell.
        """
        found: dict[int, Outcome] = {}
        for group in self._groups(orders, marks, deadline):
            if self.clock() >= deadline:
                break
            try:
                outcomes = self.ledger.apply_together([activity for _, activity in group], deadline)
            except Exception as error:
                logger.warning("group failed", exc_info=error, orders=len(group))
                continue
            found |= {id(order): outcome for (order, _), outcome in zip(group, outcomes, strict=True) if outcome}
        return found

    def _groups(
        self, orders: list[QueuedOrder], marks: _Marks, deadline: float
    ) -> list[list[tuple[QueuedOrder, Activity]]]:
        """Orders of one account each, in turn of arrival, without those that cannot be read or that were purged."""
        accounts: dict[str, list[tuple[QueuedOrder, Activity]]] = {}
        for order in orders if len(orders) > 1 else []:
            if self.clock() >= deadline:
                break
            with suppress(Exception):  # by itself it says what is wrong with it
                activity = order.activity()
                purged = marks.of(order.account).purged(activity.event.person)
                if not purged.drops(order.received) and not purged.may_go_with_order(order.received):
                    accounts.setdefault(order.account, []).append((order, activity))
        return [
            found[start : start + MAX_TOGETHER]
            for found in accounts.values()
            for start in range(0, len(found), MAX_TOGETHER)
        ]

    def _message(
        self, message: Message, receives: int, marks: _Marks, together: dict[int, Outcome], deadline: float
    ) -> list[Transaction]:
        """What is to be recorded of it."""
        tries, alone = message.tries + receives, message.tries + 1
        done: list[Transaction] = []
        for write in message.writes:
            try:
                done += self._write(write, tries, deadline)
            except Exception as error:
                self._failed_write(write, error, tries)
        for step in message.steps:
            self._step(step, tries, deadline)
        for account, *people in message.forget:
            for person in people:
                self.ledger.forget(account, person, deadline)
        for after in message.nightly:
            self.rebuilds.nightly(after)
        late: list[QueuedOrder] = []
        failed: list[tuple[QueuedOrder, Exception]] = []
        for order in message.orders:
            outcome = together.get(id(order))
            to_do = outcome is None or outcome is UNANSWERED
            if to_do and self.clock() >= deadline:
                if outcome is UNANSWERED:
                    failed.append((order, unanswered()))
                else:
                    late.append(order)
                continue
            try:
                if outcome is None or to_do:
                    outcome = self._order(order, marks, deadline, unsure=outcome is UNANSWERED)
                done.append(_transaction(order, outcome))
                if outcome.reason == PURGED:
                    continue
                count("Applied" if outcome.status == "applied" else outcome.status.capitalize())
                measure("AgeAtApplying", _age(order.received))
            except Exception as error:
                failed.append((order, error))
        for order, cause in failed:
            # Deliveries that ended with the function are no tries of an order that was refused for now.
            done += self._failed(order, cause, alone if isinstance(cause, Unavailable) else tries, message.replayed)
        for transaction in done:
            if transaction.status == "applied" and transaction.provider:
                self.providers.note(transaction.account, transaction.provider)
        if late and message.replayed:
            self.queue.send(Message(orders=late, tries=message.tries, replayed=True))
        elif late:
            self.queue.send_orders(late, tries=message.tries)
        return done

    def _order(self, order: QueuedOrder, marks: _Marks, deadline: float, *, unsure: bool) -> Outcome:
        known = _known(order, marks)
        purged = known.purged(order.person_id())
        if purged.drops(order.received):  # also what cannot be read: no dead letter keeps it
            return Outcome("failed", PURGED)
        if purged.may_go_with_order(order.received):
            key = order_key("shopper_activity", order.body["provider"], order.body["order_id"])
            if order.received <= purged.taken_up_to(key):
                return Outcome("failed", PURGED)
        now = self._purged_now(order.account)
        return self.ledger.apply(order.activity(), deadline, known.purged, now, unsure)

    def _purged_now(self, account: str) -> Callable[[str], Purged]:
        return lambda person: self.marks_of(account).purged(person)

    def _failed(self, order: QueuedOrder, error: Exception, tries: int, replayed: bool) -> list[Transaction]:
        """Queued again alone, so that it holds up nobody; on the last try a dead letter."""
        logger.warning(
            "order failed", exc_info=error, request_id=order.request_id, account=order.account,
            order_id=order.body["order_id"], tries=tries,
        )  # fmt: skip
        if isinstance(error, Later):
            # No try of it: it is waited for.
            self.queue.send(Message(orders=[order], tries=tries - 1, replayed=replayed), delay_seconds=error.seconds)
            return []
        if tries < self.max_tries:
            # What may be written yet would not know of it: first it is settled.
            pause = max(_pause(tries), error.settled_in if isinstance(error, Unavailable) else 0)
            self.queue.send(Message(orders=[order], tries=tries, replayed=replayed), delay_seconds=pause)
            return []
        reason = _reason(error)
        self.dead_letters.keep(order.account, order.request_id, reason, Message(orders=[order]))
        count("DeadLettered")
        return [_transaction(order, Outcome("failed", reason))]

    def _step(self, step: Step, tries: int, deadline: float) -> None:
        try:
            worker = self.rebuilds if step.kind == rebuild.KIND else self.purges
            worker.run(step, self.clock, deadline)
        except Exception as error:
            logger.warning(
                "step failed", exc_info=error, account=step.account, job=step.job, page=step.page, tries=tries
            )
            if tries < self.max_tries:
                self.queue.send(Message(steps=[step], tries=tries), delay_seconds=_pause(tries))
            else:
                self.rebuilds.jobs.fail(step, _reason(error))
                count("JobsFailed")

    def _failed_write(self, write: QueuedWrite, error: Exception, tries: int) -> None:
        logger.warning(
            "write failed", exc_info=error, request_id=write.request_id, account=write.account, order_id=write.order_id,
            tries=tries,
        )  # fmt: skip
        message = Message(writes=[write], tries=tries)
        if tries < self.max_tries:
            self.queue.send(message, delay_seconds=_pause(tries))
            return
        self.dead_letters.keep(write.account, write.request_id, _reason(error), message._replace(tries=0))
        count("DeadLettered")

    def _write(self, write: QueuedWrite, tries: int, deadline: float) -> list[Transaction]:
        """What hangs on a v1 write. The message came before the write: it may be still to come, or never come."""
        effects = self.ledger.written(write.account, write.order_key, write.request_id, write.received, deadline)
        if effects is not None:
            count("Applied")
            return [
                Transaction(
                    write.account, "orders_api", write.request_id, "applied", write.received, write.action, "",
                    write.order_id, notes=list(write.notes), effects=effects,
                )
            ]  # fmt: skip
        settled = times.shift(write.received, seconds=_WRITER_LIFE_SECONDS)
        if times.now() < settled:
            self.queue.send(Message(writes=[write], tries=tries), delay_seconds=_WRITER_LIFE_SECONDS)
        return []


def _known(order: QueuedOrder, marks: _Marks) -> Marks:
    """Raises Later where they cannot be read, for a day: a dead letter might be of somebody who was erased."""
    try:
        return marks.of(order.account)
    except Unavailable as error:
        if times.now() < times.shift(order.received, seconds=_MARKS_WAIT_SECONDS):
            raise Later(error.message, _BACK_OFF_SECONDS[-1]) from error
        raise


def _pause(tries: int) -> int:
    return _BACK_OFF_SECONDS[min(tries, len(_BACK_OFF_SECONDS)) - 1]


def _age(received: str) -> float:
    """Milliseconds since a stamp of receipt."""
    return (times.to_datetime(times.now()) - times.to_datetime(received)).total_seconds() * 1000


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, Problem) else f"could not be applied ({type(error).__name__})"


def _transaction(order: QueuedOrder, outcome: Outcome) -> Transaction:
    notes = [*order.notes, *outcome.flags]
    return Transaction(
        order.account, "shopper_activity", order.request_id, outcome.status, order.received, order.body["action"],
        order.body["provider"], order.body["order_id"], outcome.reason, outcome.original, notes,
        effects=list(outcome.effects),
    )  # fmt: skip


@observed
def process(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The SQS-triggered function's whole work."""
    return processor().run(event["Records"], context.get_remaining_time_in_millis() / 1000)


@cache
def processor() -> Processor:
    """Made once a process. What an admin starts (web/managing.py) uses its parts."""
    return _build(settings())


def _build(env: Settings) -> Processor:
    client, records = clients.dynamodb(), env.records_table
    ledger = Ledger(client, env.ledger_table, conflict=lambda: count("ConflictsRetried"))
    queue, jobs = Queue(clients.sqs(), env.orders_queue_url), Jobs(client, records)
    dead_letters, transactions = DeadLetters(client, records), Transactions(client, records)
    return Processor(
        ledger, transactions, dead_letters, queue, Rebuilds(client, ledger, jobs, Accounts(client, records), queue),
        Purges(client, ledger, jobs, queue, dead_letters, transactions, records, env.settle_seconds),
        lambda account: read_marks(client, records, account, env.settle_seconds), Providers(client, records),
        env.max_tries,
    )  # fmt: skip
