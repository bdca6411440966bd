"""Checks the auditor on cases small enough to compute by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.simulation.auditor import expected
from tests.simulation.facts import V1, V3, Books, Call, Event, Mark, Purge, Seen, Version
from tests.simulation.values import email_hash

ANN = ("acme", "email", email_hash("ann@shop.example"))


def _event(number: int, action: str, **more: Any) -> Event:
    """An event of Ann's order `o`. `number` is part of its request id and of its time of receipt."""
    key = more.pop("key", None)
    payload = {"provider": "shop", "order_id": "o", "email": "ann@shop.example", "action": action, **more}
    return Event("acme", f"r{number}", f"2026010100000000{number:04d}", 0, key, payload)


def _books(
    *events: Event, statuses: dict[str, str] | None = None, marks: list[Mark] | None = None,
    purges: list[Purge] | None = None,
) -> tuple[Books, list[str]]:  # fmt: skip
    """The expected books and the faults. A request without an entry in `statuses` is applied."""
    found = {e.request_id: (statuses or {}).get(e.request_id, "applied") for e in events}
    seen = Seen(Books(), {}, {("acme", V3, request_id): status for request_id, status in found.items()})
    seen.written = {("acme", request_id) for request_id, status in found.items() if status == "applied"}
    seen.marks = marks or []
    return expected(list(events), [], seen, purges)


@pytest.mark.parametrize(
    ("events", "ltv"),
    [
        ([("placed", {"grand_total": 100})], "100"),
        ([("placed", {"grand_total": 100}), ("updated", {"grand_total": 105})], "105"),
        ([("placed", {"grand_total": 100}), ("refunded", {"refund_amount": 105})], "-5"),
        ([("placed", {"grand_total": 100}), ("fulfilled", {})], "100"),
        ([("refunded", {"refund_amount": 5})], "0"),
        ([("refunded", {"refund_amount": 5}), ("placed", {})], "-5"),
        ([("refunded", {"refund_amount": 5, "grand_total": 20})], "15"),
        ([("refunded", {"grand_total": 20}), ("placed", {"grand_total": 50})], "50"),
        ([("placed", {"grand_total": "19.989999999999998"})], "19.99"),
    ],
)
def test_events_of_one_order_add_up_to_its_ltv(events: list[tuple[str, dict[str, Any]]], ltv: str) -> None:
    books, faults = _books(*(_event(n, action, **more) for n, (action, more) in enumerate(events)))
    assert faults == []
    assert books.money == {ANN: {(V3, None): Decimal(ltv)}}
    assert books.counts == {ANN: {(V3, None): 1}}


def _purge(cut: int, person: tuple[str, str, str] | None = None) -> tuple[list[Mark], list[Purge]]:
    """A purge of both sources, or the erasure of a person, up to the event with the number `cut`."""
    name, target = ("p1", "ann@shop.example") if person else ("s", "")
    mark = Mark("acme", name, f"2026010100000000{cut:04d}", 50.0, person)
    asked = f"2026010100000000{cut - 1:04d}"
    sources = () if person else (V1, V3)
    marks = [mark] if person else [mark, mark._replace(name="o")]
    return marks, [Purge("acme", sources, asked, person, start=49.0, answered=51.0, finished=True, target=target)]


def test_events_received_up_to_a_cut_are_purged() -> None:
    marks, purges = _purge(2)
    events = [_event(n, "placed", grand_total=n, occurred_at="2026-01-01") for n in (1, 2, 3)]
    # The statuses of the purged requests r1 and r2 do not matter.
    books, faults = _books(*events, marks=marks, purges=purges, statuses={"r1": "none", "r2": "failed"})
    assert (faults, books.money) == ([], {ANN: {(V3, None): Decimal(3)}})
    _, faults = _books(*events, marks=marks, purges=purges, statuses={"r3": "none"})
    assert faults


@pytest.mark.parametrize(("numbers", "erased"), [((1, 3), True), ((3, 4), False), ((3,), False)])
def test_an_event_is_erased_if_any_of_its_copies_was_received_up_to_the_cut(
    numbers: tuple[int, ...], erased: bool
) -> None:
    marks, purges = _purge(2, ANN)
    copies = [_event(n, "placed", grand_total=5, occurred_at="2026-01-01") for n in numbers]
    statuses_of_later = {e.request_id: "failed" if erased else "duplicate" for e in copies[1:]}
    books, faults = _books(*copies, statuses=statuses_of_later, marks=marks, purges=purges)
    assert faults == []
    assert books.money == ({} if erased else {ANN: {(V3, None): Decimal(5)}})


def test_an_answered_purge_without_a_mark_and_a_mark_without_a_purge_are_faults() -> None:
    marks, purges = _purge(2)
    _, faults = _books(purges=purges)
    assert "was answered without a valid mark" in faults[0]
    _, faults = _books(marks=marks)
    assert "belongs to no purge and no erasure" in faults[0]


def test_an_older_event_that_arrives_late_keeps_the_newer_total_and_person() -> None:
    books, _ = _books(
        _event(1, "paid", grand_total=50, occurred_at="2026-01-02"),
        _event(2, "placed", grand_total=100, occurred_at="2026-01-01", person_id="p"),
    )
    assert books.money == {ANN: {(V3, None): Decimal(50)}}
    assert [entry.name for entry in books.timelines[ANN]] == ["Paid an order"]
    assert [entry.name for entry in books.timelines["acme", "person", "p"]] == ["Placed an order"]


def test_copies_count_once_at_their_earliest_receipt() -> None:
    copies = [_event(n, "placed", grand_total=10, occurred_at="2026-01-01") for n in (1, 3)]
    between = _event(2, "placed", grand_total=20, occurred_at="2026-01-01")
    # The copy that was received last was applied, but the total of 20 was received after the first copy.
    books, faults = _books(*copies, between, statuses={"r1": "duplicate"})
    assert faults == []
    assert books.money == {ANN: {(V3, None): Decimal(20)}}


@pytest.mark.parametrize("statuses", [{}, {"r1": "duplicate", "r2": "duplicate"}, {"r2": "none"}, {"r2": "failed"}])
def test_two_copies_must_have_the_statuses_applied_and_duplicate(statuses: dict[str, str]) -> None:
    # Without an entry a request is applied.
    _, faults = _books(*[_event(n, "placed", occurred_at="2026-01-01") for n in (1, 2)], statuses=statuses)
    assert faults


def test_of_two_contents_under_an_idempotency_key_the_applied_one_counts() -> None:
    events = [_event(n, "placed", grand_total=n, key="k") for n in (1, 2)]
    books, faults = _books(*events, statuses={"r1": "failed"})
    assert faults == []
    assert books.money == {ANN: {(V3, None): Decimal(2)}}
    _, faults = _books(*events)  # both are applied
    assert faults


def _call(number: int, kind: str, status: int | None, payload: dict[str, Any] | None = None, **body: Any) -> Call:
    """A v1 request of Ann's order `o` at `number` seconds, with its answer. `body` changes the answer's fields."""
    answer = {
        "id": "i", "order_id": "o", "currency": "USD", "total": "10.0", "metadata": {},
        "customer": {"id": None, "email_sha256": ANN[2]}, "order_date": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    submission = {"order_id": "o", "order_date": "2026-01-01", "customer_email": "ann@shop.example", "total": 10}
    return Call(
        "acme", kind, "o", payload if payload is not None else submission, f"r{number}",
        f"2026010100000000{number:04d}", start=number, end=number + 0.5, status=status,
        body=answer | body if status in (200, 201) else None,
    )  # fmt: skip


def _v1(
    calls: list[Call], versions: list[tuple[str, int]], statuses: dict[str, str] | None = None
) -> tuple[Books, list[str]]:
    """The expected books and the faults. `versions`: (action, number of the request) of each stored version."""
    stored = [
        Version(action, f"r{request}", "i", at=request + 0.2, number=number)
        for number, (action, request) in enumerate(versions, 1)
    ]
    shown = {f"r{request}": "applied" for _, request in versions} | (statuses or {})
    seen = Seen(Books(), {("acme", "o", 0): stored} if stored else {}, {("acme", V1, k): v for k, v in shown.items()})
    return expected([], calls, seen)


def test_a_v1_submission_with_an_edit_and_a_repeat_has_no_faults() -> None:
    calls = [_call(1, "submitted", 201), _call(2, "edited", 200, {"total": 7}, total="7.0"), _call(3, "submitted", 201)]
    books, faults = _v1(calls, [("submitted", 1), ("edited", 2)], {"r3": "duplicate"})
    assert faults == []
    assert books.money == {ANN: {(V1, "USD"): Decimal(7)}}
    assert [entry.name for entry in books.timelines[ANN]] == ["Submitted an order", "Edited an order"]


def test_a_deleted_v1_order_leaves_no_money() -> None:
    books, faults = _v1(
        [_call(1, "submitted", 201), _call(2, "deleted", 200, {}), _call(3, "deleted", 404, {})],
        [("submitted", 1), ("deleted", 2)],
    )
    assert faults == []
    assert books.money == {}


@pytest.mark.parametrize(
    ("calls", "versions", "fault"),
    [
        ([_call(1, "submitted", 201)], [], "no state during it explains its answer"),  # success, but not stored
        ([_call(1, "submitted", 409)], [("submitted", 1)], "its answer is wrong"),  # stored, but a conflict
        ([_call(1, "submitted", 201, total="11.0")], [("submitted", 1)], "its answer is wrong"),  # another total
        ([_call(1, "submitted", 201), _call(2, "deleted", 404, {})], [("submitted", 1)],
         "no state during it explains its answer"),  # not found, but the order existed
        ([_call(1, "edited", 200, {"total": 7})], [("edited", 1)], "cannot follow"),  # an edit without an order
        ([_call(1, "submitted", 201), _call(2, "submitted", 201, {"order_id": "o", "order_date": "2026-01-01",
          "customer_email": "ann@shop.example", "total": 11})], [("submitted", 1)],
         "no state during it explains its answer"),  # success for another content, which was not stored
        ([_call(1, "submitted", None)], [("submitted", 1), ("submitted", 1)], "already wrote a version"),
    ],
)  # fmt: skip
def test_v1_answers_and_versions_that_contradict_each_other_are_faults(
    calls: list[Call], versions: list[tuple[str, int]], fault: str
) -> None:
    _, faults = _v1(calls, versions)
    assert any(fault in found for found in faults)


@pytest.mark.parametrize("versions", [[], [("submitted", 1)]])
def test_an_unanswered_v1_request_may_have_been_written_or_not(versions: list[tuple[str, int]]) -> None:
    _, faults = _v1([_call(1, "submitted", None)], versions)
    assert faults == []
