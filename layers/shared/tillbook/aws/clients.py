"""boto3 clients of DynamoDB, SQS, Systems Manager and EventBridge, created on first use and kept."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from tillbook.aws import start

# The services answer within a few milliseconds, and a transaction of 100 items within tens of milliseconds. An answer
# that takes longer is probably lost, so a second try on another connection is better than a longer wait.
CONNECT_SECONDS, READ_SECONDS = 0.25, 0.75  # limits of each try
TRIES = 2
_LONGEST_PAUSE_SECONDS = 1.0  # botocore pauses up to this long, at random, before a second try
# The longest time until a call that gets no answer fails. The time-out of every function allows three such calls (a
# test compares this with template.yaml). Deadlines are at least this long before the time-out of the function, since a
# call may begin just before the deadline.
SLOWEST_CALL_SECONDS = TRIES * (CONNECT_SECONDS + READ_SECONDS) + _LONGEST_PAUSE_SECONDS


@cache
def dynamodb() -> Any:
    return _client("dynamodb")


@cache
def sqs() -> Any:
    return _client("sqs")


@cache
def ssm() -> Any:
    return _client("ssm")


@cache
def events() -> Any:
    return _client("events")


@cache
def _session() -> Any:
    session = botocore.session.Session()
    start.trim(session)
    return boto3.Session(botocore_session=session)


def _client(service: str) -> Any:
    return _session().client(
        service,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=16,
            tcp_keepalive=True,
            parameter_validation=False,  # saves a tenth of the time of each call; our own code makes all calls
            user_agent="tillbook",  # a constant, since botocore would otherwise build a text for each call
        ),
    )
