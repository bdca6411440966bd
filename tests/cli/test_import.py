"""`tillbook import` against an API in memory: requests, interruptions and keys; no order counts twice."""

from __future__ import annotations

import gzip
import json
import os
import signal
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.tillbook_cli import sending
from cli.tillbook_cli.api import Api, retry_after
from cli.tillbook_cli.connection import LOCAL_FILE, LOCAL_KEY, Unreachable
from cli.tillbook_cli.main import tillbook
from tests.cli.fake_api import KEY, FakeApi, Reply
from tests.cli.importing import HEADER_LINE, MARKER, plain, run


def test_a_whole_file_is_sent_once(api: FakeApi, tmp_path: Path) -> None:
    ran = run(api, plain(tmp_path / "orders.csv", 95), "--provider", "my_shop", "--json")
    assert ran.exit_code == 0, ran.output
    summary = json.loads(ran.stdout)
    assert (summary["orders"], summary["sent"], summary["rejected"], summary["mapping"]) == (95, 95, 0, "plain")
    assert len(api.events) == len(api.identities) == 95
    assert {len(batch) for batch in api.batches} == {10, 5}  # nine batches of 10, one of 5
    # Order n has the total n.50.
    assert sum(Decimal(event["grand_total"]) for event in api.events) == sum(range(95)) + 95 * Decimal("0.50")
    assert api.events[0].keys() == {
        "action", "order_id", "email", "occurred_at", "grand_total", "currency", "provider",
    }  # fmt: skip


def test_a_second_run_sends_nothing_unless_again_is_given(api: FakeApi, tmp_path: Path) -> None:
    file = plain(tmp_path / "orders.csv", 30)
    assert run(api, file, "--provider", "my_shop").exit_code == 0
    ran = run(api, file, "--provider", "my_shop")
    assert (ran.exit_code, len(api.events)) == (0, 30)
    assert "Give --again" in ran.stderr
    ran = run(api, file, "--provider", "my_shop", "--again")
    assert (ran.exit_code, "Sending all 30 orders again." in ran.stderr) == (0, True), ran.stderr
    assert (len(api.events), len(api.identities)) == (60, 30)


def test_transient_errors_are_retried(api: FakeApi, tmp_path: Path) -> None:
    answers: list[Any] = [(429, {"retry-after": "0"}), (503, {}), None, (500, {}), "accept"]
    api.fault = lambda number: answers[number % len(answers)]
    ran = run(api, plain(tmp_path / "orders.csv", 60), "--provider", "my_shop", "--concurrency", "3")
    assert ran.exit_code == 0, ran.output
    assert len(api.identities) == 60
    # Six batches, and only one try in five is answered with success (None: accepted, but the answer is lost).
    assert api.tries > 20
    assert api.most_at_once <= 3


def test_retry_after_is_respected(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    real_wait = threading.Event.wait

    def wait(event: threading.Event, seconds: float | None = None) -> bool:
        if seconds and seconds >= 7:  # the pause that the API asked for; other waits are shorter
            pauses.append(seconds)
            return False
        return real_wait(event, seconds)

    monkeypatch.setattr(threading.Event, "wait", wait)
    api.fault = lambda number: (429, {"retry-after": "7"}) if number == 1 else "accept"
    assert run(api, plain(tmp_path / "orders.csv", 5), "--provider", "my_shop").exit_code == 0
    assert len(pauses) == 1


def test_both_forms_of_retry_after_are_parsed() -> None:
    assert retry_after("3") == 3
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    assert retry_after("Thu, 01 Jan 2125 00:00:00 GMT") > 1e9
    assert retry_after("soon") == retry_after(None) == 0


def test_an_import_that_gave_up_resumes_later(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.05)
    api.fault = lambda number: "accept" if number <= 2 else (503, {})
    file = plain(tmp_path / "orders.csv", 100)
    ran = run(api, file, "--provider", "my_shop", "--concurrency", "1")
    assert ran.exit_code == 3
    assert "run the same command again to resume" in ran.stderr
    assert json.loads((tmp_path / "orders.csv.tillbook-import").read_text())["orders"] == 20
    api.fault = lambda _number: "accept"
    ran = run(api, file, "--provider", "my_shop", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["resumed_at"]) == (0, 20)
    assert len(api.events) == len(api.identities) == 100


def test_ctrl_c_saves_the_progress_of_requests_in_flight(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    senders: list[sending.Sender] = []
    start = sending.Sender.run

    def started(sender: sending.Sender, *arguments: Any) -> None:
        senders.append(sender)
        start(sender, *arguments)

    def fault(number: int) -> str:
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)
            # The answer waits for the signal's handler. Until then the other connection may send one more batch.
            assert senders[0].stop.wait(120)
        return "accept"

    monkeypatch.setattr(sending.Sender, "run", started)
    api.fault = fault
    file = plain(tmp_path / "orders.csv", 200)
    ran = run(api, file, "--provider", "my_shop", "--concurrency", "2")
    assert ran.exit_code == 130, ran.output
    sent = json.loads((tmp_path / "orders.csv.tillbook-import").read_text())["orders"]
    assert sent in (40, 50)
    # All requests in flight were awaited and saved.
    assert len(api.events) == sent
    api.fault = lambda _number: "accept"
    assert run(api, file, "--provider", "my_shop").exit_code == 0
    assert len(api.events) == len(api.identities) == 200


@pytest.mark.parametrize("words", [("requests",), ("deadletters", "list"), ("import", "o.csv", "--provider", "s")])
def test_ctrl_c_ends_any_command_with_130(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Api, "send", interrupted)
    plain(tmp_path / "o.csv", 3)
    ran = CliRunner().invoke(tillbook, [*words, "--url", api.url, "--key", KEY])
    assert (ran.exit_code, ran.stdout) == (130, "")
    assert ran.stderr.endswith("\nStopped.\n")


def test_a_changed_file_or_mapping_is_refused(api: FakeApi, tmp_path: Path) -> None:
    file = plain(tmp_path / "orders.csv", 20)
    assert run(api, file, "--provider", "my_shop").exit_code == 0
    plain(file, 21)
    ran = run(api, file, "--provider", "my_shop")
    assert ran.exit_code == 1
    assert "differs in: the file itself." in ran.stderr
    plain(file, 20)
    assert "differs in: mapping, provider." in run(api, file, "--provider", "other").stderr
    assert len(api.events) == 20


@pytest.mark.parametrize("options", [["--provider", "my_shop"], ["--api", "v1"]])
def test_orders_in_withdrawn_currencies_are_imported(api: FakeApi, tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "orders.csv"
    rows = [f"{n},p{n}@{MARKER},2022-01-01T00:00:00Z,5,{code}\n" for n, code in enumerate(["BGN", "hrk", "ANG"])]
    file.write_text(HEADER_LINE + "".join(rows))
    ran = run(api, file, *options)
    assert ran.exit_code == 0, ran.output
    assert len(api.orders if "v1" in options else api.identities) == 3


def test_an_import_through_v1_reports_refused_orders(api: FakeApi, tmp_path: Path) -> None:
    api.orders["3"] = {"order_id": "3", "total": "99"}  # an existing order with other content
    file = plain(tmp_path / "orders.csv", 40)
    ran = run(api, file, "--api", "v1", "--concurrency", "1", "--json")
    assert ran.exit_code == 1, ran.output
    assert len(api.orders) == 40
    assert api.orders["7"] == {
        "order_id": "7", "order_date": "2024-01-01T00:00:07Z", "total": "7.50", "currency": "USD",
        "customer_email": f"p7@{MARKER}",
    }  # fmt: skip
    summary = json.loads(ran.stdout)
    assert (summary["sent"], summary["refused"]) == (39, 1)
    # Order 3 is in line 5, after the header and orders 0 to 2.
    assert "5,,,refused by the API: order_id exists" in (tmp_path / "orders.csv.rejects.csv").read_text()
    # A repeated run exits with 1, too.
    assert run(api, file, "--api", "v1").exit_code == 1
    assert run(api, file, "--api", "v1", "--skip-bad").exit_code == 0
    del api.orders["3"]
    assert run(api, file, "--api", "v1", "--state", str(tmp_path / "new")).exit_code == 0


def test_json_lines_are_sent_unchanged(api: FakeApi, tmp_path: Path) -> None:
    event = {
        "provider": "my_shop", "email": f"a@{MARKER}", "action": "placed", "order_id": 1, "occurred_at": "2024-01-01",
    }  # fmt: skip
    file = tmp_path / "orders.jsonl.gz"
    # A float would change this amount.
    text = json.dumps(event)[:-1] + ', "grand_total": 123456789012345.6789, "loyal": true}\n\n'
    file.write_bytes(gzip.compress(text.encode() + b'{"order_id": "2"}\n[]\n{"a": 1, "a": 2}\n{', mtime=0))
    ran = run(api, file, "--json")
    assert (ran.exit_code, api.events) == (1, [])
    assert [(bad["field"], bad["message"]) for bad in json.loads(ran.stdout)["worst"]][-3:] == [
        (None, "must be a JSON object"), (None, "has a key twice"), (None, "is not valid JSON"),
    ]  # fmt: skip
    file.write_bytes(gzip.compress(text.encode(), mtime=0))
    assert run(api, file).exit_code == 0
    assert api.events == [event | {"grand_total": Decimal("123456789012345.6789"), "loyal": True}]


@pytest.mark.parametrize("option", [("--time-zone", "Europe/Berlin"), ("--save-mapping", "saved.json")])
def test_json_lines_without_a_mapping_refuse_options_of_a_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    order = {
        "provider": "s", "email": "a@x.example", "action": "placed", "order_id": 1, "occurred_at": "2024-01-01T10:00",
        "grand_total": 5,
    }  # fmt: skip
    file = tmp_path / "orders.jsonl"
    file.write_text(json.dumps(order))
    assert run(None, file).exit_code == 0
    ran = run(None, file, *option)
    assert ran.exit_code == 2
    assert f"{option[0]} needs a mapping" in ran.stderr
    fields = {name: [name] for name in order}
    (tmp_path / "mapping.json").write_text(json.dumps({"fields": fields}))
    assert run(None, file, "--mapping", "mapping.json", *option).exit_code == 0


def test_an_order_that_the_api_refuses_is_reported_with_its_line(api: FakeApi, tmp_path: Path) -> None:
    api.refuse = lambda event: "order_id" if event["order_id"] == "13" else ""
    file = plain(tmp_path / "orders.csv", 40)
    ran = run(api, file, "--provider", "my_shop", "--concurrency", "1")
    assert ran.exit_code == 1
    assert "(line 15)" in ran.stderr  # order 13 follows the header and orders 0 to 12
    ran = run(api, file, "--provider", "my_shop", "--skip-bad", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["refused"]) == (0, 1)
    assert {event["order_id"] for event in api.events} == {str(n) for n in range(40)} - {"13"}


def test_a_wrong_key_is_reported(api: FakeApi, tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        tillbook, ["import", str(plain(tmp_path / "o.csv", 3)), "--url", api.url, "--key", "x", "--provider", "s"]
    )
    assert ran.exit_code == 1
    assert "The key is unknown" in ran.stderr


def test_a_line_break_after_the_key_is_ignored(api: FakeApi, tmp_path: Path) -> None:
    file = plain(tmp_path / "o.csv", 3)
    ran = CliRunner().invoke(
        tillbook, ["import", str(file), "--provider", "s"], env={"TILLBOOK_KEY": f"{KEY}\r\n", "TILLBOOK_URL": api.url}
    )
    assert (ran.exit_code, len(api.events)) == (0, 3), ran.output


def test_a_key_in_the_environment_is_not_sent_to_the_local_stack(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []

    def answer(_path: str, key: str, _body: bytes) -> Reply:
        keys.append(key)
        return 200, {}, {}

    monkeypatch.setattr(api, "answer", answer)
    (tmp_path / LOCAL_FILE).parent.mkdir()
    (tmp_path / LOCAL_FILE).write_text(json.dumps({"url": api.url}))
    monkeypatch.chdir(tmp_path)
    environment = {"TILLBOOK_KEY": "tb_production", "TILLBOOK_URL": "https://production.example"}
    for typed in ([], ["--key", "tb_given"]):
        CliRunner().invoke(tillbook, ["audience", "list", "--local", *typed], env=environment)
    assert keys == [f"Bearer {LOCAL_KEY}", "Bearer tb_given"]


@pytest.mark.parametrize("shape", [{}, {"status": "ok"}, [], [1], 1, "ok", {"account_id": None}, {"transactions": {}}])
@pytest.mark.parametrize(
    "words",
    [
        ("person", "x"), ("order", "1"), ("requests",), ("deadletters", "list"), ("deadletters", "replay", "x"),
        ("deadletters", "discard", "x", "--reason", "y"), ("audience", "export", "x"), ("import", "o.csv"),
        ("import", "o.csv", "--account", "1"),
    ],
)  # fmt: skip
def test_a_url_of_another_service_is_reported(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], shape: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    plain(tmp_path / "o.csv", 3)
    more = ("--provider", "s") if words[0] == "import" else ()
    monkeypatch.setattr(api, "answer", lambda *_: (202 if "--account" in words else 200, {}, shape))
    ran = CliRunner().invoke(tillbook, [*words, *more, "--url", api.url, "--key", KEY])
    assert ran.exit_code == 1, ran.exception
    # An empty array is a valid list of audiences.
    said = "There is no audience x" if (words[0], shape) == ("audience", []) else "does not answer like Tillbook."
    assert said in ran.stderr


@pytest.mark.parametrize("shape", [{"errors": ["no"]}, {"errors": [None]}, {"errors": None}, {"errors": {"a": 1}}, [1]])
def test_errors_of_another_service_are_reported(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Any
) -> None:
    monkeypatch.setattr(api, "answer", lambda *_: (422, {}, shape))
    ran = run(api, plain(tmp_path / "o.csv", 3), "--provider", "s", "--account", "1")
    assert ran.exit_code == 1
    assert "Error: The API answered 422." in ran.stderr


@pytest.mark.parametrize("bad", ["tb_se\ncret", "tb_se cret", "tb_secr\u00e9t", "tb_secret\u2026", "tb_\x7fsecret"])
def test_an_invalid_key_is_not_shown(bad: str) -> None:
    ran = CliRunner().invoke(tillbook, ["requests", "--url", "http://127.0.0.1:9", "--key", bad])
    assert ran.exit_code == 2, ran.exception
    assert "characters that no key has" in ran.output
    assert "tb_" not in ran.output


def test_an_import_reports_a_missing_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_stack() -> dict[str, str]:
        raise Unreachable("No local stack is running.")

    monkeypatch.setattr("cli.tillbook_cli.api.local_stack", no_stack)
    ran = CliRunner().invoke(tillbook, ["import", str(plain(tmp_path / "orders.csv", 1)), "--local"])
    assert (ran.exit_code, ran.stderr) == (3, "Error: No local stack is running.\n")
