"""`tillbook cost`: estimates the monthly cost of a number of orders, from the measurements of `make cost`."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import click


def measured() -> dict[str, Any]:
    """The measurements that `python -m bench.cost --json cli/tillbook_cli/cost.json` wrote."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath("cost.json").read_text())
    return found


def of(orders: int) -> dict[str, Any]:
    """Dollars for `orders` v3 orders a month, by intake route and service. `fixed` is billed even without orders."""
    base = measured()
    share = orders / base["orders"]
    return {
        "orders": orders,
        "region": base["prices"]["region"],
        "prices_of": base["prices"]["date"],
        "dollars": {
            flow: {service: round(amount * share, 4) for service, amount in services.items()}
            for flow, services in base["dollars"].items()
        },
        "fixed": {name: round(amount, 2) for name, amount in base["fixed"].items()},
    }


@click.command()
@click.option("--orders", type=click.IntRange(0), default=1_000_000, show_default=True, help="v3 orders a month.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost(orders: int, as_json: bool) -> None:
    """Estimate the monthly cost on AWS of a number of orders, in dollars by service.

    The estimate uses measured units and list prices without free tiers, for orders like the published example, by
    intake route. Tracing and custom metrics are additional. docs/cost.md has the details. make cost measures the units.
    """
    costs = of(orders)
    if as_json:
        click.echo(json.dumps(costs, indent=2))
        return
    flows = costs["dollars"]
    width = max(map(len, flows)) + 2
    click.echo(f"{orders:,} orders, {costs['region']}, list prices of {costs['prices_of']}, in dollars")
    click.echo(f"{'':<18}" + "".join(f"{flow:>{width}}" for flow in flows))
    for service in next(iter(flows.values())):
        click.echo(f"{service:<18}" + "".join(f"{services[service]:>{width}.2f}" for services in flows.values()))
    click.echo(f"{'total':<18}" + "".join(f"{sum(services.values()):>{width}.2f}" for services in flows.values()))
    click.echo("Fixed: " + ", ".join(f"{name} {amount:.2f}" for name, amount in costs["fixed"].items()))
