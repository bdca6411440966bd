"""Generates requests of shops from a seed. Most are for a hot account with 90 orders; there are eight others.

In each account, one v1 order and one v3 order at a time are hot: they get more requests than the others. The people and
orders of an account are known beforehand, and an order moves only between the people of its account. So one
transactional read of at most 100 items contains all people of an account with all their orders.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tillbook.contract import shopper_activity
from tillbook.ledger.activities import Activity
from tillbook.records.messages import QueuedOrder
from tillbook.rules import times
from tillbook.rules.identity import keyed_event_id, request_event_id

PROVIDER = "shop"
# An account's people and orders fit one TransactGetItems.
HOT_ORDERS, HOT_V1_ORDERS = 66, 24
_ORDERS, _V1_ORDERS = 14, 6
_ACCOUNTS = 8
# After so many events of an account, another v3 order is hot. The hot one gets about 370 of them; its limit is 1,000.
_HOT_FOR_EVENTS = 5_000
_EPOCH = "20260102000000000000"
# Milliseconds between two receipts. With fewer, a request would seem to be processed for longer than functions run.
_MILLIS = 5
_MOMENTS = [f"2026-01-01T10:{minute:02d}:00Z" for minute in range(0, 60, 4)]
_ACTIONS = ("placed", "placed", "updated", "paid", "fulfilled", "refunded", "refunded", "canceled")
_AMOUNTS: tuple[Any, ...] = ("0", "10", "22.99", 105, "0.01", "33.3333", "999999999999999.9999", "1e2")
_REFUNDS: tuple[Any, ...] = ("0", 5, "22.99", "0.01", "250")
_CURRENCIES = ("USD", "USD", "EUR", "JPY")
_ADDRESSES = tuple(
    {"address_1": f"{n} First St", "city": "New York", "state": "NY", "postal_code": "10001"} for n in (1, 2, 3)
)


@dataclass(frozen=True)
class Event:
    """One delivery of a v3 event. Deliveries with the same `identity` count once, at their earliest receipt.

    `content` distinguishes contents under one idempotency key (`key`). `received` is a stamp.
    """

    account: str
    identity: str
    content: int
    request_id: str
    received: str
    position: int
    key: str | None
    payload: dict[str, Any]

    def activity(self) -> Activity:
        """The event as the intake queues it and the processing reads it."""
        envelope, body = shopper_activity.parse(self.payload, self.received)
        if self.key is not None:
            event_id = keyed_event_id(self.account, self.key, self.position)
        else:
            event_id = envelope["hash"] if envelope["identified"] else request_event_id(self.request_id)
        return QueuedOrder(
            account=self.account, request_id=self.request_id, received=self.received, position=self.position,
            event_id=event_id, occurred=envelope["occurred"], person=envelope["person"], body=body,
            content_hash=envelope["hash"] if self.key is not None else "",
        ).activity()  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One v1 call; `kind` is submitted, edited or deleted."""

    account: str
    kind: str
    order_id: str
    payload: dict[str, Any]
    request_id: str
    received: str


@dataclass(frozen=True)
class Operation:
    """One operation of a worker. `gate`: the barrier that all simultaneous operations pass together."""

    what: Event | Change
    gate: threading.Barrier | None = None


@dataclass
class Account:
    """`people`: the fields with which events name them. Most events and v1 orders name the first person.

    `submitted`: the submissions so far, by v1 order id. `sent`: the events so far.
    """

    id: str
    people: list[dict[str, str]]
    orders: list[str]
    v1_orders: list[str]
    submitted: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    sent: list[Event] = field(default_factory=list)
    keys: dict[str, set[str]] = field(default_factory=dict)  # idempotency keys, each with the orders it was used for

    @property
    def emails(self) -> list[str]:
        return [person["email"] for person in self.people if "email" in person]


def accounts() -> list[Account]:
    """All accounts. The first one is the hot account, which gets most requests."""
    hot = Account("hot", people("hot"), [f"o-{n}" for n in range(HOT_ORDERS)], [f"o-{n}" for n in range(HOT_V1_ORDERS)])
    others = [
        Account(f"a{n}", people(f"a{n}"), [f"o-{m}" for m in range(_ORDERS)], [f"v-{m}" for m in range(_V1_ORDERS)])
        for n in range(_ACCOUNTS)
    ]
    return [hot, *others]


def people(account: str) -> list[dict[str, str]]:
    emails = [{"email": f"{name}@{account}.example"} for name in ("ann", "bob", "cleo")]
    return [*emails, {"person_id": f"p-{account}"}]


class Workload:
    """Generates operations. The same seed gives the same operations; their interleaving depends on the threads."""

    def __init__(self, seed: int, among: list[Account]) -> None:
        self._random = Random(seed)
        self._accounts = among
        self._count = 0

    def operations(self, count: int, workers: int) -> Iterator[Operation]:
        """Yields `count` operations. Operations of a group wait for each other, so a group has at most `workers`."""
        while count > 0:
            group = self._next()[: min(count, workers)]
            count -= len(group)
            gate = threading.Barrier(len(group)) if len(group) > 1 else None
            for what in group:
                yield Operation(what, gate)

    def _next(self) -> list[Event] | list[Change]:
        random = self._random
        account = self._accounts[0] if random.random() < 0.7 else random.choice(self._accounts)
        kind = random.random()
        if kind < 0.22:
            return self._changes(account)
        if kind < 0.27 and account.sent:
            return [random.choice(account.sent)]  # the queue delivers an earlier event again
        if kind < 0.34:
            return self._copies(account)
        event = self.event(account)
        return [event]

    def _copies(self, account: Account) -> list[Event]:
        """Simultaneous deliveries of one event: redelivered by the queue, or sent again by the shop.

        Sent again under an idempotency key, the event sometimes has other content.
        """
        random = self._random
        first = self.event(account, alone=False)
        copies = [first]
        for _ in range(random.randint(1, 4)):
            if random.random() < 0.5:
                copies.append(random.choice(copies))
                continue
            payload, content = first.payload, first.content
            if first.key is not None and random.random() < 0.3:
                payload, content = payload | {"grand_total": "77", "note": "other"}, 1
            request_id, received = self._receipt()
            copies.append(
                Event(account.id, first.identity, content, request_id, received, first.position, first.key, payload)
            )
        random.shuffle(copies)  # the first receipt need not be delivered first
        return copies

    def _receipt(self) -> tuple[str, str]:
        self._count += 1
        return f"r-{self._count:07d}", times.shift(_EPOCH, milliseconds=_MILLIS * self._count)

    def event(self, account: Account, *, alone: bool = True) -> Event:
        """A new event. `alone`: the shop will not send it again, so it needs neither an idempotency key nor a time."""
        random = self._random
        request_id, received = self._receipt()
        action = random.choice(_ACTIONS)
        hot = account.orders[len(account.sent) // _HOT_FOR_EVENTS % len(account.orders)]
        payload: dict[str, Any] = {
            "provider": PROVIDER, "action": action, "number": self._count,
            "order_id": hot if random.random() < 0.06 else random.choice(account.orders),
            **(account.people[0] if random.random() < 0.75 else random.choice(account.people)),
        }  # fmt: skip
        if random.random() < (0.7 if action in ("placed", "updated", "paid", "fulfilled") else 0.25):
            payload["grand_total"] = random.choice(_AMOUNTS)
        if action in ("refunded", "canceled") and random.random() < 0.8:
            payload["refund_amount"] = random.choice(_REFUNDS)
        if random.random() < 0.4:
            payload["currency"] = random.choice(_CURRENCIES)
        for name in ("shipping_address", "billing_address"):
            if random.random() < 0.15:
                payload[name] = random.choice(_ADDRESSES)
        key = self._key(account, payload["order_id"]) if random.random() < (0.1 if alone else 0.5) else None
        if random.random() < 0.6 or not (alone or key):
            payload["occurred_at"] = random.choice(_MOMENTS)
        event = Event(account.id, f"e-{self._count}", 0, request_id, received, random.randint(0, 3), key, payload)
        account.sent.append(event)
        return event

    def _key(self, account: Account, order_id: str) -> str:
        """A new idempotency key, or one that only other orders use: keys are separate for each order."""
        others = [key for key, orders in account.keys.items() if order_id not in orders]
        key = self._random.choice(others) if others and self._random.random() < 0.3 else f"k-{self._count}"
        account.keys.setdefault(key, set()).add(order_id)
        return key

    def _changes(self, account: Account) -> list[Change]:
        random = self._random
        order_id = account.v1_orders[0] if random.random() < 0.1 else random.choice(account.v1_orders)
        changes = [self.change(account, order_id)]
        if random.random() < 0.3:
            changes += [self.change(account, order_id) for _ in range(random.randint(1, 3))]
        return changes

    def change(self, account: Account, order_id: str, kind: str = "") -> Change:
        random = self._random
        request_id, received = self._receipt()
        kind = kind or random.choices(("submitted", "edited", "deleted"), (35, 50, 15))[0]
        before = account.submitted.setdefault(order_id, [])
        payload: dict[str, Any] = {}
        if kind == "submitted" and before and random.random() < 0.4:
            payload = random.choice(before)  # the same submission again
        elif kind != "deleted":
            # All edits differ, so that each one changes the order.
            payload = {"total": random.choice(_AMOUNTS), "metadata": {"number": str(self._count)}}
            if kind == "submitted" or random.random() < 0.4:
                payload["customer_email"] = (
                    account.emails[0] if random.random() < 0.7 else random.choice(account.emails)
                )
            if random.random() < 0.4:
                payload["currency"] = random.choice(_CURRENCIES)
            if random.random() < 0.3:
                payload["shipping_address"] = random.choice(_ADDRESSES)
        if kind == "edited" and random.random() < 0.2:
            payload |= {random.choice(("total", "shipping_address")): None}
        if kind == "submitted" and not any(payload is known for known in before):
            payload |= {"order_id": order_id, "order_date": "2026-01-01T12:00:00Z"}
            before.append(payload)
        return Change(account.id, kind, order_id, payload, request_id, received)
