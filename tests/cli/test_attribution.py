"""Unit tests of attribution: files of mailings, last touch, and confidence intervals."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.tillbook_cli.attribution import Lift, Order, attribute, campaigns_of, wilson
from cli.tillbook_cli.mailings import Fault, Mailings, Piece
from cli.tillbook_cli.mappings import BadMapping
from cli.tillbook_cli.rows import Source
from tillbook.rules.identity import email_sha256

DAY = date(2026, 1, 10)


def read(tmp_path: Path, text: str, name: str = "m.csv", **options: Any) -> list[Piece | Fault]:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    with Source(path) as source:
        return list(Mailings.of(source, options.pop("columns", {}), **options).pieces())


# --------------------------------------------------------------------- the file


def test_columns_are_recognised(tmp_path: Path) -> None:
    text = (
        "Campaign Name,MAIL_DATE,Unit cost,Control group,Email Address,Address Line 1,Zip\n"
        "Spring,2026-01-10,$0.50,,Ann@Example.com,1 Main St,02139\n"
        "Spring,2026-01-10T08:00:00Z,,Control,,1 Main St,02139\n"
    )
    assert read(tmp_path, text) == [
        Piece(2, "Spring", DAY, False, Decimal("0.5"), {
            "email_sha256": email_sha256("ann@example.com"),
            "address": {"address_1": "1 Main St", "postal_code": "02139"},
        }),
        Piece(3, "Spring", DAY, True, Decimal(0), {"address": {"address_1": "1 Main St", "postal_code": "02139"}}),
    ]  # fmt: skip


def test_columns_and_the_date_format_can_be_given(tmp_path: Path) -> None:
    text = "what;when;who\nA;10/01/2026;c-1\n"
    columns = {"campaign": "What", "mailed_on": "when", "customer_id": "who"}
    (piece,) = read(tmp_path, text, columns=columns, date_format="eu", cost=Decimal(2))
    assert piece == Piece(2, "A", DAY, False, Decimal(2), {"customer_id": "c-1"})


def test_json_lines_are_read(tmp_path: Path) -> None:
    line = json.dumps({"campaign": "A", "date": "2026-01-10", "customer_id": 7})
    assert read(tmp_path, f"{line}\n", "m.jsonl") == [Piece(1, "A", DAY, False, None, {"customer_id": "7"})]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("soon,a@b.co,1,", "line 2, mail date: must be a date"),
        ("2026-01-10,ann,1,", "line 2, email: must be an e-mail"),
        ("2026-01-10,,1,", "line 2, row: is empty, and so is every other column that identifies"),
        ("2026-01-10,a@b.co,much,", "line 2, cost: must be a number"),
        ("2026-01-10,a@b.co,-1,", "line 2, cost: must be at least 0"),
        ("2026-01-10,a@b.co,1,perhaps", "line 2, holdout: must be yes or no"),
        ("2026-01-10,a@b.co", "line 2, row: has 2"),
    ],
)
def test_errors_name_row_and_column(tmp_path: Path, row: str, fault: str) -> None:
    (found,) = read(tmp_path, f"mail date,email,cost,holdout\n{row}\n")
    assert isinstance(found, Fault)
    assert str(found).startswith(fault)
    assert "a@b.co" not in str(found)


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        ("email", {}, "date of the mailing"),
        ("date", {}, "identifies the recipient"),
        ("date,email", {"age": "date"}, "no field age"),
        ("date,email", {"cost": "price"}, "no column price"),
    ],
)
def test_missing_and_unknown_columns_are_refused(
    tmp_path: Path, header: str, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(BadMapping, match=message):
        read(tmp_path, f"{header}\n", columns=columns)


# ------------------------------------------------------------------- last touch


def piece(line: int, campaign: str, day: int, *, held_out: bool = False) -> Piece:
    """A piece that was mailed `day` days after DAY."""
    return Piece(line, campaign, DAY + timedelta(days=day), held_out, Decimal(1), {})


def an_order(order_id: str, day: int, net: int = 10) -> Order:
    """An order that was placed `day` days after DAY."""
    amount = Decimal(net)
    return Order(("orders_api", "", order_id), "", DAY + timedelta(days=day), "USD", amount, Decimal(0), amount, False)


def test_an_order_counts_for_the_latest_mailing_on_its_day_or_before() -> None:
    pieces = [piece(2, "A", 0), piece(3, "B", 5), piece(4, "B", 5), piece(5, "C", 5, held_out=True)]
    orders = [an_order("1", 4), an_order("2", 5), an_order("3", 36)]  # the last one is 31 days after the last mailing
    orders_of_pieces = [orders] * len(pieces)  # all pieces are of the person who placed these orders
    matches = attribute(pieces, orders_of_pieces, 30)
    counts = [(match.piece.line, match.order.key[2]) for match in matches if match.counts]
    # Of two pieces of the same day, the order counts for the first one in the file; for held-out people, none counts.
    assert counts == [(2, "1"), (3, "2")]


def test_attribution_equals_a_brute_force_search() -> None:
    chance = random.Random(3)
    for _ in range(300):
        pieces = [
            piece(line, chance.choice("ABC"), chance.randrange(20), held_out=chance.random() < 0.2) for line in range(8)
        ]
        orders = [an_order(str(n), chance.randrange(-5, 40), n) for n in range(6)]
        orders_of = [[order for order in orders if chance.random() < 0.4] for _ in pieces]
        window = chance.randrange(20)
        found = {(m.piece.line, m.order.key) for m in attribute(pieces, orders_of, window) if m.counts}
        expected = set()
        for order in orders:
            touches = [
                p
                for p, own in zip(pieces, orders_of, strict=True)
                if order in own and not p.held_out and 0 <= (order.day - p.mailed_on).days <= window
            ]
            if touches:
                latest = max(p.mailed_on for p in touches)
                expected.add((next(p.line for p in touches if p.mailed_on == latest), order.key))
        assert found == expected


def test_the_sums_of_a_campaign_are_computed() -> None:
    pieces = [piece(2, "A", 0), piece(3, "A", 0), piece(4, "A", 0, held_out=True)]
    matches = list(attribute(pieces, [[an_order("1", 1, 30), an_order("2", 2, -5)], [], [an_order("3", 1)]], 10))
    (campaign,) = campaigns_of(pieces, matches)
    shown = campaign.shown("USD")
    assert (shown["mailed"], shown["people"], shown["orders"], shown["revenue"]) == (2, 1, 2, {"USD": "25.00"})
    # Two mailed pieces of 1.00 each; 25.00 / 2.00 is 12.50.
    assert (shown["cost"], shown["cost_per_order"], shown["roas"]) == ("2.00", "1.00", "12.50")
    assert (shown["lift"]["mailed_share"], shown["lift"]["held_out_share"]) == ("0.5000", "1.0000")
    assert campaign.shown("EUR")["roas"] == "0.00"  # all revenue is in USD


# ------------------------------------------------------------------- intervals


def test_intervals_equal_those_of_the_paper() -> None:
    """Newcombe 1998, table II, method 10: examples (a), (b), (c), (e) and (h)."""
    for (mailed_ordered, mailed, held_out_ordered, held_out), (low, high) in {
        (56, 70, 48, 80): (0.0524, 0.3339), (9, 10, 3, 10): (0.1705, 0.8090), (6, 7, 2, 7): (0.0582, 0.8062),
        (5, 56, 0, 29): (-0.0381, 0.1926), (10, 10, 0, 10): (0.6075, 1.0),
    }.items():  # fmt: skip
        interval = Lift(mailed, mailed_ordered, held_out, held_out_ordered).interval
        assert interval == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))
    # With no successes, the upper limit is z² / (10 + z²), where z is 1.96.
    assert wilson(0, 10) == (pytest.approx(0, abs=1e-9), pytest.approx(0.2775, abs=1e-4))


def test_intervals_cover_the_true_difference_in_95_percent_of_mailings() -> None:
    """Simulates 1,000 mailings that have an effect, and 1,000 that have none.

    By chance, an effect is found in about one of twenty mailings that have none.
    """
    chance = random.Random(1)

    def ordered(people: int, probability: float) -> int:
        return sum(chance.random() < probability for _ in range(people))

    lifts = [Lift(400, ordered(400, 0.08), 100, ordered(100, 0.05)) for _ in range(1000)]
    true_difference = 0.08 - 0.05
    covered = sum(low <= true_difference <= high for low, high in (lift.interval for lift in lifts))
    assert 930 <= covered <= 975  # 950 are expected, with a standard deviation of 7
    without_effect = [Lift(400, ordered(400, 0.05), 100, ordered(100, 0.05)) for _ in range(1000)]
    assert sum(lift.is_more_than_chance for lift in without_effect) <= 70  # 50 are expected
