"""Processes the queues of orders and jobs: applies each event once, however often it is delivered, and runs jobs."""

from typing import Any

from tillbook.work import processing


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return processing.process(event, context)
