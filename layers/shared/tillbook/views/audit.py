"""The self-audit: adds up a person's orders and compares the sums with those stored for the person.

It shares no arithmetic with the ledger: the ledger adds differences as decimals, the audit adds whole contributions as
fractions. They share only the names of keys and attributes (ledger/items.py).
"""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tillbook.aws import clients
from tillbook.aws.items import Item, plain_item, raw
from tillbook.aws.retries import error_code, is_transient
from tillbook.aws.settings import settings
from tillbook.aws.telemetry import count, logger, observed
from tillbook.ledger.items import TIMELINE, Scope, order_key_of
from tillbook.records.book import Book
from tillbook.records.scopes import Marks, Scopes
from tillbook.views.book_audit import BookAuditor, Difference

EXACT, DRIFT, UNSETTLED = "exact", "drift", "unsettled"

_HEADS = 99  # a transaction reads at most 100 items: the person and 99 orders
# Seconds before each comparison. A difference counts only if it is the same after two more pauses without a write to
# the person, since the index is slightly behind the table. A write starts the count again.
_PAUSES = (0.0, 1.0, 4.0, 1.0, 4.0, 1.0, 4.0)
_SEEN_AGAIN = 2
_TRIES = 8  # of a transaction that reads a person and their orders
_SCAN_ITEMS = 100  # items that one scan reads
_MOST_EMPTY_PLACES = 40  # places in a row without a new person, after which the search for people ends
_MARGIN_SECONDS = 5.0  # between the deadline and the time-out, for the call that has begun and the metrics
_CELL = re.compile(r"(#?)([A-Z]{3}|\*)")
_KINDS = {"": "amount", "#": "orders"}

Cells = dict[tuple[str, str, str], Fraction]  # (source, currency or `*`, a key of _KINDS)


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference. `what` is `amount` (currency units) or `orders` (their number). `*` is the account's currency."""

    source: str
    currency: str
    what: str
    stored: str
    computed: str


@dataclass(frozen=True, slots=True)
class Audited:
    """The result for a person. `status`: exact, drift, or unsettled (constant writes, or too little time to audit)."""

    account: str
    person: str
    orders: int
    status: str
    findings: tuple[Finding, ...] = ()


class _Moved(Exception):
    """Raised if a person could not be read as of one moment: because of writes, failed reads, or too little time."""


@dataclass(frozen=True)
class Auditor:
    """Compares stored sums with orders; writes nothing.

    `client` is a DynamoDB client; `place` returns a random place in the ledger, as 32 hexadecimal digits.
    """

    client: Any
    ledger_table: str
    records_table: str
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    place: Callable[[], str] = lambda: uuid.uuid4().hex

    # ---------------------------------------------------------- one person

    def audit(self, account: str, person: str, deadline: float = math.inf) -> Audited:
        """Audits a person (our own id). `deadline` is in seconds of `clock()`."""
        before, again, orders = None, 0, 0
        for pause in _PAUSES:
            if self.clock() + pause >= deadline:
                break
            self.sleep(pause)
            try:
                token, orders, findings = self._compared(account, person, deadline)
            except _Moved:
                before, again = None, 0
                continue
            if not findings:
                return Audited(account, person, orders, EXACT)
            again = again + 1 if before == (token, findings) else 0
            before = token, findings
            if again == _SEEN_AGAIN:
                return Audited(account, person, orders, DRIFT, findings)
        return Audited(account, person, orders, UNSETTLED)

    def _compared(self, account: str, person: str, deadline: float) -> tuple[Any, int, tuple[Finding, ...]]:
        """The person's tokens, the number of their orders, and the differences. Raises _Moved.

        One transaction reads the person with up to 99 orders. With more orders, each transaction reads the person
        again: every change of an order's contribution sets a new token, so equal tokens prove that nothing changed.
        """
        computed: Cells = {}
        stored: Cells = {}
        tokens: list[Any] = []
        orders = 0
        for scope in self._marks(account).scopes():
            keys = self._orders(scope, person)
            token = None
            for start in range(0, len(keys) or 1, _HEADS):
                if self.clock() >= deadline:
                    raise _Moved
                item, heads = self._snapshot(scope, person, keys[start : start + _HEADS])
                if start and item.get("token") != token:
                    raise _Moved
                token = item.get("token")
                stored |= _cells(scope.source, item)
                for head in heads:
                    if head.get("person") == person:  # neither deleted nor moved to another person
                        orders += 1
                        _add(computed, scope.source, head)
            tokens.append(token)
        return tokens, orders, _differences(stored, computed)

    def _marks(self, account: str) -> Marks:
        return Scopes(self.client, self.records_table).read(account)

    def _orders(self, scope: Scope, person: str) -> list[str]:
        """The keys of all orders on the person's timeline, which has every event that names the person."""
        arguments: dict[str, Any] = {
            "TableName": self.ledger_table, "IndexName": TIMELINE, "KeyConditionExpression": "timeline = :person",
            "ExpressionAttributeValues": raw({":person": scope.timeline(person)}),
        }  # fmt: skip
        keys: dict[str, None] = {}
        while True:
            page = self.client.query(**arguments)
            for event in map(plain_item, page["Items"]):
                keys[order_key_of(event["sk"])] = None
            if "LastEvaluatedKey" not in page:
                return list(keys)
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _snapshot(self, scope: Scope, person: str, order_keys: list[str]) -> tuple[Item, list[Item]]:
        """The person (empty if unknown) and the heads, as of one moment. Raises _Moved."""
        wanted = [scope.person_key(person), *(scope.head_key(key) for key in order_keys)]
        gets = [{"Get": {"TableName": self.ledger_table, "Key": raw(key)}} for key in wanted]
        for attempt in range(_TRIES):
            try:
                answers = self.client.transact_get_items(TransactItems=gets)["Responses"]
            except (ClientError, BotoCoreError) as error:
                # A transaction is cancelled if one of the items is being written.
                if not is_transient(error) and error_code(error) != "TransactionCanceledException":
                    raise
                self.sleep(0.02 * 2**attempt)
                continue
            item, *heads = (plain_item(answer.get("Item") or {}) for answer in answers)
            return item, [head for head in heads if head]
        raise _Moved

    # ---------------------------------------------------------------- picks

    def people(self, pages: int, account: str = "") -> Iterator[tuple[str, str]]:
        """(account, person) from `pages` random places of the ledger, without repeats; only of `account` if given.

        Each scan begins after a random key, which need not exist. If a scope is known (of `account`, or from the scan
        before), the key has the form of a person's key in this scope, so that the scan begins among people. The search
        ends after 40 places in a row without a new person.
        """
        scopes = [scope.name for scope in self._marks(account).scopes()] if account else [""]
        seen, empty = set[tuple[str, str]](), 0
        for number in range(pages):
            if empty == _MOST_EMPTY_PLACES:
                return
            empty += 1
            place = self.place()
            start = {"pk": f"{scopes[number % len(scopes)]}/p/{place[:2]}", "sk": place}
            page = self._scan(account, Limit=_SCAN_ITEMS, ExclusiveStartKey=raw(start))
            if "LastEvaluatedKey" in page and not account:
                scopes = ["/".join(str(page["LastEvaluatedKey"]["pk"]["S"]).split("/")[:2])]
            for one in self._current(page):
                if one not in seen:
                    empty = 0
                    seen.add(one)
                    yield one

    def everybody(self, account: str = "") -> Iterator[tuple[str, str]]:
        """(account, person) of everybody in the ledger. Reads the whole table."""
        arguments: dict[str, Any] = {}
        seen: set[tuple[str, str]] = set()
        while True:
            page = self._scan(account, **arguments)
            for one in self._current(page):
                if one not in seen:
                    seen.add(one)
                    yield one
            if "LastEvaluatedKey" not in page:
                return
            arguments = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _scan(self, account: str, **arguments: Any) -> Any:
        condition, values = "contains(pk, :people)", {":people": "/p/"}
        if account:
            condition, values = f"{condition} AND begins_with(pk, :account)", values | {":account": f"{account}/"}
        return self.client.scan(
            TableName=self.ledger_table,
            FilterExpression=condition,
            ProjectionExpression="pk, sk",
            ExpressionAttributeValues=raw(values),
            **arguments,
        )

    def _current(self, page: Any) -> Iterator[tuple[str, str]]:
        """The people on a page who are in a current scope. All others are purged, and a job is deleting them."""
        marks: dict[str, Marks] = {}
        for item in map(plain_item, page["Items"]):
            scope = Scope.of(item["pk"])
            known = marks.get(scope.account) or self._marks(scope.account)
            marks[scope.account] = known
            if scope == known.scope(scope.source):
                yield scope.account, item["sk"]


def _add(cells: Cells, source: str, head: Item) -> None:
    currency = str(head.get("currency") or "*")
    for kind, value in (("", Fraction(head["contribution"])), ("#", Fraction(1))):
        cells[source, currency, kind] = cells.get((source, currency, kind), Fraction(0)) + value


def _cells(source: str, person: Item) -> Cells:
    """The sums among a person's attributes."""
    found = ((_CELL.fullmatch(name), value) for name, value in person.items())
    return {(source, cell[2], cell[1]): Fraction(value) for cell, value in found if cell}


def _differences(stored: Cells, computed: Cells) -> tuple[Finding, ...]:
    """The cells that differ. A missing cell is 0."""
    return tuple(
        Finding(cell[0], cell[1], _KINDS[cell[2]], _text(one), _text(other))
        for cell in sorted(stored.keys() | computed.keys())
        if (one := stored.get(cell, Fraction(0))) != (other := computed.get(cell, Fraction(0)))
    )


def _text(value: Fraction) -> str:
    """The exact decimal text. Amounts have at most four decimals, so sums need no rounding."""
    with localcontext(prec=60):
        return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}"


# ------------------------------------------------------------------ the function

_PLACES = 40  # scans of 100 items each: about a dollar a year, however large the ledger is
_PEOPLE_IN_THE_BOOK = 20  # number of people whose orders are compared with the book
_KEEPER_SECONDS = 60.0  # longest time that keep_book takes for a batch


@observed
def scheduled(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Audits random people, the cards of the first of them, and the cards of one day, as far as time allows.

    Logs findings, publishes metrics, and returns the number of people by status.

    `event` has `people`, the number of people to audit, and `window`, how long (in seconds) a change may wait before it
    is put in the book.
    """
    wanted, done = int(event["people"]), {EXACT: 0, DRIFT: 0, UNSETTLED: 0}
    client, env = clients.dynamodb(), settings()
    auditor = Auditor(client, env.ledger_table, env.records_table)
    book = BookAuditor(Book(client, env.book_table), env.ledger_table)
    suspects, scopes = set[Difference](), list[Scope]()
    deadline = auditor.clock() + context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
    try:
        for account, person in auditor.people(_PLACES):
            if sum(done.values()) >= wanted or auditor.clock() >= deadline:
                break
            audited = auditor.audit(account, person, deadline)
            done[audited.status] += 1
            _log_findings(audited)
            if sum(done.values()) <= _PEOPLE_IN_THE_BOOK:
                for scope in auditor._marks(account).scopes():
                    places = book.places_of_orders(scope, auditor._orders(scope, person))
                    suspects, scopes = suspects | book.differences(places), [*scopes, scope]
        if scopes:
            choice = int(auditor.place(), 16)
            first = choice % len(scopes)
            # The scopes are tried from a random one on, until one has a day with cards.
            days = (book.places_of_day(scope, choice) for scope in scopes[first:] + scopes[:first])
            suspects |= book.differences(next(filter(None, days), []))
        _count_skipped(auditor, book, suspects, float(event["window"]) + _KEEPER_SECONDS, deadline)
        count("AuditRuns")
    finally:
        count("AuditedPeople", done[EXACT] + done[DRIFT])
        count("AuditDrift", done[DRIFT])
        count("AuditUnsettled", done[UNSETTLED])
    logger.info("audit", exact=done[EXACT], drift=done[DRIFT], unsettled=done[UNSETTLED])
    return done


def _count_skipped(
    auditor: Auditor, book: BookAuditor, suspects: set[Difference], seconds: float, deadline: float
) -> None:
    """Waits `seconds`, as long as the book may be behind, and counts the differences that remain, which rings an alarm.

    Does nothing if there is not enough time to wait.
    """
    if suspects and auditor.clock() + seconds < deadline:
        auditor.sleep(seconds)
        lasting = suspects & book.differences(suspect.place for suspect in suspects)
        for place, writes in sorted(lasting):
            logger.warning("change skipped", account=place.scope.account, order_key=place.order_key, writes=writes)
        if lasting:
            count("BookSkipped", len(lasting))


def _log_findings(audited: Audited) -> None:
    for finding in audited.findings:
        logger.warning(
            "audit drift",
            account=audited.account,
            person=audited.person,
            orders=audited.orders,
            source=finding.source,
            currency=finding.currency,
            what=finding.what,
            stored=finding.stored,
            computed=finding.computed,
        )
