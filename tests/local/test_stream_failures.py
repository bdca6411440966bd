"""The local stack delivers a batch of a stream again if its function reports failed records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.embedded_aws import with_stream_failures

FAILURES = {"batchItemFailures": [{"itemIdentifier": "1"}]}
STREAM = {"Records": [{"eventSource": "aws:dynamodb"}]}


@pytest.mark.parametrize(
    ("event", "result", "fails"),
    [
        (STREAM, {"body": FAILURES}, True),
        (STREAM, {"body": json.dumps(FAILURES)}, True),
        (STREAM, {"body": {"batchItemFailures": []}}, False),
        (STREAM, {"body": None}, False),
        (STREAM, {"body": ""}, False),
        (STREAM, {"error": True, "body": {"errorType": "TimeoutError"}}, True),
        ({"Records": [{"eventSource": "aws:sqs"}]}, {"body": FAILURES}, False),
        ({}, {"body": FAILURES}, False),
        ({"Records": ["a text"]}, {"body": FAILURES}, False),
        ({"Records": []}, {"body": FAILURES}, False),
        ("a text", {"body": FAILURES}, False),
    ],
)
def test_only_a_stream_batch_with_failed_records_fails(event: Any, result: dict[str, Any], fails: bool) -> None:
    executed = with_stream_failures(lambda _function, _event: dict(result))
    assert bool(executed(None, event).get("error")) == fails
