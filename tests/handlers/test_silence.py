"""DynamoDB and SQS accept connections and never answer: functions return 503 in time, or partial failures."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.handlers import template
from tests.handlers.shop import ACCOUNT, Answer, Shop, forget_warm_state
from tillbook.aws import clients

ORDER = {"order_id": "v-1", "order_date": "2019-01-01", "customer_email": "ann@example.com", "total": 1}
EVENT = {
    "provider": "my_shop", "email": "ann@example.com", "action": "placed", "order_id": "s-1", "grand_total": 2,
    "occurred_at": "2019-01-01T00:00:00Z",
}  # fmt: skip
PERSON = f"/v3/{ACCOUNT}/people/ann@example.com"
SILENT_SECONDS = 0.05
# Milliseconds that an invocation has: half a second, and the margin before the time-out (web/endpoint.py).
SHORT = round((clients.SLOWEST_CALL_SECONDS + 1) * 1000)


class Silence:
    """A server on loopback that accepts connections and never answers. `tries` are the accepted connections."""

    def __init__(self, shop: Shop) -> None:
        self._shop, self._server, self.tries = shop, socket.create_server(("127.0.0.1", 0)), list[socket.socket]()
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._inside = False  # whether a silent client makes a call, which is then not intercepted again
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.tries.append(self._server.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        for opened in (self._server, *self.tries):
            opened.close()

    def of(self, *operations: str) -> AbstractContextManager[None]:
        """Sends these operations (all if none is named) to the server, with botocore's retries, within the block."""
        silent = {service: clients._client(service) for service in ("dynamodb", "sqs")}

        def intercept(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
            if self._inside or (operations and operation not in operations):
                return go()
            self._inside = True
            try:
                return silent["sqs" if "Message" in operation else "dynamodb"]._make_api_call(operation, arguments)
            finally:
                self._inside = False

        return self._shop.faults.injected(intercept)


@pytest.fixture
def silence(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Silence]:
    made = Silence(shop)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the time-outs of the clients, so that the tests are fast."""
    monkeypatch.setattr(clients, "CONNECT_SECONDS", SILENT_SECONDS)
    monkeypatch.setattr(clients, "READ_SECONDS", SILENT_SECONDS)


def is_unavailable(answer: Answer) -> bool:
    return (answer.status, answer.headers.get("retry-after")) == (503, "1")


def test_three_unanswered_calls_fit_each_function_s_time_out() -> None:
    usual = template.load()["Globals"]["Function"]["Timeout"]
    for name, function in template.functions().items():
        assert function.get("Timeout", usual) > 3 * clients.SLOWEST_CALL_SECONDS, name


@pytest.mark.usefixtures("shop")
def test_slowest_call_seconds_is_the_longest_wait_of_the_clients() -> None:
    for client in (clients.dynamodb(), clients.sqs()):
        config = client.meta.config
        waits = config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout)
        assert waits + 1 == clients.SLOWEST_CALL_SECONDS  # 1: botocore's pause between the tries


def test_a_submission_is_answered_in_time(shop: Shop, silence: Silence) -> None:
    """The time-outs are not shortened here."""
    forget_warm_state()
    with silence.of():
        started = time.monotonic()
        answer = shop.submit(ORDER)
        seconds = time.monotonic() - started
    assert is_unavailable(answer)
    assert answer.body["error"]["name"] == "Unavailable"
    assert len(silence.tries) == clients.TRIES
    assert seconds < template.load()["Globals"]["Function"]["Timeout"]


CALLS: dict[str, Callable[[Shop], Answer]] = {
    "submit": lambda shop: shop.submit(ORDER),
    "edit": lambda shop: shop.edit("v-1", {"total": 2}),
    "delete": lambda shop: shop.delete("v-1"),
    "record": lambda shop: shop.send(EVENT),
    "record a batch": lambda shop: shop.send_batch([EVENT]),
    "read": lambda shop: shop.get(PERSON),
    "purge": lambda shop: shop.request("DELETE", "/v1/transactions", headers={"x-confirm": "purge"}),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("cached", [False, True], ids=["key not cached", "key cached"])
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_accepted_that_could_not_be_checked_or_queued(
    shop: Shop, silence: Silence, name: str, cached: bool
) -> None:
    forget_warm_state()
    if cached:
        assert shop.get("/v1/account").status == 200
    with silence.of():
        answer = CALLS[name](shop)
    assert is_unavailable(answer)
    # One to three calls, each with its retries.
    assert clients.TRIES <= len(silence.tries) <= 3 * clients.TRIES
    assert shop.receive() == []


@pytest.mark.usefixtures("impatient")
def test_a_write_without_an_answer_is_503_before_the_time_out(shop: Shop, silence: Silence) -> None:
    with silence.of("TransactWriteItems"):
        started = time.monotonic()
        answer = shop.submit(ORDER, milliseconds=SHORT)
        seconds = time.monotonic() - started
    assert is_unavailable(answer)
    assert len(silence.tries) >= clients.TRIES
    assert seconds < SHORT / 1000
    assert shop.get("/v1/order/v-1").status == 404
    assert shop.submit(ORDER).status == 201
    assert shop.ltv("ann@example.com") == {"USD": "1.00"}


@pytest.mark.usefixtures("impatient")
def test_a_request_is_answered_without_a_record_if_time_is_short(shop: Shop, silence: Silence) -> None:
    assert shop.submit(ORDER).status == 201
    no_time = round(clients.SLOWEST_CALL_SECONDS * 1000)  # the deadline has passed at the start
    with silence.of("PutItem", "UpdateItem"):
        repeated = shop.submit(ORDER, milliseconds=no_time)
        refused = shop.submit({}, milliseconds=no_time)
    assert (repeated.status, refused.status) == (201, 400)
    assert silence.tries == []


@pytest.mark.usefixtures("impatient")
def test_messages_that_cannot_be_worked_on_or_queued_again_are_partial_failures(shop: Shop, silence: Silence) -> None:
    for number in range(3):
        assert shop.send(EVENT | {"order_id": f"s-{number}"}).status == 202
    records = shop.receive()
    with silence.of():
        failed = shop.deliver(records)
    assert sorted(failed) == sorted(record["messageId"] for record in records)
    shop.drain()
    assert shop.ltv("ann@example.com") == {"USD": "6.00"}
