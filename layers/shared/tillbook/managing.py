"""What an admin sets going: work that goes through the queue and is answered 202 with a job."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tillbook import table
from tillbook.accounts import Accounts
from tillbook.audiences import source_of
from tillbook.http import Request, Response
from tillbook.jobs import Jobs
from tillbook.ledger import Ledger
from tillbook.messages import Queue
from tillbook.rebuild import Rebuilds
from tillbook.settings import settings


def start(request: Request) -> Response:
    """Raises NotFound."""
    return Response(202, {"job_id": _ROUTES[request.route](request)})


@cache
def _rebuilds() -> Rebuilds:
    env, client = settings(), table.dynamodb()
    return Rebuilds(
        client,
        Ledger(client, env.ledger_table),
        Jobs(client, env.records_table),
        Accounts(client, env.records_table),
        Queue(table.sqs(), env.orders_queue_url),
    )


def _rebuild(request: Request) -> str:
    return _rebuilds().start(request.account, source_of(request.path("audience_id")))


_ROUTES: dict[str, Callable[[Request], str]] = {
    "POST /v1/audience/{audience_id}/rebuild": _rebuild,
}
