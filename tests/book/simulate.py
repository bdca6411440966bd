"""Runs one history of the book: orders, keepers, reports and faults, and in the end the comparison with the auditor."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.audience_run.costs import BOOK_INDEXES
from tests.book.auditor import Expected, Order, Sent
from tests.simulation.deployment import LEDGER_INDEXES
from tests.simulation.errors import client_error
from tests.simulation.scheduler import Scheduler, Task
from tests.simulation.seams import OneByOne
from tests.simulation.store import DynamoDB
from tests.stream import Record, Stream
from tillbook.aws.items import Item, raw
from tillbook.contract.document import digest, document_of
from tillbook.ledger.activities import Activity
from tillbook.ledger.commit import Pace, Store
from tillbook.ledger.items import Scope
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import V1Request
from tillbook.records import book as records
from tillbook.records.book import Book
from tillbook.records.outcomes import Outcomes
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.addresses import match_keys
from tillbook.rules.errors import NotFound, Unavailable
from tillbook.rules.identity import SOURCE_LETTER, SOURCES, Person, Source, order_key
from tillbook.rules.times import stamp
from tillbook.views import ranking, sales
from tillbook.views.sales import Days, size_of
from tillbook.work import book
from tillbook.work.book import Keeper

ACCOUNT, LEDGER, RECORDS, BOOK = "1234567", "ledger", "records", "book"
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
FIRST = datetime(2026, 10, 30, tzinfo=UTC)  # clocks go back in New York two days later
DAYS, STEPS = 4, 40
# A write whose answer is lost takes effect within LATE_SECONDS. LIFE_SECONDS: the usual time-out of a function.
LATE_SECONDS, LIFE_SECONDS = 30.0, 60.0
NO_DEADLINE = 1e9  # seconds of the run's clock, long after its end
_WRITES = ("put_item", "update_item", "delete_item")
# All reports are of this period, which contains every order.
PERIOD = date(2026, 10, 1), date(2026, 11, 30)
# The class that adds up each kind of report.
KINDS: dict[str, Any] = {sales.SALES: sales.Sums, sales.ITEMS: sales.Sums, ranking.PEOPLE: ranking.Buyers}


class Failure(AssertionError):
    """A report or a card of the book is wrong."""


class Client:
    """The client of a task: each call takes time, and may fail, lose its answer, or take effect later."""

    def __init__(self, run: Run, *, faults: bool) -> None:
        self._run, self._faults = run, faults
        self.exceptions = run.store.exceptions

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call, run = getattr(self._run.store, name), self._run

        def faulty(**arguments: Any) -> Any:
            run.scheduler.pause(run.random.random())
            if not (self._faults and run.faults):
                return run.cut(name, arguments, call(**arguments))
            chance = run.random.random()
            if chance < 0.03:
                raise client_error("ThrottlingException", name)
            if chance < 0.06 and name in _WRITES:
                run.late(call, arguments)
                raise ReadTimeoutError(endpoint_url="")
            answer = run.cut(name, arguments, call(**arguments))
            run.scheduler.pause(run.random.random())
            if chance < 0.09:
                raise ReadTimeoutError(endpoint_url="")
            return answer

        return faulty


class Run:
    """One history. `faults`: whether calls of keepers and reports may meet faults."""

    def __init__(self, seed: int) -> None:
        self.random, self.seed, self.faults = random.Random(seed), seed, True
        self.scheduler = Scheduler()
        self.store = DynamoDB(lambda: self.scheduler.now)
        self.store.add_table(LEDGER, **LEDGER_INDEXES)
        self.store.add_table(RECORDS)
        self.store.add_table(BOOK, **BOOK_INDEXES)
        self.store.watch = self._watch
        self.stream = Stream(self.random)
        self.orders: dict[tuple[str, str], Order] = {}
        self.generations = dict.fromkeys(SOURCES, 0)
        self.zone = self.random.choice(ZONES)
        # Writes of shops meet no faults here: tests/simulation injects them.
        pace = Pace(lambda: self.scheduler.now, lambda _: None, self.random.random)
        self.ledger = Ledger(self.store, LEDGER, pace)
        self.received = 0  # the number of requests so far
        self.summaries: set[str] = set()  # sort keys of all summaries that were ever written

    def _watch(self, table: str, key: Any, old: Any, new: Any) -> None:
        if table == LEDGER:
            self.stream.changed(old, new)
        if "/summaries" in key[0]:
            self.summaries.add(key[1])

    def late(self, call: Callable[..., Any], arguments: dict[str, Any]) -> None:
        """Makes a write later, or, with probability 0.2, never."""

        def land() -> None:
            with suppress(ClientError):  # a condition that no longer holds
                call(**arguments)

        if self.random.random() < 0.8:
            self.scheduler.at(self.scheduler.now + self.random.random() * LATE_SECONDS, land)

    def cut(self, name: str, arguments: dict[str, Any], answer: Any) -> Any:
        """Ends the page of a query anywhere, as if it had reached 1 MB."""
        if name == "query" and len(answer["Items"]) > 1 and self.random.random() < 0.3:
            return self.store.cut(answer, arguments, self.random.randrange(1, len(answer["Items"])))
        return answer

    # ----------------------------------------------------------------- shops

    def moment(self) -> datetime:
        """A random time of an order. Half are midnight UTC, the date of an order without a time."""
        moment = FIRST + timedelta(days=self.random.randrange(DAYS))
        return moment + timedelta(seconds=self.random.choice([0, self.random.randrange(86_400)]))

    def scope(self, source: Source) -> Scope:
        return Scope(ACCOUNT, source, self.generations[source])

    def shop(self) -> None:
        """Makes one random request of a shop or an admin."""
        chance, order_id = self.random.random(), str(self.random.randrange(4))
        self.received += 1
        if chance < 0.45:
            self._activity(order_id)
        elif chance < 0.85:
            self._v1(order_id)
        elif chance < 0.95:
            self._erase(order_id)
        else:
            source = self.random.choice(SOURCES)
            self.generations[source] += 1
            mark: Item = {
                "pk": f"{ACCOUNT}/u", "sk": SOURCE_LETTER[source],
                "generation": self.generations[source], "cut": self._now(),
            }  # fmt: skip
            self.store.put_item(TableName=RECORDS, Item=raw(mark))
            self.orders = {key: order for key, order in self.orders.items() if key[0] != source}

    def _now(self) -> str:
        return stamp(datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=self.received))

    def _amount(self) -> Decimal:
        return Decimal(self.random.randrange(0, 9999)) / 100

    def _activity(self, order_id: str) -> None:
        order = self.orders.setdefault(("shopper_activity", order_id), Order("shopper_activity", "shop"))
        action = self.random.choice(["placed", "placed", "updated", "refunded", "canceled", "voided"])
        body: dict[str, Any] = {"provider": "shop", "order_id": order_id, "action": action}
        if action != "voided":
            body |= {"grand_total": self._amount()} if self.random.random() < 0.6 else {}
            body |= {"refund_amount": self._amount()} if action in ("refunded", "canceled") else {}
            body |= {"currency": self.random.choice(["USD", "EUR"])} if self.random.random() < 0.5 else {}
            body |= {"properties": self._properties()} if self.random.random() < 0.6 else {}
            body |= {"items": self._items("sku", "categories", "price")} if self.random.random() < 0.6 else {}
            body |= self._addresses()
        person = self.random.choice(["ann", "bob"]) if action != "voided" else ""
        occurred = self.moment()
        activity = Activity(
            ACCOUNT, "shop", order_id, f"event-{self.received}", f"request-{self.received}", stamp(occurred),
            self._now(), 0, action, Person("person", person) if person else None, body, body.get("grand_total"),
            body.get("refund_amount", Decimal(0)), body.get("currency", ""),
            *match_keys(body.get("shipping_address"), body.get("billing_address")),
        )  # fmt: skip
        (result,) = self.ledger.apply(self.scope("shopper_activity"), [activity], NO_DEADLINE)
        assert not isinstance(result, Exception), result
        order.events.append(Sent(occurred, self.received, action, person, body))

    def _addresses(self) -> dict[str, Any]:
        address = {"address_1": "1 First St", "postal_code": "10001", "country": "USA"}
        return {name: address for name in ("shipping_address", "billing_address") if self.random.random() < 0.3}

    def _properties(self) -> dict[str, Any]:
        codes = {"promo_code": "Spring"} if self.random.random() < 0.4 else {"discount_code": "SPRING"}
        return codes | ({"new_buyer": self.random.random() < 0.5} if self.random.random() < 0.5 else {})

    def _items(self, identifier: str, category: str, amount: str) -> list[dict[str, Any]]:
        return [
            {
                identifier: self.random.choice("abc"), category: [self.random.choice(["Shoes", "Hats"]), "All"],
                "quantity": self.random.randrange(1, 4), amount: self._amount(), "product_id": "p",
            }
            for _ in range(self.random.randrange(3))
        ]  # fmt: skip

    def _v1(self, order_id: str) -> None:
        order = self.orders.setdefault(("orders_api", order_id), Order("orders_api"))
        request = V1Request(self.scope("orders_api"), times.uuid7(), self._now(), lambda people: {})
        if order.body is not None and self.random.random() < 0.25:
            self.ledger.delete(request, order_id, NO_DEADLINE)
            order.body = None
            return
        moment = self.moment()
        body: dict[str, Any] = {
            "order_id": order_id, "order_date": stamp(moment), "currency": self.random.choice(["USD", "EUR"]),
            "customer_id": self.random.choice(["ann", "bob"]), "total": self._amount(),
            "metadata": {"new_buyer": self.random.choice(["true", "false"])}
            | ({"promo_code": self.random.choice(["SPRING", "spring "])} if self.random.random() < 0.5 else {}),
            "order_items": self._items("identifier", "category", "total"),
        } | self._addresses()  # fmt: skip
        if order.body is None:
            self.ledger.submit(request, document_of(body), new_id="id", digest=digest(body), deadline=NO_DEADLINE)
        else:
            self.ledger.edit(request, order_id, lambda _: document_of(body), NO_DEADLINE)
        labels = {name: text.strip() for name, text in body["metadata"].items()}
        order.body, order.date = body | {"metadata": labels}, moment

    def _erase(self, order_id: str) -> None:
        """Empties the events of an order that name a random person, as the job of an erasure does."""
        source, name = self.random.choice(SOURCES), self.random.choice(["ann", "bob"])
        order = self.orders.get((source, order_id))
        if order is None:
            return
        person = Person("customer" if source == "orders_api" else "person", name).id_in(ACCOUNT)
        key = order_key(source, order.provider, order_id)
        self.ledger.empty(self.scope(source), key, person, self._now(), lambda: True, NO_DEADLINE)
        if source == "shopper_activity":
            order.events = [event for event in order.events if event.person != name]
        elif order.body is not None and order.body["customer_id"] == name:
            order.body = None

    # -------------------------------------------------------- keepers, reports

    def keeper(self, *, faults: bool = True) -> Keeper:
        client = Client(self, faults=faults)
        pace = Pace(lambda: self.scheduler.now, lambda s: self.scheduler.pause(s), self.random.random)
        store, scopes = Store(client, LEDGER, pace), Scopes(client, RECORDS)
        return Keeper(store, Book(client, BOOK), scopes, Outcomes(client, RECORDS), lambda: self.scheduler.now)

    def keep(self, batch: list[Record], *, faults: bool = True) -> None:
        seconds = self.random.choice([LIFE_SECONDS, 2 * book._LAST_SECONDS])
        self.stream.keep(self.keeper(faults=faults), batch, seconds)

    def report(self, *, faults: bool = True) -> None:
        """Reads every report and the size of each audience. Some of these run out of time."""
        for source in SOURCES:
            for kind in KINDS:
                with suppress(Unavailable):
                    self.days(Client(self, faults=faults), kind).of(self.scope(source), kind, *PERIOD)
            with suppress(Unavailable):
                size_of(Book(Client(self, faults=faults), BOOK), self.scope(source), self.may_go_on)

    def may_go_on(self) -> bool:
        return self.random.random() < 0.8

    def days(self, client: Any, kind: str, *, always: bool = False) -> Days:
        return Days(Book(client, BOOK), self.zone, (lambda: True) if always else self.may_go_on, KINDS[kind])

    def guarded(self, work: Callable[[], Any]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                work()
            except Exception as error:
                # The stream delivers the batch again. Any error that is no injected fault is a bug.
                if not isinstance(error, ReadTimeoutError) and "ThrottlingException" not in str(error):
                    raise

        return guarded

    def run(self) -> None:
        moment = 0.0
        for _ in range(self.random.randrange(STEPS // 2, STEPS)):
            moment += self.random.random() * 4
            if self.random.random() < 0.5:
                self.scheduler.at(moment, self.shop)
            if self.random.random() < 0.4:
                self._task(moment, lambda: self.keep(self.stream.batch()) if self.stream.records else None)
            if self.random.random() < 0.25:
                self._task(moment, self.report)
        self.scheduler.run()
        # Unacknowledged records are delivered again, by a keeper without faults, while reports continue.
        self.faults = False
        while rest := self.stream.left():
            batch = self.random.sample(rest, min(len(rest), 5))
            self.scheduler.at(self.scheduler.now, Task("keeper", lambda b=batch: self.keep(b, faults=False)))  # type: ignore[misc]
            self.scheduler.at(self.scheduler.now, Task("report", lambda: self.report(faults=False)))
            self.scheduler.run()
        self.check()

    def _task(self, moment: float, work: Callable[[], Any]) -> None:
        task = Task("task", self.guarded(work))
        if self.random.random() < 0.4:
            task.kill_at = moment + self.random.random() * LIFE_SECONDS / 3
        self.scheduler.at(moment, task)

    # ----------------------------------------------------------------- the end

    def check(self) -> None:
        expected = Expected()
        for order in self.orders.values():
            expected.add(order, ZoneInfo(self.zone))
        self._compare("with the stored summaries", expected)
        summaries = [key for key in self.store.tables[BOOK].items if key[0].endswith("/summaries")]
        for pk, sk in summaries:
            self.store.delete_item(TableName=BOOK, Key=raw({"pk": pk, "sk": sk}))
        self._compare("without the stored summaries", expected)
        self._compare_names()
        self._compare_purged()

    def _compare(self, when: str, expected: Expected) -> None:
        people = {(*key[:3], _id_of(key[0], key[3])): sums for key, sums in expected.people.items()}
        for kind, wanted in ((sales.SALES, expected.sales), (sales.ITEMS, expected.items), (ranking.PEOPLE, people)):
            found: dict[Any, list[Decimal]] = {}
            for source in SOURCES:
                days = self.days(self.store, kind, always=True).of(self.scope(source), kind, *PERIOD)
                for day, rows, _, late in days:
                    if late:
                        raise Failure(f"{when}, seed {self.seed}: {day} is reported as late")
                    for key, numbers in _cells(kind, rows):
                        found[source, day, *key] = numbers
            if found != dict(wanted):
                differ = {k: (found.get(k), wanted.get(k)) for k in {*found, *wanted} if found.get(k) != wanted.get(k)}
                raise Failure(f"{when}, seed {self.seed}, {self.zone}, {kind}: {differ}")
        for source in SOURCES:
            size = size_of(Book(self.store, BOOK), self.scope(source), lambda: True)
            if [size.orders, size.records] != expected.sizes[source]:
                raise Failure(f"{when}, seed {self.seed}: the size of {source} is {size}, not {expected.sizes[source]}")

    def _compare_names(self) -> None:
        """Checks that exactly the listed orders are found by their ids, each at the place of its card."""
        for source in SOURCES:
            scope, stored = self.scope(source), Book(self.store, BOOK)
            found = stored.places_named(scope, records.BY_ORDER_ID, "", 10_000)
            cards = {
                place: card for month in stored.months(scope) for place, card in stored.cards(scope, month, f"{month}~")
            }
            listed = {place: records.name_of(card.order_id) for place, card in cards.items() if card.shows}
            if found != listed:
                raise Failure(f"seed {self.seed}: found by id {found}, not {listed}")

    def _compare_purged(self) -> None:
        """Checks that each month with cards of a purged scope has a mark: a purge finds cards by the marks of days."""
        for pk, _ in self.store.tables[BOOK].items:
            name, _, month = pk.partition("/cards/")
            scope = Scope.of(pk)
            if month and scope != self.scope(scope.source):
                marked = {day[:6] for other_pk, day in self.store.tables[BOOK].items if other_pk == f"{name}/marks"}
                if month not in marked:
                    raise Failure(f"seed {self.seed}: no mark shows the cards of {pk}")


def _id_of(source: str, name: str) -> str:
    return Person("customer" if source == "orders_api" else "person", name).id_in(ACCOUNT)


def _cells(kind: str, rows: Any) -> list[tuple[Any, list[Decimal]]]:
    """(key, numbers) of each cell of a day's rows, as in the dictionaries of `Expected`."""
    if kind != ranking.PEOPLE:
        return [(key, [Decimal(cell.orders), *cell.numbers]) for key, cell in sales.cells_of(kind, rows).items()]
    found = ranking.Buyers.of({kind: rows}).found
    return [(key, [Decimal(orders), net]) for key, (orders, net) in found.items()]


@contextmanager
def seams() -> Iterator[None]:
    """Replaces limits by small ones, the clock by a fixed one and threads by a loop, and discards logs and metrics."""
    silent = SimpleNamespace(warning=lambda *_, **__: None)
    with (
        patch.object(book, "ThreadPoolExecutor", OneByOne),
        patch.object(book, "logger", silent),
        patch.object(book, "count", lambda *_: None),
        patch.object(book, "measure", lambda *_: None),
        patch.object(records, "_PART_BYTES", 100),
        patch.object(sales, "_CARDS_BETWEEN_LOOKS_AT_THE_CLOCK", 1),
        patch.object(times, "now", lambda: "20261121000000000000"),
    ):
        yield


def simulate(seed: int) -> str:
    """Runs the history of this seed. Returns a description of its failure, empty if there is none."""
    try:
        with seams():
            Run(seed).run()
    except (Failure, NotFound) as failure:
        return str(failure)
    return ""
