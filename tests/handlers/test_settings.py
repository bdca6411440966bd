"""Settings that an admin reads and changes: account, keys, connections; conditional, compressed and repeated reads."""

from __future__ import annotations

import gzip
import importlib
import json
import time
from base64 import b64decode
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from tests.handlers import template
from tests.handlers.events import event
from tests.handlers.shop import ACCOUNT, ADMIN, INGEST, OTHER, OTHER_ADMIN, Context, Shop, forget_warm_state
from tests.handlers.webhooks import shopify, woo
from tests.platforms.sender import SHOPIFY_SECRET, Sent, signed
from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.records import connections as connections_module
from tillbook.records import keys as keys_module

# -------------------------------------------------------------- account


def change(shop: Shop, body: Any) -> Any:
    answer = shop.request("PATCH", "/v1/account", body)
    assert answer.status == 200, answer.body
    return answer.body


def test_a_setting_that_is_not_sent_stays(shop: Shop) -> None:
    before = shop.get("/v1/account").body
    assert (before["name"], before["currency"], before["time_zone"]) == (None, "USD", "UTC")
    assert change(shop, {"name": " Harbor & Pine "}) == before | {"name": "Harbor & Pine"}
    change(shop, {"currency": "eur", "time_zone": "Europe/Berlin"})
    change(shop, {"sources": ["shopper_activity"]})
    assert shop.get("/v1/account").body == before | {
        "name": "Harbor & Pine", "currency": "EUR", "time_zone": "Europe/Berlin", "sources": ["shopper_activity"],
    }  # fmt: skip
    assert change(shop, {}) == shop.get("/v1/account").body
    assert change(shop, {"name": None, "currency": None, "time_zone": None, "sources": None}) == before


def test_sources_are_shown_in_one_order_and_once_each(shop: Shop) -> None:
    sent = ["shopper_activity", "orders_api", "shopper_activity"]
    assert change(shop, {"sources": sent})["sources"] == ["orders_api", "shopper_activity"]


def test_every_wrong_setting_is_named_and_nothing_is_changed(shop: Shop) -> None:
    before = shop.get("/v1/account").body
    wrong = {"currency": "XXQ", "time_zone": "Mars", "sources": [], "name": "x" * 101, "colour": "red"}
    answer = shop.request("PATCH", "/v1/account", wrong)
    assert (answer.status, answer.fields) == (400, set(wrong))
    assert shop.request("PATCH", "/v1/account", {"name": "ann@example.com"}).fields == {"name"}
    assert shop.request("PATCH", "/v1/account", []).status == 400
    assert shop.request("PATCH", "/v1/account").status == 400
    assert shop.get("/v1/account").body == before


def test_settings_of_a_deleted_account_are_404(shop: Shop) -> None:
    key = {"pk": {"S": f"{ACCOUNT}/a"}, "sk": {"S": "a"}}
    shop.dynamodb.delete_item(TableName=settings().records_table, Key=key)
    assert shop.request("PATCH", "/v1/account", {"name": "x"}).status == 404


def test_an_order_without_a_currency_is_in_the_account_s_current_currency(shop: Shop) -> None:
    request = event()  # without a currency
    shop.send(request)
    shop.drain()
    change(shop, {"currency": "JPY"})
    assert set(shop.ltv(request["email"])) == {"JPY"}


# ----------------------------------------------------------------- keys


def keys(shop: Shop, key: str = ADMIN) -> list[Any]:
    answer = shop.get("/v1/keys", key=key)
    assert (answer.status, answer.body["next_cursor"]) == (200, None)
    return list(answer.body["keys"])


def test_a_key_is_created_used_and_revoked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    own = shop.get("/v1/account").body["key"]["id"]
    made = shop.request("POST", "/v1/keys", {"role": "ingest", "label": "checkout"})
    assert made.status == 201
    secret = made.body.pop("secret")
    shown = {"role": "ingest", "label": "checkout", "last_used": None, "revoked": False, "created_by": own}
    assert made.body == {"id": made.body["id"], "created_at": made.body["created_at"], "current": False} | shown
    assert shop.send(event(), key=secret).status == 202
    (listed,) = [key for key in keys(shop) if key["id"] == made.body["id"]]
    assert listed["last_used"] is not None
    assert secret not in shop.get("/v1/keys").text
    assert [key["current"] for key in keys(shop) if key["id"] == own] == [True]
    assert made.body["id"] not in {key["id"] for key in keys(shop, OTHER_ADMIN)}
    revoked = shop.request("DELETE", f"/v1/keys/{made.body['id']}")
    assert (revoked.status, revoked.body["revoked"]) == (200, True)
    assert shop.request("DELETE", f"/v1/keys/{made.body['id']}").body == revoked.body
    forget_warm_state()
    assert shop.send(event(), key=secret).status == 401


def test_a_key_shows_which_admin_key_created_it(shop: Shop) -> None:
    second = shop.request("POST", "/v1/keys", {"role": "admin", "label": "page"}).body
    third = shop.request("POST", "/v1/keys", {"role": "admin"}, key=second["secret"]).body
    assert (third["created_by"], third["label"]) == (second["id"], None)
    assert {key["created_by"] for key in keys(shop, third["secret"])} >= {None, second["id"]}


def test_a_key_revokes_itself_only_if_confirmed(shop: Shop) -> None:
    own = shop.get("/v1/account").body["key"]["id"]
    for options in ({}, {"body": {"confirm": "yes"}}, {"headers": {"X-Confirm": "purge"}}):
        assert shop.request("DELETE", f"/v1/keys/{own}", **options).status == 409  # type: ignore[arg-type]
    assert shop.request("DELETE", f"/v1/keys/{own}", {"confirm": own}).body["revoked"] is True
    forget_warm_state()
    assert shop.get("/v1/account").status == 403


def test_a_key_with_invalid_fields_is_not_created_and_an_unknown_key_not_revoked(shop: Shop) -> None:
    before = keys(shop)
    wrong: list[tuple[Any, set[str]]] = [
        ({}, {"role"}), ({"role": "root"}, {"role"}), ({"role": "admin", "label": "ann@example.com"}, {"label"}),
        ({"role": "admin", "secret": "mine"}, {"secret"}), ({"role": None, "label": 5.5}, {"role", "label"}),
    ]  # fmt: skip
    for body, fields in wrong:
        answer = shop.request("POST", "/v1/keys", body)
        assert (answer.status, answer.fields) == (400, fields)
    (key_of_other_account,) = shop.keys.of(OTHER)
    for unknown in ("0123456789ab", before[0]["id"][:6], key_of_other_account.id):
        assert shop.request("DELETE", f"/v1/keys/{unknown}").status == 404
    assert keys(shop) == before


def test_an_account_has_a_bounded_number_of_keys(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "MOST_KEYS", 2)  # the shop has two
    assert shop.request("POST", "/v1/keys", {"role": "ingest"}).status == 409


# ---------------------------------------------------------- connections


def connect(shop: Shop, **asked: Any) -> Any:
    answer = shop.request("POST", "/v1/connections", {"platform": "woocommerce"} | asked, headers={"Host": "a.example"})
    assert answer.status == 201, answer.body
    return answer.body


def deliver(shop: Shop, secret: str, body: Any = None, topic: str = "order.created") -> Any:
    return post(shop, "woocommerce", signed("woocommerce", secret, topic, body or woo()))


def post(shop: Shop, name: str, sent: Sent) -> Any:
    return shop.request("POST", f"/connect/{ACCOUNT}/{name}", sent.body.decode(), key=None, headers=sent.headers)


def connection(shop: Shop, name: str = "woocommerce") -> Any:
    answer = shop.get(f"/v1/connections/{name}")
    assert answer.status == 200
    return answer.body


def test_a_connection_shows_its_last_delivery_and_the_outcome(shop: Shop) -> None:
    made = connect(shop)
    secret = made["secret"]
    assert (made["url"], len(secret)) == (f"https://a.example/connect/{ACCOUNT}/woocommerce", 43)
    assert "WooCommerce" in made["setup"]
    assert made["check"]["code"] == "never_received"
    assert secret not in shop.get("/v1/connections").text
    accepted = deliver(shop, secret)
    request_id = accepted.body["request_ids"][0]
    last = connection(shop)["last_delivery"]
    assert (last["result"], last["request_id"], last["outcome"]["status"]) == ("accepted", request_id, "queued")
    shop.drain()
    found = connection(shop)
    assert (found["last_delivery"]["outcome"], found["check"]["status"]) == (
        {"status": "applied", "reason": None},
        "ok",
    )
    assert shop.get("/v1/connections").body == {"connections": [found], "next_cursor": None}
    assert shop.get("/v1/connections", key=OTHER_ADMIN).body["connections"] == []
    assert shop.get("/v1/connections/woocommerce", key=OTHER_ADMIN).status == 404


def test_a_connection_shows_why_its_deliveries_fail(shop: Shop) -> None:
    secret = connect(shop)["secret"]
    assert deliver(shop, "another").status == 401
    found = connection(shop)
    assert (found["check"]["code"], found["last_delivery"]) == ("wrong_signature", None)
    assert found["last_refused_at"]
    deliver(shop, secret, topic="product.updated")
    assert connection(shop)["last_delivery"]["result"] == "ignored"
    assert connection(shop)["check"]["status"] == "ok"
    assert "rejected" in deliver(shop, secret, b'{"id":"x","total":"much"}').body
    found = connection(shop)
    assert (found["check"]["code"], found["last_delivery"]["outcome"]["status"]) == ("rejected", "rejected")
    assert found["last_delivery"]["reason"]
    deliver(shop, secret)
    assert connection(shop)["check"]["code"] == "receiving"
    for name in [p["Name"] for p in clients.ssm().describe_parameters()["Parameters"]]:
        clients.ssm().delete_parameter(Name=name)
    assert connection(shop)["check"]["code"] == "no_secret"


def test_deliveries_with_the_same_result_are_noted_once_a_minute(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = connect(shop)["secret"]
    moment = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    with shop.faults.recorded() as calls:
        for _ in range(5):
            deliver(shop, secret)
        assert [name for name, _ in calls].count("UpdateItem") == 1
        deliver(shop, secret, topic="product.updated")  # another result is noted at once
        assert [name for name, _ in calls].count("UpdateItem") == 2
        moment += 61
        deliver(shop, secret, topic="product.updated")
        assert [name for name, _ in calls].count("UpdateItem") == 3


def test_a_delivery_that_cannot_be_noted_is_accepted(shop: Shop) -> None:
    secret = connect(shop)["secret"]

    def no_answer(_index: int, operation: str, _arguments: dict[str, Any], go: Any) -> Any:
        if operation == "UpdateItem":
            raise ConnectTimeoutError(endpoint_url="https://dynamodb")
        return go()

    with shop.faults.injected(no_answer):
        assert deliver(shop, secret).status == 200
    assert connection(shop)["last_delivery"] is None


def test_a_secret_is_rotated_and_a_connection_removed(shop: Shop) -> None:
    before = connect(shop)["secret"]
    rotated = shop.request("POST", "/v1/connections/woocommerce/rotate", {"overlap_hours": 2})
    after = rotated.body["secret"]
    assert (rotated.status, before != after, rotated.body["both_valid_until"] is not None) == (200, True, True)
    assert {deliver(shop, before).status, deliver(shop, after).status} == {200}
    assert shop.request("POST", "/v1/connections/woocommerce/rotate").status == 200  # woocommerce needs no body
    for hours in (-1, 10_000, "x", None):
        wrong = shop.request("POST", "/v1/connections/woocommerce/rotate", {"overlap_hours": hours})
        assert (wrong.status, wrong.fields) == (400, {"overlap_hours"})
    removed = shop.request("DELETE", "/v1/connections/woocommerce")
    assert (removed.status, removed.body["name"]) == (200, "woocommerce")
    assert shop.request("DELETE", "/v1/connections/woocommerce").status == 404
    assert connect(shop)["last_delivery"] is None


def test_shopify_s_secret_is_given_by_the_admin_and_never_shown(shop: Shop) -> None:
    made = connect(shop, platform="shopify", name="us", provider="shopify_us", secret=SHOPIFY_SECRET)
    assert (made["secret"], made["provider"]) == (None, "shopify_us")
    assert post(shop, "us", signed("shopify", SHOPIFY_SECRET, "orders/create", shopify())).status == 200
    assert shop.request("POST", "/v1/connections/us/rotate", {}).fields == {"secret"}
    rotated = shop.request("POST", "/v1/connections/us/rotate", {"secret": "another", "overlap_hours": 0})
    assert (rotated.body["secret"], rotated.body["both_valid_until"]) == (None, None)
    answers = [shop.get("/v1/connections").text, rotated.text, json.dumps(made)]
    assert shop.request("DELETE", "/v1/connections/us").status == 200
    assert clients.ssm().describe_parameters()["Parameters"] == []
    assert not any(secret in answer for secret in (SHOPIFY_SECRET, "another") for answer in answers)


def test_invalid_duplicate_and_surplus_connections_are_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(shop)
    wrong: list[tuple[Any, set[str]]] = [
        ({}, {"platform"}), ({"platform": "x", "name": "A"}, {"platform", "name"}),
        ({"platform": "shopify"}, {"secret"}),
        ({"platform": "woocommerce", "secret": "s"}, {"secret"}), ({"platform": "woocommerce", "x": 1}, {"x"}),
        ({"platform": "shopify", "secret": "{{ssm:other}}"}, {"secret"}),
    ]  # fmt: skip
    for body, fields in wrong:
        answer = shop.request("POST", "/v1/connections", body)
        assert (answer.status, answer.fields) == (400, fields), body
    assert shop.request("POST", "/v1/connections", {"platform": "woocommerce"}).status == 409
    monkeypatch.setattr(connections_module, "MOST_CONNECTIONS", 1)
    assert shop.request("POST", "/v1/connections", {"platform": "woocommerce", "name": "b"}).status == 409
    assert len(shop.get("/v1/connections").body["connections"]) == 1


# ----------------------------------- conditional requests, compression, polling


def test_an_unchanged_answer_is_304(shop: Shop) -> None:
    first = shop.get("/v1/account")
    assert first.headers["etag"].startswith('W/"')
    again = _raw(shop, "/v1/account", {"if-none-match": first.headers["etag"]})
    assert (again["statusCode"], again["body"], again["headers"]["etag"]) == (304, "", first.headers["etag"])
    assert "content-type" not in again["headers"]
    change(shop, {"name": "another"})
    assert _raw(shop, "/v1/account", {"if-none-match": first.headers["etag"]})["statusCode"] == 200
    assert "etag" not in shop.request("POST", "/v1/keys", {"role": "ingest"}).headers


def test_large_answers_are_compressed_if_the_client_accepts_gzip(shop: Shop) -> None:
    for number in range(10):
        shop.send(event(order_id=f"z-{number}"))
    shop.drain()
    plain = shop.get("/v1/transactions")
    zipped = _raw(shop, "/v1/transactions", {"accept-encoding": "gzip, br"})
    assert (zipped["isBase64Encoded"], zipped["headers"]["content-encoding"]) == (True, "gzip")
    assert gzip.decompress(b64decode(zipped["body"])).decode() == plain.text
    assert zipped["headers"]["etag"] == plain.headers["etag"]
    assert len(b64decode(zipped["body"])) < len(plain.text) / 4
    assert _raw(shop, "/v1/account", {"accept-encoding": "gzip"})["isBase64Encoded"] is False


def _raw(shop: Shop, path: str, headers: dict[str, str]) -> Any:
    handler = importlib.import_module(template.module(shop.routes[f"GET {path}"])).handler
    return handler(shop.event("GET", path, headers=headers), Context())


def test_a_minute_of_polling_takes_at_most_30_kb(shop: Shop) -> None:
    """Polls a page of 50 requests every ten seconds: first with a new request each time, then without changes."""

    def poll(etag: str) -> tuple[int, str]:
        """The size of an answer, in bytes, and its etag."""
        headers = {"accept-encoding": "gzip", "if-none-match": etag}
        answer = _raw(shop, "/v1/transactions", headers)
        size = sum(len(name) + len(str(value)) + 4 for name, value in answer["headers"].items())
        return size + len(b64decode(answer["body"])), answer["headers"]["etag"]

    for number in range(60):
        shop.send(event(order_id=f"w-{number}", occurred_at="2019-01-17T20:50:00Z"))
    shop.drain()
    busy, etag = [], ""
    for number in range(6):
        shop.send(event(order_id=f"x-{number}"))
        shop.drain()
        size, etag = poll(etag)
        busy.append(size)
    quiet = [poll(etag)[0] for _ in range(6)]
    print(f"\nbusy {sum(busy)} bytes, quiet {sum(quiet)}")
    assert sum(busy) < 30_000
    assert sum(quiet) < 1_500


def test_an_ingest_key_may_not_use_settings(shop: Shop) -> None:
    for method, path in (
        ("PATCH", "/v1/account"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("GET", "/v1/connections"),
    ):
        assert shop.request(method, path, {"role": "admin"} if method != "GET" else None, key=INGEST).status == 403
