"""A model of the ledger's stream, as KeepBook receives it through the filter of its trigger in template.yaml.

Each change that passes is delivered at least once: late, in any order, several times, in batches of any size. A batch
is acknowledged up to the first record that KeepBook reports as failed, or completely.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from random import Random
from typing import Any

from tests.handlers import template

_TRIGGER = template.functions()["KeepBook"]["Events"]["Changes"]["Properties"]
_PATTERNS = [json.loads(entry["Pattern"]) for entry in _TRIGGER["FilterCriteria"]["Filters"]]
BATCH_SIZE = _TRIGGER["BatchSize"]
Record = dict[str, Any]


def change(number: int, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Record:
    """The record of a stream for an item that was inserted, modified or removed. `number` is its sequence number."""
    images = {name: _json(image) for name, image in (("OldImage", old), ("NewImage", new)) if image is not None}
    kind = "REMOVE" if new is None else "INSERT" if old is None else "MODIFY"
    position = {"SequenceNumber": f"{number:021d}", "ApproximateCreationDateTime": 0.0}
    return {"eventName": kind, "dynamodb": images | position}


def _json(image: Mapping[str, Any]) -> dict[str, Any]:
    """The image of an item as Lambda passes it to a function: bytes are in base64."""
    return {n: {"B": b64encode(value["B"]).decode()} if "B" in value else value for n, value in image.items()}


def passes(record: Record) -> bool:
    """Whether the filter of the trigger passes a record."""
    return any(_matches(pattern, record) for pattern in _PATTERNS)


def _matches(pattern: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether a record matches a pattern of texts and `exists`. Raises TypeError for other kinds of patterns."""
    return all(
        _matches(wanted, record.get(name) or {})
        if isinstance(wanted, dict)
        else any(_allows(one, record, name) for one in wanted)
        for name, wanted in pattern.items()
    )


def _allows(wanted: Any, record: Mapping[str, Any], name: str) -> bool:
    if wanted == {"exists": True}:
        return name in record
    if not isinstance(wanted, str):
        raise TypeError(f"this model does not know the filter {wanted!r}")
    return record.get(name) == wanted


class Stream:
    """The stream of one table. `records` are the changes that passed the filter."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.records: list[Record] = []
        self._acknowledged: set[str] = set()

    def changed(self, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> None:
        """Adds the record of a change, if it passes the filter."""
        record = change(len(self.records), old, new)
        if passes(record):
            self.records.append(record)

    def left(self) -> list[Record]:
        """The records that are not acknowledged yet."""
        return [record for record in self.records if _number(record) not in self._acknowledged]

    def batch(self) -> list[Record]:
        """One to 8 of the records so far, mostly the latest, in any order. A record may occur twice."""
        random = self.random
        if random.random() < 0.6:
            found = self.records[-random.randrange(1, 9) :]
        else:
            found = random.choices(self.records, k=random.randrange(1, 9))
        return random.sample(found, len(found)) if random.random() < 0.4 else found

    def keep(self, keeper: Any, batch: list[Record], seconds: float) -> None:
        """Passes a batch to `keeper`, which may run for `seconds`, and notes the records that it acknowledges."""
        answer = keeper.run(batch, seconds)
        numbers = [_number(record) for record in batch]
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        self._acknowledged.update(numbers[: numbers.index(failed[0])] if failed else numbers)


def _number(record: Record) -> str:
    return str(record["dynamodb"]["SequenceNumber"])
