"""`tillbook audit`: compares people's stored lifetime values with the sums of their orders, read from the tables."""

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
_PLACES = 400  # a sample reads at most this many places of the table, with at most 100 items each


def chosen(
    connection: Connection, account: Account | None, person: str | None, sample: int | None
) -> Iterator[tuple[str, str]]:
    """(account, our own id) of the people to audit: one person, `sample` random people at most, or everybody.

    Without `account`, people of all accounts.

    Raises NotFound for an unknown person, click.UsageError if an identifier that looks like our own id has no orders.
    """
    auditor, account_id = auditor_of(connection), account.id if account else ""
    if person and account:
        return iter([(account.id, _own_id(connection, account, person))])
    if sample is None:
        return auditor.everybody(account_id)
    return islice(auditor.people(_PLACES, account_id), sample)


def auditor_of(connection: Connection) -> Auditor:
    return Auditor(connection.dynamodb, connection.ledger_table, connection.records_table)


def _own_id(connection: Connection, account: Account, person: str) -> str:
    """Our own id of the person with an identifier.

    An identifier that looks like our own id may be an id of the shop (an MD5), so it is first searched as such. If no
    person is found, but orders have it as the id of their person, it is returned: the audit then reports the missing
    item of the person as drift.
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
            TableName=table,
            IndexName=TIMELINE,
            KeyConditionExpression="timeline = :person",
            Limit=1,
            ExpressionAttributeValues=raw({":person": scope.timeline(person)}),
        )["Items"]
        for scope in marks.scopes()
    ]
    if not any(events):
        raise click.UsageError("No customer found for this identifier, and no order has it as the id of its person.")
    return person


def report(connection: Connection, people: Iterable[tuple[str, str]], length: int | None) -> Report:
    """Audits people, with a progress bar on standard error. `length`: the most people to audit; None if unknown."""
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
        f"stored {f['stored']}, sum of the orders {f['computed']}"
        for one in found["drift"]
        for f in one["findings"]
    ]
    lines += [f"could not be compared, audit again: {one['account']}  {one['person']}" for one in found["unsettled"]]
    verdict = f"{len(found['drift'])} people drifted" if found["drift"] else "no drift"
    return "\n".join([*lines, f"{found['people']} people, {found['orders']} orders: {verdict}."])
