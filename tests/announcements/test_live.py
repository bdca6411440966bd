"""Announcements on the local stack: changes pass both streams and the bus, and reach a queue as CloudEvents.

The test starts its own stack, because announcements are off by default.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.stack import PARAMETERS, Stack
from tests.end_to_end.shop import Shop

WITHIN_SECONDS = 120  # the most that the test waits for the events


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(parameters=PARAMETERS | {"Announcements": "event-bus"}) as running:
        yield running


def test_changes_arrive_in_a_queue(stack: Stack) -> None:
    queue = _queue_of_events(stack)
    shop = Shop.open(stack)
    body = {
        "provider": "my_shop", "email": shop.email("ann"), "action": "placed", "order_id": "a-1",
        "grand_total": "12.50", "occurred_at": "2026-01-17T20:50:00Z",
    }  # fmt: skip
    request = shop.send("POST", f"/v3/{shop.account}/shopper_activity/order", body).json["request_id"]
    events: dict[str, Any] = {}
    end = time.monotonic() + WITHIN_SECONDS
    while {"lifetime_value.changed", "order.applied"} - events.keys() and time.monotonic() < end:
        for one in _received(stack, queue):
            if one["data"]["account_id"] == shop.account:
                events[one["type"]] = one
    change, applied = events["lifetime_value.changed"], events["order.applied"]
    assert (change["specversion"], change["data"]["before"], change["data"]["after"]) == ("1.0", "0.00", "12.50")
    assert change["data"]["order"] == {"provider": "my_shop", "order_id": "a-1"}
    assert change["data"]["cause"] == {"action": "placed", "request_id": request}
    assert applied["subject"] == request


def _queue_of_events(stack: Stack) -> str:
    """Creates a queue, to which a rule of the bus sends the detail of each event. Returns its URL."""
    sqs, events = stack.boto3_client("sqs"), stack.boto3_client("events")
    queue: str = sqs.create_queue(QueueName="changes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = stack.outputs["EventBusName"]
    events.put_rule(Name="changes", EventBusName=bus, EventPattern=json.dumps({"source": ["tillbook"]}))
    target = {"Id": "queue", "Arn": arn, "InputPath": "$.detail"}
    assert events.put_targets(Rule="changes", EventBusName=bus, Targets=[target])["FailedEntryCount"] == 0
    return queue


def _received(stack: Stack, queue: str) -> list[Any]:
    sqs = stack.boto3_client("sqs")
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]
