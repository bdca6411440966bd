"""Reading the ledger: a person with LTV, their timeline, their orders, one order. Nothing here writes."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

from tillbook.aws.items import Item, plain_item, raw
from tillbook.aws.reads import batch_get
from tillbook.contract import activity, document
from tillbook.ledger.items import (
    PERSON_PARTITIONS,
    SOURCES,
    TIMELINE,
    ActivityHead,
    EventItem,
    Head,
    OrderHead,
    PersonItem,
    Scope,
    event_name,
    event_of,
    head_of,
    order_key_of,
    person_of,
    version_name,
)  # fmt: skip
from tillbook.records.accounts import Account
from tillbook.records.scopes import Marks
from tillbook.records.transactions import Transaction
from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO, minor_units
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.effects import effects_in, shown_effects
from tillbook.rules.errors import Malformed, NotFound, Unavailable
from tillbook.rules.identity import Person, Source, email_sha256, is_email, is_sha256, order_key
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.order import ACTIVITY_NAMES, OrderState, occurred_of, received_of, step
from tillbook.rules.packing import unpack

PAGE_BYTES = 4 * 1024 * 1024
_OWN_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_STAMP = re.compile(r"\d{44}[\w-]{1,64}", re.ASCII)
# Most people have a handful of events; what goes through more than these stops there.
_MAX_WALK = 1000
_PAGE = 100
_MAX_HISTORY = 200

# (person, currency, contribution) after an event.
_Step = tuple[str, str, Decimal]


@dataclass(frozen=True, slots=True)
class Page:
    """`cursor` is the stamp to go on behind, None at the end."""

    entries: list[Json]
    cursor: str | None


def encode_cursor(stamp: str) -> str:
    return urlsafe_b64encode(stamp.encode()).decode().rstrip("=")


def decode_cursor(text: str | None) -> str | None:
    """Raises Malformed. A cursor holds a time and an event's hash: a place within what the caller may read anyway."""
    if text is None:
        return None
    try:
        stamp = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        stamp = ""
    if not _STAMP.fullmatch(stamp):
        raise Malformed("cursor is not one of ours.", "cursor")
    return stamp


class Known(NamedTuple):
    """A person, by our own id, with what each source's scope holds of them."""

    id: str
    items: Mapping[Source, PersonItem]

    @property
    def named(self) -> tuple[str, str]:
        """Kind and value (rules.identity.Person)."""
        return next(((item.kind, item.value) for item in self.items.values() if item.kind), ("", ""))


class Listed(NamedTuple):
    """An entry of the timeline's index: where the event is, and its stamp."""

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

    # ---------------------------------------------------------------- person

    def find(self, id_or_email: str) -> Known:
        """The person by our own id, person_id, e-mail, its SHA-256 or customer_id, in that order. Raises NotFound."""
        ids = self.ids(id_or_email)
        keys = [raw(scope.person_key(person)) for person in ids for scope in self.marks.scopes()]
        found: dict[str, dict[Source, PersonItem]] = {}
        for item in batch_get(self.client, self.table, keys):
            found.setdefault(str(item["sk"]), {})[Scope.of(item["pk"]).source] = person_of(item)
        for person in ids:
            if person in found:
                return Known(person, found[person])
        raise NotFound("Nobody is known by that.")

    def ids(self, id_or_email: str) -> list[str]:
        """Ids of the people that the text may mean, in lookup order."""
        own = [id_or_email] if _OWN_ID.fullmatch(id_or_email) else []
        return own + [person.id_in(self.account.id) for person in _candidates(id_or_email)]

    def may_be(self, id_or_email: str) -> list[str]:
        """Ids of the people that a queued event may name by this text, known or not, likeliest first. No customers."""
        named = [p.id_in(self.account.id) for p in _candidates(id_or_email) if p.kind != "customer"]
        # What is shaped like a hash, or like an id of ours, may be a person_id as well.
        return named[::-1] + ([id_or_email] if _OWN_ID.fullmatch(id_or_email) else [])

    def everyone(self) -> Iterator[dict[str, Json]]:
        """All people of the account, in no order: as `shown`, without the times of orders."""
        for partition in range(PERSON_PARTITIONS):
            people: dict[str, dict[Source, PersonItem]] = {}
            for scope in self.marks.scopes():
                for item in self._query(KeyConditionExpression="pk = :pk", values={":pk": scope.people(partition)}):
                    people.setdefault(str(item["sk"]), {})[scope.source] = person_of(item)
            for person, items in people.items():
                yield self._worth(Known(person, items))

    def shown(self, person: Known) -> dict[str, Json]:
        first, last = self._order_times(person)
        return self._worth(person) | {"first_order_at": first, "last_order_at": last}

    def _worth(self, person: Known) -> dict[str, Json]:
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
        """As clients of the v2 API read it: LTV in integer cents of the account's currency. E-mails are not kept."""
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
        """LTV by currency: those in which the person has orders now."""
        values: dict[str, Decimal] = {}
        item = person.items.get(source)
        for stored in item.orders if item else ():
            currency = self.account.currency if stored == "*" else stored
            values[currency] = EXACT.add(values.get(currency, ZERO), item.amount(stored) if item else ZERO)
        return values

    def _order_times(self, person: Known) -> tuple[str | None, str | None]:
        """When the person's first and last order that the account counts began.

        Exact for up to _PAGE events, and for most others.

        Beyond that: newest events first, an order not yet met began no later than the event at hand, so once that is
        older than the latest beginning found, the search is over. The first order is that of the oldest event.
        """
        events = self._timeline(person, _PAGE, None)
        heads = [head for head in self._heads(events).values() if self._is_counted(head, person)]
        if len(events) < _PAGE:
            began = sorted(_ordered_at(head) for head in heads)
            return (times.iso(began[0]), times.iso(began[-1])) if began else (None, None)
        last = ""
        for event, head in self._walk(person, newest_first=True):
            if last and occurred_of(event.stamp) <= last:
                break
            if head is not None:
                last = max(last, _ordered_at(head))
        if not last:
            return None, None
        oldest = (_ordered_at(head) for _, head in self._walk(person, newest_first=False) if head is not None)
        return times.iso(min(next(oldest, last), last)), times.iso(last)

    def _walk(self, person: Known, *, newest_first: bool) -> Iterator[tuple[Listed, Head | None]]:
        """(event, the head of its order if that counts for the person) in the timeline's order, at most _MAX_WALK."""
        seen, after = 0, None
        while seen < _MAX_WALK:
            events = self._timeline(person, _PAGE, after, newest_first=newest_first)
            heads = self._heads(events)
            for event in events:
                head = heads.get((event.scope, event.order_key))
                yield event, head if head is not None and self._is_counted(head, person) else None
            if len(events) < _PAGE:
                return
            seen, after = seen + len(events), events[-1].stamp

    def _is_counted(self, head: Head, person: Known) -> bool:
        source = "orders_api" if isinstance(head, OrderHead) else "shopper_activity"
        return head.person == person.id and source in self.account.sources

    # -------------------------------------------------------------- timeline

    def activity(self, person: Known, limit: int, after: str | None, *, effects: bool = False) -> Page:
        """The person's activities, newest first; with what each did to LTV as it was applied, if asked for."""
        listed = self._timeline(person, limit, after)
        # An event that takes an earlier receipt moves within the index, which may list it at both places meanwhile.
        keys = {entry.sk: entry.key for entry in listed}
        items = batch_get(self.client, self.table, [raw(key) for key in keys.values()])
        found = {item["sk"]: event_of(item) for item in items}
        entries: list[Json] = []
        cursor, size = None, 0
        for one in listed:
            event = found.pop(one.sk, None)
            if event is None or not event.body:  # shown already, or emptied: the index runs a moment behind the table
                continue
            entry = _activity(event)
            if effects:
                entry["effects"] = shown_effects(effects_in(event.effects), self.account.currency)
            size += _answer_size(entry)
            if entries and size > PAGE_BYTES:
                return Page(entries, cursor)
            entries.append(entry)
            cursor = one.stamp
        return Page(entries, listed[-1].stamp if len(listed) == limit else None)

    def orders(self, person: Known, limit: int, after: str | None) -> Page:
        """The person's orders, by their latest event, newest first.

        An order belongs to the person of its latest event, so that event is on their timeline: where it is met, the
        order is shown. No index is needed, and no write to keep one.
        """
        entries: list[Json] = []
        # An order may have hundreds of events on the timeline: it is read by more than the few orders asked for.
        seen, size, page = 0, 0, max(limit, _PAGE)
        while seen < _MAX_WALK:
            events = self._timeline(person, page, after)
            heads = self._heads(events)
            for event in events:
                before, after = after, event.stamp
                head = heads.get((event.scope, event.order_key))
                if head is None or head.person != person.id or not _is_latest(event, head):
                    continue
                try:
                    entry = self._order(event.scope, event.order_key, person.id)
                except NotFound:
                    continue  # it went, or was handed on, since its head was read
                size += _answer_size(entry)
                if entries and size > PAGE_BYTES:
                    return Page(entries, before)
                entries.append(entry)
                if len(entries) == limit:
                    return Page(entries, after)
            if len(events) < page:
                return Page(entries, None)
            seen += len(events)
        return Page(entries, after)

    # ---------------------------------------------------------------- orders

    def order(self, source: Source, provider: str, order_id: str) -> dict[str, Json]:
        """One order. Raises NotFound."""
        return self._order(self.marks.scope(source), order_key(source, provider, order_id))

    def history(self, source: Source, provider: str, order_id: str) -> list[Json]:
        """What happened to an order, oldest first: after each event, what it contributes to LTV. Raises NotFound.

        In the order of the events' own time, whatever order they came in: `late` are those that a younger one was
        received before. Of a v1 order the last 200 versions, of deleted ones too. What was erased is not shown.
        """
        v1 = source == "orders_api"
        key = order_key(source, provider, order_id)
        items = self._events(self.marks.scope(source), key, newest=_MAX_HISTORY + 1 if v1 else None)
        events = [event for event in map(event_of, items) if event.stamp]
        if not events:
            raise NotFound("There is no such order.")
        events = events[::-1] if v1 else sorted(events, key=lambda e: e.stamp)
        steps = self._versions(events) if v1 else self._states(events)
        entries: list[Json] = []
        first = [received_of(event.stamp) for event in events]  # until then no younger event had come
        for index in reversed(range(len(events) - 1)):
            first[index] = min(first[index], first[index + 1])
        for event, earliest, (person, currency, amount) in zip(events, first, steps, strict=True):
            received = received_of(event.stamp)
            entries.append(
                {
                    "name": ACTIVITY_NAMES[event.action],
                    "action": event.action,
                    "occurred_at": times.iso(occurred_of(event.stamp)),
                    "received_at": times.iso(received),
                    "request_id": event.request,
                    "late": earliest < received,
                    "person": person or None,
                    "before": entries[-1]["lifetime_value"] if entries else None,
                    "lifetime_value": {"currency": currency or self.account.currency, "amount": amount_text(amount)},
                }
            )
        return entries[-_MAX_HISTORY:]

    def _states(self, events: list[EventItem]) -> list[_Step]:
        state = OrderState()
        steps: list[_Step] = []
        for event in events:
            state = step(state, event.event)
            steps.append((state.person, state.currency, state.contribution))
        return steps

    def _versions(self, events: list[EventItem]) -> list[_Step]:
        steps: list[_Step] = []
        for event in events:
            body = unpack(event.body)
            total = ZERO if event.action == "deleted" else Decimal(body.get("total", 0))
            steps.append((event.person, str(body.get("currency", "USD")), total))
        return steps

    def applied(self, order_id: str, providers: list[str], before: str | None) -> list[Transaction]:
        """The requests whose events the orders of that id are made of: the v1 order, and each provider's."""
        places: list[tuple[Source, str]] = [("orders_api", ""), *(("shopper_activity", name) for name in providers)]
        found: list[Transaction] = []
        for source, name in places:
            for event in map(event_of, self._events(self.marks.scope(source), order_key(source, name, order_id))):
                if event.stamp and (before is None or event.request < before):
                    found.append(
                        Transaction(
                            self.account.id, source, event.request, "applied", received_of(event.stamp), event.action,
                            name, order_id, effects=effects_in(event.effects),
                        )
                    )  # fmt: skip
        return found

    def _order(self, scope: Scope, key: str, person: str | None = None) -> dict[str, Json]:
        """Raises NotFound, also where it belongs to another than `person`; Unavailable."""
        for _ in range(5):
            head = self._heads([Listed(scope, key, "", "")]).get((scope, key))
            if head is None or head.standing is None or (person is not None and head.person != person):
                raise NotFound("There is no such order.")
            if isinstance(head, OrderHead):
                version = scope.event_key(key, version_name(head.version))
                found = batch_get(self.client, self.table, [raw(version)])
                if found and "body" in found[0]:
                    return document.shown(head.id, unpack(found[0]["body"]))
                continue
            events = [event for event in map(event_of, self._events(scope, key)) if event.stamp]
            if head.state.events == len(events):
                return self._shopper_order(head, events)
        raise Unavailable("The order is being changed. Please try again.")

    def _shopper_order(self, head: ActivityHead, events: list[EventItem]) -> dict[str, Json]:
        """The order as its events made it: of each field, what the latest event that carries it says."""
        ordered = sorted(events, key=lambda e: e.stamp)
        merged = activity.merged([unpack(event.body) for event in ordered])
        state = head.state
        total = state.known_total
        shown = activity.order_of(merged)
        shown.pop("action", None)
        return shown | {
            "status": state.action,
            "person": state.person,
            "currency": state.currency or self.account.currency,
            "grand_total": None if total is None else amount_text(total),
            "refund_amount": amount_text(state.refunds),
            "lifetime_value": amount_text(state.contribution),
            "flags": state.flags,
            "events": state.events,
            "first_occurred_at": times.iso(state.ordered_at),
            "last_occurred_at": times.iso(occurred_of(state.latest_at)),
            "properties": activity.properties_of(merged),
        }

    # ----------------------------------------------------------------- calls

    def _timeline(self, person: Known, limit: int, after: str | None, *, newest_first: bool = True) -> list[Listed]:
        """The entries of both sources behind a stamp, merged."""
        listed: list[Listed] = []
        for scope in self.marks.scopes():
            if scope.source not in person.items:
                continue
            condition, values = "timeline = :person", {":person": scope.timeline(person.id)}
            if after:
                condition += " AND stamp < :after" if newest_first else " AND stamp > :after"
                values[":after"] = after
            answer = self.client.query(
                TableName=self.table, IndexName=TIMELINE, KeyConditionExpression=condition,
                ExpressionAttributeValues=raw(values), ScanIndexForward=not newest_first, Limit=limit,
            )  # fmt: skip
            for item in map(plain_item, answer["Items"]):
                listed.append(Listed(scope, order_key_of(item["sk"]), item["sk"], item["stamp"]))
        return sorted(listed, key=lambda entry: entry.stamp, reverse=newest_first)[:limit]

    def _heads(self, events: Iterable[Listed]) -> dict[tuple[Scope, str], Head]:
        keys = {(event.scope, event.order_key) for event in events}
        items = batch_get(self.client, self.table, [raw(scope.head_key(key)) for scope, key in keys])
        heads = {(Scope.of(item["pk"]), str(item["sk"])): head_of(item) for item in items}
        return {key: head for key, head in heads.items() if head.standing is not None}

    def _events(self, scope: Scope, key: str, newest: int | None = None) -> list[Item]:
        """An order's events, or so many of them, newest first."""
        events = self._query(
            KeyConditionExpression="pk = :pk AND begins_with(sk, :order)", ScanIndexForward=False,
            values={":pk": scope.event_key(key, "")["pk"], ":order": event_name(key, "")},
            **({"Limit": newest} if newest else {}),
        )  # fmt: skip
        return list(islice(events, newest))

    def _query(self, values: dict[str, str], **arguments: Any) -> Iterator[Item]:
        """The items of all pages, read consistently, and on as they are taken."""
        while True:
            page = self.client.query(
                TableName=self.table, ConsistentRead=True, ExpressionAttributeValues=raw(values), **arguments
            )
            yield from map(plain_item, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _answer_size(entry: Json) -> int:
    """Bytes in the function's answer, where JSON is encoded inside a JSON string."""
    return len(dumps(dumps(entry)).encode())


def _candidates(text: str) -> list[Person]:
    if is_email(text):
        return [Person("email", email_sha256(text))]
    hashed = [Person("email", text.lower())] if is_sha256(text) else []
    return [Person("person", text), *hashed, Person("customer", text)]


def _texts(values: dict[str, Decimal]) -> dict[str, str]:
    return {currency: amount_text(values[currency]) for currency in sorted(values)}


def _ordered_at(head: Head) -> str:
    return head.ordered_at if isinstance(head, OrderHead) else head.state.ordered_at


def _is_latest(event: Listed, head: Head) -> bool:
    if isinstance(head, OrderHead):
        return event.sk == event_name(event.order_key, version_name(head.version))
    return head.state.latest_at == event.stamp


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
