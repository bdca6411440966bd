"""Reading people, timelines, orders and v2 subscribers: shapes, pages, and isolation of accounts."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.handlers.events import EMAIL, SHA, day, event
from tests.handlers.reading import PERSON, read_all_pages
from tests.handlers.rights import USED_RIGHTS
from tests.handlers.shop import ACCOUNT, OTHER, OTHER_ADMIN, Shop

# -------------------------------------------------------------------- person


def test_the_published_shape_of_a_person(shop: Shop) -> None:
    shop.send(event(occurred_at=day(1)))
    shop.send(event(occurred_at=day(3), order_id="2", grand_total="5"))
    shop.drain()
    person = shop.person(EMAIL)
    assert person == {
        "id": person["id"],
        "email_sha256": SHA,
        "person_id": None,
        "customer_id": None,
        "lifetime_value": {"USD": "105.00"},
        "lifetime_value_by_source": {"shopper_activity": {"USD": "105.00"}},
        "orders_count": 2,
        "first_order_at": "2019-01-01T12:00:00Z",
        "last_order_at": "2019-01-03T12:00:00Z",
    }


def test_a_person_is_found_by_five_identifiers_in_this_precedence(shop: Shop) -> None:
    """Our own id, person_id, e-mail, its SHA-256, v1 customer_id."""
    shop.send(event())
    shop.drain()
    by_email = shop.person(EMAIL)
    own = by_email["id"]
    for name in (own, EMAIL, "USER@gmail.com", " user@gmail.com ", SHA, SHA.upper()):
        assert shop.person(quote(name, safe=""))["id"] == own
    # The hash of an e-mail takes precedence over a customer id …
    customer = {"order_date": "2019-01-01", "shipping_address": {"address_1": "1", "postal_code": "1"}}
    for n, customer_id in enumerate(("c-1", SHA, own)):
        shop.submit(customer | {"order_id": str(n), "customer_id": customer_id, "total": 1})
    assert shop.ltv("c-1") == {"USD": "1.00"}
    assert shop.person(SHA)["id"] == own
    # … a person_id over the hash and the customer id …
    for n, person_id in enumerate(("c-1", SHA, own)):
        shop.send(event(order_id=f"p{n}", person_id=person_id, email=..., grand_total=7))
    shop.drain()
    assert shop.ltv("c-1") == {"USD": "7.00"}
    assert shop.ltv(SHA) == {"USD": "7.00"}
    # … and our own id over all others.
    assert shop.ltv(own) == {"USD": "100.00"}
    assert shop.ltv(EMAIL) == {"USD": "100.00"}


@pytest.mark.parametrize(
    "name", ["nobody", "nobody@b.co", "0" * 64, "0" * 32, "%20", "a%2Fb", quote("😀" * 300), "x" * 2_000]
)
@pytest.mark.parametrize("suffix", ["", "/activity", "/orders"])
def test_an_unknown_person_is_404(shop: Shop, name: str, suffix: str) -> None:
    answer = shop.get(f"{PERSON}/{name}{suffix}")
    assert answer.status == 404
    assert answer.body["errors"][0]["message"]


def test_currencies_are_never_added_up(shop: Shop) -> None:
    for n, (currency, total) in enumerate((("USD", 1), ("EUR", 2), ("JPY", 300), (..., 4))):
        shop.send(event(order_id=n, currency=currency, grand_total=total))
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "5.00", "EUR": "2.00", "JPY": "300.00"}


def test_an_order_without_a_currency_has_the_account_s_currency(shop: Shop) -> None:
    shop.send(event())
    shop.drain()
    shop.accounts.change(ACCOUNT, {"currency": "EUR"})
    assert shop.ltv(EMAIL) == {"EUR": "100.00"}
    assert shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body["currency"] == "EUR"


def test_lifetime_value_includes_only_the_sources_that_the_account_counts(shop: Shop) -> None:
    """The setting applies when a person is read. A shop that sends its orders to both APIs counts one of them."""
    shop.send(event())
    shop.submit({"order_id": "1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": 100})
    shop.drain()
    assert shop.ltv(EMAIL) == {"USD": "200.00"}
    for source in ("shopper_activity", "orders_api"):
        shop.accounts.change(ACCOUNT, {"sources": [source]})
        person = shop.person(EMAIL)
        assert person["lifetime_value"] == {"USD": "100.00"}
        assert person["orders_count"] == 1
        assert set(person["lifetime_value_by_source"]) == {"shopper_activity", "orders_api"}


def test_first_and_last_order_of_a_person(shop: Shop) -> None:
    """An order has the date of its first event, and is an order of the person that its latest event names."""
    shop.send(event(order_id="moved", occurred_at=day(2), email="first@b.co"))
    shop.send(event(order_id="moved", occurred_at=day(9), action="paid", grand_total=...))
    shop.send(event(order_id="plain", occurred_at=day(5)))
    shop.drain()
    person = shop.person(EMAIL)
    assert (person["first_order_at"], person["last_order_at"]) == ("2019-01-02T12:00:00Z", "2019-01-05T12:00:00Z")
    earlier = shop.person("first@b.co")
    assert (earlier["first_order_at"], earlier["last_order_at"], earlier["orders_count"]) == (None, None, 0)


@pytest.mark.parametrize("events", [1, 120], ids=["few events", "many events"])
def test_first_and_last_order_are_of_the_sources_that_the_account_counts(shop: Shop, events: int) -> None:
    body = {"order_date": "2018-01-01", "customer_email": EMAIL, "total": 1}
    shop.submit(body | {"order_id": "1"})
    shop.send_batch([event(occurred_at=day(2), action="updated", note=n) for n in range(events)])
    shop.submit(body | {"order_id": "2", "order_date": "2020-01-01"})
    shop.drain()
    seen = {}
    for sources in (("orders_api", "shopper_activity"), ("orders_api",), ("shopper_activity",)):
        shop.accounts.change(ACCOUNT, {"sources": sources})
        person = shop.person(EMAIL)
        seen[sources] = person["orders_count"], person["first_order_at"], person["last_order_at"]
    v1 = "2018-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
    assert list(seen.values()) == [(3, *v1), (2, *v1), (1, "2019-01-02T12:00:00Z", "2019-01-02T12:00:00Z")]


def test_a_person_without_a_counted_order_has_no_first_order(shop: Shop) -> None:
    shop.submit({"order_id": "1", "order_date": "2018-01-01", "customer_email": EMAIL, "total": 1})
    shop.accounts.change(ACCOUNT, {"sources": ["shopper_activity"]})
    person = shop.person(EMAIL)
    assert (person["orders_count"], person["first_order_at"], person["last_order_at"]) == (0, None, None)
    assert len(read_all_pages(shop, f"{PERSON}/{EMAIL}/orders", "orders", 50)) == 1


def test_an_edit_of_the_order_date_changes_first_and_last_order(shop: Shop) -> None:
    for n, date in enumerate(("2019-01-05", "2019-01-07")):
        shop.submit({"order_id": str(n), "order_date": date, "customer_email": EMAIL})
    shop.edit("1", {"order_date": "2018-01-01"})
    person = shop.person(EMAIL)
    assert (person["first_order_at"], person["last_order_at"]) == ("2018-01-01T00:00:00Z", "2019-01-05T00:00:00Z")


# ------------------------------------------------------------------ activity


def test_the_published_shape_of_an_activity(shop: Shop) -> None:
    request_id = shop.send(event(occurred_at=day(1), tag="x")).body["request_id"]
    shop.drain()
    answer = shop.get(f"{PERSON}/{EMAIL}/activity")
    (activity,) = answer.body["activity"]
    assert set(activity) == {"name", "occurred_at", "request_id", "order", "properties"}
    assert (activity["name"], activity["occurred_at"]) == ("Placed an order", "2019-01-01T12:00:00Z")
    assert activity["request_id"] == request_id
    assert activity["properties"] == {"tag": "x"}
    assert activity["order"]["grand_total"] == "100.00"
    assert answer.body["next_cursor"] is None
    assert EMAIL not in answer.text


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_activities_are_paged_newest_first(shop: Shop, limit: int) -> None:
    shop.send_batch([event(order_id=n % 3, action="updated", occurred_at=day(1 + n // 2), note=n) for n in range(7)])
    shop.drain()
    entries = read_all_pages(shop, f"{PERSON}/{EMAIL}/activity", "activity", limit)
    assert [entry["properties"]["note"] for entry in entries] == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_orders_are_paged_newest_first(shop: Shop, limit: int) -> None:
    """The date of a v3 order is that of its first event."""
    for n in range(5):
        shop.send(event(order_id=f"s{n}", occurred_at=day(10 + n)))
        shop.send(event(order_id=f"s{n}", occurred_at=day(20 - n), action="paid", grand_total=...))
    shop.submit({"order_id": "v1", "order_date": "2019-01-18T00:00:00Z", "customer_email": EMAIL})
    shop.drain()
    entries = read_all_pages(shop, f"{PERSON}/{EMAIL}/orders", "orders", limit)
    assert [entry["order_id"] for entry in entries] == ["v1", "s4", "s3", "s2", "s1", "s0"]


def test_an_event_that_moves_within_the_index_is_listed_once(shop: Shop) -> None:
    """An earlier copy moved the event to an earlier receipt, and the index still lists its old place, too."""
    shop.send(event(occurred_at=day(1)))
    shop.send(event(occurred_at=day(2), order_id="2"))
    shop.drain()
    expected = shop.get(f"{PERSON}/{EMAIL}/activity").body

    def listed_twice(index: int, operation: str, arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
        answer = go()
        if operation == "Query" and arguments.get("IndexName") == "timeline":
            old = copy.deepcopy(answer["Items"][0])
            stamp = old["stamp"]["S"]
            # The time of receipt is a second later.
            old["stamp"]["S"] = f"{stamp[:20]}{int(stamp[20:40]) + 1_000_000:020}{stamp[40:]}"
            answer["Items"].insert(0, old)
        return answer

    with shop.faults.injected(listed_twice):
        assert shop.get(f"{PERSON}/{EMAIL}/activity").body == expected
        assert len(shop.get(f"{PERSON}/{EMAIL}/orders").body["orders"]) == 2
        assert shop.person(EMAIL)["orders_count"] == 2


def test_v1_changes_are_on_the_timeline(shop: Shop) -> None:
    shop.submit({"order_id": "1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": 1})
    shop.edit("1", {"total": 2})
    shop.delete("1")
    entries = shop.get(f"{PERSON}/{EMAIL}/activity").body["activity"]
    assert [entry["name"] for entry in entries] == ["Deleted an order", "Edited an order", "Submitted an order"]
    assert [entry["order"]["total"] for entry in entries] == ["2.0", "2.0", "1.0"]
    assert shop.get(f"{PERSON}/{EMAIL}/orders").body == {"orders": [], "next_cursor": None}


def test_orders_after_an_order_of_many_events_are_listed_with_few_calls(shop: Shop) -> None:
    """The index lists orders, not events, so `old` is found without reading through the events of `long`."""
    shop.send(event(order_id="old", occurred_at=day(1)))
    shop.send_batch([event(order_id="long", action="updated", occurred_at=day(2), note=n) for n in range(250)])
    shop.send(event(order_id="new", occurred_at=day(3)))
    shop.drain()
    path = f"{PERSON}/{EMAIL}/orders"
    by_limit = {}
    for limit in (1, 2, 200):
        with shop.faults.recorded() as calls:
            by_limit[limit] = read_all_pages(shop, path, "orders", limit)
        assert len(calls) < 40
    assert [order["order_id"] for order in by_limit[200]] == ["new", "long", "old"]
    assert by_limit[1] == by_limit[2] == by_limit[200]


@pytest.mark.parametrize("change", ["deleted", "moved by an edit", "moved by an event"])
def test_an_order_that_changes_while_a_list_is_read_is_shown_as_before_or_left_out(shop: Shop, change: str) -> None:
    """Heads are read first, with one call; then each order. An order is shown as its head had it, or left out."""
    for n in range(3):
        shop.submit({"order_id": f"v1-{n}", "order_date": f"2019-01-{n + 1:02}", "customer_email": EMAIL})
        shop.send(event(order_id=f"v3-{n}", occurred_at=day(10 + n)))
    shop.drain()
    changes = {
        "deleted": lambda: shop.delete("v1-1"),
        "moved by an edit": lambda: shop.edit("v1-1", {"customer_email": "other@b.co"}),
        "moved by an event": lambda: shop.send(event(order_id="v3-1", occurred_at=day(20), email="other@b.co")),
    }

    def between(index: int, operation: str, arguments: dict[str, Any], go: Any) -> Any:
        answer = go()
        if operation == "BatchGetItem" and any("/h/" in i["pk"]["S"] for i in next(iter(answer["Responses"].values()))):
            shop.faults.intercept = None
            with USED_RIGHTS.uncounted():
                assert changes[change]().status in (200, 202)
                shop.drain()
        return answer

    with shop.faults.injected(between):
        answer = shop.get(f"{PERSON}/{EMAIL}/orders")
    assert answer.status == 200
    gone = "v3-1" if change == "moved by an event" else ""
    ids = ["v3-2", "v3-1", "v3-0", "v1-2", "v1-1", "v1-0"]
    assert [order["order_id"] for order in answer.body["orders"]] == [i for i in ids if i != gone]


def test_a_timeline_leaves_out_activities_that_are_erased_while_it_is_read(shop: Shop) -> None:
    """The index of the timeline is updated a moment later: it may still list a version that was emptied."""
    body = {"order_id": "1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": 1}
    shop.submit(body)
    shop.edit("1", {"customer_email": "other@b.co"})
    shop.submit(body | {"order_id": "2", "order_date": "2019-01-02"})
    assert shop.request("DELETE", f"{PERSON}/{EMAIL}").status == 202
    listed = []

    def erase(index: int, operation: str, arguments: dict[str, Any], go: Any) -> Any:
        answer = go()
        if arguments.get("IndexName") == "timeline":
            shop.faults.intercept = None
            listed.extend(answer["Items"])
            with USED_RIGHTS.uncounted():
                shop.settle()
        return answer

    with shop.faults.injected(erase):
        answer = shop.get(f"{PERSON}/{EMAIL}/activity")
    assert len(listed) == 2
    assert (answer.status, answer.body) == (200, {"activity": [], "next_cursor": None})


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "x", "", "９", "1" * 30])
@pytest.mark.parametrize("noun", ["activity", "orders"])
def test_an_invalid_limit_is_400(shop: Shop, limit: str, noun: str) -> None:
    shop.send(event())
    shop.drain()
    answer = shop.get(f"{PERSON}/{EMAIL}/{noun}", query={"limit": limit})
    assert answer.status == 400
    assert answer.body["errors"][0]["attribute"] == "limit"


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!",
        "é",
        "AAAA",
        base64.urlsafe_b64encode(b"x" * 70).decode(),
        "../..",
        "0" * 500,
        base64.b64encode(b"1" * 44).decode(),
    ],
)
@pytest.mark.parametrize("noun", ["activity", "orders"])
def test_a_malformed_cursor_is_400(shop: Shop, cursor: str, noun: str) -> None:
    shop.send(event())
    shop.drain()
    answer = shop.get(f"{PERSON}/{EMAIL}/{noun}", query={"cursor": cursor})
    assert answer.status == 400
    assert answer.body["errors"][0]["attribute"] == "cursor"


def test_a_cursor_used_in_another_account_shows_only_that_account(shop: Shop) -> None:
    other = f"/v3/{OTHER}/shopper_activity/order"
    for n in range(3):
        shop.send(event(order_id=n, occurred_at=day(1 + n)))
        shop.request("POST", other, event(order_id=n, occurred_at=day(1 + n), note="theirs"), key=OTHER_ADMIN)
    shop.drain()
    cursor = shop.get(f"{PERSON}/{EMAIL}/activity", query={"limit": "1"}).body["next_cursor"]
    answer = shop.get(f"/v3/{OTHER}/people/{EMAIL}/activity", query={"cursor": cursor}, key=OTHER_ADMIN)
    assert [entry["properties"] for entry in answer.body["activity"]] == [{"note": "theirs"}] * 2


@pytest.mark.parametrize("noun", ["activity", "orders"])
@pytest.mark.parametrize("filling", ["a", "😀", '"'], ids=["compressible", "emoji", "quotes"])
def test_a_page_stops_at_4_mb(shop: Shop, noun: str, filling: str) -> None:
    bytes_in_json = len(json.dumps(filling, ensure_ascii=False).encode()) - 2  # without the quotes around it
    note = filling * (240_000 // bytes_in_json)
    for n in range(25):
        shop.send(event(order_id=n, occurred_at=day(1 + n), note=note))
    shop.drain()
    answer = shop.get(f"{PERSON}/{EMAIL}/{noun}", query={"limit": "200"})
    assert len(answer.text.encode()) <= 4 * 1024 * 1024 + 300_000  # the last entry may exceed the limit
    assert answer.body["next_cursor"]
    assert len(read_all_pages(shop, f"{PERSON}/{EMAIL}/{noun}", noun, 200)) == 25


# --------------------------------------------------------------------- order


def test_an_order_combines_its_events(shop: Shop) -> None:
    shop.send(event(occurred_at=day(1), order_public_id="#5", tag="x"))
    shop.send(event(occurred_at=day(3), action="refunded", grand_total=..., refund_amount="130"))
    shop.send(event(occurred_at=day(2), action="paid", grand_total=..., order_public_id="#6"))
    shop.drain()
    order = shop.get(f"/v3/{ACCOUNT}/orders/shopify/o-1").body
    assert (order["provider"], order["order_id"], order["order_public_id"]) == ("shopify", "o-1", "#6")
    assert (order["grand_total"], order["refund_amount"], order["status"]) == ("100.00", "130.00", "refunded")
    assert order["flags"]
    assert order["properties"] == {"tag": "x"}


@pytest.mark.parametrize("decodes_first", [True, False], ids=["decoded, then routed", "routed, then decoded"])
@pytest.mark.parametrize("order_id", ["#5", "a/b", "%2F", "//", "100%", "😀" * 255, " a b ", "ü"])
def test_any_order_id_can_be_read(shop: Shop, order_id: str, decodes_first: bool) -> None:
    shop.decodes_first = decodes_first
    shop.send(event(order_id=order_id))
    shop.drain()
    path = f"/v3/{ACCOUNT}/orders/shopify/{quote(order_id, safe='')}"
    assert shop.get(path).body["order_id"] == order_id
    assert [entry["action"] for entry in shop.get(f"{path}/history").body["history"]] == ["placed"]
    assert shop.request("DELETE", path).headers["allow"] == "GET"


def test_provider_and_source_are_part_of_an_order_s_identity(shop: Shop) -> None:
    shop.send(event(provider="one", grand_total=1))
    shop.send(event(provider="two", grand_total=2))
    shop.submit({"order_id": "o-1", "order_date": "2019-01-01", "customer_email": EMAIL, "total": 4})
    shop.drain()
    assert shop.person(EMAIL)["orders_count"] == 3
    assert shop.get(f"/v3/{ACCOUNT}/orders/two/o-1").body["grand_total"] == "2.00"
    for path in ("three/o-1", "one/o-2"):
        assert shop.get(f"/v3/{ACCOUNT}/orders/{path}").status == 404


# ---------------------------------------------------------------- subscriber


@pytest.mark.parametrize(
    ("currency", "total", "units"), [("USD", "22.99", 2299), ("JPY", 1200, 1200), ("KWD", "1.5", 1500), ("USD", 0, 0)]
)
def test_a_subscriber_s_ltv_is_in_the_smallest_unit(shop: Shop, currency: str, total: Any, units: int) -> None:
    shop.accounts.change(ACCOUNT, {"currency": currency})
    shop.send(event(grand_total=total))
    shop.send(event(order_id="2", currency="CHF", grand_total=1))  # left out: not in the account's currency
    shop.drain()
    answer = shop.get(f"/v2/{ACCOUNT}/subscribers/{EMAIL}")
    assert answer.status == 200
    (subscriber,) = answer.body["subscribers"]
    assert subscriber["lifetime_value"] == units
    assert type(subscriber["lifetime_value"]) is int
    assert subscriber["id"] == shop.person(EMAIL)["id"]


def test_an_unknown_subscriber_is_404(shop: Shop) -> None:
    answer = shop.get(f"/v2/{ACCOUNT}/subscribers/nobody@b.co")
    assert answer.status == 404
    assert answer.body["errors"]


# ----------------------------------------------------------------- isolation


def test_nothing_of_one_account_is_visible_to_another(shop: Shop) -> None:
    request_id = shop.send(event()).body["request_id"]
    shop.drain()
    own = shop.person(EMAIL)["id"]
    for path in (f"people/{EMAIL}", f"people/{own}", f"people/{SHA}", f"people/{own}/activity", "orders/shopify/o-1"):
        assert shop.get(f"/v3/{OTHER}/{path}", key=OTHER_ADMIN).status == 404
    theirs = shop.get(f"/v3/{OTHER}/requests/{request_id}", key=OTHER_ADMIN)
    assert theirs.status == 404 or theirs.body["status"] == "queued"
    assert "applied" not in theirs.text


def test_a_person_has_another_id_in_each_account(shop: Shop) -> None:
    shop.send(event())
    shop.request("POST", f"/v3/{OTHER}/shopper_activity/order", event(), key=OTHER_ADMIN)
    shop.drain()
    theirs = shop.get(f"/v3/{OTHER}/people/{EMAIL}", key=OTHER_ADMIN).body
    assert theirs["id"] != shop.person(EMAIL)["id"]
    assert theirs["email_sha256"] == SHA


def test_stored_ltv_equals_the_sum_over_the_orders(shop: Shop) -> None:
    shop.send_batch([event(order_id=n, grand_total=f"{n}.{n:04d}", currency="USD") for n in range(9)])
    for n in range(4):
        shop.submit({"order_id": str(n), "order_date": "2019-01-01", "customer_email": EMAIL, "total": n})
    shop.drain()
    orders = read_all_pages(shop, f"{PERSON}/{EMAIL}/orders", "orders", 4)
    assert len(orders) == 13
    assert shop.ltv(EMAIL)["USD"] == "42.0036"  # 36.0036 of v3, and 6 of v1
