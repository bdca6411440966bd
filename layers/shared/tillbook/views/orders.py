"""Reads orders of the ledger: one order, its history, the requests that changed it. Nothing here writes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tillbook.aws.items import Item, raw
from tillbook.aws.reads import batch_get, query_items
from tillbook.contract import activity, document
from tillbook.ledger.items import (
    ActivityHead,
    EventItem,
    Head,
    OrderHead,
    Scope,
    event_name,
    event_of,
    head_of,
    version_name,
)
from tillbook.records.accounts import Account
from tillbook.records.outcomes import Outcome
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.amounts import ZERO
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.effects import effects_in
from tillbook.rules.errors import NotFound, Unavailable
from tillbook.rules.identity import Source, order_key
from tillbook.rules.json_text import Json
from tillbook.rules.order import (
    ACTIVITY_NAMES,
    VOIDED,
    OrderState,
    event_id_of,
    ignores_total,
    occurred_of,
    received_of,
    step,
)
from tillbook.rules.packing import unpack
from tillbook.views.paging import Page

_NOTED_VERSIONS = 10  # number of a v1 order's latest versions whose notes are shown with the order

# (person, currency, contribution) after an event.
_Step = tuple[str, str, Decimal]


@dataclass(frozen=True, slots=True)
class OrderReader:
    client: Any
    table: str
    account: Account
    marks: Marks

    def order(self, source: Source, provider: str, order_id: str) -> dict[str, Json]:
        """One order. Raises NotFound."""
        return self.shown(self.marks.scope(source), order_key(source, provider, order_id))

    def history(self, source: Source, provider: str, order_id: str, limit: int, before: str | None) -> Page:
        """The events of an order, each with the order's contribution to LTV after it. Raises NotFound.

        A page has the latest `limit` events, or those before the stamp `before`, oldest first: v3 events are
        sorted by their own time, versions of a v1 order by number. `late` marks an event that was received after one
        that follows it. All versions of a v1 order are shown, including those before a deletion. Erased events are not
        shown.
        """
        v1 = source == "orders_api"
        without = ("effects",) if v1 else ("body", "effects")
        items = self._events(self.marks.scope(source), order_key(source, provider, order_id), without)
        sort_key = event_id_of if v1 else str  # v1 sorts by version, since an edit may change the date
        events = sorted((event for event in map(event_of, items) if event.stamp), key=lambda e: sort_key(e.stamp))
        if all(event.action == VOIDED for event in events):
            raise NotFound("There is no such order.")
        steps = self._versions(events) if v1 else self._states(events)
        entries: list[Json] = []
        # For each event: the earliest receipt of it and of the events that follow it.
        first_receipts = [received_of(event.stamp) for event in events]
        for index in reversed(range(len(events) - 1)):
            first_receipts[index] = min(first_receipts[index], first_receipts[index + 1])
        for event, first_receipt, (person, currency, amount) in zip(events, first_receipts, steps, strict=True):
            received = received_of(event.stamp)
            entries.append(
                {
                    "name": ACTIVITY_NAMES[event.action],
                    "action": event.action,
                    "occurred_at": times.iso(occurred_of(event.stamp)),
                    "received_at": times.iso(received),
                    "request_id": event.request,
                    "late": first_receipt < received,
                    "notes": _notes(event),
                    "person": person or None,
                    "before": entries[-1]["lifetime_value"] if entries else None,
                    "lifetime_value": {"currency": currency or self.account.currency, "amount": amount_text(amount)},
                }
            )
        end = bisect_left(events, sort_key(before), key=lambda e: sort_key(e.stamp)) if before else len(events)
        start = max(end - limit, 0)
        return Page(entries[start:end], events[start].stamp if start else None)

    def _states(self, events: list[EventItem]) -> list[_Step]:
        state = OrderState()
        steps: list[_Step] = []
        for event in events:
            state = step(state, event.event)
            steps.append((state.person, state.currency, state.contribution))
        return steps

    def _versions(self, events: list[EventItem]) -> list[_Step]:
        steps: list[_Step] = []
        for event in events:
            body = unpack(event.body)
            total = ZERO if event.action == "deleted" else Decimal(body.get("total", 0))
            steps.append((event.person, str(body.get("currency", "USD")), total))
        return steps

    def applied(self, order_id: str, providers: list[str], before: str | None) -> list[Outcome]:
        """The applied requests of all orders with this id: of the v1 order, and of each provider's order.

        With `before`, only requests with a smaller id.
        """
        places: list[tuple[Source, str]] = [("orders_api", ""), *(("shopper_activity", name) for name in providers)]
        found: list[Outcome] = []
        for source, name in places:
            key = order_key(source, name, order_id)
            for event in map(event_of, self._events(self.marks.scope(source), key, ("body",))):
                if event.stamp and (before is None or event.request < before):
                    found.append(
                        Outcome(
                            self.account.id,
                            source,
                            event.request,
                            "applied",
                            received_of(event.stamp),
                            event.action,
                            name,
                            order_id,
                            notes=_notes(event),
                            effects=effects_in(event.effects),
                        )
                    )
        return found

    def shown(self, scope: Scope, key: str, person: str | None = None, known: Head | None = None) -> dict[str, Json]:
        """An order as answers show it. `known` is its head, if that was read already.

        Raises NotFound, also if `person` is given and the order is another person's; Unavailable if it keeps changing.
        """
        for _ in range(5):
            head, known = known or self.heads([(scope, key)]).get((scope, key)), None
            if head is None or head.standing is None or (person is not None and head.person != person):
                raise NotFound("There is no such order.")
            if isinstance(head, OrderHead):
                versions = self._versions_of(scope, key, head)
                if body := versions[-1].body if versions else b"":
                    notes = list(dict.fromkeys(note for version in versions for note in version.noted))
                    return document.whole(head.id, unpack(body)) | ({"notes": notes} if notes else {})
                continue
            events = [event for event in map(event_of, self._events(scope, key)) if event.stamp]
            if head.state.events == len(events):
                return self._shopper_order(head, events)
        raise Unavailable("The order is being changed. Please try again.")

    def _versions_of(self, scope: Scope, key: str, head: OrderHead) -> list[EventItem]:
        """The last few versions of an order, oldest first."""
        numbers = range(max(head.born, head.version - _NOTED_VERSIONS + 1), head.version + 1)
        keys = [raw(scope.event_key(key, version_name(number))) for number in numbers]
        found = sorted(batch_get(self.client, self.table, keys), key=lambda item: str(item["sk"]))
        return [event_of(item) for item in found]

    def _shopper_order(self, head: ActivityHead, events: list[EventItem]) -> dict[str, Json]:
        """A v3 order. Each field has its value in the latest event that carries it."""
        ordered = sorted(events, key=lambda e: e.stamp)
        merged = activity.merged([unpack(event.body) for event in ordered])
        state = head.state
        total = state.known_total
        shown = activity.order_of(merged)
        shown.pop("action", None)
        return shown | {
            "status": state.action,
            "person": state.person,
            "currency": state.currency or self.account.currency,
            "grand_total": None if total is None else amount_text(total),
            "refund_amount": amount_text(state.refunds),
            "lifetime_value": amount_text(state.contribution),
            "flags": state.flags,
            "notes": list(dict.fromkeys(note for event in ordered for note in _notes_within(state, event))),
            "events": state.events,
            "first_occurred_at": times.iso(state.ordered_at),
            "last_occurred_at": times.iso(occurred_of(state.latest_at)),
            "properties": activity.properties_of(merged),
        }

    def body(self, scope: Scope, key: str, head: Head) -> dict[str, Json] | None:
        """An order's body: the newest version (v1), or its events merged (v3). None if no event has a body any more."""
        if isinstance(head, OrderHead):
            versions = self._versions_of(scope, key, head)
            return unpack(versions[-1].body) if versions and versions[-1].body else None
        events = sorted((event for event in map(event_of, self._events(scope, key)) if event.body), key=_stamp)
        return activity.merged([unpack(event.body) for event in events]) if events else None

    def heads(self, orders: Iterable[tuple[Scope, str]]) -> dict[tuple[Scope, str], Head]:
        """Heads of the orders that exist, by scope and order key."""
        items = batch_get(self.client, self.table, [raw(scope.head_key(key)) for scope, key in set(orders)])
        heads = {(Scope.of(item["pk"]), str(item["sk"])): head_of(item) for item in items}
        return {key: head for key, head in heads.items() if head.standing is not None}

    def _events(self, scope: Scope, key: str, without: Sequence[str] = ()) -> list[Item]:
        """All events of an order (writes limit its size), unsorted. Their attributes in `without` are not read."""
        arguments: dict[str, Any] = {}
        if without:
            names = {f"#{n}": name for n, name in enumerate(("sk", *EventItem._fields)) if name not in without}
            arguments = {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        values = {":pk": scope.event_key(key, "")["pk"], ":order": event_name(key, "")}
        condition = "pk = :pk AND begins_with(sk, :order)"
        return list(query_items(self.client, self.table, condition, values, **arguments))


def _stamp(event: EventItem) -> str:
    return event.stamp


def _notes(event: EventItem) -> list[str]:
    """The notes of the request that sent the event."""
    return activity.notes_of(event.action, event.noted, event.flags.split())


def _notes_within(state: OrderState, event: EventItem) -> list[str]:
    """The notes of an event. The current state of its order decides whether a refund's own total is ignored."""
    flags = ["grand_total_ignored"] if ignores_total(state, event.event) else []
    return activity.notes_of(event.action, event.noted, flags)
