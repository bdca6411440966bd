"""Logs and metrics: structured, never a person, a body or an e-mail."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from tillbook import start

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.metrics import Metrics


@cache
def logger() -> Logger:
    from aws_lambda_powertools import Logger

    return Logger()


@cache
def metrics() -> Metrics:
    from aws_lambda_powertools.metrics import Metrics

    return Metrics()


def count(name: str, value: int = 1) -> None:
    """Adds to a counter (CloudWatch embedded metric format, sent by `flush`)."""
    metrics().add_metric(name=name, unit="Count", value=value)


def measure(name: str, milliseconds: float) -> None:
    metrics().add_metric(name=name, unit="Milliseconds", value=round(milliseconds, 1))


def flush() -> None:
    if metrics().metric_set:
        metrics().flush_metrics()


def log(message: str, *, error: BaseException | None = None, **keys: Any) -> None:
    """One line. Of an error its type and place only: its text may quote what was sent.

    What is shaped like an address is left out: an order id may be.
    """
    keys = {name: value for name, value in keys.items() if "@" not in str(value)}
    if error is None:
        logger().info(message, extra=keys)
        return
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else ""
    # A botocore time-out has a response too, and it is None.
    code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code", "")
    logger().warning(message, extra={"error": type(error).__name__, "error_code": code, "error_at": place, **keys})


class Crashed(Exception):
    """Stands for an error that nobody expected: Lambda logs what leaves a handler with its text."""


def quiet(handler: Callable[[dict[str, Any], Any], dict[str, Any]]) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Of what leaves the handler, type and place go out: the text may quote a body."""

    @wraps(handler)
    def guarded(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return handler(event, context)
        except Exception as error:
            log("crashed", error=error)
            crashed = Crashed(type(error).__name__)
        finally:
            start.done()
        # Out here, where it has no context that would be printed with it.
        raise crashed

    return guarded
