"""Runs purges and erasures, makes other calls during their calls, and reads the state afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.handlers.audiences import job
from tests.handlers.deadletters import refuse_writes_of
from tests.handlers.events import event
from tests.handlers.rights import USED_RIGHTS
from tests.handlers.shop import ACCOUNT, ADMIN, JOBS_QUEUE, ORDERS_QUEUE, Shop
from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.ledger.items import Scope
from tillbook.records.deadletters import DeadLetters
from tillbook.records.messages import Message, QueuedOrder
from tillbook.records.outcomes import Outcome, Outcomes
from tillbook.rules import times
from tillbook.rules.identity import Person, Source, email_sha256, order_key
from tillbook.rules.packing import unpack
from tillbook.work import processing
from tillbook.work.processing import Processor

ANN, BOB = "ann@example.com", "bob@example.com"
ANN_ID, BOB_ID = (Person("email", email_sha256(email)).id_in(ACCOUNT) for email in (ANN, BOB))
ANN_SHA256 = email_sha256(ANN)
SHIP = {"address_1": "123 Ship St.", "postal_code": "01234"}
V3_SCOPE = Scope(ACCOUNT, "shopper_activity")
ORDER_KEY = order_key("shopper_activity", "shopify", "o-1")  # of the order o-1 that `event` makes
CONFIRMED = {"x-confirm": "purge"}
PURGE, ERASE = "/v1/transactions", f"/v3/{ACCOUNT}/people/{ANN}"  # paths to DELETE
Go = Callable[[], Any]  # makes a call that was intercepted
Intercept = Callable[[int, str, dict[str, Any], Go], Any]
LOST_ANSWER = ReadTimeoutError(endpoint_url="https://dynamodb")


def request_removal(shop: Shop, path: str, body: Any = None, *, key: str = ADMIN) -> str:
    """Requests a purge or an erasure. Returns the id of its job."""
    answer = shop.request("DELETE", path, body, headers=CONFIRMED, key=key)
    assert answer.status == 202, answer.body
    return str(answer.body["job_id"])


def start_purge(shop: Shop, source: Source | None = None, *, key: str = ADMIN) -> str:
    """Starts a purge of one source or of both. Returns the id of its job."""
    return request_removal(shop, PURGE, {"source": source} if source else None, key=key)


def finish(shop: Shop, job_id: str) -> dict[str, Any]:
    """Runs a job to its end. Returns the job."""
    shop.settle()
    found = job(shop, job_id)
    assert found["status"] == "done", found
    return found


def run_purge(shop: Shop, source: Source | None = None) -> dict[str, Any]:
    return finish(shop, start_purge(shop, source))


def start_erasure(shop: Shop, who: str = ANN) -> str:
    return request_removal(shop, f"/v3/{ACCOUNT}/people/{who}")


def run_erasure(shop: Shop, who: str = ANN) -> dict[str, Any]:
    return finish(shop, start_erasure(shop, who))


def deliver_first_held(shop: Shop) -> None:
    """Delivers the first of the delayed messages that Shop.faults holds: a job's, which waits for SettleSeconds."""
    queue, body = shop.faults.held.pop(0)
    shop.sqs.send_message(QueueUrl=queue, MessageBody=body)
    shop.drain()


def limit_partitions(shop: Shop, patch: pytest.MonkeyPatch) -> None:
    """Limits jobs to the partitions that have items now, in any generation, so that a test can run many jobs."""
    full, all_of = {item["pk"].split("/", 2)[2] for item in shop.items("LedgerTable")}, Scope.partitions
    patch.setattr(
        Scope, "partitions", lambda scope, *part: [pk for pk in all_of(scope, *part) if pk.split("/", 2)[2] in full]
    )


# -------------------------------------------------- other calls during a call


def intercept_first(operation: str, text: str, do: Callable[[Go], Any]) -> Intercept:
    """Lets `do` answer the first call of an operation whose arguments contain `text`. `do` gets a function that makes
    the call."""
    begun: list[bool] = []

    def intercept(_index: int, name: str, arguments: dict[str, Any], go: Go) -> Any:
        if begun or name != operation or text not in str(arguments):
            return go()
        begun.append(True)
        with USED_RIGHTS.uncounted():
            return do(go)

    return intercept


@contextmanager
def meanwhile(shop: Shop, operation: str, text: str, do: Callable[[], Any], *, after: bool = False) -> Iterator[None]:
    """Runs `do` before, or `after`, the first call of an operation whose arguments contain `text`."""
    begun: list[bool] = []

    def others(go: Go) -> Any:
        begun.append(True)
        answer = go() if after else None
        do()
        return answer if after else go()

    with shop.faults.injected(intercept_first(operation, text, others)):
        yield
    assert begun, f"no call of {operation} contained {text}"


def lose_first_answer(do: Callable[[], Any], *, written: bool = True) -> Intercept:
    """An intercept that runs `do` during the first transaction and loses its answer. `written`: the transaction takes
    effect, before `do`."""

    def lose(go: Go) -> Any:
        if written:
            go()
        do()
        raise LOST_ANSWER

    return intercept_first("TransactWriteItems", "", lose)


def worker() -> Processor:
    """A new processor, like that of another function instance."""
    return processing._build(settings())


def stale_worker(shop: Shop) -> Processor:
    """A worker that reads the marks of purges and erasures now, and never sees later ones."""
    made = worker()
    marks = made.scopes.read(ACCOUNT, [ANN_ID, BOB_ID])
    made.scopes = cast(Any, SimpleNamespace(read=lambda *_: marks))
    return made


def process(processor: Processor, *records: dict[str, Any]) -> None:
    """Delivers messages to a worker, within 60 seconds. None of them may fail."""
    assert processor.run(list(records), 60) == {"batchItemFailures": []}


def deliver_slowly(shop: Shop, seconds: float = 60) -> Iterator[float]:
    """Delivers messages one by one to a worker whose calls take a second each, until both queues are empty. Yields the
    seconds that each delivery took."""
    processor, spent = worker(), [0.0]
    processor.clock = lambda: spent[0]
    processor.ledger.pace = processor.ledger.pace._replace(clock=processor.clock)

    def slow(_index: int, _operation: str, _arguments: dict[str, Any], go: Go) -> Any:
        spent[0] += 1
        return go()

    while records := shop.receive(JOBS_QUEUE) or shop.receive():
        began = spent[0]
        with shop.faults.injected(slow):
            assert processor.run(records[:1], seconds) == {"batchItemFailures": []}
        shop.acknowledge(records[0])
        yield spent[0] - began


def receive_event(shop: Shop, body: dict[str, Any], **options: Any) -> tuple[str, dict[str, Any]]:
    """Sends an event and receives its message without applying it. Returns the request id and the message."""
    request_id = str(shop.send(body, **options).body["request_id"])
    [record] = shop.receive()
    shop.acknowledge(record)
    return request_id, record


# ------------------------------------------------- the state after a removal


def ltv_of(shop: Shop, who: str) -> dict[str, str] | None:
    """The lifetime value of a person by currency; None if there is no such person."""
    answer = shop.get(f"/v3/{ACCOUNT}/people/{who}")
    return answer.body["lifetime_value"] if answer.status == 200 else None


def activities_of(shop: Shop, who: str) -> list[tuple[str, str]]:
    """(name, order id) of each activity of a person, newest first."""
    answer = shop.get(f"/v3/{ACCOUNT}/people/{who}/activity")
    return [(a["name"], a["order"]["order_id"]) for a in answer.body["activity"]] if answer.status == 200 else []


def outcome(shop: Shop, request_id: str) -> tuple[str, str | None]:
    """(status, reason) of a v3 request."""
    found = shop.status(request_id)
    return found["status"], found["reason"]


def list_outcomes(shop: Shop, limit: int = 200, **query: str) -> list[dict[str, Any]]:
    """All outcomes that match a query, read page by page."""
    found: list[dict[str, Any]] = []
    asked = query | {"limit": str(limit)}
    while True:
        answer = shop.get("/v1/transactions", query=asked)
        assert answer.status == 200, answer.body
        assert len(answer.body["transactions"]) <= limit
        found += answer.body["transactions"]
        if answer.body["next_cursor"] is None:
            return found
        asked["cursor"] = answer.body["next_cursor"]


def record_outcomes(count: int, status: str = "applied", notes: Sequence[str] = ()) -> list[str]:
    """Records `count` outcomes of v1 edits. Returns their request ids, the newest first."""
    now, ids = times.now(), [times.uuid7() for _ in range(count)]
    outcomes = [Outcome(ACCOUNT, "orders_api", i, status, now, "edited", "", "o-1", notes=[*notes]) for i in ids]
    Outcomes(clients.dynamodb(), settings().records_table).record(outcomes)
    return sorted(ids, reverse=True)


def dead_letter_ids(shop: Shop) -> list[str]:
    """The ids of all dead letters."""
    return [letter["id"] for letter in shop.get("/v1/deadletters").body["deadletters"]]


def make_dead_letters(shop: Shop, *order_ids: str, **changes: Any) -> list[str]:
    """Sends placed events, of Ann unless changed, that become dead letters. Returns their request ids."""
    ids = []
    for order_id in order_ids:
        ids.append(shop.send(event(order_id=order_id, **({"email": ANN} | changes))).body["request_id"])
        with shop.faults.injected(refuse_writes_of(order_id)):
            shop.drain(40)
    return ids


def store_dead_letter(shop: Shop, order_id: str = "poison", total: int = 100) -> str:
    """Stores a dead letter of an event of Ann's, without sending the event. Returns its request id."""
    received, request_id = times.now(), times.uuid7()
    body = {"provider": "shopify", "action": "placed", "order_id": order_id, "grand_total": total}
    person = ["email", email_sha256(ANN)]
    queued = QueuedOrder(ACCOUNT, request_id, received, 0, f"e-{order_id}", received, person, body)
    DeadLetters(shop.dynamodb, settings().records_table).keep(ACCOUNT, request_id, "x", Message(orders=[queued]))
    return request_id


def ledger_items(shop: Shop, account: str = ACCOUNT) -> list[dict[str, Any]]:
    """The items of an account's ledger in all generations."""
    return [item for item in shop.items("LedgerTable") if item["pk"].startswith(f"{account}/")]


def is_emptied(item: dict[str, Any]) -> bool:
    """Whether the item is a head or an event that was emptied, so that it has no data of a person."""
    return item.keys() - {"pk", "sk"} <= {"writes", "bytes", "version", "received", "deleted", "request", "hash"}


def stored_outcome_ids(shop: Shop) -> set[str]:
    """The request ids of all stored outcomes, in their lists by status (`t`) and by order (`x`)."""
    return {i["sk"] for i in shop.items("RecordsTable") if i["pk"].startswith((f"{ACCOUNT}/t/", f"{ACCOUNT}/x/"))}


def traces(shop: Shop, *texts: str) -> list[str]:
    """The items of LedgerTable and RecordsTable, and the messages, that contain any of the texts."""
    found = []
    for name in ("LedgerTable", "RecordsTable"):
        for item in shop.items(name):
            if item["pk"] in (f"{ACCOUNT}/u", f"{ACCOUNT}/j"):
                continue  # marks and open jobs have our own id of the person, so that queued events are erased, too
            unpacked = str({k: unpack(v) if isinstance(v, bytes) else v for k, v in item.items()})
            found += [f"{name} {item['pk']} {item['sk']}" for text in texts if text in unpacked]
    bodies = [record["body"] for queue in (ORDERS_QUEUE, JOBS_QUEUE) for record in shop.receive(queue)]
    bodies += [body for _, body in shop.faults.held]
    return found + [body for body in bodies for text in texts if text in body]


def send_refunds(shop: Shop, count: int) -> None:
    """Sends `count` refunds of one order in a batch."""
    refund = {"email": ANN, "action": "refunded", "grand_total": ..., "refund_amount": 1}
    bodies = [event(**refund, occurred_at=f"2019-02-01T00:{n:02}:00Z") for n in range(count)]
    assert shop.send_batch(bodies).status == 202
