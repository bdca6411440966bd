"""The request log: new requests appear, none is missing, and each outcome is explained."""

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
def log(page: Browser) -> Browser:
    """The view Requests, which polls every half second."""
    page.poll_fast()
    page.driver.execute_script("location.hash = '#/requests'")
    page.shows("Everything your shops sent")
    page.wait_until_loaded()
    return page


def test_a_new_request_appears_and_links_to_its_order(log: Browser, shop: Shop, an_event: Any) -> None:
    log.shows("Nothing was sent yet")
    shop.applied(an_event("A-1"))
    log.shows("A-1")
    row = log.find(ROW).text
    for text in ("Applied", "Placed", "My shop", "+$105.00"):
        assert text in row, text
    log.click("td a", "A-1")
    log.shows("$105.00 counts")


def test_a_rejected_request_shows_its_reason_and_what_to_do(log: Browser, shop: Shop) -> None:
    assert shop.submit({"order_id": "R-1", "order_date": "soon", "total": 5}).status == 400
    log.shows("order_date")
    log.click(f"{ROW} button")
    shown = log.shows("Only this line of the log is kept.")
    assert "Correct order_date" in shown
    log.press(Keys.ESCAPE)
    log.type("#query", "R-1")
    log.press(Keys.ENTER)
    log.until(lambda: "order=R-1" in log.driver.current_url, "the search does not lead to the log")
    log.shows("R-1")
    log.expected.append("404")  # no customer has the ID R-1


@pytest.mark.parametrize(
    ("first", "second", "advice"),  # `key` is sent as the idempotency key, the other fields in the event
    [
        ({"occurred_at": "2026-01-01T00:00:00Z"}, {"occurred_at": "2026-01-01T00:00:00Z"}, "its own occurred_at"),
        ({"key": "k"}, {"key": "k", "grand_total": 7}, "a key of its own"),
    ],
)
def test_a_request_that_changed_nothing_says_what_to_send_instead(
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
    log.shows(advice)


def test_an_unknown_field_is_shown_as_a_note(log: Browser, shop: Shop) -> None:
    order = {"order_id": "N-1", "order_date": "2026-01-01", "total": 5, "customer_email": shop.email("ann")}
    assert shop.submit(order | {"shiping_address": {"a": 1}}).status == 201
    log.shows("The field shiping_address has no meaning here")


def test_no_request_is_missing_when_many_arrive_at_once(log: Browser, shop: Shop) -> None:
    outcomes(shop, ["oldest"], "rejected")
    log.shows("oldest")
    log.hold("/v1/transactions?")
    log.until(log.held_requests, "the page does not request the list")
    outcomes(shop, [f"I-{n}" for n in range(120)], "rejected")
    log.release()
    log.lacks("oldest")
    assert len(log.all(ROW)) == 50
    for shown in (100, 121):  # 120 that arrived at once, and the oldest
        log.click("button", "Show more")
        log.until(lambda shown=shown: len(log.all(ROW)) == shown, f"the list does not show {shown} requests")  # type: ignore[misc]
    log.lacks("Show more")
    orders = [link.text for link in log.all(f"{ROW} td.c-order a")]
    assert sorted(orders) == sorted(["oldest", *(f"I-{n}" for n in range(120))])


def test_new_requests_do_not_move_the_focus(log: Browser, shop: Shop) -> None:
    outcomes(shop, ["stays"], "rejected")
    log.shows("stays")
    log.driver.execute_script("document.querySelector('tr[data-request] td.c-order a').focus()")
    outcomes(shop, ["arrives"], "rejected")
    log.shows("arrives")
    assert log.driver.switch_to.active_element.text == "stays"


def test_a_failed_poll_is_reported_until_a_later_one_succeeds(log: Browser, shop: Shop) -> None:
    log.driver.execute_cdp_cmd("Network.enable", {})
    log.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/v1/transactions?*"]})
    log.shows("Not live: Tillbook cannot be reached.")
    log.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    log.lacks("Not live")
    log.expected.append("ERR_BLOCKED")


def test_copying_without_a_clipboard_says_what_to_do(log: Browser) -> None:
    """Browsers have no clipboard for a page over plain HTTP from another machine."""
    log.driver.execute_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    log.click("[aria-label='Copy the command']")
    log.shows("Select the text and copy it.")
