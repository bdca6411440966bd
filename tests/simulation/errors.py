"""Errors as botocore's clients raise them."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tests.simulation.expressions import (
    Unknown,
)


class ConditionalCheckFailed(ClientError):
    """The error class that the client offers as `exceptions.ConditionalCheckFailedException`."""


def client_error(code: str, operation: str, message: str = "", **more: Any) -> ClientError:
    kind = ConditionalCheckFailed if code == "ConditionalCheckFailedException" else ClientError
    response: Any = {"Error": {"Code": code, "Message": message or code}, **more}
    return kind(response, operation)


def cancelled(reasons: list[dict[str, Any]]) -> ClientError:
    codes = ", ".join(reason["Code"] for reason in reasons)
    return client_error(
        "TransactionCanceledException",
        "TransactWriteItems",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        CancellationReasons=reasons,
    )


def validation_error(operation: str, message: str) -> ClientError:
    return client_error("ValidationException", operation, message)


def refuse_unknown(arguments: dict[str, Any], *names: str) -> None:
    for name in arguments:
        if name not in names:
            raise Unknown(f"argument {name}")
