"""The items of the ledger table. Every key and every attribute of it is declared here.

A scope `{account}/{o|s}{generation}` is a whole ledger: all orders of one source of an account, since its last purge.

The docstring of each item's class says under which key it is.
16 buckets spread the orders of a scope (16 x 1,000 write units a second before DynamoDB splits them further), and let
all of them be read without an index. A walk over heads reads no event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from tillbook.aws.items import Item, attributes, record_of
from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.identity import Source
from tillbook.rules.order import NO_CUSTOMER, Customer, Event, OrderState, Standing, event_id_of

BUCKETS, PERSON_PARTITIONS = 16, 256
SOURCE_LETTER: dict[str, str] = {"orders_api": "o", "shopper_activity": "s"}
SOURCES: tuple[Source, ...] = ("orders_api", "shopper_activity")
TIMELINE = "timeline"  # index over events: `timeline`, `stamp`
MATCH_INDEXES = {"shipping": "shipping_key", "billing": "billing_key", "customer": "customer_key"}  # over heads


def bucket_of(order_key: str) -> int:
    # The first of the 22 characters carries 6 random bits of the hash.
    return ord(order_key[0]) % BUCKETS


def version_name(version: int) -> str:
    """Event id of a v1 order's version; sorts by number."""
    return f"{version:08d}"


class Scope(NamedTuple):
    """All orders of one source of an account since its last purge, which began this `generation`."""

    account: str
    source: Source
    generation: int = 0

    @property
    def name(self) -> str:
        return f"{self.account}/{SOURCE_LETTER[self.source]}{self.generation}"

    @classmethod
    def of(cls, pk: str) -> Scope:
        """The scope of an item, by its partition key."""
        account, scope, *_ = pk.split("/")
        source: Source = "orders_api" if scope[0] == "o" else "shopper_activity"
        return cls(account, source, int(scope[1:]))

    def heads(self, bucket: int) -> str:
        return f"{self.name}/h/{bucket:x}"

    def head_key(self, order_key: str) -> Item:
        return {"pk": self.heads(bucket_of(order_key)), "sk": order_key}

    def event_key(self, order_key: str, event_id: str) -> Item:
        return {"pk": f"{self.name}/e/{bucket_of(order_key):x}", "sk": event_name(order_key, event_id)}

    def people(self, partition: int) -> str:
        return f"{self.name}/p/{partition:02x}"

    def person_key(self, person: str) -> Item:
        return {"pk": f"{self.name}/p/{person[:2]}", "sk": person}

    def timeline(self, person: str) -> str:
        """Partition key of a person in the index of events; empty for nobody."""
        return f"{self.name}/p/{person}" if person else ""

    def counters(self) -> str:
        return f"{self.name}/n"

    def counter_key(self, order_key: str) -> Item:
        """One of 256, so that hundreds of orders a second seldom meet at one."""
        return {"pk": self.counters(), "sk": f"{ord(order_key[0]) % 16:x}{ord(order_key[1]) % 16:x}"}

    def match(self, match_key: str) -> str:
        """Partition key of an address or a customer id in the indexes of heads."""
        return f"{self.name}/{match_key}"

    def partitions(self) -> list[str]:
        """All partition keys: orders, events, people, counters."""
        orders = [f"{self.name}/{kind}/{bucket:x}" for kind in "eh" for bucket in range(BUCKETS)]
        return orders + [self.people(n) for n in range(PERSON_PARTITIONS)] + [self.counters()]


def event_name(order_key: str, event_id: str) -> str:
    return f"{order_key}!{event_id}"


def order_key_of(sk: str) -> str:
    """The order of a head or an event, by its sort key."""
    return sk.partition("!")[0]


def _indexed(scope: Scope, customer: Customer) -> Item:
    """What makes an order's records countable and findable. An address that is both is indexed once."""
    keys = {"shipping_key": customer.shipping, "billing_key": customer.billing, "customer_key": customer.customer}
    if customer.billing == customer.shipping:
        keys["billing_key"] = ""
    return {"records": customer.records} | {name: scope.match(key) for name, key in keys.items() if key}


class ActivityHead(NamedTuple):
    """Head of a v3 order.

    Key: `{scope}/h/{bucket}`, `{order key}`.

    Attributes:
        provider, order_id: as the shop has them.
        writes: how often this head was written. It only grows, since a head is never deleted in a live scope.
        The fields of rules.order.OrderState. With nothing left of the order: `writes` only.
        contribution: total minus refunds, in currency units.
        records, shipping_key, billing_key: the order in its audience.
    """

    provider: str
    order_id: str
    writes: int = 0
    state: OrderState = OrderState()

    @property
    def standing(self) -> Standing | None:
        return self.state.standing if self.state.events else None

    @property
    def customer(self) -> Customer:
        return self.state.customer if self.state.events else NO_CUSTOMER

    @property
    def person(self) -> str:
        return self.state.person

    def item(self, scope: Scope, order_key: str) -> Item:
        item = scope.head_key(order_key) | {"writes": self.writes}
        if not self.state.events:
            return item
        item |= {"provider": self.provider, "order_id": self.order_id, "contribution": self.state.contribution}
        return item | attributes(self.state) | _indexed(scope, self.customer)


class OrderHead(NamedTuple):
    """Head of a v1 order.

    Key: `{scope}/h/{bucket}`, `{order key}`.

    Attributes:
        order_id: as the shop has it. id: our own, of this submission.
        writes: as in ActivityHead. version: number of the newest version. born: of the order's first version.
        received: when the newest version was received, or the one before it if that was later.
        digest: hash of the submission. deleted: whether the order was deleted or erased.
        ordered_at: its date. added_at: when it was submitted.
        person: our own id, empty for nobody. currency, contribution: what it adds to their LTV.
        records, shipping_key, billing_key, customer_key: the order in its audience.
    """

    order_id: str = ""
    id: str = ""
    writes: int = 0
    version: int = 0
    born: int = 0
    received: str = ""
    digest: str = ""
    deleted: bool = False
    ordered_at: str = ""
    added_at: str = ""
    person: str = ""
    currency: str = ""
    contribution: Decimal = ZERO
    customer: Customer = NO_CUSTOMER

    @property
    def standing(self) -> Standing | None:
        return None if self.deleted else Standing(self.person, self.currency, self.contribution)

    def item(self, scope: Scope, order_key: str) -> Item:
        known = attributes(self._replace(customer=NO_CUSTOMER))
        if not self.deleted:
            known |= {"contribution": self.contribution} | _indexed(scope, self.customer)
        return scope.head_key(order_key) | known


Head = ActivityHead | OrderHead


def head_of(item: Item) -> Head:
    if Scope.of(item["pk"]).source == "orders_api":
        keys = (str(item.get(name, "")).rpartition("/")[2] for name in MATCH_INDEXES.values())
        return record_of(OrderHead, item)._replace(customer=Customer(int(item.get("records", 0)), *keys))
    state = record_of(OrderState, item)
    return ActivityHead(item.get("provider", ""), item.get("order_id", ""), int(item["writes"]), state)


class EventItem(NamedTuple):
    """An event of a v3 order, or a version of a v1 order. One that was emptied has `request` and `hash` only.

    Key: `{scope}/e/{bucket}`, `{order key}!{event id or version}`.

    Attributes:
        request: id of the request that wrote it.
        hash: of a v3 event with an idempotency key: hash of its content.
        stamp: place in the timeline (rules.order.stamp_of). timeline: whose timeline; absent for nobody.
        action: as in rules.order.ACTIVITY_NAMES. body: packed (rules.packing).
        total, refund, currency, shipping, billing: of a v3 event, as in rules.order.Event.
        id: of a v1 version: our own id of the order.
        effects: what it did to the sums as it was applied (rules.effects). moves: the same of its copies, by request.
        flags: of the order, as the event left it, separated by spaces.
    """

    request: str
    hash: str = ""
    stamp: str = ""
    timeline: str = ""
    action: str = ""
    total: Decimal | None = None
    refund: Decimal = ZERO
    currency: str = ""
    shipping: str | None = None
    billing: str | None = None
    id: str = ""
    effects: str = ""
    moves: str = ""
    flags: str = ""
    body: bytes = b""

    @property
    def person(self) -> str:
        return self.timeline.rpartition("/")[2]

    @property
    def event(self) -> Event:
        return Event(
            self.stamp, self.action, self.person, self.total, self.refund, self.currency, self.shipping, self.billing
        )

    def emptied(self) -> EventItem:
        """What stays, so that the same event again changes nothing."""
        return EventItem(self.request, self.hash)

    def item(self, scope: Scope, order_key: str, event_id: str) -> Item:
        return scope.event_key(order_key, event_id) | attributes(self)


def event_of(item: Item) -> EventItem:
    return record_of(EventItem, item)


def event_key_of(scope: Scope, order_key: str, stamp: str) -> Item:
    """Key of the v3 event of an order that has this stamp."""
    return scope.event_key(order_key, event_id_of(stamp))


class PersonItem(NamedTuple):
    """A person in one scope.

    Key: `{scope}/p/{id[:2]}`, `{person id}`.

    Attributes:
        kind, value: as in rules.identity.Person.
        token: new with each write.
        `USD`: sum of the contributions of their orders in USD. `#USD`: how many. `*` is the account's currency.
    """

    kind: str
    value: str
    token: str
    cells: Mapping[str, Decimal]

    @property
    def orders(self) -> dict[str, int]:
        """By currency, those in which the person has orders."""
        return {name[1:]: int(count) for name, count in self.cells.items() if name[0] == "#" and count}

    def amount(self, currency: str) -> Decimal:
        return self.cells.get(currency, ZERO)


_OF_PERSON = {"pk", "sk", "kind", "value", "token"}


def person_of(item: Item) -> PersonItem:
    cells = {name: value for name, value in item.items() if name not in _OF_PERSON}
    return PersonItem(item.get("kind", ""), item.get("value", ""), item["token"], cells)


def cells_of(standing: Standing, sign: int) -> Iterator[tuple[str, Decimal]]:
    """The attributes of a person to which an order adds, and what; `sign` -1 takes it away."""
    currency = standing.currency or "*"
    yield currency, EXACT.multiply(standing.amount, Decimal(sign))
    yield f"#{currency}", Decimal(sign)


class CounterItem(NamedTuple):
    """Part of the counts of an audience.

    Key: `{scope}/n`, `{shard}`.

    Attributes: records, orders.
    """

    records: int = 0
    orders: int = 0
