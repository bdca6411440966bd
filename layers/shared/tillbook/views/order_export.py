"""Export of orders with addresses, metadata and all items, as CSV and JSON lines.

The orders are listed from their cards in the book; their bodies are read from the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

from tillbook.contract import activity, document
from tillbook.contract.limits import PAGE_BYTES
from tillbook.ledger.items import ActivityHead, Head, Scope
from tillbook.rules.identity import Source
from tillbook.rules.json_text import Json, dumps
from tillbook.views.audiences import address_of
from tillbook.views.csv_pages import csv_of
from tillbook.views.order_list import Filters, OrderList, summary_of
from tillbook.views.orders import OrderReader
from tillbook.views.paging import Page, answer_bytes
from tillbook.views.people import People

_THREADS = 16
_AT_ONCE = 32  # orders whose bodies are read before the page's size is checked
_MOST_BYTES = 8 * 1024 * 1024  # bytes of events that are read for a page
_PARTS = ("name", "company", "address_1", "address_2", "city", "state", "postal_code", "country")
_ADDRESSES = ("shipping_address", "billing_address")
_SUMMARY = (
    "order_id", "order_public_id", "source", "provider", "status", "ordered_at", "date", "currency", "total", "refunds",
    "net", "new_buyer", "promo_code", "person", "email_sha256", "person_id", "customer_id",
)  # fmt: skip
_COLUMNS = (
    *_SUMMARY,
    *(f"{name.partition('_')[0]}_{part}" for name in _ADDRESSES for part in _PARTS),
    "metadata",
    "items",
)
_NUMBERS = ("total", "refunds", "net")


@dataclass(frozen=True)
class OrderExport:
    """Exports pages. A page ends when the events read or the answer reach a size, or when time runs out."""

    listing: OrderList
    with_marks: Callable[[set[str]], People]  # returns a reader that knows the erasures of the given people

    def page(self, filters: Filters, limit: int, after: str | None) -> Page:
        """A page of orders. If an order changes during the read, values from its card and its body may not match."""
        cards, cursor = self.listing.cards(filters, limit, after)
        people = self.with_marks({card.person for _, card in cards if card.person})
        known = people.known([card.person for _, card in cards if card.person])
        entries: list[Json] = []
        read = size = 0
        with ThreadPoolExecutor(_THREADS) as pool:
            for begin in range(0, len(cards), _AT_ONCE):
                page = cards[begin : begin + _AT_ONCE]
                orders = [(people.marks.scope(place.source), place.order_key) for place, _ in page]
                heads = people.reader.heads(orders)
                bodies = pool.map(_body, repeat(people.reader), orders, map(heads.get, orders))
                for (place, card), order, body in zip(page, orders, bodies, strict=True):
                    head = heads.get(order)
                    # All events of a v3 order are read, but only the newest versions of a v1 order.
                    read += head.bytes if isinstance(head, ActivityHead) else 0
                    if head is None or body is None:
                        continue
                    kind, value = known[card.person].named if card.person in known else ("", "")
                    named = {"email_sha256": None, "person_id": None, "customer_id": body.get("customer_id")}
                    if kind:  # email, person or customer; a v3 order's customer_id is in its body, too
                        named["email_sha256" if kind == "email" else f"{kind}_id"] = value
                    whole = (
                        summary_of(self.listing.account, place, card)
                        | named
                        | _details(place.source, head.order_id, body)
                    )
                    size += answer_bytes(whole)
                    entries.append(whole)
                    if size > PAGE_BYTES or read > _MOST_BYTES or not self.listing.may_go_on():
                        is_last = (place, card) == cards[-1]
                        return Page(entries, cursor if is_last else place.text)
        return Page(entries, cursor)


def _body(reader: OrderReader, order: tuple[Scope, str], head: Head | None) -> dict[str, Json] | None:
    return None if head is None else reader.body(*order, head)


def _details(source: Source, order_id: str, body: dict[str, Json]) -> dict[str, Json]:
    """Addresses as audiences show them; metadata and items as the routes for single orders show them."""
    addresses = {name: address_of(body[name]) if body.get(name) else None for name in _ADDRESSES}
    if source == "orders_api":
        order = document.shown(order_id, body)
        return addresses | {"metadata": order["metadata"], "items": order["order_items"]}
    items = activity.order_of({"items": body.get("items") or []})["items"]
    return addresses | {"metadata": activity.properties_of(body), "items": items}


def as_lines(entries: list[Json]) -> str:
    return "".join(f"{dumps(entry)}\n" for entry in entries)


def as_csv(entries: list[Json]) -> str:
    """Entries as CSV. Each part of an address has a column; metadata and items are JSON in one cell."""
    return csv_of(_COLUMNS, map(_flat, entries), numbers=_NUMBERS)


def _flat(entry: dict[str, Json]) -> dict[str, Json]:
    flat = {name: entry[name] for name in _SUMMARY} | {name: dumps(entry[name]) for name in ("metadata", "items")}
    for name in _ADDRESSES:
        kind = name.partition("_")[0]
        flat |= {f"{kind}_{part}": (entry[name] or {}).get(part) for part in _PARTS}
    return flat
