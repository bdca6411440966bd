"""Serves the files in a function's folder: the page or the OpenAPI document. They have no data, so no key is needed."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tillbook.aws.telemetry import observed

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".json": "application/json",
}
# Nothing is loaded from other hosts or inline, frames are forbidden, and the key is sent to this host only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFETY = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True)
class _File:
    text: str
    zipped: str  # base64 of the gzipped text
    headers: dict[str, str]


def _read(path: Path) -> _File:
    content = path.read_bytes()
    headers = {
        "content-type": _TYPES[path.suffix],
        # Browsers ask each time, and get the file again only if it changed, so a new version is used at once.
        "cache-control": "no-cache",
        "etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        "vary": "accept-encoding",
    }
    zipped = b64encode(gzip.compress(content, 9, mtime=0)).decode()
    return _File(content.decode(), zipped, headers | _SAFETY)


def files(folder: Path, index: str = "index.html") -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """A Lambda handler that serves `index` at the route without parameters, and the other files by name."""
    known = {path.name: _read(path) for path in sorted(folder.iterdir()) if path.suffix in _TYPES}

    @observed
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        file = known.get((event.get("pathParameters") or {}).get("file", index))
        if file is None:
            body = json.dumps({"message": "Not Found"})
            headers = {"content-type": "application/json", "cache-control": "no-store"} | _SAFETY
            return {"statusCode": 404, "headers": headers, "body": body, "isBase64Encoded": False}
        asked = event.get("headers") or {}
        if file.headers["etag"] in asked.get("if-none-match", ""):
            return {"statusCode": 304, "headers": file.headers, "body": "", "isBase64Encoded": False}
        if "gzip" in asked.get("accept-encoding", ""):
            headers = file.headers | {"content-encoding": "gzip"}
            return {"statusCode": 200, "headers": headers, "body": file.zipped, "isBase64Encoded": True}
        return {"statusCode": 200, "headers": file.headers, "body": file.text, "isBase64Encoded": False}

    return handler
