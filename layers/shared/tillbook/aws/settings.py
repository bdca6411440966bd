"""Typed settings, read once from environment variables, which template.yaml sets.

Settings is not a pydantic model, since functions without pydantic read the settings, too, and importing pydantic takes
a third of a cold start (`make bench`).
"""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple


class Settings(NamedTuple):
    ledger_table: str
    records_table: str
    book_table: str
    removals_table: str
    orders_queue_url: str
    jobs_queue_url: str
    queue_retention_seconds: int
    max_tries: int  # of a queued event, or of a page of a job
    settle_seconds: int  # between the request of a purge or an erasure and the start of its job
    stack_name: str


@cache
def settings() -> Settings:
    """Returns the settings. Raises KeyError if a variable is missing, ValueError if a number cannot be parsed."""
    env = os.environ
    return Settings(
        ledger_table=env["LEDGER_TABLE"],
        records_table=env["RECORDS_TABLE"],
        book_table=env["BOOK_TABLE"],
        removals_table=env["REMOVALS_TABLE"],
        orders_queue_url=env["ORDERS_QUEUE_URL"],
        jobs_queue_url=env["JOBS_QUEUE_URL"],
        queue_retention_seconds=int(env["QUEUE_RETENTION_SECONDS"]),
        max_tries=int(env["MAX_TRIES"]),
        settle_seconds=int(env["SETTLE_SECONDS"]),
        stack_name=env["POWERTOOLS_SERVICE_NAME"],
    )


def event_bus() -> str:
    """Returns the name of the event bus. Only the function announce_changes has this variable."""
    return os.environ["EVENT_BUS"]
