"""`tillbook import`: refused rows, the file of rejects, and lines that cannot be read."""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.tillbook_cli import checking, histories, mappings, records, sending
from cli.tillbook_cli.checking import checked
from cli.tillbook_cli.main import tillbook
from cli.tillbook_cli.rows import MAX_LINE_BYTES, Place, Source, Unreadable
from cli.tillbook_cli.sending import units
from tests.cli.fake_api import FakeApi
from tests.cli.importing import HEADER_LINE, MARKER, payloads, plain, run
from tests.import_run.history import write
from tillbook.rules.identity import payload_hash


def test_bad_rows_are_written_to_a_file_with_line_numbers(api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    rows = [
        "1,a@x.example,2024-01-01,5,USD",
        f"2,not an address of {MARKER},2024-01-01,5,USD",
        "3,a@x.example,yesterday,5,USD",
        '4,a@x.example,"2024-01-01",-5,"USD"',
        "5,a@x.example,,5,USD",
        f"6,b@{MARKER},2024-01-01,5",
        ",a@x.example,2024-01-01,5,USD",
        # This row takes two lines, and has two faults.
        f'"7\n7",a@x.example,2024-01-01,5,Dollars of c@{MARKER}',
        "8,a@x.example,2999-01-01,5,USD",
        '9,"a@x.example"b,2024-01-01,5,USD',
        "10,a@x.example,2024-01-01,0.1,USD",
    ]
    file.write_text(HEADER_LINE + "\n".join(rows) + "\n")
    ran = run(api, file, "--provider", "my_shop", "--json")
    assert (ran.exit_code, api.events) == (1, [])
    summary = json.loads(ran.stdout)
    assert (summary["orders"], summary["rejected"]) == (2, 9)
    with (tmp_path / "orders.csv.rejects.csv").open(newline="") as bad:
        found = [(int(r["line"]), r["column"], r["message"]) for r in csv.DictReader(bad)]
    assert found == [
        (3, "email", "must be an e-mail address"),
        (4, "occurred_at", f"must be a date or date-time in ISO 8601 format{checking._DATE_HELP}"),
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
    # grand_total, refund_amount (which counts only in rows with an action), refunded_amount (which is subtracted)
    amounts = ["10,10,", "10,0.00,", "10,,", "10,2.5,2.50", "10,2.5,2", "10,,10", "10,ten,"]
    rows = [f"{number},a@x.example,2024-01-01,{cells}" for number, cells in enumerate(amounts, 1)]
    file.write_text("order_id,email,occurred_at,grand_total,Refund amount,refunded\n" + "\n".join(rows))
    assert run(None, file, "--provider", "s", "--api", version).exit_code == 1
    with (tmp_path / "orders.csv.rejects.csv").open(newline="") as bad:
        found = [
            (int(r["line"]), r["field"], r["column"]) for r in csv.DictReader(bad) if "needs an action" in r["message"]
        ]
    # Orders 1, 5 and 7: their refund is neither zero nor the amount in `refunded`.
    assert found == [(line, "refund_amount", "Refund amount") for line in (2, 6, 8)]


def test_a_refund_amount_is_sent_if_it_is_zero_or_the_row_has_an_action(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("order_id,email,occurred_at,grand_total,refund_amount\n1,a@x.example,2024-01-01,10,0.00\n")
    assert payloads(file, provider="s") == [
        {
            "action": "placed", "order_id": "1", "email": "a@x.example", "occurred_at": "2024-01-01T00:00:00Z",
            "grand_total": "10.00", "refund_amount": "0.00", "provider": "s",
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
    for more in ({}, {"refunded_amount": 5}):  # the API ignores refunded_amount
        file.write_text(json.dumps(event | more))
        ran = run(api, file)
        assert (ran.exit_code, api.events) == (1, [])
        assert "refund_amount: needs an action (refunded)" in ran.stderr
    file.write_text(json.dumps(event | {"action": "refunded"}))
    assert run(api, file).exit_code == 0


def test_options_cannot_overwrite_the_imported_file(tmp_path: Path) -> None:
    file = plain(tmp_path / "orders.csv", 3)
    for option in ("--rejects", "--state", "--save-mapping"):
        ran = CliRunner().invoke(tillbook, ["import", str(file), "--check", option, str(file)])
        assert (ran.exit_code, file.read_text()) == (2, plain(tmp_path / "other.csv", 3).read_text())


def test_a_state_that_cannot_be_written_is_reported(api: FakeApi, tmp_path: Path) -> None:
    state = str(tmp_path / "no-folder" / "state")
    ran = run(api, plain(tmp_path / "orders.csv", 3), "--provider", "my_shop", "--state", state)
    assert (ran.exit_code, api.events) == (1, [])
    assert "No such file or directory." in ran.stderr


def test_rejects_of_an_earlier_check_are_deleted(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(HEADER_LINE + "1,a@x.example,2024-01-01,five,USD\n")
    assert run(None, file, "--provider", "my_shop").exit_code == 1
    assert (tmp_path / "orders.csv.rejects.csv").exists()
    assert run(None, plain(file, 1), "--provider", "my_shop").exit_code == 0
    assert not (tmp_path / "orders.csv.rejects.csv").exists()


def test_time_formats_of_shops_are_parsed() -> None:
    berlin = mappings.in_zone(mappings.preset("plain"), "Europe/Berlin")
    for text, expected in {
        "2024-01-05 10:22:33 -0500": "2024-01-05T15:22:33Z", "2024-07-05 10:22": "2024-07-05T08:22:00Z",
        "2024-01-05 10:22:33 UTC": "2024-01-05T10:22:33Z", "2024-01-05": "2024-01-05T00:00:00Z",
        "2024-01-05T10:22:33.5+01:00": "2024-01-05T09:22:33.5Z",
        "01/05/2024": "01/05/2024",  # not parsed without --date-format
    }.items():  # fmt: skip
        assert histories.moment(text, berlin) == expected
    new_york = mappings.in_zone(mappings.preset("plain"), "America/New_York")
    for text, expected in {
        "2024-01-01T10:15": "2024-01-01T15:15:00Z", "20240101T101500": "2024-01-01T15:15:00Z",
        "2024-01-01T10": "2024-01-01T15:00:00Z", "2024-01-01t10": "2024-01-01T15:00:00Z",
        "20240101 1015": "2024-01-01T15:15:00Z", "20240101T101500Z": "2024-01-01T10:15:00Z",
        "20240101T101500+0100": "2024-01-01T09:15:00Z", "20240101": "2024-01-01T00:00:00Z",
        "2024-W01-1": "2024-01-01T00:00:00Z", "2024-W01-1T10": "2024-01-01T15:00:00Z",
    }.items():  # fmt: skip
        assert histories.moment(text, new_york) == expected


def test_rejects_can_be_written_as_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(HEADER_LINE + "1,a@x.example,2024-01-01,five,USD\n")
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
        (b"order_id,email,occurred_at,grand_total\n1,a@b.example,2024-01-01,5\n", "Name one: --provider my_shop"),
        (b"\x1f\x8b\x08\x00broken", "cannot be decompressed"),
    ],
)
def test_files_that_cannot_be_imported_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(content)
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check"])
    assert ran.exit_code == 1, ran.output
    assert said in ran.stderr


def test_too_long_and_undecodable_lines_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    line = "2024-01-01,5,USD\n"
    file.write_bytes(
        (HEADER_LINE + f"1,{'x' * 3 * MAX_LINE_BYTES},{line}2,a@b.example,{line}").encode()
        + b"3,\xff@b.example,2024-01-01,5,USD\n"
        + f'4,\u00e4@b.example,{line}5,"a@b.example,{line}'.encode()
    )
    with Source(file) as source:
        found = [(row.line, row.fault) for row in source.rows()]
    assert found == [
        (2, "is longer than 1024 KiB"), (3, ""), (4, "is not utf-8: give --encoding"), (5, ""),
        (6, "is not CSV: unexpected end of data"),
    ]  # fmt: skip


def test_a_truncated_gzip_file_is_reported(tmp_path: Path) -> None:
    whole = gzip.compress(plain(tmp_path / "orders.csv", 5000).read_bytes(), mtime=0)
    file = tmp_path / "cut.csv.gz"
    file.write_bytes(whole[: len(whole) // 2])
    with Source(file) as source, pytest.raises(Unreadable, match="cut short"):
        list(source.rows())


@pytest.mark.parametrize("name", ["cut.gz", "cut.csv.gz", "cut.jsonl.gz"])
@pytest.mark.parametrize("kept", [2, 12, 40])
def test_a_gzip_file_that_is_truncated_near_its_start_is_reported(tmp_path: Path, name: str, kept: int) -> None:
    whole = gzip.compress(plain(tmp_path / "orders.csv", 5000).read_bytes(), mtime=0)
    file = tmp_path / name
    file.write_bytes(whole[:kept])
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check"])
    assert ran.exit_code == 1
    assert "cut short" in ran.stderr


# ------------------------------------------------------------------ resuming


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.booleans(), st.data())
def test_an_import_resumed_after_any_unit_sends_each_order_once(
    seed: int, size: int, gzipped: bool, data: st.DataObject
) -> None:
    """An import that is killed after any unit and resumed there sends the same events, each once."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "orders.csv"
        write(file, 25, seed, 5, "x.example")
        if gzipped:
            file.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
        with Source(file) as source:
            mapping = mappings.resolved(mappings.guessed(source.columns), source.columns)

            def read(place: Place | None) -> Any:
                return checked(records.entries(source.rows(place), mapping), "v3", mapping, "")

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
