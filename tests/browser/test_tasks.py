"""The five tasks of TASKS.md, each from Overview with its clicks counted, and tasks with the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.stack import Stack
from tests.browser.planted import dead_letter
from tests.end_to_end.shop import Shop

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import NEEDED, Browser

pytestmark = NEEDED

LAST_MONTH = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).replace(hour=12)
MONTH_BEFORE = (LAST_MONTH.replace(day=1) - timedelta(days=1)).replace(hour=12)


def wait_for_book(shop: Shop, browser: Browser, orders: int) -> None:
    """Waits until the book has this number of orders."""
    path = "/v1/orders?from=2020-01-01&limit=200"
    browser.until(lambda: len(shop.send("GET", path).json["orders"]) == orders, f"not {orders} orders are in the book")


@pytest.fixture
def home(stack: Stack, shop: Shop, an_event: Any) -> Iterator[Browser]:
    """Overview of a shop with orders of two months, a refunded one, a dead letter and a leaked key.

    After the test it checks that there were at most three clicks, and no error in the console.
    """
    for day, total in ((LAST_MONTH, "300.00"), (MONTH_BEFORE, "200.00")):
        shop.applied(
            an_event(f"M-{day.month}", occurred_at=day.isoformat(), grand_total=total, email=shop.email("best"))
        )
    public = {"order_id": "5001001", "order_public_id": "#1001", "occurred_at": LAST_MONTH.isoformat()}
    shop.applied(an_event(**public, grand_total="36.47"))
    shop.applied(an_event("5001001", action="refunded", refund_amount="36.47", grand_total=None))
    dead_letter(shop, an_event("D-1", grand_total="12.00", currency="USD"))
    assert shop.send("POST", "/v1/keys", {"role": "ingest", "label": "leaked"}).status == 201
    with Browser.open(stack.url) as browser:
        wait_for_book(shop, browser, 3)
        browser.sign_in(shop.admin_key)
        browser.wait_until_loaded()
        browser.clicks = 0
        yield browser
        assert browser.console_errors() == []
        assert browser.clicks <= 3


def test_overview_compares_last_month_with_the_month_before(home: Browser) -> None:
    home.click("#period")
    home.click(".options button", "Last month")
    home.wait_until_loaded()
    tile = home.find(".kpi[data-metric=net]").text
    assert "$300.00" in tile
    assert "from $200.00" in tile
    assert "50.0%" in tile
    assert LAST_MONTH.strftime("%b") in home.find(".legend").text
    assert MONTH_BEFORE.strftime("%b") in home.find(".legend").text


def test_a_search_for_a_refunded_order_shows_why_it_adds_nothing(home: Browser) -> None:
    home.press("/")
    home.press("#1001", Keys.ENTER)
    assert "All of $36.47 was returned, so this order adds nothing" in home.shows("Fully refunded")
    assert home.clicks == 0


def test_customers_lists_the_best_customers_first(home: Browser, shop: Shop) -> None:
    home.click("#nav a", "Customers")
    home.wait_until_loaded()
    first = home.until(lambda: home.all("table.customers tbody tr"), "no customer is listed")[0]
    assert "$500.00" in first.text  # $300 of the last month and $200 of the month before
    assert shop.person(shop.email("best"))["id"][:8] in first.text


def test_overview_links_to_dead_letters_and_their_causes(home: Browser) -> None:
    assert "$12.00 of new orders is missing" in home.shows("1 event could not be applied.")
    home.click("a", "Review dead letters")
    home.shows("The database was too busy")
    assert "Replay it: it counts once." in home.text


def test_a_leaked_key_is_revoked_from_settings(home: Browser, shop: Shop) -> None:
    home.click("#nav a", "Settings")
    home.wait_until_loaded()
    home.click("[aria-label='Revoke leaked']")
    home.click("dialog button", "Revoke key")
    home.shows("Revoked leaked.")
    keys = shop.send("GET", "/v1/keys").json["keys"]
    assert {key["label"]: key["revoked"] for key in keys}["leaked"] is True


# ------------------------------------------------------ the keyboard alone


@pytest.fixture
def top(home: Browser) -> Browser:
    """Overview, loaded again with the focus at the top of the page."""
    home.go()
    home.wait_until_loaded()
    home.driver.execute_script("document.activeElement.blur(); document.querySelector('.skip').focus()")
    return home


def test_the_keyboard_finds_an_order_and_opens_one_of_its_requests(home: Browser) -> None:
    home.press("/")
    home.press("1001", Keys.ENTER)
    home.shows("Fully refunded")
    home.tab_to("Request")
    home.press(Keys.ENTER)
    home.shows("Lifetime value")
    home.press(Keys.ESCAPE)
    home.until(lambda: not home.all("dialog"), "the request is still shown")


def test_the_keyboard_revokes_a_key(top: Browser) -> None:
    top.tab_to("Settings")
    top.press(Keys.ENTER)
    top.wait_until_loaded()
    top.tab_to("Revoke leaked")
    top.press(Keys.ENTER)
    top.shows("Requests with this key will fail")
    top.press(Keys.ENTER)
    top.shows("Revoked leaked.")


def test_the_keyboard_replays_a_dead_letter(top: Browser, shop: Shop) -> None:
    top.tab_to("Dead letters")
    top.press(Keys.ENTER)
    top.shows("The database was too busy")
    top.wait_until_loaded()
    top.tab_to("Copy the payload")
    top.tab_to("Replay")
    top.press(Keys.ENTER)
    top.shows("No dead letters")
    top.until(lambda: shop.has_person(shop.email("ann"), lifetime_value={"USD": "12.00"}), "the order does not count")


def test_the_keyboard_connects_a_shop(top: Browser, shop: Shop) -> None:
    top.tab_to("Connections")
    top.press(Keys.ENTER)
    top.shows("No shop is connected")
    top.tab_to("Connect a shop")
    top.press(Keys.ENTER)
    top.press(Keys.ARROW_DOWN)  # WooCommerce
    top.press(Keys.ENTER)
    top.shows("This is the only time it is shown.")
    top.tab_to("I have saved it")
    top.press(Keys.ENTER)
    top.shows("Waiting for the first order")
    assert [one["platform"] for one in shop.send("GET", "/v1/connections").json["connections"]] == ["woocommerce"]


def test_the_keyboard_purges_all_orders(top: Browser, shop: Shop) -> None:
    top.tab_to("Settings")
    top.press(Keys.ENTER)
    top.wait_until_loaded()
    top.tab_to("Purge orders")
    top.press(Keys.ENTER)
    top.press("purge", Keys.ENTER)
    top.shows("no longer count")
    assert shop.send("GET", shop.person_path(shop.email("ann"))).status == 404
