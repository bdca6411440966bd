"""Which providers an account's v3 orders come from, so that an order is found by its id alone.

Noted by each warm function the first time it meets one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tillbook.aws.items import raw

# An order id is looked for at this many; more providers than a shop has, and a bound on what a look-up costs.
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
        """The first of them by name, at most MOST."""
        answer = self.client.query(
            TableName=self.table, KeyConditionExpression="pk = :pk", Limit=MOST,
            ExpressionAttributeValues={":pk": {"S": f"{account}/v"}},
        )  # fmt: skip
        return [item["sk"]["S"] for item in answer["Items"]]
