"""Input that was treated wrongly until tests/hostile found it, unusual amounts, and errors of batches and paths."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.shop import ACCOUNT, Shop


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1/jobs/{'x' * 1025}"),
        ("POST", f"/v1/deadletters/{'x' * 1025}/replay"),
        ("DELETE", f"/v1/deadletters/{'x' * 1025}"),
    ],
)
def test_an_id_that_is_too_long_for_a_key_is_404(shop: Shop, method: str, path: str) -> None:
    """A sort key of DynamoDB has at most 1,024 bytes."""
    body = {"reason": "a test"} if method == "DELETE" else None
    assert shop.request(method, path, body).status == 404


@pytest.mark.parametrize("request_id", ["", "x", "x" * 3000, "\x00"])
def test_an_invalid_request_id_finds_no_transaction(shop: Shop, request_id: str) -> None:
    answer = shop.get("/v1/transactions", query={"request_id": request_id})
    assert (answer.status, answer.body) == (200, {"transactions": [], "next_cursor": None})


@pytest.mark.parametrize(("order_id", "stored"), [(5, "5"), (0, "0"), ("5", "5"), (True, None), (1.5, None)])
def test_a_rejection_records_an_order_id_that_is_a_text_or_an_integer(
    shop: Shop, order_id: Any, stored: str | None
) -> None:
    assert shop.submit({"order_id": order_id}).status == 400
    (rejected,) = shop.get("/v1/transactions").body["transactions"]
    assert rejected["order_id"] == stored


@pytest.mark.parametrize("order_id", ["2", 2, "", None, ...])
def test_a_refused_edit_is_recorded_under_the_order_id_of_its_path(shop: Shop, order_id: Any) -> None:
    body = {"total": -1} | ({} if order_id is ... else {"order_id": order_id})
    shop.submit({"order_id": "1", "order_date": "2026-01-01", "customer_email": "a@b.co"})
    shop.drain()
    assert shop.edit("1", body).status == 400
    found = shop.get("/v1/transactions", query={"order_id": "1"}).body["transactions"]
    assert [entry["status"] for entry in found].count("rejected") == 1
    assert shop.get("/v1/transactions", query={"order_id": "2"}).body["transactions"] == []


@pytest.mark.parametrize("email", ["", " ", "\t\n", None])
def test_a_blank_email_is_reported_only_as_missing(shop: Shop, email: Any) -> None:
    answer = shop.send({"provider": "p", "email": email, "action": "paid", "order_id": "5"})
    assert [(e["code"], e["attribute"]) for e in answer.body["errors"]] == [("presence_error", "email")]


@pytest.mark.parametrize("name", ["before", "account", "Source", "order_id"])
@pytest.mark.parametrize("value", ["2019-01-17", 20190117, True, None, ["2019-01-17"], {"date": "2019-01-17"}])
def test_a_purge_with_an_unknown_filter_purges_nothing(shop: Shop, name: str, value: Any) -> None:
    shop.submit({"order_id": "1", "order_date": "2019-01-01", "customer_email": "a@b.co", "total": 5})
    answer = shop.request("DELETE", "/v1/transactions", {"confirm": "purge", name: value})
    assert (answer.status, answer.fields) == (400, {name})
    shop.settle()
    assert shop.ltv("a@b.co") == {"USD": "5.00"}


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
def test_people_to_match_are_validated_like_people_of_orders(shop: Shop, person: Any, field: str) -> None:
    answer = shop.request("POST", "/v1/audience/customers-orders-api/match", {"people": [person]})
    assert (answer.status, answer.fields) == (400, {field})


def test_a_customer_id_to_match_may_be_a_number(shop: Shop) -> None:
    order = {"order_id": "5", "order_date": "2019-09-05", "customer_id": 27876, "customer_email": "a@example.com"}
    assert shop.submit(order).status == 201
    answer = shop.request("POST", "/v1/audience/customers-orders-api/match", {"people": [{"customer_id": 27876}]})
    assert answer.body == {"results": [{"customer": True}]}


@pytest.mark.parametrize(
    ("query", "status"),
    [({"format": "xml"}, 400), ({"format": ""}, 400), ({"format": "json"}, 200), ({}, 200)],
)
def test_members_are_listed_only_in_a_known_format(shop: Shop, query: dict[str, str], status: int) -> None:
    answer = shop.get("/v1/audience/customers-orders-api", query=query)
    assert answer.status == status
    assert status == 200 or answer.fields == {"format"}


# ----------------------------------------------------- unusual amounts that are valid


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
def test_unusual_amounts_are_read_as_decimals_with_four_places(shop: Shop, number: str, total: str) -> None:
    body = f'{{"order_id":"5","order_date":"2019-09-05","customer_email":"a@example.com","total":{number}}}'
    answer = shop.submit(body)
    assert (answer.status, answer.body["total"]) == (201, total)


# ------------------------------------------------------- errors of batches and paths


def test_a_batch_with_one_invalid_order_is_not_queued_at_all(shop: Shop) -> None:
    good = {"provider": "p", "email": "a@example.com", "action": "paid", "order_id": "5"}
    answer = shop.send_batch([*[good] * 999, good | {"grand_total": "NaN"}])
    assert answer.status == 422
    assert answer.errors == {("format_error", "orders[999].grand_total")}
    assert not shop.receive()
    assert shop.send_batch([good] * 1001).errors == {("length_error", "orders")}
    assert not shop.receive()


@pytest.mark.parametrize("base", ["", "/orders", "/v1", "/v3"])
def test_errors_keep_the_format_of_their_api_under_a_base_path(shop: Shop, base: str) -> None:
    def refused(path: str, **options: Any) -> Any:
        return shop.request("POST", path, {}, raw={"rawPath": base + path}, **options)

    assert "error" in refused("/v1/order").body
    assert (refused("/v1/order", key=None).status, refused("/v1/order", key=None).body) == (
        403,
        {"error": "Unauthorized"},
    )
    activity = f"/v3/{ACCOUNT}/shopper_activity/order"
    assert "errors" in refused(activity).body
    assert refused(activity, key=None).status == 401


def test_without_a_route_the_path_decides_the_format_of_the_error(shop: Shop) -> None:
    assert "error" in shop.request("PUT", "/v1/order/1").body
    assert "error" in shop.get("/v1").body
    assert "errors" in shop.get("/v3/x").body
    assert "errors" in shop.get("/v10/x").body
