"""Lists of requests with their outcomes, newest first, and their number by status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from tillbook.contract.limits import PAGE_BYTES
from tillbook.records.accounts import Account
from tillbook.records.outcomes import STATUSES, Outcome, Outcomes, listed
from tillbook.records.providers import Providers
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.identity import SOURCES
from tillbook.rules.json_text import Json, dumps
from tillbook.views.csv_pages import csv_of
from tillbook.views.orders import OrderReader
from tillbook.views.paging import answer_bytes

_ROUNDS = 10  # most reads for a page, each of up to `limit` requests, if a filter excludes many
_COLUMNS = (
    "request_id", "received_at", "status", "reason", "source", "action", "provider", "order_id", "original_request_id",
    "route", "key_label", "fields", "notes", "effects",
)  # fmt: skip
_JSON = ("fields", "notes", "effects")


class Filters(NamedTuple):
    """Filters of a list; None is no filter.

    `first` and `beyond` are bounds of request ids, which sort by time, and empty for no bound; `beyond` is excluded.
    """

    status: str | None = None
    source: str | None = None
    request_id: str | None = None
    order_id: str | None = None
    provider: str | None = None
    action: str | None = None
    first: str = ""
    beyond: str = ""

    @property
    def statuses(self) -> list[str]:
        return [self.status] if self.status else list(STATUSES)

    @property
    def sources(self) -> list[str]:
        return [self.source] if self.source else list(SOURCES)

    def take(self, outcome: Outcome) -> bool:
        return (
            outcome.status in self.statuses
            and outcome.source in self.sources
            and (not self.action or outcome.action == self.action)
            # v1 orders and rejections have no provider.
            and (not self.provider or outcome.provider in ("", self.provider))
            and self.first <= outcome.request_id
            and (not self.beyond or outcome.request_id < self.beyond)
        )


def bounds(first: date | None, last: date | None, zone: tzinfo) -> tuple[str, str]:
    """`first` and `beyond` of Filters for a period of dates in a time zone, both included."""
    beyond = last + timedelta(1) if last and last < date.max else None
    return _floor(first, zone), _floor(beyond, zone)


def _floor(day: date | None, zone: tzinfo) -> str:
    if day is None:
        return ""
    moment = datetime(day.year, day.month, day.day, tzinfo=zone)
    return times.uuid7_floor(max(moment, datetime(1970, 1, 2, tzinfo=UTC)))


@dataclass(frozen=True)
class RequestList:
    outcomes: Outcomes
    providers: Providers
    orders: OrderReader
    account: Account
    marks: Marks

    def page(self, filters: Filters, limit: int, cursor: str | None) -> tuple[list[Json], str | None]:
        """Rows, and the id of the request after which the next page begins (None at the end).

        A page may be short, since filters apply to requests that were read.
        """
        if filters.request_id is not None:
            return self._one(filters, filters.request_id), None
        # A filter for a rare action matches few rows, so several reads are allowed.
        rounds = _ROUNDS if filters.action else 1
        before = min(cursor or filters.beyond, filters.beyond or "~") or None  # the smaller one, if any
        rows: list[Json] = []
        size = 0
        for _ in range(rounds):
            read = self._newest(filters, limit, before)
            for outcome in read:
                if outcome.request_id < filters.first:
                    return rows, None
                if filters.take(outcome):
                    row = listed(outcome, self.account.currency)
                    size += answer_bytes(row)
                    if rows and size > PAGE_BYTES:
                        return rows, before
                    rows.append(row)
                before = outcome.request_id
                if len(rows) == limit:
                    return rows, before
            if len(read) < limit:
                return rows, None
        return rows, before

    def _one(self, filters: Filters, request_id: str) -> list[Json]:
        # A text that is not a request id matches nothing, and DynamoDB may refuse it as a key.
        if times.uuid7_age(request_id.lower()) is None:
            return []
        found = [self.outcomes.find(self.account.id, source, request_id.lower()) for source in filters.sources]
        known = [t for t in found if t is not None and not self.marks.purged(t.source, t.received)]
        return [listed(outcome, self.account.currency) for outcome in known if filters.take(outcome)]

    def _newest(self, filters: Filters, limit: int, before: str | None) -> list[Outcome]:
        if filters.order_id is None:
            return self.outcomes.newest(self.marks, filters.statuses, filters.sources, limit, before)
        found = self.outcomes.of_order(self.marks, filters.order_id, limit, before)
        providers = [filters.provider] if filters.provider else self.providers.of(self.account.id)
        found += self.orders.applied(filters.order_id, providers, before)
        return sorted(found, key=lambda t: t.request_id, reverse=True)[:limit]

    def counts(self, filters: Filters) -> list[Json]:
        """The number of requests by status. With `more`, the number is a lower bound."""
        found: list[Json] = []
        for status in STATUSES:
            count, more = 0, False
            for source in filters.sources:
                cut = self.marks.sources[source].cut
                # Ids have milliseconds only, so those of the cut's own millisecond are not counted.
                purged = times.uuid7_floor(times.to_datetime(times.shift(cut, milliseconds=1))) if cut else ""
                since = max(filters.first, purged)
                counted = self.outcomes.count(self.account.id, status, source, since, filters.beyond or "~")
                count, more = count + counted[0], more or counted[1]
            found.append({"status": status, "count": count, "more": more})
        return found


def as_csv(rows: list[Json]) -> str:
    """Rows as CSV; lists are JSON in one cell."""
    empty: Json = dict.fromkeys(_COLUMNS)
    return csv_of(_COLUMNS, [empty | row | {name: dumps(row[name]) for name in _JSON} for row in rows])
