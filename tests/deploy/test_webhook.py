"""The function of deploy/webhook.yaml: its signed requests, and its retries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from local.stack import ROOT

TEMPLATE = yaml_parse((ROOT / "deploy/webhook.yaml").read_text())["Resources"]
CODE = TEMPLATE["Function"]["Properties"]["Code"]["ZipFile"]
KEY = b"0123456789abcdef01234567"
EVENT = json.dumps({"specversion": "1.0", "id": "a1b2", "data": {"after": "105.00"}}, separators=(",", ":"))


class Receiver:
    """A server on loopback that answers `status`, and keeps the headers and body of each request."""

    def __init__(self) -> None:
        self.status, self.requests = 204, list[tuple[dict[str, str], str]]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                receiver.requests.append(({n.lower(): v for n, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("location", "/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:
                raise AssertionError("a redirect was followed")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def webhook(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[int]]:
    """The function's handler, and the visibility time-outs that it set, in seconds."""
    pauses: list[int] = []
    secret = {"Parameter": {"Value": "whsec_" + base64.b64encode(KEY).decode()}}
    aws = {
        "ssm": SimpleNamespace(get_parameter=lambda **_: secret),
        "sqs": SimpleNamespace(change_message_visibility=lambda **given: pauses.append(given["VisibilityTimeout"])),
    }
    monkeypatch.setenv("URL", f"http://127.0.0.1:{receiver.server.server_port}/hook")
    monkeypatch.setenv("SECRET_PARAMETER", "/webhook")
    monkeypatch.setenv("QUEUE_URL", "https://sqs/queue")
    code: dict[str, Any] = {}
    exec(compile(CODE, "webhook.yaml", "exec"), code)  # noqa: S102 - as Lambda does
    monkeypatch.setitem(code, "client", lambda service: aws[service])
    return code["handler"], pauses


def failures_of(handler: Any, tries: int = 1) -> list[Any]:
    """Delivers a message for the `tries`-th time. Returns its partial batch failures: one, or none if it was sent."""
    attributes = {"ApproximateReceiveCount": str(tries)}
    record = {"body": EVENT, "messageId": "m", "receiptHandle": "r", "attributes": attributes}
    failures: list[Any] = handler({"Records": [record]}, None)["batchItemFailures"]
    return failures


def test_a_receiver_can_verify_the_signature(receiver: Receiver, webhook: tuple[Any, list[int]]) -> None:
    handler, pauses = webhook
    assert (failures_of(handler), pauses) == ([], [])
    ((headers, body),) = receiver.requests
    assert (body, headers["webhook-id"]) == (EVENT, "a1b2")
    # Written from the specification: https://www.standardwebhooks.com
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body.encode()])
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"].split() == [f"v1,{expected}"]


@pytest.mark.parametrize("status", [301, 400, 404, 410, 429, 500, 503])
def test_a_refused_delivery_is_tried_again(receiver: Receiver, webhook: tuple[Any, list[int]], status: int) -> None:
    handler, pauses = webhook
    receiver.status = status
    assert failures_of(handler, tries=3) == [{"itemIdentifier": "m"}]
    assert pauses == [240]  # 60 s after the first try, doubled by each further one


def test_a_delivery_to_an_unreachable_receiver_is_tried_again(
    receiver: Receiver, webhook: tuple[Any, list[int]]
) -> None:
    handler, pauses = webhook
    receiver.server.shutdown()
    receiver.server.server_close()
    assert (len(failures_of(handler)), pauses) == (1, [60])


def test_a_delivery_is_tried_for_three_days(receiver: Receiver, webhook: tuple[Any, list[int]]) -> None:
    handler, pauses = webhook
    receiver.status = 500
    queue, most = TEMPLATE["Queue"]["Properties"], TEMPLATE["Queue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
    for tries in range(1, most + 1):
        failures_of(handler, tries)
    assert 72 * 3600 <= sum(pauses[:-1]) <= 80 * 3600  # the last pause is followed by no try
    assert sum(pauses) < queue["MessageRetentionPeriod"]
    assert max(pauses) <= 12 * 3600  # the limit of SQS


def test_the_code_fits_into_the_template() -> None:
    assert len(CODE.encode()) <= 4096  # CloudFormation's limit for ZipFile
