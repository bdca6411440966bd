"""Orders of a file as they will be sent, each checked as the API checks requests."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tillbook.contract import orders_api, shopper_activity
from tillbook.contract.limits import MAX_ORDER_BYTES
from tillbook.rules import times
from tillbook.rules.errors import FieldError, Invalid
from tillbook.rules.json_text import Json, dumps

from . import histories
from .mappings import Entry, Mapping
from .rows import Place

MOST_REASONS = 50
_LOST = FieldError(
    "refund_amount",
    "format_error",
    "needs an action (refunded) in the row; what was refunded of the order in all is refunded_amount",
)


@dataclass(frozen=True, slots=True)
class Reject:
    """Neither holds what stood there: it may be an e-mail address."""

    line: int
    field: str
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One order: `bodies` are its events, or the v1 order, as JSON. None where it is skipped or has `rejects`."""

    line: int
    end: Place
    bodies: list[bytes]
    rejects: list[Reject]
    skipped: bool = False


def checked(found: Iterator[Entry], api: str, mapping: Mapping | None, provider: str) -> Iterator[Checked]:
    for entry in found:
        payloads: list[dict[str, Json]] = []
        rejects = [Reject(line, "", "", message) for line, message in entry.faults]
        if not rejects:
            payloads = _payloads(entry, api, mapping, provider)
            for payload in payloads:
                rejects += [_reject(entry.line, error, mapping) for error in _faults(payload, api)]
            if payloads and histories.refund_is_lost(entry.record, mapping):
                rejects.append(_reject(entry.line, _LOST, mapping))
        bodies = [] if rejects else [dumps(payload).encode() for payload in payloads]
        if any(len(body) > MAX_ORDER_BYTES for body in bodies):
            rejects, bodies = [Reject(entry.line, "", "", f"is more than {MAX_ORDER_BYTES // 1024} KiB of JSON")], []
        yield Checked(entry.line, entry.end, bodies, rejects, skipped=not payloads and not rejects)


def _payloads(entry: Entry, api: str, mapping: Mapping | None, provider: str) -> list[dict[str, Json]]:
    if mapping is not None:
        record = entry.record | ({"provider": provider} if provider else {})
        if api == "v3":
            return histories.events(record, mapping)
        order = histories.order(record, mapping)
        return [] if order is None else [order]
    payload = dict(entry.record)
    if api == "v3":
        payload = {"action": "placed"} | payload | ({"provider": provider} if provider else {})
    return [payload]


def _faults(payload: dict[str, Json], api: str) -> list[FieldError]:
    faults: list[FieldError] = []
    try:
        if api == "v1":
            orders_api.document(payload)
        else:
            shopper_activity.parse(payload, times.now())
    except Invalid as invalid:
        faults = invalid.errors
    if api == "v3" and payload.get("occurred_at") in (None, ""):
        # Without it the API could not tell a repeat from a second event, and a second run would count twice.
        faults = [*faults, FieldError("occurred_at", "presence_error", "is required in an import")]
    if api == "v1" and payload.get("action") not in (None, "placed"):
        faults = [*faults, FieldError("action", "format_error", "cannot go through v1, which has no events")]
    return faults


def _reject(line: int, error: FieldError, mapping: Mapping | None) -> Reject:
    return Reject(line, error.field, mapping.column_of(error.field) if mapping else "", error.message)


# ------------------------------------------------------------------- rejects


@dataclass
class Rejects:
    """The file of bad rows, CSV or JSON lines by its name; made when there is one. Counted by reason, within bounds."""

    path: Path
    append: bool = False
    orders: int = 0
    reasons: dict[tuple[str, str], int] = field(default_factory=dict)
    _file: IO[str] | None = None

    def begin(self) -> None:
        """What an earlier check found is over."""
        self.path.unlink(missing_ok=True)

    def add(self, rejects: list[Reject]) -> None:
        if not rejects:
            return
        self.orders += 1
        for reject in rejects:
            self._write(reject)
            reason = (reject.column or reject.field, reject.message)
            if reason in self.reasons or len(self.reasons) < MOST_REASONS:
                self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def _write(self, reject: Reject) -> None:
        shape = {"line": reject.line, "field": reject.field, "column": reject.column, "message": reject.message}
        as_json = self.path.suffix in (".jsonl", ".ndjson", ".json")
        if self._file is None:
            begun = self.append and self.path.exists()
            self._file = self.path.open("a" if begun else "w", encoding="utf-8", newline="")
            if not as_json and not begun:
                csv.writer(self._file).writerow(shape)
        if as_json:
            self._file.write(json.dumps(shape, ensure_ascii=False) + "\n")
        else:
            csv.writer(self._file).writerow(shape.values())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def worst(self, most: int = 5) -> list[dict[str, Any]]:
        counted = sorted(self.reasons.items(), key=lambda entry: -entry[1])[:most]
        return [{"field": name or None, "message": message, "rows": count} for (name, message), count in counted]
