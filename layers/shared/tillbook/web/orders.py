"""The v1 calls: submit, edit and delete an order. Each call is one transaction of the ledger.

work/book.py, which follows the ledger's stream, records the outcome of a request that changed an order. So the outcome
is not lost if a function is cut off after its write. Only outcomes of repeats are recorded here.
"""

from __future__ import annotations

import time
from functools import cache

from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.aws.telemetry import count, logger
from tillbook.contract.document import digest, shown
from tillbook.contract.limits import MAX_ORDER_BYTES
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import Document, V1Request
from tillbook.records.scopes import Scopes
from tillbook.rules.errors import TooLarge, Unavailable
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.packing import pack
from tillbook.rules.times import uuid7
from tillbook.web.answers import Response
from tillbook.web.request import Request


@cache
def _ledger() -> Ledger:
    return Ledger(clients.dynamodb(), settings().ledger_table, on_conflict=lambda: count("ConflictsRetried"))


def _to_write(request: Request, notes: list[str]) -> V1Request:
    """The request in the form for the ledger. Raises Unavailable if a purge is concurrent with it."""
    scopes = Scopes(clients.dynamodb(), settings().records_table)
    marks = scopes.read(request.account, (), ["orders_api"])
    if marks.purged("orders_api", request.received):
        raise Unavailable("The orders of the account are being purged. Please try again.")
    known: dict[str, str] = {}

    def cuts(people: set[str]) -> dict[str, str]:
        """The cuts of these people's erasures (V1Request.cuts), each read once."""
        if unknown := people - known.keys():
            known.update(dict.fromkeys(unknown, "") | dict(scopes.read(request.account, unknown, ()).people))
        return known

    return V1Request(marks.scope("orders_api"), request.id, request.received, cuts, notes)


def submit(request: Request) -> Response:
    """Submits an order: 201 with the order. A repeated submission gets the first answer.

    Raises a Problem (rules.errors), for example Conflict.
    """
    from tillbook.contract import orders_api  # imported here, since deletions do not need it

    document, notes = orders_api.document(request.json())
    logger.append_keys(order_id=document.order_id)
    _check_size(document.body)
    write = _to_write(request, notes)
    order = _ledger().submit(write, document, new_id=uuid7(), digest=digest(document.body), deadline=request.deadline)
    if not order.changed and time.monotonic() < request.deadline:
        _note_repeat(request, "submitted", document.order_id, notes)
    return Response(201, shown(order.id, order.body))


def _note_repeat(request: Request, action: str, order_id: str, notes: list[str]) -> None:
    from tillbook.records.outcomes import Outcome, Outcomes  # imported here, since few requests are repeats

    outcome = Outcome(
        request.account, "orders_api", request.id, "duplicate", request.received, action, "", order_id, notes=notes
    )
    try:
        Outcomes(clients.dynamodb(), settings().records_table).record([outcome])
    except Exception as error:  # the order is stored, so the answer must not depend on this record
        logger.warning("repeat not noted", exc_info=error)


def edit(request: Request) -> Response:
    """Edits an order: 200 with the new order. Raises a Problem, for example NotFound."""
    from tillbook.contract import orders_api

    payload, order_id = request.json(), request.path("order_id")
    logger.append_keys(order_id=order_id)
    notes: list[str] = []

    def revise(body: dict[str, Json]) -> Document:
        document, found = orders_api.edited(body, payload)
        _check_size(document.body)
        if not notes:  # a conflict calls `revise` again
            notes.extend(found)
        return document

    order = _ledger().edit(_to_write(request, notes), order_id, revise, request.deadline)
    if not order.changed:
        _note_repeat(request, "edited", order_id, notes)
    return Response(200, shown(order.id, order.body))


def delete(request: Request) -> Response:
    """Deletes an order: 200 with the order as it was. Raises NotFound, Unavailable."""
    order_id = request.path("order_id")
    logger.append_keys(order_id=order_id)
    order = _ledger().delete(_to_write(request, []), order_id, request.deadline)
    return Response(200, shown(order.id, order.body))


def _check_size(body: dict[str, Json]) -> None:
    """Raises TooLarge if the order was surely sent with more than MAX_ORDER_BYTES, or if its packed body has more.

    Hashes, which are longer than e-mail addresses, may make the body larger than it was sent. So if the body is too
    large, the least size that can have been sent counts.
    """
    if len(dumps(body).encode()) <= MAX_ORDER_BYTES:
        return
    from tillbook.contract.orders_api import least_sent_size

    if least_sent_size(body) > MAX_ORDER_BYTES or len(pack(body)) > MAX_ORDER_BYTES:
        raise TooLarge(f"An order must be at most {MAX_ORDER_BYTES // 1024} KiB of JSON.")
