"""Every GET, and the match, which writes nothing: which read answers which route."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.ledger.items import SOURCES
from tillbook.records.accounts import Accounts
from tillbook.records.deadletters import DeadLetters
from tillbook.records.hours import Hours
from tillbook.records.jobs import Jobs
from tillbook.records.providers import Providers
from tillbook.records.scopes import Marks, Scopes
from tillbook.records.transactions import PURGED, STATUSES, Transactions, listed
from tillbook.records.transactions import shown as shown_transaction
from tillbook.rules import times
from tillbook.rules.errors import NotFound
from tillbook.rules.identity import Source
from tillbook.rules.json_text import Json, dumps
from tillbook.views import summary
from tillbook.views.audiences import Audiences, source_of
from tillbook.views.people import PAGE_BYTES, Page, People, decode_cursor, encode_cursor
from tillbook.web.answers import Response
from tillbook.web.request import Request

# What is left to add up what was read.
_ADD_UP_SECONDS = 2.0


def answer(request: Request) -> Response:
    """Raises NotFound, Malformed."""
    found = _ROUTES[request.route](request)
    return found if isinstance(found, Response) else Response(200, found)


@cache
def _accounts() -> Accounts:
    return Accounts(clients.dynamodb(), settings().records_table)


def _people(request: Request) -> People:
    return People(clients.dynamodb(), settings().ledger_table, _accounts().get(request.account), _marks(request))


def _marks(request: Request) -> Marks:
    """Read for each request: a purge is visible from its answer on."""
    return Scopes(clients.dynamodb(), settings().records_table).read(request.account)


def _account(request: Request) -> Json:
    """Whose key this is: what a page has to know to begin with."""
    account = _accounts().get(request.account)
    return {
        "account_id": account.id, "currency": account.currency, "sources": list(account.sources),
        "key": {"id": request.key.id, "label": request.key.label or None, "role": request.key.role},
    }  # fmt: skip


def _order_v1(request: Request) -> Json:
    return _order(request, "orders_api", "")


def _order_v3(request: Request) -> Json:
    return _order(request, "shopper_activity", request.path("provider"))


def _order(request: Request, source: Source, provider: str) -> Json:
    order_id = request.path("order_id")
    try:
        return _people(request).order(source, provider, order_id)
    except NotFound:
        # `/history` behind an id with a `/`: where the path is decoded before the route is looked for, it comes here.
        before, _, last = order_id.rpartition("/")
        if not before or last != "history":
            raise
        return _history(request, source, provider, before)


def _history_v1(request: Request) -> Json:
    return _history(request, "orders_api", "", request.path("order_id"))


def _history_v3(request: Request) -> Json:
    return _history(request, "shopper_activity", request.path("provider"), request.path("order_id"))


def _history(request: Request, source: Source, provider: str, order_id: str) -> Json:
    return {"history": _people(request).history(source, provider, order_id), "next_cursor": None}


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
    query, after = request.query, decode_cursor(request.query.cursor)
    return _listed("orders", people.orders(people.find(request.path("id_or_email")), query.limit, after))


def _listed(noun: str, page: Page) -> Json:
    return {noun: page.entries, "next_cursor": page.cursor and encode_cursor(page.cursor)}


def _request(request: Request) -> Json:
    """What became of it; without a record it is queued, as long as the queue may still hold it, or was purged."""
    request_id = request.path("request_id").lower()
    age = times.uuid7_age(request_id)
    if age is None:
        raise NotFound("There is no such request.")
    marks, transactions = _marks(request), Transactions(clients.dynamodb(), settings().records_table)
    received, gone = times.stamp(times.uuid7_time(request_id)), False
    for source in SOURCES:
        found = transactions.find(request.account, source, request_id)
        if found is not None and not marks.purged(source, found.received):
            return shown_transaction(found)
        gone = gone or found is not None
    if age > settings().queue_retention_seconds:
        raise NotFound("There is no such request, or it is more than 30 days old.")
    # Its millisecond has to be over by the cut: of a younger one nobody says that it failed.
    gone = gone or marks.purged("shopper_activity", times.shift(received, milliseconds=1))
    status, reason = ("failed", PURGED) if gone else ("queued", None)
    return {"request_id": request_id, "status": status, "reason": reason, "received_at": times.iso(received)}


def _audiences(request: Request) -> Audiences:
    return Audiences(clients.dynamodb(), settings().ledger_table, _marks(request))


def _all_audiences(request: Request) -> Json:
    return _audiences(request).all()


def _members(request: Request) -> Json | Response:
    """As JSON, or with `?format=csv` (or `Accept: text/csv`) as a CSV page with the cursor in a header."""
    source = source_of(request.path("audience_id"))
    query = request.query
    form = query.format or ("csv" if "text/csv" in (request.header("accept") or "") else "json")
    page = _audiences(request).members(source, query.limit, query.cursor)
    if form == "json":
        return {"members": page.records, "next_cursor": page.cursor}
    headers = {"content-type": "text/csv; charset=utf-8"} | ({"x-next-cursor": page.cursor} if page.cursor else {})
    return Response(200, page.csv(), headers)


def _match(request: Request) -> Json:
    source = source_of(request.path("audience_id"))
    from tillbook.views.match import match  # here, since no other read needs it

    people = match(clients.dynamodb(), settings().ledger_table, _marks(request).scope(source), request.json())
    return {"results": people}


def _job(request: Request) -> Json:
    return Jobs(clients.dynamodb(), settings().records_table).shown(request.account, request.id_in_path("job_id"))


def _transactions(request: Request) -> Json:
    """Newest first; `status`, `source`, `order_id` and `request_id` filter, none of them by scanning."""
    transactions, marks = Transactions(clients.dynamodb(), settings().records_table), _marks(request)
    query = request.query
    limit, before, request_id, order_id = query.limit, query.cursor, query.request_id, query.order_id
    statuses = [query.status] if query.status else list(STATUSES)
    sources = [query.source] if query.source else list(SOURCES)
    currency = _accounts().get(request.account).currency
    asked = query.provider if order_id is not None else None
    if request_id is not None:
        # What is no request id names none, and might not even make a key.
        known = times.uuid7_age(request_id.lower()) is not None
        by_source = [transactions.find(request.account, s, request_id.lower()) for s in sources if known]
        known_ones = [t for t in by_source if t is not None and not marks.purged(t.source, t.received)]
        found = [t for t in known_ones if t.status in statuses]
        return {"transactions": [listed(t, currency) for t in found], "next_cursor": None}
    if order_id is not None:
        found = transactions.of_order(marks, order_id, limit, before)
        providers = [asked] if asked else Providers(clients.dynamodb(), settings().records_table).of(request.account)
        found += _people(request).applied(order_id, providers, before)
        looked_at = sorted(found, key=lambda t: t.request_id, reverse=True)[:limit]
    else:
        looked_at = transactions.newest(marks, statuses, sources, limit, before)
    rows: list[Json] = []
    cursor, size = None, 0
    for transaction in looked_at:
        # A v1 order and a rejection have no provider.
        of_provider = not asked or transaction.provider in ("", asked)
        if of_provider and transaction.status in statuses and transaction.source in sources:
            row = listed(transaction, currency)
            size += len(dumps(dumps(row)).encode())  # the answer is JSON inside a JSON string
            if rows and size > PAGE_BYTES:
                return {"transactions": rows, "next_cursor": cursor}
            rows.append(row)
        cursor = transaction.request_id
    return {"transactions": rows, "next_cursor": cursor if len(looked_at) == limit else None}


def _summary(request: Request) -> Json:
    """What came in on which day, in UTC: `from` and `to` are days, both included."""
    start, end = summary.days_asked(request.query.first, request.query.last, times.day(request.received))
    account = _accounts().get(request.account)
    client, records = clients.dynamodb(), settings().records_table
    found = summary.Summary(Transactions(client, records), Hours(client, records))
    return found.of(account, lambda: _marks(request), start, end, request.deadline - _ADD_UP_SECONDS)


def _dead_letters(request: Request) -> Json:
    dead_letters = DeadLetters(clients.dynamodb(), settings().records_table)
    found, cursor = dead_letters.listed(_marks(request), request.query.limit, request.query.cursor)
    return {"deadletters": found, "next_cursor": cursor}


_ROUTES: dict[str, Callable[[Request], Json | Response]] = {
    "GET /v1/account": _account,
    "GET /v1/audiences": _all_audiences,
    "GET /v1/audience/{audience_id}": _members,
    "POST /v1/audience/{audience_id}/match": _match,
    "GET /v1/jobs/{job_id}": _job,
    "GET /v1/transactions": _transactions,
    "GET /v1/transactions/summary": _summary,
    "GET /v1/deadletters": _dead_letters,
    "GET /v1/order/{order_id}": _order_v1,
    "GET /v1/order/{order_id}/history": _history_v1,
    "GET /v3/{account_id}/requests/{request_id}": _request,
    "GET /v3/{account_id}/people/{id_or_email}": _person,
    "GET /v3/{account_id}/people/{id_or_email}/activity": _activity,
    "GET /v3/{account_id}/people/{id_or_email}/orders": _orders,
    "GET /v3/{account_id}/orders/{provider}/{order_id}": _order_v3,
    "GET /v3/{account_id}/orders/{provider}/{order_id}/history": _history_v3,
    "GET /v2/{account_id}/subscribers/{id_or_email}": _subscriber,
}
