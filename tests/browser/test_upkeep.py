"""Work of an admin: dead letters, audiences, connections, keys, settings, purging, erasing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.planted import dead_letter
from tests.end_to_end.shop import Shop

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import NEEDED, Browser

pytestmark = NEEDED


def open_section(browser: Browser, name: str) -> None:
    browser.click("#nav a", name)
    browser.shows(name)
    browser.wait_until_loaded()


# ------------------------------------------------------------ dead letters


def test_a_dead_letter_shows_its_payload_and_is_replayed(page: Browser, shop: Shop, an_event: Any) -> None:
    dead_letter(shop, an_event("D-1", gift_note="for Ann"))
    open_section(page, "Dead letters")
    page.shows('"gift_note": "for Ann"')
    assert shop.email("ann") not in page.text
    page.click(".letter-detail button", "Replay")
    page.shows("No dead letters")
    page.until(lambda: shop.has_person(shop.email("ann"), lifetime_value={"USD": "105.00"}), "the order does not count")
    page.until(lambda: not [box for box in page.all(".count") if box.is_displayed()], "the badge is still there")


def test_all_dead_letters_are_replayed(page: Browser, shop: Shop, an_event: Any) -> None:
    for number in range(3):
        dead_letter(shop, an_event(f"D-{number}", grand_total="10.00"))
    open_section(page, "Dead letters")
    assert page.find("#nav .count").text.startswith("3")
    page.click("button", "Replay all 3")
    page.click("dialog button", "Replay")
    page.shows("Replayed 3 events.")
    page.shows("No dead letters")
    page.until(lambda: shop.has_person(shop.email("ann"), lifetime_value={"USD": "30.00"}), "not all orders count")


def test_a_dead_letter_is_discarded_with_its_reason(page: Browser, shop: Shop, an_event: Any) -> None:
    request_id = dead_letter(shop, an_event("D-1"))
    open_section(page, "Dead letters")
    page.click("button", "Discard…")
    page.press("a test order", Keys.ENTER)
    page.shows("Discarded D-1.")
    assert shop.send("GET", "/v1/deadletters/count").json["count"] == 0
    page.type("#query", request_id)
    page.press(Keys.ENTER)
    page.shows("Discarded by hand")


# --------------------------------------------------------------- audiences


def test_a_rebuild_shows_its_result_and_the_members_of_the_audience(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("B-1", shipping_address={"address_1": "1 Main St", "postal_code": "10001"}))
    open_section(page, "Audiences")
    page.click("[aria-label='Customers (Shopper Activity)'] button", "Rebuild")
    page.click("dialog button", "Rebuild")
    page.shows("Rebuild: done, 1 record.")
    page.click("[aria-label='Customers (Shopper Activity)'] summary")
    page.shows("B-1")


def test_pasted_lines_and_files_are_matched_with_customers(
    page: Browser, shop: Shop, an_event: Any, tmp_path: Path
) -> None:
    shop.applied(an_event("P-1", shipping_address={"address_1": "1 Main St Apt 2", "postal_code": "02139"}))
    open_section(page, "Audiences")
    page.type("#who", f"{shop.email('ann')}\n{shop.email('nobody')}\n1 Main Street, Apt 2, 2139")
    page.click(".matchgrid button", "Check")
    page.shows("2 of 3 lines")
    assert [badge.text for badge in page.all(".match-list .badge")] == ["Customer", "Not a customer", "Customer"]
    people = tmp_path / "people.csv"
    people.write_text(f"email\n{shop.email('ann')}\n")
    page.driver.find_element("css selector", "#who-file").send_keys(str(people))
    page.until(lambda: "nobody" not in str(page.find("#who").get_property("value")), "the file is not read")
    page.click(".matchgrid button", "Check")
    page.shows("1 of 1 line")
    assert not any(shop.email("ann") in url for url in page.requested_urls())


# ------------------------------------------------------------- connections


def test_a_shop_is_connected_and_tested(page: Browser, shop: Shop) -> None:
    open_section(page, "Connections")
    page.click("button", "Connect a shop")
    page.click("dialog button", "Connect")
    page.shows("secret")  # Shopify needs the shop's own secret, and the dialog says so
    page.type("#c-secret", "its-signing-secret")
    page.click("dialog button", "Connect")
    page.shows("Shop connected: shopify")
    page.click("dialog button", "I have saved it")
    page.click(".card button", "Test")
    page.shows("Waiting for the first order, as of")
    assert [one["name"] for one in shop.send("GET", "/v1/connections").json["connections"]] == ["shopify"]
    page.expected.append("400")


def test_a_secret_is_shown_once_and_changed_and_the_shop_is_disconnected(page: Browser, shop: Shop) -> None:
    open_section(page, "Connections")
    page.click("button", "Connect a shop")
    page.click("dialog label", "WooCommerce")
    page.click("dialog button", "Connect")
    page.shows("This is the only time it is shown.")
    first = page.all("dialog code")[-1].text
    page.click("dialog button", "I have saved it")
    page.lacks(first)
    page.click("[aria-label='More actions for woocommerce']")
    page.click(".options button", "Change the secret")
    page.click("dialog button", "Change secret")
    page.shows("Secret changed: woocommerce")
    assert page.all("dialog code")[-1].text != first
    page.click("dialog button", "I have saved it")
    page.shows("Both secrets valid until")
    page.click("[aria-label='More actions for woocommerce']")
    page.click(".options button", "Disconnect")
    page.click("dialog button", "Disconnect")
    page.shows("No shop is connected")
    assert shop.send("GET", "/v1/connections").json["connections"] == []


# ---------------------------------------------------------------- settings


def test_a_key_is_created_shown_once_and_works(page: Browser, shop: Shop, an_event: Any) -> None:
    open_section(page, "Settings")
    page.click("button", "Create key")
    page.type("#key-name", "my-shop")
    page.click("dialog button", "Create key")
    page.shows("This is the only time it is shown")
    secret = page.find("dialog code").text
    page.click("dialog button", "I have saved it")
    page.lacks(secret)
    assert "my-shop" in page.text
    assert shop.order(an_event("K-1"), key=secret).status == 202


def test_revoking_the_key_of_the_session_requires_a_typed_word(page: Browser, shop: Shop) -> None:
    open_section(page, "Settings")
    current = next(row for row in page.all(".keys tbody tr") if "This session" in row.text)
    current.find_element("css selector", "button").click()
    page.shows("you will be signed out")
    assert not page.all("dialog .danger")[0].is_enabled()
    page.press("revoke", Keys.ENTER)
    page.until(
        lambda: "Revoked" in page.text or "no longer valid" in page.text, "the key of the session is not revoked"
    )
    page.expected.append("403")


def test_the_account_s_name_zone_and_currency_are_set(page: Browser, shop: Shop) -> None:
    open_section(page, "Settings")
    page.type("#s-name", "Harbor & Pine")
    page.driver.execute_script(
        "for (const [id, value] of [['s-zone', 'Asia/Tokyo'], ['s-currency', 'JPY']]) {"
        "  const input = document.getElementById(id); input.value = value; input.dispatchEvent(new Event('change'));"
        "}"
    )
    page.click("button", "Save changes")
    page.shows("Saved.")
    page.shows("Tokyo time (UTC+9)")
    assert "Harbor & Pine" in page.find("#account").text
    account = shop.send("GET", "/v1/account").json
    assert (account["name"], account["time_zone"], account["currency"]) == ("Harbor & Pine", "Asia/Tokyo", "JPY")


def test_a_source_is_turned_off_unless_it_is_the_only_one_that_counts(page: Browser, shop: Shop) -> None:
    open_section(page, "Settings")
    page.click(".switch", "Orders API")
    page.click("dialog button", "Stop counting")
    page.shows("Orders API no longer counts.")
    assert shop.send("GET", "/v1/account").json["sources"] == ["shopper_activity"]
    page.click(".switch", "Shopper Activity")
    page.shows("At least one source has to count.")
    assert shop.send("GET", "/v1/account").json["sources"] == ["shopper_activity"]


def test_a_purge_requires_a_typed_word_and_removes_the_customers(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("P-1"))
    open_section(page, "Settings")
    page.click("button", "Purge orders")
    button = page.find("dialog .danger")
    assert not button.is_enabled()
    page.type("#ask-field", "purg")
    assert not button.is_enabled()
    page.type("#ask-field", "purge")
    page.click("dialog button", "Purge orders")
    page.shows("no longer count")
    assert shop.send("GET", shop.person_path(shop.email("ann"))).status == 404


def test_a_customer_is_erased_from_their_page(page: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("E-1"))
    page.go(f"/#/customer?id={shop.person(shop.email('ann'))['id']}")
    page.shows("E-1")
    page.click("[aria-label='More actions']")
    page.click(".options button", "Erase customer")
    page.shows("This permanently deletes 1 order, $105.00 of lifetime value")
    page.press("erase", Keys.ENTER)
    page.shows("It takes some minutes")
    page.until(
        lambda: shop.send("GET", shop.person_path(shop.email("ann"))).status == 404, "the customer is not erased"
    )


def test_a_customer_known_only_from_a_dead_letter_is_erased(page: Browser, shop: Shop, an_event: Any) -> None:
    dead_letter(shop, an_event("E-2"))
    open_section(page, "Settings")
    page.click("button", "Erase a customer")
    page.press(shop.email("ann"), Keys.ENTER)
    page.shows("No order of this customer is known.")
    page.press("erase", Keys.ENTER)
    page.shows("Erased")
    open_section(page, "Dead letters")
    page.shows("No dead letters")
    assert shop.email("ann") not in page.driver.current_url
    page.expected.append("404")
