"""Processes the queues: applies each event exactly once, however often it is delivered, and runs jobs."""

from typing import Any

from tillbook.work import processing


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return processing.process(event, context)
