"""The self-audit of the book: compares the cards of a day, and the cards of people's orders, with the orders' heads.

The book is behind the ledger, so a difference counts only if it persists while nobody writes the order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from tillbook.aws.items import raw, record_of
from tillbook.aws.reads import batch_get
from tillbook.ledger.items import Head, Scope, head_of
from tillbook.records.book import Book, CardItem, Place, card_of, place_of
from tillbook.rules.sales import Details

_MOST_CARDS = 1000  # of one day
# The fields of a card that are taken from the order's head. The others are taken from its events.
_OF_HEAD = (
    "writes", "provider", "order_id", "status", "person", "received", "currency", "total", "refunds", "net", "records",
)  # fmt: skip


class Difference(NamedTuple):
    """A card that differs from its order. `writes` is the number of writes of the order's head, 0 without a head."""

    place: Place
    writes: int


@dataclass(frozen=True, slots=True)
class BookAuditor:
    """Compares cards with heads; writes nothing."""

    book: Book
    ledger_table: str

    def places_of_day(self, scope: Scope, choice: int) -> list[Place]:
        """The places of the cards of one day, which `choice` (a random number) selects among the days with cards."""
        days = sorted(self.book.changes(scope))
        if not days:
            return []
        day = days[choice % len(days)]
        return [place for place, _ in islice(self.book.cards(scope, day, f"{day}~"), _MOST_CARDS)]

    def places_of_orders(self, scope: Scope, order_keys: Iterable[str]) -> list[Place]:
        heads = self._heads([(scope, key) for key in order_keys])
        return [place for (_, key), head in heads.items() if (place := place_of(scope, key, head)) is not None]

    def differences(self, places: Iterable[Place]) -> set[Difference]:
        wanted = list(dict.fromkeys(places))
        keys = [raw(place.key) for place in wanted]
        found = batch_get(self.book.client, self.book.table, keys)
        cards = {Place.of(item): record_of(CardItem, item) for item in found}
        # Heads are read after cards. An order that is written in between may differ, and is compared again later.
        heads = self._heads([(place.scope, place.order_key) for place in wanted])
        wrong = set()
        for place in wanted:
            head = heads.get((place.scope, place.order_key))
            if not _fits(place, cards.get(place, CardItem()), head):
                wrong.add(Difference(place, head.writes if head else 0))
        return wrong

    def _heads(self, orders: Iterable[tuple[Scope, str]]) -> dict[tuple[Scope, str], Head]:
        keys = [raw(scope.head_key(key)) for scope, key in dict.fromkeys(orders)]
        items = batch_get(self.book.client, self.ledger_table, keys)
        return {(Scope.of(item["pk"]), str(item["sk"])): head_of(item) for item in items}


def _fits(place: Place, card: CardItem, head: Head | None) -> bool:
    """Whether a card fits: at the order's place it must equal the order, at any other place it must be empty."""
    if head is None or head.standing is None or place_of(place.scope, place.order_key, head) != place:
        return not card.shows
    expected = card_of(head, Details())
    return all(getattr(card, name) == getattr(expected, name) for name in _OF_HEAD)
