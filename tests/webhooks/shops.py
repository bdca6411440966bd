"""Random shops: orders that change, and the webhooks that their platform sends for each change.

A history is made from a seed: some orders of a few people, each changed several times. It contains the shop's net,
which is the amount that the shop keeps of its orders at the end. Times are seconds since the beginning of the history;
amounts are in cents. This module shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, NamedTuple

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
PEOPLE = ("ina@example.com", "Jo@Example.com", "lea@example.com")
DAY = 86_400


class Arrival(NamedTuple):
    """A delivery that reaches the API at the time `at`. `genuine` is False if its signature is wrong."""

    at: float
    topic: str
    id: str
    body: Any
    genuine: bool = True


@dataclass
class History:
    """The deliveries of a random shop, and the results that they must have.

    Attributes:
        repeats: whether the platform retries a delivery that was not answered 2xx.
        net: the amount that the shop keeps, in cents, by e-mail address.
        orders: ids of the reported orders, by e-mail address.
        steps: each change of an order, in words.
    """

    seed: int
    platform: str
    repeats: bool
    arrivals: list[Arrival] = field(default_factory=list)
    net: dict[str, int] = field(default_factory=dict)
    orders: dict[str, set[str]] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        arrivals = [
            f"{a.at:10.1f} {a.topic} {a.id} {_brief(a.body)}{'' if a.genuine else ' (forged)'}" for a in self.arrivals
        ]
        return "\n".join([f"seed {self.seed} of {self.platform}:", *self.steps, "arrivals:", *arrivals])


def _brief(body: Any) -> str:
    if not isinstance(body, dict):
        return repr(body)
    names = ("id", "status", "financial_status", "total", "total_price", "current_total_price", "date_modified_gmt",
             "updated_at", "cancelled_at", "refunds", "code")  # fmt: skip
    return str({name: body[name] for name in names if name in body})


def money(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


# ------------------------------------------------------------- WooCommerce


@dataclass
class _WooOrder:
    id: int
    email: str
    status: str
    total: int
    created: int
    modified: int
    refunds: list[tuple[int, int]] = field(default_factory=list)  # id, amount
    before_trash: str = ""  # the status to which a restore returns it
    gone: bool = False  # deleted for good

    def net(self) -> int:
        counts = self.status in ("on-hold", "processing", "completed", "ready-for-pickup") and not self.gone
        return max(self.total - sum(amount for _, amount in self.refunds), 0) if counts else 0

    def payload(self) -> dict[str, Any]:
        if self.gone:
            return {"code": "woocommerce_rest_shop_order_invalid_id", "message": "Invalid ID.", "data": {"status": 404}}
        return {
            "id": self.id, "number": str(self.id), "status": self.status, "currency": "EUR", "total": money(self.total),
            "date_created_gmt": _gmt(self.created), "date_modified_gmt": _gmt(self.modified), "customer_id": 0,
            "billing": {"email": self.email, "address_1": "Hauptstr. 1", "postcode": "10115", "country": "DE"},
            "shipping": {"country": "DE"},
            "line_items": [{"id": 1, "name": "Mug", "product_id": 7, "quantity": 2, "total": money(self.total)}],
            "refunds": [{"id": one, "reason": "", "total": money(-amount)} for one, amount in self.refunds],
        }  # fmt: skip


def _gmt(at: float) -> str:
    return (BEGIN + timedelta(seconds=int(at))).strftime("%Y-%m-%dT%H:%M:%S")


# The statuses that a shop's staff and gateways may set after each status; those that are listed twice are likelier.
# "ready-for-pickup" is the status of an extension, which the connector does not know.
_NEXT = {
    "checkout-draft": ("pending", "on-hold", "processing"),
    "pending": ("processing", "processing", "on-hold", "failed", "cancelled"),
    "failed": ("pending", "processing", "cancelled"),
    "on-hold": ("processing", "cancelled", "failed", "pending"),
    "processing": (
        "completed", "completed", "ready-for-pickup", "cancelled", "failed", "refunded", "on-hold", "pending"
    ),
    "ready-for-pickup": ("completed", "cancelled"),
    "completed": ("refunded", "processing"),
    "cancelled": ("processing", "on-hold"),
    "refunded": ("processing",),
}  # fmt: skip


# Statuses with which an order makes its person a customer, even if it was canceled.
_CUSTOMER_STATUSES = ("on-hold", "processing", "completed", "ready-for-pickup", "cancelled", "refunded")


def woocommerce(seed: int) -> History:
    """A history of WooCommerce, which makes a payload seconds to minutes after the change, and never retries.

    The last change of an order always arrives, since nothing else would report it. An order leaves the trash only after
    the second in which its "order.deleted" arrived, since that delivery carries no time.
    """
    random, history = Random(seed), History(seed, "woocommerce", repeats=False)
    for number in range(random.randint(1, 4)):
        _woocommerce_order(random, history, 500 + number)
    _noise(random, history, ("product.updated", {"id": 9}), ("order.updated", {"code": "woocommerce_rest_cannot_view"}))
    return history


def _woocommerce_order(random: Random, history: History, order_id: int) -> None:
    now = random.randint(0, DAY)
    status = random.choice(("checkout-draft", "pending", "pending", "on-hold", "processing"))
    order = _WooOrder(order_id, random.choice(PEOPLE), status, random.randint(0, 20_000), now, now)
    changes = random.randint(0, 8)
    sends: list[tuple[float, str, dict[str, Any] | None]] = []  # time of delivery, topic, fixed body or None

    def changed(topic: str, what: str) -> None:
        history.steps.append(f"{now:10} order {order.id} {what}: {order.status}, net {money(order.net())}")
        sends.append((now + 1 + random.random() * random.choice((1, 20, 600)), topic, None))

    states: list[tuple[int, _WooOrder]] = []  # time, and the order as payloads show it from then on

    def save_state() -> None:
        states.append((now, _WooOrder(**vars(order) | {"refunds": list(order.refunds)})))

    save_state()
    changed("order.updated" if status == "checkout-draft" else "order.created", "was placed")
    trash_arrives = 0.0
    for _ in range(changes):
        now += random.choice((1, 2, 30, 3600, 5 * DAY))
        if order.status == "trash":
            if random.random() < 0.3:
                order.gone = True
                save_state()
                history.steps.append(f"{now:10} order {order.id} was deleted for good")
                break
            now = max(now, int(trash_arrives) + 2)
            order.status, order.modified = order.before_trash, now
            save_state()
            changed("order.restored", "was restored")
            continue
        choice = random.random()
        if choice < 0.12:
            order.before_trash, order.status, order.modified = order.status, "trash", now
            save_state()
            history.steps.append(f"{now:10} order {order.id} went to the trash")
            trash_arrives = now + random.random() * random.choice((1, 60, 600))
            sends.append((trash_arrives, "order.deleted", {"id": order.id}))
            continue
        what = _change(random, order, now, choice)
        order.modified = now
        save_state()
        changed("order.updated", what)
    _deliver(random, history, order, sends, states)


def _change(random: Random, order: _WooOrder, now: int, choice: float) -> str:
    """Makes the change that `choice`, a random number, selects. Returns it in words."""
    refunded = sum(amount for _, amount in order.refunds)
    if choice < 0.35 and order.status in ("processing", "completed") and order.total:
        amount = random.randint(0, order.total - refunded)
        order.refunds.append((9000 + now, amount))
        return f"refunded {money(amount)}"
    if choice < 0.42 and order.refunds:
        order.refunds.pop(random.randrange(len(order.refunds)))
        return "had a refund deleted"
    if choice < 0.5:
        order.total = max(order.total + random.randint(-3000, 3000), refunded)
        return f"was edited to {money(order.total)}"
    if choice < 0.54:
        order.email = random.choice(PEOPLE)
        return f"now belongs to {order.email}"
    order.status = random.choice(_NEXT[order.status])
    if order.status == "refunded":
        order.refunds.append((9000 + now, order.total - refunded))
    return "changed its status"


def _deliver(
    random: Random, history: History, order: _WooOrder, sends: list[tuple[float, str, dict[str, Any] | None]],
    states: list[tuple[int, _WooOrder]],
) -> None:  # fmt: skip
    """Adds deliveries of an order to the history, and the order to the customer whom the latest of them names.

    `sends`: time of delivery, topic, and a fixed body; without one, the body is the order's state at that time.
    `states`: times, and the order as payloads show it from then on.
    """
    latest = (-1, "")  # time and address of the latest delivered state that makes a customer
    last = max(range(len(sends)), key=lambda index: sends[index][0])
    # The last delivery of an order shows its final state, or that it is in the trash.
    for index, (at, topic, fixed) in enumerate(sends):
        shown = [state for since, state in states if since <= at][-1]
        body = fixed or shown.payload()
        must_arrive = index == last or topic in ("order.deleted", "order.restored")
        if not must_arrive and random.random() < 0.15:
            continue  # lost on its way
        late = 0.0 if topic == "order.deleted" else random.random() * random.choice((0, 0.5, 30, 5000))
        for copy in range(random.choice((1, 1, 1, 2))):
            arrives = at + late + copy * random.random() * random.choice((1, 1000, DAY))
            history.arrivals.append(Arrival(arrives, topic, f"{order.id}-{int(at)}", body))
        if not fixed and shown.status in _CUSTOMER_STATUSES and not shown.gone:
            latest = max(latest, (shown.modified, shown.email))
    if owner := latest[1]:
        history.net[owner] = history.net.get(owner, 0) + order.net()
        history.orders.setdefault(owner, set()).add(str(order.id))


# ------------------------------------------------------------------ Shopify


@dataclass
class _ShopifyOrder:
    id: int
    email: str
    total: int
    created: int
    updated: int
    paid: str = "pending"
    fulfilled: bool = False
    canceled: int = 0
    test: bool = False
    removed: int = 0  # amount of lines that were removed before payment
    returned: int = 0  # amount of lines that were paid back
    goodwill: int = 0  # amount that was paid back for no line
    refunds: list[dict[str, Any]] = field(default_factory=list)

    def net(self) -> int:
        ended = self.paid in ("voided", "expired", "refunded") or (
            self.canceled and self.paid in ("pending", "authorized")
        )
        return 0 if ended or self.test else self.total - self.removed - self.returned - self.goodwill

    def payload(self, offset: int, *, goodwill_lowers: bool) -> dict[str, Any]:
        current = self.total - self.removed - self.returned - (self.goodwill if goodwill_lowers else 0)
        return {
            "id": self.id, "name": f"#{self.id}", "test": self.test, "email": self.email, "currency": "USD",
            "presentment_currency": "CAD", "total_price": money(self.total), "current_total_price": money(current),
            "financial_status": self.paid, "fulfillment_status": "fulfilled" if self.fulfilled else None,
            "created_at": _local(self.created, offset), "updated_at": _local(self.updated, offset),
            "cancelled_at": _local(self.canceled, offset) if self.canceled else None, "refunds": list(self.refunds),
            "line_items": [{"id": 1, "product_id": 1, "name": "Mug", "price": money(self.total), "quantity": 1}],
            "shipping_address": {"address1": "1 Main St", "zip": "78751", "country_code": "US", "province_code": "TX"},
        }  # fmt: skip


def _local(at: float, hours: int) -> str:
    return (BEGIN + timedelta(seconds=int(at))).astimezone(timezone(timedelta(hours=hours))).isoformat()


def shopify(seed: int) -> History:
    """A history of Shopify, which makes a payload at the moment of the change and retries the same payload for hours.

    The last change of an order always arrives. In half of the histories goodwill lowers the current total. In the
    others, no order has both goodwill and a line that was removed before payment, since the payload would not
    distinguish them.
    """
    random, history = Random(seed), History(seed, "shopify", repeats=True)
    offset, goodwill_lowers = random.choice((-5, 0, 2)), random.random() < 0.5
    for number in range(random.randint(1, 4)):
        _shopify_order(random, history, 5_001_000 + number, offset, goodwill_lowers)
    _noise(random, history, ("refunds/create", {"id": 9}), ("orders/edited", {"order_edit": {"id": 1}}))
    return history


def _shopify_order(random: Random, history: History, order_id: int, offset: int, goodwill_lowers: bool) -> None:
    now = random.randint(0, DAY)
    paid = random.choice(("pending", "authorized", "paid", "paid"))
    order = _ShopifyOrder(order_id, random.choice(PEOPLE), random.randint(0, 20_000), now, now, paid)
    order.test = random.random() < 0.05
    sends: list[tuple[int, str, dict[str, Any]]] = []

    def changed(topic: str, what: str) -> None:
        history.steps.append(f"{now:10} order {order.id} {what}: {order.paid}, net {money(order.net())}")
        sends.append((now, topic, order.payload(offset, goodwill_lowers=goodwill_lowers)))

    changed("orders/create", "was placed")
    deleted = False
    for _ in range(random.randint(0, 7)):
        now += random.choice((1, 2, 30, 3600, 5 * DAY))
        order.updated = now
        possible = _possible_changes(random, order, now, goodwill_lowers=goodwill_lowers)
        if random.random() < 0.06:
            deleted = True
            history.steps.append(f"{now:10} order {order.id} was deleted")
            sends.append((now, "orders/delete", {"id": order.id}))
            break
        topic, what, apply = random.choice(possible)
        apply()
        changed(topic, what)
    reported = False  # whether a delivery names a customer
    for index, (at, topic, body) in enumerate(sends):
        if index != len(sends) - 1 and random.random() < 0.15:
            continue  # never sent, or lost at every try
        reported = reported or (topic != "orders/delete" and not order.test)
        tries = random.choice((1, 1, 1, 2, 4))
        arrives = at + random.random() * random.choice((1, 5, 600, 14_400, DAY))
        for _ in range(tries):
            history.arrivals.append(Arrival(arrives, topic, f"w-{order.id}-{at}", body))
            arrives += random.random() * 3600
    if reported:
        net = 0 if deleted else order.net()
        history.net[order.email] = history.net.get(order.email, 0) + net
        history.orders.setdefault(order.email, set()).add(str(order.id))


Change = tuple[str, str, Callable[[], None]]  # topic, the change in words, the function that makes it


def _possible_changes(random: Random, order: _ShopifyOrder, now: int, *, goodwill_lowers: bool) -> list[Change]:
    """The possible next changes of an order."""
    remaining = order.total - order.removed - order.returned - order.goodwill
    amount = random.randint(0, remaining) if remaining > 0 else 0

    def refund(transactions: list[dict[str, Any]]) -> None:
        order.refunds.append(
            {"id": 509_000 + len(order.refunds), "created_at": _local(now, 0), "transactions": transactions}
        )

    def pay_back(cents: int, kind: str) -> None:
        setattr(order, kind, getattr(order, kind) + cents)
        failed = [{"id": 2, "kind": "refund", "status": "failure", "amount": money(cents)}] * random.randint(0, 1)
        paid = {"id": 1, "kind": "refund", "status": "success", "amount": money(cents), "currency": "USD"}
        if random.random() < 0.3:
            paid |= {
                "amount": money(cents * 2),
                "currency": "CAD",
                "amount_set": {"shop_money": {"amount": money(cents)}},
            }
        refund([paid, *failed])
        order.paid = "refunded" if not remaining - cents else "partially_refunded"

    def remove() -> None:
        order.removed += amount
        refund([])

    def cancel() -> None:
        order.canceled = now

    def void() -> None:
        cancel()
        order.paid = "voided"

    def refund_and_cancel() -> None:
        cancel()
        pay_back(remaining, "returned")

    possible: list[Change] = [("orders/updated", "got a note", lambda: None)]
    if order.paid in ("pending", "authorized") and not order.canceled:
        possible += [
            ("orders/paid", "was paid", lambda: setattr(order, "paid", "paid")),
            ("orders/cancelled", "was voided", void),
            ("orders/cancelled", "was canceled unpaid", cancel),
            ("orders/updated", "expired", lambda: setattr(order, "paid", "expired")),
        ]
        if remaining > 0:
            possible.append(("orders/updated", f"lost a line of {money(amount)}", remove))
    if order.paid in ("paid", "partially_refunded"):
        possible.append(("orders/fulfilled", "was fulfilled", lambda: setattr(order, "fulfilled", True)))
        if remaining > 0:
            possible.append(("orders/updated", f"had {money(amount)} returned", lambda: pay_back(amount, "returned")))
            if goodwill_lowers or not order.removed:
                goodwill = ("orders/updated", f"had {money(amount)} goodwill", lambda: pay_back(amount, "goodwill"))
                possible.append(goodwill)
            if not order.canceled:
                possible += [
                    ("orders/cancelled", "was canceled and paid back", refund_and_cancel),
                    ("orders/cancelled", "was canceled, and the payment kept", cancel),
                ]
    return possible


# ------------------------------------------------------------------- noise


def _noise(random: Random, history: History, *irrelevant: tuple[str, Any]) -> None:
    """Adds deliveries that change no order, and forged copies, and sorts all by their time of arrival."""
    genuine = list(history.arrivals)
    for _ in range(random.randint(0, 3)):
        topic, body = random.choice(irrelevant)
        history.arrivals.append(Arrival(random.random() * 10 * DAY, topic, "noise", body))
    for arrival in random.sample(genuine, min(2, len(genuine))):
        if random.random() < 0.5:
            history.arrivals.append(arrival._replace(at=random.random() * 10 * DAY, genuine=False))
    history.arrivals.sort(key=lambda arrival: arrival.at)


SHOPS: dict[str, Callable[[int], History]] = {"woocommerce": woocommerce, "shopify": shopify}
