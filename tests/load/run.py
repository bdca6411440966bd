"""Sends more requests than the stack can process. Accepted ones must count once, refused ones must get a valid error.

First the run measures how many requests a second the stack answers with 2xx when each connection waits for its answer.
Then it sends a multiple of that rate at fixed times, without waiting for answers, over a bounded number of connections.
The throttling of the API is set to the measured rate (beyond it: 429), and the concurrency of Lambda to CAPACITY
(beyond it: 503): the template's own limits are meant for AWS.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from tests.concurrency.books import V1, V3, check_book, check_people, parts, scope_of, source_of
from tests.end_to_end.privacy import BOOK, LEDGER, RECORDS, table_items
from tests.end_to_end.shop import Shop, basic
from tests.simulation.progress import Progress
from tillbook.rules.identity import Person, email_sha256

PROVIDER = "load_shop"
PEOPLE = 500
BATCH = 10
MEASURING_CONNECTIONS = 16  # while the rate is measured
# Requests that may be open at the front door under load: four for each of the eight functions that it calls at once.
CAPACITY = 32
WARM_UP_SECONDS = 2.0
# A request that is late by more than this is not sent, since it would change the rate.
LATE_SECONDS = 2.0
DRAIN_SECONDS = 600.0
# API Gateway's own messages, by status.
GATEWAY = {429: "Too Many Requests", 503: "Service Unavailable"}


@dataclass(frozen=True)
class Order:
    source: str
    order_id: str
    amount: Decimal
    email: str


@dataclass(frozen=True)
class Request:
    path: str
    body: bytes
    orders: tuple[Order, ...]


@dataclass(frozen=True)
class Reply:
    """The answer to a request. `status` is 0 if no answer arrived."""

    request: Request
    status: int
    headers: dict[str, str]
    text: str
    seconds: float


@dataclass
class Result:
    """The result of a run. `faults` is empty if every check passed.

    Attributes:
        carried: requests a second that were answered with 2xx while the rate was measured.
        offered: requests a second that were due afterwards, under load.
        sent: number of requests that were sent under load.
        held_back: number of requests that were not sent, because they were late.
        orders: number of stored orders.
        undecided: number of stored orders for which no request was answered with 2xx.
        slowest: seconds within which 99 of 100 requests were answered.
    """

    seed: int
    carried: float = 0.0
    offered: float = 0.0
    sent: int = 0
    held_back: int = 0
    drain_seconds: float = 0.0
    orders: int = 0
    undecided: int = 0
    slowest: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        answers = ", ".join(f"{status or 'none'}: {count:,}" for status, count in sorted(self.statuses.items()))
        lines = [
            f"carried {self.carried:.0f} requests/s; offered {self.offered:.0f}/s (seed {self.seed})",
            f"sent {self.sent:,}, held back by the client {self.held_back:,}",
            f"answers: {answers}; 99 of 100 within {self.slowest:.2f} s",
            f"drained in {self.drain_seconds:.1f} s",
            f"{self.orders:,} orders are stored, {self.undecided} of them from requests without a 2xx",
        ]
        if self.faults:
            lines += [f"NOT RIGHT, {len(self.faults)} faults:", *self.faults[:20]]
        else:
            lines.append("every 2xx applied once, every refusal honest, every total exact")
        return "\n".join(lines)


def requests(shop: Shop, seed: int, phase: str) -> Callable[[int], Request]:
    """Returns a function that makes the n-th request from the seed. One in twenty repeats an earlier request."""

    def order(name: str, source: str, random: Random) -> Order:
        cents = random.randrange(1, 100_000)
        return Order(source, name, Decimal(cents) / 100, shop.email(f"load-{random.randrange(PEOPLE)}"))

    def event(order: Order) -> dict[str, Any]:
        return {
            "provider": PROVIDER, "email": order.email, "action": "placed", "order_id": order.order_id,
            "occurred_at": "2026-01-17T20:50:00Z", "grand_total": str(order.amount),
            "items": [{"product_id": "p-1", "name": "A thing", "price": str(order.amount), "quantity": 1}],
        }  # fmt: skip

    def request(number: int) -> Request:
        random = Random(f"{seed}/{phase}/{number}")
        if number > 20 and random.random() < 0.05:
            return request(random.randrange(number))
        kind, name = random.random(), f"{phase}-{number}"
        path = f"/v3/{shop.account}/shopper_activity/order"
        if kind < 0.6:
            single = order(name, V3, random)
            return Request(path, json.dumps(event(single)).encode(), (single,))
        if kind < 0.7:
            orders = tuple(order(f"{name}-{position}", V3, random) for position in range(BATCH))
            return Request(f"{path}/batch", json.dumps({"orders": [event(o) for o in orders]}).encode(), orders)
        single = order(name, V1, random)
        body = {"order_id": name, "order_date": "2026-01-17", "total": str(single.amount)}
        return Request("/v1/order", json.dumps(body | {"customer_email": single.email}).encode(), (single,))

    return request


class Client:
    """Sends requests from several threads, each with its own connection."""

    def __init__(self, shop: Shop, make: Callable[[int], Request], connections: int) -> None:
        self.replies: list[Reply] = []
        self.held_back = 0
        self._shop, self._make, self._connections = shop, make, connections
        self._lock, self._next = threading.Lock(), 0

    def run(self, seconds: float, rate: float | None, progress: Progress) -> None:
        """Sends `rate` requests a second; if it is None, each connection sends as soon as it has its answer."""
        start = time.monotonic()
        threads = [
            threading.Thread(target=self._work, args=(start, seconds, rate, progress)) for _ in range(self._connections)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, start: float, seconds: float, rate: float | None, progress: Progress) -> None:
        connection: http.client.HTTPConnection | None = None
        while True:
            with self._lock:
                number = self._next
                self._next += 1
            due = start + (number / rate if rate else 0)
            if due - start >= seconds or (rate is None and time.monotonic() - start >= seconds):
                break
            now = time.monotonic()
            if rate and now - due > LATE_SECONDS:
                with self._lock:
                    self.held_back += 1
                    progress.add()
                continue
            if due > now:
                time.sleep(due - now)
            connection, reply = self._send(connection, self._make(number))
            with self._lock:
                self.replies.append(reply)
                progress.add()
        if connection:
            connection.close()

    def _send(
        self, connection: http.client.HTTPConnection | None, request: Request
    ) -> tuple[http.client.HTTPConnection | None, Reply]:
        key = self._shop.ingest_key
        authorization = f"Bearer {key}" if request.path.startswith("/v1") else basic(f"{key}:")
        headers = {"content-type": "application/json", "authorization": authorization}
        began = time.monotonic()
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", self._shop.stack.port, timeout=60)
            connection.request("POST", request.path, request.body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        except OSError as error:
            if connection:
                connection.close()
            return None, Reply(request, 0, {}, type(error).__name__, time.monotonic() - began)
        found = {name.lower(): value for name, value in response.headers.items()}
        return connection, Reply(request, response.status, found, text, time.monotonic() - began)


def run(shop: Shop, *, seconds: float, times: float, seed: int, connections: int = 64, quiet: bool = False) -> Result:
    """Measures the rate of the stack, sends `times` as much for `seconds`, and checks the answers and stored items."""
    result = Result(seed)
    shop.stack.throttle(None)
    replies: list[Reply] = []
    for phase, length in (("warm", WARM_UP_SECONDS), ("measured", max(seconds / 6, 1.0))):
        client = Client(shop, requests(shop, seed, phase), MEASURING_CONNECTIONS)
        client.run(length, None, Progress(0, "", quiet=True))
        replies += client.replies
        result.carried = sum(1 for reply in client.replies if 200 <= reply.status < 300) / length
    if not quiet:
        print(f"The local stack carries {result.carried:.0f} requests/s.", flush=True)
    shop.stack.throttle((result.carried, result.carried / 4), capacity=CAPACITY)
    result.offered = result.carried * times
    progress = Progress(int(result.offered * seconds), "requests", quiet=quiet)
    client = Client(shop, requests(shop, seed, "load"), connections)
    client.run(seconds, result.offered, progress)
    progress.clear()
    result.sent, result.held_back = len(client.replies), client.held_back
    result.statuses = Counter(reply.status for reply in client.replies)
    waits = sorted(reply.seconds for reply in client.replies)
    result.slowest = waits[int(len(waits) * 0.99)] if waits else 0.0
    shop.stack.throttle(None)
    result.drain_seconds = drain(shop)
    replies += client.replies
    result.faults += [fault for reply in replies if (fault := wrong_answer(reply))]
    check(shop, replies, result)
    return result


def drain(shop: Shop) -> float:
    """Waits until the queue has no visible, invisible or delayed messages. Returns the duration in seconds."""
    sqs, start = shop.stack.boto3_client("sqs"), time.monotonic()
    names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
    empty = 0
    while empty < 3:
        answer = sqs.get_queue_attributes(QueueUrl=shop.stack.outputs["OrdersQueueUrl"], AttributeNames=names)
        empty = 0 if any(int(answer["Attributes"].get(name, 0)) for name in names) else empty + 1
        if time.monotonic() - start > DRAIN_SECONDS:
            raise TimeoutError(f"The queue is not empty after {DRAIN_SECONDS:.0f} s: {answer['Attributes']}")
        time.sleep(0.3)
    return time.monotonic() - start


# ----------------------------------------------------------------------- checks


def wrong_answer(reply: Reply) -> str:
    """Describes why an answer is not valid; empty if it is."""
    request, status = reply.request, reply.status
    if status == 0:
        return ""  # without an answer, the order may be stored or not
    try:
        body = json.loads(reply.text)
    except ValueError:
        return f"{status} of {request.path} is no JSON: {reply.text[:100]}"
    v1 = request.path.startswith("/v1")
    if status in (201, 202):
        right = body.get("order_id") == request.orders[0].order_id if v1 else len(ids_of(body)) == len(request.orders)
        return "" if right and (status == 201) is v1 else f"{status} of {request.path} says {reply.text[:100]}"
    if body == {"message": GATEWAY.get(status)}:
        return ""
    if status == 503 and reply.headers.get("retry-after"):
        if v1 and isinstance(body.get("error"), dict) and body["error"].get("name") == "Unavailable":
            return ""
        if not v1 and [error.get("code") for error in body.get("errors", [])] == ["unavailable_error"]:
            return ""
    return f"{status} of {request.path} says {reply.text[:200]}"


def ids_of(body: dict[str, Any]) -> list[str]:
    return list(body.get("request_ids") or [body["request_id"]])


Item = dict[str, Any]


def check(shop: Shop, replies: list[Reply], result: Result) -> None:
    """Compares the stored items with the answers, and adds the faults and the numbers of orders to `result`."""
    ledger, records = (
        [item for item in table_items(shop.stack, name) if str(item["pk"]).startswith(f"{shop.account}/")]
        for name in (LEDGER, RECORDS)
    )
    found = parts(ledger)
    heads = {(source_of(item), str(item["order_id"])): item for item in found["heads"]}
    result.orders = len(heads)
    result.faults += check_people(found["people"], found["heads"])
    result.faults += check_book(lambda: table_items(shop.stack, BOOK), found["heads"])
    result.faults += list(_orders(found["events"], heads, replies, result))
    result.faults += list(_sums(shop, found["people"], heads, replies))
    result.faults += list(_outcomes(records, replies))


def _orders(
    items: list[Item], heads: dict[tuple[str, str], Item], replies: list[Reply], result: Result
) -> Iterator[str]:
    """Checks that all accepted orders are stored, and that each stored order was sent, counts its amount, has one
    event, and was not refused with 429 each time. Counts the undecided orders."""
    events = Counter((scope_of(item), str(item["sk"]).partition("!")[0]) for item in items)
    sent: dict[tuple[str, str], Order] = {}
    statuses: dict[tuple[str, str], set[int]] = defaultdict(set)
    for reply in replies:
        for order in reply.request.orders:
            sent[order.source, order.order_id] = order
            statuses[order.source, order.order_id].add(reply.status)
    for key in sent:
        if statuses[key] & {201, 202} and key not in heads:
            yield f"{key} was accepted, but is not stored"
    for key, head in heads.items():
        if events.pop((scope_of(head), str(head["sk"])), 0) != 1:
            yield f"{key} does not have one event"
        if key not in sent:
            yield f"{key} was never sent"
        elif statuses[key] == {429}:
            yield f"{key} was refused with 429, but is stored"
        elif head["contribution"] != sent[key].amount:
            yield f"{key} counts {head['contribution']}, not {sent[key].amount}"
        elif not statuses[key] & {201, 202}:
            result.undecided += 1
    for place in events:
        yield f"there are events of {place} without an order"


def _sums(shop: Shop, people: list[Item], heads: dict[tuple[str, str], Item], replies: list[Reply]) -> Iterator[str]:
    """Compares totals by person and source with the requests."""
    must: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for order in {(o.source, o.order_id): o for reply in replies for o in reply.request.orders}.values():
        if (order.source, order.order_id) in heads:
            must[Person("email", email_sha256(order.email)).id_in(shop.account), order.source] += order.amount
    have: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for item in people:
        # `#USD` is the number of the person's orders in USD, and `USD` their sum.
        for name in [name for name in item if name.startswith("#") and item[name]]:
            have[str(item["sk"]), source_of(item)] += item.get(name[1:], Decimal(0))
    for key in must.keys() | have.keys():
        if must.get(key) != have.get(key):
            yield f"the LTV of {key} is {have.get(key)}, not {must.get(key)}"


def _outcomes(records: list[Item], replies: list[Reply]) -> Iterator[str]:
    """Checks that each request answered with 202 was applied or is a duplicate, and that there are no dead letters."""
    known: dict[str, set[str]] = defaultdict(set)
    for item in records:
        _, kind, *rest = str(item["pk"]).split("/")
        if kind == "t":  # {account}/t/{status}/…
            known[str(item["sk"])].add(rest[0])
        elif kind == "d":
            yield f"{item['sk']} is a dead letter: {item['reason']}"
    for reply in replies:
        for request_id in ids_of(json.loads(reply.text)) if reply.status == 202 else ():
            if not known[request_id] or not known[request_id] <= {"applied", "duplicate"}:
                yield f"{request_id} is {sorted(known[request_id]) or 'unknown'}"
