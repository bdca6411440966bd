"""Amounts of money as exact decimals. No amount is ever a float."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from tillbook.rules.codes import MINOR_UNITS, WITHDRAWN_UNITS

ZERO = Decimal(0)
_PLACES = Decimal("0.0001")
_EXACT_PLACES = frozenset(range(-4, 1))  # exponents of amounts with at most four decimals
_LIMIT = Decimal(10) ** 15
_NUMERIC = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
# An amount has at most 19 digits, so sums stay exact for any realistic number of orders; DynamoDB keeps 38 digits.
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


class AmountError(ValueError):
    """An invalid amount. `code` is format_error or range_error; the message is a predicate ("must be a number")."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_amount(value: object) -> tuple[Decimal, bool]:
    """Parses an amount, in currency units, from a JSON number (int or Decimal) or a numeric string.

    Returns (amount, whether it was rounded). An amount with more than 4 decimals is rounded half to even.
    Raises AmountError if the value is not a finite number, or has more than 15 digits before the point.
    """
    if isinstance(value, str):
        text = value.strip()
        if len(text) > 64 or not _NUMERIC.fullmatch(text):
            raise AmountError("format_error", "must be a number")
        value = Decimal(text)
    elif isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise AmountError("format_error", "must be a number")
    if isinstance(value, int):
        if abs(value) >= 10**15:
            raise AmountError("range_error", "must have at most 15 digits before the point")
        value = Decimal(value)
    _, digits, exponent = value.as_tuple()
    if exponent in _EXACT_PLACES and len(digits) + int(exponent) <= 15:  # nearly every amount: nothing to round
        is_plain = digits[-1] or (exponent == 0 and value)
        return value if is_plain else plain(value), False
    if not value.is_finite():
        raise AmountError("format_error", "must be a finite number")
    if value and value.adjusted() >= 15:
        raise AmountError("range_error", "must have at most 15 digits before the point")
    with localcontext(EXACT):
        rounded = value.quantize(_PLACES)
        if abs(rounded) >= _LIMIT:
            raise AmountError("range_error", "must have at most 15 digits before the point")
        return plain(rounded), rounded != value


def plain(value: Decimal) -> Decimal:
    """Returns the value without trailing zeros, without exponent, and with 0 for -0.

    Amounts are hashed, stored and compared in this form.
    """
    if not value:
        return ZERO
    value = value.normalize(EXACT)
    return value.quantize(Decimal(1), context=EXACT) if value.as_tuple().exponent > 0 else value  # type: ignore[operator]


def text(value: Decimal, decimals: int = 2) -> str:
    """Returns the amount as text with at least `decimals` decimals: "105.00" for 105, "105.1234" for 105.1234."""
    value = plain(value)
    places = max(decimals, -int(value.as_tuple().exponent))
    return f"{value:.{places}f}"


def minor_units(value: Decimal, currency: str) -> int:
    """Returns the amount in the currency's smallest unit (cents for USD, yen for JPY), rounded half to even."""
    with localcontext(EXACT):
        return int(value.scaleb(_places(currency)).to_integral_value(ROUND_HALF_EVEN))


def rounded(value: Decimal, currency: str) -> Decimal:
    """Returns the amount in currency units, rounded half to even to the currency's smallest unit."""
    return value.quantize(Decimal(1).scaleb(-_places(currency)), context=EXACT)


def _places(currency: str) -> int:
    return MINOR_UNITS.get(currency, WITHDRAWN_UNITS.get(currency, 2))
