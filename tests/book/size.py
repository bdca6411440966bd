"""python -m tests.book.size [--orders 100000]: prints the cost of reports on orders of three years and a flood.

The flood is many orders on one day. "First time" means that no day is summed up yet. Read and write units are
computed from the bytes of every item that a call reads or writes, as DynamoDB counts them. Seconds are processor time
of this machine, without waiting for AWS.
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
FIRST, DAYS = date(2024, 1, 1), 1096  # the years 2024 to 2026
FLOOD = date(2025, 6, 1)


class Cost(NamedTuple):
    """Calls, read and write units, and seconds of processor time of one read."""

    name: str
    calls: int
    reads: float
    writes: float
    seconds: float


def filled(orders: int, flood: int) -> DynamoDB:
    """A store with the cards of `orders` orders over three years, and of `flood` more on one day."""
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
    """Yields the cost of each read. The order matters, since a read uses the sums that earlier reads stored."""
    store, last = filled(orders, flood), FIRST + timedelta(days=DAYS - 1)
    account = Account(ACCOUNT, time_zone="America/New_York")

    def report(**options: Any) -> Callable[[Any], Any]:
        return lambda client: Report(Book(client, BOOK), account, MARKS).of(Question(FIRST, last, **options))

    def size(client: Any) -> None:
        assert size_of(Book(client, BOOK), SCOPE, lambda: True) == Size(orders + flood, 2 * (orders + flood))

    yield measured("the size of an audience, first time", store, size)
    yield measured("the size of an audience, second time", store, size)
    yield measured("a report of three years, first time", store, report(interval="month"))
    yield measured("a report of three years, second time", store, report(interval="month"))
    by_code, by_item = report(interval="month", group_by="promo_code"), report(interval="month", group_by="item")
    yield measured("a report of three years by promo code", store, by_code)
    yield measured("a report of three years by item", store, by_item)
    by_category = report(group_by="category", interval="week", compare="previous_year")
    yield measured("a report by category, compared with a year earlier", store, by_category)
    store.update_item(
        TableName=BOOK, Key=raw({"pk": f"{SCOPE.name}/marks", "sk": "20250601"}), UpdateExpression="ADD changes :one",
        ExpressionAttributeValues=raw({":one": 1}),
    )  # fmt: skip
    yield measured("a report of three years, after an order of the flood changed", store, report(interval="month"))
    yield measured("the size of an audience, after an order of the flood changed", store, size)

    def ranking(client: Any) -> Ranking:
        return Ranking(Book(client, BOOK), account, MARKS)

    question = RankQuestion("lifetime_value", "USD")
    for name in ("people by lifetime value, first time", "people by lifetime value, second time"):
        yield measured(name, store, lambda client: _until_answered(lambda: ranking(client).listed(question, 50, None)))
    segments = (Segment("VIP", min_lifetime_value=Decimal(100)), Segment("Lapsed", min_orders=2, min_days=180))
    name = "the sizes of two segments of people"
    yield measured(name, store, lambda client: _until_answered(lambda: ranking(client).segments(segments)))

    def orders_of(client: Any) -> OrderList:
        return OrderList(Book(client, BOOK), account, Scopes(client, RECORDS))

    def page(client: Any) -> None:
        listing = orders_of(client)
        assert len(listing.page(Filters(last=FLOOD), 200, None).entries) == 200

    by_id = "20 orders by the beginning of their ids"
    yield measured(by_id, store, lambda client: orders_of(client).page(Filters(name="77"), 20, None))
    yield measured("200 orders in the order of their dates", store, page)


def ranked(orders: int) -> list[Cost]:
    """The cost of each request for a list of orders/3 people, up to the first answer. All days are summed up before."""
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
    answered = False
    while not answered:
        ask = RankQuestion("lifetime_value", "USD")
        # Each request runs out of time when it has added up the people of one range of ids: it looks at the clock
        # between groups of 100 days, when there is time, and then after the range, when there is none.
        may_go_on = iter([True] * (DAYS // 100) + [False] * 10**6).__next__
        meter, begin = Meter(store), time.process_time()
        try:
            Ranking(Book(meter, BOOK), account, MARKS, may_go_on).listed(ask, 50, None)
            answered = True
        except Unavailable:
            pass
        name = f"request {len(found) + 1}: {'answered' if answered else 'out of time (503)'}"
        found.append(Cost(name, meter.calls, meter.reads, meter.writes, time.process_time() - begin))
    return found


def _until_answered(ask: Callable[[], Any]) -> None:
    """Repeats a request until it is answered, at most 1,000 times, as a client does that gets 503 with Retry-After."""
    for _ in range(1000):
        with suppress(Unavailable):
            ask()
            return
    raise AssertionError("the request is not answered after 1,000 tries")


def requests_needed(orders: int) -> int:
    """The number of requests until the first report of a flood is answered, if each has time for 5,500 cards."""
    store, account = filled(0, orders), Account(ACCOUNT)
    for number in range(1, 1000):
        looks = iter(range(10))  # the report looks at its clock after every 500 cards, and ends at the eleventh look
        report = Report(Book(store, BOOK), account, MARKS, lambda looks=looks: next(looks, None) is not None)  # type: ignore[misc]
        try:
            report.of(Question(FLOOD, FLOOD))
        except Unavailable:
            continue
        return number
    raise AssertionError("the report is not complete after 1,000 requests")


def _line(cost: Cost) -> str:
    return f"{cost.name:<62}{cost.calls:>8}{cost.reads:>12.1f}{cost.writes:>13.1f}{cost.seconds:>8.2f}"


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.book.size", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=100_000, help="orders over three years")
    parser.add_argument(
        "--people", type=int, default=300_000, help="orders in the list of people, which has a third as many people"
    )
    parser.add_argument("--flood", type=int, default=30_000, help="more orders, all on one day")
    options = parser.parse_args()
    print(f"{options.orders:,} orders over three years, {options.flood:,} more on one day")
    print(f"{'':<62}{'calls':>8}{'read units':>12}{'write units':>13}{'CPU, s':>8}")
    for cost in costs(options.orders, options.flood):
        print(_line(cost), flush=True)
    print(f"\nA list of {options.people // 3:,} people with {options.people:,} orders")
    for cost in ranked(options.people):
        print(_line(cost))
    needed = requests_needed(options.flood)
    print(f"\nThe first report of the day of the flood, with time for 5,500 cards in each request: {needed} requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
