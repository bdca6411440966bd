"""Sends webhooks of both platforms to the functions, and reads what they stored."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

from tests.handlers.shop import ACCOUNT, Answer, Shop
from tests.platforms.sender import SHOPIFY_SECRET, Sent, sample, signed
from tillbook.aws import clients
from tillbook.aws.secrets import Secrets
from tillbook.aws.settings import settings
from tillbook.records.connections import Connections

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def connections() -> Connections:
    return Connections(clients.dynamodb(), settings().records_table, Secrets(clients.ssm(), settings().stack_name))


class Connected:
    """A shop with both platforms connected."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.connections = shop, connections()
        _, woocommerce = self.connections.create(ACCOUNT, "woocommerce", "woocommerce")
        self.connections.create(ACCOUNT, "shopify", "shopify", entered=SHOPIFY_SECRET)
        self.secrets = {"woocommerce": woocommerce, "shopify": SHOPIFY_SECRET}

    def post(self, sent: Sent, connection: str, account: str = ACCOUNT) -> Answer:
        """Posts a webhook as API Gateway passes it on, which encodes a body that is not UTF-8 in base64."""
        raw: dict[str, Any]
        try:
            raw = {"body": sent.body.decode()}
        except UnicodeDecodeError:
            raw = {"body": b64encode(sent.body).decode(), "isBase64Encoded": True}
        path = f"/connect/{account}/{connection}"
        return self.shop.request("POST", path, key=None, headers=sent.headers, raw=raw)

    def deliver(self, platform: str, topic: str, body: Any, **options: Any) -> Answer:
        """Signs and posts a webhook."""
        return self.post(signed(platform, self.secrets[platform], topic, body, **options), platform)

    def play(self, name: str, platform: str, *, backwards: bool = False) -> list[Answer]:
        """Posts the webhooks of sample number `name` one by one, and processes each before the next."""
        sent = sample(name, self.secrets[platform])
        answers = []
        for one in sent[::-1] if backwards else sent:
            answers.append(self.post(one, platform))
            self.shop.drain()
        return answers

    def rejected(self) -> list[str]:
        """The reasons of rejected requests."""
        rows = self.shop.get("/v1/transactions", query={"status": "rejected"}).body["transactions"]
        return [row["reason"] for row in rows]

    def customers(self, *emails: str) -> list[bool]:
        """Whether each e-mail address belongs to a customer."""
        asked = {"people": [{"email": email} for email in emails]}
        results = self.shop.request("POST", "/v1/audience/customers-shopper-activity/match", asked).body["results"]
        return [result["customer"] for result in results]

    def members(self) -> list[tuple[str, str]]:
        """(order id, kind) of each member of the v3 audience, sorted."""
        found = self.shop.get("/v1/audience/customers-shopper-activity").body["members"]
        return sorted((member["order_id"], member["kind"]) for member in found)

    def orders(self, email: str) -> dict[str, str]:
        """The contribution of each order to the person's lifetime value, by order id."""
        found = self.shop.get(f"/v3/{ACCOUNT}/people/{email}/orders").body["orders"]
        return {order["order_id"]: order["lifetime_value"] for order in found}


def woo(order_id: int = 501, status: str = "processing", total: str = "85.00", **more: Any) -> dict[str, Any]:
    """An order as WooCommerce sends it."""
    return {
        "id": order_id, "number": str(order_id), "status": status, "currency": "EUR", "total": total,
        "date_created_gmt": "2026-03-01T09:15:00", "date_modified_gmt": "2026-03-01T09:16:10", "customer_id": 0,
        "billing": {"first_name": "Ina", "address_1": "Hauptstr. 1", "postcode": "10115", "country": "DE",
                    "email": "ina@example.com"},
        "shipping": {"country": "DE"}, "line_items": [], "refunds": [],
    } | more  # fmt: skip


def shopify(order_id: int = 5001, paid: str = "paid", total: str = "100.00", **more: Any) -> dict[str, Any]:
    """An order as Shopify sends it."""
    return {
        "id": order_id, "name": f"#{order_id}", "email": "lea@example.com", "currency": "USD", "total_price": total,
        "current_total_price": total, "financial_status": paid, "fulfillment_status": None, "test": False,
        "created_at": "2026-03-01T04:15:00-05:00", "updated_at": "2026-03-01T04:15:02-05:00", "cancelled_at": None,
        "line_items": [], "refunds": [],
    } | more  # fmt: skip


def nothing_is_stored(shop: Shop) -> bool:
    """Whether no message, ledger item, outcome or count of rejections is stored."""
    records = [item["pk"] for item in shop.items(settings().records_table)]
    noted = [pk for pk in records if "/t/" in pk or "/x/" in pk or pk.endswith("/l")]
    return not shop.receive() and not shop.items(settings().ledger_table) and not noted
