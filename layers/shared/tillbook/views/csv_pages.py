"""Lists as CSV that spreadsheets open safely: no cell is run as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# First characters of formulas. Spreadsheets of some languages also accept the full-width forms.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_of(columns: Sequence[str], records: Iterable[Mapping[str, Any]], numbers: Sequence[str] = ()) -> str:
    """The records as CSV with a header row, since each page is a separate file.

    Cells in the columns `numbers` may begin with a minus sign.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([[_cell(record[name], name in numbers) for name in columns] for record in records])
    return out.getvalue()


def _cell(value: Any, is_number: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not is_number else text
