"""The v1 calls: what a submission, an edit and a deletion do, in the order that survives a crash at any point.

1. A message about the write goes to the queue. 2. The write: one transaction. If the function dies before 1, nothing
happened. If it dies between 1 and 2, the message finds no write and is dropped. If it dies after 2, the message brings
what hangs on the order up to date. No sweep, no marker, no extra write.
"""

from __future__ import annotations

from functools import cache

from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.aws.telemetry import count, logger
from tillbook.contract.document import digest, shown
from tillbook.contract.limits import MAX_ORDER_BYTES
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import Document, V1Request
from tillbook.records.messages import Message, Queue, QueuedWrite
from tillbook.records.scopes import Scopes
from tillbook.rules.errors import TooLarge, Unavailable
from tillbook.rules.identity import order_key
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.packing import pack
from tillbook.rules.times import uuid7
from tillbook.web.answers import Response
from tillbook.web.request import Request

# The write follows within milliseconds, so the message mostly finds it made.
_HEAD_START_SECONDS = 1


@cache
def _ledger() -> Ledger:
    return Ledger(clients.dynamodb(), settings().ledger_table, on_conflict=lambda: count("ConflictsRetried"))


@cache
def _queue() -> Queue:
    return Queue(clients.sqs(), settings().orders_queue_url)


def _to_write(request: Request, action: str, order_id: str, notes: list[str]) -> V1Request:
    """Raises Unavailable for a request that came before a purge that it can see: nobody can say which was first."""
    scopes = Scopes(clients.dynamodb(), settings().records_table)
    marks = scopes.read(request.account, (), ["orders_api"])
    if marks.purged("orders_api", request.received):
        raise Unavailable("The orders of the account are being purged. Please try again.")
    known: dict[str, str] = {}

    def cuts(people: set[str]) -> dict[str, str]:
        if unknown := people - known.keys():
            known.update(dict.fromkeys(unknown, "") | dict(scopes.read(request.account, unknown, ()).people))
        return known

    def announce() -> None:
        key = order_key("orders_api", "", order_id)
        write = QueuedWrite(request.account, key, order_id, action, request.id, request.received, notes)
        _queue().send(Message(writes=[write]), delay_seconds=_HEAD_START_SECONDS)

    return V1Request(marks.scope("orders_api"), request.id, request.received, cuts, announce)


def submit(request: Request) -> Response:
    """201 with the order; with the first answer again for the same submission. Raises Invalid, Conflict."""
    from tillbook.contract import orders_api  # here, since a deletion needs nothing of it

    document, notes = orders_api.document(request.json())
    logger.append_keys(order_id=document.order_id)
    _check_size(document.body)
    write = _to_write(request, "submitted", document.order_id, notes)
    order = _ledger().submit(
        write, document, new_id=uuid7(), digest=digest(document.body), deadline=request.deadline
    )  # fmt: skip
    if not order.changed:
        _note_repeat(request, document.order_id, notes)
    return Response(201, shown(order.id, order.body))


def _note_repeat(request: Request, order_id: str, notes: list[str]) -> None:
    from tillbook.records.transactions import Transaction, Transactions  # here, since few are repeats

    outcome = Transaction(
        request.account, "orders_api", request.id, "duplicate", request.received, "submitted", "", order_id, notes=notes
    )
    try:
        Transactions(clients.dynamodb(), settings().records_table).record([outcome])
    except Exception as error:  # the order stands: its answer does not hang on a note
        logger.warning("repeat not noted", exc_info=error)


def edit(request: Request) -> Response:
    """200 with the order as it is now. Raises Invalid, NotFound."""
    from tillbook.contract import orders_api

    payload, order_id = request.json(), request.path("order_id")
    logger.append_keys(order_id=order_id)
    notes: list[str] = []

    def revise(body: dict[str, Json]) -> Document:
        document, found = orders_api.edited(body, payload)
        _check_size(document.body)
        if not notes:
            notes.extend(found)
        return document

    order = _ledger().edit(_to_write(request, "edited", order_id, notes), order_id, revise, request.deadline)
    return Response(200, shown(order.id, order.body))


def delete(request: Request) -> Response:
    """200 with the order as it was. Raises NotFound."""
    order_id = request.path("order_id")
    logger.append_keys(order_id=order_id)
    order = _ledger().delete(_to_write(request, "deleted", order_id, []), order_id, request.deadline)
    return Response(200, shown(order.id, order.body))


def _check_size(body: dict[str, Json]) -> None:
    """As it was sent, and packed: hashes of e-mail addresses are longer than what was sent for them."""
    if len(dumps(body).encode()) <= MAX_ORDER_BYTES:
        return
    from tillbook.contract.orders_api import sent_size

    if sent_size(body) > MAX_ORDER_BYTES or len(pack(body)) > MAX_ORDER_BYTES:
        raise TooLarge(f"An order must be at most {MAX_ORDER_BYTES // 1024} KiB of JSON.")
