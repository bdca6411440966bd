"""Events for other systems in the form of CloudEvents 1.0, made from the changes in the tables' streams.

An event has the same id however often its change is delivered. A change of several currencies has one event for
each, with the same subject and `sequence`. Of the events of a person in one source and currency, the one with the
largest `sequence`, compared as text, has the stored lifetime value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tillbook.aws.items import Item, plain_item
from tillbook.ledger.items import Cause, PersonItem, Scope, cause_of, person_of
from tillbook.records.accounts import Account
from tillbook.records.outcomes import Outcome, outcome_of
from tillbook.records.scopes import Mark
from tillbook.rules import times
from tillbook.rules.amounts import EXACT, ZERO
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.effects import shown_effects
from tillbook.rules.identity import SOURCES, Source, short_hash
from tillbook.rules.json_text import Json

LIFETIME_VALUE_CHANGED = "lifetime_value.changed"
ORDERS_PURGED = "orders.purged"
ORDER_APPLIED, ORDER_FAILED = "order.applied", "order.failed"
_SOURCE_OF_LETTER: dict[str, Source] = {source[0]: source for source in SOURCES}


class Image(NamedTuple):
    """One change of an item. `before` is empty for a new item.

    `sequence` is the change's number in the stream; `seconds` is the time of the change (Unix time).
    """

    item: Item
    before: Item
    sequence: str
    seconds: float

    @classmethod
    def of(cls, change: Mapping[str, Any]) -> Image:
        before = plain_item(change.get("OldImage") or {})
        seconds = float(change["ApproximateCreationDateTime"])
        return cls(plain_item(change["NewImage"]), before, str(change["SequenceNumber"]), seconds)

    @property
    def account(self) -> str:
        return str(self.item["pk"]).partition("/")[0]

    @property
    def time(self) -> str:
        return times.iso(times.stamp(datetime.fromtimestamp(self.seconds, UTC)))


class Named(NamedTuple):
    """Names the order and the event that caused a change. A field is None if the ledger no longer has its value."""

    order_id: str | None = None
    provider: str | None = None
    action: str | None = None
    request: str | None = None


class PersonChange(NamedTuple):
    """A change of a person's item, with the lifetime value by currency before and after it."""

    image: Image
    scope: Scope
    person: PersonItem
    cause: Cause
    before: Mapping[str, Decimal]
    after: Mapping[str, Decimal]

    @property
    def currencies(self) -> list[str]:
        """The currencies in which the lifetime value changed. Empty if only other attributes did."""
        return sorted(c for c in {*self.before, *self.after} if self.before.get(c, ZERO) != self.after.get(c, ZERO))


def person_change(image: Image, account: Account) -> PersonChange:
    """Reads the change of a person's item. Orders without a currency count in the account's currency."""
    person = person_of(image.item)
    before = _amounts(person_of(image.before), account) if image.before else {}
    scope, cause = Scope.of(image.item["pk"]), cause_of(person.token)
    return PersonChange(image, scope, person, cause, before, _amounts(person, account))


def _amounts(person: PersonItem, account: Account) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for name, amount in person.cells.items():  # `USD` and `*` are amounts, `#USD` and `#*` are numbers of orders
        if name[0] != "#":
            currency = account.currency if name == "*" else name
            found[currency] = EXACT.add(found.get(currency, ZERO), amount)
    return found


@dataclass(frozen=True)
class Announcements:
    """Builds events. `origin` is the name of the stack."""

    origin: str

    def of_person(self, change: PersonChange, account: Account, named: Named) -> Iterator[Json]:
        """One event for each currency in which the lifetime value changed."""
        person, image, source = change.person, change.image, change.scope.source
        named_as = {kind: person.value if person.kind == kind else None for kind in ("email", "person", "customer")}
        cause = {"action": named.action, "request_id": named.request} if named.request else None
        for currency in change.currencies:
            yield self._event(
                LIFETIME_VALUE_CHANGED,
                image,
                (image.item["pk"], image.item["sk"], person.token, currency),
                subject=str(image.item["sk"]),
                # The stream's numbers can be compared only within one item, and a purge starts a new generation with
                # new items. So the generation is compared first.
                sequence=f"{change.scope.generation:06d}.{image.sequence:0>40}",
                data={
                    "account_id": image.account,
                    "source": source,
                    "counted": source in account.sources,
                    "person": {
                        "id": image.item["sk"],
                        "email_sha256": named_as["email"],
                        "person_id": named_as["person"],
                        "customer_id": named_as["customer"],
                    },
                    "currency": currency,
                    "before": amount_text(change.before.get(currency, ZERO)),
                    "after": amount_text(change.after.get(currency, ZERO)),
                    "orders_count": sum(person.orders.values()),
                    "order": {"provider": named.provider, "order_id": named.order_id} if named.order_id else None,
                    "cause": cause,
                },
            )

    def of_outcome(self, image: Image, account: Account) -> Json:
        """The event of an outcome. The trigger's filter passes applied and failed requests only."""
        outcome: Outcome = outcome_of(image.item)
        kind = ORDER_APPLIED if outcome.status == "applied" else ORDER_FAILED
        return self._event(
            kind, image, (outcome.account, outcome.request_id, outcome.status), subject=outcome.request_id,
            data={
                "account_id": outcome.account, "source": outcome.source, "request_id": outcome.request_id,
                "received_at": times.iso(outcome.received), "action": outcome.action,
                "order": {"provider": outcome.provider or None, "order_id": outcome.order_id},
                "reason": outcome.reason or None, "effects": shown_effects(outcome.effects, account.currency),
            },
        )  # fmt: skip

    def of_purge(self, image: Image) -> Json:
        """The event of a purge, made from the mark of the purged source."""
        source = _SOURCE_OF_LETTER[str(image.item["sk"])]
        mark = Mark(int(image.item["generation"]), str(image.item["cut"]))
        return self._event(
            ORDERS_PURGED, image, (image.account, source, mark.generation), subject=source,
            data={"account_id": image.account, "source": source, "received_up_to": times.iso(mark.cut)},
        )  # fmt: skip

    def _event(
        self, kind: str, image: Image, identity: tuple[Any, ...], *, subject: str, data: Json, **more: str
    ) -> Json:
        return {
            "specversion": "1.0",
            "id": short_hash("\n".join(map(str, (kind, *identity)))),
            "source": f"/tillbook/{self.origin}/{image.account}",
            "type": kind,
            "subject": subject,
            "time": image.time,
            "datacontenttype": "application/json",
            **more,
            "data": data,
        }
