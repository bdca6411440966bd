"""Orders and customers: found, listed, explained."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest

from local.stack import Stack
from tests.browser.planted import outcomes
from tests.end_to_end.shop import Shop

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import NEEDED, Browser

pytestmark = NEEDED


def address(order_id: str, provider: str = "my_shop") -> str:
    return f"/#/order?provider={provider}&id={quote(order_id, safe='')}"


def search(browser: Browser, text: str) -> None:
    browser.type("#query", text)
    browser.press(Keys.ENTER)


def booked(shop: Shop, browser: Browser, order_id: str) -> None:
    """Waits until the order is in the book, which lists and searches read."""
    path = f"/v1/orders?name={quote(order_id, safe='')}"
    browser.until(lambda: shop.send("GET", path).json["orders"], f"{order_id} is not in the book")


# ------------------------------------------------------------------- found


def test_an_order_is_found_with_and_without_its_sign_and_by_its_beginning(
    inside: Browser, shop: Shop, an_event: Any
) -> None:
    shop.applied(an_event("5001001", order_public_id="#1001"))
    shop.applied(an_event("5001002", order_public_id="#1002"))
    booked(shop, inside, "#1002")
    for text in ("#1001", "1001", "5001001"):
        search(inside, text)
        inside.says("Order #1001")
        inside.click("#nav a", "Overview")
        inside.settled()
    search(inside, "#100")
    inside.until(lambda: len(inside.all("td.c-order a")) == 2, "not both are listed")
    assert sorted(link.text for link in inside.all("td.c-order a")) == ["#1001", "#1002"]
    assert "name=%23100" in inside.driver.current_url


def test_a_person_is_found_by_e_mail_which_does_not_stay_in_the_address(
    inside: Browser, shop: Shop, an_event: Any
) -> None:
    email = shop.email("find+me")
    shop.applied(an_event("F-1", email=email))
    search(inside, email)
    inside.says("$105.00")
    assert "@" not in inside.driver.current_url
    assert quote(email) not in inside.driver.current_url
    asked = [url for url in inside.asked() if email in url or quote(email, safe="") in url]
    assert len(asked) == 1  # to our own API, whose logs hold no path


def test_an_e_mail_that_nobody_has_is_reported_without_asking_for_another(
    inside: Browser, shop: Shop, an_event: Any
) -> None:
    shop.applied(an_event("U-1", email=None, person_id="unknown"))
    search(inside, shop.email("nobody"))
    inside.says("No customer has this email.")
    assert sum("/people/" in url for url in inside.asked()) == 1  # the search itself
    inside.expected.append("404")


def test_what_is_nothing_is_reported(inside: Browser) -> None:
    search(inside, "nothing-at-all")
    inside.says("Nothing found for “nothing-at-all”.")
    inside.expected.append("404")


def test_the_later_search_wins(inside: Browser, shop: Shop, an_event: Any) -> None:
    for order_id in ("S-1", "S-2"):
        shop.applied(an_event(order_id))
        booked(shop, inside, order_id)
    inside.hold("name=S-1")
    for order_id in ("S-1", "S-2"):
        search(inside, order_id)
    inside.says("Order S-2")
    inside.release()
    inside.until(lambda: "name=S-1" in str(inside.asked()), "the first search is not answered")
    time.sleep(0.5)
    assert "Order S-2" in inside.text


# --------------------------------------------------------------- explained


@pytest.mark.parametrize(
    ("events", "title", "line"),
    [
        ([{}], "$105.00 counts", "The full total counts toward the customer’s lifetime value."),
        ([{}, {"action": "canceled", "grand_total": None}], "Canceled, but $105.00 still counts",
         "The cancellation carried no refund amount"),
        ([{}, {"action": "canceled", "grand_total": None, "refund_amount": "105"}], "Canceled and fully refunded",
         "All of $105.00 was returned"),
        ([{}, {"action": "refunded", "grand_total": None, "refund_amount": "105"}], "Fully refunded",
         "adds nothing to the customer’s lifetime value"),
        ([{}, {"action": "refunded", "grand_total": None, "refund_amount": "5"}],
         "Partly refunded: $100.00 still counts", "$5.00 of $105.00 was refunded."),
        ([{}, {"action": "refunded", "grand_total": None}], "Refunded, but $105.00 still counts",
         "Have the shop send refund_amount."),
        ([{}, {"action": "refunded", "grand_total": None, "refund_amount": "200"}],
         "More was refunded than the total: −$95.00", "lowers the customer’s lifetime value"),
        ([{"action": "refunded", "grand_total": None, "refund_amount": "5"}], "The total is not known yet",
         "No event of this order carried a grand_total"),
    ],
)  # fmt: skip
def test_an_order_says_why_it_counts_what_it_counts(
    inside: Browser, shop: Shop, an_event: Any, events: list[dict[str, Any]], title: str, line: str
) -> None:
    for hour, more in enumerate(events):
        shop.applied(an_event("W-1", occurred_at=f"2026-01-01T{hour:02}:00:00Z", **more))
    inside.go(address("W-1"))
    inside.says(title)
    assert line in inside.text


def test_an_order_of_a_source_that_is_off_says_so(stack: Stack, an_event: Any, shop: Shop) -> None:
    shop.applied(an_event("O-1"))
    assert shop.send("PATCH", "/v1/account", {"sources": ["orders_api"]}).status == 200
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.settled()
        browser.go(address("O-1"))
        browser.says("Stored, but not counted")
        assert "Turn it on in Settings" in browser.text


def test_what_happened_to_an_order_and_what_came_late(inside: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("A-1", occurred_at="2026-01-01T01:00:00Z"))
    shop.applied(
        an_event("A-1", action="refunded", refund_amount=30, grand_total=None, occurred_at="2026-01-01T03:00:00Z")
    )
    shop.applied(an_event("A-1", action="updated", grand_total=110, occurred_at="2026-01-01T02:00:00Z"))
    inside.go(address("A-1"))
    inside.says("Partly refunded: $80.00 still counts")
    steps = [step.text.splitlines() for step in inside.all(".steps li")]
    assert [line for step in steps for line in step if line[0] in "+−"] == ["+$105.00", "+$5.00", "−$30.00"]
    assert "Arrived late" in steps[1][0] + steps[1][1]
    inside.click(".person a")
    inside.says("Lifetime value in USD")
    inside.settled()
    inside.click(".chart summary")
    assert "$80.00" in inside.find(".chart tbody tr").text


def test_items_addresses_and_what_the_shop_says_besides(inside: Browser, shop: Shop, an_event: Any) -> None:
    items = [{"product_id": "p1", "sku": "MUG", "name": "Mug", "price": "12.50", "quantity": 3, "categories": ["Cups"]}]
    place = {"first_name": "Ann", "last_name": "Lee", "address_1": "1 Main St", "city": "Austin", "state": "TX"}
    shop.applied(
        an_event("I-1", grand_total="42.00", total_taxes="4.5", items=items, shipping_address=place, gift=True,
                 promo_code="HELLO", order_url="https://shop.example/orders/1")
    )  # fmt: skip
    inside.go(address("I-1"))
    shown = inside.says("Mug")
    inside.settled()
    shown = inside.text
    for text in ("MUG", "Cups", "$12.50", "× 3", "$37.50", "$4.50", "$42.00", "1 Main St", "Austin, TX", "Ann Lee’s",
                 "gift", "Yes", "HELLO", "Open in My shop"):  # fmt: skip
        assert text in shown, text
    assert inside.find("a[target=_blank]").get_attribute("href") == "https://shop.example/orders/1"


def test_an_order_date_without_a_time_is_that_date_west_of_utc(stack: Stack, shop: Shop) -> None:
    order = {"order_id": "D-1", "order_date": "2026-01-15", "total": 5, "customer_email": shop.email("ann")}
    assert shop.submit(order).status == 201
    assert shop.send("PATCH", "/v1/account", {"time_zone": "America/Los_Angeles"}).status == 200
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.settled()
        assert "Los Angeles time (UTC−8)" in browser.text or "Los Angeles time (UTC−7)" in browser.text
        browser.go("/#/order?id=D-1")
        browser.says("$5.00 counts")
        assert "Jan 15" in browser.find(".heading .sub").text


def test_requests_about_an_order_that_changed_nothing_are_listed_however_many(
    inside: Browser, shop: Shop, an_event: Any
) -> None:
    shop.applied(an_event("M-1"))
    outcomes(shop, ["M-1"] * 230, "duplicate")
    inside.go(address("M-1"))
    inside.says("$105.00 counts")
    inside.says("Requests about it that changed nothing")
    assert len(inside.all(".refused tbody tr")) == 100


def test_what_a_shop_sends_is_never_markup(inside: Browser, shop: Shop, an_event: Any) -> None:
    order_id = "<img src=x onerror=alert(1)>"
    shop.applied(an_event(order_id, note="<script>alert(1)</script>"))
    booked(shop, inside, order_id)
    inside.go("/#/orders?dates=all")
    inside.says(order_id)
    inside.click("td a", order_id)
    inside.says("$105.00 counts")
    inside.says("<script>alert(1)</script>")
    assert not inside.all("#main img, #main script")


def test_a_link_of_the_shop_is_one_of_the_web_alone(inside: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("J-1", order_url="javascript:alert(1)"))
    inside.go(address("J-1"))
    inside.says("$105.00 counts")
    assert not inside.all("a[target=_blank]")


def test_an_unknown_order_says_what_to_check(inside: Browser) -> None:
    inside.go(address("nothing"))
    inside.says("No order nothing")
    assert "including any prefix" in inside.text
    inside.expected.append("404")


def test_a_deleted_order_says_so(inside: Browser, shop: Shop) -> None:
    order = {"order_id": "X-1", "order_date": "2026-01-15", "total": 5, "customer_email": shop.email("ann")}
    assert shop.submit(order).status == 201
    assert shop.delete("X-1").status == 200
    inside.go("/#/order?id=X-1")
    inside.says("The shop deleted this order")
    inside.expected.append("404")


# ------------------------------------------------------------------ listed


def test_filters_live_in_the_address_and_go_with_back(inside: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("L-1"))
    shop.applied(an_event("L-2"))
    shop.applied(an_event("L-2", action="refunded", refund_amount=5, grand_total=None))
    booked(shop, inside, "L-2")
    inside.until(lambda: shop.send("GET", "/v1/orders?status=refunded").json["orders"], "the refund is not in the book")
    inside.click("#nav a", "Orders")
    inside.says("L-1")
    inside.click(".tabsbar button", "Refunded")
    inside.lacks("L-1")
    assert "status=refunded" in inside.driver.current_url
    inside.driver.refresh()
    inside.says("L-2")
    assert "Partly refunded" in inside.text
    assert "L-1" not in inside.text
    inside.driver.back()
    inside.says("L-1")
    inside.click("button", "Total")
    inside.type("[name=low]", "one")
    inside.click("form button", "Apply")
    inside.says("Enter a number")
    inside.type("[name=low]", "200")
    inside.click("form button", "Apply")
    inside.says("No orders match these filters")


def test_arrow_keys_move_between_rows(inside: Browser, shop: Shop, an_event: Any) -> None:
    for number in range(3):
        shop.applied(an_event(f"K-{number}", occurred_at=f"2026-01-0{number + 1}T00:00:01Z"))
    booked(shop, inside, "K-2")
    inside.until(lambda: len(shop.send("GET", "/v1/orders").json["orders"]) == 3, "not all are in the book")
    inside.go("/#/orders?dates=all")
    inside.says("K-0")
    inside.driver.execute_script("document.querySelector('td.c-order a').focus()")
    texts = []
    for key in (Keys.ARROW_DOWN, Keys.END, Keys.ARROW_UP, Keys.HOME):
        inside.press(key)
        texts.append(inside.driver.switch_to.active_element.text)
    assert texts == ["K-1", "K-0", "K-1", "K-2"]
    inside.press(Keys.ENTER)
    inside.says("Order K-2")


def test_a_list_is_saved_as_csv(inside: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("C-1", promo_code="=2+2"))
    booked(shop, inside, "C-1")
    inside.go("/#/orders?dates=all")
    inside.says("C-1")
    inside.driver.execute_script(
        "window.saved = null; const plain = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return plain(blob); }"
    )
    inside.click("button", "Export CSV")
    inside.says("Saved 1 row")
    text = inside.until(lambda: inside.driver.execute_script("return window.saved"), "nothing is saved")
    assert text.splitlines()[0].startswith("order_id,")
    assert "'=2+2" in text


def test_an_api_that_does_not_answer_is_reported_and_tried_again(inside: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("T-1"))
    booked(shop, inside, "T-1")
    inside.driver.execute_cdp_cmd("Network.enable", {})
    inside.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/v1/orders*"]})
    inside.click("#nav a", "Orders")
    inside.says("Tillbook cannot be reached.")
    inside.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    inside.click("button", "Try again")
    inside.says("T-1")
    inside.expected.append("ERR_BLOCKED")


# --------------------------------------------------------------- customers


def test_what_a_customer_s_page_waits_for_does_not_come_into_the_next_one(
    inside: Browser, shop: Shop, an_event: Any
) -> None:
    people = []
    for name in ("ann", "bea"):
        shop.applied(an_event(f"O-{name}", email=shop.email(name)))
        people.append(shop.person(shop.email(name))["id"])
    inside.hold(f"{people[0]}/activity")
    inside.driver.execute_script("location.hash = `#/customer?id=${arguments[0]}`", people[0])
    inside.until(inside.held, "the timeline is not asked for")
    inside.driver.execute_script("location.hash = `#/customer?id=${arguments[0]}`", people[1])
    inside.says("O-bea")
    inside.release()
    time.sleep(0.7)
    assert "O-ann" not in inside.text
    assert len(inside.all("#main h1")) == 1


def test_older_activity_is_shown_once(inside: Browser, shop: Shop, an_event: Any) -> None:
    events = [an_event(f"T-{n}", occurred_at=f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z") for n in range(105)]
    for n in range(0, 105, 35):
        assert shop.batch(events[n : n + 35]).status == 202
    inside.until(lambda: shop.person(shop.email("ann"))["orders_count"] == 105, "not all are applied")
    inside.driver.execute_script(
        "location.hash = `#/customer?id=${arguments[0]}`", shop.person(shop.email("ann"))["id"]
    )
    inside.says("Show older events")
    inside.hold("cursor=")
    inside.click("button", "Show older events")
    inside.driver.execute_script("document.querySelector('#timeline').closest('.card').querySelector('.btn').click()")
    inside.release()
    inside.lacks("Show older events")
    assert len(inside.all(".steps.plain li")) == 105
    inside.says("$11,025.00")


def test_growth_is_that_of_the_sources_that_count(stack: Stack, shop: Shop, an_event: Any) -> None:
    for number in range(3):
        order = {
            "order_id": f"G-{number}",
            "order_date": "2026-01-01",
            "total": 100,
            "customer_email": shop.email("ann"),
        }
        assert shop.submit(order).status == 201
    shop.applied(an_event("G-9", grand_total=1000))
    assert shop.send("PATCH", "/v1/account", {"sources": ["orders_api"]}).status == 200
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.settled()
        browser.go(f"/#/customer?id={shop.person(shop.email('ann'))['id']}")
        browser.says("G-9")
        browser.click(".chart summary")
        browser.find(".chart tbody tr")
        assert sorted(row.text.split()[-1] for row in browser.all(".chart tbody tr")) == [
            "$100.00",
            "$200.00",
            "$300.00",
        ]
