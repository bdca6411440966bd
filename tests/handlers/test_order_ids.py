"""v1: order ids of all kinds, and the person that an order counts for."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.handlers.events import EMAIL, SHA
from tests.handlers.orders import ADDRESS, order
from tests.handlers.shop import Shop

# ---------------------------------------------------------------- order ids


@pytest.mark.parametrize("decodes_first", [True, False], ids=["decoded, then routed", "routed, then decoded"])
@pytest.mark.parametrize(
    "order_id",
    [
        "#5",
        "a/b",
        "a%2Fb",
        "a/b/",
        "100%",
        "50%25",
        "%2F",
        "a b",
        " a",
        "a ",
        "😀",
        "😀" * 255,
        "é" * 255,
        "a" * 255,
        "...",
        "a..b",
        "../a",
        "a&b=c;d",
        "a+b",
        "/",
        "//",
        "'\"\\<>",
        "null",
        "a\u2028b",
        "ü",
        "order",
        "{order_id}",
        "~!",
        "\ufffe",
    ],
)
def test_an_order_id_survives_submit_edit_get_delete(shop: Shop, order_id: str, decodes_first: bool) -> None:
    shop.decodes_first = decodes_first
    path = quote(order_id, safe="")
    assert shop.submit(order(order_id=order_id)).body["order_id"] == order_id
    assert shop.edit(path, {"total": 5}).body["order_id"] == order_id
    assert shop.get(f"/v1/order/{path}").body["total"] == "5.0"
    assert shop.ltv(EMAIL) == {"USD": "5.00"}
    shop.drain()
    assert shop.delete(path).body["order_id"] == order_id
    assert shop.get(f"/v1/order/{path}").status == 404
    assert [e["action"] for e in shop.get(f"/v1/order/{path}/history").body["history"]] == [
        "submitted", "edited", "deleted",
    ]  # fmt: skip
    refused = shop.request("PUT", f"/v1/order/{path}")
    assert (refused.status, refused.headers["allow"]) == (405, "POST, DELETE, GET")


def test_an_order_id_may_end_in_history(shop: Shop) -> None:
    """Such an order can be edited and deleted. If the path is decoded before it is routed, GET of `a/history` asks for
    the history of the order `a`. An id with another `/` before `/history` can be read."""
    shop.submit(order(order_id="a/history", total=1))
    assert shop.edit("a%2Fhistory", {"total": 2}).body["total"] == "2.0"
    assert shop.get("/v1/order/a%2Fhistory").status == 404
    assert [e["action"] for e in shop.get("/v1/order/a%2Fhistory/history").body["history"]] == ["submitted", "edited"]
    shop.submit(order(order_id="a/b/history", total=3))
    assert shop.get("/v1/order/a%2Fb%2Fhistory").body["total"] == "3.0"
    shop.decodes_first = False
    assert shop.get("/v1/order/a%2Fhistory").body["total"] == "2.0"
    shop.decodes_first = True
    assert shop.delete("a%2Fhistory").status == 200
    assert shop.get("/v1/order/never%2Fhere/history").status == 404
    assert shop.get("/v1/order/%2Fhistory").status == 404


def test_an_integer_is_kept_as_its_digits(shop: Shop) -> None:
    assert shop.submit(order(order_id=12345678901234567890)).body["order_id"] == "12345678901234567890"
    assert shop.submit(order(order_id="12345678901234567890")).status == 201
    assert shop.delete("12345678901234567890").status == 200


@pytest.mark.parametrize("sent", ["9" * 41, "1" + "0" * 254, "-" + "9" * 254])
def test_an_integer_order_id_may_have_255_characters(shop: Shop, sent: str) -> None:
    text = json.dumps(order()).replace('"o-1"', sent)
    assert shop.submit(text).body["order_id"] == sent
    assert shop.submit(order(order_id=sent)).status == 201, "the same submission"
    assert shop.edit(sent, text.replace('"total": 100', '"total": 5')).body["total"] == "5.0"
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "5.00"}


@pytest.mark.parametrize(("digits", "reason"), [
    (256, "must be at most 255 characters"), (4300, "must be at most 255 characters"), (4301, "out of range"),
    (200_000, "out of range"),
])  # fmt: skip
def test_a_longer_integer_is_refused_with_a_reason(shop: Shop, digits: int, reason: str) -> None:
    answer = shop.submit(json.dumps(order()).replace('"o-1"', "9" * digits))
    assert answer.status == 400
    assert reason in answer.body["error"]["message"]
    event = {"provider": "p", "email": EMAIL, "action": "placed", "order_id": "o-1"}
    answer = shop.send(json.dumps(event).replace('"o-1"', "9" * digits))
    assert answer.status in (400, 422)  # 400 if the number is too long to be parsed
    assert reason in answer.body["errors"][0]["message"]


def test_the_error_of_a_refused_order_id_names_the_field(shop: Shop) -> None:
    for bad in ("a?b", ".", "..", "a\tb"):
        assert "order_id" in shop.submit(order(order_id=bad)).body["error"]["message"]


def test_order_ids_that_look_alike_are_different_orders(shop: Shop) -> None:
    for n, order_id in enumerate(("a", "A", "a ", "a/", "%61", "ａ", "á", "a\u0301")):
        assert shop.submit(order(order_id=order_id, total=n)).status == 201
    assert shop.person(EMAIL)["orders_count"] == 8


# ------------------------------------------------------------------- person


def test_an_order_counts_for_its_email_else_its_customer_id_else_nobody(shop: Shop) -> None:
    shop.submit(order(order_id="1", customer_id="7", total=1))
    shop.submit(order(order_id="2", customer_id="7", customer_email=..., shipping_address=ADDRESS, total=10))
    shop.submit(order(order_id="3", customer_email=..., shipping_address=ADDRESS, total=100))
    assert shop.ltv(EMAIL) == {"USD": "1.00"}
    assert shop.ltv("7") == {"USD": "10.00"}
    assert sum(v for name, v in shop.stored_ltv().items() if "/o." in name) == 11  # 1 + 10: nobody has the 100


def test_a_customer_id_that_is_an_email_counts_as_the_email_and_is_not_kept(shop: Shop) -> None:
    answer = shop.submit(order(customer_email=..., shipping_address=ADDRESS, customer_id="User@Gmail.com"))
    assert answer.status == 201
    assert shop.ltv(EMAIL) == {"USD": "100.00"}
    shop.drain()
    calls = [arguments for _, arguments in shop.faults.calls if "Table" in str(arguments)]
    assert "user@gmail" not in str([shop.items("LedgerTable"), shop.items("RecordsTable"), calls]).lower()
    assert "User@Gmail" not in answer.text


def test_email_spelling_does_not_matter(shop: Shop) -> None:
    for n, email in enumerate((EMAIL, " USER@GMAIL.COM ", "User@Gmail.com")):
        assert shop.submit(order(order_id=str(n), customer_email=email)).body["customer"]["email_sha256"] == SHA
    assert shop.person(EMAIL)["orders_count"] == 3


def test_an_email_is_accepted_together_with_its_hash(shop: Shop) -> None:
    assert shop.submit(order(customer_email_sha256=SHA.upper())).status == 201
