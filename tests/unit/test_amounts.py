"""Amounts: kept exactly up to four decimals, rounded beyond them, and shown as text (docs/design/requests.md)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillbook.rules.amounts import AmountError, minor_units, parse_amount, plain, text
from tillbook.rules.json_text import loads


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (Decimal("22.99"), "22.99"),
        (22, "22"),
        (0, "0"),
        ("22.99", "22.99"),
        (" 22.99 ", "22.99"),
        ("+5", "5"),
        ("-5.5", "-5.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        (Decimal("1E+3"), "1000"),
        ("0.0001", "0.0001"),
        (Decimal("105.00"), "105"),
        (999_999_999_999_999, "999999999999999"),
        ("999999999999999.9999", "999999999999999.9999"),
        (Decimal("-999999999999999.9999"), "-999999999999999.9999"),
        (Decimal("12345678901234.567"), "12345678901234.567"),
    ],
)
def test_an_amount_is_kept_exactly(sent: object, kept: str) -> None:
    amount, rounded = parse_amount(sent)
    assert (str(amount), rounded) == (kept, False)


@pytest.mark.parametrize("zero", ["-0", "-0.0", Decimal("-0"), Decimal("-0.000"), "0e5"])
def test_negative_zero_is_zero(zero: object) -> None:
    amount, _ = parse_amount(zero)
    assert str(amount) == "0"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("19.989999999999998", "19.99"),
        (Decimal("19.989999999999998"), "19.99"),
        (Decimal("0.30000000000000004"), "0.3"),
        (Decimal("1.00000000049"), "1"),
        (Decimal("-19.989999999999998"), "-19.99"),
        (Decimal("5.551115123125783E-17"), "0"),
        (Decimal("1e-9"), "0"),
        (Decimal("1e-25"), "0"),
        (Decimal("-1e-10"), "0"),
        (Decimal("4766.11570248"), "4766.1157"),
        ("1.00005", "1"),
        ("1.00015", "1.0002"),
        (Decimal("0.000050000000000000000000000000000000000000000000000000000000000000001"), "0.0001"),
    ],
)
def test_more_than_four_decimals_are_rounded_half_to_even(sent: object, kept: str) -> None:
    amount, rounded = parse_amount(sent)
    assert (str(amount), rounded) == (kept, True)


@pytest.mark.parametrize(
    "sent",
    [
        10**15,
        -(10**15),
        "1000000000000000",
        Decimal("1e15"),
        "1e999",
        Decimal("1E+999999"),
        10**30,
        "999999999999999.99999999999",  # is rounded to 16 digits
    ],
)
def test_more_than_fifteen_digits_before_the_point_are_out_of_range(sent: object) -> None:
    with pytest.raises(AmountError) as caught:
        parse_amount(sent)
    assert caught.value.code == "range_error"


@pytest.mark.parametrize(
    "sent",
    [
        True,
        False,
        None,
        [],
        {},
        [1],
        "",
        " ",
        "abc",
        "1,5",
        "1 000",
        "1_000",
        "$5",
        "0x10",
        "NaN",
        "Infinity",
        "-inf",
        "१",
        "1e",
        "--1",
        Decimal("NaN"),
        Decimal("Infinity"),
        "1" * 100,  # a number, but longer than 64 characters
        "\x00",
        "1\n2",
        22.99,  # a float, which is not exact
    ],
)
def test_a_value_other_than_a_number_or_a_short_numeric_text_is_refused(sent: object) -> None:
    with pytest.raises(AmountError) as caught:
        parse_amount(sent)
    assert caught.value.code == "format_error"


@given(st.decimals(min_value="-999999999999999.9999", max_value="999999999999999.9999", places=4))
def test_every_amount_within_the_limits_survives_a_round_trip(amount: Decimal) -> None:
    for sent in (amount, str(amount), f"{amount:f}", loads(f"{amount:f}")):
        kept, rounded = parse_amount(sent)
        assert kept == amount
        assert not rounded
        assert Decimal(text(kept)) == amount
    assert len(str(plain(amount)).lstrip("-").replace(".", "")) <= 15 + 4  # digits before and after the point


@pytest.mark.parametrize(
    ("amount", "decimals", "shown"),
    [
        ("105", 2, "105.00"),
        ("126", 1, "126.0"),
        ("0", 1, "0.0"),
        ("22.99", 1, "22.99"),
        ("1.2345", 2, "1.2345"),
        ("-0", 2, "0.00"),
        ("1E+3", 2, "1000.00"),
    ],
)
def test_an_amount_is_shown_with_at_least_the_requested_decimals(amount: str, decimals: int, shown: str) -> None:
    assert text(Decimal(amount), decimals) == shown


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [("22.99", "USD", 2299), ("-5", "EUR", -500), ("1200", "JPY", 1200), ("1.234", "KWD", 1234), ("0.0001", "USD", 0),
     ("5000", "ITL", 5000), ("12.34", "BGN", 1234), ("999999999999999.99", "USD", 99999999999999999)],
)  # fmt: skip
def test_an_amount_is_converted_to_minor_units(amount: str, currency: str, units: int) -> None:
    assert minor_units(Decimal(amount), currency) == units
