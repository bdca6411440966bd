"""The providers of an account's v3 orders, so that an order can be found by its id alone.

Each warm function notes a provider when it first sees it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tillbook.aws.items import raw

# Most providers at which an order id is searched: more than a shop has. It bounds the cost of a search.
MOST = 50


class ProviderItem(NamedTuple):
    """A provider of an account's v3 orders.

    Key: `{account}/v`, `{provider}`.
    """


@dataclass(frozen=True, slots=True)
class Providers:
    client: Any
    table: str
    _met: set[tuple[str, str]] = field(default_factory=set)

    def note(self, account: str, provider: str) -> None:
        if (account, provider) in self._met:
            return
        self.client.put_item(TableName=self.table, Item=raw({"pk": f"{account}/v", "sk": provider}))
        if len(self._met) > 10_000:
            self._met.clear()
        self._met.add((account, provider))

    def of(self, account: str) -> list[str]:
        """The first MOST providers of an account, by name."""
        answer = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk",
            Limit=MOST,
            ExpressionAttributeValues={":pk": {"S": f"{account}/v"}},
        )
        return [item["sk"]["S"] for item in answer["Items"]]
