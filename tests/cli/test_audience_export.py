"""`tillbook audience export` against the whole stack."""

from __future__ import annotations

import csv
import io
import json
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.tillbook_cli import audience
from cli.tillbook_cli.main import tillbook
from local.seed import ACCOUNT
from local.stack import Stack
from tillbook.records.accounts import Account, Accounts
from tillbook.records.keys import Keys

ORDERS = 7


@pytest.fixture(scope="module")
def where(stack: Stack) -> list[str]:
    """The options that select an account with ORDERS orders of the Orders API, each to another address."""
    account, records = f"{ACCOUNT}-export", stack.outputs["RecordsTableName"]
    Accounts(stack.boto3_client("dynamodb"), records).create(Account(account))
    key = Keys(stack.boto3_client("dynamodb"), records).create(account, "admin")[1]
    for number in range(ORDERS):
        address = {"name": '=Ann, "A"', "address_1": f"{number} Main St", "postal_code": "12345"}
        order = {"order_id": f"E-{number}", "order_date": "2026-02-03", "shipping_address": address}
        request = urllib.request.Request(
            f"{stack.url}/v1/order",
            json.dumps(order).encode(),
            {"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201
    return ["--url", stack.url, "--key", key]


def test_an_audience_export_joins_all_pages(where: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "PAGE", 2)
    out = tmp_path / "members.csv"
    ran = CliRunner().invoke(tillbook, ["audience", "export", "customers-orders-api", "--output", str(out), *where])
    assert ran.exit_code == 0, ran.output
    rows = list(csv.DictReader(io.StringIO(out.read_text(), newline="")))
    assert sorted(row["order_id"] for row in rows) == [f"E-{number}" for number in range(ORDERS)]
    # A cell that a spreadsheet would run as a formula begins with an apostrophe.
    assert {row["name"] for row in rows} == {'\'=Ann, "A"'}


def test_audiences_are_listed_with_their_sizes(where: list[str]) -> None:
    listed = CliRunner().invoke(tillbook, ["audience", "list", *where])
    assert [entry["member_count"] for entry in json.loads(listed.stdout)] == [ORDERS, 0]  # no v3 orders


def test_an_export_of_an_unknown_audience_is_refused(where: list[str]) -> None:
    ran = CliRunner().invoke(tillbook, ["audience", "export", "customers", *where])
    assert ran.exit_code == 1
    assert "There is no audience customers" in ran.output
