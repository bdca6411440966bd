"""Requests by date, action and status, as CSV, and their counts; dead letters with their events."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.handlers.events import event
from tests.handlers.removal import ANN, make_dead_letters
from tests.handlers.shop import ACCOUNT, OTHER_ADMIN, Shop
from tillbook.records import deadletters, outcomes
from tillbook.rules.identity import email_sha256


def ids(shop: Shop, **query: str) -> list[str]:
    return [row["request_id"] for row in page(shop, **query)["transactions"]]


def page(shop: Shop, **query: str) -> Any:
    answer = shop.get("/v1/transactions", query=query)
    assert answer.status == 200, answer.body
    return answer.body


@pytest.fixture
def on_june(shop: Shop) -> dict[int, str]:
    """The ids of requests received at 23:30 UTC on the first four days of June, by day."""
    made = {}
    for day in (1, 2, 3, 4):
        shop.clock.set(datetime(2026, 6, day, 23, 30, tzinfo=UTC))
        made[day] = shop.send(event(order_id=f"d-{day}")).body["request_id"]
        shop.drain()
    return made


def test_dates_are_in_the_account_s_time_zone(shop: Shop, on_june: dict[int, str]) -> None:
    assert ids(shop, **{"from": "2026-06-02", "to": "2026-06-03"}) == [on_june[3], on_june[2]]
    assert ids(shop, **{"from": "2026-06-03"}) == [on_june[4], on_june[3]]
    assert ids(shop, to="2026-06-01") == [on_june[1]]
    shop.accounts.change(ACCOUNT, {"time_zone": "Europe/Berlin"})
    assert ids(shop, **{"from": "2026-06-03", "to": "2026-06-03"}) == [on_june[2]]  # 01:30 on June 3 in Berlin
    assert ids(shop, **{"from": "0001-01-01", "to": "9999-12-31"}) == [on_june[day] for day in (4, 3, 2, 1)]


def test_an_invalid_range_of_dates_is_400(shop: Shop) -> None:
    for query in ({"from": "2026-06-03", "to": "2026-06-01"}, {"from": "x"}, {"to": "2026-13-01"}):
        assert shop.get("/v1/transactions", query=query).status == 400


def test_pages_end_at_the_first_date_of_the_range(shop: Shop, on_june: dict[int, str]) -> None:
    first = page(shop, **{"from": "2026-06-02", "to": "2026-06-04", "limit": "2"})
    assert [row["request_id"] for row in first["transactions"]] == [on_june[4], on_june[3]]
    rest = page(shop, **{"from": "2026-06-02", "to": "2026-06-04", "limit": "2", "cursor": first["next_cursor"]})
    assert ([row["request_id"] for row in rest["transactions"]], rest["next_cursor"]) == ([on_june[2]], None)
    by_order = page(shop, **{"from": "2026-06-02", "order_id": "d-1"})
    assert by_order["transactions"] == []


def test_an_action_is_found_among_many_others(shop: Shop) -> None:
    rare = shop.send(event(order_id="a-0", action="refunded", refund_amount=1)).body["request_id"]
    for number in range(30):
        shop.send(event(order_id=f"b-{number}"))
    shop.drain()
    found, cursor, pages = [], None, 0
    while cursor or not pages:
        one = page(shop, action="refunded", limit="2", **({"cursor": cursor} if cursor else {}))
        found += [row["request_id"] for row in one["transactions"]]
        cursor, pages = one["next_cursor"], pages + 1
    assert (found, pages) == ([rare], 2)  # a page reads at most ten times its limit: 20 of the 31 requests
    assert page(shop, action="submitted")["transactions"] == []


def test_requests_are_available_as_csv(shop: Shop, on_june: dict[int, str]) -> None:
    answer = shop.get("/v1/transactions", query={"format": "csv", "limit": "2"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["request_id"] for row in rows] == [on_june[4], on_june[3]]
    assert (rows[0]["status"], rows[0]["order_id"]) == ("applied", "d-4")
    cursor = answer.headers["x-next-cursor"]
    assert on_june[2] in shop.get("/v1/transactions", query={"cursor": cursor}, headers={"Accept": "text/csv"}).text


def counts(shop: Shop, **query: str) -> dict[str, Any]:
    """(count, whether there are more) of each status."""
    answer = shop.get("/v1/transactions/counts", query=query)
    assert answer.status == 200, answer.body
    return {entry["status"]: (entry["count"], entry["more"]) for entry in answer.body["counts"]}


def test_requests_are_counted_by_status(shop: Shop, on_june: dict[int, str], monkeypatch: pytest.MonkeyPatch) -> None:
    again = event(order_id="d-5", occurred_at="2026-06-01T00:00:00Z")
    for _ in range(2):
        shop.send(again)
        shop.drain()
    assert shop.get("/v1/transactions/counts").body["from"] == "2026-06-04"
    assert counts(shop) == {  # of June 4: d-4 and d-5
        "applied": (2, False), "duplicate": (1, False), "failed": (0, False), "rejected": (0, False),
    }  # fmt: skip
    assert counts(shop, **{"from": "2026-06-02", "to": "2026-06-03"})["applied"] == (2, False)
    assert counts(shop, to="2026-06-01")["applied"] == (1, False)
    assert counts(shop, source="orders_api", **{"from": "2026-06-01"})["applied"] == (0, False)
    assert shop.get("/v1/transactions/counts", query={"from": "2026-06-04", "to": "2026-06-01"}).status == 400
    monkeypatch.setattr(outcomes, "_MOST_COUNTED", 1)
    total, more = counts(shop, **{"from": "2026-06-01"})["applied"]  # at most one of each partition is counted
    assert total <= 5
    assert more or total == 5


def test_purged_requests_are_not_counted(shop: Shop, on_june: dict[int, str]) -> None:
    assert shop.request("DELETE", "/v1/transactions", {"confirm": "purge"}).status == 202
    assert counts(shop, **{"from": "2026-06-01"})["applied"] == (0, False)
    shop.clock.sleep(60)
    shop.send(event(order_id="new"))
    shop.drain()
    assert counts(shop, **{"from": "2026-06-01"})["applied"] == (1, False)


# --------------------------------------------------------- dead letters


def test_a_dead_letter_shows_its_event(shop: Shop) -> None:
    (letter_id,) = make_dead_letters(shop, "x-1")
    letter = shop.get(f"/v1/deadletters/{letter_id}").body
    assert letter == shop.get("/v1/deadletters").body["deadletters"][0]
    assert (letter["source"], letter["attempts"], letter["amount"]) == ("shopper_activity", 5, "100.00")
    assert (letter["payload"]["order_id"], letter["payload"]["action"]) == ("x-1", "placed")
    assert letter["payload"]["person"] == {"kind": "email", "value": email_sha256(ANN)}
    assert "@" not in str(letter)
    (short,) = shop.get("/v1/deadletters", query={"payload": "false"}).body["deadletters"]
    assert short == letter | {"payload": None}
    assert shop.get(f"/v1/deadletters/{letter_id}", key=OTHER_ADMIN).status == 404
    assert shop.get("/v1/deadletters/nothing").status == 404


def test_dead_letters_are_counted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.get("/v1/deadletters/count").body == {"count": 0, "more": False}
    make_dead_letters(shop, "x-1", "x-2", "x-3")
    assert shop.get("/v1/deadletters/count").body == {"count": 3, "more": False}
    assert shop.get("/v1/deadletters/count", key=OTHER_ADMIN).body == {"count": 0, "more": False}
    monkeypatch.setattr(deadletters, "_MOST_COUNTED", 2)
    assert shop.get("/v1/deadletters/count").body == {"count": 2, "more": True}


def test_a_page_of_large_dead_letters_has_fewer_entries(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadletters, "PAGE_BYTES", 1000)
    made = make_dead_letters(shop, "x-1", "x-2", "x-3")
    seen, cursor = [], None
    for _ in range(9):
        body = shop.get("/v1/deadletters", query={"cursor": cursor} if cursor else None).body
        seen += [letter["id"] for letter in body["deadletters"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
