"""Runs histories: the real handlers' code, ledger and processing, over the store, with faults at every call.

One history: clients send what `histories.py` made, each in a worker of its own; the queue's messages go to processing
workers, reordered, repeated and cut into batches by chance. Each call to DynamoDB or SQS takes some virtual time,
and so the workers interleave at every call; and at each call a fault may strike. When all is sent, the faults end, the
queue drains, dead letters are sent again, and what stands in the store is compared with the auditor's books. After each
write, LTV and counts of all people it touched are compared with the sums over their orders.
"""

from __future__ import annotations

import json
import pkgutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from importlib import import_module
from random import Random
from types import SimpleNamespace
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from tests.handlers import template
from tests.simulation import dialects, reader
from tests.simulation.auditor import NAMES as NAMES_OF_ACTIVITIES
from tests.simulation.auditor import (
    V1,
    V3,
    Activity,
    Books,
    Call,
    Event,
    Mark,
    Order,
    Person,
    Purge,
    Seen,
    Version,
    audit,
)
from tests.simulation.expressions import Item, Unknown
from tests.simulation.histories import ADDRESSES, CUSTOMER_IDS, History, Step, history
from tests.simulation.scheduler import FOREVER, Killed, Scheduler, Task
from tests.simulation.store import SQS, DynamoDB, Key, Table, cancelled, client_error
from tillbook.aws import clients, telemetry
from tillbook.aws.items import plain_item, raw
from tillbook.aws.settings import Settings
from tillbook.contract.document import customer_match_key
from tillbook.ledger import activities, upkeep
from tillbook.ledger.commit import Pace
from tillbook.ledger.items import record_of
from tillbook.ledger.ledger import Ledger
from tillbook.records import messages
from tillbook.records.deadletters import DeadLetters
from tillbook.records.keys import ApiKey
from tillbook.records.messages import Queue, decode
from tillbook.records.scopes import Scopes
from tillbook.records.transactions import STATUSES
from tillbook.rules import times
from tillbook.rules.addresses import match_key
from tillbook.rules.errors import Problem
from tillbook.rules.order import OrderState
from tillbook.rules.packing import unpack
from tillbook.views import match
from tillbook.views.people import _candidates
from tillbook.web import intake, managing, orders, reading
from tillbook.web.answers import Response
from tillbook.web.request import Request
from tillbook.work import processing, purge, rebuild

LEDGER, RECORDS, QUEUE_URL = "ledger", "records", "queue"
LEDGER_INDEXES = {
    index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"])
    for index in template.resources("AWS::DynamoDB::Table")["LedgerTable"]["GlobalSecondaryIndexes"]
}
_GLOBALS = template.load()["Globals"]["Function"]
_QUEUE = template.resources("AWS::SQS::Queue")["OrdersQueue"]
SETTINGS = Settings(
    ledger_table=LEDGER, records_table=RECORDS, orders_queue_url=QUEUE_URL,
    queue_retention_seconds=int(_GLOBALS["Environment"]["Variables"]["QUEUE_RETENTION_SECONDS"]),
    max_tries=int(_GLOBALS["Environment"]["Variables"]["MAX_TRIES"]),
    settle_seconds=template.load()["Parameters"]["SettleSeconds"]["Default"],
)  # fmt: skip
_HANDLER_SECONDS = float(_GLOBALS["Timeout"])
_PROCESS_SECONDS = float(template.functions()["ProcessOrders"]["Timeout"])
_MODULES = [
    import_module(info.name)
    for info in pkgutil.walk_packages(import_module("tillbook").__path__, "tillbook.")
    if not info.ispkg
]
_EPOCH = 1_767_225_600  # 2026-01-01T00:00:00Z
# No history needs as much; one that does never ends.
_MAX_CALLS = 80_000
# A page of a job makes fifty calls where an order takes three: with as many faults a call, none would come to its end.
_JOBS_LUCK = 0.1

_ROUTES = {
    "activity": "POST /v3/{account_id}/shopper_activity/order",
    "batch": "POST /v3/{account_id}/shopper_activity/order/batch",
    "submitted": "POST /v1/order",
    "edited": "POST /v1/order/{order_id+}",
    "deleted": "DELETE /v1/order/{order_id+}",
    "rebuild": "POST /v1/audience/{audience_id}/rebuild",
    "replay": "POST /v1/deadletters/{deadletter_id}/replay",
    "purge": "DELETE /v1/transactions",
    "erase": "DELETE /v3/{account_id}/people/{id_or_email}",
}
_JOBS = ("rebuild", "purge", "erase")
_CALLS: dict[str, Callable[[Request], Response]] = {
    "activity": intake.accept,
    "batch": intake.accept,
    "submitted": orders.submit,
    "edited": orders.edit,
    "deleted": orders.delete,
    "rebuild": managing.start,
    "replay": managing.start,
    "purge": managing.start,
    "erase": managing.start,
}

# Which faults a call may meet; the likelier stand more than once.
_READ = ("killed", "timeout", "throttled", "server", "slow")
_WRITE = (*_READ, "killed after", "lost", "lost")
_SEND = ("killed", "killed after", "lost", "timeout", "late", "throttled", "twice", "slow")
_FAULTS: dict[str, tuple[str, ...]] = {
    "transact_write_items": (*_WRITE, "killed after", "lost", "late", "conflict", "conflict", "in progress"),
    "get_item": _READ,
    "batch_get_item": _READ,
    "query": (*_READ, "cut", "cut", "cut"),
    "put_item": (*_WRITE, "late"),
    "update_item": (*_WRITE, "late"),
    "delete_item": _WRITE,
    "batch_write_item": (*_WRITE, "late", "part", "stuck"),
    "send_message": _SEND,
    "send_message_batch": (*_SEND, "part", "stuck"),
}


class Broken(BaseException):
    """An invariant does not hold: not an Exception, so that no code under test can catch it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """`faults`: what went wrong. `fired`: the faults that struck; `without`: those that were left out."""

    plan: History
    faults: list[str]
    fired: list[str]
    without: frozenset[str]

    def __str__(self) -> str:
        steps = sorted(self.plan.steps, key=lambda step: step.at)
        lines = [f"seed {self.plan.seed}:", *(f"  {line}" for fault in self.faults for line in fault.splitlines())]
        lines += [f"in {len(steps)} steps:", *(f"  {step}" for step in steps)]
        return "\n".join([*lines, f"with {len(self.fired)} faults:", *(f"  {place}" for place in self.fired)])


# ------------------------------------------------------------------- the seams


class _OneByOne:
    """Instead of a pool of threads, which the scheduler would not know."""

    def __init__(self, _: int) -> None:
        self.map = map

    def __enter__(self) -> _OneByOne:
        return self

    def __exit__(self, *_: object) -> None: ...


class Seams:
    """Time, chance, clients and logs of the package, held by the simulation that runs; put back in the end."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self._kept: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Seams:
        clock = SimpleNamespace(
            time=lambda: self._now().wall, time_ns=lambda: int(self._now().wall * 1e9),
            monotonic=lambda: self._now().scheduler.now, sleep=lambda seconds: self._now().sleep(seconds),
            gmtime=lambda seconds: time.gmtime(seconds), strftime=time.strftime,
        )  # fmt: skip
        chance = SimpleNamespace(urandom=lambda count: self._now().bytes(count))
        for module in _MODULES:
            self._set(module, **{name: clock for name in ("time",) if getattr(module, name, None) is time})
        self._set(times, os=chance)
        self._set(telemetry, metrics=SimpleNamespace(add_metric=lambda **_: None))
        telemetry.logger.setLevel("CRITICAL")
        self._set(clients, dynamodb=lambda: self._now().clients["dynamodb"], sqs=lambda: self._now().clients["sqs"])
        # What is built once and kept is built anew: each history has clients of its own.
        for module in _MODULES:
            kept = {name: value for name, value in vars(module).items() if hasattr(value, "cache_info")}
            own = {name: value for name, value in kept.items() if value.__module__ == module.__name__}
            self._set(module, **{name: value.__wrapped__ for name, value in own.items() if name[0] == "_"})
            self._set(module, **{name: lambda: SETTINGS for name in kept if name == "settings"})
        self._set(match, ThreadPoolExecutor=_OneByOne)
        self._set(orders, _ledger=lambda: self._now().ledger)
        self._set(managing, processor=lambda: self._now().processor)
        self._set(purge, _PAGE_EVENTS=purge._PAGE_EVENTS)
        self._set(rebuild, PAGE_ORDERS=rebuild.PAGE_ORDERS)
        self._set(activities, MAX_TOGETHER=activities.MAX_TOGETHER)
        self._set(processing, MAX_TOGETHER=processing.MAX_TOGETHER)
        self._set(upkeep, MOST_EVENTS=upkeep.MOST_EVENTS)
        self._set(messages, MAX_ORDERS=messages.MAX_ORDERS, _COMPRESS_FROM=messages._COMPRESS_FROM)
        return self

    def __exit__(self, *_: object) -> None:
        for module, name, value in reversed(self._kept):
            setattr(module, name, value)
        self._kept.clear()
        telemetry.logger.setLevel("INFO")

    def _set(self, module: Any, **values: Any) -> None:
        for name, value in values.items():
            self._kept.append((module, name, getattr(module, name)))
            setattr(module, name, value)

    def _now(self) -> Run:
        assert self.run is not None
        return self.run


class _Client:
    """A botocore client whose every call goes through the simulation."""

    def __init__(self, run: Run, target: Any, operations: Iterable[str]) -> None:
        for operation in operations:
            call = getattr(target, operation)
            setattr(self, operation, _through(run, operation, call))


def _through(run: Run, operation: str, call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **arguments: run.call(operation, call, arguments)


def _shown(value: Any) -> str:
    """Typed values as plain ones, bodies left out."""
    if isinstance(value, dict):
        if len(value) == 1:
            ((kind, content),) = value.items()
            if kind in ("S", "N", "BOOL"):
                return str(content)
            if kind == "B":
                return "..."
        shown = ((k, _shown(v)) for k, v in value.items() if k not in ("TableName", "QueueUrl", "ResponseMetadata"))
        return "{" + ", ".join(f"{k}: {v}" for k, v in shown) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value)


# ------------------------------------------------------------------- invariants


class Invariants:
    """Sums over heads, kept up with each write, against what is stored beside them; of the current scopes."""

    def __init__(self) -> None:
        self.current: dict[tuple[str, str], int] = {}  # by account and source's letter
        self.sums: dict[Key, Decimal] = {}  # by scope and person (or "audience"), and attribute
        self.stored: dict[Key, Decimal] = {}
        self.events: dict[Key, int] = {}  # by scope and order key
        self.heads: dict[Key, int] = {}
        self.touched: set[Key] = set()
        self.touched_orders: set[Key] = set()

    def watch(self, name: str, key: Key, old: Item | None, new: Item | None) -> None:
        if name != LEDGER:
            return
        account, scope, kind, *_ = key[0].split("/")
        name, sk = f"{account}/{scope}", key[1]
        if kind == "h":
            for item, sign in ((old, -1), (new, 1)):
                if item is not None and "contribution" in item:
                    self._add_head(name, item, sign)
            if scope[0] == "s":
                self.heads[name, sk] = int(new["events"]["N"]) if new and "events" in new else 0
                self.touched_orders.add((name, sk))
        elif kind == "p":
            for attribute, value in (new or {}).items():
                if attribute[-1:] == "*" or attribute[-3:].isupper():
                    self.stored[f"{name}/{sk}", attribute] = Decimal(value["N"])
                    self.touched.add((f"{name}/{sk}", attribute))
        elif kind == "e" and scope[0] == "s":
            order = name, sk.partition("!")[0]
            lives = (new is not None and "stamp" in new) - (old is not None and "stamp" in old)
            self.events[order] = self.events.get(order, 0) + lives
            self.touched_orders.add(order)
        elif kind == "n":
            for item, sign in ((old, -1), (new, 1)):
                for attribute in ("records", "orders"):
                    if item is not None and attribute in item:
                        self._add(self.stored, (f"{name}/audience", attribute), sign * Decimal(item[attribute]["N"]))

    def _add_head(self, scope: str, head: Item, sign: int) -> None:
        if "person" in head:
            person = f"{scope}/{head['person']['S']}"
            currency = head["currency"]["S"] if "currency" in head else "*"
            self._add(self.sums, (person, currency), sign * Decimal(head["contribution"]["N"]))
            self._add(self.sums, (person, f"#{currency}"), Decimal(sign))
        self._add(self.sums, (f"{scope}/audience", "records"), sign * Decimal(head["records"]["N"]))
        self._add(self.sums, (f"{scope}/audience", "orders"), Decimal(sign))

    def _add(self, sums: dict[Key, Decimal], at: Key, delta: Decimal) -> None:
        sums[at] = sums.get(at, Decimal(0)) + delta
        self.touched.add(at)

    def _is_current(self, at: Key) -> bool:
        """Not so a scope that is being swept."""
        account, scope, *_ = at[0].split("/")
        return int(scope[1:]) >= self.current.get((account, scope[0]), 0)

    def committed(self) -> None:
        for at in filter(self._is_current, self.touched):
            if self.sums.get(at, 0) != self.stored.get(at, 0):
                raise Broken(f"{at} is stored as {self.stored.get(at)}, and its orders sum to {self.sums.get(at)}")
        for order in filter(self._is_current, self.touched_orders):
            if self.heads.get(order) != self.events.get(order, 0):
                raise Broken(f"{order} counts {self.heads.get(order)} events, and has {self.events.get(order)}")
        self.touched.clear()
        self.touched_orders.clear()


# ------------------------------------------------------------------------- run


@dataclass
class _Attempt:
    step: Step
    request_id: str
    received: str
    start: float
    end: float = FOREVER
    status: int | None = None
    body: Any = None
    hampered: bool = False


class Run:
    """One history. `without`: faults (by place) that are left out, for the search of a shorter failure."""

    def __init__(self, seams: Seams, plan: History, without: frozenset[str] = frozenset()) -> None:
        seams.run = self
        self.plan, self.without = plan, without
        self.scheduler = Scheduler()
        self.random = Random(plan.seed ^ 0x5EED)
        self.fired: list[str] = []
        self.attempts: list[_Attempt] = []
        self.sent: list[str] = []
        self.versions: dict[Key, list[Version]] = {}  # by scope and order key
        self.named: dict[Person, str] = {}  # whoever was known once: our own id of them
        self.late: set[Key] = set()  # what a single put may have written when nobody waited for it any more
        self.marks: list[Mark] = []
        self.faults_on = True
        self.trace: list[str] | None = None
        self._total_calls = 0
        self._running = 0
        self._batches = 0
        self._latest_receipt = 0
        self.invariants = Invariants()

        self.dynamodb = DynamoDB(lambda: self.scheduler.now)
        self.dynamodb.add_table(LEDGER, **LEDGER_INDEXES)
        self._add_accounts(self.dynamodb.add_table(RECORDS))
        self.dynamodb.watch = self._watch
        self.dynamodb.committed = self.invariants.committed
        self.dynamodb.lagging = lambda: self._chance().random() < 0.5
        self.sqs = SQS(
            lambda: self.scheduler.now, url=QUEUE_URL, max_receives=_QUEUE["RedrivePolicy"]["maxReceiveCount"],
            visibility_seconds=_QUEUE["VisibilityTimeout"],
        )  # fmt: skip
        self.sqs.sent = self._sent
        dynamodb = _Client(self, self.dynamodb, [name for name in _FAULTS if hasattr(self.dynamodb, name)])
        self.clients = {"dynamodb": dynamodb, "sqs": _Client(self, self.sqs, ("send_message", "send_message_batch"))}
        pace = Pace(lambda: self.scheduler.now, self.sleep, lambda: self._chance().random())
        self.ledger = Ledger(dynamodb, LEDGER, pace)
        self.processor = processing._build(SETTINGS)
        self.processor.clock = lambda: self.scheduler.now
        self.processor.ledger.pace = pace
        messages.MAX_ORDERS = plan.max_orders
        messages._COMPRESS_FROM = plan.compress_from
        purge._PAGE_EVENTS = rebuild.PAGE_ORDERS = plan.page_orders
        activities.MAX_TOGETHER = processing.MAX_TOGETHER = plan.together
        upkeep.MOST_EVENTS = plan.emptied_together

    def _add_accounts(self, records: Table) -> None:
        for account in sorted({step.account for step in self.plan.steps}):
            settings = {"currency": self.plan.currency, "sources": "orders_api shopper_activity"}
            item = {"pk": f"{account}/a", "sk": "a"} | settings
            records.put((item["pk"], "a"), raw(item))
        records.before.clear()

    # ------------------------------------------------------- time and chance

    @property
    def wall(self) -> float:
        return _EPOCH + self.scheduler.now

    def _chance(self) -> Random:
        task = self.scheduler.current
        return self.random if task is None or task.random is None else task.random

    def bytes(self, count: int) -> bytes:
        return self._chance().getrandbits(8 * count).to_bytes(count, "big")

    def sleep(self, seconds: float) -> None:
        self.scheduler.pause(seconds)

    def _receipt(self) -> str:
        """Times of receipt differ, by a microsecond at least."""
        self._latest_receipt = max(self._latest_receipt + 1, int(self.scheduler.now * 1e6))
        return times.shift("20260101000000000000", microseconds=self._latest_receipt)

    def _stamp(self, at: float) -> str:
        # Not before any receipt of that time: those are a microsecond apart, whatever the time is.
        return times.shift("20260101000000000000", microseconds=int(at * 1e6) + 10_000)

    # ----------------------------------------------------------------- calls

    def call(self, operation: str, make: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """A call over the network: it takes time, in which others go on, and it may meet a fault."""
        scheduler = self.scheduler
        task = scheduler.current
        assert task is not None
        random = task.random
        task.calls += 1
        self._total_calls += 1
        if self._total_calls > _MAX_CALLS:
            raise Broken("the history does not end")
        fault = ""
        if task.stuck > 0 and operation.startswith(("batch_write", "send_message_batch")):
            task.stuck -= 1
            task.faults += 1
            fault = "none"
        elif self.faults_on and random.random() < self.plan.faults * task.luck:
            fault = random.choice(_FAULTS[operation])
            place = f"{task.name}, call {task.calls}: {operation} {fault}"
            if place in self.without:
                fault = ""
            else:
                task.faults += 1
                self.fired.append(place)
        if task.dialect is not None:
            arguments = task.dialect(operation, arguments)
        slow = random.random() < 0.1
        scheduler.pause(self.plan.spread * random.random() if slow else 0.001 + 0.01 * random.random())
        try:
            if self.trace is not None:
                return self._traced(fault, operation, make, arguments, task)
            return self._faulty(fault, operation, make, arguments, random) if fault else make(**arguments)
        except ClientError as error:
            self._no_misuse(error)  # here, and not where the code under test has made a failed try of it
            raise

    def _traced(
        self, fault: str, operation: str, make: Callable[..., Any], arguments: dict[str, Any], task: Task
    ) -> Any:
        assert self.trace is not None
        outcome: Any = ""
        at = len(self.trace)
        self.trace.append("")
        line = (
            f"{self.scheduler.now:9.4f} {task.name:9} {operation}{f' ({fault})' if fault else ''} {_shown(arguments)}"
        )
        try:
            outcome = self._faulty(fault, operation, make, arguments, task.random) if fault else make(**arguments)
        except BaseException as error:
            outcome = repr(error)
            raise
        finally:
            self.trace[at] = f"{line}\n            -> {_shown(outcome)}"
        return outcome

    def _faulty(
        self, fault: str, operation: str, make: Callable[..., Any], arguments: dict[str, Any], random: Random
    ) -> Any:
        pause = self.scheduler.pause
        if fault == "killed":
            raise Killed
        if fault == "killed after":
            self._silently(make, arguments)
            raise Killed
        if fault == "lost":
            self._silently(make, arguments)
            pause(4 * random.random())
            raise ReadTimeoutError(endpoint_url="", error="lost")
        if fault == "timeout":
            pause(4 * random.random())
            raise ConnectTimeoutError(endpoint_url="", error="never sent")
        if fault == "late":
            # It is still on its way when nobody waits for it any more.
            self.scheduler.at(self.scheduler.now + 4 * random.random(), lambda: self._silently(make, arguments))
            if operation == "put_item":
                self.late.add((arguments["Item"]["pk"]["S"], arguments["Item"]["sk"]["S"]))
            pause(2 * random.random())
            raise ReadTimeoutError(endpoint_url="", error="late")
        if fault == "throttled":
            raise client_error(
                random.choice(("ThrottlingException", "ProvisionedThroughputExceededException")), operation
            )
        if fault == "server":
            if random.random() < 0.5:
                self._silently(make, arguments)
            if random.random() < 0.5:  # of something before the service: botocore makes the status the code
                raise client_error("503", operation, ResponseMetadata={"HTTPStatusCode": 503})
            raise client_error("InternalServerError", operation)
        if fault == "in progress":
            if random.random() < 0.5:
                self._silently(make, arguments)
            raise client_error("TransactionInProgressException", operation)
        if fault == "slow":
            pause(8 * random.random())
            return make(**arguments)
        if fault == "twice":
            # botocore tried again on its own, and the first try had arrived.
            self._silently(make, arguments)
            return make(**arguments)
        if fault == "conflict":
            raise cancelled(self._conflict(arguments["TransactItems"], random))
        if fault == "stuck":
            task = self.scheduler.current
            assert task is not None
            task.stuck = random.randint(1, 6)
            fault = "none"
        if fault in ("part", "none"):
            return self._part(operation, make, arguments, random if fault == "part" else None)
        if fault == "cut":
            answer = make(**arguments)
            if len(answer.get("Items", ())) > 1:
                return self.dynamodb.cut(answer, arguments, random.randint(1, len(answer["Items"]) - 1))
            return answer
        raise Unknown(fault)

    def _silently(self, make: Callable[..., Any], arguments: dict[str, Any]) -> None:
        try:
            make(**arguments)
        except Exception as error:
            self._no_misuse(error)

    def _no_misuse(self, error: Exception) -> None:
        code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code")
        if code == "ValidationException":
            raise Broken(f"DynamoDB refuses this: {error}")

    def _conflict(self, actions: list[dict[str, Any]], random: Random) -> list[dict[str, Any]]:
        """Cancelled by another transaction in part; the other items say what they would say."""
        outcome = self.dynamodb.transaction(actions)
        reasons: list[dict[str, Any]] = [o if isinstance(o, dict) else {"Code": "None"} for o in outcome]
        for at in random.sample(range(len(actions)), random.randint(1, len(actions))):
            code = random.choice(
                ("TransactionConflict", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded")
            )
            reasons[at] = {"Code": code, "Message": "mixed"}
        return reasons

    def _part(self, operation: str, make: Callable[..., Any], arguments: dict[str, Any], random: Random | None) -> Any:
        """A batch that is taken in part, or not at all."""
        if operation == "batch_write_item":
            ((name, requests),) = arguments["RequestItems"].items()
            count = random.randrange(len(requests)) if random else 0
            if count:
                make(RequestItems={name: requests[:count]})
            return {"UnprocessedItems": {name: requests[count:]}}
        entries = arguments["Entries"]
        taken = [entry for entry in entries if random and random.random() < 0.5]
        answer = make(QueueUrl=arguments["QueueUrl"], Entries=taken) if taken else {"Successful": []}
        ids = {entry["Id"] for entry in taken}
        return answer | {
            "Failed": [
                {"Id": e["Id"], "SenderFault": False, "Code": "InternalError"} for e in entries if e["Id"] not in ids
            ]
        }

    # ---------------------------------------------------------------- workers

    def _watch(self, name: str, key: Key, old: Item | None, new: Item | None) -> None:
        if name == LEDGER:
            self._watch_ledger(key, old, new)
        elif key[0].endswith("/u") and new is not None and (old is None or old["cut"] != new["cut"]):
            account, sk = key[0][:-2], key[1]
            self.marks.append(Mark(account, sk, new["cut"]["S"], self.scheduler.now))
            if sk[0] != "p":
                self.invariants.current[account, sk] = int(new["generation"]["N"])
        self.invariants.watch(name, key, old, new)

    def _watch_ledger(self, key: Key, old: Item | None, new: Item | None) -> None:
        """Who was known, and what becomes of v1 orders: their versions, and that they are emptied."""
        account, scope, kind, *_ = key[0].split("/")
        name, (order, _, number) = f"{account}/{scope}", key[1].partition("!")
        if kind == "p" and new is not None and "kind" in new:
            self.named[account, new["kind"]["S"], new["value"]["S"]] = key[1]
        if scope[0] != "o" or new is None:
            return
        versions = self.versions.setdefault((name, order), [])
        if kind == "h" and old is not None and "deleted" not in old and "deleted" in new:
            if new["version"] == old["version"]:
                versions.append(Version("erased", "", "", self.scheduler.now, int(new["version"]["N"])))
        elif kind == "e" and old is None:
            made = Version(
                new["action"]["S"],
                new["request"]["S"],
                new["id"]["S"],
                self.scheduler.now,
                int(number),
                new["body"]["B"],
            )
            # The event comes in one transaction with the head, and may be seen before it.
            versions.append(made)
        elif kind == "e" and "stamp" not in new and old is not None and "stamp" in old:
            version = next(v for v in versions if v.request_id == new["request"]["S"])
            version.emptied = self.scheduler.now

    def _choose_dialect(self, task: Task) -> None:
        # By its name: not by its chance, so that whether there are others leaves all the rest as it is.
        chance = Random(f"{self.plan.seed} {task.name}") if self.plan.others else None
        if chance is not None and chance.random() < self.plan.others:
            task.dialect = chance.choice((dialects.newer, dialects.older))

    def _client(self, step: Step) -> None:
        """A shop's client, which sends again what was not answered."""
        task = self.scheduler.current
        assert task is not None
        self._choose_dialect(task)
        for attempt in range(step.attempts):
            made = _Attempt(step, times.uuid7(), self._receipt(), self.scheduler.now)
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
                self.scheduler.now + _HANDLER_SECONDS - 1,
            )  # fmt: skip
            task.kill_at = self.scheduler.now + _HANDLER_SECONDS
            task.faults = 0
            try:
                response = _CALLS[step.kind](request)
                made.status, made.body = response.status, response.body
            except Killed:
                pass
            except Problem as problem:
                made.status = 400 if step.kind in ("submitted", "edited") and problem.status == 422 else problem.status
            except Exception as error:
                self._no_misuse(error)
                if not isinstance(error, ClientError | BotoCoreError):
                    raise Broken(f"{step}: {error!r}") from error
                made.status = 500
            task.kill_at = FOREVER
            if self.faults_on and task.random.random() < self.plan.faults / 2:
                self.fired.append(f"{task.name}, attempt {attempt + 1}: the answer was lost")
                made.status = made.body = None
            made.end, made.hampered = self.scheduler.now, task.faults > 0
            if made.status is not None and made.status >= 500 and not self._explained(made) and self.plan.spread < 1:
                raise Broken(f"{step}\n was answered {made.status}, and nothing stood in its way")
            if made.status is not None and made.status < 500:
                return
            self.scheduler.pause(task.random.random() * 2**attempt)

    def _explained(self, made: _Attempt) -> bool:
        """Whether a 5xx is the answer to a fault, or to a call that fell into the second of a purge."""
        marked = (mark for mark in self.marks if mark.account == made.step.account)
        return made.hampered or any(made.received <= mark.cut for mark in marked)

    def _sent(self, message: Any) -> None:
        self.sent.append(message.body)
        self.scheduler.at(message.visible_at + 0.001, self._poll)

    def _poll(self) -> None:
        """As the event source mapping does: batches of visible messages to functions, as many as may run at once."""
        random = self.random
        while self._running < self.plan.slots:
            visible = self.sqs.visible()
            if not visible:
                return
            size = min(len(visible), random.choice((1, 1, 2, 3, 10)))
            chosen = random.sample(visible, size)
            records = self.sqs.receive(chosen, again=self._delivered_again)
            if self.plan.again and self.faults_on:
                self.scheduler.at(self.scheduler.now + 0.005, self._poll)
            if not records:
                continue
            self._running += 1
            self._batches += 1
            task = Task(f"batch {self._batches}", lambda records=records: self._process(records))  # type: ignore[misc]
            task.random = Random(self.plan.seed * 1_000_003 + 500_000 + self._batches)
            self.scheduler.at(self.scheduler.now + 0.002, task)

    def _delivered_again(self) -> bool:
        return self.faults_on and self.random.random() < self.plan.again

    def _process(self, records: list[dict[str, Any]]) -> None:
        scheduler, task = self.scheduler, self.scheduler.current
        assert task is not None
        self._choose_dialect(task)
        random, seconds = task.random, _PROCESS_SECONDS
        if any(dialects.content(record["body"]).get("steps") for record in records):
            task.luck = _JOBS_LUCK
        if self.faults_on and random.random() < self.plan.short_lives:
            seconds = 6.0 + random.random() * random.choice((0.02, 0.2, 2.0))
            task.kill_at = scheduler.now + seconds - 6.0 * random.random()
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
                if self.faults_on and random.random() < self.plan.again / 4:  # the acknowledgement was lost
                    failed.add(record["messageId"])
                else:
                    self.sqs.delete(record)
        if failed:
            scheduler.at(scheduler.now + self.sqs.visibility_seconds + 0.001, self._poll)
        self._running -= 1
        scheduler.at(scheduler.now, self._poll)

    # -------------------------------------------------------------------- all

    def run(self) -> list[str]:
        """What went wrong, in words."""
        try:
            for step in self.plan.steps:
                task = Task(f"step {step.id}", lambda step=step: self._client(step))  # type: ignore[misc]
                task.random = Random(self.plan.seed * 1_000_003 + step.id)
                self.scheduler.at(step.at, task)
            # Faults end when everything had its time to go wrong.
            self.scheduler.at(max(step.at for step in self.plan.steps) + 2000, self._end_faults)
            self.scheduler.run()
            if lost := self._lost():
                return lost
            self._alone("replay", self._replay_dead_letters)
            if self.sqs.messages or self.sqs.dead:
                return ["messages are left in the queue"]
            purges = self._purges()
            seen = self._seen()
            read = (lambda books: self._differences(books, seen)) if self.plan.reads else (lambda books: [])
            return self._effects() or audit(self._events(), self._calls(), purges, seen, read)
        except Broken as broken:
            return [str(broken)]

    def _effects(self) -> list[str]:
        """What requests did to the sums, as their events and their outcomes tell it, against the orders they made.

        Where something was taken out its effects went with it, and nothing is left to add up.
        """
        if any(step.kind in ("purge", "erase") for step in self.plan.steps):
            return []
        ledger, records = self.dynamodb.tables[LEDGER].items, self.dynamodb.tables[RECORDS].items
        sums: dict[str, dict[tuple[str, str, str], list[Decimal]]] = {"orders": {}, "events": {}, "outcomes": {}}

        def add(of: str, account: str, letter: str, currency: str, amount: str, orders: int) -> None:
            cell = sums[of].setdefault((account, letter, currency), [Decimal(0), Decimal(0)])
            cell[0], cell[1] = cell[0] + Decimal(amount), cell[1] + orders

        said = []
        for (pk, _), item in ledger.items():
            account, scope, kind, *_ = pk.split("/")
            if kind == "h" and "contribution" in item:
                currency = item["currency"]["S"] if "currency" in item else ""
                add("orders", account, scope[0], currency, item["contribution"]["N"], 1)
            if kind == "e":
                rows = json.loads(item["effects"]["S"]) if "effects" in item else []
                if "moves" in item:  # copies that came later and moved the event
                    rows += [row for rows in json.loads(item["moves"]["S"]).values() for row in rows]
                said.append(("events", account, scope[0], rows))
        for (pk, _), item in records.items():
            if "/t/" in pk:
                rows = json.loads(item["effects"]["S"]) if "effects" in item else []
                said.append(("outcomes", pk.split("/")[0], pk.split("/")[3][0], rows))
        for of, account, letter, rows in said:
            for currency, amount, *rest in rows:
                add(of, account, letter, currency, amount, rest[0] if rest else 0)
        worth = {of: {at: cell for at, cell in cells.items() if any(cell)} for of, cells in sums.items()}
        return [
            f"by the effects of {of} the sums are {worth[of]}, by the orders {worth['orders']}"
            for of in ("events", "outcomes")
            if worth[of] != worth["orders"]
        ]

    def _alone(self, name: str, work: Callable[[], None]) -> None:
        """What is done when all the rest is over; and then what follows from it."""
        task = Task(name, work, Random(self.plan.seed))
        self.scheduler.at(self.scheduler.now + 10, task)
        self.scheduler.run()

    def _differences(self, books: Books, seen: Seen) -> list[str]:
        found: list[str] = []
        accounts = sorted({step.account for step in self.plan.steps})
        self._alone(
            "reader",
            lambda: found.extend(reader.differences(self._ask, books, seen.statuses, accounts, self.plan.currency)),
        )
        return found

    def _ask(self, route: str, account: str, path: dict[str, str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        event = APIGatewayProxyEventV2({
            "routeKey": route, "pathParameters": path, "queryStringParameters": query,
            "body": None if body is None else json.dumps(body),
        })  # fmt: skip
        key = ApiKey("key", account, "admin", "", "")
        try:
            answer = reading.answer(Request(event, key, self._receipt(), times.uuid7(), FOREVER))
        except Problem as problem:
            return problem.status, problem.message
        return answer.status, answer.body

    def _end_faults(self) -> None:
        self.faults_on = False

    def _job(self, step: Any) -> bool:
        """Whether it came to a good end. To a bad one it comes only where something stood in its way, and says so."""
        job = self.dynamodb.tables[RECORDS].items.get((f"{step.account}/j", step.job))
        status = job["status"]["S"] if job else "unknown"
        if status != "done" and not (status == "failed" and self.fired and job and job["error"]["S"]):
            raise Broken(f"job {step.job} is {status}")
        return status == "done"

    def _purges(self) -> list[Purge]:
        """Purges and erasures whose first message the queue took, answered or not."""
        steps = {step.job: step for body in self.sent for step in decode(body).steps if step.page == 0}
        for step in steps.values():
            self._job(step)
        for attempt in self.attempts:
            if attempt.step.kind in _JOBS and attempt.status == 202 and attempt.body["job_id"] not in steps:
                raise Broken(f"job {attempt.body['job_id']} was answered, and is not queued")
        people = self._people()
        by_receipt = {attempt.received: attempt for attempt in self.attempts}
        found = []
        for step in steps.values():
            if step.kind == "rebuild":
                continue
            attempt = by_receipt[step.asked]
            found.append(
                Purge(
                    step.account, tuple(sorted(step.plan)), step.asked, people[step.person] if step.person else None,
                    attempt.start, attempt.end if attempt.status == 202 else FOREVER, self._job(step),
                    json.loads(attempt.step.body) if attempt.step.body else {}, attempt.step.target,
                )
            )  # fmt: skip
        return found

    def _people(self) -> dict[str, Person]:
        """By our own id, whoever was known once, or was to be erased."""
        people = {own: person for person, own in self.named.items()}
        for step in self.plan.steps:
            if step.kind == "erase":
                for named in _candidates(step.target):
                    people.setdefault(named.id_in(step.account), (step.account, *named))
        return people

    def _lost(self) -> list[str]:
        """What was accepted is in the ledger, or a dead letter, before anybody sends those again."""
        kept = {sk for pk, sk in self.dynamodb.tables[RECORDS].items if pk.endswith("/d")}
        kept |= {order.request_id for message in self.sqs.dead for order in decode(message.body).orders}
        statuses = self._seen().statuses
        purged = {}
        for mark in self.marks:
            purged[mark.account, mark.name] = max(mark.cut, purged.get((mark.account, mark.name), ""))
        return [
            f"{event.request_id} was accepted, and nobody knows of it"
            for event in self._events()
            if (event.account, V3, event.request_id) not in statuses
            and event.request_id not in kept
            and event.received > purged.get((event.account, "s"), "")
        ]

    def _replay_dead_letters(self) -> None:
        """Sends them again, as an admin would."""
        for account in sorted({step.account for step in self.plan.steps}):
            kept = DeadLetters(self.clients["dynamodb"], RECORDS)
            for (pk, sk), item in self.dynamodb.tables[RECORDS].items.items():
                if pk == f"{account}/d" and not item["reason"]["S"]:
                    raise Broken(f"dead letter {sk} has no reason")
            marks = Scopes(self.clients["dynamodb"], RECORDS).read(account)
            listed, after = kept.listed(marks, 2, None)
            while after:
                page, after = kept.listed(marks, 2, after)
                listed += page
            stored = [sk for pk, sk in self.dynamodb.tables[RECORDS].items if pk == f"{account}/d"]
            hidden = set(stored) - {letter["id"] for letter in listed}
            if [letter["id"] for letter in listed] != sorted(set(stored) - hidden, reverse=True) or (
                hidden and not any(mark.account == account and mark.name != "p" for mark in self.marks)
            ):
                raise Broken(f"dead letters are listed as {listed}, and are {stored}")
            for request_id in sorted(set(kept.ids(account)) - hidden):
                kept.replay(marks, request_id, Queue(self.clients["sqs"], QUEUE_URL))
        self.sqs.redrive()

    # ------------------------------------------------------- for the auditor

    def _events(self) -> list[Event]:
        """v3 events that were accepted: by the answer, or, where none came, by what reached the queue."""
        by_receipt = {a.received: a for a in self.attempts if a.step.kind in ("activity", "batch")}
        queued: dict[str, dict[int, str]] = {}
        for body in self.sent:
            for order in decode(body).orders:
                queued.setdefault(order.received, {})[order.position] = order.request_id
        events = []
        for received, attempt in by_receipt.items():
            payload = json.loads(attempt.step.body, parse_float=Decimal)
            payloads = payload["orders"] if attempt.step.kind == "batch" else [payload]
            accepted = queued.get(received, {})
            if attempt.status == 202:
                ids = attempt.body["request_ids"] if attempt.step.kind == "batch" else [attempt.body["request_id"]]
                if len(ids) != len(payloads):
                    raise Broken(f"{len(ids)} request ids for {len(payloads)} orders")
                accepted = dict(enumerate(ids))
            for position, request_id in accepted.items():
                step = attempt.step
                events.append(Event(step.account, request_id, received, position, step.key, payloads[position]))
        return events

    def _calls(self) -> list[Call]:
        calls = []
        for a in self.attempts:
            if a.step.kind in ("submitted", "edited", "deleted"):
                payload = json.loads(a.step.body, parse_float=Decimal) if a.step.body else {}
                calls.append(
                    Call(a.step.account, a.step.kind, a.step.target, payload, a.request_id, a.received, a.start, a.end,
                         a.status, a.body, a.hampered)
                )  # fmt: skip
        return calls

    def _seen(self) -> Seen:
        erased = any(step.kind == "erase" for step in self.plan.steps)
        people = self._people()
        marks = [m._replace(person=people[m.name[1:]]) if m.name[0] == "p" else m for m in self.marks]
        return read(self.dynamodb, self.versions, self.named if erased else {}, self.late, marks)


# ----------------------------------------------------------------- the store, read

_SOURCES = {"o": V1, "s": V3}


def read(
    dynamodb: DynamoDB, written: dict[Key, list[Version]], named: dict[Person, str], late: set[Key], marks: list[Mark]
) -> Seen:
    """What is in the tables, as far as it can be seen, in the auditor's words.

    `written`: v1 versions by scope and order key. `named`: of whom traces are looked for. `late`: keys of what may have
    been written when nobody waited for it.
    """
    cuts: dict[tuple[str, str], str] = {}
    generations: dict[tuple[str, str], int] = {}
    for mark in marks:
        if mark.name in _SOURCES:
            at = mark.account, mark.name
            cuts[at], generations[at] = max(mark.cut, cuts.get(at, "")), generations.get(at, 0) + 1
    ledger = dynamodb.tables[LEDGER]
    current = {at: f"{at[0]}/{at[1]}{generations.get(at, 0)}" for at in {_place(pk)[:2] for pk, _ in ledger.items}}
    seen = Seen(Books(), {}, {}, marks=marks)
    seen.dead = sorted(pk for pk, _ in ledger.items if _scope(pk) != current[_place(pk)[:2]])
    items = {key: item for key, item in ledger.items.items() if _scope(key[0]) == current[_place(key[0])[:2]]}
    for (scope, _), of_order in written.items():
        body = next((version.body for version in of_order if version.body), None)
        if body:
            account, generation = scope.split("/")[0], int(scope.split("/o")[1])
            seen.versions[account, _order_id_of(body), generation] = of_order
    people: dict[tuple[str, str], Person] = {}  # by account and our own id
    names: dict[tuple[str, str], str] = {}  # order ids by scope and order key
    for (pk, sk), item in items.items():
        account, letter, kind = _place(pk)
        if kind == "n":
            at = account, _SOURCES[letter]
            records, orders = seen.books.audiences.get(at, (0, 0))
            counted = records + int(item["records"]["N"]), orders + int(item["orders"]["N"])
            seen.books.audiences[at] = counted
        if kind == "p":
            if "kind" not in item or "value" not in item:
                seen.faults.append(f"person {pk} {sk} has no name")
                continue
            person = people[account, sk] = (account, item["kind"]["S"], item["value"]["S"])
            seen.books.people.add(person)
            _read_money(seen.books, person, _SOURCES[letter], item)
    seen.books.audiences = {at: counted for at, counted in seen.books.audiences.items() if any(counted)}
    for (pk, sk), item in items.items():
        if _place(pk)[2] == "h":
            _read_head(seen, people, names, pk, sk, item)
    for at, of_order in written.items():
        body = next((version.body for version in of_order if version.body), None)
        if body:
            names[at] = _order_id_of(body)
    for (pk, sk), item in items.items():
        account, letter, kind = _place(pk)
        if kind != "e":
            continue
        if letter == "s":
            seen.written.add((account, item["request"]["S"]))
        if "timeline" in item:
            person_ = people.get((account, item["timeline"]["S"].rpartition("/")[2]))
            if person_ is None:
                seen.faults.append(f"a timeline of nobody: {item['timeline']}")
                continue
            stamp, order = item["stamp"]["S"], (_scope(pk), sk.partition("!")[0])
            seen.books.timelines.setdefault(person_, []).append(
                Activity(
                    (stamp[:20], stamp[20:40], int(stamp[40:44])), NAMES_OF_ACTIVITIES[item["action"]["S"]],
                    _SOURCES[letter], names.get(order, "?"),
                )
            )  # fmt: skip
    for activities_ in seen.books.timelines.values():
        activities_.sort()
    _read_outcomes(dynamodb, seen, cuts, late)
    seen.traces = _traces(dynamodb, named)
    return seen


def _place(pk: str) -> tuple[str, str, str]:
    """Account, letter of the source, kind of item."""
    account, scope, kind, *_ = pk.split("/")
    return account, scope[0], kind


def _scope(pk: str) -> str:
    return "/".join(pk.split("/")[:2])


def _read_outcomes(dynamodb: DynamoDB, seen: Seen, cuts: dict[tuple[str, str], str], late: set[Key]) -> None:
    outcomes: dict[tuple[str, str, str], set[str]] = {}
    second: dict[tuple[str, str, str], tuple[str, Key]] = {}  # those that are there a second time, with their order
    for (pk, sk), item in dynamodb.tables[RECORDS].items.items():
        parts = pk.split("/")
        if parts[1] in ("t", "x"):
            source = item["source"]["S"]
            if item["received"]["S"] <= cuts.get((parts[0], source[0] if source == V3 else "o"), ""):
                continue  # purged
            if parts[1] == "t":
                outcomes.setdefault((parts[0], source, sk), set()).add(parts[2])
            else:
                second[parts[0], source, sk] = item["status"]["S"], (pk, sk)
    seen.statuses = {at: min(kinds, key=STATUSES.index) for at, kinds in outcomes.items()}
    for at, (status, key) in second.items():
        if status not in outcomes.get(at, ()) and (at in outcomes or key not in late):
            seen.faults.append(f"{at} is {status} with its order, and {outcomes.get(at)} by itself")
    for at, kinds in outcomes.items():
        # That a v1 submission came twice is noted if it can be: its answer does not hang on it.
        if "applied" not in kinds and at not in second and at[1] == V3:
            seen.faults.append(f"{at} is {kinds}, and not found with its order")


@lru_cache(maxsize=4096)
def _order_id_of(body: bytes) -> str:
    return str(unpack(body)["order_id"])


def _traces(dynamodb: DynamoDB, named: dict[Person, str]) -> dict[Person, list[str]]:
    """Where in both tables a person's own id is, or the hash of their address, in bodies also: by who was known.

    Left out are the marks by which what is queued is dropped (our own id, for 30 days).
    """
    texts: list[tuple[str, Key]] = []
    for tables in dynamodb.tables.values():
        for key, item in tables.items.items():
            if not key[0].endswith("/u"):
                body = str(unpack(item["body"]["B"])) if "body" in item else ""
                if "message" in item:
                    body = str(decode(item["message"]["S"]))
                texts.append((f"{key}{item}{body}", key))
    found: dict[Person, list[str]] = {}
    for person, own in named.items():
        sought = [own, person[2]] if person[1] == "email" else [own]
        found[person] = [
            "/".join(key)
            for text, key in texts
            if key[0].startswith(f"{person[0]}/") and any(t in text for t in sought)
        ]
    return found


def _read_money(books: Books, person: Person, source: str, raw: Item) -> None:
    item = plain_item(raw)
    for name, value in item.items():
        if name[0] == "#" and value:
            cell = source, None if name[1:] == "*" else name[1:]
            books.counts.setdefault(person, {})[cell] = int(value)
            books.money.setdefault(person, {})[cell] = item.get(name[1:], Decimal(0))


def _read_head(
    seen: Seen, people: dict[tuple[str, str], Person], names: dict[tuple[str, str], str], pk: str, sk: str, raw: Item
) -> None:
    head, (account, letter, _) = plain_item(raw), _place(pk)
    if "contribution" not in head:
        return
    names[_scope(pk), sk] = head["order_id"]
    owner = people.get((account, head["person"])) if head.get("person") else None
    if head.get("person") and owner is None:
        seen.faults.append(f"order {head['order_id']} is of nobody known")
    if letter == "o":
        customer = _CUSTOMERS.get(head.get("customer_key", "//").split("/")[2], "?")
        seen.books.orders[account, V1, "", head["order_id"]] = Order(
            owner, head["currency"], head["contribution"], first=head["ordered_at"], addresses=_addresses(head),
            customer=customer,
        )  # fmt: skip
        return
    state = record_of(OrderState, head)
    seen.books.orders[account, V3, head["provider"], head["order_id"]] = Order(
        person=owner, currency=state.currency or None, contribution=head["contribution"], total=state.known_total,
        refunds=state.refunds, action=state.action, events=state.events, first=state.ordered_at,
        last=state.latest_at[:20], added=state.added_at, flagged=bool(state.flags), addresses=_addresses(head),
    )  # fmt: skip


def _addresses(head: dict[str, Any]) -> tuple[str, str]:
    """By what they are found: the index keys, as first lines. One that is both is indexed once."""
    keys = (head.get(name, "//").split("/")[2] for name in ("shipping_key", "billing_key"))
    shipping, billing = (_LINES.get(key, "?") for key in keys)
    if head["records"] == 2 and not billing:
        billing = shipping
    return shipping, billing


_CUSTOMERS = {customer_match_key(customer): customer for customer in CUSTOMER_IDS} | {"": ""}
_LINES = {match_key(json.loads(address)): json.loads(address)["address_1"] for address in ADDRESSES} | {"": ""}


# ------------------------------------------------------------------ one of many


def simulate(seed: int, seams: Seams) -> Failure | None:
    """One history. Its failure is not shortened yet."""
    plan = history(seed)
    run = Run(seams, plan)
    faults = run.run()
    return Failure(plan, faults, run.fired, frozenset()) if faults else None


def shortened(failure: Failure, seams: Seams, tries: int = 500) -> Failure:
    """As few steps, orders in batches and faults as still fail (in whatever way), found by leaving out what can be."""
    best, left = failure, tries

    def attempt(plan: History, without: frozenset[str]) -> bool:
        nonlocal best, left
        if left <= 0 or not plan.steps:
            return False
        left -= 1
        run = Run(seams, plan, without)
        faults = run.run()
        if faults:
            best = Failure(plan, faults, run.fired, without)
        return bool(faults)

    attempt(replace(best.plan, short_lives=0.0), best.without)
    attempt(replace(best.plan, again=0.0), best.without)
    attempt(best.plan, best.without | set(best.fired))
    progress = True
    while progress and left > 0:
        progress = False
        size = max(1, len(best.plan.steps) // 2)
        while size:
            at = 0
            while at < len(best.plan.steps):
                steps = best.plan.steps
                if attempt(replace(best.plan, steps=steps[:at] + steps[at + size :]), best.without):
                    progress = True
                else:
                    at += size
            size //= 2
        for place in list(best.fired):
            progress = attempt(best.plan, best.without | {place}) or progress
        for step in list(best.plan.steps):
            for body in step.bodies if step.kind == "batch" and len(step.bodies) > 1 else ():
                current = next((s for s in best.plan.steps if s.id == step.id), step)
                fewer = replace(current, bodies=tuple(b for b in current.bodies if b is not body))
                steps = [fewer if s.id == step.id else s for s in best.plan.steps]
                progress = (bool(fewer.bodies) and attempt(replace(best.plan, steps=steps), best.without)) or progress
    return best


def trace(failure: Failure, seams: Seams) -> list[str]:
    """Every call of it, in their order."""
    run = Run(seams, failure.plan, failure.without)
    run.trace = []
    run.run()
    return run.trace
