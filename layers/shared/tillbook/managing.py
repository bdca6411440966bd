"""What an admin sets going: rebuilds, purges and erasures (202 and a job), replay and discarding of dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache

from tillbook import table, times
from tillbook.accounts import Accounts
from tillbook.audiences import source_of
from tillbook.deadletters import DeadLetters
from tillbook.errors import FieldError, Invalid, Malformed, NotFound
from tillbook.http import Request, Response
from tillbook.jobs import Jobs
from tillbook.json_text import Json
from tillbook.ledger import Ledger
from tillbook.messages import Queue
from tillbook.people import People
from tillbook.purge import Purges
from tillbook.rebuild import Rebuilds
from tillbook.settings import settings
from tillbook.transactions import Transactions

CONFIRMATION = "purge"
# What is left to end the replay of a dead letter that has been begun.
_ANSWER_SECONDS = 2.0


def start(request: Request) -> Response:
    """Raises NotFound, Invalid."""
    return _ROUTES[request.route](request)


@cache
def _jobs() -> Jobs:
    return Jobs(table.dynamodb(), settings().records_table)


@cache
def _ledger() -> Ledger:
    return Ledger(table.dynamodb(), settings().ledger_table)


@cache
def _queue() -> Queue:
    return Queue(table.sqs(), settings().orders_queue_url)


@cache
def _dead_letters() -> DeadLetters:
    return DeadLetters(table.dynamodb(), settings().records_table)


@cache
def _transactions() -> Transactions:
    return Transactions(table.dynamodb(), settings().records_table)


@cache
def _accounts() -> Accounts:
    return Accounts(table.dynamodb(), settings().records_table)


@cache
def _purges() -> Purges:
    env = settings()
    return Purges(
        table.dynamodb(), _ledger(), _jobs(), _queue(), _dead_letters(), _transactions(), env.records_table,
        env.settle_seconds,
    )  # fmt: skip


def _job(job_id: str) -> Response:
    return Response(202, {"job_id": job_id})


def _rebuild(request: Request) -> Response:
    rebuilds = Rebuilds(table.dynamodb(), _ledger(), _jobs(), _accounts(), _queue())
    return _job(rebuilds.start(request.account, source_of(request.path("audience_id"))))


def _purge(request: Request) -> Response:
    """Needs the word in the header `x-confirm` or as `confirm` in the body, which may name `source` and `before`."""
    asked: Json = request.json() if request.event.get("body") else {}
    if not isinstance(asked, dict):
        raise Invalid([FieldError("", "format_error", "must be an object")])
    faults: list[FieldError] = []
    if CONFIRMATION not in (asked.get("confirm"), request.header("x-confirm")):
        faults.append(FieldError("confirm", "presence_error", f"must be the word {CONFIRMATION}"))
    source, before = asked.get("source"), request.received
    if source is not None and (not isinstance(source, str) or source not in table.SOURCE_LETTER):
        faults.append(FieldError("source", "format_error", f"must be one of {', '.join(table.SOURCE_LETTER)}"))
    if asked.get("before") is not None:
        try:
            before = min(times.parse_iso(_string(asked["before"])), request.received)
        except ValueError:
            faults.append(FieldError("before", "time_error", "must be a date or date-time in ISO 8601 format"))
    if faults:
        raise Invalid(faults)
    sources = [source] if source else list(table.SOURCE_LETTER)
    return _job(_purges().start_purge(request.account, sources, before, request.received))


def _string(value: Json) -> str:
    """Raises ValueError: the number 20190117 is not the date that its digits spell."""
    if not isinstance(value, str):
        raise ValueError("not a string")  # noqa: TRY004 - as any other date that cannot be read
    return value


def _erase(request: Request) -> Response:
    """Also of whom nothing is known: the queue or a dead letter may name them."""
    people = People(table.dynamodb(), settings().ledger_table, _accounts().get(request.account))
    asked = request.path("id_or_email")
    try:
        found = people.find(asked)["person"]
        # Whoever would be found before, once the queue is through, is unknown yet: nothing else of theirs stands.
        ids = people.ids(asked)
        persons = [found, *ids[: ids.index(found)]]
    except NotFound:
        persons = people.may_be(asked)
    jobs = [_purges().start_erasure(request.account, person, request.received) for person in persons]
    return _job(jobs[0])


def _replay(request: Request) -> Response:
    """One, or with `all` as the id every one there is now, but what somebody else replays or discards meanwhile.

    As many as there is time for, oldest first; the cursor says behind which to go on. One that fails again keeps its
    place, so whoever goes on comes to an end.
    """
    letters, asked, after = _dead_letters(), request.id_in_path("deadletter_id"), request.query("cursor")
    if asked != "all":
        letters.replay(request.account, asked, _queue())
        return Response(202, {"replayed": 1, "next_cursor": None})
    if after is not None and times.uuid7_age(after) is None:
        raise Malformed("cursor is not one of ours.", "cursor")
    replayed = 0
    for request_id in letters.ids(request.account, after):
        with suppress(NotFound):
            letters.replay(request.account, request_id, _queue())
            replayed += 1
        if time.monotonic() > request.deadline - _ANSWER_SECONDS:
            return Response(202, {"replayed": replayed, "next_cursor": request_id})
    return Response(202, {"replayed": replayed, "next_cursor": None})


def _discard(request: Request) -> Response:
    """The reason, from the body, stays with what became of the request."""
    asked: Json = request.json() if request.event.get("body") else {}
    reason = asked.get("reason") if isinstance(asked, dict) else None
    if not isinstance(reason, str) or not 1 <= len(reason.strip()) <= 500:
        raise Invalid(
            [FieldError("reason", "presence_error", "is required: why it is discarded, in 1 to 500 characters")]
        )
    request_id = request.id_in_path("deadletter_id")
    discarded = _dead_letters().discard(request.account, request_id)
    for source in table.SOURCE_LETTER:
        found = _transactions().find(request.account, source, request_id)
        if found is not None and found.status == "failed":
            _transactions().record([replace(found, reason=f"{found.reason}; discarded: {reason.strip()}")])
    return Response(200, discarded)


_ROUTES: dict[str, Callable[[Request], Response]] = {
    "POST /v1/audience/{audience_id}/rebuild": _rebuild,
    "DELETE /v1/transactions": _purge,
    "DELETE /v3/{account_id}/people/{id_or_email}": _erase,
    "POST /v1/deadletters/{deadletter_id}/replay": _replay,
    "DELETE /v1/deadletters/{deadletter_id}": _discard,
}
