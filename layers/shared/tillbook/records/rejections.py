"""Rejected requests of a valid key or connection: route, reasons, order id and names of fields, but no other values.

At most 1,000 rejections of a key or connection are recorded each day, so that a client that repeats a bad request
causes no large bill. A function instance that reaches this limit records nothing more for that key or connection in the
next ten minutes.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from tillbook.aws.items import raw
from tillbook.aws.telemetry import logger
from tillbook.aws.writes import write_if
from tillbook.records.connections import Connection
from tillbook.records.keys import ApiKey
from tillbook.records.outcomes import Outcome, Outcomes
from tillbook.rules.errors import Invalid, Problem
from tillbook.rules.identity import is_email

A_DAY = 1000  # recorded rejections of a key or connection
_PAUSE_SECONDS = 600.0
_MAX_FIELDS = 20
_KEPT_SECONDS = 2 * 24 * 3600
_RECORDED = frozenset({400, 409, 413, 415, 422})

Sender = ApiKey | Connection

_paused_until: dict[str, float] = {}


class RejectionCount(NamedTuple):
    """The number of rejections that were recorded for a key on a day.

    Key: `{account}/l`, `{yyyymmdd}/{key id}`.

    Attributes: requests, ttl.
    """

    requests: int = 0
    ttl: int = 0


def note(
    client: Any,
    records_table: str,
    sender: Sender,
    route: str,
    request_id: str,
    received: str,
    problem: Problem,
    order_id: object,
) -> None:
    """Records a rejection whose status is in _RECORDED.

    An error of AWS is only logged, since the answer to the request must not depend on it.
    """
    if problem.status not in _RECORDED or _paused_until.get(sender.id, 0.0) > time.monotonic():
        return
    names, reason = [], problem.code
    if isinstance(problem, Invalid):
        names = [error.field or "body" for error in problem.errors[:_MAX_FIELDS]]
        reason = "; ".join(f"{e.field or 'body'} {e.message}" for e in problem.errors[:_MAX_FIELDS])
    elif problem.status in (413, 415, 400):
        reason = problem.message
    named = order_id if isinstance(order_id, str) and len(order_id) <= 255 and not is_email(order_id) else ""
    rejected = Outcome(
        sender.account,
        "orders_api" if " /v1/" in route else "shopper_activity",
        request_id,
        "rejected",
        received,
        "rejected",
        "",
        named,
        reason=reason[:2000],
        route=route,
        key_label=sender.label or sender.id,
        fields=names,
    )
    try:
        if _count_below_limit(client, records_table, sender, received[:8]):
            Outcomes(client, records_table).record([rejected])
        else:
            _paused_until[sender.id] = time.monotonic() + _PAUSE_SECONDS
    except (ClientError, BotoCoreError) as error:
        logger.warning("rejection not noted", exc_info=error, account=sender.account)


def _count_below_limit(client: Any, records_table: str, sender: Sender, day: str) -> bool:
    """Counts a rejection of a sender on a day. Returns False, without counting it, if the limit is reached already."""
    return write_if(
        client.update_item,
        TableName=records_table,
        Key=raw({"pk": f"{sender.account}/l", "sk": f"{day}/{sender.id}"}),
        UpdateExpression="ADD requests :one SET #ttl = :ttl",
        ConditionExpression="attribute_not_exists(requests) OR requests < :most",
        ExpressionAttributeNames={"#ttl": "ttl"},
        ExpressionAttributeValues=raw({":one": 1, ":most": A_DAY, ":ttl": int(time.time()) + _KEPT_SECONDS}),
    )
