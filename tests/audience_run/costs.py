"""python -m tests.audience_run.costs: prints the cost of a match, a page of members and an order.

Each column is for an account with another number of orders. The code runs against a store in memory. Units are
computed from the bytes of every item that a call evaluates or writes, as DynamoDB counts them. `--endpoint
http://127.0.0.1:8000` also prints the units that DynamoDB Local counts.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.handlers import template
from tests.simulation.progress import Progress
from tests.simulation.store import DynamoDB
from tillbook.ledger.activities import Result
from tillbook.ledger.items import Scope
from tillbook.ledger.ledger import Ledger
from tillbook.records.messages import QueuedOrder
from tillbook.records.scopes import Mark, Marks
from tillbook.rules import times
from tillbook.rules.identity import Source
from tillbook.views.audiences import Audiences
from tillbook.views.match import match

ACCOUNT, TABLE = "1234567", "ledger"
SOURCE: Source = "shopper_activity"
SCOPE = Scope(ACCOUNT, SOURCE)
# The marks of an account that was never purged. Reads of the records table are not measured here.
MARKS = Marks(ACCOUNT, {"orders_api": Mark(), "shopper_activity": Mark()}, {})


_TABLES = template.resources("AWS::DynamoDB::Table")


def indexes_of(table: str) -> dict[str, tuple[str, ...]]:
    """Partition and sort key of each index of a table in template.yaml, by name of the index."""
    found = _TABLES[table]["GlobalSecondaryIndexes"]
    return {index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"]) for index in found}


INDEXES, BOOK_INDEXES = indexes_of("LedgerTable"), indexes_of("BookTable")
SIZES = (100, 1_000, 10_000, 100_000)
SAMPLES = 20  # calls of each kind; a cost is the mean of their units
TOLERANCE = 0.05  # the largest `spread` of a cost that does not grow

Raw = dict[str, Any]


# ----------------------------------------------------------------- units


def size(item: Raw) -> int:
    """The size of an item in bytes, as DynamoDB counts it: its names and values. Values are no lists and no maps."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        sign, digits, exponent = Decimal(content).normalize().as_tuple()
        # Two digits in a byte, with the decimal point between bytes; a byte for the exponent, and one for a minus.
        odd = 1 if isinstance(exponent, int) and exponent % 2 else 0
        return math.ceil((len(digits) + odd) / 2) + 1 + sign
    return len(content) if kind == "B" else 1


def read_units(size_in_bytes: int, *, consistent: bool) -> float:
    return max(1, math.ceil(size_in_bytes / 4096)) * (1.0 if consistent else 0.5)


def write_units(*items: Raw | None) -> int:
    """Units of one write, by the larger of the item before and after it; one if both are None."""
    return max((math.ceil(size(item) / 1024) for item in items if item is not None), default=1)


@dataclass
class Meter:
    """A client of the store in memory that counts units. Thread-safe."""

    store: DynamoDB
    units: float = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get_item(self, **arguments: Any) -> Any:
        with self.lock:
            answer = self.store.get_item(**arguments)
            self.units += read_units(size(answer.get("Item", {})), consistent=bool(arguments.get("ConsistentRead")))
            return answer

    def batch_get_item(self, **arguments: Any) -> Any:
        with self.lock:
            answer = self.store.batch_get_item(**arguments)
            for name, request in arguments["RequestItems"].items():
                found = answer["Responses"][name]
                consistent = bool(request.get("ConsistentRead"))
                self.units += sum(read_units(size(item), consistent=consistent) for item in found)
                self.units += (len(request["Keys"]) - len(found)) * read_units(0, consistent=consistent)
            return answer

    def query(self, **arguments: Any) -> Any:
        with self.lock:
            # DynamoDB bills evaluated items in full. The code uses no filter, so these are the returned ones.
            answer = self.store.query(**{k: v for k, v in arguments.items() if k != "ProjectionExpression"})
            assert answer["ScannedCount"] == len(answer["Items"])
            total = sum(map(size, answer["Items"]))
            self.units += read_units(total, consistent=bool(arguments.get("ConsistentRead")))
            return answer

    def transact_write_items(self, **arguments: Any) -> Any:
        with self.lock:
            written: list[float] = []
            indexes = self.store.tables[TABLE].indexes  # the only table that is written here

            def watch(_name: str, _key: Any, old: Raw | None, new: Raw | None) -> None:
                written.append(2.0 * write_units(old, new))
                # An entry that moves is deleted and written, counted as one unit each, in a transaction too.
                for index in indexes.values():
                    was, now = index.place(old), index.place(new)
                    if was != now:
                        written.append(float((was is not None) + (now is not None)))

            self.store.watch = watch
            try:
                answer = self.store.transact_write_items(**arguments)
            finally:
                self.store.watch = lambda *_: None
            self.units += sum(written)
            return answer


@dataclass
class LocalMeter:
    """Adds up the consumed capacity that DynamoDB Local returns with each answer of `client`. Thread-safe."""

    client: Any
    units: float = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            answer = getattr(self.client, name)(**arguments, ReturnConsumedCapacity="INDEXES")
            capacity = answer.get("ConsumedCapacity") or []
            with self.lock:
                for part in capacity if isinstance(capacity, list) else [capacity]:
                    self.units += part["CapacityUnits"]
            return answer

        return call


# ------------------------------------------------------------------- orders


def address(n: int) -> dict[str, Any]:
    return {
        "first_name": "Ship", "last_name": "Shipington", "company": "Shipping 4 Less", "address_1": f"{n} Ship St.",
        "city": "Shipville", "state": "CA", "postal_code": f"{n % 90_000 + 10_000:05d}", "country": "United States",
        "phone": "555-555-5555",
    }  # fmt: skip


def order(n: int) -> QueuedOrder:
    """The n-th order, about as large as the published example. Orders with two equal addresses, one address, two
    different ones and none alternate."""
    addresses = [{"shipping": n, "billing": n}, {"shipping": n}, {"shipping": n, "billing": n + 5_000_000}, {}][n % 4]
    item = {
        "product_id": "B01J4SWO1G", "sku": "XHB-1234", "name": "The Coolest Water Bottle", "brand": "Drip",
        "categories": ["Accessories"], "price": Decimal("11.16"), "quantity": Decimal(2), "total": Decimal("23.99"),
        "product_url": "https://mysuperstore.com/dp/B01J4SWO1G",
    }  # fmt: skip
    body: dict[str, Any] = {
        "provider": "my_custom_platform", "action": "placed", "order_id": f"{n:08d}", "grand_total": Decimal("22.99"),
        "total_taxes": Decimal(1), "currency": "USD", "order_url": f"https://mysuperstore.com/order/{n:08d}",
        "items": [item],
    }  # fmt: skip
    body |= {f"{kind}_address": address(a) for kind, a in addresses.items()}
    # Ids and hashes have a fixed length, and stamps do not end in zeros, which their ISO texts omit. So the size of an
    # order depends only on its addresses.
    received = times.shift("20261122000000000001", milliseconds=n)
    return QueuedOrder(
        ACCOUNT, f"019a0000-0000-7000-8000-{n:012d}", received, 0, f"{n:022d}", received,
        ["email", f"{n:064x}"], body,
    )  # fmt: skip


def store() -> DynamoDB:
    made = DynamoDB()
    made.add_table(TABLE, **INDEXES)
    return made


# -------------------------------------------------------------------- costs


@dataclass(frozen=True)
class Costs:
    """Units of a match of ten people, a page of 50 members and a placed order.

    tests.book.size measures the cost of an audience's size.
    """

    match: float
    page: float
    order: float

    @classmethod
    def measured(cls, client: Any, orders: int, chance: random.Random) -> Costs:
        """Measures an account with that many orders, and adds SAMPLES orders to it."""
        audiences, ledger = Audiences(client, TABLE, MARKS), Ledger(client, TABLE)

        def mean(samples: list[Callable[[], Any]]) -> float:
            client.units = 0
            for sample in samples:
                sample()
            return float(client.units) / len(samples)

        def people() -> dict[str, Any]:
            # Ten people: two addresses and two e-mail addresses of orders, and six of people without an order.
            known = [chance.randrange(orders) // 4 * 4 for _ in range(4)]  # orders with equal addresses
            entries: list[dict[str, Any]] = [{"address": address(n)} for n in known[:2]]
            entries += [{"address": address(n + 7_000_000)} for n in known[:3]]
            entries += [{"email_sha256": f"{n:064x}"} for n in known[2:]]
            entries += [{"email_sha256": f"{n + 10**9:064x}"} for n in known[:2]]
            return {"people": [*entries, {"customer_id": "c-1"}]}

        return cls(
            mean([lambda: match(client, TABLE, SCOPE, people()) for _ in range(SAMPLES)]),
            mean([lambda c=c: audiences.members(SOURCE, 50, c) for c in _cursors(audiences)]),  # type: ignore[misc]
            mean([lambda n=n: _apply(ledger, n) for n in range(orders, orders + SAMPLES)]),  # type: ignore[misc]
        )


def _cursors(audiences: Audiences) -> list[str | None]:
    """The cursors of the first pages with 50 members, at most SAMPLES. The last page of the audience may be smaller."""
    found: list[str | None] = []
    cursor = None
    while len(found) < SAMPLES:
        page = audiences.members(SOURCE, 50, cursor)
        if len(page.records) < 50:
            break
        assert len(page.records) <= 51  # the two records of an order are on one page
        found.append(cursor)
        if (cursor := page.cursor) is None:
            break
    return found


def _apply(ledger: Ledger, n: int) -> None:
    """Applies the n-th order."""
    (result,) = ledger.apply(SCOPE, [order(n).activity()], time.monotonic() + 60)
    assert isinstance(result, Result)
    assert result.status == "applied"


NAMES = {"match": "match of 10 people", "page": "page of 50 members", "order": "one placed order"}


def grown(
    sizes: tuple[int, ...], *, quiet: bool = True, look: Callable[[int, DynamoDB], None] | None = None
) -> dict[int, Costs]:
    """Costs by number of orders, of one account that grows. `look` is called at each size, before measuring."""
    memory = store()
    meter = Meter(memory)
    filler = Ledger(memory, TABLE)
    progress = Progress(sizes[-1], "orders", quiet=quiet)
    found: dict[int, Costs] = {}
    number = 0
    for wanted in sizes:
        while number < wanted:
            _apply(filler, number)
            number += 1
            progress.add()
        if look:
            look(wanted, memory)
        found[wanted] = Costs.measured(meter, wanted, random.Random(1))
        number += SAMPLES  # the orders that `measured` added
    progress.clear()
    return found


def spread(costs: list[float]) -> float:
    """The largest distance from the mean, as a fraction of it."""
    middle = sum(costs) / len(costs)
    return max(abs(cost - middle) for cost in costs) / middle


def show(found: dict[int, Costs]) -> None:
    print(f"{'units':<22}" + "".join(f"{orders:>12,}" for orders in found) + f"{'spread':>10}")
    for name, title in NAMES.items():
        values = [getattr(costs, name) for costs in found.values()]
        print(f"{title:<22}" + "".join(f"{value:>12.2f}" for value in values) + f"{spread(values):>9.1%}")


# --------------------------------------------------------- DynamoDB Local


def on_dynamodb_local(endpoint: str, memory: DynamoDB, orders: int) -> Costs:
    """Costs as DynamoDB Local counts them, with the items of `memory` in a new table."""
    import boto3

    client = boto3.client(
        "dynamodb", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    if TABLE in client.list_tables()["TableNames"]:
        client.delete_table(TableName=TABLE)
    client.create_table(TableName=TABLE, **{k: _TABLES["LedgerTable"][k] for k in wanted})
    items = list(memory.tables[TABLE].items.values())
    for start in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        assert not client.batch_write_item(RequestItems={TABLE: requests})["UnprocessedItems"]
    try:
        return Costs.measured(LocalMeter(client), orders, random.Random(1))
    finally:
        client.delete_table(TableName=TABLE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the largest number of orders")
    parser.add_argument("--endpoint", help="URL of a DynamoDB Local that also counts, with 100 and 10,000 orders")
    options = parser.parse_args()
    on_local: dict[int, Costs] = {}

    def look(orders: int, memory: DynamoDB) -> None:
        if options.endpoint and orders in (100, 10_000):
            on_local[orders] = on_dynamodb_local(options.endpoint, memory, orders)

    found = grown(tuple(s for s in SIZES if s <= options.most), quiet=False, look=look)
    show(found)
    if on_local:
        print("\nUnits that DynamoDB Local counts")
        show(on_local)
    flat = all(spread([getattr(c, n) for c in found.values()]) <= TOLERANCE for n in NAMES)
    print("\nThe costs do not grow." if flat else "\nThe costs GROW.")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
