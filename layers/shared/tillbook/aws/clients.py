"""boto3's clients of DynamoDB and SQS, made on first use and kept."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from tillbook.aws import start


@cache
def dynamodb() -> Any:
    return _client("dynamodb")


@cache
def sqs() -> Any:
    return _client("sqs")


@cache
def _session() -> Any:
    session = botocore.session.Session()
    start.trim(session)
    return boto3.Session(botocore_session=session)


def _client(service: str) -> Any:
    return _session().client(
        service,
        config=Config(
            connect_timeout=1,
            read_timeout=4,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=16,
            tcp_keepalive=True,
            parameter_validation=False,  # our own code is the only caller; saves a tenth of each call
            user_agent="tillbook",  # a fixed one: botocore would compose it again for each call
        ),
    )
