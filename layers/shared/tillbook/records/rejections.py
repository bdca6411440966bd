"""Requests of a valid key that were refused: route, reasons and names of fields, never what was sent.

Bounded, so that a client which loops on a bad request cannot run up a bill: at most 1,000 a key and day, and a warm
function that met the end of that asks again only after ten minutes.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from tillbook.aws.items import raw
from tillbook.aws.retries import error_code
from tillbook.aws.telemetry import logger
from tillbook.records.keys import ApiKey
from tillbook.records.transactions import Transaction, Transactions
from tillbook.rules.errors import Invalid, Problem
from tillbook.rules.identity import is_email

A_DAY = 1000
_PAUSE_SECONDS = 600.0
_MAX_FIELDS = 20
_KEPT_SECONDS = 2 * 24 * 3600
_RECORDED = frozenset({400, 409, 413, 415, 422})

_paused_until: dict[str, float] = {}


class RejectionCount(NamedTuple):
    """How many requests of a key were refused and noted on a day.

    Key: `{account}/l`, `{yyyymmdd}/{key id}`.

    Attributes: requests, ttl.
    """

    requests: int = 0
    ttl: int = 0


def note(client: Any, records_table: str, key: ApiKey, route: str, request_id: str, received: str, problem: Problem,
         order_id: object) -> None:  # fmt: skip
    """Never fails: an answer does not hang on it."""
    if problem.status not in _RECORDED or _paused_until.get(key.id, 0.0) > time.monotonic():
        return
    names, reason = [], problem.code
    if isinstance(problem, Invalid):
        names = [error.field or "body" for error in problem.errors[:_MAX_FIELDS]]
        reason = "; ".join(f"{e.field or 'body'} {e.message}" for e in problem.errors[:_MAX_FIELDS])
    elif problem.status in (413, 415, 400):
        reason = problem.message
    named = order_id if isinstance(order_id, str) and len(order_id) <= 255 and not is_email(order_id) else ""
    rejected = Transaction(
        key.account, "orders_api" if " /v1/" in route else "shopper_activity", request_id, "rejected", received,
        "rejected", "", named, reason=reason[:2000], route=route, key_label=key.label or key.id, fields=names,
    )  # fmt: skip
    try:
        if _is_within_the_day(client, records_table, key, received[:8]):
            Transactions(client, records_table).record([rejected])
        else:
            _paused_until[key.id] = time.monotonic() + _PAUSE_SECONDS
    except (ClientError, BotoCoreError) as error:
        logger.warning("rejection not noted", exc_info=error, account=key.account)


def _is_within_the_day(client: Any, records_table: str, key: ApiKey, day: str) -> bool:
    try:
        client.update_item(
            TableName=records_table, Key=raw({"pk": f"{key.account}/l", "sk": f"{day}/{key.id}"}),
            UpdateExpression="ADD requests :one SET #ttl = :ttl",
            ConditionExpression="attribute_not_exists(requests) OR requests < :most",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues=raw({":one": 1, ":most": A_DAY, ":ttl": int(time.time()) + _KEPT_SECONDS}),
        )  # fmt: skip
    except ClientError as error:
        if error_code(error) == "ConditionalCheckFailedException":
            return False
        raise
    return True
