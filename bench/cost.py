"""`make cost ORDERS=1000000`: dollars for that many v3 orders of the published example's size, from measured units.

Calls, units, bytes in the log and CPU are measured by running the functions here (bench/calls.py). Prices, and the time
that AWS takes to answer, are in bench/prices.json, with their date. Free tiers are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bench import scenes
from bench.calls import Bill, bill, measured, purged, warmed
from bench.memory import LEDGER, RECORDS
from bench.scenes import ROOT, Context, Stage
from tests import stream
from tests.audience_run.costs import size
from tests.handlers import template

PRICES: dict[str, Any] = json.loads((ROOT / "bench" / "prices.json").read_text())
_GB = 1e9


@dataclass(frozen=True)
class Flow:
    """The average consumption of one order by one intake route."""

    name: str
    requests: float  # at the API
    invocations: float
    seconds: float  # that Lambda bills
    sqs: float  # requests
    writes: float
    reads: float
    log_bytes: float
    stored_bytes: float
    parts: dict[str, float]
    metrics: frozenset[str]  # names of the metrics that count the order


def flows() -> list[Flow]:
    assumed = PRICES["assumed"]
    many = int(assumed["messages_in_a_batch"])
    stage = warmed()
    bytes_before = _bytes(stage)
    accept_one = _timed(stage, "record_activity", scenes.activity_event(scenes.activity(100)))
    bodies = stage.accepted([scenes.activity(n) for n in range(200, 200 + many)])
    process_many = _timed(stage, "process_orders", scenes.sqs_event(bodies))
    process_one = _timed(stage, "process_orders", scenes.sqs_event(stage.accepted([scenes.activity(300)])))
    stored_each = (_bytes(stage) - bytes_before) / (many + 1)
    hundred = scenes.batch_event([scenes.activity(n) for n in range(400, 500)])
    stage.memory.messages.clear()
    accept_hundred = _timed(stage, "record_activity", hundred, orders=100)
    process_hundred = _timed(stage, "process_orders", scenes.sqs_event(stage.memory.messages), orders=100)
    return [
        _flow("one by one", accept_one, process_one, 1, 1, stored_each),
        _flow(f"busy: {many} messages at once", accept_one, process_many, 1, many, stored_each),
        _flow("batches of 100", accept_hundred, process_hundred, 100, 100, stored_each),
    ]


def of_the_book(together: int) -> dict[str, float]:
    """Units and seconds of the function per order, if `together` orders are entered in the book in one batch.

    `written` and `read` are units. `indexes`: the part of `written` for the indexes of orders by their ids.
    """
    stage = warmed()
    before = stage.ledger()
    stage.process(stage.accepted([scenes.activity(n) for n in range(500, 500 + together)]))
    ran = _timed(stage, "keep_book", scenes.stream_event(before, stage.ledger()), orders=together)
    # The function makes up to 16 calls at a time. This is assumed of all calls, although those that begin and end a
    # batch are made one by one.
    cpu = ran.cpu / PRICES["assumed"]["vcpus"]
    waits = (_seconds(ran) - cpu) / min(16, together)
    used = ran.bill.per_order()
    return {
        "written": used["write_units"],
        "read": used["read_units"],
        "seconds": (cpu + waits) / together,
        "indexes": used["write_parts"].get("indexes", 0.0),
    }


def dollars_of_the_book(together: int, orders: int) -> float:
    """Dollars of the book if each order changes once. Storage is left out: a card is smaller than its order's event."""
    price, used = PRICES["dollars"], of_the_book(together)
    each = used["written"] * price["dynamodb_write_unit"] + used["read"] * price["dynamodb_read_unit"]
    each += used["seconds"] * PRICES["assumed"]["memory_gb"] * price["lambda_gb_second"]
    return float(orders * (each + price["lambda_request"] / together))


def of_announcements(together: int) -> dict[str, float]:
    """Events, read units and seconds of the function per order, if `together` changes are announced in one batch: one
    batch of people from the ledger's stream, and one of outcomes from the records' stream."""
    stage = warmed()
    before = {name: set(stage.memory.store.tables[name].items) for name in (LEDGER, RECORDS)}
    stage.process(stage.accepted([scenes.activity(n) for n in range(500, 500 + together)]))
    new = [
        item
        for name in (LEDGER, RECORDS)
        for key, item in sorted(stage.memory.store.tables[name].items.items())
        if key not in before[name]
    ]
    people = [item for item in new if "token" in item]
    outcomes = [item for item in new if item.get("status", {}).get("S") == "applied"]
    events = [
        {"Records": [stream.change(n, None, item) for n, item in enumerate(items)]} for items in (people, outcomes)
    ]
    ran = [_timed(stage, "announce_changes", event, together) for event in events]
    return {
        "events": len(people + outcomes) / together,
        "read": sum(one.bill.reads for one in ran) / together,
        "seconds": sum(_seconds(one) for one in ran) / together,
        "invocations": len(ran) / together,
    }


def dollars_of_announcements(together: int, orders: int) -> float:
    """Dollars of announcements, if they are switched on and each order changes once."""
    price, used = PRICES["dollars"], of_announcements(together)
    each = used["events"] * price["event"] + used["read"] * price["dynamodb_read_unit"]
    each += used["seconds"] * PRICES["assumed"]["memory_gb"] * price["lambda_gb_second"]
    return float(orders * (each + used["invocations"] * price["lambda_request"]))


def _book_window() -> int:
    """The batching window of the book, in seconds."""
    return int(template.load()["Parameters"]["BookWindowSeconds"]["Default"])


def by_kind() -> dict[str, dict[str, Any]]:
    """AWS calls and units of an order by kind of request (bench/calls.py). The v1 kinds include those of KeepBook."""
    bills = measured(warmed())
    kinds = [name for name in bills if f"{name}, with KeepBook" not in bills]
    return {name: bills[name].per_order() for name in kinds} | {"purge of 500 orders": purged(500).per_order()}


@dataclass(frozen=True)
class Ran:
    """One invocation: its AWS calls, its CPU in seconds, the bytes that it logged, and the metrics in its log."""

    bill: Bill
    cpu: float
    log: int
    metrics: frozenset[str]


def _timed(stage: Stage, function: str, event: dict[str, Any], orders: int = 1) -> Ran:
    handler = import_module(f"functions.{function}.app").handler
    out = io.StringIO()
    with stage.memory.noted() as calls, contextlib.redirect_stdout(out):
        start = time.process_time()
        answer = handler(event, Context)
        cpu = time.process_time() - start
    if answer.get("batchItemFailures") or answer.get("statusCode", 200) >= 300:
        raise RuntimeError(f"{function} answered {answer}")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    sent = [directive for line in lines if "_aws" in line for directive in line["_aws"]["CloudWatchMetrics"]]
    names = frozenset(metric["Name"] for directive in sent for metric in directive["Metrics"])
    return Ran(bill(function, [scenes.Played(function, event, answer, calls)], orders), cpu, len(out.getvalue()), names)


def _flow(name: str, accept: Ran, process: Ran, accepted: int, processed: int, stored: float) -> Flow:
    """`accepted` and `processed` are the numbers of orders of the invocations `accept` and `process`."""
    received_and_deleted = 2 / processed  # requests: one receives all messages of a batch, one deletes them
    return Flow(
        name,
        requests=1 / accepted,
        invocations=1 / accepted + 1 / processed,
        seconds=_seconds(accept) / accepted + _seconds(process) / processed,
        sqs=accept.bill.sqs / accepted + process.bill.sqs / processed + received_and_deleted,
        writes=accept.bill.writes / accepted + process.bill.writes / processed,
        reads=accept.bill.reads / accepted + process.bill.reads / processed,
        log_bytes=(accept.log + _access_log()) / accepted + process.log / processed,
        stored_bytes=stored,
        parts={part: units / processed for part, units in process.bill.parts.items()},
        metrics=accept.metrics | process.metrics,
    )


def _seconds(ran: Ran) -> float:
    """The seconds that Lambda bills: the CPU time at its share of a processor, and the time of waiting for AWS."""
    assumed = PRICES["assumed"]
    waits = sum(
        assumed["milliseconds"][name.partition(" ")[2]] * count / 1000 for name, count in ran.bill.calls.items()
    )
    return float(ran.cpu / assumed["vcpus"] + waits)


def _bytes(stage: Stage) -> float:
    """Bytes of the ledger, the records and their indexes, as DynamoDB bills their storage."""
    overhead = PRICES["assumed"]["dynamodb_item_overhead_bytes"]
    total = 0
    for name in (LEDGER, RECORDS):
        found = stage.memory.store.tables[name]
        total += sum(size(item) + overhead for item in found.items.values())
        for index in found.indexes.values():
            names = sum(map(len, {"pk", "sk", *index.names}))
            for partition, entries in index.entries.items():
                total += sum(overhead + names + len(partition) + sum(map(len, entry)) for entry in entries)
    return float(total)


def _access_log() -> int:
    """The bytes of a line of the API's access log: an estimate that is rather too high."""
    logged: str = template.resources("AWS::Serverless::HttpApi")["Api"]["AccessLogSettings"]["Format"]
    # Less 12 bytes for the name of each variable, plus the values of four: request id, route, status and latency.
    return len(logged) - logged.count("$context.") * 12 + 16 + 50 + 3 + 2


def dollars(flow: Flow, orders: int) -> dict[str, float]:
    """Dollars by service for so many orders in a month. Storage is that of these orders, for a month."""
    price = PRICES["dollars"]
    gigabytes = flow.stored_bytes * orders / _GB
    logs = flow.log_bytes * orders / _GB
    return {
        "API Gateway": flow.requests * orders * price["api_request"],
        "Lambda": orders
        * (
            flow.invocations * price["lambda_request"]
            + flow.seconds * PRICES["assumed"]["memory_gb"] * price["lambda_gb_second"]
        ),
        "SQS": flow.sqs * orders * price["sqs_request"],
        "DynamoDB writes": flow.writes * orders * price["dynamodb_write_unit"],
        "DynamoDB reads": flow.reads * orders * price["dynamodb_read_unit"],
        "DynamoDB storage": gigabytes * (price["dynamodb_gb_month"] + price["backup_gb_month"]),
        "Logs": logs * (price["logs_gb"] + price["logs_gb_month"]),
    }


def traces(flow: Flow, orders: int) -> float:
    """Dollars of X-Ray, if the orders are spread evenly over a month. For each function, Lambda traces the first
    request of a second and 5 % of the others, which cannot be changed (docs.aws.amazon.com/lambda: services-xray)."""
    active = template.load()["Globals"]["Function"].get("Tracing") == "Active"
    a_second = orders / (30 * 24 * 3600)
    traced = 0.0
    for invocations in (flow.requests, flow.invocations - flow.requests):  # of record_activity, of process_orders
        rate = invocations * a_second
        traced += min(rate, 1) + 0.05 * max(rate - 1, 0)
    return float(active * traced * 30 * 24 * 3600 * PRICES["dollars"]["trace"])


def fixed() -> dict[str, float]:
    """Dollars a month without any order: alarms, dashboards, and Lambda's polling of empty queues."""
    price, assumed = PRICES["dollars"], PRICES["assumed"]
    sources = [e for f in template.functions().values() for e in f.get("Events", {}).values() if e["Type"] == "SQS"]
    polls = len(sources) * assumed["queue_pollers"] * 30 * 24 * 3600 / assumed["long_poll_seconds"]
    alarms = len(template.unconditional("AWS::CloudWatch::Alarm"))
    dashboards = len(template.resources("AWS::CloudWatch::Dashboard"))
    return {
        f"{alarms} alarms": alarms * price["alarm_month"],
        f"{dashboards} dashboard{'s' * (dashboards != 1)}": dashboards * price["dashboard_month"],
        f"{len(sources)} empty queues, asked for messages": polls * price["sqs_request"],
    }


def switched_on() -> dict[str, float]:
    """Dollars a month of resources that exist only if a parameter is set.

    What SurgeOfRequests costs by use is given for a million requests. The events of Announcements are not included.
    """
    price = PRICES["dollars"]
    found = template.load()["Resources"]
    alarms = {n: r["Condition"] for n, r in found.items() if r["Type"] == "AWS::CloudWatch::Alarm" and "Condition" in r}
    of_announcements = sum(condition == "Announces" for condition in alarms.values())
    of_surges = sum(condition == "WatchesForSurges" for condition in alarms.values())
    return {
        f"Announcements: {of_announcements} alarms": of_announcements * price["alarm_month"],
        f"SurgeOfRequests: rule and {of_surges} alarm": price["insight_rule_month"] + of_surges * price["alarm_month"],
        "SurgeOfRequests: a million requests": 1_000_000 * price["insight_rule_event"],
        "MonthlyBudget": 0.0,
    }


def counted(flow: Flow) -> dict[str, float]:
    """Dollars a month of the metrics that count orders, if there are orders in every hour.

    A metric is billed for each hour that has a value. The metrics of refusals, repeats and failures are not included.
    """
    count = len(flow.metrics)
    return {f"{count} metrics of ours": count * float(PRICES["dollars"]["custom_metric_month"])}


def floor(flow: Flow, orders: int) -> dict[str, float]:
    """The minimum cost of any design with these guarantees, by one intake route, without computing, storage and logs.

    Order, activity and LTV are three items in one transaction. Each of them is billed twice.
    """
    price = PRICES["dollars"]
    parts = {
        "requests and invocations": flow.requests * price["api_request"] + flow.invocations * price["lambda_request"],
        "the queue: sent, received, deleted": flow.sqs * price["sqs_request"],
        "order, activity and LTV in one transaction": 6 * price["dynamodb_write_unit"],
        "the timeline's entry": price["dynamodb_write_unit"],
        "what became of the request": price["dynamodb_write_unit"],
    }
    return {name: cost * orders for name, cost in parts.items()}


def floor_of_audiences(flow: Flow, orders: int) -> dict[str, float]:
    """The additional minimum cost of audiences, if an index finds addresses. The book counts their members."""
    units = {"an index's entry for each of two addresses": 2}
    return {name: count * orders * PRICES["dollars"]["dynamodb_write_unit"] for name, count in units.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make cost", description=__doc__.split("\n\n")[0])
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="file to which the figures are written as JSON")
    parser.add_argument("--svg", type=Path, help="file to which the figures are drawn as SVG")
    options = parser.parse_args()
    orders, found = options.orders, flows()
    table = {flow.name: dollars(flow, orders) for flow in found}
    floors = {flow.name: floor(flow, orders) for flow in found}
    audiences = {flow.name: floor_of_audiences(flow, orders) for flow in found}
    _print_orders(orders, found, table)
    _print_additions(orders, found)
    _print_floors(floors, audiences)
    _print_fixed()
    shape = {
        "orders": orders,
        "prices": PRICES,
        "dollars": table,
        "write_units": found[0].parts,
        "floor": floors,
        "floor_of_audiences": audiences,
        "fixed": fixed(),
        "metrics": counted(found[0]),
        "traces": {flow.name: traces(flow, options.orders) for flow in found},
    }
    if options.json:
        options.json.write_text(json.dumps(_rounded(shape), indent=2) + "\n")
    if options.svg:
        options.svg.write_text(drawn(table, orders))
    return 0


def _print_orders(orders: int, found: list[Flow], table: dict[str, dict[str, float]]) -> None:
    """Prints the price of the orders themselves, and of the book that reports read."""
    print(
        f"{orders:,} v3 orders of the published example's size, {PRICES['region']}, list prices of "
        f"{PRICES['date']}, in dollars\n"
    )
    _print_table(table)
    print("\nWrite units per order, one by one")
    for part, units in sorted(found[0].parts.items(), key=lambda entry: -entry[1]):
        cost = units * orders * PRICES["dollars"]["dynamodb_write_unit"]
        print(f"  {part:<42}{units:>8.2f}{cost:>10.2f}")
    print("\nUnits of DynamoDB per order, by kind of request" + f"{'written':>12}{'read':>8}")
    for name, used in by_kind().items():
        print(f"  {name:<44}{used['write_units']:>12.2f}{used['read_units']:>8.2f}")
    print("\nIn addition the book, which reports read, by the number of changes in one batching window")
    for together in (1, 10, 100):
        print(f"  {together:<50}{dollars_of_the_book(together, orders):>10.2f}")
    indexes = of_the_book(1)["indexes"] * orders * PRICES["dollars"]["dynamodb_write_unit"]
    print(f"  {'of this, the index of orders by their ids':<50}{indexes:>10.2f}")
    in_window = max(1, round(orders * _book_window() / (30 * 24 * 3600)))
    book = dollars_of_the_book(in_window, orders)
    print(f"\nIn all, with the book, if orders are spread evenly over a month: {in_window} in a batching window")
    for name, costs in table.items():
        print(f"  {name:<50}{sum(costs.values()) + book:>10.2f}")


def _print_additions(orders: int, found: list[Flow]) -> None:
    """Prints the price of announcements, traces and custom metrics."""
    print("\nIn addition announcements, if they are switched on, by the number of changes in a batch")
    for together in (1, 10, 100):
        print(f"  {together:<50}{dollars_of_announcements(together, orders):>10.2f}")
    print("\nIn addition traces (X-Ray), if orders are spread evenly over a month")
    for flow in found:
        print(f"  {flow.name:<50}{traces(flow, orders):>10.2f}")
    print("\nIn addition metrics, if there are orders in every hour of a month")
    for name, cost in counted(found[0]).items():
        print(f"  {name:<50}{cost:>10.2f}")


def _print_floors(floors: dict[str, dict[str, float]], audiences: dict[str, dict[str, float]]) -> None:
    print("\nThe floor: the minimum cost of the guarantees, without computing, storage and logs")
    _print_table(floors)
    print("\nThe minimum cost of audiences, in addition")
    _print_table(audiences)
    print("\nThe floor with audiences")
    _print_table({name: {"in all": sum(floors[name].values()) + sum(audiences[name].values())} for name in floors})


def _print_fixed() -> None:
    print("\nA month without any order")
    for name, cost in fixed().items():
        print(f"  {name:<50}{cost:>10.2f}")
    print("\nA month of the resources that parameters switch on")
    for name, cost in switched_on().items():
        print(f"  {name:<50}{cost:>10.2f}")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _print_table(table: dict[str, dict[str, float]]) -> None:
    """Prints a column for each intake route, a row for each part, and their sum if there are several."""
    width = max(map(len, table)) + 2
    parts = list(next(iter(table.values())))
    first = max(18, *(len(part) + 1 for part in parts))
    print(f"{'':<{first}}" + "".join(f"{name:>{width}}" for name in table))
    for part in parts:
        print(f"{part:<{first}}" + "".join(f"{costs[part]:>{width}.2f}" for costs in table.values()))
    if len(parts) > 1:
        print(f"{'in all':<{first}}" + "".join(f"{sum(costs.values()):>{width}.2f}" for costs in table.values()))


_COLOURS = ("#4c78a8", "#f58518", "#e45756", "#54a24b", "#72b7b2", "#b279a2", "#9d755d")


def drawn(table: dict[str, dict[str, float]], orders: int) -> str:
    """Bars of dollars by service, as SVG that is readable on light and dark backgrounds."""
    most = max(sum(costs.values()) for costs in table.values())
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 250" font-family="sans-serif" font-size="13">',
        f"<title>Dollars for {orders:,} orders, by service</title>",
        '<rect width="760" height="250" fill="#fff"/>',
    ]
    services = list(next(iter(table.values())))
    for row, (name, costs) in enumerate(table.items()):
        y, x = 24 + row * 52, 200.0
        lines.append(f'<text x="190" y="{y + 20}" text-anchor="end" fill="#222">{name}</text>')
        for colour, service in zip(_COLOURS, services, strict=True):
            width = costs[service] / most * 460
            lines.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="30" fill="{colour}">'
                f"<title>{service}: {costs[service]:.2f}</title></rect>"
            )
            x += width
        lines.append(f'<text x="{x + 8:.1f}" y="{y + 20}" fill="#222">{sum(costs.values()):.2f} $</text>')
    for place, (colour, service) in enumerate(zip(_COLOURS, services, strict=True)):
        x, y = 20 + place % 4 * 185, 196 + place // 4 * 26
        lines.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{x + 18}" y="{y + 11}" fill="#222">{service}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
