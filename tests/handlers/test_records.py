"""Dead letters, outcomes of requests (`/v1/transactions`) and rejections, over HTTP."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.handlers.audiences import order, submit
from tests.handlers.events import day, event
from tests.handlers.removal import (
    ANN,
    dead_letter_ids,
    list_outcomes,
    ltv_of,
    make_dead_letters,
    meanwhile,
    process,
    record_outcomes,
    store_dead_letter,
    worker,
)
from tests.handlers.shop import ACCOUNT, ADMIN, INGEST, OTHER_ADMIN, Answer, Death, Shop
from tillbook.records import rejections

# ----------------------------------------------------------------- dead letters


def test_dead_letters_are_listed_newest_first_in_pages(shop: Shop) -> None:
    ids = make_dead_letters(shop, "x-1", "x-2", "x-3")
    first = shop.get("/v1/deadletters", query={"limit": "2"}).body
    assert [letter["id"] for letter in first["deadletters"]] == [ids[2], ids[1]]
    rest = shop.get("/v1/deadletters", query={"limit": "2", "cursor": first["next_cursor"]}).body
    assert [letter["id"] for letter in rest["deadletters"]] == [ids[0]]
    assert rest["next_cursor"] is None
    letter = first["deadletters"][0]
    assert (letter["source"], letter["attempts"]) == ("shopper_activity", 5)
    assert (letter["action"], letter["provider"], letter["order_id"]) == ("placed", "shopify", "x-3")
    assert shop.get("/v1/deadletters", key=OTHER_ADMIN).body == {"deadletters": [], "next_cursor": None}
    assert shop.get("/v1/deadletters", query={"cursor": "!"}).status == 400


def test_one_dead_letter_or_all_are_replayed(shop: Shop) -> None:
    ids = make_dead_letters(shop, "x-1", "x-2", "x-3")
    assert shop.request("POST", f"/v1/deadletters/{ids[0]}/replay").body == {"replayed": 1, "next_cursor": None}
    assert dead_letter_ids(shop) == [ids[2], ids[1]]
    shop.drain()
    assert ltv_of(shop, ANN) == {"USD": "100.00"}
    assert shop.status(ids[0])["status"] == "applied"
    assert shop.request("POST", "/v1/deadletters/all/replay").body == {"replayed": 2, "next_cursor": None}
    shop.drain()
    assert ltv_of(shop, ANN) == {"USD": "300.00"}
    assert dead_letter_ids(shop) == []
    statuses = [t["status"] for t in shop.get("/v1/transactions").body["transactions"]]
    assert statuses == ["applied"] * 3
    assert shop.request("POST", f"/v1/deadletters/{ids[0]}/replay").status == 404
    assert shop.request("POST", f"/v1/deadletters/{ids[1]}/replay", key=OTHER_ADMIN).status == 404


def test_a_replay_of_all_continues_after_dead_letters_that_were_discarded_meanwhile(shop: Shop) -> None:
    ids = make_dead_letters(shop, "x-1", "x-2", "x-3")

    def discard() -> None:
        assert shop.request("DELETE", f"/v1/deadletters/{ids[1]}", {"reason": "a test order"}).status == 200

    with meanwhile(shop, "Query", f"{ACCOUNT}/d", discard, after=True):  # the list has been read
        answer = shop.request("POST", "/v1/deadletters/all/replay")
    assert (answer.status, answer.body) == (202, {"replayed": 2, "next_cursor": None})
    shop.drain()
    assert dead_letter_ids(shop) == []
    assert ltv_of(shop, ANN) == {"USD": "200.00"}


def test_a_replay_of_all_ends_in_time_and_returns_where_to_continue(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of AWS takes 0.1 seconds here, and the function is killed after ten seconds."""
    for n in range(60):
        store_dead_letter(shop, f"o-{n}", 1)
    spent, begun, start = [0.0], [0.0], time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + spent[0])

    def slow(_index: int, _operation: str, _arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        spent[0] += 0.1
        if spent[0] > begun[0] + 10:  # the seconds that the function has
            raise Death
        return go()

    answers: list[Any] = [{"next_cursor": None}]
    while len(answers) == 1 or answers[-1]["next_cursor"]:
        begun[0], cursor = spent[0], answers[-1]["next_cursor"]
        with shop.faults.injected(slow):
            answer = shop.request("POST", "/v1/deadletters/all/replay", query={"cursor": cursor} if cursor else None)
        assert answer.status == 202
        answers.append(answer.body)
    assert len(answers) > 2
    assert sum(answer["replayed"] for answer in answers[1:]) == 60
    assert dead_letter_ids(shop) == []
    shop.drain()
    assert ltv_of(shop, ANN) == {"USD": "60.00"}


def test_an_invalid_cursor_of_a_replay_is_400(shop: Shop) -> None:
    answer = shop.request("POST", "/v1/deadletters/all/replay", query={"cursor": "x"})
    assert (answer.status, answer.fields) == (400, {"cursor"})


def test_a_replay_that_runs_out_of_time_still_replaces_the_failure(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the failed outcome would remain beside the new one."""
    [request_id] = make_dead_letters(shop, "poison")
    assert shop.request("POST", f"/v1/deadletters/{request_id}/replay").status == 202
    [record] = shop.receive()
    shop.acknowledge(record)
    processor = worker()
    moments = iter([0.0])  # the time runs out as soon as the message is started
    monkeypatch.setattr(processor, "clock", lambda: next(moments, 55.0))
    process(processor, record)
    assert shop.status(request_id)["status"] == "failed"
    shop.drain()
    found = shop.get("/v1/transactions").body["transactions"]
    assert [(t["request_id"], t["status"]) for t in found] == [(request_id, "applied")]


def test_discarding_requires_a_reason(shop: Shop) -> None:
    (request_id,) = make_dead_letters(shop, "x-1")
    bodies: list[Any] = [None, {}, {"reason": " "}, {"reason": 5}, {"reason": "x" * 501}, []]
    for body in bodies:
        assert shop.request("DELETE", f"/v1/deadletters/{request_id}", body).status == 400
    answer = shop.request("DELETE", f"/v1/deadletters/{request_id}", {"reason": "a test order"})
    assert (answer.status, answer.body["id"]) == (200, request_id)
    assert dead_letter_ids(shop) == []
    assert "a test order" in shop.status(request_id)["reason"]
    assert shop.request("DELETE", f"/v1/deadletters/{request_id}", {"reason": "again"}).status == 404


# ----------------------------------------------------------------- transactions


@pytest.mark.parametrize("limit", [1, 3, 200])
def test_transactions_are_listed_newest_first(shop: Shop, limit: int) -> None:
    ids = [shop.send(event(order_id=f"o-{n % 3}", occurred_at=day(n % 4 + 1))).body["request_id"] for n in range(12)]
    shop.drain()
    submit(shop, order("o-1"), order("o-1"))
    assert shop.submit(order("o-1", total=5)).status == 409
    shop.drain()
    found = list_outcomes(shop, limit)
    assert [t["request_id"] for t in found] == sorted((t["request_id"] for t in found), reverse=True)
    assert {t["request_id"] for t in found} >= set(ids)
    assert len(found) == 15  # 12 events, a submission, its repeat, and the refused one
    by_status = {s: [t for t in found if t["status"] == s] for s in ("applied", "duplicate", "failed", "rejected")}
    for status, expected in by_status.items():
        assert list_outcomes(shop, limit, status=status) == expected
    assert [t["source"] for t in list_outcomes(shop, limit, source="orders_api")] == ["orders_api"] * 3
    assert list_outcomes(shop, limit, request_id=ids[0])[0]["request_id"] == ids[0]
    # v1 requests about an order with this id have no provider, and are listed, too.
    of_order = list_outcomes(shop, limit, order_id="o-1", provider="shopify")
    assert {t["request_id"] for t in of_order} == {t["request_id"] for t in found if t["order_id"] == "o-1"}
    for status in ("applied", "duplicate", "rejected"):
        ones = list_outcomes(shop, limit, order_id="o-1", provider="shopify", status=status)
        assert {t["request_id"] for t in ones} == {t["request_id"] for t in of_order if t["status"] == status}


@pytest.mark.parametrize(("limit", "query"), [(20, {"status": "duplicate"}), (200, {"order_id": "o-1"}), (200, {})])
def test_large_outcomes_are_listed_to_the_last_one(shop: Shop, limit: int, query: dict[str, str]) -> None:
    """DynamoDB reads 1 MB at a time. A search by order id finds applied requests by their events; here are none."""
    applied = record_outcomes(30, notes=["x" * 100_000])
    duplicates = record_outcomes(30, "duplicate", ["x" * 100_000])
    expected = duplicates if query else applied + duplicates
    assert [t["request_id"] for t in list_outcomes(shop, limit, **query)] == sorted(expected, reverse=True)


def test_a_page_of_requests_stops_at_4_mb(shop: Shop) -> None:
    sent = record_outcomes(60, notes=["x" * 100_000])
    answer = shop.get("/v1/transactions", query={"limit": "60"})
    assert 3_900_000 < len(answer.text) < 4_200_000
    assert answer.body["next_cursor"] == answer.body["transactions"][-1]["request_id"]
    assert [t["request_id"] for t in list_outcomes(shop, 60)] == sent
    # Pages of one request list all of them, too.
    assert len(list_outcomes(shop, 1)) == 60


def test_a_request_has_50_notes_and_the_number_of_further_ones(shop: Shop) -> None:
    noise = {"price": 19.989999999999995, "total": 22.980000000000004}
    lines = [{"identifier": "i", "product_id": "p", "name": "n", f"x{n}": 1} | noise for n in range(60)]
    assert shop.submit(order("o-1", order_items=lines)).status == 201
    shop.send(event(items=lines))
    shop.drain()
    v3, v1 = (t["notes"] for t in list_outcomes(shop))
    assert (len(v1), v1[-1]) == (51, "and 132 more")  # 120 notes of rounded amounts, 62 of unknown fields
    assert (len(v3), v3[-1]) == (51, "and 70 more")  # only the 120 of rounded amounts
    assert set(v1[:50]) == set(v3[:50]) == {"price was rounded to 19.99", "total was rounded to 22.98"}


@pytest.mark.parametrize("query", [{"status": "x"}, {"source": "x"}, {"cursor": "x"}, {"limit": "0"}])
def test_malformed_filters_are_400(shop: Shop, query: dict[str, str]) -> None:
    answer = shop.get("/v1/transactions", query=query)
    assert answer.status == 400
    assert answer.fields == set(query)


# ------------------------------------------------------------------- rejections


def test_rejections_name_fields_and_never_values(shop: Shop) -> None:
    secret = "private.person@example.com"
    sent: list[Callable[[], Answer]] = [
        lambda: shop.submit(order("o-1", customer_email="secret-value", total="secret-value"), key=INGEST),
        lambda: shop.submit(order(secret, total="x"), key=INGEST),
        lambda: shop.send(event(order_id="o-2", email="secret-value", grand_total="secret-value"), key=INGEST),
        lambda: shop.send_batch([event(order_id="o-3", currency="secret-value")], key=INGEST),
        lambda: shop.edit("o-4", {"total": "secret-value"}, key=INGEST),
        lambda: shop.submit("{secret-value", key=INGEST),
    ]
    for send_it in sent:
        assert send_it().status >= 400
    found = list_outcomes(shop, status="rejected")
    assert len(found) == 5  # the edit of an unknown order is a 404, which is not recorded
    assert {f for t in found for f in t["fields"]} >= {
        "customer_email",
        "total",
        "email",
        "grand_total",
        "orders[0].currency",
    }
    assert {t["order_id"] for t in found} >= {"o-1", "o-2", None}
    assert all(t["route"] and t["reason"] and t["key_label"] for t in found)
    everything = str(shop.items("RecordsTable"))
    for text in ("secret-value", secret, hashlib.sha256(secret.encode()).hexdigest()):
        assert text not in everything


def test_the_recorded_rejections_of_a_key_are_bounded_per_day(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "A_DAY", 5)
    monkeypatch.setattr(rejections, "_paused_until", {})
    for _ in range(7):
        assert shop.submit(order(total="x"), key=INGEST).status == 400
    assert len(list_outcomes(shop, status="rejected")) == 5
    with shop.faults.recorded() as calls:
        shop.submit(order(total="x"), key=INGEST)
        assert not [name for name, _ in calls if name not in ("GetItem", "BatchGetItem")]
    assert shop.submit(order(total="x"), key=ADMIN).status == 400  # each key has its own limit
    assert len(list_outcomes(shop, status="rejected")) == 6
    # After ten minutes the limit is checked again. It is still reached.
    monkeypatch.setattr(rejections, "_paused_until", {})
    shop.submit(order(total="x"), key=INGEST)
    assert len(list_outcomes(shop, status="rejected")) == 6


def test_unknown_keys_and_unknown_orders_are_not_recorded_as_rejections(shop: Shop) -> None:
    assert shop.submit(order(), key="unknown").status == 403
    assert shop.delete("nobody", key=INGEST).status == 404
    assert shop.get("/v1/order/nobody").status == 404
    assert list_outcomes(shop, status="rejected") == []
