"""The environment, typed, read once. Every name here is set in template.yaml."""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple


class Settings(NamedTuple):
    ledger_table: str
    records_table: str
    orders_queue_url: str
    queue_retention_seconds: int
    max_tries: int
    settle_seconds: int


_ABOVE_INFO = frozenset({"WARN", "ERROR", "FATAL"})


@cache
def stack() -> str:
    """Which stack this is. Outside of one there is none to tell apart."""
    return os.environ.get("STACK_NAME", "tillbook")


@cache
def tells_info() -> bool:
    """Whether the log takes lines of level INFO: Lambda says what its LoggingConfig says."""
    return os.environ.get("AWS_LAMBDA_LOG_LEVEL") not in _ABOVE_INFO


def trace_id() -> str:
    """X-Ray's id of this invocation, or nothing: Lambda sets it anew for each."""
    return os.environ.get("_X_AMZN_TRACE_ID", "").partition(";")[0].removeprefix("Root=")


@cache
def settings() -> Settings:
    """Raises KeyError naming the variable that is missing."""
    env = os.environ
    return Settings(
        ledger_table=env["LEDGER_TABLE"],
        records_table=env["RECORDS_TABLE"],
        orders_queue_url=env["ORDERS_QUEUE_URL"],
        queue_retention_seconds=int(env["QUEUE_RETENTION_SECONDS"]),
        max_tries=int(env["MAX_TRIES"]),
        settle_seconds=int(env["SETTLE_SECONDS"]),
    )
