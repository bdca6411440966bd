"""Bodies that shops and admins send in the events of this folder.

ORDER_ACTIVITY and ORDER are the examples of the two published APIs. Most other bodies are about Ann, whose order A-1 is
placed, updated, paid and refunded.
"""

from __future__ import annotations

ACCOUNT = "1234567"
INGEST_KEY = "local-ingest-key"
ADMIN_KEY = "local-admin-key"

# The example of the published Order Activity API, unchanged.
ORDER_ACTIVITY = """
  {
    "provider": "my_custom_platform",
    "email": "user@gmail.com",
    "action": "placed",
    "occurred_at": "2019-01-17T20:50:00Z",
    "order_id": "456445746",
    "order_public_id": "#5",
    "grand_total": 22.99,
    "total_discounts": 5.34,
    "total_taxes": 1.00,
    "total_fees": 2.00,
    "total_shipping": 5.00,
    "currency": "USD",
    "order_url": "https://mysuperstore.com/order/456445746",
    "items": [
      {
        "product_id": "B01J4SWO1G",
        "product_variant_id": "B01J4SWO1G-CW-BOTT",
        "sku": "XHB-1234",
        "name": "The Coolest Water Bottle",
        "brand": "Drip",
        "categories": [
          "Accessories"
        ],
        "price": 11.16,
        "sale_price": 10.16,
        "quantity": 2,
        "discounts": 5.34,
        "taxes": 1.00,
        "fees": 0.50,
        "shipping": 5.00,
        "total": 23.99,
        "product_url": "https://mysuperstore.com/dp/B01J4SWO1G",
        "image_url": "https://www.getdrip.com/images/example_products/water_bottle.png",
        "product_tag": "Best Seller"
      }
    ],
    "billing_address": {
      "label": "Primary Billing",
      "first_name": "Bill",
      "last_name": "Billington",
      "company": "Bills R US",
      "address_1": "123 Bill St.",
      "address_2": "Apt. B",
      "city": "Billtown",
      "state": "CA",
      "postal_code": "01234",
      "country": "United States",
      "phone": "555-555-5555"
    },
    "shipping_address": {
      "label": "Downtown Office",
      "first_name": "Ship",
      "last_name": "Shipington",
      "company": "Shipping 4 Less",
      "address_1": "123 Ship St.",
      "city": "Shipville",
      "state": "CA",
      "postal_code": "01234",
      "country": "United States",
      "phone": "555-555-5555"
    }
  }
"""

# A submission whose answer is the example of the published Orders API.
ORDER = {
    "order_id": "9ca6e9ab-9de6-4491-82c3-8730e2aedfbb",
    "order_date": "2019-09-05T14:06:42Z",
    "currency": "USD",
    "total": 126.0,
    "customer_id": "27876",
    "customer_email_sha256": "b043f7b1894189c3591ed2514fcf901ec0de715e8c0c981b893e7d3778d318d4",
    "metadata": {"firstTimeOrder": True},
    "order_items": [
        {
            "identifier": "88fcae48-b6f3-41d5-826d-1f7ec2a108ba",
            "description": "Handcrafted Wooden Pants",
            "category": ["Grocery", "Fruit"],
            "metadata": {"productMaterial": "Cotton"},
            "quantity": 1,
            "total": 504.0,
        },
        {
            "identifier": "94820c46-644e-408f-8f61-4e057a148c5e",
            "description": "Tasty Plastic Bike",
            "category": ["Health", "Sports", "Toys"],
            "price": 483.0,
            "quantity": 1,
            "total": 297.0,
        },
    ],
    "shipping_address": {
        "address_1": "03055 Williamson Gardens",
        "address_2": "Suite 249",
        "city": "South Maritzaville",
        "state": "TN",
        "postal_code": "10843",
    },
    "billing_address": {"address_1": "59184 Henri Canyon", "state": "", "postal_code": "36670-7309"},
}

# Fields of each event about order A-1.
ANN = {"provider": "my_shop", "email": "ann@example.com", "order_id": "A-1", "currency": "USD"}
ANN_PLACED = ANN | {"action": "placed", "occurred_at": "2019-02-01T09:00:00Z", "grand_total": 100}
ANN_UPDATED = ANN | {"action": "updated", "occurred_at": "2019-02-01T09:05:00Z", "grand_total": "105.00"}
ANN_PAID = ANN | {"action": "paid", "occurred_at": "2019-02-01T09:10:00Z"}
ANN_REFUNDED = ANN | {"action": "refunded", "occurred_at": "2019-02-08T16:30:00Z", "refund_amount": 105}
BEN_PLACED = {
    "provider": "my_shop",
    "person_id": "customer-42",
    "action": "placed",
    "occurred_at": "2019-02-01T09:01:00Z",
    "order_id": "B-7",
    "grand_total": 18.5,
}
ANN_PLACED_A2 = ANN | {
    "order_id": "A-2",
    "action": "placed",
    "occurred_at": "2019-02-09T10:00:00Z",
    "grand_total": 12.5,
}
# An event with many faults at once.
INVALID = {
    "provider": "My Shop",
    "action": "bought",
    "occurred_at": "yesterday",
    "order_id": "A-3",
    "grand_total": -1,
    "items": [{"product_id": "B01J4SWO1G", "price": "eleven"}],
}
# An order_id may contain `#`. A client sends it as %23 in a path; API Gateway passes it on decoded.
SMALL_ORDER = {
    "order_id": "#5",
    "order_date": "2019-09-06",
    "total": "12.50",
    "customer_email": "Ann@example.com",
}

# A paid order as Shopify's webhook delivers it, without the fields that Tillbook does not read.
SHOPIFY_SIGNING_KEY = "local-shopify-signing-key"
SHOPIFY_ORDER = {
    "id": 5001001,
    "name": "#1001",
    "test": False,
    "email": "dora@example.com",
    "created_at": "2019-02-09T04:00:00-05:00",
    "updated_at": "2019-02-09T04:00:02-05:00",
    "cancelled_at": None,
    "currency": "USD",
    "total_price": "45.00",
    "current_total_price": "45.00",
    "total_tax": "5.00",
    "financial_status": "paid",
    "fulfillment_status": None,
    "line_items": [
        {"id": 1, "product_id": 632910392, "sku": "MUG-L", "name": "Mug - L", "price": "20.00", "quantity": 2}
    ],
    "shipping_address": {
        "first_name": "Dora", "last_name": "Diaz", "address1": "1 Main St", "address2": "Apt 4", "city": "Austin",
        "province_code": "TX", "zip": "78751", "country_code": "US",
    },
    "refunds": [],
}  # fmt: skip

AUDIENCE = "customers-orders-api"
# The customer of ORDER, by the shipping address in another spelling and by id; and somebody else.
MATCH = {
    "people": [
        {"address": {"address_1": "03055 WILLIAMSON GARDENS", "address_2": "Ste. 249", "postal_code": "10843"}},
        {"customer_id": "27876"},
        {"email": "ben@example.com"},
    ]
}
