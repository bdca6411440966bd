"""Finds the customers in a list of people, by e-mail, customer id or address."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

from tillbook.aws.items import raw
from tillbook.aws.reads import batch_get
from tillbook.contract.document import customer_match_key
from tillbook.contract.match import MatchQuery
from tillbook.contract.validation import Context, bounded, validated
from tillbook.ledger.items import MATCH_INDEXES, Scope, person_of
from tillbook.rules.addresses import match_key
from tillbook.rules.identity import Person, email_sha256
from tillbook.rules.identity import person_of as person_named
from tillbook.rules.json_text import Json

_THREADS = 16
# Reads the orders of each person. Arguments: scope, keys of each person as (index, key), first and last date, limit.
Orders = Callable[[Scope, list[list[tuple[str, str]]], date | None, date | None, int], list[Any]]


def _persons(entry: dict[str, Json]) -> list[Person]:
    """All persons that an entry names. The entry matches if any of them is a customer."""
    persons = []
    if entry.get("email"):
        persons.append(Person("email", email_sha256(entry["email"])))
    if entry.get("email_sha256"):
        persons.append(Person("email", entry["email_sha256"]))
    if entry.get("customer_id"):
        persons.append(person_named("customer", entry["customer_id"]))
    return persons


def _match_keys(entry: dict[str, Json]) -> list[tuple[str, str]]:
    """(index, key) pairs that find the orders with the entry's address or customer id."""
    keys: list[tuple[str, str]] = []
    key = match_key(entry.get("address"))
    if key:
        keys += [("shipping", key), ("billing", key)]
    if entry.get("customer_id"):
        keys.append(("customer", customer_match_key(entry["customer_id"])))
    return keys


def match(client: Any, ledger_table: str, scope: Scope, payload: Json, orders: Orders | None = None) -> dict[str, Json]:
    """Returns whether each of up to 1,000 people is a customer, by a batch read and a few index reads for each person.

    The answer has `notes` if something was ignored. `orders` reads the people's orders if the payload asks for them.
    Raises Invalid with fields like `people[3].email`.
    """
    query, notes = payload if isinstance(payload, dict) else {}, list[str]()
    asked = validated(MatchQuery, query, Context(notes))
    people = asked.kept()["people"]
    ids = [{person.id_in(scope.account) for person in _persons(entry)} for entry in people]
    keys = [raw(scope.person_key(i)) for i in sorted(set().union(*ids))]
    known = {str(item["sk"]) for item in batch_get(client, ledger_table, keys) if person_of(item).orders}
    results = [not known.isdisjoint(own) for own in ids]
    listed: list[Any] = []
    if asked.orders and orders is not None:
        keys_of = [
            [("person", person) for person in sorted(own & known)] + _match_keys(entry)
            for own, entry in zip(ids, people, strict=True)
        ]
        listed = orders(scope, keys_of, asked.first, asked.last, asked.limit)
        results = [result or found.any for result, found in zip(results, listed, strict=True)]
    if not listed or asked.last is not None:  # `orders` finds no orders after `last`, but they make a customer, too
        _look_up(client, ledger_table, scope, people, results)
    answer: dict[str, Json] = {"results": [{"customer": result} for result in results]}
    for result, found in zip(answer["results"], listed, strict=False):
        result |= {"orders": found.orders, "more": found.more}
    return answer | ({"notes": bounded(list(dict.fromkeys(notes)))} if notes else {})


def _look_up(client: Any, ledger_table: str, scope: Scope, people: list[Json], results: list[bool]) -> None:
    """Sets the results of people who are found by address or customer id."""
    lookups = [(index, name, key) for index, entry in enumerate(people) for name, key in _match_keys(entry)]
    lookups = [lookup for lookup in lookups if not results[lookup[0]]]
    with ThreadPoolExecutor(_THREADS) as pool:
        for (index, _, _), found in zip(lookups, pool.map(_finder(client, ledger_table, scope), lookups), strict=True):
            results[index] = results[index] or found


def _finder(client: Any, ledger_table: str, scope: Scope) -> Callable[[tuple[int, str, str]], bool]:
    """A function that reads whether an index has any order with a key."""

    def found(lookup: tuple[int, str, str]) -> bool:
        _, index, key = lookup
        answer = client.query(
            TableName=ledger_table,
            IndexName=index,
            Limit=1,
            KeyConditionExpression=f"{MATCH_INDEXES[index]} = :key",
            ExpressionAttributeValues=raw({":key": scope.match(key)}),
        )
        return bool(answer["Items"])

    return found
