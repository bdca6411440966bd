"""Signatures of webhooks: the headers of each platform, and whether Tillbook or the platform generates the secret.

All platforms send the base64 of HMAC-SHA256 over the body as sent; topic and id of a delivery are not signed.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Platform(NamedTuple):
    """Names of a platform's headers in lower case; the first header that is present is used.

    `derived`: whether Tillbook generates the secret. Otherwise the platform does, and an admin enters it in Tillbook.
    """

    signature: tuple[str, ...]
    topic: tuple[str, ...]
    delivery: tuple[str, ...]
    derived: bool


PLATFORMS = {
    "woocommerce": Platform(
        ("x-wc-webhook-signature",), ("x-wc-webhook-topic",), ("x-wc-webhook-delivery-id",), derived=True
    ),
    "shopify": Platform(
        ("x-shopify-hmac-sha256", "shopify-hmac-sha256"),
        ("x-shopify-topic", "shopify-topic"),
        ("x-shopify-webhook-id", "shopify-webhook-id"),
        derived=False,
    ),
}


def header(headers: Mapping[str, str], names: Iterable[str]) -> str:
    return next((headers[name] for name in names if name in headers), "")


def signature_of(secret: str, body: bytes) -> str:
    return b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def is_signed(secrets: Iterable[str], body: bytes, signature: str) -> bool:
    """Whether any of the secrets made the signature. All are compared, each in constant time."""
    sent = signature.strip().encode()
    matches = [hmac.compare_digest(signature_of(secret, body).encode(), sent) for secret in secrets]
    return any(matches)
