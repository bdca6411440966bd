"""Computes from the accepted requests what the tables must contain in the end. Shares no code with the package.

Follows the rules that the project's documents state: events are ordered by (occurred_at, time of receipt, position in
the batch); copies of one event count once, at the earliest receipt of any of them; an event that was received up to the
cut of a purge is deleted; an event is erased if any of its copies was received up to the cut of its person; and so on.
Where two endings are right (which of two contents under an idempotency key was applied first, or whether an unanswered
v1 write was made), the tables show which of them occurred, and everything else must follow from it.

`activity_rules.py` has the rules of v3, `order_rules.py` those of v1.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tests.simulation.activity_rules import Group, grouped, person_v3, v3_order
from tests.simulation.facts import NAMES, NEVER, V1, V3, Activity, Books, Call, Cuts, Event, Mark, Purge, Seen
from tests.simulation.order_rules import v1_order
from tests.simulation.values import email_hash, is_email

# ----------------------------------------------------------------------- audit


def expected(
    events: list[Event], calls: list[Call], seen: Seen, purges: list[Purge] | None = None
) -> tuple[Books, list[str]]:
    """The expected books, and descriptions of statuses, answers and versions that contradict the requests."""
    books, faults, purges = Books(), list(seen.faults), purges or []
    cuts = Cuts(seen.marks, purges)
    _check_marks(seen.marks, purges, faults)
    orders: dict[tuple[str, str, str, str], list[Group]] = {}
    for group in grouped(events, cuts, seen, faults):
        event, person = group.event, person_v3(group.event)
        order_id = str(event.payload["order_id"])
        orders.setdefault((event.account, V3, event.payload["provider"], order_id), []).append(group)
        if person is None:
            continue
        books.people.add(person)
        books.timelines.setdefault(person, []).append(
            Activity(group.place, NAMES[event.payload["action"]], V3, order_id)
        )
    for key, groups in orders.items():
        if any(person_v3(group.event) for group in groups):
            books.orders[key] = v3_order(groups)
    by_order: dict[tuple[str, str], list[Call]] = {}
    for call in calls:
        by_order.setdefault((call.account, call.order_id), []).append(call)
    for account, order_id, _ in seen.versions:
        if (account, order_id) not in by_order:
            faults.append(f"v1 order {account}/{order_id} was never requested")
    for (account, order_id), calls_of_order in by_order.items():
        writers = v1_order(account, order_id, calls_of_order, seen, cuts, books, faults)
        for call in calls_of_order:
            status = seen.statuses.get((account, V1, call.request_id), "none")
            fitting = {"applied"} if call.request_id in writers else {"none"}
            if call.received <= cuts.source(account, V1):
                fitting = {"none"}
            elif call.request_id not in writers and call.kind != "deleted":
                if call.status in (200, 201):  # the same order again, or an edit that changes nothing
                    fitting = {"none", "duplicate"} if call.hampered else {"duplicate"}
                elif call.status in (None, 500, 503):
                    fitting = {"none", "duplicate"}
            if status not in fitting:
                faults.append(f"v1 request {call} has the status {status}, not one of {fitting}")
    for (account, source, _, _), order in books.orders.items():
        records, count = books.audiences.get((account, source), (0, 0))
        books.audiences[account, source] = records + max(1, sum(map(bool, order.addresses))), count + 1
        if order.person is not None:
            cell = (source, order.currency)
            money = books.money.setdefault(order.person, {})
            money[cell] = money.get(cell, Decimal(0)) + order.contribution
            counts = books.counts.setdefault(order.person, {})
            counts[cell] = counts.get(cell, 0) + 1
    for activities in books.timelines.values():
        activities.sort()
    return books, faults


def _check_marks(marks: list[Mark], purges: list[Purge], faults: list[str]) -> None:
    """Checks that each purge and erasure did what its request asked for, and that each mark belongs to one."""
    for purge in purges:
        if purge.person is not None:
            # A target that is no e-mail address may be an id, or the SHA-256 of an address.
            names = {("customer", purge.target), ("person", purge.target), ("email", purge.target.lower())}
            if is_email(purge.target):
                names = {("email", email_hash(purge.target))}
            if purge.person[1:] not in names:
                faults.append(f"{purge} erases another person than its request asked for")
            marks_by_name = [[m for m in marks if m.person == purge.person]]
        else:
            source = purge.payload.get("source")
            if purge.sources != ((source,) if source else (V1, V3)):
                faults.append(f"{purge} purges other sources than its request asked for")
            letters = [("o" if s == V1 else "s") for s in purge.sources]
            marks_by_name = [
                [m for m in marks if m.account == purge.account and m.name == letter] for letter in letters
            ]
        # An answered purge has marks that were written between request and answer, with cuts later than the request.
        if purge.answered != NEVER and not all(
            any(purge.asked < m.cut and purge.start <= m.at < purge.answered for m in marks_of_name)
            for marks_of_name in marks_by_name
        ):
            faults.append(f"{purge} was answered without a valid mark: {marks_by_name}")
    for mark in marks:
        if not any(p.account == mark.account and p.asked < mark.cut for p in purges):
            faults.append(f"{mark} belongs to no purge and no erasure")


def audit(
    events: list[Event], calls: list[Call], purges: list[Purge], seen: Seen,
    read: Callable[[Books], list[str]] = lambda books: [],
) -> list[str]:  # fmt: skip
    """Describes every difference from the expected books; if there is none, those that `read` finds in the API."""
    books, faults = expected(events, calls, seen, purges)
    known = {(e.account, V3, e.request_id) for e in events} | {(c.account, V1, c.request_id) for c in calls}
    faults += [f"there is an outcome without a request: {request}" for request in seen.statuses.keys() - known]
    for name in ("orders", "money", "counts", "timelines", "audiences"):
        must, have = getattr(books, name), getattr(seen.books, name)
        for key in sorted(must.keys() | have.keys(), key=str):
            if must.get(key) != have.get(key):
                faults.append(f"{name} of {key}:\n  must be {must.get(key)}\n  but is  {have.get(key)}")
    faults += [
        f"{person} was named by a request, but is not in the ledger" for person in books.people - seen.books.people
    ]
    # A job that did not finish may leave some of the items that it had to delete.
    unfinished = {purge.account for purge in purges if not purge.finished}
    faults += [
        f"{person} is in the ledger, but was named by no request"
        for person in seen.books.people - books.people
        if person[0] not in unfinished
    ]
    faults += [
        f"{pk} was purged, but is still in its table" for pk in seen.undeleted if pk.split("/")[0] not in unfinished
    ]
    for purge in purges:
        places = seen.traces.get(purge.person, []) if purge.person else []
        if places and purge.account not in unfinished and purge.person not in books.people:
            faults.append(f"{purge.person} was erased, but is found in {places}")
    return sorted(faults or read(books))
