"""The clients of shops, and the functions that API Gateway, the queues and the stream invoke."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from botocore.exceptions import BotoCoreError, ClientError

from tests.simulation import dialects
from tests.simulation.deployment import (
    BATCH_SIZES,
    BOOK,
    HANDLER_SECONDS,
    JOBS_QUEUE_URL,
    KEEP_BOOK_SECONDS,
    LEDGER,
    PROCESS_SECONDS,
    QUEUE_URL,
    RECORDS,
    SETTINGS,
)
from tests.simulation.histories import Step
from tests.simulation.invariants import Broken
from tests.simulation.network import Network, refuse_misuse
from tests.simulation.queues import SQS
from tests.simulation.scheduler import FOREVER, Killed, Task
from tests.simulation.world import World
from tests.stream import BATCH_SIZE, Record
from tillbook.aws import clients
from tillbook.ledger.commit import Pace, Store
from tillbook.ledger.ledger import Ledger
from tillbook.records.book import Book
from tillbook.records.keys import ApiKey
from tillbook.records.messages import Queue
from tillbook.records.outcomes import Outcomes
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.errors import Problem
from tillbook.web import intake, managing, orders, webhooks
from tillbook.web.answers import Response
from tillbook.web.request import Request
from tillbook.work import book, processing
from tillbook.work.book import Keeper

# These factors multiply the probability of a fault. A page of a job makes about fifty calls, an order three: with as
# many faults per call, no page would complete. A follower is an invocation of KeepBook.
_JOBS_FAULT_FACTOR, _FOLLOWERS_FAULT_FACTOR = 0.1, 0.3
_ROUTES = {
    "activity": "POST /v3/{account_id}/shopper_activity/order",
    "batch": "POST /v3/{account_id}/shopper_activity/order/batch",
    "voided": "POST /connect/{account_id}/{connection}",
    "submitted": "POST /v1/order",
    "edited": "POST /v1/order/{order_id+}",
    "deleted": "DELETE /v1/order/{order_id+}",
    "rebuild": "POST /v1/audience/{audience_id}/rebuild",
    "replay": "POST /v1/deadletters/{deadletter_id}/replay",
    "purge": "DELETE /v1/transactions",
    "erase": "DELETE /v3/{account_id}/people/{id_or_email}",
}


def _void(request: Request) -> Response:
    """Queues an event as the webhooks' handler does after translating a delivery."""
    orders = webhooks.queued(request.account, [json.loads(request.event.body or "")], [], request.received)
    Queue(clients.sqs(), QUEUE_URL).send_orders(orders)
    return Response(202, {"request_id": orders[0].request_id})


_CALLS: dict[str, Callable[[Request], Response]] = {
    "activity": intake.accept,
    "batch": intake.accept,
    "voided": _void,
    "submitted": orders.submit,
    "edited": orders.edit,
    "deleted": orders.delete,
    "rebuild": managing.start,
    "replay": managing.start,
    "purge": managing.start,
    "erase": managing.start,
}


# ------------------------------------------------------- clients and functions


@dataclass
class Attempt:
    """One request of a client, with its answer. `hampered`: one of its calls met a fault.

    `status` is None if there was no answer, or if the client did not get it.
    """

    step: Step
    request_id: str
    received: str
    start: float
    end: float = FOREVER
    status: int | None = None
    body: Any = None
    hampered: bool = False


class Functions:
    """Runs the requests of clients and the batches of queues and stream, each in its own task.

    Attributes:
        attempts: each request of a client, with its answer.
        sent: bodies of all messages that the queues accepted.
    """

    def __init__(self, world: World, network: Network) -> None:
        self.world = world
        self.attempts: list[Attempt] = []
        self.sent: list[str] = []
        self._running = {QUEUE_URL: 0, JOBS_QUEUE_URL: 0}
        self._batches = 0
        self._follower_is_scheduled, self._followers = False, 0
        dynamodb = network.clients["dynamodb"]
        pace = Pace(lambda: world.scheduler.now, world.sleep, lambda: world.current_random().random())
        self.ledger = Ledger(dynamodb, LEDGER, pace)
        self.processor = processing._build(SETTINGS)
        self.processor.clock = lambda: world.scheduler.now
        self.processor.ledger.pace = pace
        self.keeper = Keeper(
            Store(dynamodb, LEDGER, pace), Book(dynamodb, BOOK), Scopes(dynamodb, RECORDS),
            Outcomes(dynamodb, RECORDS), lambda: world.scheduler.now,
        )  # fmt: skip
        world.ledger_changed = self._follow_soon
        for queue in (world.sqs, world.jobs_sqs):
            queue.sent = lambda message, queue=queue: self._sent(queue, message)  # type: ignore[misc]

    def client(self, step: Step) -> None:
        """Sends a request, and repeats it until it is answered without a 5xx or `step.attempts` are used up."""
        task = self.world.scheduler.current
        assert task is not None
        self._choose_dialect(task)
        for attempt in range(step.attempts):
            made = Attempt(step, times.uuid7(), self.world.receipt(), self.world.scheduler.now)
            self.attempts.append(made)
            event = APIGatewayProxyEventV2({
                "routeKey": _ROUTES[step.kind], "body": step.body,
                "pathParameters": dict.fromkeys(
                    ("order_id", "audience_id", "id_or_email", "deadletter_id"), step.target
                ),
                "headers": {} if step.key is None else {"idempotency-key": step.key},
            })  # fmt: skip
            request = Request(
                event, ApiKey("key", step.account, "ingest", "", ""), made.received, made.request_id,
                self.world.scheduler.now + HANDLER_SECONDS - 1,
            )  # fmt: skip
            task.kill_at = self.world.scheduler.now + HANDLER_SECONDS
            task.faults = 0
            try:
                response = _CALLS[step.kind](request)
                made.status, made.body = response.status, response.body
            except Killed:
                pass
            except Problem as problem:
                # The Orders API answers 400 for invalid fields, where Order Activity answers 422 (web/answers.py).
                made.status = 400 if step.kind in ("submitted", "edited") and problem.status == 422 else problem.status
            except Exception as error:
                refuse_misuse(error)
                if not isinstance(error, ClientError | BotoCoreError):
                    raise Broken(f"{step}: {error!r}") from error
                made.status = 500
            task.kill_at = FOREVER
            if self.world.faults_on and task.random.random() < self.world.plan.faults / 2:
                self.world.fired.append(f"{task.name}, attempt {attempt + 1}: the answer was lost")
                made.status = made.body = None
            made.end, made.hampered = self.world.scheduler.now, task.faults > 0
            # If calls may take longer than a second, a request may also run out of time.
            if (
                made.status is not None
                and made.status >= 500
                and not self._explained(made)
                and self.world.plan.spread < 1
            ):
                raise Broken(f"{step}\n was answered {made.status}, although it met no fault")
            if made.status is not None and made.status < 500:
                return
            self.world.scheduler.pause(task.random.random() * 2**attempt)

    def _explained(self, made: Attempt) -> bool:
        """Whether a 5xx is due to a fault, or to a purge or an erasure that covers the time of receipt."""
        marked = (mark for mark in self.world.marks if mark.account == made.step.account)
        return made.hampered or any(made.received <= mark.cut for mark in marked)

    def _choose_dialect(self, task: Task) -> None:
        # A Random of its own: plans with and without other versions draw the same numbers everywhere else.
        random = Random(f"{self.world.plan.seed} {task.name}") if self.world.plan.others else None
        if random is not None and random.random() < self.world.plan.others:
            task.dialect = random.choice((dialects.newer, dialects.older))

    # ---------------------------------------------------------------- queues

    def _sent(self, queue: SQS, message: Any) -> None:
        self.sent.append(message.body)
        self.world.scheduler.at(message.visible_at + 0.001, lambda: self._poll(queue))

    def _poll(self, queue: SQS) -> None:
        """Starts functions with batches of visible messages, as an event source mapping does, while a slot is free."""
        random = self.world.random
        while self._running[queue.url] < self.world.plan.slots:
            visible = queue.visible()
            if not visible:
                return
            size = min(len(visible), random.choice((1, 1, 2, 3, 10)), BATCH_SIZES[queue.url])
            chosen = random.sample(visible, size)
            records = queue.receive(chosen, again=self._delivered_again)
            if self.world.plan.again and self.world.faults_on:  # messages that stayed visible are received again
                self.world.scheduler.at(self.world.scheduler.now + 0.005, lambda: self._poll(queue))
            if not records:
                continue
            self._running[queue.url] += 1
            self._batches += 1
            task = Task(
                f"batch {self._batches}",
                lambda records=records: self._process(queue, records),  # type: ignore[misc]
            )
            task.random = Random(self.world.plan.seed * 1_000_003 + 500_000 + self._batches)
            self.world.scheduler.at(self.world.scheduler.now + 0.002, task)

    def _delivered_again(self) -> bool:
        return self.world.faults_on and self.world.random.random() < self.world.plan.again

    def _process(self, queue: SQS, records: list[dict[str, Any]]) -> None:
        scheduler, task = self.world.scheduler, self.world.scheduler.current
        assert task is not None
        self._choose_dialect(task)
        random, seconds = task.random, PROCESS_SECONDS
        if queue is self.world.jobs_sqs:
            task.fault_factor = _JOBS_FAULT_FACTOR
        if self.world.faults_on and random.random() < self.world.plan.short_lives:
            # The function expects to run for `seconds`. It is killed earlier, by at most its margin.
            margin = processing._MARGIN_SECONDS
            seconds = margin + random.random() * random.choice((0.02, 0.2, 2.0))
            task.kill_at = scheduler.now + seconds - margin * random.random()
        else:
            task.kill_at = scheduler.now + seconds
        try:
            answer = self.processor.run(records, seconds)
        except Killed:
            answer = {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records]}
        except Exception as error:
            raise Broken(f"processing raised {error!r}") from error
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in failed:
                if self.world.faults_on and random.random() < self.world.plan.again / 4:  # the acknowledgement was lost
                    failed.add(record["messageId"])
                else:
                    queue.delete(record)
        if failed:
            scheduler.at(scheduler.now + queue.visibility_seconds + 0.001, lambda: self._poll(queue))
        self._running[queue.url] -= 1
        scheduler.at(scheduler.now, lambda: self._poll(queue))

    # ---------------------------------------------------------------- stream

    def _follow_soon(self) -> None:
        """Schedules an invocation of KeepBook within its batching window, unless one is scheduled already."""
        if not self._follower_is_scheduled and self.world.stream.left():
            self._follower_is_scheduled = True
            wait = self.world.plan.window * self.world.stream.random.random()
            self.world.scheduler.at(self.world.scheduler.now + wait, self._follow)

    def _follow(self) -> None:
        """Invokes KeepBook with some changes. Schedules the next invocation, which may begin before this one ends."""
        self._follower_is_scheduled = False
        random, left = self.world.stream.random, self.world.stream.left()
        if not left:
            return
        batch = left[:BATCH_SIZE]
        if self.world.faults_on and random.random() < 0.5:  # changes in any order, which may have been delivered before
            batch = self.world.stream.batch()
        self._followers += 1
        task = Task(f"follower {self._followers}", lambda: self._keep(batch))
        task.random = Random(self.world.plan.seed * 1_000_003 + 900_000 + self._followers)
        task.fault_factor = _FOLLOWERS_FAULT_FACTOR
        self.world.scheduler.at(self.world.scheduler.now + 0.002, task)
        self._follower_is_scheduled = True
        again = 1 + random.random() * random.choice((0.1, 60.0, self.world.plan.window))
        self.world.scheduler.at(self.world.scheduler.now + again, self._follow)

    def _keep(self, batch: list[Record]) -> None:
        task, seconds = self.world.scheduler.current, KEEP_BOOK_SECONDS
        assert task is not None
        self._choose_dialect(task)
        if self.world.faults_on and task.random.random() < self.world.plan.short_lives:
            seconds = book._LAST_SECONDS + task.random.random()
        task.kill_at = self.world.scheduler.now + seconds
        try:
            self.world.stream.keep(self.keeper, batch, seconds)
        except (ClientError, BotoCoreError, Problem) as error:  # the whole batch will be delivered again
            refuse_misuse(error)
