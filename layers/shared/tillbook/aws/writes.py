"""Conditional writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tillbook.aws.retries import error_code


def write_if(write: Callable[..., Any], **arguments: Any) -> bool:
    """Calls `put_item` or `update_item` of a client. Returns False if the ConditionExpression did not hold."""
    try:
        write(**arguments)
    except ClientError as error:
        if error_code(error) == "ConditionalCheckFailedException":
            return False
        raise
    return True
