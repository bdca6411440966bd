"""Customer audiences. A record is one address of an order, or only its person if it has no address.

A list of members is read from the ledger itself, so it is always current: from heads, bucket by bucket, and from the
events that have the addresses of the orders on the page. Only `member_count` is from the book, which is a few seconds
behind the ledger.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tillbook.aws.items import plain_item, raw
from tillbook.aws.reads import batch_get
from tillbook.contract.limits import PAGE_BYTES
from tillbook.ledger.items import (
    BUCKETS,
    EventItem,
    Head,
    OrderHead,
    Scope,
    bucket_of,
    event_key_of,
    event_of,
    head_of,
    order_key_of,
    person_of,
    version_name,
)
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.errors import Malformed, NotFound
from tillbook.rules.identity import Source
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.order import OrderState
from tillbook.rules.packing import unpack
from tillbook.views.csv_pages import csv_of

_NAMES = {"orders_api": "Customers (Orders API)", "shopper_activity": "Customers (Shopper Activity)"}
_IDS: dict[str, Source] = {"customers-orders-api": "orders_api", "customers-shopper-activity": "shopper_activity"}
_COLUMNS = (
    "order_id", "kind", "name", "company", "address_1", "address_2", "city", "state", "postal_code", "country",
    "email_sha256", "person_id", "customer_id", "added_at",
)  # fmt: skip
_MOST_IN_QUERY, _MOST_IN_PAGE = 100, 1000  # orders


def source_of(audience_id: str) -> Source:
    """The source of an audience. Raises NotFound."""
    if audience_id not in _IDS:
        raise NotFound("There is no such audience.")
    return _IDS[audience_id]


@dataclass(frozen=True, slots=True)
class Members:
    """A page of members. `cursor` contains the key of the page's last order; it is None on the last page."""

    records: list[Json]
    cursor: str | None

    def csv(self) -> str:
        return csv_of(_COLUMNS, self.records)


@dataclass(frozen=True, slots=True)
class Audiences:
    client: Any
    table: str
    marks: Marks

    def all(self, records: Callable[[Scope], int]) -> list[Json]:
        """Shows both audiences. `records` returns the number of records in a scope."""
        return [
            {
                "id": audience,
                "name": _NAMES[source],
                "description": "Everybody who ordered, with one record for each address of each order. "
                "For suppression; it cannot be mailed.",
                "member_count": records(self.marks.scope(source)),
                "mailable": False,
            }
            for audience, source in _IDS.items()
        ]

    # --------------------------------------------------------------- members

    def members(self, source: Source, limit: int, cursor: str | None) -> Members:
        """A page with all records of some orders.

        It ends with the order that reaches `limit` records, exceeds PAGE_BYTES, or is number _MOST_IN_PAGE.
        """
        records: list[Json] = []
        read = size = 0
        after = decode_cursor(cursor)
        while True:
            batch_size = min(limit, _MOST_IN_QUERY)
            batch = list(islice(self.heads(source, after, batch_size), batch_size))
            bodies = self._bodies(source, batch)
            for key, head in batch:
                after, read = key, read + 1
                found = _records(head, bodies.get(key, [])) if head.standing else []
                size += sum(len(dumps(dumps(record)).encode()) for record in found)
                records += found
                # Deleted orders are read but have no records, so the number of orders read is limited, too.
                if len(records) >= limit or size > PAGE_BYTES or read >= _MOST_IN_PAGE:
                    return Members(self._with_people(source, records), encode_cursor(key))
            if len(batch) < batch_size:
                return Members(self._with_people(source, records), None)

    def heads(
        self, source: Source, after: str = "", batch_size: int = 200, buckets: Iterable[int] = range(BUCKETS)
    ) -> Iterator[tuple[str, Head]]:
        """(order key, head) of each order after the key `after`, including deleted orders, sorted by bucket and key."""
        scope, first = self.marks.scope(source), bucket_of(after) if after else 0
        for bucket in (bucket for bucket in buckets if bucket >= first):
            begin = after if after and bucket == first else " "
            arguments: dict[str, Any] = {
                "TableName": self.table, "ConsistentRead": True, "KeyConditionExpression": "pk = :pk AND sk > :after",
                "ExpressionAttributeValues": raw({":pk": scope.heads(bucket), ":after": begin}), "Limit": batch_size,
            }  # fmt: skip
            while True:
                answer = self.client.query(**arguments)
                for item in map(plain_item, answer["Items"]):
                    yield str(item["sk"]), head_of(item)
                if "LastEvaluatedKey" not in answer:
                    break
                arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _bodies(self, source: Source, orders: list[tuple[str, Head]]) -> dict[str, list[dict[str, Json]]]:
        """The bodies that have an order's addresses (oldest first), by order key. A v1 order has one body."""
        scope, keys = self.marks.scope(source), []
        for order_key, head in orders:
            if isinstance(head, OrderHead):
                keys += [scope.event_key(order_key, version_name(head.version))] if head.standing else []
            elif head.standing:
                # The stamps of the addresses identify their events.
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
        """Removes `person` (the id of Person.id_in) from records.

        In records of v3 orders, the e-mail hash or the person_id replaces it.
        """
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
    """One record for each address of an order; if it has no address, one record with only the person."""
    if isinstance(head, OrderHead):
        known = addresses = bodies[0] if bodies else {}
    else:
        # A v3 body may have custom attributes named email_sha256 or customer_id, so the person is that of the head.
        known, addresses = {}, _addresses(head.state, bodies)
    added = head.added_at if isinstance(head, OrderHead) else head.state.added_at
    base = {
        "order_id": head.order_id, "email_sha256": known.get("email_sha256"), "person_id": None,
        "customer_id": known.get("customer_id"), "person": head.person, "added_at": times.iso(added),
    }  # fmt: skip
    records = [
        {**base, "kind": kind, **address_of(addresses[f"{kind}_address"])}
        for kind in ("shipping", "billing")
        if addresses.get(f"{kind}_address")
    ]
    return records or [{**base, "kind": "person", **address_of({})}]


def _addresses(state: OrderState, bodies: list[dict[str, Json]]) -> dict[str, Json]:
    """The latest shipping and billing address in the bodies."""
    return {
        name: body[name]
        for body in bodies
        for name, stamp in (("shipping_address", state.shipping_at), ("billing_address", state.billing_at))
        if stamp and body.get(name)
    }


def address_of(address: dict[str, Json]) -> dict[str, Json]:
    name = address.get("name")
    if not isinstance(name, str) or not name:  # in v3 `name` is a custom attribute and may be any JSON value
        name = " ".join(str(address[part]) for part in ("first_name", "last_name") if address.get(part))
    lines = ("company", "address_1", "address_2", "city", "state", "postal_code", "country")
    return {"name": name or None} | {line: address.get(line) for line in lines}


def encode_cursor(order_key: str) -> str:
    return urlsafe_b64encode(order_key.encode()).decode().rstrip("=")


def decode_cursor(text: str | None) -> str:
    """The order key in a cursor, empty for the start. Raises Malformed."""
    if text is None:
        return ""
    try:
        plain = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        if len(plain) != 22 or not plain.replace("-", "a").replace("_", "a").isalnum():
            raise ValueError
        return plain
    except ValueError:
        raise Malformed("cursor is not valid.", "cursor") from None
