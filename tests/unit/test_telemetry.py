"""Logs and metrics. An error that leaves a handler carries no customer data."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
import traceback
from typing import Any

import pytest

from tests.handlers import template
from tests.handlers.shop import Context
from tests.log import follow_stdout
from tillbook.aws import telemetry
from tillbook.aws.telemetry import Crashed, count, logger, measure, metrics, observed

SECRET = "ann@example.com"
ENVIRONMENT = {"PYTHONPATH": f"{template.ROOT}:{template.ROOT / 'layers/shared'}"}


@pytest.fixture(autouse=True)
def captured_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes the log to the standard output that pytest captures, and clears the metrics of earlier tests."""
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    follow_stdout()
    metrics.provider.clear_metrics()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The new lines of the log, with those of metrics."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The new lines of the log, without those of metrics."""
    return [line for line in lines(capsys) if "_aws" not in line]


def test_an_answer_is_returned_unchanged() -> None:
    assert observed(lambda event, _context: event)({"a": 1}, Context()) == {"a": 1}


def test_kind_and_place_of_an_error_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    @observed
    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        try:
            raise KeyError(event["email"])
        except KeyError as error:
            raise ValueError(event["email"]) from error

    with pytest.raises(Crashed) as raised:
        handler({"email": SECRET}, Context())
    # The text that Lambda logs, with the chain of causes.
    text = "".join(traceback.format_exception(raised.value))
    assert "Crashed: ValueError" in text
    (line,) = logged(capsys)
    assert SECRET not in text + repr(line)
    assert (line["level"], line["message"], line["error"]) == ("WARNING", "crashed", "ValueError")
    assert line["error_at"].startswith("handler:")
    assert not {"exception", "exception_name", "stack_trace"} & line.keys()


def test_system_exit_is_not_caught() -> None:
    def handler(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        observed(handler)({}, Context())


@pytest.mark.parametrize("name", template.functions())
def test_every_handler_is_observed(name: str) -> None:
    handler = importlib.import_module(template.module(name)).handler
    with pytest.raises(Crashed, match=r"AttributeError|TypeError|KeyError"):
        handler(SECRET, Context())


def test_a_log_line_has_the_context_of_lambda_and_only_the_keys_of_its_invocation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        logger.append_keys(**event)
        # \ud800 cannot be encoded in UTF-8.
        logger.info("request", status=202, milliseconds=1.5, order_id="7 \u00e9\ud800\n")
        return {}

    observed(handler)({"account": "a"}, Context())
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3f;Parent=53995c3f42cd8ad8;Sampled=1")
    observed(handler)({}, Context())
    first, second = logged(capsys)
    assert first["timestamp"][10] == "T"
    assert first["timestamp"].endswith("+00:00")
    assert (first["level"], first["message"], first["account"], first["order_id"]) == (
        "INFO", "request", "a", "7 \u00e9\ud800\n",
    )  # fmt: skip
    assert (first["status"], first["milliseconds"], first["function_name"]) == (202, 1.5, "function")
    assert "account" not in second
    assert second["xray_trace_id"] == "1-5759e988-bd862e3f"


def test_the_service_is_the_name_of_the_stack() -> None:
    variables = template.load()["Globals"]["Function"]["Environment"]["Variables"]
    assert "AWS::StackName" in str(variables["POWERTOOLS_SERVICE_NAME"])


def test_a_field_that_contains_an_at_sign_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logger.info("request", order_id=SECRET, notes=[SECRET], account="a")
    logger.warning("failed", exc_info=ValueError(SECRET), order_id=SECRET)
    first, second = lines(capsys)
    assert SECRET not in repr((first, second))
    assert (first["account"], second["error"]) == ("a", "ValueError")


def test_metrics_are_in_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    def handler(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
        for age in (3.14159, 2.0):
            count("Applied")
            measure("AgeAtApplying", age)
        count("Rejected", 5)
        return {}

    observed(handler)({}, Context())
    (line,) = [line for line in lines(capsys) if "Applied" in line]
    stamp = line["_aws"].pop("Timestamp")
    assert abs(stamp / 1000 - time.time()) < 3600
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Tillbook", [["service"]])
    assert directive["Metrics"] == [
        {"Name": "Applied", "Unit": "Count"},
        {"Name": "AgeAtApplying", "Unit": "Milliseconds"},
        {"Name": "Rejected", "Unit": "Count"},
    ]
    assert (line["Applied"], line["AgeAtApplying"], line["Rejected"]) == ([1, 1], [3.1, 2], [5])


def test_a_handler_without_metrics_prints_no_warning() -> None:
    code = (
        "from tests.handlers.shop import Context\nfrom tillbook.aws.telemetry import observed\n"
        "observed(lambda event, _context: event)({}, Context())"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert ran.stderr == ""


def test_a_cold_start_is_counted_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from aws_lambda_powertools.metrics.provider import cold_start

    monkeypatch.setattr(cold_start, "is_cold_start", True)
    for _ in range(2):
        observed(lambda event, _context: event)({}, Context())
    (line,) = [line for line in lines(capsys) if "ColdStart" in line]
    assert (line["ColdStart"], line["function_name"]) == ([1], "function")


def test_no_line_has_more_metrics_or_values_than_the_format_allows(capsys: pytest.CaptureFixture[str]) -> None:
    """The format allows 100 metrics in a line, and 100 values of each."""
    for number in range(250):
        count(f"Name{number % 120}")
        measure("Age", number)
    metrics.flush_metrics()
    sent = lines(capsys)
    assert sum(len(line.get("Age", [])) for line in sent) == 250
    assert sum(sum(value) for line in sent for name, value in line.items() if name.startswith("Name")) == 250
    for line in sent:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert len(directive["Metrics"]) <= 100
        assert len(line.get("Age", [])) <= 100


def test_the_logger_uses_the_private_formatter() -> None:
    assert isinstance(logger.registered_formatter, telemetry.PrivateFormatter)
