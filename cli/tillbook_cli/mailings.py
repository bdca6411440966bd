"""Reads files of mailings row by row: recipient, campaign, date and cost of each piece, and held-out people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

from tillbook.contract.match import MatchPerson
from tillbook.contract.validation import Context, validated
from tillbook.rules.amounts import ZERO, AmountError, parse_amount
from tillbook.rules.errors import Invalid
from tillbook.rules.identity import email_sha256, is_email
from tillbook.rules.json_text import Json

from . import histories
from .mappings import BadMapping, Mapping, same_name, shown, with_dates
from .rows import Row, Source

# The usual names of columns by field, tried in this order. Case, spaces and punctuation are ignored.
COLUMNS: dict[str, tuple[str, ...]] = {
    "campaign": ("campaign", "campaign name", "campaign id", "mailing", "mailing name", "mailing id"),
    "mailed_on": ("mailed on", "mail date", "mailed at", "date mailed", "send date", "sent on", "sent at", "drop date",
                  "date"),
    "cost": ("cost", "piece cost", "cost per piece", "unit cost", "price"),
    "holdout": ("holdout", "hold out", "is holdout", "control", "is control", "control group", "group"),
    "email": ("email", "email address", "customer email", "recipient email"),
    "email_sha256": ("email sha256", "email hash", "hashed email", "customer email sha256", "sha256"),
    "customer_id": ("customer id", "customer"),
    "address_1": ("address 1", "address line 1", "address", "street", "street address", "shipping address 1",
                  "recipient address 1"),
    "address_2": ("address 2", "address line 2", "apartment", "unit", "shipping address 2", "recipient address 2"),
    "city": ("city", "town", "shipping city", "recipient city"),
    "state": ("state", "province", "region", "state name", "shipping state", "recipient state"),
    "postal_code": ("postal code", "zip", "zip code", "zipcode", "postcode", "shipping postal code", "shipping zip",
                    "recipient zip", "recipient postal code"),
    "country": ("country", "country code", "shipping country", "recipient country"),
}  # fmt: skip
_ADDRESS = ("address_1", "address_2", "city", "state", "postal_code", "country")
_HELD_OUT = frozenset({"1", "true", "yes", "y", "t", "x", "holdout", "hold out", "held out", "control"})
_MAILED = frozenset({"", "0", "false", "no", "n", "f", "mailed", "mail", "treatment", "treated", "test", "exposed"})


@dataclass(frozen=True, slots=True)
class Piece:
    """One row: a mailed piece, or a person who was held out.

    `held_out`: the person was not mailed, for comparison. `cost` is in currency units, None if no cost is known.
    `person` is in the form of the match API, with the hash of an e-mail address.
    """

    line: int
    campaign: str
    mailed_on: date
    held_out: bool
    cost: Decimal | None
    person: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Fault:
    line: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column or 'row'}: {self.message}"


@dataclass(frozen=True)
class Mailings:
    """A file with its columns, by field. `cost`: the cost of a piece whose row has none. `dates`: the date formats."""

    source: Source
    columns: dict[str, str]
    dates: Mapping
    cost: Decimal | None = None

    @classmethod
    def of(cls, source: Source, given: dict[str, str], date_format: str = "", cost: Decimal | None = None) -> Mailings:
        """The mailings of a file. `given` are columns by field.

        Raises Unreadable; BadMapping if a needed or given column is missing, or a given field is unknown.
        """
        # JSON lines have no header: the names in the first rows are the columns.
        names = source.columns or list(islice((name for row in source.rows() for name in row.values), 200))
        known = {same_name(name): name for name in names}
        found: dict[str, str] = {}
        for field_, wanted in COLUMNS.items():
            there = [known[same_name(name)] for name in wanted if same_name(name) in known]
            if there:
                found[field_] = there[0]
        for field_, column in given.items():
            if field_ not in COLUMNS:
                raise BadMapping(f"There is no field {field_}, only {', '.join(COLUMNS)}.")
            if same_name(column) not in known:
                raise BadMapping(f"The file has no column {shown(column)}.")
            column = known[same_name(column)]
            found = {name: own for name, own in found.items() if own != column} | {field_: column}
        listed = f"The file has {', '.join(map(shown, names[:60]))}."
        if "mailed_on" not in found:
            raise BadMapping(f'No column is the date of the mailing. {listed} Name it: --column mailed_on="…".')
        if not {"address_1", "email", "email_sha256", "customer_id"} & found.keys():
            raise BadMapping(f'No column identifies the recipient. {listed} Name one: --column address_1="…".')
        dates = Mapping("mailings", {})
        return cls(source, found, with_dates(dates, date_format) if date_format else dates, cost)

    def pieces(self) -> Iterator[Piece | Fault]:
        """Yields each row as a piece, or as a fault if it cannot be read."""
        for row in self.source.rows():
            if row.fault:
                yield Fault(row.line, "", row.fault)
                continue
            try:
                yield self._piece(row)
            except _Wrong as wrong:
                yield Fault(row.line, shown(self.columns.get(wrong.field, "")), wrong.message)

    def _piece(self, row: Row) -> Piece:
        value = {field_: _text(row.values.get(column)) for field_, column in self.columns.items()}
        mailed_on = histories.time_of(value["mailed_on"], self.dates)
        if mailed_on is None:
            raise _Wrong("mailed_on", "must be a date, as 2026-01-31; --date-format us reads 01/31/2026")
        return Piece(
            row.line,
            value.get("campaign", ""),
            mailed_on[0].date(),
            _held_out(value.get("holdout", "")),
            self._cost(value),
            _person(value),
        )

    def _cost(self, value: dict[str, str]) -> Decimal | None:
        if "cost" not in self.columns:
            return self.cost
        if not value["cost"]:
            return self.cost or ZERO
        try:
            cost = parse_amount(value["cost"].lstrip("$€£"))[0]
        except AmountError as error:
            raise _Wrong("cost", str(error)) from None
        if cost < 0:
            raise _Wrong("cost", "must be at least 0")
        return cost


class _Wrong(Exception):
    """A value of a row is wrong."""

    def __init__(self, field_: str, message: str) -> None:
        super().__init__(message)
        self.field, self.message = field_, message


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _held_out(text: str) -> bool:
    word = " ".join(text.lower().replace("_", " ").replace("-", " ").split())
    if word in _HELD_OUT:
        return True
    if word in _MAILED:
        return False
    raise _Wrong("holdout", "must be yes or no (or holdout, control, mailed)")


def _person(value: dict[str, str]) -> dict[str, Json]:
    """The person in the form of the match API. An e-mail address is hashed here, and never sent."""
    person: dict[str, Json] = {}
    if email := value.get("email"):
        if not is_email(email):
            raise _Wrong("email", "must be an e-mail address")
        person["email_sha256"] = email_sha256(email)
    for name in ("email_sha256", "customer_id"):
        if value.get(name):
            person.setdefault(name, value[name])
    # An address needs a street or a postal code: a city alone is none.
    if value.get("address_1") or value.get("postal_code"):
        person["address"] = {name: value[name] for name in _ADDRESS if value.get(name)}
    if not person:
        raise _Wrong("address_1", "is empty, and so is every other column that identifies the recipient")
    try:
        # The API's own checks, so that the API refuses no row after part of the file has been sent.
        validated(MatchPerson, person, Context([]))
    except Invalid as invalid:
        first = invalid.errors[0]
        raise _Wrong(first.field.rpartition(".")[2], first.message) from None
    return person


def without_campaign(piece: Piece, name: str) -> Piece:
    """The piece, with the campaign `name` if its row has no campaign."""
    return piece if piece.campaign else replace(piece, campaign=name)
