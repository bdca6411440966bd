"""`tillbook person`, `order`, `requests` and `deadletters`: read the API over HTTPS, and replay or discard events."""

from __future__ import annotations

from typing import Any

import click

from .api import Api, Refused, over_https, segment
from .output import pretty, show, table

Row = dict[str, Any]


def _print(shape: Any) -> None:
    click.echo(pretty(shape))


def _listed(title: str, rows: list[Row]) -> None:
    if rows:
        click.echo(f"\n{title}\n{table(rows)}")


def _effects(effects: list[Row]) -> str:
    return ", ".join(f"{'' if e['amount'].startswith('-') else '+'}{e['amount']} {e['currency']}" for e in effects)


# -------------------------------------------------------------------- person


@click.command()
@click.argument("id_or_email")
@click.option(
    "--limit", type=click.IntRange(0, 1000), default=10, show_default=True, help="Activities and orders shown."
)
@over_https
def person(api: Api, id_or_email: str, limit: int) -> None:
    """Show a person: lifetime value, latest orders, and latest activities with their effects on the lifetime value.

    ID_OR_EMAIL is Tillbook's own id, a person_id, an e-mail address, its SHA-256 or a customer_id.

    \b
    Example:
      tillbook person ann@example.com --local
    """
    path = f"/v3/{segment(api.account())}/people/{segment(id_or_email)}"
    shape = api.get(path)
    activity = list(api.pages(f"{path}/activity", "activity", limit, effects="true"))
    orders = list(api.pages(f"{path}/orders", "orders", limit))
    if api.as_json:
        _print(shape | {"activity": activity, "orders": orders})
        return
    by_source = {f"lifetime_value_{name}": values for name, values in shape["lifetime_value_by_source"].items()}
    whole = {name: value for name, value in shape.items() if name != "lifetime_value_by_source"} | by_source
    show({name: value for name, value in whole.items() if value is not None}, as_json=False)
    _listed("Orders", [_order_row(order) for order in orders])
    _listed(
        "Activity",
        [
            {
                "occurred_at": entry["occurred_at"],
                "name": entry["name"],
                "order_id": entry["order"].get("order_id"),
                "lifetime_value": _effects(entry.get("effects", [])),
            }
            for entry in activity
        ],
    )


def _order_row(order: Row) -> Row:
    v1 = "provider" not in order
    return {
        "order_id": order["order_id"],
        "provider": None if v1 else order["provider"],
        "status": None if v1 else order["status"],
        "lifetime_value": order["total"] if v1 else order["lifetime_value"],
        "currency": order["currency"],
        "date": order["order_date"] if v1 else order["first_occurred_at"],
    }


# --------------------------------------------------------------------- order


@click.command()
@click.argument("order_id")
@click.option("--provider", help="Only the order of this provider (v3).")
@over_https
def order(api: Api, order_id: str, provider: str | None) -> None:
    """Show an order, and its history: after each event, its contribution to lifetime value.

    Without --provider, all orders with the id are shown: of v1, and of each provider of v3.

    \b
    Example:
      tillbook order 1001 --local
    """
    found = []
    for path in _paths(api, order_id, provider):
        try:
            found.append({"order": api.get(path), "history": api.get(f"{path}/history")["history"]})
        except Refused as refused:
            if refused.status != 404:
                raise
    if not found:
        raise Refused("There is no such order. tillbook requests --order-id lists requests that did not count.")
    if api.as_json:
        _print(found)
        return
    for number, entry in enumerate(found):
        if number:
            click.echo()
        flat = {
            n: v for n, v in entry["order"].items() if not isinstance(v, dict) and n not in ("items", "order_items")
        }
        show({name: value for name, value in flat.items() if value not in (None, "", [])}, as_json=False)
        _listed(
            "History",
            [
                {
                    "occurred_at": step["occurred_at"],
                    "name": step["name"] + (" (late)" if step["late"] else ""),
                    "lifetime_value": _amount(step["lifetime_value"]),
                    "request": step["request_id"],
                }
                for step in entry["history"]
            ],
        )


def _amount(value: dict[str, str]) -> str:
    return f"{value['amount']} {value['currency']}"


def _paths(api: Api, order_id: str, provider: str | None) -> list[str]:
    """The paths of the possible orders with this id: of v1, and of each provider of v3."""
    account = segment(api.account())
    if provider:
        providers = [provider]
    else:
        # The requests about the order name its providers.
        sent = api.pages("/v1/transactions", "transactions", 1000, order_id=order_id)
        providers = sorted({entry["provider"] for entry in sent if entry["provider"]})
    v1 = [] if provider else [f"/v1/order/{segment(order_id)}"]
    return v1 + [f"/v3/{account}/orders/{segment(name)}/{segment(order_id)}" for name in providers]


# ------------------------------------------------------------------ requests


@click.command()
@click.argument("request_id", required=False)
@click.option("--status", type=click.Choice(["applied", "duplicate", "failed", "rejected"]))
@click.option("--source", type=click.Choice(["orders_api", "shopper_activity"]))
@click.option("--order-id", help="Only requests about this order.")
@click.option("--provider", help="With --order-id: only orders of this provider.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True)
@over_https
def requests(api: Api, request_id: str | None, limit: int, **filters: str | None) -> None:
    """List requests with their outcomes, newest first, or show the request REQUEST_ID.

    \b
    Examples:
      tillbook requests --status failed
      tillbook requests --order-id 1001 --local
    """
    found = list(api.pages("/v1/transactions", "transactions", limit, request_id=request_id, **filters))
    if request_id and not found:
        # A request without a record may still be queued.
        found = [api.get(f"/v3/{segment(api.account())}/requests/{segment(request_id)}")]
    if api.as_json:
        _print(found)
    elif request_id:
        shown = found[0] | {"effects": _effects(found[0].get("effects", []))}
        show({name: value for name, value in shown.items() if value not in (None, "", [])}, as_json=False)
    elif found:
        click.echo(
            table(
                [
                    {
                        "received_at": entry["received_at"],
                        "status": entry["status"],
                        "source": entry["source"],
                        "action": entry["action"],
                        "order_id": entry["order_id"],
                        "lifetime_value": _effects(entry["effects"]),
                        "request": entry["request_id"],
                        "reason": entry["reason"],
                    }
                    for entry in found
                ]
            )
        )
    else:
        click.echo("There are none.", err=True)


# -------------------------------------------------------------- dead letters


@click.group()
def deadletters() -> None:
    """List, replay or discard dead letters: accepted events that could not be applied."""


@deadletters.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@over_https
def list_deadletters(api: Api, limit: int) -> None:
    """List the dead letters with their reasons, newest first."""
    found = list(api.pages("/v1/deadletters", "deadletters", limit))
    if api.as_json:
        _print(found)
    elif found:
        click.echo(table(found))
    else:
        click.echo("There are none.", err=True)


@deadletters.command()
@click.argument("ids", metavar="ID...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Replay all dead letters.")
@over_https
def replay(api: Api, ids: tuple[str, ...], everything: bool) -> None:
    """Queue dead letters again. This is safe: events that were applied meanwhile change nothing."""
    if everything == bool(ids):
        raise click.UsageError("Give ids, or --all.")
    replayed = 0
    for one in ids or ("all",):
        cursor, more = None, True
        while more:  # each call replays as many as it has time for
            answer = api.call("POST", f"/v1/deadletters/{segment(one)}/replay", cursor=cursor)
            replayed += api.part(answer, "replayed", int)
            cursor = answer.get("next_cursor")
            more = cursor is not None
    show({"replayed": replayed}, api.as_json)


@deadletters.command()
@click.argument("deadletter_id", metavar="ID")
@click.option("--reason", required=True, help="The reason, which is kept with the request.")
@over_https
def discard(api: Api, deadletter_id: str, reason: str) -> None:
    """Discard a dead letter: its event will never be applied."""
    discarded = api.call("DELETE", f"/v1/deadletters/{segment(deadletter_id)}", {"reason": reason})
    api.part(discarded, "id", str)
    if api.as_json:
        _print(discarded)
    else:
        show(discarded, as_json=False)
