"""Parsing and writing of JSON without loss."""

from __future__ import annotations

import json
import re
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillbook.rules.errors import Malformed
from tillbook.rules.json_text import _STRING, MAX_DEPTH, dumps, loads

SCALARS = st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))


def test_numbers_are_read_without_a_float() -> None:
    value = loads("[12345678901234567.89, 1e-7, 19.989999999999998, 5, 1E400]")
    assert value == [
        Decimal("12345678901234567.89"),
        Decimal("1e-7"),
        Decimal("19.989999999999998"),
        5,
        Decimal("1E+400"),
    ]
    assert not any(isinstance(number, float) for number in value)


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "{",
        '{"a":1',
        "[1,]",
        "{'a':1}",
        "nul",
        "NaN",
        "[Infinity]",
        "[-Infinity]",
        '{"a":1}{',
        "01",
        "1.",
        '"\x01"',
        '"a\nb"',
        '{"a":1,"a":2}',
        '{"x":[{"b":1,"c":2,"b":1}]}',
        '"\\ud800"',
        '{"\\udfff":1}',
        '["\\ud83d"]',
        b"\xff",
        b'"\xc3"',
        b'"\xed\xa0\x80"',
    ],
)
def test_invalid_json_duplicate_keys_and_lone_surrogates_are_malformed(body: str | bytes) -> None:
    with pytest.raises(Malformed):
        loads(body)


@pytest.mark.parametrize("depth", [1, MAX_DEPTH, MAX_DEPTH + 1, 1_000, 5_000, 200_000])
@pytest.mark.parametrize("brackets", ["[]", '{"a":}'])
def test_nested_text_up_to_the_limit_can_be_written_again_and_deeper_text_is_refused(depth: int, brackets: str) -> None:
    """Parsed text is written again (hashed, queued, packed), so text that cannot be written must not be read."""
    opening, closing = brackets[:-1], brackets[-1]
    body = opening * depth + "1" + closing * depth
    if depth > MAX_DEPTH:
        with pytest.raises(Malformed):
            loads(body)
    else:
        assert dumps({"orders": [{"body": loads(body)}]}, canonical=True)


@given(st.text(alphabet='"\\\\[]{}a\n\u0131', max_size=40))
def test_strings_are_found_as_a_backtracking_pattern_finds_them(text: str) -> None:
    """Strings without an end and truncated escapes are included."""
    plain = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
    assert [found.span() for found in _STRING.finditer(text)] == [found.span() for found in plain.finditer(text)]


def test_checking_the_depth_takes_little_memory() -> None:
    body = '[["' + "x" * 2_000_000 + '"],' + "[]," * MAX_DEPTH + "1]"
    tracemalloc.start()
    try:
        loads(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(body)


@pytest.mark.parametrize("number", ["9" * 5_000, "1e99999999999999999999", "-" + "9" * 100_000])
def test_numbers_of_too_many_digits_are_malformed(number: str) -> None:
    with pytest.raises(Malformed):
        loads(f'{{"x":{number}}}')


def test_a_duplicate_key_is_named_unless_it_may_be_an_email_address() -> None:
    with pytest.raises(Malformed, match="the key 'total' appears twice"):
        loads('{"total":1,"total":2}')
    with pytest.raises(Malformed, match="a key appears twice"):
        loads('{"x":{"ann@example.com":1,"ann@example.com":2}}')


def test_a_byte_order_mark_is_not_part_of_the_text() -> None:
    assert loads(b"\xef\xbb\xbf{}") == {}
    assert loads("\ufeff[1]") == [1]


def test_surrogate_pairs_are_one_character() -> None:
    assert loads('"\\ud83d\\ude00"') == "😀"


@given(JSON)
def test_written_text_reads_the_same(value: Any) -> None:
    assert loads(dumps(value)) == value
    assert json.loads(dumps(value), parse_float=Decimal) == value


def expected_text(value: Any, canonical: bool) -> str:
    """The expected text, by a simple and slow implementation."""
    if isinstance(value, dict):
        names = sorted(value) if canonical else list(value)
        return (
            "{" + ",".join(f"{expected_text(n, canonical)}:{expected_text(value[n], canonical)}" for n in names) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ",".join(expected_text(entry, canonical) for entry in value) + "]"
    if canonical and isinstance(value, int | Decimal) and not isinstance(value, bool):
        sign, digits, exponent = Decimal(value).as_tuple()
        number = "".join(map(str, digits)).lstrip("0")
        while number.endswith("0"):
            number, exponent = number[:-1], int(exponent) + 1
        return f"{'-' * sign}{number}e{exponent}" if number else "0"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


@given(JSON | st.lists(JSON).map(tuple), st.booleans())
def test_the_written_text_is_the_expected_text(value: Any, canonical: bool) -> None:
    assert dumps(value, canonical=canonical) == expected_text(value, canonical)


class Word(str):
    """A string subclass, like the member of an enumeration."""


@pytest.mark.parametrize("canonical", [False, True])
def test_a_subclass_of_str_is_written_as_a_string_and_other_types_are_refused(canonical: bool) -> None:
    assert dumps({Word("a"): Word("b")}, canonical=canonical) == '{"a":"b"}'
    for other in (1.5, b"a", {1}, float("nan"), object()):
        for value in (other, [other], {"a": other}):
            with pytest.raises(TypeError, match="has no JSON form"):
                dumps(value, canonical=canonical)


@given(JSON)
def test_the_canonical_form_is_stable(value: Any) -> None:
    canonical = dumps(value, canonical=True)
    assert dumps(loads(canonical), canonical=True) == canonical


@pytest.mark.parametrize(
    ("spellings", "form"),
    [
        (("1", "1.0", "1e0", "10e-1", "0.1e1", "1.000"), "1e0"),
        (("100", "100.0", "1e2", "1E+2"), "1e2"),
        (("22.99", "22.990", "2299e-2"), "2299e-2"),
        (("0", "0.0", "-0", "-0.0", "0e9"), "0"),
        (("-1.5", "-15e-1"), "-15e-1"),
    ],
)
def test_canonical_numbers_depend_on_their_value_only(spellings: tuple[str, ...], form: str) -> None:
    assert {dumps(loads(s), canonical=True) for s in spellings} == {form}


def test_canonical_keys_are_sorted_and_strings_unescaped() -> None:
    assert (
        dumps(loads('{"b": "\\u00e9", "a": {"d": true, "c": [null]}}'), canonical=True)
        == '{"a":{"c":[null],"d":true},"b":"é"}'
    )


def test_strings_and_booleans_are_not_numbers_in_the_canonical_form() -> None:
    forms = {dumps(loads(f"[{value}]"), canonical=True) for value in ("1", '"1"', "true", "null", "[1]")}
    assert len(forms) == 5
