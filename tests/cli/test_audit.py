"""`tillbook audit` on a stack with the tables of template.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import boto3
import pytest

from tests.cli.conftest import REGION, Terminal
from tillbook.aws.items import raw
from tillbook.contract import orders_api
from tillbook.ledger.items import Scope
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.orders import V1Request
from tillbook.records.scopes import Scopes
from tillbook.rules import times
from tillbook.rules.identity import Person, email_sha256
from tillbook.views import audit

ANN, BEN = "ann@example.com", "ben@example.com"
Plant = Callable[[str, str], None]
MD5 = "0cc175b9c0f1b6a831c399e269772661"  # a customer_id that looks like the id of a person
SCOPE = Scope("acme", "orders_api")


def id_of(email: str) -> str:
    return Person("email", email_sha256(email)).id_in("acme")


@pytest.fixture
def tables(stack_name: str, on_aws: Any) -> tuple[str, str]:
    """Names of the ledger table and of the records table."""
    outputs = on_aws.describe_stacks(StackName=stack_name)["Stacks"][0]["Outputs"]
    names = {output["OutputKey"]: output["OutputValue"] for output in outputs}
    return names["LedgerTableName"], names["RecordsTableName"]


@pytest.fixture
def ledger(tables: tuple[str, str]) -> tuple[Any, str]:
    """A client of DynamoDB, and the name of the ledger table."""
    return boto3.client("dynamodb", region_name=REGION), tables[0]


def submit(ledger: tuple[Any, str], body: dict[str, Any]) -> None:
    request = V1Request(SCOPE, times.uuid7(), times.now(), lambda _people: {})  # no erasures
    document, _ = orders_api.document(body)
    Ledger(*ledger).submit(request, document, new_id=times.uuid7(), digest="", deadline=float("inf"))


@pytest.fixture
def plant(run: Terminal, ledger: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Creates account acme with 101 orders of Ann and one of Ben.

    Returns a function that plants drift: it adds an amount to an attribute of Ann's item.
    """
    monkeypatch.setattr(audit, "_PAUSES", (0.0, 0.0, 0.0))
    assert run("account", "create", "acme").code == 0
    client, table = ledger
    for n in range(102):
        body = {"order_id": f"o-{n}", "order_date": "2026-01-20", "total": "1.1", "customer_email": ANN if n else BEN}
        submit(ledger, body)

    def add(name: str, value: str) -> None:
        client.update_item(
            TableName=table, Key=raw(SCOPE.person_key(id_of(ANN))), UpdateExpression="ADD #n :v",
            ExpressionAttributeNames={"#n": name}, ExpressionAttributeValues=raw({":v": Decimal(value)}),
        )  # fmt: skip

    return add


def test_an_audit_finds_planted_drift(run: Terminal, plant: Plant) -> None:
    for chosen in ((), ("acme",), ("acme", "--all"), ("--all",), ("acme", "--sample", "2")):
        ran = run("audit", *chosen)
        assert (ran.code, ran.out) == (0, "2 people, 102 orders: no drift.\n"), chosen
    assert run("audit", "acme", "--person", BEN, "--json").json == {
        "people": 1, "orders": 1, "drift": [], "unsettled": [],
    }  # fmt: skip
    assert run("audit", "acme", "--sample", "1", "--json").json["people"] == 1

    plant("USD", "0.01")  # Ann's 101 orders of 1.10 add up to 111.10
    ran = run("audit", "--all", "--json")
    finding = {"source": "orders_api", "currency": "USD", "what": "amount", "stored": "111.11", "computed": "111.1"}
    drift = {"account": "acme", "person": id_of(ANN), "orders": 101, "findings": [finding]}
    assert ran.code == 4
    assert json.loads(ran.out) == {"people": 2, "orders": 102, "drift": [drift], "unsettled": []}
    for person in (ANN, id_of(ANN), email_sha256(ANN)):
        ran = run("audit", "acme", "--person", person)
        assert ran.code == 4
        assert "amount: stored 111.11, sum of the orders 111.1\n" in ran.out
    assert run("audit", "acme", "--person", BEN).code == 0
    # Without the drift, nothing is found.
    plant("USD", "-0.01")
    assert run("audit", "acme").code == 0


def test_a_customer_id_may_look_like_the_id_of_a_person(run: Terminal, plant: Plant, ledger: tuple[Any, str]) -> None:
    address = {"address_1": "1 Main St", "postal_code": "12345"}
    order = {"order_id": "m-1", "order_date": "2026-01-20", "total": "5", "customer_id": MD5}
    submit(ledger, order | {"shipping_address": address})
    ran = run("audit", "acme", "--person", MD5)
    assert (ran.code, ran.out) == (0, "1 people, 1 orders: no drift.\n")
    ran = run("audit", "acme", "--person", MD5[::-1])  # nobody has this id
    assert (ran.code, ran.out) == (2, "")
    assert "No customer found for this identifier" in ran.err


def test_a_missing_item_of_a_person_with_orders_is_drift(run: Terminal, plant: Plant, ledger: tuple[Any, str]) -> None:
    client, table = ledger
    client.delete_item(TableName=table, Key=raw(SCOPE.person_key(id_of(BEN))))
    ran = run("audit", "acme", "--person", id_of(BEN))
    assert ran.code == 4
    assert "amount: stored 0, sum of the orders 1.1\n" in ran.out


def test_a_purged_person_is_not_audited(
    run: Terminal, plant: Plant, ledger: tuple[Any, str], tables: tuple[str, str]
) -> None:
    plant("USD", "0.01")
    assert run("audit", "acme").code == 4
    Scopes(ledger[0], tables[1]).purge("acme", ["orders_api"], float("inf"))
    for chosen in (("acme",), ("--all",), ("acme", "--sample", "2")):
        ran = run("audit", *chosen)
        assert (ran.code, ran.out) == (0, "0 people, 0 orders: no drift.\n"), chosen
    assert run("audit", "acme", "--person", ANN).err == "Error: No customer has this id or e-mail address.\n"


def test_unknown_accounts_and_people_are_refused(run: Terminal) -> None:
    assert run("audit", "--person", ANN).code == 2  # --person needs an account
    assert run("audit", "nobody").err == "Error: There is no account nobody.\n"
    assert run("account", "create", "acme").code == 0
    ran = run("audit", "acme", "--person", ANN)
    assert (ran.code, ran.err) == (1, "Error: No customer has this id or e-mail address.\n")  # 4 would mean drift
    assert run("audit").out == "0 people, 0 orders: no drift.\n"  # in all accounts
