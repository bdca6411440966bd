"""`tillbook import`: a file of orders is checked as a whole, then sent; killed anywhere, it goes on where it was."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tillbook.rules.errors import FieldError

from . import mappings
from .api import Api, Refused, connected, where
from .checking import Checked, Reject, Rejects, checked
from .connection import Unreachable
from .import_state import Identity, NotTheSame, State, begun, resumed
from .mappings import BadMapping, Mapping, entries
from .output import INTERRUPTED, REFUSED, UNREACHABLE, fail
from .progress import Progress
from .rows import Place, Source, Unreadable
from .sending import Sender, Sent, Stopped, Unit, units

_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class Given:
    """What was asked for."""

    file: Path
    api: str
    account: str
    preset: str
    mapping: Path | None
    save_mapping: Path | None
    provider: str
    time_zone: str
    encoding: str
    check: bool
    skip_bad: bool
    again: bool
    rejects: Path
    state: Path
    concurrency: int
    as_json: bool


@dataclass
class Import:
    """One run. `say` is for a person's eyes; `stop` is set when somebody wants to end."""

    given: Given
    source: Source
    mapping: Mapping | None
    rejects: Rejects
    stop: threading.Event = field(default_factory=threading.Event)

    def say(self, text: str) -> None:
        if not self.given.as_json:
            click.echo(text, err=True)

    def orders(self, place: Place | None = None) -> Iterator[Checked]:
        found = entries(self.source.rows(place), self.mapping)
        return checked(found, self.given.api, self.mapping, self.given.provider)

    # ----------------------------------------------------------------- check

    def check(self) -> dict[str, int]:
        """Reads all of it once. Raises Stopped, Unreadable."""
        counts = {"total": 0, "total_events": 0, "rejected": 0, "skipped": 0}
        size = self.source.bytes
        self.rejects.begin()
        with Progress("kB checked", -(-size // 1000), quiet=self.given.as_json) as bar:
            for order in self.orders():
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
        self.say(_told(counts, self.given))
        for reason in self.rejects.worst():
            self.say(f"  {reason['rows']:,} × {reason['field'] or 'row'}: {reason['message']}")
        return counts

    # ------------------------------------------------------------------ send

    def send(self, api: Api, account: str, state: State) -> State:
        """From where the state is. Raises Stopped, Refused, Unreachable; the state on the disk is then up to date."""
        sender = Sender(api, self.given.api, account, self.given.concurrency, self.given.skip_bad, self.stop)
        self.rejects = Rejects(self.given.rejects, append=True)
        latest = [state]
        with Progress("orders sent", state.total, begin=state.orders, quiet=self.given.as_json) as bar:

            def done(unit: Unit, sent: Sent) -> None:
                now = latest[0]
                for line, error in sent.refused:
                    self.rejects.add([_refused(line, error)])
                latest[0] = now.moved(
                    offset=unit.end.offset, line=unit.end.line, orders=now.orders + unit.orders,
                    events=now.events + sent.events, refused=now.refused + len({line for line, _ in sent.refused}),
                )  # fmt: skip
                latest[0].save()
                bar.note = f"{sender.pauses:,} pauses" if sender.pauses else ""
                bar.at(latest[0].orders)

            try:
                sender.run(units(self.orders(state.place), self.given.api), done)
            finally:
                self.rejects.close()
        finished = latest[0].moved(finished=datetime.now(UTC).isoformat(timespec="seconds"))
        finished.save()
        return finished


def _refused(line: int, error: FieldError) -> Reject:
    return Reject(line, error.field, "", error.message)


def _told(counts: dict[str, int], given: Given) -> str:
    text = f"{given.file.name}: {counts['total']:,} good orders ({counts['total_events']:,} events)"
    if given.api == "v1":
        text = f"{given.file.name}: {counts['total']:,} good orders"
    text += f", {counts['skipped']:,} skipped by their status" if counts["skipped"] else ""
    return text + (f", {counts['rejected']:,} bad: see {given.rejects}" if counts["rejected"] else "") + "."


# ------------------------------------------------------------------- command


@click.command("import")
@click.argument("file", type=_FILE)
@click.option("--api", type=click.Choice(["v1", "v3"]), default="v3", show_default=True, help="Through which API.")
@click.option("--account", default="", help="The account; not needed with an admin key, which tells it.")
@click.option("--preset", type=click.Choice(mappings.PRESETS), help="A known export.  [by its columns]")
@click.option("--mapping", type=_FILE, help="A mapping of your own, as --save-mapping writes it.")
@click.option("--save-mapping", type=_FILE, help="Write the mapping that is used to this file, to be edited.")
@click.option("--provider", default="", help="The provider of all orders (v3), for instance my_shop.")
@click.option("--time-zone", default="", help="Of times without an offset, as Europe/Berlin.  [UTC]")
@click.option("--encoding", default="utf-8", show_default=True, help="Of the file, as cp1252.")
@click.option("--check", is_flag=True, help="Check only: nothing is sent, no --url is needed.")
@click.option("--skip-bad", is_flag=True, help="Send the good orders though there are bad ones.")
@click.option("--again", is_flag=True, help="Send all of a file that was imported to its end. Nothing counts twice.")
@click.option("--rejects", type=_FILE, help="Where bad rows are told, .csv or .jsonl.  [FILE.rejects.csv]")
@click.option("--state", type=_FILE, help="Where it is kept how far it came.  [FILE.tillbook-import]")
@click.option("--concurrency", type=click.IntRange(1, 32), default=4, show_default=True, help="Requests at once.")
@where
def import_orders(
    *, file: Path, rejects: Path | None, state: Path | None, preset: str | None, url: str | None, key: str | None,
    local: bool, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Import the orders of FILE: CSV or JSON lines, gzipped or not, of any size.

    First all of it is checked as the API would; bad rows go to a file with their line numbers, and nothing is sent
    unless all are good or --skip-bad is given. Then it is sent. Ctrl-C or a crash: the same command goes on where it
    was. It is safe to run twice: each event is known by its content, which carries the time it happened.

    The exports of Shopify and WooCommerce are known by their columns. Other CSVs need columns order_id, email,
    occurred_at and grand_total, or a mapping. JSON lines without a mapping are orders as the API takes them.

    \b
    Examples:
      tillbook import orders.csv --check
      tillbook import orders_export.csv --preset shopify --url https://… --key …
      tillbook import orders.csv --save-mapping mapping.json --check
      tillbook import orders.csv --mapping mapping.json --skip-bad --local
    """
    given = Given(
        file=file, rejects=rejects or file.with_name(f"{file.name}.rejects.csv"), preset=preset or "",
        state=state or file.with_name(f"{file.name}.tillbook-import"), as_json=as_json, **options,
    )  # fmt: skip
    if given.preset and given.mapping:
        raise click.UsageError("Give --preset or --mapping, not both.")
    _known_encoding(given.encoding)
    if {file.absolute()} & {p.absolute() for p in (given.rejects, given.state, given.save_mapping) if p}:
        raise click.UsageError("What is written would replace FILE.")
    api = None if given.check else connected(url, key, local, as_json)
    try:
        with Source(given.file, given.encoding) as source:
            run = Import(given, source, _mapping(given, source), Rejects(given.rejects))
            _say_mapping(run)
            with _until_stopped(run):
                summary = _check_only(run) if api is None else _import(run, api)
    except (BadMapping, Unreadable, NotTheSame) as error:
        fail(str(error), REFUSED, as_json)
    except Refused as error:
        fail(f"{error}{_again(given)}", REFUSED, as_json)
    except Unreachable as error:
        fail(f"{error}{_again(given)}", UNREACHABLE, as_json)
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}.{_again(given)}", REFUSED, as_json)
    except Stopped:
        fail(f"Stopped.{_again(given)}", INTERRUPTED, as_json)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    if (summary["rejected"] or summary["refused"]) and not given.skip_bad:
        raise SystemExit(REFUSED)


def _again(given: Given) -> str:
    if given.check or not given.state.exists():
        return ""
    return f" Run the same command again: it goes on where it was, as {given.state} notes."


def _known_encoding(name: str) -> None:
    try:
        if "\n".encode(name) == b"\n":
            return
    except LookupError:
        pass
    raise click.UsageError(f"{name} is not an encoding that can be read line by line, as utf-8 and cp1252 are.")


def _mapping(given: Given, source: Source) -> Mapping | None:
    """None for JSON lines that are orders as the API takes them. Raises BadMapping, click.UsageError."""
    mapping: Mapping | None = None
    if given.mapping:
        mapping = mappings.load(given.mapping)
    elif given.preset:
        mapping = mappings.preset(given.preset)
    elif not source.is_json:
        mapping = mappings.guessed(source.columns)
    if mapping is None:
        for option, value in (("--time-zone", given.time_zone), ("--save-mapping", given.save_mapping)):
            if value:
                raise click.UsageError(f"{option} goes with a mapping; JSON lines without one are sent as they are.")
        return None
    if not source.is_json:
        mapping = mappings.resolved(mapping, source.columns)
    if given.time_zone:
        mapping = mappings.in_zone(mapping, given.time_zone)
    if given.provider:
        mapping = replace(mapping, constants=mapping.constants | {"provider": given.provider})
    if given.save_mapping:
        given.save_mapping.write_text(mapping.text(), "utf-8")
    if given.api == "v3" and "provider" not in mapping.fields | mapping.constants:
        raise BadMapping("Orders of v3 have a provider, and no column has it: give one, as --provider my_shop.")
    return mapping


def _say_mapping(run: Import) -> None:
    if run.mapping is None:
        run.say("Each line is sent as it is: an order as the API takes it.")
        return
    unused = run.mapping.unused(run.source.columns)
    rest = f" Not sent: {', '.join(unused)}." if unused else ""
    run.say(f"Columns are read as {run.mapping.name} has them.{rest}")


def _check_only(run: Import) -> dict[str, Any]:
    counts = run.check()
    return _summary(run, begun(run.given.state, _identity(run, "", ""), counts), 0, 0.0)


def _import(run: Import, api: Api) -> dict[str, Any]:
    given = run.given
    account = given.account or (_account(api) if given.api == "v3" else "")
    identity = _identity(run, api.url, account)
    state = resumed(given.state, identity)
    if state and state.finished and not given.again:
        run.say(f"{given.file.name} was imported on {state.finished}. Give --again to send all of it once more.")
        return _summary(run, state, state.orders, 0.0)
    if state and state.finished:
        state = state.moved(finished="", offset=0, line=0, orders=0, events=0, refused=0)
    if state:
        run.say(f"Going on behind line {state.line:,}: {state.orders:,} of {state.total:,} orders are sent.")
    else:
        counts = run.check()
        state = begun(given.state, identity, counts)
        if counts["rejected"] and not given.skip_bad:
            run.say("Nothing was sent. Mend the rows, or give --skip-bad to send the good ones.")
            return _summary(run, state, 0, 0.0)
        state.save()
    began, start = time.monotonic(), state.orders
    state = run.send(api, account, state)
    seconds = time.monotonic() - began
    run.say(
        f"Sent {state.orders - state.refused:,} orders. "
        + (f"The API refused {state.refused:,}: see {given.rejects}. " if state.refused else "")
        + ("They are queued: tillbook requests tells what becomes of them." if given.api == "v3" else "")
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
    mapping = run.mapping.text() if run.mapping else ""
    return Identity(
        run.source.digest(), hashlib.sha256(mapping.encode()).hexdigest(), run.given.api, url, account,
        run.given.provider,
    )  # fmt: skip


def _summary(run: Import, state: State, start: int, seconds: float) -> dict[str, Any]:
    sent = state.orders - start
    return {
        "file": str(run.given.file), "api": run.given.api, "mapping": run.mapping.name if run.mapping else None,
        "orders": state.total, "events": state.total_events, "rejected": state.rejected, "skipped": state.skipped,
        "rejects": str(run.given.rejects) if state.rejected or state.refused else None,
        "worst": run.rejects.worst(10), "sent": state.orders - state.refused, "refused": state.refused,
        "resumed_at": start, "seconds": round(seconds, 2),
        "orders_per_second": round(sent / seconds, 1) if seconds else None, "finished": state.finished or None,
    }  # fmt: skip


@contextmanager
def _until_stopped(run: Import) -> Iterator[None]:
    """Ctrl-C and SIGTERM end it in order, the second time at once."""
    before: dict[int, Any] = {}

    def stop(number: int, _frame: object) -> None:
        if run.stop.is_set():
            raise KeyboardInterrupt
        run.stop.set()
        run.say("\nEnding: what is on the wire is waited for.")

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
