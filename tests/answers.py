"""Parts that answers of the API have in common."""

from __future__ import annotations

from typing import Any

_READ_ONLY = ("name", "country")


def as_submitted(read: dict[str, Any]) -> dict[str, Any]:
    """A v1 order from `GET /v1/order/:order_id` in the shape that answers a submission: its addresses without name and
    country, each of which must be there."""
    addresses = {
        kind: {part: value for part, value in read[kind].items() if part not in _READ_ONLY}
        for kind in ("shipping_address", "billing_address")
        if read[kind] is not None and {*_READ_ONLY} <= read[kind].keys()
    }
    return read | addresses
