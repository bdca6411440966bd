"""Commands that print or write to a file what the API answers, with an API whose answers and failures are made up."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner

from cli.tillbook_cli.exporting import _write
from cli.tillbook_cli.main import tillbook
from local.stack import ROOT
from tests.cli.conftest import Ran
from tests.cli.fake_api import KEY, FakeApi, Reply, serving

AUDIENCE = "customers-orders-api"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Records the pauses in seconds instead of waiting."""
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


def three_pages(fault: Callable[[int], Reply | str] = lambda _number: "accept") -> Callable[[str, str, bytes], Reply]:
    """Returns a function that answers as an API with one audience, whose export has three pages.

    `fault` is called for each request of a page with the number of the request, from 1. It returns "accept" or the
    failure: an answer, or None, which drops the connection.
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


# -------------------------------------------------------- transient errors


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        ((503, {"retry-after": "3"}, {"error": {"message": "Please try again."}}), [3.0]),
        ((503, {"retry-after": "9999"}, {"message": "x"}), [30.0]),  # the longest pause
        ((429, {}, {"message": "Too Many Requests"}), [0.5]),
        ((502, {}, b"<html>"), [0.5]),
        ((504, {"retry-after": "0"}, b""), [0.5]),
        (None, [0.5]),
    ],
)
def test_an_export_continues_after_a_transient_error(
    api: FakeApi, tmp_path: Path, pauses: list[float], fault: Reply, waited: list[float]
) -> None:
    api.answer = three_pages(lambda number: fault if number == 2 else "accept")  # type: ignore[assignment]
    out = tmp_path / "members.csv"
    ran = run(api, "audience", "export", AUDIENCE, "--output", str(out))
    assert ran.code == 0, ran.err
    assert out.read_bytes() == WHOLE
    assert pauses == waited


@pytest.mark.parametrize("fault", [(503, {}, {"message": "Service Unavailable"}), None])
@pytest.mark.parametrize("words", [("requests",), ("person", "x"), ("deadletters", "list"), ("audience", "list")])
def test_an_api_that_keeps_failing_is_reported_as_unreachable(
    api: FakeApi, pauses: list[float], words: tuple[str, ...], fault: Reply
) -> None:
    api.answer = lambda *_: fault  # type: ignore[method-assign]
    ran = run(api, *words)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.endswith(" It was tried 5 times.\n")
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_refused_requests_and_writes_are_not_retried(api: FakeApi, pauses: list[float]) -> None:
    paths: list[str] = []

    def answer(path: str, _key: str, _body: bytes) -> Reply:
        paths.append(path)
        status = 503 if path.endswith("/replay") else 404
        return status, {}, {"error": {"message": "No."}}

    api.answer = answer  # type: ignore[assignment]
    assert run(api, "requests") == Ran(1, "", "Error: No.\n")
    assert run(api, "deadletters", "replay", "x") == Ran(1, "", "Error: No.\n")
    assert (len(paths), pauses) == (2, [])


# ------------------------------------------------------------------- files


def fails_after_the_first_page(number: int) -> Reply | str:
    return "accept" if number == 1 else (503, {}, {"message": "x"})


def test_an_incomplete_export_replaces_no_file(api: FakeApi, tmp_path: Path) -> None:
    out = tmp_path / "members.csv"
    words = ("audience", "export", AUDIENCE, "--output")
    api.answer = three_pages(fails_after_the_first_page)  # type: ignore[assignment]
    assert run(api, *words, str(out)).code == 3
    assert list(tmp_path.iterdir()) == []
    out.write_text("yesterday's")
    out.chmod(0o600)
    link = tmp_path / "link.csv"
    link.symlink_to(out)
    assert run(api, *words, str(out)).code == 3
    assert out.read_text() == "yesterday's"
    api.answer = three_pages()  # type: ignore[assignment]
    assert run(api, *words, str(link)).code == 0
    assert (out.read_bytes(), out.stat().st_mode & 0o777, link.is_symlink()) == (WHOLE, 0o600, True)
    assert sorted(tmp_path.iterdir()) == [link, out]


def test_a_limit_counts_rows_whose_cells_have_line_breaks(api: FakeApi, tmp_path: Path) -> None:
    pages = {"2": b'order_id,promo_code\r\n1,"a\r\nb"\r\n', "1": b"order_id,promo_code\r\n2,c\r\n"}

    def answer(path: str, _key: str, _body: bytes) -> Reply:
        limit = parse_qs(path.partition("?")[2])["limit"][0]
        return 200, {"x-next-cursor": "next"}, pages[limit]

    api.answer = answer  # type: ignore[assignment]
    out = tmp_path / "orders.csv"
    assert run(api, "orders", "--limit", "2", "--output", str(out)).code == 0
    assert out.read_bytes() == pages["2"] + b"2,c\r\n"


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="this system has no /dev/stdout")
@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_an_export_to_standard_output_writes_to_the_open_file(api: FakeApi, tmp_path: Path, output: str) -> None:
    api.answer = three_pages()  # type: ignore[assignment]
    out = tmp_path / "all.csv"
    out.write_text("first\n")
    with out.open("ab") as file:
        ended = in_a_process(api, file, "audience", "export", AUDIENCE, "--output", output)
    assert ended.returncode == 0, ended.stderr
    # /dev/stdout is opened again, which empties the file.
    assert out.read_bytes() == (b"first\n" if output == "-" else b"") + WHOLE
    # There is no all.csv.new: only other outputs are written to a new file, which then replaces the old one.
    assert list(tmp_path.iterdir()) == [out]


def in_a_process(api: FakeApi, stdout: Any, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "cli", *words, "--url", api.url, "--key", KEY]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False, cwd=ROOT, timeout=240)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "words",
    [
        ("audience", "export", AUDIENCE),
        ("audience", "export", AUDIENCE, "--output", "/dev/full"),
        ("audience", "list"),
    ],
)
def test_a_full_disk_is_reported(api: FakeApi, words: tuple[str, ...]) -> None:
    api.answer = three_pages()  # type: ignore[assignment]
    with Path("/dev/full").open("wb") as full:
        ended = in_a_process(api, full, *words)
    *_, last = ended.stderr.decode().splitlines()
    assert (ended.returncode, last) == (1, "Error: No space left on device.")
    assert b"Traceback" not in ended.stderr
    assert b"Exception ignored" not in ended.stderr


def test_a_missing_folder_is_reported(api: FakeApi, tmp_path: Path) -> None:
    api.answer = three_pages()  # type: ignore[assignment]
    ran = run(api, "audience", "export", AUDIENCE, "--output", str(tmp_path / "none" / "members.csv"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.endswith("members.csv.new: No such file or directory.\n")


def test_a_reader_that_closes_the_pipe_ends_the_command_silently(api: FakeApi) -> None:
    api.answer = three_pages()  # type: ignore[assignment]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        ended = in_a_process(api, pipe, "audience", "list")
    assert (ended.returncode, ended.stderr) == (1, b"")


# ------------------------------------------------------------------ numbers

# An order with numbers that a float would change, and with other values that must be printed as they are.
EXACT = (
    b'{"id":"W-1","total":12345678901234567.89,"items":[{"big":9007199254740993,"small":1.10,"none":[],"no":{},'
    b'"far":1E+400,"name":"\xc3\xa9\\u001b"}],"order_public_id":null}'
)


def one_order(path: str, _key: str, _body: bytes) -> Reply:
    if path == "/v1/account":
        return 200, {}, {"account_id": "1"}
    if path.startswith("/v1/transactions"):
        return 200, {}, {"transactions": [], "next_cursor": None}
    return 200, {}, b'{"history":[]}' if path.endswith("/history") else EXACT


def test_numbers_of_an_order_are_printed_exactly(api: FakeApi) -> None:
    api.answer = one_order  # type: ignore[assignment]
    ran = run(api, "order", "W-1", "--json")
    assert (
        ran.out
        == """[
  {
    "order": {
      "id": "W-1",
      "total": 12345678901234567.89,
      "items": [
        {
          "big": 9007199254740993,
          "small": 1.10,
          "none": [],
          "no": {},
          "far": 1E+400,
          "name": "é\\u001b"
        }
      ],
      "order_public_id": null
    },
    "history": []
  }
]
"""
    )
    assert "12345678901234567.89" in run(api, "order", "W-1").out


# ---------------------------------------------------------- control characters

HOSTILE = "W-1\x1b[2J\r\nstatus  paid\t\x00\x7f\x9b31m\u2028\u202eé"
ESCAPED = r"W-1\x1b[2J\r\nstatus  paid\t\x00\x7f\x9b31m\u2028\u202eé"


def test_control_characters_are_shown_escaped(api: FakeApi) -> None:
    step = {
        "occurred_at": "2026-01-01T00:00:00Z", "name": HOSTILE, "late": False, "request_id": "r",
        "lifetime_value": {"amount": "1.00", "currency": "USD"},
    }  # fmt: skip
    shape = {"id": "W-1", "order_public_id": HOSTILE, "person_id": HOSTILE, "tags": [HOSTILE], HOSTILE: 1}

    def answer(path: str, *_: Any) -> Reply:
        if path.endswith("/history"):
            return 200, {}, {"history": [step]}
        return (200, {}, shape) if path.startswith("/v1/order/") else one_order(path, "", b"")

    api.answer = answer  # type: ignore[assignment]
    shown = run(api, "order", "W-1").out
    # In two ids, a tag, the name of a field, and the name of the step.
    assert shown.count(ESCAPED) == 5
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown.replace("\n", ""))
    assert "\u2028" not in shown
    assert "\u202e" not in shown
    # Besides the fields: an empty line, the title History, its header, the step, and the end of the last line.
    assert len(shown.split("\n")) == len(shape) + 5
    # With --json, every character is kept.
    assert json.loads(run(api, "order", "W-1", "--json").out)[0]["order"] == shape


# ----------------------------------------------------------------------- CSV


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_cell_that_a_spreadsheet_would_run_has_an_apostrophe(start: str, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    _write(
        [{"a": f"{start}cmd|x", "b": f"x{start}", "c": "-5.00", "d": ""}], ("a", "b", "c", "d"), "csv", str(out), "x"
    )
    with out.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [list("abcd"), [f"'{start}cmd|x", f"x{start}", "-5.00", ""]]


# ------------------------------------------------------------------- queries


def test_special_characters_in_an_order_id_are_percent_encoded(api: FakeApi) -> None:
    paths: list[str] = []

    def answer(path: str, *_: Any) -> Reply:
        paths.append(path)
        return 200, {}, {"transactions": [], "next_cursor": None}

    api.answer = answer  # type: ignore[assignment]
    assert run(api, "requests", "--order-id", "W 1+2/é").code == 0
    assert paths == ["/v1/transactions?limit=20&order_id=W%201%2B2%2F%C3%A9"]
