"""Signing in and out, where the page keeps the key, and the theme."""

from __future__ import annotations

import pytest

from local.stack import Stack
from tests.end_to_end.shop import Shop
from tillbook.records.keys import Keys

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from tests.browser.chromium import NEEDED, Browser

pytestmark = NEEDED


def test_an_admin_key_signs_in_and_is_kept_in_the_tab_only(browser: Browser, shop: Shop) -> None:
    browser.sign_in(shop.admin_key)
    browser.shows("Overview")
    stored = browser.driver.execute_script(
        "return [JSON.stringify(localStorage), document.cookie, sessionStorage.getItem('tillbook.key')]"
    )
    assert stored == ["{}", "", shop.admin_key]
    assert shop.admin_key not in browser.driver.page_source
    assert not any(shop.admin_key in url for url in browser.requested_urls() if url.startswith("http"))
    browser.go()  # the tab has kept the key
    browser.shows("Overview")
    browser.click("#account")
    browser.shows("Signed in with the key")
    browser.click("#leave")
    browser.shows("Sign in to Tillbook")
    assert browser.driver.execute_script("return sessionStorage.length") == 0
    browser.go("/#/orders")
    browser.shows("Sign in to Tillbook")


@pytest.mark.parametrize("kind", ["unknown", "ingest", "revoked"])
def test_a_key_that_is_no_valid_admin_key_is_refused(stack: Stack, shop: Shop, kind: str) -> None:
    key = shop.ingest_key if kind == "ingest" else "unknown"
    if kind == "revoked":
        keys = Keys(stack.boto3_client("dynamodb"), stack.outputs["RecordsTableName"])
        record, key = keys.create(shop.account, "admin")
        keys.revoke(shop.account, record.id)
    with Browser.open(stack.url) as browser:
        browser.sign_in(key)
        browser.shows("not valid, was revoked, or can only send orders")
        assert browser.driver.execute_script("return sessionStorage.length") == 0
        assert all("403" in message for message in browser.console_errors())


def test_a_text_with_characters_that_no_key_has_is_not_sent(browser: Browser) -> None:
    browser.sign_in("ein Schlüssel")
    browser.shows("Check that you copied all of it.")
    assert not any("/v1/" in url for url in browser.requested_urls())


def test_a_key_that_is_revoked_during_a_session_ends_the_session(stack: Stack, shop: Shop) -> None:
    """Functions cache a valid key for a minute. Instead of waiting, the test puts an unknown key into the tab."""
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.wait_until_loaded()
        browser.driver.execute_script("sessionStorage.setItem('tillbook.key', 'gone')")
        browser.click("#nav a", "Orders")
        browser.shows("This key is no longer valid")


def test_the_view_of_the_url_is_shown_after_signing_in(browser: Browser, shop: Shop) -> None:
    browser.go("/#/settings")
    browser.type("#key", shop.admin_key)
    browser.click("#signin .primary")
    browser.shows("Danger zone")


def test_the_dark_theme_survives_a_reload(browser: Browser, shop: Shop) -> None:
    browser.sign_in(shop.admin_key)
    browser.shows("Overview")
    color = "return getComputedStyle(document.documentElement).colorScheme"
    assert browser.driver.execute_script(color) == "light"
    browser.click("#account")
    browser.click(".segmented label", "Dark")
    assert browser.driver.execute_script(color) == "dark"
    browser.go()
    browser.shows("Overview")
    assert browser.driver.execute_script(color) == "dark"
