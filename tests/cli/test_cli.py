"""The tillbook command, on a stack with the tables of template.yaml and on the whole local stack."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from cli.tillbook_cli import __version__
from cli.tillbook_cli.connection import LOCAL_FILE
from cli.tillbook_cli.health import AFTER
from local import announce
from local.stack import ROOT, Stack
from tests.cli.conftest import REGION, Ran, Terminal


def _create_account(run: Terminal, *options: str) -> Ran:
    ran = run("account", "create", "acme", *options)
    assert ran.code == 0, ran.err
    return ran


def test_an_account_is_created_with_defaults(run: Terminal) -> None:
    assert _create_account(run).out == (
        "account    acme\ncurrency   USD\nsources    orders_api, shopper_activity\ntime zone  UTC\n"
    )


def test_an_account_is_created_with_given_settings(run: Terminal) -> None:
    shape = {"account": "acme", "currency": "EUR", "sources": ["orders_api"], "time_zone": "Asia/Kolkata"}
    options = ["--currency", "eur", "--source", "orders_api", "--time-zone", "Asia/Kolkata"]
    assert _create_account(run, *options, "--json").json == shape
    assert run("account", "show", "acme", "--json").json == shape


def test_the_version_is_that_of_the_package() -> None:
    ran = Terminal(())("--version")
    assert ran == Ran(0, f"tillbook {__version__}\n", "")


def test_accounts_are_listed(run: Terminal) -> None:
    assert run("account", "list") == Ran(0, "", "There are no accounts.\n")
    _create_account(run)
    run("account", "create", "bolt", "--currency", "EUR", "--source", "orders_api")
    listed = (
        "ACCOUNT  CURRENCY  SOURCES                       TIME ZONE\n"
        "acme     USD       orders_api, shopper_activity  UTC\n"
        "bolt     EUR       orders_api                    UTC\n"
    )
    assert run("account", "list").out == listed
    assert [one["account"] for one in run("account", "list", "--json").json["accounts"]] == ["acme", "bolt"]
    assert run("account", "set", "bolt", "--name", "Bolt & Nut").out.splitlines()[-1] == "name       Bolt & Nut"
    # With a name, there is one more column. Its last words:
    assert [line.split()[-1] for line in run("account", "list").out.splitlines()] == ["NAME", "-", "Nut"]


def test_an_account_whose_creation_was_cut_off_is_not_listed(run: Terminal, stack_name: str, on_aws: Any) -> None:
    """The entry in the list of accounts is written first."""
    _create_account(run)
    outputs = on_aws.describe_stacks(StackName=stack_name)["Stacks"][0]["Outputs"]
    (records,) = [one["OutputValue"] for one in outputs if one["OutputKey"] == "RecordsTableName"]
    entry = {"pk": {"S": "#accounts"}, "sk": {"S": "half"}}
    boto3.client("dynamodb", region_name=REGION).put_item(TableName=records, Item=entry)
    assert [one["account"] for one in run("account", "list", "--json").json["accounts"]] == ["acme"]


def test_settings_that_are_not_given_are_kept(run: Terminal) -> None:
    _create_account(run, "--currency", "EUR")
    assert run("account", "set", "acme", "--source", "shopper_activity", "--json").json["currency"] == "EUR"
    assert run("account", "set", "acme", "--currency", "GBP", "--json").json["sources"] == ["shopper_activity"]
    both_sources = ["--source", "shopper_activity", "--source", "orders_api"]
    assert run("account", "set", "acme", *both_sources, "--json").json == {
        "account": "acme",
        "currency": "GBP",
        "sources": ["orders_api", "shopper_activity"],
        "time_zone": "UTC",
    }
    assert run("account", "set", "acme", "--time-zone", "Europe/Berlin", "--json").json["currency"] == "GBP"
    assert run("account", "show", "acme", "--json").json["time_zone"] == "Europe/Berlin"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "Europe", " "])
def test_a_time_zone_that_does_not_exist_is_refused(run: Terminal, zone: str) -> None:
    _create_account(run)
    ran = run("account", "set", "acme", "--time-zone", zone)
    assert ran.code != 0
    assert "IANA name" in ran.err


def test_account_set_without_settings_is_wrong_usage(run: Terminal) -> None:
    _create_account(run)
    ran = run("account", "set", "acme")
    assert (ran.code, ran.out) == (2, "")
    assert "Nothing to set" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("account", "create", "acme"), "Account acme exists already."),
        (("account", "create", "a b"), "account id must be 1 to 64 of A-Z, a-z, 0-9, _ and -"),
        (("account", "create", "b", "--currency", "XXQ"), "currency must be an ISO 4217 currency code"),
        (("account", "show", "other"), "There is no account other."),
        (("account", "set", "other", "--currency", "EUR"), "There is no account other."),
        (("keys", "create", "other", "--role", "admin"), "There is no account other."),
        (("keys", "list", "other"), "There is no account other."),
        (("keys", "revoke", "acme", "0123456789ab"), "Account acme has no key 0123456789ab."),
    ],
)
def test_refused_commands_exit_with_1_and_a_message(run: Terminal, words: tuple[str, ...], said: str) -> None:
    _create_account(run)
    assert run(*words) == Ran(1, "", f"Error: {said}\n")
    assert run(*words, "--json") == Ran(1, "", json.dumps({"error": said}) + "\n")


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "create", "acme"),
        ("keys", "create", "acme", "--role", "owner"),
        ("account", "create"),
        ("account", "create", "acme", "--source", "fax"),
    ],
)
def test_wrong_usage_exits_with_2(run: Terminal, words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "Error: " in ran.err


def test_a_key_is_shown_once(run: Terminal) -> None:
    _create_account(run)
    ran = run("keys", "create", "acme", "--role", "ingest", "--label", "web shop")
    assert "shown only now" in ran.err
    found = re.search(r"^secret +(tb_\S{43})$", ran.out, re.MULTILINE)
    assert found
    listed = run("keys", "list", "acme")
    assert found[1] not in listed.out
    assert re.search(r"^[0-9a-f]{12}  ingest  web shop  \S+Z  -          no$", listed.out, re.MULTILINE)


def test_only_the_hash_of_a_key_is_stored(run: Terminal) -> None:
    _create_account(run)
    secret = run("keys", "create", "acme", "--role", "admin", "--json").json["secret"]
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    for table in dynamodb.list_tables()["TableNames"]:
        assert secret not in str(dynamodb.scan(TableName=table)["Items"])


def test_keys_are_listed_and_revoked(run: Terminal) -> None:
    _create_account(run)
    assert run("keys", "list", "acme") == Ran(0, "", "Account acme has no keys.\n")
    first = run("keys", "create", "acme", "--role", "ingest", "--json").json
    second = run("keys", "create", "acme", "--role", "admin", "--json").json
    assert {key["key"] for key in run("keys", "list", "acme", "--json").json["keys"]} == {first["key"], second["key"]}

    ran = run("keys", "revoke", "acme", first["key"], "--json")
    assert ran.code == 0
    assert ran.json == {name: value for name, value in first.items() if name != "secret"} | {"revoked": True}
    revoked = {key["key"]: key["revoked"] for key in run("keys", "list", "acme", "--json").json["keys"]}
    assert revoked == {first["key"]: True, second["key"]: False}


def test_a_key_of_another_account_cannot_be_revoked(run: Terminal) -> None:
    _create_account(run)
    run("account", "create", "other")
    key = run("keys", "create", "other", "--role", "admin", "--json").json["key"]
    assert run("keys", "revoke", "acme", key).code == 1
    assert run("keys", "list", "other", "--json").json["keys"][0]["revoked"] is False


# ------------------------------------------------------------- which stack ---


def test_a_missing_stack_is_reported(on_aws: Any) -> None:
    ran = Terminal(("--stack-name", "nothing", "--region", REGION))("account", "show", "acme")
    assert ran == Ran(
        3, "", f"Error: There is no stack nothing in {REGION}. Choose another with --stack-name and --region.\n"
    )


def test_an_environment_variable_selects_the_stack(stack_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLBOOK_STACK", stack_name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    assert Terminal(())("account", "create", "acme").code == 0


def test_aws_region_selects_the_region(stack_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 itself reads only AWS_DEFAULT_REGION; the AWS command reads AWS_REGION."""
    monkeypatch.setenv("AWS_REGION", REGION)
    assert Terminal(("--stack-name", stack_name))("account", "create", "acme").code == 0


def test_a_stack_of_another_application_is_reported(on_aws: Any) -> None:
    queue = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    on_aws.create_stack(StackName="queues", TemplateBody=json.dumps(queue))
    ran = Terminal(("--stack-name", "queues", "--region", REGION))("account", "show", "acme")
    assert (ran.code, ran.out) == (3, "")
    assert "is it Tillbook's?" in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "No region: give --region"),
        (("--region", "eu-west-1"), "No AWS credentials: give --profile"),
        (("--profile", "nobody"), "The config profile (nobody) could not be found"),
    ],
)
def test_a_missing_aws_configuration_is_reported(no_aws: None, options: tuple[str, ...], said: str) -> None:
    ran = Terminal(options)("account", "show", "acme")
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err


def test_local_without_a_running_stack_is_reported(
    no_aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = Terminal(("--local",))("account", "show", "acme")
    assert ran == Ran(3, "", "Error: No local stack runs in this project: start one with make run.\n")


def test_a_local_stack_that_does_not_answer_is_reported(
    no_aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    _announce(tmp_path, f"http://127.0.0.1:{port}")
    monkeypatch.chdir(tmp_path)
    ran = Terminal(("--local",))("account", "show", "acme")
    assert (ran.code, ran.out) == (3, "")
    assert "does make run still run?" in ran.err


def _announce(folder: Path, endpoint_url: str) -> None:
    file = folder / LOCAL_FILE
    file.parent.mkdir()
    file.write_text(json.dumps({"endpoint_url": endpoint_url, "stack_name": "tillbook"}))


# --------------------------------------------------------- the local stack ---


@pytest.fixture(params=["local", "endpoint"])
def local(
    request: pytest.FixtureRequest, no_aws: None, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """Runs `tillbook` on the local stack, which is selected by --local or by the options for AWS."""
    if request.param == "local":
        monkeypatch.setattr(announce, "FILE", tmp_path / LOCAL_FILE)
        below = tmp_path / "docs"
        below.mkdir()
        monkeypatch.chdir(below)
        with announce.announced(stack):
            yield Terminal(("--local", "--json"))
        assert not (tmp_path / LOCAL_FILE).exists()
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield Terminal(
            ("--endpoint-url", stack.endpoint_url, "--region", "us-east-1", "--stack-name", "tillbook", "--json")
        )


@pytest.mark.stack
def test_keys_work_and_are_revoked_on_the_local_stack(local: Terminal, stack: Stack, tmp_path: Path) -> None:
    account = tmp_path.name
    assert local("account", "create", account, "--currency", "JPY").code == 0
    order = {"provider": "my_shop", "email": "dora@example.com", "action": "placed", "order_id": "1", "grand_total": 5}
    url = f"{stack.url}/v3/{account}/shopper_activity/order"
    ingest = local("keys", "create", account, "--role", "ingest").json
    assert requests.post(url, json=order, auth=(ingest["secret"], ""), timeout=120).status_code == 202
    assert requests.post(url, json=order, auth=("tb_unknown", ""), timeout=120).status_code == 401

    # This key is revoked before its first use, since warm functions cache a used key for a minute.
    unused = local("keys", "create", account, "--role", "ingest").json
    assert local("keys", "revoke", account, unused["key"]).json["revoked"] is True
    assert requests.post(url, json=order, auth=(unused["secret"], ""), timeout=120).status_code == 401
    used = {key["key"]: key["last_used"] for key in local("keys", "list", account).json["keys"]}
    assert used[ingest["key"]]
    assert used[unused["key"]] is None


@pytest.mark.stack
def test_the_doctor_checks_all_of_a_deployed_stack(local: Terminal, stack: Stack) -> None:
    """Other tests leave unused keys, dead letters and alarms, so findings about these are allowed."""
    ran = local("doctor")
    assert ran.json["checks"] == list(AFTER)
    found = ran.json["findings"]
    assert not [
        f for f in found if f["level"] == "unchecked" or f["check"] in ("clock", "region", "concurrency", "layers")
    ]
    # Nobody is notified of the local stack's alarms, but each alarm exists and publishes to the topic.
    assert {"check": "notices", "level": "advice"}.items() <= next(f for f in found if f["check"] == "notices").items()
    assert not [f for f in found if "was deleted" in f["what"] or "notifies nobody" in f["what"]]


@pytest.mark.stack
def test_the_command_runs_from_a_checkout(no_aws: None, stack: Stack) -> None:
    options = ["--endpoint-url", stack.endpoint_url, "--region", "us-east-1", "--stack-name", "tillbook"]
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "account", "show", "1234567", *options],
        cwd=ROOT,
        env=os.environ | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("account    1234567\n")


def test_segments_are_added_replaced_and_removed(run: Terminal) -> None:
    run("account", "create", "acme", "--segment", "VIP:min_lifetime_value=500")
    ran = run(
        "account", "set", "acme", "--segment", "Lapsed: min_orders=2, min_days=365", "--segment", "vip:min_orders=9"
    )
    assert ran.code == 0, ran.err
    assert "segments   Lapsed:min_orders=2,min_days=365, vip:min_orders=9" in ran.out
    assert run("account", "set", "acme", "--no-segment", "VIP", "--json").json["segments"] == [
        "Lapsed:min_orders=2,min_days=365"
    ]


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ("VIP", "write it as NAME:bound=value"), ("VIP:min_age=5", "min_age is not a known field"),
        ("VIP:min_orders=many", "min_orders must be a whole number"), (":min_orders=1", "needs a name"),
        ("VIP:min_lifetime_value=x", "min_lifetime_value must be a number"), ("VIP:currency=EUR", "give at least one"),
        ("VIP:min_orders=3,max_orders=2", "must not be more than"), ("VIP:min_orders=1,currency=XXY", "ISO 4217"),
    ],
)  # fmt: skip
def test_an_invalid_segment_is_refused(run: Terminal, segment: str, message: str) -> None:
    run("account", "create", "acme")
    ran = run("account", "set", "acme", "--segment", segment)
    assert ran.code == 1
    assert message in ran.err


def test_removing_an_unknown_segment_is_refused(run: Terminal) -> None:
    run("account", "create", "acme")
    assert "there is no segment VIP" in run("account", "set", "acme", "--no-segment", "VIP").err
