"""Which of AWS's refusals pass by themselves."""

from __future__ import annotations

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailure

# "Not now": nothing was written.
REFUSED = frozenset(
    {
        "ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded",
        "LimitExceededException", "RequestThrottled", "OverLimit",
    }
)  # fmt: skip
# The write may have taken effect all the same.
UNSURE = frozenset(
    {"InternalServerError", "ServiceUnavailable", "RequestTimeout", "InternalFailure", "TransactionInProgressException"}
)
LOST = (HTTPClientError, ConnectionFailure)


def error_code(error: BaseException) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def is_passing(error: BaseException) -> bool:
    """Whether another try may go through."""
    return isinstance(error, LOST) or error_code(error) in REFUSED | UNSURE
