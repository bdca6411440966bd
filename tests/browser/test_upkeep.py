"""Manual work: dead letters, audiences, connections, keys, settings, purging, erasing."""

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
    browser.says(name)
    browser.settled()


# ------------------------------------------------------------ dead letters


def test_a_dead_letter_shows_its_payload_and_is_replayed(inside: Browser, shop: Shop, an_event: Any) -> None:
    dead_letter(shop, an_event("D-1", gift_note="for Ann"))
    open_section(inside, "Dead letters")
    inside.says('"gift_note": "for Ann"')
    assert shop.email("ann") not in inside.text
    inside.click(".letter-detail button", "Replay")
    inside.says("No dead letters")
    inside.until(lambda: shop.ltv(shop.email("ann")) == {"USD": "105.00"}, "the order does not count")
    inside.until(lambda: not [box for box in inside.all(".count") if box.is_displayed()], "the badge is still there")


def test_all_dead_letters_are_replayed(inside: Browser, shop: Shop, an_event: Any) -> None:
    for number in range(3):
        dead_letter(shop, an_event(f"D-{number}", grand_total="10.00"))
    open_section(inside, "Dead letters")
    assert inside.find("#nav .count").text.startswith("3")
    inside.click("button", "Replay all 3")
    inside.click("dialog button", "Replay")
    inside.says("Replayed 3 events.")
    inside.says("No dead letters")
    inside.until(lambda: shop.ltv(shop.email("ann")) == {"USD": "30.00"}, "not all count")


def test_a_dead_letter_is_discarded_with_its_reason(inside: Browser, shop: Shop, an_event: Any) -> None:
    request_id = dead_letter(shop, an_event("D-1"))
    open_section(inside, "Dead letters")
    inside.click("button", "Discard…")
    inside.press("a test order", Keys.ENTER)
    inside.says("Discarded D-1.")
    assert shop.send("GET", "/v1/deadletters/count").json["count"] == 0
    inside.type("#query", request_id)
    inside.press(Keys.ENTER)
    inside.says("Discarded by hand")


# --------------------------------------------------------------- audiences


def test_an_audience_is_rebuilt_with_progress(inside: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("B-1", shipping_address={"address_1": "1 Main St", "postal_code": "10001"}))
    open_section(inside, "Audiences")
    inside.click("[aria-label='Customers (Shopper Activity)'] button", "Rebuild")
    inside.click("dialog button", "Rebuild")
    inside.says("Rebuild: done, 1 record.")
    inside.click("[aria-label='Customers (Shopper Activity)'] summary")
    inside.says("B-1")


def test_who_is_a_customer_is_found_by_paste_and_by_file(
    inside: Browser, shop: Shop, an_event: Any, tmp_path: Path
) -> None:
    shop.applied(an_event("P-1", shipping_address={"address_1": "1 Main St Apt 2", "postal_code": "02139"}))
    open_section(inside, "Audiences")
    inside.type("#who", f"{shop.email('ann')}\n{shop.email('nobody')}\n1 Main Street, Apt 2, 2139")
    inside.click("#match ~ form button, .matchgrid button", "Check")
    inside.says("2 of 3 lines")
    assert [badge.text for badge in inside.all(".match-list .badge")] == ["Customer", "Not a customer", "Customer"]
    people = tmp_path / "people.csv"
    people.write_text(f"email\n{shop.email('ann')}\n")
    inside.driver.find_element("css selector", "#who-file").send_keys(str(people))
    inside.until(lambda: "nobody" not in inside.find("#who").get_property("value"), "the file is not read")
    inside.click(".matchgrid button", "Check")
    inside.says("1 of 1 line")
    assert not any(shop.email("ann") in url for url in inside.asked())


# ------------------------------------------------------------- connections


def test_a_shop_is_connected_and_tested(inside: Browser, shop: Shop) -> None:
    open_section(inside, "Connections")
    inside.click("button", "Connect a shop")
    inside.click("dialog button", "Connect")
    inside.says("secret")  # Shopify's own is needed, and the dialog says so
    inside.type("#c-secret", "its-signing-secret")
    inside.click("dialog button", "Connect")
    inside.says("Shop connected: shopify")
    inside.click("dialog button", "I have saved it")
    inside.click(".card button", "Test")
    inside.says("Waiting for the first order, as of")
    assert [one["name"] for one in shop.send("GET", "/v1/connections").json["connections"]] == ["shopify"]
    inside.expected.append("400")


def test_a_secret_is_shown_once_and_changed_and_the_shop_disconnected(inside: Browser, shop: Shop) -> None:
    open_section(inside, "Connections")
    inside.click("button", "Connect a shop")
    inside.click("dialog label", "WooCommerce")
    inside.click("dialog button", "Connect")
    inside.says("This is the only time it is shown.")
    first = inside.all("dialog code")[-1].text
    inside.click("dialog button", "I have saved it")
    inside.lacks(first)
    inside.click("[aria-label='More actions for woocommerce']")
    inside.click(".options button", "Change the secret")
    inside.click("dialog button", "Change secret")
    inside.says("Secret changed: woocommerce")
    assert inside.all("dialog code")[-1].text != first
    inside.click("dialog button", "I have saved it")
    inside.says("Both secrets valid until")
    inside.click("[aria-label='More actions for woocommerce']")
    inside.click(".options button", "Disconnect")
    inside.click("dialog button", "Disconnect")
    inside.says("No shop is connected")
    assert shop.send("GET", "/v1/connections").json["connections"] == []


# ---------------------------------------------------------------- settings


def test_a_key_is_created_shown_once_and_works(inside: Browser, shop: Shop, an_event: Any) -> None:
    open_section(inside, "Settings")
    inside.click("button", "Create key")
    inside.type("#key-name", "my-shop")
    inside.click("dialog button", "Create key")
    inside.says("This is the only time it is shown")
    secret = inside.find("dialog code").text
    inside.click("dialog button", "I have saved it")
    inside.lacks(secret)
    assert "my-shop" in inside.text
    assert shop.order(an_event("K-1"), key=secret).status == 202


def test_one_s_own_key_is_revoked_by_a_word_alone(inside: Browser, shop: Shop) -> None:
    open_section(inside, "Settings")
    current = next(row for row in inside.all(".keys tbody tr") if "This session" in row.text)
    current.find_element("css selector", "button").click()
    inside.says("you will be signed out")
    assert not inside.all("dialog .danger")[0].is_enabled()
    inside.press("revoke", Keys.ENTER)
    inside.until(lambda: "Revoked" in inside.text or "no longer valid" in inside.text, "the own key is not revoked")
    inside.expected.append("403")


def test_the_account_s_name_zone_and_currency_are_set(inside: Browser, shop: Shop) -> None:
    open_section(inside, "Settings")
    inside.type("#s-name", "Harbor & Pine")
    inside.driver.execute_script(
        "for (const [id, value] of [['s-zone', 'Asia/Tokyo'], ['s-currency', 'JPY']]) {"
        "  const input = document.getElementById(id); input.value = value; input.dispatchEvent(new Event('change'));"
        "}"
    )
    inside.click("button", "Save changes")
    inside.says("Saved.")
    inside.says("Tokyo time (UTC+9)")
    assert "Harbor & Pine" in inside.find("#account").text
    account = shop.send("GET", "/v1/account").json
    assert (account["name"], account["time_zone"], account["currency"]) == ("Harbor & Pine", "Asia/Tokyo", "JPY")


def test_a_source_is_turned_off_and_never_the_last_one(inside: Browser, shop: Shop) -> None:
    open_section(inside, "Settings")
    inside.click(".switch", "Orders API")
    inside.click("dialog button", "Stop counting")
    inside.says("Orders API no longer counts.")
    assert shop.send("GET", "/v1/account").json["sources"] == ["shopper_activity"]
    inside.click(".switch", "Shopper Activity")
    inside.says("At least one source has to count.")
    assert shop.send("GET", "/v1/account").json["sources"] == ["shopper_activity"]


def test_a_purge_needs_its_word(inside: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("P-1"))
    open_section(inside, "Settings")
    inside.click("button", "Purge orders")
    button = inside.find("dialog .danger")
    assert not button.is_enabled()
    inside.type("#ask-field", "purg")
    assert not button.is_enabled()
    inside.type("#ask-field", "purge")
    inside.click("dialog button", "Purge orders")
    inside.says("no longer count")
    assert shop.send("GET", shop.person_path(shop.email("ann"))).status == 404


def test_a_customer_is_erased_from_their_page(inside: Browser, shop: Shop, an_event: Any) -> None:
    shop.applied(an_event("E-1"))
    inside.go(f"/#/customer?id={shop.person(shop.email('ann'))['id']}")
    inside.says("E-1")
    inside.click("[aria-label='More actions']")
    inside.click(".options button", "Erase customer")
    inside.says("This permanently deletes 1 order, $105.00 of lifetime value")
    inside.press("erase", Keys.ENTER)
    inside.says("It takes some minutes")
    inside.until(lambda: shop.send("GET", shop.person_path(shop.email("ann"))).status == 404, "they are not erased")


def test_a_customer_whom_only_a_dead_letter_names_is_erased(inside: Browser, shop: Shop, an_event: Any) -> None:
    dead_letter(shop, an_event("E-2"))
    open_section(inside, "Settings")
    inside.click("button", "Erase a customer")
    inside.press(shop.email("ann"), Keys.ENTER)
    inside.says("No order of this customer is known.")
    inside.press("erase", Keys.ENTER)
    inside.says("Erased")
    open_section(inside, "Dead letters")
    inside.says("No dead letters")
    assert shop.email("ann") not in inside.driver.current_url
    inside.expected.append("404")
