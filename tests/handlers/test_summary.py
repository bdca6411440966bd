"""Requests by day, reason and order, their effects on LTV, the history of an order, and the files of the page."""

from __future__ import annotations

import importlib
import random
import string
import time
from base64 import b64decode
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, cast

import pytest

from tests.handlers import template
from tests.handlers.clock import Clock
from tests.handlers.shop import ACCOUNT, OTHER_ADMIN, Context, Death, Shop, kill_at_call
from tillbook.aws.settings import settings
from tillbook.records.outcomes import Outcome, Outcomes
from tillbook.records.scopes import Mark, Marks
from tillbook.rules import times
from tillbook.rules.errors import Malformed, Unavailable
from tillbook.rules.identity import SOURCES
from tillbook.views import summary

TODAY = times.iso(times.now())[:10]


@pytest.fixture(autouse=True)
def _noon(clock: Clock) -> None:
    """Sets the clock to half past twelve, so that no day and no hour ends while a test runs."""
    clock.set(datetime.fromisoformat(f"{TODAY}T12:30:00Z"))


def _day(days: int) -> str:
    """The date that many days after today."""
    return (date.fromisoformat(TODAY) + timedelta(days)).isoformat()


EVENT = {"provider": "my_shop", "email": "ann@example.com", "order_id": "A-1"}


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
    """Effects of the applied requests, the oldest first."""
    rows = shop.get("/v1/transactions", query={"status": "applied"}).body["transactions"]
    return [[(e["currency"], e["amount"], e["orders"]) for e in row["effects"]] for row in reversed(rows)]


def test_each_day_shows_requests_by_source_and_status(shop: Shop) -> None:
    shop.submit(_order("1", "100"))
    shop.edit("1", {"total": "90"})
    for action in ("placed", "refunded"):
        shop.send(EVENT | {"action": action})
        shop.drain()
    found = _summary(shop)
    assert found["requests"] == [
        {"day": TODAY, "source": "orders_api", "status": "applied", "count": 2},
        {"day": TODAY, "source": "shopper_activity", "status": "applied", "count": 2},
    ]
    assert (found["to"], found["earlier"], found["refused"]) == (TODAY, None, [])


def test_rejections_are_counted_by_reason(shop: Shop) -> None:
    for price in ("eleven", "twelve"):
        shop.submit(_order("1", 1, order_items=[{"identifier": "a", "total": price}]))
    shop.send(EVENT | {"action": "bought"})
    found = _summary(shop)
    (first, second) = found["refused"]
    assert (first["status"], first["reason"], first["count"]) == ("rejected", "order_items[].total must be a number", 2)
    assert second["reason"].startswith("action must be one of")
    assert {(r["source"], r["status"], r["count"]) for r in found["requests"]} == {
        ("orders_api", "rejected", 2),
        ("shopper_activity", "rejected", 1),
    }


@pytest.mark.parametrize("call", range(12))
@pytest.mark.parametrize("moment", ["before", "after"])
def test_effects_stay_right_if_the_function_dies_and_the_queue_delivers_again(
    shop: Shop, call: int, moment: str
) -> None:
    sent = [EVENT | {"action": "placed", "grand_total": 30}, EVENT | {"action": "updated", "grand_total": 35}]
    shop.send_batch([order | {"occurred_at": f"2026-01-0{n + 1}T00:00:00Z"} for n, order in enumerate(sent)])
    records = shop.receive()
    # If the function makes fewer calls, it does not die.
    with shop.faults.injected(kill_at_call(call, moment)), suppress(Death):
        shop.deliver(records)
    shop.drain()
    assert sorted(_effects(shop)) == [[("USD", "30.00", 1)], [("USD", "5.00", 0)]]
    assert [row["count"] for row in _summary(shop)["requests"]] == [2]


def test_a_copy_is_a_duplicate_and_has_no_effect(shop: Shop) -> None:
    for _ in range(3):
        shop.send(EVENT | {"action": "placed", "grand_total": 30, "occurred_at": "2026-01-01T00:00:00Z"})
        shop.drain()
    rows = shop.get("/v1/transactions").body["transactions"]
    assert sorted((row["status"], len(row["effects"])) for row in rows) == [
        ("applied", 1), ("duplicate", 0), ("duplicate", 0),
    ]  # fmt: skip


def test_an_order_that_changes_its_currency_counts_in_the_new_one_only(shop: Shop) -> None:
    shop.submit(_order("1", "100", currency="USD"))
    shop.edit("1", {"currency": "EUR"})
    shop.drain()
    assert _effects(shop) == [[("USD", "100.00", 1)], [("USD", "-100.00", -1), ("EUR", "100.00", 1)]]


def test_the_effects_of_a_submission_an_edit_and_a_deletion_add_up_to_nothing(shop: Shop) -> None:
    shop.submit(_order("1", "100"))
    shop.edit("1", {"total": "90"})
    shop.delete("1")
    shop.drain()
    assert _effects(shop) == [[("USD", "100.00", 1)], [("USD", "-10.00", 0)], [("USD", "-90.00", -1)]]


def test_a_purge_empties_the_summary(shop: Shop) -> None:
    shop.submit(_order("1", "100"))
    shop.send(EVENT | {"action": "placed", "grand_total": 30})
    shop.drain()
    assert shop.request("DELETE", "/v1/transactions", {"confirm": "purge"}).status == 202
    assert _is_empty(shop), "before the job of the purge ran"
    shop.settle()
    assert _is_empty(shop)


def _is_empty(shop: Shop) -> bool:
    found = _summary(shop)
    return (found["requests"], found["refused"]) == ([], [])


def test_a_purge_of_one_source_leaves_the_other_in_the_summary(shop: Shop) -> None:
    shop.submit(_order("1", "100"))
    shop.send(EVENT | {"action": "placed", "grand_total": 30})
    shop.drain()
    body = {"confirm": "purge", "source": "orders_api"}
    assert shop.request("DELETE", "/v1/transactions", body).status == 202
    for _ in range(2):  # before and after the job of the purge
        assert [row["source"] for row in _summary(shop)["requests"]] == ["shopper_activity"]
        shop.settle()


def test_the_summary_of_an_account_has_no_requests_of_another(shop: Shop) -> None:
    shop.submit(_order("1", "100"))
    shop.drain()
    assert shop.get("/v1/transactions/summary", key=OTHER_ADMIN).body["requests"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-02-30"}, "from"),
        ({"to": "20260101"}, "to"),
        ({"to": "tomorrow"}, "to"),
        ({"from": _day(-2), "to": _day(-3)}, "from"),
        ({"from": _day(1), "to": _day(12)}, "from"),
        ({"from": "9999-01-01", "to": "9999-12-31"}, "from"),
        ({"from": _day(-32), "to": _day(-20)}, "from"),
        ({"to": _day(-32)}, "to"),
        ({"to": "0001-01-05"}, "to"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "to"),
        ({"from": "0001-01-01"}, "from"),
        ({"from": "1969-12-01"}, "from"),
    ],
)
def test_an_invalid_day_is_refused(shop: Shop, query: dict[str, str], field: str) -> None:
    answer = shop.get("/v1/transactions/summary", query=query)
    assert (answer.status, answer.fields) == (400, {field})


class _OneEachDay:
    """Replaces Outcomes: one applied request each day. It checks the remaining time once for each day."""

    def places(self, account: str) -> list[tuple[str, str, str]]:
        return [("orders_api", "applied", account)]

    def counted(self, pk: str, first: str, beyond: str, cut: str, may_go_on: Any) -> int | None:
        return 1 if may_go_on() else None

    def newest(self, *_arguments: Any) -> list[Outcome]:
        return []


def test_when_the_time_ends_the_answer_has_the_days_counted_so_far() -> None:
    start, end = date(2026, 1, 1), date(2026, 1, 5)
    marks, outcomes = Marks("a", {source: Mark() for source in SOURCES}, {}), _OneEachDay()

    def found(time_left: int) -> Any:
        seconds = iter(range(100))  # a second passes with each look at the clock
        return summary.Summary(cast(Outcomes, outcomes), marks, lambda: float(next(seconds))).of(start, end, time_left)

    assert (found(10)["from"], found(10)["earlier"]) == ("2026-01-01", None)
    partial = found(2)
    assert (partial["from"], partial["earlier"]) == ("2026-01-04", "2026-01-03")
    assert [row["day"] for row in partial["requests"]] == ["2026-01-04", "2026-01-05"]
    with pytest.raises(Unavailable):
        found(0)


def test_the_days_of_a_summary_are_within_31_days() -> None:
    today = date(2026, 3, 10)
    assert summary.days_asked(None, None, today) == (date(2026, 2, 25), today)  # 14 days
    # The earliest day, the first of 31.
    assert summary.days_asked(None, "2026-02-10", today) == (date(2026, 2, 8), date(2026, 2, 10))
    assert summary.days_asked("2026-02-08", "2026-03-31", today) == (date(2026, 2, 8), today)
    for first, last in (("2026-03-11", None), ("2026-02-07", None), ("2026-02-07", "2026-02-07")):
        with pytest.raises(Malformed):
            summary.days_asked(first, last, today)


def test_requests_are_kept_as_long_as_a_summary_may_show_them(shop: Shop) -> None:
    today = date(2026, 3, 10)
    furthest, _ = summary.days_asked(None, "2026-02-08", today)
    needed = today + timedelta(1) - furthest  # from the beginning of that day to the end of today
    _recorded(shop).record([_outcome(1, 0)])
    (item,) = [item for item in shop.items("RecordsTable") if "/t/" in item["pk"]]
    assert float(item["ttl"]) - time.time() > (needed + timedelta(1)).total_seconds()


def _outcome(number: int, hours_ago: float, status: str = "applied") -> Outcome:
    """The outcome of a request that was received some hours ago."""
    moment = times.to_datetime(times.now()) - timedelta(hours=hours_ago)
    digits = f"{int(moment.timestamp() * 1000):012x}"
    request_id = f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}"
    received = times.stamp(moment)
    return Outcome(ACCOUNT, "orders_api", request_id, status, received, "submitted", "", f"o{number}")


def _recorded(shop: Shop) -> Outcomes:
    return Outcomes(shop.dynamodb, settings().records_table)


def _counts(shop: Shop) -> list[tuple[str, str, int]]:
    return [(row["day"], row["status"], row["count"]) for row in _summary(shop)["requests"]]


def test_requests_count_on_the_day_of_their_receipt(shop: Shop) -> None:
    """The time is half past twelve, UTC: 12.4 hours ago is today, 12.6 hours ago is yesterday."""
    recorded = _recorded(shop)
    recorded.record([_outcome(1, 12.4), _outcome(2, 12.6), _outcome(3, 12.6), _outcome(4, 40, "duplicate")])
    assert _counts(shop) == [(_day(-2), "duplicate", 1), (_day(-1), "applied", 2), (TODAY, "applied", 1)]
    failed = _outcome(5, 12.6, "failed")
    recorded.record([failed])
    assert (_day(-1), "failed", 1) in _counts(shop)
    applied = replace(failed, status="applied")  # as when a dead letter is replayed
    recorded.record([applied])
    recorded.replaces_failure(applied)
    assert _counts(shop) == [(_day(-2), "duplicate", 1), (_day(-1), "applied", 3), (TODAY, "applied", 1)]


def test_a_summary_does_not_read_applied_requests(shop: Shop) -> None:
    """DynamoDB counts them, so a summary works for a day of 100,000 requests."""
    _recorded(shop).record([_outcome(number, 1) for number in range(30)])
    with shop.faults.recorded() as calls:
        assert _counts(shop) == [(TODAY, "applied", 30)]
    queries = [arguments for operation, arguments in calls if operation == "Query"]
    not_only_counted = [a["ExpressionAttributeValues"][":pk"]["S"] for a in queries if a.get("Select") != "COUNT"]
    assert not [pk for pk in not_only_counted if "/t/applied/" in pk]


def test_reasons_are_those_of_the_requested_days(shop: Shop) -> None:
    _recorded(shop).record([replace(_outcome(n, 24 * n, "failed"), reason=f"reason {n}") for n in range(1, 4)])
    found = _summary(shop, **{"from": _day(-2), "to": _day(-2)})
    assert [row["reason"] for row in found["refused"]] == ["reason 2"]


# ------------------------------------------------------------------- history


def _history(shop: Shop, path: str, **query: str) -> list[tuple[str, str, str, bool]]:
    """(action, the order's contribution to LTV before and after, whether it arrived late) of each entry."""
    answer = shop.get(path, query=query)
    assert answer.status == 200, answer.body
    return [
        (e["action"], e["before"]["amount"] if e["before"] else "", e["lifetime_value"]["amount"], e["late"])
        for e in answer.body["history"]
    ]


def test_the_history_of_a_v3_order_is_sorted_by_time_and_shows_effects_on_ltv(shop: Shop) -> None:
    for action, hour, more in (
        ("placed", 1, {"grand_total": 100}),
        ("refunded", 4, {"refund_amount": 105}),
        ("updated", 2, {"grand_total": 105}),
    ):
        shop.send(EVENT | {"action": action, "occurred_at": f"2026-01-01T0{hour}:00:00Z"} | more)
        shop.drain()
    assert _history(shop, f"/v3/{ACCOUNT}/orders/my_shop/A-1/history") == [
        ("placed", "", "100.00", False), ("updated", "100.00", "105.00", True), ("refunded", "105.00", "0.00", False),
    ]  # fmt: skip


def test_the_history_of_a_v1_order_includes_its_deletion(shop: Shop) -> None:
    shop.submit(_order("1/2", "100"))
    shop.edit("1%2F2", {"total": "90"})
    shop.delete("1%2F2")
    assert _history(shop, "/v1/order/1%2F2/history") == [
        ("submitted", "", "100.00", False), ("edited", "100.00", "90.00", False), ("deleted", "90.00", "0.00", False),
    ]  # fmt: skip
    assert shop.get("/v1/order/other/history").status == 404
    assert shop.get(f"/v3/{ACCOUNT}/orders/my_shop/other/history").status == 404


def test_the_history_of_a_v1_order_continues_after_a_megabyte_of_versions(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB ends a page at a megabyte. The oldest version of a page shows the amount before it, too."""
    rng = random.Random(1)
    letters = string.ascii_letters + string.digits

    def items() -> list[dict[str, Any]]:
        """225,000 bytes that hardly compress."""
        words = ["".join(rng.choices(letters, k=9_000)) for _ in range(25)]
        return [{"identifier": "a", "total": 1, "description": word} for word in words]

    shop.submit(_order("A-1", "0"))
    for total in range(1, 12):
        assert shop.edit("A-1", {"total": total, "order_items": items() if total > 3 else []}).status == 200
    found = _history(shop, "/v1/order/A-1/history", limit="12")
    assert found == [
        ("submitted", "", "0.00", False),
        *(("edited", f"{n - 1}.00", f"{n}.00", False) for n in range(1, 12)),
    ]
    shop.edit("A-1", {"total": 12})
    assert _history(shop, "/v1/order/A-1/history", limit="12") == [*found[1:], ("edited", "11.00", "12.00", False)]
    cursor = shop.get("/v1/order/A-1/history", query={"limit": "12"}).body["next_cursor"]
    assert _history(shop, "/v1/order/A-1/history", limit="12", cursor=cursor) == found[:1]


def test_requests_are_found_by_order_id_alone_for_every_provider(shop: Shop) -> None:
    shop.send(EVENT | {"action": "placed", "grand_total": 1})
    shop.send(EVENT | {"action": "placed", "grand_total": 2, "provider": "another"})
    shop.submit(_order("A-1", "3"))
    shop.drain()
    rows = shop.get("/v1/transactions", query={"order_id": "A-1"}).body["transactions"]
    assert {(row["source"], row["provider"], row["effects"][0]["amount"]) for row in rows} == {
        ("shopper_activity", "my_shop", "1.00"), ("shopper_activity", "another", "2.00"), ("orders_api", None, "3.00"),
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 200])
def test_requests_of_an_order_id_can_be_filtered_by_provider(shop: Shop, limit: int) -> None:
    """Duplicates of other providers are left out, too. v1 orders and rejections have no provider: they are listed."""
    shop.submit(_order("A-1", "3"))
    day = "2026-01-01T01:00:00Z"
    for provider in ("my_shop", "another", "another", "my_shop", "another"):
        shop.send(EVENT | {"action": "placed", "occurred_at": day, "grand_total": 1, "provider": provider})
        shop.drain()
    assert shop.send(EVENT | {"action": "placed", "grand_total": "x", "provider": "another"}).status == 422
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


def test_the_account_of_the_key_is_shown(shop: Shop) -> None:
    body = shop.get("/v1/account").body
    assert (body["account_id"], body["currency"], body["key"]["role"]) == (ACCOUNT, "USD", "admin")


# ---------------------------------------------------------------------- page


def _page(name: str | None, **headers: str) -> dict[str, Any]:
    handler = importlib.import_module("functions.transactions_page.app").handler
    event = {"headers": headers} | ({"pathParameters": {"file": name}} if name else {})
    answer: dict[str, Any] = handler(event, Context())
    return answer


def test_files_of_the_page_have_a_strict_policy_and_an_etag() -> None:
    plain = _page(None)
    assert (plain["statusCode"], plain["headers"]["content-type"]) == (200, "text/html; charset=utf-8")
    policy = plain["headers"]["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert _page(None, **{"accept-encoding": "gzip"})["isBase64Encoded"] is True
    assert _page(None, **{"if-none-match": plain["headers"]["etag"]})["statusCode"] == 304


def test_the_page_is_at_most_150_kb_compressed() -> None:
    folder = template.ROOT / "functions" / "transactions_page" / "page"
    sizes = {
        file.name: len(b64decode(_page(file.name, **{"accept-encoding": "gzip"})["body"])) for file in folder.iterdir()
    }
    assert len(sizes) >= 9
    assert sum(sizes.values()) <= 150_000, sizes


@pytest.mark.parametrize("name", ["app.py", "../app.py", "nothing.js", "index"])
def test_no_other_file_is_served(name: str) -> None:
    assert _page(name)["statusCode"] == 404


def test_counts_of_days_before_a_purge_are_0(shop: Shop) -> None:
    """Requests are counted from the purge on. DynamoDB would refuse a range that ends before it begins."""
    shop.send(EVENT | {"action": "placed"})
    shop.drain()
    assert shop.request("DELETE", "/v1/transactions", {"confirm": "purge"}).status == 202
    for query in ({"from": _day(-9), "to": _day(-8)}, {"to": "2000-01-01"}):
        counts = shop.get("/v1/transactions/counts", query=query).body["counts"]
        assert {row["count"] for row in counts} == {0}
