"""Logs and metrics: lines of JSON on stdout, structured, never a person, a body or an e-mail.

Metrics are CloudWatch's embedded metric format: CloudWatch reads them from the log, and no call is made for them.
Written here and not by a library: see docs/decisions.md.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from tillbook import start, times
from tillbook.settings import stack, tells_info, trace_id

_NAMESPACE = "Tillbook"
_MAX_VALUES = 100  # of one metric, and metrics of one line: the format's bounds
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=str).encode
# (name, unit, value) until they are sent. Appending is atomic: threads may count.
_counted: list[tuple[str, str, float]] = []


def count(name: str, value: int = 1) -> None:
    """Adds to a counter, which `flush` sends."""
    _counted.append((name, "Count", value))


def measure(name: str, milliseconds: float) -> None:
    _counted.append((name, "Milliseconds", round(milliseconds, 1)))


def flush() -> None:
    """Sends what was counted: one line for each 100 of it."""
    while _counted:
        part = _counted[:_MAX_VALUES]
        del _counted[:_MAX_VALUES]
        units: dict[str, str] = {}
        values: dict[str, float | list[float]] = {}
        for name, unit, value in part:
            units[name] = unit
            if unit == "Count":
                values[name] = values.get(name, 0) + value  # type: ignore[operator]
            else:
                values.setdefault(name, []).append(value)  # type: ignore[union-attr]
        directive = _directive(tuple(units.items()))
        head = f'{{"_aws":{{"Timestamp":{time.time_ns() // 1_000_000},"CloudWatchMetrics":[{directive}]}},'
        _put(head + _encode({"service": stack()} | values)[1:])


@cache
def _directive(units: tuple[tuple[str, str], ...]) -> str:
    """What CloudWatch is told of the line's metrics: kept, for it is the same for each request of a kind."""
    metrics = [{"Name": name, "Unit": unit} for name, unit in units]
    return _encode({"Namespace": _NAMESPACE, "Dimensions": [["service"]], "Metrics": metrics})


def log(message: str, *, error: BaseException | None = None, **keys: Any) -> None:
    """One line. Of an error its type and place only: its text may quote what was sent.

    What is shaped like an address is left out: an order id may be.
    """
    if error is None and not tells_info():
        return
    line: dict[str, Any] = {
        "level": "INFO" if error is None else "WARN", "message": message, "timestamp": times.iso(times.now()),
        "service": stack(),
    }  # fmt: skip
    if error is not None:
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame else ""
        # A botocore time-out has a response too, and it is None.
        code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code", "")
        line |= {"error": type(error).__name__, "error_code": code, "error_at": place}
    if trace := trace_id():
        line["xray_trace_id"] = trace
    text = _encode(line | keys)
    if "@" in text:
        text = _encode(line | {name: value for name, value in keys.items() if "@" not in str(value)})
    _put(text)


def _put(line: str) -> None:
    # One write, so that lines of several threads do not mix.
    sys.stdout.write(f"{line}\n")


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
