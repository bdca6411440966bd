"""Converts DynamoDB items to Python values and back, by boto3's serializer and deserializer.

Numbers are Decimal. An attribute whose value is None is left out of the item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

Value = str | int | Decimal | bytes | bool | None
Item = dict[str, Any]  # plain Python values
Raw = dict[str, dict[str, Any]]  # DynamoDB's typed values, as {"S": "text"}

raw_value: Callable[[Value], dict[str, Any]] = TypeSerializer().serialize  # type: ignore[assignment]
_deserialize: Callable[[Any], Any] = TypeDeserializer().deserialize


def raw(item: Mapping[str, Value]) -> Raw:
    return {name: raw_value(value) for name, value in item.items() if value is not None}


def plain_item(item: Raw) -> Item:
    return {name: _plain(value) for name, value in item.items()}


def _plain(value: dict[str, Any]) -> Any:
    plain = _deserialize(value)
    return bytes(plain) if isinstance(plain, Binary) else plain  # type: ignore[call-overload]


Record = TypeVar("Record")


def attributes(record: Any) -> Item:
    """Returns the fields of a NamedTuple as attributes of an item. Fields with their default value are left out."""
    defaults = record._field_defaults
    return {name: value for name, value in record._asdict().items() if name not in defaults or value != defaults[name]}


def record_of(kind: type[Record], item: Mapping[str, Any]) -> Record:
    """Returns an item as a NamedTuple. Numbers are Decimal, but int in a field whose default is an int."""
    defaults, names = kind._field_defaults, kind._fields  # type: ignore[attr-defined]
    return kind(**{n: int(item[n]) if type(defaults.get(n)) is int else item[n] for n in names if n in item})
