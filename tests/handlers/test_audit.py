"""The self-audit finds a difference of one cent, whatever orders a person has, and raises no false alarm."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.handlers import template
from tests.handlers.events import EMAIL, event
from tests.handlers.shop import ACCOUNT, OTHER, OTHER_ADMIN, Context, Shop
from tillbook.aws import telemetry
from tillbook.aws.items import raw
from tillbook.contract import orders_api
from tillbook.ledger.items import Scope
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import V1Request
from tillbook.records.book import Place
from tillbook.rules import times
from tillbook.rules.identity import SOURCE_LETTER, SOURCES, Person, email_sha256
from tillbook.views import audit, book_audit
from tillbook.views.audit import DRIFT, EXACT, UNSETTLED, Auditor, Finding

LEDGER, RECORDS = "LedgerTable", "RecordsTable"
SCOPES = {SOURCE_LETTER[source]: Scope(ACCOUNT, source) for source in SOURCES}


def id_of(email: str, account: str = ACCOUNT) -> str:
    return Person("email", email_sha256(email)).id_in(account)


ANN = id_of(EMAIL)


class Between:
    """A DynamoDB client that runs one of `writes` before each call of an operation, as long as there are any.

    With `stale`, the write runs after the call, and the next call repeats the answer from before the write.
    """

    def __init__(self, client: Any, operation: str, *writes: Callable[[], Any], stale: bool = False) -> None:
        self._client, self._operation, self._writes, self._stale = client, operation, list(writes), stale
        self._answer_before: Any = None

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name != self._operation:
            return call

        def between(**arguments: Any) -> Any:
            if self._stale:  # like an index that is behind the table
                answer = self._answer_before or call(**arguments)
                if self._writes:
                    self._writes.pop(0)()
                    self._answer_before = answer
                else:
                    self._answer_before = None
                return answer
            if self._writes:
                self._writes.pop(0)()
            return call(**arguments)

        return between


def auditor(shop: Shop, client: Any = None) -> Auditor:
    return Auditor(client or shop.dynamodb, LEDGER, RECORDS, sleep=lambda seconds: None)


def plant(shop: Shop, name: str, value: str, person: str = ANN) -> None:
    """Adds `value` to one sum of a person without changing the token. `name`: `s.USD` is the amount of v3 orders in
    USD, `o#USD` the number of v1 orders in USD; `*` means orders without a currency."""
    shop.dynamodb.update_item(
        TableName=LEDGER, Key=raw(SCOPES[name[0]].person_key(person)), UpdateExpression="ADD #n :v",
        ExpressionAttributeNames={"#n": name[1:].removeprefix(".")},
        ExpressionAttributeValues=raw({":v": Decimal(value)}),
    )  # fmt: skip


def place(shop: Shop, **fields: Any) -> None:
    assert shop.send(event(**fields)).status == 202
    shop.drain()


def write_many_orders(shop: Shop, number: int) -> None:
    """Writes v1 orders of Ann, 1.10 USD each, directly to the ledger, which is faster than the API."""
    ledger = Ledger(shop.dynamodb, LEDGER)
    for n in range(number):
        body = {"order_id": f"m-{n}", "order_date": "2026-01-20", "total": "1.1", "customer_email": EMAIL}
        document, _ = orders_api.document(body)
        request = V1Request(SCOPES["o"], times.uuid7(), times.now(), lambda people: {})
        ledger.submit(request, document, new_id=times.uuid7(), digest=str(n), deadline=float("inf"))


def place_mixed_orders(shop: Shop) -> None:
    """Gives Ann orders of both sources in two currencies, with a refund and a deleted order. One order moves from Ben
    to Ann, and one from Ann to Ben. Then four count for Ann: `a` (v3, 105 - 5.05 = 99.95 USD), `b` (v3, 19.99 EUR), `c`
    (v3, 8 without a currency) and `v-1` (v1, 20.10 USD)."""
    place(shop, order_id="a", grand_total=105, currency="USD")
    place(shop, order_id="a", action="refunded", refund_amount="5.05")
    place(shop, order_id="b", grand_total="19.99", currency="EUR")
    place(shop, order_id="c", grand_total=7, email="ben@example.com", occurred_at="2026-01-01T00:00:00Z")
    place(shop, order_id="c", grand_total=8, action="updated", occurred_at="2026-01-02T00:00:00Z")
    place(shop, order_id="d", grand_total=9, occurred_at="2026-01-01T00:00:00Z")
    place(
        shop, order_id="d", action="updated", grand_total=9, email="ben@example.com", occurred_at="2026-01-02T00:00:00Z"
    )
    for n in ("1", "2"):
        body = {"order_id": f"v-{n}", "order_date": "2026-01-20", "total": "20.10", "customer_email": EMAIL}
        assert shop.submit(body).status == 201
    assert shop.delete("v-2").status == 200
    shop.drain()


def test_a_correct_ledger_has_no_findings(shop: Shop) -> None:
    place_mixed_orders(shop)
    found = auditor(shop).audit(ACCOUNT, ANN)
    assert (found.status, found.orders, found.findings) == (EXACT, 4, ())
    assert auditor(shop).audit(ACCOUNT, id_of("ben@example.com")).status == EXACT


@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [
        ("s.USD", "0.01", Finding("shopper_activity", "USD", "amount", "99.96", "99.95")),
        ("s.USD", "-0.0001", Finding("shopper_activity", "USD", "amount", "99.9499", "99.95")),
        ("s.EUR", "0.01", Finding("shopper_activity", "EUR", "amount", "20", "19.99")),
        ("o.USD", "-0.01", Finding("orders_api", "USD", "amount", "20.09", "20.1")),
        ("o#USD", "1", Finding("orders_api", "USD", "orders", "2", "1")),
        ("s#EUR", "-1", Finding("shopper_activity", "EUR", "orders", "0", "1")),
        ("s.*", "0.01", Finding("shopper_activity", "*", "amount", "8.01", "8")),
        ("o.SEK", "0.01", Finding("orders_api", "SEK", "amount", "0.01", "0")),
    ],
)
def test_a_planted_difference_is_found(shop: Shop, name: str, value: str, finding: Finding) -> None:
    place_mixed_orders(shop)
    plant(shop, name, value)
    found = auditor(shop).audit(ACCOUNT, ANN)
    assert (found.status, found.findings) == (DRIFT, (finding,))
    assert auditor(shop).audit(ACCOUNT, id_of("ben@example.com")).status == EXACT


def test_a_missing_person_item_with_orders_is_drift(shop: Shop) -> None:
    place(shop, order_id="a", grand_total=5)
    shop.dynamodb.delete_item(TableName=LEDGER, Key=raw(SCOPES["s"].person_key(ANN)))
    found = auditor(shop).audit(ACCOUNT, ANN)
    assert found.status == DRIFT
    assert {(f.what, f.stored, f.computed) for f in found.findings} == {("amount", "0", "5"), ("orders", "0", "1")}


def test_an_erasure_causes_no_finding(shop: Shop) -> None:
    place_mixed_orders(shop)
    assert shop.request("DELETE", f"/v3/{ACCOUNT}/people/{EMAIL}").status == 202
    assert auditor(shop).audit(ACCOUNT, ANN).status == EXACT
    shop.settle()
    found = auditor(shop).audit(ACCOUNT, ANN)
    assert (found.status, found.orders) == (EXACT, 0)
    # Both orders that moved count for Ben: `d`, and again `c`, which had moved to Ann.
    found = auditor(shop).audit(ACCOUNT, id_of("ben@example.com"))
    assert (found.status, found.orders) == (EXACT, 2)


def test_purged_people_are_not_audited(shop: Shop) -> None:
    """Their items exist until the job of the purge deletes them. Orders that arrive after the purge are audited."""
    place_mixed_orders(shop)
    plant(shop, "s.USD", "0.01")
    assert shop.request("DELETE", "/v1/transactions", {"confirm": "purge"}).status == 202
    assert shop.stored_ltv()
    found = auditor(shop).audit(ACCOUNT, ANN)
    assert (found.status, found.orders) == (EXACT, 0)
    assert list(auditor(shop).everybody()) == []
    assert list(auditor(shop).people(pages=30)) == []
    place(shop, order_id="n", grand_total=5)
    assert set(auditor(shop).people(pages=30)) == set(auditor(shop).everybody()) == {(ACCOUNT, ANN)}
    found = auditor(shop).audit(ACCOUNT, ANN)
    assert (found.status, found.orders) == (EXACT, 1)


def test_orders_of_several_transactions_are_audited(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_HEADS", 9)
    write_many_orders(shop, 12)
    found = auditor(shop).audit(ACCOUNT, ANN)
    assert (found.status, found.orders) == (EXACT, 12)
    plant(shop, "o.USD", "-0.01")
    found = auditor(shop).audit(ACCOUNT, ANN)
    assert found.findings == (Finding("orders_api", "USD", "amount", "13.19", "13.2"),)  # 12 * 1.10
    # The stored sums now lack one order: -0.01 - 1.09 = -1.10. An order of 1.10 is written between the two transactions
    # that read the 12 orders, so the sums that the second one reads fit these. The audit does not accept this: the two
    # are no snapshot, and the next try finds 13 orders and the drift.
    plant(shop, "o.USD", "-1.09")
    plant(shop, "o#USD", "-1")
    body = {"order_id": "n", "order_date": "2026-01-20", "total": "1.1", "customer_email": EMAIL}
    between = Between(shop.dynamodb, "transact_get_items", lambda: None, lambda: shop.submit(body))
    found = auditor(shop, between).audit(ACCOUNT, ANN)
    assert (found.status, found.orders) == (DRIFT, 13)


# ---------------------------------------------------------------- while others write


def orders_to_send(shop: Shop, number: int) -> Iterator[Callable[[], None]]:
    """Yields functions that each send an order of 10.00."""
    for n in range(number):
        yield lambda n=n: place(shop, order_id=f"w-{n}", grand_total=10)  # type: ignore[misc]


def test_an_index_that_is_behind_the_table_causes_no_drift(shop: Shop) -> None:
    place(shop, order_id="a", grand_total=5)
    # The orders are listed before a second order is written, and the transaction reads after it.
    stale = Between(shop.dynamodb, "query", *orders_to_send(shop, 1), stale=True)
    found = auditor(shop, stale).audit(ACCOUNT, ANN)
    assert (found.status, found.orders) == (EXACT, 2)


def test_a_person_with_constant_writes_is_unsettled(shop: Shop) -> None:
    place(shop, order_id="a", grand_total=5)
    # Each transaction sees one order of 10.00 more than the listing before it, so the difference is always the same.
    # There are seven tries, and each reads both sources, v3 last: the last listing has `a` and 13 orders.
    busy = Between(shop.dynamodb, "transact_get_items", *orders_to_send(shop, 20))
    assert auditor(shop, busy).audit(ACCOUNT, ANN) == audit.Audited(ACCOUNT, ANN, 14, UNSETTLED)
    # When the writes have stopped, the audit decides.
    assert auditor(shop).audit(ACCOUNT, ANN).status == EXACT
    plant(shop, "s.USD", "0.01")
    assert auditor(shop).audit(ACCOUNT, ANN).status == DRIFT


class Behind:
    """A DynamoDB client whose timeline index has only the first event."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **arguments: Any) -> Any:
        answer = self._client.query(**arguments)
        return answer | {"Items": answer["Items"][:1]}


def test_a_constant_difference_during_writes_is_no_drift(shop: Shop) -> None:
    """The index may be behind by the same amount at each try."""
    place(shop, order_id="a", grand_total=5)
    place(shop, order_id="b", grand_total=10)
    # Each try reads both sources. The total changes to 20 before the first read, and back to 10 before the second.
    turns = [
        lambda total=total: place(shop, order_id="b", action="updated", grand_total=total) for total in [20, 10] * 7
    ]
    busy = Between(Behind(shop.dynamodb), "transact_get_items", *turns)
    assert auditor(shop, busy).audit(ACCOUNT, ANN) == audit.Audited(ACCOUNT, ANN, 1, UNSETTLED)
    assert auditor(shop, Behind(shop.dynamodb)).audit(ACCOUNT, ANN).status == DRIFT
    assert auditor(shop).audit(ACCOUNT, ANN).status == EXACT


def test_orders_that_move_between_the_reads_cause_no_drift(shop: Shop) -> None:
    place_mixed_orders(shop)
    moves = [
        lambda: place(shop, order_id="a", action="updated", email="ben@example.com"),
        lambda: shop.delete("v-1"),
    ]
    assert auditor(shop, Between(shop.dynamodb, "transact_get_items", *moves)).audit(ACCOUNT, ANN).status == EXACT
    assert auditor(shop).audit(ACCOUNT, id_of("ben@example.com")).status == EXACT


def failing_call(code: str, operation: str = "TransactGetItems") -> Callable[[], None]:
    """A function that raises the error of a refused call."""

    def call() -> None:
        raise ClientError({"Error": {"Code": code, "Message": "secret"}}, operation)

    return call


@pytest.mark.parametrize("code", ["TransactionCanceledException", "ProvisionedThroughputExceededException"])
def test_a_read_with_a_temporary_error_is_retried(shop: Shop, code: str) -> None:
    place(shop, order_id="a", grand_total=5)
    client = Between(shop.dynamodb, "transact_get_items", failing_call(code), failing_call(code))
    assert auditor(shop, client).audit(ACCOUNT, ANN).status == EXACT
    always = Between(shop.dynamodb, "transact_get_items", *[failing_call(code)] * 100)
    assert auditor(shop, always).audit(ACCOUNT, ANN).status == UNSETTLED


def test_a_forbidden_read_raises_its_error(shop: Shop) -> None:
    with pytest.raises(ClientError):
        auditor(shop, Between(shop.dynamodb, "transact_get_items", failing_call("AccessDeniedException"))).audit(
            ACCOUNT, ANN
        )


def test_an_audit_without_enough_time_is_unsettled(shop: Shop) -> None:
    place(shop, order_id="a", grand_total=5)
    plant(shop, "s.USD", "0.01")
    made = auditor(shop)
    assert made.audit(ACCOUNT, ANN, deadline=made.clock() + 0.5).status == UNSETTLED


# --------------------------------------------------------- the choice of people


def test_every_person_can_be_picked(shop: Shop) -> None:
    for n in range(12):
        place(shop, order_id=f"a-{n}", email=f"p{n}@example.com")
    shop.submit({"order_id": "x", "order_date": "2026-01-20", "total": 1, "customer_email": EMAIL}, key=OTHER_ADMIN)
    everybody = {(ACCOUNT, id_of(f"p{n}@example.com")) for n in range(12)} | {(OTHER, id_of(EMAIL, OTHER))}
    assert set(auditor(shop).everybody()) == everybody
    assert set(auditor(shop).everybody(OTHER)) == {(OTHER, id_of(EMAIL, OTHER))}
    picked = list(auditor(shop).people(pages=30))
    assert len(picked) == len(set(picked))
    assert set(picked) == everybody
    assert {account for account, _ in auditor(shop).people(30, ACCOUNT)} == {ACCOUNT}


# -------------------------------------------------------------------- the function


@pytest.fixture
def metrics_and_lines(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """The metrics and log lines that the audit reports."""
    metrics: dict[str, int] = {}
    lines: list[dict[str, Any]] = []

    def count(name: str, value: int = 1) -> None:
        metrics[name] = metrics.get(name, 0) + value

    monkeypatch.setattr(audit, "count", count)

    def log(message: str, **keys: Any) -> None:
        lines.append({"message": message, **keys})

    monkeypatch.setattr(audit, "logger", SimpleNamespace(info=log, warning=log))
    monkeypatch.setattr(audit, "_PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(audit, "_KEEPER_SECONDS", 0.0)
    return metrics, lines


def run(people: int = 200, milliseconds: int = 120_000) -> Any:
    """Runs the function AuditLedger once. Returns the number of people for each status."""
    handler = importlib.import_module(template.module("AuditLedger")).handler
    return handler({"people": people, "window": 0}, Context(milliseconds))


def test_the_function_reports_counts_and_drift(shop: Shop, metrics_and_lines: Any) -> None:
    metrics, lines = metrics_and_lines
    place_mixed_orders(shop)
    shop.keep_book()
    assert run() == {"exact": 2, "drift": 0, "unsettled": 0}
    assert metrics == {"AuditRuns": 1, "AuditedPeople": 2, "AuditDrift": 0, "AuditUnsettled": 0}
    metrics.clear()
    plant(shop, "s.USD", "0.01")
    assert run() == {"exact": 1, "drift": 1, "unsettled": 0}
    assert metrics == {"AuditRuns": 1, "AuditedPeople": 2, "AuditDrift": 1, "AuditUnsettled": 0}
    (line,) = [line for line in lines if line["message"] == "audit drift"]
    assert (line["account"], line["person"], line["stored"], line["computed"]) == (ACCOUNT, ANN, "99.96", "99.95")
    assert "@" not in json.dumps(lines)
    assert email_sha256(EMAIL) not in json.dumps(lines)


def test_the_function_audits_at_most_as_many_people_as_asked_and_as_time_permits(
    shop: Shop, metrics_and_lines: Any
) -> None:
    place_mixed_orders(shop)
    assert sum(run(people=1).values()) == 1
    assert sum(run(milliseconds=4000).values()) == 0


@pytest.mark.parametrize("change", ["not updated", "missing", "left at an earlier date", "wrong amount"])
def test_a_card_that_differs_from_its_order_is_reported(
    shop: Shop, metrics_and_lines: Any, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The book has cards of at most two days. The audit, which picks one day, is patched to compare both."""
    metrics, lines = metrics_and_lines
    shop.submit({"order_id": "a", "order_date": "2026-01-20", "total": 5, "customer_email": EMAIL})
    shop.keep_book()
    run()
    assert "BookSkipped" not in metrics
    (card,) = (raw(item) for item in shop.items("BookTable") if "/cards/" in item["pk"])
    key = {name: card[name] for name in ("pk", "sk")}
    if change == "missing":
        shop.dynamodb.delete_item(TableName="BookTable", Key=key)
    elif change == "not updated":
        shop.edit("a", {"total": 6})
    elif change == "left at an earlier date":
        shop.edit("a", {"order_date": "2026-01-21"})
        shop.keep_book()
        shop.dynamodb.put_item(TableName="BookTable", Item=card)
    else:
        shop.dynamodb.put_item(TableName="BookTable", Item=card | {"net": {"N": "6"}})
    places_of_one_day = book_audit.BookAuditor.places_of_day

    def two_days(auditor: book_audit.BookAuditor, scope: Scope, choice: int) -> list[Place]:
        return places_of_one_day(auditor, scope, choice) + places_of_one_day(auditor, scope, choice + 1)

    monkeypatch.setattr(book_audit.BookAuditor, "places_of_day", two_days)
    run()
    assert metrics["BookSkipped"] == 1
    (line,) = [line for line in lines if line["message"] == "change skipped"]
    assert line["account"] == ACCOUNT


def test_a_card_that_is_only_behind_is_not_reported(
    shop: Shop, metrics_and_lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics, _ = metrics_and_lines
    shop.submit({"order_id": "a", "order_date": "2026-01-20", "total": 5, "customer_email": EMAIL})
    original = book_audit.BookAuditor.differences

    def compare_and_keep_book(self: Any, places: Any) -> Any:
        found = original(self, places)
        shop.keep_book()
        return found

    monkeypatch.setattr(book_audit.BookAuditor, "differences", compare_and_keep_book)
    run()
    assert "BookSkipped" not in metrics
    # A difference is also not reported if there is no time for a second look, which here begins after 20 seconds.
    monkeypatch.setattr(book_audit.BookAuditor, "differences", original)
    monkeypatch.setattr(audit, "_KEEPER_SECONDS", 20.0)
    shop.edit("a", {"total": 6})
    assert run(milliseconds=20_000)["exact"] == 1
    assert "BookSkipped" not in metrics


def test_an_audit_that_fails_is_not_counted_as_a_run(shop: Shop, metrics_and_lines: Any) -> None:
    metrics, _ = metrics_and_lines
    place_mixed_orders(shop)
    with (
        shop.faults.injected(lambda index, operation, *_: failing_call("AccessDeniedException", operation)()),
        pytest.raises(telemetry.Crashed),
    ):
        run()
    assert "AuditRuns" not in metrics


def test_the_alarms_watch_the_metrics_of_the_audit() -> None:
    alarms = template.resources("AWS::CloudWatch::Alarm")
    drift, missed = alarms["AuditDriftAlarm"], alarms["AuditMissedAlarm"]
    assert (drift["MetricName"], drift["Threshold"], drift["ComparisonOperator"]) == (
        "AuditDrift", 0, "GreaterThanThreshold",
    )  # fmt: skip
    assert (missed["MetricName"], missed["TreatMissingData"]) == ("AuditRuns", "breaching")
    schedule = template.resources("AWS::Scheduler::Schedule")["DailyAudit"]
    assert schedule["ScheduleExpression"] == "rate(1 day)"
    assert missed["Period"] * missed["EvaluationPeriods"] > 24 * 3600
    assert schedule["Target"]["Input"] == {"Fn::Sub": '{"people":200,"window":${BookWindowSeconds}}'}
