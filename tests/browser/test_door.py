"""Signing in and out, and where the key is and is not."""

from __future__ import annotations

import pytest

from local.stack import Stack
from tests.end_to_end.shop import Shop
from tillbook.records.keys import Keys

pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from tests.browser.chromium import NEEDED, Browser

pytestmark = NEEDED


def test_an_admin_key_opens_the_page_and_lives_in_the_tab_only(browser: Browser, shop: Shop) -> None:
    browser.sign_in(shop.admin_key)
    browser.says("Overview")
    kept = browser.driver.execute_script(
        "return [JSON.stringify(localStorage), document.cookie, sessionStorage.getItem('tillbook.key')]"
    )
    assert kept == ["{}", "", shop.admin_key]
    assert shop.admin_key not in browser.driver.page_source
    assert not any(shop.admin_key in url for url in browser.asked() if url.startswith("http"))
    browser.go()  # the tab still knows it
    browser.says("Overview")
    browser.click("#account")
    browser.says("Signed in with the key")
    browser.click("#leave")
    browser.says("Sign in to Tillbook")
    assert browser.driver.execute_script("return sessionStorage.length") == 0
    browser.go("/#/orders")
    browser.says("Sign in to Tillbook")


@pytest.mark.parametrize("kind", ["unknown", "ingest", "revoked"])
def test_no_other_key_opens_it(stack: Stack, shop: Shop, kind: str) -> None:
    key = {"unknown": "nobody's", "ingest": shop.ingest_key, "revoked": "revoked-1"}[kind]
    if kind == "revoked":
        keys = Keys(stack.boto3_client("dynamodb"), stack.outputs["RecordsTableName"])
        made, key = keys.create(shop.account, "admin")
        keys.revoke(shop.account, made.id)
    with Browser.open(stack.url) as browser:
        browser.sign_in(key)
        browser.says("not valid, was revoked, or can only send orders")
        assert browser.driver.execute_script("return sessionStorage.length") == 0
        assert all("403" in complaint for complaint in browser.complaints())


def test_what_is_no_key_is_not_sent(browser: Browser) -> None:
    browser.sign_in("ein Schlüssel")
    browser.says("Check that you copied all of it.")
    assert not any("/v1/" in url for url in browser.asked())


def test_a_key_that_is_revoked_meanwhile_ends_at_the_door(stack: Stack, shop: Shop) -> None:
    """The functions' minute of memory is not waited for: the tab is given a key that never was one."""
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.settled()
        browser.driver.execute_script("sessionStorage.setItem('tillbook.key', 'gone')")
        browser.click("#nav a", "Orders")
        browser.says("This key is no longer valid")


def test_an_address_is_opened_after_signing_in(browser: Browser, shop: Shop) -> None:
    browser.go("/#/settings")
    browser.type("#key", shop.admin_key)
    browser.click("#signin .primary")
    browser.says("Danger zone")


def test_light_and_dark_are_chosen_and_kept(browser: Browser, shop: Shop) -> None:
    browser.sign_in(shop.admin_key)
    browser.says("Overview")
    color = "return getComputedStyle(document.documentElement).colorScheme"
    assert browser.driver.execute_script(color) == "light"
    browser.click("#account")
    browser.click(".segmented label", "Dark")
    assert browser.driver.execute_script(color) == "dark"
    browser.go()
    browser.says("Overview")
    assert browser.driver.execute_script(color) == "dark"
