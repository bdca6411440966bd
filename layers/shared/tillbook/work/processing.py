"""The queue's side: applies what was accepted, and records what became of it.

A message is acknowledged only when each order in it is applied, or queued again, or a dead letter. Any order may be
delivered again at any point of this: all of it may run twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.data_classes import SQSEvent
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from tillbook.aws import clients
from tillbook.aws.retries import is_passing
from tillbook.aws.settings import Settings, settings
from tillbook.aws.telemetry import count, logger, measure, observed
from tillbook.ledger.activities import ERASED, MAX_TOGETHER, Activity, Result
from tillbook.ledger.ledger import Ledger
from tillbook.records.accounts import Accounts
from tillbook.records.deadletters import DeadLetters
from tillbook.records.jobs import Jobs, Step
from tillbook.records.messages import Message, Queue, QueuedOrder, QueuedWrite, decode
from tillbook.records.providers import Providers
from tillbook.records.scopes import Marks, Scopes
from tillbook.records.transactions import PURGED, Transaction, Transactions
from tillbook.rules import times
from tillbook.rules.errors import Problem, Unavailable
from tillbook.work import rebuild
from tillbook.work.purge import Purges
from tillbook.work.rebuild import Rebuilds

# Left of the invocation's time to report what became of its messages.
_MARGIN_SECONDS = 6.0
# No writer of v1 lives longer than its function's time-out (10 s); what it sent is settled well within the rest.
_WRITER_LIFE_SECONDS = 45
_BACK_OFF_SECONDS = (2, 10, 30, 60)


class Waits(Unavailable):
    """An order that is erased, or may be, and could not be applied: a dead letter would name who was erased."""


Found = dict[int, Result | Exception]  # what became of an order, by its `id`; of a late one there is nothing


@dataclass
class Processor:
    ledger: Ledger
    transactions: Transactions
    dead_letters: DeadLetters
    queue: Queue
    rebuilds: Rebuilds
    purges: Purges
    scopes: Scopes
    providers: Providers
    max_tries: int
    clock: Any = field(default=time.monotonic)

    def run(self, records: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
        """SQS records in, `batchItemFailures` out: those that must be delivered again."""
        deadline = self.clock() + seconds - _MARGIN_SECONDS
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
        found = self._apply([order for _, message in messages for order in message.orders], deadline)
        done: list[tuple[SQSRecord, Message, list[Transaction]]] = []
        for record, message in messages:
            try:
                begun = any(id(order) in found for order in message.orders)
                if self.clock() >= deadline and not begun:
                    raise Unavailable("The function's time ran out.")
                receives = int(record.attributes.approximate_receive_count)
                done.append((record, message, self._message(message, receives, found, deadline)))
            except Exception as error:
                failed(record, error)
        try:
            self._record(done)
        except Exception as error:
            for record, _, outcomes in done:
                if outcomes:
                    failed(record, error)
        return {"batchItemFailures": failures}

    def _record(self, done: list[tuple[SQSRecord, Message, list[Transaction]]]) -> None:
        self.transactions.record([outcome for _, _, outcomes in done for outcome in outcomes])
        for _, message, outcomes in done:
            for outcome in outcomes if message.replayed else []:
                if outcome.status != "failed":
                    self.transactions.replaces_failure(outcome)

    # ---------------------------------------------------------------- orders

    def _apply(self, orders: list[QueuedOrder], deadline: float) -> Found:
        """What became of the orders, as far as the time goes: accounts in turn, many orders in one transaction."""
        found: Found = {}
        accounts: dict[str, list[QueuedOrder]] = {}
        for order in orders:
            accounts.setdefault(order.account, []).append(order)
        for account, own in accounts.items():
            try:
                # Read after the messages were received, and never kept: a purge relies on that.
                marks = self.scopes.read(account, {order.person_id() for order in own}, ["shopper_activity"])
            except Exception as error:
                logger.warning("marks not read", exc_info=error, account=account)
                found |= {id(order): Waits("What was purged could not be read.") for order in own}
                continue
            readable: list[tuple[QueuedOrder, Activity]] = []
            for order in own:
                if marks.purged("shopper_activity", order.received):
                    found[id(order)] = Result("failed", PURGED)
                    continue
                try:
                    readable.append((order, order.activity()))
                except Exception as error:  # no dead letter keeps what is erased
                    gone = marks.erased(order.person_id(), order.received)
                    found[id(order)] = Result("failed", ERASED) if gone else error
            for start in range(0, len(readable), MAX_TOGETHER):
                if self.clock() >= deadline:
                    break
                found |= self._apply_group(marks, readable[start : start + MAX_TOGETHER], deadline)
        return found

    def _apply_group(self, marks: Marks, group: list[tuple[QueuedOrder, Activity]], deadline: float) -> Found:
        def erased(activity: Activity) -> bool:
            return marks.erased(activity.event.person, activity.received)

        scope, activities = marks.scope("shopper_activity"), [activity for _, activity in group]
        results: list[Result | Exception] = self.ledger.apply(scope, activities, deadline, erased)
        for number, activity in enumerate(activities):
            if erased(activity):
                try:
                    if isinstance(error := results[number], Exception):
                        raise error
                    self.ledger.forget(scope, activity.event.person, deadline)
                except Exception as error:
                    passing = isinstance(error, Unavailable) or is_passing(error)
                    results[number] = Waits(str(error)) if passing else Result("failed", ERASED)
        return {id(order): result for (order, _), result in zip(group, results, strict=True)}

    def _message(self, message: Message, receives: int, found: Found, deadline: float) -> list[Transaction]:
        """What is to be recorded of it."""
        tries, done = message.tries + receives, list[Transaction]()
        for write in message.writes:
            try:
                done += self._write(write, tries, deadline)
            except Exception as error:
                self._again("write", Message(writes=[write], tries=tries), write, error)
        for step in message.steps:
            self._step(step, tries, deadline)
        for after in message.nightly:
            self.rebuilds.nightly(after)
        for order in message.orders:
            result = found.get(id(order))
            if isinstance(result, Exception):
                # Deliveries that ended with the function are no tries of an order that was refused for now.
                own = message.tries if isinstance(result, Waits) else message.tries + 1
                own = own if isinstance(result, Unavailable) else tries
                again = Message(orders=[order], tries=own, replayed=message.replayed)
                if reason := self._again("order", again, order, result):
                    done.append(_transaction(order, Result("failed", reason)))
            elif result is not None:
                done.append(_transaction(order, result))
                _measure(order, result)
                if result.status == "applied":
                    self.providers.note(order.account, order.body["provider"])
        if late := [order for order in message.orders if id(order) not in found]:
            self.queue.send_orders(late, tries=message.tries)
        return done

    def _again(self, what: str, message: Message, entry: QueuedOrder | QueuedWrite, error: Exception) -> str:
        """Queued again alone, so that it holds up nobody; on the last try a dead letter, whose reason is returned."""
        order_id = entry.body["order_id"] if isinstance(entry, QueuedOrder) else entry.order_id
        logger.warning(
            f"{what} failed", exc_info=error, request_id=entry.request_id, account=entry.account, order_id=order_id,
            tries=message.tries,
        )  # fmt: skip
        if isinstance(error, Waits) or message.tries < self.max_tries:
            pause = _BACK_OFF_SECONDS[-1] if isinstance(error, Waits) else _pause(message.tries)
            self.queue.send(message, delay_seconds=pause)
            return ""
        reason = _reason(error)
        self.dead_letters.keep(entry.account, entry.request_id, reason, message._replace(tries=0, replayed=False))
        count("DeadLettered")
        return reason

    # ---------------------------------------------------------- v1 and jobs

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

    def _write(self, write: QueuedWrite, tries: int, deadline: float) -> list[Transaction]:
        """Records a v1 write. The message was sent before the write, which may be still to be made, or never be."""
        marks = self.scopes.read(write.account, (), ["orders_api"])
        if marks.purged("orders_api", write.received):
            return []
        scope = marks.scope("orders_api")
        effects = self.ledger.written(scope, write.order_key, write.request_id, write.received, deadline)
        if effects is not None:
            count("Applied")
            return [
                Transaction(
                    write.account, "orders_api", write.request_id, "applied", write.received, write.action, "",
                    write.order_id, notes=list(write.notes), effects=effects,
                )
            ]  # fmt: skip
        if times.now() < times.shift(write.received, seconds=_WRITER_LIFE_SECONDS):
            self.queue.send(Message(writes=[write], tries=tries), delay_seconds=_WRITER_LIFE_SECONDS)
        return []


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


def _transaction(order: QueuedOrder, result: Result) -> Transaction:
    return Transaction(
        order.account, "shopper_activity", order.request_id, result.status, order.received, order.body["action"],
        order.body["provider"], order.body["order_id"], result.reason, result.original, [*order.notes, *result.flags],
        effects=list(result.effects),
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
    ledger = Ledger(client, env.ledger_table, on_conflict=lambda: count("ConflictsRetried"))
    queue, jobs = Queue(clients.sqs(), env.orders_queue_url), Jobs(client, records)
    dead_letters, transactions = DeadLetters(client, records), Transactions(client, records)
    scopes = Scopes(client, records)
    return Processor(
        ledger, transactions, dead_letters, queue, Rebuilds(ledger, jobs, Accounts(client, records), scopes, queue),
        Purges(ledger, scopes, jobs, queue, dead_letters, transactions, env.settle_seconds), scopes,
        Providers(client, records), env.max_tries,
    )  # fmt: skip
