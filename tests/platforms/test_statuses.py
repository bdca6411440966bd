"""The table of status words that connectors and import presets share."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tillbook.contract.platforms.statuses import STATUSES, left_of, meaning_of, words_of


@pytest.mark.parametrize(
    ("platform", "status", "meaning"),
    [
        ("woocommerce", "checkout-draft", "skip"),
        ("woocommerce", "Pending payment", "skip"),
        ("woocommerce", "wc-on-hold", "open"),
        ("woocommerce", "Processing", "paid"),
        ("woocommerce", "completed", "fulfilled"),
        ("woocommerce", "cancelled", "unpaid"),
        ("woocommerce", "trash", "unpaid"),
        ("woocommerce", "refunded", "refunded"),
        ("woocommerce", "ready-for-pickup", "unknown"),
        ("shopify", "pending", "open"),
        ("shopify", "PARTIALLY_REFUNDED", "paid"),
        ("shopify", "voided", "unpaid"),
        ("bigcommerce", "Awaiting Fulfillment", "paid"),
        ("bigcommerce", "Pending", "skip"),
        ("magento", "pending_payment", "skip"),
        ("magento", "On Hold", "open"),
        ("magento", "closed", "canceled"),
        ("magento", "canceled", "unpaid"),
    ],
)
def test_the_meaning_of_a_status_word(platform: str, status: str, meaning: str) -> None:
    assert meaning_of(platform, status) == meaning


def test_a_time_of_cancellation_changes_the_meaning_of_a_status() -> None:
    """Shopify's `cancelled_at`: a paid order still counts until it is refunded; an unpaid one counts 0."""
    found = {word: meaning_of("shopify", word, canceled=True) for word in ("pending", "paid", "refunded", "voided")}
    assert found == {"pending": "unpaid", "paid": "canceled", "refunded": "refunded", "voided": "unpaid"}


def test_the_remaining_amount_depends_on_the_meaning_of_the_status() -> None:
    total, refunded = Decimal("100.00"), Decimal("30.00")
    for meaning in ("open", "paid", "fulfilled", "canceled", "unknown"):
        assert left_of(meaning, total, refunded) == Decimal("70.00")
        assert left_of(meaning, refunded, total) == 0
    for meaning in ("skip", "unpaid", "refunded"):
        assert left_of(meaning, total, Decimal(0)) == 0  # type: ignore[arg-type]


def test_the_words_of_the_table_are_normalised() -> None:
    for words in STATUSES.values():
        assert all(word == words_of(word) for word in words)
