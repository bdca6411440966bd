"""Mappings from columns of a file to fields of an order: presets, saved mappings, and options that change one.

A mapping is a JSON file with these parts. Columns are compared without case, spaces and punctuation.

- `fields`, `items`, `billing_address`, `shipping_address`, `properties`: for each field, the columns that may have it;
  the first column that is not empty counts. `properties` are custom attributes (v3) or metadata (v1), with any names.
- `constants`: values for orders that have no value in the file.
- `platform`: the platform whose status words the file uses. `statuses`: the meanings of the shop's own status words.
- `group_by`: columns; consecutive rows with equal values are one order.
- `dates`: formats of dates besides ISO 8601. `time_zone`: the zone of times without an offset.
- `ignored`: columns that need not be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

from tillbook.contract.platforms.statuses import STATUSES, Meaning, words_of
from tillbook.contract.shopper_activity import ActivityAddress, ActivityItem, OrderActivity

# A file is compared with PRESETS, in this order; `plain` is used if none fits. IMPORTABLE are those of --preset: a file
# of woocommerce_analytics is recognised only to refuse it with the reason.
IMPORTABLE = ("shopify", "woocommerce", "magento", "poplar")
PRESETS = (*IMPORTABLE, "woocommerce_analytics")
MEANINGS = tuple(meaning for meaning in get_args(Meaning) if meaning != "unknown")
ADDRESSES = ("billing_address", "shipping_address")
# Fields about the state of an order, which records of files have, but events of the API do not.
STATE = ("status", "refunded_amount", "refunded_at", "canceled_at")
_PARTS = ("items", *ADDRESSES, "properties")
_COLUMNS = ("fields", *_PARTS)
# The names of fields in the API, and additional ones in mappings.
_KNOWN = {
    "fields": {*OrderActivity.model_fields, "customer_id", "customer_email_sha256", *STATE} - {"items", *ADDRESSES},
    "items": set(ActivityItem.model_fields),
    **{part: {*ActivityAddress.model_fields, "name"} for part in ADDRESSES},
}
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
DATES = {
    "us": [f"%m/%d/{year}{time}" for year in ("%Y", "%y") for time in _TIMES],
    "eu": [f"{day}{time}" for day in ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y") for time in _TIMES],
}

_NOT_SAVED = ("recognised_by", "refused", "as_of")

Columns = dict[str, list[str]]
Record = dict[str, Any]


class BadMapping(Exception):
    """A mapping is wrong or does not fit the file; the message says why."""


@dataclass(frozen=True)
class Mapping:
    """A mapping (see the module's docstring).

    Attributes:
        api: the API to which orders are sent, unless an option names one.
        recognised_by: sets of columns; a file with all columns of any set is recognised. Not saved.
        refused: the reason why recognised files cannot be imported. Not saved.
        as_of: when the file was exported, ISO 8601 in UTC. An option sets it, since it concerns one file. Not saved.
    """

    name: str
    fields: Columns
    items: Columns = field(default_factory=dict)
    billing_address: Columns = field(default_factory=dict)
    shipping_address: Columns = field(default_factory=dict)
    properties: Columns = field(default_factory=dict)
    group_by: list[str] = field(default_factory=list)
    constants: dict[str, str] = field(default_factory=dict)
    platform: str = ""
    statuses: dict[str, Meaning] = field(default_factory=dict)
    dates: list[str] = field(default_factory=list)
    time_zone: str = ""
    ignored: list[str] = field(default_factory=list)
    api: str = ""
    recognised_by: list[list[str]] = field(default_factory=list)
    refused: str = ""
    as_of: str = ""

    def text(self) -> str:
        """The mapping as the text of its file."""
        shape = {name: value for name, value in asdict(self).items() if name not in _NOT_SAVED}
        return json.dumps(shape, indent=2, ensure_ascii=False) + "\n"

    @property
    def used(self) -> set[str]:
        """The columns that are read."""
        places: list[Columns] = [getattr(self, part) for part in _COLUMNS]
        return {column for part in places for names in part.values() for column in names} | set(self.group_by)

    def unused(self, columns: list[str]) -> list[str]:
        """The columns of a file that no field uses, and that are not sent."""
        used = self.used
        return [shown(column) for column in columns if column not in used]

    def ignores(self, column: str) -> bool:
        return same_name(column) in map(same_name, self.ignored)

    def column_of(self, path: str) -> str:
        """The columns of a field, for error messages. `path` is its place in an event or v1 order: `items[0].price`."""
        name, _, below = path.partition(".")
        part, name = (name.partition("[")[0], below) if below else ("", name)
        places: Columns = getattr(self, part) if part in _PARTS else self.fields | self.properties
        if not part:
            name = _OF_V1.get(name, name)
            if name == "refund_amount" and name not in places:
                name = "refunded_amount"
        return ", ".join(shown(column) for column in places.get(name, []))


# The names that mappings use for fields of v1.
_OF_V1 = {"order_date": "occurred_at", "total": "grand_total", "customer_email": "email"}


def preset(name: str) -> Mapping:
    return _mapping(json.loads(resources.files(__package__).joinpath(f"presets/{name}.json").read_text("utf-8")))


def load(path: Path) -> Mapping:
    """The mapping in a file. Raises BadMapping."""
    try:
        return _mapping(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise BadMapping(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise BadMapping(f"{path} is not JSON: {error}.") from None


def _mapping(shape: Any) -> Mapping:
    if not isinstance(shape, dict):
        raise BadMapping("A mapping is a JSON object.")
    unknown = shape.keys() - (Mapping.__dataclass_fields__.keys() - {"as_of"})
    if unknown:
        raise BadMapping(f"A mapping has no {', '.join(sorted(unknown))}.")
    try:
        mapping = Mapping(**{"name": "saved", **shape})
    except TypeError:
        raise BadMapping("A mapping needs fields.") from None
    for part in _COLUMNS:
        columns = getattr(mapping, part)
        if not isinstance(columns, dict) or not all(_are_texts(names) for names in columns.values()):
            raise BadMapping(f"{part} must give each field a list of columns.")
        _check_names(part, columns)
    for part in ("group_by", "dates", "ignored"):
        if not _are_texts(getattr(mapping, part)):
            raise BadMapping(f"{part} must be a list of texts.")
    for part in ("constants", "statuses"):
        entries = getattr(mapping, part)
        if not isinstance(entries, dict) or not _are_texts(list(entries.values())):
            raise BadMapping(f"{part} must be an object of texts.")
    _check_names("fields", set(mapping.constants) - mapping.properties.keys())
    if mapping.platform not in ("", *STATUSES):
        raise BadMapping(f"There is no platform {mapping.platform}, only {', '.join(STATUSES)}.")
    if mapping.api not in ("", "v1", "v3"):
        raise BadMapping(f"There is no API {mapping.api}, only v1 and v3.")
    return in_zone(with_statuses(mapping, mapping.statuses), mapping.time_zone)


def _check_names(part: str, names: Iterable[str]) -> None:
    if part == "properties" and (taken := sorted(set(names) & OrderActivity.model_fields.keys())):
        raise BadMapping(f"properties has {', '.join(taken)}, which is a field of an order.")
    known = _KNOWN.get(part)
    wrong = sorted(set(names) - known) if known else []
    if wrong:
        raise BadMapping(
            f"{part} has no {', '.join(wrong)}; it may have {', '.join(sorted(known or ()))}. "
            "Put other values of an order into properties."
        )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


# ------------------------------------------------------- what options change


def in_zone(mapping: Mapping, time_zone: str) -> Mapping:
    """The mapping with a time zone. Raises BadMapping."""
    try:
        ZoneInfo(time_zone or "UTC")
    except (ValueError, OSError, LookupError, TypeError):
        raise BadMapping(f"There is no time zone {time_zone}.") from None
    return replace(mapping, time_zone=time_zone)


def with_statuses(mapping: Mapping, meanings: dict[str, Any]) -> Mapping:
    """The mapping with meanings of status words. Raises BadMapping."""
    wrong = sorted(set(meanings.values()) - set(MEANINGS))
    if wrong:
        raise BadMapping(f"A status means one of {', '.join(MEANINGS)}, not {', '.join(wrong)}.")
    own = {words_of(word): meaning for word, meaning in meanings.items()}
    # When a mapping is read, `meanings` are its own words, which their normalised forms replace.
    return replace(mapping, statuses=mapping.statuses | own if meanings is not mapping.statuses else own)


def with_dates(mapping: Mapping, form: str) -> Mapping:
    """The mapping with formats of dates. `form` is us, eu or a format of strptime. Raises BadMapping."""
    formats = DATES.get(form.lower(), [form])
    try:
        moment = datetime(2026, 3, 21, 14, 5, 6, tzinfo=UTC)
        # A format must have year, month and day: then it reads the date that it has written.
        has_date = datetime.strptime(moment.strftime(formats[0]), formats[0]).date() == moment.date()  # noqa: DTZ007
    except ValueError:
        has_date = False
    if not has_date:
        raise BadMapping(f"{form} is not a date format. Use us, eu, or a format as %m/%d/%Y %H:%M.")
    return replace(mapping, dates=[*formats, *mapping.dates])


def with_columns(mapping: Mapping, given: dict[str, str]) -> Mapping:
    """The mapping with columns by field: `grand_total`, `items.price`, `properties.card`.

    A column that is given to a field is removed from other fields of the same part. Raises BadMapping.
    """
    for name, column in given.items():
        part, _, field_ = name.rpartition(".")
        part = part or "fields"
        if part not in _COLUMNS:
            raise BadMapping(f"There is no {part}, only {', '.join(_COLUMNS)}.")
        _check_names(part, [field_])
        others = {
            other: [known for known in known_columns if same_name(known) != same_name(column)]
            for other, known_columns in getattr(mapping, part).items()
        }
        changed: dict[str, Any] = {part: others | {field_: [column]}}
        mapping = replace(mapping, **changed)
    return mapping


# ------------------------------------------------------- the columns of a file


def guessed(columns: list[str], given: dict[str, str] | None = None) -> Mapping:
    """The preset that recognises the columns, or the plain mapping, which knows usual names of columns.

    `given` are columns by field, from an option. Raises BadMapping.
    """
    present = {same_name(column) for column in columns}
    for name in PRESETS:
        found = preset(name)
        if any(set(map(same_name, needed)) <= present for needed in found.recognised_by):
            return with_columns(found, given or {})
    return _plain(with_columns(preset("plain"), given or {}), columns)


def _plain(mapping: Mapping, columns: list[str]) -> Mapping:
    """The plain mapping for a file. Rows are grouped into orders only if the file has columns of items, and none of an
    action. Columns like `metadata.name` are properties."""
    found = resolved(mapping, columns, needed=())
    metadata = {column[9:]: [column] for column in columns if column.lower().startswith("metadata.") and column[9:]}
    if not found.items or "action" in found.fields:
        found = replace(found, group_by=[])
    _check_names("properties", metadata)
    return replace(found, properties=metadata | found.properties)


# Fields that are read from one column only: ids of two columns may collide, and another amount may mean something else.
_OF_ONE_COLUMN = {"order_id", "grand_total", "refunded_amount", "refund_amount", "status"}
NEEDED = ("order_id", "occurred_at")


def resolved(mapping: Mapping, columns: list[str], needed: tuple[str, ...] = NEEDED) -> Mapping:
    """The mapping reduced to the columns of a file, in the file's spelling.

    Raises BadMapping if a needed field is missing, a column occurs twice, or such files cannot be imported.
    """
    if mapping.refused:
        raise BadMapping(mapping.refused)
    names: dict[str, list[str]] = {}
    for column in columns:
        names.setdefault(same_name(column), []).append(column)

    def present(wanted: list[str]) -> list[str]:
        found = []
        for column in wanted:
            named = names.get(same_name(column), [])
            if len(named) > 1:
                raise BadMapping(f"There are {len(named)} columns {shown(column)}.")
            found += named
        return list(dict.fromkeys(found))

    def part(places: Columns) -> Columns:
        return {name: found for name, wanted in places.items() if (found := present(wanted))}

    found: dict[str, Any] = {name: part(getattr(mapping, name)) for name in _COLUMNS}
    for name in _OF_ONE_COLUMN & found["fields"].keys():
        found["fields"][name] = found["fields"][name][:1]
    # Order Activity requires both of an item. Without one of these columns, no items are imported, through either API.
    if not {"product_id", "price"} <= found["items"].keys():
        found["items"] = {}
    result = replace(mapping, group_by=present(mapping.group_by)[:1], **found)
    for name in needed:
        if name not in result.fields:
            wanted = ", ".join(mapping.fields.get(name, [])) or "none"
            raise BadMapping(f"No column is {name} (looked for: {wanted}). {_columns_are(name, columns)}")
    return result


def has_amounts(mapping: Mapping) -> bool:
    return "grand_total" in mapping.fields or {"action", "refund_amount"} <= mapping.fields.keys()


def no_amounts(columns: list[str]) -> BadMapping:
    return BadMapping(
        f"No column is grand_total, the orders' amounts. {_columns_are('grand_total', columns)} To import the orders "
        "without amounts, give --no-amounts."
    )


def _columns_are(name: str, columns: list[str]) -> str:
    return (
        f"The file has {', '.join(map(shown, columns[:60]))}. "
        f'Name the column with --column {name}="…", or write a mapping with --save-mapping and give it with --mapping.'
    )


def same_name(name: str) -> str:
    """The name of a column for comparison: without case, spaces and punctuation."""
    return "".join(c for c in name.casefold() if c.isalnum())


def shown(column: str) -> str:
    """The name of a column for messages. In a file without a header it is a value, which may be an e-mail address."""
    return "(an e-mail address)" if "@" in column else column
