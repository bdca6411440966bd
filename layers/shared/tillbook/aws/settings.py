"""The environment, typed, read once. Every name here is set in template.yaml.

No pydantic model: every function reads these, and importing pydantic takes a third of a cold start (`make bench`).
"""

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


@cache
def settings() -> Settings:
    """Raises KeyError naming the variable that is missing, ValueError where a number is expected."""
    env = os.environ
    return Settings(
        ledger_table=env["LEDGER_TABLE"],
        records_table=env["RECORDS_TABLE"],
        orders_queue_url=env["ORDERS_QUEUE_URL"],
        queue_retention_seconds=int(env["QUEUE_RETENTION_SECONDS"]),
        max_tries=int(env["MAX_TRIES"]),
        settle_seconds=int(env["SETTLE_SECONDS"]),
    )
