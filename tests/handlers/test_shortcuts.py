"""The shortcuts around moto (tests/handlers/shortcuts.py) change neither its answers nor its stored items."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.handlers import shortcuts
from tests.handlers.conftest import empty
from tests.simulation.calls import RandomCalls
from tillbook.aws import clients
from tillbook.aws.settings import settings

CALLS = 500
VARYING = {"MessageId", "ReceiptHandle", "SentTimestamp", "ApproximateFirstReceiveTimestamp"}


def _answer(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
    try:
        return getattr(client, operation)(**arguments)
    except ClientError as error:
        return {"refused": type(error).__name__} | error.response
    except TypeError as error:  # moto raises it if a condition compares values of different types
        return {"refused": repr(error), "ResponseMetadata": {"HTTPStatusCode": 0, "HTTPHeaders": {}}}


def _answers_about_items(client: Any) -> list[Any]:
    """Answers to random calls on empty tables. Every tenth call is a scan of all items."""
    empty()
    table = settings().ledger_table
    calls, found = RandomCalls(1, table), []
    for count in range(CALLS):
        operation, arguments = calls.next() if count % 10 else ("scan", {"TableName": table})
        found.append((f"call {count}: {operation} {arguments}", _answer(client, operation, arguments)))
    return found


def _answers_about_messages(client: Any) -> list[Any]:
    empty()
    url = settings().orders_queue_url
    found = []

    def ask(operation: str, **arguments: Any) -> Any:
        answer = _answer(client, operation, arguments)
        found.append((f"{operation} {arguments}", _alike(answer)))
        return answer

    ask("send_message", QueueUrl=url, MessageBody='{"a": "😀"}')
    ask("send_message_batch", QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "é" * n} for n in range(1, 4)])
    received = ask(
        "receive_message", QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], VisibilityTimeout=0
    )["Messages"]
    assert len(received) == 4
    for message in received[:3]:
        ask("delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert len(ask("receive_message", QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 1
    ask("send_message", QueueUrl=url, MessageBody="x" * 1_100_000)
    ask("send_message", QueueUrl=f"{url}-of-nobody", MessageBody="x")
    return found


def _alike(answer: Any) -> Any:
    """The answer without the parts that differ from run to run."""
    if isinstance(answer, dict):
        return {name: _alike(value) for name, value in answer.items() if name not in VARYING}
    return [_alike(value) for value in answer] if isinstance(answer, list) else answer


@pytest.mark.usefixtures("_aws")
@pytest.mark.parametrize(
    ("service", "answers", "refusals"),
    [
        ("dynamodb", _answers_about_items, {"ConditionalCheckFailedException", "TransactionCanceledException"}),
        ("sqs", _answers_about_messages, {"QueueDoesNotExist", "ClientError"}),
    ],
)
def test_no_answer_differs_from_plain_moto(
    monkeypatch: pytest.MonkeyPatch, service: str, answers: Any, refusals: set[str]
) -> None:
    client_of = getattr(clients, service)
    with_shortcuts = answers(client_of())
    with monkeypatch.context() as patch:
        shortcuts.remove(patch)
        plain = answers(client_of.__wrapped__())
    over_http = 0  # answers through moto's HTTP layer, which alone have a date
    for (call, ours), (_, theirs) in zip(with_shortcuts, plain, strict=True):
        our_metadata, their_metadata = ours.pop("ResponseMetadata", {}), theirs.pop("ResponseMetadata", {})
        assert ours == theirs, call
        assert our_metadata.get("HTTPStatusCode") == their_metadata.get("HTTPStatusCode"), call
        assert "date" not in our_metadata.get("HTTPHeaders", {})
        over_http += "date" in their_metadata.get("HTTPHeaders", {})
    assert over_http > len(plain) / 3  # all but the calls for which moto raises a TypeError
    assert refusals <= {answer["refused"] for _, answer in plain if "refused" in answer}
