"""Operations by admins: rebuilds, purges and erasures (202 and a job), replaying and discarding dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.rules.errors import NotFound
from tillbook.rules.identity import SOURCES, without_emails
from tillbook.rules.json_text import Json
from tillbook.views.audiences import source_of
from tillbook.views.people import People
from tillbook.web.answers import Response
from tillbook.web.request import Request
from tillbook.work.processing import processor

CONFIRMATION = "purge"
# Seconds before the deadline in which no further replay begins, so that the last one can end.
_ANSWER_SECONDS = 2.0


def start(request: Request) -> Response:
    """Starts an operation and answers its request. Raises a Problem (rules.errors) if it is refused."""
    return _ROUTES[request.route](request)


def _body(request: Request) -> Json:
    return request.json() if request.event.body else {}


def _job(job_id: str) -> Response:
    return Response(202, {"job_id": job_id})


def _rebuild(request: Request) -> Response:
    return _job(processor().rebuilds.start(processor().jobs, request.account, source_of(request.path("audience_id"))))


def _purge(request: Request) -> Response:
    """Starts a purge. The word `purge` must confirm it, in the header `x-confirm` or as `confirm` in the body."""
    from tillbook.contract.queries import Purge  # imported here, since few requests need pydantic
    from tillbook.contract.validation import Context, validated

    asked = _body(request)
    if isinstance(asked, dict) and request.header("x-confirm") == CONFIRMATION:
        asked |= {"confirm": CONFIRMATION}
    purge = validated(Purge, asked, Context([]))
    sources = [purge.source] if purge.source else list(SOURCES)
    started = processor().purges.start(processor().jobs, request.account, sources, request.received, request.deadline)
    return _job(started)


def _erase(request: Request) -> Response:
    """Starts an erasure. The person may be unknown, since the queue or a dead letter may name them."""
    account, marks = processor().accounts.get(request.account), processor().scopes.read(request.account)
    people, asked = People(clients.dynamodb(), settings().ledger_table, account, marks), request.path("id_or_email")
    try:
        found = people.find(asked).id
        # The identifier may also mean people with a higher precedence whose first events are still queued.
        ids = people.ids(asked)
        persons = [found, *ids[: ids.index(found)]]
    except NotFound:
        persons = people.may_be(asked)
    erasures, jobs = processor().erasures, processor().jobs
    return _job(erasures.start(jobs, request.account, persons, request.received, request.deadline)[0])


def _replay(request: Request) -> Response:
    """Replays one dead letter or, with `all` as the id, all that exist now, oldest first.

    If time runs out, the cursor says where the next request continues. Letters that another request replays or discards
    at the same time are skipped. A letter that fails again keeps its place, so the cursor always reaches the end.
    """
    letters, queue, asked = processor().dead_letters, processor().queue, request.id_in_path("deadletter_id")
    marks = processor().scopes.read(request.account)
    if asked != "all":
        letters.replay(marks, asked, queue)
        return Response(202, {"replayed": 1, "next_cursor": None})
    replayed = 0
    for request_id in letters.ids(request.account, request.query.cursor):
        with suppress(NotFound):
            letters.replay(marks, request_id, queue)
            replayed += 1
        if time.monotonic() > request.deadline - _ANSWER_SECONDS:
            return Response(202, {"replayed": replayed, "next_cursor": request_id})
    return Response(202, {"replayed": replayed, "next_cursor": None})


def _discard(request: Request) -> Response:
    """Discards a dead letter. The reason in the body is added to the outcome of its request."""
    from tillbook.contract.queries import Discard
    from tillbook.contract.validation import Context, validated

    asked = _body(request)
    checked = validated(Discard, asked if isinstance(asked, dict) else {}, Context([]))
    reason = without_emails(checked.reason.strip())
    request_id = request.id_in_path("deadletter_id")
    discarded = processor().dead_letters.discard(processor().scopes.read(request.account), request_id)
    for source in SOURCES:
        found = processor().outcomes.find(request.account, source, request_id)
        if found is not None and found.status == "failed":
            processor().outcomes.record([replace(found, reason=f"{found.reason}; discarded: {reason}")])
    return Response(200, discarded)


_ROUTES: dict[str, Callable[[Request], Response]] = {
    "POST /v1/audience/{audience_id}/rebuild": _rebuild,
    "DELETE /v1/transactions": _purge,
    "DELETE /v3/{account_id}/people/{id_or_email}": _erase,
    "POST /v1/deadletters/{deadletter_id}/replay": _replay,
    "DELETE /v1/deadletters/{deadletter_id}": _discard,
}
