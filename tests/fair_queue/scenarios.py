"""Backlogs of one account, each with an order of another account that arrives after it."""

from __future__ import annotations

from tests.fair_queue.model import Message, Workers
from tests.handlers import template
from tillbook.ledger.activities import MAX_TOGETHER
from tillbook.records.messages import MAX_ORDERS

_BATCH = template.functions()["ProcessOrders"]["Events"]["Queue"]["Properties"]["BatchSize"]
_CONCURRENCY = template.load()["Parameters"]["ProcessingConcurrency"]["Default"]
# 0.1 s is a generous time for a transaction of 16 orders with its reads and outcomes.
WORKERS = Workers(_CONCURRENCY, _BATCH, MAX_TOGETHER, 0.1)
_SECONDS = 3.0  # the time in which the backlog is accepted


def backlog(orders: int, packed: int) -> list[Message]:
    """A backlog of one account, accepted at an even rate, in messages of `packed` orders."""
    count = orders // packed
    return [Message("busy", packed, _SECONDS * number / count) for number in range(count)]


OTHER = Message("quiet", 1, _SECONDS)
SCENARIOS = [
    ("10,000 orders, each in a request of its own", backlog(10_000, 1), OTHER),
    (f"10,000 orders in batches of {MAX_ORDERS}", backlog(10_000, MAX_ORDERS), OTHER),
    ("50,000 orders, each in a request of its own", backlog(50_000, 1), OTHER),
]
