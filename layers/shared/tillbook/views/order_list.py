"""Lists of orders, newest first or by name, from their cards in the book."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from tillbook.contract.limits import PAGE_BYTES
from tillbook.ledger.items import Scope
from tillbook.records.accounts import Account
from tillbook.records.book import BY_ORDER_ID, BY_PUBLIC_ID, Book, CardItem, bare, name_of
from tillbook.records.book import Place as CardPlace
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.dates import date_of, digits_of, shifted, zone_of
from tillbook.rules.identity import SOURCE_LETTER
from tillbook.rules.json_text import Json
from tillbook.views.paging import Page
from tillbook.views.people import Place

_MOST_READ = 5000  # cards that are read for a page; filters may exclude most of them
MOST_NAMED = 1000  # cards that one lookup by name finds at most
_CARDS_AT_ONCE = 100


class Filters(NamedTuple):
    """Filters of a list; None is no filter.

    `first` and `last` are dates in the account's time zone, both included. `name` is the beginning of order_id or
    order_public_id.
    """

    first: date | None = None
    last: date | None = None
    source: str | None = None
    status: str | None = None
    provider: str | None = None
    promo_code: str | None = None
    currency: str | None = None
    min_total: Decimal | None = None
    max_total: Decimal | None = None
    text: str | None = None
    name: str | None = None

    def meet(self, card: CardItem, account: Account) -> bool:
        """Whether a card passes the filters, apart from source, dates and name, which `cards` applies."""
        return (
            self.status in (None, card.status)
            and self.provider in (None, card.provider)
            and (self.promo_code is None or self.promo_code.strip().lower() == card.promo_code.lower())
            and self.currency in (None, card.currency or account.currency)
            and (self.min_total is None or self.min_total <= card.total)
            and (self.max_total is None or card.total <= self.max_total)
            and (self.text is None or self.text.strip().lower() in _words(card))
        )


def _words(card: CardItem) -> str:
    """The searchable texts of a card in lower case, each on its own line, so that no match spans two texts."""
    lines = (word for line in card.items for word in (line.identifier, line.category))
    return "\n".join((card.order_id, card.public_id, card.promo_code, *lines)).lower()


Card = tuple[Place, CardItem]


@dataclass(frozen=True)
class OrderList:
    book: Book
    account: Account
    scopes: Scopes
    may_go_on: Callable[[], bool] = lambda: True

    def page(self, filters: Filters, limit: int, after: str | None) -> Page:
        """A page of orders, without those of erased people.

        An order whose date changes between two pages may be listed twice, or not at all.
        """
        found, last = self.cards(filters, limit, after)
        return Page([shown(self.account, place, card) for place, card in found], last)

    def cards(self, filters: Filters, limit: int, after: str | None) -> tuple[list[Card], str | None]:
        """The cards of a page, and the place after which the next page begins (None at the end)."""
        marks, after_place = self.scopes.read(self.account.id), Place.of(after) if after else None
        scopes = [scope for scope in marks.scopes() if filters.source in (None, scope.source)]
        found: list[Card] = []
        read, size, last = 0, 0, None
        by_date = (self._by_date(scope, filters, after_place) for scope in scopes)
        cards = (
            heapq.merge(*by_date, key=_sort_key, reverse=True)
            if filters.name is None
            else self._named(scopes, filters.name, after_place)
        )
        for place, card in cards:
            last, read = place, read + 1
            if card.shows and self._is_within(filters, place) and filters.meet(card, self.account):
                found.append((place, card))
                size += len(card.lines)  # packed: each byte is estimated to become 16 bytes of the answer
            if len(found) == limit or read == _MOST_READ or size > PAGE_BYTES // 16 or not self.may_go_on():
                break
        else:
            last = None
        erasures = self.scopes.read(self.account.id, {card.person for _, card in found if card.person}, ())
        known = [(place, card) for place, card in found if not erasures.erased(card.person, card.received)]
        return known, last.text if last else None

    def _by_date(self, scope: Scope, filters: Filters, after_place: Place | None) -> Iterator[Card]:
        """The cards of one source, newest first; with `after_place`, only those after this place."""
        first = digits_of(shifted(filters.first, -1)) if filters.first else ""
        last = f"{digits_of(shifted(filters.last, 1))}~" if filters.last else "~"
        if after_place:
            # Orders of the same moment are sorted by the letter of their source, in descending order.
            letter, theirs = SOURCE_LETTER[scope.source], SOURCE_LETTER[after_place.source]
            key = f"{after_place.ordered_at}#{after_place.order_key}" if letter == theirs else after_place.ordered_at
            last = min(last, f"{key}~" if letter < theirs else key)
        for month in reversed(self.book.months(scope)):
            # Months outside the dates are skipped.
            ends = max(first, month), min(last, f"{month}~")
            if ends[0] <= ends[1] and ends[0][:6] == month:
                for place, card in self.book.cards(scope, *ends, newest_first=True, page=200):
                    here = Place(place.ordered_at, scope.source, place.order_key)
                    if here != after_place:
                        yield here, card

    def _named(self, scopes: list[Scope], text: str, after_place: Place | None) -> Iterator[Card]:
        """Cards with exactly this name, then cards whose name begins with it; each group newest first.

        With `after_place`, only those after the order at this place.
        """
        begin = name_of(text)
        plain = bare(begin)
        exact: dict[Place, bool] = {}
        places: dict[Place, CardPlace] = {}
        for scope in scopes:
            for index in (BY_ORDER_ID, BY_PUBLIC_ID):
                for variant in {begin, plain, f"#{plain}"} - {""}:
                    for at, name in self.book.places_named(scope, index, variant, MOST_NAMED).items():
                        place = Place(at.ordered_at, scope.source, at.order_key)
                        exact[place], places[place] = exact.get(place, False) or bare(name) == plain, at
        ordered = sorted(exact, key=lambda place: (exact[place], *_sort_key((place, None))), reverse=True)
        if after_place in exact:
            ordered = ordered[ordered.index(after_place) + 1 :]
        elif after_place is not None:
            # The cursor's order was deleted, or has another name by now. The second group is assumed to have had it.
            ordered = [
                place
                for place in ordered
                if not exact[place] and _sort_key((place, None)) < _sort_key((after_place, None))
            ]
        for begin_at in range(0, len(ordered), _CARDS_AT_ONCE):
            page = ordered[begin_at : begin_at + _CARDS_AT_ONCE]
            cards = self.book.cards_at([places[place] for place in page])
            for place in page:
                if card := cards.get(places[place]):
                    yield place, card

    def _is_within(self, filters: Filters, place: Place) -> bool:
        day = date_of(place.ordered_at, zone_of(self.account.time_zone))
        return (filters.first is None or filters.first <= day) and (filters.last is None or day <= filters.last)


def shown(account: Account, place: Place, card: CardItem) -> dict[str, Json]:
    return summary_of(account, place, card) | {
        "items": [
            {
                "identifier": line.identifier or None, "category": line.category or None,
                "quantity": amount_text(line.quantity, 0), "amount": amount_text(line.amount),
            }
            for line in card.items
        ],
    }  # fmt: skip


def summary_of(account: Account, place: Place, card: CardItem) -> dict[str, Json]:
    """An order in a list, without its items."""
    return {
        "order_id": card.order_id,
        "order_public_id": card.public_id or None,
        "source": place.source,
        "provider": card.provider or None,
        "status": card.status,
        "ordered_at": times.iso(place.ordered_at),
        "date": date_of(place.ordered_at, zone_of(account.time_zone)).isoformat(),
        "currency": card.currency or account.currency,
        "total": amount_text(card.total),
        "refunds": amount_text(card.refunds),
        "net": amount_text(card.net),
        "new_buyer": {"true": True, "false": False}.get(card.new_buyer),
        "promo_code": card.promo_code or None,
        "person": card.person or None,
    }


def _sort_key(card: tuple[Place, CardItem | None]) -> tuple[str, str, str]:
    place = card[0]
    return place.ordered_at, SOURCE_LETTER[place.source], place.order_key
