"""Orders and customers: searches, explanations, lists."""

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


def order_path(order_id: str, provider: str = "my_shop") -> str:
    return f"/#/order?provider={provider}&id={quote(order_id, safe='')}"


def search(browser: Browser, text: str) -> None:
    browser.type("#query", text)
    browser.press(Keys.ENTER)


def wait_for_book(shop: Shop, browser: Browser, order_id: str) -> None:
    """Waits until the order is in the book, from which lists and searches read."""
    path = f"/v1/orders?name={quote(order_id, safe='')}"
    browser.until(lambda: shop.send("GET", path).json["orders"], f"{order_id} is not in the book")


# ---------------------------------------------------------------- searches


def test_an_order_is_found_with_or_without_its_hash_sign_and_by_a_prefix(
    page: Browser, shop: Shop, an_event: Any
) -> None:
    shop.applied(an_event("5001001", order_public_id="#1001"))
    shop.applied(an_event("5001002", order_public_id="#1002"))
    wait_for_book(shop, page, "#1002")
    for text in ("#1001", "1001", "5001001"):
        search(page, text)
        page.shows("Order #1001")
        page.click("#nav a", "Overview")
        page.wait_until_loaded()
    search(page, "#100")
    page.until(lambda: len(page.all("td.c-order a")) == 2, "the list does not have both orders")
    assert sorted(link.text for link in page.all("td.c-order a")) == ["#1001", "#1002"]
    assert "name=%23100" in page.driver.current_url


def test_a_customer_is_found_by_email_which_does_not_stay_in_the_url(page: Browser, shop: Shop, an_event: Any) -> None:
    email = shop.email("find+me")
    shop.applied(an_event("F-1", email=email))
    search(page, email)
    page.shows("$105.00")
    assert "@" not in page.driver.current_url
    assert quote(email) not in page.driver.current_url
    urls_with_email = [url for url in page.requested_urls() if email in url or quote(email, safe="") in url]
    assert len(urls_with_email) == 1  # the request to the API, whose logs contain no path


def test_an_unknown_email_is_reported_after_one_request(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("U-1", email=None, person_id="unknown"))
    search(page, shop.email("nobody"))
    page.shows("No customer has this email.")
    assert sum("/people/" in url for url in page.requested_urls()) == 1  # the request of the search
    page.expected.append("404")


def test_a_search_without_a_result_is_reported(page: Browser) -> None:
    search(page, "nothing-at-all")
    page.shows("Nothing found for “nothing-at-all”.")
    page.expected.append("404")


def test_the_answer_to_an_earlier_search_is_dropped(page: Browser, shop: Shop, an_event: Any) -> None:
    for order_id in ("S-1", "S-2"):
        shop.applied(an_event(order_id))
        wait_for_book(shop, page, order_id)
    page.hold("name=S-1")
    for order_id in ("S-1", "S-2"):
        search(page, order_id)
    page.shows("Order S-2")
    page.release()
    page.until(lambda: "name=S-1" in str(page.requested_urls()), "the first search has sent no request")
    time.sleep(0.5)
    assert "Order S-2" in page.text


# ------------------------------------------------------------ explanations


@pytest.mark.parametrize(
    ("events", "title", "line"),
    # Each event has the fields in which it differs from a placed order of $105.
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
def test_an_order_explains_the_amount_that_counts(
    page: Browser, shop: Shop, an_event: Any, events: list[dict[str, Any]], title: str, line: str
) -> None:
    for hour, more in enumerate(events):
        shop.applied(an_event("W-1", occurred_at=f"2026-01-01T{hour:02}:00:00Z", **more))
    page.go(order_path("W-1"))
    page.shows(title)
    assert line in page.text


def test_an_order_of_a_source_that_is_turned_off_says_so(stack: Stack, an_event: Any, shop: Shop) -> None:
    shop.applied(an_event("O-1"))
    assert shop.send("PATCH", "/v1/account", {"sources": ["orders_api"]}).status == 200
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.wait_until_loaded()
        browser.go(order_path("O-1"))
        browser.shows("Stored, but not counted")
        assert "Turn it on in Settings" in browser.text


def test_the_events_of_an_order_are_listed_and_a_late_one_is_marked(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("A-1", occurred_at="2026-01-01T01:00:00Z"))
    shop.applied(
        an_event("A-1", action="refunded", refund_amount=30, grand_total=None, occurred_at="2026-01-01T03:00:00Z")
    )
    shop.applied(an_event("A-1", action="updated", grand_total=110, occurred_at="2026-01-01T02:00:00Z"))
    page.go(order_path("A-1"))
    page.shows("Partly refunded: $80.00 still counts")
    steps = [step.text.splitlines() for step in page.all(".steps li")]
    assert [line for step in steps for line in step if line[0] in "+−"] == ["+$105.00", "+$5.00", "−$30.00"]
    assert "Arrived late" in steps[1][0] + steps[1][1]
    page.click(".person a")
    page.shows("Lifetime value in USD")
    page.wait_until_loaded()
    page.click(".chart summary")
    assert "$80.00" in page.find(".chart tbody tr").text


def test_items_addresses_and_other_fields_of_an_order_are_shown(page: Browser, shop: Shop, an_event: Any) -> None:
    items = [{"product_id": "p1", "sku": "MUG", "name": "Mug", "price": "12.50", "quantity": 3, "categories": ["Cups"]}]
    place = {"first_name": "Ann", "last_name": "Lee", "address_1": "1 Main St", "city": "Austin", "state": "TX"}
    shop.applied(
        an_event("I-1", grand_total="42.00", total_taxes="4.5", items=items, shipping_address=place, gift=True,
                 promo_code="HELLO", order_url="https://shop.example/orders/1")
    )  # fmt: skip
    page.go(order_path("I-1"))
    page.shows("Mug")
    page.wait_until_loaded()
    shown = page.text
    for text in ("MUG", "Cups", "$12.50", "× 3", "$37.50", "$4.50", "$42.00", "1 Main St", "Austin, TX", "Ann Lee’s",
                 "gift", "Yes", "HELLO", "Open in My shop"):  # fmt: skip
        assert text in shown, text
    assert page.find("a[target=_blank]").get_attribute("href") == "https://shop.example/orders/1"


def test_an_order_date_without_a_time_is_the_same_date_west_of_utc(stack: Stack, shop: Shop) -> None:
    order = {"order_id": "D-1", "order_date": "2026-01-15", "total": 5, "customer_email": shop.email("ann")}
    assert shop.submit(order).status == 201
    assert shop.send("PATCH", "/v1/account", {"time_zone": "America/Los_Angeles"}).status == 200
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.wait_until_loaded()
        assert "Los Angeles time (UTC−8)" in browser.text or "Los Angeles time (UTC−7)" in browser.text
        browser.go("/#/order?id=D-1")
        browser.shows("$5.00 counts")
        assert "Jan 15" in browser.find(".heading .sub").text


def test_at_most_100_requests_that_changed_nothing_are_listed(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("M-1"))
    outcomes(shop, ["M-1"] * 230, "duplicate")
    page.go(order_path("M-1"))
    page.shows("$105.00 counts")
    page.shows("Requests about it that changed nothing")
    assert len(page.all(".refused tbody tr")) == 100


def test_text_that_a_shop_sends_is_never_markup(page: Browser, shop: Shop, an_event: Any) -> None:
    order_id = "<img src=x onerror=alert(1)>"
    shop.applied(an_event(order_id, note="<script>alert(1)</script>"))
    wait_for_book(shop, page, order_id)
    page.go("/#/orders?dates=all")
    page.shows(order_id)
    page.click("td a", order_id)
    page.shows("$105.00 counts")
    page.shows("<script>alert(1)</script>")
    assert not page.all("#main img, #main script")


def test_an_order_url_that_is_not_http_does_not_become_a_link(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("J-1", order_url="javascript:alert(1)"))
    page.go(order_path("J-1"))
    page.shows("$105.00 counts")
    assert not page.all("a[target=_blank]")


def test_an_unknown_order_says_what_to_check(page: Browser) -> None:
    page.go(order_path("nothing"))
    page.shows("No order nothing")
    assert "including any prefix" in page.text
    page.expected.append("404")


def test_a_deleted_order_says_so(page: Browser, shop: Shop) -> None:
    order = {"order_id": "X-1", "order_date": "2026-01-15", "total": 5, "customer_email": shop.email("ann")}
    assert shop.submit(order).status == 201
    assert shop.delete("X-1").status == 200
    page.go("/#/order?id=X-1")
    page.shows("The shop deleted this order")
    page.expected.append("404")


# ------------------------------------------------------------------- lists


def test_filters_are_in_the_url_and_follow_the_back_button(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("L-1"))
    shop.applied(an_event("L-2"))
    shop.applied(an_event("L-2", action="refunded", refund_amount=5, grand_total=None))
    wait_for_book(shop, page, "L-2")
    page.until(lambda: shop.send("GET", "/v1/orders?status=refunded").json["orders"], "the refund is not in the book")
    page.click("#nav a", "Orders")
    page.shows("L-1")
    page.click(".tabsbar button", "Refunded")
    page.lacks("L-1")
    assert "status=refunded" in page.driver.current_url
    page.driver.refresh()
    page.shows("L-2")
    assert "Partly refunded" in page.text
    assert "L-1" not in page.text
    page.driver.back()
    page.shows("L-1")
    page.click("button", "Total")
    page.type("[name=low]", "one")
    page.click("form button", "Apply")
    page.shows("Enter a number")
    page.type("[name=low]", "200")
    page.click("form button", "Apply")
    page.shows("No orders match these filters")


def test_arrow_keys_move_between_rows(page: Browser, shop: Shop, an_event: Any) -> None:
    for number in range(3):
        shop.applied(an_event(f"K-{number}", occurred_at=f"2026-01-0{number + 1}T00:00:01Z"))
    wait_for_book(shop, page, "K-2")
    page.until(lambda: len(shop.send("GET", "/v1/orders").json["orders"]) == 3, "the book does not have all orders")
    page.go("/#/orders?dates=all")
    page.shows("K-0")
    page.driver.execute_script("document.querySelector('td.c-order a').focus()")
    texts = []  # of the focused rows. The newest order is in the first row.
    for key in (Keys.ARROW_DOWN, Keys.END, Keys.ARROW_UP, Keys.HOME):
        page.press(key)
        texts.append(page.driver.switch_to.active_element.text)
    assert texts == ["K-1", "K-0", "K-1", "K-2"]
    page.press(Keys.ENTER)
    page.shows("Order K-2")


def test_a_list_is_saved_as_csv(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("C-1", promo_code="=2+2"))
    wait_for_book(shop, page, "C-1")
    page.go("/#/orders?dates=all")
    page.shows("C-1")
    page.driver.execute_script(
        "window.saved = null; const plain = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return plain(blob); }"
    )
    page.click("button", "Export CSV")
    page.shows("Saved 1 row")
    text = page.until(lambda: page.driver.execute_script("return window.saved"), "no file is saved")
    assert text.splitlines()[0].startswith("order_id,")
    assert "'=2+2" in text  # with the apostrophe, a spreadsheet does not compute the text


def test_an_api_that_does_not_answer_is_reported_and_can_be_retried(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("T-1"))
    wait_for_book(shop, page, "T-1")
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/v1/orders*"]})
    page.click("#nav a", "Orders")
    page.shows("Tillbook cannot be reached.")
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    page.click("button", "Try again")
    page.shows("T-1")
    page.expected.append("ERR_BLOCKED")


# --------------------------------------------------------------- customers


def test_a_late_answer_for_one_customer_is_not_shown_on_the_next_customer_s_page(
    page: Browser, shop: Shop, an_event: Any
) -> None:
    people = []
    for name in ("ann", "bea"):
        shop.applied(an_event(f"O-{name}", email=shop.email(name)))
        people.append(shop.person(shop.email(name))["id"])
    page.hold(f"{people[0]}/activity")
    page.driver.execute_script("location.hash = `#/customer?id=${arguments[0]}`", people[0])
    page.until(page.held_requests, "the page does not request the timeline")
    page.driver.execute_script("location.hash = `#/customer?id=${arguments[0]}`", people[1])
    page.shows("O-bea")
    page.release()
    time.sleep(0.7)
    assert "O-ann" not in page.text
    assert len(page.all("#main h1")) == 1


def test_older_activity_is_shown_once(page: Browser, shop: Shop, an_event: Any) -> None:
    events = [an_event(f"T-{n}", occurred_at=f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z") for n in range(105)]
    for n in range(0, 105, 35):
        assert shop.batch(events[n : n + 35]).status == 202
    page.until(lambda: shop.has_person(shop.email("ann"), orders_count=105), "not all events are applied")
    page.driver.execute_script("location.hash = `#/customer?id=${arguments[0]}`", shop.person(shop.email("ann"))["id"])
    page.shows("Show older events")
    page.hold("cursor=")
    page.click("button", "Show older events")
    # A second click, while the request of the first one is held.
    page.driver.execute_script("document.querySelector('#timeline').closest('.card').querySelector('.btn').click()")
    page.release()
    page.lacks("Show older events")
    assert len(page.all(".steps.plain li")) == 105
    page.shows("$11,025.00")  # 105 orders of $105


def test_the_growth_chart_has_only_orders_of_sources_that_count(stack: Stack, shop: Shop, an_event: Any) -> None:
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
        browser.wait_until_loaded()
        browser.go(f"/#/customer?id={shop.person(shop.email('ann'))['id']}")
        browser.shows("G-9")
        browser.click(".chart summary")
        browser.find(".chart tbody tr")
        assert sorted(row.text.split()[-1] for row in browser.all(".chart tbody tr")) == [
            "$100.00",
            "$200.00",
            "$300.00",
        ]
