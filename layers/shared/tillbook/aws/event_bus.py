"""Publishes events to an EventBridge bus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tillbook.aws.retries import LOST, is_transient
from tillbook.rules.json_text import Json, dumps

AT_ONCE = 10  # most events in a call of PutEvents
SOURCE = "tillbook"


@dataclass(frozen=True, slots=True)
class EventBus:
    client: Any
    name: str

    def put(self, events: Sequence[Json]) -> list[Json]:
        """Publishes up to AT_ONCE events, each a CloudEvent. Returns those that the bus refused.

        After a temporary error, returns all of them. Raises other errors of AWS.
        """
        entries = [
            {"EventBusName": self.name, "Source": SOURCE, "DetailType": event["type"], "Detail": dumps(event)}
            for event in events
        ]
        try:
            results = self.client.put_events(Entries=entries)["Entries"]
        except (ClientError, *LOST) as error:
            if not is_transient(error):
                raise
            return list(events)
        return [event for event, result in zip(events, results, strict=True) if "EventId" not in result]
