"""What a body may hold, field by field, and the walk that checks one against it and finds every fault there is.

The contract itself stands where it belongs: types of fields in fields.py, the bodies in orders_api.py,
shopper_activity.py and match.py. The same tables make the OpenAPI document. They are plain data that are walked here,
and not models of a library's, since importing one is a fifth of a cold start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tillbook.errors import FieldError, Invalid
from tillbook.json_text import Json

MAX_ERRORS = 1000  # more would make an answer too large to be sent
MAX_NOTES = 50  # more would make a list of requests too large to be read
_ABSENT = object()
_AS_THEY_ARE: dict[str, str] = {}


class Fault(ValueError):
    """What a check raises. `code` is one of FieldError's; `message` is a predicate: it reads after the field's name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Context(NamedTuple):
    """What a check is told and tells: `notes` of what was rounded; when the body was `received` (a stamp)."""

    notes: list[str]
    received: str = "9"


class Field(NamedTuple):
    """A value. `check` takes what was sent and returns what is kept (None: nothing), or raises Fault.

    `schema` says the same as JSON Schema. `told`: the check also takes the field's name and the Context.
    """

    check: Callable[..., Any]
    schema: dict[str, Any]
    required: bool = False
    default: Any = None
    told: bool = False


class Part(NamedTuple):
    """An object inside; with `most`, an array of `least` to `most` of them. May be null unless it is required."""

    shape: Shape
    most: int | None = None
    least: int = 0
    required: bool = False


class Shape(NamedTuple):
    """An object. What it holds besides its fields is dropped, or kept as it is if the shape is `open`.

    `before` turns what was sent into what is checked, and tells which fields were sent by another name, that faults
    and notes are to use. `after` takes both what was checked and what is kept, and raises Fault on what is wrong with
    the whole; it is asked where no field is at fault.
    """

    fields: dict[str, Field | Part]
    open: bool = False
    before: Callable[[dict[str, Json]], tuple[dict[str, Json], dict[str, str]]] | None = None
    after: Callable[[dict[str, Json], dict[str, Json]], None] | None = None


def checked(shape: Shape, value: Json, context: Context, prefix: str = "") -> dict[str, Json]:
    """What is kept of `value`: fields in the shape's order, nulls left out, then what else an open shape keeps.

    Raises Invalid with every fault there is, as `{prefix}.items[0].price`.
    """
    faults: list[FieldError] = []
    found = _object(shape, value, prefix, context, faults)
    if faults:
        raise Invalid(faults[:MAX_ERRORS])
    return found


def bounded(notes: list[str]) -> list[str]:
    """The first MAX_NOTES of them, and how many more there are."""
    return notes if len(notes) <= MAX_NOTES else [*notes[:MAX_NOTES], f"and {len(notes) - MAX_NOTES} more"]


def _object(shape: Shape, value: Json, path: str, context: Context, faults: list[FieldError]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    if not isinstance(value, dict):
        faults.append(FieldError(path, "format_error", "must be an object"))
        return found
    known, absent, sent_as = len(faults), 0, _AS_THEY_ARE
    if shape.before is not None:
        value, sent_as = shape.before(value)
    for name, field in shape.fields.items():
        entry = value.get(name, _ABSENT)
        if entry is _ABSENT:
            absent += 1
            if field.required:
                faults.append(FieldError(_path(path, name), "presence_error", "is required"))
            elif isinstance(field, Field) and field.default is not None:
                found[name] = field.default
            continue
        if isinstance(field, Part):
            entry = _part(field, entry, _path(path, sent_as.get(name, name)), context, faults)
        else:
            try:
                entry = field.check(entry, sent_as.get(name, name), context) if field.told else field.check(entry)
            except Fault as fault:
                faults.append(FieldError(_path(path, sent_as.get(name, name)), fault.code, fault.message))
                continue
        if entry is not None:
            found[name] = entry
    if shape.open and len(value) > len(shape.fields) - absent:
        found |= {name: entry for name, entry in value.items() if name not in shape.fields}
    if shape.after is not None and len(faults) == known:
        try:
            shape.after(value, found)
        except Fault as fault:
            faults.append(FieldError(path, fault.code, fault.message))
    return found


def _part(part: Part, value: Json, path: str, context: Context, faults: list[FieldError]) -> Json:
    if value is None and not part.required:
        return None
    if part.most is None:
        return _object(part.shape, value, path, context, faults)
    if not isinstance(value, list):
        faults.append(FieldError(path, "format_error", "must be an array"))
    elif len(value) > part.most:
        faults.append(FieldError(path, "length_error", "has too many entries"))
    elif len(value) < part.least:
        faults.append(FieldError(path, "presence_error", "is required"))
    else:
        return [_object(part.shape, entry, f"{path}[{i}]", context, faults) for i, entry in enumerate(value)]
    return None


def _path(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
