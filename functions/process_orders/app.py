"""The orders queue: each order becomes LTV and timeline, once, however often it is delivered."""

from typing import Any

from tillbook.work import processing


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return processing.process(event, context)
