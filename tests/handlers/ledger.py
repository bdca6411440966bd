"""Writes to the ledger without the API, and errors of DynamoDB that tests inject."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.handlers.shop import ACCOUNT, Shop
from tillbook.aws.items import plain_item, raw
from tillbook.ledger.activities import Activity, Result
from tillbook.ledger.commit import Pace
from tillbook.ledger.items import EventItem, Scope, event_of
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import Document, V1Request
from tillbook.rules.identity import Person

ALICE, BOB = Person("person", "alice"), Person("person", "bob")
V1, V3 = Scope(ACCOUNT, "orders_api"), Scope(ACCOUNT, "shopper_activity")
Go = Callable[[], Any]


class Waits:
    """Virtual time, in seconds, that passes only by sleeping. `slept`: 0, and then the length of each pause."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, [0.0]

    def sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 2
        self.slept.append(seconds)
        self.now += seconds

    def pace(self) -> Pace:
        return Pace(lambda: self.now, self.sleep, random.Random(1).random)


def activity(n: int = 1, action: str = "placed", total: str | None = "100", **more: Any) -> Activity:
    """Event number `n` of Alice's order `o`, which occurred on day `n` of January 2019. `more` replaces its fields."""
    values: dict[str, Any] = {
        "account": ACCOUNT, "provider": "shopify", "order_id": "o", "event_id": f"e{n}", "request_id": f"r{n}",
        "occurred": f"2019010{n}000000000000", "received": "20190201000000000000", "position": 0, "action": action,
        "person": ALICE, "body": {"provider": "shopify", "order_id": "o", "action": action},
        "total": None if total is None else Decimal(total),
    }  # fmt: skip
    return Activity(**values | more)


def copy(month: int, request_id: str, person: Person = ALICE, **more: Any) -> Activity:
    """A copy of event `e1`, as it is sent under an idempotency key. It occurred, and was received, on the first day of
    `month` of 2019."""
    received = f"2019{month:02}01000000000000"
    return activity(
        1, total="1", person=person, received=received, occurred=received, content_hash="h", request_id=request_id,
        **more,
    )  # fmt: skip


def apply(ledger: Ledger, sent: Activity, deadline: float = 60, *, erased: bool = False) -> Result:
    """Applies one event. `erased`: an erasure covers the event. Raises the error of its result."""
    (result,) = ledger.apply(V3, [sent], deadline, lambda one: erased)
    if isinstance(result, Exception):
        raise result
    return result


def event_item(ledger: Ledger, sent: Activity) -> EventItem:
    """The stored item of an event."""
    answer = ledger.client.get_item(
        TableName=ledger.table, Key=raw(V3.event_key(sent.order_key, sent.event_id)), ConsistentRead=True
    )
    return event_of(plain_item(answer["Item"]))


def document(total: int = 100, order_id: str = "o", person: Person = ALICE) -> Document:
    body = {"order_id": order_id, "order_date": "20190101000000000000", "currency": "USD", "total": total}
    return Document(order_id, body, "20190101000000000000", person, "USD", Decimal(total))


def cancelled_error(*codes: str) -> ClientError:
    """The error of a transaction that was cancelled for these reasons, one for each of its items."""
    answer: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": ""},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return ClientError(answer, "TransactWriteItems")


def refused_error(code: str, operation: str = "TransactWriteItems") -> ClientError:
    """The error of a call that was refused as a whole."""
    return ClientError({"Error": {"Code": code, "Message": ""}}, operation)


def before_the_first(shop: Shop, operation: str, *rivals: Callable[[], Any], which: str = "") -> Any:
    """Runs the rivals, one before each of the first calls of an operation whose arguments contain `which`."""
    waiting = list(rivals)

    def intercept(index: int, name: str, arguments: dict[str, Any], go: Go) -> Any:
        if waiting and name == operation and which in str(arguments):
            rival = waiting.pop(0)
            shop.faults.intercept = None
            rival()
            shop.faults.intercept = intercept
        return go()

    return shop.faults.injected(intercept)


def fail_first(
    times: int, *operations: str, error: Callable[[str, dict[str, Any]], Exception], after: bool = False
) -> Any:
    """An intercept: the first `times` calls of these operations fail, before or `after` they take effect."""
    remaining = [times]

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation not in operations or not remaining[0]:
            return go()
        remaining[0] -= 1
        if after:
            go()
        raise error(operation, arguments)

    return intercept


# Temporary errors of a transaction with `n` items.
TEMPORARY_ERRORS = {
    "conflict on the head": lambda n: cancelled_error("TransactionConflict", *["None"] * (n - 1)),
    "conflict on the person": lambda n: cancelled_error(*["None"] * (n - 1), "TransactionConflict"),
    "conflict everywhere": lambda n: cancelled_error(*["TransactionConflict"] * n),
    "throttled": lambda n: cancelled_error("None", "ThrottlingError", *["None"] * (n - 2)),
    "throughput and conflict": lambda n: cancelled_error(
        "ProvisionedThroughputExceeded", "TransactionConflict", *["None"] * (n - 2)
    ),
    "refused as a whole": lambda n: refused_error("ThrottlingException"),
    "request limit": lambda n: refused_error("RequestLimitExceeded"),
    "in progress": lambda n: refused_error("TransactionInProgressException"),
    "server fault": lambda n: refused_error("InternalServerError"),
    "front end": lambda n: ClientError(
        {"Error": {"Code": "503", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 503}},  # type: ignore[typeddict-item]
        "TransactWriteItems",
    ),
    "without reasons": lambda n: refused_error("TransactionCanceledException"),
    "connection": lambda n: EndpointConnectionError(endpoint_url="https://dynamodb"),
    "timed out": lambda n: ReadTimeoutError(endpoint_url="https://dynamodb"),
}


def make_error(name: str) -> Callable[[str, dict[str, Any]], Exception]:
    """A function that makes an error of TEMPORARY_ERRORS for the number of items in a call: two for a call that is no
    transaction."""
    return lambda operation, arguments: TEMPORARY_ERRORS[name](len(arguments.get("TransactItems", [None] * 2)))


def total(shop: Shop, name: str, person: Person = ALICE) -> Decimal:
    """A stored sum of a person. `name` is as in `Shop.stored_ltv`: `s.USD`."""
    return shop.stored_ltv().get(f"{person.id_in(ACCOUNT)}/{name}", Decimal(0))


# Names of the errors that leave open whether the call took effect.
LOST_ANSWERS = ["server fault", "timed out", "connection", "in progress"]


def v1_request(request_id: str, day: int = 1, cuts: dict[str, str] | None = None) -> V1Request:
    """A request received on a day of February 2019. `cuts`: the cuts of erasures that the request sees, by
    person id."""
    return V1Request(V1, request_id, f"201902{day:02}000000000000", lambda people: cuts or {})


def submit(ledger: Ledger, waits: Waits, doc: Document, request_id: str, digest: str = "d", seconds: float = 60) -> Any:
    return ledger.submit(
        v1_request(request_id), doc, new_id=f"id-{request_id}", digest=digest, deadline=waits.now + seconds
    )


def edit(ledger: Ledger, waits: Waits, doc: Document, request_id: str, seconds: float = 60) -> Any:
    return ledger.edit(v1_request(request_id, 2), "o", lambda body: doc, waits.now + seconds)


def delete(ledger: Ledger, waits: Waits, request_id: str, seconds: float = 60) -> Any:
    return ledger.delete(v1_request(request_id, 3), "o", waits.now + seconds)


ERASED_UP_TO = "20190215000000000000"


def erase(ledger: Ledger, order_key: str, scope: Scope = V3) -> int:
    """Empties the events of an order that name Alice and were received up to ERASED_UP_TO. Returns their number."""
    emptied, complete = ledger.empty(scope, order_key, ALICE.id_in(ACCOUNT), ERASED_UP_TO, lambda: True, 10_000)
    assert complete
    return emptied
