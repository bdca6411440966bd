"""Files in the formats that platforms export, with real columns and invented values.

The columns of Shopify, WooCommerce's plugins and Magento's grid are from public repositories and manuals of 2026.
"""

from __future__ import annotations

import csv
import hashlib
import io


def _columns(header: str) -> list[str]:
    return header.split(",")


SHOPIFY = _columns(
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,Shipping,"
    "Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,"
    "Lineitem price,Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,"
    "Lineitem fulfillment status,Billing Name,Billing Street,Billing Address1,Billing Address2,Billing Company,"
    "Billing City,Billing Zip,Billing Province,Billing Country,Billing Phone,Shipping Name,Shipping Street,"
    "Shipping Address1,Shipping Address2,Shipping Company,Shipping City,Shipping Zip,Shipping Province,"
    "Shipping Country,Shipping Phone,Notes,Note Attributes,Cancelled at,Payment Method,Payment Reference,"
    "Refunded Amount,Vendor,Outstanding Balance,Employee,Location,Device ID,Id,Tags,Risk Level,Source,"
    "Lineitem discount,Tax 1 Name,Tax 1 Value,Tax 2 Name,Tax 2 Value,Tax 3 Name,Tax 3 Value,Tax 4 Name,Tax 4 Value,"
    "Tax 5 Name,Tax 5 Value,Phone,Receipt Number,Duties,Billing Province Name,Shipping Province Name,Payment ID,"
    "Payment Terms Name,Next Payment Due At,Payment References"
)
ADVANCED_ORDER_EXPORT = _columns(
    "Order Number,Order Status,Order Date,Customer Note,First Name (Billing),Last Name (Billing),Company (Billing),"
    "Address 1&2 (Billing),City (Billing),State Code (Billing),Postcode (Billing),Country Code (Billing),"
    "Email (Billing),Phone (Billing),First Name (Shipping),Last Name (Shipping),Address 1&2 (Shipping),"
    "City (Shipping),State Code (Shipping),Postcode (Shipping),Country Code (Shipping),Payment Method Title,"
    "Cart Discount Amount,Order Subtotal Amount,Shipping Method Title,Order Shipping Amount,Order Refund Amount,"
    "Order Total Amount,Order Total Tax Amount,SKU,Item #,Item Name,Quantity (- Refund),Item Cost,Coupon Code,"
    "Discount Amount,Discount Amount Tax"
)
CUSTOMER_ORDER_EXPORT = _columns(
    "order_id,order_number,order_number_formatted,date,status,shipping_total,shipping_tax_total,fee_total,"
    "fee_tax_total,tax_total,discount_total,order_total,refunded_total,order_currency,payment_method,shipping_method,"
    "customer_id,billing_first_name,billing_last_name,billing_company,billing_email,billing_phone,billing_address_1,"
    "billing_address_2,billing_postcode,billing_city,billing_state,billing_country,shipping_first_name,"
    "shipping_last_name,shipping_address_1,shipping_address_2,shipping_postcode,shipping_city,shipping_state,"
    "shipping_country,shipping_company,customer_note,line_items,shipping_items,fee_items,tax_items,coupon_items,"
    "refunds,order_notes,download_permissions"
)
IMPORT_EXPORT_SUITE = _columns(
    "order_id,order_number,order_date,paid_date,status,shipping_total,shipping_tax_total,fee_total,fee_tax_total,"
    "tax_total,cart_discount,order_discount,discount_total,order_total,order_subtotal,order_currency,payment_method,"
    "payment_method_title,transaction_id,customer_ip_address,customer_user_agent,shipping_method,customer_id,"
    "customer_user,customer_email,billing_first_name,billing_last_name,billing_company,billing_email,billing_phone,"
    "billing_address_1,billing_address_2,billing_postcode,billing_city,billing_state,billing_country,"
    "shipping_first_name,shipping_last_name,shipping_company,shipping_phone,shipping_address_1,shipping_address_2,"
    "shipping_postcode,shipping_city,shipping_state,shipping_country,customer_note,wt_import_key,shipping_items,"
    "fee_items,tax_items,coupon_items,refund_items,order_notes,download_permissions,line_item_1,line_item_2"
)
ANALYTICS = _columns(
    "Date,Order #,N. Revenue (formatted),Status,Customer,Customer type,Product(s),Items sold,Coupon(s),Net Sales,"
    "Attribution"
)
MAGENTO = _columns(
    "ID,Purchase Point,Purchase Date,Bill-to Name,Ship-to Name,Grand Total (Base),Grand Total (Purchased),Status,"
    "Billing Address,Shipping Address,Shipping Information,Customer Email,Customer Group,Subtotal,"
    "Shipping and Handling,Customer Name,Payment Method,Total Refunded"
)
POPLAR = _columns(
    "order_id,order_date,order_amount,customer_id,billing_name,billing_address_1,billing_address_2,billing_city,"
    "billing_state,billing_postal_code,shipping_name,shipping_address_1,shipping_address_2,shipping_city,"
    "shipping_state,shipping_postal_code,email,hashed_email"
)


def text(columns: list[str], *rows: dict[str, str]) -> str:
    """The rows as CSV. Columns without a value are empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _shopify(number: int, status: str, total: str, refunded: str = "0.00", **more: str) -> dict[str, str]:
    """A row of an order. `more` has other columns, with `_` for each space of their names."""
    return {
        "Name": f"#{number}", "Id": f"5550{number}", "Email": "bob@x.example", "Financial Status": status,
        "Currency": "USD", "Subtotal": total, "Taxes": "0.00", "Total": total, "Discount Amount": "0.00",
        "Created at": "2024-01-05 10:22:33 -0500", "Lineitem quantity": "1", "Lineitem name": "Cup, blue",
        "Lineitem price": total, "Lineitem sku": "C-1", "Lineitem discount": "0.00", "Refunded Amount": refunded,
        "Outstanding Balance": "0.00", "Source": "web",
        **{name.replace("_", " "): value for name, value in more.items()},
    }  # fmt: skip


def shopify() -> str:
    first = _shopify(
        1, "paid", "105.00", Email="ann@x.example", Lineitem_price="60.00", Taxes="5.00", Discount_Code="MAY",
        Billing_Name="Ann Lee", Billing_Address1="1 Main St", Billing_Zip="'01234", Billing_Country="US",
        Note_Attributes='gift: yes\nmessage: "Hi"',
    )  # fmt: skip
    second_line = {
        "Name": "#1", "Email": "ann@x.example", "Lineitem quantity": "2", "Lineitem name": "Plate",
        "Lineitem price": "20.00",
    }  # fmt: skip
    canceled = "2024-01-09 10:00:00 -0500"
    return text(
        SHOPIFY, first, second_line,
        _shopify(2, "partially_refunded", "50.00", "20.00"),
        _shopify(3, "voided", "50.00"),
        _shopify(4, "refunded", "50.00", "50.00", Cancelled_at=canceled),
        _shopify(5, "pending", "50.00", Cancelled_at=canceled),
        _shopify(6, "paid", "50.00", Cancelled_at=canceled),
        _shopify(7, "partially_paid", "80.00"),
        _shopify(8, "refunded", "50.00"),
    )  # fmt: skip


# The contribution of each order of `shopify` to lifetime value, by order id.
SHOPIFY_CONTRIBUTIONS = {
    "55501": "105.00", "55502": "30.00", "55503": "0.00", "55504": "0.00", "55505": "0.00", "55506": "50.00",
    "55507": "80.00", "55508": "0.00",
}  # fmt: skip


def advanced_order_export() -> str:
    def row(number: int, status: str, total: str, refunded: str = "0", **item: str) -> dict[str, str]:
        return {
            "Order Number": str(number), "Order Status": status, "Order Date": "2026-03-01 10:15",
            "First Name (Billing)": "Ada", "Last Name (Billing)": "Muster", "Address 1&2 (Billing)": "Hauptstr. 1",
            "City (Billing)": "Berlin", "Postcode (Billing)": "10115", "Country Code (Billing)": "DE",
            "Email (Billing)": "ada@x.example", "Order Refund Amount": refunded, "Order Total Amount": total,
            "SKU": "MUG", "Item #": "1", "Item Name": "Mug", "Quantity (- Refund)": "2", "Item Cost": "40",
        } | {name.replace("_", " "): value for name, value in item.items()}  # fmt: skip

    return text(
        ADVANCED_ORDER_EXPORT,
        row(1201, "Completed", "85", "20"),
        row(1201, "Completed", "85", "20", SKU="", Item_Name="Engraving", Item_Cost="0"),
        row(1202, "Pending payment", "15"), row(1203, "Failed", "40"), row(1204, "On hold", "12"),
    )  # fmt: skip


def customer_order_export() -> str:
    def row(number: int, status: str, total: str, refunded: str, **more: str) -> dict[str, str]:
        return {
            "order_id": str(number), "order_number": f"{number + 1000}", "order_number_formatted": f"W-{number + 1000}",
            "date": "2026-07-01 10:15:00", "status": status, "order_total": total, "refunded_total": refunded,
            "order_currency": "EUR", "customer_id": "0", "billing_email": "bo@x.example",
            "line_items": "name:Mug|quantity:2|total:80.00", **more,
        }  # fmt: skip

    return text(
        CUSTOMER_ORDER_EXPORT,
        row(1301, "completed", "85.00", "20.00", refunds="id:9|date:2026-07-02|amount:20.00"),
        row(1302, "pending", "15.00", "0.00"), row(1303, "refunded", "30.00", "30.00"),
        row(1304, "cancelled", "25.00", "0.00"), row(1305, "processing", "10.00", "0.00"),
    )  # fmt: skip


def import_export_suite() -> str:
    def row(number: int, status: str, total: str, **more: str) -> dict[str, str]:
        return {
            "order_id": str(number), "order_number": str(number), "order_date": "2026-01-17 20:50:00",
            "status": status, "order_total": total, "order_currency": "USD", "customer_id": "0",
            "customer_email": "cy@x.example", "billing_email": "cy@x.example", "billing_address_1": "12 Main St",
            "billing_postcode": "12075", "billing_country": "US", "line_item_1": "name:Mug|quantity:1", **more,
        }  # fmt: skip

    return text(
        IMPORT_EXPORT_SUITE,
        row(1, "completed", "105.00", refund_items="amount:20.00|reason:broken|date:2026-01-19 10:00:00;amount:5"),
        row(2, "failed", "40.00"), row(3, "pending", "30.00"), row(4, "refunded", "20.00"),
        row(5, "cancelled", "25.00"), row(6, "on-hold", "12.00"), row(7, "checkout-draft", "9.00"),
    )  # fmt: skip


def analytics() -> str:
    return text(ANALYTICS, {"Date": "2026-03-01 10:15:00", "Order #": "1", "Status": "completed", "Net Sales": "100"})


def magento() -> str:
    def row(number: int, status: str, total: str, refunded: str, date: str) -> dict[str, str]:
        return {
            "ID": f"{number:09d}", "Purchase Point": "Main Website\n   Main Store", "Purchase Date": date,
            "Grand Total (Base)": "999.0000", "Grand Total (Purchased)": total, "Status": status,
            "Billing Address": "12 Rue Neuve,Bruxelles,,1000", "Customer Email": "nik@x.example",
            "Total Refunded": refunded,
        }  # fmt: skip

    return text(
        MAGENTO,
        row(1, "Complete", "90.0000", "25.0000", "Mar 1, 2026 10:15:00 AM"),
        row(2, "Closed", "40.0000", "35.0000", "Mar 1, 2026 22:15:00 PM"),
        row(3, "Canceled", "30.0000", "", "Mar 1, 2026 10:15:00 PM"),
        row(4, "Pending Payment", "30.0000", "", "Mar 1, 2026 00:15:00 AM"),
        row(5, "Pending", "20.0000", "", "Mar 1, 2026 00:15:00 AM"),
    )


def poplar() -> str:
    row = {
        "order_date": "2026-03-01", "customer_id": "c-1", "billing_name": "Cy Muster", "billing_address_1": "1 Main St",
        "billing_city": "Austin", "billing_state": "TX", "billing_postal_code": "78751",
    }  # fmt: skip
    hashed = hashlib.sha256(b"di@x.example").hexdigest()
    return text(
        POPLAR,
        row | {"order_id": "P-1", "order_amount": "85.00", "email": "cy@x.example"},
        row | {"order_id": "P-2", "order_amount": "15.00", "hashed_email": hashed},
    )
