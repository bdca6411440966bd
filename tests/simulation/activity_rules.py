"""The rules of v3: which copy of an event counts, and the state of an order after all of its events."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.simulation.facts import V3, VOIDED, Cuts, Event, Order, Person, Seen
from tests.simulation.values import amount, email_hash, is_email, moment


def _frozen(value: Any) -> Any:
    """A hashable form of a JSON value: 1, 1.0 and 1e0 are equal, true and 1 are not; the order of keys is ignored."""
    if isinstance(value, dict):
        return frozenset((name, _frozen(entry)) for name, entry in value.items())
    if isinstance(value, list):
        return ("list", *map(_frozen, value))
    return (type(value).__name__ if isinstance(value, bool) else "", value)


def _content(payload: dict[str, Any]) -> Any:
    """A hashable value that is equal for copies of one event: the payload as sent, with e-mail addresses hashed."""
    sent = dict(payload)
    for name in ("email", "person_id"):
        value = sent.get(name)
        if isinstance(value, str) and is_email(value):
            sent[name] = ("hashed", email_hash(value))
    return _frozen(sent)


def person_v3(event: Event) -> Person | None:
    """The person of an event; None for a voided event, which names nobody."""
    if event.payload["action"] == VOIDED:
        return None
    person_id = event.payload.get("person_id")
    if person_id not in (None, ""):
        text = str(person_id).strip()
        return (event.account, "email", email_hash(text)) if is_email(text) else (event.account, "person", text)
    return event.account, "email", email_hash(event.payload["email"])


# -------------------------------------------------------------------------- v3


@dataclass(slots=True)
class Group:
    """One event, represented by the copy that was received first. `place` sorts the events of an order."""

    event: Event
    place: tuple[str, str, int]


def _identity(event: Event) -> Any:
    """A hashable value that is equal for copies of one event: by idempotency key, else by content or by request."""
    if event.key is not None:
        return "key", _order_of(event), event.key, event.position
    if event.payload.get("occurred_at") not in (None, "") or event.payload["action"] == VOIDED:
        return "content", event.account, _content(event.payload)
    return "request", event.account, event.request_id


def _order_of(event: Event) -> tuple[str, str, str]:
    return event.account, event.payload["provider"], str(event.payload["order_id"])


def grouped(events: list[Event], cuts: Cuts, seen: Seen, faults: list[str]) -> list[Group]:
    """Groups the copies of each event that was neither purged nor erased, and checks the statuses of their requests."""
    in_timelines = {
        (person[0], activity.place[1], activity.place[2])
        for person, activities in seen.books.timelines.items()
        for activity in activities
        if activity.source == V3
    }
    groups: dict[Any, list[Event]] = {}
    for event in events:
        if event.received > cuts.source(event.account, V3):
            groups.setdefault(_identity(event), []).append(event)
    found = []
    for copies in groups.values():
        earliest = _counted(copies, cuts, seen, in_timelines, faults)
        if earliest is not None:
            occurred = earliest.payload.get("occurred_at")
            time = moment(occurred) if occurred else earliest.received
            found.append(Group(earliest, (time, earliest.received, earliest.position)))
    return found


def _counted(
    copies: list[Event], cuts: Cuts, seen: Seen, in_timelines: set[tuple[str, str, int]], faults: list[str]
) -> Event | None:
    """The copy that counts: the earliest of those with the content that was applied.

    None if the ledger does not have exactly one of the copies, or if the event was erased. An erased event still counts
    while an unfinished job leaves it in a timeline.
    """
    account = copies[0].account
    status = {e.request_id: seen.statuses.get((account, V3, e.request_id), "none") for e in copies}
    writers = [e for e in copies if (account, e.request_id) in seen.written]
    if len(writers) != 1:
        # A purge that did not finish may have written its mark so late that other functions did not read it.
        if writers or cuts.all_purges_finished(account, V3):
            faults.append(f"{_ids(copies)} is in the ledger {len(writers)} times, not once: {status}")
        return None
    writer = writers[0]
    alike = [e for e in copies if _content(e.payload) == _content(writer.payload)]
    if any(status[e.request_id] != "failed" for e in copies if e not in alike):  # another content under the same key
        faults.append(
            f"copies of {_ids(copies)} with another content than {writer.request_id} have the statuses {status}"
        )
    earliest = min(alike, key=lambda e: (e.received, e.position))
    person = person_v3(writer)
    if person and any(e.received <= cuts.person(person) for e in alike):
        if any(status[e.request_id] not in ("failed", "applied", "duplicate") for e in alike):
            faults.append(f"{_ids(alike)} is erased, but its requests have the statuses {status}")
        listed = (account, earliest.received, earliest.position) in in_timelines
        return earliest if listed and not cuts.all_erasures_finished(person) else None
    for event in alike:
        must = "applied" if event is writer else "duplicate"
        if status[event.request_id] != must:
            faults.append(f"{_ids([event])} is {status[event.request_id]}, not {must}")
    return earliest


def _ids(events: list[Event]) -> str:
    return ", ".join(f"{e.request_id}[{e.position}]" for e in events)


def v3_order(everything: list[Group]) -> Order:
    """The order that results from all of its events. At least one of them names a person."""
    everything.sort(key=lambda g: g.place)
    groups = [group for group in everything if group.event.payload["action"] != VOIDED]
    # An order is voided by a voided event until a later event sets the total.
    voided = False
    for payload in (group.event.payload for group in everything):
        if payload["action"] in ("placed", "updated", "paid", "fulfilled", VOIDED):
            decides = payload["action"] == VOIDED or amount(payload.get("grand_total")) is not None
            voided = payload["action"] == VOIDED if decides else voided
    total: Decimal | None = None
    fallback: Decimal | None = None
    opened, refunds, currency = False, Decimal(0), None
    addresses = {"shipping_address": "", "billing_address": ""}
    for group in groups:
        payload = group.event.payload
        sets = payload["action"] in ("placed", "updated", "paid", "fulfilled")
        carried = amount(payload.get("grand_total"))
        if sets:
            opened = True
            total = total if carried is None else carried
        else:
            fallback = fallback if carried is None else carried
            refunds += amount(payload.get("refund_amount")) or 0
        currency = payload.get("currency") or currency
        for name in addresses:
            addresses[name] = (payload.get(name) or {}).get("address_1", addresses[name])
    # Without a total of its own, an order has that of a refund or cancellation; without that, 0 if it was opened.
    known = (
        Decimal(0)
        if voided
        else total
        if total is not None
        else fallback
        if fallback is not None
        else Decimal(0)
        if opened
        else None
    )
    latest = groups[-1]
    flagged = voided or (known is not None and refunds > known)
    return Order(
        person=person_v3(latest.event), currency=currency.upper() if currency else None,
        contribution=Decimal(0) if known is None or voided else known - refunds, total=known, refunds=refunds,
        action=latest.event.payload["action"], events=len(everything), first=min(g.place[0] for g in groups),
        last=latest.place[0], added=min(g.place[1] for g in groups), flagged=flagged,
        addresses=(addresses["shipping_address"], addresses["billing_address"]),
    )  # fmt: skip
