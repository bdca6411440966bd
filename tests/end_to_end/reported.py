"""Files and orders with the columns and fields of real platforms, and with made-up values."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.cli import exports

_SHOP = {
    "Fulfillment Status": "fulfilled", "Accepts Marketing": "no", "Currency": "USD", "Shipping": "0.00",
    "Taxes": "0.00", "Discount Amount": "0.00", "Lineitem quantity": "1", "Lineitem name": "Mug - Blue",
    "Lineitem sku": "MUG-B", "Lineitem requires shipping": "true", "Lineitem taxable": "true",
    "Lineitem fulfillment status": "fulfilled", "Billing Name": "Ann Lee", "Billing Street": "12 Main St",
    "Billing Address1": "12 Main St", "Billing City": "Cambridge", "Billing Zip": "'02139", "Billing Province": "MA",
    "Billing Country": "US", "Shipping Name": "Ann Lee", "Shipping Address1": "12 Main St",
    "Shipping City": "Cambridge", "Shipping Zip": "'02139", "Shipping Province": "MA", "Shipping Country": "US",
    "Refunded Amount": "0.00", "Outstanding Balance": "0.00", "Risk Level": "Low", "Source": "web",
    "Lineitem discount": "0.00",
}  # fmt: skip

Worth = dict[str, tuple[str, str, int]]  # name of a person: (currency, LTV, number of orders)


def _shopify_row(number: int, email: str, status: str, total: str, **more: str) -> dict[str, str]:
    row = _SHOP | {
        "Name": f"#{number}", "Id": f"{5000 + number}", "Email": email, "Financial Status": status, "Subtotal": total,
        "Total": total, "Lineitem price": total, "Created at": "2026-01-17 15:50:00 -0500",
    }  # fmt: skip
    return row | {name.replace("_", " "): value for name, value in more.items()}


def _another_line(first: dict[str, str], name: str, price: str, quantity: str = "1") -> dict[str, str]:
    line = {name: first[name] for name in ("Name", "Email", "Created at")}
    return line | {
        "Lineitem quantity": quantity, "Lineitem name": name, "Lineitem price": price,
        "Lineitem requires shipping": "true", "Lineitem taxable": "true", "Lineitem fulfillment status": "fulfilled",
        "Vendor": "Acme", "Lineitem discount": "0.00",
    }  # fmt: skip


def shopify(email: Any) -> tuple[str, Worth]:
    """A Shopify export, and the expected results. `email`: returns the address of a name.

    One person has two orders, one of them with the address in capitals.
    """
    first = _shopify_row(1, email("sh1"), "paid", "35.00", Note_Attributes='gift: yes\nmessage: "Hi, Ann"')
    rows = [
        first, _another_line(first, "Tea; loose, 50 g", "5.00", "2"), _another_line(first, "Gift wrap", "2.50"),
        _shopify_row(2, email("sh2"), "partially_refunded", "100.00", Refunded_Amount="30.00"),
        _shopify_row(3, email("sh3"), "refunded", "20.00", Refunded_Amount="20.00"),
        _shopify_row(4, email("sh4"), "voided", "50.00", Cancelled_at="2026-01-18 09:00:00 -0500"),
        _shopify_row(5, email("sh5"), "paid", "0.00", Discount_Code="FREE100", Discount_Amount="25.00"),
        _shopify_row(6, email("sh6"), "paid", "1200", Created_at="2026-01-17 23:30:00 +0900", Currency="JPY"),
        _shopify_row(7, email("sh7"), "pending", "15.00", Outstanding_Balance="15.00"),
        _shopify_row(8, email("sh8"), "partially_paid", "80.00", Outstanding_Balance="60.00"),
        _shopify_row(9, email("sh1").upper(), "paid", "10.00"),
    ]  # fmt: skip
    # sh1 is 35 + 10, sh2 is 100 - 30.
    return exports.text(exports.SHOPIFY, *rows), {
        "sh1": ("USD", "45.00", 2), "sh2": ("USD", "70.00", 1), "sh3": ("USD", "0.00", 1), "sh4": ("USD", "0.00", 1),
        "sh5": ("USD", "0.00", 1), "sh6": ("JPY", "1200.00", 1), "sh7": ("USD", "15.00", 1), "sh8": ("USD", "80.00", 1),
    }  # fmt: skip


def shopify_phone_only() -> str:
    """A Shopify export of an order without an e-mail address."""
    row = {
        "Name": "#1050", "Financial Status": "pending", "Currency": "BDT", "Subtotal": "1400.00", "Shipping": "100.00",
        "Taxes": "0.00", "Total": "1500.00", "Created at": "2026-04-05 21:06:21 +0400", "Lineitem quantity": "1",
        "Lineitem name": "Vinegar", "Lineitem price": "1400.00", "Billing Name": "A Customer",
        "Billing Address1": "1 Lake Rd", "Billing City": "Dhaka", "Billing Zip": "-", "Billing Country": "BD",
        "Payment Method": "Cash on Delivery (COD)", "Refunded Amount": "0.00", "Id": "1050",
        "Phone": "+8801700000000", "Lineitem discount": "0.00",
    }  # fmt: skip
    return exports.text(exports.SHOPIFY, row)


STATUSES = {  # status: (total, amount that counts)
    "completed": ("105.00", "105.00"), "failed": ("40.00", "0"), "pending": ("30.00", "0"), "refunded": ("20.00", "0"),
    "cancelled": ("25.00", "0"), "on-hold": ("12.00", "12.00"), "checkout-draft": ("9.00", "0"),
}  # fmt: skip


def import_export_suite(email: Any) -> str:
    """An export of WooCommerce orders, one of each status, whose person has the name of the status."""
    rows = [
        {
            "order_id": str(100 + n), "order_number": str(100 + n), "order_date": "2026-01-17 20:50:00",
            "status": status, "shipping_total": "0", "tax_total": "0", "discount_total": "0", "order_total": total,
            "order_subtotal": total, "order_currency": "USD", "payment_method": "stripe", "customer_id": "0",
            "customer_email": email(status), "billing_first_name": "Ann", "billing_last_name": "Lee",
            "billing_email": email(status), "billing_address_1": "12 Main St", "billing_postcode": "12075",
            "billing_city": "Ghent", "billing_state": "NY", "billing_country": "US",
            "line_item_1": f"name:Mug|product_id:93|sku:MUG|quantity:1|total:{total}|sub_total:{total}",
        }
        for n, (status, (total, _)) in enumerate(STATUSES.items())
    ]  # fmt: skip
    return exports.text(exports.IMPORT_EXPORT_SUITE, *rows)


def advanced_order_export(email: Any) -> str:
    """An export of a completed order of "ao0", 105 less a refund of 25, and a failed order of "ao1"."""
    rows = [
        {
            "Order Number": str(160 + n), "Order Status": status, "Order Date": "2026-01-17 15:50",
            "First Name (Billing)": "Ann", "Last Name (Billing)": "Lee", "Address 1&2 (Billing)": "12 Main St",
            "City (Billing)": "Ghent", "State Code (Billing)": "NY", "Postcode (Billing)": "12075",
            "Country Code (Billing)": "US", "Email (Billing)": email(f"ao{n}"), "Order Refund Amount": refund,
            "Order Total Amount": total, "Order Total Tax Amount": "0", "Order Shipping Amount": "0", "SKU": "MUG",
            "Item #": "1", "Item Name": "Mug", "Quantity (- Refund)": "1", "Item Cost": total,
        }
        for n, (status, total, refund) in enumerate((("Completed", "105", "25"), ("Failed", "40", "0")))
    ]  # fmt: skip
    return exports.text(exports.ADVANCED_ORDER_EXPORT, *rows)


def shopify_webhook(email: str) -> dict[str, Any]:
    """The body of a webhook. Its order id depends on the address."""
    number = 820982911946154000 + int(hashlib.sha256(email.encode()).hexdigest()[:3], 16)
    street = {"first_name": "Ann", "last_name": "Lee", "address1": "12 Main St", "city": "Ghent", "zip": "12075"}
    place = {"province_code": "NY", "country": "United States", "country_code": "US", "company": None}
    return {
        "id": number, "admin_graphql_api_id": f"gid://shopify/Order/{number}", "name": "#9001", "number": 234,
        "order_number": 1234, "test": False, "email": email, "contact_email": email, "phone": None,
        "created_at": "2026-01-17T15:50:00-05:00", "updated_at": "2026-01-17T15:52:10-05:00",
        "processed_at": "2026-01-17T15:50:00-05:00", "cancelled_at": None, "closed_at": None, "currency": "USD",
        "presentment_currency": "EUR", "total_price": "58.50", "current_total_price": "58.50",
        "subtotal_price": "51.00", "total_tax": "2.50", "total_discounts": "5.00", "financial_status": "paid",
        "fulfillment_status": None, "taxes_included": False,
        "total_shipping_price_set": {"shop_money": {"amount": "5.00", "currency_code": "USD"}},
        "customer": {"id": 115310627314723954, "email": email, "first_name": "Ann", "orders_count": 1},
        "billing_address": street | place | {"address2": None, "province": "New York", "phone": None},
        "shipping_address": street | place | {"address2": "Apt 4"},
        "line_items": [
            {"id": 466157049, "product_id": 7513594, "variant_id": 4264112, "title": "IPod case",
             "name": "IPod case - green", "sku": "GRN", "price": "25.50", "quantity": 2, "total_discount": "5.00",
             "vendor": "Acme", "gift_card": False, "properties": []},
            {"id": 466157050, "product_id": None, "variant_id": None, "title": "Gift wrap", "name": "Gift wrap",
             "sku": None, "price": "5.00", "quantity": 1, "total_discount": "0.00", "vendor": None,
             "gift_card": False, "properties": []},
        ],
        "refunds": [],
    }  # fmt: skip


def magento_order(email: str) -> dict[str, Any]:
    address = {
        "address_type": "billing", "firstname": "Ann", "lastname": "Lee", "street": ["12 Rue Neuve", "Bte 4"],
        "city": "Bruxelles", "postcode": "1000", "region": None, "country_id": "BE", "telephone": "555", "email": email,
    }  # fmt: skip
    items = [
        {"item_id": 1, "product_id": 12, "sku": "JKT-L", "name": "Jacket", "product_type": "configurable",
         "price": 30.8333, "qty_ordered": 3, "row_total": 92.5, "discount_amount": 10},
        {"item_id": 2, "parent_item_id": 1, "product_id": 13, "sku": "JKT-L", "name": "Jacket L",
         "product_type": "simple", "price": 0, "qty_ordered": 3, "row_total": 0},
    ]  # fmt: skip
    return {
        "entity_id": 349, "increment_id": "000000349", "state": "complete", "status": "complete", "store_id": 1,
        "customer_is_guest": 1, "customer_id": None, "customer_email": email, "created_at": "2026-01-17 20:50:00",
        "updated_at": "2026-01-18 09:00:00", "order_currency_code": "EUR", "base_currency_code": "USD",
        "grand_total": 104.99999999999999, "base_grand_total": 113.4, "total_refunded": 24.99, "total_paid": 105,
        "subtotal": 92.5, "tax_amount": 7.5, "shipping_amount": 5, "discount_amount": -10, "total_qty_ordered": 3,
        "billing_address": address, "items": items,
    }  # fmt: skip


def bigcommerce_order(email: str) -> dict[str, Any]:
    return {
        "id": 712, "customer_id": 0, "date_created": "Sat, 17 Jan 2026 20:50:00 +0000",
        "date_modified": "Sun, 18 Jan 2026 09:00:00 +0000", "date_shipped": "", "status_id": 11,
        "status": "Awaiting Fulfillment", "subtotal_inc_tax": "79.0000", "total_ex_tax": "79.0000",
        "total_inc_tax": "84.0000", "total_tax": "5.0000", "shipping_cost_inc_tax": "0.0000",
        "discount_amount": "0.0000", "coupon_discount": "0.0000", "refunded_amount": "0.0000",
        "currency_code": "USD", "default_currency_code": "USD", "payment_method": "cash", "ip_address": "192.0.2.1",
        "billing_address": {
            "first_name": "Ann", "last_name": "Lee", "company": "", "street_1": "12 Main St", "street_2": "",
            "city": "Ghent", "state": "New York", "zip": "12075", "country": "United States", "country_iso2": "US",
            "phone": "", "email": email,
        },
    }  # fmt: skip
