"""Logs and metrics by Powertools: JSON lines on stdout that never hold a person, a body or an e-mail address.

Metrics are in CloudWatch's embedded metric format: CloudWatch reads them from the log, so no call is made for them.
The service is the stack's name (POWERTOOLS_SERVICE_NAME in template.yaml); alarms and the dashboard name it, too.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import Metrics

from tillbook.aws import start

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


class PrivateFormatter(LambdaPowertoolsFormatter):
    """Logs an error's type and place without its text, which may quote a body, and no value that contains an `@`."""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info and record.exc_info[1] is not None:
            record.__dict__.update(_described(record.exc_info[1]))
            record.exc_info = record.exc_text = None
        return super().format(record)

    def serialize(self, log: Any) -> str:
        text = super().serialize(log)
        if "@" not in text:
            return text
        return super().serialize({name: value for name, value in log.items() if "@" not in str(value)})


def _described(error: BaseException) -> dict[str, str]:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame else ""
    # botocore's time-outs have a response too, and it is None.
    code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code", "")
    return {"error": type(error).__name__, "error_code": code, "error_at": place}


# ASCII, since an order id may hold characters that stdout cannot encode.
_to_json: Any = partial(json.dumps, default=str, separators=(",", ":"))
logger = Logger(logger_formatter=PrivateFormatter(json_serializer=_to_json, utc=True, use_rfc3339=True))
metrics = Metrics(namespace="Tillbook")
# A function that serves files has nothing to count but its cold starts.
warnings.filterwarnings("ignore", "No application metrics to publish")


def count(name: str, value: int = 1) -> None:
    metrics.add_metric(name=name, unit="Count", value=value)


def measure(name: str, milliseconds: float) -> None:
    metrics.add_metric(name=name, unit="Milliseconds", value=round(milliseconds, 1))


class Crashed(Exception):
    """Raised instead of an unexpected error: Lambda logs the text of whatever a handler raises."""


def observed(handler: Handler) -> Handler:
    """Adds Lambda's context to each log line, sends the metrics, and lets no error's text leave the handler."""
    inner: Handler = logger.inject_lambda_context(clear_state=True)(
        metrics.log_metrics(capture_cold_start_metric=True)(handler)
    )

    @wraps(handler)
    def guarded(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return inner(event, context)
        except Exception as error:
            logger.warning("crashed", exc_info=error)
            crashed = Crashed(type(error).__name__)
        finally:
            start.done()
        # Raised out here, where no other error is its context: Lambda would print that as well.
        raise crashed

    return guarded
