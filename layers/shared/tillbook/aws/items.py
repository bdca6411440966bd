"""DynamoDB items to Python values and back, by boto3's own (de)serializer.

Numbers are Decimal, bytes are bytes. An attribute whose value is None is left out of an item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

Value = str | int | Decimal | bytes | bool | None
Item = dict[str, Any]  # plain Python values
Raw = dict[str, dict[str, Any]]  # DynamoDB's typed values

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
    """The attributes of a NamedTuple: its fields, without those that have their default."""
    defaults = record._field_defaults
    return {name: value for name, value in record._asdict().items() if name not in defaults or value != defaults[name]}


def record_of(kind: type[Record], item: Mapping[str, Any]) -> Record:
    """The other way round. DynamoDB's numbers are Decimal: those whose default is an int become one."""
    defaults, names = kind._field_defaults, kind._fields  # type: ignore[attr-defined]
    return kind(**{n: int(item[n]) if type(defaults.get(n)) is int else item[n] for n in names if n in item})
