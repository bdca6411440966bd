"""Runs daily: compares the lifetime values of random people, and cards of the book, with the orders. A difference that
lasts raises an alarm."""

from typing import Any

from tillbook.views import audit


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return audit.scheduled(event, context)
