"""Order webhooks of WooCommerce (topics `order.*`, payloads of its REST API v3), as v3 events.

The payload is built at delivery, so a late delivery carries the newer state. It does not have the times of
refunds. `order.deleted` is sent when an order is moved to the trash, and has only its id. If the user of a webhook is
no longer allowed to read orders, the webhook delivers a signed error instead of an order.
Sources: woocommerce/woocommerce, class-wc-webhook.php and class-wc-rest-orders-v2-controller.php.
"""

from __future__ import annotations

import re
from decimal import Decimal

from tillbook.contract import fields
from tillbook.contract.platforms.deliveries import (
    Delivery,
    Ignored,
    Many,
    Part,
    Words,
    address,
    checked,
    no_email,
    order_events,
    voided,
    without_blanks,
)
from tillbook.contract.platforms.statuses import left_of, meaning_of, words_of
from tillbook.contract.validation import Context, validated
from tillbook.rules.amounts import ZERO
from tillbook.rules.errors import FieldError, Invalid
from tillbook.rules.json_text import Json

TOPICS = ("order.created", "order.updated", "order.restored")
_PLATFORM = "woocommerce"
_ERROR = re.compile("(woocommerce|rest)_[a-z_]{1,60}")
_REMEDY = "the webhook needs a user who may read orders"
_DRAFTS = frozenset({"auto draft", "checkout draft", "draft", "new"})
_ESSENTIAL = frozenset({
    "id", "status", "currency", "total", "refunds", "date_created_gmt", "date_modified_gmt", "billing", "",
})  # fmt: skip


class Address(Part):
    first_name: Words = ""
    last_name: Words = ""
    company: Words = ""
    address_1: Words = ""
    address_2: Words = ""
    city: Words = ""
    state: Words = ""
    postcode: Words = ""
    country: Words = ""

    def shown(self) -> dict[str, Json] | None:
        return address([
            self.first_name, self.last_name, self.company, self.address_1, self.address_2, self.city, self.state,
            self.postcode, self.country,
        ])  # fmt: skip


class Billing(Address):
    email: Words = ""


class Line(Part):
    id: Words = ""
    name: Words = ""
    product_id: Words = ""
    variation_id: Words = ""
    sku: Words = ""
    quantity: fields.Amount = None
    total: fields.Amount = None
    total_tax: fields.Amount = None

    def shown(self) -> dict[str, Json]:
        """The line as an item of a v3 event. Its price is computed, since WooCommerce sends the price as a float.

        A line that was entered by hand has the product id 0.
        """
        quantity, total = Decimal(1) if self.quantity is None else self.quantity, self.total or ZERO
        product = _id(self.product_id) or self.sku or f"line-{self.id}"
        line = without_blanks(
            {
                "product_id": product,
                "product_variant_id": _id(self.variation_id),
                "sku": self.sku,
                "name": self.name or product,
                "taxes": self.total_tax,
                "total": self.total,
            }
        )
        return line | {"price": round(total / quantity, 4) if quantity else ZERO, "quantity": quantity}


class Amount(Part):
    """A fee or a refund. The total of a refund is negative."""

    total: fields.RequiredAmount


class Coupon(Part):
    code: Words = ""


class Order(Part):
    id: fields.OrderId
    number: Words = ""
    status: fields.RequiredLine
    currency: fields.Currency = None
    total: fields.RequiredAmount
    total_tax: fields.Amount = None
    shipping_total: fields.Amount = None
    discount_total: fields.Amount = None
    date_created_gmt: fields.RequiredMoment
    date_modified_gmt: fields.Moment  # may be null; older API versions lack it, and are refused
    billing: Billing
    shipping: Address = Address()
    line_items: Many[Line] = ()
    fee_lines: Many[Amount] = ()
    coupon_lines: Many[Coupon] = ()
    refunds: Many[Amount] = ()


class Deleted(Part):
    id: fields.OrderId


def events(delivery: Delivery) -> tuple[list[dict[str, Json]], list[str]]:
    """(the v3 events of a delivery, notes). Raises Ignored, and Invalid if the payload is no order or has no e-mail."""
    payload = delivery.payload
    if delivery.topic == "order.deleted":
        if not isinstance(payload, dict) or payload.keys() != {"id"}:
            raise Invalid([FieldError("", "format_error", "must be the id of a deleted order, and nothing else")])
        return voided(delivery, validated(Deleted, payload, Context([])).id, repeats=True), []
    if delivery.topic not in TOPICS:
        raise Ignored("another topic")
    if isinstance(payload, dict) and _ERROR.fullmatch(str(payload.get("code", ""))):
        raise Invalid(
            [FieldError("", "format_error", f"is WooCommerce's error {payload['code']} instead of an order: {_REMEDY}")]
        )
    order, left_out, notes = checked(Order, payload, _ESSENTIAL)
    meaning = meaning_of(_PLATFORM, order.status)
    status = words_of(order.status)
    modified = order.date_modified_gmt or order.date_created_gmt
    if status in _DRAFTS:
        raise Ignored("a draft")
    if meaning == "skip" or status in ("failed", "trash"):
        return voided(delivery, order.id, modified), notes
    if not order.billing.email:
        raise no_email("billing.email", "")
    refunded = sum((abs(refund.total) for refund in order.refunds), ZERO)
    state = {
        "provider": delivery.provider,
        "order_id": order.id,
        "order_public_id": order.number,
        "email": order.billing.email,
        "currency": order.currency,
        "action": meaning if meaning in ("paid", "fulfilled") and not refunded else "updated",
        "gross_total": order.total,
        "total_taxes": order.total_tax,
        "total_fees": sum((max(fee.total, ZERO) for fee in order.fee_lines), ZERO) or None,
        "total_shipping": order.shipping_total,
        "total_discounts": order.discount_total,
        "promo_code": ",".join(coupon.code for coupon in order.coupon_lines if coupon.code),
        "items": [line.shown() for line in order.line_items],
        "billing_address": order.billing.shown(),
        "shipping_address": order.shipping.shown(),
        "left_out": left_out,
    }
    left = left_of(meaning, order.total, refunded)
    canceled = modified if status in ("cancelled", "canceled") else ""
    return order_events(state, created=order.date_created_gmt, modified=modified, left=left, canceled=canceled), notes


def _id(value: str) -> str:
    return "" if value == "0" else value
