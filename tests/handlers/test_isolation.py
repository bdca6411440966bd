"""Isolation of accounts: every route of the template, with every kind of key."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.handlers import template
from tests.handlers.deadletters import refuse_writes_of
from tests.handlers.shop import ACCOUNT, ADMIN, INGEST, OTHER, OTHER_ADMIN, Answer, Shop

AUDIENCE = "customers-orders-api"
EMAIL, ANOTHER = "ann@example.com", "ben@example.com"
OTHER_INGEST, REVOKED = "other-ingest-secret", "revoked-secret"
ORDER = {
    "order_id": "shared-1", "order_date": "2019-09-05", "customer_email": EMAIL, "customer_id": "c-1", "total": "12.50",
    "shipping_address": {"address_1": "1 Main St", "postal_code": "10843"},
}  # fmt: skip
EVENT = {
    "provider": "my_shop", "email": EMAIL, "action": "placed", "order_id": "s-1", "grand_total": 100,
    "occurred_at": "2019-02-01T09:00:00Z",
}  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """The expected status of a route for each kind of key, and the `body` to send."""

    no_key: int
    garbage: int
    revoked: int
    other_account: int
    ingest: int
    admin: int
    body: Any = None


def _v1(other: int, ingest: int, admin: int, body: Any = None) -> Expected:
    """`other`: the status for the admin key of another account. v1 paths name no account: a key reaches its own one."""
    return Expected(403, 403, 403, other, ingest, admin, body)


def _v3(ingest: int, admin: int, body: Any = None) -> Expected:
    return Expected(401, 401, 401, 403, ingest, admin, body)


# Written by hand, not derived from the routes: each new route needs a decision which keys may use it.
MATRIX = {
    "POST /v1/order": _v1(201, 201, 201, ORDER),
    "POST /v1/order/{order_id}": _v1(404, 200, 200, {"total": "13.00"}),
    "DELETE /v1/order/{order_id}": _v1(404, 200, 200),
    "GET /v1/order/{order_id}": _v1(404, 403, 200),
    "GET /v1/audiences": _v1(200, 403, 200),
    "GET /v1/audience/{audience_id}": _v1(200, 403, 200),
    "POST /v1/audience/{audience_id}/match": _v1(200, 403, 200, {"people": [{"email": EMAIL}]}),
    "POST /v1/audience/{audience_id}/rebuild": _v1(202, 403, 202),
    "GET /v1/jobs/{job_id}": _v1(404, 403, 200),
    "GET /v1/transactions": _v1(200, 403, 200),
    "DELETE /v1/transactions": _v1(202, 403, 202, {"confirm": "purge"}),
    "GET /v1/transactions/counts": _v1(200, 403, 200),
    "GET /v1/deadletters": _v1(200, 403, 200),
    "GET /v1/deadletters/count": _v1(200, 403, 200),
    "GET /v1/deadletters/{deadletter_id}": _v1(404, 403, 200),
    "POST /v1/deadletters/{deadletter_id}/replay": _v1(404, 403, 202),
    "DELETE /v1/deadletters/{deadletter_id}": _v1(404, 403, 200, {"reason": "a test"}),
    "POST /v3/{account_id}/shopper_activity/order": _v3(202, 202, EVENT),
    "POST /v3/{account_id}/shopper_activity/order/batch": _v3(202, 202, {"orders": [EVENT]}),
    "GET /v3/{account_id}/requests/{request_id}": _v3(403, 200),
    "GET /v3/{account_id}/people": _v3(403, 200),
    "GET /v3/{account_id}/segments": _v3(403, 200),
    "GET /v3/{account_id}/people/{id_or_email}": _v3(403, 200),
    "DELETE /v3/{account_id}/people/{id_or_email}": _v3(403, 202),
    "GET /v3/{account_id}/people/{id_or_email}/activity": _v3(403, 200),
    "GET /v3/{account_id}/people/{id_or_email}/orders": _v3(403, 200),
    "GET /v3/{account_id}/orders/{provider}/{order_id}": _v3(403, 200),
    "GET /v2/{account_id}/subscribers/{id_or_email}": _v3(403, 200),
    "GET /v1/transactions/summary": _v1(200, 403, 200),
    "GET /v1/orders": _v1(200, 403, 200),
    "GET /v1/reports/sales": _v1(200, 403, 200),
    "GET /v1/account": _v1(200, 403, 200),
    "PATCH /v1/account": _v1(200, 403, 200, {"name": "Harbor & Pine"}),
    "GET /v1/keys": _v1(200, 403, 200),
    "POST /v1/keys": _v1(201, 403, 201, {"role": "ingest"}),
    "DELETE /v1/keys/{key_id}": _v1(404, 403, 200),
    "GET /v1/connections": _v1(200, 403, 200),
    "POST /v1/connections": _v1(201, 403, 201, {"platform": "woocommerce", "name": "second"}),
    "GET /v1/connections/{connection}": _v1(404, 403, 200),
    "POST /v1/connections/{connection}/rotate": _v1(404, 403, 200, {}),
    "DELETE /v1/connections/{connection}": _v1(404, 403, 200),
    "GET /v1/order/{order_id}/history": _v1(404, 403, 200),
    "GET /v3/{account_id}/orders/{provider}/{order_id}/history": _v3(403, 200),
    # Webhooks are identified by their signature; a key has no effect.
    "POST /connect/{account_id}/{connection}": Expected(401, 401, 401, 401, 401, 401),
    # These routes need no key.
    "GET /": Expected(200, 200, 200, 200, 200, 200),
    "GET /page/{file}": Expected(200, 200, 200, 200, 200, 200),
    "GET /openapi.json": Expected(200, 200, 200, 200, 200, 200),
}
# For each kind of key, the name of its status in Expected, and a key.
WHO = {
    "no key": ("no_key", None), "garbage": ("garbage", "nobody"), "revoked": ("revoked", REVOKED),
    "another account's": ("other_account", OTHER_ADMIN), "ingest": ("ingest", INGEST), "admin": ("admin", ADMIN),
}  # fmt: skip


@dataclass(frozen=True)
class FilledAccount:
    """Account 1234567 with one thing of each kind. `parameters`: their ids, by the names that paths have for them."""

    shop: Shop
    parameters: dict[str, str]

    def call(self, route: str, key: str | None, account: str = ACCOUNT) -> Answer:
        method, _, path = route.partition(" ")
        for name, value in (self.parameters | {"account_id": account}).items():
            path = path.replace("{" + name + "}", value)
        return self.shop.request(method, path, MATRIX[route].body, key=key)


@pytest.fixture
def filled_account(shop: Shop) -> FilledAccount:
    """Orders of both APIs, a person, a request, a job, a dead letter, a spare key and a connection."""
    shop.keys.create(OTHER, "ingest", secret=OTHER_INGEST)
    revoked, _ = shop.keys.create(ACCOUNT, "admin", secret=REVOKED)
    shop.keys.revoke(ACCOUNT, revoked.id)
    spare, _ = shop.keys.create(ACCOUNT, "ingest", secret="spare-secret")
    shop.request("POST", "/v1/connections", {"platform": "woocommerce", "name": "my-shop"})
    order = shop.submit(ORDER).body
    request = shop.send(EVENT).body["request_id"]
    shop.drain()
    dead = shop.send(EVENT | {"order_id": "dead"}).body["request_id"]
    with shop.faults.injected(refuse_writes_of("dead")):
        shop.drain()
    job = shop.request("POST", f"/v1/audience/{AUDIENCE}/rebuild").body["job_id"]
    person = shop.person(EMAIL)["id"]
    assert order["order_id"] == "shared-1"
    return FilledAccount(
        shop,
        {
            "order_id": "shared-1", "audience_id": AUDIENCE, "job_id": job, "deadletter_id": dead,
            "request_id": request, "id_or_email": person, "provider": "my_shop",
            "file": "app.js", "connection": "my-shop", "key_id": spare.id,
        },
    )  # fmt: skip


def test_the_matrix_has_every_route() -> None:
    assert set(MATRIX) == set(template.named_routes())


def _is_allowed_write(route: str, who: str) -> bool:
    status = getattr(MATRIX[route], WHO[who][0])
    return status < 300 and not route.startswith("GET") and not route.endswith("/match")


def _check_status(filled_account: FilledAccount, route: str, who: str) -> None:
    name, key = WHO[who]
    if "/orders/{provider}" in route:
        filled_account.parameters["order_id"] = "s-1"
    answer = filled_account.call(route, key)
    assert answer.status == getattr(MATRIX[route], name), (who, answer.text)
    if answer.status in (401, 403):
        assert answer.body == {"error": "Unauthorized"} if "/v1/" in route else set(answer.body) == {"errors"}


@pytest.mark.parametrize("route", MATRIX)
def test_refused_requests_and_reads_write_nothing(filled_account: FilledAccount, route: str) -> None:
    before = _stored_items(filled_account.shop)
    for who in WHO:
        if not _is_allowed_write(route, who):
            _check_status(filled_account, route, who)
    after = _stored_items(filled_account.shop)
    if route.startswith("POST /connect/"):  # a wrong signature is recorded, at most once a minute
        assert sum("'refused'" in item for item in after) == 1
        after = [item for item in after if "'refused'" not in item]
    assert after == before, "a refused request or a read wrote something"


@pytest.mark.parametrize(
    ("route", "who"), [(route, who) for route in MATRIX for who in WHO if _is_allowed_write(route, who)]
)
def test_keys_with_the_right_can_write(filled_account: FilledAccount, route: str, who: str) -> None:
    before = _stored_items(filled_account.shop) + [record["body"] for record in filled_account.shop.receive()]
    _check_status(filled_account, route, who)
    assert _stored_items(filled_account.shop) + [record["body"] for record in filled_account.shop.receive()] != before


def _stored_items(shop: Shop) -> list[Any]:
    """All items of the ledger and of the records, without the day on which a key was last used."""
    items = shop.items("LedgerTable") + shop.items("RecordsTable")
    return sorted(repr({n: v for n, v in item.items() if n != "used"}) for item in items)


# ------------------------------------------------------------------ ids and cursors of another account


def _fill_other_account(filled_account: FilledAccount) -> None:
    """Gives the other account orders with the same ids and the same person."""
    shop = filled_account.shop
    assert shop.submit(ORDER | {"total": "1.00"}, key=OTHER_ADMIN).status == 201
    path = f"/v3/{OTHER}/shopper_activity/order"
    assert shop.request("POST", path, EVENT | {"grand_total": 2}, key=OTHER_INGEST).status == 202
    shop.drain()


def test_the_same_ids_name_different_orders_and_people_in_another_account(filled_account: FilledAccount) -> None:
    _fill_other_account(filled_account)
    shop = filled_account.shop
    assert shop.get("/v1/order/shared-1").body["total"] == "12.5"
    assert shop.get("/v1/order/shared-1", key=OTHER_ADMIN).body["total"] == "1.0"
    assert shop.get(f"/v3/{OTHER}/orders/my_shop/s-1", key=OTHER_ADMIN).body["grand_total"] == "2.00"
    person = shop.get(f"/v3/{OTHER}/people/{EMAIL}", key=OTHER_ADMIN).body
    assert person["lifetime_value"] == {"USD": "3.00"}
    assert person["id"] != filled_account.parameters["id_or_email"]
    edited = shop.edit("shared-1", {"total": "7.00"}, key=OTHER_ADMIN)
    assert (edited.status, edited.body["total"]) == (200, "7.0")
    assert shop.delete("shared-1", key=OTHER_ADMIN).status == 200
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "112.50"}
    assert shop.get("/v1/order/shared-1").body["total"] == "12.5"


# Ids that Tillbook generates exist in one account; ids that a shop chooses may exist in both.
_GENERATED = ("job_id", "deadletter_id", "request_id", "id_or_email", "key_id")
WITH_GENERATED_ID = [route for route in MATRIX if any(f"{{{name}}}" in route for name in _GENERATED)]


@pytest.mark.parametrize("route", WITH_GENERATED_ID)
def test_generated_ids_are_not_found_in_another_account(filled_account: FilledAccount, route: str) -> None:
    _fill_other_account(filled_account)
    before = filled_account.shop.items("LedgerTable")
    if "request_id" in route:
        # The request of another account is answered as queued, like any unknown id, which discloses nothing.
        answer = filled_account.call(route, OTHER_ADMIN, OTHER)
        assert (answer.status, answer.body["status"]) == (200, "queued")
    elif route.startswith("DELETE /v3/"):  # an erasure is accepted for any id
        assert filled_account.call(route, OTHER_ADMIN, OTHER).status == 202
        filled_account.shop.settle()
    else:
        assert filled_account.call(route, OTHER_ADMIN, OTHER).status == 404
    assert filled_account.shop.items("LedgerTable") == before


def test_ids_that_a_shop_chose_are_not_found_in_another_account(filled_account: FilledAccount) -> None:
    shop = filled_account.shop
    for path in ("people/c-1", f"people/{EMAIL}", "people/s-1", "orders/my_shop/s-1"):
        assert shop.get(f"/v3/{OTHER}/{path}", key=OTHER_ADMIN).status == 404
    for method in ("GET", "DELETE"):
        assert shop.request(method, "/v1/order/shared-1", key=OTHER_ADMIN).status == 404
    for person in ({"email": EMAIL}, {"customer_id": "c-1"}, {"address": ORDER["shipping_address"]}):
        found = shop.request("POST", f"/v1/audience/{AUDIENCE}/match", {"people": [person]}, key=OTHER_ADMIN)
        assert found.body == {"results": [{"customer": False}]}


def test_lists_show_only_the_account_of_the_caller(filled_account: FilledAccount) -> None:
    """Filters and cursors with ids of another account find nothing."""
    shop, parameters = filled_account.shop, filled_account.parameters
    request, dead = parameters["request_id"], parameters["deadletter_id"]
    nothing = {"transactions": [], "next_cursor": None}
    for query in ({}, {"request_id": request}, {"request_id": dead}, {"order_id": "shared-1"},
                  {"order_id": "s-1", "provider": "my_shop"}, {"cursor": request}, {"cursor": dead}):  # fmt: skip
        assert shop.get("/v1/transactions", key=OTHER_ADMIN, query=query).body == nothing
    beyond_9999 = {"cursor": "ffffffff-ffff-7fff-bfff-ffffffffffff"}  # an id made after the year 9999
    assert shop.get("/v1/transactions", key=OTHER_ADMIN, query=beyond_9999).status == 400
    assert shop.get("/v1/deadletters", key=OTHER_ADMIN).body == {"deadletters": [], "next_cursor": None}
    assert [a["member_count"] for a in shop.get("/v1/audiences", key=OTHER_ADMIN).body] == [0, 0]
    assert shop.request("POST", "/v1/deadletters/all/replay", key=OTHER_ADMIN).body == {
        "replayed": 0,
        "next_cursor": None,
    }
    assert shop.get("/v1/deadletters").body["deadletters"]


@pytest.mark.parametrize(
    ("path", "noun"),
    [
        ("/v3/{account}/people/" + EMAIL + "/activity", "activity"),
        ("/v3/{account}/people/" + EMAIL + "/orders", "orders"),
        ("/v1/audience/" + AUDIENCE, "members"),
        ("/v1/transactions", "transactions"),
        ("/v1/deadletters", "deadletters"),
    ],
)
def test_a_cursor_of_another_account_shows_only_the_account_of_the_caller(
    filled_account: FilledAccount, path: str, noun: str
) -> None:
    _fill_other_account(filled_account)
    shop = filled_account.shop
    for number in range(3):
        shop.submit(ORDER | {"order_id": f"more-{number}"})
        shop.send(EVENT | {"order_id": f"more-{number}"})
    for name in ("dead", "dead-2"):
        shop.send(EVENT | {"order_id": name, "provider": "other_shop"})
        with shop.faults.injected(refuse_writes_of(name)):
            shop.drain()
    shop.drain()
    first = shop.get(path.replace("{account}", ACCOUNT), query={"limit": "1"}).body
    assert first["next_cursor"]
    other_path = path.replace("{account}", OTHER)
    without_cursor = [repr(entry) for entry in shop.get(other_path, key=OTHER_ADMIN).body[noun]]
    answer = shop.get(other_path, key=OTHER_ADMIN, query={"cursor": first["next_cursor"]})
    assert answer.status == 200
    assert all(repr(entry) in without_cursor for entry in answer.body[noun])
    assert not {repr(entry) for entry in first[noun]} & {repr(entry) for entry in answer.body[noun]}
    assert OTHER not in str(first["next_cursor"])
    assert ACCOUNT not in str(first["next_cursor"])


def test_a_key_has_no_access_to_paths_of_another_account(filled_account: FilledAccount) -> None:
    """Variants of the account id in the path give no access either."""
    shop = filled_account.shop
    for account in (ACCOUNT, f"{ACCOUNT}%2F", f"{ACCOUNT}%00", f"%20{ACCOUNT}", f"{OTHER}%2F..%2F{ACCOUNT}", "%2e%2e"):
        answer = shop.get(f"/v3/{account}/people/{EMAIL}", key=OTHER_ADMIN)
        assert answer.status in (403, 404), answer.text
        assert EMAIL not in answer.text


def test_a_revoked_key_is_refused_after_a_minute(
    filled_account: FilledAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = filled_account.shop
    key, _ = shop.keys.create(ACCOUNT, "admin", secret="soon-revoked")
    assert shop.get("/v1/audiences", key="soon-revoked").status == 200
    shop.keys.revoke(ACCOUNT, key.id)
    now = time.monotonic()
    monkeypatch.setattr("tillbook.records.keys.time.monotonic", lambda: now + 61)
    assert shop.get("/v1/audiences", key="soon-revoked").status == 403
