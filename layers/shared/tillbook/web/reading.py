"""Answers the reads of orders, people, audiences, reports and requests. The match is a POST, but only reads, too."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.records.accounts import Account, Accounts
from tillbook.records.accounts import shown as shown_account
from tillbook.records.deadletters import DeadLetters
from tillbook.records.jobs import Jobs
from tillbook.records.outcomes import PURGED, Outcomes
from tillbook.records.outcomes import shown as shown_outcome
from tillbook.records.providers import Providers
from tillbook.records.scopes import Marks, Scopes
from tillbook.rules import times
from tillbook.rules.errors import Malformed, NotFound
from tillbook.rules.identity import SOURCES, Source
from tillbook.rules.json_text import Json
from tillbook.views import request_list
from tillbook.views.audiences import Audiences, source_of
from tillbook.views.orders import OrderReader
from tillbook.views.paging import PLACE, Page, decode_cursor, encode_cursor
from tillbook.views.people import People
from tillbook.views.request_list import RequestList
from tillbook.web.answers import Response
from tillbook.web.request import Request

if TYPE_CHECKING:
    from tillbook.records.book import Book
    from tillbook.views.ranking import Ranking

# Seconds between the deadline for counting requests and the answer's own deadline, for calls that have begun.
_LAST_CALLS_SECONDS = 2.0
_DAYS_OF_A_REPORT = 30


def answer(request: Request) -> Response:
    """Answers a request. Raises a Problem (rules.errors) if it is refused or cannot be answered now."""
    found = _ROUTES[request.route](request)
    return found if isinstance(found, Response) else Response(200, found)


@cache
def _accounts() -> Accounts:
    return Accounts(clients.dynamodb(), settings().records_table)


def _people(request: Request) -> People:
    return People(clients.dynamodb(), settings().ledger_table, _accounts().get(request.account), _marks(request))


def _order_reader(request: Request) -> OrderReader:
    return _people(request).reader


def _people_marked(request: Request, account: Account, people: set[str]) -> People:
    """A reader that knows the erasures of these people, so that people who are being erased are not shown."""
    marks = Scopes(clients.dynamodb(), settings().records_table).read(request.account, people)
    return People(clients.dynamodb(), settings().ledger_table, account, marks)


def _marks(request: Request) -> Marks:
    """The account's marks, which are read for each request, so that a purge is visible as soon as it is answered."""
    return Scopes(clients.dynamodb(), settings().records_table).read(request.account)


def _account(request: Request) -> Json:
    """The account, and the key of the request."""
    return shown_account(_accounts().get(request.account)) | {"key": request.key.shown()}


def _order_v1(request: Request) -> Json:
    return _order(request, "orders_api", "")


def _order_v3(request: Request) -> Json:
    return _order(request, "shopper_activity", request.path("provider"))


def _order(request: Request, source: Source, provider: str) -> Json:
    order_id = request.path("order_id")
    try:
        return _order_reader(request).order(source, provider, order_id)
    except NotFound:
        # The gateway decodes the path before it chooses the route, so `/history` after an id with a `/` arrives here.
        before, _, last = order_id.rpartition("/")
        if not before or last != "history":
            raise
        return _history(request, source, provider, before)


def _history_v1(request: Request) -> Json:
    return _history(request, "orders_api", "", request.path("order_id"))


def _history_v3(request: Request) -> Json:
    return _history(request, "shopper_activity", request.path("provider"), request.path("order_id"))


def _history(request: Request, source: Source, provider: str, order_id: str) -> Json:
    query = request.query_as("OrderHistory")
    before = decode_cursor(query.cursor)
    return _listed("history", _order_reader(request).history(source, provider, order_id, query.limit, before))


def _person(request: Request) -> Json:
    people = _people(request)
    return people.shown(people.find(request.path("id_or_email")))


def _subscriber(request: Request) -> Json:
    people, asked = _people(request), request.path("id_or_email")
    return {"subscribers": [people.subscriber(people.find(asked), asked)]}


def _activity(request: Request) -> Json:
    people = _people(request)
    query, after = request.query, decode_cursor(request.query.cursor)
    person = people.find(request.path("id_or_email"))
    return _listed("activity", people.activity(person, query.limit, after, effects=query.effects))


def _orders(request: Request) -> Json:
    people = _people(request)
    query, after = request.query, decode_cursor(request.query.cursor, PLACE)
    return _listed("orders", people.orders(people.find(request.path("id_or_email")), query.limit, after))


def _listed(noun: str, page: Page) -> Json:
    return {noun: page.entries, "next_cursor": page.cursor and encode_cursor(page.cursor)}


def _request(request: Request) -> Json:
    """The outcome of a request. A request without one is purged or, while the queue may still have it, queued."""
    request_id = request.path("request_id").lower()
    age = times.uuid7_age(request_id)
    if age is None:
        raise NotFound("There is no such request.")
    marks, outcomes = _marks(request), Outcomes(clients.dynamodb(), settings().records_table)
    received, gone = times.stamp(times.uuid7_time(request_id)), False
    for source in SOURCES:
        found = outcomes.find(request.account, source, request_id)
        if found is not None and not marks.purged(source, found.received):
            return shown_outcome(found)
        gone = gone or found is not None
    if age > settings().queue_retention_seconds:
        raise NotFound("There is no such request, or it is more than 30 days old.")
    # The id has milliseconds only. It counts as purged if the whole millisecond is before the cut.
    gone = gone or marks.purged("shopper_activity", times.shift(received, milliseconds=1))
    status, reason = ("failed", PURGED) if gone else ("queued", None)
    return {"request_id": request_id, "status": status, "reason": reason, "received_at": times.iso(received)}


def _audiences(request: Request) -> Audiences:
    return Audiences(clients.dynamodb(), settings().ledger_table, _marks(request))


def _all_audiences(request: Request) -> Json:
    from tillbook.views.sales import size_of  # imported here, since few reads need it

    book, deadline = _book(), request.deadline
    return _audiences(request).all(lambda scope: size_of(book, scope, lambda: time.monotonic() < deadline).records)


def _members(request: Request) -> Json | Response:
    """Members as JSON, or with `?format=csv` (or `Accept: text/csv`) as a page of CSV with the cursor in a header."""
    source = source_of(request.path("audience_id"))
    query = request.query
    page = _audiences(request).members(source, query.limit, query.cursor)
    if not _wants_csv(request):
        return {"members": page.records, "next_cursor": page.cursor}
    return _csv(page.csv(), page.cursor)


def _wants_csv(request: Request) -> bool:
    form = request.query.format or ("csv" if "text/csv" in (request.header("accept") or "") else "json")
    return bool(form == "csv")


def _csv(text: str, cursor: str | None = None) -> Response:
    return _text("text/csv", text, cursor)


def _text(kind: str, text: str, cursor: str | None) -> Response:
    headers = {"content-type": f"{kind}; charset=utf-8"} | ({"x-next-cursor": cursor} if cursor else {})
    return Response(200, text, headers)


def _book() -> Book:
    from tillbook.records.book import Book  # imported here, since few reads need it

    return Book(clients.dynamodb(), settings().book_table)


def _sales(request: Request) -> Json | Response:
    """The sales report. If time runs out, finished sums are kept, and the next request continues."""
    from tillbook.rules.dates import date_of, shifted, zone_of
    from tillbook.views import report  # imported here, since few reads need them

    query, account = request.query, _accounts().get(request.account)
    last = _date("to", query.last) or date_of(request.received, zone_of(account.time_zone))
    first = _date("from", query.first) or shifted(last, 1 - _DAYS_OF_A_REPORT)
    if first > last:
        raise Malformed("from must not be later than to.", "from")
    currency = query.currency and query.currency.upper()
    question = report.Question(first, last, query.interval, query.group_by, currency, query.compare, query.limit)
    made = report.Report(_book(), account, _marks(request), lambda: time.monotonic() < request.deadline)
    found = made.of(question)
    return _csv(report.as_csv(found)) if _wants_csv(request) else found


def _ranking(request: Request, marks: Marks) -> Ranking:
    from tillbook.views.ranking import Ranking  # imported here, since few reads need it

    account = _accounts().get(request.account)
    return Ranking(_book(), account, marks, lambda: time.monotonic() < request.deadline)


def _people_listed(request: Request) -> Json | Response:
    # Imported here, since few reads need them.
    from tillbook.rules.segments import Bounds
    from tillbook.views import ranking

    query, marks = request.query, _marks(request)
    made = _ranking(request, marks)
    account = made.account
    currency = query.currency.upper() if query.currency else account.currency
    bounds = Bounds(
        query.min_lifetime_value,
        query.max_lifetime_value,
        query.min_orders,
        query.max_orders,
        _date("last_order_from", query.first),
        _date("last_order_to", query.last),
    )
    question = ranking.Question(query.sort, currency, (bounds,), query.direction == "asc")
    if query.segment is not None:
        question = ranking.within(question, account, query.segment, query.currency)
    after = decode_cursor(query.cursor, ranking.RANK)
    listed = made.listed(question, query.limit, ranking.Rank.of(after) if after else None)
    people = _people_marked(request, account, {rank.person for rank in listed.ranks})
    entries = ranking.shown(people, listed.ranks)
    cursor = listed.next and encode_cursor(listed.next)
    if _wants_csv(request):
        return _csv(ranking.as_csv(entries, question.currency), cursor)
    return {
        "people": entries, "total": listed.total, "currency": question.currency,
        "as_of": times.iso(listed.late) if listed.late else None, "next_cursor": cursor,
    }  # fmt: skip


def _segments(request: Request) -> Json:
    made = _ranking(request, _marks(request))
    return made.segments_shown()


def _orders_by_date(request: Request) -> Json | Response:
    from tillbook.views import order_export, order_list  # imported here, since few reads need them

    query, account = request.query, _accounts().get(request.account)
    filters = order_list.Filters(
        _date("from", query.first),
        _date("to", query.last),
        query.source,
        query.status,
        query.provider,
        query.promo_code,
        query.currency and query.currency.upper(),
        query.min_total,
        query.max_total,
        query.text,
        query.name,
    )
    scopes = Scopes(clients.dynamodb(), settings().records_table)
    made = order_list.OrderList(_book(), account, scopes, lambda: time.monotonic() < request.deadline)
    after = decode_cursor(query.cursor, PLACE)
    lines = query.format == "jsonl"
    if not lines and not _wants_csv(request):
        page = made.page(filters, query.limit, after)
        return _listed("orders", page)
    export = order_export.OrderExport(made, lambda people: _people_marked(request, account, people))
    page = export.page(filters, query.limit, after)
    cursor = page.cursor and encode_cursor(page.cursor)
    if lines:
        return _text("application/x-ndjson", order_export.as_lines(page.entries), cursor)
    return _csv(order_export.as_csv(page.entries), cursor)


def _date(name: str, text: str | None) -> date | None:
    """The date of a parameter. Raises Malformed."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Malformed(f"{name} must be a date, as 2026-11-29.", name) from None


def _match(request: Request) -> Json:
    source = source_of(request.path("audience_id"))
    # Imported here, since no other read needs them.
    from tillbook.views.match import match
    from tillbook.views.match_orders import MatchOrders

    def with_orders(*asked: Any) -> list[Any]:
        people = _people(request)
        may_go_on = lambda: time.monotonic() < request.deadline  # noqa: E731
        return MatchOrders(people, lambda marked: _people_marked(request, people.account, marked), may_go_on)(*asked)

    scope = _marks(request).scope(source)
    return match(clients.dynamodb(), settings().ledger_table, scope, request.json(), with_orders)


def _job(request: Request) -> Json:
    return Jobs(clients.dynamodb(), settings().records_table).shown(request.account, request.id_in_path("job_id"))


def _request_list(request: Request) -> RequestList:
    client, records = clients.dynamodb(), settings().records_table
    account, marks = _accounts().get(request.account), _marks(request)
    orders = OrderReader(client, settings().ledger_table, account, marks)
    return RequestList(Outcomes(client, records), Providers(client, records), orders, account, marks)


def _transactions(request: Request) -> Json | Response:
    """Requests, newest first. They are read by key; filters that are no part of the key are applied after the read."""
    query, found = request.query, _request_list(request)
    first, beyond = _id_bounds(found.account, query)
    provider = query.provider if query.order_id is not None else None  # as contract/queries.py describes it
    filters = request_list.Filters(
        query.status, query.source, query.request_id, query.order_id, provider, query.action, first, beyond
    )
    rows, cursor = found.page(filters, query.limit, query.cursor)
    if _wants_csv(request):
        return _csv(request_list.as_csv(rows), cursor)
    return {"transactions": rows, "next_cursor": cursor}


def _id_bounds(account: Account, query: Any) -> tuple[str, str]:
    """The bounds of request ids for `from` and `to`. Raises Malformed."""
    if not query.first and not query.last:
        return "", ""
    from tillbook.rules.dates import zone_of  # imported here, since few reads need it

    first, last = _date("from", query.first), _date("to", query.last)
    if first and last and first > last:
        raise Malformed("from must not be later than to.", "from")
    return request_list.bounds(first, last, zone_of(account.time_zone))


def _counts(request: Request) -> Json:
    from tillbook.rules.dates import zone_of

    query, found = request.query, _request_list(request)
    zone = zone_of(found.account.time_zone)
    last = _date("to", query.last) or times.to_datetime(request.received).astimezone(zone).date()
    first = _date("from", query.first) or last
    if first > last:
        raise Malformed("from must not be later than to.", "from")
    begin, beyond = request_list.bounds(first, last, zone)
    filters = request_list.Filters(source=query.source, first=begin, beyond=beyond)
    return {"from": first.isoformat(), "to": last.isoformat(), "counts": found.counts(filters)}


def _summary(request: Request) -> Json:
    """The number of requests by day (UTC). `from` and `to` are days, both included."""
    from tillbook.views import summary  # imported here, since no other read needs it

    start, end = summary.days_asked(request.query.first, request.query.last, times.day(request.received))
    outcomes = Outcomes(clients.dynamodb(), settings().records_table)
    return summary.Summary(outcomes, _marks(request)).of(start, end, request.deadline - _LAST_CALLS_SECONDS)


def _dead_letters(request: Request) -> Json:
    dead_letters = DeadLetters(clients.dynamodb(), settings().records_table)
    query = request.query
    found, cursor = dead_letters.listed(_marks(request), query.limit, query.cursor, payload=query.payload)
    return {"deadletters": found, "next_cursor": cursor}


def _dead_letter(request: Request) -> Json:
    dead_letters = DeadLetters(clients.dynamodb(), settings().records_table)
    return dead_letters.one(_marks(request), request.id_in_path("deadletter_id"))


def _count_dead_letters(request: Request) -> Json:
    return DeadLetters(clients.dynamodb(), settings().records_table).count(_marks(request))


_ROUTES: dict[str, Callable[[Request], Json | Response]] = {
    "GET /v1/account": _account,
    "GET /v1/audiences": _all_audiences,
    "GET /v1/audience/{audience_id}": _members,
    "POST /v1/audience/{audience_id}/match": _match,
    "GET /v1/jobs/{job_id}": _job,
    "GET /v1/transactions": _transactions,
    "GET /v1/transactions/counts": _counts,
    "GET /v1/transactions/summary": _summary,
    "GET /v1/deadletters": _dead_letters,
    "GET /v1/deadletters/count": _count_dead_letters,
    "GET /v1/deadletters/{deadletter_id}": _dead_letter,
    "GET /v1/orders": _orders_by_date,
    "GET /v1/reports/sales": _sales,
    "GET /v1/order/{order_id}": _order_v1,
    "GET /v1/order/{order_id}/history": _history_v1,
    "GET /v3/{account_id}/requests/{request_id}": _request,
    "GET /v3/{account_id}/people": _people_listed,
    "GET /v3/{account_id}/segments": _segments,
    "GET /v3/{account_id}/people/{id_or_email}": _person,
    "GET /v3/{account_id}/people/{id_or_email}/activity": _activity,
    "GET /v3/{account_id}/people/{id_or_email}/orders": _orders,
    "GET /v3/{account_id}/orders/{provider}/{order_id}": _order_v3,
    "GET /v3/{account_id}/orders/{provider}/{order_id}/history": _history_v3,
    "GET /v2/{account_id}/subscribers/{id_or_email}": _subscriber,
}
