"""Logs and metrics, written by Powertools as JSON lines on stdout.

They name no person, and contain no bodies of requests and no e-mail addresses.
Metrics use CloudWatch's embedded metric format: CloudWatch reads them from the log, so publishing them needs no call.
Their dimension `service` is the stack's name (POWERTOOLS_SERVICE_NAME in template.yaml), by which alarms and the
dashboard select them.
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
    """Logs an error's type and place, but not its text, which may quote a body. Leaves out fields that contain `@`."""

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
    # The `response` of botocore's time-outs is None.
    code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code", "")
    return {"error": type(error).__name__, "error_code": code, "error_at": place}


# Logs are ASCII, since an order id may hold characters that stdout cannot encode.
_to_json: Any = partial(json.dumps, default=str, separators=(",", ":"))
logger = Logger(logger_formatter=PrivateFormatter(json_serializer=_to_json, utc=True, use_rfc3339=True))
metrics = Metrics(namespace="Tillbook")
# Powertools would warn about functions that serve files, which publish no metrics except cold starts.
warnings.filterwarnings("ignore", "No application metrics to publish")


def count(name: str, value: int = 1) -> None:
    metrics.add_metric(name=name, unit="Count", value=value)


def measure(name: str, milliseconds: float) -> None:
    metrics.add_metric(name=name, unit="Milliseconds", value=round(milliseconds, 1))


class Crashed(Exception):
    """Raised in place of an unexpected error, since Lambda logs the text of the error that a handler raises."""


def observed(handler: Handler) -> Handler:
    """Adds Lambda's context to each log line, publishes metrics, and replaces unexpected errors by Crashed."""
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
        # Raised outside the except block, so that the error has no __context__, which Lambda would log, too.
        raise crashed

    return guarded
