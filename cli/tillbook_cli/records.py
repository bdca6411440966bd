"""Converts the rows of a file into records, one for each order, with the fields of a mapping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tillbook.contract.limits import MAX_ITEMS
from tillbook.rules.amounts import EXACT, AmountError, parse_amount

from .mappings import ADDRESSES, Columns, Mapping, Record
from .rows import Place, Row

_BESIDE = "is next to a row that cannot be read and may belong to the same order"
# Rows of one order must have equal amounts: a second total is a second order, or a mistake.
_MONEY = ("grand_total", "refunded_amount", "refund_amount")
_ALL = "[]"  # in a path: every entry of a list, as in line_items[].sku


@dataclass(frozen=True, slots=True)
class Entry:
    """One order of a file. `line` is its first line, `end` the place where the next order begins.

    `record` has the fields of the mapping, `items` and `properties`; `faults` are (line, message).
    """

    line: int
    end: Place
    record: Record
    faults: list[tuple[int, str]]


def entries(rows: Iterator[Row], mapping: Mapping | None) -> Iterator[Entry]:
    """The orders of a file. Without a mapping each row is an order in the form of the API.

    With `group_by`, a row that cannot be read may belong to the order before or after it, so both are rejected: part of
    an order must not be sent. Such a row and the order after it are one entry, so that a run that resumes at the end of
    an entry finds the same entries.
    """
    if mapping is None:
        for row in rows:
            yield Entry(row.line, row.end, row.values, [(row.line, row.fault)] if row.fault else [])
        return
    group: list[Row] = []
    faults: list[tuple[int, str]] = []
    end = Place()
    for row in rows:
        together = bool(group) and not row.fault and _belongs(row, group[-1], mapping)
        if group and not together:
            if row.fault and mapping.group_by:
                faults.append((group[0].line, _BESIDE))
            yield _entry(group, end, mapping, faults)
            group, faults = [], []
        if not together or len(group) < MAX_ITEMS:
            group.append(row)
        elif not faults:
            faults.append((group[0].line, f"has more than {MAX_ITEMS} rows"))
        end = row.end
    if group:
        yield _entry(group, end, mapping, faults)


def _belongs(row: Row, last: Row, mapping: Mapping) -> bool:
    """Whether a row is in the same entry as the row before it, `last`."""
    if not mapping.group_by or last.fault:  # with `group_by`, a row that cannot be read takes in the next (see entries)
        return bool(mapping.group_by)
    key = _value(row.values, mapping.group_by)
    return key is not None and key == _value(last.values, mapping.group_by)


def _entry(group: list[Row], end: Place, mapping: Mapping, faults: list[tuple[int, str]]) -> Entry:
    first = group[0]
    if first.fault:
        return Entry(first.line, end, {}, [(first.line, first.fault), *((row.line, _BESIDE) for row in group[1:2])])
    record = _part(first.values, mapping.fields)
    properties = _part(first.values, mapping.properties)
    for name, value in mapping.constants.items():
        (properties if name in mapping.properties else record).setdefault(name, value)
    if properties:
        record["properties"] = properties
    for name in ADDRESSES:
        address = _part(first.values, getattr(mapping, name))
        if "postal_code" in address:
            # Shopify puts an apostrophe before postal codes, so that spreadsheets keep their zeros.
            address["postal_code"] = str(address["postal_code"]).removeprefix("'")
        # A country or a name alone is not an address: shops export them for orders without delivery.
        if "address_1" in address or "postal_code" in address:
            record[name] = address
    items = [item for row in group for item in _items(row.values, mapping.items)]
    if items:
        record["items"] = items
    for row in group[1:]:
        faults += [
            (row.line, f"{name} differs from line {first.line}, which is of the same order")
            for name in _MONEY
            if (again := _value(row.values, mapping.fields.get(name, []))) is not None
            and not _same(again, record.get(name))
        ]
    return Entry(first.line, end, record, faults)


def _same(one: Any, other: Any) -> bool:
    try:
        return parse_amount(one)[0] == parse_amount(other)[0]
    except AmountError:
        return bool(one == other)


# ------------------------------------------------------------------ one row


def _part(values: dict[str, Any], places: Columns) -> Record:
    found = ((name, _value(values, columns)) for name, columns in places.items())
    return {name: value for name, value in found if value is not None}


def _items(values: dict[str, Any], places: Columns) -> list[Record]:
    """The items of a row: at most one; in JSON, one for each entry of the list in a column like `line_items[].sku`."""
    lists = {column.partition(_ALL)[0] for columns in places.values() for column in columns if _ALL in column}
    if not lists:
        item = _part(values, places)
        return [item] if item else []
    found: list[Record] = []
    for path in sorted(lists):
        prefix = f"{path}{_ALL}."
        within = {
            name: [column.removeprefix(prefix) for column in columns if column.startswith(prefix)]
            for name, columns in places.items()
        }
        entries_ = _deep(values, path)
        for entry in entries_ if isinstance(entries_, list) else []:
            item = _part(entry, within) if isinstance(entry, dict) else {}
            if item:
                found.append(item)
    return found


def _value(values: dict[str, Any], columns: list[str]) -> Any:
    """The value of the first column that is not empty.

    In JSON, a column may be a path, as `customer.email`. Amounts in a list are added up, as `refunds[].amount`.
    """
    for column in columns:
        value = values.get(column)
        if value is None and ("." in column or _ALL in column):
            value = _sum(_listed(values, column)) if _ALL in column else _deep(values, column)
        if value is not None and value != "":
            return value
    return None


def _deep(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _listed(values: Any, path: str) -> list[Any]:
    """The values at a path with lists, as `refunds[].transactions[].amount`."""
    before, is_list, after = path.partition(_ALL)
    if not is_list:
        found = _deep(values, path)
        return [] if found is None or found == "" else [found]
    inner = _deep(values, before)
    return (
        [found for entry in inner or [] for found in _listed(entry, after.removeprefix("."))]
        if isinstance(inner, list)
        else []
    )


def _sum(found: list[Any]) -> Any:
    """The sum of amounts; the first value if any value is not an amount."""
    try:
        total = Decimal(0)
        for value in found:
            total = EXACT.add(total, parse_amount(value)[0])
    except AmountError:
        return found[0]
    return total if found else None
