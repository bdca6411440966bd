"""Announcements on the event bus: changed lifetime values, outcomes of requests, and purges."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from jsonschema import Draft202012Validator

from openapi.make import document
from tests.handlers import template
from tests.handlers.events import event
from tests.handlers.removal import make_dead_letters
from tests.handlers.shop import ACCOUNT, Context, Shop
from tillbook.aws.settings import settings
from tillbook.rules.identity import email_sha256

EMAIL = "ann@example.com"


class Streams:
    """Makes the records that the streams of both tables pass to AnnounceChanges, and delivers them."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.seen, self.number = shop, dict[tuple[str, str], Any](), 0

    def changes(self) -> list[dict[str, Any]]:
        """The stream records since the last call."""
        found = []
        for table in (settings().ledger_table, settings().records_table):
            for item in self.shop.dynamodb.scan(TableName=table)["Items"]:
                key = item["pk"]["S"], item["sk"]["S"]
                before, self.seen[key] = self.seen.get(key), item
                # This is the filter of AnnounceChanges in template.yaml. Only items of people have a `token`, and only
                # marks of purges have a `generation`.
                outcome = "action" in item and item.get("status", {}).get("S") in ("applied", "failed")
                if before != item and ("token" in item or "generation" in item or outcome):
                    self.number += 1
                    found.append(_record(item, before, self.number))
        return found

    def announce(self, records: list[dict[str, Any]], milliseconds: int = 60_000) -> list[str]:
        """Delivers to AnnounceChanges. Returns the sequence number from which to deliver again, if any failed."""
        handler = importlib.import_module(template.module("AnnounceChanges")).handler
        answer = handler({"Records": records}, Context(milliseconds))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def run(self) -> list[Any]:
        """Announces all new changes. Returns the announced events."""
        with self.shop.faults.recorded() as calls:
            assert self.announce(self.changes()) == []
            return announced_events(calls)


def _record(item: Any, before: Any, number: int) -> dict[str, Any]:
    image = {"NewImage": item, "SequenceNumber": f"{number:021d}", "ApproximateCreationDateTime": 1_780_000_000.0}
    return {"dynamodb": image | ({"OldImage": before} if before else {})}


def announced_events(calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """The events that these calls put on the bus."""
    entries = [entry for name, arguments in calls if name == "PutEvents" for entry in arguments["Entries"]]
    events = [json.loads(entry["Detail"], parse_float=Decimal) for entry in entries]
    for entry, one in zip(entries, events, strict=True):
        assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == ("tillbook", one["type"], "tillbook")
    return events


@pytest.fixture
def streams(shop: Shop) -> Streams:
    made = Streams(shop)
    made.changes()
    return made


def of_people(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stream records of people: only the item of a person has a token."""
    return [record for record in records if "token" in record["dynamodb"]["NewImage"]]


def of_type(events: list[Any], kind: str) -> list[Any]:
    return [one for one in events if one["type"] == kind]


def test_a_changed_lifetime_value_is_announced(streams: Streams) -> None:
    shop = streams.shop
    sent = event(email=EMAIL, order_id="o-1", grand_total="100.00")
    request_id = shop.send(sent).body["request_id"]
    shop.drain()
    (change,) = of_type(streams.run(), "lifetime_value.changed")
    person = shop.person(EMAIL)
    assert change["subject"] == person["id"]
    assert change["data"] == {
        "account_id": ACCOUNT, "source": "shopper_activity", "counted": True,
        "person": {"id": person["id"], "email_sha256": email_sha256(EMAIL), "person_id": None, "customer_id": None},
        "currency": "USD", "before": "0.00", "after": "100.00", "orders_count": 1,
        "order": {"provider": sent["provider"], "order_id": "o-1"},
        "cause": {"action": "placed", "request_id": request_id},
    }  # fmt: skip
    refund = sent | {"action": "refunded", "refund_amount": "30.00"}
    shop.send(refund)
    shop.drain()
    (later,) = of_type(streams.run(), "lifetime_value.changed")
    assert (later["data"]["before"], later["data"]["after"]) == ("100.00", "70.00")
    assert later["data"]["cause"]["action"] == "refunded"
    assert later["id"] != change["id"]
    assert later["sequence"] > change["sequence"]
    assert streams.run() == []


def test_v1_orders_are_announced(streams: Streams) -> None:
    shop = streams.shop
    order = {"order_id": "v-1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": "12.50"}
    shop.submit(order)
    shop.drain()
    (change,) = of_type(streams.run(), "lifetime_value.changed")
    assert (change["data"]["source"], change["data"]["after"]) == ("orders_api", "12.50")
    assert change["data"]["order"] == {"provider": None, "order_id": "v-1"}
    assert change["data"]["cause"]["action"] == "submitted"
    shop.delete("v-1")
    shop.drain()
    (gone,) = of_type(streams.run(), "lifetime_value.changed")
    assert (gone["data"]["before"], gone["data"]["after"], gone["data"]["orders_count"]) == ("12.50", "0.00", 0)
    assert gone["data"]["cause"]["action"] == "deleted"


def test_outcomes_of_requests_are_announced(streams: Streams) -> None:
    shop = streams.shop
    applied = shop.send(event(order_id="o-1")).body["request_id"]
    shop.drain()
    (failed,) = make_dead_letters(shop, "o-2")
    events = streams.run()
    (good,), (bad,) = of_type(events, "order.applied"), of_type(events, "order.failed")
    assert (good["subject"], bad["subject"]) == (applied, failed)
    assert good["data"]["effects"] == [{"currency": "USD", "amount": "100.00", "orders": 1}]
    assert good["data"]["reason"] is None
    assert bad["data"]["order"]["order_id"] == "o-2"
    assert bad["data"]["reason"]
    shop.request("POST", f"/v1/deadletters/{failed}/replay")
    shop.drain()
    (replayed,) = of_type(streams.run(), "order.applied")
    assert replayed["subject"] == failed
    assert replayed["id"] != bad["id"]


def test_a_purge_is_announced_and_earlier_changes_are_not(streams: Streams) -> None:
    shop = streams.shop
    shop.send(event(email=EMAIL))
    shop.drain()
    earlier = streams.changes()
    shop.request("DELETE", "/v1/transactions", {"confirm": "purge", "source": "shopper_activity"})
    (purged,) = of_type(streams.run(), "orders.purged")
    assert purged["data"]["source"] == "shopper_activity"
    with shop.faults.recorded() as calls:
        streams.announce(of_people(earlier))
        assert announced_events(calls) == []
    shop.clock.sleep(60)
    shop.send(event(email=EMAIL, order_id="new"))
    shop.drain()
    (after,) = of_type(streams.run(), "lifetime_value.changed")
    # A sequence begins with the generation, which the purge has increased to 1.
    assert (after["data"]["before"], after["sequence"][:7]) == ("0.00", "000001.")


def test_an_order_that_moves_to_another_person_is_announced_for_both(streams: Streams) -> None:
    shop = streams.shop
    shop.send(event(email=EMAIL, order_id="o-1", grand_total=5))
    shop.drain()
    streams.run()
    shop.send(event(email="ben@example.com", order_id="o-1", action="updated", grand_total=5))
    shop.drain()
    changes = {c["data"]["person"]["email_sha256"]: c["data"] for c in of_type(streams.run(), "lifetime_value.changed")}
    ann, ben = changes[email_sha256(EMAIL)], changes[email_sha256("ben@example.com")]
    assert ((ann["before"], ann["after"]), (ben["before"], ben["after"])) == (("5.00", "0.00"), ("0.00", "5.00"))


def test_amounts_without_a_currency_are_in_the_currency_of_the_account(streams: Streams) -> None:
    # The account counts only orders_api, so the change is not counted.
    streams.shop.accounts.change(ACCOUNT, {"currency": "EUR", "sources": ["orders_api"]})
    sent = event(email=EMAIL)
    sent.pop("currency", None)
    streams.shop.send(sent)
    streams.shop.drain()
    (change,) = of_type(streams.run(), "lifetime_value.changed")
    assert (change["data"]["currency"], change["data"]["counted"]) == ("EUR", False)


def test_repeated_announcements_have_the_same_ids_and_content(streams: Streams) -> None:
    shop = streams.shop
    for number in range(12):
        shop.send(event(email=f"p{number}@example.com", order_id=f"o-{number}"))
    shop.drain()
    records = streams.changes()
    seen = []
    for _ in range(2):
        with shop.faults.recorded() as calls:
            assert streams.announce(records) == []
            seen.append(announced_events(calls))
    assert seen[0] == seen[1]
    assert len({one["id"] for one in seen[0]}) == 24  # 12 changed lifetime values and 12 applied orders


@pytest.mark.parametrize("fault", ["answer lost", "all refused", "one accepted"])
def test_records_of_events_that_the_bus_did_not_accept_are_delivered_again(
    streams: Streams, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tillbook.work import announcing

    shop = streams.shop
    for number in range(15):
        shop.send(event(email=f"p{number}@example.com", order_id=f"o-{number}"))
    shop.drain()
    records = of_people(streams.changes())
    monkeypatch.setattr(announcing.announcer(), "sleep", lambda _: None)
    calls = []

    def intercept(_index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        if operation != "PutEvents":
            return go()
        calls.append((operation, arguments))
        if len(calls) == 1:  # the first ten events; all calls with the other five fail
            return go()
        if fault == "answer lost":
            raise ReadTimeoutError(endpoint_url="https://events")
        accepted = [{"EventId": "1"}] if fault == "one accepted" else []
        refused = [{"ErrorCode": "ThrottlingException"}] * (len(arguments["Entries"]) - len(accepted))
        return {"Entries": accepted + refused, "FailedEntryCount": len(refused)}

    with shop.faults.injected(intercept):
        (again_from,) = streams.announce(records)
    assert again_from == records[10]["dynamodb"]["SequenceNumber"]
    with shop.faults.recorded() as again:
        assert streams.announce(records[10:]) == []
        assert len(announced_events(again)) == 5
    # Each event is in the first call or in the second delivery, so none depends on a call that failed.
    assert {one["id"] for one in announced_events(calls[:1]) + announced_events(again)} == {
        one["id"] for one in announced_events(calls + again)
    }


def test_a_batch_without_enough_time_is_delivered_again(streams: Streams) -> None:
    streams.shop.send(event(email=EMAIL))
    streams.shop.drain()
    records = streams.changes()
    with streams.shop.faults.recorded() as calls:
        assert streams.announce(records, milliseconds=1000) == [records[0]["dynamodb"]["SequenceNumber"]]
        assert announced_events(calls) == []


def test_an_unreadable_record_does_not_block_the_others(streams: Streams) -> None:
    shop = streams.shop
    for name in ("a", "b"):
        shop.send(event(email=f"{name}@example.com", order_id=name))
    shop.drain()
    records = of_people(streams.changes())
    records[0]["dynamodb"]["NewImage"] = records[0]["dynamodb"]["NewImage"] | {"token": {"S": "of another version"}}
    with shop.faults.recorded() as calls:
        assert streams.announce(records) == []
        assert len(announced_events(calls)) == 1


def test_events_match_the_openapi_document(streams: Streams) -> None:
    shop = streams.shop
    shop.send(event(email=EMAIL))
    shop.submit({"order_id": "v-1", "order_date": "2019-01-01", "customer_id": "c-9", "total": 1})
    shop.drain()
    make_dead_letters(shop, "o-2")
    events = streams.run()
    shop.request("DELETE", "/v1/transactions", {"confirm": "purge"})
    events += streams.run()
    made = document()
    assert {one["type"] for one in events} == set(made["webhooks"])
    for one in events:
        reference = made["webhooks"][one["type"]]["post"]["requestBody"]["content"]["application/cloudevents+json"]
        schema = {"$ref": reference["schema"]["$ref"], "components": made["components"]}
        Draft202012Validator(schema).validate(one)
