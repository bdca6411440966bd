"""One process of `make bench`'s cold part: `python -m bench.fresh MODULE` plays a scene with the module's handler.

MODULE is a function's `app`, `bench.bare`, or `none` for a process that plays nothing.
"""

from __future__ import annotations

import os
import pickle
import sys
from importlib import import_module

from bench.canned import Replies, leave


class _Context:
    function_name, memory_limit_in_mb, aws_request_id = "bench", 1024, "0"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


with open(os.environ["BENCH_SCENE"], "rb") as file:  # noqa: PTH123 - importing pathlib costs time
    scene = pickle.load(file)  # noqa: S301 - written by the bench itself a moment ago
replies = Replies(scene["replies"])
if sys.argv[1] != "none":
    handler = import_module(sys.argv[1]).handler
    replies.install()
    replies.check(handler(scene["event"], _Context))
leave()
