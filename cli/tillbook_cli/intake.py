"""Pauses the intake of a stack, so that no order, removal or setting is written to tables that will be replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .waiting import wait

# Functions that write orders, removals, keys or settings before they answer. Webhooks and shopper activity are queued
# instead.
WRITERS = ("SubmitOrder", "EditOrder", "DeleteOrder", "Manage", "Configure")


@dataclass(frozen=True, slots=True)
class Intake:
    """Pauses and resumes intake; both calls can be repeated. `resource` returns the physical id for a logical id."""

    client: Any
    resource: Callable[[str], str]
    say: Callable[[str], None]

    def pause(self) -> None:
        """Pauses intake, and waits until writes in progress have ended. Queues hold orders; WRITERS answer 503."""
        if self._is_paused():
            self.say("Intake is paused already.")
            return
        for mapping in self._mappings():
            self.client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        seconds = 0
        for name in [*self._writers(), self.resource("ProcessOrders")]:
            seconds = max(seconds, self.client.get_function_configuration(FunctionName=name)["Timeout"])
        for name in self._writers():
            self.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        wait(
            "the queues are being stopped",
            lambda: all(mapping["State"] == "Disabled" for mapping in self._mappings()),
            self.say,
        )
        end = time.monotonic() + seconds
        wait("running requests are ending", lambda: time.monotonic() >= end, self.say)

    def resume(self) -> None:
        for name in self._writers():
            self.client.delete_function_concurrency(FunctionName=name)
        for mapping in self._mappings():
            self.client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    def _is_paused(self) -> bool:
        limits = [self.client.get_function_concurrency(FunctionName=name) for name in self._writers()]
        return all(limit.get("ReservedConcurrentExecutions") == 0 for limit in limits) and all(
            mapping["State"] == "Disabled" for mapping in self._mappings()
        )

    def _writers(self) -> Iterator[str]:
        yield from map(self.resource, WRITERS)

    def _mappings(self) -> list[dict[str, Any]]:
        """The event source mappings of the two queues. Those of streams stay enabled: they read the old tables."""
        function = self.resource("ProcessOrders")
        pages = self.client.get_paginator("list_event_source_mappings").paginate(FunctionName=function)
        return [mapping for page in pages for mapping in page["EventSourceMappings"]]
