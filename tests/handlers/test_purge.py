"""Purge and erasure, dead letters, transactions and rejections over HTTP (SPEC "Purge and erase")."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.handlers.clock import Clock
from tests.handlers.rights import SEEN
from tests.handlers.shop import ACCOUNT, ADMIN, INGEST, OTHER, OTHER_ADMIN, Answer, Death, Shop, die_at
from tests.handlers.test_audiences import V1, V3, count, job, key_of, members, order, send, submit
from tests.handlers.test_processing import poisoned
from tests.handlers.test_shopper_activity import day, event
from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.ledger import ledger, table
from tillbook.ledger.ledger import Ledger
from tillbook.records import rejections, transactions
from tillbook.records.deadletters import DeadLetters
from tillbook.records.marks import Marks, read_marks
from tillbook.records.messages import Message, QueuedOrder, QueuedWrite, encode
from tillbook.records.transactions import Transaction, Transactions
from tillbook.rules import times
from tillbook.rules.identity import Person, email_sha256, order_key
from tillbook.rules.json_text import loads
from tillbook.work import processing, purge

ANN, BOB = "ann@example.com", "bob@example.com"
CONFIRMED = {"x-confirm": "purge"}
SHIP = {"address_1": "123 Ship St.", "postal_code": "01234"}


def start(shop: Shop, body: Any = None, *, key: str = ADMIN, headers: dict[str, str] | None = None) -> str:
    answer = shop.request(
        "DELETE", "/v1/transactions", body, headers=CONFIRMED if headers is None else headers, key=key
    )
    assert answer.status == 202, answer.body
    return str(answer.body["job_id"])


def purged(shop: Shop, body: Any = None, **options: Any) -> dict[str, Any]:
    """To the end."""
    job_id = start(shop, body, **options)
    shop.drain()
    found = job(shop, job_id)
    assert found["status"] == "done", found
    return found


def erased(shop: Shop, who: str) -> dict[str, Any]:
    answer = shop.request("DELETE", f"/v3/{ACCOUNT}/people/{who}")
    assert answer.status == 202, answer.body
    shop.drain()
    found = job(shop, answer.body["job_id"])
    assert found["status"] == "done", found
    return found


def worth(shop: Shop, who: str) -> dict[str, str] | None:
    answer = shop.get(f"/v3/{ACCOUNT}/people/{who}")
    return answer.body["lifetime_value"] if answer.status == 200 else None


def some_orders(shop: Shop) -> None:
    submit(shop, order("a"), order("b", shipping_address=SHIP), order("c", customer_email=BOB, total=7))
    shop.edit("a", {"total": 50})
    shop.delete("b")
    send(shop, event(email=ANN), event(email=ANN, order_id="o-2"), event(email=BOB, order_id="o-3", grand_total=9))
    send(shop, event(email=ANN, action="refunded", grand_total=..., refund_amount=30))
    shop.drain()


# ----------------------------------------------------------------------- purge


@pytest.mark.parametrize("body", [None, {}, {"confirm": "yes"}, {"confirm": True}, {"source": "orders_api"}])
def test_a_purge_must_be_confirmed(shop: Shop, body: Any) -> None:
    submit(shop, order())
    answer = shop.request("DELETE", "/v1/transactions", body)
    assert answer.status == 400
    assert answer.fields == {"confirm"}
    shop.drain()
    assert worth(shop, ANN) == {"USD": "100.00"}


@pytest.mark.parametrize(
    ("body", "field"),
    [({"source": "x"}, "source"), ({"source": 1}, "source"), ({"before": "x"}, "before"), ({"before": 5}, "before"),
     ({"before": {}}, "before"), ([], None)],
)  # fmt: skip
def test_what_to_purge_must_be_clear(shop: Shop, body: Any, field: str | None) -> None:
    answer = shop.request("DELETE", "/v1/transactions", body, headers=CONFIRMED)
    assert answer.status == 400
    assert answer.fields == {field}


def test_an_unhashable_source_is_refused_too(shop: Shop) -> None:
    sources: list[Any] = [[], {}]
    for source in sources:
        assert shop.request("DELETE", "/v1/transactions", {"source": source}, headers=CONFIRMED).status == 400


def test_other_roles_may_not(shop: Shop) -> None:
    for method, path in (
        ("DELETE", "/v1/transactions"), ("DELETE", f"/v3/{ACCOUNT}/people/x"), ("GET", "/v1/deadletters"),
        ("POST", "/v1/deadletters/x/replay"), ("DELETE", "/v1/deadletters/x"), ("GET", "/v1/transactions"),
    ):  # fmt: skip
        assert shop.request(method, path, {}, headers=CONFIRMED, key=INGEST).status == 403
    assert shop.request("DELETE", f"/v3/{ACCOUNT}/people/x", key=OTHER_ADMIN).status == 403


def test_all_of_an_account(shop: Shop) -> None:
    some_orders(shop)
    assert shop.submit(order("theirs"), key=OTHER_ADMIN).status == 201
    theirs = [i for i in shop.ledger_without_tokens() if i["pk"].startswith(f"{OTHER}/")]
    found = purged(shop, {"confirm": "purge"}, headers={})
    assert found["kind"] == "purge"
    assert found["done"] == found["total"] > 0
    left = [i for i in shop.items("LedgerTable") if i["pk"].startswith(f"{ACCOUNT}/")]
    assert all("/n/" in i["pk"] and not i["m"] and not i["n"] for i in left), left
    assert [i for i in shop.ledger_without_tokens() if i["pk"].startswith(f"{OTHER}/")] == theirs
    assert [count(shop, a) for a in (V1, V3)] == [0, 0]
    assert members(shop, V1) == members(shop, V3) == []
    assert worth(shop, ANN) is worth(shop, BOB) is None
    assert shop.get("/v1/transactions").body["transactions"] == []
    assert shop.get("/v1/order/a").status == 404


@pytest.mark.parametrize("source", ["orders_api", "shopper_activity"])
def test_one_source(shop: Shop, source: str) -> None:
    some_orders(shop)
    purged(shop, {"source": source})
    v1 = source == "shopper_activity"
    assert worth(shop, ANN) == ({"USD": "50.00"} if v1 else {"USD": "170.00"})
    assert worth(shop, BOB) == ({"USD": "7.00"} if v1 else {"USD": "9.00"})
    assert [count(shop, V1), count(shop, V3)] == ([2, 0] if v1 else [0, 3])
    assert {t["source"] for t in shop.get("/v1/transactions").body["transactions"]} == {
        "orders_api" if v1 else "shopper_activity"
    }


def test_orders_received_before(shop: Shop) -> None:
    """Whole orders by their first receipt: with all that came later about them."""
    send(shop, event(email=ANN, order_id="old"))
    submit(shop, order("v1-old", total=5), order("v1-again", total=1))
    before = times.iso(times.now())
    send(shop, event(email=ANN, order_id="old", action="paid", grand_total=70), event(email=ANN, order_id="new"))
    submit(shop, order("v1-new", total=3))
    shop.edit("v1-old", {"total": 6})
    shop.delete("v1-again")
    submit(shop, order("v1-again", total=2))  # a new order: its life starts here
    purged(shop, {"before": before})
    assert worth(shop, ANN) == {"USD": "105.00"}
    assert sorted(m["order_id"] for m in members(shop, V1)) == ["v1-again", "v1-new"]
    assert [m["order_id"] for m in members(shop, V3)] == ["new"]


def test_an_order_is_not_taken_for_one_whose_head_went_out_meanwhile(shop: Shop) -> None:
    """A page of the walk ends between an old order's event and its head, and an erasure takes the order out."""
    old, new = sorted(
        (key, order_id)
        for order_id in (f"o-{n}" for n in range(100))
        if table.bucket(key := order_key("shopper_activity", "shopify", order_id)) == 0
    )[:2]
    send(shop, event(email=BOB, provider="shopify", order_id=old[1]))
    before = times.iso(times.now())
    send(shop, event(email=ANN, provider="shopify", order_id=new[1]))
    job_id = start(shop, {"before": before})
    cut: list[bool] = []

    def short(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        answer = go()
        if cut or operation != "Query" or ":behind" not in arguments.get("ExpressionAttributeValues", {}):
            return answer
        if not answer["Items"] or not answer["Items"][0]["sk"]["S"].startswith(old[0]):
            return answer
        cut.append(True)
        with SEEN.others():
            erased(shop, BOB)
        last = {name: answer["Items"][0][name] for name in ("pk", "sk")}
        return answer | {"Items": answer["Items"][:1], "LastEvaluatedKey": last}

    with shop.faults.injected(short):
        shop.drain()
    assert cut
    assert job(shop, job_id)["status"] == "done"
    assert worth(shop, ANN) == {"USD": "100.00"}


@pytest.mark.parametrize("v1", [False, True], ids=["v3", "v1"])
def test_a_long_order_goes_whole_though_the_function_dies_between_its_parts(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, v1: bool
) -> None:
    """What says whether it goes goes last: an order that began before the date, and went on after it."""
    monkeypatch.setattr(ledger, "_MAX_REMOVED", 3)
    monkeypatch.setattr(ledger, "_MAX_RENEWED", 3)
    begin = (lambda: submit(shop, order("a"))) if v1 else (lambda: send(shop, event(email=ANN, occurred_at=day(9))))
    begin()
    before = times.iso(times.now())
    for n in range(3):
        if v1:
            shop.edit("a", {"total": n})
        else:  # later on, and of an earlier day
            shop.send(event(email=ANN, action="paid", grand_total=n, occurred_at=day(n + 1)))
    shop.drain()
    job_id = start(shop, {"before": before})
    written: list[bool] = []

    def dies(_index: int, operation: str, _arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation != "TransactWriteItems":
            return go()
        if written:
            raise Death
        written.append(True)
        return go()

    with shop.faults.injected(dies), pytest.raises(Death):
        shop.drain()
    shop.drain()
    assert job(shop, job_id)["status"] == "done"
    assert members(shop, V1 if v1 else V3) == []
    assert [item for item in shop.items("LedgerTable") if "/n/" not in item["pk"]] == []


def test_no_part_of_a_long_order_is_left_to_the_second_walk(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """If what was received first went first, the rest would look as if it began after the date, and count till then."""
    monkeypatch.setattr(ledger, "_MAX_REMOVED", 2)
    send(shop, event(email=ANN, occurred_at=day(9)))
    before = times.iso(times.now())
    for n in range(4):
        send(shop, event(email=ANN, action="paid", grand_total=10 + n, occurred_at=day(n + 1)))
    job_id = start(shop, {"before": before, "source": "shopper_activity"})
    (first,) = shop.receive()
    assert shop.deliver([first]) == []
    assert job(shop, job_id)["status"] == "running"
    assert worth(shop, ANN) is None
    assert members(shop, V3) == []
    assert [item for item in shop.items("LedgerTable") if "/n/" not in item["pk"]] == []


def test_whoever_stands_behind_a_page_of_removed_activities_is_not_forgotten(shop: Shop) -> None:
    """The index lists for a moment what is removed: it may be a page full."""
    send(shop, event(email=ANN, order_id="a", occurred_at=day(1)), event(email=BOB, order_id="a", occurred_at=day(2)))
    ann = Person("email", email_sha256(ANN)).id_in(ACCOUNT)
    gone = {"pk": {"S": f"{ACCOUNT}/s/0"}, "sk": {"S": "gone!"}, "gp": {"S": f"{ACCOUNT}/p/{ann}"}, "gs": {"S": "0"}}

    def behind(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "Query" and "ExclusiveStartKey" not in arguments:
            return {"Items": [gone], "LastEvaluatedKey": gone}
        return go()

    with shop.faults.injected(behind), SEEN.others():
        assert not Ledger(clients.dynamodb(), settings().ledger_table).forget(ACCOUNT, ann, time.monotonic() + 60)
    assert [name for name, _ in named(shop, ANN)] == ["Placed an order"]


def test_a_date_to_come_means_now(shop: Shop) -> None:
    submit(shop, order())
    start(shop, {"before": "2099-01-01"})
    submit(shop, order("later", total=3))
    shop.drain()
    assert worth(shop, ANN) == {"USD": "3.00"}


def shown_orders(shop: Shop) -> dict[str, float]:
    """What each person's LTV must be, by the orders that stand."""
    sums: dict[str, float] = {}
    for who in (ANN, BOB):
        answer = shop.get(f"/v3/{ACCOUNT}/people/{who}/orders")
        if answer.status == 200:
            sums[who] = float(sum(float(o.get("contribution", o.get("total") or 0)) for o in answer.body["orders"]))
    return sums


def test_counts_and_ltv_hold_after_each_step(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "_PAGE_ORDERS", 1)
    submit(shop, *(order(f"a-{n}", total=10) for n in range(4)))
    send(shop, *(event(order_id=f"o-{n}", email=ANN, grand_total=1, occurred_at=day(1)) for n in range(4)))
    shop.drain()
    start(shop)
    seen = []
    for _ in range(60):
        records = shop.receive()
        if not records:
            break
        shop.deliver(records[:1])
        v1, v3 = len(members(shop, V1)), len(members(shop, V3))
        assert (count(shop, V1), count(shop, V3)) == (v1, v3)
        answer = shop.get(f"/v3/{ACCOUNT}/people/{ANN}")
        found = answer.body["lifetime_value"].get("USD", "0.00") if answer.status == 200 else "0.00"
        assert found == f"{v1 * 10 + v3}.00"
        if answer.status == 200:
            assert answer.body["orders_count"] == v1 + v3
        seen.append((v1, v3))
    assert seen[-1] == (0, 0)
    assert len(set(seen)) == 8
    assert not shop.receive()


@pytest.mark.parametrize("dated", [False, True])
def test_a_purge_takes_dead_letters_with_it(shop: Shop, dated: bool) -> None:
    """They were received, and not counted; a replay would drop them."""
    (first,) = dead(shop, "x-1")
    write = QueuedWrite(ACCOUNT, "0" * 22, "w-1", "submitted", times.uuid7(), times.now())
    DeadLetters(shop.dynamodb, settings().records_table).keep(ACCOUNT, write.request_id, "x", Message(writes=[write]))
    before = times.iso(times.now())
    (second,) = dead(shop, "x-2")
    asked = {"before": before} if dated else {}
    purged(shop, asked | {"source": "shopper_activity"})
    assert letters(shop) == ([second, write.request_id] if dated else [write.request_id])
    purged(shop, asked | {"source": "orders_api"})
    assert letters(shop) == ([second] if dated else [])
    assert shop.status(first)["status"] == "failed"


@pytest.mark.parametrize("dated", [False, True])
def test_what_a_purge_took_shows_as_purged(shop: Shop, dated: bool) -> None:
    """Its record went with it: only the mark tells."""
    applied, repeat = (shop.send(event(email=ANN, occurred_at=day(1))).body["request_id"] for _ in range(2))
    shop.drain()
    queued = shop.send(event(email=ANN, order_id="queued")).body["request_id"]
    before = times.iso(times.now())
    if dated:
        later = shop.send(event(email=ANN, order_id="later")).body["request_id"]
    purged(shop, {"before": before} if dated else None)
    if not dated:
        later = shop.send(event(email=ANN, order_id="later")).body["request_id"]
    for request_id in (applied, repeat, queued):
        found = shop.status(request_id)
        assert (found["status"], found["reason"]) == ("failed", ledger.PURGED)
    noted = [i["sk"] for i in shop.items("RecordsTable") if i["pk"].split("/")[1:2] in (["t"], ["x"])]
    assert set(noted) == ({later} if dated else set())  # neither by themselves nor with their orders
    assert shop.status(later)["status"] == ("applied" if dated else "queued")
    v1 = times.uuid7()
    purged(shop, {"source": "orders_api"})
    assert shop.status(v1)["status"] == "queued"


def test_a_request_of_the_millisecond_of_a_purge_does_not_show_as_purged(shop: Shop, clock: Clock) -> None:
    """A request id has no more of its time than the millisecond: it may be from before the purge or after it."""
    before = shop.send(event(email=ANN)).body["request_id"]
    clock.nanoseconds += 1_000_000 - clock.nanoseconds % 1_000_000
    clock.step = 1_000
    within = shop.send(event(email=ANN)).body["request_id"]
    start(shop)
    assert shop.status(before)["status"] == "failed"
    assert shop.status(within)["status"] == "queued"


def test_of_an_account_without_purges_nothing_shows_as_purged(shop: Shop) -> None:
    shop.submit(order("theirs"), key=OTHER_ADMIN)
    request_id = shop.send(event(email=ANN)).body["request_id"]
    start(shop, key=OTHER_ADMIN)
    assert shop.status(request_id)["status"] == "queued"


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
def test_what_is_queued_is_dropped_and_what_comes_later_is_new(shop: Shop, headers: dict[str, str]) -> None:
    body = event(email=ANN, occurred_at=day(1))
    shop.send(body, headers=headers)
    shop.drain()
    queued = shop.send(event(email=ANN, order_id="queued")).body["request_id"]
    repeat = shop.send(body, headers=headers).body["request_id"]
    job_id = start(shop)
    again = shop.send(body, headers=headers).body["request_id"]
    shop.drain()
    shop.drain()
    assert job(shop, job_id)["status"] == "done"
    assert worth(shop, ANN) == {"USD": "100.00"}
    assert shop.status(again)["status"] == "applied"
    for request_id in (queued, repeat):
        found = shop.get(f"/v3/{ACCOUNT}/requests/{request_id}").body
        assert found["status"] == "failed"
    assert [m["order_id"] for m in members(shop, V3)] == ["o-1"]


def test_an_edit_does_not_answer_with_the_id_of_a_purged_order_and_the_body_of_the_next(shop: Shop) -> None:
    """Simulation, seed 101030161: read in two pages, an order was purged and submitted anew in between."""
    shop.submit(order("a", total=5))
    torn: list[Answer] = []

    def between(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        answer = go()
        if torn or operation != "Query" or ":key" not in arguments.get("ExpressionAttributeValues", {}):
            return answer
        with SEEN.others():
            torn.append(shop.request("DELETE", "/v1/transactions", headers=CONFIRMED))
            shop.drain()
            torn.append(shop.submit(order("a", total=6)))
        last = {name: answer["Items"][0][name] for name in ("pk", "sk")}
        return answer | {"Items": answer["Items"][:1], "LastEvaluatedKey": last}

    with shop.faults.injected(between):
        answer = shop.edit("a", {"total": 6})
    assert [a.status for a in torn] == [202, 201]
    assert answer.status == 200
    assert answer.body == torn[1].body


def test_a_submission_that_repeats_what_is_being_purged_is_new(shop: Shop) -> None:
    first = shop.submit(order()).body["id"]
    start(shop)
    second = shop.submit(order())
    assert second.status == 201
    assert second.body["id"] != first
    shop.drain()
    assert worth(shop, ANN) == {"USD": "100.00"}
    assert count(shop, V1) == 1
    assert shop.submit(order()).body["id"] == second.body["id"]


@pytest.mark.parametrize("total", [100, 11], ids=["the same", "another"])
def test_a_submission_that_comes_after_an_erasure_was_asked_for_is_new(shop: Shop, total: int) -> None:
    first = shop.submit(order()).body["id"]
    shop.edit("o-1", {"total": 70})
    shop.drain()
    asked = shop.request("DELETE", f"/v3/{ACCOUNT}/people/{ANN}").body["job_id"]
    second = shop.submit(order(total=total))
    assert second.status == 201
    assert second.body["id"] != first
    shop.drain()
    assert job(shop, asked)["status"] == "done"
    assert worth(shop, ANN) == {"USD": f"{total}.00"}
    assert count(shop, V1) == 1
    assert shop.submit(order(total=total)).body["id"] == second.body["id"]


def test_whether_an_order_goes_is_not_told_by_what_was_submitted_in_its_place(shop: Shop) -> None:
    """Simulation, seeds 94002762 and 94006517: the same was submitted twice after the erasure was asked for."""
    first = shop.submit(order()).body["id"]
    shop.request("DELETE", f"/v3/{ACCOUNT}/people/{ANN}")
    made: list[str] = []

    def meanwhile(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        answer = go()
        if operation == "Query" and f"{ACCOUNT}/u" in str(arguments) and not made:
            made.append("")
            with SEEN.others():
                made.append(shop.submit(order(total=5)).body["id"])
        return answer

    with shop.faults.injected(meanwhile):
        again = shop.submit(order(total=5))
    assert again.status == 201
    assert again.body["id"] == made[1] != first
    shop.drain()
    assert worth(shop, ANN) == {"USD": "5.00"}


def test_an_order_that_was_handed_on_before_the_erasure_came_by_is_not_submitted_anew(shop: Shop) -> None:
    """Whether it is handed back or not, and whether the erasure has come by or not."""
    first = shop.submit(order()).body["id"]
    asked = shop.request("DELETE", f"/v3/{ACCOUNT}/people/{ANN}").body["job_id"]
    shop.edit("o-1", {"customer_email": BOB})
    assert shop.submit(order()).body["id"] == first
    shop.edit("o-1", {"customer_email": ANN, "total": 7})
    assert shop.submit(order()).body["id"] == first
    shop.drain()
    assert job(shop, asked)["status"] == "done"
    assert shop.submit(order()).body["id"] == first
    assert worth(shop, ANN) == {"USD": "7.00"}


def test_an_erasure_that_is_asked_for_later_does_not_make_a_submission_new(shop: Shop) -> None:
    """The submission was received first, and looks for erasures after."""
    first = shop.submit(order()).body["id"]
    again: list[str] = []

    def asked(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "Query" and f"{ACCOUNT}/u" in str(arguments) and not again:
            again.append("")
            with SEEN.others():
                again.append(str(shop.request("DELETE", f"/v3/{ACCOUNT}/people/{ANN}").status))
        return go()

    with shop.faults.injected(asked):
        assert shop.submit(order()).body["id"] == first
    assert again == ["", "202"]
    shop.drain()
    assert worth(shop, ANN) is None


def test_a_long_order_goes_whole_though_it_was_changed_after_the_erasure_was_asked_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the first version nor the last one tells whose it was then."""
    monkeypatch.setattr(ledger, "_MAX_RENEWED", 4)
    submit(shop, order(customer_email=BOB))
    for n in range(4):
        shop.edit("o-1", {"customer_email": ANN, "total": n})
    asked = shop.request("DELETE", f"/v3/{ACCOUNT}/people/{ANN}").body["job_id"]
    shop.edit("o-1", {"total": 50})
    shop.drain()
    assert job(shop, asked)["status"] == "done"
    assert named(shop, ANN) == named(shop, BOB) == []
    assert [item for item in shop.items("LedgerTable") if "/n/" not in item["pk"]] == []


def test_a_purge_that_is_asked_for_meanwhile_does_not_hide_the_one_before(shop: Shop) -> None:
    """Simulation, seed 30021458: the submission came between two purges, and looks for them after both."""
    first = shop.submit(order()).body["id"]
    start(shop)
    later: list[str] = []

    def asked(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "Query" and f"{ACCOUNT}/u" in str(arguments) and not later:
            later.append("")
            with SEEN.others():
                later.append(start(shop))
        return go()

    with shop.faults.injected(asked):
        second = shop.submit(order())
    assert len(later) == 2
    assert second.status == 201
    assert second.body["id"] != first


def test_a_repeat_is_not_answered_with_what_another_order_has_under_the_number(shop: Shop) -> None:
    """Its order is purged, and another one submitted under its id, between two reads."""
    shop.submit(order("a", total=5))
    others: list[Answer] = []

    def between(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "GetItem" and str(arguments["Key"]["sk"]["S"]).endswith("!00000001") and not others:
            with SEEN.others():
                purged(shop)
                others.append(shop.submit(order("a", customer_email=BOB, total=7)))
        return go()

    with shop.faults.injected(between):
        again = shop.submit(order("a", total=5))
    assert [answer.status for answer in others] == [201]
    assert again.status == 409


def test_a_purge_killed_anywhere_finishes_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "_PAGE_ORDERS", 2)
    for index in range(0, 200, 8):
        submit(shop, order("a"), order("b", total=1))
        send(shop, event(email=ANN), event(email=BOB, order_id="o-2"))
        shop.drain()
        job_id = start(shop)
        killed = True
        with shop.faults.injected(die_at(index, "after")), suppress(Death):
            shop.drain()
            killed = False
        shop.drain()
        assert job(shop, job_id)["status"] == "done", index
        assert (worth(shop, ANN), worth(shop, BOB), count(shop, V1), count(shop, V3)) == (None, None, 0, 0), index
        if not killed:
            assert index > 40
            return
    pytest.fail("a purge makes more calls than there are places to die at")


# ---------------------------------------------------------------------- erasure


def traces(shop: Shop, *texts: str) -> list[str]:
    """Items of either table, and messages, that hold any of the texts."""
    found = []
    for name in ("LedgerTable", "RecordsTable"):
        for item in shop.items(name):
            if item["pk"] in (f"{ACCOUNT}/u", f"{ACCOUNT}/j"):
                continue  # the mark by which what is queued is dropped, and the job: our own id, for 30 days
            whole = str({k: unpacked(v) for k, v in item.items()})
            found += [f"{name} {item['pk']} {item['sk']}" for text in texts if text in whole]
    return found + [record["body"] for record in shop.receive() for text in texts if text in record["body"]]


def unpacked(value: Any) -> Any:
    from tillbook.rules.packing import unpack

    if isinstance(value, bytes):
        with suppress(Exception):
            return unpack(value)
    return value


@pytest.mark.parametrize("keyed", [False, True])
def test_erasure_leaves_nothing(shop: Shop, keyed: bool) -> None:
    headers = {"Idempotency-Key": "k"} if keyed else {}
    some_orders(shop)
    shop.send(event(email=ANN, order_id="keyed"), headers=headers)
    shop.drain()
    submit(shop, order("moved", shipping_address=SHIP))
    shop.edit("moved", {"customer_email": BOB})
    send(shop, event(email=ANN, order_id="shared", occurred_at=day(1)))
    send(shop, event(email=BOB, order_id="shared", occurred_at=day(2), action="paid", grand_total=4))
    bad = shop.send(event(email=ANN, order_id="poison")).body["request_id"]
    with shop.faults.injected(poisoned("poison")):
        shop.drain(40)
    assert [letter["id"] for letter in shop.get("/v1/deadletters").body["deadletters"]] == [bad]
    digest, own = hashlib.sha256(ANN.encode()).hexdigest(), Person("email", hashlib.sha256(ANN.encode()).hexdigest())
    texts = (digest, own.id_in(ACCOUNT))
    assert traces(shop, *texts)
    queued = shop.send(event(email=ANN, order_id="queued")).body["request_id"]
    assert erased(shop, ANN)["kind"] == "erase"
    assert traces(shop, *texts) == []
    assert worth(shop, ANN) is None
    assert shop.get(f"/v3/{ACCOUNT}/people/{ANN}/activity").status == 404
    assert shop.status(queued)["status"] == "failed"
    assert shop.get("/v1/deadletters").body["deadletters"] == []
    assert worth(shop, BOB) == {"USD": "120.00"}  # 7, 9, the moved order, and what is left of the shared one
    assert not [m for a in (V1, V3) for m in members(shop, a) if m["email_sha256"] == digest]
    assert [count(shop, a) for a in (V1, V3)] == [len(members(shop, a)) for a in (V1, V3)]
    # Whoever orders again is new.
    send(shop, event(email=ANN, order_id="back", grand_total=1))
    assert worth(shop, ANN) == {"USD": "1.00"}


SHA256, MD5 = email_sha256(ANN), hashlib.md5(b"ann").hexdigest()  # noqa: S324


@pytest.mark.parametrize(
    ("named", "asked"),
    [({"email": ANN}, ANN), ({"email": ANN}, SHA256.upper()), ({"person_id": "p-1"}, "p-1"),
     ({"email": ANN}, Person("email", SHA256).id_in(ACCOUNT)), ({"person_id": MD5}, MD5),
     ({"person_id": SHA256}, SHA256)],
)  # fmt: skip
@pytest.mark.parametrize("stuck", [False, True], ids=["queued", "dead letter"])
def test_whom_only_the_queue_or_a_dead_letter_names_is_erased(
    shop: Shop, named: dict[str, str], asked: str, stuck: bool
) -> None:
    request_id = shop.send(event(**{"email": ...} | named)).body["request_id"]
    if stuck:
        with shop.faults.injected(poisoned("o-1")):
            shop.drain(40)
        assert letters(shop) == [request_id]
    assert erased(shop, asked)["done"] == 0
    assert letters(shop) == []
    assert shop.get(f"/v3/{ACCOUNT}/people/{asked}").status == 404
    assert shop.status(request_id)["status"] == "failed"
    assert [item for item in shop.items("LedgerTable") if "/n/" not in item["pk"]] == []
    # What comes in from now on is new.
    send(shop, event(**{"email": ...} | named))
    assert worth(shop, asked) == {"USD": "100.00"}


def test_erasure_by_other_names(shop: Shop) -> None:
    submit(shop, order(customer_email=..., customer_id="customer-one", shipping_address=SHIP))
    send(shop, event(person_id="person-one", email=...))
    erased(shop, "customer-one")
    erased(shop, "person-one")
    assert traces(shop, "customer-one", "person-one") == []
    assert count(shop, V1) == count(shop, V3) == 0


def named(shop: Shop, who: str) -> list[tuple[str, str]]:
    answer = shop.get(f"/v3/{ACCOUNT}/people/{who}/activity")
    return [(a["name"], a["order"]["order_id"]) for a in answer.body["activity"]] if answer.status == 200 else []


def test_an_order_that_came_and_went_after_the_purge_keeps_its_activities(shop: Shop) -> None:
    submit(shop, order("a"))
    job_id = start(shop)
    submit(shop, order("a", total=5))
    shop.delete("a")
    shop.drain()
    assert job(shop, job_id)["status"] == "done"
    assert named(shop, ANN) == [("Deleted an order", "a"), ("Submitted an order", "a")]


def test_an_erasure_leaves_what_others_had_under_the_same_order_id(shop: Shop) -> None:
    submit(shop, order("a", customer_email=BOB))
    shop.delete("a")
    submit(shop, order("a", total=3))
    erased(shop, ANN)
    assert named(shop, BOB) == [("Deleted an order", "a"), ("Submitted an order", "a")]
    assert (worth(shop, ANN), count(shop, V1)) == (None, 0)
    assert shop.get("/v1/order/a").status == 404
    submit(shop, order("a", customer_email=BOB, total=8))
    assert worth(shop, BOB) == {"USD": "8.00"}
    erased(shop, BOB)
    assert [i for i in shop.items("LedgerTable") if "/n/" not in i["pk"]] == []


def test_an_order_that_was_handed_on_stays_and_is_as_old_as_it_was(shop: Shop) -> None:
    submit(shop, order("a"))
    shop.edit("a", {"customer_email": BOB})
    erased(shop, ANN)
    assert worth(shop, BOB) == {"USD": "100.00"}
    assert named(shop, ANN) == []
    assert shop.submit(order("a")).body["customer"]["email_sha256"] == hashlib.sha256(BOB.encode()).hexdigest()
    purged(shop)
    assert worth(shop, BOB) is None


def test_the_history_of_an_order_that_was_handed_on_tells_nothing_of_whom_was_erased(shop: Shop) -> None:
    """Its first version is emptied: that there was one, by which request and when, is left."""
    submit(shop, order("a"))
    shop.edit("a", {"customer_email": BOB, "total": 7})
    (submitted, edited) = shop.get("/v1/order/a/history").body["history"]
    assert (submitted["person"], submitted["lifetime_value"]) == (
        shop.person(ANN)["id"], {"currency": "USD", "amount": "100.00"}
    )  # fmt: skip
    assert edited["before"] == submitted["lifetime_value"]
    erased(shop, ANN)
    answer = shop.get("/v1/order/a/history")
    assert answer.status == 200
    assert answer.body["history"] == [submitted | {"person": None, "lifetime_value": None}, edited | {"before": None}]
    assert edited["lifetime_value"] == {"currency": "USD", "amount": "7.00"}


def test_whom_only_an_erased_order_named_is_known_no_more(shop: Shop) -> None:
    """Simulation, seed 70546: Bob's order went to Ann, and with her."""
    submit(shop, order("a", customer_email=BOB))
    shop.edit("a", {"customer_email": ANN})
    shop.drain()
    erased(shop, ANN)
    assert worth(shop, BOB) is None


def test_what_names_the_person_after_the_erasure_stays(shop: Shop) -> None:
    submit(shop, order("a"))
    answer = shop.request("DELETE", f"/v3/{ACCOUNT}/people/{ANN}")
    submit(shop, order("b", customer_email=BOB))
    shop.edit("b", {"customer_email": ANN})
    shop.edit("b", {"customer_email": BOB})
    later = shop.send(event(email=ANN, order_id="poison")).body["request_id"]
    with shop.faults.injected(poisoned("poison")):
        shop.drain(40)
    shop.drain()
    assert job(shop, answer.body["job_id"])["status"] == "done"
    assert named(shop, ANN) == [("Edited an order", "b")]
    assert worth(shop, BOB) == {"USD": "100.00"}
    assert letters(shop) == [later]


def test_an_order_of_before_that_came_between_removal_and_emptying_goes_whole(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emptied of Ann, its first version would not tell any more that the order was hers when the erasure was asked."""
    submit(shop, order("a", total=1))
    before = times.now()
    redact = Ledger.redact_versions
    answers: list[Answer] = []

    def between(*arguments: Any) -> None:
        if not answers:
            with monkeypatch.context() as patch:
                patch.setattr(times, "now", lambda: before)  # received then, written only now
                answers.append(shop.submit(order("a", total=2)))
            answers.append(shop.edit("a", {"total": 3}))
        redact(*arguments)

    monkeypatch.setattr(Ledger, "redact_versions", between)
    erased(shop, ANN)
    assert [answer.status for answer in answers] == [201, 200]
    assert worth(shop, ANN) is None
    assert members(shop, V1) == []
    assert [item for item in shop.items("LedgerTable") if "/n/" not in item["pk"]] == []


def test_a_dead_letter_of_what_came_after_the_erasure_was_asked_for_stays(shop: Shop) -> None:
    send(shop, event(email=ANN, order_id="a"))
    asked = shop.request("DELETE", f"/v3/{ACCOUNT}/people/{ANN}")
    [walk] = shop.receive()
    shop.acknowledge(walk)  # held back until the dead letter is there
    [later] = dead(shop, "poison")
    processing._build(settings()).run([walk], 60)
    shop.drain()
    assert job(shop, asked.body["job_id"])["status"] == "done"
    assert named(shop, ANN) == []
    assert letters(shop) == [later]


def test_a_key_under_which_somebody_else_stands_is_not_waited_for(shop: Shop) -> None:
    keyed = {"Idempotency-Key": "k"}
    shop.send(event(email=ANN, order_id="a"))
    shop.send(event(email=BOB, order_id="b"), headers=keyed)
    shop.drain()
    shop.request("DELETE", f"/v3/{ACCOUNT}/people/{ANN}")
    other = shop.send(event(email=ANN, order_id="c"), headers=keyed).body["request_id"]
    shop.drain()
    assert shop.status(other)["status"] == "failed"
    assert "idempotency_key_reused" in shop.status(other)["reason"]
    assert letters(shop) == []


def test_a_repeat_waits_for_a_purge_that_may_part_it_from_what_came_first(shop: Shop) -> None:
    """An event from before the date may come yet, and then the order goes with what this one repeats."""
    body = event(email=ANN, occurred_at=day(1))
    before = times.iso(times.now())
    send(shop, body)
    start(shop, {"before": before})
    [walk] = shop.receive()
    shop.acknowledge(walk)
    again = shop.send(body).body["request_id"]
    assert shop.deliver(shop.receive()) == []
    assert shop.status(again)["status"] == "queued"


PAID = event(email=ANN, order_id="a", occurred_at=day(2), action="paid", grand_total=70)


def begun(
    shop: Shop, *order_ids: str, headers: dict[str, str] | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Orders placed before a date and paid after it (70.00 each), the body of a purge up to it, and the second events
    as the queue gave them out: it will do so again.
    """
    for order_id in order_ids:
        send(shop, event(email=ANN, order_id=order_id, occurred_at=day(1)))
    before = times.iso(times.now())
    for order_id in order_ids:
        shop.send(PAID | {"order_id": order_id}, headers=headers)
    records = shop.receive()
    assert shop.deliver(records) == []
    assert worth(shop, ANN) == {"USD": f"{70 * len(order_ids)}.00"}
    return {"before": before, "source": "shopper_activity"}, records


def deliver_order(shop: Shop) -> None:
    """The one that is queued, and none of the jobs' pages beside it."""
    [record] = [r for r in shop.receive() if "orders" in loads(r["body"])]
    shop.acknowledge(record)
    assert shop.deliver([record]) == []


def walk_once(shop: Shop, body: dict[str, Any]) -> str:
    """Starts a purge and runs its first page. Returns the job's id."""
    job_id = start(shop, body)
    [walk] = shop.receive()
    shop.acknowledge(walk)
    assert shop.deliver([walk]) == []
    return job_id


@pytest.mark.parametrize("order_ids", ["a", "ab"])
def test_what_a_purge_up_to_a_date_took_does_not_come_back_when_it_is_delivered_again(
    shop: Shop, order_ids: str
) -> None:
    """By itself it looks like what began after the date; also in a group."""
    body, records = begun(shop, *order_ids)
    job_id = walk_once(shop, body)
    assert worth(shop, ANN) is None
    assert shop.deliver(records) == []
    shop.drain()
    assert job(shop, job_id)["status"] == "done"
    assert worth(shop, ANN) is None
    assert shop.deliver(records) == []
    assert worth(shop, ANN) is None


def test_what_was_applied_again_while_a_purge_walked_by_goes_in_its_second_walk(shop: Shop) -> None:
    body, records = begun(shop, "a")
    young = shop.send(event(email=BOB, order_id="young", occurred_at=day(2))).body["request_id"]
    shop.drain()
    job_id = walk_once(shop, body)
    assert stale(shop).run(records, 60) == {"batchItemFailures": []}
    later = shop.send(event(email=ANN, order_id="a", occurred_at=day(3), action="paid", grand_total=5))
    assert shop.deliver(shop.receive()) == []
    assert worth(shop, ANN) == {"USD": "5.00"}
    shop.drain()
    assert job(shop, job_id)["status"] == "done"
    assert shop.status(young)["status"] == shop.status(later.body["request_id"])["status"] == "applied"
    assert worth(shop, ANN) == {"USD": "5.00"}
    assert shop.timeline(ANN) == ["Paid an order"]
    assert worth(shop, BOB) == {"USD": "100.00"}


@pytest.mark.parametrize("first", ["walk", "repeat"])
def test_a_repeat_of_what_an_order_began_with_does_not_save_the_rest_from_a_purge(shop: Shop, first: str) -> None:
    placed = event(email=ANN, order_id="a", occurred_at=day(1))
    body, _ = begun(shop, "a")
    job_id = start(shop, body)
    [walk] = shop.receive()
    shop.acknowledge(walk)
    if first == "walk":
        assert shop.deliver([walk]) == []
    shop.send(placed)
    deliver_order(shop)
    if first == "repeat":
        assert shop.deliver([walk]) == []
    shop.drain()
    assert job(shop, job_id)["status"] == "done"
    assert letters(shop) == []
    assert shop.timeline(ANN) == ["Placed an order"]
    assert worth(shop, ANN) == {"USD": "100.00"}


def stale(shop: Shop, times_: int = 9) -> processing.Processor:
    """As before the purge was asked for, for so many readings of the marks."""
    processor, read = processing._build(settings()), iter([Marks({}, {})] * times_)
    processor.marks_of = lambda account: next(
        read, read_marks(shop.dynamodb, settings().records_table, account, settings().settle_seconds)
    )
    return processor


@pytest.fixture
def a_long_walk(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Once an order was taken, an event of it is applied by who knows of no purge; the second walk is late. Returns the
    message of that event, which a key names.
    """
    body, [record] = begun(shop, "a", headers={"Idempotency-Key": "k"})
    walk_once(shop, body)
    monkeypatch.setattr(ledger, "now", lambda: times.shift(times.now(), seconds=600))
    return record


def test_a_repeat_of_what_the_second_walk_takes_is_new(shop: Shop, a_long_walk: dict[str, Any]) -> None:
    """Simulation, seed 101028449."""
    assert stale(shop).run([a_long_walk], 60) == {"batchItemFailures": []}
    again = shop.send(PAID, headers={"Idempotency-Key": "k"}).body["request_id"]
    deliver_order(shop)
    assert shop.status(again)["status"] == "applied"
    shop.drain()
    assert shop.status(again)["status"] == "applied"
    assert worth(shop, ANN) == {"USD": "70.00"}


def test_a_key_under_which_the_second_walk_takes_what_stands_is_waited_for(
    shop: Shop, a_long_walk: dict[str, Any]
) -> None:
    assert stale(shop).run([a_long_walk], 60) == {"batchItemFailures": []}
    other = shop.send(PAID | {"grand_total": 60}, headers={"Idempotency-Key": "k"}).body["request_id"]
    deliver_order(shop)
    assert shop.status(other)["status"] == "queued"
    shop.drain()
    assert shop.status(other)["status"] == "applied"
    assert worth(shop, ANN) == {"USD": "60.00"}


def test_what_a_walk_took_does_not_take_a_repeat_back(shop: Shop, a_long_walk: dict[str, Any]) -> None:
    again = shop.send(PAID, headers={"Idempotency-Key": "k"}).body["request_id"]
    deliver_order(shop)
    assert stale(shop, 1).run([a_long_walk], 60) == {"batchItemFailures": []}
    shop.drain()
    assert shop.status(again)["status"] == "applied"
    assert worth(shop, ANN) == {"USD": "70.00"}


def test_a_repeat_s_order_is_known_to_the_later_of_two_purges(shop: Shop) -> None:
    """What came between their requests would stay, were it the first that the order is noted for."""
    body, _ = begun(shop, "a")
    walks = []
    for number in range(2):
        start(shop, body | {"before": times.iso(times.shift(times.parse_iso(body["before"]), seconds=-0.001 * number))})
        [walk] = shop.receive()
        shop.acknowledge(walk)
        walks.append(walk)
        if not number:
            shop.send(PAID | {"grand_total": 5, "occurred_at": day(3)})
            shop.deliver([r for r in shop.receive() if "orders" in loads(r["body"])])
    shop.send(event(email=ANN, order_id="a", occurred_at=day(1)))
    deliver_order(shop)
    for walk in walks:
        assert shop.deliver([walk]) == []
    shop.drain()
    assert worth(shop, ANN) == {"USD": "100.00"}
    assert shop.timeline(ANN) == ["Placed an order"]


def test_a_submission_between_two_erasures_of_one_person_is_new(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulation, seed 102050996: the mark of the second took the place of the first one's."""
    submit(shop, order("a", customer_email=..., customer_id="c-7", shipping_address=SHIP))
    assert shop.request("DELETE", f"/v3/{ACCOUNT}/people/c-7").status == 202
    between = times.now()
    assert shop.request("DELETE", f"/v3/{ACCOUNT}/people/c-7").status == 202
    with monkeypatch.context() as patch:
        patch.setattr(times, "now", lambda: between)
        assert shop.submit(order("a", total=2)).status == 201
    shop.drain()
    assert worth(shop, ANN) == {"USD": "2.00"}


def held(shop: Shop, **changes: Any) -> tuple[str, dict[str, Any]]:
    """Request id and message of an event of order a under the key k, which the queue gave out and nobody ran."""
    body = event(order_id="a", occurred_at=day(1), **changes)
    request_id = shop.send(body, headers={"Idempotency-Key": "k"}).body["request_id"]
    [record] = shop.receive()
    shop.acknowledge(record)
    return request_id, record


def test_a_repeat_under_a_key_does_not_take_another_content_for_its_own(shop: Shop) -> None:
    """What it repeats is purged, and another content applied under the key, before it looks."""
    processor = processing._build(settings())
    processor.run([held(shop, email=ANN)[1]], 60)
    start(shop)
    [walk] = shop.receive()
    shop.acknowledge(walk)
    again, copy = held(shop, email=ANN)
    other, different = held(shop, email=BOB, grand_total=7)
    done: list[str] = []

    def between(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "GetItem" and "!" in str(arguments["Key"]["sk"]["S"]) and not done:
            done.append(again)
            processing._build(settings()).run([walk], 60)
            shop.drain()
            processing._build(settings()).run([different], 60)
        return go()

    with shop.faults.injected(between), SEEN.others():
        processor.run([copy], 60)
        shop.drain()
    assert done
    assert shop.status(other)["status"] == "applied"
    assert shop.status(again)["status"] == "failed"
    assert "idempotency_key_reused" in shop.status(again)["reason"]
    assert worth(shop, BOB) == {"USD": "7.00"}


def test_a_key_under_which_somebody_elses_event_goes_is_waited_for(shop: Shop) -> None:
    """Ann's order came before Bob's erasure was asked for, and is none of his."""
    keyed = {"Idempotency-Key": "k"}
    shop.send(event(email=BOB, order_id="b"), headers=keyed)
    shop.drain()
    request_id = shop.send(event(email=ANN, order_id="c"), headers=keyed).body["request_id"]
    [early] = shop.receive()
    shop.acknowledge(early)
    shop.request("DELETE", f"/v3/{ACCOUNT}/people/{BOB}")
    [walk] = shop.receive()
    shop.acknowledge(walk)
    assert processing._build(settings()).run([early], 60) == {"batchItemFailures": []}  # Bob's stands there yet
    shop.sqs.send_message(QueueUrl=shop.queues["OrdersQueue"], MessageBody=walk["body"])
    shop.drain()
    assert shop.status(request_id)["status"] == "applied"
    assert worth(shop, ANN) == {"USD": "100.00"}
    assert worth(shop, BOB) is None


def test_an_erasure_finds_whom_the_queue_names_behind_a_customer_of_that_id(shop: Shop) -> None:
    """A person_id goes before a customer_id: once the queue is through, the text would find the person."""
    queued = {name: value for name, value in event(email=..., person_id="c-7").items() if value is not ...}
    submit(shop, order(customer_email=..., customer_id="c-7", shipping_address=SHIP))
    shop.drain()
    shop.send(queued)
    assert shop.request("DELETE", f"/v3/{ACCOUNT}/people/c-7").status == 202
    shop.drain()
    assert worth(shop, "c-7") is None


def test_an_erasure_takes_whom_the_id_finds_and_leaves_a_namesake(shop: Shop) -> None:
    """Both are known: a person_id goes before a customer_id. Asked for once more, it takes the other."""
    submit(shop, order("theirs", customer_email=..., customer_id="c-7", shipping_address=SHIP, total=7))
    send(shop, event(email=..., person_id="c-7", grand_total=5))
    assert worth(shop, "c-7") == {"USD": "5.00"}
    erased(shop, "c-7")
    assert shop.get("/v1/order/theirs").status == 200
    assert worth(shop, "c-7") == {"USD": "7.00"}
    erased(shop, "c-7")
    assert worth(shop, "c-7") is None
    assert shop.get("/v1/order/theirs").status == 404


@pytest.mark.parametrize("of", ["another order", "the order itself"])
def test_a_key_is_free_of_an_order_that_a_purge_up_to_a_date_takes(shop: Shop, of: str) -> None:
    """What stands under the key came after the date, its order before it."""
    keyed = {"Idempotency-Key": "k"}
    shop.send(event(email=ANN, order_id="a", occurred_at=day(1)))
    shop.drain()
    before = times.iso(times.now())
    shop.send(event(email=ANN, order_id="a", action="updated", grand_total=5, occurred_at=day(2)), headers=keyed)
    shop.drain()
    start(shop, {"before": before})
    [walk] = shop.receive()
    shop.acknowledge(walk)
    order_id = "a" if of == "the order itself" else "b"
    again = shop.send(
        event(email=BOB, order_id=order_id, action="updated", grand_total=7, occurred_at=day(3)), headers=keyed
    ).body["request_id"]
    shop.deliver(shop.receive())
    assert shop.status(again)["status"] == "queued"
    shop.sqs.send_message(QueueUrl=shop.queues["OrdersQueue"], MessageBody=walk["body"])
    shop.drain()
    assert shop.status(again)["status"] == "applied"
    assert worth(shop, ANN) is None
    assert worth(shop, BOB) == {"USD": "7.00"}


def test_what_stands_under_a_key_is_looked_at_again(shop: Shop) -> None:
    """Simulation, seed 98010959: what it met was purged, and its own content applied, before it read whose it was."""
    processor = processing._build(settings())
    processor.run([held(shop, email=ANN)[1]], 60)
    start(shop, {"source": "shopper_activity"})
    [walk] = shop.receive()
    shop.acknowledge(walk)
    (first, early), (_, copy) = held(shop, email=BOB), held(shop, email=BOB)
    done: list[str] = []

    def between(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "GetItem" and "!" in str(arguments["Key"]["sk"]["S"]) and not done:
            done.append(first)
            processing._build(settings()).run([walk], 60)
            processing._build(settings()).run([copy], 60)
        return go()

    with shop.faults.injected(between), SEEN.others():
        processor.run([early], 60)
    assert done
    shop.drain()
    assert shop.status(first)["status"] in ("applied", "duplicate")
    assert worth(shop, BOB) == {"USD": "100.00"}


def test_a_key_waits_where_a_purge_may_take_what_stands_under_it(shop: Shop) -> None:
    """An event from before the date may come yet, and then the order goes with what stands under the key."""
    keyed = {"Idempotency-Key": "k"}
    before = times.iso(times.now())
    send(shop, event(email=ANN, order_id="x"))
    shop.send(event(email=ANN, order_id="a"), headers=keyed)
    shop.drain()
    start(shop, {"before": before})
    [walk] = shop.receive()
    shop.acknowledge(walk)
    other = shop.send(event(email=BOB, order_id="b"), headers=keyed).body["request_id"]
    shop.deliver(shop.receive())
    assert shop.status(other)["status"] == "queued"


def test_a_key_waits_for_a_purge_however_long_that_takes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = {"Idempotency-Key": "k"}
    shop.send(event(email=ANN, grand_total=1), headers=keyed)
    shop.drain()
    start(shop)
    [walk] = shop.receive()
    shop.acknowledge(walk)
    again = shop.send(event(email=ANN, grand_total=7), headers=keyed).body["request_id"]
    for _ in range(8):
        assert shop.deliver(shop.receive()) == []
    assert shop.status(again)["status"] == "queued"
    # A day after, that purge has failed.
    monkeypatch.setattr(ledger, "_LONGEST_PURGE_SECONDS", 0)
    shop.drain()
    assert shop.status(again)["status"] == "failed"
    assert len(letters(shop)) == 1


def test_a_purge_of_many_outcomes_takes_several_pages(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call takes a second here, and a function has 60."""
    monkeypatch.setattr(transactions, "_PURGED_AT_ONCE", 50)
    submit(shop, order())
    shop.drain()
    recorded(1500)
    processor, spent = processing._build(settings()), [0.0]
    processor.clock = lambda: spent[0]
    processor.ledger.pace = processor.ledger.pace._replace(clock=processor.clock)
    longest = 0.0

    def slow(_index: int, _operation: str, _arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        spent[0] += 1
        return go()

    asked = start(shop, {"source": "orders_api"})
    with shop.faults.injected(slow):
        while records := shop.receive():
            began = spent[0]
            assert processor.run(records, 60) == {"batchItemFailures": []}
            longest = max(longest, spent[0] - began)
            for record in records:
                shop.acknowledge(record)
    assert job(shop, asked)["status"] == "done"
    assert 30 < longest < 60
    assert listed(shop, source="orders_api") == []


def test_what_cannot_be_read_is_no_dead_letter_of_whom_was_erased(shop: Shop) -> None:
    send(shop, event(email=ANN))
    received, body = times.now(), event(email=..., order_id="bad") | {"grand_total": "much"}
    bad = QueuedOrder(
        ACCOUNT, times.uuid7(), received, 0, "bad", received, ["email", email_sha256(ANN)],
        {name: value for name, value in body.items() if value is not ...},
    )  # fmt: skip
    erased(shop, ANN)
    shop.sqs.send_message(QueueUrl=shop.queues["OrdersQueue"], MessageBody=encode(Message(orders=[bad])))
    shop.drain()
    assert letters(shop) == []


def test_while_marks_cannot_be_read_nothing_becomes_a_dead_letter(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It might be of somebody who was erased, and would stay for good; after a day it is one all the same."""
    theirs = [shop.send(event(email=who)).body["request_id"] for who in (ANN, BOB)]
    records = shop.receive()
    for record in records:
        shop.acknowledge(record)
    erased(shop, ANN)

    def unreadable(index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "Query" and f"{ACCOUNT}/u" in str(arguments):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, operation)
        return go()

    with shop.faults.injected(unreadable):
        assert shop.deliver(records) == []
        for _ in range(8):
            assert shop.deliver(shop.receive()) == []
    assert letters(shop) == []
    with shop.faults.injected(unreadable), monkeypatch.context() as patch:
        tomorrow = times.shift(times.now(), seconds=24 * 3600)
        patch.setattr(times, "now", lambda: tomorrow)
        for _ in range(8):
            assert shop.deliver(shop.receive()) == []
    assert len(letters(shop)) == 2
    assert shop.request("POST", "/v1/deadletters/all/replay").status == 202
    shop.drain()
    assert letters(shop) == []
    assert [shop.status(request_id)["status"] for request_id in theirs] == ["failed", "applied"]
    assert worth(shop, ANN) is None


@pytest.mark.parametrize("path", ["/v1/transactions", f"/v3/{ACCOUNT}/people/{ANN}"])
def test_what_could_not_be_queued_does_not_purge_by_halves(shop: Shop, path: str) -> None:
    send(shop, event(email=ANN, order_id="a"))
    queued = shop.send(event(email=ANN, order_id="b")).body["request_id"]

    def full(index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "SendMessage":
            raise ClientError({"Error": {"Code": "OverLimit", "Message": "full"}}, operation)
        return go()

    with shop.faults.injected(full):
        assert shop.request("DELETE", path, headers=CONFIRMED).status == 503
    shop.drain()
    assert shop.status(queued)["status"] == "applied"
    assert worth(shop, ANN) == {"USD": "200.00"}


def test_a_head_that_is_made_again_has_another_token(shop: Shop) -> None:
    """Simulation, seed 20042010: whoever read the head before the purge must not take the new one for it."""
    shop.send(event(email=ANN, occurred_at=day(1)))
    (record,) = shop.receive()
    processor = processing._build(settings())
    processor.marks_of = lambda account: Marks({}, {})  # as before the purge was asked for
    tokens = set()
    for _ in range(3):
        assert processor.run([record], 60) == {"batchItemFailures": []}
        tokens |= {item["w"] for item in shop.items("LedgerTable") if item["sk"].endswith("~")}
        purged(shop)
    assert len(tokens) == 3


def test_an_order_that_is_made_again_has_another_token(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = set()
    request_id = times.uuid7()
    monkeypatch.setattr("tillbook.web.endpoint.times.uuid7", lambda: request_id)
    for _ in range(3):
        assert shop.submit(order("a")).status == 201
        assert shop.edit("a", {"total": 5}).status == 200
        tokens |= {item["w"] for item in shop.items("LedgerTable") if item["sk"].endswith("~")}
        for item in shop.items("LedgerTable"):
            shop.dynamodb.delete_item(
                TableName=settings().ledger_table, Key={"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}}
            )
    assert len(tokens) == 3


def test_an_order_that_was_made_again_under_its_id_answers_as_first_submitted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulation, seed 40027280: its first version was looked for under the number that it had before an erasure."""
    mine = order("a", customer_email=ANN, total=5)

    def submitted_as(new_id: str) -> Answer:
        with monkeypatch.context() as patch:
            patch.setattr("tillbook.web.orders.uuid7", lambda: new_id)
            return shop.submit(mine)

    first = submitted_as(times.uuid7())
    done: list[Answer] = []

    def between(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "GetItem" and str(arguments["Key"]["sk"]["S"]).endswith("!00000001") and not done:
            done.append(first)
            with SEEN.others():
                shop.delete("a")
                shop.submit(order("a", customer_email=BOB))
                shop.delete("a")
                erased(shop, ANN)
                # Its answer was lost, and it is tried again.
                done.append(submitted_as(first.body["id"]))
                done.append(shop.edit("a", {"customer_email": BOB}))
        return go()

    with shop.faults.injected(between):
        again = shop.submit(mine)
    assert [answer.status for answer in done] == [201, 201, 200]
    assert (again.status, again.body) == (201, first.body)


@pytest.mark.parametrize("method", ["edit", "delete"])
def test_what_was_done_to_a_purged_order_is_not_done_to_the_next_one(shop: Shop, method: str) -> None:
    """Simulation, seed 50003873: the answer was lost, and the version that would tell went with the order."""
    shop.submit(order("a", total=5))
    new: list[Answer] = []

    def meanwhile() -> None:
        purged(shop)
        new.append(shop.submit(order("a", total=7)))

    with shop.faults.injected(unanswered(meanwhile)):
        answer = shop.edit("a", {"total": 9}) if method == "edit" else shop.delete("a")
    assert answer.status == 503
    assert shop.get("/v1/order/a").body == new[0].body


def unanswered(meanwhile: Callable[[], None], *, written: bool = True) -> Callable[..., Any]:
    """Loses the answer of the first transaction, whether it was written or not, after what others do meanwhile."""
    begun: list[bool] = []

    def intercept(_index: int, operation: str, _arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation != "TransactWriteItems" or begun:
            return go()
        begun.append(True)
        if written:
            go()
        with SEEN.others():
            meanwhile()
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    return intercept


def test_a_lost_submission_that_was_handed_on_erased_and_deleted_is_not_made_again(shop: Shop) -> None:
    """Simulation, seed 60052004: its version, emptied of whom it named, was not taken for its own."""
    done: list[Answer] = []

    def meanwhile() -> None:
        done.append(shop.edit("a", {"customer_email": BOB}))
        erased(shop, ANN)
        done.append(shop.delete("a"))

    with shop.faults.injected(unanswered(meanwhile)):
        answer = shop.submit(order("a", customer_email=ANN, total=5))
    assert [one.status for one in done] == [200, 200]
    assert (answer.status, answer.body["id"], answer.body["total"]) == (201, done[0].body["id"], "5.0")
    assert shop.get("/v1/order/a").status == 404
    assert shop.stored_ltv() == {}


def test_a_lost_edit_whose_version_was_emptied_answers_the_order_as_it_is(shop: Shop) -> None:
    shop.submit(order("a", customer_email=ANN, total=5))
    done: list[Answer] = []

    def meanwhile() -> None:
        done.append(shop.edit("a", {"customer_email": BOB}))
        erased(shop, ANN)

    with shop.faults.injected(unanswered(meanwhile)):
        answer = shop.edit("a", {"total": 6})
    assert [one.status for one in done] == [200]
    assert (answer.status, answer.body) == (200, done[0].body)
    assert worth(shop, BOB) == {"USD": "6.00"}


def test_what_was_not_answered_is_not_refused_for_what_came_since(shop: Shop) -> None:
    """It may be written yet, if the order that stands there goes: a 409 would say that it never will."""
    others: list[Answer] = []
    with shop.faults.injected(unanswered(lambda: others.append(shop.submit(order("a", total=7))), written=False)):
        answer = shop.submit(order("a", total=5))
    assert [other.status for other in others] == [201]
    assert answer.status == 503


def test_a_person_whose_event_moves_meanwhile_is_not_forgotten(shop: Shop) -> None:
    """Simulation, seed 30096947: the event was looked for where it had stood, and its person went without it."""
    key = {"idempotency-key": "k-1"}
    shop.send(event(email=ANN, order_id="a", occurred_at=None), headers=key)
    (early,) = shop.receive()
    shop.acknowledge(early)  # it comes when this test says so
    shop.send(event(email=ANN, order_id="a", occurred_at=None), headers=key)
    shop.send(event(email=BOB, order_id="a", occurred_at=None))  # whose order it is from then on
    shop.drain()
    (ann,) = [i["pk"].rpartition("/")[2] for i in shop.items("LedgerTable") if i.get("id") == email_sha256(ANN)]
    moved = []

    def between(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        answer = go()
        if operation == "Query" and arguments.get("IndexName") == "timeline" and not moved:
            moved.append(early)
            processing._build(settings()).run([early], 60)
        return answer

    with shop.faults.injected(between):
        gone = Ledger(shop.dynamodb, settings().ledger_table).forget(ACCOUNT, ann, time.monotonic() + 60)
    assert moved

    assert not gone


def test_a_late_copy_does_not_take_a_new_event_back_before_the_purge(shop: Shop) -> None:
    """As a function finds it that has read what is purged before there was anything."""
    body = event(email=ANN, occurred_at=day(1))
    shop.send(body)
    (early,) = shop.receive()
    start(shop)
    new = shop.send(body).body["request_id"]
    shop.drain()
    processor = processing._build(settings())
    stale = iter([Marks({}, {})])
    processor.marks_of = lambda account: next(stale, read_marks(shop.dynamodb, settings().records_table, account))
    assert processor.run([early], 60) == {"batchItemFailures": []}
    head = next(i for i in shop.items("LedgerTable") if i["sk"].endswith("~"))
    assert shop.status(new)["status"] == "applied"
    event_item = next(i for i in shop.items("LedgerTable") if "!" in i["sk"])
    assert event_item["rq"] == new
    assert head["l"] == event_item["gs"]
    mark = next(i for i in shop.items("RecordsTable") if i["pk"] == f"{ACCOUNT}/u" and i["sk"] == "s")
    assert event_item["gs"][20:40] > mark["cut"]


def test_a_dead_letter_that_cannot_be_read_is_erased_all_the_same(shop: Shop) -> None:
    send(shop, event(email=ANN), event(email=BOB))
    received = times.now()
    for number, email in enumerate((ANN, BOB)):
        queued = QueuedOrder(
            ACCOUNT, times.uuid7(), received, number, f"bad-{number}", received, ["email", email_sha256(email)],
            {"provider": "shopify", "action": "placed", "order_id": f"bad-{number}", "grand_total": "not a number"},
        )  # fmt: skip
        shop.sqs.send_message(
            QueueUrl=shop.queues["OrdersQueue"], MessageBody=encode(Message(orders=[queued], tries=4))
        )
    shop.drain()
    letters = shop.get("/v1/deadletters").body["deadletters"]
    assert {letter["order_id"] for letter in letters} == {"bad-0", "bad-1"}
    erased(shop, ANN)
    assert [letter["order_id"] for letter in shop.get("/v1/deadletters").body["deadletters"]] == ["bad-1"]


# ----------------------------------------------------------------- dead letters


def dead(shop: Shop, *order_ids: str) -> list[str]:
    ids = []
    for order_id in order_ids:
        ids.append(shop.send(event(email=ANN, order_id=order_id)).body["request_id"])
        with shop.faults.injected(poisoned(order_id)):
            shop.drain(40)
    return ids


def letters(shop: Shop) -> list[str]:
    return [letter["id"] for letter in shop.get("/v1/deadletters").body["deadletters"]]


def test_dead_letters_newest_first_in_pages(shop: Shop) -> None:
    ids = dead(shop, "x-1", "x-2", "x-3")
    first = shop.get("/v1/deadletters", query={"limit": "2"}).body
    assert [letter["id"] for letter in first["deadletters"]] == [ids[2], ids[1]]
    rest = shop.get("/v1/deadletters", query={"limit": "2", "cursor": first["next_cursor"]}).body
    assert [letter["id"] for letter in rest["deadletters"]] == [ids[0]]
    assert rest["next_cursor"] is None
    letter = first["deadletters"][0]
    assert letter.keys() == {"id", "reason", "failed_at", "action", "provider", "order_id"}
    assert (letter["action"], letter["provider"], letter["order_id"]) == ("placed", "shopify", "x-3")
    assert shop.get("/v1/deadletters", key=OTHER_ADMIN).body == {"deadletters": [], "next_cursor": None}
    assert shop.get("/v1/deadletters", query={"cursor": "!"}).status == 400


def test_replay_of_one_and_of_all(shop: Shop) -> None:
    ids = dead(shop, "x-1", "x-2", "x-3")
    assert shop.request("POST", f"/v1/deadletters/{ids[0]}/replay").body == {"replayed": 1, "next_cursor": None}
    assert letters(shop) == [ids[2], ids[1]]
    shop.drain()
    assert worth(shop, ANN) == {"USD": "100.00"}
    assert shop.status(ids[0])["status"] == "applied"
    assert shop.request("POST", "/v1/deadletters/all/replay").body == {"replayed": 2, "next_cursor": None}
    shop.drain()
    assert worth(shop, ANN) == {"USD": "300.00"}
    assert letters(shop) == []
    statuses = [t["status"] for t in shop.get("/v1/transactions").body["transactions"]]
    assert statuses == ["applied"] * 3
    assert shop.request("POST", f"/v1/deadletters/{ids[0]}/replay").status == 404
    assert shop.request("POST", f"/v1/deadletters/{ids[1]}/replay", key=OTHER_ADMIN).status == 404


def test_a_replay_of_all_goes_on_behind_what_somebody_else_took(shop: Shop) -> None:
    ids = dead(shop, "x-1", "x-2", "x-3")
    taken: list[str] = []

    def intercept(_number: int, operation: str, _arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        answer = go()
        if operation == "Query" and not taken:  # the list has been read
            taken.append(ids[1])
            shop.faults.intercept = None
            assert shop.request("DELETE", f"/v1/deadletters/{ids[1]}", {"reason": "a test order"}).status == 200
        return answer

    with shop.faults.injected(intercept):
        answer = shop.request("POST", "/v1/deadletters/all/replay")
    assert taken
    assert (answer.status, answer.body) == (202, {"replayed": 2, "next_cursor": None})
    shop.drain()
    assert letters(shop) == []
    assert worth(shop, ANN) == {"USD": "200.00"}


def test_a_replay_of_all_ends_in_time_and_tells_where_to_go_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = DeadLetters(shop.dynamodb, settings().records_table)
    for n in range(60):
        received, request_id = times.now(), times.uuid7()
        body: Any = {"provider": "shopify", "action": "placed", "order_id": f"o-{n}", "grand_total": 1}
        person = ["email", email_sha256(ANN)]
        queued = QueuedOrder(ACCOUNT, request_id, received, 0, f"e-{n}", received, person, body)
        kept.keep(ACCOUNT, request_id, "x", Message(orders=[queued]))
    spent, begun, start = [0.0], [0.0], time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + spent[0])

    def slow(_index: int, _operation: str, _arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        spent[0] += 0.1
        if spent[0] > begun[0] + 10:  # what the function has
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
    assert letters(shop) == []
    shop.drain()
    assert worth(shop, ANN) == {"USD": "60.00"}


def test_a_replay_s_cursor_must_be_one(shop: Shop) -> None:
    answer = shop.request("POST", "/v1/deadletters/all/replay", query={"cursor": "x"})
    assert (answer.status, answer.fields) == (400, {"cursor"})


def test_a_replay_that_time_does_not_suffice_for_is_one_still(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the failure would stay beside what became of it."""
    [request_id] = dead(shop, "poison")
    assert shop.request("POST", f"/v1/deadletters/{request_id}/replay").status == 202
    [record] = shop.receive()
    shop.acknowledge(record)
    processor = processing._build(settings())
    moments = iter([0.0, 0.0])  # the time is over just when the message is begun
    monkeypatch.setattr(processor, "clock", lambda: next(moments, 100.0))
    assert processor.run([record], 60) == {"batchItemFailures": []}
    assert shop.status(request_id)["status"] == "failed"
    shop.drain()
    found = shop.get("/v1/transactions").body["transactions"]
    assert [(t["request_id"], t["status"]) for t in found] == [(request_id, "applied")]


def test_discarding_wants_a_reason(shop: Shop) -> None:
    (request_id,) = dead(shop, "x-1")
    bodies: list[Any] = [None, {}, {"reason": " "}, {"reason": 5}, {"reason": "x" * 501}, []]
    for body in bodies:
        assert shop.request("DELETE", f"/v1/deadletters/{request_id}", body).status == 400
    answer = shop.request("DELETE", f"/v1/deadletters/{request_id}", {"reason": "a test order"})
    assert (answer.status, answer.body["id"]) == (200, request_id)
    assert letters(shop) == []
    assert "a test order" in shop.status(request_id)["reason"]
    assert shop.request("DELETE", f"/v1/deadletters/{request_id}", {"reason": "again"}).status == 404


# ----------------------------------------------------------------- transactions


def listed(shop: Shop, limit: int = 200, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    asked = query | {"limit": str(limit)}
    while True:
        answer = shop.get("/v1/transactions", query=asked)
        assert answer.status == 200, answer.body
        assert len(answer.body["transactions"]) <= limit
        found += answer.body["transactions"]
        if answer.body["next_cursor"] is None:
            return found
        asked["cursor"] = answer.body["next_cursor"]


@pytest.mark.parametrize("limit", [1, 3, 200])
def test_transactions_newest_first(shop: Shop, limit: int) -> None:
    ids = [shop.send(event(order_id=f"o-{n % 3}", occurred_at=day(n % 4 + 1))).body["request_id"] for n in range(12)]
    shop.drain()
    submit(shop, order("o-1"), order("o-1"))
    assert shop.submit(order("o-1", total=5)).status == 409
    shop.drain()
    found = listed(shop, limit)
    assert [t["request_id"] for t in found] == sorted((t["request_id"] for t in found), reverse=True)
    assert {t["request_id"] for t in found} >= set(ids)
    assert len(found) == 15
    by_status = {s: [t for t in found if t["status"] == s] for s in ("applied", "duplicate", "failed", "rejected")}
    for status, expected in by_status.items():
        assert listed(shop, limit, status=status) == expected
    assert [t["source"] for t in listed(shop, limit, source="orders_api")] == ["orders_api"] * 3
    assert listed(shop, limit, request_id=ids[0])[0]["request_id"] == ids[0]
    of_order = listed(shop, limit, order_id="o-1", provider="shopify")
    assert {t["request_id"] for t in of_order} == {t["request_id"] for t in found if t["order_id"] == "o-1"}
    for status in ("applied", "duplicate", "rejected"):
        ones = listed(shop, limit, order_id="o-1", provider="shopify", status=status)
        assert {t["request_id"] for t in ones} == {t["request_id"] for t in of_order if t["status"] == status}


def recorded(count: int, **more: Any) -> list[str]:
    """Request ids of as many outcomes, the newest first."""
    outcomes = [
        replace(
            Transaction(ACCOUNT, "orders_api", times.uuid7(), "applied", times.now(), "submitted", "", "o-1"), **more
        )
        for _ in range(count)
    ]
    Transactions(clients.dynamodb(), settings().records_table).record(outcomes)
    return sorted((o.request_id for o in outcomes), reverse=True)


@pytest.mark.parametrize(("limit", "query"), [(20, {"status": "duplicate"}), (200, {"order_id": "o-1"}), (200, {})])
def test_large_outcomes_are_listed_to_the_last_one(shop: Shop, limit: int, query: dict[str, str]) -> None:
    sent = recorded(30, notes=["x" * 100_000])  # DynamoDB reads 1 MB at a time
    sent = recorded(30, notes=["x" * 100_000], status="duplicate") + ([] if query else sent)
    assert [t["request_id"] for t in listed(shop, limit, **query)] == sorted(sent, reverse=True)


def test_a_page_of_requests_stops_at_4_mb(shop: Shop) -> None:
    sent = recorded(60, notes=["x" * 100_000])
    answer = shop.get("/v1/transactions", query={"limit": "60"})
    assert 3_900_000 < len(answer.text) < 4_200_000
    assert answer.body["next_cursor"] == answer.body["transactions"][-1]["request_id"]
    assert [t["request_id"] for t in listed(shop, 60)] == sent
    # One that is over it alone is a page of its own, and the end is the end.
    assert len(listed(shop, 1)) == 60


def test_a_request_has_so_many_notes_and_says_how_many_more(shop: Shop) -> None:
    noise = {"price": 19.989999999999995, "total": 22.980000000000004}
    lines = [{"identifier": "i", "product_id": "p", "name": "n", f"x{n}": 1} | noise for n in range(60)]
    assert shop.submit(order("o-1", order_items=lines)).status == 201
    shop.send(event(items=lines))
    shop.drain()
    v3, v1 = (t["notes"] for t in listed(shop))
    assert (len(v1), v1[-1]) == (51, "and 132 more")  # 62 fields of these lines are not known
    assert (len(v3), v3[-1]) == (51, "and 70 more")
    assert set(v1[:50]) == set(v3[:50]) == {"price was rounded to 19.99", "total was rounded to 22.98"}


@pytest.mark.parametrize("query", [{"status": "x"}, {"source": "x"}, {"cursor": "x"}, {"limit": "0"}])
def test_malformed_filters(shop: Shop, query: dict[str, str]) -> None:
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
    found = listed(shop, status="rejected")
    assert len(found) in (5, 6)  # the edit of an order that is not there is a 404
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


def test_rejections_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "A_DAY", 5)
    monkeypatch.setattr(rejections, "_paused_until", {})
    for _ in range(7):
        assert shop.submit(order(total="x"), key=INGEST).status == 400
    assert len(listed(shop, status="rejected")) == 5
    with shop.faults.recorded() as calls:
        shop.submit(order(total="x"), key=INGEST)
        assert not [name for name, _ in calls if name not in ("GetItem", "BatchGetItem")]
    assert shop.submit(order(total="x"), key=ADMIN).status == 400  # each key has a bound of its own
    assert len(listed(shop, status="rejected")) == 6
    monkeypatch.setattr(rejections, "_paused_until", {})  # ten minutes later: asks, and is told again
    shop.submit(order(total="x"), key=INGEST)
    assert len(listed(shop, status="rejected")) == 6


def test_what_is_not_the_clients_fault_is_no_rejection(shop: Shop) -> None:
    assert shop.submit(order(), key="unknown").status == 403
    assert shop.delete("nobody", key=INGEST).status == 404
    assert shop.get("/v1/order/nobody").status == 404
    assert listed(shop, status="rejected") == []


def test_keys_of_orders_are_hashes(shop: Shop) -> None:
    submit(shop, order(ANN))
    purged(shop)
    assert not [i for i in shop.items("LedgerTable") if key_of(ANN) in i["sk"]]
