"""Reads files of orders row by row: CSV or JSON lines, gzipped or not, of any size.

A row has the place where it ends, so that reading can continue there. At most one row and one line are in memory. Text
in UTF-16 is copied into a temporary file as UTF-8, since its line ends cannot be found byte by byte.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tillbook.rules.errors import Malformed
from tillbook.rules.json_text import loads

MAX_LINE_BYTES = 1024 * 1024  # the API accepts orders of 256 KiB
_BROKEN = (OSError, EOFError, zlib.error)
_CUT_SHORT = "The file cannot be decompressed: it is damaged or was cut short."
_DELIMITERS = ",;\t|"
_EXCEL_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # a first line of Excel, which is not the header
_CHUNK = 1024 * 1024

csv.field_size_limit(MAX_LINE_BYTES)


class Unreadable(Exception):
    """The whole file cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """`offset`: bytes of the decompressed file before the place. `line`: lines before it."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row. `line` is its first line, `end` the place where the next row begins. `fault` says why it is unreadable."""

    line: int
    end: Place
    values: dict[str, Any]
    fault: str = ""


class _Fault(Exception):
    """Raised for a line that cannot be read."""


class _Lines:
    """Iterates over the lines of a file as text, and keeps the current place."""

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
    """An open file. `columns` are those of a CSV's header, empty for JSON lines.

    Without an `encoding`, UTF-8, UTF-16 or Windows-1252 is detected from the content. Raises Unreadable.
    """

    def __init__(self, path: Path, encoding: str = "") -> None:
        try:
            self._raw: IO[bytes] = path.open("rb")
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
        self._digest = hashlib.file_digest(self._raw, "sha256").hexdigest()
        self._packed = self._head(2) == b"\x1f\x8b"
        if self._head(4) == b"PK\x03\x04":
            raise self._unreadable(f"{path} is a spreadsheet or an archive: save it as CSV.")
        self._file: IO[bytes] = self._raw
        try:
            self.encoding = encoding or self._found_encoding() or "utf-8"
            if not _has_ascii_lines(self.encoding):
                self._copy_as_utf8()
        except (UnicodeError, *_BROKEN):
            raise Unreadable(
                f"{path} cannot be read as {encoding or 'text'}: the file is damaged, or has another encoding."
            ) from None
        self.bytes = self._raw.seek(0, io.SEEK_END)
        name = path.name.removesuffix(".gz").lower()
        self.is_json = name.endswith((".jsonl", ".ndjson")) or (not name.endswith(".csv") and self._begins("{"))
        if not self.is_json and not name.endswith(".csv") and self._begins("["):
            raise self._unreadable(f"{path} is one JSON array: write each order on a line of its own (jq -c '.[]').")
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
        """The SHA-256 of the file on disk."""
        return self._digest

    def read_bytes(self) -> int:
        """The number of bytes that have been read, out of `bytes`."""
        return self._raw.tell()

    def rows(self, place: Place | None = None) -> Iterator[Row]:
        """All rows, or those from `place` on."""
        place = max(place or self._body, self._body, key=lambda p: p.offset)
        self._seek(place)
        lines = _Lines(self._file, self.encoding, place)
        return self._json_rows(lines) if self.is_json else self._csv_rows(lines)

    def _seek(self, place: Place) -> None:
        self._raw.seek(0)
        # A new GzipFile each time, since it does not notice a seek in the underlying file.
        self._file = gzip.GzipFile(fileobj=self._raw) if self._packed else self._raw  # type: ignore[assignment]
        self._file.seek(place.offset)

    def _unreadable(self, message: str) -> Unreadable:
        self._raw.close()
        return Unreadable(message)

    def _head(self, size: int) -> bytes:
        self._raw.seek(0)
        return self._raw.read(size)

    def _begins(self, text: str) -> bool:
        self._seek(Place())
        try:
            begin = self._file.read(64)
        except _BROKEN:
            raise self._unreadable(_CUT_SHORT) from None
        return begin.removeprefix(codecs.BOM_UTF8).lstrip().startswith(text.encode())

    def _chunks(self) -> Iterator[bytes]:
        self._seek(Place())
        while chunk := self._file.read(_CHUNK):
            yield chunk

    def _found_encoding(self) -> str:
        """The encoding; empty if the file cannot be decompressed: reading the rows then reports the line.

        Text in Windows-1252 is almost never valid UTF-8 by chance, so one valid non-ASCII character means UTF-8.
        """
        strict, lenient = (codecs.getincrementaldecoder("utf-8")(errors) for errors in ("strict", "ignore"))
        is_valid = True
        try:
            self._seek(Place())
            begin = self._file.read(4)
            if begin[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                return "utf-16"
            # UTF-16 without a byte order mark: every second byte of ASCII text is 0.
            if begin[1:4:2] == b"\0\0" or begin[0:4:2] == b"\0\0":
                return "utf-16-le" if begin[1:2] == b"\0" else "utf-16-be"
            for number, chunk in enumerate(self._chunks()):
                if is_valid:
                    try:
                        strict.decode(chunk)
                    except UnicodeDecodeError:
                        is_valid = False
                if not lenient.decode(chunk.removeprefix(codecs.BOM_UTF8) if number == 0 else chunk).isascii():
                    return "utf-8"
        except _BROKEN:
            return ""
        return "utf-8" if is_valid else "cp1252"

    def _copy_as_utf8(self) -> None:
        self._seek(Place())
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the source
        try:
            text = io.TextIOWrapper(self._file, self.encoding, newline="")
            target = io.TextIOWrapper(copy, "utf-8", newline="")
            shutil.copyfileobj(text, target, _CHUNK)
            target.flush()
            target.detach()
        except BaseException:
            copy.close()
            raise
        # Closing the wrapper closes the original file.
        text.close()
        self._raw.close()
        self._raw, self._file, self._packed, self.encoding = copy, copy, False, "utf-8"

    def _read_header(self) -> None:
        self._seek(Place())
        lines = _Lines(self._file, self.encoding, Place())
        try:
            first = next(lines, "")
            if separator := _EXCEL_SEPARATOR.fullmatch(first):
                self._delimiter, first = separator[1], next(lines, "")
            else:
                self._delimiter = max(_DELIMITERS, key=first.count)
            # The name of a column may contain a line break.
            reader = csv.reader(_chain(first, lines), delimiter=self._delimiter, strict=True)
            self.columns = [name.strip() for name in next(reader, [])]
        except (_Fault, csv.Error) as error:
            raise Unreadable(f"The header row cannot be read: it {error}.") from None
        except _BROKEN:
            raise Unreadable(_CUT_SHORT) from None
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
                raise Unreadable(
                    f"The file cannot be decompressed after line {lines.line}: it was cut short."
                ) from None
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
                # The error's text is not shown, since it may quote the row.
                fault = "has a key twice" if "twice" in error.message else "is not valid JSON"
            except _BROKEN:
                raise Unreadable(
                    f"The file cannot be decompressed after line {lines.line}: it was cut short."
                ) from None
            yield Row(line, lines.place, values, fault)


def _has_ascii_lines(encoding: str) -> bool:
    """Whether lines end exactly at bytes of value 10, unlike in UTF-16. Raises LookupError for an unknown encoding."""
    return "\n".encode(encoding) == b"\n"


def _chain(first: str, lines: _Lines) -> Iterator[str]:
    yield first
    yield from lines
