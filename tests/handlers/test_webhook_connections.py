"""Connections of webhooks: signatures, secrets, and failed look-ups."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.handlers.shop import ACCOUNT, OTHER, forget_warm_state
from tests.handlers.webhooks import Connected, nothing_is_stored, shopify, woo
from tests.platforms.sender import SHOPIFY_SECRET, Sent, signed
from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.contract.management import new_connection
from tillbook.records.connections import CACHE_SECONDS
from tillbook.records.messages import decode
from tillbook.rules.errors import Conflict, Invalid, NotFound


def test_forged_deliveries_get_the_same_401_and_store_nothing(connected: Connected) -> None:
    good = signed("shopify", SHOPIFY_SECRET, "orders/create", shopify())
    wrong_secret = signed("shopify", "another", "orders/create", shopify())
    unsigned = Sent({k: v for k, v in good.headers.items() if "Hmac" not in k}, good.body)
    connected.connections.create(OTHER, "shopify", "shopify", entered="theirs")
    answers = [
        connected.post(wrong_secret, "shopify"),
        connected.post(unsigned, "shopify"),
        connected.post(good._replace(body=good.body + b" "), "shopify"),
        connected.post(good, "shopify", OTHER),
        connected.post(good, "shopify", "nobody"),
        connected.post(good, "shopify", "x" * 3000),
        connected.post(good, "woocommerce"),
        connected.post(good, "nothing"),
        connected.post(good, "y" * 3000),
        connected.post(Sent({"X-Shopify-Hmac-Sha256": "\u00e9\u00e9"}, b"{}"), "shopify"),
        connected.post(Sent({"X-Shopify-Hmac-Sha256": ""}, b""), "shopify"),
    ]
    assert {(answer.status, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert nothing_is_stored(connected.shop)
    assert connected.post(good, "shopify").status == 200


def test_a_replay_changes_nothing(connected: Connected) -> None:
    """Replays an order, a deletion that a restore followed, and the order's body with the topic of a deletion."""
    placed = signed("woocommerce", connected.secrets["woocommerce"], "order.updated", woo())
    trashed = signed("woocommerce", connected.secrets["woocommerce"], "order.deleted", {"id": 501}, delivery="d-2")
    connected.post(placed, "woocommerce")
    connected.post(trashed, "woocommerce")
    connected.shop.drain()
    assert connected.shop.ltv("ina@example.com") == {"EUR": "0.00"}
    restored = woo(date_modified_gmt="2026-06-01T00:10:00", total="90.00")
    connected.shop.clock.sleep(1200)
    connected.deliver("woocommerce", "order.restored", restored)
    for again in (placed, trashed, Sent(placed.headers | {"X-WC-Webhook-Topic": "order.deleted"}, placed.body)):
        assert connected.post(again, "woocommerce").status == 200
    connected.shop.drain()
    assert connected.shop.ltv("ina@example.com") == {"EUR": "90.00"}
    assert connected.rejected() == ["body must be the id of a deleted order, and nothing else"]
    # Another deletion is a new delivery and counts.
    connected.deliver("woocommerce", "order.deleted", {"id": 501}, delivery="d-9")
    connected.shop.drain()
    assert connected.shop.ltv("ina@example.com") == {"EUR": "0.00"}


def test_a_ping_is_answered_200_and_does_nothing(connected: Connected) -> None:
    ping = Sent({"Content-Type": "application/x-www-form-urlencoded"}, b"webhook_id=12")
    encoded = {"body": b64encode(ping.body).decode(), "isBase64Encoded": True}
    for path in ("woocommerce", "nothing"):
        assert connected.post(ping, path).status == 200
        answer = connected.shop.request("POST", f"/connect/{ACCOUNT}/{path}", key=None, raw=encoded)
        assert answer.status == 200
    assert nothing_is_stored(connected.shop)


def test_a_signature_is_over_the_bytes_as_they_were_sent(connected: Connected) -> None:
    order = woo()
    body = json.dumps(order, indent=1, ensure_ascii=False).replace("Ina", "In\u00e4").encode()
    sent = signed("woocommerce", connected.secrets["woocommerce"], "order.created", body)
    raw = {"body": b64encode(body).decode(), "isBase64Encoded": True}
    answer = connected.shop.request("POST", f"/connect/{ACCOUNT}/woocommerce", key=None, headers=sent.headers, raw=raw)
    assert (answer.status, len(answer.body["request_ids"])) == (200, 2)
    assert connected.post(sent, "woocommerce").status == 200


@pytest.mark.parametrize("platform", ["woocommerce", "shopify"])
def test_two_secrets_are_valid_while_one_is_rotated(connected: Connected, platform: str) -> None:
    shop, before = connected.shop, connected.secrets[platform]
    entered = "" if platform == "woocommerce" else "shpss_new"
    _, after = connected.connections.rotate(connected.connections.get(ACCOUNT, platform), entered, 24)
    assert after != before
    forget_warm_state()  # as after the minute for which a warm function caches a connection

    def status(secret: str) -> int:
        body, topic = (woo(), "order.updated") if platform == "woocommerce" else (shopify(), "orders/updated")
        return connected.post(signed(platform, secret, topic, body), platform).status

    assert (status(before), status(after)) == (200, 200)
    shop.clock.sleep(24 * 3600)
    forget_warm_state()
    assert (status(before), status(after)) == (401, 200)
    removed = connected.connections.remove(ACCOUNT, platform)
    forget_warm_state()
    assert (removed.platform, status(after)) == (platform, 401)
    names = [found["Name"] for found in clients.ssm().describe_parameters()["Parameters"]]
    assert not any(f"/{platform}/" in name for name in names)
    # For a new WooCommerce connection with that name, Tillbook generates another secret.
    _, again = connected.connections.create(ACCOUNT, platform, platform, entered=entered)
    assert again != after or platform == "shopify"


def test_a_connection_is_cached_for_a_minute(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    with connected.shop.faults.recorded() as calls:
        connected.deliver("shopify", "orders/create", shopify())
        connected.deliver("shopify", "orders/create", shopify())
        assert [name for name, _ in calls].count("GetParameter") == 1
        moment += CACHE_SECONDS + 1
        connected.deliver("shopify", "orders/create", shopify())
        assert [name for name, _ in calls].count("GetParameter") == 2


def test_secrets_are_stored_encrypted_and_nowhere_else(connected: Connected) -> None:
    described = clients.ssm().describe_parameters()["Parameters"]
    assert {found["Type"] for found in described} == {"SecureString"}
    assert len(described) == 2
    kept = json.dumps(connected.shop.items(settings().records_table), default=str)
    assert not any(secret in kept for secret in connected.secrets.values())


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"platform": "shopify", "name": "Shop!", "secret": "s"}, "name"),
        ({"platform": "magento", "name": "x", "secret": "s"}, "platform"),
        ({"platform": "shopify", "provider": "My", "secret": "s"}, "provider"),
        ({"platform": "shopify"}, "secret"),
        ({"platform": "shopify", "secret": "s" * 1001}, "secret"),
        ({"platform": "woocommerce", "secret": "mine"}, "secret"),
        ({"platform": "woocommerce", "colour": "red"}, "colour"),
        ({}, "platform"),
    ],
)
def test_invalid_connections_are_refused(asked: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        new_connection(asked)
    assert [error.field for error in refused.value.errors] == [field]


def test_the_name_of_a_connection_is_unique(connected: Connected) -> None:
    made = connected.connections
    with pytest.raises(Conflict):
        made.create(ACCOUNT, "woocommerce", "woocommerce")
    with pytest.raises(NotFound):
        made.get(ACCOUNT, "x")
    assert [one.name for one in made.of(ACCOUNT)] == ["shopify", "woocommerce"]


# ------------------------------------------------------------------- faults


def _throttle(operation: str) -> Callable[..., Any]:
    """An intercept that throttles all calls of an operation."""

    def intercept(_index: int, name: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if name == operation:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, name)
        return go()

    return intercept


@pytest.fixture
def good() -> Sent:
    return signed("shopify", SHOPIFY_SECRET, "orders/create", shopify())


@pytest.mark.parametrize("operation", ["GetItem", "GetParameter"])
def test_a_delivery_whose_connection_cannot_be_read_is_503(connected: Connected, good: Sent, operation: str) -> None:
    with connected.shop.faults.injected(_throttle(operation)):
        assert connected.post(good, "shopify").status == 503
    assert connected.post(good, "shopify").status == 200


def test_a_delivery_that_cannot_be_queued_is_503(connected: Connected, good: Sent) -> None:
    with connected.shop.faults.injected(_throttle("SendMessage")):
        assert connected.post(good, "shopify").status == 503
    assert nothing_is_stored(connected.shop)


def test_connections_of_one_name_in_two_accounts_have_different_ids(connected: Connected) -> None:
    theirs, _ = connected.connections.create(OTHER, "shopify", "shopify", entered="theirs")
    assert theirs.id != connected.connections.get(ACCOUNT, "shopify").id


def test_one_message_carries_a_delivery_and_no_address_in_clear(connected: Connected, good: Sent) -> None:
    connected.post(good, "shopify")
    (record,) = connected.shop.receive()
    assert "lea@example.com" not in record["body"]
    assert [order.body["action"] for order in decode(record["body"]).orders] == ["placed", "paid"]
