"""Reads the streams of the ledger table and the records table. Announces changes of lifetime value, outcomes of
requests, and purges on the event bus."""

from typing import Any

from tillbook.work import announcing


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return announcing.announce(event, context)
