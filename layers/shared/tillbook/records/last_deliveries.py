"""The last delivery of each connection and its result, which show whether the connection works.

Each function instance notes a connection's deliveries at most once a minute unless the result changes, so that a busy
shop does not cause a write for each delivery. The time shown may therefore be a minute old.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from tillbook.aws.items import plain_item, raw, record_of
from tillbook.rules import times

if TYPE_CHECKING:
    from tillbook.records.connections import Connection

EVERY_SECONDS = 60.0
_MOST_REASON, _MOST_REMEMBERED = 500, 1000
Result = Literal["accepted", "ignored", "rejected", "refused"]


class LastDelivery(NamedTuple):
    """The last deliveries of a connection's platform.

    Key: `{account}/w`, `{connection}`.

    Attributes:
        received: stamp of the last delivery with a valid signature. result: accepted, ignored or rejected.
            reason: why it was not accepted. request: id of the request that was queued or rejected.
        refused: stamp of the last delivery with a wrong signature.
    """

    received: str = ""
    result: str = ""
    reason: str = ""
    request: str = ""
    refused: str = ""


class LastDeliveries:
    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table
        self._noted: dict[tuple[str, str, bool], tuple[float, str]] = {}

    def note(self, connection: Connection, result: Result, reason: str = "", request_id: str = "") -> None:
        """Notes a delivery. An error is only logged, since the answer to the webhook must not depend on it.

        A refused delivery leaves the data about deliveries with a valid signature unchanged.
        """
        genuine, now = result != "refused", time.monotonic()
        place = (connection.account, connection.name, genuine)
        until, before = self._noted.get(place, (0.0, ""))
        if now < until and before == result:
            return
        if len(self._noted) >= _MOST_REMEMBERED:
            self._noted.clear()
        self._noted[place] = now + EVERY_SECONDS, result
        values = {"refused": times.now()}
        if genuine:
            values = {"received": times.now(), "result": result, "reason": reason[:_MOST_REASON], "request": request_id}
        try:
            self.client.update_item(
                TableName=self.table,
                Key=_key(*place[:2]),
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
                ExpressionAttributeNames={f"#{name}": name for name in values},
                ExpressionAttributeValues=raw({f":{name}": value for name, value in values.items()}),
            )
        except (ClientError, BotoCoreError) as error:
            from tillbook.aws.telemetry import logger  # imported here, since the command line has no Powertools

            logger.warning("delivery not noted", exc_info=error, account=connection.account)

    def of(self, account: str) -> dict[str, LastDelivery]:
        """Returns the last deliveries of an account's connections, by connection name."""
        answer = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk",
            ConsistentRead=True,
            ExpressionAttributeValues={":pk": {"S": f"{account}/w"}},
        )
        return {item["sk"]["S"]: record_of(LastDelivery, plain_item(item)) for item in answer["Items"]}

    def forget(self, connection: Connection) -> None:
        self.client.delete_item(TableName=self.table, Key=_key(connection.account, connection.name))


def _key(account: str, name: str) -> Any:
    return raw({"pk": f"{account}/w", "sk": name})
