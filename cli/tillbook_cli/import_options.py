"""The options of `tillbook import`, and the mapping that they choose for a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import click

from tillbook.rules import times

from . import histories, mappings
from .mappings import BadMapping, Mapping
from .rows import Source


@dataclass(frozen=True)
class Given:
    """The arguments and options of one command."""

    file: Path
    api: str  # empty until the mapping is known
    account: str
    preset: str
    mapping: Path | None
    save_mapping: Path | None
    columns: dict[str, str]
    statuses: dict[str, str]
    provider: str
    currency: str
    group_by: str
    date_format: str
    time_zone: str
    as_of: str
    encoding: str
    no_amounts: bool
    ignore_repeats: bool
    ignored: tuple[str, ...]
    check: bool
    skip_bad: bool
    again: bool
    rejects: Path
    state: Path
    concurrency: int
    as_json: bool


def chosen_mapping(given: Given, source: Source) -> Mapping | None:
    """The mapping of the file; None for JSON lines that already are orders of the API.

    Raises BadMapping, click.UsageError.
    """
    for column in (*given.columns.values(), *given.ignored, given.group_by) if source.columns else ():
        if column and mappings.same_name(column) not in map(mappings.same_name, source.columns):
            raise BadMapping(f"The file has no column {mappings.shown(column)}.")
    if given.mapping:
        return mappings.with_columns(mappings.load(given.mapping), given.columns)
    if given.preset:
        return mappings.with_columns(mappings.preset(given.preset), given.columns)
    if not source.is_json:
        return mappings.guessed(source.columns, given.columns)
    if given.columns:
        return mappings.with_columns(Mapping("columns", {}), given.columns)
    for option in ("statuses", "currency", "group_by", "date_format", "time_zone", "as_of", "save_mapping"):
        if getattr(given, option):
            name = {"statuses": "status"}.get(option, option).replace("_", "-")
            raise click.UsageError(f"--{name} needs a mapping or --column: JSON lines without one are sent unchanged.")
    return None


def with_options(given: Given, source: Source, mapping: Mapping | None) -> Mapping | None:
    """The mapping with the columns of this file and the command's options. Writes the file of --save-mapping.

    Raises BadMapping.
    """
    if mapping is None:
        return None
    if given.group_by:
        mapping = replace(mapping, group_by=[given.group_by])
    if not source.is_json:
        mapping = mappings.resolved(mapping, source.columns)
        if not given.no_amounts and not mappings.has_amounts(mapping):
            raise mappings.no_amounts(source.columns)
    if mapping.group_by and "action" in mapping.fields:
        raise BadMapping("A column action makes each row an event of its own, so group_by cannot be used.")
    mapping = mappings.with_statuses(mapping, given.statuses)
    if given.date_format:
        mapping = mappings.with_dates(mapping, given.date_format)
    if given.time_zone:
        mapping = mappings.in_zone(mapping, given.time_zone)
    constants = {"provider": given.provider, "currency": given.currency}
    mapping = replace(
        mapping,
        constants=mapping.constants | {name: value for name, value in constants.items() if value},
        ignored=[*mapping.ignored, *given.ignored],
        api=given.api,
    )
    if given.as_of:
        mapping = replace(mapping, as_of=_exported_at(given, mapping))
    if given.save_mapping:
        given.save_mapping.write_text(mapping.text(), "utf-8")
    if given.api == "v3" and "provider" not in mapping.fields | mapping.constants:
        raise BadMapping("Orders of v3 need a provider, and no column has it. Name one: --provider my_shop.")
    return mapping


def _exported_at(given: Given, mapping: Mapping) -> str:
    """The time of --as-of, as ISO 8601 in UTC. Raises BadMapping."""
    if given.api == "v1" or "action" in mapping.fields:
        raise BadMapping(
            "--as-of is for whole orders that are sent to v3: an order of v1, or an event, has its own time."
        )
    mapping = replace(mapping, dates=[])  # only ISO 8601, not the formats of the file's dates
    at = str(histories.moment(given.as_of, mapping))
    if not histories.is_time(given.as_of, mapping) or times.parse_iso(at) > times.now():
        raise BadMapping(f"--as-of {given.as_of} is not a time in the past. Example: 2026-01-31T12:00Z.")
    return at
