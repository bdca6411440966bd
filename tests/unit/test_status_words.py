"""Status words without a known platform have a meaning only if all platforms agree; a shop may add its own words."""

from __future__ import annotations

from tillbook.contract.platforms.statuses import STATUSES, meaning_of, unambiguous_words


def test_words_on_which_platforms_differ_are_unknown() -> None:
    assert {table.get("pending") for table in STATUSES.values()} == {"skip", "open"}
    assert [meaning_of("", word) for word in ("pending", "new")] == ["unknown", "unknown"]


def test_words_that_mean_open_are_unknown() -> None:
    assert [meaning_of("", word) for word in ("unpaid", "on-hold")] == ["unknown", "unknown"]
    assert "open" not in unambiguous_words().values()


def test_words_on_which_platforms_agree_have_their_meaning() -> None:
    found = {word: meaning_of("", word) for word in ("Cancelled", "wc-refunded", "pending_payment", "PAID", "complete")}
    assert found == {
        "Cancelled": "unpaid", "wc-refunded": "refunded", "pending_payment": "skip", "PAID": "paid",
        "complete": "fulfilled",
    }  # fmt: skip
    assert meaning_of("", "Storniert") == "unknown", "no platform has this word"


def test_the_shop_s_own_words_take_precedence() -> None:
    own = {"storniert": "unpaid", "completed": "skip"}
    assert [meaning_of("woocommerce", word, own=own) for word in ("Storniert", "completed", "processing")] == [  # type: ignore[arg-type]
        "unpaid", "skip", "paid",
    ]  # fmt: skip
    assert meaning_of("", "offen", canceled=True, own={"offen": "open"}) == "unpaid"
