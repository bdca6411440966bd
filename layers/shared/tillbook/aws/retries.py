"""Classifies errors of AWS: which are temporary, and after which a write may have happened."""

from __future__ import annotations

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailure

# Codes of a call that was refused temporarily: nothing was written.
REFUSED = frozenset(
    {
        "ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded",
        "LimitExceededException", "RequestThrottled", "OverLimit",
    }
)  # fmt: skip
# Codes of a call whose outcome is unknown: the write may have happened.
UNSURE = frozenset(
    {"InternalServerError", "ServiceUnavailable", "RequestTimeout", "InternalFailure", "TransactionInProgressException"}
)
LOST = (HTTPClientError, ConnectionFailure)  # no answer was received: the outcome is unknown, too


def error_code(error: BaseException) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def is_unsure(error: BaseException) -> bool:
    """Returns whether a write may have happened in spite of the error.

    A load balancer in front of a service answers 5xx without a code of the service; botocore then uses the status as
    the code (`"503"`).
    """
    if not isinstance(error, ClientError):
        return isinstance(error, LOST)
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code in UNSURE or (status >= 500 and code not in REFUSED)


def is_transient(error: BaseException) -> bool:
    """Returns whether the error is temporary, so that another try may succeed."""
    return is_unsure(error) or error_code(error) in REFUSED
