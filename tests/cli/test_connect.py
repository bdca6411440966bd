"""tillbook connect, on a stack with the tables of template.yaml and the Parameter Store of the embedded AWS."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest

from tests.cli.conftest import REGION, Ran, Terminal
from tillbook.aws.secrets import Secrets
from tillbook.contract.platforms.signatures import signature_of
from tillbook.records.connections import Connections
from tillbook.rules.errors import Unauthenticated


@pytest.fixture
def shop(run: Terminal) -> Terminal:
    """Runs `tillbook` on a stack that has the account acme."""
    assert run("account", "create", "acme").code == 0
    return run


def test_a_secret_for_woocommerce_is_generated_and_shown_once(shop: Terminal, stack_name: str) -> None:
    ran = shop("connect", "create", "acme", "woocommerce", "--json")
    assert ran.code == 0, ran.err
    secret = ran.json["secret"]
    assert (len(secret), ran.json["url"]) == (43, "/connect/acme/woocommerce")
    listed = shop("connect", "list", "acme")
    assert "woocommerce" in listed.out
    assert secret not in listed.out
    # Functions read the connection from the stack's tables and parameters.
    assert _accepts(stack_name, "woocommerce", "X-WC-Webhook-Signature", secret)
    assert not _accepts(stack_name, "woocommerce", "X-WC-Webhook-Signature", "another")


def _accepts(stack_name: str, name: str, header: str, secret: str) -> bool:
    """True if a webhook that is signed with this secret passes the signature check of the connection `name`."""
    outputs = boto3.client("cloudformation", region_name=REGION).describe_stacks(StackName=stack_name)["Stacks"][0]
    (table,) = [o["OutputValue"] for o in outputs["Outputs"] if o["OutputKey"] == "RecordsTableName"]
    secrets = Secrets(boto3.client("ssm", region_name=REGION), stack_name)
    connections = Connections(boto3.client("dynamodb", region_name=REGION), table, secrets)
    try:
        return connections.authenticate("acme", name, {header.lower(): signature_of(secret, b"{}")}, b"{}").name == name
    except Unauthenticated:
        return False


def test_a_secret_of_shopify_is_read_from_a_file_and_rotated(shop: Terminal, stack_name: str, tmp_path: Path) -> None:
    header = "X-Shopify-Hmac-Sha256"
    (tmp_path / "first").write_text("shpss_first\n")
    (tmp_path / "second").write_text("shpss_second")
    words = ("connect", "create", "acme", "shopify", "--name", "us", "--provider", "shopify_us")
    ran = shop(*words, "--secret-file", str(tmp_path / "first"))
    assert ran.code == 0, ran.err
    assert "shpss" not in ran.out + ran.err
    assert _accepts(stack_name, "us", header, "shpss_first")
    ran = shop("connect", "rotate", "acme", "us", "--secret-file", str(tmp_path / "second"), "--json")
    assert ran.json["both_valid_until"]
    assert _accepts(stack_name, "us", header, "shpss_first")
    assert _accepts(stack_name, "us", header, "shpss_second")
    shop("connect", "rotate", "acme", "us", "--secret-file", str(tmp_path / "first"), "--overlap-hours", "0")
    assert not _accepts(stack_name, "us", header, "shpss_second")
    assert _accepts(stack_name, "us", header, "shpss_first")
    assert shop("connect", "remove", "acme", "us").code == 0
    assert not _accepts(stack_name, "us", header, "shpss_first")
    assert shop("connect", "list", "acme").err == "Account acme has no connections.\n"
    parameters = boto3.client("ssm", region_name=REGION).describe_parameters()["Parameters"]
    assert not any(f"/{stack_name}/connections/" in found["Name"] for found in parameters)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("connect", "create", "other", "woocommerce"), "There is no account other."),
        (
            ("connect", "create", "acme", "woocommerce", "--provider", "My"),
            "provider must be in lower snake case, as my_second_shop",
        ),
        (("connect", "rotate", "acme", "x"), "Account acme has no connection x."),
        (("connect", "remove", "acme", "x"), "Account acme has no connection x."),
        (("connect", "list", "other"), "There is no account other."),
    ],
)
def test_refused_commands_exit_with_1_and_a_message(shop: Terminal, words: tuple[str, ...], said: str) -> None:
    assert shop(*words, "--json") == Ran(1, "", json.dumps({"error": said}) + "\n")
