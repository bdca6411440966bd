"""python -m tests.size.live: sends 10,000 events of one order to the local stack, then 10,000 orders, and purges them.

Prints how long an order of another account waits behind them. Checks that as many events are applied as one order can
have, that reads take less than two seconds, that the purge hides the person and ends, that the requests of the other
account are applied, and that no dead letter is in a queue. Exit code 1 if a check fails.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from local.stack import Stack
from tests.end_to_end.shop import Shop
from tillbook.ledger.items import LEAST_BYTES_OF_EVENT, MOST_BYTES_OF_ORDER

_EVENTS, _BACKLOG, _QUIET_EVENTS = 10_000, 10_000, 100
_EVENTS_THAT_FIT = MOST_BYTES_OF_ORDER // LEAST_BYTES_OF_EVENT
_READ_SECONDS = 2.0
_JOB_SECONDS = 600.0


class Checks:
    """Prints the result of each check, and counts those that failed."""

    def __init__(self) -> None:
        self.failed = 0

    def __call__(self, claim: str, holds: bool) -> None:
        self.failed += not holds
        print(f"{'ok' if holds else 'FAILED':7} {claim}", flush=True)


def _event(shop: Shop, order_id: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "provider": "my_shop", "email": shop.email("ann"), "action": "updated", "order_id": order_id,
        "grand_total": 1, "occurred_at": f"2026-01-01T00:{number // 60 % 60:02d}:{number % 60:02d}.{number:06d}Z",
    } | more  # fmt: skip


def _send(shop: Shop, events: list[dict[str, Any]]) -> list[str]:
    ids: list[str] = []
    for start in range(0, len(events), 1000):
        reply = shop.batch(events[start : start + 1000])
        assert reply.status == 202, reply.text
        ids += reply.json["request_ids"]
    return ids


def _timed(shop: Shop, path: str) -> tuple[int, float]:
    """Reads a path. Returns the status and the seconds that the read took."""
    begun = time.monotonic()
    return shop.send("GET", path).status, time.monotonic() - begun


def _ended_job(shop: Shop, job_id: str) -> dict[str, Any]:
    """The job after its end, or as it is after _JOB_SECONDS."""
    end = time.monotonic() + _JOB_SECONDS
    while True:
        job: dict[str, Any] = shop.send("GET", f"/v1/jobs/{job_id}").json
        if job["status"] in ("done", "failed") or time.monotonic() > end:
            return job
        time.sleep(1)


def run(stack: Stack, check: Checks) -> None:
    busy, quiet = Shop.open(stack), Shop.open(stack)
    ids = _send(busy, [_event(busy, "one", number) for number in range(_EVENTS)])
    outcomes = Counter(busy.outcomes(ids))
    check(f"of {_EVENTS:,} events of one order {outcomes['applied']:,} fit, {outcomes['failed']:,} failed",
          outcomes == {"applied": _EVENTS_THAT_FIT, "failed": _EVENTS - _EVENTS_THAT_FIT})  # fmt: skip
    person = busy.person_path(busy.email("ann"))
    order = f"/v3/{busy.account}/orders/my_shop/one"
    for path in (
        order, f"{order}/history", person, f"{person}/orders", f"{person}/activity?limit=200",
        "/v1/transactions?order_id=one", "/v1/audience/customers-shopper-activity",
    ):  # fmt: skip
        _timed(busy, path)  # the first request is not measured, since it may be a cold start
        status, seconds = _timed(busy, path)
        check(f"GET {path.replace(busy.account, '…').split('@')[0]}: {status} in {seconds:.2f} s",
              status == 200 and seconds < _READ_SECONDS)  # fmt: skip
    _send(busy, [_event(busy, f"b-{number}", number) for number in range(_BACKLOG)])
    begun = time.monotonic()
    request_ids = [quiet.order(_event(quiet, "n-0", 0)).json["request_id"]]
    quiet.outcome(request_ids[0])
    print(f"        an order of another account, sent after {_BACKLOG:,}, waited {time.monotonic() - begun:.2f} s "
          "(the local queue is not fair: see tests.fair_queue)", flush=True)  # fmt: skip
    request_ids += _send(quiet, [_event(quiet, f"n-{number}", number) for number in range(1, _QUIET_EVENTS)])
    answer = busy.send("DELETE", "/v1/transactions", {"confirm": "purge"})
    assert answer.status == 202, answer.text
    check("the person of the purged account is not visible", busy.send("GET", person).status == 404)
    job = _ended_job(busy, answer.json["job_id"])
    check(f"the job of the purge is {job['status']}: {job['done']:,} orders", job["status"] == "done")
    check(f"{_QUIET_EVENTS} orders of the other account are applied", set(quiet.outcomes(request_ids)) == {"applied"})
    check("nothing is in a dead-letter queue", not _dead_letters(stack))


def _dead_letters(stack: Stack) -> int:
    """The number of messages in both dead-letter queues."""
    sqs, number, count = stack.boto3_client("sqs"), "ApproximateNumberOfMessages", 0
    for output in ("DeadLettersQueueUrl", "JobsDeadLettersQueueUrl"):
        answer = sqs.get_queue_attributes(QueueUrl=stack.outputs[output], AttributeNames=[number])
        count += int(answer["Attributes"][number])
    return count


def main() -> int:
    check = Checks()
    with Stack() as stack:
        run(stack, check)
    return int(check.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
