"""Meanings of an order's status by platform: one table for connectors (webhooks) and import presets (files).

- `skip`: not an order yet; nobody becomes a customer. An import leaves it out. A webhook with a draft is ignored, and
  one with another such status becomes a `voided` event, which names no person.
- `open`: not paid yet; the order counts.
- `paid`, `fulfilled`: the order counts.
- `canceled`: ended after it was paid; the total less refunds counts. Most platforms show this by another field than the
  status (`meaning_of`).
- `unpaid`: ended without payment, or canceled with a full refund; the order counts 0.
- `refunded`: the platform says that it was refunded in full; the order counts 0.
- `unknown`: a word that is not in the table; the order counts. An import asks for the meaning of the word first.

Sources: WooCommerce's `OrderStatus` class, Shopify's OrderDisplayFinancialStatus, BigCommerce's Orders V2 schema (its
labels), Magento's order states and the labels that its grid exports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Literal

from tillbook.rules.amounts import EXACT, ZERO

Meaning = Literal["skip", "open", "paid", "fulfilled", "canceled", "unpaid", "refunded", "unknown"]

# Words are in lower case, with a space in place of each `-` or `_`.
STATUSES: dict[str, dict[str, Meaning]] = {
    "woocommerce": {
        "auto draft": "skip", "checkout draft": "skip", "draft": "skip", "new": "skip", "pending": "skip",
        "pending payment": "skip",
        "on hold": "open",
        "processing": "paid",
        "completed": "fulfilled",
        "canceled": "unpaid", "cancelled": "unpaid", "failed": "unpaid", "trash": "unpaid",
        "refunded": "refunded",
    },
    "shopify": {
        "authorized": "open", "partially paid": "open", "pending": "open", "unpaid": "open",
        "paid": "paid", "partially refunded": "paid",
        "expired": "unpaid", "voided": "unpaid",
        "refunded": "refunded",
    },
    "bigcommerce": {
        "incomplete": "skip", "pending": "skip",
        "awaiting payment": "open", "manual verification required": "open",
        "awaiting fulfillment": "paid", "awaiting pickup": "paid", "awaiting shipment": "paid", "disputed": "paid",
        "partially refunded": "paid", "partially shipped": "paid",
        "completed": "fulfilled", "shipped": "fulfilled",
        "cancelled": "unpaid", "declined": "unpaid",
        "refunded": "refunded",
    },
    "magento": {
        "pending payment": "skip",
        "fraud": "open", "holded": "open", "new": "open", "on hold": "open", "payment review": "open",
        "pending": "open", "suspected fraud": "open",
        "processing": "paid",
        "complete": "fulfilled",
        # A credit memo may withhold a fee, so the total less refunds counts.
        "closed": "canceled",
        "canceled": "unpaid",
    },
}  # fmt: skip
_SEPARATORS = re.compile(r"[\s_-]+")


def words_of(status: str) -> str:
    """A status in the form of STATUSES: `wc-on-hold`, `On hold` and `ON_HOLD` give the same words."""
    return _SEPARATORS.sub(" ", status.strip().casefold().removeprefix("wc-")).strip()


@cache
def unambiguous_words() -> dict[str, Meaning]:
    """Status words for orders without a known platform: those with the same meaning in every table that has them.

    Words that mean `open` are left out: elsewhere they may mean that an order was never paid, so an import asks.
    """
    found: dict[str, set[Meaning]] = {}
    for words in STATUSES.values():
        for word, meaning in words.items():
            found.setdefault(word, set()).add(meaning)
    return {word: next(iter(each)) for word, each in found.items() if len(each) == 1 and each != {"open"}}


def meaning_of(platform: str, status: str, *, canceled: bool = False, own: Mapping[str, Meaning] = {}) -> Meaning:
    """The meaning of a status on a platform. If the platform is "", only unambiguous_words() are known.

    `canceled`: whether another field shows that the order is canceled, as Shopify's time of cancellation does.
    `own`: the shop's own words, which take precedence.
    """
    words, table = words_of(status), STATUSES[platform] if platform else unambiguous_words()
    meaning = own.get(words) or table.get(words, "unknown")
    if canceled and meaning == "open":
        return "unpaid"
    return "canceled" if canceled and meaning in ("paid", "fulfilled", "unknown") else meaning


def left_of(meaning: Meaning, total: Decimal, refunded: Decimal) -> Decimal:
    """The amount that counts, in currency units: 0 for some meanings, else the total less refunds, at least 0."""
    counts_nothing = meaning in ("skip", "unpaid", "refunded")
    return ZERO if counts_nothing else max(EXACT.subtract(total, refunded), ZERO)
