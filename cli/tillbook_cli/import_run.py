"""One run of `tillbook import`: checks the whole file and sends it, or resumes where an earlier run ended."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import click

from tillbook.rules.errors import FieldError

from .api import Api, Refused
from .checking import Checked, Reject, Rejects, checked
from .findings import Findings
from .import_options import Given
from .import_state import Identity, State, begun, resumed
from .mappings import Mapping
from .progress import Progress
from .records import entries
from .rows import Place, Source
from .sending import Sender, Sent, Stopped, Unit, units


class FileRefused(Exception):
    """The file as a whole cannot be imported. `reasons`: one sentence each."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("\n".join(["Nothing was sent.", *(f"- {reason}" for reason in reasons)]))


@dataclass
class Import:
    """One run. `say` prints a message to standard error, except with --json. `stop` is set to end the run."""

    given: Given
    source: Source
    mapping: Mapping | None
    rejects: Rejects
    stop: threading.Event = field(default_factory=threading.Event)

    def say(self, text: str) -> None:
        if not self.given.as_json:
            click.echo(text, err=True)

    def orders(self, place: Place | None = None, findings: Findings | None = None) -> Iterator[Checked]:
        """The checked orders of the file, or those from `place` on."""
        rows = self.source.rows(place)
        found = entries(findings.watched(rows) if findings else rows, self.mapping)
        return checked(
            found,
            self.given.api,
            self.mapping,
            self.given.provider,
            no_amounts=self.given.no_amounts,
            findings=findings,
        )

    # ----------------------------------------------------------------- check

    def check(self) -> dict[str, int]:
        """Checks the whole file, and returns counts of its orders. Raises Stopped, Unreadable, FileRefused."""
        counts = {"total": 0, "total_events": 0, "rejected": 0, "skipped": 0}
        given = self.given
        findings = Findings(
            given.api, self.mapping, self.source.columns, given.no_amounts, given.ignore_repeats, given.ignored
        )
        size = self.source.bytes
        self.rejects.begin()
        with Progress("kB checked", -(-size // 1000), quiet=self.given.as_json) as bar:
            for order in self.orders(findings=findings):
                if self.stop.is_set():
                    raise Stopped
                self.rejects.add(order.rejects)
                counts["total"] += bool(order.bodies)
                counts["total_events"] += len(order.bodies)
                counts["rejected"] += bool(order.rejects)
                counts["skipped"] += order.skipped
                bar.note = f"{counts['total']:,} orders, {counts['rejected']:,} bad"
                bar.at(min(self.source.read_bytes(), size) // 1000)
            bar.at(-(-size // 1000))
        self.rejects.close()
        self.say(_counts_line(counts, self.given))
        for reason in self.rejects.worst():
            self.say(f"  {reason['rows']:,} × {reason['field'] or 'row'}: {reason['message']}")
        for warning in findings.warnings():
            self.say(warning)
        if refusals := findings.refusals():
            raise FileRefused(refusals)
        if sums := findings.sum_line():
            self.say(sums)
        return counts

    # ------------------------------------------------------------------ send

    def send(self, api: Api, account: str, state: State) -> State:
        """Sends the orders after the place of `state`, which is saved to disk after each unit.

        Raises Stopped, Refused, Unreachable.
        """
        sender = Sender(api, self.given.api, account, self.given.concurrency, self.given.skip_bad, self.stop)
        self.rejects = Rejects(self.given.rejects, append=True)
        latest = [state]
        with Progress("orders sent", state.total, begin=state.orders, quiet=self.given.as_json) as bar:

            def done(unit: Unit, sent: Sent) -> None:
                now = latest[0]
                for line, error in sent.refused:
                    self.rejects.add([_refused(line, error)])
                latest[0] = now.changed(
                    offset=unit.end.offset,
                    line=unit.end.line,
                    orders=now.orders + unit.orders,
                    events=now.events + sent.events,
                    refused=now.refused + len({line for line, _ in sent.refused}),
                )
                latest[0].save()
                bar.note = f"{sender.pauses:,} pauses" if sender.pauses else ""
                bar.at(latest[0].orders)

            try:
                sender.run(units(self.orders(state.place), self.given.api), done)
            finally:
                self.rejects.close()
        finished = latest[0].changed(finished=datetime.now(UTC).isoformat(timespec="seconds"))
        finished.save()
        return finished


def _refused(line: int, error: FieldError) -> Reject:
    return Reject(line, error.field, "", error.message)


def _counts_line(counts: dict[str, int], given: Given) -> str:
    text = f"{given.file.name}: {counts['total']:,} good orders ({counts['total_events']:,} events)"
    if given.api == "v1":
        text = f"{given.file.name}: {counts['total']:,} good orders"
    text += f", {counts['skipped']:,} skipped by their status" if counts["skipped"] else ""
    return text + (f", {counts['rejected']:,} bad: see {given.rejects}" if counts["rejected"] else "") + "."


# The columns of these fields are printed before anything is sent, so that the user can check them.
_DECISIVE = (
    "order_id",
    "email",
    "customer_email_sha256",
    "occurred_at",
    "grand_total",
    "refunded_amount",
    "status",
    "currency",
)


def say_mapping(run: Import) -> None:
    if run.source.encoding not in ("utf-8", run.given.encoding):
        run.say(f"The file is not UTF-8; it is read as {run.source.encoding}. If that is wrong, give --encoding.")
    mapping = run.mapping
    if mapping is None:
        run.say("Each line is sent unchanged, as an order of the API.")
        return
    unused = mapping.unused(run.source.columns)
    rest = f" Not sent: {', '.join(unused)}." if unused else ""
    run.say(f"The columns are read by the mapping {mapping.name}.{rest}")
    read = [f"{name} is {mapping.column_of(name)}" for name in _DECISIVE if name in mapping.fields]
    run.say(f"{'; '.join(read)}.")
    if mapping.name in _WITHOUT_ID and mapping.fields.get("order_id") == [_WITHOUT_ID[mapping.name]]:
        run.say(
            f"The file has no ids, only {_WITHOUT_ID[mapping.name]}. Webhooks identify orders by id: if they differ, "
            "an order in the file and in a webhook counts twice. Export the id, too, if the shop sends webhooks."
        )


# For platforms that send webhooks: the column that is used as order_id if the export has no ids.
_WITHOUT_ID = {"shopify": "Name", "woocommerce": "Order Number"}


def check_only(run: Import) -> dict[str, Any]:
    counts = run.check()
    return _summary(run, begun(run.given.state, _identity(run, "", ""), counts), 0, 0.0)


def run_import(run: Import, api: Api) -> dict[str, Any]:
    given = run.given
    account = given.account or (_account(api) if given.api == "v3" else "")
    identity = _identity(run, api.url, account)
    state = resumed(given.state, identity)
    if state and state.finished and not given.again:
        run.say(f"{given.file.name} was imported on {state.finished}. Give --again to send the whole file again.")
        return _summary(run, state, state.orders, 0.0)
    if state and state.finished:
        state = state.changed(finished="", offset=0, line=0, orders=0, events=0, refused=0)
        run.say(f"Sending all {state.total:,} orders again.")
    elif state:
        run.say(f"Resuming after line {state.line:,}: {state.orders:,} of {state.total:,} orders are sent.")
    else:
        counts = run.check()
        state = begun(given.state, identity, counts)
        if counts["rejected"] and not given.skip_bad:
            run.say("Nothing was sent. Fix the rows, or give --skip-bad to send the good ones.")
            return _summary(run, state, 0, 0.0)
        state.save()
    began, start = time.monotonic(), state.orders
    state = run.send(api, account, state)
    seconds = time.monotonic() - began
    run.say(
        f"Sent {state.orders - state.refused:,} orders. "
        + (f"The API refused {state.refused:,}: see {given.rejects}. " if state.refused else "")
        + ("They are queued: tillbook requests shows their outcomes." if given.api == "v3" else "")
    )
    return _summary(run, state, start, seconds)


def _account(api: Api) -> str:
    try:
        return api.account()
    except Refused as refused:
        if refused.status == 403:
            raise Refused(
                "The key is unknown, revoked or not an admin key: with an ingest key, give --account."
            ) from None
        raise


def _identity(run: Import, url: str, account: str) -> Identity:
    given = run.given
    mapping = f"{run.mapping.text()}{run.mapping.as_of}" if run.mapping else ""
    read = f"{mapping}{given.no_amounts}{run.source.encoding}"
    return Identity(
        run.source.digest(),
        hashlib.sha256(read.encode()).hexdigest(),
        run.given.api,
        url,
        account,
        run.given.provider,
    )


def _summary(run: Import, state: State, start: int, seconds: float) -> dict[str, Any]:
    """The result as JSON. `start`: the orders that earlier runs sent. `sent` includes them; the rate does not."""
    return {
        "file": str(run.given.file),
        "api": run.given.api,
        "mapping": run.mapping.name if run.mapping else None,
        "orders": state.total,
        "events": state.total_events,
        "rejected": state.rejected,
        "skipped": state.skipped,
        "rejects": str(run.given.rejects) if state.rejected or state.refused else None,
        "worst": run.rejects.worst(10),
        "sent": state.orders - state.refused,
        "refused": state.refused,
        "resumed_at": start,
        "seconds": round(seconds, 2),
        "orders_per_second": round((state.orders - start) / seconds, 1) if seconds else None,
        "finished": state.finished or None,
    }
