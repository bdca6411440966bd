"""One process of `make bench`'s built part: `python -s -S -m bench.built HANDLER`, prints seconds and what was sent.

AWS's own runtime client starts HANDLER, as Lambda does, from what is on the path: a function and the layer as
`sam build` made them, or `bench.bare`. The clock runs from before the runtime client is imported until it would post
the answer. Lambda's side of it (the Runtime API's two requests) is left out, alike for both.
"""

from __future__ import annotations

import sys
import time

started = time.perf_counter()
cpu = time.process_time()

import json  # noqa: E402
import os  # noqa: E402
import pickle  # noqa: E402
from typing import Any  # noqa: E402

from awslambdaric import bootstrap  # type: ignore[import-not-found] # noqa: E402
from awslambdaric.lambda_runtime_client import (  # type: ignore[import-not-found] # noqa: E402
    InvocationRequest,
    LambdaRuntimeClient,
)

from bench.canned import Replies  # noqa: E402

_ARN = "arn:aws:lambda:us-east-1:123456789012:function:bench"


class _Runtime(LambdaRuntimeClient):  # type: ignore[misc]
    """Hands out one event, takes its answer, and ends the process."""

    def __init__(self, scene: dict[str, Any]) -> None:
        super().__init__("")
        self._event = json.dumps(scene["event"]).encode()
        self._replies = Replies(scene["replies"])
        self._imported = 0.0

    def wait_next_invocation(self) -> Any:
        self._imported = time.perf_counter() - started
        self._replies.install()
        names = ("x_amzn_trace_id", "client_context", "cognito_identity", "tenant_id", "invocation_id")
        return InvocationRequest(
            invoke_id="0", invoked_function_arn=_ARN, deadline_time_in_ms=int(time.time() * 1000) + 30_000,
            content_type="application/json", event_body=self._event, **dict.fromkeys(names),
        )  # fmt: skip

    def post_invocation_result(self, _id: str, result: str | bytes, *_: Any) -> None:
        seconds, used = time.perf_counter() - started, time.process_time() - cpu
        answer = json.loads(result)
        if answer.get("batchItemFailures") or answer.get("statusCode", 200) >= 300:
            raise SystemExit(f"answered {answer}")
        told = {"seconds": seconds, "cpu": used, "imported": self._imported, "sent": self._replies.sent}
        print(json.dumps(told), file=sys.stderr)
        raise SystemExit

    def post_invocation_error(self, _id: str, error: Any, *_: Any) -> None:
        raise SystemExit(f"failed: {error}")

    def post_init_error(self, error: Any, *_: Any) -> None:
        raise SystemExit(f"did not start: {error}")


with open(os.environ["BENCH_SCENE"], "rb") as file:  # noqa: PTH123 - pathlib is not free
    bootstrap.run(sys.argv[1], _Runtime(pickle.load(file)))  # noqa: S301 - written by the bench itself a moment ago
