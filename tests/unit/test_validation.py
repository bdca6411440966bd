"""Validation of a body against a model: faults are reported in the contract's words, with the path of their field."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field, field_validator

from tillbook.contract import fields
from tillbook.contract.limits import MAX_ERRORS, MAX_NOTES
from tillbook.contract.validation import Context, Model, WithProperties, bounded, fault, validated, validated_query
from tillbook.rules.errors import Invalid, Malformed


class Leaf(Model):
    name: fields.RequiredLine
    amount: fields.Amount = None
    tags: fields.Texts | None = None

    @field_validator("amount")
    @classmethod
    def _is_not_seven(cls, amount: Any) -> Any:
        if amount == 7:
            raise fault("range_error", "must not be 7")
        return amount


class Tree(WithProperties):
    leaf: Leaf | None = None
    many: Annotated[list[Leaf], Field(max_length=3)] | None = None
    some: Annotated[list[Leaf], Field(min_length=1)] | None = None
    who: fields.PersonId = None


def faults(value: Any, prefix: str = "") -> list[tuple[str, str, str]]:
    """The faults of a body: (path, code, message)."""
    with pytest.raises(Invalid) as found:
        validated(Tree, value, Context([]), prefix)
    return [tuple(error) for error in found.value.errors]  # type: ignore[misc]


def kept(value: Any) -> list[Any]:
    """The fields of a body that are kept, as (name, value), in their order."""
    return list(validated(Tree, value, Context([])).kept().items())


def test_fields_are_kept_in_the_model_s_order_and_without_nulls() -> None:
    assert kept({"who": "7", "many": [{"other": 1, "amount": None, "name": 5}], "leaf": None}) == [
        ("many", [{"name": "5"}]),
        ("who", "7"),
    ]


def test_custom_attributes_are_kept_as_they_were_sent() -> None:
    """Custom attributes are the fields that the model does not have. One of them may be named `properties`."""
    assert kept({"x": None, "who": "7", "properties": {"w": [1]}}) == [
        ("who", "7"),
        ("properties", {"x": None, "properties": {"w": [1]}}),
    ]


def test_every_fault_is_reported_by_its_path_in_the_order_of_the_model() -> None:
    sent = {
        "who": 3.5,
        "many": [{"name": " "}, {}, 5],
        "leaf": {"name": "x", "amount": 7, "tags": ["a", 1]},
        "some": [],
    }
    assert faults(sent, prefix="orders[3]") == [
        ("orders[3].leaf.amount", "range_error", "must not be 7"),
        ("orders[3].leaf.tags", "format_error", "must be an array of strings"),
        ("orders[3].many[0].name", "presence_error", "is required"),
        ("orders[3].many[1].name", "presence_error", "is required"),
        ("orders[3].many[2]", "format_error", "must be an object"),
        ("orders[3].some", "presence_error", "is required"),
        ("orders[3].who", "format_error", "must be a string"),
    ]


@pytest.mark.parametrize("body", [None, [], "x", 1, True])
def test_a_body_must_be_an_object(body: Any) -> None:
    assert faults(body) == [("", "format_error", "must be an object")]


def test_lengths_and_lists_are_checked() -> None:
    assert faults({"many": [{"name": "x"}] * 4}) == [("many", "length_error", "has too many entries")]
    assert faults({"many": 5}) == [("many", "format_error", "must be an array")]
    assert faults({"leaf": {"name": "x" * 1001}}) == [("leaf.name", "length_error", "must be at most 1000 characters")]


def test_faults_are_reported_up_to_a_limit() -> None:
    assert len(faults({"some": [{}] * 5000})) == MAX_ERRORS


def test_notes_are_bounded() -> None:
    notes = bounded([f"note {n}" for n in range(MAX_NOTES + 5)])
    assert (len(notes), notes[-1]) == (MAX_NOTES + 1, "and 5 more")


@pytest.mark.parametrize(("sent", "text"), [(7, "7"), (Decimal("7.0"), "7"), (Decimal("-7e2"), "-700"), ("7.0", "7.0")])
def test_an_integer_is_kept_as_its_digits(sent: Any, text: str) -> None:
    assert validated(Tree, {"who": sent}, Context([])).who == text


def test_a_fraction_or_a_huge_number_is_no_id() -> None:
    assert faults({"who": Decimal("1e999")}) == [("who", "format_error", "must be a string")]
    assert faults({"who": Decimal("7.5")}) == [("who", "format_error", "must be a string")]


@pytest.mark.parametrize("nobody", [0, "0", -1, "-1", " Guest ", "NULL", "undefined", "none", "NaN", "anonymous"])
def test_an_id_that_names_nobody_counts_as_absent_and_is_noted(nobody: Any) -> None:
    context = Context([])
    assert validated(Tree, {"who": nobody}, context).who is None
    assert context.notes == [f"who {str(nobody).strip()} identifies nobody and was ignored"]


def test_the_fault_of_a_query_names_its_parameter() -> None:
    from tillbook.contract.queries import Page, RequestPage, Transactions

    assert validated_query(Page, {"page": "1", "limit": "7"}).limit == 7
    for model, query, message in (
        (Page, {"limit": "201"}, "limit must be a number from 1 to 200."),
        (Page, {"limit": "many"}, "limit must be a number from 1 to 200."),
        (RequestPage, {"cursor": "x"}, "cursor is not valid."),
        (Transactions, {"status": "late"}, "status must be one of applied, duplicate, failed, rejected."),
    ):
        with pytest.raises(Malformed, match=message.replace(".", "\\.")) as found:
            validated_query(model, query)
        assert found.value.field in query
