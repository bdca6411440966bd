"""Runs one history: requests of shops, streams of several shards, announcers that are killed, a bus that loses answers.

A receiver keeps, for each person, source and currency, the event with the largest sequence. In the end it must have the
stored values.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ReadTimeoutError

from tests.simulation.deployment import LEDGER_INDEXES
from tests.simulation.errors import client_error
from tests.simulation.store import DynamoDB
from tillbook.aws.event_bus import EventBus
from tillbook.aws.items import Item, plain_item, raw
from tillbook.contract.document import digest, document_of
from tillbook.ledger.activities import Activity
from tillbook.ledger.commit import Pace
from tillbook.ledger.items import Scope, person_of
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import V1Request
from tillbook.records.accounts import Account, Accounts
from tillbook.records.outcomes import Outcome, Outcomes
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.amounts import text
from tillbook.rules.errors import Conflict, NotFound
from tillbook.rules.identity import SOURCE_LETTER, SOURCES, Person, Source, order_key
from tillbook.views.announcements import Announcements
from tillbook.work import announcing
from tillbook.work.announcing import Announcer

ACCOUNTS, LEDGER, RECORDS = ("1234567", "other"), "ledger", "records"
STEPS, LIFE_SECONDS, SHARDS = 40, 60.0, 3  # SHARDS: of each of the two streams
NO_DEADLINE = 1e9  # seconds of the run's clock, long after its end
PEOPLE = ("ann", "bob", "cid")


class Failure(AssertionError):
    """The receiver has another value than the stored one, or an event is missing or wrong."""


class Killed(BaseException):
    """The function of the announcer is killed, as at a time-out."""


class Client:
    """The announcer's client of the store and of the bus.

    Each call takes time, in which shops and other announcers run, and may fail, lose its answer, or end the function.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = self._run.put_events if name == "put_events" else getattr(self._run.store, name)
        return lambda **arguments: self._run.faulty(name, lambda: call(**arguments))


class Run:
    """One history.

    Attributes:
        faults: whether calls may meet faults.
        shards: the records of each shard, first those of the ledger's stream, then those of the records table's.
        positions: the number of acknowledged records of each shard. busy: whether an announcer works on the shard.
        written: the number of changes in all shards.
    """

    def __init__(self, seed: int) -> None:
        self.random, self.seed, self.faults, self.now = random.Random(seed), seed, True, 0.0
        self.store = DynamoDB(lambda: self.now)
        self.store.add_table(LEDGER, **LEDGER_INDEXES)
        self.store.add_table(RECORDS)
        for account in ACCOUNTS:
            Accounts(self.store, RECORDS).create(Account(account))
        self.shards: list[list[dict[str, Any]]] = [[] for _ in range(2 * SHARDS)]
        self.positions, self.busy = [0] * len(self.shards), [False] * len(self.shards)
        self.written = 0
        self.generations = {(account, source): 0 for account in ACCOUNTS for source in SOURCES}
        self.requests: dict[str, str] = {}  # order ids by request id
        self.outcomes: set[tuple[str, str]] = set()  # (request id, status)
        self.purges: set[tuple[str, str, int]] = set()  # (account, source, new generation)
        self.received: list[Any] = []  # events that the receiver got, repeated and out of order
        self.store.watch = self._watch
        pace = Pace(lambda: self.now, lambda _: None, self.random.random)
        self.ledger = Ledger(self.store, LEDGER, pace)
        self.kills = self.refused = 0

    # --------------------------------------------------------------- streams

    def _watch(self, table: str, key: tuple[str, str], old: Any, new: Any) -> None:
        """Adds a change to its stream if the trigger's filter passes it. All changes of an item are in one shard."""
        if new is None:
            return
        outcome = "action" in new and new.get("status", {}).get("S") in ("applied", "failed")
        if not ("token" in new if table == LEDGER else outcome or "generation" in new):
            return
        self.written += 1
        change = {
            "NewImage": new, "SequenceNumber": str(10**20 + self.written), "ApproximateCreationDateTime": 1.8e9,
        } | ({"OldImage": old} if old else {})  # fmt: skip
        shard = random.Random("/".join(key)).randrange(SHARDS) + (0 if table == LEDGER else SHARDS)
        self.shards[shard].append({"dynamodb": change})

    # ----------------------------------------------------------------- shops

    def shop(self) -> None:
        """Makes one random request of a shop or an admin."""
        chance, account = self.random.random(), self.random.choice(ACCOUNTS)
        if chance < 0.5:
            self._activities(account)
        elif chance < 0.8:
            self._v1(account)
        elif chance < 0.92:
            self._erase(account)
        elif chance < 0.96:
            self._purge(account)
        else:
            # A request that was accepted and could not be applied: only its outcome is stored.
            self._outcome(account, self._request("failed"), self.random.choice(SOURCES), "failed", "failed")

    def _request(self, order_id: str) -> str:
        request = times.uuid7()
        self.requests[request] = order_id
        return request

    def _scope(self, account: str, source: Source) -> Scope:
        return Scope(account, source, self.generations[account, source])

    def _amount(self) -> Decimal:
        return Decimal(self.random.randrange(0, 9999)) / 100

    def _activities(self, account: str) -> None:
        """Applies one event, or in one transaction several events of several orders and people."""
        sent = []
        for _ in range(self.random.choice([1, 1, 2, 4])):
            order_id, action = str(self.random.randrange(4)), self.random.choice(["placed", "updated", "refunded"])
            body: dict[str, Any] = {"provider": "shop", "order_id": order_id, "action": action}
            body |= {"grand_total": self._amount()} if self.random.random() < 0.7 else {}
            body |= {"refund_amount": self._amount()} if action == "refunded" else {}
            body |= {"currency": self.random.choice(["USD", "EUR"])} if self.random.random() < 0.5 else {}
            request, moment = self._request(order_id), times.now()
            occurred = times.shift(moment, seconds=-self.random.randrange(100))
            person = Person("person", self.random.choice(PEOPLE))
            sent.append(
                Activity(
                    account, "shop", order_id, f"event{len(self.requests)}", request, occurred, moment, 0, action,
                    person, body, body.get("grand_total"), body.get("refund_amount", Decimal(0)),
                    body.get("currency", ""),
                )
            )  # fmt: skip
        for activity, result in zip(
            sent, self.ledger.apply(self._scope(account, "shopper_activity"), sent, NO_DEADLINE), strict=True
        ):
            assert not isinstance(result, Exception), result
            self._outcome(account, activity.request_id, "shopper_activity", result.status, activity.order_id)

    def _v1(self, account: str) -> None:
        order_id = str(self.random.randrange(3))
        scope, request_id = self._scope(account, "orders_api"), self._request(order_id)
        request = V1Request(scope, request_id, times.now(), lambda people: {})
        body: dict[str, Any] = {
            "order_id": order_id, "order_date": times.now(), "currency": self.random.choice(["USD", "EUR"]),
            "customer_id": self.random.choice(PEOPLE), "total": self._amount(),
        }  # fmt: skip
        try:
            if self.random.random() < 0.25:
                self.ledger.delete(request, order_id, NO_DEADLINE)
            elif self.random.random() < 0.5:
                self.ledger.edit(request, order_id, lambda _: document_of(body), NO_DEADLINE)
            else:
                self.ledger.submit(request, document_of(body), new_id="id", digest=digest(body), deadline=NO_DEADLINE)
        except (NotFound, Conflict):
            return
        self._outcome(account, request_id, "orders_api", "applied", order_id)

    def _outcome(self, account: str, request: str, source: Source, status: str, order_id: str) -> None:
        outcome = Outcome(account, source, request, status, times.now(), "placed", "", order_id)
        for _ in range(self.random.choice([1, 1, 2])):  # after a redelivery the outcome is recorded again
            Outcomes(self.store, RECORDS).record([outcome])
        if status in ("applied", "failed"):
            self.outcomes.add((request, status))

    def _erase(self, account: str) -> None:
        """Empties the orders of a random person and forgets the person, as the job of an erasure does."""
        source, name = self.random.choice(SOURCES), self.random.choice(PEOPLE)
        person = Person("customer" if source == "orders_api" else "person", name).id_in(account)
        provider = "" if source == "orders_api" else "shop"
        for number in range(4):
            key = order_key(source, provider, str(number))
            with suppress(NotFound):
                self.ledger.empty(self._scope(account, source), key, person, times.now(), lambda: True, NO_DEADLINE)
        self.ledger.forget(self._scope(account, source), person, NO_DEADLINE)

    def _purge(self, account: str) -> None:
        source = self.random.choice(SOURCES)
        self.generations[account, source] += 1
        generation = self.generations[account, source]
        self.purges.add((account, source, generation))
        mark: Item = {"pk": f"{account}/u", "sk": SOURCE_LETTER[source], "generation": generation, "cut": times.now()}
        self.store.put_item(TableName=RECORDS, Item=raw(mark))

    # ------------------------------------------------------------ announcers

    def faulty(self, name: str, call: Callable[[], Any]) -> Any:
        """Makes a call of an announcer, which takes time and may meet a fault before or after it takes effect."""
        self.now += self.random.random()
        if not self.faults:
            return call()
        if self.random.random() < 0.3:
            self.step()
        chance = self.random.random()
        if chance < 0.04:
            raise Killed
        if chance < 0.08:
            raise client_error("ThrottlingException", name)
        answer = call()
        if chance < 0.12:
            raise Killed
        if chance < 0.16:
            raise ReadTimeoutError(endpoint_url="")
        return answer

    def put_events(self, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803 - boto3's name
        """Accepts or refuses each entry. The receiver gets the accepted ones in random order."""
        results = []
        for entry in Entries:
            if self.faults and self.random.random() < 0.1:
                self.refused += 1
                results.append({"ErrorCode": "ThrottlingException"})
                continue
            position = self.random.randrange(len(self.received) + 1)
            self.received.insert(position, json.loads(entry["Detail"]))
            results.append({"EventId": "an id of the bus"})
        return {"Entries": results}

    def announce(self, shard: int) -> None:
        """Delivers the next batch of a shard, from the first unacknowledged change or from shortly before it."""
        if self.busy[shard]:
            return
        position = self.positions[shard]
        if self.faults and self.random.random() < 0.1:
            position = max(position - self.random.randrange(4), 0)
        batch = self.shards[shard][position : position + self.random.randrange(1, 30)]
        if not batch:
            return
        self.busy[shard] = True
        try:
            # Either the usual time, or only two seconds until the announcer's deadline.
            answer = self.announcer().run(batch, self.random.choice([LIFE_SECONDS, announcing._LAST_SECONDS + 2]))
            numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
            failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
            acknowledged = numbers.index(failed[0]) if failed else len(batch)
            self.positions[shard] = max(self.positions[shard], position + acknowledged)
        except Killed:
            self.kills += 1
        except Exception as error:
            # The stream delivers the batch again. Any error that is no injected fault is a bug.
            if not isinstance(error, ReadTimeoutError) and "ThrottlingException" not in str(error):
                raise
        finally:
            self.busy[shard] = False

    def announcer(self) -> Announcer:
        client = Client(self)
        return Announcer(
            client, LEDGER, Accounts(client, RECORDS), Scopes(client, RECORDS), EventBus(client, "bus"),
            Announcements("stack"), lambda: self.now, lambda _: None,
        )  # fmt: skip

    def step(self) -> None:
        """Makes a request of a shop, or delivers a batch of a random shard."""
        if self.random.random() < 0.4:
            self.shop()
        else:
            self.announce(self.random.randrange(len(self.shards)))

    def run(self) -> None:
        for _ in range(self.random.randrange(STEPS // 2, STEPS)):
            self.shop() if self.random.random() < 0.5 else self.step()
        self.faults = False
        while any(self.positions[shard] < len(records) for shard, records in enumerate(self.shards)):
            for shard in range(len(self.shards)):
                self.announce(shard)
        self.check()

    # -------------------------------------------------------------- receiver

    def check(self) -> None:
        """Compares the received events with the stored values, outcomes and purges. Raises Failure."""
        events: dict[str, Any] = {}
        for one in self.received:
            before = events.setdefault(one["id"], one)
            if without_lookup(before) != without_lookup(one):
                self._fail(f"two events have one id: {before} and {one}")
        self._check_chains([e for e in events.values() if e["type"] == "lifetime_value.changed"])
        announced = {
            (e["subject"], e["type"].partition(".")[2]) for e in events.values() if e["type"].startswith("order.")
        }
        if announced != self.outcomes:
            self._fail(
                f"outcomes that are not announced, or announced without being recorded: {announced ^ self.outcomes}"
            )
        purged = [e["data"] for e in events.values() if e["type"] == "orders.purged"]
        if sorted((p["account_id"], p["source"]) for p in purged) != sorted(p[:2] for p in self.purges):
            self._fail(f"announced purges {purged}, not {self.purges}")

    def _check_chains(self, changes: list[Any]) -> None:
        """Checks that each change begins with the value after the previous one, and that the last value is stored."""
        chains: dict[tuple[Any, ...], list[Any]] = {}
        for one in sorted(changes, key=lambda change: change["sequence"]):
            data = one["data"]
            generation = int(one["sequence"].partition(".")[0])
            scope = Scope(data["account_id"], data["source"], generation)
            chains.setdefault((scope, data["person"]["id"], data["currency"]), []).append(data)
            cause = data["cause"]
            if cause and (cause["request_id"] not in self.requests):
                self._fail(f"the cause is no request of a shop: {data}")
            if cause and data["order"] and self.requests[cause["request_id"]] != data["order"]["order_id"]:
                self._fail(f"the order is not that of the causing request: {data}")
        # Changes of purged generations are not announced: one that the bus refused before the purge never arrives.
        chains = {key: chain for key, chain in chains.items() if self._is_current(key[0])}
        for key, chain in chains.items():
            for previous, change in zip([{"after": "0.00"}, *chain], chain, strict=False):
                if previous["after"] != change["before"]:
                    self._fail(f"an event is missing or out of order: {key}: {previous}, {change}")
        stored = self._stored()
        announced = {key: chain[-1]["after"] for key, chain in chains.items()}
        for key in {*stored, *announced}:
            if stored.get(key, "0.00") != announced.get(key, "0.00"):
                self._fail(f"{key}: {stored.get(key)} is stored, and {announced.get(key)} was announced")

    def _is_current(self, scope: Scope) -> bool:
        return self.generations[scope.account, scope.source] == scope.generation

    def _stored(self) -> dict[tuple[Any, ...], str]:
        """The lifetime values in the ledger, by (scope, person, currency)."""
        found: dict[tuple[Any, ...], Decimal] = {}
        for (pk, sk), item in self.store.tables[LEDGER].items.items():
            if "/p/" in pk and self._is_current(Scope.of(pk)):
                # Cells named `#…` count orders. `*` is the sum of orders without a currency.
                for name, amount in person_of(plain_item(item)).cells.items():
                    if name[0] != "#":
                        key = Scope.of(pk), sk, "USD" if name == "*" else name
                        found[key] = found.get(key, Decimal(0)) + amount
        return {key: text(amount) for key, amount in found.items()}

    def _fail(self, what: str) -> None:
        raise Failure(f"seed {self.seed}: {what}")


def without_lookup(one: Any) -> Any:
    """The event without the data that the announcer looks up: when the event is sent again, the data may be erased."""
    return one | {"data": {name: value for name, value in one["data"].items() if name not in ("order", "cause")}}


@contextmanager
def seams(run: Run) -> Iterator[None]:
    """Replaces the clock and random ids by those of the run, and discards logs and metrics."""
    silent = SimpleNamespace(warning=lambda *_, **__: None)
    began, moments = 1_795_219_200, iter(range(10**9))  # 2026-11-21
    clock = SimpleNamespace(
        time=lambda: float(began), time_ns=lambda: began * 10**9 + next(moments) * 1000, sleep=lambda _: None,
        gmtime=time.gmtime, strftime=time.strftime,
    )  # fmt: skip

    with (
        patch.object(announcing, "logger", silent),
        patch.object(announcing, "count", lambda *_: None),
        patch.object(announcing, "measure", lambda *_: None),
        patch.object(times, "time", clock),
        patch.object(times, "os", SimpleNamespace(urandom=run.random.randbytes)),
    ):
        yield


def simulate(seed: int) -> str:
    """Runs the history of this seed. Returns a description of its failure, empty if there is none."""
    run = Run(seed)
    try:
        with seams(run):
            run.run()
    except Failure as failure:
        return str(failure)
    return ""
