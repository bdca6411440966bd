"""The bodies of v1 orders that tests submit."""

from __future__ import annotations

from typing import Any

from tests.handlers.events import EMAIL

ADDRESS = {"address_1": "123 Bill St.", "postal_code": "01234"}


def order(**changes: Any) -> dict[str, Any]:
    """The smallest valid order, with changes; a change to `...` leaves a field out."""
    body = {"order_id": "o-1", "order_date": "2019-09-05", "customer_email": EMAIL, "total": 100} | changes
    return {name: value for name, value in body.items() if value is not ...}


# The submission whose answer the published contract shows.
SUBMISSION: dict[str, Any] = {
    "order_id": "9ca6e9ab-9de6-4491-82c3-8730e2aedfbb",
    "total": 126,
    "customer_id": "27876",
    "customer_email_sha256": "B043F7B1894189C3591ED2514FCF901EC0DE715E8C0C981B893E7D3778D318D4",
    "metadata": {"firstTimeOrder": True},
    "order_items": [
        {
            "category": ["Grocery", "Fruit"],
            "description": "Handcrafted Wooden Pants",
            "identifier": "88fcae48-b6f3-41d5-826d-1f7ec2a108ba",
            "metadata": {"productMaterial": "Cotton"},
            "total": 504.0,
        },
        {
            "category": ["Health", "Sports", "Toys"],
            "description": "Tasty Plastic Bike",
            "identifier": "94820c46-644e-408f-8f61-4e057a148c5e",
            "price": "483",
            "quantity": 1,
            "total": 297,
        },
    ],
    "shipping_address": {
        "name": "Jo Doe",
        "address_1": "03055 Williamson Gardens",
        "address_2": "Suite 249",
        "city": "South Maritzaville",
        "state": "TN",
        "postal_code": "10843",
        "country": "US",
    },
    "billing_address": {"address_1": "59184 Henri Canyon", "state": "", "postal_code": "36670-7309"},
    "order_date": "2019-09-05T14:06:42Z",
}
