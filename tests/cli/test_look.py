"""`tillbook person`, `order`, `requests`, `deadletters` and `export`, against the whole stack."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.tillbook_cli import connection
from cli.tillbook_cli.api import Api
from cli.tillbook_cli.connection import LOCAL_FILE
from cli.tillbook_cli.main import tillbook
from local import announce, seed
from local.stack import Stack
from tests.cli.conftest import Ran
from tests.end_to_end.shop import Shop
from tillbook.ledger.items import BUCKETS, PERSON_PARTITIONS, Scope
from tillbook.ledger.ledger import Ledger
from tillbook.records.deadletters import DeadLetters
from tillbook.records.messages import Message, QueuedOrder
from tillbook.rules.identity import Person, email_sha256, order_key
from tillbook.rules.times import now, uuid7

pytestmark = pytest.mark.stack

ORDER = {"provider": "my_shop", "occurred_at": "2026-01-17T20:50:00Z", "order_id": "=1001", "currency": "EUR"}


@dataclass(frozen=True)
class Known:
    """Runs `tillbook` for a shop, with its key.

    The shop of the fixture has two v3 events, one of them sent twice, and a v1 order.
    """

    shop: Shop
    email: str

    def __call__(self, *words: str) -> Ran:
        where = ["--url", self.shop.stack.url, "--key", self.shop.admin_key]
        return run(*words, *where)

    def on_aws(self, *words: str) -> Ran:
        where = ["--endpoint-url", self.shop.stack.endpoint_url, "--region", "us-east-1", "--stack-name", "tillbook"]
        return run(*words, *where)


def run(*words: str) -> Ran:
    result = CliRunner().invoke(tillbook, [*words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def known(stack: Stack) -> Known:
    shop = Shop.open(stack)
    email = shop.email("look")
    shop.applied(ORDER | {"email": email, "action": "placed", "grand_total": "105.00"})
    shop.applied(
        ORDER | {"email": email, "action": "refunded", "refund_amount": "5.00", "occurred_at": "2026-01-18T09:00:00Z"}
    )
    again = shop.order(ORDER | {"email": email, "action": "placed", "grand_total": "105.00"}).json["request_id"]
    assert shop.outcome(again)["status"] == "duplicate"
    assert (
        shop.submit({"order_id": "W-7", "order_date": "2026-01-20", "total": 20, "customer_email": email}).status == 201
    )
    return Known(shop, email)


@pytest.fixture(autouse=True)
def credentials(no_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def test_person_shows_values_orders_and_activity(known: Known) -> None:
    shown = known("person", known.email)
    assert shown.code == 0, shown.err
    assert "lifetime value                   100.00 EUR, 20.00 USD" in shown.out
    assert "+105.00 EUR" in shown.out
    assert "-5.00 EUR" in shown.out
    assert known.email not in shown.out
    whole = known("person", known.email, "--json").json
    assert whole["lifetime_value_by_source"] == {"orders_api": {"USD": "20.00"}, "shopper_activity": {"EUR": "100.00"}}
    assert (len(whole["activity"]), len(whole["orders"])) == (3, 2)
    assert known("person", f"nobody-{known.email}") == Ran(1, "", "Error: No customer has this id or e-mail address.\n")


def test_order_shows_the_order_and_its_history(known: Known) -> None:
    (found,) = known("order", "=1001", "--json").json
    assert found["order"]["lifetime_value"] == "100.00"
    assert [step["lifetime_value"]["amount"] for step in found["history"]] == ["105.00", "100.00"]
    assert known("order", "=1001", "--provider", "my_shop", "--json").json == [found]
    shown = known("order", "W-7").out
    assert "Submitted an order" in shown
    assert "20.00 USD" in shown
    assert known("order", "W-8").code == 1


def test_order_shows_an_order_with_a_version_emptied_by_an_erasure(stack: Stack) -> None:
    shop = Shop.open(stack)
    erased, other = shop.email("erased"), shop.email("other")
    known = Known(shop, other)
    body = {"order_id": "W-9", "order_date": "2026-01-20", "total": 20, "customer_email": erased}
    assert shop.submit(body).status == 201
    assert shop.edit("W-9", {"customer_email": other}).status == 200
    assert "Submitted an order" in known("order", "W-9").out
    # The erasure's job makes this call. Calling it here saves the wait for the job.
    ledger = Ledger(stack.boto3_client("dynamodb"), stack.outputs["LedgerTableName"])
    scope, person = Scope(shop.account, "orders_api"), Person("email", email_sha256(erased)).id_in(shop.account)
    key = order_key("orders_api", "", "W-9")
    assert ledger.empty(scope, key, person, now(), lambda: True, float("inf")) == (1, True)
    shown = known("order", "W-9")
    assert shown.code == 0, shown.err
    assert "Submitted an order" not in shown.out
    assert "Edited an order" in shown.out
    assert "20.00 USD" in shown.out


def test_requests_are_listed_and_filtered(known: Known) -> None:
    applied = known("requests", "--status", "applied", "--source", "shopper_activity", "--json").json
    assert [entry["action"] for entry in applied] == ["refunded", "placed"]
    (repeat,) = known("requests", "--status", "duplicate", "--json").json
    assert repeat["original_request_id"] == applied[1]["request_id"]
    assert known("requests", repeat["request_id"], "--json").json == [repeat]
    assert "duplicate" in known("requests", "--order-id", "=1001").out
    assert known("requests", "--status", "failed") == Ran(0, "", "There are none.\n")
    assert known("requests", uuid7(), "--json").json[0]["status"] == "queued"


def test_dead_letters_are_listed_replayed_and_discarded(known: Known) -> None:
    shop, letters = known.shop, []
    table = DeadLetters(shop.stack.boto3_client("dynamodb"), shop.stack.outputs["RecordsTableName"])
    for number in range(2):
        letters.append(uuid7())
        order = QueuedOrder(
            account=shop.account, request_id=letters[-1], received=now(), position=0, event_id=f"dead-letter-{number}",
            occurred=now(), person=["email", "0" * 64],
            body={"provider": "my_shop", "order_id": f"D-{number}", "action": "placed"},
            content_hash="", notes=[],
        )  # fmt: skip
        table.keep(shop.account, letters[-1], "tried five times", Message(orders=[order]))
    listed = known("deadletters", "list")
    assert all(letter in listed.out for letter in letters)
    assert known("deadletters", "replay").code == 2
    assert known("deadletters", "replay", letters[0], "--json").json == {"replayed": 1}
    assert shop.outcome(letters[0])["status"] == "applied"
    assert known("deadletters", "discard", letters[1], "--reason", "a test", "--json").json["id"] == letters[1]
    assert known("deadletters", "list") == Ran(0, "", "There are none.\n")
    assert (
        known("deadletters", "discard", letters[1], "--reason", "a test").err
        == "Error: There is no such dead letter.\n"
    )


def test_a_replay_of_all_dead_letters_continues_until_all_are_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    answers = iter([{"replayed": 2, "next_cursor": "page-2"}, {"replayed": 1, "next_cursor": None}])

    def call(_api: Api, method: str, path: str, _payload: Any = None, **query: Any) -> Any:
        calls.append((method, path, query))
        return next(answers)

    monkeypatch.setattr(Api, "call", call)
    answer = run("deadletters", "replay", "--all", "--json", "--url", "http://127.0.0.1", "--key", "k")
    assert answer.json == {"replayed": 3}
    path = "/v1/deadletters/all/replay"
    assert calls == [("POST", path, {"cursor": None}), ("POST", path, {"cursor": "page-2"})]


def test_orders_people_and_audiences_are_exported(known: Known, tmp_path: Path) -> None:
    account = known.shop.account
    out = tmp_path / "orders.csv"
    assert known.on_aws("export", "orders", account, "--output", str(out)).code == 0
    rows = {row["order_id"]: row for row in csv.DictReader(io.StringIO(out.read_text(), newline=""))}
    # A cell that a spreadsheet would run as a formula begins with an apostrophe.
    order = rows["'=1001"]
    assert (order["grand_total"], order["refund_amount"], order["lifetime_value"]) == ("105.00", "5.00", "100.00")
    assert (rows["W-7"]["source"], rows["W-7"]["lifetime_value"]) == ("orders_api", "20.00")
    lines = known.on_aws("export", "orders", account, "--format", "jsonl", "--source", "orders_api").out.splitlines()
    assert [json.loads(line)["order_id"] for line in lines] == ["W-7"]

    people = list(csv.DictReader(io.StringIO(known.on_aws("export", "people", account).out, newline="")))
    person = known.shop.person(known.email)
    mine = {(p["source"], p["currency"]): p["lifetime_value"] for p in people if p["id"] == person["id"]}
    assert mine == {("orders_api", "USD"): "20.00", ("shopper_activity", "EUR"): "100.00"}
    lines = known.on_aws("export", "people", account, "--format", "jsonl").out.splitlines()
    listed = {shape["id"]: shape for shape in map(json.loads, lines)}[person["id"]]
    # The export lacks the dates of the first and the last order.
    assert person == listed | {name: person[name] for name in ("first_order_at", "last_order_at")}
    assert known.on_aws("export", "people", "nobody").code == 1

    members = known("export", "audience", "customers-orders-api")
    assert members.out == known("audience", "export", "customers-orders-api").out
    assert members.out.count("\n") == 2  # a header and W-7
    lines = known("export", "audience", "customers-orders-api", "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["order_id"] for line in lines] == ["W-7"]


def test_an_export_counts_no_events_of_an_order_that_was_deleted(stack: Stack) -> None:
    shop = Shop.open(stack)
    known = Known(shop, shop.email("deleted"))
    order = {"order_id": "W-8", "order_date": "2026-01-20", "total": 20, "customer_email": known.email}

    def exported() -> tuple[int, str]:
        line = json.loads(known.on_aws("export", "orders", shop.account, "--format", "jsonl").out)
        return line["events"], line["lifetime_value"]

    for _ in range(2):
        assert shop.submit(order).status == 201
        assert exported() == (1, "20.00")
        assert shop.edit("W-8", {"total": 30}).status == 200
        assert exported() == (2, "30.00")
        assert shop.delete("W-8").status == 200


def test_an_import_with_an_admin_key_needs_no_account(known: Known, tmp_path: Path) -> None:
    file, email = tmp_path / "orders.csv", known.shop.email("imported")
    file.write_text(
        "order_id,email,occurred_at,grand_total,refunded_amount\n"
        f"I-1,{email},2024-01-01,10.10,0\nI-2,{email},2024-01-02,5,2.5\n"
    )
    done = known("import", str(file), "--provider", "my_shop", "--json")
    assert (done.code, done.json["sent"], done.json["events"]) == (0, 2, 2)
    for order_id in ("I-1", "I-2"):
        known.shop.outcomes([entry["request_id"] for entry in _requests_about(known, order_id)])
    assert known.shop.ltv(email) == {"USD": "12.60"}  # 10.10, and 5 less 2.5
    where = ("--url", known.shop.stack.url, "--key", known.shop.ingest_key)
    refused = run("import", str(file), "--provider", "my_shop", *where)
    assert (refused.code, "give --account" in refused.err) == (1, True)


def _requests_about(known: Known, order_id: str) -> list[Any]:
    """The requests about an order, as soon as one is listed, which means that it was processed."""
    for _ in range(1_800):  # three minutes
        found: list[Any] = known("requests", "--order-id", order_id, "--json").json
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no request about {order_id} was processed")


def test_exports_are_read_page_by_page(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop.open(stack)
    known = Known(shop, shop.email("paged"))
    # Some of the 40 orders share one of the 16 partitions of orders. All orders are of three people, who share one of
    # the 256 partitions of people.
    emails = [shop.email(f"paged-{n}") for n in range(2_000)]
    same_partition = [e for e in emails if Person("email", email_sha256(e)).id_in(shop.account).startswith("00")][:3]
    assert len(same_partition) == 3
    orders = [ORDER | {"email": same_partition[n % 3], "action": "placed", "order_id": f"P-{n}"} for n in range(40)]
    assert set(shop.outcomes(shop.batch(orders).json["request_ids"])) == {"applied"}
    client = stack.boto3_client("dynamodb")
    calls: list[str] = []

    class Paged:
        def __getattr__(self, name: str) -> Any:
            def call(**arguments: Any) -> Any:
                calls.append(name)
                return getattr(client, name)(**arguments | ({"Limit": 1} if name == "query" else {}))

            return call

    found = connection.Connection(Paged(), stack.outputs["RecordsTableName"], stack.outputs["LedgerTableName"])
    whole = [sorted(known.on_aws("export", what, shop.account).out.splitlines()) for what in ("orders", "people")]
    assert [len(lines) for lines in whole] == [41, 4]  # each with a header row
    monkeypatch.setattr("cli.tillbook_cli.on_a_stack.connect", lambda _target: found)
    paged = [sorted(run("export", what, shop.account).out.splitlines()) for what in ("orders", "people")]
    assert paged == whole
    # One query for each partition of each source, and one more after each order and each person.
    assert calls.count("query") == 2 * (BUCKETS + PERSON_PARTITIONS) + 40 + 3
    assert "scan" not in calls


def test_local_needs_no_url_and_no_key(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.LOCAL_KEY == seed.ADMIN_KEY
    monkeypatch.setattr(announce, "FILE", tmp_path / LOCAL_FILE)
    monkeypatch.chdir(tmp_path)
    assert run("requests", "--local").code == 3
    assert run("requests").code == 2
    with announce.announced(stack):
        assert run("requests", "--limit", "1", "--local", "--json").code == 0


def test_a_wrong_url_and_an_unknown_key_are_reported(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("requests", "--url", "ftp://x", "--key", "k").code == 2
    monkeypatch.setattr("cli.tillbook_cli.api.sleep", lambda _seconds: None)
    assert run("requests", "--url", "http://127.0.0.1:9", "--key", "k").code == 3
    assert run("requests", "--url", stack.url, "--key", "k").err.startswith("Error: The key is unknown")
