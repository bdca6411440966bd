"""JSON read and written exactly: numbers are int or Decimal, never float."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from tillbook.errors import Malformed

Json = Any


def _no_constant(name: str) -> None:
    raise Malformed(f"The body is not valid JSON: {name} is not a JSON number.")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                # A second value would silently win over the first: an order must not hang on that.
                raise Malformed(f"The body is not valid JSON: the key {key[:64]!r} stands twice in one object.")
            seen.add(key)
    return result


MAX_DEPTH = 100
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def _check_depth(text: str) -> None:
    # Told here and not by a RecursionError, whose limit differs between Pythons and between reading and writing.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            raise Malformed(f"The body is nested more than {MAX_DEPTH} levels deep.")


_decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_object, strict=True)


def loads(body: bytes | str, *, ours: bool = False) -> Json:
    """`ours` is what this code wrote: it was checked when it came in, and wraps it a few levels deeper.

    Raises Malformed: not UTF-8, not JSON, a key that stands twice, a lone surrogate, nested too deeply."""
    try:
        text = body.decode() if isinstance(body, bytes) else body
        if text.startswith("\ufeff"):
            text = text[1:]
        if not ours:
            _check_depth(text)
        value = _decoder.decode(text)
        if "\\u" in text:
            dumps(value).encode()  # lone surrogates can come only from escapes
        return value
    except UnicodeDecodeError:
        raise Malformed("The body is not valid UTF-8.") from None
    except UnicodeEncodeError:
        raise Malformed("The body is not valid JSON: a lone surrogate is not a character.") from None
    except json.JSONDecodeError as error:
        raise Malformed(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except (ValueError, ArithmeticError):  # an int of thousands of digits, an exponent out of all bounds
        raise Malformed("The body is not valid JSON: a number is out of range.") from None


def dumps(value: Json, *, canonical: bool = False) -> str:
    """Compact JSON. `canonical` sorts the keys and writes numbers by value (1, 1.0 and 1e0 alike).

    The canonical form feeds the identity of events and is frozen: see identity.py.
    """
    out: list[str] = []
    _write(value, out.append, canonical)
    return "".join(out)


def _write(value: Json, put: Any, canonical: bool) -> None:
    if isinstance(value, str):
        put(encode_basestring(value))
    elif value is None:
        put("null")
    elif value is True:
        put("true")
    elif value is False:
        put("false")
    elif isinstance(value, int):
        put(_number(value < 0, str(abs(value)), 0) if canonical else str(value))
    elif isinstance(value, Decimal):
        if canonical:
            sign, digits, exponent = value.as_tuple()
            put(_number(sign, "".join(map(str, digits)), int(exponent)))
        else:
            put(str(value))
    elif isinstance(value, dict):
        comma = "{"
        for key in sorted(value) if canonical else value:
            put(comma)
            put(encode_basestring(key))
            put(":")
            _write(value[key], put, canonical)
            comma = ","
        put("}" if value else "{}")
    elif isinstance(value, list | tuple):
        comma = "["
        for item in value:
            put(comma)
            _write(item, put, canonical)
            comma = ","
        put("]" if value else "[]")
    else:
        raise TypeError(f"{type(value).__name__} has no JSON form")


def _number(sign: int, digits: str, exponent: int) -> str:
    """By value: 100, 100.0 and 1e2 are all "1e2"."""
    stripped = digits.lstrip("0").rstrip("0")
    if not stripped:
        return "0"
    exponent += len(digits) - len(digits.rstrip("0"))
    return f"{'-' if sign else ''}{stripped}e{exponent}"
