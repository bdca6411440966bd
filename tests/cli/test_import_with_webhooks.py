"""An order that is imported and sent by webhooks counts once, as the latest webhook says, in any order of arrival.

The shops and their webhooks are those of tests/webhooks, converted by the connectors. Exports show orders as one of the
webhooks showed them. `fold` of tillbook/rules/order.py computes the contributions.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.cli import exports
from tests.cli.importing import sent
from tests.webhooks import shops
from tillbook.contract.platforms import shopify, woocommerce
from tillbook.contract.platforms.deliveries import Delivery, Ignored
from tillbook.rules import times
from tillbook.rules.errors import Invalid
from tillbook.rules.json_text import loads
from tillbook.rules.order import Event, fold

CONNECTORS = {"shopify": shopify.events, "woocommerce": woocommerce.events}
Events = list[dict[str, Any]]


def converted(platform: str, topic: str, body: Any) -> Events:
    try:
        events, _notes = CONNECTORS[platform](Delivery(topic, "d", platform, loads(json.dumps(body))))
    except (Ignored, Invalid):
        return []
    return events


def _shopify_row(body: dict[str, Any]) -> dict[str, str]:
    refunded = sum((Decimal(t["amount"]) for r in body["refunds"] for t in r["transactions"]), Decimal(0))
    return {
        "Name": body["name"], "Id": str(body["id"]), "Email": body["email"], "Total": body["total_price"],
        "Financial Status": body["financial_status"], "Currency": body["currency"], "Refunded Amount": str(refunded),
        "Created at": body["created_at"].replace("T", " "), "Cancelled at": body["cancelled_at"] or "",
    }  # fmt: skip


def _woocommerce_row(body: dict[str, Any]) -> dict[str, str]:
    refunded = sum((-Decimal(refund["total"]) for refund in body["refunds"]), Decimal(0))
    return {
        "order_id": str(body["id"]), "order_number": body["number"], "date": body["date_created_gmt"],
        "status": body["status"], "order_total": body["total"], "refunded_total": str(refunded),
        "order_currency": body["currency"], "billing_email": body["billing"]["email"],
    }  # fmt: skip


EXPORTS = {
    "shopify": (exports.SHOPIFY, _shopify_row),
    "woocommerce": (exports.CUSTOMER_ORDER_EXPORT, _woocommerce_row),
}
SHOPS = {"shopify": shops.shopify, "woocommerce": shops.woocommerce}


def exported(folder: Path, platform: str, bodies: list[dict[str, Any]]) -> list[Events]:
    """One export for each of the webhooks' bodies, which shows the order as the webhook showed it."""
    columns, row = EXPORTS[platform]
    return [sent(folder, exports.text(columns, row(body))) for body in bodies]


def contributions(batches: list[Events]) -> dict[str, Decimal]:
    """The contribution of each order to lifetime value. `batches` are in the order of their receipt."""
    orders: dict[str, list[Event]] = {}
    for received, event in enumerate(event for batch in batches for event in batch):
        total, refund = event.get("grand_total"), event.get("refund_amount", 0)
        stamp = f"{times.parse_iso(event['occurred_at'])}{received:024d}"
        orders.setdefault(str(event["order_id"]), []).append(
            Event(stamp, event["action"], "p", None if total is None else Decimal(total), Decimal(refund))
        )
    return {order_id: fold(events).contribution for order_id, events in orders.items()}


@pytest.mark.parametrize("platform", SHOPS)
def test_webhooks_override_exports_in_any_order_of_arrival(tmp_path: Path, platform: str) -> None:
    seeds, orders = 60, 0
    for seed in range(seeds):
        history, random = SHOPS[platform](seed), Random(seed)
        genuine = [a for a in sorted(history.arrivals) if a.genuine]
        batches = [converted(platform, a.topic, a.body) for a in genuine]
        # A delivery for an order that was trashed or deleted has no time, and an export does not contain the order.
        dateless = {str(e["order_id"]) for batch in batches for e in batch if "occurred_at" not in e}
        batches = [[e for e in batch if str(e["order_id"]) not in dateless] for batch in batches]
        # Exports of up to three states of orders, each as one webhook with a total showed it.
        shown = [a.body for a, batch in zip(genuine, batches, strict=True) if any("grand_total" in e for e in batch)]
        imports = exported(tmp_path, platform, random.sample(shown, min(3, len(shown))))
        order_ids = contributions(batches).keys()
        for received in (
            [*imports, *batches],
            [*batches, *imports],
            random.sample([*batches, *imports], len(batches) + len(imports)),
        ):
            found = contributions(received)
            expected = contributions_of_webhooks(received, batches)
            assert {order_id: found[order_id] for order_id in order_ids} == expected, f"seed {seed}"
        orders += len(order_ids)
    assert orders > seeds


def contributions_of_webhooks(received: list[Events], batches: list[Events]) -> dict[str, Decimal]:
    """The contributions of the webhooks' `batches` alone, in their order in `received`, which also has imports."""
    own = {id(batch) for batch in batches}
    return contributions([batch for batch in received if id(batch) in own])


def test_a_refund_in_an_export_and_a_webhook_counts_once(tmp_path: Path) -> None:
    """An order of 100.00 with a refund of 30.00 counts 70.00, although export and webhook both report the refund."""
    sample = json.loads((Path(__file__).parents[1] / "platforms/samples/3-shopify-refund-retried.json").read_text())
    batches = [converted("shopify", d["headers"]["X-Shopify-Topic"], d["body"]) for d in sample["deliveries"]]
    row = {
        "Name": "#1001", "Id": "5001001", "Email": "lea@example.com", "Financial Status": "partially_refunded",
        "Currency": "USD", "Total": "100.00", "Refunded Amount": "30.00", "Created at": "2026-03-01 10:15:00 +0100",
    }  # fmt: skip
    export = sent(tmp_path, exports.text(exports.SHOPIFY, row))
    for received in ([export, *batches], [*batches, export], [*batches[::-1], export]):
        assert contributions(received) == {"5001001": Decimal("70.00")}
