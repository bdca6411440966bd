"""One process of `make bench`'s cold part: `python -m bench.fresh WHAT`, prints seconds and what was sent.

WHAT is `ours` (the function's module and its first answer), `import` (the module alone) or `bare` (boto3 clients that
make the same calls). The clock starts before the first import that the other would not have.
"""

from __future__ import annotations

import sys
import time

started = time.perf_counter()
cpu = time.process_time()

import json  # noqa: E402
import os  # noqa: E402
import pickle  # noqa: E402

from bench.canned import Replies  # noqa: E402


class _Context:
    function_name, memory_limit_in_mb, aws_request_id = "bench", 1024, "0"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


def main(what: str) -> None:
    with open(os.environ["BENCH_SCENE"], "rb") as file:  # noqa: PTH123 - pathlib is not free
        scene = pickle.load(file)  # noqa: S301 - written by the bench itself a moment ago
    replies = Replies(scene["replies"])
    if what == "bare":
        import boto3

        clients = {service: boto3.client(service) for service in dict.fromkeys(s for s, _, _ in scene["calls"])}
        replies.install()
        for service, operation, parameters in scene["calls"]:
            getattr(clients[service], operation)(**parameters)
    else:
        sys.path.insert(0, scene["function"])
        import app  # type: ignore[import-not-found]

        if what == "ours":
            replies.install()
            answer = app.handler(scene["event"], _Context)
            if answer.get("batchItemFailures") or answer.get("statusCode", 200) >= 300:
                raise SystemExit(f"answered {answer}")
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    modules = sorted(sys.modules) if what == "import" else []
    print(json.dumps({"seconds": seconds, "cpu": used, "sent": replies.sent, "modules": modules}), file=sys.stderr)


main(*sys.argv[1:])
