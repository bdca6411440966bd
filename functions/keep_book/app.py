"""Reads the stream of the ledger table. Writes a card for each changed order into the book, which reports read, and
records the outcomes of v1 requests."""

from typing import Any

from tillbook.work import book


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return book.keep(event, context)
