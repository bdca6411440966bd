"""`tillbook import` against an API in memory: what is sent, what is refused, and that nothing counts twice."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.tillbook_cli import histories, mappings, sending
from cli.tillbook_cli.api import Api, retry_after
from cli.tillbook_cli.checking import checked
from cli.tillbook_cli.connection import LOCAL_FILE, LOCAL_KEY
from cli.tillbook_cli.main import tillbook
from cli.tillbook_cli.rows import MAX_LINE_BYTES, Place, Source, Unreadable
from cli.tillbook_cli.sending import units
from tests.cli.fake_api import KEY, FakeApi, serving
from tests.import_run.history import write
from tillbook.rules.identity import payload_hash

MARKER = "import-marker.example"
PLAIN = "order_id,email,occurred_at,grand_total,currency\n"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.setattr(sending, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(sending, "_LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(sending, "UNIT_EVENTS", 10)
    with serving() as running:
        yield running


def run(api: FakeApi | None, file: Path, *options: str) -> Result:
    where = ["--url", api.url, "--key", KEY] if api else ["--check"]
    result = CliRunner().invoke(tillbook, ["import", str(file), *where, *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert MARKER not in result.output
    for path in file.parent.iterdir():
        if path != file:
            assert MARKER not in path.read_text(), path
    return result


def plain(path: Path, count: int, first: int = 0) -> Path:
    rows = (f"{n},p{n}@{MARKER},2024-01-01T00:00:{n % 60:02d}Z,{n}.50,USD\n" for n in range(first, first + count))
    path.write_text(PLAIN + "".join(rows))
    return path


def payloads(path: Path, version: str = "v3", **options: Any) -> list[dict[str, Any]]:
    with Source(path) as source:
        mapping = mappings.resolved(mappings.guessed(source.columns), source.columns)
        orders = list(checked(mappings.entries(source.rows(), mapping), version, mapping, options.get("provider", "")))
    assert not any(order.rejects for order in orders), orders
    return [json.loads(body) for order in orders for body in order.bodies]


# --------------------------------------------------------------------- sending


def test_all_of_a_file_is_sent_once(api: FakeApi, tmp_path: Path) -> None:
    ran = run(api, plain(tmp_path / "orders.csv", 95), "--provider", "my_shop", "--json")
    assert ran.exit_code == 0, ran.output
    summary = json.loads(ran.stdout)
    assert (summary["orders"], summary["sent"], summary["rejected"], summary["mapping"]) == (95, 95, 0, "plain")
    assert len(api.events) == len(api.identities) == 95
    assert {len(batch) for batch in api.batches} == {10, 5}
    assert sum(Decimal(event["grand_total"]) for event in api.events) == sum(range(95)) + Decimal("47.5")
    assert api.events[0].keys() == {
        "action", "order_id", "email", "occurred_at", "grand_total", "currency", "provider",
    }  # fmt: skip


def test_a_second_run_sends_nothing_and_again_sends_the_same(api: FakeApi, tmp_path: Path) -> None:
    file = plain(tmp_path / "orders.csv", 30)
    assert run(api, file, "--provider", "my_shop").exit_code == 0
    ran = run(api, file, "--provider", "my_shop")
    assert (ran.exit_code, len(api.events)) == (0, 30)
    assert "Give --again" in ran.stderr
    assert run(api, file, "--provider", "my_shop", "--again").exit_code == 0
    assert (len(api.events), len(api.identities)) == (60, 30)


def test_what_passes_is_tried_again(api: FakeApi, tmp_path: Path) -> None:
    answers: list[Any] = [(429, {"retry-after": "0"}), (503, {}), None, (500, {}), "take"]
    api.fault = lambda number: answers[number % len(answers)]
    ran = run(api, plain(tmp_path / "orders.csv", 60), "--provider", "my_shop", "--concurrency", "3")
    assert ran.exit_code == 0, ran.output
    assert len(api.identities) == 60
    assert api.tries > 20
    assert api.most_at_once <= 3


def test_who_is_asked_to_wait_waits(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    waits = threading.Event.wait

    def wait(event: threading.Event, seconds: float | None = None) -> bool:
        if seconds and seconds >= 7:
            pauses.append(seconds)
            return False
        return waits(event, seconds)

    monkeypatch.setattr(threading.Event, "wait", wait)
    api.fault = lambda number: (429, {"retry-after": "7"}) if number == 1 else "take"
    assert run(api, plain(tmp_path / "orders.csv", 5), "--provider", "my_shop").exit_code == 0
    assert len(pauses) == 1


def test_retry_after_in_both_forms() -> None:
    assert retry_after("3") == 3
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    assert retry_after("Thu, 01 Jan 2125 00:00:00 GMT") > 1e9
    assert retry_after("soon") == retry_after(None) == 0


def test_who_gets_no_answer_goes_on_later(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.05)
    api.fault = lambda number: "take" if number <= 2 else (503, {})
    file = plain(tmp_path / "orders.csv", 100)
    ran = run(api, file, "--provider", "my_shop", "--concurrency", "1")
    assert ran.exit_code == 3
    assert "Run the same command again" in ran.stderr
    assert json.loads((tmp_path / "orders.csv.tillbook-import").read_text())["orders"] == 20
    api.fault = lambda _number: "take"
    ran = run(api, file, "--provider", "my_shop", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["resumed_at"]) == (0, 20)
    assert len(api.events) == len(api.identities) == 100


def test_ctrl_c_keeps_what_was_answered(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    senders: list[sending.Sender] = []
    start = sending.Sender.run

    def started(sender: sending.Sender, *arguments: Any) -> None:
        senders.append(sender)
        start(sender, *arguments)

    def fault(number: int) -> str:
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)
            # Answered once the signal was seen: by then the other connection may have sent one more.
            assert senders[0].stop.wait(120)
        return "take"

    monkeypatch.setattr(sending.Sender, "run", started)
    api.fault = fault
    file = plain(tmp_path / "orders.csv", 200)
    ran = run(api, file, "--provider", "my_shop", "--concurrency", "2")
    assert ran.exit_code == 130, ran.output
    sent = json.loads((tmp_path / "orders.csv.tillbook-import").read_text())["orders"]
    assert sent in (40, 50)
    # All that was on the wire was waited for and noted.
    assert len(api.events) == sent
    api.fault = lambda _number: "take"
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


def test_a_file_that_changed_is_refused(api: FakeApi, tmp_path: Path) -> None:
    file = plain(tmp_path / "orders.csv", 20)
    assert run(api, file, "--provider", "my_shop").exit_code == 0
    plain(file, 21)
    ran = run(api, file, "--provider", "my_shop")
    assert ran.exit_code == 1
    assert "differs in: the file itself." in ran.stderr
    plain(file, 20)
    assert "differs in: mapping, provider." in run(api, file, "--provider", "other").stderr
    assert len(api.events) == 20


@pytest.mark.parametrize("given", [["--provider", "my_shop"], ["--api", "v1"]])
def test_histories_in_currencies_that_are_withdrawn_by_now(api: FakeApi, tmp_path: Path, given: list[str]) -> None:
    file = tmp_path / "orders.csv"
    rows = [f"{n},p{n}@{MARKER},2022-01-01T00:00:00Z,5,{code}\n" for n, code in enumerate(["BGN", "hrk", "ANG"])]
    file.write_text(PLAIN + "".join(rows))
    ran = run(api, file, *given)
    assert ran.exit_code == 0, ran.output
    assert len(api.orders if "v1" in given else api.identities) == 3


def test_through_v1(api: FakeApi, tmp_path: Path) -> None:
    file = plain(tmp_path / "orders.csv", 40)
    with file.open("a") as more:
        more.write(f"3,p3@{MARKER},2024-01-01T00:00:03Z,99,USD\n")  # another content of an order that stands
    ran = run(api, file, "--api", "v1", "--concurrency", "1", "--json")
    assert ran.exit_code == 1, ran.output
    assert len(api.orders) == 40
    assert api.orders["7"] == {
        "order_id": "7", "order_date": "2024-01-01T00:00:07Z", "total": "7.50", "currency": "USD",
        "customer_email": f"p7@{MARKER}",
    }  # fmt: skip
    summary = json.loads(ran.stdout)
    assert (summary["sent"], summary["refused"]) == (40, 1)
    assert "42,,,refused by the API: order_id exists" in (tmp_path / "orders.csv.rejects.csv").read_text()
    # Also when it is asked once more.
    assert run(api, file, "--api", "v1").exit_code == 1
    assert run(api, file, "--api", "v1", "--skip-bad").exit_code == 0
    assert run(api, plain(file, 40), "--api", "v1", "--state", str(tmp_path / "new")).exit_code == 0


def test_json_lines_are_orders_as_the_api_takes_them(api: FakeApi, tmp_path: Path) -> None:
    event = {
        "provider": "my_shop", "email": f"a@{MARKER}", "action": "placed", "order_id": 1, "occurred_at": "2024-01-01",
    }  # fmt: skip
    file = tmp_path / "orders.jsonl.gz"
    # As a float it would be another amount.
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
def test_json_lines_without_a_mapping_take_no_options_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    order = {
        "provider": "s", "email": "a@x.example", "action": "placed", "order_id": 1, "occurred_at": "2024-01-01T10:00",
    }  # fmt: skip
    file = tmp_path / "orders.jsonl"
    file.write_text(json.dumps(order))
    assert run(None, file).exit_code == 0
    ran = run(None, file, *option)
    assert ran.exit_code == 2
    assert f"{option[0]} goes with a mapping" in ran.stderr
    fields = {name: [name] for name in order}
    (tmp_path / "mapping.json").write_text(json.dumps({"fields": fields}))
    assert run(None, file, "--mapping", "mapping.json", *option).exit_code == 0


def test_an_api_that_is_stricter_names_the_line(api: FakeApi, tmp_path: Path) -> None:
    api.refuse = lambda event: "order_id" if event["order_id"] == "13" else ""
    file = plain(tmp_path / "orders.csv", 40)
    ran = run(api, file, "--provider", "my_shop", "--concurrency", "1")
    assert ran.exit_code == 1
    assert "(line 15)" in ran.stderr
    ran = run(api, file, "--provider", "my_shop", "--skip-bad", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["refused"]) == (0, 1)
    assert {event["order_id"] for event in api.events} == {str(n) for n in range(40)} - {"13"}


def test_a_wrong_key_is_told(api: FakeApi, tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        tillbook, ["import", str(plain(tmp_path / "o.csv", 3)), "--url", api.url, "--key", "x", "--provider", "s"]
    )
    assert ran.exit_code == 1
    assert "The key is unknown" in ran.stderr


def test_a_key_with_a_line_break_is_read_without_it(api: FakeApi, tmp_path: Path) -> None:
    file = plain(tmp_path / "o.csv", 3)
    ran = CliRunner().invoke(
        tillbook, ["import", str(file), "--provider", "s"], env={"TILLBOOK_KEY": f"{KEY}\r\n", "TILLBOOK_URL": api.url}
    )
    assert (ran.exit_code, len(api.events)) == (0, 3), ran.output


def test_an_exported_key_does_not_go_to_the_local_stack(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    monkeypatch.setattr(api, "answer", lambda _path, key, _body: keys.append(key) or (200, {}, {}))
    (tmp_path / LOCAL_FILE).parent.mkdir()
    (tmp_path / LOCAL_FILE).write_text(json.dumps({"url": api.url}))
    monkeypatch.chdir(tmp_path)
    exported = {"TILLBOOK_KEY": "tb_production", "TILLBOOK_URL": "https://production.example"}
    for typed in ([], ["--key", "tb_given"]):
        CliRunner().invoke(tillbook, ["audience", "list", "--local", *typed], env=exported)
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
def test_what_is_no_tillbook_is_told(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], shape: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    plain(tmp_path / "o.csv", 3)
    more = ("--provider", "s") if words[0] == "import" else ()
    monkeypatch.setattr(api, "answer", lambda *_: (202 if "--account" in words else 200, {}, shape))
    ran = CliRunner().invoke(tillbook, [*words, *more, "--url", api.url, "--key", KEY])
    assert ran.exit_code == 1, ran.exception
    said = "There is no audience x" if (words[0], shape) == ("audience", []) else "does not answer as Tillbook does."
    assert said in ran.stderr


@pytest.mark.parametrize("shape", [{"errors": ["no"]}, {"errors": [None]}, {"errors": None}, {"errors": {"a": 1}}, [1]])
def test_refusals_of_what_is_no_tillbook_are_told(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Any
) -> None:
    monkeypatch.setattr(api, "answer", lambda *_: (422, {}, shape))
    ran = run(api, plain(tmp_path / "o.csv", 3), "--provider", "s", "--account", "1")
    assert ran.exit_code == 1
    assert "Error: The API answered 422." in ran.stderr


@pytest.mark.parametrize("bad", ["tb_se\ncret", "tb_se cret", "tb_secr\u00e9t", "tb_secret\u2026", "tb_\x7fsecret"])
def test_what_can_be_no_key_is_not_shown(bad: str) -> None:
    ran = CliRunner().invoke(tillbook, ["requests", "--url", "http://127.0.0.1:9", "--key", bad])
    assert ran.exit_code == 2, ran.exception
    assert "characters that no key has" in ran.output
    assert "tb_" not in ran.output


# ---------------------------------------------------------------------- check


def test_bad_rows_go_to_a_file_with_their_lines(api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    rows = [
        "1,a@x.example,2024-01-01,5,USD",
        f"2,not an address of {MARKER},2024-01-01,5,USD",
        "3,a@x.example,yesterday,5,USD",
        '4,a@x.example,"2024-01-01",-5,"USD"',
        "5,a@x.example,,5,USD",
        f"6,b@{MARKER},2024-01-01,5",
        ",a@x.example,2024-01-01,5,USD",
        f'"7\n7",a@x.example,2024-01-01,5,Dollars of c@{MARKER}',
        "8,a@x.example,2999-01-01,5,USD",
        '9,"a@x.example"b,2024-01-01,5,USD',
        "10,a@x.example,2024-01-01,0.1,USD",
    ]
    file.write_text(PLAIN + "\n".join(rows) + "\n")
    ran = run(api, file, "--provider", "my_shop", "--json")
    assert (ran.exit_code, api.events) == (1, [])
    summary = json.loads(ran.stdout)
    assert (summary["orders"], summary["rejected"]) == (2, 9)
    with (tmp_path / "orders.csv.rejects.csv").open(newline="") as bad:
        found = [(int(r["line"]), r["column"], r["message"]) for r in csv.DictReader(bad)]
    assert found == [
        (3, "email", "must be an e-mail address"),
        (4, "occurred_at", "must be a date or date-time in ISO 8601 format"),
        (5, "grand_total", "must be at least 0"),
        (6, "occurred_at", "is required in an import"),
        (7, "", "has 4 cells, the header has 5"),
        (8, "order_id", "is required"),
        (9, "order_id", "must not contain control characters"),
        (9, "currency", "must be an ISO 4217 currency code"),
        (11, "occurred_at", "must not be more than 24 hours ahead"),
        (12, "", "is not CSV: ',' expected after '\"'"),
    ]
    assert run(api, file, "--provider", "my_shop", "--skip-bad").exit_code == 0
    assert [event["order_id"] for event in api.events] == ["1", "10"]


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_a_refund_that_would_count_nothing_is_refused(tmp_path: Path, version: str) -> None:
    file = tmp_path / "orders.csv"
    rows = ["1,10,10,", "2,10,0.00,", "3,10,,", "4,10,2.5,2.50", "5,10,2.5,2", "6,10,,10", "7,10,ten,"]
    rows = [f"{number},a@x.example,2024-01-01,{rest}" for number, rest in (row.split(",", 1) for row in rows)]
    file.write_text("order_id,email,occurred_at,grand_total,Refund amount,refunded\n" + "\n".join(rows))
    assert run(None, file, "--provider", "s", "--api", version).exit_code == 1
    with (tmp_path / "orders.csv.rejects.csv").open(newline="") as bad:
        found = [
            (int(r["line"]), r["field"], r["column"]) for r in csv.DictReader(bad) if "needs an action" in r["message"]
        ]
    assert found == [(line, "refund_amount", "Refund amount") for line in (2, 6, 8)]


def test_what_is_sent_of_a_row_without_a_refund_is_frozen(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("order_id,email,occurred_at,grand_total,refund_amount\n1,a@x.example,2024-01-01,10,0.00\n")
    assert payloads(file, provider="s") == [
        {
            "action": "placed", "order_id": "1", "email": "a@x.example", "occurred_at": "2024-01-01T00:00:00Z",
            "grand_total": "10", "refund_amount": "0.00", "provider": "s",
        }
    ]  # fmt: skip
    file.write_text(
        "order_id,email,occurred_at,action,refund_amount\n1,a@x.example,2024-01-01,refunded,10\n"
        "1,a@x.example,2024-01-01,placed,10\n"
    )
    assert [event["action"] for event in payloads(file, provider="s")] == ["refunded", "placed"]


def test_a_refund_in_json_lines_needs_an_action_too(api: FakeApi, tmp_path: Path) -> None:
    event = {"provider": "s", "email": "a@x.example", "order_id": 1, "occurred_at": "2024-01-01", "refund_amount": 5}
    file = tmp_path / "orders.jsonl"
    for more in ({}, {"refunded_amount": 5}):  # which means nothing to the API
        file.write_text(json.dumps(event | more))
        ran = run(api, file)
        assert (ran.exit_code, api.events) == (1, [])
        assert "refund_amount: needs an action (refunded)" in ran.stderr
    file.write_text(json.dumps(event | {"action": "refunded"}))
    assert run(api, file).exit_code == 0


def test_the_file_itself_is_never_replaced(tmp_path: Path) -> None:
    file = plain(tmp_path / "orders.csv", 3)
    for option in ("--rejects", "--state", "--save-mapping"):
        ran = CliRunner().invoke(tillbook, ["import", str(file), "--check", option, str(file)])
        assert (ran.exit_code, file.read_text()) == (2, plain(tmp_path / "other.csv", 3).read_text())


def test_a_state_that_cannot_be_written_is_told(api: FakeApi, tmp_path: Path) -> None:
    state = str(tmp_path / "no-folder" / "state")
    ran = run(api, plain(tmp_path / "orders.csv", 3), "--provider", "my_shop", "--state", state)
    assert (ran.exit_code, api.events) == (1, [])
    assert "No such file or directory." in ran.stderr


def test_rejects_of_an_earlier_check_are_gone(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(PLAIN + "1,a@x.example,2024-01-01,five,USD\n")
    assert run(None, file, "--provider", "my_shop").exit_code == 1
    assert (tmp_path / "orders.csv.rejects.csv").exists()
    assert run(None, plain(file, 1), "--provider", "my_shop").exit_code == 0
    assert not (tmp_path / "orders.csv.rejects.csv").exists()


def test_times_as_shops_write_them() -> None:
    berlin = mappings.in_zone(mappings.preset("plain"), "Europe/Berlin")
    for text, must in {
        "2024-01-05 10:22:33 -0500": "2024-01-05T15:22:33Z", "2024-07-05 10:22": "2024-07-05T08:22:00Z",
        "2024-01-05 10:22:33 UTC": "2024-01-05T10:22:33Z", "2024-01-05": "2024-01-05T00:00:00Z",
        "2024-01-05T10:22:33.5+01:00": "2024-01-05T09:22:33.5Z", "01/05/2024": "01/05/2024",
    }.items():  # fmt: skip
        assert histories.moment(text, berlin) == must
    new_york = mappings.in_zone(mappings.preset("plain"), "America/New_York")
    for text, must in {
        "2024-01-01T10:15": "2024-01-01T15:15:00Z", "20240101T101500": "2024-01-01T15:15:00Z",
        "2024-01-01T10": "2024-01-01T15:00:00Z", "2024-01-01t10": "2024-01-01T15:00:00Z",
        "20240101 1015": "2024-01-01T15:15:00Z", "20240101T101500Z": "2024-01-01T10:15:00Z",
        "20240101T101500+0100": "2024-01-01T09:15:00Z", "20240101": "2024-01-01T00:00:00Z",
        "2024-W01-1": "2024-01-01T00:00:00Z", "2024-W01-1T10": "2024-01-01T15:00:00Z",
    }.items():  # fmt: skip
        assert histories.moment(text, new_york) == must


def test_rejects_as_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(PLAIN + "1,a@x.example,2024-01-01,five,USD\n")
    ran = run(None, file, "--provider", "my_shop", "--rejects", str(tmp_path / "bad.jsonl"))
    assert ran.exit_code == 1
    assert json.loads((tmp_path / "bad.jsonl").read_text()) == {
        "line": 2, "field": "grand_total", "column": "grand_total", "message": "must be a number",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"\n", "The file is empty"),
        (b"a@b.example,5\n", "The file has (an e-mail address), 5."),
        (b"order_id,email,grand_total\n", "No column is occurred_at"),
        (b"order_id,order_id,occurred_at\n", "There are 2 columns order_id."),
        (b"order_id,email,occurred_at,grand_total\n1,a@b.example,2024-01-01,5\n", "give one, as --provider my_shop"),
        (b"\x1f\x8b\x08\x00broken", "cannot be read"),
    ],
)
def test_files_that_cannot_be_imported(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(content)
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check"])
    assert ran.exit_code == 1, ran.output
    assert said in ran.stderr


def test_lines_of_any_length_and_broken_text(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    line = "2024-01-01,5,USD\n"
    file.write_bytes(
        (PLAIN + f"1,{'x' * 3 * MAX_LINE_BYTES},{line}2,a@b.example,{line}").encode()
        + b"3,\xff@b.example,2024-01-01,5,USD\n"
        + f'4,a@b.example,{line}5,"a@b.example,{line}'.encode()
    )
    with Source(file) as source:
        found = [(row.line, row.fault) for row in source.rows()]
    assert found == [
        (2, "is longer than 1024 KiB"), (3, ""), (4, "is not utf-8: give --encoding"), (5, ""),
        (6, "is not CSV: unexpected end of data"),
    ]  # fmt: skip


def test_a_gzip_that_was_cut_is_told(tmp_path: Path) -> None:
    whole = gzip.compress(plain(tmp_path / "orders.csv", 5000).read_bytes(), mtime=0)
    file = tmp_path / "cut.csv.gz"
    file.write_bytes(whole[: len(whole) // 2])
    with Source(file) as source, pytest.raises(Unreadable, match="cut short"):
        list(source.rows())


# ------------------------------------------------------- any place to go on from


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.booleans(), st.data())
def test_any_cut_yields_each_order_once(seed: int, size: int, packed: bool, data: st.DataObject) -> None:
    """Killed behind any unit, and cut anew from there: the same events, each once."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "orders.csv"
        write(file, 25, seed, 5, "x.example")
        if packed:
            file.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
        with Source(file) as source:
            mapping = mappings.resolved(mappings.guessed(source.columns), source.columns)

            def read(place: Place | None) -> Any:
                return checked(mappings.entries(source.rows(place), mapping), "v3", mapping, "")

            whole = [body for order in read(None) for body in order.bodies]
            sent: list[bytes] = []
            place: Place | None = None
            with pytest.MonkeyPatch.context() as patch:
                while True:
                    patch.setattr(sending, "UNIT_EVENTS", data.draw(st.integers(1, size)))
                    found = list(units(read(place), "v3"))
                    if not found:
                        break
                    stop = data.draw(st.integers(1, len(found)))
                    sent += [body for unit in found[:stop] for _, body in unit.events]
                    place = found[stop - 1].end
        assert sent == whole
        assert len({payload_hash(json.loads(body)) for body in whole}) == len(whole)
