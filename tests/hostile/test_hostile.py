"""A slice of the hostile requests; all of them by `python -m tests.hostile --requests 200000 --seed 1`."""

from __future__ import annotations

import os
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handlers.shop import Shop
from tests.hostile.__main__ import shown, straight
from tests.hostile.attacks import attacks, routes
from tests.hostile.straight import ACCOUNT, ROUND, SHOP, Handlers, handlers
from tillbook import orders_api, rejections, shopper_activity, times
from tillbook.amounts import AmountError, parse_amount
from tillbook.json_text import dumps, loads

REQUESTS = int(os.environ.get("REQUESTS", "3000"))
SEED = int(os.environ.get("SEED", "1"))


def test_each_is_refused_as_its_api_refuses_and_leaves_nothing_behind() -> None:
    print(f"seed {SEED}")
    failures = straight(SEED, range(REQUESTS), quiet=True)
    assert not failures, shown(failures)


def test_every_route_is_attacked_and_every_refusal_is_expected_of_some() -> None:
    seen: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    for _, attack in attacks(SHOP, SEED, 3000):
        statuses.update(attack.statuses)
        segments = attack.path.partition("?")[0].split("/")
        for route in routes():
            pattern = route.pattern.split("/")
            if attack.method == route.method and len(pattern) == len(segments) and all(
                p == s or p.startswith("{") for p, s in zip(pattern, segments, strict=True)
            ):  # fmt: skip
                seen[route.key] += 1
    assert set(seen) == {route.key for route in routes()}
    assert set(statuses) == {200, 400, 401, 403, 404, 405, 413, 415, 422}


def test_a_seed_is_the_same_requests_every_time() -> None:
    assert list(attacks(SHOP, 7, 200)) == list(attacks(SHOP, 7, 200))


def test_notes_of_a_client_in_a_loop_are_bounded() -> None:
    with handlers() as made:
        made.open()
        for _ in range(rejections.A_DAY + 200):
            answer = made.call("POST", "/v1/order", {"authorization": f"Bearer {SHOP.ingest}"}, b"{")
            assert answer["statusCode"] == 400
        noted = [
            key for key in made.dynamodb.tables["RecordsTable"].items if key[0].startswith(f"{ACCOUNT}/t/rejected/")
        ]
        assert len(noted) == rejections.A_DAY


def test_a_check_that_finds_nothing_would_show() -> None:
    """Each kind of thing that may be left behind is noticed."""
    with handlers() as made:
        (attack,) = [a for _, a in attacks(SHOP, SEED, ROUND) if a.what == "no key"][:1]
        assert made.run(attack) == ""
        for spoil, told in (
            (lambda: made.sqs.send_message(QueueUrl=made.sqs.url, MessageBody="x"), "something was queued"),
            (lambda: _put(made, "LedgerTable"), "the ledger was written"),
            (lambda: _put(made, "RecordsTable"), "left ["),
        ):
            made.left.writes.clear()
            made.left.messages.clear()
            spoil()
            assert made._left(attack).startswith(told)


def _put(made: Handlers, table: str) -> None:
    made.dynamodb.put_item(TableName=table, Item={"pk": {"S": "x"}, "sk": {"S": "x"}})


# ------------------------------------------------------------------ what was found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/v1/jobs/{'x' * 1025}", 404),
        ("POST", f"/v1/deadletters/{'x' * 1025}/replay", 404),
        ("DELETE", f"/v1/deadletters/{'x' * 1025}", 404),
    ],
)
def test_an_id_too_long_for_a_key_names_nothing(shop: Shop, method: str, path: str, status: int) -> None:
    body = {"reason": "a test"} if method == "DELETE" else None
    assert shop.request(method, path, body).status == status


@pytest.mark.parametrize("request_id", ["", "x", "x" * 3000, "\x00"])
def test_what_is_no_request_id_finds_no_transaction(shop: Shop, request_id: str) -> None:
    answer = shop.get("/v1/transactions", query={"request_id": request_id})
    assert (answer.status, answer.body) == (200, {"transactions": [], "next_cursor": None})


@pytest.mark.parametrize("before", [20190117, 1.5, True, ["2019-01-17"], {"date": "2019-01-17"}])
def test_the_date_of_a_purge_is_a_string(shop: Shop, before: Any) -> None:
    answer = shop.request("DELETE", "/v1/transactions", {"confirm": "purge", "before": before})
    assert (answer.status, answer.fields) == (400, {"before"})


@pytest.mark.parametrize(
    ("person", "field"),
    [
        ({"address": {"address_1": {"a": 1}, "postal_code": "1"}}, "people[0].address.address_1"),
        ({"address": {"address_1": "x" * 1001}}, "people[0].address.address_1"),
        ({"address": {"postal_code": True}}, "people[0].address.postal_code"),
        ({"email_sha256": "f" * 63}, "people[0].email_sha256"),
        ({"customer_id": "x" * 256}, "people[0].customer_id"),
        ({"email": "ann", "customer_id": "c-1"}, "people[0].email"),
    ],
)
def test_people_to_match_are_checked_as_those_of_orders_are(shop: Shop, person: Any, field: str) -> None:
    answer = shop.request("POST", "/v1/audience/customers-orders-api/match", {"people": [person]})
    assert (answer.status, answer.fields) == (400, {field})


def test_a_customer_id_may_be_a_number_there_as_in_an_order(shop: Shop) -> None:
    order = {"order_id": "5", "order_date": "2019-09-05", "customer_id": 27876, "customer_email": "a@example.com"}
    assert shop.submit(order).status == 201
    answer = shop.request("POST", "/v1/audience/customers-orders-api/match", {"people": [{"customer_id": 27876}]})
    assert answer.body == {"results": [{"customer": True}]}


# ------------------------------------------------------------------ what looks odd and is fine


@pytest.mark.parametrize(
    ("number", "total"),
    [
        ("-0.0", "0.0"), ("-0", "0.0"), ("0e400", "0.0"), ("1e2", "100.0"), ("1E+2", "100.0"),
         ("999999999999999.9999",) * 2,
        ('"-0"', "0.0"), ('""', "0.0"), ("19.989999999999998", "19.99"), ("0.1000000000000000055511151231257827",
         "0.1"),
        ("12345678901234.5678",) * 2, ('" 12.50 "', "12.5"), ("null", "0.0"), ("4.1e-1", "0.41"),
    ],
)  # fmt: skip
def test_amounts_that_look_odd_are_kept_by_value(shop: Shop, number: str, total: str) -> None:
    body = f'{{"order_id":"5","order_date":"2019-09-05","customer_email":"a@example.com","total":{number}}}'
    answer = shop.submit(body)
    assert (answer.status, answer.body["total"]) == (201, total)


def numbers() -> st.SearchStrategy[str]:
    """As JSON writes them."""
    digits = st.text("0123456789", max_size=25)
    whole = st.one_of(st.just("0"), st.builds(lambda first, rest: first + rest, st.sampled_from("123456789"), digits))
    fraction = st.one_of(st.just(""), st.text("0123456789", min_size=1, max_size=25).map(lambda text: f".{text}"))
    exponent = st.one_of(
        st.just(""), st.integers(-30, 30).map(lambda n: f"e{n}"), st.integers(0, 400).map(lambda n: f"E+{n}")
    )
    return st.builds(lambda *parts: "".join(parts), st.sampled_from(["", "-"]), whole, fraction, exponent)


def no_float(value: Any) -> None:
    assert not isinstance(value, float)
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        no_float(entry)


@given(number=numbers())
def test_numbers_are_read_exactly_and_no_float_is_on_the_way_to_an_amount(number: str) -> None:
    read = loads(f'{{"a":[{number},{{"b":{number}}}]}}')
    no_float(read)
    assert read["a"][0] == Decimal(number) == read["a"][1]["b"]
    assert loads(dumps(read)) == read
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
    assert abs(amount - Decimal(number)) <= (Decimal("1e-9") if rounded else 0)
    document, notes = orders_api.document(loads(v1))
    envelope, body = shopper_activity.parse(loads(v3), received)
    no_float(document.body)
    no_float(body)
    assert document.total == body["grand_total"] == amount
    assert body["note"] == Decimal(number)
    assert bool(notes) == bool(envelope["notes"]) == rounded
    # And as it comes out of the queue and out of the table.
    again = loads(dumps(body), ours=True)
    no_float(again)
    assert again == body


def test_a_batch_that_is_right_but_for_one_order_is_queued_in_no_part(shop: Shop) -> None:
    good = {"provider": "p", "email": "a@example.com", "action": "paid", "order_id": "5"}
    answer = shop.send_batch([*[good] * 999, good | {"grand_total": "NaN"}])
    assert answer.status == 422
    assert answer.errors == {("format_error", "orders[999].grand_total")}
    assert not shop.receive()
    assert shop.send_batch([good] * 1001).errors == {("length_error", "orders")}
    assert not shop.receive()
