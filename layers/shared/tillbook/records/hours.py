"""Sums of hours that are over, kept so that nobody adds them up twice.

An hour that changes after it was over, by a late
outcome or a replay, is marked: whoever read its records before the mark may not keep what they added up. A purge
changes all hours: sums of records that were read before its cut are not used.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tillbook.aws.items import attributes, plain_item, raw, record_of
from tillbook.aws.retries import error_code
from tillbook.rules import times
from tillbook.rules.json_text import Json, dumps
from tillbook.rules.packing import pack, unpack

# Outcomes are recorded within seconds. Until then an hour is open, and nobody marks it; clocks may differ by the rest.
_OPEN_SECONDS, _MARK_SECONDS = 3600, 1800
# Of requests' records and of sums. The furthest hour that a summary is asked for began up to 31 days ago, and whatever
# it holds must still be there, for sums are added up of what is there.
KEPT_SECONDS = 33 * 24 * 3600
_MAX_BYTES = 300_000  # of an item's 400 KB


def hour_of(request_id: str) -> str:
    return times.uuid7_time(request_id).strftime("%Y-%m-%dT%H")


def hours_between(start: date, end: date, now: datetime) -> list[str]:
    """Every hour of those days that has begun."""
    moment = datetime(start.year, start.month, start.day, tzinfo=UTC)
    beyond = min(datetime(end.year, end.month, end.day, tzinfo=UTC) + timedelta(1), now)
    found: list[str] = []
    while moment < beyond:
        found.append(moment.strftime("%Y-%m-%dT%H"))
        moment += timedelta(hours=1)
    return found


def is_over(hour: str, now: datetime, seconds: int = _OPEN_SECONDS) -> bool:
    return times.hour_start(hour) + timedelta(hours=1, seconds=seconds) < now


class HourItem(NamedTuple):
    """Sums of an hour, or the mark that it changed.

    Key: `{account}/y`, `{hour, as 2026-11-22T03}`.

    Attributes:
        read_at: a stamp: before its records were read, or when it changed. sums: packed; absent from a mark. ttl.
    """

    read_at: str
    sums: bytes = b""
    ttl: int = 0


class Hours:
    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def kept(self, account: str, hours: list[str], cut: str) -> dict[str, list[Json]]:
        """Those of the hours whose sums are kept, and were read after `cut`, the stamp of the last purge."""
        if not hours:
            return {}
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": raw({":pk": f"{account}/y", ":first": min(hours), ":last": max(hours)}),
        }  # fmt: skip
        found: dict[str, list[Json]] = {}
        while True:
            page = self.client.query(**arguments)
            for item in map(plain_item, page["Items"]):
                stored = record_of(HourItem, item)
                if stored.sums and stored.read_at > cut:
                    found[item["sk"]] = unpack(stored.sums)
            if "LastEvaluatedKey" not in page:
                return found
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def keep(self, account: str, read_at: str, sums: dict[str, list[Json]]) -> None:
        """`read_at` is the stamp of before their records were read: a mark made since then wins."""
        for hour, packed in sums.items():
            if len(dumps(packed)) > _MAX_BYTES:
                continue
            item = {"pk": f"{account}/y", "sk": hour} | attributes(HourItem(read_at, pack(packed), _ttl()))
            try:
                self.client.put_item(
                    TableName=self.table, Item=raw(item), ExpressionAttributeValues=raw({":read": read_at}),
                    ConditionExpression="attribute_not_exists(pk) OR read_at < :read",
                )  # fmt: skip
            except ClientError as error:
                if error_code(error) != "ConditionalCheckFailedException":
                    raise

    def changed(self, account: str, request_ids: Iterable[str]) -> None:
        """To be called after the records of these requests were written or removed.

        Of hours that are older than records get, nothing is marked: their sums could not be added up again.
        """
        now = times.to_datetime(times.now())
        whole = now - timedelta(seconds=KEPT_SECONDS)
        hours = {hour for hour in map(hour_of, request_ids) if times.hour_start(hour) > whole}
        self._mark(account, {hour for hour in hours if is_over(hour, now, _MARK_SECONDS)})

    def _mark(self, account: str, hours: set[str]) -> None:
        for hour in sorted(hours):
            item = {"pk": f"{account}/y", "sk": hour} | attributes(HourItem(times.now(), ttl=_ttl()))
            self.client.put_item(TableName=self.table, Item=raw(item))


def _ttl() -> int:
    return int(time.time()) + KEPT_SECONDS
