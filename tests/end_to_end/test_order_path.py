"""The order path on the stack of template.yaml, over HTTP: orders of both APIs change lifetime value and timeline."""

from __future__ import annotations

import gzip
import itertools
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack
from tests.answers import as_submitted
from tests.end_to_end.events import event, queued_order
from tests.end_to_end.shop import Reply, Shop, basic, segment
from tillbook.rules.identity import email_sha256

pytestmark = pytest.mark.stack
DATA = Path(__file__).parent / "data"


def published_example(name: str) -> Any:
    return json.loads((DATA / name).read_text())


# ---------------------------------------------------------------- the published examples


def test_the_published_order_activity_is_applied(shop: Shop) -> None:
    reply = shop.order(published_example("order_activity.json"))
    assert reply.status == 202
    assert list(reply.json) == ["request_id"]
    assert uuid.UUID(reply.json["request_id"]).version == 7
    assert shop.outcome(reply.json["request_id"])["status"] == "applied"

    person = shop.person("user@gmail.com")
    assert person["lifetime_value"] == {"USD": "22.99"}
    assert person["lifetime_value_by_source"] == {"shopper_activity": {"USD": "22.99"}}
    assert person["email_sha256"] == email_sha256("user@gmail.com")
    assert person["orders_count"] == 1
    assert shop.person(person["email_sha256"]) == shop.person(person["id"]) == person

    [activity] = shop.activity("user@gmail.com")
    assert activity["name"] == "Placed an order"
    assert activity["occurred_at"].startswith("2019-01-17T20:50:00")
    assert activity["request_id"] == reply.json["request_id"]
    order = shop.order_v3("my_custom_platform", "456445746").json
    assert order["grand_total"] == "22.99"
    assert order["order_public_id"] == "#5"
    assert order["items"][0]["discount"] == "5.34"
    assert order["items"][0]["properties"]["product_tag"] == "Best Seller"


def published_submission() -> dict[str, Any]:
    """The submission behind the published answer of the Orders API, from that answer's fields."""
    answer = published_example("order_answer.json")
    customer = answer.pop("customer")
    del answer["id"]
    for address in (answer["shipping_address"], answer["billing_address"]):
        address["state"] = address.pop("state_name")
    for item in answer["order_items"]:
        item |= {"price": float(item["price"]), "total": float(item["total"])}
    return {
        **answer,
        "total": 126,
        "metadata": {"firstTimeOrder": True},
        "customer_id": customer["id"],
        "customer_email_sha256": customer["email_sha256"],
    }


def test_the_published_submission_gets_the_published_answer(shop: Shop) -> None:
    reply = shop.submit(published_submission())
    assert reply.status == 201
    wanted = published_example("order_answer.json")
    answer = reply.json
    assert list(answer) == list(wanted)
    assert uuid.UUID(answer["id"])
    for name in wanted.keys() - {"id"}:
        assert answer[name] == wanted[name], name

    again = shop.submit(published_submission())
    assert (again.status, again.text) == (201, reply.text)
    assert shop.submit(published_submission() | {"total": 127}).status == 409
    assert as_submitted(shop.order_v1(wanted["order_id"]).json) == answer
    person = shop.person(wanted["customer"]["email_sha256"])
    assert person["lifetime_value_by_source"] == {"orders_api": {"USD": "126.00"}}


# ------------------------------------------------------------ events of one order, in any order


def four_events(shop: Shop, name: str) -> list[dict[str, Any]]:
    def at(minute: int, action: str, **fields: Any) -> dict[str, Any]:
        email, moment = shop.email(name), f"2026-01-17T20:0{minute}:00Z"
        return event(shop, action, email=email, order_id=name, occurred_at=moment, **fields)

    return [
        at(0, "placed", grand_total=100),
        at(1, "updated", grand_total="105.00"),
        at(2, "paid"),
        at(3, "refunded", grand_total=105, refund_amount=105.0),
    ]


# The entries of the timeline for these events, latest first.
FOUR_NAMES = ["Refunded an order", "Paid an order", "Updated an order", "Placed an order"]


def test_four_events_of_an_order_change_the_lifetime_value_in_turn(shop: Shop) -> None:
    email, values = shop.email("one"), []
    for step in four_events(shop, "one"):
        shop.applied(step)
        values.append(shop.ltv(email)["USD"])
    assert values == ["100.00", "105.00", "105.00", "0.00"]
    assert [activity["name"] for activity in shop.activity(email)] == FOUR_NAMES
    order = shop.order_v3("my_shop", "one").json
    assert (order["grand_total"], order["refund_amount"], order["status"]) == ("105.00", "105.00", "refunded")
    assert order["flags"] == []


def test_four_events_sent_twice_have_the_same_result_in_each_of_24_sequences(shop: Shop) -> None:
    names = [f"p{number}" for number in range(24)]
    steps: list[dict[str, Any]] = []
    for name, order in zip(names, itertools.permutations(range(4)), strict=True):
        events = four_events(shop, name)
        # A message is processed from front to back, so each person's events are applied in this order.
        steps += [events[i] for i in order] + [events[i] for i in reversed(order)]
    # A message holds up to 100 events. In batches of 96 the 8 events of each person are in one message: of two
    # messages, the later one could be processed first.
    replies = [shop.batch(steps[start : start + 96]) for start in (0, 96)]
    assert [reply.status for reply in replies] == [202, 202]
    outcomes = shop.outcomes([i for reply in replies for i in reply.json["request_ids"]])
    assert [sorted(outcomes[start : start + 8]) for start in range(0, 192, 8)] == [
        ["applied"] * 4 + ["duplicate"] * 4
    ] * 24

    shown: list[tuple[dict[str, Any], dict[str, Any], list[tuple[str, str, str | None]]]] = []
    for name in names:
        person, order = shop.person(shop.email(name)), shop.order_v3("my_shop", name).json
        activity = [
            (entry["name"], entry["occurred_at"], entry["order"].get("grand_total"))
            for entry in shop.activity(shop.email(name))
        ]
        own = ("id", "email_sha256")
        shown.append(
            (
                {field: value for field, value in person.items() if field not in own},
                {field: value for field, value in order.items() if field not in ("order_id", "person")},
                activity,
            )
        )
    assert all(entry == shown[0] for entry in shown)
    shown_person, shown_order, shown_activity = shown[0]
    assert shown_person["lifetime_value"] == {"USD": "0.00"}
    assert shown_person["orders_count"] == 1
    assert [entry[0] for entry in shown_activity] == FOUR_NAMES
    assert (shown_order["grand_total"], shown_order["refund_amount"], shown_order["events"]) == ("105.00", "105.00", 4)


# ---------------------------------------------------------------------- order ids

ADDRESS = {"shipping_address": {"address_1": "1 Main St", "postal_code": "12345"}}
ORDER_IDS = [
    "#5", "a/b", "100%", "%2F", "%252F", "a b", " x ", "🧾", "💥 café/ü+ö & more=%41#;:@,$!*'()[]", "+", "//", "a\\b",
    "..a", "日本語", "\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}", "🧾" * 255,
]  # fmt: skip


def test_order_ids_survive_submit_edit_get_delete(shop: Shop) -> None:
    for number, order_id in enumerate(ORDER_IDS):
        order = {"order_id": order_id, "order_date": "2026-02-03", "total": number, "customer_id": "c", **ADDRESS}
        submitted = shop.submit(order)
        assert (submitted.status, submitted.json["order_id"]) == (201, order_id)
        edited = shop.edit(order_id, {"total": "7.5"})
        assert (edited.status, edited.json) == (200, submitted.json | {"total": "7.5"}), order_id
        assert as_submitted(shop.order_v1(order_id).json) == edited.json, order_id
    # Each id names another order.
    assert shop.ltv("c") == {"USD": str(Decimal("7.50") * len(ORDER_IDS))}
    for order_id in ORDER_IDS:
        deleted = shop.delete(order_id)
        assert (deleted.status, deleted.json["order_id"]) == (200, order_id)
        assert shop.order_v1(order_id).status == shop.delete(order_id).status == 404, order_id
    assert shop.person("c")["orders_count"] == 0


def test_order_ids_survive_order_activity_and_get(shop: Shop) -> None:
    events = [event(shop, order_id=order_id, grand_total=1) for order_id in ORDER_IDS]
    assert set(shop.outcomes(shop.batch(events).json["request_ids"])) == {"applied"}
    for order_id in ORDER_IDS:
        reply = shop.order_v3("my_shop", order_id)
        assert (reply.status, reply.json["order_id"]) == (200, order_id)
    assert shop.ltv(shop.email("ann")) == {"USD": f"{len(ORDER_IDS)}.00"}


@pytest.mark.parametrize("order_id", ["", " ", ".", "..", "a?b", "a\nb", "\x7f", "x" * 256, None, True, 1.5, ["a"]])
def test_an_invalid_order_id_is_refused(shop: Shop, order_id: Any) -> None:
    order = {"order_id": order_id, "order_date": "2026-02-03", **ADDRESS}
    reply = shop.submit(order)
    assert reply.status == 400
    assert reply.json["error"]["name"] == "ValidationError"
    assert [detail["field"] for detail in reply.json["error"]["details"]] == ["order_id"]
    reply = shop.order(event(shop, order_id=order_id))
    assert reply.status == 422
    assert [error["attribute"] for error in reply.json["errors"]] == ["order_id"]


def test_an_integer_order_id_becomes_a_text_of_its_digits(shop: Shop) -> None:
    order = {"order_id": 456445746, "order_date": "2026-02-03", **ADDRESS}
    assert shop.submit(order).json["order_id"] == "456445746"
    assert shop.order_v1("456445746").status == 200
    shop.applied(event(shop, order_id=456445746))
    assert shop.order_v3("my_shop", "456445746").status == 200


# ------------------------------------------------------------------------- batches


def test_a_batch_of_a_thousand_events_is_applied(shop: Shop) -> None:
    people = [shop.email(f"t{number}") for number in range(7)]
    wanted = dict.fromkeys(people, Decimal(0))
    events = []
    for number in range(1000):
        amount, email = Decimal(number * 37 % 9973) / 100, people[number % len(people)]
        wanted[email] += amount
        # Shops send both numbers and numeric strings.
        total = str(amount) if number % 2 else float(amount)
        events.append(event(shop, email=email, order_id=f"T-{number}", grand_total=total, note="x" * 300))
    reply = shop.batch(events)
    assert reply.status == 202
    ids = reply.json["request_ids"]
    assert len(set(ids)) == 1000
    # Each outcome is awaited: an event is queued again, alone, if other messages change its person too often meanwhile.
    assert set(shop.outcomes(ids)) == {"applied"}
    shown = {email: shop.person(email) for email in people}
    assert sum(person["orders_count"] for person in shown.values()) == 1000
    assert {email: Decimal(person["lifetime_value"]["USD"]) for email, person in shown.items()} == wanted


def test_a_batch_with_an_invalid_event_queues_nothing(shop: Shop) -> None:
    events = [event(shop, order_id=f"F-{number}", grand_total=1) for number in range(5)]
    events[3]["email"] = ""
    events[4]["items"] = [{"name": "x", "price": "free"}]
    reply = shop.batch(events)
    assert reply.status == 422
    assert [(error["code"], error["attribute"]) for error in reply.json["errors"]] == [
        ("presence_error", "orders[3].email"),
        ("presence_error", "orders[4].items[0].product_id"),
        ("format_error", "orders[4].items[0].price"),
    ]
    assert shop.batch([]).status == shop.batch([event(shop)] * 1001).status == 422
    shop.applied(event(shop, order_id="after", grand_total=5))
    assert shop.ltv(shop.email("ann")) == {"USD": "5.00"}


# ------------------------------------------------------------------- one person, two APIs


def test_an_email_is_the_same_person_in_both_apis(shop: Shop) -> None:
    email = shop.email("both")
    order = {"order_id": "v1-1", "order_date": "2026-02-03", "total": 10}
    assert shop.submit(order | {"customer_email": f" {email.upper()} "}).status == 201
    shop.applied(event(shop, email=email.title(), grand_total="0.0001"))
    shop.applied(event(shop, order_id="A-2", email=None, person_id=email, grand_total=2))
    person = shop.person(email)
    assert person["lifetime_value"] == {"USD": "12.0001"}  # 10 + 0.0001 + 2
    assert person["lifetime_value_by_source"] == {
        "orders_api": {"USD": "10.00"},
        "shopper_activity": {"USD": "2.0001"},
    }
    assert {activity["name"] for activity in shop.activity(email)} == {"Placed an order", "Submitted an order"}
    assert shop.delete("v1-1").status == 200
    assert shop.ltv(email) == {"USD": "2.0001"}


def test_both_apis_accept_gzip_and_a_body_that_inflates_too_far_gets_413(shop: Shop) -> None:
    order = {"order_id": "gz", "order_date": "2026-02-03", "total": 3, "customer_id": "gz"}
    packed = gzip.compress(json.dumps(order | ADDRESS).encode(), mtime=0)
    assert shop.submit(packed, headers={"content-encoding": "gzip"}).status == 201
    packed = gzip.compress(json.dumps(event(shop, email=shop.email("gz"), grand_total=4)).encode(), mtime=0)
    shop.applied(packed, headers={"content-encoding": "gzip"})
    assert shop.ltv("gz") == {"USD": "3.00"}
    assert shop.ltv(shop.email("gz")) == {"USD": "4.00"}
    bomb = gzip.compress(b"0" * 50_000_000, mtime=0)
    assert shop.order(bomb, headers={"content-encoding": "gzip"}).status == 413


def test_a_body_that_is_too_large_gets_413(shop: Shop) -> None:
    large = event(shop, note="x" * 256 * 1024)
    for reply in (shop.order(large), shop.batch([large]), shop.batch([event(shop, note="x" * 5_000_000)])):
        assert (reply.status, list(reply.json)) == (413, ["errors"])
    reply = shop.submit({"order_id": "large", "order_date": "2026-02-03", "customer_id": "x" * 256 * 1024})
    assert (reply.status, reply.json["error"]["name"]) == (413, "TooLarge")


# --------------------------------------------------------------------- keys and roles


def assert_v1_unauthorized(reply: Reply) -> None:
    assert (reply.status, reply.json) == (403, {"error": "Unauthorized"})


def assert_v3_refused(reply: Reply, status: int) -> None:
    code = "authentication_error" if status == 401 else "authorization_error"
    assert (reply.status, reply.json["errors"][0]["code"]) == (status, code), reply.text
    assert ("www-authenticate" in reply.headers) == (status == 401)


def test_requests_without_a_valid_key_are_refused(shop: Shop) -> None:
    headers = [
        {},
        {"authorization": "Bearer unknown"},
        {"authorization": "Bearer"},
        {"authorization": basic("unknown:")},
        {"authorization": "Basic %%%"},
        {"authorization": shop.ingest_key},
        {"authorization": basic(f":{shop.ingest_key}")},
    ]
    for sent in headers:
        assert_v3_refused(shop.order(event(shop), key="", headers=sent), 401)
        assert_v1_unauthorized(shop.submit({}, key="", headers=sent))
        assert_v1_unauthorized(shop.edit("a", {}, key="", headers=sent))
        assert_v1_unauthorized(shop.delete("a", key="", headers=sent))
        assert_v1_unauthorized(shop.send("GET", "/v1/order/a", key="", headers=sent))
        assert_v3_refused(shop.send("GET", shop.person_path("a"), key="", headers=sent), 401)
        assert_v3_refused(shop.send("GET", f"/v2/{shop.account}/subscribers/a", key="", headers=sent), 401)
    # v1 accepts only Bearer.
    assert_v1_unauthorized(shop.submit({}, key="", headers={"authorization": basic(f"{shop.ingest_key}:")}))


def test_every_form_of_a_key_that_clients_send_is_accepted(shop: Shop) -> None:
    forms = [
        basic(f"{shop.ingest_key}:"),
        basic(shop.ingest_key),
        basic(f"{shop.ingest_key}\n"),
        basic(f"{shop.ingest_key}:\n"),
        basic(f"{shop.ingest_key}:x"),
        basic(f"{shop.ingest_key}:").rstrip("="),
        f"Bearer {shop.ingest_key}",
        f"bearer {shop.ingest_key}",
    ]
    for form in forms:
        assert shop.order(event(shop), key="", headers={"authorization": form}).status == 202, form
    # v1: the key is accepted, the empty order is not.
    assert shop.submit({}, key="", headers={"authorization": f"bearer {shop.ingest_key}"}).status == 400


def test_an_ingest_key_may_not_read_and_an_admin_key_may_send(shop: Shop) -> None:
    assert shop.order(event(shop), key=shop.admin_key).status == 202
    order = {"order_id": "k", "order_date": "2026-02-03", **ADDRESS}
    assert shop.submit(order, key=shop.admin_key).status == 201
    assert_v1_unauthorized(shop.send("GET", "/v1/order/k", key=shop.ingest_key))
    person = shop.person_path(shop.email("ann"))
    reads = [
        person,
        f"{person}/activity",
        f"{person}/orders",
        f"/v3/{shop.account}/orders/my_shop/A-1",
        f"/v3/{shop.account}/requests/{uuid.uuid4()}",
        f"/v2/{shop.account}/subscribers/{segment(shop.email('ann'))}",
    ]
    for path in reads:
        assert_v3_refused(shop.send("GET", path, key=shop.ingest_key), 403)


def test_accounts_see_nothing_of_each_other(stack: Stack, shop: Shop) -> None:
    other = Shop.open(stack)
    email = shop.email("mine")
    request_id = shop.applied(event(shop, email=email, grand_total=1))
    assert shop.submit({"order_id": "mine", "order_date": "2026-02-03", "customer_email": email}).status == 201
    for path in (shop.person_path(email), f"/v3/{shop.account}/requests/{request_id}"):
        assert_v3_refused(shop.send("GET", path, key=other.admin_key), 403)
        # The person is unknown (404); a request without an outcome counts as queued (200).
        assert other.send("GET", path.replace(shop.account, other.account)).status in (200, 404)
    assert_v3_refused(shop.order(event(shop), key=other.admin_key), 403)
    assert other.send("GET", other.person_path(email)).status == 404
    assert other.send("GET", other.person_path(shop.person(email)["id"])).status == 404
    assert other.order_v3("my_shop", "A-1").status == 404
    assert other.order_v1("mine").status == other.delete("mine").status == other.edit("mine", {}).status == 404
    assert other.send("GET", f"/v3/{other.account}/requests/{request_id}").json["status"] == "queued"
    # The same ids in another account are other orders.
    other.applied(event(shop, email=email, grand_total=2))
    assert (shop.ltv(email), other.ltv(email)) == ({"USD": "1.00"}, {"USD": "2.00"})


# ----------------------------------------------- routes, invalid fields, dead letters


def test_unknown_routes_get_404_and_unknown_methods_405(shop: Shop) -> None:
    for method, path, status, name, allow in (
        ("GET", "/v1/nothing", 404, "NotFound", ""),
        ("GET", "/v1/order", 405, "MethodNotAllowed", "POST"),
        ("PUT", "/v1/order/a", 405, "MethodNotAllowed", "DELETE, GET, POST"),
    ):
        reply = shop.send(method, path)
        assert (reply.status, reply.json["error"]["name"]) == (status, name)
        assert ", ".join(sorted(reply.headers.get("allow", "").split(", "))) == allow
    account = shop.account
    for method, path, status in (
        ("GET", "/pages", 404),
        ("GET", "/v3", 404),
        ("POST", f"/v3/{account}/shopper_activity/cart", 404),
        ("GET", f"/v3/{account}/people/", 404),
        ("PUT", f"/v3/{account}/shopper_activity/order", 405),
        ("GET", f"/v3/{account}/shopper_activity/order/batch", 405),
        ("POST", f"/v3/{account}/people/a/activity", 405),
        ("DELETE", f"/v2/{account}/subscribers/a", 405),
    ):
        reply = shop.send(method, path)
        assert (reply.status, list(reply.json)) == (status, ["errors"]), path
        assert ("allow" in reply.headers) == (status == 405)


def test_all_invalid_fields_are_reported_at_once(shop: Shop) -> None:
    reply = shop.order(
        {"provider": "My Shop", "email": "nobody", "action": "bought", "grand_total": -1, "occurred_at": "2999-01-01"}
    )
    assert reply.status == 422
    assert {(error["code"], error["attribute"]) for error in reply.json["errors"]} == {
        ("format_error", "provider"),
        ("email_error", "email"),
        ("format_error", "action"),
        ("range_error", "grand_total"),
        ("time_error", "occurred_at"),
        ("presence_error", "order_id"),
    }
    reply = shop.submit({"order_id": "a", "shipping_address": {"address_1": "x"}})
    assert {detail["field"] for detail in reply.json["error"]["details"]} == {
        "order_date",
        "shipping_address.postal_code",
    }
    # A body that is not JSON has no fields to report.
    assert shop.order(b"{").status == shop.submit(b"{").status == 400


def test_an_event_that_cannot_be_applied_becomes_a_dead_letter_and_delays_no_other(stack: Stack, shop: Shop) -> None:
    """Queues a message that is on its last try, with an event that the API would have refused."""
    good, bad = (queued_order(shop, name) for name in ("good", "bad"))
    bad["body"]["grand_total"] = "not a number"
    message = {"v": 1, "orders": [bad, good], "tries": 4}
    stack.boto3_client("sqs").send_message(QueueUrl=stack.outputs["OrdersQueueUrl"], MessageBody=json.dumps(message))
    assert shop.outcome(good["request_id"])["status"] == "applied"
    outcome = shop.outcome(bad["request_id"])
    assert outcome["status"] == "failed"
    assert outcome["reason"]
    assert "not a number" not in outcome["reason"]
    assert shop.ltv(shop.email("good")) == {"USD": "9.00"}
    assert shop.send("GET", shop.person_path(shop.email("bad"))).status == 404

    letters = stack.boto3_client("dynamodb").query(
        TableName=stack.outputs["RecordsTableName"],
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"{shop.account}/d"}},
    )["Items"]
    assert [letter["sk"]["S"] for letter in letters] == [bad["request_id"]]
    assert json.loads(letters[0]["message"]["S"])["orders"] == [bad]
    attributes = stack.boto3_client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["DeadLettersQueueUrl"], AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "0"
