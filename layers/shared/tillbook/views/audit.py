"""The self-audit: adds up a person's orders and compares with what stands with the person.

It shares no arithmetic with the ledger: the ledger moves differences of decimals, this adds whole contributions as
fractions. Only the names of keys and attributes are common (ledger/items.py).
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
from tillbook.aws.retries import error_code, is_passing
from tillbook.aws.settings import settings
from tillbook.aws.telemetry import count, logger, observed
from tillbook.ledger.items import TIMELINE, Scope, order_key_of
from tillbook.records.scopes import Marks, Scopes

EXACT, DRIFT, UNSETTLED = "exact", "drift", "unsettled"

_HEADS = 99  # a transaction takes 100 items, and the person is one
# A difference must stand through both pauses (seconds) while nobody writes the person: the index runs a moment behind
# the table. Where somebody writes, it begins again.
_PAUSES = (0.0, 1.0, 4.0, 1.0, 4.0, 1.0, 4.0)
_SEEN_AGAIN = 2
_TRIES = 8
_SCAN_ITEMS = 100
_BARREN = 40
_MARGIN_SECONDS = 5.0
_CELL = re.compile(r"(#?)([A-Z]{3}|\*)")
_KINDS = {"": "amount", "#": "orders"}

Cells = dict[tuple[str, str, str], Fraction]  # (source, currency or `*`, `#` for the number of orders)


@dataclass(frozen=True, slots=True)
class Finding:
    """What differs: `amount` (currency units) or number of `orders`; currency `*` is the account's, whichever it is."""

    source: str
    currency: str
    what: str
    stored: str
    computed: str


@dataclass(frozen=True, slots=True)
class Audited:
    """`status`: exact, drift, or unsettled where the person was written all the time or the time ran out."""

    account: str
    person: str
    orders: int
    status: str
    findings: tuple[Finding, ...] = ()


class _Moved(Exception):
    """Something was written between two reads that had to be one."""


@dataclass(frozen=True)
class Auditor:
    """Reads only. `client` is of DynamoDB; `place` gives a random place in the ledger, 32 hex digits."""

    client: Any
    ledger_table: str
    records_table: str
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    place: Callable[[], str] = lambda: uuid.uuid4().hex

    # ---------------------------------------------------------- one person

    def audit(self, account: str, person: str, deadline: float = math.inf) -> Audited:
        """`person` is our own id. `deadline` in seconds of `clock()`."""
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
        """The person's tokens, the number of their orders, and what differs. Raises _Moved.

        One transaction reads the person with 99 orders. Where there are more, each part reads the person along: every
        change of what an order gives them sets a new token, so with the same token in all parts nothing moved.
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
                    if head.get("person") == person:  # not handed on, not deleted
                        orders += 1
                        _add(computed, scope.source, head)
            tokens.append(token)
        return tokens, orders, _differences(stored, computed)

    def _marks(self, account: str) -> Marks:
        return Scopes(self.client, self.records_table).read(account)

    def _orders(self, scope: Scope, person: str) -> list[str]:
        """Keys of all orders that ever named the person: the latest event of theirs is on the timeline."""
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
        """Person (empty if there is none) and heads as they were at one moment. Raises _Moved."""
        wanted = [scope.person_key(person), *(scope.head_key(key) for key in order_keys)]
        gets = [{"Get": {"TableName": self.ledger_table, "Key": raw(key)}} for key in wanted]
        for attempt in range(_TRIES):
            try:
                answers = self.client.transact_get_items(TransactItems=gets)["Responses"]
            except (ClientError, BotoCoreError) as error:
                # Cancelled: one of them was being written.
                if not is_passing(error) and error_code(error) != "TransactionCanceledException":
                    raise
                self.sleep(0.02 * 2**attempt)
                continue
            item, *heads = (plain_item(answer.get("Item") or {}) for answer in answers)
            return item, [head for head in heads if head]
        raise _Moved

    # ---------------------------------------------------------------- picks

    def people(self, pages: int, account: str = "") -> Iterator[tuple[str, str]]:
        """(account, person) from `pages` random places of the ledger, none twice; of one account if it is named.

        A scan begins behind a random key, which need not exist: one of a person, of the account's scopes in turn or of
        a scope that was met, so that it lies among people. After 40 places in a row without anybody new there are
        hardly any left.
        """
        scopes = [scope.name for scope in self._marks(account).scopes()] if account else [""]
        seen, barren = set[tuple[str, str]](), 0
        for number in range(pages):
            if barren == _BARREN:
                return
            barren += 1
            place = self.place()
            start = {"pk": f"{scopes[number % len(scopes)]}/p/{place[:2]}", "sk": place}
            page = self._scan(account, Limit=_SCAN_ITEMS, ExclusiveStartKey=raw(start))
            if "LastEvaluatedKey" in page and not account:
                scopes = ["/".join(str(page["LastEvaluatedKey"]["pk"]["S"]).split("/")[:2])]
            for one in self._current(page):
                if one not in seen:
                    barren = 0
                    seen.add(one)
                    yield one

    def everybody(self, account: str = "") -> Iterator[tuple[str, str]]:
        """(account, person) of the whole ledger. Reads all of the table."""
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
            TableName=self.ledger_table, FilterExpression=condition, ProjectionExpression="pk, sk",
            ExpressionAttributeValues=raw(values), **arguments,
        )  # fmt: skip

    def _current(self, page: Any) -> Iterator[tuple[str, str]]:
        """Who of a page is in a current scope: others were purged, and are being deleted."""
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
    """The sums of a person, whose other attributes have other names."""
    found = ((_CELL.fullmatch(name), value) for name, value in person.items())
    return {(source, cell[2], cell[1]): Fraction(value) for cell, value in found if cell}


def _differences(stored: Cells, computed: Cells) -> tuple[Finding, ...]:
    """What stands nowhere is 0."""
    return tuple(
        Finding(cell[0], cell[1], _KINDS[cell[2]], _text(one), _text(other))
        for cell in sorted(stored.keys() | computed.keys())
        if (one := stored.get(cell, Fraction(0))) != (other := computed.get(cell, Fraction(0)))
    )


def _text(value: Fraction) -> str:
    """Exact: what is summed has a few decimals."""
    with localcontext(prec=60):
        return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}"


# ------------------------------------------------------------------ the function

_PLACES = 40  # 100 items each: about a dollar a year, however large the ledger is


@observed
def scheduled(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Audits `people` people at random, as far as the time goes. Metrics tell, and each finding is logged."""
    wanted, done = int(event["people"]), {EXACT: 0, DRIFT: 0, UNSETTLED: 0}
    auditor = Auditor(clients.dynamodb(), settings().ledger_table, settings().records_table)
    deadline = auditor.clock() + context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
    try:
        for account, person in auditor.people(_PLACES):
            if sum(done.values()) >= wanted or auditor.clock() >= deadline:
                break
            audited = auditor.audit(account, person, deadline)
            done[audited.status] += 1
            _tell(audited)
        count("AuditRuns")
    finally:
        count("AuditedPeople", done[EXACT] + done[DRIFT])
        count("AuditDrift", done[DRIFT])
        count("AuditUnsettled", done[UNSETTLED])
    logger.info("audit", exact=done[EXACT], drift=done[DRIFT], unsettled=done[UNSETTLED])
    return done


def _tell(audited: Audited) -> None:
    for finding in audited.findings:
        logger.warning(
            "audit drift", account=audited.account, person=audited.person, orders=audited.orders,
            source=finding.source, currency=finding.currency, what=finding.what, stored=finding.stored,
            computed=finding.computed,
        )  # fmt: skip
