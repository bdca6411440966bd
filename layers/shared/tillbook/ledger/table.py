"""Key layout and attribute names of both tables.

Ledger table                 pk                         sk
  order's head               {account}/{o|s}/{bucket}   {order key}~
  order's events             {account}/{o|s}/{bucket}   {order key}!{occurred}{event id}   (v1: !{version})
  idempotency key            {account}/i/{event id}     i
  person with LTV            {account}/p/{person}       p
  audience's counters        {account}/n/{o|s}          {shard}
  index `timeline`           gp = the person's pk       gs = the event's stamp
  indexes `shipping`, `billing`, `customer` over heads: gx, gy, gz = {account}/{o|s}/{match key}

An order's head sorts behind its events, so one descending query reads the head and its latest events. The 16 buckets
spread an account's orders (16 x 1,000 write units a second before DynamoDB splits them further by sort key) and
let all of them be read page by page without an index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tillbook.aws.items import Raw, raw

if TYPE_CHECKING:
    from tillbook.rules.identity import Source

BUCKETS = 16
TIMELINE = "timeline"
# Index over orders' heads -> its attribute: who has the order's address, or its customer id.
MATCH_INDEXES = {"shipping": "gx", "billing": "gy", "customer": "gz"}
SOURCE_LETTER: dict[str, str] = {"orders_api": "o", "shopper_activity": "s"}
SOURCE_OF_LETTER: dict[str, Source] = {"o": "orders_api", "s": "shopper_activity"}


def orders_pk(account: str, source: str, order_key: str) -> str:
    return f"{account}/{SOURCE_LETTER[source]}/{bucket(order_key):x}"


def bucket(order_key: str) -> int:
    # The first of the 22 characters carries 6 random bits of the hash.
    return ord(order_key[0]) % BUCKETS


def head_sk(order_key: str) -> str:
    return f"{order_key}~"


def event_sk(order_key: str, name: str) -> str:
    return f"{order_key}!{name}"


def version_name(version: int) -> str:
    return f"{version:08d}"


def person_pk(account: str, person: str) -> str:
    return f"{account}/p/{person}"


def person_key(account: str, person: str) -> Raw:
    return raw({"pk": person_pk(account, person), "sk": "p"})


def idempotency_pk(account: str, event_id: str) -> str:
    return f"{account}/i/{event_id}"


def ltv_name(source: str, currency: str) -> str:
    """Attribute of a person that holds an LTV. `*` is the account's currency, whatever it is when read."""
    return f"{SOURCE_LETTER[source]}.{currency or '*'}"


def count_name(source: str, currency: str) -> str:
    """Attribute of a person that counts the orders behind `ltv_name`."""
    return f"{SOURCE_LETTER[source]}#{currency or '*'}"


def match_value(account: str, source: str, match_key: str) -> str:
    return f"{account}/{SOURCE_LETTER[source]}/{match_key}"


def counters_pk(account: str, source: str) -> str:
    return f"{account}/n/{SOURCE_LETTER[source]}"


def counters_shard(order_key: str) -> str:
    """One of 256, so that hundreds of orders a second seldom meet at one."""
    return f"{ord(order_key[0]) % 16:x}{ord(order_key[1]) % 16:x}"
