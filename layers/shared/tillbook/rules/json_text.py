"""JSON read and written exactly: numbers are int or Decimal, never float."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring as _quoted
from typing import Any

from tillbook.rules.errors import Malformed

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
                named = "a key" if "@" in key else f"the key {key[:64]!r}"  # what may be an address is not kept
                raise Malformed(f"The body is not valid JSON: {named} stands twice in one object.")
            seen.add(key)
    return result


MAX_DEPTH = 100
# Possessive: what was matched is never tried again, and so not remembered; a long string would take 100 times its size.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
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
    writers = _CANONICAL if canonical else _PLAIN
    return writers[type(value)](value)


class _Writers(dict[type, Callable[[Any], str]]):
    """By exact type, so that text and numbers go straight to what is written in C; a subclass as what it is of."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        for base in kind.__mro__:
            if base in self:
                return self[base]
        raise TypeError(f"{kind.__name__} has no JSON form")


def _members(value: dict[str, Json]) -> str:
    return f"{{{','.join([f'{_quoted(k)}:{_PLAIN[type(v)](v)}' for k, v in value.items()])}}}"


def _entries(value: list[Json] | tuple[Json, ...]) -> str:
    return f"[{','.join([_PLAIN[type(v)](v) for v in value])}]"


def _sorted_members(value: dict[str, Json]) -> str:
    return f"{{{','.join([f'{_quoted(k)}:{_CANONICAL[type(value[k])](value[k])}' for k in sorted(value)])}}}"


def _canonical_entries(value: list[Json] | tuple[Json, ...]) -> str:
    return f"[{','.join([_CANONICAL[type(v)](v) for v in value])}]"


def _canonical_int(value: int) -> str:
    return _number(value < 0, str(abs(value)), 0)


def _canonical_decimal(value: Decimal) -> str:
    text = str(value)
    whole, _, fraction = text.lstrip("-").partition(".")
    digits = whole + fraction
    if digits.isdecimal():  # not so with an exponent
        return _number(text[0] == "-", digits, -len(fraction))
    sign, parts, exponent = value.as_tuple()
    return _number(sign, "".join(map(str, parts)), int(exponent))


def _number(sign: int, digits: str, exponent: int) -> str:
    """By value: 100, 100.0 and 1e2 are all "1e2"."""
    stripped = digits.rstrip("0")
    exponent += len(digits) - len(stripped)
    stripped = stripped.lstrip("0")
    return f"{'-' if sign else ''}{stripped}e{exponent}" if stripped else "0"


_Writer = Callable[[Any], str]
_WORDS: dict[type, _Writer] = {type(None): lambda _: "null", bool: lambda value: "true" if value else "false"}
_TEXTS: dict[type, _Writer] = {str: _quoted, int: int.__repr__, Decimal: str}
_BY_VALUE: dict[type, _Writer] = {str: _quoted, int: _canonical_int, Decimal: _canonical_decimal}
_PLAIN = _Writers(_WORDS | _TEXTS | {dict: _members, list: _entries, tuple: _entries})
_CANONICAL = _Writers(_WORDS | _BY_VALUE | {dict: _sorted_members, list: _canonical_entries, tuple: _canonical_entries})
