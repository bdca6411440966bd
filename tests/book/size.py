"""python -m tests.book.size [--orders 100000]: prints the cost of reports on orders of three years and a flood.

The flood is many orders on one day. Read and write units are computed from the bytes of every item that a call reads or
writes, as DynamoDB counts them. Seconds are processor time of this machine, without waiting for AWS.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from tests.audience_run.costs import BOOK_INDEXES
from tests.simulation.store import DynamoDB
from tests.size.store import Meter
from tillbook.aws.items import attributes, raw
from tillbook.ledger.items import Scope
from tillbook.records.accounts import Account
from tillbook.records.book import Book, CardItem, Place, Summary
from tillbook.records.scopes import Mark, Marks, Scopes
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import order_key
from tillbook.rules.packing import pack
from tillbook.rules.segments import Segment
from tillbook.rules.times import stamp
from tillbook.views.order_list import Filters, OrderList
from tillbook.views.ranking import PEOPLE, Buyers, Ranking
from tillbook.views.ranking import Question as RankQuestion
from tillbook.views.report import Question, Report
from tillbook.views.sales import Size, size_of

ACCOUNT, BOOK, RECORDS = "1234567", "book", "records"
SCOPE = Scope(ACCOUNT, "orders_api")
MARKS = Marks(ACCOUNT, {"orders_api": Mark(), "shopper_activity": Mark()}, {})
FIRST, DAYS, FLOOD = date(2024, 1, 1), 1096, date(2025, 6, 1)


class Cost(NamedTuple):
    name: str
    calls: int
    reads: float
    writes: float
    seconds: float


def filled(orders: int, flood: int) -> DynamoDB:
    """Cards of so many orders over three years, and `flood` more on one day."""
    store = DynamoDB()
    table, counts = store.add_table(BOOK, **BOOK_INDEXES), Counter[str]()
    store.add_table(RECORDS)
    table.load(_cards(orders, flood, counts))
    for day, changes in counts.items():
        key = {"pk": f"{SCOPE.name}/marks", "sk": day}
        table.put((key["pk"], key["sk"]), raw(key | {"changes": changes}))
    return store


def _cards(orders: int, flood: int, counts: Counter[str]) -> Iterator[tuple[tuple[str, str], Any]]:
    """(key, item) of each card. `counts` becomes the number of cards of each day."""
    chance = random.Random(1)
    people = [f"{chance.getrandbits(128):032x}" for _ in range((orders + flood) // 3 + 1)]
    begin = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    for number in range(orders + flood):
        day = begin + timedelta(days=chance.randrange(DAYS) if number < orders else (FLOOD - FIRST).days)
        moment = day + timedelta(seconds=1 + chance.randrange(86_399))
        place = Place(SCOPE, stamp(moment), order_key("orders_api", "", str(number)))
        card = CardItem(
            1, order_id=str(number), status="submitted", person=chance.choice(people), received=stamp(moment),
            currency="USD", records=2, total=Decimal(20), net=Decimal(20), new_buyer=chance.choice(["true", "false"]),
            promo_code=f"code-{chance.randrange(50)}",
            lines=pack([[f"SKU-{chance.randrange(2000)}", f"category-{chance.randrange(20)}", "1", "20"]]),
        )  # fmt: skip
        counts[place.day] += 1
        yield (place.key["pk"], place.key["sk"]), raw(place.key | attributes(card) | card.names(SCOPE))


def measured(name: str, store: DynamoDB, ask: Callable[[Any], Any]) -> Cost:
    meter, begin = Meter(store), time.process_time()
    ask(meter)
    return Cost(name, meter.calls, meter.reads, meter.writes, time.process_time() - begin)


def costs(orders: int, flood: int) -> Iterator[Cost]:
    """Measures as it is iterated."""
    store, last = filled(orders, flood), FIRST + timedelta(days=DAYS - 1)
    account = Account(ACCOUNT, time_zone="America/New_York")

    def report(**options: Any) -> Callable[[Any], Any]:
        return lambda client: Report(Book(client, BOOK), account, MARKS).of(Question(FIRST, last, **options))

    def size(client: Any) -> None:
        assert size_of(Book(client, BOOK), SCOPE, lambda: True) == Size(orders + flood, 2 * (orders + flood))

    yield measured("the first size of an audience", store, size)
    yield measured("… again", store, size)
    yield measured("the first report of three years", store, report(interval="month"))
    yield measured("… again", store, report(interval="month"))
    yield measured("… by promo code", store, report(interval="month", group_by="promo_code"))
    yield measured("… by item", store, report(interval="month", group_by="item"))
    yield measured(
        "… by category, compared", store, report(group_by="category", interval="week", compare="previous_year")
    )
    store.update_item(
        TableName=BOOK, Key=raw({"pk": f"{SCOPE.name}/marks", "sk": "20250601"}), UpdateExpression="ADD changes :one",
        ExpressionAttributeValues=raw({":one": 1}),
    )  # fmt: skip
    yield measured("… after the day of the flood changed", store, report(interval="month"))
    yield measured("the size of an audience then", store, size)

    def ranking(client: Any) -> Ranking:
        return Ranking(Book(client, BOOK), account, MARKS)

    question = RankQuestion("lifetime_value", "USD")
    for name in ("the first list of people by value", "… again"):
        yield measured(name, store, lambda client: _whole(lambda: ranking(client).listed(question, 50, None)))
    segments = (Segment("VIP", min_lifetime_value=Decimal(100)), Segment("Lapsed", min_orders=2, min_days=180))
    yield measured("… segments", store, lambda client: _whole(lambda: ranking(client).segments(segments)))

    def orders_of(client: Any) -> OrderList:
        return OrderList(Book(client, BOOK), account, Scopes(client, RECORDS))

    def page(client: Any) -> None:
        listing = orders_of(client)
        assert len(listing.page(Filters(last=FLOOD), 200, None).entries) == 200

    by_name = "20 orders by the beginning of their id"
    yield measured(by_name, store, lambda client: orders_of(client).page(Filters(name="77"), 20, None))
    yield measured("200 orders by date", store, page)


def ranked(orders: int) -> list[Cost]:
    """The cost of each request for a list of orders/3 people, up to its answer. All days are already summed up."""
    chance, store, account = random.Random(2), DynamoDB(), Account(ACCOUNT)
    store.add_table(RECORDS)
    table, book = store.add_table(BOOK, **BOOK_INDEXES), Book(store, BOOK)
    people = [f"{chance.getrandbits(128):032x}" for _ in range(orders // 3)]
    for number in range(DAYS):
        day, buyers = (FIRST + timedelta(number)).isoformat().replace("-", ""), Buyers()
        for _ in range(orders // DAYS):
            buyers.found["USD", chance.choice(people)] = 1, Decimal(chance.randrange(100, 20_000)) / 100
        key = {"pk": f"{SCOPE.name}/marks", "sk": day}
        table.put((key["pk"], key["sk"]), raw(key | {"changes": 1}))
        sums = {"rows": buyers.rows()[PEOPLE], "orders": buyers.orders}
        book.keep(SCOPE, "UTC", PEOPLE, day, Summary({day: 1}, "0", sums))
    found: list[Cost] = []
    while not found or found[-1].name.startswith("request"):
        ask = RankQuestion("lifetime_value", "USD")
        # Each request ends after one range of ids.
        meter, begin = Meter(store), time.process_time()
        try:
            Ranking(Book(meter, BOOK), account, MARKS, iter([True] * (DAYS // 100) + [False] * 10**6).__next__).listed(
                ask, 50, None
            )
            name = "… and the answer"
        except Unavailable:
            name = f"request {len(found) + 1}"
        found.append(Cost(name, meter.calls, meter.reads, meter.writes, time.process_time() - begin))
    return found


def _whole(ask: Callable[[], Any]) -> None:
    """Repeats a request until it is answered, as a client does that gets 503 with Retry-After."""
    for _ in range(1000):
        with suppress(Unavailable):
            ask()
            return


def requests_needed(orders: int) -> int:
    """The number of requests until the first report of a flood is answered, if each has time for 5,000 cards."""
    store, account = filled(0, orders), Account(ACCOUNT)
    for number in range(1, 1000):
        looks = iter(range(10))
        report = Report(Book(store, BOOK), account, MARKS, lambda looks=looks: next(looks, None) is not None)  # type: ignore[misc]
        try:
            report.of(Question(FLOOD, FLOOD))
        except Unavailable:
            continue
        return number
    raise AssertionError("the report is not complete after 1,000 requests")


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.book.size", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument(
        "--people", type=int, default=300_000, help="orders in the list of people, which has a third as many people"
    )
    parser.add_argument("--flood", type=int, default=30_000)
    options = parser.parse_args()
    print(f"{options.orders:,} orders over three years, {options.flood:,} more on one day")
    print(f"{'':<45}{'calls':>8}{'read':>10}{'written':>10}{'CPU, s':>8}")
    for cost in costs(options.orders, options.flood):
        print(f"{cost.name:<45}{cost.calls:>8}{cost.reads:>10.1f}{cost.writes:>10.1f}{cost.seconds:>8.2f}", flush=True)
    print(f"\nA list of {options.people // 3:,} people with {options.people:,} orders")
    for cost in ranked(options.people):
        print(f"{cost.name:<45}{cost.calls:>8}{cost.reads:>10.1f}{cost.writes:>10.1f}{cost.seconds:>8.2f}")
    print(f"A first report of the flood alone, 5,000 cards a request: {requests_needed(options.flood)} requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
