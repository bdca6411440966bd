"""The self-audit: adds up a person's orders and compares with what stands with the person.

It shares no arithmetic with the ledger: the ledger moves differences of decimals, this adds whole contributions as
fractions. Only the names of keys and attributes are common (table.py).
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
from tillbook.ledger import table

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
_CELL = re.compile(r"([os])([.#])(.+)")
_KINDS = {".": "amount", "#": "orders"}

Cells = dict[tuple[str, str, str], Fraction]  # (source letter, currency or `*`, `.` amount or `#` number of orders)


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
    """Reads only. `client` is of DynamoDB, `table` the ledger's; `place` gives a random place in it."""

    client: Any
    table: str
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
        """The person's token, the number of their orders, and what differs. Raises _Moved.

        One transaction reads the person with 99 orders. Where there are more, each part reads the person along: every
        change of what an order gives them sets the token `y` anew, so with the same token in all parts nothing moved.
        """
        keys = self._orders(account, person)
        computed: Cells = {}
        orders, token, stored = 0, None, {}
        for start in range(0, len(keys) or 1, _HEADS):
            if self.clock() >= deadline:
                raise _Moved
            item, heads = self._snapshot(account, person, keys[start : start + _HEADS])
            found = (item.get("y"), item.get("z"))
            if start and found != token:
                raise _Moved
            token, stored = found, item
            for head in heads:
                if head.get("p") == person and not head.get("d"):  # not handed on, not deleted
                    orders += 1
                    _add(computed, head)
        return token, orders, _differences(_cells(stored), computed)

    def _orders(self, account: str, person: str) -> list[tuple[str, str]]:
        """Keys of the heads of all orders that ever named the person: the latest event of theirs is on the timeline."""
        arguments: dict[str, Any] = {
            "TableName": self.table, "IndexName": table.TIMELINE, "KeyConditionExpression": "gp = :gp",
            "ExpressionAttributeValues": raw({":gp": table.person_pk(account, person)}),
        }  # fmt: skip
        keys: dict[tuple[str, str], None] = {}
        while True:
            page = self.client.query(**arguments)
            for event in map(plain_item, page["Items"]):
                keys[event["pk"], table.head_sk(str(event["sk"]).partition("!")[0])] = None
            if "LastEvaluatedKey" not in page:
                return list(keys)
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _snapshot(self, account: str, person: str, keys: list[tuple[str, str]]) -> tuple[Item, list[Item]]:
        """Person (empty if there is none) and heads as they stood at one moment. Raises _Moved."""
        wanted = [table.person_key(account, person), *(raw({"pk": pk, "sk": sk}) for pk, sk in keys)]
        gets = [{"Get": {"TableName": self.table, "Key": key}} for key in wanted]
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

        A scan starts at the hash of a random key, which need not exist: in DynamoDB's order by hash of the partition
        key, where each person is a partition, whoever comes next is anybody. The key is made like a person's, of an
        account that was met, for stores that sort by the key itself: there it lies among people too.
        After 40 places in a row without anybody new there are hardly any left.
        """
        met, seen, barren = account, set(), 0
        for _ in range(pages):
            if barren == _BARREN:
                return
            barren += 1
            start = {"pk": table.person_pk(met, self.place()), "sk": "p"}
            page = self._scan(account, Limit=_SCAN_ITEMS, ExclusiveStartKey=raw(start))
            if "LastEvaluatedKey" in page and not account:
                met = str(page["LastEvaluatedKey"]["pk"]["S"]).partition("/")[0]
            for found in _people(page):
                if found not in seen:
                    barren = 0
                    seen.add(found)
                    yield found

    def everybody(self, account: str = "") -> Iterator[tuple[str, str]]:
        """(account, person) of the whole ledger. Reads all of the table."""
        arguments: dict[str, Any] = {}
        while True:
            page = self._scan(account, **arguments)
            yield from _people(page)
            if "LastEvaluatedKey" not in page:
                return
            arguments = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _scan(self, account: str, **arguments: Any) -> Any:
        condition, values = "sk = :p", {":p": "p"}
        if account:
            condition, values = "sk = :p AND begins_with(pk, :account)", values | {":account": f"{account}/p/"}
        return self.client.scan(
            TableName=self.table, FilterExpression=condition, ProjectionExpression="pk",
            ExpressionAttributeValues=raw(values), **arguments,
        )  # fmt: skip


def _people(page: Any) -> Iterator[tuple[str, str]]:
    for item in page["Items"]:
        account, _, person = str(item["pk"]["S"]).partition("/p/")
        yield account, person


def _add(cells: Cells, head: Item) -> None:
    letter, currency = str(head["pk"]).split("/")[1], str(head.get("c") or "*")
    for kind, value in ((".", Fraction(head["x"])), ("#", Fraction(1))):
        cells[letter, currency, kind] = cells.get((letter, currency, kind), Fraction(0)) + value


def _cells(person: Item) -> Cells:
    """What stands with a person, whose other attributes have other names."""
    found = ((_CELL.fullmatch(name), value) for name, value in person.items())
    return {(cell[1], cell[3], cell[2]): Fraction(value) for cell, value in found if cell}


def _differences(stored: Cells, computed: Cells) -> tuple[Finding, ...]:
    """What stands nowhere is 0."""
    return tuple(
        Finding(table.SOURCE_OF_LETTER[cell[0]], cell[1], _KINDS[cell[2]], _text(one), _text(other))
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
    auditor = Auditor(clients.dynamodb(), settings().ledger_table)
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
