"""The providers of an account's v3 orders, so that an order can be found by its id alone.

Each function instance notes a provider when it first applies an event of that provider.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tillbook.aws.items import raw

# The most providers whose orders are searched for an id, which bounds the cost of a search. Real shops have fewer.
MOST = 50


class ProviderItem(NamedTuple):
    """A provider of an account's v3 orders.

    Key: `{account}/v`, `{provider}`.
    """


@dataclass(frozen=True, slots=True)
class Providers:
    client: Any
    table: str
    _noted: set[tuple[str, str]] = field(default_factory=set)

    def note(self, account: str, provider: str) -> None:
        if (account, provider) in self._noted:
            return
        self.client.put_item(TableName=self.table, Item=raw({"pk": f"{account}/v", "sk": provider}))
        if len(self._noted) > 10_000:
            self._noted.clear()
        self._noted.add((account, provider))

    def of(self, account: str) -> list[str]:
        """Returns the first MOST providers of an account, by name."""
        answer = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk",
            Limit=MOST,
            ExpressionAttributeValues={":pk": {"S": f"{account}/v"}},
        )
        return [item["sk"]["S"] for item in answer["Items"]]
