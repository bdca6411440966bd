"""Types of fields that the models of both APIs share.

They use pydantic's own constraints where these exist, and functions of this module for rules of the contract: amounts,
moments, codes, e-mail addresses, ids that identify nobody. Values are the result of json_text.loads, so numbers are int
or Decimal. A null is an absent field.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from tillbook.contract.limits import AHEAD_HOURS
from tillbook.contract.validation import Context, fault, one_fault
from tillbook.rules import times
from tillbook.rules.addresses import says_something
from tillbook.rules.amounts import AmountError, parse_amount
from tillbook.rules.codes import ALPHA2_TO_ALPHA3, ALPHA3, MINOR_UNITS, WITHDRAWN_COUNTRIES, WITHDRAWN_UNITS
from tillbook.rules.identity import is_email, is_nobody, is_sha256

Info = ValidationInfo[Context]

# ----------------------------------------------------------------- texts


def digits(value: Any) -> Any:
    """Returns an integer as text, since text fields accept integers too; as in JSON Schema, 5.0 is one.

    Returns other values unchanged.
    """
    if isinstance(value, Decimal) and value.adjusted() < 255 and value == value.to_integral_value():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def trimmed(value: Any) -> Any:
    value = digits(value)
    return value.strip() if isinstance(value, str) else value


def unless_false(value: Any, info: Info) -> Any:
    """Treats false as absent in fields where that is harmless: PHP returns false for a missing value."""
    if value is not False:
        return value
    info.context.notes.append(f"{info.field_name} false was ignored")
    return None


def present(value: Any) -> Any:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise fault("presence_error", "is required")
    return value


def unless(earlier: str, then: Callable[[Any], Any] = lambda value: value) -> BeforeValidator:
    """Ignores a field if the field `earlier` was sent; otherwise passes its value through `then`.

    An invalid value of `earlier` counts as sent, although pydantic leaves it out of `info.data`.
    """

    def validate(value: Any, info: Info) -> Any:
        return then(value) if info.data.get(earlier, "wrong") is None else None

    return BeforeValidator(validate)


def one_of(*words: str) -> AfterValidator:
    def validate(value: str) -> str:
        if value not in words:
            raise fault("format_error", f"must be one of {', '.join(words)}")
        return value

    return AfterValidator(validate)


def _fits_a_path(value: str) -> str:
    if value in (".", ".."):
        raise fault("format_error", "must not be . or .., which a URL path cannot carry")
    if "?" in value:
        raise fault("format_error", "must not contain ?, which a URL path cannot carry")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise fault("format_error", "must not contain control characters")
    return value


def _somebody(value: str, info: Info) -> str | None:
    if is_nobody(value):
        info.context.notes.append(nobody_note(info.field_name, value))
        return None
    return value or None


def nobody_note(name: str | None, value: str) -> str:
    return f"{name} {value} identifies nobody and was ignored"


# --------------------------------------------------------------- amounts


def _amount(value: Any, info: Info) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        amount, rounded = parse_amount(value)
    except AmountError as error:
        raise fault(error.code, str(error)) from None
    if rounded:
        info.context.notes.append(f"{info.field_name} was rounded to {amount}")
    return amount


def _total(value: Any, info: Info) -> Decimal | None:
    amount = _amount(value, info)
    if amount is not None and amount < 0:
        raise fault("range_error", "must be at least 0")
    return amount


def _required(check: Callable[..., Any]) -> Callable[[Any, Info], Any]:
    def validate(value: Any, info: Info) -> Any:
        if value is None or value == "":
            raise fault("presence_error", "is required")
        return check(value, info)

    return validate


# ----------------------------------------------------------------- codes


def _code(value: Any) -> str:
    """The code in upper case; empty if the value is not ASCII text, since upper() makes I of \u0131, SS of \u00df."""
    code = value.strip() if isinstance(value, str) else ""
    return code.upper() if code.isascii() else ""


def currency(value: Any) -> str | None:
    if value is None or value == "":
        return None
    code = _code(value)
    if code not in MINOR_UNITS and code not in WITHDRAWN_UNITS:
        raise fault("format_error", "must be an ISO 4217 currency code")
    return code


def country(value: Any) -> str | None:
    """The alpha-3 code of an alpha-2 or alpha-3 code; None for an empty value."""
    if value is None or value == "":
        return None
    code = _code(value)
    code = ALPHA2_TO_ALPHA3.get(code) or WITHDRAWN_COUNTRIES.get(code, code)
    if code not in ALPHA3 and code not in WITHDRAWN_COUNTRIES.values():
        raise fault("format_error", "must be an ISO 3166 country code of two or three letters")
    return code


def _email(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not is_email(value):
        raise fault("email_error", "must be an e-mail address")
    return value


def _sha256(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not is_sha256(value.strip()):
        raise fault("format_error", "must be a SHA-256 hash of 64 hexadecimal digits")
    return value.strip().lower()


# --------------------------------------------------------------- moments


def _moment(value: Any, _: Info) -> str | None:
    """The moment as a stamp (rules.times)."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and len(value) <= 64:
            return times.parse_iso(value)
    except ValueError:
        pass
    raise fault("time_error", "must be a date or date-time in ISO 8601 format")


def _past_moment(value: Any, info: Info) -> str | None:
    moment, received = _moment(value, info), info.context.received
    # Without a time of receipt, `received` is later than every moment, and cannot be shifted.
    if moment and moment > received and moment > times.shift(received, hours=AHEAD_HOURS):
        raise fault("time_error", f"must not be more than {AHEAD_HOURS} hours ahead")
    return moment


# --------------------------------------- types, with their JSON Schema

# The code also accepts amounts with an exponent or surrounding white space; the schema does not.
_AMOUNT_TEXT = r"^([+-]?([0-9]{1,15}(\.[0-9]{0,40})?|\.[0-9]{1,40}))?$"
_TOTAL_TEXT = r"^([+]?([0-9]{1,15}(\.[0-9]{0,40})?|\.[0-9]{1,40}))?$"
# Python's white space includes characters that a schema's \s does not.
BLANK = r"\s\u001c-\u001f\u0085"
NOT_BLANK = f"[^{BLANK}]"  # a text with at least one character that is not white space
_CONTROL = r"\u0000-\u001f\u007f-\u009f"
_ORDER_ID = rf"^[^?{_CONTROL}]*[^?\s{_CONTROL}][^?{_CONTROL}]*$"
# The code accepts e-mail addresses that contain format characters, and removes these; the schema does not accept them.
_INVISIBLE = BLANK + (
    r"\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb"
)
# The code accepts quotes and brackets around an e-mail address, and removes these; the schema does not accept them.
_MAIL_CHARACTER = rf"[^@{_INVISIBLE}\u0000-\u001f\u007f-\u009f<>()\[\]\u0022'`\\,;:.“”„‘’‚«»‹›]"
_EMAIL = rf"^$|^{_MAIL_CHARACTER}([.'`]?{_MAIL_CHARACTER})*@{_MAIL_CHARACTER}+(\.{_MAIL_CHARACTER}+)+$"
_COUNTRIES = sorted(ALPHA2_TO_ALPHA3 | WITHDRAWN_COUNTRIES) + sorted(ALPHA3.union(WITHDRAWN_COUNTRIES.values()))


def schema(*types: str, **more: Any) -> WithJsonSchema:
    """Describes a field in the OpenAPI document, since pydantic cannot know which values a validator accepts."""
    return WithJsonSchema({"type": list(types) if len(types) > 1 else types[0], **more})


def schema_or_false(*types: str, **more: Any) -> WithJsonSchema:
    """Describes a field that also accepts false, but not true."""
    return schema(*types, "boolean", **more, **{"not": {"const": True}})


def _amount_schema(*types: str, minimum: int | None = None, pattern: str = _AMOUNT_TEXT) -> WithJsonSchema:
    low = {"exclusiveMinimum": -1e15} if minimum is None else {"minimum": minimum}
    return schema("number", "string", *types, **low, exclusiveMaximum=1e15, pattern=pattern)


def _moment_schema(*others: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "string", "format": f} for f in ("date-time", "date")] + list(others)})


# The last of several BeforeValidators runs first. A length must directly follow its type: if a validator were between
# them, pydantic would apply the length to values of any type.
OrderId = Annotated[
    str, Field(max_length=255), BeforeValidator(present), BeforeValidator(digits), AfterValidator(_fits_a_path),
    schema("string", "integer", maxLength=255, pattern=_ORDER_ID, **{"not": {"enum": [".", ".."]}}),
]  # fmt: skip
RequiredLine = Annotated[
    str, Field(max_length=1000), BeforeValidator(present), BeforeValidator(digits),
    schema("string", "integer", maxLength=1000, pattern=NOT_BLANK),
]  # fmt: skip
Line = Annotated[
    Annotated[str, Field(max_length=1000), BeforeValidator(digits)] | None,
    BeforeValidator(unless_false), schema_or_false("string", "integer", "null", maxLength=1000),
]  # fmt: skip
Text = Annotated[
    Annotated[str, Field(max_length=10_000), BeforeValidator(digits)] | None,
    BeforeValidator(unless_false), schema_or_false("string", "integer", "null", maxLength=10_000),
]  # fmt: skip
PersonId = Annotated[
    Annotated[str, Field(max_length=255), BeforeValidator(trimmed), AfterValidator(_somebody)] | None,
    BeforeValidator(unless_false), schema_or_false("string", "integer", "null", maxLength=255),
]  # fmt: skip
Url = Annotated[
    Annotated[str, Field(max_length=8192)] | None,
    BeforeValidator(unless_false), schema_or_false("string", "null", maxLength=8192),
]  # fmt: skip
Total = Annotated[Decimal | None, PlainValidator(_total), _amount_schema("null", minimum=0, pattern=_TOTAL_TEXT)]
Amount = Annotated[Decimal | None, PlainValidator(_amount), _amount_schema("null")]
RequiredAmount = Annotated[
    Decimal, PlainValidator(_required(_amount)), _amount_schema(pattern=_AMOUNT_TEXT.replace(")?$", ")$"))
]
Currency = Annotated[
    str | None, PlainValidator(currency), WithJsonSchema({"enum": [*sorted(MINOR_UNITS | WITHDRAWN_UNITS), "", None]})
]
Country = Annotated[str | None, PlainValidator(country), WithJsonSchema({"enum": [*_COUNTRIES, "", None]})]
Email = Annotated[
    str | None, PlainValidator(_email),
    schema("string", "null", maxLength=320, pattern=_EMAIL, examples=["ann@example.com"]),
]  # fmt: skip
Sha256 = Annotated[str | None, PlainValidator(_sha256), schema("string", "null", pattern=r"^$|^[0-9a-fA-F]{64}$")]
PastMoment = Annotated[str | None, PlainValidator(_past_moment), _moment_schema({"const": ""}, {"type": "null"})]
Moment = Annotated[str | None, PlainValidator(_moment)]
RequiredMoment = Annotated[str, PlainValidator(_required(_moment)), _moment_schema()]
# WordPress's get_the_terms returns false if there are no terms.
Texts = Annotated[
    Annotated[list[str], one_fault("format_error", "must be an array of strings")] | None,
    BeforeValidator(unless_false), schema_or_false("array", "null", items={"type": "string"}),
]  # fmt: skip
Part = TypeVar("Part")
# An empty address counts as absent (rules.addresses.says_something).
Address = Annotated[Part | None, BeforeValidator(lambda value: value if says_something(value) else None)]
