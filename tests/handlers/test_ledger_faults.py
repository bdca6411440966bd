"""What no engine on one machine does by itself: conflicts, throttling and lost answers, injected into the ledger."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.handlers.shop import ACCOUNT, Shop
from tests.handlers.test_shopper_activity import EMAIL, day, event
from tillbook.aws.settings import settings
from tillbook.ledger.ledger import Activity, Document, Ledger, Pace
from tillbook.rules.errors import Conflict, NotFound, Unavailable
from tillbook.rules.identity import Person
from tillbook.rules.order import fold

ALICE, BOB = Person("person", "alice"), Person("person", "bob")
Go = Callable[[], Any]


class Clock:
    """Time that passes only by sleeping, and by a little for each call."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, [0.0]

    def sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 2
        self.slept.append(seconds)
        self.now += seconds

    def pace(self) -> Pace:
        return Pace(lambda: self.now, self.sleep, random.Random(1).random)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(shop: Shop, clock: Clock) -> Ledger:
    return Ledger(shop.dynamodb, settings().ledger_table, clock.pace())


def activity(n: int = 1, action: str = "placed", total: str | None = "100", **more: Any) -> Activity:
    values: dict[str, Any] = {
        "account": ACCOUNT, "provider": "shopify", "order_id": "o", "event_id": f"e{n}", "request_id": f"r{n}",
        "occurred": f"2019010{n}000000000000", "received": "20190201000000000000", "position": 0, "action": action,
        "person": ALICE, "body": {"provider": "shopify", "order_id": "o", "action": action},
        "total": None if total is None else Decimal(total),
    }  # fmt: skip
    return Activity(**values | more)


def document(total: int = 100, order_id: str = "o", person: Person = ALICE) -> Document:
    body = {"order_id": order_id, "order_date": "20190101000000000000", "currency": "USD", "total": total}
    return Document(order_id, body, "20190101000000000000", person, "USD", Decimal(total))


def cancelled(*codes: str) -> ClientError:
    answer: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": ""},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return ClientError(answer, "TransactWriteItems")


def refused(code: str, operation: str = "TransactWriteItems") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, operation)


def every(times: int, *operations: str, error: Callable[[str, dict[str, Any]], Exception], after: bool = False) -> Any:
    """The first `times` calls of these operations fail; `after` they took effect."""
    left = [times]

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation not in operations or not left[0]:
            return go()
        left[0] -= 1
        if after:
            go()
        raise error(operation, arguments)

    return intercept


CONFLICTS = {
    "conflict on the head": lambda n: cancelled("TransactionConflict", *["None"] * (n - 1)),
    "conflict on the person": lambda n: cancelled(*["None"] * (n - 1), "TransactionConflict"),
    "conflict everywhere": lambda n: cancelled(*["TransactionConflict"] * n),
    "throttled": lambda n: cancelled("None", "ThrottlingError", *["None"] * (n - 2)),
    "throughput and conflict": lambda n: cancelled(
        "ProvisionedThroughputExceeded", "TransactionConflict", *["None"] * (n - 2)
    ),
    "refused as a whole": lambda n: refused("ThrottlingException"),
    "request limit": lambda n: refused("RequestLimitExceeded"),
    "in progress": lambda n: refused("TransactionInProgressException"),
    "server fault": lambda n: refused("InternalServerError"),
    "front end": lambda n: ClientError(
        {"Error": {"Code": "503", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 503}},  # type: ignore[typeddict-item]
        "TransactWriteItems",
    ),
    "no reasons told": lambda n: refused("TransactionCanceledException"),
    "connection": lambda n: EndpointConnectionError(endpoint_url="https://dynamodb"),
    "timed out": lambda n: ReadTimeoutError(endpoint_url="https://dynamodb"),
}


def fault(name: str) -> Callable[[str, dict[str, Any]], Exception]:
    return lambda operation, arguments: CONFLICTS[name](len(arguments.get("TransactItems", "xx")))


def total(shop: Shop, name: str, person: Person = ALICE) -> Decimal:
    return shop.stored_ltv().get(f"{person.id_in(ACCOUNT)}/{name}", Decimal(0))


@pytest.mark.parametrize("name", CONFLICTS)
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("keyed", ["", "hash"])
def test_an_event_is_applied_once_whatever_refuses_it(
    shop: Shop, ledger: Ledger, clock: Clock, name: str, times: int, keyed: str
) -> None:
    for act in (activity(1, content_hash=keyed), activity(2, "refunded", None, refund=Decimal(30), content_hash=keyed)):
        with shop.faults.injected(every(times, "TransactWriteItems", error=fault(name))):
            assert ledger.apply(act, clock.now + 60).status == "applied"
    assert total(shop, "s.*") == 70
    assert total(shop, "s#*") == 1
    assert len(clock.slept) > times, "retries pause"
    assert len(set(clock.slept)) > times, "with jitter"


LOST = ["server fault", "timed out", "connection", "in progress"]


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("keyed", ["", "hash"])
def test_an_event_whose_answer_was_lost_counts_once(
    shop: Shop, ledger: Ledger, clock: Clock, name: str, keyed: str
) -> None:
    for act in (activity(1, content_hash=keyed), activity(2, "refunded", None, refund=Decimal(30), content_hash=keyed)):
        with shop.faults.injected(every(1, "TransactWriteItems", error=fault(name), after=True)):
            assert ledger.apply(act, clock.now + 60).status == "applied"
    assert total(shop, "s.*") == 70
    assert total(shop, "s#*") == 1


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", LOST)
def test_moving_a_copy_to_its_first_receipt_survives_a_lost_answer(
    shop: Shop, ledger: Ledger, clock: Clock, name: str, after: bool
) -> None:
    late = {"received": "20190301000000000000", "occurred": "20190301000000000000", "request_id": "late"}
    ledger.apply(activity(1, total="1", content_hash="h", **late), 60)
    ledger.apply(activity(2, "updated", "2", person=BOB), 60)
    with shop.faults.injected(every(2, "TransactWriteItems", error=fault(name), after=after)):
        outcome = ledger.apply(activity(1, total="1", content_hash="h", request_id="early"), clock.now + 60)
    assert outcome.status == "duplicate"
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)
    assert ledger.apply(activity(1, total="1", content_hash="h", **late), clock.now + 60).status == "applied"
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)


def submit(ledger: Ledger, clock: Clock, doc: Document, request_id: str, digest: str = "d", seconds: float = 60) -> Any:
    return ledger.submit(
        ACCOUNT, doc, new_id=f"id-{request_id}", digest=digest, request_id=request_id, received="20190201000000000000",
        announce=lambda: None, deadline=clock.now + seconds,
    )  # fmt: skip


def edit(ledger: Ledger, clock: Clock, doc: Document, request_id: str, seconds: float = 60) -> Any:
    return ledger.edit(
        ACCOUNT, "o", lambda body: doc, request_id=request_id, received="20190202000000000000", announce=lambda: None,
        deadline=clock.now + seconds,
    )  # fmt: skip


def delete(ledger: Ledger, clock: Clock, request_id: str, seconds: float = 60) -> Any:
    return ledger.delete(
        ACCOUNT, "o", request_id=request_id, received="20190203000000000000", announce=lambda: None,
        deadline=clock.now + seconds,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "after"), [(n, False) for n in CONFLICTS] + [(n, True) for n in LOST])
def test_v1_writes_happen_once_whatever_refuses_them(
    shop: Shop, ledger: Ledger, clock: Clock, name: str, after: bool
) -> None:
    def faulty() -> Any:
        return shop.faults.injected(every(1, "TransactWriteItems", error=fault(name), after=after))

    with faulty():
        first = submit(ledger, clock, document(100), "r1")
    assert (first.id, first.changed) == ("id-r1", True)
    assert total(shop, "o.USD") == 100
    with faulty():
        assert edit(ledger, clock, document(40, person=BOB), "r2").body["total"] == 40
    assert (total(shop, "o.USD"), total(shop, "o.USD", BOB)) == (0, 40)
    with faulty():
        gone = delete(ledger, clock, "r3")
    assert (gone.id, gone.body["total"]) == ("id-r1", 40)
    assert shop.stored_ltv() == {}
    with faulty():
        assert submit(ledger, clock, document(7), "r4").id == "id-r4"
    assert total(shop, "o.USD") == 7


def test_a_lost_submission_that_was_edited_and_deleted_meanwhile_is_not_made_again(
    shop: Shop, ledger: Ledger, clock: Clock
) -> None:
    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "TransactWriteItems":
            return go()
        go()
        shop.faults.intercept = None
        edit(ledger, clock, document(40), "other-1")
        delete(ledger, clock, "other-2")
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with shop.faults.injected(intercept):
        answer = submit(ledger, clock, document(100), "r1")
    assert answer.body["total"] == 100
    assert shop.stored_ltv() == {}
    with pytest.raises(NotFound):
        delete(ledger, clock, "r9")


@pytest.mark.parametrize("rival", ["edit", "delete"])
def test_edits_and_deletes_of_one_order_serialise(shop: Shop, ledger: Ledger, clock: Clock, rival: str) -> None:
    """Another write falls between this edit's read and its write."""
    submit(ledger, clock, document(100), "r1")

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "TransactWriteItems":
            shop.faults.intercept = None
            edit(ledger, clock, document(60), "r2") if rival == "edit" else delete(ledger, clock, "r2")
        return go()

    seen: list[Any] = []

    def change(body: dict[str, Any]) -> Document:
        seen.append(body["total"])
        return document(int(body["total"]) - 10)

    def call() -> Any:
        return ledger.edit(
            ACCOUNT, "o", change, request_id="r3", received="20190204000000000000", announce=lambda: None,
            deadline=clock.now + 60,
        )  # fmt: skip

    with shop.faults.injected(intercept):
        if rival == "delete":
            with pytest.raises(NotFound):
                call()
        else:
            assert call().body["total"] == 50
    assert seen == ([100, 60] if rival == "edit" else [100])
    assert total(shop, "o.USD") == (50 if rival == "edit" else 0)


def test_of_two_submissions_at_once_one_wins(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "TransactWriteItems":
            shop.faults.intercept = None
            submit(ledger, clock, document(100), "r1")
        return go()

    with shop.faults.injected(intercept):
        assert submit(ledger, clock, document(100), "r2").id == "id-r1"
    shop.faults.intercept = intercept
    with pytest.raises(Conflict):
        submit(ledger, clock, document(5), "r3", digest="other")
    assert total(shop, "o.USD") == 100


def test_an_event_between_read_and_write_is_not_lost(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    ledger.apply(activity(1), 60)
    rivals = iter([activity(n, "refunded", None, refund=Decimal(1)) for n in (2, 3, 4)])

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "TransactWriteItems" and (rival := next(rivals, None)):
            shop.faults.intercept = None
            ledger.apply(rival, clock.now + 60)
            shop.faults.intercept = intercept
        return go()

    with shop.faults.injected(intercept):
        assert ledger.apply(activity(5, "updated", "105"), clock.now + 60).status == "applied"
    assert total(shop, "s.*") == 102


EXHAUSTING = [
    *[("TransactWriteItems", name) for name in ("conflict everywhere", "throttled", "refused as a whole", "timed out")],
    *[
        (operation, name)
        for operation in ("GetItem", "Query")
        for name in ("refused as a whole", "timed out", "server fault")
    ],
]


@pytest.mark.parametrize(("operation", "name"), EXHAUSTING)
def test_when_time_is_up_it_is_unavailable_and_nothing_changed(
    shop: Shop, ledger: Ledger, clock: Clock, operation: str, name: str
) -> None:
    ledger.apply(activity(1), 60)
    submit(ledger, clock, document(100), "r1")
    before = shop.stored_ltv()
    calls: dict[str, Callable[[], Any]] = {
        "edit": lambda: edit(ledger, clock, document(1), "r2", seconds=4),
        "delete": lambda: delete(ledger, clock, "r3", seconds=4),
        "apply": lambda: ledger.apply(activity(2, "updated", "5"), clock.now + 4),
        "submit": lambda: submit(ledger, clock, document(1, "other"), "r4", seconds=4),
    }
    concerned = {"TransactWriteItems": calls.keys(), "GetItem": {"apply"}, "Query": {"edit", "delete"}}[operation]
    for call in concerned:
        started = clock.now
        with shop.faults.injected(every(100_000, operation, error=fault(name))), pytest.raises(Unavailable):
            calls[call]()
        assert clock.now - started <= 4
    assert shop.stored_ltv() == before


def test_a_head_that_is_always_somebody_else_s_ends_in_time(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    """Each try finds the head changed: retries pause, and stop at the deadline."""
    ledger.apply(activity(1), 60)
    head = next(item for item in shop.dynamodb.scan(TableName=settings().ledger_table)["Items"] if "w" in item)
    tried = []

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "TransactWriteItems":
            return go()
        tried.append(index)
        assert len(tried) < 5_000, "no end"
        answer: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": ""},
            "CancellationReasons": [
                {"Code": "ConditionalCheckFailed", "Item": head | {"w": {"S": f"w{len(tried)}"}}},
                *[{"Code": "None"}] * (len(arguments["TransactItems"]) - 1),
            ],
        }
        raise ClientError(answer, operation)

    with shop.faults.injected(intercept), pytest.raises(Unavailable):
        ledger.apply(activity(2, "updated", "5"), clock.now + 20)
    assert clock.now <= 21


def test_an_item_that_can_never_be_written_is_not_retried(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    with shop.faults.injected(
        every(99, "TransactWriteItems", error=lambda *_: cancelled("ValidationError", "None", "None"))
    ):
        with pytest.raises(ClientError):
            ledger.apply(activity(1), 60)
        assert [operation for operation, _ in shop.faults.calls].count("TransactWriteItems") == 1


@pytest.mark.parametrize("seed", range(12))
def test_random_faults_end_in_the_exact_state(shop: Shop, ledger: Ledger, clock: Clock, seed: int) -> None:
    """Events in random order, repeated, under random conflicts, throttling and lost answers; the name has the seed."""
    dice = random.Random(seed)
    events = [
        activity(
            n,
            dice.choice(["placed", "updated", "refunded", "canceled"]),
            dice.choice([None, "10.01", "99.9999"]),
            refund=Decimal(dice.randint(0, 9)),
            person=dice.choice([ALICE, BOB]),
            currency=dice.choice(["", "USD", "EUR"]),
        )
        for n in range(1, 8)
    ]
    expected = fold([e.event for e in events])

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if dice.random() > 0.4:
            return go()
        if operation != "TransactWriteItems":
            raise refused("ThrottlingException", operation)
        name = dice.choice(list(CONFLICTS))
        if name in LOST and dice.random() < 0.5:
            go()
        raise fault(name)(operation, arguments)

    sent = events + dice.choices(events, k=5)
    dice.shuffle(sent)
    with shop.faults.injected(intercept):
        for entry in sent:
            assert ledger.apply(entry, clock.now + 1_000).status == "applied"
    cell = f"{expected.person}/s.{expected.currency or '*'}"
    assert shop.stored_ltv() == {
        name: value
        for name, value in {cell: expected.contribution, cell.replace("/s.", "/s#"): Decimal(1)}.items()
        if value
    }


# ------------------------------------------------------ through the functions


@pytest.mark.parametrize("operation", ["TransactWriteItems", "GetItem", "Query"])
def test_a_table_that_throttles_makes_v1_answer_503_in_its_time(shop: Shop, operation: str) -> None:
    order = {"order_id": "o-1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": 1}
    shop.submit(order)

    def throttled(index: int, op: str, arguments: dict[str, Any], go: Go) -> Any:
        if op == operation and arguments.get("TableName") != "RecordsTable":
            raise refused("ThrottlingException", op)
        return go()

    with shop.faults.injected(throttled):
        calls = [
            lambda: shop.edit("o-1", {"total": 2}, milliseconds=1_600),
            lambda: shop.delete("o-1", milliseconds=1_600),
        ]
        if operation == "TransactWriteItems":
            calls.append(lambda: shop.submit(order | {"order_id": "o-2"}, milliseconds=1_600))
        if operation == "GetItem":
            calls = []
        for call in calls:
            answer = call()
            assert answer.status == 503
            assert answer.body["error"]["message"]
    assert shop.ltv(EMAIL) == {"USD": "1.00"}


@pytest.mark.parametrize(
    "error", [refused("ThrottlingException", "GetItem"), ReadTimeoutError(endpoint_url="https://dynamodb")]
)
def test_keys_or_reads_that_cannot_be_looked_up_are_503_not_500(shop: Shop, error: Exception) -> None:
    from tests.handlers.shop import forget_keys

    shop.send(event(occurred_at=day(1)))
    shop.drain()
    forget_keys()

    def down(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        raise error

    with shop.faults.injected(down):
        answers = [shop.send(event()), shop.submit({}), shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}")]
    shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}")
    with shop.faults.injected(down):  # the key is known now
        answers += [shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}"), shop.get("/v1/order/x")]
    assert [answer.status for answer in answers] == [503] * 5
