"""drip-python 0.3.1, unmodified except for its base URL. It sends gzip and the fields `page` and `per_page`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
import requests
from drip import Client
from drip.utils import DripApiError

from tests.end_to_end.shop import Shop

pytestmark = pytest.mark.stack


def client_of(shop: Shop, key: str) -> Any:
    # The client mounts its gzip adapter on `api_domain` when it is constructed.
    local_client = type("Client", (Client,), {"api_domain": shop.stack.url})
    return local_client(key, int(shop.account))


@pytest.fixture
def client(shop: Shop) -> Any:
    """A client with a key that may send and read."""
    return client_of(shop, shop.admin_key)


ITEM = {"product_id": "B01J4SWO1G", "name": "The Coolest Water Bottle", "price": 11.16, "quantity": 2}


def test_the_installed_version_is_the_documented_one() -> None:
    assert version("drip-python") == "0.3.1"


def test_an_order_and_a_refund_change_the_lifetime_value(shop: Shop, client: Any) -> None:
    email = shop.email("py+thon")
    fields = {"grand_total": 22.99, "currency": "usd", "items": [ITEM], "occurred_at": "2019-01-17T20:50:00Z"}
    request_id = client.order("my_shop", email, "placed", "P-1", **fields)
    assert shop.outcome(request_id)["status"] == "applied"
    assert client.subscriber(email)["lifetime_value"] == 2299

    refund = client.order("my_shop", email, "refunded", "P-1", refund_amount="22.99")
    assert shop.outcome(refund)["status"] == "applied"
    subscriber = client.subscriber(email)
    assert subscriber["lifetime_value"] == 0
    assert subscriber["email"] == email
    assert client.subscriber(subscriber["id"])["id"] == subscriber["id"]

    refunded, placed = shop.activity(email)
    assert [refunded["name"], placed["name"]] == ["Refunded an order", "Placed an order"]
    # The client adds these two fields itself. They are kept as custom attributes.
    assert placed["properties"] == refunded["properties"] == {"page": 1, "per_page": 1000}
    assert placed["order"]["items"][0]["price"] == "11.16"


def test_a_repeated_event_changes_nothing(shop: Shop, client: Any) -> None:
    email = shop.email("again")
    sent = {"grand_total": 5, "occurred_at": "2019-01-17T20:50:00Z"}
    ids = [client.order("my_shop", email, "placed", "P-2", **sent) for _ in range(2)]
    assert sorted(shop.outcomes(ids)) == ["applied", "duplicate"]
    assert client.subscriber(email)["lifetime_value"] == 500


def test_an_invalid_order_raises_an_error_with_every_fault(shop: Shop, client: Any) -> None:
    with pytest.raises(DripApiError) as raised:
        client.order("my_shop", shop.email("bad"), "bought", "P-3", grand_total="much")
    assert [(error["code"], error["attribute"]) for error in raised.value.errors] == [
        ("format_error", "action"),
        ("format_error", "grand_total"),
    ]
    assert "format_error: Action must be one of" in str(raised.value)


def test_an_unknown_key_raises_an_authentication_error(shop: Shop) -> None:
    with pytest.raises(DripApiError) as raised:
        client_of(shop, "unknown").order("my_shop", shop.email("key"), "placed", "P-4")
    assert [error["code"] for error in raised.value.errors] == ["authentication_error"]


def test_a_valid_batch_is_applied_and_one_with_an_invalid_order_is_refused(shop: Shop, client: Any) -> None:
    email = shop.email("batch")
    orders = [
        {"provider": "my_shop", "email": email, "action": "placed", "order_id": f"P-{n}", "grand_total": 0.1}
        for n in range(3)
    ]
    assert client.orders(orders) is True
    shop.settled(len(orders))
    assert client.subscriber(email)["lifetime_value"] == 30  # cents: 3 orders of 0.10
    with pytest.raises(requests.HTTPError) as raised:
        client.orders([*orders, {"email": email}])
    # The client raises the error without the response; its text names the status.
    assert raised.value.response is None
    assert "422" in str(raised.value)
