"""Accepted orders that could not be applied: kept with the reason and the message as it was queued.

Records table: pk = {account}/d, sk = the request id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tillbook import times
from tillbook.messages import Message, decode, encode
from tillbook.table import raw


@dataclass(frozen=True, slots=True)
class DeadLetters:
    client: Any
    table: str

    def erase(self, account: str, person: str) -> None:
        """Discards the dead letters that name a person (our own id)."""
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": f"{account}/d"}},
        }  # fmt: skip
        while True:
            page = self.client.query(**arguments)
            for item in page["Items"]:
                orders = decode(item["m"]["S"]).orders
                if any(order.activity().person.id_in(account) == person for order in orders):
                    self.client.delete_item(TableName=self.table, Key={"pk": item["pk"], "sk": item["sk"]})
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def keep(self, account: str, request_id: str, reason: str, message: Message) -> None:
        self.client.put_item(
            TableName=self.table,
            Item=raw({"pk": f"{account}/d", "sk": request_id, "why": reason, "at": times.now(), "m": encode(message)}),
        )
