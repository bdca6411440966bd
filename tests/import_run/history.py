"""Generates a shop's history from a seed, in the form of Shopify's export, with the expected result of its import.

Expected sums are in cents, computed by rules that are written here without the importer's code. About every fifth order
also has two webhooks, in the form in which a connector sends them. The second has a later state than the export, whose
total, at most the export's net, is the one that counts.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

COLUMNS = (
    "Name", "Email", "Financial Status", "Paid at", "Currency", "Subtotal", "Shipping", "Taxes", "Total",
    "Discount Code", "Discount Amount", "Created at", "Lineitem quantity", "Lineitem name", "Lineitem price",
    "Lineitem sku", "Billing Name", "Billing Address1", "Billing City", "Billing Zip", "Billing Country",
    "Cancelled at", "Refunded Amount", "Id", "Tags",
)  # fmt: skip
_START = datetime(2023, 1, 1, tzinfo=UTC)
_SHOP_ZONE = timezone(timedelta(hours=-5))


@dataclass
class Expected:
    """The webhooks, and the expected result of the import and the webhooks.

    Attributes:
        orders: contributions in cents by order id.
        events: numbers of events by order id: one of the import, and those of webhooks.
        people: lifetime values in cents by (e-mail's SHA-256, currency).
        webhooks: events of Order Activity, two for an order: `placed` without an amount, and its later state.
    """

    orders: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    people: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    webhooks: list[dict[str, Any]] = field(default_factory=list)


def write(path: Path, count: int, seed: int, people: int, domain: str) -> Expected:
    """Writes a history of `count` orders, row by row, since the file may not fit in memory. Returns what to expect."""
    expected = Expected()
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for number in range(count):
            for row in _order(number, Random(f"{seed}/{number}"), people, domain, expected):
                out.writerow([row.get(name, "") for name in COLUMNS])
    return expected


def _order(number: int, random: Random, people: int, domain: str, expected: Expected) -> Iterator[dict[str, str]]:
    """Yields the rows of an order, one for each of its lines, and adds its webhooks and results to `expected`."""
    order_id, buyer = str(5_000_000_000 + number), f"buyer-{random.randrange(people)}@{domain}"
    lines = [(random.randrange(1, 4), random.randrange(100, 20_000)) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    total = sum(quantity * price for quantity, price in lines)
    placed = _START + timedelta(seconds=random.randrange(3 * 365 * 86_400))
    currency = random.choice(("USD", "USD", "USD", "EUR"))
    status, refunded, canceled, counted = _random_state(random, total)
    expected.events[order_id] = 1
    if random.random() < 0.2:
        counted = random.randrange(counted + 1)
        who = {"provider": "shopify", "order_id": order_id, "email": buyer, "currency": currency}
        expected.webhooks += [
            who | {"action": "placed", "occurred_at": placed.isoformat()},
            who | {
                "action": "updated", "grand_total": _money(counted),
                "occurred_at": (placed + timedelta(days=random.randrange(1, 60))).isoformat(),
            },
        ]  # fmt: skip
        expected.events[order_id] += 2
    expected.orders[order_id] = counted
    expected.people[hashlib.sha256(buyer.encode()).hexdigest(), currency] += counted
    for position, (quantity, price) in enumerate(lines):
        row = {
            "Name": f"#{1000 + number}", "Email": buyer, "Lineitem quantity": str(quantity),
            "Lineitem name": random.choice(('Cup, "blue"', "Plate", "Tea\npot", "Löffel")),
            "Lineitem price": _money(price), "Lineitem sku": f"S-{price % 97}",
        }  # fmt: skip
        if position == 0:  # other rows have only a line; Shopify puts an apostrophe before postal codes
            row |= {
                "Financial Status": status, "Currency": currency, "Subtotal": _money(total), "Shipping": "0.00",
                "Taxes": "0.00", "Total": _money(total), "Discount Amount": "0.00", "Created at": _time(placed),
                "Billing Name": "Ann B. Lee", "Billing Address1": f"{number % 300} Main St", "Billing City": "Austin",
                "Billing Zip": f"'{number % 90_000:05d}", "Billing Country": "US", "Id": order_id,
                "Refunded Amount": _money(refunded), "Tags": "vip" if number % 7 == 0 else "",
                "Cancelled at": _time(placed + timedelta(hours=5)) if canceled else "",
            }  # fmt: skip
        yield row


def _random_state(random: Random, total: int) -> tuple[str, int, bool, int]:
    """(financial status, cents refunded, whether the order is canceled, cents that count).

    Money that was paid and not refunded counts, also if the order is canceled.
    """
    kind = random.random()
    if kind < 0.80:
        return "paid", 0, False, total
    if kind < 0.88:
        part = random.randrange(1, total)
        return "partially_refunded", part, False, total - part
    if kind < 0.92:
        return "refunded", total, False, 0
    if kind < 0.95:
        return "refunded", total, True, 0
    if kind < 0.97:
        return "voided", 0, True, 0
    if kind < 0.98:
        return "pending", 0, True, 0
    return "paid", 0, True, total


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _time(moment: datetime) -> str:
    return moment.astimezone(_SHOP_ZONE).strftime("%Y-%m-%d %H:%M:%S %z")
