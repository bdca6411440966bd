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


def is_unsure(error: BaseException) -> bool:
    """Whether a write may have taken effect all the same. Something before the service answers 5xx without a code that
    it knows: then the status stands for one (`"503"`)."""
    if not isinstance(error, ClientError):
        return isinstance(error, LOST)
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code in UNSURE or (status >= 500 and code not in REFUSED)


def is_passing(error: BaseException) -> bool:
    """Whether another try may go through."""
    return is_unsure(error) or error_code(error) in REFUSED
