"""The end of a history: accepted requests, the results of jobs, lost events, and the answers of the API."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from tests.simulation import reader
from tests.simulation.deployment import (
    LEDGER,
    QUEUE_URL,
    RECORDS,
)
from tests.simulation.facts import V3, Books, Call, Event, Person, Purge, Seen
from tests.simulation.functions import Functions
from tests.simulation.invariants import Broken
from tests.simulation.network import Network
from tests.simulation.scheduler import FOREVER
from tests.simulation.snapshot import read
from tests.simulation.world import World
from tillbook.aws.items import plain_item
from tillbook.records.deadletters import DeadLetters
from tillbook.records.keys import ApiKey
from tillbook.records.messages import Queue, decode
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.errors import Problem
from tillbook.views.people import _candidates
from tillbook.web import reading
from tillbook.web.request import Request

_JOBS = ("rebuild", "purge", "erase")


class Ending:
    """Reads, for the auditor, the accepted requests and their results from a world in which nothing runs any more."""

    def __init__(self, world: World, functions: Functions, network: Network) -> None:
        self.world, self.functions, self.network = world, functions, network

    def lost(self) -> list[str]:
        """Describes accepted events that have no outcome, were not purged and are no dead letters.

        Must be called before `replay_dead_letters`.
        """
        letters = {sk for pk, sk in self.world.dynamodb.tables[RECORDS].items if pk.endswith("/d")}
        letters |= {
            order.request_id for message in self.world.sqs.dead_letters for order in decode(message.body).orders
        }
        statuses = self.seen().statuses
        return [
            f"{event.request_id} was accepted, but has no outcome and is no dead letter"
            for event in self.events()
            if (event.account, V3, event.request_id) not in statuses
            and event.request_id not in letters
            and event.received > self._purged_up_to(event.account)
        ]

    def _purged_up_to(self, account: str) -> str:
        """The stamp up to which the account's v3 orders are purged; empty if they were never purged."""
        return max((mark.cut for mark in self.world.marks if (mark.account, mark.name) == (account, "s")), default="")

    def replay_dead_letters(self) -> None:
        """Lists dead letters and replays them, as an admin does. Raises Broken if the list or a reason is wrong."""
        for account in sorted({step.account for step in self.world.plan.steps}):
            letters = DeadLetters(self.network.clients["dynamodb"], RECORDS)
            for (pk, sk), item in self.world.dynamodb.tables[RECORDS].items.items():
                if pk == f"{account}/d" and not item["reason"]["S"]:
                    raise Broken(f"dead letter {sk} has no reason")
            marks = Scopes(self.network.clients["dynamodb"], RECORDS).read(account)
            listed, after = letters.listed(marks, 2, None)
            while after:
                page, after = letters.listed(marks, 2, after)
                listed += page
            # A purge hides dead letters before its job discards them.
            purged_up_to = self._purged_up_to(account)
            visible = [
                sk
                for (pk, sk), item in self.world.dynamodb.tables[RECORDS].items.items()
                if pk == f"{account}/d"
                and all(order.received > purged_up_to for order in decode(plain_item(item)["message"]).orders)
            ]
            if [letter["id"] for letter in listed] != sorted(visible, reverse=True):
                raise Broken(f"the listed dead letters are {listed}, not {visible}")
            for request_id in sorted(visible):
                letters.replay(marks, request_id, Queue(self.network.clients["sqs"], QUEUE_URL))
        self.world.sqs.redrive()

    def effects(self) -> list[str]:
        """Describes applied requests whose effects on LTV differ between the stored event and the stored outcome."""
        ledger, records = self.world.dynamodb.tables[LEDGER].items, self.world.dynamodb.tables[RECORDS].items
        events = {i["request"]["S"]: i.get("effects") for (pk, _), i in ledger.items() if "/e/" in pk and "stamp" in i}
        return [
            f"request {sk}: its outcome has the effects {item.get('effects')}, its event {events[sk]}"
            for (pk, sk), item in records.items()
            if "/t/applied/" in pk and sk in events and item.get("effects") != events[sk]
        ]

    def purges(self) -> list[Purge]:
        """Purges and erasures that started a job, whether their request was answered or not."""
        succeeded = {(account, job_id): self._job(account, job_id) for account, job_id in self.world.jobs}
        for attempt in self.functions.attempts:
            answered = attempt.step.kind in _JOBS and attempt.status == 202
            if answered and (attempt.step.account, attempt.body["job_id"]) not in self.world.jobs:
                raise Broken(f"job {attempt.body['job_id']} is in an answer, but is not stored")
        people = self._people()
        by_receipt = {attempt.received: attempt for attempt in self.functions.attempts}
        found = []
        for (account, job_id), job in self.world.jobs.items():
            if job.kind == "rebuild":
                continue
            attempt = by_receipt[job.asked_at]
            found.append(
                Purge(
                    account,
                    tuple(sorted(job.sources.split())),
                    asked=job.asked_at,
                    person=people[job.person] if job.person else None,
                    start=attempt.start,
                    answered=attempt.end if attempt.status == 202 else FOREVER,
                    finished=succeeded[account, job_id],
                    payload=json.loads(attempt.step.body) if attempt.step.body else {},
                    target=attempt.step.target,
                )
            )
        return found

    def _job(self, account: str, job_id: str) -> bool:
        """Whether the job succeeded. Raises Broken if it has not ended, or failed without a fault or an error text."""
        job = self.world.dynamodb.tables[RECORDS].items.get((f"{account}/j", job_id))
        status = job["status"]["S"] if job else "unknown"
        # A job may also fail because a page was delivered repeatedly, as if its function had been killed each time.
        hampered = bool(self.world.fired or self.world.plan.again)
        if status != "done" and not (status == "failed" and hampered and job and job["error"]["S"]):
            raise Broken(f"job {job_id} is {status}")
        if ("jobs", f"{account}/{job_id}") in self.world.dynamodb.tables[RECORDS].items:
            raise Broken(f"job {job_id} is {status}, but is listed as open")
        return status == "done"

    def _people(self) -> dict[str, Person]:
        """Everybody who was ever in the ledger or named by an erasure, by internal id."""
        people = {internal_id: person for person, internal_id in self.world.named.items()}
        for step in self.world.plan.steps:
            if step.kind == "erase":
                for named in _candidates(step.target):
                    people.setdefault(named.id_in(step.account), (step.account, *named))
        return people

    def events(self) -> list[Event]:
        """Accepted v3 events: those of a request that was answered with 202, else those that reached the queue."""
        by_receipt = {a.received: a for a in self.functions.attempts if a.step.kind in ("activity", "batch", "voided")}
        queued: dict[str, dict[int, str]] = {}
        for body in self.functions.sent:
            for order in decode(body).orders:
                queued.setdefault(order.received, {})[order.position] = order.request_id
        events = []
        for received, attempt in by_receipt.items():
            payload = json.loads(attempt.step.body, parse_float=Decimal)
            payloads = payload["orders"] if attempt.step.kind == "batch" else [payload]
            accepted = queued.get(received, {})
            if attempt.status == 202:
                ids = attempt.body["request_ids"] if attempt.step.kind == "batch" else [attempt.body["request_id"]]
                if len(ids) != len(payloads):
                    raise Broken(f"{len(ids)} request ids for {len(payloads)} orders")
                accepted = dict(enumerate(ids))
            for position, request_id in accepted.items():
                step = attempt.step
                events.append(Event(step.account, request_id, received, position, step.key, payloads[position]))
        return events

    def calls(self) -> list[Call]:
        """All v1 requests, each with its answer."""
        calls = []
        for a in self.functions.attempts:
            if a.step.kind in ("submitted", "edited", "deleted"):
                payload = json.loads(a.step.body, parse_float=Decimal) if a.step.body else {}
                calls.append(
                    Call(a.step.account, a.step.kind, a.step.target, payload, a.request_id, a.received, a.start, a.end,
                         a.status, a.body, a.hampered)
                )  # fmt: skip
        return calls

    def seen(self) -> Seen:
        """The contents of the tables. Traces of people are searched only if the history has an erasure."""
        erased = any(step.kind == "erase" for step in self.world.plan.steps)
        people = self._people()
        marks = [m._replace(person=people[m.name[1:]]) if m.name[0] == "p" else m for m in self.world.marks]
        return read(
            self.world.dynamodb, self.world.versions, self.world.named if erased else {}, self.world.late, marks
        )

    # --------------------------------------------------------------- the API

    def differences(self, books: Books, seen: Seen) -> list[str]:
        """Describes the differences of the API's answers from the books."""
        found: list[str] = []
        accounts = sorted({step.account for step in self.world.plan.steps})
        self.world.alone(
            "reader",
            lambda: found.extend(
                reader.differences(self._ask, books, seen.statuses, accounts, self.world.plan.currency)
            ),
        )
        return found

    def _ask(self, route: str, account: str, path: dict[str, str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        event = APIGatewayProxyEventV2({
            "routeKey": route, "pathParameters": path, "queryStringParameters": query,
            "body": None if body is None else json.dumps(body),
        })  # fmt: skip
        key = ApiKey("key", account, "admin", "", "")
        try:
            answer = reading.answer(Request(event, key, self.world.receipt(), times.uuid7(), FOREVER))
        except Problem as problem:
            return problem.status, problem.message
        return answer.status, answer.body
