"""The log line of each request has the id of its key, so that the holder of the key can be found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.handlers import template
from tests.handlers.shop import ACCOUNT, ADMIN, INGEST, OTHER, OTHER_ADMIN, Shop, forget_warm_state
from tillbook.records.keys import sha256_of
from tillbook.web.routes import ROUTES

SECRETS = (ADMIN, INGEST, OTHER_ADMIN)


def request_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The log lines of requests so far. Fails if the log has a key or the hash of a key."""
    text = capsys.readouterr().out
    assert not any(secret in text or sha256_of(secret) in text for secret in SECRETS)
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line.get("message") == "request"]


def path_of(pattern: str) -> str:
    """A path that matches the pattern of a route: each parameter but the account has its own name as its value."""
    return pattern.replace("{account_id}", ACCOUNT).replace("{", "").replace("}", "")


@pytest.mark.parametrize("route", [route for route, about in ROUTES.items() if about.role])
def test_each_request_logs_the_id_of_its_key(shop: Shop, capsys: pytest.CaptureFixture[str], route: str) -> None:
    method, _, pattern = route.partition(" ")
    body = None if method == "GET" else {}
    (key_id,) = [key.id for key in shop.keys.of(ACCOUNT) if key.role == "admin"]
    capsys.readouterr()
    answer = shop.request(method, path_of(pattern), body)
    (line,) = request_lines(capsys)
    assert (line["account"], line["key_id"], line["status"]) == (ACCOUNT, key_id, answer.status)
    assert line["route"].replace("+}", "}") == route


def test_a_key_that_is_valid_but_refused_is_logged_too(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    key_ids = {key.role: key.id for key in shop.keys.of(ACCOUNT)}
    (other,) = [key.id for key in shop.keys.of(OTHER)]
    capsys.readouterr()
    shop.get("/v1/account", key=INGEST)
    shop.get(f"/v3/{ACCOUNT}/people/ann@example.com", key=OTHER_ADMIN)
    found = [(line["account"], line["key_id"], line["status"]) for line in request_lines(capsys)]
    assert found == [(ACCOUNT, key_ids["ingest"], 403), (OTHER, other, 403)]


def test_a_request_without_a_valid_key_logs_no_account_and_no_key(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key of the previous request is not logged either. A revoked key is not valid."""
    (key,) = shop.keys.of(OTHER)
    shop.get("/v1/account", key=OTHER_ADMIN)
    shop.keys.revoke(OTHER, key.id)
    forget_warm_state()
    capsys.readouterr()
    for secret in (None, "unknown", OTHER_ADMIN):
        shop.get("/v1/account", key=secret)
    found = request_lines(capsys)
    assert [line["status"] for line in found] == [403] * 3
    assert not any({"account", "key_id"} & line.keys() for line in found)


def test_only_the_listed_functions_need_no_key() -> None:
    """Requests without a key are found by their source address in the access log (tests/infrastructure)."""
    need_a_key = {template.named_routes()[route] for route, about in ROUTES.items() if about.role}
    without_key = set(template.functions()) - need_a_key
    started_by_aws = {"ProcessOrders", "KeepBook", "AnnounceChanges", "AuditLedger"}
    assert without_key == {"TransactionsPage", "Describe", "Fallback", "ReceiveWebhook"} | started_by_aws
