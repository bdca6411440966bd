"""Workers write to the ledger while a reader checks snapshots; then the ledger is compared with the requests."""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from tests.concurrency.books import Answer, audit, check_people, parts
from tests.concurrency.engine import Engine
from tests.concurrency.faults import Faulty
from tests.concurrency.workload import PROVIDER, Account, Change, Event, Operation, Workload, accounts
from tillbook.aws.items import Item, Raw, plain_item, raw
from tillbook.contract import orders_api
from tillbook.contract.document import digest
from tillbook.ledger.activities import Result as EventResult
from tillbook.ledger.items import Scope
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import V1Order, V1Request
from tillbook.rules.errors import Conflict, NotFound, Unavailable
from tillbook.rules.identity import SOURCES, Person, Source, email_sha256, order_key
from tillbook.rules.times import uuid7

_DEADLINE_SECONDS = 20.0
_GATE_SECONDS = 120.0  # the most that a worker waits for the others of a simultaneous operation
_BATCH = 10
# Deliveries of an event before a worker gives it up. Many may be needed: if a copy was received before the one that was
# applied, the ledger reads all events of the order, and starts again after each write of another worker to the order.
_DELIVERIES = 50


@dataclass
class Result:
    """The result of a run. `faults` is empty if every amount was exact and no worker failed.

    `calls`: the workers' calls to the engine. `injected`: numbers of injected faults by kind. `statuses`: numbers of
    results of events and v1 calls; "as before": a v1 call that changed nothing; "delivered again": a delivery that was
    repeated; "applied together": a result of a call with several events, also counted under its own status.
    """

    seed: int
    engine: str
    operations: int = 0
    seconds: float = 0.0
    snapshots: int = 0
    calls: int = 0
    orders: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        rate = self.operations / self.seconds if self.seconds else 0
        lines = [
            f"{self.operations:,} operations in {self.seconds:.1f} s ({rate:.0f}/s) on {self.engine}, seed {self.seed}",
            f"{self.calls:,} calls to the engine, {self.snapshots:,} snapshots, {self.orders} orders in the end",
            "ended as: " + ", ".join(f"{status} {n:,}" for status, n in sorted(self.statuses.items())),
            "injected: " + ", ".join(f"{kind} {n:,}" for kind, n in sorted(self.injected.items())),
        ]
        if self.faults:
            lines += [f"NOT EXACT, {len(self.faults)} faults (seed {self.seed}):", *self.faults[:20]]
        else:
            lines.append("exact, in every snapshot and in the end")
        return "\n".join(lines)


def run(
    engine: Engine, *, operations: int, workers: int, seed: int, fault_rate: float = 0.05,
    progress: Callable[[int, int], None] = lambda _done, _snapshots: None,
) -> Result:  # fmt: skip
    """Runs the operations. `fault_rate`: the probability that a call to the engine meets an injected fault."""
    shared = _Workers(engine, operations, workers, seed, fault_rate)
    threads = [threading.Thread(target=shared.work, args=(number,)) for number in range(workers)]
    reader = threading.Thread(target=shared.read)
    start = time.monotonic()
    for thread in [*threads, reader]:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)
            progress(shared.done, shared.result.snapshots)
    shared.result.seconds = time.monotonic() - start
    shared.stop.set()
    reader.join()
    shared.close()
    return shared.result


class _Workers:
    """The workers, which share the operations and the result, and the reader of snapshots."""

    def __init__(self, engine: Engine, operations: int, workers: int, seed: int, fault_rate: float) -> None:
        self.result = Result(seed, engine.name, operations)
        self.stop = threading.Event()
        self._engine, self._fault_rate = engine, fault_rate
        self._accounts = accounts()
        self._operations = Workload(seed, self._accounts).operations(operations, workers)
        self._lock = threading.Lock()
        self._events: list[tuple[Event, str]] = []
        self._answers: list[Answer] = []
        self._counts: list[Counter[str]] = []

    @property
    def done(self) -> int:
        return len(self._events) + len(self._answers)

    # -------------------------------------------------------------- workers

    def work(self, number: int) -> None:
        counts: Counter[str] = Counter()
        self._counts.append(counts)
        random = Random(f"{self.result.seed}/{number}")
        client = Faulty(self._engine.client, random, self._fault_rate, counts)
        ledger = Ledger(client, self._engine.table)
        try:
            while operations := self._next(random):
                *batch, operation = operations
                self._batch(ledger, [one.what for one in batch if isinstance(one.what, Event)])
                if operation.gate is not None:
                    operation.gate.wait(_GATE_SECONDS)
                if isinstance(operation.what, Event):
                    self._events.append((operation.what, self._deliver(ledger, operation.what)))
                else:
                    self._answers.append(self._change(ledger, operation.what))
        except threading.BrokenBarrierError:
            self._fail("other workers of simultaneous operations did not arrive")
        except Exception:
            self._fail(traceback.format_exc())

    def _next(self, random: Random) -> list[Operation]:
        """The next operation, or the events of a batch and the operation after them. Empty at the end."""
        found: list[Operation] = []
        size = random.randint(2, _BATCH + 1) if random.random() < 0.3 else 1
        with self._lock:
            while len(found) < size and not self.stop.is_set() and (one := next(self._operations, None)):
                found.append(one)
                if one.gate is not None or not isinstance(one.what, Event):
                    break
        return found

    def _fail(self, fault: str) -> None:
        self.result.faults.append(fault)
        self.stop.set()

    def _batch(self, ledger: Ledger, events: list[Event]) -> None:
        """Applies the events of each account in one call, as ProcessOrders does; then those that failed, one by one."""
        for account in dict.fromkeys(event.account for event in events):
            mine = [event for event in events if event.account == account]
            for event, result in zip(mine, _apply(ledger, mine), strict=True):
                if isinstance(result, Unavailable):
                    status = self._deliver(ledger, event)
                elif isinstance(result, Exception):
                    raise result
                else:
                    self.result.statuses["applied together"] += len(mine) > 1
                    status = result.status
                self._events.append((event, status))

    def _deliver(self, ledger: Ledger, event: Event) -> str:
        for _ in range(_DELIVERIES):
            (result,) = _apply(ledger, [event])
            if not isinstance(result, Exception):
                return result.status
            if not isinstance(result, Unavailable):
                raise result
            self.result.statuses["delivered again"] += 1
        return "given up"

    def _change(self, ledger: Ledger, change: Change) -> Answer:
        try:
            order = _call(ledger, change, time.monotonic() + _DEADLINE_SECONDS)
        except NotFound:
            return Answer(change, 404)
        except Conflict:
            return Answer(change, 409)
        except Unavailable:
            return Answer(change, 503)
        status = 201 if change.kind == "submitted" else 200
        total = Decimal(order.body.get("total") or 0)
        return Answer(change, status, order.changed, total if order.changed else None)

    # ------------------------------------------------------------ the reader

    def read(self) -> None:
        """Checks snapshots of random accounts until the workers have ended."""
        random = Random(self.result.seed)
        try:
            while not self.stop.wait(0.02):
                account = self._accounts[0] if random.random() < 0.6 else random.choice(self._accounts)
                faults = snapshot(self._engine, account)
                self.result.snapshots += 1
                if faults:
                    self._fail(f"snapshot {self.result.snapshots} of {account.id}: " + "; ".join(faults))
        except Exception:
            self._fail(traceback.format_exc())

    # --------------------------------------------------------------- the end

    def close(self) -> None:
        result = self.result
        result.operations = self.done
        result.statuses.update(status for _, status in self._events)
        result.statuses.update(f"{a.change.kind} {a.status}{'' if a.changed else ' as before'}" for a in self._answers)
        for counts in self._counts:
            result.injected.update(counts)
        result.calls = result.injected.pop("calls", 0)
        if result.faults:
            return
        items = list(_scan(self._engine))
        result.orders = sum("contribution" in head for head in parts(items)["heads"])
        all_answered = not any(answer.status == 503 for answer in self._answers)
        result.faults += audit(items, self._events, self._answers, all_answered=all_answered)


def _apply(ledger: Ledger, events: list[Event]) -> list[EventResult | Exception]:
    scope = Scope(events[0].account, "shopper_activity")
    return ledger.apply(scope, [event.activity() for event in events], time.monotonic() + _DEADLINE_SECONDS)


def _call(ledger: Ledger, change: Change, deadline: float) -> V1Order:
    """Makes a v1 call as the handlers do. There are no erasures."""
    request = V1Request(Scope(change.account, "orders_api"), change.request_id, change.received, lambda _people: {})
    if change.kind == "submitted":
        document, _ = orders_api.document(change.payload)
        return ledger.submit(request, document, new_id=uuid7(), digest=digest(document.body), deadline=deadline)
    if change.kind == "edited":
        return ledger.edit(request, change.order_id, lambda body: orders_api.edited(body, change.payload)[0], deadline)
    return ledger.delete(request, change.order_id, deadline)


# ------------------------------------------------------------------- reading

Key = tuple[str, str]


def _key(key: Item) -> Key:
    return key["pk"], key["sk"]


def people_keys(account: Account) -> list[Key]:
    """Keys of each person in the scopes of both sources."""
    persons = [
        Person("email", email_sha256(named["email"])) if "email" in named else Person("person", named["person_id"])
        for named in account.people
    ]
    scopes = [Scope(account.id, source) for source in SOURCES]
    return [_key(scope.person_key(person.id_in(account.id))) for scope in scopes for person in persons]


def order_keys(account: Account) -> Iterator[tuple[Source, str]]:
    """Source and order key of every order that the account can have."""
    for order_id in account.orders:
        yield "shopper_activity", order_key("shopper_activity", PROVIDER, order_id)
    for order_id in account.v1_orders:
        yield "orders_api", order_key("orders_api", "", order_id)


def snapshot(engine: Engine, account: Account) -> list[str]:
    """Reads an account in one transaction. Describes sums that do not agree with the orders."""
    people, heads = people_keys(account), _heads(account)
    found = _get(engine, [*people, *heads])
    read_people, read_heads = ([item for key in keys if (item := found.get(key))] for keys in (people, heads))
    return check_people(read_people, read_heads)


def _heads(account: Account) -> list[Key]:
    return [_key(Scope(account.id, source).head_key(key)) for source, key in order_keys(account)]


def _get(engine: Engine, keys: list[Key]) -> dict[Key, Item]:
    """Reads all keys in one transaction; items that do not exist are left out."""
    gets: list[Any] = [{"Get": {"TableName": engine.table, "Key": raw({"pk": pk, "sk": sk})}} for pk, sk in keys]
    while True:
        try:
            answer = engine.client.transact_get_items(TransactItems=gets)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            continue  # the read conflicted with a write
        items: list[Raw] = [response.get("Item") for response in answer["Responses"]]
        return {key: plain_item(item) for key, item in zip(keys, items, strict=True) if item}


def _scan(engine: Engine) -> Iterator[Item]:
    for page in engine.client.get_paginator("scan").paginate(TableName=engine.table, ConsistentRead=True):
        yield from map(plain_item, page["Items"])
