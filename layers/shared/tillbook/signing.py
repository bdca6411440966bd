"""Signs requests as botocore does (AWS Signature Version 4), to the letter and sooner.

botocore's own signer copies the headers five times, prepares the request once more for its body, and derives the key
of the day anew for every call. What is not a plain POST of bytes is left to it. Lambda may bring a newer botocore at
any time, so the first signature of each process is botocore's, and ours is used only where it comes out the same.
`PLAIN_START=1` switches this off.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import AUTH_TYPE_MAPS, SIGNED_HEADERS_BLACKLIST, SigV4Auth

_NAME = "tillbook-v4"
_UNSIGNED = frozenset(SIGNED_HEADERS_BLACKLIST)


def sign(session: Any) -> None:
    """Makes the clients of a botocore session sign by this."""
    AUTH_TYPE_MAPS[_NAME] = Signer
    session.register("choose-signer", _chosen)


def _chosen(signature_version: Any = None, **_: Any) -> str | None:
    return _NAME if signature_version == "v4" else None


@lru_cache(maxsize=4)
def _key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = _mac(key, part)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


@lru_cache(maxsize=4)
def _host(url: str) -> str | None:
    """The host to sign; None for what is not the root of one, by HTTPS at its usual port."""
    parts = urlsplit(url)
    plain = parts.scheme == "https" and parts.path == "/" and not parts.query and parts.netloc == parts.hostname
    return parts.hostname if plain else None


class Signer(SigV4Auth):
    same: bool | None = None  # as botocore's, in this process; not known before the first
    _region_name: str
    _service_name: str
    _modify_request_before_signing: Any

    def add_auth(self, request: Any) -> None:
        host = _host(request.url)
        if (
            Signer.same is False or self.credentials is None or host is None or request.params
            or request.method != "POST" or not isinstance(request.data, bytes)
            or "X-Amz-Content-SHA256" in request.headers or not request.context.get("payload_signing_enabled", True)
        ):  # fmt: skip
            super().add_auth(request)
            return
        if Signer.same is None:
            Signer.same = self._compared(request, host)
            return
        request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._modify_request_before_signing(request)
        request.headers["Authorization"] = self.authorization(request, host)

    def _compared(self, request: Any, host: str) -> bool:
        """Signs by botocore. Whether ours is the same."""
        super().add_auth(request)
        theirs = request.headers["Authorization"]
        del request.headers["Authorization"]
        try:
            return callable(self._modify_request_before_signing) and self.authorization(request, host) == theirs
        except Exception:  # whatever botocore names otherwise by then
            return False
        finally:
            request.headers["Authorization"] = theirs

    def authorization(self, request: Any, host: str) -> str:
        """The header's value, of a request that has all its others."""
        values: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            values.setdefault(name.lower(), []).append(" ".join(value.split()))
        values.setdefault("host", [host])
        names = sorted(values.keys() - _UNSIGNED)
        headers = "".join([f"{name}:{','.join(values[name])}\n" for name in names])
        signed, moment = ";".join(names), request.context["timestamp"]
        asked = f"POST\n/\n\n{headers}\n{signed}\n{hashlib.sha256(request.data).hexdigest()}"
        region, service = self._region_name, self._service_name
        scope = f"{moment[:8]}/{region}/{service}/aws4_request"
        told = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
        key = _key(self.credentials.secret_key, moment[:8], region, service)
        return (
            f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key}/{scope}, SignedHeaders={signed}, "
            f"Signature={_mac(key, told).hex()}"
        )
