"""Reads that several modules share."""

from __future__ import annotations

from typing import Any

from tillbook.aws.items import Item, Raw, plain_item
from tillbook.rules.errors import Unavailable


def batch_get(client: Any, table: str, keys: list[Raw]) -> list[Item]:
    """The items that exist, in no order, read consistently. Raises Unavailable."""
    items: list[Item] = []
    for start in range(0, len(keys), 100):
        request: dict[str, Any] = {table: {"Keys": keys[start : start + 100], "ConsistentRead": True}}
        for _ in range(20):  # a big page comes in several answers of 16 MB
            answer = client.batch_get_item(RequestItems=request)
            items += [plain_item(item) for item in answer["Responses"].get(table, [])]
            request = answer.get("UnprocessedKeys") or {}
            if not request:
                break
        else:
            raise Unavailable("Not all of it could be read. Please try again.")
    return items
