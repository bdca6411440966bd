"""Validates bodies by pydantic models, and translates pydantic's errors into those of the contract."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from tillbook.contract.limits import MAX_ERRORS, MAX_NOTES
from tillbook.rules.errors import FieldError, Invalid, Malformed
from tillbook.rules.json_text import Json


class Context(NamedTuple):
    """Passed to validators, which append warnings to `notes`.

    `received` is the stamp of the body's receipt; its default sorts after every real stamp. `unchanged` is the metadata
    of the order before an edit; equal metadata gets no warnings.
    """

    notes: list[str]
    received: str = "9"
    unchanged: dict[str, Json] | None = None


class Model(BaseModel):
    """A body, or a part of one. Fields that the model does not know are kept in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def kept(self) -> dict[str, Json]:
        """Returns the known fields in the model's order, without those that are None."""
        return {name: _kept(value) for name, value in self.__dict__.items() if value is not None}


class WithProperties(Model):
    """A body whose unknown fields are custom attributes. They are kept as sent, under `properties`."""

    def kept(self) -> dict[str, Json]:
        return super().kept() | ({"properties": self.model_extra} if self.model_extra else {})


def _kept(value: Any) -> Json:
    if isinstance(value, Model):
        return value.kept()
    return [_kept(entry) for entry in value] if isinstance(value, list) else value


def fault(code: str, message: str) -> PydanticCustomError:
    """Returns the error that a validator raises. `code` and `message` are as in FieldError."""
    return PydanticCustomError(code, message)


def one_fault(code: str, message: str) -> WrapValidator:
    """Replaces all errors within a field by one error of the field."""

    def validate(value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise fault(code, message) from None

    return WrapValidator(validate)


# pydantic's type of an error -> (code, message) of the contract. A message may use values of the error's context.
_FAULTS = {
    "missing": ("presence_error", "is required"),
    "too_short": ("presence_error", "is required"),
    "too_long": ("length_error", "has too many entries"),
    "string_too_long": ("length_error", "must be at most {max_length} characters"),
    "string_type": ("format_error", "must be a string"),
    "literal_error": ("format_error", "must be one of {expected}"),
    "model_type": ("format_error", "must be an object"),
    "list_type": ("format_error", "must be an array"),
    "extra_forbidden": ("format_error", "is not a known field"),
}
M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], value: Json, context: Context, prefix: str = "") -> M:
    """Returns the validated body. Raises Invalid with the first MAX_ERRORS errors, each with its path in the body.

    `prefix` is put before the paths: `{prefix}.items[0].price`.
    """
    try:
        return model.model_validate(value, context=context)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)[:MAX_ERRORS]
    raise Invalid([_field_error(prefix, entry) for entry in faults])


def validated_query(model: type[M], query: dict[str, str]) -> M:
    """Returns the validated query parameters. Raises Malformed, which names the first wrong one."""
    try:
        return validated(model, query, Context([]))
    except Invalid as invalid:
        first = invalid.errors[0]
    raise Malformed(f"{first.field} {first.message}.", first.field)


def _field_error(path: str, entry: Any) -> FieldError:
    for part in entry["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    code, message = _FAULTS.get(entry["type"], (entry["type"], entry["msg"]))
    context = {name: str(value) for name, value in entry.get("ctx", {}).items()}
    if "expected" in context:  # pydantic writes 'a', 'b' or 'c'
        context["expected"] = context["expected"].replace(" or ", ", ").replace("'", "")
    return FieldError(path, code, message.format(**context) if entry["type"] in _FAULTS else message)


def bounded(notes: list[str]) -> list[str]:
    """Returns the first MAX_NOTES notes and, if there are more, a last note with the number of those left out."""
    return notes if len(notes) <= MAX_NOTES else [*notes[:MAX_NOTES], f"and {len(notes) - MAX_NOTES} more"]
