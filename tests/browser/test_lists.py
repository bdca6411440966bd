"""Lists and their filters: more rows, errors, ranges, dates."""

from __future__ import annotations

from typing import Any

import pytest

from tests.end_to_end.shop import Shop

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import NEEDED, Browser

pytestmark = NEEDED

ORDERS = 55  # more than one page of 50


@pytest.fixture
def full_page(page: Browser, shop: Shop, an_event: Any) -> Browser:
    """The page of a shop with `ORDERS` orders, each of another customer; order L-7 has a total of $7, and so on."""
    events = [an_event(f"L-{n}", email=shop.email(f"c{n}"), grand_total=n) for n in range(1, ORDERS + 1)]
    for start in range(0, ORDERS, 30):
        assert shop.batch(events[start : start + 30]).status == 202
    for path, name in ((f"/v3/{shop.account}/people?limit=200", "people"), ("/v1/orders?limit=200", "orders")):
        page.until(lambda path=path, name=name: len(shop.send("GET", path).json[name]) == ORDERS, f"too few {name}")  # type: ignore[misc]
    return page


def block(browser: Browser, *urls: str) -> None:
    """Makes requests to these URLs fail, and no others."""
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": list(urls)})
    browser.expected.append("ERR_BLOCKED")


def bars(browser: Browser) -> list[float]:
    """The width of each row's bar in percent."""
    return [float(str(bar.get_attribute("width"))) for bar in browser.all(".customers .bar .fill")]


# --------------------------------------------------------------- show more


@pytest.mark.parametrize(
    ("path", "url", "first_page", "whole_list"),
    [
        ("/#/orders?dates=all&name=L", "*/v1/orders*", "50 orders shown so far", "55 orders"),
        ("/#/customers", "*/people?*", "50 of 55 customers", "55 of 55 customers"),
        ("/#/requests", "*/v1/transactions?*", "The newest 50 are shown", "55 requests"),
    ],
)
def test_an_error_of_show_more_is_shown_once_until_a_retry_succeeds(
    full_page: Browser, path: str, url: str, first_page: str, whole_list: str
) -> None:
    full_page.go(path)
    full_page.shows(first_page)
    block(full_page, url)
    for _ in range(2):
        full_page.click(".pager button", "Show more")
        full_page.shows("Tillbook cannot be reached.")
        full_page.until(lambda: full_page.find(".pager button").is_enabled(), "the button stays disabled")
        assert len(full_page.all("#main .notice.bad")) == 1
        assert first_page in full_page.text
    block(full_page)
    full_page.click(".pager button", "Show more")
    full_page.shows(whole_list)
    assert not full_page.all("#main .notice.bad")


def test_a_list_whose_second_page_fails_while_loading_can_be_retried(page: Browser, shop: Shop, an_event: Any) -> None:
    """If a filter leaves few orders of the first page of answers, the list reads the second one at once."""
    shop.applied(an_event("S-1"))
    page.until(lambda: shop.send("GET", "/v1/orders").json["orders"], "S-1 is not in the book")
    page.driver.execute_script(
        """
        const plain = window.fetch;
        // The first page claims that there is a second one, which fails, and is empty at the next try.
        const answers = [
          async (path, options) => {
            const page = await (await plain(path, options)).json();
            return Response.json({ ...page, next_cursor: "more" });
          },
          () => Promise.reject(new TypeError()),
          () => Response.json({ orders: [], next_cursor: null }),
        ];
        window.fetch = (path, options) => (/orders\\?.*limit=50/.test(path) ? answers.shift() : plain)(path, options);
        location.hash = "#/orders?text=S-";
        """
    )
    page.shows("Tillbook cannot be reached.")
    assert not page.all("#main .skeleton")
    page.click("button", "Try again")
    page.shows("S-1")
    assert page.find(".pager").text == "1 order"


def test_an_error_of_show_more_in_a_customer_s_orders_is_shown_once(page: Browser, shop: Shop, an_event: Any) -> None:
    events = [an_event(f"C-{n}") for n in range(ORDERS)]
    for start in range(0, ORDERS, 30):
        assert shop.batch(events[start : start + 30]).status == 202
    page.until(lambda: shop.has_person(shop.email("ann"), orders_count=ORDERS), "not all events are applied")
    page.go(f"/#/customer?id={shop.person(shop.email('ann'))['id']}")
    page.shows("The newest are shown")
    block(page, "*/orders?limit=50*")
    for _ in range(2):
        page.click(".pager button", "Show more")
        page.shows("Tillbook cannot be reached.")
        page.until(lambda: page.find(".pager button").is_enabled(), "the button stays disabled")
        assert len(page.all("#main .notice.bad")) == 1
    block(page)
    page.click(".pager button", "Show more")
    page.until(lambda: len(page.all(".corders tbody tr")) == ORDERS, "not all orders are shown")
    assert not page.all("#main .notice.bad")


def test_bars_of_all_pages_have_one_scale(full_page: Browser) -> None:
    full_page.go("/#/customers?direction=asc")
    full_page.shows("50 of 55 customers")
    assert bars(full_page)[-1] == pytest.approx(100)
    full_page.click(".pager button", "Show more")
    full_page.shows("55 of 55 customers")
    # A bar is at least 0.8 percent wide.
    assert bars(full_page) == [pytest.approx(max(0.8, 100 * n / ORDERS)) for n in range(1, ORDERS + 1)]


# ----------------------------------------------------------------- filters


def test_every_filter_field_has_a_unique_id(page: Browser) -> None:
    page.go("/#/orders?dates=all")
    page.shows("No orders match these filters")
    for chip in ("Promo code", "Contains", "Total", "Placed"):
        page.click(".chip", chip)
        page.find(":popover-open input")
        misplaced = page.driver.execute_script(
            "const labels = [...document.querySelectorAll(':popover-open label')];"
            "return labels.filter((label) => !label.control.matches(':popover-open *')).length;"
        )
        assert misplaced == 0, chip
        page.press(Keys.ESCAPE)
        page.until(lambda: not page.all(":popover-open"), "the menu stays open")
    ids = page.driver.execute_script("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert sorted(set(ids)) == sorted(ids)


def test_a_range_of_counts_takes_only_whole_numbers_and_one_of_amounts_negative_ones_too(page: Browser) -> None:
    page.go("/#/customers")
    page.shows("No customers yet")
    page.click(".chip", "Orders")
    page.type(":popover-open [name=low]", "1.5")
    page.click(":popover-open button", "Apply")
    page.shows("Enter a whole number, such as 3.")
    page.type(":popover-open [name=low]", "2")
    page.click(":popover-open button", "Apply")
    page.find("[aria-label='Remove the filter Orders: 2 or more']")
    page.click(".chip", "Lifetime value")
    page.type(":popover-open [name=low]", "-5.50")
    page.click(":popover-open button", "Apply")
    page.find("[aria-label='Remove the filter Lifetime value: -5.50 or more']")
    page.shows("No customers match these filters")
    assert "min_value=-5.50" in page.driver.current_url


def test_only_filters_change_the_text_of_an_empty_customer_list(page: Browser) -> None:
    page.go("/#/customers?sort=orders&direction=asc&currency=EUR")
    page.shows("No customers yet")
    page.click(".chip", "Last order")
    page.find(":popover-open .options button")
    assert not page.all(":popover-open [aria-current=true]")
    page.click(":popover-open .options button", "Last 30 days")
    page.find("[aria-label='Remove the filter Last order: Last 30 days']")
    page.shows("No customers match these filters")
    assert "last=30d" in page.driver.current_url


def test_invalid_dates_are_replaced_by_the_last_30_days(page: Browser) -> None:
    page.go("/#/orders?dates=2026-99-99..2026-99-99")
    assert "Last 30 days" in page.find(".chip.on").text
