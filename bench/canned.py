"""Replies without a network: botocore answers from a list. Tillbook's functions and bench.bare get the same replies.

Every measured process imports this module, so it imports as little of the standard library as possible.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> list[bytes]:
        return [self._body]


class Replies:
    """Each HTTP request gets the next reply for its operation.

    After the last one, the replies of `again` for this operation are repeated; if there are none, the last reply is.
    """

    def __init__(self, replies: Sequence[tuple[str, bytes]], again: Sequence[tuple[str, bytes]] = ()) -> None:
        self._replies, self._again = _by_operation(replies), _by_operation(again)
        self._expected = [operation for operation, _ in replies]
        self._sent: list[str] = []

    def install(self) -> None:
        from botocore import httpsession
        from botocore.awsrequest import AWSResponse, HeadersDict

        def send(_session: Any, request: Any) -> Any:
            target = request.headers["X-Amz-Target"]
            operation = (target if isinstance(target, str) else target.decode()).rpartition(".")[2]
            self._sent.append(operation)
            waiting = self._replies[operation]
            body = waiting.pop(0)
            if not waiting:
                waiting.extend(self._again.get(operation, [body]))
            headers = HeadersDict({"content-type": "application/x-amz-json-1.0", "content-length": str(len(body))})
            return AWSResponse(request.url, 200, headers, _Raw(body))  # type: ignore[arg-type]

        httpsession.URLLib3Session.send = send  # type: ignore[method-assign, assignment]

    def check(self, answer: dict[str, Any]) -> None:
        """Ends the process with an error if the function failed, or did not send exactly the requests of `replies`."""
        if answer.get("batchItemFailures") or answer.get("statusCode", 200) >= 300 or self._sent != self._expected:
            raise SystemExit(f"answered {answer}, sent {self._sent}")


def _by_operation(replies: Sequence[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for operation, body in replies:
        found.setdefault(operation, []).append(body)
    return found


def leave() -> NoReturn:
    """Prints the seconds of CPU so far to standard error, and ends the process without Python's clean-up."""
    print(time.process_time(), file=sys.stderr, flush=True)
    os._exit(0)


def wire(reply: dict[str, Any]) -> bytes:
    """A reply as AWS writes it: bytes in base64."""

    def as_json(value: Any) -> Any:
        if isinstance(value, bytes):
            from base64 import b64encode

            return b64encode(value).decode()
        raise TypeError(type(value).__name__)

    return json.dumps({n: v for n, v in reply.items() if n != "ResponseMetadata"}, default=as_json).encode()
