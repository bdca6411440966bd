"""Walking a body along its shape: every fault is found, and what is kept is in the shape's order."""

from __future__ import annotations

from typing import Any

import pytest

from tillbook.errors import Invalid
from tillbook.shapes import MAX_ERRORS, Context, Fault, Field, Part, Shape, checked


def _even(value: Any) -> Any:
    if value is not None and (not isinstance(value, int) or value % 2):
        raise Fault("format_error", "must be even")
    return value


def _halved(value: Any, name: str, context: Context) -> Any:
    context.notes.append(f"{name} was halved")
    return _even(value) // 2


def _not_both(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    if {"a", "b"} <= kept.keys():
        raise Fault("presence_error", f"must not have both of {len(sent)}")


EVEN = Field(_even, {})
LEAF = Shape({"b": EVEN, "a": EVEN}, after=_not_both)
OPEN = Shape({"n": Field(_even, {}, required=True), "m": Field(_even, {}, default=4)}, open=True)
TREE = Shape(
    {
        "leaf": Part(LEAF),
        "many": Part(OPEN, most=3),
        "some": Part(LEAF, least=1, most=2, required=True),
        "half": Field(_halved, {}, told=True),
    },
    before=lambda value: ({"some": [{}]} | value, {}),
)
RENAMED = Shape(
    {"leaf": Part(LEAF), "even": EVEN, "half": Field(_halved, {}, told=True)},
    before=lambda value: ({name.lower(): entry for name, entry in value.items()}, {n.lower(): n for n in value}),
)


def kept(value: Any, shape: Shape = TREE) -> list[Any]:
    return list(checked(shape, value, Context([])).items())


def faults(value: Any, shape: Shape = TREE, prefix: str = "") -> list[tuple[str, str, str]]:
    with pytest.raises(Invalid) as found:
        checked(shape, value, Context([]), prefix)
    return [tuple(error) for error in found.value.errors]  # type: ignore[misc]


def test_keeps_fields_in_the_shape_s_order_and_no_nulls() -> None:
    assert kept({"a": None, "b": 2, "other": 1}, LEAF) == [("b", 2)]
    assert kept({"some": [{"a": 2}], "leaf": {"a": 4}}) == [("leaf", {"a": 4}), ("some", [{"a": 2}])]


def test_an_open_shape_keeps_what_else_was_sent_behind_its_fields() -> None:
    assert kept({"x": None, "n": 2, "w": [1]}, OPEN) == [("n", 2), ("m", 4), ("x", None), ("w", [1])]


def test_a_default_stands_for_what_is_absent_and_not_for_null() -> None:
    assert kept({"n": 2, "m": None}, OPEN) == [("n", 2)]


def test_parts_may_be_null_unless_they_are_required() -> None:
    assert kept({"leaf": None, "many": None}) == [("some", [{}])]
    assert faults({"some": None}) == [("some", "format_error", "must be an array")]


def test_tells_every_fault_by_its_path_in_the_order_of_the_shape() -> None:
    sent = {"half": 3, "many": [{"n": 1}, {}, 5], "leaf": {"a": 1, "b": "x"}, "some": []}
    assert faults(sent, prefix="orders[3]") == [
        ("orders[3].leaf.b", "format_error", "must be even"),
        ("orders[3].leaf.a", "format_error", "must be even"),
        ("orders[3].many[0].n", "format_error", "must be even"),
        ("orders[3].many[1].n", "presence_error", "is required"),
        ("orders[3].many[2]", "format_error", "must be an object"),
        ("orders[3].some", "presence_error", "is required"),
        ("orders[3].half", "format_error", "must be even"),
    ]


@pytest.mark.parametrize("body", [None, [], "x", 1, True])
def test_a_body_is_an_object(body: Any) -> None:
    assert faults(body) == [("", "format_error", "must be an object")]


def test_of_an_array_that_is_too_long_nothing_is_looked_at() -> None:
    assert faults({"many": [{"n": 1}] * 4}) == [("many", "length_error", "has too many entries")]


def test_the_whole_is_asked_about_only_where_its_fields_are_right() -> None:
    assert faults({"leaf": {"a": 2, "b": 2}}) == [("leaf", "presence_error", "must not have both of 2")]
    assert faults({"leaf": {"a": 1, "b": 2}}) == [("leaf.a", "format_error", "must be even")]


def test_a_check_may_be_told_the_field_and_tell_notes() -> None:
    context = Context([])
    assert checked(TREE, {"half": 6}, context)["half"] == 3
    assert context.notes == ["half was halved"]


def test_faults_and_notes_name_what_was_sent() -> None:
    assert faults({"LEAF": {"a": 1}, "Even": 3}, RENAMED) == [
        ("LEAF.a", "format_error", "must be even"),
        ("Even", "format_error", "must be even"),
    ]
    context = Context([])
    assert checked(RENAMED, {"HALF": 6, "even": 2}, context) == {"even": 2, "half": 3}
    assert context.notes == ["HALF was halved"]


def test_faults_are_told_up_to_a_limit() -> None:
    many = Shape({"many": Part(OPEN, most=5000)})
    assert len(faults({"many": [{}] * 5000}, many)) == MAX_ERRORS
