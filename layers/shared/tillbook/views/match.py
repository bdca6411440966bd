"""Who of a list of people is a customer: by e-mail, customer id or address."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tillbook.aws.items import raw
from tillbook.aws.reads import batch_get
from tillbook.contract.document import customer_match_key
from tillbook.contract.match import MatchQuery
from tillbook.contract.validation import Context, validated
from tillbook.ledger.items import MATCH_INDEXES, Scope, person_of
from tillbook.rules.addresses import match_key
from tillbook.rules.identity import Person, email_sha256
from tillbook.rules.identity import person_of as person_named
from tillbook.rules.json_text import Json

_THREADS = 16


def _persons(entry: dict[str, Json]) -> list[Person]:
    """All that an entry names: it matches if any of them is a customer."""
    persons = []
    if entry.get("email"):
        persons.append(Person("email", email_sha256(entry["email"])))
    if entry.get("email_sha256"):
        persons.append(Person("email", entry["email_sha256"]))
    if entry.get("customer_id"):
        persons.append(person_named("customer", entry["customer_id"]))
    return persons


def _match_keys(entry: dict[str, Json]) -> list[tuple[str, str]]:
    keys: list[tuple[str, str]] = []
    key = match_key(entry.get("address"))
    if key:
        keys += [("shipping", key), ("billing", key)]
    if entry.get("customer_id"):
        keys.append(("customer", customer_match_key(entry["customer_id"])))
    return keys


def match(client: Any, ledger_table: str, scope: Scope, payload: Json) -> list[Json]:
    """Who of up to 1,000 people is a customer: at most one batch read and two index reads for each of them.

    Raises Invalid naming `people[3].email`.
    """
    query = payload if isinstance(payload, dict) else {}
    people = validated(MatchQuery, query, Context([])).kept()["people"]
    ids = [{person.id_in(scope.account) for person in _persons(entry)} for entry in people]
    keys = [raw(scope.person_key(i)) for i in sorted(set().union(*ids))]
    known = {str(item["sk"]) for item in batch_get(client, ledger_table, keys) if person_of(item).orders}
    results = [not known.isdisjoint(own) for own in ids]
    lookups = [(index, name, key) for index, entry in enumerate(people) for name, key in _match_keys(entry)]
    lookups = [lookup for lookup in lookups if not results[lookup[0]]]
    look_up = _lookup(client, ledger_table, scope)
    with ThreadPoolExecutor(_THREADS) as pool:
        for (index, _, _), found in zip(lookups, pool.map(look_up, lookups), strict=True):
            results[index] = results[index] or found
    return [{"customer": result} for result in results]


def _lookup(client: Any, ledger_table: str, scope: Scope) -> Callable[[tuple[int, str, str]], bool]:
    def found(lookup: tuple[int, str, str]) -> bool:
        _, index, key = lookup
        answer = client.query(
            TableName=ledger_table, IndexName=index, Limit=1,
            KeyConditionExpression=f"{MATCH_INDEXES[index]} = :key",
            ExpressionAttributeValues=raw({":key": scope.match(key)}),
        )  # fmt: skip
        return bool(answer["Items"])

    return found
