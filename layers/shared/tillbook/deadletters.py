"""Accepted orders that could not be applied: kept with the reason and the message as it was queued.

Records table: pk = {account}/d, sk = the request id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tillbook import times
from tillbook.messages import Message, encode
from tillbook.table import raw


@dataclass(frozen=True, slots=True)
class DeadLetters:
    client: Any
    table: str

    def keep(self, account: str, request_id: str, reason: str, message: Message) -> None:
        self.client.put_item(
            TableName=self.table,
            Item=raw({"pk": f"{account}/d", "sk": request_id, "why": reason, "at": times.now(), "m": encode(message)}),
        )
