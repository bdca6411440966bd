"""One round: shops send events over HTTP while ProcessOrders, KeepBook and the v1 handlers are killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from local.stack import ROOT, Stack
from tests.concurrency.books import V1, Answer, audit, check_book, parts, source_of
from tests.concurrency.engine import Engine
from tests.concurrency.run import order_keys, people_keys, snapshot
from tests.concurrency.workload import Account, Change, Event, Workload, people
from tests.end_to_end.privacy import BOOK, table_items
from tests.end_to_end.shop import Shop, segment
from tillbook.aws.items import Item, plain_item, raw
from tillbook.ledger.items import Scope
from tillbook.rules.times import uuid7

# The template's visibility time-out of 360 s would let a round wait six minutes for the messages of a killed function.
# Its limit of five receives is too low, since one message may meet more kills here. The queue's other settings are the
# template's.
VISIBILITY_SECONDS = 8
MAX_RECEIVES = 1000
# The mean time from the first call of a function to AWS until it is killed.
LIFE_SECONDS = 0.5
# The number of events for each kill, which limits the kills: without a limit, a slow machine would finish no batch.
EVENTS_A_KILL = 80
SETTLE_SECONDS = 240  # the most that a round waits for an empty queue
RECORDED_SECONDS = 240  # the most that it then waits for the outcomes of v1 requests
_SENDERS = 3
_ORDERS = 36
_V1_ORDERS = 48  # at least one for each kill of a v1 handler; with _ORDERS they fit one snapshot
_KINDS = ("submitted", "edited", "deleted")
_FUNCTIONS = {"submitted": "submit_order", "edited": "edit_order", "deleted": "delete_order"}


@dataclass
class Round:
    """The result of a round. `faults` is empty if nothing is wrong.

    `kills` counts kills of ProcessOrders and KeepBook, `kills_in_a_batch` those while ProcessOrders worked on a batch.
    """

    seed: int
    account: str = ""
    events: int = 0
    kills: int = 0
    kills_in_a_batch: int = 0
    kills_of_v1: int = 0
    snapshots: int = 0
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ended = ", ".join(f"{status} {n:,}" for status, n in sorted(self.statuses.items()))
        text = (
            f"seed {self.seed}: {self.events:,} events ({ended}), {self.kills} kills ({self.kills_in_a_batch} in a "
            f"batch), {self.kills_of_v1} kills of v1 handlers, {self.snapshots} snapshots, {self.seconds:.0f} s"
        )
        return "\n".join([text, *(f"NOT EXACT: {fault}" for fault in self.faults[:10])])


@contextmanager
def crashing_stack() -> Iterator[Crashes]:
    """A separate stack, because its queue settings and the kills would disturb other tests."""
    with ExitStack() as undo:
        stack = undo.enter_context(Stack(concurrency=3))
        yield undo.enter_context(Crashes(stack))


class Crashes:
    """Runs rounds on a stack and checks the result of each."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._dynamodb, self._sqs = stack.boto3_client("dynamodb"), stack.boto3_client("sqs")
        self._queue, self._dead_letters = stack.outputs["OrdersQueueUrl"], stack.outputs["DeadLettersQueueUrl"]
        self._engine = Engine("the stack", self._dynamodb, stack.outputs["LedgerTableName"])

    def __enter__(self) -> Crashes:
        redrive = json.loads(self._attributes("RedrivePolicy")["RedrivePolicy"])
        self._set(RedrivePolicy=json.dumps(redrive | {"maxReceiveCount": MAX_RECEIVES}))
        self._victim = _Victim(self.stack)
        return self

    def __exit__(self, *_: object) -> None:
        self._victim.close()

    # ------------------------------------------------------------- a round

    def round(self, seed: int, events: int) -> Round:
        """Runs one round on a new account. `faults` of the result is empty if nothing is wrong."""
        found, start = Round(seed, events=events), time.monotonic()
        shop = Shop.open(self.stack)
        found.account = shop.account
        orders = [f"o-{n}" for n in range(_ORDERS)]
        account = Account(shop.account, people(shop.account), orders, [f"v-{n}" for n in range(_V1_ORDERS)])
        self._set(VisibilityTimeout=VISIBILITY_SECONDS)
        batches_before = self._killed_batches()
        sender = _Sender(shop, account, seed, events)
        done = threading.Event()
        killer = threading.Thread(target=self._kill, args=(found, done))
        threads = [killer, threading.Thread(target=self._check_snapshots, args=(found, account, done))]
        answers: list[Answer] = []
        try:
            for thread in threads:
                thread.start()
            sender.start()
            answers = self._v1(found, shop, account, Workload(seed + 1, [account]))
            sender.join()
            self._wait(lambda left: not killer.is_alive() or _is_empty(left), SETTLE_SECONDS)
        except Exception:
            found.faults.append(traceback.format_exc())
        finally:
            done.set()
            for thread in threads:
                thread.join()
        # Without further kills, the functions process the rest.
        self._set(VisibilityTimeout=60)
        if not self._wait(_is_empty, SETTLE_SECONDS):
            found.faults.append(f"the queue does not empty: {self._left()}")
        found.kills_in_a_batch = self._killed_batches() - batches_before
        found.faults += sender.faults
        if not found.faults:
            found.faults += self._check(found, account, sender.sent, answers)
        found.seconds = time.monotonic() - start
        return found

    # ------------------------------------------------------------- the kills

    def _kill(self, found: Round, done: threading.Event) -> None:
        """Kills each process of ProcessOrders and KeepBook at a random time after its first call to AWS.

        Stops when the round has enough kills.
        """
        random = Random(found.seed)
        ends: dict[int, float] = {}
        while not done.wait(0.02) and found.kills < max(8, found.events // EVENTS_A_KILL):
            for pid in filter(_has_called, self._workers()):
                end = ends.setdefault(pid, time.monotonic() + random.expovariate(1 / LIFE_SECONDS))
                if time.monotonic() >= end:
                    ends[pid] = float("inf")
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        found.kills += 1

    def _workers(self) -> Iterator[int]:
        """Process ids of this stack's ProcessOrders and KeepBook functions, which run from its directory."""
        names = [f"ministack-lambda-{self.stack.resources[name]}-" for name in ("ProcessOrders", "KeepBook")]
        begin = tuple(str(self.stack.directory / "tmp" / name) for name in names)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    arguments = (entry / "cmdline").read_text().split("\0")
                    if len(arguments) > 1 and arguments[1].startswith(begin):
                        yield int(entry.name)

    def _killed_batches(self) -> int:
        """The number of kills of ProcessOrders during a batch of a queue, by the log of the embedded AWS."""
        return len(re.findall(r"failed processing SQS batch.*Worker process died", self.stack.aws.log.read_text()))

    def _check_snapshots(self, found: Round, account: Account, done: threading.Event) -> None:
        try:
            while not done.wait(0.2):
                found.faults += snapshot(self._engine, account)
                found.snapshots += 1
        except Exception:
            found.faults.append(traceback.format_exc())

    # -------------------------------------------------------------------- v1

    def _v1(self, found: Round, shop: Shop, account: Account, workload: Workload) -> list[Answer]:
        """Kills each handler before and after each of its calls to AWS, and repeats the request after each kill."""
        answers: list[Answer] = []
        unused = iter(account.v1_orders)
        for kind in _KINDS:
            number, alive = 0, False
            while not alive:
                for moment in ("before", "after"):
                    order_id = next(unused)
                    if kind != "submitted":
                        answers.append(self._call(shop, workload.change(account, order_id, "submitted"), None)[0])
                    change = workload.change(account, order_id, kind)
                    first, alive = self._call(shop, change, [number, moment])
                    answers.append(first)
                    if alive:
                        break  # the handler makes fewer calls
                    found.kills_of_v1 += 1
                    found.faults += snapshot(self._engine, account)
                    again = replace(change, request_id=uuid7())
                    second, _ = self._call(shop, again, None, made=first.changed)
                    answers.append(second)
                    expected = {"submitted": 201, "edited": 200, "deleted": 404 if first.changed else 200}[kind]
                    if second.status != expected:
                        found.faults.append(f"{again} was answered {second.status}, not {expected}")
                number += 1
        return answers

    def _call(self, shop: Shop, change: Change, die: list[Any] | None, *, made: bool = False) -> tuple[Answer, bool]:
        """The answer, and whether the handler survived. `made`: an earlier, killed request made this change.

        The transaction is the last call of a handler that changes an order. So a kill after it leaves the order
        changed, and an earlier kill leaves it unchanged.
        """
        change = replace(change, request_id=uuid7())
        report = self._victim.call(_FUNCTIONS[change.kind], _event(shop, change), change.request_id, die)
        if report["killed"]:
            last, moment = report["calls"][-1], (die or [0, ""])[1]
            return Answer(change, 0, last == "TransactWriteItems" and moment == "after"), False
        answer = report["answer"]
        status, body = answer["statusCode"], json.loads(answer["body"])
        changed = status < 300 and not made
        return Answer(change, status, changed, Decimal(body["total"]) if changed else None), True

    # ------------------------------------------------------------- the check

    def _check(
        self, found: Round, account: Account, sent: list[tuple[str, int, Event]], answers: list[Answer]
    ) -> list[str]:
        """Compares outcomes, ledger, book and answers of people with the requests. `sent`: as in _Sender."""
        faults: list[str] = []
        statuses = self._records(account.id, "s")
        events: list[tuple[Event, str]] = []
        for request_id, position, event in sent:
            ended = statuses.pop(request_id, {})
            if len(ended) != 1:
                faults.append(f"request {request_id} ended as {sorted(ended) or 'nothing'}")
                continue
            status, received = next(iter(ended.items()))
            found.statuses[status] += 1
            events.append((replace(event, request_id=request_id, received=received, position=position), status))
        faults += [f"request {request_id} has an outcome, but was in no answer" for request_id in statuses]
        items = list(self._items(account))
        faults += audit(items, events, answers)
        written = {item["request"] for item in parts(items)["events"] if source_of(item) == V1}
        # KeepBook, which is killed as well, records v1 outcomes.
        end = time.monotonic() + RECORDED_SECONDS
        while (applied := self._applied(account.id)) != written and time.monotonic() < end:
            time.sleep(0.5)
        if written != applied:
            faults.append(f"v1 writes without outcome {written - applied}, outcomes without write {applied - written}")
        letters = list(self._query(self.stack.outputs["RecordsTableName"], f"{account.id}/d"))
        faults += [f"there is a dead letter: {letter['reason']}" for letter in letters]
        own = f"{account.id}/"
        heads = parts(items)["heads"]
        faults += check_book(lambda: (i for i in table_items(self.stack, BOOK) if i["pk"].startswith(own)), heads)
        left = self._left(self._dead_letters)
        if any(left.values()):
            faults.append(f"messages in the dead-letter queue: {left}")
        return faults + self._check_people(account, items)

    def _check_people(self, account: Account, items: list[Item]) -> list[str]:
        """Compares the people that the API shows with the ledger, which `audit` has checked."""
        faults = []
        must: dict[str, Counter[str]] = {}
        for item in parts(items)["people"]:
            own = must.setdefault(item["value"], Counter())
            for name in [name for name in item if name.startswith("#") and item[name]]:
                # `*`: no event names a currency, so it is that of the account.
                own["USD" if name == "#*" else name[1:]] += item.get(name[1:], Decimal(0))
        shop = Shop(self.stack, account.id, f"ingest-{account.id}", f"admin-{account.id}")
        for named in account.people:
            shown = shop.person(next(iter(named.values())))
            own = must[shown["email_sha256"] or shown["person_id"]]
            have = {currency: Decimal(text) for currency, text in shown["lifetime_value"].items()}
            if have != dict(own):
                faults.append(f"{named} is shown with {have}, but the ledger has {dict(own)}")
        return faults

    # ----------------------------------------------------------------- reading

    def _items(self, account: Account) -> Iterator[Item]:
        """All items of an account in the ledger."""
        ledger = self._engine.table
        partitions: set[str] = set()
        for source, key in order_keys(account):
            scope = Scope(account.id, source)
            partitions |= {scope.head_key(key)["pk"], scope.event_key(key, "")["pk"]}
        for pk in sorted(partitions):
            yield from self._query(ledger, pk)
        for pk, sk in people_keys(account):
            answer = self._dynamodb.get_item(TableName=ledger, Key=raw({"pk": pk, "sk": sk}), ConsistentRead=True)
            if "Item" in answer:
                yield plain_item(answer["Item"])

    def _applied(self, account: str) -> set[str]:
        """Ids of the v1 requests with the outcome `applied`."""
        return {request_id for request_id, ended in self._records(account, "o").items() if "applied" in ended}

    def _records(self, account: str, letter: str) -> dict[str, dict[str, str]]:
        """Outcomes by request id: the time of receipt by status. `letter`: of the source, o (v1) or s (v3)."""
        found: dict[str, dict[str, str]] = {}
        for status in ("applied", "duplicate", "failed"):
            for shard in range(4):
                for item in self._query(
                    self.stack.outputs["RecordsTableName"], f"{account}/t/{status}/{letter}{shard}"
                ):
                    found.setdefault(item["sk"], {})[status] = item["received"]
        return found

    def _query(self, name: str, pk: str) -> Iterator[Item]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=name, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}},
            ConsistentRead=True,
        )  # fmt: skip
        for page in pages:
            yield from map(plain_item, page["Items"])

    # --------------------------------------------------------------- the queue

    def _wait(self, enough: Any, seconds: float) -> bool:
        """Waits until `enough` is true of the queue's messages (see _left). Returns whether it became true in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if enough(self._left()):
                return True
            time.sleep(0.2)
        return False

    def _left(self, queue: str = "") -> dict[str, int]:
        """The number of messages in a queue by state; that of the orders by default."""
        names = {"visible": "", "in flight": "NotVisible", "delayed": "Delayed"}
        found = self._attributes(*(f"ApproximateNumberOfMessages{end}" for end in names.values()), queue=queue)
        return {name: int(found[f"ApproximateNumberOfMessages{end}"]) for name, end in names.items()}

    def _attributes(self, *names: str, queue: str = "") -> dict[str, str]:
        answer = self._sqs.get_queue_attributes(QueueUrl=queue or self._queue, AttributeNames=list(names))
        attributes: dict[str, str] = answer["Attributes"]
        return attributes

    def _set(self, **attributes: Any) -> None:
        texts = {name: str(value) for name, value in attributes.items()}
        self._sqs.set_queue_attributes(QueueUrl=self._queue, Attributes=texts)


def _is_empty(messages: dict[str, int]) -> bool:
    return messages["visible"] + messages["in flight"] == 0


def _has_called(pid: int) -> bool:
    """Whether the process has opened a connection. A kill during imports would test nothing and prevent all work."""
    with suppress(OSError):
        return any(str(entry.readlink()).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir())
    return False


# ---------------------------------------------------------------------- clients


class _Sender:
    """Sends events in batches and one by one, some two or three times.

    `sent`: (request id, position in the batch, event) of each accepted event.
    """

    def __init__(self, shop: Shop, account: Account, seed: int, events: int) -> None:
        self.sent: list[tuple[str, int, Event]] = []
        self.faults: list[str] = []
        self._shop, self._lock = shop, threading.Lock()
        self._requests = _requests(account, seed, events)
        self._threads = [threading.Thread(target=self._send) for _ in range(_SENDERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _next(self) -> list[Event] | None:
        with self._lock:
            return next(self._requests, None)

    def _send(self) -> None:
        try:
            while (events := self._next()) is not None:
                first = events[0]
                if len(events) == 1:
                    headers = {"idempotency-key": first.key} if first.key else {}
                    reply = self._shop.order(first.payload, headers=headers)
                else:
                    reply = self._shop.batch([event.payload for event in events])
                if reply.status != 202:
                    self.faults.append(f"answered {reply.status} {reply.text}")
                    return
                ids = reply.json["request_ids"] if len(events) > 1 else [reply.json["request_id"]]
                accepted = enumerate(zip(ids, events, strict=True))
                self.sent += [(request_id, position, event) for position, (request_id, event) in accepted]
        except Exception:
            self.faults.append(traceback.format_exc())


def _requests(account: Account, seed: int, count: int) -> Iterator[list[Event]]:
    """Batches and single events; some are repeated once or twice, at once or later."""
    random, workload = Random(seed), Workload(seed, [account])
    later: list[list[Event]] = []
    while count > 0:
        if later and random.random() < 0.2:
            request = later.pop(random.randrange(len(later)))
        else:
            again = random.random() < 0.3
            size = 1 if random.random() < 0.7 else random.randint(2, 25)
            request = [workload.event(account, alone=not again) for _ in range(size)]
            if size > 1:  # the shop sends batches without an idempotency key, so events with one are left out
                request = [event for event in request if event.key is None] or request[:1]
            if again:
                later.append(request)
                if random.random() < 0.5:
                    later.append(request)
        request = request[:count]
        count -= len(request)
        yield request


def _event(shop: Shop, change: Change) -> dict[str, Any]:
    """The event with which the HTTP API invokes the function."""
    path, key = "/v1/order", "POST /v1/order"
    if change.kind != "submitted":
        path = f"/v1/order/{segment(change.order_id)}"
        key = f"{'POST' if change.kind == 'edited' else 'DELETE'} /v1/order/{{order_id+}}"
    return {
        "version": "2.0", "routeKey": key, "rawPath": path, "rawQueryString": "",
        "headers": {"authorization": f"Bearer {shop.ingest_key}", "content-type": "application/json"},
        "requestContext": {"http": {"method": key.split()[0], "path": path}},
        "pathParameters": {"order_id": change.order_id}, "isBase64Encoded": False,
        "body": json.dumps(change.payload) if change.payload else None,
    }  # fmt: skip


class _Victim:
    """The process of victim.py, with the environment that the template gives its functions."""

    def __init__(self, stack: Stack) -> None:
        function = stack.boto3_client("lambda").get_function_configuration(FunctionName=stack.resources["SubmitOrder"])
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        environment |= function["Environment"]["Variables"] | {
            "AWS_ENDPOINT_URL": stack.endpoint_url, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'layers' / 'shared'}",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.victim"], env=environment, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def call(self, function: str, event: dict[str, Any], request_id: str, die: list[Any] | None) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        job = {"function": function, "event": event, "request_id": request_id, "die": die}
        print(json.dumps(job), file=stdin, flush=True)
        report: dict[str, Any] = json.loads(stdout.readline())
        return report

    def close(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
