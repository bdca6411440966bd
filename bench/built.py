"""Plays a scene like `bench.fresh`, with a built function: `python -s -S -m bench.built MODULE`.

MODULE is as in `bench.fresh`. AWS's own runtime client imports the handler from the path, as Lambda does. A function's
`app` and the layer are those that `sam build` made. The two requests to the Runtime API are left out.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from typing import Any

from awslambdaric import bootstrap  # type: ignore[import-not-found]
from awslambdaric.lambda_runtime_client import (  # type: ignore[import-not-found]
    InvocationRequest,
    LambdaRuntimeClient,
)

from bench.canned import Replies, leave

_ARN = "arn:aws:lambda:us-east-1:123456789012:function:bench"


class _Runtime(LambdaRuntimeClient):  # type: ignore[misc]
    """Passes one event to the function, checks the answer, and ends the process."""

    def __init__(self, scene: dict[str, Any]) -> None:
        super().__init__("")
        self._event = json.dumps(scene["event"]).encode()
        self._replies = Replies(scene["replies"])

    def wait_next_invocation(self) -> Any:
        self._replies.install()
        unused = ("x_amzn_trace_id", "client_context", "cognito_identity", "tenant_id", "invocation_id")
        return InvocationRequest(
            invoke_id="0",
            invoked_function_arn=_ARN,
            deadline_time_in_ms=int(time.time() * 1000) + 30_000,
            content_type="application/json",
            event_body=self._event,
            **dict.fromkeys(unused),
        )

    def post_invocation_result(self, _id: str, result: str | bytes, *_: Any) -> None:
        self._replies.check(json.loads(result))
        leave()

    def post_invocation_error(self, _id: str, error: Any, *_: Any) -> None:
        raise SystemExit(f"failed: {error}")

    def post_init_error(self, error: Any, *_: Any) -> None:
        raise SystemExit(f"did not start: {error}")


with open(os.environ["BENCH_SCENE"], "rb") as file:  # noqa: PTH123 - importing pathlib costs time
    runtime = _Runtime(pickle.load(file))  # noqa: S301 - written by the bench itself a moment ago
if sys.argv[1] == "none":
    leave()
bootstrap.run(f"{sys.argv[1]}.handler", runtime)
