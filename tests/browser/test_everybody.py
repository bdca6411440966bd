"""Accessibility and layout of every view, wide and narrow, light and dark."""

from __future__ import annotations

from typing import Any

import pytest

from local.stack import Stack
from tests.browser.planted import dead_letter
from tests.end_to_end.shop import Shop

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import DESKTOP, NEEDED, PHONE, TABLET, Browser

pytestmark = NEEDED

# Pixels: below, between and above the breakpoints of style.css (760, 900, 1000, 1180, 1300 and 1380).
WIDTHS = (390, 600, 740, 820, 1000, 1080, 1200, 1340, 1440, 1920)


@pytest.fixture
def views(shop: Shop, an_event: Any) -> dict[str, str]:
    """The path of each view, and a text that it shows. The shop has data for every view."""
    item = {"product_id": "p", "sku": "HP-JKT-101", "name": "Ridgeline Down Jacket, Moss, size M", "price": "248.00"}
    public_id = "#1001-with-a-long-number"
    shop.applied(an_event("X-1", occurred_at="2026-01-01T00:00:01Z", order_public_id=public_id, items=[item]))
    shop.applied(an_event("X-1", action="paid", occurred_at="2026-01-02T00:00:00Z"))
    shop.applied(
        an_event("X-1", action="refunded", refund_amount=5, grand_total=None, occurred_at="2026-01-03T00:00:00Z")
    )
    shop.order(an_event("X-1", occurred_at="2026-01-01T00:00:01Z"))
    shop.submit({"order_id": "X-2", "order_date": "soon"})
    dead_letter(shop, an_event("X-3"))
    assert shop.send("POST", "/v1/connections", {"platform": "woocommerce"}).status == 201
    person = shop.send("GET", shop.person_path(shop.email("ann"))).json["id"]
    return {
        "/": "could not be applied", "/#/orders?dates=all": "#1001-with",
        "/#/order?provider=my_shop&id=X-1": "still counts", "/#/order?id=nothing": "No order nothing",
        "/#/customers": "Lifetime value", f"/#/customer?id={person}": "Timeline", "/#/requests": "X-1",
        "/#/requests?order=nothing": "No request about", "/#/deadletters": "Payload", "/#/audiences": "Rebuild",
        "/#/connections": "Waiting for", "/#/settings": "Danger zone", "/#/nothing": "Page not found",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (TABLET, False), (PHONE, False), (PHONE, True)]
)
def test_axe_finds_no_fault_in_any_view(
    stack: Stack, shop: Shop, views: dict[str, str], size: tuple[int, int], dark: bool
) -> None:
    with Browser.open(stack.url, size, dark=dark) as browser:
        browser.go()
        browser.find("#key")
        found = {"/signin": browser.accessibility_faults()}
        browser.sign_in(shop.admin_key)
        for path, text in views.items():
            browser.go(path)
            browser.shows(text)
            browser.wait_until_loaded()
            found[path] = browser.accessibility_faults()
        assert {path: faults for path, faults in found.items() if faults} == {}
        assert all("404" in message for message in browser.console_errors())


def test_axe_finds_no_fault_in_dialogs_and_menus(stack: Stack, shop: Shop, views: dict[str, str]) -> None:
    opened = {
        "/": ["#period", "#compare", "#account"], "/#/orders?dates=all": [".chip"],
        "/#/requests": ["tr[data-request] button"], "/#/deadletters": [".danger-quiet"], "/#/connections": [".primary"],
        "/#/settings": [".keys .danger-quiet", ".danger-row .danger-quiet"],
    }  # fmt: skip
    found = {}
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        for path, selectors in opened.items():
            browser.go(path)
            browser.shows(views[path])
            browser.wait_until_loaded()
            for selector in selectors:
                browser.click(selector)
                found[path, selector] = browser.accessibility_faults()
                browser.press(Keys.ESCAPE)
                browser.until(lambda: not browser.all("dialog[open], :popover-open"), f"{selector} stays open")
    assert {place: faults for place, faults in found.items() if faults} == {}


def test_no_view_scrolls_sideways_or_breaks_a_word(stack: Stack, shop: Shop, views: dict[str, str]) -> None:
    found = []
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        for path, text in views.items():
            browser.go(path)
            browser.shows(text)
            browser.wait_until_loaded()
            for width in WIDTHS:
                browser.resize(width)
                content = browser.driver.execute_script("return document.documentElement.scrollWidth")
                found += [(path, width, "scrolls sideways")] if content > width else []
                found += [(path, width, word) for word in browser.broken_words()]
    assert found == []


def test_a_chart_drawn_for_a_wider_screen_does_not_widen_the_page(page: Browser) -> None:
    page.until(lambda: page.all(".plot > svg"), "there is no chart")
    widen = "document.querySelectorAll('.plot > svg').forEach(svg => svg.setAttribute('width', 4000))"
    overflow = page.driver.execute_script(f"{widen}; return document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0


def test_the_skip_link_moves_the_focus_to_the_content(page: Browser) -> None:
    page.click("#nav a", "Settings")
    page.shows("Danger zone")
    page.driver.execute_script("document.querySelector('.skip').focus()")
    page.press(Keys.ENTER)
    assert page.driver.switch_to.active_element.get_attribute("id") == "main"
    assert page.driver.current_url.endswith("#/settings")
    page.shows("Danger zone")


def test_a_chart_is_read_with_the_arrow_keys_and_as_a_table(page: Browser) -> None:
    page.driver.execute_script("document.querySelector('.plot').focus()")
    page.press(Keys.HOME, Keys.ARROW_RIGHT)
    spoken = page.until(lambda: page.find(".plot").get_attribute("textContent"), "no point is read aloud")
    assert "$0.00" in spoken
    page.press(Keys.ESCAPE)
    page.click(".chart summary")
    page.until(lambda: len(page.all(".chart tbody tr")) == 30, "the table does not have a row for each day")


def test_a_closed_dialog_returns_the_focus(page: Browser) -> None:
    page.click("#nav a", "Settings")
    page.shows("Danger zone")
    page.click("button", "Purge orders")
    page.shows("Type purge to confirm")
    page.press(Keys.ESCAPE)
    page.until(lambda: page.driver.switch_to.active_element.text.startswith("Purge orders"), "the focus is lost")
