"""Harbor & Pine, a made-up shop with two months of orders of both APIs, for pictures and measurements of the page.

The seed is fixed, but dates are relative to now: the newest orders are of today, since the page shows the last 30 days
by default.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tests.end_to_end.shop import Reply, Shop

SEED = 7
DAYS = 62
_BATCH = 100
_FIRST = (
    "Ava", "Liam", "Noah", "Maya", "Zoe", "Ethan", "Iris", "Omar", "Lena", "Priya", "Jonas", "Mei", "Diego", "Sofia",
    "Hana", "Kofi", "Elsa", "Ravi", "Nina", "Marcus",
)  # fmt: skip
_LAST = (
    "Whitfield", "Okafor", "Nguyen", "Ramirez", "Lindqvist", "Patel", "Hoffman", "Castillo", "Moreau", "Tanaka",
    "Brennan", "Adeyemi",
)  # fmt: skip
_PLACES = (
    ("Portland", "ME", "04101"), ("Burlington", "VT", "05401"), ("Brooklyn", "NY", "11215"), ("Boulder", "CO", "80302"),
    ("Asheville", "NC", "28801"), ("Austin", "TX", "78704"), ("Seattle", "WA", "98103"), ("Missoula", "MT", "59801"),
)  # fmt: skip
_STREETS = ("Alder St", "Mill Rd", "Chestnut Ave", "Harbor Way", "Juniper Ln", "Orchard Dr", "Granite Ave")
_PRODUCTS = (
    ("Ridgeline Down Jacket", "Jackets", "HP-JKT-101", 248, "Moss / M"),
    ("Coastline Rain Shell", "Jackets", "HP-JKT-114", 189, "Navy / L"),
    ("Fleece Half-Zip", "Jackets", "HP-JKT-122", 98, "Oat / S"),
    ("Merino Base Layer Top", "Base layers", "HP-BSE-201", 84, "Black / M"),
    ("Trail Socks, 3 pairs", "Accessories", "HP-ACC-301", 36, "M"),
    ("Wool Beanie", "Accessories", "HP-ACC-312", 29, "Rust"),
    ("Summit Daypack 22 L", "Packs", "HP-PCK-401", 129, "Slate"),
    ("Weekender Duffel 40 L", "Packs", "HP-PCK-408", 159, "Tan"),
    ("Harbor Deck Boot", "Footwear", "HP-FTW-501", 165, "US 9"),
    ("Camp Slipper", "Footwear", "HP-FTW-515", 68, "M"),
    ("Enamel Mug Set", "Camp kitchen", "HP-CMP-601", 34, "Set of 4"),
)
_PROVIDERS = ("shopify",) * 7 + ("square_pos",) * 2 + ("amazon",)
_CODES = (None,) * 7 + ("WELCOME10", "FALL15", "PODCAST")


class _Person:
    def __init__(self, chance: random.Random, number: int) -> None:
        self.name = f"{_FIRST[number % len(_FIRST)]} {_LAST[(number * 7 + number // len(_FIRST)) % len(_LAST)]}"
        self.email = f"{self.name.lower().replace(' ', '.')}.{number}@example.com"
        self.city, self.state, self.zip = chance.choice(_PLACES)
        self.street = f"{chance.randint(3, 980)} {chance.choice(_STREETS)}"
        self.orders = 0

    def address(self) -> dict[str, Any]:
        first, last = self.name.split()
        return {"first_name": first, "last_name": last, "address_1": self.street, "city": self.city,
                "state": self.state, "postal_code": self.zip, "country": "US"}  # fmt: skip


def _items(chance: random.Random) -> list[dict[str, Any]]:
    found = []
    for name, category, sku, price, variant in chance.sample(_PRODUCTS, chance.choice((1, 1, 1, 2, 2, 3))):
        found.append({"product_id": sku, "sku": sku, "name": f"{name}, {variant}", "categories": [category],
                      "price": f"{price}.00", "quantity": chance.choice((1, 1, 1, 2))})  # fmt: skip
    return found


def _events_of_an_order(chance: random.Random, number: int, person: _Person, at: datetime) -> Iterator[dict[str, Any]]:
    provider, code = chance.choice(_PROVIDERS), chance.choice(_CODES)
    items = _items(chance)
    subtotal = sum(float(item["price"]) * item["quantity"] for item in items)
    discount = round(subtotal * 0.15, 2) if code else 0.0
    shipping = 0.0 if subtotal > 120 else 6.5
    tax = round((subtotal - discount) * 0.0725, 2)
    total = subtotal - discount + shipping + tax
    base = {"provider": provider, "order_id": str(5_000_000 + number), "order_public_id": f"#{number}",
            "currency": "USD", "email": person.email}  # fmt: skip
    person.orders += 1
    yield base | {
        "action": "placed", "occurred_at": _text(at), "grand_total": f"{total:.2f}",
        "total_discounts": f"{discount:.2f}", "total_taxes": f"{tax:.2f}",
        "total_shipping": f"{shipping:.2f}", "items": items,
        "shipping_address": person.address(), "billing_address": person.address(),
        "order_url": f"https://harborandpine.example/admin/orders/{5_000_000 + number}",
        "new_buyer": person.orders == 1,
    } | ({"promo_code": code} if code else {})  # fmt: skip
    later = [("paid", timedelta(minutes=1), {}), ("fulfilled", timedelta(hours=26), {})]
    fate = chance.random()
    if fate < 0.05:
        later.append(("refunded", timedelta(days=5), {"refund_amount": f"{total:.2f}"}))
    elif fate < 0.09:
        later.append(("refunded", timedelta(days=6), {"refund_amount": f"{float(items[0]['price']):.2f}"}))
    elif fate < 0.11:
        later = [("canceled", timedelta(hours=3), {"refund_amount": f"{total:.2f}"})]
    for action, after, more in later:
        if at + after < datetime.now(UTC):
            yield base | {"action": action, "occurred_at": _text(at + after)} | more


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def play(shop: Shop, *, days: int = DAYS, a_day: int = 7, until: datetime | None = None) -> None:
    """Sends about `a_day` orders for each of `days` days up to `until` (default: now), and waits for the last outcome.

    Order #1001 is of the first day and fully refunded.
    """
    chance = random.Random(SEED)
    now = until or datetime.now(UTC)
    people = [_Person(chance, number) for number in range(max(12, days * a_day // 3))]
    events: list[dict[str, Any]] = []
    number = 1001
    for day in range(days, -1, -1):
        # Two days of a sale have about twice as many orders.
        start = (now - timedelta(days=day)).replace(hour=13, minute=0, second=0, microsecond=0)
        for _ in range(max(1, int(a_day * chance.uniform(0.6, 1.5) * (2.2 if day in (2, 3) else 1)))):
            at = start + timedelta(minutes=chance.randint(0, 600))
            if at < now:
                events += _events_of_an_order(
                    chance, number, people[min(int(chance.expovariate(3) * len(people)), len(people) - 1)], at
                )
                number += 1
    # Replaces the random order #1001.
    events = [event for event in events if event["order_public_id"] != "#1001"]
    events += _fully_refunded(people[0], now - timedelta(days=days))
    for start_at in range(0, len(events), _BATCH):
        reply = with_retries(partial(shop.batch, events[start_at : start_at + _BATCH]), 202)
    last = reply.json["request_ids"][-1]
    _wholesale(shop, chance, people, days, now)
    shop.outcome(last)


def _fully_refunded(person: _Person, at: datetime) -> list[dict[str, Any]]:
    """The events of order #1001. The payment is sent after the refund, so the page marks it as late."""
    base = {
        "provider": "shopify",
        "order_id": "5001001",
        "order_public_id": "#1001",
        "currency": "USD",
        "email": person.email,
    }
    items = [{"product_id": "HP-CMP-601", "sku": "HP-CMP-601", "name": "Enamel Mug Set, Set of 4", "price": "34.00",
              "quantity": 1, "categories": ["Camp kitchen"]}]  # fmt: skip
    return [
        base | {"action": "placed", "occurred_at": _text(at), "grand_total": "36.47", "total_taxes": "2.47",
                "items": items, "shipping_address": person.address()},
        base | {"action": "refunded", "occurred_at": _text(at + timedelta(days=2)), "refund_amount": "36.47"},
        base | {"action": "paid", "occurred_at": _text(at + timedelta(minutes=1))},
    ]  # fmt: skip


def _wholesale(shop: Shop, chance: random.Random, people: list[_Person], days: int, now: datetime) -> None:
    """Submits orders to the Orders API, the last one twice. Another order and an event are rejected."""
    for number in range(max(2, days // 3)):
        person = people[number % 9]
        day = (now - timedelta(days=chance.randint(0, days))).date().isoformat()
        products = chance.sample(_PRODUCTS, 3)
        # Six of each item, at half the price.
        items = [{"identifier": sku, "description": name, "quantity": 6, "total": price * 3, "category": [category]}
                 for name, category, sku, price, _ in products]  # fmt: skip
        total = sum(price * 3 for _, _, _, price, _ in products)
        order = {"order_id": f"W-{4801 + number}", "order_date": day, "total": total,
                 "customer_email": person.email, "order_items": items, "metadata": {"new_buyer": number < 4},
                 "shipping_address": {"name": person.name, "address_1": person.street, "city": person.city,
                                      "state": person.state, "postal_code": person.zip}}  # fmt: skip
        with_retries(partial(shop.submit, order), 201)
    with_retries(lambda: shop.submit(order), 201)
    with_retries(lambda: shop.submit({"order_id": "W-4900", "order_date": "soon", "total": "eleven"}), 400)
    rejected = {"provider": "square_pos", "action": "placed", "order_id": "P-9470", "grand_total": "18.00"}
    with_retries(lambda: shop.order(rejected), 422)


def with_retries(send: Callable[[], Reply], status: int) -> Reply:
    """Calls `send`, and again while the stack answers 503. The reply must have `status`."""
    while (reply := send()).status == 503:
        time.sleep(1)
    assert reply.status == status, reply.text
    return reply
