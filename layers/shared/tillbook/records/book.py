"""The book, which reports read: a card for each order, marks of the days that changed, and summaries of days.

Everything in the book is derived from the ledger. A card is put into its place, which depends on the order's date; a
newer card in that place is kept. Afterwards the mark of the day, a counter, is increased. A summary counts all cards of
a day, and is valid until the mark of the day changes. No sum is updated by a difference, so changes of orders may
arrive late, repeatedly and in any order.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tillbook.aws.items import Item, attributes, plain_item, raw, record_of
from tillbook.aws.reads import batch_get
from tillbook.aws.writes import write_if
from tillbook.ledger.items import Head, OrderHead, Scope
from tillbook.rules import times
from tillbook.rules.amounts import ZERO
from tillbook.rules.dates import Span
from tillbook.rules.json_text import Json, dumps, loads
from tillbook.rules.order import VOIDED, received_of
from tillbook.rules.packing import pack, unpack
from tillbook.rules.sales import Details, Line, lines_of, rows_of

# Indexes over cards. The partition key of both is `named`; NAMES has the sort key of each.
BY_ORDER_ID, BY_PUBLIC_ID = "by_order_id", "by_public_id"
NAMES = {BY_ORDER_ID: "order_name", BY_PUBLIC_ID: "public_name"}
# A: reads an order after 4 writes   B: reads it after 5 writes, and puts its card
# A: puts its card -> refused, or an older state would replace a newer one.
# A card with the same number of writes may be put again: a rebuild corrects cards of older versions of this code.
CARD_IS_NOT_OLDER = "attribute_not_exists(pk) OR writes <= :writes"
UTC, SIZE = "UTC", "size"  # time zone and kind of the summaries that count the records of an audience
_PART_BYTES = 350_000  # DynamoDB's limit for an item is 400 KB
_MONTH, _DAY = 6, 8  # characters of a stamp


class Place(NamedTuple):
    """The place of an order's card. If the order's date changes, its card moves, and an empty card remains here."""

    scope: Scope
    ordered_at: str
    order_key: str

    @property
    def key(self) -> Item:
        return {
            "pk": cards_partition(self.scope, self.ordered_at[:_MONTH]),
            "sk": f"{self.ordered_at}#{self.order_key}",
        }

    @property
    def day(self) -> str:
        """The UTC day of the order, as `20261129`."""
        return self.ordered_at[:_DAY]

    @classmethod
    def of(cls, item: Item) -> Place:
        ordered_at, _, order_key = str(item["sk"]).partition("#")
        return cls(Scope.of(item["pk"]), ordered_at, order_key)


def cards_partition(scope: Scope, month: str) -> str:
    return f"{scope.name}/cards/{month}"


class CardItem(NamedTuple):
    """An order as reports know it. A deleted order, or a place that an order left, has an empty card: `writes` only.

    Key: `{scope}/cards/{yyyymm}`, `{ordered_at}#{order key}`.

    Attributes:
        writes: `writes` of the order's head from which the card was made.
        provider, order_id, public_id: as the shop sent them.
        status: the latest action: `submitted` or `edited` in v1; `voided` if the order is voided (rules.order).
        person: our own id. received: stamp of receipt of the latest event that names a person, or of a v1 order's
            newest version.
        currency: empty if no event carried one. total, refunds, net: in currency units; net is the LTV contribution.
        new_buyer, promo_code: as in rules.sales.Details.
        records: number of the order's records in its audience.
        lines: packed rules.sales.rows_of.
        named (the scope), order_name, public_name: keys of the indexes by name (name_of).
    """

    writes: int = 0
    provider: str = ""
    order_id: str = ""
    public_id: str = ""
    status: str = ""
    person: str = ""
    received: str = ""
    currency: str = ""
    total: Decimal = ZERO
    refunds: Decimal = ZERO
    net: Decimal = ZERO
    new_buyer: str = ""
    promo_code: str = ""
    records: int = 0
    lines: bytes = b""

    @property
    def shows(self) -> bool:
        """Whether the order is listed, and belongs to an audience."""
        return bool(self.status)

    @property
    def counts(self) -> bool:
        """Whether the order counts in sums of reports."""
        return self.shows and self.status != VOIDED

    @property
    def items(self) -> list[Line]:
        return list(lines_of(unpack(self.lines))) if self.lines else []

    def names(self, scope: Scope) -> Item:
        """Returns the keys of the indexes by name; none for an empty card.

        A public id equal to the order id, apart from `#`, is left out.
        """
        own, public = name_of(self.order_id), name_of(self.public_id)
        found = {NAMES[BY_ORDER_ID]: own, NAMES[BY_PUBLIC_ID]: public if bare(public) != bare(own) else ""}
        return {"named": scope.name} | {key: name for key, name in found.items() if name} if self.shows else {}


def name_of(text: str) -> str:
    """Returns the searchable form of an order's id: trimmed, in lower case, the first 200 characters."""
    return text.strip().lower()[:200]


def bare(name: str) -> str:
    """Returns the name without leading `#`, so that `1001` also finds `#1001`."""
    return name.lstrip("#")


def card_of(head: Head, details: Details) -> CardItem:
    """Returns the card of an order that exists."""
    lines = pack(rows_of(details.lines)) if details.lines else b""
    found = CardItem(
        head.writes,
        order_id=head.order_id,
        public_id=details.public_id,
        person=head.person,
        new_buyer=details.new_buyer,
        promo_code=details.promo_code,
        records=head.customer.records,
        lines=lines,
    )
    if isinstance(head, OrderHead):
        status = "submitted" if head.version == head.born else "edited"
        total = head.contribution
        return found._replace(status=status, received=head.received, currency=head.currency, total=total, net=total)
    state = head.state
    # As in LTV, refunds do not count without a known total.
    total = ZERO if state.known_total is None else state.known_total
    refunds = ZERO if state.known_total is None or state.voided else state.refunds
    return found._replace(
        provider=head.provider,
        status=VOIDED if state.voided else state.action,
        received=received_of(state.latest_at),
        currency=state.currency,
        total=total,
        refunds=refunds,
        net=state.contribution,
    )


def place_of(scope: Scope, order_key: str, head: Head | None) -> Place | None:
    """Returns the place of an order's card; None for an order without a date, since all its events are emptied."""
    return Place(scope, head.ordered_at, order_key) if head is not None and head.ordered_at else None


class ChangesItem(NamedTuple):
    """The number of times that cards of a UTC day were put.

    Each batch of changes increases the number once, after its cards are put. If a reader reads the number before the
    cards, its sums include at least that many changes.

    Key: `{scope}/marks`, `{yyyymmdd}`.

    Attributes: changes.
    """

    changes: int = 0


class SummaryItem(NamedTuple):
    """Sums of a date in a time zone, or a part of them if they take several items.

    Key: `{scope}/summaries`, `{time zone}/{kind}/{yyyymmdd}/{part}`.

    Attributes:
        counted: JSON: the number of changes by UTC day, read before the cards. as_of: when it was read (a stamp).
        token: unique for each write. parts: number of items with this token.
        sums: packed JSON, split into parts.
        ttl: set if the sums name people, since an erasure does not change stored sums.
    """

    counted: str = ""
    as_of: str = ""
    token: str = ""
    parts: int = 1
    sums: bytes = b""
    ttl: int = 0


class Summary(NamedTuple):
    """Sums of a date. `counted`: number of changes that the sums include, by UTC day. `sums`: rows of views.sales."""

    counted: Mapping[str, int]
    as_of: str
    sums: Json


class Book:
    """The book of one stack. Reads are consistent, except that of an index."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    # ------------------------------------------------------------ cards, marks

    def put(self, place: Place, card: CardItem) -> None:
        """Puts the card unless a newer card is there. The writer of a newer card marks the day itself."""
        write_if(
            self.client.put_item,
            TableName=self.table,
            Item=raw(place.key | attributes(card) | card.names(place.scope)),
            ConditionExpression=CARD_IS_NOT_OLDER,
            ExpressionAttributeValues=raw({":writes": card.writes}),
        )

    def discard(self, place: Place) -> None:
        """Deletes a card of a purged scope."""
        self.client.delete_item(TableName=self.table, Key=raw(place.key))

    def mark(self, scope: Scope, day: str) -> None:
        """Notes a change of the day. Must be called after its cards are put, and before the batch is acknowledged."""
        self.client.update_item(
            TableName=self.table,
            Key=raw({"pk": f"{scope.name}/marks", "sk": day}),
            UpdateExpression="ADD changes :one",
            ExpressionAttributeValues=raw({":one": 1}),
        )

    def changes(self, scope: Scope, first: str = "0", last: str = "~") -> dict[str, int]:
        """Returns the number of changes by UTC day, from the day `first` to the day `last` (as `20261129`)."""
        items = self._query(f"{scope.name}/marks", first, last)
        return {str(item["sk"]): record_of(ChangesItem, item).changes for item in items}

    def cards(
        self, scope: Scope, first: str, last: str, *, newest_first: bool = False, page: int = 1000
    ) -> Iterator[tuple[Place, CardItem]]:
        """Yields the cards between two sort keys within one month, sorted by the order's date, also empty cards."""
        pk = cards_partition(scope, first[:_MONTH])
        for item in self._query(pk, first, last, newest_first=newest_first, page=page):
            yield Place.of(item), record_of(CardItem, item)

    def places_named(self, scope: Scope, index: str, begin: str, most: int) -> dict[Place, str]:
        """Returns places and names of at most `most` orders whose name in an index begins with `begin`, sorted by name.

        The index is slightly behind the table.
        """
        answer = self.client.query(
            TableName=self.table,
            IndexName=index,
            Limit=most,
            KeyConditionExpression=f"named = :scope AND begins_with({NAMES[index]}, :begin)",
            ExpressionAttributeValues=raw({":scope": scope.name, ":begin": begin}),
        )
        return {Place.of(item): str(item[NAMES[index]]) for item in map(plain_item, answer["Items"])}

    def cards_at(self, places: Sequence[Place]) -> dict[Place, CardItem]:
        """Returns the cards that exist at these places. Raises Unavailable."""
        items = batch_get(self.client, self.table, [raw(place.key) for place in places])
        return {Place.of(item): record_of(CardItem, item) for item in items}

    # --------------------------------------------------------------- summaries

    def keep(self, scope: Scope, zone: str, kind: str, day: str, summary: Summary, seconds: int | None = None) -> None:
        """Stores a summary. It expires after `seconds`, if given."""
        packed = pack(summary.sums)
        token, ttl = times.uuid7(), int(time.time()) + seconds if seconds else 0
        pieces = [packed[start : start + _PART_BYTES] for start in range(0, len(packed), _PART_BYTES)]
        for number, piece in enumerate(pieces):
            item = SummaryItem(dumps(dict(summary.counted)), summary.as_of, token, len(pieces), piece, ttl)
            key = {"pk": f"{scope.name}/summaries", "sk": f"{zone}/{kind}/{day}/{number:03d}"}
            self.client.put_item(TableName=self.table, Item=raw(key | attributes(item)))

    def kept(self, scope: Scope, zone: str, kind: str, first: str, last: str) -> dict[str, Summary]:
        """Returns the stored summaries by date (as `20261129`), without expired ones and those that lack a part."""
        prefix, now = f"{zone}/{kind}/", time.time()
        stored: dict[str, list[SummaryItem]] = {}
        for item in self._query(f"{scope.name}/summaries", f"{prefix}{first}", f"{prefix}{last}~"):
            part = record_of(SummaryItem, item)
            if not 0 < part.ttl <= now:  # DynamoDB deletes expired items later
                stored.setdefault(str(item["sk"])[len(prefix) :].partition("/")[0], []).append(part)
        found: dict[str, Summary] = {}
        for day, (begin, *rest) in stored.items():
            # Parts of an earlier, longer summary may remain, and another summary may be half written: only parts with
            # the same token belong together.
            parts = [begin, *(part for part in rest if part.token == begin.token)]
            if len(parts) == begin.parts:
                sums = unpack(b"".join(part.sums for part in parts))
                found[day] = Summary(loads(begin.counted), begin.as_of, sums)
        return found

    def about(self, scope: Scope) -> int:
        """Returns the approximate number of orders, as of the last count of the audience's records."""
        return sum(summary.sums["orders"] for summary in self.kept(scope, UTC, SIZE, "0", "~").values())

    # ---------------------------------------------------------- purged scopes

    def months(self, scope: Scope) -> list[str]:
        """Returns the months that may have a card, as `202611`."""
        return sorted({day[:_MONTH] for day in self.changes(scope)})

    def partitions(self, scope: Scope) -> list[str]:
        """Returns the partition keys of a scope. The marks are last, since they name the months that may have cards."""
        cards = [cards_partition(scope, month) for month in self.months(scope)]
        return [*cards, f"{scope.name}/summaries", f"{scope.name}/marks"]

    def _query(
        self, pk: str, first: str, last: str, *, newest_first: bool = False, page: int | None = None
    ) -> Iterator[Item]:
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": raw({":pk": pk, ":first": first, ":last": last}), "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
        } | ({"Limit": page} if page else {})  # fmt: skip
        while True:
            answer = self.client.query(**arguments)
            yield from map(plain_item, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def spans_by_month(spans: Iterable[Span]) -> Iterator[Span]:
    """Yields the spans, split at the ends of months, since each month's cards are one partition."""
    for span in spans:
        first = span.first
        while first[:_MONTH] < span.last[:_MONTH]:
            month = first[:_MONTH]
            yield Span(first, f"{month}31235959999999")
            first = f"{_next_month(month)}01000000000000"
        yield Span(first, span.last)


def _next_month(month: str) -> str:
    year, number = int(month[:4]), int(month[4:])
    return f"{year + number // 12:04d}{number % 12 + 1:02d}"
