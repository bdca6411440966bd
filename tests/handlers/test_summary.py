"""What came in day by day, each request's effect on the sums, and an order's history step by step."""

from __future__ import annotations

import importlib
import random
import string
import time
from base64 import b64decode
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.handlers import template
from tests.handlers.clock import Clock
from tests.handlers.rights import SEEN
from tests.handlers.shop import ACCOUNT, OTHER_ADMIN, Context, Death, Shop, die_at
from tillbook.aws.settings import settings
from tillbook.ledger.items import SOURCES
from tillbook.records.accounts import Account
from tillbook.records.hours import Hours, hour_of
from tillbook.records.scopes import Mark, Marks
from tillbook.records.transactions import Transaction, Transactions
from tillbook.rules import times
from tillbook.rules.effects import Effect
from tillbook.rules.errors import Malformed, Unavailable
from tillbook.views import people, summary

TODAY = times.iso(times.now())[:10]


@pytest.fixture(autouse=True)
def _noon(clock: Clock) -> None:
    """No day and no hour ends while a test runs."""
    clock.set(datetime.fromisoformat(f"{TODAY}T12:30:00Z"))


def _day(days: int) -> str:
    return (date.fromisoformat(TODAY) + timedelta(days)).isoformat()


V3 = {"provider": "my_shop", "email": "ann@example.com", "order_id": "A-1"}


def _order(order_id: str, total: Any, **more: Any) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "order_date": "2026-01-01",
        "customer_email": "ann@example.com",
        "total": total,
    } | more


def _summary(shop: Shop, **query: str) -> Any:
    answer = shop.get("/v1/transactions/summary", query=query)
    assert answer.status == 200, answer.body
    return answer.body


def _effects(shop: Shop) -> list[list[tuple[str, str, int]]]:
    """Of the applied requests, the oldest first."""
    rows = shop.get("/v1/transactions", query={"status": "applied"}).body["transactions"]
    return [[(e["currency"], e["amount"], e["orders"]) for e in row["effects"]] for row in reversed(rows)]


def test_each_day_shows_orders_and_amounts_by_source_and_currency(shop: Shop) -> None:
    shop.submit(_order("1", "100", currency="USD"))
    shop.submit(_order("2", "20.50", currency="EUR"))
    shop.edit("1", {"total": "90"})
    shop.send(V3 | {"action": "placed", "grand_total": 30})
    shop.drain()
    shop.send(V3 | {"action": "refunded", "refund_amount": "12.25"})
    shop.drain()
    found = _summary(shop)
    assert found["days"] == [
        {"day": TODAY, "source": "orders_api", "currency": "EUR", "orders": 1, "amount": "20.50"},
        {"day": TODAY, "source": "orders_api", "currency": "USD", "orders": 1, "amount": "90.00"},
        {"day": TODAY, "source": "shopper_activity", "currency": "USD", "orders": 1, "amount": "17.75"},
    ]
    assert found["requests"] == [
        {"day": TODAY, "source": "orders_api", "status": "applied", "count": 3},
        {"day": TODAY, "source": "shopper_activity", "status": "applied", "count": 2},
    ]
    assert (found["to"], found["earlier"]) == (TODAY, None)
    assert shop.ltv("ann@example.com") == {"EUR": "20.50", "USD": "107.75"}


def test_new_buyers_and_promo_codes_follow_an_order_through_edits_and_its_deletion(shop: Shop) -> None:
    shop.submit(_order("1", "100", metadata={"new_buyer": True, "promo_code": "SPRING"}))
    shop.submit(_order("2", "50", metadata={"new_buyer": "false", "promo_code": "SPRING"}))
    shop.submit(_order("3", "8"))
    shop.submit(_order("4", "7", metadata={"new_buyer": True, "promo_code": "GONE"}))
    shop.edit("2", {"metadata": {"new_buyer": "false", "promo_code": "AUTUMN"}, "total": "55"})
    shop.delete("4")
    shop.drain()
    found = _summary(shop)
    assert found["by_new_buyer"] == [
        {"new_buyer": True, "currency": "USD", "orders": 1, "amount": "100.00"},
        {"new_buyer": False, "currency": "USD", "orders": 1, "amount": "55.00"},
        {"new_buyer": None, "currency": "USD", "orders": 1, "amount": "8.00"},
    ]
    codes = {row["promo_code"]: (row["orders"], row["amount"]) for row in found["by_promo_code"]}
    assert codes == {"SPRING": (1, "100.00"), "AUTUMN": (1, "55.00"), "GONE": (0, "0.00")}


def test_what_was_refused_is_counted_by_reason(shop: Shop) -> None:
    for price in ("eleven", "twelve"):
        shop.submit(_order("1", 1, order_items=[{"identifier": "a", "total": price}]))
    shop.send(V3 | {"action": "bought"})
    found = _summary(shop)
    assert found["days"] == []
    (first, second) = found["refused"]
    assert (first["status"], first["reason"], first["count"]) == ("rejected", "order_items[].total must be a number", 2)
    assert second["reason"].startswith("action must be one of")
    assert {(r["source"], r["status"], r["count"]) for r in found["requests"]} == {
        ("orders_api", "rejected", 2), ("shopper_activity", "rejected", 1),
    }  # fmt: skip


@pytest.mark.parametrize("call", range(12))
@pytest.mark.parametrize("moment", ["before", "after"])
def test_sums_stay_exact_where_the_function_dies_and_the_queue_delivers_again(
    shop: Shop, call: int, moment: str
) -> None:
    sent = [V3 | {"action": "placed", "grand_total": 30}, V3 | {"action": "updated", "grand_total": 35}]
    shop.send_batch([order | {"occurred_at": f"2026-01-0{n + 1}T00:00:00Z"} for n, order in enumerate(sent)])
    records = shop.receive()
    # Some of these moments lie beyond its last call.
    with shop.faults.injected(die_at(call, moment)), suppress(Death):
        shop.deliver(records)
    shop.drain()
    assert sorted(_effects(shop)) == [[("USD", "30.00", 1)], [("USD", "5.00", 0)]]
    (day,) = _summary(shop)["days"]
    assert (day["orders"], day["amount"]) == (1, "35.00")


def test_a_copy_is_a_duplicate_and_has_no_effect(shop: Shop) -> None:
    for _ in range(3):
        shop.send(V3 | {"action": "placed", "grand_total": 30, "occurred_at": "2026-01-01T00:00:00Z"})
        shop.drain()
    rows = shop.get("/v1/transactions").body["transactions"]
    assert sorted((row["status"], len(row["effects"])) for row in rows) == [
        ("applied", 1), ("duplicate", 0), ("duplicate", 0),
    ]  # fmt: skip
    assert _summary(shop)["days"][0]["amount"] == "30.00"


def test_an_order_that_changes_its_currency_leaves_the_one_and_enters_the_other(shop: Shop) -> None:
    shop.submit(_order("1", "100", currency="USD"))
    shop.edit("1", {"currency": "EUR"})
    shop.drain()
    assert _effects(shop) == [[("USD", "100.00", 1)], [("USD", "-100.00", -1), ("EUR", "100.00", 1)]]


def test_a_purge_empties_the_summary(shop: Shop) -> None:
    shop.submit(_order("1", "100"))
    shop.send(V3 | {"action": "placed", "grand_total": 30})
    shop.drain()
    assert shop.request("DELETE", "/v1/transactions", {"confirm": "purge"}).status == 202
    assert _is_empty(shop), "from the answer on"
    shop.settle()
    assert _is_empty(shop)


def _is_empty(shop: Shop) -> bool:
    found = _summary(shop)
    return (found["days"], found["requests"], found["by_new_buyer"], found["refused"]) == ([], [], [], [])


def test_a_purge_of_one_source_leaves_the_other_in_the_summary(shop: Shop) -> None:
    shop.submit(_order("1", "100"))
    shop.send(V3 | {"action": "placed", "grand_total": 30})
    shop.drain()
    body = {"confirm": "purge", "source": "orders_api"}
    assert shop.request("DELETE", "/v1/transactions", body).status == 202
    for _ in range(2):
        assert [(row["source"], row["amount"]) for row in _summary(shop)["days"]] == [("shopper_activity", "30.00")]
        shop.settle()


def test_one_account_s_summary_holds_nothing_of_another_s(shop: Shop) -> None:
    shop.submit(_order("1", "100"))
    shop.drain()
    assert shop.get("/v1/transactions/summary", key=OTHER_ADMIN).body["days"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-02-30"}, "from"),
        ({"to": "20260101"}, "to"),
        ({"to": "tomorrow"}, "to"),
        ({"from": _day(-2), "to": _day(-3)}, "from"),
        ({"from": _day(-20), "to": _day(12)}, "from"),
        ({"from": "9999-01-01", "to": "9999-12-31"}, "from"),
        ({"from": _day(-32), "to": _day(-20)}, "from"),
        ({"to": _day(-32)}, "to"),
        ({"to": "0001-01-05"}, "to"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "to"),
        ({"from": "0001-01-01"}, "from"),
        ({"from": "1969-12-01"}, "from"),
    ],
)
def test_a_wrong_day_is_named(shop: Shop, query: dict[str, str], field: str) -> None:
    answer = shop.get("/v1/transactions/summary", query=query)
    assert (answer.status, answer.fields) == (400, {field})


class _Paged:
    """Partitions that give a day a page, newest first."""

    def __init__(self, days: list[date]) -> None:
        self.days = days

    def partitions(self, account: str) -> list[str]:
        return [account]

    # No hour is kept.
    def kept(self, account: str, hours: list[str], cut: str) -> dict[str, Any]:
        return {}

    def keep(self, account: str, read_at: str, sums: dict[str, Any]) -> None:
        self.sums = sums

    def between(self, pk: str, first: str, beyond: str, may_go_on: Any) -> tuple[list[Transaction], str | None]:
        found = []
        for day in sorted(self.days, reverse=True):
            request_id = f"{times.hour_floor(f'{day}T00')}-7000-8000-000000000000"
            effects, received = [Effect("USD", Decimal(1), 1)], f"{day:%Y%m%d}000000000000"
            found.append(Transaction(pk, "orders_api", request_id, "applied", received, "", "", "", effects=effects))
            if not may_go_on():
                return found, request_id
        return found, None


def test_where_time_runs_out_the_whole_days_that_were_read_are_told() -> None:
    start = date(2026, 1, 1)
    paged: Any = _Paged([start + timedelta(n) for n in range(5)])
    seconds = iter(range(100))
    marks = Marks("a", {source: Mark() for source in SOURCES}, {})

    def told(time_left: int) -> Any:
        nonlocal seconds
        seconds = iter(range(100))
        made = summary.Summary(paged, paged, lambda: float(next(seconds)))
        return made.of(Account("a"), lambda: marks, start, date(2026, 1, 5), time_left)

    assert told(10)["earlier"] is None
    cut = told(2)
    assert (cut["from"], cut["earlier"]) == ("2026-01-04", "2026-01-03")
    assert [row["day"] for row in cut["days"]] == ["2026-01-04", "2026-01-05"]
    with pytest.raises(Unavailable):
        told(0)


def test_days_are_asked_for_within_what_is_kept() -> None:
    today = date(2026, 3, 10)
    assert summary.days_asked(None, None, today) == (date(2026, 2, 25), today)
    assert summary.days_asked(None, "2026-02-10", today) == (date(2026, 2, 8), date(2026, 2, 10))
    assert summary.days_asked("2026-02-08", None, today) == (date(2026, 2, 8), today)
    for first, last in (("2026-03-11", None), ("2026-02-07", None), ("2026-02-07", "2026-02-07")):
        with pytest.raises(Malformed):
            summary.days_asked(first, last, today)


def test_requests_are_kept_for_longer_than_they_are_asked_for(shop: Shop, stores: tuple[Transactions, Hours]) -> None:
    today = date(2026, 3, 10)
    furthest, _ = summary.days_asked(None, "2026-02-08", today)
    needed = today + timedelta(1) - furthest  # the last moment of today, the first of that day
    stores[0].record([_outcome(1, 0)])
    (item,) = [item for item in shop.items("RecordsTable") if "/t/" in item["pk"]]
    assert float(item["ttl"]) - time.time() > (needed + timedelta(1)).total_seconds()


# --------------------------------------------------------------------- hours


def _outcome(number: int, hours_ago: float, amount: str = "10") -> Transaction:
    """Of a request that came some hours ago."""
    moment = times.to_datetime(times.now()) - timedelta(hours=hours_ago)
    digits = f"{int(moment.timestamp() * 1000):012x}"
    request_id = f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}"
    received = times.stamp(moment)
    effects = [Effect("USD", Decimal(amount), 1)]
    return Transaction(
        ACCOUNT, "orders_api", request_id, "applied", received, "submitted", "", f"o{number}", effects=effects
    )


def _amount(shop: Shop) -> Decimal:
    return sum((Decimal(day["amount"]) for day in _summary(shop)["days"]), Decimal(0))


@pytest.fixture
def stores(shop: Shop) -> tuple[Transactions, Hours]:
    records = settings().records_table
    return Transactions(shop.dynamodb, records), Hours(shop.dynamodb, records)


def _kept(shop: Shop) -> list[str]:
    return [i["sk"] for i in shop.items("RecordsTable") if i["pk"] == f"{ACCOUNT}/y" and "sums" in i]


def test_hours_that_are_over_are_read_once(shop: Shop, stores: tuple[Transactions, Hours]) -> None:
    transactions, _ = stores
    transactions.record([_outcome(n, 3 + 24 * n) for n in range(4)])
    transactions.record([_outcome(9, 0)])
    assert _amount(shop) == 50
    with shop.faults.recorded() as calls:
        assert _amount(shop) == 50
    read = [arguments["ExpressionAttributeValues"] for operation, arguments in calls if operation == "Query"]
    ranges = {values[":first"]["S"] for values in read if "/t/" in values[":pk"]["S"]}
    # Of the requests only those of the hours that are open: this one, and the one before.
    assert len(ranges) == 1
    assert times.uuid7_time(f"{ranges.pop()}-7000-8000-000000000000") > times.to_datetime(times.now()) - timedelta(
        hours=3
    )


def test_a_late_outcome_counts_in_an_hour_that_was_added_up(shop: Shop, stores: tuple[Transactions, Hours]) -> None:
    transactions, _ = stores
    transactions.record([_outcome(1, 30)])
    assert _amount(shop) == 10
    transactions.record([_outcome(2, 30, "5")])
    assert _amount(shop) == 15
    late = replace(_outcome(3, 50), status="failed", effects=[])
    transactions.record([late])
    assert _amount(shop) == 15
    transactions.record([replace(late, status="applied", effects=[Effect("USD", Decimal(7), 1)])])
    transactions.replaces_failure(replace(late, status="applied"))
    assert _amount(shop) == 22
    assert {row["status"] for row in _summary(shop)["requests"]} == {"applied"}


def test_what_was_read_before_an_hour_changed_is_not_kept(shop: Shop, stores: tuple[Transactions, Hours]) -> None:
    transactions, hours = stores
    outcome = _outcome(1, 30)
    hour = hour_of(outcome.request_id)
    read_at = times.now()
    transactions.record([outcome])  # between a summary's reading and its keeping
    hours.keep(ACCOUNT, read_at, {hour: summary.Sums().packed()})
    assert hour not in _kept(shop)
    assert _amount(shop) == 10
    assert hour in _kept(shop)


def test_a_purge_takes_hours_that_were_added_up(shop: Shop, stores: tuple[Transactions, Hours]) -> None:
    """What is kept of them is not used from the answer on, and is replaced by what is added up then."""
    transactions, _ = stores
    outcomes = [_outcome(n, 30 + n) for n in range(3)]
    transactions.record(outcomes)
    assert _amount(shop) == 30
    assert {hour_of(outcome.request_id) for outcome in outcomes} <= set(_kept(shop))
    assert shop.request("DELETE", "/v1/transactions", {"confirm": "purge"}).status == 202
    assert _is_empty(shop)
    shop.settle()
    assert _is_empty(shop)
    assert not [item for item in shop.items("RecordsTable") if "/t/" in item["pk"]]


def test_hours_whose_requests_are_no_longer_kept_are_not_added_up_again(
    shop: Shop, stores: tuple[Transactions, Hours]
) -> None:
    transactions, hours = stores
    edge, old = _outcome(1, 32 * 24), _outcome(2, 34 * 24)
    kept = {hour_of(t.request_id): summary.Sums().packed() for t in (edge, old)}
    hours.keep(ACCOUNT, times.now(), kept)
    transactions.record([edge, old])  # as a replay does
    transactions.replaces_failure(old)
    assert _kept(shop) == [hour_of(old.request_id)]


@pytest.mark.parametrize("settled", [False, True], ids=["answered", "done"])
@pytest.mark.parametrize("late", ["its marks are read", "its sums are kept"])
def test_what_was_read_before_a_purge_is_not_told_after_it(
    shop: Shop, stores: tuple[Transactions, Hours], monkeypatch: pytest.MonkeyPatch, late: str, settled: bool
) -> None:
    """A purge comes while a summary is made: after its marks are read, or before its sums are kept."""
    transactions, _ = stores
    transactions.record([_outcome(n, 30) for n in range(4)])
    keep, purged = Hours.keep, []

    def purge() -> None:
        shop.faults.intercept = None
        with SEEN.others():
            purged.append(shop.request("DELETE", "/v1/transactions", {"confirm": "purge"}).status)
            if settled:
                shop.settle()

    def marks_read(_index: int, operation: str, arguments: dict[str, Any], go: Any) -> Any:
        answer = go()
        if operation == "BatchGetItem" and f"{ACCOUNT}/u" in str(arguments):
            purge()
        return answer

    def keep_late(hours: Hours, *arguments: Any) -> None:
        purge()
        keep(hours, *arguments)

    if late == "its marks are read":
        with shop.faults.injected(marks_read):
            assert _amount(shop) == (0 if settled else 40)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(Hours, "keep", keep_late)
            assert _amount(shop) == 40
    assert purged == [202]
    for _ in range(2):
        assert _summary(shop)["requests"] == []
    # Received after the cut, and old enough to be added up and kept.
    shop.clock.sleep(2 * 24 * 3600)
    outcome = _outcome(9, 30)
    transactions.record([outcome])
    assert _amount(shop) == _amount(shop) == 10
    assert hour_of(outcome.request_id) in _kept(shop)


def test_an_hour_of_too_many_promo_codes_is_added_up_each_time(
    shop: Shop, stores: tuple[Transactions, Hours], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillbook.records.hours._MAX_BYTES", 50)
    transactions, _ = stores
    outcome = _outcome(1, 30)
    transactions.record([replace(outcome, effects=[Effect("USD", Decimal(1), 1, "true", "x" * 60)])])
    assert _amount(shop) == _amount(shop) == 1
    assert hour_of(outcome.request_id) not in _kept(shop)


# ------------------------------------------------------------------- history


def _history(shop: Shop, path: str) -> list[tuple[str, str, str, bool]]:
    answer = shop.get(path)
    assert answer.status == 200, answer.body
    return [
        (e["action"], e["before"]["amount"] if e["before"] else "", e["lifetime_value"]["amount"], e["late"])
        for e in answer.body["history"]
    ]


def test_a_v3_order_s_history_is_in_the_order_of_time_with_its_effect_on_ltv(shop: Shop) -> None:
    for action, hour, more in (
        ("placed", 1, {"grand_total": 100}),
        ("refunded", 4, {"refund_amount": 105}),
        ("updated", 2, {"grand_total": 105}),
    ):
        shop.send(V3 | {"action": action, "occurred_at": f"2026-01-01T0{hour}:00:00Z"} | more)
        shop.drain()
    assert _history(shop, f"/v3/{ACCOUNT}/orders/my_shop/A-1/history") == [
        ("placed", "", "100.00", False), ("updated", "100.00", "105.00", True), ("refunded", "105.00", "0.00", False),
    ]  # fmt: skip


def test_a_v1_order_s_history_goes_on_after_its_deletion(shop: Shop) -> None:
    shop.submit(_order("1/2", "100"))
    shop.edit("1%2F2", {"total": "90"})
    shop.delete("1%2F2")
    assert _history(shop, "/v1/order/1%2F2/history") == [
        ("submitted", "", "100.00", False), ("edited", "100.00", "90.00", False), ("deleted", "90.00", "0.00", False),
    ]  # fmt: skip
    assert shop.get("/v1/order/other/history").status == 404
    assert shop.get(f"/v3/{ACCOUNT}/orders/my_shop/other/history").status == 404


def test_a_v1_order_s_history_goes_on_behind_a_megabyte_of_versions(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is where DynamoDB ends a page. The oldest one shown of too many has the sum before it, too."""
    monkeypatch.setattr(people, "_MAX_HISTORY", 12)
    chance = random.Random(1)
    letters = string.ascii_letters + string.digits

    def items() -> list[dict[str, Any]]:
        words = ["".join(chance.choices(letters, k=9_000)) for _ in range(25)]
        return [{"identifier": "a", "total": 1, "description": word} for word in words]

    shop.submit(_order("A-1", "0"))
    for total in range(1, 12):
        assert shop.edit("A-1", {"total": total, "order_items": items() if total > 3 else []}).status == 200
    found = _history(shop, "/v1/order/A-1/history")
    assert found == [
        ("submitted", "", "0.00", False), *(("edited", f"{n - 1}.00", f"{n}.00", False) for n in range(1, 12)),
    ]  # fmt: skip
    shop.edit("A-1", {"total": 12})
    assert _history(shop, "/v1/order/A-1/history") == [*found[1:], ("edited", "11.00", "12.00", False)]


def test_an_order_is_found_by_its_id_alone_whatever_its_provider(shop: Shop) -> None:
    shop.send(V3 | {"action": "placed", "grand_total": 1})
    shop.send(V3 | {"action": "placed", "grand_total": 2, "provider": "another"})
    shop.submit(_order("A-1", "3"))
    shop.drain()
    rows = shop.get("/v1/transactions", query={"order_id": "A-1"}).body["transactions"]
    assert {(row["source"], row["provider"], row["effects"][0]["amount"]) for row in rows} == {
        ("shopper_activity", "my_shop", "1.00"), ("shopper_activity", "another", "2.00"), ("orders_api", None, "3.00"),
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 200])
def test_of_one_provider_only(shop: Shop, limit: int) -> None:
    """Also of what did not count. A v1 order and a rejection have no provider, and are listed with any."""
    shop.submit(_order("A-1", "3"))
    day = "2026-01-01T01:00:00Z"
    for provider in ("my_shop", "another", "another", "my_shop", "another"):
        shop.send(V3 | {"action": "placed", "occurred_at": day, "grand_total": 1, "provider": provider})
        shop.drain()
    assert shop.send(V3 | {"action": "placed", "grand_total": "x", "provider": "another"}).status == 422
    query, rows = {"order_id": "A-1", "provider": "my_shop", "limit": str(limit)}, []
    for _ in range(20):
        page = shop.get("/v1/transactions", query=query).body
        rows += page["transactions"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert [(row["status"], row["provider"]) for row in rows] == [
        ("rejected", None), ("duplicate", "my_shop"), ("applied", "my_shop"), ("applied", None),
    ]  # fmt: skip
    assert page["next_cursor"] is None


def test_the_account_of_a_key_is_told_to_begin_with(shop: Shop) -> None:
    body = shop.get("/v1/account").body
    assert (body["account_id"], body["currency"], body["key"]["role"]) == (ACCOUNT, "USD", "admin")


# ---------------------------------------------------------------------- page


def _page(name: str | None, **headers: str) -> dict[str, Any]:
    handler = importlib.import_module("functions.transactions_page.app").handler
    event = {"headers": headers} | ({"pathParameters": {"file": name}} if name else {})
    answer: dict[str, Any] = handler(event, Context())
    return answer


def test_the_page_s_files_come_with_a_strict_policy_and_are_not_sent_twice() -> None:
    plain = _page(None)
    assert (plain["statusCode"], plain["headers"]["content-type"]) == (200, "text/html; charset=utf-8")
    policy = plain["headers"]["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert _page(None, **{"accept-encoding": "gzip"})["isBase64Encoded"] is True
    assert _page(None, **{"if-none-match": plain["headers"]["etag"]})["statusCode"] == 304


def test_the_page_weighs_little() -> None:
    """What a browser loads for it, as it comes over the wire: at most 150 kB, by far."""
    folder = template.ROOT / "functions" / "transactions_page" / "page"
    weights = {
        file.name: len(b64decode(_page(file.name, **{"accept-encoding": "gzip"})["body"])) for file in folder.iterdir()
    }
    assert len(weights) >= 9
    assert sum(weights.values()) <= 150_000, weights


@pytest.mark.parametrize("name", ["app.py", "../app.py", "nothing.js", "index"])
def test_no_other_file_is_handed_out(name: str) -> None:
    assert _page(name)["statusCode"] == 404
