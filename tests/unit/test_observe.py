"""What is logged and counted; and what leaves a handler says nothing of what was in flight."""

from __future__ import annotations

import importlib
import json
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from tests.handlers import template
from tillbook import observe, settings, times

SECRET = "ann@example.com"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without what the process was given or counted before."""
    for name in ("STACK_NAME", "AWS_LAMBDA_LOG_LEVEL", "_X_AMZN_TRACE_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(observe, "_counted", [])
    forget()
    yield
    forget()


def forget() -> None:
    settings.stack.cache_clear()
    settings.tells_info.cache_clear()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_answer_passes() -> None:
    assert observe.quiet(lambda event, _context: event)({"a": 1}, None) == {"a": 1}


def test_of_an_error_kind_and_place_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    @observe.quiet
    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        try:
            raise KeyError(event["email"])
        except KeyError as error:
            raise ValueError(event["email"]) from error

    with pytest.raises(observe.Crashed) as raised:
        handler({"email": SECRET}, None)
    # As Lambda logs it, with whatever it came from.
    text = "".join(traceback.format_exception(raised.value))
    assert "Crashed: ValueError" in text
    (line,) = lines(capsys)
    assert SECRET not in text + repr(line)
    assert (line["level"], line["message"], line["error"]) == ("WARN", "crashed", "ValueError")
    assert line["error_at"].startswith("handler:")


def test_an_end_of_the_process_is_no_error() -> None:
    def handler(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        observe.quiet(handler)({}, None)


@pytest.mark.parametrize("name", template.functions())
def test_every_handler_is_quiet(name: str) -> None:
    handler = importlib.import_module(template.module(name)).handler
    with pytest.raises(observe.Crashed, match=r"AttributeError|TypeError|KeyError"):
        handler(SECRET, None)


def test_a_line_says_what_when_and_of_which_stack(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACK_NAME", "staging")
    before = times.iso(times.now())
    observe.log("request", status=202, milliseconds=1.5, order_id="7 \u00e9\ud800\n")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3f;Parent=53995c3f42cd8ad8;Sampled=1")
    observe.log("request", status=404)
    first, second = lines(capsys)
    assert before[:19] <= first.pop("timestamp")[:19] <= times.iso(times.now())[:19]
    assert first == {
        "level": "INFO", "message": "request", "service": "staging",
        "status": 202, "milliseconds": 1.5, "order_id": "7 \u00e9\ud800\n",
    }  # fmt: skip
    assert (second["status"], second["xray_trace_id"]) == (404, "1-5759e988-bd862e3f")


def test_what_is_shaped_like_an_address_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    observe.log("request", order_id=SECRET, notes=[SECRET], account="a")
    observe.log("failed", error=ValueError(SECRET), order_id=SECRET)
    first, second = lines(capsys)
    assert SECRET not in repr((first, second))
    assert (first["account"], second["error"]) == ("a", "ValueError")


def test_a_stack_that_wants_warnings_only_gets_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", "WARN")
    observe.log("request")
    observe.log("failed", error=ValueError())
    observe.count("Accepted")
    observe.flush()
    line, metrics = lines(capsys)
    assert line["message"] == "failed"
    assert metrics["Accepted"] == 1


def test_metrics_are_of_the_embedded_format(capsys: pytest.CaptureFixture[str]) -> None:
    for age in (3.14159, 2.0):
        observe.count("Applied")
        observe.measure("AgeAtApplying", age)
    observe.count("Rejected", 5)
    observe.flush()
    observe.flush()
    (line,) = lines(capsys)
    stamp = line["_aws"].pop("Timestamp")
    assert abs(stamp / 1000 - time.time()) < 60
    assert line == {
        "_aws": {
            "CloudWatchMetrics": [
                {
                    "Namespace": "Tillbook",
                    "Dimensions": [["service"]],
                    "Metrics": [
                        {"Name": "Applied", "Unit": "Count"},
                        {"Name": "AgeAtApplying", "Unit": "Milliseconds"},
                        {"Name": "Rejected", "Unit": "Count"},
                    ],
                }
            ]
        },
        "service": "tillbook",
        "Applied": 2,
        "AgeAtApplying": [3.1, 2.0],
        "Rejected": 5,
    }


def test_no_line_has_more_values_than_the_format_takes(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(250):
        observe.count(f"Name{number % 120}")
        observe.measure("Age", number)
    observe.flush()
    sent = lines(capsys)
    assert sum(len(line["Age"]) for line in sent) == 250
    assert sum(value for line in sent for name, value in line.items() if name.startswith("Name")) == 250
    for line in sent:
        (told,) = line["_aws"]["CloudWatchMetrics"]
        assert len(told["Metrics"]) <= 100
        assert len(line["Age"]) <= 100
