"""The orders of people who match, within a period. The indexes by person, address and customer id find them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any, NamedTuple

from tillbook.aws.items import plain_item, raw
from tillbook.ledger.items import MATCH_INDEXES, PERSON, Head, OrderHead, Scope
from tillbook.records.book import card_of
from tillbook.records.scopes import Marks
from tillbook.rules.dates import date_of, digits_of, shifted, zone_of
from tillbook.rules.json_text import Json
from tillbook.rules.order import received_of
from tillbook.rules.sales import details_of_activity, details_of_order
from tillbook.views.order_list import summary_of
from tillbook.views.people import People, Place

_THREADS = 16
MOST_ORDERS = 1000  # in one answer
_SHOWN = (
    "order_id", "order_public_id", "source", "provider", "ordered_at", "date", "currency", "total", "refunds", "net",
    "new_buyer",
)  # fmt: skip

Key = tuple[str, str]  # (index, key in the index)
_Period = tuple[date | None, date | None]


class Found(NamedTuple):
    """Orders of a person. `more`: whether there may be others in the period. `any`: whether any order was found, also
    outside the period."""

    orders: list[Json]
    more: bool
    any: bool


@dataclass(frozen=True)
class MatchOrders:
    """Reads orders of people. `with_marks` returns a reader that knows the erasures of the given people."""

    people: People
    with_marks: Callable[[set[str]], People]
    may_go_on: Callable[[], bool] = lambda: True

    def __call__(
        self, scope: Scope, keys_of: list[list[Key]], first: date | None, last: date | None, limit: int
    ) -> list[Found]:
        """The orders of each person, in the order of `keys_of`.

        At most MOST_ORDERS are read, and fewer if time runs out. People whose orders were not all read have `more`.
        """
        lookups = list({key: None for keys in keys_of for key in keys})
        with ThreadPoolExecutor(_THREADS) as pool:
            placed = pool.map(lambda key: self._places(scope, key, (first, last), limit + 1), lookups)
            found = dict(zip(lookups, placed, strict=True))  # by key: (places in the period, whether any was found)
            listed = [sorted({place for key in keys for place in found[key][0]}, reverse=True) for keys in keys_of]
            within = list(islice(dict.fromkeys(place for places in listed for place in places[:limit]), MOST_ORDERS))
            heads = self.people.reader.heads((scope, place.order_key) for place in within)
            marks = self.with_marks({head.person for head in heads.values() if head.person}).marks
            read = pool.map(lambda place: self._order(scope, place, heads.get((scope, place.order_key)), marks), within)
            orders = dict(zip(within, read, strict=True))
        tried = {place for place, order in orders.items() if order is not _NOT_READ}
        return [
            Found(
                [order for place in places[:limit] if (order := orders.get(place))],
                len(places) > limit or not tried.issuperset(places[:limit]),
                any(found[key][1] for key in keys),
            )
            for keys, places in zip(keys_of, listed, strict=True)
        ]

    def _places(self, scope: Scope, key: Key, period: _Period, most: int) -> tuple[list[Place], bool]:
        """Places of orders in the period, newest first, and whether any order was found, also outside the period."""
        index, value = key
        attribute = {**MATCH_INDEXES, PERSON: "person_key"}[index]
        first, last = period
        values = {
            ":key": scope.timeline(value) if index == PERSON else scope.match(value),
            # In some time zones the last date ends up to a day later than in UTC.
            ":last": f"{digits_of(shifted(last, 1))}~" if last else "~",
        }
        arguments: dict[str, Any] = {
            "TableName": self.people.table,
            "IndexName": index,
            "ScanIndexForward": False,
            "Limit": most,
            "KeyConditionExpression": f"{attribute} = :key AND ordered_at <= :last",
            "ExpressionAttributeValues": raw(values),
        }
        zone, found, any_order = zone_of(self.people.account.time_zone), list[Place](), False
        while True:
            answer = self.people.client.query(**arguments)
            for item in map(plain_item, answer["Items"]):
                day, any_order = date_of(item["ordered_at"], zone), True
                if (first is None or first <= day) and (last is None or day <= last):
                    found.append(Place(item["ordered_at"], scope.source, item["sk"]))
                if len(found) == most or (first is not None and day < shifted(first, -1)):
                    return found, any_order
            if "LastEvaluatedKey" not in answer:
                return found, any_order
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _order(self, scope: Scope, place: Place, head: Head | None, marks: Marks) -> Json:
        """The order at a place, _NOT_READ if time has run out, or None if the order is voided or erased.

        Also None if it was deleted or has another date by now: the index is slightly behind the table.
        """
        if head is None or head.ordered_at != place.ordered_at or marks.erased(head.person, _received(head)):
            return None
        if not self.may_go_on():
            return _NOT_READ
        body = self.people.reader.body(scope, place.order_key, head)
        if body is None:
            return None
        v1 = isinstance(head, OrderHead)
        details = details_of_order(body) if v1 else details_of_activity(body)
        card = card_of(head, details)
        if not card.counts:
            return None
        whole = summary_of(self.people.account, place, card)
        metadata = body.get("metadata") if v1 else body.get("properties")
        return {name: whole[name] for name in _SHOWN} | {"metadata": metadata or {}}


_NOT_READ: Json = {}  # compared by identity; empty, and so not listed


def _received(head: Head) -> str:
    return head.received if isinstance(head, OrderHead) else received_of(head.state.latest_at)
