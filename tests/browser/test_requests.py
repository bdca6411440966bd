"""The request log: live, complete, and in words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.planted import outcomes
from tests.end_to_end.shop import Shop

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import NEEDED, Browser

pytestmark = NEEDED

ROW = "tr[data-request]"


@pytest.fixture
def log(inside: Browser) -> Browser:
    """The page on Requests, which looks again as soon as it may."""
    inside.hurry()
    inside.driver.execute_script("location.hash = '#/requests'")
    inside.says("Everything your shops sent")
    inside.settled()
    return inside


def test_a_request_shows_by_itself_and_leads_to_its_order(log: Browser, shop: Shop, an_event: Any) -> None:
    log.says("Nothing was sent yet")
    shop.applied(an_event("A-1"))
    log.says("A-1")
    row = log.find(ROW).text
    for text in ("Applied", "Placed", "My shop", "+$105.00"):
        assert text in row, text
    log.click("td a", "A-1")
    log.says("$105.00 counts")


def test_a_rejected_request_shows_its_reason_and_what_to_do(log: Browser, shop: Shop) -> None:
    assert shop.submit({"order_id": "R-1", "order_date": "soon", "total": 5}).status == 400
    log.says("order_date")
    log.click(f"{ROW} button")
    shown = log.says("Only this line of the log is kept.")
    assert "Correct order_date" in shown
    log.press(Keys.ESCAPE)
    log.type("#query", "R-1")
    log.press(Keys.ENTER)
    log.until(lambda: "order=R-1" in log.driver.current_url, "the search does not lead to the log")
    log.says("R-1")
    log.expected.append("404")  # R-1 is no customer either


@pytest.mark.parametrize(
    ("first", "second", "advice"),
    [
        ({"occurred_at": "2026-01-01T00:00:00Z"}, {"occurred_at": "2026-01-01T00:00:00Z"}, "its own occurred_at"),
        ({"key": "k"}, {"key": "k", "grand_total": 7}, "a key of its own"),
    ],
)
def test_the_log_says_why_and_what_to_send(
    log: Browser, shop: Shop, an_event: Any, first: dict[str, Any], second: dict[str, Any], advice: str
) -> None:
    for fields in (first, second):
        sent = dict(fields)
        key = sent.pop("key", None)
        headers = {"idempotency-key": key} if key else {}
        last = shop.order(an_event("W-1", **sent), headers=headers).json["request_id"]
        shop.outcome(last)
    log.type("#query", last)
    log.press(Keys.ENTER)
    log.says(advice)


def test_a_field_that_means_nothing_shows_as_a_note(log: Browser, shop: Shop) -> None:
    order = {"order_id": "N-1", "order_date": "2026-01-01", "total": 5, "customer_email": shop.email("ann")}
    assert shop.submit(order | {"shiping_address": {"a": 1}}).status == 201
    log.says("The field shiping_address has no meaning here")


def test_no_request_is_missing_however_many_come_at_once(log: Browser, shop: Shop) -> None:
    outcomes(shop, ["oldest"], "rejected")
    log.says("oldest")
    log.hold("/v1/transactions?")
    log.until(log.held, "the list is not asked for")
    outcomes(shop, [f"I-{n}" for n in range(120)], "rejected")
    log.release()
    log.lacks("oldest")
    assert len(log.all(ROW)) == 50
    for shown in (100, 121):
        log.click("button", "Show more")
        log.until(lambda shown=shown: len(log.all(ROW)) == shown, f"not {shown} are shown")
    log.lacks("Show more")
    orders = [link.text for link in log.all(f"{ROW} td.c-order a")]
    assert sorted(orders) == sorted(["oldest", *(f"I-{n}" for n in range(120))])


def test_what_comes_in_leaves_the_focus_where_it_is(log: Browser, shop: Shop) -> None:
    outcomes(shop, ["stays"], "rejected")
    log.says("stays")
    log.driver.execute_script("document.querySelector('tr[data-request] td.c-order a').focus()")
    outcomes(shop, ["arrives"], "rejected")
    log.says("arrives")
    assert log.driver.switch_to.active_element.text == "stays"


def test_a_log_that_cannot_be_read_says_so_and_goes_on_by_itself(log: Browser, shop: Shop) -> None:
    log.driver.execute_cdp_cmd("Network.enable", {})
    log.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/v1/transactions?*"]})
    log.says("Not live: Tillbook cannot be reached.")
    log.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    log.lacks("Not live")
    log.expected.append("ERR_BLOCKED")


def test_without_a_clipboard_it_says_what_to_do(log: Browser) -> None:
    """The page over plain HTTP, from another machine."""
    log.driver.execute_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    log.click("[aria-label='Copy the command']")
    log.says("Select the text and copy it.")
