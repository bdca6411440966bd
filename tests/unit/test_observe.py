"""What leaves a handler says nothing of what was in flight."""

from __future__ import annotations

import importlib
import traceback
from typing import Any

import pytest

from tests.handlers import template
from tillbook import observe

SECRET = "ann@example.com"


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    lines: list[Any] = []

    class Logger:
        def warning(self, message: str, extra: dict[str, Any]) -> None:
            lines.append((message, extra))

    monkeypatch.setattr(observe, "logger", Logger)
    return lines


def test_an_answer_passes() -> None:
    assert observe.quiet(lambda event, _context: event)({"a": 1}, None) == {"a": 1}


def test_of_an_error_kind_and_place_are_told(logged: list[Any]) -> None:
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
    assert SECRET not in text + repr(logged)
    assert logged[0][0] == "crashed"
    assert logged[0][1]["error"] == "ValueError"
    assert logged[0][1]["error_at"].startswith("handler:")


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
