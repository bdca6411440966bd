"""Field types that both APIs share, for pydantic models. What they raise carries the spec's error codes.

Values come from json_text.loads: numbers are int or Decimal. A null is an absent field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from tillbook import times
from tillbook.amounts import AmountError, parse_amount
from tillbook.codes import ALPHA2_TO_ALPHA3, ALPHA3, MINOR_UNITS
from tillbook.errors import FieldError, Invalid
from tillbook.identity import is_email, is_sha256


def fault(code: str, message: str) -> PydanticCustomError:
    """`message` is a predicate: it reads after the field's name."""
    return PydanticCustomError(code, message.replace("{", "(").replace("}", ")"))


M = TypeVar("M", bound=BaseModel)


MAX_ITEMS = 5000
MAX_ERRORS = 1000  # more would make an answer too large to be sent


@dataclass(frozen=True, slots=True)
class Context:
    """What a validation is told and tells: `notes` of what was rounded; the `latest` stamp that may be sent."""

    notes: list[str]
    latest: str = "9"


class Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


def text(maximum: int, *, required: bool = False, numbers: bool = False, trim: bool = False) -> Callable[[Any], Any]:
    """A string of at most `maximum` characters. `numbers`: integers are kept as their digits."""

    def validate(value: Any) -> Any:
        if value is None:
            if required:
                raise fault("presence_error", "is required")
            return None
        if numbers and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**40:
            value = str(value)
        if not isinstance(value, str):
            raise fault("format_error", "must be a string")
        if trim:
            value = value.strip()
        if required and not value.strip():
            raise fault("presence_error", "is required")
        if len(value) > maximum:
            raise fault("length_error", f"must be at most {maximum} characters")
        return value

    return validate


def _amount(value: Any, info: ValidationInfo, minimum: Decimal | None, required: bool) -> Decimal | None:
    if value is None or value == "":
        if required:
            raise fault("presence_error", "is required")
        return None
    try:
        amount, rounded = parse_amount(value)
    except AmountError as error:
        raise fault(error.code, str(error)) from None
    if minimum is not None and amount < minimum:
        raise fault("range_error", f"must be at least {minimum}")
    if rounded and isinstance(info.context, Context):
        info.context.notes.append(f"{info.field_name} was rounded to {amount}")
    return amount


def _amount_of(minimum: int | None, required: bool) -> Callable[[Any, ValidationInfo], Decimal | None]:
    floor = None if minimum is None else Decimal(minimum)
    return lambda value, info: _amount(value, info, floor, required)


def _currency(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value.strip().upper() not in MINOR_UNITS:
        raise fault("format_error", "must be an ISO 4217 currency code")
    return value.strip().upper()


def _country(value: Any) -> str | None:
    if value is None or value == "":
        return None
    code = value.strip().upper() if isinstance(value, str) else ""
    code = ALPHA2_TO_ALPHA3.get(code, code)
    if code not in ALPHA3:
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


def _moment(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > 64:
        raise fault("time_error", "must be a date or date-time in ISO 8601 format")
    try:
        return times.parse_iso(value)
    except ValueError:
        raise fault("time_error", "must be a date or date-time in ISO 8601 format") from None


def _past_moment(value: Any, info: ValidationInfo) -> str | None:
    moment = _moment(value)
    if moment and isinstance(info.context, Context) and moment > info.context.latest:
        raise fault("time_error", "must not be more than 24 hours ahead")
    return moment


def _present(value: Any) -> Any:
    if value is None or value == "":
        raise fault("presence_error", "is required")
    return value


def order_id(value: Any) -> Any:
    """1 to 255 characters that can also stand in a path: `?`, control characters, `.` and `..` cannot."""
    value = text(255, required=True, numbers=True)(value)
    if value in (".", ".."):
        raise fault("format_error", "must not be . or .., which cannot stand in a path")
    if "?" in value:
        raise fault("format_error", "must not contain ?, which cannot stand in a path")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise fault("format_error", "must not contain control characters")
    return value


# What each type takes, as the OpenAPI document says it. Texts of fields take integers too, and keep their digits.
# Amounts as text may also carry an exponent or white space around them: that is forgiven, not promised.
_AMOUNT_TEXT = r"^([+-]?([0-9]{1,15}(\.[0-9]{0,4})?|\.[0-9]{1,4}))?$"
_TOTAL_TEXT = r"^([+]?([0-9]{1,15}(\.[0-9]{0,4})?|\.[0-9]{1,4}))?$"
# Python's white space is more than that of a schema's \s.
_BLANK = r"\s\u001c-\u001f\u0085"
_CONTROL = r"\u0000-\u001f\u007f-\u009f"
_EMAIL = rf"^$|^[^@{_BLANK}]+@[^@{_BLANK}.]+(\.[^@{_BLANK}.]+)+$"
SOLID = f"[^{_BLANK}]"  # says more than white space


def _shape(*types: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": list(types) if len(types) > 1 else types[0], **more})


def _money(*types: str, minimum: float | None = None, pattern: str = _AMOUNT_TEXT) -> WithJsonSchema:
    low = {"exclusiveMinimum": -1e15} if minimum is None else {"minimum": minimum}
    return _shape("number", "string", *types, **low, exclusiveMaximum=1e15, multipleOf=0.0001, pattern=pattern)


def _time(*others: dict[str, Any]) -> WithJsonSchema:
    forms: list[Any] = [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
    return WithJsonSchema({"anyOf": forms + list(others)})


_NO_TIME: tuple[dict[str, Any], ...] = ({"const": ""}, {"type": "null"})

OrderId = Annotated[
    str,
    PlainValidator(order_id),
    _shape(
        "string",
        "integer",
        maxLength=255,
        pattern=rf"^[^?{_CONTROL}]*[^?\s{_CONTROL}][^?{_CONTROL}]*$",
        **{"not": {"enum": [".", ".."]}},
    ),
]
Line = Annotated[
    str | None, PlainValidator(text(1000, numbers=True)), _shape("string", "integer", "null", maxLength=1000)
]
Text = Annotated[
    str | None, PlainValidator(text(10_000, numbers=True)), _shape("string", "integer", "null", maxLength=10_000)
]
RequiredLine = Annotated[
    str,
    PlainValidator(text(1000, required=True, numbers=True)),
    _shape("string", "integer", maxLength=1000, pattern=SOLID),
]
PersonId = Annotated[
    str | None,
    PlainValidator(text(255, numbers=True, trim=True)),
    _shape("string", "integer", "null", maxLength=255),
]
Url = Annotated[str | None, PlainValidator(text(8192)), _shape("string", "null", maxLength=8192)]
Total = Annotated[Decimal | None, PlainValidator(_amount_of(0, False)), _money("null", minimum=0, pattern=_TOTAL_TEXT)]
Amount = Annotated[Decimal | None, PlainValidator(_amount_of(None, False)), _money("null")]
RequiredAmount = Annotated[
    Decimal, PlainValidator(_amount_of(None, True)), _money(pattern=_AMOUNT_TEXT.replace(")?$", ")$"))
]
Currency = Annotated[str | None, PlainValidator(_currency), WithJsonSchema({"enum": [*sorted(MINOR_UNITS), "", None]})]
Country = Annotated[
    str | None,
    PlainValidator(_country),
    WithJsonSchema({"enum": [*sorted(ALPHA2_TO_ALPHA3), *sorted(ALPHA3), "", None]}),
]
Email = Annotated[
    str | None,
    PlainValidator(_email),
    _shape("string", "null", maxLength=320, pattern=_EMAIL, examples=["ann@example.com"]),
]
Sha256 = Annotated[str | None, PlainValidator(_sha256), _shape("string", "null", pattern=r"^$|^[0-9a-fA-F]{64}$")]
Moment = Annotated[str | None, PlainValidator(_moment), _time(*_NO_TIME)]
PastMoment = Annotated[str | None, PlainValidator(_past_moment), _time(*_NO_TIME)]
RequiredMoment = Annotated[str, PlainValidator(_moment), BeforeValidator(_present), _time()]

_BUILT_IN = {
    "missing": ("presence_error", "is required"),
    "model_type": ("format_error", "must be an object"),
    "model_attributes_type": ("format_error", "must be an object"),
    "dict_type": ("format_error", "must be an object"),
    "list_type": ("format_error", "must be an array"),
    "too_long": ("length_error", "has too many entries"),
    "too_short": ("presence_error", "is required"),
}
_CODES = frozenset({"presence_error", "email_error", "format_error", "time_error", "range_error", "length_error"})


def validated(model: type[M], value: Any, context: Context, prefix: str = "") -> M:
    """The model, with notes on what was rounded added to the context's. Raises Invalid with every fault there is."""
    try:
        return model.model_validate(value, context=context)
    except ValidationError as error:
        raise Invalid(
            [
                _field_error(prefix, e["loc"], e["type"], e["msg"])
                for e in error.errors(include_url=False, include_input=False)[:MAX_ERRORS]
            ]
        ) from None


def _field_error(prefix: str, loc: tuple[int | str, ...], kind: str, message: str) -> FieldError:
    path = prefix
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    if kind in _CODES:
        return FieldError(path, kind, message)
    code, predicate = _BUILT_IN.get(kind, ("format_error", "is not valid"))
    return FieldError(path, code, predicate)
