"""Delivers histories to the real handler, and its messages to the real processing, with tables and queue in memory."""

from __future__ import annotations

import io
import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from tests.audience_run.costs import INDEXES
from tests.handlers import template
from tests.handlers.clock import Clock
from tests.handlers.shop import Context, forget_clients
from tests.platforms.sender import SHOPIFY_SECRET, signed
from tests.simulation.errors import client_error
from tests.simulation.queues import SQS
from tests.simulation.store import DynamoDB
from tests.webhooks.shops import BEGIN, PEOPLE, SHOPS, Arrival, History, money
from tillbook.aws import clients, telemetry
from tillbook.aws.secrets import Secrets
from tillbook.ledger.commit import Pace
from tillbook.records import rejections
from tillbook.records.accounts import Account, Accounts
from tillbook.records.connections import Connections
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.errors import NotFound
from tillbook.views.audiences import Audiences
from tillbook.views.people import People
from tillbook.web import webhooks
from tillbook.work import processing

ACCOUNT = "1234567"
LEDGER, RECORDS, QUEUE = "LedgerTable", "RecordsTable", "https://sqs.test/OrdersQueue"


class Parameters:
    """The part of Systems Manager that Tillbook uses."""

    exceptions = SimpleNamespace(ParameterAlreadyExists=KeyError, ParameterNotFound=LookupError)

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool) -> None:  # noqa: N803 - as AWS has it
        assert Type == "SecureString"
        if Name in self.values and not Overwrite:
            raise KeyError(Name)
        self.values[Name] = Value

    def get_parameter(self, *, Name: str, WithDecryption: bool) -> Any:  # noqa: N803
        assert WithDecryption
        return {"Parameter": {"Value": self.values[Name]}}


class Receiver:
    """One account with both platforms connected; `open` empties the store."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def open(self) -> None:
        self.dynamodb, self.ssm = DynamoDB(), Parameters()
        self.dynamodb.add_table(LEDGER, **INDEXES)
        self.dynamodb.add_table(RECORDS)
        self.sqs = SQS(lambda: 0.0, url=QUEUE)
        for cached in (webhooks._connections, webhooks._queue, processing.processor):
            cached.cache_clear()
        processing.processor().ledger.pace = Pace(sleep=lambda _: None)
        rejections._paused_until.clear()
        Accounts(self.dynamodb, RECORDS).create(Account(ACCOUNT))
        connections = Connections(self.dynamodb, RECORDS, Secrets(self.ssm, "tillbook"))
        self.secrets = {
            "woocommerce": connections.create(ACCOUNT, "woocommerce", "woocommerce")[1],
            "shopify": connections.create(ACCOUNT, "shopify", "shopify", entered=SHOPIFY_SECRET)[1],
        }

    def post(self, connection: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """Passes a webhook to the handler as API Gateway does, and returns the answer."""
        event = {
            "version": "2.0", "routeKey": "POST /connect/{account_id}/{connection}",
            "headers": {name.lower(): value for name, value in headers.items()},
            "pathParameters": {"account_id": ACCOUNT, "connection": connection},
            "body": b64encode(body).decode(), "isBase64Encoded": True,
        }  # fmt: skip
        return webhooks.receive(event, Context())

    def deliver(self, platform: str, arrival: Arrival) -> int:
        """Sends a delivery, with a wrong signature if it is not genuine. Returns the status of the answer."""
        secret = self.secrets[platform] if arrival.genuine else "another"
        sent = signed(platform, secret, arrival.topic, arrival.body, delivery=arrival.id)
        return int(self.post(platform, sent.headers, sent.body)["statusCode"])

    def process(self, random: Random, *, everything: bool = False) -> None:
        """Processes some queued messages in random order. With `everything`, processes all.

        After processing, one message in ten is delivered again, as if its deletion had failed.
        """
        while visible := self.sqs.visible():
            random.shuffle(visible)
            records = self.sqs.receive(visible[: random.randint(1, 10)])
            answer = processing.processor().run(records, 60)
            assert not answer["batchItemFailures"], answer
            for record in records:
                if random.random() < 0.1:
                    self.sqs.change_visibility(record, 0)
                else:
                    self.sqs.delete(record)
            if not everything:
                return

    def results(self) -> tuple[dict[str, Decimal], dict[str, set[str]], int]:
        """(LTV by e-mail address, ids of orders by e-mail address, number of orders in the audience)."""
        scopes = Scopes(self.dynamodb, RECORDS).read(ACCOUNT)
        people = People(self.dynamodb, LEDGER, Account(ACCOUNT), scopes)
        worth: dict[str, Decimal] = {}
        orders: dict[str, set[str]] = {}
        for email in PEOPLE:
            try:
                person = people.find(email)
            except NotFound:
                continue
            listed = people.orders(person, 100, None).entries
            if listed:
                values = people.shown(person)["lifetime_value"]
                worth[email] = sum(map(Decimal, values.values()), Decimal(0))
                orders[email] = {order["order_id"] for order in listed}
        heads = Audiences(self.dynamodb, LEDGER, scopes).heads("shopper_activity")
        return worth, orders, sum(head.standing is not None for _, head in heads)


@contextmanager
def open_receiver() -> Iterator[Receiver]:
    tables = {name: name for name in template.resources("AWS::DynamoDB::Table")}
    environment = template.environment(tables, dict.fromkeys(template.resources("AWS::SQS::Queue"), QUEUE))
    receiver = Receiver(Clock())
    forget_clients()
    with (
        patch.dict(os.environ, environment),
        patch.object(clients, "dynamodb", lambda: receiver.dynamodb),
        patch.object(clients, "sqs", lambda: receiver.sqs),
        patch.object(clients, "ssm", lambda: receiver.ssm),
        patch.object(times, "time", receiver.clock),
        patch.object(telemetry, "metrics", SimpleNamespace(add_metric=lambda **_: None)),
        patch.object(telemetry.logger.handlers[0], "stream", io.StringIO()),
    ):
        receiver.open()
        yield receiver
    forget_clients()


@dataclass(frozen=True)
class Failure:
    history: History
    wrong: list[str]

    def __str__(self) -> str:
        return "\n".join([*self.wrong, str(self.history)])


def play(receiver: Receiver, platform: str, seed: int) -> Failure | None:
    """Delivers the history of this seed and compares LTV, orders and audience. Returns None if all are right."""
    history, random = SHOPS[platform](seed), Random(seed)
    receiver.open()
    waiting = list(history.arrivals)
    wrong: list[str] = []
    outage_rate = random.choice((0.0, 0.0, 0.2)) if history.repeats else 0.0
    while waiting:
        arrival = waiting.pop(0)
        receiver.clock.set(BEGIN)
        receiver.clock.sleep(arrival.at)
        is_down = arrival.genuine and random.random() < outage_rate
        outage: AbstractContextManager[Any] = nullcontext()
        if is_down:
            outage = patch.object(receiver.sqs, "send_message", side_effect=_refuse)
        with outage:
            status = receiver.deliver(platform, arrival)
        if status == 503 and is_down:
            again = arrival._replace(at=arrival.at + random.random() * 3600)
            waiting = sorted([*waiting, again], key=lambda one: one.at)
        elif status != (200 if arrival.genuine else 401):
            wrong.append(f"{arrival} was answered {status}")
        if random.random() < 0.5:
            receiver.process(random)
    receiver.process(random, everything=True)
    return Failure(history, wrong) if (wrong := wrong + _differences(history, receiver)) else None


def _refuse(**_: Any) -> None:
    raise client_error("ThrottlingException", "SendMessage")


def _differences(history: History, receiver: Receiver) -> list[str]:
    worth, orders, audience_size = receiver.results()
    net = {email: Decimal(money(cents)) for email, cents in history.net.items()}
    found = []
    if worth != net:
        found.append(f"LTV is {worth}, but the shop keeps {net}")
    if orders != history.orders:
        found.append(f"orders are {orders}, but must be {history.orders}")
    expected_size = sum(map(len, history.orders.values()))
    if audience_size != expected_size:
        found.append(f"the audience has {audience_size} orders, but must have {expected_size}")
    return found
