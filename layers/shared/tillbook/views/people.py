"""Reads people of the ledger: lifetime value, timeline, list of orders. Nothing here writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tillbook.aws.items import plain_item, raw
from tillbook.aws.reads import batch_get, query_items
from tillbook.contract import activity, document
from tillbook.contract.limits import PAGE_BYTES
from tillbook.ledger.items import (
    MOST_BYTES_OF_ORDER,
    PERSON,
    PERSON_PARTITIONS,
    TIMELINE,
    ActivityHead,
    EventItem,
    OrderHead,
    PersonItem,
    Scope,
    event_of,
    order_key_of,
    person_of,
)
from tillbook.records.accounts import Account
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO, minor_units
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.effects import effects_in, shown_effects
from tillbook.rules.errors import NotFound
from tillbook.rules.identity import SOURCE_LETTER, SOURCES, Person, Source, email_sha256, is_email, is_sha256
from tillbook.rules.json_text import Json
from tillbook.rules.order import ACTIVITY_NAMES, occurred_of, received_of
from tillbook.rules.packing import unpack
from tillbook.views.orders import OrderReader
from tillbook.views.paging import Page, answer_bytes

_OWN_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_MOST_READ = 2 * MOST_BYTES_OF_ORDER  # bytes of events that are read for a page of orders
MOST_LISTED = 200  # orders of a person in one read


class Known(NamedTuple):
    """A person: our own id, and their item in the current scope of each source."""

    id: str
    items: Mapping[Source, PersonItem]

    @property
    def named(self) -> tuple[str, str]:
        """Kind and value of the person (rules.identity.Person), both empty if unknown."""
        return next(((item.kind, item.value) for item in self.items.values() if item.kind), ("", ""))


class Place(NamedTuple):
    """The place of an order in the list of a person's orders."""

    ordered_at: str
    source: Source
    order_key: str

    @property
    def text(self) -> str:
        """The form that a cursor holds."""
        return f"{self.ordered_at}{SOURCE_LETTER[self.source]}{self.order_key}"

    @classmethod
    def of(cls, text: str) -> Place:
        source: Source = "orders_api" if text[20] == "o" else "shopper_activity"
        return cls(text[:20], source, text[21:])


class Listed(NamedTuple):
    """An entry of the timeline's index: the place of an event, and its stamp."""

    scope: Scope
    order_key: str
    sk: str
    stamp: str

    @property
    def key(self) -> dict[str, str]:
        return self.scope.event_key(self.order_key, self.sk.partition("!")[2])


@dataclass(frozen=True, slots=True)
class People:
    client: Any
    table: str
    account: Account
    marks: Marks

    @property
    def reader(self) -> OrderReader:
        """Reads single orders of the same account."""
        return OrderReader(self.client, self.table, self.account, self.marks)

    # ---------------------------------------------------------------- person

    def find(self, id_or_email: str) -> Known:
        """The person by our own id, person_id, e-mail, its SHA-256 or customer_id, in that order. Raises NotFound."""
        ids = self.ids(id_or_email)
        found = self._found(ids)
        for person in ids:
            if person in found:
                return found[person]
        raise NotFound("No customer has this id or e-mail address.")

    def known(self, ids: Sequence[str]) -> dict[str, Known]:
        """People who exist, by our own id, without people who are being erased and have not ordered since."""
        return {
            person: known
            for person, known in self._found(ids).items()
            if person not in self.marks.people or self._ordered_since(known, self.marks.people[person])
        }

    def _found(self, ids: Sequence[str]) -> dict[str, Known]:
        keys = [raw(scope.person_key(person)) for person in dict.fromkeys(ids) for scope in self.marks.scopes()]
        found: dict[str, dict[Source, PersonItem]] = {}
        for item in batch_get(self.client, self.table, keys):
            found.setdefault(str(item["sk"]), {})[Scope.of(item["pk"]).source] = person_of(item)
        return {person: Known(person, items) for person, items in found.items()}

    def _ordered_since(self, person: Known, cut: str) -> bool:
        """Whether the latest event of one of their newest orders was received after `cut`, their erasure (a stamp)."""
        places = [
            (scope, place.order_key)
            for scope in self._scopes(person)
            for place in self._listed_orders(scope, person, MOST_LISTED)
        ]
        heads = self.reader.heads(places).values()
        return any(
            (head.received if isinstance(head, OrderHead) else received_of(head.state.latest_at)) > cut
            for head in heads
        )

    def ids(self, id_or_email: str) -> list[str]:
        """Ids of the people that the text may mean, in lookup order."""
        own = [id_or_email] if _OWN_ID.fullmatch(id_or_email) else []
        return own + [person.id_in(self.account.id) for person in _candidates(id_or_email)]

    def may_be(self, id_or_email: str) -> list[str]:
        """Ids of people, known or not, whom a queued event may name by this text, the likeliest first.

        Queued events never name anybody by customer_id.
        """
        named = [p.id_in(self.account.id) for p in _candidates(id_or_email) if p.kind != "customer"]
        # A text shaped like a hash, or like one of our own ids, may also be a person_id.
        return named[::-1] + ([id_or_email] if _OWN_ID.fullmatch(id_or_email) else [])

    def everyone(self) -> Iterator[dict[str, Json]]:
        """All people of the account, unsorted, in the shape of `worth`."""
        for partition in range(PERSON_PARTITIONS):
            people: dict[str, dict[Source, PersonItem]] = {}
            for scope in self.marks.scopes():
                for item in query_items(self.client, self.table, "pk = :pk", {":pk": scope.people(partition)}):
                    people.setdefault(str(item["sk"]), {})[scope.source] = person_of(item)
            for person, items in people.items():
                yield self.worth(Known(person, items))

    def shown(self, person: Known) -> dict[str, Json]:
        first, last = self._order_times(person)
        return self.worth(person) | {"first_order_at": first, "last_order_at": last}

    def worth(self, person: Known) -> dict[str, Json]:
        """The shape of `shown` without the times of orders, which need more reads."""
        by_source = {source: self._values(person, source) for source in SOURCES}
        total: dict[str, Decimal] = {}
        for source in self.account.sources:
            for currency, value in by_source[source].items():
                total[currency] = EXACT.add(total.get(currency, ZERO), value)
        kind, value_of_kind = person.named
        counted = [person.items[source].orders for source in self.account.sources if source in person.items]
        return {
            "id": person.id,
            "email_sha256": value_of_kind if kind == "email" else None,
            "person_id": value_of_kind if kind == "person" else None,
            "customer_id": value_of_kind if kind == "customer" else None,
            "lifetime_value": _texts(total),
            "lifetime_value_by_source": {name: _texts(values) for name, values in by_source.items() if values},
            "orders_count": sum(sum(orders.values()) for orders in counted),
        }

    def subscriber(self, person: Known, asked: str) -> dict[str, Json]:
        """The shape of the v2 API, with LTV in the smallest unit of the account's currency, as an integer.

        E-mail addresses are not stored, so `email` is `asked`, the text of the request, if that is an address.
        """
        shape = self.shown(person)
        value = Decimal(shape["lifetime_value"].get(self.account.currency, "0"))
        return {
            "id": shape["id"],
            "status": "active",
            "email": asked if is_email(asked) else None,
            "email_sha256": shape["email_sha256"],
            "user_id": shape["person_id"] or shape["customer_id"],
            "lifetime_value": minor_units(value, self.account.currency),
            "created_at": shape["first_order_at"],
            "tags": [],
            "custom_fields": {},
        }

    def _values(self, person: Known, source: Source) -> dict[str, Decimal]:
        """LTV by currency, for the currencies in which the person has orders now."""
        values: dict[str, Decimal] = {}
        item = person.items.get(source)
        for stored in item.orders if item else ():
            currency = self.account.currency if stored == "*" else stored
            values[currency] = EXACT.add(values.get(currency, ZERO), item.amount(stored) if item else ZERO)
        return values

    def _order_times(self, person: Known) -> tuple[str | None, str | None]:
        """Times of the person's first and last order in the sources that the account counts; None without orders."""
        scopes = [scope for scope in self._scopes(person) if scope.source in self.account.sources]
        ends = [[self._listed_orders(scope, person, 1, newest_first=newest) for scope in scopes] for newest in (0, 1)]
        first, last = ([place.ordered_at for found in end for place in found] for end in ends)
        return (times.iso(min(first)), times.iso(max(last))) if first and last else (None, None)

    def _scopes(self, person: Known) -> list[Scope]:
        """The current scopes in which the person has orders."""
        return [scope for scope in self.marks.scopes() if scope.source in person.items]

    # -------------------------------------------------------------- timeline

    def activity(self, person: Known, limit: int, after: str | None, *, effects: bool = False) -> Page:
        """The person's activities, newest first. With `effects`, each has the changes that it made to LTV."""
        listed = self._timeline(person, limit, after)
        # If an event gets an earlier time of receipt, its entry in the index moves, and may exist twice for a moment.
        keys = {entry.sk: entry.key for entry in listed}
        items = batch_get(self.client, self.table, [raw(key) for key in keys.values()])
        found = {item["sk"]: event_of(item) for item in items}
        entries: list[Json] = []
        cursor, size = None, 0
        for one in listed:
            event = found.pop(one.sk, None)
            if event is None or not event.body:  # listed twice, or emptied: the index is slightly behind the table
                continue
            entry = _activity(event)
            if effects:
                entry["effects"] = shown_effects(effects_in(event.effects), self.account.currency)
            size += answer_bytes(entry)
            if entries and size > PAGE_BYTES:
                return Page(entries, cursor)
            entries.append(entry)
            cursor = one.stamp
        return Page(entries, listed[-1].stamp if len(listed) == limit else None)

    def orders(self, person: Known, limit: int, after: str | None) -> Page:
        """The person's orders, newest first by their date."""
        after_place = Place.of(after) if after else None
        places: list[Place] = []
        for scope in self._scopes(person):
            places += self._listed_orders(scope, person, limit, after_place)
        # The sort is stable: orders of one source and moment keep the index's order, which the next page continues.
        places = sorted(places, key=lambda place: (place.ordered_at, place.source), reverse=True)[:limit]
        heads = self.reader.heads((self.marks.scope(place.source), place.order_key) for place in places)
        entries: list[Json] = []
        read = size = 0
        for number, place in enumerate(places):
            scope = self.marks.scope(place.source)
            head = heads.get((scope, place.order_key))
            if head is None or head.ordered_at != place.ordered_at:
                continue  # deleted, or has another date by now: the index is slightly behind the table
            read += head.bytes if isinstance(head, ActivityHead) else 0
            try:
                entry = self.reader.shown(scope, place.order_key, person.id, head)
            except NotFound:
                continue  # deleted, or moved to another person, after it was listed
            size += answer_bytes(entry)
            if entries and (size > PAGE_BYTES or read > _MOST_READ):
                return Page(entries, places[number - 1].text)
            entries.append(entry)
        return Page(entries, places[-1].text if len(places) == limit else None)

    # ------------------------------------------------------- reads of indexes

    def _listed_orders(
        self,
        scope: Scope,
        person: Known,
        limit: int,
        after_place: Place | None = None,
        *,
        newest_first: bool | int = True,
    ) -> list[Place]:
        """Places of a person's orders in one scope, sorted by date; with `after_place`, only those after this place."""
        values = {":person": scope.timeline(person.id)}
        arguments: dict[str, Any] = {
            "TableName": self.table, "IndexName": PERSON, "KeyConditionExpression": "person_key = :person",
            "ScanIndexForward": not newest_first, "Limit": limit,
        }  # fmt: skip
        if after_place is not None and after_place.source == scope.source:
            index_key = {"person_key": values[":person"], "ordered_at": after_place.ordered_at}
            key = scope.head_key(after_place.order_key) | index_key
            arguments["ExclusiveStartKey"] = raw(key)
        elif after_place is not None:
            # Orders of the same moment are sorted by the name of their source, in descending order.
            sign = "<=" if scope.source < after_place.source else "<"
            arguments["KeyConditionExpression"] += f" AND ordered_at {sign} :after"
            values[":after"] = after_place.ordered_at
        answer = self.client.query(ExpressionAttributeValues=raw(values), **arguments)
        return [Place(item["ordered_at"], scope.source, item["sk"]) for item in map(plain_item, answer["Items"])]

    def _timeline(self, person: Known, limit: int, after: str | None) -> list[Listed]:
        """The timeline's entries of both sources, newest first; with `after`, only entries before that stamp."""
        listed: list[Listed] = []
        for scope in self._scopes(person):
            condition, values = "timeline = :person", {":person": scope.timeline(person.id)}
            if after:
                condition += " AND stamp < :after"
                values[":after"] = after
            answer = self.client.query(
                TableName=self.table,
                IndexName=TIMELINE,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=raw(values),
                ScanIndexForward=False,
                Limit=limit,
            )
            for item in map(plain_item, answer["Items"]):
                listed.append(Listed(scope, order_key_of(item["sk"]), item["sk"], item["stamp"]))
        return sorted(listed, key=lambda entry: entry.stamp, reverse=True)[:limit]


def _candidates(text: str) -> list[Person]:
    if is_email(text):
        return [Person("email", email_sha256(text))]
    hashed = [Person("email", text.lower())] if is_sha256(text) else []
    return [Person("person", text), *hashed, Person("customer", text)]


def _texts(values: dict[str, Decimal]) -> dict[str, str]:
    return {currency: amount_text(values[currency]) for currency in sorted(values)}


def _activity(event: EventItem) -> dict[str, Json]:
    body = unpack(event.body)
    v1 = bool(event.id)
    if not v1:
        order = activity.order_of(body)
    elif event.action == "deleted":
        order = {"id": event.id} | {name: body[name] for name in ("order_id", "currency") if name in body}
        order["total"] = amount_text(Decimal(body.get("total", 0)), decimals=1)
    else:
        order = document.shown(event.id, body)
    return {
        "name": ACTIVITY_NAMES[event.action],
        "occurred_at": times.iso(occurred_of(event.stamp)),
        "request_id": event.request,
        "order": order,
        "properties": {} if v1 else activity.properties_of(body),
    }
