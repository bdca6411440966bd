"""Follows the ledger's stream: writes a card for each changed order into the book, which reports read."""

from typing import Any

from tillbook.work import book


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return book.keep(event, context)
