"""Lists and their filters: more rows, errors, ranges, dates."""

from __future__ import annotations

from typing import Any

import pytest

from tests.end_to_end.shop import Shop

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import NEEDED, Browser

pytestmark = NEEDED

SENT = 55  # more than one page of 50


@pytest.fixture
def filled(inside: Browser, shop: Shop, an_event: Any) -> Browser:
    """The page of a shop with so many orders, each of another customer; order L-7 has a total of $7."""
    events = [an_event(f"L-{n}", email=shop.email(f"c{n}"), grand_total=n) for n in range(1, SENT + 1)]
    for start in range(0, SENT, 30):
        assert shop.batch(events[start : start + 30]).status == 202
    for path, name in ((f"/v3/{shop.account}/people?limit=200", "people"), ("/v1/orders?limit=200", "orders")):
        inside.until(lambda path=path, name=name: len(shop.send("GET", path).json[name]) == SENT, f"too few {name}")
    return inside


def block(browser: Browser, *urls: str) -> None:
    """Lets requests to these URLs fail, and those to all others pass."""
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": list(urls)})
    browser.expected.append("ERR_BLOCKED")


def bars(browser: Browser) -> list[float]:
    """The width of each row's bar, of 100."""
    return [float(str(bar.get_attribute("width"))) for bar in browser.all(".customers .bar .fill")]


# -------------------------------------------------------------------- more


@pytest.mark.parametrize(
    ("path", "url", "summaries"),
    [
        ("/#/orders?dates=all&name=L", "*/v1/orders*", ("50 orders shown so far", "55 orders")),
        ("/#/customers", "*/people?*", ("50 of 55 customers", "55 of 55 customers")),
        ("/#/requests", "*/v1/transactions?*", ("The newest 50 are shown", "55 requests")),
    ],
)
def test_an_error_of_show_more_is_shown_once_until_it_works(
    filled: Browser, path: str, url: str, summaries: tuple[str, str]
) -> None:
    filled.go(path)
    filled.says(summaries[0])
    block(filled, url)
    for _ in range(2):
        filled.click(".pager button", "Show more")
        filled.says("Tillbook cannot be reached.")
        filled.until(lambda: filled.find(".pager button").is_enabled(), "the button stays disabled")
        assert len(filled.all("#main .notice.bad")) == 1
        assert summaries[0] in filled.text
    block(filled)
    filled.click(".pager button", "Show more")
    filled.says(summaries[1])
    assert not filled.all("#main .notice.bad")


def test_an_error_within_the_first_load_can_be_tried_again(inside: Browser, shop: Shop, an_event: Any) -> None:
    """A filter may leave few orders of a page: the next page is read at once, and that may fail."""
    shop.applied(an_event("S-1"))
    inside.until(lambda: shop.send("GET", "/v1/orders").json["orders"], "S-1 is not in the book")
    inside.driver.execute_script(
        """
        const plain = window.fetch;
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
    inside.says("Tillbook cannot be reached.")
    assert not inside.all("#main .skeleton")
    inside.click("button", "Try again")
    inside.says("S-1")
    assert inside.find(".pager").text == "1 order"


def test_an_error_of_more_orders_of_a_customer_is_shown_once(inside: Browser, shop: Shop, an_event: Any) -> None:
    events = [an_event(f"C-{n}") for n in range(SENT)]
    for start in range(0, SENT, 30):
        assert shop.batch(events[start : start + 30]).status == 202
    inside.until(lambda: shop.person(shop.email("ann"))["orders_count"] == SENT, "not all are applied")
    inside.go(f"/#/customer?id={shop.person(shop.email('ann'))['id']}")
    inside.says("The newest are shown")
    block(inside, "*/orders?limit=50*")
    for _ in range(2):
        inside.click(".pager button", "Show more")
        inside.says("Tillbook cannot be reached.")
        inside.until(lambda: inside.find(".pager button").is_enabled(), "the button stays disabled")
        assert len(inside.all("#main .notice.bad")) == 1
    block(inside)
    inside.click(".pager button", "Show more")
    inside.until(lambda: len(inside.all(".corders tbody tr")) == SENT, "not all are shown")
    assert not inside.all("#main .notice.bad")


def test_bars_of_all_pages_have_one_scale(filled: Browser) -> None:
    filled.go("/#/customers?direction=asc")
    filled.says("50 of 55 customers")
    assert bars(filled)[-1] == pytest.approx(100)
    filled.click(".pager button", "Show more")
    filled.says("55 of 55 customers")
    assert bars(filled) == [pytest.approx(max(0.8, 100 * n / SENT)) for n in range(1, SENT + 1)]


# ----------------------------------------------------------------- filters


def test_each_field_has_an_id_of_its_own(inside: Browser) -> None:
    inside.go("/#/orders?dates=all")
    inside.says("No orders match these filters")
    for chip in ("Promo code", "Contains", "Total", "Placed"):
        inside.click(".chip", chip)
        inside.find(":popover-open input")
        lost = inside.driver.execute_script(
            "const labels = [...document.querySelectorAll(':popover-open label')];"
            "return labels.filter((label) => !label.control.matches(':popover-open *')).length;"
        )
        assert lost == 0, chip
        inside.press(Keys.ESCAPE)
        inside.until(lambda: not inside.all(":popover-open"), "the menu stays open")
    ids = inside.driver.execute_script("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert sorted(set(ids)) == sorted(ids)


def test_a_range_takes_what_the_api_takes(inside: Browser) -> None:
    inside.go("/#/customers")
    inside.says("No customers yet")
    inside.click(".chip", "Orders")
    inside.type(":popover-open [name=low]", "1.5")
    inside.click(":popover-open button", "Apply")
    inside.says("Enter a whole number, such as 3.")
    inside.type(":popover-open [name=low]", "2")
    inside.click(":popover-open button", "Apply")
    inside.find("[aria-label='Remove the filter Orders: 2 or more']")
    inside.click(".chip", "Lifetime value")
    inside.type(":popover-open [name=low]", "-5.50")
    inside.click(":popover-open button", "Apply")
    inside.find("[aria-label='Remove the filter Lifetime value: -5.50 or more']")
    inside.says("No customers match these filters")
    assert "min_value=-5.50" in inside.driver.current_url


def test_a_customer_without_a_filter_is_not_missing_because_of_one(inside: Browser) -> None:
    inside.go("/#/customers?sort=orders&direction=asc&currency=EUR")
    inside.says("No customers yet")
    inside.click(".chip", "Last order")
    inside.find(":popover-open .options button")
    assert not inside.all(":popover-open [aria-current=true]")
    inside.click(":popover-open .options button", "Last 30 days")
    inside.find("[aria-label='Remove the filter Last order: Last 30 days']")
    inside.says("No customers match these filters")
    assert "last=30d" in inside.driver.current_url


def test_mistyped_dates_are_the_usual_ones(inside: Browser) -> None:
    inside.go("/#/orders?dates=2026-99-99..2026-99-99")
    assert "Last 30 days" in inside.find(".chip.on").text
