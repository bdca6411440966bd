"""Deliveries as a platform sends them, with headers and a signature over the bytes; the sample deliveries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, NamedTuple

SAMPLES = Path(__file__).parent / "samples"
SHOPIFY_SECRET = "shpss_0123456789abcdef"
_TOPIC = {"woocommerce": "X-WC-Webhook-Topic", "shopify": "X-Shopify-Topic"}
_ID = {"woocommerce": "X-WC-Webhook-Delivery-ID", "shopify": "X-Shopify-Webhook-Id"}
_SIGNATURE = {"woocommerce": "X-WC-Webhook-Signature", "shopify": "X-Shopify-Hmac-Sha256"}


class Sent(NamedTuple):
    """One request of a webhook."""

    headers: dict[str, str]
    body: bytes


def signed(platform: str, secret: str, topic: str, body: Any, *, delivery: str = "d-1") -> Sent:
    """A signed delivery. `body` is bytes, or a value to be sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), data, hashlib.sha256).digest()).decode()
    names = {"Content-Type": "application/json", _TOPIC[platform]: topic, _ID[platform]: delivery}
    return Sent(names | {_SIGNATURE[platform]: signature}, data)


def sample(name: str, secret: str) -> list[Sent]:
    """The deliveries of a file in samples/. They are signed, except those without a topic."""
    (path,) = SAMPLES.glob(f"{name}-*.json")
    content = json.loads(path.read_text())
    platform = content["platform"]
    sent = []
    for delivery in content["deliveries"]:
        headers, body = delivery["headers"], delivery["body"]
        if _TOPIC[platform] not in headers:
            sent.append(Sent(headers, body.encode()))
            continue
        made = signed(platform, secret, headers[_TOPIC[platform]], body, delivery=headers[_ID[platform]])
        sent.append(made._replace(headers=headers | made.headers))
    return sent
