"""`tillbook attribute`: finds the orders that followed mailings, by campaign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from tillbook.rules.amounts import AmountError, parse_amount
from tillbook.rules.amounts import text as amount_text
from tillbook.rules.json_text import Json, dumps
from tillbook.views.csv_pages import csv_of

from .api import Api, Refused, over_https
from .attribution import Campaign, Match, Order, attribute, campaigns_of
from .mailings import Fault, Mailings, Piece, without_campaign
from .mappings import BadMapping
from .output import REFUSED, fail, pretty, table, written
from .progress import Progress
from .rows import Source, Unreadable

# People in a request, orders of a person in an answer, and requests at once.
_PEOPLE_AT_ONCE, _ORDERS_OF_ONE, _THREADS = 250, 100, 4
_SHOWN_FAULTS = 20
_AUDIENCES = {"orders_api": "customers-orders-api", "shopper_activity": "customers-shopper-activity"}
_COLUMNS = (
    "line", "campaign", "group", "mailed_on", "order_id", "order_public_id", "source", "provider", "order_date", "days",
    "currency", "total", "refunds", "net", "new_buyer", "counts",
)  # fmt: skip


@dataclass
class Matcher:
    """Reads the orders of people between `first` and `last` through the match API.

    `cut` collects the people, as JSON, whose orders were not all read. Such a person has more than `_ORDERS_OF_ONE`
    orders, and only the newest were read; or the API ran out of time.
    """

    api: Api
    audiences: list[str]
    first: date
    last: date
    cut: set[str] = field(default_factory=set)

    def orders(self, people: Sequence[dict[str, Json]]) -> list[list[Order]]:
        """The orders of each person."""
        found: list[dict[tuple[str, str, str], Order]] = [{} for _ in people]
        for audience in self.audiences:
            for own, entries in zip(found, self._matched(audience, people), strict=True):
                own |= {order.key: order for order in map(Order.of, entries)}
        return [list(own.values()) for own in found]

    def _matched(self, audience: str, people: Sequence[dict[str, Json]]) -> list[list[Any]]:
        """The orders of each person as JSON. People whose orders did not fit are requested again, in two halves."""
        question: dict[str, Any] = {
            "people": people, "orders": True, "from": self.first.isoformat(), "limit": _ORDERS_OF_ONE,
        }  # fmt: skip
        if self.last < datetime.now(UTC).date():  # a later "to" excludes nothing, and a match without it is cheaper
            question["to"] = self.last.isoformat()
        results = self.api.match(audience, question)
        incomplete = [number for number, result in enumerate(results) if self.api.part(result, "more", bool)]
        entries = [self.api.part(result, "orders", list) for result in results]
        if len(people) == 1:
            if incomplete:
                self.cut.add(dumps(people[0]))
            return entries
        half = max(len(incomplete) // 2, 1)
        for part in (incomplete[:half], incomplete[half:]):
            if part:
                for number, own in zip(part, self._matched(audience, [people[n] for n in part]), strict=True):
                    entries[number] = own
        return entries


def _pairs(_context: Any, _option: Any, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if not all(sign and name and column for name, sign, column in pairs):
        raise click.BadParameter('Write it as field="column".')
    return {name.strip(): column.strip() for name, _, column in pairs}


@click.command("attribute")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--window",
    type=click.IntRange(0, 3650),
    default=90,
    show_default=True,
    help="Number of days after the mailing in which orders count.",
)
@click.option("--matches", "matches_file", default="", help="Write each order of each piece to this CSV.")
@click.option("--column", "columns", multiple=True, callback=_pairs, help='A field\'s column, as cost="Unit price".')
@click.option("--campaign", default="", help="Campaign of rows without one.  [the file's name]")
@click.option("--cost", help="Cost of each piece whose row has none.")
@click.option("--currency", help="Currency of the costs.  [the account's]")
@click.option("--date-format", default="", help="us, eu or a format as %m/%d/%Y. ISO 8601 is always read.")
@click.option("--encoding", default="", help="Encoding of the file, if it cannot be detected.")
@click.option("--skip-bad", is_flag=True, help="Leave out rows that cannot be read, instead of stopping.")
@over_https
def attribute_mailing(
    api: Api,
    file: Path,
    window: int,
    matches_file: str,
    columns: dict[str, str],
    campaign: str,
    cost: str | None,
    currency: str | None,
    date_format: str,
    encoding: str,
    skip_bad: bool,
) -> None:
    """Find the orders that followed the mailings in FILE: response, revenue, cost per order and ROAS of each campaign.

    FILE is CSV or JSON lines, with a row for each piece: campaign, date of the mailing, cost, and an address, an e-mail
    address or its hash. E-mail addresses are hashed on this machine, before anything is sent. A column holdout marks
    people who were not mailed; the report then shows the lift, with its confidence interval.

    An order counts for the latest mailing on its day or before, within the window.

    \b
    Example:
      tillbook attribute mailings.csv --window 90 --matches matches.csv --local
    """
    try:
        piece_cost = parse_amount(cost)[0] if cost is not None else None
        with Source(file, encoding) as source:
            mailings = Mailings.of(source, columns, date_format, piece_cost)
            pieces = _read(mailings, campaign or file.name.partition(".")[0], skip_bad, api.as_json)
    except (Unreadable, BadMapping) as error:
        fail(str(error), REFUSED, api.as_json)
    except AmountError as error:
        raise click.UsageError(f"--cost {error}.") from None
    account = api.get("/v1/account")
    currency = (currency or api.part(account, "currency", str)).upper()
    audiences = [_AUDIENCES[source] for source in api.part(account, "sources", list)]
    first, last = min(p.mailed_on for p in pieces), max(p.mailed_on for p in pieces)
    matcher = Matcher(api, audiences, first, last + timedelta(days=window))
    found = list(attribute(pieces, _orders_of(matcher, pieces, api.as_json), window))
    campaigns = campaigns_of(pieces, found)
    if matches_file:
        with written(matches_file) as out:
            out.write(csv_of(_COLUMNS, map(_match_row, found), numbers=("total", "refunds", "net", "days")).encode())
    if matcher.cut:
        click.echo(
            f"{len(matcher.cut):,} people have more than {_ORDERS_OF_ONE} orders within these dates; only the newest "
            f"{_ORDERS_OF_ONE} of each are counted.",
            err=True,
        )
    _show(api, campaigns, currency, window)


def _read(mailings: Mailings, campaign: str, skip_bad: bool, quiet: bool) -> list[Piece]:
    """The pieces in a file. Raises Refused if there are none, or if rows cannot be read and `skip_bad` is false."""
    pieces: list[Piece] = []
    faults: list[Fault] = []
    size = mailings.source.bytes
    with Progress("kB read", -(-size // 1000), quiet=quiet) as bar:
        for number, found in enumerate(mailings.pieces()):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                pieces.append(without_campaign(found, campaign))
            if number % 1000 == 0:
                bar.at(min(mailings.source.read_bytes(), size) // 1000)
        bar.at(-(-size // 1000))
    if faults:
        lines = [str(fault) for fault in faults[:_SHOWN_FAULTS]]
        lines += [f"and {len(faults) - _SHOWN_FAULTS:,} more"] if len(faults) > _SHOWN_FAULTS else []
        if not skip_bad:
            raise Refused("\n".join([f"{len(faults):,} rows cannot be read; --skip-bad leaves them out.", *lines]))
        click.echo("\n".join([f"{len(faults):,} rows were left out:", *lines]), err=True)
    if not pieces:
        raise Refused("The file has no rows that can be read.")
    return pieces


def _orders_of(matcher: Matcher, pieces: Sequence[Piece], quiet: bool) -> list[list[Order]]:
    """The orders of each piece's person. Each person is requested once, however often they were mailed."""
    places: dict[str, int] = {}
    people: list[dict[str, Json]] = []
    of_piece: list[int] = []
    for piece in pieces:
        key = dumps(piece.person, canonical=True)
        if key not in places:
            places[key] = len(people)
            people.append(piece.person)
        of_piece.append(places[key])
    found: list[list[Order]] = []
    with ThreadPoolExecutor(_THREADS) as pool, Progress("people looked up", len(people), quiet=quiet) as bar:
        for orders in pool.map(matcher.orders, _parts(people)):
            found += orders
            bar.add(len(orders))
    return [found[number] for number in of_piece]


def _parts(people: list[dict[str, Json]]) -> Iterator[list[dict[str, Json]]]:
    for begin in range(0, len(people), _PEOPLE_AT_ONCE):
        yield people[begin : begin + _PEOPLE_AT_ONCE]


def _match_row(match: Match) -> dict[str, Any]:
    piece, order, counts = match
    source, provider, order_id = order.key
    return {
        "line": piece.line,
        "campaign": piece.campaign,
        "group": "holdout" if piece.held_out else "mailed",
        "mailed_on": piece.mailed_on.isoformat(),
        "order_id": order_id,
        "order_public_id": order.public_id,
        "source": source,
        "provider": provider,
        "order_date": order.day.isoformat(),
        "days": (order.day - piece.mailed_on).days,
        "currency": order.currency,
        "total": amount_text(order.total),
        "refunds": amount_text(order.refunds),
        "net": amount_text(order.net),
        "new_buyer": order.is_new,
        "counts": counts,
    }


def _show(api: Api, campaigns: Iterable[Campaign], currency: str, window: int) -> None:
    shown = [campaign.shown(currency) for campaign in campaigns]
    if api.as_json:
        click.echo(pretty({"window": window, "currency": currency, "campaigns": shown}))
        return
    click.echo(table([_row(entry) for entry in shown]))
    for entry in shown:
        if lift := entry["lift"]:
            low, high = lift["interval"]
            verdict = "more than chance" if lift["more_than_chance"] else "may be chance"
            click.echo(
                f"\n{entry['campaign']}: {_percent(lift['mailed_share'])} of {entry['mailed']:,} mailed ordered, "
                f"{_percent(lift['held_out_share'])} of {lift['held_out']:,} held out: "
                f"{_points(lift['difference'])} percentage points more ({_points(low)} to {_points(high)}), {verdict}. "
                f"Because of the mailing: {lift['people_more']} people ({' to '.join(lift['people_more_interval'])})."
            )


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "campaign": entry["campaign"],
        "mailed": entry["mailed"],
        "people": entry["people"],
        "orders": entry["orders"],
        "response": _percent(entry["response_rate"]),
        "new_buyers": entry["new_buyers"],
        "revenue": entry["revenue"],
        "cost": entry["cost"],
        "cost_per_order": entry["cost_per_order"],
        "roas": entry["roas"],
    }


def _percent(share: str | None) -> str:
    return "-" if share is None else f"{_points(share)} %"


def _points(share: str) -> str:
    return f"{float(share) * 100:.2f}"
