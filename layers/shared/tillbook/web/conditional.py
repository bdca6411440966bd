"""Conditional answers to GET: 304 if nothing changed, otherwise the answer as gzip.

The ETag is a hash of the answer, so it changes exactly when the answer does. Caches must not keep answers (`no-store`);
the client itself remembers the ETag.
"""

from __future__ import annotations

import gzip
import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

_ZIP_FROM = 1024  # bytes; smaller answers fit one packet anyway


def conditional(headers: Mapping[str, str], answer: dict[str, Any]) -> dict[str, Any]:
    """`answer`, which is in the form for API Gateway, with its `etag`. `headers` are those of the request."""
    body = answer["body"].encode()
    digest = hashlib.sha256(body + answer["headers"].get("x-next-cursor", "").encode()).hexdigest()[:32]
    sent = answer["headers"] | {"etag": f'W/"{digest}"'}
    if digest in headers.get("if-none-match", ""):
        kept = {name: value for name, value in sent.items() if name != "content-type"}
        return {"statusCode": 304, "headers": kept, "body": "", "isBase64Encoded": False}
    if len(body) < _ZIP_FROM or "gzip" not in headers.get("accept-encoding", ""):
        return answer | {"headers": sent}
    zipped = b64encode(gzip.compress(body, 6, mtime=0)).decode()
    return answer | {"headers": sent | {"content-encoding": "gzip"}, "body": zipped, "isBase64Encoded": True}
