"""Checks the orders of a file by the rules of the API, in the form in which they will be sent."""

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
from .findings import Findings
from .mappings import Mapping
from .records import Entry
from .rows import Place

MOST_REASONS = 50
_LOST = FieldError(
    "refund_amount",
    "format_error",
    "needs an action (refunded) in the row; the sum of an order's refunds is refunded_amount",
)
_UNREADABLE = FieldError("refunded_amount", "format_error", "must be a number")
_NO_AMOUNT = "is required in an import; orders without amounts need --no-amounts"
_ONLY_HASH = FieldError(
    "email", "presence_error", "is required; only the Orders API accepts the hash of an address: --api v1"
)
_NO_EMAIL = FieldError("email", "presence_error", "is required")
_DATE_HELP = "; --date-format us reads 01/31/2026, eu reads 31/01/2026 and 31.01.2026"


@dataclass(frozen=True, slots=True)
class Reject:
    """An error in a row, without the wrong value, which may be an e-mail address."""

    line: int
    field: str
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One order. `bodies`: its events, or the v1 order, as JSON; empty if the order is skipped or has `rejects`."""

    line: int
    end: Place
    bodies: list[bytes]
    rejects: list[Reject]
    skipped: bool = False


def checked(
    found: Iterator[Entry],
    api: str,
    mapping: Mapping | None,
    provider: str,
    *,
    no_amounts: bool = False,
    findings: Findings | None = None,
) -> Iterator[Checked]:
    """The checked orders of a file. `findings` collects problems of the file as a whole."""
    for entry in found:
        payloads: list[dict[str, Json]] = []
        rejects = [Reject(entry_line, "", "", message) for entry_line, message in entry.faults]
        if not rejects:
            if findings:
                findings.note_record(entry.record)
            payloads = _payloads(entry, api, mapping, provider)
            notes: list[str] = []
            for payload in payloads:
                faults, noted = _faults(payload, api)
                if payload is payloads[-1]:
                    faults += _losses(entry, payload, api, mapping, no_amounts)
                rejects += [_reject(entry.line, error, mapping) for error in faults]
                notes += noted
            # The two events of a row with --as-of have the same errors and notes.
            rejects = list(dict.fromkeys(rejects))
            if findings and not rejects:
                findings.note(list(dict.fromkeys(notes)))
        bodies = [] if rejects else [dumps(payload).encode() for payload in payloads]
        if any(len(body) > MAX_ORDER_BYTES for body in bodies):
            rejects, bodies = [Reject(entry.line, "", "", f"is more than {MAX_ORDER_BYTES // 1024} KiB of JSON")], []
        if findings and bodies:
            findings.note_payload(entry.line, payloads[-1], histories.is_event(entry.record))
        yield Checked(entry.line, entry.end, bodies, rejects, skipped=not payloads and not rejects)


def _losses(
    entry: Entry, payload: dict[str, Json], api: str, mapping: Mapping | None, no_amounts: bool
) -> list[FieldError]:
    """Errors that the API does not report, although the order would count a wrong amount or nothing."""
    faults: list[FieldError] = []
    if histories.refund_is_lost(entry.record, mapping):
        faults.append(_LOST)
    if mapping is not None and histories.refund_is_unreadable(entry.record):
        faults.append(_UNREADABLE)
    name = "total" if api == "v1" else "grand_total"
    if not no_amounts and not histories.is_event(entry.record) and payload.get(name) in (None, ""):
        faults.append(FieldError(name, "presence_error", _NO_AMOUNT))
    return faults


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


def _faults(payload: dict[str, Json], api: str) -> tuple[list[FieldError], list[str]]:
    """(errors, notes) that the API would return for a payload, plus errors by the rules of an import."""
    faults: list[FieldError] = []
    notes: list[str] = []
    try:
        if api == "v1":
            notes = orders_api.document(payload)[1]
        else:
            notes = shopper_activity.parse(payload, times.now())[0]["notes"]
    except Invalid as invalid:
        faults = invalid.errors
    if api == "v3" and payload.get("occurred_at") in (None, ""):
        # Without occurred_at the API could not recognise a repeat, and a second run would count everything twice.
        faults = [*faults, FieldError("occurred_at", "presence_error", "is required in an import")]
    if api == "v1" and payload.get("action") not in (None, "placed"):
        faults = [*faults, FieldError("action", "format_error", "cannot be sent to v1, which has no events")]
    return faults, notes


def _reject(line: int, error: FieldError, mapping: Mapping | None) -> Reject:
    if mapping is None:
        return Reject(line, error.field, "", error.message)
    if error == _NO_EMAIL and "customer_email_sha256" in mapping.fields:
        error = _ONLY_HASH
    may_be_another_date = error.code == "time_error" and "ISO 8601" in error.message and not mapping.dates
    help_ = _DATE_HELP if may_be_another_date else ""
    return Reject(line, error.field, mapping.column_of(error.field), error.message + help_)


# ------------------------------------------------------------------- rejects


@dataclass
class Rejects:
    """The file of bad rows: CSV, or JSON lines if its name says so. It is opened when the first bad row is added.

    `append`: rows are added to a file that exists. Errors are also counted by reason, for at most MOST_REASONS reasons.
    """

    path: Path
    append: bool = False
    orders: int = 0
    reasons: dict[tuple[str, str], int] = field(default_factory=dict)
    _file: IO[str] | None = None

    def begin(self) -> None:
        """Deletes the file of an earlier check."""
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
        """The most frequent reasons as JSON. `rows` is the number of errors with that reason."""
        counted = sorted(self.reasons.items(), key=lambda entry: -entry[1])[:most]
        return [{"field": name or None, "message": message, "rows": count} for (name, message), count in counted]
