"""A large account in memory, and a client that counts calls, units and the virtual time of the calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tests.audience_run.costs import BOOK_INDEXES, INDEXES, read_units, size, write_units
from tests.simulation.store import DynamoDB
from tillbook.aws.items import Item, raw, raw_value
from tillbook.ledger.items import LEAST_BYTES_OF_EVENT, MOST_BYTES_OF_ORDER, ActivityHead, EventItem, Scope
from tillbook.rules import times
from tillbook.rules.addresses import match_key
from tillbook.rules.identity import Person, order_key
from tillbook.rules.order import Event, OrderState, stamp_of, step
from tillbook.rules.packing import pack

ACCOUNT, LEDGER, RECORDS, BOOK, REMOVALS = "1234567", "ledger", "records", "book", "removals"
SCOPE = Scope(ACCOUNT, "shopper_activity")
PROVIDER = "my_shop"
# Three people: MANY has many orders, FULL has the order with the most events, LARGE has the order with the most bytes.
MANY, FULL, LARGE = (Person("person", name) for name in ("many-orders", "a-full-order", "a-large-order"))
ADDRESS = {"address_1": "1 Main Street", "city": "Springfield", "state": "IL", "postal_code": "62701"}
_PAGE_BYTES = 1_048_576  # the most that a page of a query reads
_BEGIN = times.stamp(times.to_datetime("20240101000000000000"))


@dataclass
class Meter:
    """A client of the store that counts calls and units. `seconds`: the virtual time of its calls."""

    store: DynamoDB
    call_seconds: float = 0.0
    calls: int = 0
    reads: float = 0
    writes: float = 0
    seconds: float = 0

    def begin(self) -> None:
        """Sets all counts to 0."""
        self.calls, self.reads, self.writes, self.seconds = 0, 0, 0, 0.0

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        call = getattr(self.store, operation)

        def metered(**arguments: Any) -> Any:
            pages = self._read(operation, arguments)
            self.calls += pages
            self.seconds += pages * self.call_seconds
            self.store.watch = self._written(2 if operation == "transact_write_items" else 1)
            try:
                answer = call(**arguments)
            finally:
                self.store.watch = lambda *_: None
            return answer

        return metered

    def _read(self, operation: str, arguments: dict[str, Any]) -> int:
        """Counts the units of a read, which are of whole items even with a projection. Returns the number of pages."""
        if operation not in ("query", "get_item", "batch_get_item"):
            return 1
        whole = {k: v for k, v in arguments.items() if k not in ("ProjectionExpression", "ExpressionAttributeNames")}
        answer = getattr(self.store, operation)(**whole)
        self.reads += _units(operation, arguments, answer)
        return max(1, -(-sum(map(size, answer.get("Items", ()))) // _PAGE_BYTES))

    def _written(self, factor: int) -> Callable[..., None]:
        """A watch that counts the units of each write. `factor`: 2 in a transaction, else 1."""

        def watch(name: str, _key: Any, old: Any, new: Any) -> None:
            self.writes += factor * write_units(old, new)
            for index in self.store.tables[name].indexes.values():
                # An entry that moves is deleted and written, counted as one unit each, in a transaction too.
                was, now = index.place(old), index.place(new)
                self.writes += ((was is not None) + (now is not None)) if was != now else 0

        return watch


def _units(operation: str, arguments: dict[str, Any], answer: dict[str, Any]) -> float:
    if operation == "query":
        consistent = bool(arguments.get("ConsistentRead"))
        return read_units(sum(map(size, answer.get("Items", ()))), consistent=consistent)
    if operation == "get_item":
        return read_units(size(answer.get("Item", {})), consistent=bool(arguments.get("ConsistentRead")))
    if operation == "batch_get_item":
        units = 0.0
        for name, request in arguments["RequestItems"].items():
            found = answer["Responses"][name]
            sizes = [*map(size, found), *[0] * (len(request["Keys"]) - len(found))]
            units += sum(read_units(one, consistent=bool(request.get("ConsistentRead"))) for one in sizes)
        return units
    return 0


@lru_cache(maxsize=4096)
def _shared(value: Any) -> Any:
    return raw_value(value)


def _raw(item: Item) -> Any:
    """The item as aws/items.py converts it. Equal values are shared, to save memory with a million items."""
    return {name: raw_value(value) if name == "sk" else _shared(value) for name, value in item.items()}


class Fill:
    """Fills the tables with the items of one account."""

    def __init__(self) -> None:
        self.store = DynamoDB()
        self.store.add_table(LEDGER, **INDEXES)
        self.store.add_table(RECORDS)
        self.store.add_table(BOOK, **BOOK_INDEXES)
        self.store.add_table(REMOVALS)
        self.ledger = self.store.tables[LEDGER]
        self._match_key = match_key(ADDRESS)
        self._body = pack({"provider": PROVIDER, "action": "placed", "grand_total": 10, "shipping_address": ADDRESS})

    def account(self) -> None:
        """Adds the settings of the account."""
        item = {"pk": f"{ACCOUNT}/a", "sk": "a", "currency": "USD", "sources": "orders_api shopper_activity"}
        self.store.tables[RECORDS].put((item["pk"], "a"), raw(item))

    def person(self, person: Person, orders: int) -> None:
        """Adds a person whose LTV and count are those of `orders` orders of 10 dollars; `order` adds the orders."""
        own = person.id_in(ACCOUNT)
        item = SCOPE.person_key(own) | {"kind": person.kind, "value": person.value, "token": times.uuid7()}
        self._put(item | {"USD": Decimal(10 * orders), "#USD": Decimal(orders)})

    def orders(self, count: int, people: list[Person], prefix: str) -> Iterator[int]:
        """Adds orders of one event each. Yields the number of orders so far."""
        for number in range(count):
            self.order(f"{prefix}{number}", people[number % len(people)], number, 1)
            yield number + 1

    def order(self, order_id: str, person: Person, second: int, events: int, body: bytes = b"") -> None:
        """Adds an order whose events begin `second` seconds after _BEGIN. `body`: the packed body of each event."""
        key, own, state = order_key(SCOPE.source, PROVIDER, order_id), person.id_in(ACCOUNT), OrderState()
        occurred = times.shift(_BEGIN, seconds=second)
        for number in range(events):
            event_id = f"{number:022d}"
            stamp = stamp_of(times.shift(occurred, seconds=number), occurred, 0, event_id)
            event = Event(stamp, "placed", own, Decimal(10), currency="USD", shipping=None if body else self._match_key)
            state = step(state, event)
            item = EventItem(
                times.uuid7(), "", stamp, SCOPE.timeline(own), event.action, event.total, currency="USD",
                shipping=event.shipping, body=body or self._body,
            )  # fmt: skip
            self._put(item.item(SCOPE, key, event_id))
        stored_bytes = min(events * max(LEAST_BYTES_OF_EVENT, len(body)), MOST_BYTES_OF_ORDER)
        self._put(ActivityHead(PROVIDER, order_id, events, stored_bytes, state).item(SCOPE, key))

    def _put(self, item: Item) -> None:
        self.ledger.put((item["pk"], item["sk"]), _raw({k: v for k, v in item.items() if v is not None}))
        # No read returns the state before the fill, as a read that lags would.
        self.ledger.before.clear()
