"""Problems of a file as a whole, which would make sums wrong although every row is valid.

A check collects them while it reads the file. `Findings.refusals` returns each with its remedy; if there is any, the
file is not sent. Only status words, sums and hashes of the file's values are stored. Repeats are found by the hashes,
in a SQLite database which moves to disk when it grows large.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tillbook.contract.orders_api import Order
from tillbook.contract.platforms.statuses import STATUSES, unambiguous_words, words_of
from tillbook.contract.shopper_activity import OrderActivity
from tillbook.rules.amounts import EXACT, ZERO, AmountError, parse_amount
from tillbook.rules.identity import payload_hash
from tillbook.rules.json_text import Json

from . import histories
from .mappings import MEANINGS, Mapping, Record, shown
from .rows import Row

_REFUND = re.compile(
    r"refund(?!able)|charge_?back|credit_?(memo|note)|return(s|ed)?_?(amount|total|value)|given_?back|money_?back"
    r"|reversal|erstatt|storno_?betrag|gutschrift|rembours|(^|_)avoirs?(_|$)|reembols|devol|rimbors|terugbet|återbet",
)
_NUMBER = re.compile(r"-?\d[\d.]*")
_CANCELED = re.compile(r"cancel(?!l?able)|storn")
_STATUS = re.compile(r"status|state$")
# Status words of orders that count nothing. A check searches for them in columns that no field reads.
_ENDED = {word for word, meaning in unambiguous_words().items() if meaning in ("skip", "unpaid", "refunded")}
_NOT_FILLED = frozenset({"", "0", "no", "false", "none", "null", "n/a", "-", "not refunded", "n"})
# The most words or columns that a message lists, and the most kinds of notes and pairs of lines that are stored.
_MOST = 20
_MOST_WORDS = 1000  # different status words that are counted
_MOST_CACHED = 1000  # the tests of at most this many columns are cached


def sounds_like_loss(column: str) -> bool:
    """Whether a column's name suggests refunds or canceled orders."""
    name = _plain(column)
    return bool(_REFUND.search(name) or _CANCELED.search(name))


def _plain(column: str) -> str:
    return re.sub(r"[\s\W_]+", "_", column.casefold())


class _Seen:
    """The orders and events read so far, as hashes."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("")  # SQLite moves it to a temporary file once it is large
        self._table.execute("CREATE TABLE seen (name BLOB PRIMARY KEY, content BLOB, line INTEGER) WITHOUT ROWID")

    def add(self, name: str, content: str, line: int) -> tuple[int, bool] | None:
        """Adds an entry. Returns (line, whether the content is equal) of an earlier entry with this name, if any."""
        key, digest = (hashlib.blake2b(text.encode(), digest_size=16).digest() for text in (name, content))
        try:
            self._table.execute("INSERT INTO seen VALUES (?, ?, ?)", (key, digest, line))
        except sqlite3.IntegrityError:
            row = self._table.execute("SELECT line, content FROM seen WHERE name = ?", (key,)).fetchone()
            return int(row[0]), row[1] == digest
        return None

    def close(self) -> None:
        self._table.close()


@dataclass
class Findings:
    """The findings of one check. `mapping` is None for JSON lines in the form of the API (`api`, v1 or v3)."""

    api: str
    mapping: Mapping | None
    columns: list[str]
    no_amounts: bool = False
    ignore_repeats: bool = False
    ignored: tuple[str, ...] = ()

    unknown_words: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)  # status words of records that are not sent
    losses: dict[str, int] = field(default_factory=dict)  # the first line with a loss, by unread column
    notes: Counter[str] = field(default_factory=Counter)
    repeats: list[tuple[int, int]] = field(default_factory=list)  # the first repeats, as (line, earlier line)
    repeats_count: int = 0
    conflicts: list[tuple[int, int]] = field(default_factory=list)  # the first orders repeated with other content
    conflicts_count: int = 0
    without_offset: int = 0
    without_currency: int = 0
    with_amount: int = 0
    orders: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)
    _seen: _Seen = field(default_factory=_Seen)
    _suspects: dict[str, Callable[[Any], bool] | None] = field(default_factory=dict)

    # ------------------------------------------------------------------ notes

    def watched(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yields the rows unchanged. Notes unread columns whose values suggest refunds or canceled orders."""
        columns = [column for column in self.columns if self._suspect(column)]
        for row in rows:
            if not self._is_refund(row):
                values = row.values
                found = ((c, values.get(c)) for c in columns) if self.columns else _paths(values)
                for column, value in found:
                    if (is_loss := self._suspect(column)) and column not in self.losses and is_loss(value):
                        self.losses[column] = row.line
            yield row

    def _is_refund(self, row: Row) -> bool:
        """Whether the row is a refund or a cancellation, which has its own amount."""
        columns = self.mapping.fields.get("action", []) if self.mapping else ["action"]
        return any(row.values.get(column) in ("refunded", "canceled") for column in columns)

    def _suspect(self, column: str) -> Callable[[Any], bool] | None:
        """The test of whether a value of a suspicious column is a loss; None for any other column."""
        if column in self._suspects:
            return self._suspects[column]
        found: Callable[[Any], bool] | None = None
        if not self._is_read(column):
            found = _is_filled if sounds_like_loss(column) else _is_ended if _STATUS.search(_plain(column)) else None
        if len(self._suspects) < _MOST_CACHED:
            self._suspects[column] = found
        return found

    def _is_read(self, column: str) -> bool:
        if self.mapping is None:
            model = Order if self.api == "v1" else OrderActivity
            return column.partition(".")[0] in model.model_fields or column in self.ignored
        used = self.mapping.used
        # In JSON, a part of the column may be read: refunds[].amount.
        parts = any(path.startswith((f"{column}.", f"{column}[")) for path in used)
        return column in used or parts or self.mapping.ignores(column)

    def note_record(self, record: Record) -> None:
        """Counts unknown and skipped status words, and times without an offset, if the file has a mapping."""
        if self.mapping is None or histories.is_event(record):
            return
        means = histories.meaning(record, self.mapping)
        if means in ("unknown", "skip"):
            words = self.unknown_words if means == "unknown" else self.skipped
            word = shown(str(record["status"]).strip()[:60])
            if len(words) < _MOST_WORDS or word in words:
                words[word] += 1
        self.without_offset += histories.is_naive(record.get("occurred_at"), self.mapping)

    def note(self, notes: Iterable[str]) -> None:
        """Counts the notes that the API would return for a good row. Notes that differ only in numbers are one kind."""
        for note in notes:
            kind = _NUMBER.sub("…", note)
            if len(self.notes) < _MOST or kind in self.notes:
                self.notes[kind] += 1

    def note_payload(self, line: int, payload: dict[str, Json], is_event: bool) -> None:
        """Counts a good row's payload, adds up its amount unless it is an event, and notes repeats."""
        self.orders += 1
        self.without_currency += not payload.get("currency")
        name = "total" if self.api == "v1" else "grand_total"
        self.with_amount += any(payload.get(n) not in (None, "") for n in (name, "refund_amount"))
        content = payload_hash(payload)
        if is_event:
            earlier = self._seen.add(content, content, line)
        else:
            earlier = self._seen.add(f"{payload.get('provider')}\n{payload.get('order_id')}", content, line)
            self._add(str(payload.get("currency") or ""), payload.get(name))
        if earlier is None:
            return
        if earlier[1]:
            self.repeats_count += 1
            pairs = self.repeats
        else:
            self.conflicts_count += 1
            pairs = self.conflicts
        if len(pairs) < _MOST:
            pairs.append((line, earlier[0]))

    def _add(self, currency: str, amount: Any) -> None:
        try:
            value = parse_amount(amount)[0] if amount is not None else ZERO
        except AmountError:
            return
        self.amounts[currency] = EXACT.add(self.amounts.get(currency, ZERO), value)

    # -------------------------------------------------------------- messages

    def refusals(self) -> list[str]:
        """Reasons for not sending the file, each with its remedy. Call it once: it closes the database."""
        self._seen.close()
        found = []
        if self.orders and not self.with_amount and not self.no_amounts:
            found.append("None of the orders has an amount. To import them without amounts, give --no-amounts.")
        if self.unknown_words:
            found.append(self._unknown_words())
        if self.losses:
            names = _listed(f"{shown(column)} (line {line:,})" for column, line in self.losses.items())
            found.append(
                f"These columns are not read, but may hold refunds or canceled orders: {names}. For the refunded "
                'amount of the order, give --column refunded_amount="…"; for its state, --column status="…" or '
                'canceled_at="…"; for a column that is not needed, --ignore "…".'
            )
        if self.conflicts:
            found.append(self._conflicting_orders())
        if self.repeats and not self.ignore_repeats:
            lines = _lines(self.repeats, self.repeats_count)
            found.append(
                f"Repeated orders or events: {lines}. The API counts each once. Delete the repeats, or give "
                "--ignore-repeats. If they are separate events (two refunds on one day), give each a time of day in "
                "occurred_at, or a refund_id."
            )
        return found

    def _unknown_words(self) -> str:
        platform = self.mapping.platform if self.mapping else ""
        words = _listed(f"{word} ({count:,})" for word, count in self.unknown_words.most_common(_MOST))
        own = self.mapping.statuses if self.mapping else {}
        known = ", ".join(sorted({*(STATUSES[platform] if platform else unambiguous_words()), *own}))
        first = next(iter(self.unknown_words))
        return (
            f'Unknown status words: {words}. Give the meaning of each: --status "{first}=…", with one of '
            f"{', '.join(MEANINGS)}. Known words are {known}."
        )

    def _conflicting_orders(self) -> str:
        lines = _lines(self.conflicts, self.conflicts_count)
        if self.mapping and self.mapping.group_by:
            column = ", ".join(map(shown, self.mapping.group_by))
            how = f"Sort the file so that the rows of one {column} follow each other"
        elif self.columns:
            column = shown(self.mapping.fields["order_id"][0]) if self.mapping else "order_id"
            how = f'If each row is an item of an order, give --group-by "{column}"'
        else:
            how = "Keep one line for each order"
        return (
            f"Orders repeated with other content: {lines}. One would replace the other. {how}. If they are states of "
            "the order, import each state from a separate file, the newest last."
        )

    def warnings(self) -> list[str]:
        """Facts that the user should know, but that do not prevent the import."""
        found = []
        found += [f"{count:,} × {note}" for note, count in self.notes.most_common(5)]
        if self.skipped:
            words = _listed(f"{word} ({count:,})" for word, count in self.skipped.most_common(_MOST))
            found.append(
                f"Not sent, since their status means that they are not orders yet: {words}. If such an order was "
                f'counted earlier, --status "{next(iter(self.skipped))}=unpaid" sets it to 0.'
            )
        if self.without_offset and self.mapping and not self.mapping.time_zone:
            found.append(
                f"{self.without_offset:,} times have no offset and are read as UTC. If the shop uses another time "
                "zone, give --time-zone; otherwise orders may seem to be placed after their webhooks."
            )
        if self.without_currency:
            currency = "USD" if self.api == "v1" else "the account's currency"
            found.append(
                f"{self.without_currency:,} orders name no currency. They count in {currency} "
                "unless you give --currency."
            )
        return found

    def sum_line(self) -> str:
        """A text with the sum of the orders, for comparison with the shop's report; empty for events."""
        if not self.amounts:
            return ""
        sums = ", ".join(f"{amount:,.2f} {currency}".strip() for currency, amount in sorted(self.amounts.items()))
        return f"Sum of all orders, net of refunds: {sums}. Compare it with your shop's own report."


def _paths(values: Record, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of each value in JSON, without the contents of lists."""
    for name, value in values.items():
        yield f"{path}{name}", value
        if isinstance(value, dict) and path.count(".") < 4:
            yield from _paths(value, f"{path}{name}.")


def _is_filled(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, (dict, list)):
        return isinstance(value, list) and bool(value)  # each value in a dict has a path of its own (_paths)
    try:
        return parse_amount(value)[0] != 0
    except AmountError:
        return str(value).strip().casefold() not in _NOT_FILLED


def _is_ended(value: Any) -> bool:
    return isinstance(value, str) and words_of(value) in _ENDED


def _listed(texts: Iterable[str]) -> str:
    found = list(texts)
    more = len(found) - _MOST
    return ", ".join(found[:_MOST]) + (f" and {more:,} more" if more > 0 else "")


def _lines(pairs: list[tuple[int, int]], count: int) -> str:
    listed = ", ".join(f"line {line:,} repeats line {earlier:,}" for line, earlier in pairs[:5])
    return f"{listed} ({count:,} in all)" if count > 5 else listed
