"""`tillbook cost`: what so many orders a month cost, from what `make cost` measured when this version was made."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import click


def measured() -> dict[str, Any]:
    """The figures of `make cost`, as `python -m bench.cost --json cli/tillbook_cli/cost.json` wrote them."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath("cost.json").read_text())
    return found


def of(orders: int) -> dict[str, Any]:
    """Dollars a month by way of arriving and service; what is billed whether orders come or not stands in `fixed`."""
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
    """What so many orders a month cost on AWS, in dollars by service.

    From measured units and list prices without free tiers, for orders of the published example's size, by how they
    arrive. Tracing and custom metrics come on top: docs/cost.md has all of it, and make cost measures anew.
    """
    told = of(orders)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    flows = told["dollars"]
    width = max(map(len, flows)) + 2
    click.echo(f"{orders:,} orders, {told['region']}, list prices of {told['prices_of']}, in dollars")
    click.echo(f"{'':<18}" + "".join(f"{flow:>{width}}" for flow in flows))
    for service in next(iter(flows.values())):
        click.echo(f"{service:<18}" + "".join(f"{services[service]:>{width}.2f}" for services in flows.values()))
    click.echo(f"{'in all':<18}" + "".join(f"{sum(services.values()):>{width}.2f}" for services in flows.values()))
    click.echo("Whatever comes: " + ", ".join(f"{name} {amount:.2f}" for name, amount in told["fixed"].items()))
