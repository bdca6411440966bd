"""DynamoDB reads that several modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tillbook.aws.items import Item, Raw, plain_item, raw
from tillbook.rules.errors import Unavailable


def batch_get(client: Any, table: str, keys: list[Raw]) -> list[Item]:
    """Returns those items of `keys` that exist, in any order, read consistently.

    Raises Unavailable if some were not returned after 20 calls for 100 keys.
    """
    items: list[Item] = []
    for start in range(0, len(keys), 100):
        request: dict[str, Any] = {table: {"Keys": keys[start : start + 100], "ConsistentRead": True}}
        for _ in range(20):  # DynamoDB splits a large result into several answers of 16 MB
            answer = client.batch_get_item(RequestItems=request)
            items += [plain_item(item) for item in answer["Responses"].get(table, [])]
            request = answer.get("UnprocessedKeys") or {}
            if not request:
                break
        else:
            raise Unavailable("Not all of the data could be read. Please try again.")
    return items


def pages(call: Callable[..., dict[str, Any]], **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yields the answers of a query or a scan. Each page is read when it is needed."""
    while True:
        page = call(**arguments)
        yield page
        if "LastEvaluatedKey" not in page:
            return
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def query_items(client: Any, table: str, condition: str, values: Mapping[str, Any], **arguments: Any) -> Iterator[Item]:
    """Yields the items of all pages that meet the key condition, read consistently."""
    for page in pages(
        client.query,
        TableName=table,
        ConsistentRead=True,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=raw(values),
        **arguments,
    ):
        yield from map(plain_item, page["Items"])
