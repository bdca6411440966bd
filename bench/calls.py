"""AWS calls of a warm function for each kind of request: calls, read and write units, bytes in the queue.

Calls are counted at botocore's own hooks; units follow from the bytes of every item, as DynamoDB counts them
(bench/memory.py).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import scenes
from bench.scenes import Played, Stage

BATCH = 1000
_QUEUE_UNIT = 64 * 1024  # SQS bills a request by each 64 KiB


@dataclass(frozen=True)
class Bill:
    """AWS calls and units of one request, or of one batch of messages with `orders` orders."""

    name: str
    orders: int
    calls: dict[str, int]
    reads: float
    writes: float
    sqs: int  # requests as SQS bills them, without those that take messages out
    parts: dict[str, float] = field(default_factory=dict)

    def per_order(self) -> dict[str, Any]:
        return {
            "calls": {name: count / self.orders for name, count in sorted(self.calls.items())},
            "read_units": self.reads / self.orders,
            "write_units": self.writes / self.orders,
            "sqs_requests": self.sqs / self.orders,
            "write_parts": {name: units / self.orders for name, units in sorted(self.parts.items())},
        }


def bill(name: str, played: list[Played], orders: int = 1) -> Bill:
    calls = [call for one in played for call in one.calls]
    parts: Counter[str] = Counter()
    for call in calls:
        parts.update(call.parts)
    return Bill(
        name,
        orders,
        dict(Counter(f"{call.service} {call.operation}" for call in calls)),
        sum(call.reads for call in calls),
        sum(call.writes for call in calls),
        sum(_billed(call) for call in calls),
        dict(parts),
    )


def _billed(call: Any) -> int:
    if call.service != "sqs":
        return 0
    bodies = [call.parameters] if call.operation == "SendMessage" else call.parameters["Entries"]
    size = sum(len(body["MessageBody"].encode()) for body in bodies)
    return max(1, -(-size // _QUEUE_UNIT))


def warmed(orders: int = 0, tick: Callable[[int], None] = lambda _: None) -> Stage:
    """A stage with warm functions, in an account with `orders` orders, half of them of each API, and one more of each.

    `tick` is called with the number of orders that were added.
    """
    stage = Stage()
    numbers = list(range(10_000_000, 10_000_000 + orders))
    random.Random(1).shuffle(numbers)  # noqa: S311 - no secret
    for n in numbers[: orders // 2]:
        stage.play("submit_order", scenes.submit_event(n))
        stage.drain()
        tick(1)
    for start in range(orders // 2, orders, 100):
        stage.play("record_activity", scenes.batch_event([scenes.activity(n) for n in numbers[start : start + 100]]))
        stage.drain()
        tick(min(100, orders - start))
    stage.play("submit_order", scenes.submit_event(1))
    stage.play("record_activity", scenes.activity_event(scenes.activity(1)))
    stage.drain()
    stage.memory.calls.clear()
    return stage


def measured(stage: Stage) -> dict[str, Bill]:
    """Bills by kind of request. Changes and repeats use the order of an earlier kind, others a new one."""
    found: dict[str, Bill] = {}

    def one(name: str, function: str, event: dict[str, Any]) -> None:
        # The second bill includes KeepBook, which writes a card, the mark of its day, and v1's outcome.
        before = stage.ledger()
        played = stage.play(function, event)
        found[name] = bill(name, [played])
        entered = stage.play("keep_book", scenes.stream_event(before, stage.ledger()))
        found[f"{name}, with KeepBook"] = bill(name, [played, entered])

    one("v1 submit", "submit_order", scenes.submit_event(2))
    one("v1 edit", "edit_order", scenes.edit_event(2))
    one("v1 delete", "delete_order", scenes.delete_event(2))

    def batch(
        name: str, payloads: list[dict[str, Any]], pack: Callable[[list[str]], list[str]] = list, key: str = ""
    ) -> None:
        found[name] = bill(name, [stage.process(pack(stage.accepted(payloads, key)))], len(payloads))

    accepted = stage.play("record_activity", scenes.activity_event(scenes.activity(10)))
    found["v3 accept"] = bill("v3 accept", [accepted])
    stage.memory.messages.clear()
    batch("v3 process one", [scenes.activity(11)])
    batch("v3 process one with an idempotency key", [scenes.activity(12)], key="k-12")
    batch("v3 process a later event", [scenes.activity(11, action="paid", occurred_at="2019-01-18T00:00:00Z")])
    batch("v3 process a refund", [scenes.activity(11, action="refunded", refund_amount=5, occurred_at="2019-01-19")])
    batch("v3 process a repeat", [scenes.activity(11)])
    batch("v3 process ten of ten people", [scenes.activity(n) for n in range(20, 30)])
    batch("v3 process ten of one person", [scenes.activity(n, person=30) for n in range(30, 40)])
    batch("v3 process ten in one message", [scenes.activity(n) for n in range(40, 50)], lambda b: [scenes.packed(b)])
    thousand = [scenes.activity(n) for n in range(1000, 1000 + BATCH)]
    accepted = stage.play("record_activity", scenes.batch_event(thousand))
    found["v3 accept 1,000"] = bill("v3 accept 1,000", [accepted], BATCH)
    found["v3 process 1,000"] = bill("v3 process 1,000", stage.drain(), BATCH)
    return found


def purged(orders: int) -> Bill:
    """The bill of a purge and of all pages of its job, in an account with `orders` v3 orders."""
    stage = warmed()
    stage.memory.messages.clear()
    for start in range(0, orders, 100):
        many = [scenes.activity(n) for n in range(start, min(start + 100, orders))]
        stage.play("record_activity", scenes.batch_event(many))
        stage.drain()
    begun = stage.play("manage", scenes.purge_event("shopper_activity"))
    with scenes.later(seconds=600):
        return bill("purge", [begun, *stage.drain()], orders)
