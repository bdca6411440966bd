"""Conditional answers to GET: 304 if the client has the answer, otherwise the answer, zipped if it is large.

The ETag is a hash of the answer, so it changes exactly when the answer does. Caches must not keep answers (`no-store`);
the client itself remembers the ETag.
"""

from __future__ import annotations

import gzip
import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

_ZIP_FROM = 1024  # bytes; a smaller answer fits one packet without compression


def conditional(headers: Mapping[str, str], answer: dict[str, Any]) -> dict[str, Any]:
    """Adds an ETag to `answer` (in API Gateway's form), and makes it a 304 or gzip if the request's `headers` allow."""
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
