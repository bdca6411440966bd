"""The stored body of a v1 order, the document that the ledger writes, and the order's published shape in answers.

The body is the normalised order: published names, amounts as Decimal, times as stamps, the e-mail as its hash. The
fields that a shop may send are defined in orders_api.py. That module needs pydantic, so deletions and reads do not
import it.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

from tillbook.ledger.orders import Document
from tillbook.rules import times
from tillbook.rules.addresses import match_keys
from tillbook.rules.amounts import ZERO
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.identity import Person, person_of, short_hash
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.order import audience_records_of


def document_of(body: dict[str, Json]) -> Document:
    """The document that the ledger writes for an order: its body, and the values that count."""
    person: Person | None = None
    customer_id = body.get("customer_id", "")
    if "email_sha256" in body:
        person = Person("email", body["email_sha256"])
    elif customer_id:
        person = person_of("customer", customer_id)
    return Document(
        order_id=body["order_id"],
        body=body,
        occurred=body["order_date"],
        person=person,
        currency=body["currency"],
        total=body.get("total", ZERO),
        customer=audience_records_of(  # the records of the order in its customer audience
            *match_keys(body.get("shipping_address"), body.get("billing_address")),
            customer_match_key(customer_id) if customer_id and person and person.kind == "email" else "",
        ),
    )


def customer_match_key(customer_id: str) -> str:
    return short_hash(f"customer-1\n{customer_id}")


def digest(body: dict[str, Json]) -> str:
    """The hash by which a repeated submission is recognised. Like those of rules/identity.py, it must never change."""
    return hashlib.sha256(f"submission-1\n{dumps(body, canonical=True)}".encode()).hexdigest()[:32]


# -------------------------------------------------------------------- answers


def shown(order: str, body: dict[str, Json]) -> dict[str, Json]:
    """An order in the published shape. `order` is our own id of the order."""
    return {
        "id": order,
        "order_id": body["order_id"],
        "currency": body["currency"],
        "total": _amount(body.get("total")),
        "customer": {"id": body.get("customer_id"), "email_sha256": body.get("email_sha256")},
        "metadata": body.get("metadata", {}),
        "order_items": [_shown_item(item) for item in body.get("order_items", [])],
        "shipping_address": _shown_address(body["shipping_address"]) if body.get("shipping_address") else None,
        "billing_address": _shown_address(body["billing_address"]) if body.get("billing_address") else None,
        "order_date": times.iso(body["order_date"][:14] + "000000"),  # without fractions of a second
    }


def whole(order: str, body: dict[str, Json]) -> dict[str, Json]:
    """An order as reads show it: with name and country of its addresses, which answers to submissions leave out."""
    addresses = {
        kind: _shown_address(address) | {"name": address.get("name"), "country": address.get("country")}
        for kind in ("shipping_address", "billing_address")
        if (address := body.get(kind))
    }
    return shown(order, body) | addresses


def _amount(value: Any) -> str:
    return amount_text(Decimal(value or 0), decimals=1)  # at least one decimal, as in the published answers


def _shown_item(item: dict[str, Json]) -> dict[str, Json]:
    return {
        "category": item.get("category", []),
        "description": item.get("description"),
        "identifier": item["identifier"],
        "metadata": item.get("metadata", {}),
        "price": _amount(item.get("price")),
        "quantity": item.get("quantity", 1),
        "total": _amount(item["total"]),
    }


def _shown_address(address: dict[str, Json]) -> dict[str, Json]:
    return {
        "company": address.get("company"),
        "address_1": address["address_1"],
        "address_2": address.get("address_2"),
        "city": address.get("city"),
        "state_name": address.get("state"),
        "postal_code": address["postal_code"],
    }
