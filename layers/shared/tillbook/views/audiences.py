"""Customer audiences, read from the orders themselves: no second copy that could fall out of step.

An order's head carries how many records it gives, is counted in the audience's counters and indexed by the match keys
of its addresses, all in the transaction that writes the order. So counts and matches hold in every snapshot, and the
members are the orders: heads, bucket by bucket, and of each order that is shown the events that carry its addresses.
"""

from __future__ import annotations

import csv
import io
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tillbook.aws.items import plain_item, raw, record_of
from tillbook.aws.reads import batch_get
from tillbook.ledger.items import (
    BUCKETS,
    CounterItem,
    EventItem,
    Head,
    OrderHead,
    bucket_of,
    event_key_of,
    event_of,
    head_of,
    order_key_of,
    person_of,
    version_name,
)  # fmt: skip
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.errors import Malformed, NotFound
from tillbook.rules.identity import Source
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.order import OrderState
from tillbook.rules.packing import unpack
from tillbook.views.people import PAGE_BYTES

_NAMES = {"orders_api": "Customers (Orders API)", "shopper_activity": "Customers (Shopper Activity)"}
_IDS: dict[str, Source] = {"customers-orders-api": "orders_api", "customers-shopper-activity": "shopper_activity"}
_COLUMNS = (
    "order_id", "kind", "name", "company", "address_1", "address_2", "city", "state", "postal_code", "country",
    "email_sha256", "person_id", "customer_id", "added_at",
)  # fmt: skip
_PAGE_ORDERS, _MAX_READ = 100, 1000


def source_of(audience_id: str) -> Source:
    """Raises NotFound."""
    if audience_id not in _IDS:
        raise NotFound("There is no such audience.")
    return _IDS[audience_id]


@dataclass(frozen=True, slots=True)
class Members:
    """`cursor` says behind which order to go on, None at the end."""

    records: list[Json]
    cursor: str | None

    def csv(self) -> str:
        """With a header row: each page is a file of its own."""
        out = io.StringIO()
        writer = csv.DictWriter(out, _COLUMNS, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows([{name: _cell(record[name]) for name in _COLUMNS} for record in self.records])
        return out.getvalue()


# Of a cell that a spreadsheet would run; full-width ones are read as the others where such are typed.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


@dataclass(frozen=True, slots=True)
class Audiences:
    client: Any
    table: str
    marks: Marks

    def all(self) -> list[Json]:
        return [
            {
                "id": audience,
                "name": _NAMES[source],
                "description": "Everybody who ordered: one record for each address of each order. "
                "For suppression; it cannot be mailed.",
                "member_count": self.counts(source)[0],
                "mailable": False,
            }
            for audience, source in _IDS.items()
        ]

    def counts(self, source: Source) -> tuple[int, int]:
        """(records, orders) of an audience, in one query of at most 256 small items."""
        pk = self.marks.scope(source).counters()
        answer = self.client.query(
            TableName=self.table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}},
            ConsistentRead=True,
        )  # fmt: skip
        counters = [record_of(CounterItem, plain_item(item)) for item in answer["Items"]]
        return sum(c.records for c in counters), sum(c.orders for c in counters)

    # --------------------------------------------------------------- members

    def members(self, source: Source, limit: int, cursor: str | None) -> Members:
        """The records of whole orders, until there are `limit` or the page is full: at most one more than that."""
        records: list[Json] = []
        read = size = 0
        after = decode_cursor(cursor)
        while True:
            size_of_page = min(limit, _PAGE_ORDERS)
            page = list(islice(self.heads(source, after, size_of_page), size_of_page))
            bodies = self._bodies(source, page)
            for key, head in page:
                after, read = key, read + 1
                found = _records(head, bodies.get(key, [])) if head.standing else []
                size += sum(len(dumps(dumps(record)).encode()) for record in found)
                records += found
                # Deleted orders give no record, but are read: a page ends among them, too.
                if len(records) >= limit or size > PAGE_BYTES or read >= _MAX_READ:
                    return Members(self._with_people(source, records), encode_cursor(key))
            if len(page) < size_of_page:
                return Members(self._with_people(source, records), None)

    def heads(self, source: Source, after: str = "", page: int = 200) -> Iterator[tuple[str, Head]]:
        """(order key, head) of each order behind one, deleted ones too; by bucket, then by key."""
        scope = self.marks.scope(source)
        for bucket in range(bucket_of(after) if after else 0, BUCKETS):
            arguments: dict[str, Any] = {
                "TableName": self.table, "ConsistentRead": True, "KeyConditionExpression": "pk = :pk AND sk > :after",
                "ExpressionAttributeValues": raw({":pk": scope.heads(bucket), ":after": after or " "}), "Limit": page,
            }  # fmt: skip
            while True:
                answer = self.client.query(**arguments)
                for item in map(plain_item, answer["Items"]):
                    yield str(item["sk"]), head_of(item)
                if "LastEvaluatedKey" not in answer:
                    break
                arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            after = ""

    def _bodies(self, source: Source, page: list[tuple[str, Head]]) -> dict[str, list[dict[str, Json]]]:
        """By order key, the bodies that carry its addresses, oldest first: of v1 that of the newest version."""
        scope, keys = self.marks.scope(source), []
        for order_key, head in page:
            if isinstance(head, OrderHead):
                keys += [scope.event_key(order_key, version_name(head.version))] if head.standing else []
            elif head.standing:
                # The stamps name the events.
                stamps = {head.state.shipping_at, head.state.billing_at} - {""}
                keys += [event_key_of(scope, order_key, stamp) for stamp in stamps]
        items = batch_get(self.client, self.table, [raw(key) for key in keys])
        found: dict[str, list[EventItem]] = {}
        for item in items:
            found.setdefault(order_key_of(item["sk"]), []).append(event_of(item))
        return {
            key: [unpack(event.body) for event in sorted(events, key=lambda e: e.stamp) if event.body]
            for key, events in found.items()
        }

    def _with_people(self, source: Source, records: list[Json]) -> list[Json]:
        """v3 heads name their person by our own id: the hash or the shop's id is with the person."""
        ids = sorted({r["person"] for r in records if r["person"] and not r["email_sha256"] and not r["customer_id"]})
        keys = [raw(self.marks.scope(source).person_key(i)) for i in ids]
        people = {str(item["sk"]): person_of(item) for item in batch_get(self.client, self.table, keys)}
        for record in records:
            person = people.get(record.pop("person"))
            if person and person.kind == "email":
                record["email_sha256"] = person.value
            elif person and person.kind == "person":
                record["person_id"] = person.value
        return records


def _records(head: Head, bodies: list[dict[str, Json]]) -> list[Json]:
    """One of each address of an order; one with just the person where there is none."""
    if isinstance(head, OrderHead):
        known = addresses = bodies[0] if bodies else {}
    else:
        # A custom attribute of v3 may have any name: its person is in the head.
        known, addresses = {}, _addresses(head.state, bodies)
    added = head.added_at if isinstance(head, OrderHead) else head.state.added_at
    base = {
        "order_id": head.order_id, "email_sha256": known.get("email_sha256"), "person_id": None,
        "customer_id": known.get("customer_id"), "person": head.person, "added_at": times.iso(added),
    }  # fmt: skip
    records = [
        {**base, "kind": kind, **_address(addresses[f"{kind}_address"])}
        for kind in ("shipping", "billing")
        if addresses.get(f"{kind}_address")
    ]
    return records or [{**base, "kind": "person", **_address({})}]


def _addresses(state: OrderState, bodies: list[dict[str, Json]]) -> dict[str, Json]:
    """Of the bodies that carry them, what the latest says."""
    return {
        name: body[name]
        for body in bodies
        for name, stamp in (("shipping_address", state.shipping_at), ("billing_address", state.billing_at))
        if stamp and body.get(name)
    }


def _address(address: dict[str, Json]) -> dict[str, Json]:
    name = address.get("name")
    if not isinstance(name, str) or not name:  # of v3 it is a custom attribute, and may be anything
        name = " ".join(str(address[part]) for part in ("first_name", "last_name") if address.get(part))
    lines = ("company", "address_1", "address_2", "city", "state", "postal_code", "country")
    return {"name": name or None} | {line: address.get(line) for line in lines}


def encode_cursor(order_key: str) -> str:
    return urlsafe_b64encode(order_key.encode()).decode().rstrip("=")


def decode_cursor(text: str | None) -> str:
    """An order key, empty for the start. Raises Malformed."""
    if text is None:
        return ""
    try:
        plain = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        if len(plain) != 22 or not plain.replace("-", "a").replace("_", "a").isalnum():
            raise ValueError
        return plain
    except ValueError:
        raise Malformed("cursor is not one of ours.", "cursor") from None
