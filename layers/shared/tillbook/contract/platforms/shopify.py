"""Order webhooks of Shopify (topics `orders/*`, JSON of its REST shape), as v3 events.

Each topic except `orders/edited` and `orders/delete` carries the whole order as it was at the time of the event.
Retries repeat it unchanged for hours. Deliveries are sorted by the order's `updated_at`, which is signed.
Amounts are in the shop's currency; those shown to the buyer (`presentment_…`) may be in another.
Sources: shopify.dev, "Webhooks"; Shopify/shopify-api-ruby; shopify.dev, Order and Refund of the Admin API.
"""

from __future__ import annotations

from decimal import Decimal

from tillbook.contract import fields
from tillbook.contract.platforms.deliveries import (
    Delivery,
    Ignored,
    Many,
    Part,
    Refund,
    Words,
    address,
    checked,
    no_email,
    order_events,
    voided,
    without_blanks,
)
from tillbook.contract.platforms.statuses import left_of, meaning_of
from tillbook.contract.validation import Context, validated
from tillbook.rules.amounts import ZERO
from tillbook.rules.errors import FieldError, Invalid
from tillbook.rules.json_text import Json

_PLATFORM = "shopify"
_ESSENTIAL = frozenset({
    "id", "test", "financial_status", "fulfillment_status", "currency", "total_price", "current_total_price", "refunds",
    "created_at", "updated_at", "cancelled_at", "",
})  # fmt: skip


class Address(Part):
    first_name: Words = ""
    last_name: Words = ""
    company: Words = ""
    address1: Words = ""
    address2: Words = ""
    city: Words = ""
    province_code: Words = ""
    province: Words = ""
    zip: Words = ""
    country_code: Words = ""
    country: Words = ""

    def shown(self) -> dict[str, Json] | None:
        return address([
            self.first_name, self.last_name, self.company, self.address1, self.address2, self.city,
            self.province_code or self.province, self.zip, self.country_code or self.country,
        ])  # fmt: skip


class Money(Part):
    amount: fields.Amount = None
    currency_code: fields.Currency = None


class MoneySet(Part):
    shop_money: Money = Money()


class Line(Part):
    id: Words = ""
    product_id: Words = ""
    variant_id: Words = ""
    sku: Words = ""
    name: Words = ""
    vendor: Words = ""
    price: fields.Amount = None
    quantity: fields.Amount = None
    gift_card: bool | None = None
    discount_allocations: Many[Money] = ()

    def shown(self) -> dict[str, Json]:
        """The line as an item of a v3 event. A line that was entered by hand has no product id."""
        product = self.product_id or self.sku or f"line-{self.id}"
        discount = sum((part.amount or ZERO for part in self.discount_allocations), ZERO)
        return without_blanks(
            {
                "product_id": product,
                "product_variant_id": self.variant_id,
                "sku": self.sku,
                "brand": self.vendor,
                "name": self.name or product,
                "quantity": self.quantity,
                "discount": discount or None,
                "gift_card": self.gift_card or None,
            }
        ) | {"price": self.price or ZERO}


class Transaction(Part):
    kind: Words = ""
    status: Words = ""
    amount: fields.Amount = None
    currency: fields.Currency = None
    amount_set: MoneySet | None = None

    def given_back(self, currency: str | None) -> Decimal:
        """The refunded amount in the shop's currency; 0 if this is not a successful refund.

        It is also 0 if the amount is known only in the buyer's currency: then only the order's current total can show
        the refund (_total_and_refunded).
        """
        if self.kind != "refund" or self.status != "success":
            return ZERO
        if self.amount_set and self.amount_set.shop_money.amount is not None:
            return self.amount_set.shop_money.amount
        return self.amount or ZERO if self.currency in (None, currency) else ZERO


class OrderRefund(Part):
    id: Words = ""
    created_at: fields.RequiredMoment
    transactions: Many[Transaction] = ()


class DiscountCode(Part):
    code: Words = ""


class Customer(Part):
    email: Words = ""


class Order(Part):
    id: fields.OrderId
    name: Words = ""
    test: bool | None = None
    email: Words = ""
    contact_email: Words = ""
    customer: Customer | None = None
    financial_status: Words = ""
    fulfillment_status: Words = ""
    created_at: fields.RequiredMoment
    updated_at: fields.RequiredMoment
    cancelled_at: fields.Moment = None
    currency: fields.Currency = None
    total_price: fields.RequiredAmount
    current_total_price: fields.Amount = None
    total_tax: fields.Amount = None
    total_discounts: fields.Amount = None
    total_shipping_price_set: MoneySet | None = None
    taxes_included: bool | None = None
    source_name: Words = ""
    billing_address: Address | None = None
    shipping_address: Address | None = None
    discount_codes: Many[DiscountCode] = ()
    line_items: Many[Line] = ()
    refunds: Many[OrderRefund] = ()


class Deleted(Part):
    id: fields.OrderId


def events(delivery: Delivery) -> tuple[list[dict[str, Json]], list[str]]:
    """(the v3 events of a delivery, notes). Raises Ignored, and Invalid if the payload is no order or has no e-mail."""
    payload = delivery.payload
    if delivery.topic == "orders/delete":
        if not isinstance(payload, dict) or payload.keys() != {"id"}:
            raise Invalid([FieldError("", "format_error", "must be the id of a deleted order, and nothing else")])
        return voided(delivery, validated(Deleted, payload, Context([])).id), []
    if not delivery.topic.startswith("orders/") or delivery.topic == "orders/edited":
        raise Ignored("another topic")
    order, left_out, notes = checked(Order, payload, _ESSENTIAL)
    if order.test:
        raise Ignored("a test order")
    email = order.email or order.contact_email or (order.customer.email if order.customer else "")
    if not email:
        raise no_email("email", " (Shopify withholds it from apps without access to protected customer data)")
    refunds = [
        Refund(refund.id, refund.created_at, sum((t.given_back(order.currency) for t in refund.transactions), ZERO))
        for refund in order.refunds
    ]
    meaning = meaning_of(_PLATFORM, order.financial_status, canceled=order.cancelled_at is not None)
    left = left_of(meaning, *_total_and_refunded(order, refunds))
    shipping = order.total_shipping_price_set
    state = {
        "provider": delivery.provider,
        "order_id": order.id,
        "order_public_id": order.name,
        "email": email,
        "currency": order.currency,
        "action": _action(order, meaning, left),
        "gross_total": order.total_price,
        "total_taxes": order.total_tax,
        "total_discounts": order.total_discounts,
        "total_shipping": shipping.shop_money.amount if shipping else None,
        "taxes_included": order.taxes_included,
        "source_name": order.source_name,
        "promo_code": ",".join(discount.code for discount in order.discount_codes if discount.code),
        "items": [line.shown() for line in order.line_items],
        "billing_address": order.billing_address.shown() if order.billing_address else None,
        "shipping_address": order.shipping_address.shown() if order.shipping_address else None,
        "left_out": left_out,
    }
    return order_events(
        state,
        created=order.created_at,
        modified=order.updated_at,
        left=left,
        refunds=[refund for refund in refunds if refund.amount],
        canceled=order.cancelled_at or "",
    ), notes


def _total_and_refunded(order: Order, refunds: list[Refund]) -> tuple[Decimal, Decimal]:
    """(total, refunded). `refunded` is the sum of refunds or, if that is more, the total less the current total.

    Removing an unpaid line lowers the current total without a refund. Shopify does not document whether a refund
    without lines lowers the current total; the larger of the two amounts is right in both cases.
    """
    refunded = sum((refund.amount for refund in refunds), ZERO)
    current = order.total_price if order.current_total_price is None else order.current_total_price
    return order.total_price, max(refunded, order.total_price - current)


def _action(order: Order, meaning: str, left: Decimal) -> str:
    if order.refunds or not left:
        return "updated"
    if order.fulfillment_status == "fulfilled":
        return "fulfilled"
    return "paid" if meaning == "paid" else "updated"
