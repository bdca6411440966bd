"""`tillbook audit`: people added up anew from their orders, read where they stand."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import click

from tillbook.aws.items import raw
from tillbook.ledger.items import TIMELINE
from tillbook.records.accounts import Account
from tillbook.records.scopes import Scopes
from tillbook.rules.errors import NotFound
from tillbook.views.audit import DRIFT, UNSETTLED, Auditor
from tillbook.views.people import People

from .connection import Connection

Report = dict[str, Any]

_OWN_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PLACES = 400  # of 100 items each: what a sample reads at most


def chosen(
    connection: Connection, account: Account | None, person: str | None, sample: int | None
) -> Iterator[tuple[str, str]]:
    """(account, our own id of a person): one, `sample` at random, or all.

    Raises NotFound for one who is not known, click.UsageError where nothing stands under what may be an id of ours.
    """
    auditor, of = auditor_of(connection), account.id if account else ""
    if person and account:
        return iter([(account.id, _own_id(connection, account, person))])
    if sample is None:
        return auditor.everybody(of)
    return islice(auditor.people(_PLACES, of), sample)


def auditor_of(connection: Connection) -> Auditor:
    return Auditor(connection.dynamodb, connection.ledger_table, connection.records_table)


def _own_id(connection: Connection, account: Account, person: str) -> str:
    """By our own id also where the person's item is gone, which is drift if orders stand.

    What looks like one may be a shop's (an MD5), and is looked for first.
    """
    client, table = connection.dynamodb, connection.ledger_table
    marks = Scopes(client, connection.records_table).read(account.id)
    try:
        return People(client, table, account, marks).find(person).id
    except NotFound:
        if not _OWN_ID.fullmatch(person):
            raise
    events = [
        client.query(
            TableName=table, IndexName=TIMELINE, KeyConditionExpression="timeline = :person", Limit=1,
            ExpressionAttributeValues=raw({":person": scope.timeline(person)}),
        )["Items"]
        for scope in marks.scopes()
    ]  # fmt: skip
    if not any(events):
        raise click.UsageError("Nobody is known by that, and no order stands under it as an id of ours.")
    return person


def report(connection: Connection, people: Iterable[tuple[str, str]], length: int | None) -> Report:
    """What was found, with a progress bar on standard error. `length` is how many there are, if that is known."""
    auditor = auditor_of(connection)
    found: Report = {"people": 0, "orders": 0, "drift": [], "unsettled": []}
    with click.progressbar(people, length, label="People", file=sys.stderr, show_pos=True) as bar:
        for account, person in bar:
            audited = auditor.audit(account, person)
            found["people"] += 1
            found["orders"] += audited.orders
            named = {"account": account, "person": person}
            if audited.status == DRIFT:
                findings = [asdict(finding) for finding in audited.findings]
                found["drift"].append({**named, "orders": audited.orders, "findings": findings})
            elif audited.status == UNSETTLED:
                found["unsettled"].append(named)
    return found


def text(found: Report) -> str:
    lines = [
        f"DRIFT  {one['account']}  {one['person']}  {f['source']}  {f['currency']}  {f['what']}: "
        f"stored {f['stored']}, its orders make {f['computed']}"
        for one in found["drift"]
        for f in one["findings"]
    ]
    lines += [f"written all the time, ask again: {one['account']}  {one['person']}" for one in found["unsettled"]]
    verdict = f"{len(found['drift'])} people drifted" if found["drift"] else "no drift"
    return "\n".join([*lines, f"{found['people']} people, {found['orders']} orders: {verdict}."])
