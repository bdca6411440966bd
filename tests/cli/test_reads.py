"""What the commands read over HTTPS and write out, against an API in memory that fails as it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.tillbook_cli.main import tillbook
from tests.cli.conftest import Ran
from tests.cli.fake_api import KEY, FakeApi, serving

AUDIENCE = "customers-orders-api"
Reply = tuple[int, dict[str, str], Any] | None


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, in seconds; nobody waits."""
    waited: list[float] = []
    monkeypatch.setattr("cli.tillbook_cli.api.sleep", waited.append)
    return waited


@pytest.fixture
def api(pauses: list[float]) -> Iterator[FakeApi]:
    with serving() as running:
        yield running


def run(api: FakeApi, *words: str) -> Ran:
    result = CliRunner().invoke(tillbook, [*words, "--url", api.url, "--key", KEY])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def members(fault: Callable[[int], Reply | str]) -> Callable[[str, str, bytes], Reply]:
    """An audience of three pages; `fault` is asked for each try of one, with its number from 1: "take" lets it through.

    None of `fault` drops the connection.
    """
    tries = 0

    def answer(path: str, _key: str, _body: bytes) -> Reply:
        nonlocal tries
        if path == "/v1/audiences":
            return 200, {}, [{"id": AUDIENCE, "member_count": 3}]
        tries += 1
        found = fault(tries)
        if not isinstance(found, str):
            return found
        page = int(path.partition("cursor=")[2] or 0)
        more = {"x-next-cursor": str(page + 1)} if page < 2 else {}
        return 200, more, f"order_id,kind\r\n{page},shipping\r\n".encode()

    return answer


WHOLE = b"order_id,kind\r\n0,shipping\r\n1,shipping\r\n2,shipping\r\n"


# ------------------------------------------------------------ what passes


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        ((503, {"retry-after": "3"}, {"error": {"message": "Please try again."}}), [3.0]),
        ((503, {"retry-after": "9999"}, {"message": "x"}), [30.0]),
        ((429, {}, {"message": "Too Many Requests"}), [0.5]),
        ((502, {}, b"<html>"), [0.5]),
        ((504, {"retry-after": "0"}, b""), [0.5]),
        (None, [0.5]),
    ],
)
def test_an_export_goes_on_behind_an_answer_that_passes(
    api: FakeApi, tmp_path: Path, pauses: list[float], fault: Reply, waited: list[float]
) -> None:
    api.answer = members(lambda number: fault if number == 2 else "take")  # type: ignore[method-assign]
    out = tmp_path / "members.csv"
    ran = run(api, "audience", "export", AUDIENCE, "--output", str(out))
    assert ran.code == 0, ran.err
    assert out.read_bytes() == WHOLE
    assert pauses == waited


@pytest.mark.parametrize("fault", [(503, {}, {"message": "Service Unavailable"}), None])
@pytest.mark.parametrize("words", [("requests",), ("person", "x"), ("deadletters", "list"), ("audience", "list")])
def test_an_api_that_stays_away_is_unreachable_and_not_refusing(
    api: FakeApi, pauses: list[float], words: tuple[str, ...], fault: Reply
) -> None:
    api.answer = lambda *_: fault  # type: ignore[method-assign]
    ran = run(api, *words)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.endswith(" It was asked 5 times.\n")
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_what_is_refused_or_changes_something_is_asked_once(api: FakeApi, pauses: list[float]) -> None:
    asked: list[str] = []

    def answer(path: str, _key: str, _body: bytes) -> Reply:
        asked.append(path)
        return 503 if path.endswith("/replay") else 404, {}, {"error": {"message": "No."}}

    api.answer = answer  # type: ignore[method-assign]
    assert run(api, "requests") == Ran(1, "", "Error: No.\n")
    assert run(api, "deadletters", "replay", "x") == Ran(1, "", "Error: No.\n")
    assert (len(asked), pauses) == (2, [])
