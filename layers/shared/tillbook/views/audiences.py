"""Customer audiences, read from the orders themselves: no second copy that could fall out of step.

An order's head carries how many records it gives, is counted in the audience's counters and indexed by the match keys
of its addresses, all in the transaction that writes the order. So counts and matches hold in every snapshot, and the
members are the orders, read bucket by bucket.
"""

from __future__ import annotations

import csv
import io
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from tillbook.aws.items import Item, plain_item
from tillbook.aws.reads import batch_get
from tillbook.contract.activity import merged
from tillbook.ledger import table
from tillbook.rules import times
from tillbook.rules.errors import Malformed, NotFound
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.packing import unpack
from tillbook.views.people import PAGE_BYTES

_NAMES = {"orders_api": "Customers (Orders API)", "shopper_activity": "Customers (Shopper Activity)"}
_IDS = {"customers-orders-api": "orders_api", "customers-shopper-activity": "shopper_activity"}
_COLUMNS = (
    "order_id", "kind", "name", "company", "address_1", "address_2", "city", "state", "postal_code", "country",
    "email_sha256", "person_id", "customer_id", "added_at",
)  # fmt: skip
_MAX_EVALUATED = 2000


def source_of(audience_id: str) -> str:
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
    account: str

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

    def counts(self, source: str) -> tuple[int, int]:
        """(records, orders) of an audience, in one query of at most 256 small items."""
        pk = table.counters_pk(self.account, source)
        answer = self.client.query(
            TableName=self.table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}},
            ConsistentRead=True,
        )  # fmt: skip
        counters = [plain_item(item) for item in answer["Items"]]
        return int(sum(c.get("m", 0) for c in counters)), int(sum(c.get("n", 0) for c in counters))

    # --------------------------------------------------------------- members

    def members(self, source: str, limit: int, cursor: str | None) -> Members:
        """The records of whole orders, until there are `limit` or the page is full: at most one more than that."""
        bucket, after = decode_cursor(cursor)
        records: list[Json] = []
        size = evaluated = 0
        for pk, key, items in self.orders(source, bucket, after, page=limit * 2 + 2, deleted=True):
            evaluated += len(items)
            if not items[-1].get("d"):
                found = self._records(source, items)
                size += sum(len(dumps(dumps(record)).encode()) for record in found)
                records += found
            # Deleted orders give no record, but are read: a page ends among them, too.
            if len(records) >= limit or size > PAGE_BYTES or evaluated > _MAX_EVALUATED:
                return Members(self._with_people(records), encode_cursor(int(pk.rpartition("/")[2], 16), key))
        return Members(self._with_people(records), None)

    def orders(self, source: str, bucket: int = 0, after: str = "", page: int = 100, *, deleted: bool = False) -> Any:
        """(pk, order key, events and head) of each order, in the order of keys; of deleted ones only if asked for."""
        for number in range(bucket, table.BUCKETS):
            pk = f"{self.account}/{table.SOURCE_LETTER[source]}/{number:x}"
            items: list[Item] = []
            behind = table.head_sk(after) if after else "-"  # which sorts before every key
            arguments: dict[str, Any] = {
                "TableName": self.table, "ConsistentRead": True, "Limit": page,
                "KeyConditionExpression": "pk = :pk AND sk > :behind",
                "ExpressionAttributeValues": {":pk": {"S": pk}, ":behind": {"S": behind}},
            }  # fmt: skip
            while True:
                answer = self.client.query(**arguments)
                for raw_item in answer["Items"]:
                    item = plain_item(raw_item)
                    items.append(item)
                    if str(item["sk"]).endswith("~"):  # the head ends its order
                        key = str(item["sk"])[:-1]
                        # Before it may stand events of an order whose head went out between two pages.
                        order = [entry for entry in items if str(entry["sk"]).startswith(key)]
                        yield pk, key, [] if item.get("d") and not deleted else order
                        items = []
                if "LastEvaluatedKey" not in answer:
                    break
                arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            after = ""

    def _records(self, source: str, items: list[Item]) -> list[Json]:
        body: dict[str, Json]
        head, events = items[-1], sorted(items[:-1], key=lambda e: str(e["gs"]))
        if source == "orders_api":
            version = table.version_name(int(head["v"]))
            events = [e for e in events if int(str(e["sk"])[-8:]) >= int(head["b"])]
            body = next((unpack(e["b"]) for e in events if str(e["sk"]).endswith(version)), {})
        else:
            body = merged([unpack(event["b"]) for event in events])
        # A custom attribute of v3 may have any name: its person stands in the head.
        known = body if source == "orders_api" else {}
        base = {
            "order_id": head["id"], "email_sha256": known.get("email_sha256"), "person_id": None,
            "customer_id": known.get("customer_id"), "person": head.get("p"),
            "added_at": times.iso(min((str(e["gs"])[20:40] for e in events), default=head["f"])),
        }  # fmt: skip
        records = [
            {**base, "kind": kind, **_address(body[f"{kind}_address"])}
            for kind in ("shipping", "billing")
            if body.get(f"{kind}_address")
        ]
        return records or [{**base, "kind": "person", **_address({})}]

    def _with_people(self, records: list[Json]) -> list[Json]:
        """v3 events name their person in the head only: the hash or the id stands with the person."""
        ids = sorted({r["person"] for r in records if r["person"] and not r["email_sha256"] and not r["customer_id"]})
        keys = [table.person_key(self.account, i) for i in ids]
        people = {str(p["pk"]).rpartition("/")[2]: p for p in batch_get(self.client, self.table, keys)}
        for record in records:
            person = people.get(record.pop("person") or "", {})
            if person.get("k") == "email":
                record["email_sha256"] = person["id"]
            elif person.get("k") == "person":
                record["person_id"] = person["id"]
        return records


def _address(address: dict[str, Json]) -> dict[str, Json]:
    name = address.get("name")
    if not isinstance(name, str) or not name:  # of v3 it is a custom attribute, and may be anything
        name = " ".join(str(address[part]) for part in ("first_name", "last_name") if address.get(part))
    lines = ("company", "address_1", "address_2", "city", "state", "postal_code", "country")
    return {"name": name or None} | {line: address.get(line) for line in lines}


def encode_cursor(bucket: int, key: str) -> str:
    return urlsafe_b64encode(f"{bucket:x}{key}".encode()).decode().rstrip("=")


def decode_cursor(text: str | None) -> tuple[int, str]:
    """Raises Malformed."""
    if text is None:
        return 0, ""
    try:
        plain = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        if len(plain) != 23 or not plain[1:].replace("-", "a").replace("_", "a").isalnum():
            raise ValueError
        return int(plain[0], 16), plain[1:]
    except ValueError:
        raise Malformed("cursor is not one of ours.", "cursor") from None
