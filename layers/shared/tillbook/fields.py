"""Types of fields that both APIs share: each with its check and, for the OpenAPI document, its JSON Schema.

Values come from json_text.loads: numbers are int or Decimal. A null is an absent field.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tillbook import times
from tillbook.amounts import AmountError, parse_amount
from tillbook.codes import ALPHA2_TO_ALPHA3, ALPHA3, MINOR_UNITS, WITHDRAWN_COUNTRIES, WITHDRAWN_UNITS
from tillbook.identity import is_email, is_sha256
from tillbook.shapes import Context, Fault, Field

MAX_ITEMS = 5000
AHEAD_HOURS = 24


def text(maximum: int, *, required: bool = False, numbers: bool = False, trim: bool = False) -> Callable[[Any], Any]:
    """A string of at most `maximum` characters. `numbers`: integers are kept as their digits."""

    def validate(value: Any) -> Any:
        if value is None:
            if required:
                raise Fault("presence_error", "is required")
            return None
        if numbers and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # json_text.loads lets no integer through that has too many digits for this
        if not isinstance(value, str):
            raise Fault("format_error", "must be a string")
        if trim:
            value = value.strip()
        if required and not value.strip():
            raise Fault("presence_error", "is required")
        if len(value) > maximum:
            raise Fault("length_error", f"must be at most {maximum} characters")
        return value

    return validate


def _amount(minimum: int | None, required: bool) -> Callable[[Any, str, Context], Decimal | None]:
    floor = None if minimum is None else Decimal(minimum)

    def validate(value: Any, name: str, context: Context) -> Decimal | None:
        if value is None or value == "":
            if required:
                raise Fault("presence_error", "is required")
            return None
        try:
            amount, rounded = parse_amount(value)
        except AmountError as error:
            raise Fault(error.code, str(error)) from None
        if floor is not None and amount < floor:
            raise Fault("range_error", f"must be at least {floor}")
        if rounded:
            context.notes.append(f"{name} was rounded to {amount}")
        return amount

    return validate


def _code(value: Any) -> str:
    """In upper case; empty for what is none. Of other letters some would turn into ASCII: \u0131 is I, \u00df is SS."""
    code = value.strip() if isinstance(value, str) else ""
    return code.upper() if code.isascii() else ""


def _currency(value: Any) -> str | None:
    if value is None or value == "":
        return None
    code = _code(value)
    if code not in MINOR_UNITS and code not in WITHDRAWN_UNITS:
        raise Fault("format_error", "must be an ISO 4217 currency code")
    return code


def _country(value: Any) -> str | None:
    if value is None or value == "":
        return None
    code = _code(value)
    code = ALPHA2_TO_ALPHA3.get(code) or WITHDRAWN_COUNTRIES.get(code, code)
    if code not in ALPHA3 and code not in WITHDRAWN_COUNTRIES.values():
        raise Fault("format_error", "must be an ISO 3166 country code of two or three letters")
    return code


def _email(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not is_email(value):
        raise Fault("email_error", "must be an e-mail address")
    return value


def _sha256(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not is_sha256(value.strip()):
        raise Fault("format_error", "must be a SHA-256 hash of 64 hexadecimal digits")
    return value.strip().lower()


def _moment(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > 64:
        raise Fault("time_error", "must be a date or date-time in ISO 8601 format")
    try:
        return times.parse_iso(value)
    except ValueError:
        raise Fault("time_error", "must be a date or date-time in ISO 8601 format") from None


def _past_moment(value: Any, name: str, context: Context) -> str | None:
    moment = _moment(value)
    if moment and moment > context.received and moment > times.shift(context.received, hours=AHEAD_HOURS):
        raise Fault("time_error", "must not be more than 24 hours ahead")
    return moment


def _required_moment(value: Any) -> str | None:
    if value is None or value == "":
        raise Fault("presence_error", "is required")
    return _moment(value)


def order_id(value: Any) -> Any:
    """1 to 255 characters that can also stand in a path: `?`, control characters, `.` and `..` cannot."""
    value = text(255, required=True, numbers=True)(value)
    if value in (".", ".."):
        raise Fault("format_error", "must not be . or .., which cannot stand in a path")
    if "?" in value:
        raise Fault("format_error", "must not contain ?, which cannot stand in a path")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise Fault("format_error", "must not contain control characters")
    return value


# What each type takes, as the OpenAPI document says it. Texts of fields take integers too, and keep their digits.
# Amounts as text may also carry an exponent or white space around them: that is forgiven, not promised.
_AMOUNT_TEXT = r"^([+-]?([0-9]{1,15}(\.[0-9]{0,4})?|\.[0-9]{1,4}))?$"
_TOTAL_TEXT = r"^([+]?([0-9]{1,15}(\.[0-9]{0,4})?|\.[0-9]{1,4}))?$"
# Python's white space is more than that of a schema's \s.
_BLANK = r"\s\u001c-\u001f\u0085"
_CONTROL = r"\u0000-\u001f\u007f-\u009f"
_ORDER_ID = rf"^[^?{_CONTROL}]*[^?\s{_CONTROL}][^?{_CONTROL}]*$"
_EMAIL = rf"^$|^[^@{_BLANK}]+@[^@{_BLANK}.]+(\.[^@{_BLANK}.]+)+$"
SOLID = f"[^{_BLANK}]"  # says more than white space


def says(*types: str, **more: Any) -> dict[str, Any]:
    """JSON Schema of a value of these types."""
    return {"type": list(types) if len(types) > 1 else types[0], **more}


def _says_amount(*types: str, minimum: float | None = None, pattern: str = _AMOUNT_TEXT) -> dict[str, Any]:
    low = {"exclusiveMinimum": -1e15} if minimum is None else {"minimum": minimum}
    return says("number", "string", *types, **low, exclusiveMaximum=1e15, multipleOf=0.0001, pattern=pattern)


def _says_time(*others: dict[str, Any]) -> dict[str, Any]:
    forms: list[Any] = [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
    return {"anyOf": forms + list(others)}


_NO_TIME: tuple[dict[str, Any], ...] = ({"const": ""}, {"type": "null"})
_ORDER_ID_SCHEMA = says("string", "integer", maxLength=255, pattern=_ORDER_ID, **{"not": {"enum": [".", ".."]}})

_COUNTRIES = sorted(ALPHA2_TO_ALPHA3 | WITHDRAWN_COUNTRIES) + sorted(ALPHA3.union(WITHDRAWN_COUNTRIES.values()))

ORDER_ID = Field(order_id, _ORDER_ID_SCHEMA, required=True)
LINE = Field(text(1000, numbers=True), says("string", "integer", "null", maxLength=1000))
TEXT = Field(text(10_000, numbers=True), says("string", "integer", "null", maxLength=10_000))
REQUIRED_LINE = Field(
    text(1000, required=True, numbers=True),
    says("string", "integer", maxLength=1000, pattern=SOLID),
    required=True,
)
PERSON_ID = Field(text(255, numbers=True, trim=True), says("string", "integer", "null", maxLength=255))
URL = Field(text(8192), says("string", "null", maxLength=8192))
TOTAL = Field(_amount(0, False), _says_amount("null", minimum=0, pattern=_TOTAL_TEXT), told=True)
AMOUNT = Field(_amount(None, False), _says_amount("null"), told=True)
REQUIRED_AMOUNT = Field(
    _amount(None, True), _says_amount(pattern=_AMOUNT_TEXT.replace(")?$", ")$")), required=True, told=True
)
CURRENCY = Field(_currency, {"enum": [*sorted(MINOR_UNITS | WITHDRAWN_UNITS), "", None]})
COUNTRY = Field(_country, {"enum": [*_COUNTRIES, "", None]})
EMAIL = Field(_email, says("string", "null", maxLength=320, pattern=_EMAIL, examples=["ann@example.com"]))
SHA256 = Field(_sha256, says("string", "null", pattern=r"^$|^[0-9a-fA-F]{64}$"))
PAST_MOMENT = Field(_past_moment, _says_time(*_NO_TIME), told=True)
REQUIRED_MOMENT = Field(_required_moment, _says_time(), required=True)
