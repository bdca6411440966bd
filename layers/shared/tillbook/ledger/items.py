"""The items of the ledger table. Every key and every attribute of the table is declared here.

A scope `{account}/{o|s}{generation}` is a separate ledger: all orders of one source of an account since its last purge.
`o` is the Orders API (v1), `s` is Shopper Activity (v3).

The docstring of each item's class gives its key. The orders of a scope are spread over 16 buckets, which allow
16 x 1,000 write units a second before DynamoDB splits them further, and let all orders be read without an index.
Heads and events are in different partitions, so reading the heads of orders reads no events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from tillbook.aws.items import Item, attributes, record_of
from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.identity import SOURCE_LETTER, Source
from tillbook.rules.json_text import loads
from tillbook.rules.order import NO_RECORDS, AudienceRecords, Event, OrderState, Standing, event_id_of
from tillbook.rules.times import uuid7

BUCKETS, PERSON_PARTITIONS = 16, 256
TIMELINE = "timeline"  # index over events, with the keys `timeline` and `stamp`
PERSON = "person"  # index over heads, with the keys `person_key` and `ordered_at`
# The limit of an order: 4 MB of events. Each event counts as 4 KiB or more, so an order has at most 1,000 events.
MOST_BYTES_OF_ORDER, LEAST_BYTES_OF_EVENT = 4_096_000, 4096
_JSON_PER_BYTE = 8  # characters of JSON that count as one byte of an event
# Indexes over heads, and their keys.
MATCH_INDEXES = {"shipping": "shipping_key", "billing": "billing_key", "customer": "customer_key"}


def bucket_of(order_key: str) -> int:
    # The first of the order key's 22 characters carries 6 random bits of the hash.
    return ord(order_key[0]) % BUCKETS


def version_name(version: int) -> str:
    """Returns the event id of a v1 order's version. Such ids sort by number."""
    return f"{version:08d}"


class Scope(NamedTuple):
    """All orders of one source of an account since its last purge, which started this `generation`."""

    account: str
    source: Source
    generation: int = 0

    @property
    def name(self) -> str:
        return f"{self.account}/{SOURCE_LETTER[self.source]}{self.generation}"

    @classmethod
    def of(cls, pk: str) -> Scope:
        """Returns the scope that an item's partition key begins with."""
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
        """Returns the partition key of a person in the indexes over events and heads; empty for nobody."""
        return f"{self.name}/p/{person}" if person else ""

    def match(self, match_key: str) -> str:
        """Returns the partition key of an address or a customer id in the indexes over heads."""
        return f"{self.name}/{match_key}"

    def partitions(self, part: int = 0, parts: int = 1) -> list[str]:
        """Returns the partition keys of events, heads and people: all, or the `part`-th (from 0) of `parts` parts."""
        orders = [f"{self.name}/{kind}/{bucket:x}" for kind in "eh" for bucket in range(part, BUCKETS, parts)]
        people = [self.people(number) for number in range(part, PERSON_PARTITIONS, parts)]
        return orders + people


def event_name(order_key: str, event_id: str) -> str:
    return f"{order_key}!{event_id}"


def order_key_of(sk: str) -> str:
    """Returns the order key in the sort key of a head or an event."""
    return sk.partition("!")[0]


def counted_bytes(body: bytes, json_length: int) -> int:
    """Returns the bytes by which an event counts towards MOST_BYTES_OF_ORDER.

    `body` is packed; `json_length` is the number of characters of its JSON.
    """
    return max(LEAST_BYTES_OF_EVENT, len(body), json_length // _JSON_PER_BYTE)


def _indexed(scope: Scope, customer: AudienceRecords, person: str) -> Item:
    """Returns a head's attributes for audiences and indexes. Two equal addresses are indexed once, as shipping."""
    keys = {"shipping_key": customer.shipping, "billing_key": customer.billing, "customer_key": customer.customer}
    if customer.billing == customer.shipping:
        keys["billing_key"] = ""
    found = {name: scope.match(key) for name, key in keys.items() if key}
    return {"records": customer.records} | found | ({"person_key": scope.timeline(person)} if person else {})


class ActivityHead(NamedTuple):
    """The head of a v3 order: its current state.

    Key: `{scope}/h/{bucket}`, `{order key}`.

    Attributes:
        provider, order_id: as the shop sent them.
        writes: how often this head was written. It only grows, since no head of a current scope is deleted.
        bytes: size of all events, also emptied ones (counted_bytes).
        state: stored as the fields of rules.order.OrderState. If all events are emptied, the item has `writes` and
            `bytes` only.
        contribution: total minus refunds, in currency units.
        records: number of the order's records in its audience. shipping_key, billing_key: index keys by which an
            address finds the order. person_key: index key by which its person finds it.
    """

    provider: str
    order_id: str
    writes: int = 0
    bytes: int = 0
    state: OrderState = OrderState()

    @property
    def standing(self) -> Standing | None:
        return self.state.standing

    @property
    def customer(self) -> AudienceRecords:
        return self.state.customer

    @property
    def person(self) -> str:
        return self.state.person

    @property
    def ordered_at(self) -> str:
        return self.state.ordered_at

    def item(self, scope: Scope, order_key: str) -> Item:
        item = scope.head_key(order_key) | {"writes": self.writes, "bytes": self.bytes}
        if not self.state.events:
            return item
        item |= {"provider": self.provider, "order_id": self.order_id} | attributes(self.state)
        if self.standing is None:
            return item
        return item | {"contribution": self.standing.amount} | _indexed(scope, self.customer, self.person)


class OrderHead(NamedTuple):
    """The head of a v1 order: its current state.

    Key: `{scope}/h/{bucket}`, `{order key}`.

    Attributes:
        order_id: as the shop sent it. id: our own id of this submission.
        writes, bytes: as in ActivityHead. version: number of the newest version. born: number of the version that
            submitted the order. received: the latest time at which a version was received.
        digest: hash of the submission. deleted: whether the order was deleted or erased.
        ordered_at: the order's date. added_at: when it was submitted.
        person: our own id, empty for nobody. currency, contribution: the amount that the order adds to their LTV.
        records, shipping_key, billing_key, person_key: as in ActivityHead.
        customer_key: index key by which a customer id finds the order.
    """

    order_id: str = ""
    id: str = ""
    writes: int = 0
    bytes: int = 0
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
    customer: AudienceRecords = NO_RECORDS

    @property
    def standing(self) -> Standing | None:
        return None if self.deleted else Standing(self.person, self.currency, self.contribution)

    def item(self, scope: Scope, order_key: str) -> Item:
        known = attributes(self._replace(customer=NO_RECORDS))
        if not self.deleted:
            known |= {"contribution": self.contribution} | _indexed(scope, self.customer, self.person)
        return scope.head_key(order_key) | known


Head = ActivityHead | OrderHead

# The attributes of heads that this version of the code knows. A newer version may have added others.
HEAD_ATTRIBUTES = frozenset(
    {"pk", "sk", "records", "person_key", *MATCH_INDEXES.values()}
    | {*ActivityHead._fields, *OrderHead._fields, *OrderState._fields}
)


def head_of(item: Item) -> Head:
    if Scope.of(item["pk"]).source == "orders_api":
        keys = (str(item.get(name, "")).rpartition("/")[2] for name in MATCH_INDEXES.values())
        return record_of(OrderHead, item)._replace(customer=AudienceRecords(int(item.get("records", 0)), *keys))
    state = record_of(OrderState, item)
    writes, size = int(item["writes"]), int(item.get("bytes", 0))
    return ActivityHead(item.get("provider", ""), item.get("order_id", ""), writes, size, state)


class EventItem(NamedTuple):
    """An event of a v3 order, or a version of a v1 order. An emptied event has `request` and `hash` only.

    Key: `{scope}/e/{bucket}`, `{order key}!{event id or version}`.

    Attributes:
        request: id of the request that wrote it.
        hash: hash of the content of a v3 event with an idempotency key.
        stamp: place in the timeline (rules.order.stamp_of). timeline: the person's timeline; absent for nobody.
        action: a key of rules.order.ACTIVITY_NAMES. body: packed (rules.packing).
        total, refund, currency, shipping, billing: set for a v3 event only, as in rules.order.Event.
        id: our own id of the order, set for a version of a v1 order only.
        effects: the changes of LTV when the event was applied (rules.effects).
        flags: rules.order.flags_of at that time, separated by spaces. notes: warnings about the body, as JSON.
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
    flags: str = ""
    notes: str = ""
    body: bytes = b""

    @property
    def person(self) -> str:
        return self.timeline.rpartition("/")[2]

    @property
    def event(self) -> Event:
        return Event(
            self.stamp, self.action, self.person, self.total, self.refund, self.currency, self.shipping, self.billing
        )

    @property
    def noted(self) -> list[str]:
        return list(loads(self.notes)) if self.notes else []

    def emptied(self) -> EventItem:
        """Returns the event without its content. The item remains, so that a copy of the event changes nothing."""
        return EventItem(self.request, self.hash)

    def item(self, scope: Scope, order_key: str, event_id: str) -> Item:
        return scope.event_key(order_key, event_id) | attributes(self)


def event_of(item: Item) -> EventItem:
    return record_of(EventItem, item)


def event_key_of(scope: Scope, order_key: str, stamp: str) -> Item:
    """Returns the key of the v3 event that has this stamp."""
    return scope.event_key(order_key, event_id_of(stamp))


class PersonItem(NamedTuple):
    """A person in one scope.

    Key: `{scope}/p/{id[:2]}`, `{person id}`.

    Attributes:
        kind, value: as in rules.identity.Person.
        token: new with each write; contains the cause of the write (token_of).
        cells: the sums and counts by name. `USD` is the sum of the contributions of their orders in USD, `#USD` the
            number of those orders; `*` and `#*` are for orders without a currency, which are in the account's currency.
    """

    kind: str
    value: str
    token: str
    cells: Mapping[str, Decimal]

    @property
    def orders(self) -> dict[str, int]:
        """The number of orders by currency. Currencies in which the person has no orders are left out."""
        return {name[1:]: int(count) for name, count in self.cells.items() if name[0] == "#" and count}

    def amount(self, currency: str) -> Decimal:
        return self.cells.get(currency, ZERO)


_OF_PERSON = {"pk", "sk", "kind", "value", "token"}


def person_of(item: Item) -> PersonItem:
    cells = {name: value for name, value in item.items() if name not in _OF_PERSON}
    return PersonItem(item.get("kind", ""), item.get("value", ""), item["token"], cells)


def cells_of(standing: Standing, sign: int) -> Iterator[tuple[str, Decimal]]:
    """Yields the (attribute, number) pairs that an order adds to its person's item: its amount, and one order.

    `sign` is 1, or -1 for the numbers that remove the order again.
    """
    currency = standing.currency or "*"
    yield currency, EXACT.multiply(standing.amount, Decimal(sign))
    yield f"#{currency}", Decimal(sign)


def token_of(order_key: str, event_id: str) -> str:
    """Returns a new token of a person: the order and the (last) event that caused the write, and 48 random bits."""
    return f"{event_name(order_key, event_id)}!{uuid7()[-12:]}"


class Cause(NamedTuple):
    """The cause of a write of a person's item. `event_id` is empty if a rebuild corrected the order's head only."""

    order_key: str
    event_id: str


def cause_of(token: str) -> Cause:
    order_key, event_id, _ = token.split("!")
    return Cause(order_key, event_id)
