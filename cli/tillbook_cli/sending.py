"""Sends orders to the API in units, over a bounded number of connections, and repeats requests that fail temporarily.

Orders may be sent again in other units: each event contains its identity (`occurred_at` and payload, or the v1
order_id), so nothing counts twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tillbook.rules.errors import FieldError

from .api import TEMPORARY, Answer, Api, Refused, refusal, retry_after, segment
from .checking import Checked
from .connection import Unreachable
from .rows import Place

# A batch may have 1,000 orders and 4 MiB. Units are smaller, so that a function needs a fraction of its 10 s, and JSON
# within JSON stays under Lambda's limit of 6 MiB. They are large enough that throttling is rare.
UNIT_EVENTS, UNIT_BYTES = 250, 1024 * 1024
UNIT_V1 = 25  # one request for each order, since v1 has no batches
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds
PATIENCE_SECONDS = 300.0  # for which a request is repeated


class Stopped(Exception):
    """The user has stopped the command."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Consecutive orders of a file. `end` is the place where the next order begins; `events` are (line, body)."""

    end: Place
    orders: int
    events: list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of a unit. `events`: how many were accepted. `refused` are (line, error) of orders that were not."""

    events: int
    refused: list[tuple[int, FieldError]]


def units(orders: Iterable[Checked], api: str) -> Iterator[Unit]:
    """Units of the good orders. Skipped and rejected orders only move the end of their unit."""
    most = UNIT_V1 if api == "v1" else UNIT_EVENTS
    events: list[tuple[int, bytes]] = []
    count = size = 0
    end: Place | None = None
    for order in orders:
        bytes_ = sum(map(len, order.bodies))
        if end is not None and (len(events) + len(order.bodies) > most or size + bytes_ > UNIT_BYTES):
            yield Unit(end, count, events)
            events, count, size = [], 0, 0
        events += [(order.line, body) for body in order.bodies]
        count, size, end = count + bool(order.bodies), size + bytes_, order.end
    if end is not None:
        yield Unit(end, count, events)


@dataclass
class Sender:
    """Sends units to one of the APIs (`version`). `pauses` counts the waits before retries."""

    api: Api
    version: str
    account: str
    concurrency: int
    skip_bad: bool
    stop: threading.Event
    pauses: int = 0
    _random: random.Random = field(default_factory=random.Random)

    def run(self, work: Iterator[Unit], done: Callable[[Unit, Sent], None]) -> None:
        """Sends units, and calls `done` for each, in the order of the file, after the API has accepted it.

        Raises Stopped, Refused, Unreachable.
        """
        pending: deque[tuple[Unit, Future[Sent]]] = deque()
        threads = ThreadPoolExecutor(self.concurrency, thread_name_prefix="send")
        try:
            for unit in work:
                if self.stop.is_set():
                    break
                pending.append((unit, threads.submit(self._deliver, unit)))
                while pending and (len(pending) > 2 * self.concurrency or pending[0][1].done()):
                    self._settle(pending, done)
            while pending:
                self._settle(pending, done)
            if self.stop.is_set():
                raise Stopped
        finally:
            self.stop.set()  # threads that wait or have not begun give up; requests in flight are completed
            threads.shutdown(wait=True, cancel_futures=True)

    def _settle(self, pending: deque[tuple[Unit, Future[Sent]]], done: Callable[[Unit, Sent], None]) -> None:
        unit, future = pending.popleft()
        try:
            done(unit, future.result())
        except CancelledError:
            raise Stopped from None

    def _deliver(self, unit: Unit) -> Sent:
        if self.version == "v3":
            return self._batch(unit.events)
        refused: list[tuple[int, FieldError]] = []
        for line, body in unit.events:
            answer = self._post("/v1/order", body)
            if answer.status in (400, 409, 413):
                refused.append((line, FieldError("", "", f"refused by the API: {refusal(answer)}")))
            elif answer.status != 201:
                raise Refused(refusal(answer), answer.status)
        return Sent(len(unit.events) - len(refused), refused)

    def _batch(self, events: list[tuple[int, bytes]]) -> Sent:
        if not events:
            return Sent(0, [])
        body = b'{"orders":[' + b",".join(body for _, body in events) + b"]}"
        answer = self._post(f"/v3/{segment(self.account)}/shopper_activity/order/batch", body)
        if answer.status == 202:
            if len(self.api.part(answer.json(), "request_ids", list)) != len(events):
                raise self.api.not_tillbook()
            return Sent(len(events), [])
        if answer.status == 413 and len(events) > 1:
            half = len(events) // 2
            parts = (self._batch(events[:half]), self._batch(events[half:]))
            return Sent(parts[0].events + parts[1].events, parts[0].refused + parts[1].refused)
        refused = _refused(answer, events)
        if not refused or not self.skip_bad:
            # The check accepted these orders, so the API has other rules than this command: the whole import stops.
            where = f" (line {refused[0][0]})" if refused else ""
            raise Refused(refusal(answer) + where, answer.status)
        bad = {line for line, _ in refused}
        rest = self._batch([event for event in events if event[0] not in bad])
        return Sent(rest.events, refused + rest.refused)

    def _post(self, path: str, body: bytes) -> Answer:
        """Repeats a POST until its answer is not temporary. Raises Stopped; Unreachable after PATIENCE_SECONDS."""
        began, tries = time.monotonic(), 0
        while True:
            if self.stop.is_set():
                raise Stopped
            answer: Answer | None = None
            try:
                answer = self.api.send("POST", path, body)
                if answer.status not in TEMPORARY:
                    return answer
                problem = Unreachable(refusal(answer))
            except Unreachable as error:
                problem = error
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise Unreachable(f"{problem} It was tried for {PATIENCE_SECONDS / 60:.0f} minutes.")
            self.pauses += 1
            if self.stop.wait(self._pause(answer, tries)):
                raise Stopped
            tries += 1

    def _pause(self, answer: Answer | None, tries: int) -> float:
        """The seconds of Retry-After, at most PATIENCE_SECONDS, plus an exponential pause with full jitter."""
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**tries)
        asked = retry_after(answer.headers.get("retry-after")) if answer else 0.0
        return min(asked, PATIENCE_SECONDS) + self._random.uniform(0, longest)


def _refused(answer: Answer, events: list[tuple[int, bytes]]) -> list[tuple[int, FieldError]]:
    """(line, error) of refused orders: those that a 422 names, as `orders[3].email`, or the only order of a 413."""
    if answer.status == 413 and len(events) == 1:
        return [(events[0][0], FieldError("", "length_error", "is too large for the API"))]
    found: list[tuple[int, FieldError]] = []
    body = answer.json()
    errors = body.get("errors") if answer.status == 422 and isinstance(body, dict) else None
    for error in errors if isinstance(errors, list) else []:
        if not isinstance(error, dict):
            continue
        position, _, path = str(error.get("attribute") or "").removeprefix("orders[").partition("]")
        if position.isdigit() and int(position) < len(events):
            code = str(error.get("code", ""))
            found.append((events[int(position)][0], FieldError(path.lstrip("."), code, f"refused by the API ({code})")))
    return found
