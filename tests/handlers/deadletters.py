"""Makes the writes of an order fail, and reads the dead letter that the order becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.handlers.shop import ACCOUNT, Shop


def refuse_writes_of(order_id: str) -> Callable[..., Any]:
    """An intercept that refuses all writes of one order, as DynamoDB refuses an item that is never valid."""

    def intercept(index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation == "TransactWriteItems" and f"'{order_id}'" in str(arguments):
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "secret internals"}}, operation)
        return go()

    return intercept


def dead_letter_items(shop: Shop) -> list[dict[str, Any]]:
    return [item for item in shop.items("RecordsTable") if item["pk"] == f"{ACCOUNT}/d"]
