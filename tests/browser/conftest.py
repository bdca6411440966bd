"""Fixtures: a new shop for each test, and Chromium with the page of a local stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from local.stack import Stack
from tests.end_to_end.shop import Shop

if TYPE_CHECKING:
    from tests.browser.chromium import Browser


@pytest.fixture
def shop(stack: Stack) -> Shop:
    return Shop.open(stack)


@pytest.fixture
def browser(stack: Stack) -> Iterator[Browser]:
    """A browser whose requests and console messages are checked after each test."""
    from tests.browser.chromium import Browser  # here, since Selenium may be absent

    with Browser.open(stack.url) as opened:
        yield opened
        origins = {
            f"{p.scheme}://{p.netloc}"
            for p in map(urlsplit, opened.requested_urls())
            if p.scheme not in ("data", "blob")
        }
        assert origins <= {stack.url}
        assert [
            message for message in opened.console_errors() if not any(part in message for part in opened.expected)
        ] == []


@pytest.fixture
def page(browser: Browser, shop: Shop) -> Browser:
    """A browser that is signed in and shows Overview."""
    browser.sign_in(shop.admin_key)
    browser.shows("Overview")
    browser.wait_until_loaded()
    return browser


@pytest.fixture
def an_event(shop: Shop) -> Any:
    """A function that makes an event of the shop. Fields that are None are left out."""

    def make(order_id: str, **more: Any) -> dict[str, Any]:
        event = {"provider": "my_shop", "email": shop.email("ann"), "action": "placed", "order_id": order_id}
        event |= {"grand_total": "105"} | more
        return {name: value for name, value in event.items() if value is not None}

    return make
