"""Which column of a file is which field of an order: presets, saved mappings, and rows read by them.

A mapping is a JSON file: `fields`, `items`, `billing_address` and `shipping_address` give for each field of ours the
columns it may stand in (the first that is not empty counts), `constants` what stands in every order, `statuses` what
a word of the shop's means, `group_by` the columns by which rows that stand one after another are one order,
`time_zone` that of times without an offset. Columns are compared without case, spaces and punctuation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tillbook.contract.limits import MAX_ITEMS
from tillbook.rules.amounts import AmountError, parse_amount

from .rows import Place, Row

PRESETS = ("shopify", "woocommerce")
# What a status may mean, and what becomes of the order then (see histories.py).
MEANINGS = ("placed", "open", "unpaid", "canceled", "refunded", "skip")
ADDRESSES = ("billing_address", "shipping_address")
_PARTS = ("items", *ADDRESSES)
_BESIDE = "stands beside a row that cannot be read and may be of the same order"
# Rows of one order must agree on these: a second total is a second order, or a mistake.
_MONEY = ("grand_total", "refunded_amount", "refund_amount")

Columns = dict[str, list[str]]
Record = dict[str, Any]


class BadMapping(Exception):
    """The message says what is wrong with it."""


@dataclass(frozen=True)
class Mapping:
    name: str
    fields: Columns
    items: Columns = field(default_factory=dict)
    billing_address: Columns = field(default_factory=dict)
    shipping_address: Columns = field(default_factory=dict)
    group_by: list[str] = field(default_factory=list)
    constants: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    time_zone: str = "UTC"
    recognised_by: list[str] = field(default_factory=list)

    def text(self) -> str:
        """As it is saved."""
        shape = {name: value for name, value in asdict(self).items() if name != "recognised_by"}
        return json.dumps(shape, indent=2, ensure_ascii=False) + "\n"

    def unused(self, columns: list[str]) -> list[str]:
        """Columns of a file that no field names: they are not sent."""
        places = [self.fields, *(getattr(self, part) for part in _PARTS)]
        used = {column for part in places for names in part.values() for column in names} | set(self.group_by)
        return [_told(column) for column in columns if column not in used]

    def column_of(self, path: str) -> str:
        """Where a field of an event stands, for who looks for what is wrong with it: `items[0].price`."""
        name, _, below = path.partition(".")
        part, name = (name.partition("[")[0], below) if below else ("", name)
        places: Columns = getattr(self, part) if part in _PARTS else self.fields
        if not part:
            name = _STANDS_IN.get(name, name)
            if name == "refund_amount" and name not in places:
                name = "refunded_amount"
        return ", ".join(_told(column) for column in places.get(name, []))


# Fields of v1 by the names that mappings use.
_STANDS_IN = {
    "order_date": "occurred_at", "total": "grand_total", "customer_email": "email",
}  # fmt: skip


def preset(name: str) -> Mapping:
    return _mapping(json.loads(resources.files(__package__).joinpath(f"presets/{name}.json").read_text("utf-8")))


def load(path: Path) -> Mapping:
    """Raises BadMapping."""
    try:
        return _mapping(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise BadMapping(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise BadMapping(f"{path} is not JSON: {error}.") from None


def _mapping(shape: Any) -> Mapping:
    if not isinstance(shape, dict):
        raise BadMapping("A mapping is a JSON object.")
    unknown = shape.keys() - Mapping.__dataclass_fields__.keys()
    if unknown:
        raise BadMapping(f"A mapping has no {', '.join(sorted(unknown))}.")
    try:
        mapping = Mapping(**{"name": "saved", **shape})
    except TypeError:
        raise BadMapping("A mapping needs fields.") from None
    for part in ("fields", *_PARTS):
        columns = getattr(mapping, part)
        if not isinstance(columns, dict) or not all(_are_texts(names) for names in columns.values()):
            raise BadMapping(f"{part} must give each field a list of columns.")
    if not _are_texts(mapping.group_by):
        raise BadMapping("group_by must be a list of columns.")
    for part in ("constants", "statuses"):
        entries = getattr(mapping, part)
        if not isinstance(entries, dict) or not _are_texts(list(entries.values())):
            raise BadMapping(f"{part} must be an object of texts.")
    wrong = set(mapping.statuses.values()) - set(MEANINGS)
    if wrong:
        raise BadMapping(f"A status means one of {', '.join(MEANINGS)}, not {', '.join(sorted(wrong))}.")
    mapping = in_zone(mapping, mapping.time_zone)
    return replace(mapping, statuses={name.strip().casefold(): meaning for name, meaning in mapping.statuses.items()})


def in_zone(mapping: Mapping, time_zone: str) -> Mapping:
    """Raises BadMapping."""
    try:
        ZoneInfo(time_zone)
    except (ValueError, OSError, LookupError, TypeError):
        raise BadMapping(f"There is no time zone {time_zone}.") from None
    return replace(mapping, time_zone=time_zone)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def guessed(columns: list[str]) -> Mapping:
    """The preset whose columns are there, or fields by their usual names."""
    there = {_plain(column) for column in columns}
    for name in PRESETS:
        found = preset(name)
        if {_plain(column) for column in found.recognised_by} <= there:
            return found
    return preset("plain")


def resolved(mapping: Mapping, columns: list[str]) -> Mapping:
    """With the columns that this file has, by the names it gives them. Raises BadMapping if it lacks what decides."""
    names: dict[str, list[str]] = {}
    for column in columns:
        names.setdefault(_plain(column), []).append(column)

    def there(wanted: list[str]) -> list[str]:
        found = []
        for column in wanted:
            named = names.get(_plain(column), [])
            if len(named) > 1:
                raise BadMapping(f"There are {len(named)} columns {_told(column)}.")
            found += named
        return list(dict.fromkeys(found))

    def part(places: Columns) -> Columns:
        return {name: found for name, wanted in places.items() if (found := there(wanted))}

    result = replace(
        mapping, fields=part(mapping.fields), items=part(mapping.items), group_by=there(mapping.group_by)[:1],
        billing_address=part(mapping.billing_address), shipping_address=part(mapping.shipping_address),
    )  # fmt: skip
    for name in ("order_id", "occurred_at"):
        if name not in result.fields:
            wanted = ", ".join(mapping.fields.get(name, [])) or "none"
            raise BadMapping(
                f"No column is {name} (looked for: {wanted}). The file has {', '.join(map(_told, columns[:60]))}. "
                "Write a mapping with --save-mapping, edit it, and give it with --mapping."
            )
    return result


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _told(column: str) -> str:
    # A file without a header has orders where the names should be.
    return "(an e-mail address)" if "@" in column else column


# ------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Entry:
    """One order of the file: `line` is its first one, `end` where the next one begins.

    `record` has the fields of the mapping and `items`; `faults` are (line, what is wrong).
    """

    line: int
    end: Place
    record: Record
    faults: list[tuple[int, str]]


def entries(rows: Iterator[Row], mapping: Mapping | None) -> Iterator[Entry]:
    """Without a mapping each row is an order already, as the API takes it.

    A row that cannot be read may be of the order before it or of the one behind it: with `group_by` neither is good, as
    half an order would be sent otherwise. It is one entry with the order behind it, so that who goes on from the end of
    any entry finds the same ones.
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
    if not mapping.group_by or last.fault:
        return bool(mapping.group_by)
    key = _value(row.values, mapping.group_by)
    return key is not None and key == _value(last.values, mapping.group_by)


def _entry(group: list[Row], end: Place, mapping: Mapping, faults: list[tuple[int, str]]) -> Entry:
    first = group[0]
    if first.fault:
        return Entry(first.line, end, {}, [(first.line, first.fault), *((row.line, _BESIDE) for row in group[1:2])])
    record = _part(first.values, mapping.fields)
    record |= {name: value for name, value in mapping.constants.items() if record.get(name) is None}
    for name in ADDRESSES:
        address = _part(first.values, getattr(mapping, name))
        if "postal_code" in address:
            # Shopify's mark for spreadsheets, which would take the zeros away.
            address["postal_code"] = str(address["postal_code"]).removeprefix("'")
        if address:
            record[name] = address
    items = [item for row in group if (item := _part(row.values, mapping.items))]
    if items:
        record["items"] = items
    for row in group[1:]:
        faults += [
            (row.line, f"{name} is another than in line {first.line}, of the same order")
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


def _part(values: dict[str, Any], places: Columns) -> Record:
    found = ((name, _value(values, columns)) for name, columns in places.items())
    return {name: value for name, value in found if value is not None}


def _value(values: dict[str, Any], columns: list[str]) -> Any:
    """The first that is not empty. In JSON a column may lie deeper: `customer.email`."""
    for column in columns:
        value = values.get(column)
        if value is None and "." in column:
            value = _deep(values, column)
        if value is not None and value != "":
            return value
    return None


def _deep(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values
