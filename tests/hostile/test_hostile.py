"""Sends 3,000 hostile requests (`python -m tests.hostile --requests 200000` sends more), and parses random numbers."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile.__main__ import in_process, shown
from tests.hostile.attacks import attacks
from tests.hostile.in_process import ACCOUNT, ROUND, SHOP, Handlers, handlers
from tests.hostile.targets import routes
from tillbook.contract import orders_api, shopper_activity
from tillbook.records import rejections
from tillbook.rules import times
from tillbook.rules.amounts import AmountError, parse_amount
from tillbook.rules.json_text import dumps, loads

REQUESTS = int(os.environ.get("REQUESTS", "3000"))
SEED = int(os.environ.get("SEED", "1"))


def test_each_request_gets_the_answer_of_the_contract_and_leaves_at_most_its_rejection() -> None:
    print(f"seed {SEED}")
    failures = in_process(SEED, range(REQUESTS), quiet=True)
    assert not failures, shown(failures)


def test_every_route_is_attacked_and_each_status_is_expected_of_some_attack() -> None:
    attacked: set[str] = set()
    statuses: set[int] = set()
    for _, attack in attacks(SHOP, SEED, 3000):
        statuses.update(attack.statuses)
        segments = attack.path.partition("?")[0].split("/")
        for route in routes():
            pattern = route.pattern.split("/")
            if (
                attack.method == route.method
                and len(pattern) == len(segments)
                and all(p == s or p.startswith("{") for p, s in zip(pattern, segments, strict=True))
            ):
                attacked.add(route.key)
    assert attacked == {route.key for route in routes()}
    assert statuses == {200, 400, 401, 403, 404, 405, 413, 415, 422}


def test_a_seed_gives_the_same_requests_every_time() -> None:
    assert list(attacks(SHOP, 7, 200)) == list(attacks(SHOP, 7, 200))


def test_the_recorded_rejections_of_a_key_on_a_day_are_limited() -> None:
    with handlers() as functions:
        functions.open()
        for _ in range(rejections.A_DAY + 200):
            answer = functions.call("POST", "/v1/order", {"authorization": f"Bearer {SHOP.ingest}"}, b"{")
            assert answer["statusCode"] == 400
        items = functions.dynamodb.tables["RecordsTable"].items
        recorded = [key for key in items if key[0].startswith(f"{ACCOUNT}/t/rejected/")]
        assert len(recorded) == rejections.A_DAY


def test_data_that_a_refused_request_must_not_leave_is_reported() -> None:
    with handlers() as functions:
        attack = next(attack for _, attack in attacks(SHOP, SEED, ROUND) if attack.what == "no key")
        assert functions.run(attack) == ""
        for leave_data, reported in (
            (lambda: functions.sqs.send_message(QueueUrl=functions.sqs.url, MessageBody="x"), "something was queued"),
            (lambda: _put_item(functions, "LedgerTable"), "the ledger was written"),
            (lambda: _put_item(functions, "RecordsTable"), "left ["),
        ):
            functions.traces.writes.clear()
            functions.traces.messages.clear()
            leave_data()
            assert functions._check_traces(attack).startswith(reported)


def _put_item(functions: Handlers, table: str) -> None:
    functions.dynamodb.put_item(TableName=table, Item={"pk": {"S": "x"}, "sk": {"S": "x"}})


# ------------------------------------------------------------------ numbers


def numbers() -> st.SearchStrategy[str]:
    """Texts of numbers in JSON's syntax."""
    digits = st.text("0123456789", max_size=25)
    whole = st.one_of(st.just("0"), st.builds(lambda first, rest: first + rest, st.sampled_from("123456789"), digits))
    fraction = st.one_of(st.just(""), st.text("0123456789", min_size=1, max_size=25).map(lambda text: f".{text}"))
    exponent = st.one_of(
        st.just(""), st.integers(-30, 30).map(lambda n: f"e{n}"), st.integers(0, 400).map(lambda n: f"E+{n}")
    )
    return st.builds(lambda *parts: "".join(parts), st.sampled_from(["", "-"]), whole, fraction, exponent)


def assert_no_float(value: Any) -> None:
    """Asserts that there is no float at any depth."""
    assert not isinstance(value, float)
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        assert_no_float(entry)


@given(number=numbers())
def test_numbers_are_parsed_exactly_and_never_become_floats(number: str) -> None:
    parsed = loads(f'{{"a":[{number},{{"b":{number}}}]}}')
    assert_no_float(parsed)
    assert parsed["a"][0] == Decimal(number) == parsed["a"][1]["b"]
    assert loads(dumps(parsed)) == parsed
    received = times.now()
    v1 = f'{{"order_id":"5","order_date":"2019-09-05","customer_email":"a@example.com","total":{number}}}'
    v3 = '{"provider":"p","email":"a@example.com","action":"paid","order_id":"5"'
    v3 += f',"grand_total":{number},"note":{number}}}'
    try:
        amount, rounded = parse_amount(Decimal(number))
    except AmountError:
        amount, rounded = Decimal(-1), False
    if amount < 0:
        with pytest.raises(Exception, match="total"):
            orders_api.document(loads(v1))
        with pytest.raises(Exception, match="grand_total"):
            shopper_activity.parse(loads(v3), received)
        return
    # Amounts have four decimals.
    assert abs(amount - Decimal(number)) <= (Decimal("0.00005") if rounded else 0)
    document, notes = orders_api.document(loads(v1))
    envelope, body = shopper_activity.parse(loads(v3), received)
    assert_no_float(document.body)
    assert_no_float(body)
    assert document.total == body["grand_total"] == amount
    assert body["properties"]["note"] == Decimal(number)
    assert bool(notes) == bool(envelope["notes"]) == rounded
    # The queue and the table store the body as JSON, which must not change the numbers.
    stored = loads(dumps(body), ours=True)
    assert_no_float(stored)
    assert stored == body
