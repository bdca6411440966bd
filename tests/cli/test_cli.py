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

from cli.tillbook_cli.connection import LOCAL_FILE
from local import announce
from local.stack import ROOT, Stack
from tests.cli.conftest import REGION, Ran, Terminal


def _created(run: Terminal, *options: str) -> Ran:
    ran = run("account", "create", "acme", *options)
    assert ran.code == 0, ran.err
    return ran


def test_an_account_is_created_with_defaults(run: Terminal) -> None:
    assert _created(run).out == "account   acme\ncurrency  USD\nsources   orders_api, shopper_activity\n"


def test_an_account_has_a_currency_and_the_sources_that_count(run: Terminal) -> None:
    shape = {"account": "acme", "currency": "EUR", "sources": ["orders_api"]}
    assert _created(run, "--currency", "eur", "--source", "orders_api", "--json").json == shape
    assert run("account", "show", "acme", "--json").json == shape


def test_what_is_not_set_stays(run: Terminal) -> None:
    _created(run, "--currency", "EUR")
    sources = ["--source", "shopper_activity", "--source", "orders_api"]
    assert run("account", "set", "acme", *sources[:2], "--json").json["currency"] == "EUR"
    assert run("account", "set", "acme", "--currency", "GBP", "--json").json["sources"] == ["shopper_activity"]
    assert run("account", "set", "acme", *sources, "--json").json == {
        "account": "acme",
        "currency": "GBP",
        "sources": ["orders_api", "shopper_activity"],
    }


def test_nothing_to_set_is_wrong_use(run: Terminal) -> None:
    _created(run)
    ran = run("account", "set", "acme")
    assert (ran.code, ran.out) == (2, "")
    assert "Nothing to set" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("account", "create", "acme"), "Account acme exists already."),
        (("account", "create", "a b"), "an account id is 1 to 64 of A-Z, a-z, 0-9, _ and -"),
        (("account", "create", "b", "--currency", "XXQ"), "currency must be an ISO 4217 code"),
        (("account", "show", "other"), "There is no account other."),
        (("account", "set", "other", "--currency", "EUR"), "There is no account other."),
        (("keys", "create", "other", "--role", "admin"), "There is no account other."),
        (("keys", "list", "other"), "There is no account other."),
        (("keys", "revoke", "acme", "0123456789ab"), "Account acme has no key 0123456789ab."),
    ],
)
def test_refusals(run: Terminal, words: tuple[str, ...], said: str) -> None:
    _created(run)
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
def test_wrong_use(run: Terminal, words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "Error: " in ran.err


def test_a_key_is_told_once(run: Terminal) -> None:
    _created(run)
    ran = run("keys", "create", "acme", "--role", "ingest", "--label", "web shop")
    assert "shown this once" in ran.err
    found = re.search(r"^secret +(tb_\S{43})$", ran.out, re.MULTILINE)
    assert found
    listed = run("keys", "list", "acme")
    assert found[1] not in listed.out
    assert re.search(r"^[0-9a-f]{12}  ingest  web shop  \S+Z  -          no$", listed.out, re.MULTILINE)


def test_only_the_hash_is_kept(run: Terminal) -> None:
    _created(run)
    secret = run("keys", "create", "acme", "--role", "admin", "--json").json["secret"]
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    for table in dynamodb.list_tables()["TableNames"]:
        assert secret not in str(dynamodb.scan(TableName=table)["Items"])


def test_keys_are_listed_and_revoked(run: Terminal) -> None:
    _created(run)
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
    _created(run)
    run("account", "create", "other")
    key = run("keys", "create", "other", "--role", "admin", "--json").json["key"]
    assert run("keys", "revoke", "acme", key).code == 1
    assert run("keys", "list", "other", "--json").json["keys"][0]["revoked"] is False


# ------------------------------------------------------------- which stack ---


def test_another_stack_is_not_there(on_aws: Any) -> None:
    elsewhere = Terminal(("--stack-name", "nothing", "--region", REGION))
    assert elsewhere("account", "show", "acme") == Ran(3, "", f"Error: There is no stack nothing in {REGION}.\n")


def test_the_environment_names_the_stack(stack_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLBOOK_STACK", stack_name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    assert Terminal(())("account", "create", "acme").code == 0


def test_another_kind_of_stack_is_told(on_aws: Any) -> None:
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
def test_without_a_configuration(no_aws: None, options: tuple[str, ...], said: str) -> None:
    ran = Terminal(options)("account", "show", "acme")
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err


def test_no_local_stack(no_aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = Terminal(("--local",))("account", "show", "acme")
    assert ran == Ran(3, "", "Error: No local stack runs in this project: start one with make run.\n")


def test_a_local_stack_that_is_gone(no_aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_key_opens_its_account_on_the_local_stack(local: Terminal, stack: Stack, tmp_path: Path) -> None:
    account = tmp_path.name
    assert local("account", "create", account, "--currency", "JPY").code == 0
    order = {"provider": "my_shop", "email": "dora@example.com", "action": "placed", "order_id": "1", "grand_total": 5}
    url = f"{stack.url}/v3/{account}/shopper_activity/order"
    ingest = local("keys", "create", account, "--role", "ingest").json
    assert requests.post(url, json=order, auth=(ingest["secret"], ""), timeout=120).status_code == 202
    assert requests.post(url, json=order, auth=("tb_unknown", ""), timeout=120).status_code == 401

    # Before it was ever used: warm functions know a key for a minute.
    unused = local("keys", "create", account, "--role", "ingest").json
    assert local("keys", "revoke", account, unused["key"]).json["revoked"] is True
    assert requests.post(url, json=order, auth=(unused["secret"], ""), timeout=120).status_code == 401
    used = {key["key"]: key["last_used"] for key in local("keys", "list", account).json["keys"]}
    assert used[ingest["key"]]
    assert used[unused["key"]] is None


@pytest.mark.stack
def test_runs_out_of_a_checkout(no_aws: None, stack: Stack) -> None:
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
    assert ran.stdout.startswith("account   1234567\n")
