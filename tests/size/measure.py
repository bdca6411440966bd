"""Measures reads of people, orders, requests and audiences, and a page of each kind of job, on a large account."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from tests.handlers import template
from tests.size.store import ACCOUNT, ADDRESS, BOOK, FULL, LARGE, LEDGER, MANY, PROVIDER, RECORDS, Fill, Meter
from tillbook.aws import clients
from tillbook.aws.settings import settings
from tillbook.ledger.items import LEAST_BYTES_OF_EVENT, MOST_BYTES_OF_ORDER
from tillbook.records.jobs import Job
from tillbook.records.keys import ApiKey
from tillbook.rules import times
from tillbook.rules.identity import Source
from tillbook.web import reading
from tillbook.web.request import Request
from tillbook.work import jobs as work_jobs
from tillbook.work import processing
from tillbook.work.jobs import Page

EVENTS = MOST_BYTES_OF_ORDER // LEAST_BYTES_OF_EVENT  # the most events that an order can have
_MOST = {"limit": "200"}  # the largest `limit` of a list
_PERSON = "/v3/{account_id}/people/{id_or_email}"
_SUBSCRIBER = "/v2/{account_id}/subscribers/{id_or_email}"
_ORDER = "/v3/{account_id}/orders/{provider}/{order_id}"


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one read, or of one page of a job: calls and units. `did`: the progress of the page."""

    name: str
    calls: int
    reads: float
    writes: float
    did: str = ""


def fill(orders: int, of_one_person: int, progress: Callable[[int], None]) -> Fill:
    """Makes the account with `orders` small orders, an order with the most events, and one with the most bytes.

    MANY has `of_one_person` of the small orders. The others belong to FULL and LARGE, who own the two large ones.
    """
    made = Fill()
    made.account()
    made.person(MANY, of_one_person)
    for person in (FULL, LARGE):
        made.person(person, 1)
    made.order("full", FULL, second=1, events=EVENTS)
    large = _packed(200_000)
    made.order("large", LARGE, second=2, events=MOST_BYTES_OF_ORDER // len(large), body=large)
    for _ in made.orders(of_one_person, [MANY], "m-"):
        progress(1)
    for _ in made.orders(orders - of_one_person, [FULL, LARGE], "o-"):
        progress(1)
    return made


def _packed(length: int) -> bytes:
    """A body that packs to about `length` bytes."""
    from random import Random

    from tillbook.rules.packing import pack

    # Random hexadecimal text packs to about 4/7 of its length.
    return pack({"provider": PROVIDER, "note": Random(1).randbytes(length * 7 // 8).hex()})


@contextmanager
def _on(meter: Meter) -> Iterator[None]:
    """Lets the functions use the meter as their client of DynamoDB."""
    tables = {"LedgerTable": LEDGER, "RecordsTable": RECORDS, "BookTable": BOOK, "RemovalsTable": "removals"}
    queues = {"OrdersQueue": "orders", "JobsQueue": "jobs"}
    with (
        patch.object(clients, "dynamodb", lambda: meter),
        patch.object(clients, "sqs", lambda: None),
        patch.dict(os.environ, template.environment(tables, queues)),
    ):
        settings.cache_clear()
        reading._accounts.cache_clear()
        yield
    settings.cache_clear()
    reading._accounts.cache_clear()


def reads(made: Fill) -> list[Cost]:
    """Measures each read."""
    requests: list[tuple[str, str, dict[str, str], dict[str, str], Any]] = [
        ("a person with many orders", f"GET {_PERSON}", {"id_or_email": MANY.value}, {}, None),
        ("activity of a person with many orders", f"GET {_PERSON}/activity", {"id_or_email": MANY.value}, _MOST, None),
        ("orders of a person with many orders", f"GET {_PERSON}/orders", {"id_or_email": MANY.value}, _MOST, None),
        ("a person with many orders, by the v2 API", f"GET {_SUBSCRIBER}", {"id_or_email": MANY.value}, {}, None),
        ("orders, one of them with the most events", f"GET {_PERSON}/orders", {"id_or_email": FULL.value}, _MOST, None),
        ("an order with the most events", f"GET {_ORDER}", {"order_id": "full"}, {}, None),
        ("history of an order with the most events", f"GET {_ORDER}/history", {"order_id": "full"}, _MOST, None),
        ("an order with the most bytes", f"GET {_ORDER}", {"order_id": "large"}, {}, None),
        ("history of an order with the most bytes", f"GET {_ORDER}/history", {"order_id": "large"}, _MOST, None),
        ("requests about an order", "GET /v1/transactions", {}, {"order_id": "full", "provider": PROVIDER}, None),
        ("one member of an audience", "GET /v1/audience/{audience_id}", {}, {"limit": "1"}, None),
        ("200 members of an audience", "GET /v1/audience/{audience_id}", {}, _MOST, None),
        ("sizes of the audiences", "GET /v1/audiences", {}, {}, None),
        ("a match with 1,000 addresses", "POST /v1/audience/{audience_id}/match", {}, {},
         {"people": [{"address": ADDRESS | {"address_1": f"{n} Oak Avenue"}} for n in range(1000)]}),
    ]  # fmt: skip
    costs = []
    for name, route, path, query, body in requests:
        meter = Meter(made.store)
        with _on(meter):
            _answer(route, path, query, body)
        costs.append(Cost(name, meter.calls, meter.reads, meter.writes))
    return costs


def _answer(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
    known = {"account_id": ACCOUNT, "provider": PROVIDER, "audience_id": "customers-shopper-activity"}
    event = APIGatewayProxyEventV2({
        "routeKey": route, "pathParameters": known | path, "queryStringParameters": query,
        "body": None if body is None else json.dumps(body),
    })  # fmt: skip
    key = ApiKey("key", ACCOUNT, "admin", "", "")
    return reading.answer(Request(event, key, times.now(), times.uuid7(), float("inf"))).body


def pages(made: Fill, call_seconds: float) -> list[Cost]:
    """Measures a page of each kind of job; a call takes `call_seconds`. The purge is last, since it deletes orders."""
    source: Source = "shopper_activity"
    meter = Meter(made.store, call_seconds)
    with _on(meter):
        processor = processing._build(settings())
        processor.ledger.pace = processor.ledger.pace._replace(clock=lambda: meter.seconds)
        parts = 16  # chains of a job, which run at the same time; a page belongs to one of them
        rebuild = Job("rebuild", "running", times.now(), source, parts)
        costs = [_page(meter, "a rebuild", processor.rebuilds, rebuild)]
        person = MANY.id_in(ACCOUNT)
        # The requests are so old that no job waits for its cut to settle. A cut is later than the request.
        asked = times.shift(times.now(), seconds=-1000)
        cut = times.shift(asked, seconds=1)
        _mark(made, f"p{person}", {"cut": cut})
        erase = Job("erase", "running", asked, source, person=person)
        costs.append(_page(meter, "the erasure of the person with many orders", processor.erasures, erase))
        full = FULL.id_in(ACCOUNT)
        _mark(made, f"p{full}", {"cut": cut})
        erase = Job("erase", "running", asked, source, person=full)
        costs.append(_page(meter, "the erasure of a person whose order has the most events", processor.erasures, erase))
        _mark(made, "s", {"generation": 1, "cut": cut, "answered": cut})
        costs.append(_page(meter, "a purge", processor.purges, Job("purge", "running", asked, source, parts)))
    return costs


def _mark(made: Fill, name: str, mark: dict[str, Any]) -> None:
    """Writes the mark of a purge or an erasure (records/scopes.py)."""
    from tillbook.aws.items import raw

    made.store.put_item(TableName=RECORDS, Item=raw({"pk": f"{ACCOUNT}/u", "sk": name} | mark))


def _page(meter: Meter, name: str, worker: work_jobs.Worker, job: Job) -> Cost:
    meter.begin()
    until = float(work_jobs._PAGE_SECONDS)
    page = Page(ACCOUNT, "job", job, chain=0, cursor="", may_go_on=lambda: meter.seconds < until, deadline=50.0)
    progress = worker.page(page)
    did = f"{progress.done} done in {meter.seconds:.1f} s of calls" + ("" if progress.ended else ", to be continued")
    return Cost(name, meter.calls, meter.reads, meter.writes, did)


def shown(costs: Sequence[Cost]) -> str:
    lines = [f"{'':56} {'calls':>7} {'read units':>11} {'write units':>12}"]
    lines += [f"{c.name:56} {c.calls:>7,} {c.reads:>11,.1f} {c.writes:>12,.0f}  {c.did}" for c in costs]
    return "\n".join(lines)
