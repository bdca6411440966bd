"""The steps of `tillbook restore` that follow the restore of the tables. A backup here is a copy of the tables."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.tillbook_cli.contents import Contents
from tests.handlers import template
from tests.handlers.audiences import V1, V3, count, members, order, send, submit
from tests.handlers.events import event
from tests.handlers.removal import (
    ANN,
    ANN_ID,
    BOB,
    CONFIRMED,
    ERASE,
    PURGE,
    activities_of,
    dead_letter_ids,
    ltv_of,
    make_dead_letters,
    outcome,
    start_erasure,
    start_purge,
    traces,
)
from tests.handlers.rights import USED_RIGHTS
from tests.handlers.shop import ACCOUNT, ADMIN, Shop
from tillbook.aws.settings import settings
from tillbook.records.keys import Keys
from tillbook.records.messages import Queue
from tillbook.records.removals import Removals
from tillbook.rules import times
from tillbook.rules.errors import Unauthenticated
from tillbook.rules.identity import email_sha256

SHA256 = email_sha256(ANN)
_RESTORED = ("LedgerTable", "RecordsTable", "BookTable")


@pytest.fixture
def contents(shop: Shop) -> Contents:
    queue = Queue(shop.sqs, settings().jobs_queue_url)
    return Contents(shop.dynamodb, queue, settings().ledger_table, settings().records_table, "restore-1")


class Backup:
    """A copy of the tables, made at `moment`."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.items = {name: shop.dynamodb.scan(TableName=name)["Items"] for name in _RESTORED}
        self.moment = times.now()

    def put_back(self) -> None:
        """Replaces all items by the copied ones. Messages of later jobs then do nothing, as their jobs do not exist."""
        for name in _RESTORED:
            for item in self.shop.dynamodb.scan(TableName=name)["Items"]:
                self.shop.dynamodb.delete_item(TableName=name, Key={"pk": item["pk"], "sk": item["sk"]})
            for item in self.items[name]:
                self.shop.dynamodb.put_item(TableName=name, Item=item)


def test_erasures_since_the_backup_are_repeated_and_orders_after_them_count(shop: Shop, contents: Contents) -> None:
    submit(shop, order("a"), order("b", customer_email=BOB, total=7))
    send(shop, event(email=ANN), event(email=BOB, order_id="o-2", grand_total=9))
    make_dead_letters(shop, "poison")
    backup = Backup(shop)
    send(shop, event(email=ANN, order_id="after the backup", grand_total=1000))
    # The messages of these two events are still in the queue when the tables are restored.
    before_erasure = shop.send(event(email=ANN, order_id="before the erasure")).body["request_id"]
    start_erasure(shop)
    after_erasure = shop.send(event(email=ANN, order_id="after the erasure", grand_total=3)).body["request_id"]
    backup.put_back()
    assert traces(shop, SHA256, ANN_ID), "the backup has Ann's data"
    for _ in range(2):  # a restore may be run again
        assert contents.repeat_removals("RemovalsTable", backup.moment).startswith("1 repeated")
    shop.settle()
    assert outcome(shop, before_erasure)[0] == "failed"
    assert outcome(shop, after_erasure) == ("applied", None)
    assert (ltv_of(shop, ANN), ltv_of(shop, BOB)) == ({"USD": "3.00"}, {"USD": "16.00"})  # Bob: 7 + 9
    assert activities_of(shop, ANN) == [("Placed an order", "after the erasure")]
    assert shop.get("/v1/order/a").status == 404
    assert dead_letter_ids(shop) == []
    # One order of the v1 API is left, Bob's b, and two of v3: Bob's o-2 and Ann's order after the erasure.
    assert [count(shop, a) for a in (V1, V3)] == [len(members(shop, a)) for a in (V1, V3)] == [1, 2]


def test_purges_since_the_backup_are_repeated_once(shop: Shop, contents: Contents) -> None:
    submit(shop, order("a", total=5))
    send(shop, event(email=ANN, grand_total=9))
    backup = Backup(shop)
    start_purge(shop, "orders_api")
    submit(shop, order("lost with the restore", total=2))
    backup.put_back()
    for _ in range(2):  # a restore may be run again
        contents.repeat_removals("RemovalsTable", backup.moment)
    assert shop.get("/v1/order/a").status == 404
    shop.settle()
    assert ltv_of(shop, ANN) == {"USD": "9.00"}
    [mark] = [item for item in shop.items("RecordsTable") if (item["pk"], item["sk"]) == (f"{ACCOUNT}/u", "o")]
    assert (int(mark["generation"]), int(mark["swept"])) == (1, 1)
    assert not [item for item in shop.items("LedgerTable") if item["pk"].startswith(f"{ACCOUNT}/o0/")]
    # A purge after the restore deletes the orders received since.
    submit(shop, order("b", total=1))
    start_purge(shop, "orders_api")
    assert ltv_of(shop, ANN) == {"USD": "9.00"}


def test_removals_before_the_backup_are_not_repeated(shop: Shop, contents: Contents) -> None:
    send(shop, event(email=ANN))
    start_erasure(shop)
    shop.settle()
    send(shop, event(email=ANN, order_id="back", grand_total=4))
    backup = Backup(shop)
    backup.put_back()
    assert contents.repeat_removals("RemovalsTable", backup.moment).startswith("0 repeated")
    shop.settle()
    assert ltv_of(shop, ANN) == {"USD": "4.00"}


def test_a_rebuild_enters_every_order_in_an_empty_book(shop: Shop, contents: Contents) -> None:
    submit(shop, order("a", total=5))
    send(shop, event(email=ANN, grand_total=9))
    for item in shop.items("BookTable"):
        shop.dynamodb.delete_item(TableName="BookTable", Key={k: {"S": item[k]} for k in ("pk", "sk")})
    assert contents.rebuild().startswith("4 jobs")  # two sources of each of two accounts
    shop.settle()
    assert len([item for item in shop.items("BookTable") if "/cards/" in item["pk"]]) == 2


# ------------------------------------------------------- the table of removals


@pytest.mark.parametrize("path", [PURGE, ERASE])
def test_a_removal_is_recorded_before_it_is_answered(shop: Shop, path: str) -> None:
    """Otherwise a restore would bring back orders although their removal was accepted."""

    def fail(_index: int, operation: str, arguments: dict[str, Any], go: Any) -> Any:
        if arguments.get("TableName") == "RemovalsTable":
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, operation)
        return go()

    with shop.faults.injected(fail):
        assert shop.request("DELETE", path, headers=CONFIRMED, key=ADMIN).status >= 500
    assert shop.items("RemovalsTable") == []
    assert shop.request("DELETE", path, headers=CONFIRMED, key=ADMIN).status == 202
    marks = {i["sk"]: i["cut"] for i in shop.items("RecordsTable") if i["pk"] == f"{ACCOUNT}/u"}
    assert {i["sk"]: i["cut"] for i in shop.items("RemovalsTable")} == marks
    assert {i["pk"] for i in shop.items("RemovalsTable")} == {ACCOUNT}


def test_an_older_removal_that_is_written_late_does_not_replace_a_newer_one(shop: Shop) -> None:
    removals = Removals(shop.dynamodb, "RemovalsTable")
    removals.erased(ACCOUNT, [ANN_ID], "2026")
    removals.erased(ACCOUNT, [ANN_ID], "2025")
    assert [removal.cut for removal in removals.since("")] == ["2026"]
    assert list(removals.since("2026")) == []


# ------------------------------------------------------------ keys and accounts


def test_keys_are_carried_over_in_their_current_state(shop: Shop, contents: Contents) -> None:
    properties = template.resources("AWS::DynamoDB::Table")["RecordsTable"]
    schema = {name: properties[name] for name in ("AttributeDefinitions", "KeySchema", "BillingMode")}
    shop.dynamodb.create_table(TableName="Restored", **schema)
    try:
        with USED_RIGHTS.uncounted():
            revoked, secret = shop.keys.create(ACCOUNT, "ingest", "revoked after the backup")
        for item in shop.dynamodb.scan(TableName="RecordsTable")["Items"]:
            shop.dynamodb.put_item(TableName="Restored", Item=item)
        shop.keys.revoke(ACCOUNT, revoked.id)
        _, fresh = shop.keys.create(ACCOUNT, "ingest", "made after the backup")
        send(shop, event(email=ANN))  # outcomes are not carried over
        before = len(shop.items("Restored"))
        restored = Contents(shop.dynamodb, contents.jobs, contents.ledger, "Restored", "restore-1")
        assert "accounts" in restored.carry_over("RecordsTable")
        keys = Keys(shop.dynamodb, "Restored")
        assert keys.authenticate(fresh).label == "made after the backup"
        with pytest.raises(Unauthenticated):
            keys.authenticate(secret)
        assert len(shop.items("Restored")) == before + 2  # the two items of the new key
        assert "does not exist" in restored.carry_over("NoSuchTable")
    finally:
        shop.dynamodb.delete_table(TableName="Restored")
