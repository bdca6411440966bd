"""Cost of the first page of transactions and of one order's requests, by the number of stored requests.

Read units are computed from the bytes of the items that each call returns, as DynamoDB does for calls without a filter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.audience_run.costs import read_units, size
from tests.simulation.store import DynamoDB
from tillbook.aws.items import Item, raw
from tillbook.records.outcomes import STATUSES, Outcome, Outcomes
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.effects import Effect
from tillbook.rules.identity import SOURCES

ACCOUNT, RECORDS = "1234567", "records"
DAYS = 14


@dataclass
class Meter:
    """The store in memory, which counts its calls and the read units. Not safe for threads."""

    store: DynamoDB
    units: float = 0
    calls: int = 0

    def query(self, **arguments: Any) -> Any:
        answer = self.store.query(**arguments)
        self.units += read_units(sum(map(size, answer["Items"])), consistent=bool(arguments.get("ConsistentRead")))
        self.calls += 1
        return answer

    def get_item(self, **arguments: Any) -> Any:
        answer = self.store.get_item(**arguments)
        self.units += read_units(size(answer.get("Item", {})), consistent=bool(arguments.get("ConsistentRead")))
        self.calls += 1
        return answer

    def batch_get_item(self, **arguments: Any) -> Any:
        answer = self.store.batch_get_item(**arguments)
        for name, request in arguments["RequestItems"].items():
            found, consistent = answer["Responses"][name], bool(request.get("ConsistentRead"))
            sizes = [*map(size, found), *[0] * (len(request["Keys"]) - len(found))]
            self.units += sum(read_units(one, consistent=consistent) for one in sizes)
        self.calls += 1
        return answer

    def put_item(self, **arguments: Any) -> Any:
        return self.store.put_item(**arguments)


def store_of(count: int, seed: int) -> DynamoDB:
    """A store with the outcomes of `count` requests of 14 days, a few of them duplicates, failures and rejections."""
    random, now = Random(seed), times.to_datetime(times.now())
    store = DynamoDB()
    store.add_table(RECORDS)
    for number in range(count):
        moment = now - timedelta(seconds=random.uniform(0, DAYS * 86_400))
        digits = f"{int(moment.timestamp() * 1000):012x}"  # a UUID of version 7 begins with the milliseconds
        request_id = f"{digits[:8]}-{digits[8:]}-7{random.randrange(4096):03x}-8000-{number:012x}"
        status = random.choices(STATUSES, (90, 5, 1, 4))[0]  # applied, duplicate, failed, rejected, in percent
        effects = [Effect("USD", Decimal(random.randrange(500, 20_000)) / 100, 1)] if status == "applied" else []
        outcome = Outcome(
            ACCOUNT, random.choice(SOURCES), request_id, status, times.stamp(moment), "placed", "my_shop",
            f"order-{number}", "" if status in ("applied", "duplicate") else "email is required", effects=effects,
        )  # fmt: skip
        for item in outcome.items():
            _put(store, item)
    return store


def _put(store: DynamoDB, item: Item) -> None:
    store.put_item(TableName=RECORDS, Item=raw(item))


def _first_page(meter: Meter) -> None:
    scopes = Scopes(meter, RECORDS).read(ACCOUNT)
    Outcomes(meter, RECORDS).newest(scopes, list(STATUSES), list(SOURCES), 50, None)


def _one_order(meter: Meter) -> None:
    Outcomes(meter, RECORDS).of_order(Scopes(meter, RECORDS).read(ACCOUNT), "order-7", 50, None)


def cost_of_reads(count: int, seed: int) -> dict[str, tuple[float, int]]:
    """(read units, calls) of each read by name, for an account with `count` requests in 14 days."""
    store = store_of(count, seed)
    reads: dict[str, Callable[[Meter], None]] = {"first page": _first_page, "one order": _one_order}
    found = {}
    for name, read in reads.items():
        meter = Meter(store)
        read(meter)
        found[name] = meter.units, meter.calls
    return found
