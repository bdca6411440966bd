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
from tillbook.aws.items import plain_item, raw
from tillbook.aws.settings import settings
from tillbook.ledger.activities import ERASED, Activity, Result
from tillbook.ledger.commit import Pace
from tillbook.ledger.items import EventItem, Scope, event_of
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import Document, V1Request
from tillbook.rules.errors import Conflict, NotFound, Unavailable
from tillbook.rules.identity import Person, order_key
from tillbook.rules.order import fold, received_of

ALICE, BOB = Person("person", "alice"), Person("person", "bob")
V1, V3 = Scope(ACCOUNT, "orders_api"), Scope(ACCOUNT, "shopper_activity")
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


def copy(month: int, request_id: str, person: Person = ALICE, **more: Any) -> Activity:
    """Of one event under an idempotency key, whose occurred_at is when it was received: in that month of 2019."""
    received = f"2019{month:02}01000000000000"
    return activity(
        1, total="1", person=person, received=received, occurred=received, content_hash="h", request_id=request_id,
        **more,
    )  # fmt: skip


def apply(ledger: Ledger, sent: Activity, deadline: float = 60, *, erased: bool = False) -> Result:
    """What became of one event. Raises the error that it met."""
    (result,) = ledger.apply(V3, [sent], deadline, lambda one: erased)
    if isinstance(result, Exception):
        raise result
    return result


def event_item(ledger: Ledger, sent: Activity) -> EventItem:
    answer = ledger.client.get_item(
        TableName=ledger.table, Key=raw(V3.event_key(sent.order_key, sent.event_id)), ConsistentRead=True
    )
    return event_of(plain_item(answer["Item"]))


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


def before_the_first(shop: Shop, operation: str, *rivals: Callable[[], Any], which: str = "") -> Any:
    """Before the first calls of an operation, whose arguments have `which` in them, one rival each does its work."""
    waiting = list(rivals)

    def intercept(index: int, name: str, arguments: dict[str, Any], go: Go) -> Any:
        if waiting and name == operation and which in str(arguments):
            rival = waiting.pop(0)
            shop.faults.intercept = None
            rival()
            shop.faults.intercept = intercept
        return go()

    return shop.faults.injected(intercept)


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
            assert apply(ledger, act, clock.now + 60).status == "applied"
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
            assert apply(ledger, act, clock.now + 60).status == "applied"
    assert total(shop, "s.*") == 70
    assert total(shop, "s#*") == 1


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", LOST)
def test_moving_a_copy_to_its_first_receipt_survives_a_lost_answer(
    shop: Shop, ledger: Ledger, clock: Clock, name: str, after: bool
) -> None:
    apply(ledger, copy(3, "late"))
    apply(ledger, activity(2, "updated", "2", person=BOB, occurred="20190201000000000000"))
    with shop.faults.injected(every(2, "TransactWriteItems", error=fault(name), after=after)):
        outcome = apply(ledger, copy(1, "early"), clock.now + 60)
    assert (outcome.status, outcome.original) == ("duplicate", "late")
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)
    assert apply(ledger, copy(3, "late"), clock.now + 60).status == "applied"
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)


def v1_request(request_id: str, day: int = 1, cuts: dict[str, str] | None = None) -> V1Request:
    """Received on that day of February; `cuts` are the erasures that it sees."""
    return V1Request(V1, request_id, f"201902{day:02}000000000000", lambda people: cuts or {}, lambda: None)


def submit(ledger: Ledger, clock: Clock, doc: Document, request_id: str, digest: str = "d", seconds: float = 60) -> Any:
    return ledger.submit(
        v1_request(request_id), doc, new_id=f"id-{request_id}", digest=digest, deadline=clock.now + seconds
    )


def edit(ledger: Ledger, clock: Clock, doc: Document, request_id: str, seconds: float = 60) -> Any:
    return ledger.edit(v1_request(request_id, 2), "o", lambda body: doc, clock.now + seconds)


def delete(ledger: Ledger, clock: Clock, request_id: str, seconds: float = 60) -> Any:
    return ledger.delete(v1_request(request_id, 3), "o", clock.now + seconds)


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
    seen: list[Any] = []

    def change(body: dict[str, Any]) -> Document:
        seen.append(body["total"])
        return document(int(body["total"]) - 10)

    def call() -> Any:
        return ledger.edit(v1_request("r3", 4), "o", change, clock.now + 60)

    def other() -> Any:
        return edit(ledger, clock, document(60), "r2") if rival == "edit" else delete(ledger, clock, "r2")

    with before_the_first(shop, "TransactWriteItems", other):
        if rival == "delete":
            with pytest.raises(NotFound):
                call()
        else:
            assert call().body["total"] == 50
    assert seen == ([100, 60] if rival == "edit" else [100])
    assert total(shop, "o.USD") == (50 if rival == "edit" else 0)


def test_of_two_submissions_at_once_one_wins(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    def other() -> None:
        submit(ledger, clock, document(100), "r1")

    with before_the_first(shop, "TransactWriteItems", other):
        assert submit(ledger, clock, document(100), "r2").id == "id-r1"
    with before_the_first(shop, "TransactWriteItems", other), pytest.raises(Conflict):
        submit(ledger, clock, document(5), "r3", digest="other")
    assert total(shop, "o.USD") == 100
    assert total(shop, "o#USD") == 1


def test_of_two_events_that_begin_an_order_at_once_none_is_lost(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    refund = activity(2, "refunded", None, refund=Decimal(30))
    with before_the_first(shop, "TransactWriteItems", lambda: apply(ledger, refund)):
        result = apply(ledger, activity(1))
    assert (result.status, result.state and result.state.events) == ("applied", 2)
    assert total(shop, "s.*") == 70
    assert total(shop, "s#*") == 1


def test_an_event_between_read_and_write_is_not_lost(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    apply(ledger, activity(1))
    rivals = [
        lambda n=n: apply(ledger, activity(n, "refunded", None, refund=Decimal(1)), clock.now + 60) for n in (2, 3, 4)
    ]
    with before_the_first(shop, "TransactWriteItems", *rivals):
        assert apply(ledger, activity(5, "updated", "105"), clock.now + 60).status == "applied"
    assert total(shop, "s.*") == 102


@pytest.mark.parametrize("known", [False, True], ids=["new order", "known order"])
def test_an_event_that_is_delivered_twice_at_once_counts_once(
    shop: Shop, ledger: Ledger, clock: Clock, known: bool
) -> None:
    """Also where the other delivery is long over, and the head is read as that left it."""
    if known:
        apply(ledger, activity(1))
    refund = activity(2, "refunded", "100", refund=Decimal(30))
    with before_the_first(shop, "TransactWriteItems", lambda: apply(ledger, refund)):
        first = apply(ledger, refund)
    again = apply(ledger, refund)
    other = apply(ledger, refund._replace(request_id="other", received="20190202000000000000"))
    assert [result.status for result in (first, again, other)] == ["applied", "applied", "duplicate"]
    assert first.effects == again.effects != ()
    assert total(shop, "s.*") == 70
    assert total(shop, "s#*") == 1


@pytest.mark.parametrize("how", ["another write comes first", "conflict"])
def test_an_order_that_others_write_all_the_time_holds_up_no_other(
    shop: Shop, ledger: Ledger, clock: Clock, how: str
) -> None:
    """Those that are in one transaction with it are written by themselves after a few tries."""
    hot = activity(1, order_id="hot")
    apply(ledger, hot)
    rivals = iter(range(1_000))

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "TransactWriteItems" or hot.order_key not in str(arguments):
            return go()
        if how == "conflict":
            raise fault("conflict on the head")(operation, arguments)
        shop.faults.intercept = None
        apply(ledger, activity(2, "updated", "5", order_id="hot", event_id=f"rival{next(rivals)}"), clock.now + 60)
        shop.faults.intercept = intercept
        return go()

    others = [activity(3, order_id=f"o{n}") for n in range(5)]
    with shop.faults.injected(intercept):
        results = ledger.apply(V3, [activity(4, "updated", "7", order_id="hot"), *others], clock.now + 20)
    assert isinstance(results[0], Unavailable)
    assert [result.status for result in results[1:] if isinstance(result, Result)] == ["applied"] * 5
    assert clock.now <= 20


# ------------------------------------------------- copies, erasures, and who is deleted


def test_of_two_copies_that_move_an_event_at_once_the_first_receipt_stands(
    shop: Shop, ledger: Ledger, clock: Clock
) -> None:
    """One has read the event when the other moves it; the head it reads after that."""
    apply(ledger, copy(4, "fourth"))
    apply(ledger, activity(2, "updated", "2", person=BOB, occurred="20190201000000000000"))
    with before_the_first(shop, "GetItem", lambda: apply(ledger, copy(1, "first")), which="/h/"):
        assert apply(ledger, copy(3, "third")).status == "duplicate"
    assert received_of(event_item(ledger, copy(4, "")).stamp) == copy(1, "").received
    # The other event is the latest, and the order its person's.
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)


ERASED_UP_TO = "20190215000000000000"


def erase(ledger: Ledger, order_key: str, scope: Scope = V3) -> int:
    """Empties what names Alice and was received up to the middle of February. Returns how many events."""
    emptied, through = ledger.empty(scope, order_key, ALICE.id_in(ACCOUNT), ERASED_UP_TO, lambda: True, 10_000)
    assert through
    return emptied


def test_a_copy_does_not_bring_back_what_is_erased_meanwhile(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    second = copy(2, "second")
    apply(ledger, second)
    with before_the_first(shop, "GetItem", lambda: erase(ledger, second.order_key), which="/h/"):
        assert apply(ledger, copy(1, "first"))[:2] == ("failed", ERASED)
    assert event_item(ledger, second) == EventItem("second", "h")
    assert shop.stored_ltv() == {}


@pytest.mark.parametrize("erased", ["early", "late", "both"])
@pytest.mark.parametrize("first", ["early", "late"])
def test_an_event_is_erased_if_any_of_its_copies_is(
    shop: Shop, ledger: Ledger, clock: Clock, erased: str, first: str
) -> None:
    """Its identity stays, so that an old import brings nobody back."""
    apply(ledger, activity(2, "updated", "2", person=BOB, occurred="20190101000000000000"))
    copies = [copy(1, "early"), copy(3, "late")]
    outcomes = [
        apply(ledger, sent, erased=erased in (sent.request_id, "both"))[:2]
        for sent in (copies if first == "early" else copies[::-1])
    ]
    assert outcomes == [("failed", ERASED) if erased in (first, "both") else ("applied", ""), ("failed", ERASED)]
    assert event_item(ledger, copies[0]) == EventItem(first, "h")
    assert apply(ledger, copy(5, "again"))[:2] == ("failed", ERASED)
    assert (total(shop, "s.*", ALICE), total(shop, "s.*", BOB)) == (0, 2)
    assert shop.stored_ltv().keys() == {f"{BOB.id_in(ACCOUNT)}/s{name}" for name in (".*", "#*")}


def test_a_new_event_and_an_erasure_of_the_order_at_once(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    """Whichever comes between: what is new stays, what is erased goes."""
    apply(ledger, activity(1))
    key = activity(1).order_key
    with before_the_first(shop, "TransactWriteItems", lambda: erase(ledger, key)):
        assert apply(ledger, activity(2, "updated", "7", received="20200101000000000000")).status == "applied"
    assert total(shop, "s.*") == 7
    paid = activity(3, "paid", "8", received="20200101000000000000")
    apply(ledger, activity(4, "refunded", None, refund=Decimal(1)))
    with before_the_first(shop, "TransactWriteItems", lambda: apply(ledger, paid)):
        assert erase(ledger, key) == 1
    assert total(shop, "s.*") == 8
    assert total(shop, "s#*") == 1


@pytest.mark.parametrize("between", ["the erasure", "the submission"])
def test_a_submission_over_an_erased_order_and_the_erasure_at_once(
    shop: Shop, ledger: Ledger, clock: Clock, between: str
) -> None:
    """To who sees the mark the order is gone at once, though its versions are emptied later."""
    submit(ledger, clock, document(100), "r1")
    key = order_key("orders_api", "", "o")
    request = v1_request("r2", 20, {ALICE.id_in(ACCOUNT): ERASED_UP_TO})

    def again() -> None:
        answer = ledger.submit(request, document(7), new_id="id-r2", digest="e", deadline=clock.now + 60)
        assert (answer.id, answer.changed) == ("id-r2", True)

    def walk() -> None:
        assert erase(ledger, key, V1) == 1

    first, second = (again, walk) if between == "the erasure" else (walk, again)
    with before_the_first(shop, "TransactWriteItems", second):
        first()
    assert total(shop, "o.USD") == 7
    assert total(shop, "o#USD") == 1
    assert ledger.edit(v1_request("r3", 21), "o", lambda body: document(body["total"] + 1), 10_000).body["total"] == 8


def test_who_gets_an_order_meanwhile_is_not_forgotten(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    person = ALICE.id_in(ACCOUNT)
    apply(ledger, activity(1))
    assert not ledger.forget(V3, person, 10_000), "not who has an order"

    def behind(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        return {"Items": []} if "IndexName" in arguments else go()

    with shop.faults.injected(behind):
        assert not ledger.forget(V3, person, 10_000), "though the index runs behind"
    apply(ledger, activity(2, "updated", "5", person=BOB))
    assert not ledger.forget(V3, person, 10_000), "nor who has an activity"
    assert erase(ledger, activity(1).order_key) == 1
    with before_the_first(shop, "TransactWriteItems", lambda: apply(ledger, activity(3, order_id="another"))):
        assert not ledger.forget(V3, person, 10_000)
    assert (total(shop, "s.*"), total(shop, "s.*", BOB)) == (100, 5)
    apply(ledger, activity(4, "updated", "5", order_id="another", person=BOB))
    assert erase(ledger, activity(1, order_id="another").order_key) == 1
    assert ledger.forget(V3, person, 10_000)
    assert ledger.forget(V3, person, 10_000), "also again"
    assert shop.dynamodb.get_item(TableName=ledger.table, Key=raw(V3.person_key(person))).get("Item") is None
    assert total(shop, "s.*", BOB) == 10


# ------------------------------------------------- tries whose answer was lost, and that land late


@pytest.mark.parametrize("rival", ["nothing", "edit", "delete", "delete and submit again"])
@pytest.mark.parametrize("late", ["submit", "edit", "delete"])
def test_a_v1_try_that_lands_late_changes_nothing_that_was_written_since(
    shop: Shop, ledger: Ledger, clock: Clock, late: str, rival: str
) -> None:
    if late != "submit":
        submit(ledger, clock, document(100), "r1")
    tries: list[Go] = []

    def lose(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation == "TransactWriteItems":
            tries.append(go)
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        return go()

    calls: dict[str, Callable[[], Any]] = {
        "submit": lambda: submit(ledger, clock, document(1), "late", digest="late", seconds=0.01),
        "edit": lambda: edit(ledger, clock, document(1), "late", seconds=0.01),
        "delete": lambda: delete(ledger, clock, "late", seconds=0.01),
    }
    with shop.faults.injected(lose), pytest.raises(Unavailable):
        calls[late]()
    if late == "submit" and rival != "nothing":
        submit(ledger, clock, document(100), "r1")
    if rival == "edit":
        edit(ledger, clock, document(60), "r2")
    elif rival != "nothing":
        delete(ledger, clock, "r2")
    if rival == "delete and submit again":
        submit(ledger, clock, document(70), "r3", digest="other")
    before = shop.items(ledger.table)
    for number, write in enumerate(tries):
        if rival == "nothing" and not number:
            write()
            before = shop.items(ledger.table)
        else:
            with pytest.raises(ClientError, match="ConditionalCheckFailed"):
                write()
    worth = {"edit": 60, "delete": 0, "delete and submit again": 70, "nothing": 0 if late == "delete" else 1}[rival]
    assert total(shop, "o.USD") == worth
    assert shop.items(ledger.table) == before


# The calls that each operation is part of.
CONCERNED = {
    "TransactWriteItems": {"edit", "delete", "apply", "submit", "move", "empty"},
    "BatchGetItem": {"apply"},
    "GetItem": {"edit", "delete", "submit", "move", "empty"},
    "Query": {"move", "empty"},
}
EXHAUSTING = [
    *[("TransactWriteItems", name) for name in ("conflict everywhere", "throttled")],
    *[(operation, name) for operation in CONCERNED for name in ("refused as a whole", "timed out", "server fault")],
]


@pytest.mark.parametrize(("operation", "name"), EXHAUSTING)
def test_when_time_is_up_it_is_unavailable_and_nothing_changed(
    shop: Shop, ledger: Ledger, clock: Clock, operation: str, name: str
) -> None:
    apply(ledger, copy(2, "second"))
    submit(ledger, clock, document(100), "r1")
    before, stored = shop.stored_ltv(), shop.items(ledger.table)
    person, key = ALICE.id_in(ACCOUNT), copy(2, "second").order_key
    calls: dict[str, Callable[[], Any]] = {
        "edit": lambda: edit(ledger, clock, document(1), "r2", seconds=4),
        "delete": lambda: delete(ledger, clock, "r3", seconds=4),
        "apply": lambda: apply(ledger, activity(2, "updated", "5"), clock.now + 4),
        "submit": lambda: submit(ledger, clock, document(1, "other"), "r4", seconds=4),
        "move": lambda: apply(ledger, copy(1, "first"), clock.now + 4),
        "empty": lambda: ledger.empty(V3, key, person, ERASED_UP_TO, lambda: True, clock.now + 4),
    }
    for call in CONCERNED[operation]:
        started = clock.now
        with shop.faults.injected(every(100_000, operation, error=fault(name))), pytest.raises(Unavailable):
            calls[call]()
        assert clock.now - started <= 4
    assert shop.stored_ltv() == before
    assert shop.items(ledger.table) == stored


def test_a_head_that_is_always_somebody_else_s_ends_in_time(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    """Each try finds the head changed: retries pause, and stop at the deadline."""
    apply(ledger, activity(1))
    head = next(item for item in shop.dynamodb.scan(TableName=ledger.table)["Items"] if "/h/" in item["pk"]["S"])
    tried = []

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Go) -> Any:
        if operation != "TransactWriteItems":
            return go()
        tried.append(index)
        assert len(tried) < 5_000, "no end"
        answer: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": ""},
            "CancellationReasons": [
                {"Code": "ConditionalCheckFailed", "Item": head | {"writes": {"N": str(len(tried) + 1)}}},
                *[{"Code": "None"}] * (len(arguments["TransactItems"]) - 1),
            ],
        }
        raise ClientError(answer, operation)

    with shop.faults.injected(intercept), pytest.raises(Unavailable):
        apply(ledger, activity(2, "updated", "5"), clock.now + 20)
    assert clock.now <= 21


def test_an_item_that_can_never_be_written_is_not_retried(shop: Shop, ledger: Ledger, clock: Clock) -> None:
    with shop.faults.injected(
        every(99, "TransactWriteItems", error=lambda *_: cancelled("ValidationError", "None", "None"))
    ):
        with pytest.raises(ClientError):
            apply(ledger, activity(1))
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
            assert apply(ledger, entry, clock.now + 1_000).status == "applied"
    cell = f"{expected.person}/s.{expected.currency or '*'}"
    assert shop.stored_ltv() == {
        name: value
        for name, value in {cell: expected.contribution, cell.replace("/s.", "/s#"): Decimal(1)}.items()
        if value
    }


# ------------------------------------------------------ through the functions


@pytest.mark.parametrize("operation", ["TransactWriteItems", "GetItem", "BatchGetItem"])
def test_a_table_that_throttles_makes_v1_answer_503_in_its_time(shop: Shop, operation: str) -> None:
    order = {"order_id": "o-1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": 1}
    shop.submit(order)

    def throttled(index: int, op: str, arguments: dict[str, Any], go: Go) -> Any:
        if op == operation and arguments.get("TableName") != "RecordsTable":
            raise refused("ThrottlingException", op)
        return go()

    with shop.faults.injected(throttled):
        for call in (
            lambda: shop.edit("o-1", {"total": 2}, milliseconds=1_600),
            lambda: shop.delete("o-1", milliseconds=1_600),
            lambda: shop.submit(order | {"order_id": "o-2"}, milliseconds=1_600),
        ):
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
