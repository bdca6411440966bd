"""Reading the ledger: a person with LTV, their timeline, their orders, one order. Nothing here writes."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tillbook.aws.items import Item, plain_item, raw
from tillbook.aws.reads import batch_get
from tillbook.contract import activity, document
from tillbook.ledger import table
from tillbook.ledger.ledger import event_of, state_of
from tillbook.records.accounts import Account
from tillbook.records.transactions import Transaction
from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO, minor_units
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.effects import effects_told, shown_effects
from tillbook.rules.errors import Malformed, NotFound, Unavailable
from tillbook.rules.identity import Person, email_sha256, is_email, is_sha256, order_key
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.order import ACTIVITY_NAMES, OrderState, step
from tillbook.rules.packing import unpack

PAGE_BYTES = 4 * 1024 * 1024
_OWN_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_STAMP = re.compile(r"\d{44}[\w-]{1,64}", re.ASCII)
# Most people have a handful of events; what goes through more than these stops there.
_MAX_WALK = 1000
_PAGE = 100
_MAX_HISTORY = 200

# (person, currency, contribution) after an event; no contribution where an erasure took the body.
_Step = tuple[str, str, Decimal | None]


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


@dataclass(frozen=True, slots=True)
class People:
    client: Any
    table: str
    account: Account

    # ---------------------------------------------------------------- person

    def find(self, id_or_email: str) -> Item:
        """The person by our own id, person_id, e-mail, its SHA-256 or customer_id, in that order. Raises NotFound."""
        ids = self.ids(id_or_email)
        found = {
            item["pk"]: item
            for item in batch_get(self.client, self.table, [table.person_key(self.account.id, i) for i in ids])
        }
        for person_id in ids:
            item = found.get(table.person_pk(self.account.id, person_id))
            if item is not None:
                return item | {"person": person_id}
        raise NotFound("Nobody is known by that.")

    def ids(self, id_or_email: str) -> list[str]:
        """Our own ids of whom it may name, in the order in which they are looked for."""
        own = [id_or_email] if _OWN_ID.fullmatch(id_or_email) else []
        return own + [person.id_in(self.account.id) for person in _candidates(id_or_email)]

    def may_be(self, id_or_email: str) -> list[str]:
        """Our own ids of whom an event may name by that, known or not; the likeliest first. None names customers."""
        named = [p.id_in(self.account.id) for p in _candidates(id_or_email) if p.kind != "customer"]
        # What is shaped like a hash, or like an id of ours, may be a person_id as well.
        return named[::-1] + ([id_or_email] if _OWN_ID.fullmatch(id_or_email) else [])

    def everyone(self) -> Iterator[dict[str, Json]]:
        """All people of the account, in no order: as `shown`, without the times of orders.

        A scan: it reads the whole table, page by page, for people have no partition in common.
        """
        arguments: dict[str, Any] = {
            "TableName": self.table, "ConsistentRead": True,
            "FilterExpression": "begins_with(pk, :people) AND sk = :person",
            "ExpressionAttributeValues": raw({":people": table.person_pk(self.account.id, ""), ":person": "p"}),
        }  # fmt: skip
        while True:
            page = self.client.scan(**arguments)
            for item in map(plain_item, page["Items"]):
                if "k" in item:
                    yield self._worth(item | {"person": str(item["pk"]).rpartition("/")[2]})
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def shown(self, person: Item) -> dict[str, Json]:
        first, last = self._order_times(person)
        return self._worth(person) | {"first_order_at": first, "last_order_at": last}

    def _worth(self, person: Item) -> dict[str, Json]:
        by_source = {source: self._values(person, source) for source in table.SOURCE_LETTER}
        counted = [by_source[source] for source in self.account.sources]
        total: dict[str, Decimal] = {}
        for values in counted:
            for currency, value in values.items():
                total[currency] = EXACT.add(total.get(currency, ZERO), value)
        return {
            "id": person["person"],
            "email_sha256": person["id"] if person["k"] == "email" else None,
            "person_id": person["id"] if person["k"] == "person" else None,
            "customer_id": person["id"] if person["k"] == "customer" else None,
            "lifetime_value": _texts(total),
            "lifetime_value_by_source": {name: _texts(values) for name, values in by_source.items() if values},
            "orders_count": sum(self._count(person, source) for source in self.account.sources),
        }

    def subscriber(self, person: Item, asked: str) -> dict[str, Json]:
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

    def _values(self, person: Item, source: str) -> dict[str, Decimal]:
        """LTV by currency: those in which the person has orders now."""
        values: dict[str, Decimal] = {}
        prefix = table.count_name(source, "")[:-1]
        for name, count in person.items():
            if name.startswith(prefix) and count:
                stored = name[len(prefix) :]
                currency = self.account.currency if stored == "*" else stored
                value = person.get(table.ltv_name(source, stored), ZERO)
                values[currency] = EXACT.add(values.get(currency, ZERO), value)
        return values

    def _count(self, person: Item, source: str) -> int:
        prefix = table.count_name(source, "")[:-1]
        return int(sum(count for name, count in person.items() if name.startswith(prefix)))

    def _order_times(self, person: Item) -> tuple[str | None, str | None]:
        """When the person's first and last order that the account counts began.

        Exact for up to _PAGE events, and for most others.

        Beyond that: newest events first, an order not yet met began no later than the event at hand, so once that is
        older than the latest beginning found, the search is over. The first order is that of the oldest event.
        """
        events = self._timeline(person, _PAGE, None)
        heads = [head for head in self._heads(events).values() if self._is_counted(head, person)]
        if len(events) < _PAGE:
            began = sorted(head["f"] for head in heads)
            return (times.iso(began[0]), times.iso(began[-1])) if began else (None, None)
        last = ""
        for event, head in self._walk(person, newest_first=True):
            if last and str(event["gs"])[:20] <= last:
                break
            if head is not None:
                last = max(last, head["f"])
        if not last:
            return None, None
        first = next((head["f"] for _, head in self._walk(person, newest_first=False) if head is not None), last)
        return times.iso(min(first, last)), times.iso(last)

    def _walk(self, person: Item, *, newest_first: bool) -> Any:
        """(event, the head of its order if that counts for the person) in the timeline's order, at most _MAX_WALK."""
        seen, after = 0, None
        while seen < _MAX_WALK:
            events = self._timeline(person, _PAGE, after, newest_first=newest_first)
            heads = self._heads(events)
            for event in events:
                head = heads.get(_head_key(event))
                yield event, head if head is not None and self._is_counted(head, person) else None
            if len(events) < _PAGE:
                return
            seen, after = seen + len(events), events[-1]["gs"]

    def _is_counted(self, head: Item, person: Item) -> bool:
        source = table.SOURCE_OF_LETTER[str(head["pk"]).split("/")[1]]
        return head.get("p") == person["person"] and source in self.account.sources

    # -------------------------------------------------------------- timeline

    def activity(self, person: Item, limit: int, after: str | None, *, effects: bool = False) -> Page:
        """The person's activities, newest first; with what each did to LTV as it was applied, if asked for."""
        keys = self._timeline(person, limit, after)
        # An event that takes an earlier receipt moves within the index, which may list it at both places meanwhile.
        places = dict.fromkeys((key["pk"], key["sk"]) for key in keys)
        events = batch_get(self.client, self.table, [raw({"pk": pk, "sk": sk}) for pk, sk in places])
        found = {(event["pk"], event["sk"]): event for event in events}
        entries: list[Json] = []
        cursor, size = None, 0
        for key in keys:
            event = found.pop((key["pk"], key["sk"]), None)
            # Told already; or the index runs a moment behind the table: removed, or emptied.
            if event is None or "b" not in event:
                continue
            entry = _activity(event)
            if effects:
                entry["effects"] = shown_effects(effects_told(event), self.account.currency)
            size += _answer_size(entry)
            if entries and size > PAGE_BYTES:
                return Page(entries, cursor)
            entries.append(entry)
            cursor = key["gs"]
        return Page(entries, keys[-1]["gs"] if len(keys) == limit else None)

    def orders(self, person: Item, limit: int, after: str | None) -> Page:
        """The person's orders, by their latest event, newest first.

        An order belongs to the person of its latest event, so that event stands on their timeline: where it is met,
        the order is shown. No index is needed, and no write to keep one.
        """
        entries: list[Json] = []
        # An order may have hundreds of events on the timeline: it is read by more than the few orders asked for.
        seen, size, page = 0, 0, max(limit, _PAGE)
        while seen < _MAX_WALK:
            events = self._timeline(person, page, after)
            heads = self._heads(events)
            for event in events:
                before, after = after, event["gs"]
                head = heads.get(_head_key(event))
                if head is None or head.get("p") != person["person"] or not _is_latest(event, head):
                    continue
                try:
                    entry = self._order(head["pk"], str(head["sk"])[:-1], person["person"])
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

    def order(self, source: str, provider: str, order_id: str) -> dict[str, Json]:
        """One order. Raises NotFound."""
        key = order_key(source, provider, order_id)  # type: ignore[arg-type]
        return self._order(table.orders_pk(self.account.id, source, key), key)

    def history(self, source: str, provider: str, order_id: str) -> list[Json]:
        """What happened to an order, oldest first: after each event, what it contributes to LTV. Raises NotFound.

        In the order of the events' own time, whatever order they came in: `late` are those that a younger one was
        received before. Of a v1 order the last 200 versions, of deleted ones too. Of a version that an erasure emptied
        there is neither person nor lifetime value.
        """
        key = order_key(source, provider, order_id)  # type: ignore[arg-type]
        v1 = source == "orders_api"
        items = self._collection(
            table.orders_pk(self.account.id, source, key), key, newest=_MAX_HISTORY + 2 if v1 else None
        )
        events = [item for item in items if item["sk"] != table.head_sk(key)]
        if not events:
            raise NotFound("There is no such order.")
        if v1:
            events.reverse()
            steps = self._versions(events)
        else:
            events.sort(key=lambda e: str(e["gs"]))
            steps = self._states(events)
        entries: list[Json] = []
        first = [str(event["gs"])[20:40] for event in events]  # until then no younger event had come
        for index in reversed(range(len(events) - 1)):
            first[index] = min(first[index], first[index + 1])
        for event, earliest, (person, currency, amount) in zip(events, first, steps, strict=True):
            received = str(event["gs"])[20:40]
            before = entries[-1]["lifetime_value"] if entries else None
            entries.append(
                {
                    "name": ACTIVITY_NAMES[event["a"]],
                    "action": event["a"],
                    "occurred_at": times.iso(str(event["gs"])[:20]),
                    "received_at": times.iso(received),
                    "request_id": event["rq"],
                    "late": earliest < received,
                    "person": person or None,
                    "before": before,
                    "lifetime_value": None
                    if amount is None
                    else {"currency": currency or self.account.currency, "amount": amount_text(amount)},
                }
            )
        return entries[-_MAX_HISTORY:]

    def _states(self, events: list[Item]) -> list[_Step]:
        state = OrderState()
        steps: list[_Step] = []
        for event in events:
            state = step(state, event_of(event))
            steps.append((state.person, state.currency, state.contribution))
        return steps

    def _versions(self, events: list[Item]) -> list[_Step]:
        steps: list[_Step] = []
        for event in events:
            if "b" not in event:
                steps.append(("", "", None))
                continue
            body = unpack(event["b"])
            total = ZERO if event["a"] == "deleted" else Decimal(body.get("total", 0))
            steps.append((str(event.get("gp", "")).rpartition("/")[2], str(body.get("currency", "USD")), total))
        return steps

    def applied(self, order_id: str, providers: list[str], before: str | None) -> list[Transaction]:
        """The requests whose events the orders of that id are made of: the v1 order, and each provider's."""
        places = [("orders_api", ""), *(("shopper_activity", provider) for provider in providers)]
        found: list[Transaction] = []
        for source, name in places:
            key = order_key(source, name, order_id)  # type: ignore[arg-type]
            for item in self._collection(table.orders_pk(self.account.id, source, key), key, None):
                if "rq" in item and (before is None or item["rq"] < before):
                    found.append(
                        Transaction(
                            self.account.id,
                            source,
                            item["rq"],
                            "applied",
                            str(item["gs"])[20:40],
                            item["a"],
                            name,
                            order_id,
                            effects=effects_told(item),
                        )
                    )
        return found

    def _order(self, pk: str, key: str, person: str | None = None) -> dict[str, Json]:
        """Raises NotFound, also where it belongs to another than `person`; Unavailable."""
        v1 = pk.split("/")[1] == "o"
        for _ in range(5):
            items = self._collection(pk, key, newest=2 if v1 else None)
            head = next((i for i in items if i["sk"] == table.head_sk(key)), None)
            events = [i for i in items if i["sk"] != table.head_sk(key)]
            if head is None or head.get("d") or (person is not None and head.get("p") != person):
                raise NotFound("There is no such order.")
            if v1 and events and str(events[0]["sk"]).endswith(table.version_name(int(head["v"]))):
                return document.shown(head["i"], unpack(events[0]["b"]))
            if not v1 and int(head["n"]) == len(events):
                return self._shopper_order(head, events)
        raise Unavailable("The order is being changed. Please try again.")

    def _shopper_order(self, head: Item, events: list[Item]) -> dict[str, Json]:
        """The order as its events made it: of each field, what the latest event that carries it says."""
        ordered = sorted(events, key=lambda e: str(e["gs"]))
        merged = activity.merged([unpack(event["b"]) for event in ordered])
        state = state_of(head)
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
            "first_occurred_at": times.iso(state.first),
            "last_occurred_at": times.iso(state.last[:20]),
            "properties": activity.properties_of(merged),
        }

    # ----------------------------------------------------------------- calls

    def _timeline(self, person: Item, limit: int, after: str | None, *, newest_first: bool = True) -> list[Item]:
        condition, values = "gp = :gp", {":gp": {"S": person["pk"]}}
        if after:
            condition += " AND gs < :after" if newest_first else " AND gs > :after"
            values[":after"] = {"S": after}
        answer = self.client.query(
            TableName=self.table, IndexName=table.TIMELINE, KeyConditionExpression=condition,
            ExpressionAttributeValues=values, ScanIndexForward=not newest_first, Limit=limit,
        )  # fmt: skip
        return [plain_item(item) for item in answer["Items"]]

    def _heads(self, events: list[Item]) -> dict[tuple[str, str], Item]:
        keys = {_head_key(event) for event in events}
        heads = batch_get(self.client, self.table, [raw({"pk": pk, "sk": sk}) for pk, sk in keys])
        return {(head["pk"], head["sk"]): head for head in heads if not head.get("d")}

    def _collection(self, pk: str, key: str, newest: int | None) -> list[Item]:
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk AND begins_with(sk, :key)",
            "ExpressionAttributeValues": {":pk": {"S": pk}, ":key": {"S": key}},
            "ConsistentRead": True, "ScanIndexForward": False,
        }  # fmt: skip
        items: list[Item] = []
        while True:
            if newest:
                arguments["Limit"] = newest - len(items)
            page = self.client.query(**arguments)
            items += [plain_item(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page or len(items) == newest:  # a page may end before, at 1 MB
                return items
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _answer_size(entry: Json) -> int:
    """Bytes in the function's answer, where JSON stands inside a JSON string."""
    return len(dumps(dumps(entry)).encode())


def _candidates(text: str) -> list[Person]:
    if is_email(text):
        return [Person("email", email_sha256(text))]
    hashed = [Person("email", text.lower())] if is_sha256(text) else []
    return [Person("person", text), *hashed, Person("customer", text)]


def _texts(values: dict[str, Decimal]) -> dict[str, str]:
    return {currency: amount_text(values[currency]) for currency in sorted(values)}


def _head_key(event: Item) -> tuple[str, str]:
    return event["pk"], table.head_sk(str(event["sk"]).partition("!")[0])


def _is_latest(event: Item, head: Item) -> bool:
    if "v" in head:
        return str(event["sk"]).endswith(f"!{table.version_name(int(head['v']))}")
    return bool(head["l"] == event["gs"])


def _activity(event: Item) -> dict[str, Json]:
    body = unpack(event["b"])
    v1 = "i" in event
    if not v1:
        order = activity.order_of(body)
    elif event["a"] == "deleted":
        order = {"id": event["i"]} | {name: body[name] for name in ("order_id", "currency") if name in body}
        order["total"] = amount_text(Decimal(body.get("total", 0)), decimals=1)
    else:
        order = document.shown(event["i"], body)
    return {
        "name": ACTIVITY_NAMES[event["a"]],
        "occurred_at": times.iso(str(event["gs"])[:20]),
        "request_id": event["rq"],
        "order": order,
        "properties": {} if v1 else activity.properties_of(body),
    }
