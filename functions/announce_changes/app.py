"""Follows the streams of the ledger and the records: announces changes of LTV and requests on the event bus."""

from typing import Any

from tillbook.work import announcing


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return announcing.announce(event, context)
