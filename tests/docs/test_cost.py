"""Tests that the picture of docs/cost.md is up to date, and that the statements of the page are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from bench import cost, scenes
from cli.tillbook_cli import cost as command
from local.stack import ROOT

PICTURE = ROOT / "docs" / "pictures" / "cost.svg"
ORDERS = 1_000_000
PER_BAR = 8  # amounts that a bar shows: seven services and their sum
# Lambda is billed by time, which depends on the machine and its load.
_TIMED = ("Lambda", "in all")


def bars(svg: str) -> Iterator[tuple[str, float]]:
    """(name, dollars) of each service of each bar, followed by the sum that is printed beside the bar."""
    for element in ElementTree.fromstring(svg).iter():  # noqa: S314 - our own file
        text = element.text or ""
        if element.tag.endswith("title") and (found := re.fullmatch(r"(.+): ([\d.]+)", text)):
            yield found[1], float(found[2])
        elif found := re.fullmatch(r"([\d.]+) \$", text):
            yield "in all", float(found[1])


@pytest.fixture(scope="module")
def flows() -> list[cost.Flow]:
    with scenes.restored_environment():
        return cost.flows()


def test_the_picture_is_up_to_date(flows: list[cost.Flow]) -> None:
    fresh = list(bars(cost.drawn({flow.name: cost.dollars(flow, ORDERS) for flow in flows}, ORDERS)))
    shown = list(bars(PICTURE.read_text()))
    assert len(shown) == len(flows) * PER_BAR
    assert [name for name, _ in shown] == [name for name, _ in fresh]
    for (name, drawn), (_, now) in zip(shown, fresh, strict=True):
        assert name in _TIMED or drawn == pytest.approx(now, rel=0.1, abs=0.02), (
            f"{name}: run python -m bench.cost --svg docs/pictures/cost.svg"
        )
    for start in range(0, len(shown), PER_BAR):
        *parts, (_, whole) = shown[start : start + PER_BAR]
        assert whole == pytest.approx(sum(amount for _, amount in parts), abs=0.05)


def test_the_statements_of_the_page_are_true(flows: list[cost.Flow]) -> None:
    alone, _ten_messages_at_once, batches = flows
    of_alone, of_batches = cost.dollars(alone, ORDERS), cost.dollars(batches, ORDERS)
    # Most of the cost is DynamoDB writes.
    assert of_alone["DynamoDB writes"] > sum(of_alone.values()) / 2
    # Four index entries and one outcome are billed once; the three writes in a transaction are billed twice.
    assert (alone.parts["indexes"], alone.parts["records"]) == (4, 1)
    assert {alone.parts[name] for name in ("orders", "events", "people")} == {2}
    # Orders of different people share no write in a transaction.
    assert batches.writes == alone.writes
    # In batches, almost nothing remains of the costs that are paid by the request.
    assert sum(of_batches[name] for name in ("API Gateway", "SQS", "Logs")) < 0.02 * sum(of_batches.values())
    # The floor (the least that orders can cost) with audiences is below nine dollars a million for orders that arrive
    # alone, lower for ten messages at once, and lowest for batches.
    floors = [sum((cost.floor(flow, ORDERS) | cost.floor_of_audiences(flow, ORDERS)).values()) for flow in flows]
    assert 9 > floors[0] > floors[1] > floors[2]
    # Tracing costs more than half as much as all the rest at low rates, and less than a tenth of it at high rates.
    assert 0.5 < cost.traces(alone, 100_000) / sum(cost.dollars(alone, 100_000).values()) < 1
    assert cost.traces(alone, 1000 * ORDERS) < 0.1 * sum(cost.dollars(alone, 1000 * ORDERS).values())
    # Below a few hundred thousand orders, the larger part is paid by the month: alarms, dashboard, polling, metrics.
    monthly = sum(cost.fixed().values()) + sum(cost.counted(alone).values())
    assert sum(cost.dollars(alone, 200_000).values()) < monthly < sum(cost.dollars(alone, ORDERS).values())


def test_the_figures_of_the_readme_are_roughly_right() -> None:
    """Uses the figures of the release (cli/tillbook_cli/cost.json), which another test compares with measured ones."""
    statement = "Roughly ten dollars for a million orders, and about five dollars a month without any"
    assert statement in (ROOT / "README.md").read_text()
    found = command.of(1_000_000)
    assert all(7 < sum(services.values()) < 15 for services in found["dollars"].values())
    assert 4 < sum(found["fixed"].values()) < 6


def test_the_page_lists_each_part_of_an_order_s_cost(flows: list[cost.Flow]) -> None:
    page = (ROOT / "docs" / "cost.md").read_text()
    rows = {name for row in re.findall(r"^\| ([\w, ]+) \|", page, re.MULTILINE) for name in row.split(", ")}
    assert flows[0].parts.keys() <= rows


def test_the_figures_of_tillbook_cost_are_up_to_date(flows: list[cost.Flow]) -> None:
    """If it fails, run `python -m bench.cost --json cli/tillbook_cli/cost.json`."""
    shown = command.of(ORDERS)
    assert list(shown["dollars"]) == [flow.name for flow in flows]
    for flow in flows:
        for service, now in cost.dollars(flow, ORDERS).items():
            assert service in _TIMED or shown["dollars"][flow.name][service] == pytest.approx(now, rel=0.1, abs=0.02)
    assert shown["fixed"] == {name: round(amount, 2) for name, amount in cost.fixed().items()}
    # The command computes the cost of any number of orders in proportion.
    assert command.of(2 * ORDERS)["dollars"][flows[0].name]["SQS"] == 2 * shown["dollars"][flows[0].name]["SQS"]
