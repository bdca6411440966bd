"""Who of a list of people is a customer: by e-mail, customer id or address."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from pydantic import Field, model_validator

from tillbook import fields, table
from tillbook.addresses import match_key
from tillbook.document import customer_match_key
from tillbook.identity import Person, email_sha256, person_of
from tillbook.json_text import Json
from tillbook.reads import batch_get

MAX_MATCH = 1000
_THREADS = 16


class MatchAddress(fields.Model):
    address_1: fields.Line = None
    address_2: fields.Line = None
    city: fields.Line = None
    state: fields.Line = None
    postal_code: fields.Line = None
    country: fields.Line = None


class MatchPerson(fields.Model):
    """Somebody who may be a customer, by any of these; who is named by several is one if any of them matches."""

    address: MatchAddress | None = None
    email: fields.Email = None
    email_sha256: fields.Sha256 = None
    customer_id: fields.PersonId = None

    @model_validator(mode="after")
    def names_somebody(self) -> MatchPerson:
        address = self.address is not None and self.address.model_fields_set
        if not (address or self.email or self.email_sha256 or self.customer_id):
            raise fields.fault("presence_error", "must have an address, email, email_sha256 or customer_id")
        return self


class MatchQuery(fields.Model):
    people: Annotated[list[MatchPerson], Field(min_length=1, max_length=MAX_MATCH)]


def _persons(entry: MatchPerson) -> list[Person]:
    """All that an entry names: it matches if any of them is a customer."""
    persons = []
    if entry.email:
        persons.append(Person("email", email_sha256(entry.email)))
    if entry.email_sha256:
        persons.append(Person("email", entry.email_sha256))
    if entry.customer_id:
        persons.append(person_of("customer", entry.customer_id))
    return persons


def _match_keys(entry: MatchPerson) -> list[tuple[str, str]]:
    keys: list[tuple[str, str]] = []
    key = match_key(entry.address.model_dump()) if entry.address else None
    if key:
        keys += [("shipping", key), ("billing", key)]
    if entry.customer_id:
        keys.append(("customer", customer_match_key(entry.customer_id)))
    return keys


def match(client: Any, ledger_table: str, account: str, source: str, payload: Json) -> list[Json]:
    """Who of up to 1,000 people is a customer: at most one batch read and two index reads for each of them.

    Raises Invalid naming `people[3].email`.
    """
    query = payload if isinstance(payload, dict) else {}
    people = fields.validated(MatchQuery, query, fields.Context([])).people
    ids = [{person.id_in(account) for person in _persons(entry)} for entry in people]
    keys = [table.person_key(account, i) for i in sorted(set().union(*ids))]
    prefix = table.count_name(source, "")[:-1]
    known = {
        str(p["pk"]).rpartition("/")[2]
        for p in batch_get(client, ledger_table, keys)
        if any(name.startswith(prefix) and count > 0 for name, count in p.items())
    }
    results = [not known.isdisjoint(own) for own in ids]
    lookups = [(index, name, key) for index, entry in enumerate(people) for name, key in _match_keys(entry)]
    lookups = [lookup for lookup in lookups if not results[lookup[0]]]
    look_up = _lookup(client, ledger_table, account, source)
    with ThreadPoolExecutor(_THREADS) as pool:
        for (index, _, _), found in zip(lookups, pool.map(look_up, lookups), strict=True):
            results[index] = results[index] or found
    return [{"customer": result} for result in results]


def _lookup(client: Any, ledger_table: str, account: str, source: str) -> Callable[[tuple[int, str, str]], bool]:
    def found(lookup: tuple[int, str, str]) -> bool:
        _, index, key = lookup
        answer = client.query(
            TableName=ledger_table, IndexName=index, Limit=1,
            KeyConditionExpression=f"{table.MATCH_INDEXES[index]} = :key",
            ExpressionAttributeValues={":key": {"S": table.match_value(account, source, key)}},
        )  # fmt: skip
        return bool(answer["Items"])

    return found
