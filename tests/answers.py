"""Conversion between answers of the API, for comparison."""

from __future__ import annotations

from typing import Any

_READ_ONLY = ("name", "country")  # parts of an address that only a read returns


def as_submitted(read: dict[str, Any]) -> dict[str, Any]:
    """Converts an order of `GET /v1/order/:order_id` to the shape that answers a submission: addresses without name and
    country. An address that lacks one of the two is left unchanged, so that a comparison fails."""
    addresses = {
        kind: {part: value for part, value in read[kind].items() if part not in _READ_ONLY}
        for kind in ("shipping_address", "billing_address")
        if read[kind] is not None and {*_READ_ONLY} <= read[kind].keys()
    }
    return read | addresses
