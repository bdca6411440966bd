"""Exact JSON: numbers are read and written as int or Decimal, never as float."""

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
                # Python's parser would silently take the last value, which may not be the one that the client meant.
                named = "a key" if "@" in key else f"the key {key[:64]!r}"  # a possible e-mail address is not shown
                raise Malformed(f"The body is not valid JSON: {named} appears twice in one object.")
            seen.add(key)
    return result


MAX_DEPTH = 100
# Possessive quantifiers store no backtracking points, whose memory would be 100 times the size of a long string.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def _check_depth(text: str) -> None:
    # This limit is lower than those of Python, which differ between versions and between parsing and writing.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            raise Malformed(f"The body is nested more than {MAX_DEPTH} levels deep.")


_decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_object, strict=True)


def loads(body: bytes | str, *, ours: bool = False) -> Json:
    """Parses JSON. `ours` skips the check of the depth, for text that this code wrote from checked content.

    Raises Malformed if the text is not UTF-8 or not JSON, repeats a key, has a lone surrogate or a number out of range,
    or is nested too deeply.
    """
    try:
        text = body.decode() if isinstance(body, bytes) else body
        if text.startswith("\ufeff"):
            text = text[1:]
        if not ours:
            _check_depth(text)
        value = _decoder.decode(text)
        if "\\u" in text:
            dumps(value).encode()  # fails for a lone surrogate, which only an escape can produce
        return value
    except UnicodeDecodeError:
        raise Malformed("The body is not valid UTF-8.") from None
    except UnicodeEncodeError:
        raise Malformed("The body is not valid JSON: a lone surrogate is not a character.") from None
    except json.JSONDecodeError as error:
        raise Malformed(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except (ValueError, ArithmeticError):  # an int of thousands of digits, or an exponent that Decimal cannot hold
        raise Malformed("The body is not valid JSON: a number is out of range.") from None


def dumps(value: Json, *, canonical: bool = False) -> str:
    """Returns compact JSON. `canonical` sorts the keys and writes numbers by value: 1, 1.0 and 1e0 give the same text.

    The canonical form is hashed into the identities of events, so it must never change (identity.py).
    """
    writers = _CANONICAL if canonical else _PLAIN
    return writers[type(value)](value)


class _Writers(dict[type, Callable[[Any], str]]):
    """Writers by exact type, so that texts and numbers are written directly in C. A subclass gets its base's writer."""

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
    if digits.isdecimal():  # false if the text has an exponent
        return _number(text[0] == "-", digits, -len(fraction))
    sign, parts, exponent = value.as_tuple()
    return _number(sign, "".join(map(str, parts)), int(exponent))


def _number(sign: int, digits: str, exponent: int) -> str:
    """Writes a number by value: 100, 100.0 and 1e2 are all written as "1e2"."""
    stripped = digits.rstrip("0")
    exponent += len(digits) - len(stripped)
    stripped = stripped.lstrip("0")
    return f"{'-' if sign else ''}{stripped}e{exponent}" if stripped else "0"


_Writer = Callable[[Any], str]
_WORDS: dict[type, _Writer] = {type(None): lambda _: "null", bool: lambda value: "true" if value else "false"}
_AS_SENT: dict[type, _Writer] = {str: _quoted, int: int.__repr__, Decimal: str}
_BY_VALUE: dict[type, _Writer] = {str: _quoted, int: _canonical_int, Decimal: _canonical_decimal}
_PLAIN = _Writers(_WORDS | _AS_SENT | {dict: _members, list: _entries, tuple: _entries})
_CANONICAL = _Writers(_WORDS | _BY_VALUE | {dict: _sorted_members, list: _canonical_entries, tuple: _canonical_entries})
