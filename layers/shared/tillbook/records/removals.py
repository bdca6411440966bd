"""A list of purges and erasures, in its own table, so that a restore can repeat them.

Restoring the other tables to an earlier moment would undo every later purge and erasure. This table is not restored. It
contains no names and no addresses: a person is identified by our own id.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tillbook.aws.items import attributes, plain_item, raw, record_of
from tillbook.aws.writes import write_if
from tillbook.rules.identity import SOURCE_LETTER, Source

# Longer than point-in-time recovery reaches back (35 days), so that the list covers every moment that can be restored.
KEPT_SECONDS = 40 * 24 * 3600
# A: notes a purge with cut 1, and the write is late   B: notes a purge with cut 2   A's write arrives -> refused.
_CUT_IS_LATER = "attribute_not_exists(cut) OR cut < :cut"


class Removal(NamedTuple):
    """The last purge of a source, or the last erasure of a person, kept for 40 days.

    Key: `{account}`, `{o|s} or p{person id}`.

    Attributes:
        cut: a stamp; everything received up to it is removed.
        ttl.
    """

    cut: str
    ttl: int = 0


class Noted(NamedTuple):
    """A noted removal. `name` is the sort key of its mark (records.scopes): a source's letter, or `p{person id}`."""

    account: str
    name: str
    cut: str


@dataclass(frozen=True, slots=True)
class Removals:
    client: Any
    table: str

    def purged(self, account: str, sources: Iterable[Source], cut: str) -> None:
        """Notes a purge. Must be called before the purge is answered."""
        self._note(account, [SOURCE_LETTER[source] for source in sources], cut)

    def erased(self, account: str, people: Iterable[str], cut: str) -> None:
        """Notes an erasure of people (our own ids). Must be called before the erasure is answered."""
        self._note(account, [f"p{person}" for person in people], cut)

    def _note(self, account: str, names: Iterable[str], cut: str) -> None:
        for name in names:
            item = {"pk": account, "sk": name} | attributes(Removal(cut, int(time.time()) + KEPT_SECONDS))
            write_if(
                self.client.put_item,
                TableName=self.table,
                Item=raw(item),
                ConditionExpression=_CUT_IS_LATER,
                ExpressionAttributeValues=raw({":cut": cut}),
            )

    def since(self, moment: str) -> Iterator[Noted]:
        """Yields the removals of all accounts with a cut after `moment` (a stamp). Scans the table, which is small."""
        pages = self.client.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        for page in pages:
            for item in map(plain_item, page["Items"]):
                cut = record_of(Removal, item).cut
                if cut > moment:
                    yield Noted(item["pk"], item["sk"], cut)
