"""Tests the checks of the load run, and its throttle. The run itself, `python -m tests.load`, takes minutes."""

from __future__ import annotations

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from local.front_door import Throttle
from tests.concurrency import books
from tests.concurrency.books import V1, V3
from tests.end_to_end.privacy import BOOK, LEDGER, RECORDS
from tests.load import run as load
from tests.load.run import Order, Reply, Request, Result, wrong_answer
from tillbook.ledger.items import Scope
from tillbook.rules.identity import Person, email_sha256, order_key

ACCOUNT = "1234567"
EMAIL = "ann@example.com"
PERSON = Person("email", email_sha256(EMAIL)).id_in(ACCOUNT)
V3_PATH = f"/v3/{ACCOUNT}/shopper_activity/order"


def reply(status: int, body: Any, *, source: str = V3, order_id: str = "1", **headers: str) -> Reply:
    path = V3_PATH if source == V3 else "/v1/order"
    request = Request(path, b"", (Order(source, order_id, Decimal(5), EMAIL),))
    return Reply(request, status, {n.replace("_", "-"): v for n, v in headers.items()}, json.dumps(body), 0.1)


UNAVAILABLE_V3 = {"errors": [{"code": "unavailable_error", "message": "x"}]}
UNAVAILABLE_V1 = {"error": {"name": "Unavailable", "message": "x", "details": []}}


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        (reply(202, {"request_id": "r"}), True),
        (reply(202, {"request_ids": ["a", "b"]}), False),
        (reply(201, {"request_id": "r"}), False),
        (reply(201, {"order_id": "1"}, source=V1), True),
        (reply(201, {"order_id": "2"}, source=V1), False),
        (reply(429, {"message": "Too Many Requests"}), True),
        (reply(429, {"message": "Service Unavailable"}), False),
        (reply(503, {"message": "Service Unavailable"}), True),
        (reply(503, UNAVAILABLE_V3, retry_after="1"), True),
        (reply(503, UNAVAILABLE_V3), False),
        (reply(503, UNAVAILABLE_V3, source=V1, retry_after="1"), False),
        (reply(503, UNAVAILABLE_V1, source=V1, retry_after="1"), True),
        (reply(500, {"message": "Internal Server Error"}), False),
        (reply(500, {"errors": [{"code": "internal_error"}]}), False),
        (reply(404, {"message": "Not Found"}), False),
    ],
)
def test_only_invalid_answers_are_reported(answer: Reply, valid: bool) -> None:
    assert (wrong_answer(answer) == "") is valid


SCOPE = Scope(ACCOUNT, "shopper_activity")


def order_items(order_id: str = "1", amount: int = 5) -> list[dict[str, Any]]:
    """The head, event and card of an order."""
    key = order_key(V3, "load_shop", order_id)
    head = {"order_id": order_id, "person": PERSON, "contribution": Decimal(amount), "records": Decimal(1)}
    return [
        SCOPE.head_key(key) | head,
        SCOPE.event_key(key, "e"),
        {"pk": f"{SCOPE.name}/cards/201901", "sk": key, "status": "placed", "records": Decimal(1)},
    ]


def person(amount: int = 5, count: int = 1) -> dict[str, Any]:
    # `*`: the orders name no currency.
    return SCOPE.person_key(PERSON) | {"*": Decimal(amount), "#*": Decimal(count)}


def outcome(status: str = "applied") -> dict[str, Any]:
    return {"pk": f"{ACCOUNT}/t/{status}/s0", "sk": "r"}


ACCEPTED = reply(202, {"request_id": "r"})
REFUSED = reply(429, {"message": "Too Many Requests"})
UNANSWERED = Reply(ACCEPTED.request, 0, {}, "TimeoutError", 60.0)
HEAD, EVENT, CARD = order_items()
ONE_ORDER = [HEAD, EVENT, CARD, person(), outcome()]


@pytest.mark.parametrize(
    ("items", "replies", "fault"),
    [
        (ONE_ORDER, [ACCEPTED], ""),
        (ONE_ORDER, [ACCEPTED, ACCEPTED], ""),
        (ONE_ORDER, [REFUSED, ACCEPTED], ""),
        (ONE_ORDER, [UNANSWERED], ""),
        ([], [UNANSWERED], ""),
        ([], [REFUSED], ""),
        ([outcome()], [ACCEPTED], "was accepted, but is not stored"),
        (ONE_ORDER, [REFUSED], "was refused with 429, but is stored"),
        (ONE_ORDER, [], "was never sent"),
        ([*order_items(amount=6), person(6), outcome()], [ACCEPTED], "counts 6, not 5"),
        ([*order_items(amount=6), person(6)], [UNANSWERED], "counts 6, not 5"),
        ([HEAD, EVENT, CARD, person(10), outcome()], [ACCEPTED], "the orders add up to"),
        ([HEAD, EVENT, CARD, person(5, 2), outcome()], [ACCEPTED], "the orders add up to"),
        ([HEAD, CARD, person(), outcome()], [ACCEPTED], "does not have one event"),
        ([*ONE_ORDER, EVENT | {"sk": EVENT["sk"] + "2"}], [ACCEPTED], "does not have one event"),
        ([EVENT], [UNANSWERED], "without an order"),
        ([HEAD, EVENT, person(), outcome()], [ACCEPTED], "the cards of"),
        ([HEAD, EVENT, CARD, person()], [ACCEPTED], "r is unknown"),
        ([HEAD, EVENT, CARD, person(), outcome("failed")], [ACCEPTED], "r is ['failed']"),
        ([*ONE_ORDER, {"pk": f"{ACCOUNT}/d", "sk": "r", "reason": "x"}], [ACCEPTED], "is a dead letter"),
    ],
)
def test_wrong_items_are_reported_and_right_ones_are_not(
    monkeypatch: Any, items: list[Any], replies: list[Reply], fault: str
) -> None:
    def table(item: dict[str, Any]) -> str:
        kind = [*str(item["pk"]).split("/"), ""][2]
        return BOOK if kind == "cards" else LEDGER if kind in ("h", "e", "p") else RECORDS

    tables = {name: [item for item in items if table(item) == name] for name in (BOOK, LEDGER, RECORDS)}
    monkeypatch.setattr(books, "BOOK_SECONDS", 0.0)
    monkeypatch.setattr(load, "table_items", lambda _stack, name: tables[name])
    result = Result(1)
    shop: Any = SimpleNamespace(account=ACCOUNT, stack=None)
    load.check(shop, replies, result)
    assert any(fault in found for found in result.faults) if fault else result.faults == [], result.faults


def test_a_throttle_passes_its_rate_and_its_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("local.front_door.time.monotonic", lambda: now)
    throttle = Throttle(10, 3)  # ten a second, three at once
    assert [throttle.passes() for _ in range(5)] == [True, True, True, False, False]
    now += 0.2
    assert [throttle.passes() for _ in range(3)] == [True, True, False]
    now += 60
    assert [throttle.passes() for _ in range(5)] == [True, True, True, False, False]
