"""Imports a history into the local stack, kills the import in the middle, resumes it, and imports the history again.

Webhooks of about every fifth order, with later states than the file's, arrive before the first run of the importer and
during the second. Then each order must exist once, with the generator's number of events and contribution, and each
person's lifetime value must be the sum of their orders. The importer's memory is measured while it runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from cli.tillbook_cli.sending import UNIT_EVENTS
from local.stack import ROOT, Stack
from tests.cli.fake_api import ACCOUNT, KEY, serving
from tests.concurrency.books import check_book, check_people, parts, scope_of
from tests.end_to_end.privacy import BOOK, LEDGER, MARKER_DOMAIN, RECORDS
from tests.end_to_end.shop import Shop
from tests.import_run.history import Expected, write
from tests.simulation.progress import Progress
from tillbook.aws.items import plain_item

CONCURRENCY = 4
_POLL_SECONDS = 0.1


@dataclass
class Ran:
    """One run of the importer. `summary` is None if it was killed or failed; `memory` has samples in kB."""

    summary: dict[str, Any] | None
    seconds: float
    memory: list[int]

    def memory_used(self) -> str:
        """The memory at the beginning, at each quarter of the time, and at the end; and the peak."""
        samples = [self.memory[int(len(self.memory) * share)] // 1024 for share in (0, 0.25, 0.5, 0.75)]
        last, peak = self.memory[-1] // 1024, max(self.memory) // 1024
        return f"memory {', '.join(map(str, samples))} and {last} MB, peak {peak} MB"


@dataclass
class Result:
    """The result of `run`. `faults` is empty if every check passed.

    Attributes:
        events: number of events of the file and the webhooks.
        webhooks: number of webhooks.
        bytes: size of the file.
        killed_at: number of orders that the importer had sent by its saved state when it was killed.
        runs: a line of text for each run of the importer.
        outcomes: numbers of requests by status.
        memory: for each run, samples in kB.
    """

    orders: int
    seed: int
    events: int = 0
    webhooks: int = 0
    bytes: int = 0
    killed_at: int = 0
    runs: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory: list[list[int]] = field(default_factory=list)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count:,} {status}" for status, count in sorted(self.outcomes.items()))
        what = f"{self.orders:,} orders, {self.events:,} events, {self.webhooks:,} of them by webhooks"
        lines = [
            f"{what}, {self.bytes / 1e6:.1f} MB (seed {self.seed})",
            *self.runs,
            f"requests: {outcomes}",
        ]
        if self.faults:
            return "\n".join([*lines, f"NOT RIGHT, {len(self.faults)} faults:", *self.faults[:20]])
        return "\n".join([*lines, "every order once, every lifetime value exact"])


def run(
    shop: Shop, folder: Path, *, orders: int, seed: int, people: int = 5_000, once: bool = False, quiet: bool = False,
    kill_after_one_unit: bool = False,
) -> Result:  # fmt: skip
    """Runs the importer three times: until it is killed, to resume it, and to repeat the import unless `once` is given.

    `kill_after_one_unit`: the importer has one connection until it is killed, and the API accepts one request and then
    answers 429, so that the import of a file of two units is killed between them on any machine.
    """
    result, file = Result(orders, seed), folder / "orders_export.csv"
    _say(quiet, f"Generating {orders:,} orders ...")
    expected = write(file, orders, seed, people, MARKER_DOMAIN)
    result.events, result.bytes = sum(expected.events.values()), file.stat().st_size
    result.webhooks = len(expected.webhooks)
    half = len(expected.webhooks) // 4 * 2  # an even number, since each order has two events
    for name, options, kill_at in (
        ("killed", ["--concurrency", "1"] if kill_after_one_unit else [], 1 if kill_after_one_unit else orders // 2),
        ("resumed", [], None),
        ("again", ["--again"], None),
    )[: 2 if once else 3]:
        _say(quiet, f"Import, {name} ...")
        if name == "killed":
            _webhooks(shop, expected.webhooks[:half])
        meanwhile = threading.Thread(target=_webhooks, args=(shop, expected.webhooks[half:]))
        if name == "resumed":
            meanwhile.start()
        with _one_request(shop.stack) if kill_after_one_unit and name == "killed" else nullcontext():
            ran = _import(shop.stack.url, shop.ingest_key, shop.account, file, options, kill_at, orders, quiet)
        if name == "resumed":
            meanwhile.join()
        result.memory.append(ran.memory)
        _note(result, name, ran, file)
        # After the kill the queue is not awaited: requests in flight are sent again while they are queued.
        if name != "killed":
            result.runs[-1] += f"; the queue drained in {_drain(shop, quiet):.0f} s"
    result.faults += list(_differences(shop, expected, result))
    for path in folder.iterdir():
        if path != file and MARKER_DOMAIN in path.read_text():
            result.faults.append(f"{path.name} contains an e-mail address")
    return result


def _webhooks(shop: Shop, events: list[dict[str, Any]]) -> None:
    """Queues the events of webhooks as connectors do. Refused requests are sent again."""
    for start in range(0, len(events), 100):
        while (reply := shop.batch(events[start : start + 100])).status != 202:
            assert reply.status in (429, 503), reply.text
            time.sleep(0.2)


@contextmanager
def _one_request(stack: Stack) -> Iterator[None]:
    """Lets the API accept one request, and answer 429 to all others."""
    stack.throttle((0, 1))
    try:
        yield
    finally:
        stack.throttle(None)


def alone(folder: Path, *, orders: int, seed: int, people: int) -> str:
    """Runs the importer against an API that accepts everything and keeps nothing. Returns its rate and memory."""
    file = folder / "orders_export.csv"
    write(file, orders, seed, people, MARKER_DOMAIN)
    with serving() as api:
        api.keep = False
        ran = _import(api.url, KEY, ACCOUNT, file, [], None, orders, quiet=False)
    assert ran.summary is not None, "the importer failed"
    return (
        f"{orders:,} orders, {ran.summary['events']:,} events, {file.stat().st_size / 1e6:.1f} MB (seed {seed}): "
        f"checked in {ran.seconds - ran.summary['seconds']:.1f} s, sent in {ran.summary['seconds']:.1f} s, "
        f"{ran.summary['orders_per_second']:,} orders/s; {ran.memory_used()}"
    )


def _note(result: Result, name: str, ran: Ran, file: Path) -> None:
    """Adds a line on the run to `result`, and a fault if the run did not begin or end where it should."""
    if name == "killed":
        state = json.loads(file.with_name(f"{file.name}.tillbook-import").read_text())
        result.killed_at = state["orders"]
        rate = result.killed_at / ran.seconds
        line = f"killed at {result.killed_at:,} orders after {ran.seconds:.1f} s (check included, {rate:,.0f}/s)"
        if ran.summary is not None or not 0 < result.killed_at < result.orders:
            result.faults.append(f"the import was not killed in the middle: {ran.summary}")
    elif ran.summary is None:
        line = "failed"
        result.faults.append(f"{name}: the importer failed")
    else:
        line = (
            f"{name} from order {ran.summary['resumed_at']:,} in {ran.summary['seconds']:.1f} s, "
            f"{ran.summary['orders_per_second'] or 0:,} orders/s"
        )
        if ran.summary["resumed_at"] != (result.killed_at if name == "resumed" else 0):
            result.faults.append(f"{name}: began at order {ran.summary['resumed_at']}, killed at {result.killed_at}")
        if (ran.summary["sent"], ran.summary["rejected"]) != (result.orders, 0):
            result.faults.append(f"{name}: {ran.summary}")
    result.runs.append(f"{line}; {ran.memory_used()}")


def _import(
    url: str, key: str, account: str, file: Path, options: list[str], kill_at: int | None, total: int, quiet: bool
) -> Ran:
    """Runs the importer in a process, and kills it once its state says that `kill_at` orders are sent."""
    command = [
        sys.executable, "-m", "cli", "import", str(file), "--account", account, "--concurrency", str(CONCURRENCY),
        "--json", *options,
    ]  # fmt: skip
    environment = os.environ | {"TILLBOOK_URL": url, "TILLBOOK_KEY": key}
    state = file.with_name(f"{file.name}.tillbook-import")
    before = state.stat().st_mtime_ns if state.exists() else 0
    memory: list[int] = []
    progress, sent = Progress(total, "orders", quiet=quiet), 0
    began = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None:
                memory += _memory(process.pid)
                if state.exists() and state.stat().st_mtime_ns != before:
                    now = json.loads(state.read_text())["orders"]
                    if now > sent:
                        progress.add(now - sent, f"{memory[-1] // 1024} MB" if memory else "")
                    sent = now
                    if kill_at is not None and sent >= kill_at:
                        process.kill()
                        break
                time.sleep(_POLL_SECONDS)
            out = process.communicate()[0]
        finally:
            process.kill()
    progress.clear()
    seconds = time.monotonic() - began
    if process.returncode == -signal.SIGKILL:
        return Ran(None, seconds, memory)
    return Ran(json.loads(out) if process.returncode == 0 else None, seconds, memory)


def _memory(pid: int) -> list[int]:
    """One sample of the resident memory in kB; none on a machine without /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")]
    except OSError:
        return []


def _drain(shop: Shop, quiet: bool) -> float:
    """Waits until the queue has no message that is visible, in flight or delayed. Returns the seconds that it took.

    The counts are approximate, so they must be 0 three times in a row.
    """
    sqs, start = shop.stack.boto3_client("sqs"), time.monotonic()
    names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
    empty_polls, most, left = 0, 0, 0
    progress = Progress(0, "", quiet=True)
    while empty_polls < 3:
        answer = sqs.get_queue_attributes(QueueUrl=shop.stack.outputs["OrdersQueueUrl"], AttributeNames=names)
        waiting = sum(int(answer["Attributes"].get(name, 0)) for name in names)
        if waiting > most:
            most = left = waiting
            progress = Progress(most, "messages", quiet=quiet)
        if waiting < left:
            progress.add(left - waiting)
        left = waiting
        empty_polls = 0 if waiting else empty_polls + 1
        time.sleep(0.3)
    progress.clear()
    return time.monotonic() - start


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


# -------------------------------------------------------------------- checks


def _items(shop: Shop, name: str) -> Iterator[dict[str, Any]]:
    """The account's items of one table."""
    client = shop.stack.boto3_client("dynamodb")
    for page in client.get_paginator("scan").paginate(TableName=shop.stack.outputs[name], ConsistentRead=True):
        for item in page["Items"]:
            if item["pk"]["S"].startswith(f"{shop.account}/"):
                yield plain_item(item)


def _ledger(shop: Shop) -> Iterator[dict[str, Any]]:
    """The ledger's items with only the attributes that are compared, so that they fit in memory.

    Items of people are complete: their attributes may have any name, but are small.
    """
    kept = ("pk", "sk", "order_id", "person", "currency", "contribution", "records")
    for item in _items(shop, LEDGER):
        yield item if "token" in item else {name: item[name] for name in kept if name in item}


def _differences(shop: Shop, expected: Expected, result: Result) -> Iterator[str]:
    """Yields a message for each difference from the expected result, and counts the outcomes of requests."""
    ledger = parts(_ledger(shop))
    for item in _items(shop, RECORDS):
        kind = item["pk"].split("/")[1]  # t: the outcome of a request, d: a dead letter
        if kind == "t":
            result.outcomes[item["status"]] += 1
        elif kind == "d":
            yield f"{item['sk']} is a dead letter: {item['reason']}"
    heads, people = ledger["heads"], ledger["people"]
    yield from check_people(people, heads)
    yield from check_book(lambda: _items(shop, BOOK), heads)
    events = Counter((scope_of(item), item["sk"].partition("!")[0]) for item in ledger["events"])
    yield from _orders(expected, heads, events)
    # `#USD` is the number of the person's orders in USD, and `USD` their sum.
    found = {
        (person["value"], name[1:]): person.get(name[1:], Decimal(0))
        for person in people
        for name in person
        if name.startswith("#") and (person[name] or person.get(name[1:]))
    }
    expected_people = {key: Decimal(cents) / 100 for key, cents in expected.people.items()}
    for key in sorted(expected_people.keys() | found.keys()):
        if expected_people.get(key) != found.get(key):
            yield f"{key} has a lifetime value of {found.get(key)}, not {expected_people.get(key)}"
    yield from _outcomes(result, sent_again=0 if len(result.runs) == 2 else result.orders)


def _orders(expected: Expected, heads: list[dict[str, Any]], events: Counter[tuple[str, str]]) -> Iterator[str]:
    """Compares orders with the expected ones. `events`: numbers of events by (scope, order key)."""
    seen: Counter[str] = Counter(head["order_id"] for head in heads)
    for order_id in expected.orders.keys() | seen.keys():
        wanted = int(order_id in expected.orders)
        if seen[order_id] != wanted:
            yield f"order {order_id} exists {seen[order_id]} times, not {wanted}"
    for head in heads:
        name = head["order_id"]
        if head["contribution"] != Decimal(expected.orders.get(name, 0)) / 100:
            yield f"order {name} counts {head['contribution']}, not {expected.orders.get(name)} cents"
        found = events[scope_of(head), head["sk"]]
        if found != expected.events.get(name):
            yield f"order {name} has {found} events, not {expected.events.get(name)}"


def _outcomes(result: Result, sent_again: int) -> Iterator[str]:
    """Checks that each event was applied once.

    Duplicates must be the `sent_again` events of a repeated import, and at most as many more as were in flight at the
    kill.
    """
    if result.outcomes.keys() - {"applied", "duplicate"}:
        yield f"requests ended as {dict(result.outcomes)}"
    if result.outcomes["applied"] != result.events:
        yield f"{result.outcomes['applied']} requests were applied, of {result.events} events"
    in_flight = (2 * CONCURRENCY + 1) * UNIT_EVENTS  # the most that the importer sends ahead of its saved state
    if not 0 <= result.outcomes["duplicate"] - sent_again <= in_flight:
        yield f"{result.outcomes['duplicate']} duplicates of {sent_again} events that were sent again"
