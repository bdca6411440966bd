"""Files of orders, row by row: CSV or JSON lines, gzipped or not, of any size.

A row knows where it begins and ends (bytes into the inflated file, and lines), so that reading can go on behind it.
At most one row and one line are in memory.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tillbook.rules.errors import Malformed
from tillbook.rules.json_text import loads

MAX_LINE_BYTES = 1024 * 1024  # of an order the API takes 256 KiB
_BROKEN = (OSError, EOFError, zlib.error)
_DELIMITERS = ",;\t"

csv.field_size_limit(MAX_LINE_BYTES)


class Unreadable(Exception):
    """The file as a whole; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """`line` is its first one, `end` where the next row begins. `fault` says why it could not be read."""

    line: int
    end: Place
    values: dict[str, Any]
    fault: str = ""


class _Fault(Exception):
    """One line that cannot be read."""


class _Lines:
    """The lines of a file as text, counted."""

    def __init__(self, file: IO[bytes], encoding: str, place: Place) -> None:
        self._file, self._encoding = file, encoding
        self.offset, self.line = place.offset, place.line

    @property
    def place(self) -> Place:
        return Place(self.offset, self.line)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE_BYTES)
        if not raw:
            raise StopIteration
        self.offset, self.line = self.offset + len(raw), self.line + 1
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            while raw and not raw.endswith(b"\n"):
                raw = self._file.readline(MAX_LINE_BYTES)
                self.offset += len(raw)
            raise _Fault(f"is longer than {MAX_LINE_BYTES // 1024} KiB")
        if self.line == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError:
            raise _Fault(f"is not {self._encoding}: give --encoding") from None


class Source(AbstractContextManager["Source"]):
    """An opened file. `columns` are those of a CSV's header, empty for JSON lines. Raises Unreadable."""

    def __init__(self, path: Path, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        try:
            self._raw = path.open("rb")
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
        self.bytes = path.stat().st_size
        self._packed = self._raw.read(2) == b"\x1f\x8b"
        self._file: IO[bytes] = self._raw
        name = path.name.removesuffix(".gz").lower()
        self.is_json = name.endswith((".jsonl", ".ndjson")) or (not name.endswith(".csv") and self._begins("{"))
        self.columns: list[str] = []
        self._delimiter = ","
        self._body = Place()
        if not self.is_json:
            self._read_header()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()

    def digest(self) -> str:
        """SHA-256 of the file as it is on the disk."""
        self._raw.seek(0)
        return hashlib.file_digest(self._raw, "sha256").hexdigest()

    def read_bytes(self) -> int:
        """How far the file on the disk was read."""
        return self._raw.tell()

    def rows(self, place: Place | None = None) -> Iterator[Row]:
        """All of them, or those from a place on."""
        place = max(place or self._body, self._body, key=lambda p: p.offset)
        self._seek(place)
        lines = _Lines(self._file, self._encoding, place)
        return self._json_rows(lines) if self.is_json else self._csv_rows(lines)

    def _seek(self, place: Place) -> None:
        self._raw.seek(0)
        # Anew each time: what inflates does not see that the file below it was moved.
        self._file = gzip.GzipFile(fileobj=self._raw) if self._packed else self._raw  # type: ignore[assignment]
        self._file.seek(place.offset)

    def _begins(self, text: str) -> bool:
        self._seek(Place())
        return self._file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(text.encode())

    def _read_header(self) -> None:
        self._seek(Place())
        lines = _Lines(self._file, self._encoding, Place())
        try:
            first = next(lines, "")
            self._delimiter = max(_DELIMITERS, key=first.count)
            # A name may hold a line break.
            reader = csv.reader(_chain(first, lines), delimiter=self._delimiter, strict=True)
            self.columns = [name.strip() for name in next(reader, [])]
        except (_Fault, csv.Error, *_BROKEN) as error:
            raise Unreadable(f"The header row cannot be read: it {error}.") from None
        self._body = lines.place
        if not any(self.columns):
            raise Unreadable("The file is empty: its first row must name the columns.")

    def _csv_rows(self, lines: _Lines) -> Iterator[Row]:
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            line, values, fault = lines.line + 1, {}, ""
            try:
                cells = next(reader, None)
                if cells is None:
                    return
                if not cells:
                    continue
                if len(cells) == len(self.columns):
                    values = {name: cell.strip() for name, cell in zip(self.columns, cells, strict=True)}
                else:
                    fault = f"has {len(cells)} cells, the header has {len(self.columns)}"
            except _Fault as error:
                fault = str(error)
            except csv.Error as error:
                fault = f"is not CSV: {error}"
            except _BROKEN:
                raise Unreadable(f"The file cannot be inflated behind line {lines.line}: it was cut short.") from None
            yield Row(line, lines.place, values, fault)

    def _json_rows(self, lines: _Lines) -> Iterator[Row]:
        while True:
            line, values, fault = lines.line + 1, {}, ""
            try:
                text = next(lines, None)
                if text is None:
                    return
                if not text.strip():
                    continue
                values = loads(text)
                if not isinstance(values, dict):
                    values, fault = {}, "must be a JSON object"
            except _Fault as error:
                fault = str(error)
            except Malformed as error:
                # Not its text, which may quote what was sent.
                fault = "has a key twice" if "twice" in error.message else "is not valid JSON"
            except _BROKEN:
                raise Unreadable(f"The file cannot be inflated behind line {lines.line}: it was cut short.") from None
            yield Row(line, lines.place, values, fault)


def _chain(first: str, lines: _Lines) -> Iterator[str]:
    yield first
    yield from lines
