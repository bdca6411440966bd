"""Injects random faults that local engines do not produce, such as conflicts, throttling and lost answers."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError


class Faulty:
    """A client of one worker that injects faults into its calls.

    `fault_rate` is the probability that a call meets a fault. `counts` counts the faults by kind, and all calls as
    "calls".
    """

    def __init__(self, client: Any, random: Random, fault_rate: float, counts: Counter[str]) -> None:
        self._client, self._random, self._fault_rate, self._counts = client, random, fault_rate, counts

    def transact_write_items(self, **arguments: Any) -> Any:
        # Conflicts and lost answers are twice as likely as the other faults.
        match self._fault(("conflict", "conflict", "throttled item", "throttled", "server", "lost", "lost")):
            case "conflict":
                raise _canceled(self._reasons(len(arguments["TransactItems"]), "TransactionConflict"))
            case "throttled item":
                raise _canceled(self._reasons(len(arguments["TransactItems"]), "ThrottlingError"))
            case "throttled":
                raise _error("ThrottlingException", "TransactWriteItems")
            case "server":
                raise _error("InternalServerError", "TransactWriteItems")
            case "lost":
                # The transaction may have been made or refused: the caller cannot know.
                with suppress(ClientError):
                    self._client.transact_write_items(**arguments)
                raise ReadTimeoutError(endpoint_url="the engine")
        return self._client.transact_write_items(**arguments)

    def get_item(self, **arguments: Any) -> Any:
        self._read("GetItem")
        return self._client.get_item(**arguments)

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> Any:  # noqa: N803 - as AWS names it
        if not self._read("BatchGetItem", "unprocessed"):
            return self._client.batch_get_item(RequestItems=RequestItems)
        ((table, wanted),) = RequestItems.items()
        keys = wanted["Keys"]
        answer = self._client.batch_get_item(RequestItems={table: wanted | {"Keys": keys[:1]}})
        return answer | ({"UnprocessedKeys": {table: wanted | {"Keys": keys[1:]}}} if keys[1:] else {})

    def query(self, **arguments: Any) -> Any:
        if self._read("Query", "short page"):
            # Ends the page early, as after 1 MB; the next page has the rest.
            arguments["Limit"] = min(arguments.get("Limit", 3), self._random.randint(1, 3))
        return self._client.query(**arguments)

    def _read(self, operation: str, *others: str) -> str:
        """Raises the error of a fault. Returns the kind of a fault that the caller must produce, or an empty text."""
        match kind := self._fault(("throttled", "server", "lost", *others)):
            case "throttled":
                raise _error("ProvisionedThroughputExceededException", operation)
            case "server":
                raise _error("InternalServerError", operation)
            case "lost":
                raise ReadTimeoutError(endpoint_url="the engine")
        return kind

    def _fault(self, kinds: tuple[str, ...]) -> str:
        self._counts["calls"] += 1
        if self._random.random() >= self._fault_rate:
            return ""
        kind = self._random.choice(kinds)
        self._counts[kind] += 1
        return kind

    def _reasons(self, items: int, code: str) -> list[str]:
        """The reason for each item of a cancelled transaction: `code` for at least one, "None" for the others."""
        hit = self._random.randrange(items)
        return [code if n == hit or self._random.random() < 0.3 else "None" for n in range(items)]


def _canceled(codes: list[str]) -> ClientError:
    error = _error("TransactionCanceledException", "TransactWriteItems")
    response: dict[str, Any] = dict(error.response)
    response["CancellationReasons"] = [{"Code": code} for code in codes]
    return ClientError(response, "TransactWriteItems")  # type: ignore[arg-type]


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "made by the test"}}, operation)
