"""Outcomes of requests: applied, duplicate, failed, or rejected by the API.

Request ids are UUIDv7 and sort by time, so the newest outcomes of a status are at the end of its partitions. Most
outcomes are `applied`; those of each source are spread over four partitions. The others that name an order have a copy
under {account}/x/{hash of the order id}, which shows why a request did not change the order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tillbook.aws.items import Item, attributes, plain_item, raw, record_of
from tillbook.aws.retries import LOST, is_transient
from tillbook.records.scopes import Marks
from tillbook.rules import times
from tillbook.rules.effects import Effect, effects_in, effects_text, shown_effects
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import SOURCE_LETTER, SOURCES, Source, short_hash
from tillbook.rules.json_text import dumps, loads

STATUSES = ("applied", "duplicate", "failed", "rejected")
_SHARDS = {"applied": 4}
_PURGED_AT_ONCE = 500  # outcomes that a purge reads between two checks of the time
PURGED = "purged: received before the purge"
# The summary shows 31 days (UTC). Lists by date are in the account's time zone, which, with differences between clocks,
# may add two days.
KEPT_SECONDS = 33 * 24 * 3600
_MOST_COUNTED = 2500  # outcomes of a partition: less than a megabyte, the most that one query reads
_FEW = 12  # outcomes that one read unit usually reads


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a request.

    `received` is a stamp (rules.times). `original` is the request that a duplicate repeats. `notes` are warnings for
    the shop's engineer.
    """

    account: str
    source: str
    request_id: str
    status: str
    received: str
    action: str
    provider: str
    order_id: str
    reason: str = ""
    original: str = ""
    notes: list[str] = field(default_factory=list)
    route: str = ""
    key_label: str = ""
    fields: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def items(self) -> list[Item]:
        stored = OutcomeItem(
            self.source,
            self.status,
            self.received,
            self.action,
            self.order_id,
            self.provider,
            self.reason,
            self.original,
            dumps(self.notes) if self.notes else "",
            self.route,
            self.key_label,
            dumps(self.fields) if self.fields else "",
            effects_text(self.effects),
            int(time.time()) + KEPT_SECONDS,
        )
        place = {"pk": _pk(self.account, self.status, self.source, self.request_id), "sk": self.request_id}
        item = place | attributes(stored)
        if self.status == "applied" or not self.order_id:
            return [item]
        return [item, item | {"pk": _order_pk(self.account, self.order_id)}]


class OutcomeItem(NamedTuple):
    """The stored outcome of a request, kept for 33 days.

    Outcomes that are not `applied` and name an order have a copy, whose key is the second one.

    Key: `{account}/t/{status}/{o|s}{shard} and {account}/x/{order id's hash}`, `{request id}`.

    Attributes:
        source, status, action, order_id, provider: of the request. received: a stamp. reason: why it was not applied.
        original: id of the request that it repeats. notes: warnings, a JSON list. route, key_label, fields: route, key
            and invalid fields (a JSON list) of a rejected request. effects: changes of LTV (rules.effects). ttl.
    """

    source: str
    status: str
    received: str
    action: str
    order_id: str = ""
    provider: str = ""
    reason: str = ""
    original: str = ""
    notes: str = ""
    route: str = ""
    key_label: str = ""
    fields: str = ""
    effects: str = ""
    ttl: int = 0


def _order_pk(account: str, order_id: str) -> str:
    return f"{account}/x/{short_hash(order_id)}"


def _pk(account: str, status: str, source: str, request_id: str) -> str:
    shard = ord(request_id[-1]) % _SHARDS.get(status, 1)
    return f"{account}/t/{status}/{SOURCE_LETTER[source]}{shard}"


def outcome_of(item: Item) -> Outcome:
    stored = record_of(OutcomeItem, item)
    return Outcome(
        str(item["pk"]).partition("/")[0],
        stored.source,
        item["sk"],
        stored.status,
        stored.received,
        stored.action,
        stored.provider,
        stored.order_id,
        stored.reason,
        stored.original,
        _list(stored.notes),
        stored.route,
        stored.key_label,
        _list(stored.fields),
        effects_in(stored.effects),
    )


def _list(text: str) -> list[str]:
    return list(loads(text)) if text else []


class Outcomes:
    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def record(self, outcomes: list[Outcome]) -> None:
        """Writes outcomes; existing ones are replaced. Raises Unavailable or AWS's error if not all are written."""
        # A batch must not contain an item twice. Of several outcomes of a request with one status, the last is written.
        kept = {(item["pk"], item["sk"]): item for outcome in outcomes for item in outcome.items()}
        items = [raw(item) for item in kept.values()]
        if len(items) <= 2:
            for item in items:
                self.client.put_item(TableName=self.table, Item=item)
        else:
            self._write([{"PutRequest": {"Item": item}} for item in items])

    def _write(self, requests: list[dict[str, Any]]) -> None:
        for start in range(0, len(requests), 25):
            left = requests[start : start + 25]
            for attempt in range(6):
                if attempt:
                    time.sleep(0.02 * 2**attempt)
                try:
                    answer = self.client.batch_write_item(RequestItems={self.table: left})
                except (ClientError, *LOST) as error:
                    if not is_transient(error):
                        raise
                    continue  # all of `left` is written again, which is harmless
                left = answer.get("UnprocessedItems", {}).get(self.table, [])
                if not left:
                    break
            if left:
                raise Unavailable("Outcomes could not be written or deleted.")

    def purge(self, pk: str, cut: str, may_go_on: Callable[[], bool]) -> bool:
        """Deletes outcomes of a partition that were received up to `cut` (a stamp). Returns whether all are deleted.

        `may_go_on` is called after each page that is not the last.
        """
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk", "Limit": _PURGED_AT_ONCE,
            "ProjectionExpression": "pk, sk, received, order_id", "ExpressionAttributeValues": {":pk": {"S": pk}},
        }  # fmt: skip
        while True:
            page = self.client.query(**arguments)
            purged = [plain_item(item) for item in page["Items"] if item["received"]["S"] <= cut]
            account = pk.partition("/")[0]
            # The copies by order are deleted first, since their keys are computed from the items of this partition.
            if "/t/applied/" not in pk:
                self._delete(
                    [(_order_pk(account, item["order_id"]), item["sk"]) for item in purged if item.get("order_id")]
                )
            self._delete([(item["pk"], item["sk"]) for item in purged])
            # Items are sorted by request id, which is created shortly after the receipt.
            latest = page["Items"][-1]["received"]["S"] if page["Items"] else ""
            if "LastEvaluatedKey" not in page or latest > times.shift(cut, seconds=60):
                return True
            if not may_go_on():
                return False
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _delete(self, keys: list[tuple[str, str]]) -> None:
        self._write([{"DeleteRequest": {"Key": raw({"pk": pk, "sk": sk})}} for pk, sk in keys])

    def replaces_failure(self, outcome: Outcome) -> None:
        """Deletes the `failed` outcome of a request that was replayed.

        `outcome` is that of the replay, with another status. It must be recorded already.
        """
        failed = replace(outcome, status="failed").items()
        if outcome.status != "applied":
            failed = failed[:1]  # the new outcome has replaced the copy by order
        self._delete([(item["pk"], item["sk"]) for item in failed])

    def newest(
        self, marks: Marks, statuses: list[str], sources: Sequence[str], limit: int, before: str | None
    ) -> list[Outcome]:
        """Returns the newest outcomes of some statuses and sources, merged, without purged ones.

        Reads a few outcomes of each partition first, then more of the partitions that may have more of the newest.
        """
        account, found = marks.account, list[Outcome]()
        # The partitions that are still to be read, and the request id before which to continue in each.
        unread: dict[str, str | None] = {
            f"{account}/t/{status}/{SOURCE_LETTER[source]}{shard}": before
            for status in statuses
            for source in sources
            for shard in range(_SHARDS.get(status, 1))
        }
        page = min(limit, _FEW)
        while unread:
            for pk, last in list(unread.items()):
                read, more = self._newest_of(pk, page, last)
                found += (visible := [t for t in read if not marks.purged(t.source, t.received)])
                if more and visible:  # all outcomes older than a purged one are purged, too
                    unread[pk] = read[-1].request_id
                else:
                    del unread[pk]
            page, found = limit, sorted(found, key=lambda t: t.request_id, reverse=True)[:limit]
            if len(found) == limit:
                # A partition may have more of the newest only if the last outcome read from it is one of them.
                unread = {pk: last for pk, last in unread.items() if (last or "") >= found[-1].request_id}
        return found

    def of_order(self, marks: Marks, order_id: str, limit: int, before: str | None) -> list[Outcome]:
        """Returns the requests about an order that were not applied: duplicates, failures and rejections, newest first.

        Purged ones are left out.
        """
        found: list[Outcome] = []
        more = True
        while more and len(found) < limit:
            read, more = self._newest_of(_order_pk(marks.account, order_id), limit - len(found), before)
            found += [t for t in read if not marks.purged(t.source, t.received)]
            before = read[-1].request_id if read else before
        return found

    def _newest_of(self, pk: str, limit: int, before: str | None) -> tuple[list[Outcome], bool]:
        """Returns the newest outcomes of a partition, at most `limit`, and whether there may be more."""
        answer = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND sk < :before",
            Limit=limit,
            ScanIndexForward=False,
            ExpressionAttributeValues={":pk": {"S": pk}, ":before": {"S": before or "~"}},
        )
        return [outcome_of(plain_item(item)) for item in answer["Items"]], "LastEvaluatedKey" in answer

    def count(self, account: str, status: str, source: str, first: str, beyond: str) -> tuple[int, bool]:
        """Returns the number of a source's outcomes of a status with ids from `first` to `beyond`, and if more exist.

        Each partition is read by one query of at most 2,500 outcomes. If more exist, the number is a lower bound.
        """
        total, more = 0, False
        if first >= beyond:  # a purge was later than the last requested day; DynamoDB refuses an empty range
            return total, more
        for shard in range(_SHARDS.get(status, 1)):
            pk = f"{account}/t/{status}/{SOURCE_LETTER[source]}{shard}"
            answer = self.client.query(
                TableName=self.table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :beyond",
                Select="COUNT",
                Limit=_MOST_COUNTED,
                ScanIndexForward=False,
                ExpressionAttributeValues=raw({":pk": pk, ":first": first or " ", ":beyond": beyond}),
            )
            total, more = total + answer["Count"], more or "LastEvaluatedKey" in answer
        return total, more

    def places(self, account: str, sources: Iterable[Source] = SOURCES) -> list[tuple[Source, str, str]]:
        """Returns (source, status, partition key) of each partition of an account's outcomes."""
        return [
            (source, status, f"{account}/t/{status}/{SOURCE_LETTER[source]}{shard}")
            for status in STATUSES
            for source in sources
            for shard in range(_SHARDS.get(status, 1))
        ]

    def partitions(self, account: str, sources: Iterable[Source] = SOURCES) -> list[str]:
        """Returns the partition keys of an account's outcomes, for `purge`."""
        return [pk for _, _, pk in self.places(account, sources)]

    def counted(self, pk: str, first: str, beyond: str, cut: str, may_go_on: Callable[[], bool]) -> int | None:
        """Returns the number of a partition's outcomes with ids between `first` and `beyond`, received after `cut`.

        `cut` is a stamp. Returns None if `may_go_on` ended the count early. DynamoDB counts, so no outcome is
        transferred.
        """
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :beyond",
            "FilterExpression": "received > :cut", "Select": "COUNT",
            "ExpressionAttributeValues": raw({":pk": pk, ":first": first, ":beyond": beyond, ":cut": cut}),
        }  # fmt: skip
        count = 0
        while may_go_on():
            page = self.client.query(**arguments)
            count += int(page["Count"])
            if "LastEvaluatedKey" not in page:
                return count
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return None

    def find(self, account: str, source: str, request_id: str) -> Outcome | None:
        """Returns the outcome of a request, or None. Raises Unavailable. One call reads the outcomes of all statuses.

        `applied` takes precedence over `failed`, since a dead letter may have been replayed.
        """
        keys = [raw({"pk": _pk(account, status, source, request_id), "sk": request_id}) for status in STATUSES]
        answer = self.client.batch_get_item(RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}})
        if answer.get("UnprocessedKeys"):
            raise Unavailable("The request could not be looked up. Please try again.")
        found = [outcome_of(plain_item(item)) for item in answer["Responses"].get(self.table, [])]
        return min(found, key=lambda t: STATUSES.index(t.status), default=None)


def shown(outcome: Outcome) -> dict[str, Any]:
    """Returns a request as the API shows it, with its notes and the original request of a duplicate."""
    shape: dict[str, Any] = {
        "request_id": outcome.request_id,
        "status": outcome.status,
        "reason": outcome.reason or None,
        "received_at": times.iso(outcome.received),
    }
    if outcome.original and outcome.original != outcome.request_id:
        shape["original_request_id"] = outcome.original
    if outcome.notes:
        shape["notes"] = outcome.notes
    return shape


def listed(outcome: Outcome, currency: str) -> dict[str, Any]:
    """Returns a row of `GET /v1/transactions`. `currency` is the account's."""
    return shown(outcome) | {
        "source": outcome.source,
        "action": outcome.action,
        "provider": outcome.provider or None,
        "order_id": outcome.order_id or None,
        "route": outcome.route or None,
        "key_label": outcome.key_label or None,
        "fields": outcome.fields,
        "notes": outcome.notes,
        "effects": shown_effects(outcome.effects, currency),
    }
